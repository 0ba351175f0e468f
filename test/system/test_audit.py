# SPDX-License-Identifier: Apache-2.0
"""keyd's audit log, quorum, tamper locks and the end of everything: what an auditor, an officer and a thief see."""
import hashlib
import json
import os
import re
import shutil
import signal
import smtplib
import struct
import subprocess
import sys

import harness
import keyd_audit
import keyd_wire as wire
import pytest
from harness import wait_for
from keyd_wire import Client, Refused
from test_keyd import PHRASE, Keyd, refused

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")
A, B, C = 64231, 64232, 64233  # three officers


@pytest.fixture
def keyd(place, parts):
    k = make(place).start()
    parts.append(k)
    return k


def make(place, extra="", peers=None):
    """A keyd whose user the command knows."""
    uid = harness.UID if os.getuid() == 0 else os.getuid()
    return Keyd(place, peers=peers, extra=f'user: "{uid}"\n' + extra)


def init(k, *customers):
    with k.officer() as o:
        o.init(("file",), ("passphrase", PHRASE))
        for name in customers:
            o.customer_add(name)
    return k


def log_of(k):
    return k.file("audit")


def events(k, name=None, **facts):
    return [d for d in keyd_audit.lines(log_of(k))
            if name in (None, d["event"]) and all(d.get(key) == v for key, v in facts.items())]


def public_key(k):
    with Client(k.admin, "auditor") as a:
        return a.public_key("audit/keyd")[1]


def cli(*args, uid=None):
    """sealpost key ..."""
    def become():
        if uid is not None and os.getuid() == 0:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
    return subprocess.run([harness.program("sealpost"), *args], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, preexec_fn=become)


def at(k, *args):
    """sealpost key ... against this keyd: it looks for its socket below PREFIX/run."""
    run = os.path.join(k.dir, "run")
    if not os.path.exists(run):
        os.mkdir(run)
        os.symlink(k.admin, os.path.join(run, "keyd-admin.sock"))
    return cli("--prefix", k.dir, "key", *args)


