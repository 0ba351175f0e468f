# SPDX-License-Identifier: Apache-2.0
"""Looks as an attacker would: at files, at core dumps, at /proc, at relay's memory."""
import os
import re
import resource
import secrets
import smtplib
import subprocess

import harness
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

root_only = pytest.mark.skipif(os.getuid() != 0, reason="needs root to look into processes")


def send_canary(s, word):
    with smtplib.SMTP("127.0.0.1", s.smtp_port) as c:
        c.starttls()
        c.sendmail(f"{word}@from-{word}.example", [f"{word}@to-{word}.example"],
                   f"Subject: {word}\r\n\r\nbody {word}\r\n".encode())


def memory(pid):
    """All memory of a process, read as root, but what it only reads of the system's libraries: libgnutls, which libcurl
    brings along, holds the keys of its self-tests there."""
    out = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (r\S+)", line)
            if not m or "[v" in line or re.match(r"\S+ r-\S+ \S+ \S+ \S+ +(/usr)?/lib/", line):
                continue
            start, end = int(m[1], 16), int(m[2], 16)
            try:
                mem.seek(start)
                out.append(mem.read(end - start))
            except OSError:
                pass
    return b"".join(out)


def pem_private_keys(data):
    """The label alone is in every program that links OpenSSL; the label with base64 behind it is a key."""
    return re.findall(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=]{16}", data)


def der_private_keys(data):
    """Offsets that look like a PKCS#8 or SEC1 private key (and parse as one)."""
    found = []
    for prefix in (rb"\x30\x81.\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48", rb"\x30\x82..\x02\x01\x00\x30\x0d",
                   rb"\x30\x77\x02\x01\x01\x04\x20", rb"\x30\x82..\x02\x01\x00\x02\x82"):
        for m in re.finditer(prefix, data, re.S):
            try:
                serialization.load_der_private_key(data[m.start():m.start() + 3000], None)
                found.append(m.start())
            except ValueError as e:  # trailing data is an error too: cut by the length in the head
                length = data[m.start() + 1]
                size = 2 + length if length < 128 else 3 + data[m.start() + 2] if length == 0x81 else \
                    4 + int.from_bytes(data[m.start() + 2:m.start() + 4], "big")
                try:
                    serialization.load_der_private_key(data[m.start():m.start() + size], None)
                    found.append(m.start())
                except ValueError:
                    del e
    return found


@pytest.fixture
def busy(sealpost, sink):
    """A set with one canary queued and one delivered."""
    word = secrets.token_hex(10)
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    sealpost.start("keyd", "relay", "milter")
    send_canary(sealpost, word)
    sink.wait_for(1)
    sealpost.wait_empty()
    sink.stop()
    send_canary(sealpost, word)
    harness.wait_for("it to be queued", sealpost.queue)
    sealpost.word = word
    return sealpost


def test_no_canary_in_any_file(busy):
    assert harness.find_bytes(busy.files(), [busy.word.encode(), busy.word.encode()[2:18]]) == []


def test_no_private_key_in_any_file(busy):
    for path in busy.files():
        with open(path, "rb") as f:
            data = f.read()
        assert not pem_private_keys(data), path
        assert der_private_keys(data) == [], path


def test_the_search_would_find_a_private_key(place):
    """The control: a key in DER, in the middle of noise, is found."""
    _, key = harness.self_signed(place, "control")
    der = subprocess.run(["openssl", "pkey", "-in", key, "-outform", "DER"], check=True, capture_output=True).stdout
    pkcs8 = subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER"], check=True, capture_output=True).stdout
    noise = os.urandom(5000)
    assert der_private_keys(noise + pkcs8 + noise)
    assert der_private_keys(noise + der + noise)
    with open(key, "rb") as f:
        assert pem_private_keys(noise + f.read() + noise)
    assert der_private_keys(noise) == []


