# SPDX-License-Identifier: Apache-2.0
"""TLS reports (RFC 8460): a day of sessions that go well and wrong, the day's end by a faked clock, and what domains then get by
mail and by HTTPS. Days end by libfaketime: relay alone is under it, and its monotonic clock runs as ever."""
import datetime
import email
import email.policy
import glob
import gzip
import http.server
import json
import os
import re
import ssl
import threading
import time

import dkim_verify
import harness
import jsonschema
import pytest
import tls_chain
import tls_world
import tlsrpt_schema
from tls_world import SENDER, policy

FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
pytestmark = pytest.mark.skipif(not tls_world.available() or not FAKETIME, reason="needs root, nsd, ldnsutils and faketime")

FROM = f"tls-reports@{SENDER}"
DAY = 86400


class Clock:
    """relay's wall clock: so many seconds ahead."""

    def __init__(self, path):
        self.path, self.ahead = path, 0
        self.set(0)

    def set(self, ahead):
        self.ahead = ahead
        with open(self.path + ".new", "w") as f:
            f.write(f"+{ahead}\n")
        os.rename(self.path + ".new", self.path)

    def now(self):
        return time.time() + self.ahead

    def day(self):
        return datetime.datetime.fromtimestamp(self.now(), datetime.timezone.utc).date()

    def next_day(self, seconds=2):
        """So many seconds after the next midnight (UTC)."""
        now = self.now()
        self.set(self.ahead + int(DAY - now % DAY) + seconds)

    def env(self):
        return {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": self.path, "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


class Collector:
    """Takes reports by HTTPS; says no (503) to paths in refuses."""

    def __init__(self, world, name):
        self.name, self.posts, self.refuses = name, [], set()
        address = world.address(2)
        world.zones.add(name, "A", address, ttl=60)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts.append((self.path, self.headers["Content-Type"], body))
                self.send_response(503 if self.path in outer.refuses else 201)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*world.ca.chain(name).write(world.dir, name))
        self.server = http.server.ThreadingHTTPServer((address, 443), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def of(self, path):
        return [json.loads(gzip.decompress(body)) for p, _, body in self.posts if p == path]


def sign(s, clock):
    """Keys for the domain that reports come from, in keyd, which runs; what verifies by them."""
    with dkim_verify.Officer(s) as officer:
        officer.dkim_add(SENDER)
        records = officer.dkim_records(SENDER)
    return lambda message: dkim_verify.dkimpy(message, records, clock.now)


class Day:
    """A world in which it goes wrong in known ways."""

    def __init__(self, w):
        self.w = w
        self.collector = w._keep(Collector(w, "collector.example"))
        self.sink = w.domain("sink.example").host()
        self.build()
        w.publish()
        self.clock = Clock(os.path.join(w.dir, "clock"))
        self.s = w.relay(start=False, tlsrpt=f"{{from: {FROM}, organization: 'Test, Inc.', contact: 'tls@{SENDER}', delay: 0s}}",
                         dkim=f"[{{domain: {SENDER}}}]", workers="2")
        os.chmod(self.clock.path, 0o644)
        self.s.relay.env = self.clock.env()
        self.s.write("keyd.yaml", self.s.read("keyd.yaml").replace("peers:\n", f'peers:\n  "{os.getuid()}": [officer]\n'))
        self.s.start("keyd")
        self.verify = sign(self.s, self.clock)
        self.s.start("relay")

    def wants(self, d, *rua):
        d.add("_smtp._tls", "TXT", f'"v=TLSRPTv1; rua={",".join(rua)}"')

    def both(self, d):
        label = d.name.split(".")[0]
        self.wants(d, f"mailto:{label}@sink.example", f"https://collector.example/{label}")

    def build(self):
        w = self.w
        d = w.domain("plain.example")  # no policy at all
        d.host()
        self.both(d)
        d = w.domain("dane.example")  # one host as it should be, and one whose record is of another key
        d.host("mx1", tlsa=[(3, 1, 1)], preference=20)
        d.host("mx0", tlsa=[tls_chain.tlsa(3, 1, 1, tls_chain.own("other").certs[0])], preference=10)
        self.both(d)
        d = w.domain("expired.example")  # testing: it is delivered, and told of
        d.host(chain=w.ca.chain("mx.expired.example", expired=True))
        d.sts(policy("mx.expired.example", mode="testing"))
        self.both(d)
        d = w.domain("stripped.example")  # enforce, and no STARTTLS
        d.host(chain="ca", starttls="hidden")
        d.sts(policy("mx.stripped.example", "*.more.example"))
        self.both(d)
        d = w.domain("fetch.example")  # says that it has a policy, and nobody serves it
        d.host()
        d.sts(policy("mx.fetch.example")).stop()
        self.both(d)
        d = w.domain("silent.example")  # asks for nothing
        d.host()
        d = w.domain("twice.example")  # asks twice
        d.host()
        d.add("_smtp._tls", "TXT", '"v=TLSRPTv1; rua=mailto:a@sink.example"', '"v=TLSRPTv1; rua=mailto:b@sink.example"')
        d = w.domain("late.example")  # its collector is out of order for a while
        d.host()
        self.wants(d, "https://collector.example/late")

    def mails(self, label):
        """Reports that came to LABEL@sink.example: (message as bytes, parsed)."""
        found = [a for a in self.sink.came_from(FROM) if f"<{label}@sink.example>" in a.recipients[0]]
        return [(a.message, email.message_from_bytes(a.message, policy=email.policy.default)) for a in found]

    def sent(self, domain, by, count=1):
        def there():
            return len([e for e in self.s.relay.events("tlsrpt-sent") if (e[3]["domain"], e[3]["by"]) == (domain, by)]) >= count
        harness.wait_for(f"the report on {domain} to go by {by}", there, 60, 0.1)

    def report(self, *args, check=True):
        return self.s.cli("tls", "report", *args, check=check)


SESSIONS = {"plain.example": 1, "dane.example": 2, "expired.example": 1, "stripped.example": 1, "fetch.example": 1,
            "silent.example": 1, "twice.example": 1, "late.example": 1}
WANTED = ("plain", "dane", "expired", "stripped", "fetch")


def attachment(message):
    parts = list(message.iter_parts())
    assert [p.get_content_type() for p in parts] == ["text/plain", "application/tlsrpt+gzip"]
    return parts[1].get_filename(), parts[1].get_content()


def only(report):
    assert len(report["policies"]) == 1
    return report["policies"][0]


def test_the_schema_takes_the_example_of_the_rfc_and_not_what_is_wrong():
    tlsrpt_schema.check(tlsrpt_schema.EXAMPLE)
    for spoil in (lambda r: r.pop("report-id"), lambda r: r.update(reportid="x"), lambda r: r["policies"].clear(),
                  lambda r: r["policies"][0]["policy"].update({"policy-type": "dane"}),
                  lambda r: r["policies"][0]["failure-details"][0].update({"result-type": "expired"}),
                  lambda r: r["policies"][0]["failure-details"][0].update({"sending-mta-ip": "mx1"}),
                  lambda r: r["policies"][0]["summary"].update({"total-failure-session-count": 302}),
                  lambda r: r["date-range"].update({"end-datetime": "2016-04-01"})):
        r = json.loads(json.dumps(tlsrpt_schema.EXAMPLE))
        spoil(r)
        with pytest.raises(jsonschema.ValidationError):
            tlsrpt_schema.check(r)


def test_a_day_is_told_by_mail_and_https_once(request):
    with tls_world.inside(request, "tlsrpt") as w:
        day = Day(w)
        first = day.clock.day()
        ids = w.send(day.s, [f"user@{d}" for d in SESSIONS])
        w.outcomes(day.s, ids)
        for part in (while_it_lasts, an_ordered_report_is_of_today, reports_arrive, they_say_what_happened, what_fails_is_tried_again,
                     a_restart_sends_nothing_twice, unsigned_no_mail_goes, no_address_of_a_person_is_kept):
            part(day, first)


def while_it_lasts(day, first):
    lines = day.report().stdout.splitlines()
    rows = {r.split()[0]: r.split()[1:] for r in lines[3:]}
    assert lines[0] == f"{first} (UTC)"
    assert set(rows) == set(SESSIONS) and rows["plain.example"][:3] == ["no-policy-found", "1", "0"]
    assert rows["dane.example"][:3] == ["tlsa", "1", "1"]
    assert not day.s.relay.events("tlsrpt-day")  # nothing is over yet
    shown = day.report("today", "--domain", "stripped.example").stdout
    assert "mode: enforce" in shown and "starttls-not-supported" in shown
    r = day.report("--domain", "unknown.example", check=False)
    assert r.returncode == 1 and "no TLS session" in r.stderr


def an_ordered_report_is_of_today(day, first):
    day.report("--domain", "plain.example", "--send")
    day.sent("plain.example", "https")
    day.sent("plain.example", "mail")
    partial = day.collector.of("/plain")[0]
    tlsrpt_schema.check(partial)
    assert partial["date-range"]["end-datetime"] < f"{first}T23:59:59Z"


def reports_arrive(day, first):
    day.collector.refuses.add("/late")
    day.clock.next_day()
    for label in WANTED:
        ordered = label == "plain"
        day.sent(f"{label}.example", "mail", 1 + ordered)
        day.sent(f"{label}.example", "https", 1 + ordered)
        harness.wait_for(f"the mail to {label}", lambda: len(day.mails(label)) == 1 + ordered, 60, 0.1)
        raw, message = day.mails(label)[-1]
        verified = day.verify(raw)
        assert len(verified) == 2 and all(verified.values()), verified
        check_message(message, label, first)
        name, packed = attachment(message)
        by_mail, by_https = json.loads(gzip.decompress(packed)), day.collector.of(f"/{label}")[-1]
        assert by_mail == by_https
        tlsrpt_schema.check(by_mail)
        begin, end = (int(x) for x in name.split("!")[2:4])
        assert name.startswith(f"{SENDER}!{label}.example!") and (begin % DAY, end - begin) == (0, DAY - 1)
        assert by_mail["date-range"] == {"start-datetime": f"{first}T00:00:00Z", "end-datetime": f"{first}T23:59:59Z"}
        assert by_mail["organization-name"] == "Test, Inc." and by_mail["contact-info"] == f"tls@{SENDER}"
        assert by_mail["report-id"] == name.split("!")[4].split(".")[0] + f"@{SENDER}"
    assert {t for _, t, _ in day.collector.posts} == {"application/tlsrpt+gzip"}
    shown = {r.split()[0]: " ".join(r.split()[4:]) for r in day.report(str(first)).stdout.splitlines()[3:]}
    assert set(shown) == set(SESSIONS)  # not sink.example, which got nothing but a report
    assert shown["plain.example"] == "sent" and shown["silent.example"] == shown["twice.example"] == "not asked for"
    assert not [m for m in ("a", "b") if day.mails(m)]


def check_message(message, label, first):
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "tlsrpt"
    assert message["TLS-Report-Domain"] == f"{label}.example" and message["TLS-Report-Submitter"] == SENDER
    assert message["TLS-Required"] == "No" and message["From"] == FROM
    assert re.fullmatch(rf"Report Domain: {label}\.example Submitter: {SENDER} Report-ID: <[0-9a-f]+@{SENDER}>", message["Subject"])


def they_say_what_happened(day, first):
    of = {label: only(day.collector.of(f"/{label}")[-1]) for label in ("plain", "expired", "stripped", "fetch")}
    assert of["plain"] == {"policy": {"policy-type": "no-policy-found", "policy-domain": "plain.example"},
                           "summary": {"total-successful-session-count": 1, "total-failure-session-count": 0}}
    sts = of["expired"]
    assert sts["policy"]["policy-type"] == "sts" and sts["policy"]["mx-host"] == ["mx.expired.example"]
    assert sts["policy"]["policy-string"] == ["version: STSv1", "mode: testing", "mx: mx.expired.example", "max_age: 86400"]
    assert [f["result-type"] for f in sts["failure-details"]] == ["certificate-expired"]
    mx = day.w.domains["stripped.example"].hosts[0]
    failure = of["stripped"]["failure-details"][0]
    assert failure["result-type"] == "starttls-not-supported" and failure["failed-session-count"] == 1
    assert (failure["receiving-mx-hostname"], failure["receiving-ip"]) == (mx.name, mx.address)
    assert failure["sending-mta-ip"].startswith("127.")
    assert of["stripped"]["policy"]["mx-host"] == ["mx.stripped.example", "*.more.example"]
    assert of["fetch"]["policy"] == {"policy-type": "sts", "policy-domain": "fetch.example"}
    assert of["fetch"]["failure-details"] == [{"result-type": "sts-policy-fetch-error", "failed-session-count": 1}]
    dane = day.collector.of("/dane")[-1]["policies"]
    assert {p["policy"]["policy-type"] for p in dane} == {"tlsa"} and len(dane) == 2  # two hosts, two sets of records
    assert sum(p["summary"]["total-successful-session-count"] for p in dane) == 1
    (failed,) = [f for p in dane for f in p.get("failure-details", [])]
    assert failed["receiving-mx-hostname"] == "mx0.dane.example"


def what_fails_is_tried_again(day, first):
    harness.wait_for("the report on late.example to be put off", lambda: day.s.relay.events("tlsrpt-deferred"), 60, 0.1)
    assert day.s.relay.events("tlsrpt-deferred")[0][3] == {"domain": "late.example", "day": str(first), "tries": "1",
                                                           "why": "HTTP status 503"}
    assert "HTTP status 503" in day.report(str(first), "--domain", "late.example").stdout
    day.collector.refuses.clear()
    day.clock.set(day.clock.ahead + 3600)  # retry.first
    day.sent("late.example", "https")
    one, other = day.collector.of("/late")
    assert one == other  # the same report, by its id


def a_restart_sends_nothing_twice(day, first):
    before = len(day.collector.posts), len(day.sink.came_from(FROM))
    day.s.relay.stop()
    day.s.start("relay")
    day.report(str(first), "--domain", "dane.example", "--send")  # whatever would be sent again is due before this
    day.sent("dane.example", "https", 2)
    day.sent("dane.example", "mail", 2)
    harness.wait_for("the mail", lambda: len(day.sink.came_from(FROM)) == before[1] + 1, 60, 0.1)
    assert len(day.collector.posts) == before[0] + 1
    one, other = day.collector.of("/dane")
    assert one["policies"] == other["policies"] and one["report-id"] != other["report-id"]
    assert not day.s.relay.events("tlsrpt-store-failed") and not day.s.relay.events("tlsrpt-failed")


def unsigned_no_mail_goes(day, first):
    before = len(day.sink.came_from(FROM))
    day.s.relay.stop()
    day.s.write("relay.yaml", re.sub(r"(?m)^dkim:.*\n", "", day.s.read("relay.yaml")))
    day.s.start("relay")
    day.report(str(first), "--domain", "fetch.example", "--send")
    day.sent("fetch.example", "https", 2)
    harness.wait_for("the mail to be given up", lambda: "nothing signs for the domain of tlsrpt.from" in
                     day.report(str(first), "--domain", "fetch.example").stdout, 60, 0.1)
    assert len(day.sink.came_from(FROM)) == before


def no_address_of_a_person_is_kept(day, first):
    day.s.stop()
    people = [b"user@", b"plain@sink", b"relay@from"]
    assert not harness.find_bytes(day.s.files(), people)
