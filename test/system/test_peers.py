# SPDX-License-Identifier: Apache-2.0
"""Other people's mail programs on both sides of relay: what they send arrives, what they take is what was sent."""
import os
import secrets
import shutil
import smtplib

import demo
import harness
import peers
import pytest
import senders
from receiver import CUT, Receiver

LINES = [b"a line", b".", b"..", b".dots.", b"", b"x" * 998, b"." + b"y" * 997, b"\ttab and space at the end \t", b"--", b"From here"]
EIGHT = "Grüße — ünïcödé ✓".encode()


def message(sender, recipient, body):
    return (f"From: <{sender}>\r\nTo: <{recipient}>\r\nSubject: peers {secrets.token_hex(4)}\r\n"
            f"Message-ID: <{secrets.token_hex(8)}@client.example.test>\r\nDate: Sun, 22 Nov 2026 06:00:00 +0000\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            ).encode() + b"\r\n".join(body) + b"\r\n"


def hand_in(port, data, sender="sender@client.example", recipients=("reader@mail.example",), options=("BODY=8BITMIME",)):
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as c:
        c.ehlo("client.example.test")
        return c.sendmail(sender, list(recipients), data, options)


# --- senders

@pytest.fixture(scope="module")
def served():
    """One set for all senders: smarthost without, submission and submissions with TLS."""
    place, parts = harness.scratch("senders"), []
    sink = harness.Sink(os.path.join(place, "sink"), keep=True).start()
    parts.append(sink)
    s = harness.Sealpost(os.path.join(place, "sealpost"))
    parts.append(s)
    ports = {"none": s.smtp_port, "starttls": harness.free_port(), "implicit": harness.free_port()}
    ports.update(starttls_login=harness.free_port(), implicit_login=harness.free_port())
    s.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'],
                listen=f'[{{address: "127.0.0.1:{ports["none"]}", mode: smarthost}}, '
                       f'{{address: "127.0.0.1:{ports["starttls"]}", mode: submission, auth: optional}}, '
                       f'{{address: "127.0.0.1:{ports["implicit"]}", mode: submissions, auth: optional}}, '
                       f'{{address: "127.0.0.1:{ports["starttls_login"]}", mode: submission, auth: required}}, '
                       f'{{address: "127.0.0.1:{ports["implicit_login"]}", mode: submissions, auth: required}}]',
                limits='{free_space: 1M, auth_failures: "1000/1m"}')
    s.start()
    s.logins = {"shop": secrets.token_urlsafe(12) + " \\\"%", "laden": secrets.token_urlsafe(12) + " ü✓"}
    for user, password in s.logins.items():
        with open(s.path("password"), "w") as f:
            f.write(password + "\n")
        os.chown(s.path("password"), s.uid, s.uid)
        os.chmod(s.path("password"), 0o600)
        s.cli("credential", "add", "inbound", user, "--password-file", s.path("password"), check=True)
    s.ports, s.sink = ports, sink
    yield s
    for part in reversed(parts):
        getattr(part, "kill", part.stop)()
    shutil.rmtree(place, ignore_errors=True)


def arrived(s, data):
    """The message as it came, its envelope; found by its subject."""
    subject = data.split(b"Subject: ")[1].split(b"\r\n")[0]

    def there():
        return [(m, e) for m, e, _ in s.sink.kept() if b"Subject: " + subject + b"\r\n" in m]
    return harness.wait_for(f"{subject} at the receiver", there)[0]


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
@pytest.mark.parametrize("name", senders.SENDERS)
def test_what_a_client_sends_arrives_byte_for_byte(served, name, tls):
    if not senders.available(name):
        pytest.skip(f"{name} is not installed")
    w = senders.Where(served.ports[tls], served.path("relay.pem"), tls=tls)
    data = message("sender@client.example", "reader@mail.example", [*LINES, EIGHT])
    fine, said = senders.SENDERS[name](w, "sender@client.example", ["reader@mail.example", "other@mail.example"], data)
    assert fine, said
    got, envelope = arrived(served, data)
    assert demo.without_trace(got) == data
    assert envelope[0].startswith("MAIL FROM:<sender@client.example>")
    assert [line.split(" ")[1] for line in envelope[1:]] == ["TO:<reader@mail.example>", "TO:<other@mail.example>"]


