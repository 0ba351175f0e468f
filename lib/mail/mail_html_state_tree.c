/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "mail/mail_html_state.h"

/* What stands on the stack of foreign content. POINT: an element within svg or math whose children are HTML again. */
enum kind { SVG, MATH, POINT };

struct word {
	const char *name;
	uint8_t value;
};

static const struct word models[] = {
    {"title", MAIL_HTML_RCDATA},	{"textarea", MAIL_HTML_RCDATA},
    {"style", MAIL_HTML_RAWTEXT},	{"xmp", MAIL_HTML_RAWTEXT},
    {"iframe", MAIL_HTML_RAWTEXT},	{"noembed", MAIL_HTML_RAWTEXT},
    {"noframes", MAIL_HTML_RAWTEXT},	{"script", MAIL_HTML_SCRIPT},
    {"plaintext", MAIL_HTML_PLAINTEXT},
};

/* 13.2.6.5: HTML integration points (svg), MathML text integration points; annotation-xml taken as one. */
static const struct word points[] = {
    {"title", SVG}, {"desc", SVG},   {"foreignobject", SVG},
    {"mi", MATH},   {"mo", MATH},    {"mn", MATH},
    {"ms", MATH},   {"mtext", MATH}, {"annotation-xml", MATH},
};

/* Start tags that end foreign content. */
static const char *const breakouts[] = {
    "b",      "big",  "blockquote", "body",  "br",   "center", "code",	  "dd",	  "div",
    "dl",     "dt",   "em",	    "embed", "h1",   "h2",     "h3",	  "h4",	  "h5",
    "h6",     "head", "hr",	    "i",     "img",  "li",     "listing", "menu", "meta",
    "nobr",   "ol",   "p",	    "pre",   "ruby", "s",      "small",	  "span", "strong",
    "strike", "sub",  "sup",	    "table", "tt",   "u",      "ul",	  "var",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

int mail_html_state_foreign(const struct mail_html *t)
{
	return t->foreign_depth && t->foreign[t->foreign_depth - 1].kind != POINT;
}

static int breaks_out(const struct mail_html_token *token)
{
	if (mail_html_is(token->name, "font"))
		return mail_html_attr(token, "color") || mail_html_attr(token, "face") ||
		       mail_html_attr(token, "size");
	for (size_t i = 0; i < COUNT(breakouts); i++)
		if (mail_html_is(token->name, breakouts[i]))
			return 1;
	return 0;
}

static int push(struct mail_html *t, enum kind kind, size_t name)
{
	if (t->foreign_depth == MAIL_HTML_FOREIGN)
		return ERR_LIMIT;
	t->foreign[t->foreign_depth].kind = (uint8_t)kind;
	t->foreign[t->foreign_depth++].name = (uint8_t)name;
	return 0;
}

static void leave_foreign(struct mail_html *t)
{
	while (mail_html_state_foreign(t))
		t->foreign_depth--;
}

static int foreign_start(struct mail_html *t, const struct mail_html_token *token)
{
	enum kind in = t->foreign[t->foreign_depth - 1].kind;

	if (token->self_closing)
		return 0;
	if (mail_html_is(token->name, in == SVG ? "svg" : "math"))
		return push(t, in, 0);
	for (size_t i = 0; i < COUNT(points); i++)
		if (points[i].value == in && mail_html_is(token->name, points[i].name))
			return push(t, POINT, i);
	return 0;
}

static int html_start(struct mail_html *t, struct mail_html_token *token)
{
	int svg = mail_html_is(token->name, "svg");

	if (svg || mail_html_is(token->name, "math")) {
		token->foreign = 1;
		return token->self_closing ? 0 : push(t, svg ? SVG : MATH, 0);
	}
	for (size_t i = 0; i < COUNT(models); i++)
		if (mail_html_is(token->name, models[i].name))
			t->model = models[i].value;
	return 0;
}

static void end(struct mail_html *t, struct mail_html_token *token)
{
	struct mail_html_foreign *top;

	if (!t->foreign_depth)
		return;
	top = &t->foreign[t->foreign_depth - 1];
	token->foreign = top->kind != POINT;
	if (top->kind == POINT) {
		t->foreign_depth -= (unsigned)mail_html_is(token->name, points[top->name].name);
		return;
	}
	if (mail_html_is(token->name, top->kind == SVG ? "svg" : "math"))
		t->foreign_depth--;
	else if (mail_html_is(token->name, "p") || mail_html_is(token->name, "br"))
		leave_foreign(t);
}

int mail_html_state_tree(struct mail_html *t, struct mail_html_token *token)
{
	if (token->type == MAIL_HTML_END) {
		end(t, token);
		return 0;
	}
	if (mail_html_state_foreign(t) && breaks_out(token))
		leave_foreign(t);
	if (mail_html_state_foreign(t)) {
		token->foreign = 1;
		return foreign_start(t, token);
	}
	return html_start(t, token);
}
