# SPDX-License-Identifier: Apache-2.0
"""sealpost-milter between an MTA and a keyd that the test plays."""
import base64
import concurrent.futures
import hashlib
import hmac
import os
import re
import shutil
import signal
import smtplib
import socket
import stat
import subprocess
import tempfile
import time

import pytest

import harness
import milter_mta as mm

BUILD = os.environ.get("SEALPOST_BUILD") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))
PROGRAM = os.path.join(BUILD, "sealpost-milter")
UID = 64219  # an ordinary user nobody else is
SECRETS = {"default": b"d" * 32, "acme": b"a" * 32, "shop": b"s" * 32, "inside": b"i" * 32}
RULES = """
customers:
  - {auth: app1, customer: acme}
  - {client: 10.0.0.0/8, customer: inside}
  - {client: "2001:db8::/32", customer: inside}
  - {sender: shop.example, customer: shop}
  - {sender: .shop.example, customer: shop}
"""


def wait_for(what, seconds=10.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


class Milter:
    def __init__(self, directory, text=RULES, listen=None, topics=()):
        self.dir = directory
        self.port = None
        if listen is None:
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]
            listen = f"inet:{self.port}@127.0.0.1"
        self.listen = listen
        self.where = ("127.0.0.1", self.port) if self.port else listen.split(":", 1)[1]
        self.conf = os.path.join(directory, "milter.yaml")
        self.log = os.path.join(directory, "milter.log")
        self.write(text)
        self.env = None
        self.topics = [a for t in topics for a in ("-d", t)]
        self.child = None

    def write(self, text):
        with open(self.conf, "w") as f:
            f.write(f'listen: "{self.listen}"\nkeyd: {self.dir}/keyd.sock\nkeyd_timeout: 1s\n{text}')
        os.chmod(self.conf, 0o644)

    def start(self):
        def become():
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(UID)
                os.setuid(UID)
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen([PROGRAM, "-c", self.conf, *self.topics], stdout=out, stderr=out,
                                          stdin=subprocess.DEVNULL, preexec_fn=become, env=self.env)
        wait_for(lambda: self.events("ready") or self.child.poll() is not None)
        assert self.child.poll() is None, self.text()
        return self

    def stop(self):
        if self.child and self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def events(self, name):
        found = []
        for line in self.text().splitlines():
            m = re.search(r"(\S+) event=(\S+) ?(.*)$", line)
            if m and m[2] == name:
                facts = dict(re.findall(r'(\w+)=("[^"]*"|\S*)', m[3]))
                found.append(dict(facts, id=m[1]))
        return found

    def mta(self, **how):
        return mm.Mta(self.where, **how)


@pytest.fixture
def place():
    d = tempfile.mkdtemp(prefix="sealpost-milter-")
    os.chmod(d, 0o777)
    yield d
    shutil.rmtree(d)


@pytest.fixture
def keyd(place):
    k = mm.Keyd(os.path.join(place, "keyd.sock"), SECRETS).start()
    yield k
    k.stop()


@pytest.fixture
def milter(place, keyd):
    m = Milter(place).start()
    yield m
    m.stop()


def campaign(secret=SECRETS["shop"], sender="a@shop.example", rcpt="b@example.test", mid="<1@shop.example>",
             t=None, ident="cmp_01", ver="3", nonce="n0nce-n0nce", kid="1"):
    t = str(int(time.time()) if t is None else t)
    data = "\n".join(["dp-camp-1", ident, ver, t, nonce, sender, rcpt, mid]).encode()
    mac = hmac.new(secret, b"campaign/1\0" + data, hashlib.sha256).digest()
    text = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    return f"v=1; id={ident}; ver={ver}; t={t}; n={nonce}; kid={kid}; mac={text}"


def headers(*values, mid=("<1@shop.example>",)):
    found = [("From", "a@shop.example"), ("Subject", "x")]
    found += [("Message-ID", m) for m in mid]
    return found + [("X-DoPosta-Campaign", v) for v in values]


def trace_of(answer):
    (index, name, value), = answer.inserted()
    assert (index, name) == (1, "X-Sealpost-Trace")
    m = re.fullmatch(r" v=1; customer=(\S+); id=([0-9a-hjkmnp-tv-z]{13})", value)
    assert m, value
    return m[1], m[2]


