/* SPDX-License-Identifier: Apache-2.0 */
/* camp_html - what a campaign must know of an HTML part: where fields stand, where it links to, what does not belong in mail.
 *
 * Story:     At registration camp_html_scan reads a template: its blob, and the places in it where fields come and blocks
 *            (opt, alt, rep) have an edge. It says of each field in which context its value will lie, cuts out each URL, and
 *            tells what it finds, rule by rule. Whether a URL is good is not asked here: the caller's url function judges
 *            hosts. Schemes that no mail needs (javascript:, data:) are findings already.
 *            At sending time, under the policy links-only, camp_html_live asks the same of one message and stops at the first
 *            rule that is broken.
 * Fields:    are read as if the letter x stood there (camp_html_stand makes that document, for a second parser), so
 *            "<{{f}}" is a tag whose name a field would choose, and refused. Block edges must lie in plain text, so that each
 *            choice of branches cuts into the same tokens. Offsets are always those of the blob, where fields take no room.
 * Comments:  conditional ones ("<!--[if mso]>") are read as HTML, as Outlook does, with VML: a link in them is a link.
 * Depth:     of a live message, CAMP_HTML_DEPTH open elements (camp_html_depth); a template's is camp_lint's to judge.
 * Ownership: borrows everything; what a callback is given lives until it returns.
 * Limits:    CAMP_HTML_PLACES places; link text is cut at CAMP_HTML_TEXT octets; 1000 findings are told, more are only
 *            counted. Time is linear in blob + places. Memory: 65 KiB, two copies of what is longest (the blob if there are
 *            fields, a text, a style).
 * Thread:    pure; any.
 * Source:    the attack table of the design; WHATWG HTML by mail_html. */
#ifndef CAMPAIGN_CAMP_HTML_H
#define CAMPAIGN_CAMP_HTML_H

#include "core/buf.h"

#define CAMP_HTML_PLACES 65536
#define CAMP_HTML_TEXT	 1024

enum camp_html_level { CAMP_HTML_NONE, CAMP_HTML_WARNING, CAMP_HTML_ERROR };

/* X(symbol, name, level at registration, level in a live message, text). Names are stable: they are stored with the lint's
 * report and shown. */
