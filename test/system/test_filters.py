# SPDX-License-Identifier: Apache-2.0
"""relay as the MTA of filters: a filter of the tests' own, rspamd and opendkim from Debian, and sealpost-milter."""
import os
import smtplib
import threading

import demo
import filter_peer as fp
import harness
import pytest


@pytest.fixture
def peer(parts):
    def make(**options):
        p = fp.Peer(**options).start()
        parts.append(p)
        return p
    return make


@pytest.fixture
def behind(sealpost, sink):
    """relay with these filters, in front of a receiver. A filter is its socket, or YAML."""
    def start(*filters, names=("keyd", "relay"), **more):
        items = [f if f.startswith("{") else f'"{f}"' for f in filters]
        sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'],
                           filters=f"[{', '.join(items)}]", **more)
        sealpost.start(*names)
        return sealpost
    return start


def send(port, data, sender="a@shop.example", recipients=("b@mail.example",)):
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as c:
        code, text = c.ehlo("client.example")
        if code != 250:
            raise smtplib.SMTPHeloError(code, text)
        return c.sendmail(sender, list(recipients), data)


def arrived(sink, count=1):
    sink.wait_for(count)
    return [(demo.without_trace(m), env) for m, env, _ in sink.kept()]


MESSAGE = b"From: a@shop.example\r\nSubject: one\r\n two\r\nX-A: 1\r\nX-A: 2\r\n\r\nbody\r\n.dot\r\n"


def test_a_filter_hears_each_step_with_its_macros(behind, sink, peer):
    p = peer(steps=fp.SKIP)
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE, recipients=("b@mail.example", "c@mail.example"))
    (message, _), = arrived(sink)
    assert message == MESSAGE
    heard = p.session()
    harness.wait_for("good-bye", lambda: heard.commands() == "CHMRRTLLLLNBEQ")
    assert heard.heard[0][1].startswith(b"[127.0.0.1]\x004")
    assert heard.heard[1][1] == b"client.example\0"
    assert heard.heard[2][1].startswith(b"<a@shop.example>\0")
    headers, body = heard.messages[0]
    assert headers == [("From", "a@shop.example"), ("Subject", "one\n two"), ("X-A", "1"), ("X-A", "2")]
    assert body == b"body\r\n.dot\r\n"
    ident = s.relay.events("accepted")[0][1]
    assert heard.at["C"]["j"] == "relay.example.test" and heard.at["C"]["{daemon_name}"] == "smarthost"
    assert heard.at["M"]["{mail_addr}"] == "a@shop.example" and heard.at["R"]["{rcpt_host}"] == "mail.example"
    assert heard.at["E"]["i"] == ident


def test_a_filter_on_a_unix_socket(behind, sink, peer, place):
    os.chmod(place, 0o755)
    s = behind(peer(where=os.path.join(place, "filter.sock"), says={"E": [fp.add_header("X-U", "1"), fp.CONTINUE]}).spec)
    send(s.smtp_port, MESSAGE)
    assert b"X-U: 1\r\n" in arrived(sink)[0][0]


def refused(port, data=MESSAGE, **more):
    """(code, text) of the refusal, wherever it comes."""
    with pytest.raises((smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)) as e:
        send(port, data, **more)
    if isinstance(e.value, smtplib.SMTPRecipientsRefused):
        return next(iter(e.value.recipients.values()))
    return e.value.smtp_code, e.value.smtp_error


@pytest.mark.parametrize("stage", "CHMRTLNBE")
@pytest.mark.parametrize("says, code, text", [
    ([fp.REJECT], 5, b"5.7.1 Refused"), ([fp.TEMPFAIL], 4, b"4.7.1 Not now"),
    ([fp.reply("554 5.6.1 No such thing here")], 5, b"5.6.1 No such thing here"),
    ([fp.reply("452 4.2.2 Later")], 4, b"4.2.2 Later"),
    ([fp.reply("550 4.2.2 Confused")], 5, b"5.7.1 Refused")])
