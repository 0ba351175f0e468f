#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make fuzz: each libFuzzer target for FUZZ_SECONDS, from its corpus. New inputs are kept in fuzz-NAME/ of the build; a crash ends
# the run with the input that caused it.
[ "$FUZZ_BUILD" = yes ] || {
	echo "make fuzz needs a build with CC=clang ./configure --enable-fuzz" >&2
	exit 64
}
for f in $FUZZERS; do
	name=${f##*/fuzz_}
	mkdir -p "fuzz-$name"
	echo "== $name, $FUZZ_SECONDS s"
	./"$f" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=4096 -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="fuzz-$name/" "fuzz-$name" "$srcdir/test/fuzz/corpus/$name" 2>"fuzz-$name.log" || {
		tail -n 40 "fuzz-$name.log"
		exit 1
	}
	sed -n 's/^stat::number_of_executed_units: */   runs: /p' "fuzz-$name.log"
done
echo "no finding"
