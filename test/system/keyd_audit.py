# SPDX-License-Identifier: Apache-2.0
"""keyd's audit log read and verified from sealpost-keyd-audit(7) alone: a second implementation."""
import hashlib
import json
import os
import re
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

ANY = "generation mark branch"
DEED = ("op role uid session customer label type method slot shard keyref proposal backup state "
        "campaign version approver")
VOTE = "proposal op role uid digest have need"
EVENTS = {
    "file": "file prev store", "audit-key": "key public label version", "checkpoint": "upto key sig",
    "cut": "bytes", "damage": "file line why", "room": "state", "gap": "why count",
    "start": "state", "stop": "state", "config": "what count", "state": "from to why",
    "intent": DEED, "outcome": DEED + " of status", "use": "op role uid subject count failed",
    "use-more": "count failed", "sessions": "role uid count", "denied": "op role uid count",
    "unseal": "method slot uid result have need", "tamper": "what count", "tamper-lock": "what count",
    "proposed": VOTE, "approved": VOTE, "withdrawn": VOTE, "expired": VOTE,
    "kek": "shard version state", "rewrapped": "shard version count", "dek": "customer keyref version state",
    "signing-key": "label version type state", "shred": "customer state why count token",
    "slot": "slot method state", "backup": "backup state bytes", "restore": "backup state count",
    "rollback": "seen source state count", "selftest": "result why", "zeroize": "result what count bytes",
    "approver": "approver customer type digest state",
    "manifest": "customer campaign version digest author approver result label",
}
WORDS = set("op role session result customer label subject type method state from to what source campaign".split())
HEX = set("prev store key public sig digest branch token".split())


class Bad(Exception):
    def __init__(self, file, line, reason):
        super().__init__(f"file {file}, line {line}: {reason}")
        self.file, self.line, self.reason = file, line, reason


def names(directory):
    return sorted(n for n in os.listdir(directory) if re.fullmatch(r"audit-\d{6,}\.log", n))


def read(directory):
    """[(number, bytes)] of all files."""
    files = []
    for name in names(directory):
        with open(os.path.join(directory, name), "rb") as f:
            files.append((int(name[6:-4]), f.read()))
    return files


def lines(directory):
    """All lines as dictionaries, without a look at the chain."""
    return [json.loads(line) for _, data in read(directory) for line in data.splitlines()]


def check_line(raw):
    """The line as a dictionary; ValueError if it is not exactly as the page has it."""
    line = json.loads(raw, object_pairs_hook=lambda pairs: pairs)
    keys = [k for k, _ in line]
    if len(set(keys)) != len(keys) or keys[:3] != ["seq", "time", "event"] or keys[-1] != "hash":
        raise ValueError("members")
    d = dict(line)
    if json.dumps(d, separators=(",", ":")).encode() != raw:
        raise ValueError("written in another way")
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", d["time"]):
        raise ValueError("time")
    allowed = (EVENTS[d["event"]] + " " + ANY).split()
    for key, value in line[3:-1]:
        if key not in allowed:
            raise ValueError(f"{d['event']} has no {key}")
        if key in WORDS:
            good = re.fullmatch(r"[A-Za-z0-9._/#-]{0,96}", value)
        elif key in HEX:
            good = re.fullmatch(r"[0-9a-f]{0,256}", value)
        elif key in ("why", "approver", "author"):
            good = isinstance(value, str) and len(value) <= 160
        else:
            good = type(value) is int and 0 <= value < 1 << 63
        if not good:
            raise ValueError(key)
    return d


class Verifier:
    def __init__(self, trusted=()):
        """trusted: public keys in DER."""
        self.trusted = {self.name(k): k for k in trusted}
        self.known = dict(self.trusted)
        self.seq, self.chain, self.file, self.store = None, bytes(32), None, ""
        self.signed = 0
        self.lines = []

    @staticmethod
    def name(spki):
        return hashlib.sha256(spki).hexdigest()[:16]

    def checkpoint(self, d, before):
        if d["key"] not in self.known or d["upto"] != d["seq"] - 1:
            raise ValueError("key")
        if self.signed and d["key"] not in self.trusted:
            raise ValueError("nobody vouches for that key")
        data = (b"sealpost audit checkpoint 1\0" + self.store.encode() + b"\0"
                + struct.pack(">Q", d["upto"]) + before)
        try:
            serialization.load_der_public_key(self.known[d["key"]]).verify(bytes.fromhex(d["sig"]), data)
        except InvalidSignature:
            raise ValueError("signature")
        if d["key"] in self.trusted:
            self.signed = d["seq"]
            self.trusted.update(self.known)

    def line(self, number, at, raw):
        d = check_line(raw)
        if (d["event"] == "file") != (at == 1):
            raise ValueError("first line")
        if at == 1:
            if d["file"] != number:
                raise ValueError("another file")
            if self.seq is None:
                self.seq, self.chain = d["seq"] - 1, bytes.fromhex(d["prev"])
                if number == 1 and (self.seq or any(self.chain)):
                    raise ValueError("not the beginning")
            elif bytes.fromhex(d["prev"]) != self.chain:
                raise ValueError("does not continue")
            self.store = d["store"]
        if d["seq"] != self.seq + 1:
            raise ValueError("number")
        before = self.chain
        covered = raw[:raw.rindex(b',"hash":')]
        self.chain = hashlib.sha256(before + covered).digest()
        if self.chain.hex() != d["hash"]:
            raise ValueError("hash")
        if d["event"] == "audit-key":
            self.known.setdefault(d["key"], bytes.fromhex(d["public"]))
        if d["event"] == "checkpoint":
            self.checkpoint(d, before)
        self.seq = d["seq"]
        self.lines.append(d)

    def feed(self, number, data):
        if self.file is not None and number != self.file + 1:
            raise Bad(number, 1, "a file is missing")
        self.file = number
        whole, _, rest = data.rpartition(b"\n")
        at = 0
        for at, raw in enumerate(whole.split(b"\n") if whole else [], 1):
            try:
                self.line(number, at, raw)
            except (ValueError, KeyError, TypeError) as e:
                raise Bad(number, at, repr(e))
        if rest or not at:
            raise Bad(number, at + 1, "not complete")


def verify(files, trusted=()):
    v = Verifier(trusted)
    for number, data in files:
        v.feed(number, data)
    return v
