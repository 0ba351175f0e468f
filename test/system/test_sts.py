# SPDX-License-Identifier: Apache-2.0
"""MTA-STS (RFC 8461), case by case: policy hosts that serve, vanish, change and lie; receivers that keep the policy or not."""
from dataclasses import dataclass

import harness
import pytest
import tls_chain
import tls_world
from tls_world import policy

pytestmark = pytest.mark.skipif(not tls_world.available(), reason="needs root, nsd and ldnsutils")

ROWS = {}
DELIVERED, WAITS = "delivered", "waits"


@dataclass
class Row:
    name: str
    what: str
    build: object
    ends: str = DELIVERED
    clear: bool = False
    policy: str = "none"  # of the log line
    by: str = "none"
    failure: str = ""  # what RFC 8460 calls it, or how that begins
    why: str = ""  # words of the queue, if it waits

    @property
    def domain(self):
        return f"{self.name}.example"


def row(what, ends=DELIVERED, name=None, **more):
    def take(build):
        r = Row(name or build.__name__.replace("_", "-"), what, build, ends, **more)
        assert r.name not in ROWS
        ROWS[r.name] = r
        return build
    return take


# --- enforce (RFC 8461 4, 5): the MX host is one of the policy's, and its certificate is good for its name

@row("enforce, all is well", policy="sts", by="sts")
def enforce(d):
    d.host(chain="ca")
    d.sts(policy(f"mx.{d.name}"))


@row("enforce, mx by wildcard", policy="sts", by="sts")
def enforce_wildcard(d):
    d.host(chain="ca")
    d.sts(policy(f"*.{d.name}"))


@row("enforce, the host is not in the policy", WAITS, policy="sts", failure="validation-failure", why="not one that")
def enforce_mismatch(d):
    d.host(chain="ca")
    d.sts(policy("mx.else.example"))


@row("enforce, a wildcard stands for one label only", WAITS, policy="sts", failure="validation-failure", why="not one that")
def enforce_wildcard_deep(d):
    d.host("mx.deep", chain="ca")
    d.sts(policy(f"*.{d.name}"))


@row("enforce, the first host is not in the policy, the second is", policy="sts", by="sts")
def enforce_second(d):
    d.host("mx1", chain="ca")
    d.host("mx2", chain="ca", preference=20)
    d.sts(policy(f"mx2.{d.name}"))


@row("enforce, certificate expired", WAITS, policy="sts", failure="certificate-expired", why="expired")
def enforce_expired(d):
    d.host(chain=d.world.ca.chain(f"mx.{d.name}", expired=True))
    d.sts(policy(f"mx.{d.name}"))


@row("enforce, certificate of another name", WAITS, policy="sts", failure="certificate-host-mismatch", why="another name")
def enforce_name(d):
    d.host(chain=d.world.ca.chain("else.where.example"))
    d.sts(policy(f"mx.{d.name}"))


@row("enforce, self-signed certificate", WAITS, policy="sts", failure="certificate-not-trusted", why="self-signed")
def enforce_own(d):
    d.host()
    d.sts(policy(f"mx.{d.name}"))


@row("enforce, STARTTLS is not offered", WAITS, policy="sts", failure="starttls-not-supported", why="STARTTLS")
def enforce_hidden(d):
    d.host(chain="ca", starttls="hidden")
    d.sts(policy(f"mx.{d.name}"))


@row("enforce, STARTTLS gets 454", WAITS, policy="sts", why="TLS is not available now")
def enforce_refused(d):
    d.host(chain="ca", starttls="refused")
    d.sts(policy(f"mx.{d.name}"))


@row("enforce, the handshake is cut", WAITS, policy="sts", why="reset")
def enforce_cut(d):
    d.host(chain="ca", handshake="cut")
    d.sts(policy(f"mx.{d.name}"))


@row("enforce, the handshake is answered with text", WAITS, policy="sts", why="handshake")
def enforce_garbage(d):
    d.host(chain="ca", handshake="garbage")
    d.sts(policy(f"mx.{d.name}"))


# --- testing and none: mail goes as without, and what would have failed is told

@row("testing, all is well", policy="sts-testing", by="pkix")
def trial(d):
    d.host(chain="ca")
    d.sts(policy(f"mx.{d.name}", mode="testing"))


