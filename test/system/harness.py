# SPDX-License-Identifier: Apache-2.0
"""Starts the real parts under a private directory: our three daemons, Postfix, the receiver.

Used by the system tests, the demo and the benches. Everything listens on loopback ports that were free a moment ago,
logs into files of the directory, and is ended by pid. As root, our daemons run as an ordinary user (UID below) that needs
no entry in /etc/passwd; Postfix needs root, so what needs Postfix is skipped for others."""
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

UID = 64219  # an ordinary user nobody else is

BUILD = os.environ.get("SEALPOST_BUILD") or os.path.abspath(
    os.path.join(os.path.dirname(__file__), "..", ".."))


class Failure(Exception):
    pass


def program(name):
    for place in (BUILD, os.path.join(BUILD, "test", "tool")):
        path = os.path.join(place, name)
        if os.access(path, os.X_OK):
            return path
    raise Failure(f"{name} is not built under {BUILD}")


_given = set()


def free_port():
    """Below the ports that connections get, so that none takes it meanwhile; each of the runners of pytest -n has its own."""
    runner = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 4
    while True:
        port = random.SystemRandom().randrange(12000 + 5000 * runner, 17000 + 5000 * runner)
        if port in _given:
            continue
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


def wait_for(what, test, seconds=20.0, step=0.02):
    """Waits until test() is true; its value is returned. A deadline, not a pause: it goes on at once."""
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {seconds:g} s in vain for {what}")
        time.sleep(step)


def connects(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False


def unix_answers(path):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
            return True
        except OSError:
            return False


def descriptors(pid):
    """What a process's open descriptors lead to; one that is closed meanwhile is left out."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return found


def descriptor_limit(pid):
    """How many it may open at once at most (the hard limit)."""
    with open(f"/proc/{pid}/limits") as f:
        return int(re.search(r"Max open files\s+\d+\s+(\d+)", f.read())[1])


def cpu_seconds(pid):
    """User and system time of a process with all its threads."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Process:
    """A program in the foreground with its output in a file."""

    def __init__(self, argv, log, uid=None, env=None, ready=None, name=None, limits=()):
        self.argv, self.log, self.uid, self.env, self.ready = argv, log, uid, env, ready
        self.name = name or os.path.basename(argv[0])
        self.limits = limits
        self.child = None

    def start(self, wait=True):
        def become():
            import resource
            for which, value in self.limits:
                resource.setrlimit(which, value)
            if self.uid is not None and os.getuid() == 0:
                os.setgroups([])
                os.setgid(self.uid)
                os.setuid(self.uid)

        env = dict(os.environ, **(self.env or {}))
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(self.argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                          preexec_fn=become, env=env, start_new_session=True)
        if wait and self.ready:
            wait_for(f"{self.name} to be ready", self._ready_or_dead)
        return self

    def _ready_or_dead(self):
        if self.child.poll() is not None:
            raise Failure(f"{self.name} ended with {self.child.returncode}:\n{self.tail()}")
        return self.ready()

    def tail(self, lines=15):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, signo):
        self.child.send_signal(signo)

    def kill(self):
        if self.running():
            self.child.kill()
            self.child.wait()

    def stop(self, seconds=30):
        """SIGTERM and wait; returns the exit code. A daemon that does not stop is a failure."""
        if not self.running():
            return self.child.returncode if self.child else None
        self.child.terminate()
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise Failure(f"{self.name} did not stop within {seconds} s of SIGTERM:\n{self.tail()}")

    def log_text(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, errors="replace") as f:
            return f.read()

    def events(self, name=None):
        """Events of the log: [(level, id, name, {key: value})]."""
        found = []
        for line in self.log_text().splitlines():
            m = re.match(r"\S+ (\w+) (\S+) event=(\S+) ?(.*)", line)
            if m and (name is None or m[3] == name):
                facts = {k: (q or v) for k, q, v in re.findall(r'(\w+)=(?:"([^"]*)"|(\S*))', m[4])}
                found.append((m[1], m[2], m[3], facts))
        return found


