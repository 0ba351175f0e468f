# SPDX-License-Identifier: Apache-2.0
"""Backups of keyd's store: whole or refused, of no use without their key, and no way back for destroyed customers."""
import os
import struct

import harness
import keyd_backup
import keyd_wire as wire
import pytest
from keyd_store import Store
from keyd_wire import Client
from test_keyd import PHRASE, Keyd, refused
from test_shred import DOOMED, NEIGHBOUR, OTHER, SLOTS, Place, add, derive


@pytest.fixture
def ready(place, parts):
    p = Place(place, parts)
    add(p.keyd, DOOMED, NEIGHBOUR, OTHER)
    with p.keyd.officer() as o:
        o.key_add("tls/relay", "ec-p256")
    return p


class Second:
    """An empty keyd elsewhere, with the key of the file slot of the first."""

    def __init__(self, place, parts, first, name="second", extra=""):
        directory = os.path.join(place, name)
        os.mkdir(directory)
        os.chmod(directory, 0o755)
        self.keyd = Keyd(directory, SLOTS, extra=extra)
        parts.append(self.keyd)
        self.keyd.start()
        with open(first.file("root.key"), "rb") as f:
            key = f.read()
        with open(self.keyd.file("root.key"), "wb") as f:
            f.write(key)
        os.chmod(self.keyd.file("root.key"), 0o600)
        os.chown(self.keyd.file("root.key"), self.keyd.uid, self.keyd.uid)


def restore(place, parts, first, data, secret, **more):
    """A second keyd with the backup in it, accepted."""
    k = Second(place, parts, first, **more).keyd
    with k.officer() as o:
        assert o.state == "empty"
        o.restore(data, secret)
        assert o.status()["state"] == "locked"
        with refused(wire.E_ROLLBACK):
            o.unseal("file")
        o.accept()
        assert o.status()["state"] == "ready"
    return k


def test_a_backup_restores_all_on_another_machine(place, parts, ready):
    with ready.keyd.officer() as o, ready.keyd.relay() as r:
        item, = r.derive_new(OTHER, [b"x"])
        sealed = r.fields("seal-fields", OTHER, "field", [(b"aad", b"data")])[0][1]
        spki = o.public_key("tls/relay")
        data, key, secret = o.backup()
        assert key == 1 and o.backup_keys()[1]["state"] == "current"
    k = restore(place, parts, ready.keyd, data, secret)
    with k.officer() as o, k.relay() as r:
        assert o.public_key("tls/relay") == spki
        again, = r.derive_existing([(OTHER, "spool", item.keyref, item.salt, b"x")])
        assert again.key == item.key
        assert r.fields("open-fields", OTHER, "field", [(b"aad", sealed)]) == [(0, b"data")]
        assert o.backup_keys()[1]["state"] == "replaced"  # its secret is in no backup
        with refused(wire.E_NOTFOUND):
            o.backup(new_key=False)
    k.stop()
    k.start()  # accepted once and for all
    assert derive(k, OTHER) == [0]


def test_the_bytes_are_those_of_the_manual_page(ready):
    with ready.keyd.officer() as o:
        data, key, secret = o.backup()
    b = keyd_backup.read(data, secret)
    ready.keyd.stop()
    store = ready.keyd.read_store()
    assert (b.store, b.key) == (store.id, key) and b.sequence <= store.sequence
    with open(ready.keyd.file("root.key"), "rb") as f:
        inner = Store(b.snapshot, None, f.read())
    assert inner.restored == 1 and inner.anchor_id == bytes(16)
    assert {c for c, _ in inner.deks.values()} == {DOOMED, NEIGHBOUR, OTHER}
    assert inner.backups == {1: (2, None)}


