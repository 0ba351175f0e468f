/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_cte.h"

#include "core/err.h"

static const char *const NAMES[] = {[MAIL_CTE_7BIT] = "7bit",
				    [MAIL_CTE_8BIT] = "8bit",
				    [MAIL_CTE_BINARY] = "binary",
				    [MAIL_CTE_QP] = "quoted-printable",
				    [MAIL_CTE_BASE64] = "base64"};

const char *mail_cte_name(enum mail_cte cte)
{
	return NAMES[cte];
}

int mail_cte_parse(struct span name)
{
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		if (span_equal_nocase(name, span_str(NAMES[i])))
			return (int)i;
	return ERR_UNSUPPORTED;
}

int mail_cte_hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* --- quoted-printable */

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

int mail_cte_qp_line(struct mail_cte_qp *q, struct span line, int lenient)
{
	q->line = line;
	q->at = 0;
	q->stop = line.n;
	q->soft = 0;
	while (q->stop && is_blank(line.p[q->stop - 1]))
		q->stop--;
	if (q->stop < line.n && !lenient) {
		q->at = q->stop;
		return ERR_FORMAT;
	}
	if (q->stop && line.p[q->stop - 1] == '=') {
		q->soft = 1;
		q->stop--;
	}
	return 0;
}

/* Whether each octet is TAB or 32..126; eight at a time as long as there is no TAB. */
static size_t legal(const uint8_t *p, size_t n)
{
	const uint64_t ones = 0x0101010101010101, high = ones << 7;
	size_t i = 0;

	while (i < n) {
		uint64_t w;
		if (n - i >= sizeof(w)) {
			memcpy(&w, p + i, sizeof(w));
			if (!((w | (w - ones * 0x20) | (w + ones)) & high)) {
				i += sizeof(w);
				continue;
			}
		}
		if ((p[i] < ' ' && p[i] != '\t') || p[i] > '~')
			break;
		i++;
	}
	return i;
}

static int take_escapes(struct mail_cte_qp *q, struct mail_cte_piece *piece)
{
	const uint8_t *p = q->line.p;
	size_t n = 0, at = q->at;

	while (n < sizeof(q->out) && at < q->stop && p[at] == '=') {
		int high = q->stop - at > 2 ? mail_cte_hex(p[at + 1]) : -1;
		int low = high >= 0 ? mail_cte_hex(p[at + 2]) : -1;
		if (low < 0)
			break;
		q->out[n++] = (uint8_t)(high << 4 | low);
		at += 3;
	}
	*piece = (struct mail_cte_piece){span_of(q->out, n), q->at, 3};
	q->at = at;
	return n ? 1 : ERR_FORMAT;
}

int mail_cte_qp_next(struct mail_cte_qp *q, struct mail_cte_piece *piece)
{
	struct span rest = span_of(q->line.p + q->at, q->stop - q->at);
	ptrdiff_t escape;
	size_t n;

	if (!rest.n)
		return 0;
	escape = span_find(rest, '=');
	if (escape == 0)
		return take_escapes(q, piece);
	if (escape > 0)
		rest.n = (size_t)escape;
	n = legal(rest.p, rest.n);
	if (n < rest.n) {
		q->at += n;
		return ERR_FORMAT;
	}
	*piece = (struct mail_cte_piece){rest, q->at, 1};
	q->at += rest.n;
	return 1;
}

/* --- base64 */

#define X 0x80 /* no digit */
static const uint8_t DIGITS[256] = {
    X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,
    X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	62, X,	X,  X,	63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X,	X,  X,	X,  X,	X,  X,	0,  1,	2,  3,	4,  5,	6,
    7,	8,  9,	10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, X,  X,	X,  X,	X,
    X,	26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
    49, 50, 51, X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,
    X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,
    X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,
    X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,
    X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,
    X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X,  X,	X};
#undef X

/* Whole quanta from the front of line: characters taken, *n octets given. It stops before the first one
 * that holds anything but digits. */
