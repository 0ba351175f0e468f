# SPDX-License-Identifier: Apache-2.0
"""keyd alone, through its sockets: what it serves, whom it refuses, and what it leaves on disk and in /proc."""
import hashlib
import hmac
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys

import harness
import keyd_wire as wire
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from keyd_store import Store
from keyd_wire import Client, Refused

ALL = "[relay, milter, officer, operator, auditor]"
PHRASE = "correct horse battery"


class Keyd:
    """A keyd under a directory of its own."""

    def __init__(self, directory, slots="[{method: file, path: root.key}, {method: passphrase}]", peers=None,
                 extra="", limits=(), env=None):
        self.dir = os.path.join(directory, "keyd")
        os.mkdir(self.dir)
        self.uid = harness.UID if os.getuid() == 0 else os.getuid()
        os.chmod(self.dir, 0o755)
        os.chown(self.dir, self.uid, self.uid)
        self.conf = os.path.join(self.dir, "keyd.yaml")
        self.state = os.path.join(self.dir, "state")
        self.use, self.admin = (os.path.join(self.dir, n) for n in ("keyd.sock", "keyd-admin.sock"))
        self.configure(slots, peers or {os.getuid(): ALL}, extra)
        self.process = harness.Process([harness.program("sealpost-keyd"), "-c", self.conf],
                                       os.path.join(directory, "keyd.log"), self.uid, env=env, limits=limits,
                                       ready=lambda: harness.unix_answers(self.use))

    def configure(self, slots, peers, extra=""):
        with open(self.conf, "w") as f:
            f.write(f"state: {self.state}\nsocket: {self.use}\nadmin_socket: {self.admin}\nsocket_mode: '0666'\n"
                    f"slots: {slots}\npeers:\n")
            for who, roles in peers.items():
                f.write(f'  "{who}": {roles}\n')
            f.write(extra)
        os.chmod(self.conf, 0o644)

    def start(self):
        self.process.start()
        return self

    def kill(self):
        self.process.kill()

    def stop(self):
        return self.process.stop()

    def officer(self):
        return Client(self.admin, "officer")

    def relay(self):
        return Client(self.use, "relay")

    def file(self, name):
        return os.path.join(self.state, name)

    def read_store(self):
        data = []
        for name in ("store.snap", "store.journal", "root.key"):
            with open(self.file(name), "rb") as f:
                data.append(f.read())
        return Store(*data)


@pytest.fixture
def keyd(place, parts):
    k = Keyd(place).start()
    parts.append(k)
    return k


@pytest.fixture
def ready(keyd):
    """A keyd with the customer default and two TLS keys."""
    with keyd.officer() as o:
        o.init(("file",), ("passphrase", PHRASE))
        o.customer_add("default")
        o.key_add("tls/relay", "ec-p256")
        o.key_add("tls/rsa", "rsa-2048")
    return keyd


def refused(status):
    class Check:
        def __enter__(self):
            return self

        def __exit__(self, kind, value, trace):
            assert kind is Refused, f"not refused: {value!r}"
            assert value.status == status
            return True
    return Check()


def test_from_empty_to_ready(keyd):
    with keyd.officer() as o, keyd.relay() as r:
        assert o.state == "empty" and o.store == bytes(16)
        with refused(wire.E_LOCKED):
            r.derive_new("default", [b"x"])
        with refused(wire.E_ARGUMENT):
            o.init(("file",), ("passphrase", "short"))
        with refused(wire.E_ARGUMENT):
            o.init(("passphrase", PHRASE))
        o.init(("file",), ("passphrase", PHRASE))
        assert o.push() == "ready" and r.push() == "ready"
        with refused(wire.E_STATE):
            o.init(("file",))
        status = o.status()
        assert set(status) == {"state", "store", "generation", "uptime_s", "customers", "deks", "keks", "keys", "slots",
                               "warnings", "rotation", "requests", "sandbox", "token_helper", "denied", "bad_frames",
                               "locked_bytes", "selftest", "unseal", "audit", "tamper"}
        assert status["state"] == "ready" and status["keks"] == 256 and status["customers"] == 0
        slots = [(s["id"], s["method"], s["name"], s["safe"], s["offline"]) for s in status["slots"]]
        assert slots == [(1, "file", "", False, False), (2, "passphrase", "", True, True)]
        assert status["unseal"] is None
        assert any("file slot" in w for w in status["warnings"])
        assert status["selftest"] == "passed" and status["locked_bytes"] > 0
    with keyd.officer() as o:
        assert o.store.hex() == status["store"] != "0" * 32
    assert os.stat(keyd.file("root.key")).st_mode & 0o7777 == 0o600


