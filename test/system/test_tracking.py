# SPDX-License-Identifier: Apache-2.0
"""The tracking host: a real relay and keyd, tokens made with keyd's TRACK_KEY and another AES-SIV than relay's, messages that carry
them sent through relay, and readers of every kind."""
import base64
import csv
import email.utils
import hashlib
import http.client
import io
import json
import os
import re
import shutil
import smtplib
import socket
import sqlite3
import ssl
import struct
import sys
import time

import campaigns
import harness
import keyd_wire
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "vectors", "seal"))
import track  # noqa: E402

keyd_wire.OPS.setdefault("track-key", 62)
HOST, OTHER = "t.shop.example", "t.other.example"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
LINKS = ["https://www.shop.example/autumn", "https://www.shop.example/a#reviews", "https://www.shop.example/b?x=1",
         "https://www.shop.example/c", "https://www.shop.example/hello?code={code}"]
GIF = 43
MAILTO = "unsub.shop.example"
NUMBER = 7


def today():
    return int(time.time()) // 86400


class Reply:
    def __init__(self, response):
        self.status, self.reason, self.headers = response.status, response.reason, response.headers
        self.body = response.read()
        self.location = response.headers.get("Location")


class World:
    """A set with a tracking host for two customers, and a receiver for its mail."""

    def __init__(self, directory, keys=None, **tracking):
        """keys: more of relay.yaml; tracking: more of its tracking."""
        self.dir = directory
        self.s = harness.Sealpost(os.path.join(directory, "set"))
        self.port = harness.free_port()
        self.sink = harness.Sink(os.path.join(directory, "sink"))
        hosts = []
        for name, customer in ((HOST, "default"), (OTHER, "other")):
            cert, key = harness.self_signed(self.s.prefix, name)
            os.chmod(key, 0o644)
            hosts.append(f"{{host: {name}, customer: {customer}, certificate: {cert}, key: {key}}}")
        settings = {"listen": f'["127.0.0.1:{self.port}"]', "hosts": f"[{', '.join(hosts)}]", "mailto": MAILTO,
                    "rate": '"100000/1m"', **tracking}
        self.s.configure([f'{{domain: "*", to: "127.0.0.1:{self.sink.port}", tls: encrypt}}'],
                         tracking="{" + ", ".join(f"{k}: {v}" for k, v in settings.items()) + "}", **(keys or {}))
        self.keys = {}
        self.next = 0
        try:
            self.start()
        except BaseException:
            self.s.kill()
            self.sink.process.kill()
            raise

    def start(self):
        self.sink.start()
        self.s.keyd.start()
        with self.keyd("officer", admin=True) as k:
            k.customer_add("other")
        self.s.relay.start()
        self.s.wait_keyd()
        self.activate()

    def activate(self):
        """The campaign whose links the tests follow, registered, approved and countersigned as any other."""
        global NUMBER
        anchors = "".join(f'<p><a href="{url.replace("{code}", "{{code}}").replace("&", "&amp;")}">Offer</a></p>\n' for url in LINKS)
        track_yaml = (f"{{host: {HOST}, pixel: true, clicks: true, unsubscribe: https, existing: keep, consent: aggregate, "
                      "days: 400}")
        path = campaigns.source(os.path.join(self.dir, "source"), self.s.uid, [
            ("example.yaml", "campaign: example", "campaign: autumn"),
            ("example.txt", "Your voucher: https://www.shop.example/voucher?code={{code}}", "Come by."),  # so links count from 0
            ("example.yaml", "track: null", f"track: {track_yaml}"),
            ("example.html", '<p><a href="https://www.shop.example/voucher?code={{code}}">Your voucher</a></p>\n', anchors)])
        campaigns.trust(self.s, "shop.example")
        private, public = campaigns.write_key(self.s, "bert")
        self.s.cli("approver", "add", "bert", "--customer", "default", "--key", public, check=True)
        campaigns.activate(self.s, path, private, name="autumn")
        shown = json.loads(self.s.cli("campaign", "show", "autumn", "--json", check=True).stdout)
        NUMBER = shown["number"]

    def need_links(self):
        if self.get(self.click()).status != 302:
            pytest.skip("no campaign of the test is active")

    def keyd(self, role, admin=False):
        os.seteuid(self.s.uid)  # keyd looks who connects
        try:
            return keyd_wire.Client(self.s.path("run", "keyd-admin.sock" if admin else "keyd.sock"), role)
        finally:
            os.seteuid(os.getuid())

    def key(self, customer):
        epoch = today() // 64
        if (customer, epoch) not in self.keys:
            with self.keyd("relay") as k:
                reply = k.call("track-key", keyd_wire.b8(customer.encode()) + struct.pack(">I", epoch))
            self.keys[customer, epoch] = reply[2:]
        return self.keys[customer, epoch]

    def token(self, kind, tid=0, number=None, link=0, host=HOST, customer="default", days=400, field=b"", form=track.url,
              made=None):
        raw = track.make(self.key(customer), host, customer, kind, tid, NUMBER if number is None else number, link, today() + days, field, made or today())
        return form(raw)

    def click(self, tid=0, link=0, **more):
        return "/c/" + self.token(track.CLICK, tid, link=link, **more)

    def open(self, tid=0, **more):
        return "/o/" + self.token(track.OPEN, tid, **more) + ".gif"

    def unsubscribe(self, tid, **more):
        return "/u/" + self.token(track.UNSUBSCRIBE, tid, **more)

    def connect(self, name=HOST, timeout=10, source="127.0.0.1"):
        context = ssl.create_default_context(cafile=self.s.path(f"{name}.pem") if name else None)
        context.check_hostname = bool(name)
        if not name:
            context.verify_mode = ssl.CERT_NONE
        sock = socket.create_connection(("127.0.0.1", self.port), timeout, (source, 0))
        return context.wrap_socket(sock, server_hostname=name)

    def get(self, path, method="GET", name=HOST, agent=FIREFOX, body=None, headers=(), net=0):
        """net: which of 256 networks the reader is in."""
        c = http.client.HTTPSConnection(name, self.port)
        c.sock = self.connect(name, source=f"127.0.{net}.1")
        sent = {"Host": name, "User-Agent": agent, **dict(headers)}
        c.request(method, path, body, {k: v for k, v in sent.items() if v is not None})
        r = Reply(c.getresponse())
        c.close()
        return r

    def post(self, path, body="List-Unsubscribe=One-Click", type="application/x-www-form-urlencoded", **more):
        return self.get(path, "POST", body=body, headers={"Content-Type": type}, **more)

    def statuses(self, paths, name=HOST):
        """Of many, over few connections: [(status, location)]."""
        found = []
        for i in range(0, len(paths), 90):
            part = [b"GET %s HTTP/1.1\r\nHost: %s\r\n" % (p.encode(), name.encode()) for p in paths[i:i + 90]]
            out = self.raw(b"\r\n".join(part) + b"Connection: close\r\n\r\n", name)
            heads = re.split(rb"(?=HTTP/1\.1 \d)", out)[1:]
            assert len(heads) == len(part)
            for head in heads:
                location = re.search(rb"^Location: (.*)\r$", head, re.M)
                found.append((int(head[9:12]), location and location[1]))
        return found

    def raw(self, data, name=HOST):
        """What comes back for octets, up to the end of the connection."""
        out = b""
        with self.connect(name) as sock:
            sock.sendall(data)
            try:
                while more := sock.recv(65536):
                    out += more
            except ssl.SSLEOFError:
                pass
        return out

    def send(self, recipient, consent="all", number=None, campaign="autumn"):
        """A message that carries tokens, delivered; the number in its tokens."""
        self.next += 1
        tid = int.from_bytes(os.urandom(8), "big") or 1
        before = self.totals(campaign).get("delivered", 0)
        with smtplib.SMTP("127.0.0.1", self.s.smtp_port) as c:
            c.sendmail("news@shop.example", [recipient],
                       f"X-Sealpost-Trace: v=1; customer=default; id={self.next:013x}; campaign={campaign}; tid={tid:016x}; "
                       f"num={NUMBER if number is None else number}; consent={consent}\r\nFrom: news@shop.example\r\nTo: {recipient}\r\n"
                       f"Date: {email.utils.formatdate()}\r\nMessage-ID: <{self.next}@shop.example>\r\n"
                       f"Subject: news\r\n\r\nhello\r\n")
        harness.wait_for("the message to be delivered", lambda: self.totals(campaign).get("delivered", 0) > before, 10)
        return tid

    def totals(self, campaign="autumn"):
        r = self.s.cli("tracking", "stats", campaign, "--json")
        items = json.loads(r.stdout) if r.stdout else []
        return items[0] if items else {}

    def events(self, *args):
        return json.loads(self.s.cli("tracking", "events", "--json", *args, check=True).stdout)

    def export(self, address):
        r = self.s.cli("tracking", "export", address)
        return json.loads(r.stdout)

    def rcpt(self, address):
        with smtplib.SMTP("127.0.0.1", self.s.smtp_port) as c:
            c.ehlo()
            c.mail("news@shop.example")
            return c.rcpt(address)

    def close(self):
        self.s.stop()
        self.sink.stop()


