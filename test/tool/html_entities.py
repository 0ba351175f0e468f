#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes lib/mail/mail_html_entity_table.h: the named character references of HTML, from Python's own table.
Usage: html_entities.py > lib/mail/mail_html_entity_table.h"""
import html.entities

names = sorted(html.entities.html5.items(), key=lambda kv: kv[0].encode())
first = {}
print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by test/tool/html_entities.py: not to be edited. Named character references (WHATWG HTML 13.5), sorted")
print(" * by octet; the second code point is 0 if there is one alone. */")
print("/* clang-format off */")
print("static const struct mail_html_entity entities[] = {")
row = ""
for i, (name, text) in enumerate(names):
    first.setdefault(name[0], i)
    second = ord(text[1]) if len(text) > 1 else 0
    item = '{0x%x,0x%x,"%s"},' % (ord(text[0]), second, name)
    if len(row) + len(item) + 1 > 112:
        print("\t" + row.strip())
        row = ""
    row += " " + item
print("\t" + row.strip())
print("};")
print("enum { ENTITY_COUNT = %d, ENTITY_NAME_MAX = %d };" % (len(names), max(len(n) for n, _ in names)))
print("/* Where the names of a first letter begin: A-Z, then a-z; the last is the end. */")
print("static const uint16_t entity_first[53] = {")
letters = [chr(c) for c in list(range(65, 91)) + list(range(97, 123))]
starts = [next((i for i, (n, _) in enumerate(names) if n[0] >= l), len(names)) for l in letters] + [len(names)]
for i in range(0, 53, 14):
    print("\t" + " ".join("%d," % s for s in starts[i:i + 14]))
print("};")
print("/* clang-format on */")