class Sealpost:
    """A set under a prefix, made by `sealpost init`."""

    def __init__(self, directory, hostname="relay.example.test", init_args=()):
        self.dir = directory
        os.makedirs(directory, exist_ok=True)
        self.uid = UID if os.getuid() == 0 else os.getuid()
        self.prefix = os.path.join(directory, "set")
        os.makedirs(self.prefix, exist_ok=True)
        self.logs = os.path.join(directory, "log")
        os.makedirs(self.logs, exist_ok=True)
        if os.getuid() == 0:
            os.chmod(directory, 0o755)
            os.chown(self.prefix, self.uid, self.uid)
        self.smtp_port, self.milter_port = free_port(), free_port()
        self.hostname = hostname
        r = self.cli("init", "--hostname", hostname, *init_args)
        self.init_output = r.stdout
        if r.returncode:
            raise Failure(f"sealpost init: {r.stdout}{r.stderr}")
        run = os.path.join(self.prefix, "run")
        self.keyd = Process([program("sealpost-keyd"), "-c", self.path("keyd.yaml")],
                            os.path.join(self.logs, "keyd.log"), self.uid,
                            ready=lambda: unix_answers(f"{run}/keyd.sock"))
        self.relay = Process([program("sealpost-relay"), "-c", self.path("relay.yaml")],
                             os.path.join(self.logs, "relay.log"), self.uid,
                             ready=lambda: unix_answers(f"{run}/api.sock") and connects(self.smtp_port))
        self.milter = Process([program("sealpost-milter"), "-c", self.path("milter.yaml")],
                              os.path.join(self.logs, "milter.log"), self.uid,
                              ready=lambda: connects(self.milter_port))
        self.write("relay.yaml", self.read("relay.yaml").replace("127.0.0.1:2525", f"127.0.0.1:{self.smtp_port}"))
        self.write("milter.yaml", self.read("milter.yaml").replace("8891", str(self.milter_port)))

    def path(self, *parts):
        return os.path.join(self.prefix, *parts)

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def configure(self, routes, **more):
        """Writes relay.yaml. routes: YAML list items. more: top-level keys as YAML text, replacing defaults."""
        keys = {
            "hostname": self.hostname,
            "state": self.path("relay"),
            "keyd": self.path("run", "keyd.sock"),
            "workers": "auto",
            "listen": f'[{{address: "127.0.0.1:{self.smtp_port}", mode: smarthost, customer: default}}]',
            "trusted": '["127.0.0.0/8"]',
            "tls": f'{{certificate: {self.path("relay.pem")}, key: "keyd:tls/relay"}}',
            "filters": "[]",
            "retry": "{first: 1s, max: 2s, expire: 5d}",
            "api": f'{{socket: {self.path("run", "api.sock")}}}',
            "limits": "{free_space: 1M}",
        }
        keys.update(more)
        text = "".join(f"{k}: {v}\n" for k, v in keys.items() if v is not None)
        text += "routes:\n" + "".join(f"  - {r}\n" for r in routes)
        self.write("relay.yaml", text)

    def cli(self, *args, check=False, uid=None):
        """Runs sealpost --prefix; returns the finished process with text output."""
        uid = self.uid if uid is None else uid
        argv = [program("sealpost"), "--prefix", self.prefix, *args]

        def become():
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)

        r = subprocess.run(argv, capture_output=True, text=True, preexec_fn=become,
                           stdin=subprocess.DEVNULL, timeout=60)
        if check and r.returncode:
            raise Failure(f"sealpost {' '.join(args)}: {r.returncode}\n{r.stdout}{r.stderr}")
        return r

    def status(self):
        return json.loads(self.cli("status", "--json").stdout)

    def queue(self):
        return json.loads(self.cli("queue", "list", "--json", "--limit", "1000", check=True).stdout)["items"]

    def start(self, *names):
        for name in names or ("keyd", "relay"):
            getattr(self, name).start()
        if "relay" in (names or ("relay",)):
            self.wait_keyd()
        return self

    def wait_keyd(self, state="ready"):
        """Until relay's own account of keyd is this."""
        wait_for(f"relay to see keyd {state}",
                 lambda: ((self.status() or {}).get("relay") or {}).get("keyd") == state)

    def wait_empty(self, seconds=60):
        wait_for("the queue to be empty", lambda: self.status()["relay"]["queue"]["recipients"] == 0, seconds, 0.1)

    def stop(self):
        codes = {}
        for p in (self.milter, self.relay, self.keyd):
            if p.running():
                codes[p.name] = p.stop()
        return codes

    def kill(self):
        for p in (self.milter, self.relay, self.keyd):
            p.kill()

    def files(self):
        """Every file the daemons could have written."""
        for base, _, names in os.walk(self.dir):
            for name in names:
                path = os.path.join(base, name)
                if os.path.isfile(path):  # not sockets
                    yield path


