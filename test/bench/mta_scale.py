# SPDX-License-Identifier: Apache-2.0
"""Numbers at rest: idle inbound sessions, outgoing connections held open, and a queue of a million recipients."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import harness
from mta_systems import Exim, Group, Mail, Relay, memory

PLAIN = {"size": 4096, "tls": False}
SITES = 100	 # next hops of the queue's recipients: nobody listens there
CAMPAIGN = "X-DoPosta-Campaign: v=1; id=%s; ver=1; t=1767225600; n=abcdefgh12; kid=bench; mac=" + "A" * 43
MANY = "{sessions: 100000, sessions_per_client: 100000, idle: 1h, free_space: 1M}"


def data(pid):
    """The part of PSS that is not files (programs, libraries), KiB: that part also shrinks when others map the same file."""
    kib = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup") as m:
            for line in m:
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    kib += int(line.split()[1])
    except OSError:
        pass
    return kib


def ours(relay):
    """Data of relay and keyd, KiB."""
    return data(relay.s.relay.pid) + data(relay.s.keyd.pid)


def hold(port, count, tls, seconds=900):
    """smtp_load with so many idle sessions that stand; (process, how many)."""
    p = harness.load(port, "--idle", "--sessions", count, "--opening", 50, "--seconds", seconds, *(["--tls"] if tls else []),
                     wait=False)
    line = p.stdout.readline()
    if not line:
        raise harness.Failure("smtp_load did not hold its sessions")
    return p, json.loads(line)["holding"]


def release(p):
    """Ends the idle sessions; the load generator's report."""
    p.send_signal(signal.SIGTERM)
    out, _ = p.communicate(timeout=60)
    return json.loads(out)


def peer_sessions(make, place, count, tls):
    """KB for one idle session of a peer."""
    os.makedirs(place)
    group = Group(os.path.basename(place))
    system = p = None
    try:
        with group:
            system = make(place, 1, {"tls": tls})
            system.start()
        before = sum(map(data, group.pids()))
        p, held = hold(system.port, count, tls)
        kb = (sum(map(data, group.pids())) - before) / max(held, 1)
        release(p)
        p = None
        return {"held": held, "kb": kb}
    finally:
        if p:
            p.kill()
        if system:
            system.stop()
        group.remove()
        shutil.rmtree(place, ignore_errors=True)


def idle(args, place):
    """Idle sessions: memory of each, and what a new client waits meanwhile."""
    count, result = args.idle_sessions, {}
    for tls in (False, True):
        name = "TLS" if tls else "clear"
        d = os.path.join(place, f"idle-{name}")
        relay = Relay(d, 1, {"tls": tls}, args.workers, counted=False, limits=MANY)
        p = None
        try:
            relay.start()
            probe = ["--sessions", 1, "--per-session", 1, "--messages", args.idle_probes, "--seconds", 120]
            if tls:
                probe.append("--tls")
            before = ours(relay)
            p, held = hold(relay.port, count, tls)
            kb = (ours(relay) - before) / max(held, 1)
            meanwhile = harness.load(relay.port, *probe)
            if meanwhile["acked"] != args.idle_probes:
                raise harness.Failure(f"new sessions beside {held} idle ones: {meanwhile}")
            out = release(p)
            p = None
            quiet(relay, 30)
            alone = harness.load(relay.port, *probe)
            result[name] = {"held": held - out["lost_connections"], "kb": kb,
                            "alone": {k: v for k, v in alone.items() if k.endswith("_ms")},
                            "meanwhile": {k: v for k, v in meanwhile.items() if k.endswith("_ms")}}
        finally:
            if p:
                p.kill()
            relay.stop()
            shutil.rmtree(d, ignore_errors=True)
    if not args.only_relay:
        n = args.idle_peer_sessions
        result["Postfix default, TLS"] = peer_sessions(lambda d, port, sc: Mail(d, port, sc, "Postfix default", {}),
                                                       os.path.join(place, "idle-postfix"), n, True)
        if args.exim:
            result["Exim, TLS"] = peer_sessions(Exim, os.path.join(place, "idle-exim"), n, True)
    return result


