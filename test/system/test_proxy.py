# SPDX-License-Identifier: Apache-2.0
"""Proxies in front of relay: the PROXY header, version 1 and 2, and XCLIENT."""
import os
import shutil
import smtplib
import socket
import ssl
import struct

import pytest

from harness import Sealpost, Sink, free_port, scratch, wait_for

HEADERS = {
    "v1": lambda ip: f"PROXY TCP4 {ip} 192.0.2.25 51000 25\r\n".encode(),
    "v2": lambda ip: b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + socket.inet_aton(ip) + socket.inet_aton("192.0.2.25") +
    struct.pack(">HH", 51000, 25),
}


@pytest.fixture(scope="module")
def place():
    directory = scratch("proxy")
    sink = Sink(os.path.join(directory, "sink"), keep=True).start()
    s = Sealpost(os.path.join(directory, "s"))
    s.sink, s.proxied, s.implicit, s.xclient = sink, free_port(), free_port(), free_port()
    s.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}"}}'],
                listen="\n" + "".join(f"  - {line}\n" for line in (
                    f'{{address: "127.0.0.1:{s.smtp_port}", mode: smarthost, proxies: ["203.0.113.0/24"]}}',
                    f'{{address: "127.0.0.1:{s.proxied}", mode: smarthost, proxies: ["127.0.0.1"]}}',
                    f'{{address: "127.0.0.1:{s.implicit}", mode: submissions, proxies: ["127.0.0.1"]}}',
                    f'{{address: "127.0.0.1:{s.xclient}", mode: smarthost, xclient: ["127.0.0.1"]}}')),
                trusted='["198.51.100.0/24"]')
    s.start()
    yield s
    s.stop()
    sink.stop()
    shutil.rmtree(directory, ignore_errors=True)


class Behind(smtplib.SMTP):
    """A client whose connection begins with a PROXY header."""

    def __init__(self, port, header, tls=False):
        self.header, self.tls = header, tls
        super().__init__("127.0.0.1", port, timeout=10)

    def _get_socket(self, host, port, timeout):
        s = socket.create_connection((host, port), timeout)
        s.sendall(self.header)
        if self.tls:
            c = ssl.create_default_context()
            c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
            s = c.wrap_socket(s)
        return s


@pytest.mark.parametrize("version", HEADERS)
def test_the_named_client_is_the_client(place, version):
    with Behind(place.proxied, HEADERS[version]("198.51.100.7")) as client:
        client.sendmail("a@example.org", [f"{version}@example.net"], "Subject: x\r\n\r\nhello\r\n")
    with Behind(place.proxied, HEADERS[version]("203.0.113.7")) as client:
        client.ehlo("client.example")
        client.mail("a@example.org")
        assert client.rcpt("b@example.net") == (550, b"5.7.1 Relay refused: your address is not trusted here")
    mail = wait_for("the mail", lambda: [m for m, envelope, _ in place.sink.kept()
                                         if f"{version}@example.net" in "".join(envelope)])
    assert b"([198.51.100.7])" in mail[0]


@pytest.mark.parametrize("version", HEADERS)
def test_the_header_comes_before_tls_even_in_one_segment_with_the_handshake(place, version):
    with Behind(place.implicit, HEADERS[version]("198.51.100.8"), tls=True) as client:
        client.sendmail("a@example.org", [f"tls-{version}@example.net"], "Subject: x\r\n\r\nhello\r\n")
    c = ssl.create_default_context()
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = c.wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with socket.create_connection(("127.0.0.1", place.implicit), 10) as s:
        s.sendall(HEADERS[version]("198.51.100.9") + outgoing.read())
        while True:
            incoming.write(s.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        s.sendall(outgoing.read())
        greeting = b""
        while b"\r\n" not in greeting:
            try:
                greeting += tls.read(1000)
            except ssl.SSLWantReadError:
                incoming.write(s.recv(65536))
        assert greeting.startswith(b"220 ")


@pytest.mark.parametrize("said", [b"EHLO client.example\r\n", b"PROXY TCP4 nonsense\r\n", b"\x16\x03\x01" + b"a" * 40])
def test_who_sends_no_header_is_cut_off_without_a_word(place, said):
    with socket.create_connection(("127.0.0.1", place.proxied), 10) as s:
        s.sendall(said)
        try:
            assert s.recv(100) == b""
        except ConnectionResetError:
            pass
    wait_for("the event", lambda: place.relay.events("proxy-refused"))


def test_a_header_of_somebody_else_is_no_header(place):
    with socket.create_connection(("127.0.0.1", place.smtp_port), 10) as s:
        stream = s.makefile("rb")
        assert stream.readline().startswith(b"220 ")
        s.sendall(HEADERS["v1"]("198.51.100.7"))
        assert stream.readline().startswith(b"500 5.5.1")


def test_xclient_changes_who_is_trusted(place):
    def session(address):
        client = smtplib.SMTP("127.0.0.1", place.xclient, timeout=10)
        client.ehlo("proxy.example")
        assert "xclient" in client.esmtp_features
        assert client.docmd("XCLIENT", f"ADDR={address} NAME=[UNAVAILABLE]")[0] == 220
        client.ehlo("client.example")
        client.mail("a@example.org")
        return client
    with session("198.51.100.10") as client:
        assert client.rcpt("b@example.net")[0] == 250
    with session("203.0.113.10") as client:
        assert client.rcpt("b@example.net")[0] == 550
        client.rset()
        assert client.docmd("XCLIENT", "ADDR=198.51.100.10")[0] == 502
    with smtplib.SMTP("127.0.0.1", place.smtp_port, timeout=10) as client:
        client.ehlo("client.example")
        assert client.docmd("XCLIENT", "ADDR=198.51.100.10")[0] == 502
