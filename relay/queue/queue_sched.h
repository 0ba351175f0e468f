/* SPDX-License-Identifier: Apache-2.0 */
/* queue_sched - who is due next: a heap of times, made for a million entries.
 *
 * Story:     an entry is a time and the place of a number in its owner, where the heap notes at
 * which position the entry stands (QUEUE_SCHED_OUT: it does not). So an owner is taken out or moved
 * without a search, and found from the first entry by the place of that number. Room is reserved
 * when an owner is made: adding, later, cannot fail. 16 bytes an entry. Ownership: owners must not
 * move while they stand in it. Thread:    pure; one at a time. */
#ifndef RELAY_QUEUE_QUEUE_SCHED_H
#define RELAY_QUEUE_QUEUE_SCHED_H

#include <stdint.h>

#define QUEUE_SCHED_OUT UINT32_MAX

struct queue_sched_entry {
	int64_t due; /* mono usec */
	uint32_t *pos;
};
struct queue_sched {
	struct queue_sched_entry *entries;
	uint32_t count, room;
};

void queue_sched_init(struct queue_sched *s);
void queue_sched_clear(struct queue_sched *s);
/* Room for n entries in all. ERR_NOMEM. */
int queue_sched_reserve(struct queue_sched *s, uint32_t n);
/* *pos must be QUEUE_SCHED_OUT, and room reserved. */
void queue_sched_add(struct queue_sched *s, int64_t due, uint32_t *pos);
/* Fine if it is not in. */
void queue_sched_remove(struct queue_sched *s, uint32_t *pos);
/* The number of the earliest owner, or NULL. */
uint32_t *queue_sched_first(const struct queue_sched *s);
/* Takes it out if it is due at now; else NULL. */
uint32_t *queue_sched_due(struct queue_sched *s, int64_t now);
/* When the earliest is due, INT64_MAX if there is none. */
int64_t queue_sched_when(const struct queue_sched *s);

#endif
