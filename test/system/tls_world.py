# SPDX-License-Identifier: Apache-2.0
"""A small Internet for tests of verified TLS, in a network namespace of the test's own: ports 25, 53 and 443 are free there.

    w = World(place); w.enter()              # from here on this thread, and what it starts, is inside
    d = w.domain("shop.example")             # d.host() adds an MX host: DNS records, receiver, TLSA
    d.host("mx", chain=w.ca.chain("mx.shop.example"), tlsa=[(3, 1, 1)])
    w.publish()                              # signs the zones and serves them
    s = w.relay(); ids = w.send(s, ["a@shop.example"]); w.outcome(s, ids["a@shop.example"])
    w.close()                                # ends everything, and leaves

Zones (tls_dns.py) are signed under a private root, except what World.zone made otherwise. Receivers count what came and what
came in clear. Policy hosts serve MTA-STS policies and can be taken away, changed, or given another certificate. relay asks
at 127.0.0.1, Postfix through a validating unbound of its own, so that World.dns.asked tells who asked what.
Needs root, nsd, ldnsutils; for Postfix's side Postfix and unbound."""
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import time

import harness
import receiver
import tls_chain
import tls_dns

NEWNET = 0x40000000
RELAY_ASKS, UNBOUND, UNBOUND_ASKS = "127.0.0.1", "127.0.0.2", "127.0.0.3"
SENDER = "from.example"  # whose mail the tests send; its own server takes the reports


def available(postfix=False):
    programs = ["nsd", "ldns-signzone", "ldns-keygen", "ip"] + (["unbound"] if postfix else [])
    return os.getuid() == 0 and all(shutil.which(p) for p in programs) and (not postfix or harness.Postfix.available())


def _libc(call, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, call)(*args):
        e = ctypes.get_errno()
        raise OSError(e, f"{call}: {os.strerror(e)}")


class Arrival:
    """A message that a receiver took."""

    def __init__(self, session, message):
        self.message, self.mail, self.recipients = message, session.mail.decode(), [r.decode() for r in session.recipients]
        self.tls = session.sock.version() if session.tls else None
        self.resumed = bool(session.tls and session.sock.session_reused)
        self.requiretls = b" REQUIRETLS" in session.mail.upper()
        self.sender = self.mail.split("<", 1)[1].split(">", 1)[0]


class Mx(receiver.Receiver):
    """A server on port 25.

    starttls: offered, hidden, refused (454). handshake: None, or cut, garbage. newest: "1.2" for no TLS 1.3. other: a second
    chain, which is shown to whoever does not ask for one of the names (SNI) in chain."""

    def __init__(self, directory, name, address, chain=None, starttls="offered", handshake=None, newest=None,
                 requiretls=False, other=None, **rules):
        self.name, self.starttls, self.requiretls = name, starttls, requiretls
        self.arrivals = []
        self.in_clear = []  # MAIL lines that came without TLS, taken or not
        self.server_names = []  # what handshakes asked for
        if starttls == "refused":
            rules.setdefault("star", lambda s, line: b"454 4.7.0 TLS is not available now")
        if handshake:
            rules.setdefault("handshake", self._spoil)
        self.handshake = handshake
        theirs = rules.get("mail")

        def mail(session, line):
            if not session.tls:
                self.in_clear.append(line.decode())
            return theirs and theirs(session, line)
        rules["mail"] = mail
        self.dir = directory
        paths = chain.write(directory, name) if chain else None
        super().__init__(address, 25, paths, **rules)
        self.hello = name.encode()
        if chain:
            self.context.maximum_version = ssl.TLSVersion.TLSv1_2 if newest == "1.2" else ssl.TLSVersion.MAXIMUM_SUPPORTED
            self.contexts = {name: self.context}
            if other:
                self.contexts[None] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                self.contexts[None].load_cert_chain(*other.write(directory, name + "-other"))
            self.context.sni_callback = self._choose

    def _spoil(self, session):
        session.sock.recv(5)  # the beginning of the client's hello, so that nothing comes before it
        return receiver.CUT if self.handshake == "cut" else b"500 5.5.1 what do you mean?"

    def _choose(self, sock, name, context):
        self.server_names.append(name)
        sock.context = self.contexts.get(name) or self.contexts.get(None) or context

    def present(self, chain):
        """Another certificate from now on."""
        self.context.load_cert_chain(*chain.write(self.dir, self.name))

    def extensions(self, session):
        offered = super().extensions(session)
        if self.starttls == "hidden" and b"STARTTLS" in offered:
            offered.remove(b"STARTTLS")
        return offered + ([b"REQUIRETLS"] if self.requiretls and session.tls else [])

    def take(self, session, message):
        reply = super().take(session, message)
        if reply.startswith(b"2"):
            with self.lock:
                self.arrivals.append(Arrival(session, message))
        return reply

    def came_from(self, sender):
        with self.lock:
            return [a for a in self.arrivals if a.sender == sender]

    def clear_from(self, sender):
        """MAIL commands of a sender that came in clear."""
        return [line for line in self.in_clear if f"<{sender}>" in line]


