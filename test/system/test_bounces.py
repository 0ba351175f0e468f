# SPDX-License-Identifier: Apache-2.0
"""What senders are told (RFC 3461), and what becomes of bounces and complaints that come back."""
import email
import os
import re
import smtplib

import harness
import pytest
import receiver
from conftest import needs_postfix

SENDER = "news@shop.example"
GONE = b"550 5.1.1 User unknown"


class Mailbox(receiver.Receiver):
    """Takes everything but RCPT that answers forbids. dsn: offers DSN."""

    def __init__(self, dsn=False):
        self.answers = {}  # address: reply to RCPT
        self.dsn = dsn
        super().__init__(keep=True, rcpt=self.judge)

    def judge(self, session, line):
        address = re.search(rb"<([^>]*)>", line)[1].decode()
        return self.answers.get(address)

    def extensions(self, session):
        return super().extensions(session) + ([b"DSN"] if self.dsn else [])

    def reports(self):
        """Reports of delivery that came from the null sender, parsed."""
        with self.lock:
            return [email.message_from_bytes(m) for m, mail, _, _ in self.kept if b"<>" in mail]

    def wait_reports(self, n):
        return harness.wait_for(f"{n} reports", lambda: len(self.reports()) >= n and self.reports())

    def mail(self):
        """(MAIL line, RCPT lines, message) of what is no report."""
        with self.lock:
            return [(mail.decode(), [r.decode() for r in rcpts], m) for m, mail, rcpts, _ in self.kept
                    if b"<>" not in mail]


@pytest.fixture
def home(parts):
    """Where the sender reads his mail."""
    m = Mailbox()
    parts.append(m)
    return m


@pytest.fixture
def there(parts):
    m = Mailbox()
    parts.append(m)
    return m


def configure(s, home, there, **more):
    s.configure([f'{{domain: "there.example", to: "127.0.0.1:{there.port}", tls: none}}',
                 f'{{domain: "*", to: "127.0.0.1:{home.port}", tls: none}}'], **more)


def send(port, to, body="Subject: hello\r\n\r\nthe body\r\n", sender=SENDER, mail=(), rcpt=()):
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as c:
        c.ehlo("client.example")
        code, text = c.mail(sender, list(mail))
        if code == 250:
            code, text = c.rcpt(to, list(rcpt))
        if code == 250:
            code, text = c.data(body)
        return code, text.decode()


def status(report):
    """Fields of the recipient's block, and of the message's."""
    part = [p for p in report.walk() if p.get_content_type() == "message/delivery-status"][0]
    message, recipient = part.get_payload()[:2]
    return dict(recipient.items()), dict(message.items())


def returned(report):
    return report.get_payload()[2].as_bytes()


def has_log(s, event, *words):
    return [e for e in s.relay.events(event) if all(w in str(e) for w in words)]


def wait_log(s, event, *words):
    return harness.wait_for(f"{event} {words}", lambda: has_log(s, event, *words))


# --- reports to senders


def test_a_failure_comes_back_as_the_sender_asked(sealpost, home, there):
    there.answers["gone@there.example"] = GONE
    configure(sealpost, home, there)
    sealpost.start("keyd", "relay")
    send(sealpost.smtp_port, "gone@there.example", mail=["RET=FULL", "ENVID=QQ+2B1"],
         rcpt=["NOTIFY=FAILURE", "ORCPT=rfc822;Gone+2Bnews@list.example"])
    report = home.wait_reports(1)[0]
    recipient, message = status(report)
    assert recipient["Action"] == "failed" and recipient["Status"] == "5.1.1"
    assert recipient["Original-Recipient"] == "rfc822; Gone+news@list.example"
    assert recipient["Final-Recipient"] == "rfc822; gone@there.example"
    assert recipient["Diagnostic-Code"] == "smtp; 550 5.1.1 User unknown"
    assert message["Original-Envelope-Id"] == "QQ+1"
    assert report.get_payload()[2].get_content_type() == "message/rfc822" and b"the body" in returned(report)
    send(sealpost.smtp_port, "gone@there.example", mail=["RET=HDRS"])
    report = home.wait_reports(2)[1]
    assert b"Subject: hello" in returned(report) and b"the body" not in returned(report)
    assert has_log(sealpost, "bounced", "bad-mailbox")


