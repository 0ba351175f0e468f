/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "campaign/camp_html_walk.h"

enum { IDENT_ROOM = 40 };

/* In small letters. n: 0: none; IDENT_ROOM: too long to be known. */
struct name {
	char s[IDENT_ROOM];
	size_t n;
};

/* A scan of one style. Names are gathered twice: a comment within one is left out, as some clients did, and ends it, as the
 * standard has it ("red" and "url(" in red, comment, url()). */
struct css {
	struct camp_html_walk *w;
	struct span in;
	size_t i;
	struct name joined, apart;
	int at_word;	/* "@" stands before it */
	/* where findings are */
	size_t at, to, element;
	int exact;
	uint8_t quote;
};

static int blank(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\f' || c == '\r';
}

static int name_octet(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c == '-' ||
	       c == '_' || c >= 0x80;
}

/* Stand position of index i. */
static size_t stand_at(const struct css *c, size_t i)
{
	return c->exact ? c->at + i : c->at;
}

static void found(struct css *c, enum camp_html_rule rule, size_t i)
{
	size_t at = stand_at(c, i);

	camp_html_walk_found(c->w, rule, at, span_sub(c->w->stand, at, c->to - at), SIZE_MAX);
}

static int is_one_of(const char *s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(s, words[i]))
			return 1;
	return 0;
}
#define IS_ONE_OF(s, words) is_one_of(s, words, sizeof(words) / sizeof((words)[0]))

static size_t skip_comment(struct css *c)
{
	const uint8_t *end = memmem(c->in.p + c->i + 2, c->in.n - c->i - 2, "*/", 2);

	return end ? (size_t)(end - c->in.p) + 2 : c->in.n;
}

static int line_end(uint8_t c)
{
	return c == '\n' || c == '\r' || c == '\f';
}

/* A string at i: the index behind its closing quote (or where it breaks off). Readers differ on where one ends that is
 * broken off by a line end, or goes on behind an escaped one. */
static size_t skip_string(struct css *c, size_t i, int *whole, int *escapes)
{
	uint8_t quote = c->in.p[i++];

	*whole = *escapes = 0;
	for (; i < c->in.n && !line_end(c->in.p[i]); i++) {
		if (c->in.p[i] == quote) {
			*whole = 1;
			return i + 1;
		}
		if (c->in.p[i] != '\\')
			continue;
		*escapes = 1;
		if (++i < c->in.n && line_end(c->in.p[i]))
			break;
	}
	i = i < c->in.n ? i : c->in.n;
	found(c, CAMP_HTML_RULE_CSS_STRING, i);
	return i;
}

/* "url(" was read, i is behind it. */
static void url(struct css *c)
{
	size_t i = c->i, from, to;
	int whole = 1, escapes = 0;

	while (i < c->in.n && blank(c->in.p[i]))
		i++;
	if (i < c->in.n && (c->in.p[i] == '"' || c->in.p[i] == '\'')) {
		from = i + 1;
		i = skip_string(c, i, &whole, &escapes);
		to = whole ? i - 1 : i;
	} else {
		for (from = i; i < c->in.n && c->in.p[i] != ')' && !blank(c->in.p[i]); i++)
			if (c->in.p[i] < ' ' || strchr("\"'(\\", c->in.p[i]))
				escapes = 1;
		to = i;
	}
	while (i < c->in.n && blank(c->in.p[i]))
		i++;
	if (!whole || escapes || i >= c->in.n || c->in.p[i] != ')') {
		found(c, CAMP_HTML_RULE_CSS_URL, from);
		c->i = i;
		return;
	}
	c->i = i + 1;
	camp_html_url_css(c->w, span_sub(c->in, from, to - from), stand_at(c, from),
			  c->exact ? stand_at(c, to) : c->to, c->quote, c->element);
}