def test_derived_keys_agree_and_survive_a_restart(ready):
    contexts = [b"message %d" % i for i in range(256)]
    with ready.relay() as r:
        new = r.derive_new("default", contexts)
        again = r.derive_existing([("default", "spool", d.keyref, d.salt, c) for d, c in zip(new, contexts)])
        assert [d.key for d in new] == [d.key for d in again]
        assert len({d.key for d in new}) == len({d.salt for d in new}) == 256
        with refused(wire.E_NOTFOUND):
            r.derive_new("nobody", [b"x"])
    assert ready.stop() == 0
    ready.start()
    with ready.relay() as r:
        assert r.state == "ready"
        again = r.derive_existing([("default", "spool", d.keyref, d.salt, c) for d, c in zip(new, contexts)])
        assert [d.key for d in new] == [d.key for d in again]


def test_fields_open_where_they_were_sealed(ready):
    with ready.relay() as r:
        sealed = r.fields("seal-fields", "default", "field", [(b"row %d" % i, b"value %d" % i) for i in range(100)])
        assert all(s == 0 for s, _ in sealed)
        items = [(b"row %d" % i, d) for i, (_, d) in enumerate(sealed)]
        assert r.fields("open-fields", "default", "field", items) == [(0, b"value %d" % i) for i in range(100)]
        moved = r.fields("open-fields", "default", "field", [(b"row 1", sealed[0][1])])
        assert moved == [(wire.E_AUTH, b"")]
        assert r.fields("open-fields", "default", "cred", [items[0]]) == [(wire.E_AUTH, b"")]
        one, two = r.fields("blind-index", "default", "index", [(b"login", b"a"), (b"login", b"b")])
        assert len(one[1]) == 32 and one[1] != two[1]


def openssl_verifies(directory, spki, signature, data, *options):
    names = [os.path.join(directory, n) for n in ("spki.der", "sig", "data")]
    for name, content in zip(names, (spki, signature, data)):
        with open(name, "wb") as f:
            f.write(content)
    run = subprocess.run(["openssl", "dgst", "-sha256", "-verify", names[0], "-keyform", "DER", "-signature", names[1],
                          *options, names[2]], capture_output=True, text=True)
    return "Verified OK" in run.stdout


