# SPDX-License-Identifier: Apache-2.0
"""The attacks that campaigns are there to stop, one after the other, through a real Postfix with real keyd, relay, lint
and milter: the true message arrives and is tracked; the altered one is refused with a number and nothing else, reaches
nobody, and whoever may ask is told what was wrong and where. "pytest -s" prints the table."""
import base64
import datetime
import hashlib
import json
import os
import quopri
import re
import shutil
import smtplib
import sqlite3
import time

import pytest

import campaigns
import harness
from test_outbound import Passwords

pytestmark = pytest.mark.skipif(not harness.Postfix.available(), reason="needs root and Postfix")

RCPT = "reader@there.example"
SECRETS = [b"evil", b"Anna", b"Eve", b"reader", b"voucher", b"bank.example", b"Assam", b"4111"]  # in no log, in no report
STREAMS = """
feed_stale: 3s
max_size: 1M
customers:
  - {auth: shop-app, customer: default, stream: news}
  - {sender: shop.example, customer: default, stream: news}
  - {sender: hold.example, customer: default, stream: hold}
  - {sender: trial.example, customer: default, stream: trial}
  - {sender: receipts.example, customer: default, stream: receipts}
streams:
  - {name: news, policy: enforce}
  - {name: hold, policy: quarantine}
  - {name: trial, policy: observe, until: 2099-12-31}
  - {name: receipts, policy: links-only, hosts: [www.shop.example], attachments: [application/pdf]}
"""
TRACK = ("example.yaml", "track: null", "track: {host: t.shop.example, pixel: true, clicks: true, unsubscribe: https, "
         "consent: aggregate, days: 30}")
PDF, PNG = b"%PDF-1.4 terms\n" * 200, b"\x89PNG\r\n\x1a\n" + bytes(range(256))
BIG = PDF * 300
IMAGE = ("<p>Shop</p>", '<p>Shop <img src="cid:logo" alt=""></p>')
FILES = [TRACK, ("example.html", *IMAGE),
         ("example.yaml", "html: example.html",
          "html: example.html\nimages: [{file: logo.png, cid: logo}]\nattachments: [terms.pdf]")]


# --- messages

def message(mid, rcpt=RCPT, **how):
    return campaigns.message(rcpt, message_id=f"<{mid}@shop.example>", **how)


def message_with_files(mid, rcpt, pdf=PDF, png=PNG, **how):
    head, body = message(mid, rcpt, replace=[IMAGE], **how).split(b"\r\n\r\n", 1)
    _, text, html = body.removesuffix(b"--=_b1--\r\n").split(b"--=_b1\r\n")

    def file(head, data):
        return head + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + \
            base64.encodebytes(data).replace(b"\n", b"\r\n") + b"\r\n"

    related = b'Content-Type: multipart/related; boundary="=_r"\r\n\r\n--=_r\r\n' + html + b"--=_r\r\n" + \
        file(b'Content-Type: image/png; name="logo.png"\r\nContent-ID: <logo>\r\n'
             b'Content-Disposition: inline; filename="logo.png"', png) + b"--=_r--\r\n"
    head, kind = head.rsplit(b"\r\nContent-Type: ", 1)
    data = head + b'\r\nContent-Type: multipart/mixed; boundary="=_m"\r\n\r\n--=_m\r\nContent-Type: ' + kind + \
        b"\r\n\r\n--=_b1\r\n" + text + b"--=_b1\r\n" + related + b"--=_b1--\r\n\r\n--=_m\r\n" + \
        file(b'Content-Type: application/pdf; name="terms.pdf"\r\n'
             b'Content-Disposition: attachment; filename="terms.pdf"', pdf) + b"--=_m--\r\n"
    return data


def swapped(data, replace):
    for old, new in replace:
        assert old in data, old
        data = data.replace(old, new, 1)
    return data


