# SPDX-License-Identifier: Apache-2.0
"""Webhooks end to end: a real relay and keyd, readers at the tracking host, and HTTPS servers that are told of them, found by a
real DNS in a network namespace of the test's own. Signatures are checked by what Standard Webhooks says, written down here again."""
import base64
import collections
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import threading
import time

import harness
import pytest
import test_tracking
import tls_chain
import tls_world
from test_tracking import World, message_name

pytestmark = pytest.mark.skipif(not tls_world.available(), reason="needs root, nsd and ldnsutils")

TIMEOUT = 1.0  # tracking.webhook_timeout of these tests
DAY = 86400 * 1000000
Request = collections.namedtuple("Request", "path headers body at")


class Server:
    """https://NAME: what it was told is in .requests, what it says in .answers: statuses, the last of them for ever.

    A status may be "hang" (nothing comes back) or a pair of a status and more lines of the header."""

    def __init__(self, net, name, chain=None):
        self.net, self.name, self.url = net, name, f"https://{name}/hook"
        self.address = net.address(2)
        self.requests, self.answers, self.connections = [], [200], 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*(chain or net.ca.chain(name)).write(net.dir, name))
        self.socket = None
        self.start()
        net._keep(self)
        net.zones.add(name, "A", self.address, ttl=1)

    def start(self):
        self.socket = socket.create_server((self.address, 443), backlog=64)
        threading.Thread(target=self._accept, args=(self.socket,), daemon=True).start()
        return self

    def stop(self):
        if self.socket:
            self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()
            self.socket = None

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._quietly, args=(sock,), daemon=True).start()

    def _quietly(self, sock):
        try:
            sock.settimeout(60)
            with self.context.wrap_socket(sock, server_side=True) as tls, tls.makefile("rb") as f:
                self._serve(tls, f)
        except (OSError, ValueError):
            pass
        finally:
            sock.close()

    def _serve(self, tls, f):
        method, path, _ = f.readline().decode().split()
        headers = {}
        while (line := f.readline().decode().rstrip("\r\n")):
            k, v = line.split(": ", 1)
            assert k.lower() not in headers
            headers[k.lower()] = v
        body = f.read(int(headers.get("content-length", 0)))
        assert method == "POST"
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        self.requests.append(Request(path, headers, body, time.time()))
        if answer == "hang":
            tls.recv(1)
            return
        status, more = answer if isinstance(answer, tuple) else (answer, "")
        tls.sendall(f"HTTP/1.1 {status} Status\r\nContent-Length: 0\r\n{more}Connection: close\r\n\r\n".encode())

    # --- what it was told

    def ids(self):
        return [r.headers["webhook-id"] for r in self.requests]

    def told(self, tid=None, kind=None):
        """Events, the first request of each id: [dict of the body]."""
        seen, out = set(), []
        for r in list(self.requests):
            if r.headers["webhook-id"] not in seen:
                seen.add(r.headers["webhook-id"])
                e = json.loads(r.body)
                if (tid is None or e["data"].get("message") == message_name(tid)) and (kind is None or e["type"] == kind):
                    out.append(e)
        return out

    def wait(self, count=1, tid=None, kind=None, seconds=15):
        harness.wait_for(f"{count} events at {self.name}", lambda: len(self.told(tid, kind)) >= count, seconds)
        return self.told(tid, kind)

    def wait_requests(self, count, seconds=15):
        harness.wait_for(f"{count} requests at {self.name}", lambda: len(self.requests) >= count, seconds)
        return list(self.requests)


