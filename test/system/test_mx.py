# SPDX-License-Identifier: Apache-2.0
"""Delivery by MX, with a real name server (nsd) on loopback."""
import os
import shutil
import smtplib

import harness
import pytest

pytestmark = pytest.mark.skipif(not shutil.which("nsd") and not os.path.exists("/usr/sbin/nsd"), reason="needs nsd")

ZONE = """\
$ORIGIN {name}.
$TTL 60
@ SOA ns.{name}. host.{name}. 1 60 60 600 60
@ NS ns
ns A 127.0.0.1
{records}
"""


class Nsd:
    def __init__(self, directory, zones):
        os.makedirs(directory, exist_ok=True)
        self.port = harness.free_port()
        conf = os.path.join(directory, "nsd.conf")
        with open(conf, "w") as f:
            f.write(f"server:\n  ip-address: 127.0.0.1@{self.port}\n  zonesdir: {directory}\n  database: \"\"\n"
                    f"  pidfile: {directory}/nsd.pid\n  xfrdfile: {directory}/xfrd\n  zonelistfile: {directory}/zones\n"
                    f"  xfrdir: {directory}\n  username: \"\"\n  chroot: \"\"\n  server-count: 1\nremote-control:\n  control-enable: no\n")
            for name, records in zones.items():
                with open(os.path.join(directory, name), "w") as z:
                    z.write(ZONE.format(name=name, records=records))
                f.write(f"zone:\n  name: {name}\n  zonefile: {name}\n")
        self.process = harness.Process(["/usr/sbin/nsd", "-d", "-c", conf], os.path.join(directory, "nsd.log"),
                                       ready=lambda: harness.connects(self.port))

    def start(self):
        self.process.start()
        return self

    def stop(self):
        self.process.stop()


ZONES = {
    "mail.example": "@ MX 20 b\n@ MX 10 a\na A 127.0.0.9\nb A 127.0.0.1\n",
    "implicit.example": "@ A 127.0.0.1\n",
    "null.example": "@ MX 0 .\n",
    "dead.example": "@ MX 10 a\na A 127.0.0.9\n",
    "nowhere.example": "@ TXT nothing\n",
    "example": "",
}


@pytest.fixture
def mx(sealpost, sink, place, parts):
    nsd = Nsd(os.path.join(place, "nsd"), ZONES).start()
    parts.append(nsd)
    anchor = os.path.join(place, "anchor.key")
    with open(anchor, "w") as f:  # an anchor for another zone: ours are unsigned, and known to be
        f.write("elsewhere.test. IN DS 12345 13 2 " + "ab" * 32 + "\n")
    os.chmod(anchor, 0o644)

    def configure(private_ok='["127.0.0.0/8"]'):
        sealpost.configure([f'{{domain: "from.example", to: "127.0.0.1:{sink.port}", tls: encrypt}}',
                            '{domain: "*", to: mx, tls: opportunistic}'],
                           dns=f'{{servers: ["127.0.0.1@{nsd.port}"], trust_anchor: {anchor}}}',
                           outbound=f"{{port: {sink.port}, private_ok: {private_ok}}}")
        sealpost.start()
        return sealpost
    configure.nsd = nsd
    return configure


def send(s, recipient):
    with smtplib.SMTP("127.0.0.1", s.smtp_port) as c:
        c.sendmail("me@from.example", [recipient], b"Subject: x\r\n\r\nx\r\n")


def only_message(sink):
    sink.wait_for(1, 90)
    (message, envelope, tls), = sink.kept()
    return message, envelope, tls


def test_the_best_host_is_dead_and_the_next_takes_it(mx, sink):
    s = mx()
    send(s, "a@mail.example")
    _, envelope, tls = only_message(sink)
    assert envelope[1].startswith("RCPT TO:<a@mail.example>") and tls.startswith("TLSv1.3")
    assert s.relay.events("delivered")[0][3]["tls"] == "TLSv1.3"


def test_without_mx_the_address_itself_is_the_host(mx, sink):
    send(mx(), "a@implicit.example")
    assert only_message(sink)[1][1].startswith("RCPT TO:<a@implicit.example>")


@pytest.mark.parametrize("domain,status", [("null.example", b"5.1.10"), ("absent.example", b"5.1.2"), ("nowhere.example", b"5.")])
def test_what_can_never_be_delivered_comes_back_at_once(mx, sink, domain, status):
    send(mx(), f"a@{domain}")
    message, envelope, _ = only_message(sink)
    assert envelope[0].startswith("MAIL FROM:<>") and envelope[1].startswith("RCPT TO:<me@from.example>")
    assert b"Status: " + status in message


def test_an_mx_at_a_private_address_is_refused(mx, sink):
    s = mx(private_ok="[]")
    send(s, "a@implicit.example")
    item = harness.wait_for("an attempt", lambda: [q for q in s.queue() if q["attempts"]] or sink.report()["messages"])
    assert item == 1 or item[0]["reason"] == "not allowed by policy"
    assert not [e for _, e, _ in sink.kept() if "implicit" in e[1]]


def test_a_name_server_that_is_down_defers_and_never_bounces(mx, sink):
    s = mx()
    mx.nsd.stop()
    send(s, "a@mail.example")
    item = harness.wait_for("an attempt", lambda: [q for q in s.queue() if q["attempts"]], 60)[0]
    assert item["reason"] == "name lookup failed"
    assert sink.report()["messages"] == 0
    mx.nsd.start()
    only_message(sink)
