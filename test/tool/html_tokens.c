/* SPDX-License-Identifier: Apache-2.0 */
/* html_tokens: the tokens of HTML documents, for foreign judges. Reads a JSON array of texts from standard input, writes an
 * array with the tokens of each: ["S", name, {attributes}], ["E", name], ["C", comment], ["T", text], ["D", name]. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "mail/mail_html.h"

static struct mail_html t;

static json_t *text(struct span raw, unsigned how)
{
	struct buf b;
	json_t *s;

	buf_init(&b, 3 * raw.n + 1);
	if (mail_html_decode(&b, raw, how))
		abort();
	s = json_stringn(buf_size(&b) ? (const char *)buf_ptr(&b) : "", buf_size(&b));
	buf_clear(&b);
	return s;
}

static json_t *attributes(const struct mail_html_token *tok)
{
	json_t *all = json_object();

	for (unsigned i = 0; i < tok->attrs; i++) {
		json_t *name = text(tok->attr[i].name, MAIL_HTML_NAME);
		if (!tok->attr[i].duplicate)
			json_object_set_new(all, json_string_value(name),
					    text(tok->attr[i].value, MAIL_HTML_VALUE));
		json_decref(name);
	}
	return all;
}

static json_t *token(const struct mail_html_token *tok)
{
	switch (tok->type) {
	case MAIL_HTML_START:
		return json_pack("[s,o,o]", "S", text(tok->name, MAIL_HTML_NAME), attributes(tok));
	case MAIL_HTML_END:
		return json_pack("[s,o]", "E", text(tok->name, MAIL_HTML_NAME));
	case MAIL_HTML_COMMENT:
		return json_pack("[s,o]", "C", text(tok->text, tok->decode));
	case MAIL_HTML_DOCTYPE:
		return json_pack("[s,o]", "D", text(tok->name, MAIL_HTML_NAME));
	default:
		return json_pack("[s,o]", "T", text(tok->text, tok->decode));
	}
}

int main(void)
{
	json_t *docs = json_loadf(stdin, 0, NULL), *out = json_array(), *doc;
	struct mail_html_token tok;
	size_t i;

	if (!json_is_array(docs))
		return 65;
	json_array_foreach(docs, i, doc)
	{
		json_t *tokens = json_array();
		mail_html_init(&t, span_of(json_string_value(doc), json_string_length(doc)));
		while (mail_html_next(&t, &tok) > 0)
			json_array_append_new(tokens, token(&tok));
		json_array_append_new(out, tokens);
	}
	json_dumpf(out, stdout, JSON_COMPACT);
	json_decref(docs);
	json_decref(out);
	return 0;
}
