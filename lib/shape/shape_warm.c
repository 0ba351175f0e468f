/* SPDX-License-Identifier: Apache-2.0 */
#include "shape/shape_warm.h"

#include "core/err.h"
#include "core/num.h"

#define DAY INT64_C(86400000000)

static int digits(struct span s, size_t at, size_t n, unsigned *out)
{
	uint64_t v;

	if (num_parse_u64(span_sub(s, at, n), &v) < 0)
		return ERR_FORMAT;
	*out = (unsigned)v;
	return 0;
}

static int leap(unsigned y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

int shape_warm_date(struct span text, int64_t *day)
{
	static const unsigned before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	static const unsigned length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned y, m, d;

	if (text.n != 10 || text.p[4] != '-' || text.p[7] != '-' || digits(text, 0, 4, &y) < 0 ||
	    digits(text, 5, 2, &m) < 0 || digits(text, 8, 2, &d) < 0 || y < 1970 || m < 1 || m > 12 ||
	    d < 1 || d > length[m - 1] + (m == 2 && leap(y)))
		return ERR_FORMAT;
	*day = ((int64_t)y - 1970) * 365 + (y - 1969) / 4 - (y - 1901) / 100 + (y - 1601) / 400 +
	       before[m - 1] + (m > 2 && leap(y)) + d - 1;
	return 0;
}

int shape_warm_number(struct span text, uint32_t *out)
{
	uint64_t v;
	int rc;

	if (span_equal(text, SPAN_LIT("all"))) {
		*out = SHAPE_WARM_ALL;
		return 0;
	}
	rc = num_parse_u64(text, &v);
	if (rc < 0)
		return rc;
	if (v >= SHAPE_WARM_ALL)
		return ERR_LIMIT;
	*out = (uint32_t)v;
	return 0;
}

int64_t shape_warm_day(int64_t wall, int64_t *ends)
{
	int64_t day = wall / DAY;

	if (wall < 0 && wall % DAY)
		day--;
	if (ends)
		*ends = (day + 1) * DAY;
	return day;
}

uint32_t shape_warm_limit(const struct shape_warm *w, int64_t day)
{
	int64_t n = day - w->start;

	if (n < 0)
		return 0;
	if (w->count == 0)
		return SHAPE_WARM_ALL;
	return w->daily[n < (int64_t)w->count ? (size_t)n : w->count - 1];
}
