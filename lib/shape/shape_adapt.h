/* SPDX-License-Identifier: Apache-2.0 */
/* shape_adapt - how many connections a destination takes: grows with good answers, shrinks with bad ones.
 *
 * Story:  begins at the rule's start. As many messages accepted as the limit is high make room for one more, up to the
 *         rule's maximum, if all that were allowed were in use. A connection that fails while others stand means that
 *         these are what the destination takes; one that fails alone halves the limit. "Too many connections" shrinks
 *         it to what stood then, and that is remembered: HOLD at first, and twice as long each time it proves true again,
 *         up to HOLD_MAX; only then is one more tried. The limit is never below 1: whether a destination is dead is not
 *         decided here.
 * Thread: pure; any. Times: usec on a clock that never jumps.
 * Source: the idea of positive and negative feedback per destination is that of Postfix's scheduler. */
#ifndef SHAPE_SHAPE_ADAPT_H
#define SHAPE_SHAPE_ADAPT_H

#include <stdint.h>

#define SHAPE_ADAPT_HOLD     (INT64_C(600) * 1000000)
#define SHAPE_ADAPT_HOLD_MAX (INT64_C(14400) * 1000000)

struct shape_adapt {
	uint16_t limit; /* connections now */
	uint16_t good;	/* messages accepted since it last changed */
	uint16_t cap;	/* what was found to be the most; 0: nothing known */
	uint16_t holds; /* how often in a row it was found */
	int64_t cap_until;
};

void shape_adapt_init(struct shape_adapt *a, unsigned start, unsigned max);
/* How many may stand now. */
unsigned shape_adapt_limit(const struct shape_adapt *a, unsigned max);
/* A message was accepted while open connections stood. */
void shape_adapt_good(struct shape_adapt *a, unsigned max, unsigned open, int64_t now);
/* A connection could not be made, or broke; others stand. */
void shape_adapt_bad(struct shape_adapt *a, unsigned others);
/* The destination says that there are too many; others stand beside the one it said so to. */
void shape_adapt_crowded(struct shape_adapt *a, unsigned others, int64_t now);
/* After a rest: one first. */
void shape_adapt_probe(struct shape_adapt *a);

#endif
