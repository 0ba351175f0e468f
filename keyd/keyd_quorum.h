/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_quorum - operations that one officer alone may not do: kept until others approve.
 *
 * Story:     an operation whose class needs more than one approval is added as a proposal; whoever
 *            proposed it has approved it. Others, each under a uid of his own, approve by number;
 *            with the last needed approval the proposal is taken out and done. It is gone after
 *            KEYD_QUORUM_TIME, and when keyd locks or ends. What is approved is these very bytes: digest is
 *            their SHA-256, shown to those who are asked.
 * Ownership: bodies are copied to secret memory, and wiped when the proposal is gone.
 * Errors:    ERR_LIMIT (table full), ERR_NOMEM, ERR_NOTFOUND, ERR_EXISTS (this uid has approved
 *            already), ERR_DENIED (withdrawn by another than who proposed).
 * Source:    key quorum; sealpost-keyd(8).
 * Thread:    one. Pure: time is an argument (clock_mono). */
#ifndef KEYD_KEYD_QUORUM_H
#define KEYD_KEYD_QUORUM_H

#include "core/clock.h"
#include "core/span.h"

#define KEYD_QUORUM_MAX	     16
#define KEYD_QUORUM_EACH     8 /* of one uid */
#define KEYD_QUORUM_NEED_MAX 8
#define KEYD_QUORUM_TIME     (3600 * CLOCK_SEC)

/* Classes of operations; each has a key under quorum:. */
enum keyd_quorum_class {
	KEYD_QUORUM_NONE,
	KEYD_QUORUM_SLOT,
	KEYD_QUORUM_SHRED,
	KEYD_QUORUM_ZEROIZE
};

struct keyd_quorum_proposal {
	uint64_t number; /* 0: free place */
	unsigned op;
	uint8_t digest[32];
	unsigned have, need;
	uint32_t uids[KEYD_QUORUM_NEED_MAX]; /* have of them; the first proposed it */
	int64_t ends;
	uint8_t *body; /* secret memory */
	size_t n;
};

struct keyd_quorum {
	uint64_t last; /* number that was given out last */
	struct keyd_quorum_proposal items[KEYD_QUORUM_MAX];
};

/* need: 2..KEYD_QUORUM_NEED_MAX approvals, this one included. */
int keyd_quorum_add(struct keyd_quorum *q, unsigned op, struct span body, uint32_t uid,
		    unsigned need, int64_t now, struct keyd_quorum_proposal **out);
/* *out stays in the table; have == need: it is to be taken out and done. */
int keyd_quorum_approve(struct keyd_quorum *q, uint64_t number, uint32_t uid, int64_t now,
			struct keyd_quorum_proposal **out);
/* The proposal if uid made it; the caller drops it. */
int keyd_quorum_withdraw(struct keyd_quorum *q, uint64_t number, uint32_t uid, int64_t now,
			 struct keyd_quorum_proposal **out);
/* The next that ran out of time, or NULL; the caller drops it. */
struct keyd_quorum_proposal *keyd_quorum_expired(struct keyd_quorum *q, int64_t now);
/* Wipes. */
void keyd_quorum_drop(struct keyd_quorum_proposal *p);
void keyd_quorum_clear(struct keyd_quorum *q);

#endif
