/* SPDX-License-Identifier: Apache-2.0 */
#include "evt/evt_pool.h"

#include <stdlib.h>

#include "core/secret.h"

static void wipe_and_free(uint8_t *data, size_t size)
{
	secret_wipe(data, size);
	free(data);
}

void evt_pool_clear(struct evt_pool *p)
{
	while (p->small_count > 0)
		wipe_and_free(p->small[--p->small_count], EVT_POOL_SMALL);
	while (p->large_count > 0)
		wipe_and_free(p->large[--p->large_count], EVT_POOL_LARGE);
}

static uint8_t *take(struct evt_pool *p, size_t size)
{
	if (size == EVT_POOL_SMALL && p->small_count > 0)
		return p->small[--p->small_count];
	if (size == EVT_POOL_LARGE && p->large_count > 0)
		return p->large[--p->large_count];
	return malloc(size);
}

/* Takes back memory of cap bytes; the kept pieces stay as they are, like the buffers of any socket.
 */
static void give(struct evt_pool *p, uint8_t *data, size_t cap, int secret)
{
	if (cap == EVT_POOL_SMALL && p->small_count < EVT_POOL_KEEP_SMALL)
		p->small[p->small_count++] = data;
	else if (cap == EVT_POOL_LARGE && p->large_count < EVT_POOL_KEEP_LARGE)
		p->large[p->large_count++] = data;
	else {
		wipe_and_free(data, cap);
		return;
	}
	if (secret)
		secret_wipe(data, cap);
}

uint8_t *evt_pool_reserve(struct evt_pool *p, struct buf *b, size_t n, int secret)
{
	size_t used = buf_size(b), size;
	uint8_t *piece;

	if (b->len + n <= b->cap || n > b->max - used || used + n > EVT_POOL_LARGE ||
	    b->cap >= EVT_POOL_LARGE || (used + n <= b->cap && used <= b->cap / 2))
		return buf_reserve(b, n); /* it fits, or never will, or is beyond us */
	size = used + n <= EVT_POOL_SMALL ? EVT_POOL_SMALL : EVT_POOL_LARGE;
	piece = take(p, size);
	if (!piece)
		return buf_reserve(b, n); /* perhaps less will do */
	if (used)
		memcpy(piece, buf_ptr(b), used);
	if (b->data)
		give(p, b->data, b->cap, secret);
	b->data = piece;
	b->cap = size;
	b->off = 0;
	b->len = used;
	return piece + used;
}

void evt_pool_return(struct evt_pool *p, struct buf *b, int secret)
{
	if (b->off != b->len || !b->data)
		return;
	give(p, b->data, b->cap, secret);
	b->data = NULL;
	b->cap = b->off = b->len = 0;
}
