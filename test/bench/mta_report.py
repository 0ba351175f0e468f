# SPDX-License-Identifier: Apache-2.0
"""What bench_mta.py prints: machine and settings, a table for each scenario, the bars, and a plot."""
import html
import math
import os
import platform
import statistics
import subprocess
import sys
import time

import harness
import peers

FRESH = {"S1": 12, "S2": 12, "S3": 6, "S5": 10}  # times Postfix
COLOURS = {"relay": "#1b7837", "Postfix default": "#9ebcda", "Postfix tuned": "#4d7fb3", "Exim": "#e08214"}


class Report:
    """Text goes to the terminal and to a file; bars are gathered."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.bars = []

    def print(self, *text, end="\n"):
        print(*text, end=end, flush=True)
        print(*text, end=end, flush=True, file=self.file)

    def bar(self, section, what, value, op, limit, unit="", spread=""):
        """One bar: held if value op limit; value None: not measured."""
        held = None if value is None else value >= limit if op == ">=" else value <= limit
        self.bars.append({"section": section, "what": what, "value": value, "op": op, "limit": limit, "unit": unit,
                          "spread": spread, "held": held})

    def print_bars(self):
        self.print("\nBars")
        for b in self.bars:
            value = "not measured" if b["value"] is None else f"{number(b['value'])}{b['unit']} {b['spread']}"
            verdict = {None: "-", True: "held", False: "MISSED"}[b["held"]]
            self.print(f"  {b['section']:6} {b['what']:58} {value:>28}   {b['op']} {number(b['limit'])}{b['unit']:5} {verdict}")

    def missed(self):
        return [b for b in self.bars if b["held"] is False]


def number(v):
    return f"{v:.3g}" if abs(v) < 100 else f"{v:,.0f}"


def first_line(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True).stdout.strip().splitlines()[0]
    except (OSError, IndexError):
        return "?"


def sync_cost(place):
    """Median and p99 of fdatasync after appending 4 KiB, ms."""
    times = []
    fd = os.open(os.path.join(place, "probe"), os.O_CREAT | os.O_WRONLY)
    for _ in range(200):
        os.write(fd, bytes(4096))
        t = time.monotonic()
        os.fdatasync(fd)
        times.append((time.monotonic() - t) * 1000)
    os.close(fd)
    os.unlink(os.path.join(place, "probe"))
    times.sort()
    return times[100], times[198]


def head(report, place, args):
    with open("/proc/cpuinfo") as f:
        cpu = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) // 1024
    filesystem = subprocess.run(["df", "--output=fstype", place], capture_output=True, text=True).stdout.split()[-1]
    debian = first_line("cat", "/etc/debian_version")
    p50, p99 = sync_cost(place)
    r = report.print
    r(f"{time.strftime('%Y-%m-%d %H:%M')}  {cpu}, {os.cpu_count()} CPUs, {memory} MB, Linux {platform.release()}, Debian {debian}, "
      f"{filesystem} (fdatasync of an appended 4 KiB: p50 {p50:.2f} ms, p99 {p99:.2f} ms), load {os.getloadavg()[0]:.1f}")
    r(f"{first_line(harness.program('sealpost'), '--version')}, {first_line('openssl', 'version')}, "
      f"Postfix {first_line('postconf', '-dh', 'mail_version')}, "
      f"{first_line(peers.unpacked('exim4'), '--version') if args.exim else 'Exim not there'}")
    r("All of it on this machine over loopback, load generator and receiver included. Every system: durable queue, true fsync, "
      "deliveries logged. relay: spool sealed, keys from keyd, which counts with it.")


def spread(values, fmt):
    return f"{format(statistics.median(values), fmt)} ({format(min(values), fmt)}-{format(max(values), fmt)})"


def ratio(report, rows, section, what, peers_names, key, limit=None, invert=False):
    """Ratio relay / the better of the peers, round by round."""
    there = [n for n in peers_names if rows.get(n)]
    if not there:
        if limit:
            report.bar(section, what, None, ">=", limit, "x")
        return
    best = [max(fs) for fs in zip(*([f[key] for f in rows[n]] for n in there))]
    values = [a[key] / b for a, b in zip(rows["relay"], best)]
    if limit:
        report.bar(section, what, statistics.median(values), ">=", limit, "x", f"({min(values):.1f}-{max(values):.1f})")


def table(report, name, scenario, rows, sessions):
    r = report.print
    r(f"\n{name}: {scenario['text']}; {sessions} sessions, median (min-max) of {len(rows['relay'])} rounds")
    r(f"  {'':16} {'messages/s':>22} {'CPU s per 1,000':>24} {'ack p50 ms':>10} {'p99 ms':>8} {'RSS MB':>7} {'PSS MB':>7} "
      f"{'syncs/msg':>9} {'machine busy':>12} {'tools CPU':>9}")
    for n, fs in rows.items():
        mid = {k: statistics.median(f[k] for f in fs) for k in fs[0] if isinstance(fs[0][k], (int, float))}
        r(f"  {n:16} {spread([f['per_second'] for f in fs], '.0f'):>22} {spread([f['cpu_s_per_1000'] for f in fs], '.3f'):>24} "
          f"{mid['p50_ms']:10.1f} {mid['p99_ms']:8.1f} {mid['rss_mb']:7.0f} {mid['pss_mb']:7.0f} "
          f"{mid['fsync_per_message'] + mid['fdatasync_per_message']:9.3f} {mid['machine_busy']:12.0%} "
          f"{mid['tools_cpu_s_per_1000']:9.3f}")
        if "accept_per_second" in fs[0]:
            r(f"  {'':16} accepted at {spread([f['accept_per_second'] for f in fs], '.0f')}/s; the figure above is the drain")
    for n, fs in rows.items():
        if n != "relay":
            rate = [a["per_second"] / b["per_second"] for a, b in zip(rows["relay"], fs)]
            cpu = [b["cpu_s_per_1000"] / a["cpu_s_per_1000"] for a, b in zip(rows["relay"], fs)]
            more = ""
            if "accept_per_second" in fs[0]:
                accept = [a["accept_per_second"] / b["accept_per_second"] for a, b in zip(rows["relay"], fs)]
                more = f", {spread(accept, '.1f')} times while accepting"
            r(f"  relay / {n}: {spread(rate, '.1f')} times the rate{more}, 1/{spread(cpu, '.1f')} of the CPU")
    if scenario.get("dkim"):
        for n, fs in rows.items():
            more = [(b["cpu_s_per_1000"] - a["cpu_s_per_1000"]) * 1000 for a, b in zip(rows["relay"], fs)]
            if n != "relay":
                r(f"  {n}: {spread(more, '.0f')} us of CPU more per message")
    bars(report, name, rows)


def bars(report, name, rows):
    tuned = ["Postfix tuned"]

    def own(what, key, limit, unit=""):
        values = [f[key] for f in rows["relay"]]
        report.bar(name, what, statistics.median(values), "<=", limit, unit, f"({min(values):.3g}-{max(values):.3g})")
    if name == "S1":
        ratio(report, rows, name, "rate against the better Postfix", ["Postfix default", "Postfix tuned"], "per_second", 12)
    elif name in FRESH:
        ratio(report, rows, name, "rate against Postfix tuned", tuned, "per_second", FRESH[name])
    if name == "S2":
        own("CPU per 1,000 messages, relay and keyd", "cpu_s_per_1000", 0.15, " s")
        own("end of data to 250, p99", "p99_ms", 15, " ms")
        own("memory of relay and keyd (PSS)", "pss_mb", 40, " MB")
    if name == "S4":
        ratio(report, rows, name, "accept rate against Postfix tuned", tuned, "accept_per_second", 10)
        ratio(report, rows, name, "drain rate against Postfix tuned", tuned, "per_second", 7)
    if name == "S6":
        own("CPU per 1,000 sessions, relay and keyd", "cpu_s_per_1000", 1.0, " s")


def scale(report, rows, percent):
    """S7."""
    r = report.print
    r(f"\nS7: S2 with one and with two workers, every thread of relay and keyd on a slow core of its own ({percent} % of a CPU)")
    for w, fs in rows.items():
        last = fs[-1]
        r(f"  {w} worker{'s' if w > 1 else ' '}        {spread([f['per_second'] for f in fs], '.0f'):>22}/s; CPU us per message: "
          f"relay {spread([f['relay_us'] for f in fs], '.0f')}, keyd {spread([f['keyd_us'] for f in fs], '.1f')}, "
          f"busiest thread {spread([f['busiest_us'] for f in fs], '.0f')}; threads of the last round: {last['threads_us']}")
    one, two = rows[1], rows[2]
    rate = [b["per_second"] / a["per_second"] for a, b in zip(one, two)]
    bound = [a["busiest_us"] / b["busiest_us"] for a, b in zip(one, two)]
    r(f"  two against one: rate {spread(rate, '.2f')}; bound by the busiest thread's CPU {spread(bound, '.2f')}")
    report.bar("S7", "two workers against one, rate on slow cores", statistics.median(rate), ">=", 1.8, "x",
               f"({min(rate):.2f}-{max(rate):.2f})")


def idle(report, result, wanted):
    r = report.print
    r(f"\nidle: {wanted:,} idle inbound sessions; memory is PSS of data of relay and keyd, without the kernel's sockets")
    for name in ("clear", "TLS"):
        f = result[name]
        a, m = f["alone"], f["meanwhile"]
        r(f"  {name:8} {f['held']:,} held, {f['kb']:.1f} KB each; a new session: ready p50 {m['ready_p50_ms']:.1f} p99 {m['ready_p99_ms']:.1f} ms, "
          f"greeting p99 {m['greet_p99_ms']:.1f} ms (with none idle: ready p50 {a['ready_p50_ms']:.1f} p99 {a['ready_p99_ms']:.1f} ms)")
        report.bar("idle", f"sessions held, {name}", f["held"], ">=", wanted)
        report.bar("idle", f"memory of each, {name}", f["kb"], "<=", 15, " KB")
        report.bar("idle", f"new session meanwhile, connect to EHLO answered, p99, {name}", m["ready_p99_ms"], "<=", 10, " ms")
    for name, f in result.items():
        if name not in ("clear", "TLS"):
            r(f"  {name}: {f['kb']:.0f} KB each at {f['held']} sessions")


def outgoing(report, f):
    after = f"after {f['seconds']:.1f} s" if f["seconds"] else "not all"
    report.print(f"\nout: {f['held']:,} of {f['wanted']:,} outgoing connections with TLS to {f['sites']:,} destinations held at once ({after}), {f['kb']:.1f} KB of "
                 "PSS each, messages under way included; all messages arrived, once")
    report.bar("out", "outgoing connections held", f["held"], ">=", f["wanted"])


def queue(report, f):
    r = report.print
    starts = {k: [s[k] for s in f["start"]] for k in ("accepting", "whole")}
    r(f"\nqueue: {f['recipients']:,} recipients, each of a message of its own, filled at {f['fill_per_second']:.0f}/s; spool {f['disk_mb']} MB")
    r(f"  memory: {f['bytes_filled']:.0f} bytes of RSS each as filled, {f['bytes_started']:.0f} after a restart (beyond relay's with an empty queue)")
    r(f"  start: accepting after {spread(starts['accepting'], '.2f')} s, whole queue after {spread(starts['whole'], '.2f')} s")
    report.bar("queue", "RSS of each recipient", max(f["bytes_filled"], f["bytes_started"]), "<=", 300, " B")
    report.bar("queue", "start until the queue is whole", max(starts["whole"]), "<=", 10, " s")
    report.bar("queue", "start until relay accepts", max(starts["accepting"]), "<=", 2, " s")
    summary = sorted(f["summary"])[len(f["summary"]) // 2] * 1000 if f["summary"] else None
    if f["summary"]:
        r(f"  queue list --summary: {spread([s * 1000 for s in f['summary']], '.0f')} ms, the program's own start included")
    report.bar("queue", "queue list --summary", summary, "<=", 100, " ms")
    p = f["purge"]
    if p:
        r(f"  purge of {p['recipients']:,}: answered after {p['answered'] * 1000:.0f} ms, gone from the queue after {p['gone']:.2f} s")
    report.bar("queue", "purge of a campaign of half of them: answered", p and p["answered"], "<=", 1, " s")
    report.bar("queue", "purge of a campaign of half of them: gone", p and p["gone"], "<=", 1, " s")


def plot(path, results):
    """Rates of every system in every scenario, logarithmic, with least and greatest value, as SVG."""
    bars_ = []
    for scenario, rows in results.items():
        for key, label in (("accept_per_second", "accept"), ("per_second", "drain")) if scenario == "S4" else (("per_second", ""),):
            bars_.append((f"{scenario} {label}".strip(), {n: sorted(f[key] for f in fs) for n, fs in rows.items() if fs}))
    if not bars_:
        return
    values = [v for _, group in bars_ for vs in group.values() for v in vs]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    width, height, left, bottom, step = 120 + 110 * len(bars_), 420, 60, 360, 110

    def y(v):
        return bottom - (math.log10(v) - low) / (high - low) * (bottom - 50)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{left}" y="20" font-size="14">Messages per second (log scale): median, least and greatest of all rounds</text>']
    for e in range(low, high + 1):
        out.append(f'<line x1="{left}" x2="{width - 10}" y1="{y(10 ** e):.1f}" y2="{y(10 ** e):.1f}" stroke="#ddd"/>'
                   f'<text x="{left - 6}" y="{y(10 ** e) + 4:.1f}" text-anchor="end">{10 ** e:,}</text>')
    for i, (label, group) in enumerate(bars_):
        x = left + 10 + i * step
        for j, (name, vs) in enumerate(group.items()):
            mid, bx = statistics.median(vs), x + j * 22
            out.append(f'<rect x="{bx}" y="{y(mid):.1f}" width="18" height="{bottom - y(mid):.1f}" fill="{COLOURS.get(name, "#999")}">'
                       f'<title>{html.escape(name)} {label}: {mid:.0f}/s</title></rect>'
                       f'<line x1="{bx + 9}" x2="{bx + 9}" y1="{y(vs[0]):.1f}" y2="{y(vs[-1]):.1f}" stroke="black"/>')
        out.append(f'<text x="{x + 40}" y="{bottom + 18}" text-anchor="middle">{label}</text>')
    for j, (name, colour) in enumerate(COLOURS.items()):
        out.append(f'<rect x="{left + j * 130}" y="{height - 26}" width="12" height="12" fill="{colour}"/>'
                   f'<text x="{left + 16 + j * 130}" y="{height - 16}">{name}</text>')
    with open(path, "w") as f:
        f.write("\n".join(out + ["</svg>\n"]))


def fail(text):
    sys.exit(f"failed: {text}")