@row("testing, the host is not in the policy", policy="sts-testing", by="pkix", failure="validation-failure")
def trial_mismatch(d):
    d.host(chain="ca")
    d.sts(policy("mx.else.example", mode="testing"))


@row("testing, certificate expired", policy="sts-testing")
def trial_expired(d):
    d.host(chain=d.world.ca.chain(f"mx.{d.name}", expired=True))
    d.sts(policy(f"mx.{d.name}", mode="testing"))


@row("testing, STARTTLS is not offered", clear=True, policy="sts-testing")
def trial_hidden(d):
    d.host(chain="ca", starttls="hidden")
    d.sts(policy(f"mx.{d.name}", mode="testing"))


@row("mode none", name="none")
def none(d):
    d.host()
    d.sts(policy("mx.else.example", mode="none"))


# --- no policy can be had, and none is known: as without (RFC 8461 3.3)

def host_and_policy(d, **fields):
    """A receiver that the policy would forbid, if it could be had."""
    d.host()
    return d.sts(policy("mx.else.example"), **fields)


@row("the policy host refuses connections", failure="sts-policy-fetch-error")
def away(d):
    host_and_policy(d).stop()


@row("the policy host cuts the handshake", failure="sts-policy-fetch-error")
def away_cut(d):
    host_and_policy(d, fault="cut")


@row("the policy host's certificate has expired", failure="sts-webpki-invalid")
def away_expired(d):
    host_and_policy(d, chain=d.world.ca.chain(f"mta-sts.{d.name}", expired=True))


@row("the policy host's certificate is of another name", failure="sts-webpki-invalid")
def away_name(d):
    host_and_policy(d, chain=d.world.ca.chain(d.name))


@row("the policy host's certificate is self-signed", failure="sts-webpki-invalid")
def away_own(d):
    host_and_policy(d, chain=tls_chain.own(f"mta-sts.{d.name}"))


@row("the policy is moved (redirects are not followed)", failure="sts-policy-fetch-error")
def away_redirect(d):
    host_and_policy(d, status="301 Moved Permanently", more="Location: https://mta-sts.enforce.example/.well-known/mta-sts.txt\r\n")


@row("404 instead of the policy", failure="sts-policy-fetch-error")
def away_404(d):
    host_and_policy(d, status="404 Not Found")


@row("500 instead of the policy", failure="sts-policy-fetch-error")
def away_500(d):
    host_and_policy(d, status="500 Oops")


@row("the policy is of type text/html")
def away_type(d):
    host_and_policy(d, type="text/html")


@row("the policy is larger than 64 KiB")
def away_large(d):
    host_and_policy(d).text += "x-more: " + "y" * 70000 + "\r\n"


@row("the policy has no version")
def away_version(d):
    h = host_and_policy(d)
    h.text = h.text.replace("version", "virsion")


@row("the policy has a mode nobody knows")
def away_mode(d):
    h = host_and_policy(d)
    h.text = h.text.replace("enforce", "enfarce")


@row("two records")
def record_twice(d):
    host_and_policy(d, record=['"v=STSv1; id=1;"', '"v=STSv1; id=2;"'])


@row("a record without id")
def record_id(d):
    host_and_policy(d, record=['"v=STSv1;"'])


@row("another TXT record beside the right one", WAITS, policy="sts", failure="validation-failure", why="not one that")
def record_beside(d):
    host_and_policy(d, record=['"v=spf1 -all"', '"v=STSv1; id=1;"'])


@row("no record, though there is a policy")
def record_none(d):
    host_and_policy(d, record=['"nothing"'])


@row("SERVFAIL for the record")
def record_servfail(d):
    host_and_policy(d)
    d.world.dns.fail(f"_mta-sts.{d.name}", "TXT", "servfail")


# --- DANE is stronger (RFC 8461 2)

@row("TLSA fits, the policy names another host", policy="dane", by="dane-ee")
def dane_over_sts(d):
    d.host(tlsa=[(3, 1, 1)])
    d.sts(policy("mx.else.example"))


