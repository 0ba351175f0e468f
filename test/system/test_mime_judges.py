# SPDX-License-Identifier: Apache-2.0
"""The MIME gate before a foreign judge: Python's email package reads the same parts out of messages that
pass the gate, before and after links in them were changed, and the gate lets pass what that package
writes."""
import email
import email.message
import email.policy
import os
import subprocess

import harness

READER = os.path.join(harness.BUILD, "test/tool/mime_reader")
LINK = "https://t.shop.example/c/" + "A" * 44
MESSAGES = 2500


def frames(*args):
    out = subprocess.run([READER, *map(str, args)], check=True, capture_output=True).stdout
    at = 0
    while at < len(out):
        n = int.from_bytes(out[at + 1:at + 5], "big")
        yield chr(out[at]), out[at + 5:at + 5 + n]
        at += 5 + n


def readings(*args):
    """(kind, message, parts or the rule's name) of each message; a part: (fields, octets)."""
    found = []
    for kind, octets in frames(*args):
        if kind in "MN":
            found.append([kind, octets, []])
        elif kind == "R":
            found[-1][2] = octets.decode()
        elif kind == "P":
            found[-1][2].append([octets.decode().split("\t"), b""])
        else:
            found[-1][2][-1][1] = octets
    return found


def text_of(part):
    text = part.get_payload(decode=True).decode(part.get_content_charset("us-ascii"))
    return text.replace("\r\n", "\n").rstrip("\n")


def compare(message, parts, where):
    """What the gate read is what the email package reads; its texts come back."""
    assert not isinstance(parts, str), (where, parts)
    theirs = list(email.message_from_bytes(message).walk())
    assert [p.get_content_type() for p in theirs] == [fields[4] for fields, _ in parts], where
    texts = []
    for part, (fields, octets) in zip(theirs, parts):
        assert part.is_multipart() == bool(int(fields[2])), where
        assert not part.defects, (where, part.defects)
        if part.is_multipart():
            continue
        if not int(fields[3]):
            # a line end before the delimiter is the delimiter's; that package leaves it to some encodings
            assert part.get_payload(decode=True).rstrip(b"\r\n") == octets.rstrip(b"\r\n"), where
            assert (part.get_filename() or "") == fields[6], where
            continue
        texts.append(text_of(part))
        if part.get_param("format") != "flowed":
            assert texts[-1] == octets.decode(), where
    return texts


def test_the_email_package_reads_what_the_gate_reads():
    """2,500 generated messages, and what they are when a tracking link stands in the place of each link."""
    found = readings("world", 0, MESSAGES)
    assert [kind for kind, _, _ in found] == ["M", "N"] * MESSAGES
    changed = 0
    for i in range(MESSAGES):
        (_, old, old_parts), (_, new, new_parts) = found[2 * i:2 * i + 2]
        before = compare(old, old_parts, f"message {i}")
        after = compare(new, new_parts, f"result {i}")
        assert len(before) == len(after)
        changed += old != new
        if old == new:
            continue
        for a, b in zip(before, after):
            assert b in (a, with_links(a)), f"message {i}"
    assert changed > MESSAGES / 3


def with_links(text):
    out, rest = "", text
    while "https://" in rest:
        head, rest = rest.split("https://", 1)
        out += head + LINK
        rest = rest[rest.index('"'):] if '"' in rest else ""
    return out + rest


def written():
    """Messages as the email package writes them."""
    html = "<p>Caf\u00e9 \u2014 " + "long line, " * 40 + "</p>\n<a href='https://shop.example/?a=b'>x</a>\n"
    for cte in ("quoted-printable", "base64", "8bit"):
        for charset in ("utf-8", "iso-8859-15" if cte != "8bit" else "utf-8"):
            m = email.message.EmailMessage(policy=email.policy.SMTP)
            m["From"], m["To"], m["Subject"] = "Shop <a@shop.example>", "b@c.example", "Caf\u00e9"
            m.set_content("Caf\u00e9\n\nend  \n", charset=charset, cte=cte)
            yield m
            m = email.message.EmailMessage(policy=email.policy.SMTP)
            m.set_content("Caf\u00e9\n")
            m.add_alternative(html.replace("\u2014", "-"), subtype="html", charset=charset, cte=cte)
            m.get_payload()[1].add_related(b"\x89PNG" * 100, "image", "png", cid="<i@shop.example>")
            m.add_attachment(bytes(range(256)), maintype="application", subtype="pdf",
                             filename="Preisliste \u00e4 \u4f60\u597d und ein langer Name dazu " * 2 + ".pdf")
            yield m
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m.set_content("plain\n")
    yield m


def test_the_gate_lets_pass_what_the_email_package_writes(tmp_path):
    """All encodings, names of files in RFC 2231, related and alternative parts."""
    paths = []
    for i, m in enumerate(written()):
        paths.append(tmp_path / f"{i}.eml")
        paths[-1].write_bytes(m.as_bytes())
    for kind, message, parts in readings(*paths):
        assert kind == "M"
        compare(message, parts, message.decode("latin-1"))
