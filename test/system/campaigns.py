# SPDX-License-Identifier: Apache-2.0
"""The example campaign of etc/campaign, as tests and demo use it: its source, its approver, messages that are instances."""
import datetime
import http.client
import json
import os
import re
import socket
import subprocess
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

EXAMPLE = os.path.join(os.path.dirname(__file__), "..", "..", "etc", "campaign")
NAMES = ("example.yaml", "example.txt", "example.html")


def valid(days=30):
    """From yesterday on: what the example says is over some day."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0, tzinfo=None)
    return f'valid: {{from: "{(now - datetime.timedelta(1)).isoformat()}Z", ' \
           f'to: "{(now + datetime.timedelta(days)).isoformat()}Z"}}'


def source(directory, owner, replace=(), extra=None):
    """A copy of the example in directory, with (FILE, OLD, NEW) replaced and other files written; the path of its YAML."""
    os.makedirs(directory, exist_ok=True)
    texts = {}
    for name in NAMES:
        with open(os.path.join(EXAMPLE, name), encoding="utf-8") as f:
            texts[name] = f.read()
    texts["example.yaml"] = re.sub(r"(?m)^valid: .*", valid(), texts["example.yaml"])
    for name, old, new in replace:
        assert old in texts[name], (name, old)
        texts[name] = texts[name].replace(old, new)
    for name, text in {**texts, **(extra or {})}.items():
        path = os.path.join(directory, name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        if os.getuid() == 0:
            os.chown(path, owner, owner)
    if os.getuid() == 0:
        os.chown(directory, owner, owner)
    return os.path.join(directory, "example.yaml")


def write_key(s, name, key=None):
    """A private key of an approver, and its public part: paths of both."""
    key = key or ed25519.Ed25519PrivateKey.generate()
    paths = []
    for ending, data in ((".pem", key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                                    serialization.NoEncryption())),
                         (".pub", key.public_key().public_bytes(serialization.Encoding.PEM,
                                                                serialization.PublicFormat.SubjectPublicKeyInfo))):
        paths.append(os.path.join(s.dir, name + ending))
        with open(os.open(paths[-1], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as f:
            f.write(data)
        if os.getuid() == 0:
            os.chown(paths[-1], s.uid, s.uid)
    return paths


def trust(s, *domains, customer="default"):
    """The customer's by an administrator's word: there is no DNS here."""
    for domain in domains:
        s.cli("domain", "trust", "--customer", customer, "--reason", "a test's own", domain, check=True)


def enroll(s, name="bert", key=None, domains=("shop.example",)):
    """An approver of the default customer, who gets the example's domain; the path of his private key."""
    trust(s, *domains)
    private, public = write_key(s, name, key)
    s.cli("approver", "add", name, "--customer", "default", "--key", public, check=True)
    return private


def activate(s, path, key, approver="bert", author="erika", name="example", customer="default", audience=None):
    """From the source to an active version: its number. audience: a file of addresses."""
    s.cli("campaign", "add", path, "--author", author, *(["--audience", audience] if audience else []), check=True)
    s.cli("campaign", "approve", name, "--customer", customer, "--approver", approver, "--key", key, "--yes", check=True)
    s.cli("campaign", "activate", name, "--customer", customer, check=True)
    return json.loads(s.cli("campaign", "show", name, "--customer", customer, "--json", check=True).stdout)["version"]


def message(rcpt, values=None, message_id="<1@shop.example>", campaign=None, boundary="=_b1", replace=()):
    """An instance of the example, with CR LF. campaign: the header's value. replace: (OLD, NEW) in the whole of it."""
    values = {"first_name": "Anna", "code": "X7Q2", **(values or {})}
    parts = []
    for name, kind in (("example.txt", "plain"), ("example.html", "html")):
        with open(os.path.join(EXAMPLE, name), encoding="utf-8") as f:
            text = f.read()
        for field, value in values.items():
            text = text.replace("{{" + field + "}}", value)
        parts.append(f"--{boundary}\nContent-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{text}\n")
    head = [f"X-DoPosta-Campaign: {campaign}"] if campaign else []
    head += ["From: Shop <news@shop.example>", f"To: <{rcpt}>", f"Subject: {values['first_name']}, our November letter",
             "Date: Sun, 22 Nov 2026 12:00:00 +0000", f"Message-ID: {message_id}", "MIME-Version: 1.0",
             f'Content-Type: multipart/alternative; boundary="{boundary}"']
    text = "\n".join(head) + "\n\n" + "".join(parts) + f"--{boundary}--\n"
    for old, new in replace:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text.replace("\n", "\r\n").encode()


def header(s, rcpt, version=1, sender="news@shop.example", message_id="<1@shop.example>", name="example"):
    """Value of X-DoPosta-Campaign for one message."""
    out = s.cli("campaign", "header", "--customer", "default", "--id", name, "--version", str(version), "--from", sender,
                "--to", rcpt, "--message-id", message_id, check=True).stdout
    return out.split(": ", 1)[1].strip()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def api(s, method, path, body=None):
    """One request to relay's local API: (status, JSON)."""
    c = _Unix(s.path("run", "api.sock"))
    try:
        c.request(method, path, None if body is None else json.dumps(body))
        r = c.getresponse()
        return r.status, json.loads(r.read())
    finally:
        c.close()


def api_as(s, uid, method, path, body=None):
    """The same as another user (root only)."""
    code = "import json, sys; sys.path.insert(0, sys.argv[1]); import campaigns, types; " \
           "s = types.SimpleNamespace(path=lambda *a: '/'.join((sys.argv[2], *a))); " \
           "print(json.dumps(campaigns.api(s, sys.argv[3], sys.argv[4], json.loads(sys.argv[5]))))"
    done = subprocess.run([sys.executable, "-B", "-c", code, os.path.dirname(os.path.abspath(__file__)), s.prefix, method, path,
                           json.dumps(body)], capture_output=True, text=True, timeout=60, user=uid, group=uid,
                          extra_groups=[])
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))
