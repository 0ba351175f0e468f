# SPDX-License-Identifier: Apache-2.0
"""Where relay's time per message goes: `make bench-profile`.

Runs S2 (4 KiB, STARTTLS on both hops; --scenario for another) against a receiver and looks at relay and keyd meanwhile, by the
best way that works on this machine:
  perf        samples of the CPU clock with call stacks; each sample belongs to the innermost function of ours on its stack, and
              within the kernel to the system call. Shares are multiplied by the CPU time per message.
  callgrind   relay under valgrind: instructions by function of ours, libraries counted with their caller. Exact and repeatable, but
              without the kernel, and fewer messages.
  proc        CPU time of each thread, in user mode and in the kernel, and the system calls they are found in.
--method NAME chooses. The table goes to the build folder as well (bench-profile.txt, .json)."""
import argparse
import collections
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402
import mta_through  # noqa: E402
from mta_systems import Relay, threads  # noqa: E402

# The part that a function of ours belongs to: the first pattern that its name matches.
PARTS = [
    ("TLS: handshake", r"(SSL_do_handshake|SSL_accept|SSL_connect|state_machine|ossl_statem_\w+|keyprov_\w+|evt_tls_\w*|evt_async_\w*)$"),
    ("TLS: read", r"(SSL_read\w*|ssl3_read\w*|evt_conn_tls_read\w*)$"),
    ("TLS: write", r"(SSL_write\w*|ssl3_write\w*|evt_conn_tls_write\w*)$"),
    ("seal and unseal", r"(seal_\w+|keys_object_\w+|spool_payload_\w+)$"),
    ("DKIM", r"(dkim_\w+|mail_dkim_\w+|in_conn_sign\w*)$"),
    ("RSA and Ed25519 in keyd", r"(keyd_op_key\w*|keyd_crypto_sign\w*|sign_work|keyd_form\w*)$"),
    ("ledger", r"(ledger_\w+|out_ledger_\w+)$"),
    ("keys from keyd", r"(keyproto_\w+|keyd_\w+|keys_\w+)$"),
    ("spool", r"spool_\w+$"),
    ("queue and shaping", r"(queue_\w+|shape_\w+)$"),
    ("log", r"log_\w+$"),
    ("session in", r"(in_\w+|smtp_data_in\w*|smtp_line\w*|smtp_addr\w*|smtp_verb\w*|smtp_param\w*)$"),
    ("session out", r"(out_\w+|smtp_reply_in\w*|smtp_data_out\w*|bounce_\w+)$"),
    ("filters", r"(filter_\w+|milterproto_\w+)$"),
    ("mail parsing", r"(mail_\w+|smtp_\w+)$"),
    ("event loop", r"(evt_\w+|event_\w+|epoll_\w+|evmap_\w+|relay_\w+)$"),
    ("control, API, store", r"(api_\w+|http_\w+|store_\w+|conf_\w+)$"),
    ("buffers and small things", r"(buf_\w+|span_\w+|list_\w+|num_\w+|hex_\w+|id_\w+|rand_\w+|clock_\w+|secret_\w+|wire_\w+)$"),
]
# Generic helpers count for whoever called them.
TRANSPARENT = re.compile(r"(buf_|span_|list_|num_|hex_|id_|rand_|clock_|secret_|wire_|evt_timer_)\w+$")
SYSCALLS = [
    ("spool: write and sync", r"(fdatasync|fsync|pwrite\w*|sync_file_range|fallocate|openat|rename|unlink|ftruncate|pread\w*)$"),
    ("kernel: network", r"(sendto|sendmsg|recvfrom|recvmsg|accept4?|connect|socket|shutdown|close|setsockopt|bind|getsockname|read|write|"
                        r"writev|readv)$"),
    ("kernel: waiting and waking", r"(epoll_\w+|futex|poll|ppoll|nanosleep|clock_nanosleep|timerfd\w*|eventfd\w*)$"),
]
COMPILED = [(part, re.compile(p)) for part, p in PARTS]
COMPILED_SYSCALLS = [(part, re.compile(p)) for part, p in SYSCALLS]


def part_of(name):
    for part, pattern in COMPILED:
        if pattern.match(name):
            return part
    return None


