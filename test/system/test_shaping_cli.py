# SPDX-License-Identifier: Apache-2.0
"""Rules and rests as the administrator sees them: sealpost shaping."""
import datetime
import json
import os
import signal

import harness

SOURCES = '[{name: mta1, address: 127.0.0.1}, {name: mta2, address: 127.0.0.1}]'
RULE = """rules:
  - name: example
    mx: [mx.example.net]
    connections: 2
    rate: 100/15m
    patterns:
      - {name: later, action: backoff, duration: 10m, reply: '^451 4\\.7'}
"""


def ready(sealpost, rules=RULE):
    os.makedirs(sealpost.path("shaping"), exist_ok=True)
    sealpost.write("shaping/example.yaml", rules)
    sealpost.configure(['{domain: "*", to: mx}'], sources=SOURCES,
                       shaping=f'["{sealpost.path("shaping")}/*.yaml"]')
    return sealpost.start("keyd", "relay")


def rows(sealpost):
    return json.loads(sealpost.cli("shaping", "list", "--json", check=True).stdout)


def test_a_source_stays_suspended_over_kill_9_until_it_is_resumed(sealpost):
    ready(sealpost)
    assert "No destination is known" in sealpost.cli("shaping", "list", check=True).stdout
    assert "mta1 is suspended" in sealpost.cli("shaping", "suspend", "mta1", check=True).stdout
    sealpost.cli("shaping", "suspend", "mta2@mx.example.net", check=True)
    sealpost.cli("shaping", "suspend", "-@other.example.net", check=True)
    sealpost.relay.kill()
    sealpost.relay.start()
    seen = {(r["source"], r["site"]): r for r in rows(sealpost)}
    assert set(seen) == {("mta1", ""), ("mta2", "mx.example.net"), ("", "other.example.net")}
    assert all(r["until"] == -1 and r["why"] == "administrator" for r in seen.values())
    shown = sealpost.cli("shaping", "show", "mx.example.net", check=True).stdout
    assert "mta2" in shown and "suspended" in shown and "administrator" in shown
    for target in ("mta1", "mta2", "-"):
        sealpost.cli("shaping", "resume", target, check=True)
    sealpost.relay.kill()
    sealpost.relay.start()
    assert all(r["until"] == 0 for r in rows(sealpost))


def test_wrong_names_and_words_are_refused(sealpost):
    ready(sealpost)
    r = sealpost.cli("shaping", "suspend", "mta9")
    assert r.returncode == 1 and "no source of this name" in r.stderr
    assert sealpost.cli("shaping", "show", "nowhere.example").returncode == 1
    for args in ([], ["suspend"], ["suspend", "mta1@"], ["suspend", "@x"], ["show"], ["list", "x"], ["test"]):
        assert sealpost.cli("shaping", *args).returncode == 64, args


def test_a_wrong_rule_is_named_by_file_line_and_key_and_changes_nothing(sealpost):
    ready(sealpost)
    wrong = "shaping/example.yaml:4: rules[0].conections: unknown key; did you mean \"connections\"?"
    sealpost.write("shaping/example.yaml", RULE.replace("connections", "conections"))
    r = sealpost.cli("config", "check")
    assert r.returncode == 78 and wrong in r.stdout + r.stderr
    sealpost.relay.signal(signal.SIGHUP)
    harness.wait_for("the reload to be refused", lambda: sealpost.relay.events("reload-refused"))
    assert "rules[0].conections" in str(sealpost.relay.events("reload-refused")[0])
    assert sealpost.relay.running()
    sealpost.write("shaping/example.yaml", RULE)
    sealpost.relay.signal(signal.SIGHUP)
    harness.wait_for("the reload", lambda: sealpost.relay.events("reloaded"))


def test_replies_are_played_against_the_rules_without_a_daemon(sealpost):
    os.makedirs(sealpost.path("shaping"))
    sealpost.write("shaping/example.yaml", RULE)
    sealpost.write("replies", "0s mta1 mx.example.net 250 ok => -\n"
                              "1s mta1 mx.example.net 451 4.7.1 not now\n"
                              "2s mta1 mx.example.net 451 4.7.1 not now => -\n")
    r = sealpost.cli("shaping", "test", sealpost.path("replies"))
    assert r.returncode == 0 and "later backoff 10m" in r.stdout and "mail would wait here" in r.stdout
    sealpost.write("replies", "0s mta1 mx.example.net 451 4.7.1 not now => -\n")
    r = sealpost.cli("shaping", "test", sealpost.path("replies"))
    assert r.returncode == 1 and "expected: -" in r.stdout and "1 line not as expected" in r.stderr
    sealpost.write("replies", "0s mta1 mx.example.net later\n")
    r = sealpost.cli("shaping", "test", sealpost.path("replies"))
    assert r.returncode == 64 and "replies:1: the reply must begin with a code" in r.stderr


def test_a_damaged_file_of_rests_stops_the_start_with_its_line(sealpost):
    ready(sealpost)
    sealpost.cli("shaping", "suspend", "mta1", check=True)
    assert sealpost.relay.stop() == 0
    text = sealpost.read("relay/shaping")
    sealpost.write("relay/shaping", text.replace("source mta1", "source"))
    sealpost.relay.start(wait=False)
    harness.wait_for("relay to give up", lambda: not sealpost.relay.running())
    assert "relay/shaping:2: malformed" in sealpost.relay.log_text()


def test_a_warm_up_day_is_kept_over_kill_9_and_the_rest_goes_from_the_overflow_pool(sealpost, place, parts):
    sink = harness.Sink(os.path.join(place, "sink"), tls=False).start()
    parts.append(sink)
    today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: none, pool: fresh}}'],
                       sources="[{name: old, address: 127.0.0.2}, {name: young, address: 127.0.0.3, warmup: ramp}]",
                       pools="[{name: fresh, sources: [young]}, {name: warm, sources: [old]}]",
                       warmups=f'[{{name: ramp, start: "{today}", daily: ["40"], overflow: warm}}]')
    sealpost.start()
    harness.load(sealpost.smtp_port, "--messages", 100, "--sessions", 10, "--domain", "a.example")
    sink.wait_for(100, 30)
    sealpost.wait_empty()
    sealpost.relay.kill()
    sealpost.relay.start()
    sealpost.wait_keyd()
    harness.load(sealpost.smtp_port, "--messages", 50, "--sessions", 10, "--domain", "a.example", "--first", 101)
    sink.wait_for(150, 30)
    sealpost.wait_empty()
    came = sink.report()["sources"]
    assert (came["127.0.0.3"]["messages"], came["127.0.0.2"]["messages"]) == (40, 110)
    young = [r for r in rows(sealpost) if r["source"] == "young"][0]
    assert (young["warm_sent"], young["warm_limit"]) == (40, 40)
