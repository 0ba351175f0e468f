# SPDX-License-Identifier: Apache-2.0
"""The life of a campaign, through the command: real keyd, relay and lint."""
import json
import os
import re
import shutil
import sqlite3

import campaigns
import harness
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

REVOKED_HEAD = "sealpost-revoked-1\n"


@pytest.fixture
def s(sealpost):
    sealpost.configure(['{domain: "*", to: "127.0.0.1:9"}'])
    return sealpost.start("keyd", "relay")


def folder(s, name="source"):
    return os.path.join(s.dir, name)


def listed(s, name="example"):
    return {i["version"]: i for i in json.loads(s.cli("campaign", "list", name, "--json", check=True).stdout)}


def feed(s):
    status, body = campaigns.api(s, "GET", "/v1/milter/campaigns")
    assert status == 200, body
    return body


def bundle(s, version):
    return campaigns.api(s, "POST", "/v1/milter/bundle", {"customer": "default", "campaign": "example", "version": version})


def test_from_the_source_to_the_end_of_a_campaign(s):
    key = campaigns.enroll(s)
    path = campaigns.source(folder(s), s.uid)
    out = s.cli("campaign", "add", path, "--author", "erika", check=True).stdout
    assert "Registered example version 1 of customer default, by erika" in out
    assert feed(s)["items"] == [] and feed(s)["revoked"] == {"counter": 0, "list": REVOKED_HEAD}
    out = s.cli("campaign", "approve", "example", "--approver", "bert", "--key", key, "--yes", check=True).stdout
    for shown in ("From       Shop <news@shop.example>", "Subject    {{first_name}}, our November letter",
                  "www.shop.example", "https://www.shop.example/voucher?code={code}", "first_name", "url-query",
                  "Approved version 1 of example, as bert."):
        assert shown in out, out
    assert re.search(r"Hash       [0-9a-f]{64}\n", out)
    s.cli("campaign", "activate", "example", check=True)
    item, = feed(s)["items"]
    assert (item["campaign"], item["version"], item["state"], item["hash"]) == \
        ("example", 1, "active", listed(s)[1]["hash"])
    status, got = bundle(s, 1)
    assert status == 200 and got["author"] == "erika" and got["approver"] == "bert" and got["signature"]
    s.cli("campaign", "pause", "example", check=True)
    assert feed(s)["items"][0]["state"] == "paused"
    s.cli("campaign", "resume", "example", check=True)
    campaigns.source(folder(s), s.uid, [("example.txt", "tea from Assam", "tea from Nepal")])
    s.cli("campaign", "add", path, "--author", "erika", check=True)
    out = s.cli("campaign", "approve", "example", "--approver", "bert", "--key", key, "--yes", check=True).stdout
    assert "COMPARED WITH VERSION 1" in out
    assert "- There is tea from Assam" in out and "+ There is tea from Nepal" in out
    s.cli("campaign", "activate", "example", check=True)
    now = feed(s)
    assert [i["version"] for i in now["items"]] == [2]
    assert now["revoked"] == {"counter": 1, "list": REVOKED_HEAD + "default example 1\n"}
    assert bundle(s, 1)[0] == 404
    s.cli("campaign", "revoke", "example", "--yes", check=True)
    now = feed(s)
    assert now["items"] == []
    assert now["revoked"] == {"counter": 2, "list": REVOKED_HEAD + "default example 1\ndefault example 2\n"}
    assert {v: i["state"] for v, i in listed(s).items()} == {1: "superseded", 2: "revoked"}
    for version in ("1", "2"):
        r = s.cli("campaign", "activate", "example", "--version", version)
        assert r.returncode == 75 and "for ever" in r.stderr
    s.cli("campaign", "revoke", "example", "--all", "--yes", check=True)
    r = s.cli("campaign", "add", path, "--author", "erika")
    assert r.returncode == 75 and "choose another name" in r.stderr
    for event in ("campaign-added", "campaign-approved", "campaign-activated", "campaign-paused", "campaign-revoked"):
        assert s.relay.events(event), event
    assert "tea from" not in s.relay.log_text() and "Anna" not in s.relay.log_text()


