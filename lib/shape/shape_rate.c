/* SPDX-License-Identifier: Apache-2.0 */
#include "shape/shape_rate.h"

#define GUARD_MAX   INT64_C(1000000)
#define GUARD_SHARE 50 /* of the window */
#define BURST_SHARE 20 /* of the count */

/* With interval I >= (window + guard) / (count - burst) and a tolerance of burst * I, a window holds at most
 * floor((window + burst * I) / I) + 1 <= count. */
static void pace(struct num_rate r, int64_t *interval, int64_t *tolerance)
{
	int64_t guard = r.window / GUARD_SHARE, burst = (int64_t)r.count / BURST_SHARE;
	int64_t per = (int64_t)r.count - burst;

	if (guard > GUARD_MAX)
		guard = GUARD_MAX;
	*interval = (r.window + guard + per - 1) / per;
	*tolerance = burst * *interval;
}

int64_t shape_rate_when(const struct shape_rate *s, struct num_rate rate, int64_t now)
{
	int64_t interval, tolerance;

	if (!rate.count || !s->next)
		return now;
	pace(rate, &interval, &tolerance);
	return s->next - tolerance > now ? s->next - tolerance : now;
}

void shape_rate_take(struct shape_rate *s, struct num_rate rate, int64_t now)
{
	int64_t interval, tolerance;

	if (!rate.count)
		return;
	pace(rate, &interval, &tolerance);
	if (!s->next)
		s->next = now + tolerance;
	else if (s->next < now)
		s->next = now;
	s->next += interval;
}

void shape_rate_back(struct shape_rate *s, struct num_rate rate)
{
	int64_t interval, tolerance;

	if (!rate.count || !s->next)
		return;
	pace(rate, &interval, &tolerance);
	s->next -= interval;
	if (s->next <= 0)
		s->next = 1;
}
