# SPDX-License-Identifier: Apache-2.0
"""keyd over its socket: `make bench-keyd`.

A real keyd under a prefix of its own, asked by keyd_load (test/tool). Each round runs every section once, in turn, so that
a machine whose speed drifts drifts for all; every figure is the median of the rounds with its least and greatest value.
Beside keyd's figures stands the echo: the same program against a process that only sends back what it gets. What two
processes cost each other in wake-ups depends on the machine (on an idle virtual CPU a wake-up may take 25 us), so single
requests are measured twice: as the scheduler places both, and with both on one CPU, where nobody has to wake another CPU.
One answer that is not good makes the run a failure."""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import harness  # noqa: E402
import keyd_wire  # noqa: E402
import token_hsm  # noqa: E402

LIMITS = "limits: {derive_existing: 10000000, derive_burst: 10000000, connections: 1100}\n"


class Bed:
    """One keyd, READY, with a customer, and what the sections need."""

    def __init__(self, place, seconds):
        self.set = harness.Sealpost(place)
        self.set.write("keyd.yaml", self.set.read("keyd.yaml") + LIMITS)
        self.seconds = seconds
        self.hsm = None
        self.keyd = self.set.keyd
        self.socket, self.admin_socket = self.set.path("run", "keyd.sock"), self.set.path("run", "keyd-admin.sock")
        self.keyd.start()
        with self.admin() as c:
            c.key_add("tls/rsa", "rsa-2048")
            c.key_add("tls/ed25519", "ed25519")

    def admin(self, role="officer"):
        """A client on the admin socket, as keyd's own user."""
        if os.getuid() == 0:
            os.setegid(self.set.uid)
            os.seteuid(self.set.uid)
        try:
            return keyd_wire.Client(self.admin_socket, role)
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
                os.setegid(0)

    def command(self, test, **options):
        argv = [harness.program("keyd_load"), "--socket", self.socket, "--test", test]
        for name, value in {"seconds": self.seconds, **options}.items():
            argv += ["--" + name, str(value)]
        return argv

    def _become(self, cpus):
        def become():
            if cpus:
                os.sched_setaffinity(0, cpus)
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(self.set.uid)
                os.setuid(self.set.uid)
        return become

    def begin(self, test, **options):
        """keyd_load in the background; finish() takes its report."""
        return subprocess.Popen(self.command(test, **options), stdout=subprocess.PIPE, text=True,
                                preexec_fn=self._become(None))

    @staticmethod
    def finish(process):
        out = process.communicate()[0]
        if process.returncode:
            raise harness.Failure(f"{' '.join(process.args)}: {process.returncode} {out}")
        return json.loads(out)

    def load(self, test, cpus=None, **options):
        r = subprocess.run(self.command(test, **options), capture_output=True, text=True, preexec_fn=self._become(cpus))
        if r.returncode:
            raise harness.Failure(f"keyd_load {test}: {r.returncode} {r.stdout}{r.stderr}\n{self.keyd.tail()}")
        return json.loads(r.stdout)

    def place_keyd(self, cpus):
        for task in os.listdir(f"/proc/{self.keyd.pid}/task"):
            os.sched_setaffinity(int(task), cpus)

    def close(self):
        self.keyd.stop()
        self.set.kill()


def p50_p99(key, report):
    return {f"{key}_p50": report["p50_us"], f"{key}_p99": report["p99_us"]}


# --- The sections. A section is a function that runs one round and returns {row: figure}, and its rows: name of the
# figure, text, unit, and the bar ("<= 30", or None where there is none).

SINGLE = (("echo", "echo", dict(bytes=64)), ("derive", "derive", {}), ("seal", "seal", {}), ("open", "open", {}))


def single(bed):
    out = {}
    for key, test, options in SINGLE:
        out.update(p50_p99(key, bed.load(test, **options)))
    return beyond(out, "")


def beyond(out, prefix):
    """What keyd adds to the echo of the same round."""
    for key in ("derive", "seal", "open"):
        out[f"{prefix}{key}_over"] = out[f"{prefix}{key}_p50"] - out[f"{prefix}echo_p50"]
    return out