def syscall_part(name, ours):
    """ours: functions of ours on the stack, innermost first; a write of the log or the spool is theirs."""
    if name in ("write", "writev", "read"):
        for f in ours:
            part = part_of(f)
            if part == "log":
                return "log"
            if part == "spool":
                return "spool: write and sync"
            if part == "ledger":
                return "ledger: write and sync"
            if part is not None and not TRANSPARENT.match(f):
                break
    for part, pattern in COMPILED_SYSCALLS:
        if pattern.match(name):
            return "ledger: write and sync" if part.startswith("spool") and any(part_of(f) == "ledger" for f in ours) else part
    return "kernel: other"


def kernel_part(kernel, user):
    """A sample within the kernel: by its system call, as the kernel's own frames or the C library's name it."""
    call = None
    for n in reversed(kernel):
        m = re.match(r"(?:__x64_sys_|__se_sys_|__do_sys_|ksys_|do_)(\w+)", n)
        if m and m[1] not in ("syscall_64", "softirq"):
            call = m[1]
            break
    entered = any(n.startswith("entry_SYSCALL") for n in kernel)
    if call is None and entered and user:
        call = re.sub(r"^(__GI_)?_*(libc_)?", "", user[0])
    if any("page_fault" in n for n in kernel) or call == "getrandom":
        return classify([(n, "") for n in user])
    if call == "syscall":
        return "kernel: waiting and waking"
    if not entered or call is None:
        return "kernel: interrupts, switches"
    return syscall_part(call, user)


def classify(frames):
    """frames: [(symbol, object)], innermost first -> part."""
    names = [re.sub(r"(\.(constprop|isra|part|cold)\.?\d*)+$", "", s) for s, _ in frames]
    kernel = [n for n, (_, o) in zip(names, frames) if o.startswith("[") and o != "[unknown]"]
    user = [n for n, (_, o) in zip(names, frames) if not o.startswith("[") or o == "[unknown]"]
    if kernel and frames[0][1].startswith("["):
        return kernel_part(kernel, user)
    for n in user:
        if TRANSPARENT.match(n):
            continue
        part = part_of(n)
        if part:
            return part
    for n in user:
        part = part_of(n)
        if part:
            return part
    return "other"


