# SPDX-License-Identifier: Apache-2.0
"""Filters for tests of relay's MTA side: one that does what a test tells it, and the real rspamd and opendkim.

Peer answers every command with "continue" unless its `says` has something else for it: a list of packets, or a function
of (session, data) that gives one. A session keeps what it heard: commands in order, and the messages."""
import os
import socket
import struct
import subprocess
import threading

import harness

ALL_ACTIONS = 0x1FF
NOCONNECT, NOHELO, NOMAIL, NORCPT, NOBODY, NOHDRS, NOEOH = 1, 2, 4, 8, 0x10, 0x20, 0x40
NR_HDR, NOUNKNOWN, NODATA, SKIP = 0x80, 0x100, 0x200, 0x400
NR_CONN, NR_HELO, NR_MAIL, NR_RCPT, NR_DATA, NR_EOH, NR_BODY = 0x1000, 0x2000, 0x4000, 0x8000, 0x10000, 0x40000, 0x80000
LEADSPC = 0x100000
NO_REPLY = {b"C": NR_CONN, b"H": NR_HELO, b"M": NR_MAIL, b"R": NR_RCPT, b"T": NR_DATA, b"L": NR_HDR, b"N": NR_EOH,
            b"B": NR_BODY}


def packet(command, data=b""):
    return struct.pack(">I", len(data) + 1) + command + data


def strings(*parts):
    return b"".join(p.encode("latin-1") + b"\0" for p in parts)


CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD = (packet(c) for c in (b"c", b"a", b"r", b"t", b"d"))
PROGRESS, SKIPPED = packet(b"p"), packet(b"s")


def reply(text):
    return packet(b"y", strings(text))


def add_header(name, value):
    return packet(b"h", strings(name, value))


def insert_header(index, name, value):
    return packet(b"i", struct.pack(">I", index) + strings(name, value))


def change_header(index, name, value):
    return packet(b"m", struct.pack(">I", index) + strings(name, value))


def add_rcpt(address):
    return packet(b"+", strings(address))


def del_rcpt(address):
    return packet(b"-", strings(address))


def change_from(address):
    return packet(b"e", strings(address))


def body(data):
    return [packet(b"b", data[i:i + 65535]) for i in range(0, len(data), 65535)]


def quarantine(why):
    return packet(b"q", strings(why))


class Session:
    def __init__(self):
        self.heard = []      # (command, data)
        self.macros = {}     # of all stages
        self.at = {}         # stage: its macros
        self.headers, self.body, self.messages = [], b"", []

    def commands(self):
        return b"".join(c for c, _ in self.heard).decode()


class Peer:
    def __init__(self, where=None, actions=ALL_ACTIONS, steps=0, macros=(), says=None, keep=True):
        self.where = where or harness.free_port()
        self.actions, self.steps, self.macros, self.says, self.keep = actions, steps, macros, says or {}, keep
        self.sessions = []
        self.spec = f"unix:{where}" if where else f"inet:{self.where}@127.0.0.1"
        self.server = None
        self.open = []

    def start(self):
        self.server = socket.socket(socket.AF_UNIX if isinstance(self.where, str) else socket.AF_INET)
        if isinstance(self.where, str):
            if os.path.exists(self.where):
                os.unlink(self.where)
            self.server.bind(self.where)
            os.chmod(self.where, 0o666)
        else:
            self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.server.bind(("127.0.0.1", self.where))
        self.server.listen(50)
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def session(self, n=0):
        """The n-th that had a message (others only looked whether relay is there)."""
        return [s for s in self.sessions if "M" in s.commands()][n]

    def stop(self):
        if self.server:
            self.server.shutdown(socket.SHUT_RDWR)
            self.server.close()
            self.server = None
        for s in self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open = []

    def accept(self):
        server = self.server
        while True:
            try:
                s, _ = server.accept()
            except OSError:
                return
            self.open.append(s)
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, sock):
        session = Session()
        self.sessions.append(session)
        f = sock.makefile("rwb")
        try:
            while True:
                head = f.read(4)
                if len(head) < 4:
                    break
                data = f.read(struct.unpack(">I", head)[0])
                if not self.hear(session, f, data[:1], data[1:]):
                    break
                f.flush()
        except (OSError, ValueError):
            pass
        sock.close()

    def hear(self, session, f, command, data):
        if command == b"O":
            f.write(packet(b"O", struct.pack(">III", 6, self.actions, self.steps) +
                           b"".join(struct.pack(">I", stage) + names.encode() + b"\0" for stage, names in self.macros)))
            return True
        if command == b"D":
            parts = data[1:].split(b"\0")[:-1]
            pairs = {k.decode(): v.decode() for k, v in zip(parts[::2], parts[1::2])}
            session.macros.update(pairs)
            session.at[data[:1].decode()] = pairs
            return True
        session.heard.append((command, data if self.keep else data[:100]))
        if command == b"Q":
            return False
        if command == b"A":
            session.headers, session.body = [], b""
            return True
        if command == b"M":
            session.headers, session.body = [], b""
        elif command == b"L":
            session.headers.append(tuple(p.decode("latin-1") for p in data.split(b"\0")[:2]))
        elif command == b"B" and self.keep:
            session.body += data
        elif command == b"E":
            session.messages.append((session.headers, session.body))
        said = self.says.get(command.decode())
        if callable(said):
            said = said(session, data)
        if said is None:
            if self.steps & NO_REPLY.get(command, 0):
                return True
            said = [CONTINUE]
        for p in said:
            if p is None:
                return False  # hangs up
            f.write(p)
        return True


