# SPDX-License-Identifier: Apache-2.0
"""The list of a campaign's recipients: registered from a file, kept as keyed hashes that lie sealed, and asked by milter for
each message that Postfix hands it. Real keyd, relay, lint, milter, Postfix and a receiver."""
import base64
import json
import os
import re
import shutil
import smtplib
import sqlite3
import subprocess
import sys

import pytest

import campaigns
import harness

pytestmark = pytest.mark.skipif(not harness.Postfix.available(), reason="needs root and Postfix")

MANY = 200000
STREAMS = """
feed_stale: 3s
customers:
  - {sender: shop.example, customer: default, stream: news}
streams:
  - {name: news, policy: enforce}
"""


class World:
    def __init__(self, place):
        self.place, self.running, self.count, self.postfix = place, [], 0, None
        self.sink = self.run(harness.Sink(os.path.join(place, "sink"), keep=True))
        self.s = s = harness.Sealpost(os.path.join(place, "sealpost"))
        self.running.append(s)
        s.configure([f'{{domain: "*", to: "127.0.0.1:{self.sink.port}", tls: encrypt}}'])
        s.write("milter.yaml", s.read("milter.yaml") + STREAMS)
        s.start("keyd", "relay", "milter")
        self.key = campaigns.enroll(s)
        self.postfix = self.run(harness.behind_sealpost(os.path.join(place, "postfix"), s))

    def run(self, thing):
        self.running.append(thing)
        return thing.start()

    def stop(self):
        for thing in reversed(self.running):
            getattr(thing, "kill", thing.stop)()

    def source(self, name, *changes):
        return campaigns.source(os.path.join(self.place, "source", name), self.s.uid,
                                [("example.yaml", "campaign: example", f"campaign: {name}"), *changes])

    def list(self, name, text):
        """A file of addresses, readable by the author alone."""
        path = os.path.join(self.place, name + ".list")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        if os.getuid() == 0:
            os.chown(path, self.s.uid, self.s.uid)
        return path

    def add(self, name, text, what="add", *args):
        return self.s.cli("campaign", what, self.source(name), "--audience", self.list(name, text), *args)

    def activate(self, name, text):
        version = campaigns.activate(self.s, self.source(name), self.key, name=name, audience=self.list(name, text))
        harness.wait_for("milter to load it", lambda: self.loaded(name, version), 60)

    def loaded(self, name, version=1):
        """How many times milter loaded it."""
        return sum((e["campaign"], e["version"]) == (name, str(version)) for e in self.events("milter", "campaign-loaded"))

    def start_milter(self, name):
        before = self.loaded(name)
        self.s.start("milter")
        harness.wait_for("milter to load it", lambda: self.loaded(name) > before, 60)

    def events(self, program, name):
        return [facts for _, _, _, facts in getattr(self.s, program).events(name)]

    def restart(self):
        """All daemons; until milter has asked for everything again."""
        before = len(self.events("milter", "campaigns-ready"))
        for process in (self.s.milter, self.s.relay, self.s.keyd):
            process.stop()
        self.s.start("keyd", "relay")
        self.s.start("milter")
        harness.wait_for("milter to know the campaigns", lambda: len(self.events("milter", "campaigns-ready")) > before, 60)

    def send(self, name, rcpt, version=1):
        """One true message of a campaign through Postfix: its reply."""
        self.count += 1
        mid = f"<m{self.count}@shop.example>"
        value = campaigns.header(self.s, rcpt, version, message_id=mid, name=name)
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=30) as c:
            c.ehlo()
            c.mail("news@shop.example", ["BODY=8BITMIME"])
            code, text = c.rcpt(rcpt)
            if code == 250:
                code, text = c.data(campaigns.message(rcpt, message_id=mid, campaign=value))
        return f"{code} {text.decode()}"


