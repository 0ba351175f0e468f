/* SPDX-License-Identifier: Apache-2.0 */
/* mail_html - cuts an HTML document into tokens, as browsers and mail clients do, and says where each one stands.
 *
 * Story:     mail_html_init takes the whole document; mail_html_next gives one token after the other. A token is spans into
 *            the document: names as they are written, values and text with their character references. What they mean is
 *            told by mail_html_decode (or mail_html_is for names). Nothing is ever a syntax error: HTML has a reading for
 *            all bytes. Text can come in several tokens in a row.
 * Tree rule: what follows <title>, <textarea>, <style>, <script>, <xmp>, <iframe>, <noembed>, <noframes> or <plaintext> is
 *            text until their end tag; CDATA sections count within <svg> and <math> alone. That is what a tree builder tells
 *            its tokenizer. Without a tree it is exact for documents that have none of svg, math, select and frameset;
 *            what has them is read as closely as it goes without one. Scripting is off: <noscript> is markup.
 * Limits:    MAIL_HTML_ATTRS attributes in a tag and MAIL_HTML_FOREIGN nested svg and math elements, else ERR_LIMIT.
 *            Time is linear, memory is this struct; nothing is allocated.
 * Bytes:     ASCII decides; octets of 0x80 and above are taken as they are, so any superset of ASCII works (UTF-8).
 *            Offsets count octets of the document. CR and CR LF count as LF, as in the standard's preprocessing.
 * Ownership: borrows the document; a token's attributes live until the next call.
 * Thread:    pure; any.
 * Source:    WHATWG HTML 13.2.5 (tokenization), 13.2.6 (what the tree builder switches), 13.5 (named references). */
#ifndef MAIL_MAIL_HTML_H
#define MAIL_MAIL_HTML_H

#include "core/buf.h"

#define MAIL_HTML_ATTRS	  256
#define MAIL_HTML_FOREIGN 32

enum mail_html_type {
	MAIL_HTML_DOCTYPE,
	MAIL_HTML_START,
	MAIL_HTML_END,
	MAIL_HTML_COMMENT,
	MAIL_HTML_TEXT,
	MAIL_HTML_EOF
};

/* How text is read on, until something ends it. */
enum mail_html_model {
	MAIL_HTML_DATA,
	MAIL_HTML_RCDATA,
	MAIL_HTML_RAWTEXT,
	MAIL_HTML_SCRIPT,
	MAIL_HTML_PLAINTEXT,
	MAIL_HTML_CDATA
};

/* What mail_html_decode is to do beside folding CR. */
enum mail_html_decode {
	MAIL_HTML_REFS = 1, /* character references become characters */
	MAIL_HTML_ATTR = 2, /* ... by the rule for attributes: "&copy=1" stays */
	MAIL_HTML_NUL = 4,  /* NUL becomes U+FFFD */
	MAIL_HTML_LOWER = 8 /* A-Z become small */
};
#define MAIL_HTML_NAME	(MAIL_HTML_NUL | MAIL_HTML_LOWER)
#define MAIL_HTML_VALUE (MAIL_HTML_REFS | MAIL_HTML_ATTR | MAIL_HTML_NUL)

struct mail_html_attr {
	struct span name;  /* raw: MAIL_HTML_NAME decodes it */
	struct span value; /* raw, between the quotes: MAIL_HTML_VALUE decodes it. Without "=": empty, behind the name */
	uint8_t quote;	   /* '"', '\'', or 0: unquoted or none */
	uint8_t bare;	   /* has no "=" */
	uint8_t duplicate; /* the tag has one of this name already, which counts: this one does not */
	uint8_t glued;	   /* no white space between the one before and this one */
};

struct mail_html_token {
	enum mail_html_type type;
	size_t from, to;   /* its octets in the document, markup included */
	struct span name;  /* START, END, DOCTYPE: raw (MAIL_HTML_NAME) */
	struct span text;  /* TEXT, COMMENT: raw, without the markup */
	unsigned decode;   /* TEXT, COMMENT: how to decode it */
	enum mail_html_model model; /* TEXT: in which it stood */
	const struct mail_html_attr *attr; /* START; also END, where they mean nothing */
	unsigned attrs;
	uint8_t self_closing; /* ends with "/>" */
	uint8_t foreign;      /* START, END, TEXT: within svg or math (itself included) */
	uint8_t bogus;	      /* COMMENT: of "<!x", "<?", "</ " and the like, not "<!--" */
	uint8_t abrupt;	      /* COMMENT: "<!-->", "<!--->", ends with "--!>", or not at all */
	uint8_t quirks;	      /* DOCTYPE: force-quirks */
	struct span public_id, system_id; /* DOCTYPE: raw (MAIL_HTML_NUL); p is NULL if missing */
};

struct mail_html_foreign {
	uint8_t kind;
	uint8_t name; /* of an integration point */
};

struct mail_html {
	struct span doc;
	size_t at;
	enum mail_html_model model;
	struct span last; /* name of the last start tag, raw */
	int tree, done;
	unsigned foreign_depth;
	struct mail_html_foreign foreign[MAIL_HTML_FOREIGN];
	unsigned attrs;
	struct mail_html_attr attr[MAIL_HTML_ATTRS];
	uint32_t hash[MAIL_HTML_ATTRS];
	uint16_t slot[2 * MAIL_HTML_ATTRS];
};

void mail_html_init(struct mail_html *t, struct span doc);
/* For a bare tokenizer: begins in model, has seen a start tag of that name (may be empty), and no tree rule switches it. */
void mail_html_init_bare(struct mail_html *t, struct span doc, enum mail_html_model model,
			 struct span last_start_tag);

/* 1: a token; 0: the end (type MAIL_HTML_EOF; from..to is a tag that never ended and is lost by the standard, else from =
 * to); ERR_LIMIT: from is the tag that has too much (every later call says the same). */
int mail_html_next(struct mail_html *t, struct mail_html_token *token);

/* Where a span of this document begins. */
static inline size_t mail_html_at(const struct mail_html *t, struct span s)
{
	return (size_t)(s.p - t->doc.p);
}

/* 1 if a raw name is this one (given in small letters). */
int mail_html_is(struct span name, const char *lower);
/* The attribute of that name that counts, or NULL. */
const struct mail_html_attr *mail_html_attr(const struct mail_html_token *token, const char *lower);

/* Appends raw, decoded; how: MAIL_HTML_* bits. At most three times as long as raw. ERR_LIMIT, ERR_NOMEM: as buf says. */
int mail_html_decode(struct buf *out, struct span raw, unsigned how);
/* The character reference at the front of s ("&..."): octets it takes, and its one or two code points (cp[1] may be 0);
 * 0 if there is none. attribute: the rule for attribute values. */
size_t mail_html_reference(struct span s, int attribute, uint32_t cp[2]);

#endif
