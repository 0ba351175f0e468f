# SPDX-License-Identifier: Apache-2.0
"""KEKs change while keyd serves: nothing is lost and nobody waits, whenever it dies, is locked or is paused.

`make check-rotation` runs the same with keyd killed at every single write of a larger store (SEALPOST_LONG=1)."""
import os
import re
import signal
import subprocess
import threading

import harness
import keyd_wire as wire
import pytest
from test_keyd import Keyd

SLOTS = "[{method: file, path: root.key}]"
# Ourselves, and keyd's own user, as whom sealpost runs.
PEERS = {uid: "[relay, milter, officer, operator, auditor]" for uid in {os.getuid(), harness.UID if os.getuid() == 0 else os.getuid()}}
LONG = bool(os.environ.get("SEALPOST_LONG"))


def as_user(k):
    def become():
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(k.uid)
            os.setuid(k.uid)
    return become


def cli(k, *args):
    """sealpost against this keyd: its sockets lie where a prefix's would."""
    prefix = os.path.dirname(k.dir)
    run = os.path.join(prefix, "run")
    if not os.path.exists(run):
        os.symlink(k.dir, run)
    return subprocess.run([harness.program("sealpost"), "--prefix", prefix, "key", *args], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL, preexec_fn=as_user(k))


def fill(k, count):
    """So many customers, customer-0 and on."""
    assert k.stop() == 0
    subprocess.run([harness.program("keyd_fill"), k.conf, str(count)], check=True, preexec_fn=as_user(k),
                   stderr=subprocess.DEVNULL)
    k.start()


@pytest.fixture
def make(place, parts):
    def make(customers, extra=""):
        k = Keyd(place, SLOTS, PEERS, extra).start()
        parts.append(k)
        with k.officer() as o:
            o.init(("file",))
        fill(k, customers)
        return k
    return make


def seal_all(k, customers):
    """A sealed field of each customer."""
    with k.relay() as r:
        return [r.fields("seal-fields", f"customer-{i}", "field", [(b"aad", b"text %d" % i)])[0][1]
                for i in range(customers)]


def open_all(k, sealed):
    with k.relay() as r:
        for i, data in enumerate(sealed):
            assert r.fields("open-fields", f"customer-{i}", "field", [(b"aad", data)]) == [(wire.OK, b"text %d" % i)]


def rotation(k):
    with k.officer() as o:
        return o.status()["rotation"]


def wait_rotated(k, seconds=60):
    def done():
        r = rotation(k)
        return not r["asked"] and "shard" not in r
    harness.wait_for("the rotation to end", done, seconds, 0.05)


def versions(k):
    with k.officer() as o:
        return [row["version"] for row in o.schedule()]


class Clients:
    """Two threads that seal, open and derive all the time; every answer must be good."""

    def __init__(self, k, sealed):
        self.k, self.sealed, self.asked, self.wrong = k, sealed, [0, 0], []
        self.end = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(2)]

    def run(self, n):
        try:
            with self.k.relay() as r:
                i = n
                while not self.end.is_set():
                    i = (i + 7919) % len(self.sealed)
                    name = f"customer-{i}"
                    good = r.fields("open-fields", name, "field", [(b"aad", self.sealed[i])]) == [(0, b"text %d" % i)]
                    new = r.derive_new(name, [b"x"])[0]
                    again = r.derive_existing([(name, "spool", new.keyref, new.salt, b"x")])[0]
                    if not good or again.key != new.key or again.status:
                        self.wrong.append(name)
                    self.asked[n] += 1
        except Exception as e:  # noqa: BLE001 - what it was is in the report of the test
            self.wrong.append(repr(e))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        for t in self.threads:
            t.join()


def check_store(k, version=2):
    """What a second implementation finds in the files of a keyd that is stopped."""
    store = k.read_store()
    assert "rotation/asked" not in store.notes
    assert all(v == version for _, v in store.wrapped_by.values())
    assert all(store.kek_states[shard, version] == "active" for shard in range(256))
    assert all(state == "retired" for (_, v), state in store.kek_states.items() if v < version)
    return store


def test_everything_opens_and_nobody_notices_while_all_shards_are_rotated(make):
    customers = 2000
    k = make(customers)
    sealed = seal_all(k, customers)
    before = {n: key for n, key in k.read_store().deks.items()}
    with Clients(k, sealed) as c:
        r = cli(k, "rotate", "kek", "--wait")
        assert r.returncode == 0 and r.stdout.endswith("All are done.\n"), r.stdout + r.stderr
        assert re.search(r"shards? wait", r.stdout)
    assert not c.wrong and min(c.asked) > 100
    assert versions(k) == [2] * 256
    open_all(k, sealed)
    with k.officer() as o:
        o.customer_add("later")
        status = o.status()
        assert status["keks"] == 512 and status["rotation"] == {"paused": False, "asked": 0}
    assert len(k.process.events("rotation-done")) == len(k.process.events("kek-retired")) == 256
    assert k.stop() == 0
    store = check_store(k)
    assert len(store.deks) == customers + 1 and {n: store.deks[n] for n in before} == before


