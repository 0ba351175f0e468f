/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "mail/mail_html_state.h"

/* 1 if the end tag of the last start tag stands at "<": RCDATA, RAWTEXT and script data end tag name states. */
static int ends_here(const struct mail_html *t, size_t at)
{
	const uint8_t *p = t->doc.p + at;
	size_t n = t->doc.n - at;

	if (!t->last.n || n < t->last.n + 3 || p[1] != '/')
		return 0;
	for (size_t i = 0; i < t->last.n; i++)
		if (mail_html_state_lower(p[2 + i]) != mail_html_state_lower(t->last.p[i]))
			return 0;
	p += 2 + t->last.n;
	return mail_html_state_space(*p) || *p == '/' || *p == '>';
}

/* Where the text ends: at its end tag, or at the end of the document. */
static size_t plain_end(const struct mail_html *t)
{
	size_t at = t->at;

	while (at < t->doc.n) {
		const uint8_t *lt = memchr(t->doc.p + at, '<', t->doc.n - at);
		if (!lt)
			return t->doc.n;
		at = (size_t)(lt - t->doc.p);
		if (ends_here(t, at))
			return at;
		at++;
	}
	return at;
}

/* Script data. "<!--" makes it escaped; "<script" within that doubly so, and there "</script>" only leads back.
 *
 *   plain --"<!--"--> escaped --"<script" and one of blank / >--> twice
 *     ^------"-->"------|  ^------"</script" and one of blank / >----|
 *     ^------------------------------"-->"---------------------------|
 */
enum escape { PLAIN, ESCAPED, TWICE };

/* The word at at is "script" with a blank, "/" or ">" behind it: script data double escape start and end states. Sets *next
 * behind the letters, and that one, that were read. */
static int word_script(const struct mail_html *t, size_t at, size_t *next)
{
	size_t from = at;
	struct span word;

	while (at < t->doc.n && mail_html_state_alpha(t->doc.p[at]))
		at++;
	*next = at;
	word = span_of(t->doc.p + from, at - from);
	if (at == t->doc.n ||
	    !(mail_html_state_space(t->doc.p[at]) || t->doc.p[at] == '/' || t->doc.p[at] == '>'))
		return -1;
	*next = at + 1;
	return mail_html_is(word, "script");
}

/* "<" in escaped script data, at at. Where it goes on. */
static size_t escaped_lt(const struct mail_html *t, size_t at, enum escape *escape)
{
	const uint8_t *p = t->doc.p;
	size_t next, word = at + 1 + (*escape == TWICE);
	int script;

	if (*escape == TWICE && !(at + 1 < t->doc.n && p[at + 1] == '/'))
		return at + 1;
	if (*escape == ESCAPED && !(at + 1 < t->doc.n && mail_html_state_alpha(p[at + 1])))
		return at + 1;
	script = word_script(t, word, &next);
	if (script > 0)
		*escape = *escape == TWICE ? ESCAPED : TWICE;
	return next;
}

static size_t script_end(const struct mail_html *t)
{
	const uint8_t *p = t->doc.p;
	size_t n = t->doc.n, at = t->at;
	enum escape escape = PLAIN;
	unsigned dashes = 0;

	while (at < n) {
		uint8_t c = p[at];
		if (c == '<' && escape != TWICE && ends_here(t, at))
			return at;
		if (escape == PLAIN) {
			const uint8_t *lt;
			if (c == '<' && n - at >= 4 && memcmp(p + at, "<!--", 4) == 0) {
				escape = ESCAPED;
				dashes = 2;
				at += 4;
				continue;
			}
			lt = memchr(p + at + 1, '<', n - at - 1);
			at = lt ? (size_t)(lt - p) : n;
			continue;
		}
		if (c == '<') {
			dashes = 0;
			at = escaped_lt(t, at, &escape);
			continue;
		}
		if (c == '>' && dashes >= 2)
			escape = PLAIN;
		dashes = c == '-' ? dashes + 1 : 0;
		at++;
	}
	return n;
}

static int cdata(struct mail_html *t, struct mail_html_token *token)
{
	const uint8_t *p = t->doc.p + t->at;
	size_t n = t->doc.n - t->at;
	const uint8_t *end = n ? memmem(p, n, "]]>", 3) : NULL;
	size_t from = t->at, to = end ? (size_t)(end - t->doc.p) : t->doc.n;

	if (to > from)
		mail_html_state_text(t, token, from, to, end ? to + 3 : to);
	t->at = end ? to + 3 : to;
	t->model = MAIL_HTML_DATA;
	return to > from ? 1 : 2;
}

int mail_html_state_raw(struct mail_html *t, struct mail_html_token *token)
{
	size_t end;

	if (t->at == t->doc.n)
		return mail_html_state_eof(t, token, t->at);
	if (t->model == MAIL_HTML_CDATA)
		return cdata(t, token);
	if (t->model == MAIL_HTML_PLAINTEXT)
		return mail_html_state_text(t, token, t->at, t->doc.n, t->doc.n);
	end = t->model == MAIL_HTML_SCRIPT ? script_end(t) : plain_end(t);
	if (end > t->at) {
		mail_html_state_text(t, token, t->at, end, end);
		/* At the end of the document the model stays: an element was never closed. */
		if (end < t->doc.n)
			t->model = MAIL_HTML_DATA;
		return 1;
	}
	t->model = MAIL_HTML_DATA;
	return 2;
}