def test_a_refusal_reaches_the_client_from_every_step(behind, sink, peer, stage, says, code, text):
    p = peer()
    s = behind(p.spec)
    p.says[stage] = says
    got = refused(s.smtp_port)
    assert got[0] // 100 == code and text in got[1]
    p.says.clear()
    send(s.smtp_port, MESSAGE)
    assert arrived(sink)[0][0] == MESSAGE


@pytest.mark.parametrize("stage", "CHMRTLNBE")
def test_a_filter_that_accepts_hears_no_more_and_the_message_passes(behind, sink, peer, stage):
    p = peer(says={stage: [fp.ACCEPT]})
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE)
    assert arrived(sink)[0][0] == MESSAGE
    longest = max(p.sessions, key=lambda x: len(x.commands()))
    assert longest.commands().rstrip("AQ").endswith(stage)


@pytest.mark.parametrize("stage", "MRTLNBE")
def test_a_discarded_message_is_accepted_and_goes_nowhere(behind, sink, peer, stage):
    p = peer(says={stage: [fp.DISCARD]})
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE)
    p.says.clear()
    send(s.smtp_port, b"Subject: second\r\n\r\n")
    assert [m for m, _ in arrived(sink)] == [b"Subject: second\r\n\r\n"]
    assert s.relay.events("discarded")


def test_headers_and_envelope_are_changed_as_filters_wish(behind, sink, peer):
    p = peer(says={"E": [
        fp.add_header("X-Last", "at the end"), fp.insert_header(0, "X-First", "in front"),
        fp.insert_header(2, "X-Second", "folded\n\tover lines"), fp.change_header(1, "Subject", "new"),
        fp.change_header(2, "X-A", ""), fp.change_header(1, "X-None", ""), fp.PROGRESS,
        fp.change_from("<other@shop.example>"), fp.add_rcpt("<c@mail.example>"), fp.del_rcpt("<b@mail.example>"),
        fp.CONTINUE]})
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE)
    sink.wait_for(1)
    message, env, _ = sink.kept()[0]
    message = message.split(b"\r\n", 1)[1] if message.startswith(b"X-Sealpost-Trace") else message
    head, body = message.split(b"\r\n\r\n", 1)
    assert body == b"body\r\n.dot\r\n"
    names = [line.split(b":")[0] for line in head.split(b"\r\n") if line[:1] not in (b" ", b"\t")]
    assert names == [b"X-First", b"Received", b"X-Second", b"From", b"Subject", b"X-A", b"X-Last"]
    assert b"X-Second: folded\r\n\tover lines\r\n" in head and b"\r\nSubject: new\r\nX-A: 1\r\n" in head
    assert env[0].startswith("MAIL FROM:<other@shop.example>") and env[1].startswith("RCPT TO:<c@mail.example>")
    assert len(env) == 2


def test_the_body_is_replaced(behind, sink, peer):
    new = b"".join(b"line %d\n" % i for i in range(60000)) + b"no end"
    p = peer(says={"E": fp.body(new) + [fp.change_header(1, "Subject", "replaced"), fp.CONTINUE]})
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE)
    (message, _), = arrived(sink)
    assert message == MESSAGE.split(b"\r\n\r\n")[0].replace(b"one\r\n two", b"replaced") + b"\r\n\r\n" + \
        new.replace(b"\n", b"\r\n") + b"\r\n"


