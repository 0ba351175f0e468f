# SPDX-License-Identifier: Apache-2.0
"""A receiver whose replies the test decides, message by message, and which keeps account.

Rules are functions of a session (and of the line) that return a reply as bytes, None for the usual one, or CUT:
the connection is then reset at once. A reply that begins with 421 ends the connection after it."""
import hashlib
import re
import socket
import ssl
import struct
import threading
import time

CUT = object()
LOAD = re.compile(rb"^X-Load: \S+ (\d+) ([0-9a-f]+)\r$", re.M)


class Session:
    def __init__(self, receiver, sock, peer):
        self.receiver, self.sock, self.peer = receiver, sock, peer
        self.file = sock.makefile("rb")
        self.tls = False
        self.mail = self.hello = b""
        self.recipients = []
        self.messages = 0  # taken in this session
        self.began = time.monotonic()

    def say(self, reply):
        """False: the session is over."""
        if reply is CUT:
            self.cut()
            return False
        self.sock.sendall(reply + b"\r\n")
        return not reply.startswith((b"421", b"221"))

    def cut(self):
        """A reset, so that what is under way is lost too."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass

    def start_tls(self):
        self.file.close()
        self.sock = self.receiver.context.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile("rb")
        self.tls = True

    def data(self):
        """The message with its dots undone, or None: the client went away."""
        lines = []
        rule = self.receiver.rules.get("line")
        for line in self.file:
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)
            if rule and rule(self, len(lines)) is CUT:
                self.cut()
                return None
        return None

    def run(self):
        r = self.receiver
        if not self.say(r.ask("connect", self) or b"220 " + r.hello + b" ESMTP"):
            return
        while True:
            line = self.file.readline()  # of TLS after STARTTLS
            if not line:
                return
            line = line.rstrip(b"\r\n")
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.hello = line[5:]
                usual = b"\r\n".join([b"250-" + r.hello] + [b"250-" + x for x in r.extensions(self)] + [b"250 SIZE 268435456"])
            elif verb == b"MAIL":
                usual, self.mail, self.recipients = b"250 2.1.0 fine", line, []
            elif verb == b"RCPT":
                usual = b"250 2.1.5 fine"
            elif verb == b"DATA":
                usual = b"354 go on" if self.recipients else b"503 5.5.1 nobody to take it"
            elif verb == b"STAR":
                usual = b"220 go on" if r.context else b"502 5.5.1 no"
            elif verb == b"QUIT":
                usual = b"221 2.0.0 bye"
            else:
                usual = b"250 2.0.0 fine"
            reply = r.ask(verb.decode("ascii", "replace").lower(), self, line) or usual
            if verb == b"RCPT" and reply is not CUT and reply.startswith(b"2"):
                self.recipients.append(line)
            if not self.say(reply):
                return
            if verb == b"STAR" and reply.startswith(b"220"):
                instead = r.ask("handshake", self)
                if instead:
                    self.say(instead)
                    return
                self.start_tls()
            elif verb == b"DATA" and reply.startswith(b"354"):
                message = self.data()
                if message is None or not self.say(r.take(self, message)):
                    return


class Receiver:
    """rules: connect, ehlo, star (STARTTLS), handshake (bytes instead of it), mail, rcpt, data, line (number of the line within the data), dot."""

    def __init__(self, address="127.0.0.1", port=0, tls=None, keep=False, **rules):
        self.rules, self.keep = rules, keep
        self.hello = b"receiver.example.test"
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.lock = threading.Lock()
        self.sessions = set()
        self.most = {}  # address of the peer: connections at once
        self.log = []  # (monotonic time, what, peer's address, reply's first 3)
        self.came = {}  # number of the message: how often it was taken
        self.cut_after_dot = {}  # number: how often the answer to its final dot was cut
        self.damaged = self.unnumbered = 0
        self.kept = []  # (message, MAIL line, RCPT lines, over TLS?)
        self.socket = socket.create_server((address, port), backlog=512)
        self.address, self.port = self.socket.getsockname()[:2]
        self.stopping = False
        threading.Thread(target=self._accept, daemon=True).start()

    def extensions(self, session):
        more = [b"STARTTLS"] if self.context and not session.tls else []
        return [b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"ENHANCEDSTATUSCODES"] + more

    def _accept(self):
        while not self.stopping:
            try:
                sock, peer = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock, peer), daemon=True).start()

    def _serve(self, sock, peer):
        sock.settimeout(120)
        s = Session(self, sock, peer)
        with self.lock:
            self.sessions.add(s)
            n = sum(1 for x in self.sessions if x.peer[0] == peer[0])
            self.most[peer[0]] = max(self.most.get(peer[0], 0), n)
        try:
            s.run()
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self.sessions.discard(s)
            try:
                s.file.close()
            except OSError:
                pass
            s.sock.close()

    def ask(self, what, session, *more):
        rule = self.rules.get(what)
        reply = rule(session, *more) if rule else None
        with self.lock:
            self.log.append((time.monotonic(), what, session.peer[0],
                             "cut" if reply is CUT else (reply or b"2xx")[:3].decode()))
        return reply

    def take(self, session, message):
        reply = self.ask("dot", session, message)
        taken = reply is None or reply is CUT or reply.startswith(b"2")
        head, _, body = message.partition(b"\r\n\r\n")
        m = LOAD.search(head + b"\r\n")
        with self.lock:
            if taken and m:
                number = int(m[1])
                if hashlib.sha256(body).hexdigest()[:len(m[2])] != m[2].decode():
                    self.damaged += 1
                else:
                    self.came[number] = self.came.get(number, 0) + 1
                if reply is CUT:
                    self.cut_after_dot[number] = self.cut_after_dot.get(number, 0) + 1
            elif taken:
                self.unnumbered += 1
            if taken:
                session.messages += 1
                if self.keep:
                    self.kept.append((message, session.mail, list(session.recipients), session.tls))
        return reply or b"250 2.0.0 taken"

    def count(self, what, since=0.0):
        with self.lock:
            return sum(1 for at, kind, _, _ in self.log if kind == what and at >= since)

    def cut_all(self):
        with self.lock:
            sessions = list(self.sessions)
        for s in sessions:
            s.cut()
            try:
                s.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.stopping = True
        self.socket.close()
        self.cut_all()
