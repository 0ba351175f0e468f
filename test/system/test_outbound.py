# SPDX-License-Identifier: Apache-2.0
"""Outbound: sites, sources, fallback, chunks to a real Postfix, and logins at next hops."""
import base64
import collections
import os
import shutil
import smtplib
import socket
import threading
import time

import harness
import pytest
from conftest import needs_postfix
from receiver import Receiver
from test_mx import Nsd

needs_nsd = pytest.mark.skipif(not shutil.which("nsd") and not os.path.exists("/usr/sbin/nsd"), reason="needs nsd")

ZONES = {
    # the same hosts in the same order, by different preferences
    "one.example": "@ MX 10 mx.hosts.example.\n@ MX 20 spare.hosts.example.\n",
    "two.example": "@ MX 5 mx.hosts.example.\n@ MX 7 spare.hosts.example.\n",
    "three.example": "@ MX 10 mx.hosts.example.\n",
    "six.example": "@ MX 10 both\nboth AAAA ::1\nboth A 127.0.0.1\n",
    "hosts.example": "mx A 127.0.0.1\nspare A 127.0.0.1\n",
    "example": "",
}
PASSWORD = "correct horse battery staple"


def send(s, recipient, body=b"Subject: x\r\n\r\nx\r\n", **more):
    with smtplib.SMTP("127.0.0.1", s.smtp_port) as c:
        c.sendmail("me@from.example", [recipient] if isinstance(recipient, str) else recipient, body, **more)


class Counting(Receiver):
    """Remembers who came, and under which name, for each message."""

    def __init__(self, **more):
        self.came_from = []  # (address, name, number of the connection)
        self.accepted = 0
        super().__init__(keep=True, dot=self.dot, connect=self.connect, **more)

    def connect(self, session):
        self.accepted += 1
        session.number = self.accepted

    def dot(self, session, message):
        self.came_from.append((session.peer[0], session.hello.decode(), session.number))


@pytest.fixture
def receiver(parts):
    r = Counting()
    parts.append(r)
    return r


@pytest.fixture
def names(place, parts):
    nsd = Nsd(os.path.join(place, "nsd"), ZONES).start()
    parts.append(nsd)
    anchor = os.path.join(place, "anchor.key")
    with open(anchor, "w") as f:
        f.write("elsewhere.test. IN DS 12345 13 2 " + "ab" * 32 + "\n")
    os.chmod(anchor, 0o644)
    return f'{{servers: ["127.0.0.1@{nsd.port}"], trust_anchor: {anchor}}}'


def outbound(port, more=""):
    return f'{{port: {port}, private_ok: ["127.0.0.0/8", "::1/128"]{more}}}'


@needs_nsd
def test_domains_with_the_same_hosts_share_a_connection(sealpost, receiver, names):
    sealpost.configure(['{domain: "*", to: mx}'], dns=names, workers="1", outbound=outbound(receiver.port))
    sealpost.start()
    for domain in ("one", "two", "one", "two"):
        before = len(receiver.came_from)
        send(sealpost, f"a@{domain}.example")
        harness.wait_for("the message", lambda: len(receiver.came_from) > before)
    assert receiver.accepted == 1
    send(sealpost, "a@three.example")  # one host less: another site
    harness.wait_for("the message", lambda: len(receiver.came_from) == 5)
    assert receiver.accepted == 2
    sealpost.wait_empty()


def test_sources_bind_say_their_names_and_share_by_weight(sealpost, receiver):
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{receiver.port}", pool: both}}'], workers="1",
                       sources='[{name: mta1, address: "127.0.0.2", hostname: mta1.example.test},'
                               ' {name: mta2, address: "127.0.0.3", hostname: mta2.example.test}]',
                       pools='[{name: both, sources: ["mta1=3", "mta2"]}]')
    sealpost.start()
    for n in range(80):
        send(sealpost, "a@there.example")
        harness.wait_for("the message", lambda: len(receiver.came_from) > n)
    sealpost.wait_empty()
    by = collections.Counter((address, name) for address, name, _ in receiver.came_from)
    assert set(by) == {("127.0.0.2", "mta1.example.test"), ("127.0.0.3", "mta2.example.test")}
    assert 45 <= by["127.0.0.2", "mta1.example.test"] <= 75  # 60, if chance were fair
    sources = collections.Counter(e[3]["source"] for e in sealpost.relay.events("delivered"))
    assert sources == {"mta1": by["127.0.0.2", "mta1.example.test"], "mta2": by["127.0.0.3", "mta2.example.test"]}


