/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/id.h"
#include "core/log.h"
#include "core/num.h"
#include "relay/queue/queue_priv.h"

struct queue_group *queue_group_new(struct queue *q, struct queue_message *m, struct queue_dest *d,
				    const uint16_t *recipients, unsigned count)
{
	struct queue_group *g;

	/* for all groups: deferring one cannot fail */
	if (queue_sched_reserve(&q->waiting, (uint32_t)q->groups + 1) < 0)
		return NULL;
	g = malloc(sizeof(*g) + count * sizeof(*recipients));
	if (!g)
		return NULL;
	memset(g, 0, sizeof(*g));
	memcpy(g->recipients, recipients, count * sizeof(*recipients));
	g->count = (uint16_t)count;
	g->message = m;
	g->dest = d;
	g->next = m->groups;
	if (g->next)
		g->next->prev = g;
	m->groups = g;
	if (d->groups++ == 0)
		queue_key_dest_used(q, d);
	q->groups++;
	q->recipients += count;
	return g;
}

void queue_group_leave(struct queue *q, struct queue_group *g)
{
	switch (g->where) {
	case QUEUE_WAITS:
		queue_sched_remove(&q->waiting, &g->at.timer);
		q->waits -= g->count;
		break;
	case QUEUE_READY:
		list_remove(&g->at.link);
		g->dest->ready_recipients -= g->count;
		break;
	case QUEUE_EXPIRING:
		list_remove(&g->at.link);
		break;
	case QUEUE_OUT:
		q->active -= g->count;
		break;
	default: /* DELETING, or new */
		break;
	}
	g->where = 0;
}

void queue_group_done(struct queue *q, struct queue_group *g)
{
	struct queue_message *m = g->message;
	struct queue_dest *d = g->dest;

	queue_group_leave(q, g);
	if (g->prev)
		g->prev->next = g->next;
	else
		m->groups = g->next;
	if (g->next)
		g->next->prev = g->prev;
	q->groups--;
	q->recipients -= g->count;
	queue_key_reply_unref(g->reply);
	free(g);
	if (--d->groups == 0)
		queue_key_dest_idle(q, d);
	if (!m->groups)
		queue_message_free(q, m);
}

void queue_group_ready(struct queue *q, struct queue_group *g, int first)
{
	queue_group_leave(q, g);
	g->where = QUEUE_READY;
	if (first)
		list_push_front(&g->dest->ready, &g->at.link);
	else
		list_push_back(&g->dest->ready, &g->at.link);
	g->dest->ready_recipients += g->count;
	queue_dispatch_wake(q, g->dest);
}

void queue_group_wait(struct queue *q, struct queue_group *g, int64_t pause)
{
	queue_group_leave(q, g);
	queue_message_drop_fresh(g->message);
	g->where = QUEUE_WAITS;
	g->at.timer = QUEUE_SCHED_OUT;
	q->waits += g->count;
	queue_sched_add(&q->waiting, q->now + pause, &g->at.timer);
}

static void say_given_up(const struct queue *q, const struct queue_group *g)
{
	char text[ID_TEXT_SIZE], age[24], word[QUEUE_WORD];

	id_format(text, g->message->id);
	num_format_duration(age, queue_age(q, g->message));
	log_event(LOG_LEVEL_INFO, text, "given-up",
		  "reason=%s code=%u attempts=%u recipients=%u age=%s",
		  queue_reason_word(word, g->reason), g->code, g->attempts, g->count, age);
}

void queue_group_expire(struct queue *q, struct queue_group *g)
{
	if (!g->expired)
		say_given_up(q, g);
	queue_group_leave(q, g);
	queue_message_drop_fresh(g->message);
	g->expired = 1;
	g->where = QUEUE_EXPIRING;
	list_push_back(&q->expiring, &g->at.link);
}

void queue_group_reply(struct queue *q, struct queue_group *g, const char *text)
{
	struct queue_reply *old = g->reply;

	(void)q;
	g->reply = queue_key_reply(g->dest, text);
	queue_key_reply_unref(old);
}

int64_t queue_group_next(const struct queue *q, const struct queue_group *g)
{
	switch (g->where) {
	case QUEUE_WAITS:
		return queue_wall(q, q->waiting.entries[g->at.timer].due);
	case QUEUE_READY:
		if (g->dest->door == QUEUE_DOOR_BACKOFF)
			return queue_wall(q, q->backoffs.entries[g->dest->timer].due);
		return q->wall;
	case QUEUE_OUT:
		return 0;
	default:
		return q->wall;
	}
}
