# SPDX-License-Identifier: Apache-2.0
"""keyd's store read from Python, byte for byte as sealpost-keyd-store(7) has it: a second implementation, with which
tests know what keyd's secrets are, and look for them where they must not be."""
import ctypes
import hashlib
import hmac
import struct
from collections import namedtuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def hkdf(key, info, size=32, digest=hashes.SHA256()):
    return HKDFExpand(digest, size, info).derive(key)


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def b16(data):
    return struct.pack(">H", len(data)) + data


def unwrap(key, wrapped, aad):
    return AESGCM(key).decrypt(wrapped[:12], wrapped[12:], aad)


STATES = {1: "next", 2: "active", 3: "retired", 4: "destroyed"}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, n):
        assert self.at + n <= len(self.data)
        self.at += n
        return self.data[self.at - n:self.at]

    def u(self, size):
        return int.from_bytes(self.raw(size), "big")

    def bytes(self, prefix):
        return self.raw(self.u(prefix))

    def rest(self):
        return self.data[self.at:]


METHODS = {1: "file", 2: "passphrase", 3: "credential", 4: "shares", 5: "token"}
Slot = namedtuple("Slot", "id method created name parameters wrapped head")


def read_slot(data):
    r = Reader(data)
    slot_id, method, created, name = r.u(4), METHODS[r.u(1)], r.u(8), r.bytes(1).decode()
    parameters = {"file": lambda: (),
                  "passphrase": lambda: (r.u(4), r.u(4), r.u(4), r.raw(16)),
                  "credential": lambda: (r.raw(16),),
                  "shares": lambda: (r.u(1), r.u(1), r.raw(8)),
                  "token": lambda: (r.bytes(2).decode(), r.u(1), r.bytes(2))}[method]()
    wrapped = r.raw(60)
    assert r.rest() == b""
    return Slot(slot_id, method, created, name, parameters, wrapped, data[:-60])


def argon2id(passphrase, passes, memory_kib, lanes, salt):
    out = ctypes.create_string_buffer(32)
    function = ctypes.CDLL("libargon2.so.1").argon2id_hash_raw
    n, data = ctypes.c_size_t, ctypes.c_char_p
    function.argtypes = [ctypes.c_uint32] * 3 + [data, n, data, n, data, n]
    assert function(passes, memory_kib, lanes, passphrase, len(passphrase), salt, len(salt), out, 32) == 0
    return out.raw


def slot_key(slot, secret):
    """secret: what opens the slot. Of shares and token it is the key itself: see keyd_shares.combine."""
    if slot.method == "passphrase":
        return argon2id(secret, *slot.parameters)
    if slot.method == "credential":
        return mac(slot.parameters[0], b"sealpost-slot-credential-1", secret)
    return secret