POLICY = "version: STSv1\nmode: {mode}\n{mx}max_age: {max_age}\n"


def policy(*mx, mode="enforce", max_age=86400):
    return POLICY.format(mode=mode, mx="".join(f"mx: {m}\n" for m in mx), max_age=max_age).replace("\n", "\r\n")


class PolicyHost:
    """https://mta-sts.DOMAIN/.well-known/mta-sts.txt. All fields can be changed at any time; stop() and start() too.

    away: "refused" (nothing listens; by stop()), or here: "cut" (after the hello), "silent"."""

    def __init__(self, directory, domain, address, chain, text):
        self.name, self.address, self.dir = "mta-sts." + domain, address, directory
        self.text, self.status, self.type, self.more, self.fault = text, "200 OK", "text/plain", "", None
        self.hits = []  # request lines
        self.present(chain)
        self.socket = None
        self.start()

    def present(self, chain):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*chain.write(self.dir, self.name))

    def start(self):
        self.socket = socket.create_server((self.address, 443))
        threading.Thread(target=self._accept, args=(self.socket,), daemon=True).start()

    def stop(self):
        if self.socket:
            self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()
            self.socket = None

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._quietly, args=(sock,), daemon=True).start()

    def _quietly(self, sock):
        try:
            sock.settimeout(90)
            self._serve(sock)
        except (OSError, ValueError):
            pass
        finally:
            sock.close()

    def _serve(self, sock):
        if self.fault == "cut":
            sock.recv(100)
            return
        with self.context.wrap_socket(sock, server_side=True) as tls:
            head = b""
            while b"\r\n\r\n" not in head:
                more = tls.recv(4096)
                if not more:
                    return
                head += more
            self.hits.append(head.split(b"\r\n", 1)[0].decode())
            if self.fault == "silent":
                tls.recv(1)
                return
            if b" /.well-known/mta-sts.txt " not in head:
                tls.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            body = self.text.encode()
            tls.sendall(f"HTTP/1.1 {self.status}\r\nContent-Type: {self.type}\r\nContent-Length: {len(body)}\r\n"
                        f"{self.more}Connection: close\r\n\r\n".encode() + body)


