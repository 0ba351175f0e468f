/* SPDX-License-Identifier: Apache-2.0 */
/* A document, the first octet choosing where the tokenizer begins: tokens come in order, lie within the document and leave
 * nothing out but "</>" and what the standard loses; all that can be decoded is; a second run says the same. */
#include <stdlib.h>

#include "core/err.h"
#include "mail/mail_html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(const struct mail_html *t, struct span s)
{
	if (s.n && (s.p < t->doc.p || s.p + s.n > t->doc.p + t->doc.n))
		abort();
}

static void decode(struct buf *b, struct span raw, unsigned how)
{
	buf_reset(b);
	if (mail_html_decode(b, raw, how) || buf_size(b) > 3 * raw.n)
		abort();
}

static void look(const struct mail_html *t, const struct mail_html_token *tok, struct buf *b)
{
	within(t, tok->name);
	within(t, tok->text);
	within(t, tok->public_id);
	within(t, tok->system_id);
	decode(b, tok->name, MAIL_HTML_NAME);
	decode(b, tok->text, tok->decode);
	for (unsigned i = 0; i < tok->attrs; i++) {
		within(t, tok->attr[i].name);
		within(t, tok->attr[i].value);
		if (!tok->attr[i].name.n || (tok->attr[i].bare && tok->attr[i].value.n))
			abort();
		decode(b, tok->attr[i].name, MAIL_HTML_NAME);
		decode(b, tok->attr[i].value, MAIL_HTML_VALUE);
	}
}

static unsigned run(struct mail_html *t, struct buf *b)
{
	struct mail_html_token tok;
	size_t at = 0;
	unsigned sum = 0;
	int r;

	while ((r = mail_html_next(t, &tok)) > 0) {
		if (tok.from < at || tok.to <= tok.from || tok.to > t->doc.n)
			abort();
		at = tok.to;
		look(t, &tok, b);
		sum = sum * 31 + (unsigned)tok.type + (unsigned)tok.to + (unsigned)buf_size(b);
	}
	if (tok.type != MAIL_HTML_EOF || tok.from < at || tok.to != t->doc.n ||
	    mail_html_next(t, &tok) != r)
		abort();
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mail_html t;
	struct span doc;
	struct buf b;
	unsigned first = 0, sums[2];

	if (!size)
		return 0;
	doc = span_of(data + 1, size - 1);
	buf_init(&b, 3 * size + 16);
	for (int i = 0; i < 2; i++) {
		first = data[0] % 7;
		if (first == 0)
			mail_html_init(&t, doc);
		else
			mail_html_init_bare(&t, doc, (enum mail_html_model)(first - 1),
					    first == 4 ? SPAN_LIT("script") : SPAN_LIT("a"));
		sums[i] = run(&t, &b);
	}
	if (sums[0] != sums[1])
		abort();
	buf_clear(&b);
	return 0;
}