/* A name is followed by "(", or by ":". 1: it was judged. */
static int judge_name(struct css *c, const struct name *name, uint8_t behind)
{
	static const char *const loads[] = {"expression", "image-set",	"-webkit-image-set",
					    "image",	  "cross-fade", "-webkit-cross-fade",
					    "src",	  "element",	"-moz-element",
					    "paint",	  "attr",	"alphaimageloader"};
	static const char *const properties[] = {"behavior", "behaviour", "-ms-behavior",
						 "-moz-binding", "-ms-filter"};

	if (!name->n || name->n == IDENT_ROOM)
		return 0;
	if (behind == '(' && !strcmp(name->s, "url")) {
		c->i++;
		url(c);
		return 1;
	}
	if (!(behind == '(' && IS_ONE_OF(name->s, loads)) && !(behind == ':' && IS_ONE_OF(name->s, properties)))
		return 0;
	found(c, CAMP_HTML_RULE_CSS_ACTIVE, c->i - name->n);
	return 1;
}

/* The name ends at i. */
static void end_name(struct css *c)
{
	size_t i = c->i;
	uint8_t behind = 0;

	if (c->at_word && c->joined.n && c->joined.n < IDENT_ROOM && !strcmp(c->joined.s, "import"))
		found(c, CAMP_HTML_RULE_CSS_IMPORT, c->i - c->joined.n);
	while (i < c->in.n && blank(c->in.p[i]))
		i++;
	if (c->i < c->in.n && c->in.p[c->i] == '(')
		behind = '(';
	else if (i < c->in.n && c->in.p[i] == ':')
		behind = ':';
	if (behind && !judge_name(c, &c->joined, behind))
		judge_name(c, &c->apart, behind);
	c->joined.n = c->apart.n = 0;
	c->at_word = 0;
}

static void add_octet(struct name *name, uint8_t octet)
{
	if (name->n >= IDENT_ROOM - 1) {
		name->n = IDENT_ROOM;
		return;
	}
	name->s[name->n++] = (char)((uint8_t)(octet - 'A') < 26 ? octet | 0x20 : octet);
	name->s[name->n] = '\0';
}

static void one(struct css *c)
{
	uint8_t o = c->in.p[c->i];
	int whole, escapes;

	if (name_octet(o)) {
		add_octet(&c->joined, o);
		add_octet(&c->apart, o);
		c->i++;
		return;
	}
	if (o == '/' && c->i + 1 < c->in.n && c->in.p[c->i + 1] == '*') {
		c->i = skip_comment(c);
		c->apart.n = 0;
		return;
	}
	end_name(c);
	if (c->i >= c->in.n || c->in.p[c->i] != o)
		return;
	if (o == '"' || o == '\'') {
		c->i = skip_string(c, c->i, &whole, &escapes);
		return;
	}
	if (o == '\\')
		found(c, CAMP_HTML_RULE_CSS_ESCAPE, c->i);
	c->at_word = o == '@';
	c->i++;
}

void camp_html_css(struct camp_html_walk *w, struct span in, size_t at, size_t to, int exact,
		   uint8_t quote, size_t element)
{
	struct css c = {.w = w,
			.in = in,
			.at = at,
			.to = to,
			.element = element,
			.exact = exact,
			.quote = quote};

	while (c.i < c.in.n && !w->stop)
		one(&c);
	end_name(&c);
}

/* --- what is seen of it --- */

