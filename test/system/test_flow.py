# SPDX-License-Identifier: Apache-2.0
"""Mail through real Postfix, milter, relay and out over TLS."""
import json
import os
import re
import secrets
import smtplib
import ssl

import demo
import harness
import pytest
from conftest import needs_postfix


def through(port, data, sender="news@shop.example", recipients=("reader@mail.example",), **options):
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as c:
        c.ehlo("client.example")
        return c.sendmail(sender, list(recipients), data, **options)


@pytest.fixture
def to_sink(sealpost, sink):
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    return sealpost


@needs_postfix
def test_a_message_through_postfix_arrives_byte_for_byte_over_tls(to_sink, sink, place, parts):
    to_sink.start("keyd", "relay", "milter")
    postfix = harness.behind_sealpost(os.path.join(place, "postfix"), to_sink).start()
    parts.append(postfix)
    data = demo.make_message("news@shop.example", "reader@mail.example", "Grüße", "A text with ümlauts.", secrets.token_bytes(100000))
    through(postfix.port, data)
    sink.wait_for(1)
    message, envelope, tls = sink.kept()[0]
    assert demo.without_trace(message) == data
    assert tls.startswith("TLSv1.3")
    assert envelope[0].startswith("MAIL FROM:<news@shop.example>")
    assert envelope[1].startswith("RCPT TO:<reader@mail.example>")
    assert "Verified TLS connection established" in postfix.log()
    assert re.search(rb"^X-Sealpost-Trace: v=1; customer=default; id=[0-9a-z]{13}\r$", message, re.M)
    assert to_sink.relay.events("accepted") and to_sink.relay.events("delivered")


def test_bytes_are_kept_whatever_they_are(to_sink, sink):
    to_sink.start()
    bodies = [b"", b".\r\n..\r\n...\r\n", b"x" * 998 + b"\r\n", bytes(range(128, 256)) + b"\r\n", b"\t \r\n" * 3,
              b"no line end at the end", b"a\r\n" * 6000, b"z" * 16384]
    sent = []
    for i, body in enumerate(bodies):
        if len(body) > 998 and b"\r\n" not in body:
            body = b"\r\n".join(body[k:k + 900] for k in range(0, len(body), 900))
        data = b"Subject: %d\r\n\r\n" % i + body
        sent.append(data if data.endswith(b"\r\n") else data + b"\r\n")
        with smtplib.SMTP("127.0.0.1", to_sink.smtp_port) as c:
            c.ehlo("a.example")
            c.mail("a@a.example", ["BODY=8BITMIME"])
            c.rcpt("b@b.example")
            c.docmd("DATA")
            c.send(re.sub(rb"(?m)^\.", b"..", sent[-1]) + b".\r\n")
            assert c.getreply()[0] == 250
    sink.wait_for(len(bodies))
    got = {demo.without_trace(m) for m, _, _ in sink.kept()}
    assert got == set(sent)


def test_a_large_message_streams_and_arrives_whole(to_sink, sink):
    to_sink.start()
    line = secrets.token_hex(400).encode() + b"\r\n"
    data = b"Subject: large\r\n\r\n" + line * 50000  # 40 MB
    before = rss(to_sink.relay.pid)
    through(to_sink.smtp_port, data)
    sink.wait_for(1, 120)
    assert demo.without_trace(sink.kept()[0][0]) == data
    assert peak_rss(to_sink.relay.pid) - before < 24 << 20


def rss(pid):
    return status_kib(pid, "VmRSS") << 10


def peak_rss(pid):
    return status_kib(pid, "VmHWM") << 10


def status_kib(pid, name):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(rf"{name}:\s+(\d+)", f.read())[1])