def test_every_class_of_operation_is_recorded(keyd):
    me = os.getuid()
    init(keyd, "default")
    with keyd.officer() as o, keyd.relay() as r, Client(keyd.use, "milter") as m:
        o.key_add("tls/relay", "ec-p256")
        d, = r.derive_new("default", [b"x"])
        r.derive_existing([("default", "spool", d.keyref, d.salt, b"x")] * 7)
        sealed = r.fields("seal-fields", "default", "field", [(b"a", b"secret text")] * 3)
        assert r.fields("open-fields", "default", "field", [(b"b", sealed[0][1])])[0][0] == wire.E_AUTH
        r.fields("blind-index", "default", "index", [(b"l", b"anna@example.test")])
        tag = o.mac("default", "campaign/1", b"data")
        m.verify_mac("default", "campaign/1", b"data", tag)
        r.sign("tls/relay", "ES256", b"message")
        with refused(wire.E_DENIED):
            m.mac("default", "campaign/1", b"data")
        with refused(wire.E_EXISTS):
            o.customer_add("default")
        o.call("slot-remove", struct.pack(">I", 1))
        o.call("rotation", bytes([1]))
        o.call("schedule", struct.pack(">BI", 1, 0))
        o.call("selftest")
        o.lock()
        with refused(wire.E_AUTH):
            o.unseal("passphrase", "wrong horse battery")
        wait_for("the wait after a wrong passphrase to end", lambda: unsealed(o), 10, 0.1)
    public = public_key(keyd)
    assert keyd.stop() == 0

    v = keyd_audit.verify(keyd_audit.read(log_of(keyd)), [public])
    assert v.signed == v.seq  # to the last line, which says that keyd stopped
    assert v.lines[-2]["event"] == "stop" and v.lines[-1]["event"] == "checkpoint"
    assert events(keyd, "start") and events(keyd, "config", what="quorum.zeroize", count=1)
    assert [(s["from"], s["to"]) for s in events(keyd, "state")] == [
        ("start", "empty"), ("empty", "ready"), ("ready", "locked"), ("locked", "ready")]
    intents = events(keyd, "intent")
    ops = [(i["op"], i.get("customer") or i.get("label")) for i in intents]
    assert [o for o in ops if o[0] != "unseal"] == [
        ("init", None), ("customer-add", "default"), ("key-add", "tls/relay"), ("customer-add", "default"),
        ("slot-remove", None), ("rotation", None), ("selftest", None), ("lock", None)]
    assert events(keyd, "slot", slot=1, method="file", state="removed")
    assert all(i["uid"] == me and i["role"] == "officer" and i["session"].startswith("k") for i in intents)
    outcomes = {o["of"]: o for o in events(keyd, "outcome")}
    assert set(outcomes) == {i["seq"] for i in intents}
    assert all(outcomes[i["seq"]]["op"] == i["op"] and outcomes[i["seq"]]["seq"] > i["seq"] for i in intents)
    assert [outcomes[i["seq"]]["status"] for i in intents if i.get("customer") == "default"] == [0, wire.E_EXISTS]
    assert [u["result"] for u in events(keyd, "unseal")] == ["failed", "opened"]
    uses = {(u["op"], u["role"], u["subject"]): (u["count"], u["failed"]) for u in events(keyd, "use")}
    assert uses[("derive-new", "relay", "default")] == (1, 0)
    assert uses[("derive-existing", "relay", "default")] == (7, 0)
    assert uses[("seal-fields", "relay", "default")] == (3, 0)
    assert uses[("open-fields", "relay", "default")] == (1, 1)
    assert uses[("blind-index", "relay", "default")] == (1, 0)
    assert uses[("mac", "officer", "default")] == uses[("verify-mac", "milter", "default")] == (1, 0)
    assert uses[("sign", "relay", "tls/relay")] == (1, 0)
    assert uses[("public-key", "auditor", "audit/keyd")] == (1, 0)
    assert events(keyd, "denied", op="mac", role="milter", uid=me, count=1)
    assert {s["role"] for s in events(keyd, "sessions")} == {"officer", "relay", "milter", "auditor"}
    assert events(keyd, "selftest", result="passed")
    assert events(keyd, "signing-key", label="audit/keyd")
    text = b"".join(data for _, data in keyd_audit.read(log_of(keyd)))
    for secret in (PHRASE, "wrong horse", "anna", "secret text"):
        assert secret.encode() not in text
    for _, _, names in os.walk(log_of(keyd)):
        for name in names:
            assert os.stat(os.path.join(log_of(keyd), name)).st_mode & 0o777 == 0o600


def unsealed(o):
    try:
        o.unseal("passphrase", PHRASE)
        return True
    except Refused as e:
        assert e.status == wire.E_BUSY


def test_the_manual_page_has_the_same_events():
    page = os.path.join(os.path.dirname(__file__), "..", "..", "man", "sealpost-keyd-audit.7")
    with open(page) as f:
        text = f.read().replace("\\\n", "")
    listed = {}
    for names, fields in re.findall(r"^\.It ([a-z, -]+) Pq (.*)$", text, re.M):
        words = [w for w in fields.split(" ; ")[0].split() if w not in ("Va", ",")]
        for name in names.split(" , "):
            listed[name] = set(words)
    listed["outcome"] |= {"of", "status"}
    assert listed == {name: set(fields.split()) for name, fields in keyd_audit.EVENTS.items()}


