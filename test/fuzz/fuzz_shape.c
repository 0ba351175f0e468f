/* SPDX-License-Identifier: Apache-2.0 */
/* A rule file, a NUL, and lines of replies that are played by it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shape/shape_replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MAX 64

static void play(const struct shape_rules *rules, struct span text)
{
	struct shape_replay *r = shape_replay_new(rules);
	struct shape_replay_step step;
	const char *why;

	for (int i = 0; r && i < LINES_MAX && text.n; i++) {
		ptrdiff_t end = span_find(text, '\n');
		struct span line = end < 0 ? text : span_sub(text, 0, (size_t)end);
		if (shape_replay_line(r, line, &step, &why) == 1 && strlen(step.outcome) >= SHAPE_REPLAY_OUTCOME)
			abort();
		text = span_sub(text, line.n + 1, text.n);
	}
	shape_replay_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_of(data, size), text;
	ptrdiff_t nul = span_find(all, 0);
	struct shape_rules *rules;
	char err[CONF_ERR_MAX];

	text = nul < 0 ? all : span_sub(all, 0, (size_t)nul);
	rules = shape_rules_parse("fuzz", text, err);
	if (!rules)
		return 0;
	play(rules, span_sub(all, text.n + 1, size));
	shape_rules_unref(rules);
	return 0;
}
