/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "core/err.h"
#include "milterproto/milterproto.h"

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* "550": its value, or 0. */
static int code_of(struct span s)
{
	if (s.n < 3 || s.p[0] < '4' || s.p[0] > '5' || s.p[1] < '0' || s.p[1] > '5' ||
	    !digit(s.p[2]))
		return 0;
	return (s.p[0] - '0') * 100 + (s.p[1] - '0') * 10 + (s.p[2] - '0');
}

/* "5.7.1" at the start of s, followed by a blank or the end: its length, or 0. */
static size_t enhanced_of(struct span s)
{
	size_t i = 1;

	if (s.n < 5 || !digit(s.p[0]))
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t from;

		if (i >= s.n || s.p[i] != '.')
			return 0;
		from = ++i;
		while (i < s.n && digit(s.p[i]))
			i++;
		if (i == from || i - from > 3)
			return 0;
	}
	return i == s.n || s.p[i] == ' ' ? i : 0;
}

static void append(struct milterproto_smtp *s, size_t *at, uint8_t c)
{
	if (*at < sizeof(s->text) - 1)
		s->text[(*at)++] = (char)(c < 0x20 || c >= 0x7f ? '?' : c);
}

static void append_text(struct milterproto_smtp *s, size_t *at, struct span text)
{
	if (*at && *at < sizeof(s->text) - 1)
		s->text[(*at)++] = '\n';
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '%' && ++i >= text.n) /* %% is %; one alone is dropped */
			break;
		append(s, at, text.p[i]);
	}
}

/* One line without its end: checks it against what the first line said. */
static int line(struct milterproto_smtp *s, size_t *at, struct span l, int first)
{
	int code = code_of(l);
	size_t n;

	if (!code || (l.n > 3 && l.p[3] != ' ' && l.p[3] != '-') || (!first && code != s->code))
		return ERR_FORMAT;
	s->code = code;
	l = span_sub(l, 4, l.n);
	n = enhanced_of(l);
	if (n) {
		if (l.p[0] != (uint8_t)('0' + code / 100))
			return ERR_FORMAT;
		if (first)
			span_copy_str(s->enhanced, sizeof(s->enhanced), span_sub(l, 0, n));
		l = span_sub(l, n + 1, l.n);
	}
	append_text(s, at, l);
	return 0;
}

int milterproto_smtp(struct span text, struct milterproto_smtp *s)
{
	uint8_t class = text.n ? text.p[0] : 0;
	size_t at = 0;
	int first = 1;

	memset(s, 0, sizeof(*s));
	while (text.n) {
		ptrdiff_t lf = span_find(text, '\n');
		struct span l = lf < 0 ? text : span_sub(text, 0, (size_t)lf);

		text = lf < 0 ? span_of(NULL, 0) : span_sub(text, (size_t)lf + 1, text.n);
		if (l.n && l.p[l.n - 1] == '\r')
			l.n--;
		if (line(s, &at, l, first) < 0) {
			memset(s, 0, sizeof(*s));
			s->code = class == '4' ? 451 : class == '5' ? 550 : 0;
			return ERR_FORMAT;
		}
		first = 0;
	}
	if (first)
		return ERR_FORMAT;
	s->text[at] = '\0';
	if (!s->enhanced[0])
		memcpy(s->enhanced, s->code < 500 ? "4.7.1" : "5.7.1", sizeof("5.7.1"));
	if (!s->text[0])
		snprintf(s->text, sizeof(s->text), "%s",
			 s->code < 500 ? "Try again later" : "Message refused");
	return 0;
}
