# SPDX-License-Identifier: Apache-2.0
"""Campaigns for tests of sealpost-milter: manifests and messages made of the same templates, a keyd that signs them, and
relay's local API as far as the milter asks it. What is served can be spoiled, which a real relay would not do."""
import base64
import hashlib
import hmac
import json
import os
import re
import socketserver
import struct
import threading
from http.server import BaseHTTPRequestHandler

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import milter_mta as mm

ED25519 = 3
RAW = dict(encoding=serialization.Encoding.DER, format=serialization.PublicFormat.SubjectPublicKeyInfo)
REVOKED_HEAD = "sealpost-revoked-1\n"
HTML = """<html><body>
<p>Dear {{name}},</p>
<p>our <a href="https://shop.example/spring?c={{code}}">spring offers</a> are here.</p>
<p><a href="https://shop.example/all">Everything</a></p>
</body></html>
"""
TEXT = """Dear {{name}},

our spring offers are here: see https://shop.example/all

The shop
"""


class Keyd(mm.Keyd):
    """Knows also what campaigns need."""

    def __init__(self, path, customers):
        super().__init__(path, customers)
        self.key = Ed25519PrivateKey.generate()
        self.revoked = []
        self.counter = 0
        self.audience_asked = 0

    @property
    def spki(self):
        return self.key.public_key().public_bytes(**RAW)

    def list_text(self):
        return REVOKED_HEAD + "".join(sorted(line + "\n" for line in self.revoked)) if self.counter else ""

    def revoke(self, line):
        self.revoked.append(line)
        self.counter += 1

    def audience(self, customer, address):
        return hmac.new(self.key_of(customer), address.lower().encode(), hashlib.sha256).digest()[:16]

    @staticmethod
    def key_of(customer):
        return hashlib.sha256(b"audience of " + customer.encode()).digest()

    def sign(self, c, digest=None):
        text = "".join(f"{k} {v}\n" for k, v in (
            ("customer", c.customer), ("campaign", c.name), ("version", c.version),
            ("hash", (digest or c.hash).hex()), ("author", c.author), ("approver", c.approver)))
        return self.key.sign(("sealpost-manifest-1\n" + text).encode())

    def handle(self, op, body):
        if op in (1, 22):
            return super().handle(op, body)
        if self.state != mm.READY:
            return 4, b""
        return {24: self.public_key, 30: self.checkpoint_last, 62: self.track_key, 63: self.audience_key}[op](body)

    def audience_key(self, body):
        self.audience_asked += 1
        return 0, struct.pack(">H", 32) + self.key_of(body[1:].decode())

    def public_key(self, body):
        label = body[2:].decode()
        if not re.fullmatch(r"manifest/[a-z]+#1", label):
            return 2, b""
        return 0, bytes([ED25519]) + struct.pack(">H", len(self.spki)) + self.spki

    def checkpoint_last(self, body):
        assert body[2:] == b"revoked"
        if not self.counter:
            return 2, b""
        digest = hashlib.sha256(self.list_text().encode()).digest()
        return 0, struct.pack(">QQ", self.counter, len(self.revoked)) + digest + struct.pack(">I", 1) + bytes(64) + self.spki

    def track_key(self, body):
        n = body[0]
        return 0, struct.pack(">H", 32) + hashlib.sha256(b"track" + body[1:1 + n] + body[1 + n:]).digest()


