/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_cache.h"

#include <stdlib.h>

#include "core/list.h"
#include "core/secret.h"

struct entry {
	struct list_link used; /* on lru or on spare */
	struct entry *chain;   /* same bucket */
	uint32_t keyref;
	uint8_t *keys;
};

struct keyd_cache {
	struct list lru;   /* last used first */
	struct list spare; /* without keys, not in a bucket */
	unsigned count;
	uint32_t mask;
	struct entry **buckets;
	struct entry entries[];
};

struct keyd_cache *keyd_cache_new(unsigned max)
{
	struct keyd_cache *c = calloc(1, sizeof(*c) + max * sizeof(c->entries[0]));
	uint32_t size = 16;

	if (!c)
		return NULL;
	while (size < max)
		size *= 2;
	c->mask = size - 1;
	c->buckets = calloc(size, sizeof(c->buckets[0]));
	if (!c->buckets) {
		free(c);
		return NULL;
	}
	list_init(&c->lru);
	list_init(&c->spare);
	for (unsigned i = 0; i < max; i++)
		list_push_back(&c->spare, &c->entries[i].used);
	return c;
}

void keyd_cache_free(struct keyd_cache *c)
{
	if (!c)
		return;
	list_each(e, &c->lru, struct entry, used)
		secret_free(e->keys, KEYD_CACHE_KEYS);
	free(c->buckets);
	free(c);
}

const uint8_t *keyd_cache_get(struct keyd_cache *c, uint32_t keyref)
{
	struct entry *e = c->buckets[keyref & c->mask];

	while (e && e->keyref != keyref)
		e = e->chain;
	if (!e)
		return NULL;
	if (c->lru.head.next != &e->used) {
		list_remove(&e->used);
		list_push_front(&c->lru, &e->used);
	}
	return e->keys;
}

/* Takes an entry out of its bucket and list; returns its keys, wiped. */
static uint8_t *detach(struct keyd_cache *c, struct entry *e)
{
	struct entry **at = &c->buckets[e->keyref & c->mask];
	uint8_t *keys = e->keys;

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	list_remove(&e->used);
	secret_wipe(keys, KEYD_CACHE_KEYS);
	e->keys = NULL;
	c->count--;
	return keys;
}

uint8_t *keyd_cache_put(struct keyd_cache *c, uint32_t keyref)
{
	struct list_link *link = list_first(&c->spare);
	uint8_t *keys = link ? secret_alloc(KEYD_CACHE_KEYS) : NULL;
	struct entry *e;

	if (keys) {
		e = list_entry(link, struct entry, used);
		list_remove(link);
	} else {
		if (list_empty(&c->lru))
			return NULL;
		e = list_entry(c->lru.head.prev, struct entry, used);
		keys = detach(c, e);
	}
	e->keyref = keyref;
	e->keys = keys;
	e->chain = c->buckets[keyref & c->mask];
	c->buckets[keyref & c->mask] = e;
	list_push_front(&c->lru, &e->used);
	c->count++;
	return keys;
}

void keyd_cache_drop(struct keyd_cache *c, uint32_t keyref)
{
	struct entry *e = c->buckets[keyref & c->mask];

	while (e && e->keyref != keyref)
		e = e->chain;
	if (!e)
		return;
	secret_free(detach(c, e), KEYD_CACHE_KEYS);
	list_push_back(&c->spare, &e->used);
}

unsigned keyd_cache_count(const struct keyd_cache *c)
{
	return c->count;
}