def test_what_was_changed_or_cut_is_refused_and_nothing_is_written(place, parts, ready):
    with ready.keyd.officer() as o:
        data, _, secret = o.backup()
        _, _, other = o.backup()
    k = Second(place, parts, ready.keyd).keyd
    with k.officer() as o:
        for at in range(0, len(data), 97):
            bad = bytearray(data)
            bad[at] ^= 1 << at % 8
            with refused(wire.E_AUTH):
                o.restore(bytes(bad), secret)
        for size in (1, 127, 128, 129, 144, 16384, len(data) - 1, len(data) - 16):
            with refused(wire.E_AUTH):
                o.restore(data[:size], secret)
        for wrong in (data + b"x", data + data, bytes(len(data))):
            with refused(wire.E_AUTH):
                o.restore(wrong, secret)
        with refused(wire.E_AUTH):
            o.restore(data, other)
        assert o.status()["state"] == "empty"
        assert {f for f in os.listdir(k.state) if f.startswith("store.")} == {"store.lock"}
        o.restore(data, secret)
        with refused(wire.E_STATE):
            o.restore(data, secret)
    with ready.keyd.officer() as o, refused(wire.E_STATE):
        o.restore(data, secret)


def test_pieces_come_in_order_and_another_begin_takes_the_place(place, parts, ready):
    with ready.keyd.officer() as o:
        handle, size, _, secret = o.backup_begin(True)
        first = o.backup_read(handle, 0)
        assert len(first) == min(size, 48 * 1024)
        later, _, _, _ = o.backup_begin(False)
        with refused(wire.E_NOTFOUND):
            o.backup_read(handle, 0)
        assert o.backup_read(later, 0) != first  # another salt
    with ready.keyd.officer() as o:
        data, _, _ = o.backup(new_key=False)
    k = Second(place, parts, ready.keyd).keyd
    with k.officer() as o:
        with refused(wire.E_STATE):  # not from the start
            o.call("restore", struct.pack(">QQ", len(data), 100) + wire.b8(b"") + wire.b16(data[100:200]))
        o.call("restore", struct.pack(">QQ", len(data), 0) + wire.b8(b"") + wire.b16(data[:100]))
        with refused(wire.E_STATE):  # a gap
            o.call("restore", struct.pack(">QQ", len(data), 200) + wire.b8(b"") + wire.b16(data[200:300]))
        o.restore(data, secret, piece=1000)
        assert o.status()["state"] == "locked"


def test_a_backup_is_of_one_moment_though_changes_go_on(ready):
    with ready.keyd.officer() as o, ready.keyd.officer() as second:
        handle, size, _, secret = o.backup_begin(True)
        data = b""
        while len(data) < size:
            second.customer_add(f"late-{len(data)}")
            data += o.backup_read(handle, len(data))
    with open(ready.keyd.file("root.key"), "rb") as f:
        inner = Store(keyd_backup.read(data, secret).snapshot, None, f.read())
    assert {c for c, _ in inner.deks.values()} == {DOOMED, NEIGHBOUR, OTHER}


def test_a_shredded_customer_comes_back_from_no_backup_that_a_witness_knows_of(place, parts, ready):
    """Relay remembers who is dead: from every older backup, the customer is gone and its neighbours open."""
    backups = []
    with ready.keyd.officer() as o:
        for new in (True, False, True):
            backups.append(o.backup(new))
            o.customer_add(f"customer-{len(backups)}")
        backups[1] = (*backups[1][:2], backups[0][2])
        o.shred(DOOMED)
    ready.until(DOOMED, "backups")
    with ready.keyd.officer() as o:
        backups.append(o.backup())
    with ready.keyd.relay() as r:  # what relay remembers
        reply = r.call("witness", bytes(16 + 24 + 4 + 2))
        assert struct.unpack_from(">IH", reply, 40) == (1, 1)
        token = wire.bytes16(reply[46:])
    for n, (data, _, secret) in enumerate(backups):
        k = Second(place, parts, ready.keyd, name=f"second-{n}").keyd
        with k.officer() as o, k.relay() as r:
            o.restore(data, secret)
            with refused(wire.E_LOCKED):
                r.call("witness", reply[:40] + struct.pack(">IH", 0, 1) + wire.b16(token))
            with refused(wire.E_ROLLBACK):
                o.unseal("file")
            o.accept()
        assert derive(k, DOOMED, NEIGHBOUR, OTHER) == [wire.E_GONE, 0, 0]
        with k.officer() as o:
            harness.wait_for("the destruction to go on",
                             lambda k=k: o.shreds()[DOOMED]["state"] == "backups")
        k.stop()
        assert DOOMED not in [c for c, _ in k.read_store().deks.values()]


