/* SPDX-License-Identifier: Apache-2.0 */
/* How many elements are open at once. The second parser takes time and memory by the square of it, so this is asked first:
 * nothing that this counts as closed may still be open for the other. */
#include <stdlib.h>

#include "campaign/camp_lint_own.h"
#include "core/err.h"
#include "mail/mail_html.h"

/* Of formatting elements that another's end tag leaves open, a parser opens new ones again and again. */
#define LEFT_OPEN 64

static const char *const empty[] = {"area", "base", "br",   "col",  "embed",  "hr",    "img",
				    "input", "link", "meta", "param", "source", "track", "wbr"};
static const char *const formatting[] = {"a",	 "b",	 "big",	   "code", "em", "font", "i", "nobr",
					 "s", "small", "strike", "strong", "tt", "u"};

/* One directly within another of its name closes it. */
static const char *const closing[] = {"dd", "dt", "li", "option", "p", "td", "th", "tr"};

static int among(struct span name, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (mail_html_is(name, list[i]))
			return 1;
	return 0;
}

struct open {
	struct span name[CAMP_LINT_DEPTH];
	unsigned n, left;
};

static void close_one(struct open *o, struct span name)
{
	unsigned i = o->n, k;

	while (i && !span_equal_nocase(o->name[i - 1], name))
		i--;
	if (!i)
		return;
	for (k = i; k < o->n; k++)
		o->left += (unsigned)among(o->name[k], formatting, sizeof(formatting) / sizeof(*formatting));
	o->n = i - 1;
}

ptrdiff_t camp_lint_depth(struct span html)
{
	struct mail_html *m = malloc(sizeof(*m));
	struct mail_html_token t;
	struct open o = {.n = 0};
	ptrdiff_t at = m ? -1 : 0;
	int rc;

	if (m)
		mail_html_init(m, html);
	while (at < 0 && (rc = mail_html_next(m, &t)) != 0) {
		if (rc < 0) {
			at = 0;
		} else if (t.type == MAIL_HTML_END) {
			close_one(&o, t.name);
		} else if (t.type == MAIL_HTML_START && !among(t.name, empty, sizeof(empty) / sizeof(*empty))) {
			if (o.n && span_equal_nocase(o.name[o.n - 1], t.name) &&
			    among(t.name, closing, sizeof(closing) / sizeof(*closing)))
				o.n--;
			if (o.n == CAMP_LINT_DEPTH)
				at = (ptrdiff_t)t.from;
			else
				o.name[o.n++] = t.name;
		}
		if (o.left > LEFT_OPEN)
			at = (ptrdiff_t)t.from;
	}
	free(m);
	return at;
}