def encoded(data, name, encode):
    """The same message, its texts in another transfer encoding."""
    pieces = re.split(rb"(Content-Transfer-Encoding: )8bit\r\n\r\n(.*?)(?=\r\n--=_b1)", data, flags=re.S)
    for i in range(1, len(pieces), 3):
        pieces[i] += name + b"\r\n\r\n"
        pieces[i + 1] = encode(pieces[i + 1].replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    return b"".join(pieces)


# --- attacks on a message: words of the table: (reply, verdict, how the message differs)

LINK = "https://www.shop.example/voucher?code=X7Q2"
HTML = '<p>Good day Anna,'
ANNOUNCED = "Content-Type: text/html"
END = "--=_b1--\n"
DUPLICATE = ("MIME-Version: 1.0", "MIME-Version: 1.0\nContent-Type: text/plain")


def extra(kind, text="evil"):
    return [(END, f"--=_b1\nContent-Type: {kind}; charset=utf-8\n\n{text}\n{END}")]


def replace(*pairs):
    return {"replace": list(pairs)}


def files(**how):
    return {"campaign": "files", **how}


R550, R554, R552 = "550 5.7.1", "554 5.6.0", "552 5.3.4"
ATTACKS = {
    "Replace link target in HTML": (R550, "literal", replace((f'"{LINK}"', '"https://evil.example/?code=X7Q2"'))),
    "Replace link target in the text part": (R550, "literal", replace((LINK, "https://evil.example/?code=X7Q2"))),
    "Lead the link to another page of the same host": (R550, "literal", replace((f'"{LINK}', '"https://www.shop.example/evil?code=X7Q2'))),
    "Add a link": (R550, "literal", replace(("<p>Shop</p>", '<p><a href="https://evil.example/">x</a></p><p>Shop</p>'))),
    "Add a paragraph": (R550, "literal", replace(("<p>Shop</p>", "<p>evil</p><p>Shop</p>"))),
    "Add a paragraph behind the end": (R550, "text-goes-on", replace(("</html>", "</html><p>evil</p>"))),
    "Add an image": (R550, "literal", replace(("<p>Shop</p>", '<img src="https://evil.example/x.png"><p>Shop</p>'))),
    "Add a script": (R550, "literal", replace(("</head>", "<script>evil()</script></head>"))),
    "Add an attribute": (R550, "literal", replace((f'"{LINK}"', f'"{LINK}" onclick="evil()"'))),
    "Leave a paragraph out": (R550, "literal", replace(
        ("<p>If you do not want these letters any more, answer to this one.</p>\n", ""))),
    "Cut the text off": (R550, "text-ends", replace(("</body>\n</html>\n", ""))),
    "Swap only the text/plain alternative": (R550, "literal", replace(("tea from Assam", "tea from evil.example"))),
    "Add an AMP alternative": (R550, "part-extra", {"replace": extra("text/x-amp-html")}),
    "Add a calendar": (R550, "part-extra", {"replace": extra("text/calendar")}),
    "Leave the text alternative out": (R550, "part-type", {"raw": lambda b: re.sub(
        rb"--=_b1\r\nContent-Type: text/plain.*?(?=--=_b1)", b"", b, flags=re.S)}),
    '"Name" field carrying "visit evil.com"': (R550, "field-link", replace((HTML, "<p>Good day visit evil.com,"))),
    "Name field with a domain in the subject": (R550, "field-link", {"values": {"first_name": "www.evil.com"}}),
    "Name field with a domain, a reference in place of the dot": (R550, "", replace((HTML, "<p>Good day evil&#46;com,"))),
    "Name field with a domain, a full-width dot": (R550, "", replace((HTML, "<p>Good day evil\uff0ecom,"))),
    "Name field with letters of two scripts": (R550, "field-value", replace((HTML, "<p>Good day \u0430nna\u0431b,"))),
    "Name field that turns the text round": (R550, "", replace((HTML, "<p>Good day Anna\u202emoc.live,"))),
    "Name field longer than approved": (R550, "field-length", replace((HTML, f"<p>Good day {'A' * 41},"))),
    "Field carrying <a ...>": (R550, "field-octet", replace((HTML, '<p>Good day <a href="https://evil.example/">Anna</a>,'))),
    "Field that breaks out of quotes": (R550, "", replace((f'"{LINK}"', f'"{LINK}" onclick="evil()"'))),
    "Field that goes on in the query": (R550, "", replace((f'"{LINK}"', f'"{LINK}&amp;to=evil"'))),
    "Field carrying &#60;": (R550, "", replace((HTML, "<p>Good day &#60;b&#62;Eve,"))),
    "Field carrying &lt;": (R550, "", replace((HTML, "<p>Good day &lt;b&gt;Eve,"))),
    "Field carrying &colon;": (R550, "", replace((HTML, "<p>Good day https&colon;//evil.example,"))),
    "Malware swapped into a PDF": (R550, "part-digest", files(pdf=PDF[:-1] + b"!")),
    "Malware swapped into a PDF, longer": (R550, "part-size", files(pdf=PDF + b"evil")),
    "Malware swapped into an image with cid:": (R550, "part-digest", files(png=PNG[:-1] + b"!")),
    "PDF renamed to a program": (R550, "part-name", files(change=[(b'filename="terms.pdf"', b'filename="terms.exe"')])),
    "PDF declared to be a page": (R550, "part-type", files(change=[(b"application/pdf", b"text/html")])),
    "Content-ID swapped": (R550, "part-content-id", files(change=[(b"<logo>", b"<evil>")])),
    "File left out": (R550, "part-missing", files(raw=lambda b: re.sub(
        rb"--=_m\r\nContent-Type: application/pdf.*(?=--=_m--)", b"", b, flags=re.S))),
    "Extra MIME part": (R550, "part-extra", {"replace": extra("text/html")}),
    "Extra MIME part, a program": (R550, "part-extra", {"replace": extra("application/x-msdownload", "MZ")}),
    "Duplicate Content-Type": (R554, "duplicate-header", replace(DUPLICATE)),
    "Broken base64": (R554, "base64-foreign", files(change=[(base64.encodebytes(PDF)[:8], b"JVBE*i0x")])),
    "Odd boundary": (R554, "", replace(('boundary="=_b1"', 'boundary="=_b1"; boundary="=_b2"'))),
    "Boundary with more behind it": (R554, "boundary-like", replace(("--=_b1\nContent-Type: text/html", "--=_b1x\nContent-Type: text/html"))),
    "Text before the first part": (R554, "preamble", replace(("\n\n--=_b1\n", "\n\nevil\n--=_b1\n"))),
    "Text behind the last part": (R554, "epilogue", replace((END, END + "evil\n"))),
    "No last boundary": (R554, "missing-close", replace((END, ""))),
    "Unknown transfer encoding": (R554, "unknown-encoding", replace(("Encoding: 8bit", "Encoding: x-evil"))),
    "Two transfer encodings": (R554, "duplicate-header", replace(
        ("Content-Transfer-Encoding: 8bit", "Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: base64"))),
    "Another charset": (R550, "part-charset", replace(("text/html; charset=utf-8", "text/html; charset=iso-8859-1"))),
    "A base for links in a part's header": (R554, "part-field", replace((ANNOUNCED, "Content-Base: https://evil.example/\n" + ANNOUNCED))),
    "The whole of it as somebody's forwarded message": (R550, "part-type", {"raw": lambda b: b.replace(
        b"Content-Type: multipart/alternative", b"Content-Type: multipart/digest")}),
    "From address changed": (R550, "header-from", replace(("news@shop.example>", "news@evil.example>"))),
    "Display name changed": (R550, "header-from", replace(("From: Shop", "From: Evil Bank"))),
    "Reply-To added": (R550, "header-reply-to", replace(("Date:", "Reply-To: <eve@evil.example>\nDate:"))),
    "Sender added": (R550, "header-foreign", replace(("Date:", "Sender: <eve@evil.example>\nDate:"))),
    "Second From": (R554, "duplicate-header", replace(("Date:", "From: Eve <eve@evil.example>\nDate:"))),
    "Two mailboxes in From": (R550, "header-from", replace(("<news@shop.example>\n", "<news@shop.example>, <eve@evil.example>\n"))),
    "Subject changed": (R550, "literal", replace((", our November letter", ", your evil account"))),
    "Foreign header": (R550, "header-foreign", replace(("Date:", "Disposition-Notification-To: <eve@evil.example>\nDate:"))),
    "Text in Date": (R550, "header-date", replace(("Date: Sun, 22 Nov 2026 12:00:00 +0000", "Date: Visit https://evil.example/"))),
    "Text in a comment of Date": (R550, "header-date", replace(("12:00:00 +0000", "12:00:00 +0000 (visit evil.example)"))),
    "A part that lies elsewhere, in a part's header": (R554, "part-elsewhere", replace(
        (ANNOUNCED, "X-Mozilla-External-Attachment-URL: https://evil.example/a.exe\n" + ANNOUNCED))),
    "A part of the mail program's own fields": (R554, "part-field", replace((ANNOUNCED, "X-Evil: evil\n" + ANNOUNCED))),
    "A parameter that makes something else of a part": (R554, "parameter", replace((ANNOUNCED, ANNOUNCED + "; method=REQUEST"))),
    "Text in a part's description": (R554, "part-field", replace((ANNOUNCED, "Content-Description: evil\n" + ANNOUNCED))),
    "Another domain in the name of To": (R550, "header-to", replace(("To: <", "To: Visit evil.com <"))),
    "Foreign List-Unsubscribe": (R550, "header-foreign", replace(("Date:", "List-Unsubscribe: <https://evil.example/>\nDate:"))),
    "A trace of his own making": (R550, "header-foreign", replace(
        ("Date:", "X-Sealpost-Trace: v=1; customer=default; id=aaaaaaaaaaaaa; consent=all\nDate:"))),
    "To is not the recipient": (R550, "header-to", replace((f"To: <{RCPT}>", "To: <other@there.example>"))),
    "Cc in the header": (R550, "header-foreign", replace(("Date:", "Cc: <eve@evil.example>\nDate:"))),
    "Long line, so that the next hop breaks it": (R554, "line-length", replace(("<p>Shop</p>", "<p>" + "x" * 1500 + "</p>"))),
    "8-bit text said to be 7-bit, so that the next hop re-encodes": (R554, "8bit-in-7bit", {
        "values": {"first_name": "J\u00fcrgen"}, "replace": [("Encoding: 8bit", "Encoding: 7bit")]}),
    "Octets that are not UTF-8": (R554, "charset-octets", {"raw": lambda b: b.replace(b"<p>Shop</p>", b"<p>Sh\xf6p</p>")}),
    "10,000 parts, to make the milter fail": (R550, "part-extra", {"raw": lambda b: b.replace(
        b"--=_b1--", b"--=_b1\r\nContent-Type: text/plain\r\n\r\nx\r\n" * 10000 + b"--=_b1--")}),
    "100,000 nested tags, to make the milter fail": (R550, "literal", {"raw": lambda b: b.replace(
        b"<p>Shop</p>", b"<b>\r\n" * 100000)}),
    "1,000 header fields, to make the milter fail": ("55", "", {"raw": lambda b: b.replace(
        b"Date:", b"".join(b"X-%d: x\r\n" % i for i in range(1000)) + b"Date:")}),
    "A message too big": (R552, "message-size", {"campaign": "big", "pdf": BIG}),
    "A header too big": (R552, "header-size", {"raw": lambda b: b"".join(
        b"Received: from evil.example\r\n" + b"\tx" * 1500 + b"\r\n" for _ in range(30)) + b}),
    "No campaign header, with a stolen SMTP login": (R550, "no-campaign", {"header": None, "login": "shop-app"}),
    "A header of his own making, with a stolen SMTP login": (R550, "mac", {"header": "forged", "login": "shop-app"}),
    "An approved letter to all the world, with a stolen SMTP login and the key": (R550, "audience", {
        "campaign": "listed", "rcpt": "stranger@there.example", "login": "shop-app"}),
    "An approved letter to an address that looks like one of the list": (R550, "audience", {
        "campaign": "listed", "rcpt": "reader+evil@there.example"}),
    "Replay to another recipient": (R550, "mac", {"header": {"rcpt": "other@there.example"}}),
    "Replay with another Message-ID": (R550, "mac", {"header": {"message_id": "<seen@shop.example>"}}),
    "Replay under another envelope sender": (R550, "mac", {"header": {"sender": "other@shop.example"}}),
    "Two campaign headers": (R550, "several-headers", {"header": "twice"}),
    "Another version in the header than was signed": (R550, "mac", {"header": "version"}),
    "A campaign that nobody registered": (R550, "unknown-campaign", {"header": {"name": "phishing"}}),
    "A campaign that only its author approved of": (R550, "unknown-campaign", {"header": {"name": "draft"}}),
    "Old version after a fix": (R550, "revoked", {"header": {"name": "fixed", "version": 1}}),
    "Old text under the new version": (R550, "literal", {"header": {"name": "fixed", "version": 2}}),
    "A campaign that was revoked": (R550, "revoked", {"header": {"name": "gone"}}),
    "A campaign that is paused": (R550, "not-active", {"header": {"name": "paused"}}),
    "A campaign whose time has not come (or the clock is wrong)": ("451 4.7.1", "not-yet", {"header": {"name": "early"}}),
    "Enforce: mail without a campaign": (R550, "no-campaign", {"header": None}),
    "Links-only: header but mismatch": (R550, "literal", {"sender": "news@receipts.example", **replace(("<p>Shop</p>", "<p>evil</p>"))}),
    "Links-only: a link to a foreign host": (R550, "html-url-host", {
        "sender": "news@receipts.example", "header": None, **replace((f'"{LINK}"', '"https://evil.example/"'))}),
    "Links-only: a link to a foreign host in text": (R550, "text-link", {
        "sender": "news@receipts.example", "header": None, **replace((LINK, "https://evil.example/"))}),
    "Links-only: active content": (R550, "html-script", {
        "sender": "news@receipts.example", "header": None, **replace(("<p>Shop</p>", "<script>evil()</script>"))}),
    "Links-only: a program": (R550, "attachment-type", {
        "sender": "news@receipts.example", "header": None, "replace": extra("application/x-msdownload", "MZ")}),
}

# --- attacks on what is to be approved: (file, old, new, rule, level)

PLACE = ("example.html", "<p>Shop</p>")


def page(new, rule, level="error"):
    return (*PLACE, new, rule, level)


def link(url, rule, level="error"):
    return page(f'<p><a href="{url}">x</a></p>', rule, level)


TEXT = ("example.txt", "\nShop\n")
SOURCES = {
    "Link to a foreign host": link("https://evil.example/", "host-not-owned"),
    "Image of a foreign host": page('<img src="https://evil.example/x.png" alt="">', "host-not-owned"),
    "Link to a foreign host in the text": (*TEXT, "\nhttps://evil.example/\n", "host-not-owned", "error"),
    "Bare domain in the text": (*TEXT, "\nevil.com\n", "text-link", "error"),
    "Subdomain that is not owned": link("https://evil.www.shop.example/", "host-not-owned"),
    "@ userinfo": link("https://www.shop.example@evil.example/", "url-userinfo"),
    "Backslash in a URL": link("https:\\\\evil.example/", "url-backslash|html-url-characters"),
    "Tab in a URL": link("https://www.shop.example/\tx", "url-blank|html-url-characters"),
    "Newline in a URL": link("https://www.shop.example/\nx", "url-blank|html-url-characters"),
    "Newline in a scheme": link("java\nscript:evil()", "html-scheme|html-url-characters"),
    "//host": link("//evil.example/", "html-url-relative|url-slashes"),
    "Three slashes": link("https:///evil.example/", "url-slashes"),
    "Port": link("https://www.shop.example:8443/", "url-port"),
    "Address in place of a name": link("https://0x7f.1/", "url-host-address"),
    "Percent in the host": link("https://www.shop.example%2eevil.example/", "url-host-percent"),
    "Full-width letters in the host": link("https://www.shop\uff0eexample/", "url-host-mapped"),
    "Punycode look-alike": link("https://www.xn--shp-ted.example/", "url-host-lookalike|url-host-mixed"),
    "IDN look-alike": link("https://www.sh\u043ep.example/", "url-host-mapped|url-host-lookalike|url-host-mixed"),
    "javascript:": link("javascript:evil()", "html-scheme"),
    "javascript: behind references": link("java&#115;cript&colon;evil()", "html-scheme"),
    "data:": link("data:text/html,evil", "html-scheme"),
    "vbscript:": link("vbscript:evil()", "html-scheme"),
    "file:": link("file:///etc/passwd", "html-scheme"),
    "http:": link("http://www.shop.example/", "url-http|html-scheme"),
    "cid: to a missing part": page('<img src="cid:none" alt="">', "cid-missing"),
    "<base href>": page('<base href="https://evil.example/">', "html-base"),
    "Meta refresh": page('<meta http-equiv="refresh" content="0;url=https://evil.example/">', "html-meta-refresh"),
    "Form": page('<form action="https://evil.example/"><p>x</p></form>', "html-form"),
    "Formaction": page('<button formaction="https://evil.example/">x</button>', "html-form"),
    "Iframe": page('<iframe src="https://evil.example/"></iframe>', "html-frame"),
    "Object": page('<object data="https://evil.example/"></object>', "html-frame"),
    "Embed": page('<embed src="https://evil.example/">', "html-frame"),
    "<link rel>": page('<link rel="stylesheet" href="https://evil.example/x.css">', "html-link-element"),
    "Srcset": page('<img src="https://www.shop.example/a.png" srcset="https://evil.example/x.png 2x" alt="">', "html-srcset"),
    "Background": page('<table background="https://evil.example/x.png"><tr><td>x</td></tr></table>', "host-not-owned|html-attribute-url"),
    "SVG": page('<svg><a href="https://evil.example/"><text>x</text></a></svg>', "html-foreign"),
    "MathML": page('<math href="https://evil.example/"></math>', "html-foreign"),
    "Script": page("<script>evil()</script>", "html-script"),
    "onclick": page('<p onclick="evil()">x</p>', "html-event-handler"),
    "CSS url()": page('<p style="background:url(https://evil.example/x.png)">x</p>', "host-not-owned"),
    "CSS @import": ("example.html", "</head>", '<style>@import "https://evil.example/x.css";</style>\n</head>', "html-css-import", "error"),
    "CSS expression": page('<p style="width:expression(evil())">x</p>', "html-css-active"),
    "Link hidden in <!--[if mso]>": page('<!--[if mso]><a href="https://evil.example/">x</a><![endif]-->', "host-not-owned"),
    "VML v:roundrect href": page('<!--[if mso]><v:roundrect href="https://evil.example/"></v:roundrect><![endif]-->', "host-not-owned"),
    "Parser differential <!-->": page('<!--><a href="https://evil.example/">x</a>-->', "html-comment"),
    "Parser differential <title>": ("example.html", "Our November letter</title>",
                                    'Our <a href="https://evil.example/">x</a></title>', "html-title-markup", "error"),
    "Parser differential <textarea>": page('<textarea><a href="https://evil.example/">x</a></textarea>', "html-form|html-title-markup"),
    "Parser differential CDATA": page('<![CDATA[<a href="https://evil.example/">x</a>]]>', "html-cdata"),
    "Parser differential <noscript>": page('<noscript><a href="https://evil.example/">x</a></noscript>', "html-element-raw|html-element"),
    "Parser differential <table>": page("<table><tr><td>x</td></tr>evil</table>", "parsers-differ"),
    "Hidden text: display:none": page('<p style="display:none">evil</p>', "html-hidden", "warning"),
    "Hidden text: 0 px": page('<p style="font-size:0px">evil</p>', "html-hidden", "warning"),
    "Hidden text: colour = background": page('<p style="color:#fff;background-color:#ffffff">evil</p>', "html-hidden-colour", "warning"),
    "Visible text says bank.example, href elsewhere": page(
        '<p><a href="https://www.shop.example/">www.bank.example</a></p>', "link-text-host"),
    "Open redirector": link("https://www.shop.example/r?url=https://evil.example/", "url-redirector", "warning"),
    "Redirector that a field steers": link("https://www.shop.example/r?url={{code}}", "url-redirector-field"),
    "Field forms a host in a link": link("https://www.shop.example{{code}}/", "html-field-host"),
    "Field forms a host with the literal behind it": (
        "example.txt", "Good day {{first_name}},", "Good day {{first_name}}.evil.com,", "text-field-host", "error"),
    "Field forms a host in the text": (*TEXT, "\nhttps://www.shop.example{{code}}/\n", "text-field-host", "error"),
    "Field in an attribute without quotes": page("<p title={{first_name}}>x</p>", "html-field-context|html-attribute-value"),
    "Field in a style": page('<p style="color:{{code}}">x</p>', "html-field-context"),
    "Ambiguous template": ("example.txt", "Good day {{first_name}},", "Good day {{first_name}} evil,", "literal-in-field", "error"),
}

TEMPLATE_ALONE = {"Ambiguous template"}  # in a message it is a longer name, which a name may be
BESIDES = {"Redirector that a field steers": ("example.yaml", "{type: code, max: 16}", "{type: url-query, max: 64}")}


# --- the world

class Sent:
    """What became of one message."""

    def __init__(self, mid, code, text, took):
        self.mid, self.code, self.took = mid, code, took
        self.data = self.rcpt = None
        self.text = text.decode().replace("\n", " ")
        self.reply = f"{code} {self.text}"
        found = re.fullmatch(r"\d\.\d\.\d Campaign refused, report ([0-9a-z]{13})", self.text)
        self.report = found and found[1]


class World:
    def __init__(self, place):
        self.place, self.running, self.count, self.table = place, [], 0, []
        self.passed, self.held = set(), set()  # message ids that Postfix took; those of them that it holds
        self.sink = self.run(harness.Sink(os.path.join(place, "sink"), keep=True))
        self.s = s = harness.Sealpost(os.path.join(place, "sealpost"))
        self.running.append(s)
        s.configure([f'{{domain: "*", to: "127.0.0.1:{self.sink.port}", tls: encrypt}}'])
        s.write("milter.yaml", s.read("milter.yaml") + STREAMS)
        s.start("keyd", "relay")
        self.register()
        s.start("milter")  # which then knows all of them from the first
        harness.wait_for("the campaigns", lambda: s.milter.events("campaigns-ready"))
        os.makedirs(os.path.join(place, "postfix"))
        socket = os.path.join(place, "postfix", "passwords")
        self.running.append(Passwords(socket, {"shop-app": "stolen"}))
        self.postfix = self.run(harness.behind_sealpost(
            os.path.join(place, "postfix"), s, smtpd_sasl_auth_enable="yes", smtpd_sasl_type="dovecot", smtpd_sasl_path=socket))

    def run(self, thing):
        self.running.append(thing)
        return thing.start()

    def stop(self):
        for thing in reversed(self.running):
            getattr(thing, "kill", thing.stop)()

    # campaigns

    def source(self, name, *changes, valid=None, folder=None):
        changes = [("example.yaml", "campaign: example", f"campaign: {name}"), *changes]
        path = campaigns.source(os.path.join(self.place, "source", folder or name), self.s.uid, changes,
                                {"logo.png": PNG, "terms.pdf": BIG if name == "big" else PDF})
        if valid:
            with open(path) as f:
                text = f.read()
            with open(path, "w") as f:
                f.write(re.sub("(?m)^valid: .*", 'valid: {from: "%s", to: "%s"}' % tuple(stamp(t) for t in valid), text))
        return path

    def example(self):
        """A file with a true message."""
        path = os.path.join(self.place, "source", "true.eml")
        with open(path, "wb") as f:
            f.write(message("true"))
        os.chmod(path, 0o644)
        return path

    def activate(self, name, *changes, valid=None, audience=None):
        path = self.source(name, *changes, valid=valid)
        if audience:
            listed = os.path.join(os.path.dirname(path), "recipients")
            with open(listed, "w") as f:
                f.write("".join(a + "\n" for a in audience))
        campaigns.activate(self.s, path, self.key, name=name, audience=audience and listed)

    def register(self):
        os.makedirs(os.path.join(self.place, "source"))
        self.key = campaigns.enroll(self.s)
        now = time.time()
        for name in ("example", "gone", "paused", "victim"):
            self.activate(name, TRACK)
        for name in ("files", "big"):
            self.activate(name, *FILES)
        self.activate("listed", TRACK, audience=[RCPT.upper(), "other@there.example"])
        self.activate("fixed")
        self.activate("fixed", ("example.html", "tea from Assam", "tea from Nepal"))
        self.activate("cap", ("example.yaml", "max_messages: 1000", "max_messages: 1"))
        self.activate("early", valid=(now + 86400, now + 2 * 86400))
        self.ends = time.time() + 8
        self.activate("ended", valid=(now - 86400, self.ends))
        self.s.cli("campaign", "add", self.source("draft"), "--author", "erika", check=True)
        self.s.cli("campaign", "revoke", "gone", "--yes", check=True)
        self.s.cli("campaign", "pause", "paused", check=True)

    # messages

    def send(self, words, rcpt=RCPT, sender="news@shop.example", campaign="example", header=(), login=None, change=(), raw=None,
             rcpts=None, data=None, **how):
        """One message through Postfix. words: that name it. The rest: see ATTACKS."""
        self.count += 1
        mid = f"m{self.count}"
        value = self.header(header, mid, rcpt, sender, campaign)
        if data is None:
            make = message_with_files if campaign in ("files", "big") else message
            data = make(mid, rcpt, campaign=value, **how)
        data = (raw or (lambda b: b))(swapped(data, change))
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=30) as c:
            c.ehlo()
            if login:
                c.login(login, "stolen")
            began = time.monotonic()
            c.mail(sender, ["BODY=8BITMIME"])
            for r in rcpts or [rcpt]:
                code, text = c.rcpt(r)
            if code == 250:
                code, text = c.data(data)
            if code == 250:
                self.passed.add(mid)
            sent = Sent(mid, code, text, time.monotonic() - began)
            sent.data, sent.rcpt = data, rcpt
            return sent

    def header(self, what, mid, rcpt, sender, campaign):
        """Value of the campaign's header: None, "forged", "twice", "version", or what is said in it instead."""
        if what is None:
            return None
        said = {"rcpt": rcpt, "sender": sender, "message_id": f"<{mid}@shop.example>", "name": campaign,
                **(what if isinstance(what, dict) else {})}
        value = campaigns.header(self.s, **said)
        if what == "forged":
            value = value[:-43] + base64.urlsafe_b64encode(hashlib.sha256(value.encode()).digest()).decode().rstrip("=")
        if what == "twice":
            value += "\nX-DoPosta-Campaign: " + value
        return value.replace("ver=1", "ver=2") if what == "version" else value

    def report(self, sent):
        """What an authorised user is told."""
        def get():
            r = self.s.cli("campaign", "report", sent.report, "--json")
            return json.loads(r.stdout) if r.returncode == 0 else None
        return harness.wait_for("the report", get)

    def at_sink(self):
        return {re.search(rb"Message-ID: <(m\d+)@", m)[1].decode(): m for m, _, _ in self.sink.kept()}

    def arrived(self, sent):
        """The message as the sink got it."""
        assert sent.code == 250, sent.reply
        return harness.wait_for("the message to arrive", lambda: self.at_sink().get(sent.mid))

    def note(self, words, *told):
        self.table.append((words, *told))


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@pytest.fixture(scope="module")
def world():
    w = World.__new__(World)
    place = harness.scratch("attacks")
    try:
        w.__init__(place)
        yield w
        print("\n")
        for words, *told in w.table:
            print(f"  {words:<62.62} {'  '.join(told)}")
    finally:
        w.stop()
        shutil.rmtree(place, ignore_errors=True)


