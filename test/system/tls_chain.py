# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests of verified TLS: authorities, chains with any fault wanted, and TLSA records that fit them."""
import datetime
import hashlib
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM


def certificate(subject, key, issuer, issuer_key, names=(), ca=False, days=(-2, 30)):
    now = datetime.datetime.utcnow()
    called = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n[:64])]) for n in (subject, issuer)]
    b = (x509.CertificateBuilder().subject_name(called[0]).issuer_name(called[1]).public_key(key.public_key())
         .serial_number(x509.random_serial_number())
         .not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY)
         .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
         .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False))
    if names:
        b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    if ca:
        b = b.add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
    return b.sign(issuer_key, hashes.SHA256())


class Chain:
    """What a server presents: certs[0] is its own."""

    def __init__(self, key, certs):
        self.key, self.certs = key, certs

    def sending(self, *certs):
        """The same server, presenting these behind its own."""
        return Chain(self.key, [self.certs[0], *certs])

    def write(self, directory, name):
        """Paths of certificate chain and key, for ssl.SSLContext.load_cert_chain."""
        paths = os.path.join(directory, name + ".pem"), os.path.join(directory, name + ".key")
        with open(paths[0], "wb") as f:
            f.writelines(c.public_bytes(PEM) for c in self.certs)
        with open(paths[1], "wb") as f:
            f.write(self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return paths


def own(*names, days=(-2, 30)):
    """Self-signed, of no authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Chain(key, [certificate(names[0], key, names[0], key, names, days=days)])


class Authority:
    """A root and the intermediate that issues."""

    def __init__(self, name):
        self.root_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = certificate(name + " Root", self.root_key, name + " Root", self.root_key, ca=True, days=(-2, 3000))
        self.issuer = certificate(name + " Issuer", self.key, name + " Root", self.root_key, ca=True, days=(-2, 1000))
        self.name = name

    def chain(self, *names, expired=False):
        """Its own and the intermediate; names as in DNS, or *.name."""
        key = ec.generate_private_key(ec.SECP256R1())
        days = (-40, -1) if expired else (-2, 30)
        return Chain(key, [certificate(names[0], key, self.name + " Issuer", self.key, names, days=days), self.issuer])

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.root.public_bytes(PEM))
        os.chmod(path, 0o644)


def tlsa(usage, selector, matching, cert):
    """Text of the TLSA record that fits a certificate."""
    data = cert.public_bytes(DER) if selector == 0 else \
        cert.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if matching:
        data = hashlib.new({1: "sha256", 2: "sha512"}[matching], data).digest()
    return f"{usage} {selector} {matching} {data.hex()}"
