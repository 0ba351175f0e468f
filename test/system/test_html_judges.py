# SPDX-License-Identifier: Apache-2.0
"""What our HTML tokenizer reads is what others read: parse5 (JavaScript) and html5lib (Python) are given the same hard
documents, with their own tree builders telling their tokenizers what to do. Links, text, all tokens must agree."""
import json
import os
import random
import shutil
import subprocess

import pytest

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 20261122

# Pieces of documents, each of them a trap for a parser that cuts corners. No select, svg, math or frameset: there only a
# tree tells how to go on (lib/mail/mail_html.h), and no mail may have them. No noframes: parse5 7.1 reads it as markup within
# a body, against 13.2.6.4.7; our lint refuses it.
PIECES = r"""
<p>|</p>|<div class=a>|</div>|<b>|</b>|<i>|</I >|<br/>|<table><tr><td>|</td></tr></table>|<td>|<tr>|</table>|<ul><li>|</ul>
<a href="https://a.example/1">|<a href='https://b.example/?x=1&amp;y=2'>|<a href=https://c.example/3>|</a>|<A HREF = "x">
<a href="https://d.example/?copy=1&copy=2&copy;&lt">|<a href='&#106;avascript&colon;x'>|<a href=">">|<a href='"'>|<a href=a"b'c>
<area href=https://e.example/>|<a name=x>|<a href>|<a href=>|<a href= >|<a/href=y>|<a =href=z>|<a href=1 href=2 HREF=3>
<a href="a\nb\tc">|<a href="1"title="2">|<a <b href=x>|<a\thref\n=\f'v'>|<img src=x alt="a>b">|<a href='x
plain text|a &amp; b|a & b|&lt;a&gt;|&notit;|&notin;|&ampx|&#x26;|&#38|&#128;|&#0;|&#xD800;|&unknown;|&|&;|&#;|&#x;|1 < 2|a<|<3|< a>|</|</>|< /a>|<>
<!-- c -->|<!--> x -->|<!---> x -->|<!---->|<!-----> y -->|<!-- a --!> b|<!-- a -- b -->|<!-- <!-- x -->|<!--a--!-->|<!-- > -->|<!--
<!x>|<!>|<?php echo "<a href=q>"; ?>|</ a>|</ >|<!DOCTYPE html>|<!doctype>|<![CDATA[<a href=c>]]>|<!-|<!--[if mso]><v:rect href="v"></v:rect><![endif]-->
<![if !mso]>|<![endif]>|<!--[if !mso]><!-->|<!--<![endif]-->
<title>|</title>|<title>a</titl><a href=t></title>|<textarea>|</textarea>|<textarea><!--</textarea>-->|<style>|</style>|<style><!--</style>-->
<style>a{b:"</style >"}|<xmp><a href=x1></xmp>|<noembed><a href=n1></noembed>|<noscript><a href=n3></noscript>
<iframe><a href=i1></iframe>|<script>|</script>|<script>"<!--<script>"</script>-->|<script><!--</script>|<script><!-- <script> </script> --></script>
<script><!--<script </scripT>|<script>a<!b</script\n>|<plaintext>|<TITLE/>|</title/x=y>|<listing>\nx</listing>|<pre>\n\ny</pre>
é|日本|\r\n|\n|   |<button>|</button>|<form>|</form>|<input>|<h1>|</h2>|</p>|</br>|<body class=z>|<html lang=x>|<head>|</head>|</body>|</html>
"""
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\f": "\f", r"\r": "\r"}


def pieces():
    for line in PIECES.strip("\n").split("\n"):
        for piece in line.split("|"):
            for written, meant in ESCAPES.items():
                piece = piece.replace(written, meant)
            yield piece


def documents(count):
    rng = random.Random(SEED)
    parts = list(pieces())
    yield from parts
    for _ in range(count):
        yield "".join(rng.choice(parts) for _ in range(rng.randint(2, 24)))


def joined(tokens):
    """Adjacent texts as one: where a text is cut is nobody's business."""
    out = []
    for t in tokens:
        if t[0] == "T" and out and out[-1][0] == "T":
            out[-1] = ["T", out[-1][1] + t[1]]
        elif t[0] != "T" or t[1]:
            out.append(list(t))
    return out


def ours(docs):
    tool = harness.program("html_tokens")
    return [joined(t) for t in json.loads(subprocess.run([tool], input=json.dumps(docs), capture_output=True, text=True, check=True).stdout)]


def compare(docs, theirs, mine, who):
    for doc, a, b in zip(docs, theirs, mine):
        assert a == b, f"{who} differs on {doc!r}"


def links(tokens):
    return [t[2]["href"] for t in tokens if t[0] == "S" and t[1] in ("a", "area") and "href" in t[2]]


@pytest.fixture(scope="module")
def corpus():
    docs = list(documents(4000))
    mine = ours(docs)
    assert sum(len(links(t)) for t in mine) > 5000, "a corpus without links proves nothing"
    return docs, mine


@pytest.mark.skipif(not shutil.which("node") or not os.path.isdir("/usr/share/nodejs/parse5"), reason="needs node-parse5")
def test_parse5_reads_the_same_tokens(corpus):
    docs, mine = corpus
    run = subprocess.run(["node", os.path.join(HERE, "html_parse5.js")], input=json.dumps(docs), capture_output=True, text=True,
                         env=dict(os.environ, NODE_PATH="/usr/share/nodejs"))
    assert run.returncode == 0, run.stderr
    compare(docs, [joined(t) for t in json.loads(run.stdout)], mine, "parse5")


def html5lib_tokens(docs):
    html5lib = pytest.importorskip("html5lib")
    from html5lib import _tokenizer
    from html5lib.constants import tokenTypes
    kinds = {v: k for k, v in tokenTypes.items()}
    seen = []

    def note(t):
        kind = kinds[t["type"]]
        if kind in ("StartTag", "EmptyTag"):
            seen.append(["S", t["name"], dict(t["data"])])
        elif kind == "EndTag":
            seen.append(["E", t["name"]])
        elif kind == "Comment":
            seen.append(["C", t["data"]])
        elif kind == "Doctype":
            seen.append(["D", t["name"] or ""])
        elif kind in ("Characters", "SpaceCharacters"):
            seen.append(["T", t["data"]])

    original = _tokenizer.HTMLTokenizer.__iter__

    def recorded(self):
        for t in original(self):
            note(t)
            yield t

    _tokenizer.HTMLTokenizer.__iter__ = recorded
    try:
        for doc in docs:
            seen.clear()
            html5lib.HTMLParser().parse(doc, scripting=False)
            yield joined(seen)
    finally:
        _tokenizer.HTMLTokenizer.__iter__ = original


def test_html5lib_reads_the_same_tokens(corpus):
    docs, mine = corpus
    compare(docs, html5lib_tokens(docs), mine, "html5lib")


def test_the_table_of_references_is_the_one_of_python():
    script = os.path.join(HERE, "..", "tool", "html_entities.py")
    table = os.path.join(HERE, "..", "..", "lib", "mail", "mail_html_entity_table.h")
    made = subprocess.run(["/usr/bin/python3", script], capture_output=True, text=True, check=True).stdout
    assert made == open(table).read(), "run test/tool/html_entities.py > lib/mail/mail_html_entity_table.h"
