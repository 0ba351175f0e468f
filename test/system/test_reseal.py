# SPDX-License-Identifier: Apache-2.0
"""A customer's new DEK: what relay's database keeps sealed goes over to it by itself, and the old DEK ends."""
import os
import re
import smtplib
import sqlite3
import ssl
import struct

import campaigns
from harness import find_bytes, free_port, wait_for

PASSWORD = "correct horse battery staple"
COLUMNS = (("credential", "login"), ("credential", "secret"), ("suppression", "address"), ("campaign_piece", "bytes"))


def keyrefs(sealpost):
    """{(table, column): {key reference}} of all sealed fields; the reference stands in front of each."""
    db = sqlite3.connect(f"file:{sealpost.path('relay', 'relay.db')}?mode=ro", uri=True)
    found = {}
    for table, column in COLUMNS:
        rows = db.execute(f"select {column} from {table} where {column} is not null").fetchall()
        found[table, column] = {struct.unpack_from(">I", field, 1)[0] for (field,) in rows}
    db.close()
    return found


def test_every_sealed_column_is_in_the_list_of_what_is_sealed_anew():
    """Who adds a column with sealed fields must add it there too: else its old key never ends."""
    root = os.path.join(os.path.dirname(__file__), "..", "..")
    with open(os.path.join(root, "relay", "store", "store_schema.c")) as f:
        schema = f.read()
    blobs = set()
    for table, body in re.findall(r'CREATE TABLE (\w+)\((.*?)STRICT', schema, re.S):
        for column in re.findall(r'[" (,](\w+) BLOB', body):
            blobs.add((table, column))
    in_clear = {("meta", "value"), ("credential", "fingerprint"), ("suppression", "hash"),
                ("campaign", "hash"), ("campaign", "approval"), ("campaign", "signature"), ("campaign_grant", "id"),
                ("sts", "policy"), ("tlsrpt_policy", "text")}  # what domains publish, for anybody to read
    assert blobs - in_clear == set(COLUMNS)


def test_a_new_dek_takes_over_credentials_suppressions_and_campaigns(sealpost):
    port = free_port()
    sealpost.configure(['{domain: "*", to: "127.0.0.1:9"}'],
                       listen=f'[{{address: "127.0.0.1:{sealpost.smtp_port}", mode: smarthost}}, '
                              f'{{address: "127.0.0.1:{port}", mode: submission}}]',
                       reseal="{settle: 1s}")
    sealpost.start()
    secret = os.path.join(sealpost.dir, "password")
    with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(PASSWORD)
    os.chown(secret, sealpost.uid, sealpost.uid)
    sealpost.cli("credential", "add", "inbound", "shop", "--password-file", secret, check=True)
    sealpost.cli("credential", "add", "upstream", "provider", "--login", "relay@example.org", "--password-file", secret,
                 check=True)
    for who in range(100):
        sealpost.cli("suppression", "add", f"gone-{who}@example.net", check=True)
    campaigns.trust(sealpost, "shop.example")
    source = campaigns.source(os.path.join(sealpost.dir, "source"), sealpost.uid)
    sealpost.cli("campaign", "add", source, "--author", "erika", check=True)
    before = keyrefs(sealpost)
    assert all(len(refs) == 1 for refs in before.values()), before
    sealpost.cli("key", "rotate", "dek", "default", check=True)
    after = wait_for("all fields under the new key", lambda: next(
        (now for now in [keyrefs(sealpost)] if all(len(now[c]) == 1 and now[c] != before[c] for c in before)), None), 60)
    assert len(set(map(frozenset, after.values()))) == 1
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.starttls(context=context)
        client.login("shop", PASSWORD)
    with smtplib.SMTP("127.0.0.1", sealpost.smtp_port, timeout=10) as client:
        client.ehlo("client.example")
        client.mail("a@example.org")
        assert client.rcpt("gone-57@example.net")[0] == 550
        assert client.rcpt("here@example.net")[0] == 250
    assert "tea from Assam" in sealpost.cli("campaign", "show", "example", "--text", check=True).stdout
    wait_for("the end of the old key", lambda: sealpost.keyd.events("dek-retired"), 60)
    assert not find_bytes([p for p in sealpost.files() if p != secret and not p.startswith(os.path.dirname(source))],
                          [b"tea from Assam", b"gone-57@example", PASSWORD.encode()])