def test_asks_the_mta_for_no_more_than_it_needs(milter):
    with milter.mta() as mta:
        assert mta.actions == mm.ADD | mm.CHANGE | mm.SYMLIST
        assert mta.steps == (mm.NOHELO | mm.NOBODY | mm.NOEOH | mm.NR_HDR | mm.NOUNKNOWN | mm.NODATA
                             | mm.NR_CONN | mm.NR_RCPT | mm.LEADSPC)
        assert mta.macros == {0: "", 2: "{auth_authen} {mail_addr}", 3: "", 5: "i"}


def test_an_mta_that_cannot_change_headers_is_refused(milter):
    with pytest.raises(ConnectionError):
        milter.mta(actions=mm.ADD)
    assert milter.events("mta-unfit")


@pytest.mark.parametrize("who, customer, by", [
    (dict(login="app1"), "acme", "auth"),
    (dict(login="app1", client="10.1.2.3"), "acme", "auth"),
    (dict(login="app2", client="10.1.2.3"), "inside", "client"),
    (dict(client="2001:db8::7"), "inside", "client"),
    (dict(sender="<x@Shop.Example>"), "shop", "sender"),
    (dict(sender="<x@news.shop.example>"), "shop", "sender"),
    (dict(sender="<x@badshop.example>"), "default", "fallback"),
    (dict(sender="<>"), "default", "fallback"),
    (dict(sender="<x@other.example>", client=None), "default", "fallback"),
])
def test_names_the_customer_by_login_then_client_then_sender(milter, who, customer, by):
    how = {"client": who.pop("client")} if "client" in who else {}
    who.setdefault("sender", "<x@other.example>")
    with milter.mta(**how) as mta:
        a = mta.message(headers=headers(), **who)
    assert a.accepted and not a.deleted()
    named, ident = trace_of(a)
    assert named == customer
    passed, = milter.events("message-passed")
    assert (passed["id"], passed["customer"], passed["by"], passed["queue"]) == (ident, customer, by, "4ABCDEF")


def test_headers_that_are_ours_are_taken_out_from_the_last_up(milter):
    with milter.mta() as mta:
        a = mta.message(headers=headers() + [
            ("X-Sealpost-Trace", "v=1; customer=acme; id=0000000000001"), ("x-sealpost-verdict", "good"),
            ("X-SEALPOST-TRACE", "second"), ("X-Sealposter", "not ours"), ("x-sealpost-trace", "third")])
    assert a.accepted
    assert a.deleted() == [("X-Sealpost-Trace", 3), ("X-Sealpost-Trace", 2), ("X-Sealpost-Trace", 1),
                           ("x-sealpost-verdict", 1)]
    assert trace_of(a)[0] == "shop"
    assert a.changes[-1][0] == b"i"
    assert milter.events("message-passed")[0]["forged"] == "4"


def test_a_flood_of_our_headers_is_refused(milter):
    with milter.mta() as mta:
        a = mta.message(headers=[("X-Sealpost-Trace", "x")] * 101)
        assert a.text.startswith("550 5.6.0 ")
        assert not a.changes
        a = mta.message(headers=[("X-Sealpost-Trace", "x")] * 100)
        assert a.accepted and len(a.deleted()) == 100
    assert milter.events("headers-refused")[0]["reason"] == "flood"


def test_a_verified_campaign_passes_and_its_header_goes(milter, keyd):
    with milter.mta() as mta:
        a = mta.message(headers=headers(campaign()))
        assert a.accepted
        assert a.deleted() == [("X-DoPosta-Campaign", 1)]
        assert trace_of(a)[0] == "shop"
        folded = campaign().replace("; n=", ";\n\tn=")
        assert mta.message(headers=headers(folded)).accepted
        # An address is taken with and without brackets, a null sender is empty.
        assert mta.message(sender="a@shop.example", headers=headers(campaign())).accepted
        null = campaign(secret=SECRETS["default"], sender="")
        assert mta.message(sender="<>", headers=headers(null)).accepted
        assert mta.message(headers=headers(campaign(mid="<2@x>"), mid=["\n  <2@x> "])).accepted
        now = int(time.time())
        assert mta.message(headers=headers(campaign(t=now - 890))).accepted
        assert mta.message(headers=headers(campaign(t=now + 890))).accepted
    assert keyd.verified == 7
    assert milter.events("message-passed")[0]["campaign"] == "cmp_01"