def single_rows(where):
    rows = []
    for key, text, most in (("echo", "echo of 64 bytes", (None, None)), ("derive", "unwrap (derive-existing)", ("<= 30", "<= 200")),
                            ("seal", "seal one field of 64 bytes", ("<= 30", "<= 200")),
                            ("open", "open one field of 64 bytes", ("<= 30", "<= 200"))):
        rows += [(f"{key}_p50", f"{text}, p50{where}", "us", most[0]), (f"{key}_p99", f"{text}, p99{where}", "us", most[1])]
        if key != "echo":  # the bars were set where the echo took 18 us
            rows.append((f"{key}_over", f"  of this, beyond the echo{where}", "us", "<= 12"))
    return rows


def one_cpu(bed):
    all_cpus = os.sched_getaffinity(0)
    cpu = {max(all_cpus)}
    out = {}
    bed.place_keyd(cpu)
    try:
        for key, test, options in SINGLE + (("es256", "sign", {}),):
            report = bed.load(test, cpus=cpu, **options)
            out.update({f"one_{k}": v for k, v in p50_p99(key, report).items()})
    finally:
        bed.place_keyd(all_cpus)
    return beyond(out, "one_")


ONE_CPU_ROWS = [("one_" + key, text, unit, bar) for key, text, unit, bar in
                single_rows(", one CPU") + [("es256_p50", "ES256, p50, one CPU", "us", "<= 80")]]


def batch(bed):
    out = {}
    for test in ("seal", "open"):
        cpu = harness.cpu_seconds(bed.keyd.pid)
        report = bed.load(test, items=256, depth=8)
        cpu = harness.cpu_seconds(bed.keyd.pid) - cpu
        out[f"batch_{test}"] = report["items_per_second"]
        out[f"batch_{test}_cpu"] = cpu * 1e6 / (report["requests"] * 256)
        out.update(p50_p99(f"row_{test}", bed.load(test, items=100)))
    out["batch_derive"] = bed.load("derive", items=256, depth=8)["items_per_second"]
    out["batch_echo"] = bed.load("echo", bytes=16384, depth=8)["per_second"]
    return out


BATCH_ROWS = [
    ("batch_seal", "seal, 256 fields a request, 8 under way", "fields/s", ">= 500000"),
    ("batch_open", "open, the same", "fields/s", ">= 500000"),
    ("batch_seal_cpu", "CPU of keyd for each field sealed", "us", None),
    ("batch_open_cpu", "CPU of keyd for each field opened", "us", None),
    ("batch_derive", "derive-existing, 256 a request, 8 under way", "keys/s", None),
    ("batch_echo", "echo of 16 KiB, 8 under way", "frames/s", None),
    ("row_seal_p50", "row of 100 fields, seal, p50", "us", "<= 250"),
    ("row_seal_p99", "row of 100 fields, seal, p99", "us", None),
    ("row_open_p50", "row of 100 fields, open, p50", "us", "<= 250"),
    ("row_open_p99", "row of 100 fields, open, p99", "us", None),
]


def sign(bed):
    out = p50_p99("es256", bed.load("sign", label="tls/relay", alg="ES256"))
    out.update(p50_p99("ed25519", bed.load("sign", label="tls/ed25519", alg="Ed25519")))
    out.update(p50_p99("rs256", bed.load("sign", label="tls/rsa", alg="RS256")))
    return out


SIGN_ROWS = [
    ("es256_p50", "ES256, p50", "us", "<= 80"), ("es256_p99", "ES256, p99", "us", None),
    ("ed25519_p50", "Ed25519, p50", "us", "<= 130"), ("ed25519_p99", "Ed25519, p99", "us", None),
    ("rs256_p50", "RS256, p50", "us", "<= 700"), ("rs256_p99", "RS256, p99", "us", None),
]


def rsa_load(bed):
    busy = bed.begin("sign", label="tls/rsa", alg="RS256", depth=16, seconds=bed.seconds + 1.5)
    time.sleep(0.5)  # both are in step then; the measured time lies within the load's
    others = bed.load("derive")
    report = bed.finish(busy)
    return {"rsa_rate": report["per_second"], **p50_p99("rsa_others", others)}


RSA_ROWS = [
    ("rsa_rate", "RS256 by one client, 16 under way", "signatures/s", None),
    ("rsa_others_p50", "meanwhile another client's unwrap, p50", "us", None),
    ("rsa_others_p99", "meanwhile another client's unwrap, p99", "us", "< 1000"),
]


def connections(bed):
    everybody = bed.load("derive", connections=1000)
    return {"conn_rate": everybody["per_second"], "conn_max": everybody["max_us"] / 1000,
            **p50_p99("conn", {k: v / 1000 for k, v in everybody.items() if k.endswith("_us")}),
            **p50_p99("idle", bed.load("derive", idle=999))}


