/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_op_held - an administrative operation between its two lines in the audit log.
 *
 *     request -> intent written, synced -> handler -> outcome written, signed -> answer
 *                     |                                    |
 *                not written: E_INTERNAL              not written: kept for later
 *
 * Story:     the request's body is copied to secret memory, since the frame that it came in is
 *            gone by the time the disk has answered. Then the handler runs as if the request had
 *            just come; what it answers, at once or late, comes back through keyd_op_held_end.
 *            LOCK alone is done even if it cannot be recorded: that is loud, and safer.
 *            An approval that completes a proposal holds the operation that was proposed in turn
 *            (outer).
 * Ownership: counts for one of the session's unanswered requests; frees itself.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_OP_HELD_H
#define KEYD_KEYD_OP_HELD_H

#include "keyd/keyd_op.h"

/* What the two lines say beside who, and which operation: values as keyd_audit_put takes them,
 * pointing into the body. ERR_FORMAT: the body is malformed. */
typedef int keyd_op_tell(struct span body, struct audit_value *values);
#define KEYD_OP_TELL_MAX 6 /* of them, the end not counted */

struct keyd_op_plan {
	int (*handler)(struct keyd_op_call *call);
	keyd_op_tell *tell; /* NULL: nothing more */
	unsigned states;    /* the handler runs in these; asked again once the intent is written */
	const char *as;	    /* "proposal", or NULL */
};

/* Returns KEYD_OP_LATER or an error. */
int keyd_op_held_start(struct keyd_op_call *call, const struct keyd_op_plan *plan);
/* From within outer's handler, which then returns KEYD_OP_LATER: runs op with body, and answers
 * outer with what comes out. */
int keyd_op_held_inner(struct keyd_op_call *outer, unsigned op, struct span body,
		       const struct keyd_op_plan *plan);

/* For keyd_op's late answers. */
void keyd_op_held_end(struct keyd_op_held *h, int rc, struct span body);

#endif
