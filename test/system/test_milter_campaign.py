# SPDX-License-Identifier: Apache-2.0
"""sealpost-milter holds messages against their campaigns, by the policy of their stream, and tracks what is approved."""
import base64
import hashlib
import hmac
import os
import re
import signal
import struct
import time

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

import milter_campaign as mc
import milter_mta as mm
import test_milter as tm

STREAMS = """
api: {dir}/api.sock
state: {dir}/state
streams:
  - {{name: news, policy: enforce}}
  - {{name: hold, policy: quarantine}}
  - {{name: trial, policy: observe, until: {until}}}
  - {{name: over, policy: observe, until: 2026-01-01}}
  - {{name: receipts, policy: links-only, hosts: [shop.example, .shop.example], attachments: [application/pdf, "image/*"]}}
customers:
  - {{auth: news, customer: shop, stream: news}}
  - {{auth: hold, customer: shop, stream: hold}}
  - {{auth: trial, customer: shop, stream: trial}}
  - {{auth: over, customer: shop, stream: over}}
  - {{auth: receipts, customer: shop, stream: receipts}}
  - {{auth: open, customer: shop}}
  - {{sender: queue.example, customer: shop, stream: news}}
"""
TRACK = {"host": "t.shop.example", "pixel": True, "clicks": True, "text": False, "vml": False, "unsubscribe": "both",
         "existing": "replace", "mailto_domain": "unsub.shop.example", "feedback_id": "shopsender", "honeypot": True,
         "days": 400, "consent": "aggregate"}
REFUSED = r"550 5\.7\.1 Campaign refused, report [0-9a-z]{13}"


class Milter(tm.Milter):
    def end(self):
        """A clean stop."""
        self.child.terminate()
        assert self.child.wait(30) == 0

    def refresh(self, api):
        """Until the milter has asked relay anew."""
        before = len(self.events("reloaded"))
        self.child.send_signal(signal.SIGHUP)
        tm.wait_for(lambda: len(self.events("reloaded")) > before)
        asked = len(api.asked)
        self.child.send_signal(signal.SIGHUP)
        tm.wait_for(lambda: api.asked[asked:].count("/v1/milter/campaigns") > 1 or time.sleep(0.05))


@pytest.fixture
def place():
    yield from tm.place.__wrapped__()


@pytest.fixture
def keyd(place):
    k = mc.Keyd(os.path.join(place, "keyd.sock"), tm.SECRETS).start()
    yield k
    k.stop()


@pytest.fixture
def api(place, keyd):
    a = mc.Api(os.path.join(place, "api.sock"), keyd).start()
    yield a
    a.stop()


@pytest.fixture
def start(place, keyd, api):
    made = []
    os.mkdir(os.path.join(place, "state"))
    os.chmod(os.path.join(place, "state"), 0o777)

    def run(*campaigns, more="", wait=True):
        api.campaigns += campaigns
        m = Milter(place, STREAMS.format(dir=place, until="2099-12-31") + more).start()
        made.append(m)
        if wait:
            tm.wait_for(lambda: len(m.events("campaign-loaded")) >= len(campaigns) and m.events("campaigns-ready"))
        return m
    yield run
    for m in made:
        m.stop()


def send(mta, c, login="news", header=None, rcpt="b@example.test", headers=(), **how):
    """A message of a campaign; header: in place of the campaign header that is true."""
    fields, body = c.message(rcpt=rcpt, headers=headers, **how)
    value = tm.campaign(ident=c.name, ver=str(c.version), rcpt=rcpt) if header is None else header
    if value:
        fields.append(("X-DoPosta-Campaign", value))
    return mta.message(headers=fields, body=body, login=login, recipients=[f"<{rcpt}>"])


def swap(old, new):
    def change(body):
        assert old in body
        return body.replace(old, new, 1)
    return change


