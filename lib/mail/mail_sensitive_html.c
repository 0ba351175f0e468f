/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_sensitive_html.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/err.h"
#include "mail/mail_html.h"

static const char *const within_lines[] = {"a",	  "abbr", "acronym", "b",    "bdi",  "bdo",   "big",  "cite",	"code",
					   "del", "dfn",  "em",	     "font", "i",    "ins",   "kbd",  "label",	"mark",
					   "q",	  "s",	  "samp",    "small", "span", "strike", "strong", "sub", "sup",
					   "time", "tt",  "u",	     "var",  "wbr",  "nobr",  "o:p"};

static int within_line(struct span name)
{
	for (size_t i = 0; i < sizeof(within_lines) / sizeof(within_lines[0]); i++)
		if (mail_html_is(name, within_lines[i]))
			return 1;
	return 0;
}

/* Octets of a character at the front that nobody sees: soft hyphen, those of no width. */
static size_t unseen(struct span s)
{
	static const char *const all[] = {"\xc2\xad",	  "\xe2\x80\x8b", "\xe2\x80\x8c",
					  "\xe2\x80\x8d", "\xe2\x81\xa0", "\xef\xbb\xbf"};

	for (size_t i = 0; s.n && s.p[0] >= 0x80 && i < sizeof(all) / sizeof(all[0]); i++)
		if (span_equal(span_sub(s, 0, strlen(all[i])), span_str(all[i])))
			return strlen(all[i]);
	return 0;
}

/* In place: what is left of a text. blank: the last octet that was shown is one. */
static size_t fold(uint8_t *p, size_t n, int *blank)
{
	size_t to = 0;

	for (size_t i = 0; i < n;) {
		size_t drop = unseen(span_of(p + i, n - i));
		int white = p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r');
		if (!drop && !(white && *blank))
			p[to++] = white ? ' ' : p[i];
		if (!drop)
			*blank = white;
		i += drop ? drop : 1;
	}
	return to;
}

struct walk {
	struct mail_html html;
	struct buf text;
	int blank;
};

static int token(struct walk *w, struct mail_sensitive *s, const struct mail_html_token *t)
{
	if (t->type == MAIL_HTML_START || t->type == MAIL_HTML_END) {
		if (within_line(t->name))
			return 0;
		w->blank = 1;
		mail_sensitive_feed(s, mail_html_is(t->name, "td") || mail_html_is(t->name, "th") ? SPAN_LIT("\t") : SPAN_LIT("\n"));
	}
	if (t->type != MAIL_HTML_TEXT || (t->model != MAIL_HTML_DATA && t->model != MAIL_HTML_RCDATA))
		return 0;
	buf_reset(&w->text);
	if (mail_html_decode(&w->text, t->text, t->decode) < 0)
		return ERR_NOMEM;
	mail_sensitive_feed(s, span_of(buf_ptr(&w->text), fold((uint8_t *)(uintptr_t)buf_ptr(&w->text), buf_size(&w->text), &w->blank)));
	return 0;
}

int mail_sensitive_html(struct mail_sensitive *s, struct span html)
{
	struct walk *w = malloc(sizeof(*w));
	struct mail_html_token t;
	int err = 0;

	if (!w)
		return ERR_NOMEM;
	mail_html_init(&w->html, html);
	buf_init_wiped(&w->text, 3 * html.n + 16);
	w->blank = 1;
	mail_sensitive_begin(s);
	while (err == 0 && mail_html_next(&w->html, &t) > 0)
		err = token(w, s, &t);
	mail_sensitive_end(s);
	buf_clear(&w->text);
	free(w);
	return err;
}
