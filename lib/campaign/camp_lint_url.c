/* SPDX-License-Identifier: Apache-2.0 */
/* One URL, and what passes for one. */
#include <stdlib.h>

#include "campaign/camp_lint_own.h"
#include "core/err.h"

static int quoted(struct span s)
{
	return (int)(s.n < 80 ? s.n : 80);
}

/* Names of parameters that pages take their next address from. */
static const char *const redirecting[] = {
	"continue", "dest",	"destination", "forward", "go",	      "goto",	 "href",     "link",	 "location", "next",
	"out",	    "redir",	"redirect",    "redirect_to", "redirect_uri", "redirect_url", "return", "return_to", "returnto",
	"return_url", "returnurl", "target",   "to",	  "u",	      "uri",	 "url",	     "view",
};

static int starts(struct span s, const char *text)
{
	return span_equal_nocase(span_sub(s, 0, strlen(text)), span_str(text));
}

static int is_address(struct span v)
{
	return starts(v, "http:") || starts(v, "https:") || starts(v, "http%3a") || starts(v, "https%3a") || starts(v, "//") ||
	       starts(v, "%2f%2f") || starts(v, "\\\\") || starts(v, "www.");
}

/* A field of a type whose values can be an address. */
static int is_open_field(const struct camp_lint_run *r, struct span v)
{
	char name[CAMP_NAME + 1];
	const char *type;
	ptrdiff_t end = span_find(v, '}');

	if (!v.n || v.p[0] != '{' || end < 2 || span_copy_str(name, sizeof(name), span_sub(v, 1, (size_t)end - 1)) < 0)
		return 0;
	type = json_string_value(json_object_get(json_object_get(json_object_get(r->top, "fields"), name), "type"));
	return type && (strcmp(type, "url-query") == 0 || strcmp(type, "url-path") == 0 || strcmp(type, "text-nolink") == 0);
}

static int is_redirecting(struct span name)
{
	size_t i;

	for (i = 0; i < sizeof(redirecting) / sizeof(*redirecting); i++)
		if (span_equal_nocase(name, span_str(redirecting[i])))
			return 1;
	return 0;
}

static void parameters(struct camp_lint_run *r, struct camp_source_text *t, size_t at, struct span value)
{
	ptrdiff_t q = span_find(value, '?');
	struct span rest = q < 0 ? span_of(NULL, 0) : span_sub(value, (size_t)q + 1, value.n);

	while (rest.n) {
		size_t end = 0;
		while (end < rest.n && rest.p[end] != '&' && rest.p[end] != ';' && rest.p[end] != '#')
			end++;
		struct span one = span_sub(rest, 0, end), v;
		ptrdiff_t eq = span_find(one, '=');
		v = eq < 0 ? one : span_sub(one, (size_t)eq + 1, one.n);
		if (is_address(v))
			CAMP_LINT_AT(r, WARNING, "url-redirector", t, at, "another address is a parameter: may lead there: %.*s",
				     quoted(one), (const char *)one.p);
		else if (eq >= 0 && is_redirecting(span_sub(one, 0, (size_t)eq)) && is_open_field(r, v))
			CAMP_LINT_AT(r, ERROR, "url-redirector-field", t, at,
				     "a field chooses where this parameter leads: %.*s", quoted(one), (const char *)one.p);
		rest = end < rest.n ? span_sub(rest, end + 1, rest.n) : span_of(NULL, 0);
	}
}

static void odd(struct camp_lint_run *r, struct camp_source_text *t, size_t at, unsigned bits)
{
	unsigned i;

	for (i = 0; i < MAIL_URL_BIT_COUNT; i++) {
		if (!(bits & (1u << i)))
			continue;
		if (i == MAIL_URL_BIT_CHARACTER)
			CAMP_LINT_AT(r, WARNING, mail_url_odd_name(i), t, at, "%s", mail_url_odd_text(i));
		else
			CAMP_LINT_AT(r, ERROR, mail_url_odd_name(i), t, at, "%s", mail_url_odd_text(i));
	}
}

