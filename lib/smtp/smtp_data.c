/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/smtp_data.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Both directions look at 64 bytes at a time: one bit per byte tells where CR, LF, NUL and "."
 * stand, and a few operations on those words show that nothing in the block needs a closer look -
 * which is so for nearly every block of nearly every message. The others go through the byte-wise
 * machine. */
#define BLOCK 64

struct marks {
	uint64_t cr, lf, dot;
	int nul, high; /* whether there is one at all */
};

#ifdef __SSE2__
static inline uint64_t mark(const __m128i v[4], char c)
{
	const __m128i want = _mm_set1_epi8(c);
	uint64_t m = 0;

	for (int i = 0; i < 4; i++)
		m |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v[i], want)) << (16 * i);
	return m;
}

static inline void load(const uint8_t *p, __m128i v[4])
{
	for (int i = 0; i < 4; i++)
		v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
}

static inline struct marks look(const uint8_t *p)
{
	__m128i v[4], least, all;
	struct marks m;

	load(p, v);
	m.cr = mark(v, '\r');
	m.lf = mark(v, '\n');
	m.dot = mark(v, '.');
	least = _mm_min_epu8(_mm_min_epu8(v[0], v[1]), _mm_min_epu8(v[2], v[3]));
	all = _mm_or_si128(_mm_or_si128(v[0], v[1]), _mm_or_si128(v[2], v[3]));
	m.nul = _mm_movemask_epi8(_mm_cmpeq_epi8(least, _mm_setzero_si128()));
	m.high = _mm_movemask_epi8(all);
	return m;
}

/* For the way out: whether a dot stands at a line start in this block. */
static inline int dot_leads(const uint8_t *p, uint64_t carry)
{
	__m128i v[4];

	load(p, v);
	return ((mark(v, '\n') << 1 | carry) & mark(v, '.')) != 0;
}
#else
static inline struct marks look(const uint8_t *p)
{
	struct marks m = {0, 0, 0, 0, 0};

	for (int i = 0; i < BLOCK; i++) {
		m.cr |= (uint64_t)(p[i] == '\r') << i;
		m.lf |= (uint64_t)(p[i] == '\n') << i;
		m.dot |= (uint64_t)(p[i] == '.') << i;
		m.nul |= p[i] == '\0';
		m.high |= p[i] & 0x80;
	}
	return m;
}

static inline int dot_leads(const uint8_t *p, uint64_t carry)
{
	struct marks m = look(p);

	return ((m.lf << 1 | carry) & m.dot) != 0;
}
#endif

/* In: where the last byte left us.
 *
 *              .             CR              LF
 *   LINE_START --> DOT -----------> DOT_CR ------> (done)
 *     ^   |         | other            | other: bare CR
 *  LF |   | other   v                  v
 *     CR <------- TEXT <---------------+
 *          CR
 */
enum { LINE_START, TEXT, CR, DOT, DOT_CR };

void smtp_data_in_init(struct smtp_data_in *d)
{
	memset(d, 0, sizeof(*d));
	d->state = LINE_START;
}

void smtp_data_in_init_raw(struct smtp_data_in *d)
{
	smtp_data_in_init(d);
	d->raw = 1;
}

static void fault(struct smtp_data_in *d, enum smtp_data_fault f)
{
	if (!d->fault)
		d->fault = f;
}

static void count_column(struct smtp_data_in *d)
{
	if (d->column == SMTP_DATA_LINE_MAX)
		fault(d, SMTP_DATA_LONG_LINE);
	else
		d->column++;
}

static void step(struct smtp_data_in *d, uint8_t c)
{
	switch (d->state) {
	case LINE_START:
		if (c == '.' && !d->raw) {
			d->state = DOT; /* taken out; RFC 5321 does not count it in the line */
			return;
		}
		break;
	case DOT:
		if (c == '\r') {
			d->state = DOT_CR;
			return;
		}
		break;
	case DOT_CR:
		if (c == '\n') {
			d->done = 1;
			return;
		}
		fault(d, SMTP_DATA_BARE_CR);
		break;
	case CR:
		if (c == '\n') {
			count_column(d);
			d->column = 0;
			d->state = LINE_START;
			return;
		}
		fault(d, SMTP_DATA_BARE_CR);
		break;
	}
	count_column(d);
	if (c == '\n')
		fault(d, SMTP_DATA_BARE_LF);
	else if (c == '\0')
		fault(d, SMTP_DATA_NUL);
	d->high |= c >> 7;
	d->state = c == '\r' ? CR : TEXT;
}

/* Whether the next byte is taken out of the body. */
static int dropped(const struct smtp_data_in *d, uint8_t c)
{
	if (d->raw)
		return 0;
	return (d->state == LINE_START && c == '.') || (d->state == DOT && c == '\r') ||
	       d->state == DOT_CR;
}

