/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_html.h"

#include "core/err.h"
#include "mail/mail_html_state.h"

enum { SPACE = 1, NAME_END = 2, ATTR_END = 4 };
/* How many attributes are compared one by one before there is a table of them. */
enum { FEW = 16, NO_SLOT = 0xffff };

static const uint8_t classes[256] = {
    ['\t'] = SPACE | NAME_END | ATTR_END, ['\n'] = SPACE | NAME_END | ATTR_END,
    ['\f'] = SPACE | NAME_END | ATTR_END, ['\r'] = SPACE | NAME_END | ATTR_END,
    [' '] = SPACE | NAME_END | ATTR_END,  ['/'] = NAME_END | ATTR_END,
    ['>'] = NAME_END | ATTR_END,	  ['='] = ATTR_END,
};

void mail_html_init(struct mail_html *t, struct span doc)
{
	t->doc = doc;
	t->at = 0;
	t->model = MAIL_HTML_DATA;
	t->last = span_of(NULL, 0);
	t->tree = 1;
	t->done = 0;
	t->foreign_depth = 0;
	t->attrs = 0;
}

void mail_html_init_bare(struct mail_html *t, struct span doc, enum mail_html_model model,
			 struct span last_start_tag)
{
	mail_html_init(t, doc);
	t->tree = 0;
	t->model = model;
	t->last = last_start_tag;
}

int mail_html_state_text(struct mail_html *t, struct mail_html_token *token, size_t from, size_t to,
			 size_t next)
{
	static const uint8_t how[] = {
	    [MAIL_HTML_DATA] = MAIL_HTML_REFS,
	    [MAIL_HTML_RCDATA] = MAIL_HTML_REFS | MAIL_HTML_NUL,
	    [MAIL_HTML_RAWTEXT] = MAIL_HTML_NUL,
	    [MAIL_HTML_SCRIPT] = MAIL_HTML_NUL,
	    [MAIL_HTML_PLAINTEXT] = MAIL_HTML_NUL,
	};

	token->type = MAIL_HTML_TEXT;
	token->from = t->at;
	token->to = next;
	token->text = span_of(t->doc.p + from, to - from);
	token->decode = t->model < MAIL_HTML_CDATA ? how[t->model] : 0;
	token->model = t->model;
	token->foreign = (uint8_t)mail_html_state_foreign(t);
	t->at = next;
	return 1;
}

int mail_html_state_eof(struct mail_html *t, struct mail_html_token *token, size_t from)
{
	t->at = from;
	t->done = 1;
	token->type = MAIL_HTML_EOF;
	token->from = from;
	token->to = t->doc.n;
	return 0;
}

static int too_much(struct mail_html *t, struct mail_html_token *token, size_t from)
{
	t->at = from;
	t->done = ERR_LIMIT;
	token->type = MAIL_HTML_EOF;
	token->from = from;
	token->to = t->doc.n;
	return ERR_LIMIT;
}

static int same_name(struct span a, struct span b)
{
	if (a.n != b.n)
		return 0;
	for (size_t i = 0; i < a.n; i++)
		if (mail_html_state_lower(a.p[i]) != mail_html_state_lower(b.p[i]))
			return 0;
	return 1;
}

static void put_slot(struct mail_html *t, unsigned index)
{
	unsigned i = t->hash[index] % (2 * MAIL_HTML_ATTRS);

	while (t->slot[i] != NO_SLOT)
		i = (i + 1) % (2 * MAIL_HTML_ATTRS);
	t->slot[i] = (uint16_t)index;
}

/* 1 if the tag has an attribute of this name already. */
static int seen(struct mail_html *t, struct span name, uint32_t hash)
{
	if (t->attrs < FEW) {
		for (unsigned i = 0; i < t->attrs; i++)
			if (t->hash[i] == hash && same_name(t->attr[i].name, name))
				return 1;
		return 0;
	}
	if (t->attrs == FEW) {
		memset(t->slot, 0xff, sizeof(t->slot));
		for (unsigned i = 0; i < FEW; i++)
			put_slot(t, i);
	}
	for (unsigned i = hash % (2 * MAIL_HTML_ATTRS); t->slot[i] != NO_SLOT;
	     i = (i + 1) % (2 * MAIL_HTML_ATTRS))
		if (t->hash[t->slot[i]] == hash && same_name(t->attr[t->slot[i]].name, name))
			return 1;
	return 0;
}

/* A free row for the attribute whose name begins at from; NULL: there are too many. */
static struct mail_html_attr *add_attr(struct mail_html *t, size_t from, size_t to)
{
	struct mail_html_attr *a;
	uint32_t hash = 2166136261u;

	if (t->attrs == MAIL_HTML_ATTRS)
		return NULL;
	a = &t->attr[t->attrs];
	a->name = span_of(t->doc.p + from, to - from);
	for (size_t i = from; i < to; i++)
		hash = (hash ^ mail_html_state_lower(t->doc.p[i])) * 16777619u;
	a->duplicate = (uint8_t)seen(t, a->name, hash);
	t->hash[t->attrs] = hash;
	if (t->attrs >= FEW)
		put_slot(t, t->attrs);
	t->attrs++;
	a->value = span_of(t->doc.p + to, 0);
	a->quote = 0;
	a->bare = 1;
	a->glued = !(classes[t->doc.p[from - 1]] & SPACE);
	return a;
}