@pytest.fixture(scope="module")
def world():
    w = World.__new__(World)
    place = harness.scratch("audience")
    try:
        w.__init__(place)
        yield w
    finally:
        w.stop()
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def many(world):
    """A campaign with a large list, one address of which is there twice."""
    lines = [f"reader{i}@there.example" for i in range(MANY - 1)]
    world.activate("many", "\n".join(["# our readers", "", *lines, "Anna.Reader@There.Example", "READER5@there.example"]) + "\n")
    return world


def refused(reply):
    return re.fullmatch(r"550 5\.7\.1 Campaign refused, report ([0-9a-z]{13})", reply)


def test_who_is_in_the_list_gets_it_and_nobody_else(many):
    before = len(many.sink.kept())
    assert many.send("many", "anna.reader@there.example")[:3] == "250"
    assert many.send("many", f"Reader{MANY - 2}@THERE.example")[:3] == "250"
    for rcpt in ("stranger@there.example", "reader5@elsewhere.example", "reader5+x@there.example", f"reader{MANY}@there.example"):
        found = refused(many.send("many", rcpt))
        assert found, rcpt
        report = harness.wait_for("the report", lambda: many.s.cli("campaign", "report", found[1]).stdout)
        assert "not in the campaign's audience" in report and "there.example" not in report, report
    harness.wait_for("both messages to arrive", lambda: len(many.sink.kept()) >= before + 2, 60)
    assert {line for _, lines, _ in many.sink.kept() for line in lines if "stranger" in line.lower()} == set()


def test_the_count_is_told_to_who_writes_and_who_approves(world, many):
    show = many.s.cli("campaign", "show", "many", check=True).stdout
    assert f"Audience   {MANY} addresses\n" in show
    shown = json.loads(many.s.cli("campaign", "show", "many", "--json", check=True).stdout)
    assert shown["manifest"]["audience"]["count"] == MANY
    r = world.add("draft", "a@there.example\nA@THERE.EXAMPLE\nb@there.example\n", "lint")
    assert r.returncode == 0 and "Audience   2 addresses, 1 double dropped\n" in r.stdout, r.stdout + r.stderr
    r = world.add("draft", "a@there.example", "add", "--author", "erika")
    assert r.returncode == 0 and "Audience   1 address\n" in r.stdout, r.stdout + r.stderr
    plain = world.s.cli("campaign", "add", world.source("draft"), "--author", "erika", check=True).stdout
    assert "Audience   anyone\n" in plain
    assert "Audience   anyone\n" in world.s.cli("campaign", "show", "draft", check=True).stdout
    assert [e["audience"] for e in world.events("relay", "campaign-added") if e["campaign"] == "draft"] == ["1", "0"]


def pieces(world, where=""):
    with sqlite3.connect(f"file:{world.s.path('relay', 'relay.db')}?mode=ro", uri=True) as db:
        return dict(db.execute("SELECT id, bytes FROM campaign_piece " + where))


def test_who_approves_is_told_that_the_list_is_another(world):
    world.activate("changed", "a@there.example\nb@there.example\n")
    for others, told in (("c", "To is      2 addresses\n           and not the same ones\n"), ("cd", "To is      3 addresses\n")):
        text = "".join(f"{who}@there.example\n" for who in "a" + others)
        assert world.add("changed", text, "add", "--author", "erika").returncode == 0
        r = world.s.cli("campaign", "approve", "changed", "--approver", "bert", "--key", world.key, "--yes", check=True)
        assert "To was     2 addresses\n" + told in r.stdout, r.stdout