@row("TLSA does not fit, the policy and PKIX do", WAITS, policy="dane", why="TLSA")
def dane_fails(d):
    d.host(chain="ca", tlsa=["3 1 1 " + "ab" * 32])
    d.sts(policy(f"mx.{d.name}"))


@row("SERVFAIL for TLSA, the policy and PKIX fit", WAITS, policy="dane", why="TLSA records could not be looked up")
def dane_servfail(d):
    d.host(chain="ca", tlsa=[(3, 1, 1)])
    d.sts(policy(f"mx.{d.name}"))
    d.world.dns.fail(f"_25._tcp.mx.{d.name}", "TLSA", "servfail")


# --- what changes after a first delivery has made the policy known

LATER = {}


@dataclass
class Later:
    name: str
    what: str
    change: object  # done to the domain; what it hides or sends shows whether the policy still holds
    ends: str
    clear: bool = False
    max_age: int = 86400

    @property
    def domain(self):
        return f"{self.name}.example"


def later(what, ends=WAITS, **more):
    def take(change):
        r = Later("then-" + change.__name__.replace("_", "-"), what, change, ends, **more)
        LATER[r.name] = r
        return change
    return take


def strip(d):
    """The receiver hides STARTTLS: mail waits if a policy holds, and goes in clear if none does."""
    d.hosts[0].starttls = "hidden"


@later("the same id, another policy: nobody fetches it", DELIVERED)
def same(d):
    d.policy_host.text = policy("mx.else.example")


@later("the policy host is away")
def away_now(d):
    d.policy_host.stop()
    strip(d)


@later("the policy host is away, and there is another id")
def away_changed(d):
    d.policy_host.stop()
    d.set_sts_id("2")
    strip(d)


@later("another id, and a policy that is broken")
def broken(d):
    d.policy_host.text = "version: STSv1\r\nmode: none\r\n"  # without max_age
    d.set_sts_id("2")
    strip(d)


@later("another id, and a policy host whose certificate has expired")
def host_expired(d):
    d.policy_host.present(d.world.ca.chain(d.policy_host.name, expired=True))
    d.policy_host.text = policy(mode="none")
    d.set_sts_id("2")
    strip(d)


@later("the record is gone")
def gone(d):
    d.set_sts_id(None)
    strip(d)


@later("SERVFAIL for the record")
def servfail(d):
    d.world.dns.fail(f"_mta-sts.{d.name}", "TXT", "servfail")
    strip(d)


@later("another id, and a policy that names another host")
def changed(d):
    d.policy_host.text = policy("mx.else.example")
    d.set_sts_id("2")


@later("another id, and a policy of mode none", DELIVERED, clear=True)
def ended(d):
    d.policy_host.text = policy(mode="none")
    d.set_sts_id("2")
    strip(d)


@later("too old, without record and policy host", DELIVERED, clear=True, max_age=1)
def too_old(d):
    d.policy_host.stop()
    d.set_sts_id(None)
    strip(d)


@pytest.fixture(scope="module")
def world(request):
    with tls_world.inside(request, "sts") as w:
        for r in ROWS.values():
            r.build(w.domain(r.domain))
        for r in LATER.values():
            d = w.domain(r.domain, ttl=1)
            d.host(chain="ca")
            d.sts(policy(f"mx.{d.name}", max_age=r.max_age))
        for name in ("late", "restarted"):
            d = w.domain(f"{name}.example", ttl=1)
            d.host(chain="ca")
            d.sts(policy(f"mx.{d.name}"))
        w.domains["late.example"].policy_host.stop()
        w.publish()
        yield w


@pytest.fixture(scope="module")
def relay(world):
    return world.relay(outbound=f'{{ca: {world.ca_file}, private_ok: ["127.0.0.0/8"], messages: 1}}')


@pytest.fixture(scope="module")
def ids(world, relay):
    return world.send(relay, [f"a@{r.domain}" for r in ROWS.values()])


@pytest.fixture(scope="module")
def ends(world, relay, ids):
    return world.outcomes(relay, ids)


@pytest.fixture(scope="module")
def ledger(world, relay, ids, ends):
    return world.ledger(relay, ids.values())


@pytest.fixture(scope="module")
def waiting(relay, ends):
    return {i["destination"]: i["reply"] for i in relay.queue()}