/* Accounts for a block in which nothing is special; 0 if it has to be looked at byte by byte. */
static int plain_block(struct smtp_data_in *d, const uint8_t *p)
{
	struct marks m = look(p);
	uint64_t after_cr = m.cr << 1 | (d->state == CR);
	uint64_t starts = m.lf << 1 | (d->state == LINE_START);
	unsigned column;

	if ((after_cr ^ m.lf) | (d->raw ? 0 : starts & m.dot) || m.nul)
		return 0;
	column = d->column + (m.lf ? (unsigned)__builtin_ctzll(m.lf) + 1 : BLOCK);
	if (column > SMTP_DATA_LINE_MAX)
		return 0;
	d->column = m.lf ? (unsigned)__builtin_clzll(m.lf) : column;
	d->high |= m.high != 0;
	d->state = m.lf >> 63 ? LINE_START : m.cr >> 63 ? CR : TEXT;
	return 1;
}

size_t smtp_data_in_feed(struct smtp_data_in *d, struct span in, struct span *out)
{
	size_t i = 0, from = 0, stop;

	*out = span_of(in.p, 0);
	if (d->done)
		return 0;
	while (i < in.n && !d->done) {
		if (in.n - i >= BLOCK && d->state <= CR && plain_block(d, in.p + i)) {
			i += BLOCK;
			continue;
		}
		stop = in.n - i > BLOCK ? i + BLOCK : in.n;
		for (; i < stop && !d->done; i++) {
			if (dropped(d, in.p[i])) {
				if (i > from)
					goto stretch;
				from = i + 1;
			}
			step(d, in.p[i]);
		}
	}
stretch:
	if (!d->fault)
		*out = span_of(in.p + from, i - from);
	return i;
}

void smtp_data_in_end(struct smtp_data_in *d)
{
	if (d->state == CR)
		fault(d, SMTP_DATA_BARE_CR);
	else if (d->state != LINE_START)
		fault(d, SMTP_DATA_NO_END);
}

enum { MID_LINE, AFTER_CRLF, AFTER_BARE_LF };

void smtp_data_out_init(struct smtp_data_out *d)
{
	d->at_line_start = AFTER_CRLF;
	d->last_cr = 0;
}

static void note_end(struct smtp_data_out *d, const uint8_t *p, size_t n)
{
	uint8_t last = p[n - 1];
	int cr_before = n > 1 ? p[n - 2] == '\r' : d->last_cr;

	d->at_line_start = last != '\n' ? MID_LINE : cr_before ? AFTER_CRLF : AFTER_BARE_LF;
	d->last_cr = last == '\r';
}

size_t smtp_data_out_copy(struct smtp_data_out *d, struct span in, uint8_t *dst)
{
	int start = d->at_line_start != MID_LINE;
	uint8_t *to = dst;
	size_t i = 0, stop;

	if (!in.n)
		return 0;
	while (i < in.n) {
		if (in.n - i >= BLOCK && !dot_leads(in.p + i, (uint64_t)start)) {
			memcpy(to, in.p + i, BLOCK);
			to += BLOCK;
			i += BLOCK;
			start = in.p[i - 1] == '\n';
			continue;
		}
		/* A dot behind a bare LF is doubled as well: nothing we send can end early, however
		 * a lax receiver reads it. */
		stop = in.n - i > BLOCK ? i + BLOCK : in.n;
		for (; i < stop; i++) {
			if (start && in.p[i] == '.')
				*to++ = '.';
			*to++ = in.p[i];
			start = in.p[i] == '\n';
		}
	}
	note_end(d, in.p, in.n);
	return (size_t)(to - dst);
}

int smtp_data_out_put(struct smtp_data_out *d, struct span in, struct buf *out)
{
	size_t dots = d->at_line_start != MID_LINE && in.n && in.p[0] == '.';
	uint8_t *dst;

	if (!in.n)
		return buf_failed(out);
	/* Counted first, so that a buffer with just enough room takes it. */
	for (struct span s = in; s.n;) {
		ptrdiff_t lf = span_find(s, '\n');

		if (lf < 0 || (size_t)lf + 1 >= s.n)
			break;
		s = span_sub(s, (size_t)lf + 1, s.n);
		dots += s.p[0] == '.';
	}
	dst = buf_reserve(out, in.n + dots);
	if (!dst)
		return buf_failed(out);
	buf_commit(out, smtp_data_out_copy(d, in, dst));
	return buf_failed(out);
}

const char *smtp_data_out_end(const struct smtp_data_out *d)
{
	return d->at_line_start == AFTER_CRLF ? ".\r\n" : "\r\n.\r\n";
}
