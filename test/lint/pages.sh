#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Command and manual must not differ: every subcommand has its page, with each of its words and options; every key of
# a configuration table is in that file's page and in etc/.
root=${1:-${srcdir:-.}}
bad=0

complain() {
	echo "$*"
	bad=1
}

# "name", function, "usage" rows of the table in cli/main.c
tr '\n' ' ' <"$root/cli/main.c" | grep -o '{"[a-z]*", cli_[a-z]*,[^}]*}' |
	sed 's/{"\([a-z]*\)", cli_[a-z]*, *"\([^"]*\)".*/\1|\2/' >"${TMPDIR:-/tmp}/pages.$$"
while IFS='|' read -r name usage; do
	page=$root/man/sealpost-$name.8
	[ "$name" = help ] && page=$root/man/sealpost.8
	if [ ! -f "$page" ]; then
		complain "$page: missing for subcommand $name"
		continue
	fi
	for word in $(echo "$usage" | tr -c 'a-z-' ' '); do
		case $word in
		--*) grep -q -e "Fl -${word#--}" "$page" || complain "$page: option $word is not described" ;;
		-*) ;;
		*) grep -q -e "$word" "$page" || complain "$page: \"$word\" is not described" ;;
		esac
	done
	grep -q -e "Cm $name" "$root/man/sealpost.8" || complain "$root/man/sealpost.8: subcommand $name is not listed"
done <"${TMPDIR:-/tmp}/pages.$$"
[ -s "${TMPDIR:-/tmp}/pages.$$" ] || complain "cli/main.c: no table of subcommands found"
rm -f "${TMPDIR:-/tmp}/pages.$$"

for daemon in keyd relay milter; do
	table=$root/$daemon/${daemon}_conf.c
	[ -f "$root/$daemon/${daemon}_conf_table.c" ] && table=$root/$daemon/${daemon}_conf_table.c
	[ -f "$table" ] || continue
	keys=$(grep -o '\.name = "[a-z_]*"' "$table" | cut -d'"' -f2 | sort -u)
	[ -n "$keys" ] || complain "$table: no keys found"
	for key in $keys; do
		grep -qE "^\.It .*[ .]$key( |$)|^\.It (Ic|Cm) $key\b" "$root/man/sealpost-$daemon.yaml.5" ||
			complain "man/sealpost-$daemon.yaml.5: key $key is not described"
		grep -qE "\b$key:" "$root/etc/$daemon.yaml" || complain "etc/$daemon.yaml: key $key is not shown"
	done
done
exit $bad
