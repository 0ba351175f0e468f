# SPDX-License-Identifier: Apache-2.0
"""The DNS of a test: a private root and zones below it, signed by ldns-signzone and served by nsd, so that a resolver
validates from the test's own anchor; signatures that are wrong or old where a test wants them; and in front of nsd
somebody who keeps a list of what was asked and can fail single questions (SERVFAIL, silence).

Runs in the test's network namespace (tls_world.py): the front listens on port 53."""
import os
import re
import selectors
import socket
import struct
import subprocess
import threading
import time

import harness

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "DS": 43, "DNSKEY": 48, "TLSA": 52}
NAMES = {v: k for k, v in TYPES.items()}
NSD_PORT = 5353
HEAD = """\
$ORIGIN {name}
$TTL 60
@ IN SOA ns.example. host.example. {serial} 60 60 600 60
@ IN NS ns.example.
"""


class Zone:
    """state: signed, unsigned (a proven insecure delegation), expired (its signatures are too old)."""

    def __init__(self, name, state):
        self.name, self.state = name, state
        self.records = {}  # (owner, type): [text of a line]
        self.children = []
        self.bogus = set()  # (owner, type) whose signatures get broken
        self.key = self.ds = None

    def holds(self, owner):
        return self.name == "." or owner == self.name or owner.endswith("." + self.name)

    def text(self, serial):
        lines = [line for rrset in self.records.values() for line in rrset]
        for child in self.children:
            lines.append(f"{child.name} IN NS ns.example.")
            if child.ds:
                lines.append(child.ds)
        return HEAD.format(name=self.name, serial=serial) + "".join(line + "\n" for line in lines)


def spoil(line):
    """An RRSIG with another signature."""
    fields = line.split()
    first = "B" if fields[-1][0] != "B" else "C"
    return " ".join(fields[:-1] + [first + fields[-1][1:]])


