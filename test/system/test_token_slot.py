# SPDX-License-Identifier: Apache-2.0
"""Slots on a token, through keyd: made, tested, opened by themselves and by people, and all that can go wrong with one."""
import os
import re
import signal
import struct
import time

import harness
import keyd_wire as wire
import pytest
import test_slots
import token_hsm as hsm
from keyd_store import Store
from keyd_wire import Client
from test_keyd import PHRASE, Keyd, image_holds, refused
from token_hsm import PIN, SoftHsm

pytestmark = pytest.mark.skipif(not (hsm.available() and hsm.helper()),
                                reason="needs SoftHSM2, OpenSC and a build with p11-kit")

FILE, PHRASE_SLOT = "{method: file, path: root.key}", "{method: passphrase}"


class TokenKeyd(Keyd):
    """A keyd whose third slot is on a token."""

    def __init__(self, place, uri, env=None, pin=True, timeout="10s"):
        self.uri = uri
        self.pin = os.path.join(place, "token.pin")
        slots = ", ".join([FILE, PHRASE_SLOT, f'{{method: token, uri: "{uri}"' + (f", pin: {self.pin}" if pin else "") + "}"])
        self.extra = f"token_modules: [{hsm.softhsm_module()}, {hsm.fake_module()}]\ntoken_timeout: {timeout}\n"
        super().__init__(place, slots=f"[{slots}]", env=env, extra=self.extra)
        self.write_pin(PIN)

    def write_pin(self, pin):
        with open(self.pin, "w") as f:
            f.write(pin + "\n")
        os.chmod(self.pin, 0o400)
        os.chown(self.pin, self.uid, self.uid)

    def slots(self):
        with self.officer() as o:
            return {s["method"]: s["id"] for s in o.status()["slots"]}

    def helper(self):
        child, = [p for p, parent in hsm.helper_processes().items() if parent == self.process.pid]
        return child

    def why(self):
        """What the log says about the last failure of a slot."""
        return self.process.events("slot-failed")[-1][3]["why"]


@pytest.fixture
def token(place):
    return SoftHsm(place)


@pytest.fixture
def keyd(place, parts, token):
    """READY with all three slots and a customer."""
    k = TokenKeyd(place, token.uri("root"), token.env)
    parts.append(k.start())
    with k.officer() as o:
        o.init(("file",), ("passphrase", PHRASE), ("token",))
        o.customer_add("default")
    return k


def test_a_token_alone_opens_the_same_root(place, parts, token):
    """Made with file and passphrase; the token is added, the others are removed; what was sealed before opens after."""
    k = TokenKeyd(place, token.uri("root"), token.env)
    parts.append(k.start())
    with k.officer() as o, k.relay() as r:
        o.init(("file",), ("passphrase", PHRASE))
        o.customer_add("default")
        root = k.read_store().root
        sealed = r.fields("seal-fields", "default", "field", [(b"aad", b"value")])[0][1]
        assert token.objects() == []
        number, shares = o.slot_add(("token",))
        assert (number, shares) == (3, []) and [key["label"] for key in token.objects()] == ["root"]
        o.slot_test(number)
        o.slot_test(number, PIN)
        slot, = [s for s in o.status()["slots"] if s["method"] == "token"]
        assert slot["id"] == 3 and slot["safe"] and slot["offline"]
        o.slot_remove(1)
        o.slot_remove(2)
        assert [s["method"] for s in o.status()["slots"]] == ["token"]
        with refused(wire.E_STATE):
            o.slot_remove(3)
        for secret in (("passphrase", PHRASE), ("file", "")):
            o.lock()
            with refused(wire.E_NOTFOUND if secret[0] == "file" else wire.E_AUTH):
                o.unseal(*secret)
            o.unseal("token")
        assert r.fields("open-fields", "default", "field", [(b"aad", sealed)]) == [(0, b"value")]
    assert k.stop() == 0
    os.unlink(k.file("root.key"))
    k.start()
    with k.officer() as o, k.relay() as r:
        assert o.state == "ready"
        assert r.fields("open-fields", "default", "field", [(b"aad", sealed)]) == [(0, b"value")]
    # The store opens outside of keyd too, with the token's own answer, and to the same root.
    assert k.stop() == 0
    store, slot_key = read_with_token(k, token, place, parts)
    assert store.root == root
    secrets = {"root": root, "slot key": slot_key, "PIN": PIN.encode()}
    state = [os.path.join(folder, name) for folder, _, names in os.walk(k.state) for name in names]
    assert k.file("store.snap") in state
    assert harness.find_bytes([*token.files(), *state, k.process.log], list(secrets.values())) == []
    key, = token.objects()
    assert key["Access"] == "sensitive, always sensitive, never extractable, local"


