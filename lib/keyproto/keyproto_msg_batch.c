/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that carry up to KEYPROTO_BATCH_MAX items: object keys, fields, blind indexes. */
#include "keyproto/keyproto_codec.h"

static int context_ok(struct span context)
{
	return context.n >= 1 && context.n <= KEYPROTO_CONTEXT_MAX;
}

/* A count that lies stops the loop at the end of the body: a failed reader gives no more. */
static unsigned get_count(struct wire_get *g)
{
	unsigned count = wire_get_u16(g);

	if (!keyproto_codec_count_ok(count))
		g->failed = 1;
	return g->failed ? 0 : count;
}

int keyproto_derive_new_put(struct buf *b, const struct keyproto_derive_new *m)
{
	if (!keyproto_name_ok(m->customer) || !keyproto_codec_purpose_ok(m->purpose) ||
	    !keyproto_codec_count_ok(m->count))
		return keyproto_codec_refuse(b);
	wire_put_bytes8(b, m->customer);
	wire_put_u8(b, m->purpose);
	wire_put_u16(b, m->count);
	for (unsigned i = 0; i < m->count; i++) {
		if (!context_ok(m->contexts[i]))
			return keyproto_codec_refuse(b);
		wire_put_bytes8(b, m->contexts[i]);
	}
	return buf_failed(b);
}

int keyproto_derive_new_get(struct span body, struct keyproto_derive_new *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->customer = wire_get_bytes8(&g);
	m->purpose = wire_get_u8(&g);
	m->count = (uint16_t)get_count(&g);
	if (!keyproto_name_ok(m->customer) || !keyproto_codec_purpose_ok(m->purpose))
		return ERR_FORMAT;
	for (unsigned i = 0; i < m->count; i++) {
		m->contexts[i] = wire_get_bytes8(&g);
		if (!context_ok(m->contexts[i]))
			return ERR_FORMAT;
	}
	return wire_get_end(&g);
}

int keyproto_derived_put(struct buf *b, const struct keyproto_derived *items, unsigned count)
{
	if (!keyproto_codec_count_ok(count))
		return keyproto_codec_refuse(b);
	wire_put_u16(b, (uint16_t)count);
	for (unsigned i = 0; i < count; i++) {
		wire_put_u32(b, items[i].status);
		wire_put_u32(b, items[i].keyref);
		if (items[i].status == KEYPROTO_OK) {
			wire_put_raw(b, items[i].salt, KEYPROTO_SALT);
			wire_put_raw(b, items[i].key, KEYPROTO_OBJECT_KEY);
		}
	}
	return buf_failed(b);
}

int keyproto_derived_get(struct span body, struct keyproto_derived *items)
{
	struct wire_get g;
	unsigned count;

	wire_get_init(&g, body);
	count = get_count(&g);
	for (unsigned i = 0; i < count && !g.failed; i++) {
		items[i].status = wire_get_u32(&g);
		items[i].keyref = wire_get_u32(&g);
		items[i].salt = items[i].key = NULL;
		if (items[i].status == KEYPROTO_OK) {
			items[i].salt = wire_get_raw(&g, KEYPROTO_SALT).p;
			items[i].key = wire_get_raw(&g, KEYPROTO_OBJECT_KEY).p;
		}
	}
	return wire_get_end(&g) == 0 ? (int)count : ERR_FORMAT;
}

static int object_ok(const struct keyproto_object *o)
{
	return keyproto_name_ok(o->customer) && keyproto_codec_purpose_ok(o->purpose) && o->salt &&
	       context_ok(o->context);
}

int keyproto_derive_existing_put(struct buf *b, const struct keyproto_derive_existing *m)
{
	if (!keyproto_codec_count_ok(m->count))
		return keyproto_codec_refuse(b);
	wire_put_u16(b, m->count);
	for (unsigned i = 0; i < m->count; i++) {
		const struct keyproto_object *o = &m->items[i];
		if (!object_ok(o))
			return keyproto_codec_refuse(b);
		wire_put_bytes8(b, o->customer);
		wire_put_u8(b, o->purpose);
		wire_put_u32(b, o->keyref);
		wire_put_raw(b, o->salt, KEYPROTO_SALT);
		wire_put_bytes8(b, o->context);
	}
	return buf_failed(b);
}

