# SPDX-License-Identifier: Apache-2.0
"""Two customers behind one Postfix: relay's listener is of a third name, and what the milter says decides whose a message is:
its tokens, who unsubscribed, what is erased."""
import json
import os
import re
import shutil
import smtplib
import socket
import ssl

import pytest

import campaigns
import harness
import keyd_wire

pytestmark = pytest.mark.skipif(not harness.Postfix.available(), reason="needs root and Postfix")

RCPT = "reader@there.example"
SHOPS = {"shop": "shop.example", "toys": "toys.example"}  # customer: its domain
STREAMS = "customers:\n" + "".join(f"  - {{sender: {d}, customer: {c}, stream: {c}}}\n" for c, d in SHOPS.items()) + \
    "streams:\n" + "".join(f"  - {{name: {c}, policy: enforce}}\n" for c in SHOPS)


class World:
    def __init__(self, place):
        self.place, self.running, self.count = place, [], 0
        self.sink = self.run(harness.Sink(os.path.join(place, "sink"), keep=True))
        self.s = s = harness.Sealpost(os.path.join(place, "sealpost"))
        self.running.append(s)
        self.port = harness.free_port()
        hosts = []
        for customer, domain in SHOPS.items():
            cert, key = harness.self_signed(s.prefix, f"t.{domain}")
            os.chmod(key, 0o644)
            hosts.append(f"{{host: t.{domain}, customer: {customer}, certificate: {cert}, key: {key}}}")
        s.configure([f'{{domain: "*", to: "127.0.0.1:{self.sink.port}", tls: encrypt}}'],
                    tracking=f'{{listen: ["127.0.0.1:{self.port}"], hosts: [{", ".join(hosts)}]}}')
        s.write("milter.yaml", s.read("milter.yaml") + STREAMS)
        s.start("keyd")
        self.add_customers()
        s.start("relay")
        self.register()
        s.start("milter")
        harness.wait_for("the campaigns", lambda: s.milter.events("campaigns-ready"))
        self.postfix = self.run(harness.behind_sealpost(os.path.join(place, "postfix"), s))

    def add_customers(self):
        os.seteuid(self.s.uid)  # keyd looks who connects
        try:
            officer = keyd_wire.Client(self.s.path("run", "keyd-admin.sock"), "officer")
        finally:
            os.seteuid(os.getuid())
        with officer as k:
            for customer in SHOPS:
                k.customer_add(customer)

    def register(self):
        private, public = campaigns.write_key(self.s, "bert")
        self.s.cli("approver", "add", "bert", "--customer", "*", "--key", public, check=True)
        os.makedirs(os.path.join(self.place, "source"))
        for customer, domain in SHOPS.items():
            campaigns.trust(self.s, domain, customer=customer)
            path = campaigns.source(os.path.join(self.place, "source", customer), self.s.uid, [
                ("example.yaml", "campaign: example\ncustomer: default", f"campaign: {customer}-news\ncustomer: {customer}"),
                ("example.yaml", "news@shop.example", f"news@{domain}"), ("example.yaml", "www.shop.example", f"www.{domain}"),
                ("example.txt", "www.shop.example", f"www.{domain}"), ("example.html", "www.shop.example", f"www.{domain}"),
                ("example.yaml", "track: null", f"track: {{host: t.{domain}, pixel: true, clicks: true, unsubscribe: https, "
                 "existing: keep, consent: all, days: 30}")])
            campaigns.activate(self.s, path, private, name=f"{customer}-news", customer=customer)

    def run(self, thing):
        self.running.append(thing)
        return thing.start()

    def stop(self):
        for thing in reversed(self.running):
            getattr(thing, "kill", thing.stop)()

    def send(self, customer, rcpt=RCPT):
        """Takes Postfix's 250 for granted; the message's id."""
        self.count += 1
        mid, domain = f"<m{self.count}@shop.example>", SHOPS[customer]
        value = self.s.cli("campaign", "header", "--customer", customer, "--id", f"{customer}-news", "--version", "1", "--from",
                           f"news@{domain}", "--to", rcpt, "--message-id", mid, check=True).stdout.split(": ", 1)[1].strip()
        data = campaigns.message(rcpt, message_id=mid, campaign=value).replace(b"shop.example", domain.encode())
        data = data.replace(f"Message-ID: <m{self.count}@{domain}>".encode(), f"Message-ID: {mid}".encode())
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=30) as c:
            c.sendmail(f"news@{domain}", [rcpt], data, ["BODY=8BITMIME"])
        return mid

    def arrived(self, mid):
        def get():
            return next((m for m, _, _ in self.sink.kept() if f"Message-ID: {mid}".encode() in m), None)
        return harness.wait_for("the message to arrive", get).decode()

    def ask(self, url, body=None):
        """Status and Location of one request to the tracking host that the URL names."""
        host, path = re.fullmatch(r"https://([a-z.]+)(/\S+)", url).groups()
        context = ssl.create_default_context(cafile=self.s.path(f"{host}.pem"))
        head = f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        if body:
            head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        with context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 20), server_hostname=host) as c:
            c.sendall((head + "\r\n" + (body or "")).encode())
            with c.makefile("rb") as f:
                reply = f.read().decode("latin-1")
        location = re.search(r"(?m)^Location: (\S+)", reply)
        return int(reply.split()[1]), location and location[1]

    def unsubscribe(self, message):
        url = re.search(r"(?m)^List-Unsubscribe: <(https://\S+?)>", message)[1]
        return self.ask(url, "List-Unsubscribe=One-Click")[0]

    def known(self, customer, rcpt):
        r = self.s.cli("tracking", "export", "--customer", customer, rcpt)
        found = [m["campaign"] for m in json.loads(r.stdout)]
        assert r.returncode == (0 if found else 1), r.stderr
        return found