def tracked(message):
    return len(re.findall(rb"https://t\.shop\.example/[co]/[A-Za-z0-9_-]{44,}", message))


# --- what was approved

TRUE = {
    "as it was approved": {},
    "as quoted-printable": {"raw": lambda b: encoded(b, b"quoted-printable", lambda t: quopri.encodestring(t))},
    "as base64": {"raw": lambda b: encoded(b, b"base64", base64.encodebytes)},
    "with a name that is not ASCII": {"values": {"first_name": "J\u00fcrgen"}},
    "with a PDF and an image": {"campaign": "files"},
    "from a stolen login that has the key too": {"login": "shop-app"},
    "to somebody who is on its list": {"campaign": "listed"},
    "in a stream that holds": {"sender": "news@hold.example"},
    "in a stream that observes": {"sender": "news@trial.example"},
    "in a stream of links": {"sender": "news@receipts.example"},
}


@pytest.mark.parametrize("words", TRUE)
def test_the_true_message_arrives_and_is_tracked(world, words):
    sent = world.send(words, **TRUE[words])
    got = world.arrived(sent)
    assert b"X-DoPosta" not in got and got.count(b"\r\nList-Unsubscribe: <https://t.shop.example/u/") == 1
    if "quoted" not in words and "base64" not in words:
        assert tracked(got) == 2 and b'"https://www.shop.example/' not in got
    else:  # it stays 7-bit, with lines that no hop breaks
        assert max(got) < 128
    assert max(map(len, got.split(b"\r\n"))) <= 998
    world.note("True message " + words, "250", "arrived, tracked")


