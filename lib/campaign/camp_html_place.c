/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "campaign/camp_html_walk.h"

static int blank(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\f' || c == '\r';
}

static int alnum(uint8_t c)
{
	return (uint8_t)(c - '0') < 10 || (uint8_t)((c | 0x20) - 'a') < 26;
}

/* Can be a part of what a mail client makes a link of. */
static int linkish(uint8_t c)
{
	return alnum(c) || (c && strchr("./@:_-", c));
}

static uint8_t worse(uint8_t a, uint8_t b)
{
	if (linkish(a) || linkish(b))
		return linkish(a) ? a : b;
	return a ? a : b;
}

int camp_html_place_hanging(const struct camp_html_walk *w, size_t place)
{
	size_t at = w->stand_at[place], from = 0;

	if (place)
		from = w->stand_at[place - 1] + (w->doc->places[place - 1].field != NULL);
	while (at > from && (alnum(w->stand.p[at - 1]) || w->stand.p[at - 1] == '#'))
		at--;
	return at > from && w->stand.p[at - 1] == '&';
}

void camp_html_place_deny(struct camp_html_walk *w, size_t place, enum camp_html_rule rule)
{
	w->doc->places[place].context = CAMP_HTML_REFUSED;
	w->done[place] = 1;
	camp_html_walk_found(w, rule, w->stand_at[place], span_of(NULL, 0), place);
}

/* No value holds ">" raw, so none ends a comment alone; one that ends with dashes could by ">", "->" or "-!>" behind it. */
static int ends_comment(const struct camp_html_walk *w, size_t place)
{
	size_t at = w->stand_at[place] + (w->doc->places[place].field != NULL);

	if (!w->conditional)
		return 0;
	while (at < w->stand.n && w->stand.p[at] == '-')
		at++;
	at += at < w->stand.n && w->stand.p[at] == '!';
	return at < w->stand.n && w->stand.p[at] == '>';
}

void camp_html_place_set(struct camp_html_walk *w, size_t place, enum camp_html_context context,
			 uint8_t quote)
{
	if (camp_html_place_hanging(w, place)) {
		camp_html_place_deny(w, place, CAMP_HTML_RULE_FIELD_REFERENCE);
	} else if (ends_comment(w, place)) {
		camp_html_place_deny(w, place, CAMP_HTML_RULE_FIELD_COMMENT);
	} else {
		w->doc->places[place].context = context;
		w->doc->places[place].quote = quote;
		w->done[place] = 1;
	}
}

/* What stands behind the field that waits for it. */
static void tell_after(struct camp_html_walk *w, uint8_t c)
{
	struct camp_html_place *p;

	if (w->open_field == SIZE_MAX)
		return;
	p = &w->doc->places[w->open_field];
	if (!w->field_soft) {
		p->after = c;
		w->open_field = SIZE_MAX;
	} else if (w->after_edge) {
		p->after = worse(p->after, c);
	}
}

static void segment(struct camp_html_walk *w, struct span raw, unsigned how)
{
	const uint8_t *p;
	size_t n;

	if (!raw.n)
		return;
	buf_reset(&w->scratch);
	if (mail_html_decode(&w->scratch, raw, how)) {
		w->error = buf_failed(&w->scratch);
		return;
	}
	p = buf_ptr(&w->scratch);
	n = buf_size(&w->scratch);
	tell_after(w, blank(p[0]) ? 0 : p[0]);
	w->after_edge = 0;
	w->last = blank(p[n - 1]) ? 0 : p[n - 1];
}

static void edge(struct camp_html_walk *w, size_t place)
{
	w->field_soft = 1;
	w->edge_last = worse(w->edge_last, w->last);
	w->after_edge = 1;
	w->done[place] = 1;
	/* Else one choice of branches could leave a link open, and another text would be in it. */
	if (w->in_link || w->outer_link)
		camp_html_place_deny(w, place, CAMP_HTML_RULE_BLOCK_LINK);
	else if (camp_html_place_hanging(w, place))
		camp_html_place_deny(w, place, CAMP_HTML_RULE_FIELD_REFERENCE);
	else if (ends_comment(w, place))
		camp_html_place_deny(w, place, CAMP_HTML_RULE_FIELD_COMMENT);
}

static void field(struct camp_html_walk *w, size_t place)
{
	struct camp_html_place *p = &w->doc->places[place];

	tell_after(w, 'x');
	p->before = w->after_edge ? worse(w->edge_last, w->last) : w->last;
	w->last = 'x';
	w->open_field = place;
	w->after_edge = w->field_soft = 0;
	camp_html_place_set(w, place, CAMP_HTML_IN_TEXT, 0);
}

void camp_html_place_text(struct camp_html_walk *w, const struct mail_html_token *token)
{
	size_t at = token->from;

	while (w->next < w->doc->count && w->stand_at[w->next] < token->to) {
		size_t i = w->next++, to = w->stand_at[i];
		segment(w, span_sub(w->stand, at, to - at), token->decode);
		at = to;
		if (w->doc->places[i].field) {
			field(w, i);
			at++;
		} else {
			edge(w, i);
		}
	}
	segment(w, span_sub(w->stand, at, token->to - at), token->decode);
}

void camp_html_place_break(struct camp_html_walk *w)
{
	w->last = w->edge_last = 0;
	w->after_edge = 0;
	w->open_field = SIZE_MAX;
}

void camp_html_place_between(struct camp_html_walk *w, size_t at, int plain)
{
	while (plain && w->next < w->doc->count && !w->doc->places[w->next].field &&
	       w->stand_at[w->next] == at)
		edge(w, w->next++);
}

void camp_html_place_refuse(struct camp_html_walk *w, size_t to)
{
	for (; w->next < w->doc->count && w->stand_at[w->next] < to; w->next++)
		if (!w->done[w->next])
			camp_html_place_deny(w, w->next,
					     w->doc->places[w->next].field
						 ? CAMP_HTML_RULE_FIELD_CONTEXT
						 : CAMP_HTML_RULE_BLOCK);
}
