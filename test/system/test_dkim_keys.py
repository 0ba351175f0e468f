# SPDX-License-Identifier: Apache-2.0
"""sealpost dkim: keys for a domain, what its zone must hold, what the DNS does hold, and a rotation that waits for it."""
import base64
import json
import os
import re
import shutil
import subprocess

import harness
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from test_mx import Nsd, pytestmark  # noqa: F401

LINE = re.compile(r'^(\S+)\. IN TXT((?: "[^"]*")+)$', re.M)
SIGNED = "signed.example"
LOOKER = harness.UID + 1  # a user who may look
needs_ldns = pytest.mark.skipif(not shutil.which("ldns-signzone"), reason="needs ldnsutils")


def lines_of(text):
    """{name: text of its TXT record} of what is meant for a zone."""
    found = {}
    for name, strings in LINE.findall(text):
        parts = re.findall(r'"([^"]*)"', strings)
        assert all(len(p) <= 255 for p in parts) and name not in found
        found[name] = "".join(parts)
    return found


class World:
    def __init__(self, s, place, parts):
        self.s, self.dir = s, os.path.join(place, "nsd")
        self.nsd = Nsd(self.dir, {"a.example": "", "b.example": "", SIGNED: ""}).start()
        parts.append(self.nsd)
        self.serial = 1
        self.anchor = os.path.join(place, "anchor.key")
        self.write_anchor("elsewhere.test. IN DS 12345 13 2 " + "ab" * 32)

    def write_anchor(self, text):
        with open(self.anchor, "w") as f:
            f.write(text + "\n")
        os.chmod(self.anchor, 0o644)

    def zone(self, name, records):
        self.serial += 1
        return (f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns.{name}. host.{name}. {self.serial} 60 60 600 60\n@ NS ns\n"
                f"ns A 127.0.0.1\n{records}\n")

    def serve(self, name, text):
        """Has the name server serve a zone; done when it does."""
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(text)
        self.nsd.stop()
        self.nsd.start()

    def publish(self, name, records):
        self.serve(name, self.zone(name, records))

    def publish_signed(self, name, records, spoil=None):
        """Signed with a key that becomes the anchor; spoil: the owner whose TXT gets another text after that."""
        made = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", name], cwd=self.dir, check=True,
                              capture_output=True, text=True).stdout.strip()
        plain = os.path.join(self.dir, "plain")
        with open(plain, "w") as f:
            f.write(self.zone(name, records))
        subprocess.run(["ldns-signzone", "-f", "signed", "plain", made], cwd=self.dir, check=True, capture_output=True)
        with open(os.path.join(self.dir, "signed")) as f:
            text = f.read()
        if spoil:
            text = re.sub(rf'^({re.escape(spoil)}\.\s+\d+\s+IN\s+TXT\s+")v', r"\1w", text, flags=re.M)
        with open(os.path.join(self.dir, made + ".key")) as f:
            self.write_anchor(f.read().strip())
        self.serve(name, text)

    def configure(self, dkim, **more):
        self.s.configure(['{domain: "*", to: mx, tls: opportunistic}'], dkim=dkim,
                         dns=f'{{servers: ["127.0.0.1@{self.nsd.port}"], trust_anchor: {self.anchor}}}', **more)

    def dkim(self, *args):
        return self.s.cli("dkim", *args)

    def ok(self, *args):
        r = self.dkim(*args)
        assert r.returncode == 0, r.stdout + r.stderr
        return r.stdout

    def check(self, domain):
        """(exit code, {selector: (dns, dnssec)})"""
        r = self.dkim("check", domain, "--json")
        found = {row["selector"]: (row["dns"], row["dnssec"]) for row in json.loads(r.stdout)["records"]}
        return r.returncode, found

    def list(self):
        return {row["selector"]: (row["state"], row["signs"]) for row in json.loads(self.ok("list", "--json"))
                if "selector" in row}


@pytest.fixture
def world(sealpost, place, parts):
    w = World(sealpost, place, parts)
    w.configure("[{domain: a.example}]")
    sealpost.start()
    return w