@pytest.mark.parametrize("size", [100, 20000, 300000, 3000000])
def test_a_later_filter_sees_what_an_earlier_one_changed(behind, sink, peer, size):
    data = b"Subject: one\r\n\r\n" + b"0123456789abcde\r\n" * (size // 17) + b"\r\n"
    first = peer(says={"E": [fp.insert_header(1, "X-One", "1"), fp.change_header(1, "Subject", "changed"), fp.CONTINUE]})
    new = b"new body\r\n" * (size // 10)
    second = peer(says={"E": fp.body(new) + [fp.CONTINUE]}, steps=fp.NR_HDR | fp.LEADSPC | fp.NR_BODY)
    third = peer(says={"E": [fp.add_header("X-Three", "3"), fp.CONTINUE]})
    s = behind(first.spec, second.spec, third.spec)
    send(s.smtp_port, data)
    (message, _), = arrived(sink)
    headers, body = first.session().messages[0]
    assert headers == [("Subject", "one")] and body == data.split(b"\r\n\r\n", 1)[1]
    headers, body = second.session().messages[0]
    assert headers == [("X-One", " 1"), ("Subject", " changed")] and body == data.split(b"\r\n\r\n", 1)[1]
    headers, body = third.session().messages[0]
    assert headers == [("X-One", "1"), ("Subject", "changed")] and body == new
    assert message == b"X-One: 1\r\nSubject: changed\r\nX-Three: 3\r\n\r\n" + new


def test_all_recipients_removed_means_discarded(behind, sink, peer):
    s = behind(peer(says={"E": [fp.del_rcpt("<b@mail.example>"), fp.CONTINUE]}).spec)
    send(s.smtp_port, MESSAGE)
    assert s.relay.events("discarded") and not s.relay.events("accepted")


def test_steps_that_a_filter_does_not_want_are_left_out(behind, sink, peer):
    p = peer(steps=fp.NOCONNECT | fp.NOHELO | fp.NOMAIL | fp.NORCPT | fp.NODATA | fp.NOHDRS | fp.NOEOH | fp.NOBODY)
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE)
    assert arrived(sink)[0][0] == MESSAGE
    assert "E" in [x.commands().rstrip("Q") for x in p.sessions]


def test_steps_without_reply_are_not_waited_for(behind, sink, peer):
    p = peer(steps=fp.NR_CONN | fp.NR_HELO | fp.NR_MAIL | fp.NR_RCPT | fp.NR_DATA | fp.NR_HDR | fp.NR_EOH | fp.NR_BODY)
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE)
    assert arrived(sink)[0][0] == MESSAGE
    assert p.session().messages[0][1] == b"body\r\n.dot\r\n"


def test_macros_are_those_that_were_asked_for(behind, sink, peer):
    p = peer(macros=[(0, "j"), (2, "{mail_addr} {client_addr} {nonsense}"), (5, "")])
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE)
    at = p.session().at
    assert set(at["C"]) == {"j"} and at["M"] == {"{mail_addr}": "a@shop.example", "{client_addr}": "127.0.0.1"}
    assert "E" not in at and "i" in at["N"]


def test_skip_spares_the_rest_of_the_body(behind, sink, peer):
    p = peer(steps=fp.SKIP, says={"B": [fp.SKIPPED]})
    s = behind(p.spec)
    data = b"Subject: x\r\n\r\n" + b"0123456789\r\n" * 50000
    send(s.smtp_port, data)
    assert arrived(sink)[0][0] == data
    assert p.session().commands().count("B") == 1


AWAY = [("tempfail", 451, b"4.7.1 A filter is not available, try again later"),
        ("reject", 550, b"5.7.1 A filter is not available, message refused")]


@pytest.mark.parametrize("away, code, text", AWAY)
def test_a_filter_that_is_away_and_comes_back(behind, sink, peer, away, code, text):
    p = fp.Peer()
    s = behind(f'{{socket: "{p.spec}", away: {away}}}')
    got = refused(s.smtp_port)
    assert got[0] == code and text in got[1]
    assert len(s.relay.events("filter-away")) == 1
    with smtplib.SMTP("127.0.0.1", s.smtp_port) as c:
        c.ehlo("x.example")
        assert c.mail("a@shop.example")[0] == code
        p.start()
        c.sendmail("a@shop.example", ["b@mail.example"], MESSAGE)  # within the session
    assert arrived(sink)[0][0] == MESSAGE
    assert p.session().commands().startswith("CHMR") and s.relay.events("filter-back")
    p.stop()


def test_a_filter_that_is_away_may_be_passed_over(behind, sink, peer):
    other = peer(says={"E": [fp.add_header("X-There", "yes"), fp.CONTINUE]})
    s = behind(f'{{socket: "{fp.Peer().spec}", away: accept}}', other.spec)
    send(s.smtp_port, MESSAGE)
    assert b"X-There: yes\r\n" in arrived(sink)[0][0]
    assert s.relay.events("filter-skipped")