def test_a_shred_waits_for_the_keys_of_backups_that_were_given_out(place, parts):
    p = Place(place, parts, anchored=True)
    add(p.keyd, DOOMED, OTHER)
    with p.keyd.officer() as o:
        o.backup()
        o.backup()
        o.shred(DOOMED)
    row = p.until(DOOMED, "backups")
    assert [(w["for"], w["id"]) for w in row["waits"]] == [("backup", 1), ("backup", 2)]
    with p.keyd.officer() as o:
        assert {n: k["state"] for n, k in o.backup_keys().items()} == {1: "replaced", 2: "replaced"}
        with refused(wire.E_NOTFOUND):
            o.backup(new_key=False)
        o.backup()  # of afterwards: nothing waits for its key
        with refused(wire.E_NOTFOUND):
            o.backup_forget(9)
        o.backup_forget(1)
        assert [w["id"] for w in o.shreds()[DOOMED]["waits"]] == [2]
        o.backup_forget(2)
    assert p.until(DOOMED, "complete")["waits"] == []


def test_the_secret_of_a_replaced_key_is_in_no_file(place, parts):
    p = Place(place, parts, anchored=True)
    add(p.keyd, DOOMED)
    with p.keyd.officer() as o:
        data, _, secret = o.backup()
    anchor, = p.anchors().values()
    files = [open(p.keyd.file(n), "rb").read() for n in ("store.snap", "store.journal", "root.key")]
    assert Store(*files, anchor=anchor).backups == {1: (1, secret)}  # to make the next backup with
    with p.keyd.officer() as o:
        o.shred(DOOMED)
    p.until(DOOMED, "backups")
    now, = p.anchors().values()
    files = [open(p.keyd.file(n), "rb").read() for n in ("store.snap", "store.journal", "root.key")]
    assert Store(*files, anchor=now).backups == {1: (2, None)}
    assert not harness.find_bytes([p.keyd.dir], {"secret": secret, "hex": secret.hex().encode()})


def test_a_backup_needs_no_anchor_and_the_new_machine_gets_one_of_its_own(place, parts):
    p = Place(place, parts, anchored=True)
    add(p.keyd, DOOMED, OTHER)
    with p.keyd.officer() as o:
        data, _, secret = o.backup()
    other = os.path.join(place, "anchor", "other")
    k = restore(place, parts, p.keyd, data, secret, extra=f"anchor: {other}\n")
    assert derive(k, OTHER, DOOMED) == [0, 0]
    harness.wait_for("an anchor", lambda: os.path.exists(other) and k.process.events("anchor-replaced"))
    k.stop()
    k.start()
    assert derive(k, OTHER, DOOMED) == [0, 0]


def test_status_nags_until_there_is_a_backup(ready):
    def nags():
        with ready.keyd.officer() as o:
            return [w for w in o.status()["warnings"] if "backup" in w]
    assert ["ever made" in w for w in nags()] == [True]
    with ready.keyd.officer() as o:
        o.backup()
    assert nags() == []


def test_only_an_officer_makes_or_restores_backups(ready):
    for role in ("operator", "auditor"):
        with Client(ready.keyd.admin, role) as c:
            for call in (c.backup, c.backup_keys, lambda c=c: c.backup_forget(1), lambda c=c: c.restore(b"x", bytes(32)),
                         lambda c=c: c.shred(OTHER)):
                with refused(wire.E_DENIED):
                    call()
            assert c.shreds() == {}


def test_passphrase_alone_opens_a_restored_store(place, parts, ready):
    with ready.keyd.officer() as o:
        data, _, secret = o.backup()
    k = Second(place, parts, ready.keyd).keyd
    os.unlink(k.file("root.key"))
    with k.officer() as o:
        o.restore(data, secret)
        with refused(wire.E_ROLLBACK):
            o.unseal("passphrase", PHRASE)
        with refused(wire.E_LOCKED):
            o.accept()
        o.unseal("passphrase", PHRASE)
        assert o.status()["state"] == "ready"


