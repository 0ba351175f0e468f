# SPDX-License-Identifier: Apache-2.0
"""What an administrator does about a receiver with broken TLS: looks (sealpost tls check), and makes an exception."""
import json

import harness
import pytest
import tls_world

pytestmark = pytest.mark.skipif(not tls_world.available(), reason="needs root, nsd and ldnsutils")

WRONG = "3 1 1 " + "00" * 32


@pytest.fixture(scope="module")
def world(request):
    with tls_world.inside(request, "check") as w:
        w.domain("good.example").host(tlsa=[(3, 1, 1)])
        w.domain("broken.example").host(tlsa=[WRONG])
        w.publish()
        yield w


@pytest.fixture(scope="module")
def relay(world):
    return world.relay(retry="{first: 1h, max: 1h, expire: 5d}")


def test_an_exception_lets_waiting_mail_go_and_is_in_the_evidence(world, relay):
    sender = "exception@" + tls_world.SENDER
    name, facts, ident = world.outcome(relay, "a@broken.example", sender=sender)
    assert (name, facts["policy"], facts["by"]) == ("deferred", "dane", "none")
    r = relay.cli("tls", "exception", "add", "Broken.example", "--level", "encrypt", "--for", "7d",
                  "--reason", "they publish a wrong digest", check=True)
    assert "broken.example: encrypt will do until" in r.stdout and "ends in 7d" in r.stdout
    relay.cli("queue", "retry", ident, check=True)
    harness.wait_for("its delivery", lambda: [e for e in relay.relay.events("delivered") if e[1] == ident])
    facts = [e for e in relay.relay.events("delivered") if e[1] == ident][0][3]
    assert facts["policy"] == "exception" and facts["tls"] == "TLSv1.3"
    assert [a.tls for a in world.came("broken.example", sender)] == ["TLSv1.3"]
    assert relay.relay.events("tls-exception")[0][3] == {"domain": "broken.example", "level": "encrypt"}
    listed = json.loads(relay.cli("tls", "exception", "list", "--json", check=True).stdout)
    assert [(i["domain"], i["level"], i["uses"], i["reason"]) for i in listed] == \
        [("broken.example", "encrypt", 1, "they publish a wrong digest")]
    trace = relay.cli("trace", ident, check=True).stdout
    assert "policy    exception: an exception of the administrator" in trace and "tls       TLSv1.3" in trace
    relay.relay.stop()
    relay.start("relay")
    assert "1 exception from policy in force" in relay.cli("status").stdout
    relay.cli("tls", "exception", "remove", "broken.example", check=True)
    assert relay.cli("tls", "exception", "remove", "broken.example").returncode == 1
    name, facts, _ = world.outcome(relay, "a@broken.example", sender=sender)
    assert (name, facts["policy"]) == ("deferred", "dane")


@pytest.mark.parametrize("args,code,says", [
    (("--level", "encrypt", "--reason", "x"), 64, "--for or --until"),
    (("--level", "encrypt", "--for", "400d", "--reason", "x"), 75, "within a year"),
    (("--level", "encrypt", "--until", "2001-01-01", "--reason", "x"), 75, "lie ahead"),
    (("--level", "verify", "--for", "1d", "--reason", "x"), 75, "none, opportunistic or encrypt"),
    (("--level", "none", "--for", "1d"), 64, "--reason"),
    (("--level", "none", "--for", "soon", "--reason", "x"), 64, "such as 7d"),
])
def test_an_exception_needs_an_end_and_a_reason(relay, args, code, says):
    r = relay.cli("tls", "exception", "add", "a.example", *args)
    assert r.returncode == code and says in r.stderr
    assert relay.cli("tls", "exception", "list").stdout == "There is no exception from TLS policy.\n"
