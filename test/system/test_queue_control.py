# SPDX-License-Identifier: Apache-2.0
"""Orders for the queue, by the command, with the real relay; and what a restart and a crash leave of them."""
import json
import smtplib
import socket

import harness
import pytest


def send(s, recipient, campaign="", sender="news@shop.example", times=1):
    head = f"X-DoPosta-Campaign: v=1; id={campaign}; ver=3; t=1767225600; n=abcdefgh; kid=k1; mac={'A' * 43}\r\n" if campaign else ""
    with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=30) as c:
        for _ in range(times):
            c.sendmail(sender, [recipient], f"{head}Subject: x\r\n\r\nHello.\r\n".encode())


def route(s, port, **more):
    s.configure([f'{{domain: "*", to: "127.0.0.1:{port}", tls: opportunistic}}'], **more)


def asked(s, *args):
    return json.loads(s.cli("queue", *args, "--json", check=True).stdout)


def summary(s, *selector):
    return asked(s, "list", "--summary", *selector)


def total(s):
    return summary(s)["total"]["recipients"]


@pytest.fixture
def relay(sealpost, sink):
    """Everything goes to sink."""
    route(sealpost, sink.port)
    sealpost.start("keyd", "relay")
    return sealpost


def test_what_is_on_hold_waits_over_a_restart_and_goes_when_released(relay, sink):
    out = relay.cli("queue", "hold", "--destination", "held.example", check=True).stdout
    assert out == "0 recipients held now; mail that comes later will be held too, until it is released.\n"
    send(relay, "a@held.example")
    send(relay, "b@free.example")
    sink.wait_for(1)
    rows = summary(relay)["queues"]
    assert [(r["recipients"], r["held"], r["reason"]) for r in rows] == [(1, True, "held")]
    relay.relay.kill()
    relay.start("relay")
    harness.wait_for("the held message", lambda: [q for q in relay.queue() if q["reason"] == "held"])
    orders = asked(relay, "orders")["orders"]
    assert [(o["action"], o["destination"], o["recipients"]) for o in orders] == [("hold", "held.example", 1)]
    assert sink.report()["messages"] == 1
    out = relay.cli("queue", "release", "--destination", "held.example", check=True).stdout
    assert out == "1 recipient released.\n"
    sink.wait_for(2)
    assert asked(relay, "orders")["orders"] == []


def test_one_message_is_held_and_released(relay, sink):
    relay.cli("queue", "suspend", "--customer", "default", check=True)
    send(relay, "a@one.example")
    (item,) = harness.wait_for("the message", relay.queue)
    relay.cli("queue", "hold", item["id"], check=True)
    relay.cli("queue", "resume", "--customer", "default", check=True)
    relay.relay.kill()
    relay.start("relay")
    harness.wait_for("the held message", lambda: [q for q in relay.queue() if q["reason"] == "held"])
    assert sink.report()["messages"] == 0
    assert relay.cli("queue", "hold", "0000000000001").returncode == 1
    relay.cli("queue", "release", item["id"], check=True)
    sink.wait_for(1)
    relay.wait_empty()


def test_a_purge_takes_what_was_there_even_if_relay_is_killed_at_once(relay, sink):
    relay.cli("queue", "suspend", "--customer", "default", check=True)
    send(relay, "a@gone.example", times=300)
    send(relay, "b@stays.example", times=3)
    harness.wait_for("them all", lambda: total(relay) == 303)
    assert relay.cli("queue", "purge", "--destination", "gone.example").returncode == 64  # no --yes
    out = relay.cli("queue", "purge", "--destination", "gone.example", "--yes", check=True).stdout
    relay.relay.kill()
    assert out == "300 recipients will be deleted.\n"
    relay.start("relay")
    harness.wait_for("only what stays", lambda: total(relay) == 3 and len(relay.queue()) == 3)
    relay.cli("queue", "resume", "--customer", "default", check=True)
    send(relay, "c@gone.example")
    sink.wait_for(4)
    relay.wait_empty()
    to = sorted(envelope[1] for _, envelope, _ in sink.kept())
    assert [t[:10] for t in to] == ["RCPT TO:<b"] * 3 + ["RCPT TO:<c"]
    harness.wait_for("the order's end", lambda: not asked(relay, "orders")["orders"])


