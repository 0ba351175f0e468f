/* SPDX-License-Identifier: Apache-2.0 */
/* camp_edit - what is to be put in the place of what, in the body of a message that passed the gate.
 *
 * Story:     the judge of a message notes where links, the pixel and the like came to lie (their
 *            sources, see mail_gate.h); tracking makes edits of them; camp_splice carries them out.
 *            A TEXT edit says octets of the decoded text: the splicer puts them into the part's own
 *            encoding. A RAW edit puts octets as they are (what undoes edits of the other kind).
 * Places:    TEXT in a 7bit, 8bit or quoted-printable part, and RAW anywhere: offsets in the message's
 *            body. TEXT in a base64 part: offsets in the decoded part. from == to: something is put in.
 * Ownership: edits borrow their text.
 * Thread:    pure; any. */
#ifndef CAMPAIGN_CAMP_EDIT_H
#define CAMPAIGN_CAMP_EDIT_H

#include "mail/mail_gate.h"

#define CAMP_EDIT_MAX	 4096 /* edits of a message */
#define CAMP_EDIT_OCTETS 4096 /* of one TEXT edit's text */

enum camp_edit_kind { CAMP_EDIT_TEXT, CAMP_EDIT_RAW };

struct camp_edit {
	unsigned part; /* mail_gate_part.index */
	enum camp_edit_kind kind;
	uint64_t from, to;
	struct span text; /* TEXT: no control characters but TAB; in a 7bit part ASCII alone */
};

/* What the splicer must know of a part with edits; filled at its end. */
struct camp_edit_part {
	unsigned index;
	enum mail_cte encoding;
	int protect;
	unsigned width;
	uint64_t raw_from, raw_to;
	uint64_t size; /* base64: decoded octets */
};
/* part: as the gate's end tells it. */
void camp_edit_part_of(struct camp_edit_part *dst, const struct mail_gate_part *part);

/* By part and place; edits at one place keep their order. ERR_NOMEM. */
int camp_edit_sort(struct camp_edit *edits, size_t n);
/* 0 if sorted edits are fit for these parts (in preorder): each in a part that is listed, within it, not
 * protected, none overlapping the one before, those of a part of one kind, their text permitted. Else ERR_FORMAT, ERR_LIMIT or
 * ERR_DENIED (protected), with *at the edit's index. */
int camp_edit_check(const struct camp_edit *edits, size_t n, const struct camp_edit_part *parts,
		    size_t n_parts, size_t *at);

#endif
