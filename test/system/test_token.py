# SPDX-License-Identifier: Apache-2.0
"""Slots on a token: the helper with a real SoftHSM2, OpenSC as the second pair of eyes, and modules that misbehave."""
import os
import re
import signal
import subprocess

import harness
import pytest
import token_hsm as hsm
from test_keyd import PHRASE, Keyd
from token_hsm import AES_GCM, PIN, RSA_OAEP, TEST, UNWRAP, WRAP, Helper, SoftHsm

pytestmark = pytest.mark.skipif(not (hsm.available() and hsm.helper()),
                                reason="needs SoftHSM2, OpenSC and a build with p11-kit")


@pytest.fixture
def token(place):
    return SoftHsm(place)


@pytest.fixture
def helper(place, parts, token):
    h = Helper(place, token.env)
    parts.append(h)
    return h


def fake(label, key="key"):
    return f"pkcs11:token={label};object={key}?module-path={hsm.fake_module()}"


def test_a_key_is_made_on_the_token_and_never_leaves_it(helper, token):
    secret = os.urandom(32)
    uri = token.uri("root")
    wrapped = helper.ask(WRAP, uri, data=secret)
    assert (wrapped.why, wrapped.kind, len(wrapped.data)) == (hsm.OK, AES_GCM, 60) and secret not in wrapped.data
    assert helper.ask(UNWRAP, uri, data=wrapped.data, kind=AES_GCM) == (hsm.OK, 0, secret)
    assert helper.ask(TEST, uri).why == hsm.OK
    keys = token.objects()
    assert len(keys) == 1 and keys[0]["type"] == "Secret Key" and keys[0]["about"].startswith("AES length 32")
    assert keys[0]["label"] == "root"
    assert keys[0]["Access"] == "sensitive, always sensitive, never extractable, local"
    assert set(keys[0]["Usage"].split(", ")) == {"encrypt", "decrypt"}
    with pytest.raises(harness.Failure):
        token.tool("--read-object", "--type", "secrkey", "--label", "root")
    # The second slot uses the key that is there, and each wrap differs.
    again = helper.ask(WRAP, uri, data=secret)
    assert again.why == hsm.OK and again.data != wrapped.data and len(token.objects()) == 1
    # What passed through is in no file of the token, nor in the log.
    assert harness.find_bytes([*token.files(), helper.log], [secret, secret.hex().encode(), PIN.encode()]) == []
    assert helper.stop() == 0
    assert "event=token-key-made" in open(helper.log).read()


def test_a_wrapped_key_belongs_to_one_slot_of_one_store(helper, token):
    uri = token.uri("root")
    wrapped = helper.ask(WRAP, uri, data=os.urandom(32), context=b"store 1, slot 1")
    assert helper.ask(UNWRAP, uri, data=wrapped.data, kind=AES_GCM, context=b"store 1, slot 2").why == hsm.WRONG_KEY
    for i in range(60):
        bad = bytearray(wrapped.data)
        bad[i] ^= 1
        if i % 7 == 0:
            assert helper.ask(UNWRAP, uri, data=bytes(bad), kind=AES_GCM,
                              context=b"store 1, slot 1").why == hsm.WRONG_KEY
    assert helper.ask(UNWRAP, uri, data=wrapped.data, kind=AES_GCM, context=b"store 1, slot 1").why == hsm.OK


def test_an_rsa_pair_serves_where_it_is_asked_for(helper, token):
    token.tool("--keypairgen", "--key-type", "rsa:2048", "--label", "pair", "--usage-decrypt", "--sensitive")
    secret, uri = os.urandom(32), f"pkcs11:token=sealpost;object=pair;type=private?module-path={hsm.softhsm_module()}"
    wrapped = helper.ask(WRAP, uri, data=secret)
    assert (wrapped.why, wrapped.kind, len(wrapped.data)) == (hsm.OK, RSA_OAEP, 256)
    assert helper.ask(UNWRAP, uri, data=wrapped.data, kind=RSA_OAEP) == (hsm.OK, 0, secret)
    bad = bytes([wrapped.data[0] ^ 1]) + wrapped.data[1:]
    assert helper.ask(UNWRAP, uri, data=bad, kind=RSA_OAEP).why == hsm.WRONG_KEY
    # Without type= the pair is found too, since no AES key has its label; none is made beside it.
    assert helper.ask(WRAP, token.uri("pair"), data=secret).kind == RSA_OAEP
    assert sorted(o["type"].split(";")[0] for o in token.objects()) == ["Private Key", "Public Key"]


