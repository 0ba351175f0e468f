# SPDX-License-Identifier: Apache-2.0
"""The other two ends of sealpost-milter, for its tests: an MTA that speaks the milter protocol, and a keyd that
knows only hello, verify-mac and the state it is told to be in. Both are written from the protocols' descriptions."""
import hashlib
import hmac
import os
import socket
import struct
import threading

READY, LOCKED = 3, 2
ACTIONS_ALL, STEPS_ALL = 0x1FF, 0x1FFFFF
ADD, CHANGE, SYMLIST = 0x01, 0x10, 0x100
NOHELO, NOBODY, NOEOH, NR_HDR, NOUNKNOWN, NODATA = 0x02, 0x10, 0x40, 0x80, 0x100, 0x200
NR_CONN, NR_RCPT, LEADSPC = 0x1000, 0x8000, 0x100000
SKIP, NR_EOH, NR_BODY = 0x400, 0x40000, 0x80000
CHUNK = 65535


class Answer:
    """What came back for one command: modifications in order, and the final word."""

    def __init__(self, changes, kind, text):
        self.changes, self.kind, self.text = changes, kind, text

    @property
    def accepted(self):
        return self.kind in (b"a", b"c")

    def deleted(self):
        return [(name, index) for what, index, name, value in self.changes if what == b"m" and value == ""]

    @property
    def passed(self):
        """The message goes on, perhaps into quarantine."""
        return self.accepted

    @property
    def held(self):
        return any(c[0] == b"q" for c in self.changes)

    @property
    def body(self):
        """The body in place of the one that was given, or None."""
        pieces = [c[3] for c in self.changes if c[0] == b"b"]
        return b"".join(pieces) if pieces else None

    def added(self):
        return {name: value for what, index, name, value in self.changes if what == b"h"}

    def inserted(self):
        return [(index, name, value) for what, index, name, value in self.changes if what == b"i"]


