/* SPDX-License-Identifier: Apache-2.0 */
/* queue_slab - pieces of memory of one size, of which there are very many.
 *
 * Story:     a queue of a million recipients is a million messages and groups. malloc gives each a
 *            head of its own, and threads that share its arena wait for each other while an order
 *            frees half of them; here a piece has no head, and to take or to give one is a few
 *            instructions. Pieces come from chunks of 64 KiB, in the order of their addresses as
 *            long as none was given back; else the last that was given back comes first.
 * Memory:    what was given back is kept for the next that is taken. When no piece is left, all
 *            chunks but one go back to malloc: the memory of a great queue is kept until it is empty.
 * Ownership: the slab's chunks are its own; a piece is its taker's until it is given back.
 * Tests:     compiled for AddressSanitizer, or with QUEUE_SLAB_MALLOC defined, each piece is malloc's:
 *            a use after giving it back is found, and a test can refuse each.
 * Thread:    one at a time. */
#ifndef RELAY_QUEUE_QUEUE_SLAB_H
#define RELAY_QUEUE_QUEUE_SLAB_H

#include <stddef.h>

struct queue_slab_chunk;
struct queue_slab_spare;
struct queue_slab {
	size_t size; /* of a piece */
	size_t live; /* pieces that are taken */
	struct queue_slab_chunk *chunks; /* the newest first */
	struct queue_slab_spare *spare;	 /* what was given back */
	size_t used; /* bytes of the newest chunk that were taken once */
};

/* size: bytes of a piece, up to a page; rounded up to a multiple of a pointer's. Takes no memory. */
void queue_slab_init(struct queue_slab *s, size_t size);
/* Frees all chunks; no piece may be in use any more. */
void queue_slab_clear(struct queue_slab *s);
/* A piece, aligned for pointers and 64-bit numbers; its bytes are anything. NULL: out of memory. */
void *queue_slab_take(struct queue_slab *s);
/* piece: of this slab, not NULL. */
void queue_slab_give(struct queue_slab *s, void *piece);

#endif
