# SPDX-License-Identifier: Apache-2.0
"""The tracking host and its keys: data-encryption keys that change, customers that are shredded, a machine that is lost and
restored, certificates whose key never leaves keyd, and such as change while relay runs."""
import hashlib
import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import struct

import harness
import pytest
import test_tracking
from keyd_wire import Refused
from test_tracking import HOST, OTHER, World, classes, message_name


@pytest.fixture
def fresh():
    place, made = harness.scratch("tracking-keys"), []

    def make(**tracking):
        made.append(World(place, **tracking))
        made[-1].need_links()
        return made[-1]
    yield make
    for x in made:
        x.close()
    shutil.rmtree(place)


def rows(w, sql, *args):
    db = sqlite3.connect(f"file:{w.s.path('relay', 'track.db')}?mode=ro", uri=True)
    try:
        return db.execute(sql, args).fetchall()
    finally:
        db.close()


def keyrefs(w, table, column):
    """Numbers of the keys that a column is sealed under."""
    return {struct.unpack_from(">I", sealed, 1)[0] for sealed, in rows(w, f"SELECT {column} FROM {table}")}


def restart(w, *statements):
    """With statements on track.db while relay is down."""
    w.s.relay.stop()
    db = sqlite3.connect(w.s.path("relay", "track.db"))
    for sql in statements:
        db.execute(sql)
    db.commit()
    db.close()
    w.s.relay.start()
    w.s.wait_keyd()


def add_hook(w, customer="default"):
    r = w.s.cli("webhook", "add", "--customer", customer, "https://hook.example/", check=True)
    return re.search(r"^Webhook (\d+) ", r.stdout, re.M)[1]


def test_tokens_and_recipients_outlive_a_new_dek(fresh):
    w = fresh()
    before = w.send("before@dek.example")
    link, leave = w.click(before), w.unsubscribe(before)
    hook = add_hook(w)
    old = keyrefs(w, "sent", "recipient")
    assert len(old) == 1 and keyrefs(w, "hook", "secret") == old
    w.s.cli("key", "rotate", "dek", "default", check=True)
    after = w.send("after@dek.example")
    assert len(keyrefs(w, "sent", "recipient")) == 2
    assert w.get(link).location == test_tracking.LINKS[0] + "#"
    assert w.get(w.click(after)).status == 302  # by the same key of tokens
    for tid, address in ((before, "before@dek.example"), (after, "after@dek.example")):
        harness.wait_for("its click", lambda: classes(w, tid), 5)
        exported, = w.export(address)
        assert [e["kind"] for e in exported["events"]] == ["click"]
    assert w.post(leave).status == 200 and w.rcpt("before@dek.example")[0] == 550
    assert "of 1 messages" in w.s.cli("tracking", "erase", "--yes", "after@dek.example", check=True).stdout
    # secrets of webhooks go over to the new key once they are a day old
    assert keyrefs(w, "hook", "secret") == old
    restart(w, "UPDATE hook SET sealed=sealed-2*86400*1000000")
    harness.wait_for("the secret to be sealed anew", lambda: keyrefs(w, "hook", "secret") - old, 10)
    assert w.s.cli("webhook", "secret", hook).returncode == 0
    assert not [e for e in w.s.relay.events() if e[0] == "ERROR"]


def test_what_was_known_of_a_shredded_customers_readers_goes_but_totals(fresh):
    w = fresh()
    tid = w.send("reader@shred.example")
    link, leave, picture = w.click(tid), w.unsubscribe(tid), w.open(tid)
    theirs = w.token(test_tracking.track.UNSUBSCRIBE, 5, host=OTHER, customer="other")
    add_hook(w), add_hook(w, "other")
    w.get(link)
    harness.wait_for("the click", lambda: classes(w, tid), 5)
    counted = w.totals()
    w.s.cli("key", "shred", "default", "--yes", check=True)
    with pytest.raises(Refused):
        w.keys.clear()
        w.key("default")
    restart(w)  # a key that relay holds for ten minutes at most goes, and an hour is over
    for path in (link, leave):
        r = w.get(path)
        assert (r.status, r.location) == (410, None)
    assert w.post(leave).status == 410 and len(w.get(picture).body) == test_tracking.GIF
    assert w.get("/u/" + theirs, name=OTHER).status == 200  # the others' still work
    gone, = harness.wait_for("it to be deleted", lambda: w.s.relay.events("tracking-destroyed"), 10)
    assert gone[3] == {"customer": "default", "rows": "2", "webhooks": "1"}
    assert rows(w, "SELECT (SELECT count(*) FROM sent)+(SELECT count(*) FROM event)+(SELECT count(*) FROM push)") == [(0,)]
    assert [h["customer"] for h in json.loads(w.s.cli("webhook", "list", "--json").stdout)] == ["other"]
    assert w.events() == [] and w.totals() == {**counted, "readers": {"click": 0, "open": 0}}
    name = bytes.fromhex(message_name(tid))
    hits = harness.find_bytes([w.s.path("relay", f) for f in os.listdir(w.s.path("relay")) if f.startswith("track.db")],
                              [struct.pack(">Q", tid), b"127.0.0.0/24", name])
    assert hits == []
    assert w.s.cli("tracking", "export", "reader@shred.example").stdout.strip() in ("", "[]")