static void web_url(struct camp_lint_run *r, struct camp_source_text *t, size_t at, struct span value, const struct mail_url *u,
		    int *web)
{
	json_t *track = json_object_get(r->top, "track");
	const char *tracking = json_string_value(json_object_get(track, "host"));
	int http = json_is_true(json_object_get(json_object_get(r->top, "links"), "http"));

	if (u->scheme == MAIL_URL_HTTP && !http)
		CAMP_LINT_AT(r, ERROR, "url-http", t, at, "http: anybody on the way can change the page (links.http permits it)");
	else if (u->scheme == MAIL_URL_HTTP)
		CAMP_LINT_AT(r, WARNING, "url-http", t, at, "http: anybody on the way can change the page");
	if (camp_lint_is_shortener(u->host))
		CAMP_LINT_AT(r, ERROR, "url-shortener", t, at, "%s shortens links: nobody sees where they lead", u->host);
	if (!camp_lint_owns(r, u->host)) {
		CAMP_LINT_AT(r, ERROR, "host-not-owned", t, at, "%s is not among the hosts", u->host);
		return;
	}
	if (!camp_lint_verified(r, u->host))
		CAMP_LINT_AT(r, ERROR, "host-not-owned", t, at, "%s " CAMP_LINT_UNVERIFIED, u->host);
	parameters(r, t, at, value);
	*web = !tracking || strcmp(tracking, u->host) != 0;
}

void camp_lint_url(struct camp_lint_run *r, struct camp_source_text *t, size_t at, struct span stand, struct span value,
		   int loads, struct mail_url *u, int *web)
{
	int rc = mail_url_parse(u, stand);

	*web = 0;
	if (rc == ERR_LIMIT || value.n > CAMP_TEXT)
		CAMP_LINT_AT(r, ERROR, "url-long", t, at, "longer than %d octets", MAIL_URL_MAX);
	else if (rc == ERR_FORMAT)
		CAMP_LINT_AT(r, ERROR, "url-broken", t, at, "no browser reads this URL: %.*s", quoted(stand),
			     (const char *)stand.p);
	else if (rc == ERR_NOMEM)
		r->failed = 1;
	if (rc < 0)
		return; /* other schemes and relative ones: html-scheme, html-url-relative */
	odd(r, t, at, u->odd);
	if (u->scheme == MAIL_URL_HTTPS || u->scheme == MAIL_URL_HTTP)
		web_url(r, t, at, value, u, web);
	else if (loads)
		CAMP_LINT_AT(r, ERROR, "url-scheme", t, at, "nothing can be loaded from here");
	else if (u->scheme == MAIL_URL_MAILTO && !camp_lint_related(r, u->host))
		CAMP_LINT_AT(r, WARNING, "mail-foreign", t, at, "mail to %s, which is none of the sender's domains", u->host);
	if (u->more)
		CAMP_LINT_AT(r, ERROR, "mail-more", t, at, "mailto: with several recipients, or to, cc or bcc in it");
}

void camp_lint_mention(struct camp_lint_run *r, struct camp_source_text *t, size_t at, const struct mail_url_mention *m)
{
	if (m->kind == MAIL_URL_M_PATH)
		CAMP_LINT_AT(r, ERROR, "text-link", t, at, "mail clients make a link to a file server of this");
	else if (m->kind == MAIL_URL_M_MAIL) {
		if (strchr(m->host, '.') && !camp_lint_related(r, m->host))
			CAMP_LINT_AT(r, WARNING, "mail-foreign", t, at, "an address at %s, which is none of the sender's domains",
				     m->host);
	} else if (*m->host && !camp_lint_owns(r, m->host))
		CAMP_LINT_AT(r, ERROR, "text-link", t, at,
			     "mail clients make a link of this: %s is not among the hosts", m->host);
	else if (m->odd)
		odd(r, t, at, m->odd);
}

static int untracked(const struct camp_lint_run *r, struct span url)
{
	json_t *v;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(r->top, "links"), "no_track"), i, v)
		if (span_equal(url, span_str(json_string_value(v))))
			return 1;
	return 0;
}

void camp_lint_add_link(struct camp_lint_run *r, const struct camp_source_text *t, size_t from, size_t to, struct span url,
			int track, enum camp_link_as as)
{
	struct camp_lint_link *l;

	if (r->n_links == CAMP_LINKS) {
		CAMP_LINT_AT(r, ERROR, "links-many", t, from, "more than %d links", CAMP_LINKS);
		r->n_links++; /* said once */
	}
	if (r->n_links > CAMP_LINKS)
		return;
	if (r->n_links == r->room_links) {
		size_t room = r->room_links ? 2 * r->room_links : 32;
		l = realloc(r->link, room * sizeof(*l));
		if (!l) {
			r->failed = 1;
			return;
		}
		r->link = l;
		r->room_links = room;
	}
	l = &r->link[r->n_links];
	*l = (struct camp_lint_link){.text = (unsigned)(t - r->source.text), .from = from, .to = to,
				     .url = strndup(url.n ? (const char *)url.p : "", url.n), .track = track && !untracked(r, url), .as = as};
	if (!l->url)
		r->failed = 1;
	else
		r->n_links++;
}