def test_the_command_backs_up_shreds_and_restores(sealpost):
    s = sealpost.start("keyd")

    def wait(state):
        harness.wait_for(f"keyd to be {state}", lambda: s.status()["keyd"]["state"] == state)
    wait("ready")
    file, key = s.path("keys.backup"), s.path("keys.backup.key")
    r = s.cli("key", "backup", "--to", file)
    assert r.returncode == 64 and "--key-file" in r.stderr and not os.path.exists(file)
    r = s.cli("key", "backup", "--to", file, "--key-file", key, check=True)
    assert "under key 1" in r.stdout
    assert [os.stat(f).st_mode & 0o777 for f in (file, key)] == [0o600, 0o600]
    with open(key) as f:
        text = f.read()
    name, store, number, secret = text.split()
    assert (name, number, len(secret)) == ("sealpost-backup-key-1", "1", 64)
    with open(file, "rb") as f:
        b = keyd_backup.read(f.read(), bytes.fromhex(secret))
    assert b.store.hex() == store
    r = s.cli("key", "backup", "--to", file, "--key-file", key)  # never overwritten
    assert r.returncode == 75 and "there already" in r.stderr
    with open(key) as f:
        assert f.read() == text
    s.cli("key", "backup", "--to", file, check=True)  # again under the same key
    assert "current" in s.cli("key", "backup", "--list", check=True).stdout
    # shred: not without --yes, not twice
    assert s.cli("key", "shred", "default").returncode == 64
    assert s.cli("key", "shred", "nobody", "--yes").returncode == 1
    assert "gone from keyd" in s.cli("key", "shred", "default", "--yes", check=True).stdout
    assert s.cli("key", "shred", "default", "--yes").returncode == 1

    def state():
        return s.cli("key", "shred", "--status", check=True).stdout
    harness.wait_for("what keyd can do", lambda: "backups" in state())
    assert "old copies of the store" in state() and "key 1 of backups" in state()
    s.cli("key", "backup", "--forget", "1", check=True)
    assert "key 1 of backups" not in state() and "old copies of the store" in state()
    assert s.cli("key", "backup", "--forget", "7").returncode == 1
    assert s.cli("key", "backup", "--forget", "x").returncode == 64
    # restore: into an empty keyd alone, with its key alone
    assert "has a store" in s.cli("key", "restore", "--from", file).stderr
    s.stop()
    for n in ("store.snap", "store.journal"):
        os.unlink(s.path("keyd", n))
    s.start("keyd")
    wait("empty")
    with open(s.path("wrong.key"), "w") as f:
        f.write(text.replace(" 1 ", " 2 "))
    os.chmod(s.path("wrong.key"), 0o600)
    os.chown(s.path("wrong.key"), s.uid, s.uid)
    r = s.cli("key", "restore", "--from", file, "--key-file", s.path("wrong.key"))
    assert r.returncode == 1 and "under key 1" in r.stderr
    assert "Restored" in s.cli("key", "restore", "--from", file, check=True).stdout
    s.cli("key", "accept-rollback", "--yes", check=True)
    wait("ready")
    log = s.keyd.log_text()
    assert secret not in log


def test_the_audit_log_remembers_who_is_dead(place, parts, ready):
    with ready.keyd.officer() as o:
        data, _, secret = o.backup()
        o.shred(DOOMED)
    ready.until(DOOMED, "backups")
    ready.keyd.stop()
    for n in ("store.snap", "store.journal"):  # the store is lost, the audit log is not
        os.unlink(ready.keyd.file(n))
    ready.keyd.start()
    with ready.keyd.officer() as o:
        o.restore(data, secret)
        with refused(wire.E_ROLLBACK):
            o.unseal("file")
        o.accept()
    assert derive(ready.keyd, DOOMED, NEIGHBOUR, OTHER) == [wire.E_GONE, 0, 0]