def test_a_lost_machine_comes_back_with_its_tokens_recipients_and_webhooks(fresh):
    """relay's state as files, keyd's store from its backup."""
    w = fresh()
    tid, other = w.send("kept@restore.example"), w.send("leaves@restore.example")
    link, leave = w.click(tid), w.unsubscribe(other)
    w.get(link)
    harness.wait_for("the click", lambda: classes(w, tid), 5)
    hook = add_hook(w)
    backup, key = w.s.path("keys.backup"), w.s.path("keys.backup.key")
    w.s.relay.stop()
    w.s.cli("key", "backup", "--to", backup, "--key-file", key, check=True)
    w.s.stop()
    kept = os.path.join(w.dir, "kept")
    shutil.copytree(w.s.path("relay"), kept, ignore=shutil.ignore_patterns("*.sock"))
    shutil.rmtree(w.s.path("relay"))
    shutil.copytree(kept, w.s.path("relay"))
    os.chmod(w.s.path("relay"), 0o700)
    for base, folders, names in os.walk(w.s.path("relay")):
        for n in [base, *(os.path.join(base, x) for x in folders + names)]:
            os.chown(n, w.s.uid, w.s.uid)
    for n in ("store.snap", "store.journal"):
        os.unlink(w.s.path("keyd", n))
    w.s.keyd.start()
    w.s.cli("key", "restore", "--from", backup, check=True)
    w.s.cli("key", "accept-rollback", "--yes", check=True)
    w.s.relay.start()
    w.s.wait_keyd()
    assert w.get(link).location == test_tracking.LINKS[0] + "#"
    exported, = w.export("kept@restore.example")
    harness.wait_for("the second click", lambda: len(classes(w, tid)) == 2, 5)
    assert exported["events"] and w.post(leave).status == 200
    assert w.rcpt("leaves@restore.example")[0] == 550
    assert w.s.cli("webhook", "secret", hook).returncode == 0
    assert w.s.cli("ledger", "verify").returncode == 0


# --- certificates


def shown_certificate(w, name=HOST):
    """Digest of what the host shows, unverified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", w.port), 10) as sock, context.wrap_socket(sock, server_hostname=name) as tls:
        return hashlib.sha256(tls.getpeercert(True)).hexdigest()


def file_certificate(path):
    with open(path) as f:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read())).hexdigest()


def reload(w):
    before = len(w.s.relay.events("reloaded"))
    w.s.relay.signal(1)
    harness.wait_for("relay to be reloaded", lambda: len(w.s.relay.events("reloaded")) > before)


def test_a_certificate_that_changed_is_shown_after_a_reload_and_a_broken_one_never(fresh):
    w = fresh()
    path = w.s.path(f"{HOST}.pem")
    assert shown_certificate(w) == file_certificate(path)
    with w.connect() as before:
        first = file_certificate(path)
        cert, key = harness.self_signed(w.s.prefix, HOST)
        os.chmod(key, 0o644)
        assert file_certificate(path) != first and shown_certificate(w) == first
        reload(w)
        harness.wait_for("the new one", lambda: shown_certificate(w) == file_certificate(path), 10)
        before.sendall(b"GET /robots.txt HTTP/1.1\r\nHost: t.shop.example\r\n\r\n")  # who was there may stay
        assert before.recv(4096).startswith(b"HTTP/1.1 200 ")
    good = file_certificate(path)
    with open(path) as f:
        text = f.read()
    for broken in ("", text[:-100], text.replace("BEGIN", "BEGUN")):
        with open(path, "w") as f:
            f.write(broken)
        failed = len(w.s.relay.events("tracking-not-reloaded"))
        w.s.relay.signal(1)
        harness.wait_for("it to be refused", lambda: w.s.relay.events("reload-failed") or
                         len(w.s.relay.events("tracking-not-reloaded")) > failed, 10)
        assert shown_certificate(w) == good
    with open(path, "w") as f:
        f.write(text)
    assert w.get(w.click()).status == 302


def test_the_key_of_a_certificate_stays_in_keyd(fresh):
    """Handshakes need keyd then: while it is locked there are none, and later again."""
    w = fresh()
    cert = w.s.path("keyd-tls.pem")
    w.s.cli("key", "certify", "tls/relay", "--hostname", HOST, "--out", cert, check=True)
    text = w.s.read("relay.yaml")
    theirs = w.s.path(f"{HOST}.pem"), w.s.path(f"{HOST}.key")
    w.s.write("relay.yaml", text.replace(f"certificate: {theirs[0]}, key: {theirs[1]}",
                                         f'certificate: {cert}, key: "keyd:tls/relay"'))
    assert w.s.read("relay.yaml") != text
    reload(w)
    harness.wait_for("the certificate", lambda: shown_certificate(w) == file_certificate(cert), 10)
    shutil.copyfile(cert, theirs[0])  # what World.connect trusts
    for f in theirs[1:]:
        os.unlink(f)
    assert w.get(w.click()).status == 302
    w.s.cli("key", "lock", check=True)
    w.s.wait_keyd("locked")
    with pytest.raises(OSError):
        shown_certificate(w)
    assert shown_certificate(w, OTHER)  # whose key is a file
    w.s.keyd.stop()
    w.s.keyd.start()
    w.s.wait_keyd()
    harness.wait_for("handshakes to work again", lambda: answers(w), 15)
    assert w.get(w.click()).status == 302


def answers(w):
    try:
        return shown_certificate(w)
    except OSError:
        return None
