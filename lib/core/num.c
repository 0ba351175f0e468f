/* SPDX-License-Identifier: Apache-2.0 */
#include "core/num.h"

#include <stdio.h>

#include "core/err.h"

int num_parse_u64(struct span s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return ERR_FORMAT;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return ERR_FORMAT;
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return ERR_LIMIT;
	}
	*out = v;
	return 0;
}

/* A number with one unit letter from a table of factors. */
static int parse_unit(struct span s, const char *units, const uint64_t *factors, uint64_t plain,
		      uint64_t *out)
{
	uint64_t factor = plain;
	const char *u;
	int rc;

	if (s.n && (u = strchr(units, s.p[s.n - 1])) && *u) {
		factor = factors[u - units];
		s.n--;
	}
	rc = num_parse_u64(s, out);
	if (rc < 0)
		return rc;
	return __builtin_mul_overflow(*out, factor, out) ? ERR_LIMIT : 0;
}

int num_parse_duration(struct span s, int64_t *usec)
{
	static const uint64_t factors[] = {1000000, 60000000, 3600000000, 86400000000,
					   604800000000};
	uint64_t v;
	int rc = parse_unit(s, "smhdw", factors, 1000000, &v);

	if (rc < 0)
		return rc;
	if (v > INT64_MAX)
		return ERR_LIMIT;
	*usec = (int64_t)v;
	return 0;
}

int num_parse_size(struct span s, uint64_t *bytes)
{
	static const uint64_t factors[] = {1024, 1048576, 1073741824, 1024, 1048576, 1073741824};

	return parse_unit(s, "KMGkmg", factors, 1, bytes);
}

void num_format_duration(char dst[24], int64_t usec)
{
	int64_t s = usec / 1000000;

	if (s < 0)
		s = 0;
	if (s < 60)
		snprintf(dst, 24, "%us", (unsigned)s);
	else if (s < 3600)
		snprintf(dst, 24, s % 60 ? "%um%us" : "%um", (unsigned)(s / 60), (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(dst, 24, s % 3600 / 60 ? "%uh%um" : "%uh", (unsigned)(s / 3600),
			 (unsigned)(s % 3600 / 60));
	else
		snprintf(dst, 24, s % 86400 / 3600 ? "%ud%uh" : "%ud", (unsigned)(s / 86400),
			 (unsigned)(s % 86400 / 3600));
}

void num_format_size(char dst[16], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double v = (double)bytes;
	int u = 0;

	while (v >= 1024 && u < 4) {
		v /= 1024;
		u++;
	}
	if (u == 0)
		snprintf(dst, 16, "%u B", (unsigned)bytes);
	else
		snprintf(dst, 16, "%.1f %s", v, units[u]);
}
