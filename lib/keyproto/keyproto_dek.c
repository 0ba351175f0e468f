/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_dek.h"

#include "keyproto/keyproto_codec.h"

static int dek_ok(const struct keyproto_dek *d)
{
	return keyproto_name_ok(d->customer) && d->keyref && d->version &&
	       (d->state == KEYPROTO_DEK_ACTIVE || d->state == KEYPROTO_DEK_RETIRED);
}

int keyproto_deks_put(struct buf *b, const struct keyproto_dek *items, unsigned count)
{
	if (count > KEYPROTO_BATCH_MAX)
		return keyproto_codec_refuse(b);
	wire_put_u16(b, (uint16_t)count);
	for (unsigned i = 0; i < count; i++) {
		if (!dek_ok(&items[i]))
			return keyproto_codec_refuse(b);
		wire_put_bytes8(b, items[i].customer);
		wire_put_u32(b, items[i].keyref);
		wire_put_u32(b, items[i].version);
		wire_put_u8(b, items[i].state);
		wire_put_u64(b, items[i].created);
		wire_put_u64(b, items[i].changed);
	}
	return buf_failed(b);
}

int keyproto_deks_get(struct span body, struct keyproto_dek *items)
{
	struct wire_get g;
	unsigned count;

	wire_get_init(&g, body);
	count = wire_get_u16(&g);
	if (count > KEYPROTO_BATCH_MAX)
		return ERR_FORMAT;
	for (unsigned i = 0; i < count; i++) {
		items[i].customer = wire_get_bytes8(&g);
		items[i].keyref = wire_get_u32(&g);
		items[i].version = wire_get_u32(&g);
		items[i].state = wire_get_u8(&g);
		items[i].created = wire_get_u64(&g);
		items[i].changed = wire_get_u64(&g);
		if (!dek_ok(&items[i]))
			return ERR_FORMAT;
	}
	return wire_get_end(&g) == 0 ? (int)count : ERR_FORMAT;
}

int keyproto_dek_empty_put(struct buf *b, const struct keyproto_dek_empty *m)
{
	if (!keyproto_name_ok(m->customer) || !m->keyref)
		return keyproto_codec_refuse(b);
	wire_put_bytes8(b, m->customer);
	wire_put_u32(b, m->keyref);
	return buf_failed(b);
}

int keyproto_dek_empty_get(struct span body, struct keyproto_dek_empty *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->customer = wire_get_bytes8(&g);
	m->keyref = wire_get_u32(&g);
	return wire_get_end(&g) == 0 && keyproto_name_ok(m->customer) && m->keyref ? 0 : ERR_FORMAT;
}
