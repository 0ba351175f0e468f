# SPDX-License-Identifier: Apache-2.0
"""Whatever fails around sealpost-milter: mail of campaigns waits (451), nothing slips through, and it goes on by itself."""
import base64
import os
import re
import smtplib
import time

import pytest

import harness
import milter_campaign as mc
import milter_mta as mm
import test_milter as tm
from test_milter_campaign import TRACK, api, keyd, place, send, start  # noqa: F401

STALE = "feed_stale: 1s\n"


def state(m, c):
    with m.mta() as mta:
        a = send(mta, c)
        return "passed" if a.accepted else a.text[:9]


def until(m, c, want):
    tm.wait_for(lambda: state(m, c) == want or time.sleep(0.05), 15)


def test_relay_away_and_back(start, api):
    c = mc.Campaign()
    m = start(c, more=STALE)
    assert state(m, c) == "passed"
    api.stop()
    until(m, c, "451 4.7.1")
    assert m.events("message-deferred")[-1]["reason"] == "feed"
    with m.mta() as mta:
        assert mta.message(headers=tm.headers(), login="open").accepted  # what is of no campaign does not wait
        assert mta.message(headers=tm.headers(), login="news").text.startswith("550")
    api.start()
    until(m, c, "passed")
    assert len(m.events("campaigns-away")) == 1 and len(m.events("campaigns-ready")) == 2
    tm.wait_for(lambda: len(api.reports) == 1)  # what was refused meanwhile is told


def test_nothing_is_known_before_the_first_answer(start, api):
    c = mc.Campaign()
    api.stop()
    m = start(c, wait=False)
    assert state(m, c) == "451 4.7.1"
    api.start()
    until(m, c, "passed")


def flipped(name, at=20):
    def spoil(answer):
        raw = bytearray(base64.b64decode(answer[name]))
        raw[at] ^= 1
        return dict(answer, **{name: base64.b64encode(raw).decode()})
    return spoil


@pytest.mark.parametrize("reason, spoil", [
    ("keyd's signature does not verify", flipped("signature")),
    ("keyd's signature does not verify", lambda a: dict(a, author="mallory")),
    ("keyd's signature does not verify", lambda a: dict(a, approver="mallory")),
    ("bundle does not hold", flipped("bundle", -40)),
    ("bundle does not hold", lambda a: dict(a, bundle=a["bundle"][:400])),
    ("bundle is not base64", lambda a: dict(a, bundle="no base64")),
    ("signature malformed", lambda a: dict(a, signature="AAAA")),
    ("keyd's public key", lambda a: dict(a, key_version=2)),
    ("not fetched", lambda a: []),
])
def test_a_store_that_was_changed_is_not_believed(start, api, reason, spoil):
    c = mc.Campaign()
    api.spoil["bundle"] = spoil
    m = start(c, wait=False)
    tm.wait_for(lambda: m.events("campaign-not-loaded"))
    assert state(m, c) == "451 4.7.1"
    if reason != "not fetched":
        assert m.events("campaign-not-loaded")[0]["reason"] == f'"{reason}"'
    assert m.events("message-deferred")[-1]["reason"] == "manifest"
    api.spoil.clear()  # restored: no restart is needed
    until(m, c, "passed")


def test_another_manifest_than_keyd_signed_is_not_believed(start, api, keyd):
    true, other = mc.Campaign(), mc.Campaign(parts=[("text/plain", "Visit https://evil.example/ now.\n")])
    other.approver = true.approver
    signature = keyd.sign(true)
    api.spoil["bundle"] = lambda a: dict(a, signature=base64.b64encode(signature).decode())
    m = start(other, wait=False)
    tm.wait_for(lambda: m.events("campaign-not-loaded"))
    assert state(m, other) == "451 4.7.1"


