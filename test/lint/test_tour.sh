#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The check of sealpost-tour(7) must fail where something is wrong: it is run over a small tree that is right, then over
# the same with a fault.
set -eu
here=$(cd "${srcdir:-.}/test/lint" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM
failed=0

mkdir -p "$tmp/relay/in" "$tmp/man"
printf 'int in_go(void)\n{\n\treturn in_stop();\n}\n' >"$tmp/relay/in/in_a.c"
printf 'static char *in_stop(void)\n{\n}\n' >"$tmp/relay/in/in_b.c"

# expect good|bad TEXT: with the page on standard input.
expect() {
	cat >"$tmp/man/sealpost-tour.7"
	result=good
	sh "$here/tour.sh" "$tmp" >"$tmp/out" 2>&1 || result=bad
	if [ "$result" != "$1" ] || ! grep -q -e "$2" "$tmp/out" && [ "$1" = bad ]; then
		echo "$result, expected $1 $2"
		cat "$tmp/out"
		failed=1
	fi
}

expect good '' <<'END'
.Pa relay/in
and
.Pa relay/in/in_*.c
and
.Fn in_go
.Pq Pa relay/in/in_a.c ,
.Pq Fn in_stop .
.Pa /etc/sealpost/relay.yaml
END
expect bad 'line 1: there is no relay/in/in_c.c' <<'END'
.Pa relay/in/in_c.c
END
expect bad 'line 1: there is no relay/out/out_\*.c' <<'END'
.Pq Pa relay/out/out_*.c
END
expect bad 'line 1: in_a.c has no folder before it' <<'END'
.Pa in_a.c
END
expect bad 'line 2: nobody defines in_gone' <<'END'
.Pa relay/in
.Pq Fn in_gone
END
expect bad 'line 2: relay/in/in_a.c does not define in_stop' <<'END'
.Fn in_stop
.Pq Pa relay/in/in_a.c
END
expect bad 'names no file' <<'END'
text
END
exit $failed