@pytest.mark.parametrize("reason, message", [
    ("mac", lambda: dict(headers=headers(campaign(secret=b"x" * 32)))),
    ("mac", lambda: dict(headers=headers(campaign(secret=SECRETS["acme"])))),
    ("mac", lambda: dict(headers=headers(campaign()), login="app1")),
    ("mac", lambda: dict(headers=headers(campaign()), sender="<b@shop.example>")),
    ("mac", lambda: dict(headers=headers(campaign()), sender="<A@shop.example>")),
    ("mac", lambda: dict(headers=headers(campaign()), recipients=["<c@example.test>"])),
    ("mac", lambda: dict(headers=headers(campaign(), mid=["<2@shop.example>"]))),
    ("mac", lambda: dict(headers=headers(campaign().replace("ver=3", "ver=4")))),
    ("mac", lambda: dict(headers=headers(campaign().replace("cmp_01", "cmp_02")))),
    ("several-recipients", lambda: dict(headers=headers(campaign()),
                                        recipients=["<b@example.test>", "<c@example.test>"])),
    ("several-headers", lambda: dict(headers=headers(campaign(), campaign()))),
    ("malformed", lambda: dict(headers=headers("v=1"))),
    ("malformed", lambda: dict(headers=headers(""))),
    ("malformed", lambda: dict(headers=headers(campaign() + "; x=1"))),
    ("malformed", lambda: dict(headers=headers(campaign() + " " * 2000 + "x"))),
    ("malformed", lambda: dict(headers=headers() + [("X-DoPosta-Campaign ", campaign())])),
    ("outside-window", lambda: dict(headers=headers(campaign(t=int(time.time()) - 910)))),
    ("outside-window", lambda: dict(headers=headers(campaign(t=int(time.time()) + 910)))),
    ("message-id", lambda: dict(headers=headers(campaign(), mid=[]))),
    ("message-id", lambda: dict(headers=headers(campaign(), mid=["<1@shop.example>", "<1@shop.example>"]))),
    ("message-id", lambda: dict(headers=headers(campaign(), mid=["<1@shop.example>\n x"]))),
])
def test_a_campaign_that_does_not_verify_is_refused_with_a_report(milter, reason, message):
    with milter.mta() as mta:
        a = mta.message(**message())
        assert re.fullmatch(r"550 5\.7\.1 Campaign refused, report [0-9a-z]{13}", a.text)
        assert not a.changes
        refused, = milter.events("campaign-refused")
        assert refused["reason"] == reason
        assert refused["id"] == a.text[-13:]
        assert "b@example.test" not in milter.text()
        assert mta.message(headers=headers()).accepted  # the connection lives


def test_a_customer_that_keyd_does_not_know_is_a_matter_of_configuration(milter, keyd):
    keyd.customers = {}
    with milter.mta() as mta:
        a = mta.message(headers=headers(campaign()))
    assert a.text.startswith("451 4.7.1 ")
    assert milter.events("message-deferred")[0]["reason"] == "unknown-customer"


def test_keyd_killed_means_451_and_keyd_back_means_mail_again(milter, keyd):
    with milter.mta() as mta:
        assert mta.message(headers=headers()).accepted
        keyd.stop()
        for _ in range(3):
            a = mta.message(headers=headers())
            assert a.text.startswith("451 4.7.1 ") and not a.changes
        with milter.mta() as other:
            assert other.message(headers=headers(campaign())).text.startswith("451 4.7.1 ")
        keyd.start()
        assert mta.message(headers=headers()).accepted
        keyd.stop()
        keyd.start()  # away and back between two messages is not noticed by anyone
        assert mta.message(headers=headers(campaign())).accepted
    assert len(milter.events("keyd-away")) == 1
    assert len(milter.events("keyd-ready")) == 2
    assert len(milter.events("message-deferred")) == 4


