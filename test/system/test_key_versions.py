# SPDX-License-Identifier: Apache-2.0
"""Versions of signing keys: made, certified, activated, destroyed; live TLS through all of it, keyd killed and locked in
between."""
import base64
import os
import re
import smtplib
import ssl
import subprocess
import threading
import time

import harness
import keyd_wire as wire
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from keyd_wire import Client, Refused
from test_keyd import Keyd, refused

FILE = "[{method: file, path: root.key}]"


def der(public):
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def of_certificate(path):
    with open(path, "rb") as f:
        return der(x509.load_pem_x509_certificate(f.read()).public_key())


@pytest.fixture
def keyd(place, parts):
    """Overlap of a second: what is retired is soon destroyed."""
    k = Keyd(place, slots=FILE, extra="rotation: {overlap: 1s, jwt: 3s}\n").start()
    parts.append(k)
    with k.officer() as o:
        o.init(("file",))
        o.customer_add("default")
    return k


@pytest.fixture
def sealpost(sealpost):
    """A set whose keyd also knows who runs the test."""
    if os.getuid() != sealpost.uid:
        everything = f'peers:\n  "{os.getuid()}": [relay, officer, operator, auditor]\n'
        sealpost.write("keyd.yaml", sealpost.read("keyd.yaml").replace("peers:\n", everything))
    return sealpost


class Callers:
    """Sessions with STARTTLS, one after the other in several threads; each must succeed. seen: public keys of the
    certificates, by when the handshake ended."""

    def __init__(self, port, threads=4):
        self.port, self.seen, self.failures, self.going = port, [], [], True
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        while self.going:
            try:
                with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as s:
                    s.starttls(context=context)
                    shown = s.sock.getpeercert(binary_form=True)
                    assert s.noop()[0] == 250
                self.seen.append((time.monotonic(), der(x509.load_der_x509_certificate(shown).public_key())))
            except Exception as e:  # whatever it is, it is a failure
                self.failures.append(repr(e))

    def more(self, count=40, key=None):
        """Until so many more succeeded; all of them with that key, if given."""
        start = len(self.seen)
        harness.wait_for(f"{count} handshakes", lambda: self.failures or len(self.seen) >= start + count, 30)
        assert not self.failures
        if key:
            harness.wait_for("the key to be seen", lambda: self.seen[-1][1] == key)

    def stop(self):
        self.going = False
        for t in self.threads:
            t.join(30)


def test_a_rotation_of_the_tls_key_breaks_no_handshake(sealpost, parts):
    sealpost.configure(['{domain: "*", to: "127.0.0.1:1", tls: none}'])
    sealpost.start()
    admin = sealpost.path("run", "keyd-admin.sock")
    old = of_certificate(sealpost.path("relay.pem"))
    callers = Callers(sealpost.smtp_port)
    parts.append(callers)
    callers.more(key=old)
    for version in (2, 3):
        said = sealpost.cli("key", "rotate", "tls/relay", check=True).stdout
        assert f"tls/relay#{version} is the next version" in said
        callers.more()
        assert sealpost.cli("key", "rotate", "tls/relay").returncode == 75  # one at a time
        sealpost.cli("key", "certify", "tls/relay", "--hostname", sealpost.hostname, "--out",
                     sealpost.path("relay.pem"), check=True)
        new = of_certificate(sealpost.path("relay.pem"))
        assert new != old
        callers.more(key=old)  # relay has not read it yet
        reloads = len(sealpost.relay.events("reloaded"))
        sealpost.relay.signal(1)
        harness.wait_for("relay to reload", lambda: len(sealpost.relay.events("reloaded")) > reloads)
        callers.more(key=new)  # the next version signs for its certificate before it is active
        with Client(admin, "officer") as o:
            assert o.versions("tls/relay") == {**{v: "retired" for v in range(1, version - 1)}, version - 1: "active",
                                               version: "next"}
        said = sealpost.cli("key", "rotate", "tls/relay", "--activate", check=True).stdout
        assert f"tls/relay#{version} is active" in said
        callers.more(key=new)
        with Client(admin, "officer") as o:
            assert o.public_key("tls/relay")[1] == new
            assert o.public_key(f"tls/relay#{version - 1}")[1] == old
            with refused(wire.E_DENIED):
                o.sign(f"tls/relay#{version - 1}", "ES256", b"message")
        old = new
    # keyd away and back: which version it is, is found again
    sealpost.keyd.stop()
    sealpost.wait_keyd("away")
    callers.stop()
    sealpost.keyd.start()
    sealpost.wait_keyd()
    callers = Callers(sealpost.smtp_port)
    parts.append(callers)
    callers.more(key=old)
    callers.stop()
    assert not callers.failures
    keys = sealpost.cli("key", "list", check=True).stdout.splitlines()
    assert keys[0].split() == ["LABEL", "VERSION", "TYPE", "STATE", "CREATED"]
    assert [line.split()[:4] for line in keys[1:] if line.startswith("tls/")] == [
        ["tls/relay", "1", "ec-p256", "retired"], ["tls/relay", "2", "ec-p256", "retired"],
        ["tls/relay", "3", "ec-p256", "active"]]