def test_keys_that_protect_nothing_are_refused(helper, token):
    token.tool("--keygen", "--key-type", "AES:32", "--label", "open", "--extractable")
    token.tool("--keygen", "--key-type", "AES:16", "--label", "short", "--sensitive")
    for key in ("open", "short"):
        assert helper.ask(WRAP, token.uri(key), data=bytes(32)).why == hsm.WEAK_KEY


def test_a_wrong_pin_is_told_from_other_failures(helper, token):
    uri = token.uri("root")
    wrapped = helper.ask(WRAP, uri, data=os.urandom(32))
    for pin in ("00000000", "1", "x" * 255):
        assert helper.ask(UNWRAP, uri, pin=pin, data=wrapped.data, kind=AES_GCM).why == hsm.PIN_WRONG
    assert helper.ask(UNWRAP, uri, data=wrapped.data, kind=AES_GCM).why == hsm.OK
    for label, unattended, why in (("locked", 0, hsm.PIN_LOCKED), ("locked", 1, hsm.PIN_LOCKED), ("low", 1, hsm.PIN_LOW),
                                   ("low", 0, hsm.OK), ("unset", 0, hsm.PIN_UNSET)):
        assert helper.ask(TEST, fake(label), pin="1234", unattended=unattended).why == why
    assert helper.ask(TEST, fake("good"), pin="full").why == hsm.PIN_LOCKED


def test_a_token_that_is_pulled_out_and_put_back(helper, token):
    secret, uri = os.urandom(32), token.uri("root")
    wrapped = helper.ask(WRAP, uri, data=secret)
    token.hide()
    assert helper.ask(UNWRAP, uri, data=wrapped.data, kind=AES_GCM).why == hsm.NO_TOKEN
    token.show()
    assert helper.ask(UNWRAP, uri, data=wrapped.data, kind=AES_GCM).data == secret


def test_a_key_deleted_on_the_token_is_not_made_again_by_opening(helper, token):
    uri = token.uri("root")
    wrapped = helper.ask(WRAP, uri, data=os.urandom(32))
    token.tool("--delete-object", "--type", "secrkey", "--label", "root")
    assert helper.ask(UNWRAP, uri, data=wrapped.data, kind=AES_GCM).why == hsm.NO_KEY
    assert helper.ask(TEST, uri).why == hsm.NO_KEY
    assert token.objects() == []
    # Another key of that name is not the one that it was.
    assert helper.ask(WRAP, uri, data=os.urandom(32)).why == hsm.OK
    assert helper.ask(UNWRAP, uri, data=wrapped.data, kind=AES_GCM).why == hsm.WRONG_KEY


def test_the_uri_must_mean_one_token_and_one_key(helper, token):
    token.run("softhsm2-util", "--init-token", "--free", "--label", "sealpost", "--pin", PIN, "--so-pin", "87654321")
    assert helper.ask(TEST, token.uri("root")).why == hsm.MANY_TOKENS
    serials = re.findall(r"serial num\s*:\s*(\S+)", token.run("pkcs11-tool", "--module", hsm.softhsm_module(),
                                                             "--list-slots"))
    one = f"pkcs11:serial={serials[0]};object=root?module-path={hsm.softhsm_module()}"
    assert helper.ask(WRAP, one, data=bytes(32)).why == hsm.OK
    assert helper.ask(TEST, token.uri("root").replace("sealpost", "another")).why == hsm.NO_TOKEN


def test_modules_of_p11_kit_are_found_without_a_path(helper, token):
    if "softhsm" not in subprocess.run(["p11-kit", "list-modules"], capture_output=True, text=True,
                                       env=dict(os.environ, **token.env)).stdout:
        pytest.skip("SoftHSM2 is not registered with p11-kit here")
    secret = os.urandom(32)
    wrapped = helper.ask(WRAP, token.uri("root", path=False), data=secret)
    assert wrapped.why == hsm.OK
    assert helper.ask(UNWRAP, token.uri("root"), data=wrapped.data, kind=AES_GCM).data == secret


