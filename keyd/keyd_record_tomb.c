/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_record_tomb.h"

#include "core/err.h"
#include "core/num.h"
#include "core/secret.h"
#include "seal/seal_kdf.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define TOKEN 1
#define MAC   32

const char *keyd_record_tomb_state_name(unsigned state)
{
	static const char *const names[] = {NULL,	"requested", "dead",	"rewrapped",
					    "anchored", "backups",   "complete"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : NULL;
}

static int token_mac(const uint8_t key[32], const uint8_t store[16], struct span customer,
		     int64_t ordered, uint8_t mac[MAC])
{
	uint8_t length = (uint8_t)customer.n, time[8];
	struct span parts[] = {SPAN_LIT("sealpost-tombstone-1"), span_of(store, 16),
			       span_of(&length, 1), customer, span_of(time, sizeof(time))};

	num_put_u64(time, (uint64_t)ordered);
	return seal_kdf_hmac(key, 32, parts, sizeof(parts) / sizeof(parts[0]), mac);
}

int keyd_record_tomb_token_make(struct buf *b, const uint8_t key[32], const uint8_t store[16],
				struct span customer, int64_t ordered)
{
	uint8_t mac[MAC];
	int rc = token_mac(key, store, customer, ordered, mac);

	if (rc < 0)
		return rc;
	wire_put_u8(b, TOKEN);
	wire_put_raw(b, store, 16);
	wire_put_bytes8(b, customer);
	wire_put_u64(b, (uint64_t)ordered);
	wire_put_raw(b, mac, MAC);
	return buf_failed(b);
}

int keyd_record_tomb_token_get(struct span token, struct keyd_record_tomb_token *m)
{
	struct wire_get g;
	unsigned version;

	wire_get_init(&g, token);
	version = wire_get_u8(&g);
	m->store = wire_get_raw(&g, 16).p;
	m->customer = wire_get_bytes8(&g);
	m->ordered = (int64_t)wire_get_u64(&g);
	m->mac = wire_get_raw(&g, MAC).p;
	if (wire_get_end(&g) < 0 || version != TOKEN || m->ordered < 0)
		return ERR_FORMAT;
	return keyproto_name_ok(m->customer) ? 0 : ERR_FORMAT;
}

int keyd_record_tomb_token_check(const struct keyd_record_tomb_token *m, const uint8_t key[32],
				 const uint8_t store[16])
{
	uint8_t mac[MAC];
	int rc = token_mac(key, store, m->customer, m->ordered, mac);

	if (rc < 0)
		return rc;
	return !memcmp(m->store, store, 16) && secret_equal(mac, m->mac, MAC) ? 0 : ERR_AUTH;
}

int keyd_record_tomb_put(struct buf *b, const struct keyd_record_tomb *m)
{
	wire_put_bytes8(b, m->token);
	wire_put_u8(b, m->state);
	wire_put_u64(b, (uint64_t)m->dead);
	wire_put_u64(b, (uint64_t)m->changed);
	wire_put_u64(b, (uint64_t)m->since);
	wire_put_u32(b, m->kek);
	wire_put_u32(b, m->backup);
	return buf_failed(b);
}

int keyd_record_tomb_get(struct span body, struct keyd_record_tomb *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->token = wire_get_bytes8(&g);
	m->state = wire_get_u8(&g);
	m->dead = (int64_t)wire_get_u64(&g);
	m->changed = (int64_t)wire_get_u64(&g);
	m->since = (int64_t)wire_get_u64(&g);
	m->kek = wire_get_u32(&g);
	m->backup = wire_get_u32(&g);
	return wire_get_end(&g) < 0 || !keyd_record_tomb_state_name(m->state) ? ERR_FORMAT : 0;
}