def test_signatures_verify_elsewhere(ready, place):
    with ready.relay() as r:
        kind, spki = r.public_key("tls/relay")
        assert kind == "ec-p256"
        key = serialization.load_der_public_key(spki)
        sig = r.sign("tls/relay", "ES256", b"message")
        key.verify(sig, b"message", ec.ECDSA(hashes.SHA256()))
        with pytest.raises(InvalidSignature):
            key.verify(sig, b"messagE", ec.ECDSA(hashes.SHA256()))
        assert openssl_verifies(place, spki, sig, b"message")
        kind, spki = r.public_key("tls/rsa")
        assert kind == "rsa-2048"
        key = serialization.load_der_public_key(spki)
        for alg, digest in (("256", hashes.SHA256()), ("384", hashes.SHA384()), ("512", hashes.SHA512())):
            key.verify(r.sign("tls/rsa", "RS" + alg, b"message"), b"message", padding.PKCS1v15(), digest)
            key.verify(r.sign("tls/rsa", "PS" + alg, b"message"), b"message",
                       padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        pss = r.sign("tls/rsa", "PS256", b"message")
        assert openssl_verifies(place, spki, pss, b"message", "-sigopt", "rsa_padding_mode:pss", "-sigopt",
                                "rsa_pss_saltlen:32")
        with refused(wire.E_DENIED):
            r.sign("tls/rsa", "ES256", b"message")
        with refused(wire.E_DENIED):
            r.sign("tls/relay", "ES256", b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UifQ")


def test_ed25519(ready):
    with ready.officer() as o:
        kind, spki = o.key_add("tls/ed", "ed25519")
        key = serialization.load_der_public_key(spki)
        key.verify(o.sign("tls/ed", "Ed25519", b"message"), b"message")
        assert [k["label"] for k in o.key_list()] == ["audit/keyd", "tls/relay", "tls/rsa", "tls/ed"]


def test_macs(ready):
    with ready.officer() as o, Client(ready.use, "milter") as m:
        tag = o.mac("default", "campaign/1", b"data")
        m.verify_mac("default", "campaign/1", b"data", tag)
        with refused(wire.E_AUTH):
            m.verify_mac("default", "campaign/1", b"dat", tag)
        with refused(wire.E_AUTH):
            m.verify_mac("default", "campaign/2", b"data", tag)
        with refused(wire.E_DENIED):
            m.mac("default", "campaign/1", b"data")
        with refused(wire.E_DENIED):
            o.mac("default", "other/1", b"data")


def test_slow_work_does_not_hold_up_the_rest(ready):
    """Signatures by RSA are asked for first, and a status after them, in one write: it is answered before half of them
    are. On the loop they would all come first."""
    with ready.relay() as r:
        body = wire.b8(b"tls/rsa") + bytes([wire.ALGS["PS256"]]) + wire.b16(b"message")
        slow = range(1000, 1200)
        quick = 1200
        r.sock.sendall(b"".join(wire.frame("sign", i, body) for i in slow) + wire.frame("status", quick, b""))
        order = [r.read() for _ in range(201)]
        assert {f.request for f in order} == {*slow, quick} and all(f.status == 0 for f in order)
        assert [f.request for f in order].index(quick) < 100


def test_credit_ends_at_256(ready):
    with ready.relay() as r:
        body = wire.b8(b"tls/rsa") + bytes([wire.ALGS["RS256"]]) + wire.b16(b"message")
        r.sock.sendall(b"".join(wire.frame("sign", 1 + i, body) for i in range(1000)))
        answers = [r.read() for _ in range(1000)]
        good = sum(a.status == 0 for a in answers)
        assert {a.status for a in answers} == {0, wire.E_BUSY} and 256 <= good < 1000
        assert r.sign("tls/relay", "ES256", b"x")


def test_roles(place, parts):
    me = os.getuid()
    k = Keyd(place, peers={me: "[relay, auditor]"}).start()
    parts.append(k)
    for path, role, good in ((k.use, "relay", 1), (k.use, "milter", 0), (k.use, "auditor", 0), (k.admin, "auditor", 1),
                             (k.admin, "officer", 0), (k.admin, "operator", 0), (k.admin, "relay", 0)):
        c = Client(path)
        if good:
            c.hello(role)
        else:
            with refused(wire.E_DENIED):
                c.hello(role)
            assert c.read() is None  # and that was all
        c.close()
    with Client(k.admin, "auditor") as a:
        with refused(wire.E_DENIED):
            a.lock()
        assert a.status()["denied"] == 6
    assert len(k.process.events("denied")) == 6


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_a_stranger_is_denied(ready):
    code = ("import os, sys; os.setgid(64220); os.setuid(64220); sys.path.insert(0, sys.argv[2])\n"
            "import keyd_wire\n"
            "try: keyd_wire.Client(sys.argv[1], 'relay')\n"
            "except keyd_wire.Refused as e: print(e.status)")
    run = subprocess.run([sys.executable, "-c", code, ready.use, os.path.dirname(__file__)], capture_output=True,
                         text=True)
    assert run.stdout.strip() == str(wire.E_DENIED), run.stderr


def test_lock_and_unseal(ready):
    with ready.officer() as o, ready.relay() as r:
        epoch = o.answer(o.send("status")).epoch
        o.lock()
        assert o.push() == "locked" and r.push() == "locked"
        assert o.answer(o.send("status")).epoch > epoch
        for call in (lambda: r.derive_new("default", [b"x"]), lambda: r.sign("tls/relay", "ES256", b"x"),
                     lambda: r.fields("seal-fields", "default", "field", [(b"a", b"b")]),
                     lambda: o.customer_add("c"), lambda: o.key_list()):
            with refused(wire.E_LOCKED):
                call()
        with refused(wire.E_AUTH):
            o.unseal("passphrase", "wrong horse battery")
        with refused(wire.E_BUSY):  # who guesses waits
            o.unseal("passphrase", PHRASE)

        def opened():
            try:
                o.unseal("passphrase", PHRASE)
                return True
            except Refused as e:
                assert e.status == wire.E_BUSY
        harness.wait_for("the wait after a wrong passphrase to end", opened, 5, 0.1)
        assert o.push() == "ready" and r.push() == "ready"
        assert r.sign("tls/relay", "ES256", b"x")
        o.lock()
        o.unseal("file")
        assert r.sign("tls/relay", "ES256", b"x")


def test_passphrase_only_starts_locked(place, parts):
    k = Keyd(place, slots="[{method: passphrase}]").start()
    parts.append(k)
    with k.officer() as o:
        o.init(("passphrase", PHRASE))
        o.customer_add("default")
    assert k.stop() == 0
    k.start()
    with k.officer() as o:
        assert o.state == "locked"
        with refused(wire.E_NOTFOUND):
            o.unseal("file")
        o.unseal("passphrase", PHRASE)
        assert o.status()["customers"] == 1
        assert any("fewer than two" in w for w in o.status()["warnings"])


def test_credential_slot(place, parts):
    credentials = os.path.join(place, "credentials")
    os.mkdir(credentials)
    name = os.path.join(credentials, "keyd-root")
    with open(name, "wb") as f:
        f.write(os.urandom(48))
    k = Keyd(place, slots="[{method: credential, name: keyd-root}, {method: passphrase}]",
             env={"CREDENTIALS_DIRECTORY": credentials}, extra="backup_every: 0\n")
    os.chown(name, k.uid, k.uid)
    os.chmod(name, 0o400)
    parts.append(k.start())
    with k.officer() as o:
        o.init(("credential",), ("passphrase", PHRASE))
        status = o.status()
        # a build with a sanitizer, or an older kernel, says what confinement lacks; and there is no backup yet
        others = ("not filtered", "not limited", "no backup")
        assert [w for w in status["warnings"] if not any(o in w for o in others)] == []
    assert k.stop() == 0
    k.start()
    with k.officer() as o:
        assert o.state == "ready"
    assert k.stop() == 0
    os.rename(name, name + "-elsewhere")
    k.start()
    with k.officer() as o:
        assert o.state == "locked"
        o.unseal("passphrase", PHRASE)


def test_a_customer_is_there_after_kill_9(ready):
    """An answer means that it is on disk."""
    for i in range(5):
        with ready.officer() as o:
            o.customer_add(f"customer-{i}")
            ready.kill()
        ready.start()
    with ready.officer() as o:
        assert o.status()["customers"] == 6
        for i in range(5):
            with refused(wire.E_EXISTS):
                o.customer_add(f"customer-{i}")


def test_a_second_instance_is_refused(ready):
    run = subprocess.run(ready.process.argv, preexec_fn=lambda: os.setuid(ready.uid), capture_output=True, text=True)
    assert run.returncode == 75 and "event=start-refused" in run.stderr
    with ready.relay() as r:  # and the first goes on
        assert r.sign("tls/relay", "ES256", b"x")


@pytest.mark.parametrize("what", ["snapshot", "journal", "directory", "link", "flip-snapshot", "flip-journal"])
def test_a_store_that_is_not_private_or_not_whole_is_refused(ready, what):
    ready.kill()
    snap, journal = ready.file("store.snap"), ready.file("store.journal")
    if what == "snapshot":
        os.chmod(snap, 0o640)
    elif what == "journal":
        os.chmod(journal, 0o604)
    elif what == "directory":
        os.chmod(ready.state, 0o770)
    elif what == "link":
        os.rename(snap, snap + ".old")
        os.symlink(snap + ".old", snap)
    else:
        path = snap if what == "flip-snapshot" else journal
        with open(path, "r+b") as f:
            data = f.read()
            f.seek(len(data) // 2)
            f.write(bytes([data[len(data) // 2] ^ 1]))
    ready.start()
    with ready.officer() as o, ready.relay() as r:
        assert o.state == "error"
        assert o.status()["warnings"]
        with refused(wire.E_INTERNAL):
            r.derive_new("default", [b"x"])
        with refused(wire.E_INTERNAL):
            o.init(("file",))
    assert ready.process.events("store-refused") or ready.process.events("store-failed")
    assert ready.stop() == 0


def test_default_memlock_limit_is_enough(place, parts):
    eight = (8 << 20, 8 << 20)
    k = Keyd(place, limits=((resource.RLIMIT_MEMLOCK, eight),)).start()
    parts.append(k)
    with k.officer() as o, k.relay() as r:
        o.init(("file",), ("passphrase", PHRASE))
        for i in range(300):
            o.customer_add(f"c{i}")
            r.derive_new(f"c{i}", [b"x"] * 256)
        o.lock()
        o.unseal("passphrase", PHRASE)
    with open(f"/proc/{k.process.pid}/status") as f:
        locked = int(re.search(r"VmLck:\s+(\d+)", f.read())[1])
    assert 1024 <= locked <= 8192  # KiB


def test_memory_that_cannot_be_locked_is_fatal(place):
    k = Keyd(place, limits=((resource.RLIMIT_MEMLOCK, (65536, 65536)),))
    k.process.start(wait=False)
    assert k.process.child.wait(20) == 75
    assert "memory cannot be locked" in k.process.events("start-refused")[0][3]["why"]


def test_its_process_is_closed_to_its_own_user(ready):
    pid = ready.process.pid
    code = ("import os, sys\n"
            "for name in ('mem', 'environ', 'maps', 'fd', 'auxv'):\n"
            "    try:\n"
            "        path = f'/proc/{sys.argv[1]}/{name}'\n"
            "        os.listdir(path) if name == 'fd' else open(path, 'rb').read(1)\n"
            "        print(name)\n"
            "    except PermissionError: pass")
    run = subprocess.run([sys.executable, "-c", code, str(pid)], preexec_fn=lambda: os.setuid(ready.uid),
                         capture_output=True, text=True)
    assert run.stdout == "" and run.stderr == ""
    with open(f"/proc/{pid}/limits") as f:
        assert re.search(r"Max core file size\s+0\s+0 ", f.read())
    with open(f"/proc/{pid}/status") as f:
        status = f.read()
    assert re.search(r"NoNewPrivs:\s+1", status)
    assert re.search(rf"Uid:\s+{ready.uid}\s+{ready.uid}\s+{ready.uid}\s+{ready.uid}", status)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to look into the process")
def test_it_has_no_network_socket(ready):
    def sockets():
        return set(re.findall(r"socket:\[(\d+)\]", " ".join(harness.descriptors(ready.process.pid))))

    before = sockets()
    with open("/proc/net/unix") as f:
        unix = set(re.findall(r" (\d+) ?(?:/\S*|@\S*)?$", f.read(), re.M))
    held = before & sockets()  # open all the while, unlike a connection that comes or goes
    assert len(held) >= 2 and held <= unix


def test_the_store_is_as_its_manual_page_says(ready):
    """Read by a second implementation, before and after the snapshot that a stop writes; and the keys in it are those
    that keyd works with."""
    with ready.relay() as r:
        one, = r.derive_new("default", [b"context"])
        sealed = r.fields("seal-fields", "default", "field", [(b"aad", b"value")])[0][1]
        tls = r.public_key("tls/relay")[1]
    for state in ("running", "stopped"):
        if state == "stopped":
            assert ready.stop() == 0
        store = ready.read_store()
        assert len(store.keks) == 256 and set(store.keys) == {"audit/keyd", "tls/relay", "tls/rsa"}
        assert [name for name, _ in store.deks.values()] == ["default"]
        assert store.object_key(one.keyref, 1, one.salt, b"context") == one.key
        assert int.from_bytes(sealed[1:5], "big") in store.deks
        assert store.keys["tls/relay"].public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo) == tls


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to read the memory")
def test_memory_holds_what_is_needed_and_nothing_once_it_is_locked(ready):
    store = ready.read_store()
    with open(ready.file("root.key"), "rb") as f:
        slot_key = f.read()
    with ready.officer() as o, ready.relay() as r:
        for _ in range(20):
            key = r.derive_new("default", [b"x"] * 10)[0].key
            r.sign("tls/relay", "ES256", b"x")
            r.sign("tls/rsa", "PS256", b"x")
            r.fields("seal-fields", "default", "field", [(b"a", b"b")])
        pid = ready.process.pid
        # the search does find: sub-keys and private keys are there while keyd is ready
        there = image_holds(pid, store.secrets("subkey", "private"))
        assert {"sub-key 1 1", "sub-key 1 2", "tls/relay scalar, as OpenSSL holds it",
                "tls/rsa d, as OpenSSL holds it"} <= there
        # but not what opened them, nor what was given out
        gone = dict(store.secrets("dek"), **{"root": store.root, "slot": slot_key, "object": key[:32]})
        assert image_holds(pid, gone) == set()
        o.lock()
        everything = dict(store.secrets("root", "kek", "dek", "subkey", "private"), **gone)
        assert image_holds(pid, everything) == set()
        o.unseal("file")
        r.sign("tls/relay", "ES256", b"x")
        assert image_holds(pid, gone) == set()


def test_secrets_lie_in_no_file(ready, place):
    with ready.officer() as o:
        o.key_add("tls/ed", "ed25519")
    store = ready.read_store()
    secrets = store.secrets("root", "kek", "dek", "subkey", "private")
    for state in ("running", "stopped"):
        if state == "stopped":
            assert ready.stop() == 0
        for folder, _, names in os.walk(place):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        data = f.read()
                    assert not [n for n, p in secrets.items() if p in data], path


def image_holds(pid, patterns):
    """Names of those patterns that are somewhere in the memory of a process."""
    found = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not m or "[v" in line:
                continue
            start, end = (int(x, 16) for x in m.groups())
            if end - start > 1 << 30:
                continue  # a sanitizer's own
            mem.seek(start)
            try:
                data = mem.read(end - start)
            except OSError:
                continue
            found.update(name for name, p in patterns.items() if p in data)
    return found


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def test_no_private_key_lies_in_any_file(ready, place):
    """Neither PEM nor PKCS#8 nor SEC 1 DER, and no copy of the slot's key outside its own file."""
    with ready.officer() as o:
        for i in range(3):
            o.key_add(f"tls/x{i}", ("ec-p256", "rsa-2048", "ed25519")[i])
    with open(ready.file("root.key"), "rb") as f:
        slot_key = f.read()
    for state in ("running", "stopped"):
        if state == "stopped":
            assert ready.stop() == 0
        for folder, _, names in os.walk(place):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.isfile(path):
                    continue
                with open(path, "rb") as f:
                    data = f.read()
                for what, pattern in (
                        ("PEM", rb"-----BEGIN [A-Z ]*PRIVATE"),
                        ("PKCS#8 of EC", rb"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"),
                        ("PKCS#8 of RSA", rb"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"),
                        ("PKCS#8 of Ed25519", rb"\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04"),
                        ("SEC 1", rb"\x30\x77\x02\x01\x01\x04\x20")):
                    assert not re.search(pattern, data, re.S), f"{what} in {path}"
                if name != "root.key":
                    assert slot_key not in data, path


def test_1000_connections(place, parts):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 2200:
        pytest.skip("too few descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2200, hard))
    k = Keyd(place, extra="limits: {connections: 1000}\n").start()
    parts.append(k)
    clients = [Client(k.use, "relay") for _ in range(999)]
    with k.officer() as o:
        o.init(("file",), ("passphrase", PHRASE))
        o.customer_add("default")
        for c in clients:
            c.send("derive-new", wire.b8(b"default") + struct.pack(">BH", 1, 1) + wire.b8(b"x"))
        for c in clients:
            assert c.push() == "ready"
            assert c.read().status == 0
        extra = Client(k.use)
        assert extra.read() is None  # one too many
        assert harness.wait_for("the log", lambda: k.process.events("connections-full"))
    for c in clients:
        c.close()
    harness.wait_for("room again", lambda: connects_as_relay(k.use))


def connects_as_relay(path):
    try:
        Client(path, "relay").close()
        return True
    except (EOFError, OSError):
        return False


def test_who_does_not_read_is_not_read_from_and_the_others_go_on(ready):
    body = wire.b8(b"default") + struct.pack(">BH", 1, 256) + wire.b8(b"x") * 256
    before = resident(ready.process.pid)
    lazy = ready.relay()
    lazy.sock.settimeout(2)
    sent = 0
    with pytest.raises(TimeoutError):  # at some point no more is taken
        while sent < 64 << 20:
            f = wire.frame("derive-new", 1, body)
            lazy.sock.sendall(f)
            sent += len(f)
    assert resident(ready.process.pid) - before < 32 << 10  # KiB: nothing piled up
    with ready.relay() as r:
        assert r.sign("tls/relay", "ES256", b"x")
    harness.wait_for("the slow reader to be dropped", lambda: ready.process.events("slow-reader"), 20)


def test_bad_frames_end_the_connection_and_are_counted(ready):
    bad = [b"\x00" * 24, b"\xff" * 64, wire.frame("status", 1, b"x"), wire.frame(99, 1), wire.frame("status", 0),
           wire.frame("status", 1, status=5), wire.frame("status", 1, version=2), wire.frame("hello", 1),
           wire.HEAD.pack(1, 2, 65537, 1, 0, 0), wire.frame("derive-new", 1, b"\x00" * 10)]
    for data in bad:
        c = ready.relay()
        c.sock.sendall(data)
        assert c.read() is None
        c.close()
    c = Client(ready.use)
    c.sock.sendall(wire.frame("status", 1))  # before HELLO
    assert c.read() is None
    with ready.relay() as r:
        assert r.status()["bad_frames"] == len(bad) + 1
    assert len(ready.process.events("bad-frame")) == len(bad) + 1


def test_hup_takes_roles_away(ready):
    with ready.relay() as r, Client(ready.use, "milter") as m:
        ready.configure("[{method: file, path: root.key}, {method: passphrase}]", {os.getuid(): "[milter, auditor]"})
        ready.process.signal(signal.SIGHUP)
        assert r.read() is None
        with refused(wire.E_AUTH):
            m.verify_mac("default", "campaign/1", b"x", bytes(32))
    with Client(ready.use) as c, refused(wire.E_DENIED):
        c.hello("relay")
    with open(ready.conf, "a") as f:
        f.write("nonsense: 1\n")
    ready.process.signal(signal.SIGHUP)
    harness.wait_for("the refusal", lambda: ready.process.events("reload-refused"))
    with Client(ready.use, "milter"):
        pass


def test_configuration_errors_name_file_line_and_key(place):
    k = Keyd(place)
    good = open(k.conf).read()
    argv = k.process.argv
    for text, wants in ((good + "nonsense: 1\n", [r"keyd\.yaml:\d+", "nonsense"]),
                        (good.replace("method: file", "method: fill"), [r"keyd\.yaml:\d+", "method"]),
                        (good.replace("method: file, path: root.key", "method: file"), ["slots"]),
                        (good.replace("method: passphrase", "method: shares"), ["slots", "need and of"]),
                        (good.replace("method: passphrase", "method: passphrase, need: 2, of: 3"), ["slots", "need"]),
                        (good.replace("method: passphrase", "method: shares, need: 4, of: 3"), ["slots", "more shares"]),
                        (good.replace("method: passphrase", "method: shares, need: 2, of: 33"), ["of", "32"]),
                        (good.replace("method: passphrase", "method: token"), ["slots", "uri"]),
                        (good.replace("method: passphrase", "method: passphrase, pin: x"), ["slots", "pin"]),
                        (good.replace("method: passphrase", 'method: token, uri: "pkcs11:object=a?pin-value=1"'), ["PIN"]),
                        (good.replace("method: passphrase", 'method: credential, name: "a b"'), ["name"]),
                        (good.replace(ALL, "[king]"), [r"keyd\.yaml:\d+", "peers"]),
                        (good.replace("'0666'", "'0888'"), ["socket_mode"]),
                        (good + "limits: {connections: 0}\n", ["connections"])):
        with open(k.conf, "w") as f:
            f.write(text)
        for option in ("-n", "-d"):
            run = subprocess.run([*argv, "-n"] if option == "-n" else argv, capture_output=True, text=True,
                                 preexec_fn=lambda: os.setuid(k.uid), timeout=20)
            assert run.returncode == 78, run.stderr
            for want in wants:
                assert re.search(want, run.stderr), (want, run.stderr)
    with open(k.conf, "w") as f:
        f.write(good)
    assert subprocess.run([*argv, "-n"]).returncode == 0
    assert not os.path.exists(k.state)
    assert subprocess.run([argv[0], "-x"], capture_output=True).returncode == 64
    assert subprocess.run([argv[0], "-c", k.conf, "more"], capture_output=True).returncode == 64
    assert subprocess.run([argv[0], "-n", "-c", k.conf + ".none"], capture_output=True).returncode == 78


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_root_is_given_up_or_refused(place, parts):
    k = Keyd(place, extra=f'user: "{harness.UID}"\n')
    k.process.uid = None
    parts.append(k.start())
    with open(f"/proc/{k.process.pid}/status") as f:
        status = f.read()
    assert re.search(rf"Uid:\s+{harness.UID}\s+{harness.UID}\s+{harness.UID}\s+{harness.UID}", status)
    assert re.search(r"Groups:\s*(\d+\s*)?$", status, re.M)
    assert re.search(r"CapEff:\s+0+$", status, re.M)
    k.kill()
    for user in ("no-such-user-here", "root", "0"):
        text = re.sub("^user:.*$", f'user: "{user}"', open(k.conf).read(), flags=re.M)
        with open(k.conf, "w") as f:
            f.write(text)
        run = subprocess.run(k.process.argv, capture_output=True, text=True, timeout=20)
        assert run.returncode == 78 and "event=start-refused" in run.stderr


def test_a_user_that_is_not_installed_is_a_warning(place, parts):
    k = Keyd(place, peers={os.getuid(): ALL, "no-such-user-here": "milter"}).start()
    parts.append(k)
    assert k.process.events("peer-unknown")[0][3]["user"] == "no-such-user-here"
    with k.officer() as o:
        assert o.state == "empty"


def test_a_socket_s_mode_and_an_old_socket(place, parts):
    k = Keyd(place)
    with socket.socket(socket.AF_UNIX) as old:  # left by a crash: nobody answers
        old.bind(k.use)
    os.chown(k.use, k.uid, k.uid)
    parts.append(k.start())
    assert os.stat(k.use).st_mode & 0o777 == 0o666
    assert k.stop() == 0
    assert not os.path.exists(k.use) and not os.path.exists(k.admin)


def test_the_log_holds_no_secret(ready):
    with ready.officer() as o, ready.relay() as r:
        o.mac("default", "campaign/1", b"the-data")
        sealed = r.fields("seal-fields", "default", "cred", [(b"the-aad", b"the-password")])
        r.fields("open-fields", "default", "cred", [(b"the-aad", sealed[0][1])])
        o.lock()
        with refused(wire.E_AUTH):
            o.unseal("passphrase", "wrong-passphrase")
    log = ready.process.log_text()
    for word in (PHRASE, "the-data", "the-aad", "the-password", "wrong-passphrase"):
        assert word not in log


def test_mac_is_hmac_of_label_zero_data(ready):
    """Two labels and data that run into each other are not the same."""
    with ready.officer() as o:
        a = o.mac("default", "campaign/1", b"2data")
        b = o.mac("default", "campaign/12", b"data")
        assert a != b and len(a) == len(hmac.new(b"k", b"", hashlib.sha256).digest())
