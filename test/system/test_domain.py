# SPDX-License-Identifier: Apache-2.0
"""sealpost domain: what shows that a domain is a customer's, against a name server whose zones are signed and spoilt."""
import json
import os
import re
import shutil

import campaigns
import harness
import pytest
from test_dkim_keys import SIGNED, World, lines_of, needs_ldns, pytestmark  # noqa: F401


@pytest.fixture
def world(sealpost, place, parts):
    w = World(sealpost, place, parts)
    w.configure("[]")
    return w


def domain(s, *args, code=0):
    r = s.cli("domain", *args)
    assert r.returncode == code, r.stdout + r.stderr
    return r.stdout + r.stderr


def state(s, name, customer="default"):
    o = json.loads(domain(s, "show", "--customer", customer, name, "--json"))
    return o["state"], o["found"], o["dnssec"]


def record(s, name, *args):
    """What is to be published: the text."""
    told = lines_of(domain(s, "add", *args, name))
    assert list(told) == [f"_sealpost.{name}"]
    return told[f"_sealpost.{name}"]


def test_a_record_in_the_dns_shows_whose_a_domain_is(world):
    s = world.s
    s.start("keyd", "relay")
    text = record(s, "a.example")
    assert re.fullmatch(r"sealpost-domain-verification=[0-9a-f]{32}", text)
    assert lines_of(domain(s, "add", "A.Example.")) == {"_sealpost.a.example": text}
    out = domain(s, "verify", "a.example", code=1)
    assert "a.example: there is no such TXT record." in out and f'wanted: _sealpost.a.example. IN TXT "{text}"' in out
    assert state(s, "a.example") == ("pending", "missing", False)
    world.publish("a.example", '_sealpost TXT "v=spf1 -all"\n_sealpost TXT "\\027[31m"')
    out = domain(s, "verify", "a.example", code=1)
    assert "with another text" in out and 'found:  "v=spf1 -all"\n' in out and 'found:  "?[31m"\n' in out
    assert "\x1b" not in out
    assert state(s, "a.example")[1] == "other"
    # among others, in two strings, behind an alias
    world.publish("a.example", f'_sealpost CNAME proof\nproof TXT "x"\nproof TXT "{text[:20]}" "{text[20:]}"')
    assert "a.example: verified for customer default. DNSSEC: insecure." in domain(s, "verify", "a.example")
    assert state(s, "a.example") == ("verified", "found", False)
    assert re.search(r"^a\.example +default +verified +\S+ \S+ +found +insecure ", domain(s, "list"), re.M)
    assert "a.example is verified for customer default already." in domain(s, "add", "a.example")
    # the record may go
    world.publish("a.example", "")
    out = domain(s, "verify", "a.example", code=1)
    assert "It stays verified, as it has been since" in out
    s.relay.stop()
    s.relay.start()
    assert state(s, "a.example")[:2] == ("verified", "missing")
    assert "no domain of customer default any more" in domain(s, "remove", "a.example")
    assert "no such domain" in domain(s, "remove", "a.example", code=1)
    assert "No domain is known" in domain(s, "list")
    event, = s.relay.events("domain-verified")
    assert (event[3]["customer"], event[3]["domain"], event[3]["dnssec"]) == ("default", "a.example", "insecure")
    assert {e[3]["found"] for e in s.relay.events("domain-unverified")} == {"missing", "other"}


@needs_ldns
def test_a_signed_zone_is_proven_and_a_forged_one_proves_nothing(world):
    s = world.s
    world.publish_signed(SIGNED, "")
    world.configure("[]")
    s.start("keyd", "relay")
    text = record(s, SIGNED)
    assert "there is no such TXT record. DNSSEC: secure." in domain(s, "verify", SIGNED, code=1)
    # somebody on the way puts the right record in place of one that was signed
    world.publish_signed(SIGNED, '_sealpost TXT "sealpost-domain-verification=00000000000000000000000000000000"')
    with open(os.path.join(world.dir, "signed")) as f:
        forged = f.read().replace("sealpost-domain-verification=" + 32 * "0", text)
    assert text in forged
    world.serve(SIGNED, forged)
    out = domain(s, "verify", SIGNED, code=1)
    assert "DNSSEC signatures do not hold" in out and "DNSSEC: bogus." in out
    assert state(s, SIGNED) == ("pending", "bogus", False)
    world.publish_signed(SIGNED, f'_sealpost TXT "{text}"')
    assert f"{SIGNED}: verified for customer default. DNSSEC: secure." in domain(s, "verify", SIGNED)
    assert state(s, SIGNED) == ("verified", "found", True)
    assert s.relay.events("domain-verified")[-1][3]["dnssec"] == "secure"


