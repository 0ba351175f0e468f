# SPDX-License-Identifier: Apache-2.0
"""Sensitive content, from the application to the receiver: the milter finds it behind a real Postfix, relay takes it to servers
that it can verify and to no other."""
import email.message
import os
import shutil
import smtplib

import pytest

import harness

pytestmark = pytest.mark.skipif(not harness.Postfix.available(), reason="needs root and Postfix")

RULES = """
customers:
  - {sender: shop.example, customer: default}
sensitive:
  - {name: cards, kind: card, action: verify}
"""
CARD = "4111 1111 1111 1111"


class World:
    def __init__(self, place):
        self.running = []
        self.known, self.strange = (self.run(harness.Sink(os.path.join(place, name), keep=True, name=name))
                                    for name in ("known", "strange"))
        self.s = s = harness.Sealpost(os.path.join(place, "sealpost"))
        self.running.append(s)
        ca = s.path("ca.pem")
        shutil.copy(self.known.cert, ca)
        os.chmod(ca, 0o644)
        s.configure([f'{{domain: {d}.example, to: "127.0.0.1:{sink.port}", tls: opportunistic}}'
                     for d, sink in (("known", self.known), ("strange", self.strange))] +
                    [f'{{domain: "*", to: "127.0.0.1:{self.known.port}", tls: opportunistic}}'], outbound=f"{{ca: {ca}}}")
        s.write("milter.yaml", s.read("milter.yaml") + RULES)
        s.start("keyd", "relay", "milter")
        self.postfix = self.run(harness.behind_sealpost(os.path.join(place, "postfix"), s))

    def run(self, thing):
        self.running.append(thing)
        return thing.start()

    def stop(self):
        for thing in reversed(self.running):
            getattr(thing, "kill", thing.stop)()

    def send(self, domain, text, html=False):
        m = email.message.EmailMessage()
        m["From"], m["To"], m["Subject"] = "news@shop.example", f"reader@{domain}", "Your order"
        m.set_content(text, subtype="html" if html else "plain")
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=30) as c:
            c.send_message(m)

    def at(self, sink, count):
        return harness.wait_for(f"{count} messages", lambda: (kept := sink.kept()) and len(kept) >= count and kept)


@pytest.fixture
def world():
    place = harness.scratch("sensitive")
    w = World.__new__(World)
    try:
        w.__init__(place)
        yield w
    finally:
        w.stop()
        shutil.rmtree(place, ignore_errors=True)


def test_a_card_number_goes_to_a_server_that_verifies_and_to_no_other(world):
    world.send("strange.example", "Nothing that anybody should not see.")
    world.at(world.strange, 1)  # without such content the server is good enough
    world.send("known.example", f"Paid by card {CARD}.")
    world.send("known.example", f"<p>Paid by card <b>{CARD[:9]}</b>{CARD[9:]}.</p>", html=True)
    for message, _, _ in world.at(world.known, 2):
        assert b"X-Sealpost-Trace" in message
    verified = [e[3] for e in world.s.relay.events("delivered") if e[3]["verified"] != "no"]
    assert len(verified) == 2, verified

    world.send("strange.example", f"Paid by card {CARD}.")
    # it is returned, without what it said; the report goes to who sent it
    report, = [m for m, _, _ in world.at(world.known, 3) if b"multipart/report" in m]
    assert b"5.7.30" in report and b"no server could be verified" in report and CARD.encode() not in report
    world.s.wait_empty()
    assert len(world.strange.kept()) == 1
    found = world.s.milter.events("sensitive-content")
    assert [e[3]["rule"] for e in found] == ["cards"] * 3
    for log in (world.s.milter, world.s.relay):
        assert "4111" not in log.log_text()
