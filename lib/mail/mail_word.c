/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_word.h"

#include "core/err.h"
#include "mail/mail_charset.h"
#include "mail/mail_cte.h"

enum { WORD_MAX = 75, VALUE_MAX = 4096, LOCAL_MAX = 64, LABEL_MAX = 63, DOMAIN_MAX = 255 };

struct out {
	char *dst;
	size_t n, size;
};

static int put(struct out *o, const void *p, size_t n)
{
	if (n >= o->size - o->n)
		return ERR_LIMIT;
	memcpy(o->dst + o->n, p, n);
	o->n += n;
	o->dst[o->n] = '\0';
	return 0;
}

static int is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Text that is UTF-8 without control characters (those of C1 too). */
static int put_text(struct out *o, struct span s)
{
	for (size_t i = 0; i < s.n;) {
		int n = mail_charset_char(span_sub(s, i, s.n));
		if (n <= 0 || s.p[i] < ' ' || s.p[i] == 0x7f ||
		    (s.p[i] == 0xc2 && s.p[i + 1] < 0xa0))
			return ERR_FORMAT;
		i += (size_t)n;
	}
	return put(o, s.p, s.n);
}

static int put_transcoded(struct out *o, struct span s, enum mail_charset charset)
{
	uint8_t utf8[4];
	int rc = 0;

	if (charset == MAIL_CHARSET_UTF8)
		return put_text(o, s);
	for (size_t i = 0; i < s.n && rc == 0; i++) {
		uint32_t code = s.p[i];
		if (code >= 0x80)
			code =
			    charset == MAIL_CHARSET_ASCII ? 0 : mail_charset_code(charset, s.p[i]);
		if (!code)
			return ERR_FORMAT;
		rc = put_text(o, span_of(utf8, mail_charset_put(utf8, code)));
	}
	return rc;
}

/* --- encoded words */

static int decode_q(uint8_t *dst, struct span s)
{
	int n = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (c <= ' ' || c > '~' || c == '?')
			return ERR_FORMAT;
		if (c == '=') {
			int high = s.n - i > 2 ? mail_cte_hex(s.p[i + 1]) : -1;
			int low = high >= 0 ? mail_cte_hex(s.p[i + 2]) : -1;
			if (low < 0)
				return ERR_FORMAT;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		dst[n++] = c;
	}
	return n;
}

static int decode_b(uint8_t *dst, struct span s)
{
	struct mail_cte_base64 b = {0};
	size_t at;
	int n = mail_cte_base64_line(&b, s, dst, &at);

	return n < 0 || mail_cte_base64_end(&b) < 0 ? ERR_FORMAT : n;
}

/* Up to the next "?", which is stepped over. */
static int take_item(struct span *s, struct span *item)
{
	ptrdiff_t at = span_find(*s, '?');

	if (at <= 0)
		return ERR_FORMAT;
	*item = span_sub(*s, 0, (size_t)at);
	*s = span_sub(*s, (size_t)at + 1, s->n);
	return 0;
}

/* "=?charset?encoding?text?=", nothing around it. */
static int put_word(struct out *o, struct span w)
{
	struct span charset, encoding;
	uint8_t octets[WORD_MAX];
	int set, n;

	if (w.n > WORD_MAX || w.n < 8 || w.p[w.n - 2] != '?' || w.p[w.n - 1] != '=')
		return ERR_FORMAT;
	w = span_sub(w, 2, w.n - 4);
	if (take_item(&w, &charset) < 0 || take_item(&w, &encoding) < 0 || !w.n || encoding.n != 1)
		return ERR_FORMAT;
	set = mail_charset_parse(charset);
	if (set < 0 || set == MAIL_CHARSET_OTHER)
		return ERR_FORMAT;
	if ((encoding.p[0] | 0x20) == 'q')
		n = decode_q(octets, w);
	else
		n = (encoding.p[0] | 0x20) == 'b' ? decode_b(octets, w) : ERR_FORMAT;
	return n <= 0 ? ERR_FORMAT
		      : put_transcoded(o, span_of(octets, (size_t)n), (enum mail_charset)set);
}

