# SPDX-License-Identifier: Apache-2.0
"""Faults under load, a few cycles each; `make soak` runs the same for hours. The account is in reliability.py."""
import json
import os
import random
import time

import harness
import pytest
import reliability

SEED = int(os.environ.get("SEALPOST_SEED", time.time_ns() % 1000000))
CYCLES = {"clock jumps": 2, "disk full": 1, "compaction": 2}
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="mounts a small tmpfs, limits a daemon of another user: needs root")


def told(name):
    """The seed, so that a run that fails can be had again."""
    print(f"SEALPOST_SEED={SEED}")
    return random.Random(f"{SEED} {name}")


@needs_root
@pytest.mark.parametrize("fault", reliability.FAULTS)
def test_nothing_is_lost_or_damaged_and_little_comes_twice_after(fault, place, parts):
    row, _ = reliability.run(fault, place, told(fault), parts, CYCLES.get(fault, 3))
    reliability.show([row])
    assert row["felt"], "the fault never met anything"
    assert not reliability.wrong(row), row


def test_the_account_notices_a_disk_that_lies(place, parts):
    """A control: without it, no loss would prove nothing."""
    w = reliability.plain(place, told("control"), parts)
    w.sealpost.start()
    w.measure()
    reliability.lying_disk(w)
    w.drain()
    row = w.account("control")
    assert row["acked"] and row["lost"], row


def test_a_cut_after_the_final_dot_doubles_that_message_and_no_other(place, parts):
    rng = told("cut")
    w = reliability.with_receiver(place, rng, parts)
    w.sealpost.start()
    r = w.receiver
    r.rules["dot"] = lambda s, m: reliability.CUT if rng.random() < 0.2 else None
    w.end(w.begin(messages=200, tls=False))
    harness.wait_for("all to have come once", lambda: len(r.came) >= 200)
    r.rules.clear()
    w.drain()
    assert w.acked == set(r.came) and r.damaged == 0
    assert r.cut_after_dot
    assert {n: times - 1 for n, times in r.came.items() if times > 1} == r.cut_after_dot


@needs_root
@pytest.mark.parametrize("seconds", [reliability.HOUR, -reliability.HOUR, 2145916800 - time.time(), 1000 - time.time()],
                         ids=["an hour on", "an hour back", "to 2038", "to 1970"])
def test_a_clock_that_jumps_while_mail_waits_makes_no_storm_and_expires_nothing(seconds, place, parts):
    w = reliability.with_receiver(place, told("clock"), parts)
    w.sealpost.start()
    reliability.clock_jumps(w, seconds)
    w.drain()
    row = w.account("clock")
    assert not reliability.wrong(row), row


@pytest.mark.parametrize("kind", ["write", "sync"])
def test_a_database_that_cannot_be_written_costs_no_mail_and_no_credential(kind, place, parts):
    """EIO in relay.db: the order fails and says so, mail goes on; what was confirmed is there after a kill."""
    w = reliability.plain(place, told("database"), parts)
    s = w.sealpost
    s.start()
    w.measure()
    w.faults.files("/relay.db")
    with open(s.path("password"), "w") as f:
        f.write("a password\n")
    os.chown(s.path("password"), s.uid, s.uid)
    os.chmod(s.path("password"), 0o600)
    confirmed, failed = set(), set()

    def add(name):
        r = s.cli("credential", "add", "inbound", name, "--password-file", s.path("password"))
        (failed if r.returncode else confirmed).add(name)
        return r

    for i in range(4):
        assert add(f"before{i}").returncode == 0
        w.faults.fail(kind, reliability.EIO)
        burst = w.begin(seconds=8)
        r = add(f"during{i}")
        assert r.returncode != 0 and r.stderr, r.stdout
        assert w.end(burst) > 0
        w.faults.heal()
        harness.wait_for("the database to be written again", lambda: add(f"after{i}").returncode == 0, 10)
        failed.discard(f"after{i}")
        w.restart()
        s.wait_keyd()
        listed = {c["name"] for c in json.loads(s.cli("credential", "list", "--json", check=True).stdout)["items"]}
        assert confirmed <= listed
        # an order whose commit could not be made certain may have happened all the same; it is whole then
        assert listed <= confirmed | failed
    w.drain()
    assert not reliability.wrong(dict(w.account("database"), bound=4 * reliability.CONNECTIONS))
