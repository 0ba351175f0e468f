# SPDX-License-Identifier: Apache-2.0
"""Destinations with limits, with tempers, slow and dead: none is pressed beyond what it bears, none costs the others."""
import os
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import harness
import pytest
from receiver import Receiver


def limited_sink(place, parts, *rules, name="limited"):
    sink = harness.Sink(os.path.join(place, name), tls=False, name=name)
    sink.process.argv += [str(r) for r in rules]
    parts.append(sink)
    return sink.start()


def shaped(sealpost, rules, routes, **more):
    """A set with these rules (YAML of one rule each)."""
    os.makedirs(sealpost.path("shaping"), exist_ok=True)
    os.chmod(sealpost.path("shaping"), 0o755)
    sealpost.write("shaping/test.yaml", "rules:\n" + "".join(f"  - {r}\n" for r in rules))
    sealpost.configure(routes, shaping=f'["{sealpost.path("shaping")}/*.yaml"]', **more)
    return sealpost


def route(domain, port, tls="none"):
    return f'{{domain: "{domain}", to: "127.0.0.1:{port}", tls: {tls}}}'


# --- what one destination bears

def test_limits_of_a_rule_are_never_exceeded(sealpost, place, parts):
    """The receiver counts connections at once, messages of one connection and messages in any second; it would answer what
    goes beyond with 421 and 451."""
    sink = limited_sink(place, parts, "--max-connections", 3, "--max-messages", 10, "--rate", "60/1", "--delay", "5@dot")
    shaped(sealpost, ["{name: limited, domains: [limited.example], connections: 3, messages: 10, rate: 60/s}"],
           [route("*", sink.port)])
    sealpost.start()
    out = harness.load(sealpost.smtp_port, "--messages", 400, "--sessions", 20, "--domain", "limited.example")
    assert out["acked"] == 400
    report = sink.wait_for(400, 60)
    sealpost.wait_empty()
    assert (report["over_connections"], report["over_messages"], report["over_rate"]) == (0, 0, 0), report
    assert report["max_open"] <= 3
    assert report["seconds"] < 1.5 * 400 / 60  # what is allowed is used
    assert report["duplicates"] == 0
    assert sealpost.status()["relay"]["counters"]["deferrals"] == 0


def test_a_receiver_that_has_had_enough_is_given_less(sealpost, place, parts):
    """It says so once for each connection too many; then there is none too many any more."""
    sink = limited_sink(place, parts, "--max-connections", 4, "--delay", "5@dot")
    shaped(sealpost, ["{name: shy, domains: [shy.example], connections: 20, start: 20, patterns: "
                      "[{name: crowd, action: fewer, reply: '^421 '}]}"], [route("*", sink.port)])
    sealpost.start()
    harness.load(sealpost.smtp_port, "--messages", 300, "--sessions", 20, "--domain", "shy.example")
    first = sink.wait_for(300, 60)
    sealpost.wait_empty()
    assert first["over_connections"] <= 20
    harness.load(sealpost.smtp_port, "--messages", 300, "--sessions", 20, "--domain", "shy.example", "--first", 301)
    second = sink.wait_for(600, 60)
    sealpost.wait_empty()
    assert second["over_connections"] == first["over_connections"]  # it has learned
    assert second["duplicates"] == 0


def test_a_receiver_that_asks_for_a_pause_gets_it(sealpost, place, parts):
    seen = []

    def pause_once(session, line):
        if len(seen) < 1:
            seen.append(time.monotonic())
            return b"421 4.7.0 busy, try again later"
        return None

    r = Receiver(mail=pause_once)
    parts.append(r)
    shaped(sealpost, ["{name: moody, domains: [moody.example], connections: 1, start: 1, patterns: "
                      "[{name: busy, action: backoff, duration: 3s, reply: '^421 .*try again later'}]}"], [route("*", r.port)])
    sealpost.start()
    harness.load(sealpost.smtp_port, "--messages", 20, "--sessions", 5, "--domain", "moody.example")
    item = harness.wait_for("the pause", lambda: [q for q in sealpost.queue() if q["reason"] == "destination asked for a pause"])
    assert item
    harness.wait_for("all to arrive", lambda: len(r.came) == 20, 30)
    with r.lock:
        later = [at for at, what, _, _ in r.log if what in ("connect", "mail") and at > seen[0] + 0.1]
    assert min(later) - seen[0] >= 3.0
    assert sum(r.came.values()) == 20


