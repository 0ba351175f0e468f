# SPDX-License-Identifier: Apache-2.0
"""The rows of test_dane.py: domains with one peculiarity each, and how mail to them ends (RFC 7672, 7671)."""
import hashlib
from dataclasses import dataclass

import tls_chain

ROWS = {}
DELIVERED, WAITS = "delivered", "waits"


@dataclass
class Row:
    name: str
    what: str
    build: object  # makes the domain
    ends: str = DELIVERED
    clear: bool = False  # it ends delivered in clear; nothing may come in clear otherwise
    by: str = "none"  # what verified the host that took it: dane-ee, dane-ta, pkix
    policy: str = ""  # whose rule decided; "": as the rest says
    failure: str = ""  # what RFC 8460 calls it
    why: str = ""  # words of the trace, or of the queue if it waits
    postfix: str = ""  # how it ends with Postfix; "": as with us; "none": not asked
    differs: str = ""  # then why
    route: str = ""  # tls: of a route of its own
    zone: str = "example"

    @property
    def domain(self):
        return f"{self.name}.{self.zone}"

    @property
    def decided(self):
        if self.policy:
            return self.policy
        if self.by.startswith("dane") or self.ends == WAITS:
            return "dane"
        return "route" if self.route else "none"


def row(what, ends=DELIVERED, name=None, **more):
    def take(build):
        r = Row(name or build.__name__.replace("_", "-"), what, build, ends, **more)
        assert r.name not in ROWS
        ROWS[r.name] = r
        return build
    return take


OTHER = tls_chain.own("mx.other.example")


def wrong(usage, selector=1, matching=1):
    return tls_chain.tlsa(usage, selector, matching, OTHER.certs[0])


# --- DANE-EE(3): the server's own certificate or key, and nothing else (RFC 7672 3.1.1)

for s, m in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)):
    row(f"3 {s} {m} of a self-signed certificate", name=f"ee-{s}-{m}", by="dane-ee")(
        lambda d, s=s, m=m: d.host(tlsa=[(3, s, m)]))


@row("3 1 1, certificate expired", by="dane-ee")
def ee_expired(d):
    d.host(chain=tls_chain.own(f"mx.{d.name}", days=(-40, -1)), tlsa=[(3, 1, 1)])


@row("3 1 1, certificate not valid yet", by="dane-ee")
def ee_early(d):
    d.host(chain=tls_chain.own(f"mx.{d.name}", days=(10, 40)), tlsa=[(3, 1, 1)])


@row("3 1 1, certificate of another name", by="dane-ee", why="has TLSA records")
def ee_name(d):
    d.host(chain=tls_chain.own("else.where.example"), tlsa=[(3, 1, 1)])


@row("3 1 1 of another key", WAITS, failure="validation-failure", why="does not match the host's TLSA records")
def ee_wrong(d):
    d.host(tlsa=[wrong(3)])


@row("3 1 1 of another key, though the certificate is good for PKIX", WAITS, why="does not match the host's TLSA records")
def ee_wrong_pkix(d):
    d.host(chain="ca", tlsa=[wrong(3)])


@row("rollover: records of the old and the new key, the server has the new one", by="dane-ee")
def ee_rollover(d):
    d.host(tlsa=[wrong(3), (3, 1, 1)])


@row("rollover: the server still has the old one", by="dane-ee")
def ee_rollover_old(d):
    d.host(tlsa=[(3, 1, 1), wrong(3)])


@row("sixty records, one fits", by="dane-ee")
def ee_many(d):
    d.host(tlsa=["3 1 1 " + hashlib.sha256(b"%d" % i).hexdigest() for i in range(59)] + [(3, 1, 1)])


@row("SHA-512 fits, SHA-256 does not: the stronger digest counts (RFC 7671 9)", by="dane-ee")
def agility(d):
    d.host(tlsa=[wrong(3), (3, 1, 2)])


@row("SHA-256 fits, SHA-512 does not: the weaker digest does not count", WAITS, failure="validation-failure",
     why="does not match the host's TLSA records")
def agility_wrong(d):
    d.host(tlsa=[(3, 1, 1), wrong(3, 1, 2)])


