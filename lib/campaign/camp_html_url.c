/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "campaign/camp_html_walk.h"
#include "core/err.h"

/* Where in a URL one is. */
enum where {
	START,
	SCHEME,
	SLASH_1,
	SLASH_2,
	AUTHORITY,
	PATH,
	QUERY_NAME,
	QUERY_VALUE,
	FRAGMENT,
	OPAQUE
};

struct position {
	enum where where;
	uint8_t last, before_last; /* octets */
	char scheme[8];
	size_t scheme_n;
};

static int alpha(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26;
}

static int is_web(const struct position *p)
{
	return (p->scheme_n == 4 && !strncasecmp(p->scheme, "http", 4)) ||
	       (p->scheme_n == 5 && !strncasecmp(p->scheme, "https", 5));
}

static enum where in_scheme(struct position *p, uint8_t c)
{
	if (c == ':')
		return is_web(p) ? SLASH_1 : OPAQUE;
	if (!alpha(c) || p->scheme_n == sizeof(p->scheme))
		return OPAQUE;
	p->scheme[p->scheme_n++] = (char)c;
	return SCHEME;
}

static enum where step(struct position *p, uint8_t c)
{
	switch (p->where) {
	case START:
	case SCHEME:
		return in_scheme(p, c);
	case SLASH_1:
		return c == '/' ? SLASH_2 : OPAQUE;
	case SLASH_2:
		return c == '/' ? AUTHORITY : OPAQUE;
	case AUTHORITY:
		return c == '/' ? PATH : c == '?' ? QUERY_NAME : c == '#' ? FRAGMENT : AUTHORITY;
	case PATH:
		return c == '?' ? QUERY_NAME : c == '#' ? FRAGMENT : PATH;
	case QUERY_NAME:
	case QUERY_VALUE:
		if (c == '#')
			return FRAGMENT;
		if (c == '&' || c == ';')
			return QUERY_NAME;
		return c == '=' ? QUERY_VALUE : p->where;
	default:
		return p->where;
	}
}

static void go_on(struct position *p, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		p->where = step(p, s.p[i]);
		p->before_last = p->last;
		p->last = s.p[i];
	}
}

/* What a field may be here, or which rule it breaks. A value must not complete an escape or a dot segment. */
static enum camp_html_context context(const struct position *p, enum camp_html_rule *rule)
{
	*rule = CAMP_HTML_RULE_FIELD_URL;
	if (p->where == START || p->where == SCHEME || p->where == SLASH_1 || p->where == SLASH_2 ||
	    p->where == AUTHORITY)
		*rule = CAMP_HTML_RULE_FIELD_HOST;
	if (p->last == '%' || p->before_last == '%')
		return CAMP_HTML_REFUSED;
	if (p->where == PATH)
		return p->last == '.' ? CAMP_HTML_REFUSED : CAMP_HTML_IN_PATH;
	return p->where == QUERY_VALUE ? CAMP_HTML_IN_QUERY : CAMP_HTML_REFUSED;
}

static void field(struct camp_html_walk *w, size_t place, struct position *p, uint8_t quote)
{
	enum camp_html_rule rule;
	enum camp_html_context c = context(p, &rule);

	if (!quote)
		camp_html_place_deny(w, place, CAMP_HTML_RULE_FIELD_CONTEXT);
	else if (c == CAMP_HTML_REFUSED)
		camp_html_place_deny(w, place, rule);
	else
		camp_html_place_set(w, place, c, quote);
}

/* Decodes a piece of the value to the end of both buffers. */
static void piece(struct camp_html_walk *w, struct span raw, struct position *p, struct buf *value,
		  struct buf *stand)
{
	size_t had = buf_size(stand);
	struct span s;

	if (mail_html_decode(stand, raw, MAIL_HTML_VALUE)) {
		w->error = buf_failed(stand);
		return;
	}
	s = span_sub(buf_span(stand), had, SIZE_MAX);
	go_on(p, s);
	buf_put_span(value, s);
	camp_html_walk_kept(w, value);
}

/* --- what a URL may be --- */

static const struct {
	const char *scheme;
	uint8_t link, image, mention;
} schemes[] = {
    {"https:", 1, 1, 1}, {"http:", 1, 1, 1}, {"mailto:", 1, 0, 0},
    {"tel:", 1, 0, 0},	 {"sms:", 1, 0, 0},  {"cid:", 0, 1, 0},
};

static int scheme_fits(struct span v, enum camp_html_use use)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = strlen(schemes[i].scheme);
		if (v.n < n || strncasecmp((const char *)v.p, schemes[i].scheme, n) != 0)
			continue;
		if (use == CAMP_HTML_IMAGE || use == CAMP_HTML_CSS)
			return schemes[i].image;
		return use == CAMP_HTML_MENTION ? schemes[i].mention : schemes[i].link;
	}
	return 0;
}

