/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_witness - is this store an older copy of itself? What others remember of it says so.
 *
 * Story:     witnesses are the audit log, read at start, and relay, which speaks at each connect.
 *            A mark that was heard while keyd is locked is looked at when it opens; one that is
 *            heard later, at once. A store that does not follow from a witness's mark is served to
 *            nobody: keyd locks, says ROLLED BACK, and opens again only after an officer accepted
 *            it (ACCEPT). So does a store that came out of a backup. The tombstones of the
 *            witnesses are taken in before anything is served.
 * Limits:    KEYD_WITNESS_PENDING bytes of tombstones are kept while locked; more are refused, and
 *            the witness tries again.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_WITNESS_H
#define KEYD_KEYD_WITNESS_H

#include "core/buf.h"
#include "keyproto/keyproto_witness.h"

#define KEYD_WITNESS_PENDING (8 * 1024 * 1024)
#define KEYD_WITNESS_ACCEPTED "store/accepted" /* note: u64, the sequence at which that was recorded */

struct keyd;
struct keyd_ring;
struct keyd_snapshot_head;

enum keyd_witness_source { KEYD_WITNESS_AUDIT, KEYD_WITNESS_RELAY, KEYD_WITNESS_SOURCES };

struct keyd_witness {
	struct keyproto_mark marks[KEYD_WITNESS_SOURCES]; /* the last heard of each; zeros: none */
	struct buf tombs;				  /* pending, each bytes16 */
	const char *why;				  /* rolled back: static text; else NULL */
	uint64_t branch;				  /* of the mark that said so */
	int accepted;
};
void keyd_witness_init(struct keyd_witness *w);
void keyd_witness_clear(struct keyd_witness *w);

/* A source's mark. READY: ERR_ROLLBACK if it says that this is an older copy; keyd is locked then.
 * Otherwise it is kept for keyd_witness_check. */
int keyd_witness_heard(struct keyd *k, enum keyd_witness_source source,
		       const struct keyproto_mark *mark);
/* A tombstone heard while keyd is locked. ERR_LIMIT. */
int keyd_witness_pend(struct keyd *k, struct span tomb);
/* The ring is loaded and not served yet; head: its store's. 0, or ERR_ROLLBACK. */
int keyd_witness_check(struct keyd *k, const struct keyd_ring *ring,
		       const struct keyd_snapshot_head *head);
/* Before the ring is served: records that what stood against it was accepted, and the tombstones
 * that wait. A failure (ERR_NOSPACE, ERR_IO, ERR_NOMEM) means that it may not be served yet. */
int keyd_witness_prepare(struct keyd *k, struct keyd_ring *ring);
/* READY: an accepted store no longer counts as come out of a backup. */
void keyd_witness_ready(struct keyd *k);
/* READY: takes in tombstones, if there are any that the ring does not know. */
void keyd_witness_tombs(struct keyd *k, const struct span *tombs, unsigned count);

#endif
