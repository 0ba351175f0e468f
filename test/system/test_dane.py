# SPDX-License-Identifier: Apache-2.0
"""DANE for SMTP (RFC 7672), case by case: what relay does, and what Postfix's client does with the same zones and servers.

Each row (dane_rows.py) is a domain of a signed zone with one peculiarity. All rows are sent at once, by relay and by Postfix;
then each is judged. "pytest -s" shows the whole table. Where the two differ by design, the row says which paragraph allows it."""
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
        w.publish()
        yield w


@pytest.fixture(scope="module")
def by_postfix(world):
    rows = [r for r in ROWS.values() if r.postfix != "none"]
    p = world.postfix([f"{r.domain} {POSTFIX_LEVEL[r.route]}" for r in rows if r.route])
    return world.postfix_outcomes(p, [f"a@{r.domain}" for r in rows], again=[f"a@{r.domain}" for r in rows if r.clear])


@pytest.mark.parametrize("name", ROWS)
def test_postfix_agrees(world, by_postfix, name):
    r = ROWS[name]
    status, text, level = by_postfix[f"a@{r.domain}"]
    sender = f"postfix@{tls_world.SENDER}"
    ends = r.postfix or r.ends
    print(f"{r.what}: {status} ({text}) {level}")
    assert status == {DELIVERED: "sent", WAITS: "deferred"}[ends]
    assert len(world.came(r.domain, sender)) == (ends == DELIVERED)
    assert bool(world.in_clear(r.domain, sender)) == r.clear
    if ends == DELIVERED and not r.clear:
        assert level == ("Untrusted" if r.by == "none" else "Verified")
