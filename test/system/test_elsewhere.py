# SPDX-License-Identifier: Apache-2.0
"""Postfix on another host: it reaches milter and relay through a network, which can go away. The two hosts are network
namespaces of the test's own, with a wire between them; nothing of the machine's network changes."""
import contextlib
import ctypes
import json
import os
import re
import shutil
import smtplib
import subprocess

import pytest

import campaigns
import harness

NEWNET = 0x40000000
HERE, THERE, STRANGER = "10.9.0.1", "10.9.0.2", "10.9.0.3"
RCPT = "reader@there.example"
TRACK = ("example.yaml", "track: null", "track: {host: t.shop.example, clicks: true, unsubscribe: https, consent: clicks}")
STREAMS = """
customers:
  - {sender: shop.example, customer: default, stream: news}
streams:
  - {name: news, policy: enforce}
"""

pytestmark = pytest.mark.skipif(not harness.Postfix.available() or not shutil.which("nsenter"), reason="needs root, Postfix")


def libc(call, *args):
    if getattr(ctypes.CDLL(None, use_errno=True), call)(*args):
        raise OSError(ctypes.get_errno(), call)


def ip(*args, inside=()):
    subprocess.run([*inside, "ip", *args], check=True, capture_output=True)


@contextlib.contextmanager
def two_hosts():
    """This thread, and what it starts, is on the one; yields the beginning of a command that runs on the other."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    libc("unshare", NEWNET)
    holder = None
    try:
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holder.stdout.readline()
        there = ["nsenter", "--net", "-t", str(holder.pid)]
        ip("link", "set", "lo", "up")
        ip("link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", str(holder.pid))
        ip("address", "add", HERE + "/24", "dev", "wire")
        for address in (THERE, STRANGER):
            ip("address", "add", address + "/24", "dev", "wire", inside=there)
        ip("link", "set", "lo", "up", inside=there)
        ip("link", "set", "wire", "up", inside=there)
        ip("link", "set", "wire", "up")
        yield there
    finally:
        if holder:
            holder.stdin.close()
            holder.wait()
        libc("setns", home, NEWNET)
        os.close(home)


class World:
    def __init__(self, place, there):
        self.there, self.running = there, []
        self.sink = self.run(harness.Sink(os.path.join(place, "sink"), keep=True))
        self.s = s = harness.Sealpost(os.path.join(place, "sealpost"))
        self.running.append(s)
        s.configure([f'{{domain: "*", to: "127.0.0.1:{self.sink.port}", tls: encrypt}}'], trusted=f'["{THERE}/32", "127.0.0.1/32"]',
                    listen=f'[{{address: "0.0.0.0:{s.smtp_port}", mode: smarthost, customer: default}}]')
        s.write("milter.yaml", re.sub(r"(?m)^listen: .*", f"listen: inet:{s.milter_port}@0.0.0.0", s.read("milter.yaml")) + STREAMS)
        s.start("keyd", "relay")
        source = campaigns.source(os.path.join(place, "source"), s.uid, [TRACK])
        campaigns.activate(s, source, campaigns.enroll(s))
        s.start("milter")
        harness.wait_for("the campaign", lambda: s.milter.events("campaigns-ready"))
        shutil.copy(s.path("relay.pem"), os.path.join(place, "relay.pem"))
        self.postfix = harness.Postfix(
            os.path.join(place, "postfix"), relayhost=f"[{HERE}]:{s.smtp_port}", smtp_tls_security_level="encrypt",
            smtpd_milters=f"inet:{HERE}:{s.milter_port}", milter_default_action="tempfail", milter_connect_timeout="2s",
            host=THERE, mynetworks=f"{HERE}/32 {THERE}/32", smtp_bind_address=THERE)
        self.postfix.before = there
        self.run(self.postfix)

    def run(self, thing):
        self.running.append(thing)
        return thing.start()

    def stop(self):
        for thing in reversed(self.running):
            getattr(thing, "kill", thing.stop)()

    def send(self, mid, **how):
        """(code, text) of Postfix for an instance of the campaign."""
        value = campaigns.header(self.s, RCPT, message_id=f"<{mid}@shop.example>")
        with smtplib.SMTP(THERE, self.postfix.port, timeout=30) as c:
            try:
                c.sendmail("news@shop.example", [RCPT], campaigns.message(RCPT, message_id=f"<{mid}@shop.example>", campaign=value, **how),
                           ["BODY=8BITMIME"])
                return 250, ""
            except smtplib.SMTPDataError as e:
                return e.smtp_code, e.smtp_error.decode()
            except smtplib.SMTPSenderRefused as e:
                return e.smtp_code, e.smtp_error.decode()

    def arrived(self, mid):
        def get():
            return next((m for m, _, _ in self.sink.kept() if f"<{mid}@".encode() in m), None)
        return harness.wait_for("the message to arrive", get)


@pytest.fixture(scope="module")
def world():
    place = harness.scratch("elsewhere")
    with two_hosts() as there:
        w = World.__new__(World)
        try:
            w.__init__(place, there)
            yield w
        finally:
            w.stop()
    shutil.rmtree(place, ignore_errors=True)


def links(message):
    return re.findall(rb"https://t\.shop\.example/[cu]/[A-Za-z0-9_-]{44,}", message)


def test_a_campaign_goes_through_the_postfix_of_another_host(world):
    assert world.send("true") == (250, "")
    got = world.arrived("true")
    assert len(links(got)) >= 2 and b"X-DoPosta" not in got
    # relay believes the trace of that host: the delivery is one of the campaign
    row, = harness.wait_for("the ledger", lambda: json.loads(world.s.cli("deliveries", "--json", check=True).stdout))
    assert (row["customer"], row["campaign"], row["outcome"]) == ("default", "example", "delivered")


def test_what_differs_is_refused_there(world):
    code, text = world.send("altered", replace=[("<p>Shop</p>", "<p>evil</p>")])
    assert code == 550 and re.fullmatch(r"5\.7\.1 Campaign refused, report [0-9a-z]{13}", text), text


def test_another_client_may_not_say_what_the_milter_says(world):
    """From an address that is not trusted relay takes nothing, and so no trace header either."""
    code = "import smtplib, sys; c = smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=10, source_address=(sys.argv[3], 0)); " \
           "c.ehlo(); c.mail('news@shop.example'); print(c.rcpt('reader@there.example')[0])"
    out = subprocess.run([*world.there, "/usr/bin/python3", "-c", code, HERE, str(world.s.smtp_port), STRANGER],
                         capture_output=True, text=True, timeout=30)
    assert out.stdout.strip() in ("550", "554"), out.stdout + out.stderr


def test_without_the_network_mail_waits_with_its_sender(world):
    ip("link", "set", "wire", "down", inside=world.there)
    code = "import smtplib, sys; c = smtplib.SMTP(sys.argv[1], int(sys.argv[2]), timeout=30); c.ehlo(); " \
           "print(c.mail('news@shop.example')[0], c.rcpt('reader@there.example')[0], c.docmd('DATA')[0])"
    try:
        out = subprocess.run([*world.there, "/usr/bin/python3", "-c", code, THERE, str(world.postfix.port)],
                             capture_output=True, text=True, timeout=60)
        assert set(out.stdout.split()) <= {"250", "451", "503", "554"} and "451" in out.stdout, out.stdout + out.stderr
    finally:
        ip("link", "set", "wire", "up", inside=world.there)
    harness.wait_for("the wire", lambda: harness.connects(world.postfix.port, THERE))
    assert world.send("again") == (250, "")
    assert links(world.arrived("again"))
