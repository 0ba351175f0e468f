# SPDX-License-Identifier: Apache-2.0
"""A customer's keys are destroyed: nothing of keyd opens them any more, no older copy does, and keyd does not call it
complete before that is so."""
import hashlib
import os
import shutil
import smtplib

import harness
import keyd_wire as wire
import pytest
from cryptography.exceptions import InvalidTag
from keyd_store import Store
from test_keyd import PHRASE, Keyd, refused

SLOTS = "[{method: file, path: root.key}, {method: passphrase}]"
DAY = 24 * 3600


def shard(name):
    return hashlib.sha256(name.encode()).digest()[0]


def neighbour(name):
    """Another name in the same shard."""
    return next(n for n in (f"neighbour-{i}" for i in range(1 << 16)) if shard(n) == shard(name))


DOOMED, NEIGHBOUR, OTHER = "doomed.example", neighbour("doomed.example"), "other.example"


class Place:
    """keyd, and an anchor outside of its state."""

    def __init__(self, place, parts, extra="", anchored=False, start=True):
        self.anchor = os.path.join(place, "anchor", "anchor")
        self.extra = extra
        self.keyd = Keyd(place, SLOTS, extra=self.conf(anchored))
        os.mkdir(os.path.dirname(self.anchor))
        os.chown(os.path.dirname(self.anchor), self.keyd.uid, self.keyd.uid)
        parts.append(self.keyd)
        if start:
            self.keyd.start()
            with self.keyd.officer() as o:
                o.init(("file",), ("passphrase", PHRASE))

    def conf(self, anchored):
        return self.extra + (f"anchor: {self.anchor}\n" if anchored else "")

    def use_anchor(self, anchored=True):
        self.keyd.stop()
        self.keyd.configure(SLOTS, {os.getuid(): "[relay, milter, officer, operator, auditor]"}, self.conf(anchored))
        self.keyd.start()

    def anchors(self):
        """{id: anchor} of the places in the file."""
        with open(self.anchor, "rb") as f:
            data = f.read()
        found = {}
        for at in range(0, len(data), 4096):
            place = data[at:at + 80]
            if place[:16] == b"sealpost-anchor1":
                assert hashlib.sha256(place[:32] + place[48:80]).digest()[:16] == place[32:48]
                found[place[32:48]] = place[48:80]
        return found

    def copy(self, to):
        shutil.copytree(self.keyd.state, to)
        return to

    def until(self, customer, state, seconds=20):
        with self.keyd.officer() as o:
            harness.wait_for(f"{customer} to be {state}", lambda: o.shreds()[customer]["state"] == state, seconds)
            return o.shreds()[customer]


def read(directory, anchors=()):
    """The store in a copy of a state directory, by whichever anchor fits; None if none does."""
    data = [open(os.path.join(directory, n), "rb").read() for n in ("store.snap", "store.journal", "root.key")]
    for anchor in (None, *anchors):
        try:
            return Store(*data, anchor=anchor)
        except InvalidTag:
            pass
    return None


def derive(keyd, *customers):
    """What each is answered."""
    found = []
    with keyd.relay() as r:
        for name in customers:
            try:
                found.append(r.derive_new(name, [b"x"])[0].status)
            except wire.Refused as e:
                found.append(e.status)
    return found


def add(keyd, *customers):
    with keyd.officer() as o:
        for name in customers:
            o.customer_add(name)


