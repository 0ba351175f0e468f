/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of quoted-printable parts. A region is the lines that edits touch, joined where an edit goes over
 * their end; it is wrapped anew and ends where its last line did, in the same kind of line end. */
#include "campaign/camp_splice_own.h"
#include "core/err.h"

static void begin(struct camp_splice *s)
{
	memset(&s->qp, 0, sizeof(s->qp));
}

static void open_region(struct camp_splice *s)
{
	int soft = s->qp.soft;

	begin(s);
	s->qp.soft = soft;
	s->qp.open = 1;
	camp_splice_own_touch(s, s->in);
}

/* The waiting characters are written, with room for what follows them: a "=" or nothing. */
static int put_held(struct camp_splice *s, unsigned follows)
{
	unsigned n = s->qp.held_n;
	int rc = 0;

	s->qp.held_n = 0;
	if (n && s->qp.column + n + follows > SPLICE_WIDTH) {
		rc = camp_splice_own_put(s, "=\r\n", 3);
		s->qp.column = 0;
		s->qp.fresh = 1;
		/* nothing that an edit or a new break moved to a line's start makes it a delimiter */
		if (n == 1 && s->qp.held[0] == '-') {
			memcpy(s->qp.held, "=2D", 3);
			n = 3;
		}
	}
	s->qp.column += n;
	return rc < 0 ? rc : camp_splice_own_put(s, s->qp.held, n);
}

static int hold(struct camp_splice *s, const void *token, unsigned n)
{
	int rc = put_held(s, 1);

	memcpy(s->qp.held, token, n);
	s->qp.held_n = n;
	if (s->qp.fresh && s->qp.column < 2 && n == 1 && s->qp.held[0] == '-') {
		memcpy(s->qp.held, "=2D", 3);
		s->qp.held_n = 3;
	}
	return rc;
}

static int encode(struct camp_splice *s, uint8_t c)
{
	static const char digits[] = "0123456789ABCDEF";
	char token[3] = {'=', digits[c >> 4], digits[c & 15]};

	if (c == '\t' || (c >= ' ' && c <= '~' && c != '='))
		return hold(s, &c, 1);
	return hold(s, token, 3);
}

static int put_text(struct camp_splice *s, const struct camp_edit *e)
{
	int rc = 0;

	s->put = 1;
	s->qp.fresh = 1;
	for (size_t i = 0; i < e->text.n && rc == 0; i++)
		rc = encode(s, e->text.p[i]);
	return rc;
}

/* Edits that begin at this place or before it. Whether the octet there is taken away: 1, 0 or < 0. */
static int edit_at(struct camp_splice *s, uint64_t at)
{
	const struct camp_edit *e;
	int rc = 0;

	while (rc == 0 && (e = camp_splice_own_edit(s)) != NULL && e->from <= at) {
		if (!s->put)
			rc = put_text(s, e);
		if (at < e->to)
			return rc < 0 ? rc : 1;
		camp_splice_own_next(s);
	}
	return rc;
}

/* The text of a line, character by character. */
static int wrap(struct camp_splice *s, struct span text)
{
	int rc = 0;

	/* what changes behind "--" could make a delimiter of it; no boundary begins with a blank */
	if (text.n > 2 && !memcmp(text.p, "--", 2) && text.p[2] != ' ')
		s->qp.fresh = 1;
	for (size_t i = 0; i < text.n && rc >= 0;) {
		unsigned n = text.p[i] == '=' ? 3 : 1;
		if (n > text.n - i)
			return ERR_FORMAT;
		rc = edit_at(s, s->in + i);
		if (rc == 0)
			rc = hold(s, text.p + i, n);
		i += n;
	}
	return rc < 0 ? rc : 0;
}

/* The region is over: at a soft break, at a line's end, or at that of the part. */
static int end_region(struct camp_splice *s, int soft, uint64_t at)
{
	int rc;

	if (!soft && s->qp.held_n == 1 && (s->qp.held[0] == ' ' || s->qp.held[0] == '\t')) {
		memcpy(s->qp.held, s->qp.held[0] == ' ' ? "=20" : "=09", 3);
		s->qp.held_n = 3;
	}
	rc = put_held(s, soft ? 1 : 0);
	if (rc == 0 && soft && s->qp.column) {
		rc = camp_splice_own_put(s, "=\r\n", 3);
		s->qp.soft = 1;
	}
	s->qp.open = 0;
	camp_splice_own_touched(s, at);
	return rc;
}

/* The region goes to the end of the part. If nothing is left of it, a soft break in the untouched line
 * before it would have nothing to lead to. */
static int end_text(struct camp_splice *s, uint64_t at)
{
	if (s->qp.soft && !s->qp.column && !s->qp.held_n)
		return ERR_DENIED;
	return end_region(s, 0, at);
}

static int feed(struct camp_splice *s, struct span line)
{
	const struct camp_edit *e = camp_splice_own_edit(s);
	size_t n = line.n, ending = n && line.p[n - 1] == '\n' ? 2 : 0;
	uint64_t next = s->in + line.n, stop;
	int soft, rc;

	if (n < ending)
		return ERR_FORMAT;
	n -= ending;
	soft = ending && n && line.p[n - 1] == '=';
	if (!s->qp.open && (!e || e->from >= next + !ending)) {
		s->qp.soft = soft;
		return camp_splice_own_put(s, line.p, line.n);
	}
	n -= (size_t)soft;
	if (!s->qp.open)
		open_region(s);
	rc = wrap(s, span_sub(line, 0, n));
	if (rc < 0 || !ending)
		return rc < 0 ? rc : edit_at(s, next) < 0 ? s->error : end_text(s, next);
	/* what stands before the line's end, and whether an edit goes over it */
	stop = soft ? next - 1 : s->in + n;
	rc = edit_at(s, stop);
	if (rc < 0)
		return rc;
	e = camp_splice_own_edit(s);
	if (rc == 1 && e->to == next && soft) {
		camp_splice_own_next(s);
		rc = 0;
	}
	if (rc == 1)
		return 0;
	rc = end_region(s, soft, soft ? next : stop);
	if (rc < 0 || soft)
		return rc;
	s->qp.soft = 0;
	return camp_splice_own_put(s, "\r\n", 2);
}

/* What is put in where the part ends, when its last line ended before: a line of its own, or none. */
static int end(struct camp_splice *s)
{
	int rc = 0;

	if (!s->qp.open && camp_splice_own_edit(s))
		open_region(s);
	if (!s->qp.open)
		return 0;
	rc = edit_at(s, s->in);
	return rc < 0 ? rc : end_text(s, s->in);
}

const struct camp_splice_way camp_splice_own_qp = {begin, feed, end};
