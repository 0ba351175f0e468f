# SPDX-License-Identifier: Apache-2.0
"""Real MTAs that cannot be installed beside Postfix: Exim and OpenSMTPD, run from Debian packages that are only unpacked.

test/tool/setup.sh (need_unpacked) puts the files into the folder SEALPOST_PEERS (default: peers in the build folder). Each instance runs
in a mount namespace of its own: over /usr and /etc lie the unpacked files, private configuration and two more users, /var and
/run are folders of the instance. So the programs find everything where Debian puts it, setuid bits and defaults included, and
nothing of the machine changes. Needs root and overlayfs. An instance is ended by the pids of its namespace."""
import os
import signal
import subprocess
import time

import harness

PEERS = os.environ.get("SEALPOST_PEERS") or os.path.join(harness.BUILD, "peers")
MOUNTS = """set -e
mount -t overlay overlay -o "lowerdir=$1:/etc" /etc
shift
[ -z "$1" ] || mount -t overlay overlay -o "lowerdir=$1:/usr" /usr
shift
[ -z "$1" ] || { mount --bind "$1/var" /var; mount --bind "$1/run" /run; }
shift
exec "$@"
"""
ANSWERS = {}


def unpacked(name):
    """The program's path in the folder of unpacked packages, or None."""
    path = os.path.join(PEERS, "usr", "sbin", name)
    return path if os.access(path, os.X_OK) else None


def namespace(etc, usr="", root=""):
    """The beginning of a command that runs in a mount namespace: files of `etc` over /etc, of `usr` over /usr, and
    root/var and root/run instead of /var and /run."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTS, "sh", etc, usr, root]


class Peer:
    """What both have in common. route: "127.0.0.1:PORT" of the next hop for everything, or None: each message is kept.

    tls: offered with a certificate of its own. preload: a shared object preloaded into every program (test/tool/slow_fsync.c)."""
    program = ""
    users = ()
    owner = "root"  # of kept messages

    @classmethod
    def available(cls):
        """Unpacked, root, and overlay mounts work here (asked once)."""
        if cls.program not in ANSWERS:
            ANSWERS[cls.program] = bool(os.getuid() == 0 and unpacked(cls.program) and subprocess.run(
                namespace(os.path.join(PEERS, "etc"), os.path.join(PEERS, "usr")) + ["true"], capture_output=True).returncode == 0)
        return ANSWERS[cls.program]

    def __init__(self, directory, route=None, tls=True, port=None, preload=None):
        self.dir, self.route, self.tls = directory, route, tls
        self.port = port or harness.free_port()
        self.hostname = f"{self.program}.example.test"
        self.etc = os.path.join(directory, "etc")
        for sub in ("etc", "var/spool", "var/log", "var/lib", "var/mail", "run"):
            os.makedirs(os.path.join(directory, sub), exist_ok=True)
        os.chmod(directory, 0o755)
        if not os.path.islink(self.path("var", "run")):
            os.symlink("/run", self.path("var", "run"))
        self.ids = {}
        with open("/etc/passwd") as p, open("/etc/group") as g:
            passwd, group = p.read(), g.read()
        for n, name in enumerate(self.users):
            self.ids[name] = harness.UID + 10 + n
            passwd += f"{name}:x:{self.ids[name]}:{self.ids[name]}::/var/lib/{name}:/usr/sbin/nologin\n"
            group += f"{name}:x:{self.ids[name]}:\n"
        self.write("etc/passwd", passwd)
        self.write("etc/group", group)
        if preload:
            self.write("etc/ld.so.preload", preload + "\n")
        self.cert, self.key = harness.self_signed(self.etc, self.hostname)
        self.kept_dir = self.path("mail")
        os.makedirs(os.path.join(self.kept_dir, "new"), exist_ok=True)
        os.chmod(self.kept_dir, 0o755)
        self.process = harness.Process(
            namespace(self.etc, os.path.join(PEERS, "usr"), directory) + self.argv(), self.path("output"),
            ready=lambda: harness.connects(self.port), name=self.program)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def give(self, name, user, mode=0o750):
        """A folder that belongs to one of the instance's users."""
        os.makedirs(self.path(name), exist_ok=True)
        os.chown(self.path(name), self.ids[user], self.ids[user])
        os.chmod(self.path(name), mode)

    def run(self, *argv, check=False):
        """A command inside the namespace of the running instance."""
        return subprocess.run(["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", *argv], capture_output=True, text=True,
                              check=check)

    def start(self):
        self.process.start()
        return self

    def pids(self):
        """Every process of the instance, also deliveries under way."""
        found = []
        if not self.process.running():
            return found
        mine = os.stat(f"/proc/{self.process.pid}/ns/mnt").st_ino
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.stat(f"/proc/{name}/ns/mnt").st_ino == mine:
                    found.append(int(name))
            except OSError:
                pass
        return found

    def _end(self, signo):
        if not self.process.running():
            return
        mine = os.stat(f"/proc/{self.process.pid}/ns/mnt").st_ino
        keeper = os.open(f"/proc/{self.process.pid}/ns/mnt", os.O_RDONLY)  # the number is not given out again meanwhile
        end = time.monotonic() + 20
        try:
            while True:
                left = []
                for name in os.listdir("/proc"):
                    try:
                        if name.isdigit() and os.stat(f"/proc/{name}/ns/mnt").st_ino == mine:
                            left.append(int(name))
                    except OSError:
                        pass
                left = [p for p in left if p != self.process.pid or self.process.child.poll() is None]
                if not left:
                    return
                if time.monotonic() > end:
                    raise harness.Failure(f"{self.program} does not end: {left}")
                if time.monotonic() > end - 15:
                    signo = signal.SIGKILL
                for p in left:
                    try:
                        os.kill(p, signo)
                    except ProcessLookupError:
                        pass
                time.sleep(0.02)
        finally:
            os.close(keeper)
            if self.process.child.poll() is None:
                self.process.child.wait(5)

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def kept(self):
        """Messages delivered here (route None), as bytes, in order of arrival."""
        found = []
        new = os.path.join(self.kept_dir, "new")
        for name in sorted(os.listdir(new), key=lambda n: os.stat(os.path.join(new, n)).st_mtime_ns):
            with open(os.path.join(new, name), "rb") as f:
                found.append(f.read())
        return found

    def log(self):
        return self.process.log_text()


