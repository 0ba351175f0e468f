/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_mime.h"

#include <stdio.h>

#include "core/err.h"
#include "mail/mail_header.h"

enum { BOUNDARY_ROOM = 71, COMMENT_DEPTH = 8 };

struct walk {
	mail_mime_part_fn part;
	void *arg;
	unsigned leaves;
};

static int is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int is_token(uint8_t c)
{
	return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* Over white space and comments. */
static struct span skip(struct span s)
{
	unsigned depth = 0;
	size_t i = 0;

	for (; i < s.n; i++) {
		if (s.p[i] == '\\' && depth)
			i++;
		else if (s.p[i] == '(' && depth < COMMENT_DEPTH)
			depth++;
		else if (s.p[i] == ')' && depth)
			depth--;
		else if (!depth && !is_space(s.p[i]))
			break;
	}
	return span_sub(s, i, s.n);
}

static struct span take_token(struct span *s)
{
	struct span t;
	size_t n = 0;

	*s = skip(*s);
	while (n < s->n && is_token(s->p[n]))
		n++;
	t = span_sub(*s, 0, n);
	*s = skip(span_sub(*s, n, s->n));
	return t;
}

int mail_mime_type(char dst[MAIL_MIME_TYPE], struct span content)
{
	struct span type = take_token(&content), sub;
	size_t n = 0;

	dst[0] = '\0';
	if (!type.n || !content.n || content.p[0] != '/')
		return ERR_FORMAT;
	content = span_sub(content, 1, content.n);
	sub = take_token(&content);
	if (!sub.n)
		return ERR_FORMAT;
	if (type.n + sub.n + 2 > MAIL_MIME_TYPE)
		return ERR_LIMIT;
	for (size_t i = 0; i < type.n; i++)
		dst[n++] = (char)lower(type.p[i]);
	dst[n++] = '/';
	for (size_t i = 0; i < sub.n; i++)
		dst[n++] = (char)lower(sub.p[i]);
	dst[n] = '\0';
	return 0;
}

/* A value at the front of s, quoted or not, into dst (which may be NULL: stepped over). */
static int take_value(struct span *s, char *dst, size_t size)
{
	size_t i = 0, n = 0, quoted;

	*s = skip(*s);
	quoted = s->n && s->p[0] == '"';
	for (i = quoted; i < s->n; i++) {
		uint8_t c = s->p[i];
		if (quoted ? c == '"' : c == ';' || is_space(c))
			break;
		if (quoted && c == '\\' && i + 1 < s->n)
			c = s->p[++i];
		if (c == '\r' || c == '\n')
			continue;
		if (dst && n + 1 < size)
			dst[n] = (char)(c ? c : '?');
		n++;
	}
	if (quoted && i < s->n)
		i++;
	*s = skip(span_sub(*s, i, s->n));
	if (!dst)
		return 0;
	if (n >= size)
		return ERR_LIMIT;
	dst[n] = '\0';
	return (int)n;
}

int mail_mime_param(char *dst, size_t size, struct span content, const char *name)
{
	for (;;) {
		ptrdiff_t semi;
		struct span key;
		/* what stands before the next one that counts: the type, or something malformed */
		content = skip(content);
		if (content.n && content.p[0] == '"')
			take_value(&content, NULL, 0);
		semi = span_find(content, ';');
		if (semi < 0)
			return ERR_NOTFOUND;
		content = span_sub(content, (size_t)semi + 1, content.n);
		key = take_token(&content);
		if (!content.n || content.p[0] != '=')
			continue;
		content = span_sub(content, 1, content.n);
		if (span_equal_nocase(key, span_str(name)))
			return take_value(&content, dst, size);
		take_value(&content, NULL, 0);
	}
}

enum mail_mime_encoding mail_mime_encoding(struct span value)
{
	struct span t = take_token(&value);

	if (span_equal_nocase(t, SPAN_LIT("quoted-printable")))
		return MAIL_MIME_QP;
	if (span_equal_nocase(t, SPAN_LIT("base64")))
		return MAIL_MIME_BASE64;
	return MAIL_MIME_PLAIN;
}

/* --- walk */

/* Whether line is a delimiter: 1, or 2 for the last one. */
static int delimiter(struct span line, const char *boundary, size_t n)
{
	int last = 0;

	if (line.n < n + 2 || line.p[0] != '-' || line.p[1] != '-' ||
	    memcmp(line.p + 2, boundary, n) != 0)
		return 0;
	line = span_sub(line, n + 2, line.n);
	if (line.n >= 2 && line.p[0] == '-' && line.p[1] == '-') {
		last = 1;
		line = span_sub(line, 2, line.n);
	}
	for (size_t i = 0; i < line.n; i++)
		if (!is_space(line.p[i]))
			return 0;
	return 1 + last;
}

/* From rest the text up to the next delimiter; *kind: 0 (the end came), 1, 2. The line end before a
 * delimiter belongs to it. */
static struct span take_section(struct span *rest, const char *boundary, size_t n, int *kind)
{
	struct span all = *rest, section;
	size_t at = 0, end;

	*kind = 0;
	while (at < all.n) {
		struct span line = span_sub(all, at, all.n);
		ptrdiff_t lf = span_find(line, '\n');
		line = span_sub(line, 0, lf < 0 ? line.n : (size_t)lf + 1);
		*kind = delimiter(line, boundary, n);
		if (*kind) {
			*rest = span_sub(all, at + line.n, all.n);
			break;
		}
		at += line.n;
	}
	end = at;
	if (*kind && end && all.p[end - 1] == '\n')
		end--;
	if (*kind && end && end < at && all.p[end - 1] == '\r')
		end--;
	section = span_sub(all, 0, end);
	if (!*kind)
		*rest = span_sub(all, all.n, 0);
	return section;
}

static void read_fields(struct mail_mime_part *p)
{
	struct span value;

	if (!mail_header_find(p->header, "Content-Type", &p->content) ||
	    mail_mime_type(p->type, p->content) < 0)
		snprintf(p->type, sizeof(p->type), "%s",
			 strcmp(p->within, "multipart/digest") ? "text/plain" : "message/rfc822");
	if (mail_header_find(p->header, "Content-Transfer-Encoding", &value))
		p->encoding = mail_mime_encoding(value);
}

static int walk_entity(struct walk *w, struct span entity, unsigned depth, const char *within);

static int walk_multipart(struct walk *w, const struct mail_mime_part *p, const char *boundary,
			  size_t n)
{
	struct span rest = p->body;
	int kind, stop = 0;

	take_section(&rest, boundary, n, &kind); /* the preamble */
	while (kind == 1 && !stop) {
		struct span section = take_section(&rest, boundary, n, &kind);
		stop = walk_entity(w, section, p->depth + 1, p->type);
	}
	return stop;
}

static int walk_entity(struct walk *w, struct span entity, unsigned depth, const char *within)
{
	struct mail_mime_part p = {.depth = depth};
	char boundary[BOUNDARY_ROOM];
	size_t at = mail_header_length(entity);
	int n;

	snprintf(p.within, sizeof(p.within), "%s", within);
	p.header = span_sub(entity, 0, at);
	p.body = span_sub(entity, at, entity.n);
	read_fields(&p);
	if (!strncmp(p.type, "multipart/", 10)) {
		n = mail_mime_param(boundary, sizeof(boundary), p.content, "boundary");
		if (n > 0 && depth < MAIL_MIME_DEPTH)
			return walk_multipart(w, &p, boundary, (size_t)n);
	}
	if (w->leaves++ >= MAIL_MIME_PARTS)
		return 0;
	return w->part(w->arg, &p);
}

int mail_mime_walk(struct span message, mail_mime_part_fn part, void *arg)
{
	struct walk w = {.part = part, .arg = arg};

	return walk_entity(&w, message, 0, "");
}

/* --- encodings */

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int room_for(struct buf *out, const void *p, size_t n)
{
	return buf_room(out) >= n && buf_put(out, p, n) == 0;
}

/* Bytes of a soft line break at "=", or 0. */
static size_t soft_break(struct span s)
{
	size_t i = 1;

	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\r'))
		i++;
	if (i == s.n)
		return i;
	return s.p[i] == '\n' ? i + 1 : 0;
}

static void decode_qp(struct buf *out, struct span s)
{
	size_t i = 0, n;

	while (i < s.n) {
		uint8_t c = s.p[i];
		int high = c == '=' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;
		if (low >= 0) {
			c = (uint8_t)(high << 4 | low);
			i += 3;
		} else {
			n = c == '=' ? soft_break(span_sub(s, i, 80)) : 0;
			if (n) {
				i += n;
				continue;
			}
			i++;
		}
		if (!room_for(out, &c, 1))
			return;
	}
}

static int b64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void decode_b64(struct buf *out, struct span s)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < s.n && s.p[i] != '='; i++) {
		int v = b64_digit(s.p[i]);
		uint8_t c;
		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		c = (uint8_t)(bits >> have);
		if (!room_for(out, &c, 1))
			return;
	}
}

void mail_mime_decode(struct buf *out, enum mail_mime_encoding encoding, struct span body)
{
	if (encoding == MAIL_MIME_QP)
		decode_qp(out, body);
	else if (encoding == MAIL_MIME_BASE64)
		decode_b64(out, body);
	else
		room_for(out, body.p, body.n < buf_room(out) ? body.n : buf_room(out));
}