static int has_scheme(struct span v)
{
	size_t i = 0;

	if (!v.n || !alpha(v.p[0]))
		return 0;
	while (i < v.n && (alpha(v.p[i]) || (v.p[i] >= '0' && v.p[i] <= '9') ||
			   (v.p[i] && strchr("+-.", v.p[i]))))
		i++;
	return i < v.n && v.p[i] == ':';
}

/* Octets that URL parsers strip, turn or refuse, each in its way. In mail that is under way, blanks and braces are let be:
 * they change no host. */
static int is_odd(const struct camp_html_walk *w, struct span v)
{
	for (size_t i = 0; i < v.n; i++) {
		uint8_t c = v.p[i];
		if (c < ' ' || c == 0x7f || c == '\\')
			return 1;
		if (!w->live && strchr(" {}<>\"`|^", c))
			return 1;
	}
	return 0;
}

static struct span trimmed(struct span v)
{
	while (v.n && v.p[0] <= ' ')
		v = span_sub(v, 1, v.n);
	while (v.n && v.p[v.n - 1] <= ' ')
		v.n--;
	return v;
}

/* 1 if the caller is to be asked about its host. */
static int judge(struct camp_html_walk *w, struct span stand, enum camp_html_use use, size_t at,
		 struct span raw)
{
	struct span v = w->live ? trimmed(stand) : stand;

	if (is_odd(w, v))
		camp_html_walk_found(w, CAMP_HTML_RULE_URL_ODD, at, raw, SIZE_MAX);
	v = trimmed(stand);
	if (v.n && v.p[0] == '#' && use != CAMP_HTML_IMAGE)
		return !w->live;
	if (w->live && !v.n)
		return 0;
	if (!has_scheme(v)) {
		camp_html_walk_found(w, CAMP_HTML_RULE_URL_RELATIVE, at, raw, SIZE_MAX);
		return 1;
	}
	if (!scheme_fits(v, use)) {
		camp_html_walk_found(w, CAMP_HTML_RULE_SCHEME, at, raw, SIZE_MAX);
		return 1;
	}
	return !w->live || (v.p[0] | 0x20) == 'h';
}

void camp_html_url_tell(struct camp_html_walk *w, const struct camp_html_url *url, struct span raw)
{
	if (w->fns->url && !w->stop && w->fns->url(w->arg, url))
		camp_html_walk_say(w, CAMP_HTML_RULE_URL_HOST, raw);
}

void camp_html_url_attr(struct camp_html_walk *w, const struct mail_html_token *token,
			const struct mail_html_attr *a, enum camp_html_use use, int no_track)
{
	struct buf *value = use == CAMP_HTML_LINK ? &w->link_value : &w->value;
	struct buf *stand = use == CAMP_HTML_LINK ? &w->link_stand : &w->stand_value;
	size_t from = camp_html_walk_at(w, a->value), to = from + a->value.n, at = from;
	size_t first = camp_html_walk_place(w, from), i = first, fields = 0;
	struct position p = {START, 0, 0, "", 0};
	struct camp_html_url url;
	int ask;

	buf_reset(value);
	buf_reset(stand);
	for (; i < w->doc->count && w->stand_at[i] < to; i++) {
		if (!w->doc->places[i].field)
			continue;
		piece(w, span_sub(w->stand, at, w->stand_at[i] - at), &p, value, stand);
		field(w, i, &p, a->quote);
		buf_putf(value, "{%s}", w->doc->places[i].field);
		buf_put(stand, "x", 1);
		camp_html_walk_kept(w, value);
		camp_html_walk_kept(w, stand);
		go_on(&p, SPAN_LIT("x"));
		at = w->stand_at[i] + 1;
		fields++;
	}
	piece(w, span_sub(w->stand, at, to - at), &p, value, stand);
	ask = judge(w, buf_span(stand), use, from, a->value);
	url = (struct camp_html_url){.use = use,
				     .from = camp_html_walk_blob(w, from),
				     .to = camp_html_walk_blob(w, to),
				     .quote = a->quote,
				     .value = buf_span(value),
				     .stand = buf_span(stand),
				     .place = first,
				     .places = fields,
				     .no_track = no_track,
				     .conditional = w->conditional,
				     .element = camp_html_walk_blob(w, token->from)};
	if (use == CAMP_HTML_LINK) {
		w->link = url;
		w->link_raw = a->value;
		w->has_url = ask;
	} else if (ask) {
		camp_html_url_tell(w, &url, a->value);
	}
}

void camp_html_url_css(struct camp_html_walk *w, struct span value, size_t from, size_t to,
		       uint8_t quote, size_t element)
{
	struct camp_html_url url = {
	    .use = CAMP_HTML_CSS, .quote = quote, .value = value, .stand = value};

	struct span raw = span_sub(w->stand, from, to - from);

	if (!judge(w, value, CAMP_HTML_CSS, from, raw))
		return;
	url.from = camp_html_walk_blob(w, from);
	url.to = camp_html_walk_blob(w, to);
	url.place = camp_html_walk_place(w, from);
	url.conditional = w->conditional;
	url.element = camp_html_walk_blob(w, element);
	camp_html_url_tell(w, &url, raw);
}