@pytest.mark.parametrize("value", [None, campaign])
def test_keyd_killed_while_a_message_passes_defers_it(milter, keyd, value):
    with milter.mta() as mta:
        assert mta.mail("<a@shop.example>").accepted
        mta.rcpt("<b@example.test>")
        for name, text in headers(*([value()] if value else [])):
            mta.header(name, text)
        keyd.stop()
        a = mta.end()
        assert a.text.startswith("451 4.7.1 ") and not a.changes


def test_a_locked_keyd_defers_until_it_says_that_it_is_ready(milter, keyd):
    with milter.mta() as mta:
        assert mta.message(headers=headers()).accepted
        keyd.push(mm.LOCKED)
        assert mta.message(headers=headers()).text.startswith("451 4.7.1 ")
        keyd.push(mm.READY)
        assert mta.message(headers=headers()).accepted
    assert milter.events("keyd-away")[0]["state"] == "locked"


def test_a_keyd_that_does_not_answer_defers_within_the_timeout(milter, keyd):
    with milter.mta() as mta:
        assert mta.message(headers=headers()).accepted
        keyd.silent = True
        began = time.monotonic()
        assert mta.message(headers=headers(campaign())).text.startswith("451 4.7.1 ")
        assert time.monotonic() - began < 3
        assert mta.message(headers=headers()).text.startswith("451 4.7.1 ")  # not even HELLO
        keyd.silent = False
        assert mta.message(headers=headers(campaign())).accepted


def test_what_a_message_left_behind_is_not_seen_by_the_next(milter):
    with milter.mta() as mta:
        mta.mail("<a@shop.example>")
        mta.rcpt("<b@example.test>")
        mta.rcpt("<c@example.test>")
        mta.header("X-DoPosta-Campaign", "nonsense")
        mta.header("X-Sealpost-Trace", "forged")
        mta.send(b"A")
        a = mta.message(headers=headers(campaign()))
        assert a.accepted and a.deleted() == [("X-DoPosta-Campaign", 1)]
        a = mta.message(headers=headers())
        assert a.accepted and not a.deleted()


def test_an_mta_without_leading_spaces_gets_none(milter):
    with milter.mta(steps=mm.STEPS_ALL & ~mm.LEADSPC) as mta:
        a = mta.message(headers=headers(campaign()))
        assert a.accepted
        assert a.inserted()[0][2].startswith("v=1; ")


def test_an_mta_that_wants_every_reply_gets_them(milter):
    with milter.mta(steps=0x7F) as mta:
        assert mta.message(headers=headers(campaign())).accepted


def test_many_connections_at_once_have_an_id_for_each_message(milter, keyd):
    def work(_):
        with milter.mta() as mta:
            return [trace_of(mta.message(headers=headers(campaign())))[1] for _ in range(20)]
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        ids = [i for chunk in pool.map(work, range(30)) for i in chunk]
    assert len(set(ids)) == 600
    assert keyd.verified == 600
    assert keyd.hellos <= 60  # connections are shared, not one for each message


def test_answers_of_several_packets_are_not_held_back_by_tcp(milter):
    with milter.mta() as mta:
        began = time.monotonic()
        for _ in range(50):
            assert mta.message(headers=headers(campaign())).accepted
        assert time.monotonic() - began < 1  # a delayed acknowledgement for each would be two seconds


def test_reload_changes_the_rules_and_not_the_message_at_hand(milter):
    with milter.mta() as mta:
        mta.mail("<a@shop.example>")
        mta.rcpt("<b@example.test>")
        milter.write("customer: other\n")
        milter.child.send_signal(signal.SIGHUP)
        wait_for(lambda: milter.events("reloaded"))
        assert trace_of(mta.end())[0] == "shop"
        assert trace_of(mta.message())[0] == "other"
        milter.write("customer: BAD\n")
        milter.child.send_signal(signal.SIGHUP)
        wait_for(lambda: milter.events("reload-refused"))
        assert "milter.yaml:4: customer: " in milter.events("reload-refused")[0]["why"]
        assert trace_of(mta.message())[0] == "other"
        for _ in range(20):
            milter.child.send_signal(signal.SIGHUP)
        assert trace_of(mta.message())[0] == "other"


def test_stops_at_once_when_nothing_is_at_hand(milter):
    with milter.mta() as mta:
        assert mta.message().accepted
        milter.child.terminate()
        assert milter.child.wait(4) == 0  # libmilter would take five seconds
    assert milter.events("stopping") and milter.events("stopped")


