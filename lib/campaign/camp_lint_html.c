/* SPDX-License-Identifier: Apache-2.0 */
/* An HTML part: what camp_html says of it, where it leads, and whether a second parser agrees. */
#include <stdlib.h>

#include "campaign/camp_lint_own.h"
#include "core/err.h"
#include "mail/mail_html.h"

#define MENTIONS 256 /* that wait for the end of a link they may be in */

struct waiting {
	size_t at;
	struct mail_url_mention m;
};

/* A stretch of shown text: where it begins in the blob, and in the text without white space. */
struct stretch {
	size_t at, seen;
};

struct html {
	struct camp_lint_run *r;
	struct camp_source_text *t;
	struct camp_lint_seen seen; /* as the second parser should see it; its places are the blob's */
	struct buf stretches;	    /* of seen.text */
	struct camp_html_place *comment; /* .at: begin and end of comments, in the blob */
	size_t comments, room;
	struct waiting *wait;
	size_t waits;
	unsigned errors;
};

static void on_finding(void *arg, const struct camp_html_finding *f)
{
	struct html *h = arg;
	const char *name = camp_html_rule_name(f->rule);
	int n = (int)f->what.n;

	h->errors += f->level == CAMP_HTML_ERROR;
	camp_source_find(h->r->fs, f->level == CAMP_HTML_ERROR ? CAMP_FINDING_ERROR : CAMP_FINDING_WARNING, name, h->t, f->at,
			 "%s%s%.*s", f->text, n ? ": " : "", n, n ? (const char *)f->what.p : "");
}

static int in_comment(const struct html *h, size_t at)
{
	size_t i;

	for (i = 0; i + 1 < h->comments; i += 2)
		if (at >= h->comment[i].at && at < h->comment[i + 1].at)
			return 1;
	return 0;
}

/* Without white space, as parsers place it in different nodes. */
static void squeeze(struct buf *out, struct span s)
{
	size_t i, run = 0;

	for (i = 0; i <= s.n; i++) {
		if (i < s.n && !strchr(" \t\n\f\r", s.p[i]))
			continue;
		if (i < s.n && s.p[i] == '\0')
			continue;
		buf_put_span(out, span_sub(s, run, i - run));
		run = i + 1;
	}
}

static void on_text(void *arg, struct span text, size_t at)
{
	struct html *h = arg;
	struct mail_url_mention m;
	size_t from = 0;

	if (!in_comment(h, at)) {
		const struct stretch s = {at, buf_size(&h->seen.text)};
		buf_put(&h->stretches, &s, sizeof(s));
		squeeze(&h->seen.text, text);
	}
	while (h->waits < MENTIONS && mail_url_find(text, from, &m)) {
		h->r->failed |= m.no_memory;
		h->wait[h->waits].at = at;
		h->wait[h->waits++].m = m;
		from = m.to;
	}
}

static void flush(struct html *h, size_t before)
{
	size_t i, kept = 0;

	for (i = 0; i < h->waits; i++) {
		if (h->wait[i].at < before)
			camp_lint_mention(h->r, h->t, h->wait[i].at, &h->wait[i].m);
		else
			h->wait[kept++] = h->wait[i];
	}
	h->waits = kept;
}

static int has_word(struct span s, const char *word)
{
	size_t i, n = strlen(word);

	for (i = 0; i + n <= s.n; i++)
		if (span_equal_nocase(span_sub(s, i, n), span_str(word)))
			return 1;
	return 0;
}

/* The text (or an image's alt text) names a host: it must be the one the link leads to. */
static void shown(struct html *h, const struct camp_html_url *u, struct span text, const char *host)
{
	struct mail_url_mention m;
	size_t from = 0;

	while (mail_url_find(text, from, &m)) {
		from = m.to;
		h->r->failed |= m.no_memory;
		if (m.kind == MAIL_URL_M_MAIL && !strchr(m.host, '.'))
			continue;
		if (m.kind == MAIL_URL_M_URL && !*m.host)
			continue;
		if (!*m.host || m.odd || !camp_lint_same_site(m.host, host))
			camp_source_find(h->r->fs, CAMP_FINDING_ERROR, "link-text-host", h->t, u->from,
					 "what is shown names %s, and the link leads to %s", *m.host ? m.host : "a host",
					 *host ? host : "none");
	}
}

