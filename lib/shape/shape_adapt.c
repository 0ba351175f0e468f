/* SPDX-License-Identifier: Apache-2.0 */
#include "shape/shape_adapt.h"

#include <string.h>

#define HOLDS_MAX 8

static unsigned at_least_one(unsigned n)
{
	return n ? n : 1;
}

void shape_adapt_init(struct shape_adapt *a, unsigned start, unsigned max)
{
	memset(a, 0, sizeof(*a));
	a->limit = (uint16_t)at_least_one(start < max ? start : max);
}

unsigned shape_adapt_limit(const struct shape_adapt *a, unsigned max)
{
	return at_least_one(a->limit < max ? a->limit : max);
}

void shape_adapt_good(struct shape_adapt *a, unsigned max, unsigned open, int64_t now)
{
	unsigned top = max;

	if (a->cap && now < a->cap_until && a->cap < top)
		top = a->cap;
	if (open < a->limit || a->limit >= top)
		return;
	if (++a->good >= a->limit) {
		a->good = 0;
		a->limit++;
	}
}

static void shrink(struct shape_adapt *a, unsigned to)
{
	to = at_least_one(to);
	if (to < a->limit)
		a->limit = (uint16_t)to;
	a->good = 0;
}

void shape_adapt_bad(struct shape_adapt *a, unsigned others)
{
	shrink(a, others ? others : a->limit / 2u);
}

void shape_adapt_crowded(struct shape_adapt *a, unsigned others, int64_t now)
{
	unsigned cap = at_least_one(others < a->limit ? others : a->limit);
	int64_t hold = SHAPE_ADAPT_HOLD;

	/* several are told at the same time: the lowest counts, once */
	if (a->cap && now < a->cap_until) {
		if (cap < a->cap)
			a->cap = (uint16_t)cap;
		shrink(a, a->cap);
		return;
	}
	if (a->cap && cap <= a->cap && a->holds < HOLDS_MAX)
		a->holds++;
	else
		a->holds = 0;
	for (unsigned i = 0; i < a->holds && hold < SHAPE_ADAPT_HOLD_MAX; i++)
		hold *= 2;
	a->cap = (uint16_t)cap;
	a->cap_until = now + (hold < SHAPE_ADAPT_HOLD_MAX ? hold : SHAPE_ADAPT_HOLD_MAX);
	shrink(a, cap);
}

void shape_adapt_probe(struct shape_adapt *a)
{
	shrink(a, 1);
}