def test_a_domain_gets_two_keys_and_the_lines_for_its_zone(world):
    assert re.search(r"^a\.example .*no: it has no key$", world.ok("list"), re.M)
    told = lines_of(world.ok("add", "A.Example."))
    assert set(told) == {"sp1r._domainkey.a.example", "sp1e._domainkey.a.example"}
    assert lines_of(world.ok("dns", "a.example")) == told
    assert told["sp1r._domainkey.a.example"].startswith("v=DKIM1; k=rsa; p=")
    key = serialization.load_der_public_key(base64.b64decode(told["sp1r._domainkey.a.example"].split("p=")[1]))
    assert isinstance(key, rsa.RSAPublicKey) and key.key_size == 2048
    assert told["sp1e._domainkey.a.example"].startswith("v=DKIM1; k=ed25519; p=")
    ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(told["sp1e._domainkey.a.example"].split("p=")[1]))
    assert world.list() == {"sp1r": ("active", True), "sp1e": ("active", True)}
    again = world.dkim("add", "a.example")
    assert again.returncode == 1 and "already" in again.stderr
    # the keys stay in keyd: nothing else of them is in any file
    assert "BEGIN" not in world.ok("dns", "a.example")


def test_one_type_alone_and_names_that_cannot_be(world):
    assert set(lines_of(world.ok("add", "b.example", "--ed25519-only"))) == {"sp1e._domainkey.b.example"}
    assert world.list() == {"sp1e": ("active", False)}
    assert "- {domain: b.example}" not in world.ok("dns", "b.example")
    assert set(lines_of(world.ok("add", "b.example"))) == {"sp1e._domainkey.b.example", "sp1r._domainkey.b.example"}
    for domain, why in (("a" * 48 + ".com", "51"), ("bad..example", "no domain"), ("b_c.example", "no domain"),
                        ("m\u00fcller.example", "ASCII"), ("", "no domain"), (".", "no domain"), ("x" * 64, "51")):
        r = world.dkim("add", domain)
        assert r.returncode == 64 and why in r.stderr, (domain, r.stderr)
    world.ok("add", "a" * 47 + ".com", "--ed25519-only")  # 51 octets
    for sub in ("dns", "check", "rotate", "retire"):
        r = world.dkim(sub, "nobody.example")
        assert r.returncode == 1 and "no DKIM key" in r.stderr, r.stderr
    assert world.dkim("add").returncode == 64 and world.dkim("add", "a.example", "--rsa").returncode == 64


def test_selectors_begin_as_relay_s_configuration_says(world):
    world.configure("[{domain: a.example, selector: mail-}, {domain: b.example}]")
    world.s.relay.stop()
    world.s.relay.start()
    world.s.wait_keyd()
    assert set(lines_of(world.ok("add", "a.example", "--rsa-only"))) == {"mail-1r._domainkey.a.example"}
    rows = {row["domain"]: row for row in json.loads(world.ok("list", "--json"))}
    assert rows["a.example"]["selector"] == "mail-1r" and "selector" not in rows["b.example"]
    assert re.search(r"^b\.example .*no: it has no key$", world.ok("list"), re.M)
    world.s.relay.stop()
    r = world.dkim("dns", "a.example")  # keyd knows the key, nobody the prefix
    assert r.returncode == 0 and "relay does not answer" in r.stderr
    assert world.dkim("check", "a.example").returncode == 75


def test_what_the_dns_says_of_a_selector_is_told(world):
    lines = lines_of(world.ok("add", "a.example"))
    r_name, e_name = "sp1r._domainkey.a.example", "sp1e._domainkey.a.example"
    assert world.check("a.example") == (1, {"sp1r": ("missing", "insecure"), "sp1e": ("missing", "insecure")})
    zone = world.ok("dns", "a.example")
    world.publish("a.example", zone)
    assert world.check("a.example") == (0, {"sp1r": ("published", "insecure"), "sp1e": ("published", "insecure")})
    assert "verifiers find this key" in world.ok("check", "a.example")
    other = lines[e_name].replace("ed25519", "rsa")
    world.publish("a.example", f'{r_name}. TXT "{other}"\n{e_name}. TXT "v=spf1 -all"\n{e_name}. TXT "{lines[e_name]}"\n')
    assert world.check("a.example") == (1, {"sp1r": ("different", "insecure"), "sp1e": ("multiple", "insecure")})
    shown = world.dkim("check", "a.example")
    assert shown.returncode == 1 and f"found:  {other}" in shown.stdout and f"wanted: {lines[r_name]}" in shown.stdout
    world.publish("a.example", f'{r_name}. TXT "v=DKIM1; p="\n{e_name}. TXT "{lines[e_name]}; s=tlsrpt"\n')
    assert world.check("a.example") == (1, {"sp1r": ("revoked", "insecure"), "sp1e": ("unfit", "insecure")})
    world.publish("a.example", f'{r_name}. CNAME keys.b.example.\n{e_name}. TXT "{lines[e_name]}; t=y"\n')
    world.publish("b.example", f'keys TXT {zone.splitlines()[1].split(" TXT ")[1]}\n')
    assert world.check("a.example") == (0, {"sp1r": ("published", "insecure"), "sp1e": ("published", "insecure")})
    assert "t=y" in world.ok("check", "a.example")
    world.nsd.stop()
    assert world.check("a.example") == (1, {"sp1r": ("unreachable", "unknown"), "sp1e": ("unreachable", "unknown")})
    assert not world.s.relay.events("dns-bogus")