#define CAMP_HTML_RULES(X)                                                                         \
	/* structure: parsers must not differ */                                                   \
	X(CONTROL, "html-control", ERROR, ERROR, "a control character")                            \
	X(STRAY_LT, "html-stray-lt", ERROR, NONE, "'<' in text: write &lt;")                       \
	X(TAG_LOST, "html-tag-lost", ERROR, ERROR, "a tag that never ends")                        \
	X(TAG_ATTRS, "html-too-much", ERROR, ERROR, "more attributes or nesting than is read")     \
	X(DEPTH, "html-depth", NONE, ERROR, "more elements are open than readers nest")            \
	X(EMPTY_END, "html-empty-end", ERROR, NONE, "'</>'")                                       \
	X(END_ATTRS, "html-end-attributes", ERROR, NONE, "an end tag with attributes")             \
	X(ATTR_NAME, "html-attribute-name", ERROR, ERROR, "an attribute name with odd characters") \
	X(ATTR_TWICE, "html-attribute-twice", ERROR, ERROR, "an attribute twice in one tag")       \
	X(ATTR_GLUED, "html-attribute-glued", ERROR, NONE, "no blank between two attributes")      \
	X(ATTR_VALUE, "html-attribute-value", ERROR, ERROR,                                        \
	  "an unquoted value with quotes, '<' or '`'")                                             \
	X(COMMENT_ODD, "html-comment", ERROR, ERROR,                                               \
	  "a comment that parsers end at different places")                                        \
	X(COMMENT_BOGUS, "html-bogus-comment", ERROR, NONE, "markup that is taken for a comment")  \
	X(CDATA, "html-cdata", ERROR, ERROR, "a CDATA section")                                    \
	X(CONDITIONAL, "html-conditional", ERROR, ERROR, "a conditional comment of unknown form")  \
	X(RAW_MARKUP, "html-title-markup", ERROR, ERROR, "markup within title or textarea")        \
	X(RAW_OPEN, "html-unclosed", ERROR, ERROR, "title, style or the like is never closed")     \
	X(DOCTYPE, "html-doctype", WARNING, NONE, "a doctype that is not <!DOCTYPE html> or XHTML, or not first") \
	X(LINK_NESTED, "html-link-nested", ERROR, NONE, "a link within a link")                    \
	X(LINK_OPEN, "html-link-open", ERROR, NONE, "a link that is never closed")                 \
	/* active content, and what loads or leads elsewhere */                                    \
	X(SCRIPT, "html-script", ERROR, ERROR, "script")                                           \
	X(EVENT, "html-event-handler", ERROR, ERROR, "an on... attribute")                         \
	X(BASE, "html-base", ERROR, ERROR, "<base> turns links elsewhere")                         \
	X(REFRESH, "html-meta-refresh", ERROR, ERROR, "<meta http-equiv=refresh>")                 \
	X(META, "html-meta", ERROR, NONE, "a meta http-equiv that mail does not need")             \
	X(META_CHARSET, "html-meta-charset", ERROR, ERROR, "a charset that is not the part's")     \
	X(FORM, "html-form", ERROR, ERROR, "a form or one of its controls")                        \
	X(FRAME, "html-frame", ERROR, ERROR, "iframe, frame, object, embed, applet, audio, video") \
	X(LINK_REL, "html-link-element", ERROR, ERROR, "<link> loads what can change later")       \
	X(FOREIGN, "html-foreign", ERROR, ERROR, "svg or math")                                    \
	X(SRCSET, "html-srcset", ERROR, ERROR, "srcset: write src")                                \
	X(ELEMENT, "html-element", ERROR, NONE, "an element that is not on the list")              \
	X(ELEMENT_RAW, "html-element-raw", ERROR, ERROR,                                           \
	  "an element whose content parsers read in different ways")                               \
	X(ATTRIBUTE, "html-attribute", ERROR, NONE, "an attribute that is not on the list")        \
	X(ATTR_ACTIVE, "html-attribute-url", ERROR, ERROR, "an attribute that loads or sends")     \
	X(SCHEME, "html-scheme", ERROR, ERROR, "a URL of a scheme that mail does not need")        \
	X(URL_RELATIVE, "html-url-relative", ERROR, ERROR, "a URL that names no scheme")           \
	X(URL_ODD, "html-url-characters", ERROR, ERROR,                                            \
	  "a URL with blanks, controls, a backslash or braces")                                    \
	X(URL_HOST, "html-url-host", ERROR, ERROR, "a URL that the policy does not allow")         \
	X(TEXT_LINK, "html-text-link", NONE, ERROR, "text of which mail programs make a link that the policy does not allow") \
	X(CSS_URL, "html-css-url", ERROR, ERROR, "a CSS url() that cannot be read with certainty") \
	X(CSS_IMPORT, "html-css-import", ERROR, ERROR, "@import")                                  \
	X(CSS_ACTIVE, "html-css-active", ERROR, ERROR,                                             \
	  "expression(), behavior, -moz-binding or a function that loads")                         \
	X(CSS_STRING, "html-css-string", ERROR, ERROR, "a CSS string that its line does not end")    \
	X(CSS_ESCAPE, "html-css-escape", ERROR, ERROR, "a backslash in CSS outside of a string")   \
	/* hidden text: shown to who approves */                                                   \
	X(HIDDEN, "html-hidden", WARNING, NONE, "text that is not shown")                          \
	X(HIDDEN_COLOUR, "html-hidden-colour", WARNING, NONE, "text in the colour of its ground")  \
	X(BIDI, "html-bidi", WARNING, NONE, "a control that turns the direction of text")            \
	/* fields and blocks */                                                                    \
	X(FIELD_CONTEXT, "html-field-context", ERROR, NONE, "a field may not stand here")          \
	X(FIELD_HOST, "html-field-host", ERROR, NONE, "a field in a URL before its path")          \
	X(FIELD_URL, "html-field-url", ERROR, NONE,                                                \
	  "a field in a URL that is neither a path segment nor the value of a query")              \
	X(FIELD_REFERENCE, "html-field-reference", ERROR, NONE, "'&' directly before a field or a block's edge") \
	X(FIELD_COMMENT, "html-field-comment", ERROR, NONE, "'>', '->' or '!>' behind a field in a conditional comment: a value could end it") \
	X(FIELD_JOINS, "html-field-joins", WARNING, NONE,                                          \
	  "markup between, but with the text beside it this field could become a link")            \
	X(BLOCK, "html-block", ERROR, NONE, "a block that begins or ends elsewhere than in text")   \
	X(BLOCK_LINK, "html-block-link", ERROR, NONE, "a block that begins or ends within a link")

#define CAMP_HTML_X(sym, name, registration, live, text) CAMP_HTML_RULE_##sym,
enum camp_html_rule { CAMP_HTML_RULES(CAMP_HTML_X) CAMP_HTML_RULE_COUNT };
#undef CAMP_HTML_X
const char *camp_html_rule_name(enum camp_html_rule rule);
const char *camp_html_rule_text(enum camp_html_rule rule);