def test_the_command_shows_verifies_and_exports(keyd, place):
    init(keyd, "default")
    r = at(keyd, "audit", "verify")
    assert r.returncode == 0 and r.stdout.startswith("good: files 1 to 2,"), r.stdout + r.stderr
    assert "signed to the end" in r.stdout and "only keyd knows" not in r.stdout
    shown = at(keyd, "audit", "show", "--limit", "1000").stdout
    assert "op=customer-add role=officer" in shown and "customer=default" in shown
    last = at(keyd, "audit", "show", "--json", "--event", "outcome", "--limit", "1").stdout
    assert json.loads(last)["op"] == "customer-add"
    assert "label=audit/keyd" in at(keyd, "history").stdout
    assert "customer-add" not in at(keyd, "history").stdout
    kept = os.path.join(place, "kept")
    r = at(keyd, "audit", "export", kept)
    assert r.returncode == 0 and sorted(os.listdir(kept)) == ["audit-000001.log", "audit-000002.log", "audit-key.pem"]
    r = cli("key", "audit", "verify", "--dir", kept)
    assert r.returncode == 0 and "only keyd knows" in r.stdout and "key was taken from the same folder" in r.stdout
    r = cli("key", "audit", "verify", "--dir", kept, "--key", os.path.join(kept, "audit-key.pem"))
    assert r.returncode == 0 and "same folder" not in r.stdout
    other = os.path.join(place, "other.pem")
    subprocess.run(f"openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out {other}", shell=True, check=True)
    r = cli("key", "audit", "verify", "--dir", kept, "--key", other)
    assert r.returncode == 1 and "no checkpoint is signed with a given key" in r.stdout
    # keyd knows that lines are missing which were there when it wrote them.
    name = keyd.file("audit/audit-000002.log")
    with open(name, "rb") as f:
        data = f.read()
    with open(name, "wb") as f:
        f.write(b"".join(data.splitlines(True)[:-3]))
    r = at(keyd, "audit", "verify")
    assert r.returncode == 1 and "lines are missing from here on" in r.stdout


def changes(data):
    """(what, line that is bad, changed bytes) of all that a thief might do to any line."""
    lines = data.splitlines(True)
    for i, line in enumerate(lines):
        where = len(line) * (i + 1) // (len(lines) + 2)
        flipped = line[:where] + bytes([line[where] ^ 1]) + line[where + 1:]
        yield "flip", i + 1, b"".join(lines[:i] + [flipped] + lines[i + 1:])
        yield "insert", i + 2, b"".join(lines[:i + 1] + [line] + lines[i + 1:])
        yield "truncate", i + 1, b"".join(lines[:i]) + line[:-5]
        if i + 1 < len(lines):
            yield "drop", i + 1, b"".join(lines[:i] + lines[i + 1:])
            yield "reorder", i + 1, b"".join(lines[:i] + [lines[i + 1], line] + lines[i + 2:])


def test_whatever_is_done_to_a_line_is_named(keyd, place):
    init(keyd, "default", "two", "three")
    kept = os.path.join(place, "kept")
    assert at(keyd, "audit", "export", kept).returncode == 0
    public = public_key(keyd)
    keyd.stop()
    name = os.path.join(kept, "audit-000002.log")
    (_, first), (_, data) = keyd_audit.read(kept)
    count = 0
    for what, line, changed in changes(data):
        with open(name, "wb") as f:
            f.write(changed)
        r = cli("key", "audit", "verify", "--dir", kept)
        assert r.returncode == 1 and f"bad: audit-000002.log, line {line}: " in r.stdout, (what, line, r.stdout)
        with pytest.raises(keyd_audit.Bad) as bad:
            keyd_audit.verify([(1, first), (2, changed)], [public])
        assert (bad.value.file, bad.value.line) == (2, line), (what, bad.value)
        count += 1
    assert count > 60
    os.unlink(name)
    r = cli("key", "audit", "verify", "--dir", kept)  # the first was written before there was a key
    assert r.returncode == 1 and "no checkpoint is signed with a given key" in r.stdout
    os.unlink(os.path.join(kept, "audit-000001.log"))
    r = cli("key", "audit", "verify", "--dir", kept)
    assert r.returncode == 1 and "there is no file" in r.stdout


def test_a_log_made_anew_with_another_key_is_not_believed(keyd, place):
    """Who may write the files and knows the format, but has not keyd's key: all hashes anew, one customer renamed."""
    init(keyd, "default")
    public = public_key(keyd)
    keyd.stop()
    chain, out = bytes(32), {}
    for number, data in keyd_audit.read(log_of(keyd)):
        out[number] = b""
        for raw in data.splitlines():
            d = json.loads(raw)
            if d["event"] == "file":
                d["prev"] = chain.hex()
            if d.get("customer") == "default":
                d["customer"] = "nobody"
            del d["hash"]
            raw = json.dumps(d, separators=(",", ":")).encode()[:-1]
            chain = hashlib.sha256(chain + raw).digest()
            out[number] += raw + b',"hash":"' + chain.hex().encode() + b'"}\n'
    there = os.path.join(place, "anew")
    os.mkdir(there)
    for number, data in out.items():
        with open(os.path.join(there, f"audit-{number:06}.log"), "wb") as f:
            f.write(data)
    r = cli("key", "audit", "verify", "--dir", there)
    assert r.returncode == 1 and "the signature of the checkpoint is wrong" in r.stdout
    with pytest.raises(keyd_audit.Bad):
        keyd_audit.verify(sorted(out.items()), [public])