def test_asks_for_bodies_and_replies_only_where_it_needs_them(start):
    with start(wait=False).mta() as mta:
        assert mta.actions == mm.ADD | mm.CHANGE | mm.SYMLIST | 0x02 | 0x20
        assert mta.steps == (mm.NOHELO | mm.NR_HDR | mm.NOUNKNOWN | mm.NODATA | mm.NR_CONN | mm.LEADSPC | mm.SKIP | mm.NR_EOH)


@pytest.mark.parametrize("encoding", ["8bit", "base64"])
@pytest.mark.parametrize("login", ["news", "hold", "trial", "receipts", "open"])
def test_what_was_approved_passes_unchanged_in_every_stream(start, api, encoding, login):
    c = mc.Campaign(attachment=("application/pdf", "terms.pdf", os.urandom(100000)))
    m = start(c)
    with m.mta() as mta:
        a = send(mta, c, login, encoding=encoding)
        assert a.accepted and a.body is None and not a.held, m.text()
        assert a.deleted() == [("X-DoPosta-Campaign", 1)]
        (_, _, value), = a.inserted()
        assert re.fullmatch(r" v=1; customer=shop; id=[0-9a-z]{13}; campaign=cmp_01", value)
    assert not api.reports


ALTERED = [
    ("literal", dict(change=swap(b"spring offers", b"summer offers"))),
    ("literal", dict(change=swap(b"https://shop.example/all\"", b"https://evil.example/\""))),
    ("literal", dict(change=swap(b"see https://shop.example", b"see https://evil.example"))),
    ("literal", dict(change=swap(b"<p>our", b"<script>x()</script><p>our"))),
    ("text-goes-on", dict(change=swap(b"</html>", b"</html><p>more</p>"))),
    ("field-link", dict(name="visit evil.com")),
    ("field-octet", dict(name="<b>Anna</b>")),
    ("field-length", dict(name="A" * 65)),
    ("part-type", dict(change=swap(b"Content-Type: text/plain", b"Content-Type: text/x-amp-html"))),
    ("header-from", dict(header_change=("From", "Shop <b@shop.example>"))),
    ("header-to", dict(header_change=("To", "c@example.test"))),
    ("literal", dict(header_change=("Subject", "Other offers for Anna"))),
    ("header-foreign", dict(headers=[("Sender", "x@evil.example")])),
]


@pytest.mark.parametrize("reason, how", ALTERED, ids=[f"{i}-{r}" for i, (r, _) in enumerate(ALTERED)])
def test_what_differs_is_refused_and_reported(start, api, reason, how):
    c = mc.Campaign()
    m = start(c)
    how = dict(how)
    new = how.pop("header_change", None)
    fields, body = c.message(**how)
    if new:
        fields = [new if f[0] == new[0] else f for f in fields]
    with m.mta() as mta:
        a = mta.message(headers=fields + [("X-DoPosta-Campaign", tm.campaign())], body=body, login="news")
        assert re.fullmatch(REFUSED, a.text), (a.text, m.text())
        assert not a.changes
        refused, = m.events("campaign-refused")
        assert (refused["reason"], refused["stream"], refused["version"]) == (reason, "news", "3")
        assert refused["id"] == a.text[-13:]
        assert send(mta, c).accepted  # the connection lives, and the true one passes
    tm.wait_for(lambda: api.reports)
    assert api.reports[0]["id"] == a.text[-13:] and api.reports[0]["verdict"] == reason
    for word in ("Anna", "evil", "b@example.test"):
        assert word not in m.text()


