# SPDX-License-Identifier: Apache-2.0
"""An older copy of keyd's store is put back: relay remembers, keyd locks and says so, an officer decides."""
import os
import shutil
import smtplib

import harness
import keyd_wire as wire
import pytest
from keyd_wire import Client, Refused

FILES = ("store.snap", "store.journal")


@pytest.fixture
def running(sealpost, sink):
    s = sealpost
    s.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    with open(s.path("keyd.yaml"), "a") as f:  # a second user who may do all, the test's own
        if os.getuid() != s.uid:
            f.write(f'  "{os.getuid()}": [relay, officer]\n')
    s.write("keyd.yaml", s.read("keyd.yaml").replace("socket_mode: \"0660\"", "socket_mode: \"0666\""))
    return s.start()


def officer(s):
    return Client(s.path("run", "keyd-admin.sock"), "officer")


def add(s, *names):
    with officer(s) as o:
        for name in names:
            o.customer_add(name)


def witness(s):
    with open(s.path("relay", "keyd.witness")) as f:
        lines = f.read().splitlines()
    assert lines[0] == "sealpost-witness 1"
    kind, generation, sequence, name, branch = lines[2].split()
    assert (kind, name) == ("mark", "branch") and len(branch) == 16
    return int(generation), int(sequence), branch


def shown_to_relay(s):
    """Relay asks at each connect: a new one hears of all that has happened."""
    s.relay.stop()
    s.relay.start()
    s.wait_keyd()
    at = witness(s) if os.path.exists(s.path("relay", "keyd.witness")) else (0, 0, "")
    harness.wait_for("relay to know the mark", lambda: witness(s)[1] >= sequence(s), 20)
    return at


def sequence(s):
    """By a second client in relay's role: WITNESS with zeros is answered with the mark."""
    with Client(s.path("run", "keyd.sock"), "relay") as r:
        return int.from_bytes(r.call("witness", bytes(16 + 24 + 4 + 2))[24:32], "big")


def copy(s, name):
    """What somebody would copy while keyd is stopped."""
    s.keyd.stop()
    there = os.path.join(s.dir, name)
    os.mkdir(there)
    for f in FILES:
        shutil.copy2(s.path("keyd", f), there)
    shutil.copytree(s.path("keyd", "audit"), os.path.join(there, "audit"))  # a witness too
    s.keyd.start()
    s.wait_keyd()
    return there


def put_back(s, there):
    s.keyd.stop()
    for f in FILES:
        shutil.copy2(os.path.join(there, f), s.path("keyd", f))
        if os.getuid() == 0:
            os.chown(s.path("keyd", f), s.uid, s.uid)
    shutil.rmtree(s.path("keyd", "audit"))
    shutil.copytree(os.path.join(there, "audit"), s.path("keyd", "audit"))
    for f in ("", *os.listdir(s.path("keyd", "audit"))):
        os.chown(s.path("keyd", "audit", f), s.uid, s.uid)
    s.keyd.start()


def send(s):
    with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=30) as c:
        c.ehlo("a.example")
        return c.mail("a@a.example")


def knows(s, *names):
    with Client(s.path("run", "keyd.sock"), "relay") as r:
        for name in names:
            try:
                r.derive_new(name, [b"x"])
            except Refused as e:
                assert e.status == wire.E_NOTFOUND
                return False
    return True


def test_an_older_copy_is_served_to_nobody_until_an_officer_accepts_it(running):
    s = running
    add(s, "one")
    old = copy(s, "old")
    add(s, "two", "three")
    shown_to_relay(s)
    put_back(s, old)
    s.wait_keyd("locked")
    code, text = send(s)
    assert code == 451 and text.startswith(b"4.3.0")
    (_, _, _, said), = s.keyd.events("store-rolled-back")
    assert said["witness"] == "relay" and int(said["sequence"]) < int(said["witness_sequence"])
    assert "older copy" in s.cli("status").stdout
    with officer(s) as o:
        with pytest.raises(Refused) as no:
            o.unseal("file")
        assert no.value.status == wire.E_ROLLBACK
    r = s.cli("key", "accept-rollback")
    assert r.returncode == 64 and "--yes" in r.stderr
    s.cli("key", "accept-rollback", "--yes", check=True)
    s.wait_keyd()
    assert s.keyd.events("rollback-accepted")
    assert knows(s, "one") and not knows(s, "two")
    assert s.cli("key", "accept-rollback", "--yes").returncode == 75  # nothing to accept any more
    said = len(s.keyd.events("store-rolled-back"))
    # What was accepted stays accepted, over restarts of both.
    s.keyd.stop()
    s.keyd.start()
    shown_to_relay(s)
    add(s, "four")
    s.keyd.stop()
    s.keyd.start()
    shown_to_relay(s)
    assert knows(s, "one", "four") and len(s.keyd.events("store-rolled-back")) == said
    assert send(s)[0] == 250


def test_an_older_copy_that_was_used_meanwhile_is_told_by_its_branch(running):
    s = running
    add(s, "one")
    old = copy(s, "old")
    add(s, "two")
    shown_to_relay(s)
    known = witness(s)
    # The copy is used without relay, until it has come further than relay remembers.
    s.relay.stop()
    put_back(s, old)
    harness.wait_for("keyd to be open", lambda: officer_state(s) == "ready")
    add(s, *(f"other-{i}" for i in range(10)))
    assert sequence(s) > known[1]
    s.relay.start()
    s.wait_keyd("locked")
    assert s.keyd.events("store-rolled-back") and s.relay.events("keyd-store-older")
    assert witness(s) == known  # relay keeps what it knew
    assert send(s)[0] == 451


def officer_state(s):
    with officer(s) as o:
        return o.state


def test_the_right_store_put_back_needs_no_officer(running):
    s = running
    old = copy(s, "old")
    add(s, "two")
    right = copy(s, "right")
    shown_to_relay(s)
    put_back(s, old)
    s.wait_keyd("locked")
    put_back(s, right)
    s.wait_keyd()
    assert knows(s, "two")


def test_a_witness_file_that_is_damaged_is_said_and_begun_anew(running):
    s = running
    add(s, "one")
    shown_to_relay(s)
    s.relay.stop()
    with open(s.path("relay", "keyd.witness"), "r+") as f:
        f.seek(3)
        f.write("?")
    s.relay.start()
    s.wait_keyd()
    harness.wait_for("a new witness file", lambda: witness_or_none(s) is not None)
    assert s.relay.events("witness-unreadable") and witness(s)[1] == sequence(s)


def witness_or_none(s):
    try:
        return witness(s)
    except (AssertionError, OSError, IndexError):
        return None


def test_a_new_store_is_told_from_an_old_one(running):
    s = running
    add(s, "one")
    shown_to_relay(s)
    s.stop()
    for f in FILES:
        os.unlink(s.path("keyd", f))
    s.keyd.start()
    with officer(s) as o:
        o.init(("file",))
        o.customer_add("default")
        o.key_add("tls/relay", "ec-p256")
    s.relay.start()
    s.wait_keyd()
    harness.wait_for("relay to say so", lambda: s.relay.events("keyd-store-replaced"))