def test_stopping_lets_the_message_at_hand_end_and_takes_no_other(milter):
    with milter.mta() as mta, milter.mta() as other:
        mta.mail("<a@shop.example>")
        mta.rcpt("<b@example.test>")
        milter.child.terminate()
        wait_for(lambda: milter.events("stopping"))
        wait_for(lambda: other.mail("<a@shop.example>").text.startswith("451 4.3.2 "))
        assert milter.child.poll() is None
        assert mta.end().accepted
        assert milter.child.wait(4) == 0
    with pytest.raises(OSError):
        milter.mta()


def test_a_unix_socket_has_its_mode_and_is_gone_after_stopping(place, keyd):
    path = os.path.join(place, "milter.sock")
    m = Milter(place, RULES + 'socket_mode: "0666"\n', listen=f"unix:{path}").start()
    try:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o666
        with m.mta() as mta:
            assert mta.message().accepted
        m.child.kill()  # leaves the socket behind
        m.child.wait()
        os.unlink(m.log)
        m.start()
        with m.mta() as mta:
            assert mta.message().accepted
        m.child.terminate()
        assert m.child.wait(4) == 0
        assert not os.path.exists(path)
    finally:
        m.stop()


def test_starts_without_keyd_and_says_so(place):
    m = Milter(place).start()
    try:
        wait_for(lambda: m.events("keyd-away"))
        with m.mta() as mta:
            assert mta.message().text.startswith("451 4.7.1 ")
    finally:
        m.stop()


@pytest.mark.parametrize("text, what", [
    ("lisen: x\n", 'lisen: unknown key; did you mean "listen"?'),
    ("listen: inet:8891\n", "listen: needs a host: inet:PORT@HOST"),
    ("keyd: [x]\n", "keyd: takes one value, not a list"),
    ("customers: [{auth: x, sender: y.example, customer: z}]\n",
     "customers[0]: needs exactly one of auth, client and sender"),
    ("customers: [{auth: x}]\n", 'customers[0]: key "customer" is missing'),
    ("stream: gone\n", 'stream: no stream is named "gone"'),
    ("customers: [{auth: x, customer: z, stream: gone}]\n", 'customers[0].stream: no stream is named "gone"'),
    ("customers: [{client: 10.0.0.0/40, customer: z}]\n",
     "customers[0].client: must be an address or a network such as 192.0.2.0/24 or 2001:db8::/32"),
])
@pytest.mark.parametrize("options", [[], ["-n"]])
def test_a_mistake_in_the_configuration_names_its_place_and_exits_78(place, text, what, options):
    path = os.path.join(place, "bad.yaml")
    with open(path, "w") as f:
        f.write("# a comment\n" + text)
    r = subprocess.run([PROGRAM, *options, "-c", path], capture_output=True, text=True, timeout=10)
    assert r.returncode == 78
    assert r.stderr == f"sealpost-milter: {path}:2: {what}\n"


def test_a_port_in_use_ends_the_start(place, keyd, milter):
    r = subprocess.run([PROGRAM, "-c", milter.conf], capture_output=True, text=True, timeout=10,
                       user=UID if os.getuid() == 0 else None)
    assert r.returncode == 75
    assert "event=listen-failed" in r.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_as_root_it_becomes_another_user_or_refuses(place, keyd):
    m = Milter(place, "user: no-such-user\n")
    r = subprocess.run([PROGRAM, "-c", m.conf], capture_output=True, text=True, timeout=10)
    assert r.returncode == 78
    assert "start-refused" in r.stderr
    m.write("user: root\n")
    assert subprocess.run([PROGRAM, "-c", m.conf], capture_output=True, timeout=10).returncode == 78
    m.write(f'user: "{UID}"\n')
    os.chmod(keyd.path, 0o777)
    child = subprocess.Popen([PROGRAM, "-c", m.conf], stderr=subprocess.PIPE, text=True)
    try:
        line = child.stderr.readline()
        assert "event=ready" in line
        with open(f"/proc/{child.pid}/status") as f:
            status = f.read()
        assert re.search(rf"^Uid:\t{UID}\t{UID}\t{UID}\t{UID}$", status, re.M)
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
        with m.mta() as mta:
            assert mta.message().accepted
    finally:
        child.kill()
        child.wait()