@pytest.fixture(scope="module")
def w():
    place = harness.scratch("tracking")
    w = World(place)
    yield w
    errors = [e for e in w.s.relay.events() if e[0] == "ERROR"]
    w.close()
    assert not errors
    shutil.rmtree(place)


def page_is_safe(r):
    assert r.headers["Cache-Control"] == "no-store"
    assert r.headers["Referrer-Policy"] == "no-referrer"
    assert r.headers["X-Robots-Tag"] == "noindex"
    assert r.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in r.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in r.headers and "Server" not in r.headers
    assert b"<script" not in r.body and not re.search(rb"(src|href|url\()", r.body)


# --- replies


def test_a_click_leads_where_the_manifest_says_with_a_fragment_of_its_own(w):
    w.need_links()
    r = w.get(w.click())
    assert (r.status, r.location, r.body) == (302, LINKS[0] + "#", b"")
    page_is_safe(r)
    assert w.get(w.click(link=1)).location == LINKS[1]
    assert w.get(w.click(link=2) + "?utm_source=evil&next=https://evil.example/").location == LINKS[2] + "#"


def test_a_field_in_a_link_cannot_leave_its_place(w):
    w.need_links()
    r = w.get(w.click(link=4, field=b"\x1bhttps://evil.example/?a&b#c"))
    assert r.location == "https://www.shop.example/hello?code=https%3A%2F%2Fevil.example%2F%3Fa%26b%23c#"
    assert w.get(w.click(link=4)).status == 404  # its value is missing


