/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of format=flowed joined to paragraphs (RFC 3676 section 4).
 *
 *   BEGIN --">"--> BEGIN --other--> STUFF --a blank is taken away--> TEXT --line end--> BEGIN
 *
 * A line that ends in a blank goes on in the next one if that is quoted as deep. So a blank at the end
 * of what came waits, and so does the line end behind it. */
#include "core/err.h"
#include "mail/mail_text_own.h"

/* The blank that waited counts. */
static int put_space(struct mail_text *t)
{
	struct mail_text_flow *f = &t->flow;

	if (!f->space)
		return 0;
	f->space = 0;
	return mail_text_own_emit(t, SPAN_LIT(" "), f->space_source, f->space_stride);
}

/* The quote marks of a line are known: goes the line before it on here? */
static int begin_text(struct mail_text *t)
{
	struct mail_text_flow *f = &t->flow;
	int joined = f->soft && f->quotes == f->last_quotes, rc = 0;

	f->state = MAIL_TEXT_FLOW_STUFF;
	f->column = 0;
	f->dashes = 1;
	if (joined && t->delsp)
		f->space = 0;
	rc = put_space(t);
	if (f->soft && !joined && rc == 0)
		rc = mail_text_own_newline(t, f->end_source);
	for (unsigned i = 0; i < f->quotes && !joined && rc == 0; i++)
		rc = mail_text_own_emit(t, SPAN_LIT(">"), f->quote_source + i, 1);
	f->soft = joined;
	return rc;
}

/* Text behind the quote marks and the stuffing. */
static int put_text(struct mail_text *t, struct span s, uint64_t source, unsigned stride)
{
	struct mail_text_flow *f = &t->flow;
	int rc = put_space(t);
	size_t i = 0;

	for (; i < s.n && f->column < 3; i++, f->column++)
		if (s.p[i] != (f->column < 2 ? '-' : ' '))
			f->dashes = 0;
	if (i < s.n)
		f->dashes = 0;
	if (s.p[s.n - 1] == ' ') {
		s.n--;
		f->space = 1;
		f->space_source = source + s.n * stride;
		f->space_stride = stride;
	}
	if (rc == 0 && s.n)
		rc = mail_text_own_emit(t, s, source, stride);
	return rc;
}

int mail_text_own_flow(struct mail_text *t, struct span s, uint64_t source, unsigned stride)
{
	struct mail_text_flow *f = &t->flow;
	size_t i = 0;

	if (f->state == MAIL_TEXT_FLOW_BEGIN) {
		for (; i < s.n && s.p[i] == '>'; i++)
			if (!f->quotes++)
				f->quote_source = source + i * stride;
		if (i == s.n)
			return 0;
		int rc = begin_text(t);
		if (rc < 0)
			return rc;
	}
	if (f->state == MAIL_TEXT_FLOW_STUFF) {
		int rc = 0, stuffed = s.p[i] == ' ';
		f->state = MAIL_TEXT_FLOW_TEXT;
		/* within quotes the blank is part of how people write them, unless lines are joined */
		if (stuffed && f->quotes && !f->soft)
			rc = mail_text_own_emit(t, SPAN_LIT(" "), source + i * stride, stride);
		i += (size_t)stuffed;
		if (rc < 0 || i == s.n)
			return rc;
	}
	return put_text(t, span_sub(s, i, s.n), source + i * stride, stride);
}

int mail_text_own_flow_end(struct mail_text *t, uint64_t source)
{
	struct mail_text_flow *f = &t->flow;
	int rc = 0, soft;

	if (f->state == MAIL_TEXT_FLOW_BEGIN) {
		rc = begin_text(t);
		if (rc < 0)
			return rc;
	}
	/* "-- " begins a signature and goes on nowhere */
	soft = f->space && !(f->dashes && f->column == 3);
	f->last_quotes = f->quotes;
	f->quotes = 0;
	f->state = MAIL_TEXT_FLOW_BEGIN;
	f->soft = soft;
	f->end_source = source;
	if (soft)
		return 0;
	rc = put_space(t);
	return rc < 0 ? rc : mail_text_own_newline(t, source);
}

int mail_text_own_flow_over(struct mail_text *t)
{
	struct mail_text_flow *f = &t->flow;
	int rc = 0;

	if (f->state == MAIL_TEXT_FLOW_BEGIN && f->quotes)
		rc = begin_text(t);
	return rc < 0 ? rc : put_space(t);
}