MILTERTEST = """
conn = mt.connect("inet:%d@127.0.0.1")
assert(conn, "no connection")
assert(mt.negotiate(conn, nil, nil, nil) == nil)
mt.conninfo(conn, "localhost", "127.0.0.1")
mt.macro(conn, SMFIC_MAIL, "{mail_addr}", "a@shop.example")
mt.mailfrom(conn, "<a@shop.example>")
assert(mt.getreply(conn) == SMFIR_CONTINUE)
mt.rcptto(conn, "<b@example.test>")
mt.header(conn, "Subject", "x")
mt.eom(conn)
assert(mt.getreply(conn) == SMFIR_ACCEPT)
assert(mt.eom_check(conn, MT_HDRINSERT, "X-Sealpost-Trace"))
mt.disconnect(conn)
"""


@pytest.mark.skipif(not shutil.which("miltertest"), reason="needs miltertest")
def test_miltertest_agrees(milter, place):
    script = os.path.join(place, "pass.lua")
    with open(script, "w") as f:
        f.write(MILTERTEST % milter.port)
    r = subprocess.run(["miltertest", "-s", script], capture_output=True, text=True, timeout=20)
    assert r.returncode == 0, r.stdout + r.stderr + milter.text()


def through_postfix(port, raw, sender="a@shop.example"):
    with smtplib.SMTP("127.0.0.1", port) as s:
        s.ehlo()
        code, text = s.mail(sender)
        if code == 250:
            s.rcpt("b@example.test")
            code, text = s.data(raw)
        return code, text.decode()


@pytest.mark.skipif(not harness.Postfix.available(), reason="needs root and Postfix")
def test_postfix_changes_the_headers_that_it_is_asked_to_and_no_other(milter, keyd):
    d = harness.scratch("milter")
    sink = harness.Sink(os.path.join(d, "sink"), tls=False, keep=True).start()
    postfix = harness.Postfix(os.path.join(d, "postfix"), relayhost=f"[127.0.0.1]:{sink.port}",
                              smtpd_milters=f"inet:127.0.0.1:{milter.port}", milter_default_action="tempfail",
                              milter_protocol="6").start()
    value = campaign().replace("; n=", ";\r\n\tn=")
    raw = ("From: a@shop.example\r\nX-Sealpost-Trace: one\r\nSubject:   three blanks\r\n folded\r\n"
           "X-Sealpost-Trace : a blank before the colon\r\nx-sealpost-trace: two\r\n\tfolded\r\n"
           f"Message-ID: <1@shop.example>\r\nX-DoPosta-Campaign: {value}\r\nX-SEALPOST-Foo:three\r\n"
           "Date: Sun, 22 Nov 2026 07:40:43 +0000\r\n\r\nX-Sealpost-Trace: in the body\r\n")
    try:
        assert through_postfix(postfix.port, raw)[0] == 250
        assert through_postfix(postfix.port, "From: a@shop.example\n\nx\n", sender="")[0] == 250  # a bounce
        code, text = through_postfix(postfix.port, raw.replace("cmp_01", "cmp_02"))
        assert code == 550 and text.startswith("5.7.1 Campaign refused, report ")
        keyd.stop()
        code, text = through_postfix(postfix.port, raw)
        assert code == 451 and text.startswith("4.7.1 ")
        sink.wait_for(2)
        message, = [data for data, _, _ in sink.kept() if b"Subject:" in data]
        m = re.fullmatch(r"Received: [^\r]*\r\n(?:\t[^\r]*\r\n)*"
                         r"X-Sealpost-Trace: v=1; customer=shop; id=([0-9a-z]{13})\r\n"
                         r"From: a@shop\.example\r\nSubject:   three blanks\r\n folded\r\n"
                         r"Message-ID: <1@shop\.example>\r\nDate: Sun, 22 Nov 2026 07:40:43 \+0000\r\n"
                         r"\r\nX-Sealpost-Trace: in the body\r\n", message.decode())
        assert m, message
        passed, _ = milter.events("message-passed")
        assert passed["id"] == m[1]
        assert f"{passed['queue']}: " in postfix.log()
    finally:
        postfix.stop()
        sink.stop()
        shutil.rmtree(d, ignore_errors=True)