def test_never_means_never_and_nobody_hears_twice(sealpost, home, there):
    there.answers["gone@there.example"] = GONE
    configure(sealpost, home, there)
    sealpost.start("keyd", "relay")
    send(sealpost.smtp_port, "gone@there.example", rcpt=["NOTIFY=NEVER"])
    send(sealpost.smtp_port, "gone@there.example", sender="")
    send(sealpost.smtp_port, "gone@there.example", rcpt=["NOTIFY=SUCCESS"])
    harness.wait_for("three failures", lambda: len(has_log(sealpost, "bounced")) == 3)
    send(sealpost.smtp_port, "gone@there.example")
    assert len(home.wait_reports(1)) == 1
    sealpost.wait_empty()
    assert len(home.reports()) == 1


def test_a_success_is_reported_by_whoever_is_last_to_know_dsn(sealpost, home, there):
    configure(sealpost, home, there)
    sealpost.start("keyd", "relay")
    send(sealpost.smtp_port, "bob@there.example", mail=["ENVID=one"], rcpt=["NOTIFY=SUCCESS,FAILURE"])
    recipient, message = status(home.wait_reports(1)[0])
    assert recipient["Action"] == "relayed" and message["Original-Envelope-Id"] == "one"
    there.dsn = True
    there.cut_all()
    send(sealpost.smtp_port, "bob@there.example", mail=["ENVID=two", "RET=HDRS"],
         rcpt=["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;b@x.example"])
    mail, rcpts, _ = harness.wait_for("both", lambda: len(there.mail()) == 2 and there.mail())[1]
    assert "ENVID=two" in mail and "RET=HDRS" in mail
    assert "NOTIFY=SUCCESS,DELAY" in rcpts[0] and "ORCPT=rfc822;b@x.example" in rcpts[0]
    sealpost.wait_empty()
    assert len(home.reports()) == 1


def test_a_delay_is_reported_once_and_then_the_end(sealpost, home, there):
    there.answers["slow@there.example"] = b"451 4.7.1 Greylisted"
    configure(sealpost, home, there, bounce="{delay: 1s}", retry="{first: 1s, max: 1s, expire: 6s}")
    sealpost.start("keyd", "relay")
    send(sealpost.smtp_port, "slow@there.example")
    send(sealpost.smtp_port, "slow@there.example", sender="other@shop.example", rcpt=["NOTIFY=FAILURE"])
    recipient, _ = status(home.wait_reports(1)[0])
    assert recipient["Action"] == "delayed" and recipient["Status"].startswith("4.")
    assert "Will-Retry-Until" in recipient
    reports = home.wait_reports(3)
    actions = [status(r)[0]["Action"] for r in reports]
    assert sorted(actions) == ["delayed", "failed", "failed"]
    for r in reports:
        recipient, _ = status(r)
        assert "451 4.7.1 Greylisted" in recipient["Diagnostic-Code"]
        assert recipient["Action"] == "delayed" or recipient["Status"] == "4.4.7"
    sealpost.wait_empty()
    assert len(home.reports()) == 3


# --- senders that tell whom a message was for

BOUNCE = "{domain: b.example, verp: yes, reports: [fbl], keep: 30d}"


def sent_as(there, n=1):
    """Envelope senders of what arrived there."""
    mail = harness.wait_for(f"{n} messages", lambda: len(there.mail()) >= n and there.mail())
    return [re.search(r"<([^>]*)>", m[0])[1] for m in mail]


def bounce_of(address, code="550", status_code="5.1.1", words="User unknown", action="failed"):
    return ("From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=delivery-status; boundary=B\r\n\r\n--B\r\n\r\n"
            f"I could not deliver. canary-of-a-bounce\r\n\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n"
            f"Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; {address}\r\nAction: {action}\r\n"
            f"Status: {status_code}\r\nDiagnostic-Code: smtp; {code} {status_code} {words}\r\n\r\n--B--\r\n")


def complaint_of(sender, address, kind="abuse"):
    return ("From: fbl@provider.example\r\nSubject: FW: hello\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/report; report-type=feedback-report; boundary=B\r\n\r\n--B\r\n\r\n"
            "This is an email abuse report.\r\n\r\n--B\r\nContent-Type: message/feedback-report\r\n\r\n"
            f"Feedback-Type: {kind}\r\nUser-Agent: Test/1\r\nVersion: 1\r\n\r\n--B\r\nContent-Type: message/rfc822\r\n\r\n"
            f"Return-Path: <{sender}>\r\nTo: {address}\r\nSubject: hello\r\n\r\nthe body\r\n--B--\r\n")


def suppressed(s, address):
    return s.cli("suppression", "check", address).stdout.startswith("suppressed")


