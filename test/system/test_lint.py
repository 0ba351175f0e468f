# SPDX-License-Identifier: Apache-2.0
"""sealpost-lint as relay starts it: a source in, findings and a manifest out, in bounded time whatever the source is."""
import base64
import copy
import hashlib
import json
import subprocess
import time

import pytest

import harness

HTML = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>Summer</title></head><body>
<div style="display:none">The best of the week</div>
<!--[if mso]><table><tr><td><![endif]-->
<table width="600"><tr><td>Hello {{name}}!<br><a href="https://shop.example/w?c={{code}}">Our shop</a></td></tr></table>
<!--[if mso]></td></tr></table><![endif]-->
</body></html>
"""

SOURCE = {
    "v": 1, "customer": "shop", "campaign": "summer", "version": 1, "number": 7, "author": "anna",
    "from": {"addr": "news@shop.example", "name": "Shop"}, "subject": "Summer for {{name}}!",
    "parts": [{"type": "text/plain", "text": "Hello {{name}}!\nhttps://shop.example/w?c={{code}}\n"},
              {"type": "text/html", "text": HTML},
              {"type": "application/pdf", "name": "terms.pdf", "size": 4, "sha256": hashlib.sha256(b"%PDF").hexdigest()}],
    "fields": {"name": {"type": "name", "max": 40}, "code": {"type": "code", "max": 16}},
    "hosts": ["shop.example"], "owned": ["shop.example"], "valid": {"from": "2026-01-01T00:00:00Z", "to": "2999-12-31T00:00:00Z"},
    "max_messages": 1000,
    "track": {"host": "t.shop.example", "pixel": True, "clicks": True, "unsubscribe": "https"},
}


def lint(source, *args):
    """Findings and manifest; the process ends well, and says nothing else."""
    text = source if isinstance(source, (bytes, str)) else json.dumps(source)
    done = subprocess.run([harness.program("sealpost-lint"), *args], input=text if isinstance(text, bytes) else text.encode(),
                          capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"\n") == 1
    return json.loads(done.stdout)


def with_html(html):
    source = copy.deepcopy(SOURCE)
    source["parts"][1]["text"] = html
    return source


def rules(result):
    return [(f["level"], f["rule"]) for f in result["findings"]]


def test_a_good_source_becomes_a_manifest_with_its_blobs():
    result = lint(SOURCE)
    assert result["ok"] and result["errors"] == 0
    assert ("warning", "html-hidden") in rules(result)
    manifest, blobs = result["manifest"], [base64.b64decode(b) for b in result["blobs"]]
    assert [t["sha256"] for t in manifest["templates"]] == [hashlib.sha256(b).hexdigest() for b in blobs]
    assert blobs[0] == b"Summer for !"
    for link in manifest["links"]:
        start, end = link["span"]
        assert blobs[link["tpl"]][start:end] == b"https://shop.example/w?c="
        assert link["url"] == "https://shop.example/w?c={code}"
    assert [row["type"] for row in manifest["mime"]] == ["multipart/mixed", "multipart/alternative", "text/plain", "text/html",
                                                         "application/pdf"]
    assert manifest["fields"]["code"]["ctx"] == "url-query" and manifest["fields"]["name"]["ctx"] == "text"
    assert manifest["lint"]["warnings"] == result["warnings"]


def test_a_bad_source_is_told_rule_part_line_and_column():
    html = HTML.replace("https://shop.example/w", "https://evil.example/w")
    result = lint(with_html(html))
    assert not result["ok"] and result["manifest"] is None and result["blobs"] == []
    finding = [f for f in result["findings"] if f["rule"] == "host-not-owned"][0]
    assert (finding["level"], finding["part"], finding["line"]) == ("error", "parts[1]", 5)
    assert html.splitlines()[4][finding["column"] - 1:].startswith("https://evil.example/")
    assert "evil.example" in finding["text"]


def test_a_host_that_is_not_the_customers_is_told_where_it_is_listed_and_where_it_stands():
    for owned in ([], ["other.example"], ["www.shop.example"], ["example"]):
        result = lint({**SOURCE, "owned": owned})
        assert not result["ok"] and result["manifest"] is None
        found = [(f["part"], f["line"]) for f in result["findings"] if f["rule"] == "host-not-owned"]
        assert ("hosts[0]", 0) in found and ("parts[0]", 2) in found and ("parts[1]", 5) in found and ("track.host", 0) in found
    without = {k: v for k, v in SOURCE.items() if k != "owned"}
    assert ("error", "host-not-owned") in rules(lint(without))
    foreign = {**SOURCE, "track": {**SOURCE["track"], "host": "t.far.example"}}
    assert ("error", "host-not-owned") in rules(lint(foreign))
    assert lint({**foreign, "tracking": ["t.far.example"]})["ok"]


@pytest.mark.parametrize("source", ["", "{", "[]", "null", b"\xff\xfe", '{"v":1,"v":1}', json.dumps(SOURCE) + "x", "[" * 3000])
def test_what_is_no_source_is_a_finding(source):
    result = lint(source)
    assert not result["ok"] and result["errors"] >= 1


def test_a_source_longer_than_permitted_is_refused():
    assert ("error", "source-limit") in rules(lint(" " * (8 << 20) + json.dumps(SOURCE)))


@pytest.mark.parametrize("html", [
    "<div>" * 100_000,
    "<div></x>" * 50_000,
    "".join(f"<p><font size={i}></p>" for i in range(20_000)),
    "<table>" * 60_000,
    "<a href=https://shop.example/>" * 15_000,
    "<p>" + "{{name}}!" * 20_000,
    "<!--[if mso]>" * 30_000,
    "x" * (5 << 20),
], ids=["nested", "nested-hidden", "formatting", "tables", "links", "fields", "comments", "5MB"])
def test_a_document_made_to_blow_up_ends_in_time_with_an_error(html):
    start = time.monotonic()
    result = lint(with_html(html))
    assert time.monotonic() - start < 15
    assert not result["ok"] and result["errors"] >= 1


@pytest.mark.parametrize("text", ["a.b." * 100_000, "1.1." * 100_000, "www." * 100_000, "@" * 400_000, "x://" * 100_000,
                                  "{{#opt}}a{{/opt}}" * 9_000], ids=["dots", "numbers", "www", "at", "colons", "blocks"])
def test_a_text_made_to_blow_up_ends_in_time(text):
    source = copy.deepcopy(SOURCE)
    source["parts"][0]["text"] = text
    start = time.monotonic()
    lint(source)
    assert time.monotonic() - start < 15


def test_a_newer_list_of_suffixes_is_read_or_refused(tmp_path):
    broken = tmp_path / "suffixes"
    broken.write_text("com\n")
    done = subprocess.run([harness.program("sealpost-lint"), "-p", str(broken)], input=b"{}", capture_output=True, timeout=30)
    assert done.returncode == 78 and b"is no list of public suffixes" in done.stderr
    full = tmp_path / "full"
    full.write_text("".join(f"suffix{i}\n" for i in range(2000)) + "shop.example\n")
    assert ("error", "url-host-suffix") in rules(lint(SOURCE, "-p", str(full)))


def learn(directory, third="Chloe"):
    """Three proofs as a pipeline sent them, and what the command makes of them."""
    values = [("Ann", "A1"), ("Bartholomew", "ZZ-9"), ("Chloe", "Q7")]
    for i, (name, code) in enumerate(values):
        shown = third if i == 2 else name
        (directory / f"{i}.eml").write_text(
            f"From: Shop <news@shop.example>\nTo: <x{i}@example.com>\nSubject: News for {name}\nDate: Sun, 22 Nov 2026 20:00:00 +0000\n"
            f"Message-ID: <{i}@shop.example>\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n"
            "Content-Transfer-Encoding: quoted-printable\n\n"
            f"<p>Hi {shown}! <a href=3D\"https://shop.example/?c=3D{code}\">x</a></p>\n")
    (directory / "values.yaml").write_text("proofs:\n" + "".join(
        f"  - file: {i}.eml\n    values: {{name: \"{n}\", code: \"{c}\"}}\n" for i, (n, c) in enumerate(values)))
    return subprocess.run([harness.program("sealpost"), "campaign", "learn", str(directory / "values.yaml")],
                          capture_output=True, text=True, timeout=30)


def test_three_proofs_become_a_source_that_passes(tmp_path):
    done = learn(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    learned = json.loads(done.stdout)
    assert learned["subject"] == "News for {{name}}"
    assert learned["parts"][0]["text"] == '<p>Hi {{name}}! <a href="https://shop.example/?c={{code}}">x</a></p>'
    assert lint({**SOURCE, **learned})["ok"]


def test_a_difference_that_nobody_explained_is_told_with_its_place(tmp_path):
    done = learn(tmp_path, third="Zoe")
    assert done.returncode == 1 and done.stdout == ""
    assert "line 1, column 7: the proofs differ here, and no field's value explains it" in done.stderr