static size_t take_quanta(struct span line, uint8_t *dst, size_t *n)
{
	const uint8_t *p = line.p;
	uint8_t *d = dst;
	size_t i = 0;

	for (; i + 4 <= line.n; i += 4, d += 3) {
		uint32_t a = DIGITS[p[i]], b = DIGITS[p[i + 1]];
		uint32_t c = DIGITS[p[i + 2]], e = DIGITS[p[i + 3]], v;
		if ((a | b | c | e) & 0x80)
			break;
		v = a << 18 | b << 12 | c << 6 | e;
		d[0] = (uint8_t)(v >> 16);
		d[1] = (uint8_t)(v >> 8);
		d[2] = (uint8_t)v;
	}
	*n = (size_t)(d - dst);
	return i;
}

/* One character; octets of a quantum it ends go to dst. ERR_FORMAT, or how many. */
static int take_character(struct mail_cte_base64 *b, uint8_t c, uint8_t *dst)
{
	uint8_t v = DIGITS[c];

	if (b->padded == 1 && c == '=') {
		b->padded = 2;
		return 0;
	}
	if (b->padded || b->gap)
		return ERR_FORMAT;
	if (c == '=') {
		/* what the padding stands for must be zero: one text, one form */
		if (b->have < 2 || b->bits & (b->have == 2 ? 0xf : 3))
			return ERR_FORMAT;
		dst[0] = (uint8_t)(b->bits >> (b->have == 2 ? 4 : 10));
		if (b->have == 3)
			dst[1] = (uint8_t)(b->bits >> 2);
		b->padded = b->have == 2 ? 1 : 2;
		b->bits = 0;
		return (int)b->have - 1;
	}
	if (v & 0x80)
		return ERR_FORMAT;
	b->bits = b->bits << 6 | v;
	if (++b->have < 4)
		return 0;
	dst[0] = (uint8_t)(b->bits >> 16);
	dst[1] = (uint8_t)(b->bits >> 8);
	dst[2] = (uint8_t)b->bits;
	b->bits = b->have = 0;
	return 3;
}

int mail_cte_base64_line(struct mail_cte_base64 *b, struct span line, uint8_t *dst, size_t *at)
{
	size_t i = 0, n = 0;

	if (!line.n) {
		b->gap = b->seen;
		return 0;
	}
	b->seen = 1;
	while (i < line.n) {
		int got;
		if (!b->have && !b->padded && !b->gap) {
			size_t octets;
			i += take_quanta(span_sub(line, i, line.n), dst + n, &octets);
			n += octets;
			if (i == line.n)
				break;
		}
		got = take_character(b, line.p[i], dst + n);
		if (got < 0) {
			*at = i;
			return ERR_FORMAT;
		}
		n += (size_t)got;
		i++;
	}
	return (int)n;
}

int mail_cte_base64_end(const struct mail_cte_base64 *b)
{
	return b->padded == 1 || (b->have && !b->padded) ? ERR_FORMAT : 0;
}

size_t mail_cte_base64_put(char *dst, struct span s)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *d = dst;
	size_t i = 0;

	for (; i + 3 <= s.n; i += 3, d += 4) {
		uint32_t v = (uint32_t)s.p[i] << 16 | (uint32_t)s.p[i + 1] << 8 | s.p[i + 2];
		d[0] = alphabet[v >> 18];
		d[1] = alphabet[v >> 12 & 63];
		d[2] = alphabet[v >> 6 & 63];
		d[3] = alphabet[v & 63];
	}
	if (i < s.n) {
		uint32_t v = (uint32_t)s.p[i] << 16 | (s.n - i > 1 ? (uint32_t)s.p[i + 1] << 8 : 0);
		d[0] = alphabet[v >> 18];
		d[1] = alphabet[v >> 12 & 63];
		d[2] = s.n - i > 1 ? alphabet[v >> 6 & 63] : '=';
		d[3] = '=';
		d += 4;
	}
	return (size_t)(d - dst);
}
