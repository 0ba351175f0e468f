/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_witness.h"

#include "keyproto/keyproto_codec.h"

int keyproto_witness_put(struct buf *b, const struct keyproto_witness *m)
{
	if (m->count > KEYPROTO_TOMBS_MAX)
		return keyproto_codec_refuse(b);
	wire_put_raw(b, m->store, 16);
	wire_put_u64(b, m->mark.generation);
	wire_put_u64(b, m->mark.sequence);
	wire_put_u64(b, m->mark.branch);
	wire_put_u32(b, m->number);
	wire_put_u16(b, m->count);
	for (unsigned i = 0; i < m->count; i++) {
		if (m->tombs[i].n < 1 || m->tombs[i].n > KEYPROTO_TOMB_MAX)
			return keyproto_codec_refuse(b);
		wire_put_bytes16(b, m->tombs[i]);
	}
	return buf_failed(b);
}

int keyproto_witness_get(struct span body, struct keyproto_witness *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->store = wire_get_raw(&g, 16).p;
	m->mark.generation = wire_get_u64(&g);
	m->mark.sequence = wire_get_u64(&g);
	m->mark.branch = wire_get_u64(&g);
	m->number = wire_get_u32(&g);
	m->count = wire_get_u16(&g);
	if (m->count > KEYPROTO_TOMBS_MAX)
		return ERR_FORMAT;
	for (unsigned i = 0; i < m->count; i++) {
		m->tombs[i] = wire_get_bytes16(&g);
		if (m->tombs[i].n < 1 || m->tombs[i].n > KEYPROTO_TOMB_MAX)
			return ERR_FORMAT;
	}
	return wire_get_end(&g) < 0 ? ERR_FORMAT : 0;
}
