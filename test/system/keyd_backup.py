# SPDX-License-Identifier: Apache-2.0
"""A backup of keyd's store read from Python, byte for byte as sealpost-keyd-backup(7) has it."""
import struct
from collections import namedtuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from keyd_store import hkdf

Backup = namedtuple("Backup", "store generation made sequence key snapshot")
PLAIN = 16384


def read(data, secret):
    """The snapshot in it; raises if one bit is wrong."""
    assert data[:20] == b"sealpost-backup1" + struct.pack(">I", 1)
    store, generation, made, sequence, key, length = struct.unpack(">16sQQQIQ", data[20:72])
    salt, commitment = data[72:96], data[96:128]
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + data[:72]
    derived = hkdf(hkdf(secret, b"sealpost-backup-1"), info, 76, hashes.SHA512())
    aead, base, own = AESGCM(derived[:32]), int.from_bytes(derived[32:44], "big"), derived[44:]
    assert own == commitment
    plain, chunks = b"", data[128:]
    for i in range(length // PLAIN + 1):
        chunk, chunks = chunks[:PLAIN + 16], chunks[PLAIN + 16:]
        plain += aead.decrypt((base ^ i).to_bytes(12, "big"), chunk, b"")
    assert not chunks and len(plain) == length
    return Backup(store, generation, made, sequence, key, plain)