class Zones:
    """add() collects, publish() signs and serves. Names are written without the last dot."""

    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.zones = {}
        self.serial = int(time.time())
        self.changed = set()
        conf = os.path.join(directory, "nsd.conf")
        self.process = harness.Process(["/usr/sbin/nsd", "-d", "-c", conf], os.path.join(directory, "nsd.log"),
                                       ready=lambda: harness.connects(NSD_PORT), name="nsd")
        self.conf = conf
        self.anchor = os.path.join(directory, "anchor.key")
        self.zone("")
        self.zone("example")
        self.add("ns.example", "A", "127.0.0.1")

    def zone(self, name, state="signed"):
        """Made if it is not there. The zone above must be there."""
        name += "."
        if name not in self.zones:
            z = self.zones[name] = Zone(name, state)
            parent = self.of(name[:-1], above=True)
            if state != "unsigned":
                self._keys(z)
            if parent:
                parent.children.append(z)
                self.changed.add(parent.name)
            self.changed.add(name)
        return self.zones[name]

    def of(self, owner, above=False):
        """The zone that a name lies in; above: not one of this very name."""
        fits = [z for z in self.zones.values() if z.holds(owner + ".") and not (above and z.name == owner + ".")]
        return max(fits, key=lambda z: len(z.name), default=None)

    def add(self, owner, kind, *data, ttl=60):
        z = self.of(owner)
        z.records.setdefault((owner + ".", kind), []).extend(f"{owner}. {ttl} IN {kind} {d}" for d in data)
        self.changed.add(z.name)

    def set(self, owner, kind, *data, ttl=60):
        """Instead of what was there; without data: nothing. publish() follows."""
        z = self.of(owner)
        z.records.pop((owner + ".", kind), None)
        self.changed.add(z.name)
        if data:
            self.add(owner, kind, *data, ttl=ttl)

    def break_signature(self, owner, kind):
        z = self.of(owner)
        z.bogus.add((owner + ".", kind))
        self.changed.add(z.name)

    def _keys(self, z):
        base = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", z.name], cwd=self.dir, check=True,
                              capture_output=True, text=True).stdout.strip()
        z.key = os.path.join(self.dir, base)
        with open(z.key + ".ds") as f:
            z.ds = f.read().strip()
        if z.name == ".":
            with open(self.anchor, "w") as f:
                f.write(z.ds + "\n")
            os.chmod(self.anchor, 0o644)

    def _file(self, z):
        return os.path.join(self.dir, (z.name if z.name != "." else "root.") + "zone")

    def _write(self, z):
        path = self._file(z)
        with open(path + (".plain" if z.key else ""), "w") as f:
            f.write(z.text(self.serial))
        if not z.key:
            return
        day = 86400
        span = (-9 * day, -2 * day) if z.state == "expired" else (-day, 20 * day)
        begin, end = (time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + s)) for s in span)
        subprocess.run(["ldns-signzone", "-i", begin, "-e", end, "-f", path + ".new", "-o", z.name, path + ".plain", z.key],
                       check=True, capture_output=True)
        with open(path + ".new") as f:
            lines = f.read().splitlines()
        for n, line in enumerate(lines):
            m = re.match(r"(\S+)\s+\d+\s+IN\s+RRSIG\s+(\S+)\s", line)
            if m and (m[1], m[2]) in z.bogus:
                lines[n] = spoil(line)
        with open(path + ".new", "w") as f:
            f.write("\n".join(lines) + "\n")
        os.replace(path + ".new", path)

    def publish(self):
        """What was added or changed is served when this returns."""
        self.serial += 1
        for name in self.changed:
            self._write(self.zones[name])
        changed, self.changed = self.changed, set()
        if not self.process.running():
            self._configure()
            self.process.start()
        else:
            self.process.signal(1)
        for name in changed:
            harness.wait_for(f"nsd to serve {name}", lambda n=name: self._serial(n) == self.serial)

    def _configure(self):
        with open(self.conf, "w") as f:
            f.write(f"server:\n  ip-address: 127.0.0.1@{NSD_PORT}\n  zonesdir: {self.dir}\n  database: \"\"\n"
                    f"  pidfile: {self.dir}/nsd.pid\n  xfrdfile: {self.dir}/xfrd\n  zonelistfile: {self.dir}/zones\n"
                    f"  xfrdir: {self.dir}\n  username: \"\"\n  chroot: \"\"\n  server-count: 1\n"
                    "remote-control:\n  control-enable: no\n")
            for z in self.zones.values():
                f.write(f"zone:\n  name: {z.name}\n  zonefile: {self._file(z)}\n")

    def _serial(self, name):
        """The serial number nsd serves; 0: none yet."""
        labels = [p.encode() for p in name.rstrip(".").split(".") if p]
        q = struct.pack(">6H", 7, 0, 1, 0, 0, 0) + b"".join(bytes([len(p)]) + p for p in labels) + b"\0\0\x06\0\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            s.connect(("127.0.0.1", NSD_PORT))
            try:
                s.send(q)
                reply = s.recv(4096)
            except OSError:
                return 0
        if reply[3] & 15 or not reply[7]:
            return 0
        at = reply.index(struct.pack(">I", self.serial)) if struct.pack(">I", self.serial) in reply else -1
        return self.serial if at > 0 else 0

    def stop(self):
        self.process.stop()


