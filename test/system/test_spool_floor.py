# SPDX-License-Identifier: Apache-2.0
"""The floors of the spool's file system: below one new mail gets 452 4.3.1, delivery goes on, and mail is taken again by itself."""
import os
import smtplib
import subprocess
import time

import pytest

import harness

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="mounts a small tmpfs: needs root")
SIZE, FLOOR, INODES, INODE_FLOOR = 260 << 20, 32 << 20, 300, 50


def send(port):
    """The last reply to a small message: code and text."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as s:
        try:
            s.sendmail("a@a.example", ["b@b.example"], b"Subject: x\r\n\r\n" + b"y" * 900 + b"\r\n")
            return 250, ""
        except smtplib.SMTPSenderRefused as e:
            return e.smtp_code, e.smtp_error.decode()
        except smtplib.SMTPDataError as e:
            return e.smtp_code, e.smtp_error.decode()


def fill_bytes(directory):
    st = os.statvfs(directory)
    with open(os.path.join(directory, "filler"), "wb") as f:
        os.posix_fallocate(f.fileno(), 0, st.f_bavail * st.f_frsize - FLOOR // 2)


def fill_inodes(directory):
    for i in range(os.statvfs(directory).f_favail - INODE_FLOOR // 2):
        open(os.path.join(directory, f"filler{i}"), "wb").close()


@pytest.mark.parametrize("fill", [fill_bytes, fill_inodes])
def test_below_a_floor_mail_is_refused_and_delivered(sealpost, sink, fill):
    state = sealpost.path("relay")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},nr_inodes={INODES},uid={sealpost.uid},mode=700",
                    "sealpost-test", state], check=True)
    try:
        fillers = os.path.join(state, "fillers")
        os.mkdir(fillers)
        sealpost.configure([f'{{domain: "*", to: "127.0.0.1:{sink.port}", tls: encrypt}}'],
                           limits=f"{{free_space: {FLOOR >> 20}M, free_inodes: {INODE_FLOOR}}}")
        sealpost.start()
        sink.stop()
        for _ in range(20):
            assert send(sealpost.smtp_port)[0] == 250
        fill(fillers)
        code, text = harness.wait_for(
            "a refusal", lambda: next((r for r in [send(sealpost.smtp_port)] if r[0] != 250), None), 10, 0.2)
        assert (code, text[:5]) == (452, "4.3.1")
        # what was taken meanwhile counts too
        accepted = sealpost.status()["relay"]["counters"]["messages_in"]
        assert accepted >= 20
        assert "disk is (nearly) full" in sealpost.cli("status").stdout
        sink.start()
        sealpost.wait_empty()
        assert sink.report()["messages"] == accepted
        assert send(sealpost.smtp_port)[0] == 452  # still
        for name in os.listdir(fillers):
            os.unlink(os.path.join(fillers, name))
        freed = time.monotonic()
        harness.wait_for("room to be noticed", lambda: send(sealpost.smtp_port)[0] == 250, 5, 0.1)
        assert time.monotonic() - freed < 5
        sealpost.wait_empty()
        assert sink.report()["messages"] == accepted + 1
        assert sealpost.relay.events("spool-full") and sealpost.relay.events("spool-ready")
    finally:
        sealpost.kill()
        subprocess.run(["umount", state], check=True)