def test_the_list_of_a_version_that_is_over_is_not_kept(world):
    def numbers():
        return {v["version"]: v["number"] for v in json.loads(world.s.cli("campaign", "list", "over", "--json").stdout)}

    def kept(version):
        return len(pieces(world, f"WHERE id >= 1 << 48 AND number = {numbers()[version]}"))
    world.activate("over", "a@there.example\n")
    assert kept(1) == 1
    world.activate("over", "b@there.example\n")
    assert (kept(1), kept(2)) == (0, 1)
    assert "Audience   1 address\n" in world.s.cli("campaign", "show", "over", "--version", "1", check=True).stdout
    assert refused(world.send("over", "a@there.example", 1)) and refused(world.send("over", "a@there.example", 2))
    assert world.send("over", "b@there.example", 2)[:3] == "250"
    world.s.cli("campaign", "revoke", "over", "--yes", check=True)
    assert kept(2) == 0 and pieces(world, f"WHERE number = {numbers()[2]}")


def test_a_list_holds_after_its_key_was_rotated_and_all_began_anew(world, many):
    before = pieces(world)
    world.s.cli("key", "rotate", "dek", "default", check=True)
    harness.wait_for("all pieces to lie under the new key",
                     lambda: all(data != before[i] for i, data in pieces(world).items() if i in before), 60)
    world.restart()
    assert many.send("many", "reader77@there.example")[:3] == "250"
    assert refused(many.send("many", "stranger@there.example"))
    world.activate("after", "anna@there.example\n")
    assert world.send("after", "Anna@there.example")[:3] == "250"
    assert refused(world.send("after", "reader77@there.example"))


def test_no_address_is_written_anywhere(world, many):
    paths = [p for p in world.s.files() if os.path.exists(p)]
    assert any(p.endswith("relay.db") for p in paths)
    wanted = [b"reader123@", b"READER123@", b"reader199@there", base64.b64encode(b"reader123@there")[:16]]
    logs = [os.path.join(world.s.logs, name) for name in os.listdir(world.s.logs)]
    assert harness.find_bytes(paths + logs, wanted) == []


@pytest.mark.parametrize("what", ["lint", "add"])
def test_a_line_that_is_no_address_is_named_by_its_number(world, what):
    text = "anna@there.example\nSecret Person <secret@there.example>\n\nname;mail\nbert@there.example\nno-address"
    r = world.add("bad", text, what)
    path = os.path.join(world.place, "bad.list")
    assert r.returncode, r.stdout + r.stderr
    for line in (2, 4, 6):
        assert f"{path}:{line}:1: error: audience-address: this line is no address\n" in r.stdout, r.stdout
    assert "3 errors, " in r.stdout and "ecret" not in r.stdout + r.stderr + world.s.relay.log_text()
    assert world.s.cli("campaign", "list", "bad").returncode == 1


def test_of_many_bad_lines_the_first_are_named_and_the_rest_counted(world):
    r = world.add("bad", "anna@there.example\n" + "nobody\n" * 30000)
    assert r.returncode and r.stdout.count("this line is no address") == 25
    assert f"{world.place}/bad.list: error: audience-address: and 29975 lines more\n" in r.stdout, r.stdout


@pytest.mark.parametrize("text", ["", "\n\n", "# nobody\n"])
def test_an_empty_list_is_refused(world, text):
    for what in ("lint", "add"):
        r = world.add("bad", text, what)
        assert r.returncode and "bad.list: error: audience-empty: there is no address in the list" in r.stdout, r.stdout
    assert world.s.cli("campaign", "list", "bad").returncode == 1


def test_what_the_source_and_the_list_have_wrong_is_told_at_once(world):
    path = world.source("bad", ("example.html", "<p>Shop</p>", '<p><a href="https://evil.example/">x</a></p>'))
    r = world.s.cli("campaign", "add", path, "--audience", world.list("bad", "nobody\n"))
    assert r.returncode and "audience-address" in r.stdout and "host-not-owned" in r.stdout


def test_a_list_that_cannot_be_read_or_is_none(world):
    r = world.s.cli("campaign", "add", world.source("bad"), "--audience", os.path.join(world.place, "missing"))
    assert r.returncode == 64 and "No such file" in r.stderr, r.stderr
    r = world.add("bad", b"x" * 300000)
    assert r.returncode == 64 and "one address a line" in r.stderr, r.stderr
    r = world.add("bad", b"\0\xff\n" * 10 + b"anna@there.example\n")
    assert r.returncode and r.stdout.count("this line is no address") == 10, r.stdout