def find_bytes(paths, patterns):
    """[(path, pattern)] for each file that holds one of the byte patterns."""
    hits = []
    for path in paths:
        try:
            with open(path, "rb") as f:
                data = f.read()
        except OSError:
            continue
        hits += [(path, p) for p in patterns if p in data]
    return hits


def self_signed(directory, name):
    """Certificate and key for a receiver; returns their paths."""
    cert, key = os.path.join(directory, f"{name}.pem"), os.path.join(directory, f"{name}.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


class Sink:
    """smtp_sink: counts, checks, and with keep= stores what it gets. rules: options that make it difficult (smtp_sink.c)."""

    def __init__(self, directory, tls=True, keep=False, port=None, name="sink", host="127.0.0.1", rules=()):
        os.makedirs(directory, exist_ok=True)
        self.port = port or free_port()
        self.report_path = os.path.join(directory, f"{name}.json")
        self.keep_dir = os.path.join(directory, f"{name}-kept") if keep else None
        argv = [program("smtp_sink"), "--listen", f"{host}:{self.port}", "--report", self.report_path, *map(str, rules)]
        if tls:
            self.cert, self.key = self_signed(directory, f"{name}.example.test")
            argv += ["--tls", self.cert, self.key]
        if keep:
            os.makedirs(self.keep_dir, exist_ok=True)
            argv += ["--keep", self.keep_dir]
        self.process = Process(argv, os.path.join(directory, f"{name}.log"),
                               ready=lambda: connects(self.port, host), name=name)

    def start(self):
        self.process.start()
        return self

    def stop(self):
        self.process.stop()

    def report(self):
        if self.process.running():
            if os.path.exists(self.report_path):
                os.unlink(self.report_path)
            self.process.signal(signal.SIGUSR1)

        def whole():
            try:
                with open(self.report_path) as f:
                    return json.load(f)
            except (OSError, ValueError):
                return None
        return wait_for("the receiver's report", whole)

    def wait_for(self, count, seconds=60):
        def enough():
            r = self.report()
            return r if r["distinct"] + r["unnumbered"] >= count else None
        return wait_for(f"{count} messages at the receiver", enough, seconds, 0.1)

    def kept(self):
        """[(message bytes, {'MAIL...', 'RCPT...'}, 'TLSv1.3 CIPHER')] in order of arrival."""
        out = []
        names = [n for n in os.listdir(self.keep_dir) if n.endswith(".eml")]
        for name in sorted(names, key=lambda n: int(n[:-4])):
            with open(os.path.join(self.keep_dir, name), "rb") as f:
                message = f.read()
            with open(os.path.join(self.keep_dir, name[:-4] + ".env")) as f:
                lines = f.read().splitlines()
            out.append((message, lines[:-1], lines[-1][5:]))
        return out


def load(to, *args, wait=True, log=os.devnull):
    """Runs smtp_load against a port; its report as a dict."""
    argv = [program("smtp_load"), "--to", f"127.0.0.1:{to}", *map(str, args)]
    if not wait:
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=open(log, "ab"), text=True)
    r = subprocess.run(argv, capture_output=True, text=True)
    if not r.stdout:
        raise Failure(f"smtp_load: {r.returncode} {r.stderr}")
    return json.loads(r.stdout)


