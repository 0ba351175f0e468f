/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_ring_rewrap.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h"

#define AHEAD	  8
#define STEPS_MAX (8 * KEYD_RING_REWRAP_BATCH) /* DEKs passed over at one go */

/* Adds the next DEKs, downwards from the cursor: their key references, and the version that wraps
 * them. What is read of them is fetched a few steps ahead: with a million DEKs nothing of them is
 * in the processor's cache, and the loop has others to serve. 1: the batch is whole. */
static int choose(const struct keyd_ring *r, unsigned shard, uint32_t *cursor,
		  struct keyd_ring_rewrap *batch)
{
	const struct keyd_ring_refs *l = &r->shard_deks[shard];
	const struct keyd_ring_dek *d;
	uint32_t at = keyd_ring_refs_below(l, *cursor);
	unsigned steps = 0;
	int other = 0;

	for (uint32_t i = at; i > 0 && at - i < AHEAD; i--)
		__builtin_prefetch(keyd_ring_dek_place(r, l->refs[i - 1]));
	for (; at && batch->count < KEYD_RING_REWRAP_BATCH && steps < STEPS_MAX; at--, steps++) {
		if (at > AHEAD)
			__builtin_prefetch(keyd_ring_dek_place(r, l->refs[at - AHEAD - 1]));
		d = keyd_ring_find_dek(r, l->refs[at - 1]);
		if (d->kek_version == batch->to)
			continue;
		other = batch->count && d->kek_version != batch->from;
		if (other)
			break;
		batch->from = d->kek_version;
		batch->items[batch->count++].keyref = l->refs[at - 1];
		__builtin_prefetch(&d->wrapped);
		__builtin_prefetch(&r->customers[d->customer]);
	}
	*cursor = at ? l->refs[at - 1] + 1 : 0;
	return !at || other || batch->count == KEYD_RING_REWRAP_BATCH;
}

/* The items from first on. */
static void copy(const struct keyd_ring *r, struct keyd_ring_rewrap *batch, unsigned first)
{
	const struct keyd_ring_dek *deks[KEYD_RING_REWRAP_BATCH];
	struct keyd_ring_rewrap_item *item = batch->items + first;
	unsigned count = batch->count - first;
	const char *name;

	for (unsigned i = 0; i < count; i++) {
		deks[i] = keyd_ring_find_dek(r, item[i].keyref);
		__builtin_prefetch(r->customers[deks[i]->customer].name);
	}
	for (unsigned i = 0; i < count; i++, item++) {
		name = r->customers[deks[i]->customer].name;
		item->version = deks[i]->version;
		item->generation = deks[i]->generation;
		item->failed = 0;
		item->name_size = (uint8_t)strlen(name); /* a keyproto name: at most 64 */
		memcpy(item->name, name, item->name_size);
		memcpy(item->wrapped, deks[i]->wrapped, sizeof(item->wrapped));
	}
}

int keyd_ring_rewrap_take(const struct keyd_ring *r, unsigned shard, uint64_t generation,
			  uint32_t *cursor, struct keyd_ring_rewrap *batch,
			  struct keyd_ring_rewrap_keys *keys)
{
	const struct keyd_ring_kek *to = r->shards[shard], *from;
	unsigned first = batch->count;
	int whole;

	batch->to = to->version;
	whole = choose(r, shard, cursor, batch);
	if (!batch->count)
		return whole ? ERR_NOTFOUND : 0;
	copy(r, batch, first);
	if (!whole)
		return 0;
	from = keyd_ring_find_kek(r, shard, batch->from);
	if (!from)
		return ERR_DAMAGED;
	if (to->uses + batch->count > KEYD_WRAP_USES_MAX)
		return ERR_LIMIT;
	memcpy(batch->store, r->store, sizeof(batch->store));
	batch->shard = (uint8_t)shard;
	batch->generation = generation;
	memcpy(keys->from, from->key, 32);
	memcpy(keys->to, to->key, 32);
	return 1;
}

/* What the work on a batch needs. */
struct tools {
	struct keyd_wrap_many *open, *seal, *again;
	struct buf aad;
	uint8_t nonces[KEYD_RING_REWRAP_BATCH][12];
};

static struct tools *tools_new(const struct keyd_ring_rewrap *batch,
			       const struct keyd_ring_rewrap_keys *keys)
{
	struct tools *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->open = keyd_wrap_many_new(keys->from, 0);
	b->seal = keyd_wrap_many_new(keys->to, 1);
	b->again = keyd_wrap_many_new(keys->to, 0);
	buf_init(&b->aad, 512);
	rand_bytes(b->nonces, sizeof(b->nonces[0]) * batch->count);
	return b;
}

static void tools_free(struct tools *b)
{
	keyd_wrap_many_free(b->open);
	keyd_wrap_many_free(b->seal);
	keyd_wrap_many_free(b->again);
	buf_clear(&b->aad);
	free(b);
}

