/* SPDX-License-Identifier: Apache-2.0 */
/* camp_splice - carries out edits in a message's body and leaves every other octet as it is.
 *
 * Story:     new with all edits; feed with the body as the gate saw it, in pieces of any size, which
 *            gives the new body to emit; end.
 *              7bit, 8bit        the octets of the edit alone change. A line that would pass 998 octets
 *                                is refused (ERR_LIMIT), as the next hop would have to break it
 *              quoted-printable  the encoded lines an edit touches are wrapped anew, at 76 characters,
 *                                between the line breaks that surround them: characters an edit does not
 *                                touch keep the form they have, other lines are not touched
 *              base64            from the line with the first edited quantum on, the part is encoded anew
 *                                with its own width and line ends; decoded octets outside the edits are
 *                                the same
 *            An edit in the first 72 octets of a line that begins with "--" and no blank (a delimiter, to
 *            some reader) is refused (ERR_DENIED) where the dash cannot be encoded; so is one that leaves
 *            nothing behind the soft break of a line that it does not touch. Nothing in a part without
 *            edits changes; without edits nothing does.
 * Undo:      watch tells which octets of the old body became which of the new one: RAW edits of them
 *            undo it to the octet.
 * Ownership: edits, parts and their texts are borrowed until free.
 * Limits:    fixed memory, about 10 KiB; edits CAMP_EDIT_MAX.
 * Time:      linear.
 * Thread:    pure; one at a time. */
#ifndef CAMPAIGN_CAMP_SPLICE_H
#define CAMPAIGN_CAMP_SPLICE_H

#include "campaign/camp_edit.h"

struct camp_splice;

/* edits: sorted; parts: those with edits at least, in preorder. 0, ERR_NOMEM, or what camp_edit_check
 * says. */
int camp_splice_new(struct camp_splice **s, const struct camp_edit *edits, size_t n_edits,
		    const struct camp_edit_part *parts, size_t n_parts);
void camp_splice_free(struct camp_splice *s);

/* Octets of the new body, in order. A result below 0 ends the work and is given back. */
typedef int (*camp_splice_emit_fn)(void *arg, struct span raw);
int camp_splice_feed(struct camp_splice *s, struct span raw, camp_splice_emit_fn emit, void *arg);
/* ERR_FORMAT: the body was not the one the edits were made for (it ended before them, or a part is not
 * of its encoding). */
int camp_splice_end(struct camp_splice *s, camp_splice_emit_fn emit, void *arg);

/* old body [from, to) became new body [new_from, new_to); in order, not overlapping. */
typedef void (*camp_splice_watch_fn)(void *arg, uint64_t from, uint64_t to, uint64_t new_from,
				     uint64_t new_to);
void camp_splice_watch(struct camp_splice *s, camp_splice_watch_fn fn, void *arg);

#endif
