/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_header.h"

#include "core/err.h"

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static int is_space(uint8_t c)
{
	return is_blank(c) || c == '\r' || c == '\n';
}

void mail_header_init(struct mail_header *h, struct span section, int strict)
{
	*h = (struct mail_header){.rest = section, .strict = strict};
}

/* Length of the first line with its end; strict: ERR_FORMAT if it does not end in CR LF alone. */
static ptrdiff_t line_length(struct span s, int strict)
{
	ptrdiff_t at = span_find(s, '\n');
	size_t n = at < 0 ? s.n : (size_t)at + 1;
	ptrdiff_t cr = strict ? span_find(span_sub(s, 0, n), '\r') : -1;

	if (!strict)
		return (ptrdiff_t)n;
	return at > 0 && cr == at - 1 ? (ptrdiff_t)n : ERR_FORMAT;
}

static int is_empty_line(struct span line)
{
	return (line.n == 1 && line.p[0] == '\n') ||
	       (line.n == 2 && line.p[0] == '\r' && line.p[1] == '\n');
}

/* The first line and what continues it. */
static ptrdiff_t field_length(struct span s, int strict)
{
	ptrdiff_t n = line_length(s, strict), more;

	while (n > 0 && (size_t)n < s.n && is_blank(s.p[n])) {
		more = line_length(span_sub(s, (size_t)n, s.n), strict);
		if (more < 0)
			return more;
		n += more;
	}
	return n;
}

static struct span trim(struct span s)
{
	while (s.n && is_space(s.p[0]))
		s = span_sub(s, 1, s.n);
	while (s.n && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

static int split(struct span whole, struct mail_header_field *f)
{
	ptrdiff_t colon = span_find(whole, ':');
	struct span name;

	if (colon <= 0)
		return ERR_FORMAT;
	name = span_sub(whole, 0, (size_t)colon);
	while (name.n && is_blank(name.p[name.n - 1]))
		name.n--;
	if (!name.n || name.n > MAIL_HEADER_NAME)
		return ERR_FORMAT;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f)
			return ERR_FORMAT;
	f->name = name;
	f->value = trim(span_sub(whole, (size_t)colon + 1, whole.n));
	f->whole = whole;
	return 0;
}

static int end(struct mail_header *h, int result)
{
	h->over = 1;
	return result;
}

int mail_header_next(struct mail_header *h, struct mail_header_field *f)
{
	while (!h->over && h->rest.n) {
		size_t empty = h->rest.p[0] == '\r' ? 2 : 1;
		struct span whole;
		ptrdiff_t n;
		if (is_empty_line(span_sub(h->rest, 0, empty))) {
			h->rest = span_sub(h->rest, empty, h->rest.n);
			return end(h, 0);
		}
		n = field_length(h->rest, h->strict);
		if (n < 0)
			return end(h, (int)n);
		whole = span_sub(h->rest, 0, (size_t)n);
		if (++h->count > MAIL_HEADER_FIELDS)
			return end(h, h->strict ? ERR_LIMIT : 0);
		h->rest = span_sub(h->rest, (size_t)n, h->rest.n);
		if (split(whole, f) == 0)
			return 1;
		if (h->strict)
			return end(h, ERR_FORMAT);
	}
	return end(h, 0);
}

int mail_header_find(struct span section, const char *name, struct span *value)
{
	struct mail_header_field f;
	struct mail_header h;

	mail_header_init(&h, section, 0);
	while (mail_header_next(&h, &f) == 1) {
		if (span_equal_nocase(f.name, span_str(name))) {
			*value = f.value;
			return 1;
		}
	}
	return 0;
}

size_t mail_header_length(struct span message)
{
	size_t at = 0;

	while (at < message.n) {
		struct span rest = span_sub(message, at, message.n);
		struct span line = span_sub(rest, 0, (size_t)line_length(rest, 0));
		at += line.n;
		if (is_empty_line(line))
			break;
	}
	return at;
}

size_t mail_header_unfold(char *dst, size_t size, struct span value)
{
	size_t n = 0;
	int blank = 0;

	value = trim(value);
	for (size_t i = 0; i < value.n && n + 1 < size; i++) {
		uint8_t c = value.p[i];
		if (is_space(c)) {
			blank = 1;
			continue;
		}
		if (blank && n + 2 < size)
			dst[n++] = ' ';
		blank = 0;
		dst[n++] = (char)(c < ' ' || c == 0x7f ? '?' : c);
	}
	if (size)
		dst[n] = '\0';
	return n;
}
