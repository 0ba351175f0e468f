# SPDX-License-Identifier: Apache-2.0
"""Logging in: smtplib against relay's listeners, credentials made by the administrator's command."""
import os
import shutil
import smtplib
import ssl
import subprocess

import pytest

from harness import Sealpost, Sink, find_bytes, free_port, scratch, wait_for

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def place():
    directory = scratch("auth")
    sink = Sink(os.path.join(directory, "sink"), keep=True)
    sink.start()
    s = Sealpost(os.path.join(directory, "s"))
    s.submission, s.submissions, s.clients = free_port(), free_port(), free_port()
    make_ca(directory)
    s.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}"}}'],
                listen="\n" + "".join(f"  - {line}\n" for line in (
                    f'{{address: "127.0.0.1:{s.smtp_port}", mode: smarthost}}',
                    f'{{address: "127.0.0.1:{s.submission}", mode: submission, auth: required}}',
                    f'{{address: "127.0.0.1:{s.submissions}", mode: submissions, auth: required}}',
                    f'{{address: "127.0.0.1:{s.clients}", mode: submission, auth: required, '
                    f'client_ca: {directory}/ca.pem}}')),
                trusted="[]", limits='{free_space: 1M, auth_failures: "5/10m", auth_lockout: 2s}')
    s.start()
    s.directory = directory
    s.sink = sink
    s.password_file = os.path.join(directory, "password")
    with open(os.open(s.password_file, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(PASSWORD + "\n")
    os.chown(s.password_file, s.uid, s.uid)
    r = s.cli("credential", "add", "inbound", "shop", "--password-file", s.password_file)
    assert r.returncode == 0, r.stderr
    assert r.stdout == "inbound credential shop added.\n"
    yield s
    s.stop()
    sink.stop()
    shutil.rmtree(directory, ignore_errors=True)


def make_ca(directory):
    """A CA and two client certificates: one of it, one of nobody."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=directory)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=clients", "-days", "2")
    openssl("req", *new, "-keyout", "box.key", "-out", "box.csr", "-subj", "/CN=box")
    openssl("x509", "-req", "-in", "box.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "box.pem",
            "-days", "2")
    openssl("req", "-x509", *new, "-keyout", "liar.key", "-out", "liar.pem", "-subj", "/CN=box", "-days", "2")
    for name in ("ca.pem", "box.pem"):
        os.chmod(os.path.join(directory, name), 0o644)


def events(place, name):
    return [facts for _, _, _, facts in place.relay.events(name)]


def context(place=None, certificate=None):
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if certificate:
        c.load_cert_chain(f"{place.directory}/{certificate}.pem", f"{place.directory}/{certificate}.key")
    return c


def submission(place, port=None, certificate=None):
    client = smtplib.SMTP("127.0.0.1", port or place.submission, timeout=10)
    client.starttls(context=context(place, certificate))
    client.ehlo("client.example")
    return client


def send(client, who):
    return client.sendmail("shop@example.org", [f"{who}@example.net"], f"Subject: {who}\r\n\r\nhello\r\n")


@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login"])
def test_a_client_logs_in_and_may_send(place, mechanism):
    client = submission(place)
    assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
    client.user, client.password = "shop", PASSWORD
    code, text = client.auth(mechanism[5:].upper(), getattr(client, mechanism))
    assert (code, text) == (235, b"2.7.0 Logged in")
    send(client, mechanism)
    client.quit()
    wait_for(f"mail after {mechanism}", lambda: [
        body for body, envelope, _ in place.sink.kept()
        if f"{mechanism}@example.net" in "".join(envelope) and b"with ESMTPSA id" in body])


def test_implicit_tls_takes_the_same_credential(place):
    with smtplib.SMTP_SSL("127.0.0.1", place.submissions, context=context(), timeout=10) as client:
        client.login("shop", PASSWORD)
        send(client, "implicit")


def test_without_login_nothing_goes(place):
    with submission(place) as client:
        client.ehlo("client.example")
        assert client.mail("shop@example.org") == (530, b"5.7.0 Log in first")
    with smtplib.SMTP("127.0.0.1", place.submission, timeout=10) as client:
        client.ehlo("client.example")
        assert "auth" not in client.esmtp_features
        assert client.docmd("AUTH", "PLAIN AGEAYg==")[0] == 530
        assert client.mail("shop@example.org")[0] == 530
    with smtplib.SMTP("127.0.0.1", place.smtp_port, timeout=10) as client:
        client.ehlo("client.example")
        client.mail("shop@example.org")
        assert client.rcpt("a@example.net")[0] == 550


def test_wrong_passwords_are_refused_alike_and_then_the_address_is_locked_out(place):
    seen = 0
    for name, password in (("shop", "wrong"), ("nobody", PASSWORD), ("nobody2", "wrong"), ("shop", PASSWORD + "x"),
                           ("shop", "wrong again")):
        with submission(place) as client:
            code, text = client.docmd("AUTH", "PLAIN " + plain(name, password))
            assert (code, text) == (535, b"5.7.8 Name or password is wrong")
            seen += 1
    with submission(place) as client:
        code, text = client.docmd("AUTH", "PLAIN " + plain("shop", PASSWORD))
        assert code == 421 and b"too many failed logins" in text
        client.close()
    assert len(events(place, "locked-out")) == 1
    failed = events(place, "login-failed")
    assert [e["credential"] for e in failed[-seen:]] == ["shop", "unknown", "unknown", "shop", "shop"]
    assert all(e["client"] == "127.0.0.1" for e in failed)
    wait_for("the end of the lock-out", lambda: logs_in(place), 10)


def plain(name, password):
    import base64
    return base64.b64encode(b"\0" + name.encode() + b"\0" + password.encode()).decode()


def logs_in(place, password=PASSWORD, name="shop"):
    try:
        with submission(place) as client:
            client.login(name, password)
            return True
    except (smtplib.SMTPException, OSError):
        return False


def test_a_client_certificate_logs_in(place):
    r = place.cli("credential", "add", "inbound", "box", "--certificate", f"{place.directory}/box.pem")
    assert r.returncode == 0, r.stderr
    with submission(place, place.clients, "box") as client:
        send(client, "certificate")
    logged = [e for e in events(place, "logged-in") if e["mechanism"] == "certificate"]
    assert logged[-1]["credential"] == "box"
    with submission(place, place.clients, "liar") as client:
        assert client.mail("a@example.org")[0] == 530
        client.login("shop", PASSWORD)
        send(client, "liar")
    assert events(place, "certificate-refused")


def test_rates_and_sessions_of_a_credential(place):
    r = place.cli("credential", "add", "inbound", "slow", "--password-file", place.password_file,
                  "--messages", "2/1h", "--connections", "1")
    assert r.returncode == 0, r.stderr
    with submission(place) as client:
        client.login("slow", PASSWORD)
        with submission(place) as second:
            code, text = second.docmd("AUTH", "PLAIN " + plain("slow", PASSWORD))
            assert code == 421 and b"of your credential" in text
            second.close()
        send(client, "one")
        send(client, "two")
        assert client.mail("shop@example.org") == (450, b"4.7.1 Too many messages for now, try again later")


def test_a_new_password_counts_at_once_and_a_disabled_credential_not_at_all(place):
    assert logs_in(place)
    r = place.cli("credential", "password", "inbound", "shop", "--generate")
    assert r.returncode == 0, r.stderr
    fresh = r.stdout.split("Password: ")[1].split()[0]
    assert len(fresh) == 24
    wait_for("the new password", lambda: logs_in(place, fresh))
    assert not logs_in(place)
    assert place.cli("credential", "disable", "inbound", "shop").returncode == 0
    wait_for("the end of a disabled credential", lambda: not logs_in(place, fresh))
    assert place.cli("credential", "enable", "inbound", "shop").returncode == 0
    wait_for("it is enabled", lambda: logs_in(place, fresh), 20)
    assert place.cli("credential", "password", "inbound", "shop", "--password-file",
                     place.password_file).returncode == 0


def test_credentials_outlive_a_restart_and_keyd_must_be_there(place):
    wait_for("the password", lambda: logs_in(place), 20)
    place.relay.stop()
    place.relay.start()
    wait_for("the credential after a restart", lambda: logs_in(place))
    place.cli("key", "lock")
    with submission_in_clear(place) as client:
        assert client.docmd("STARTTLS")[0] == 454
    place.keyd.stop()
    place.keyd.start()
    place.wait_keyd()
    wait_for("the credential when keyd is back", lambda: logs_in(place))


def submission_in_clear(place):
    client = smtplib.SMTP("127.0.0.1", place.submission, timeout=10)
    client.ehlo("client.example")
    return client


def test_the_list_says_who_may_log_in_and_nothing_secret(place):
    r = place.cli("credential", "list")
    assert r.returncode == 0
    rows = {line.split()[1]: line for line in r.stdout.splitlines()[1:]}
    assert "password" in rows["shop"] and "certificate" in rows["box"] and "2/1h" in rows["slow"]
    assert "argon2" not in place.cli("credential", "list", "--json").stdout


def test_neither_password_nor_hash_lies_on_the_disk_or_in_the_log(place):
    place.cli("credential", "add", "upstream", "provider", "--login", "relay@example.org", "--password-file",
              place.password_file)
    for needle in (PASSWORD, "$argon2id$", "relay@example.org"):
        assert not find_bytes(place.files(), [needle.encode()]), needle
    assert place.cli("credential", "remove", "upstream", "provider").returncode == 64
    assert place.cli("credential", "remove", "upstream", "provider", "--yes").returncode == 0
    assert place.cli("credential", "remove", "upstream", "provider", "--yes").returncode == 1


@pytest.mark.parametrize("args, what", [
    (("add", "inbound", "Bad Name", "--generate"), "name and customer"),
    (("add", "inbound", "x", "--generate", "--messages", "many"), "rates such as"),
    (("add", "inbound", "x", "--generate", "--customer", "nosuch"), "no such customer"),
    (("add", "inbound", "shop", "--generate"), "there already"),
    (("add", "sideways", "x", "--generate"), "inbound or upstream"),
    (("add", "upstream", "x", "--generate"), "needs --login"),
    (("password", "inbound", "nosuch", "--generate"), "no such credential"),
])
def test_what_is_wrong_with_a_wish_is_said(place, args, what):
    r = place.cli("credential", *args)
    assert r.returncode != 0
    assert what in r.stderr
    assert "Password" not in r.stdout
