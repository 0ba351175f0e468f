/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_record.h"

#include <openssl/evp.h>

#include "core/err.h"
#include "keyproto/keyproto_msg.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

int keyd_record_counters_put(struct buf *b, const struct keyd_record_counters *m)
{
	wire_put_u32(b, m->next_keyref);
	wire_put_u64(b, m->root_wraps);
	wire_put_u64(b, m->key_wraps);
	wire_put_u64(b, m->sequence);
	return buf_failed(b);
}

int keyd_record_counters_get(struct span body, struct keyd_record_counters *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->next_keyref = wire_get_u32(&g);
	m->root_wraps = wire_get_u64(&g);
	m->key_wraps = wire_get_u64(&g);
	m->sequence = wire_get_u64(&g);
	return wire_get_end(&g) < 0 || m->next_keyref == 0 ? ERR_FORMAT : 0;
}

static void put_state(struct buf *b, unsigned state, int64_t created, int64_t changed)
{
	wire_put_u8(b, (uint8_t)state);
	wire_put_u64(b, (uint64_t)created);
	wire_put_u64(b, (uint64_t)changed);
}

static void get_state(struct wire_get *g, uint8_t *state, int64_t *created, int64_t *changed)
{
	*state = wire_get_u8(g);
	*created = (int64_t)wire_get_u64(g);
	*changed = (int64_t)wire_get_u64(g);
}

/* What KEKs and DEKs of a record can be. */
static int lives(unsigned state)
{
	return state == KEYD_RECORD_ACTIVE || state == KEYD_RECORD_RETIRED;
}

int keyd_record_kek_put(struct buf *b, const struct keyd_record_kek *m)
{
	wire_put_u8(b, m->shard);
	wire_put_u32(b, m->version);
	wire_put_u64(b, m->generation);
	wire_put_u64(b, m->uses);
	put_state(b, m->state, m->created, m->changed);
	wire_put_raw(b, m->wrapped, KEYD_WRAP_KEY);
	return buf_failed(b);
}

int keyd_record_kek_get(struct span body, struct keyd_record_kek *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->shard = wire_get_u8(&g);
	m->version = wire_get_u32(&g);
	m->generation = wire_get_u64(&g);
	m->uses = wire_get_u64(&g);
	get_state(&g, &m->state, &m->created, &m->changed);
	m->wrapped = wire_get_raw(&g, KEYD_WRAP_KEY).p;
	return wire_get_end(&g) < 0 || m->version == 0 || !lives(m->state) ? ERR_FORMAT : 0;
}

int keyd_record_dek_put(struct buf *b, const struct keyd_record_dek *m)
{
	wire_put_u32(b, m->keyref);
	wire_put_bytes8(b, m->customer);
	wire_put_u32(b, m->version);
	wire_put_u32(b, m->kek_version);
	wire_put_u64(b, m->generation);
	put_state(b, m->state, m->created, m->changed);
	wire_put_raw(b, m->wrapped, KEYD_WRAP_KEY);
	return buf_failed(b);
}

int keyd_record_dek_get(struct span body, struct keyd_record_dek *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->keyref = wire_get_u32(&g);
	m->customer = wire_get_bytes8(&g);
	m->version = wire_get_u32(&g);
	m->kek_version = wire_get_u32(&g);
	m->generation = wire_get_u64(&g);
	get_state(&g, &m->state, &m->created, &m->changed);
	m->wrapped = wire_get_raw(&g, KEYD_WRAP_KEY).p;
	if (wire_get_end(&g) < 0 || m->keyref == 0 || m->version == 0 || m->kek_version == 0 ||
	    !lives(m->state))
		return ERR_FORMAT;
	return keyproto_name_ok(m->customer) ? 0 : ERR_FORMAT;
}

