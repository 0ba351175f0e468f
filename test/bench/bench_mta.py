# SPDX-License-Identifier: Apache-2.0
"""relay against Postfix, default and tuned, in one interleaved run: `make bench-mta`.

Each round runs every system once, in turn, so that a machine whose speed drifts drifts for all. A run that loses, doubles or
alters one message is a failed run. CPU is the cgroup's (all processes of the system measured, also short-lived ones; our keyd
counts with relay). Figures of one machine say little: the ratios are the result."""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import harness  # noqa: E402

CGROUP = "/sys/fs/cgroup/cpuacct"
SCENARIOS = {
    "S1": dict(text="relay, 4 KiB, no TLS", size=4096, tls=False),
    "S2": dict(text="relay, 4 KiB, STARTTLS on both hops", size=4096, tls=True),
    "S3": dict(text="relay, 100 KiB, STARTTLS on both hops", size=102400, tls=True),
    "S4": dict(text="accept with the receiver down, then drain", size=4096, tls=True, down=True),
    "S6": dict(text="one message per session, full handshake in", size=4096, tls=True, per_session=1),
}
TUNED = {"smtp_tls_connection_reuse": "yes", "in_flow_delay": "0", "smtp_destination_concurrency_limit": "50",
         "default_destination_concurrency_limit": "50", "initial_destination_concurrency": "50",
         "default_process_limit": "120", "default_destination_concurrency_failed_cohort_limit": "100"}


class Group:
    """A cgroup of its own: CPU of everything that ever ran in it, and the PSS of what runs now."""

    def __init__(self, name):
        self.path = os.path.join(CGROUP, f"sealpost-bench-{os.getpid()}-{name}")
        os.makedirs(self.path)

    def __enter__(self):
        self.add("0")
        return self

    def add(self, pid):
        with open(os.path.join(self.path, "cgroup.procs"), "w") as f:
            f.write(pid)

    def __exit__(self, *_):
        with open(os.path.join(CGROUP, "cgroup.procs"), "w") as f:
            f.write("0")

    def cpu(self):
        with open(os.path.join(self.path, "cpuacct.usage")) as f:
            return int(f.read()) / 1e9

    def memory(self):
        """(RSS, PSS) in MB."""
        rss = pss = 0
        with open(os.path.join(self.path, "cgroup.procs")) as f:
            for pid in f.read().split():
                try:
                    with open(f"/proc/{pid}/smaps_rollup") as m:
                        for line in m:
                            if line.startswith("Rss:"):
                                rss += int(line.split()[1])
                            elif line.startswith("Pss:"):
                                pss += int(line.split()[1])
                except OSError:
                    pass
        return rss / 1024, pss / 1024

    def remove(self):
        try:
            os.rmdir(self.path)
        except OSError:
            pass


class Relay:
    name = "relay"

    def __init__(self, place, sink_port, scenario, workers):
        self.s = harness.Sealpost(os.path.join(place, "relay"))
        level = "encrypt" if scenario["tls"] else "none"
        self.s.configure([f'{{domain: "*", to: "127.0.0.1:{sink_port}", tls: {level}}}'], workers=workers)
        self.port = self.s.smtp_port

    def start(self):
        self.s.start()

    def queued(self):
        return self.s.status()["relay"]["queue"]["recipients"]

    def drain(self):
        self.s.cli("queue", "retry", "--all", check=True)

    def stop(self):
        self.s.stop()


class Mail:
    """Postfix as a relay with TLS on both sides."""

    def __init__(self, place, sink_port, scenario, name, settings):
        self.name = name
        d = os.path.join(place, name.replace(" ", "-"))
        os.makedirs(d)
        cert, key = harness.self_signed(d, "postfix.example.test")
        limit = settings.get("default_process_limit", "100")
        self.p = harness.Postfix(os.path.join(d, "p"), processes="-", **{
            "relayhost": f"[127.0.0.1]:{sink_port}", "smtpd_tls_cert_file": cert, "smtpd_tls_key_file": key,
            "smtpd_tls_security_level": "may", "smtp_tls_security_level": "encrypt" if scenario["tls"] else "none",
            "default_process_limit": limit, "minimal_backoff_time": "300s", "maximal_backoff_time": "4000s",
            "queue_run_delay": "300s", "smtpd_client_connection_count_limit": "0", **settings})
        self.port = self.p.port

    def start(self):
        self.p.start()

    def queued(self):
        n = 0
        for sub in ("incoming", "active", "deferred", "maildrop"):
            for _, _, files in os.walk(os.path.join(self.p.queue, sub)):
                n += len(files)
        return n

    def drain(self):
        self.p.flush()

    def stop(self):
        self.p.stop()


