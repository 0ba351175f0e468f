/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_ring.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"
#include "seal/seal_kdf.h"

_Static_assert(KEYPROTO_FOR_SPOOL == 1 && KEYPROTO_FOR_HMAC == KEYD_CACHE_PURPOSES,
	       "the cache holds one sub-key per purpose");

static struct span customer_name(const void *arg, uint32_t number)
{
	return span_str(((const struct keyd_ring *)arg)->customers[number].name);
}

static struct span key_label(const void *arg, uint32_t number)
{
	return span_str(((const struct keyd_ring *)arg)->keys[number].label);
}

struct keyd_ring *keyd_ring_new(const uint8_t store[16], struct keyd_root_keys **keys)
{
	struct keyd_ring *r = calloc(1, sizeof(*r));

	if (r)
		r->cache = keyd_cache_new(KEYD_RING_CACHE);
	if (!r || !r->cache) {
		free(r);
		secret_free(*keys, sizeof(**keys));
		*keys = NULL;
		return NULL;
	}
	memcpy(r->store, store, sizeof(r->store));
	r->root = *keys;
	*keys = NULL;
	r->next_keyref = 1;
	keyd_names_init(&r->by_name, customer_name, r);
	keyd_names_init(&r->by_label, key_label, r);
	return r;
}

void keyd_ring_free(struct keyd_ring *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++) {
		for (struct keyd_ring_kek *k = r->shards[i], *older; k; k = older) {
			older = k->older;
			secret_free(k->key, 32);
			free(k);
		}
	}
	for (uint32_t i = 0; i < r->key_count; i++) {
		keyd_crypto_free(r->keys[i].loaded);
		free(r->keys[i].label);
		free(r->keys[i].spki);
		free(r->keys[i].wrapped);
	}
	for (uint32_t i = 0; i < r->customer_count; i++)
		free(r->customers[i].name);
	free(r->keys);
	free(r->customers);
	for (uint32_t i = 0; i < r->page_room; i++)
		free(r->pages[i]);
	free(r->pages);
	keyd_names_clear(&r->by_name);
	keyd_names_clear(&r->by_label);
	keyd_cache_free(r->cache);
	secret_free(r->root, sizeof(*r->root));
	free(r);
}

int keyd_ring_make_kek(struct keyd_ring *r, unsigned shard, uint64_t generation, struct buf *out)
{
	uint8_t wrapped[KEYD_WRAP_KEY], *key = secret_alloc(32);
	struct keyd_record_kek m = {(uint8_t)shard, 1, generation, 0, wrapped};
	struct buf aad;
	int rc;

	if (!key)
		return ERR_NOMEM;
	if (r->shards[shard])
		m.version = r->shards[shard]->version + 1;
	rand_bytes(key, 32);
	buf_init(&aad, 512);
	rc = r->root_wraps < KEYD_WRAP_USES_MAX ? keyd_record_kek_aad(&aad, r->store, &m)
						: ERR_LIMIT;
	if (rc == 0)
		rc = keyd_wrap_seal(r->root->kek, buf_span(&aad), key, 32, wrapped);
	if (rc == 0)
		rc = keyd_record_kek_put(out, &m);
	buf_clear(&aad);
	secret_free(key, 32);
	return rc;
}

int keyd_ring_make_customer(struct keyd_ring *r, struct span name, uint64_t generation,
			    struct buf *out)
{
	struct keyd_record_dek m = {
	    .keyref = r->next_keyref, .customer = name, .version = 1, .generation = generation};
	uint8_t wrapped[KEYD_WRAP_KEY], *key;
	int shard = keyd_record_shard(name);
	struct keyd_ring_kek *kek;
	struct buf aad;
	int rc;

	if (shard < 0)
		return shard;
	kek = r->shards[shard];
	if (!keyproto_name_ok(name) || !kek)
		return ERR_FORMAT;
	if (keyd_names_find(&r->by_name, name) != KEYD_NAMES_NONE)
		return ERR_EXISTS;
	if (kek->uses >= KEYD_WRAP_USES_MAX || r->next_keyref >= KEYD_RING_KEYREFS)
		return ERR_LIMIT;
	key = secret_alloc(32);
	if (!key)
		return ERR_NOMEM;
	m.kek_version = kek->version;
	m.wrapped = wrapped;
	rand_bytes(key, 32);
	buf_init(&aad, 512);
	rc = keyd_record_dek_aad(&aad, r->store, &m);
	if (rc == 0)
		rc = keyd_wrap_seal(kek->key, buf_span(&aad), key, 32, wrapped);
	if (rc == 0)
		rc = keyd_record_dek_put(out, &m);
	buf_clear(&aad);
	secret_free(key, 32);
	return rc;
}