@root_only
def test_daemons_leave_no_core_file_even_when_the_limit_allows_one(busy, place):
    import signal
    cwd = os.path.join(place, "cores")
    os.makedirs(cwd)
    os.chmod(cwd, 0o777)
    for p in (busy.relay, busy.keyd, busy.milter):
        p.stop()
    for p in (busy.keyd, busy.relay, busy.milter):
        p.limits = [(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))]
        old = os.getcwd()
        os.chdir(cwd)
        try:
            p.start()
        finally:
            os.chdir(old)
    for p in (busy.milter, busy.relay, busy.keyd):
        p.signal(signal.SIGABRT)
        p.child.wait(20)
    assert os.listdir(cwd) == []


@root_only
def test_other_users_cannot_read_proc(busy):
    """Neither a stranger nor even the same user gets at memory, environment, maps or descriptors."""
    for p in (busy.keyd, busy.relay, busy.milter):
        for uid in (busy.uid + 1, busy.uid):
            for name in ("mem", "environ", "maps", "fd", "auxv", "stack", "syscall", "io"):
                target = f"/proc/{p.pid}/{name}"
                r = subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "sh", "-c",
                                    f"ls {target}/ >/dev/null 2>&1 && test -d {target} || head -c1 {target}"],
                                   capture_output=True)
                assert r.returncode != 0, (p.name, uid, name, r)


@root_only
def test_relays_memory_holds_no_private_key_and_no_master_key(busy, place, parts):
    image = memory(busy.relay.pid)
    assert len(image) > 1 << 20
    assert der_private_keys(image) == []
    assert not pem_private_keys(image)
    with open(busy.path("keyd", "root.key"), "rb") as f:
        root_slot = f.read()
    assert root_slot[:32] not in image
    # what keyd holds in its locked memory and relay must not: every 32-byte secret of keyd's arena that is not
    # an object key relay was given. The scalar of the TLS key, the root, KEKs and DEKs are among them.
    # What a keyd with keys of its own holds as well is no secret: published examples of the self-tests, constants
    # of the curves, both of which OpenSSL leaves in its locked heap. Nor is the public key.
    other = harness.Sealpost(os.path.join(place, "other"))
    parts.append(other)
    other.start()
    with smtplib.SMTP("127.0.0.1", other.smtp_port) as c:
        c.starttls()  # so that it has signed, too
    public = memory_of_locked(other.keyd.pid) + point_of(busy.read("relay.pem"))
    shared = secrets_in_common(memory_of_locked(busy.keyd.pid), image)
    assert [k for k in shared if bytes.fromhex(k) not in public] == []


def point_of(certificate):
    """The public key's two numbers, as they are written and as OpenSSL holds them: in Montgomery's form, too."""
    p256 = 2 ** 256 - 2 ** 224 + 2 ** 192 + 2 ** 96 - 1
    n = x509.load_pem_x509_certificate(certificate.encode()).public_key().public_numbers()
    return b"".join(v.to_bytes(32, order) for x in (n.x, n.y) for v in (x, x * 2 ** 256 % p256)
                    for order in ("big", "little"))


def memory_of_locked(pid):
    """keyd's secret arena: the mappings that are locked and excluded from dumps."""
    out = []
    with open(f"/proc/{pid}/smaps") as f, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        start = end = 0
        for line in f:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
            if m:
                start, end = int(m[1], 16), int(m[2], 16)
            if line.startswith("VmFlags:") and " lo" in line and " dd" in line:
                mem.seek(start)
                out.append(mem.read(end - start))
    assert out, "keyd has no locked memory"
    return b"".join(out)


def secrets_in_common(arena, image):
    """32-byte blocks of the arena that look like keys and lie in the image too. Pieces of the arena are aligned to 32."""
    blocks = [arena[i:i + 32] for i in range(0, len(arena) - 32, 16)]
    keys = [b for b in blocks if len(set(b)) >= 20 and b.count(0) < 4]
    assert len(keys) >= 10, "the arena holds no keys: the test looks in the wrong place"
    return [k.hex() for k in keys if k in image]
