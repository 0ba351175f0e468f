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
        w.domain("sick.example").host(tlsa=[WRONG])
        w.domain("two.example").host("mx1", tlsa=[WRONG])
        w.domains["two.example"].host("mx2", preference=20, chain="ca")
        w.domain("clear.example").host(starttls="hidden", chain=None)
        w.domain("strict.example").host()
        w.domain("named.example").host(chain="ca", requiretls=True)
        w.domain("bogus.example").host(tlsa=[(3, 1, 1)])
        w.zones.break_signature("_25._tcp.mx.bogus.example", "TLSA")
        w.domain("sts.example").host(chain="ca")
        w.domains["sts.example"].sts(tls_world.policy("*.sts.example"))
        w.domain("other.example").host(chain="ca")
        w.domains["other.example"].sts(tls_world.policy("mx.elsewhere.example"))
        w.domain("null.example").add("", "MX", "0 .")
        w.zone("plain.example", "unsigned")
        w.domain("plain.example").host()
        w.publish()
        yield w


@pytest.fixture(scope="module")
def relay(world):
    return world.relay(['{domain: strict.example, to: mx, tls: verify}',
                        '{domain: to.example, to: "mx.named.example:25", tls: verify}'])


def check(relay, domain):
    r = relay.cli("tls", "check", "--json", domain)
    assert not r.stderr
    return json.loads(r.stdout), r.returncode


def test_an_exception_lets_waiting_mail_go_and_is_in_the_evidence(world, relay):
    sender = "exception@" + tls_world.SENDER
    name, facts, ident = world.outcome(relay, "a@sick.example", sender=sender)
    assert (name, facts["policy"], facts["by"]) == ("deferred", "dane", "none")
    def told():
        trace = relay.cli("trace", ident, check=True).stdout
        return "policy    dane: certificate does not" in trace and "reply     4.7.5 certificate does not match the host's TLSA records\n" in trace
    harness.wait_for("the trace to tell of it", told, 10)
    r = relay.cli("tls", "exception", "add", "Sick.example", "--level", "encrypt", "--for", "7d",
                  "--reason", "they publish a wrong digest", check=True)
    assert "sick.example: encrypt will do until" in r.stdout and "ends in 7d" in r.stdout
    relay.cli("queue", "retry", ident, check=True)
    harness.wait_for("its delivery", lambda: [e for e in relay.relay.events("delivered") if e[1] == ident])
    facts = [e for e in relay.relay.events("delivered") if e[1] == ident][0][3]
    assert facts["policy"] == "exception" and facts["tls"] == "TLSv1.3"
    assert [a.tls for a in world.came("sick.example", sender)] == ["TLSv1.3"]
    assert relay.relay.events("tls-exception")[0][3] == {"domain": "sick.example", "level": "encrypt"}
    listed = json.loads(relay.cli("tls", "exception", "list", "--json", check=True).stdout)
    assert [(i["domain"], i["level"], i["uses"], i["reason"]) for i in listed] == \
        [("sick.example", "encrypt", 1, "they publish a wrong digest")]
    trace = relay.cli("trace", ident, check=True).stdout
    assert "policy    exception: an exception of the administrator" in trace and "tls       TLSv1.3" in trace
    relay.relay.stop()
    relay.start("relay")
    assert "1 exception from policy in force" in relay.cli("status").stdout
    relay.cli("tls", "exception", "remove", "sick.example", check=True)
    assert relay.cli("tls", "exception", "remove", "sick.example").returncode == 1
    name, facts, _ = world.outcome(relay, "a@sick.example", sender=sender)
    assert (name, facts["policy"]) == ("deferred", "dane")


@pytest.mark.parametrize("args,code,says", [
    (("--level", "encrypt", "--reason", "x"), 64, "--for or --until"),
    (("--level", "encrypt", "--for", "400d", "--reason", "x"), 75, "within a year"),
    (("--level", "encrypt", "--until", "2001-01-01", "--reason", "x"), 75, "lie ahead"),
    (("--level", "verify", "--for", "1d", "--reason", "x"), 75, "none, opportunistic or encrypt"),
    (("--level", "none", "--for", "1d"), 64, "--reason"),
    (("--level", "none", "--for", "1d", "--until", "2100-01-01", "--reason", "x"), 64, "one end: --for or --until"),
    (("--level", "none", "--for", "soon", "--reason", "x"), 64, "such as 7d"),
])
def test_an_exception_needs_an_end_and_a_reason(relay, args, code, says):
    r = relay.cli("tls", "exception", "add", "a.example", *args)
    assert r.returncode == code and says in r.stderr
    assert relay.cli("tls", "exception", "list").stdout == "There is no exception from TLS policy.\n"


