/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_record_backup.h"

#include "core/err.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

const char *keyd_record_backup_state_name(unsigned state)
{
	static const char *const names[] = {NULL, "current", "replaced", "forgotten"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : NULL;
}

int keyd_record_backup_put(struct buf *b, const struct keyd_record_backup *m)
{
	wire_put_u32(b, m->id);
	wire_put_u8(b, m->state);
	wire_put_u64(b, (uint64_t)m->created);
	wire_put_u64(b, (uint64_t)m->changed);
	wire_put_u64(b, (uint64_t)m->used);
	wire_put_u64(b, m->generation);
	wire_put_bytes8(b, m->wrapped);
	return buf_failed(b);
}

int keyd_record_backup_get(struct span body, struct keyd_record_backup *m)
{
	struct wire_get g;
	size_t n;

	wire_get_init(&g, body);
	m->id = wire_get_u32(&g);
	m->state = wire_get_u8(&g);
	m->created = (int64_t)wire_get_u64(&g);
	m->changed = (int64_t)wire_get_u64(&g);
	m->used = (int64_t)wire_get_u64(&g);
	m->generation = wire_get_u64(&g);
	m->wrapped = wire_get_bytes8(&g);
	n = m->state == KEYD_RECORD_BACKUP_CURRENT ? KEYD_WRAP_KEY : 0;
	return wire_get_end(&g) < 0 || m->id == 0 || !keyd_record_backup_state_name(m->state) ||
		       m->wrapped.n != n
		   ? ERR_FORMAT
		   : 0;
}

int keyd_record_backup_aad(struct buf *b, const uint8_t store[16],
			   const struct keyd_record_backup *m)
{
	wire_put_bytes16(b, SPAN_LIT("sealpost-keyd-1"));
	wire_put_bytes16(b, span_of(store, 16));
	wire_put_bytes16(b, SPAN_LIT("backup"));
	wire_put_u32(b, m->id);
	wire_put_u64(b, m->generation);
	wire_put_u64(b, (uint64_t)m->created);
	return buf_failed(b);
}
