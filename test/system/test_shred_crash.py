# SPDX-License-Identifier: Apache-2.0
"""keyd is killed at every step that it writes to disk while a customer is destroyed, and while a store gets its first
anchor: what is started then goes on, destroys what was ordered, and loses nothing else."""
import os
import shutil

import harness
import keyd_wire as wire
from test_keyd import Keyd
from test_shred import DOOMED, NEIGHBOUR, OTHER, SLOTS, Place, add, derive, read

STEPS = 400  # more than there are: the loop ends with the first run that is not killed


class Copy:
    """A keyd on a copy of a set that was made once, killed at step n; without n it lives."""

    def __init__(self, made, directory, parts, n=None, anchored=True):
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o755)
        for name in ("state", "anchor"):
            if not os.path.exists(os.path.join(directory, name)) and os.path.exists(os.path.join(made, name)):
                shutil.copytree(os.path.join(made, name), os.path.join(directory, name), symlinks=True)
        self.anchor = os.path.join(directory, "anchor", "anchor")
        self.keyd = Keyd.__new__(Keyd)
        k = self.keyd
        k.dir, k.uid = directory, harness.UID if os.getuid() == 0 else os.getuid()
        for top, dirs, files in os.walk(directory):
            for f in dirs + files + ["."]:
                os.chown(os.path.join(top, f), k.uid, k.uid)
        k.conf, k.state = (os.path.join(directory, f) for f in ("keyd.yaml", "state"))
        k.use, k.admin = (os.path.join(directory, f) for f in ("keyd.sock", "keyd-admin.sock"))
        k.configure(SLOTS, {os.getuid(): "[relay, milter, officer, operator, auditor]"},
                    f"anchor: {self.anchor}\n" if anchored else "")
        k.process = harness.Process([harness.program("keyd_faulty" if n else "sealpost-keyd"), "-c", k.conf],
                                    os.path.join(directory, "keyd.log"), k.uid,
                                    env={"SEALPOST_FAULT": str(n)} if n else None,
                                    ready=lambda: harness.unix_answers(k.use))
        parts.append(k)

    anchors = Place.anchors

    def anchor_of_store(self):
        """Its id in the snapshot's head."""
        with open(self.keyd.file("store.snap"), "rb") as f:
            return f.read(69)[53:]


def template(place, parts, anchored):
    p = Place(place, parts, anchored=anchored)
    add(p.keyd, DOOMED, NEIGHBOUR, OTHER)
    with p.keyd.officer() as o:
        o.backup()
    p.keyd.stop()
    made = os.path.join(place, "made")
    shutil.copytree(p.keyd.state, os.path.join(made, "state"))
    shutil.copytree(os.path.join(place, "anchor"), os.path.join(made, "anchor"))
    return made


def order(k, n):
    """Has the customer destroyed, or tries to: keyd dies on the way. True if it lived to the end."""
    try:
        k.keyd.process.start(wait=False)
        harness.wait_for("keyd to answer or die", lambda: harness.unix_answers(k.keyd.use) or not k.keyd.process.running())
        with k.keyd.officer() as o:
            o.shred(DOOMED)
            harness.wait_for("the end", lambda: o.shreds()[DOOMED]["state"] == "backups")
        k.keyd.kill()
        return True
    except (OSError, EOFError, AssertionError):
        harness.wait_for(f"keyd to be dead at step {n}", lambda: not k.keyd.process.running())
        return False


def test_killed_at_every_step_of_a_destruction_it_goes_on(place, parts):
    made = template(place, parts, anchored=True)
    for n in range(1, STEPS):
        directory = os.path.join(place, f"run-{n}")
        lived = order(Copy(made, directory, parts, n), n)
        k = Copy(made, directory, parts)
        k.keyd.start()
        with k.keyd.officer() as o:
            assert o.state == "ready", n
            if DOOMED not in o.shreds():  # the order itself was lost, and nobody was told otherwise
                assert derive(k.keyd, DOOMED) == [0]
                o.shred(DOOMED)
            harness.wait_for(f"the destruction to go on after step {n}", lambda o=o: o.shreds()[DOOMED]["state"] == "backups")
            assert [w["id"] for w in o.shreds()[DOOMED]["waits"]] == [1]
            o.backup_forget(1)
            harness.wait_for("the end", lambda o=o: o.shreds()[DOOMED]["state"] == "complete")
        assert derive(k.keyd, DOOMED, NEIGHBOUR, OTHER) == [wire.E_GONE, 0, 0], n
        k.keyd.stop()
        anchor, = k.anchors().values()
        now = read(k.keyd.state, [anchor])
        assert sorted(c for c, _ in now.deks.values()) == sorted([NEIGHBOUR, OTHER]), n
        assert read(os.path.join(made, "state"), [anchor]) is None, n
        assert sorted(f for f in os.listdir(k.keyd.state) if f.startswith("store")) == [
            "store.journal", "store.lock", "store.snap"], n
        shutil.rmtree(directory)
        if lived:
            break
    assert 20 < n < STEPS - 1


def test_killed_at_every_step_of_the_first_anchor_it_opens(place, parts):
    made = template(place, parts, anchored=False)
    for n in range(1, STEPS):
        directory = os.path.join(place, f"run-{n}")
        k = Copy(made, directory, parts, n)
        k.keyd.process.start(wait=False)
        lived = harness.wait_for("an anchor, or the end", lambda k=k: "no" if not k.keyd.process.running() else
                                 k.keyd.process.events("anchor-replaced") and k.anchors() and "yes") == "yes"
        if lived:
            lived = k.keyd.process.running()
        k.keyd.kill()
        again = Copy(made, directory, parts)
        again.keyd.start()
        assert derive(again.keyd, DOOMED, NEIGHBOUR, OTHER) == [0, 0, 0], n
        harness.wait_for(f"one anchor after step {n}, and the store under it",
                         lambda again=again: list(again.anchors()) == [again.anchor_of_store()])
        again.keyd.stop()
        assert read(again.keyd.state, again.anchors().values()).anchor_id in again.anchors()
        shutil.rmtree(directory)
        if lived:
            break
    assert 5 < n < STEPS - 1