@pytest.mark.parametrize("spoil", [
    lambda a: dict(a, revoked={"counter": 1, "list": mc.REVOKED_HEAD + "shop old 1\n"}),  # an older list
    lambda a: dict(a, revoked={"counter": 2, "list": mc.REVOKED_HEAD + "shop old 1\n"}),  # a line is missing
    lambda a: dict(a, revoked={"counter": 0, "list": ""}),
    lambda a: dict(a, revoked=None),
    lambda a: {},
])
def test_a_list_of_the_revoked_that_keyd_did_not_sign_is_not_believed(start, api, keyd, spoil):
    c = mc.Campaign()
    m = start(c, more=STALE)
    assert state(m, c) == "passed"
    keyd.revoke("shop old 1")
    keyd.revoke("shop other 2")
    api.spoil["campaigns"] = spoil
    until(m, c, "451 4.7.1")
    tm.wait_for(lambda: m.events("campaigns-away"))
    api.spoil.clear()
    until(m, c, "passed")


def test_keyd_locked_or_killed(start, keyd):
    c = mc.Campaign()
    m = start(c, more=STALE)
    keyd.push(mm.LOCKED)
    until(m, c, "451 4.7.1")
    keyd.push(mm.READY)
    until(m, c, "passed")
    keyd.stop()
    until(m, c, "451 4.7.1")
    keyd.start()
    until(m, c, "passed")


def test_keyd_gone_while_the_body_streams(start, keyd):
    c = mc.Campaign(track=TRACK)
    m = start(c)
    fields, body = c.message()
    with m.mta() as mta:
        assert mta.mail("<a@shop.example>", "news").accepted
        mta.send(b"R", b"<b@example.test>\0")
        assert mta.answer().accepted
        for name, value in fields + [("X-DoPosta-Campaign", tm.campaign())]:
            mta.header(name, value)
        mta.content(body)
        keyd.stop()
        a = mta.end()
        assert a.text.startswith("451 4.7.1 ") and not a.changes  # no key for tokens


def test_relay_gone_when_messages_are_to_be_granted(start, api):
    c = mc.Campaign(max_messages=50)  # one at a time
    m = start(c)
    assert state(m, c) == "passed"
    api.stop()
    assert state(m, c) == "451 4.7.1"
    api.start()
    until(m, c, "passed")


def test_a_directory_that_cannot_be_written(start, place):
    c = mc.Campaign(track=TRACK, attachment=("application/pdf", "big.pdf", os.urandom(400000)))
    m = start(c)
    os.chmod(os.path.join(place, "state"), 0o500)
    if os.getuid() != 0:
        pytest.skip("the directory is ours")
    with m.mta() as mta:
        a = send(mta, c)
        assert a.text.startswith("451 4.7.1 ") and not a.changes
        assert m.events("message-deferred")[0]["reason"] == "state"
        os.chmod(os.path.join(place, "state"), 0o777)
        assert send(mta, c).accepted


