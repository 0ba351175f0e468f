/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_html_walk.h"

static int alnum(uint8_t c)
{
	return (uint8_t)(c - '0') < 10 || (uint8_t)((c | 0x20) - 'a') < 26;
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

static void joins(struct camp_html_walk *w, size_t place)
{
	camp_html_walk_found(w, CAMP_HTML_RULE_FIELD_JOINS, w->stand_at[place], span_of(NULL, 0),
			     place);
}

/* What is seen behind the field that waits for it, at stand position at. What directly follows in the blob too is the
 * business of who reads templates. A dot counts if something follows it, perhaps in the next text. */
static void behind(struct camp_html_walk *w, struct span shown, struct span raw)
{
	size_t f = w->open_field;
	uint8_t c = shown.p[0];

	if (f == SIZE_MAX)
		return;
	w->open_field = SIZE_MAX;
	if (w->dot ? alnum(c)
		   : c == '@' || c == '/' || (c == '.' && shown.n > 1 && alnum(shown.p[1]))) {
		if (w->dot || c != raw.p[0] || camp_html_walk_at(w, raw) != w->stand_at[f] + 1)
			joins(w, f);
	} else if (!w->dot && c == '.' && shown.n == 1) {
		w->open_field = f;
		w->dot = 1;
	}
}

static void segment(struct camp_html_walk *w, struct span raw, unsigned how)
{
	struct span shown;

	if (!raw.n)
		return;
	buf_reset(&w->scratch);
	if (mail_html_decode(&w->scratch, raw, how)) {
		w->error = buf_failed(&w->scratch);
		return;
	}
	shown = buf_span(&w->scratch);
	behind(w, shown, raw);
	w->last = shown.p[shown.n - 1];
	/* SIZE_MAX: as it is seen it does not stand in the blob. */
	w->last_end = w->last == raw.p[raw.n - 1] ? camp_html_walk_at(w, raw) + raw.n : SIZE_MAX;
}

static void edge(struct camp_html_walk *w, size_t place)
{
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
	if ((w->last == '.' || w->last == '/' || w->last == '@') &&
	    w->last_end != w->stand_at[place])
		joins(w, place);
	w->last = 0;
	w->open_field = place;
	w->dot = 0;
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
	w->last = 0;
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