def test_a_module_that_is_not_listed_is_not_loaded(place, parts, token):
    h = Helper(place, token.env, modules=[])
    parts.append(h)
    assert h.ask(TEST, token.uri("root")).why == hsm.MODULE_DENIED
    assert h.ask(TEST, fake("good"), pin="crash").why == hsm.MODULE_DENIED


def test_a_module_that_crashes_costs_its_request(helper, token):
    assert helper.ask(TEST, fake("good"), pin="crash").why == hsm.CRASHED
    assert helper.ask(TEST, fake("good"), pin="late").why == hsm.OK  # it had answered
    assert helper.ask(TEST, fake("good"), pin="1234").why == hsm.OK
    assert helper.stop() == 0
    assert re.findall(r"event=token-worker-killed request=(\d+) signal=(\d+)", open(helper.log).read()) == [
        ("1", "11"), ("2", "11")]


@pytest.mark.parametrize("pin", ["hang", "family"])
def test_a_module_that_hangs_is_ended_with_its_children(helper, pin):
    assert helper.ask(TEST, fake("good"), pin=pin, limit=0.3).why == hsm.TIMEOUT
    harness.wait_for("its processes to be gone", lambda: helper.workers() == {})
    assert helper.ask(TEST, fake("good"), pin="1234").why == hsm.OK


def hanging(helper):
    helper.send(TEST, fake("good"), pin="hang")
    return harness.wait_for("the worker", lambda: [p for p, parent in helper.workers().items()
                                                   if parent == helper.child.pid])[0]


def test_when_keyd_leaves_helper_and_worker_end(helper):
    hanging(helper)
    assert helper.stop() == 0
    harness.wait_for("all of them to be gone", lambda: helper.processes() == {})


def test_a_helper_that_is_killed_takes_its_worker_along(helper):
    hanging(helper)
    helper.child.kill()
    assert helper.sock.recv(4096) == b""
    helper.child.wait()
    harness.wait_for("all of them to be gone", lambda: helper.processes() == {})


def test_a_worker_that_is_killed_is_a_crash(helper):
    os.kill(hanging(helper), signal.SIGKILL)
    assert helper.read().why == hsm.CRASHED
    assert helper.ask(TEST, fake("good"), pin="1234").why == hsm.OK


def test_garbage_from_keyd_ends_the_helper(helper):
    helper.sock.send(b"\1\1" + bytes(40))
    assert helper.child.wait(20) == 75
    assert "event=token-stopped" in open(helper.log).read()