@pytest.mark.parametrize("written", ['{sha256: "%s", count: 2}' % ("ab" * 32), "anna@there.example", "[anna@there.example]",
                                     "12", "readers.txt"])
def test_what_an_author_writes_in_place_of_a_list_is_refused(world, written):
    path = world.source("bad", ("example.yaml", "track: null", f"track: null\naudience: {written}"))
    r = world.s.cli("campaign", "add", path)
    assert r.returncode and "audience: error: audience-list: " in r.stdout, r.stdout + r.stderr


def put(world, **body):
    lines = base64.b64encode(b"anna@there.example\n").decode()
    return campaigns.api(world.s, "POST", "/v1/campaigns/audience", {"lines": lines, **body})


def test_a_list_on_its_way_is_its_customer_s_and_used_once(world):
    status, began = put(world)
    assert status == 200 and began["addresses"] == 1 and re.fullmatch("[0-9a-f]{32}", began["audience"])
    status, more = put(world, audience=began["audience"])
    assert status == 200 and (more["lines"], more["addresses"]) == (2, 2) and more["audience"] == began["audience"]
    source = {"campaign": "once", "customer": "default", "audience": began["audience"]}
    assert campaigns.api(world.s, "POST", "/v1/campaigns/lint", {**source, "customer": "other"})[0] == 400
    status, said = campaigns.api(world.s, "POST", "/v1/campaigns/lint", source)
    assert status == 200 and said["audience"] == {"count": 1, "doubles": 1, "lines": 2}
    assert campaigns.api(world.s, "POST", "/v1/campaigns/lint", source)[0] == 400
    assert put(world, audience=began["audience"])[0] == 404


def test_lists_that_nobody_can_have(world):
    assert put(world, customer="nobody")[0] == 404
    assert put(world, customer="no name")[0] == 400
    assert put(world, audience="0" * 32)[0] == 404
    assert put(world, lines="***")[0] == 400
    assert put(world, lines=7)[0] == 400
    names = []
    while True:
        status, said = put(world)
        if status != 200:
            break
        names.append(said["audience"])
        assert len(names) < 10
    assert status == 503 and len(names) == 4
    for name in names:  # room again
        campaigns.api(world.s, "POST", "/v1/campaigns/lint", {"campaign": "once", "audience": name})
    assert put(world)[0] == 200


def test_milter_alone_asks_for_a_list_and_gets_no_other_s(world, many):
    ask = {"customer": "default", "campaign": "many", "version": 1, "from": 0}

    def get(**how):
        return campaigns.api(world.s, "POST", "/v1/milter/audience", {**ask, **how})
    status, said = get()
    got = base64.b64decode(said["audience"])
    assert status == 200 and len(got) == 48 * 16000
    assert [got[i:i + 16] for i in range(0, len(got), 16)] == sorted(got[i:i + 16] for i in range(0, len(got), 16))
    end = MANY * 16 // 768000 * 768000
    assert len(base64.b64decode(get(**{"from": end})[1]["audience"])) == MANY * 16 - end
    assert get(**{"from": end + 768000})[0] == 404 and get(**{"from": 5})[0] == 404
    assert get(**{"from": 2 ** 62})[0] == 404 and get(**{"from": -1})[0] == 400
    assert get(campaign="draft")[0] == 404  # not active


