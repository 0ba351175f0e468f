/* SPDX-License-Identifier: Apache-2.0 */
/* The invariant, watched: every queued recipient has a next-attempt time or is in a worker's hands.
 * A part of the messages each second, so that a million costs nothing anybody notices. What is
 * found outside is counted, said, and put back in line. */
#include "core/id.h"
#include "core/log.h"
#include "relay/queue/queue_priv.h"

#define STRIDE 5000 /* messages looked at each time */
#define EVERY  CLOCK_SEC
#define STUCK  (6 * 3600 * CLOCK_SEC) /* longer than any transaction within RFC 5321's times */

static int in_heap(const struct queue_sched *s, const uint32_t *pos)
{
	return *pos < s->count && s->entries[*pos].pos == pos;
}

/* A destination with groups that may go must be in line. */
static int served(const struct queue *q, const struct queue_dest *d)
{
	if (d->door == QUEUE_DOOR_BACKOFF)
		return in_heap(&q->backoffs, &d->timer);
	return list_linked(&d->run) || !queue_dispatch_may(q, d);
}

static int in_place(const struct queue *q, const struct queue_group *g)
{
	switch (g->where) {
	case QUEUE_WAITS:
		return in_heap(&q->waiting, &g->at.timer);
	case QUEUE_READY:
		return list_linked(&g->at.link) && served(q, g->dest);
	case QUEUE_OUT:
		return g->at.task && g->at.task->job.group == g;
	case QUEUE_EXPIRING:
		return list_linked(&g->at.link);
	case QUEUE_DELETING:
		return q->spool_out > 0;
	default:
		return 0;
	}
}

static void orphan(struct queue *q, struct queue_group *g)
{
	char text[ID_TEXT_SIZE];

	q->orphans++;
	id_format(text, g->message->id);
	log_event(LOG_LEVEL_ERROR, text, "queue-orphan", "where=%u recipients=%u", g->where,
		  g->count);
	if (g->where == QUEUE_READY && list_linked(&g->at.link)) {
		struct queue_dest *d = g->dest;
		if (d->door == QUEUE_DOOR_BACKOFF) {
			d->door = QUEUE_DOOR_PROBE;
			d->probing = 0;
		}
		queue_dispatch_wake(q, d);
		return;
	}
	/* nothing it says of its place can be believed */
	g->where = 0;
	queue_group_ready(q, g, 0);
}

static void say_stuck(struct queue *q, const struct queue_group *g)
{
	struct queue_task *t = g->at.task;
	char text[ID_TEXT_SIZE];

	if (t->stuck || q->now - t->since < STUCK)
		return;
	t->stuck = 1;
	id_format(text, g->message->id);
	log_event(LOG_LEVEL_WARN, text, "queue-stuck", "worker=%d kind=%u hours=%d", t->job.worker,
		  t->job.kind, (int)((q->now - t->since) / (3600 * CLOCK_SEC)));
}

static void check(struct queue *q, struct queue_message *m)
{
	const struct queue_found *f = m->opened ? NULL : m->u.found;

	if (f && !f->task && !list_linked(&f->link) && !in_heap(&q->reopens, &f->timer) &&
	    !m->deleted) {
		char text[ID_TEXT_SIZE];
		id_format(text, m->id);
		q->orphans++;
		log_event(LOG_LEVEL_ERROR, text, "queue-orphan", "where=found recipients=%u",
			  f->count);
		m->u.found->timer = QUEUE_SCHED_OUT;
		queue_found_again(q, m->u.found, 0);
	}
	for (struct queue_group *g = m->groups; g; g = g->next) {
		if (!in_place(q, g))
			orphan(q, g);
		else if (g->where == QUEUE_OUT)
			say_stuck(q, g);
	}
}

int64_t queue_watch_when(const struct queue *q)
{
	return q->index.count ? q->watch_next : INT64_MAX;
}

void queue_watch(struct queue *q)
{
	struct queue_message *m;

	if (q->now < q->watch_next || q->stopping || q->now < q->short_until)
		return;
	q->watch_next = q->now + EVERY;
	for (int i = 0; i < STRIDE; i++) {
		m = queue_index_above(&q->index, q->watch_at);
		if (!m) {
			q->watch_at = 0;
			return;
		}
		q->watch_at = m->id;
		check(q, m);
	}
}