@needs_ldns
def test_dnssec_is_told_and_a_bogus_record_is_none(world):
    world.ok("add", SIGNED)
    zone = world.ok("dns", SIGNED)
    world.publish_signed(SIGNED, zone)
    world.s.relay.stop()
    world.s.relay.start()
    world.s.wait_keyd()
    assert world.check(SIGNED) == (0, {"sp1r": ("published", "secure"), "sp1e": ("published", "secure")})
    world.publish_signed(SIGNED, zone, spoil=f"sp1e._domainkey.{SIGNED}")
    world.s.relay.stop()
    world.s.relay.start()
    world.s.wait_keyd()
    assert world.check(SIGNED) == (1, {"sp1r": ("published", "secure"), "sp1e": ("bogus", "bogus")})


def test_the_next_key_signs_only_when_its_record_is_found(world):
    s = world.s
    s.write("keyd.yaml", s.read("keyd.yaml") + "rotation: {overlap: 1s}\n")
    s.keyd.stop()
    s.keyd.start()
    s.wait_keyd()
    world.ok("add", "a.example")
    world.publish("a.example", world.ok("dns", "a.example"))
    none = world.dkim("rotate", "a.example", "--activate")
    assert none.returncode == 75 and "no next keys" in none.stderr
    told = lines_of(world.ok("rotate", "a.example"))
    assert set(told) == {"sp2r._domainkey.a.example", "sp2e._domainkey.a.example"}
    assert lines_of(world.ok("rotate", "a.example")) == told  # asked twice it makes no third
    assert world.check("a.example")[1]["sp2r"] == ("missing", "insecure")
    r = world.dkim("rotate", "a.example", "--activate")
    assert r.returncode == 1 and "sp2r._domainkey.a.example: missing" in r.stderr and "not activated" in r.stderr
    assert world.list()["sp2r"][0] == "next"
    zone = world.ok("dns", "a.example")
    assert len(lines_of(zone)) == 4
    world.publish("a.example", zone)
    out = world.ok("rotate", "a.example", "--activate")
    assert "sp2r signs from now on" in out and "sp2e signs from now on" in out
    # what signed before is gone from keyd soon, and stays in the zone
    harness.wait_for("the end of the old keys", lambda: world.list()["sp1r"][0] == "destroyed" == world.list()["sp1e"][0], 30)
    states = world.list()
    assert states["sp2r"] == ("active", True) and states["sp1r"] == ("destroyed", True)
    assert set(lines_of(world.ok("dns", "a.example"))) == set(lines_of(zone))
    assert world.check("a.example")[0] == 0
    rest = world.ok("retire", "a.example")
    assert "must stay" in rest and set(lines_of(rest)) == {"sp1r._domainkey.a.example", "sp1e._domainkey.a.example"}
    world.publish("a.example", "".join(f'{n}. TXT {t}\n' for n, t in LINE.findall(zone) if n.startswith("sp2")))
    code, found = world.check("a.example")
    assert code == 1 and found["sp1r"] == ("missing", "insecure")  # too early
    # in need, without the DNS
    world.ok("rotate", "a.example")
    assert "sp3e signs" in world.ok("rotate", "a.example", "--activate", "--force")


def test_who_may_only_look_cannot_change_keys(world):
    if os.getuid() != 0:
        pytest.skip("needs a second user")
    s = world.s
    s.write("keyd.yaml", s.read("keyd.yaml").replace("peers:\n", f'peers:\n  "{LOOKER}": [operator]\n')
            + f'socket_mode: "0666"\nuser: "{s.uid}"\n')
    s.keyd.stop()
    s.keyd.start()
    s.wait_keyd()
    world.ok("add", "a.example")
    for args in (("list",), ("dns", "a.example")):
        assert s.cli("dkim", *args, uid=LOOKER).returncode == 0
    for args in (("add", "b.example"), ("rotate", "a.example"), ("rotate", "a.example", "--activate", "--force")):
        r = s.cli("dkim", *args, uid=LOOKER)
        assert r.returncode == 75 and "officer" in r.stderr
