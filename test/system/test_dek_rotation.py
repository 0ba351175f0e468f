# SPDX-License-Identifier: Apache-2.0
"""A customer's new DEK: rows go over to it while others read them, mail is waited for, MACs overlap, the old DEK ends;
with keyd killed and locked in the middle."""
import os
import smtplib
import sqlite3
import struct
import subprocess
import threading
import time

import harness
import keyd_wire as wire
import pytest
from keyd_wire import Client, Refused
from test_keyd import Keyd, refused

FILE = "[{method: file, path: root.key}]"
ROWS = 10000


@pytest.fixture
def keyd(place, parts):
    k = Keyd(place, slots=FILE, extra="rotation: {grace: 1s}\n").start()
    parts.append(k)
    with k.officer() as o:
        o.init(("file",))
        o.customer_add("default")
        o.customer_add("other")
    return k


def keyref(sealed):
    return struct.unpack_from(">I", sealed, 1)[0]


def aad(row):
    return b"default people mail %d 1" % row


def value(row):
    return b"somebody-%d@example.test" % row


class Table:
    """Sealed rows with a blind index, as a program that uses keyd would have them."""

    def __init__(self, path):
        self.path = path
        with self.open() as db:
            db.execute("pragma journal_mode = wal")
            db.execute("create table people (id integer primary key, mail blob, lookup blob)")

    def open(self):
        return sqlite3.connect(self.path, timeout=30, isolation_level=None)

    def fill(self, client, rows=ROWS):
        with self.open() as db:
            for start in range(0, rows, 200):
                batch = range(start, min(start + 200, rows))
                sealed = client.fields("seal-fields", "default", "field", [(aad(i), value(i)) for i in batch])
                index = client.fields("blind-index", "default", "index", [(b"mail", value(i)) for i in batch])
                db.execute("begin")
                db.executemany("insert into people values (?, ?, ?)",
                               [(i, s[1], n[1]) for i, s, n in zip(batch, sealed, index)])
                db.execute("commit")

    def keyrefs(self):
        with self.open() as db:
            return {keyref(mail) for mail, in db.execute("select mail from people")}

    def reseal(self, client, pause=0.0):
        """One walk: each row that is not under the newest DEK goes to it, unless it changed meanwhile. The index needs
        the plaintext, which whoever keeps it may have."""
        newest, moved, last = client.customer_keys("default")[0].keyref, 0, -1
        with self.open() as db:
            while True:
                rows = db.execute("select id, mail from people where id > ? order by id limit 256", (last,)).fetchall()
                if not rows:
                    return moved
                last = rows[-1][0]
                old = [(i, mail) for i, mail in rows if keyref(mail) != newest]
                if old:
                    new = client.fields("reseal-fields", "default", "field", [(aad(i), mail) for i, mail in old])
                    assert all(status == 0 and keyref(mail) == newest for status, mail in new)
                    index = client.fields("blind-index", "default", "index", [(b"mail", value(i)) for i, _ in old])
                    db.execute("begin immediate")
                    for (i, before), (_, after), (_, lookup) in zip(old, new, index):
                        moved += db.execute("update people set mail = ?, lookup = ? where id = ? and mail = ?",
                                            (after, lookup, i, before)).rowcount
                    db.execute("commit")
                time.sleep(pause)


class Reader:
    """Reads rows and looks them up, all the time; every one must open."""

    def __init__(self, keyd, table):
        self.keyd, self.table, self.going, self.read, self.found, self.failures = keyd, table, True, 0, 0, []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            with self.keyd.relay() as c, self.table.open() as db:
                at = 0
                while self.going:
                    rows = db.execute("select id, mail from people where id >= ? order by id limit 100",
                                      (at,)).fetchall()
                    opened = c.fields("open-fields", "default", "field", [(aad(i), mail) for i, mail in rows])
                    self.failures += [(i, s) for (i, _), (s, plain) in zip(rows, opened) if s or plain != value(i)]
                    self.read += len(rows)
                    self.look_up(c, db, at)
                    at = (at + 97) % (ROWS - 100)
        except Exception as e:
            self.failures.append(repr(e))

    def look_up(self, c, db, row):
        """By the index of each DEK that lives: a row is under one of them, before and after it went over."""
        for _ in range(3):  # it may go over between two of the questions
            for dek in c.customer_keys("default"):
                try:
                    (status, index), = c.fields("blind-index", "default", "index", [(b"mail", value(row))], dek.keyref)
                except Refused as e:  # the DEK was destroyed between the two questions
                    assert e.status == wire.E_NOTFOUND
                    continue
                hits = db.execute("select id from people where lookup = ?", (index,)).fetchall() if status == 0 else []
                if hits == [(row,)]:
                    self.found += 1
                    return
        self.failures.append(("not found", row))

    def stop(self):
        self.going = False
        self.thread.join(30)


