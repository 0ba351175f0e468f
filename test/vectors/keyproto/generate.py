#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Writes the examples of sealpost-keyproto(7) beside this file: one whole frame each, in hexadecimal.
# Written from the manual page alone, so that it is a second opinion about the bytes.
# With --corpus DIR it also writes the bodies as inputs for fuzz_keyproto.
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def u8(v): return struct.pack(">B", v)
def u16(v): return struct.pack(">H", v)
def u32(v): return struct.pack(">I", v)
def u64(v): return struct.pack(">Q", v)
def s8(b): return u8(len(b)) + b
def s16(b): return u16(len(b)) + b
def run(first, n): return bytes((first + i) & 255 for i in range(n))


def frame(op, request, body=b"", status=0, epoch=0):
    return u16(1) + u16(op) + u32(len(body)) + u64(request) + u32(status) + u32(epoch) + body


CONTEXT = b"\x01\x07default\x08\x00\x00\x00\x00\x00\x00\x10\x01\x04body"
SPKI = run(0x30, 91)
STATUS = (b'{"state":"ready","store":"00112233445566778899aabbccddeeff","generation":12,"uptime_s":5}')
SCHEDULE = (b'{"shards":[{"shard":128,"version":2,"created":1795341600000000,"due":1803117600000000,"deks":3906,"left":0,'
            b'"older":[{"version":1,"state":"retired","until":1797933600000000}]}]}')
MARK = u64(12) + u64(3456) + run(0x70, 8)
AUDIT_LINE = (b'{"seq":1,"time":"2026-11-22T06:16:18.000001Z","event":"stop","hash":"' + b"0" * 64 + b'"}\n')
PROPOSALS = (b'{"proposals":[{"number":1,"op":"zeroize","digest":"' + b"0" * 64
             + b'","uid":1000,"approved":[1000],"need":2,"expires_s":3590}]}')
SLOT_FILE = u8(1) + s16(b"")
SLOT_PASS = u8(2) + s16(b"correct horse battery staple")
SHARE = (b"sealpost-share-1-2-1-6i4awa-33dxha-g7e3yx-ipgbxs-sdnhet-46ebtp-rlkzzz-zf2n6n-juw4fq-xislh6-vxe6hv-wl2ssb")

