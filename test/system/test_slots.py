# SPDX-License-Identifier: Apache-2.0
"""What opens keyd: each kind of slot alone, shares one by one, and what the administrator sees of it."""
import base64
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys

import harness
import keyd_shares
import pytest
from keyd_store import Store
from keyd_wire import Client

PHRASE, OTHER = "correct horse battery", "staple of another horse"
STRANGER = 64222
CREDENTIAL = os.urandom(48)


class Set(harness.Sealpost):
    """keyd with file, passphrase and 3-of-5 shares; keyd.yaml also names a credential."""

    def __init__(self, place):
        self.shares_dir = os.path.join(place, "shares")
        self.credentials = os.path.join(place, "credentials")
        self.uid = harness.UID if os.getuid() == 0 else os.getuid()
        self.place = place
        for path in (self.shares_dir, self.credentials):
            self.folder(path)
        self.phrase, self.other = self.secret("phrase", PHRASE + "\n"), self.secret("other", OTHER + "\n")
        super().__init__(os.path.join(place, "sealpost"), init_args=[
            "--passphrase-file", self.phrase, "--shares", "3/5", "--shares-out", self.shares_dir])
        text = self.read("keyd.yaml").replace("peers:\n", "  - {method: credential, name: sealpost-root}\npeers:\n")
        text += f'socket_mode: "0666"\nuser: "{self.uid}"\n'
        if os.getuid() == 0:
            text = text.replace("peers:\n", f'peers:\n  "0": [relay, officer]\n  "{STRANGER}": operator\n')
        self.write("keyd.yaml", text)

    def folder(self, name):
        """A private one of theirs."""
        path = os.path.join(self.place, name)
        os.mkdir(path, 0o700)
        os.chown(path, self.uid, self.uid)
        return path

    def secret(self, name, data):
        """A private file of the user who runs everything."""
        path = os.path.join(self.place, name)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        os.chmod(path, 0o600)
        os.chown(path, self.uid, self.uid)
        return path

    def shares(self, *which):
        """Texts of shares, from 1."""
        texts = []
        for i in which:
            with open(os.path.join(self.shares_dir, f"share-{i}")) as f:
                texts.append(f.read().strip())
        return texts

    def share_file(self, *texts):
        return self.secret("some-shares", "\n".join(texts) + "\n")

    def key(self, *args, **more):
        return self.cli("key", *args, **more)

    def unseal_shares(self, *texts, **more):
        return self.key("unseal", "--shares", "--secret-file", self.share_file(*texts), **more)

    def relay_client(self):
        return Client(self.path("run", "keyd.sock"), "relay")

    def officer(self):
        return Client(self.path("run", "keyd-admin.sock"), "officer")

    def slots(self):
        with self.officer() as o:
            return {s["method"]: s["id"] for s in o.status()["slots"]}

    def root(self, secret, method):
        """The root key as a second implementation opens it."""
        data = []
        for name in ("store.snap", "store.journal"):
            with open(self.path("keyd", name), "rb") as f:
                data.append(f.read())
        return Store(*data, secret, method).root

    def event(self, name, **facts):
        """The log has such an event."""
        return any(all(e[3].get(k) == str(v) for k, v in facts.items()) for e in self.keyd.events(name))


@pytest.fixture
def made(place, parts):
    s = Set(place)
    parts.append(s)
    return s


@pytest.fixture
def running(made):
    made.keyd.start()
    return made


def put_credential(s, how):
    """The credential as systemd gives it to the service."""
    path = os.path.join(s.credentials, "sealpost-root")
    if how == "plain":
        with open(path, "wb") as f:
            f.write(CREDENTIAL)
    else:
        if not shutil.which("systemd-creds"):
            pytest.skip("needs systemd-creds")
        plain, sealed = s.secret("plain", CREDENTIAL), os.path.join(s.place, "sealed.cred")
        env = dict(os.environ, SYSTEMD_CREDENTIAL_SECRET=os.path.join(s.place, "host-key"))
        tool = ["systemd-creds", "--name=sealpost-root"]
        run = subprocess.run([*tool, "--with-key=host", "encrypt", plain, sealed], env=env, capture_output=True, text=True)
        if run.returncode:
            pytest.skip(f"systemd-creds does not work here: {run.stderr}")
        os.unlink(plain)
        with open(sealed, "rb") as f:
            assert CREDENTIAL not in base64.b64decode(f.read())
        subprocess.run([*tool, "decrypt", sealed, path], env=env, check=True, capture_output=True)
        other = subprocess.run(["systemd-creds", "--name=other", "decrypt", sealed, "-"], env=env, capture_output=True)
        assert other.returncode != 0  # the name is inside
    os.chmod(path, 0o440)  # as an ACL of systemd's shows
    os.chown(path, s.uid, s.uid)
    s.keyd.env = {"CREDENTIALS_DIRECTORY": s.credentials}


