/* SPDX-License-Identifier: Apache-2.0 */
/* camp_html_walk - what the files behind camp_html.h share: one walk over one document.
 *
 * Story:     camp_html.c makes the walk and feeds it with tokens; camp_html_tag.c judges elements and attributes,
 *            camp_html_meta.c <meta>, camp_html_url.c URLs and the fields in them, camp_html_css.c styles,
 *            camp_html_comment.c comments, camp_html_place.c fields and edges in text. All report by camp_html_walk_found.
 * Positions: "stand" positions count octets of the document that is tokenized, where each field is one x;
 *            camp_html_walk_blob turns them into the blob's.
 * Thread:    pure; any. */
#ifndef CAMPAIGN_CAMP_HTML_WALK_H
#define CAMPAIGN_CAMP_HTML_WALK_H

#include "campaign/camp_html.h"
#include "campaign/camp_html_depth.h"
#include "core/err.h"
#include "mail/mail_html.h"

#define CAMP_HTML_GROUNDS 128
/* So many findings are told; more are only counted. */
#define CAMP_HTML_TOLD 1000

struct camp_html_ground {
	uint32_t colour; /* 0xrrggbb, or CAMP_HTML_NO_COLOUR */
	const char *element;
};
#define CAMP_HTML_NO_COLOUR UINT32_MAX

struct camp_html_walk {
	const struct camp_html_doc *doc;
	const struct camp_html_fns *fns;
	void *arg;
	struct camp_html_result *result;
	struct camp_html_finding *broken; /* live: the first that breaks a rule */
	int live, error, stop;
	unsigned told;
	struct span stand;
	struct buf stand_buf;
	size_t *stand_at; /* of each place */
	uint8_t *done;	  /* of each place: it has its context, or its finding */
	size_t next;	  /* first place that no token has covered yet */
	int conditional;  /* within a conditional comment */
	size_t raw_end;	  /* there, within <noscript>: where its end tag has to be; 0: in none */
	int begun;	  /* something but blanks and comments was seen */
	int cut;	  /* the document ends within something else than text */
	/* Fields in text: camp_html_place.c */
	uint8_t last;	   /* what is seen before, in this line; 0: a field, or nothing */
	size_t last_end;   /* where it ends in the stand */
	size_t open_field; /* waits for what is seen behind it; SIZE_MAX: none does */
	int dot;	   /* which was a dot so far */
	/* The link that is open */
	int in_link, has_url;
	int outer_link; /* within a conditional comment: one is open around it */
	struct camp_html_url link;
	struct span link_raw, link_tag; /* in the stand: its value, the name of its tag */
	struct buf run;	     /* live: the text of the line at hand */
	unsigned run_pieces; /* in how many tokens it came */
	size_t run_at;
	struct buf text, alt, value, stand_value, link_value, link_stand, scratch;
	/* Backgrounds of the elements that are open */
	unsigned grounds;
	struct camp_html_ground ground[CAMP_HTML_GROUNDS];
	struct mail_html html, inner;
	struct camp_html_depth depth, inner_depth; /* live: of the document, of the conditional comment at hand */
};

/* Tells of a broken rule at a stand position. what: raw, a span of the stand; place: SIZE_MAX if it is about none. */
void camp_html_walk_found(struct camp_html_walk *w, enum camp_html_rule rule, size_t at,
			  struct span what, size_t place);
static inline void camp_html_walk_say(struct camp_html_walk *w, enum camp_html_rule rule,
				      struct span what)
{
	camp_html_walk_found(w, rule, (size_t)(what.p - w->stand.p), what, SIZE_MAX);
}
size_t camp_html_walk_blob(const struct camp_html_walk *w, size_t stand_at);
static inline size_t camp_html_walk_at(const struct camp_html_walk *w, struct span s)
{
	return (size_t)(s.p - w->stand.p);
}
/* First place at or behind a stand position. */
size_t camp_html_walk_place(const struct camp_html_walk *w, size_t stand_at);
/* Asked after what was put into a buffer of the walk: without memory, nothing that was found holds. */
static inline void camp_html_walk_kept(struct camp_html_walk *w, const struct buf *b)
{
	if (buf_failed(b) == ERR_NOMEM)
		w->error = ERR_NOMEM;
}
/* An attribute's value, decoded into scratch. */
struct span camp_html_walk_decoded(struct camp_html_walk *w, const struct mail_html_attr *a);
/* All tokens of t; its document is within the stand. */
void camp_html_walk_tokens(struct camp_html_walk *w, struct mail_html *t);

/* A start tag, an end tag. */
void camp_html_tag_start(struct camp_html_walk *w, const struct mail_html_token *token);
void camp_html_tag_end(struct camp_html_walk *w, const struct mail_html_token *token);
void camp_html_meta(struct camp_html_walk *w, const struct mail_html_token *token);
/* Live: what has been shown so far is a line of its own. */
void camp_html_walk_line(struct camp_html_walk *w);
/* The link that is open ends here. */
void camp_html_tag_link_end(struct camp_html_walk *w);

/* A URL in an attribute. At once told of, but LINK: kept until the link ends. */
void camp_html_url_attr(struct camp_html_walk *w, const struct mail_html_token *token,
			const struct mail_html_attr *a, enum camp_html_use use, int no_track);
/* A URL cut out of a style. from, to: stand positions. */
void camp_html_url_css(struct camp_html_walk *w, struct span value, size_t from, size_t to,
		       uint8_t quote, size_t element);
/* raw: the value, in the stand. */
void camp_html_url_tell(struct camp_html_walk *w, const struct camp_html_url *url, struct span raw);

/* The content of a style element or attribute, decoded. at: stand position it comes from; exact: octet by octet. */
void camp_html_css(struct camp_html_walk *w, struct span css, size_t at, size_t to, int exact,
		   uint8_t quote, size_t element);
/* A style attribute: what hides its text; its colours (CAMP_HTML_NO_COLOUR if not said). */
struct camp_html_css_look {
	int hidden;
	uint32_t colour, ground;
};
void camp_html_css_look(struct span css, struct camp_html_css_look *look);
uint32_t camp_html_css_colour(struct span value);
/* A style element: rules that hide, but those for some media alone (what small screens hide others show). */
void camp_html_css_sheet(struct camp_html_walk *w, struct span css);

void camp_html_comment(struct camp_html_walk *w, const struct mail_html_token *token);
/* 1 if a conditional comment begins in a value or a style, which Outlook might read and nobody else does. */
int camp_html_comment_in(struct span s);

/* Text that is shown: its fields and edges. */
void camp_html_place_text(struct camp_html_walk *w, const struct mail_html_token *token);
/* A tag that breaks the line stands between texts. */
void camp_html_place_break(struct camp_html_walk *w);
/* Fields and edges before stand position to that nobody has covered may not stand there: edges at to itself are left. */
void camp_html_place_refuse(struct camp_html_walk *w, size_t to);
/* Edges that stand exactly between two tokens of plain text or tags. */
void camp_html_place_between(struct camp_html_walk *w, size_t at, int plain);
/* Marks a field: what it may be. In a conditional comment, what stands behind it is looked at. */
void camp_html_place_set(struct camp_html_walk *w, size_t place, enum camp_html_context context,
			 uint8_t quote);
/* A finding about a field; it stays refused. */
void camp_html_place_deny(struct camp_html_walk *w, size_t place, enum camp_html_rule rule);
/* 1 if a character reference could begin in the literal before this place and go on in its value. */
int camp_html_place_hanging(const struct camp_html_walk *w, size_t place);

#endif
