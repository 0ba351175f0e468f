/* SPDX-License-Identifier: Apache-2.0 */
/* queue_index - all messages by id, in order of their ids, which is nearly the order of their age.
 *
 * Story:     blocks of sorted entries. New ids are nearly always the largest, so blocks fill from
 * the front and inserting means appending; lookup is two binary searches, or one where it was just changed; a list
 * page starts anywhere. No pause for rehashing at any size. About 17 bytes an entry. Ownership: keeps the
 * pointers, does not look behind them. Thread:    pure; one at a time. */
#ifndef RELAY_QUEUE_QUEUE_INDEX_H
#define RELAY_QUEUE_QUEUE_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct queue_index_block;
struct queue_index {
	struct queue_index_block **blocks;
	size_t block_count, block_room;
	size_t count; /* entries */
	size_t recent; /* number of the block that was changed last: changes come in runs */
};

void queue_index_init(struct queue_index *x);
void queue_index_clear(struct queue_index *x);
/* 0, ERR_EXISTS, ERR_NOMEM. */
int queue_index_add(struct queue_index *x, uint64_t id, void *what);
void *queue_index_find(const struct queue_index *x, uint64_t id);
/* What was there, or NULL. */
void *queue_index_remove(struct queue_index *x, uint64_t id);
/* The entry with the smallest id above after, or NULL. */
void *queue_index_above(const struct queue_index *x, uint64_t after);

#endif
