/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "campaign/camp_html_walk.h"
#include "core/err.h"

enum { NAME_ROOM = 40 };

/* What an element is to mail. INLINE: it does not break the line. */
enum element {
	BLOCK,
	INLINE,
	SCRIPT,
	BASE,
	META,
	FORM,
	FRAME,
	LINK_REL,
	FOREIGN,
	RAW,
	OFFICE,
	OTHER
};

struct word {
	const char *name;
	uint8_t kind;
};

/* Sorted: searched by halves. */
static const struct word elements[] = {
    {"a", INLINE},	   {"abbr", INLINE},	{"acronym", INLINE},   {"address", BLOCK},
    {"applet", FRAME},	   {"area", BLOCK},	{"article", BLOCK},    {"aside", BLOCK},
    {"audio", FRAME},	   {"b", INLINE},	{"base", BASE},	       {"big", INLINE},
    {"blockquote", BLOCK}, {"body", BLOCK},	{"br", BLOCK},	       {"button", FORM},
    {"caption", BLOCK},	   {"center", BLOCK},	{"cite", INLINE},      {"code", INLINE},
    {"col", BLOCK},	   {"colgroup", BLOCK}, {"dd", BLOCK},	       {"del", INLINE},
    {"div", BLOCK},	   {"dl", BLOCK},	{"dt", BLOCK},	       {"em", INLINE},
    {"embed", FRAME},	   {"fieldset", FORM},	{"figcaption", BLOCK}, {"figure", BLOCK},
    {"font", INLINE},	   {"footer", BLOCK},	{"form", FORM},	       {"frame", FRAME},
    {"frameset", FRAME},   {"h1", BLOCK},	{"h2", BLOCK},	       {"h3", BLOCK},
    {"h4", BLOCK},	   {"h5", BLOCK},	{"h6", BLOCK},	       {"head", BLOCK},
    {"header", BLOCK},	   {"hr", BLOCK},	{"html", BLOCK},       {"i", INLINE},
    {"iframe", FRAME},	   {"img", INLINE},	{"input", FORM},       {"ins", INLINE},
    {"kbd", INLINE},	   {"label", FORM},	{"li", BLOCK},	       {"link", LINK_REL},
    {"main", BLOCK},	   {"map", BLOCK},	{"mark", INLINE},      {"math", FOREIGN},
    {"meta", META},	   {"nav", BLOCK},	{"nobr", INLINE},      {"noembed", RAW},
    {"noframes", RAW},	   {"noscript", RAW},	{"object", FRAME},     {"ol", BLOCK},
    {"optgroup", FORM},	   {"option", FORM},	{"p", BLOCK},	       {"param", FRAME},
    {"plaintext", RAW},	   {"portal", FRAME},	{"pre", BLOCK},	       {"q", INLINE},
    {"s", INLINE},	   {"samp", INLINE},	{"script", SCRIPT},    {"section", BLOCK},
    {"select", FORM},	   {"small", INLINE},	{"source", FRAME},     {"span", INLINE},
    {"strike", INLINE},	   {"strong", INLINE},	{"style", BLOCK},      {"sub", INLINE},
    {"sup", INLINE},	   {"svg", FOREIGN},	{"table", BLOCK},      {"tbody", BLOCK},
    {"td", BLOCK},	   {"template", RAW},	{"textarea", FORM},    {"tfoot", BLOCK},
    {"th", BLOCK},	   {"thead", BLOCK},	{"time", INLINE},      {"title", BLOCK},
    {"tr", BLOCK},	   {"track", FRAME},	{"tt", INLINE},	       {"u", INLINE},
    {"ul", BLOCK},	   {"var", INLINE},	{"video", FRAME},      {"wbr", INLINE},
    {"xml", OFFICE},	   {"xmp", RAW},
};

static const uint8_t element_rule[] = {
    [BLOCK] = CAMP_HTML_RULE_COUNT,	  [INLINE] = CAMP_HTML_RULE_COUNT,
    [OFFICE] = CAMP_HTML_RULE_COUNT,	  [META] = CAMP_HTML_RULE_COUNT,
    [SCRIPT] = CAMP_HTML_RULE_SCRIPT,	  [BASE] = CAMP_HTML_RULE_BASE,
    [FORM] = CAMP_HTML_RULE_FORM,	  [FRAME] = CAMP_HTML_RULE_FRAME,
    [LINK_REL] = CAMP_HTML_RULE_LINK_REL, [FOREIGN] = CAMP_HTML_RULE_FOREIGN,
    [RAW] = CAMP_HTML_RULE_ELEMENT_RAW,	  [OTHER] = CAMP_HTML_RULE_ELEMENT,
};

