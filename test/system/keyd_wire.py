# SPDX-License-Identifier: Apache-2.0
"""keyd's protocol spoken from Python with struct alone, byte for byte as sealpost-keyproto(7) has it: a second
implementation, so that a mistake shared by both ends of the C code shows."""
import json
import socket
import struct
from collections import namedtuple

OPS = {"hello": 1, "status": 2, "derive-new": 16, "derive-existing": 17, "seal-fields": 18, "open-fields": 19,
       "blind-index": 20, "mac": 21, "verify-mac": 22, "sign": 23, "public-key": 24, "witness": 25,
       "reseal-fields": 26, "customer-keys": 27, "dek-empty": 28, "checkpoint": 29, "checkpoint-last": 30,
       "key-versions": 31, "init": 32, "unseal": 33, "lock": 34,
       "customer-add": 35, "key-add": 36, "key-list": 37, "slot-add": 38, "slot-remove": 39, "slot-test": 40,
       "unseal-cancel": 41, "rotate": 42, "rotation": 43, "schedule": 44, "shred": 45, "shreds": 46, "backup": 47,
       "backup-forget": 48, "restore": 49, "selftest": 51, "zeroize": 52, "accept": 53, "audit-read": 54,
       "approve": 55, "proposals": 56, "withdraw": 57, "manifest-sign": 58, "approver-add": 59,
       "approver-remove": 60, "approvers": 61, "track-key": 62, "audience-key": 63, "event": 64}
ROLES = {"relay": 1, "milter": 2, "officer": 3, "operator": 4, "auditor": 5}
PURPOSES = {"spool": 1, "field": 2, "index": 3, "cred": 4, "asset": 5, "export": 6, "track": 7, "hmac": 8}
ALGS = {"ES256": 1, "RS256": 2, "RS384": 3, "RS512": 4, "PS256": 5, "PS384": 6, "PS512": 7, "Ed25519": 8}
TYPES = {"ec-p256": 1, "rsa-2048": 2, "ed25519": 3}
METHODS = {"any": 0, "file": 1, "passphrase": 2, "credential": 3, "shares": 4, "token": 5}
DEK_ACTIVE, DEK_RETIRED = 2, 3
STATES = {1: "empty", 2: "locked", 3: "ready", 4: "error"}
(OK, E_DENIED, E_NOTFOUND, E_AUTH, E_LOCKED, E_BUSY, E_LIMIT, E_EXISTS, E_STATE, E_ARGUMENT, E_INTERNAL,
 E_MORE, E_QUORUM, E_GONE, E_ROLLBACK) = range(15)
HEAD = struct.Struct(">HHIQII")

Frame = namedtuple("Frame", "op request status epoch body")
Derived = namedtuple("Derived", "status keyref salt key")
Dek = namedtuple("Dek", "customer keyref version state created changed")
Version = namedtuple("Version", "version type state created changed spki")
Checkpoint = namedtuple("Checkpoint", "counter rows digest version signature spki")


class Refused(Exception):
    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


def b8(data):
    return struct.pack(">B", len(data)) + data


def b16(data):
    return struct.pack(">H", len(data)) + data


def text(s):
    return s if isinstance(s, bytes) else s.encode()


def frame(op, request, body=b"", status=0, version=1, epoch=0):
    return HEAD.pack(version, OPS.get(op, op), len(body), request, status, epoch) + body


