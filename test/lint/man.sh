#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Manual pages are clean mdoc. Usage: man.sh [ROOT]; status 77 (skipped) without mandoc.
set -eu
root=${1:-${srcdir:-.}}
command -v mandoc >/dev/null || exit 77
cd "$root"
set -- man/*.[1-8]
[ -e "$1" ] || exit 0
mandoc -Tlint -W warning "$@"
