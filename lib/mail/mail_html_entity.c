/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "mail/mail_html.h"
#include "mail/mail_html_state.h"

struct mail_html_entity {
	uint32_t first;
	uint16_t second;
	char name[34];
};

#include "mail/mail_html_entity_table.h"

_Static_assert(sizeof(entities) / sizeof(entities[0]) == ENTITY_COUNT, "the table is whole");
_Static_assert(ENTITY_NAME_MAX < sizeof(entities[0].name), "names end with NUL");

enum { REPLACEMENT = 0xfffd, LAST = 0x10ffff };

static int is_digit(uint8_t c)
{
	return (uint8_t)(c - '0') < 10;
}

/* First of lo..hi, which agree in at octets, whose next octet is c or above. */
static unsigned lower_bound(unsigned lo, unsigned hi, size_t at, uint8_t c)
{
	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		if ((uint8_t)entities[mid].name[at] < c)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The longest name that s begins with: its length, 0 if none. The names that agree so far are a range of the table, and
 * the shortest of them comes first. */
static size_t named(struct span s, const struct mail_html_entity **found)
{
	unsigned letter, lo, hi;
	size_t best = 0;

	if (!s.n || !mail_html_state_alpha(s.p[0]))
		return 0;
	letter = s.p[0] >= 'a' ? 26u + s.p[0] - 'a' : (unsigned)(s.p[0] - 'A');
	lo = entity_first[letter];
	hi = entity_first[letter + 1];
	for (size_t at = 1; lo < hi; at++) {
		if (entities[lo].name[at] == '\0') {
			*found = &entities[lo];
			best = at;
			if (++lo == hi)
				break;
		}
		if (at == s.n)
			break;
		lo = lower_bound(lo, hi, at, s.p[at]);
		hi = lower_bound(lo, hi, at, (uint8_t)(s.p[at] + 1));
	}
	return best;
}

/* Numeric character reference end state. */
static uint32_t checked(uint32_t cp)
{
	static const uint16_t windows[32] = {
	    0x20ac, 0,	    0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
	    0x2039, 0x0152, 0,	    0x017d, 0,	    0,	    0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
	    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,	    0x017e, 0x0178};

	if (cp == 0 || cp > LAST || (cp >= 0xd800 && cp <= 0xdfff))
		return REPLACEMENT;
	if (cp >= 0x80 && cp < 0xa0 && windows[cp - 0x80])
		return windows[cp - 0x80];
	return cp;
}

/* "&#" stands at the front. */
static size_t numeric(struct span s, uint32_t *cp)
{
	int hex = s.n > 2 && (s.p[2] | 0x20) == 'x';
	size_t first = hex ? 3 : 2, i = first;
	uint32_t v = 0;

	for (; i < s.n; i++) {
		uint8_t c = s.p[i], low = c | 0x20;
		uint32_t d;
		if (is_digit(c))
			d = c - (uint32_t)'0';
		else if (hex && low >= 'a' && low <= 'f')
			d = low - (uint32_t)'a' + 10;
		else
			break;
		v = v > LAST ? v : v * (hex ? 16 : 10) + d;
	}
	if (i == first)
		return 0;
	*cp = checked(v);
	return i + (i < s.n && s.p[i] == ';');
}

size_t mail_html_reference(struct span s, int attribute, uint32_t cp[2])
{
	const struct mail_html_entity *e;
	size_t n;

	cp[0] = cp[1] = 0;
	if (s.n < 2 || s.p[0] != '&')
		return 0;
	if (s.p[1] == '#')
		return numeric(s, cp);
	n = named(span_sub(s, 1, s.n), &e);
	if (!n)
		return 0;
	/* "for historical reasons": in an attribute, "&copy=" and "&copyx" are no references. */
	if (attribute && s.p[n] != ';' && n + 1 < s.n &&
	    (s.p[n + 1] == '=' || is_digit(s.p[n + 1]) || mail_html_state_alpha(s.p[n + 1])))
		return 0;
	cp[0] = e->first;
	cp[1] = e->second;
	return n + 1;
}

static size_t utf8(uint8_t out[4], uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (uint8_t)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (uint8_t)(0xc0 | cp >> 6);
		out[1] = (uint8_t)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (uint8_t)(0xe0 | cp >> 12);
		out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | cp >> 18);
	out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (cp & 0x3f));
	return 4;
}

static int put_code_point(struct buf *out, uint32_t cp)
{
	uint8_t b[4];

	return buf_put(out, b, utf8(b, cp));
}

/* What stands at the front of s and is not copied as it is: octets it takes, 0 if it is copied after all. */
static size_t put_special(struct buf *out, struct span s, unsigned how)
{
	uint8_t c = s.p[0];
	uint32_t cp[2];
	size_t n;

	if (c == '\r') {
		buf_put(out, "\n", 1);
		return s.n > 1 && s.p[1] == '\n' ? 2 : 1;
	}
	if (c == '\0' && (how & MAIL_HTML_NUL)) {
		put_code_point(out, REPLACEMENT);
		return 1;
	}
	if (c == '&' && (how & MAIL_HTML_REFS)) {
		n = mail_html_reference(s, (how & MAIL_HTML_ATTR) != 0, cp);
		if (n)
			put_code_point(out, cp[0]);
		if (n && cp[1])
			put_code_point(out, cp[1]);
		return n;
	}
	if ((how & MAIL_HTML_LOWER) && (uint8_t)(c - 'A') < 26) {
		c |= 0x20;
		buf_put(out, &c, 1);
		return 1;
	}
	return 0;
}

int mail_html_decode(struct buf *out, struct span raw, unsigned how)
{
	size_t from = 0, i = 0;

	while (i < raw.n) {
		uint8_t c = raw.p[i];
		size_t n;
		if (c > '&' && !(how & MAIL_HTML_LOWER)) {
			i++;
			continue;
		}
		if (c != '&' && c != '\r' && c != '\0' && (uint8_t)(c - 'A') >= 26) {
			i++;
			continue;
		}
		if (i > from)
			buf_put(out, raw.p + from, i - from);
		from = i;
		n = put_special(out, span_sub(raw, i, raw.n), how);
		i += n ? n : 1;
		from += n;
	}
	if (i > from)
		buf_put(out, raw.p + from, i - from);
	return buf_failed(out);
}