def test_a_destroyed_customer_is_gone_for_every_request_and_for_ever(place, parts):
    p = Place(place, parts)
    add(p.keyd, DOOMED, NEIGHBOUR, OTHER)
    with p.keyd.officer() as o, p.keyd.relay() as r:
        d = r.derive_new(DOOMED, [b"x"])[0]
        (status, sealed), = r.fields("seal-fields", DOOMED, "field", [(b"aad", b"data")])
        assert status == 0
        with refused(wire.E_NOTFOUND):
            o.shred("nobody.example")
        o.shred(DOOMED)
        assert r.push() == "ready"  # clients are told to drop what they have
        for call in (lambda: r.derive_new(DOOMED, [b"x"]), lambda: r.fields("open-fields", DOOMED, "field", [(b"aad", sealed)]),
                     lambda: r.fields("blind-index", DOOMED, "index", [(b"a", b"b")]), lambda: o.mac(DOOMED, "campaign/1", b"x"),
                     lambda: o.shred(DOOMED), lambda: o.customer_add(DOOMED)):
            with refused(wire.E_GONE):
                call()
        item, = r.derive_existing([(DOOMED, "spool", d.keyref, d.salt, b"x")])
        assert item.status == wire.E_GONE and item.key is None
    assert derive(p.keyd, NEIGHBOUR, OTHER) == [0, 0]
    p.until(DOOMED, "backups")
    p.keyd.stop()
    p.keyd.start()
    assert derive(p.keyd, DOOMED, NEIGHBOUR, OTHER) == [wire.E_GONE, 0, 0]
    with p.keyd.officer() as o, refused(wire.E_GONE):
        o.customer_add(DOOMED)


def test_without_an_anchor_complete_waits_for_retention_and_says_so(place, parts):
    p = Place(place, parts, "retention: 35d\n")
    add(p.keyd, DOOMED, NEIGHBOUR)
    before = p.copy(os.path.join(place, "before"))
    with p.keyd.officer() as o:
        o.shred(DOOMED)
    row = p.until(DOOMED, "backups")
    assert [w["for"] for w in row["waits"]] == ["copies"]
    assert row["waits"][0]["until"] == pytest.approx(row["dead"] + 35 * DAY, abs=2)
    with p.keyd.officer() as o:
        assert any("not complete" in w for w in o.status()["warnings"])
    # and that is honest: the copy from before opens by the root
    assert DOOMED in [c for c, _ in read(before).deks.values()]
    now = p.keyd.read_store()
    assert DOOMED not in [c for c, _ in now.deks.values()] and now.tombs[DOOMED][0] == 5


def test_when_retention_has_run_out_it_is_complete(place, parts):
    p = Place(place, parts, "retention: 2s\n")
    add(p.keyd, DOOMED)
    with p.keyd.officer() as o:
        o.shred(DOOMED)
    p.until(DOOMED, "backups")
    assert p.until(DOOMED, "complete")["waits"] == []
    assert [facts["state"] for *_, facts in p.keyd.process.events("customer-shredded")] == [
        "dead", "rewrapped", "anchored", "backups", "complete"]


def test_with_an_anchor_it_is_complete_at_once_and_no_older_file_opens(place, parts):
    p = Place(place, parts, anchored=True)
    add(p.keyd, DOOMED, NEIGHBOUR, OTHER)
    old, = p.anchors().values()
    before = p.copy(os.path.join(place, "before"))
    store = read(before, [old])
    dek, = (d for c, d in store.deks.values() if c == DOOMED)
    with p.keyd.officer() as o:
        o.shred(DOOMED)
    assert p.until(DOOMED, "complete")["waits"] == []
    new, = p.anchors().values()
    assert new != old
    # whoever has the old files, the root and all that there is now, opens nothing of them
    assert read(before, [new]) is None
    # what there is now opens for the others, is wrapped under a new KEK, and knows nothing of the old one
    now = read(p.keyd.state, [new])
    assert sorted(c for c, _ in now.deks.values()) == sorted([NEIGHBOUR, OTHER])
    assert (shard(DOOMED), 1) not in now.keks and (shard(DOOMED), 2) in now.keks
    assert derive(p.keyd, NEIGHBOUR, OTHER, DOOMED) == [0, 0, wire.E_GONE]
    # nothing of it lies about in another file, sealed or not
    raw = open(os.path.join(before, "store.journal"), "rb").read()
    at = raw.index(DOOMED.encode()) + len(DOOMED) + 4 + 4 + 8 + 17
    assert not harness.find_bytes([place + "/keyd", place + "/anchor"], {"wrap": raw[at:at + 60], "anchor": old, "DEK": dek})


