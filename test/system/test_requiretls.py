# SPDX-License-Identifier: Apache-2.0
"""REQUIRETLS and TLS-Required: no (RFC 8689), case by case."""
from dataclasses import dataclass

import harness
import pytest
import tls_world
from tls_world import SENDER, policy

pytestmark = pytest.mark.skipif(not tls_world.available(), reason="needs root, nsd and ldnsutils")

ROWS = {}
KEPT, DELIVERED, WAITS, BOUNCED = "kept", "delivered", "waits", "bounced"
RELAXED = "TLS-Required: No\r\n"
WRONG = "3 1 1 " + "ab" * 32


@dataclass
class Row:
    name: str
    what: str
    build: object
    ends: str
    requiretls: bool = True
    headers: str = ""
    clear: bool = False
    by: str = "none"
    at: str = ""  # label of the host that takes it
    zone: str = "example"

    @property
    def domain(self):
        return f"{self.name}.{self.zone}"


def row(what, ends, **more):
    def take(build):
        r = Row(build.__name__.replace("_", "-"), what, build, ends, **more)
        ROWS[r.name] = r
        return build
    return take


def relaxed(what, ends=DELIVERED, **more):
    return row(what, ends, requiretls=False, headers=RELAXED, **more)


# --- REQUIRETLS (RFC 8689 4.2.1): a proven name, a verified host that offers it

@row("DANE", KEPT, by="dane-ee")
def dane(d):
    d.host(tlsa=[(3, 1, 1)], requiretls=True)


@row("MTA-STS", KEPT, by="sts", zone="insecure.example")
def sts(d):
    d.host(chain="ca", requiretls=True)
    d.sts(policy(f"mx.{d.name}"))


@row("MX proven by DNSSEC, certificate good for PKIX", KEPT, by="pkix")
def pkix(d):
    d.host(chain="ca", requiretls=True)


@row("MX not proven, though the certificate is good for PKIX", BOUNCED, zone="insecure.example")
def unsigned(d):
    d.host(chain="ca", requiretls=True)


@row("DANE, and the server does not offer it", BOUNCED)
def not_offered(d):
    d.host(tlsa=[(3, 1, 1)])


@row("the first host does not offer it, the second does", KEPT, by="dane-ee", at="mx2")
def second(d):
    d.host("mx1", tlsa=[(3, 1, 1)])
    d.host("mx2", preference=20, tlsa=[(3, 1, 1)], requiretls=True)


@row("STARTTLS is not offered", BOUNCED)
def hidden(d):
    d.host(chain="ca", starttls="hidden", requiretls=True)


@row("certificate self-signed, no TLSA", BOUNCED)
def own(d):
    d.host(requiretls=True)


@row("TLSA of another key: it waits as any mail does, for it may be a rollover", WAITS)
def dane_wrong(d):
    d.host(tlsa=[WRONG], requiretls=True)


@row("MTA-STS in testing only", BOUNCED, zone="insecure.example")
def sts_testing(d):
    d.host(chain="ca", requiretls=True)
    d.sts(policy(f"mx.{d.name}", mode="testing"))


@row("SERVFAIL for TLSA: nobody knows yet", WAITS)
def servfail(d):
    d.host(tlsa=[(3, 1, 1)], requiretls=True)
    d.world.dns.fail(f"_25._tcp.mx.{d.name}", "TLSA", "servfail")


@row("SERVFAIL for MX: nobody knows yet", WAITS)
def servfail_mx(d):
    d.host(tlsa=[(3, 1, 1)], requiretls=True)
    d.world.dns.fail(d.name, "MX", "servfail")


@row("REQUIRETLS counts, TLS-Required: no beside it does not", BOUNCED, headers=RELAXED)
def both(d):
    d.host(chain="ca")


# --- TLS-Required: no (RFC 8689 3, 4.2.2): better in any way than not at all

@relaxed("TLSA of another key")
def relaxed_dane(d):
    d.host(tlsa=[WRONG])


@relaxed("TLSA, and the server does not offer STARTTLS", clear=True)
def relaxed_hidden(d):
    d.host(tlsa=[(3, 1, 1)], starttls="hidden")


@relaxed("TLSA, and the handshake is cut", clear=True)
def relaxed_cut(d):
    d.host(tlsa=[(3, 1, 1)], handshake="cut")


@relaxed("the MTA-STS policy names another host")
def relaxed_sts(d):
    d.host(chain="ca")
    d.sts(policy("mx.else.example"))


@relaxed("SERVFAIL for TLSA")
def relaxed_servfail(d):
    d.host(tlsa=[(3, 1, 1)])
    d.world.dns.fail(f"_25._tcp.mx.{d.name}", "TLSA", "servfail")