def test_the_key_that_signs_is_rotated(keyd):
    init(keyd, "default")
    old = public_key(keyd)
    with keyd.officer() as o:
        o.rotate("key", "audit/keyd")
        o.customer_add("between")
        o.rotate("key", "audit/keyd", 1)
        o.customer_add("after")
    new = public_key(keyd)
    assert new != old
    keyd.stop()
    keyd.start()
    init_lines = keyd_audit.read(log_of(keyd))
    with keyd.officer() as o:
        o.lock()
    keyd.stop()
    for trusted in (old, new):  # who kept the first key trusts the second, since the first vouches for it
        v = keyd_audit.verify(keyd_audit.read(log_of(keyd)), [trusted])
        assert v.signed > max(d["seq"] for d in v.lines if d.get("customer") == "after")
    assert len(keyd_audit.read(log_of(keyd))) == len(init_lines)
    assert len([d for d in v.lines if d["event"] == "audit-key"]) == 2


@needs_root
def test_on_a_full_disk_administration_waits_and_use_goes_on(place, parts):
    k = make(place)
    audit = os.path.join(place, "audit")
    os.mkdir(audit)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=256k,uid={k.uid},gid={k.uid},mode=0700", "none", audit],
                   check=True)
    try:
        k.configure("[{method: file, path: root.key}, {method: passphrase}]", {0: "[relay, officer, auditor]"},
                    f"audit: {audit}\n")
        parts.append(k.start())
        init(k, "default")
        with k.officer() as o, k.relay() as r:
            with open(os.path.join(audit, "filler"), "wb", buffering=0) as f, pytest.raises(OSError):
                while True:
                    f.write(bytes(4096))

            def full():
                try:
                    o.customer_add("c%d" % o.next)
                except Refused as e:
                    assert e.status == wire.E_INTERNAL
                    return True
            wait_for("the last page to be full", full, 30, 0)
            seen = o.status()
            assert seen["audit"]["writable"] is False
            assert "the audit log cannot be written: administration is refused" in seen["warnings"]
            for call in (lambda: o.customer_add("more"), lambda: o.key_add("tls/x", "ec-p256")):
                with refused(wire.E_INTERNAL):
                    call()
            with refused(wire.E_NOTFOUND):  # it was not done
                r.derive_new("more", [b"x"])
            assert r.derive_new("default", [b"x"])
            o.lock()  # this alone is done
            assert o.push() == "locked"
            with refused(wire.E_INTERNAL):
                o.unseal("file")
            os.unlink(os.path.join(audit, "filler"))
            wait_for("the log to recover", lambda: o.status()["audit"]["writable"], 20, 0.1)
            o.unseal("file")
            o.customer_add("after")
            assert o.status()["audit"]["lost"] == 0
        public = public_key(k)
        k.stop()
        v = keyd_audit.verify(keyd_audit.read(audit), [public])
        happened = [(d["event"], d.get("op") or d.get("to")) for d in v.lines]
        assert ("state", "locked") in happened and ("outcome", "lock") in happened  # last words, or kept
        assert ("intent", "lock") not in happened
        assert [d for d in v.lines if d["event"] == "gap"]
        names = {e[2] for e in k.process.events()}
        assert {"audit-failed", "operation-refused", "audit-recovered"} <= names
    finally:
        k.kill()
        subprocess.run(["umount", "-l", audit], check=True)