def test_a_picture_comes_whatever_the_token(w):
    good = w.get(w.open())
    for path in (w.open(), w.open().replace(".gif", ""), "/o/x.gif", "/o/" + "A" * 44, w.open(days=-1), w.open(customer="other", host=OTHER)):
        r = w.get(path)
        assert (r.status, r.headers["Content-Type"], len(r.body)) == (200, "image/gif", GIF)
        assert r.body == good.body and r.body.startswith(b"GIF89a")
        page_is_safe(r)
    assert w.get(w.open(), "HEAD").body == b""


def test_head_is_answered_like_get_without_a_body(w):
    w.need_links()
    r = w.get(w.click(), "HEAD")
    assert (r.status, r.location, r.body) == (302, LINKS[0] + "#", b"")
    assert w.get("/u/nothing", "HEAD").status == 404


def flips(path):
    """The path with one bit of its token changed: each of them."""
    prefix, text = path[:3], path[3:]
    raw = track.url_token(text)
    for i in range(len(raw) * 8):
        yield prefix + track.url(raw[:i // 8] + bytes([raw[i // 8] ^ 1 << i % 8]) + raw[i // 8 + 1:])


def test_no_altered_token_leads_anywhere(w):
    w.need_links()
    good = w.click()
    bad = list(flips(good)) + [good[:-1], good[:-4], good + "A", good + "=", good[:3] + good[4:], "/c", "/c/x", good + "/x",
                               w.open().replace("/o/", "/c/").replace(".gif", ""), w.unsubscribe(1).replace("/u/", "/c/"),
                               good.replace("/c/", "/u/"), w.click(number=77), w.click(link=99)]
    for path, answer in zip(bad, w.statuses(bad)):
        assert answer == (404, None), path
    assert w.get(good).status == 302


def test_a_token_is_good_at_its_host_and_for_its_customer_alone(w):
    w.need_links()
    theirs = w.click(number=8, host=OTHER, customer="other")
    assert w.get(theirs).status == 404
    assert w.get(w.click(), name=OTHER).status == 404
    # made with their key for our link: the manifest says whose it is
    assert w.get(w.click(number=7, host=OTHER, customer="other"), name=OTHER).status == 404


def test_an_expired_token_is_told_so_and_leads_nowhere(w):
    r = w.get(w.click(days=-1))
    assert (r.status, r.location) == (410, None)
    assert b"expired" in r.body
    page_is_safe(r)
    assert w.post(w.unsubscribe(5, days=-1)).status == 410


def test_a_destination_that_is_no_web_address_is_never_told(w):
    w.need_links()
    assert w.get(w.click(number=9)).status == 404
    harness.wait_for("the log", lambda: w.s.relay.events("tracking-no-destination"))


def test_nothing_else_is_there(w):
    w.need_links()
    for path in ("/", "/v1/status", "/c", "/x/y", "/favicon.ico"):
        r = w.get(path)
        assert r.status == 404
        page_is_safe(r)
    assert w.get("/robots.txt").body == b"User-agent: *\nDisallow: /\n"
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert w.get(w.click(), method).status == 405
    assert w.post(w.click()).status == 405


def test_nothing_readable_is_in_a_link(w):
    w.need_links()
    tid = 0x4142434445464748
    for path in (w.click(tid), w.open(tid), w.unsubscribe(tid)):
        raw = track.url_token(path[3:].replace(".gif", ""))
        for text in (b"shop", b"default", b"autumn", b"example", struct.pack(">Q", tid), struct.pack(">I", NUMBER)):
            assert text not in raw
    assert len(w.click(tid)) == 3 + 44


def test_pages_are_valid_html_and_their_style_may_be_used(w):
    html5lib = pytest.importorskip("html5lib")
    path = w.unsubscribe(w.send("pages@reader.example"))
    replies = [w.get(path), w.post(path), w.get(w.click(0, 65535)), w.get("/nothing"), w.get(w.click(days=-1)), w.post(path, "x=y"),
               w.get(w.click(), "PUT")]
    assert [r.status for r in replies] == [200, 200, 200, 404, 410, 400, 405]
    for r in replies:
        assert r.headers["Content-Type"] == "text/html; charset=utf-8"
        parser = html5lib.HTMLParser(namespaceHTMLElements=False)
        tree = parser.parse(r.body.decode())
        assert not parser.errors
        assert tree.get("lang") == "en" and tree.findtext("head/title") == tree.findtext("body/main/h1")
        assert tree.find("head/meta[@name='viewport']").get("content") == "width=device-width, initial-scale=1"
        digest = hashlib.sha256(tree.findtext("head/style").encode()).digest()
        assert f"style-src 'sha256-{base64.b64encode(digest).decode()}'" in r.headers["Content-Security-Policy"]
        assert {e.tag for e in tree.iter()} <= {"html", "head", "meta", "title", "style", "body", "main", "h1", "p", "form", "input",
                                                "button"}


# --- HTTP and TLS


BAD = {
    "CL and TE": b"POST /u/x HTTP/1.1\r\nHost: t.shop.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: t.shop.example\n\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: t.shop.example\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /u/x HTTP/1.1\r\nHost: t.shop.example\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "signed length": b"POST /u/x HTTP/1.1\r\nHost: t.shop.example\r\nContent-Length: +4\r\n\r\nabcd",
    "folded": b"GET / HTTP/1.1\r\nHost: t.shop.example\r\nX: a\r\n b\r\n\r\n",
    "blank before colon": b"GET / HTTP/1.1\r\nHost : t.shop.example\r\n\r\n",
    "absolute": b"GET http://evil.example/ HTTP/1.1\r\nHost: t.shop.example\r\n\r\n",
    "NUL": b"GET / HTTP/1.1\r\nHost: t.shop.example\r\nX: a\0b\r\n\r\n",
    "dots": b"GET /c/../v1/status HTTP/1.1\r\nHost: t.shop.example\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\nHost: t.shop.example\r\n\r\n",
    "h2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_what_two_programs_could_read_in_two_ways_is_refused_and_the_connection_closed(w, name):
    answer = w.raw(BAD[name] + b"GET /robots.txt HTTP/1.1\r\nHost: t.shop.example\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1") == 1
    assert b"Connection: close" in answer


def test_limits_of_a_request(w):
    many = b"GET / HTTP/1.1\r\nHost: t.shop.example\r\n" + b"X: y\r\n" * 100 + b"\r\n"
    long = b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: t.shop.example\r\n\r\n"
    for data in (many, long):
        assert w.raw(data).startswith(b"HTTP/1.1 431 ")
    large = b"POST /u/x HTTP/1.1\r\nHost: t.shop.example\r\nContent-Length: 100000\r\n\r\n"
    assert w.raw(large).startswith(b"HTTP/1.1 413 ")


def test_requests_that_come_together_are_answered_one_after_the_other(w):
    w.need_links()
    paths = [w.click(link=1), w.open(), "/none", w.click(link=2)]
    data = b"".join(b"GET %s HTTP/1.1\r\nHost: t.shop.example\r\n\r\n" % p.encode() for p in paths[:-1])
    data += b"GET %s HTTP/1.1\r\nHost: t.shop.example:443\r\nConnection: close\r\n\r\n" % paths[-1].encode()
    statuses = re.findall(rb"HTTP/1.1 (\d+)", w.raw(data))
    assert statuses == [b"302", b"200", b"404", b"302"]


def test_a_host_that_is_not_ours_or_not_that_of_the_certificate_is_misdirected(w):
    for host in ("evil.example", OTHER, "127.0.0.1", HOST + ":x", ""):
        assert w.raw(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode()).startswith(b"HTTP/1.1 421 ")


def test_each_name_has_its_certificate_and_an_unknown_one_none(w):
    for name in (HOST, OTHER):
        with w.connect(name) as sock:  # verified for the name
            assert sock.version() in ("TLSv1.2", "TLSv1.3")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.raises(ssl.SSLError, match="unrecognized"):
        context.wrap_socket(socket.create_connection(("127.0.0.1", w.port)), server_hostname="evil.example")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        old.wrap_socket(socket.create_connection(("127.0.0.1", w.port)), server_hostname=HOST)


# --- unsubscribing


def test_one_click_suppresses_at_rcpt_at_once_and_again(w):
    tid = w.send("one@reader.example", "none")
    assert w.rcpt("one@reader.example")[0] == 250
    path = w.unsubscribe(tid)
    page = w.get(path)
    assert page.status == 200 and b'method="post"' in page.body and b"One-Click" in page.body
    page_is_safe(page)
    assert w.get(path, "HEAD").status == 200
    assert w.rcpt("one@reader.example")[0] == 250  # looking changes nothing
    for _ in range(2):
        r = w.post(path)
        assert (r.status, r.location) == (200, None)
        page_is_safe(r)
        code, text = w.rcpt("One@Reader.example")
        assert code == 550 and text.startswith(b"5.7.1")
    assert w.rcpt("two@reader.example")[0] == 250
    listed = json.loads(w.s.cli("suppression", "list", "--json").stdout)
    assert [(i["reason"], i["expires"]) for i in listed if i["address"] == "one@reader.example"] == [("unsubscribe", 0)]
    assert [e[3] for e in w.s.relay.events("unsubscribed")][-1] == {"customer": "default", "by": "link"}


MULTIPART = ('--b0\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'
             '--b0\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b0--\r\n')


def test_forms_of_every_kind_and_what_is_none(w):
    path = w.unsubscribe(w.send("form@reader.example"))
    for body, type, status in (("", "application/x-www-form-urlencoded", 400),
                               ("List-Unsubscribe=No", "application/x-www-form-urlencoded", 400),
                               ("List-Unsubscribe=One-Click", "text/plain", 415),
                               (MULTIPART.replace("One-Click", "x"), 'multipart/form-data; boundary="b0"', 400),
                               (MULTIPART, "multipart/form-data", 400)):
        assert w.post(path, body, type).status == status, (body, type)
    assert w.rcpt("form@reader.example")[0] == 250
    assert w.post(path, MULTIPART, 'multipart/form-data; boundary="b0"').status == 200
    assert w.post(path, "a=b&List%2DUnsubscribe=One-Click").status == 200
    assert w.rcpt("form@reader.example")[0] == 550


def test_who_is_not_known_cannot_unsubscribe_and_is_told(w):
    r = w.post(w.unsubscribe(0x1234))
    assert r.status == 410
    page_is_safe(r)


def test_mail_to_the_address_in_the_header_unsubscribes(w):
    tid = w.send("mailer@reader.example", "none")
    local = "u-" + w.token(track.UNSUBSCRIBE, tid, form=track.mail)
    assert len(local) == 55

    def mail(to):
        with smtplib.SMTP("127.0.0.1", w.s.smtp_port) as c:
            c.sendmail("mailer@reader.example", [to], "Subject: unsubscribe\r\n\r\nplease\r\n")

    assert w.rcpt("x@" + MAILTO)[0] == 550
    with pytest.raises(smtplib.SMTPResponseException) as refused:  # another letter: its MAC is not good
        mail(local[:20] + ("a" if local[20] != "a" else "b") + local[21:] + "@" + MAILTO)
    assert refused.value.smtp_code == 550
    assert w.rcpt("mailer@reader.example")[0] == 250
    mail(local.upper() + "@" + MAILTO.upper())
    assert w.rcpt("mailer@reader.example")[0] == 550
    assert [e[3]["by"] for e in w.s.relay.events("unsubscribed")][-1] == "mail"


# --- classes, consent, totals


def classes(w, tid, kind=None):
    """What a message's events are, in order."""
    name = message_name(tid)
    return [(e["kind"], e["class"], e["reasons"]) for e in w.events() if e["message"] == name and (not kind or e["kind"] == kind)]


def message_name(tid):
    return hashlib.sha256(b"sealpost-track-1" + struct.pack(">Q", tid)).hexdigest()[:32]


def settled(w, tid, want):
    harness.wait_for(f"events {want}", lambda: classes(w, tid) == want, 5)


def older(seconds=1.1):
    """So that a hit is not within a second of delivery, which people are not."""
    time.sleep(seconds)


def test_a_person_is_told_from_machines_by_what_they_do(w):
    w.need_links()
    person, head, scan, trap = (w.send(f"{n}@class.example") for n in ("person", "head", "scan", "trap"))
    proxy, burst, instant = (w.send(f"{n}@class.example") for n in ("proxy", "burst", "instant"))
    w.get(w.click(instant), net=1)
    older()
    w.get(w.click(person), net=2)
    w.get(w.click(head), "HEAD", net=3)
    w.get(w.click(scan), agent="Mozilla/5.0 (compatible; Barracuda Sentinel (EE))", net=4)
    w.get(w.open(proxy), agent="Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)")
    w.get(w.click(trap), net=5)
    assert w.get(w.click(trap, 65535), net=5).status == 200
    for link in range(3):
        w.get(w.click(burst, link), net=6)
    settled(w, instant, [("click", "unknown", "instant")])
    settled(w, person, [("click", "human", "")])
    settled(w, head, [("click", "machine", "head")])
    settled(w, scan, [("click", "machine", "scanner")])
    settled(w, proxy, [("open", "proxy", "image-proxy")])
    settled(w, trap, [("click", "machine", "honeypot")] * 2)  # the one before, too
    settled(w, burst, [("click", "machine", "burst")] * 3)


def test_one_network_that_follows_the_links_of_many_is_no_person(w):
    tids = [w.send(f"crowd{i}@class.example") for i in range(8)]
    for tid in tids:
        w.get(w.open(tid))
    harness.wait_for("all to be machines", lambda: {c[1] for t in tids for c in classes(w, t)} == {"machine"}, 5)
    assert all("crowd" in c[2] for t in tids for c in classes(w, t))


def test_without_consent_there_are_totals_and_nothing_else(w):
    w.need_links()
    tid = w.send("quiet@consent.example", "aggregate")
    older()
    before = w.totals()["click"]
    w.get(w.click(0))
    w.get(w.click(tid))  # no milter makes such a token; who has it all the same is told nothing of
    harness.wait_for("the totals", lambda: sum(w.totals()["click"].values()) == sum(before.values()) + 2, 5)
    assert not classes(w, tid)
    assert [m["events"] for m in w.export("quiet@consent.example")] == [[]]


def test_consent_to_opens_is_none_to_clicks(w):
    w.need_links()
    opens = w.send("opens@consent.example", "opens")
    older()
    w.get(w.open(opens))
    w.get(w.click(opens))
    harness.wait_for("the open", lambda: classes(w, opens), 5)
    assert [c[0] for c in classes(w, opens)] == ["open"]


def test_addresses_are_cut_and_programs_are_families(w):
    w.need_links()
    tid = w.send("cut@consent.example")
    w.get(w.click(tid))
    harness.wait_for("the event", lambda: classes(w, tid), 5)
    event, = [e for e in w.events() if e["message"] == message_name(tid)]
    assert (event["net"], event["agent"]) == ("127.0.0.0/24", "firefox")
    hits = harness.find_bytes(w.s.files(), [b"cut@consent.example", FIREFOX.encode(), b"127.0.0.1/", b"Gecko/20100101"])
    assert not [h for h in hits if "/relay/" in h[0] or h[0].endswith("relay.log")]


def test_statistics_show_people_and_all_when_asked(w):
    text = w.s.cli("tracking", "stats", "autumn", check=True).stdout
    assert re.search(r"autumn of default: \d+ sent, \d+ delivered, \d+ unsubscribed", text) and "MACHINES" not in text
    raw = w.s.cli("tracking", "stats", "autumn", "--raw", check=True).stdout
    assert "MACHINES" in raw and re.search(r"^opened ", raw, re.M)
    assert w.s.cli("tracking", "stats", "nothing").returncode == 1
    assert re.search(r"^track   \d+ hits", w.s.cli("status").stdout, re.M)


def test_events_are_bound_into_the_ledger_without_a_recipient(w):
    w.need_links()
    tid = w.send("ledger@consent.example")
    w.get(w.click(tid))

    def noted():
        data = b"".join(open(f, "rb").read() for f in w.s.files() if "/ledger/" in f and f.endswith(".log"))
        return bytes.fromhex(message_name(tid)) in data
    harness.wait_for("the ledger", noted, 10)
    r = w.s.cli("ledger", "verify")
    assert r.returncode == 0 and re.search(r"\d+ events of readers are bound into it", r.stdout), r.stdout + r.stderr
    rows = list(csv.DictReader(io.StringIO(w.s.cli("ledger", "export", "--format", "csv", "--events", check=True).stdout)))
    row, = [r for r in rows if r["message"] == message_name(tid) and r["revised"] == "0"]
    assert (row["type"], row["customer"], row["jobId"], row["number"], row["link"]) == ("click", "default", "autumn", str(NUMBER), "0")
    objects = [json.loads(x) for x in w.s.cli("ledger", "export", "--format", "json", "--events", "--customer", "default",
                                              "--since", "1h", check=True).stdout.splitlines()]
    assert len(objects) == len(rows) and [o["event"] for o in objects] == [r["type"] for r in rows]
    assert w.s.cli("ledger", "export", "--format", "json", "--events", "--customer", "other", check=True).stdout == ""
    assert w.s.cli("ledger", "export", "--format", "csv", "--events", "--with-addresses").returncode == 64
    assert "click" not in w.s.cli("ledger", "export", "--format", "csv", check=True).stdout


# --- one recipient


def test_export_and_erasure_of_one_recipient(w):
    w.need_links()
    tid, other = w.send("gone@erase.example"), w.send("stays@erase.example")
    for t in (tid, other):
        w.get(w.click(t))
    harness.wait_for("the events", lambda: classes(w, tid) and classes(w, other), 5)
    before = w.totals()
    known, = w.export("Gone@erase.example")
    assert (known["campaign"], known["consent"], known["events"][0]["kind"]) == ("autumn", "all", "click")
    assert w.s.cli("tracking", "erase", "gone@erase.example").returncode == 64  # not without --yes
    assert "Erased what was known of 1 messages" in w.s.cli("tracking", "erase", "--yes", "gone@erase.example", check=True).stdout
    assert w.export("gone@erase.example") == [] and not classes(w, tid) and classes(w, other)
    after = w.totals()
    assert (after["sent"], after["click"]) == (before["sent"], before["click"])
    assert w.post(w.unsubscribe(tid)).status == 410
    assert w.post(w.unsubscribe(other)).status == 200
    w.get(w.click(tid))  # an old link of his still works, and says nothing of him
    assert not classes(w, tid)
    assert w.s.cli("tracking", "erase", "--yes", "gone@erase.example").returncode == 1
    db = sqlite3.connect(f"file:{w.s.path('relay', 'track.db')}?mode=ro", uri=True)
    signed = tid - (1 << 64) if tid >> 63 else tid
    assert db.execute("SELECT (SELECT count(*) FROM sent WHERE tid=?1)+(SELECT count(*) FROM event WHERE tid=?1)",
                      (signed,)).fetchone() == (0,)
    db.close()


# --- trouble


def test_slow_readers_and_many_connections_do_not_disturb_mail(w):
    w.need_links()
    slow = [socket.create_connection(("127.0.0.1", w.port)) for _ in range(100)]
    half = [w.connect() for _ in range(20)]
    for sock in half:
        sock.sendall(b"GET / HTTP/1.1\r\nHost:")
    began = time.monotonic()
    w.send("during@busy.example")
    assert w.get(w.click()).status == 302
    assert time.monotonic() - began < 5
    for sock in slow + half:
        sock.close()


@pytest.fixture
def fresh():
    place, made = harness.scratch("tracking"), []

    def make(**tracking):
        made.append(World(place, **tracking))
        return made[-1]
    yield make
    for x in made:
        x.close()
    shutil.rmtree(place)


def test_while_keyd_is_locked_pictures_come_and_nothing_leads_astray(fresh):
    w = fresh(header="2s", connections="4", rate='"40/1m"')
    w.need_links()
    tid = w.send("locked@reader.example")
    click, picture, unsubscribe = w.click(tid), w.open(tid), w.unsubscribe(tid)
    assert w.get(click).status == 302
    w.s.cli("key", "lock", check=True)
    w.s.wait_keyd("locked")
    for path in (click, unsubscribe):
        r = harness.wait_for("503", lambda: (r := w.get(path)).status == 503 and r, 5)
        assert r.location is None and int(r.headers["Retry-After"]) > 0
    assert w.post(unsubscribe).status == 503
    assert len(w.get(picture).body) == GIF
    # slow ones are ended, and there are not more than may be
    with w.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 408 ")
    held = []
    with pytest.raises(OSError):
        while len(held) < 40:
            held.append(w.connect())
    assert len(held) >= 3  # the slow one may not be forgotten yet
    for sock in held:
        sock.close()

    def again():
        try:
            return w.connect()
        except OSError:
            return None

    # and not more requests than an address may make; pictures are shown
    with harness.wait_for("room for a connection", again, 5) as sock:
        for _ in range(50):
            sock.sendall(b"GET /x HTTP/1.1\r\nHost: t.shop.example\r\n\r\n")
            if b" 429 " in sock.recv(4096):
                break
        else:
            pytest.fail("never too many")


def test_what_is_old_goes_and_what_is_counted_stays(fresh):
    w = fresh(keep="2d")
    w.need_links()
    tid = w.send("old@keep.example")
    w.get(w.click(tid))
    harness.wait_for("the event", lambda: classes(w, tid), 5)
    w.s.relay.stop()
    db = sqlite3.connect(w.s.path("relay", "track.db"))
    for table in ("sent", "event"):
        db.execute(f"UPDATE {table} SET at=at-3*86400*1000000")
    db.commit()
    db.close()
    w.s.relay.start()
    w.s.wait_keyd()
    harness.wait_for("it to be gone", lambda: w.s.relay.events("tracking-expired") and not classes(w, tid), 5)
    assert w.export("old@keep.example") == [] and w.totals()["sent"] == 1
    assert w.post(w.unsubscribe(tid)).status == 410
