#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every fuzz target over its corpus: what a fuzzer once found stays found. FUZZERS: the programs, from make.
bad=0
for f in $FUZZERS; do
	name=${f##*/fuzz_}
	corpus=$srcdir/test/fuzz/corpus/$name
	if [ ! -d "$corpus" ]; then
		echo "$f has no corpus in $corpus"
		bad=1
	elif ! ./"$f" "$corpus"/* >/dev/null 2>"replay-$$.log"; then
		echo "$f fails on its corpus:"
		cat "replay-$$.log"
		bad=1
	fi
	rm -f "replay-$$.log"
done
exit $bad
