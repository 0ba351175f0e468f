# SPDX-License-Identifier: Apache-2.0
"""Name servers whose answers do not validate: mail waits, it is neither sent nor returned."""
import os

import harness
import pytest
from test_mx import ZONES, Nsd, pytestmark, send  # noqa: F401


@pytest.fixture
def bogus(sealpost, sink, place, parts):
    nsd = Nsd(os.path.join(place, "nsd"), ZONES).start()
    parts.append(nsd)
    anchor = os.path.join(place, "anchor.key")
    with open(anchor, "w") as f:  # says that "example" is signed, which it is not: so somebody took the signatures away
        f.write("example. IN DS 12345 13 2 " + "ab" * 32 + "\n")
    os.chmod(anchor, 0o644)
    sealpost.configure([f'{{domain: "from.test", to: "127.0.0.1:{sink.port}", tls: encrypt}}',
                        '{domain: "*", to: mx, tls: opportunistic}'],
                       dns=f'{{servers: ["127.0.0.1@{nsd.port}"], trust_anchor: {anchor}}}',
                       outbound=f'{{port: {sink.port}, private_ok: ["127.0.0.0/8"]}}')
    sealpost.start()
    return sealpost


@pytest.mark.parametrize("domain", ["mail.example", "implicit.example", "null.example", "absent.example"])
def test_an_answer_that_does_not_validate_is_no_answer(bogus, sink, domain):
    send(bogus, f"a@{domain}")
    item = harness.wait_for("an attempt", lambda: [q for q in bogus.queue() if q["attempts"]], 60)[0]
    assert item["reason"] == "name lookup failed"
    assert "DNSSEC" in item["reply"]
    assert sink.report()["messages"] == 0
    assert bogus.relay.events("dns-bogus")
