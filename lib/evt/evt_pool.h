/* SPDX-License-Identifier: Apache-2.0 */
/* evt_pool - memory that connections of one loop lend each other for the length of a turn.
 *
 * Story:     a connection that reads or writes takes a piece from here into its buf and gives it
 *            back when the buf is empty again. So an idle connection holds nothing, and a busy one
 *            never asks the allocator.
 * Ownership: a piece is ordinary malloc memory: a buf may also free it or grow out of it.
 * Limits:    as many pieces of each size are kept as are stated here; what comes back beyond that
 *            is wiped and freed.
 * Thread:    the loop's. */
#ifndef EVT_EVT_POOL_H
#define EVT_EVT_POOL_H

#include "core/buf.h"

#define EVT_POOL_SMALL (16u << 10)  /* one TLS record, one batch of replies */
#define EVT_POOL_LARGE (128u << 10) /* a body on its way out */
#define EVT_POOL_KEEP_SMALL 128
#define EVT_POOL_KEEP_LARGE 16

struct evt_pool {
	unsigned small_count, large_count;
	uint8_t *small[EVT_POOL_KEEP_SMALL];
	uint8_t *large[EVT_POOL_KEEP_LARGE];
};

void evt_pool_clear(struct evt_pool *p);

/* As buf_reserve, but memory comes from the pool if b has too little. secret: what b gives back is
 * wiped. */
uint8_t *evt_pool_reserve(struct evt_pool *p, struct buf *b, size_t n, int secret);
/* Takes b's memory back if b is empty. */
void evt_pool_return(struct evt_pool *p, struct buf *b, int secret);

#endif