def measure(make, messages, scenario, place, sessions):
    """One run of one system; its figures as a dict."""
    os.makedirs(place)
    sink = harness.Sink(os.path.join(place, "sink"))
    group = Group(os.path.basename(place))
    system = None
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
        args = ["--sessions", sessions, "--messages", messages, "--size", scenario["size"], "--seconds", 300]
        if scenario["tls"]:
            args.append("--tls")
        if scenario.get("per_session"):
            args += ["--per-session", scenario["per_session"]]
        watcher = threading.Thread(target=watch)
        watcher.start()
        cpu = group.cpu()
        out = harness.load(system.port, *args)
        if out["acked"] != messages:
            raise harness.Failure(f"{system.name}: {out}")
        figures = {"p50_ms": out["p50_ms"], "p99_ms": out["p99_ms"]}
        if down:
            figures["accept_per_second"] = out["per_second"]
            sink.start()
            began = time.monotonic()
            system.drain()
        else:
            began = out["start_mono"]
        report = sink.wait_for(messages, 300)
        harness.wait_for("the queue to be empty", lambda: system.queued() == 0, 60, 0.2)
        report = sink.report()
        if (report["distinct"], report["duplicates"], report["damaged"]) != (messages, 0, 0):
            raise harness.Failure(f"{system.name}: lost, doubled or altered: {report}")
        figures["per_second"] = messages / (report["last_mono"] - began)
        figures["cpu_s_per_1000"] = (group.cpu() - cpu) / messages * 1000
        stop_watch.set()
        watcher.join()
        figures["rss_mb"], figures["pss_mb"] = peak
        return figures
    finally:
        stop_watch.set()
        if system:
            system.stop()
        if sink.process.running():
            sink.stop()
        group.remove()
        shutil.rmtree(place, ignore_errors=True)


def ceiling(place, sessions):
    """Load generator straight into the receiver: what the tools themselves can do."""
    sink = harness.Sink(os.path.join(place, "ceiling")).start()
    try:
        return harness.load(sink.port, "--tls", "--sessions", sessions, "--messages", 20000)["per_second"]
    finally:
        sink.stop()


def version(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout.strip().splitlines()[0]


def head():
    with open("/proc/cpuinfo") as f:
        cpu = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    print(f"{cpu}, {os.cpu_count()} CPUs, {platform.release()}, {version('openssl', 'version')}, "
          f"Postfix {version('postconf', '-dh', 'mail_version')}, {version('df', '--output=fstype', '/tmp')} "
          f"{subprocess.run(['df', '--output=fstype', '/tmp'], capture_output=True, text=True).stdout.split()[-1]}")


def spread(values, fmt):
    return f"{format(statistics.median(values), fmt)} ({format(min(values), fmt)}-{format(max(values), fmt)})"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("scenarios", nargs="*", help=" ".join(SCENARIOS))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--sessions", type=int, default=50)
    p.add_argument("--relay-messages", type=int, default=30000)
    p.add_argument("--postfix-messages", type=int, default=3000)
    p.add_argument("--only-relay", action="store_true")
    p.add_argument("--workers", default="auto")
    p.add_argument("--json")
    args = p.parse_args()
    place = harness.scratch("bench")
    systems = [("relay", lambda d, port, sc: Relay(d, port, sc, args.workers), args.relay_messages)]
    if not args.only_relay:
        systems += [("Postfix default", lambda d, port, sc: Mail(d, port, sc, "Postfix default", {}), args.postfix_messages),
                    ("Postfix tuned", lambda d, port, sc: Mail(d, port, sc, "Postfix tuned", TUNED), args.postfix_messages)]
    results = {}
    head()
    print(f"tools alone, TLS: {ceiling(place, args.sessions):.0f}/s (load generator straight into receiver)\n", flush=True)
    for name in args.scenarios or ["S2"]:
        scenario = SCENARIOS[name]
        rows = {n: [] for n, _, _ in systems}
        for r in range(args.rounds):
            for n, make, messages in systems:
                if scenario["size"] > 50000:
                    messages //= 5
                print(f"{name} round {r + 1}/{args.rounds}: {n}, {messages} messages ... ", end="", flush=True)
                f = measure(make, messages, scenario, os.path.join(place, f"{name}-{r}-{n.replace(' ', '-')}"), args.sessions)
                print(f"{f['per_second']:.0f}/s", flush=True)
                rows[n].append(f)
        results[name] = rows
        table(name, scenario, rows, args.sessions)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(results, f, indent=1)
    shutil.rmtree(place, ignore_errors=True)


def table(name, scenario, rows, sessions):
    print(f"\n{name}: {scenario['text']}; {sessions} sessions, median (min-max) of {len(rows['relay'])} rounds")
    print(f"  {'':16} {'messages/s':>22} {'CPU s per 1,000':>24} {'p50 ms':>7} {'p99 ms':>8} {'RSS MB':>7} {'PSS MB':>7}")
    for n, fs in rows.items():
        print(f"  {n:16} {spread([f['per_second'] for f in fs], '.0f'):>22} {spread([f['cpu_s_per_1000'] for f in fs], '.3f'):>24} "
              f"{statistics.median(f['p50_ms'] for f in fs):7.1f} {statistics.median(f['p99_ms'] for f in fs):8.1f} "
              f"{statistics.median(f['rss_mb'] for f in fs):7.0f} {statistics.median(f['pss_mb'] for f in fs):7.0f}")
        if "accept_per_second" in fs[0]:
            print(f"  {'':16} accepted at {spread([f['accept_per_second'] for f in fs], '.0f')}/s; the figure above is the drain")
    for n, fs in rows.items():
        if n != "relay":
            rate = [a["per_second"] / b["per_second"] for a, b in zip(rows["relay"], fs)]
            cpu = [b["cpu_s_per_1000"] / a["cpu_s_per_1000"] for a, b in zip(rows["relay"], fs)]
            print(f"  relay / {n}: {spread(rate, '.1f')} times the rate, 1/{spread(cpu, '.1f')} of the CPU")
            if "accept_per_second" in fs[0]:
                acc = [a["accept_per_second"] / b["accept_per_second"] for a, b in zip(rows["relay"], fs)]
                print(f"  relay / {n}: {spread(acc, '.1f')} times the rate while accepting")
    print(flush=True)


if __name__ == "__main__":
    try:
        main()
    except harness.Failure as e:
        sys.exit(f"failed: {e}")