/* What an attribute is. PLAIN: it does nothing. */
enum attribute {
	PLAIN,
	SHOWN,
	HREF,
	SRC,
	GROUND_URL,
	CITE,
	STYLE,
	SRCSET,
	ACTIVE,
	HIDDEN,
	UNKNOWN
};

static const struct word attributes[] = {
    {"abbr", PLAIN},	    {"action", ACTIVE},
    {"align", PLAIN},	    {"alink", PLAIN},
    {"alt", SHOWN},	    {"archive", ACTIVE},
    {"attributionsrc", ACTIVE},
    {"axis", PLAIN},	    {"background", GROUND_URL},
    {"bgcolor", PLAIN},	    {"border", PLAIN},
    {"bordercolor", PLAIN}, {"bottommargin", PLAIN},
    {"cellpadding", PLAIN}, {"cellspacing", PLAIN},
    {"char", PLAIN},	    {"charoff", PLAIN},
    {"charset", PLAIN},	    {"cite", CITE},
    {"class", PLAIN},	    {"classid", ACTIVE},
    {"clear", PLAIN},	    {"codebase", ACTIVE},
    {"color", PLAIN},	    {"cols", PLAIN},
    {"colspan", PLAIN},	    {"compact", PLAIN},
    {"content", PLAIN},	    {"coords", PLAIN},
    {"data", ACTIVE},	    {"datetime", PLAIN},
    {"dir", PLAIN},	    {"dynsrc", ACTIVE},
    {"face", PLAIN},	    {"formaction", ACTIVE},
    {"frame", PLAIN},	    {"frameborder", PLAIN},
    {"headers", PLAIN},	    {"height", PLAIN},
    {"hidden", HIDDEN},	    {"href", HREF},
    {"hreflang", PLAIN},    {"hspace", PLAIN},
    {"http-equiv", PLAIN},  {"icon", ACTIVE},
    {"id", PLAIN},	    {"imagesrcset", SRCSET},
    {"ismap", PLAIN},	    {"itemid", PLAIN},
    {"itemprop", PLAIN},    {"itemscope", PLAIN},
    {"itemtype", PLAIN},    {"label", PLAIN},
    {"lang", PLAIN},	    {"leftmargin", PLAIN},
    {"link", PLAIN},	    {"loading", PLAIN},
    {"longdesc", ACTIVE},   {"lowsrc", ACTIVE},
    {"manifest", ACTIVE},   {"marginheight", PLAIN},
    {"marginwidth", PLAIN}, {"media", PLAIN},
    {"name", PLAIN},	    {"noshade", PLAIN},
    {"nowrap", PLAIN},	    {"ping", ACTIVE},
    {"poster", ACTIVE},	    {"profile", ACTIVE},
    {"property", PLAIN},    {"rel", PLAIN},
    {"reversed", PLAIN},    {"rightmargin", PLAIN},
    {"role", PLAIN},	    {"rowspan", PLAIN},
    {"rules", PLAIN},	    {"scheme", PLAIN},
    {"scope", PLAIN},	    {"shape", PLAIN},
    {"size", PLAIN},	    {"sizes", PLAIN},
    {"span", PLAIN},	    {"src", SRC},
    {"srcdoc", ACTIVE},	    {"srcset", SRCSET},
    {"start", PLAIN},	    {"style", STYLE},
    {"summary", PLAIN},	    {"tabindex", PLAIN},
    {"target", PLAIN},	    {"text", PLAIN},
    {"title", SHOWN},	    {"topmargin", PLAIN},
    {"type", PLAIN},	    {"usemap", PLAIN},
    {"valign", PLAIN},	    {"value", PLAIN},
    {"version", PLAIN},	    {"vlink", PLAIN},
    {"vspace", PLAIN},	    {"width", PLAIN},
    {"xmlns", PLAIN},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A name in small letters; 0 if it is too long to be one that is known. */
static int lower_name(char out[NAME_ROOM], struct span raw)
{
	if (raw.n >= NAME_ROOM)
		return 0;
	for (size_t i = 0; i < raw.n; i++)
		out[i] = (char)((uint8_t)(raw.p[i] - 'A') < 26 ? raw.p[i] | 0x20 : raw.p[i]);
	out[raw.n] = '\0';
	return 1;
}

static int look_up(const struct word *words, size_t n, const char *name, int absent)
{
	size_t lo = 0;

	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;
		int c = strcmp(words[mid].name, name);
		if (c == 0)
			return words[mid].kind;
		if (c < 0)
			lo = mid + 1;
		else
			n = mid;
	}
	return absent;
}