MASTER_CF = """\
{host}:{port} inet n - n - {processes} smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - {processes} smtp
relay     unix  - - n - {processes} smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
tlsproxy  unix  - - n - 0 tlsproxy
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A real Postfix with its own configuration, queue, data and log. Needs root and the postfix package."""

    @staticmethod
    def available():
        return os.getuid() == 0 and shutil.which("postfix") and "postfix" in [p.pw_name for p in pwd.getpwall()]

    def __init__(self, directory, processes="-", host="127.0.0.1", **settings):
        self.dir = directory
        self.host, self.port = host, free_port()
        self.conf, self.queue, self.data = (os.path.join(directory, n) for n in ("conf", "queue", "data"))
        self.maillog = os.path.join(directory, "maillog")
        for d in (self.conf, self.queue, self.data):
            os.makedirs(d, exist_ok=True)
        shutil.chown(self.data, "postfix")
        os.chmod(directory, 0o755)
        main = {
            "compatibility_level": "3.6",
            "queue_directory": self.queue,
            "data_directory": self.data,
            "maillog_file": self.maillog,
            "maillog_file_prefixes": directory,
            "inet_interfaces": host,
            "inet_protocols": "ipv4",
            "myhostname": "postfix.example.test",
            "mydestination": "",
            "alias_maps": "",
            "mynetworks": "127.0.0.0/8",
            "smtpd_relay_restrictions": "permit_mynetworks, reject",
            "biff": "no",
            "smtputf8_enable": "yes",
            "disable_dns_lookups": "yes",
            "smtpd_peername_lookup": "no",
            "minimal_backoff_time": "3s",
            "maximal_backoff_time": "5s",
            "queue_run_delay": "3s",
        }
        main.update(settings)
        with open(os.path.join(self.conf, "main.cf"), "w") as f:
            f.writelines(f"{k} = {v}\n" for k, v in main.items())
        with open(os.path.join(self.conf, "master.cf"), "w") as f:
            f.write(MASTER_CF.format(host=self.host, port=self.port, processes=processes))
        self.started = False
        self.before = []  # a command that runs Postfix, such as peers.namespace

    def run(self, *args):
        before = self.before if args == ("start",) else []
        return subprocess.run([*before, "postfix", "-c", self.conf, *args], capture_output=True, text=True)

    def start(self):
        r = self.run("start")
        if r.returncode:
            raise Failure(f"postfix start: {r.stderr}{self.log()}")
        self.started = True
        wait_for("Postfix to listen", lambda: connects(self.port, self.host))
        return self

    def stop(self):
        if self.started:
            self.run("stop")
            wait_for("Postfix to stop", lambda: not os.path.exists(os.path.join(self.queue, "pid", "master.pid"))
                     or self.run("status").returncode != 0)
            self.started = False

    def flush(self):
        subprocess.run(["postqueue", "-c", self.conf, "-f"], check=True)

    def queued(self):
        r = subprocess.run(["postqueue", "-c", self.conf, "-j"], capture_output=True, text=True)
        return [json.loads(line) for line in r.stdout.splitlines()]

    def log(self):
        if not os.path.exists(self.maillog):
            return ""
        with open(self.maillog, errors="replace") as f:
            return f.read()

    def pids(self):
        """master and all its children, of this instance."""
        with open(os.path.join(self.queue, "pid", "master.pid")) as f:
            master = int(f.read())
        children = subprocess.run(["pgrep", "-P", str(master)], capture_output=True, text=True).stdout.split()
        return [master, *map(int, children)]


def behind_sealpost(directory, s, **more):
    """Postfix as an administrator would put it in front of a set: relayhost, verified TLS, milter."""
    policy = os.path.join(directory, "tls_policy")
    os.makedirs(directory, exist_ok=True)
    with open(policy, "w") as f:
        f.write(f"[127.0.0.1]:{s.smtp_port} verify match={s.hostname}\n")
    settings = {
        "relayhost": f"[127.0.0.1]:{s.smtp_port}",
        "smtp_tls_security_level": "encrypt",
        "smtp_tls_policy_maps": f"texthash:{policy}",
        "smtp_tls_CAfile": s.path("relay.pem"),
        "smtp_tls_loglevel": "1",
        "smtpd_milters": f"inet:127.0.0.1:{s.milter_port}",
        "milter_default_action": "tempfail",
        "milter_protocol": "6",
    }
    settings.update(more)
    return Postfix(directory, **settings)


def scratch(name):
    """A private directory that other users may pass through (Postfix runs as its own user)."""
    d = tempfile.mkdtemp(prefix=f"sealpost-{name}-")
    os.chmod(d, 0o755)
    return d