def test_nobody_else_starts_it(place):
    run = subprocess.run([hsm.helper()], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert run.returncode == 64 and "started by sealpost-keyd" in run.stderr


def test_no_process_shows_the_pin_or_can_be_dumped(helper):
    worker = hanging(helper)
    for pid in (helper.child.pid, worker):
        with open(f"/proc/{pid}/status") as f:
            assert re.search(r"NoNewPrivs:\s*1", f.read())
        with open(f"/proc/{pid}/limits") as f:
            assert re.search(r"Max core file size\s+0\s+0", f.read())
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            assert b"hang" not in f.read()
        if os.getuid() == 0:
            # Not dumpable: what is in /proc belongs to root, not to its user.
            assert os.stat(f"/proc/{pid}/environ").st_uid == 0
            with open(f"/proc/{pid}/environ", "rb") as f:
                assert b"hang" not in f.read()
    if os.getuid() == 0:
        # No way back to keyd from a module: its process has no socket but the one to the helper.
        def sockets():
            return sum(link.startswith("socket:") for link in harness.descriptors(worker))
        harness.wait_for("a worker without keyd's socket", lambda: sockets() == 1)


# ---- keyd with its helper


def children(pid):
    """Helpers of this keyd: it starts one, which stays its child."""
    return [p for p, parent in hsm.helper_processes().items() if parent == pid]


@pytest.fixture
def with_token(place, parts, token):
    k = Keyd(place, env=token.env, extra=f"token_modules: [{hsm.softhsm_module()}, {hsm.fake_module()}]\n"
             "token_timeout: 2s\n")
    parts.append(k)
    return k.start()


def test_keyd_starts_its_helper_as_its_own_user_and_takes_it_along(with_token):
    child, = children(with_token.process.pid)
    with open(f"/proc/{child}/status") as f:
        assert re.search(rf"Uid:\s+{with_token.uid}\s+{with_token.uid}\s", f.read())
    with open(f"/proc/{child}/cmdline", "rb") as f:
        assert f.read().split(b"\0") == [os.fsencode(a) for a in (
            hsm.helper(), "-m", hsm.softhsm_module(), "-m", hsm.fake_module())] + [b""]
    with with_token.officer() as o:
        assert o.status()["token_helper"] == "ready"
    assert with_token.stop() == 0
    harness.wait_for("the helper to end", lambda: child not in hsm.helper_processes())
    with_token.start()
    child, = children(with_token.process.pid)
    with_token.kill()
    harness.wait_for("the helper to end", lambda: child not in hsm.helper_processes())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_started_as_root_keyd_gives_its_helper_no_more_than_it_keeps(place, parts):
    k = Keyd(place, extra=f'user: "{harness.UID}"\n')
    k.process.uid = None
    parts.append(k.start())
    child, = children(k.process.pid)
    with open(f"/proc/{child}/status") as f:
        status = f.read()
    assert re.search(rf"Uid:\s+{harness.UID}\s+{harness.UID}\s+{harness.UID}\s+{harness.UID}", status)
    assert re.search(r"CapEff:\s+0+$", status, re.M)


def test_the_helper_gets_no_variables_that_are_keyds_own(place, parts):
    credentials = os.path.join(place, "credentials")
    os.mkdir(credentials)
    k = Keyd(place, env={"CREDENTIALS_DIRECTORY": credentials, "SOFTHSM2_CONF": "/nowhere"})
    parts.append(k.start())
    child, = children(k.process.pid)
    if os.getuid() != 0:
        pytest.skip("only root may look: it is not dumpable")
    with open(f"/proc/{child}/environ", "rb") as f:
        names = {v.split(b"=")[0] for v in f.read().split(b"\0")}
    assert b"SOFTHSM2_CONF" in names and b"CREDENTIALS_DIRECTORY" not in names


def test_keyd_without_a_helper_has_all_but_tokens(place, parts):
    k = Keyd(place, extra="token_helper: /nonexistent/helper\n")
    parts.append(k.start())
    level, _, _, facts = k.process.events("token-helper-absent")[0]
    assert (level, facts["why"]) == ("warning", "sealpost-keyd-token is not installed")
    with k.officer() as o:
        o.init(("file",), ("passphrase", PHRASE))
        status = o.status()
        assert status["token_helper"] == "absent" and not any("token" in w for w in status["warnings"])


def test_keyd_outlives_its_helper_and_says_so(with_token):
    child, = children(with_token.process.pid)
    os.kill(child, signal.SIGKILL)
    with with_token.officer() as o:
        harness.wait_for("status to know", lambda: o.status()["token_helper"] == "dead")
        assert any("token helper has died" in w for w in o.status()["warnings"])
        o.init(("file",), ("passphrase", PHRASE))
        o.customer_add("default")


def test_keys_of_the_helper_in_keyd_yaml(place, parts):
    k = Keyd(place)
    good = open(k.conf).read()
    for line, wants in (("token_modules: [libsofthsm2.so]", "token_modules"), ("token_timeout: 0s", "token_timeout"),
                        ("token_timeout: 11m", "token_timeout"), ("token_helper: []", "token_helper")):
        with open(k.conf, "w") as f:
            f.write(good + line + "\n")
        run = subprocess.run([*k.process.argv, "-n"], capture_output=True, text=True)
        assert run.returncode == 78 and wants in run.stderr
    with open(k.conf, "w") as f:
        f.write(good)
    parts.append(k.start())
    for i, line in enumerate(("token_timeout: 31s", "token_modules: [/usr/lib/a.so]", "token_helper: /usr/bin/true")):
        with open(k.conf, "w") as f:
            f.write(good + line + "\n")
        k.process.signal(signal.SIGHUP)
        harness.wait_for("the reload", lambda: len(k.process.events("reloaded")) == 2 * i + 1)
        assert k.process.events("config-needs-restart")[-1][3]["key"] == line.split(":")[0]
        with open(k.conf, "w") as f:
            f.write(good)
        k.process.signal(signal.SIGHUP)
        harness.wait_for("the reload", lambda: len(k.process.events("reloaded")) == 2 * i + 2)