/* Of Office and VML: v:roundrect, o:p, w:anchorlock. */
static int is_office(const char *name)
{
	return name[0] && strchr("vow", name[0]) && name[1] == ':';
}

static enum element element_of(struct span raw)
{
	char name[NAME_ROOM];

	if (!lower_name(name, raw))
		return OTHER;
	return is_office(name) ? OFFICE : look_up(elements, COUNT(elements), name, OTHER);
}

/* A name whose last part, behind a colon, ends in what: xlink:href, o:althref. */
static int local_is(const char *name, const char *what)
{
	const char *colon = strrchr(name, ':');
	size_t n = colon ? strlen(colon + 1) : 0;

	return n >= strlen(what) && !strcmp(colon + 1 + n - strlen(what), what);
}

static enum attribute attribute_of(const char *name, enum element element)
{
	if (local_is(name, "href") || local_is(name, "src"))
		return ACTIVE;
	if (!strncmp(name, "data-", 5) || !strncmp(name, "aria-", 5) ||
	    !strncmp(name, "xmlns:", 6) || !strncmp(name, "xml:", 4) || is_office(name))
		return PLAIN;
	return look_up(attributes, COUNT(attributes), name, element == OFFICE ? PLAIN : UNKNOWN);
}

/* Parsers agree on names of these alone. */
static int name_is_odd(struct span name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f || strchr("\"'<=`&\\", name.p[i]))
			return 1;
	return 0;
}

static int value_is_odd(const struct mail_html_attr *a)
{
	for (size_t i = 0; !a->quote && i < a->value.n; i++)
		if (a->value.p[i] && strchr("\"'<`", a->value.p[i]))
			return 1;
	return 0;
}

static int value_is(struct camp_html_walk *w, const struct mail_html_token *token, const char *name,
		    const char *value)
{
	const struct mail_html_attr *a = mail_html_attr(token, name);

	return a && mail_html_is(camp_html_walk_decoded(w, a), value);
}

/* Fields in what is shown of an attribute. */
static void shown(struct camp_html_walk *w, const struct mail_html_attr *a)
{
	size_t from = camp_html_walk_at(w, a->value), i;

	if (!a->quote || a->duplicate)
		return;
	for (i = camp_html_walk_place(w, from);
	     i < w->doc->count && w->stand_at[i] < from + a->value.n; i++)
		if (w->doc->places[i].field)
			camp_html_place_set(w, i, CAMP_HTML_IN_ATTR, a->quote);
}

static void url(struct camp_html_walk *w, const struct mail_html_token *token,
		const struct mail_html_attr *a, enum camp_html_use use)
{
	camp_html_url_attr(w, token, a, use, value_is(w, token, "data-dp-track", "off"));
}

static void href(struct camp_html_walk *w, const struct mail_html_token *token,
		 const struct mail_html_attr *a, enum element element)
{
	if (mail_html_is(token->name, "a"))
		url(w, token, a, CAMP_HTML_LINK);
	else if (mail_html_is(token->name, "area"))
		url(w, token, a, CAMP_HTML_AREA);
	else if (element == OFFICE)
		url(w, token, a, CAMP_HTML_VML);
	else if (element != LINK_REL && element != BASE)
		camp_html_walk_say(w, CAMP_HTML_RULE_ATTR_ACTIVE, a->name);
}

static void src(struct camp_html_walk *w, const struct mail_html_token *token,
		const struct mail_html_attr *a, enum element element)
{
	if (mail_html_is(token->name, "img") || element == OFFICE)
		url(w, token, a, CAMP_HTML_IMAGE);
	else if (element != SCRIPT && element != FRAME && element != FORM)
		camp_html_walk_say(w, CAMP_HTML_RULE_ATTR_ACTIVE, a->name);
}

static void style(struct camp_html_walk *w, const struct mail_html_token *token,
		  const struct mail_html_attr *a)
{
	size_t from = camp_html_walk_at(w, a->value);
	struct span css = camp_html_walk_decoded(w, a);

	camp_html_css(w, css, from, from + a->value.n, css.n == a->value.n, a->quote, token->from);
}