class Client:
    def __init__(self, path, role=None, program="test", timeout=20):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.next = 1
        self.pushes = []
        self.rest = b""
        if role:
            self.hello(role, program)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, op, body=b"", **more):
        request, self.next = self.next, self.next + 1
        self.sock.sendall(frame(op, request, body, **more))
        return request

    def read(self):
        """The next frame; None when the connection has ended."""
        while True:
            if len(self.rest) >= HEAD.size:
                version, op, n, request, status, epoch = HEAD.unpack_from(self.rest)
                assert version == 1 and n <= 65536
                if len(self.rest) >= HEAD.size + n:
                    body, self.rest = self.rest[HEAD.size:HEAD.size + n], self.rest[HEAD.size + n:]
                    return Frame(op, request, status, epoch, body)
            try:
                more = self.sock.recv(1 << 20)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.rest += more

    def answer(self, request):
        """The answer to one request; pushes that come before it are kept."""
        while True:
            f = self.read()
            if f is None:
                raise EOFError("keyd closed the connection")
            if f.request == 0:
                assert f.op == OPS["event"]
                self.pushes.append(STATES[f.body[0]])
                continue
            assert f.request == request
            return f

    def call(self, op, body=b""):
        f = self.answer(self.send(op, body))
        assert f.op == OPS[op]
        if f.status:
            assert f.body == b""
            raise Refused(f.status)
        return f.body

    def hello(self, role, program="test", versions=(1, 1)):
        body = struct.pack(">HHB", *versions, ROLES[role]) + b8(text(program))
        reply = self.call("hello", body)
        version, state = struct.unpack_from(">HB", reply)
        assert version == 1 and len(reply) == 19
        self.state, self.store = STATES[state], reply[3:]
        return self.state

    def push(self):
        """The next pushed state."""
        if self.pushes:
            return self.pushes.pop(0)
        f = self.read()
        assert f.request == 0 and f.op == OPS["event"]
        return STATES[f.body[0]]

    def status(self):
        return json.loads(self.call("status"))

    def init(self, *slots):
        """(id of the shares slot, [its shares])."""
        return made(self.call("init", struct.pack(">H", len(slots)) + b"".join(slot(*s) for s in slots)))

    def slot_add(self, new, opener=("any",), name="", need=0, of=0):
        """(id of the new slot, [its shares])."""
        return made(self.call("slot-add", slot(*opener) + slot(*new) + b8(text(name)) + bytes([need, of])))

    def slot_remove(self, number):
        self.call("slot-remove", struct.pack(">I", number))

    def slot_test(self, number, secret=b""):
        self.call("slot-test", struct.pack(">I", number) + b16(text(secret)))

    def unseal(self, method, secret=b""):
        self.call("unseal", slot(method, secret))

    def lock(self):
        self.call("lock")

    def customer_add(self, name):
        self.call("customer-add", b16(text(name)))

    def key_add(self, label, kind):
        return public(self.call("key-add", b8(text(label)) + bytes([TYPES[kind]])))

    def key_list(self, start=None):
        """All pages from number start on."""
        keys = []
        while True:
            page = json.loads(self.call("key-list", b"" if start is None else struct.pack(">I", start)))
            keys += page["keys"]
            if "keys_next" not in page:
                return keys
            start = page["keys_next"]

    def versions(self, label):
        """{version: state}"""
        return {k["version"]: k["state"] for k in self.key_list() if k["label"] == label}

    def customer_keys(self, customer=""):
        """[Dek], newest first; of nobody: all older ones that are in use."""
        reply = self.call("customer-keys", b16(text(customer)))
        count, at, out = struct.unpack_from(">H", reply)[0], 2, []
        for _ in range(count):
            n = reply[at]
            name = reply[at + 1:at + 1 + n].decode()
            out.append(Dek(name, *struct.unpack_from(">IIBQQ", reply, at + 1 + n)))
            at += 1 + n + 25
        assert at == len(reply)
        return out

    def dek_empty(self, customer, keyref):
        self.call("dek-empty", b8(text(customer)) + struct.pack(">I", keyref))

    def rotate(self, what, name, flags=0):
        """what: "kek", "dek" or "key"."""
        self.call("rotate", bytes([1 + ("kek", "dek", "key").index(what)]) + b8(text(name)) + bytes([flags]))

    def rotation(self, order):
        self.call("rotation", bytes([1 + ("pause", "resume").index(order)]))

    def schedule(self, part="shards"):
        """All pages of it."""
        rows, start = [], 0
        while start is not None:
            page = json.loads(self.call("schedule", struct.pack(">BI", 1 + ("shards", "keys").index(part), start)))
            rows += page[part]
            start = page.get("next")
        return rows

    def public_key(self, label):
        return public(self.call("public-key", b16(text(label))))

    def sign(self, label, alg, data):
        return bytes16(self.call("sign", b8(text(label)) + bytes([ALGS[alg]]) + b16(data)))

    def key_versions(self, label):
        """[Version], newest first."""
        reply = self.call("key-versions", b16(text(label)))
        count, at, out = struct.unpack_from(">H", reply)[0], 2, []
        for _ in range(count):
            version, kind, state, created, changed, n = struct.unpack_from(">IBBQQH", reply, at)
            at += 24
            out.append(Version(version, {v: k for k, v in TYPES.items()}[kind],
                               (None, "next", "active", "retired", "destroyed")[state], created, changed, reply[at:at + n]))
            at += n
        assert at == len(reply)
        return out

    def checkpoint(self, counter, rows, digest, name="ledger"):
        """(version of the key, signature)"""
        reply = self.call("checkpoint", b16(text(name)) + struct.pack(">QQ", counter, rows) + digest)
        assert len(reply) == 68
        return struct.unpack_from(">I", reply)[0], reply[4:]

    def checkpoint_last(self, name="ledger"):
        reply = self.call("checkpoint-last", b16(text(name)))
        assert len(reply) == 160
        counter, rows, digest, version, signature, spki = struct.unpack(">QQ32sI64s44s", reply)
        return Checkpoint(counter, rows, digest, version, signature, spki)

    def approver_add(self, name, customer, spki):
        self.call("approver-add", b8(text(name)) + b8(text(customer)) + b16(spki))

    def approver_remove(self, name):
        self.call("approver-remove", b16(text(name)))

    def approvers(self):
        found, at = {}, 0
        while at is not None:
            page = json.loads(self.call("approvers", struct.pack(">I", at)))
            found.update({row["name"]: row for row in page["approvers"]})
            at = page["next"]
        return found

    def manifest_sign(self, customer, campaign, version, digest, author, approver, signature):
        """(version of the key, signature)"""
        reply = self.call("manifest-sign", b8(text(customer)) + b8(text(campaign)) + struct.pack(">I", version) + digest
                          + b8(text(author)) + b8(text(approver)) + b8(signature))
        assert len(reply) == 68
        return struct.unpack_from(">I", reply)[0], reply[4:]

    def audience_key(self, customer):
        return bytes16(self.call("audience-key", b8(text(customer))))

    def track_key(self, customer, epoch):
        return bytes16(self.call("track-key", b8(text(customer)) + struct.pack(">I", epoch)))

    def derive_new(self, customer, contexts, purpose="spool"):
        body = b8(text(customer)) + struct.pack(">BH", PURPOSES[purpose], len(contexts))
        return derived(self.call("derive-new", body + b"".join(b8(c) for c in contexts)))

    def derive_existing(self, items):
        """items: (customer, purpose, keyref, salt, context)"""
        body = struct.pack(">H", len(items))
        for customer, purpose, keyref, salt, context in items:
            body += b8(text(customer)) + struct.pack(">BI", PURPOSES[purpose], keyref) + salt + b8(context)
        return derived(self.call("derive-existing", body))

    def fields(self, op, customer, purpose, items, keyref=None):
        """items: (aad, data); returns (status, data) of each. keyref: of blind-index, an older DEK."""
        body = b8(text(customer)) + struct.pack(">BH", PURPOSES[purpose], len(items))
        tail = b"" if keyref is None else struct.pack(">I", keyref)
        reply = self.call(op, body + b"".join(b16(aad) + b16(data) for aad, data in items) + tail)
        count, at, out = struct.unpack_from(">H", reply)[0], 2, []
        for _ in range(count):
            status, n = struct.unpack_from(">IH", reply, at)
            out.append((status, reply[at + 6:at + 6 + n]))
            at += 6 + n
        assert at == len(reply)
        return out

    def mac(self, customer, label, data):
        return bytes16(self.call("mac", b8(text(customer)) + b8(text(label)) + b16(data) + b8(b"")))

    def verify_mac(self, customer, label, data, mac):
        self.call("verify-mac", b8(text(customer)) + b8(text(label)) + b16(data) + b8(mac))

    def shred(self, customer):
        self.call("shred", b16(text(customer)))

    def shreds(self):
        """All tombstones: {customer: row}."""
        found, at = {}, 0
        while at is not None:
            page = json.loads(self.call("shreds", struct.pack(">I", at)))
            found.update({row["customer"]: row for row in page["shreds"]})
            at = page["next"]
        return found

    def backup_begin(self, new_key):
        """(handle, size, id of the key, its secret or b"")"""
        body = self.call("backup", struct.pack(">BBQQ", 1, new_key, 0, 0))
        handle, size, key, n = struct.unpack_from(">QQIB", body)
        assert len(body) == 21 + n and n == (32 if new_key else 0)
        return handle, size, key, body[21:]

    def backup_read(self, handle, offset):
        return bytes16(self.call("backup", struct.pack(">BBQQ", 2, 0, handle, offset)))

    def backup(self, new_key=True):
        """(bytes, id of the key, its secret or b"")"""
        handle, size, key, secret = self.backup_begin(new_key)
        data = b""
        while len(data) < size:
            data += self.backup_read(handle, len(data))
        assert len(data) == size and self.backup_read(handle, size) == b""
        self.call("backup", struct.pack(">BBQQ", 3, 0, handle, 0))
        return data, key, secret

    def backup_keys(self):
        keys = json.loads(self.call("backup", struct.pack(">BBQQ", 4, 0, 0, 0)))["keys"]
        return {k["id"]: k for k in keys}

    def backup_forget(self, key):
        self.call("backup-forget", struct.pack(">I", key))

    def restore(self, data, secret, piece=48 * 1024):
        for at in range(0, len(data), piece):
            part = data[at:at + piece]
            last = secret if at + len(part) == len(data) else b""
            self.call("restore", struct.pack(">QQ", len(data), at) + b8(last) + b16(part))

    def accept(self):
        self.call("accept")


def slot(method, secret=b""):
    return bytes([METHODS[method]]) + b16(text(secret))


def checkpoint_text(counter, rows, digest, name="ledger"):
    return f"sealpost-checkpoint-1\nname {name}\ncounter {counter}\nrows {rows}\nhash {digest.hex()}\n".encode()


def made(body):
    number, count = struct.unpack_from(">IB", body)
    rest, shares = body[5:], []
    for _ in range(count):
        shares.append(rest[1:1 + rest[0]].decode())
        rest = rest[1 + rest[0]:]
    assert rest == b""
    return number, shares


def bytes16(body):
    n, = struct.unpack_from(">H", body)
    assert len(body) == 2 + n
    return body[2:]


def public(body):
    return {v: k for k, v in TYPES.items()}[body[0]], bytes16(body[1:])


def derived(body):
    count, at, out = struct.unpack_from(">H", body)[0], 2, []
    for _ in range(count):
        status, keyref = struct.unpack_from(">II", body, at)
        at += 8
        salt = key = None
        if status == 0:
            salt, key = body[at:at + 24], body[at + 24:at + 100]
            at += 100
        out.append(Derived(status, keyref, salt, key))
    assert at == len(body)
    return out
