/* SPDX-License-Identifier: Apache-2.0 */
/* camp_html_depth - how many elements of a document are open at once.
 *
 * Story:     init, then each tag in its order, until one is too deep. Readers and the lint's second parser take time by the
 *            depth, or by its square, so what this counts as closed is not still open for them: an end tag counts only
 *            where the standard lets it close, formatting that another's end tag leaves open goes on counting, for a parser
 *            opens it anew in what follows. Tags whose end may be left out (p, li, td, tr and the like) close each other.
 * Ownership: borrows the document, for the names.
 * Time:      an end tag that closes nothing is held against what is open: CAMP_HTML_DEPTH short comparisons at most.
 * Thread:    pure.
 * Source:    WHATWG HTML 13.2.6 (tree construction). */
#ifndef CAMPAIGN_CAMP_HTML_DEPTH_H
#define CAMPAIGN_CAMP_HTML_DEPTH_H

#include "mail/mail_html.h"

#define CAMP_HTML_DEPTH	      512 /* what browsers nest at most */
#define CAMP_HTML_DEPTH_NAMES 14  /* of formatting elements */

struct camp_html_depth {
	unsigned max; /* at most CAMP_HTML_DEPTH */
	/* its own */
	unsigned n;
	unsigned depth; /* elements that are open */
	unsigned left;	/* formatting that another's end tag left open */
	unsigned left_of[CAMP_HTML_DEPTH_NAMES];
	struct camp_html_depth_open {
		struct span name;
		uint32_t hash;
		uint8_t kind;
	} open[CAMP_HTML_DEPTH];
};

void camp_html_depth_init(struct camp_html_depth *d, unsigned max);
/* 1: with this tag more than max are open, and it is not counted. Tokens of other types are no tags. */
int camp_html_depth_tag(struct camp_html_depth *d, const struct mail_html_token *token);

#endif