int keyproto_derive_existing_get(struct span body, struct keyproto_derive_existing *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->count = (uint16_t)get_count(&g);
	for (unsigned i = 0; i < m->count; i++) {
		struct keyproto_object *o = &m->items[i];
		o->customer = wire_get_bytes8(&g);
		o->purpose = wire_get_u8(&g);
		o->keyref = wire_get_u32(&g);
		o->salt = wire_get_raw(&g, KEYPROTO_SALT).p;
		o->context = wire_get_bytes8(&g);
		if (!object_ok(o))
			return ERR_FORMAT;
	}
	return wire_get_end(&g);
}

static int field_ok(const struct keyproto_field *f)
{
	return f->aad.n <= KEYPROTO_DATA_MAX && f->data.n <= KEYPROTO_SEALED_MAX;
}

int keyproto_fields_put(struct buf *b, const struct keyproto_fields *m)
{
	if (!keyproto_name_ok(m->customer) || !keyproto_codec_purpose_ok(m->purpose) ||
	    !keyproto_codec_count_ok(m->count) || (m->keyref && m->purpose != KEYPROTO_FOR_INDEX))
		return keyproto_codec_refuse(b);
	wire_put_bytes8(b, m->customer);
	wire_put_u8(b, m->purpose);
	wire_put_u16(b, m->count);
	for (unsigned i = 0; i < m->count; i++) {
		if (!field_ok(&m->items[i]))
			return keyproto_codec_refuse(b);
		wire_put_bytes16(b, m->items[i].aad);
		wire_put_bytes16(b, m->items[i].data);
	}
	if (m->keyref)
		wire_put_u32(b, m->keyref);
	return buf_failed(b);
}

int keyproto_fields_get(struct span body, struct keyproto_fields *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->customer = wire_get_bytes8(&g);
	m->purpose = wire_get_u8(&g);
	m->count = (uint16_t)get_count(&g);
	if (!keyproto_name_ok(m->customer) || !keyproto_codec_purpose_ok(m->purpose))
		return ERR_FORMAT;
	for (unsigned i = 0; i < m->count && !g.failed; i++) {
		m->items[i].aad = wire_get_bytes16(&g);
		m->items[i].data = wire_get_bytes16(&g);
		if (!field_ok(&m->items[i]))
			return ERR_FORMAT;
	}
	m->keyref = 0;
	if (m->purpose == KEYPROTO_FOR_INDEX && !g.failed && g.rest.n) {
		m->keyref = wire_get_u32(&g);
		if (m->keyref == 0)
			return ERR_FORMAT;
	}
	return wire_get_end(&g);
}

static int result_ok(const struct keyproto_result *r)
{
	return r->data.n <= KEYPROTO_SEALED_MAX && (r->status == KEYPROTO_OK || r->data.n == 0);
}

int keyproto_results_put(struct buf *b, const struct keyproto_result *items, unsigned count)
{
	if (!keyproto_codec_count_ok(count))
		return keyproto_codec_refuse(b);
	wire_put_u16(b, (uint16_t)count);
	for (unsigned i = 0; i < count; i++) {
		if (!result_ok(&items[i]))
			return keyproto_codec_refuse(b);
		wire_put_u32(b, items[i].status);
		wire_put_bytes16(b, items[i].data);
	}
	return buf_failed(b);
}

int keyproto_results_get(struct span body, struct keyproto_result *items)
{
	struct wire_get g;
	unsigned count;

	wire_get_init(&g, body);
	count = get_count(&g);
	for (unsigned i = 0; i < count && !g.failed; i++) {
		items[i].status = wire_get_u32(&g);
		items[i].data = wire_get_bytes16(&g);
		if (!result_ok(&items[i]))
			return ERR_FORMAT;
	}
	return wire_get_end(&g) == 0 ? (int)count : ERR_FORMAT;
}
