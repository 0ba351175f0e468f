/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "campaign/camp_field_own.h"
#include "core/err.h"
#include "mail/mail_cte.h"

static const struct {
	const char *text;
	int32_t means;
} named[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};

int32_t camp_field_reference(struct span text)
{
	int32_t v = 0;
	size_t i = 2;
	int hex;

	for (size_t k = 0; k < sizeof(named) / sizeof(named[0]); k++)
		if (span_equal(text, span_str(named[k].text)))
			return named[k].means;
	if (text.n < 4 || text.n > 10 || text.p[0] != '&' || text.p[1] != '#' ||
	    text.p[text.n - 1] != ';')
		return ERR_FORMAT;
	hex = text.p[2] == 'x' || text.p[2] == 'X';
	i += (size_t)hex;
	if (i == text.n - 1)
		return ERR_FORMAT;
	for (; i < text.n - 1; i++) {
		int d = mail_cte_hex(text.p[i]);

		if (d < 0 || (!hex && d > 9))
			return ERR_FORMAT;
		v = v * (hex ? 16 : 10) + d;
		if (v > 0x10ffff)
			return ERR_FORMAT;
	}
	return v == 0 || (v >= 0xd800 && v <= 0xdfff) ? ERR_FORMAT : v;
}

int32_t camp_field_char(struct span text, size_t *at)
{
	static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint8_t c = text.p[(*at)++];
	unsigned n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	int32_t v = n < 2 ? c : c & (0x7f >> n);

	if (n == 0 || text.n - *at < n - 1)
		return ERR_FORMAT;
	for (unsigned i = 1; i < n; i++) {
		c = text.p[(*at)++];
		if ((c & 0xc0) != 0x80)
			return ERR_FORMAT;
		v = v << 6 | (c & 0x3f);
	}
	return v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ? ERR_FORMAT : v;
}

size_t camp_field_put_char(uint8_t dst[4], uint32_t c)
{
	if (c < 0x80) {
		dst[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		dst[0] = (uint8_t)(0xc0 | c >> 6);
		dst[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		dst[0] = (uint8_t)(0xe0 | c >> 12);
		dst[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		dst[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	dst[0] = (uint8_t)(0xf0 | c >> 18);
	dst[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	dst[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	dst[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

static int is_utf8(struct span s)
{
	for (size_t at = 0; at < s.n;)
		if (camp_field_char(s, &at) < 0)
			return 0;
	return 1;
}

static int decode_html(struct span raw, uint8_t *dst)
{
	size_t n = 0, i = 0;

	while (i < raw.n) {
		ptrdiff_t end;
		int32_t c;

		if (raw.p[i] != '&') {
			dst[n++] = raw.p[i++];
			continue;
		}
		end = span_find(span_sub(raw, i, 12), ';');
		if (end < 0)
			return ERR_FORMAT;
		c = camp_field_reference(span_sub(raw, i, (size_t)end + 1));
		if (c < 0)
			return ERR_FORMAT;
		n += camp_field_put_char(dst + n, (uint32_t)c);
		i += (size_t)end + 1;
	}
	return (int)n;
}

static int decode_url(struct span raw, uint8_t *dst)
{
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		int hi, lo;

		if (raw.p[i] != '%') {
			dst[n++] = raw.p[i];
			continue;
		}
		if (raw.n - i < 3)
			return ERR_FORMAT;
		hi = mail_cte_hex(raw.p[i + 1]);
		lo = mail_cte_hex(raw.p[i + 2]);
		if (hi < 0 || lo < 0)
			return ERR_FORMAT;
		dst[n++] = (uint8_t)(hi << 4 | lo);
		i += 2;
	}
	return (int)n;
}

int camp_field_decode(const struct camp_field *f, enum camp_text_kind kind, struct span raw,
		      uint8_t *dst)
{
	int n;

	if (f->ctx == CAMP_CTX_URL_PATH || f->ctx == CAMP_CTX_URL_QUERY)
		n = decode_url(raw, dst);
	else if (kind == CAMP_TEXT_HTML)
		n = decode_html(raw, dst);
	else
		n = (int)(raw.n ? (memcpy(dst, raw.p, raw.n), raw.n) : 0);
	return n >= 0 && !is_utf8(span_of(dst, (size_t)n)) ? ERR_FORMAT : n;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* n decoded octets against those of the recipient: its local part as it is, its domain in either case */
static int same_rcpt(struct span rcpt, uint32_t at, const uint8_t *have, size_t n)
{
	const uint8_t *domain = memrchr(rcpt.p, '@', rcpt.n);

	if (n > rcpt.n - at)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *want = rcpt.p + at + i;

		if (*want != have[i] &&
		    !(domain && want > domain && lower(*want) == lower(have[i])))
			return 0;
	}
	return 1;
}

static int safe_raw(const struct camp_field *f, enum camp_text_kind kind, uint8_t c)
{
	if (f->ctx == CAMP_CTX_URL_PATH || f->ctx == CAMP_CTX_URL_QUERY)
		return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
		       (c && strchr("-._~@+", c));
	return kind == CAMP_TEXT_PLAIN || (c && !strchr("<>\"'&", c));
}

int camp_field_rcpt(const struct camp_field *f, enum camp_text_kind kind, struct span rcpt,
		    uint32_t *at, uint8_t *escape, unsigned *n, uint8_t c)
{
	int url = f->ctx == CAMP_CTX_URL_PATH || f->ctx == CAMP_CTX_URL_QUERY;
	uint8_t have[CAMP_ESCAPE] = {c};
	size_t n_have = 1;

	if (*at >= rcpt.n)
		return 0;
	if (*n || (url && c == '%') || (!url && kind == CAMP_TEXT_HTML && c == '&')) {
		if (*n == CAMP_ESCAPE)
			return 0;
		escape[(*n)++] = c;
		if (url ? *n < 3 : c != ';')
			return 1;
		if (url) {
			n_have = decode_url(span_of(escape, *n), have) == 1;
		} else {
			int32_t v = camp_field_reference(span_of(escape, *n));

			n_have = v > 0 ? camp_field_put_char(have, (uint32_t)v) : 0;
		}
		*n = 0;
	} else if (!safe_raw(f, kind, c)) {
		return 0;
	}
	if (n_have == 0 || !same_rcpt(rcpt, *at, have, n_have))
		return 0;
	*at += (uint32_t)n_have;
	return 1;
}
