# SPDX-License-Identifier: Apache-2.0
"""Who approves campaigns: enrolled by officers, asked for by relay, refused with a reason that the log tells; over crashes at
every step, an older copy of the store, and from the command line."""
import base64
import hashlib
import os
import subprocess
import sys

import harness
import keyd_audit
import keyd_wire as wire
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from keyd_wire import Client, Refused
from test_keyd import Keyd, refused

FILE = "[{method: file, path: root.key}]"
HASH = hashlib.sha256(b"a manifest").digest()
VECTORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors", "seal")
sys.path.insert(0, VECTORS)
import track  # noqa: E402


def der(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def words(head, customer="shop", campaign="spring_sale", version=3, digest=HASH, author="otto", approver="erika"):
    """What is signed, from sealpost-crypto(7)."""
    return (f"{head}\ncustomer {customer}\ncampaign {campaign}\nversion {version}\nhash {digest.hex()}\n"
            f"author {author}\napprover {approver}\n").encode()


class Person:
    def __init__(self, name, key=None):
        self.name, self.key = name, key or ed25519.Ed25519PrivateKey.generate()

    def sign(self, data):
        more = [ec.ECDSA(hashes.SHA256())] if isinstance(self.key, ec.EllipticCurvePrivateKey) else []
        return self.key.sign(data, *more)

    def ask(self, relay, signed=None, **about):
        """relay shows keyd this person's approval; signed: of something else than it is shown for."""
        about = {"approver": self.name, **about}
        over = words("sealpost-approve-1", **(signed if signed is not None else about))
        full = {"customer": "shop", "campaign": "spring_sale", "version": 3, "digest": HASH, "author": "otto", **about}
        return relay.manifest_sign(signature=self.sign(over), **full)


@pytest.fixture
def keyd(place, parts):
    k = Keyd(place, slots=FILE).start()
    parts.append(k)
    with k.officer() as o:
        o.init(("file",))
        o.customer_add("shop")
        o.customer_add("bank")
    return k


@pytest.fixture
def erika(keyd):
    person = Person("erika")
    with keyd.officer() as o:
        o.approver_add("erika", "shop", der(person.key))
    return person


def reasons(k):
    return [fields["why"] for _, _, _, fields in k.process.events("manifest-refused")]


def audited(k):
    """What the audit log says of campaigns; the whole log verifies and has the form of its page."""
    with Client(k.admin, "auditor") as a:
        a.status()
    k.stop()
    found = []
    for _, data in keyd_audit.read(k.file("audit")):
        found += [keyd_audit.check_line(line) for line in data.splitlines()]
    return [line for line in found if line["event"] in ("manifest", "approver")]


def test_an_approval_is_countersigned_for_whoever_has_the_public_key(keyd, erika):
    with keyd.relay() as r, Client(keyd.use, "milter") as m:
        version, signature = erika.ask(r)
        kind, spki = m.public_key("manifest/shop")
        assert (version, kind) == (1, "ed25519")
        key = serialization.load_der_public_key(spki)
        key.verify(signature, words("sealpost-manifest-1"))
        with pytest.raises(InvalidSignature):
            key.verify(signature, words("sealpost-approve-1"))
        assert erika.ask(r) == (version, signature)
        assert m.public_key("manifest/shop#1") == (kind, spki)
        for op, body in (("manifest-sign", b""), ("approvers", b"")):
            with refused(wire.E_DENIED):
                m.call(op, body)
    paul = Person("paul@bank+2", ec.generate_private_key(ec.SECP256R1()))
    with keyd.officer() as o, keyd.relay() as r:
        o.approver_add(paul.name, "*", der(paul.key))
        for customer in ("shop", "bank"):
            paul.ask(r, customer=customer)
        listed = o.approvers()
        assert listed["erika"]["customer"] == "shop" and listed[paul.name]["type"] == "ec-p256"
        assert listed["erika"]["fingerprint"] == hashlib.sha256(der(erika.key)).hexdigest()
        assert base64.b64decode(listed["erika"]["key"]) == der(erika.key)
    assert not reasons(keyd)
    assert [(line["event"], line.get("result", line.get("state"))) for line in audited(keyd)] == [
        ("approver", "added"), ("manifest", "signed"), ("manifest", "signed"), ("approver", "added"),
        ("manifest", "signed"), ("manifest", "signed")]


def test_what_nobody_approved_is_refused_and_the_log_says_why(keyd, erika):
    other = Person("erika")
    good = {"customer": "shop", "approver": "erika"}
    tries = [
        (lambda r: erika.ask(r, author="erika"), "approver-is-author"),
        (lambda r: erika.ask(r, author="ERIKA"), "approver-is-author"),
        (lambda r: erika.ask(r, approver="nobody"), "no-such-approver"),
        (lambda r: erika.ask(r, customer="bank"), "approver-of-another-customer"),
        (lambda r: other.ask(r), "bad-signature"),
        (lambda r: erika.ask(r, signed=good, digest=hashlib.sha256(b"another").digest()), "bad-signature"),
        (lambda r: erika.ask(r, signed=good, version=4), "bad-signature"),
        (lambda r: erika.ask(r, signed=good, campaign="spring_sale2"), "bad-signature"),
        (lambda r: erika.ask(r, signed=good, author="karl"), "bad-signature"),
    ]
    with keyd.relay() as r:
        for ask, _ in tries:
            with refused(wire.E_DENIED):
                ask(r)
        with pytest.raises(Refused):  # the other text, signed by the right one
            r.manifest_sign("shop", "spring_sale", 3, HASH, "otto", "erika", erika.sign(words("sealpost-manifest-1")))
        with refused(wire.E_NOTFOUND):
            r.public_key("manifest/shop")
        erika.ask(r)
    want = [why for _, why in tries] + ["bad-signature"]
    assert reasons(keyd) == want
    assert [line["result"] for line in audited(keyd) if line["event"] == "manifest"] == want + ["signed"]


def test_a_removed_approver_approves_nothing_and_a_locked_keyd_signs_nothing(keyd, erika):
    with keyd.relay() as r, keyd.officer() as o:
        erika.ask(r)
        with refused(wire.E_EXISTS):
            o.approver_add("Erika", "*", der(erika.key))
        o.lock()
        with refused(wire.E_LOCKED):
            erika.ask(r)
        with refused(wire.E_LOCKED):
            r.track_key("shop", 318)
        o.unseal("file")
        erika.ask(r)
        o.approver_remove("erika")
        with refused(wire.E_DENIED):
            erika.ask(r)
        with refused(wire.E_NOTFOUND):
            o.approver_remove("erika")
    keyd.stop()
    keyd.start()
    with keyd.relay() as r, refused(wire.E_DENIED):
        erika.ask(r)


def test_what_was_answered_holds_wherever_keyd_dies(keyd, place, erika):
    """keyd dies at the first, second, third ... step of writing its files: approvers that were answered for are there, one
    whose removal was is not, a tracking key that was given is the same, and the list of the revoked never goes back."""
    keyd.stop()
    before = os.path.join(place, "before")
    subprocess.run(["cp", "-a", keyd.state, before], check=True)
    good, faulty = keyd.process.argv[0], harness.program("keyd_faulty")
    paul, step, died = Person("paul"), 0, True
    while died:
        step += 1
        assert step < 200
        subprocess.run(["rm", "-rf", keyd.state], check=True)
        subprocess.run(["cp", "-a", before, keyd.state], check=True)
        keyd.process.argv[0], keyd.process.env = faulty, {"SEALPOST_FAULT": str(step)}
        done, died = {}, True
        try:
            keyd.start()
            with keyd.relay() as r, keyd.officer() as o:
                done["key"] = r.track_key("shop", 318)
                done["added"] = o.approver_add("paul", "*", der(paul.key)) is None
                done["signed"] = paul.ask(r)
                done["revoked"] = r.checkpoint(1, 1, HASH, name="revoked")
                done["removed"] = o.approver_remove("erika") is None
            assert keyd.stop() == 0
            died = False
        except (harness.Failure, OSError, EOFError, AssertionError):
            harness.wait_for("keyd's death", lambda: not keyd.process.running())
        keyd.kill()
        keyd.process.argv[0], keyd.process.env = good, None
        keyd.start()
        with keyd.relay() as r, keyd.officer() as o:
            names = set(o.approvers())
            assert "paul" in names or "added" not in done
            assert "erika" not in names or "removed" not in done
            if "key" in done:
                assert r.track_key("shop", 318) == done["key"]
            if "signed" in done:
                assert paul.ask(r) == done["signed"]
            if "revoked" in done:
                assert r.checkpoint_last("revoked").digest == HASH
        assert keyd.stop() == 0
    assert step > 8 and len(done) == 5


def test_after_an_accepted_older_store_what_came_later_is_gone(keyd, place, erika):
    """A removal that an older copy of the store does not know: keyd says that the copy is old before it serves it."""
    keyd.stop()
    older = os.path.join(place, "older")
    subprocess.run(["cp", "-a", keyd.state, older], check=True)
    keyd.start()
    with keyd.relay() as r, keyd.officer() as o:
        r.checkpoint(1, 1, HASH, name="revoked")
        o.approver_remove("erika")
    keyd.stop()
    for name in ("store.snap", "store.journal"):
        subprocess.run(["cp", "-a", os.path.join(older, name), keyd.file(name)], check=True)
    keyd.start()
    with keyd.relay() as r:
        with refused(wire.E_LOCKED):
            erika.ask(r)
        with refused(wire.E_LOCKED):
            r.checkpoint_last("revoked")
    assert keyd.process.events("store-rolled-back")


def test_with_a_customer_end_its_tokens_and_its_signatures_stay(keyd, erika):
    with keyd.relay() as r, keyd.officer() as o:
        _, signature = erika.ask(r)
        first, other = r.track_key("shop", 318), r.track_key("bank", 318)
        audience = r.audience_key("bank")
        assert len(first) == 32 and first != other and r.track_key("shop", 319) != first
        with Client(keyd.use, "milter") as m:
            assert m.track_key("shop", 318) == first
            assert m.audience_key("bank") == audience != r.audience_key("shop")
        o.shred("shop")
        for ask in (lambda: r.track_key("shop", 318), lambda: r.audience_key("shop"), lambda: erika.ask(r)):
            with refused(wire.E_GONE):
                ask()
        assert r.track_key("bank", 318) == other == track.key_of_epoch(keyd.read_store().tracks["bank"], 318)
        assert audience == track.key_of_audience(keyd.read_store().tracks["bank"])
        _, spki = r.public_key("manifest/shop#1")
        serialization.load_der_public_key(spki).verify(signature, words("sealpost-manifest-1"))
        assert [v.state for v in r.key_versions("manifest/shop")] == ["destroyed"]


def test_the_page_s_vectors_are_what_its_second_implementation_writes():
    r = subprocess.run([sys.executable, os.path.join(VECTORS, "track.py"), "--check"], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr


def test_approvers_from_the_command_line(sealpost):
    key, phrase = os.path.join(sealpost.prefix, "erika.key"), os.path.join(sealpost.prefix, "phrase")

    def cli(*args):
        return sealpost.cli("approver", *args)

    with open(phrase, "w") as f:
        f.write("correct horse\n")
    os.chmod(phrase, 0o600)
    os.chown(phrase, sealpost.uid, sealpost.uid)
    r = cli("keygen", key, "--passphrase-file", phrase)
    assert r.returncode == 0 and f"{key}.pub" in r.stdout, r.stderr
    assert os.stat(key).st_mode & 0o777 == 0o600
    with open(key, "rb") as f:
        private = f.read()
    assert b"ENCRYPTED" in private
    loaded = serialization.load_pem_private_key(private, b"correct horse")
    with pytest.raises(ValueError):
        serialization.load_pem_private_key(private, b"wrong horse")
    assert cli("keygen", key, "--no-passphrase").returncode == 64
    with open(key, "rb") as f:
        assert f.read() == private
    sealpost.start("keyd")
    r = cli("list")
    assert r.returncode == 0 and "Nobody can approve" in r.stdout, r.stderr
    r = cli("add", "erika", "--customer", "default", "--key", key)
    assert r.returncode == 64 and "private key" in r.stderr
    assert cli("add", "erika", "--customer", "nowhere", "--key", key + ".pub").returncode == 1
    assert cli("add", "er ika", "--customer", "default", "--key", key + ".pub").returncode == 64
    r = cli("add", "erika", "--customer", "default", "--key", key + ".pub")
    assert r.returncode == 0, r.stderr
    assert cli("add", "erika", "--customer", "default", "--key", key + ".pub").returncode == 1
    r = cli("list")
    fingerprint = hashlib.sha256(der(loaded)).hexdigest()
    assert "erika" in r.stdout and "default" in r.stdout and fingerprint[:16] in r.stdout
    assert fingerprint in cli("list", "--json").stdout
    assert cli("remove", "erika").returncode == 0 and cli("remove", "erika").returncode == 1
    assert cli("frobnicate").returncode == 64
