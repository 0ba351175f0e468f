# SPDX-License-Identifier: Apache-2.0
"""The receiver's rules, with the load generator as client: other tests trust what it counts."""
import os

import harness


def meet(place, rules, *load, messages=100):
    """(what the load generator says, the receiver's report) of 4 sessions."""
    sink = harness.Sink(os.path.join(place, "sink"), rules=rules).start()
    try:
        # what looked whether it is there has come and gone
        harness.wait_for("an empty receiver", lambda: (r := sink.report())["sources"] and r["open"] == 0)
        out = harness.load(sink.port, "--sessions", 4, "--messages", messages, "--seconds", 10, *load)
        return out, sink.report()
    finally:
        sink.stop()


def test_connections_beyond_the_limit_get_421_and_are_counted(place):
    out, report = meet(place, ["--max-connections", 2, "--delay", "5@dot"])
    assert out["acked"] == 100
    assert report["over_connections"] == out["lost_connections"] == 2
    assert report["sources"]["127.0.0.1"]["max_open"] == 4


def test_a_client_that_closes_before_it_opens_is_never_beyond_the_limit(place):
    out, report = meet(place, ["--max-connections", 4], "--per-session", 1, "--tls", messages=200)
    assert out["acked"] == 200
    assert (report["over_connections"], report["max_open"]) == (0, 4)


def test_messages_beyond_the_rate_are_refused_and_the_most_in_a_window_is_told(place):
    out, report = meet(place, ["--rate", "30/600"])
    assert (out["acked"], out["refused"]) == (30, 70)
    assert (report["distinct"], report["over_rate"], report["max_rate"]) == (30, 70, 100)


def test_answers_by_rule_come_as_often_as_they_are_counted(place):
    out, report = meet(place, ["--reply", "550 5.1.1 unknown@rcpt*3:r7", "--reply", "451 4.2.1 later@dot%20"], "--tls")
    assert report["by_rule"][0] == 3
    assert 5 <= report["by_rule"][1] <= 40
    assert out["refused"] == sum(report["by_rule"])
    assert (report["distinct"], report["duplicates"]) == (out["acked"], 0)


def test_a_cut_in_the_middle_leaves_no_message_and_no_answer(place):
    out, report = meet(place, ["--cut-data", 20], "--retry")
    assert out["unknown"] == report["by_rule"][0] > 0
    assert report["distinct"] == out["acked"] == 100 - out["unknown"]


def test_a_close_instead_of_the_last_answer_leaves_the_message(place):
    out, report = meet(place, ["--reply", "0@dot*1"], "--retry")
    assert (out["acked"], out["unknown"], report["distinct"]) == (99, 1, 100)


def test_a_silent_receiver_takes_connections_and_says_nothing(place):
    sink = harness.Sink(os.path.join(place, "sink"), rules=["--silent"]).start()
    try:
        out = harness.load(sink.port, "--sessions", 4, "--messages", 4, "--seconds", 1)
        assert (out["acked"], out["greet_max_ms"]) == (0, 0)
        assert sink.report()["silenced"] >= 4
    finally:
        sink.stop()


def test_answers_come_later_by_the_delay(place):
    out, _ = meet(place, ["--delay", "20@dot"], "--tls", messages=40)
    assert out["acked"] == 40
    assert out["p50_ms"] >= 20
