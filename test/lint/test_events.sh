#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The checks of events, licence lines and manual pages must fail where something is wrong: each is run
# over a small tree that is right, then over one with a fault.
set -eu
here=$(cd "${srcdir:-.}/test/lint" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT INT TERM
failed=0

tree() {
	rm -rf "$tmp/t"
	mkdir -p "$tmp/t/lib" "$tmp/t/relay" "$tmp/t/man" "$tmp/t/test"
	cat >"$tmp/t/relay/a.c" <<-'EOF'
		/* SPDX-License-Identifier: Apache-2.0 */
		/* events: from-table */
		void a(void)
		{
			log_event(LOG_LEVEL_INFO, NULL, "one-line", "x=%d", f(1, 2));
			log_event(g(a, "not, a name") ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, id,
				  ok ? "went-well" : "went-badly", "text=\"%s\"", "; (");
			log_fatal(EXIT_CONFIG, "fatal-one", NULL);
			log_debug("topic", NULL, "debug-one", NULL);
			log_event(LOG_LEVEL_INFO, NULL, table[i], NULL);
		}
	EOF
	cat >"$tmp/t/man/sealpost-log.7" <<-'EOF'
		.\" SPDX-License-Identifier: Apache-2.0
		.Dd November 22, 2026
		.Dt SEALPOST-LOG 7
		.Os
		.Sh NAME
		.Nm sealpost-log
		.Nd test
		.Sh DESCRIPTION
		.Bl -tag -width Ds
		.It Cm one-line
		.It Cm went-well
		.It Cm went-badly
		.It Cm fatal-one
		.It Cm debug-one
		.It Cm from-table
		.El
	EOF
}

# expect good|bad CHECK [TEXT]: CHECK passes, or fails with TEXT in what it prints.
expect() {
	result=good
	"$here/$2" "$tmp/t" >"$tmp/out" 2>&1 || result=bad
	if [ "$result" != "$1" ] || ! grep -q -e "${3:-}" "$tmp/out" && [ "$1" = bad ]; then
		echo "$2: $result, expected $1 ${3:-}"
		cat "$tmp/out"
		failed=1
	fi
}

tree
expect good events.sh
expect good spdx.sh
sed -i '/debug-one/d' "$tmp/t/man/sealpost-log.7"
expect bad events.sh 'relay/a.c:9: event "debug-one" is not in'
tree
sed -i '/went-badly/d' "$tmp/t/man/sealpost-log.7"
expect bad events.sh 'relay/a.c:6: event "went-badly" is not in'
tree
sed -i '/from-table/d' "$tmp/t/man/sealpost-log.7"
expect bad events.sh 'relay/a.c:2: event "from-table" is not in'
tree
sed -i '/events: from/d; /from-table/d' "$tmp/t/relay/a.c"
expect bad events.sh 'relay/a.c:9: the event has no literal name'
tree
sed -i '/fatal-one/d' "$tmp/t/relay/a.c"
expect bad events.sh 'nobody logs "fatal-one"'
tree
sed -i 1d "$tmp/t/relay/a.c"
expect bad spdx.sh 'relay/a.c:1: no SPDX line'
tree
printf '#!/bin/sh\nexit 0\n' >"$tmp/t/test/tool"
chmod +x "$tmp/t/test/tool"
expect bad spdx.sh 'test/tool:1: no SPDX line'
if command -v mandoc >/dev/null; then
	tree
	sed -i '/^\.It/a text' "$tmp/t/man/sealpost-log.7"
	expect good man.sh
	echo '.Nosuchmacro' >>"$tmp/t/man/sealpost-log.7"
	expect bad man.sh 'Nosuchmacro'
fi
exit $failed