def test_mail_flows_while_the_audit_log_is_gone(sealpost, sink):
    s = sealpost
    s.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    s.start()
    away = s.path("keyd", "away")
    os.rename(s.path("keyd", "audit"), away)
    for i in range(5):
        with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=30) as c:
            c.sendmail("a@a.example", ["b@b.example"], f"Subject: {i}\r\n\r\ntext\r\n")
    sink.wait_for(5)
    admin = s.path("run", "keyd-admin.sock")
    if os.getuid() == 0:
        with open(s.path("keyd.yaml"), "a") as f:
            f.write('  "0": [officer]\n')
        os.chmod(s.path("run"), 0o755)
        s.keyd.signal(signal.SIGHUP)
        wait_for("the new officer", lambda: s.keyd.events("reloaded"))
    with Client(admin, "officer") as o:
        with refused(wire.E_INTERNAL):
            o.customer_add("more")
        assert any("audit log" in w for w in o.status()["warnings"])
        os.rename(away, s.path("keyd", "audit"))
        o.customer_add("more")
        wait_for("the log to be called good", lambda: o.status()["audit"]["writable"], 20, 0.1)
        assert not any("audit log" in w for w in o.status()["warnings"])
    keyd_audit.verify(keyd_audit.read(s.path("keyd", "audit")))


def test_a_directory_that_cannot_be_written_at_start(place, parts):
    k = make(place, "audit: blocked/audit\n").start()
    parts.append(k)
    init(k, "default")
    k.stop()
    os.rename(k.file("blocked"), k.file("kept"))
    with open(k.file("blocked"), "w"):
        pass
    k.start()
    with k.officer() as o, k.relay() as r:
        assert o.state == "ready"
        assert o.status()["audit"]["writable"] is False
        assert r.derive_new("default", [b"x"])
        with refused(wire.E_INTERNAL):
            o.customer_add("more")
        os.unlink(k.file("blocked"))
        os.rename(k.file("kept"), k.file("blocked"))
        o.customer_add("more")
    k.stop()
    v = keyd_audit.verify(keyd_audit.read(k.file("blocked/audit")))
    assert [d["event"] for d in v.lines].count("start") == 2  # the second was kept until it could be written


def test_a_torn_end_is_cut_and_said(keyd):
    init(keyd, "default")
    public = public_key(keyd)
    keyd.process.kill()
    name = keyd.file("audit/" + keyd_audit.names(log_of(keyd))[-1])
    with open(name, "ab") as f:
        f.write(b'{"seq":99,"time":"2026')
    keyd.start()
    assert keyd.process.events("audit-cut")[0][3]["bytes"] == "22"
    assert events(keyd, "cut", bytes=22)
    keyd.stop()
    keyd_audit.verify(keyd_audit.read(log_of(keyd)), [public])


def test_the_audit_log_remembers_the_store(keyd, place):
    init(keyd, "one")
    keyd.stop()
    old = os.path.join(place, "old")
    os.mkdir(old)
    for name in ("store.snap", "store.journal"):
        shutil.copy2(keyd.file(name), old)
    keyd.start()
    with keyd.officer() as o:
        o.customer_add("two")
    keyd.stop()
    for name in ("store.snap", "store.journal"):
        shutil.copy2(os.path.join(old, name), keyd.file(name))
        os.chown(keyd.file(name), keyd.uid, keyd.uid)
    keyd.start()
    with keyd.officer() as o:
        assert o.state == "locked"
        with refused(wire.E_ROLLBACK):
            o.unseal("file")
    (_, _, _, said), *_ = keyd.process.events("store-rolled-back")
    assert said["witness"] == "audit"
    assert events(keyd, "rollback", source="audit", state="found")


# --- quorum

class Officer:
    """A client under a uid of its own: a child that does what it is told."""

    CODE = ("import os, sys, json; sys.path.insert(0, sys.argv[3])\n"
            "uid = int(sys.argv[2]); os.setgroups([]); os.setgid(uid); os.setuid(uid)\n"
            "import keyd_wire\n"
            "c = keyd_wire.Client(sys.argv[1], 'officer')\n"
            "for line in sys.stdin:\n"
            "    op, body = json.loads(line)\n"
            "    f = c.answer(c.send(op, bytes.fromhex(body)))\n"
            "    print(json.dumps([f.status, f.body.hex()]), flush=True)\n")

    def __init__(self, k, uid):
        self.child = subprocess.Popen([sys.executable, "-c", self.CODE, k.admin, str(uid), os.path.dirname(__file__)],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, op, body=b""):
        self.child.stdin.write(json.dumps([op, body.hex()]) + "\n")
        self.child.stdin.flush()
        status, reply = json.loads(self.child.stdout.readline())
        return status, bytes.fromhex(reply)

    def stop(self):
        self.child.stdin.close()
        self.child.wait()