static void link_of(struct html *h, const struct camp_html_url *u, const struct mail_url *url, int web)
{
	json_t *track = json_object_get(h->r->top, "track");
	int clicks = json_is_true(json_object_get(track, "clicks")), vml = json_is_true(json_object_get(track, "vml"));
	enum camp_link_as as = u->use == CAMP_HTML_VML ? CAMP_LINK_VML : u->quote ? CAMP_LINK_QUOTED : CAMP_LINK_BARE;

	shown(h, u, u->text, url->host);
	shown(h, u, u->alt, url->host);
	if (has_word(u->text, "unsubscribe") || has_word(u->value, "unsub"))
		h->r->visible_unsubscribe++;
	if (url->scheme == MAIL_URL_HTTPS || url->scheme == MAIL_URL_HTTP)
		camp_lint_add_link(h->r, h->t, u->from, u->to, u->value,
				   web && clicks && !u->no_track && ((u->use != CAMP_HTML_VML && !u->conditional) || vml), as);
}

/* cid:NAME must be a file of this message. */
static void cid(struct html *h, const struct camp_html_url *u)
{
	struct span name = span_sub(u->stand, 4, u->stand.n);
	json_t *part;
	size_t i;

	if (u->use != CAMP_HTML_IMAGE && u->use != CAMP_HTML_CSS)
		CAMP_LINT_AT(h->r, ERROR, "url-scheme", h->t, u->from, "cid: is for images alone");
	json_array_foreach(json_object_get(h->r->top, "parts"), i, part)
		if (json_object_get(part, "cid") && span_equal(name, span_str(json_string_value(json_object_get(part, "cid")))))
			return;
	CAMP_LINT_AT(h->r, ERROR, "cid-missing", h->t, u->from, "no part has this Content-ID: %.*s",
		     (int)(name.n < 80 ? name.n : 80), (const char *)name.p);
}

static int on_url(void *arg, const struct camp_html_url *u)
{
	struct html *h = arg;
	int leads = u->use == CAMP_HTML_LINK || u->use == CAMP_HTML_AREA || u->use == CAMP_HTML_VML, web;
	struct mail_url url;
	size_t i;

	if (u->use == CAMP_HTML_LINK) {
		/* what stands in the link is judged with it */
		for (i = h->waits; i && h->wait[i - 1].at >= u->element; i--)
			;
		h->waits = i;
	}
	if (u->use != CAMP_HTML_VML && u->use != CAMP_HTML_CSS && u->use != CAMP_HTML_MENTION && !in_comment(h, u->element)) {
		const uint32_t at = (uint32_t)u->from;
		squeeze(&h->seen.links, u->stand);
		buf_put_str(&h->seen.links, "\n");
		buf_put(&h->seen.places, &at, sizeof(at));
	}
	if (u->stand.n && u->stand.p[0] == '#') {
		if (u->use == CAMP_HTML_LINK)
			shown(h, u, u->text, "");
		return 0;
	}
	if (span_equal_nocase(span_sub(u->stand, 0, 4), SPAN_LIT("cid:"))) {
		cid(h, u);
		return 0;
	}
	camp_lint_url(h->r, h->t, u->from, u->stand, u->value, !leads && u->use != CAMP_HTML_MENTION, &url, &web);
	if (leads)
		link_of(h, u, &url, web);
	return 0;
}

/* Comments, in the blob: what stands in them the second parser does not see. */
static int find_comments(struct html *h, struct span stand)
{
	struct mail_html *m = malloc(sizeof(*m));
	struct mail_html_token token;
	int rc;

	if (!m)
		return ERR_NOMEM;
	mail_html_init(m, stand);
	while ((rc = mail_html_next(m, &token)) == 1) {
		if (token.type != MAIL_HTML_COMMENT)
			continue;
		if (h->comments + 2 > h->room) {
			size_t room = h->room ? 2 * h->room : 32;
			void *more = realloc(h->comment, room * sizeof(*h->comment));
			if (!more) {
				rc = ERR_NOMEM;
				break;
			}
			h->comment = more;
			h->room = room;
		}
		h->comment[h->comments++].at = camp_lint_unstand(h->t, token.from, 0);
		h->comment[h->comments++].at = camp_lint_unstand(h->t, token.to, 1);
	}
	free(m);
	return rc == ERR_NOMEM ? rc : 0;
}