# --- what was altered

@pytest.fixture(scope="module")
def attacks(world):
    """All of them are sent before the first report is asked for: the milter hands over reports once a second."""
    return {words: world.send(words, **how) for words, (_, _, how) in ATTACKS.items()}


def check_refused(world, words, sent, reply, verdict, note=True):
    """The reply, the log, the report; what the report says."""
    assert sent.reply.startswith(reply), sent.reply
    if reply.startswith("451"):
        world.note(words, reply, verdict)
        return
    assert sent.report, sent.reply
    (_, _, _, facts), = [e for e in world.s.milter.events("campaign-refused") if e[1] == sent.report]
    report = world.report(sent)
    assert facts["reason"] == report["verdict"] and (not verdict or verdict == facts["reason"]), facts
    where = f"part {report['part']}, offset {report['offset']}" if report["part"] or report["offset"] else report["header"] or "head"
    if note:
        world.note(words, sent.reply[:9], facts["reason"], where)


@pytest.mark.parametrize("words", ATTACKS)
def test_the_altered_message_is_refused_and_explained(world, attacks, words):
    reply, verdict, _ = ATTACKS[words]
    sent = attacks[words]
    check_refused(world, words, sent, reply, verdict)
    assert sent.took < 5


@pytest.mark.parametrize("words,header", [
    ("From address changed", "from"), ("Reply-To added", "reply-to"), ("Sender added", "sender"), ("Text in Date", "date"),
    ("Foreign header", "disposition-notification-to"), ("Foreign List-Unsubscribe", "list-unsubscribe"), ("Cc in the header", "cc"),
    ("To is not the recipient", "to"), ("Subject changed", "subject"), ("Another charset", "")])