EXIM = """\
primary_hostname = {hostname}
daemon_smtp_ports = {port}
local_interfaces = <; 127.0.0.1
domainlist relay_from = *
acl_smtp_rcpt = accept
acl_smtp_data = accept
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_reserve_hosts =
recipients_max = 0
message_size_limit = 256M
host_lookup =
rfc1413_query_timeout = 0s
accept_8bitmime = true
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
never_users = root
log_selector = +tls_cipher
keep_environment =
{tls}
{settings}
begin routers
{router}
begin transports
{transport}
begin retry
* * F,2h,{retry}; G,16h,1h,1.5; F,4d,6h
"""
EXIM_ROUTER = """\
smarthost:
  driver = manualroute
  transport = smarthost
  route_list = * {host}
  host_find_failed = defer
  self = send
  ignore_target_hosts =
"""
EXIM_TRANSPORT = """\
smarthost:
  driver = smtp
  port = {port}
  hosts_try_fastopen =
  tls_verify_certificates =
  tls_verify_hosts =
  tls_try_verify_hosts =
  hosts_require_tls = {require}
  hosts_avoid_tls = {avoid}
"""
EXIM_KEEP = """\
keep:
  driver = accept
  transport = keep
"""
EXIM_KEEP_TRANSPORT = """\
keep:
  driver = appendfile
  directory = {place}
  maildir_format
  create_directory
  user = {user}
  group = {user}
"""