class Front:
    """Listens where resolvers ask, and hands questions on to nsd. Each resolver asks at an address of its own, so that
    asked() tells them apart. fail(name, kind, how): how is "servfail", "silent" or None (heals)."""

    def __init__(self, *addresses):
        self.faults = {}
        self.log = []  # (address asked, name, type)
        self.lock = threading.Lock()
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        for a in addresses:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind((a, 53))
            tcp = socket.create_server((a, 53), backlog=64)
            self.sockets += [udp, tcp]
            self.selector.register(udp, selectors.EVENT_READ, ("udp", a))
            self.selector.register(tcp, selectors.EVENT_READ, ("tcp", a))
        self.wake, self.woken = socket.socketpair()
        self.selector.register(self.woken, selectors.EVENT_READ, ("stop", ""))
        self.up = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.up.settimeout(2)
        self.up.connect(("127.0.0.1", NSD_PORT))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def fail(self, name, kind, how):
        with self.lock:
            self.faults[(name + ".", kind)] = how

    def asked(self, address, name=None, kind=None):
        with self.lock:
            return [(n, k) for a, n, k in self.log
                    if a == address and (name is None or n == name + ".") and (kind is None or k == kind)]

    def _verdict(self, address, query):
        """What to do with a question: None (hand on), "silent" or a reply."""
        name, at = "", 12
        while query[at]:
            name += query[at + 1:at + 1 + query[at]].decode("ascii", "replace").lower() + "."
            at += 1 + query[at]
        name, kind = name or ".", struct.unpack(">H", query[at + 1:at + 3])[0]
        kind = NAMES.get(kind, str(kind))
        with self.lock:
            self.log.append((address, name, kind))
            how = self.faults.get((name, kind)) or self.faults.get((name, "*"))
        if how == "servfail":
            return query[:2] + struct.pack(">5H", 0x8182 | (query[2] << 8 & 0x100), 1, 0, 0, 0) + query[12:at + 5]
        return how

    def _upstream(self, query):
        self.up.send(query)
        while True:
            reply = self.up.recv(65535)
            if reply[:2] == query[:2]:  # not a late answer to another question
                return reply

    def _udp(self, sock, address):
        query, peer = sock.recvfrom(65535)
        reply = self._verdict(address, query) or self._upstream(query)
        if reply != "silent":
            sock.sendto(reply, peer)

    def _tcp(self, client, address):
        with client, client.makefile("rb") as f:
            client.settimeout(10)
            while True:
                n = f.read(2)
                if len(n) < 2:
                    return
                query = f.read(struct.unpack(">H", n)[0])
                reply = self._verdict(address, query)
                if reply == "silent":
                    return
                if reply is None:
                    with socket.create_connection(("127.0.0.1", NSD_PORT), 2) as up, up.makefile("rb") as g:
                        up.sendall(n + query)
                        reply = g.read(struct.unpack(">H", g.read(2))[0])
                client.sendall(struct.pack(">H", len(reply)) + reply)

    def _tcp_quietly(self, client, address):
        try:
            self._tcp(client, address)
        except (OSError, struct.error):
            pass

    def _run(self):
        while True:
            for key, _ in self.selector.select():
                kind, address = key.data
                if kind == "stop":
                    return
                try:
                    if kind == "udp":
                        self._udp(key.fileobj, address)
                    else:
                        client = key.fileobj.accept()[0]
                        threading.Thread(target=self._tcp_quietly, args=(client, address), daemon=True).start()
                except (OSError, IndexError, struct.error):
                    pass  # a question that is none, or nsd is away: no answer

    def stop(self):
        self.wake.send(b"x")
        self.thread.join()
        for s in [*self.sockets, self.up, self.wake, self.woken]:
            s.close()


class Unbound:
    """A validating resolver for programs that have none of their own."""

    def __init__(self, directory, address, forward, anchor):
        conf = os.path.join(directory, "unbound.conf")
        os.makedirs(directory, exist_ok=True)
        with open(conf, "w") as f:
            f.write(f"""\
server:
  interface: {address}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-ip6: no
  module-config: "validator iterator"
  trust-anchor-file: {anchor}
  username: ""
  chroot: ""
  directory: {directory}
  pidfile: {directory}/unbound.pid
  use-syslog: no
  logfile: ""
  val-log-level: 2
  num-threads: 1
  qname-minimisation: no
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: {forward}@53
""")
        self.process = harness.Process(["/usr/sbin/unbound", "-d", "-c", conf], os.path.join(directory, "unbound.log"),
                                       ready=lambda: harness.connects(53, address), name="unbound")

    def start(self):
        self.process.start()
        return self

    def stop(self):
        self.process.stop()