def read_with_token(k, token, place, parts):
    """The store of a keyd that is down, opened by the helper at our own request; and the slot's key."""
    with open(k.file("store.snap"), "rb") as f:
        snapshot = f.read()
    with open(k.file("store.journal"), "rb") as f:
        journal = f.read()
    at = snapshot.index(k.uri.encode()) - 2
    blob_at = at + 2 + len(k.uri)
    kind, n = struct.unpack_from(">BH", snapshot, blob_at)
    blob = snapshot[blob_at + 3:blob_at + 3 + n]
    h = hsm.Helper(place, token.env)
    parts.append(h)
    answer = h.ask(hsm.UNWRAP, k.uri, data=blob, kind=kind, context=snapshot[20:36] + struct.pack(">I", 3))
    assert answer.why == hsm.OK
    return Store(snapshot, journal, answer.data, method="token"), answer.data


def test_init_makes_a_slot_on_a_token(keyd, token):
    assert keyd.slots() == {"file": 1, "passphrase": 2, "token": 3}
    assert len(token.objects()) == 1
    with keyd.officer() as o:
        assert not any("token" in w for w in o.status()["warnings"])
        o.slot_remove(1)
    assert keyd.stop() == 0
    keyd.start()
    with keyd.officer() as o:
        assert o.state == "ready"


def test_a_person_gives_the_pin_that_keyd_does_not_have(place, parts, token):
    k = TokenKeyd(place, token.uri("root"), token.env, pin=False)
    parts.append(k.start())
    with k.officer() as o:
        o.init(("file",), ("passphrase", PHRASE))
        with refused(wire.E_NOTFOUND):
            o.slot_add(("token",))  # no PIN from anybody
        o.slot_add(("token", PIN))
        o.slot_remove(1)
    assert k.stop() == 0
    k.start()
    with k.officer() as o:
        assert o.state == "locked"
        with refused(wire.E_NOTFOUND):
            o.unseal("token")
        with refused(wire.E_AUTH):
            o.unseal("token", "00000000")
        with refused(wire.E_BUSY):  # who guesses waits
            o.unseal("token", PIN)
        harness.wait_for("the wait after a wrong PIN to end", lambda: opens(o, "token", PIN), 10, 0.1)
        assert o.push() == "ready"
    assert k.process.events("unseal-failed")[-1][3]["method"] == "token"
    assert PIN not in k.process.log_text() and "00000000" not in k.process.log_text()


def opens(o, *secret):
    try:
        o.unseal(*secret)
        return True
    except wire.Refused as e:
        assert e.status == wire.E_BUSY
        return False


@pytest.mark.parametrize("fault, status, why", [
    ("pin", wire.E_AUTH, "the PIN is wrong"),
    ("gone", wire.E_NOTFOUND, "no token matches the URI"),
    ("key", wire.E_NOTFOUND, "no key on the token matches the URI"),
    ("helper", wire.E_INTERNAL, "the token helper is not there")])
def test_a_token_that_does_not_open_leaves_the_other_slots(keyd, token, fault, status, why):
    with keyd.officer() as o:
        o.slot_remove(1)
        o.lock()
        if fault == "pin":
            keyd.write_pin("00000000")
        elif fault == "gone":
            token.hide()
        elif fault == "key":
            token.tool("--delete-object", "--type", "secrkey", "--label", "root")
        else:
            os.kill(keyd.helper(), signal.SIGKILL)
        with refused(status):
            o.unseal("token")
        assert keyd.why() == why
        assert o.status()["state"] == "locked"
        o.unseal("passphrase", PHRASE)
        assert o.status()["state"] == "ready"
        # The token counts: a second try of a PIN from a file is left to people.
        with refused(wire.E_BUSY if fault == "pin" else status):
            o.slot_test(3)
    keyd.stop()
    keyd.start()
    with keyd.officer() as o:
        # A new helper is there; the other faults stay.
        assert o.state == ("ready" if fault == "helper" else "locked")
        if fault == "gone":
            token.show()
            o.unseal("token")
        elif fault == "pin":
            keyd.write_pin(PIN)
            with refused(wire.E_BUSY):
                o.unseal("token")
            o.unseal("token", PIN)  # a right one ends that
            o.lock()
            o.unseal("token")