@pytest.fixture
def verp(sealpost, home, there):
    configure(sealpost, home, there, bounce=BOUNCE)
    sealpost.start("keyd", "relay")
    return sealpost


@needs_postfix
def test_a_bounce_that_postfix_sends_later_suppresses_the_recipient(sealpost, home, there, place, parts):
    there.answers["gone@there.example"] = GONE
    there.answers["full@there.example"] = b"552 5.2.2 Mailbox is full"
    postfix = harness.Postfix(os.path.join(place, "postfix"), relay_domains="there.example",
                              transport_maps="inline:{{there.example = smtp:[127.0.0.1]:%d}}" % there.port,
                              relayhost=f"[127.0.0.1]:{sealpost.smtp_port}")
    sealpost.configure([f'{{domain: "there.example", to: "127.0.0.1:{postfix.port}", tls: opportunistic}}',
                        f'{{domain: "*", to: "127.0.0.1:{home.port}", tls: none}}'], bounce=BOUNCE)
    parts.append(postfix.start())
    sealpost.start("keyd", "relay")
    for to in ("gone@there.example", "full@there.example", "bob@there.example"):
        assert send(sealpost.smtp_port, to)[0] == 250
    hard = wait_log(sealpost, "async-bounce", "bad-mailbox")
    assert "suppressed=yes" in sealpost.relay.log_text() and "rfc3464" in str(hard[0])
    wait_log(sealpost, "async-bounce", "quota-issues")
    assert len(sent_as(there)) == 1 and re.fullmatch(r"bounce\+[0-9a-z]{34}@b\.example", sent_as(there)[0])
    code, text = send(sealpost.smtp_port, "Gone@there.example")
    assert code == 550 and text.startswith("5.7.1")
    assert suppressed(sealpost, "gone@there.example") and not suppressed(sealpost, "full@there.example")
    row = [line for line in sealpost.cli("suppression", "export").stdout.splitlines() if line.startswith("gone@")][0]
    assert row.split(",")[1] == "bounce" and row.split(",")[3]
    assert not home.reports()  # the sender was not told: it did not fail here
    ids = {name: {e[1] for e in sealpost.relay.events(name)} for name in ("async-bounce", "accepted")}
    assert len(ids["async-bounce"]) == 2 and ids["async-bounce"] < ids["accepted"]  # of what came back


def test_recipients_of_one_message_leave_under_different_senders(verp, there):
    with smtplib.SMTP("127.0.0.1", verp.smtp_port) as c:
        c.sendmail(SENDER, [f"u{i}@there.example" for i in range(5)], "Subject: x\r\n\r\nbody\r\n")
    senders = sent_as(there, 5)
    assert len(set(senders)) == 5
    assert all(s.endswith("@b.example") for s in senders)
    assert all(len(rcpts) == 1 for _, rcpts, _ in there.mail())


def test_only_the_token_of_a_recipient_suppresses_him(verp, there):
    send(verp.smtp_port, "bob@there.example")
    send(verp.smtp_port, "eve@there.example")
    by = {m[1][0].split("<")[1].split("@")[0]: re.search(r"<([^>]*)>", m[0])[1] for m in
          harness.wait_for("both", lambda: len(there.mail()) == 2 and there.mail())}
    # a forger has his own token, and none of others
    assert send(verp.smtp_port, by["eve"], bounce_of("bob@there.example"), sender="")[0] == 250
    wait_log(verp, "report-ignored", "belongs to the token")
    assert not suppressed(verp, "bob@there.example")
    assert send(verp.smtp_port, by["bob"], bounce_of("bob@there.example", "452", "4.2.2", "Mailbox full"), sender="")[0] == 250
    assert send(verp.smtp_port, by["bob"], bounce_of("bob@there.example", action="delayed"), sender="")[0] == 250
    assert not suppressed(verp, "bob@there.example")
    assert send(verp.smtp_port, by["bob"].upper(), bounce_of("bob@there.example"), sender="")[0] == 250
    assert suppressed(verp, "bob@there.example")
    assert len(has_log(verp, "async-bounce")) == 3
    assert '"async_bounces": 3' in verp.cli("status", "--json").stdout


