# SPDX-License-Identifier: Apache-2.0
"""DANE for SMTP (RFC 7672), case by case: what relay does, and what Postfix's client does with the same zones and servers.

Each row (dane_rows.py) is a domain of a signed zone with one peculiarity. All rows are sent at once, by relay and by Postfix;
then each is judged. "pytest -s" shows the whole table. Where the two differ by design, the row says which paragraph allows it."""
import json

import harness
import pytest
import tls_world
from dane_rows import DELIVERED, ROWS, WAITS

pytestmark = pytest.mark.skipif(not tls_world.available(postfix=True), reason="needs root, Postfix, nsd, ldnsutils and unbound")

POSTFIX_LEVEL = {"dane": "dane-only", "verify": "verify", "none": "none", "encrypt": "encrypt"}


@pytest.fixture(scope="module")
def world(request):
    with tls_world.inside(request, "dane") as w:
        w.zone("insecure.example", "unsigned")
        w.zone("expired.example", "expired")
        for r in ROWS.values():
            r.build(w.domain(r.domain))
        w.domain("again.example").host(tlsa=[(3, 1, 1)])
        w.publish()
        yield w


@pytest.fixture(scope="module")
def relay(world):
    return world.relay([f'{{domain: "{r.domain}", to: mx, tls: {r.route}}}' for r in ROWS.values() if r.route],
                       outbound=f'{{ca: {world.ca_file}, private_ok: ["127.0.0.0/8"], messages: 1}}')


@pytest.fixture(scope="module")
def by_both(world, relay):
    """{row's name: (what relay said, what Postfix said)}. relay: (event, facts, message id)."""
    rows = {f"a@{r.domain}": r for r in ROWS.values()}
    ids = world.send(relay, rows)
    p = world.postfix([f"{r.domain} {POSTFIX_LEVEL[r.route]}" for r in rows.values() if r.route])
    theirs = world.postfix_outcomes(p, rows, again=[a for a, r in rows.items() if r.clear])
    ours = world.outcomes(relay, ids)
    both = {r.name: ((*ours[a], ids[a]), theirs[a]) for a, r in rows.items()}
    print_table(both)
    return both


@pytest.fixture(scope="module")
def waiting(relay, by_both):
    """relay's queue, once all was tried."""
    return relay.queue()


@pytest.fixture(scope="module")
def ledger(world, relay, by_both):
    return world.ledger(relay, [id for (_, _, id), _ in by_both.values()])


def print_table(both):
    print(f"\n{'row':24} {'relay':10} {'policy':8} {'by':8} {'Postfix':9} {'TLS':10} what")
    for name, ((event, facts, _), (status, _, level)) in both.items():
        r = ROWS[name]
        print(f"{name:24} {event:10} {facts.get('policy', '?'):8} {facts.get('by', '?'):8} {status:9} {level or '-':10} {r.what}")
    for r in ROWS.values():
        if r.differs:
            print(f"{r.name}: differs by design. {r.differs}")


@pytest.mark.parametrize("name", ROWS)
def test_relay(world, relay, by_both, waiting, name):
    r = ROWS[name]
    (event, facts, id), _ = by_both[name]
    print(f"{r.what}: {event} {facts}")
    assert event == {DELIVERED: "delivered", WAITS: "deferred"}[r.ends]
    assert len(world.came(r.domain)) == (r.ends == DELIVERED)
    assert bool(world.in_clear(r.domain)) == r.clear
    assert facts.get("by", "none") == r.by
    if facts.get("reason") != "dns":
        assert facts["policy"] == r.decided
        if r.failure or r.ends == WAITS:
            assert r.failure in facts["failure"]
    if r.ends == WAITS:
        assert r.why and r.why in next(i["reply"] for i in waiting if i["id"] == id)
    elif r.why:
        assert r.why in traced(relay, id)["why"]


@pytest.mark.parametrize("name", ROWS)
def test_ledger_says_why(by_both, ledger, name):
    r = ROWS[name]
    at = ledger[by_both[name][0][2]]
    assert at["outcome"] == {DELIVERED: "delivered", WAITS: "deferred"}[r.ends]
    assert at["domain"] == r.domain
    assert at.get("rcpt", f"a@{r.domain}") == f"a@{r.domain}"  # not there if nobody had to open the message
    assert at["verified_by"] == r.by
    if r.ends == WAITS:
        assert r.why in at["reply"]
        assert r.failure in at.get("failure", "")
    elif r.why:
        assert r.why in at["why"]
    if at.get("reason") != "dns":
        assert at["policy"] == r.decided
    if r.ends == DELIVERED:
        assert (at["tls"] == "none") == r.clear


def traced(relay, id):
    """What sealpost trace says of the last attempt."""
    return json.loads(relay.cli("trace", "--json", id, check=True).stdout)["events"][-1]["facts"]


def test_relay_does_not_ask_for_tlsa_where_it_proves_nothing(world, by_both):
    for name in ("servfail-unsigned", "unsigned", "unsigned-mx"):
        host = world.domains[ROWS[name].domain].hosts[0]
        assert not world.dns.asked(tls_world.RELAY_ASKS, f"_25._tcp.{host.name}", "TLSA")


@pytest.mark.parametrize("name", ROWS)
def test_postfix_agrees(world, by_both, name):
    r = ROWS[name]
    _, (status, text, level) = by_both[name]
    sender = f"postfix@{tls_world.SENDER}"
    ends = r.postfix or r.ends
    print(f"{r.what}: {status} ({text}) {level}")
    assert status == {DELIVERED: "sent", WAITS: "deferred"}[ends]
    assert len(world.came(r.domain, sender)) == (ends == DELIVERED)
    assert bool(world.in_clear(r.domain, sender)) == r.clear
    if ends == DELIVERED and not r.clear:
        assert level == ("Untrusted" if r.by == "none" else "Verified")


def test_a_resumed_session_is_as_verified_as_the_first(world, relay):
    d = world.domains["again.example"]
    for resumed in (False, True):
        event, facts, _ = world.outcome(relay, f"a@{d.name}")
        assert (event, facts["policy"], facts["by"]) == ("delivered", "dane", "dane-ee")
        assert d.hosts[0].arrivals[-1].resumed == resumed