def test_a_source_that_is_not_here_is_said_and_its_mail_waits(sealpost, receiver):
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{receiver.port}", pool: away}}'],
                       sources='[{name: mta9, address: "192.0.2.9"}]', pools='[{name: away, sources: ["mta9"]}]')
    sealpost.start()
    send(sealpost, "a@there.example")
    harness.wait_for("the event", lambda: sealpost.relay.events("source-unusable"))
    assert sealpost.queue() and receiver.accepted == 0


def test_messages_per_connection_are_as_configured(sealpost, receiver):
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{receiver.port}"}}'], workers="1",
                       outbound="{messages: 3, connections: 1}")
    sealpost.start()
    for _ in range(9):
        send(sealpost, "a@there.example")
    harness.wait_for("all messages", lambda: len(receiver.came_from) == 9, 60)
    per_connection = collections.Counter(number for _, _, number in receiver.came_from)
    assert max(per_connection.values()) <= 3
    sealpost.wait_empty()


@needs_nsd
def test_a_silent_ipv6_does_not_hold_mail_up(sealpost, receiver, names, parts):
    try:
        deaf = socket.socket(socket.AF_INET6)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("::1", receiver.port))
    except OSError:
        pytest.skip("no IPv6 here")
    deaf.listen(0)
    fill = []
    for _ in range(3):  # its backlog is full: more get no answer
        c = socket.socket(socket.AF_INET6)
        c.setblocking(False)
        c.connect_ex(("::1", receiver.port))
        fill.append(c)
    sealpost.configure(['{domain: "*", to: mx}'], dns=names, workers="1",
                       outbound=outbound(receiver.port, ", messages: 1"))
    sealpost.start()
    began = time.monotonic()
    for n in (1, 2, 3):
        send(sealpost, "a@six.example")
        harness.wait_for("the message", lambda: len(receiver.came_from) == n, 20)
    took = time.monotonic() - began
    for c in [*fill, deaf]:
        c.close()
    assert took < 10  # one connection's half a second, not thirty each
    assert not sealpost.relay.events("deferred")