def test_ten_thousand_rows_go_over_while_others_read_them(keyd, place, parts):
    table = Table(os.path.join(place, "table.db"))
    with keyd.relay() as c, keyd.officer() as o:
        table.fill(c)
        first = c.customer_keys("default")[0].keyref
        assert table.keyrefs() == {first}
        secret = keyd.read_store().deks[first][1]
        reader = Reader(keyd, table)
        parts.append(reader)
        o.rotate("dek", "default")
        newest = c.customer_keys("default")[0].keyref
        assert [d.keyref for d in c.customer_keys()] == [first] and newest != first
        moved = table.reseal(c)
        assert moved == ROWS and table.keyrefs() == {newest}
        assert table.reseal(c) == 0
        seen = reader.read
        harness.wait_for("the reader to go on", lambda: reader.failures or reader.read > seen + 1000)
        c.dek_empty("default", first)
        harness.wait_for("the old DEK to be destroyed", lambda: len(c.customer_keys("default")) == 1)
        seen = reader.read
        harness.wait_for("the reader to go on", lambda: reader.failures or reader.read > seen + 2 * ROWS, 60)
        reader.stop()
        assert reader.failures == [] and reader.read > ROWS and reader.found > 0
        store = keyd.read_store()
        assert first not in store.deks and newest in store.deks
        assert secret not in [dek for _, dek in store.deks.values()]
    assert [e[3]["keyref"] for e in keyd.process.events("dek-destroyed")] == [str(first)]


def test_what_was_under_a_destroyed_dek_does_not_open(keyd):
    with keyd.relay() as c, keyd.officer() as o:
        (_, sealed), = c.fields("seal-fields", "default", "field", [(b"a", b"b")])
        new, = c.derive_new("default", [b"object"])
        assert c.derive_existing([("default", "spool", new.keyref, new.salt, b"object")])[0].key == new.key
        o.rotate("dek", "default")
        assert c.derive_new("default", [b"object"])[0].keyref != new.keyref
        assert c.derive_existing([("default", "spool", new.keyref, new.salt, b"object")])[0].key == new.key
        epoch = c.answer(c.send("status")).epoch
        wrapped = keyd.read_store().dek_wraps[new.keyref]
        assert harness.find_bytes([keyd.file("store.snap"), keyd.file("store.journal")], [wrapped])
        c.dek_empty("default", new.keyref)
        harness.wait_for("the end of the old DEK", lambda: len(c.customer_keys("default")) == 1)
        assert c.answer(c.send("status")).epoch > epoch and "ready" in c.pushes
        assert c.fields("open-fields", "default", "field", [(b"a", sealed)]) == [(wire.E_AUTH, b"")]
        assert c.fields("reseal-fields", "default", "field", [(b"a", sealed)]) == [(wire.E_AUTH, b"")]
        assert c.derive_existing([("default", "spool", new.keyref, new.salt, b"object")])[0].status == wire.E_NOTFOUND
        harness.wait_for("the store to be written without it",
                         lambda: not harness.find_bytes([keyd.file("store.snap"), keyd.file("store.journal")], [wrapped]))
    keyd.kill()
    keyd.start()
    with keyd.relay() as c:
        assert c.fields("open-fields", "default", "field", [(b"a", sealed)]) == [(wire.E_AUTH, b"")]