def good_signatures(request, *secrets):
    """How many of the signatures each secret made, by Standard Webhooks 1.0: base64(HMAC-SHA256(id.timestamp.body))."""
    h = request.headers
    signed = b".".join([h["webhook-id"].encode(), h["webhook-timestamp"].encode(), request.body])
    given = h["webhook-signature"].split(" ")
    assert all(re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", g) for g in given)
    assert abs(int(h["webhook-timestamp"]) - request.at) < 60
    counts = []
    for secret in secrets:
        assert secret.startswith("whsec_")
        key = base64.b64decode(secret[6:], validate=True)
        assert len(key) >= 24
        want = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        counts.append(given.count(want))
    assert sum(counts) == len(given)
    return counts


class Hooks:
    """The world of test_tracking, with webhooks that are found by a DNS."""

    def __init__(self, place, **tracking):
        self.net = tls_world.World(place).enter()
        try:
            self.net.publish()
            keys = {"dns": f'{{servers: ["{tls_world.RELAY_ASKS}@53"], trust_anchor: {self.net.zones.anchor}}}',
                    "outbound": f'{{ca: {self.net.ca_file}, private_ok: ["127.2.0.0/16"]}}'}
            self.t = World(os.path.join(place, "tracking"), keys, webhook_timeout=f"{TIMEOUT:g}s", **tracking)
        except BaseException:
            self.net.close()
            raise
        self.s = self.t.s
        self.count, self.reader = 0, 40

    def close(self):
        self.t.close()
        self.net.close()

    def click(self, tid, link=0):
        return self.t.get(self.t.click(tid, link=link), net=self.reader)

    def open(self, tid):
        return self.t.get(self.t.open(tid), net=self.reader)

    def server(self, label=None, **more):
        """A server with a name in the DNS."""
        self.count += 1
        h = Server(self.net, f"{label or 'hook'}{self.count}.hooks.example", **more)
        self.net.publish()
        return h

    def add(self, url, *args, check=True):
        """(number, secret) of a webhook."""
        r = self.s.cli("webhook", "add", *args, url, check=check)
        if not check:
            return r
        return re.search(r"^Webhook (\d+) was added", r.stdout, re.M)[1], re.search(r"^Secret: (whsec_\S+)$", r.stdout, re.M)[1]

    def hook(self, *args, label=None, **more):
        h = self.server(label, **more)
        h.id, h.secret = self.add(h.url, *args)
        return h

    def listed(self, id):
        items = json.loads(self.s.cli("webhook", "list", "--json", check=True).stdout)
        return next((i for i in items if str(i["id"]) == id), None)

    def wait_listed(self, id, test, what="the list"):
        return harness.wait_for(what, lambda: (i := self.listed(id)) and test(i) and i, 15)

    def remove(self, *hooks):
        for h in hooks:
            self.s.cli("webhook", "remove", h.id, check=True)
            h.stop()

    def log(self, event, id):
        return [e[3] for e in self.s.relay.events(event) if e[3].get("webhook") == id]

    def database(self):
        """track.db, to be changed while relay is stopped."""
        return sqlite3.connect(self.s.path("relay", "track.db"))

    def changed(self, *statements):
        """Stops relay, runs statements on its events, starts it: the only way to have days go by."""
        self.s.relay.stop()
        db = self.database()
        for sql in statements:
            db.execute(sql)
        db.commit()
        db.close()
        self.s.relay.start()
        self.s.wait_keyd()


@pytest.fixture(scope="module")
def w():
    place = harness.scratch("webhook")
    w = Hooks(place)
    w.t.need_links()
    try:
        yield w
        errors = [e for e in w.s.relay.events() if e[0] == "ERROR" and e[2] != "webhook-gave-up"]
        assert not errors
    finally:
        w.close()
    shutil.rmtree(place)


@pytest.fixture(autouse=True)
def reader(w):
    """Each test's reader is in a network of his own, or he would be taken for a program that follows everybody's links."""
    w.reader += 1


# --- what is told


def test_each_kind_of_event_is_told_and_signed(w):
    h = w.hook()
    tid = w.t.send("kinds@hook.example")
    test_tracking.older()
    w.click(tid, link=2)
    w.open(tid)
    assert w.t.post(w.t.unsubscribe(tid)).status == 200
    told = {e["type"]: e for e in h.wait(3, tid)}
    assert set(told) == {"click", "open", "unsubscribe"}
    for kind, e in told.items():
        assert set(e) == {"type", "timestamp", "data"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", e["timestamp"])
        data = e["data"]
        assert (data["customer"], data["campaign"], data["number"]) == ("default", "autumn", test_tracking.NUMBER)
        assert (data["message"], data["recipient"], data["revised"]) == (message_name(tid), "kinds@hook.example", False)
        assert ("link" in data) == (kind == "click")
    click = told["click"]["data"]
    assert (click["link"], click["class"], click["reasons"], click["agent"]) == (2, "human", [], "firefox")
    assert len(set(h.ids())) == len(h.requests)
    for r in h.requests:
        assert r.path == "/hook" and r.headers["host"] == h.name and r.headers["content-type"] == "application/json"
        assert good_signatures(r, h.secret) == [1]
    listed = w.wait_listed(h.id, lambda i: i["waiting"] == 0)
    assert (listed["status"], listed["failures"], listed["url"]) == (200, 0, h.url)
    text = w.s.cli("webhook", "list", check=True).stdout
    assert re.search(rf"^ *{h.id}  default +click,open,unsubscribe +0  \S+ \S+ +200 +{re.escape(h.url)}$", text, re.M), text
    w.remove(h)


def test_a_test_is_told_and_its_answer_shown(w):
    h = w.hook()
    w.s.cli("webhook", "test", h.id, check=True)
    e, = h.wait(1, kind="webhook.test")
    assert e["data"] == {} and good_signatures(h.requests[0], h.secret) == [1]
    w.wait_listed(h.id, lambda i: i["last"] and i["status"] == 200)
    w.remove(h)
    for verb in ("test", "remove", "secret"):
        assert w.s.cli("webhook", verb, h.id).returncode == 1
    assert w.s.cli("webhook", "test", "x").returncode == 64


def test_a_class_that_changes_is_told_again_as_revised(w):
    h = w.hook("--events", "click")
    tid = w.t.send("revised@hook.example")
    test_tracking.older()
    w.t.get(w.t.click(tid), net=w.reader)
    first, = h.wait(1, tid)
    assert (first["data"]["class"], first["data"]["revised"]) == ("human", False)
    w.t.get(w.t.click(tid, 65535), net=w.reader)  # nobody sees that link
    again = [e for e in h.wait(3, tid) if e["data"]["revised"]]
    assert [(e["data"]["class"], e["data"]["reasons"], e["data"]["link"]) for e in again] == [("machine", ["honeypot"], 0)]
    assert len(set(h.ids())) == 3
    w.remove(h)


def test_a_webhook_hears_its_events_of_its_customer_and_with_consent_only(w):
    all_of, stops, theirs = w.hook(), w.hook("--events", "unsubscribe"), w.hook("--customer", "other")
    quiet, loud = w.t.send("quiet@hook.example", "aggregate"), w.t.send("loud@hook.example")
    w.click(0)
    w.click(quiet)
    w.click(loud)
    assert w.t.post(w.t.unsubscribe(quiet)).status == 200
    assert [e["type"] for e in stops.wait()] == ["unsubscribe"]
    all_of.wait(2)
    for h in (stops, all_of, theirs):
        w.wait_listed(h.id, lambda i: i["waiting"] == 0)
    assert {(e["type"], e["data"]["message"]) for e in all_of.told()} == \
        {("click", message_name(loud)), ("unsubscribe", message_name(quiet))}
    assert len(stops.requests) == 1 and theirs.connections == 0
    w.remove(all_of, stops, theirs)


def test_who_was_erased_is_not_told_any_more(w):
    h = w.hook("--events", "click")
    h.answers = [503]
    tid = w.t.send("erased@hook.example")
    w.click(tid)
    h.wait_requests(1)
    w.s.cli("tracking", "erase", "--yes", "erased@hook.example", check=True)
    assert w.listed(h.id)["waiting"] == 0
    w.remove(h)


def test_urls_that_cannot_be_webhooks_are_refused(w):
    for url in ("http://shop.example/", "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://localhost/",
                "https://169.254.169.254/latest", "https://2130706433/", "https://0x7f.1/", "https://user@shop.example/",
                "https://shop.example:0/", "https://shop.example/#x", "https://shop.example/a b", "ftp://shop.example/", "x"):
        r = w.add(url, check=False)
        assert r.returncode != 0 and "url must be https://" in r.stderr, url
    r = w.add("https://shop.example/", "--events", "click,nothing", check=False)
    assert r.returncode != 0 and "events must be some of click,open,unsubscribe" in r.stderr
    r = w.add("https://shop.example/", "--customer", "nobody", check=False)
    assert r.returncode == 1 and "no such customer" in r.stderr
    assert w.s.cli("webhook", "list", "--json").stdout.strip() == "[]"


# --- trying again


def test_what_failed_is_tried_again_later_under_the_same_id(w):
    h = w.hook()
    h.answers = [500, (302, "Location: https://elsewhere.hooks.example/\r\n"), 200]
    tid = w.t.send("again@hook.example")
    w.click(tid)
    first, second = h.wait_requests(2)
    assert second.at - first.at > 1.5  # 2 s, a fifth more or less
    waiting = w.wait_listed(h.id, lambda i: i["failures"] == 2)
    assert (waiting["waiting"], waiting["status"]) == (1, 302)
    assert "failed 2 times" in w.s.cli("webhook", "list").stdout
    assert [(e["tries"], e["why"]) for e in w.log("webhook-failed", h.id)] == [("1", "HTTP status 500"), ("2", "HTTP status 302")]
    db = sqlite3.connect(f"file:{w.s.path('relay', 'track.db')}?mode=ro", uri=True)
    due, = db.execute("SELECT due FROM push WHERE hook=?", (h.id,)).fetchone()
    db.close()
    assert 24 <= due / 1e6 - second.at < 60  # 30 s, a fifth more or less, since that answer came
    w.changed(f"UPDATE push SET due=0 WHERE hook={h.id}")  # as if they were over
    third = h.wait_requests(3)[2]
    assert len(set(h.ids())) == 1 and len({r.body for r in h.requests}) == 1
    assert int(first.headers["webhook-timestamp"]) < int(third.headers["webhook-timestamp"])
    assert all(good_signatures(r, h.secret) == [1] for r in h.requests)
    done = w.wait_listed(h.id, lambda i: i["waiting"] == 0)
    assert (done["failures"], done["status"]) == (0, 200)
    w.remove(h)


def test_a_server_that_asks_to_wait_is_left_alone_until_then(w):
    h = w.hook()
    in_an_hour = time.time() + 3600
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(in_an_hour))
    h.answers = [(429, "Retry-After: 4\r\n"), (503, f"Retry-After: {date}\r\n"), 200]
    tid = w.t.send("busy@hook.example")
    w.click(tid)
    h.wait_requests(1)
    w.open(tid)  # neither this one nor the try that would be due after two seconds
    w.wait_listed(h.id, lambda i: i["waiting"] == 2)
    first, second = h.wait_requests(2)
    assert second.at - first.at >= 4
    asked = w.wait_listed(h.id, lambda i: i["failures"] == 2)
    assert abs(asked["quiet"] / 1e6 - in_an_hour) < 60 and asked["status"] == 503
    text = w.s.cli("webhook", "list", check=True).stdout
    assert re.search(rf"^ *{h.id}  .* failed 2 times, wants nothing until \S+ \S+ +https", text, re.M), text
    w.s.relay.stop()
    w.s.relay.start()
    w.s.wait_keyd()
    assert w.listed(h.id)["quiet"] == asked["quiet"] and len(h.requests) == 2
    w.s.cli("webhook", "test", h.id, check=True)  # its server was mended
    h.wait(1, kind="webhook.test")
    w.wait_listed(h.id, lambda i: (i["failures"], i["status"], i["quiet"]) == (0, 200, 0))
    w.remove(h)


def test_after_days_it_is_given_up_and_said(w):
    h = w.hook()
    h.answers = [500]
    tid = w.t.send("never@hook.example")
    w.open(tid)
    h.wait_requests(1)
    w.wait_listed(h.id, lambda i: i["failures"] == 1)
    w.changed(f"UPDATE push SET due=0, tries=10 WHERE hook={h.id}")
    w.wait_listed(h.id, lambda i: i["waiting"] == 0)
    gave_up, = w.log("webhook-gave-up", h.id)
    assert (gave_up["tries"], gave_up["why"]) == ("11", "HTTP status 500")
    w.remove(h)


def test_gone_ends_it_until_a_test_is_taken(w):
    h = w.hook("--events", "open")
    h.answers = [500, 410]
    tid = w.t.send("ended@hook.example")
    test_tracking.older()
    w.open(tid)  # waits for its second try
    h.wait_requests(1)
    w.wait_listed(h.id, lambda i: i["failures"] == 1)
    assert re.search(rf"^ *{h.id}  .* failed once ", w.s.cli("webhook", "list").stdout, re.M)
    w.open(tid)
    ended = w.wait_listed(h.id, lambda i: i["ended"])
    assert (ended["waiting"], ended["status"]) == (0, 410)
    said, = w.log("webhook-ended", h.id)
    assert said["why"] == "HTTP status 410" and said["dropped"] in "12"  # 1: the second try came before the second event
    assert re.search(rf"^ *{h.id}  .* ended \(410\) ", w.s.cli("webhook", "list").stdout, re.M)
    w.open(tid)
    harness.wait_for("the event", lambda: len(test_tracking.classes(w.t, tid)) == 3, 5)
    assert w.listed(h.id)["waiting"] == 0
    w.s.cli("webhook", "test", h.id, check=True)
    h.wait(1, kind="webhook.test")
    w.wait_listed(h.id, lambda i: i["waiting"] == 0 and i["failures"] == 3)
    assert w.listed(h.id)["ended"]
    h.answers = [200]
    w.s.cli("webhook", "test", h.id, check=True)
    w.wait_listed(h.id, lambda i: not i["ended"] and i["status"] == 200)
    before = len(h.requests)
    w.open(tid)
    assert json.loads(h.wait_requests(before + 1)[-1].body)["type"] == "open"
    w.wait_listed(h.id, lambda i: i["waiting"] == 0)
    w.remove(h)


def test_a_restart_and_a_crash_forget_nothing(w):
    h = w.hook()
    h.answers = [503]
    tid = w.t.send("kept@hook.example")
    w.click(tid)
    h.wait_requests(1)
    w.open(tid)
    w.wait_listed(h.id, lambda i: i["waiting"] >= 2)
    w.s.relay.kill()
    h.answers = [200]
    w.s.relay.start()
    w.s.wait_keyd()
    assert {e["type"] for e in h.wait(2, tid)} == {"click", "open"}
    w.wait_listed(h.id, lambda i: i["waiting"] == 0)
    w.remove(h)


def copies(hook, count):
    """Statements that leave one thing for a hook to be told, and add so many, all due."""
    return (f"DELETE FROM push WHERE hook={hook} AND id>(SELECT min(id) FROM push WHERE hook={hook})",
            "INSERT INTO push(hook, event, revised, due, tries, made) SELECT hook, event, 0, 0, 1, made FROM push,"
            f" (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<{count}) SELECT i FROM n) WHERE hook={hook}")


def test_a_queue_that_is_full_takes_no_more_and_says_so(w):
    h = w.hook("--events", "click")
    h.answers = [503]
    tid = w.t.send("full@hook.example")
    w.click(tid)
    h.wait_requests(1)
    later = int((time.time() + 86400) * 1e6)
    w.changed(*copies(h.id, 99999), f"UPDATE push SET due={later} WHERE hook={h.id}")
    assert w.listed(h.id)["waiting"] == 100000
    before = len(h.requests)
    for link in range(3):
        w.click(tid, link=link)
    harness.wait_for("the events", lambda: len(test_tracking.classes(w.t, tid)) == 4, 10)
    listed = w.listed(h.id)
    assert listed["waiting"] == 100000 and listed["lost"] >= 3 and len(h.requests) == before
    assert w.log("webhook-full", h.id)[0]["lost"] == "1"
    assert re.search(rf"^ *{h.id}  .* 100000 \(\d+ lost\) ", w.s.cli("webhook", "list").stdout, re.M)
    w.remove(h)
    assert not [e for e in w.s.relay.events() if e[0] == "ERROR" and e[2] != "webhook-gave-up"]


def test_a_server_that_hangs_keeps_nobody_waiting(w):
    hangs, works = w.hook("--events", "click"), w.hook("--events", "click")
    hangs.answers = ["hang"]
    tid = w.t.send("hangs@hook.example")
    w.click(tid)
    works.wait(1, tid)
    w.wait_listed(hangs.id, lambda i: i["failures"] >= 1)
    assert w.log("webhook-failed", hangs.id)[0]["why"] == "no answer in time"
    # it is a thousand behind, all due: others are told at once all the same
    w.changed(*copies(hangs.id, 1000))
    for link in range(3):
        w.click(tid, link=link)
    works.wait(4, tid)
    assert w.listed(hangs.id)["waiting"] > 900
    w.remove(hangs, works)


# --- whom it is told


def test_a_name_that_leads_into_our_own_network_is_not_asked(w):
    """Also one that led elsewhere when the webhook was added, or that leads to both."""
    h, inside = w.hook(label="rebinds"), w.server("inside")
    private = w.net.address(9)
    inside.stop()
    inside.address = private
    inside.start()
    w.s.cli("webhook", "test", h.id, check=True)
    h.wait(1)
    w.net.zones.set(h.name, "A", private, ttl=1)
    w.net.zones.add(h.name, "AAAA", f"::ffff:{private}", "::1", "fe80::1", ttl=1)
    w.net.publish()
    w.changed()  # its resolver begins anew
    w.s.cli("webhook", "test", h.id, check=True)
    w.wait_listed(h.id, lambda i: i["failures"])
    assert w.log("webhook-failed", h.id)[-1]["why"] == "the host has no address that may be connected to"
    refused = [e[3] for e in w.s.relay.events("https-address-refused") if e[3]["host"] == h.name]
    assert {e["kind"] for e in refused} == {"loopback", "link-local"}
    w.net.zones.set(h.name, "A", private, h.address, ttl=1)
    w.net.publish()
    w.changed()  # its resolver begins anew
    before = len(h.requests)
    w.s.cli("webhook", "test", h.id, check=True)
    h.wait_requests(before + 1)
    assert inside.connections == 0 and not inside.requests
    w.remove(h)


def test_a_redirect_is_not_followed(w):
    h, elsewhere = w.hook(), w.server()
    h.answers = [(307, f"Location: {elsewhere.url}\r\n"), (301, f"Location: {elsewhere.url}\r\n")]
    w.s.cli("webhook", "test", h.id, check=True)
    h.wait_requests(2)
    w.wait_listed(h.id, lambda i: i["failures"] == 2)
    assert elsewhere.connections == 0
    w.remove(h)


def test_a_server_without_a_good_certificate_is_told_nothing(w):
    cases = {"own": (lambda n: tls_chain.own(n), "the certificate is not trusted"),
             "stranger": (lambda n: w.net.stranger.chain(n), "the certificate is not trusted"),
             "expired": (lambda n: w.net.ca.chain(n, expired=True), "the certificate has expired, or is not valid yet"),
             "name": (lambda n: w.net.ca.chain("www." + n), "the certificate is for another name")}
    hooks = {}
    for label, (chain, why) in cases.items():
        w.count += 1
        name = f"{label}{w.count}.hooks.example"
        hooks[label] = Server(w.net, name, chain(name))
    w.net.publish()
    for h in hooks.values():
        h.id, h.secret = w.add(h.url)
        w.s.cli("webhook", "test", h.id, check=True)
    for label, h in hooks.items():
        w.wait_listed(h.id, lambda i: i["failures"])
        assert w.log("webhook-failed", h.id)[0]["why"] == cases[label][1]
        assert not h.requests
    w.remove(*hooks.values())


# --- secrets


def secrets_of(text):
    raw = base64.b64decode(text[6:])
    return [text[6:-1].encode(), raw, raw.hex().encode(), raw.hex().upper().encode()]


def test_for_a_day_after_a_new_secret_the_old_one_signs_too(w):
    h = w.hook()
    r = w.s.cli("webhook", "secret", h.id, check=True)
    fresh = re.search(r"^Secret: (\S+)$", r.stdout, re.M)[1]
    assert fresh != h.secret and "Until " in r.stdout
    w.s.cli("webhook", "test", h.id, check=True)
    assert good_signatures(h.wait_requests(1)[0], fresh, h.secret) == [1, 1]
    w.wait_listed(h.id, lambda i: i["rotating"] and i["waiting"] == 0)
    w.changed(f"UPDATE hook SET second_until=second_until-{DAY} WHERE id={h.id}")
    w.s.cli("webhook", "test", h.id, check=True)
    assert good_signatures(h.wait_requests(2)[1], fresh, h.secret) == [1, 0]
    assert w.listed(h.id)["rotating"] == 0
    w.remove(h)


def test_secrets_lie_sealed_and_are_shown_once(w):
    h = w.hook()
    fresh = re.search(r"^Secret: (\S+)$", w.s.cli("webhook", "secret", h.id, check=True).stdout, re.M)[1]
    w.s.cli("webhook", "test", h.id, check=True)
    h.wait(1)
    w.wait_listed(h.id, lambda i: i["waiting"] == 0)
    shown = w.s.cli("webhook", "list", "--json").stdout + w.s.cli("webhook", "list").stdout
    for secret in (h.secret, fresh):
        assert secret[6:] not in shown
        assert harness.find_bytes(w.s.files(), secrets_of(secret)) == []
    hits = harness.find_bytes(w.s.files(), [b"kinds@hook.example", b"again@hook.example"])
    assert not [x for x in hits if "/relay/" in x[0] or x[0].endswith(".log")]
    w.remove(h)


def test_while_keyd_is_away_it_waits_and_goes_on_by_itself(w):
    h = w.hook("--events", "click")
    h.answers = [503, 200]
    tid = w.t.send("locked@hook.example")
    w.click(tid)
    h.wait_requests(1)
    w.s.keyd.stop()
    before = time.time()
    harness.wait_for("its second try to be due", lambda: time.time() > before + 3, 10)
    assert w.listed(h.id)["failures"] == 1 and len(h.requests) == 1  # keyd's absence is no failure of the webhook
    w.s.keyd.start()
    w.s.wait_keyd()
    h.wait_requests(2)
    w.wait_listed(h.id, lambda i: i["waiting"] == 0)
    w.remove(h)
