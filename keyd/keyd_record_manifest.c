/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_record_manifest.h"

#include "core/err.h"
#include "keyproto/keyproto_manifest.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

int keyd_record_approver_put(struct buf *b, const struct keyd_record_approver *m)
{
	wire_put_bytes8(b, m->name);
	wire_put_bytes8(b, m->customer);
	wire_put_u64(b, (uint64_t)m->added);
	wire_put_bytes16(b, m->spki);
	return buf_failed(b);
}

int keyd_record_approver_get(struct span body, struct keyd_record_approver *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->name = wire_get_bytes8(&g);
	m->customer = wire_get_bytes8(&g);
	m->added = (int64_t)wire_get_u64(&g);
	m->spki = wire_get_bytes16(&g);
	if (wire_get_end(&g) < 0 || !keyproto_manifest_person_ok(m->name) ||
	    m->spki.n > KEYPROTO_APPROVER_SPKI_MAX)
		return ERR_FORMAT;
	return keyproto_name_ok(m->customer) ||
		       span_equal(m->customer, SPAN_LIT(KEYPROTO_ANY_CUSTOMER))
		   ? 0
		   : ERR_FORMAT;
}

int keyd_record_track_put(struct buf *b, const struct keyd_record_track *m)
{
	wire_put_bytes8(b, m->customer);
	wire_put_u32(b, m->keyref);
	wire_put_u64(b, (uint64_t)m->created);
	wire_put_raw(b, m->wrapped, KEYD_WRAP_KEY);
	return buf_failed(b);
}

int keyd_record_track_get(struct span body, struct keyd_record_track *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->customer = wire_get_bytes8(&g);
	m->keyref = wire_get_u32(&g);
	m->created = (int64_t)wire_get_u64(&g);
	m->wrapped = wire_get_raw(&g, KEYD_WRAP_KEY).p;
	return wire_get_end(&g) == 0 && m->keyref && keyproto_name_ok(m->customer) ? 0 : ERR_FORMAT;
}

int keyd_record_track_aad(struct buf *b, const uint8_t store[16], const struct keyd_record_track *m)
{
	wire_put_bytes16(b, SPAN_LIT("sealpost-keyd-1"));
	wire_put_bytes16(b, span_of(store, 16));
	wire_put_bytes16(b, SPAN_LIT("track"));
	wire_put_bytes16(b, m->customer);
	wire_put_u32(b, m->keyref);
	wire_put_u64(b, (uint64_t)m->created);
	return buf_failed(b);
}
