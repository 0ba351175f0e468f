/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a rotation: what happens to KEKs that are there, and notes. */
#include "core/err.h"
#include "core/num.h"
#include "keyd/keyd_record.h"
#include "keyproto/keyproto_msg.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define ITEM (4 + 8 + KEYD_WRAP_KEY)

static int rewrap_ok(const struct keyd_record_rewrap *m)
{
	return m->version >= 2 && m->count >= 1 && m->count <= KEYD_RECORD_REWRAP_MAX;
}

int keyd_record_rewrap_put(struct buf *b, const struct keyd_record_rewrap *m)
{
	wire_put_u8(b, m->shard);
	wire_put_u32(b, m->version);
	wire_put_u16(b, m->count);
	return buf_failed(b);
}

int keyd_record_rewrap_item_put(struct buf *b, const struct keyd_record_rewrap_item *m)
{
	wire_put_u32(b, m->keyref);
	wire_put_u64(b, m->generation);
	wire_put_raw(b, m->wrapped, KEYD_WRAP_KEY);
	return buf_failed(b);
}

int keyd_record_rewrap_get(struct span body, struct keyd_record_rewrap *m, struct span *items)
{
	struct wire_get g;
	uint32_t last = UINT32_MAX, keyref;

	wire_get_init(&g, body);
	m->shard = wire_get_u8(&g);
	m->version = wire_get_u32(&g);
	m->count = wire_get_u16(&g);
	if (g.failed || !rewrap_ok(m) || g.rest.n != (size_t)m->count * ITEM)
		return ERR_FORMAT;
	*items = g.rest;
	for (unsigned i = 0; i < m->count; i++) {
		keyref = num_get_u32(items->p + (size_t)i * ITEM);
		if (keyref == 0 || keyref >= last)
			return ERR_FORMAT;
		last = keyref;
	}
	return 0;
}

void keyd_record_rewrap_item_get(struct span items, unsigned i, struct keyd_record_rewrap_item *m)
{
	const uint8_t *p = items.p + (size_t)i * ITEM;

	m->keyref = num_get_u32(p);
	m->generation = num_get_u64(p + 4);
	m->wrapped = p + 12;
}

int keyd_record_kek_state_put(struct buf *b, const struct keyd_record_kek_state *m)
{
	wire_put_u8(b, m->shard);
	wire_put_u32(b, m->version);
	wire_put_u8(b, m->state);
	wire_put_u64(b, (uint64_t)m->changed);
	return buf_failed(b);
}

int keyd_record_kek_state_get(struct span body, struct keyd_record_kek_state *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->shard = wire_get_u8(&g);
	m->version = wire_get_u32(&g);
	m->state = wire_get_u8(&g);
	m->changed = (int64_t)wire_get_u64(&g);
	return wire_get_end(&g) == 0 && m->version &&
		       (m->state == KEYD_RECORD_RETIRED || m->state == KEYD_RECORD_DESTROYED)
		   ? 0
		   : ERR_FORMAT;
}

int keyd_record_note_put(struct buf *b, const struct keyd_record_note *m)
{
	wire_put_bytes8(b, m->name);
	wire_put_bytes16(b, m->value);
	return buf_failed(b);
}

int keyd_record_note_get(struct span body, struct keyd_record_note *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->name = wire_get_bytes8(&g);
	m->value = wire_get_bytes16(&g);
	return wire_get_end(&g) == 0 && keyproto_name_ok(m->name) &&
		       m->value.n <= KEYD_RECORD_NOTE_MAX
		   ? 0
		   : ERR_FORMAT;
}