def test_a_name_server_that_fails_changes_nothing(world):
    s = world.s
    s.start("keyd", "relay")
    text = record(s, "b.example")
    world.serve("b.example", "this is no zone file\n")  # SERVFAIL
    assert "no answer came from the DNS" in domain(s, "verify", "b.example", code=1)
    assert state(s, "b.example") == ("pending", "unreachable", False)
    world.publish("b.example", f'_sealpost TXT "{text}"')
    domain(s, "verify", "b.example")
    world.serve("b.example", "this is none either\n")
    out = domain(s, "verify", "b.example", code=1)
    assert "no answer came from the DNS" in out and "stays verified" in out


def test_a_domain_is_of_who_shows_it_first_and_an_administrator_may_vouch(world):
    s = world.s
    s.start("keyd", "relay")
    text = record(s, "a.example")
    theirs = record(s, "a.example", "--customer", "other")
    assert text != theirs
    world.publish("a.example", f'_sealpost TXT "{text}"\n_sealpost TXT "{theirs}"')
    domain(s, "verify", "a.example")
    for verb, name in (("verify", "a.example"), ("add", "www.a.example"), ("add", "b.a.example")):
        assert "verified for another customer" in domain(s, verb, "--customer", "other", name, code=75)
    out = domain(s, "trust", "--customer", "other", "a.example", code=64)
    assert "--reason" in out
    out = domain(s, "trust", "--customer", "other", "--reason", "both sell there", "a.example")
    assert "a.example: trusted for customer other, by your word and without the DNS." in out
    assert re.search(r"^a\.example +other +trusted .* both sell there$", domain(s, "list"), re.M)
    assert "verified already" in domain(s, "trust", "--reason", "x", "a.example", code=75)
    event, = s.relay.events("domain-trusted")
    assert (event[3]["customer"], event[3]["domain"], event[3]["uid"]) == ("other", "a.example", str(s.uid))
    assert "both sell there" not in s.relay.log_text()
    assert "a.example" not in domain(s, "list", "--customer", "third")


def add(s, path):
    return s.cli("campaign", "add", path, "--author", "erika")


def rejected(r):
    """Places that are refused for their host."""
    assert r.returncode == 75, r.stdout + r.stderr
    return [line.rsplit("/", 1)[1].split(": error: ")[0] for line in r.stdout.splitlines() if ": error: host-not-owned: " in line]


def active(s):
    status, feed = campaigns.api(s, "GET", "/v1/milter/campaigns")
    assert status == 200
    return [(i["campaign"], i["version"], i["state"]) for i in feed["items"]]


def test_a_campaign_leads_to_domains_of_its_customer_alone(world):
    s = world.s
    s.start("keyd", "relay")
    key = campaigns.enroll(s)
    domain(s, "remove", "shop.example")
    path = campaigns.source(os.path.join(s.dir, "source"), s.uid)
    everywhere = ["example.yaml: hosts[0]", "example.txt:5:15", "example.html:11:13"]
    assert rejected(add(s, path)) == everywhere
    # a claim, the domain of somebody else, and one's own word do not help
    domain(s, "add", "shop.example")
    campaigns.trust(s, "shop.example", customer="other")
    campaigns.trust(s, "example.org", "www2.shop.example")
    said = campaigns.source(os.path.join(s.dir, "said"), s.uid,
                            [("example.yaml", "track: null", "track: null\nowned: [shop.example]\ntracking: [shop.example]")])
    assert rejected(add(s, said)) == everywhere
    assert s.cli("campaign", "list", "example").returncode == 1
    campaigns.trust(s, "shop.example")
    assert add(s, path).returncode == 0
    s.cli("campaign", "approve", "example", "--approver", "bert", "--key", key, "--yes", check=True)
    # what is not the customer's any more is not activated
    out = domain(s, "remove", "shop.example")
    assert "campaign" not in out
    r = s.cli("campaign", "activate", "example")
    assert r.returncode == 75 and "host-not-owned: www.shop.example is no verified domain" in r.stderr, r.stderr
    assert active(s) == []
    campaigns.trust(s, "shop.example")
    s.cli("campaign", "activate", "example", check=True)
    assert active(s) == [("example", 1, "active")]
    # what is active goes on, and is named
    harness.wait_for("it to be opened", lambda: "needed by   example version 1 (active)" in domain(s, "show", "shop.example"))
    domain(s, "trust", "--reason", "there is another", "www.shop.example")
    assert "needed by" not in domain(s, "show", "shop.example") and "needed by" not in domain(s, "show", "www2.shop.example")
    assert "campaign" not in domain(s, "remove", "www.shop.example")
    out = domain(s, "remove", "shop.example")
    assert "These campaigns lead there and go on" in out and "  example version 1 (active)\n" in out
    assert active(s) == [("example", 1, "active")]
    assert rejected(add(s, path)) == everywhere
    # sealed, it cannot be looked at: that is said
    campaigns.trust(s, "shop.example")
    s.stop()
    s.relay.start()
    out = domain(s, "remove", "shop.example")
    assert "1 more that could not be looked at now" in out


