/* SPDX-License-Identifier: Apache-2.0 */
/* mail_html_state - what the files of the HTML tokenizer share; mail_html.h is its front.
 *
 * Story:  mail_html.c reads data and tags; mail_html_state_raw.c the text models that know no markup but their end tag;
 *         mail_html_state_decl.c what begins with "<!" or is taken for a comment; mail_html_state_tree.c what a tree
 *         builder would tell; mail_html_entity.c character references.
 * Source: WHATWG HTML 13.2.5; the states' names stand where their rule is.
 * Thread: pure; any. */
#ifndef MAIL_MAIL_HTML_STATE_H
#define MAIL_MAIL_HTML_STATE_H

#include "mail/mail_html.h"

static inline int mail_html_state_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\f' || c == '\r';
}

static inline int mail_html_state_alpha(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26;
}

static inline uint8_t mail_html_state_lower(uint8_t c)
{
	return (uint8_t)(c - 'A') < 26 ? c | 0x20 : c;
}

/* Text from..to as a token; the tokenizer goes on at next. */
int mail_html_state_text(struct mail_html *t, struct mail_html_token *token, size_t from, size_t to,
			 size_t next);
/* The end: from is where a tag begins that never ended, or the end of the document. */
int mail_html_state_eof(struct mail_html *t, struct mail_html_token *token, size_t from);

/* RCDATA, RAWTEXT, script data: text up to the end tag that ends them; PLAINTEXT; a CDATA section. Result as of
 * mail_html_next, or 2: there is no text here, and the model is data now. */
int mail_html_state_raw(struct mail_html *t, struct mail_html_token *token);

/* "<!", "<?" or "</" with something else than a letter or ">" behind it, at from. */
int mail_html_state_decl(struct mail_html *t, struct mail_html_token *token, size_t from);

/* A tag was read: switches the model, marks what is foreign. 0, ERR_LIMIT. */
int mail_html_state_tree(struct mail_html *t, struct mail_html_token *token);
/* 1 if the current node is of svg or math, and CDATA sections count. */
int mail_html_state_foreign(const struct mail_html *t);

#endif