@needs_postfix
def test_chunks_arrive_at_postfix_as_they_were(sealpost, place, parts, sink):
    # sink behind Postfix keeps what Postfix made of it
    p = harness.Postfix(os.path.join(place, "pf"), relayhost=f"[127.0.0.1]:{sink.port}")
    parts.append(p)
    p.start()
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{p.port}"}}'])
    sealpost.start()
    bodies = {}
    for size in (10, 60_000, 70_000, 3_000_000):
        lines = [b".", b"..", b"a dot: ."] + [b".%067d" % i for i in range(size // 70)]
        bodies[size] = b"\r\n".join(lines) + b"\r\n"
        send(sealpost, "a@there.example", b"Subject: %d\r\n\r\n" % size + bodies[size])
    sink.wait_for(4, 60)
    got = {}
    for message, _, _ in sink.kept():
        head, _, body = message.partition(b"\r\n\r\n")
        got[int(head.split(b"Subject: ")[1].split(b"\r\n")[0])] = body
    assert {k: v == bodies[k] for k, v in got.items()} == {k: True for k in bodies}
    sealpost.wait_empty()
    sealpost.stop()
    log = harness.wait_for("Postfix's count of commands", lambda: "disconnect from" in p.log() and p.log())
    assert " bdat=" in log and " data=" not in log


def password_file(s, place, text):
    path = os.path.join(place, "password")
    with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as f:
        f.write(text + "\n")
    os.chown(path, s.uid, s.uid)
    return path


class Passwords:
    """What Postfix asks about logins (the client side of Dovecot's authentication protocol): users and passwords."""

    def __init__(self, path, users):
        self.users = users
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.socket.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        f = c.makefile("rw", encoding="utf-8", newline="\n")
        f.write("VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t" + "00" * 16 + "\nDONE\n")
        f.flush()
        for line in f:
            words = line.rstrip("\n").split("\t")
            if words[0] != "AUTH":
                continue
            given = next((w[5:] for w in words if w.startswith("resp=")), "")
            _, user, password = base64.b64decode(given).decode().split("\0")
            good = self.users.get(user) == password
            f.write(f"{'OK' if good else 'FAIL'}\t{words[1]}\tuser={user}\n")
            f.flush()

    def stop(self):
        self.socket.close()


@pytest.fixture
def login_postfix(place, parts):
    """A Postfix that takes mail only from who logs in, under TLS."""
    directory = os.path.join(place, "pf")
    os.makedirs(directory)
    cert, key = harness.self_signed(directory, "postfix.example.test")
    path = os.path.join(directory, "passwords")
    parts.append(Passwords(path, {"alice": PASSWORD}))
    p = harness.Postfix(directory, smtpd_sasl_auth_enable="yes", smtpd_sasl_type="dovecot", smtpd_sasl_path=path,
                        smtpd_tls_security_level="may", smtpd_tls_auth_only="yes", smtpd_tls_cert_file=cert,
                        smtpd_tls_key_file=key, mynetworks="192.0.2.1/32", transport_maps="static:discard:",
                        smtpd_relay_restrictions="permit_sasl_authenticated, reject")
    parts.append(p)
    p.cert = cert
    return p.start()


@needs_postfix
def test_relay_logs_in_at_postfix_with_a_sealed_password(sealpost, login_postfix, place):
    p = login_postfix
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{p.port}", tls: verify, credential: hop}}'],
                       outbound=f"{{ca: {p.cert}}}")
    sealpost.start()
    send(sealpost, "a@there.example")  # the credential does not exist yet
    harness.wait_for("the failure", lambda: sealpost.relay.events("upstream-auth-failed"))
    sealpost.cli("credential", "add", "upstream", "hop", "--login", "alice", "--password-file",
                 password_file(sealpost, place, "wrong"), check=True)
    sealpost.cli("queue", "retry", "all")
    harness.wait_for("the refusal", lambda: any(e[3]["code"] == "535" for e in sealpost.relay.events("upstream-auth-failed")))
    assert sealpost.queue(), "a wrong password bounces nothing"
    sealpost.cli("credential", "password", "upstream", "hop", "--password-file",
                 password_file(sealpost, place, PASSWORD), check=True)
    sealpost.wait_empty(60)
    assert "sasl_method=PLAIN, sasl_username=alice" in p.log()
    assert sealpost.relay.events("delivered")[0][3]["verified"] == "yes"
    assert not sealpost.relay.events("upstream-unverified")
    os.unlink(os.path.join(place, "password"))
    sealpost.stop()  # what is in memory may reach a file now
    found = harness.find_bytes(sealpost.files(), [PASSWORD.encode(), b"wrong", b"alice@"])
    assert not found, found


def test_relay_logs_in_at_another_relay(sealpost, place, parts, sink):
    hop = harness.Sealpost(os.path.join(place, "hop"), hostname="hop.example.test")
    parts.append(hop)
    port = harness.free_port()
    hop.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}"}}'], trusted="[]",
                  listen=f'[{{address: "127.0.0.1:{hop.smtp_port}", mode: smarthost}},'
                         f' {{address: "127.0.0.1:{port}", mode: submission, auth: required}}]')
    hop.start()
    hop.cli("credential", "add", "inbound", "alice", "--password-file", password_file(hop, place, PASSWORD), check=True)
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{port}", tls: encrypt, credential: hop}}'])
    sealpost.start()
    sealpost.cli("credential", "add", "upstream", "hop", "--login", "alice", "--password-file",
                 password_file(sealpost, place, PASSWORD), check=True)
    send(sealpost, "a@there.example")
    sink.wait_for(1, 60)
    assert sealpost.relay.events("upstream-unverified")  # its certificate is its own
    sealpost.wait_empty()