const char *keyd_record_state_name(unsigned state)
{
	static const char *const names[] = {NULL, "next", "active", "retired", "destroyed"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : NULL;
}

int keyd_record_key_put(struct buf *b, const struct keyd_record_key *m)
{
	wire_put_bytes8(b, m->label);
	wire_put_u32(b, m->version);
	wire_put_u8(b, m->type);
	put_state(b, m->state, m->created, m->changed);
	wire_put_u64(b, m->generation);
	wire_put_bytes16(b, m->spki);
	wire_put_bytes16(b, m->wrapped);
	return buf_failed(b);
}

int keyd_record_key_get(struct span body, struct keyd_record_key *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->label = wire_get_bytes8(&g);
	m->version = wire_get_u32(&g);
	m->type = wire_get_u8(&g);
	get_state(&g, &m->state, &m->created, &m->changed);
	m->generation = wire_get_u64(&g);
	m->spki = wire_get_bytes16(&g);
	m->wrapped = wire_get_bytes16(&g);
	if (wire_get_end(&g) < 0 || m->version == 0 || m->spki.n == 0 ||
	    m->state < KEYD_RECORD_NEXT || m->state > KEYD_RECORD_DESTROYED)
		return ERR_FORMAT;
	if (m->state == KEYD_RECORD_DESTROYED
		? m->wrapped.n != 0
		: m->wrapped.n <= KEYD_WRAP_OVERHEAD || m->wrapped.n > KEYD_RECORD_BODY_MAX)
		return ERR_FORMAT;
	return keyproto_name_ok(m->label) && keyproto_keytype_name(m->type) ? 0 : ERR_FORMAT;
}

int keyd_record_dek_state_put(struct buf *b, const struct keyd_record_dek_state *m)
{
	wire_put_u32(b, m->keyref);
	wire_put_u8(b, m->state);
	wire_put_u64(b, (uint64_t)m->time);
	return buf_failed(b);
}

int keyd_record_dek_state_get(struct span body, struct keyd_record_dek_state *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->keyref = wire_get_u32(&g);
	m->state = wire_get_u8(&g);
	m->time = (int64_t)wire_get_u64(&g);
	if (wire_get_end(&g) < 0 || m->keyref == 0)
		return ERR_FORMAT;
	return m->state == KEYD_RECORD_RETIRED || m->state == KEYD_RECORD_DESTROYED ? 0
										    : ERR_FORMAT;
}

int keyd_record_key_state_put(struct buf *b, const struct keyd_record_key_state *m)
{
	wire_put_bytes8(b, m->label);
	wire_put_u32(b, m->version);
	wire_put_u8(b, m->state);
	wire_put_u64(b, (uint64_t)m->time);
	return buf_failed(b);
}

int keyd_record_key_state_get(struct span body, struct keyd_record_key_state *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->label = wire_get_bytes8(&g);
	m->version = wire_get_u32(&g);
	m->state = wire_get_u8(&g);
	m->time = (int64_t)wire_get_u64(&g);
	if (wire_get_end(&g) < 0 || m->version == 0 || !keyproto_name_ok(m->label))
		return ERR_FORMAT;
	return m->state == KEYD_RECORD_ACTIVE || m->state == KEYD_RECORD_DESTROYED ? 0 : ERR_FORMAT;
}

int keyd_record_start_put(struct buf *b, const struct keyd_record_start *m)
{
	wire_put_u64(b, m->sequence);
	wire_put_u64(b, m->branch);
	wire_put_u64(b, (uint64_t)m->time);
	wire_put_u64(b, m->accepted);
	return buf_failed(b);
}

int keyd_record_start_get(struct span body, struct keyd_record_start *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->sequence = wire_get_u64(&g);
	m->branch = wire_get_u64(&g);
	m->time = (int64_t)wire_get_u64(&g);
	m->accepted = wire_get_u64(&g);
	return wire_get_end(&g) < 0 || m->branch == 0 ? ERR_FORMAT : 0;
}

/* The parts that every AAD begins with. */
static void aad_head(struct buf *b, const uint8_t store[16], const char *kind)
{
	wire_put_bytes16(b, SPAN_LIT("sealpost-keyd-1"));
	wire_put_bytes16(b, span_of(store, 16));
	wire_put_bytes16(b, span_str(kind));
}

int keyd_record_kek_aad(struct buf *b, const uint8_t store[16], const struct keyd_record_kek *m)
{
	aad_head(b, store, "kek");
	wire_put_u8(b, m->shard);
	wire_put_u32(b, m->version);
	wire_put_u64(b, m->generation);
	return buf_failed(b);
}

int keyd_record_dek_aad(struct buf *b, const uint8_t store[16], const struct keyd_record_dek *m)
{
	int shard = keyd_record_shard(m->customer);

	return shard < 0 ? shard : keyd_record_dek_shard_aad(b, store, m, (unsigned)shard);
}

int keyd_record_dek_shard_aad(struct buf *b, const uint8_t store[16],
			      const struct keyd_record_dek *m, unsigned shard)
{
	aad_head(b, store, "dek");
	wire_put_u32(b, m->keyref);
	wire_put_bytes16(b, m->customer);
	wire_put_u32(b, m->version);
	wire_put_u8(b, (uint8_t)shard);
	wire_put_u32(b, m->kek_version);
	wire_put_u64(b, m->generation);
	return buf_failed(b);
}

int keyd_record_key_aad(struct buf *b, const uint8_t store[16], const struct keyd_record_key *m)
{
	aad_head(b, store, "key");
	wire_put_bytes16(b, m->label);
	wire_put_u32(b, m->version);
	wire_put_u8(b, m->type);
	wire_put_u64(b, m->generation);
	wire_put_u64(b, (uint64_t)m->created);
	wire_put_bytes16(b, m->spki);
	return buf_failed(b);
}

int keyd_record_shard(struct span customer)
{
	uint8_t digest[32];

	if (!EVP_Q_digest(NULL, "SHA256", NULL, customer.p, customer.n, digest, NULL))
		return ERR_CRYPTO;
	return digest[0];
}
