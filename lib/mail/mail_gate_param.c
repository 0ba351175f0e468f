/* SPDX-License-Identifier: Apache-2.0 */
/* Content-Type and Content-Disposition: a value, then parameters (RFC 2045 5.1, RFC 2183), some of them
 * in the form of RFC 2231. */
#include "core/err.h"
#include "mail/mail_charset.h"
#include "mail/mail_gate_own.h"
#include "mail/mail_word.h"

enum { VALUE_ROOM = 1024 };

/* One parameter as it stands. */
struct parameter {
	struct span name;	   /* without what RFC 2231 adds */
	int section;		   /* "*0", "*1"; -1: none */
	int extended;		   /* a "*" at the end */
	int quoted, escaped;	   /* in quotes; with a backslash in them */
	uint8_t value[VALUE_ROOM]; /* quotes undone */
	size_t n;
};

/* A text that may come whole, extended, or in sections. */
struct assembly {
	int plain, star, sections;
	enum mail_charset charset;
	uint8_t octets[VALUE_ROOM]; /* of the extended form, percent signs undone */
	size_t n;
	char *dst;
};

struct reader {
	struct mail_gate *g;
	struct span rest;
	struct span names[GATE_PARAMETERS]; /* as written */
	unsigned n_names;
	struct assembly text; /* filename= or name= */
	const char *text_name;
	enum mail_gate_rule (*take)(struct reader *r, const struct parameter *p);
};

static int is_token(uint8_t c)
{
	return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

static struct span take_token(struct span *s)
{
	struct span token;
	size_t n = 0;

	while (n < s->n && is_token(s->p[n]))
		n++;
	token = span_sub(*s, 0, n);
	*s = span_sub(*s, n, s->n);
	return token;
}

static void skip_blanks(struct span *s)
{
	while (s->n && (s->p[0] == ' ' || s->p[0] == '\t'))
		*s = span_sub(*s, 1, s->n);
}

static int copy_lower(char *dst, size_t size, struct span s)
{
	int rc = span_copy_str(dst, size, s);

	for (; rc == 0 && *dst; dst++)
		if (*dst >= 'A' && *dst <= 'Z')
			*dst |= 0x20;
	return rc;
}

/* --- the grammar */

static enum mail_gate_rule take_quoted(struct span *s, struct parameter *p)
{
	size_t i = 1;

	p->quoted = 1;
	for (; i < s->n && s->p[i] != '"'; i++) {
		if (s->p[i] == '\\') {
			p->escaped = 1;
			i++;
		}
		if (i >= s->n || p->n == sizeof(p->value))
			return i >= s->n ? MAIL_GATE_CONTENT_TYPE : MAIL_GATE_FIELD_SIZE;
		p->value[p->n++] = s->p[i];
	}
	if (i >= s->n)
		return MAIL_GATE_CONTENT_TYPE;
	*s = span_sub(*s, i + 1, s->n);
	return MAIL_GATE_NONE;
}

/* name, name*, name*0, name*0* */
static enum mail_gate_rule split_name(struct parameter *p)
{
	ptrdiff_t star = span_find(p->name, '*');
	struct span more;

	p->section = -1;
	if (star < 0)
		return MAIL_GATE_NONE;
	more = span_sub(p->name, (size_t)star + 1, p->name.n);
	p->name.n = (size_t)star;
	if (!more.n || more.p[more.n - 1] == '*') {
		p->extended = 1;
		more.n -= more.n ? 1 : 0;
		if (!more.n)
			return p->name.n ? MAIL_GATE_NONE : MAIL_GATE_RFC2231;
	}
	if (!p->name.n || more.n > 2 || (more.n == 2 && more.p[0] == '0'))
		return MAIL_GATE_RFC2231;
	p->section = 0;
	for (size_t i = 0; i < more.n; i++) {
		if (more.p[i] < '0' || more.p[i] > '9')
			return MAIL_GATE_RFC2231;
		p->section = p->section * 10 + (more.p[i] - '0');
	}
	return MAIL_GATE_NONE;
}

/* "name=value" at the front. */
static enum mail_gate_rule take_parameter(struct span *s, struct parameter *p)
{
	struct span value;

	p->extended = p->quoted = p->escaped = 0;
	p->n = 0;
	p->name = take_token(s);
	if (!p->name.n || !s->n || s->p[0] != '=')
		return MAIL_GATE_CONTENT_TYPE;
	*s = span_sub(*s, 1, s->n);
	if (s->n && s->p[0] == '"')
		return take_quoted(s, p);
	value = take_token(s);
	if (!value.n)
		return MAIL_GATE_CONTENT_TYPE;
	if (value.n > sizeof(p->value))
		return MAIL_GATE_FIELD_SIZE;
	memcpy(p->value, value.p, value.n);
	p->n = value.n;
	return MAIL_GATE_NONE;
}

static enum mail_gate_rule note_name(struct reader *r, struct span name)
{
	for (unsigned i = 0; i < r->n_names; i++)
		if (span_equal_nocase(r->names[i], name))
			return span_equal_nocase(name, SPAN_LIT("boundary"))
				   ? MAIL_GATE_BOUNDARY_TWICE
				   : MAIL_GATE_PARAMETER_TWICE;
	if (r->n_names == GATE_PARAMETERS)
		return MAIL_GATE_FIELD_SIZE;
	r->names[r->n_names++] = name;
	return MAIL_GATE_NONE;
}

/* --- texts: a file's name */

static int put_decoded(struct assembly *a, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (c == '%') {
			int high = s.n - i > 2 ? mail_cte_hex(s.p[i + 1]) : -1;
			int low = high >= 0 ? mail_cte_hex(s.p[i + 2]) : -1;
			if (low < 0)
				return ERR_FORMAT;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		}
		if (a->n == sizeof(a->octets))
			return ERR_LIMIT;
		a->octets[a->n++] = c;
	}
	return 0;
}

