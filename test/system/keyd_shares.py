# SPDX-License-Identifier: Apache-2.0
"""Shamir's shares and their text from Python, from sealpost-keyd-store(7) alone and in another way than keyd goes:
logarithms where it shifts, whole polynomials where it weighs points. Run as a program it prints the vectors of
test/vectors/keyd/shares.txt."""
import base64
import hashlib
import hmac
from collections import namedtuple

Share = namedtuple("Share", "set k x y")

EXP, LOG = [0] * 510, [0] * 256
power = 1
for exponent in range(255):
    EXP[exponent] = EXP[exponent + 255] = power
    LOG[power] = exponent
    power ^= power << 1  # times 3, which generates the field
    power ^= 0x11b if power & 0x100 else 0


def times(a, b):
    return EXP[LOG[a] + LOG[b]] if a and b else 0


def over(a, b):
    return EXP[LOG[a] - LOG[b] + 255] if a else 0


def at(coefficients, x):
    value = 0
    for c in reversed(coefficients):
        value = times(value, x) ^ c
    return value


def split(key, k, n, coefficients, set_id):
    """coefficients: k - 1 byte strings as long as the key, of x to the 1st, 2nd, ... power."""
    assert len(coefficients) == k - 1
    return [Share(set_id, k, x, bytes(at(column, x) for column in zip(key, *coefficients))) for x in range(1, n + 1)]


def combine(shares):
    """Newton's divided differences, then the polynomial at 0."""
    xs, key = [s.x for s in shares], []
    for ys in zip(*(s.y for s in shares)):
        d = list(ys)
        for order in range(1, len(d)):
            for i in range(len(d) - 1, order - 1, -1):
                d[i] = over(d[i] ^ d[i - 1], xs[i] ^ xs[i - order])
        value = 0
        for c, x in zip(reversed(d), reversed(xs)):
            value = times(value, x) ^ c
        key.append(value)
    return bytes(key)


def check(s):
    return hmac.new(b"sealpost-share-1-", s.set + bytes([s.k, s.x]) + s.y, hashlib.sha256).digest()[:5]


def to_text(s):
    letters = base64.b32encode(s.set + s.y + check(s)).decode().lower()
    return f"sealpost-share-1-{s.k}-{s.x}-" + "-".join(letters[i:i + 6] for i in range(0, 72, 6))


def of_text(text):
    fields = text.strip().lower().split("-")
    assert fields[:3] == ["sealpost", "share", "1"]
    data = base64.b32decode("".join(fields[5:]).upper())
    s = Share(data[:8], int(fields[3]), int(fields[4]), data[8:40])
    assert len(data) == 45 and check(s) == data[40:], "a typo"
    return s


def print_vectors():
    print("# SPDX-License-Identifier: Apache-2.0\n"
          "# Shares of a key, computed by test/system/keyd_shares.py: y of x = 1 .. n in order, and their texts.")
    for k, n in ((2, 2), (2, 3), (3, 5), (5, 8), (7, 7), (16, 20)):
        seed = hashlib.shake_256(b"%d of %d" % (k, n)).digest(32 * k + 8)
        key, set_id = seed[:32], seed[-8:]
        shares = split(key, k, n, [seed[32 * i:32 * i + 32] for i in range(1, k)], set_id)
        print(f'\nk = {k:02x}\nn = {n:02x}\nkey = {key.hex()}\nset = {set_id.hex()}')
        print(f'y = {b"".join(s.y for s in shares).hex()}\nfirst = "{to_text(shares[0])}"\nlast = "{to_text(shares[-1])}"')
    key = bytes(range(32))
    shares = split(key, 2, 255, [bytes(255 - i for i in range(32))], bytes(8))
    print(f'\nk = 02\nn = ff\nkey = {key.hex()}\nset = {bytes(8).hex()}\ny = {b"".join(s.y for s in shares).hex()}')
    print(f'first = "{to_text(shares[0])}"\nlast = "{to_text(shares[-1])}"')


if __name__ == "__main__":
    print_vectors()