/* Where a field's value will lie. */
enum camp_html_context {
	CAMP_HTML_REFUSED,  /* there is a finding: html-field-... */
	CAMP_HTML_IN_TEXT,  /* "text" */
	CAMP_HTML_IN_ATTR,  /* "attr": in quotes, of alt or title */
	CAMP_HTML_IN_PATH,  /* "url-path": a segment of a path, in quotes */
	CAMP_HTML_IN_QUERY  /* "url-query": a value of a query, in quotes */
};
/* "refused", "text", ...: as in the manifest. */
const char *camp_html_context_name(enum camp_html_context c);

/* A place in the blob; sorted by at. field: its name, or NULL for a block's edge: where it begins, where a branch ends, where
 * it ends. The scan fills in the rest, for fields. What stands directly beside a field in the blob is camp_template's to
 * judge; html-field-joins says what is seen directly beside it though markup or a reference lies between. */
struct camp_html_place {
	size_t at;
	const char *field;
	enum camp_html_context context;
	uint8_t quote; /* of the attribute the field stands in: '"', '\'', else 0 */
};

enum camp_html_use {
	CAMP_HTML_LINK,	   /* a href */
	CAMP_HTML_AREA,	   /* area href */
	CAMP_HTML_VML,	   /* href of VML (v:roundrect and the like) */
	CAMP_HTML_IMAGE,   /* img src, background, VML src */
	CAMP_HTML_CSS,	   /* url() in a style */
	CAMP_HTML_MENTION, /* cite and the like: nothing is loaded, nothing leads there by a click */
	CAMP_HTML_SHOWN	   /* live alone: no URL but text, decoded; what in it would be made a link, the caller says */
};

struct camp_html_url {
	enum camp_html_use use;
	size_t from, to;     /* the raw value in the blob, between the quotes; of CSS with references: of the attribute */
	uint8_t quote;	     /* '"', '\'', or 0: unquoted (a splice adds quotes) */
	struct span value;   /* decoded; a field is "{name}" (literal braces are a finding) */
	struct span stand;   /* decoded; a field is "x" */
	size_t place, places; /* the fields in it: index of the first in doc.places, count */
	struct span text;    /* LINK: what is shown, decoded, blanks folded to one; a field is "x" */
	struct span alt;     /* LINK: alt texts of the images in it */
	int no_track;	     /* data-dp-track="off" */
	int conditional;     /* stands in a conditional comment */
	size_t element;	     /* where its tag (or style) begins */
};

struct camp_html_finding {
	enum camp_html_level level;
	enum camp_html_rule rule;
	size_t at;	   /* offset in the blob */
	const char *text;  /* camp_html_rule_text */
	struct span what;  /* what stands there, raw, at most 40 octets of it: an element's or attribute's name, or empty */
	size_t place;	   /* of html-field-..., html-block: index in doc.places; else SIZE_MAX */
};

/* Any may be NULL. */
struct camp_html_fns {
	void (*finding)(void *arg, const struct camp_html_finding *f);
	/* In the order in which their elements end. Result other than 0: the finding html-url-host is added. */
	int (*url)(void *arg, const struct camp_html_url *u);
	/* The text that is shown, decoded, piece by piece, as it is written (nothing folded): not of title and style; of
	 * conditional comments too, for Outlook shows it. A field is "x". */
	void (*text)(void *arg, struct span text, size_t at);
};

struct camp_html_doc {
	struct span blob;
	struct camp_html_place *places; /* NULL if none */
	size_t count;
	const char *charset; /* of the part as declared: "utf-8" if NULL */
};

struct camp_html_result {
	unsigned errors, warnings;
	size_t body_end;  /* before the last </body>, else the end: where an image or link can be put. SIZE_MAX: nowhere,
			   * the document ends within something else than text */
	int body_tag;	  /* there was a </body> */
};

/* Reads a template. 0 (also with findings); ERR_LIMIT: more places than CAMP_HTML_PLACES, or out of order; ERR_NOMEM. */
int camp_html_scan(const struct camp_html_doc *doc, const struct camp_html_fns *fns, void *arg,
		   struct camp_html_result *result);

/* The document a second parser is to read: the blob with an x for each field. */
int camp_html_stand(struct buf *out, const struct camp_html_doc *doc);

/* Judges one message's HTML by the live levels. url is asked for each URL, and for each text that is shown: one by one, and
 * those of a line as one (0: allowed). 0; ERR_DENIED: *broken says which
 * rule and where (what and text as above, valid while html is); ERR_NOMEM. */
int camp_html_live(struct span html, const char *charset,
		   int (*url)(void *arg, const struct camp_html_url *u), void *arg,
		   struct camp_html_finding *broken);

#endif
