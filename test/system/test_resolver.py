# SPDX-License-Identifier: Apache-2.0
"""What relay finds out about its resolver, with real zones signed under the test's own root: a resolver that strips
signatures, one that is away, an anchor that is wrong, and one that is put right while relay runs."""
import os
import selectors
import shutil
import signal
import socket
import threading

import harness
import pytest
import tls_dns
import tls_world

pytestmark = pytest.mark.skipif(not tls_world.available(), reason="needs root, nsd and ldnsutils")

DS = ". IN DS 12345 13 2 " + "ab" * 32 + "\n"  # of no key there is


class Stripper:
    """Hands questions on to nsd without EDNS, as an old forwarder does: so no answer has a signature."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.up = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.up.settimeout(2)
        self.up.connect(("127.0.0.1", tls_dns.NSD_PORT))
        self.wake, self.woken = socket.socketpair()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        with selectors.DefaultSelector() as s:
            s.register(self.socket, selectors.EVENT_READ)
            s.register(self.woken, selectors.EVENT_READ)
            while all(key.fileobj is self.socket for key, _ in s.select()):
                query, peer = self.socket.recvfrom(4096)
                at = query.index(0, 12) + 5
                try:
                    self.up.send(query[:10] + b"\0\0" + query[12:at])
                    self.socket.sendto(self.up.recv(4096), peer)
                except OSError:
                    pass

    def stop(self):
        self.wake.send(b"x")
        self.thread.join()
        for s in (self.socket, self.up, self.wake, self.woken):
            s.close()


@pytest.fixture(scope="module")
def world(request):
    with tls_world.inside(request, "resolver") as w:
        w.domain("shop.example").host()
        w.publish()
        w._keep(Stripper("127.0.0.9"))
        yield w


@pytest.fixture
def relay(world):
    """relay(server, anchor) started; gone with its state at the end."""
    made = []

    def start(server=tls_world.RELAY_ASKS, anchor=None, **more):
        s = world.relay(dns=f'{{servers: ["{server}@53"], trust_anchor: {anchor or world.zones.anchor}}}', **more)
        made.append(s)
        return s
    yield start
    for s in made:
        s.kill()
        shutil.rmtree(s.dir)


def first_result(s):
    """The first result of the self-test: (facts of its log line, the status)."""
    facts = harness.wait_for("the self-test", lambda: s.relay.events("dns-selftest"), 70)[0][3]
    return facts, s.status()["relay"]["dns"]


def waiting(s):
    return harness.wait_for("an attempt", lambda: [q for q in s.queue() if q["attempts"]], 60)[0]


def test_a_resolver_that_passes_signatures_on_validates(world, relay):
    s = relay()
    facts, dns = first_result(s)
    assert facts["result"] == dns["selftest"] == "validates"
    assert dns["anchor"] == world.zones.anchor
    assert f"answers are validated from {world.zones.anchor}" in s.cli("status").stdout
    assert not s.relay.events("dns-bogus")


def test_a_resolver_that_strips_signatures_is_named_and_mail_waits(world, relay):
    s = relay("127.0.0.9")
    facts, dns = first_result(s)
    assert facts["result"] == dns["selftest"] == "stripped" and "strips" in facts["what"]
    r = s.cli("status")
    assert r.returncode == 1
    assert "warning: DNS: the resolver strips DNSSEC records: mail waits; name another one in dns.servers" in r.stdout
    sender = "stripped@" + tls_world.SENDER
    world.send(s, ["a@shop.example"], sender)
    item = waiting(s)
    assert item["reason"] == "name lookup failed" and "DNSSEC" in item["reply"]
    assert not world.came("shop.example", sender) and not world.in_clear("shop.example", sender)


def test_a_resolver_that_is_away_is_told_from_one_that_strips(relay):
    s = relay("127.0.0.10")
    facts, dns = first_result(s)
    assert facts["result"] == dns["selftest"] == "unreachable"
    assert "warning: DNS: no resolver answers: mail waits" in s.cli("status").stdout


def test_a_wrong_anchor_is_told_and_a_right_one_is_taken_up_without_a_restart(world, relay, place):
    anchor = os.path.join(place, "anchor.key")

    def write(text):
        with open(anchor + ".new", "w") as f:
            f.write(text)
        os.chmod(anchor + ".new", 0o644)
        os.replace(anchor + ".new", anchor)
    os.chmod(place, 0o755)
    write(DS)
    s = relay(anchor=anchor, retry="{first: 1s, max: 1s, expire: 5d}")
    facts, dns = first_result(s)
    assert facts["result"] == dns["selftest"] == "bogus"
    sender = "anchor@" + tls_world.SENDER
    world.send(s, ["a@shop.example"], sender)
    assert waiting(s)["reason"] == "name lookup failed"
    with open(world.zones.anchor) as f:
        write(f.read())
    s.wait_empty()
    assert s.relay.events("dns-anchor-renewed")
    assert len(world.came("shop.example", sender)) == 1


def test_an_anchor_file_without_an_anchor_is_refused_at_start(world, place):
    anchor = os.path.join(place, "anchor.key")
    with open(anchor, "w") as f:
        f.write("; nothing yet\n")
    os.chmod(anchor, 0o644)
    os.chmod(place, 0o755)
    s = world.relay(start=False, dns=f"{{trust_anchor: {anchor}}}")
    try:
        s.keyd.start()
        with pytest.raises(harness.Failure):
            s.relay.start()
        assert s.relay.events("out-unusable")[0][3]["why"] == "dns.trust_anchor: no usable anchor file"
    finally:
        s.kill()
        shutil.rmtree(s.dir)


def test_a_file_of_authorities_that_cannot_be_read_is_refused_at_start_and_at_reload(world, place):
    os.chmod(place, 0o755)
    missing = os.path.join(place, "missing.pem")
    s = world.relay(start=False)
    conf = s.read("relay.yaml")
    wrong = conf.replace(world.ca_file, missing)
    assert wrong != conf
    try:
        s.write("relay.yaml", wrong)
        s.keyd.start()
        s.relay.start(wait=False)
        assert s.relay.child.wait(30) == 75
        (level, _, _, facts), = s.relay.events("start-refused")
        assert level == "error" and facts["why"].startswith(missing + ": ")
        s.write("relay.yaml", conf)
        s.start("relay")
        s.write("relay.yaml", wrong)
        s.relay.signal(signal.SIGHUP)
        harness.wait_for("the refusal", lambda: s.relay.events("reload-refused"))
        assert s.relay.events("reload-refused")[0][3]["why"].startswith(missing + ": ")
        s.write("relay.yaml", conf)
        world.forget(s)
        assert world.outcome(s, "a@shop.example", sender="authorities@" + tls_world.SENDER)[0] == "delivered"
    finally:
        s.kill()
        shutil.rmtree(s.dir)
