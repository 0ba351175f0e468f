/* SPDX-License-Identifier: Apache-2.0 */
/* A plain text: what mail clients will make links of, and where its fields stand. */
#include "campaign/camp_lint_own.h"
#include "core/err.h"

int camp_lint_stand(struct buf *out, const struct camp_source_text *t)
{
	size_t i;

	for (i = 0; i < t->n; i++) {
		if (t->piece[i].kind == CAMP_SOURCE_LIT)
			buf_put_span(out, span_sub(buf_span(&t->blob), t->piece[i].at, t->piece[i].len));
		else if (t->piece[i].kind == CAMP_SOURCE_FIELD)
			buf_put_str(out, "x");
	}
	return buf_failed(out);
}

size_t camp_lint_unstand(const struct camp_source_text *t, size_t at, int end)
{
	size_t i, fields = 0;

	for (i = 0; i < t->places; i++) {
		if (!t->place[i].field)
			continue;
		if (t->place[i].at + fields >= at || (!end && t->place[i].at + fields + 1 > at))
			break;
		fields++;
	}
	return at - fields;
}

void camp_lint_context(struct camp_lint_run *r, const char *field, enum camp_context ctx)
{
	const char *name;
	unsigned i = 0;
	json_t *v;

	json_object_foreach(json_object_get(r->top, "fields"), name, v) {
		if (i < CAMP_FIELDS && strcmp(name, field) == 0)
			r->contexts[i] |= 1u << ctx;
		i++;
	}
}

/* The link from..to of the stand, as it is in the source: fields as {name}. */
static void url_of(struct buf *out, const struct camp_source_text *t, size_t from, size_t to)
{
	size_t i, at = 0;

	for (i = 0; i < t->n && at < to; i++) {
		const struct camp_source_piece *p = &t->piece[i];
		size_t len = p->kind == CAMP_SOURCE_LIT ? p->len : p->kind == CAMP_SOURCE_FIELD ? 1 : 0;
		if (p->kind == CAMP_SOURCE_FIELD && at >= from)
			buf_putf(out, "{%s}", p->name);
		else if (p->kind == CAMP_SOURCE_LIT && at + len > from) {
			size_t skip = from > at ? from - at : 0, stop = to < at + len ? to - at : len;
			buf_put_span(out, span_sub(buf_span(&t->blob), p->at + skip, stop - skip));
		}
		at += len;
	}
}

/* Fields in the link from..to of the stand: each in path or query, none before. */
static void fields_in(struct camp_lint_run *r, struct camp_source_text *t, struct span stand, size_t from, size_t to)
{
	size_t i, at = 0, path = from, query;

	while (path < to && stand.p[path] != ':')
		path++;
	path = path + 3 < to ? path + 3 : to;
	while (path < to && stand.p[path] != '/' && stand.p[path] != '?')
		path++;
	for (query = path; query < to && stand.p[query] != '?'; query++)
		;
	for (i = 0; i < t->n; i++) {
		const struct camp_source_piece *p = &t->piece[i];
		if (p->kind == CAMP_SOURCE_FIELD) {
			if (at >= from && at < to && at < path)
				CAMP_LINT_AT(r, ERROR, "text-field-host", t, p->at, "a field in a URL before its path");
			else if (at >= from && at < to)
				camp_lint_context(r, p->name, at < query ? CAMP_CTX_URL_PATH : CAMP_CTX_URL_QUERY);
			at++;
		} else if (p->kind == CAMP_SOURCE_LIT) {
			at += p->len;
		}
	}
}

/* Fields outside of the links: they are text. done: where the link before ended. */
static void fields_between(struct camp_lint_run *r, const struct camp_source_text *t, size_t from, size_t to)
{
	size_t i, at = 0;

	for (i = 0; i < t->n; i++) {
		if (t->piece[i].kind == CAMP_SOURCE_FIELD) {
			if (at >= from && at < to)
				camp_lint_context(r, t->piece[i].name, CAMP_CTX_TEXT);
			at++;
		} else if (t->piece[i].kind == CAMP_SOURCE_LIT) {
			at += t->piece[i].len;
		}
	}
}

static int has_field(const struct camp_source_text *t, size_t from, size_t to)
{
	size_t i, at = 0;

	for (i = 0; i < t->n; i++) {
		if (t->piece[i].kind == CAMP_SOURCE_FIELD && at++ >= from && at <= to)
			return 1;
		if (t->piece[i].kind == CAMP_SOURCE_LIT)
			at += t->piece[i].len;
	}
	return 0;
}

static void web_link(struct camp_lint_run *r, struct camp_source_text *t, struct span stand, const struct mail_url_mention *m)
{
	int subject = t == r->source.text, web = 0;
	size_t from = camp_lint_unstand(t, m->from, 0), to = camp_lint_unstand(t, m->to, 1);
	struct mail_url u;
	struct buf url;

	buf_init(&url, CAMP_TEMPLATE_MAX);
	url_of(&url, t, m->from, m->to);
	camp_lint_url(r, t, from, span_sub(stand, m->from, m->to - m->from), buf_span(&url), 0, &u, &web);
	fields_in(r, t, stand, m->from, m->to);
	if (!subject && *u.host && (u.scheme == MAIL_URL_HTTPS || u.scheme == MAIL_URL_HTTP)) {
		int text = json_is_true(json_object_get(json_object_get(r->top, "track"), "text"));
		camp_lint_add_link(r, t, from, to, buf_span(&url), web && text, CAMP_LINK_TEXT);
	}
	r->failed |= buf_failed(&url) == ERR_NOMEM;
	buf_clear(&url);
}

static void mention(struct camp_lint_run *r, struct camp_source_text *t, struct span stand, const struct mail_url_mention *m)
{
	struct mail_url u;
	int rc = m->kind == MAIL_URL_M_URL ? mail_url_parse(&u, span_sub(stand, m->from, m->to - m->from)) : ERR_NOTFOUND;

	if (rc == ERR_UNSUPPORTED)
		CAMP_LINT_AT(r, ERROR, "url-scheme", t, camp_lint_unstand(t, m->from, 0),
			     "a URL of a scheme that mail does not need");
	else if (m->kind == MAIL_URL_M_URL && rc != ERR_NOTFOUND)
		web_link(r, t, stand, m);
	else if (has_field(t, m->from, m->to))
		CAMP_LINT_AT(r, ERROR, "text-field-host", t, camp_lint_unstand(t, m->from, 0),
			     "a field in what mail clients make a link of");
	else
		camp_lint_mention(r, t, camp_lint_unstand(t, m->from, 0), m);
}

void camp_lint_text(struct camp_lint_run *r, unsigned text)
{
	struct camp_source_text *t = &r->source.text[text];
	struct mail_url_mention m;
	struct span s;
	struct buf stand;
	size_t at = 0;

	buf_init(&stand, CAMP_TEMPLATE_MAX + CAMP_SOURCE_PIECES);
	if (camp_lint_stand(&stand, t) < 0) {
		r->failed = 1;
		buf_clear(&stand);
		return;
	}
	s = buf_span(&stand);
	if (text == 0 && (span_find(s, '\n') >= 0 || !s.n))
		CAMP_LINT_AT(r, ERROR, "subject", t, 0, "a subject is one line that is not empty");
	while (r->n_links <= CAMP_LINKS && mail_url_find(s, at, &m)) {
		r->failed |= m.no_memory;
		fields_between(r, t, at, m.from);
		mention(r, t, s, &m);
		at = m.to;
	}
	fields_between(r, t, at, s.n);
	buf_clear(&stand);
}