class Exim(Peer):
    """Exim as Debian runs it: every message delivered at once by a process of its own, a queue runner every 30 minutes.

    Of Debian's defaults only the limits that would refuse or leave lying a bench's sessions are lifted (smtp_accept_max 20,
    smtp_accept_queue_per_connection 10). next_tls: none | encrypt | may, towards `route`."""
    program = "exim4"
    users = ("Debian-exim",)

    def __init__(self, directory, route=None, tls=True, port=None, preload=None, next_tls="may", retry="15m", queue_run="30m", **settings):
        self.queue_run = queue_run
        super().__init__(directory, route, tls, port, preload)
        user = self.ids["Debian-exim"]
        self.give("var/spool/exim4", "Debian-exim")
        self.give("var/log/exim4", "Debian-exim", 0o2750)
        self.give("mail", "Debian-exim", 0o755)
        os.rmdir(self.path("mail", "new"))  # Exim makes its own
        os.chown(self.key, user, user)
        os.chown(self.etc + "/" + os.path.basename(self.cert), user, user)
        os.makedirs(self.path("var/lib/exim4"), exist_ok=True)
        offered = (f"tls_advertise_hosts = *\ntls_certificate = /etc/{os.path.basename(self.cert)}\n"
                   f"tls_privatekey = /etc/{os.path.basename(self.key)}" if tls else "tls_advertise_hosts =")
        if route:
            host, next_port = route.rsplit(":", 1)
            router = EXIM_ROUTER.format(host=host)
            transport = EXIM_TRANSPORT.format(port=next_port, require="*" if next_tls == "encrypt" else "",
                                              avoid="*" if next_tls == "none" else "")
        else:
            router, transport = EXIM_KEEP, EXIM_KEEP_TRANSPORT.format(place=self.kept_dir, user=user)
        self.write("var/lib/exim4/config.autogenerated", EXIM.format(
            hostname=self.hostname, port=self.port, tls=offered, router=router, transport=transport, retry=retry,
            settings="\n".join(f"{k} = {v}" for k, v in settings.items())))

    def argv(self):
        return ["/usr/sbin/exim4", "-bdf", f"-q{self.queue_run}"]

    def queued(self):
        """Messages in the queue, by the headers of the spool."""
        return sum(name.endswith("-H") for _, _, names in os.walk(self.path("var/spool/exim4/input")) for name in names)

    def flush(self, runners=1):
        """Queue runs that ignore retry times; they go on in the background."""
        for _ in range(runners):
            self.run("/usr/sbin/exim4", "-qff", check=True)

    def kept(self):
        return super().kept() if os.path.isdir(os.path.join(self.kept_dir, "new")) else []

    def log(self):
        text = self.process.log_text()
        for name in ("mainlog", "paniclog"):
            path = self.path("var/log/exim4", name)
            if os.path.exists(path):
                with open(path, errors="replace") as f:
                    text += f.read()
        return text


class OpenSMTPD(Peer):
    """OpenSMTPD; keeps (route None) by its own maildir delivery to one user, or relays everything to the route."""
    program = "smtpd"
    users = ("opensmtpd", "opensmtpq", "keeper")

    def __init__(self, directory, route=None, tls=True, port=None, preload=None):
        super().__init__(directory, route, tls, port, preload)
        os.makedirs(self.path("var/lib/opensmtpd/empty"), exist_ok=True)
        os.makedirs(self.path("var/spool/smtpd"), exist_ok=True)
        os.chmod(self.path("var/spool/smtpd"), 0o711)
        self.give("mail", "keeper", 0o755)
        self.give("mail/new", "keeper", 0o755)
        self.give("var/lib/keeper", "keeper", 0o755)
        os.chmod(self.key, 0o600)
        text = ""
        if tls:
            text += f'pki own cert "/etc/{os.path.basename(self.cert)}"\npki own key "/etc/{os.path.basename(self.key)}"\n'
        text += f'listen on 127.0.0.1 port {self.port} {"tls pki own " if tls else ""}hostname {self.hostname}\n'
        if route:
            text += f'action "out" relay host smtp://{route}\n'
        else:
            text += f'table all {{ "@" = keeper }}\naction "out" maildir "{self.kept_dir}" virtual <all>\n'
        self.write("etc/smtpd.conf", text + 'match from any for any action "out"\n')

    def argv(self):
        return ["/usr/sbin/smtpd", "-dv"]

    def queued(self):
        """Envelopes in the queue."""
        r = self.run("/usr/sbin/smtpctl", "show", "queue")
        return len(r.stdout.splitlines())

    def flush(self):
        self.run("/usr/sbin/smtpctl", "schedule", "all")