def test_a_list_that_was_changed_in_the_store_makes_the_campaign_wait(world):
    world.activate("spoiled", "anna@there.example\n")
    number = json.loads(world.s.cli("campaign", "show", "spoiled", "--json", check=True).stdout)["number"]
    world.s.milter.stop()
    world.s.relay.stop()
    with sqlite3.connect(world.s.path("relay", "relay.db")) as db:
        (piece, data), = db.execute("SELECT id, bytes FROM campaign_piece WHERE number=? ORDER BY id DESC LIMIT 1", (number,))
        db.execute("UPDATE campaign_piece SET bytes=? WHERE id=?", (data[:-1] + bytes([data[-1] ^ 1]), piece))
    before = len(world.events("milter", "campaigns-ready"))
    world.s.start("relay")
    world.s.start("milter")
    harness.wait_for("milter to know the campaigns", lambda: len(world.events("milter", "campaigns-ready")) > before, 60)
    assert world.send("spoiled", "anna@there.example")[:9] == "451 4.7.1"
    assert world.events("relay", "campaign-damaged")[-1]["what"] == "a piece of its audience does not open"
    assert world.events("milter", "campaign-not-loaded")[-1]["reason"] == "audience not fetched"
    world.s.cli("campaign", "revoke", "spoiled", "--yes", check=True)


def taken(world, name):
    row, = json.loads(world.s.cli("campaign", "list", name, "--json", check=True).stdout)
    return row["taken"]


def test_what_the_milter_did_not_use_is_given_back_when_it_stops(world):
    world.activate("counted", "anna@there.example\nbert@there.example\n")
    assert world.send("counted", "anna@there.example")[:3] == "250"
    assert taken(world, "counted") == 10  # a hundredth of 1000
    for _ in range(2):
        world.s.milter.stop()
        assert taken(world, "counted") == 1
        assert world.events("relay", "messages-returned") and not world.events("relay", "messages-return-refused")
        world.start_milter("counted")
    assert world.send("counted", "bert@there.example")[:3] == "250"
    world.s.milter.kill()  # which costs what it had taken
    assert taken(world, "counted") == 11
    world.start_milter("counted")


def test_a_copy_of_the_store_that_is_put_back_goes_on_at_once(world):
    def told():
        return [world.s.cli("campaign", verb, *more, check=True).stdout
                for verb, *more in (["list", "--json"], ["show", "kept"], ["show", "gone"])]

    world.activate("kept", "anna@there.example\nbert@there.example\n")
    world.activate("gone", "anna@there.example\n")
    assert world.send("kept", "anna@there.example")[:3] == "250"
    world.s.cli("campaign", "revoke", "gone", "--yes", check=True)
    store, copy = world.s.path("relay", "relay.db"), os.path.join(world.place, "relay.db.copy")
    subprocess.run([sys.executable, "-c", "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))",
                    store, copy], check=True, timeout=60)  # while it runs, as sqlite3's .backup does
    before = told()
    alarms = {name: len(world.events("relay", name)) for name in ("campaign-damaged", "campaign-revoked-damaged")}
    world.s.relay.kill()
    for ending in ("", "-wal", "-shm"):
        if os.path.exists(store + ending):
            os.unlink(store + ending)
    shutil.copy(copy, store)
    os.chmod(store, 0o600)
    os.chown(store, world.s.uid, world.s.uid)
    world.s.start("relay")
    assert told() == before
    world.s.milter.stop()  # what it holds was granted before the copy was made
    assert taken(world, "kept") == 1
    world.start_milter("kept")
    assert world.send("kept", "bert@there.example")[:3] == "250"
    assert refused(world.send("kept", "stranger@there.example"))
    assert refused(world.send("gone", "anna@there.example"))
    world.activate("later", "bert@there.example\n")  # what is new is signed
    assert world.send("later", "bert@there.example")[:3] == "250"
    world.s.cli("campaign", "revoke", "later", "--yes", check=True)
    harness.wait_for("the milter to hear of it", lambda: refused(world.send("later", "bert@there.example")))
    assert {name: len(world.events("relay", name)) for name in alarms} == alarms
    harness.wait_for("all to arrive", lambda: world.s.queue() == [] and world.postfix.queued() == [])
