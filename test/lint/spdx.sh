#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every source says under which licence it is: on line 1, or on line 2 behind "#!".
# Usage: spdx.sh [ROOT]
set -eu
root=${1:-${srcdir:-.}}
cd "$root"

{
	ls configure.ac Makefile.am bootstrap run-demo run-tests .ci/run 2>/dev/null || :
	find lib keyd relay milter cli etc man test debian -type f \
		\( -name '*.[ch]' -o -name '*.inc' -o -name '*.sh' -o -name '*.py' \
		-o -name '*.[1-8]' -o -name '*.yaml' -o -name '*.service.in' -o -name '*.conf' -o -name '*.js' \
		-o -name '*.css' -o -name '*.html' -o -path debian/rules \) \
		! -path 'test/fuzz/corpus/*' ! -path 'debian/sealpost-*/*' ! -path 'debian/tmp/*' \
		! -path 'debian/.debhelper/*' 2>/dev/null || :
	# Scripts without a suffix.
	find test cli etc -type f -perm -u+x ! -name '*.*' ! -path 'test/fuzz/corpus/*' \
		-exec sh -c 'for f; do [ "$(head -c 2 "$f")" != "#!" ] || echo "$f"; done' sh {} +
} | sort -u | while read -r f; do
	want=$(head -n 1 "$f")
	case $want in '#!'* | '<!DOCTYPE'* | '<!doctype'*) want=$(sed -n 2p "$f") ;; esac
	case $want in
	*'SPDX-License-Identifier: Apache-2.0'*) ;;
	*) echo "$f:1: no SPDX line" ;;
	esac
done | {
	! grep .
}