/* Before attribute value state; at is behind "=". Returns where it goes on, n if the document ends first. */
static size_t value(struct mail_html *t, struct mail_html_attr *a, size_t at)
{
	const uint8_t *p = t->doc.p, *end;
	size_t n = t->doc.n, from;

	a->bare = 0;
	while (at < n && (classes[p[at]] & SPACE))
		at++;
	if (at == n)
		return n;
	if (p[at] == '"' || p[at] == '\'') {
		a->quote = p[at];
		end = memchr(p + at + 1, a->quote, n - at - 1);
		if (!end)
			return n;
		a->value = span_of(p + at + 1, (size_t)(end - p) - at - 1);
		return (size_t)(end - p) + 1;
	}
	for (from = at; at < n && p[at] != '>' && !(classes[p[at]] & SPACE);)
		at++;
	a->value = span_of(p + from, at - from);
	return at;
}

/* From behind the tag's name to behind its ">". 0: the document ends first; ERR_LIMIT. */
static ptrdiff_t attributes(struct mail_html *t, struct mail_html_token *token, size_t at)
{
	const uint8_t *p = t->doc.p;
	size_t n = t->doc.n, from;
	struct mail_html_attr *a;

	for (;;) {
		/* Before attribute name state */
		while (at < n && (classes[p[at]] & SPACE))
			at++;
		if (at == n)
			return 0;
		if (p[at] == '>')
			return (ptrdiff_t)at + 1;
		if (p[at] == '/') {
			if (at + 1 < n && p[at + 1] == '>') {
				token->self_closing = 1;
				return (ptrdiff_t)at + 2;
			}
			at++;
			continue;
		}
		/* Attribute name state: a first "=" is part of the name */
		for (from = at++; at < n && !(classes[p[at]] & ATTR_END);)
			at++;
		a = add_attr(t, from, at);
		if (!a)
			return ERR_LIMIT;
		/* After attribute name state */
		while (at < n && (classes[p[at]] & SPACE))
			at++;
		if (at < n && p[at] == '=')
			at = value(t, a, at + 1);
	}
}

/* Tag open and end tag open states: at is the first letter of the name. */
static int tag(struct mail_html *t, struct mail_html_token *token, size_t from, int end)
{
	const uint8_t *p = t->doc.p;
	size_t at = from + 1 + (size_t)end, name = at;
	ptrdiff_t next;

	while (at < t->doc.n && !(classes[p[at]] & NAME_END))
		at++;
	token->type = end ? MAIL_HTML_END : MAIL_HTML_START;
	token->name = span_of(p + name, at - name);
	t->attrs = 0;
	next = attributes(t, token, at);
	if (next == 0)
		return mail_html_state_eof(t, token, from);
	if (next < 0)
		return too_much(t, token, from);
	token->from = from;
	token->to = (size_t)next;
	token->attr = t->attr;
	token->attrs = t->attrs;
	t->at = (size_t)next;
	if (!end)
		t->last = token->name;
	if (t->tree && mail_html_state_tree(t, token))
		return too_much(t, token, from);
	return 1;
}

/* What a "<" begins. */
enum opening { NO_MARKUP, NOTHING, START_TAG, END_TAG, DECLARATION };
static enum opening opening(const struct mail_html *t, size_t at)
{
	const uint8_t *p = t->doc.p + at;
	size_t n = t->doc.n - at;

	if (n < 2)
		return NO_MARKUP;
	if (mail_html_state_alpha(p[1]))
		return START_TAG;
	if (p[1] == '!' || p[1] == '?')
		return DECLARATION;
	if (p[1] != '/' || n < 3)
		return NO_MARKUP;
	if (mail_html_state_alpha(p[2]))
		return END_TAG;
	return p[2] == '>' ? NOTHING : DECLARATION;
}

static int data(struct mail_html *t, struct mail_html_token *token)
{
	size_t at = t->at;

	while (at < t->doc.n) {
		const uint8_t *lt = memchr(t->doc.p + at, '<', t->doc.n - at);
		enum opening what;
		at = lt ? (size_t)(lt - t->doc.p) : t->doc.n;
		what = lt ? opening(t, at) : NO_MARKUP;
		if (lt && what == NO_MARKUP) {
			at++;
			continue;
		}
		if (at > t->at)
			return mail_html_state_text(t, token, t->at, at, at);
		if (what == NOTHING) {
			t->at = at += 3;
			continue;
		}
		if (what == DECLARATION)
			return mail_html_state_decl(t, token, at);
		return tag(t, token, at, what == END_TAG);
	}
	if (at > t->at)
		return mail_html_state_text(t, token, t->at, at, at);
	return mail_html_state_eof(t, token, at);
}

int mail_html_next(struct mail_html *t, struct mail_html_token *token)
{
	int r = 2;

	memset(token, 0, sizeof(*token));
	if (t->done) {
		token->type = MAIL_HTML_EOF;
		token->from = t->at;
		token->to = t->doc.n;
		return t->done < 0 ? t->done : 0;
	}
	if (t->model != MAIL_HTML_DATA)
		r = mail_html_state_raw(t, token);
	return r == 2 ? data(t, token) : r;
}

int mail_html_is(struct span name, const char *lower)
{
	size_t i = 0;

	for (; i < name.n && lower[i]; i++)
		if (mail_html_state_lower(name.p[i]) != (uint8_t)lower[i])
			return 0;
	return i == name.n && !lower[i];
}

const struct mail_html_attr *mail_html_attr(const struct mail_html_token *token, const char *lower)
{
	for (unsigned i = 0; i < token->attrs; i++)
		if (!token->attr[i].duplicate && mail_html_is(token->attr[i].name, lower))
			return &token->attr[i];
	return NULL;
}