def test_what_is_not_mail_costs_little(start):
    c = mc.Campaign()
    m = start(c)
    head = tm.headers(tm.campaign()) + [("MIME-Version", "1.0")]
    parts = b"".join(b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" for _ in range(10000)) + b"--b--\r\n"
    with m.mta() as mta:
        for kind, body in (("multipart/mixed; boundary=b", parts), ("text/html", b"<b>" * 100000 + b"\r\n"),
                           ("multipart/mixed; boundary=b", b"--b\r\n" * 100000)):
            began = time.monotonic()
            a = mta.message(headers=head + [("Content-Type", kind)], body=body, login="news")
            assert a.text[0] == "5" and time.monotonic() - began < 2, a.text
    assert m.child.poll() is None


# --- through a real Postfix, in front of which another one queues

@pytest.fixture
def postfixes(place, parts):
    if not harness.Postfix.available():
        pytest.skip("needs root and Postfix")
    os.chmod(place, 0o755)
    sink = harness.Sink(os.path.join(place, "sink"), tls=False, keep=True).start()
    parts.append(sink)

    def run(port):
        second = harness.Postfix(os.path.join(place, "second"), relayhost=f"[127.0.0.1]:{sink.port}",
                                 smtpd_milters=f"inet:127.0.0.1:{port}", milter_default_action="tempfail",
                                 milter_protocol="6", milter_connect_timeout="2s").start()
        parts.append(second)
        first = harness.Postfix(os.path.join(place, "first"), relayhost=f"[127.0.0.1]:{second.port}").start()
        parts.append(first)
        return first, second, sink
    yield run


def deliver(port, c, change=None):
    fields, body = c.message(change=change)
    fields.append(("X-DoPosta-Campaign", tm.campaign(sender="a@queue.example", ver=str(c.version))))
    data = "".join(f"{n}: {v}\r\n" for n, v in fields).encode() + b"\r\n" + body
    with smtplib.SMTP("127.0.0.1", port) as s:
        s.ehlo()
        s.mail("a@queue.example", ["BODY=8BITMIME"])
        s.rcpt("b@example.test")
        return s.data(data)


@pytest.mark.parametrize("broken", ["milter", "keyd", "relay", "store"])
def test_mail_waits_in_the_queue_of_postfix_until_all_is_well(start, api, keyd, postfixes, broken):
    c = mc.Campaign(track=TRACK)
    m = start(c, more=STALE)
    first, second, sink = postfixes(m.port)
    if broken == "milter":
        m.stop()
    elif broken == "keyd":
        keyd.push(mm.LOCKED)
    elif broken == "relay":
        api.stop()
        until(m, c, "451 4.7.1")
    else:
        api.spoil["bundle"] = flipped("bundle", -40)
        c.version, c.manifest["version"] = 4, 4
        tm.wait_for(lambda: m.events("campaign-not-loaded"))
    assert deliver(first.port, c)[0] == 250
    harness.wait_for("Postfix to be told to wait", lambda: re.search(r"said: 451 4\.7\.1", first.log()))
    assert len(first.queued()) == 1 and not second.queued() and sink.report()["unnumbered"] == 0
    if broken == "milter":
        m.start()
    elif broken == "keyd":
        keyd.push(mm.READY)
    elif broken == "relay":
        api.start()
    else:
        api.spoil.clear()
    harness.wait_for("the message to go on", lambda: first.flush() or not first.queued(), 30, 0.5)
    sink.wait_for(1)
    message = sink.kept()[0][0]
    assert b"https://t.shop.example/c/" in message and b"X-DoPosta-" not in message
    assert b"List-Unsubscribe: <https://t.shop.example/u/" in message


def test_postfix_refuses_holds_and_changes_as_it_is_told(start, postfixes):
    c = mc.Campaign(track=TRACK)
    m = start(c)
    first, second, sink = postfixes(m.port)
    code, text = deliver(second.port, c, lambda b: b.replace(b"spring", b"summer"))
    assert code == 550 and re.fullmatch(rb"5\.7\.1 Campaign refused, report [0-9a-z]{13}", text)
    assert m.events("campaign-refused")[0]["id"] == text.decode()[-13:]
    assert deliver(second.port, c)[0] == 250
    sink.wait_for(1)
    (message, _, _), = sink.kept()
    assert message.count(b"https://t.shop.example/c/") == 3 and message.count(b"https://t.shop.example/o/") == 1
    with smtplib.SMTP("127.0.0.1", second.port) as s:
        s.ehlo()
        s.mail("a@queue.example")
        assert s.rcpt("b@example.test")[0] == 250
        assert s.rcpt("c@example.test")[:1] == (452,)


# --- under relay as the MTA

def test_relay_itself_has_messages_judged_and_tracked(start, sealpost, sink):
    c = mc.Campaign(track=TRACK)
    m = start(c)
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'],
                       filters=f'["inet:{m.port}@127.0.0.1"]')
    sealpost.start()
    port = sealpost.smtp_port
    code, text = deliver(port, c, lambda b: b.replace(b"spring", b"summer"))
    assert code == 550 and b"Campaign refused, report " in text
    sealpost.cli("queue", "hold", "--campaign", "cmp_01", check=True)
    assert deliver(port, c)[0] == 250
    held, = sealpost.queue()  # the queue knows the campaign, though its header is gone
    assert "cmp_01" in str(held)
    sealpost.cli("queue", "release", "--campaign", "cmp_01", check=True)
    sink.wait_for(1)
    (message, _, _), = sink.kept()
    assert message.count(b"https://t.shop.example/c/") == 3 and b"X-DoPosta-" not in message
    assert re.search(rb"X-Sealpost-Trace: v=1; customer=shop; id=\w+; campaign=cmp_01; tid=\w+; num=7; "
                     rb"consent=aggregate\r\n", message)
    m.stop()
    with smtplib.SMTP("127.0.0.1", port) as s:
        s.ehlo()
        assert s.mail("a@queue.example")[0] == 451
