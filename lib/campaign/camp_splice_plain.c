/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of parts without an encoding, and raw ones: octets in, octets out. Lines that change must stay
 * lines, and may not begin to look like a delimiter. */
#include "campaign/camp_splice_own.h"
#include "core/err.h"

static void begin(struct camp_splice *s)
{
	s->plain.column = 0;
	s->plain.changed = s->plain.dash = 0;
	s->plain.raw = s->edit->kind == CAMP_EDIT_RAW;
}

/* Octets of one line, maybe with its end. */
static int put(struct camp_splice *s, struct span t)
{
	size_t n = t.n;

	if (s->plain.raw)
		return camp_splice_own_put(s, t.p, t.n);
	if (n && t.p[n - 1] == '\n')
		n -= n > 1 && t.p[n - 2] == '\r' ? 2 : 1;
	for (size_t i = 0; i < n && s->plain.column + i < sizeof(s->plain.head); i++)
		s->plain.head[s->plain.column + i] = t.p[i];
	s->plain.column += (unsigned)n;
	if (s->plain.changed && s->plain.column > SPLICE_LINE)
		return ERR_LIMIT;
	/* "-- " is none: no boundary begins with a blank */
	if (s->plain.dash && s->plain.column > 2 && !memcmp(s->plain.head, "--", 2) &&
	    s->plain.head[2] != ' ')
		return ERR_DENIED;
	if (n < t.n)
		s->plain.column = s->plain.changed = s->plain.dash = 0;
	return camp_splice_own_put(s, t.p, t.n);
}

static int put_text(struct camp_splice *s, const struct camp_edit *e, uint64_t at)
{
	camp_splice_own_touch(s, at);
	s->put = 1;
	s->plain.changed = 1;
	s->plain.dash |= s->plain.column < SPLICE_DELIMITER;
	return put(s, e->text);
}

static int feed(struct camp_splice *s, struct span line)
{
	uint64_t at = s->in, end = at + line.n;
	int rc = 0;

	while (rc == 0 && at < end) {
		const struct camp_edit *e = camp_splice_own_edit(s);
		if (e && e->from <= at) {
			if (!s->put)
				rc = put_text(s, e, at);
			if (e->to > end)
				break;
			at = e->to > at ? e->to : at;
			camp_splice_own_touched(s, at);
			camp_splice_own_next(s);
		} else {
			uint64_t stop = e && e->from < end ? e->from : end;
			rc = put(s, span_sub(line, (size_t)(at - s->in), (size_t)(stop - at)));
			at = stop;
		}
	}
	return rc;
}

/* What is put in at the part's very end, or takes it away. */
static int end(struct camp_splice *s)
{
	const struct camp_edit *e;
	int rc = 0;

	while (rc == 0 && (e = camp_splice_own_edit(s)) != NULL) {
		if (!s->put)
			rc = put_text(s, e, s->in);
		camp_splice_own_touched(s, s->in);
		camp_splice_own_next(s);
	}
	return rc;
}

const struct camp_splice_way camp_splice_own_plain = {begin, feed, end};