def open_passphrase(s):
    assert s.key("unseal", "--passphrase-file", s.phrase).stdout == "keyd is open.\n"
    return PHRASE.encode()


def open_shares(s):
    some = s.shares(5, 1, 3)
    assert s.unseal_shares(some[0]).stdout == "1 of 3 shares are there.\n"
    assert s.unseal_shares(*some[1:]).stdout == "keyd is open.\n"
    return keyd_shares.combine([keyd_shares.of_text(t) for t in some])


def open_credential(s):
    return CREDENTIAL


@pytest.mark.parametrize("method,how,opens", [("passphrase", None, open_passphrase), ("shares", None, open_shares),
                                              ("credential", "plain", open_credential),
                                              ("credential", "systemd", open_credential)])
def test_each_kind_of_slot_opens_the_same_root_alone(made, method, how, opens):
    put_credential(made, how or "plain")
    made.keyd.start()
    with open(made.path("keyd", "root.key"), "rb") as f:
        file_key = f.read()
    root = made.root(file_key, "file")
    with made.relay_client() as r:
        one, = r.derive_new("default", [b"context"])
    assert made.key("slot", "add", "credential", "--name", "sealpost-root").stdout == "Slot        4\n"
    table = made.key("slot", "list", check=True).stdout
    assert re.findall(r"^ *(\d) +(\w+)(?: 3/5)? ", table, re.M) == [
        ("1", "file"), ("2", "passphrase"), ("3", "shares"), ("4", "credential")]
    for other, slot_id in made.slots().items():
        if other != method:
            assert f"Slot {slot_id} is removed" in made.key("slot", "remove", str(slot_id), check=True).stdout
            assert made.event("slot-removed", slot=slot_id, method=other, uid=made.uid)
    last = made.key("slot", "remove", str(made.slots()[method]))
    assert last.returncode == 75 and "last slot" in last.stderr
    os.unlink(made.path("keyd", "root.key"))
    if method != "credential":
        shutil.rmtree(made.credentials)
    assert made.keyd.stop() == 0
    made.keyd.start()
    with made.officer() as o:
        assert o.status()["state"] == ("ready" if method == "credential" else "locked")
    secret = opens(made)
    with made.relay_client() as r:
        again, = r.derive_existing([("default", "spool", one.keyref, one.salt, b"context")])
        assert again.key == one.key
    assert made.root(secret, method) == root
    status = made.key("slot", "list").stdout
    assert "fewer than two slots" in status
    # Nothing that opens, or was opened, is in a log or in a file of the set.
    texts = [t.encode() for t in made.shares(1, 2, 3, 4, 5)]
    points = [keyd_shares.of_text(t.decode()).y for t in texts]
    assert harness.find_bytes(made.files(), [PHRASE.encode(), CREDENTIAL, root, *points, *texts,
                                             *(t[-40:] for t in texts)]) == []