def test_ambiguous_and_oversized_messages_have_replies_of_their_own(start):
    c = mc.Campaign()
    m = start(c, more="max_size: 100K\n")
    with m.mta() as mta:
        fields, body = c.message()
        fields.append(("X-DoPosta-Campaign", tm.campaign()))
        a = mta.message(headers=fields + [("Content-Type", "text/plain")], body=body, login="news")
        assert a.text.startswith("554 5.6.0 Campaign refused, report ")
        assert m.events("campaign-refused")[-1]["reason"] == "duplicate-header"
        a = mta.message(headers=fields, body=body + b"x" * 200000, login="news")
        assert a.text[:9] in ("554 5.6.0", "552 5.3.4")
        a = mta.message(headers=fields + [(f"X-{i}", "x" * 1000) for i in range(100)], body=body, login="news")
        assert a.text.startswith("552 5.3.4 ")
        assert m.events("campaign-refused")[-1]["reason"] == "header-size"


POLICIES = [("news", "refused"), ("over", "refused"), ("hold", "held"), ("trial", "observed"), ("receipts", "refused"),
            ("open", "refused")]


@pytest.mark.parametrize("login, end", POLICIES)
def test_a_mismatch_is_refused_held_or_observed(start, api, login, end):
    c = mc.Campaign()
    m = start(c)
    with m.mta() as mta:
        a = send(mta, c, login, change=swap(b"spring", b"summer"))
        assert (a.text.startswith("550 5.7.1"), a.held) == (end == "refused", end == "held")
        if end != "refused":
            assert a.passed and "campaign=" not in a.inserted()[0][2] and a.deleted() == [("X-DoPosta-Campaign", 1)]
    event, = m.events(f"campaign-{end}")
    assert event["reason"] == "literal"
    tm.wait_for(lambda: api.reports)
    assert api.reports[0]["id"] == event["id"]


@pytest.mark.parametrize("login, end", [("news", "refused"), ("over", "refused"), ("hold", "held"), ("trial", "observed"),
                                        ("receipts", None), ("open", None)])
def test_mail_without_a_campaign(start, login, end):
    m = start()
    with m.mta() as mta:
        a = mta.message(headers=tm.headers(), body=b"Hello, see https://www.shop.example/x\r\n", login=login)
        assert (a.text.startswith("550 5.7.1"), a.held) == (end == "refused", end == "held"), m.text()
    if end:
        assert m.events(f"campaign-{end}")[0]["reason"] == "no-campaign"
    else:
        assert m.events("message-passed")


@pytest.mark.parametrize("reason, kind, body", [
    (None, "text/html", b"<a href='https://shop.example/a'>x</a><img src='cid:1'><a href='mailto:x@y.example'>m</a>"),
    ("html-url-host", "text/html", b"<a href='https://evil.example/a'>x</a>"),
    ("html-url-host", "text/html", b"<a href='https://shop.example@evil.example/a'>x</a>"),
    ("html-text-link", "text/html", b"<p>see www.ev<b>il</b>.example today</p>"),
    ("html-url-host", "text/html", b"<p style='background:red/**/url(https://evil.example/a)'>x</p>"),
    ("text-link", "text/plain", b"see https://shop.example/a,https://evil.example/b today"),
    ("uuencode", "text/plain", b"begin 644 a.exe\r\nMxx\r\nend"),
    ("attachment-name", "image/png; name=\"login.html\"", b"PNG"),
    ("attachment-type", "image/svg+xml", b"<svg/>"),
    ("html-script", "text/html", b"<p>x</p><script>x()</script>"),
    ("html-form", "text/html", b"<form action='https://shop.example/'></form>"),
    ("text-link", "text/plain", b"see www.evil.example today"),
    (None, "text/plain", b"see shop.example today, or write to a@other.example"),
    (None, "application/pdf", b"%PDF-"),
    (None, "image/png", b"PNG"),
    ("attachment-type", "application/x-msdownload", b"MZ"),
])
def test_links_only_looks_at_links_content_and_types(start, reason, kind, body):
    m = start()
    with m.mta() as mta:
        a = mta.message(headers=tm.headers() + [("MIME-Version", "1.0"), ("Content-Type", f"{kind}; charset=utf-8")],
                        body=body + b"\r\n", login="receipts")
    if reason:
        assert re.fullmatch(REFUSED, a.text), m.text()
        assert m.events("campaign-refused")[0]["reason"] == reason
    else:
        assert a.accepted, m.text()