/* Wraps der (PKCS#8) into m, and m into out. */
static int put_key(struct keyd_ring *r, struct keyd_record_key *m, const uint8_t *der, size_t n,
		   struct buf *out)
{
	uint8_t wrapped[KEYD_CRYPTO_PKCS8_MAX + KEYD_WRAP_OVERHEAD];
	struct buf aad;
	int rc;

	buf_init(&aad, KEYD_CRYPTO_PKCS8_MAX + 512);
	rc = keyd_record_key_aad(&aad, r->store, m);
	if (rc == 0)
		rc = keyd_wrap_seal(r->root->key, buf_span(&aad), der, n, wrapped);
	m->wrapped = span_of(wrapped, n + KEYD_WRAP_OVERHEAD);
	if (rc == 0)
		rc = keyd_record_key_put(out, m);
	buf_clear(&aad);
	return rc;
}

int keyd_ring_make_key(struct keyd_ring *r, struct span label, unsigned type,
		       const struct keyd_crypto_key *key, uint64_t generation, int64_t created,
		       struct buf *out)
{
	struct keyd_record_key m = {.label = label,
				    .version = 1,
				    .type = (uint8_t)type,
				    .state = KEYD_RECORD_ACTIVE,
				    .generation = generation,
				    .created = created};
	struct buf spki;
	uint8_t *der;
	int n, rc;

	if (!keyproto_name_ok(label))
		return ERR_FORMAT;
	if (keyd_names_find(&r->by_label, label) != KEYD_NAMES_NONE)
		return ERR_EXISTS;
	if (r->key_wraps >= KEYD_WRAP_USES_MAX)
		return ERR_LIMIT;
	der = secret_alloc(KEYD_CRYPTO_PKCS8_MAX);
	if (!der)
		return ERR_NOMEM;
	buf_init(&spki, KEYD_CRYPTO_PKCS8_MAX);
	n = keyd_crypto_export(key, der);
	rc = n < 0 ? n : keyd_crypto_public(key, &spki);
	if (rc == 0) {
		m.spki = buf_span(&spki);
		rc = put_key(r, &m, der, (size_t)n, out);
	}
	buf_clear(&spki);
	secret_free(der, KEYD_CRYPTO_PKCS8_MAX);
	return rc;
}

int64_t keyd_ring_customer(const struct keyd_ring *r, struct span name)
{
	uint32_t n = keyd_names_find(&r->by_name, name);

	return n == KEYD_NAMES_NONE ? ERR_NOTFOUND : (int64_t)n;
}

uint32_t keyd_ring_newest(const struct keyd_ring *r, uint32_t customer)
{
	return r->customers[customer].newest;
}

/* Unwraps the DEK and derives all its sub-keys into keys. */
static int derive(struct keyd_ring *r, const struct keyd_ring_dek *d, uint32_t keyref,
		  uint8_t keys[KEYD_CACHE_KEYS])
{
	struct span name = span_str(r->customers[d->customer].name);
	struct keyd_record_dek m = {keyref,	    name,	   d->version,
				    d->kek_version, d->generation, d->wrapped};
	const struct keyd_ring_kek *kek = keyd_ring_find_kek(r, name, d->kek_version);
	uint8_t *dek = secret_alloc(32);
	char info[] = "sealpost-subkey-1 0";
	struct buf aad;
	int rc;

	if (!kek || !dek) {
		secret_free(dek, 32);
		return kek ? ERR_NOMEM : ERR_DAMAGED;
	}
	buf_init(&aad, 512);
	rc = keyd_record_dek_aad(&aad, r->store, &m);
	if (rc == 0)
		rc = keyd_wrap_open(kek->key, buf_span(&aad), span_of(d->wrapped, KEYD_WRAP_KEY),
				    dek);
	if (rc == ERR_AUTH)
		rc = ERR_DAMAGED;
	for (unsigned i = 0; rc == 0 && i < KEYD_CACHE_PURPOSES; i++) {
		info[sizeof(info) - 2] = (char)('1' + i);
		rc = seal_kdf_subkey(dek, span_of(info, sizeof(info) - 1), keys + 32 * i);
	}
	buf_clear(&aad);
	secret_free(dek, 32);
	return rc;
}

