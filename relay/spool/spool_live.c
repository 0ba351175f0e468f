/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_live.h"

#include <stdlib.h>

#include "core/err.h"

#define CHUNK	    1024u /* entries: 64 KiB */
#define BUCKETS_MIN 64u
#define HOLDS_MAX   0x7fffu

_Static_assert(sizeof(struct spool_entry) == 64, "one entry is one cache line");

/* Ids count upwards; all their bits must reach the low ones of the result, of which few are used. */
static uint32_t hash(uint64_t id)
{
	id ^= id >> 32;
	id *= UINT64_C(0xd6e8feb86659fd93);
	id ^= id >> 32;
	id *= UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(id >> 32);
}

int spool_live_init(struct spool_live *l)
{
	memset(l, 0, sizeof(*l));
	l->buckets = calloc(BUCKETS_MIN, sizeof(*l->buckets));
	if (!l->buckets)
		return ERR_NOMEM;
	l->bucket_count = l->bucket_room = l->base = BUCKETS_MIN;
	return 0;
}

struct spool_entry *spool_live_slot(const struct spool_live *l, uint32_t slot)
{
	struct spool_entry *e = &l->chunks[slot / CHUNK][slot % CHUNK];

	return e->id ? e : NULL;
}

static struct spool_entry *entry(const struct spool_live *l, uint32_t slot)
{
	return &l->chunks[slot / CHUNK][slot % CHUNK];
}

static uint64_t listed(const struct spool_entry *e)
{
	return e->hold_count + (e->recipients > 1 ? e->recipients : 0u);
}

static void drop_memory(struct spool_entry *e)
{
	free(e->holds);
	if (e->recipients > 1)
		free(e->many);
}

void spool_live_clear(struct spool_live *l)
{
	for (uint32_t i = 0; i < l->slots; i++)
		if (entry(l, i)->id)
			drop_memory(entry(l, i));
	for (uint32_t i = 0; i < l->chunk_count; i++)
		free(l->chunks[i]);
	free(l->chunks);
	free(l->buckets);
	memset(l, 0, sizeof(*l));
}

/* base buckets exist twice up to split: those below it have been divided by one more bit. */
static uint32_t *bucket(const struct spool_live *l, uint64_t id)
{
	uint32_t h = hash(id), at = h & (l->base - 1);

	return &l->buckets[at < l->split ? h & (2 * l->base - 1) : at];
}

/* Divides one bucket. Without memory chains just grow longer. */
static void grow(struct spool_live *l)
{
	uint32_t chain, low = 0, high = 0;

	if (l->bucket_count == l->bucket_room) {
		uint32_t *more = realloc(l->buckets, 2 * (size_t)l->bucket_room * sizeof(*more));
		if (!more)
			return;
		l->buckets = more;
		l->bucket_room *= 2;
	}
	chain = l->buckets[l->split];
	while (chain) {
		struct spool_entry *e = entry(l, chain - 1);
		uint32_t *to = hash(e->id) & l->base ? &high : &low, next = e->next;
		e->next = *to;
		*to = chain;
		chain = next;
	}
	l->buckets[l->split] = low;
	l->buckets[l->bucket_count++] = high;
	if (++l->split == l->base) {
		l->base *= 2;
		l->split = 0;
	}
}

struct spool_entry *spool_live_find(const struct spool_live *l, uint64_t id)
{
	for (uint32_t at = *bucket(l, id); at; at = entry(l, at - 1)->next)
		if (entry(l, at - 1)->id == id)
			return entry(l, at - 1);
	return NULL;
}

void spool_live_soon(const struct spool_live *l, uint64_t id)
{
	uint32_t at = *bucket(l, id);

	if (at)
		__builtin_prefetch(entry(l, at - 1), 1);
}

uint32_t spool_live_index(const struct spool_live *l, const struct spool_entry *e)
{
	uint32_t at = *bucket(l, e->id);

	while (entry(l, at - 1) != e)
		at = entry(l, at - 1)->next;
	return at - 1;
}