@pytest.fixture(scope="module")
def world():
    place = harness.scratch("streams")
    w = World.__new__(World)
    try:
        w.__init__(place)
        yield w
    finally:
        w.stop()
    shutil.rmtree(place, ignore_errors=True)


def test_each_customers_links_lead_to_his_own_pages(world):
    for customer, domain in SHOPS.items():
        message = world.arrived(world.send(customer))
        links = re.findall(rf'href="(https://t\.{domain}/c/[\w-]+)"', message)
        assert links and "X-DoPosta" not in message
        status, location = world.ask(links[0])
        assert status == 302 and location.startswith(f"https://www.{domain}/"), location
        # the same token at the other's host is nobody's
        other = next(d for d in SHOPS.values() if d != domain)
        assert world.ask(links[0].replace(f"t.{domain}", f"t.{other}"))[0] == 404


def test_who_unsubscribes_from_one_still_gets_the_others_mail(world):
    leaves = "leaves@there.example"
    assert world.unsubscribe(world.arrived(world.send("shop", leaves))) == 200
    (_, _, _, said), = harness.wait_for("the log to say so", lambda: world.s.relay.events("unsubscribed"))
    assert said["customer"] == "shop"
    world.send("shop", leaves)
    world.arrived(world.send("toys", leaves))

    def refused():  # by relay, when the message has come; Postfix sends it back to its sender
        return re.search(r"to=<leaves@there\.example>.* status=bounced .*550 5\.7\.1 Recipient is suppressed", world.postfix.log())
    harness.wait_for("Postfix to hear of it", refused)
    assert [(e[3]["code"], e[3]["reply"]) for e in world.s.relay.events("refused")] == [("550", "SUPPRESSED")]


def test_what_one_customer_knows_of_a_reader_is_his_to_export_and_erase(world):
    reader = "both@there.example"
    messages = {c: world.arrived(world.send(c, reader)) for c in SHOPS}
    for customer in SHOPS:
        harness.wait_for("the keeper", lambda: world.known(customer, reader) == [f"{customer}-news"])
    assert world.known("default", reader) == []  # the listener's
    world.s.cli("tracking", "erase", "--yes", "--customer", "shop", reader, check=True)
    assert (world.known("shop", reader), world.known("toys", reader)) == ([], ["toys-news"])
    assert (world.unsubscribe(messages["shop"]), world.unsubscribe(messages["toys"])) == (410, 200)