def test_the_report_names_the_header_that_is_wrong(world, attacks, words, header):
    """Its name alone: a mail program's own header is what most first messages stumble over."""
    sent = attacks[words]
    assert world.report(sent)["header"] == header
    text = world.s.cli("campaign", "report", sent.report, check=True).stdout
    assert (f"\nHeader     {header}\n" in text) == bool(header) and "evil" not in text


# What does not concern the text, which is all that campaign test looks at, or is over a limit of the milter.
NOT_OF_THE_TEXT = {"message-size", "header-size", "no-campaign", "mac", "audience", "several-headers", "unknown-campaign", "revoked", "not-active", "not-yet"}
TEXTS = [words for words, (_, verdict, how) in ATTACKS.items()
         if verdict not in NOT_OF_THE_TEXT and "sender" not in how and how.get("header") is None]


@pytest.mark.parametrize("words", TEXTS)
def test_the_command_says_what_the_milter_said(world, attacks, words):
    """`sealpost campaign test`, for who wants to know before he sends."""
    sent, name = attacks[words], ATTACKS[words][2].get("campaign", "example")
    path = os.path.join(world.place, "source", f"{sent.mid}.eml")
    with open(path, "wb") as f:
        f.write(sent.data)
    os.chmod(path, 0o644)
    r = world.s.cli("campaign", "test", "--rcpt", sent.rcpt, "--json", name, path)
    (_, _, _, facts), = [e for e in world.s.milter.events("campaign-refused") if e[1] == sent.report]
    said = json.loads(r.stdout)
    assert r.returncode == 1 and (said["rule"] or said["verdict"]) == facts["reason"], r.stdout + r.stderr


