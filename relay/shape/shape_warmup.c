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
#define AHEAD_LEAST 10

static uint32_t ahead(uint32_t limit)
{
	uint32_t n = limit / AHEAD_SHARE;

	return n < AHEAD_LEAST ? AHEAD_LEAST : n;
}

uint32_t shape_warmup_ahead(const struct shape_cell *c, const struct shape_warm *w)
{
	uint32_t limit = w ? shape_warm_limit(w, c->warm_day) : 0, n = ahead(limit) + c->warm_jobs;

	if (c->warm_sent >= limit || limit == SHAPE_WARM_ALL)
		return c->warm_sent;
	return limit - c->warm_sent < n ? limit : c->warm_sent + n;
}

/* Whether the file allows for one more than so many. Has it written before it comes to that. */
static int allowed(struct shape *s, const struct shape_cell *c, const struct shape_warm *w, uint32_t count)
{
	uint32_t limit = shape_warm_limit(w, c->warm_day);

	if (!s->store || limit == SHAPE_WARM_ALL)
		return 1;
	if (count + ahead(limit) / 2 >= c->warm_sure && c->warm_sure < limit)
		shape_store_dirty(s);
	return count < c->warm_sure;
}

int shape_warmup_expect(struct shape *s, const struct shape_cell *c, const struct shape_warm *w)
{
	c = c->base;
	return !w || allowed(s, c, w, c->warm_sent + c->warm_jobs) ? 0 : ERR_BUSY;
}

int shape_warmup_book(struct shape *s, struct shape_cell *c, const struct shape_warm *w)
{
	c = c->base;
	if (!w)
		return 0;
	if (!allowed(s, c, w, c->warm_sent))
		return ERR_BUSY;
	c->warm_sent++;
	return 0;
}