@pytest.fixture(scope="module")
def world(request):
    with tls_world.inside(request, "requiretls") as w:
        w.zone("insecure.example", "unsigned")
        for r in ROWS.values():
            r.build(w.domain(r.domain))
        w.domain("verified.example").host(tlsa=[(3, 1, 1)])
        w.domain("unverified.example").host()
        w.publish()
        yield w


@pytest.fixture(scope="module")
def relay(world):
    return world.relay()


@pytest.fixture(scope="module")
def ids(world, relay):
    ids = {}
    for r in ROWS.values():
        ids |= world.send(relay, [f"a@{r.domain}"], options=["REQUIRETLS"] if r.requiretls else [], headers=r.headers,
                          tls=r.requiretls)
    return ids


@pytest.fixture(scope="module")
def ends(world, relay, ids):
    return world.outcomes(relay, ids)


@pytest.fixture(scope="module")
def ledger(world, relay, ids, ends):
    return world.ledger(relay, ids.values())


@pytest.mark.parametrize("name", ROWS)
def test_row(world, ends, name):
    r = ROWS[name]
    event, facts = ends[f"a@{r.domain}"]
    print(f"{r.what}: {event} {facts}")
    came = world.came(r.domain)
    assert event == {KEPT: "delivered", DELIVERED: "delivered", WAITS: "deferred", BOUNCED: "bounced"}[r.ends]
    assert len(came) == (event == "delivered")
    assert [a.requiretls for a in came] == [r.ends == KEPT] * len(came)
    assert bool(world.in_clear(r.domain)) == r.clear
    if event == "delivered":
        assert facts["by"] == r.by
    if event == "bounced":
        assert facts["status"] == "5.7.30"
    if r.at:
        assert facts["host"] == f"{r.at}.{r.domain}"


@pytest.mark.parametrize("name", ROWS)
def test_ledger_says_why(ids, ledger, name):
    r = ROWS[name]
    at = ledger[ids[f"a@{r.domain}"]]
    assert (at["domain"], at["outcome"]) == (r.domain, {KEPT: "delivered", DELIVERED: "delivered", WAITS: "deferred",
                                                        BOUNCED: "bounced"}[r.ends])
    if at["outcome"] == "delivered":
        assert at["verified_by"] == r.by and (at["tls"] == "none") == r.clear
    else:
        assert at["reply"]  # what the sender's report says, or the queue
    if r.ends == BOUNCED:
        assert at["status"] == "5.7.30" and "REQUIRETLS" in at["reply"]


def test_the_trace_shows_why_no_server_would_do(relay, ids, ledger):
    told = relay.cli("trace", ids[f"a@{ROWS['own'].domain}"], check=True).stdout
    assert "tls       none\n" in told
    assert "policy    none: certificate is self-signed\n" in told
    assert "reply     5.7.30 message needs REQUIRETLS, and no server could be verified\n" in told


def reports_to(world, domain):
    """Reports that a sender's host got, when there is one."""
    return harness.wait_for("the report", lambda: world.came(domain, ""))


def test_reports_of_such_mail_require_tls_and_hold_no_body(world, ends):
    """RFC 8689 5."""
    bounced = [r for r in ROWS.values() if r.ends == BOUNCED]
    came = harness.wait_for("the reports", lambda: len(world.came(SENDER, "")) >= len(bounced) and world.came(SENDER, ""))
    for a in came:
        assert a.requiretls and b"5.7.30" in a.message
        assert b"hello" not in a.message


def test_a_report_has_no_body_even_if_the_sender_asks_for_it(world, relay):
    before = len(world.came(SENDER, ""))
    event, _, _ = world.outcome(relay, "b@not-offered.example", options=["REQUIRETLS", "RET=FULL"], tls=True)
    assert event == "bounced"
    report = harness.wait_for("the report", lambda: world.came(SENDER, "")[before:])[0]
    assert b"b@not-offered.example" in report.message and b"hello" not in report.message


def test_a_report_reaches_a_verified_host_that_does_not_offer_it(world, relay):
    event, _, _ = world.outcome(relay, "c@not-offered.example", sender="me@verified.example", options=["REQUIRETLS"], tls=True)
    assert event == "bounced"
    assert not reports_to(world, "verified.example")[0].requiretls


def test_a_report_is_lost_rather_than_sent_to_a_host_that_is_not_verified(world, relay):
    event, facts, _ = world.outcome(relay, "d@not-offered.example", sender="me@unverified.example", options=["REQUIRETLS"],
                                    tls=True)
    assert event == "bounced"
    harness.wait_for("the report's end", lambda: [e for e in relay.relay.events("bounced") if e[1] == facts["dsn"]])
    assert not world.came("unverified.example", "") and not world.in_clear("unverified.example", "")