@pytest.mark.parametrize("stage", "CHMRTLNBE")
@pytest.mark.parametrize("away, code", [("tempfail", 451), ("reject", 550), ("accept", 250)])
def test_a_filter_that_hangs_up_at_any_step(behind, sink, peer, stage, away, code):
    p = peer(says={stage: [None]})
    s = behind(f'{{socket: "{p.spec}", away: {away}}}')
    if code == 250:
        send(s.smtp_port, MESSAGE)
        assert arrived(sink)[0][0] == MESSAGE
    else:
        assert refused(s.smtp_port)[0] == code
    p.says.clear()
    send(s.smtp_port, MESSAGE)


@pytest.mark.parametrize("away, code", [("tempfail", 451), ("reject", 550), ("accept", 250)])
@pytest.mark.parametrize("says", [
    [fp.packet(b"z")], [b"\0\0\0\0"], [b"HTTP/1.1 200 OK\r\n"], [fp.packet(b"c", b"x")], [fp.CONTINUE, fp.CONTINUE],
    [fp.add_header("X-Y", "before the end")], [fp.reply("250 2.0.0 Fine")]])
def test_a_filter_that_breaks_the_protocol(behind, sink, peer, says, away, code):
    p = peer(says={"R": says})
    s = behind(f'{{socket: "{p.spec}", away: {away}}}')
    if code == 250:
        send(s.smtp_port, MESSAGE)
    else:
        assert refused(s.smtp_port)[0] == code
    assert s.relay.events("filter-protocol")


def test_changes_of_a_filter_that_fails_before_its_verdict_do_not_count(behind, sink, peer):
    p = peer(says={"E": [fp.add_header("X-Half", "1"), fp.del_rcpt("<b@mail.example>")] + fp.body(b"half") + [None]})
    s = behind(f'{{socket: "{p.spec}", away: accept}}')
    send(s.smtp_port, MESSAGE)
    assert arrived(sink)[0][0] == MESSAGE


@pytest.mark.parametrize("stage", "CMRLBE")
def test_a_filter_that_is_too_slow(behind, sink, peer, stage):
    p = peer(says={stage: []})
    s = behind(f'{{socket: "{p.spec}", away: tempfail, timeout: 1s, body: 1s}}')
    assert refused(s.smtp_port)[0] == 451
    assert any(facts["why"] == "timeout" for *_, facts in s.relay.events("filter-away"))


def test_a_quarantined_message_is_held(behind, sink, peer):
    p = peer(says={"E": [fp.quarantine("looks odd"), fp.CONTINUE]})
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE)
    p.says.clear()
    send(s.smtp_port, b"Subject: free\r\n\r\n")
    arrived(sink)
    ident = s.relay.events("accepted")[0][1]
    held = [r for r in s.queue() if r["id"] == ident]
    assert held and "quarantine" in str(held[0]).lower()


def test_the_campaign_is_that_of_the_header_that_is_sent(behind, sink, peer):
    value = "v=1; id=cmp_filter; ver=3; t=1767225600; n=12345678; kid=k; mac=" + "A" * 43
    p = peer(says={"E": [fp.add_header("X-DoPosta-Campaign", value), fp.quarantine("x"), fp.CONTINUE]})
    s = behind(p.spec)
    send(s.smtp_port, MESSAGE)
    assert "cmp_filter" in str(s.queue())
    p.says["E"] = [fp.change_header(1, "X-DoPosta-Campaign", ""), fp.quarantine("x"), fp.CONTINUE]
    send(s.smtp_port, b"X-DoPosta-Campaign: " + value.replace("filter", "client").encode() + b"\r\n" + MESSAGE)
    assert len(s.queue()) == 2 and "cmp_client" not in str(s.queue())


def test_a_session_without_filters_asks_none(behind, sink, peer, sealpost):
    p = peer()
    listen = f'[{{address: "127.0.0.1:{sealpost.smtp_port}", mode: smarthost, customer: default, filters: no}}]'
    s = behind(p.spec, listen=listen)
    send(s.smtp_port, MESSAGE)
    assert arrived(sink)[0][0] == MESSAGE and not p.sessions