CONNECTION_ROWS = [
    ("conn_rate", "1,000 connections, each asking, all served", "unwraps/s", None),
    ("conn_p50", "1,000 connections, p50", "ms", None), ("conn_p99", "1,000 connections, p99", "ms", None),
    ("conn_max", "1,000 connections, slowest", "ms", None),
    ("idle_p50", "one asks beside 999 idle ones, p50", "us", None),
    ("idle_p99", "one asks beside 999 idle ones, p99", "us", "<= 200"),
]


def start(bed):
    bed.keyd.stop()
    began = time.monotonic()
    bed.keyd.start(wait=False)

    def ready():
        try:
            with bed.admin() as c:
                return c.state == "ready"
        except OSError:
            return False
    harness.wait_for("keyd to be ready", ready, step=0.001)
    return {"start_ms": (time.monotonic() - began) * 1000}


def softhsm(bed):
    """SoftHSM2 in the process that asks: no socket, no other process. Nothing where it is not installed."""
    module = token_hsm.softhsm_module()
    try:
        argv = [harness.program("p11_load")]
    except harness.Failure:
        argv = None
    if not (module and argv and shutil.which("softhsm2-util")):
        return {}
    if not bed.hsm:
        bed.hsm = token_hsm.SoftHsm(bed.set.dir)
    out = {}
    for test in ("find", "seal", "ES256", "RS256"):
        text = bed.hsm.run(*argv, "--module", module, "--label", bed.hsm.label, "--pin", token_hsm.PIN, "--test", test,
                           "--seconds", str(bed.seconds))
        report = json.loads(text)
        out[f"hsm_{test}"] = report["p50_us"]
        out[f"hsm_{test}_rate"] = report["per_second"]
    return out


SOFTHSM_ROWS = [
    ("hsm_find", "find one object, p50", "us", None), ("hsm_seal", "AES-256-GCM of 64 bytes, p50", "us", None),
    ("hsm_seal_rate", "AES-256-GCM of 64 bytes", "fields/s", None),
    ("hsm_ES256", "ES256, p50", "us", None), ("hsm_RS256", "RS256, p50", "us", None),
]

START_ROWS = [("start_ms", "start with self-tests, until READY (file slot)", "ms", "<= 300")]

CUSTOMERS = 1_000_000


def rss(pid, what="VmRSS"):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(what + ":"))


def clients(bed, seconds=0.7):
    """[derive p50, p99, seal p50, p99] as the scheduler places them, and with client and loop on one CPU."""
    out = []
    for cpus in (None, {min(os.sched_getaffinity(0))}):
        os.sched_setaffinity(bed.keyd.pid, cpus or os.sched_getaffinity(0))  # the loop alone
        for test in ("derive", "seal"):
            report = bed.load(test, cpus=cpus, seconds=seconds)
            out += [report["p50_us"], report["p99_us"]]
    return out


def medians(samples):
    return [statistics.median(column) for column in zip(*samples)]


def rotate(bed):
    """A keyd of its own with a million customers: its start, its memory, and all shards rotated beside clients."""
    big = Bed(os.path.join(os.path.dirname(bed.set.dir), f"rotate-{time.monotonic_ns()}"), bed.seconds)
    try:
        big.keyd.stop()
        subprocess.run([harness.program("keyd_fill"), big.set.path("keyd.yaml"), str(CUSTOMERS)],
                       preexec_fn=big._become(None), stderr=subprocess.DEVNULL, check=True)
        out = {"big_start_ms": start(big)["start_ms"], "big_rss": rss(big.keyd.pid)}
        before = [clients(big) for _ in range(6)]
        with big.admin() as c:
            began = time.monotonic()
            c.rotate("kek", "all")
            during, ended = [], None
            while ended is None:
                during.append(clients(big))
                r = c.status()["rotation"]
                if not r["asked"] and "shard" not in r:
                    ended = time.monotonic() - began
        after = [clients(big) for _ in range(6)]
        idle, busy = medians(before + after), medians(during[:-1])
        for n, name in enumerate(ROTATE_CLIENTS):
            out[name + "_idle"], out[name + "_busy"], out[name + "_times"] = idle[n], busy[n], busy[n] / idle[n]
        out.update(rotate_s=ended, big_peak=rss(big.keyd.pid, "VmHWM"),
                   snapshots=len(big.keyd.events("snapshot-written")))
        return out
    finally:
        big.close()
        shutil.rmtree(big.set.dir)