@pytest.mark.parametrize("domain,code,verdict", [
    ("good.example", 0, "would be sent to mx.good.example under TLSv1.3, verified by DANE-EE"),
    ("broken.example", 1, "would wait: certificate does not match the host's TLSA records"),
    ("two.example", 0, "would be sent to mx2.two.example under TLSv1.3, to whoever is there: nothing proves the host"),
    ("clear.example", 0, "would be sent to mx.clear.example in clear text"),
    ("strict.example", 1, "would wait: certificate is self-signed"),
    ("to.example", 0, "would be sent to mx.named.example under TLSv1.3, verified by PKIX"),
    ("bogus.example", 1, "would wait: the host's TLSA records failed DNSSEC validation (bogus)"),
    ("sts.example", 0, "would be sent to mx.sts.example under TLSv1.3, verified by PKIX, as MTA-STS demands"),
    ("other.example", 1, "would wait: the host is not one that the domain's MTA-STS policy names"),
    ("null.example", 1, "would be returned to its sender: domain takes no mail (null MX)"),
    ("absent.example", 1, "would be returned to its sender: domain does not exist"),
    ("plain.example", 0, "would be sent to mx.plain.example under TLSv1.3, to whoever is there: nothing proves the host"),
])
def test_check_says_what_a_delivery_does(world, relay, domain, code, verdict):
    j, returned = check(relay, domain)
    assert (j["verdict"]["text"], returned) == (verdict, code)
    r = relay.cli("tls", "check", domain)
    assert r.stdout.endswith(f"A message {verdict}.\n") and r.returncode == code
    sender = f"{domain.split('.')[0]}@{tls_world.SENDER}"
    name, facts, ident = world.outcome(relay, f"a@{domain}", sender=sender)
    assert name == j["verdict"]["outcome"]
    if j["verdict"]["host"] and "host" in facts:  # a line about the lookup has none
        assert facts["host"] == j["verdict"]["host"]
    if name == "delivered":
        tried = [h for h in j["hosts"] if h["host"] == facts["host"]][0]["try"]
        assert (facts["tls"], facts["policy"], facts["by"]) == (tried.get("tls", "none"), tried["policy"], tried["verified_by"])


def test_check_shows_the_chain_and_the_record_that_would_fit(world, relay):
    j, _ = check(relay, "broken.example")
    host, = j["hosts"]
    assert host["tlsa"]["state"] == "usable" and host["tlsa"]["records"] == [WRONG]
    assert host["must"]["level"] == "dane" and not host["try"]["ready"] and host["try"]["chain_shown_only"]
    fits = host["try"]["chain"][0]["tlsa"]
    world.zones.set("_25._tcp.mx.broken.example", "TLSA", fits)
    world.publish()
    j, returned = check(relay, "broken.example")
    world.zones.set("_25._tcp.mx.broken.example", "TLSA", WRONG)
    world.publish()
    assert returned == 0 and j["hosts"][0]["try"]["verified_by"] == "dane-ee"
    out = relay.cli("tls", "check", "to.example").stdout
    assert "CN=mx.named.example" in out and "offers REQUIRETLS" in out and "CN=Test Root" in out


def test_check_shows_the_sts_policy(relay):
    j, _ = check(relay, "sts.example")
    assert j["policy"]["sts"]["mode"] == "enforce" and j["policy"]["sts"]["mx"] == ["*.sts.example"]
    assert "MTA-STS      enforce: *.sts.example\n" in relay.cli("tls", "check", "sts.example").stdout
    assert "MTA-STS      none\n" in relay.cli("tls", "check", "good.example").stdout
    assert "MTA-STS      not asked" in relay.cli("tls", "check", "strict.example").stdout


def test_check_sends_no_message_and_tells_of_an_exception(world, relay):
    mx = world.domains["good.example"].hosts[0]
    before = len(mx.arrivals), len(mx.in_clear)
    relay.cli("tls", "exception", "add", "good.example", "--level", "none", "--for", "1h", "--reason", "x", check=True)
    try:
        j, returned = check(relay, "good.example")
    finally:
        relay.cli("tls", "exception", "remove", "good.example", check=True)
    assert returned == 0 and j["exception"]["level"] == "none"
    assert j["verdict"]["text"] == "would be sent to mx.good.example in clear text"
    assert (len(mx.arrivals), len(mx.in_clear)) == before


@pytest.mark.parametrize("name", ["a@b.example", "", "a..b", "x" * 300, ".example"])
def test_check_refuses_what_is_no_domain(relay, name):
    r = relay.cli("tls", "check", name)
    assert r.returncode == 75 and r.stderr == "sealpost: domain must be a name\n"