@pytest.mark.parametrize("name", ROWS)
def test_row(world, ends, waiting, name):
    r = ROWS[name]
    event, facts = ends[f"a@{r.domain}"]
    print(f"{r.what}: {event} {facts} {waiting.get(r.domain, '')}")
    assert event == {DELIVERED: "delivered", WAITS: "deferred"}[r.ends]
    assert len(world.came(r.domain)) == (r.ends == DELIVERED)
    assert bool(world.in_clear(r.domain)) == r.clear
    if facts.get("reason") != "dns":
        assert (facts["policy"], facts["by"]) == (r.policy, r.by)
    assert facts.get("failure", "").startswith(r.failure)
    if r.ends == WAITS:
        assert r.why and r.why in waiting[r.domain]


def test_what_cannot_be_read_is_told(relay, ends):
    """Each record and policy that is no good, or could not be had, is in the log with its domain."""
    told = {f["domain"].removesuffix(".example"): name for _, _, name, f in relay.relay.events() if name.startswith("sts-")}
    assert {n: told.get(n) for n in ("record-servfail", "record-twice", "record-id", "away-type", "away-mode", "away-404")} == {
        "record-servfail": "sts-record-unknown", "record-twice": "sts-record-invalid", "record-id": "sts-record-invalid",
        "away-type": "sts-policy-invalid", "away-mode": "sts-policy-invalid", "away-404": "sts-fetch-failed"}


@pytest.mark.parametrize("name", ROWS)
def test_ledger_says_why(ids, ledger, name):
    r = ROWS[name]
    at = ledger[ids[f"a@{r.domain}"]]
    assert (at["domain"], at["outcome"]) == (r.domain, {DELIVERED: "delivered", WAITS: "deferred"}[r.ends])
    if at.get("reason") != "dns":
        assert (at["policy"], at["verified_by"]) == (r.policy, r.by)
    assert at.get("failure", "").startswith(r.failure)
    if r.ends == WAITS:
        assert r.why in at["reply"]
    else:
        assert (at["tls"] == "none") == r.clear


@pytest.fixture(scope="module")
def then(world, relay, ends):
    """How mail ended after the changes: {recipient: (event, facts)}."""
    domains = [r.domain for r in LATER.values()] + ["late.example", "restarted.example"]
    for name, (event, facts) in world.outcomes(relay, world.send(relay, [f"a@{d}" for d in domains])).items():
        known = "none" if name == "a@late.example" else "sts"
        assert (event, facts["policy"], facts["by"]) == ("delivered", known, known), name
    for r in LATER.values():
        r.change(world.domains[r.domain])
    late = world.domains["late.example"]
    late.policy_host.start()
    late.set_sts_id("2")
    strip(late)
    world.publish()
    world.forget(relay, 5.1)  # relay reads a record again after 5 seconds, however short its TTL
    return world.outcomes(relay, world.send(relay, [f"b@{d}" for d in domains if d != "restarted.example"]))


@pytest.mark.parametrize("name", LATER)
def test_what_is_known_of_a_domain(world, then, name):
    r = LATER[name]
    event, facts = then[f"b@{r.domain}"]
    print(f"{r.what}: {event} {facts}")
    assert event == {DELIVERED: "delivered", WAITS: "deferred"}[r.ends]
    assert bool(world.in_clear(r.domain)) == r.clear
    if r.ends == WAITS:
        assert facts["policy"] == "sts"
    if name == "then-same":
        assert len(world.domains[r.domain].policy_host.hits) == 1


def test_a_policy_that_comes_later_counts_from_then(world, then):
    event, facts = then["b@late.example"]
    assert (event, facts["policy"]) == ("deferred", "sts")
    assert not world.in_clear("late.example")


def test_a_policy_that_is_known_survives_a_restart(world, relay, then):
    d = world.domains["restarted.example"]
    d.policy_host.stop()
    d.set_sts_id(None)
    strip(d)
    world.publish()
    relay.relay.stop()
    relay.start("relay")
    event, facts, _ = world.outcome(relay, f"b@{d.name}")
    assert (event, facts["policy"]) == ("deferred", "sts")
    assert not world.in_clear(d.name)
