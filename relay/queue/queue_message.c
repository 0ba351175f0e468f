/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/queue/queue_priv.h"

struct queue_message *queue_message_new(struct queue *q, uint64_t id)
{
	struct queue_message *m = queue_slab_take(&q->messages);

	if (!m)
		return NULL;
	*m = (struct queue_message){.id = id};
	if (queue_index_add(&q->index, id, m) < 0) {
		queue_slab_give(&q->messages, m);
		return NULL;
	}
	return m;
}

unsigned queue_message_recipients(const struct queue_message *m)
{
	unsigned n = m->opened || !m->u.found ? 0 : m->u.found->count;

	for (const struct queue_group *g = m->groups; g; g = g->next)
		n += g->count;
	return n;
}

void queue_message_drop_fresh(struct queue *q, struct queue_message *m)
{
	if (m->opened && m->u.fresh) {
		spool_fresh_free(m->u.fresh);
		m->u.fresh = NULL;
		q->fresh_count--;
	}
}

void queue_message_drop_all_fresh(struct queue *q)
{
	struct queue_message *m;

	if (q->fresh_count == 0)
		return;
	for (uint64_t id = 0; (m = queue_index_above(&q->index, id)); id = m->id)
		queue_message_drop_fresh(q, m);
}

void queue_message_free(struct queue *q, struct queue_message *m)
{
	while (m->groups) {
		struct queue_group *g = m->groups;
		if (!g->next) { /* frees the message too */
			queue_group_done(q, g);
			return;
		}
		queue_group_done(q, g);
	}
	if (m->opened)
		queue_message_drop_fresh(q, m);
	else if (m->u.found)
		queue_found_free(q, m->u.found);
	q->bytes -= m->size;
	queue_index_remove(&q->index, m->id);
	queue_slab_give(&q->messages, m);
}
