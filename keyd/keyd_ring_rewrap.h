/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_ring_rewrap - a batch of DEKs on its way from an older KEK of their shard to the newest.
 *
 *     take (loop) -> work (any thread) -> put (loop, in a change) -> REWRAP record
 *
 * Story:     take copies what the work needs out of the ring, so the ring may change meanwhile; put
 *            leaves out what died or moved since. The cursor says where take goes on: it looks at
 *            key references below it, the greatest first. A new wrap is opened again and compared
 *            before it counts, for the old one is destroyed in the end.
 * Ownership: the caller's; keys is secret memory, and wiped by the caller.
 * Errors:    ERR_NOTFOUND from take: no DEK of the shard is left behind the cursor. ERR_LIMIT: the
 *            newest KEK has made as many wraps as it may. From put, ERR_NOTFOUND: nothing to
 *            write.
 * Thread:    as drawn. */
#ifndef KEYD_KEYD_RING_REWRAP_H
#define KEYD_KEYD_RING_REWRAP_H

#include "keyd/keyd_ring.h"
#include "keyproto/keyproto_msg.h"

/* What one record takes in, and what the loop copies at one go. Fewer and longer turns disturb
 * fewer requests: with 512 and 256 more than one in a hundred met one. */
#define KEYD_RING_REWRAP_BATCH 2048

struct keyd_ring_rewrap_item {
	uint32_t keyref, version;
	uint64_t generation;
	int failed; /* its wrap did not open: it stays as it is */
	uint8_t name_size;
	uint8_t name[KEYPROTO_NAME_MAX];
	uint8_t wrapped[KEYD_WRAP_KEY], fresh[KEYD_WRAP_KEY];
};

struct keyd_ring_rewrap {
	uint8_t store[16];
	uint8_t shard;
	uint32_t from, to; /* versions of the KEK */
	uint64_t generation;
	unsigned count;
	struct keyd_ring_rewrap_item items[KEYD_RING_REWRAP_BATCH];
};

struct keyd_ring_rewrap_keys {
	uint8_t from[32], to[32], dek[32], again[32];
};

/* Fills the batch, whose count is 0 at first. cursor: UINT32_MAX at first, 0 when all were looked at.
 * generation: the store's. A batch is of one older version. 1: it is whole; 0: much was passed over,
 * call again. */
int keyd_ring_rewrap_take(const struct keyd_ring *r, unsigned shard, uint64_t generation,
			  uint32_t *cursor, struct keyd_ring_rewrap *batch,
			  struct keyd_ring_rewrap_keys *keys);
/* Ends early once *cancel (atomic; may be NULL) is not 0: ERR_LOCKED. */
int keyd_ring_rewrap_work(struct keyd_ring_rewrap *batch, struct keyd_ring_rewrap_keys *keys,
			  const int *cancel);
/* The body of a REWRAP record. */
int keyd_ring_rewrap_put(const struct keyd_ring *r, const struct keyd_ring_rewrap *batch,
			 struct buf *out);

#endif
