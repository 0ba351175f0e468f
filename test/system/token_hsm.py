# SPDX-License-Identifier: Apache-2.0
"""A SoftHSM2 of a test's own, looked into with OpenSC; and the frames of sealpost-keyd-token once more, from the words of
keyd_token_msg.h."""
import glob
import os
import shutil
import socket
import struct
import subprocess
import time
from collections import namedtuple

import harness

PIN, SO_PIN = "20261122", "87654321"
WRAP, UNWRAP, TEST = 1, 2, 3
AES_GCM, RSA_OAEP = 1, 2
(OK, PIN_WRONG, PIN_LOCKED, PIN_LOW, PIN_UNSET, PIN_EXPIRED, NO_MODULE, MODULE_DENIED, NO_TOKEN, MANY_TOKENS, NO_KEY,
 MANY_KEYS, WEAK_KEY, BAD_URI, WRONG_KEY, NO_MECHANISM, READ_ONLY, TOKEN_BUSY, TIMEOUT, CRASHED, TOKEN_ERROR) = range(21)

Reply = namedtuple("Reply", "why kind data")


def softhsm_module():
    for pattern in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so"):
        for path in glob.glob(pattern):
            return path
    return None


def available():
    return bool(softhsm_module() and shutil.which("softhsm2-util") and shutil.which("pkcs11-tool"))


def helper():
    """The program, or None in a build without p11-kit."""
    try:
        return harness.program("sealpost-keyd-token")
    except harness.Failure:
        return None


def fake_module():
    return os.path.join(harness.BUILD, "test", "tool", "fake_p11.so")


class SoftHsm:
    """Tokens in a directory that belongs to the user who runs keyd."""

    def __init__(self, directory, label="sealpost"):
        self.dir = os.path.join(directory, "hsm")
        self.tokens = os.path.join(self.dir, "tokens")
        self.conf = os.path.join(self.dir, "softhsm2.conf")
        self.label = label
        self.uid = harness.UID if os.getuid() == 0 else os.getuid()
        os.makedirs(self.tokens)
        with open(self.conf, "w") as f:
            f.write(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        if os.getuid() == 0:
            for path in (self.dir, self.tokens):
                os.chown(path, self.uid, self.uid)
        self.env = {"SOFTHSM2_CONF": self.conf}
        self.run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN)

    def run(self, *argv):
        def become():
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(self.uid)
                os.setuid(self.uid)

        r = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, preexec_fn=become,
                           env=dict(os.environ, **self.env), timeout=60)
        if r.returncode:
            raise harness.Failure(f"{argv}: {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout

    def tool(self, *argv, pin=PIN):
        return self.run("pkcs11-tool", "--module", softhsm_module(), "--token-label", self.label, "--login", "--pin", pin,
                        *argv)

    def objects(self):
        """What a user who is logged in finds: [{"type": .., "label": .., "Access": ..}]."""
        found = []
        for line in self.tool("--list-objects").splitlines():
            head, _, rest = line.partition(";")
            if head.endswith("Object") or " Object" in head:
                found.append({"type": head.replace(" Object", ""), "about": rest.strip()})
            elif found and ":" in line:
                key, _, value = line.strip().partition(":")
                found[-1][key] = value.strip()
        return found

    def uri(self, key, path=True):
        return f"pkcs11:token={self.label};object={key}" + (f"?module-path={softhsm_module()}" if path else "")

    def files(self):
        for base, _, names in os.walk(self.tokens):
            for name in names:
                yield os.path.join(base, name)

    def hide(self):
        """The token is pulled out."""
        os.rename(self.tokens, self.tokens + "-away")
        os.mkdir(self.tokens)
        os.chown(self.tokens, self.uid, self.uid)

    def show(self):
        os.rmdir(self.tokens)
        os.rename(self.tokens + "-away", self.tokens)


class Helper:
    """sealpost-keyd-token with the test in the place of keyd."""

    def __init__(self, directory, env=None, modules=None, uid=None):
        self.log = os.path.join(directory, "token-helper.log")
        uid = uid if uid is not None else (harness.UID if os.getuid() == 0 else os.getuid())
        if modules is None:
            modules = [m for m in (softhsm_module(), fake_module()) if m]
        argv = [helper()]
        for m in modules:
            argv += ["-m", m]

        def become():
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)

        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(30)
        self.mark = f"SEALPOST_TEST_HELPER={os.getpid()}-{id(self)}-{time.monotonic_ns()}"  # tells it from those of other tests
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(argv, stdin=theirs, stdout=out, stderr=out, preexec_fn=become,
                                          env=dict(os.environ, **(env or {}), **dict([self.mark.split("=")])))
        theirs.close()
        self.last = 0

    def send(self, op, uri, pin=PIN, data=b"", kind=0, context=b"store and slot", unattended=0, limit=30.0):
        self.last += 1
        uri, pin = uri.encode(), pin.encode()
        self.sock.send(struct.pack(">BBBBII", 1, op, unattended, kind, self.last, int(limit * 1000)) +
                       struct.pack(">H", len(uri)) + uri + bytes([len(pin)]) + pin + bytes([len(context)]) + context +
                       struct.pack(">H", len(data)) + data)

    def read(self):
        packet = self.sock.recv(4096)
        version, why, kind, request, n = struct.unpack(">BBBIH", packet[:9])
        assert (version, request, n) == (1, self.last, len(packet) - 9)
        return Reply(why, kind, packet[9:])

    def ask(self, *args, **more):
        self.send(*args, **more)
        return self.read()

    def workers(self):
        """Processes of the helper beside itself: {pid: parent}."""
        return {p: parent for p, parent in self.processes().items() if p != self.child.pid}

    def processes(self):
        """All that began with this helper, whoever their parent is now."""
        return {p: parent for p, parent in helper_processes().items() if self.began(p)}

    def began(self, pid):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                return os.fsencode(self.mark) in f.read().split(b"\0")
        except OSError:
            return False

    def stop(self):
        """Leaves as keyd does; the helper's exit code."""
        self.sock.close()
        return self.child.wait(20)

    def kill(self):
        self.sock.close()
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


def helper_processes():
    """{pid: parent} of all processes that run this build's helper."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f.read().split(b"\0")[0] != os.fsencode(helper()):
                    continue
            with open(f"/proc/{pid}/stat") as f:
                state, parent = f.read().rsplit(")", 1)[1].split()[:2]
            if state != "Z":
                found[int(pid)] = int(parent)
        except OSError:
            pass
    return found
