/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_shred.h"

#include "keyproto/keyproto_codec.h"

int keyproto_shreds_put(struct buf *b, uint32_t from)
{
	wire_put_u32(b, from);
	return buf_failed(b);
}

int keyproto_shreds_get(struct span body, uint32_t *from)
{
	struct wire_get g;

	wire_get_init(&g, body);
	*from = wire_get_u32(&g);
	return wire_get_end(&g) == 0 ? 0 : ERR_FORMAT;
}