@row("the certificate that fits is shown for the name that TLSA stands at (SNI)", by="dane-ee")
def sni(d):
    d.host(tlsa=[(3, 1, 1)], other=OTHER)


@row("TLS 1.2 and no more", by="dane-ee")
def tls12(d):
    d.host(tlsa=[(3, 1, 1)], newest="1.2")


# --- DANE-TA(2): an authority that the server shows in its chain, the name and the dates count (RFC 7672 3.1.2, 3.2.2)

def ta_host(d, record, names=None, expired=False, root=True, **more):
    ca = d.world.stranger  # trusted by nobody
    chain = ca.chain(*(names or [f"mx.{d.name}"]), expired=expired)
    if root:
        chain = chain.sending(ca.issuer, ca.root)
    return d.host(chain=chain, tlsa=[record] if isinstance(record, str) else record, **more)


for s, m in ((0, 1), (0, 2), (1, 1), (1, 2)):
    row(f"2 {s} {m} of the issuer", name=f"ta-{s}-{m}", by="dane-ta")(
        lambda d, s=s, m=m: ta_host(d, tls_chain.tlsa(2, s, m, d.world.stranger.issuer)))
row("2 1 1 of the root", name="ta-root", by="dane-ta")(lambda d: ta_host(d, tls_chain.tlsa(2, 1, 1, d.world.stranger.root)))


@row("2 0 0: the whole root is in the record, and the server does not show it", by="dane-ta")
def ta_full(d):
    ta_host(d, tls_chain.tlsa(2, 0, 0, d.world.stranger.root), root=False)


@row("2 1 0: the root's whole key is in the record, and the server does not show the root", by="dane-ta")
def ta_full_key(d):
    ta_host(d, tls_chain.tlsa(2, 1, 0, d.world.stranger.root), root=False)


@row("2 1 1 of a root that the server does not show", WAITS, failure="validation-failure",
     why="does not match the host's TLSA records")
def ta_missing(d):
    ta_host(d, tls_chain.tlsa(2, 1, 1, d.world.stranger.root), root=False)


@row("2 1 1 of another authority", WAITS, failure="validation-failure", why="does not match the host's TLSA records")
def ta_wrong(d):
    ta_host(d, wrong(2))


@row("2 1 1, certificate expired", WAITS, failure="certificate-expired", why="expired")
def ta_expired(d):
    ta_host(d, tls_chain.tlsa(2, 1, 1, d.world.stranger.root), expired=True)


@row("2 1 1, certificate of another name", WAITS, failure="certificate-host-mismatch", why="another name")
def ta_name(d):
    ta_host(d, tls_chain.tlsa(2, 1, 1, d.world.stranger.root), names=["else.where.example"])


@row("2 1 1, certificate of the domain, not of the MX host", by="dane-ta")
def ta_name_domain(d):
    ta_host(d, tls_chain.tlsa(2, 1, 1, d.world.stranger.root), names=[d.name])


@row("2 1 1, certificate of *.domain", by="dane-ta")
def ta_name_wildcard(d):
    ta_host(d, tls_chain.tlsa(2, 1, 1, d.world.stranger.root), names=[f"*.{d.name}"])


@row("3 1 1 does not fit, 2 1 1 does", by="dane-ta")
def ta_or_ee(d):
    ta_host(d, [wrong(3), tls_chain.tlsa(2, 1, 1, d.world.stranger.root)])


# --- unusable records (RFC 7672 2.2, 3.1.3): TLS is a must, nobody is authenticated

@row("0 1 1 only", policy="dane", failure="tlsa-invalid", why="no TLSA record")
def unusable_0(d):
    d.host(tlsa=[wrong(0)])


@row("1 1 1 only", policy="dane", failure="tlsa-invalid", why="no TLSA record")
def unusable_1(d):
    d.host(tlsa=[wrong(1)])


@row("3 1 1 with 31 octets", policy="dane", failure="tlsa-invalid", why="no TLSA record")
def unusable_short(d):
    d.host(tlsa=["3 1 1 " + "ab" * 31])