@pytest.mark.parametrize("words", ["as it was approved", "as quoted-printable", "as base64", "with a PDF and an image"])
def test_the_command_lets_pass_what_the_milter_lets_pass(world, words):
    how = TRUE[words]
    sent = world.send("tested " + words, **how)
    path = os.path.join(world.place, "source", f"{sent.mid}.eml")
    with open(path, "wb") as f:
        f.write(sent.data)
    os.chmod(path, 0o644)
    r = world.s.cli("campaign", "test", "--rcpt", RCPT, how.get("campaign", "example"), path)
    assert sent.code == 250 and r.returncode == 0, r.stdout + r.stderr


# --- what a stream demands

@pytest.mark.parametrize("login", [None, "shop-app"])
def test_a_second_recipient_is_asked_to_come_alone(world, login):
    with smtplib.SMTP("127.0.0.1", world.postfix.port, timeout=30) as c:
        c.ehlo()
        if login:
            c.login(login, "stolen")
        c.mail("news@shop.example")
        assert c.rcpt(RCPT)[0] == 250
        code, text = c.rcpt("eve@evil.example")
        assert code == 452 and text.startswith(b"4.5.3 "), text
        world.note("Extra RCPT" + (", logged in" if login else ""), "452 4.5.3")


POLICIES = {
    "no header": ({"header": None}, "no-campaign"),
    "header but mismatch": (replace(("<p>Shop</p>", "<p>evil</p>")), "literal"),
    "header but a second recipient": ({"rcpts": [RCPT, "eve@there.example"]}, "several-recipients"),
    "header but odd MIME": (replace(DUPLICATE), "duplicate-header"),
}
STREAM = {"hold": ("Quarantine", "campaign-held", "HOLD in Postfix"), "trial": ("Observe", "campaign-observed", "passes, told")}


@pytest.fixture(scope="module")
def told(world):
    return {(policy, words): world.send(words, sender=f"news@{policy}.example", **how)
            for policy in STREAM for words, (how, _) in POLICIES.items()}


@pytest.mark.parametrize("words", POLICIES)
@pytest.mark.parametrize("policy", STREAM)
def test_what_is_held_or_observed_is_told(world, told, policy, words):
    name, event, end = STREAM[policy]
    sent, verdict = told[policy, words], POLICIES[words][1]
    assert sent.code == 250, sent.reply
    queue_id = re.search(r"queued as (\w+)", sent.text)[1]
    sent.report, = [e[1] for e in world.s.milter.events("message-passed") if e[3]["queue"] == queue_id]
    facts, = [e[3] for e in world.s.milter.events(event) if e[1] == sent.report]
    assert facts["reason"] == world.report(sent)["verdict"] == verdict
    if policy == "hold":
        held, = [q for q in world.postfix.queued() if q["queue_id"] == queue_id]
        assert held["queue_name"] == "hold"
        world.held.add(sent.mid)
    else:
        assert tracked(world.arrived(sent)) == 0
    world.note(f"{name}: {words}", "250", verdict, end)


