/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_text.h"

#include "core/err.h"
#include "mail/mail_text_own.h"

enum { NO_SOURCE_FOLLOWS = -1 };
/* where a line's first octets are looked at */
enum { HEAD_BEGIN, HEAD_COLLECT, HEAD_OVER };

void mail_text_init(struct mail_text *t, mail_text_fn fn, void *arg, enum mail_charset charset)
{
	t->fn = fn;
	t->arg = arg;
	t->charset = charset;
	t->flowed = t->delsp = t->tolerant = 0;
	t->max = UINT64_MAX;
	t->size = t->tail = 0;
	t->armour = 0;
	t->fault = MAIL_TEXT_FINE;
	t->n = t->n_runs = 0;
	t->n_gaps = t->n_open = t->n_head = 0;
	t->cr = 0;
	t->head_state = HEAD_BEGIN;
	t->flow = (struct mail_text_flow){.state = MAIL_TEXT_FLOW_BEGIN};
}

static int fault(struct mail_text *t, enum mail_text_fault what, uint64_t at)
{
	t->fault = what;
	t->fault_at = at;
	return what == MAIL_TEXT_LONG ? ERR_LIMIT : ERR_FORMAT;
}

/* --- pieces */

static int flush(struct mail_text *t)
{
	int rc = 0;

	if (t->n && t->fn)
		rc = t->fn(t->arg, span_of(t->piece, t->n), t->runs, t->n_runs);
	t->n = t->n_runs = 0;
	return rc < 0 ? rc : 0;
}