def fake_keyd(place, parts, pin="1234", label="good", timeout="1s"):
    """Slots on the module of the tests; the token's wrap is made with a good PIN, and then it begins to misbehave."""
    k = TokenKeyd(place, f"pkcs11:token={label};object=key?module-path={hsm.fake_module()}", timeout=timeout)
    k.write_pin("1234")
    parts.append(k.start())
    with k.officer() as o:
        o.init(("file",), ("passphrase", PHRASE), ("token",))
        o.customer_add("default")
        o.key_add("tls/relay", "ec-p256")
        o.slot_remove(1)
    k.write_pin(pin)
    return k


@pytest.mark.parametrize("pin, status, why", [
    ("hang", wire.E_INTERNAL, "the module took too long and was ended"),
    ("crash", wire.E_INTERNAL, "the module crashed"),
    ("full", wire.E_BUSY, "the token has locked its PIN: its officer must set a new one"),
    ("odd", wire.E_INTERNAL, "the token reports an error"),
    ("liar", wire.E_AUTH, "")])
def test_a_module_that_misbehaves_costs_keyd_nothing(place, parts, pin, status, why):
    k = fake_keyd(place, parts, pin)
    with k.officer() as o, k.relay() as r:
        o.lock()
        request = o.send("unseal", wire.slot("token"))
        # The loop goes on meanwhile.
        assert r.status()["state"] == "locked"
        assert o.answer(request).status == status
        assert k.why() == why
        if status != wire.E_AUTH:  # nor does a person come further, or pay for it with a wait
            with refused(status):
                o.unseal("token", pin)
            assert k.process.events("unseal-not-tried")[-1][3]["why"] == why
        o.unseal("passphrase", PHRASE)
        request = o.send("slot-test", struct.pack(">I", 3) + wire.b16(b""))
        assert r.sign("tls/relay", "ES256", b"x")
        assert o.answer(request).status == status
    # At start too it is one slot that did not open.
    assert k.stop() == 0
    k.start()
    with k.officer() as o:
        assert o.state == "locked"
        o.unseal("passphrase", PHRASE)


def test_keyd_stops_at_once_while_a_token_hangs(place, parts):
    k = fake_keyd(place, parts, "hang", timeout="10m")
    with k.officer() as o, Client(k.admin, "operator") as other:
        o.lock()
        o.send("unseal", wire.slot("token"))
        helper = k.helper()
        harness.wait_for("the worker", lambda: helper in hsm.helper_processes().values())
        with refused(wire.E_BUSY):  # one secret at a time
            other.unseal("passphrase", PHRASE)
        begun = time.monotonic()
        assert k.stop() == 0
        assert time.monotonic() - begun < 5
    harness.wait_for("helper and worker to be gone", lambda: helper not in hsm.helper_processes() and
                     helper not in hsm.helper_processes().values())


def test_a_pin_from_a_file_leaves_the_last_tries_to_people(place, parts):
    """A token that counts wrong tries must not be locked by a keyd that starts again and again."""
    k = TokenKeyd(place, f"pkcs11:token=low;object=key?module-path={hsm.fake_module()}", timeout="10s")
    k.write_pin("1234")
    parts.append(k.start())
    with k.officer() as o:
        o.init(("file",), ("passphrase", PHRASE))
        o.slot_add(("token", "1234"))
        o.slot_remove(1)
        o.lock()
        with refused(wire.E_BUSY):
            o.unseal("token")
        assert k.why() == "few tries of the PIN are left: they are kept for people"
        o.unseal("token", "1234")


@pytest.mark.parametrize("mode", ["open", "link", "empty", "absent"])
def test_a_pin_file_that_is_not_private_is_not_used(keyd, mode):
    if mode == "open":
        os.chmod(keyd.pin, 0o444)
    elif mode == "link":
        os.rename(keyd.pin, keyd.pin + ".old")
        os.symlink(keyd.pin + ".old", keyd.pin)
    elif mode == "empty":
        os.truncate(keyd.pin, 0)
    else:
        os.unlink(keyd.pin)
    with keyd.officer() as o:
        o.slot_remove(1)
        o.lock()
        with refused(wire.E_NOTFOUND):
            o.unseal("token")
        assert keyd.process.events("slot-failed")[-1][3]["error"] == {
            "open": "not permitted", "link": "not permitted", "empty": "malformed", "absent": "not found"}[mode]
        o.unseal("token", PIN)