def test_several_recipients_travel_in_one_transaction(to_sink, sink):
    to_sink.start()
    through(to_sink.smtp_port, b"Subject: x\r\n\r\nx\r\n", recipients=[f"r{i}@mail.example" for i in range(20)])
    sink.wait_for(1)
    to_sink.wait_empty()
    (message, envelope, _), = sink.kept()
    assert len([line for line in envelope if line.startswith("RCPT")]) == 20
    assert to_sink.status()["relay"]["counters"]["deliveries"] == 20


def test_trace_shows_the_whole_way(to_sink, sink):
    to_sink.start()
    through(to_sink.smtp_port, b"Subject: x\r\n\r\nx\r\n")
    sink.wait_for(1)
    to_sink.wait_empty()
    ident = to_sink.relay.events("delivered")[0][1]
    r = to_sink.cli("trace", ident, check=True)
    assert "TLSv1.3" in r.stdout and "delivered" in r.stdout
    j = json.loads(to_sink.cli("trace", "--json", ident, check=True).stdout)
    assert j["id"] == ident and len(j["events"]) >= 2
    to_sink.relay.stop()
    to_sink.start("relay")
    assert "delivered" in to_sink.cli("trace", ident, check=True).stdout  # also after a restart
    assert to_sink.cli("trace", "0000000000001").returncode == 1


def test_a_deferred_message_is_retried_and_shown_meanwhile(to_sink, sink):
    sink.stop()
    to_sink.start()
    through(to_sink.smtp_port, b"Subject: x\r\n\r\nx\r\n", sender="who@from.example", recipients=["to@rcpt.example"])
    item = harness.wait_for("a first attempt", lambda: [q for q in to_sink.queue() if q["attempts"]])[0]
    assert item["reason"] == "cannot connect" and item["destination"] == "rcpt.example"
    shown = to_sink.cli("queue", "show", item["id"], check=True).stdout
    assert "who@from.example" in shown and "to@rcpt.example" in shown
    sink.start()
    sink.wait_for(1)
    to_sink.wait_empty()


def test_delete_takes_a_message_out_for_good(to_sink, sink):
    sink.stop()
    to_sink.start()
    through(to_sink.smtp_port, b"Subject: gone\r\n\r\nx\r\n")
    item = harness.wait_for("it to be queued", to_sink.queue)[0]
    assert "1 recipient deleted" in to_sink.cli("queue", "delete", item["id"], check=True).stdout
    assert to_sink.queue() == []
    assert to_sink.cli("queue", "show", item["id"]).returncode == 1
    to_sink.relay.stop()
    to_sink.start("relay")
    assert to_sink.queue() == []