static void attribute(struct camp_html_walk *w, const struct mail_html_token *token,
		      const struct mail_html_attr *a, enum element element)
{
	char name[NAME_ROOM];
	enum attribute kind = UNKNOWN;
	int event = a->name.n > 2 && mail_html_is(span_sub(a->name, 0, 2), "on");

	if (name_is_odd(a->name))
		camp_html_walk_say(w, CAMP_HTML_RULE_ATTR_NAME, a->name);
	if (a->duplicate)
		camp_html_walk_say(w, CAMP_HTML_RULE_ATTR_TWICE, a->name);
	if (a->glued)
		camp_html_walk_say(w, CAMP_HTML_RULE_ATTR_GLUED, a->name);
	if (camp_html_comment_in(a->value))
		camp_html_walk_say(w, CAMP_HTML_RULE_CONDITIONAL, a->value);
	if (value_is_odd(a))
		camp_html_walk_say(w, CAMP_HTML_RULE_ATTR_VALUE, a->value);
	if (event) {
		camp_html_walk_say(w, CAMP_HTML_RULE_EVENT, a->name);
		return;
	}
	if (lower_name(name, a->name))
		kind = attribute_of(name, element);
	else if (a->name.n > 5 && mail_html_is(span_sub(a->name, 0, 5), "data-"))
		kind = PLAIN;
	if (a->duplicate)
		return;
	if (kind == SHOWN)
		shown(w, a);
	else if (kind == HREF)
		href(w, token, a, element);
	else if (kind == SRC)
		src(w, token, a, element);
	else if (kind == GROUND_URL)
		url(w, token, a, CAMP_HTML_IMAGE);
	else if (kind == CITE)
		url(w, token, a, CAMP_HTML_MENTION);
	else if (kind == STYLE)
		style(w, token, a);
	else if (kind == SRCSET)
		camp_html_walk_say(w, CAMP_HTML_RULE_SRCSET, a->name);
	else if (kind == ACTIVE)
		camp_html_walk_say(w, CAMP_HTML_RULE_ATTR_ACTIVE, a->name);
	else if (kind == HIDDEN)
		camp_html_walk_say(w, CAMP_HTML_RULE_HIDDEN, a->name);
	else if (kind == UNKNOWN)
		camp_html_walk_say(w, CAMP_HTML_RULE_ATTRIBUTE, a->name);
}

/* --- what is seen --- */

static const char *ground_element(struct span name)
{
	static const char *const keep[] = {"td", "th", "tr", "table", "div", "body", "center"};

	for (size_t i = 0; i < COUNT(keep); i++)
		if (mail_html_is(name, keep[i]))
			return keep[i];
	return NULL;
}

static uint32_t colour_attr(struct camp_html_walk *w, const struct mail_html_token *token,
			    const char *name)
{
	const struct mail_html_attr *a = mail_html_attr(token, name);

	return a ? camp_html_css_colour(camp_html_walk_decoded(w, a)) : CAMP_HTML_NO_COLOUR;
}

static void look(struct camp_html_walk *w, const struct mail_html_token *token)
{
	const struct mail_html_attr *a = mail_html_attr(token, "style");
	struct camp_html_css_look look = {0, CAMP_HTML_NO_COLOUR, CAMP_HTML_NO_COLOUR};
	const char *element = ground_element(token->name);
	uint32_t around = w->grounds ? w->ground[w->grounds - 1].colour : CAMP_HTML_NO_COLOUR;

	if (a)
		camp_html_css_look(camp_html_walk_decoded(w, a), &look);
	if (look.hidden)
		camp_html_walk_say(w, CAMP_HTML_RULE_HIDDEN, token->name);
	if (look.colour == CAMP_HTML_NO_COLOUR)
		look.colour = colour_attr(w, token, "color");
	if (look.ground == CAMP_HTML_NO_COLOUR)
		look.ground = colour_attr(w, token, "bgcolor");
	if (look.ground == CAMP_HTML_NO_COLOUR)
		look.ground = around;
	if (look.colour != CAMP_HTML_NO_COLOUR && look.colour == look.ground)
		camp_html_walk_say(w, CAMP_HTML_RULE_HIDDEN_COLOUR, token->name);
	if (element && w->grounds < CAMP_HTML_GROUNDS) {
		w->ground[w->grounds].colour = look.ground;
		w->ground[w->grounds++].element = element;
	}
}