@row("3 1 9, 3 9 1 and 7 1 1: unknown numbers", policy="dane", failure="tlsa-invalid", why="no TLSA record")
def unusable_unknown(d):
    d.host(tlsa=["3 1 9 " + "ab" * 32, "3 9 1 " + "ab" * 32, "7 1 1 " + "ab" * 32])


@row("3 0 0 with what is no certificate", policy="dane", failure="tlsa-invalid", why="no TLSA record")
def unusable_garbage(d):
    d.host(tlsa=["3 0 0 " + "ab" * 100])


@row("1 1 1, and the server does not offer STARTTLS", WAITS, failure="starttls-not-supported",
     why="STARTTLS, which DANE requires")
def unusable_no_tls(d):
    d.host(tlsa=[wrong(1)], starttls="hidden")


@row("1 1 1 of another key beside 3 1 1 that fits", by="dane-ee")
def unusable_beside(d):
    d.host(tlsa=[wrong(1), (3, 1, 1)])


@row("1 1 1 that fits beside 3 1 1 of another key", WAITS, why="does not match the host's TLSA records")
def unusable_beside_wrong(d):
    d.host(tlsa=[(1, 1, 1), wrong(3)])


# --- lookups that fail (RFC 7672 2.1.2, 2.2): not the same as "there is none". The records exist: a resolver may prove from what
# it knows that others do not, without asking

@row("TLSA is bogus", WAITS, why="TLSA records failed DNSSEC validation")
def bogus_tlsa(d):
    d.host(tlsa=[(3, 1, 1)])
    d.world.zones.break_signature(f"_25._tcp.mx.{d.name}", "TLSA")


@row("that there is no TLSA is bogus", WAITS, why="TLSA records failed DNSSEC validation")
def bogus_denial(d):
    d.host()
    d.add("_tcp.mx", "TXT", '"x"')
    d.world.zones.break_signature(f"_tcp.mx.{d.name}", "NSEC")


@row("the host's address is bogus", WAITS, why="addresses of the mail host failed DNSSEC validation")
def bogus_address(d):
    d.host(tlsa=[(3, 1, 1)])
    d.world.zones.break_signature(f"mx.{d.name}", "A")


@row("MX is bogus", WAITS, why="MX records of the domain failed DNSSEC validation")
def bogus_mx(d):
    d.host(tlsa=[(3, 1, 1)])
    d.world.zones.break_signature(d.name, "MX")


@row("the zone's signatures have expired", WAITS, zone="expired.example", why="failed DNSSEC validation")
def signatures(d):
    d.host(tlsa=[(3, 1, 1)])


@row("SERVFAIL for TLSA", WAITS, why="TLSA records could not be looked up")
def servfail_tlsa(d):
    d.host(tlsa=[(3, 1, 1)])
    d.world.dns.fail(f"_25._tcp.mx.{d.name}", "TLSA", "servfail")


@row("SERVFAIL for MX", WAITS, why="MX records of the domain could not be looked up")
def servfail_mx(d):
    d.host(tlsa=[(3, 1, 1)])
    d.world.dns.fail(d.name, "MX", "servfail")


@row("SERVFAIL for the host's address", WAITS, why="addresses of the mail host could not be looked up")
def servfail_address(d):
    d.host(tlsa=[(3, 1, 1)])
    d.world.dns.fail(f"mx.{d.name}", "*", "servfail")


@row("no answer for TLSA", WAITS, why="TLSA records could not be looked up")
def silent_tlsa(d):
    d.host(tlsa=[(3, 1, 1)])
    d.world.dns.fail(f"_25._tcp.mx.{d.name}", "TLSA", "silent")


@row("SERVFAIL for TLSA below an unsigned zone: nobody asks", zone="insecure.example", why="not proven by DNSSEC")
def servfail_unsigned(d):
    d.host()
    d.world.dns.fail(f"_25._tcp.mx.{d.name}", "TLSA", "servfail")


# --- what is not secure has no DANE (RFC 7672 2.1.1, 2.2.1)

@row("signed, without TLSA", why="no TLSA records")
def no_tlsa(d):
    d.host()


@row("unsigned, with TLSA of another key", zone="insecure.example", why="mail hosts are not proven by DNSSEC")
def unsigned(d):
    d.host(tlsa=[wrong(3)])