def test_a_second_recipient_comes_in_a_message_of_its_own(start):
    c = mc.Campaign()
    m = start(c)
    with m.mta() as mta:
        assert mta.mail("<a@shop.example>", "news").accepted
        mta.send(b"R", b"<b@example.test>\0")
        assert mta.answer().accepted
        mta.send(b"R", b"<c@example.test>\0")
        assert mta.answer().text.startswith("452 4.5.3 ")
        fields, body = c.message()
        for name, value in fields + [("X-DoPosta-Campaign", tm.campaign())]:
            mta.header(name, value)
        mta.content(body)
        assert mta.end().accepted
        assert mta.message(headers=tm.headers(), recipients=["<b@x.example>", "<c@x.example>"], login="open").accepted


@pytest.mark.parametrize("what, reason, reply", [
    (dict(valid={"from": "2020-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z"}), "expired", "550 5.7.1"),
    (dict(valid={"from": "2098-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}), "not-yet", "451 4.7.1"),
    (dict(max_messages=2), "cap", "550 5.7.1"),
])
def test_a_campaign_has_its_time_and_its_number_of_messages(start, what, reason, reply):
    c = mc.Campaign(**what)
    m = start(c)
    with m.mta() as mta:
        if reason == "cap":
            assert send(mta, c).accepted
            assert not send(mta, c, change=swap(b"spring", b"summer")).accepted  # does not count
            assert send(mta, c).accepted
        assert send(mta, c).text.startswith(reply)
    told = m.events("message-deferred" if reply[0] == "4" else "campaign-refused")
    assert told[-1]["reason"] == reason


def test_what_was_not_used_is_given_back_at_a_stop(start, api):
    one, other = mc.Campaign(max_messages=1000), mc.Campaign("cmp_02", number=8, max_messages=500)
    m = start(one, other)
    with m.mta() as mta:
        for _ in range(13):
            assert send(mta, one).accepted
        assert send(mta, other).accepted
    assert api.granted == {"cmp_01": 20, "cmp_02": 5}
    m.end()
    assert api.granted == {"cmp_01": 13, "cmp_02": 1}
    assert [e["messages"] for e in m.events("messages-given-back")] == ["11"]


def test_what_was_not_used_of_a_version_that_is_paused_is_given_back(start, api):
    c = mc.Campaign(max_messages=1000)
    m = start(c)
    with m.mta() as mta:
        assert send(mta, c).accepted
        assert api.granted == {"cmp_01": 10}
        c.state = "paused"
        m.refresh(api)
        tm.wait_for(lambda: m.events("messages-given-back"))
        assert api.granted == {"cmp_01": 1}
        assert send(mta, c).text[:9] == "550 5.7.1"
        c.state = "active"
        m.refresh(api)
        tm.wait_for(lambda: len(m.events("campaign-loaded")) > 1)
        assert send(mta, c).accepted
    m.end()
    assert api.granted == {"cmp_01": 2}


def test_a_stop_without_relay_is_no_longer_and_tells_what_is_lost(start, api):
    c = mc.Campaign(max_messages=1000)
    m = start(c)
    with m.mta() as mta:
        assert send(mta, c).accepted
    api.stop()
    m.end()
    (lost,) = m.events("messages-not-given-back")
    assert (lost["messages"], lost["versions"]) == ("9", "1")
    assert api.granted == {"cmp_01": 10}


def test_only_the_audience_gets_it(start, keyd):
    c = mc.Campaign()
    c.admit(keyd, "b@example.test", *(f"x{i}@example.test" for i in range(1000)))
    m = start(c)
    with m.mta() as mta:
        assert send(mta, c).accepted
        assert send(mta, c, rcpt="B@Example.Test").accepted
        assert send(mta, c, rcpt="stranger@example.test").text.startswith("550 5.7.1 ")
    assert m.events("campaign-refused")[0]["reason"] == "audience"
    assert keyd.audience_asked == 1  # not once a message
    assert "stranger@" not in m.text() and "b@example.test" not in m.text()


@pytest.mark.parametrize("size", [1, 60000], ids=["in one answer", "in several"])
def test_an_audience_may_come_apart_from_its_bundle(start, keyd, api, size):
    c = mc.Campaign()
    c.admit(keyd, "b@example.test", *(f"x{i}@example.test" for i in range(1, size)))
    c.apart = True
    m = start(c)
    assert api.asked.count("/v1/milter/audience") == -(-size * 16 // api.slice)
    with m.mta() as mta:
        assert send(mta, c).accepted
        assert send(mta, c, rcpt="stranger@example.test").text.startswith("550 5.7.1 ")


@pytest.mark.parametrize("how", ["another list", "cut short", "too long", "nothing", "no base64"])
def test_an_audience_that_is_not_the_manifest_s_makes_the_campaign_wait(start, keyd, api, how):
    c, more = mc.Campaign(), base64.b64encode(bytes(16)).decode()
    c.admit(keyd, "b@example.test", "c@example.test", "d@example.test")
    c.apart = True
    api.spoil["audience"] = {
        "another list": lambda a: {"audience": base64.b64encode(bytes(range(48))).decode()},
        "cut short": lambda a: {"audience": base64.b64encode(base64.b64decode(a["audience"])[:-16]).decode()},
        "too long": lambda a: {"audience": a["audience"] + more},
        "nothing": lambda a: {},
        "no base64": lambda a: {"audience": "*" * 64}}[how]
    m = start(c, wait=False)
    tm.wait_for(lambda: m.events("campaigns-ready"))
    with m.mta() as mta:
        assert send(mta, c).text.startswith("451 4.7.1 ")
        del api.spoil["audience"]
        tm.wait_for(lambda: m.events("campaign-loaded"))
        assert send(mta, c).accepted
    told, = m.events("campaign-not-loaded")
    assert told["reason"].strip('"') == "audience is not the manifest's"


def test_revoked_paused_superseded_and_unknown_versions(start, keyd, api):
    first, second, third = (mc.Campaign(version=v, number=v) for v in (3, 4, 5))
    m = start(first, second, third)

    def last(c):
        with m.mta() as mta:
            return send(mta, c).text[:9], (m.events("campaign-refused") or [{}])[-1].get("reason")
    assert last(first)[0] == ""
    keyd.revoke("shop cmp_01 3")
    first.state = "revoked"
    second.state = "paused"
    m.refresh(api)
    assert last(first) == ("550 5.7.1", "revoked")
    assert last(second) == ("550 5.7.1", "not-active")
    assert last(third)[0] == ""
    assert last(mc.Campaign(version=6)) == ("550 5.7.1", "unknown-campaign")
    keyd.revoke("shop cmp_01 *")
    m.refresh(api)
    assert last(third) == ("550 5.7.1", "revoked")


# --- tracking

def tokens(keyd, body):
    """[(kind, message, number, link, last day)] of the tokens in a body, opened by another implementation."""
    found = []
    for letter, text in re.findall(rb"https://t\.shop\.example/([cou])/([A-Za-z0-9_-]{44,})", body):
        raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        _, key = keyd.track_key(b"\x04shop" + struct.pack(">I", int(time.time()) // 86400 // 64))
        kind = "cou".index(letter.decode())
        assert raw[0] >> 5 == 1 and raw[0] >> 3 & 3 == kind
        plain = AESSIV(key[2:]).decrypt(raw[1:], [raw[:1], b"t.shop.example", b"shop"])
        found.append((letter.decode(), *struct.unpack(">QIHH", plain[:16]), plain[16:]))
    return found


def undone(body):
    """Without what tracking put in: the two links are in order."""
    body = re.sub(rb'<img src="https://t\.shop\.example/o/[^>]*><a href="https://t\.shop\.example/c/[^>]*></a>', b"", body)
    for url in (b"https://shop.example/spring?c=AB12", b"https://shop.example/all"):
        body = re.sub(rb"https://t\.shop\.example/c/[A-Za-z0-9_-]+", url, body, count=1)
    return body


@pytest.mark.parametrize("consent, opens, clicks", [(None, False, False), ("aggregate", False, False), ("opens", True, False),
                                                    ("clicks", False, True), ("all", True, True)])
def test_tracking_puts_tokens_where_the_manifest_says_and_changes_nothing_else(start, keyd, consent, opens, clicks):
    c = mc.Campaign(track=TRACK)
    m = start(c)
    headers = [("X-DoPosta-Consent", consent)] if consent else []
    with m.mta() as mta:
        a = send(mta, c, headers=headers)
    assert a.accepted and a.body, m.text()
    _, body = c.message(headers=headers)
    assert undone(a.body) == body and a.body != body
    tid, number, word = re.search(r"; tid=([0-9a-f]{16}); num=(\d+); consent=(\w+)$", a.inserted()[0][2]).groups()
    assert (number, word) == ("7", consent or "aggregate")
    tid = int(tid, 16)
    today = int(time.time()) // 86400
    want = [("c", tid * clicks, 7, 0, today + 400), ("c", tid * clicks, 7, 1, today + 400),
            ("o", tid * opens, 7, 0, today + 400), ("c", tid * clicks, 7, 65535, today + 400)]
    got = tokens(keyd, a.body)
    assert [t[:5] for t in got] == want
    assert got[0][5] == b"\x04AB12" and got[1][5] == b""
    added = a.added()
    assert added["List-Unsubscribe-Post"].strip() == "List-Unsubscribe=One-Click"
    assert added["Feedback-ID"].strip() == "cmp_01:3::shopsender"
    url, mail = re.fullmatch(r" <(https://t\.shop\.example/u/[\w-]{44})>,\n <(mailto:u-[a-z2-7]{53}@unsub\.shop\.example)>",
                             added["List-Unsubscribe"]).groups()
    assert tokens(keyd, url.encode())[0][:3] == ("u", tid, 7)
    passed = m.events("message-passed")[0]
    assert passed["tracked"] == "3"
    for secret in (b"shop.example/spring", b"example.test"):
        assert secret not in b"".join(re.findall(rb"https://t[^\"]*", a.body))


def test_consent_none_leaves_the_body_alone_and_an_odd_one_is_refused(start):
    c = mc.Campaign(track=TRACK)
    m = start(c)
    with m.mta() as mta:
        a = send(mta, c, headers=[("X-DoPosta-Consent", "none")])
        assert a.accepted and a.body is None and "List-Unsubscribe" in a.added(), m.text()
        assert sorted(a.deleted()) == [("X-DoPosta-Campaign", 1), ("X-DoPosta-Consent", 1)]
        for value in ("everything", "", "all opens"):
            assert send(mta, c, headers=[("X-DoPosta-Consent", value)]).text.startswith("550 5.7.1")
        twice = [("X-DoPosta-Consent", "all")] * 2
        assert send(mta, c, headers=twice).text.startswith("550 5.7.1")


def test_two_messages_have_two_numbers(start):
    c = mc.Campaign(track=TRACK)
    m = start(c)
    with m.mta() as mta:
        values = [send(mta, c).inserted()[0][2] for _ in range(2)]
    assert len({re.search(r"tid=(\w+)", v)[1] for v in values}) == 2


def memory(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"Pss:\s+(\d+) kB", f.read())[1]) << 10


def sanitized(pid):
    with open(f"/proc/{pid}/maps") as f:
        return re.search(r"lib[at]san", f.read())


def test_a_large_attachment_is_kept_sealed_and_comes_back_as_it_was(start, place):
    data = os.urandom(4000000)
    c = mc.Campaign(track=TRACK, attachment=("application/pdf", "big.pdf", data))
    m = start(c)
    with m.mta() as mta:
        before = memory(m.child.pid)
        fields, body = c.message()
        assert mta.mail("<a@shop.example>", "news").accepted
        mta.send(b"R", b"<b@example.test>\0")
        assert mta.answer().accepted
        for name, value in fields + [("X-DoPosta-Campaign", tm.campaign())]:
            mta.header(name, value)
        assert mta.content(body) is None and mta.sent == len(body)
        assert memory(m.child.pid) - before < 2 << 20 or sanitized(m.child.pid)
        assert not os.listdir(os.path.join(place, "state"))  # no name leads to it
        a = mta.end()
    assert a.accepted and undone(a.body) == body, m.text()


# --- what relay is told, and what is not asked

def test_what_is_refused_early_is_not_sent_any_more(start):
    c = mc.Campaign()
    m = start(c)
    with m.mta() as mta:
        a = mta.message(headers=tm.headers(tm.campaign(secret=b"x" * 32)), body=b"x" * 1000000, login="news")
        assert re.fullmatch(REFUSED, a.text) and mta.sent <= mm.CHUNK
        a = mta.message(headers=tm.headers(), body=b"x" * 1000000, login="open")
        assert a.accepted and mta.sent <= mm.CHUNK
    assert m.events("campaign-refused")[0]["reason"] == "mac"


# --- a file of its own for each recipient

def signed_part(data, secret=tm.SECRETS["shop"], mid="<1@shop.example>", number=4, version=3):
    """The sender's word for a part, made by another implementation."""
    digest = hashlib.sha256(data).hexdigest()
    over = f"dp-part-1\ncmp_01\n{version}\n{mid}\n{number}\n{len(data)}\n{digest}"
    mac = hmac.new(secret, b"campaign/1\0" + over.encode(), hashlib.sha256).digest()
    text = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    return "X-DoPosta-Part", f"v=1; n={number}; sha256={digest}; size={len(data)}; mac={text}"


INVOICE = b"%PDF-1.7 invoice of Anna"


@pytest.mark.parametrize("reason, header, sent", [
    (None, signed_part(INVOICE), INVOICE),
    ("part-unsigned", None, INVOICE),
    ("part-digest", signed_part(INVOICE), INVOICE[:-4] + b"Eve!"),
    ("part-size", signed_part(INVOICE), INVOICE + b"!"),
    ("part-unsigned", signed_part(INVOICE, secret=tm.SECRETS["acme"]), INVOICE),  # another customer's word
    ("part-unsigned", signed_part(INVOICE, mid="<2@shop.example>"), INVOICE),  # of another message
    ("part-unsigned", signed_part(INVOICE, version=2), INVOICE),
    ("part-unsigned", signed_part(INVOICE, number=3), INVOICE),
    ("part-size", signed_part(b"x" * 5001), b"x" * 5001),
], ids=lambda v: v if isinstance(v, str) else "")
def test_a_file_of_its_own_needs_the_senders_word(start, reason, header, sent):
    c = mc.Campaign(track=TRACK, attachment=("application/pdf", "invoice.pdf", sent), mode="signed-part", attachments=[
        {"type": "application/pdf", "name": "invoice.pdf", "size": 5000, "sha256": None}])
    m = start(c)
    with m.mta() as mta:
        a = send(mta, c, headers=[header] if header else [])
    if reason:
        assert re.fullmatch(REFUSED, a.text), (a.text, m.text())
        assert m.events("campaign-refused")[-1]["reason"] == reason
    else:
        assert a.accepted and undone(a.body) == c.message()[1], m.text()
        assert ("X-DoPosta-Part", 1) in a.deleted()


def test_the_senders_word_cannot_be_asked_for_without_keyd(start, keyd):
    c = mc.Campaign(attachment=("application/pdf", "invoice.pdf", INVOICE), mode="signed-part", attachments=[
        {"type": "application/pdf", "name": "invoice.pdf", "size": 5000, "sha256": None}])
    m = start(c)
    fields, body = c.message(headers=[signed_part(INVOICE)])
    with m.mta() as mta:
        assert mta.mail("<a@shop.example>", "news").accepted
        mta.send(b"R", b"<b@example.test>\0")
        mta.answer()
        for name, value in fields + [("X-DoPosta-Campaign", tm.campaign())]:
            mta.header(name, value)
        mta.content(body)
        keyd.stop()
        assert mta.end().text.startswith("451 4.7.1"), m.text()


# --- sensitive content

RULES = """
sensitive:
  - {name: cards, kind: card, action: verify}
  - {name: staff, kind: pattern, pattern: "P-######", action: refuse}
"""


@pytest.mark.parametrize("subject, kind, text, end", [
    ("Your card 4111 1111 1111 1111", "text/plain", "x", "verify"),
    ("=?utf-8?B?UC0xMjM0NTY=?=", "text/plain", "x", "refuse"),
    ("x", "text/html", "<p>41<b>11</b> 1111 11<!-- -->11 1111</p>", "verify"),
    ("x", "text/html", "<p>Staff P-12<i>34</i>56</p>", "refuse"),
    ("Order 4111111111111111", "text/html", "<p>Order <b>4111111111</b>111111</p>", None),
])
def test_sensitive_content_of_subjects_and_across_markup(start, subject, kind, text, end):
    m = start(more=RULES)
    headers = [(n, subject if n == "Subject" else v) for n, v in tm.headers()]
    headers += [("MIME-Version", "1.0"), ("Content-Type", f"{kind}; charset=utf-8")]
    with m.mta() as mta:
        a = mta.message(headers=headers, body=text.encode() + b"\r\n", login="open")
    if end == "refuse":
        assert re.fullmatch(REFUSED, a.text), m.text()
    else:
        assert a.accepted and ("tls=verify" in a.inserted()[0][2]) == (end == "verify"), m.text()


@pytest.mark.parametrize("encoding", ["8bit", "base64"])
@pytest.mark.parametrize("text, end", [("Your card: 4111 1111 1111 1111\r\n", "verify"), ("Staff P-123456\r\n", "refuse"),
                                       ("Order 4111 1111 1111 1112, P-12345\r\n", None)])
def test_sensitive_content_wants_verified_servers_or_is_refused(start, encoding, text, end):
    m = start(more=RULES)
    body = base64.encodebytes(text.encode()).replace(b"\n", b"\r\n") if encoding == "base64" else text.encode()
    headers = tm.headers() + [("MIME-Version", "1.0"), ("Content-Type", "text/plain; charset=utf-8"),
                              ("Content-Transfer-Encoding", encoding)]
    for login in ("open", "trial"):
        with m.mta() as mta:
            a = mta.message(headers=headers, body=body, login=login)
        assert bool(re.fullmatch(REFUSED, a.text)) == (end == "refuse"), m.text()
        if a.accepted:
            assert a.inserted()[0][2].endswith("; tls=verify") == (end == "verify")
    assert "4111" not in m.text() and "123456" not in m.text()
    if end == "verify":
        assert m.events("sensitive-content")[0]["rule"] == "cards"
    if end == "refuse":
        assert m.events("campaign-refused")[0]["reason"] == "sensitive"


def test_what_cannot_be_read_counts_as_sensitive(start):
    m = start(more=RULES)
    headers = tm.headers() + [("MIME-Version", "1.0"), ("Content-Type", "multipart/mixed; boundary=b")]
    with m.mta() as mta:
        assert mta.message(headers=headers, body=b"no boundary\r\n", login="open").text.startswith("554 5.6.0")
