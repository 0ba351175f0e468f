/* SPDX-License-Identifier: Apache-2.0 */
/* camp_match - holds canonical text against a compiled template, once, from left to right.
 *
 * Story:     begin; feed with pieces of any size; end. Literals are compared by whole stretches, fields are
 *            scanned through tables, blocks are decided by the octets they differ in. No octet is looked at
 *            more than CAMP_OP_DEPTH times, nothing is allocated. Marks (the ends of links, the pixel) are
 *            told in order, when the octet behind them is there.
 * Places:    a mark has the canonical offset, and the source that the runs of mail_gate.h give it (without
 *            runs: the canonical offset).
 * Ownership: borrows the compiled campaign and the parameters until the next begin. The struct is a caller's
 *            to embed.
 * Thread:    one at a time. */
#ifndef CAMPAIGN_CAMP_MATCH_H
#define CAMPAIGN_CAMP_MATCH_H

#include "campaign/camp_field.h"
#include "campaign/camp_template.h"
#include "mail/mail_gate.h"

enum camp_mark_kind { CAMP_MARK_LINK_FROM, CAMP_MARK_LINK_TO, CAMP_MARK_PIXEL };
struct camp_mark {
	enum camp_mark_kind kind;
	unsigned link;	    /* index of the link */
	uint64_t canonical; /* offset in the part's canonical text */
	uint64_t source; /* of the octet there; at_end: not known yet, take mail_gate_part.tail */
	int at_end;	 /* the text ends here */
	struct span
	    values; /* LINK_TO: values of the fields in a tracked link as they stand in the
			     * URL (percent-encoded; of a url-choice all of it, decoded), each with its
			     * length (one octet) before it */
};

struct camp_match_params {
	struct span rcpt; /* the envelope's recipient, without brackets */
	/* below 0 stops the matcher, and feed gives it back. May be NULL. */
	int (*mark)(void *arg, const struct camp_mark *mark);
	void *arg;
};

struct camp_match {
	const struct camp_compiled *compiled;
	const struct camp_match_params *params;
	const void *program;
	/* why and where it failed */
	enum camp_verdict verdict;
	uint64_t canonical; /* octets consumed: the message's offset */
	uint64_t lines;	    /* newlines among them */
	uint32_t blob;	    /* the template's offset */
	unsigned field;	    /* index, of FIELD_* verdicts; else CAMP_NONE */
	uint64_t steps;	    /* octets looked at and instructions run: for tests of linear time */
	/* private */
	unsigned pc, failed;
	uint32_t at;	 /* in the instruction: octets done */
	uint64_t shape;	 /* of a field */
	unsigned lo, hi; /* what is left of sorted values */
	unsigned count[CAMP_OP_DEPTH];
	uint8_t value[CAMP_FIELD_MAX];
	uint8_t held[CAMP_LOOKAHEAD]; /* octets of earlier pieces that a block looks at */
	uint64_t held_source[CAMP_LOOKAHEAD];
	unsigned n_held;
	uint8_t data[CAMP_LINK_DATA + 1];
	unsigned n_data;
	int in_link;
};

void camp_match_begin(struct camp_match *m, const struct camp_compiled *c, unsigned tpl,
		      const struct camp_match_params *params);
/* 0; ERR_FORMAT: no instance, the struct says why; what mark said. */
int camp_match_feed(struct camp_match *m, struct span canonical);
int camp_match_feed_runs(struct camp_match *m, struct span canonical,
			 const struct mail_gate_run *runs, size_t n_runs);
int camp_match_end(struct camp_match *m);

#endif