@pytest.mark.alone
def test_a_receiver_that_wants_it_slower_gets_it_slower(sealpost, place, parts):
    seen = []

    def too_fast(session, line):
        if not seen and len(r.came) >= 30:
            seen.append(time.monotonic())
            return b"451 4.7.1 slow down"
        return None

    r = Receiver(mail=too_fast)
    parts.append(r)
    shaped(sealpost, ["{name: hasty, domains: [hasty.example], connections: 5, patterns: "
                      "[{name: slow, action: slow, rate: 10/s, connections: 1, duration: 1h, reply: '^451 .*slow down'}]}"],
           [route("*", r.port)])
    sealpost.start()
    harness.load(sealpost.smtp_port, "--messages", 90, "--sessions", 5, "--domain", "hasty.example")
    harness.wait_for("all to arrive", lambda: len(r.came) == 90, 60)
    with r.lock:
        mails = [at for at, what, _, reply in r.log if what == "mail" and at > seen[0] + 0.2]
    in_a_second = max(sum(1 for b in mails if a <= b < a + 0.999) for a in mails)
    assert in_a_second <= 10, in_a_second
    sealpost.wait_empty()


# --- what it costs the others

MESSAGES = 800


class Deaf:
    """A port that takes no connection: its backlog is full, so that an attempt waits for an answer that never comes."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(0)
        self.port = self.socket.getsockname()[1]
        self.fill = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self.fill.append(s)

    def stop(self):
        for s in [*self.fill, self.socket]:
            s.close()


@pytest.mark.alone
def test_bad_destinations_cost_the_others_less_than_five_percent(place, parts):
    """Some never answer, some answer late, some take no connection, some put everything off. Two sets side by side, one with
    mail for these and one without, send to a good receiver each, at the same time, so that what else runs here slows both.
    The good ones answer after 50 ms: rates are made by connections, and any that a bad destination takes away shows."""
    deaf = Deaf()
    parts.append(deaf)
    bad = [limited_sink(place, parts, "--silent", name="silent"), limited_sink(place, parts, "--delay", "3000", name="slow"),
           limited_sink(place, parts, "--reply", "451 4.3.0 not now@rcpt", name="refusing"), deaf]
    sets = []
    for name in ("alone", "beside"):
        good = limited_sink(place, parts, "--delay", "50@dot", name=f"good-{name}")
        s = harness.Sealpost(os.path.join(place, name))
        parts.append(s)
        s.configure([route(f"bad{i}.example", bad[i % 4].port) for i in range(12)] + [route("*", good.port)])
        sets.append((s.start(), good))
    sent = 0

    def rate(s, good):
        began = time.monotonic()
        harness.load(s.smtp_port, "--messages", MESSAGES, "--sessions", 10, "--domain", "good.example", "--first", sent + 1,
                     "--size", 1000)
        return MESSAGES / (good.wait_for(sent + MESSAGES, 60)["last_mono"] - began)

    def both():
        nonlocal sent
        with ThreadPoolExecutor(2) as pool:
            rates = list(pool.map(lambda pair: rate(*pair), sets))
        sent += MESSAGES
        return rates

    both()  # connections, tickets, pages: warm
    crowded = sets[1][0]
    for i in range(12):
        harness.load(crowded.smtp_port, "--messages", 100, "--sessions", 5, "--domain", f"bad{i}.example", "--first",
                     1000001 + 100 * i, "--size", 1000)
    pairs = [both() for _ in range(7)]
    print([(round(a), round(b)) for a, b in pairs])
    assert statistics.median(b / a for a, b in pairs) >= 0.95, pairs
    assert crowded.status()["relay"]["queue"]["recipients"] > 500  # the bad ones' mail was there all the time
