# SPDX-License-Identifier: Apache-2.0
"""relay against Postfix (default and tuned) and Exim, in one interleaved run: `make bench-mta`.

Each round of a scenario runs every system once, in turn, so that a machine whose speed drifts drifts for all; ratios are taken
round by round. A run that loses, doubles or alters one message is a failed run. CPU is the cgroup's (all processes of the
system, also short-lived ones; our keyd counts with relay). Figures of one machine say little: the ratios are the result.

Sections: S1 S2 S2dkim S3 S4 S5 S6 (throughput; S2dkim is relay alone, without DKIM keys, with one, with both), S7 (two workers against one), idle (idle inbound sessions), out (outgoing connections
held), queue (a million queued recipients). Without a name: all of them. Results go to the build folder as bench-mta.txt, .json
and .svg. Needs root (Postfix, Exim, cgroups of version 1)."""
import argparse
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import mta_report  # noqa: E402
import mta_scale  # noqa: E402
import mta_through  # noqa: E402
import peers  # noqa: E402
from mta_systems import TUNED, Exim, Group, Mail, Relay  # noqa: E402

SECTIONS = [*mta_through.SCENARIOS, "S7", "idle", "out", "queue"]
TINY = {"rounds": 1, "relay_messages": 400, "postfix_messages": 100, "exim_messages": 40, "idle_sessions": 60, "idle_probes": 20,
        "idle_peer_sessions": 10, "open_connections": 30, "queue_recipients": 3000, "sessions": 10, "scale_messages": 400}


def signers(args):
    """The systems of S2dkim: relay without keys and with them."""
    return [(name, lambda d, port, sc, k=kinds: Relay(d, port, sc, args.workers, dkim=k), args.relay_messages)
            for name, kinds in (("relay", ()), ("relay Ed25519", ("ed25519",)), ("relay RSA", ("rsa-2048",)),
                                ("relay both", ("ed25519", "rsa-2048")))]


def systems(args, scenario=None):
    """[(name, make, messages)] in the order of a round."""
    if scenario and scenario.get("dkim"):
        return signers(args)
    found = [("relay", lambda d, port, sc: Relay(d, port, sc, args.workers, sc.get("slow", 0)), args.relay_messages)]
    if not args.only_relay:
        for name, settings in (("Postfix default", {}), ("Postfix tuned", TUNED)):
            found.append((name, lambda d, port, sc, n=name, s=settings: Mail(d, port, sc, n, s, sc.get("slow", 0)),
                          args.postfix_messages))
        if args.exim:
            found.append(("Exim", lambda d, port, sc: Exim(d, port, sc, sc.get("slow", 0)), args.exim_messages))
    return found