def script(path):
    """[(command, [(symbol, object)])] of perf script's text."""
    samples, frames, command = [], [], None
    for line in subprocess.Popen(["perf", "script", "-i", path, "-F", "comm,pid,tid,ip,sym,dso", "--max-stack", "60"],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace").stdout:
        if not line.strip():
            if command is not None:
                samples.append((command, frames))
            command, frames = None, []
        elif line[0] not in " \t":
            command = line.split()[0]
        else:
            m = re.match(r"\s+[0-9a-f]+ (.*?)(?:\+0x[0-9a-f]+)? \((.*)\)\s*$", line)
            if m:
                frames.append((m[1].split("+")[0], os.path.basename(m[2]) if not m[2].startswith("[") else m[2]))
    if command is not None:
        samples.append((command, frames))
    return samples


def perf_works(place):
    out = os.path.join(place, "probe.data")
    r = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-o", out, "true"], capture_output=True) \
        if shutil.which("perf") else None
    return bool(r and r.returncode == 0)


class Bed:
    """relay and a receiver under load."""

    def __init__(self, args, place, relay_before=()):
        self.scenario = mta_through.SCENARIOS[args.scenario]
        self.sink = harness.Sink(os.path.join(place, "sink")).start()
        self.relay = Relay(place, self.sink.port, self.scenario, args.workers, counted=False, dkim=DKIM[args.dkim])
        self.relay.s.relay.argv = [*relay_before, *self.relay.s.relay.argv]
        try:
            self.relay.start()
        except harness.Failure:
            self.stop()
            raise
        self.sessions = args.sessions
        self.done = 0

    def load(self, messages, wait=True):
        first = self.done + 1
        self.done += messages
        return harness.load(self.relay.port, *mta_through.load_args(self.scenario, messages, self.sessions), "--first", first,
                            wait=wait)

    def finish(self):
        report = self.sink.wait_for(self.done, 600)
        if (report["distinct"], report["duplicates"], report["damaged"]) != (self.done, 0, 0):
            raise harness.Failure(f"lost, doubled or altered: {report}")

    def pids(self):
        return self.relay.s.relay.pid, self.relay.s.keyd.pid

    def cpu(self):
        """CPU seconds of relay, and of keyd."""
        return [sum(threads(p).values()) for p in self.pids()]

    def stop(self):
        self.relay.stop()
        self.sink.stop()


def with_perf(args, place):
    """{program: {part: us per message}}"""
    bed = Bed(args, place)
    data = os.path.join(place, "perf.data")
    try:
        bed.load(max(args.messages // 10, 50))  # connections stand, keys are there
        bed.finish()
        before = bed.cpu()
        perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", str(args.frequency), "--call-graph", "dwarf,8192",
                                 "-p", ",".join(map(str, bed.pids())), "-o", data], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        harness.wait_for("perf to record", lambda: os.path.exists(data) and os.path.getsize(data) > 0, 30)
        bed.load(args.messages)
        bed.finish()
        perf.send_signal(signal.SIGINT)
        perf.wait(120)
        spent = [(b - a) / args.messages * 1e6 for a, b in zip(before, bed.cpu())]
    finally:
        bed.stop()
    found = {"relay": collections.Counter(), "keyd": collections.Counter()}
    inside = collections.Counter()
    for command, frames in script(data):
        if not frames:
            continue
        program = "keyd" if "keyd" in command else "relay"
        part = classify(frames)
        found[program][part] += 1
        if part in ("other", "kernel: other"):
            inside[frames[0][0]] += 1
    result = {}
    for (program, counts), us in zip(found.items(), spent):
        total = sum(counts.values())
        result[program] = {part: us * n / total for part, n in counts.items()} if total else {"all": us}
    samples = {p: sum(c.values()) for p, c in found.items()}
    return result, f"{samples['relay']} samples of relay, {samples['keyd']} of keyd; inside 'other': {inside.most_common(5)}", "us"


def read_callgrind(path):
    """(self cost by function, [(caller, callee, inclusive cost)])"""
    names, own, calls = {}, collections.Counter(), []
    fn, callee = "?", None

    def name_of(text):
        m = re.match(r"\((\d+)\)(?: (.*))?$", text)
        if m is None:
            return text
        if m[2]:
            names[m[1]] = m[2].split("'")[0]
        return names[m[1]]
    with open(path, errors="replace") as f:
        for line in f:
            if line.startswith("fn="):
                fn = name_of(line[3:].rstrip())
            elif line.startswith("cfn="):
                callee = name_of(line[4:].rstrip())
            elif line[:1] in "+-*0123456789" and line[:1]:
                cost = line.split()
                if len(cost) < 2:
                    continue
                if callee:
                    calls.append((fn, callee, int(cost[1])))
                    callee = None
                else:
                    own[fn] += int(cost[1])
            elif line.startswith("calls="):
                pass
    return own, calls


def callgrind_run(args, place, messages):
    """Cost of each function, and of each call from one to another, of a whole life of relay."""
    folder = os.path.join(place, f"callgrind-{messages}")
    os.mkdir(folder)
    os.chmod(folder, 0o777)  # relay is another user
    out = os.path.join(folder, "out")
    bed = Bed(args, folder, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "-q"])
    try:
        bed.load(messages)
        bed.finish()
        bed.relay.s.relay.stop(120)
    finally:
        bed.stop()
    own, calls = read_callgrind(out)
    if not own:
        raise harness.Failure("callgrind wrote nothing")
    return attribute(own, calls)


def attribute(own, calls):
    """Own functions' cost by part; a library's cost goes to the part that called it, without what it calls back of ours."""
    parts = {fn: part_of(fn) for pair in calls for fn in pair[:2]}
    parts.update((fn, part_of(fn)) for fn in own)
    inner = collections.defaultdict(list)
    total = collections.Counter(own)
    for caller, callee, cost in calls:
        total[caller] += cost
        if parts[caller] is None:
            inner[caller].append((callee, cost))
    share = {fn: 1.0 for fn, part in parts.items() if part is None}  # of a library function's inclusive cost that is the library's
    for _ in range(30):
        for fn in share:
            mine = own.get(fn, 0) + sum(cost * share[h] for h, cost in inner[fn] if h in share)
            share[fn] = mine / total[fn] if total[fn] else 0
    counts = collections.Counter()
    for fn, cost in own.items():
        if parts[fn]:
            counts[parts[fn]] += cost
    for caller, callee, cost in calls:
        if parts[caller] and callee in share:
            counts[parts[caller]] += cost * share[callee]
    counts["other"] = max(sum(own.values()) - sum(counts.values()), 0)
    return counts


def with_callgrind(args, place):
    """Two lives, one with more messages than the other: the difference is what messages cost."""
    most = max(min(args.messages, 2000), 200)
    few = most // 4
    one, two = callgrind_run(args, place, few), callgrind_run(args, place, most)
    per = {part: max(two[part] - one[part], 0) / (most - few) / 1000 for part in two}
    return ({"relay": per}, f"user mode only; the difference of {most} and {few} messages", "1,000 instructions")


def with_proc(args, place):
    bed = Bed(args, place)
    try:
        bed.load(max(args.messages // 10, 50))
        bed.finish()
        relay = bed.relay.s.relay.pid
        tick = os.sysconf("SC_CLK_TCK")

        def modes():
            with open(f"/proc/{relay}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return int(fields[11]) / tick, int(fields[12]) / tick
        before, user = bed.cpu(), modes()
        loading = bed.load(args.messages, wait=False)
        numbers = collections.Counter()
        while loading.poll() is None:
            for tid in os.listdir(f"/proc/{relay}/task"):
                try:
                    with open(f"/proc/{relay}/task/{tid}/syscall") as f:
                        numbers[f.read().split()[0]] += 1
                except (OSError, IndexError):
                    pass
            time.sleep(0.002)
        bed.finish()
        now = modes()
        spent = [(b - a) / args.messages * 1e6 for a, b in zip(before, bed.cpu())]
    finally:
        bed.stop()
    per = [(b - a) / args.messages * 1e6 for a, b in zip(user, now)]
    return ({"relay": {"user mode": per[0], "kernel": per[1]}, "keyd": {"all": spent[1]}},
            f"threads found in system calls (number: times): {numbers.most_common(8)}", "us")


DKIM = {"none": (), "ed25519": ("ed25519",), "rsa": ("rsa-2048",), "both": ("ed25519", "rsa-2048")}
METHODS = {"perf": with_perf, "callgrind": with_callgrind, "proc": with_proc}


def choose(args, place):
    if args.method:
        return args.method
    if perf_works(place):
        return "perf"
    return "callgrind" if shutil.which("valgrind") else "proc"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--method", choices=METHODS)
    p.add_argument("--scenario", default="S2", choices=[n for n, s in mta_through.SCENARIOS.items() if not s.get("down")])
    p.add_argument("--messages", type=int, default=30000)
    p.add_argument("--sessions", type=int, default=50)
    p.add_argument("--frequency", type=int, default=997, help="samples a second of each thread, for perf")
    p.add_argument("--workers", default="auto")
    p.add_argument("--dkim", choices=DKIM, default="none", help="the keys that sign")
    p.add_argument("--output", default=harness.BUILD)
    args = p.parse_args()
    place = harness.scratch("profile")
    try:
        method = choose(args, place)
        result, note, unit = METHODS[method](args, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    lines = [f"{args.scenario}: {mta_through.SCENARIOS[args.scenario]['text']}; {args.messages} messages, {args.sessions} sessions, "
             f"DKIM: {args.dkim}, by {method}"]
    for program, parts in result.items():
        total = sum(parts.values())
        lines.append(f"\n{program}: {total:.1f} {unit} per message")
        for part, value in sorted(parts.items(), key=lambda kv: -kv[1]):
            lines.append(f"  {part:28} {value:8.2f} {unit:6} {value / total if total else 0:6.1%}")
    lines.append(f"\n{note}")
    print("\n".join(lines))
    with open(os.path.join(args.output, "bench-profile.txt"), "w") as f:
        f.write("\n".join(lines) + "\n")
    with open(os.path.join(args.output, "bench-profile.json"), "w") as f:
        json.dump({"method": method, "unit": unit, "parts": result}, f, indent=1)


if __name__ == "__main__":
    try:
        main()
    except harness.Failure as e:
        sys.exit(f"failed: {e}")
