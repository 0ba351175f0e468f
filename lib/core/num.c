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

#define RATE_COUNT_MAX	UINT64_C(1000000000)
#define RATE_WINDOW_MAX (UINT64_C(31) * 86400)

/* Digits, with a separator before each group of three or with none. Cuts them off s. */
static int parse_grouped(struct span *s, uint64_t *out)
{
	size_t since = 0; /* digits since the last separator */
	uint64_t v = 0;
	uint8_t mark = 0;

	while (s->n && s->p[0] != '/') {
		uint8_t c = s->p[0];
		*s = span_sub(*s, 1, s->n);
		if (c == ',' || c == '_') {
			if (since == 0 || since > 3 || (mark && (since != 3 || c != mark)))
				return ERR_FORMAT;
			mark = c;
			since = 0;
			continue;
		}
		if (c < '0' || c > '9')
			return ERR_FORMAT;
		since++;
		v = v * 10 + (uint64_t)(c - '0');
		if (v > RATE_COUNT_MAX)
			return ERR_LIMIT;
	}
	if (since == 0 || (mark && since != 3))
		return ERR_FORMAT;
	*out = v;
	return 0;
}

static int unit_seconds(struct span s, uint64_t *out)
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = {{"s", 1},	   {"sec", 1},	   {"second", 1}, {"m", 60},	{"min", 60},
		     {"minute", 60}, {"h", 3600},  {"hr", 3600},  {"hour", 3600}, {"d", 86400},
		     {"day", 86400}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (span_equal(s, span_str(units[i].name))) {
			*out = units[i].seconds;
			return 0;
		}
	return ERR_FORMAT;
}

int num_parse_rate(struct span s, struct num_rate *out)
{
	uint64_t count, many = 1, seconds;
	size_t digits = 0;
	int rc;

	*out = (struct num_rate){0, 0};
	if (s.n == 0)
		return 0;
	rc = parse_grouped(&s, &count);
	if (rc < 0)
		return rc;
	if (s.n == 0)
		return ERR_FORMAT;
	s = span_sub(s, 1, s.n);
	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	if (digits && (rc = num_parse_u64(span_sub(s, 0, digits), &many)) < 0)
		return rc;
	rc = unit_seconds(span_sub(s, digits, s.n), &seconds);
	if (rc < 0)
		return rc;
	if (count == 0 || many == 0 || many > RATE_WINDOW_MAX || many * seconds > RATE_WINDOW_MAX)
		return ERR_LIMIT;
	*out = (struct num_rate){count, (int64_t)(many * seconds * 1000000)};
	return 0;
}

void num_format_rate(char dst[32], struct num_rate r)
{
	static const struct {
		unsigned seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	uint64_t s = (uint64_t)r.window / 1000000, many;
	int i = 0;

	dst[0] = '\0';
	if (!r.count)
		return;
	while (i < 3 && (s < units[i].seconds || s % units[i].seconds))
		i++;
	many = s / units[i].seconds;
	if (many == 1)
		snprintf(dst, 32, "%u/%c", (unsigned)r.count, units[i].unit);
	else
		snprintf(dst, 32, "%u/%u%c", (unsigned)r.count, (unsigned)many, units[i].unit);
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