def test_who_wrote_it_does_not_approve_it_and_strangers_do_not_either(s):
    key = campaigns.enroll(s, "bert")
    campaigns.enroll(s, "erika")
    stranger, _ = campaigns.write_key(s, "stranger")
    path = campaigns.source(folder(s), s.uid)
    s.cli("campaign", "add", path, "--author", "erika", check=True)

    def refused(words, *args):
        r = s.cli("campaign", *args)
        assert r.returncode != 0 and words in r.stderr, r.stderr

    approve = ("approve", "example", "--yes", "--approver")
    refused("nobody has approved it yet", "activate", "example", "--version", "1")
    refused("who wrote it", *approve, "erika", "--key", os.path.join(s.dir, "erika.pem"))
    refused("who wrote it", *approve, "ERIKA", "--key", os.path.join(s.dir, "erika.pem"))
    refused("no such approver", *approve, "mallory", "--key", stranger)
    refused("not by the approver's enrolled key", *approve, "bert", "--key", stranger)
    assert listed(s)[1]["state"] == "linted"
    s.cli("campaign", *approve, "bert", "--key", key, check=True)
    s.cli("approver", "remove", "bert", check=True)
    refused("keyd refuses", "activate", "example")
    assert listed(s)[1]["state"] == "approved" and feed(s)["items"] == []
    assert s.relay.events("campaign-denied")


def test_an_approver_may_have_a_p256_key_behind_a_passphrase(s):
    from cryptography.hazmat.primitives import serialization
    pair = ec.generate_private_key(ec.SECP256R1())
    key = campaigns.enroll(s, "bert", pair)
    secret = os.path.join(s.dir, "passphrase")
    for path, data in ((key, pair.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                serialization.BestAvailableEncryption(b"open sesame"))),
                       (secret, b"open sesame\n")):
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as f:
            f.write(data)
        if os.getuid() == 0:
            os.chown(path, s.uid, s.uid)
    s.cli("campaign", "add", campaigns.source(folder(s), s.uid), "--author", "erika", check=True)
    s.cli("campaign", "approve", "example", "--approver", "bert", "--key", key, "--passphrase-file", secret, "--yes", check=True)
    s.cli("campaign", "activate", "example", check=True)
    assert feed(s)["items"][0]["state"] == "active"


BAD = {
    "a script": ("example.html", "<p>Shop</p>", "<p>Shop</p><script>alert(1)</script>", "html-script", "example.html"),
    "a host not owned": ("example.html", "https://www.shop.example/voucher", "https://evil.example/voucher", "", "example.html"),
    "an unknown field type": ("example.yaml", "{type: code, max: 16}", "{type: banana, max: 16}", "", "fields.code"),
    "two adjacent fields": ("example.txt", "Good day {{first_name}}", "Good day {{first_name}}{{first_name}}", "", "example.txt"),
    "a field that is not declared": ("example.txt", "Good day {{first_name}}", "Good day {{nick_name}}", "", "example.txt"),
    "a block that is never closed": ("example.txt", "Shop", "{{#opt}}Shop", "", "example.txt"),
    "javascript:": ("example.html", "https://www.shop.example/voucher?code={{code}}", "javascript:alert(1)", "html-scheme",
                    "example.html"),
    "a broken manifest": ("example.yaml", "max_messages: 1000", "max_messages: many", "", "max_messages"),
    "a host of somebody else": ("example.yaml", "hosts: [www.shop.example]", "hosts: [www.shop.example, www.evil.example]",
                                "host-not-owned", "hosts[1]"),
    "a link to a host that is listed alone": ("example.yaml", "hosts: [www.shop.example]",
                                              "hosts: [www.shop.example, www.shop.example.evil.example]", "host-not-owned", "hosts[1]"),
    "a tracking host of nobody": ("example.yaml", "track: null", "track: {host: t.evil.example, clicks: true, unsubscribe: none}",
                                  "host-not-owned", "track.host"),
    "an unknown member": ("example.yaml", "track: null", "track: null\nsurprise: 1", "", "surprise"),
}


