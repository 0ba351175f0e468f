# SPDX-License-Identifier: Apache-2.0
"""Bad input: configuration, SMTP, and a disk that fills."""
import os
import re
import signal
import socket
import subprocess

import harness
import pytest

NO_ROUTE = ['{domain: "*", to: "127.0.0.1:1", tls: opportunistic}']


class Talk:
    """SMTP byte by byte."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), 20)
        self.f = self.s.makefile("rb")
        self.reply()

    def send(self, data):
        self.s.sendall(data)

    def reply(self):
        """(code, last line), or (0, '') at the end of the connection."""
        while True:
            line = self.f.readline()
            if not line:
                return 0, ""
            if line[3:4] == b" ":
                return int(line[:3]), line.decode().rstrip()

    def cmd(self, line):
        self.send(line + b"\r\n")
        return self.reply()

    def to_data(self):
        self.cmd(b"EHLO a.example")
        assert self.cmd(b"MAIL FROM:<a@a.example>")[0] == 250
        assert self.cmd(b"RCPT TO:<b@b.example>")[0] == 250
        assert self.cmd(b"DATA")[0] == 354

    def lives(self):
        return self.cmd(b"NOOP")[0] == 250


@pytest.fixture
def port(sealpost):
    sealpost.configure(NO_ROUTE)
    return sealpost.start().smtp_port


@pytest.mark.parametrize("name,data", [("bare LF", b"one\ntwo\r\n"), ("bare CR", b"one\rtwo\r\n"), ("NUL", b"one\0two\r\n"),
                                       ("LF dot LF", b"one\n.\nMAIL FROM:<x@x.example>\r\n"),
                                       ("LF dot CRLF", b"one\n.\r\nx\r\n"), ("CRLF dot LF", b"one\r\n.\nx\r\n"),
                                       ("CR dot CR", b"one\r.\rx\r\n"), ("over-long line", b"x" * 999 + b"\r\n")])
def test_data_that_cannot_be_carried_gets_554_and_the_session_lives(port, name, data):
    t = Talk(port)
    t.to_data()
    t.send(b"Subject: x\r\n\r\n" + data + b".\r\n")
    code, text = t.reply()
    assert (code, text[:9]) == (554, "554 5.6.0"), text
    assert t.lives()
    t.to_data()  # and the next message is welcome
    t.send(b"Subject: x\r\n\r\nfine\r\n.\r\n")
    assert t.reply()[0] == 250


def test_smuggled_commands_are_never_run(sealpost, sink):
    sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'])
    sealpost.start()
    ends = [b"\r\n", b"\n", b"\r", b""]
    for before in ends:
        for after in ends:
            if (before, after) == (b"\r\n", b"\r\n"):
                continue
            t = Talk(sealpost.smtp_port)
            t.to_data()
            t.send(b"Subject: x\r\n\r\nbody" + before + b"." + after +
                   b"MAIL FROM:<evil@evil.example>\r\nRCPT TO:<v@v.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n")
            t.reply()
            t.send(b"QUIT\r\n")
            t.s.close()
    t = Talk(sealpost.smtp_port)
    t.to_data()
    t.send(b"Subject: last\r\n\r\nx\r\n.\r\n")
    t.reply()
    sealpost.wait_empty()
    for message, envelope, _ in sink.kept():
        assert "evil" not in envelope[0]


def test_wrong_sequence_is_503_and_the_session_lives(port):
    t = Talk(port)
    for line in (b"MAIL FROM:<a@a.example>", b"RCPT TO:<b@b.example>", b"DATA"):
        assert t.cmd(line)[0] == 503
    t.cmd(b"EHLO a.example")
    assert t.cmd(b"RCPT TO:<b@b.example>")[0] == 503
    assert t.cmd(b"DATA")[0] == 503
    assert t.cmd(b"MAIL FROM:<a@a.example>")[0] == 250
    assert t.cmd(b"MAIL FROM:<a@a.example>")[0] == 503
    assert t.lives()


@pytest.mark.parametrize("line,code", [(b"NONSENSE", 500), (b"MAIL FROM:a@a.example", 501), (b"RCPT TO:<b@b.example>", 503),
                                       (b"EHLO", 501), (b"VRFY x", 252), (b"EXPN x", 502), (b"NOOP x", 250)])
def test_commands_get_the_reply_of_the_rfc(port, line, code):
    t = Talk(port)
    t.cmd(b"EHLO a.example")
    assert t.cmd(line)[0] == code
    assert t.lives()


def test_a_command_line_that_is_too_long_is_500_and_the_session_lives(port):
    t = Talk(port)
    code, text = t.cmd(b"NOOP " + b"x" * 600)
    assert (code, text[:9]) == (500, "500 5.5.2")
    assert t.lives()


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP x\ry\r\n"])
def test_bare_line_ends_in_commands_end_the_session(port, line):
    t = Talk(port)
    t.send(line)
    assert t.reply()[0] == 500
    assert t.reply()[0] == 0


def test_a_web_browser_is_shown_the_door(port):
    t = Talk(port)
    t.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@a.example>\r\n")
    replies = []
    while True:
        code, text = t.reply()
        if code == 0:
            break
        replies.append(code)
    assert replies in ([], [421], [500], [554])


def test_an_oversized_message_is_552_early_and_late(sealpost):
    sealpost.configure(NO_ROUTE, limits="{message_size: 64K, free_space: 1M}")
    sealpost.start()
    t = Talk(sealpost.smtp_port)
    t.cmd(b"EHLO a.example")
    code, text = t.cmd(b"MAIL FROM:<a@a.example> SIZE=70000")
    assert (code, text[:9]) == (552, "552 5.3.4")
    t.to_data()
    t.send(b"Subject: x\r\n\r\n" + b"y" * 76 + b"\r\n")
    t.send((b"y" * 76 + b"\r\n") * 1000 + b".\r\n")
    code, text = t.reply()
    assert (code, text[:9]) == (552, "552 5.3.4")
    assert t.lives()
    assert sealpost.queue() == []


def test_commands_behind_starttls_in_clear_are_not_run(port):
    t = Talk(port)
    t.cmd(b"EHLO a.example")
    t.send(b"STARTTLS\r\nMAIL FROM:<a@a.example>\r\n")
    code, _ = t.reply()
    if code == 220:
        code, _ = t.reply()
    assert code in (0, 554, 421)


def test_strangers_may_not_relay(sealpost):
    sealpost.configure(NO_ROUTE, trusted='["192.0.2.0/24"]')
    sealpost.start()
    t = Talk(sealpost.smtp_port)
    t.cmd(b"EHLO a.example")
    codes = [t.cmd(b"MAIL FROM:<a@a.example>")[0], t.cmd(b"RCPT TO:<b@b.example>")]
    assert codes[1][0] == 550 and "5.7.1" in codes[1][1]


@pytest.mark.parametrize("file,change,line,key", [
    ("relay.yaml", ("workers:", "wrokers:"), None, "wrokers"),
    ("relay.yaml", ("mode: smarthost", "mode: sideways"), None, "listen[0].mode"),
    ("relay.yaml", ("first: 5m", "first: soon"), None, "retry.first"),
    ("keyd.yaml", ("slots:", "slotz:"), None, "slotz"),
    ("milter.yaml", ("listen:", "lisen:"), None, "lisen"),
])
def test_bad_configuration_names_file_line_and_key_and_exits_78(sealpost, file, change, line, key):
    text = sealpost.read(file)
    assert change[0] in text
    bad = text.replace(*change)
    sealpost.write(file, bad)
    number = next(i for i, l in enumerate(bad.splitlines(), 1) if change[1] in l)
    daemon = harness.program("sealpost-" + file.split(".")[0])
    for argv in ([daemon, "-n", "-c", sealpost.path(file)], [daemon, "-c", sealpost.path(file)]):
        r = subprocess.run(argv, capture_output=True, text=True, timeout=20)
        assert r.returncode == 78
        assert re.search(rf"{re.escape(file)}:{number}: {re.escape(key)}: ", r.stderr), r.stderr
    r = sealpost.cli("config", "check")
    assert r.returncode == 78


@pytest.mark.parametrize("change,line,what", [
    ({"retry": "\n  first: 2h\n  max: 1h"}, "  max:", "retry.max: must not be shorter than retry.first"),
    ({"sources": "\n  - {name: a}\n  - {name: a} # again"}, "  - {name: a} # again", "sources[1].name: the same name twice"),
    ({"pools": "\n  - name: p\n    sources: [b]"}, "    sources:",
     "pools[0].sources[0]: names a source that sources does not have"),
    ({"listen": '\n  - {address: "127.0.0.1:2525"}\n  - {address: "127.0.0.1:2525", mode: submission}'},
     '  - {address: "127.0.0.1:2525", mode', "listen[1].address: the same address twice"),
    ({"outbound": "&x {open: 5}"}, "outbound", "outbound: anchors are not used here"),
    ({"trusted": "!!seq []"}, "trusted", "trusted: tags are not used here"),
    ({"bounce": "{verp: yes}"}, "bounce", "bounce: verp and reports need domain"),
])
def test_a_mistake_across_keys_names_its_line_too(sealpost, change, line, what):
    sealpost.configure(['{domain: "*", to: "127.0.0.1:9"}'], **change)
    number = next(i for i, l in enumerate(sealpost.read("relay.yaml").splitlines(), 1) if l.startswith(line))
    r = sealpost.cli("config", "check")
    assert r.returncode == 78
    assert f"relay.yaml:{number}: {what}\n" in r.stdout + r.stderr


def test_a_route_to_a_pool_that_is_missing_names_its_line(sealpost):
    sealpost.configure(['{domain: "a.test", to: "127.0.0.1:9"}', '{domain: "*", to: "127.0.0.1:9", pool: gone}'])
    number = next(i for i, l in enumerate(sealpost.read("relay.yaml").splitlines(), 1) if "gone" in l)
    r = sealpost.cli("config", "check")
    assert f"relay.yaml:{number}: routes[1].pool: names a pool that pools does not have" in r.stdout + r.stderr


@pytest.mark.parametrize("key,change", [("listen", {"listen": '[{address: "127.0.0.1:1", mode: smarthost}]'}),
                                        ("api.socket", {"api": "{socket: elsewhere.sock}"}), ("workers", {"workers": "7"}),
                                        ("dns", {"dns": '{servers: ["127.0.0.1@1"]}'}),
                                        ("limits.free_space", {"limits": "{free_space: 2M}"})])
def test_reload_names_the_key_that_needs_a_restart(sealpost, key, change):
    sealpost.configure(NO_ROUTE)
    sealpost.start()
    sealpost.configure(NO_ROUTE, **change, retry="{first: 7s}")
    sealpost.relay.signal(signal.SIGHUP)
    harness.wait_for("the reload", lambda: sealpost.relay.events("reloaded"))
    assert [facts["key"] for _, _, _, facts in sealpost.relay.events("config-needs-restart")] == [key]
    sealpost.relay.signal(signal.SIGHUP)  # nothing new since
    harness.wait_for("the reload", lambda: len(sealpost.relay.events("reloaded")) == 2)
    assert len(sealpost.relay.events("config-needs-restart")) == 1


def test_a_relay_that_cannot_start_takes_no_mail_before_it_ends(sealpost):
    sealpost.configure(NO_ROUTE, api="{socket: /proc/no/api.sock}")
    sealpost.keyd.start()
    sealpost.relay.start(wait=False)
    answers = 0
    while sealpost.relay.running():
        answers += harness.connects(sealpost.smtp_port)
    assert sealpost.relay.child.returncode == 75 and "api.socket" in sealpost.relay.tail()
    assert answers == 0


def test_config_check_is_content_with_what_init_wrote(sealpost):
    r = sealpost.cli("config", "check")
    assert r.returncode == 0, r.stdout + r.stderr
    assert r.stdout.count("good") == 3


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a small tmpfs: needs root")
def test_a_full_disk_gives_452_and_recovers_by_itself(sealpost, sink):
    state = sealpost.path("relay")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=160m,uid={sealpost.uid},mode=700", "sealpost-test", state], check=True)
    try:
        sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'], limits="{free_space: 8M}")
        sealpost.start()
        sink.stop()
        filler = os.path.join(state, "filler")

        def send(size=20000):
            t = Talk(sealpost.smtp_port)
            t.cmd(b"EHLO a.example")
            code, text = t.cmd(b"MAIL FROM:<a@a.example>")
            if code == 250:
                t.cmd(b"RCPT TO:<b@b.example>")
                code, text = t.cmd(b"DATA")
            if code == 354:
                t.send(b"Subject: x\r\n\r\n" + (b"y" * 76 + b"\r\n") * (size // 78) + b".\r\n")
                code, text = t.reply()
            return code, text

        assert send()[0] == 250
        accepted = 1
        with open(filler, "wb", buffering=0) as f:  # everything that is left
            try:
                while True:
                    f.write(b"\0" * 65536)
            except OSError:
                pass
        full = harness.wait_for("a refusal", lambda: (lambda r: r if r[0] == 452 else None)(send()), 30, 0.2)
        assert full[1].startswith("452 4.3.1")
        assert "disk is (nearly) full" in sealpost.cli("status").stdout
        accepted = sealpost.status()["relay"]["counters"]["messages_in"]
        os.unlink(filler)
        harness.wait_for("space to be noticed", lambda: send()[0] == 250, 10, 0.2)
        sink.start()
        sealpost.wait_empty()
        assert sink.report()["messages"] == accepted + 1
    finally:
        sealpost.kill()
        subprocess.run(["umount", state], check=True)