def test_a_campaign_is_purged_and_the_other_is_not(relay, sink):
    relay.cli("queue", "suspend", "--customer", "default", check=True)
    send(relay, "a@x.example", campaign="spring-1", times=5)
    send(relay, "a@x.example", campaign="autumn-1", times=4)
    rows = harness.wait_for("both", lambda: total(relay) == 9 and summary(relay)["queues"])
    assert sorted((r["campaign"], r["recipients"]) for r in rows) == [("autumn-1", 4), ("spring-1", 5)]
    relay.cli("queue", "purge", "--campaign", "spring-1", "--yes", check=True)
    harness.wait_for("the rest", lambda: total(relay) == 4)
    relay.cli("queue", "resume", "--customer", "default", check=True)
    sink.wait_for(4)
    relay.wait_empty()


def test_lists_show_what_is_asked_for(relay):
    relay.cli("queue", "suspend", "--customer", "default", check=True)
    for domain in ("x.example", "y.example"):
        send(relay, f"a@{domain}", campaign="spring-1", times=2)
        send(relay, f"a@{domain}", times=1)
    harness.wait_for("them all", lambda: total(relay) == 6)
    assert len(asked(relay, "list", "--campaign", "spring-1")["items"]) == 4
    assert len(asked(relay, "list", "--campaign", "")["items"]) == 2
    assert {i["destination"] for i in asked(relay, "list", "--destination", "X.example")["items"]} == {"x.example"}
    assert len(asked(relay, "list", "--limit", "3")["items"]) == 3
    assert summary(relay, "--campaign", "spring-1")["total"]["recipients"] == 4
    text = relay.cli("queue", "list", "--summary", check=True).stdout
    assert "default:spring-1@127.0.0.1:" in text and "suspended" in text and "6 recipients in 2 queues." in text
    text = relay.cli("queue", "list", "--summary", "--campaign", "spring-1", "--destination", "x.example", check=True).stdout
    assert text.endswith("\n2 recipients in 1 queue.\n")
    text = relay.cli("queue", "orders", check=True).stdout
    assert "suspend" in text and "customer default" in text


def test_what_is_bounced_its_senders_hear_of(relay, sink):
    relay.cli("queue", "suspend", "--destination", "bad.example", check=True)
    send(relay, "a@bad.example", sender="writer@home.example", times=2)
    harness.wait_for("both", lambda: total(relay) == 2)
    relay.cli("queue", "bounce", "--destination", "bad.example", "--yes", check=True)
    sink.wait_for(2)
    for message, envelope, _ in sink.kept():
        assert envelope[1].startswith("RCPT TO:<writer@home.example>")
        assert b"Action: failed" in message and b"a@bad.example" in message
        assert b"Status: 5.7.1" in message and b"bounced by an administrator" in message
    assert len(relay.relay.events("bounced")) == 2 and not relay.relay.events("expired")
    relay.wait_empty()


def test_a_dead_next_hop_is_re_routed_and_the_order_outlives_a_crash(sealpost, sink):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = nobody.getsockname()[1]
        route(sealpost, dead)
        sealpost.start("keyd", "relay")
        send(sealpost, "a@one.example")
        harness.wait_for("an attempt", lambda: [q for q in sealpost.queue() if q["attempts"]])
        out = sealpost.cli("queue", "reroute", "--destination", f"127.0.0.1:{dead}", "--to", f"127.0.0.1:{sink.port}", check=True)
        assert out.stdout == "1 recipient re-routed now; mail that comes later will be re-routed too, until --undo.\n"
        sink.wait_for(1)
        sealpost.relay.kill()
        sealpost.start("relay")
        send(sealpost, "b@two.example")
        sink.wait_for(2)
        sealpost.cli("queue", "reroute", "--destination", f"127.0.0.1:{dead}", "--undo", check=True)
        send(sealpost, "c@three.example")
        harness.wait_for("an attempt at the dead one", lambda: [q for q in sealpost.queue() if q["attempts"]])
        assert sink.report()["messages"] == 2


def test_orders_that_make_no_sense_are_refused(relay):
    for wrong in (("hold",), ("hold", "x"), ("suspend", "0000000000001"), ("reroute", "--customer", "c"),
                  ("reroute", "--customer", "c", "--to", "nowhere"), ("purge",), ("hold", "--customer", "c", "--yes"),
                  ("hold", "--all"), ("orders", "x"), ("list", "--to", "mx")):
        assert relay.cli("queue", *wrong).returncode in (64, 75), wrong
    assert asked(relay, "orders")["orders"] == []
