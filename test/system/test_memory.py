# SPDX-License-Identifier: Apache-2.0
"""Memory that runs out: each allocation of sealpost-milter while a message goes through, and of sealpost-lint, fails in
turn. Nothing slips through, nothing dies, and what passes is what passes else."""
import collections
import json
import mmap
import os
import re
import struct
import subprocess

import pytest

import harness
import milter_campaign as mc
import test_lint as tl
import test_milter as tm
import test_milter_campaign as tmc
from test_milter_campaign import api, keyd, place  # noqa: F401

SENSITIVE = """
sensitive:
  - {name: cards, kind: card, action: refuse}
  - {name: files, kind: pattern, pattern: "file ####-##", action: verify}
"""
NEVER = 1 << 40


def sanitized():
    """Its allocator is the sanitizer's, which fails in its own ways."""
    with open(tm.PROGRAM, "rb") as f:
        return re.search(rb"lib[at]san\.so", f.read())


pytestmark = pytest.mark.skipif(os.path.exists(tm.PROGRAM) and bool(sanitized()), reason="built with sanitizers")


class NoMemory:
    """The page of control of test/tool/nomem.c."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb") as f:
            f.write(bytes(4096))
        os.chmod(path, 0o666)
        self.file = open(path, "r+b")
        self.page = mmap.mmap(self.file.fileno(), 4096)

    def env(self):
        return {"LD_PRELOAD": harness.program("nomem.so"), "SEALPOST_NOMEM": self.path}

    def fail(self, at, all_after=False):
        self.page[0:32] = struct.pack("<4q", 0, all_after, 0, 0)
        self.page[0:8] = struct.pack("<q", at)

    def over(self):
        """How many allocations were counted, and how many failed."""
        self.page[0:8] = bytes(8)
        return struct.unpack("<2q", self.page[16:32])


@pytest.fixture
def world(place, keyd, api):
    """A milter with memory that can run out, and a campaign of each kind."""
    state = os.path.join(place, "state")
    os.mkdir(state)
    os.chmod(state, 0o777)
    nomem = NoMemory(os.path.join(place, "nomem"))
    api.campaigns += [mc.Campaign(track=tmc.TRACK, attachment=("application/pdf", "a.pdf", os.urandom(400000))),
                      mc.Campaign(name="cmp_02", number=8)]
    m = tmc.Milter(place, tmc.STREAMS.format(dir=place, until="2099-12-31") + SENSITIVE)
    m.env = dict(os.environ, **nomem.env())
    m.start()
    tm.wait_for(lambda: len(m.events("campaign-loaded")) == 2 and m.events("campaigns-ready"))
    m.nomem = nomem
    yield m
    m.stop()


def campaign(api, which, **how):
    c = api.campaigns[which]
    fields, body = c.message(**how)
    return dict(headers=fields + [("X-DoPosta-Campaign", tm.campaign(ident=c.name))], body=body, login="news")


def plain(kind, body, login):
    return dict(headers=tm.headers() + [("MIME-Version", "1.0"), ("Content-Type", f"{kind}; charset=utf-8")],
                body=body.encode() + b"\r\n", login=login)


MESSAGES = {
    "tracked": lambda api: campaign(api, 0),
    "plain": lambda api: campaign(api, 1, encoding="base64"),
    "name": lambda api: campaign(api, 1, name="\u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444"),
    "held": lambda api: dict(campaign(api, 1, change=tmc.swap(b"spring", b"summer")), login="hold"),
    "observed": lambda api: dict(campaign(api, 1, change=tmc.swap(b"spring", b"summer")), login="trial"),
    "altered": lambda api: campaign(api, 1, change=tmc.swap(b"</html>", b"</html><p>more</p>")),
    "attachment": lambda api: campaign(api, 0, change=lambda b: b[:-200] + (b"A" if b[-200:-199] == b"B" else b"B") + b[-199:]),
    "links": lambda api: plain("text/html", "<p><a href='https://shop.example/a'>file 1234-56</a></p>", "receipts"),
    "links-text": lambda api: plain("text/plain", "https://shop.example/x is not www.b\u00fccher.example", "receipts"),
    "idn-text": lambda api: plain("text/plain", "see \u043f\u0440\u0438\u043c\u0435\u0440.\u0440\u0444 today", "receipts"),
    "foreign-link": lambda api: plain("text/html", "<p><a href='https://evil.example/a'>x</a></p>", "receipts"),
    "card": lambda api: plain("text/plain", "card 4111 1111 1111 1111", "open"),
    "card-html": lambda api: plain("text/html", "card <b>4111 1111</b> 1111 1111", "open"),
    "verify": lambda api: plain("text/plain", "file 1234-56", "open"),
}
REFUSED = {"links-text", "idn-text", "name", "altered", "attachment", "foreign-link", "card", "card-html"}


def seen(answer):
    """What the MTA was told to do, without what differs from one message to the next."""
    changes = collections.defaultdict(bytes)
    for what, index, name, value in answer.changes:
        changes[what, index, name] += value if isinstance(value, bytes) else value.encode()
    found = []
    for key, value in changes.items():
        value = re.sub(rb"\b(id=|tid=|report )\w+", rb"\1", value)
        value = re.sub(rb"/([cou])/[A-Za-z0-9_-]{44,}", rb"/\1/", value)
        found.append((key, re.sub(rb"mailto:u-\w+@", b"mailto:", value)))
    return found


def attempt(m, message, at=NEVER, greeted=False):
    """"passed", the reply's code, or "closed": an MTA takes that for a failure for now, as it is told to. The at-th
    allocation fails; greeted: and all that follow, once the connection stands. (Before that they are libmilter's, which
    waits longer and longer.)"""
    if not greeted:
        m.nomem.fail(at)
    try:
        with m.mta() as mta:
            if greeted:
                m.nomem.fail(at, True)
            a = mta.message(**message)
            return ("passed", a) if a.accepted else (a.text[:3] or "closed", a)
    except OSError:
        return "closed", None
    finally:
        m.counted, m.failed = m.nomem.over()


@pytest.mark.parametrize("name", MESSAGES)
def test_an_allocation_that_fails_lets_nothing_through(world, api, name):
    message = MESSAGES[name](api)
    for _ in range(2):  # the first one fills what is kept
        word, usual = attempt(world, message)
    assert word == ("550" if name in REFUSED else "passed"), world.text()
    count, words = world.counted, collections.Counter()
    for greeted in (False, True):
        for at in range(1, count + 1):
            where = f"allocation {at} of {count}{' and all after' * greeted}"
            word, a = attempt(world, message, at, greeted)
            words[word] += world.failed > 0
            assert world.child.poll() is None, f"{where}: {world.text()[-2000:]}"
            if word == "passed":
                assert name not in REFUSED and seen(a) == seen(usual), where
            elif word != "closed":
                assert word == "451" or (word == "550" and name in REFUSED), f"{where}: {a.text}"
    assert words["451"] > 0, words
    assert attempt(world, message)[0] == ("550" if name in REFUSED else "passed")  # it goes on as before


def lint(source, at, everything=False):
    """(exit code, result or None) of sealpost-lint."""
    env = {"LD_PRELOAD": harness.program("nomem.so"), "SEALPOST_NOMEM_AT": str(at)}
    if everything:
        env["SEALPOST_NOMEM_ALL"] = "1"
    done = subprocess.run([harness.program("sealpost-lint")], input=json.dumps(source).encode(), capture_output=True, env=env,
                          timeout=30)
    assert done.returncode in (0, 75), (at, done)
    if done.returncode:
        assert not done.stdout, (at, done)
        return done.returncode, None
    assert done.stdout.count(b"\n") == 1
    return 0, json.loads(done.stdout)


BAD = tl.with_html(tl.HTML.replace("https://shop.example/w", "https://m\u00fcnchen.example/w"))


@pytest.mark.parametrize("source", [tl.SOURCE, BAD], ids=["good", "foreign-host"])
def test_a_lint_without_memory_approves_nothing_that_it_would_not(source):
    _, usual = lint(source, NEVER)
    assert usual["ok"] == (source is tl.SOURCE)
    words, at, step, enough = collections.Counter(), 1, 1, False
    while not enough:
        for everything in (False, True):
            code, result = lint(source, at, everything)
            words[result["findings"][0]["rule"] if result else "exit"] += result != usual
            assert result is None or not result["ok"] or result == usual, (at, everything)
            enough = everything and result == usual  # all that it needs is there before
        at += step
        step = min(step + (at > 60), 50)
    assert words["exit"] and words["lint-memory"] > 10, words