# name of the example, codec (row in test/unit/keyproto_roundtrip.h, None: no codec), frame
EXAMPLES = [
    ("hello", 0, frame(1, 1, u16(1) + u16(1) + u8(1) + s8(b"sealpost-relay"))),
    ("hello-reply", 1, frame(1, 1, u16(1) + u8(3) + run(0, 16), epoch=7)),
    ("status", None, frame(2, 2)),
    ("status-reply", None, frame(2, 2, STATUS, epoch=7)),
    ("derive-new", 2, frame(16, 3, s8(b"default") + u8(1) + u16(2) + s8(CONTEXT) + s8(b"x"))),
    ("derive-new-reply", 3, frame(16, 3, u16(2) + u32(0) + u32(65537) + run(0x10, 24) + run(0x80, 76)
                                  + u32(2) + u32(0), epoch=7)),
    ("derive-existing", 4, frame(17, 4, u16(1) + s8(b"default") + u8(1) + u32(65537) + run(0x10, 24)
                                 + s8(CONTEXT))),
    ("derive-existing-reply", 3, frame(17, 4, u16(1) + u32(0) + u32(65537) + run(0x10, 24)
                                       + run(0x80, 76), epoch=7)),
    ("seal-fields", 5, frame(18, 5, s8(b"acme.example") + u8(2) + u16(2)
                             + s16(b"aad one") + s16(b"plain one") + s16(b"") + s16(b""))),
    ("seal-fields-reply", 6, frame(18, 5, u16(2) + u32(0) + s16(run(1, 54)) + u32(0) + s16(run(1, 45)),
                                   epoch=7)),
    ("open-fields", 5, frame(19, 6, s8(b"acme.example") + u8(4) + u16(1)
                             + s16(b"aad one") + s16(run(1, 54)))),
    ("open-fields-reply", 6, frame(19, 6, u16(2) + u32(0) + s16(b"plain one") + u32(3) + s16(b""),
                                   epoch=7)),
    ("blind-index", 5, frame(20, 7, s8(b"default") + u8(3) + u16(1)
                             + s16(b"suppression.address") + s16(b"ann@example.test"))),
    ("blind-index-reply", 6, frame(20, 7, u16(1) + u32(0) + s16(run(0x40, 32)), epoch=7)),
    ("mac", 7, frame(21, 8, s8(b"default") + s8(b"campaign/1") + s16(b"dp-camp-1\ncmp_1") + s8(b""))),
    ("mac-reply", 14, frame(21, 8, s16(run(0xa0, 32)), epoch=7)),
    ("verify-mac", 7, frame(22, 9, s8(b"default") + s8(b"campaign/1") + s16(b"dp-camp-1\ncmp_1")
                            + s8(run(0xa0, 32)))),
    ("verify-mac-reply", None, frame(22, 9, status=3, epoch=7)),
    ("sign", 8, frame(23, 10, s8(b"tls/relay") + u8(1) + s16(b"to be signed"))),
    ("sign-reply", 14, frame(23, 10, s16(run(0x30, 70)), epoch=7)),
    ("public-key", 14, frame(24, 11, s16(b"tls/relay"))),
    ("public-key-reply", 9, frame(24, 11, u8(1) + s16(SPKI), epoch=7)),
    ("init", 10, frame(32, 12, u16(2) + SLOT_FILE + SLOT_PASS)),
    ("unseal", 11, frame(33, 13, SLOT_PASS)),
    ("lock", None, frame(34, 14)),
    ("customer-add", 14, frame(35, 15, s16(b"acme.example"))),
    ("key-add", 12, frame(36, 16, s8(b"dkim/acme.example/s2026") + u8(2))),
    ("key-add-reply", 9, frame(36, 16, u8(2) + s16(run(0x30, 294)), epoch=7)),
    ("event", 13, frame(64, 0, u8(2), epoch=8)),
    ("rotate", 15, frame(42, 17, u8(1) + s8(b"17") + u8(2))),
    ("rotation", 17, frame(43, 18, u8(1))),
    ("schedule", 16, frame(44, 19, u8(1) + u32(128))),
    ("schedule-reply", None, frame(44, 19, SCHEDULE, epoch=7)),
    ("init-reply", 19, frame(32, 12, u32(0) + u8(0), epoch=7)),
    ("unseal-share", 11, frame(33, 17, u8(4) + s16(SHARE))),
    ("unseal-share-reply", None, frame(33, 17, status=11, epoch=7)),
    ("slot-add", 18, frame(38, 18, SLOT_PASS + u8(4) + s16(b"") + s8(b"board") + u8(2) + u8(2))),
    ("slot-add-reply", 19, frame(38, 18, u32(3) + u8(2) + s8(SHARE) + s8(SHARE), epoch=7)),
    ("slot-remove", 21, frame(39, 19, u32(3))),
    ("slot-test", 20, frame(40, 20, u32(2) + s16(b"correct horse battery staple"))),
    ("unseal-cancel", None, frame(41, 21)),
    ("witness", 22, frame(25, 17, run(0x50, 16) + MARK + u32(2) + u16(0))),
    ("witness-reply", 22, frame(25, 17, run(0x50, 16) + MARK + u32(3) + u16(1) + s16(run(0x60, 45)), epoch=8)),
    ("sign-version", 8, frame(23, 22, s8(b"tls/relay#12") + u8(1) + s16(b"to be signed"))),
    ("blind-index-older", 5, frame(20, 23, s8(b"default") + u8(3) + u16(1) + s16(b"suppression.address")
                                   + s16(b"ann@example.test") + u32(65537))),
    ("reseal-fields", 5, frame(26, 24, s8(b"acme.example") + u8(2) + u16(1)
                               + s16(b"aad one") + s16(run(1, 54)))),
    ("reseal-fields-reply", 6, frame(26, 24, u16(2) + u32(0) + s16(run(2, 54)) + u32(3) + s16(b""), epoch=7)),
    ("customer-keys", 14, frame(27, 25, s16(b"acme.example"))),
    ("customer-keys-reply", 23, frame(27, 25, u16(2)
                                      + s8(b"acme.example") + u32(65538) + u32(2) + u8(2) + run(1, 8) + run(1, 8)
                                      + s8(b"acme.example") + u32(65537) + u32(1) + u8(3) + run(0, 8) + run(1, 8),
                                      epoch=7)),
    ("dek-empty", 24, frame(28, 26, s8(b"acme.example") + u32(65537))),
    ("key-list", None, frame(37, 27, u32(900))),
    ("key-list-reply", None, frame(37, 27, b'{"keys":[{"label":"tls/relay","type":"ec-p256","version":12,'
                                   b'"state":"next","created":1795000000000000}]}', epoch=7)),
    ("selftest", None, frame(51, 22)),
    ("selftest-reply", None, frame(51, 22, b'{"passed":true,"failed":null,"usec":9000}', epoch=7)),
    ("zeroize", 28, frame(52, 23, run(0, 16))),
    ("zeroize-proposed", 27, frame(52, 23, u64(1), status=12, epoch=7)),
    ("audit-read", 25, frame(54, 24, u32(2) + u64(65536))),
    ("audit-read-reply", 26, frame(54, 24, u32(2) + u64(65536) + u32(3) + u64(0) + u64(4711) + run(0x60, 32)
                                   + s16(AUDIT_LINE), epoch=7)),
    ("approve", 27, frame(55, 25, u64(1))),
    ("proposals", None, frame(56, 26)),
    ("proposals-reply", None, frame(56, 26, PROPOSALS, epoch=7)),
    ("withdraw", 27, frame(57, 27, u64(1))),
    ("shred", 14, frame(45, 28, s16(b"acme.example"))),
    ("shreds", 33, frame(46, 29, u32(0))),
    ("shreds-reply", None, frame(46, 29, b'{"shreds":[{"customer":"acme.example","state":"backups","ordered":1795341600,'
                                 b'"dead":1795341600,"changed":1795341660,"waits":[{"for":"copies","until":1798365600},'
                                 b'{"for":"backup","id":3,"until":1798365600}]}],"next":null}', epoch=7)),
    ("backup", 29, frame(47, 30, u8(1) + u8(1) + u64(0) + u64(0))),
    ("backup-reply", 30, frame(47, 30, run(0x40, 8) + u64(17000) + u32(3) + s8(run(0x80, 32)), epoch=7)),
    ("backup-read", 29, frame(47, 31, u8(2) + u8(0) + run(0x40, 8) + u64(16384))),
    ("backup-read-reply", 14, frame(47, 31, s16(run(0, 100)), epoch=7)),
    ("backup-forget", 31, frame(48, 32, u32(3))),
    ("checkpoint", 34, frame(29, 34, s16(b"ledger") + u64(12) + u64(4711) + run(0x20, 32))),
    ("checkpoint-reply", 35, frame(29, 34, u32(2) + run(0x40, 64), epoch=7)),
    ("checkpoint-last", 14, frame(30, 35, s16(b"ledger"))),
    ("checkpoint-last-reply", 36, frame(30, 35, u64(12) + u64(4711) + run(0x20, 32) + u32(2) + run(0x40, 64)
                                        + run(0x30, 44), epoch=7)),
    ("key-versions", 14, frame(31, 36, s16(b"dkim/acme.example/ed25519"))),
    ("key-versions-reply", 37, frame(31, 36, u16(2)
                                     + u32(2) + u8(3) + u8(1) + run(1, 8) + run(2, 8) + s16(run(0x30, 44))
                                     + u32(1) + u8(3) + u8(2) + run(0, 8) + run(1, 8) + s16(run(0x31, 44)), epoch=7)),
    ("manifest-sign", 38, frame(58, 37, s8(b"acme.example") + s8(b"spring-sale") + u32(3) + run(0x20, 32)
                                + s8(b"otto") + s8(b"erika@acme.example") + s8(run(0x40, 64)))),
    ("manifest-sign-reply", 39, frame(58, 37, u32(2) + run(0x40, 64), epoch=7)),
    ("approver-add", 40, frame(59, 38, s8(b"erika@acme.example") + s8(b"*") + s16(run(0x30, 44)))),
    ("approver-remove", 14, frame(60, 39, s16(b"erika@acme.example"))),
    ("approvers", None, frame(61, 40, u32(0))),
    ("approvers-reply", None, frame(61, 40, b'{"approvers":[{"name":"erika@acme.example","customer":"*","type":"ed25519",'
                                    b'"added":"2026-11-22T06:16:18Z","fingerprint":"' + b"0" * 64
                                    + b'","key":"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="}],'
                                    b'"next":null}', epoch=7)),
    ("track-key", 41, frame(62, 41, s8(b"acme.example") + u32(318))),
    ("track-key-reply", 14, frame(62, 41, s16(run(0x80, 32)), epoch=7)),
    ("audience-key", 42, frame(63, 41, s8(b"acme.example"))),
    ("audience-key-reply", 14, frame(63, 41, s16(run(0x80, 32)), epoch=7)),
    ("restore", 32, frame(49, 33, u64(1100) + u64(1000) + s8(run(0x80, 32)) + s16(run(0, 100)))),
]


def main():
    for name, _, data in EXAMPLES:
        with open(os.path.join(HERE, name + ".hex"), "w") as f:
            f.write("# %s: one frame; first line is the head\n%s\n" % (name, data[:24].hex()))
            for i in range(24, len(data), 32):
                f.write(data[i:i + 32].hex() + "\n")
    if sys.argv[1:2] == ["--corpus"]:
        for name, row, data in EXAMPLES:
            if row is not None:
                with open(os.path.join(sys.argv[2], name), "wb") as f:
                    f.write(bytes([row]) + data[24:])


main()