/* charset'language'text */
static int take_charset(struct assembly *a, struct span *s)
{
	ptrdiff_t first = span_find(*s, '\''), second;
	struct span after;
	int charset;

	if (first <= 0)
		return ERR_FORMAT;
	after = span_sub(*s, (size_t)first + 1, s->n);
	second = span_find(after, '\'');
	charset = mail_charset_parse(span_sub(*s, 0, (size_t)first));
	if (second < 0 || charset < 0 || charset == MAIL_CHARSET_OTHER)
		return ERR_FORMAT;
	a->charset = (enum mail_charset)charset;
	*s = span_sub(after, (size_t)second + 1, after.n);
	return 0;
}

/* Octets to UTF-8 without control characters, in dst. */
static enum mail_gate_rule put_string(char *dst, struct span s, enum mail_charset charset,
				      enum mail_gate_rule otherwise)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n;) {
		uint32_t code = s.p[i];
		uint8_t utf8[4];
		int k = 1;
		if (code < ' ' || code == 0x7f)
			return otherwise;
		if (charset == MAIL_CHARSET_UTF8)
			k = mail_charset_char(span_sub(s, i, s.n));
		else if (code >= 0x80)
			code =
			    charset == MAIL_CHARSET_ASCII ? 0 : mail_charset_code(charset, s.p[i]);
		if (k <= 0 || !code)
			return otherwise;
		if (charset == MAIL_CHARSET_UTF8)
			memcpy(utf8, s.p + i, (size_t)k);
		size_t m = charset == MAIL_CHARSET_UTF8 ? (size_t)k : mail_charset_put(utf8, code);
		if (m > MAIL_GATE_MAX_STRING - n)
			return MAIL_GATE_FIELD_SIZE;
		memcpy(dst + n, utf8, m);
		n += m;
		i += (size_t)k;
	}
	dst[n] = '\0';
	return MAIL_GATE_NONE;
}

/* The plain form; an encoded word in it is none, but what tolerant readers show. */
static enum mail_gate_rule take_plain(struct reader *r, const struct parameter *p)
{
	struct span value = span_of(p->value, p->n);
	char *dst = r->text.dst;

