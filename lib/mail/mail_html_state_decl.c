/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "mail/mail_html_state.h"

static int starts(const struct mail_html *t, size_t at, const char *upper)
{
	for (; *upper; upper++, at++)
		if (at >= t->doc.n || (t->doc.p[at] != (uint8_t)*upper &&
				       t->doc.p[at] != mail_html_state_lower((uint8_t)*upper)))
			return 0;
	return 1;
}

static int comment_token(struct mail_html *t, struct mail_html_token *token, size_t from, size_t to,
			 size_t next)
{
	token->type = MAIL_HTML_COMMENT;
	token->from = t->at;
	token->to = next;
	token->text = span_of(t->doc.p + from, to - from);
	token->decode = MAIL_HTML_NUL;
	t->at = next;
	return 1;
}

/* Comment state and those behind it; at is behind "<!--". The data ends before "--" and ">" or "!>"; what the document's
 * end cuts off of these is not data either. */
static int comment(struct mail_html *t, struct mail_html_token *token, size_t at)
{
	const uint8_t *p = t->doc.p, *dash;
	size_t n = t->doc.n, from = at, end;

	/* Comment start and comment start dash states: "<!-->", "<!--->" */
	token->abrupt = 1;
	if (at < n && p[at] == '>')
		return comment_token(t, token, at, at, at + 1);
	if (at + 1 < n && p[at] == '-' && p[at + 1] == '>')
		return comment_token(t, token, at, at, at + 2);
	while (at < n && (dash = memchr(p + at, '-', n - at))) {
		end = (size_t)(dash - p);
		at = end + 1;
		if (at == n)
			return comment_token(t, token, from, end, n);
		if (p[at] != '-')
			continue;
		while (at < n && p[at] == '-')
			at++;
		end = at - 2;
		if (at == n)
			return comment_token(t, token, from, end, n);
		if (p[at] == '>') {
			token->abrupt = 0;
			return comment_token(t, token, from, end, at + 1);
		}
		if (p[at] != '!')
			continue;
		/* Comment end bang state; a dash behind it begins anew */
		at++;
		if (at == n || p[at] == '>')
			return comment_token(t, token, from, end, at + (at < n));
	}
	return comment_token(t, token, from, n, n);
}

static int bogus(struct mail_html *t, struct mail_html_token *token, size_t from)
{
	const uint8_t *end = from < t->doc.n ? memchr(t->doc.p + from, '>', t->doc.n - from) : NULL;
	size_t to = end ? (size_t)(end - t->doc.p) : t->doc.n;

	token->bogus = 1;
	token->abrupt = !end;
	return comment_token(t, token, from, to, end ? to + 1 : to);
}

static size_t blanks(const struct mail_html *t, size_t at)
{
	while (at < t->doc.n && mail_html_state_space(t->doc.p[at]))
		at++;
	return at;
}

/* Bogus DOCTYPE state, or simply its end. */
static int doctype_end(struct mail_html *t, struct mail_html_token *token, size_t at)
{
	const uint8_t *end = at < t->doc.n ? memchr(t->doc.p + at, '>', t->doc.n - at) : NULL;

	token->to = end ? (size_t)(end - t->doc.p) + 1 : t->doc.n;
	t->at = token->to;
	return 1;
}

/* An identifier in quotes at *at, if there is one. 0: go on behind it; 1: ">" or the end of the document has cut it off,
 * and *at stands there; ERR_NOTFOUND: no quote. */
static int identifier(struct mail_html *t, struct span *id, size_t *at)
{
	const uint8_t *p = t->doc.p;
	size_t from = *at + 1, to = from;

	if (*at >= t->doc.n || (p[*at] != '"' && p[*at] != '\''))
		return ERR_NOTFOUND;
	while (to < t->doc.n && p[to] != p[*at] && p[to] != '>')
		to++;
	*id = span_of(p + from, to - from);
	if (to == t->doc.n || p[to] == '>') {
		*at = to;
		return 1;
	}
	*at = to + 1;
	return 0;
}

/* Behind the public identifier (or where SYSTEM stood): a system identifier, which may be missing behind a public one. */
static int doctype_system(struct mail_html *t, struct mail_html_token *token, size_t at,
			  int may_miss)
{
	int r;

	at = blanks(t, at);
	if (may_miss && at < t->doc.n && t->doc.p[at] == '>')
		return doctype_end(t, token, at);
	r = identifier(t, &token->system_id, &at);
	if (r == 0)
		at = blanks(t, at);
	/* Something behind the identifier is no reason for quirks, the end of the document is. */
	token->quirks = r != 0 || at == t->doc.n;
	return doctype_end(t, token, at);
}

static int doctype(struct mail_html *t, struct mail_html_token *token, size_t at)
{
	size_t name;

	token->type = MAIL_HTML_DOCTYPE;
	token->from = t->at;
	token->quirks = 1;
	at = name = blanks(t, at);
	while (at < t->doc.n && t->doc.p[at] != '>' && !mail_html_state_space(t->doc.p[at]))
		at++;
	token->name = span_of(t->doc.p + name, at - name);
	if (!token->name.n)
		return doctype_end(t, token, at);
	/* After DOCTYPE name state */
	at = blanks(t, at);
	if (at < t->doc.n && t->doc.p[at] == '>')
		token->quirks = 0;
	if (starts(t, at, "SYSTEM"))
		return doctype_system(t, token, at + 6, 0);
	if (!starts(t, at, "PUBLIC"))
		return doctype_end(t, token, at);
	at = blanks(t, at + 6);
	if (identifier(t, &token->public_id, &at))
		return doctype_end(t, token, at);
	token->quirks = 0;
	return doctype_system(t, token, at, 1);
}

/* Markup declaration open state, and what is a bogus comment elsewhere. */
int mail_html_state_decl(struct mail_html *t, struct mail_html_token *token, size_t from)
{
	const uint8_t *p = t->doc.p + from;

	t->at = from;
	if (p[1] == '?')
		return bogus(t, token, from + 1);
	if (p[1] == '/' || !starts(t, from, "<!"))
		return bogus(t, token, from + 2);
	if (starts(t, from + 2, "--"))
		return comment(t, token, from + 4);
	if (starts(t, from + 2, "DOCTYPE"))
		return doctype(t, token, from + 9);
	if (mail_html_state_foreign(t) && t->doc.n - from >= 9 && !memcmp(p, "<![CDATA[", 9)) {
		t->at = from + 9;
		t->model = MAIL_HTML_CDATA;
		return mail_html_next(t, token);
	}
	return bogus(t, token, from + 2);
}