def test_a_slot_is_added_tested_and_gone(running):
    s = running
    assert s.key("slot", "test", "2", "--secret-file", s.phrase).stdout == "Slot 2 opens the root key.\n"
    assert s.key("slot", "test", "1").returncode == 0
    shares = s.share_file(*s.shares(2, 4, 5))
    assert s.key("slot", "test", "3", "--secret-file", shares).returncode == 0
    added = s.key("slot", "add", "passphrase", "--name", "board", "--secret-file", s.other, "--with", "shares",
                  "--with-file", shares)
    assert added.stdout == "Slot        4\n", added.stderr
    assert s.event("slot-added", slot=4, method="passphrase", uid=s.uid)
    assert re.search(r"^ *4 +passphrase +board +20\S+Z +yes +yes$", s.key("slot", "list").stdout, re.M)
    out = s.folder("more")
    added = s.key("slot", "add", "shares", "--shares", "2/3", "--out", out)
    assert added.returncode == 0 and sorted(os.listdir(out)) == ["share-1", "share-2", "share-3"]
    assert all(os.stat(os.path.join(out, n)).st_mode & 0o7777 == 0o600 for n in os.listdir(out))
    again = s.key("slot", "add", "shares", "--shares", "2/3", "--out", out)
    assert again.returncode == 64 and "exists already" in again.stderr and 6 not in s.slots().values()
    s.key("lock", check=True)
    assert s.key("unseal", "--passphrase-file", s.other).returncode == 0
    s.key("slot", "remove", "4", check=True)
    s.key("lock", check=True)
    wrong = s.key("unseal", "--passphrase-file", s.other)
    assert wrong.returncode == 1 and "opens nothing" in wrong.stderr
    assert s.event("unseal-failed", uid=s.uid, method="passphrase", failures=1)
    soon = s.key("unseal", "--passphrase-file", s.phrase)
    assert soon.returncode == 75 and "wait" in soon.stderr
    harness.wait_for("the delay to be over", lambda: s.key("unseal", "--passphrase-file", s.phrase).returncode == 0,
                     10, 0.2)


def test_words_that_make_no_sense_get_usage_and_change_nothing(running):
    s = running
    for args in (["slot"], ["slot", "add"], ["slot", "add", "nothing"], ["slot", "add", "shares"],
                 ["slot", "add", "shares", "--shares", "6/5"], ["slot", "add", "shares", "--shares", "1/5"],
                 ["slot", "add", "shares", "--shares", "3/33"], ["slot", "add", "passphrase", "--shares", "3/5"],
                 ["slot", "add", "shares", "--shares", "3/5"],  # no terminal to show them on
                 ["slot", "add", "passphrase", PHRASE], ["slot", "remove", "x"], ["slot", "remove"],
                 ["slot", "test", "0"], ["slot", "add", "passphrase", "--with", "magic"],
                 ["unseal", "--shares", "--token"], ["unseal", "--cancel", "--shares"], ["unseal", PHRASE]):
        assert s.key(*args).returncode == 64, args
    assert s.key("slot", "remove", "9").returncode == 1
    assert s.key("slot", "add", "token", "--secret-file", s.phrase).returncode == 1  # keyd.yaml names none
    short = s.secret("short", "seven77")
    assert s.key("slot", "add", "passphrase", "--secret-file", short).returncode == 64
    assert s.slots() == {"file": 1, "passphrase": 2, "shares": 3}


def locked(s):
    s.key("lock", check=True)
    return s.shares(1, 2, 3, 4, 5)