def test_relay_serves_a_next_version_from_its_start(sealpost, parts):
    """Also when keyd comes after it."""
    sealpost.start("keyd")
    sealpost.cli("key", "rotate", "tls/relay", check=True)
    sealpost.cli("key", "certify", "tls/relay", "--hostname", sealpost.hostname, "--out", sealpost.path("relay.pem"),
                 check=True)
    sealpost.keyd.stop()
    sealpost.configure(['{domain: "*", to: "127.0.0.1:1", tls: none}'])
    sealpost.relay.start()
    sealpost.keyd.start()
    sealpost.wait_keyd()
    callers = Callers(sealpost.smtp_port)
    parts.append(callers)
    callers.more(key=of_certificate(sealpost.path("relay.pem")))
    callers.stop()
    assert not callers.failures and not sealpost.relay.events("tls-key-unknown")


def test_a_certificate_of_another_key_is_refused_at_reload_and_told_at_start(sealpost, parts):
    sealpost.configure(['{domain: "*", to: "127.0.0.1:1", tls: none}'])
    sealpost.start()
    good = sealpost.read("relay.pem")
    cert, _ = harness.self_signed(sealpost.dir, "stranger.example.test")
    with open(cert) as f:
        sealpost.write("relay.pem", f.read())
    sealpost.relay.signal(1)
    refusal = harness.wait_for("the refusal", lambda: sealpost.relay.events("reload-refused"))
    assert "no version" in refusal[0][3]["why"]
    sealpost.relay.stop()
    sealpost.relay.start()
    assert len(sealpost.relay.events("tls-key-unknown")) == 1
    sealpost.write("relay.pem", good)
    sealpost.relay.signal(1)
    harness.wait_for("the reload", lambda: sealpost.relay.events("reloaded"))
    callers = Callers(sealpost.smtp_port)
    parts.append(callers)
    callers.more()
    callers.stop()
    assert not callers.failures


def test_a_request_for_a_certificate_verifies(sealpost):
    sealpost.start("keyd")
    sealpost.cli("key", "rotate", "tls/relay", check=True)
    path = sealpost.path("relay.csr")
    sealpost.cli("key", "certify", "tls/relay", "--hostname", "mail.example", "--csr", "--out", path, check=True)
    run = subprocess.run(["openssl", "req", "-in", path, "-noout", "-verify", "-text"], capture_output=True, text=True)
    assert run.returncode == 0 and "DNS:mail.example" in run.stdout and "CN = mail.example" in run.stdout
    with open(path, "rb") as f:
        request = x509.load_pem_x509_csr(f.read())
    assert request.is_signature_valid
    with Client(sealpost.path("run", "keyd-admin.sock"), "officer") as o:
        assert der(request.public_key()) == o.public_key("tls/relay#2")[1]
    assert sealpost.cli("key", "certify", "tls/other", "--out", path).returncode == 1


@pytest.mark.parametrize("kind", ["rsa-2048", "ed25519"])
def test_the_dns_text_of_a_new_dkim_key(sealpost, kind):
    sealpost.start("keyd")
    with Client(sealpost.path("run", "keyd-admin.sock"), "officer") as o:
        o.key_add("dkim/example.test/s1", kind)
        said = sealpost.cli("key", "rotate", "dkim/example.test/s1", check=True).stdout
        text = re.search(r'"v=DKIM1; k=(\w+); p=([A-Za-z0-9+/=]+)"', said)
        spki = o.public_key("dkim/example.test/s1#2")[1]
    public = base64.b64decode(text[2], validate=True)
    if kind == "ed25519":
        assert text[1] == "ed25519" and public == spki[-32:]
    else:
        assert text[1] == "rsa" and public == spki