class Domain:
    """A domain that receives mail."""

    def __init__(self, world, name, ttl=60):
        self.world, self.name, self.ttl = world, name, ttl
        self.hosts = []
        self.policy_host = None

    def add(self, label, kind, *data):
        """Records at a label below the domain; "": at the domain itself."""
        self.world.zones.add(f"{label}.{self.name}" if label else self.name, kind, *data, ttl=self.ttl)

    def host(self, label="mx", chain="own", preference=10, tlsa=(), name=None, mx=True, **behaviour):
        """An MX host: its records and a receiver. chain: "own" (self-signed), "ca" (of the authority that relay trusts), None (no
        TLS), or one made by hand. tlsa: (usage, selector, matching) of its own certificate, texts of others. name: not below the
        domain; mx: False: no MX record (an alias or the domain's own address leads here)."""
        name = name or (self.name if label == "" else f"{label}.{self.name}")
        if chain in ("own", "ca"):
            chain = (tls_chain.own if chain == "own" else self.world.ca.chain)(name)
        m = self.world.mx(name, chain, **behaviour)
        m.chain = chain
        self.world.zones.add(name, "A", m.address, ttl=self.ttl)
        if mx:
            self.add("", "MX", f"{preference} {name}.")
        texts = [t if isinstance(t, str) else tls_chain.tlsa(*t, chain.certs[0]) for t in tlsa]
        if texts:
            self.world.zones.add(f"_25._tcp.{name}", "TLSA", *texts, ttl=self.ttl)
        self.hosts.append(m)
        return m

    def sts(self, text, chain="ca", id="1", record=None, **fields):
        """Publishes an MTA-STS policy: TXT record and policy host."""
        name = "mta-sts." + self.name
        if chain == "ca":
            chain = self.world.ca.chain(name)
        self.add("_mta-sts", "TXT", *(record or [f'"v=STSv1; id={id};"']))
        h = self.policy_host = self.world.policy_host(self.name, chain, text)
        self.add("mta-sts", "A", h.address)
        for k, v in fields.items():
            setattr(h, k, v)
        return h

    def set_sts_id(self, id):
        """Another id (None: no record), from the next World.publish on."""
        self.world.zones.set(f"_mta-sts.{self.name}", "TXT", *([f'"v=STSv1; id={id};"'] if id else []), ttl=self.ttl)