static int has_mark(struct span s)
{
	return s.n >= 2 && memmem(s.p, s.n, "=?", 2) != NULL;
}

/* --- unstructured values */

/* Blanks and folds at the front. ERR_FORMAT: a line end that is no fold. */
static int take_blanks(struct span *s, struct span *blanks)
{
	size_t i = 0;

	while (i < s->n) {
		if (is_blank(s->p[i])) {
			i++;
			continue;
		}
		size_t end = s->p[i] == '\r' ? i + 1 : i;
		if (end == s->n || s->p[end] != '\n')
			break;
		if (end + 1 == s->n || !is_blank(s->p[end + 1]))
			return ERR_FORMAT;
		i = end + 1;
	}
	*blanks = span_sub(*s, 0, i);
	*s = span_sub(*s, i, s->n);
	return 0;
}

static struct span take_token(struct span *s)
{
	struct span token;
	size_t n = 0;

	while (n < s->n && !is_blank(s->p[n]) && s->p[n] != '\r' && s->p[n] != '\n')
		n++;
	token = span_sub(*s, 0, n);
	*s = span_sub(*s, n, s->n);
	return token;
}

static int put_blanks(struct out *o, struct span blanks)
{
	int rc = 0;

	for (size_t i = 0; i < blanks.n && rc == 0; i++)
		if (is_blank(blanks.p[i]))
			rc = put(o, &blanks.p[i], 1);
	return rc;
}

int mail_word_decode(char *dst, size_t size, struct span value)
{
	struct out o = {dst, 0, size};
	struct span blanks, token;
	int encoded = 0, first = 1, rc;

	if (!size)
		return ERR_LIMIT;
	dst[0] = '\0';
	for (;;) {
		int word;
		rc = take_blanks(&value, &blanks);
		if (rc < 0)
			return rc;
		if (!value.n)
			return (int)o.n;
		token = take_token(&value);
		if (!token.n) /* a CR alone */
			return ERR_FORMAT;
		word = token.n >= 2 && !memcmp(token.p, "=?", 2);
		if (!word && has_mark(token))
			return ERR_FORMAT;
		if (!first && !(word && encoded))
			rc = put_blanks(&o, blanks);
		if (rc == 0)
			rc = word ? put_word(&o, token) : put_text(&o, token);
		if (rc < 0)
			return rc;
		encoded = word;
		first = 0;
	}
}

/* --- mailboxes */

static int is_atom(uint8_t c)
{
	return c >= 0x80 || (c > ' ' && c < 0x7f && !strchr("()<>[]:;@\\,.\"", c));
}

/* A quoted string at the front: its text, quotes and backslashes undone. */
static int take_quoted(struct span *s, struct out *o)
{
	size_t i = 1;

	for (; i < s->n && s->p[i] != '"'; i++) {
		int n;
		if (s->p[i] == '\\' && ++i == s->n)
			return ERR_FORMAT;
		n = mail_charset_char(span_sub(*s, i, s->n));
		if (n <= 0)
			return ERR_FORMAT;
		int rc = put_text(o, span_of(s->p + i, (size_t)n));
		if (rc < 0)
			return rc;
		i += (size_t)n - 1;
	}
	if (i >= s->n)
		return ERR_FORMAT;
	*s = span_sub(*s, i + 1, s->n);
	return has_mark(span_of(o->dst, o->n)) ? ERR_FORMAT : 0;
}

static int check_phrase(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_atom(s.p[i]) && s.p[i] != '.' && !is_blank(s.p[i]))
			return ERR_FORMAT;
	return 0;
}

static int check_local(struct span s)
{
	if (!s.n || s.n > LOCAL_MAX || s.p[0] == '.' || s.p[s.n - 1] == '.')
		return ERR_FORMAT;
	for (size_t i = 0; i < s.n; i++)
		if (!is_atom(s.p[i]) && (s.p[i] != '.' || s.p[i - 1] == '.'))
			return ERR_FORMAT;
	return 0;
}

