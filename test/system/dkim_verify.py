# SPDX-License-Identifier: Apache-2.0
"""Three verifiers of DKIM that are not ours: dkimpy in this process, opendkim as a verifying milter, rspamd with its DNS
pointed at an nsd that serves the keys. And the public keys, as keyd tells them."""
import base64
import http.client
import json
import os
import re
import socket
import struct
import time
import types
import unittest.mock

import dkim
import harness
from keyd_wire import Client
from test_mx import Nsd

LETTERS = {"rsa-2048": "r", "ed25519": "e"}
LABELS = {"rsa-2048": "rsa", "ed25519": "ed25519"}


def record(version):
    """The TXT record of a key's version (keyd_wire.Version)."""
    key = version.spki[12:] if version.type == "ed25519" else version.spki
    kind = "ed25519" if version.type == "ed25519" else "rsa"
    return f"v=DKIM1; k={kind}; p={base64.b64encode(key).decode()}"


def name_of(domain, version, prefix="sp"):
    return f"{prefix}{version.version}{LETTERS[version.type]}._domainkey.{domain}"


class Officer(Client):
    """Makes and rotates the keys of a domain in keyd."""

    def __init__(self, sealpost):
        super().__init__(sealpost.path("run", "keyd-admin.sock"), "officer")

    def dkim_add(self, domain, kinds=("rsa-2048", "ed25519")):
        for kind in kinds:
            self.key_add(f"dkim/{domain}/{LABELS[kind]}", kind)

    def dkim_rotate(self, domain, activate=False, kinds=("rsa-2048", "ed25519")):
        for kind in kinds:
            self.rotate("key", f"dkim/{domain}/{LABELS[kind]}", 1 if activate else 0)

    def dkim_records(self, domain, states=("active",), prefix="sp", kinds=("rsa-2048", "ed25519")):
        """{name: TXT} of the versions in these states."""
        return {name_of(domain, v, prefix): record(v) for kind in kinds
                for v in self.key_versions(f"dkim/{domain}/{LABELS[kind]}") if v.state in states}


def dkimpy(message, records, now=time.time):
    """{selector: it verifies} of each signature. now: the clock, for mail of a time to come."""
    def txt(name, timeout=5):
        return records.get(name.decode().rstrip("."), "").encode()

    d = dkim.DKIM(message, timeout=5)
    found = {}
    for i in range(sum(1 for name, _ in d.headers if name.lower() == b"dkim-signature")):
        try:
            with unittest.mock.patch.object(dkim, "time", types.SimpleNamespace(time=now)):
                ok = d.verify(idx=i, dnsfunc=txt)
        except dkim.DKIMException:
            ok = False
        found[d.selector.decode() if d.selector else f"?{i}"] = ok
        d = dkim.DKIM(message, timeout=5)
    return found


