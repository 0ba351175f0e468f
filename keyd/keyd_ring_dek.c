/* SPDX-License-Identifier: Apache-2.0 */
/* Customers of the ring and their DEKs. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"
#include "seal/seal_kdf.h"

_Static_assert(KEYPROTO_FOR_SPOOL == 1 && KEYPROTO_FOR_HMAC == KEYD_CACHE_PURPOSES,
	       "the cache holds one sub-key per purpose");

struct keyd_ring_dek *keyd_ring_find_dek(const struct keyd_ring *r, uint32_t keyref)
{
	uint32_t page = keyref / KEYD_RING_PAGE;
	struct keyd_ring_dek *d;

	if (page >= r->page_room || !r->pages[page])
		return NULL;
	d = &r->pages[page][keyref % KEYD_RING_PAGE];
	return d->version ? d : NULL;
}

/* The record of a fresh DEK. */
static int make(struct keyd_ring *r, struct span name, uint32_t version, uint64_t generation,
		struct buf *out)
{
	int64_t now = clock_wall();
	struct keyd_record_dek m = {.keyref = r->next_keyref,
				    .customer = name,
				    .version = version,
				    .generation = generation,
				    .state = KEYD_RECORD_ACTIVE,
				    .created = now,
				    .changed = now};
	uint8_t wrapped[KEYD_WRAP_KEY], *key;
	int shard = keyd_record_shard(name);
	struct keyd_ring_kek *kek;
	struct buf aad;
	int rc;

	if (shard < 0)
		return shard;
	kek = r->shards[shard];
	if (!kek)
		return ERR_FORMAT;
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

int keyd_ring_make_customer(struct keyd_ring *r, struct span name, uint64_t generation,
			    struct buf *out)
{
	if (!keyproto_name_ok(name))
		return ERR_FORMAT;
	if (keyd_ring_customer(r, name) != ERR_NOTFOUND)
		return keyd_ring_customer(r, name) == ERR_GONE ? ERR_GONE : ERR_EXISTS;
	return make(r, name, 1, generation, out);
}

int keyd_ring_make_dek(struct keyd_ring *r, uint32_t customer, uint64_t generation, struct buf *out)
{
	const struct keyd_ring_customer *c = &r->customers[customer];
	const struct keyd_ring_dek *newest = keyd_ring_find_dek(r, c->newest);
	unsigned living = 0;

	if (!newest)
		return ERR_NOTFOUND;
	for (const struct keyd_ring_dek *d = newest; d; d = keyd_ring_find_dek(r, d->older))
		living++;
	if (living >= KEYD_RING_DEKS || newest->version == UINT32_MAX)
		return ERR_LIMIT;
	return make(r, span_str(c->name), newest->version + 1, generation, out);
}

int64_t keyd_ring_take_customer(struct keyd_ring *r, struct span name)
{
	uint32_t at = keyd_names_find(&r->by_name, name);
	char *text;
	int rc;

	if (at != KEYD_NAMES_NONE)
		return at;
	rc = keyd_ring_grow((void **)&r->customers, &r->customer_room, r->customer_count,
			    sizeof(r->customers[0]));
	if (rc == 0)
		rc = keyd_names_reserve(&r->by_name);
	if (rc < 0)
		return rc;
	text = keyd_ring_text(name);
	if (!text)
		return ERR_NOMEM;
	r->customers[r->customer_count].name = text;
	r->customers[r->customer_count].newest = 0;
	r->customers[r->customer_count].tomb = 0;
	r->customers[r->customer_count].track = NULL;
	keyd_names_add(&r->by_name, r->customer_count);
	return r->customer_count++;
}

/* The place of a DEK, made if need be. */
static struct keyd_ring_dek *place_dek(struct keyd_ring *r, uint32_t keyref)
{
	uint32_t page = keyref / KEYD_RING_PAGE, room = r->page_room;
	void *fresh;

	if (page >= room) {
		while (page >= room)
			room = room ? room * 2 : 16;
		fresh = reallocarray(r->pages, room, sizeof(r->pages[0]));
		if (!fresh)
			return NULL;
		r->pages = fresh;
		memset(r->pages + r->page_room, 0, (room - r->page_room) * sizeof(r->pages[0]));
		r->page_room = room;
	}
	if (!r->pages[page])
		r->pages[page] = calloc(KEYD_RING_PAGE, sizeof(r->pages[page][0]));
	return r->pages[page] ? &r->pages[page][keyref % KEYD_RING_PAGE] : NULL;
}

int keyd_ring_dek_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_dek m;
	struct keyd_ring_kek *kek;
	struct keyd_ring_dek *d;
	int64_t customer;
	int shard;

