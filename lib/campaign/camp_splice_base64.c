/* SPDX-License-Identifier: Apache-2.0 */
/* Edits of base64 parts. Lines pass as they are up to the one in which the first edited quantum begins;
 * from there on octets are encoded anew, in lines of the part's own width. The line ends behind the last
 * data wait: what is added at the end goes before them. */
#include "campaign/camp_splice_own.h"
#include "core/err.h"

static void begin(struct camp_splice *s)
{
	memset(&s->b64, 0, sizeof(s->b64));
	s->b64.last = s->in;
}

static unsigned width(const struct camp_splice *s)
{
	unsigned w = s->part->width;

	return w && w <= SPLICE_LINE ? w : SPLICE_WIDTH;
}

static int put_ends(struct camp_splice *s)
{
	int rc = 0;

	for (; s->b64.ends && rc == 0; s->b64.ends--)
		rc = camp_splice_own_put(s, "\r\n", 2);
	return rc;
}

/* --- encoding anew */

/* Characters of the new part, in lines. */
static int put_characters(struct camp_splice *s, const char *p, size_t n)
{
	unsigned w = width(s);
	int rc = 0;

	for (; s->b64.skip && n; s->b64.skip--, n--)
		p++;
	while (n && rc == 0) {
		size_t room = w > s->b64.column ? w - s->b64.column : 0, take = n < room ? n : room;
		rc = camp_splice_own_put(s, p, take);
		s->b64.column += (unsigned)take;
		p += take;
		n -= take;
		if (n && rc == 0) {
			rc = camp_splice_own_put(s, "\r\n", 2);
			s->b64.column = 0;
		}
	}
	return rc;
}

static int put_group(struct camp_splice *s)
{
	char quantum[4];

	mail_cte_base64_put(quantum, span_of(s->b64.group, s->b64.group_n));
	s->b64.group_n = 0;
	return put_characters(s, quantum, sizeof(quantum));
}

static int encode(struct camp_splice *s, struct span octets)
{
	char quanta[4 * 64];
	int rc = 0;

	while (octets.n && rc == 0) {
		size_t n = octets.n < 3 * 64 ? octets.n - octets.n % 3 : 3 * 64;
		if (s->b64.group_n || !n) {
			s->b64.group[s->b64.group_n++] = octets.p[0];
			n = 1;
			if (s->b64.group_n == 3)
				rc = put_group(s);
		} else {
			size_t made = mail_cte_base64_put(quanta, span_sub(octets, 0, n));
			rc = put_characters(s, quanta, made);
		}
		octets = span_sub(octets, n, octets.n);
	}
	return rc;
}

/* Old octets that begin at decoded offset at, edits carried out. */
static int change(struct camp_splice *s, struct span octets, uint64_t at)
{
	uint64_t end = at + octets.n, start = at;
	int rc = 0;

	while (rc == 0 && at < end) {
		const struct camp_edit *e = camp_splice_own_edit(s);
		if (e && e->from <= at) {
			if (!s->put)
				rc = encode(s, e->text);
			s->put = 1;
			if (e->to > end)
				break;
			at = e->to > at ? e->to : at;
			camp_splice_own_next(s);
		} else {
			uint64_t stop = e && e->from < end ? e->from : end;
			rc = encode(s, span_sub(octets, (size_t)(at - start), (size_t)(stop - at)));
			at = stop;
		}
	}
	return rc;
}

/* Characters of data from here on are made anew: column of the line are out. */
static void turn_on(struct camp_splice *s, unsigned column)
{
	s->b64.on = 1;
	s->b64.column = column;
	s->b64.skip = s->b64.decoder.have;
	s->b64.group_n = 0;
}

static int feed(struct camp_splice *s, struct span line)
{
	const struct camp_edit *e = camp_splice_own_edit(s);
	size_t n = line.n, ending = n >= 2 && line.p[n - 1] == '\n' ? 2 : 0, at;
	uint8_t octets[MAIL_CTE_LINE];
	int got, rc = 0;

	n -= ending;
	if (n && !s->b64.on) {
		rc = put_ends(s);
		if (e && e->from / 3 * 4 < s->b64.characters + n) {
			camp_splice_own_touch(s, s->in);
			turn_on(s, 0);
		} else if (rc == 0) {
			rc = camp_splice_own_put(s, line.p, n);
			s->b64.column = (unsigned)n;
		}
	}
	if (n) {
		s->b64.ends = 0;
		s->b64.characters += n;
		s->b64.last = s->in + n;
	}
	s->b64.ends += ending ? 1 : 0;
	got = mail_cte_base64_line(&s->b64.decoder, span_sub(line, 0, n), octets, &at);
	if (rc < 0 || got < 0)
		return rc < 0 ? rc : ERR_FORMAT;
	if (s->b64.on)
		rc = change(s, span_of(octets, (size_t)got), s->b64.decoded);
	s->b64.decoded += (uint64_t)got;
	return rc;
}

static int end(struct camp_splice *s)
{
	const struct camp_edit *e;
	int rc = 0;

	if (mail_cte_base64_end(&s->b64.decoder) < 0)
		return ERR_FORMAT;
	if (camp_splice_own_edit(s) && !s->b64.on) {
		/* behind the last quantum, which was a full one */
		camp_splice_own_touch(s, s->b64.last);
		turn_on(s, s->b64.column);
	}
	while (rc == 0 && (e = camp_splice_own_edit(s)) != NULL && e->from <= s->b64.decoded &&
	       e->to <= s->b64.decoded) {
		if (!s->put)
			rc = encode(s, e->text);
		camp_splice_own_next(s);
	}
	if (rc == 0 && s->b64.group_n)
		rc = put_group(s);
	if (s->b64.on)
		camp_splice_own_touched(s, s->b64.last);
	return rc < 0 ? rc : put_ends(s);
}

const struct camp_splice_way camp_splice_own_base64 = {begin, feed, end};
