# SPDX-License-Identifier: Apache-2.0
"""What the administrator types and sees."""
import os
import socket
import subprocess

import harness
import pytest


def test_init_writes_a_set_that_starts_and_refuses_to_overwrite_it(sealpost):
    for name in ("keyd.yaml", "relay.yaml", "milter.yaml", "relay.pem"):
        assert os.path.exists(sealpost.path(name))
    assert "Next" in sealpost.init_output
    sealpost.start("keyd", "relay")
    assert sealpost.status()["keyd"]["state"] == "ready"
    again = sealpost.cli("init")
    assert again.returncode != 0 and "exists already" in again.stderr


def test_status_tells_what_is_unsafe(sealpost):
    sealpost.start("keyd", "relay")
    r = sealpost.cli("status")
    assert r.returncode == 1  # a file slot is not good enough
    assert "unsafe" in r.stdout and "warning:" in r.stdout


def test_status_says_so_when_nothing_runs(sealpost):
    r = sealpost.cli("status")
    assert r.returncode == 75
    assert "does not answer" in r.stderr


def test_wrong_words_get_usage_and_64(sealpost):
    for args in (["nonsense"], ["queue"], ["queue", "show"], ["queue", "show", "not-an-id"], ["trace"], ["config"],
                 ["queue", "list", "--limit", "0"]):
        assert sealpost.cli(*args).returncode == 64, args


@pytest.mark.parametrize("args", [["queue"], ["queue", "list"], ["key", "slot", "add"], ["campaign", "add"], ["tls", "check"]])
def test_help_behind_a_subcommand_lists_its_forms(sealpost, args):
    """Asked for, on standard output; after wrong words the same, on standard error."""
    r = sealpost.cli(*args, "--help")
    assert r.returncode == 0 and not r.stderr
    forms, rest = r.stdout.split("\n\n")
    assert rest == f'"sealpost help {args[0]}" shows the manual page.\n'
    first, *more = forms.splitlines()
    assert first.startswith(f"usage: sealpost {args[0]} ")
    assert all(line.startswith((f"       sealpost {args[0]} ", " " * 11, "       SELECTOR: ", "       with each: ")) for line in more)
    assert forms + "\n" in sealpost.cli(args[0], "no-such-word").stderr


def test_a_passphrase_slot_opens_and_a_wrong_one_does_not(place, parts):
    secret = os.path.join(place, "pass")
    with open(secret, "w") as f:
        f.write("correct horse battery\n")
    uid = harness.UID if os.getuid() == 0 else os.getuid()
    os.chmod(secret, 0o600)
    os.chown(secret, uid, uid)
    s = harness.Sealpost(os.path.join(place, "sealpost"), init_args=["--passphrase-file", secret])
    parts.append(s)
    os.unlink(s.path("keyd", "root.key"))  # only the passphrase is left
    s.keyd.start()
    s.relay.start()
    s.wait_keyd("locked")
    with open(secret, "w") as f:
        f.write("wrong\n")
    r = s.cli("key", "unseal", "--passphrase-file", secret)
    assert r.returncode == 1 and "opens nothing" in r.stderr
    with open(secret, "w") as f:
        f.write("correct horse battery\n")

    def opened():
        return s.cli("key", "unseal", "--passphrase-file", secret).returncode == 0
    harness.wait_for("the delay after a failed try to be over", opened, 20, 0.5)
    s.wait_keyd()
    s.cli("key", "lock", check=True)
    s.wait_keyd("locked")


def test_a_passphrase_file_that_others_can_read_is_refused(sealpost, place):
    secret = os.path.join(place, "pass")
    with open(secret, "w") as f:
        f.write("x\n")
    os.chmod(secret, 0o644)
    sealpost.keyd.start()
    r = sealpost.cli("key", "unseal", "--passphrase-file", secret)
    assert r.returncode == 64 and "readable by nobody else" in r.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to be somebody else")
def test_strangers_get_nothing_from_the_local_api_nor_from_keyd(sealpost):
    sealpost.start("keyd", "relay")
    stranger = sealpost.uid + 1
    r = sealpost.cli("queue", "list", uid=stranger)
    assert r.returncode == 75 and "may not use" in r.stderr
    assert sealpost.relay.events("api-denied")
    r = sealpost.cli("key", "list", uid=stranger)
    assert r.returncode == 75


def test_the_local_api_refuses_what_is_not_clean_http(sealpost):
    sealpost.start("keyd", "relay")
    for request, status in ((b"GET /v1/status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
                            (b"GET /v1/status HTTP/1.1\nHost: a\n\n", b"400"),
                            (b"GET /v1/status HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"501"),
                            (b"GET /v1/../v1/status HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
                            (b"GET /v1/queue/xyz HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
                            (b"PUT /v1/status HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
                            (b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", b"404"),
                            (b"GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n", b"200")):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(sealpost.path("run", "api.sock"))
            s.sendall(request)
            assert s.recv(65536).split(b" ")[1] == status, request


def test_daemons_stop_on_sigterm_with_exit_code_0(sealpost):
    sealpost.start("keyd", "relay", "milter")
    assert set(sealpost.stop().values()) == {0}


def test_a_second_relay_on_the_same_spool_is_refused(sealpost):
    sealpost.start("keyd", "relay")
    other = harness.Process(sealpost.relay.argv, os.path.join(sealpost.logs, "second.log"), sealpost.uid)
    other.start()
    assert other.child.wait(20) == 75


def test_the_campaign_header_is_accepted_by_the_milter_and_a_wrong_one_refused(sealpost, place, parts):
    if not harness.Postfix.available():
        pytest.skip("needs root and Postfix")
    import smtplib
    sealpost.start("keyd", "relay", "milter")
    postfix = harness.behind_sealpost(os.path.join(place, "postfix"), sealpost, relayhost="[127.0.0.1]:1").start()
    parts.append(postfix)
    header = sealpost.cli("campaign", "header", "--id", "spring", "--from", "news@shop.example", "--to", "r@mail.example",
                          "--message-id", "<1@shop.example>", check=True).stdout.strip()

    def send(line, to=("r@mail.example",), message_id="<1@shop.example>"):
        with smtplib.SMTP("127.0.0.1", postfix.port) as c:
            data = f"From: news@shop.example\r\nMessage-ID: {message_id}\r\n{line}\r\nSubject: x\r\n\r\nx\r\n"
            c.ehlo("a.example")
            c.mail("news@shop.example")
            for r in to:
                code, text = c.rcpt(r)
            code, text = c.docmd("DATA")
            if code == 354:
                c.send(data.encode() + b".\r\n")
                code, text = c.getreply()
            return code, text.decode()

    assert send(header)[0] == 250
    mac = header[-4:]
    for line, to, mid in ((header.replace("id=spring", "id=summer"), ["r@mail.example"], "<1@shop.example>"),
                          (header, ["other@mail.example"], "<1@shop.example>"),
                          (header, ["r@mail.example"], "<2@shop.example>"),
                          (header[:-4] + ("AAAA" if mac != "AAAA" else "BBBB"), ["r@mail.example"], "<1@shop.example>"),
                          (header + "\r\n" + header, ["r@mail.example"], "<1@shop.example>"),
                          ("X-DoPosta-Campaign: nonsense", ["r@mail.example"], "<1@shop.example>")):
        code, text = send(line, to, mid)
        assert code == 550 and "5.7.1" in text, (line, code, text)
    assert send("X-Other: x")[0] == 250