static int check_domain(struct span s)
{
	size_t label = 0;

	if (!s.n || s.n > DOMAIN_MAX)
		return ERR_FORMAT;
	for (size_t i = 0; i <= s.n; i++) {
		uint8_t c = i < s.n ? s.p[i] : '.';
		if (c == '.') {
			if (!label || label > LABEL_MAX || s.p[i - 1] == '-')
				return ERR_FORMAT;
			label = 0;
		} else if (c >= 0x80 || (c >= '0' && c <= '9') || (c == '-' && label) ||
			   ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
			label++;
		} else {
			return ERR_FORMAT;
		}
	}
	return 0;
}

/* local@domain, nothing around it. */
static int put_address(struct out *o, struct span s)
{
	struct span local;
	size_t at = 0;
	int rc;

	if (s.n && s.p[0] == '"') {
		char text[LOCAL_MAX + 1];
		struct out quoted = {text, 0, sizeof(text)};
		struct span rest = s;
		if (take_quoted(&rest, &quoted) < 0)
			return ERR_FORMAT;
		at = s.n - rest.n;
		local = span_sub(s, 0, at);
	} else {
		ptrdiff_t sign = span_find(s, '@');
		at = sign < 0 ? s.n : (size_t)sign;
		local = span_sub(s, 0, at);
		if (check_local(local) < 0)
			return ERR_FORMAT;
	}
	if (at >= s.n || s.p[at] != '@' || check_domain(span_sub(s, at + 1, s.n)) < 0)
		return ERR_FORMAT;
	rc = put_text(o, s);
	for (size_t i = at; rc == 0 && i < s.n; i++)
		if (o->dst[i] >= 'A' && o->dst[i] <= 'Z')
			o->dst[i] |= 0x20;
	return rc;
}

static struct span trim(struct span s)
{
	while (s.n && is_blank(s.p[0]))
		s = span_sub(s, 1, s.n);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Folds taken out. */
static int unfold(struct out *o, struct span value)
{
	struct span blanks;
	int rc = 0;

	while (value.n && rc == 0) {
		rc = take_blanks(&value, &blanks);
		if (rc == 0)
			rc = put_blanks(o, blanks);
		if (rc == 0 && value.n) {
			struct span token = take_token(&value);
			rc = token.n ? put(o, token.p, token.n) : ERR_FORMAT;
		}
	}
	return rc;
}

int mail_word_mailbox(struct mail_word_mailbox *m, struct span value)
{
	char line[VALUE_MAX];
	struct out o = {line, 0, sizeof(line)};
	struct out display = {m->display, 0, sizeof(m->display)};
	struct out address = {m->address, 0, sizeof(m->address)};
	struct span s, phrase;
	ptrdiff_t open;
	int rc;

	m->display[0] = m->address[0] = line[0] = '\0';
	rc = unfold(&o, value);
	if (rc < 0)
		return rc;
	s = trim(span_of(line, o.n));
	if (s.n && s.p[0] == '"') {
		struct span rest = s;
		rc = take_quoted(&rest, &display);
		if (rc < 0)
			return rc;
		if (rest.n && rest.p[0] == '@') { /* "local part"@domain */
			m->display[0] = '\0';
			return put_address(&address, s);
		}
		s = trim(rest);
		open = s.n && s.p[0] == '<' ? 0 : -1;
	} else {
		open = span_find(s, '<');
		if (open < 0)
			return put_address(&address, s);
		phrase = trim(span_sub(s, 0, (size_t)open));
		if (check_phrase(phrase) < 0)
			return ERR_FORMAT;
		rc = mail_word_decode(m->display, sizeof(m->display), phrase);
		if (rc < 0)
			return rc;
	}
	if (open < 0 || s.p[s.n - 1] != '>')
		return ERR_FORMAT;
	return put_address(&address, span_sub(s, (size_t)open + 1, s.n - (size_t)open - 2));
}