@pytest.fixture
def three(place, parts):
    peers = {os.getuid(): "[relay, officer, auditor]", A: "officer", B: "officer", C: "[officer, operator]"}
    k = make(place, "quorum: {slot: 2, zeroize: 3}\n", peers).start()
    parts.append(k)
    init(k, "default")
    officers = [Officer(k, uid) for uid in (A, B, C)]
    parts.extend(officers)
    return k, officers


def number(n):
    return struct.pack(">Q", n)


@needs_root
def test_three_officers_destroy_what_one_cannot(three):
    k, (a, b, c) = three
    with Client(k.admin, "auditor") as o:
        store = o.store
        status, body = a("zeroize", store)
        assert status == wire.E_QUORUM and body == number(1)
        assert a("approve", number(1))[0] == wire.E_EXISTS
        assert b("approve", number(1)) == (wire.E_QUORUM, number(1))
        assert b("approve", number(1))[0] == wire.E_EXISTS
        assert b("approve", number(7))[0] == wire.E_NOTFOUND
        p, = json.loads(c("proposals")[1])["proposals"]
        assert p["op"] == "zeroize" and p["uid"] == A and p["approved"] == [A, B] and p["need"] == 3
        assert p["digest"] == hashlib.sha256(store).hexdigest() and 3500 < p["expires_s"] <= 3600
        assert o.status()["state"] == "ready"
        status, body = c("approve", number(1))
        assert status == 0 and json.loads(body)["complete"] is True
        assert o.status()["state"] == "empty"
    k.stop()
    v = keyd_audit.verify(keyd_audit.read(log_of(k)))
    votes = [(d["event"], d["uid"], d["have"], d["need"]) for d in v.lines if d["event"] in ("proposed", "approved")]
    assert votes == [("proposed", A, 1, 3), ("approved", B, 2, 3), ("approved", C, 3, 3)]
    deeds = [(d["uid"], d.get("state")) for d in v.lines if d["event"] == "intent" and d["op"] == "zeroize"]
    assert deeds == [(A, "proposal"), (C, "approved")]
    assert [d["status"] for d in v.lines if d["event"] == "outcome" and d["op"] == "zeroize"] == [wire.E_QUORUM, 0]


@needs_root
def test_a_proposal_is_withdrawn_by_who_made_it_alone(three):
    k, (a, b, c) = three
    remove = struct.pack(">I", 2)
    assert a("slot-remove", remove) == (wire.E_QUORUM, number(1))
    assert b("withdraw", number(1))[0] == wire.E_DENIED
    assert a("withdraw", number(1)) == (0, b"")
    assert b("approve", number(1))[0] == wire.E_NOTFOUND
    assert a("slot-remove", remove) == (wire.E_QUORUM, number(2))
    with k.officer() as o:
        assert len(o.status()["slots"]) == 2
        assert b("approve", number(2)) == (0, b"")
        assert len(o.status()["slots"]) == 1
    # No more than eight of one officer wait, so that others can still ask.
    assert [a("zeroize", bytes(16))[0] for _ in range(9)] == [wire.E_QUORUM] * 8 + [wire.E_LIMIT]
    assert b("zeroize", bytes(16))[0] == wire.E_QUORUM
    # What was approved is these very bytes: of another store nothing is destroyed.
    assert b("approve", number(3))[0] == wire.E_QUORUM and c("approve", number(3))[0] == wire.E_ARGUMENT
    with k.officer() as o:
        assert o.status()["state"] == "ready"