@row("unsigned MX, host signed with TLSA of another key", zone="insecure.example", why="mail hosts are not proven by DNSSEC")
def unsigned_mx(d):
    d.host(name="mx.for-unsigned.example", tlsa=[wrong(3)])


@row("unsigned MX, host signed with TLSA that fits", zone="insecure.example")
def unsigned_mx_good(d):
    d.host(name="mx.for-unsigned-good.example", tlsa=[(3, 1, 1)])


@row("signed MX, host in an unsigned zone with TLSA of another key", why="address is not proven by DNSSEC")
def unsigned_host(d):
    d.host(name=f"mx.{d.name.replace('.', '-')}.insecure.example", tlsa=[wrong(3)])


@row("TLSA of another key in an unsigned zone below the host")
def unsigned_tlsa(d):
    d.world.zone(f"_tcp.mx.{d.name}", "unsigned")
    d.host(tlsa=[wrong(3)])


# --- names (RFC 7672 2.2.2, 2.2.3)

@row("no MX: the domain is its own host", by="dane-ee")
def no_mx(d):
    d.host("", mx=False, tlsa=[(3, 1, 1)])


@row("no MX, TLSA of another key", WAITS, failure="validation-failure", why="does not match the host's TLSA records")
def no_mx_wrong(d):
    d.host("", mx=False, tlsa=[wrong(3)])


@row("the domain is an alias of one with MX", by="dane-ee")
def alias_domain(d):
    real = d.host("mx.real", mx=False, tlsa=[(3, 1, 1)])
    d.add("real", "MX", f"10 {real.name}.")
    d.add("", "CNAME", f"real.{d.name}.")


def aliased(d, at_real=(), at_alias=(), real=None, names=None):
    """MX host alias.DOMAIN, which is an alias of another name; records of TLSA at either."""
    h = d.host(name=real or f"real.{d.name}", mx=False, tlsa=at_real, chain=names or "own")
    d.add("", "MX", f"10 alias.{d.name}.")
    d.add("alias", "CNAME", f"{h.name}.")
    if at_alias:
        d.add("_25._tcp.alias", "TLSA", *[t if isinstance(t, str) else tls_chain.tlsa(*t, h.chain.certs[0]) for t in at_alias])
    return h


@row("MX host is an alias: TLSA at the name it leads to", by="dane-ee")
def alias(d):
    aliased(d, at_real=[(3, 1, 1)])


@row("alias: TLSA at the name it leads to counts, not the alias's", by="dane-ee")
def alias_both(d):
    aliased(d, at_real=[(3, 1, 1)], at_alias=[wrong(3)])


@row("alias: TLSA at the name it leads to does not fit, the alias's would", WAITS, failure="validation-failure",
     why="does not match the host's TLSA records")
def alias_both_wrong(d):
    aliased(d, at_real=[wrong(3)], at_alias=[(3, 1, 1)])


@row("alias: TLSA only at the alias", by="dane-ee")
def alias_only(d):
    aliased(d, at_alias=[(3, 1, 1)])


@row("alias: TLSA only at the alias, of another key", WAITS, why="does not match the host's TLSA records")
def alias_only_wrong(d):
    aliased(d, at_alias=[wrong(3)])


@row("signed alias of a host in an unsigned zone, TLSA at the alias fits", by="dane-ee")
def alias_unsigned(d):
    aliased(d, real="real-alias-unsigned.insecure.example", at_alias=[(3, 1, 1)])


@row("signed alias of a host in an unsigned zone, TLSA at the alias of another key", WAITS,
     why="does not match the host's TLSA records")
def alias_unsigned_wrong(d):
    aliased(d, real="real-alias-unsigned-wrong.insecure.example", at_alias=[wrong(3)])


@row("alias: 2 1 1, certificate of the name it leads to", by="dane-ta")
def alias_ta(d):
    ca = d.world.stranger
    aliased(d, at_real=[tls_chain.tlsa(2, 1, 1, ca.root)], names=ca.chain(f"real.{d.name}").sending(ca.issuer, ca.root))


@row("TLSA is an alias of a record elsewhere", by="dane-ee")
def alias_tlsa(d):
    h = d.host()
    d.add("_25._tcp.mx", "CNAME", f"tlsa.{d.name}.")
    d.add("tlsa", "TLSA", tls_chain.tlsa(3, 1, 1, h.chain.certs[0]))


