/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_ring_start - the store's mark: how far it has come, and on which branch.
 *
 * Story:  each time keyd begins to change a store it records a START with a random branch. A mark is
 *         generation, sequence and branch; witnesses (the audit log, relay) remember the last that
 *         they were shown. An older copy of the store has come less far than its witnesses, or,
 *         if it was used again meanwhile, does not know their branch. A mark that an officer
 *         accepted all the same is kept with the START that follows.
 * Limits: the last KEYD_RING_STARTS are kept. A branch older than all of them counts as known.
 * Source: sealpost-keyd-store(7).
 * Thread: as keyd_ring. */
#ifndef KEYD_KEYD_RING_START_H
#define KEYD_KEYD_RING_START_H

#include "keyd/keyd_ring.h"
#include "keyproto/keyproto_witness.h"

#define KEYD_RING_STARTS 256

/* generation: the store's. */
void keyd_ring_mark(const struct keyd_ring *r, uint64_t generation, struct keyproto_mark *out);
/* 1 if a store that once stood at mark can be this one; generation: this one's. */
int keyd_ring_follows(const struct keyd_ring *r, uint64_t generation,
		      const struct keyproto_mark *mark);
/* A START with a new branch. accepted: a branch that need not be known from then on, or 0. */
int keyd_ring_make_start(const struct keyd_ring *r, uint64_t accepted, struct buf *out);

#endif
