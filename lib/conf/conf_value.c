/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/num.h"

static void *place(const struct conf_key *k, void *s)
{
	return (char *)s + k->offset;
}

static const void *place_const(const struct conf_key *k, const void *s)
{
	return (const char *)s + k->offset;
}

static const char *set_string(const struct conf_key *k, void *s, const char *text)
{
	char **slot = place(k, s), *copy = strdup(text);

	if (!copy)
		return "out of memory";
	free(*slot);
	*slot = copy;
	return NULL;
}

static const char *out_of_range(const struct conf_key *k, char *why)
{
	char lo[24], hi[24];

	if (k->type == CONF_DURATION) {
		num_format_duration(lo, k->min);
		num_format_duration(hi, k->max);
	} else if (k->type == CONF_SIZE) {
		num_format_size(lo, (uint64_t)k->min);
		num_format_size(hi, (uint64_t)k->max);
	} else {
		snprintf(lo, sizeof(lo), "%lld", (long long)k->min);
		snprintf(hi, sizeof(hi), "%lld", (long long)k->max);
	}
	snprintf(why, CONF_ERR_MAX, "must lie between %s and %s", lo, hi);
	return why;
}

static int within(const struct conf_key *k, int64_t v)
{
	return (k->min == 0 && k->max == 0) || (v >= k->min && v <= k->max);
}

static const char *set_bool(const struct conf_key *k, void *s, const char *text)
{
	static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};

	for (int i = 0; i < 6; i++)
		if (!strcmp(text, words[i])) {
			*(int *)place(k, s) = i & 1;
			return NULL;
		}
	return "must be yes or no";
}

static const char *set_number(const struct conf_key *k, void *s, const char *text, char *why)
{
	struct span t = span_str(text);
	uint64_t u = 0;
	int64_t v = 0;
	int rc;

	if (k->type == CONF_DURATION) {
		rc = num_parse_duration(t, &v);
		if (rc < 0)
			return "must be a duration such as 90s, 5m, 4h or 5d";
	} else if (k->type == CONF_SIZE) {
		rc = num_parse_size(t, &u);
		if (rc < 0 || u > INT64_MAX)
			return "must be a size such as 10240, 64K, 50M or 2G";
		v = (int64_t)u;
	} else {
		rc = num_parse_u64(t, &u);
		if (rc < 0 || u > INT64_MAX)
			return "must be a whole number";
		v = (int64_t)u;
	}
	if (!within(k, v))
		return out_of_range(k, why);
	if (k->type == CONF_SIZE)
		*(uint64_t *)place(k, s) = (uint64_t)v;
	else
		*(int64_t *)place(k, s) = v;
	return NULL;
}

static const char *set_rate(const struct conf_key *k, void *s, const char *text)
{
	struct num_rate r;

	if (num_parse_rate(span_str(text), &r) < 0)
		return "must be a rate such as 100/15m, 1,000/h, 10/min or 5/s, or empty";
	*(struct num_rate *)place(k, s) = r;
	return NULL;
}

static const char *set_enum(const struct conf_key *k, void *s, const char *text, char *why)
{
	size_t n;

	for (const struct conf_choice *c = k->choices; c->name; c++)
		if (!strcmp(c->name, text)) {
			*(int *)place(k, s) = c->value;
			return NULL;
		}
	n = (size_t)snprintf(why, CONF_ERR_MAX, "must be one of");
	for (const struct conf_choice *c = k->choices; c->name && n < CONF_ERR_MAX; c++)
		n += (size_t)snprintf(why + n, CONF_ERR_MAX - n, "%s %s",
				      c == k->choices ? "" : ",", c->name);
	return why;
}

const char *conf_value_set(const struct conf_key *k, void *s, const char *text, char *why)
{
	const char *wrong = k->check ? k->check(text) : NULL;

	if (wrong)
		return wrong;
	switch (k->type) {
	case CONF_STRING:
	case CONF_PATH:
	case CONF_SECRET:
		return *text ? set_string(k, s, text) : "must not be empty";
	case CONF_BOOL:
		return set_bool(k, s, text);
	case CONF_INT:
	case CONF_DURATION:
	case CONF_SIZE:
		return set_number(k, s, text, why);
	case CONF_RATE:
		return set_rate(k, s, text);
	case CONF_ENUM:
		return set_enum(k, s, text, why);
	default:
		return "must not be a single value";
	}
}