def test_shares_that_are_no_help_are_told_and_do_not_count(running):
    s = running
    out = s.folder("more")
    s.key("slot", "add", "shares", "--shares", "2/2", "--out", out, check=True)
    with open(os.path.join(out, "share-1")) as f:
        another = f.read().strip()
    shares = locked(s)
    typo = shares[1][:-1] + ("a" if shares[1][-1] != "a" else "b")
    own = keyd_shares.of_text(shares[0])
    foreign = keyd_shares.to_text(own._replace(set=b"12345678"))
    assert s.unseal_shares(shares[0]).stdout == "1 of 3 shares are there.\n"
    for text, said in ((typo, "a typo"), (shares[0].upper(), "there already"), (foreign, "no slot of this store"),
                       (another, "of another slot"), ("sealpost-share-1-3-2-", "a typo")):
        r = s.unseal_shares(text)
        assert r.returncode == 1 and said in r.stderr and "does not count" in r.stderr
    assert "1 of 3 shares" in s.cli("status").stdout
    # One that was made up has a good check value: it is found out at the end, and then everybody waits.
    forged = keyd_shares.to_text(keyd_shares.of_text(shares[1])._replace(y=os.urandom(32)))
    r = s.unseal_shares(forged, shares[2])
    assert r.returncode == 1 and "not what was made" in r.stderr
    assert s.event("unseal-failed", method="shares", failures=1)
    r = s.unseal_shares(shares[0])
    assert r.returncode == 75 and "wait" in r.stderr
    harness.wait_for("the delay to be over", lambda: s.unseal_shares(shares[0]).returncode == 0, 10, 0.2)
    assert s.unseal_shares(shares[1].replace("-", " ").replace(" ", "-", 5), shares[2]).stdout == "keyd is open.\n"


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_custodians_come_one_by_one_and_only_who_began_can_cancel(running):
    s = running
    shares = locked(s)

    def stranger(*args):
        """Another operator, who keeps his share in a file of his own."""
        if args[0] != "--cancel":
            path = s.share_file(args[0])
            os.chown(path, STRANGER, STRANGER)
            args = ("--shares", "--secret-file", path)
        return s.key("unseal", *args, uid=STRANGER)

    os.chmod(s.place, 0o755)
    assert s.key("unseal", "--cancel").returncode == 1  # nothing to cancel
    r = stranger(shares[0])
    assert r.stdout == "1 of 3 shares are there.\n", r.stderr
    assert s.unseal_shares(shares[1]).stdout == "2 of 3 shares are there.\n"
    with s.officer() as o:
        assert {k: o.status()["unseal"][k] for k in ("have", "need", "uid")} == {"have": 2, "need": 3, "uid": STRANGER}
        assert o.status()["unseal"]["set"] == keyd_shares.of_text(shares[0]).set.hex()
    r = s.key("unseal", "--cancel")
    assert r.returncode == 75 and "only who gave the first" in r.stderr
    assert s.event("unseal-cancel-refused", uid=s.uid, begun_by=STRANGER)
    assert stranger("--cancel").returncode == 0
    assert s.event("unseal-cancelled", uid=STRANGER, have=2, need=3)
    with s.officer() as o:
        assert o.status()["unseal"] is None
    for i, said in ((2, "1 of 3"), (3, "2 of 3")):
        assert said in s.unseal_shares(shares[i]).stdout
    assert stranger(shares[4]).stdout == "keyd is open.\n"
    assert s.event("unseal-opened", uid=STRANGER, slot=3)
    with s.officer() as o:
        o.status()


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_shares_that_two_officers_make_are_told_to_who_approves(made):
    s = made
    s.write("keyd.yaml", s.read("keyd.yaml").replace(f'"{STRANGER}": operator', f'"{STRANGER}": [officer, operator]') +
            "quorum: {slot: 2}\n")
    s.keyd.start()
    r = s.key("slot", "remove", "1")
    assert r.returncode == 75 and "kept as a proposal" in r.stderr
    r = s.key("slot", "add", "shares", "--shares", "2/3", "--out", s.folder("for-nobody"))
    assert r.returncode == 75 and "kept as a proposal" in r.stderr and os.listdir(f"{s.place}/for-nobody") == []
    os.chmod(s.place, 0o755)
    out = s.folder("approved")
    os.chown(out, STRANGER, STRANGER)
    blind = s.key("approve", "2", uid=STRANGER)
    assert blind.returncode == 64 and "--out" in blind.stderr  # the shares would be lost
    r = s.key("approve", "2", "--out", out, uid=STRANGER)
    assert r.returncode == 0, r.stderr
    shares = []
    for name in sorted(os.listdir(out)):
        with open(os.path.join(out, name)) as f:
            shares.append(f.read().strip())
    assert [keyd_shares.of_text(t)[1:3] for t in shares] == [(2, 1), (2, 2), (2, 3)]
    assert s.key("approve", "1", uid=STRANGER).stdout == "Done.\n"
    assert s.slots() == {"passphrase": 2, "shares": 4}
    s.key("lock", check=True)
    assert s.unseal_shares(shares[2], shares[0]).stdout == "keyd is open.\n"