# --- the real ones

class Opendkim:
    """opendkim from Debian, signing for one domain with a key of its own."""

    def __init__(self, directory, domain="shop.example", selector="s1"):
        os.makedirs(directory, exist_ok=True)
        self.port = harness.free_port()
        self.spec = f"inet:{self.port}@127.0.0.1"
        self.domain, self.selector = domain, selector
        self.key = os.path.join(directory, "key.pem")
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        der = subprocess.run(["openssl", "rsa", "-in", self.key, "-pubout", "-outform", "PEM"], check=True,
                             capture_output=True, text=True).stdout
        self.record = "v=DKIM1; k=rsa; p=" + "".join(der.splitlines()[1:-1])
        os.chmod(directory, 0o755)
        os.chmod(self.key, 0o600)
        conf = os.path.join(directory, "opendkim.conf")
        with open(conf, "w") as f:
            f.write(f"Syslog no\nMode s\nDomain {domain}\nSelector {selector}\nKeyFile {self.key}\n"
                    f"Socket inet:{self.port}@127.0.0.1\nCanonicalization simple/simple\nInternalHosts 127.0.0.0/8\n"
                    "RequireSafeKeys no\nAlwaysAddARHeader no\n"
                    "SignHeaders *,+X-Rspamd-Saw,+X-Sealpost-Trace\n")
        self.process = harness.Process(["/usr/sbin/opendkim", "-x", conf, "-f"], os.path.join(directory, "opendkim.log"),
                                       ready=lambda: harness.connects(self.port), name="opendkim")

    def start(self):
        self.process.start()
        return self

    def stop(self):
        self.process.stop()

    kill = stop

    def txt(self, name, timeout=5):
        """For dkim.verify: the only DNS record there is."""
        wanted = f"{self.selector}._domainkey.{self.domain}."
        return self.record.encode() if name.decode() == wanted else b""


class Rspamd:
    """rspamd from Debian as a milter, with rules of a test's own in Lua and nothing else."""

    def __init__(self, directory, rules):
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o777)
        self.port = harness.free_port()
        self.spec = f"inet:{self.port}@127.0.0.1"
        with open(os.path.join(directory, "rules.lua"), "w") as f:
            f.write(rules)
        conf = os.path.join(directory, "rspamd.conf")
        with open(conf, "w") as f:
            f.write(f"""
options {{ pidfile = "{directory}/rspamd.pid"; dynamic_conf = "{directory}/dynamic"; filters = "";
  dns {{ nameserver = ["127.0.0.1:1"]; timeout = 100ms; retransmits = 1; }} control_socket = "{directory}/rspamd.sock";
  rrd = ""; stats_file = "{directory}/stats"; }}
logging {{ type = "console"; level = "info"; }}
metric {{ actions {{ reject = 15; add_header = 6; greylist = 4; }} }}
lua = "{directory}/rules.lua";
worker "rspamd_proxy" {{ bind_socket = "127.0.0.1:{self.port}"; milter = yes; timeout = 20s; count = 1; max_retries = 1;
  upstream "local" {{ default = yes; self_scan = yes; }} }}
""")
        who = ["-u", "_rspamd", "-g", "_rspamd"] if os.getuid() == 0 else []
        self.process = harness.Process(["/usr/bin/rspamd", "-f", "-c", conf, *who], os.path.join(directory, "rspamd.log"),
                                       ready=lambda: harness.connects(self.port), name="rspamd")

    def start(self):
        self.process.start()
        return self

    def stop(self):
        self.process.stop()

    kill = stop
