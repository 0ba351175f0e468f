# SPDX-License-Identifier: Apache-2.0
"""The systems that bench_mta.py compares: relay with its keyd, Postfix (default, tuned) and Exim, each with a place of its own,
in a cgroup of its own, with its fsyncs counted.

A system has: name, port, start(), queued(), drain(), stop(); syncs (Syncs); settings (text for the head of the report)."""
import os
import struct

import harness
import keyd_wire
import peers

CGROUP = "/sys/fs/cgroup"
TUNED = {"smtp_tls_connection_reuse": "yes", "in_flow_delay": "0", "smtp_destination_concurrency_limit": "50",
         "default_destination_concurrency_limit": "50", "initial_destination_concurrency": "50",
         "default_process_limit": "120", "default_destination_concurrency_failed_cohort_limit": "100"}
LOAD_DOMAIN = "sender.example"  # whose mail smtp_load sends
DRAIN_RUNNERS = 10  # Exim's queue runs at once when the receiver is back


class Group:
    """A cgroup of its own: CPU of everything that ever ran in it, and the memory of what runs now."""

    def __init__(self, name):
        self.path = os.path.join(CGROUP, "cpuacct", f"sealpost-bench-{os.getpid()}-{name}")
        os.makedirs(self.path)

    @staticmethod
    def available():
        return os.access(os.path.join(CGROUP, "cpuacct", "cgroup.procs"), os.W_OK)

    def __enter__(self):
        self.add("0")
        return self

    def add(self, pid):
        with open(os.path.join(self.path, "cgroup.procs"), "w") as f:
            f.write(pid)

    def __exit__(self, *_):
        with open(os.path.join(CGROUP, "cpuacct", "cgroup.procs"), "w") as f:
            f.write("0")

    def cpu(self):
        with open(os.path.join(self.path, "cpuacct.usage")) as f:
            return int(f.read()) / 1e9

    def pids(self):
        with open(os.path.join(self.path, "cgroup.procs")) as f:
            return [int(p) for p in f.read().split()]

    def memory(self):
        """(RSS, PSS) in MB."""
        rss = pss = 0
        for pid in self.pids():
            r, p = memory(pid)
            rss, pss = rss + r, pss + p
        return rss / 1024, pss / 1024

    def remove(self):
        try:
            os.rmdir(self.path)
        except OSError:
            pass


def memory(pid):
    """(RSS, PSS) of a process in KiB; 0 if it has ended."""
    rss = pss = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup") as m:
            for line in m:
                if line.startswith("Rss:"):
                    rss = int(line.split()[1])
                elif line.startswith("Pss:"):
                    pss = int(line.split()[1])
    except OSError:
        pass
    return rss, pss


def threads(pid):
    """{tid: CPU seconds} of a process."""
    found = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
                found[int(tid)] = int(f.read().split()[0]) / 1e9
        except OSError:
            pass
    return found


class Syncs:
    """slow_fsync.so with its shared counters: how many fsyncs a system does, and how much slower each is made."""

    def __init__(self, place, delay_us):
        self.path = os.path.join(place, "syncs")
        with open(self.path, "wb") as f:
            f.write(bytes(4096))
        os.chmod(self.path, 0o666)
        self.delay = delay_us
        self.setting = f"{delay_us} {self.path}"
        self.object = os.path.join(place, "slow_fsync.so")  # where any user may read it
        with open(harness.program("slow_fsync.so"), "rb") as f, open(self.object, "wb") as t:
            t.write(f.read())
        os.chmod(self.object, 0o755)

    def environment(self):
        return {"LD_PRELOAD": self.object, "SLOW_FSYNC": self.setting}

    def into(self, etc):
        """Files for a private /etc."""
        for name, text in (("ld.so.preload", self.object), ("slow_fsync.conf", self.setting)):
            with open(os.path.join(etc, name), "w") as f:
                f.write(text + "\n")

    def read(self):
        """(fsync, fdatasync, failed, usec waited, programs started)"""
        with open(self.path, "rb") as f:
            return struct.unpack("5Q", f.read(40))


class Relay:
    name = "relay"

    def __init__(self, place, sink_port, scenario, workers="auto", slow=0, routes=None, counted=True, dkim=(), **more):
        os.makedirs(place, exist_ok=True)
        self.s = harness.Sealpost(os.path.join(place, "relay"))
        self.dkim = dkim  # types of the keys that sign
        if dkim:
            more["dkim"] = f"[{{domain: {LOAD_DOMAIN}}}]"
            self.s.write("keyd.yaml", self.s.read("keyd.yaml").replace("peers:\n", f'peers:\n  "{os.getuid()}": [officer]\n'))
        level = "encrypt" if scenario["tls"] else "none"
        self.s.configure(routes or [f'{{domain: "*", to: "127.0.0.1:{sink_port}", tls: {level}}}'], workers=workers, **more)
        self.port = self.s.smtp_port
        self.syncs = None
        if counted:
            self.syncs = Syncs(place, slow)
            self.s.relay.env = self.s.keyd.env = self.syncs.environment()
        self.settings = f"relay.yaml as sealpost init writes it, workers: {workers}, one route to the receiver with tls: {level}"

    def start(self):
        self.s.start("keyd")
        if self.dkim:
            harness.wait_for("keyd's socket", lambda: harness.unix_answers(self.s.path("run", "keyd-admin.sock")))
            with keyd_wire.Client(self.s.path("run", "keyd-admin.sock"), "officer") as o:
                for kind in self.dkim:
                    o.key_add(f"dkim/{LOAD_DOMAIN}/{kind.split('-')[0]}", kind)
        self.s.start("relay")

    def queued(self):
        return self.s.status()["relay"]["queue"]["recipients"]

    def drain(self):
        self.s.cli("queue", "retry", "--all", check=True)

    def stop(self):
        self.s.stop()

    def log(self):
        return self.s.relay.tail(30)


class Mail:
    """Postfix as a relay with TLS on both sides."""

    def __init__(self, place, sink_port, scenario, name, settings, slow=0):
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
        self.syncs = Syncs(d, slow)
        etc = os.path.join(d, "etc")
        os.makedirs(etc)
        self.syncs.into(etc)
        self.p.before = peers.namespace(etc)
        self.settings = " ".join(f"{k}={v}" for k, v in settings.items()) or "main.cf as Debian has it, as a relay"

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

    def log(self):
        return "\n".join(self.p.log().splitlines()[-30:])


class Exim:
    """Exim as a relay with TLS on both sides, a delivery process for each message as by default."""
    name = "Exim"
    settings = (f"Debian's defaults; smtp_accept_max and smtp_accept_queue_per_connection lifted; {DRAIN_RUNNERS} queue runners "
                "at once when the receiver is back")

    def __init__(self, place, sink_port, scenario, slow=0):
        d = os.path.join(place, "exim")
        os.makedirs(d)
        self.syncs = Syncs(d, slow)
        self.e = peers.Exim(os.path.join(d, "e"), route=f"127.0.0.1:{sink_port}", next_tls="encrypt" if scenario["tls"] else "none")
        self.syncs.into(self.e.etc)
        self.port = self.e.port

    def start(self):
        self.e.start()

    def queued(self):
        return self.e.queued()

    def drain(self):
        self.e.flush(DRAIN_RUNNERS)

    def stop(self):
        self.e.stop()

    def log(self):
        return "\n".join(self.e.log().splitlines()[-30:])
