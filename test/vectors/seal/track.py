#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Tracking tokens, written from sealpost-crypto(7) alone and with another AES-SIV than the C code's: a
# second opinion about the bytes. Writes track.txt beside this file; --check compares instead.
# Other tests import it to make and open tokens.
import base64
import os
import struct
import sys

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

CLICK, OPEN, UNSUBSCRIBE = 0, 1, 2


def key_of_epoch(track_key, epoch):
    h = hmac.HMAC(track_key, hashes.SHA256())
    h.update(b"sealpost-track-1 %d" % epoch + b"\x01")
    return h.finalize()


def key_of_audience(track_key):
    h = hmac.HMAC(track_key, hashes.SHA256())
    h.update(b"sealpost-audience-1\x01")
    return h.finalize()


def make(key, host, customer, kind, message, number, link, last, field, today):
    head = bytes([1 << 5 | kind << 3 | (today // 64) % 8])
    plain = struct.pack(">QIHH", message, number, link, last) + field
    return head + AESSIV(key).encrypt(plain, [head, host.encode(), customer.encode()])


def open_token(key, host, customer, token):
    plain = AESSIV(key).decrypt(token[1:], [token[:1], host.encode(), customer.encode()])
    return (token[0] >> 3 & 3,) + struct.unpack(">QIHH", plain[:16]) + (plain[16:],)


def url(token):
    return base64.urlsafe_b64encode(token).rstrip(b"=").decode()


def url_token(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def mail(token):
    return base64.b32encode(token).rstrip(b"=").decode().lower()


KEY = bytes(range(32))
OTHER = bytes(range(100, 132))
CASES = [
    ("a click", KEY, "t.shop.example", "shop", CLICK, 0x0123456789abcdef, 17, 3, 20800, b"", 20400),
    ("an open of nobody in particular", KEY, "t.shop.example", "shop", OPEN, 0, 17, 0, 20800, b"", 20400),
    ("to unsubscribe", KEY, "t.shop.example", "shop", UNSUBSCRIBE, 0xffffffffffffffff, 0xffffffff, 0, 20847, b"",
     20400),
    ("the longest life there is", OTHER, "t.shop.example", "shop", CLICK, 1, 1, 65535, 20479 + 447, b"", 20479),
    ("a link with a field", KEY, "t.shop.example", "shop", CLICK, 7, 8, 9, 20500, b"\x06SAVE20", 20400),
    ("two fields, one of them empty", KEY, "t.shop.example", "shop", CLICK, 7, 8, 9, 20500, b"\x00\x03abc", 20400),
    ("the longest field", KEY, "t.shop.example", "shop", CLICK, 7, 8, 9, 20500, b"\xfe" + b"x" * 254, 20400),
    ("long names", OTHER, "h" * 255, "c" * 64, UNSUBSCRIBE, 7, 8, 0, 20400, b"", 20400),
]


def text():
    out = ["# SPDX-License-Identifier: Apache-2.0\n"
           "# Tracking tokens of seal_track.h, written by track.py.\n"]
    for name, key, host, customer, kind, message, number, link, last, field, today in CASES:
        t = make(key, host, customer, kind, message, number, link, last, field, today)
        lines = ["# " + name, "key = " + key.hex(), 'host = "%s"' % host, 'customer = "%s"' % customer,
                 "kind = %02x" % kind, "message = %016x" % message, "number = %08x" % number, "link = %04x" % link,
                 "last = %04x" % last]
        if field:
            lines.append("field = " + field.hex())
        lines += ["today = %08x" % today, "epoch = %08x" % (today // 64), "token = " + t.hex(), 'url = "%s"' % url(t)]
        if not field:
            lines.append('mail = "%s"' % mail(t))
        out.append("\n" + "\n".join(lines) + "\n")
    return "".join(out)


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "track.txt")
    if sys.argv[1:] == ["--check"]:
        with open(path, encoding="ascii") as f:
            return 0 if f.read() == text() else "track.txt is not what track.py writes"
    with open(path, "w", encoding="ascii") as f:
        f.write(text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
