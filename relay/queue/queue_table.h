/* SPDX-License-Identifier: Apache-2.0 */
/* queue_table - things by a hash: chains whose links live in their members.
 *
 * Story:     a member begins with a struct queue_node. Its owner computes the hash, walks the chain
 *            from queue_table_first and compares. The table doubles as it fills; without memory for
 *            that its chains grow longer instead, and nothing fails.
 * Ownership: members are the owner's; the table is buckets only.
 * Thread:    pure; one at a time. */
#ifndef RELAY_QUEUE_QUEUE_TABLE_H
#define RELAY_QUEUE_QUEUE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct queue_node {
	struct queue_node *chain;
	uint32_t hash;
};
struct queue_table {
	struct queue_node **buckets;
	uint32_t room, count;
	uint64_t seed;
};

/* seed: random, so that who chooses names does not choose buckets. ERR_NOMEM. */
int queue_table_init(struct queue_table *t, uint64_t seed);
void queue_table_clear(struct queue_table *t);
uint32_t queue_table_hash(const struct queue_table *t, const void *p, size_t n);
static inline struct queue_node *queue_table_first(const struct queue_table *t, uint32_t hash)
{
	return t->buckets ? t->buckets[hash & (t->room - 1)] : NULL;
}
void queue_table_add(struct queue_table *t, struct queue_node *n, uint32_t hash);
void queue_table_remove(struct queue_table *t, struct queue_node *n);

#endif