def test_one_shard_and_the_schedule(make):
    k = make(50)
    assert cli(k, "rotate", "kek", "--shard", "17", "--wait").returncode == 0
    assert versions(k) == [1] * 17 + [2] + [1] * 238
    r = cli(k, "schedule", "--all")
    assert r.returncode == 0, r.stderr
    rows = [line.split() for line in r.stdout.split("KEKs\n")[1].splitlines()]
    assert rows[0] == ["SHARD", "VERSION", "CREATED", "DUE", "DEKS", "LEFT", "OLDER"] and len(rows) == 257
    assert rows[1][:2] == ["0", "1"] and [r for r in rows if r[0] == "17"][0][1] == "2"
    due = [" ".join(r[4:6]) for r in rows[1:]]
    assert due == sorted(due)
    r = cli(k, "schedule")
    assert "244 more shards are due later: --all shows them." in r.stdout
    for wrong in (("kek", "--shard", "256"), ("kek", "--shard"), ("kek", "--fast"), ("--pause", "--resume")):
        assert cli(k, "rotate", *wrong).returncode == 64
    with k.officer() as o:
        for body in (b"\1\x03256\0", b"\1\x03all\2", b"\0\x03all\0", b"\1\x03all\1"):
            with pytest.raises((EOFError, BrokenPipeError)):
                wire.Client(k.admin, "officer").call("rotate", body)
        assert o.status()["bad_frames"] == 4


def test_destroyed_at_once_if_it_is_urgent(make):
    k = make(600)
    sealed = seal_all(k, 600)
    old = k.read_store().keks
    assert cli(k, "rotate", "--pause").returncode == 0
    with k.officer() as o:
        o.rotate("kek", "99", flags=2)  # answered when it is done
        row = o.schedule()[99]
        assert row["version"] == 2 and row["left"] == 0 and row["older"] == []
        assert o.status()["keks"] == 256
    store = k.read_store()  # files of a keyd that runs: the old KEK is in none of them
    assert (99, 1) not in store.keks and store.keks[99, 2] != old[99, 1]
    open_all(k, sealed)


def test_pause_holds_and_outlives_a_restart(make):
    k = make(2000, extra="rotation: {rate: 1000}\n")
    sealed = seal_all(k, 2000)
    with k.officer() as o:
        o.rotate("kek", "all")
        harness.wait_for("some shards to be done", lambda: o.status()["rotation"]["asked"] < 250)
        o.rotation("pause")
        half = o.status()["rotation"]
        assert half["paused"] and half["asked"] > 100
        mixed = [row["version"] for row in o.schedule()]
        assert 1 in mixed and 2 in mixed
    open_all(k, sealed)
    r = cli(k, "rotate", "kek", "--shard", "0", "--wait")
    assert r.returncode == 75 and "paused" in r.stderr
    k.kill()
    k.start()
    assert rotation(k)["paused"] and rotation(k)["asked"] >= half["asked"]
    open_all(k, sealed)
    k.configure(SLOTS, PEERS, "rotation: {rate: 100000}\n")
    k.process.signal(1)
    harness.wait_for("the reload", lambda: k.process.events("reloaded"))
    assert cli(k, "rotate", "--resume").returncode == 0
    wait_rotated(k)
    assert set(versions(k)[1:]) == {2}
    open_all(k, sealed)


def test_lock_and_unseal_in_the_middle(make):
    k = make(2000, extra="rotation: {rate: 3000}\n")
    sealed = seal_all(k, 2000)
    with k.officer() as o:
        o.rotate("kek", "all")
        for _ in range(5):
            asked = o.status()["rotation"]["asked"]
            harness.wait_for("it to go on", lambda: o.status()["rotation"]["asked"] < asked or not asked)
            o.lock()
            assert o.status()["rotation"] == {}
            o.unseal("file")
            assert o.status()["state"] == "ready"
        wait_rotated(k)
    open_all(k, sealed)
    assert k.stop() == 0
    check_store(k)


def test_a_late_kek_is_rotated_by_itself_and_destroyed_after_grace(make):
    k = make(300, extra="rotation: {kek: 1s, grace: 1s}\n")
    sealed = seal_all(k, 300)

    def destroyed():  # keyd looks once a minute, and when its configuration is read again
        k.process.signal(signal.SIGHUP)
        return k.process.events("kek-destroyed")

    harness.wait_for("a destruction", destroyed, 30, 0.5)
    assert k.process.events("rotation-begun")[0][3]["why"] == "due"
    open_all(k, sealed)


def test_killed_at_every_write_it_loses_nothing_and_ends_what_it_began(make):
    """keyd_faulty dies at the Nth step of writing: before a write, before the sync, after it, in each part of a snapshot.
    Then the real keyd starts, every field opens, and the rotation of the shards that were asked for ends."""
    customers, shards = (300, 24) if LONG else (40, 3)
    k = make(customers, extra="rotation: {grace: 0s}\n")
    sealed = seal_all(k, customers)
    faulty = harness.program("keyd_faulty")
    good = k.process.argv[0]
    died = n = 0
    while True:
        n += 1
        before = versions(k)
        assert k.stop() == 0
        k.process.argv[0], k.process.env = faulty, {"SEALPOST_FAULT": str(n)}
        try:
            k.start()
            with k.officer() as o:
                for shard in range(shards):
                    o.rotate("kek", str(shard))
            wait_rotated(k)
            k.stop()
        except (harness.Failure, OSError, EOFError, AssertionError):
            pass
        code = k.process.child.wait(20)
        k.process.argv[0], k.process.env = good, None
        assert code in (0, -9), f"died by itself at step {n}: {code}\n{k.process.tail()}"
        died += code == -9
        k.start()
        wait_rotated(k)
        open_all(k, sealed)
        after = versions(k)
        assert all(a >= b for a, b in zip(after, before))
        with k.officer() as o:
            assert all(row["left"] == 0 for row in o.schedule())
        if code == 0:
            break
    assert died == n - 1 and died > 8 * shards
    assert k.stop() == 0
    store = k.read_store()
    assert len(store.deks) == customers
    assert all(store.wrapped_by[r][1] == max(v for s, v in store.keks if s == store.wrapped_by[r][0]) for r in store.deks)