	if (keyd_record_dek_get(body, &m) < 0 || m.keyref >= KEYD_RING_KEYREFS ||
	    keyd_ring_find_dek(r, m.keyref))
		return ERR_DAMAGED;
	shard = keyd_record_shard(m.customer);
	if (shard < 0)
		return shard;
	kek = keyd_ring_find_kek(r, (unsigned)shard, m.kek_version);
	if (!kek)
		return ERR_DAMAGED;
	customer = keyd_ring_customer(r, m.customer);
	if (customer == ERR_GONE) { /* passed over, but its reference is never given again */
		if (m.keyref >= r->next_keyref)
			r->next_keyref = m.keyref + 1;
		return 0;
	}
	if (customer >= 0) {
		uint32_t newest = r->customers[customer].newest;
		if (newest >= m.keyref || keyd_ring_find_dek(r, newest)->version >= m.version)
			return ERR_DAMAGED;
	}
	d = place_dek(r, m.keyref);
	if (!d || keyd_ring_refs_reserve(&r->shard_deks[shard]) < 0 ||
	    keyd_ring_grow((void **)&r->old_deks, &r->old_room, r->old_count,
			   sizeof(r->old_deks[0])) < 0)
		return ERR_NOMEM;
	customer = keyd_ring_take_customer(r, m.customer);
	if (customer < 0)
		return (int)customer;
	d->customer = (uint32_t)customer;
	d->version = m.version;
	d->kek_version = m.kek_version;
	d->generation = m.generation;
	d->state = m.state;
	d->shard = (uint8_t)shard;
	d->created = m.created;
	d->changed = m.changed;
	memcpy(d->wrapped, m.wrapped, sizeof(d->wrapped));
	d->older = r->customers[customer].newest;
	if (d->older) {
		keyd_ring_find_dek(r, d->older)->old_at = r->old_count;
		r->old_deks[r->old_count++] = d->older;
	}
	r->customers[customer].newest = m.keyref;
	keyd_ring_refs_add(&r->shard_deks[shard], m.keyref);
	r->dek_count++;
	if (m.keyref >= r->next_keyref)
		r->next_keyref = m.keyref + 1;
	kek->uses += (uint64_t)fresh;
	kek->deks++;
	return 0;
}

int64_t keyd_ring_customer(const struct keyd_ring *r, struct span name)
{
	uint32_t n = keyd_names_find(&r->by_name, name);

	if (n == KEYD_NAMES_NONE)
		return ERR_NOTFOUND;
	return r->customers[n].tomb ? ERR_GONE : (int64_t)n;
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
	struct keyd_record_dek m = {.keyref = keyref,
				    .customer = name,
				    .version = d->version,
				    .kek_version = d->kek_version,
				    .generation = d->generation};
	const struct keyd_ring_kek *kek = keyd_ring_find_kek(r, d->shard, d->kek_version);
	uint8_t *dek = secret_alloc(32);
	char info[] = "sealpost-subkey-1 0";
	struct buf aad;
	int rc;

	if (!kek || !dek) {
		secret_free(dek, 32);
		return kek ? ERR_NOMEM : ERR_DAMAGED;
	}
	buf_init(&aad, 512);
	rc = keyd_record_dek_shard_aad(&aad, r->store, &m, d->shard);
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

static void leave_old(struct keyd_ring *r, const struct keyd_ring_dek *d)
{
	uint32_t last = r->old_deks[--r->old_count];

	r->old_deks[d->old_at] = last;
	keyd_ring_find_dek(r, last)->old_at = d->old_at;
}

/* Out of all but its customer's chain. */
static void drop(struct keyd_ring *r, uint32_t keyref, struct keyd_ring_dek *d)
{
	if (r->customers[d->customer].newest != keyref)
		leave_old(r, d);
	keyd_ring_refs_remove(&r->shard_deks[d->shard], keyref);
	keyd_ring_find_kek(r, d->shard, d->kek_version)->deks--;
	keyd_cache_drop(r->cache, keyref);
	secret_wipe(d, sizeof(*d));
	r->dek_count--;
}

void keyd_ring_dek_drop_one(struct keyd_ring *r, uint32_t keyref)
{
	struct keyd_ring_dek *d = keyd_ring_find_dek(r, keyref);
	struct keyd_ring_dek *newer = keyd_ring_find_dek(r, r->customers[d->customer].newest);

	while (newer->older != keyref)
		newer = keyd_ring_find_dek(r, newer->older);
	newer->older = d->older;
	drop(r, keyref, d);
}

void keyd_ring_dek_drop(struct keyd_ring *r, uint32_t customer)
{
	struct keyd_ring_customer *c = &r->customers[customer];
	uint32_t older;

	for (uint32_t at = c->newest; at; at = older) {
		struct keyd_ring_dek *d = keyd_ring_find_dek(r, at);
		older = d->older;
		drop(r, at, d);
	}
	c->newest = 0;
	keyd_ring_track_drop(r, customer);
}

static int each(const struct keyd_ring *r, struct keyd_ring_walk *w, uint32_t keyref)
{
	const struct keyd_ring_dek *d = keyd_ring_find_dek(r, keyref);
	struct keyd_record_dek m;

	if (!d)
		return 0;
	m.keyref = keyref;
	m.customer = span_str(r->customers[d->customer].name);
	m.version = d->version;
	m.kek_version = d->kek_version;
	m.generation = d->generation;
	m.state = d->state;
	m.created = d->created;
	m.changed = d->changed;
	m.wrapped = d->wrapped;
	return keyd_ring_walk(w, KEYD_RECORD_DEK, keyd_record_dek_put(&w->body, &m));
}

int keyd_ring_dek_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	int rc = 0;

	for (uint32_t page = 0; rc == 0 && page < r->page_room; page++)
		for (uint32_t i = 0; rc == 0 && r->pages[page] && i < KEYD_RING_PAGE; i++)
			rc = each(r, w, page * KEYD_RING_PAGE + i);
	return rc;
}

void keyd_ring_dek_clear(struct keyd_ring *r)
{
	for (uint32_t i = 0; i < r->customer_count; i++) {
		keyd_ring_track_drop(r, i);
		free(r->customers[i].name);
	}
	free(r->customers);
	for (uint32_t i = 0; i < r->page_room; i++)
		free(r->pages[i]);
	free(r->pages);
	free(r->old_deks);
	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++)
		free(r->shard_deks[i].refs);
}