static int by_octets(const void *a, const void *b)
{
	const struct span *x = a, *y = b;
	size_t n = x->n < y->n ? x->n : y->n;
	int order = n ? memcmp(x->p, y->p, n) : 0;

	return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

static struct span *lines_of(struct span s, size_t *n)
{
	struct span *all;
	size_t i, count = 0;

	for (i = 0; i < s.n; i++)
		count += s.p[i] == '\n';
	all = calloc(count + 1, sizeof(*all));
	for (*n = 0; all && s.n; s = span_sub(s, (size_t)span_find(s, '\n') + 1, s.n))
		all[(*n)++] = span_sub(s, 0, (size_t)span_find(s, '\n'));
	if (all)
		qsort(all, *n, sizeof(*all), by_octets);
	return all;
}

/* Where a line of links stands in the blob. */
static size_t place_of(const struct html *h, const struct camp_lint_seen *seen, struct span line)
{
	struct span before = span_sub(buf_span(&seen->links), 0, (size_t)(line.p - buf_ptr(&seen->links)));
	uint32_t at = 0;
	size_t i, n = 0;

	for (i = 0; i < before.n; i++)
		n += before.p[i] == '\n';
	if ((n + 1) * sizeof(at) <= buf_size(&seen->places))
		memcpy(&at, buf_ptr(&seen->places) + n * sizeof(at), sizeof(at));
	return seen == &h->seen ? at : camp_lint_unstand(h->t, at, 0);
}

/* A link that one of them alone sees, or that they see differently. */
static void compare_links(struct html *h, const struct camp_lint_seen *theirs)
{
	size_t a = 0, b = 0, i = 0;
	struct span *ours_l = lines_of(buf_span(&h->seen.links), &a), *theirs_l = lines_of(buf_span(&theirs->links), &b), odd;
	int ours;

	if (!ours_l || !theirs_l) {
		h->r->failed = 1;
	} else {
		while (i < a && i < b && span_equal(ours_l[i], theirs_l[i]))
			i++;
		if (i < a || i < b) {
			ours = i < a && (i == b || by_octets(&ours_l[i], &theirs_l[i]) < 0);
			odd = ours ? ours_l[i] : theirs_l[i];
			CAMP_LINT_AT(h->r, ERROR, "parsers-differ", h->t, place_of(h, ours ? &h->seen : theirs, odd),
				     "of two HTML parsers one alone sees this link: %.*s",
				     (int)(odd.n < 100 ? odd.n : 100), (const char *)odd.p);
		}
	}
	free(ours_l);
	free(theirs_l);
}

/* Where the octet i of the text that is seen stands in the blob: a reference there is one character, and a field, which
 * takes no room, is one too. */
static size_t text_place(const struct html *h, size_t i)
{
	struct span blob = buf_span(&h->t->blob), text = buf_span(&h->seen.text);
	size_t low = 0, high = buf_size(&h->stretches) / sizeof(struct stretch), at;
	struct stretch s;

	if (!high)
		return 0;
	while (high - low > 1) {
		size_t mid = (low + high) / 2;
		memcpy(&s, buf_ptr(&h->stretches) + mid * sizeof(s), sizeof(s));
		if (s.seen <= i)
			low = mid;
		else
			high = mid;
	}
	memcpy(&s, buf_ptr(&h->stretches) + low * sizeof(s), sizeof(s));
	for (at = s.at; s.seen < i && at < blob.n;) {
		if (strchr(" \t\n\f\r", blob.p[at])) {
			at++;
		} else if (blob.p[at] == text.p[s.seen]) {
			at++;
			s.seen++;
		} else if (blob.p[at] == '&') {
			ptrdiff_t end = span_find(span_sub(blob, at, blob.n), ';');
			at += end < 0 ? 1 : (size_t)end + 1;
			for (s.seen++; s.seen < i && (text.p[s.seen] & 0xc0) == 0x80; s.seen++)
				;
		} else if (blob.p[at] == '<') {
			break;
		} else {
			s.seen++;
		}
	}
	while (at < blob.n && strchr(" \t\n\f\r", blob.p[at]))
		at++;
	return at;
}

static void compare_text(struct html *h, const struct camp_lint_seen *theirs)
{
	struct span a = buf_span(&h->seen.text), b = buf_span(&theirs->text);
	size_t i = 0, from;

	if (span_equal(a, b))
		return;
	while (i < a.n && i < b.n && a.p[i] == b.p[i])
		i++;
	from = i > 20 ? i - 20 : 0;
	CAMP_LINT_AT(h->r, ERROR, "parsers-differ", h->t, text_place(h, i),
		     "two HTML parsers see different text from here on, behind: %.*s", (int)(i - from),
		     (const char *)a.p + from);
}

static int too_much(const struct camp_lint_seen *seen)
{
	return buf_failed(&seen->text) || buf_failed(&seen->links) || buf_failed(&seen->places);
}

static void ask_second(struct html *h, struct span stand)
{
	struct camp_lint_seen theirs;
	ptrdiff_t deep = camp_lint_depth(stand);
	int rc;

	if (deep >= 0) {
		CAMP_LINT_AT(h->r, ERROR, "html-depth", h->t, camp_lint_unstand(h->t, (size_t)deep, 0),
			     "more than %d elements are open here", CAMP_LINT_DEPTH);
		return;
	}
	if (h->errors) /* it would but repeat them */
		return;
	buf_init(&theirs.text, 4 * CAMP_TEMPLATE_MAX);
	buf_init(&theirs.links, 4 * CAMP_TEMPLATE_MAX);
	buf_init(&theirs.places, 4 * CAMP_TEMPLATE_MAX);
	rc = h->r->second ? h->r->second(stand, &theirs) : ERR_UNSUPPORTED;
	if (rc == ERR_NOMEM)
		h->r->failed = 1;
	else if (rc < 0 || too_much(&theirs) || too_much(&h->seen) || buf_failed(&h->stretches))
		CAMP_LINT_AT(h->r, ERROR, "parsers-differ", h->t, 0, "the second HTML parser could not read this part");
	else {
		compare_links(h, &theirs);
		compare_text(h, &theirs);
	}
	buf_clear(&theirs.text);
	buf_clear(&theirs.links);
	buf_clear(&theirs.places);
}

static void contexts(struct html *h, const struct camp_html_doc *doc)
{
	static const enum camp_context of[] = {[CAMP_HTML_IN_TEXT] = CAMP_CTX_TEXT, [CAMP_HTML_IN_ATTR] = CAMP_CTX_ATTR,
					       [CAMP_HTML_IN_PATH] = CAMP_CTX_URL_PATH, [CAMP_HTML_IN_QUERY] = CAMP_CTX_URL_QUERY};
	size_t i;

	for (i = 0; i < doc->count; i++)
		if (doc->places[i].field && doc->places[i].context != CAMP_HTML_REFUSED)
			camp_lint_context(h->r, doc->places[i].field, of[doc->places[i].context]);
}

static void scan(struct html *h, struct span stand)
{
	static const struct camp_html_fns fns = {.finding = on_finding, .url = on_url, .text = on_text};
	struct camp_html_doc doc = {.blob = buf_span(&h->t->blob), .places = h->t->place, .count = h->t->places,
				    .charset = "utf-8"};
	struct camp_html_result result;
	int rc = camp_html_scan(&doc, &fns, h, &result);
	json_t *track = json_object_get(h->r->top, "track");

	if (rc == ERR_NOMEM) {
		h->r->failed = 1;
		return;
	}
	if (rc < 0) {
		CAMP_LINT_AT(h->r, ERROR, "template-size", h->t, 0, "too many fields and blocks");
		return;
	}
	flush(h, SIZE_MAX);
	contexts(h, &doc);
	if (json_is_true(json_object_get(track, "pixel"))) {
		if (result.body_end == SIZE_MAX)
			CAMP_LINT_AT(h->r, ERROR, "pixel-place", h->t, doc.blob.n, "the part ends where no pixel can be put");
		else
			h->r->pixel_at[h->t - h->r->source.text] = (uint32_t)result.body_end;
	}
	ask_second(h, stand);
}

void camp_lint_html(struct camp_lint_run *r, unsigned text)
{
	struct html h = {.r = r, .t = &r->source.text[text]};
	struct buf stand;

	buf_init(&stand, CAMP_TEMPLATE_MAX + CAMP_SOURCE_PIECES);
	buf_init(&h.seen.text, 4 * CAMP_TEMPLATE_MAX);
	buf_init(&h.seen.links, 4 * CAMP_TEMPLATE_MAX);
	buf_init(&h.seen.places, 4 * CAMP_TEMPLATE_MAX);
	buf_init(&h.stretches, 16 * CAMP_TEMPLATE_MAX);
	h.wait = calloc(MENTIONS, sizeof(*h.wait));
	if (!h.wait || camp_lint_stand(&stand, h.t) < 0 || find_comments(&h, buf_span(&stand)) < 0)
		r->failed = 1;
	else
		scan(&h, buf_span(&stand));
	free(h.wait);
	free(h.comment);
	buf_clear(&h.seen.text);
	buf_clear(&h.seen.links);
	buf_clear(&h.seen.places);
	buf_clear(&h.stretches);
	buf_clear(&stand);
}
