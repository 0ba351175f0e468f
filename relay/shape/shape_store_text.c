/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of the file, read and written. */
#include "core/err.h"
#include "core/num.h"
#include "relay/shape/shape_store.h"

#define FIELDS 7

static const struct {
	const char *word;
	unsigned fields;
} kinds[] = {[SHAPE_STORE_SOURCE] = {"source", 2},
	     [SHAPE_STORE_SITE] = {"site", 3},
	     [SHAPE_STORE_REST] = {"rest", 7},
	     [SHAPE_STORE_WARM] = {"warm", 5}};

static unsigned split(struct span line, struct span *field)
{
	unsigned n = 0;

	while (n < FIELDS) {
		ptrdiff_t space = span_find(line, ' ');
		field[n++] = space < 0 ? line : span_sub(line, 0, (size_t)space);
		if (space < 0)
			return n;
		line = span_sub(line, (size_t)space + 1, line.n);
	}
	return FIELDS + 1;
}

static int name(struct span s, size_t max, struct span *out)
{
	if (s.n == 0 || s.n > max)
		return ERR_FORMAT;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] == 0x7f)
			return ERR_FORMAT;
	*out = s.n == 1 && s.p[0] == '-' ? span_sub(s, 0, 0) : s;
	return 0;
}

static int number(struct span s, uint64_t max, uint64_t *out)
{
	return num_parse_u64(s, out) == 0 && *out <= max ? 0 : ERR_FORMAT;
}

static int read_rest(const struct span *f, struct shape_store_line *l)
{
	uint64_t until;

	l->suspended = span_equal(f[4], SPAN_LIT("suspended"));
	if (name(f[3], 31, &l->rule) < 0 || (!l->suspended && !span_equal(f[4], SPAN_LIT("backoff"))) ||
	    number(f[5], INT64_MAX, &until) < 0 || name(f[6], 31, &l->pattern) < 0)
		return ERR_FORMAT;
	l->until = (int64_t)until;
	return 0;
}

static int read_line(struct span text, struct shape_store_line *l)
{
	struct span f[FIELDS];
	unsigned n = split(text, f), k;
	uint64_t day, count;

	*l = (struct shape_store_line){0};
	for (k = 0; k < 4 && !span_equal(f[0], span_str(kinds[k].word)); k++)
		;
	if (k == 4 || n != kinds[k].fields || name(f[1], 64, &l->source) < 0 ||
	    (n > 2 && (name(f[2], 287, &l->site) < 0 || l->site.n == 0)))
		return ERR_FORMAT;
	l->kind = (enum shape_store_kind)k;
	if (k == SHAPE_STORE_REST)
		return read_rest(f, l);
	if (k == SHAPE_STORE_WARM) {
		if (number(f[3], 100000, &day) < 0 || number(f[4], UINT32_MAX - 1, &count) < 0)
			return ERR_FORMAT;
		l->day = (int64_t)day;
		l->count = (uint32_t)count;
	}
	return 0;
}

/* Without its end; ERR_FORMAT if it has none. */
static int next_line(struct span *rest, struct span *line)
{
	ptrdiff_t end = span_find(*rest, '\n');

	if (end < 0)
		return ERR_FORMAT;
	*line = span_sub(*rest, 0, (size_t)end);
	*rest = span_sub(*rest, (size_t)end + 1, rest->n);
	return 0;
}

int shape_store_parse(struct span text, int (*take)(void *arg, const struct shape_store_line *l), void *arg,
		      unsigned *line)
{
	struct span one;
	struct shape_store_line l;
	uint64_t lines;
	int rc;

	*line = 1;
	if (next_line(&text, &one) < 0 || !span_equal(one, SPAN_LIT("sealpost-shaping 1")))
		return ERR_FORMAT;
	for (;;) {
		++*line;
		if (next_line(&text, &one) < 0)
			return ERR_FORMAT;
		if (one.n > 4 && span_equal(span_sub(one, 0, 4), SPAN_LIT("end ")))
			break;
		rc = read_line(one, &l);
		if (rc == 0)
			rc = take(arg, &l);
		if (rc < 0)
			return rc;
	}
	if (num_parse_u64(span_sub(one, 4, one.n), &lines) < 0 || lines != *line - 1 || text.n)
		return ERR_FORMAT;
	return 0;
}

static void put(struct buf *out, struct span s)
{
	buf_put_str(out, " ");
	if (s.n)
		buf_put(out, s.p, s.n);
	else
		buf_put_str(out, "-");
}

void shape_store_print(struct buf *out, const struct shape_store_line *l)
{
	buf_put_str(out, kinds[l->kind].word);
	put(out, l->source);
	if (l->kind != SHAPE_STORE_SOURCE)
		put(out, l->site);
	if (l->kind == SHAPE_STORE_REST) {
		put(out, l->rule);
		buf_putf(out, " %s %lld", l->suspended ? "suspended" : "backoff", (long long)l->until);
		put(out, l->pattern);
	}
	if (l->kind == SHAPE_STORE_WARM)
		buf_putf(out, " %lld %u", (long long)l->day, l->count);
	buf_put_str(out, "\n");
}
