# SPDX-License-Identifier: Apache-2.0
"""The end-to-end half of make bench-milter: what one message costs a real sealpost-milter.

  memory   a message with an attachment of 25 MB, tracked, so that its body is kept until its end: memory by PSS above
           that of the idle milter when all of it has been sent, with 1 and with 8 sessions at once; target 2 MB each
  time     from MAIL FROM to the answer, and the rate of the body
  odd      messages that are none: 10,000 parts (the second is foreign to one campaign, the 64th too many for any), 100,000 nested tags,
           a header of 1 MB: time and answer

keyd and relay's API are played by the tests' own; the MTA is the tests' own as well."""
import argparse
import os
import re
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import milter_campaign as mc  # noqa: E402
import test_milter as tm  # noqa: E402
import test_milter_campaign as tmc  # noqa: E402

TARGET = 2 << 20


class Session(threading.Thread):
    """One message: sends all of it, waits at the gate, ends it."""

    def __init__(self, milter, campaign, sent, go_on):
        super().__init__()
        self.milter, self.campaign, self.sent, self.go_on = milter, campaign, sent, go_on
        self.answer = None

    def run(self):
        fields, body = self.campaign
        with self.milter.mta() as mta:
            began = time.monotonic()
            mta.mail("<a@shop.example>", "news")
            mta.send(b"R", b"<b@example.test>\0")
            mta.answer()
            for name, value in fields + [("X-DoPosta-Campaign", tm.campaign())]:
                mta.header(name, value)
            mta.content(body)
            self.streamed = time.monotonic() - began
            self.sent.wait()
            self.go_on.wait()
            began = time.monotonic()
            self.answer = mta.end()
            self.ended = time.monotonic() - began


def large(milter, campaign, sessions):
    """Bytes of memory for each session, and the slowest session's times."""
    before = tmc.memory(milter.child.pid)
    sent, go_on = threading.Barrier(sessions + 1), threading.Event()
    all_of_them = [Session(milter, campaign, sent, go_on) for _ in range(sessions)]
    for s in all_of_them:
        s.start()
    sent.wait()
    each = (tmc.memory(milter.child.pid) - before) / sessions
    go_on.set()
    for s in all_of_them:
        s.join()
        assert s.answer.accepted and s.answer.body, s.answer.text
    return each, max(s.streamed for s in all_of_them), max(s.ended for s in all_of_them)


def many_parts():
    """A campaign of as many parts as there may be: one more is the MIME gate's to refuse."""
    row = {"d": 1, "type": "text/plain", "charset": "utf-8", "tpl": 1}
    return mc.Campaign(name="cmp_many", number=9, subject="x", parts=[("text/plain", "x")],
                       mime=[{"d": 0, "type": "multipart/mixed"}] + [row] * 63)


def odd(milter):
    many_head = [f for f in many_parts().message()[0] if not f[0].startswith("Content-")]
    many_head += [("Content-Type", "multipart/mixed; boundary=b"), ("X-DoPosta-Campaign", tm.campaign(ident="cmp_many"))]
    head = tm.headers(tm.campaign()) + [("MIME-Version", "1.0")]
    part = b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    rows = [("10,000 parts", head + [("Content-Type", "multipart/mixed; boundary=b")], part * 10000 + b"--b--\r\n", "news"),
            ("10,000 parts, campaign of 64", many_head, part * 10000 + b"--b--\r\n", "news"),
            ("100,000 tags", head + [("Content-Type", "text/html")], b"<b>" * 100000 + b"\r\n", "news"),
            ("100,000 tags, links-only", [*tm.headers(), ("MIME-Version", "1.0"), ("Content-Type", "text/html")],
             b"<b>\r\n" * 100000, "receipts"),
            ("header of 1 MB", head + [("X", "x" * 900)] * 1100, b"x\r\n", "news")]
    for name, fields, body, login in rows:
        with milter.mta() as mta:
            began = time.monotonic()
            a = mta.message(headers=fields, body=body, login=login)
            print(f"  {name:<30} {1000 * (time.monotonic() - began):8.1f} ms  {a.text[:9] or 'accepted'}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", type=int, default=25, help="of the attachment in MB")
    o = options.parse_args()
    d = tempfile.mkdtemp(prefix="sealpost-bench-milter-")
    os.chmod(d, 0o777)
    os.mkdir(os.path.join(d, "state"))
    os.chmod(os.path.join(d, "state"), 0o777)
    keyd = mc.Keyd(os.path.join(d, "keyd.sock"), tm.SECRETS).start()
    c = mc.Campaign(track=tmc.TRACK, attachment=("application/pdf", "big.pdf", os.urandom(o.size * 1000000)))
    api = mc.Api(os.path.join(d, "api.sock"), keyd, [c, many_parts()]).start()
    milter = tmc.Milter(d, tmc.STREAMS.format(dir=d, until="2099-12-31")).start()
    worst = 0
    try:
        tm.wait_for(lambda: milter.events("campaign-loaded"))
        message = c.message()
        size = len(message[1]) / 1e6
        with milter.mta() as mta:
            assert tmc.send(mta, mc.Campaign(track=tmc.TRACK, number=7), "open")  # its pages are there
        print(f"{size:.1f} MB of body with an attachment of {o.size} MB, tracked")
        for sessions in (1, 8):
            each, streamed, ended = large(milter, message, sessions)
            worst = max(worst, each)
            print(f"  {sessions} session{'s' * (sessions > 1):<2} {each / 2**20:6.2f} MiB each, streamed in {streamed:5.2f} s "
                  f"({size * sessions / streamed:5.0f} MB/s), then {ended:5.2f} s to the answer with the new body")
        print("messages that are none")
        odd(milter)
    finally:
        milter.stop()
        api.stop()
        keyd.stop()
        shutil.rmtree(d, ignore_errors=True)
    print(f"memory of a session: {worst / 2**20:.2f} MiB, target 2 MiB: {'met' if worst <= TARGET else 'MISSED'}")
    return worst > TARGET


if __name__ == "__main__":
    sys.exit(main())