ROTATE_CLIENTS = [f"rot{where}_{test}_{p}" for where in ("", "1") for test in ("derive", "seal") for p in ("p50", "p99")]
ROTATE_ROWS = [
    ("big_start_ms", "start with 1,000,000 DEKs, until READY", "ms", None),
    ("big_rss", "its memory", "MiB", None),
    ("big_peak", "its memory at most (snapshot, start)", "MiB", None),
    ("rotate_s", "1,000,000 DEKs under new KEKs, clients beside it", "s", "<= 60"),
    ("snapshots", "snapshots written meanwhile", "", None),
] + [(f"{name}_{of}", f"client's {name.split('_')[1]}, {name[-3:]}{', one CPU' if name[3] == '1' else ''}: {text}", unit, bar)
     for name in ROTATE_CLIENTS
     for of, text, unit, bar in (("idle", "idle", "us", None), ("busy", "rotating", "us", None),
                                 ("times", "ratio", "times", "<= 1.2"))]

# name, function, rows, rounds at most (0: as many as the run has)
SECTIONS = [
    ("single", single, single_rows(""), 0),
    ("one-cpu", one_cpu, ONE_CPU_ROWS, 0),
    ("batch", batch, BATCH_ROWS, 0),
    ("sign", sign, SIGN_ROWS, 0),
    ("rsa-load", rsa_load, RSA_ROWS, 0),
    ("connections", connections, CONNECTION_ROWS, 0),
    ("start", start, START_ROWS, 0),
    ("rotate", rotate, ROTATE_ROWS, 1),
    ("softhsm", softhsm, SOFTHSM_ROWS, 0),  # to compare with
]


def load_average():
    return " ".join(f"{x:.2f}" for x in os.getloadavg())


def head(args):
    with open("/proc/cpuinfo") as f:
        cpu = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    openssl = subprocess.run(["openssl", "version"], capture_output=True, text=True).stdout.split(" (")[0].strip()
    print(f"{cpu}, {os.cpu_count()} CPUs, Linux {platform.release()}, {openssl}; load before: {load_average()}")
    print(f"{args.rounds} rounds, interleaved, {args.seconds:g} s a figure\n", flush=True)


def number(value, unit):
    return f"{value:,.0f}" if unit.endswith("/s") or value >= 1000 else f"{value:.1f}"


def verdict(values, bar):
    if not bar:
        return ""
    sign_, limit = bar.split()
    got = statistics.median(values)
    good = {"<=": got <= float(limit), "<": got < float(limit), ">=": got >= float(limit)}[sign_]
    return "met" if good else "MISSED"


def table(names, results):
    missed = 0
    print(f"{'':52} {'median':>10} {'min - max':>23}  {'unit':14} {'bar':10}")
    for name, _, rows, _ in SECTIONS:
        if name not in names or not any(key in results for key, *_ in rows):
            continue
        print(name)
        for key, text, unit, bar in rows:
            values = results.get(key)
            if not values:
                continue
            says = verdict(values, bar)
            missed += says == "MISSED"
            spread = f"{number(min(values), unit)} - {number(max(values), unit)}"
            print(f"  {text:50} {number(statistics.median(values), unit):>10} {spread:>23}  {unit:14} {bar or '':10} {says}")
    print(f"\nload after: {load_average()}; bars missed: {missed}", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("sections", nargs="*", help=" ".join(s[0] for s in SECTIONS))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=2.0, help="of each figure")
    p.add_argument("--json", help="write all figures of all rounds to this file")
    args = p.parse_args()
    known = [s[0] for s in SECTIONS]
    if set(args.sections) - set(known):
        p.error(f"sections are: {' '.join(known)}")
    names = args.sections or known
    place = harness.scratch("bench-keyd")
    results = {}
    head(args)
    bed = Bed(os.path.join(place, "bed"), args.seconds)
    try:
        for r in range(args.rounds):
            for name, run, _, most in SECTIONS:
                if name not in names or (most and r >= most):
                    continue
                print(f"round {r + 1}/{args.rounds}: {name}, load {os.getloadavg()[0]:.2f}", flush=True)
                for key, value in run(bed).items():
                    results.setdefault(key, []).append(value)
    finally:
        bed.close()
        shutil.rmtree(place, ignore_errors=True)
    print()
    table(names, results)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    try:
        main()
    except harness.Failure as e:
        sys.exit(f"failed: {e}")