int keyd_ring_subkey(struct keyd_ring *r, uint32_t customer, uint32_t keyref, unsigned purpose,
		     const uint8_t **key)
{
	const struct keyd_ring_dek *d = keyd_ring_find_dek(r, keyref);
	const uint8_t *keys;
	uint8_t *room;
	int rc;

	if (!d || d->customer != customer || purpose < 1 || purpose > KEYD_CACHE_PURPOSES)
		return ERR_NOTFOUND;
	keys = keyd_cache_get(r->cache, keyref);
	if (!keys) {
		room = keyd_cache_put(r->cache, keyref);
		if (!room)
			return ERR_NOMEM;
		rc = derive(r, d, keyref, room);
		if (rc < 0) {
			keyd_cache_drop(r->cache, keyref);
			return rc;
		}
		keys = room;
	}
	*key = keys + 32 * (purpose - 1);
	return 0;
}

static void info_of(const struct keyd_ring_key *k, struct keyd_ring_info *out)
{
	out->label = span_str(k->label);
	out->type = k->type;
	out->state = k->state;
	out->spki = span_of(k->spki, k->spki_size);
}

int keyd_ring_key(const struct keyd_ring *r, struct span label, struct keyd_ring_info *out)
{
	uint32_t at = keyd_names_find(&r->by_label, label);

	if (at == KEYD_NAMES_NONE)
		return ERR_NOTFOUND;
	info_of(&r->keys[at], out);
	return 0;
}

/* Makes room among the loaded keys: the one unused for longest goes. */
static void unload_oldest(struct keyd_ring *r)
{
	struct keyd_ring_key *oldest = NULL;

	if (r->loaded < KEYD_RING_LOADED)
		return;
	for (uint32_t i = 0; i < r->key_count; i++)
		if (r->keys[i].loaded && (!oldest || r->keys[i].used < oldest->used))
			oldest = &r->keys[i];
	keyd_crypto_free(oldest->loaded);
	oldest->loaded = NULL;
	r->loaded--;
}

static int load_key(struct keyd_ring *r, struct keyd_ring_key *k)
{
	struct keyd_record_key m;
	struct buf aad;
	uint8_t *der = secret_alloc(KEYD_CRYPTO_PKCS8_MAX);
	int rc;

	if (!der)
		return ERR_NOMEM;
	keyd_ring_key_record(k, &m);
	buf_init(&aad, KEYD_CRYPTO_PKCS8_MAX + 512);
	rc = keyd_record_key_aad(&aad, r->store, &m);
	if (rc == 0)
		rc = keyd_wrap_open(r->root->key, buf_span(&aad), m.wrapped, der);
	if (rc == 0) {
		unload_oldest(r);
		rc = keyd_crypto_import(k->type, span_of(der, m.wrapped.n - KEYD_WRAP_OVERHEAD),
					&k->loaded);
		r->loaded += rc == 0;
	}
	buf_clear(&aad);
	secret_free(der, KEYD_CRYPTO_PKCS8_MAX);
	return rc == ERR_AUTH || rc == ERR_FORMAT ? ERR_DAMAGED : rc;
}

int keyd_ring_private(struct keyd_ring *r, struct span label, struct keyd_crypto_key **out)
{
	uint32_t at = keyd_names_find(&r->by_label, label);
	struct keyd_ring_key *k;
	int rc = 0;

	if (at == KEYD_NAMES_NONE)
		return ERR_NOTFOUND;
	k = &r->keys[at];
	if (!k->loaded)
		rc = load_key(r, k);
	if (rc < 0)
		return rc;
	k->used = ++r->ticks;
	*out = keyd_crypto_ref(k->loaded);
	return 0;
}

void keyd_ring_keys(const struct keyd_ring *r,
		    int (*fn)(void *arg, const struct keyd_ring_info *info), void *arg)
{
	struct keyd_ring_info info;

	for (uint32_t i = 0; i < r->key_count; i++) {
		info_of(&r->keys[i], &info);
		if (fn(arg, &info))
			return;
	}
}

void keyd_ring_counts(const struct keyd_ring *r, struct keyd_ring_counts *out)
{
	out->customers = r->customer_count;
	out->deks = r->dek_count;
	out->keks = r->kek_count;
	out->keys = r->key_count;
	out->cached = keyd_cache_count(r->cache);
}
