# SPDX-License-Identifier: Apache-2.0
"""The ledger with real daemons: what the commands show, that no address lies open, that nothing changes unseen."""
import csv
import hashlib
import io
import json
import os
import re
import shutil
import smtplib
import subprocess
import time

import harness
import pytest


@pytest.fixture
def relay(sealpost, sink):
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    sealpost.start("keyd", "relay")
    return sealpost


def command(s, *args, code=0):
    done = s.cli(*args)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


def send(s, *recipients):
    with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=30) as c:
        for r in recipients:
            c.sendmail("news@shop.example", [r], "Subject: x\r\n\r\nhello\r\n")


def copy_of(path, to):
    """With owners and rights."""
    subprocess.run(["cp", "-a", path, to], check=True)


def deliver(s, *recipients):
    send(s, *recipients)
    s.wait_empty()


def shown(s, *args):
    return json.loads(command(s, "deliveries", "--json", *args))


def test_each_attempt_is_shown_with_its_evidence(relay):
    deliver(relay, "Bob@There.example", "eve@there.example", "carol@elsewhere.example")
    rows = shown(relay, "--recipient", "bob@there.example")
    assert len(rows) == 1
    row = rows[0]
    assert row["rcpt"].lower() == "bob@there.example" and row["orig"] == "news@shop.example"
    assert row["outcome"] == "delivered" and row["code"] == 250 and row["tls"].startswith("TLSv1.")
    assert row["cipher"] and row["group"] and row["policy"] == "route"
    assert [r["rcpt"] for r in shown(relay, "--message", row["message"])] == [row["rcpt"]]
    assert len(shown(relay, "--domain", "there.example")) == 2
    assert len(shown(relay, "--since", "1h", "--outcome", "delivered")) == 3
    assert shown(relay, "--limit", "1")[0]["row"] == 3
    text = command(relay, "deliveries", "--recipient", "bob@there.example")
    assert re.search(r"TIME +MESSAGE +RECIPIENT +OUTCOME +CODE +TLS +HOST", text) and "1.3" in text
    assert "No such attempts" in command(relay, "deliveries", "--recipient", "nobody@there.example", code=1)
    assert "there.example" not in relay.relay.log_text()