@pytest.mark.parametrize("login", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("name", senders.SENDERS)
def test_a_client_that_logs_in_may_send_and_one_that_does_not_may_not(served, name, tls, login):
    if not senders.available(name):
        pytest.skip(f"{name} is not installed")
    send, to = senders.SENDERS[name], ["reader@mail.example"]
    w = senders.Where(served.ports[tls + "_login"], served.path("relay.pem"), tls=tls)
    data = message("sender@client.example", "reader@mail.example", LINES)
    fine, _ = send(w, "sender@client.example", to, data)
    assert not fine
    w.user, w.login = "shop" if name == "smtplib" else "laden", login  # smtplib knows ASCII only
    w.password = served.logins[w.user] + "?"
    fine, said = send(w, "sender@client.example", to, data)
    assert not fine and w.password not in served.relay.log_text()
    w.password = served.logins[w.user]
    fine, said = send(w, "sender@client.example", to, data)
    assert fine, said
    got, _ = arrived(served, data)
    assert demo.without_trace(got) == data


@pytest.mark.parametrize("name", senders.SENDERS)
def test_a_client_sends_to_an_international_address(served, name):
    if not senders.available(name):
        pytest.skip(f"{name} is not installed")
    w = senders.Where(served.ports["starttls"], served.path("relay.pem"), tls="starttls")
    data = message("sender@client.example", "reader@mail.example", [b"to the umlaut"])
    fine, said = senders.SENDERS[name](w, "sender@client.example", ["jürgen@mail.example"], data)
    if name in ("msmtp", "swaks"):  # they do not know SMTPUTF8, and hear so
        assert not fine and "553 5.6.7" in said
        return
    assert fine, said
    got, envelope = arrived(served, data)
    assert demo.without_trace(got) == data
    assert "SMTPUTF8" in envelope[0] and envelope[1].startswith("RCPT TO:<jürgen@mail.example>")


@pytest.mark.parametrize("name", senders.SENDERS)
def test_a_client_hears_that_a_certificate_does_not_match(served, name, place):
    """The other way round: the clients above do verify."""
    if not senders.available(name):
        pytest.skip(f"{name} is not installed")
    other, _ = harness.self_signed(place, "other.example.test")
    w = senders.Where(served.ports["starttls"], other, tls="starttls")
    data = message("sender@client.example", "reader@mail.example", [b"never"])
    fine, _ = senders.SENDERS[name](w, "sender@client.example", ["reader@mail.example"], data)
    assert not fine


def sending_postfix(directory, port):
    return harness.Postfix(directory, relayhost=f"[127.0.0.1]:{port}", smtp_tls_security_level="encrypt")


SENDING = {"postfix": sending_postfix,
           "exim": lambda directory, port: peers.Exim(directory, route=f"127.0.0.1:{port}", next_tls="encrypt"),
           "opensmtpd": lambda directory, port: peers.OpenSMTPD(directory, route=f"127.0.0.1:{port}", tls=False)}


@pytest.mark.parametrize("name", SENDING)
def test_what_another_mta_relays_to_us_arrives_byte_for_byte(served, name, place, parts):
    if not MTAS[name].available():
        pytest.skip(f"needs root and {name}")
    mta = SENDING[name](os.path.join(place, name), served.smtp_port)
    parts.append(mta)
    mta.start()
    data = message("sender@client.example", "reader@mail.example", [*LINES, EIGHT])
    hand_in(mta.port, data, recipients=["reader@mail.example", "other@mail.example"])
    got, envelope = arrived(served, data)
    assert got.endswith(data)
    assert envelope[0].startswith("MAIL FROM:<sender@client.example>")
    assert served.relay.events("accepted")[-1][3]["tls"] != "no"  # all of them take the STARTTLS that is offered


# --- receivers

class PostfixPeer(harness.Postfix):
    """Postfix that keeps what it gets, in a mailbox each."""

    def __init__(self, directory, tls=True):
        os.makedirs(directory, exist_ok=True)
        self.hostname = "postfix.example.test"
        self.cert, self.key = harness.self_signed(directory, self.hostname)
        self.mail = os.path.join(directory, "mail")
        os.makedirs(self.mail)
        os.chown(self.mail, harness.UID, harness.UID)
        settings = {"virtual_mailbox_domains": "static:any", "virtual_mailbox_base": self.mail,
                    "virtual_mailbox_maps": "static:all/", "virtual_minimum_uid": "1000",
                    "virtual_uid_maps": f"static:{harness.UID}", "virtual_gid_maps": f"static:{harness.UID}",
                    "virtual_mailbox_limit": "0", "message_size_limit": "0"}
        if tls:
            settings.update(smtpd_tls_security_level="may", smtpd_tls_cert_file=self.cert, smtpd_tls_key_file=self.key,
                            smtpd_tls_loglevel="1")
        super().__init__(directory, **settings)

    def kept(self):
        found, new = [], os.path.join(self.mail, "all", "new")
        for name in sorted(os.listdir(new)) if os.path.isdir(new) else []:
            with open(os.path.join(new, name), "rb") as f:
                found.append(f.read())
        return found

    @property
    def etc(self):
        return self.conf


MTAS = {"postfix": PostfixPeer, "exim": peers.Exim, "opensmtpd": peers.OpenSMTPD}


def make(name, place, parts, **more):
    if not MTAS[name].available():
        pytest.skip(f"needs root and {name}")
    peer = MTAS[name](os.path.join(place, name), **more)
    parts.append(peer)
    return peer.start()


def route(port, tls, host="127.0.0.1"):
    return f'{{domain: "*", to: "{host}:{port}", tls: {tls}}}'


def same(kept, data):
    """What a mailbox holds: LF line ends, trace fields in front, perhaps an empty line behind."""
    want = data.replace(b"\r\n", b"\n")
    return kept.endswith(want) or kept.endswith(want + b"\n")


def is_sent_whole(s, peer, tls_of_log):
    """Sends what is hard to carry; it must come as it was."""
    sent = [message("sender@client.example", "reader@mail.example", body)
            for body in (LINES, [EIGHT] * 3, [b"z" * 900] * 2000, [b""], [b"." * n for n in range(1, 20)])]
    for data in sent:
        hand_in(s.smtp_port, data)
    kept = harness.wait_for("all to be kept", lambda: (lambda k: k if len(k) >= len(sent) else None)(peer.kept()), 40)
    s.wait_empty()
    for data in sent:
        assert [k for k in kept if same(k, data)], data[:300]
    delivered = s.relay.events("delivered")
    assert len(delivered) == len(sent)
    assert {facts["tls"] for _, _, _, facts in delivered} == {tls_of_log}
    return delivered


@pytest.mark.parametrize("name", MTAS)
def test_a_receiver_without_tls_gets_the_same_bytes_in_clear(sealpost, place, parts, name):
    peer = make(name, place, parts, tls=False)
    sealpost.configure([route(peer.port, "opportunistic")])
    sealpost.start()
    is_sent_whole(sealpost, peer, "none")


@pytest.mark.parametrize("name", ["postfix", "exim"])
def test_a_receiver_with_tls_gets_the_same_bytes_over_a_verified_connection(sealpost, place, parts, name):
    peer = make(name, place, parts)
    sealpost.configure([route(peer.port, "verify")], outbound=f"{{ca: {peer.cert}}}")
    sealpost.start()
    delivered = is_sent_whole(sealpost, peer, "TLSv1.3")
    assert {facts["verified"] for _, _, _, facts in delivered} == {"yes"}


def broken(name, place, parts):
    """(port, messages taken) of a server that offers STARTTLS and cannot do it."""
    if name == "opensmtpd":
        peer = make("opensmtpd", place, parts)
        return peer.port, lambda: len(peer.kept())
    r = Receiver(tls=harness.self_signed(place, "broken.example.test"), keep=True)
    parts.append(r)
    if name == "refuses":
        r.rules["star"] = lambda s, line: b"454 4.7.0 TLS not available"
    elif name == "hangs up":
        r.rules["handshake"] = lambda s: CUT
    else:
        r.rules["handshake"] = lambda s: b"this is not TLS"
    return r.port, lambda: len(r.kept)


BROKEN = {"opensmtpd": "broken", "refuses": "refused", "hangs up": "broken", "garbage": "broken"}  # what delivered says


@pytest.mark.parametrize("name", BROKEN)
def test_tls_offered_but_broken_opportunistic_goes_on_in_clear_and_says_why(sealpost, place, parts, name):
    port, taken = broken(name, place, parts)
    sealpost.configure([route(port, "opportunistic")])
    sealpost.start()
    hand_in(sealpost.smtp_port, message("sender@client.example", "reader@mail.example", LINES))
    harness.wait_for("the message to be taken", taken, 30)
    sealpost.wait_empty()
    delivered = sealpost.relay.events("delivered")[-1][3]
    assert delivered["tls"] == "none"
    assert delivered["clear"] == BROKEN[name]


@pytest.mark.parametrize("level", ["encrypt", "verify"])
@pytest.mark.parametrize("name", BROKEN)
def test_tls_offered_but_broken_waits_where_tls_is_demanded(sealpost, place, parts, name, level):
    port, taken = broken(name, place, parts)
    sealpost.configure([route(port, level)])
    sealpost.start()
    hand_in(sealpost.smtp_port, message("sender@client.example", "reader@mail.example", LINES))
    item = harness.wait_for("two attempts", lambda: [q for q in sealpost.queue() if q["attempts"] >= 2], 30)[0]
    assert "TLS" in item["reason"], item
    assert taken() == 0


def test_words_in_clear_behind_the_answer_to_starttls_are_not_believed(sealpost, place, parts):
    """What an attacker on the way would put there. Nothing of the mail goes over that connection."""
    r = Receiver(tls=harness.self_signed(place, "broken.example.test"))
    parts.append(r)
    r.rules["star"] = lambda s, line: b"220 go on\r\n250 receiver.example.test"
    sealpost.configure([route(r.port, "opportunistic")])
    sealpost.start()
    hand_in(sealpost.smtp_port, message("sender@client.example", "reader@mail.example", LINES))
    harness.wait_for("two attempts", lambda: [q for q in sealpost.queue() if q["attempts"] >= 2], 30)
    assert sealpost.relay.events("starttls-injection")
    assert r.count("mail") == 0


@pytest.mark.parametrize("name", ["postfix", "exim"])
def test_an_international_address_arrives_where_it_is_understood(sealpost, place, parts, name):
    peer = make(name, place, parts)
    sealpost.configure([route(peer.port, "encrypt")])
    sealpost.start()
    data = message("sender@client.example", "reader@mail.example", [EIGHT])
    hand_in(sealpost.smtp_port, data, recipients=["jürgen@mail.example"], options=["SMTPUTF8", "BODY=8BITMIME"])
    kept, = harness.wait_for("it to be kept", peer.kept, 30)
    assert same(kept, data)
    harness.wait_for("the peer's log to name him", lambda: "jürgen@mail.example" in peer.log())


def test_an_international_address_bounces_where_it_is_not(sealpost, place, parts, sink):
    peer = make("opensmtpd", place, parts, tls=False)
    sealpost.configure([f'{{domain: "mail.example", to: "127.0.0.1:{peer.port}", tls: opportunistic}}', route(sink.port, "encrypt")])
    sealpost.start()
    data = message("sender@client.example", "reader@mail.example", [b"x"])
    hand_in(sealpost.smtp_port, data, recipients=["jürgen@mail.example"], options=["SMTPUTF8", "BODY=8BITMIME"])
    sink.wait_for(1)
    report, envelope, _ = sink.kept()[0]
    assert envelope[1].startswith("RCPT TO:<sender@client.example>")
    assert b"Status: 5.6.7" in report
    assert peer.kept() == []


# --- logging in at the next hop

EXIM_LOGIN = """
begin acl
check:
  accept authenticated = *
  deny message = log in first
begin authenticators
{name}:
  driver = plaintext
  public_name = {name}
  server_set_id = $auth{user}
  server_prompts = {prompts}
  server_condition = ${{if and {{{{eq{{$auth{user}}}{{relay}}}}{{eq{{$auth{secret}}}{{s3cret word}}}}}}}}
  server_advertise_condition = ${{if def:tls_in_cipher}}
"""


@pytest.mark.parametrize("login", ["PLAIN", "LOGIN"])
def test_relay_logs_in_where_the_next_hop_demands_it(sealpost, place, parts, login):
    if not peers.Exim.available():
        pytest.skip("needs root and exim")
    peer = peers.Exim(os.path.join(place, "exim"))
    parts.append(peer)
    plain = login == "PLAIN"
    path = peer.path("var/lib/exim4/config.autogenerated")
    with open(path) as f:
        text = f.read().replace("acl_smtp_rcpt = accept", "acl_smtp_rcpt = check")
    with open(path, "w") as f:
        f.write(text + EXIM_LOGIN.format(name=login, user=2 if plain else 1, secret=3 if plain else 2,
                                         prompts=":" if plain else "<| Username: | Password:"))
    peer.start()
    s = sealpost
    routes = [f'{{domain: "*", to: "127.0.0.1:{peer.port}", tls: verify, credential: provider}}']
    s.configure(routes, outbound=f"{{ca: {peer.cert}}}")
    s.start()
    with open(s.path("password"), "w") as f:
        f.write("not this\n")
    os.chown(s.path("password"), s.uid, s.uid)
    os.chmod(s.path("password"), 0o600)
    s.cli("credential", "add", "upstream", "provider", "--login", "relay", "--password-file", s.path("password"), check=True)
    data = message("sender@client.example", "reader@mail.example", LINES)
    hand_in(s.smtp_port, data)
    item = harness.wait_for("a login that fails", lambda: [q for q in s.queue() if q["attempts"]], 30)[0]
    assert item["reason"] == "login at the next hop failed" and peer.kept() == []
    with open(s.path("password"), "w") as f:
        f.write("s3cret word\n")
    s.cli("credential", "password", "upstream", "provider", "--password-file", s.path("password"), check=True)
    os.unlink(s.path("password"))
    s.cli("queue", "retry", "--all", check=True)
    kept, = harness.wait_for("it to be kept", peer.kept, 30)
    assert same(kept, data)
    assert f"A={login}:relay" in peer.log()
    assert not harness.find_bytes(s.files(), [b"s3cret word"])


# --- delivery reports (RFC 3461)

WANTED = {"options": ["BODY=8BITMIME", "RET=HDRS", "ENVID=peers+2B42"],
          "rcpt_options": ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first+2Breader@mail.example"]}


def hand_in_wanting_reports(port, data):
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as c:
        c.ehlo("client.example.test")
        assert c.has_extn("dsn")
        c.sendmail("sender@client.example", ["reader@mail.example"], data, WANTED["options"], WANTED["rcpt_options"])


def test_a_receiver_that_offers_dsn_makes_the_report_itself(sealpost, place, parts):
    """Postfix delivers and reports so, with the sender's words: envelope id and original recipient. Relay keeps silent."""
    peer = make("postfix", place, parts)
    sealpost.configure([route(peer.port, "encrypt")])
    sealpost.start()
    data = message("sender@client.example", "reader@mail.example", [b"wants a report"])
    hand_in_wanting_reports(sealpost.smtp_port, data)
    kept = harness.wait_for("message and report", lambda: (lambda k: k if len(k) >= 2 else None)(peer.kept()), 30)
    sealpost.wait_empty()
    assert [k for k in kept if same(k, data)]
    report, = [k for k in kept if b"report-type=delivery-status" in k]
    assert b"Reporting-MTA: dns; postfix.example.test" in report
    assert b"Original-Envelope-Id: peers+42" in report
    assert b"Original-Recipient: rfc822;first+reader@mail.example" in report.replace(b"rfc822; ", b"rfc822;")
    assert b"Action: delivered" in report
    assert len(kept) == 2  # and none from relay


def test_for_a_receiver_that_does_not_offer_dsn_relay_says_relayed(sealpost, place, parts, sink):
    peer = make("exim", place, parts)  # does not advertise DSN unless told to
    sealpost.configure([f'{{domain: "mail.example", to: "127.0.0.1:{peer.port}", tls: encrypt}}', route(sink.port, "encrypt")])
    sealpost.start()
    data = message("sender@client.example", "reader@mail.example", [b"wants a report"])
    hand_in_wanting_reports(sealpost.smtp_port, data)
    sink.wait_for(1)
    report, envelope, _ = sink.kept()[0]
    assert envelope[0].startswith("MAIL FROM:<>") and envelope[1].startswith("RCPT TO:<sender@client.example>")
    report = report.replace(b"rfc822; ", b"rfc822;")
    assert b"Action: relayed" in report and b"Original-Envelope-Id: peers+42" in report
    assert b"Original-Recipient: rfc822;first+reader@mail.example" in report
    assert b"wants a report" not in report  # RET=HDRS
    sealpost.wait_empty()
    assert sink.report()["messages"] == 1