def test_a_message_of_50_mb_passes_filters_in_flat_memory(behind, sink, peer):
    first = peer(keep=False, steps=fp.NR_HDR)
    second = peer(keep=False, says={"E": [fp.add_header("X-Second", "yes"), fp.CONTINUE]})
    s = behind(first.spec, second.spec, limits="{free_space: 1M, message_size: 60M}")
    line = os.urandom(400).hex().encode() + b"\r\n"
    data = b"Subject: large\r\n\r\n" + line * (50 * 1024 * 1024 // len(line))
    before = memory(s.relay.pid, "VmRSS")
    send(s.smtp_port, data)
    sink.wait_for(1, 120)
    assert memory(s.relay.pid, "VmHWM") - before < 32 << 20
    got = arrived(sink)[0][0]
    assert got == data.replace(b"\r\n\r\n", b"\r\nX-Second: yes\r\n\r\n", 1)


def memory(pid, name):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith(name + ":"))


RULES = """
rspamd_config:register_symbol({name = 'MARK', callback = function(task)
  task:set_milter_reply({add_headers = {['X-Rspamd-Saw'] = tostring(task:get_size())}, remove_headers = {['X-A'] = 1}})
  return true
end, score = 0, type = 'normal'})
rspamd_config:register_symbol({name = 'BAD', callback = function(task)
  local subject = task:get_header('Subject') or ''
  if subject:find('forbidden') then task:set_pre_result('reject', 'No such thing here') end
  if subject:find('later') then task:set_pre_result('soft reject', 'Come back later') end
end, score = 0, type = 'prefilter'})
"""


@pytest.fixture
def rspamd(place, parts):
    r = fp.Rspamd(os.path.join(place, "rspamd"), RULES).start()
    parts.append(r)
    return r


@pytest.fixture
def opendkim(place, parts):
    o = fp.Opendkim(os.path.join(place, "opendkim")).start()
    parts.append(o)
    return o


def signed(message, opendkim):
    import dkim
    return b"DKIM-Signature:" in message and dkim.verify(message, dnsfunc=opendkim.txt)


def whole(sink, n=0):
    return sink.kept()[n][0]


def test_rspamd_judges_and_changes(behind, sink, rspamd):
    s = behind(rspamd.spec)
    send(s.smtp_port, MESSAGE)
    (message, _), = arrived(sink)
    assert b"\r\nX-Rspamd-Saw: " in b"\r\n" + message and message.count(b"X-A: ") == 1
    assert message.endswith(b"\r\n\r\nbody\r\n.dot\r\n")
    got = refused(s.smtp_port, MESSAGE.replace(b"one", b"forbidden"))
    assert got[0] == 554 and b"No such thing here" in got[1]
    got = refused(s.smtp_port, MESSAGE.replace(b"one", b"later"))
    assert got[0] == 451 and b"Come back later" in got[1]