def test_a_refusal_and_a_wait_are_rows_too(sealpost, sink):
    dead = harness.free_port()
    sealpost.configure([f'{{domain: "dead.example", to: "127.0.0.1:{dead}", tls: encrypt}}',
                        f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    sealpost.start("keyd", "relay")
    send(sealpost, "bob@dead.example")
    harness.wait_for("a deferral", lambda: sealpost.relay.events("deferred"))
    harness.wait_for("its row", lambda: "dead.example" in command(sealpost, "ledger", "export", "--format", "csv"))
    row = shown(sealpost, "--domain", "dead.example")[0]
    assert row["outcome"] == "deferred" and row["reason"] == "connect" and row["tls"] == ""
    stats = json.loads(command(sealpost, "tls", "stats", "dead.example", "--json"))["items"][0]
    assert stats["attempts"] >= 1 and stats["reached"] == 0 and stats["clear"] == 0


def test_tls_statistics_per_domain(relay):
    deliver(relay, "a@one.example", "b@one.example", "c@two.example")
    stats = {i["domain"]: i for i in json.loads(command(relay, "tls", "stats", "--json"))["items"]}
    assert stats["one.example"]["encrypted"] == 2 and stats["one.example"]["clear"] == 0
    assert stats["two.example"]["attempts"] == 1
    assert re.search(r"one\.example +2 +100%", command(relay, "tls", "stats", "one.example"))
    assert "No attempts" in command(relay, "tls", "stats", "three.example", code=1)


def test_files_hold_no_address_and_verify_says_whole(relay):
    deliver(relay, *[f"user{i}@there.example" for i in range(20)])
    assert "whole" in command(relay, "ledger", "verify")
    relay.relay.stop()
    ledger = os.path.join(relay.prefix, "relay", "ledger")
    files = [os.path.join(ledger, f) for f in os.listdir(ledger)]
    assert files and not harness.find_bytes(files, [b"user1", b"news@"])
    copy = os.path.join(relay.prefix, "copy")
    copy_of(ledger, copy)
    assert "rows 1 to 20" in command(relay, "ledger", "verify", "--from", copy)
    with open(os.path.join(relay.prefix, "ledger.pem"), "w") as f:
        f.write(command(relay, "ledger", "key"))
    out = command(relay, "ledger", "verify", "--from", copy, "--key", f.name)
    assert "rows 1 to 20" in out and "keyd was not asked" in out


def test_whatever_is_changed_is_named(relay):
    deliver(relay, *[f"user{i}@there.example" for i in range(10)])
    command(relay, "ledger", "verify")
    relay.relay.stop()
    copy = os.path.join(relay.prefix, "copy")
    copy_of(os.path.join(relay.prefix, "relay", "ledger"), copy)
    name = os.path.join(copy, "ledger-00000000000000000001.log")
    with open(name, "rb") as f:
        good = f.read()

    def judged(data):
        with open(name, "wb") as f:
            f.write(data)
        return command(relay, "ledger", "verify", "--from", copy, code=1)

    at = good.index(b"there.example", good.index(b"there.example") + 100)  # somewhere in the second row
    flipped = good[:at] + b"T" + good[at + 1:]
    out = judged(flipped)
    assert "NOT whole" in out and re.search(r"row +2\n", out), out
    out = judged(good[:len(good) - 200])
    assert "keyd signed" in out, out
    out = judged(good[:500])
    assert "keyd signed" in out and re.search(r"rows +\d+ to 10\n", out), out
    with open(name, "wb") as f:
        f.write(good)
    command(relay, "ledger", "verify", "--from", copy)


def forged(data, change):
    """The file with other records, and every check behind them made anew, as somebody without keyd can. change(kind, body): a
    body, or None to leave the record out."""
    out, at, ends, chain = b"", 0, 0, None
    while at < len(data):
        n = int.from_bytes(data[at:at + 4], "big")
        kind, body = data[at + 4], data[at + 5:at + 4 + n - 8]
        at += 4 + n
        chain = chain or body[40:72]
        body = change(kind, body)
        if body is None:
            continue
        if kind == 3:
            body = body[:8] + ends.to_bytes(8, "big") + chain
        elif kind == 4:
            body = body[:16] + chain + body[48:]
        record = (len(body) + 9).to_bytes(4, "big") + bytes([kind]) + body
        chain = hashlib.sha256(chain + record).digest()
        out += record + chain[:8]
        ends = len(out) if kind in (1, 3) else ends
    return out


def test_a_forger_who_makes_all_checks_anew_lacks_the_signature(relay):
    deliver(relay, *[f"user{i}@there.example" for i in range(10)])
    relay.relay.stop()
    copy = os.path.join(relay.prefix, "copy")
    copy_of(os.path.join(relay.prefix, "relay", "ledger"), copy)
    name = os.path.join(copy, "ledger-00000000000000000001.log")
    with open(name, "rb") as f:
        good = f.read()
    key = os.path.join(relay.prefix, "ledger.pem")
    with open(key, "w") as f:
        f.write(command(relay, "ledger", "key"))

    def judged(change, *args, code=1):
        with open(name, "wb") as f:
            f.write(forged(good, change))
        return command(relay, "ledger", "verify", "--from", copy, *args, code=code)

    def altered(kind, body):
        return body.replace(b"there.example", b"their.example") if kind == 2 else body

    def without_signatures(kind, body):
        return None if kind == 4 else altered(kind, body)

    assert forged(good, lambda kind, body: body) == good
    for args in ((), ("--key", key)):
        out = judged(altered, *args)
        assert "the signature of this checkpoint is not keyd's" in out and "rows    1 to 10\n" in out
    assert "the last checkpoint that keyd signed is missing" in judged(without_signatures)
    assert judged(without_signatures, "--key", key) == \
        "No checkpoint vouches for rows 1 to 10: anybody could have made them.\n"
    os.unlink(name)
    assert command(relay, "ledger", "verify", "--from", copy, code=1) == \
        f"The ledger is NOT whole: no file of it is in {copy}, and keyd signed rows 1 to 10.\n"
    command(relay, "ledger", "verify", "--from", copy, "--key", key, code=64)


def test_a_running_relay_names_what_was_changed_under_it(relay):
    deliver(relay, *[f"user{i}@there.example" for i in range(5)])
    command(relay, "ledger", "verify")
    name = os.path.join(relay.prefix, "relay", "ledger", "ledger-00000000000000000001.log")
    with open(name, "r+b") as f:
        data = f.read()
        f.seek(data.index(b"there.example", data.index(b"there.example") + 100))
        f.write(b"T")
    out = command(relay, "ledger", "verify", code=1)
    assert "NOT whole" in out and re.search(r"row +2\n", out)
    assert relay.relay.events("ledger-damaged")


def test_rows_survive_a_restart_and_a_kill(relay):
    deliver(relay, "a@there.example", "b@there.example")
    assert len(shown(relay)) == 2
    relay.relay.kill()
    relay.start("relay")
    deliver(relay, "c@there.example")
    rows = [r["rcpt"] for r in shown(relay)]
    assert rows[0] == "c@there.example" and sorted(rows[1:]) == ["a@there.example", "b@there.example"]
    assert "whole" in command(relay, "ledger", "verify")
    relay.relay.stop()
    relay.start("relay")
    assert "rows 1 to 3" in command(relay, "ledger", "verify")
    assert not relay.relay.events("ledger-truncated")


def test_a_ledger_put_back_is_told(relay):
    ledger = os.path.join(relay.prefix, "relay", "ledger")
    deliver(relay, "a@there.example")
    relay.relay.stop()
    copy_of(ledger, ledger + ".old")
    relay.start("relay")
    deliver(relay, "b@there.example")
    relay.relay.stop()
    shutil.rmtree(ledger)
    os.rename(ledger + ".old", ledger)
    relay.start("relay")
    harness.wait_for("the complaint", lambda: relay.relay.events("ledger-truncated"))
    assert "keyd signed" in command(relay, "ledger", "verify", code=1) or \
        "missing" in command(relay, "ledger", "verify", code=1)


def test_export_as_csv_and_json(relay):
    deliver(relay, *[f"user{i}@there.example" for i in range(3)])
    lines = list(csv.DictReader(io.StringIO(command(relay, "ledger", "export", "--format", "csv", "--with-addresses"))))
    assert sorted(r["rcpt"] for r in lines) == [f"user{i}@there.example" for i in range(3)]
    assert {r["type"] for r in lines} == {"d"} and {r["dsnAction"] for r in lines} == {"relayed"}
    assert all(r["dsnDiag"].startswith("smtp;250 ") and r["dlvTlsProtocol"].startswith("TLS") for r in lines)
    sealed = command(relay, "ledger", "export", "--format", "csv")
    assert "@" not in sealed and len(sealed.splitlines()) == 4
    objects = [json.loads(x) for x in command(relay, "ledger", "export", "--format", "json").splitlines()]
    assert [o["row"] for o in objects] == [1, 2, 3] and "rcpt" not in objects[0]
    later = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 3600))
    assert command(relay, "ledger", "export", "--format", "json", "--since", later) == ""


def test_without_keyd_rows_are_shown_and_say_what_they_lack(relay):
    deliver(relay, "a@there.example")
    shown(relay)
    relay.keyd.stop()
    row = shown(relay)[0]
    assert "rcpt" not in row and "keyd" in row["sealed"] and row["domain"] == "there.example"
    assert "keyd" in relay.cli("deliveries", "--recipient", "a@there.example").stderr
    for form in ("csv", "json"):
        done = relay.cli("ledger", "export", "--format", form, "--with-addresses")
        assert done.returncode == 75 and "a@there.example" not in done.stdout and "there.example" in done.stdout
        assert done.stderr == "sealpost: 1 of 1 rows stand without their addresses: keyd does not answer\n"
        assert command(relay, "ledger", "export", "--format", form)
