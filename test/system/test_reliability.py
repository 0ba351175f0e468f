# SPDX-License-Identifier: Apache-2.0
"""Faults under load, a few cycles each; `make soak` runs the same for hours. The account is in reliability.py."""
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