def test_a_tracking_host_is_one_of_the_customers(world):
    s = world.s
    s.start("keyd", "relay")
    campaigns.trust(s, "shop.example")
    track = "track: {{host: {}, clicks: true, pixel: true, unsubscribe: https}}"
    for host, places in (("t.shop.example", []), ("t.evil.example", ["example.yaml: track.host"]),
                         ("t.shop.example, mailto_domain: unsub.shop.example", []),
                         ("t.shop.example, mailto_domain: evil.example", ["example.yaml: track.mailto_domain"])):
        path = campaigns.source(os.path.join(s.dir, "source"), s.uid, [("example.yaml", "track: null", track.format(host))])
        r = s.cli("campaign", "lint", path)
        found = [line for line in r.stdout.splitlines() if ": error: host-not-owned: " in line]
        assert len(found) == len(places) and all(p in line for p, line in zip(places, found)), r.stdout


@pytest.fixture(scope="module")
def running():
    d = harness.scratch("test")
    s = harness.Sealpost(os.path.join(d, "sealpost"))
    s.configure(['{domain: "*", to: "127.0.0.1:9"}'])
    try:
        yield s.start("keyd", "relay")
    finally:
        s.kill()
        shutil.rmtree(d, ignore_errors=True)


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_an_author_does_not_vouch_for_himself(sealpost):
    s = sealpost
    s.configure(['{domain: "*", to: "127.0.0.1:9"}'], api=f'{{socket: {s.path("run", "api.sock")}, users: ["64221"]}}')
    s.start("keyd", "relay")
    status, body = campaigns.api_as(s, 64221, "POST", "/v1/domains/trust", {"domain": "evil.example", "reason": "me"})
    assert status == 403 and "only root and relay's own user" in body["detail"]
    event, = s.relay.events("domain-denied")
    assert event[3] == {"customer": "default", "domain": "evil.example", "uid": "64221"}
    assert campaigns.api(s, "GET", "/v1/domains") == (200, {"items": []})
    status, body = campaigns.api_as(s, 64221, "POST", "/v1/domains", {"domain": "evil.example"})
    assert (status, body["state"]) == (201, "pending")  # what he can show by the DNS he may


@pytest.mark.parametrize("name,why", [
    ("co.uk", "public suffix"), ("localhost", "public suffix"), ("github.io", "public suffix"), ("192.0.2.1", "address"),
    ("[2001:db8::1]", "name of one"), ("*.shop.example", "no wildcard"), ("_dmarc.shop.example", "name of one"),
    ("https://shop.example", "name of one"), ("shop.example:8", "name of one"), ("p\u0430ypal.example", "scripts"),
    ("a" * 64 + ".example", "name of one"), ("", "name of one")])
def test_what_no_customer_can_have_is_refused(running, name, why):
    for verb in (["add"], ["trust", "--reason", "x"], ["verify"], ["show"], ["remove"]):
        assert why in domain(running, *verb, name, code=75), verb
    assert "No domain is known" in domain(running, "list")


def test_the_api_refuses_what_is_malformed(running):
    for path, body, status in (("", {}, 400), ("", {"domain": 5}, 400), ("", {"domain": "shop.example", "customer": "a b"}, 400),
                               ("", {"domain": "shop.example", "customer": 7}, 400), ("", {"domain": "shop\0.example"}, 400),
                               ("/trust", {"domain": "shop.example"}, 400), ("/trust", {"domain": "shop.example", "reason": ""}, 400),
                               ("/trust", {"domain": "shop.example", "reason": "a\nb"}, 400),
                               ("/trust", {"domain": "shop.example", "reason": "x" * 201}, 400),
                               ("/verify", {"domain": "shop.example"}, 404), ("/show", {"domain": "shop.example"}, 404),
                               ("/remove", {"domain": "shop.example"}, 404)):
        got, answer = campaigns.api(running, "POST", "/v1/domains" + path, body)
        assert got == status and answer["detail"], (path, body, got, answer)
    assert campaigns.api(running, "GET", "/v1/domains") == (200, {"items": []})