@pytest.fixture(scope="module")
def running():
    """One set for all bad sources: nothing of them stays."""
    d = harness.scratch("test")
    s = harness.Sealpost(os.path.join(d, "sealpost"))
    s.configure(['{domain: "*", to: "127.0.0.1:9"}'])
    try:
        s.start("keyd", "relay")
        campaigns.trust(s, "shop.example")
        yield s
    finally:
        s.kill()
        shutil.rmtree(d, ignore_errors=True)


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_with_its_place_and_rule(running, what):
    file, old, new, rule, place = BAD[what]
    path = campaigns.source(folder(running, "bad"), running.uid, [(file, old, new)])
    r = running.cli("campaign", "add", path, "--author", "erika")
    assert r.returncode != 0 and "refused" in r.stderr, r.stdout + r.stderr
    errors = [line for line in r.stdout.splitlines() if ": error: " in line]
    assert any(place in line and (not rule or f" {rule}: " in line) for line in errors), r.stdout
    if place.endswith((".txt", ".html")):
        assert any(re.search(r"example\.\w+:\d+:\d+: error: [a-z0-9-]+: .* \(offset \d+\)$", line) for line in errors), r.stdout
    assert running.cli("campaign", "list", "example").returncode == 1
    lint = running.cli("campaign", "lint", path)
    assert lint.returncode == 1 and [x for x in lint.stdout.splitlines() if ": error: " in x] == errors


def test_a_yaml_file_that_is_none_is_told_with_its_line(running):
    for text, words in (("campaign: a\ncampaign: b\n", ":2: this stands here twice"), ("a: [1\n", ":2: "),
                        ("- a\n", "must be names and values"), ("", "is empty")):
        path = campaigns.source(folder(running, "bad"), running.uid, extra={"example.yaml": text})
        r = running.cli("campaign", "lint", path)
        assert r.returncode == 64 and words in r.stderr, r.stderr


def test_nothing_of_a_campaigns_text_is_readable_on_disk(s):
    key = campaigns.enroll(s)
    campaigns.activate(s, campaigns.source(folder(s), s.uid), key)
    s.stop()
    mine = [p for p in s.files() if not p.startswith(folder(s))]
    assert any(p.endswith("relay.db") for p in mine)
    assert not harness.find_bytes(mine, [b"tea from Assam", b"our November letter", b"www.shop.example", b"news@shop.example"])


def change(s, sql, *args):
    db = sqlite3.connect(s.path("relay", "relay.db"))
    with db:
        db.execute(sql, args)
    db.close()


def test_a_changed_store_is_told_loudly_and_never_served(s):
    key = campaigns.enroll(s)
    path = campaigns.source(folder(s), s.uid)
    campaigns.activate(s, path, key)
    campaigns.source(folder(s), s.uid, [("example.yaml", "campaign: example", "campaign: other"),
                                        ("example.txt", "Assam", "Nepal")])
    campaigns.activate(s, path, key, name="other")
    s.stop()
    # Somebody puts the other campaign's content under this one's name.
    change(s, "UPDATE campaign SET hash=(SELECT hash FROM campaign WHERE campaign='other') WHERE campaign='example'")
    s.start("keyd", "relay")
    harness.wait_for("the alarm", lambda: s.relay.events("campaign-damaged"))
    assert bundle(s, 1)[0] == 503
    assert "DAMAGED" in s.cli("campaign", "list").stdout
    assert s.status()["relay"]["campaigns"]["damaged"] == 1 and "campaigns are damaged" in s.cli("status").stdout
    status, _ = campaigns.api(s, "POST", "/v1/milter/bundle", {"customer": "default", "campaign": "other", "version": 1})
    assert status == 200


def test_keyds_signature_is_held_against_the_row(s):
    key = campaigns.enroll(s)
    campaigns.activate(s, campaigns.source(folder(s), s.uid), key)
    s.stop()
    change(s, "UPDATE campaign SET approver='mallory'")
    s.start("keyd", "relay")
    harness.wait_for("the alarm", lambda: s.relay.events("campaign-damaged"))
    assert "signature" in s.relay.log_text() and bundle(s, 1)[0] == 503


def test_an_older_relay_db_does_not_bring_back_what_was_revoked(s):
    key = campaigns.enroll(s)
    campaigns.activate(s, campaigns.source(folder(s), s.uid), key)
    s.stop()
    older = s.path("relay", "relay.db")
    shutil.copy(older, older + ".copy")
    s.start("keyd", "relay")
    s.cli("campaign", "revoke", "example", "--yes", check=True)
    s.stop()
    os.replace(older + ".copy", older)
    for ending in ("-wal", "-shm"):
        if os.path.exists(older + ending):
            os.unlink(older + ending)
    if os.getuid() == 0:
        os.chown(older, s.uid, s.uid)
    s.start("keyd", "relay")
    harness.wait_for("the alarm", lambda: s.relay.events("campaign-revoked-damaged"))
    assert campaigns.api(s, "GET", "/v1/milter/campaigns")[0] == 503