static int add_chunk(struct spool_live *l)
{
	if (l->chunk_count == l->chunk_room) {
		uint32_t room = l->chunk_room ? 2 * l->chunk_room : 16;
		struct spool_entry **more = realloc(l->chunks, room * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		l->chunks = more;
		l->chunk_room = room;
	}
	l->chunks[l->chunk_count] = aligned_alloc(64, CHUNK * sizeof(struct spool_entry));
	if (!l->chunks[l->chunk_count])
		return ERR_NOMEM;
	l->chunk_count++;
	return 0;
}

struct spool_entry *spool_live_add(struct spool_live *l, uint64_t id)
{
	struct spool_entry *e;
	uint32_t slot, *head;

	if (l->free) {
		slot = l->free - 1;
		l->free = entry(l, slot)->next;
	} else {
		if (l->slots == UINT32_MAX ||
		    (l->slots == l->chunk_count * CHUNK && add_chunk(l) < 0))
			return NULL;
		slot = l->slots++;
	}
	e = entry(l, slot);
	memset(e, 0, sizeof(*e));
	e->id = id;
	head = bucket(l, id);
	e->next = *head;
	*head = slot + 1;
	if (++l->count > l->bucket_count)
		grow(l);
	return e;
}

/* The memory of a great queue goes back once that is empty. */
static void shrink(struct spool_live *l)
{
	struct spool_live fresh;

	if (l->chunk_count <= 16 || spool_live_init(&fresh) < 0)
		return;
	spool_live_clear(l);
	*l = fresh;
}

void spool_live_remove(struct spool_live *l, struct spool_entry *e)
{
	uint32_t *link = bucket(l, e->id), slot;

	while (entry(l, *link - 1) != e)
		link = &entry(l, *link - 1)->next;
	slot = *link;
	*link = e->next;
	if (e->at.segment)
		l->committed--;
	l->listed -= listed(e);
	drop_memory(e);
	e->id = 0;
	e->next = l->free;
	l->free = slot;
	if (--l->count == 0)
		shrink(l);
}

int spool_live_expect(struct spool_live *l, struct spool_entry *e, uint16_t recipients)
{
	struct spool_state *many = NULL;

	if (recipients > 1) {
		many = calloc(recipients, sizeof(*many));
		if (!many)
			return ERR_NOMEM;
	}
	l->listed -= listed(e);
	if (e->recipients > 1)
		free(e->many);
	memset(&e->one, 0, sizeof(e->one));
	if (recipients > 1)
		e->many = many;
	e->recipients = e->remaining = recipients;
	l->listed += listed(e);
	return 0;
}

int spool_live_hold_in(struct spool_hold **holds, unsigned *count, uint32_t segment, uint32_t bytes)
{
	struct spool_hold *more;

	for (unsigned i = *count; i-- > 0;)
		if ((*holds)[i].segment == segment) {
			(*holds)[i].bytes += bytes;
			return 0;
		}
	if (*count == HOLDS_MAX)
		return ERR_NOMEM;
	/* as a power of two */
	if ((*count & (*count - 1)) == 0) {
		more = realloc(*holds, (*count ? 2u * *count : 1u) * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		*holds = more;
	}
	(*holds)[(*count)++] = (struct spool_hold){segment, bytes};
	return 1;
}

int spool_live_hold(struct spool_live *l, struct spool_entry *e, uint32_t segment, uint32_t bytes)
{
	unsigned count = e->hold_count;
	int rc = spool_live_hold_in(&e->holds, &count, segment, bytes);

	e->hold_count = (uint16_t)(count & HOLDS_MAX);
	l->listed += rc == 1;
	return rc;
}

void spool_live_move(struct spool_live *l, struct spool_entry *e, struct spool_place at,
		     struct spool_hold *holds, unsigned hold_count)
{
	l->listed -= listed(e);
	free(e->holds);
	e->holds = holds;
	e->hold_count = (uint16_t)(hold_count & HOLDS_MAX);
	l->listed += listed(e);
	e->at = at;
	e->copied = 1;
}

void spool_live_commit(struct spool_live *l, struct spool_entry *e, struct spool_place at,
		       int64_t created)
{
	if (!e->at.segment)
		l->committed++;
	e->at = at;
	e->created = created;
}

int spool_live_apply(struct spool_entry *e, const struct spool_state *st)
{
	struct spool_state *known;

	if (st->recipient >= e->recipients)
		return 0;
	known = e->recipients == 1 ? &e->one : &e->many[st->recipient];
	if (spool_outcome_final(known->outcome))
		return 0;
	*known = *st;
	if (spool_outcome_final(st->outcome))
		e->remaining--;
	return e->remaining == 0;
}

int spool_live_quarantine(struct spool_entry *e)
{
	const struct spool_state *states = spool_live_states(e);

	e->quarantined = 0;
	for (unsigned i = 0; i < e->recipients && !e->quarantined; i++)
		e->quarantined = states[i].outcome == SPOOL_HELD &&
				 states[i].reason == SPOOL_REASON_DAMAGED;
	return e->quarantined;
}
