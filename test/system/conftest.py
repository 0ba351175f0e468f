# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import harness  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: measures a rate; nothing else may run beside it")


@pytest.fixture
def place(request):
    """A directory of the test's own; kept with its logs if the test fails."""
    d = harness.scratch("test")
    yield d
    failed = getattr(request.node, "failed", False)
    if failed:
        print(f"kept for a look: {d}")
    else:
        shutil.rmtree(d, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.failed = True


@pytest.fixture
def parts():
    """Whatever is put here is stopped at the end, last first."""
    things = []
    yield things
    for thing in reversed(things):
        getattr(thing, "kill", thing.stop)()


@pytest.fixture
def sealpost(place, parts):
    s = harness.Sealpost(os.path.join(place, "sealpost"))
    parts.append(s)
    return s


@pytest.fixture
def sink(place, parts):
    k = harness.Sink(os.path.join(place, "sink"), keep=True).start()
    parts.append(k)
    return k


needs_postfix = pytest.mark.skipif(not harness.Postfix.available(), reason="needs root and Postfix")
