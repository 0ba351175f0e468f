/* SPDX-License-Identifier: Apache-2.0 */
/* shape_warm - a warm-up schedule: how many messages a new address may send to one site on each day.
 *
 * Story:  days are those of UTC, counted from the start date: on day 0 the first number counts, and so on, the last for all
 *         that follow. "all" is no limit. Before the start date nothing goes.
 * Thread: pure; any. Times: wall clock, usec since 1970. */
#ifndef SHAPE_SHAPE_WARM_H
#define SHAPE_SHAPE_WARM_H

#include "core/span.h"

#define SHAPE_WARM_DAYS 366
#define SHAPE_WARM_ALL	UINT32_MAX

struct shape_warm {
	int64_t start; /* days since 1970-01-01 */
	unsigned count;
	uint32_t daily[SHAPE_WARM_DAYS];
};

/* "2026-11-01". ERR_FORMAT. */
int shape_warm_date(struct span text, int64_t *day);
/* "50", or "all". ERR_FORMAT; ERR_LIMIT beyond 2^32 - 2. */
int shape_warm_number(struct span text, uint32_t *out);
/* The UTC day of a time, and when it ends. */
int64_t shape_warm_day(int64_t wall, int64_t *ends);
/* What the schedule gives on this day (days since 1970-01-01). */
uint32_t shape_warm_limit(const struct shape_warm *w, int64_t day);

#endif
