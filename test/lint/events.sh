#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every event that a program can log is an item of sealpost-log(7), and every item is logged somewhere.
# Usage: events.sh [ROOT]
# An event's name is a literal where it is logged (both of them, if it is a choice of two): whoever
# reads the line in the log finds its place in the source. A file that passes names on, in a table or
# to a function of its own, lists them in a comment: "/* events: delivered deferred */".
set -eu
root=${1:-${srcdir:-.}}
cd "$root"
page=man/sealpost-log.7
[ -r "$page" ] || {
	echo "$page: missing"
	exit 1
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM

# file:line name, for each name of a call; "?" instead of a name that is no literal.
find lib keyd relay milter cli -name '*.c' | sort | xargs awk '
function flush_call(    i, c, depth, arg, quoted, text, wanted, names, s) {
	wanted = fn == "log_fatal" ? 2 : 3
	arg = 1
	depth = quoted = names = 0
	s = ""
	for (i = 1; i <= length(call); i++) {
		c = substr(call, i, 1)
		if (quoted) {
			if (c == "\\") {
				i++
			} else if (c == "\"") {
				quoted = 0
				if (arg == wanted) {
					print where, s
					names++
				}
			} else {
				s = s c
			}
			continue
		}
		if (c == "\"") {
			quoted = 1
			s = ""
		} else if (c == "(") {
			depth++
		} else if (c == ")") {
			if (depth-- == 0)
				break
		} else if (c == "," && depth == 0) {
			arg++
		}
		if (arg == wanted)
			text = text c
	}
	if (!names && text !~ /const char/)
		unknown[where] = substr(where, 1, index(where, ":") - 1)
}
# Calls are read to their semicolon; comments hold none of these names with a parenthesis.
/\/\* events: / {
	text = $0
	sub(/.*\/\* events: /, "", text)
	sub(/\*\/.*/, "", text)
	count = split(text, word, " ")
	for (i = 1; i <= count; i++)
		print FILENAME ":" FNR, word[i]
	listed[FILENAME] = 1
}
{
	line = $0
	if (!pending && match(line, /(^|[^a-z_])log_(event|debug|fatal)\(/)) {
		fn = substr(line, RSTART, RLENGTH - 1)
		sub(/^[^a-z]/, "", fn)
		where = FILENAME ":" FNR
		call = substr(line, RSTART + RLENGTH)
		pending = 1
	} else if (pending) {
		call = call " " line
	}
	if (pending && (line ~ /[;{][ \t]*(\/\*.*)?$/ || length(call) > 4000)) {
		flush_call()
		pending = 0
	}
}
END {
	for (where in unknown)
		if (!(unknown[where] in listed))
			print where, "?"
}' >"$tmp/logged"

sed -n 's/^\.It \(Cm\|Sy\|Li\|Ic\) //p' "$page" | tr ' ,' '\n\n' | grep -x '[a-z0-9-][a-z0-9-]*' | sort >"$tmp/items" || :

status=0
grep ' ?$' "$tmp/logged" | sed 's/ ?$/: the event has no literal name, and no comment lists it/' >"$tmp/bad" || :
while read -r where name; do
	[ "$name" = '?' ] || grep -qx -e "$name" "$tmp/items" ||
		echo "$where: event \"$name\" is not in $page"
done <"$tmp/logged" >>"$tmp/bad"
while read -r name; do
	cut -d' ' -f2 "$tmp/logged" | grep -qx -e "$name" || echo "$page: nobody logs \"$name\""
done <"$tmp/items" >>"$tmp/bad"
uniq -d "$tmp/items" | sed "s,.*,$page: \"&\" is listed twice," >>"$tmp/bad"
if [ -s "$tmp/bad" ]; then
	cat "$tmp/bad"
	status=1
fi
exit $status
