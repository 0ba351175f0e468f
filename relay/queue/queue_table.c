/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/queue/queue_table.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"

#define ROOM_MIN 64

int queue_table_init(struct queue_table *t, uint64_t seed)
{
	memset(t, 0, sizeof(*t));
	t->seed = seed | 1;
	t->buckets = calloc(ROOM_MIN, sizeof(struct queue_node *));
	if (!t->buckets)
		return ERR_NOMEM;
	t->room = ROOM_MIN;
	return 0;
}

void queue_table_clear(struct queue_table *t)
{
	free(t->buckets);
	t->buckets = NULL;
	t->room = t->count = 0;
}

uint32_t queue_table_hash(const struct queue_table *t, const void *p, size_t n)
{
	uint64_t h = t->seed ^ n;
	const uint8_t *at = p;

	while (n) {
		uint64_t word = 0;
		size_t take = n < 8 ? n : 8;
		__uint128_t wide;
		memcpy(&word, at, take);
		wide = (__uint128_t)(h ^ word) * (UINT64_C(0xa0761d6478bd642f) ^ t->seed << 1);
		h = (uint64_t)wide ^ (uint64_t)(wide >> 64) ^ t->seed;
		at += take;
		n -= take;
	}
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

static void put(struct queue_node **buckets, uint32_t room, struct queue_node *n)
{
	n->chain = buckets[n->hash & (room - 1)];
	buckets[n->hash & (room - 1)] = n;
}

static void grow(struct queue_table *t)
{
	struct queue_node **more = calloc((size_t)2 * t->room, sizeof(*more));

	if (!more)
		return;
	for (uint32_t i = 0; i < t->room; i++)
		while (t->buckets[i]) {
			struct queue_node *n = t->buckets[i];
			t->buckets[i] = n->chain;
			put(more, 2 * t->room, n);
		}
	free(t->buckets);
	t->buckets = more;
	t->room *= 2;
}

void queue_table_add(struct queue_table *t, struct queue_node *n, uint32_t hash)
{
	n->hash = hash;
	if (t->count >= t->room && t->room < UINT32_C(1) << 30)
		grow(t);
	put(t->buckets, t->room, n);
	t->count++;
}

void queue_table_remove(struct queue_table *t, struct queue_node *n)
{
	struct queue_node **at = &t->buckets[n->hash & (t->room - 1)];

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	t->count--;
}