def test_addresses_there_that_are_none_are_refused(verp, there):
    send(verp.smtp_port, "bob@there.example")
    token = sent_as(there)[0]
    local = token.split("@")[0]
    for to in ("bounce@b.example", "postmaster@b.example", "bounce+abc@b.example", local[:-1] + "@b.example", local + "0@b.example"):
        code, text = send(verp.smtp_port, to, bounce_of("bob@there.example"), sender="")
        assert code == 550 and text.startswith("5.1.1"), to
    other = local[:7] + ("0000" if not local[7:].startswith("0000") else "1111") + local[11:] + "@b.example"
    code, text = send(verp.smtp_port, other, bounce_of("bob@there.example"), sender="")
    assert code == 550 and text.startswith("5.1.1")  # of no customer here
    assert not suppressed(verp, "bob@there.example")
    with smtplib.SMTP("127.0.0.1", verp.smtp_port) as c:
        c.ehlo("a.example")
        c.mail("")
        assert c.rcpt(token)[0] == 250
        assert c.rcpt("bob@there.example")[0] == 452 and c.rcpt(token)[0] == 452
        c.rset()
        c.mail(SENDER)
        assert c.rcpt("bob@there.example")[0] == 250 and c.rcpt(token)[0] == 452


def test_complaints_suppress_for_good(verp, there):
    for to in ("bob@there.example", "eve@there.example", "joe@there.example"):
        send(verp.smtp_port, to)
    by = {m[1][0].split("<")[1].split("@")[0]: re.search(r"<([^>]*)>", m[0])[1] for m in
          harness.wait_for("three", lambda: len(there.mail()) == 3 and there.mail())}
    assert send(verp.smtp_port, "FBL@b.example", complaint_of(by["bob"], "Bob <bob@there.example>"))[0] == 250
    assert send(verp.smtp_port, "fbl@b.example", complaint_of(by["eve"], "eve@there.example", "not-spam"))[0] == 250
    assert send(verp.smtp_port, "fbl@b.example", complaint_of("x@shop.example", "joe@there.example"))[0] == 250
    assert send(verp.smtp_port, "fbl@b.example", "Subject: hi\r\n\r\nis anybody there?\r\n")[0] == 250
    assert suppressed(verp, "bob@there.example")
    assert not suppressed(verp, "eve@there.example") and not suppressed(verp, "joe@there.example")
    row = [line for line in verp.cli("suppression", "export").stdout.splitlines() if line.startswith("bob@")][0]
    assert row.split(",")[1] == "complaint" and row.split(",")[3] == ""
    assert len(has_log(verp, "complaint")) == 2 and len(has_log(verp, "report-ignored")) == 2


def test_what_comes_back_is_taken_from_strangers_and_never_stored(sealpost, home, there):
    configure(sealpost, home, there, bounce=BOUNCE)
    sealpost.start("keyd", "relay")
    send(sealpost.smtp_port, "bob@there.example")
    token = sent_as(there)[0]
    sealpost.stop()
    configure(sealpost, home, there, bounce=BOUNCE, trusted='["192.0.2.0/24"]')
    sealpost.start("keyd", "relay")  # tokens hold over a restart
    assert send(sealpost.smtp_port, "eve@there.example")[0] == 550
    assert send(sealpost.smtp_port, token, bounce_of("bob@there.example"), sender="postmaster@mx.example")[0] == 250
    assert suppressed(sealpost, "bob@there.example")
    big = "Subject: x\r\n\r\n" + ("y" * 900 + "\r\n") * 1300
    assert send(sealpost.smtp_port, token, big, sender="")[0] == 552
    sealpost.keyd.stop()
    wait_log(sealpost, "keyd-away")
    assert send(sealpost.smtp_port, token, bounce_of("bob@there.example"), sender="")[0] == 451
    sealpost.stop()
    assert not harness.find_bytes(sealpost.files(), [b"canary-of-a-bounce", b"bob@there"])


def test_senders_of_our_own_need_a_domain(sealpost, home, there):
    configure(sealpost, home, there, bounce="{verp: yes}")
    r = sealpost.cli("config", "check")
    assert r.returncode == 78 and "bounce: verp and reports need domain" in r.stdout + r.stderr


def test_a_customer_whom_keyd_does_not_know_is_not_the_fault_of_the_address(sealpost, home, there):
    """451, not the 550 that tokens of no customer get."""
    listen = f'[{{address: "127.0.0.1:{sealpost.smtp_port}", mode: smarthost, customer: ghost}}]'
    configure(sealpost, home, there, listen=listen, bounce=BOUNCE)
    sealpost.start("keyd", "relay")
    with pytest.raises(smtplib.SMTPDataError) as refused:  # at DATA, before the message
        send(sealpost.smtp_port, "bob@there.example")
    assert refused.value.smtp_code == 451