static int append_run(struct mail_text *t, const uint8_t *p, size_t n, uint64_t source)
{
	while (n) {
		size_t take = MAIL_TEXT_PIECE - t->n;
		if (!t->n || source != t->next) {
			if (t->n_runs == MAIL_TEXT_RUNS || !take) {
				int rc = flush(t);
				if (rc < 0)
					return rc;
				take = MAIL_TEXT_PIECE;
			}
			t->runs[t->n_runs++] = (struct mail_cte_run){(uint32_t)t->n, source};
		}
		if (take > n)
			take = n;
		memcpy(t->piece + t->n, p, take);
		t->n += take;
		p += take;
		n -= take;
		source += take;
		t->next = source;
		if (n) {
			int rc = flush(t);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int append(struct mail_text *t, struct span s, uint64_t source, unsigned stride)
{
	int rc = 0;

	if (s.n > t->max - t->size)
		return fault(t, MAIL_TEXT_LONG, source);
	t->size += s.n;
	if (stride == 1)
		return append_run(t, s.p, s.n, source);
	for (size_t i = 0; i < s.n && rc == 0; i++)
		rc = append_run(t, s.p + i, 1, source + i * stride);
	return rc;
}

/* --- line ends wait: those at the end of the text do not count */

static int put_gaps(struct mail_text *t)
{
	unsigned n = t->n_gaps;
	int rc = 0;

	t->n_gaps = 0;
	for (unsigned i = 0; i < n; i++)
		for (uint32_t k = 0; k < t->gaps[i].count && rc == 0; k++)
			rc = append(t, SPAN_LIT("\n"),
				    t->gaps[i].source + (uint64_t)k * t->gaps[i].stride, 1);
	return rc;
}

/* Looks at what a line began with: when it ended, or when enough of it came. */
static int judge_head(struct mail_text *t, uint64_t source)
{
	static const char armour[] = "-----BEGIN PGP ";
	const uint8_t *h = t->head;
	unsigned digits = 0;

	t->head_state = HEAD_OVER;
	if (t->n_head >= sizeof(armour) - 1 && !memcmp(h, armour, sizeof(armour) - 1))
		t->armour = 1;
	if (t->n_head < 10 || memcmp(h, "begin ", 6) != 0 || t->tolerant)
		return 0;
	while (digits < 4 && 6 + digits < t->n_head && h[6 + digits] >= '0' && h[6 + digits] <= '7')
		digits++;
	if (digits >= 3 && 6 + digits < t->n_head && h[6 + digits] == ' ')
		return fault(t, MAIL_TEXT_UU, source);
	return 0;
}

static int look_at_head(struct mail_text *t, struct span s, uint64_t source)
{
	size_t n = MAIL_TEXT_HEAD - t->n_head;

	if (t->head_state == HEAD_BEGIN) {
		t->head_state = s.p[0] == 'b' || s.p[0] == '-' ? HEAD_COLLECT : HEAD_OVER;
		if (t->head_state == HEAD_OVER)
			return 0;
		t->n_head = 0;
		n = MAIL_TEXT_HEAD;
	}
	if (n > s.n)
		n = s.n;
	memcpy(t->head + t->n_head, s.p, n);
	t->n_head += (unsigned)n;
	return t->n_head == MAIL_TEXT_HEAD ? judge_head(t, source) : 0;
}

int mail_text_own_emit(struct mail_text *t, struct span s, uint64_t source, unsigned stride)
{
	int rc = t->n_gaps ? put_gaps(t) : 0;

	if (rc == 0 && t->head_state != HEAD_OVER)
		rc = look_at_head(t, s, source);
	if (rc == 0)
		rc = append(t, s, source, stride);
	t->tail = source + s.n * stride;
	return rc;
}

int mail_text_own_newline(struct mail_text *t, uint64_t source)
{
	struct mail_text_gap *g = t->n_gaps ? &t->gaps[t->n_gaps - 1] : NULL;
	int rc = 0;

	if (t->head_state == HEAD_COLLECT)
		rc = judge_head(t, source);
	t->head_state = HEAD_BEGIN;
	if (rc < 0)
		return rc;
	if (g && g->count == 1 && source - g->source < UINT32_MAX)
		g->stride = (uint32_t)(source - g->source);
	if (g && source == g->source + (uint64_t)g->count * g->stride) {
		g->count++;
		return 0;
	}
	if (t->n_gaps == MAIL_TEXT_GAPS) {
		if (!t->tolerant)
			return fault(t, MAIL_TEXT_MIXED, source);
		g->count++;
		return 0;
	}
	t->gaps[t->n_gaps++] = (struct mail_text_gap){.source = source, .count = 1};
	return 0;
}

/* --- characters and line ends of the decoded octets */

static int emit(struct mail_text *t, struct span s, uint64_t source, unsigned stride)
{
	return t->flowed ? mail_text_own_flow(t, s, source, stride)
			 : mail_text_own_emit(t, s, source, stride);
}

static int newline(struct mail_text *t, uint64_t source)
{
	return t->flowed ? mail_text_own_flow_end(t, source) : mail_text_own_newline(t, source);
}

/* Octets at the front that are ASCII, none of them NUL, CR or LF: eight at a time where no control
 * characters are. */
static size_t plain(struct span s)
{
	const uint64_t ones = 0x0101010101010101, high = ones << 7;
	size_t i = 0;

	while (i < s.n) {
		uint64_t w;
		if (s.n - i >= sizeof(w)) {
			memcpy(&w, s.p + i, sizeof(w));
			if (!((w | (w - ones * 0x0e)) & high)) {
				i += sizeof(w);
				continue;
			}
		}
		if (s.p[i] >= 0x80 || s.p[i] == '\r' || s.p[i] == '\n' || !s.p[i])
			break;
		i++;
	}
	return i;
}

/* A character that takes more octets here than it has there: all of them have its one source. */
static int emit_code(struct mail_text *t, uint32_t code, uint64_t source, unsigned stride)
{
	uint8_t utf8[4];
	size_t n = mail_charset_put(utf8, code);
	int rc = emit(t, span_of(utf8, n), source, 1);

	t->next = (uint64_t)NO_SOURCE_FOLLOWS;
	t->tail = source + stride;
	return rc;
}

/* An octet that is no character of the charset. */
static int foreign(struct mail_text *t, uint64_t source, unsigned stride)
{
	return t->tolerant ? emit_code(t, 0xfffd, source, stride)
			   : fault(t, MAIL_TEXT_FOREIGN, source);
}

/* What was begun and does not go on. */
static int close_open(struct mail_text *t)
{
	unsigned n = t->n_open;
	int rc = 0;

	t->n_open = 0;
	for (unsigned i = 0; i < n && rc == 0; i++)
		rc = foreign(t, t->open_source[i], t->open_stride);
	return rc;
}

/* One more octet of a character that a piece ended within. */
static int put_open(struct mail_text *t, uint8_t c, uint64_t source, unsigned stride)
{
	unsigned n;
	int k, rc = 0;

	t->open[t->n_open] = c;
	t->open_source[t->n_open++] = source;
	t->open_stride = stride;
	n = t->n_open;
	k = mail_charset_char(span_of(t->open, n));
	if (k < 0)
		return 0;
	if (k == 0) {
		t->n_open--;
		rc = close_open(t);
		return rc < 0 ? rc : 1; /* c itself is to be looked at anew */
	}
	t->n_open = 0;
	for (unsigned i = 0; i < n && rc == 0; i++)
		rc = emit(t, span_of(t->open + i, 1), t->open_source[i], stride);
	return rc;
}

/* Octets above 127 at the front: how many were taken, or < 0. */
static ptrdiff_t put_utf8(struct mail_text *t, struct span s, uint64_t source, unsigned stride)
{
	size_t i = 0;
	int n = 1, rc = 0;

	while (i < s.n && s.p[i] >= 0x80 && (n = mail_charset_char(span_sub(s, i, s.n))) > 0)
		i += (size_t)n;
	if (i)
		rc = emit(t, span_sub(s, 0, i), source, stride);
	if (rc < 0 || i == s.n || s.p[i] < 0x80)
		return rc < 0 ? rc : (ptrdiff_t)i;
	rc = n < 0 ? put_open(t, s.p[i], source + i * stride, stride)
		   : foreign(t, source + i * stride, stride);
	return rc < 0 ? rc : (ptrdiff_t)i + 1;
}

static ptrdiff_t put_high(struct mail_text *t, struct span s, uint64_t source, unsigned stride)
{
	uint32_t code = 0;
	int rc;

	if (t->charset == MAIL_CHARSET_UTF8)
		return put_utf8(t, s, source, stride);
	if (t->charset != MAIL_CHARSET_ASCII && t->charset != MAIL_CHARSET_OTHER)
		code = mail_charset_code(t->charset, s.p[0]);
	rc = code ? emit_code(t, code, source, stride) : foreign(t, source, stride);
	return rc < 0 ? rc : 1;
}

/* CR, LF, NUL. */
static int put_control(struct mail_text *t, uint8_t c, uint64_t source, unsigned stride)
{
	if (c == '\n')
		return newline(t, source);
	if (!c) /* a reader may leave it out, and read a tag where none was: who judges the text has to see it */
		return t->tolerant ? emit(t, span_of("", 1), source, stride) : foreign(t, source, stride);
	t->cr = 1;
	t->cr_source = source;
	t->cr_stride = stride;
	return 0;
}

/* What the last octet left open, seen with the next one: 1 if c is done with, or < 0. */
static int settle(struct mail_text *t, uint8_t c, uint64_t source, unsigned stride)
{
	int rc;

	if (t->cr) {
		t->cr = 0;
		rc = c == '\n' ? newline(t, t->cr_source)
			       : emit(t, SPAN_LIT("\r"), t->cr_source, t->cr_stride);
		return rc < 0 ? rc : c == '\n';
	}
	rc = put_open(t, c, source, stride);
	return rc < 0 ? rc : !rc;
}

int mail_text_put(struct mail_text *t, struct span s, uint64_t source, unsigned stride)
{
	size_t i = 0;

	while (i < s.n) {
		struct span rest = span_of(s.p + i, s.n - i);
		ptrdiff_t n;
		if (t->cr || t->n_open) {
			n = settle(t, s.p[i], source + i * stride, stride);
		} else {
			n = (ptrdiff_t)plain(rest);
			if (n) {
				int rc = emit(t, span_of(rest.p, (size_t)n), source + i * stride,
					      stride);
				n = rc < 0 ? rc : n;
			} else if (rest.n > 1 && rest.p[0] == '\r' && rest.p[1] == '\n') {
				int rc = newline(t, source + i * stride);
				n = rc < 0 ? rc : 2;
			} else if (rest.p[0] >= 0x80) {
				n = put_high(t, rest, source + i * stride, stride);
			} else {
				int rc = put_control(t, rest.p[0], source + i * stride, stride);
				n = rc < 0 ? rc : 1;
			}
		}
		if (n < 0)
			return (int)n;
		i += (size_t)n;
	}
	return 0;
}

int mail_text_end(struct mail_text *t)
{
	int rc = close_open(t);

	if (rc == 0 && t->cr) {
		t->cr = 0;
		rc = emit(t, SPAN_LIT("\r"), t->cr_source, t->cr_stride);
	}
	if (rc == 0 && t->flowed)
		rc = mail_text_own_flow_over(t);
	if (rc == 0 && t->head_state == HEAD_COLLECT)
		rc = judge_head(t, t->tail);
	return rc == 0 ? flush(t) : rc;
}
