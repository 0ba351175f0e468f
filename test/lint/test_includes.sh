#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The layer check must see a breach: one of each kind is planted in a copy of the tree.
set -eu
srcdir=${srcdir:-.}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM
(cd "$srcdir" && find lib keyd relay milter cli -name '*.[ch]' 2>/dev/null | tar -cf - -T -) |
	tar -xf - -C "$tmp"

"$srcdir/test/lint/includes.sh" "$tmp" >"$tmp/out" || {
	echo "the tree itself is not clean:"
	cat "$tmp/out"
	exit 1
}

failed=0
# plant FILE INCLUDE: the check must name FILE:1 and the include, and fail.
plant() {
	mkdir -p "$tmp/$(dirname "$1")"
	echo "#include $2" >"$tmp/$1"
	if "$srcdir/test/lint/includes.sh" "$tmp" >"$tmp/out"; then
		echo "not seen: $1 includes $2"
		failed=1
	elif ! grep -q "^$1:1: " "$tmp/out" || [ "$(wc -l <"$tmp/out")" != 1 ]; then
		echo "$1 includes $2: unexpected output"
		cat "$tmp/out"
		failed=1
	fi
	rm "$tmp/$1"
}
# fine FILE INCLUDE: the check must let it pass.
fine() {
	mkdir -p "$tmp/$(dirname "$1")"
	echo "#include $2" >"$tmp/$1"
	if ! "$srcdir/test/lint/includes.sh" "$tmp" >"$tmp/out"; then
		cat "$tmp/out"
		failed=1
	fi
	rm "$tmp/$1"
}

plant lib/core/planted.c '"wire/wire_get.h"'
plant lib/seal/planted.c '"evt/evt_loop.h"'
plant lib/smtp/planted.h '"http/http_request.h"'
plant lib/wire/planted.c '"sys/sys_file.h"'
plant lib/sys/planted.c '"evt/evt_loop.h"'
plant lib/evt/planted.c '"keyproto/keyproto_msg.h"'
plant lib/keyprov/planted.c '"keyproto/keyproto_client_sync.h"'
plant lib/conf/planted.c '"relay/relay_conf.h"'
plant lib/newcomer/planted.c '"core/err.h"'
plant relay/in/planted.c '"relay/out/out_worker.h"'
plant relay/out/planted.c '"relay/in/in_listen.h"'
plant relay/queue/planted.c '"relay/in/in_listen.h"'
plant relay/queue/planted.c '"relay/api/api_server.h"'
plant relay/spool/planted.c '"relay/out/out_worker.h"'
plant relay/planted.c '"keyd/keyd_store.h"'
plant keyd/planted.c '"relay/relay.h"'
plant cli/planted.c '"keyd/keyd_store.h"'
plant milter/planted.c '"cli/cli.h"'
plant relay/in/planted.c '"in_listen.h"'
plant relay/in/planted.c '<event2/event.h>'
plant keyd/planted.c '<event.h>'
fine lib/evt/planted.c '<event2/event.h>'
fine lib/keyprov/planted.c '"keyproto/keyproto_msg.h"'
fine relay/in/planted.c '"relay/queue/queue.h"'
fine relay/spool/planted.c '"relay/keys/keys_object.h"'
fine relay/planted.c '"relay/in/in_listen.h"'
fine relay/planted.c '"config.h"'
exit $failed