def test_links_only_lets_mail_without_a_campaign_pass_if_its_links_are_known(world):
    sent = world.send("links-only", sender="news@receipts.example", header=None,
                      replace=[("tea from Assam", "something else")])
    assert tracked(world.arrived(sent)) == 0
    world.note("Links-only: no header, known links", "250", "arrived")


# --- what time and numbers end

def test_a_campaign_ends_when_its_messages_are_used_up(world):
    assert world.arrived(world.send("first", campaign="cap"))
    check_refused(world, "Cap reached", world.send("second", campaign="cap"), R550, "cap")


def test_a_campaign_ends_when_its_time_is_over(world):
    harness.wait_for("the end of its time", lambda: time.time() > world.ends)
    check_refused(world, "Expired", world.send("late", campaign="ended"), R550, "expired")
    row, = json.loads(world.s.cli("campaign", "list", "ended", "--json", check=True).stdout)
    assert row["state"] == "ended"
    tested = world.s.cli("campaign", "test", "--rcpt", RCPT, "--json", "ended", world.example())
    assert json.loads(tested.stdout)["state"] == "ended"
    world.s.cli("campaign", "pause", "--version", "1", "ended", check=True)  # it could be revived by nothing
    r = world.s.cli("campaign", "resume", "--version", "1", "ended")
    assert r.returncode != 0 and "its time is over" in r.stderr, r.stderr
    assert json.loads(world.s.cli("campaign", "list", "ended", "--json", check=True).stdout)[0]["state"] == "ended"


# --- who may ask

def test_a_report_is_for_who_may_ask_and_has_no_content(world, attacks):
    sent = attacks["Add a paragraph"]
    report = world.report(sent)
    assert (report["campaign"], report["version"], report["customer"]) == ("example", 1, "default")
    out = world.s.cli("campaign", "report", sent.report, check=True).stdout
    assert "text differs from what was approved" in out and re.search(r"Part +2, offset \d+", out), out
    html = re.split(r"8bit\n\n", campaigns.message(RCPT).decode().replace("\r\n", "\n"))[2]
    assert report["offset"] == html.index("<p>Shop</p>") + 3, out  # where the two texts part
    stranger = world.s.cli("campaign", "report", sent.report, uid=64222)
    assert stranger.returncode != 0 and "literal" not in stranger.stdout + stranger.stderr
    assert not any(word.decode() in out for word in SECRETS)


# --- what never comes to be approved

FINDING = r"(example\.(?:html|txt)):(\d+):(\d+): (error|warning): (\S+): .* \(offset (\d+)\)"


@pytest.fixture(scope="module")
def altered(world):
    """What the registration would have found, put into messages of what was approved without it."""
    def filled(text):
        return text.replace("{{first_name}}", "Anna").replace("{{code}}", "X7Q2")
    return {words: world.send(words, replace=[(filled(old), filled(new))]) for words, (_, old, new, _, _) in SOURCES.items() if words not in TEMPLATE_ALONE}


@pytest.mark.parametrize("words", SOURCES)
def test_what_the_registration_finds_and_no_message_may_add(world, altered, words):
    file, old, new, rules, level = SOURCES[words]
    path = world.source("lint", (file, old, new), *[BESIDES[w] for w in BESIDES if w == words])
    with open(os.path.join(os.path.dirname(path), file), encoding="utf-8", newline="") as f:
        text = f.read()
    begin = text.index(new)
    r = world.s.cli("campaign", "lint", path)
    found = [m for m in re.finditer(FINDING, r.stdout) if m[1] == file and m[4] == level and m[5] in rules.split("|")]
    assert found, r.stdout
    first, last = text[:begin].count("\n") + 1, text[:begin + len(new)].count("\n") + 1
    assert any(first <= int(m[2]) <= last for m in found), (first, last, r.stdout)
    assert (r.returncode, "error:" in r.stdout) == ((1, True) if level == "error" else (0, False)), r.stdout
    world.note(words, "refused" if level == "error" else "shown  ", found[0][5], f"{found[0][1]}:{found[0][2]}:{found[0][3]}, offset {found[0][6]}",
               f"in a message: {altered[words].reply[:9]}" if words in altered else "")
    if words in altered:
        check_refused(world, words, altered[words], "55", "", note=False)


def test_what_the_registration_finds_cannot_be_added(world):
    for words in ("javascript:", "Link to a foreign host", "Form"):
        path = world.source("lint", SOURCES[words][:3])
        r = world.s.cli("campaign", "add", path, "--author", "erika")
        assert r.returncode != 0 and f": error: {SOURCES[words][3]}: " in r.stdout, r.stdout
    assert world.s.cli("campaign", "list", "lint").returncode == 1


@pytest.mark.parametrize("host", ["bit.ly", "t.co", "tinyurl.com"])
def test_a_shortener_is_nobodys_host(world, host):
    path = world.source("lint", ("example.yaml", "hosts: [www.shop.example]", f"hosts: [www.shop.example, {host}]"),
                        ("example.html", "<p>Shop</p>", f'<p><a href="https://{host}/x">x</a></p>'))
    r = world.s.cli("campaign", "lint", path)
    assert r.returncode == 1 and re.search(r"example\.html:13:\d+: error: url-shortener: ", r.stdout), r.stdout
    world.note(f"URL shortener {host}", "refused", "url-shortener")


def test_an_audience_without_its_list_is_not_taken(world):
    path = world.source("lint", ("example.yaml", "track: null", f'track: null\naudience: {{sha256: "{"ab" * 32}", count: 2}}'))
    r = world.s.cli("campaign", "add", path, "--author", "erika")
    assert r.returncode != 0 and "audience: error: audience-list: " in r.stdout, r.stdout + r.stderr


def test_who_stole_the_right_to_register_cannot_send(world):
    cli = world.s.cli
    mallory, _ = campaigns.write_key(world.s, "mallory")
    campaigns.enroll(world.s, "erika")
    own = os.path.join(world.s.dir, "erika.pem")
    for words, *args in (("who wrote it", "approve", "draft", "--yes", "--approver", "erika", "--key", own),
                         ("no such approver", "approve", "draft", "--yes", "--approver", "mallory", "--key", mallory),
                         ("not by the approver's", "approve", "draft", "--yes", "--approver", "bert", "--key", mallory),
                         ("nobody has approved", "activate", "draft", "--version", "1")):
        r = cli("campaign", *args)
        assert r.returncode != 0 and words in r.stderr, r.stderr
    world.note("Stolen API key registers a phishing campaign", "refused", "four eyes")


