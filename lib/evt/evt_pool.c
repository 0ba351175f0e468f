/* SPDX-License-Identifier: Apache-2.0 */
#include "evt/evt_pool.h"

#include <stdlib.h>

#include "core/secret.h"

static void class_clear(struct evt_pool_class *c, size_t size)
{
	while (c->count > 0) {
		uint8_t *piece = c->piece[--c->count];
		secret_wipe(piece, size);
		free(piece);
	}
}

void evt_pool_clear(struct evt_pool *p)
{
	class_clear(&p->small, EVT_POOL_SMALL);
	class_clear(&p->large, EVT_POOL_LARGE);
}

static struct evt_pool_class *class_of(struct evt_pool *p, size_t size)
{
	return size == EVT_POOL_SMALL ? &p->small : size == EVT_POOL_LARGE ? &p->large : NULL;
}

/* Takes back memory of cap bytes; the kept pieces stay as they are, like the buffers of any socket. */
static void give(struct evt_pool *p, uint8_t *data, size_t cap, int secret)
{
	struct evt_pool_class *c = class_of(p, cap);
	int keep = c && c->count < EVT_POOL_KEEP;

	if (secret || !keep)
		secret_wipe(data, cap);
	if (keep)
		c->piece[c->count++] = data;
	else
		free(data);
}

uint8_t *evt_pool_reserve(struct evt_pool *p, struct buf *b, size_t n, int secret)
{
	size_t used = buf_size(b), size;
	struct evt_pool_class *c;
	uint8_t *piece;

	if (b->len + n <= b->cap || n > b->max - used || used + n > EVT_POOL_LARGE ||
	    b->cap >= EVT_POOL_LARGE || (used + n <= b->cap && used <= b->cap / 2))
		return buf_reserve(b, n); /* it fits, or never will, or is beyond us */
	size = used + n <= EVT_POOL_SMALL ? EVT_POOL_SMALL : EVT_POOL_LARGE;
	c = class_of(p, size);
	piece = c->count ? c->piece[--c->count] : malloc(size);
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