class Store:
    """Opens by the first slot of a method; everything must verify."""

    def __init__(self, snapshot, journal, secret, method="file", anchor=None):
        r = Reader(snapshot[:-32])
        assert r.raw(16) == b"sealpost-keys-v1" and r.u(4) == 2
        self.id, self.generation, self.made = r.raw(16), r.u(8), r.u(8)
        self.restored, self.anchor_id, self.anchored, self.next_slot = r.u(1), r.raw(16), r.u(8), r.u(4)
        self.slots = [read_slot(r.bytes(2)) for _ in range(r.u(1))]
        ids = [s.id for s in self.slots]
        assert len(set(ids)) == len(ids) and 0 < min(ids) and max(ids) < self.next_slot
        slot = next(s for s in self.slots if s.method == method)
        self.root = unwrap(slot_key(slot, secret), slot.wrapped, self.aad("slot") + slot.head)
        self.base_key = self.kek_key = hkdf(self.root, b"sealpost-root-1 kek wrap")
        if anchor:
            self.kek_key = hkdf(self.base_key, b"sealpost-anchor-1 kek wrap" + anchor)
        self.key_key = hkdf(self.root, b"sealpost-root-1 key wrap")
        self.snapshot_key = hkdf(self.root, b"sealpost-root-1 snapshot mac")
        self.journal_key = hkdf(self.root, b"sealpost-root-1 journal mac")
        self.tombstone_key = hkdf(self.root, b"sealpost-root-1 tombstone mac")
        assert mac(self.snapshot_key, snapshot[:-32]) == snapshot[-32:]
        self.keks, self.deks, self.starts = {}, {}, []
        self.versions = {}  # of signing keys: {(label, version): (state, private key or None)}
        self.dek_states, self.newest, self.wrapped, self.dek_wraps = {}, {}, {}, {}
        self.tombs, self.backups = {}, {}
        self.kek_states, self.wrapped_by, self.identity, self.notes = {}, {}, {}, {}
        self.approvers, self.tracks = {}, {}
        first = True
        while kind := r.u(1):
            assert (kind == 1) == first
            first = False
            self.take(kind, r.bytes(4))
        assert r.rest() == b""
        if journal is not None:
            self.read_journal(journal, snapshot[-32:])

    def aad(self, kind):
        return b16(b"sealpost-keyd-1") + b16(self.id) + b16(kind.encode())

    def take(self, kind, body):
        {1: self.counters, 2: self.kek, 3: self.dek, 4: self.key, 5: self.rewrap, 6: self.kek_state,
         7: self.dek_state, 8: self.key_state, 9: self.tombstone, 10: self.start, 11: self.backup, 12: self.note,
         13: self.approver, 14: self.track}[kind](Reader(body))

    @staticmethod
    def state(r, *lawful):
        state, created, changed = r.u(1), r.u(8), r.u(8)
        assert STATES[state] in lawful and created <= changed
        return created

    def counters(self, r):
        self.next_keyref, self.root_wraps, self.key_wraps, self.sequence = r.u(4), r.u(8), r.u(8), r.u(8)
        assert r.rest() == b""

    def kek(self, r):
        shard, version, generation, uses = r.u(1), r.u(4), r.u(8), r.u(8)
        at = r.at
        self.state(r, "active", "retired")
        self.kek_states[shard, version] = STATES[r.data[at]]
        wrapped = r.raw(60)
        assert r.rest() == b""
        aad = self.aad("kek") + struct.pack(">BIQ", shard, version, generation)
        self.keks[shard, version] = unwrap(self.kek_key, wrapped, aad)

    def dek(self, r):
        keyref, customer, version, kek_version, generation = r.u(4), r.bytes(1), r.u(4), r.u(4), r.u(8)
        state = STATES[r.data[r.at]]
        self.state(r, "active", "retired")
        wrapped = r.raw(60)
        assert r.rest() == b""
        if customer.decode() in self.tombs:
            return
        assert keyref > self.newest.get(customer.decode(), 0)
        self.newest[customer.decode()], self.dek_states[keyref], self.dek_wraps[keyref] = keyref, state, wrapped
        self.unwrap_dek(keyref, customer, version, kek_version, generation, wrapped)

    def unwrap_dek(self, keyref, customer, version, kek_version, generation, wrapped):
        shard = hashlib.sha256(customer).digest()[0]
        self.identity[keyref], self.wrapped_by[keyref] = (customer, version), (shard, kek_version)
        aad = (self.aad("dek") + struct.pack(">I", keyref) + b16(customer) +
               struct.pack(">IBIQ", version, shard, kek_version, generation))
        self.deks[keyref] = customer.decode(), unwrap(self.keks[shard, kek_version], wrapped, aad)

    def rewrap(self, r):
        shard, version, count = r.u(1), r.u(4), r.u(2)
        assert 1 <= count <= 2048 and version == max(v for s, v in self.keks if s == shard)
        last = 1 << 32
        for _ in range(count):
            keyref, generation, wrapped = r.u(4), r.u(8), r.raw(60)
            before = self.deks[keyref]
            assert keyref < last and self.wrapped_by[keyref][0] == shard and self.wrapped_by[keyref][1] < version
            last = keyref
            self.unwrap_dek(keyref, *self.identity[keyref], version, generation, wrapped)
            assert self.deks[keyref] == before  # the key is the same
        assert r.rest() == b""

    def kek_state(self, r):
        shard, version, state, _ = r.u(1), r.u(4), STATES[r.u(1)], r.u(8)
        assert r.rest() == b"" and state in ("retired", "destroyed")
        assert (shard, version) in self.keks and (shard, version) not in self.wrapped_by.values()
        assert version < max(v for s, v in self.keks if s == shard)
        self.kek_states[shard, version] = state
        if state == "destroyed":
            del self.keks[shard, version], self.kek_states[shard, version]

    def note(self, r):
        name, value = r.bytes(1).decode(), r.bytes(2)
        assert r.rest() == b"" and len(value) <= 1024
        self.notes.pop(name, None)
        if value:
            self.notes[name] = value

    def approver(self, r):
        name, customer, added, spki = r.bytes(1).decode(), r.bytes(1).decode(), r.u(8), r.bytes(2)
        assert r.rest() == b""
        self.approvers.pop(name, None)
        if spki:
            self.approvers[name] = (customer, added, spki)

    def track(self, r):
        customer, keyref, created, wrapped = r.bytes(1), r.u(4), r.u(8), r.raw(60)
        assert r.rest() == b""
        if keyref in self.deks:  # else of a customer who is gone
            aad = self.aad("track") + b16(customer) + struct.pack(">IQ", keyref, created)
            self.tracks[customer.decode()] = unwrap(self.subkey(keyref, 7), wrapped, aad)

    def dek_state(self, r):
        keyref, state, _ = r.u(4), STATES[r.u(1)], r.u(8)
        assert r.rest() == b""
        if keyref not in self.deks:
            assert self.tombs
            return
        assert keyref != self.newest[self.deks[keyref][0]]
        assert (self.dek_states[keyref], state) in (("active", "retired"), ("retired", "destroyed"))
        self.dek_states[keyref] = state
        if state == "destroyed":
            del self.deks[keyref]

    def key_state(self, r):
        label, version, state, _ = r.bytes(1).decode(), r.u(4), STATES[r.u(1)], r.u(8)
        assert r.rest() == b""
        before, key = self.versions[label, version]
        assert (before, state) in (("next", "active"), ("next", "destroyed"), ("retired", "destroyed"))
        if state == "active":
            for other in [n for n, v in self.versions.items() if n[0] == label and v[0] == "active"]:
                self.versions[other] = "retired", self.versions[other][1]
        self.versions[label, version] = state, None if state == "destroyed" else key

    @property
    def keys(self):
        """The active ones."""
        return {label: key for (label, _), (state, key) in self.versions.items() if state == "active"}

    def key(self, r):
        label, version, kind = r.bytes(1), r.u(4), r.u(1)
        state = STATES[r.data[r.at]]
        made = self.state(r, "next", "active", "retired", "destroyed")
        generation = r.u(8)
        spki, wrapped = r.bytes(2), r.bytes(2)
        assert r.rest() == b""
        assert version > max((v for l, v in self.versions if l == label.decode()), default=0)
        assert state not in ("next", "active") or state not in [s for (l, _), (s, _) in self.versions.items()
                                                                if l == label.decode()]
        assert (state == "destroyed") == (wrapped == b"")
        if state == "destroyed":
            self.versions[label.decode(), version] = state, None
            return
        aad = (self.aad("key") + b16(label) + struct.pack(">IBQQ", version, kind, generation, made) + b16(spki))
        self.wrapped[label.decode(), version] = wrapped
        der = unwrap(self.key_key, wrapped, aad)
        key = serialization.load_der_private_key(der, None)
        assert key.public_key().public_bytes(serialization.Encoding.DER,
                                             serialization.PublicFormat.SubjectPublicKeyInfo) == spki
        self.versions[label.decode(), version] = state, key

    def start(self, r):
        sequence, branch, when, accepted = r.u(8), r.u(8), r.u(8), r.u(8)
        assert r.rest() == b"" and branch and when
        assert not self.starts or self.starts[-1][0] < sequence
        self.starts.append((sequence, branch, accepted))

    def tombstone(self, r):
        token, state, dead, changed, since = r.bytes(1), r.u(1), r.u(8), r.u(8), r.u(8)
        kek, backup = r.u(4), r.u(4)
        assert r.rest() == b"" and 1 <= state <= 6
        customer = self.token(token)
        assert self.tombs.get(customer, (0,))[0] <= state
        self.tombs[customer] = state, dead, changed, since, kek, backup
        if state >= 2:
            for keyref in [n for n, d in self.deks.items() if d[0] == customer]:
                del self.deks[keyref], self.wrapped_by[keyref]

    def token(self, token):
        r = Reader(token)
        assert r.u(1) == 1 and r.raw(16) == self.id
        customer, ordered, own = r.bytes(1), r.raw(8), r.raw(32)
        assert r.rest() == b""
        assert own == mac(self.tombstone_key, b"sealpost-tombstone-1", self.id, bytes([len(customer)]), customer,
                          ordered)
        return customer.decode()

    def backup(self, r):
        number, state, created, _, _, generation, wrapped = (r.u(4), r.u(1), r.u(8), r.u(8), r.u(8), r.u(8),
                                                             r.bytes(1))
        assert r.rest() == b"" and 1 <= state <= 3 and (state == 1) == bool(wrapped)
        aad = self.aad("backup") + struct.pack(">IQQ", number, generation, created)
        self.backups[number] = state, unwrap(self.kek_key, wrapped, aad) if wrapped else None

    def read_journal(self, data, snapshot_tag):
        r = Reader(data)
        head = r.raw(96)
        tag = r.raw(32)
        assert head == (b"sealpost-journal" + struct.pack(">I", 1) + self.id + struct.pack(">Q", self.generation) +
                        snapshot_tag + bytes(20))
        assert mac(self.journal_key, head) == tag
        number = 0
        while r.rest():
            start = r.at
            head = r.raw(16)
            length, kind, own = struct.unpack(">IIQ", head)
            assert own == number and r.raw(16) == mac(self.journal_key, b"head", tag, head)[:16]
            body = r.raw(length)
            assert not any(r.raw(-(32 + length + 32) % 64))
            whole = data[start:r.at]
            assert (len(whole) + 32) % 64 == 0
            own = r.raw(32)
            assert own == mac(self.journal_key, b"body", tag, whole)
            tag, number = own, number + 1
            self.take(kind, body)

    def subkey(self, keyref, purpose):
        return hkdf(self.deks[keyref][1], b"sealpost-subkey-1 %d" % purpose)

    def object_key(self, keyref, purpose, salt, context):
        info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
        return hkdf(self.subkey(keyref, purpose), info, 76, hashes.SHA512())

    def secrets(self, *kinds):
        """{name: bytes} of what no other file and no other process may hold: kinds of root, kek, dek, private."""
        found = {}
        if "root" in kinds:
            found.update({"root": self.root, "kek-wrapping key": self.kek_key, "key-wrapping key": self.key_key,
                          "snapshot key": self.snapshot_key, "journal key": self.journal_key})
        if "kek" in kinds:
            found.update({f"KEK {n}": k for n, k in self.keks.items()})
        if "dek" in kinds:
            found.update({f"DEK {n}": k for n, (_, k) in self.deks.items()})
        if "subkey" in kinds:
            found.update({f"sub-key {n} {p}": self.subkey(n, p) for n in self.deks for p in range(1, 9)})
        living = {label if state == "active" else f"{label}#{n}": key
                  for (label, n), (state, key) in self.versions.items() if key}
        for label, key in living.items() if "private" in kinds else ():
            for name, value in numbers(key):
                found[f"{label} {name}"] = value
                found[f"{label} {name}, as OpenSSL holds it"] = value[::-1]
        return found


def numbers(key):
    """The secret numbers of a private key, big-endian."""
    if not hasattr(key, "private_numbers"):
        return [("seed", key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
                                           serialization.NoEncryption()))]
    n = key.private_numbers()
    if hasattr(n, "private_value"):
        return [("scalar", n.private_value.to_bytes(32, "big"))]
    return [(name, getattr(n, name).to_bytes((getattr(n, name).bit_length() + 7) // 8, "big"))
            for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp")]
