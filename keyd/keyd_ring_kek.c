/* SPDX-License-Identifier: Apache-2.0 */
/* KEKs of the ring: 256 shards, each with its versions. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"

struct keyd_ring_kek *keyd_ring_find_kek(const struct keyd_ring *r, unsigned shard,
					 uint32_t version)
{
	struct keyd_ring_kek *k = r->shards[shard];

	while (k && k->version != version)
		k = k->older;
	return k;
}

int keyd_ring_make_kek(struct keyd_ring *r, unsigned shard, uint64_t generation, struct buf *out)
{
	uint8_t wrapped[KEYD_WRAP_KEY], *key = secret_alloc(32);
	int64_t now = clock_wall();
	struct keyd_record_kek m = {.shard = (uint8_t)shard,
				    .version = 1,
				    .generation = generation,
				    .state = KEYD_RECORD_ACTIVE,
				    .created = now,
				    .changed = now,
				    .wrapped = wrapped};
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

/* KEKs come oldest first and are opened at once: a wrap that does not verify is found at start. */
int keyd_ring_kek_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_kek m;
	struct keyd_ring_kek *k;
	struct buf aad;
	int rc;

	if (keyd_record_kek_get(body, &m) < 0 ||
	    (r->shards[m.shard] && r->shards[m.shard]->version >= m.version))
		return ERR_DAMAGED;
	if (r->no_anchor)
		return ERR_NOTFOUND;
	k = calloc(1, sizeof(*k));
	if (!k || !(k->key = secret_alloc(32))) {
		free(k);
		return ERR_NOMEM;
	}
	buf_init(&aad, 512);
	rc = keyd_record_kek_aad(&aad, r->store, &m);
	if (rc == 0)
		rc = keyd_wrap_open(r->root->kek, buf_span(&aad), span_of(m.wrapped, KEYD_WRAP_KEY),
				    k->key);
	buf_clear(&aad);
	if (rc < 0) {
		secret_free(k->key, 32);
		free(k);
		return rc == ERR_AUTH ? ERR_DAMAGED : rc;
	}
	k->version = m.version;
	k->generation = m.generation;
	k->uses = m.uses;
	k->state = m.state;
	k->created = m.created;
	k->changed = m.changed;
	memcpy(k->wrapped, m.wrapped, sizeof(k->wrapped));
	k->older = r->shards[m.shard];
	r->shards[m.shard] = k;
	r->kek_count++;
	r->root_wraps += (uint64_t)fresh;
	return 0;
}

int keyd_ring_kek_wrap(const struct keyd_ring *r, unsigned shard, const struct keyd_ring_kek *k,
		       const uint8_t key[32], uint8_t out[KEYD_WRAP_KEY])
{
	struct keyd_record_kek m = {
	    .shard = (uint8_t)shard, .version = k->version, .generation = k->generation};
	struct buf aad;
	int rc;

	buf_init(&aad, 512);
	rc = keyd_record_kek_aad(&aad, r->store, &m);
	if (rc == 0)
		rc = keyd_wrap_seal(key, buf_span(&aad), k->key, 32, out);
	buf_clear(&aad);
	return rc;
}

static void kek_free(struct keyd_ring_kek *k)
{
	secret_free(k->key, 32);
	free(k);
}

/* The newest version of a shard, and one that still wraps something, cannot go. A KEK that is
 * destroyed is no longer there, in memory at once, in the store with the next snapshot. */
int keyd_ring_kek_state_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_ring_kek **at, *k;
	struct keyd_record_kek_state m;

	(void)fresh;
	if (keyd_record_kek_state_get(body, &m) < 0 || !r->shards[m.shard])
		return ERR_DAMAGED;
	for (at = &r->shards[m.shard]->older; *at && (*at)->version != m.version;)
		at = &(*at)->older;
	k = *at;
	if (!k || k->deks || k->state >= m.state)
		return ERR_DAMAGED;
	k->state = m.state;
	k->changed = m.changed;
	if (m.state == KEYD_RECORD_DESTROYED) {
		*at = k->older;
		kek_free(k);
		r->kek_count--;
		r->destroyed++;
	}
	return 0;
}

void keyd_ring_shard(const struct keyd_ring *r, unsigned shard, struct keyd_ring_shard *out)
{
	const struct keyd_ring_kek *k = r->shards[shard];

	memset(out, 0, sizeof(*out));
	if (!k)
		return;
	out->version = out->older = k->version;
	out->created = k->created;
	out->uses = k->uses;
	out->deks = k->deks;
	while ((k = k->older)) {
		out->older = k->version;
		out->left += k->deks;
	}
}

int keyd_ring_kek_next(const struct keyd_ring *r, unsigned shard, uint32_t version,
		       struct keyd_ring_kek_info *out)
{
	const struct keyd_ring_kek *found = NULL;

	for (const struct keyd_ring_kek *k = r->shards[shard]; k && k->version > version;
	     k = k->older)
		found = k;
	if (!found)
		return ERR_NOTFOUND;
	out->version = found->version;
	out->deks = found->deks;
	out->state = found->state;
	out->changed = found->changed;
	return 0;
}

/* The older versions first. */
static int each(const struct keyd_ring *r, struct keyd_ring_walk *w, unsigned shard,
		const struct keyd_ring_kek *k)
{
	struct keyd_record_kek m;
	uint8_t bare[KEYD_WRAP_KEY];
	int rc = k->older ? each(r, w, shard, k->older) : 0;

	if (rc)
		return rc;
	m.shard = (uint8_t)shard;
	m.version = k->version;
	m.generation = k->generation;
	m.uses = k->uses;
	m.state = k->state;
	m.created = k->created;
	m.changed = k->changed;
	m.wrapped = w->under == KEYD_RING_UNDER_NEXT ? k->next : k->wrapped;
	if (w->under == KEYD_RING_UNDER_BASE) {
		rc = keyd_ring_kek_wrap(r, shard, k, r->root->base, bare);
		m.wrapped = bare;
		if (rc < 0)
			return rc;
	}
	return keyd_ring_walk(w, KEYD_RECORD_KEK, keyd_record_kek_put(&w->body, &m));
}

int keyd_ring_kek_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < KEYD_RING_SHARDS; i++)
		if (r->shards[i])
			rc = each(r, w, i, r->shards[i]);
	return rc;
}

void keyd_ring_kek_clear(struct keyd_ring *r)
{
	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++) {
		for (struct keyd_ring_kek *k = r->shards[i], *older; k; k = older) {
			older = k->older;
			kek_free(k);
		}
	}
}