	r->text.plain = 1;
	if (value.n < 2 || !memmem(value.p, value.n, "=?", 2))
		return put_string(dst, value, MAIL_CHARSET_UTF8, MAIL_GATE_FIELD_CONTROL);
	if (!r->g->tolerant)
		return MAIL_GATE_ENCODED_WORD_IN_QUOTES;
	if (mail_word_decode(dst, MAIL_GATE_MAX_STRING + 1, value) >= 0)
		return MAIL_GATE_NONE;
	return put_string(dst, value, MAIL_CHARSET_UTF8, MAIL_GATE_FIELD_CONTROL);
}

static enum mail_gate_rule take_text(struct reader *r, const struct parameter *p)
{
	struct assembly *a = &r->text;
	struct span value = span_of(p->value, p->n);
	int first = p->section <= 0;

	if (p->section < 0 && !p->extended)
		return take_plain(r, p);
	/* sections stand in order; the first one names the charset of those that need one */
	if ((p->section < 0 ? a->sections || a->star : a->star || p->section != a->sections) ||
	    (p->extended && p->quoted))
		return MAIL_GATE_RFC2231;
	if (p->section < 0)
		a->star = 1;
	else
		a->sections++;
	if (first)
		a->charset = MAIL_CHARSET_ASCII;
	if (first && p->extended && take_charset(a, &value) < 0)
		return MAIL_GATE_RFC2231;
	if (p->extended)
		return put_decoded(a, value) < 0 ? MAIL_GATE_RFC2231 : MAIL_GATE_NONE;
	if (value.n > sizeof(a->octets) - a->n)
		return MAIL_GATE_FIELD_SIZE;
	memcpy(a->octets + a->n, value.p, value.n);
	a->n += value.n;
	return MAIL_GATE_NONE;
}

static enum mail_gate_rule end_text(struct reader *r)
{
	struct assembly *a = &r->text;

	if (!a->star && !a->sections)
		return MAIL_GATE_NONE;
	if (a->plain && !r->g->tolerant)
		return MAIL_GATE_RFC2231_AND_PLAIN;
	return put_string(a->dst, span_of(a->octets, a->n), a->charset, MAIL_GATE_RFC2231);
}

/* --- the fields */

static enum mail_gate_rule read_one(struct reader *r)
{
	struct parameter p;
	struct span before = r->rest;
	enum mail_gate_rule rule = take_parameter(&r->rest, &p);

	if (rule == MAIL_GATE_NONE)
		rule = note_name(r, span_sub(before, 0, p.name.n));
	if (rule == MAIL_GATE_NONE)
		rule = split_name(&p);
	if (rule != MAIL_GATE_NONE)
		return rule;
	if (span_equal_nocase(p.name, span_str(r->text_name)))
		return take_text(r, &p);
	return r->take ? r->take(r, &p) : MAIL_GATE_NONE;
}

static enum mail_gate_rule read_parameters(struct reader *r)
{
	enum mail_gate_rule rule = MAIL_GATE_NONE;

	for (;;) {
		skip_blanks(&r->rest);
		if (!r->rest.n)
			break;
		if (r->rest.p[0] != ';')
			return MAIL_GATE_CONTENT_TYPE;
		r->rest = span_sub(r->rest, 1, r->rest.n);
		skip_blanks(&r->rest);
		if (!r->rest.n) {
			if (!r->g->tolerant)
				return MAIL_GATE_TRAILING_SEMICOLON;
			break;
		}
		rule = read_one(r);
		if (rule != MAIL_GATE_NONE)
			return rule;
	}
	return end_text(r);
}

static enum mail_gate_rule take_boundary(struct mail_gate_level *l, const struct parameter *p)
{
	/* some readers undo a backslash, some do not */
	if (p->escaped || !p->n ||
	    span_copy_str(l->boundary, sizeof(l->boundary), span_of(p->value, p->n)) < 0)
		return MAIL_GATE_BOUNDARY_ILLEGAL;
	return MAIL_GATE_NONE;
}

static enum mail_gate_rule take_flag(int *flag, const struct parameter *p, const char *yes,
				     const char *no)
{
	struct span value = span_of(p->value, p->n);

	*flag = span_equal_nocase(value, span_str(yes));
	return *flag || span_equal_nocase(value, span_str(no)) ? MAIL_GATE_NONE
							       : MAIL_GATE_TEXT_FORM;
}

