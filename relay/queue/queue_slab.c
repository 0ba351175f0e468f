/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/queue/queue_slab.h"

#include <stdint.h>
#include <stdlib.h>

/* gcc tells of its sanitizer by a macro, clang by a feature. */
#if defined(__SANITIZE_ADDRESS__)
#define QUEUE_SLAB_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QUEUE_SLAB_MALLOC 1
#endif
#endif

struct queue_slab_chunk {
	struct queue_slab_chunk *next;
	unsigned char bytes[65536 - 32]; /* with malloc's own it is 64 KiB */
};

struct queue_slab_spare { /* a piece that was given back begins with this */
	struct queue_slab_spare *next;
};

_Static_assert(sizeof(void *) >= _Alignof(uint64_t), "a piece is aligned for what it holds");

void queue_slab_init(struct queue_slab *s, size_t size)
{
	const size_t unit = sizeof(void *);

	*s = (struct queue_slab){.size = (size + unit - 1) / unit * unit};
}

#ifdef QUEUE_SLAB_MALLOC

void queue_slab_clear(struct queue_slab *s)
{
	s->live = 0;
}

void *queue_slab_take(struct queue_slab *s)
{
	void *piece = malloc(s->size);

	s->live += piece != NULL;
	return piece;
}

void queue_slab_give(struct queue_slab *s, void *piece)
{
	s->live--;
	free(piece);
}

#else

/* All but so many chunks go back to malloc, and what is left has never been taken. */
static void empty(struct queue_slab *s, unsigned keep)
{
	struct queue_slab_chunk *c = s->chunks, *next;

	s->chunks = NULL;
	for (; c; c = next) {
		next = c->next;
		if (keep) {
			keep--;
			c->next = s->chunks;
			s->chunks = c;
		} else {
			free(c);
		}
	}
	s->spare = NULL;
	s->used = 0;
	s->live = 0;
}

void queue_slab_clear(struct queue_slab *s)
{
	empty(s, 0);
}

static int add_chunk(struct queue_slab *s)
{
	struct queue_slab_chunk *c = malloc(sizeof(*c));

	if (!c)
		return -1;
	c->next = s->chunks;
	s->chunks = c;
	s->used = 0;
	return 0;
}

void *queue_slab_take(struct queue_slab *s)
{
	struct queue_slab_spare *spare = s->spare;
	void *piece;

	if (spare) {
		s->spare = spare->next;
		s->live++;
		return spare;
	}
	if ((!s->chunks || sizeof(s->chunks->bytes) - s->used < s->size) && add_chunk(s) < 0)
		return NULL;
	piece = s->chunks->bytes + s->used;
	s->used += s->size;
	s->live++;
	return piece;
}

void queue_slab_give(struct queue_slab *s, void *piece)
{
	struct queue_slab_spare *spare = piece;

	spare->next = s->spare;
	s->spare = spare;
	if (--s->live == 0)
		empty(s, 1);
}

#endif