def test_retired_keys_leave_the_disk(keyd):
    with keyd.officer() as o:
        o.key_add("tls/relay", "ec-p256")
        o.key_add("audit/log", "ed25519")
        public = o.public_key("audit/log")
        wrapped = [w for (label, _), w in keyd.read_store().wrapped.items() if label in ("tls/relay", "audit/log")]
        files = [keyd.file(n) for n in ("store.snap", "store.journal")]
        assert len(wrapped) == 2 and len(harness.find_bytes(files, wrapped)) == 2
        for label in ("tls/relay", "audit/log"):
            o.rotate("key", label)
            o.rotate("key", label, 1)
        harness.wait_for("both to be destroyed", lambda: [o.versions(label)[1] for label in ("tls/relay", "audit/log")]
                         == ["destroyed"] * 2)
        harness.wait_for("the store to be written without them", lambda: not harness.find_bytes(files, wrapped))
        assert o.public_key("audit/log#1") == public  # what it signed can be verified for ever
        with refused(wire.E_DENIED):
            o.sign("tls/relay#1", "ES256", b"x")
    keyd.kill()
    keyd.start()
    with keyd.officer() as o:
        assert o.versions("audit/log") == {1: "destroyed", 2: "active"} and o.public_key("audit/log#1") == public


def test_token_keys_rotate_by_themselves(keyd):
    with keyd.officer() as o:
        o.key_add("jwt/api", "ed25519")
        harness.wait_for("a next version", lambda: o.versions("jwt/api").get(2) == "next")
        assert o.versions("jwt/api") == {1: "active", 2: "next"}
        told = o.public_key("jwt/api#2")
        harness.wait_for("it to be active", lambda: o.versions("jwt/api")[2] == "active")
        assert o.public_key("jwt/api") == told
        harness.wait_for("the old one to be destroyed", lambda: o.versions("jwt/api")[1] == "destroyed")
        rows = o.schedule("keys")
        assert [(r["label"], r["action"]) for r in rows if r["state"] == "active"][0][1] in ("make", "activate")
    assert [e[3]["version"] for e in keyd.process.events("key-activated")] == ["2"]


def lawful(versions):
    """At most one next, exactly one active, numbers without gaps."""
    states = list(versions.values())
    return (states.count("active") == 1 and states.count("next") <= 1 and
            sorted(versions) == list(range(1, len(versions) + 1)))


def test_kill_9_at_any_step(place, parts):
    """The request is on its way when keyd dies: after a restart it was carried out, or it was not."""
    k = Keyd(place, slots=FILE).start()
    parts.append(k)
    with k.officer() as o:
        o.init(("file",))
        o.key_add("tls/relay", "ec-p256")
    seen = set()
    for i in range(24):
        o = k.officer()
        before = o.versions("tls/relay")
        flag = int("next" in before.values())
        o.send("rotate", bytes([3]) + wire.b8(b"tls/relay") + bytes([flag]))
        time.sleep((i % 12) ** 2 * 0.0005)  # not to be safe, but to hit another moment each time
        k.kill()
        o.close()
        store = k.read_store()  # whole, whatever it holds
        k.start()
        with k.officer() as o, k.relay() as r:
            after = o.versions("tls/relay")
            assert lawful(after) and after == {n: s for (_, n), (s, _) in store.versions.items()}
            assert len(after) in (len(before), len(before) + 1 - flag)
            spki = serialization.load_der_public_key(o.public_key("tls/relay")[1])
            spki.verify(r.sign("tls/relay", "ES256", b"m"), b"m", ec.ECDSA(hashes.SHA256()))
            seen.add((flag, after == before))
    assert len(seen) >= 2  # it was not always too early, nor always too late


def test_a_lock_in_the_middle(place, parts):
    """A key is being made when keyd is locked: it is not there, and nothing else has changed."""
    k = Keyd(place, slots=FILE).start()
    parts.append(k)
    with k.officer() as o, k.officer() as other:
        o.init(("file",))
        o.key_add("tls/rsa", "rsa-2048")
        answers = []
        for _ in range(5):
            request = other.send("rotate", bytes([3]) + wire.b8(b"tls/rsa") + bytes([0]))
            o.lock()
            answers.append(other.answer(request).status)
            o.unseal("file")
            if answers[-1] == wire.OK:
                o.rotate("key", "tls/rsa", 1)
            assert lawful(o.versions("tls/rsa")) and o.sign("tls/rsa", "RS256", b"x")
        assert wire.E_LOCKED in answers and set(answers) <= {wire.E_LOCKED, wire.OK}


def test_only_an_officer_rotates(keyd):
    with keyd.officer() as o:
        o.key_add("tls/relay", "ec-p256")
    for path, role in ((keyd.use, "relay"), (keyd.use, "milter"), (keyd.admin, "operator"), (keyd.admin, "auditor")):
        with Client(path, role) as c:
            for what, name, flags in (("key", "tls/relay", 0), ("key", "tls/relay", 1), ("dek", "default", 0)):
                with refused(wire.E_DENIED):
                    c.rotate(what, name, flags)
    with keyd.officer() as o:
        assert o.versions("tls/relay") == {1: "active"} and len(o.customer_keys("default")) == 1
        with pytest.raises(Refused):
            o.rotate("key", "tls/relay", 1)  # nothing to activate