class Mta:
    """One connection of an MTA to the milter."""

    def __init__(self, where, actions=ACTIONS_ALL, steps=STEPS_ALL, client="192.0.2.1"):
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.settimeout(20)
        self.sock.connect(where)
        if family == socket.AF_INET:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unsent = b""
        self.send(b"O", struct.pack(">III", 6, actions, steps))
        reply = self.receive()
        if reply is None:
            raise ConnectionError("the milter does not want this MTA")
        _, self.actions, self.steps = struct.unpack(">III", reply[1][:12])
        self.macros = self.parse_macros(reply[1][12:])
        if client:
            port = struct.pack(">H", 2525)
            kind = b"6" if ":" in client else b"4"
            self.send(b"C", b"host.example\0" + kind + port + client.encode() + b"\0")
        else:
            self.send(b"C", b"localhost\0U")
        if not self.steps & NR_CONN:
            self.answer()

    @staticmethod
    def parse_macros(data):
        found = {}
        while data:
            stage, data = struct.unpack(">I", data[:4])[0], data[4:]
            names, data = data.split(b"\0", 1)
            found[stage] = names.decode()
        return found

    def send(self, command, data=b""):
        self.unsent += struct.pack(">I", len(data) + 1) + command + data

    def flush(self):
        self.sock.sendall(self.unsent)
        self.unsent = b""

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                return None
            data += more
        return data

    def receive(self):
        self.flush()
        head = self.exactly(4)
        if head is None:
            return None
        data = self.exactly(struct.unpack(">I", head)[0])
        return data[:1], data[1:]

    def answer(self):
        changes = []
        while True:
            got = self.receive()
            if got is None:
                raise ConnectionError("the milter hung up")
            kind, data = got
            if kind in (b"i", b"m"):
                name, value = data[4:].rstrip(b"\0").decode().split("\0") if data[4:].count(b"\0") > 1 and \
                    not data.endswith(b"\0\0") else (data[4:].split(b"\0")[0].decode(), "")
                changes.append((kind, struct.unpack(">I", data[:4])[0], name, value))
            elif kind == b"h":
                name, value = data.rstrip(b"\0").decode().split("\0")
                changes.append((kind, 0, name, value))
            elif kind == b"b":
                changes.append((kind, 0, "", data))
            elif kind == b"q":
                changes.append((kind, 0, "", data.rstrip(b"\0").decode()))
            elif kind == b"y":
                return Answer(changes, kind, data.rstrip(b"\0").decode())
            else:
                return Answer(changes, kind, "")

    def macro(self, command, **values):
        pairs = b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in values.items())
        self.send(b"D", command + pairs)

    def mail(self, sender, login=None):
        about = {"{mail_addr}": sender.strip("<>")}
        if login is not None:
            about["{auth_authen}"] = login
        self.send(b"D", b"M" + b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in about.items()))
        self.send(b"M", sender.encode() + b"\0")
        return self.answer()

    def rcpt(self, address):
        self.send(b"R", address.encode() + b"\0")
        if not self.steps & NR_RCPT:
            return self.answer()

    def header(self, name, value):
        lead = " " if self.steps & LEADSPC else ""
        self.send(b"L", name.encode() + b"\0" + (lead + value).encode() + b"\0")
        if not self.steps & NR_HDR:
            return self.answer()

    def content(self, body):
        """End of the headers, and the body, as far as it is wanted."""
        if not self.steps & NOEOH:
            self.send(b"N")
            if not self.steps & NR_EOH:
                self.answer()
        self.sent = 0
        for at in range(0, 0 if self.steps & NOBODY else len(body), CHUNK):
            self.send(b"B", body[at:at + CHUNK])
            self.sent += len(body[at:at + CHUNK])
            if not self.steps & NR_BODY:
                a = self.answer()
                if a.kind == b"s":
                    break
                if a.kind != b"c":
                    return a
        return None

    def end(self, queue="4ABCDEF"):
        self.macro(b"E", i=queue)
        self.send(b"E")
        return self.answer()

    def message(self, sender="<a@shop.example>", recipients=("<b@example.test>",), headers=(), login=None, body=b""):
        """A whole message; the first answer that is not "go on" ends it."""
        a = self.mail(sender, login)
        if not a.accepted:
            return a
        for r in recipients:
            self.rcpt(r)
        for name, value in headers:
            self.header(name, value)
        return self.content(body) or self.end()

    def close(self):
        try:
            self.send(b"Q")
            self.flush()
        except OSError:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Keyd:
    """A keyd with one secret for each customer. silent: takes requests and never answers."""

    def __init__(self, path, customers, state=READY):
        self.path, self.customers, self.state = path, customers, state
        self.silent = False
        self.hellos = self.verified = 0
        self.listener = None
        self.open = []

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen(50)
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()
        return self

    def stop(self):
        """As if killed: every connection breaks, nothing listens."""
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for c in self.open:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open.clear()

    def push(self, state):
        self.state = state
        for c in list(self.open):
            c.sendall(struct.pack(">HHIQII", 1, 64, 1, 0, 0, 1) + bytes([state]))

    def serve(self, listener):
        while True:
            try:
                c, _ = listener.accept()
            except OSError:
                return
            self.open.append(c)
            threading.Thread(target=self.converse, args=(c,), daemon=True).start()

    def converse(self, c):
        data = b""
        try:
            while True:
                while len(data) < 24 or len(data) < 24 + struct.unpack(">I", data[4:8])[0]:
                    more = c.recv(65536)
                    if not more:
                        return
                    data += more
                _, op, n, request, _, _ = struct.unpack(">HHIQII", data[:24])
                status, reply = self.handle(op, data[24:24 + n])
                data = data[24 + n:]
                if not self.silent:
                    c.sendall(struct.pack(">HHIQII", 1, op, len(reply), request, status, 1) + reply)
        except OSError:
            pass
        finally:
            c.close()

    def handle(self, op, body):
        if op == 1:
            self.hellos += 1
            assert body == b"\0\1\0\1\2\x0fsealpost-milter"
            return 0, b"\0\1" + bytes([self.state]) + bytes(16)
        assert op == 22, op
        if self.state != READY:
            return 4, b""
        fields = []
        for size in (1, 1, 2, 1):
            length = int.from_bytes(body[:size], "big")
            fields.append(body[size:size + length])
            body = body[size + length:]
        customer, label, data, mac = fields
        assert not body and label == b"campaign/1"
        if customer.decode() not in self.customers:
            return 2, b""
        self.verified += 1
        want = hmac.new(self.customers[customer.decode()], label + b"\0" + data, hashlib.sha256).digest()
        return (0 if hmac.compare_digest(want, mac) else 3), b""