def test_states_lists_and_counts_survive_a_restart(s):
    key = campaigns.enroll(s)
    path = campaigns.source(folder(s), s.uid, [("example.yaml", "max_messages: 1000", "max_messages: 150")])
    campaigns.activate(s, path, key)

    def take(count):
        return campaigns.api(s, "POST", "/v1/milter/take", {"customer": "default", "campaign": "example", "version": 1,
                                                           "count": count})[1]["granted"]

    assert take(100) == 100
    before = feed(s)
    s.relay.kill()
    s.relay.start()
    s.wait_keyd()
    after = harness.wait_for("the feed", lambda: next(
        (b for status, b in [campaigns.api(s, "GET", "/v1/milter/campaigns")] if status == 200), None))
    assert after["items"] == before["items"] and after["revoked"] == before["revoked"]
    assert after["revision"] > before["revision"]
    assert take(100) == 50 and take(1) == 0
    assert s.relay.events("campaign-cap")
    s.cli("campaign", "revoke", "example", "--yes", check=True)
    status, body = campaigns.api(s, "POST", "/v1/milter/take", {"customer": "default", "campaign": "example", "version": 1,
                                                               "count": 1})
    assert status == 409, body


def test_what_a_milter_did_not_use_comes_back_once_and_no_more_than_that(s):
    path = campaigns.source(folder(s), s.uid, [("example.yaml", "max_messages: 1000", "max_messages: 150")])
    campaigns.activate(s, path, campaigns.enroll(s))

    def take(count, **more):
        status, body = campaigns.api(s, "POST", "/v1/milter/take", {"customer": "default", "campaign": "example", "version": 1,
                                                                   "count": count, **more})
        return (body["granted"], body["grant"]) if status == 200 else status

    def give_back(*items):
        status, body = campaigns.api(s, "POST", "/v1/milter/return", {"items": [
            {"grant": grant, "unused": unused} for grant, unused in items]})
        return body["returned"] if status == 200 else status

    def taken():
        return listed(s)[1]["taken"]

    n, first = take(100)
    assert n == 100 and re.fullmatch("[0-9a-f]{32}", first)
    n, second = take(100, spent=first)
    assert (n, taken()) == (50, 150) and take(1) == (0, "")
    assert "150 of at most 150" in s.cli("campaign", "show", "example", check=True).stdout
    assert give_back((first, 100)) == 0  # it was spent
    assert give_back(("0" * 32, 1), (second, 51)) == 0
    assert taken() == 150
    s.relay.kill()
    s.relay.start()
    s.wait_keyd()
    assert give_back((second, 20), (second, 20)) == 20 and taken() == 130
    assert give_back((second, 20)) == 0 and taken() == 130
    assert [e[3]["blocks"] for e in s.relay.events("messages-return-refused")] == ["1", "2", "1", "1"]
    assert [e[3]["messages"] for e in s.relay.events("messages-returned")] == ["20"]
    assert take(100)[0] == 20
    for bad in ((first, -1), ("x", 1), (first[:30], 1), (first, "1"), (None, 1)):
        assert give_back(bad) == 400
    assert take(1, spent="x") == 400 and campaigns.api(s, "POST", "/v1/milter/return", {"items": {}})[0] == 400
    assert give_back(*[(first, 1)] * 1001) == 400
    assert taken() == 150


def test_without_keyd_nothing_is_served_or_signed(s):
    key = campaigns.enroll(s)
    path = campaigns.source(folder(s), s.uid)
    campaigns.activate(s, path, key)
    s.stop()
    s.relay.start()
    assert campaigns.api(s, "GET", "/v1/milter/campaigns")[0] == 503
    assert bundle(s, 1)[0] == 503
    r = s.cli("campaign", "add", path, "--author", "erika")
    assert r.returncode == 75 and "keyd" in r.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="becomes other users")
