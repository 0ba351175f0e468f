# SPDX-License-Identifier: Apache-2.0
"""Throughput: one run of one system in one scenario (S1 to S6), and S7, relay with one and with two workers.

S7. Load generator, relay and receiver share this machine's CPUs, so two workers cannot show twice the rate on two CPUs. Instead
every thread of relay and of keyd gets a slow core of its own: a cgroup with a fifth of one CPU (2 ms of each 10 ms). Two
workers, the thread that commits and keyd then together use about one CPU at most, and the tools have the other. The rates of
one and of two workers on such cores are measured as in S2, in turn; the ratio is what a second core of the same speed is
worth, with everything that threads cost each other: waiting for locks, shared threads, uneven load. Beside it stands the
CPU time of the busiest thread per message, which bounds the rate that full cores would reach."""
import os
import shutil
import threading
import time

import harness
from mta_systems import CGROUP, Group, Relay, threads

SCENARIOS = {
    "S1": dict(text="relay, 4 KiB, no TLS", size=4096, tls=False),
    "S2": dict(text="relay, 4 KiB, STARTTLS on both hops", size=4096, tls=True),
    "S2dkim": dict(text="S2 with DKIM: without, by one key, by both", size=4096, tls=True, dkim=True),
    "S3": dict(text="relay, 100 KiB, STARTTLS on both hops", size=102400, tls=True),
    "S4": dict(text="accept with the receiver down, then drain", size=4096, tls=True, down=True),
    "S5": dict(text="S2 with 5 ms added to every fsync and fdatasync", size=4096, tls=True, slow=5000),
    "S6": dict(text="one message per session, full handshake in", size=4096, tls=True, per_session=1),
}
SLOW_PERIOD = 10000  # usec


def busy():
    """(CPU time that was used, all CPU time) of the machine, in ticks."""
    with open("/proc/stat") as f:
        t = [int(x) for x in f.readline().split()[1:9]]
    return sum(t) - t[3] - t[4], sum(t)


def load_args(scenario, messages, sessions):
    args = ["--sessions", sessions, "--messages", messages, "--size", scenario["size"], "--seconds", 600]
    if scenario["tls"]:
        args.append("--tls")
    if scenario.get("per_session"):
        args += ["--per-session", scenario["per_session"]]
    return args


def drain(system, group, sink, messages, seconds):
    """Starts the drain, again every 10 s for systems whose runners pass over what another has."""
    end = time.monotonic() + seconds
    while True:
        with group:
            system.drain()
        again = min(10, end - time.monotonic())
        try:
            return sink.wait_for(messages, max(again, 0.1))
        except harness.Failure:
            if time.monotonic() >= end:
                raise


def check(system, report, messages):
    if (report["distinct"], report["duplicates"], report["damaged"], report["unnumbered"]) != (messages, 0, 0, 0):
        raise harness.Failure(f"{system.name}: lost, doubled or altered: {report}")


def count_syncs(system, before, messages, figures):
    """Syncs per message; a scenario with a slow disk whose delay did not take place is no result."""
    fsync, fdatasync, _, waited, programs = (a - b for a, b in zip(system.syncs.read(), before))
    started = system.syncs.read()[4]
    if started == 0 or fsync + fdatasync == 0:
        raise harness.Failure(f"{system.name}: its fsyncs are not seen ({started} programs, {fsync + fdatasync} calls)")
    if waited != (fsync + fdatasync) * system.syncs.delay:
        # a call that failed is slow as well; none is expected
        raise harness.Failure(f"{system.name}: {fsync + fdatasync} syncs waited {waited} us, not {system.syncs.delay} each")
    figures["fsync_per_message"] = fsync / messages
    figures["fdatasync_per_message"] = fdatasync / messages