/* Parameters that change nothing of what is seen. Others might: "method" makes an invitation of a file. */
static enum mail_gate_rule take_other(struct reader *r, const struct parameter *p)
{
	static const char *const idle[] = {"type",	  "protocol",	"micalg",     "report-type",
					   "reply-type", "smime-type", "differences"};
	struct mail_gate_level *l = mail_gate_own_level(r->g);

	if (span_equal_nocase(p->name, SPAN_LIT("start")) && !strcmp(l->type, "multipart/related")) {
		if (p->section >= 0 || p->extended || p->escaped || !p->n ||
		    span_copy_str(l->start, sizeof(l->start), span_of(p->value, p->n)) < 0)
			return r->g->tolerant ? MAIL_GATE_NONE : MAIL_GATE_RELATED_START;
		return MAIL_GATE_NONE;
	}
	for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
		if (span_equal_nocase(p->name, span_str(idle[i])))
			return MAIL_GATE_NONE;
	/* messages in messages are refused as such, or attachments */
	return r->g->tolerant || !strncmp(l->type, "message/", 8) ? MAIL_GATE_NONE : MAIL_GATE_PARAMETER;
}

static enum mail_gate_rule take_type_parameter(struct reader *r, const struct parameter *p)
{
	static const char *const known[] = {"boundary", "charset", "format", "delsp"};
	struct mail_gate_level *l = mail_gate_own_level(r->g);
	enum mail_gate_rule rule = MAIL_GATE_NONE;
	size_t i = 0;

	while (i < 4 && !span_equal_nocase(p->name, span_str(known[i])))
		i++;
	if (i == 4)
		return take_other(r, p);
	if (p->section >= 0 || p->extended)
		return MAIL_GATE_RFC2231;
	if (i == 0)
		return take_boundary(l, p);
	if (i == 1)
		return copy_lower(l->charset, sizeof(l->charset), span_of(p->value, p->n)) < 0 ||
			       p->escaped || !p->n
			   ? MAIL_GATE_CHARSET
			   : MAIL_GATE_NONE;
	if (strcmp(l->type, "text/plain") != 0)
		return MAIL_GATE_NONE;
	rule = i == 2 ? take_flag(&l->part.flowed, p, "flowed", "fixed")
		      : take_flag(&l->part.delsp, p, "yes", "no");
	return rule && r->g->tolerant ? MAIL_GATE_NONE : rule;
}

enum mail_gate_rule mail_gate_own_content_type(struct mail_gate *g, struct span value)
{
	struct mail_gate_level *l = mail_gate_own_level(g);
	struct reader r = {.g = g,
			   .rest = value,
			   .text = {.dst = l->name},
			   .text_name = "name",
			   .take = take_type_parameter};
	struct span type = take_token(&r.rest), sub;

	if (!type.n || !r.rest.n || r.rest.p[0] != '/')
		return MAIL_GATE_CONTENT_TYPE;
	r.rest = span_sub(r.rest, 1, r.rest.n);
	sub = take_token(&r.rest);
	if (!sub.n)
		return MAIL_GATE_CONTENT_TYPE;
	if (copy_lower(l->type, sizeof(l->type), span_of(type.p, type.n + 1 + sub.n)) < 0)
		return MAIL_GATE_FIELD_SIZE;
	return read_parameters(&r);
}

enum mail_gate_rule mail_gate_own_disposition(struct mail_gate *g, struct span value)
{
	struct mail_gate_level *l = mail_gate_own_level(g);
	struct reader r = {
	    .g = g, .rest = value, .text = {.dst = l->filename}, .text_name = "filename"};
	struct span token = take_token(&r.rest);
	enum mail_gate_rule rule;

	if (!token.n || copy_lower(l->disposition, sizeof(l->disposition), token) < 0)
		return MAIL_GATE_CONTENT_FIELD;
	rule = read_parameters(&r);
	return rule == MAIL_GATE_CONTENT_TYPE ? MAIL_GATE_CONTENT_FIELD : rule;
}
