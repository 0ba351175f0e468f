/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_ring_tomb - the tombstones of the ring: customers who are being, or were, destroyed.
 *
 * Story:     keyd_shred orders a destruction with _make and moves it on with _step; whoever brings
 *            a token of a witness (relay, the audit log, a backup) hands it to _merge. Each writes
 *            the body of a TOMBSTONE record, which is journalled and then taken in by
 *            keyd_ring_apply, like all records. From DEAD on, taking it in removes the customer's
 *            DEKs from ring and cache; DEK records of that customer that come later are passed
 *            over, and its name is ERR_GONE for ever.
 * Errors:    ERR_GONE, ERR_NOTFOUND, ERR_AUTH, ERR_FORMAT, ERR_NOMEM.
 * Source:    sealpost-keyd-store(7).
 * Thread:    the ring's. */
#ifndef KEYD_KEYD_RING_TOMB_H
#define KEYD_KEYD_RING_TOMB_H

#include "keyd/keyd_record_tomb.h"
#include "keyd/keyd_ring.h"

struct keyd_ring_tomb {
	struct span customer; /* lives as long as the ring */
	unsigned shard, state;
	int64_t ordered, dead, changed, since;
	uint32_t kek, backup;
};

uint32_t keyd_ring_tomb_count(const struct keyd_ring *r);
/* i < count; in the order in which they were taken in, which holds as long as the ring does. */
void keyd_ring_tomb_at(const struct keyd_ring *r, uint32_t i, struct keyd_ring_tomb *out);
/* Appends the token, for a witness: at most KEYD_RECORD_TOMB_TOKEN_MAX bytes. */
int keyd_ring_tomb_get(const struct keyd_ring *r, uint32_t i, struct buf *token);

/* The first record, REQUESTED or DEAD. ERR_NOTFOUND: no such customer. ERR_GONE: has one. */
int keyd_ring_tomb_make(const struct keyd_ring *r, struct span customer, unsigned state,
			int64_t now, struct buf *out);
/* The next record of tombstone i, in that state (a later one, or the same). */
int keyd_ring_tomb_step(const struct keyd_ring *r, uint32_t i, unsigned state, int64_t now,
			struct buf *out);
/* 1: out got the body of a record that marks the customer dead. 0: known already. ERR_FORMAT,
 * ERR_AUTH: not a token of this store; nothing to believe. The customer need not be known here. */
int keyd_ring_tomb_merge(const struct keyd_ring *r, struct span token, int64_t now,
			 struct buf *out);

#endif