def test_milters_user_may_ask_what_is_milters_and_nothing_else(sealpost):
    s = sealpost
    s.configure(['{domain: "*", to: "127.0.0.1:9"}'], api=f'{{socket: {s.path("run", "api.sock")}, milter: "64220", users: ["64221"]}}')
    s.start("keyd", "relay")
    assert campaigns.api_as(s, 64220, "GET", "/v1/milter/campaigns")[0] == 200
    for method, path, body in (("GET", "/v1/campaigns", None), ("POST", "/v1/campaigns/revoke", {"campaign": "example"}),
                               ("GET", "/v1/status", None), ("GET", "/v1/queue", None), ("GET", "/nothing", None)):
        assert campaigns.api_as(s, 64220, method, path, body)[0] == 403, path
    assert campaigns.api_as(s, 64221, "GET", "/v1/campaigns")[0] == 200
    assert campaigns.api_as(s, 64222, "GET", "/v1/milter/campaigns")[0] == 403
    status, body = campaigns.api_as(s, 64221, "POST", "/v1/campaigns", {"campaign": "x", "author": "somebody"})
    assert status == 403 and "another author" in body["detail"]


def test_a_report_says_why_and_where(s):
    item = {"id": "K7QX-2", "time": 1795000000000000, "customer": "default", "campaign": "example", "version": 3,
            "verdict": "literal", "header": "", "part": 2, "offset": 402, "template": 1, "template_offset": 397}
    assert campaigns.api(s, "POST", "/v1/milter/reports", {"items": [item]}) == (200, {"taken": 1})
    out = s.cli("campaign", "report", "K7QX-2", check=True).stdout
    assert "Verdict    literal: text differs from what was approved" in out and "Part       2, offset 402" in out
    assert json.loads(s.cli("campaign", "report", "K7QX-2", "--json", check=True).stdout) == item
    assert s.cli("campaign", "report", "nothing").returncode == 1
    mailer = {**item, "id": "K7QX-3", "verdict": "header-foreign", "header": "x-mailer", "template": None, "template_offset": None}
    assert campaigns.api(s, "POST", "/v1/milter/reports", {"items": [mailer]}) == (200, {"taken": 1})
    out = s.cli("campaign", "report", "K7QX-3", check=True).stdout
    assert "Header     x-mailer\n" in out and "Part " not in out, out
    campaigns.activate(s, campaigns.source(folder(s), s.uid), campaigns.enroll(s))
    real = {**item, "id": "real", "version": 1, "template": 1, "template_offset": 50}
    campaigns.api(s, "POST", "/v1/milter/reports", {"items": [real]})
    out = s.cli("campaign", "report", "real", check=True).stdout
    assert "Approved   There is tea from Assam again" in out, out
    for bad in ({**item, "verdict": "two words"}, {**item, "part": "x"}, {"id": "a"}, 7):
        assert campaigns.api(s, "POST", "/v1/milter/reports", {"items": [bad]})[0] == 400


def test_a_message_is_judged_as_milter_would(s):
    campaigns.trust(s, "shop.example")
    path = campaigns.source(folder(s), s.uid)
    s.cli("campaign", "add", path, "--author", "erika", check=True)
    mail = os.path.join(s.dir, "mail.eml")

    def judge(**changes):
        with open(mail, "wb") as f:
            f.write(campaigns.message("anna@there.example", **changes))
        os.chmod(mail, 0o644)
        return s.cli("campaign", "test", "example", mail, "--rcpt", "anna@there.example")

    r = judge()
    assert r.returncode == 0 and "Passes" in r.stdout, r.stdout + r.stderr
    r = judge(replace=[("Assam", "Essex")])
    assert r.returncode == 1 and "Refused: literal" in r.stdout and "Template" in r.stdout and "Line       3" in r.stdout
    r = judge(values={"first_name": "www.evil.example"})
    assert r.returncode == 1 and "Refused: field-" in r.stdout, r.stdout
    r = judge(replace=[("From: Shop", "From: Bank")])
    assert r.returncode == 1 and "header-from" in r.stdout
    r = judge(replace=[("MIME-Version: 1.0", "MIME-Version: 1.0\nMIME-Version: 1.0")])
    assert r.returncode == 1 and "ambiguous" in r.stdout and "duplicate-header" in r.stdout
