/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_audit.h"

#include "keyproto/keyproto_codec.h"

#define STORE 16

static void put_at(struct buf *b, const struct keyproto_audit_at *m)
{
	wire_put_u32(b, m->file);
	wire_put_u64(b, m->offset);
}

static void get_at(struct wire_get *g, struct keyproto_audit_at *m)
{
	m->file = wire_get_u32(g);
	m->offset = wire_get_u64(g);
}

/* Offsets go to pread. */
static int at_ok(const struct keyproto_audit_at *m)
{
	return m->offset <= INT64_MAX && (m->file || !m->offset);
}

int keyproto_audit_at_put(struct buf *b, const struct keyproto_audit_at *m)
{
	if (!at_ok(m))
		return keyproto_codec_refuse(b);
	put_at(b, m);
	return buf_failed(b);
}

int keyproto_audit_at_get(struct span body, struct keyproto_audit_at *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	get_at(&g, m);
	return wire_get_end(&g) == 0 && at_ok(m) ? 0 : ERR_FORMAT;
}

static int part_ok(const struct keyproto_audit_part *m)
{
	return at_ok(&m->at) && at_ok(&m->next) && m->hash && m->data.n <= KEYPROTO_AUDIT_PART;
}

int keyproto_audit_part_put(struct buf *b, const struct keyproto_audit_part *m)
{
	if (!part_ok(m))
		return keyproto_codec_refuse(b);
	put_at(b, &m->at);
	put_at(b, &m->next);
	wire_put_u64(b, m->head);
	wire_put_raw(b, m->hash, KEYPROTO_AUDIT_HASH);
	wire_put_bytes16(b, m->data);
	return buf_failed(b);
}

int keyproto_audit_part_get(struct span body, struct keyproto_audit_part *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	get_at(&g, &m->at);
	get_at(&g, &m->next);
	m->head = wire_get_u64(&g);
	m->hash = wire_get_raw(&g, KEYPROTO_AUDIT_HASH).p;
	m->data = wire_get_bytes16(&g);
	return wire_get_end(&g) == 0 && part_ok(m) ? 0 : ERR_FORMAT;
}

int keyproto_audit_number_put(struct buf *b, uint64_t number)
{
	if (!number)
		return keyproto_codec_refuse(b);
	wire_put_u64(b, number);
	return buf_failed(b);
}

int keyproto_audit_number_get(struct span body, uint64_t *number)
{
	struct wire_get g;

	wire_get_init(&g, body);
	*number = wire_get_u64(&g);
	return wire_get_end(&g) == 0 && *number ? 0 : ERR_FORMAT;
}

int keyproto_audit_zeroize_put(struct buf *b, const uint8_t store[STORE])
{
	wire_put_raw(b, store, STORE);
	return buf_failed(b);
}

int keyproto_audit_zeroize_get(struct span body, const uint8_t **store)
{
	struct wire_get g;

	wire_get_init(&g, body);
	*store = wire_get_raw(&g, STORE).p;
	return wire_get_end(&g) == 0 && *store ? 0 : ERR_FORMAT;
}
