/* SPDX-License-Identifier: Apache-2.0 */
/* Comments. A conditional one is markup to Outlook:
 *   <!--[if mso]> HTML <![endif]-->	read by Outlook alone
 *   <!--[if !mso]><!--> HTML <!--<![endif]-->	two comments around what others read
 *   <![if !mso]> HTML <![endif]>	the same, by bogus comments */
#include <string.h>

#include "campaign/camp_html_walk.h"

static int begins(struct span s, const char *lower)
{
	return mail_html_is(span_sub(s, 0, strlen(lower)), lower);
}

static struct span trim(struct span s)
{
	while (s.n && strchr(" \t\n\f\r", s.p[0]) && s.p[0])
		s = span_sub(s, 1, s.n);
	while (s.n && strchr(" \t\n\f\r", s.p[s.n - 1]) && s.p[s.n - 1])
		s.n--;
	return s;
}

/* Where s holds the word, in any case; NULL. */
static const uint8_t *holds(struct span s, const char *lower)
{
	const uint8_t *p;

	while (s.n && (p = memchr(s.p, lower[0], s.n))) {
		s = span_sub(s, (size_t)(p - s.p), s.n);
		if (begins(s, lower))
			return s.p;
		s = span_sub(s, 1, s.n);
	}
	return NULL;
}

/* "[if EXPRESSION]" at the front, of the octets that expressions are made of: its length, 0 if there is none. */
static size_t condition(struct span s)
{
	if (!begins(s, "[if") || s.n < 4 || (s.p[3] != ' ' && s.p[3] != '(' && s.p[3] != '!'))
		return 0;
	for (size_t i = 3; i < s.n; i++) {
		uint8_t c = s.p[i];
		if (c == ']')
			return i + 1;
		if (!((uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 ||
		      (c && strchr(" ()&|!.", c))))
			return 0;
	}
	return 0;
}

int camp_html_comment_in(struct span s)
{
	return holds(s, "<!--[if") || holds(s, "<![if");
}

static void say(struct camp_html_walk *w, enum camp_html_rule rule, struct span what, size_t at)
{
	camp_html_walk_found(w, rule, at, what, SIZE_MAX);
}

static void bogus(struct camp_html_walk *w, const struct mail_html_token *token)
{
	struct span s = token->text;
	size_t n = condition(s);

	if (begins(s, "[cdata["))
		say(w, CAMP_HTML_RULE_CDATA, s, token->from);
	else if (token->abrupt)
		say(w, CAMP_HTML_RULE_COMMENT_ODD, s, token->from);
	else if (w->conditional && (n || begins(s, "[endif")))
		say(w, CAMP_HTML_RULE_CONDITIONAL, s, token->from);
	else if (!((n && n == s.n) || mail_html_is(s, "[endif]")))
		say(w, CAMP_HTML_RULE_COMMENT_BOGUS, s, token->from);
}

/* What Outlook reads between "]>" and "<![endif]". */
static void content(struct camp_html_walk *w, struct span html)
{
	if (!html.n)
		return;
	w->outer_link = w->in_link;
	w->in_link = 0;
	w->conditional = 1;
	camp_html_place_break(w);
	camp_html_walk_line(w);
	mail_html_init(&w->inner, html);
	camp_html_depth_init(&w->inner_depth, CAMP_HTML_DEPTH);
	camp_html_walk_tokens(w, &w->inner);
	if (w->raw_end) /* that of a <noscript> was something else than a tag */
		camp_html_walk_found(w, CAMP_HTML_RULE_ELEMENT_RAW, w->raw_end, span_of(NULL, 0), SIZE_MAX);
	w->raw_end = 0;
	camp_html_place_break(w);
	camp_html_walk_line(w);
	w->conditional = 0;
	w->in_link = w->outer_link;
	w->outer_link = 0;
}

static void conditional(struct camp_html_walk *w, const struct mail_html_token *token, size_t n)
{
	static const char last[] = "<![endif]";
	struct span s = token->text, rest = span_sub(s, n, s.n);
	const uint8_t *first;
	size_t end = sizeof(last) - 1;

	if (!rest.n || rest.p[0] != '>') {
		say(w, CAMP_HTML_RULE_CONDITIONAL, s, token->from);
		return;
	}
	rest = span_sub(rest, 1, rest.n);
	/* "<!-->": what follows is for the others; they end it by "<!--<![endif]-->". */
	if (!rest.n || mail_html_is(trim(rest), "<!") || mail_html_is(trim(rest), "<!--"))
		return;
	if (rest.n < end || !mail_html_is(span_sub(rest, rest.n - end, end), last)) {
		say(w, CAMP_HTML_RULE_CONDITIONAL, s, token->from);
		return;
	}
	rest.n -= end;
	/* in a style or a value too: Outlook may take the first one */
	first = holds(rest, "<![endif");
	if (first)
		say(w, CAMP_HTML_RULE_CONDITIONAL, span_of(first, 8), (size_t)(first - w->stand.p));
	else
		content(w, rest);
}

void camp_html_comment(struct camp_html_walk *w, const struct mail_html_token *token)
{
	struct span s = token->text, end = span_sub(w->stand, token->from, token->to - token->from);
	size_t n;

	/* Cut off by the end of the document: nothing can be put there. */
	if (token->to == w->stand.n &&
	    (token->text.p + token->text.n == w->stand.p + w->stand.n || end.p[end.n - 1] != '>'))
		w->cut = 1;
	if (token->bogus) {
		bogus(w, token);
		return;
	}
	n = condition(s);
	if (token->abrupt)
		say(w, CAMP_HTML_RULE_COMMENT_ODD, s, token->from);
	else if (n)
		conditional(w, token, n);
	else if (mail_html_is(trim(s), "<![endif]"))
		return;
	else if (holds(s, "[if") || holds(s, "[endif"))
		say(w, CAMP_HTML_RULE_CONDITIONAL, s, token->from);
	else if (holds(s, "<!--") || (s.n >= 2 && !memcmp(s.p + s.n - 2, "<!", 2)) ||
		 (s.n >= 3 && !memcmp(s.p + s.n - 3, "<!-", 3)))
		say(w, CAMP_HTML_RULE_COMMENT_ODD, s, token->from);
}