def test_a_second_slot_on_the_token_has_its_own_wrap(keyd, token):
    with keyd.officer() as o:
        number, _ = o.slot_add(("token",))
        assert number == 4 and len(token.objects()) == 1
        for gone in (1, 2, 3):
            o.slot_remove(gone)
        o.lock()
        o.unseal("token")
    with open(keyd.file("store.snap"), "rb") as f:
        assert f.read().count(keyd.uri.encode()) == 1


def test_a_wrong_pin_costs_one_try_however_many_slots_the_token_has(keyd):
    with keyd.officer() as o:
        o.slot_add(("token",))
        o.slot_add(("token",))
        o.lock()
        with refused(wire.E_AUTH):
            o.unseal("token", "00000000")
    assert keyd.process.log_text().count("event=token-error call=C_Login") == 1


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to read the memory")
def test_the_helper_keeps_nothing_of_a_request(keyd, token, place, parts):
    helper = keyd.helper()
    with keyd.officer() as o:
        for _ in range(3):
            o.slot_test(3)
            o.slot_test(3, PIN)
        with open(keyd.file("root.key"), "rb") as f:
            root_key = f.read()
        root = keyd.read_store().root
        assert image_holds(helper, {"uri": b"softhsm"}) == {"uri"}  # the search does find
        assert image_holds(helper, {"PIN": PIN.encode(), "root": root, "key": root_key}) == set()
        assert image_holds(keyd.process.pid, {"PIN": PIN.encode(), "root": root}) == set()
    keyd.stop()
    _, slot_key = read_with_token(keyd, token, place, parts)
    keyd.start()
    with keyd.officer() as o:
        o.slot_test(3)
        assert image_holds(keyd.helper(), {"PIN": PIN.encode(), "slot key": slot_key}) == set()
        assert image_holds(keyd.process.pid, {"PIN": PIN.encode(), "slot key": slot_key}) == set()


def test_the_command_makes_tests_and_opens_slots_on_a_token(place, parts, token):
    s = test_slots.Set(place)
    parts.append(s)
    s.keyd.env = token.env
    s.write("keyd.yaml", s.read("keyd.yaml").replace("peers:\n", f'  - {{method: token, uri: "{token.uri("root")}"}}\n'
                                                     "peers:\n", 1) + f"token_modules: [{hsm.softhsm_module()}]\n")
    pin, wrong = s.secret("pin", PIN + "\n"), s.secret("wrong-pin", "00000000\n")
    s.keyd.start()
    run = s.key("slot", "add", "token", "--secret-file", pin)
    assert run.returncode == 0, run.stderr
    number, = re.findall(r"^Slot +(\d+)", run.stdout, re.M)
    assert number == str(s.slots()["token"])
    line, = [line for line in s.key("slot", "list").stdout.splitlines() if "token" in line]
    assert line.split()[0] == number
    assert s.key("slot", "test", number, "--secret-file", pin).returncode == 0
    for method, other in s.slots().items():
        if method != "token":
            assert s.key("slot", "remove", str(other)).returncode == 0
    assert s.key("lock").returncode == 0
    assert s.key("unseal", "--token", "--secret-file", pin).stdout == "keyd is open.\n"
    assert s.key("lock").returncode == 0
    token.hide()
    run = s.key("unseal", "--token", "--secret-file", pin)
    assert run.returncode == 1 and "not there" in run.stderr
    token.show()
    run = s.key("unseal", "--token", "--secret-file", wrong)
    assert run.returncode == 1 and "opens nothing" in run.stderr
    assert s.keyd.events("unseal-failed")[-1][3]["method"] == "token"
    run = s.key("unseal", "--token", "--secret-file", pin)
    assert run.returncode == 75 and "wait" in run.stderr
    harness.wait_for("the wait after a wrong PIN to end", lambda: s.key(
        "unseal", "--token", "--secret-file", pin).returncode == 0, 10, 0.2)
    os.kill([p for p, parent in hsm.helper_processes().items() if parent == s.keyd.pid][0], signal.SIGKILL)
    run = s.key("slot", "test", number, "--secret-file", pin)
    assert run.returncode == 75 and "keyd's log says why" in run.stderr
    assert s.keyd.events("slot-tested")[-1][3]["why"] == "the token helper is not there"
    assert PIN not in s.keyd.log_text()