def test_campaign_macs_of_before_and_after(keyd):
    with keyd.officer() as o, Client(keyd.use, "milter") as m, keyd.relay() as c:
        before = o.mac("default", "campaign/1", b"data")
        o.rotate("dek", "default")
        after = o.mac("default", "campaign/1", b"data")
        assert before != after
        m.verify_mac("default", "campaign/1", b"data", before)
        m.verify_mac("default", "campaign/1", b"data", after)
        old = c.customer_keys("default")[1].keyref
        c.dek_empty("default", old)
        harness.wait_for("the old one's end", lambda: len(c.customer_keys("default")) == 1)
        with refused(wire.E_AUTH):
            m.verify_mac("default", "campaign/1", b"data", before)
        m.verify_mac("default", "campaign/1", b"data", after)


def test_only_relay_says_that_a_dek_is_empty(keyd):
    with keyd.officer() as o:
        o.rotate("dek", "default")
        old = o.customer_keys("default")[1].keyref
    for path, role in ((keyd.use, "milter"), (keyd.admin, "officer"), (keyd.admin, "operator"),
                       (keyd.admin, "auditor")):
        with Client(path, role) as c:
            with refused(wire.E_DENIED):
                c.dek_empty("default", old)
            with refused(wire.E_DENIED):
                c.fields("reseal-fields", "default", "field", [(b"a", b"b")])
    with keyd.relay() as c:
        with refused(wire.E_NOTFOUND):
            c.dek_empty("other", old)
        with refused(wire.E_STATE):
            c.dek_empty("default", c.customer_keys("default")[0].keyref)
        assert len(c.customer_keys("default")) == 2


def test_kill_9_and_lock_at_any_step(place, parts):
    """Of each order keyd dies or is locked in the middle; every row opens afterwards, whatever became of the order."""
    k = Keyd(place, slots=FILE, extra="rotation: {grace: 1s}\n").start()
    parts.append(k)
    table = Table(os.path.join(place, "table.db"))
    with k.officer() as o, k.relay() as c:
        o.init(("file",))
        o.customer_add("default")
        table.fill(c, 500)
    outcomes = set()
    for i in range(30):
        what = ("rotate", "empty", "reseal")[i % 3]
        o, c = k.officer(), k.relay()
        before = c.customer_keys("default")
        if what == "rotate":
            o.send("rotate", bytes([2]) + wire.b8(b"default") + bytes([0]))
        elif what == "reseal":
            threading.Thread(target=lambda c=c: quiet(lambda: table.reseal(c)), daemon=True).start()
        elif len(before) > 1 and before[-1].keyref not in table.keyrefs():
            c.send("dek-empty", wire.b8(b"default") + struct.pack(">I", before[-1].keyref))
        time.sleep(i % 5 * 0.001)  # to hit another moment each time
        if i % 2:
            k.kill()
            o.close()
            c.close()
            k.read_store()  # whole, and every key in it opens
            k.start()
        else:
            with k.officer() as other:
                other.lock()
                other.unseal("file")
            o.close()
            c.close()
        with k.relay() as c, table.open() as db:
            after = c.customer_keys("default")
            outcomes.add((what, len(after) - len(before)))
            rows = db.execute("select id, mail from people").fetchall()
            for start in range(0, 500, 250):
                part = rows[start:start + 250]
                opened = c.fields("open-fields", "default", "field", [(aad(n), mail) for n, mail in part])
                assert [plain for _, plain in opened] == [value(n) for n, _ in part]
            assert [d.version for d in after] == sorted((d.version for d in after), reverse=True)
    assert {w for w, _ in outcomes} == {"rotate", "empty", "reseal"} and ("rotate", 1) in outcomes
    with k.relay() as c:  # and it comes to an end
        table.reseal(c)
        for dek in c.customer_keys("default")[1:]:
            if dek.state == wire.DEK_ACTIVE:  # one that is retired may be gone any moment
                c.dek_empty("default", dek.keyref)
        harness.wait_for("one DEK to be left", lambda: len(c.customer_keys("default")) == 1)