def outgoing(args, place):
    """Outgoing connections held open by receivers that do not answer the final dot for a while: four to each of many
    destinations (relay opens more only to those that answer), and mail for five, so that each connection has a use."""
    count = args.open_connections
    each = 4
    sites = max(count // each, 1)
    messages = sites * (each + 1)
    count = sites * each
    wait = args.open_wait or 10 + count * 0.02
    relay = sink = None
    d = os.path.join(place, "out")
    try:
        sink = harness.Sink(os.path.join(d, "sink"), host="0.0.0.0", rules=["--delay", f"{wait * 1000:.0f}@dot"]).start()
        relay = Relay(d, sink.port, {"tls": True}, args.workers, counted=False, limits=MANY,
                      outbound=f"{{connections: {each}, open: 100000, messages: 1000}}",
                      routes=[f'{{domain: "d{i}.rcpt.example", to: "127.1.{i // 250}.{i % 250 + 1}:{sink.port}", tls: encrypt}}'
                              for i in range(sites)])
        relay.start()
        before = ours(relay)
        began = time.monotonic()
        out = harness.load(relay.port, "--tls", "--messages", messages, "--sessions", 50, "--domains", sites, "--seconds", 300)
        if out["acked"] != messages:
            raise harness.Failure(f"{out}")
        most = 0
        peak = before

        def all_open():
            nonlocal most, peak
            most = max(most, sink.report()["open"])
            peak = max(peak, ours(relay))
            return most >= count
        try:
            harness.wait_for(f"{count} connections", all_open, wait, 0.2)
            took = time.monotonic() - began
        except harness.Failure:
            took = None
        sink.wait_for(messages, 3 * wait + 120)
        relay.s.wait_empty(wait + 120)  # the last answers come as late as the first
        report = sink.report()
        if (report["distinct"], report["duplicates"], report["damaged"]) != (messages, 0, 0):
            raise harness.Failure(f"connections held: {report}")
        return {"wanted": count, "held": most, "sites": sites, "at_most": report["max_open"], "seconds": took, "kb": (peak - before) / max(most, 1)}
    finally:
        for part in (relay, sink):
            if part:
                part.stop()
        shutil.rmtree(d, ignore_errors=True)


def rss(pid):
    return memory(pid)[0] * 1024


def accepts(port):
    """Whether a new session's MAIL and RCPT are answered with 250."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            f = s.makefile("rwb")
            if not f.readline().startswith(b"220"):
                return False
            f.write(b"EHLO bench\r\n")
            f.flush()
            while f.readline()[3:4] == b"-":
                pass
            f.write(b"MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@rcpt.example>\r\n")
            f.flush()
            return f.readline().startswith(b"250") and f.readline().startswith(b"250")
    except OSError:
        return False


def timed(relay, *argv):
    """(seconds, result) of a command; None if this version does not have it."""
    began = time.monotonic()
    r = relay.s.cli(*argv)
    took = time.monotonic() - began
    if r.returncode == 64:
        return None, r
    if r.returncode:
        raise harness.Failure(f"sealpost {' '.join(argv)}: {r.returncode} {r.stdout}{r.stderr}")
    return took, r


def quiet(relay, seconds=300):
    """Until relay uses no CPU to speak of: first attempts and what they lead to are over."""
    last = harness.cpu_seconds(relay.s.relay.pid)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(1)
        now = harness.cpu_seconds(relay.s.relay.pid)
        if now - last < 0.05:
            return
        last = now


def start_up(relay, count):
    """Stops and starts relay; times until it accepts and until the whole queue is back."""
    relay.s.relay.stop(120)
    began = time.monotonic()
    relay.s.relay.start(wait=False)
    harness.wait_for("relay to accept", lambda: accepts(relay.port), 120, 0.01)
    accepting = time.monotonic() - began

    def whole():
        try:
            return relay.queued() >= count
        except (ValueError, TypeError, KeyError):
            return False
    harness.wait_for("the queue to be back", whole, 300, 0.02)
    return {"accepting": accepting, "whole": time.monotonic() - began}


def queue(args, place):
    """A queue of a million recipients: memory, start-up, commands."""
    count = args.queue_recipients
    d = os.path.join(place, "queue")
    routes = [f'{{domain: "d{i}.rcpt.example", to: "127.0.0.{2 + i}:1", tls: none}}' for i in range(SITES)]
    relay = Relay(d, 1, PLAIN, args.workers, counted=False, limits=MANY,
                  routes=routes + ['{domain: "*", to: "127.0.0.1:1", tls: none}'], retry="{first: 4h, max: 4h, expire: 5d}")
    try:
        relay.start()
        relay.s.relay.stop()
        relay.s.relay.start()  # an empty queue after a start: what the figures are measured against
        relay.s.wait_keyd()
        empty = rss(relay.s.relay.pid)
        result = {"recipients": count}
        half = count // 2
        began = time.monotonic()
        for first, number, campaign in ((1, half, "first"), (half + 1, count - half, "second")):
            out = harness.load(relay.port, "--messages", number, "--first", first, "--sessions", 100, "--size", 700, "--domains",
                               SITES, "--header", CAMPAIGN % campaign, "--seconds", 3600)
            if out["acked"] != number:
                raise harness.Failure(f"filling the queue: {out}")
        result["fill_per_second"] = count / (time.monotonic() - began)
        quiet(relay)
        if relay.queued() != count:
            raise harness.Failure(f"{relay.queued()} of {count} recipients are queued")
        result["bytes_filled"] = (rss(relay.s.relay.pid) - empty) / count
        result["start"] = [start_up(relay, count) for _ in range(args.rounds)]
        relay.s.wait_keyd()
        quiet(relay)
        result["bytes_started"] = (rss(relay.s.relay.pid) - empty) / count
        result["summary"] = []
        for _ in range(5):
            took, r = timed(relay, "queue", "list", "--summary")
            if took is None:
                result["summary"] = None
                break
            result["summary"].append(took)
        result["summary_cli"] = min(timed(relay, "version")[0] or 0 for _ in range(3)) if has(relay, "version") else None
        purge(relay, result, count, half)
        result["disk_mb"] = int(subprocess.run(["du", "-sm", relay.s.path("relay")], capture_output=True,
                                               text=True).stdout.split()[0])
        return result
    finally:
        relay.stop()
        shutil.rmtree(d, ignore_errors=True)


def has(relay, *argv):
    return relay.s.cli(*argv).returncode == 0


def purge(relay, result, count, half):
    """Purges the first campaign, half of all."""
    began = time.monotonic()
    took, _ = timed(relay, "queue", "purge", "--campaign", "first", "--yes")
    if took is None:
        result["purge"] = None
        return
    harness.wait_for("the campaign to be gone", lambda: relay.queued() <= count - half, 120, 0.01)
    result["purge"] = {"answered": took, "gone": time.monotonic() - began, "recipients": half}
    if relay.queued() != count - half:
        raise harness.Failure(f"purge: {relay.queued()} left of {count}, not {count - half}")