def on_terminal(s, args, answers):
    """Runs sealpost with a terminal of its own; answers: (prompt, what is typed). Returns all that the terminal showed,
    and the exit code."""
    pid, fd = pty.fork()
    if pid == 0:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(s.uid)
            os.setuid(s.uid)
        program = harness.program("sealpost")
        os.execv(program, [program, "--prefix", s.prefix, *args])
    shown, answers, since = b"", list(answers), 0
    while True:
        if not select.select([fd], [], [], 30)[0]:
            raise harness.Failure(f"nothing more on the terminal after {shown!r}")
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        if not data:
            break
        shown += data
        if answers and shown.endswith(answers[0][0].encode()) and len(shown) > since:
            since = len(shown)
            os.write(fd, answers.pop(0)[1].encode() + b"\n")
    os.close(fd)
    assert not answers, shown
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_shares_are_shown_once_on_a_terminal_and_typed_without_echo(running):
    s = running
    shown, code = on_terminal(s, ["key", "slot", "add", "shares", "--shares", "2/3"], [])
    shares = re.findall(r"^sealpost-share-1-2-\S+", shown, re.M)
    assert code == 0 and len(shares) == 3 and "never again" in shown
    assert [keyd_shares.of_text(t).x for t in shares] == [1, 2, 3]
    assert not any(t in s.key("slot", "list").stdout for t in shares)
    s.key("lock", check=True)
    ask = "no more from here): "
    typo = shares[0].replace("-2-1-", "-2-2-")
    shown, code = on_terminal(s, ["key", "unseal", "--shares"], [(ask, typo), (ask, shares[2]), (ask, shares[0])])
    assert code == 0 and "a typo" in shown and "1 of 2 shares are there." in shown and "keyd is open." in shown
    assert not any(t in shown for t in (typo, *shares))
    shown, code = on_terminal(s, ["key", "slot", "add", "passphrase", "--with", "passphrase"],
                              [("Passphrase: ", PHRASE), ("Passphrase: ", OTHER)])
    assert code == 0 and "Slot        5" in shown and PHRASE not in shown and OTHER not in shown
    assert s.key("slot", "test", "5", "--secret-file", s.other).returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become another user")
def test_no_secret_is_sent_to_a_socket_that_is_not_keyds(made):
    s = made
    path = s.path("run", "keyd-admin.sock")
    code = ("import os, socket, sys\n"
            "os.setgid(64223); os.setuid(64223)\n"
            "l = socket.socket(socket.AF_UNIX); l.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o666); l.listen()\n"
            "print('ready', flush=True)\n"
            "c, _ = l.accept()\n"
            "print(len(c.recv(65536)), flush=True)\n")
    os.chmod(s.path("run"), 0o777)
    fake = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
    try:
        assert fake.stdout.readline() == "ready\n"
        r = s.key("unseal", "--passphrase-file", s.phrase)
        assert r.returncode == 75 and "nothing was sent" in r.stderr
        assert fake.stdout.readline() == "0\n"
    finally:
        fake.kill()
        fake.wait()
        fake.stdout.close()


def test_a_removed_slot_is_in_none_of_the_stores_files(running):
    s = running
    with open(s.path("keyd", "store.snap"), "rb") as f:
        snapshot = f.read()
    with open(s.path("keyd", "root.key"), "rb") as f:
        key = f.read()
    with open(s.path("keyd", "store.journal"), "rb") as f:
        store = Store(snapshot, f.read(), key)
    wraps = {slot.id: slot.wrapped for slot in store.slots}
    files = [s.path("keyd", n) for n in os.listdir(s.path("keyd")) if n.startswith("store.")]
    assert len(harness.find_bytes(files, [wraps[2]])) == 1
    old = open(s.path("keyd", "store.snap"), "rb")
    s.key("slot", "remove", "2", check=True)
    files = [s.path("keyd", n) for n in os.listdir(s.path("keyd")) if n.startswith("store.")]
    assert harness.find_bytes(files, [wraps[2]]) == [] and len(harness.find_bytes(files, [wraps[1]])) == 1
    assert wraps[2] not in old.read()  # nor in the blocks that are free now
    old.close()


def test_a_socket_of_ones_own_is_good_enough(running):
    """Under a prefix everybody may be keyd for himself."""
    with socket.socket(socket.AF_UNIX) as c:
        c.connect(running.path("run", "keyd-admin.sock"))
    assert running.key("slot", "list").returncode == 0
