/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/queue/queue_index.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"

#define FULL 255 /* a block is just under 4 KiB */

struct entry {
	uint64_t id;
	void *what;
};
struct queue_index_block {
	unsigned count;
	struct entry entries[FULL];
};

void queue_index_init(struct queue_index *x)
{
	memset(x, 0, sizeof(*x));
}

void queue_index_clear(struct queue_index *x)
{
	for (size_t i = 0; i < x->block_count; i++)
		free(x->blocks[i]);
	free(x->blocks);
	queue_index_init(x);
}

/* Number of the last block that begins at or before id; 0 if none does. */
static size_t block_of(const struct queue_index *x, uint64_t id)
{
	size_t low = 0, high = x->block_count, at = x->recent;

	if (at < high && x->blocks[at]->entries[0].id <= id &&
	    (at + 1 == high || x->blocks[at + 1]->entries[0].id > id))
		return at;
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;
		if (x->blocks[mid]->entries[0].id <= id)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* Where in the block the first entry at or above id stands (count: nowhere). */
static unsigned place_of(const struct queue_index_block *b, uint64_t id)
{
	unsigned low = 0, high = b->count;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;
		if (b->entries[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* A new, empty block at position at. */
static struct queue_index_block *new_block(struct queue_index *x, size_t at)
{
	struct queue_index_block *b;

	if (x->block_count == x->block_room) {
		size_t room = x->block_room ? 2 * x->block_room : 16;
		struct queue_index_block **more = realloc(x->blocks, room * sizeof(*more));
		if (!more)
			return NULL;
		x->blocks = more;
		x->block_room = room;
	}
	b = malloc(sizeof(*b));
	if (!b)
		return NULL;
	b->count = 0;
	memmove(x->blocks + at + 1, x->blocks + at, (x->block_count - at) * sizeof(*x->blocks));
	x->blocks[at] = b;
	x->block_count++;
	return b;
}

/* A full block gives its upper half to a new one; the very last, asked for room at its end, gives
 * nothing. */
static int split(struct queue_index *x, size_t at, unsigned place)
{
	struct queue_index_block *b = x->blocks[at], *next;
	unsigned keep = at + 1 == x->block_count && place == FULL ? FULL : FULL / 2;

	next = new_block(x, at + 1);
	if (!next)
		return ERR_NOMEM;
	next->count = FULL - keep;
	memcpy(next->entries, b->entries + keep, next->count * sizeof(struct entry));
	b->count = keep;
	return 0;
}

int queue_index_add(struct queue_index *x, uint64_t id, void *what)
{
	struct queue_index_block *b;
	size_t at = block_of(x, id);
	unsigned place;

	if (x->block_count == 0 && !new_block(x, 0))
		return ERR_NOMEM;
	b = x->blocks[at];
	place = place_of(b, id);
	if (place < b->count && b->entries[place].id == id)
		return ERR_EXISTS;
	if (b->count == FULL) {
		if (split(x, at, place) < 0)
			return ERR_NOMEM;
		if (place > b->count || b->count == FULL) {
			place -= b->count;
			b = x->blocks[at + 1];
		}
	}
	memmove(b->entries + place + 1, b->entries + place,
		(b->count - place) * sizeof(struct entry));
	b->entries[place] = (struct entry){id, what};
	x->recent = at;
	b->count++;
	x->count++;
	return 0;
}

void *queue_index_find(const struct queue_index *x, uint64_t id)
{
	const struct queue_index_block *b;
	unsigned place;

	if (x->block_count == 0)
		return NULL;
	b = x->blocks[block_of(x, id)];
	place = place_of(b, id);
	return place < b->count && b->entries[place].id == id ? b->entries[place].what : NULL;
}

static void drop_block(struct queue_index *x, size_t at)
{
	free(x->blocks[at]);
	x->block_count--;
	memmove(x->blocks + at, x->blocks + at + 1, (x->block_count - at) * sizeof(*x->blocks));
}

/* Blocks that have become small are joined, so that memory follows the count. */
static void join(struct queue_index *x, size_t at)
{
	struct queue_index_block *b, *next;

	if (at + 1 >= x->block_count)
		return;
	b = x->blocks[at];
	next = x->blocks[at + 1];
	if (b->count + next->count > FULL / 2)
		return;
	memcpy(b->entries + b->count, next->entries, next->count * sizeof(struct entry));
	b->count += next->count;
	drop_block(x, at + 1);
}

void *queue_index_remove(struct queue_index *x, uint64_t id)
{
	struct queue_index_block *b;
	unsigned place;
	void *what;
	size_t at;

	if (x->block_count == 0)
		return NULL;
	at = block_of(x, id);
	b = x->blocks[at];
	place = place_of(b, id);
	if (place == b->count || b->entries[place].id != id)
		return NULL;
	what = b->entries[place].what;
	b->count--;
	x->count--;
	x->recent = at;
	memmove(b->entries + place, b->entries + place + 1,
		(b->count - place) * sizeof(struct entry));
	if (b->count == 0) {
		drop_block(x, at);
	} else {
		join(x, at);
		if (at > 0)
			join(x, at - 1);
	}
	return what;
}

void *queue_index_above(const struct queue_index *x, uint64_t after)
{
	const struct queue_index_block *b;
	unsigned place;
	size_t at;

	if (x->block_count == 0 || after == UINT64_MAX)
		return NULL;
	at = block_of(x, after + 1);
	b = x->blocks[at];
	place = place_of(b, after + 1);
	if (place < b->count)
		return b->entries[place].what;
	return at + 1 < x->block_count ? x->blocks[at + 1]->entries[0].what : NULL;
}