class Orders:
    """Everything that changes versions, one order after the other; how far it came is what was answered."""

    def __init__(self, k):
        self.k, self.done, self.sealed = k, 0, []

    def run(self):
        with self.k.officer() as o, self.k.relay() as c:
            for order in (lambda: self.sealed.append(self.seal(c)), lambda: o.rotate("key", "tls/relay"),
                          lambda: o.rotate("key", "tls/relay", 1), lambda: o.rotate("dek", "default"),
                          lambda: self.sealed.append(self.seal(c)), lambda: self.reseal(c), lambda: self.empty(c),
                          lambda: harness.wait_for("the end of what is old", lambda: len(
                              c.customer_keys("default")) == 1 and o.versions("tls/relay")[1] == "destroyed")):
                order()
                self.done += 1

    @staticmethod
    def seal(c):
        (status, sealed), = c.fields("seal-fields", "default", "field", [(b"row", b"value")])
        assert status == 0
        return sealed

    def reseal(self, c):
        self.sealed = [c.fields("reseal-fields", "default", "field", [(b"row", s)])[0][1] for s in self.sealed]

    @staticmethod
    def empty(c):
        for dek in c.customer_keys("default")[1:]:
            if dek.state == wire.DEK_ACTIVE:  # one that is retired may be gone any moment
                c.dek_empty("default", dek.keyref)


def test_every_step_of_writing_may_be_the_last(place, parts):
    """keyd dies at the first, second, third ... step of writing its files; each time all that was answered holds, and
    the orders can be carried to their end."""
    k = Keyd(place, slots=FILE, extra="rotation: {grace: 0, overlap: 0, kek: 0}\n").start()
    parts.append(k)
    with k.officer() as o:
        o.init(("file",))
        o.customer_add("default")
        o.key_add("tls/relay", "ec-p256")
    k.stop()
    before = os.path.join(place, "before")
    subprocess.run(["cp", "-a", k.state, before], check=True)
    keyd, faulty = k.process.argv[0], harness.program("keyd_faulty")
    deaths, died = 0, True
    while died:
        deaths += 1
        assert deaths < 200
        subprocess.run(["rm", "-rf", k.state], check=True)
        subprocess.run(["cp", "-a", before, k.state], check=True)
        orders = Orders(k)
        k.process.argv[0], k.process.env = faulty, {"SEALPOST_FAULT": str(deaths)}
        died = True
        try:
            k.start()
            orders.run()
            died = False
        except (harness.Failure, OSError, EOFError):
            harness.wait_for("keyd's death", lambda: not k.process.running())
        k.kill()
        k.process.argv[0], k.process.env = keyd, None
        k.start()
        with k.officer() as o, k.relay() as c:
            versions = o.versions("tls/relay")
            assert list(versions.values()).count("active") == 1
            # what was answered is there
            assert len(versions) == 2 or orders.done < 2
            assert versions.get(2) == "active" or orders.done < 3
            assert c.customer_keys("default")[0].version == 2 or orders.done < 4
            for sealed in orders.sealed:
                assert c.fields("open-fields", "default", "field", [(b"row", sealed)]) == [(0, b"value")]
            # and on it goes
            if 2 not in versions:
                o.rotate("key", "tls/relay")
            if o.versions("tls/relay")[2] == "next":
                o.rotate("key", "tls/relay", 1)
            orders.reseal(c)
            orders.empty(c)
            harness.wait_for("the end of what is old", lambda: len(c.customer_keys("default")) == 1
                             and o.versions("tls/relay") == {1: "destroyed", 2: "active"})
            for sealed in orders.sealed:
                assert c.fields("open-fields", "default", "field", [(b"row", sealed)]) == [(0, b"value")]
        k.stop()
        k.read_store()
    assert deaths > 20 and orders.done == 8


def quiet(fn):
    try:
        fn()
    except (OSError, EOFError, Refused, AssertionError, struct.error):
        pass  # its keyd was killed


