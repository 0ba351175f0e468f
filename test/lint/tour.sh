#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What sealpost-tour(7) shows can be visited: each file and folder is there ("*" as in the shell), each function is
# defined in C; and in that very file, where ".Pq Pa FILE" is the line after ".Fn FUNCTION".
# Usage: tour.sh [ROOT]
set -eu
root=${1:-${srcdir:-.}}
cd "$root"
page=man/sealpost-tour.7
[ -r "$page" ] || {
	echo "$page: missing"
	exit 1
}
bad=0

complain() {
	echo "$page: $*"
	bad=1
}

# defined NAME FILE...: a definition begins in the first column.
defined() {
	symbol=$1
	shift
	grep -rqE --include='*.c' "^[a-z].*[ *]$symbol\(" "$@"
}

# "LINE Pa|Fn|In NAME ...", one a line; a macro may stand behind another one (".Pq Fn name").
# In: a file and the function that it must define.
macros=$(awk '
/^\./ {
	fn = ""
	for (i = 1; i < NF; i++) {
		word = $i
		sub(/^\./, "", word)
		if (word != "Pa" && word != "Fn")
			continue
		print NR, word, $(i + 1)
		if (word == "Fn")
			fn = $(i + 1)
		else if ($1 == ".Pq" && last != "" && last_line == NR - 1)
			print NR, "In", $(i + 1), last
	}
	last = fn
	last_line = NR
}' "$page")
[ -n "$macros" ] || complain "names no file and no function"
while read -r line what name function; do
	case $what:$name in
	Pa:lib/* | Pa:keyd/* | Pa:relay/* | Pa:milter/* | Pa:cli/*)
		found=no
		for path in $name; do
			[ ! -e "$path" ] || found=yes
		done
		[ $found = yes ] || complain "line $line: there is no $name"
		;;
	Pa:*.[ch]) complain "line $line: $name has no folder before it" ;;
	Fn:*) defined "$name" $(ls -d lib keyd relay milter cli 2>/dev/null) || complain "line $line: nobody defines $name" ;;
	In:*.c) [ ! -e "$name" ] || defined "$function" "$name" || complain "line $line: $name does not define $function" ;;
	esac
done <<END
$macros
END
exit $bad
