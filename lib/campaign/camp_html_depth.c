/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_html_depth.h"

#include <stdlib.h>

/* What an element is to end tags. OTHER: ordinary, or not known. EMPTY: has no end, or (html, body) one that
 * closes nothing. SPECIAL: no end tag of an ordinary element goes past it, nor that of p; BLOCK: and it closes p;
 * LIST: nor that of li. SCOPE and TABLE: none does; CELL and ROW, which are nothing outside of a table: those of
 * their table alone. From FORMATTING on: that many names. */
enum kind { OTHER, EMPTY, SPECIAL, BLOCK, LIST, SCOPE, CELL, ROW, TABLE, FORMATTING };

/* Sorted: searched by halves. */
static const struct element {
	char name[12];
	uint8_t kind;
} elements[] = {
    {"a", FORMATTING},
    {"address", BLOCK},
    {"applet", SCOPE},
    {"area", EMPTY},
    {"article", BLOCK},
    {"aside", BLOCK},
    {"b", FORMATTING + 1},
    {"base", EMPTY},
    {"basefont", EMPTY},
    {"bgsound", EMPTY},
    {"big", FORMATTING + 2},
    {"blockquote", BLOCK},
    {"body", EMPTY},
    {"br", EMPTY},
    {"button", SPECIAL},
    {"caption", CELL},
    {"center", BLOCK},
    {"code", FORMATTING + 3},
    {"col", EMPTY},
    {"colgroup", SPECIAL},
    {"dd", BLOCK},
    {"details", BLOCK},
    {"dir", BLOCK},
    {"div", BLOCK},
    {"dl", BLOCK},
    {"dt", BLOCK},
    {"em", FORMATTING + 4},
    {"embed", EMPTY},
    {"fieldset", BLOCK},
    {"figcaption", BLOCK},
    {"figure", BLOCK},
    {"font", FORMATTING + 5},
    {"footer", BLOCK},
    {"form", BLOCK},
    {"frame", EMPTY},
    {"h1", BLOCK},
    {"h2", BLOCK},
    {"h3", BLOCK},
    {"h4", BLOCK},
    {"h5", BLOCK},
    {"h6", BLOCK},
    {"head", EMPTY},
    {"header", BLOCK},
    {"hgroup", BLOCK},
    {"hr", EMPTY},
    {"html", EMPTY},
    {"i", FORMATTING + 6},
    {"img", EMPTY},
    {"input", EMPTY},
    {"keygen", EMPTY},
    {"li", BLOCK},
    {"link", EMPTY},
    {"listing", BLOCK},
    {"main", BLOCK},
    {"marquee", SCOPE},
    {"menu", BLOCK},
    {"meta", EMPTY},
    {"nav", BLOCK},
    {"nobr", FORMATTING + 7},
    {"object", SCOPE},
    {"ol", LIST},
    {"p", BLOCK},
    {"param", EMPTY},
    {"pre", BLOCK},
    {"s", FORMATTING + 8},
    {"section", BLOCK},
    {"select", SPECIAL},
    {"small", FORMATTING + 9},
    {"source", EMPTY},
    {"strike", FORMATTING + 10},
    {"strong", FORMATTING + 11},
    {"style", SPECIAL},
    {"summary", BLOCK},
    {"table", TABLE},
    {"tbody", ROW},
    {"td", CELL},
    {"template", SCOPE},
    {"textarea", SPECIAL},
    {"tfoot", ROW},
    {"th", CELL},
    {"thead", ROW},
    {"title", SPECIAL},
    {"tr", ROW},
    {"track", EMPTY},
    {"tt", FORMATTING + 12},
    {"u", FORMATTING + 13},
    {"ul", LIST},
    {"wbr", EMPTY},
};

/* An end that may be left out: what a start tag closes if it is innermost, from the inside to the outside. */
static const struct {
	const char *start;
	const char *closes[6];
} implied[] = {
    {"a", {"a"}},
    {"li", {"li"}},
    {"dd", {"dd", "dt"}},
    {"dt", {"dd", "dt"}},
    {"option", {"option"}},
    {"td", {"p", "td", "th"}},
    {"th", {"p", "td", "th"}},
    {"tr", {"p", "td", "th", "tr"}},
    {"tbody", {"p", "td", "th", "tr", "thead", "tbody"}},
    {"tfoot", {"p", "td", "th", "tr", "thead", "tbody"}},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int by_name(const void *key, const void *element)
{
	return strcmp(key, ((const struct element *)element)->name);
}

static uint8_t kind_of(struct span name)
{
	char low[sizeof(elements[0].name)];
	const struct element *e;

	if (name.n >= sizeof(low))
		return OTHER;
	for (size_t i = 0; i < name.n; i++)
		low[i] = (char)((uint8_t)(name.p[i] - 'A') < 26 ? name.p[i] | 0x20 : name.p[i]);
	low[name.n] = '\0';
	e = bsearch(low, elements, COUNT(elements), sizeof(elements[0]), by_name);
	return e ? e->kind : OTHER;
}

static uint32_t hash_of(struct span name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		h = (h ^ ((uint8_t)(c - 'A') < 26 ? c | 0x20u : c)) * 16777619u;
	}
	return h;
}

