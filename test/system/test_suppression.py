# SPDX-License-Identifier: Apache-2.0
"""Recipients that mail is not taken for: the command, the reply at RCPT, the file, restarts."""
import json
import smtplib
import subprocess

import harness
import pytest


@pytest.fixture
def relay(sealpost, sink):
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    sealpost.start("keyd", "relay")
    return sealpost


def rcpt(s, *addresses):
    """Replies to RCPT for each."""
    with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=30) as c:
        c.ehlo("client.example")
        c.mail("news@shop.example")
        return [c.rcpt(a) for a in addresses]


def command(s, *args, code=0, stdin=None):
    done = subprocess.run([harness.program("sealpost"), "--prefix", s.prefix, "suppression", *args],
                          input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout


def test_mail_for_a_suppressed_recipient_is_refused_and_for_others_taken(relay):
    assert rcpt(relay, "bob@there.example")[0][0] == 250
    assert command(relay, "add", "Bob@There.example", "eve@there.example") == "2 added, 0 known already.\n"
    replies = rcpt(relay, "bob@there.example", "BOB@there.example", "carol@there.example")
    assert [r[0] for r in replies] == [550, 550, 250]
    assert replies[0][1].startswith(b"5.7.1 Recipient is suppressed")
    assert command(relay, "check", "bob@there.example", "carol@there.example") == \
        "suppressed bob@there.example\nfree       carol@there.example\n"
    command(relay, "check", "carol@there.example", code=1)
    assert command(relay, "remove", "bob@there.example") == "1 removed.\n"
    command(relay, "remove", "bob@there.example", code=1)
    assert rcpt(relay, "bob@there.example")[0][0] == 250
    refused = [e for e in relay.relay.events("refused") if "SUPPRESSED" in str(e)]
    assert len(refused) == 2
    assert "there.example" not in relay.relay.log_text()


def test_addresses_survive_a_restart_sealed_and_count_once_keyd_is_open(relay):
    command(relay, "add", "bob@there.example")
    assert not harness.find_bytes(relay.files(), [b"bob@there"])
    relay.stop()
    relay.start("keyd", "relay")
    harness.wait_for("the list", lambda: relay.relay.events("suppression-read"))
    assert rcpt(relay, "bob@there.example")[0][0] == 550
    relay.keyd.stop()
    harness.wait_for("keyd away", lambda: relay.relay.events("keyd-away"))
    out = subprocess.run([harness.program("sealpost"), "--prefix", relay.prefix, "suppression", "add", "x@there.example"],
                         capture_output=True, text=True, timeout=60)
    assert out.returncode == 75 and "keyd" in out.stderr


def test_lists_are_exported_and_imported(relay):
    many = "".join(f"u{i}@there.example\n" for i in range(2500))
    assert command(relay, "import", stdin=many) == "2500 added, 0 known already.\n"
    assert command(relay, "add", "--reason", "complaint", "--keep", "30d", "u7@there.example", "c@there.example") == \
        "1 added, 1 known already.\n"
    exported = command(relay, "export")
    lines = exported.splitlines()
    assert lines[0] == "address,reason,created,expires" and len(lines) == 2502
    row = [line for line in lines if line.startswith("c@there.example")][0].split(",")
    assert row[1] == "complaint" and row[3].endswith("Z")
    assert [line for line in lines if line.startswith("u7@")][0].split(",")[1] == "manual"  # stronger
    command(relay, "remove", "-", stdin=many)
    assert len(command(relay, "export").splitlines()) == 2
    assert command(relay, "import", "-", stdin=exported) == "2500 added, 1 known already.\n"
    assert sorted(x.split(",")[0] for x in command(relay, "export").splitlines()) == sorted(x.split(",")[0] for x in lines)
    items = json.loads(command(relay, "list", "--json"))
    assert len(items) == 2501 and {i["reason"] for i in items} == {"manual", "complaint"}
    assert "u1@there.example" in command(relay, "list")


def test_what_is_wrong_is_said(relay):
    out = subprocess.run([harness.program("sealpost"), "--prefix", relay.prefix, "suppression", "add", "nobody", "ok@there.example"],
                         capture_output=True, text=True, timeout=60)
    assert out.returncode == 64 and "no address: nobody" in out.stderr and "1 added" in out.stdout
    out = subprocess.run([harness.program("sealpost"), "--prefix", relay.prefix, "suppression", "add", "--customer", "ghost", "a@b.example"],
                         capture_output=True, text=True, timeout=60)
    assert out.returncode == 1 and "no such customer" in out.stderr
    command(relay, "add", code=64)
    command(relay, "add", "--keep", "soon", "a@b.example", code=64)
    assert command(relay, "list", "--customer", "ghost").count("\n") <= 2