def test_the_old_state_directory_put_back_opens_nothing_and_says_why(place, parts):
    p = Place(place, parts, anchored=True)
    add(p.keyd, DOOMED, OTHER)
    before = p.copy(os.path.join(place, "before"))
    with p.keyd.officer() as o:
        o.shred(DOOMED)
    p.until(DOOMED, "complete")
    p.keyd.stop()
    after = p.copy(os.path.join(place, "after"))
    anchors = p.anchors()
    for n in ("store.snap", "store.journal"):
        shutil.copy(os.path.join(before, n), p.keyd.file(n))
        os.chown(p.keyd.file(n), p.keyd.uid, p.keyd.uid)
    p.keyd.start()
    with p.keyd.officer() as o:
        assert o.state == "locked"
        with refused(wire.E_STATE):
            o.unseal("file")
        with refused(wire.E_STATE):
            o.unseal("passphrase", PHRASE)
        assert any("anchor of this store is not in the file" in w for w in o.status()["warnings"])
    assert p.keyd.process.events("anchor-missing")
    p.keyd.stop()
    assert p.anchors() == anchors  # nothing was destroyed
    for n in ("store.snap", "store.journal"):
        shutil.copy(os.path.join(after, n), p.keyd.file(n))
        os.chown(p.keyd.file(n), p.keyd.uid, p.keyd.uid)
    p.keyd.start()
    assert derive(p.keyd, OTHER, DOOMED) == [0, wire.E_GONE]


def test_a_missing_anchor_locks_and_destroys_nothing(place, parts):
    p = Place(place, parts, anchored=True)
    add(p.keyd, OTHER)
    p.keyd.stop()
    kept = open(p.anchor, "rb").read()
    for broken in (None, b"", bytes(8192), bytes([kept[0] ^ 1]) + kept[1:], kept[:60] + b"x" + kept[61:]):
        if broken is None:
            os.rename(p.anchor, p.anchor + ".away")
        else:
            with open(p.anchor, "wb") as f:
                f.write(broken)
            os.chmod(p.anchor, 0o600)
            os.chown(p.anchor, p.keyd.uid, p.keyd.uid)
        p.keyd.start()
        with p.keyd.officer() as o:
            assert o.state == "locked" and any("anchor" in w for w in o.status()["warnings"])
        p.keyd.stop()
        assert broken is None or open(p.anchor, "rb").read() == broken
    os.replace(p.anchor + ".away", p.anchor)
    p.use_anchor(False)
    with p.keyd.officer() as o:
        assert o.state == "locked" and any("keyd.yaml names none" in w for w in o.status()["warnings"])
    p.use_anchor()
    assert derive(p.keyd, OTHER) == [0]


def test_an_anchor_that_came_later_covers_what_was_made_after_it(place, parts):
    p = Place(place, parts)
    add(p.keyd, DOOMED, OTHER)
    p.use_anchor()
    harness.wait_for("the anchor", lambda: p.keyd.process.events("anchor-replaced"))
    harness.wait_for("one anchor", lambda: len(p.anchors()) == 1)
    add(p.keyd, "young.example")
    with p.keyd.officer() as o:
        o.shred(DOOMED)
        o.shred("young.example")
    assert p.until("young.example", "complete")["waits"] == []
    row = p.until(DOOMED, "backups")  # older files open by the root alone
    assert [w["for"] for w in row["waits"]] == ["copies"]
    assert derive(p.keyd, OTHER, DOOMED, "young.example") == [0, wire.E_GONE, wire.E_GONE]


def test_many_at_once_share_the_steps(place, parts):
    p = Place(place, parts, anchored=True)
    names = [f"c{i}.example" for i in range(40)]
    add(p.keyd, OTHER, *names)
    with p.keyd.officer() as o:
        for n in names:
            o.shred(n)
    for n in names:
        p.until(n, "complete")
    assert len(p.keyd.process.events("anchor-replaced")) < 20
    assert derive(p.keyd, OTHER, *names) == [0] + [wire.E_GONE] * 40


