# SPDX-License-Identifier: Apache-2.0
"""Many messages, and relay killed among them: nothing that was answered 250 is lost."""
import os
import random
import time

import harness

MESSAGES = 20000
SESSIONS = 50
KILLS = 20


def set_up(sealpost, place, parts):
    sink = harness.Sink(os.path.join(place, "sink")).start()
    parts.append(sink)
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    sealpost.start()
    return sink


def test_20000_messages_over_50_sessions_with_tls_in_and_out_arrive_intact(sealpost, place, parts):
    sink = set_up(sealpost, place, parts)
    out = harness.load(sealpost.smtp_port, "--tls", "--messages", MESSAGES, "--sessions", SESSIONS, "--seconds", 120)
    assert out["acked"] == MESSAGES, out
    report = sink.wait_for(MESSAGES, 120)
    sealpost.wait_empty()
    report = sink.report()
    print(out, report)
    assert (report["distinct"], report["duplicates"], report["damaged"]) == (MESSAGES, 0, 0)
    assert report["over_tls"] == report["messages"]
    assert sealpost.status()["relay"]["counters"]["messages_in"] == MESSAGES


def test_kill_minus_nine_at_twenty_random_moments_loses_nothing(sealpost, place, parts):
    sink = set_up(sealpost, place, parts)
    acked_file = os.path.join(place, "acked")
    load = harness.load(sealpost.smtp_port, "--tls", "--messages", MESSAGES, "--sessions", SESSIONS, "--seconds", 240,
                        "--retry", "--acked", acked_file, wait=False)
    in_flight = 0
    seed = int(os.environ.get("SEALPOST_SEED", time.time_ns() % 1000000))
    print(f"SEALPOST_SEED={seed}")
    rng = random.Random(seed)
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.02, 0.35))  # the random moment is the point of this test
        in_flight += 20  # outbound.connections
        sealpost.relay.kill()
        sealpost.relay.start()
    out, _ = load.communicate(timeout=300)
    with open(acked_file) as f:
        acked = {int(line) for line in f}
    sealpost.wait_keyd()
    sealpost.cli("queue", "retry", "--all", check=True)
    sealpost.wait_empty(120)
    report = sink.report()
    print(out, report, len(acked))
    # a message whose answer was cut may have arrived as well: distinct lies between acked and all
    assert report["damaged"] == 0
    assert report["distinct"] >= len(acked)
    assert len(acked) >= MESSAGES - KILLS * SESSIONS
    missing = acked - received(sink)
    assert not missing
    assert report["duplicates"] <= in_flight


def received(sink):
    """Numbers that came: from the receiver's map of them."""
    with open(sink.report_path + ".seen") as f:
        return {int(line) for line in f}
