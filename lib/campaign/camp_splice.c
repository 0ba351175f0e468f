/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_splice.h"

#include <stdlib.h>

#include "campaign/camp_splice_own.h"
#include "core/err.h"

/* The next part with edits. */
static void find_part(struct camp_splice *s)
{
	while (s->part < s->parts_end &&
	       (s->edit == s->edits_end || s->part->index < s->edit->part))
		s->part++;
}

int camp_splice_new(struct camp_splice **out, const struct camp_edit *edits, size_t n_edits,
		    const struct camp_edit_part *parts, size_t n_parts)
{
	struct camp_splice *s;
	size_t at;
	int rc = camp_edit_check(edits, n_edits, parts, n_parts, &at);

	*out = NULL;
	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return ERR_NOMEM;
	s->edit = edits;
	s->edits_end = edits + n_edits;
	s->parts = s->part = parts;
	s->parts_end = parts + n_parts;
	find_part(s);
	*out = s;
	return 0;
}

void camp_splice_free(struct camp_splice *s)
{
	if (!s)
		return;
	explicit_bzero(s, sizeof(*s)); /* people's mail */
	free(s);
}

void camp_splice_watch(struct camp_splice *s, camp_splice_watch_fn fn, void *arg)
{
	s->watch = fn;
	s->watch_arg = arg;
}

static int fail(struct camp_splice *s, int rc)
{
	if (rc < 0 && !s->error)
		s->error = rc;
	return s->error;
}

static int flush(struct camp_splice *s)
{
	size_t n = s->out_n;

	s->out_n = 0;
	return n ? fail(s, s->emit(s->arg, span_of(s->out, n))) : s->error;
}

int camp_splice_own_put(struct camp_splice *s, const void *p, size_t n)
{
	if (!n || s->error)
		return s->error;
	if (n > sizeof(s->out) - s->out_n && flush(s) < 0)
		return s->error;
	s->done += n;
	if (n > sizeof(s->out))
		return fail(s, s->emit(s->arg, span_of(p, n)));
	memcpy(s->out + s->out_n, p, n);
	s->out_n += n;
	return 0;
}

/* --- parts */

static void begin_part(struct camp_splice *s)
{
	static const struct camp_splice_way *const ways[] = {
	    [MAIL_CTE_7BIT] = &camp_splice_own_plain,
	    [MAIL_CTE_8BIT] = &camp_splice_own_plain,
	    [MAIL_CTE_BINARY] = &camp_splice_own_plain,
	    [MAIL_CTE_QP] = &camp_splice_own_qp,
	    [MAIL_CTE_BASE64] = &camp_splice_own_base64};

	s->way = s->edit->kind == CAMP_EDIT_RAW ? &camp_splice_own_plain : ways[s->part->encoding];
	s->put = 0;
	s->line_n = 0;
	s->way->begin(s);
}

static int feed_line(struct camp_splice *s, struct span line)
{
	int rc = s->way->feed(s, line);

	s->in += line.n;
	return rc;
}

static int end_part(struct camp_splice *s)
{
	int rc = 0;

	if (s->line_n)
		rc = feed_line(s, span_of(s->line, s->line_n));
	s->line_n = 0;
	if (rc == 0)
		rc = s->way->end(s);
	if (rc == 0 && camp_splice_own_edit(s))
		rc = ERR_FORMAT;
	s->way = NULL;
	find_part(s);
	return rc;
}

/* Octets of the part, cut into lines. */
static int feed_lines(struct camp_splice *s, struct span raw)
{
	int rc = 0;

	while (rc == 0 && raw.n) {
		size_t room = sizeof(s->line) - s->line_n, n;
		ptrdiff_t lf = span_find(span_sub(raw, 0, room), '\n');
		n = lf >= 0 ? (size_t)lf + 1 : raw.n;
		if (lf < 0 && n > room)
			return ERR_FORMAT;
		if (lf >= 0 && !s->line_n) {
			rc = feed_line(s, span_sub(raw, 0, n));
		} else {
			memcpy(s->line + s->line_n, raw.p, n);
			s->line_n += n;
			if (lf >= 0) {
				n = s->line_n;
				s->line_n = 0;
				rc = feed_line(s, span_of(s->line, n));
				n = (size_t)lf + 1;
			}
		}
		raw = span_sub(raw, n, raw.n);
	}
	return rc;
}

/* At most n octets, up to the place where something begins or ends. */
static size_t step(const struct camp_splice *s, size_t n)
{
	uint64_t in = s->in + s->line_n, stop = UINT64_MAX;

	if (s->way)
		stop = s->part->raw_to;
	else if (s->part < s->parts_end)
		stop = s->part->raw_from;
	return stop - in < n ? (size_t)(stop - in) : n;
}

static int turn(struct camp_splice *s)
{
	int rc = 0;

	/* parts may be empty, and follow each other at once */
	while (rc == 0) {
		if (s->way && s->in + s->line_n == s->part->raw_to)
			rc = end_part(s);
		else if (!s->way && s->part < s->parts_end && s->in == s->part->raw_from)
			begin_part(s);
		else
			break;
	}
	return rc;
}

int camp_splice_feed(struct camp_splice *s, struct span raw, camp_splice_emit_fn emit, void *arg)
{
	s->emit = emit;
	s->arg = arg;
	while (!s->error) {
		size_t n;
		int rc = turn(s);
		if (rc < 0 || !raw.n) {
			fail(s, rc);
			break;
		}
		n = step(s, raw.n);
		if (!s->way) {
			rc = camp_splice_own_put(s, raw.p, n);
			s->in += n;
		} else {
			rc = feed_lines(s, span_sub(raw, 0, n));
		}
		fail(s, rc);
		raw = span_sub(raw, n, raw.n);
	}
	return s->error ? s->error : flush(s);
}

int camp_splice_end(struct camp_splice *s, camp_splice_emit_fn emit, void *arg)
{
	int rc = camp_splice_feed(s, span_of(NULL, 0), emit, arg);

	if (rc == 0 && (s->way || s->edit != s->edits_end))
		rc = fail(s, ERR_FORMAT);
	return rc;
}