@needs_root
def test_a_lock_forgets_proposals(three):
    k, (a, b, c) = three
    assert a("slot-remove", struct.pack(">I", 2)) == (wire.E_QUORUM, number(1))
    with k.officer() as o:
        o.lock()
        o.unseal("file")
        assert b("approve", number(1))[0] == wire.E_NOTFOUND
        assert len(o.status()["slots"]) == 2
    assert events(k, "expired", proposal=1, op="slot-remove", have=1, need=2)


@needs_root
def test_the_command_for_proposals(three):
    k, (a, b, c) = three
    at(k, "list")
    assert "Nothing waits" in cli("--prefix", k.dir, "key", "proposals", uid=C).stdout
    r = cli("--prefix", k.dir, "key", "slot", "remove", "2", uid=A)
    assert r.returncode == 75 and "kept as a proposal" in r.stderr, r.stderr
    shown = cli("--prefix", k.dir, "key", "proposals", uid=C).stdout
    assert f"slot-remove, asked for by uid {A}, approved by {A} of 2" in shown
    assert cli("--prefix", k.dir, "key", "approve", "1", uid=A).returncode == 1
    r = cli("--prefix", k.dir, "key", "approve", "1", uid=B)
    assert r.returncode == 0 and r.stdout == "Done.\n"
    assert cli("--prefix", k.dir, "key", "withdraw", "1", uid=A).returncode == 1


# --- tampering

def tamper(place, parts, limits):
    k = make(place, f"tamper: {{{limits}}}\n").start()
    parts.append(k)
    return init(k, "default")


def locked_by(k, what, o):
    assert o.push() == "locked"
    (_, _, _, said), = k.process.events("tamper-lock")
    assert said["what"] == what
    wait_for("the lines", lambda: events(k, "tamper", what=what) and events(k, "tamper-lock", what=what))
    assert o.status()["tamper"][what]["recent"] == 0


def test_denied_operations_lock(place, parts):
    k = tamper(place, parts, "denied: 5")
    with k.officer() as o, Client(k.use, "milter") as m:
        for i in range(5):
            assert o.status()["state"] == "ready" and o.status()["tamper"]["denied"]["recent"] == i
            with refused(wire.E_DENIED):
                m.mac("default", "campaign/1", b"data")
        locked_by(k, "denied", o)
        assert o.status()["tamper"]["denied"] == {"recent": 0, "limit": 5, "total": 5}
        o.unseal("file")
        assert o.push() == "ready"


def test_forged_fields_and_macs_lock(place, parts):
    k = tamper(place, parts, "mac: 10")
    with k.officer() as o, k.relay() as r, Client(k.use, "milter") as m:
        for i in range(3):
            with refused(wire.E_AUTH):
                m.verify_mac("default", "campaign/1", b"data", bytes(32))
        sealed = r.fields("seal-fields", "default", "field", [(b"a", b"text")])[0][1]
        wrong = r.fields("open-fields", "default", "field", [(b"b", sealed)] * 6 + [(b"a", sealed)])
        assert [s for s, _ in wrong] == [wire.E_AUTH] * 6 + [0] and o.status()["state"] == "ready"
        r.fields("open-fields", "default", "field", [(b"b", sealed)])
        locked_by(k, "mac", o)


def test_wrong_secrets_lock(place, parts):
    k = tamper(place, parts, "auth: 1")
    with k.officer() as o:
        with refused(wire.E_AUTH):
            o.call("slot-test", struct.pack(">I", 2) + wire.b16(b"wrong horse battery"))
        locked_by(k, "auth", o)


SEIZE = ("import ctypes, sys\n"
         "libc = ctypes.CDLL(None, use_errno=True)\n"
         "libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]\n"
         "assert libc.ptrace(0x4206, int(sys.argv[1]), None, None) == 0, ctypes.get_errno()\n"
         "print('attached', flush=True); sys.stdin.read()\n")


