/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_ring_manifest - the ring's approvers of campaigns, and the keys of tracking tokens and audiences.
 *
 * Story:     as keyd_ring.h: _make_* writes a record, the caller journals it, keyd_ring_apply takes
 *            it in. A tracking key lies under one of its customer's DEKs. Before that DEK is
 *            retired the key moves under the newest (_track_move, in the same change); while it
 *            has not, the DEK cannot be destroyed. With the customer the key is gone.
 * Errors:    as keyd_ring.h.
 * Thread:    one. */
#ifndef KEYD_KEYD_RING_MANIFEST_H
#define KEYD_KEYD_RING_MANIFEST_H

#include "keyd/keyd_record_manifest.h"
#include "keyd/keyd_ring.h"

/* ERR_NOTFOUND. Names are found whatever their case. *out lives until the next change. */
int keyd_ring_approver(const struct keyd_ring *r, struct span name,
		       struct keyd_record_approver *out);
/* Approver i, from 0, in order of enrolment; ERR_NOTFOUND: no more. */
int keyd_ring_approver_at(const struct keyd_ring *r, unsigned i, struct keyd_record_approver *out);
/* m->spki empty: takes him away. ERR_EXISTS, ERR_LIMIT (as many as can be), ERR_NOTFOUND. */
int keyd_ring_make_approver(const struct keyd_ring *r, const struct keyd_record_approver *m,
			    struct buf *out);

/* A fresh tracking key for a customer. ERR_EXISTS. */
int keyd_ring_make_track(struct keyd_ring *r, uint32_t customer, int64_t now, struct buf *out);
/* 1: the customer's key lies under that DEK. */
int keyd_ring_track_under(const struct keyd_ring *r, uint32_t customer, uint32_t keyref);
/* The record that puts it under the newest. ERR_NOTFOUND: he has none. */
int keyd_ring_track_move(struct keyd_ring *r, uint32_t customer, struct buf *out);
/* The key of one epoch into secret memory. ERR_NOTFOUND: the customer has no key yet. */
int keyd_ring_track_key(struct keyd_ring *r, uint32_t customer, uint32_t epoch, uint8_t out[32]);
/* The key of his audiences, which comes from the same: as above. */
int keyd_ring_audience_key(struct keyd_ring *r, uint32_t customer, uint8_t out[32]);

#endif