static struct span trim(struct span s)
{
	while (s.n && blank(s.p[0]))
		s = span_sub(s, 1, s.n);
	while (s.n && blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

static int hex_digit(uint8_t c)
{
	if ((uint8_t)(c - '0') < 10)
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint32_t camp_html_css_colour(struct span v)
{
	static const struct {
		const char *name;
		uint32_t rgb;
	} names[] = {{"white", 0xffffff}, {"black", 0},	      {"red", 0xff0000},
		     {"gray", 0x808080},  {"grey", 0x808080}, {"silver", 0xc0c0c0},
		     {"navy", 0x80},	  {"blue", 0xff},     {"whitesmoke", 0xf5f5f5}};
	uint32_t rgb = 0;

	v = trim(v);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mail_html_is(v, names[i].name))
			return names[i].rgb;
	if (v.n && v.p[0] == '#')
		v = span_sub(v, 1, v.n);
	if (v.n != 3 && v.n != 6)
		return CAMP_HTML_NO_COLOUR;
	for (size_t i = 0; i < v.n; i++) {
		int d = hex_digit(v.p[i]);
		if (d < 0)
			return CAMP_HTML_NO_COLOUR;
		rgb = v.n == 3 ? rgb << 8 | (uint32_t)(d * 17) : rgb << 4 | (uint32_t)d;
	}
	return rgb;
}

/* The number at the front of a value, in hundredths; what cannot be read is no small number. */
static long hundredths(struct span v)
{
	long n = 0, frac = 100;
	size_t i = 0;
	int minus = v.n && v.p[0] == '-', dot = 0;

	for (i = (size_t)minus; i < v.n && n < 100000000; i++) {
		if (v.p[i] == '.' && !dot)
			dot = 1;
		else if ((uint8_t)(v.p[i] - '0') >= 10)
			break;
		else if (!dot)
			n = n * 10 + (v.p[i] - '0') * 100L;
		else
			n += (v.p[i] - '0') * (frac /= 10);
	}
	if (i == (size_t)minus)
		return 100000000;
	return minus ? -n : n;
}

static void declaration(struct span name, struct span value, struct camp_html_css_look *look)
{
	struct span first = value;

	for (size_t i = 0; i < first.n; i++)
		if (blank(first.p[i]) || first.p[i] == '!')
			first.n = i;
	if (mail_html_is(name, "display"))
		look->hidden |= mail_html_is(first, "none");
	else if (mail_html_is(name, "visibility"))
		look->hidden |= mail_html_is(first, "hidden") || mail_html_is(first, "collapse");
	else if (mail_html_is(name, "mso-hide"))
		look->hidden |= mail_html_is(first, "all");
	else if (mail_html_is(name, "font-size"))
		look->hidden |= hundredths(first) <= 100 && !memmem(first.p, first.n, "em", 2) &&
				!memmem(first.p, first.n, "%", 1);
	else if (mail_html_is(name, "opacity"))
		look->hidden |= hundredths(first) < 10;
	else if (mail_html_is(name, "max-height") || mail_html_is(name, "max-width"))
		look->hidden |= hundredths(first) == 0;
	else if (mail_html_is(name, "text-indent"))
		look->hidden |= hundredths(first) <= -10000;
	else if (mail_html_is(name, "left") || mail_html_is(name, "top") ||
		 mail_html_is(name, "margin-left"))
		look->hidden |= hundredths(first) <= -50000;
	else if (mail_html_is(name, "color") && mail_html_is(first, "transparent"))
		look->hidden = 1;
	else if (mail_html_is(name, "color"))
		look->colour = camp_html_css_colour(first);
	else if (mail_html_is(name, "background-color") || mail_html_is(name, "background"))
		look->ground = camp_html_css_colour(first);
}

void camp_html_css_look(struct span css, struct camp_html_css_look *look)
{
	while (css.n) {
		size_t n = 0, end;
		ptrdiff_t colon;
		struct span d;
		int depth = 0;
		for (; n < css.n && (css.p[n] != ';' || depth); n++)
			depth += css.p[n] == '(' ? 1 : css.p[n] == ')' && depth ? -1 : 0;
		end = n;
		d = span_sub(css, 0, end);
		css = span_sub(css, end + 1, css.n);
		colon = span_find(d, ':');
		if (colon > 0)
			declaration(trim(span_sub(d, 0, (size_t)colon)),
				    trim(span_sub(d, (size_t)colon + 1, d.n)), look);
	}
}

/* Behind the brace that closes the one at i. */
static size_t block_end(struct span s, size_t i)
{
	size_t depth = 0;

	for (; i < s.n; i++) {
		depth += s.p[i] == '{';
		if (s.p[i] == '}' && --depth == 0)
			return i + 1;
	}
	return s.n;
}

void camp_html_css_sheet(struct camp_html_walk *w, struct span css)
{
	size_t i = 0, from = 0, end;

	for (; i < css.n && !w->live; i++) {
		struct camp_html_css_look look = {0, CAMP_HTML_NO_COLOUR, CAMP_HTML_NO_COLOUR};
		struct span selector;
		if (css.p[i] == ';')
			from = i + 1;
		if (css.p[i] != '{')
			continue;
		selector = trim(span_sub(css, from, i - from));
		end = block_end(css, i);
		if (!selector.n || selector.p[0] != '@')
			camp_html_css_look(span_sub(css, i + 1, end - i - 2), &look);
		if (look.hidden)
			camp_html_walk_say(w, CAMP_HTML_RULE_HIDDEN, selector);
		from = end;
		i = end - 1;
	}
}