@row("TLSA by wildcard", by="dane-ee")
def wildcard_tlsa(d):
    h = d.host()
    d.add("*._tcp.mx", "TLSA", tls_chain.tlsa(3, 1, 1, h.chain.certs[0]))


# --- several hosts: each by its own records (RFC 7672 2.2)

@row("first host: TLSA of another key; second: TLSA fits", by="dane-ee")
def hosts_next(d):
    d.host("mx1", tlsa=[wrong(3)])
    d.host("mx2", preference=20, tlsa=[(3, 1, 1)])


@row("first host: TLSA of another key; second: none")
def hosts_beside(d):
    d.host("mx1", tlsa=[wrong(3)])
    d.host("mx2", preference=20)


@row("first host: TLSA fits; second: no TLS", by="dane-ee")
def hosts_first(d):
    d.host("mx1", tlsa=[(3, 1, 1)])
    d.host("mx2", preference=20, chain=None)


@row("first host: SERVFAIL for TLSA; second: TLSA fits", by="dane-ee")
def hosts_servfail(d):
    d.host("mx1", tlsa=[(3, 1, 1)])
    d.host("mx2", preference=20, tlsa=[(3, 1, 1)])
    d.world.dns.fail(f"_25._tcp.mx1.{d.name}", "TLSA", "servfail")


# --- TLS taken away: nothing in clear with TLSA, opportunistic without

for case, what, how, why in (("hidden", "STARTTLS is not offered", {"starttls": "hidden"}, "STARTTLS, which DANE requires"),
                             ("refused", "STARTTLS gets 454", {"starttls": "refused"}, "4.7.0 TLS is not available now"),
                             ("cut", "the handshake is cut", {"handshake": "cut"}, "connection reset"),
                             ("garbage", "the handshake is answered with text", {"handshake": "garbage"}, "handshake")):
    row(f"{what}, with TLSA", WAITS, name=f"{case}-tlsa", why=why)(lambda d, h=how: d.host(tlsa=[(3, 1, 1)], **h))
    row(f"{what}, without TLSA", name=f"{case}-without", clear=True)(lambda d, h=how: d.host(**h))


# --- rules of the administrator (tls: of a route)

@row("tls: dane, 3 1 1 fits", route="dane", by="dane-ee")
def must(d):
    d.host(tlsa=[(3, 1, 1)])


@row("tls: dane, there is no TLSA", WAITS, route="dane", policy="route", failure="dane-required",
     why="no TLSA records that DNSSEC proves")
def must_none(d):
    d.host(chain="ca")


@row("tls: dane, only unusable records", WAITS, route="dane", policy="route", failure="tlsa-invalid",
     why="no TLSA record of the host can be used")
def must_unusable(d):
    d.host(chain="ca", tlsa=[(1, 1, 1)])


@row("tls: dane, unsigned", WAITS, route="dane", zone="insecure.example", policy="route", failure="dane-required",
     why="not proven by DNSSEC")
def must_unsigned(d):
    d.host(tlsa=[(3, 1, 1)])


@row("tls: verify is a rule: PKIX counts, TLSA does not", WAITS, route="verify", policy="route", failure="certificate-not-trusted",
     why="self-signed")
def rule_verify(d):
    d.host(tlsa=[(3, 1, 1)])


@row("tls: verify, certificate good for PKIX, TLSA of another key", route="verify", by="pkix")
def rule_verify_good(d):
    d.host(chain="ca", tlsa=[wrong(3)])


@row("tls: none is a rule: in clear", route="none", clear=True, why="the route says so")
def rule_none(d):
    d.host(tlsa=[(3, 1, 1)])


@row("tls: encrypt, TLSA of another key: DANE asks for more", WAITS, route="encrypt", postfix=DELIVERED,
     differs="RFC 7672 6: an administrator's level is local policy. Postfix's encrypt takes the place of dane; "
             "our encrypt is the least, and TLSA raises it", why="does not match the host's TLSA records")
def rule_encrypt(d):
    d.host(tlsa=[wrong(3)])