int conf_value_defaults(const struct conf_key *table, void *s)
{
	char why[CONF_ERR_MAX];

	for (const struct conf_key *k = table; k->name; k++) {
		if (k->type == CONF_MAP) {
			if (conf_value_defaults(k->sub, place(k, s)) < 0)
				return ERR_NOMEM;
		} else if (k->fallback && conf_value_set(k, s, k->fallback, why)) {
			return ERR_NOMEM; /* a default that does not parse is caught by the unit test */
		}
	}
	return 0;
}

/* Plain if it cannot be mistaken for something else, else in double quotes. */
static int print_text(struct buf *out, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_./@-";

	if (*text && strspn(text, plain) == strlen(text) && *text != '-' && *text != '@')
		return buf_put_str(out, text);
	buf_put_str(out, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_put_str(out, "\\");
		buf_put(out, text, 1);
	}
	return buf_put_str(out, "\"");
}

static int print_exact_duration(struct buf *out, int64_t usec)
{
	static const struct {
		int64_t seconds;
		char unit;
	} units[] = {{604800, 'w'}, {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	int64_t s = usec / 1000000;

	for (size_t i = 0; i < 5; i++)
		if (s % units[i].seconds == 0 && s)
			return buf_putf(out, "%lld%c", (long long)(s / units[i].seconds),
					units[i].unit);
	return buf_put_str(out, "0s");
}

static int print_exact_size(struct buf *out, uint64_t v)
{
	static const char units[] = "GMK";

	for (int i = 0; i < 3; i++) {
		uint64_t factor = UINT64_C(1) << (30 - 10 * i);
		if (v && v % factor == 0)
			return buf_putf(out, "%llu%c", (unsigned long long)(v / factor), units[i]);
	}
	return buf_putf(out, "%llu", (unsigned long long)v);
}

int conf_value_print(const struct conf_key *k, const void *s, struct buf *out)
{
	const void *p = place_const(k, s);
	char rate[32];

	switch (k->type) {
	case CONF_STRING:
	case CONF_PATH:
		return print_text(out, *(char *const *)p ? *(char *const *)p : "");
	case CONF_SECRET:
		return buf_put_str(out, *(char *const *)p ? "(set)" : "\"\"");
	case CONF_BOOL:
		return buf_put_str(out, *(const int *)p ? "yes" : "no");
	case CONF_INT:
		return buf_putf(out, "%lld", (long long)*(const int64_t *)p);
	case CONF_DURATION:
		return print_exact_duration(out, *(const int64_t *)p);
	case CONF_SIZE:
		return print_exact_size(out, *(const uint64_t *)p);
	case CONF_RATE:
		num_format_rate(rate, *(const struct num_rate *)p);
		return print_text(out, rate);
	case CONF_ENUM:
		for (const struct conf_choice *c = k->choices; c->name; c++)
			if (c->value == *(const int *)p)
				return buf_put_str(out, c->name);
		return ERR_BADSTATE;
	default:
		return ERR_BADSTATE;
	}
}

const char *conf_value_type(const struct conf_key *k)
{
	static const char *const names[] = {
	    [CONF_STRING] = "string", [CONF_PATH] = "path",	    [CONF_BOOL] = "yes | no",
	    [CONF_INT] = "number",    [CONF_DURATION] = "duration", [CONF_SIZE] = "size",
	    [CONF_RATE] = "rate",
	    [CONF_ENUM] = "choice",   [CONF_SECRET] = "secret",	    [CONF_MAP] = "mapping",
	    [CONF_LIST] = "list of mappings", [CONF_STRINGS] = "list of strings",
	    [CONF_FREE_MAP] = "mapping"};

	return names[k->type];
}