def test_a_lock_in_the_middle_stops_it_and_opening_goes_on(place, parts):
    p = Place(place, parts, anchored=True)
    add(p.keyd, DOOMED, OTHER)
    with p.keyd.officer() as o, p.keyd.officer() as second:
        request = o.send("shred", wire.b16(DOOMED.encode()))
        second.lock()
        assert o.answer(request).status in (0, wire.E_LOCKED)
        o.unseal("file")
        if DOOMED not in o.shreds():
            o.shred(DOOMED)
    p.until(DOOMED, "complete")
    assert derive(p.keyd, OTHER, DOOMED) == [0, wire.E_GONE]


def test_no_secret_of_it_in_the_log(place, parts):
    p = Place(place, parts, anchored=True)
    add(p.keyd, DOOMED)
    old, = p.anchors().values()
    with p.keyd.officer() as o:
        o.shred(DOOMED)
        p.until(DOOMED, "complete")
        _, _, secret = o.backup()
    new, = p.anchors().values()
    log = p.keyd.process.log_text()
    for value in (old, new, secret):
        assert value.hex() not in log and value not in log.encode()


def test_relay_takes_no_more_mail_for_a_destroyed_customer(sealpost, sink):
    s = sealpost
    s.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    s.start()

    def send():
        with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=20) as c:
            c.sendmail("ann@example.test", ["bob@example.test"], "Subject: x\r\n\r\nhello\r\n")
    send()
    sink.wait_for(1)
    s.cli("key", "shred", "default", "--yes", check=True)
    with pytest.raises(smtplib.SMTPResponseException) as refusal:
        send()
    assert refusal.value.smtp_code == 451
    assert s.relay.running() and s.keyd.running()
    assert s.status()["relay"]["keyd"] == "ready"


@pytest.mark.parametrize("how", ["while relay runs", "while relay is down"])
def test_mail_in_the_queue_goes_with_its_customer_and_nobody_is_told(sealpost, how):
    s = sealpost
    nobody = harness.free_port()
    s.configure([f'{{domain: "*", to: "127.0.0.1:{nobody}"}}'])
    s.start()
    with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=20) as c:
        for _ in range(3):
            c.sendmail("ann@example.test", ["bob@example.test", "eve@else.test"], "Subject: x\r\n\r\nhello\r\n")
    harness.wait_for("all to have been tried", lambda: len(s.relay.events("deferred")) >= 2)
    assert s.status()["relay"]["queue"]["recipients"] == 6
    if how == "while relay is down":
        s.relay.stop()
    s.cli("key", "shred", "default", "--yes", check=True)
    if how == "while relay is down":
        s.relay.start()
        s.wait_keyd()
    else:
        sink = harness.Sink(s.dir, port=nobody)  # now it could be delivered, if it could be read
        sink.start()
    try:
        s.cli("queue", "retry", "all")
        s.wait_empty()
    finally:
        if how == "while relay runs":
            assert sink.report()["messages"] == 0
            sink.stop()
    assert {e[1] for e in s.relay.events("customer-destroyed")} == {e[1] for e in s.relay.events("accepted")}
    assert not s.relay.events("dsn-queued")
    assert s.relay.running()


def test_an_older_copy_without_an_anchor_is_noticed_and_its_dead_stay_dead(place, parts):
    p = Place(place, parts)
    add(p.keyd, DOOMED, NEIGHBOUR, OTHER)
    copies = []
    for name in ("one", "two", "three"):  # at rest, at work, with other customers
        copies.append(p.copy(os.path.join(place, name)))
        add(p.keyd, f"{name}.example")
    with p.keyd.officer() as o:
        o.shred(DOOMED)
    p.until(DOOMED, "backups")
    for copy in copies:
        p.keyd.stop()
        for n in ("store.snap", "store.journal"):
            shutil.copy(os.path.join(copy, n), p.keyd.file(n))
            os.chown(p.keyd.file(n), p.keyd.uid, p.keyd.uid)
        p.keyd.start()
        with p.keyd.officer() as o:
            assert o.state == "locked"
            with refused(wire.E_ROLLBACK):
                o.unseal("file")
            o.accept()
        assert derive(p.keyd, DOOMED, NEIGHBOUR, OTHER) == [wire.E_GONE, 0, 0]
        p.until(DOOMED, "backups")
        assert DOOMED not in [c for c, _ in p.keyd.read_store().deks.values()]