/* 0, ERR_AUTH: the old wrap does not open, or what else went wrong. */
static int rewrap(const struct keyd_ring_rewrap *batch, struct keyd_ring_rewrap_item *item,
		  struct keyd_ring_rewrap_keys *keys, struct tools *b, const uint8_t nonce[12])
{
	struct keyd_record_dek m = {.keyref = item->keyref,
				    .customer = span_of(item->name, item->name_size),
				    .version = item->version,
				    .kek_version = batch->from,
				    .generation = item->generation};
	int rc;

	buf_reset(&b->aad);
	rc = keyd_record_dek_shard_aad(&b->aad, batch->store, &m, batch->shard);
	if (rc == 0)
		rc = keyd_wrap_many_open(b->open, buf_span(&b->aad),
					 span_of(item->wrapped, KEYD_WRAP_KEY), keys->dek);
	if (rc < 0)
		return rc;
	m.kek_version = batch->to;
	m.generation = batch->generation;
	buf_reset(&b->aad);
	rc = keyd_record_dek_shard_aad(&b->aad, batch->store, &m, batch->shard);
	if (rc == 0)
		rc = keyd_wrap_many_seal(b->seal, nonce, buf_span(&b->aad), keys->dek, 32,
					 item->fresh);
	if (rc == 0 && (keyd_wrap_many_open(b->again, buf_span(&b->aad),
					    span_of(item->fresh, KEYD_WRAP_KEY), keys->again) < 0 ||
			!secret_equal(keys->dek, keys->again, 32)))
		rc = ERR_CRYPTO;
	return rc;
}

int keyd_ring_rewrap_work(struct keyd_ring_rewrap *batch, struct keyd_ring_rewrap_keys *keys,
			  const int *cancel)
{
	struct tools *b = tools_new(batch, keys);
	int rc = !b ? ERR_NOMEM : b->open && b->seal && b->again ? 0 : ERR_CRYPTO;

	for (unsigned i = 0; rc == 0 && i < batch->count; i++) {
		if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED)) {
			rc = ERR_LOCKED;
			break;
		}
		rc = rewrap(batch, &batch->items[i], keys, b, b->nonces[i]);
		if (rc == ERR_AUTH) {
			batch->items[i].failed = 1;
			rc = 0;
		}
	}
	if (b)
		tools_free(b);
	return rc;
}

/* 1 if the DEK is still what the batch took. */
static int still(const struct keyd_ring *r, const struct keyd_ring_rewrap *batch,
		 const struct keyd_ring_rewrap_item *item)
{
	const struct keyd_ring_dek *d = keyd_ring_find_dek(r, item->keyref);

	return d && !item->failed && d->shard == batch->shard && d->kek_version == batch->from;
}

int keyd_ring_rewrap_put(const struct keyd_ring *r, const struct keyd_ring_rewrap *batch,
			 struct buf *out)
{
	struct keyd_record_rewrap m = {batch->shard, batch->to, 0};
	struct keyd_record_rewrap_item item;

	if (r->shards[batch->shard]->version != batch->to)
		return ERR_NOTFOUND;
	for (unsigned i = 0; i < batch->count; i++)
		m.count = (uint16_t)(m.count + still(r, batch, &batch->items[i]));
	if (!m.count)
		return ERR_NOTFOUND;
	keyd_record_rewrap_put(out, &m);
	for (unsigned i = 0; i < batch->count; i++) {
		if (!still(r, batch, &batch->items[i]))
			continue;
		item.keyref = batch->items[i].keyref;
		item.generation = batch->generation;
		item.wrapped = batch->items[i].fresh;
		keyd_record_rewrap_item_put(out, &item);
	}
	return buf_failed(out);
}

/* Whether the item is of a DEK of this shard that an older KEK wraps; which is *kek. */
static int applies(const struct keyd_ring *r, const struct keyd_record_rewrap *m,
		   const struct keyd_record_rewrap_item *item, struct keyd_ring_kek **kek)
{
	const struct keyd_ring_dek *d = keyd_ring_find_dek(r, item->keyref);

	if (!d || d->shard != m->shard || d->kek_version >= m->version)
		return 0;
	*kek = keyd_ring_find_kek(r, m->shard, d->kek_version);
	return *kek != NULL;
}

int keyd_ring_rewrap_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_rewrap m;
	struct keyd_record_rewrap_item item;
	struct keyd_ring_kek *old;
	struct keyd_ring_dek *d;
	struct span items;

	if (keyd_record_rewrap_get(body, &m, &items) < 0 || !r->shards[m.shard] ||
	    r->shards[m.shard]->version != m.version)
		return ERR_DAMAGED;
	for (unsigned i = 0; i < m.count; i++) {
		keyd_record_rewrap_item_get(items, i, &item);
		if (!applies(r, &m, &item, &old))
			return ERR_DAMAGED;
	}
	for (unsigned i = 0; i < m.count; i++) {
		keyd_record_rewrap_item_get(items, i, &item);
		d = keyd_ring_find_dek(r, item.keyref);
		keyd_ring_find_kek(r, m.shard, d->kek_version)->deks--;
		d->kek_version = m.version;
		d->generation = item.generation;
		memcpy(d->wrapped, item.wrapped, sizeof(d->wrapped));
	}
	r->shards[m.shard]->deks += m.count;
	r->shards[m.shard]->uses += fresh ? m.count : 0u;
	return 0;
}
