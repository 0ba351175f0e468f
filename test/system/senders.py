# SPDX-License-Identifier: Apache-2.0
"""Real mail clients, each as a function: send(where, sender, recipients, data) -> (accepted?, what it said).

where: how to reach relay. data goes out as given, with CRLF line ends."""
import os
import shutil
import smtplib
import ssl
import subprocess
import tempfile
from dataclasses import dataclass

import harness

NODE = os.environ.get("SEALPOST_NODE") or os.path.join(harness.BUILD, "node")


@dataclass
class Where:
    port: int
    ca: str  # relay's certificate
    name: str = "relay.example.test"
    tls: str = "none"  # none | starttls | implicit; verified in both
    user: str = ""
    password: str = ""
    login: str = "PLAIN"  # or LOGIN


def run(argv, data=b"", **more):
    r = subprocess.run(argv, input=data, capture_output=True, timeout=60, **more)
    return r.returncode == 0, (r.stdout + r.stderr).decode(errors="replace")


def in_file(data):
    f = tempfile.NamedTemporaryFile(suffix=".eml")
    f.write(data)
    f.flush()
    return f


def by_smtplib(w, sender, recipients, data):
    context = ssl.create_default_context(cafile=w.ca)
    try:
        if w.tls == "implicit":
            c = smtplib.SMTP_SSL(timeout=30, context=context)
        else:
            c = smtplib.SMTP(timeout=30)
        c._host = w.name  # the name that the certificate must have; the address is that of loopback
        with c:
            if w.tls == "implicit":
                c._get_socket = lambda host, port, timeout, real=c._get_socket: real("127.0.0.1", port, timeout)
                c.connect(w.name, w.port)
            else:
                c.connect("127.0.0.1", w.port)
            c._host = w.name
            if w.tls == "starttls":
                c.starttls(context=context)
            if w.user:
                c.user, c.password = w.user, w.password
                c.ehlo_or_helo_if_needed()
                c.auth(w.login, c.auth_plain if w.login == "PLAIN" else c.auth_login)
            international = not all(a.isascii() for a in [sender, *recipients])
            refused = c.sendmail(sender, recipients, data, ["SMTPUTF8", "BODY=8BITMIME"] if international
                                 else ["BODY=8BITMIME"])
            return not refused, str(refused)
    except (smtplib.SMTPException, OSError) as e:
        return False, str(e)


def by_msmtp(w, sender, recipients, data):
    argv = ["msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={w.port}", f"--from={sender}", "--timeout=30",
            "--set-date-header=off", "--set-from-header=off", "--set-msgid-header=off", "--debug"]
    if w.tls == "none":
        argv += ["--tls=off"]
    else:
        argv += ["--tls=on", f"--tls-starttls={'on' if w.tls == 'starttls' else 'off'}", f"--tls-trust-file={w.ca}",
                 f"--tls-host-override={w.name}"]
    more = {}
    if w.user:
        argv += [f"--auth={w.login.lower()}", f"--user={w.user}", "--passwordeval=printenv MSMTP_PASSWORD"]
        more["env"] = dict(os.environ, MSMTP_PASSWORD=w.password)
    return run([*argv, "--", *recipients], data.replace(b"\r\n", b"\n"), **more)


def by_swaks(w, sender, recipients, data):
    with in_file(data.removesuffix(b"\r\n").replace(b"\r\n", b"\n")) as f:  # it adds a line end
        argv = ["swaks", "--server", "127.0.0.1", "--port", str(w.port), "--from", sender, "--to", ",".join(recipients),
                "--ehlo", "client.example.test", "--data", "@" + f.name, "--timeout", "30"]
        if w.tls != "none":
            argv += ["--tls" if w.tls == "starttls" else "--tlsc", "--tls-verify", "--tls-ca-path", w.ca]
        if w.user:
            argv += ["--auth", w.login, "--auth-user", w.user, "--auth-password", w.password]
        return run(argv)


def by_curl(w, sender, recipients, data):
    with in_file(data) as f:
        scheme = "smtps" if w.tls == "implicit" else "smtp"
        argv = ["curl", "-sv", "--max-time", "30", "--connect-to", f"{w.name}:{w.port}:127.0.0.1:{w.port}",
                "--url", f"{scheme}://{w.name}:{w.port}/client.example.test", "--mail-from", sender, "--upload-file", f.name]
        for r in recipients:
            argv += ["--mail-rcpt", r]
        if w.tls != "none":
            argv += ["--cacert", w.ca, "--ssl-reqd"]
        if w.user:
            argv += ["--user", f"{w.user}:{w.password}", "--login-options", f"AUTH={w.login}"]
        return run(argv)


NODEMAILER = """
const nodemailer = require("nodemailer"), fs = require("fs");
const w = JSON.parse(process.argv[1]);
const t = nodemailer.createTransport({
  host: "127.0.0.1", port: w.port, secure: w.tls == "implicit", requireTLS: w.tls == "starttls", ignoreTLS: w.tls == "none",
  name: "client.example.test", tls: {ca: fs.readFileSync(w.ca), servername: w.name},
  auth: w.user ? {user: w.user, pass: w.password} : undefined, authMethod: w.user ? w.login : undefined});
t.sendMail({envelope: {from: w.sender, to: w.recipients}, raw: fs.readFileSync(0)}).then(
  r => { console.log(r.response); if (r.rejected.length) process.exit(2); }, e => { console.log(e.message); process.exit(1); });
"""


def by_nodemailer(w, sender, recipients, data):
    import json
    return run(["node", "-e", NODEMAILER, json.dumps({**w.__dict__, "sender": sender, "recipients": recipients})],
               data, cwd=NODE)


SENDERS = {"smtplib": by_smtplib, "msmtp": by_msmtp, "swaks": by_swaks, "curl": by_curl, "nodemailer": by_nodemailer}


def available(name):
    if name == "smtplib":
        return True
    if name == "nodemailer":
        return bool(shutil.which("node")) and os.path.isdir(os.path.join(NODE, "node_modules", "nodemailer"))
    return bool(shutil.which(name))