def few(scenario, messages):
    """Fewer messages where each takes longer."""
    return max(messages // (5 if scenario["size"] > 50000 else 3 if scenario.get("slow") or scenario.get("per_session") else 1), 20)


def throughput(args, report, name, place):
    scenario = mta_through.SCENARIOS[name]
    rows = {n: [] for n, _, _ in systems(args, scenario)}
    for r in range(args.rounds):
        for n, make, messages in systems(args, scenario):
            messages = few(scenario, messages)
            report.print(f"{name} round {r + 1}/{args.rounds}: {n}, {messages} messages ... ", end="")
            d = os.path.join(place, f"{name}-{r}-{n.replace(' ', '-')}")
            f = mta_through.measure(make, messages, scenario, d, args.sessions)
            report.print(f"{f['per_second']:.0f}/s")
            rows[n].append(f)
    mta_report.table(report, name, scenario, rows, args.sessions)
    return rows


def scale(args, report, place):
    if not mta_through.SlowCores.available():
        report.print("\nS7: needs the cpu controller of cgroups (version 1) with CFS bandwidth; not measured")
        report.bar("S7", "two workers against one, rate on slow cores", None, ">=", 1.8, "x")
        return None
    rows = {1: [], 2: []}
    for r in range(args.rounds):
        for workers in rows:
            report.print(f"S7 round {r + 1}/{args.rounds}: {workers} worker(s), {args.scale_messages} messages ... ", end="")
            f = mta_through.scale_run(workers, args.scale_messages, os.path.join(place, f"S7-{r}-{workers}"), args.sessions,
                                      args.slow_core)
            report.print(f"{f['per_second']:.0f}/s")
            rows[workers].append(f)
    mta_report.scale(report, rows, args.slow_core)
    return rows


def ceiling(place, sessions, messages):
    """Load generator straight into the receiver: what the tools themselves can do."""
    sink = harness.Sink(os.path.join(place, "ceiling")).start()
    try:
        return harness.load(sink.port, "--tls", "--sessions", sessions, "--messages", messages)["per_second"]
    finally:
        sink.stop()


def settings(args, report, place):
    d = os.path.join(place, "settings")
    os.makedirs(d)
    for name, make, _ in systems(args):
        system = make(os.path.join(d, name.replace(" ", "-")), 1, {"tls": True})
        report.print(f"{name}: {system.settings}")
    shutil.rmtree(d, ignore_errors=True)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("sections", nargs="*", metavar="SECTION", help=" ".join(SECTIONS))
    p.add_argument("--rounds", type=int, default=3, help="repetitions of each measurement (3)")
    p.add_argument("--sessions", type=int, default=50, help="client sessions that stay open (50)")
    p.add_argument("--relay-messages", type=int, default=30000, help="messages of a run of relay")
    p.add_argument("--postfix-messages", type=int, default=3000)
    p.add_argument("--exim-messages", type=int, default=1500)
    p.add_argument("--scale-messages", type=int, default=10000, help="messages of a run of S7")
    p.add_argument("--slow-core", type=int, default=20, help="percent of a CPU that each thread of relay gets in S7 (20)")
    p.add_argument("--idle-sessions", type=int, default=10000)
    p.add_argument("--idle-probes", type=int, default=1000, help="new sessions whose latency is taken beside the idle ones")
    p.add_argument("--idle-peer-sessions", type=int, default=90, help="idle sessions of Postfix and Exim, for their memory")
    p.add_argument("--open-connections", type=int, default=5000, help="outgoing connections to hold")
    p.add_argument("--open-wait", type=float, help="seconds until the receiver answers (10 and 20 ms for each connection)")
    p.add_argument("--queue-recipients", type=int, default=1000000)
    p.add_argument("--only-relay", action="store_true", help="no peers")
    p.add_argument("--workers", default="auto", help="of relay")
    p.add_argument("--tiny", action="store_true", help="very small numbers: to see that everything works, not how fast")
    p.add_argument("--strict", action="store_true", help="exit status 1 if a bar is missed")
    p.add_argument("--output", default=harness.BUILD, help="folder for bench-mta.txt, .json and .svg (the build folder)")
    args = p.parse_args()
    unknown = [s for s in args.sections if s not in SECTIONS]
    if unknown:
        p.error(f"no such section: {' '.join(unknown)}")
    if args.tiny:
        for k, v in TINY.items():
            setattr(args, k, v)
    args.exim = not args.only_relay and peers.Exim.available()
    if not Group.available():
        p.error("needs root and /sys/fs/cgroup/cpuacct (cgroups of version 1)")
    return args


def main():
    args = arguments()
    place = harness.scratch("bench")
    report = mta_report.Report(os.path.join(args.output, "bench-mta.txt"))
    results = {}
    try:
        mta_report.head(report, place, args)
        settings(args, report, place)
        speed = ceiling(place, args.sessions, 500 if args.tiny else 20000)
        report.print(f"tools alone, TLS: {speed:.0f}/s (load generator straight into receiver)\n")
        for name in args.sections or SECTIONS:
            if name in mta_through.SCENARIOS:
                results[name] = throughput(args, report, name, place)
            elif name == "S7":
                results[name] = scale(args, report, place)
            elif name == "idle":
                results[name] = mta_scale.idle(args, place)
                mta_report.idle(report, results[name], args.idle_sessions)
            elif name == "out":
                results[name] = mta_scale.outgoing(args, place)
                mta_report.outgoing(report, results[name])
            else:
                results[name] = mta_scale.queue(args, place)
                mta_report.queue(report, results[name])
        report.print_bars()
    finally:
        with open(os.path.join(args.output, "bench-mta.json"), "w") as f:
            json.dump({"results": results, "bars": report.bars}, f, indent=1)
        mta_report.plot(os.path.join(args.output, "bench-mta.svg"),
                        {k: v for k, v in results.items() if k in mta_through.SCENARIOS})
        shutil.rmtree(place, ignore_errors=True)
    return 1 if args.strict and report.missed() else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except harness.Failure as e:
        mta_report.fail(e)
