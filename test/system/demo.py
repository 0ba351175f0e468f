# SPDX-License-Identifier: Apache-2.0
"""The demonstration: a real Postfix hands mail to Sealpost, Sealpost delivers it over TLS, and nothing readable lies
on disk in between. Every claim is checked; the first that does not hold ends the demo with exit code 1."""
import argparse
import base64
import email.message
import email.policy
import json
import os
import re
import secrets
import shutil
import smtplib
import ssl
import sys
import time

import campaigns
import dkim
import harness

BOLD, GREEN, RED, DIM, PLAIN = ("\033[1m", "\033[32m", "\033[31m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
QUEUED = 200
FLOWING = 2000
checks = []

STREAM = """customers: [{sender: shop.example, customer: default, stream: news}]
streams: [{name: news, policy: enforce}]
"""
TRACK = """track: {host: t.shop.example, pixel: true, clicks: true, unsubscribe: https, consent: clicks, days: 30}"""


def step(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def note(text):
    print(f"  {text}", flush=True)


def check(claim, holds, detail=""):
    checks.append((claim, bool(holds)))
    print(f"  {GREEN + 'ok' if holds else RED + 'FAILED'}{PLAIN}  {claim}{DIM}{'  ' + detail if detail else ''}{PLAIN}", flush=True)
    if not holds:
        raise harness.Failure(f"does not hold: {claim} {detail}")


def make_message(sender, recipient, subject, text, attachment):
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m["From"], m["To"], m["Subject"] = sender, recipient, subject
    m["Date"] = "Sun, 22 Nov 2026 09:00:00 +0100"
    m["Message-ID"] = f"<{secrets.token_hex(8)}@shop.example>"
    m.set_content(text)
    m.add_alternative(f"<html><body><p>{text}</p></body></html>", subtype="html")
    m.add_attachment(attachment, maintype="application", subtype="pdf", filename="terms.pdf")
    return m.as_bytes(policy=email.policy.SMTP)


def without_trace(message):
    """The message with the trace headers taken out that mail servers add on the way; everything else byte for byte."""
    head, body = message.split(b"\r\n\r\n", 1)
    fields = re.split(rb"\r\n(?![ \t])", head)
    kept = [f for f in fields if not re.match(rb"(Received|X-Sealpost-Trace):", f, re.I)]
    return b"\r\n".join(kept) + b"\r\n\r\n" + body


def send(port, sender, recipient, data):
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as c:
        c.sendmail(sender, [recipient], data)


def in_all_forms(text):
    """What a search should look for: the text, and its base64 at the three alignments, without the uncertain ends."""
    raw = text.encode()
    forms = [raw, raw.upper()]
    for pad in range(3):
        b64 = base64.b64encode(b"\0" * pad + raw).decode()
        forms.append(b64[4 if pad else 0:-4].encode())
    return [f for f in forms if len(f) >= 8]


def share_bodies(folder):
    found = []
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as f:
            found.append(f.read().strip())
    return found


class Demo:
    def __init__(self, place):
        self.place = place
        self.running = []

    def start_all(self):
        step("1  Starting keyd, relay, milter, a real Postfix in front and a TLS receiver behind")
        self.sink = harness.Sink(os.path.join(self.place, "receiver"), keep=True).start()
        self.running.append(self.sink)
        note(f"receiver    127.0.0.1:{self.sink.port}, offers STARTTLS")
        s = self.s = harness.Sealpost(os.path.join(self.place, "sealpost"))
        self.running.append(s)
        for line in s.init_output.splitlines():
            if line.startswith(("Files", "Keys", "Customer", "Certificate")):
                note(f"{DIM}init: {line}{PLAIN}")
        self.submission = harness.free_port()
        s.configure([f'{{domain: "*", to: "127.0.0.1:{self.sink.port}", tls: encrypt}}'],
                    listen=f'[{{address: "127.0.0.1:{s.smtp_port}", mode: smarthost}}, '
                           f'{{address: "127.0.0.1:{self.submission}", mode: submission, auth: required}}]',
                    dkim="[{domain: signed.example}]")
        s.start("keyd", "relay", "milter")
        note(f"keyd        pid {s.keyd.pid}, uid {s.uid}, holds every key")
        note(f"relay       pid {s.relay.pid}, 127.0.0.1:{s.smtp_port} (smarthost), 127.0.0.1:{self.submission} (submission)")
        note(f"milter      pid {s.milter.pid}, 127.0.0.1:{s.milter_port}")
        self.postfix = harness.behind_sealpost(os.path.join(self.place, "postfix"), s).start()
        self.running.append(self.postfix)
        note(f"Postfix     127.0.0.1:{self.postfix.port}, relayhost = [127.0.0.1]:{s.smtp_port}, smtpd_milters = inet:127.0.0.1:{s.milter_port}")

    def one_message(self):
        step("2  One message with an HTML part and an attachment, from an application through Postfix")
        data = make_message("news@shop.example", "reader@mail.example", "Your order", "Thank you for your order.",
                            secrets.token_bytes(60000))
        send(self.postfix.port, "news@shop.example", "reader@mail.example", data)
        self.sink.wait_for(1, 30)
        message, envelope, tls = self.sink.kept()[-1]
        check("the message arrived byte for byte, apart from trace headers", without_trace(message) == data,
              f"{len(data)} bytes, {len(message) - len(data)} bytes of trace headers added")
        for line in envelope:
            note(f"{DIM}envelope: {line}{PLAIN}")
        trace = [f for f in re.split(rb"\r\n(?![ \t])", message.split(b"\r\n\r\n", 1)[0])
                 if re.match(rb"(Received|X-Sealpost-Trace):", f)]
        for field in trace:
            note(f"{DIM}{re.sub(chr(13) + chr(10) + '[ ' + chr(9) + ']+', ' ', field.decode())}{PLAIN}")
        return message, tls

    def hops(self, message, tls):
        step("3  How each hop was protected")
        m = re.search(r"(\w+) TLS connection established to 127\.0\.0\.1\S*: (.*)", self.postfix.log())
        check("Postfix verified relay's certificate; its key never left keyd", m and m[1] == "Verified")
        note(f"Postfix -> relay    {m[2]}")
        check("relay delivered over TLS", tls.startswith("TLSv1."))
        note(f"relay -> receiver   {tls}")
        ident = re.search(rb"\bid ([0-9a-z]{13})\b", message)[1].decode()
        r = self.s.cli("trace", ident)
        check("sealpost trace tells the whole way", r.returncode == 0 and "TLSv1." in r.stdout)
        for line in r.stdout.splitlines():
            note(f"{DIM}| {line}{PLAIN}")

    def nothing_readable(self):
        step("4  The receiver is down: mail waits, and nothing of it can be read on disk")
        self.sink.stop()
        word = secrets.token_hex(6)
        secret = {"subject": f"Subject-{word}-canary", "body": f"the quick brown body {word} canary",
                  "sender": f"sender-{word}@canary-from.example", "recipient": f"rcpt-{word}@canary-to.example",
                  "sender's domain": "canary-from.example", "recipient's domain": "canary-to.example"}
        data = make_message(secret["sender"], secret["recipient"], secret["subject"], secret["body"], b"%PDF " + secret["body"].encode() * 50)
        send(self.postfix.port, secret["sender"], secret["recipient"], data)
        harness.wait_for("Postfix to hand it over", lambda: not self.postfix.queued(), 30)
        queued = harness.wait_for("the queue to hold it", self.s.queue)
        r = self.s.cli("queue", "list")
        for line in r.stdout.splitlines():
            note(f"{DIM}| {line}{PLAIN}")
        check("it waits in Sealpost's queue", len(queued) == 1)
        files = list(self.s.files())
        control = os.path.join(self.place, "control")
        with open(control, "wb") as f:
            f.write(data)
        for what, text in secret.items():
            forms = in_all_forms(text)
            found = harness.find_bytes([control], forms)
            check(f"the search is able to find the {what}", found or "domain" in what)
            # The ledger, which may be written by now or not, tells by its format to which domain an attempt went.
            looked_at = [f for f in files if "/ledger/" not in f or what != "recipient's domain"]
            hits = harness.find_bytes(looked_at, forms)
            check(f"no byte pattern of the {what} in any of {len(looked_at)} files"
                  f"{'' if len(looked_at) == len(files) else ' but the ledger'}", not hits,
                  ", ".join(os.path.relpath(h[0], self.place) for h in hits))
        size = sum(os.path.getsize(f) for f in files)
        note(f"{DIM}searched {size / 1e6:.0f} MB: keys, spool, logs, sockets' directory{PLAIN}")

    def survives_kill(self):
        step(f"5  kill -9 of relay with {QUEUED + 1} messages queued, then the receiver comes back")
        out = harness.load(self.s.smtp_port, "--tls", "--messages", QUEUED, "--sessions", 10, "--run", "demo",
                           "--domain", "canary-to.example")
        check(f"{QUEUED} more messages were answered 250", out["acked"] == QUEUED)
        before = self.s.status()["relay"]["queue"]["recipients"]
        check(f"{before} recipients are queued", before == QUEUED + 1)
        self.s.relay.kill()
        note("relay killed (SIGKILL)")
        self.s.relay.start()
        self.s.wait_keyd()
        note("relay started again")
        self.sink.start()
        started = time.monotonic()
        self.s.cli("queue", "retry", "--all")
        report = self.sink.wait_for(QUEUED + 1, 60)
        check("everything arrived", report["distinct"] == QUEUED and report["unnumbered"] == 1,
              f"{report['messages']} messages in {time.monotonic() - started:.1f} s, {report['duplicates']} duplicates")
        check("every body is intact (SHA-256) and came over TLS", report["damaged"] == 0 and report["over_tls"] == report["messages"])
        self.s.wait_empty()
        check("the queue is empty", not self.s.queue())

    def keys_in_keyd(self):
        step("6  keyd as an HSM: every key-encryption key is replaced while mail flows, and three of five people open it")
        s = self.s
        before = s.status()["keyd"]
        more = harness.load(s.smtp_port, "--tls", "--messages", FLOWING, "--sessions", 10, "--run", "hsm", wait=False)
        s.cli("key", "rotate", "kek", "--wait", check=True)
        sent = json.loads(more.communicate(timeout=60)[0])
        table = s.cli("key", "schedule", "--all", check=True).stdout.split("KEKs", 1)[1]
        versions = re.findall(r"^ *\d+ +(\d+) ", table, re.M)
        check(f"all {before['keks']} key-encryption keys are of version 2", versions == ["2"] * before["keks"])
        check(f"{FLOWING} messages were accepted meanwhile, none refused", sent["acked"] == FLOWING)
        shares = os.path.join(self.place, "shares")
        os.mkdir(shares, 0o700)
        os.chown(shares, s.uid, s.uid)
        s.cli("key", "slot", "add", "shares", "--shares", "3/5", "--out", shares, check=True)
        for line in s.cli("key", "slot", "list", check=True).stdout.splitlines():
            note(f"{DIM}| {line}{PLAIN}")
        s.cli("key", "lock", check=True)
        check("locked: new mail gets 451, nothing is lost", self.answer_to_mail() == 451)
        for number in (5, 1, 4):
            r = s.cli("key", "unseal", "--shares", "--secret-file", os.path.join(shares, f"share-{number}"), check=True)
            note(f"{DIM}share {number}: {r.stdout.strip()}{PLAIN}")
        s.wait_keyd()
        check("three of five shares opened it again", self.answer_to_mail() == 250)
        s.wait_empty()
        verified = s.cli("key", "audit", "verify")
        check("the audit log is whole, and signed to its end", verified.returncode == 0 and "signed to the end" in verified.stdout,
              verified.stdout.splitlines()[0])
        found = harness.find_bytes([os.path.join(s.logs, n) for n in os.listdir(s.logs)], share_bodies(shares))
        check("no share stands in any log", not found)

    def answer_to_mail(self):
        with smtplib.SMTP("127.0.0.1", self.s.smtp_port, timeout=30) as c:
            c.ehlo("shop.example")
            return c.mail("news@shop.example")[0]

    def table(self, *command):
        out = self.s.cli(*command, check=True).stdout
        for line in out.splitlines():
            note(f"{DIM}| {line}{PLAIN}")
        return out

    def login(self, password):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the certificate was shown in step 3
        c = smtplib.SMTP("127.0.0.1", self.submission, timeout=30)
        c.starttls(context=context)
        try:
            c.login("shop", password)
            return c
        except smtplib.SMTPException as e:
            c.close()
            return getattr(e, "smtp_code", 0)

    def daily_work(self):
        step("7  Daily work: an application logs in, a destination is held, a recipient is suppressed")
        s = self.s
        out = s.cli("credential", "add", "inbound", "shop", "--generate", "--messages", "1,000/h", check=True).stdout
        password = re.search(r"Password: (\S+)", out)[1]
        check("a wrong password is refused", self.login(password[::-1]) == 535)
        client = harness.wait_for("the login", lambda: (lambda c: c if isinstance(c, smtplib.SMTP) else None)(self.login(password)))
        before = self.sink.report()["unnumbered"]
        self.table("queue", "hold", "--destination", "held.example")
        for who in ("first", "second", "third"):
            client.sendmail("news@shop.example", [f"{who}@held.example"], f"Subject: {who}\r\n\r\nhello\r\n")
        client.sendmail("news@shop.example", ["reader@mail.example"], "Subject: at once\r\n\r\nhello\r\n")
        harness.wait_for("the mail that is not held", lambda: self.sink.report()["unnumbered"] == before + 1)
        out = self.table("queue", "list", "--summary")
        check("what goes to held.example waits, other mail does not", "on hold" in out and len(s.queue()) == 3)
        self.table("queue", "release", "--destination", "held.example")
        s.wait_empty()
        check("released, it arrives", self.sink.report()["unnumbered"] == before + 4)
        s.cli("suppression", "add", "gone@mail.example", check=True)
        client.mail("news@shop.example")
        refused = client.rcpt("gone@mail.example")
        check("a suppressed recipient is refused before the message is sent", refused[0] == 550, refused[1].decode())
        client.rset()
        client.quit()
        found = harness.find_bytes(s.files(), [password.encode()])
        check("the password stands in no file and no log", not found)

    def proven(self):
        step("8  Mail is signed by keys that stay in keyd, and every attempt is a row that nobody can change unseen")
        s = self.s
        s.cli("dkim", "add", "signed.example", check=True)
        records = {}
        for line in self.table("dkim", "dns", "signed.example").splitlines():
            m = re.match(r"(\S+?)\.?\s.*\bTXT\s+(.*)", line)
            if m and not line.startswith(";"):
                records[m[1]] = "".join(re.findall(r'"([^"]*)"', m[2]))
        before = self.sink.report()["unnumbered"]
        send(s.smtp_port, "news@signed.example", "reader@mail.example",
             make_message("news@signed.example", "reader@mail.example", "Signed", "Nobody touched this.", b"attached"))
        harness.wait_for("the signed message", lambda: self.sink.report()["unnumbered"] == before + 1)
        message = next(m for m, _, _ in reversed(self.sink.kept()) if b"d=signed.example" in m)
        judge = dkim.DKIM(message)
        count = message.split(b"\r\n\r\n", 1)[0].count(b"DKIM-Signature:")
        good = [judge.verify(idx=i, dnsfunc=lambda name, timeout=5: records.get(name.decode().rstrip("."), "").encode())
                for i in range(count)]
        check("dkimpy verifies both signatures, RSA and Ed25519, by these records", good == [True, True])
        self.table("deliveries", "--limit", "4")
        self.table("tls", "stats")
        out = s.cli("ledger", "verify", check=True).stdout
        check("the ledger is whole", "whole" in out, out.splitlines()[-1])
        files = s.path("relay", "ledger")
        found = harness.find_bytes([os.path.join(files, n) for n in os.listdir(files)], in_all_forms("reader@mail.example"))
        check("no address stands in its files", not found)
        copy = os.path.join(self.place, "ledger")
        shutil.copytree(files, copy)
        for path in [copy] + [os.path.join(copy, n) for n in os.listdir(copy)]:
            os.chown(path, s.uid, s.uid)
        s.cli("ledger", "verify", "--from", copy, check=True)
        one = max((os.path.join(copy, n) for n in os.listdir(copy)), key=os.path.getsize)
        with open(one, "r+b") as f:
            f.seek(os.path.getsize(one) // 2)
            octet = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([octet[0] ^ 1]))
        r = s.cli("ledger", "verify", "--from", copy)
        said = " ".join((r.stdout + r.stderr).split())
        check("one bit changed in a copy of it is found, and its place named", r.returncode == 1 and "row" in said, said[:160])

    def only_what_was_approved(self):
        step("9  A campaign: one writes it, another approves it, and a message that differs by a word is refused")
        s, rcpt = self.s, "reader@mail.example"
        s.milter.stop()
        s.write("milter.yaml", s.read("milter.yaml") + STREAM)
        s.milter.start()
        key = campaigns.enroll(s, "bert", domains=())
        path = campaigns.source(os.path.join(self.place, "campaign"), s.uid, [("example.yaml", "track: null", TRACK)])
        r = s.cli("campaign", "add", path, "--author", "erika")
        check("links to a domain that nobody has shown to be the customer's are refused", r.returncode and "host-not-owned" in r.stdout)
        s.cli("domain", "trust", "--reason", "there is no DNS in this demonstration", "shop.example", check=True)
        self.table("domain", "list")
        s.cli("campaign", "add", path, "--author", "erika", check=True)
        out = s.cli("campaign", "approve", "example", "--approver", "bert", "--key", key, "--yes", check=True).stdout
        for line in out.splitlines()[:14]:
            note(f"{DIM}{line}{PLAIN}")
        s.cli("campaign", "activate", "example", check=True)
        harness.wait_for("milter to know it", lambda: s.milter.events("campaign-loaded"))
        self.table("campaign", "list")
        before = len(self.sink.kept())
        sent = campaigns.message(rcpt, message_id="<1@shop.example>", campaign=campaigns.header(s, rcpt))
        send(self.postfix.port, "news@shop.example", rcpt, sent)
        harness.wait_for("the campaign's message", lambda: len(self.sink.kept()) > before)
        message = self.sink.kept()[-1][0]
        link = re.search(rb"https://t\.shop\.example/c/[A-Za-z0-9_-]{44,}", message)
        check("the true message arrives, its links carry sealed tokens", link and b"/voucher?code=" not in
              message.split(b"text/html", 1)[1], link[0].decode() if link else "")
        check("its campaign header stays here", b"X-DoPosta" not in message)
        other = campaigns.message(rcpt, message_id="<2@shop.example>", replace=[("shop is open", "shop is shut")],
                                  campaign=campaigns.header(s, rcpt, message_id="<2@shop.example>"))
        refused = None
        try:
            send(self.postfix.port, "news@shop.example", rcpt, other)
        except smtplib.SMTPDataError as e:
            refused = e
        said = refused.smtp_error.decode() if refused else ""
        check("one word changed: refused, and the sender hears a report id alone", refused and refused.smtp_code == 550,
              f"{refused.smtp_code} {said}" if refused else "it was taken")
        report = re.search(r"report (\S+)", said)
        harness.wait_for("the report", lambda: s.cli("campaign", "report", report[1]).returncode == 0)
        check("the report says where", "literal" in self.table("campaign", "report", report[1]))

    def stay(self):
        s = self.s
        step("Everything goes on running. Try:")
        print(f"""
  sealpost --prefix {s.prefix} status
  sealpost --prefix {s.prefix} queue list --summary
  sealpost --prefix {s.prefix} shaping list
  swaks --server 127.0.0.1:{self.postfix.port} --from you@shop.example --to reader@mail.example

  what the receiver got:  {self.sink.keep_dir}
  logs:                   {s.logs}
  (sealpost itself is {harness.program('sealpost')})

Ctrl-C ends it.""", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print()

    def end(self):
        for thing in reversed(self.running):
            try:
                thing.stop()
            except harness.Failure as e:
                print(e)


def main():
    p = argparse.ArgumentParser(prog="run-demo")
    p.add_argument("--stay", action="store_true", help="leave everything running and say how to use it")
    args = p.parse_args()
    place = harness.scratch("demo")
    demo = Demo(place)
    started = time.monotonic()
    good = False
    try:
        demo.start_all()
        demo.hops(*demo.one_message())
        demo.nothing_readable()
        demo.survives_kill()
        demo.keys_in_keyd()
        demo.daily_work()
        demo.proven()
        demo.only_what_was_approved()
        good = True
        if args.stay:
            demo.stay()
    except (harness.Failure, OSError, smtplib.SMTPException) as e:
        print(f"\n{RED}{e}{PLAIN}")
    finally:
        demo.end()
        if good:
            shutil.rmtree(place, ignore_errors=True)
        else:
            print(f"logs are kept in {place}")
    held = sum(1 for _, ok in checks if ok)
    print(f"\n{BOLD}{'The demo holds' if good else 'The demo FAILED'}{PLAIN}: {held} of {len(checks)} checks, "
          f"{time.monotonic() - started:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