/* 1 if the end tag does not reach what lies outside of an open element of that kind. */
static int hides(uint8_t open, uint8_t kind, struct span end)
{
	switch (open) {
	case SCOPE:
	case TABLE:
		return 1;
	case CELL:
	case ROW:
		return kind != CELL && kind != ROW && kind != TABLE;
	case LIST:
		return kind == OTHER || mail_html_is(end, "li") || mail_html_is(end, "p");
	default:
		return (open == BLOCK || open == SPECIAL) &&
		       (kind == OTHER || mail_html_is(end, "p"));
	}
}

/* A table has rows and a body of rows even if they have no tags. */
static unsigned weight(uint8_t kind)
{
	return kind == TABLE ? 3 : kind != ROW;
}

/* Drops the elements from index at on. Formatting among them is left open, but that of a table's cell ends with it. */
static void drop(struct camp_html_depth *d, unsigned at)
{
	int in_cell = 0;

	for (unsigned i = at; i < d->n; i++) {
		uint8_t kind = d->open[i].kind;
		in_cell |= kind == CELL;
		d->depth -= weight(kind);
		if (kind >= FORMATTING && !in_cell && i > at) {
			d->left_of[kind - FORMATTING]++;
			d->left++;
		}
	}
	d->n = at;
}

/* A formatting element ends alone: what was opened in it goes on. */
static void end_formatting(struct camp_html_depth *d, unsigned at)
{
	d->depth--;
	for (d->n--; at < d->n; at++)
		d->open[at] = d->open[at + 1];
}

static void end(struct camp_html_depth *d, struct span name)
{
	uint32_t hash = hash_of(name);
	uint8_t kind = kind_of(name);

	if (kind == EMPTY)
		return;
	for (unsigned i = d->n; i > 0; i--) {
		const struct camp_html_depth_open *o = &d->open[i - 1];
		if (o->hash == hash && span_equal_nocase(o->name, name)) {
			if (kind >= FORMATTING)
				end_formatting(d, i - 1);
			else
				drop(d, i - 1);
			return;
		}
		if (hides(o->kind, kind, name))
			break;
	}
	if (kind >= FORMATTING && d->left_of[kind - FORMATTING]) {
		d->left_of[kind - FORMATTING]--;
		d->left--;
	}
}

/* What is a block, p itself too, is never within p. */
static void close_p(struct camp_html_depth *d)
{
	for (unsigned i = d->n; i > 0; i--) {
		uint8_t kind = d->open[i - 1].kind;
		if (kind == SPECIAL || kind == SCOPE || kind == TABLE || kind == CELL)
			return;
		if (kind == BLOCK && mail_html_is(d->open[i - 1].name, "p")) {
			drop(d, i - 1);
			return;
		}
	}
}

static void close_implied(struct camp_html_depth *d, struct span name)
{
	for (size_t i = 0; i < COUNT(implied); i++) {
		if (!mail_html_is(name, implied[i].start))
			continue;
		for (size_t k = 0; k < COUNT(implied[i].closes) && implied[i].closes[k]; k++)
			if (d->n && mail_html_is(d->open[d->n - 1].name, implied[i].closes[k]))
				drop(d, d->n - 1);
	}
}

/* Outside of a table its rows and cells are no elements. */
static int in_table(const struct camp_html_depth *d)
{
	for (unsigned i = d->n; i > 0 && d->open[i - 1].kind != SCOPE; i--)
		if (d->open[i - 1].kind == TABLE)
			return 1;
	return 0;
}

void camp_html_depth_init(struct camp_html_depth *d, unsigned max)
{
	d->max = max < CAMP_HTML_DEPTH ? max : CAMP_HTML_DEPTH;
	d->n = d->depth = d->left = 0;
	memset(d->left_of, 0, sizeof(d->left_of));
}

int camp_html_depth_tag(struct camp_html_depth *d, const struct mail_html_token *token)
{
	uint8_t kind;

	if (token->type == MAIL_HTML_END)
		end(d, token->name);
	if (token->type != MAIL_HTML_START)
		return 0;
	kind = kind_of(token->name);
	if (kind == EMPTY || ((kind == ROW || kind == CELL) && !in_table(d)))
		return 0;
	if (kind == BLOCK || kind == LIST)
		close_p(d);
	close_implied(d, token->name);
	if (d->depth + d->left + weight(kind) > d->max || d->n == CAMP_HTML_DEPTH)
		return 1;
	d->depth += weight(kind);
	d->open[d->n++] = (struct camp_html_depth_open){token->name, hash_of(token->name), kind};
	return 0;
}
