# SPDX-License-Identifier: Apache-2.0
"""keyd signs how far relay's ledger is: each number once, over crashes at every step of writing, and after an older copy
of its store."""
import hashlib
import os
import shutil
import subprocess

import harness
import keyd_wire as wire
import pytest
from cryptography.hazmat.primitives import serialization
from keyd_wire import Refused
from test_keyd import Keyd, refused

FILE = "[{method: file, path: root.key}]"


def digest(n):
    return hashlib.sha256(b"%d" % n).digest()


def verify(spki, signature, counter, rows, hashed):
    key = serialization.load_der_public_key(spki)
    key.verify(signature, wire.checkpoint_text(counter, rows, hashed))


@pytest.fixture
def keyd(place, parts):
    k = Keyd(place, slots=FILE).start()
    parts.append(k)
    with k.officer() as o:
        o.init(("file",))
    return k


def test_each_number_is_signed_once_and_the_last_one_is_told(keyd):
    with keyd.relay() as r, keyd.officer() as o:
        with refused(wire.E_NOTFOUND):
            o.checkpoint_last()
        for n in range(1, 21):
            version, signature = r.checkpoint(n, n * 10, digest(n))
            assert version == 1
        last = o.checkpoint_last()
        assert (last.counter, last.rows, last.digest, last.signature) == (20, 200, digest(20), signature)
        assert o.public_key("audit/ledger") == ("ed25519", last.spki) and r.key_versions("audit/ledger")[0].spki == last.spki
        verify(last.spki, signature, 20, 200, digest(20))
        assert r.checkpoint(20, 200, digest(20)) == (1, signature)  # its answer was lost
        for counter, rows, hashed in ((20, 200, digest(0)), (20, 201, digest(20)), (19, 190, digest(19)), (22, 220, digest(22))):
            with refused(wire.E_STATE):
                r.checkpoint(counter, rows, hashed)
        said = [fields for _, _, _, fields in keyd.process.events("checkpoint-refused")]
        assert [f["counter"] for f in said] == ["20", "20", "19", "22"] and {f["last"] for f in said} == {"20"}
    with keyd.relay() as r:
        sent = [r.send("checkpoint", wire.b16(b"ledger") + wire.struct.pack(">QQ", 21, 210) + digest(i)) for i in range(50)]
        answers = [r.answer(request).status for request in sent]
        assert answers == [wire.OK] + [wire.E_STATE] * 49  # of many at once one is the next
    assert len(keyd.process.events("key-added")) == 2  # keyd's own and this one


def test_what_was_answered_is_signed_for_ever_wherever_keyd_dies(keyd, place):
    """keyd dies at the first, second, third ... step of writing its files: what it signed it knows, and it signs nothing
    else for that number."""
    keyd.stop()
    before = os.path.join(place, "before")
    subprocess.run(["cp", "-a", keyd.state, before], check=True)
    good, faulty = keyd.process.argv[0], harness.program("keyd_faulty")
    step, died = 0, True
    while died:
        step += 1
        assert step < 200
        subprocess.run(["rm", "-rf", keyd.state], check=True)
        subprocess.run(["cp", "-a", before, keyd.state], check=True)
        keyd.process.argv[0], keyd.process.env = faulty, {"SEALPOST_FAULT": str(step)}
        signed, died = {}, True
        try:
            keyd.start()
            with keyd.relay() as r:
                for n in range(1, 5):
                    signed[n] = r.checkpoint(n, n, digest(n))
            assert keyd.stop() == 0
            died = False
        except (harness.Failure, OSError, EOFError, AssertionError):
            harness.wait_for("keyd's death", lambda: not keyd.process.running())
        keyd.kill()
        keyd.process.argv[0], keyd.process.env = good, None
        keyd.start()
        with keyd.relay() as r:
            try:
                last = r.checkpoint_last()
                at = last.counter
                verify(last.spki, last.signature, at, at, digest(at))
            except Refused as e:
                assert e.status == wire.E_NOTFOUND
                at = 0
            assert at in (len(signed), len(signed) + 1)  # the answer may be what was lost
            if at:
                with refused(wire.E_STATE):
                    r.checkpoint(at, at, digest(0))
                again = r.checkpoint(at, at, digest(at))
                assert signed.get(at, again) == again
            r.checkpoint(at + 1, 1, digest(at + 1))
        assert keyd.stop() == 0
        keyd.read_store()
    assert step > 10 and len(signed) == 4


def test_after_an_accepted_older_store_the_ledger_goes_on_but_never_back(keyd, place):
    with keyd.relay() as r:
        for n in range(1, 4):
            r.checkpoint(n, n, digest(n))
    keyd.stop()
    older = os.path.join(place, "older")
    os.mkdir(older)
    for name in ("store.snap", "store.journal"):
        shutil.copy2(keyd.file(name), older)
    keyd.start()
    with keyd.relay() as r:
        for n in range(4, 8):
            r.checkpoint(n, n, digest(n))
    keyd.stop()
    for name in ("store.snap", "store.journal"):
        shutil.copy2(os.path.join(older, name), keyd.file(name))
        os.chown(keyd.file(name), keyd.uid, keyd.uid)
    keyd.start()
    with keyd.officer() as o, keyd.relay() as r:
        assert o.status()["state"] == "locked"
        with refused(wire.E_LOCKED):
            r.checkpoint(8, 8, digest(8))
        o.accept()
        assert o.checkpoint_last().counter == 3  # a ledger that ends with 7 is further: it tells the rollback
        with refused(wire.E_STATE):
            r.checkpoint(2, 2, digest(9))
        r.checkpoint(8, 8, digest(8))
        for n in (7, 10):
            with refused(wire.E_STATE):
                r.checkpoint(n, n, digest(n))
        r.checkpoint(9, 9, digest(9))
    (_, _, _, said), = keyd.process.events("checkpoint-jumped")
    assert (said["counter"], said["last"]) == ("8", "3")