def test_relay_gives_an_old_dek_up_when_its_mail_is_delivered(sealpost, sink, parts):
    """New mail goes under the new DEK at once; the old one ends when the queue holds nothing of before, not earlier. Mail
    is held, not tried: a row of the ledger keeps its DEK as long as itself."""
    port = harness.free_port()  # nobody listens there yet
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{port}", tls: none}}'], reseal="{settle: 1s}")
    everything = f'peers:\n  "{os.getuid()}": [relay, officer]\n' if os.getuid() != sealpost.uid else "peers:\n"
    sealpost.write("keyd.yaml", sealpost.read("keyd.yaml").replace("peers:\n", everything) +
                   "rotation: {grace: 1s}\n")
    sealpost.start()

    def send(text):
        with smtplib.SMTP("127.0.0.1", sealpost.smtp_port, timeout=20) as s:
            s.sendmail("a@example.test", ["b@example.test"], f"Subject: {text}\r\n\r\nbody\r\n")

    sealpost.cli("queue", "hold", "--destination", "example.test", check=True)
    with Client(sealpost.path("run", "keyd.sock"), "relay") as c:
        send("before")
        first = c.customer_keys("default")[0].keyref
        assert "new data" in sealpost.cli("key", "rotate", "dek", "default", check=True).stdout
        send("after")
        time.sleep(3)  # three times the settling: relay has looked again and again
        assert [d.state for d in c.customer_keys("default")] == [wire.DEK_ACTIVE] * 2
        listed = sealpost.cli("key", "deks", "default", check=True).stdout.split()
        assert "active" in listed and "older" in listed
        sealpost.relay.kill()  # what it waits for, it does not keep: it begins again
        receiver = harness.Sink(sealpost.dir, tls=False, keep=True, port=port, name="late").start()
        parts.append(receiver)
        sealpost.relay.start()
        sealpost.cli("queue", "release", "--destination", "example.test", check=True)
        receiver.wait_for(2)
        harness.wait_for("the old DEK to end", lambda: [d.keyref for d in c.customer_keys("default")] != []
                         and first not in [d.keyref for d in c.customer_keys("default")], 60)
    assert [e[3]["keyref"] for e in sealpost.relay.events("dek-empty")] == [str(first)]
    assert sorted(m[0].split(b"Subject: ")[1].split(b"\r\n")[0] for m in receiver.kept()) == [b"after", b"before"]
    sealpost.wait_empty()


def test_relay_brings_what_it_keeps_under_the_new_dek(sealpost):
    """Suppressed recipients and credentials are sealed anew before the old DEK ends, and hold after a restart."""
    sealpost.configure(['{domain: "*", to: "127.0.0.1:1", tls: none}'], reseal="{settle: 1s}")
    everything = f'peers:\n  "{os.getuid()}": [relay, officer]\n' if os.getuid() != sealpost.uid else "peers:\n"
    sealpost.write("keyd.yaml", sealpost.read("keyd.yaml").replace("peers:\n", everything) + "rotation: {grace: 1s}\n")
    sealpost.start("keyd", "relay")
    addresses = [f"u{i}@there.example" for i in range(200)]
    sealpost.cli("suppression", "add", *addresses, check=True)
    sealpost.write("password", "a long password\n")
    os.chmod(sealpost.path("password"), 0o600)
    os.chown(sealpost.path("password"), sealpost.uid, sealpost.uid)
    sealpost.cli("credential", "add", "upstream", "hop", "--login", "me", "--password-file", sealpost.path("password"),
                 check=True)
    with Client(sealpost.path("run", "keyd.sock"), "relay") as c:
        first = c.customer_keys("default")[0].keyref
        sealpost.cli("key", "rotate", "dek", "default", check=True)
        harness.wait_for("the old DEK to end", lambda: first not in [d.keyref for d in c.customer_keys("default")], 60)
        newest = c.customer_keys("default")[0].keyref
    sealpost.stop()
    with sqlite3.connect(sealpost.path("relay", "relay.db")) as db:
        sealed = [row[0] for row in db.execute("SELECT address FROM suppression UNION ALL SELECT login FROM credential "
                                               "UNION ALL SELECT secret FROM credential")]
    assert len(sealed) == 202 and {struct.unpack(">I", s[1:5])[0] for s in sealed} == {newest}
    sealpost.start("keyd", "relay")
    harness.wait_for("the list", lambda: [e for e in sealpost.relay.events("suppression-read") if e[3]["n"] == "200"])
    assert sealpost.cli("suppression", "check", "u7@there.example").stdout.startswith("suppressed")
    assert not sealpost.relay.events("suppression-unreadable") and not sealpost.relay.events("credential-unusable")
