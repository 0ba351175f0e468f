#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Which folder may include which (HOUSE section 2). Usage: includes.sh [ROOT]
# Prints file:line of each breach; status 1 if there is one. An include in quotes carries its folder,
# so the line that breaks a layer shows it.
set -eu
root=${1:-${srcdir:-.}}
cd "$root"

# FOLDER: prefixes it may include. A file belongs to the longest FOLDER that begins its path.
# "-PREFIX" takes back what a wider one gave.
rules='
lib/core: core/
lib/conf: core/ conf/
lib/wire: core/ wire/
lib/shape: core/ conf/ shape/
lib/audit: core/ audit/
lib/seal: core/ seal/
lib/smtp: core/ smtp/
lib/mail: core/ mail/
lib/campaign: core/ mail/ campaign/ smtp/smtp_addr.h seal/seal_kdf.h
lib/http: core/ http/
lib/json: core/ json/
lib/jose: core/ json/ jose/
lib/milterproto: core/ milterproto/
lib/sys: core/ sys/
lib/evt: core/ sys/ evt/
lib/keyproto: core/ wire/ sys/ evt/ keyproto/
lib/ledger: core/ wire/ seal/ ledger/ keyproto/keyproto_checkpoint.h
lib/keyprov: core/ keyprov/ keyproto/keyproto_msg.h
keyd: LIB keyd/ -keyd/token/
keyd/token: core/ sys/ keyd/keyd_token_msg.h keyd/token/
milter: LIB milter/
lint: LIB lint/
cli: LIB cli/
relay: LIB relay/
relay/in: LIB relay/ -relay/out/
relay/out: LIB relay/ -relay/in/
relay/bounce: LIB relay/ -relay/in/ -relay/out/
relay/queue: LIB relay/ -relay/in/ -relay/out/ -relay/api/
relay/spool: LIB relay/ -relay/in/ -relay/out/ -relay/api/
relay/keys: LIB relay/ -relay/in/ -relay/out/ -relay/api/
relay/ledger: LIB relay/ -relay/in/ -relay/out/ -relay/api/
relay/dkim: LIB relay/ -relay/in/ -relay/out/ -relay/api/
relay/store: core/ seal/ relay/store/
relay/shape: LIB relay/ -relay/in/ -relay/out/ -relay/api/
relay/filter: LIB relay/ -relay/out/ -relay/api/
relay/bounce: LIB relay/ -relay/api/
'
lib=$(ls -d lib/*/ | sed 's,^lib/,,' | tr '\n' ' ')

find lib keyd relay milter lint cli -name '*.[ch]' 2>/dev/null | sort | xargs awk -v rules="$rules" -v lib="$lib" '
BEGIN {
	n = split(rules, line, "\n")
	for (i = 1; i <= n; i++)
		if (match(line[i], /^[^:]+:/)) {
			allowed = substr(line[i], RLENGTH + 2)
			gsub(/LIB/, lib, allowed)
			may[substr(line[i], 1, RLENGTH - 1)] = allowed
		}
}
function folder_of(path) {
	while (sub(/\/[^\/]*$/, "", path))
		if (path in may)
			return path
	return ""
}
function permitted(folder, what,    word, count, i, yes) {
	count = split(may[folder], word, " ")
	yes = 0
	for (i = 1; i <= count; i++)
		if (substr(word[i], 1, 1) == "-") {
			if (index(what, substr(word[i], 2)) == 1)
				return 0
		} else if (index(what, word[i]) == 1) {
			yes = 1
		}
	return yes
}
function breach(text) {
	printf "%s:%d: %s\n", FILENAME, FNR, text
	breaches++
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	what = $0
	sub(/^[^"]*"/, "", what)
	sub(/".*/, "", what)
	folder = folder_of(FILENAME)
	if (what == "config.h")
		next
	if (what !~ /\//)
		breach("include of \"" what "\" does not carry its folder")
	else if (folder == "")
		breach("no rule for this folder: add one to test/lint/includes.sh")
	else if (!permitted(folder, what))
		breach(folder " may not include \"" what "\"")
}
# libevent has one home; above it nobody sees a descriptor.
/^[ \t]*#[ \t]*include[ \t]*<event(2\/[^>]*|)>?/ {
	if (FILENAME !~ /^lib\/evt\//)
		breach("libevent is used in lib/evt alone")
}
END {
	exit breaches > 0
}'
