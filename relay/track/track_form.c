/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_form.h"

#include "core/err.h"

#define NAME  "List-Unsubscribe"
#define VALUE "One-Click"

/* --- paths */

static const struct {
	char letter;
	enum seal_track_kind kind;
} kinds[] = {{'c', SEAL_TRACK_CLICK}, {'o', SEAL_TRACK_OPEN}, {'u', SEAL_TRACK_UNSUBSCRIBE}};

int track_form_path(const struct http_request *r, enum seal_track_kind *kind, struct seal_track_raw *token)
{
	struct span first = r->segments[0], text = r->segments[1];
	size_t i = 0;

	if (r->segment_count != 2 || first.n != 1)
		return ERR_NOTFOUND;
	while (i < sizeof(kinds) / sizeof(kinds[0]) && first.p[0] != (uint8_t)kinds[i].letter)
		i++;
	if (i == sizeof(kinds) / sizeof(kinds[0]))
		return ERR_NOTFOUND;
	*kind = kinds[i].kind;
	if (*kind == SEAL_TRACK_OPEN && text.n > 4 && span_equal(span_sub(text, text.n - 4, 4), SPAN_LIT(".gif")))
		text.n -= 4;
	return seal_track_url_get(text, token) < 0 ? ERR_FORMAT : 0;
}

/* --- parts of a line */

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
	while (s.n && is_blank(s.p[0]))
		s = span_sub(s, 1, s.n);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Takes what stands before c off *rest, with c itself. */
static struct span take(struct span *rest, uint8_t c)
{
	ptrdiff_t at = span_find(*rest, c);
	struct span s = at < 0 ? *rest : span_sub(*rest, 0, (size_t)at);

	*rest = at < 0 ? span_of(NULL, 0) : span_sub(*rest, (size_t)at + 1, rest->n);
	return s;
}

/* Value of a parameter behind the first ";" of a field, without its quotes; p NULL: there is none. No value that counts
 * here has a backslash or a ";" in it. */
static struct span parameter(struct span field, const char *name)
{
	take(&field, ';');
	while (field.n) {
		struct span value = take(&field, ';'), key = trim(take(&value, '='));
		value = trim(value);
		if (!span_equal_nocase(key, span_str(name)))
			continue;
		if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
			value = span_sub(value, 1, value.n - 2);
		return value.p ? value : SPAN_LIT("");
	}
	return span_of(NULL, 0);
}

/* --- application/x-www-form-urlencoded */

static int hex_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 1 if s, decoded, is text. */
static int decodes_to(struct span s, const char *text)
{
	size_t i = 0;

	for (; *text; text++, i++) {
		int c = i < s.n ? s.p[i] : -1;
		if (c == '%' && i + 2 < s.n && hex_of(s.p[i + 1]) >= 0 && hex_of(s.p[i + 2]) >= 0) {
			c = hex_of(s.p[i + 1]) << 4 | hex_of(s.p[i + 2]);
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		if (c != (uint8_t)*text)
			return 0;
	}
	return i == s.n;
}

static int urlencoded(struct span body)
{
	while (body.n) {
		struct span value = take(&body, '&'), name = take(&value, '=');
		if (decodes_to(name, NAME) && decodes_to(value, VALUE))
			return 1;
	}
	return 0;
}

/* --- multipart/form-data */

/* A line without its end (CRLF; LF alone is taken too). */
static struct span take_line(struct span *rest)
{
	struct span line = take(rest, '\n');

	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* 1: a delimiter, 2: the last one. */
static int delimiter(struct span line, struct span boundary)
{
	if (line.n < boundary.n + 2 || line.p[0] != '-' || line.p[1] != '-' ||
	    !span_equal(span_sub(line, 2, boundary.n), boundary))
		return 0;
	line = trim(span_sub(line, boundary.n + 2, line.n));
	return line.n == 0 ? 1 : span_equal(line, SPAN_LIT("--")) ? 2 : 0;
}

/* The head of a part: whether it is the one we look for. */
static int is_named(struct span *body)
{
	int yes = 0;

	while (body->n) {
		struct span line = take_line(body), name;
		if (!line.n)
			return yes;
		name = take(&line, ':');
		if (!span_equal_nocase(trim(name), SPAN_LIT("content-disposition")))
			continue;
		yes |= span_equal(parameter(line, "name"), SPAN_LIT(NAME)) &&
		       span_equal_nocase(trim(take(&line, ';')), SPAN_LIT("form-data"));
	}
	return yes;
}

static int multipart(struct span body, struct span boundary)
{
	int end = 0;

	if (!boundary.n || boundary.n > 70)
		return ERR_FORMAT;
	while (body.n && !end)
		end = delimiter(take_line(&body), boundary);
	for (unsigned parts = 0; end == 1 && parts < TRACK_FORM_PARTS; parts++) {
		int named = is_named(&body);
		struct span value = take_line(&body), line;
		unsigned lines = 1;
		end = delimiter(value, boundary);
		while (!end && body.n) {
			line = take_line(&body);
			end = delimiter(line, boundary);
			lines += !end;
		}
		if (named && end && lines == 1 && span_equal(value, SPAN_LIT(VALUE)))
			return 1;
	}
	return end == 2 ? 0 : ERR_FORMAT;
}

int track_form_one_click(struct span type, struct span body)
{
	struct span rest = type, media = trim(take(&rest, ';'));

	if (body.n > TRACK_FORM_MAX)
		return ERR_FORMAT;
	if (span_equal_nocase(media, SPAN_LIT("application/x-www-form-urlencoded")))
		return urlencoded(body);
	if (span_equal_nocase(media, SPAN_LIT("multipart/form-data")))
		return multipart(body, parameter(type, "boundary"));
	return ERR_UNSUPPORTED;
}
