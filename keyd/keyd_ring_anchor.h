/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_ring_anchor - under which key the ring's KEKs are wrapped: that of the root alone, or of
 * root and anchor together.
 *
 * Story:     a ring is told its anchor before it takes records in (_use),
 *            or that it is missing (_missing): then KEKs cannot be opened, and loading ends with
 *            ERR_NOTFOUND, once all is verified. To change the anchor, _begin wraps every KEK and
 *            the key of backups under the next one beside what is there; the snapshot written
 *            then (keyd_ring_each) holds the new wraps; _commit makes them the ring's, if that
 *            snapshot is on disk, _cancel forgets them.
 * Errors:    ERR_NOMEM, ERR_CRYPTO, ERR_LIMIT; ERR_BADSTATE: a change is being made already.
 * Thread:    the ring's. */
#ifndef KEYD_KEYD_RING_ANCHOR_H
#define KEYD_KEYD_RING_ANCHOR_H

#include "keyd/keyd_ring.h"

/* Before records are taken in. */
int keyd_ring_anchor_use(struct keyd_ring *r, const uint8_t anchor[32]);
void keyd_ring_anchor_missing(struct keyd_ring *r);
int keyd_ring_anchor_begin(struct keyd_ring *r, const uint8_t anchor[32]);
void keyd_ring_anchor_commit(struct keyd_ring *r);
void keyd_ring_anchor_cancel(struct keyd_ring *r);

/* As keyd_ring_each, with KEKs wrapped for a store without anchor and no secret of a backup's key:
 * what goes into a backup. */
int keyd_ring_anchor_each_bare(const struct keyd_ring *r,
			       int (*fn)(void *arg, unsigned type, struct span body), void *arg);

#endif