static void image_in_link(struct camp_html_walk *w, const struct mail_html_token *token)
{
	const struct mail_html_attr *alt = mail_html_attr(token, "alt");
	struct span s;

	if (!alt)
		return;
	s = camp_html_walk_decoded(w, alt);
	if (buf_size(&w->alt) && buf_room(&w->alt))
		buf_put(&w->alt, " ", 1);
	buf_put_span(&w->alt, span_sub(s, 0, buf_room(&w->alt)));
	camp_html_walk_kept(w, &w->alt);
}

/* --- tags --- */

/* In a conditional comment <noscript> may stand: what makes mail for Outlook writes it around the settings for Office.
 * Whoever takes its content for text and who takes it for markup must find the same end of it. */
static int noscript(struct camp_html_walk *w, const struct mail_html_token *token)
{
	static const char end[] = "</noscript";
	struct span rest = span_sub(w->stand, token->to, w->stand.n);
	ptrdiff_t lt;

	if (!w->conditional || w->raw_end || !mail_html_is(token->name, "noscript"))
		return 0;
	while ((lt = span_find(rest, '<')) >= 0) {
		rest = span_sub(rest, (size_t)lt, rest.n);
		if (mail_html_is(span_sub(rest, 0, sizeof(end) - 1), end)) {
			w->raw_end = camp_html_walk_at(w, rest);
			return 1;
		}
		rest = span_sub(rest, 1, rest.n);
	}
	return 0;
}

static void noscript_end(struct camp_html_walk *w, const struct mail_html_token *token)
{
	if (w->raw_end && mail_html_is(token->name, "noscript")) {
		if (w->raw_end != token->from)
			camp_html_walk_say(w, CAMP_HTML_RULE_ELEMENT_RAW, token->name);
		w->raw_end = 0;
	}
}

static void link_begin(struct camp_html_walk *w, const struct mail_html_token *token)
{
	if (w->in_link || w->outer_link)
		camp_html_walk_say(w, CAMP_HTML_RULE_LINK_NESTED, token->name);
	w->in_link |= w->outer_link;
	w->outer_link = 0;
	camp_html_tag_link_end(w);
	w->in_link = 1;
	w->has_url = 0;
	w->link_tag = token->name;
	buf_reset(&w->text);
	buf_reset(&w->alt);
}

void camp_html_tag_link_end(struct camp_html_walk *w)
{
	struct span text = buf_span(&w->text);

	if (!w->in_link)
		return;
	w->in_link = 0;
	if (!w->has_url)
		return;
	if (text.n && text.p[text.n - 1] == ' ')
		text.n--;
	w->link.text = text;
	w->link.alt = buf_span(&w->alt);
	w->link.value = buf_span(&w->link_value);
	w->link.stand = buf_span(&w->link_stand);
	camp_html_url_tell(w, &w->link, w->link_raw);
}

void camp_html_tag_start(struct camp_html_walk *w, const struct mail_html_token *token)
{
	enum element element = element_of(token->name);
	enum camp_html_rule rule = element_rule[element];

	if (rule == CAMP_HTML_RULE_COUNT && token->foreign)
		rule = CAMP_HTML_RULE_FOREIGN;
	else if (element == RAW && noscript(w, token))
		rule = CAMP_HTML_RULE_COUNT;
	if (rule != CAMP_HTML_RULE_COUNT)
		camp_html_walk_say(w, rule, token->name);
	if (element != INLINE)
		camp_html_place_break(w);
	if (element != INLINE && element != OTHER)
		camp_html_walk_line(w);
	if (element == META)
		camp_html_meta(w, token);
	if (mail_html_is(token->name, "a"))
		link_begin(w, token);
	else if (w->in_link && mail_html_is(token->name, "img"))
		image_in_link(w, token);
	if (!w->live)
		look(w, token);
	for (unsigned i = 0; i < token->attrs && !w->stop; i++)
		attribute(w, token, &token->attr[i], element);
}

void camp_html_tag_end(struct camp_html_walk *w, const struct mail_html_token *token)
{
	const char *element = ground_element(token->name);
	enum element kind = element_of(token->name);

	noscript_end(w, token);
	if (kind != INLINE)
		camp_html_place_break(w);
	if (kind != INLINE && kind != OTHER)
		camp_html_walk_line(w);
	if (mail_html_is(token->name, "a"))
		camp_html_tag_link_end(w);
	/* Down to the element that ends; one that is not open ends none. */
	for (unsigned i = w->grounds; element && i > 0; i--)
		if (w->ground[i - 1].element == element) {
			w->grounds = i - 1;
			break;
		}
}