class Milter:
    """The MTA's side of the milter protocol, as much as a verifier wants."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.file = self.sock.makefile("rwb")
        self.say(b"O", struct.pack(">III", 6, 0x1FF, 0))
        assert self.hear()[0] == b"O"
        self.ask(b"C", b"mail.example\x004" + struct.pack(">H", 25) + b"192.0.2.1\0")
        self.ask(b"H", b"mail.example\0")

    def say(self, command, data=b""):
        self.file.write(struct.pack(">I", len(data) + 1) + command + data)

    def hear(self):
        self.file.flush()
        head = self.file.read(4)
        data = self.file.read(struct.unpack(">I", head)[0])
        return data[:1], data[1:]

    def ask(self, command, data=b""):
        """Everything said before the step is over: [(command, data)]."""
        self.say(command, data)
        said = []
        while not said or said[-1][0] not in b"cardty":
            said.append(self.hear())
        assert said[-1][0] in b"ca", said
        return said

    def check(self, message):
        """What it adds to the message: {name: value}."""
        head, body = message.split(b"\r\n\r\n", 1)
        self.ask(b"M", b"<a@mail.example>\0")
        self.ask(b"R", b"<b@mail.example>\0")
        for field in re.split(rb"\r\n(?![ \t])", head):
            name, value = field.split(b":", 1)
            self.ask(b"L", name + b"\0" + value.removeprefix(b" ").replace(b"\r\n", b"\n") + b"\0")
        self.ask(b"N")
        for at in range(0, len(body), 65535):
            self.ask(b"B", body[at:at + 65535])
        added = {}
        for command, data in self.ask(b"E"):
            if command in b"hi":
                name, value = data[4 if command == b"i" else 0:].split(b"\0")[:2]
                added[name.decode().lower()] = value.decode()
        return added

    def close(self):
        self.say(b"Q")
        self.file.flush()
        self.sock.close()


class Opendkim:
    def __init__(self, directory, records):
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o755)
        self.socket = os.path.join(directory, "socket")
        keys, conf = os.path.join(directory, "keys"), os.path.join(directory, "opendkim.conf")
        with open(keys, "w") as f:
            f.writelines(f"{name} {txt}\n" for name, txt in records.items())
        with open(conf, "w") as f:
            f.write(f"Syslog no\nMode v\nSocket local:{self.socket}\nTestPublicKeys {keys}\nInternalHosts 127.0.0.2\n"
                    "AuthservID verifier.example\nAlwaysAddARHeader yes\nOn-BadSignature accept\nOn-KeyNotFound accept\n"
                    "On-DNSError accept\nOn-NoSignature accept\nOn-Security accept\n")
        self.process = harness.Process(["/usr/sbin/opendkim", "-x", conf, "-f"], os.path.join(directory, "opendkim.log"),
                                       ready=lambda: harness.unix_answers(self.socket), name="opendkim")
        self.milter = None

    def start(self):
        self.process.start()
        return self

    def stop(self):
        if self.milter:
            self.milter.close()
        self.process.stop()

    def verify(self, message):
        """{selector: result} as it says in Authentication-Results."""
        self.milter = self.milter or Milter(self.socket)
        said = self.milter.check(message).get("authentication-results", "")
        return {m[2]: m[1] for m in re.finditer(r"dkim=(\w+)[^;]*?header\.s=(\S+?)(?=[\s;]|$)", said)}


class Rspamd:
    def __init__(self, directory, records):
        os.makedirs(directory, exist_ok=True)
        os.chmod(directory, 0o777)
        zones = {}
        for name, txt in records.items():
            domain = name.split("._domainkey.")[1]
            strings = " ".join(f'"{txt[i:i + 250]}"' for i in range(0, len(txt), 250))
            zones[domain] = zones.get(domain, "") + f"{name}. TXT {strings}\n"
        self.nsd = Nsd(os.path.join(directory, "nsd"), zones)
        self.port = harness.free_port()
        conf = os.path.join(directory, "rspamd.conf")
        with open(conf, "w") as f:
            f.write(f"""
options {{ pidfile = "{directory}/rspamd.pid"; dynamic_conf = "{directory}/dynamic"; filters = "dkim";
  dns {{ nameserver = ["127.0.0.1:{self.nsd.port}"]; timeout = 2s; retransmits = 5; }} control_socket = "{directory}/rspamd.sock";
  rrd = ""; stats_file = "{directory}/stats"; max_message = 120mb; }}
logging {{ type = "console"; level = "info"; }}
dkim {{ }}
metric {{ actions {{ reject = 15; add_header = 6; greylist = 4; }} }}
worker "normal" {{ bind_socket = "127.0.0.1:{self.port}"; count = 1; }}
""")
        who = ["-u", "_rspamd", "-g", "_rspamd"] if os.getuid() == 0 else []
        self.process = harness.Process(["/usr/bin/rspamd", "-f", "-c", conf, *who], os.path.join(directory, "rspamd.log"),
                                       ready=lambda: harness.connects(self.port), name="rspamd")

    def start(self):
        self.nsd.start()
        self.process.start()
        return self

    def stop(self):
        self.process.stop()
        self.nsd.stop()

    def verify(self, message):
        """{selector: symbol}"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        c.request("POST", "/checkv2", message, {"IP": "192.0.2.1"})
        said = json.loads(c.getresponse().read())
        c.close()
        found = {}
        for name, symbol in said["symbols"].items():
            if name.startswith("R_DKIM"):
                found.update({o.partition(":s=")[2]: name for o in symbol.get("options", [])})
        return found
