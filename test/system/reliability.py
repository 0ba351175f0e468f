# SPDX-License-Identifier: Apache-2.0
"""Faults in cycles, and the account at the end: what was acknowledged arrives whole, or is still queued; what came twice
is bounded by the deliveries that a fault caught in flight.

Used by test_reliability.py (short) and by `make soak` (long: SEALPOST_CYCLES in all, SEALPOST_SEED to repeat a run). One
row a fault: cycles, in how many of them it hit something (felt), acked, delivered, lost, damaged, doubled, bound."""
import json
import os
import random
import shutil
import signal
import smtplib
import subprocess
import sys
import time

import harness
from faults import EIO, ENOSPC, Faults
from receiver import CUT, Receiver

CONNECTIONS = 20  # outbound.connections: deliveries to one destination that a kill can catch
SESSIONS = 20
LENGTH = 0.6  # seconds of load in one cycle, about: faults come within the first two thirds
HOUR = 3600


class World:
    """A set under load, a receiver, and the account of both."""

    def __init__(self, directory, rng, parts, receiver=None, shim=True, **configuration):
        self.dir, self.rng, self.parts = directory, rng, parts
        self.sealpost = harness.Sealpost(os.path.join(directory, "sealpost"))
        parts.append(self.sealpost)
        self.receiver = receiver
        if receiver is None:
            self.sink = harness.Sink(os.path.join(directory, "sink")).start()
            parts.append(self.sink)
        self.port = receiver.port if receiver else self.sink.port
        self.configuration = configuration
        self.configure()
        self.acked, self.sent, self.bound, self.cycles, self.felt = set(), 0, 0, 0, 0
        self.faults = None
        if shim:
            self.faults = Faults(os.path.join(directory, "faults"), self.sealpost.uid)
            self.sealpost.relay.env = self.faults.env()

    def configure(self, **more):
        self.sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{self.port}", tls: opportunistic}}'],
                                **{**self.configuration, **more})

    @property
    def spool(self):
        return self.sealpost.path("relay", "spool")

    def measure(self):
        """How many messages make a cycle on this machine, now."""
        self.end(self.begin(500, 4096))
        self.messages = max(300, min(20000, int(self.said["per_second"] * LENGTH)))

    def begin(self, messages=None, size=None, seconds=20, tls=None):
        """A burst of load in the background: mostly small messages, sometimes of several stretches."""
        size = size or self.rng.choice([1000, 4096, 4096, 4096, 30000, 600000])
        messages = messages or max(20, self.messages * 4096 // max(size, 4096))
        first = self.sent + 1
        self.sent += messages
        acked = os.path.join(self.dir, f"acked.{first}")
        tls = self.rng.random() < 0.5 if tls is None else tls
        child = harness.load(self.sealpost.smtp_port, "--messages", messages, "--sessions", SESSIONS, "--first", first, "--size",
                             size, "--seconds", seconds, "--retry", "--acked", acked, *(["--tls"] if tls else []),
                             wait=False, log=os.path.join(self.dir, "load.log"))
        return child, acked

    def end(self, burst):
        """How many were acknowledged."""
        child, path = burst
        self.said = json.loads(child.communicate(timeout=120)[0])
        with open(path) as f:
            fresh = {int(line) for line in f}
        os.unlink(path)
        self.acked |= fresh
        return len(fresh)

    def pause(self, low=0.0, high=LENGTH * 2 / 3):
        time.sleep(self.rng.uniform(low, high))  # the random moment is the point

    def hold(self, chance=0.5):
        """Perhaps the receiver stands still for a while: then what is acknowledged is in the spool and nowhere else."""
        if not self.receiver and self.rng.random() < chance:
            self.sink.process.signal(signal.SIGSTOP)

    def release(self):
        if not self.receiver:
            self.sink.process.signal(signal.SIGCONT)

    def restart(self, *names):
        for name in names or ("relay",):
            getattr(self.sealpost, name).kill()
        for name in names or ("relay",):
            getattr(self.sealpost, name).start()

    def works(self, seconds=30):
        """Until a message is accepted again, by the same relay."""
        pid = self.sealpost.relay.pid

        def accepted():
            if not self.sealpost.relay.running():
                raise harness.Failure(f"relay ended:\n{self.sealpost.relay.tail()}")
            return self.end(self.begin(messages=1, seconds=2, tls=False)) == 1
        harness.wait_for("mail to be accepted again", accepted, seconds, 0.05)
        assert self.sealpost.relay.pid == pid

    def received(self):
        """{number: how often}, damaged; with the C receiver how often is known in total only."""
        if self.receiver:
            with self.receiver.lock:
                return dict(self.receiver.came), self.receiver.damaged, \
                    sum(self.receiver.came.values()) - len(self.receiver.came)
        report = self.sink.report()
        with open(self.sink.report_path + ".seen") as f:
            return {int(line): 1 for line in f}, report["damaged"], report["duplicates"]

    def feel(self, yes):
        """Whether the fault of this cycle met anything."""
        self.felt += bool(yes)

    def drain(self, seconds=120):
        self.sealpost.wait_keyd()
        self.sealpost.cli("queue", "retry", "--all", check=True)
        self.sealpost.wait_empty(seconds)

    def account(self, name):
        """The row of this fault. The queue is empty: what was acknowledged has come, or has bounced."""
        came, damaged, doubled = self.received()
        counters = self.sealpost.status()["relay"]["counters"]
        return {"fault": name, "cycles": self.cycles, "felt": self.felt, "acked": len(self.acked), "delivered": len(came),
                "lost": len(self.acked - set(came)), "damaged": damaged, "doubled": doubled, "bound": self.bound,
                "bounced": counters["bounces"] + counters["expired"]}


# --- the faults: each is (how to set the world up, one cycle)

def kill_relay(w):
    w.hold()
    burst = w.begin()
    w.pause()
    w.restart("relay")
    w.bound += CONNECTIONS
    w.release()
    w.end(burst)
    w.feel(w.said["lost_connections"])


def kill_keyd(w):
    burst = w.begin()
    w.pause()
    w.sealpost.keyd.kill()
    w.pause(0.0, 0.2)
    w.sealpost.keyd.start()
    w.end(burst)
    w.feel(w.said["refused"] or w.said["lost_connections"])
    w.sealpost.wait_keyd()
    w.works()


def kill_both(w):
    w.hold()
    burst = w.begin()
    w.pause()
    w.restart("relay", "keyd")
    w.bound += CONNECTIONS
    w.release()
    w.end(burst)
    w.feel(w.said["lost_connections"])
    w.sealpost.wait_keyd()


def write_fails(error):
    def cycle(w):
        w.hold()
        before = w.faults.failed("write")
        burst = w.begin(seconds=8)
        w.pause()
        w.faults.fail("write", error, times=w.rng.choice([1, 2, 5, -1]), torn=w.rng.random() < 0.5)
        w.pause(0.05, 0.3)
        w.faults.heal()
        w.end(burst)
        w.feel(w.faults.failed("write") > before)
        w.works()
        if w.rng.random() < 0.5:
            w.bound += unwritten(w) + CONNECTIONS
            w.restart()
        w.release()
        w.works()
    return cycle


def unwritten(w):
    """States of recipients that could not be written: known to relay, not to its disk; a kill forgets them."""
    return sum(int(facts.get("count", 0)) for _, _, _, facts in w.sealpost.relay.events("queue-state-unwritten"))


def sync_fails(w):
    """The sync fails some times, then succeeds on the same descriptor; later the power goes."""
    journal_from_the_start(w)
    w.hold(0.7)
    before = w.faults.failed("sync")
    burst = w.begin(seconds=8)
    w.pause()
    w.faults.fail("sync", EIO, times=w.rng.choice([1, 1, 2, 5]))
    w.end(burst)
    w.feel(w.faults.failed("sync") > before)
    w.faults.heal()
    w.works()
    burst = w.begin(seconds=8)
    w.pause()
    cut(w)
    w.release()
    w.end(burst)


def journal_from_the_start(w):
    if not w.cycles:
        w.sealpost.relay.kill()  # what was measured may still be on its way out
        w.bound += CONNECTIONS
        w.faults.journal()
        w.sealpost.relay.start()


def cut(w):
    w.sealpost.relay.kill()
    _, states = w.faults.power_cut(w.spool, w.rng)
    w.bound += CONNECTIONS + states + unwritten(w)
    w.faults.journal()
    w.sealpost.relay.start()


def power_cut(w):
    """All that is not synced may be gone."""
    journal_from_the_start(w)
    w.hold()
    burst = w.begin()
    w.pause()
    cut(w)
    w.release()
    w.end(burst)
    w.feel(w.said["lost_connections"])


def lying_disk(w):
    """The control: a disk that says it has synced and has not. The account must find what is lost."""
    journal_from_the_start(w)
    w.hold(1)
    w.faults.fail("sync", EIO, lie=True)
    w.end(w.begin(seconds=8))
    cut(w)
    w.faults.heal()
    w.release()


def disk_full(w):
    """No room for another segment: 452, and all goes on when there is."""
    ballast = os.path.join(w.sealpost.path("relay"), "ballast")
    with open(ballast, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(1 << 20))
        except OSError:
            pass
    w.hold(1)
    w.end(w.begin(messages=800, size=200000, seconds=10))
    w.feel(w.said["refused"])
    w.release()
    os.unlink(ballast)
    w.works()
    harness.wait_for("most of it to be delivered", lambda: w.sealpost.status()["relay"]["queue"]["recipients"] < 50, 60)


def descriptors(w):
    """None left: neither for sessions, nor for connections, nor for the next segment."""
    relay = w.sealpost.relay
    hard = harness.descriptor_limit(relay.pid)
    soft = max(8, len(harness.descriptors(relay.pid)) + w.rng.randint(-5, SESSIONS // 2))
    limit_descriptors(w, soft)
    burst = w.begin(seconds=10)
    w.pause(0.1)
    w.feel(len(harness.descriptors(relay.pid)) >= soft)
    limit_descriptors(w, hard)
    w.end(burst)
    w.works()


def limit_descriptors(w, soft):
    """As the daemon's own user: root needs CAP_SYS_RESOURCE for another's process, which containers lack."""
    uid = w.sealpost.uid
    subprocess.run(["prlimit", "--pid", str(w.sealpost.relay.pid), f"--nofile={soft}:"], check=True, capture_output=True,
                   **({"user": uid, "group": uid, "extra_groups": []} if os.getuid() == 0 else {}))


def compaction(w):
    """Some messages wait in segments that are almost dead while large ones come and go; these segments are emptied, and
    in the middle of that relay is killed, the power goes, or the disk fails."""
    r = w.receiver
    journal_from_the_start(w)
    r.rules["rcpt"] = lambda s, line: b"451 4.3.0 later" if number_of(line) % 16 == 0 else None
    for _ in range(3 if not w.cycles else 1):
        w.end(w.begin(messages=110, size=600000, seconds=30))
    before = segments(w)
    how = w.rng.choice(["nothing", "kill", "cut", "write", "sync"])
    if how in ("write", "sync"):
        w.faults.fail(how, EIO, times=w.rng.choice([1, 3]))
    burst = w.begin(messages=60, size=600000)
    w.pause(0.0, 1.5)  # it is looked at once a second
    if how in ("kill", "cut"):
        cut(w) if how == "cut" else w.restart()
        w.bound += CONNECTIONS
    w.end(burst)
    w.faults.heal()
    w.works()
    try:
        harness.wait_for("a segment to be emptied", lambda: before - segments(w), 4)
        w.feel(1)
    except harness.Failure:
        pass  # not in every cycle


def segments(w):
    return {n for n in os.listdir(w.spool) if n.endswith(".seg")}


def number_of(line):
    """RCPT TO:<r123@...>"""
    return int(line[len("RCPT TO:<r"):line.index(b"@")])


def receiver_cuts(w):
    """In the middle of the data, and between the final dot and its answer."""
    r, rng = w.receiver, w.rng
    chance = rng.choice([0.02, 0.1])
    r.rules["line"] = lambda s, n: CUT if n == 20 and rng.random() < chance else None
    r.rules["dot"] = lambda s, m: CUT if rng.random() < chance else None
    burst = w.begin(messages=300)
    w.end(burst)
    harness.wait_for("something to be cut", lambda: any(what == "dot" and reply == "cut" for _, what, _, reply in list(r.log)), 20)
    r.rules.clear()
    w.feel(r.cut_after_dot)
    w.bound = sum(r.cut_after_dot.values())


def clock_jumps(w, jump=None):
    """Mail waits, the clock jumps: no storm of attempts, no expiry, no waiting for ever."""
    r = w.receiver
    w.sealpost.wait_empty()
    r.rules["mail"] = lambda s, line: b"451 4.3.0 later"
    w.end(w.begin(messages=20))
    harness.wait_for("a first attempt", lambda: r.count("mail") > 0)
    now = time.time()
    jump = jump or w.rng.choice([HOUR, -HOUR, 2145916800 - now, 1000 - now])
    w.faults.clock(jump)
    w.feel(1)
    began = time.monotonic()
    w.end(w.begin(messages=5, tls=False))  # what comes in while the clock is wrong waits as well
    w.pause(2.0, 3.0)
    attempts = r.count("mail", began)
    took = time.monotonic() - began
    waiting = w.sealpost.status()["relay"]["queue"]["recipients"]
    # retry.first is 1s: each of the 25 at most once a second
    assert attempts <= 25 * (took + 2), f"{attempts} attempts in {took:.1f} s after a jump of {jump:.0f} s"
    if w.rng.random() < 0.5:
        w.faults.clock(0)
    r.rules.clear()
    harness.wait_for(f"what waits to be delivered after a jump of {jump:.0f} s",
                     lambda: w.sealpost.status()["relay"]["queue"]["recipients"] == 0, 20)
    w.faults.clock(0)
    assert waiting >= 25, f"only {waiting} still wait: a jump of {jump:.0f} s must expire nothing"


def plain(directory, rng, parts):
    return World(directory, rng, parts)


def with_receiver(directory, rng, parts):
    r = Receiver()
    parts.append(r)
    return World(directory, rng, parts, receiver=r)


def small_disk(directory, rng, parts):
    w = World(directory, rng, parts, limits="{free_space: 1M}")
    state = w.sealpost.path("relay")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=210m,uid={w.sealpost.uid},mode=700", "sealpost-soak", state], check=True)
    parts.append(Mounted(state))
    parts.append(w.sealpost)  # ends before the mount does
    return w


class Mounted:
    def __init__(self, path):
        self.path = path

    def stop(self):
        subprocess.run(["umount", self.path], check=True)


# name: (set-up, cycle, share of a soak's cycles)
FAULTS = {
    "kill -9 of relay": (plain, kill_relay, 5),
    "kill -9 of keyd": (plain, kill_keyd, 2),
    "kill -9 of both": (plain, kill_both, 2),
    "power cut": (plain, power_cut, 4),
    "ENOSPC on write": (plain, write_fails(ENOSPC), 3),
    "EIO on write": (plain, write_fails(EIO), 3),
    "EIO on fdatasync, then a power cut": (plain, sync_fails, 3),
    "disk full": (small_disk, disk_full, 1),
    "compaction": (with_receiver, compaction, 1),
    "no descriptors": (plain, descriptors, 2),
    "receiver cut in the data and after the dot": (with_receiver, receiver_cuts, 2),
    "clock jumps": (with_receiver, clock_jumps, 1),
}


def run(name, directory, rng, parts, cycles, set_up=None, cycle=None):
    """Cycles of one fault, then the account."""
    if set_up is None:
        set_up, cycle, _ = FAULTS[name]
    w = set_up(directory, rng, parts)
    w.sealpost.start()
    w.measure()
    while w.cycles < cycles or (not w.felt and w.cycles < 5 * cycles):
        cycle(w)
        w.cycles += 1
        if not w.sealpost.relay.running():
            raise harness.Failure(f"{name}: relay ended:\n{w.sealpost.relay.tail()}")
    if w.receiver:
        w.receiver.rules.clear()
    w.drain()
    return w.account(name), w


def wrong(row):
    """What does not hold, or ''."""
    said = []
    if row["lost"]:
        said.append("mail was lost")
    if row["damaged"]:
        said.append("mail was damaged")
    if row["doubled"] > row["bound"]:
        said.append("more came twice than was in flight")
    if row["bounced"]:
        said.append("mail came back that nobody had refused")
    if not row["acked"]:
        said.append("nothing was acknowledged")
    return "; ".join(said)


COLUMNS = ("cycles", "felt", "acked", "delivered", "lost", "damaged", "doubled", "bound")


def show(rows):
    width = max(len(r["fault"]) for r in rows)
    print(f"{'fault':{width}}" + "".join(f"{c:>11}" for c in COLUMNS))
    for r in rows:
        print(f"{r['fault']:{width}}" + "".join(f"{r[c]:>11}" for c in COLUMNS) + ("  " + wrong(r) if wrong(r) else ""))
    print(f"{'all':{width}}" + "".join(f"{sum(r[c] for r in rows):>11}" for c in COLUMNS))


def main():
    cycles = int(os.environ.get("SEALPOST_CYCLES", 224))
    seed = int(os.environ.get("SEALPOST_SEED", time.time_ns() % 1000000))
    only = sys.argv[1:]
    print(f"SEALPOST_SEED={seed} SEALPOST_CYCLES={cycles}", flush=True)
    chosen = {n: f for n, f in FAULTS.items() if not only or any(o in n for o in only)}
    shares = sum(f[2] for f in chosen.values())
    rows, failed = [], 0
    for name, (_, _, share) in chosen.items():
        parts, directory = [], harness.scratch("soak")
        began = time.monotonic()
        try:
            row, _ = run(name, directory, random.Random(f"{seed} {name}"), parts, -(-cycles * share // shares))
            rows.append(row)
            failed += bool(wrong(row))
            print(f"{name}: {row['cycles']} cycles in {time.monotonic() - began:.0f} s {wrong(row)}", flush=True)
        except (harness.Failure, AssertionError, OSError, smtplib.SMTPException, subprocess.SubprocessError) as e:
            failed += 1
            print(f"{name}: FAILED: {e} (kept: {directory})", flush=True)
            directory = None
        finally:
            for part in reversed(parts):
                getattr(part, "kill", part.stop)()
        if directory:
            shutil.rmtree(directory, ignore_errors=True)
    if rows:
        show(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
