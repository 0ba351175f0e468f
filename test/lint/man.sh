#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Manual pages are clean mdoc, and readable with man(1). Usage: man.sh [ROOT]; status 77 (skipped) without mandoc.
set -eu
root=${1:-${srcdir:-.}}
command -v mandoc >/dev/null || exit 77
cd "$root"
set -- man/*.[1-8]
[ -e "$1" ] || exit 0
mandoc -Tlint -W warning "$@"
# What mandoc sets well groff may not: tables with columns wider than a terminal come out one word a line.
command -v groff >/dev/null && command -v man >/dev/null || exit 0
bad=0
for page in "$@"; do
	said=$(MANWIDTH=80 LC_ALL=C.UTF-8 man --warnings -l "$page" 2>&1 >/dev/null | grep . || true)
	[ -z "$said" ] || { printf '%s: %s\n' "$page" "$said"; bad=1; }
done
exit $bad