def test_who_stole_the_right_to_register_leads_nobody_elsewhere(world):
    """Even if the approver looks away: what is not the customer's is not registered, whatever the source says of it."""
    path = world.source("lint", ("example.yaml", "hosts: [www.shop.example]", "hosts: [www.shop.example, www.evil.example]\n"
                                 "owned: [evil.example]"), ("example.html", "<p>Shop</p>", '<p><a href="https://www.evil.example/">x</a></p>'))
    r = world.s.cli("campaign", "add", path, "--author", "erika")
    assert r.returncode != 0, r.stdout
    assert re.search(r"example\.yaml: hosts\[1\]: error: host-not-owned: ", r.stdout), r.stdout
    found = re.search(r"example\.html:13:(\d+): error: host-not-owned: www\.evil\.example is no verified domain .*\(offset (\d+)\)$",
                      r.stdout, re.M)
    assert found, r.stdout
    assert world.s.cli("campaign", "list", "lint").returncode == 1
    world.note("Stolen API key registers links to its own host", "refused", "host-not-owned", f"example.html:13:{found[1]}, offset {found[2]}")


# --- what Postfix itself takes out is what was approved again

@pytest.mark.parametrize("words, how", [
    ("Bcc in the header", replace(("Date:", "Bcc: <eve@evil.example>\nDate:"))),
    ("Blank before a colon", replace(("Subject:", "Subject :"))),
    ("Source route in From", replace(("<news@shop.example>\n", "<@evil.example:news@shop.example>\n"))),
])
def test_what_postfix_takes_out_reaches_nobody(world, words, how):
    got = world.arrived(world.send(words, **how))
    head = got.split(b"\r\n\r\n")[0]
    assert b"evil" not in got and b"\r\nSubject: Anna" in head and b"\r\nFrom: Shop <news@shop.example>\r\n" in head
    assert sum(len(e) for _, e, _ in world.sink.kept() if any("evil" in line for line in e)) == 0
    world.note(words, "250", "taken out by Postfix, arrived as approved")


# --- what fails closed. From here on parts are stopped, and come back

def deferred(world, words, name):
    """A true message is told to wait, until it is not."""
    sent = harness.wait_for("the milter to notice", lambda: (lambda x: x.code == 451 and x)(world.send(words, campaign=name)))
    assert sent.reply.startswith("451 4.7.1"), sent.reply
    world.note(words, sent.reply[:9])


def test_without_the_milter_nothing_slips_through(world):
    world.s.milter.kill()
    with smtplib.SMTP("127.0.0.1", world.postfix.port, timeout=30) as c:
        c.ehlo()
        code, text = c.mail("news@shop.example")
        if code == 250:
            code, text = c.rcpt(RCPT)
    assert code == 451 and text.startswith(b"4.7.1"), (code, text)
    world.note("Milter killed", "451 4.7.1")
    world.s.milter.start()
    harness.wait_for("the campaigns", lambda: len(world.s.milter.events("campaigns-ready")) == 2)
    assert world.arrived(world.send("again"))


def test_with_keyd_locked_nothing_slips_through(world):
    value = world.header((), "locked", RCPT, "news@shop.example", "example")
    world.s.cli("key", "lock", check=True)
    with smtplib.SMTP("127.0.0.1", world.postfix.port, timeout=30) as c:
        c.ehlo()
        code, text = c.mail("news@shop.example")
        if code == 250:
            code, text = c.rcpt(RCPT)
        if code == 250:
            code, text = c.data(message("locked", campaign=value))
    assert code == 451 and text.startswith(b"4.7.1"), (code, text)
    world.note("keyd locked", "451 4.7.1")
    world.s.keyd.stop()
    world.s.keyd.start()
    world.s.wait_keyd()
    harness.wait_for("mail to pass again", lambda: world.send("unlocked").code == 250)


def change(s, sql, *args):
    db = sqlite3.connect(s.path("relay", "relay.db"), timeout=20)
    with db:
        assert db.execute(sql, args).rowcount
    db.close()


def test_an_edited_row_is_not_served(world):
    s = world.s
    s.relay.stop()
    copy = shutil.copy(s.path("relay", "relay.db"), os.path.join(world.place, "relay.db"))
    change(s, "UPDATE campaign SET hash=(SELECT hash FROM campaign WHERE campaign='files') WHERE campaign='victim'")
    s.relay.start()
    s.wait_keyd()
    harness.wait_for("the alarm", lambda: s.relay.events("campaign-damaged"))
    deferred(world, "DB writer edits manifest", "victim")
    assert world.arrived(world.send("another"))  # no other campaign suffers
    s.relay.stop()
    put_back(s, copy)
    s.relay.start()
    s.wait_keyd()
    harness.wait_for("the campaign to be whole again", lambda: world.send("whole", campaign="victim").code == 250)


def put_back(s, copy):
    for ending in ("", "-wal", "-shm"):
        path = s.path("relay", "relay.db") + ending
        if os.path.exists(path):
            os.unlink(path)
    shutil.copy(copy, s.path("relay", "relay.db"))
    os.chown(s.path("relay", "relay.db"), s.uid, s.uid)


def test_a_revoked_campaign_does_not_come_back_with_an_older_database(world):
    s = world.s
    s.relay.stop()
    copy = shutil.copy(s.path("relay", "relay.db"), os.path.join(world.place, "relay.db"))
    s.relay.start()
    s.wait_keyd()
    s.cli("campaign", "revoke", "victim", "--yes", check=True)
    harness.wait_for("the milter to hear of it", lambda: world.send("revoked", campaign="victim").code == 550)
    s.relay.stop()
    put_back(s, copy)
    s.relay.start()
    s.wait_keyd()
    harness.wait_for("the alarm", lambda: s.relay.events("campaign-revoked-damaged"))
    deferred(world, "Revoked list put back", "victim")
    deferred(world, "Revoked list put back: every campaign waits", "example")


# --- at the end of all

def test_nothing_arrived_but_what_was_approved(world):
    def waiting():  # what came while relay was away
        world.postfix.flush()
        return [q for q in world.postfix.queued() if q["queue_name"] != "hold"]
    harness.wait_for("Postfix's queue to be empty", lambda: not waiting(), 20, 0.3)
    world.s.wait_empty()
    assert set(world.at_sink()) == world.passed - world.held
    logs = [os.path.join(world.s.logs, n) for n in os.listdir(world.s.logs)]
    assert not harness.find_bytes(logs, SECRETS)