@pytest.mark.parametrize("size", [0, 100000, 5000000])
def test_opendkim_signs_what_is_sent(behind, sink, opendkim, size):
    s = behind(opendkim.spec)
    send(s.smtp_port, MESSAGE + b"0123456789abcdef\r\n" * (size // 18))
    sink.wait_for(1)
    assert signed(whole(sink), opendkim)


@pytest.mark.parametrize("size", [0, 5000000])
def test_our_milter_rspamd_and_opendkim_in_a_chain(sealpost, behind, sink, rspamd, opendkim, size):
    s = behind(f"inet:{sealpost.milter_port}@127.0.0.1", rspamd.spec, opendkim.spec, names=("keyd", "relay", "milter"))
    send(s.smtp_port, MESSAGE + b"0123456789abcdef\r\n" * (size // 18))
    sink.wait_for(1)
    message = whole(sink)
    assert b"\r\nX-Rspamd-Saw: " in message and b"X-Sealpost-Trace: v=1; customer=default; id=" in message
    assert signed(message, opendkim)
    # the signature covers what the two before it added
    assert not signed(message.replace(b"X-Rspamd-Saw: ", b"X-Rspamd-Saw: 1"), opendkim)
    assert not signed(message.replace(b"X-Sealpost-Trace: v=1", b"X-Sealpost-Trace: v=2"), opendkim)


@pytest.mark.parametrize("away, code", [("tempfail", 451), ("reject", 550), ("accept", 250)])
def test_opendkim_killed_between_two_messages(behind, sink, opendkim, away, code):
    s = behind(f'{{socket: "{opendkim.spec}", away: {away}}}')
    send(s.smtp_port, MESSAGE)
    sink.wait_for(1)
    assert signed(whole(sink), opendkim)
    opendkim.process.kill()
    if code == 250:
        send(s.smtp_port, MESSAGE)
        sink.wait_for(2)
        assert b"DKIM-Signature" not in whole(sink, 1)
    else:
        assert refused(s.smtp_port)[0] == code


def test_macros_of_tls_and_chunks_through_a_filter(behind, sink, peer):
    p = peer()
    s = behind(p.spec)
    with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=30) as c:
        c.starttls()
        c.ehlo("client.example")
        assert c.mail("a@shop.example", ["SIZE=100", "BODY=8BITMIME"])[0] == 250
        assert c.rcpt("b@mail.example")[0] == 250
        for i in range(0, len(MESSAGE), 7):  # header and body in chunks
            piece = MESSAGE[i:i + 7]
            c.send(b"BDAT %d%s\r\n" % (len(piece), b" LAST" if i + 7 >= len(MESSAGE) else b"") + piece)
            assert c.getreply()[0] == 250
    assert arrived(sink)[0][0] == MESSAGE
    heard = p.session()
    assert heard.at["H"]["{tls_version}"] == "TLSv1.3" and int(heard.at["H"]["{cipher_bits}"]) >= 128
    assert heard.commands().startswith("CHHM")  # EHLO again under TLS
    assert b"<a@shop.example>\0SIZE=100\0BODY=8BITMIME\0" in [data for c, data in heard.heard if c == b"M"]
    assert heard.messages[0] == ([("From", "a@shop.example"), ("Subject", "one\n two"), ("X-A", "1"), ("X-A", "2")],
                                 b"body\r\n.dot\r\n")


def test_chunks_of_a_refused_message_are_never_commands(behind, sink, peer):
    p = peer(says={"T": [fp.REJECT]})
    s = behind(p.spec)
    with smtplib.SMTP("127.0.0.1", s.smtp_port, timeout=30) as c:
        c.ehlo("client.example")
        c.mail("a@shop.example")
        c.rcpt("b@mail.example")
        c.send(b"BDAT 6\r\nQUIT\r\nNOOP\r\n")
        assert c.getreply()[0] == 550
        assert c.getreply()[0] == 250
        p.says.clear()
        c.sendmail("a@shop.example", ["b@mail.example"], MESSAGE)
    assert arrived(sink)[0][0] == MESSAGE


def test_what_is_accepted_arrives_while_a_filter_dies_again_and_again(behind, sink, peer):
    """20 clients at once; of each message: either its client heard a refusal, or it arrives, and once."""
    steady = peer(says={"E": [fp.add_header("X-Steady", "yes"), fp.CONTINUE]})
    mortal = fp.Peer(says={"E": [fp.insert_header(1, "X-Mortal", "yes"), fp.CONTINUE]}).start()
    s = behind(mortal.spec, steady.spec)
    accepted, tried, done = set(), [0], threading.Event()

    def client(n):
        for i in range(25):
            ident = b"%d-%d" % (n, i)
            tried[0] += 1
            try:
                send(s.smtp_port, b"Subject: %s\r\n\r\n" % ident + b"x" * 70 * (i % 5) + b"\r\n")
                accepted.add(ident)
            except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
                pass

    clients = [threading.Thread(target=client, args=(n,)) for n in range(20)]
    for c in clients:
        c.start()
    while any(c.is_alive() for c in clients):
        mortal.stop()
        mortal.start()
        done.wait(0.05)  # a life of the filter
    for c in clients:
        c.join()
    mortal.stop()
    assert tried[0] == 500 and accepted
    sink.wait_for(len(accepted))
    s.wait_empty()
    got = [m for m, _ in arrived(sink, len(accepted))]
    subjects = sorted(m.split(b"Subject: ")[1].split(b"\r\n")[0] for m in got)
    assert subjects == sorted(accepted)
    assert all(b"X-Steady: yes\r\n" in m and b"X-Mortal: yes\r\n" in m for m in got)