@needs_root
def test_a_debugger_locks_and_keeps_it_locked(keyd):
    init(keyd, "default")
    with keyd.officer() as o:
        tracer = subprocess.Popen([sys.executable, "-c", SEIZE, str(keyd.process.pid)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        try:
            assert tracer.stdout.readline() == "attached\n"
            assert o.push() == "locked"
            o.unseal("file")
            assert [o.push(), o.push()] == ["ready", "locked"]  # while he is there
        finally:
            tracer.stdin.close()
            tracer.wait()
        wait_for("the debugger to be gone", lambda: o.status()["sandbox"]["tracer"] == 0)
        o.unseal("file")
        assert o.push() == "ready"
    assert len(keyd.process.events("tamper-lock")) == 2
    assert events(keyd, "tamper-lock", what="tracer")


# --- zeroize, self-test

def remains(k, secrets):
    found = []
    for base, _, names in os.walk(k.dir):
        for name in names:
            path = os.path.join(base, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as f:
                    data = f.read()
                found += [path for s in secrets if s in data]
    return found


@pytest.mark.parametrize("state", ["ready", "locked"])
def test_nothing_is_left_after_zeroize(keyd, state):
    init(keyd, "default")
    with keyd.officer() as o, keyd.relay() as r:
        sealed = r.fields("seal-fields", "default", "field", [(b"a", b"text")])[0][1]
        with open(keyd.file("root.key"), "rb") as f:
            key = f.read()
        with open(keyd.file("store.snap"), "rb") as f:
            snap = f.read()
        pieces = [key, snap[100:164], snap[-64:], b"sealpost-keys-v"]
        assert remains(keyd, pieces)
        if state == "locked":
            o.lock()
            assert o.push() == "locked"
        with refused(wire.E_ARGUMENT):
            o.call("zeroize", bytes(16))
        told = json.loads(o.call("zeroize", o.store))
        assert told["complete"] is True and told["memory"]["wiped"] is True, told
        assert told["memory"]["private_keys"] == 0 and told["memory"]["checked_bytes"] > 0
        gone = {os.path.basename(f["path"]): f for f in told["files"]}
        assert {"root.key", "store.snap", "store.journal"} <= set(gone)
        assert all(f["verified"] and f["removed"] and not f["error"] for f in gone.values())
        assert gone["store.snap"]["bytes"] == len(snap)
        assert sorted(n for n in os.listdir(keyd.state) if n != "audit") == ["store.lock"]
        assert remains(keyd, pieces) == []
        assert o.status()["state"] == "empty"
        with refused(wire.E_LOCKED):
            r.fields("open-fields", "default", "field", [(b"a", sealed)])
        # A new store is another one, and the log of both goes on.
        o.init(("file",), ("passphrase", PHRASE))
        o.customer_add("default")
        assert r.fields("open-fields", "default", "field", [(b"a", sealed)])[0][0] == wire.E_AUTH
    keyd.stop()
    v = keyd_audit.verify(keyd_audit.read(log_of(keyd)))
    assert [d for d in v.lines if d["event"] == "zeroize" and d["result"] == "complete"]
    keyd.start()
    with keyd.officer() as o:
        assert o.state == "ready"


def test_zeroize_in_error(keyd):
    init(keyd, "default")
    keyd.stop()
    with open(keyd.file("store.snap"), "r+b") as f:
        f.seek(-1, 2)
        f.write(b"x")
    keyd.start()
    with keyd.officer() as o:
        assert o.state == "error"
        assert json.loads(o.call("zeroize", o.store))["complete"] is True
        assert o.push() == "empty"
    assert remains(keyd, [b"sealpost-keys-v"]) == []


def test_the_command_to_zeroize(keyd):
    init(keyd, "default")
    assert at(keyd, "selftest").stdout.startswith("passed in ")
    assert at(keyd, "zeroize").returncode == 64
    r = at(keyd, "zeroize", "--yes-destroy-everything")
    assert r.returncode == 64 and "no terminal" in r.stderr
    r = at(keyd, "zeroize", "--yes-destroy-everything", "--store", "0" * 32)
    assert r.returncode == 64 and "nothing was done" in r.stderr
    with keyd.officer() as o:
        store = o.store.hex()
    r = at(keyd, "zeroize", "--yes-destroy-everything", "--store", store)
    assert r.returncode == 0 and r.stdout.endswith("Everything was destroyed.\n"), r.stdout + r.stderr
    assert "overwritten and read back, removed" in r.stdout and "memory: no key is left" in r.stdout
    with keyd.officer() as o:
        assert o.state == "empty"
