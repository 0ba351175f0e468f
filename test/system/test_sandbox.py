# SPDX-License-Identifier: Apache-2.0
"""What keyd gave up: system calls, files, a look into its memory. And that all it has to do goes on inside."""
import ctypes
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys

import harness
import keyd_wire as wire
import pytest
from keyd_wire import Client, Refused
from test_keyd import PHRASE, Keyd, keyd, ready  # noqa: F401 (fixtures)

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to look into the process")
PTRACE_ATTACH, PTRACE_DETACH = 16, 17


def landlock_version():
    """What this kernel has: 0 for none."""
    return max(0, ctypes.CDLL(None).syscall(444, None, 0, 1))


def threads(pid):
    """/proc/PID/status of every thread, as a dict."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status") as f:
            yield dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def status(k):
    with k.officer() as o:
        return o.status()


def test_every_thread_is_confined_and_status_says_so(keyd):  # noqa: F811
    found = list(threads(keyd.process.pid))
    whole = status(keyd)
    seen = whole["sandbox"]
    assert len(found) >= 3 and all(t["NoNewPrivs"] == "1" for t in found)
    assert seen["landlock"] == landlock_version() and seen["dumpable"] is False and seen["tracer"] == 0
    if not seen["seccomp"]:  # a build with a sanitizer says so
        assert any("not filtered" in w for w in whole["warnings"])
        assert "seccomp" in [e[3]["part"] for e in keyd.process.events("sandbox-partial")]
        return
    assert all(t["Seccomp"] == "2" for t in found)
    assert not any("filtered" in w for w in whole["warnings"])
    if landlock_version():
        assert not any("files" in w for w in whole["warnings"])
        on, = keyd.process.events("sandbox-on")
        assert int(on[3]["landlock"]) == landlock_version()


def test_switched_off_it_is_reported(place, parts):
    k = Keyd(place, extra="sandbox: off\n").start()
    parts.append(k)
    seen = status(k)
    assert seen["sandbox"]["seccomp"] is False and seen["sandbox"]["landlock"] == 0
    assert all(t["Seccomp"] == "0" for t in threads(k.process.pid))
    assert any("sandbox: off" in w for w in seen["warnings"])
    assert k.process.events("sandbox-partial")[0][3]["part"] == "all"


def expand(names):
    """System calls of systemd's groups."""
    calls = set()
    for name in names:
        if not name.startswith("@"):
            calls.add(name)
            continue
        listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
        words = [line.strip() for line in listed.stdout.splitlines()[1:]]
        calls |= expand([w for w in words if w and not w.startswith("#")])
    return calls


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_unit_lets_keyd_do_what_its_own_table_has():
    """What the unit refuses would fail there and nowhere else: the calls of the table, and those that set it up."""
    root = os.path.join(os.path.dirname(__file__), "..", "..")
    with open(os.path.join(root, "keyd", "keyd_sandbox.c")) as f:
        table = set(re.findall(r'ALLOW\w*\("(\w+)"', f.read()))
    assert len(table) > 80
    table |= {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp", "execve", "setrlimit"}
    allowed = set()
    with open(os.path.join(root, "etc", "systemd", "sealpost-keyd.service.in")) as f:
        for value in re.findall(r"^SystemCallFilter=(.*)", f.read(), re.M):
            if value.startswith("~"):
                allowed -= expand(value[1:].split())
            else:
                allowed |= expand(value.split())
    allowed |= expand(["@default"])
    assert table - allowed == set()


def test_every_path_of_the_configuration_is_known_to_the_sandbox():
    """One that is not could not be opened: a key for a path needs its row in keyd_sandbox.c."""
    root = os.path.join(os.path.dirname(__file__), "..", "..", "keyd")
    with open(os.path.join(root, "keyd_conf.c")) as f:
        text = re.sub(r"\s+", " ", f.read())
    rows = re.findall(r'\.name = "(\w+)", \.type = CONF_PATH, \.offset = (AT\(|offsetof\(struct keyd_conf_slot)', text)
    keys = {("slots." if "slot" in where else "") + name for name, where in rows}
    assert {"state", "socket", "slots.path"} <= keys and len(rows) == text.count("CONF_PATH")
    with open(os.path.join(root, "keyd_sandbox.c")) as f:
        known = set(re.findall(r'\{"([\w.]+)", (?:ITSELF|MADE|FOLDER)', f.read()))
    assert keys - known == set()


class Notify:
    """A stand-in for systemd's socket, which has a path or an abstract name."""

    def __init__(self, place, abstract):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.settimeout(10)
        self.name = f"@sealpost-test-{os.getpid()}" if abstract else os.path.join(place, "notify")
        self.sock.bind(self.name.replace("@", "\0", 1) if abstract else self.name)
        if not abstract:
            os.chmod(self.name, 0o777)

    def hears(self):
        return self.sock.recv(4096).decode().split("\n")[0]

    def stop(self):
        self.sock.close()


@pytest.mark.parametrize("abstract", [False, True])
def test_all_that_keyd_does_works_inside(place, parts, abstract):
    """Every operation, each kind of slot, a reload with names, a last snapshot; and systemd hears of it."""
    credentials = os.path.join(place, "credentials")
    os.mkdir(credentials)
    with open(os.path.join(credentials, "root"), "wb") as f:
        f.write(os.urandom(32))
    notify = Notify(place, abstract)
    me = os.getuid()
    slots = "[{method: file, path: root.key}, {method: credential, name: root}, {method: passphrase}]"
    k = Keyd(place, slots=slots, env={"CREDENTIALS_DIRECTORY": credentials, "NOTIFY_SOCKET": notify.name})
    for path in (credentials, os.path.join(credentials, "root")):
        os.chown(path, k.uid, k.uid)
        os.chmod(path, 0o500)
    parts += [notify, k.start()]
    assert notify.hears() == "READY=1"
    with k.officer() as o, k.relay() as r, Client(k.use, "milter") as m:
        o.init(("file",), ("credential",), ("passphrase", PHRASE))
        o.customer_add("default")
        for label, kind in (("tls/ec", "ec-p256"), ("tls/rsa", "rsa-2048"), ("tls/ed", "ed25519")):
            o.key_add(label, kind)
        assert len(o.key_list()) == 4  # and the one that signs the audit log
        for round_ in range(3):
            new, = r.derive_new("default", [b"x"])
            again, = r.derive_existing([("default", "spool", new.keyref, new.salt, b"x")])
            assert again.key == new.key
            sealed = r.fields("seal-fields", "default", "field", [(b"a", b"b")])[0][1]
            assert r.fields("open-fields", "default", "field", [(b"a", sealed)]) == [(0, b"b")]
            r.fields("blind-index", "default", "index", [(b"a", b"b")])
            m.verify_mac("default", "campaign/1", b"x", o.mac("default", "campaign/1", b"x"))
            for label, alg in (("tls/ec", "ES256"), ("tls/rsa", "PS512"), ("tls/rsa", "RS256"),
                               ("tls/ed", "Ed25519")):
                assert r.sign(label, alg, b"x")
            o.lock()
            o.unseal(("file", "credential", "passphrase")[round_], (b"", b"", PHRASE)[round_])
        # names that exist, that do not, and one that is gone
        k.configure(slots, {me: "[relay, milter, officer, operator, auditor]", "daemon": "relay",
                            "no-such-user-here": "relay"})
        k.process.signal(signal.SIGHUP)
        assert [notify.hears(), notify.hears()] == ["RELOADING=1", "READY=1"]
        reloaded = harness.wait_for("the log", lambda: k.process.events("reloaded"))
        assert reloaded[-1][3]["peers"] == "3"
        assert [e[3]["user"] for e in k.process.events("peer-unknown")] == ["no-such-user-here"]
        k.configure("[{method: file, path: /elsewhere/root.key}]", {me: "[officer, relay]"})
        k.process.signal(signal.SIGHUP)
        assert [notify.hears(), notify.hears()] == ["RELOADING=1", "READY=1"]
        needs = harness.wait_for("the log", lambda: k.process.events("config-needs-restart"))
        assert [e[3]["key"] for e in needs] == ["slots"]
        assert r.sign("tls/ec", "ES256", b"x")
        assert o.status()["sandbox"]["landlock"] == landlock_version()
    assert k.stop() == 0
    assert notify.hears() == "STOPPING=1"
    k.configure(slots, {me: "[officer, relay]"})
    k.start()
    with k.officer() as o:
        assert o.state == "ready" and o.status()["customers"] == 1


def attach(pid, uid):
    """errno of attaching to pid as that user, 0 if it can be done."""
    code = ("import ctypes, os, sys\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            "rc = libc.ptrace(16, int(sys.argv[1]), None, None)\n"
            "print(ctypes.get_errno() if rc < 0 else 0)\n"
            "if rc == 0: os.waitpid(int(sys.argv[1]), 0x40000000); libc.ptrace(17, int(sys.argv[1]), None, None)\n")

    def become():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    run = subprocess.run([sys.executable, "-c", code, str(pid)], preexec_fn=become if os.getuid() == 0 else None,
                         capture_output=True, text=True, timeout=20)
    return int(run.stdout)


def test_debuggers_of_other_users_and_of_its_own_are_refused(keyd):  # noqa: F811
    for uid in (keyd.uid, keyd.uid + 1) if os.getuid() == 0 else (keyd.uid,):
        assert attach(keyd.process.pid, uid) == 1  # EPERM
    assert status(keyd)["sandbox"]["tracer"] == 0


@needs_root
def test_a_debugger_of_root_is_seen(keyd):  # noqa: F811
    libc = ctypes.CDLL(None, use_errno=True)
    pid = keyd.process.pid
    # SEIZE does not stop it, so that it can answer
    if libc.ptrace(0x4206, pid, None, None) < 0:
        pytest.skip("root may not trace here")
    seen = status(keyd)
    assert seen["sandbox"]["tracer"] == os.getpid()
    assert any("debugger" in w for w in seen["warnings"])
    libc.ptrace(0x4207, pid, None, None)  # INTERRUPT: only what is stopped can be let go
    os.waitpid(pid, 0x40000000)
    assert libc.ptrace(PTRACE_DETACH, pid, None, None) == 0
    assert status(keyd)["sandbox"]["tracer"] == 0


@pytest.mark.parametrize("signo", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_leaves_no_core(place, parts, signo):
    k = Keyd(place, limits=((resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2),)
             if resource.getrlimit(resource.RLIMIT_CORE)[1] == resource.RLIM_INFINITY else ()).start()
    parts.append(k)
    os.kill(k.process.pid, signo)
    _, how = os.waitpid(k.process.pid, 0)
    k.process.child.returncode = -signo
    if os.WIFSIGNALED(how):  # a sanitizer exits instead
        assert os.WTERMSIG(how) == signo and not os.WCOREDUMP(how)
    assert not [n for n in os.listdir(k.dir) + os.listdir(".") if n.startswith("core") and n != "core"]


def mappings(pid):
    """(start, end, rights, flags) of each mapping."""
    head = None
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line)
            if m:
                head = int(m[1], 16), int(m[2], 16), m[3]
            elif line.startswith("VmFlags:"):
                yield *head, line.split()[1:]


def places(pid, patterns):
    """{name: flags of the mappings it was found in}."""
    found = {}
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for start, end, rights, flags in mappings(pid):
            if "r" not in rights or end - start > 1 << 30:
                continue
            try:
                mem.seek(start)
                data = mem.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue  # the kernel's own pages
            for name, pattern in patterns.items():
                if pattern in data:
                    found.setdefault(name, []).append(flags)
    return found


@needs_root
def test_private_numbers_are_in_locked_pages_alone(ready):  # noqa: F811
    """Montgomery forms of the primes and buffers of encoders included; and after a lock they are nowhere."""
    if not status(ready)["sandbox"]["seccomp"]:
        pytest.skip("a sanitizer turns mlock into nothing")
    with ready.officer() as o, ready.relay() as r:
        for i in range(4):
            o.key_add(f"tls/more-{i}", "rsa-2048")
        secrets = ready.read_store().secrets("subkey", "private")
        for _ in range(20):
            r.derive_new("default", [b"x"] * 10)
            for label, alg in [("tls/relay", "ES256"), ("tls/rsa", "RS256"), ("tls/rsa", "PS256")] + \
                    [(f"tls/more-{i}", "PS384") for i in range(4)]:
                r.sign(label, alg, b"x")
        found = places(ready.process.pid, secrets)
        assert {"tls/rsa p, as OpenSSL holds it", "tls/rsa q, as OpenSSL holds it", "sub-key 1 1"} <= set(found)
        assert not {n: f for n, where in found.items() for f in where if "lo" not in f or "dd" not in f}
        o.lock()
        assert places(ready.process.pid, secrets) == {}


@needs_root
def test_what_takes_most_memory_stays_within_8_mib(place, parts):
    """1000 connections, as many open customers as the cache holds, and 64 RSA keys that have signed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 2200:
        pytest.skip("too few descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2200, hard))
    limit = 8 << 20
    k = Keyd(place, extra="limits: {connections: 1000}\n", limits=((resource.RLIMIT_MEMLOCK, (limit, limit)),)).start()
    parts.append(k)
    clients = [Client(k.use, "relay") for _ in range(998)]
    with k.officer() as o, k.relay() as r:
        o.init(("file",), ("passphrase", PHRASE))
        assert r.push() == "ready"
        labels = [f"tls/k{i}" for i in range(64)]
        asked = [o.send("key-add", wire.b8(label.encode()) + bytes([wire.TYPES["rsa-2048"]])) for label in labels]
        for _ in asked:
            f = o.read()
            while f.request == 0:
                f = o.read()
            assert f.status == 0
        names = [f"c{i}" for i in range(4200)]
        for at in range(0, len(names), 200):
            for name in names[at:at + 200]:
                o.send("customer-add", wire.b16(name.encode()))
            assert all(o.read().status == 0 for _ in range(200))
        for c, name in zip(clients, names):
            assert c.push() == "ready"
            c.send("derive-new", wire.b8(name.encode()) + struct.pack(">BH", 1, 256) + wire.b8(b"x") * 256)
        for c in clients:
            assert c.read().status == 0
        for name in names:
            r.derive_new(name, [b"x"])
        for label in labels:
            assert r.sign(label, "PS256", b"x")
        seen = o.status()
        assert seen["sandbox"]["memlock"] == limit and seen["customers"] == len(names)
        with open(f"/proc/{k.process.pid}/status") as f:
            locked = int(re.search(r"VmLck:\s+(\d+)", f.read())[1])
        print(f"VmLck {locked} KiB, secret memory {seen['locked_bytes']} bytes")
        assert locked <= 8192
        for label in labels[:3]:  # and nothing had to go to get there
            assert r.sign(label, "PS256", b"x")
        o.lock()
        o.unseal("passphrase", PHRASE)
        told = r.push()
        while told == "ready":  # of new keys, some together
            told = r.push()
        assert told == "locked" and r.push() == "ready"
        assert r.derive_new(names[-1], [b"x"])
    for c in clients:
        c.close()


@needs_root
def test_a_full_disk_is_no_reason_to_die(place, parts):
    """The calls of the ways that fail are in the table too."""
    k = Keyd(place)
    os.mkdir(k.state)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=2m,uid={k.uid},gid={k.uid},mode=0700", "none", k.state],
                   check=True)
    try:
        parts.append(k.start())
        with k.officer() as o, k.relay() as r:
            o.init(("file",), ("passphrase", PHRASE))
            o.customer_add("default")
            with open(k.file("filler"), "wb") as f, pytest.raises(OSError):
                f.write(bytes(4 << 20))
            with pytest.raises(Refused):
                for i in range(200):
                    o.customer_add(f"customer-{i}")
            assert r.derive_new("default", [b"x"])
            assert k.process.events("audit-failed") and k.process.running()
            os.unlink(k.file("filler"))
        assert k.stop() == 0
        k.start()
        with k.officer() as o:
            o.customer_add("after")
    finally:
        k.kill()
        subprocess.run(["umount", "-l", k.state], check=True)
