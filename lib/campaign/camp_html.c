/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_html.h"

#include <stdlib.h>

#include "campaign/camp_html_walk.h"
#include "core/err.h"

static const struct {
	const char *name;
	uint8_t level[2]; /* at registration, live */
	const char *text;
} rules[] = {
#define CAMP_HTML_X(sym, name, registration, live, text) \
	{name, {CAMP_HTML_##registration, CAMP_HTML_##live}, text},
    CAMP_HTML_RULES(CAMP_HTML_X)
#undef CAMP_HTML_X
};

static const char *const contexts[] = {"refused", "text", "attr", "url-path", "url-query"};

const char *camp_html_rule_name(enum camp_html_rule rule)
{
	return (unsigned)rule < CAMP_HTML_RULE_COUNT ? rules[rule].name : "?";
}

const char *camp_html_rule_text(enum camp_html_rule rule)
{
	return (unsigned)rule < CAMP_HTML_RULE_COUNT ? rules[rule].text : "?";
}

const char *camp_html_context_name(enum camp_html_context c)
{
	return (unsigned)c < sizeof(contexts) / sizeof(contexts[0]) ? contexts[c] : "?";
}

size_t camp_html_walk_place(const struct camp_html_walk *w, size_t stand_at)
{
	size_t lo = 0, hi = w->doc->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (w->stand_at[mid] < stand_at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t camp_html_walk_blob(const struct camp_html_walk *w, size_t stand_at)
{
	size_t i;

	if (!w->doc->count)
		return stand_at;
	i = camp_html_walk_place(w, stand_at);
	/* Behind place i - 1 by what lies between them; its field takes one octet of the stand. */
	if (i == 0)
		return stand_at;
	return w->doc->places[i - 1].at + (stand_at - w->stand_at[i - 1]) -
	       (w->doc->places[i - 1].field != NULL);
}

void camp_html_walk_found(struct camp_html_walk *w, enum camp_html_rule rule, size_t at,
			  struct span what, size_t place)
{
	struct camp_html_finding f = {.level = rules[rule].level[w->live],
				      .rule = rule,
				      .text = rules[rule].text,
				      .what = span_sub(what, 0, 40),
				      .place = place};

	if (f.level == CAMP_HTML_NONE || w->stop)
		return;
	f.at = camp_html_walk_blob(w, at);
	*(f.level == CAMP_HTML_ERROR ? &w->result->errors : &w->result->warnings) += 1;
	if (w->live) {
		*w->broken = f;
		w->stop = 1;
	} else if (w->fns->finding && w->told++ < CAMP_HTML_TOLD) {
		w->fns->finding(w->arg, &f);
	}
}

struct span camp_html_walk_decoded(struct camp_html_walk *w, const struct mail_html_attr *a)
{
	buf_reset(&w->scratch);
	if (mail_html_decode(&w->scratch, a->value, MAIL_HTML_VALUE))
		w->error = buf_failed(&w->scratch);
	return buf_span(&w->scratch);
}

static void find_controls(struct camp_html_walk *w)
{
	for (size_t i = 0; i < w->stand.n; i++) {
		uint8_t c = w->stand.p[i];
		if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r' && c != '\f') || c == 0x7f) {
			camp_html_walk_found(w, CAMP_HTML_RULE_CONTROL, i, span_of(NULL, 0),
					     SIZE_MAX);
			return;
		}
	}
}

static void doctype(struct camp_html_walk *w, const struct mail_html_token *token)
{
	if (w->begun || token->quirks || !mail_html_is(token->name, "html"))
		camp_html_walk_found(w, CAMP_HTML_RULE_DOCTYPE, token->from, token->name, SIZE_MAX);
}

/* LRE to RLO, LRI to PDI in UTF-8: what is read is not in the order that is seen. */
static int turns_text(struct span s)
{
	const uint8_t *p;

	while (s.n >= 3 && (p = memchr(s.p, 0xe2, s.n - 2))) {
		if ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) ||
		    (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9))
			return 1;
		s = span_sub(s, (size_t)(p - s.p) + 1, s.n);
	}
	return 0;
}

static void say_text(struct camp_html_walk *w, const struct mail_html_token *token)
{
	buf_reset(&w->scratch);
	if (mail_html_decode(&w->scratch, token->text, token->decode)) {
		w->error = buf_failed(&w->scratch);
		return;
	}
	if (turns_text(buf_span(&w->scratch)))
		camp_html_walk_say(w, CAMP_HTML_RULE_BIDI, token->text);
	if (w->fns->text)
		w->fns->text(w->arg, buf_span(&w->scratch),
			     camp_html_walk_blob(w, camp_html_walk_at(w, token->text)));
	if (!w->in_link)
		return;
	/* Blanks folded to one; what does not fit is cut. */
	for (size_t i = 0; i < buf_size(&w->scratch) && buf_room(&w->text); i++) {
		uint8_t c = buf_ptr(&w->scratch)[i];
		int blank = c == ' ' || c == '\n' || c == '\t' || c == '\f';
		if (!blank)
			buf_put(&w->text, &c, 1);
		else if (buf_size(&w->text) && buf_ptr(&w->text)[buf_size(&w->text) - 1] != ' ')
			buf_put(&w->text, " ", 1);
	}
	camp_html_walk_kept(w, &w->text);
}

/* --- live: what mail programs make links of */

static void show(struct camp_html_walk *w, struct span text, size_t at)
{
	struct camp_html_url url = {.use = CAMP_HTML_SHOWN, .value = text, .stand = text, .element = at, .from = at, .to = at};

	if (w->fns->url && !w->stop && text.n && w->fns->url(w->arg, &url))
		camp_html_walk_found(w, CAMP_HTML_RULE_TEXT_LINK, at, span_of(NULL, 0), SIZE_MAX);
}

void camp_html_walk_line(struct camp_html_walk *w)
{
	if (w->run_pieces > 1)
		show(w, buf_span(&w->run), w->run_at);
	w->run_pieces = 0;
	buf_reset(&w->run);
}

static void live_text(struct camp_html_walk *w, const struct mail_html_token *token)
{
	size_t had = buf_size(&w->run);

	if (!w->run_pieces++)
		w->run_at = token->from;
	if (mail_html_decode(&w->run, token->text, token->decode))
		w->error = buf_failed(&w->run);
	else
		show(w, span_sub(buf_span(&w->run), had, SIZE_MAX), token->from);
}

static void text(struct camp_html_walk *w, const struct mail_html_token *token)
{
	ptrdiff_t lt;

	if (token->model != MAIL_HTML_DATA && camp_html_comment_in(token->text))
		camp_html_walk_say(w, CAMP_HTML_RULE_CONDITIONAL, token->text);
	if (token->model == MAIL_HTML_RAWTEXT) {
		/* style: the one element of this model that may stand; others are findings of their own. */
		camp_html_css(w, token->text, token->from, token->to, 1, 0, token->from);
		camp_html_css_sheet(w, token->text);
		return;
	}
	lt = span_find(token->text, '<');
	if (token->model == MAIL_HTML_RCDATA && lt >= 0)
		camp_html_walk_say(w, CAMP_HTML_RULE_RAW_MARKUP,
				   span_sub(token->text, (size_t)lt, token->text.n));
	if (token->model != MAIL_HTML_DATA || token->foreign)
		return;
	if (lt >= 0)
		camp_html_walk_say(w, CAMP_HTML_RULE_STRAY_LT,
				   span_sub(token->text, (size_t)lt, token->text.n));
	if (w->doc->count)
		camp_html_place_text(w, token);
	if (w->live)
		live_text(w, token);
	else
		say_text(w, token);
}

static void end_tag(struct camp_html_walk *w, const struct mail_html_token *token)
{
	if (token->attrs)
		camp_html_walk_say(w, CAMP_HTML_RULE_END_ATTRS, token->attr[0].name);
	if (!w->conditional && mail_html_is(token->name, "body")) {
		w->result->body_end = camp_html_walk_blob(w, token->from);
		w->result->body_tag = 1;
	}
	camp_html_tag_end(w, token);
}

static void take(struct camp_html_walk *w, const struct mail_html_token *token)
{
	static void (*const takers[])(struct camp_html_walk *, const struct mail_html_token *) = {
	    [MAIL_HTML_DOCTYPE] = doctype, [MAIL_HTML_START] = camp_html_tag_start,
	    [MAIL_HTML_END] = end_tag,	   [MAIL_HTML_COMMENT] = camp_html_comment,
	    [MAIL_HTML_TEXT] = text,
	};

	if (w->live && camp_html_depth_tag(w->conditional ? &w->inner_depth : &w->depth, token))
		camp_html_walk_found(w, CAMP_HTML_RULE_DEPTH, token->from, token->name, SIZE_MAX);
	takers[token->type](w, token);
	if (token->type == MAIL_HTML_START || token->type == MAIL_HTML_END ||
	    token->type == MAIL_HTML_DOCTYPE)
		w->begun = 1;
}

void camp_html_walk_tokens(struct camp_html_walk *w, struct mail_html *t)
{
	size_t base = (size_t)(t->doc.p - w->stand.p), at = base;
	struct mail_html_token token = {.from = 0};
	int r = 0, plain = 1;

	while (!w->stop && !w->error && (r = mail_html_next(t, &token)) > 0) {
		token.from += base;
		token.to += base;
		/* "</>" has no token. */
		if (token.from > at)
			camp_html_walk_found(w, CAMP_HTML_RULE_EMPTY_END, at, span_of(NULL, 0),
					     SIZE_MAX);
		camp_html_place_between(w, at, plain);
		take(w, &token);
		camp_html_place_refuse(w, token.to);
		at = token.to;
		if (token.type == MAIL_HTML_START)
			plain = t->model == MAIL_HTML_DATA && !token.foreign;
		else if (token.type == MAIL_HTML_END)
			plain = !t->foreign_depth;
	}
	if (w->stop || w->error)
		return;
	token.from += base;
	token.to += base;
	camp_html_place_between(w, at, plain);
	if (token.from > at)
		camp_html_walk_found(w, CAMP_HTML_RULE_EMPTY_END, at, span_of(NULL, 0), SIZE_MAX);
	if (r == ERR_LIMIT)
		camp_html_walk_found(w, CAMP_HTML_RULE_TAG_ATTRS, token.from, span_of(NULL, 0),
				     SIZE_MAX);
	else if (token.from < token.to)
		camp_html_walk_found(w, CAMP_HTML_RULE_TAG_LOST, token.from,
				     span_sub(w->stand, token.from, token.to - token.from),
				     SIZE_MAX);
	if (t->model != MAIL_HTML_DATA)
		camp_html_walk_say(w, CAMP_HTML_RULE_RAW_OPEN, t->last);
	if (r == ERR_LIMIT || token.from < token.to || t->model != MAIL_HTML_DATA)
		w->cut = 1;
	camp_html_place_refuse(w, token.to);
	if (w->in_link) {
		camp_html_walk_say(w, CAMP_HTML_RULE_LINK_OPEN, w->link_tag);
		camp_html_tag_link_end(w);
	}
}

static int places_good(const struct camp_html_doc *doc)
{
	if (doc->count > CAMP_HTML_PLACES)
		return 0;
	for (size_t i = 0; i < doc->count; i++)
		if (doc->places[i].at > doc->blob.n ||
		    (i && doc->places[i].at < doc->places[i - 1].at))
			return 0;
	return 1;
}

int camp_html_stand(struct buf *out, const struct camp_html_doc *doc)
{
	size_t at = 0;

	for (size_t i = 0; i < doc->count; i++) {
		buf_put_span(out, span_sub(doc->blob, at, doc->places[i].at - at));
		at = doc->places[i].at;
		if (doc->places[i].field)
			buf_put(out, "x", 1);
	}
	return buf_put_span(out, span_sub(doc->blob, at, doc->blob.n));
}

static int make_stand(struct camp_html_walk *w)
{
	const struct camp_html_doc *doc = w->doc;
	size_t fields = 0;

	w->stand = doc->blob;
	if (!doc->count)
		return 0;
	w->stand_at = calloc(doc->count, sizeof(*w->stand_at));
	w->done = calloc(doc->count, 1);
	if (!w->stand_at || !w->done || camp_html_stand(&w->stand_buf, doc))
		return ERR_NOMEM;
	w->stand = buf_span(&w->stand_buf);
	for (size_t i = 0; i < doc->count; i++) {
		struct camp_html_place *p = &doc->places[i];
		w->stand_at[i] = p->at + fields;
		fields += p->field != NULL;
		p->context = CAMP_HTML_REFUSED;
		p->quote = 0;
	}
	return 0;
}

/* The buffers of a walk, and what may be in them: three octets for one is the worst that decoding does, and a name of a
 * field is longer than its x. */
static void each_buf(struct camp_html_walk *w, void (*fn)(struct buf *b, size_t max))
{
	size_t most = 3 * w->doc->blob.n + 64 * w->doc->count + 64;

	fn(&w->stand_buf, w->doc->blob.n + w->doc->count + 1);
	fn(&w->run, most);
	fn(&w->text, CAMP_HTML_TEXT);
	fn(&w->alt, CAMP_HTML_TEXT);
	fn(&w->value, most);
	fn(&w->stand_value, most);
	fn(&w->link_value, most);
	fn(&w->link_stand, most);
	fn(&w->scratch, most);
}

static void drop_buf(struct buf *b, size_t max)
{
	(void)max;
	buf_clear(b);
}

static int walk(const struct camp_html_doc *doc, const struct camp_html_fns *fns, void *arg,
		struct camp_html_result *result, struct camp_html_finding *broken)
{
	struct camp_html_walk *w;
	int r;

	memset(result, 0, sizeof(*result));
	result->body_end = SIZE_MAX;
	if (!places_good(doc))
		return ERR_LIMIT;
	w = malloc(sizeof(*w));
	if (!w)
		return ERR_NOMEM;
	memset(w, 0, offsetof(struct camp_html_walk, html));
	w->doc = doc;
	w->fns = fns;
	w->arg = arg;
	w->result = result;
	w->broken = broken;
	w->live = broken != NULL;
	w->open_field = SIZE_MAX;
	each_buf(w, buf_init_wiped);
	r = make_stand(w);
	if (!r) {
		find_controls(w);
		mail_html_init(&w->html, w->stand);
		camp_html_depth_init(&w->depth, CAMP_HTML_DEPTH);
		camp_html_walk_tokens(w, &w->html);
		camp_html_place_refuse(w, SIZE_MAX);
		camp_html_walk_line(w);
		r = w->error;
		if (w->cut)
			result->body_end = SIZE_MAX;
		else if (!result->body_tag)
			result->body_end = doc->blob.n;
	}
	each_buf(w, drop_buf);
	free(w->stand_at);
	free(w->done);
	free(w);
	return r;
}

int camp_html_scan(const struct camp_html_doc *doc, const struct camp_html_fns *fns, void *arg,
		   struct camp_html_result *result)
{
	return walk(doc, fns, arg, result, NULL);
}

int camp_html_live(struct span html, const char *charset,
		   int (*url)(void *arg, const struct camp_html_url *u), void *arg,
		   struct camp_html_finding *broken)
{
	struct camp_html_doc doc = {.blob = html, .charset = charset};
	struct camp_html_fns fns = {.url = url};
	struct camp_html_result result;
	int r;

	memset(broken, 0, sizeof(*broken));
	r = walk(&doc, &fns, arg, &result, broken);
	return r ? r : result.errors ? ERR_DENIED : 0;
}