def test_a_refused_recipient_is_reported_to_the_sender(to_sink, sink, place, parts):
    """The receiver refuses the recipient; a DSN goes to the sender by the same route (another receiver)."""
    refusing = Refuser()
    parts.append(refusing)
    to_sink.configure([f'{{domain: "bad.example", to: "127.0.0.1:{refusing.port}", tls: opportunistic}}',
                       f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    to_sink.start()
    through(to_sink.smtp_port, b"Subject: original subject\r\n\r\nsecret body\r\n", sender="me@from.example", recipients=["nobody@bad.example"])
    sink.wait_for(1)
    message, envelope, _ = sink.kept()[0]
    assert envelope[0].startswith("MAIL FROM:<>")
    assert envelope[1].startswith("RCPT TO:<me@from.example>")
    assert b"multipart/report" in message and b"report-type=delivery-status" in message.replace(b'"', b"")
    assert b"Final-Recipient: rfc822; nobody@bad.example" in message.replace(b";nobody", b"; nobody")
    assert b"Action: failed" in message and b"Status: 5.1.1" in message
    assert b"Subject: original subject" in message and b"secret body" not in message
    assert to_sink.relay.events("bounced")
    # a report that cannot be delivered makes no report
    through(to_sink.smtp_port, b"Subject: x\r\n\r\nx\r\n", sender="", recipients=["nobody@bad.example"])
    harness.wait_for("the second refusal", lambda: len(to_sink.relay.events("bounced")) >= 2)
    to_sink.wait_empty()
    assert sink.report()["messages"] == 1


class Refuser:
    """A receiver without TLS that knows nobody."""

    def __init__(self):
        import socketserver
        import threading

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"220 refuser\r\n")
                for line in self.rfile:
                    verb = line[:4].upper()
                    if verb == b"EHLO":
                        self.wfile.write(b"250-refuser\r\n250 ENHANCEDSTATUSCODES\r\n")
                    elif verb == b"RCPT":
                        self.wfile.write(b"550 5.1.1 no such user here\r\n")
                    elif verb == b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    else:
                        self.wfile.write(b"250 fine\r\n")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_encrypt_never_falls_back_to_clear_text(to_sink, place, parts):
    clear = harness.Sink(os.path.join(place, "clear"), tls=False, name="clear").start()
    parts.append(clear)
    to_sink.configure([f'{{domain: "*", to: "127.0.0.1:{clear.port}", tls: encrypt}}'])
    to_sink.start()
    through(to_sink.smtp_port, b"Subject: x\r\n\r\nx\r\n")
    item = harness.wait_for("an attempt", lambda: [q for q in to_sink.queue() if q["attempts"]])[0]
    assert item["reason"] == "TLS not good enough for the route"
    assert clear.report()["messages"] == 0
    to_sink.configure([f'{{domain: "*", to: "127.0.0.1:{clear.port}", tls: opportunistic}}'])
    import signal
    to_sink.relay.signal(signal.SIGHUP)
    harness.wait_for("the reload", lambda: to_sink.relay.events("reloaded"))
    clear.wait_for(1)
    assert to_sink.relay.events("delivered")[-1][3]["tls"] == "none"


def test_verify_wants_a_certificate_that_holds(to_sink, sink, place, parts):
    named = f'{{domain: "*", to: "localhost:{sink.port}", tls: verify}}'
    cert, key = harness.self_signed(place, "localhost")
    good = harness.Sink(os.path.join(place, "good"), tls=False, name="good")
    good.process.argv += ["--tls", cert, key]
    good.start()
    parts.append(good)
    to_sink.configure([named], outbound=f"{{ca: {cert}}}")
    to_sink.start()
    through(to_sink.smtp_port, b"Subject: x\r\n\r\nx\r\n")
    item = harness.wait_for("an attempt", lambda: [q for q in to_sink.queue() if q["attempts"]])[0]
    assert item["reason"] == "TLS not good enough for the route"
    assert sink.report()["messages"] == 0
    to_sink.configure([named.replace(str(sink.port), str(good.port))], outbound=f"{{ca: {cert}}}")
    to_sink.relay.stop()
    to_sink.start("relay")
    good.wait_for(1)
    assert to_sink.relay.events("delivered")[-1][3]["verified"] == "yes"


def test_submissions_speaks_tls_from_the_first_byte_and_submission_demands_it(to_sink, sink):
    ports = [harness.free_port() for _ in range(2)]
    to_sink.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'],
                      listen=f'[{{address: "127.0.0.1:{to_sink.smtp_port}", mode: smarthost}}, '
                             f'{{address: "127.0.0.1:{ports[0]}", mode: submission}}, '
                             f'{{address: "127.0.0.1:{ports[1]}", mode: submissions}}]')
    to_sink.start()
    context = ssl.create_default_context(cafile=to_sink.path("relay.pem"))
    context.check_hostname = False
    with smtplib.SMTP("127.0.0.1", ports[0]) as c:
        c.ehlo("a.example")
        assert c.mail("a@a.example")[0] == 530
        c.starttls(context=context)
        c.sendmail("a@a.example", ["b@b.example"], b"Subject: x\r\n\r\nx\r\n")
    with smtplib.SMTP_SSL("127.0.0.1", ports[1], context=context) as c:
        c.sendmail("a@a.example", ["b@b.example"], b"Subject: x\r\n\r\nx\r\n")
    sink.wait_for(2)
