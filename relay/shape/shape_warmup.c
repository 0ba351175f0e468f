/* SPDX-License-Identifier: Apache-2.0 */
/* The warm-up of a source at a site: how much of today is left. */
#include "core/clock.h"
#include "core/err.h"
#include "relay/shape/shape_own.h"

uint32_t shape_warmup_left(struct shape_cell *c, const struct shape_warm *w, int64_t now, int64_t *until)
{
	int64_t wall, ends, day;
	uint32_t limit;

	if (!w)
		return SHAPE_WARM_ALL;
	c = c->base;
	wall = clock_wall();
	day = shape_warm_day(wall, &ends);
	if (day != c->warm_day) {
		/* a clock that was set back a little does not give the day again */
		if (day > c->warm_day || day < c->warm_day - 1) {
			c->warm_sent = c->warm_sure = 0;
			c->warm_day = day;
		}
	}
	limit = shape_warm_limit(w, c->warm_day);
	*until = now + (ends - wall);
	if (limit == SHAPE_WARM_ALL)
		return limit;
	return c->warm_sent < limit ? limit - c->warm_sent : 0;
}

#define AHEAD_SHARE 20 /* of the day's number */
#define AHEAD_LEAST 5

uint32_t shape_warmup_ahead(const struct shape_cell *c, const struct shape_warm *w)
{
	uint32_t limit = w ? shape_warm_limit(w, c->warm_day) : 0, n = limit / AHEAD_SHARE;

	if (n < AHEAD_LEAST)
		n = AHEAD_LEAST;
	if (c->warm_sent >= limit || limit == SHAPE_WARM_ALL)
		return c->warm_sent;
	return limit - c->warm_sent < n ? limit : c->warm_sent + n;
}

void shape_warmup_expect(struct shape *s, const struct shape_cell *c, const struct shape_warm *w)
{
	if (w && c->base->warm_sent >= c->base->warm_sure)
		shape_store_dirty(s);
}

int shape_warmup_book(struct shape *s, struct shape_cell *c, const struct shape_warm *w)
{
	c = c->base;
	if (!w)
		return 0;
	if (s->store && shape_warm_limit(w, c->warm_day) != SHAPE_WARM_ALL) {
		/* in time, so that mostly nobody waits */
		if (c->warm_sent + AHEAD_LEAST / 2 >= c->warm_sure)
			shape_store_dirty(s);
		if (c->warm_sent >= c->warm_sure)
			return ERR_BUSY;
	}
	c->warm_sent++;
	return 0;
}
