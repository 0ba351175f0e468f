# SPDX-License-Identifier: Apache-2.0
"""keyd killed, locked, back: new mail gets 451, delivery waits, nothing is in clear, all flows again by itself."""
import os
import secrets
import smtplib

import harness
import pytest


def try_to_send(port, data=b"Subject: x\r\n\r\nx\r\n", recipient="b@b.example"):
    """(code, text) of the first command that was not welcome, or of the final reply."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as c:
        c.ehlo("a.example")
        code, text = c.mail("a@a.example")
        if code == 250:
            code, text = c.rcpt(recipient)
        if code == 250:
            code, text = c.docmd("DATA")
        if code == 354:
            c.send(data + b".\r\n")
            code, text = c.getreply()
        return code, text.decode()


@pytest.mark.parametrize("how", ["killed", "locked"])
def test_keyd_gone_means_451_and_back_means_business(sealpost, sink, how):
    s = sealpost
    word = secrets.token_hex(8)
    s.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    s.start()
    sink.stop()  # so that something waits in the queue when keyd goes
    code, _ = try_to_send(s.smtp_port, f"Subject: {word}\r\n\r\nfirst {word}\r\n".encode(), f"{word}@b.example")
    assert code == 250
    pid = s.relay.pid
    if how == "killed":
        s.keyd.kill()
    else:
        s.cli("key", "lock", check=True)
    s.wait_keyd("away" if how == "killed" else "locked")
    code, text = try_to_send(s.smtp_port, f"Subject: {word}\r\n\r\nsecond {word}\r\n".encode(), f"{word}@b.example")
    assert code == 451 and text.startswith("4.3.0")
    with smtplib.SMTP("127.0.0.1", s.smtp_port) as c:
        c.ehlo("a.example")
        code, text = c.docmd("STARTTLS")
        assert code == 454
    sink.start()
    s.cli("queue", "retry", "--all")
    status = s.cli("status")
    assert "keyd is away or locked" in status.stdout and status.returncode != 0
    assert sink.report()["messages"] == 0  # delivery waits
    assert not harness.find_bytes(s.files(), [word.encode()])
    if how == "killed":
        s.keyd.start()
    else:
        s.keyd.stop()
        s.keyd.start()  # a file slot opens by itself at start
    s.wait_keyd()
    report = sink.wait_for(1, 20)
    assert report["messages"] == 1
    assert try_to_send(s.smtp_port)[0] == 250
    sink.wait_for(2, 20)
    assert s.relay.pid == pid and s.relay.running()
    assert not harness.find_bytes(s.files(), [word.encode()])


def test_keyd_gone_in_the_middle_of_a_message(sealpost, sink):
    s = sealpost
    s.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    s.start()
    with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=30) as c:
        c.ehlo("a.example")
        c.mail("a@a.example")
        c.rcpt("b@b.example")
        c.docmd("DATA")
        c.send(b"Subject: x\r\n\r\n" + b"y" * 70 + b"\r\n")
        s.keyd.kill()
        c.send(b"z\r\n.\r\n")
        code, _ = c.getreply()
    assert code in (250, 451)  # its key was at hand: either is safe, a lost message is not
    s.keyd.start()
    s.wait_keyd()
    if code == 250:
        sink.wait_for(1)


def test_milter_answers_tempfail_without_keyd(sealpost, place, parts):
    if not harness.Postfix.available():
        pytest.skip("needs root and Postfix")
    s = sealpost
    s.start("keyd", "relay", "milter")
    postfix = harness.behind_sealpost(os.path.join(place, "postfix"), s, relayhost="[127.0.0.1]:1").start()
    parts.append(postfix)
    assert try_to_send(postfix.port)[0] == 250
    s.keyd.kill()
    code, text = try_to_send(postfix.port)
    assert code == 451 and "4.7.1" in text
    s.keyd.start()
    harness.wait_for("the milter to have keyd back", lambda: try_to_send(postfix.port)[0] == 250, 15, 0.2)