class Campaign:
    """parts: [(type, template)] of a multipart/alternative, or one. Field types are by name."""

    FIELDS = {"name": {"type": "name", "max": 64, "ctx": "text"}, "code": {"type": "code", "max": 16, "ctx": "url-query"}}

    def __init__(self, name="cmp_01", version=3, number=7, customer="shop", parts=(("text/plain", TEXT), ("text/html", HTML)),
                 subject="Offers for {{name}}", track=None, attachment=None, **more):
        self.name, self.version, self.number, self.customer = name, version, number, customer
        self.author, self.approver = "anna", "erika"
        self.parts, self.subject, self.attachment = list(parts), subject, attachment
        self.state = "active"
        self.audience, self.apart = b"", False
        self.blobs, templates, self.used = [], [], set()
        for text in [subject] + [t for _, t in self.parts]:
            blob, ops = self.cut(text)
            self.blobs.append(blob)
            templates.append({"sha256": hashlib.sha256(blob).hexdigest(), "ops": ops})
        self.manifest = {
            "v": 1, "customer": customer, "campaign": name, "version": version, "number": number, "author": self.author,
            "mode": "template", "valid": {"from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"},
            "max_messages": 1000000,
            "headers": {"from": {"addr": "a@shop.example", "name": "Shop"}, "reply_to": None, "subject": "tpl:0",
                        "list_id": None, "extra_allow": []},
            "mime": self.tree(track), "templates": templates,
            "fields": {k: v for k, v in self.FIELDS.items() if k in self.used},
            "links": list(self.links()), "hosts": ["shop.example"],
            "attachments": [{"type": attachment[0], "name": attachment[1], "size": len(attachment[2]),
                             "sha256": hashlib.sha256(attachment[2]).hexdigest()}] if attachment else [],
            "audience": None, "track": track}
        self.manifest.update(more)

    def cut(self, text):
        """The template's blob, and its ops."""
        blob, ops = b"", []
        for i, piece in enumerate(re.split(r"{{(\w+)}}", text.rstrip("\n"))):
            if i % 2:
                ops.append(["fld", piece])
                self.used.add(piece)
            elif piece:
                ops.append(["lit", len(blob), len(piece.encode())])
                blob += piece.encode()
        return blob, ops

    def tree(self, track):
        rows, depth = [], 0
        if self.attachment:
            rows.append({"d": 0, "type": "multipart/mixed"})
            depth = 1
        if len(self.parts) > 1:
            rows.append({"d": depth, "type": "multipart/alternative"})
            depth += 1
        for i, (kind, _) in enumerate(self.parts):
            row = {"d": depth, "type": kind, "charset": "utf-8", "tpl": i + 1}
            if track and kind == "text/html":
                row["pixel_at"] = self.blobs[i + 1].index(b"</body>")
            rows.append(row)
        if self.attachment:
            rows.append({"d": 1, "type": self.attachment[0], "att": 0, "disposition": "attachment"})
        return rows

    def links(self):
        n = 0
        for i, (kind, text) in enumerate(self.parts):
            if kind != "text/html":
                continue
            for m in re.finditer(r'href="([^"]*)"', text):
                before = re.sub(r"{{\w+}}", "", text[:m.start(1)]).encode()
                plain = re.sub(r"{{\w+}}", "", m[1]).encode()
                yield {"i": n, "tpl": i + 1, "span": [len(before), len(before) + len(plain)],
                       "url": re.sub(r"{{(\w+)}}", r"{\1}", m[1]), "track": True}
                n += 1

    def admit(self, keyd, *addresses):
        self.audience = b"".join(sorted(keyd.audience(self.customer, a) for a in addresses))
        self.manifest["audience"] = {"sha256": hashlib.sha256(self.audience).hexdigest(), "count": len(addresses)}

    @property
    def canonical(self):
        return json.dumps(self.manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def hash(self):
        return hashlib.sha256(self.canonical).digest()

    def bundle(self):
        def sized(data):
            return struct.pack(">I", len(data)) + data
        return b"SPCB\x01" + sized(self.canonical) + struct.pack(">H", len(self.blobs)) + \
            b"".join(map(sized, self.blobs)) + sized(b"" if self.apart else self.audience)

    def message(self, name="Anna", code="AB12", headers=(), rcpt="b@example.test", encoding="8bit", change=None):
        """(header fields, body); change: what to do to the body before it is sent."""
        values = {"name": name, "code": code}

        def fill(text):
            return re.sub(r"{{(\w+)}}", lambda m: values[m[1]], text).replace("\n", "\r\n").encode()

        def leaf(kind, data):
            if encoding == "base64":
                data = base64.encodebytes(data).replace(b"\n", b"\r\n")
            return (f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n").encode() + data

        def multipart(kind, boundary, leaves):
            body = b"".join(b"--" + boundary + b"\r\n" + x + b"\r\n" for x in leaves) + b"--" + boundary + b"--\r\n"
            return b'Content-Type: ' + kind + b'; boundary="' + boundary + b'"\r\n\r\n' + body

        leaves = [leaf(kind, fill(text)) for kind, text in self.parts]
        entity = multipart(b"multipart/alternative", b"=alt", leaves) if len(leaves) > 1 else leaves[0]
        if self.attachment:
            kind, file, data = self.attachment
            entity = multipart(b"multipart/mixed", b"=mix", [entity, (
                f'Content-Type: {kind}; name="{file}"\r\nContent-Disposition: attachment; filename="{file}"\r\n'
                "Content-Transfer-Encoding: base64\r\n\r\n").encode() + base64.encodebytes(data).replace(b"\n", b"\r\n")])
        head, body = entity.split(b"\r\n\r\n", 1)
        fields = [("From", "Shop <a@shop.example>"), ("To", rcpt), ("Subject", fill(self.subject).decode()),
                  ("Date", "Sun, 22 Nov 2026 07:40:43 +0000"), ("Message-ID", "<1@shop.example>"), ("MIME-Version", "1.0")]
        fields += [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
        return fields + list(headers), (change or (lambda b: b))(body)


class Api:
    """Relay's local API for the milter. spoil: {"bundle" | "campaigns": what to do to an answer}."""

    def __init__(self, path, keyd, campaigns=()):
        self.path, self.keyd, self.campaigns = path, keyd, list(campaigns)
        self.spoil = {}
        self.reports, self.asked = [], []
        self.granted = {}  # name of a campaign: how many messages
        self.blocks = {}  # name of a block: its campaign's, and how many
        self.slice = 48 * 16000  # octets of an audience in one answer
        self.server = None

    def start(self):
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self):
                return "unix"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(None)

            def do_POST(self):
                self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def answer(self, body):
                status, data = api.handle(self.path, body)
                data = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = True

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        if os.path.exists(self.path):
            os.unlink(self.path)
        self.server = Server(self.path, Handler)
        os.chmod(self.path, 0o777)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    kill = stop

    def find(self, q):
        for c in self.campaigns:
            if (c.customer, c.name, c.version) == (q["customer"], q["campaign"], q["version"]):
                return c
        return None

    def handle(self, path, body):
        self.asked.append(path)
        what = path.rsplit("/", 1)[1]
        status, answer = {"campaigns": self.listing, "bundle": self.bundle, "audience": self.audience, "take": self.take,
                          "return": self.take_back, "reports": self.take_reports}[what](body)
        return status, self.spoil.get(what, lambda a: a)(answer)

    def milter_items(self):
        return [{"customer": c.customer, "campaign": c.name, "version": c.version, "number": c.number, "state": c.state,
                 "hash": c.hash.hex()} for c in self.campaigns if c.state in ("active", "paused")]

    def listing(self, _):
        return 200, {"revision": 1, "items": self.milter_items(),
                     "revoked": {"counter": self.keyd.counter, "list": self.keyd.list_text()}}

    def bundle(self, q):
        c = self.find(q)
        if not c:
            return 404, {"detail": "no such version"}
        return 200, {"bundle": base64.b64encode(c.bundle()).decode(), "author": c.author, "approver": c.approver,
                     "key_version": 1, "signature": base64.b64encode(self.keyd.sign(c)).decode()}

    def audience(self, q):
        c = self.find(q)
        return (200, {"audience": base64.b64encode(c.audience[q["from"]:q["from"] + self.slice]).decode()}) if c else (404, {})

    def take(self, q):
        c = self.find(q)
        used = self.granted.get(c.name, 0)
        n = min(q["count"], c.manifest["max_messages"] - used)
        self.granted[c.name] = used + n
        self.blocks.pop(q.get("spent"), None)
        block = os.urandom(16).hex()
        self.blocks[block] = c.name, n
        return 200, {"granted": n, "grant": block}

    def take_back(self, q):
        returned = 0
        for item in q["items"]:
            name, n = self.blocks.pop(item["grant"])
            assert 0 < item["unused"] <= n
            self.granted[name] -= item["unused"]
            returned += item["unused"]
        return 200, {"returned": returned}

    def take_reports(self, q):
        self.reports += q["items"]
        return 200, {"taken": len(q["items"])}