@contextlib.contextmanager
def inside(request, name):
    """A world for a module's fixture; its files are kept if a test failed meanwhile."""
    place = harness.scratch(name)
    failed = request.session.testsfailed
    w = World(place)
    try:
        yield w.enter()
    finally:
        w.close()
        if request.session.testsfailed > failed:
            print(f"kept for a look: {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)


class World:
    def __init__(self, directory):
        self.dir = os.path.join(directory, "world")
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        self.things = []  # to stop, last first
        self.domains, self.counts = {}, {}
        self.ca, self.stranger = tls_chain.Authority("Test"), tls_chain.Authority("Strange")
        self.ca_file = os.path.join(self.dir, "ca.pem")
        self.ca.write(self.ca_file)
        self.home = None

    def enter(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _libc("unshare", NEWNET)
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            self.zones = self._keep(tls_dns.Zones(os.path.join(self.dir, "dns")))
            self.dns = self._keep(tls_dns.Front(RELAY_ASKS, UNBOUND_ASKS))
            self.sender = self.domain(SENDER).host(tlsa=[(3, 1, 1)], requiretls=True)
        except BaseException:
            self.close()
            raise
        return self

    def _keep(self, thing):
        self.things.append(thing)
        return thing

    def close(self):
        """Stops what runs and goes back to the network that the test came from."""
        try:
            for thing in reversed(self.things):
                getattr(thing, "kill", thing.stop)()
        finally:
            self.things = []
            if self.home is not None:
                _libc("setns", self.home, NEWNET)
                os.close(self.home)
                self.home = None

    def address(self, net):
        """The next of 127.NET.x.y."""
        n = self.counts[net] = self.counts.get(net, 0) + 1
        return f"127.{net}.{n // 250}.{n % 250 + 1}"

    def zone(self, name, state="signed"):
        self.zones.zone(name, state)

    def domain(self, name, ttl=60):
        self.domains[name] = Domain(self, name, ttl)
        return self.domains[name]

    def mx(self, name, chain, **behaviour):
        return self._keep(Mx(self.dir, name, self.address(1), chain, **behaviour))

    def policy_host(self, domain, chain, text):
        return self._keep(PolicyHost(self.dir, domain, self.address(2), chain, text))

    def publish(self):
        self.zones.publish()

    # --- relay

    def relay(self, routes=(), start=True, **more):
        """keyd and relay. routes: YAML items before "everything by MX, opportunistic"."""
        s = harness.Sealpost(os.path.join(self.dir, "sealpost"))
        self._keep(s)
        keys = {"dns": f'{{servers: ["{RELAY_ASKS}@53"], trust_anchor: {self.zones.anchor}}}',
                "outbound": f'{{ca: {self.ca_file}, private_ok: ["127.0.0.0/8"]}}',
                "retry": "{first: 1h, max: 1h, expire: 5d}"}
        keys.update(more)
        s.configure([*routes, '{domain: "*", to: mx, tls: opportunistic}'], **keys)
        return s.start() if start else s

    def forget(self, s, seconds=0.0):
        """Lets relay ask the DNS again: what it keeps of domains and hosts (some at least for 30 seconds) goes when it is reloaded;
        seconds: until the resolver's records are too old."""
        time.sleep(seconds)
        before = len(s.relay.events("reloaded"))
        s.relay.signal(signal.SIGHUP)
        harness.wait_for("relay to be reloaded", lambda: len(s.relay.events("reloaded")) > before)

    def send(self, s, recipients, sender="relay@" + SENDER, options=(), headers="", tls=False):
        """One message for each recipient; {recipient: message id}."""
        ids = {}
        with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=30) as c:
            if tls:
                context = ssl.create_default_context(cafile=s.path("relay.pem"))
                c._host = s.hostname
                c.starttls(context=context)
            c.ehlo()
            for r in recipients:
                c.rset()
                code, text = c.mail(sender, options)
                if code == 250:
                    code, text = c.rcpt(r)
                if code == 250:
                    code, text = c.data(f"From: {sender}\r\nTo: {r}\r\nSubject: {r}\r\n{headers}\r\nhello\r\n".encode())
                if code != 250:
                    raise harness.Failure(f"{r}: {code} {text}")
                ids[r] = text.decode().rsplit(" ", 1)[1]
        return ids

    def outcomes(self, s, ids, seconds=60):
        """{recipient: the event that ended its first attempt}: (name, facts)."""
        found = {}
        recipients = {i: r for r, i in ids.items()}

        def all_there():
            for _, id, name, facts in s.relay.events():
                if id in recipients and name in ("delivered", "deferred", "bounced", "expired"):
                    found.setdefault(recipients[id], (name, facts))
                elif id in recipients and name == "rescheduled" and facts["reason"] == "dns":  # it did not get as far as a host
                    found.setdefault(recipients[id], ("deferred", facts))
            return len(found) == len(ids)
        try:
            harness.wait_for("an end of each first attempt", all_there, seconds, 0.1)
        except harness.Failure as e:
            raise harness.Failure(f"{e}: {sorted(set(ids) - set(found))}") from None
        return found

    def ledger(self, s, ids):
        """{message id: its first row in the ledger}, once each has one."""
        def written():
            rows = json.loads(s.cli("deliveries", "--limit", "1000", "--json", check=True).stdout)
            first = {row["message"]: row for row in rows}  # the newest come first
            return set(ids) <= set(first) and first
        return harness.wait_for("the ledger to have each attempt", written, step=0.3)

    def outcome(self, s, recipient, seconds=60, **more):
        """Sends one message; how its first attempt ended: (name, facts, id)."""
        ids = self.send(s, [recipient], **more)
        return *self.outcomes(s, ids, seconds)[recipient], ids[recipient]

    def came(self, domain, sender="relay@" + SENDER):
        """Arrivals at any host of a domain."""
        return [a for m in self.domains[domain].hosts for a in m.came_from(sender)]

    def in_clear(self, domain, sender="relay@" + SENDER):
        """MAIL commands that any host of a domain got in clear."""
        return [line for m in self.domains[domain].hosts for line in m.clear_from(sender)]

    # --- Postfix

    def postfix(self, policies=(), **more):
        """Postfix with its DANE client, as it is documented for RFC 7672. policies: lines of smtp_tls_policy_maps."""
        d = os.path.join(self.dir, "postfix")
        os.makedirs(d, exist_ok=True)
        self._keep(tls_dns.Unbound(os.path.join(self.dir, "unbound"), UNBOUND, UNBOUND_ASKS, self.zones.anchor)).start()
        for name, text in (("resolv.conf", f"nameserver {UNBOUND}\noptions timeout:8 attempts:1\n"),
                           ("tls_policy", "".join(p + "\n" for p in policies))):
            with open(os.path.join(d, name), "w") as f:
                f.write(text)
        settings = {
            "disable_dns_lookups": "no",
            "smtp_dns_support_level": "dnssec",
            "smtp_host_lookup": "dns",
            "smtp_tls_security_level": "dane",
            "smtp_tls_dane_insecure_mx_policy": "may",
            "smtp_tls_policy_maps": f"texthash:{d}/tls_policy",
            "smtp_tls_CAfile": self.ca_file,
            "smtp_tls_loglevel": "1",
            "smtp_connect_timeout": "5s",
            "smtp_starttls_timeout": "10s",
            "minimal_backoff_time": "1s",
            "maximal_backoff_time": "1h",
            "queue_run_delay": "1h",
            "initial_destination_concurrency": "5",
        }
        settings.update(more)
        p = harness.Postfix(d, **settings)
        p.before = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                    'mount --bind "$0" /etc/resolv.conf && exec "$@"', os.path.join(d, "resolv.conf")]
        return self._keep(p).start()

    def postfix_outcomes(self, p, recipients, again=(), seconds=60):
        """Sends one message to each; {recipient: (status, text, level)}. again: those that are tried once more if they are
        deferred: without a policy Postfix goes on in clear after a broken handshake, but not on the first try. level: what Postfix
        calls its last TLS connection to the host: Anonymous, Untrusted, Trusted, Verified, or "" (none)."""
        sender = "postfix@" + SENDER
        found, numbers = {}, {}

        def all_there():
            for m in re.finditer(r" (\S+): to=<([^>]+)>, relay=(\S+?),.* status=(\w+) \((.*)\)", p.log()):
                found[m[2]], numbers[m[2]] = (m[4], m[5], m[3]), m[1]
            return set(found) >= set(recipients)

        def wait(what, test):
            try:
                harness.wait_for(what, test, seconds, 0.1)
            except harness.Failure as e:
                raise harness.Failure(f"{e}: {sorted(set(recipients) - set(found))}\n{p.log()[-3000:]}") from None
        with smtplib.SMTP("127.0.0.1", p.port, timeout=30) as c:
            for r in recipients:
                c.sendmail(sender, [r], f"Subject: {r}\r\n\r\nhello\r\n")
        wait("Postfix to try each", all_there)
        later = [r for r in again if found[r][0] == "deferred"]
        if later:
            time.sleep(1.1)  # minimal_backoff_time: younger mail waits
            first = {r: p.log().count(f"to=<{r}>") for r in later}
            for r in later:
                subprocess.run(["postqueue", "-c", p.conf, "-i", numbers[r]], check=True)
            wait("Postfix to try again", lambda: all_there() and all(p.log().count(f"to=<{r}>") > n for r, n in first.items()))
            all_there()
        levels = {host: level for level, host in re.findall(
            r"(Anonymous|Untrusted|Trusted|Verified) TLS connection established to (\S+?):25", p.log())}
        return {r: (status, text, levels.get(host.rsplit(":", 1)[0], "")) for r, (status, text, host) in found.items()}