def measure(make, messages, scenario, place, sessions, prepare=None):
    """One run of one system; its figures as a dict. prepare: called with the system once it runs; what it returns is called
    with the figures at the end."""
    os.makedirs(place)
    os.chmod(place, 0o755)
    sink = harness.Sink(os.path.join(place, "sink"))
    group = Group(os.path.basename(place))
    system = watcher = None
    peak = [0.0, 0.0]
    stop_watch = threading.Event()

    def watch():
        while not stop_watch.wait(0.5):
            rss, pss = group.memory()
            peak[0], peak[1] = max(peak[0], rss), max(peak[1], pss)

    try:
        with group:  # what is started in here belongs to the system measured
            system = make(place, sink.port, scenario)
            system.start()
        down = scenario.get("down")
        if not down:
            sink.start()
        finish = prepare(system) if prepare else None
        watcher = threading.Thread(target=watch)
        watcher.start()
        cpu, syncs, used = group.cpu(), system.syncs.read(), busy()
        out = harness.load(system.port, *load_args(scenario, messages, sessions))
        if out["acked"] != messages:
            raise harness.Failure(f"{system.name}: {out}\n{system.log()}")
        figures = {"p50_ms": out["p50_ms"], "p99_ms": out["p99_ms"]}
        if down:
            figures["accept_per_second"] = out["per_second"]
            sink.start()
            began = time.monotonic()
            report = drain(system, group, sink, messages, 600)
        else:
            began = out["start_mono"]
            report = sink.wait_for(messages, 600)
        harness.wait_for("the queue to be empty", lambda: system.queued() == 0, 60, 0.2)
        now = busy()
        report = sink.report()
        check(system, report, messages)
        figures["per_second"] = messages / (report["last_mono"] - began)
        figures["cpu_s_per_1000"] = (group.cpu() - cpu) / messages * 1000
        figures["tools_cpu_s_per_1000"] = (out["cpu_us"] + report["cpu_us"]) / messages / 1000
        figures["machine_busy"] = (now[0] - used[0]) / max(now[1] - used[1], 1)
        count_syncs(system, syncs, messages, figures)
        stop_watch.set()
        watcher.join()
        rss, pss = group.memory()
        figures["rss_mb"], figures["pss_mb"] = max(peak[0], rss), max(peak[1], pss)
        if finish:
            finish(figures)
        return figures
    finally:
        stop_watch.set()
        if watcher:
            watcher.join()
        if system:
            system.stop()
        if sink.process.running():
            sink.stop()
        group.remove()
        shutil.rmtree(place, ignore_errors=True)


class SlowCores:
    """Each thread of some processes on a core of its own with so many percent of a CPU."""

    def __init__(self, pids, percent):
        self.paths = []
        for pid in pids:
            for tid in os.listdir(f"/proc/{pid}/task"):
                path = os.path.join(CGROUP, "cpu", f"sealpost-bench-{os.getpid()}-{tid}")
                os.makedirs(path)
                self.paths.append(path)
                for name, value in (("cpu.cfs_period_us", SLOW_PERIOD), ("cpu.cfs_quota_us", SLOW_PERIOD * percent // 100), ("tasks", tid)):
                    with open(os.path.join(path, name), "w") as f:
                        f.write(str(value))

    @staticmethod
    def available():
        return os.path.exists(os.path.join(CGROUP, "cpu", "cpu.cfs_quota_us"))

    def remove(self):
        for path in self.paths:
            try:
                with open(os.path.join(path, "tasks")) as f:
                    for tid in f.read().split():
                        with open(os.path.join(CGROUP, "cpu", "tasks"), "w") as t:
                            t.write(tid)
                os.rmdir(path)
            except OSError:
                pass


def scale_run(workers, messages, place, sessions, percent):
    """S7: one run of relay with so many workers, every thread on a slow core."""
    cores = []

    def prepare(system):
        pids = [system.s.relay.pid, system.s.keyd.pid]
        cores.append(SlowCores(pids, percent))
        before = [threads(p) for p in pids]

        def finish(figures):
            spent = [sum(now.values()) - sum(b.values()) for now, b in zip(map(threads, pids), before)]
            relay = sorted((v - before[0].get(t, 0) for t, v in threads(pids[0]).items()), reverse=True)
            figures["busiest_us"] = relay[0] / messages * 1e6
            figures["second_us"] = (relay[1] if len(relay) > 1 else 0) / messages * 1e6
            figures["threads_us"] = [round(t / messages * 1e6, 1) for t in relay if t > 0.001]
            figures["relay_us"], figures["keyd_us"] = (s / messages * 1e6 for s in spent)
        return finish

    try:
        return measure(lambda d, port, sc: Relay(d, port, sc, workers), messages, SCENARIOS["S2"], place, sessions, prepare)
    finally:
        for c in cores:
            c.remove()
