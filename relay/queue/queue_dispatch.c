/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "relay/queue/queue_priv.h"

#define QUANTUM	    8 /* jobs for one destination before it is the next one's turn */
#define TASK_ROOM   4 /* recipients of a pooled task */
#define TASK_POOL   4096
#define SHORT_PAUSE CLOCK_SEC /* after memory ran out */
#define USED_UNIT   (4 * CLOCK_SEC)

/* --- tasks */

void queue_dispatch_task_free(struct queue_task *t)
{
	if (t->job.fresh)
		spool_fresh_free(t->job.fresh);
	free(t->job.recipients);
	free(t->job.results);
	free(t);
}

static struct queue_task *task_alloc(unsigned room)
{
	struct queue_task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->room = room;
	t->job.recipients = malloc(room * sizeof(*t->job.recipients));
	t->job.results = malloc(room * sizeof(*t->job.results));
	if (!t->job.recipients || !t->job.results) {
		queue_dispatch_task_free(t);
		return NULL;
	}
	return t;
}

static struct queue_task *task_new(struct queue *q, unsigned count)
{
	struct queue_task *t;
	uint16_t *recipients;
	struct queue_result *results;
	unsigned room;

	if (count > TASK_ROOM || !q->pool)
		return task_alloc(count > TASK_ROOM ? count : TASK_ROOM);
	t = q->pool;
	q->pool = t->next;
	q->pool_count--;
	recipients = t->job.recipients;
	results = t->job.results;
	room = t->room;
	memset(t, 0, sizeof(*t));
	t->job.recipients = recipients;
	t->job.results = results;
	t->room = room;
	return t;
}

void queue_dispatch_task_back(struct queue *q, struct queue_task *t)
{
	if (t->room != TASK_ROOM || q->pool_count >= TASK_POOL) {
		queue_dispatch_task_free(t);
		return;
	}
	t->next = q->pool;
	q->pool = t;
	q->pool_count++;
}

/* --- which worker */

static int64_t limit_of(const struct queue *q)
{
	int64_t n = q->conf->outbound.connections;

	return n < 1 ? 1 : n > 10000 ? 10000 : n;
}

static uint16_t used_now(const struct queue *q)
{
	return (uint16_t)(q->now / USED_UNIT);
}

/* Whether the worker probably has a connection to the destination. */
static int warm(const struct queue *q, const struct queue_slot *s)
{
	uint16_t ago = (uint16_t)(used_now(q) - s->used);

	return s->out || (s->used && ago <= q->conf->outbound.idle / USED_UNIT);
}

/* The least busy of those with a connection; another only once these have half their share to do,
 * or if there are none the one with the least to do altogether. */
static int choose(const struct queue *q, const struct queue_dest *d)
{
	int n = q->workers, best = -1, cold = -1;
	int64_t share = limit_of(q) / n;

	for (int i = 0; i < n; i++) {
		int w = (int)((d->hash + (unsigned)i) % (unsigned)n);
		const struct queue_slot *s = &d->slots[w];
		if (warm(q, s)) {
			if (best < 0 || s->out < d->slots[best].out)
				best = w;
		} else if (cold < 0 || q->hands[w].out < q->hands[cold].out) {
			cold = w;
		}
	}
	if (best < 0 || (cold >= 0 && d->slots[best].out > share / 2))
		return cold;
	return best;
}

/* --- which destination */

static int proven(const struct queue *q, const struct queue_dest *d)
{
	return d->last_good && q->now - d->last_good < QUEUE_PROVEN;
}

int queue_dispatch_may(const struct queue *q, const struct queue_dest *d)
{
	int64_t limit = limit_of(q);

	if (d->door == QUEUE_DOOR_BACKOFF)
		return 0;
	if (d->door == QUEUE_DOOR_PROBE)
		return !d->probing;
	/* a half more than the connections, so that each has its next message at hand */
	limit += limit / 2;
	if (!proven(q, d)) {
		if (limit > QUEUE_UNPROVEN_START)
			limit = QUEUE_UNPROVEN_START;
		/* no crowd of silent hosts may take all the places */
		if (q->out_unproven >= QUEUE_UNPROVEN_MAX)
			return 0;
	}
	return d->out < limit;
}

/* Only the crowd keeps it back. */
static int starved(const struct queue *q, const struct queue_dest *d)
{
	return d->door == QUEUE_DOOR_OPEN && d->out < QUEUE_UNPROVEN_START && !proven(q, d) &&
	       q->out_unproven >= QUEUE_UNPROVEN_MAX;
}

void queue_dispatch_wake(struct queue *q, struct queue_dest *d)
{
	if (list_empty(&d->ready) || list_linked(&d->run))
		return;
	if (queue_dispatch_may(q, d))
		list_push_back(&q->runnable, &d->run);
	else if (starved(q, d))
		list_push_back(&q->starved, &d->run);
}

void queue_dispatch_proven(struct queue *q, struct queue_dest *d)
{
	if (d->groups && list_linked(&d->run))
		list_remove(&d->run);
	queue_dispatch_wake(q, d);
}

/* --- handing out */

static void post(struct queue *q, struct queue_task *t, int worker, uint8_t kind,
		 const struct queue_message *m)
{
	struct queue_hand *h = &q->hands[worker];

	t->since = q->now;
	t->job.msg.run = q->run_job;
	t->job.msg.msg.next = NULL;
	t->job.kind = kind;
	t->job.worker = worker;
	t->job.id = m->id;
	t->job.at = m->at;
	t->job.created = m->created;
	snprintf(t->job.customer, sizeof(t->job.customer), "%s", m->customer ? m->customer->name : "");
	if (h->last)
		h->last->next = &t->job.msg.msg;
	else
		h->first = &t->job.msg.msg;
	h->last = &t->job.msg.msg;
	h->out++;
	q->out++;
}

static struct queue_task *task_of_group(struct queue *q, struct queue_group *g)
{
	struct queue_task *t = task_new(q, g->count);
	size_t n = strlen(g->dest->name);

	if (!t)
		return NULL;
	t->job.group = g;
	t->job.attempts = g->attempts;
	t->job.count = g->count;
	memcpy(t->job.recipients, g->recipients, g->count * sizeof(*g->recipients));
	for (unsigned i = 0; i < g->count; i++) {
		t->job.results[i] = (struct queue_result){.recipient = g->recipients[i]};
		t->job.results[i].reply[0] = '\0';
	}
	if (n >= sizeof(t->job.destination))
		n = sizeof(t->job.destination) - 1;
	memcpy(t->job.destination, g->dest->name, n);
	t->job.destination[n] = '\0';
	queue_group_leave(q, g);
	g->where = QUEUE_OUT;
	g->at.task = t;
	q->active += g->count;
	return t;
}

static int hand_out(struct queue *q, struct queue_dest *d)
{
	struct queue_group *g = list_entry(list_first(&d->ready), struct queue_group, at.link);
	struct queue_task *t = task_of_group(q, g);
	int w;

	if (!t)
		return -1;
	w = choose(q, d);
	t->epoch = d->epoch;
	t->goods = d->goods;
	t->probe = d->door == QUEUE_DOOR_PROBE;
	t->unproven = !proven(q, d);
	t->job.fresh = g->message->u.fresh;
	g->message->u.fresh = NULL;
	d->probing |= t->probe;
	d->out++;
	d->slots[w].out++;
	q->out_unproven += t->unproven;
	post(q, t, w, QUEUE_DELIVER, g->message);
	return 0;
}

void queue_dispatch_returned(struct queue *q, struct queue_task *t, struct queue_dest *d)
{
	struct queue_slot *s = &d->slots[t->job.worker];

	d->out--;
	s->out--;
	s->used = used_now(q);
	q->out_unproven -= t->unproven;
	if (t->probe)
		d->probing = 0;
}

static int serve(struct queue *q, struct queue_dest *d)
{
	for (int i = 0; i < QUANTUM && !list_empty(&d->ready) && queue_dispatch_may(q, d); i++)
		if (hand_out(q, d) < 0)
			return -1;
	queue_dispatch_wake(q, d); /* again, behind the others */
	return 0;
}

static int next_worker(struct queue *q)
{
	return (int)(q->turn++ % (unsigned)q->workers);
}

static int dispatch_expired(struct queue *q)
{
	while (q->expiring_out < QUEUE_EXPIRE_MAX && !list_empty(&q->expiring)) {
		struct queue_group *g =
		    list_entry(list_first(&q->expiring), struct queue_group, at.link);
		struct queue_task *t = task_of_group(q, g);
		if (!t)
			return -1;
		q->expiring_out++;
		post(q, t, next_worker(q), QUEUE_EXPIRE, g->message);
	}
	return 0;
}

static int dispatch_found(struct queue *q)
{
	while (q->opening_out < QUEUE_OPEN_MAX && !list_empty(&q->unopened)) {
		struct queue_found *f =
		    list_entry(list_first(&q->unopened), struct queue_found, link);
		struct queue_task *t = task_new(q, 1);
		if (!t)
			return -1;
		list_remove(&f->link);
		f->task = t;
		t->found = f;
		t->job.attempts = f->attempts;
		q->opening_out++;
		post(q, t, next_worker(q), QUEUE_OPEN, f->message);
	}
	return 0;
}

static int dispatch_ready(struct queue *q)
{
	struct list_link *l;

	for (unsigned n = q->out_unproven;
	     n < QUEUE_UNPROVEN_MAX && (l = list_pop_front(&q->starved)); n++)
		list_push_back(&q->runnable, l);
	while (q->out < QUEUE_OUT_MAX && (l = list_pop_front(&q->runnable)))
		if (serve(q, list_entry(l, struct queue_dest, run)) < 0) {
			list_push_front(&q->runnable, l);
			return -1;
		}
	return 0;
}

void queue_dispatch(struct queue *q)
{
	if (!q->open || q->stopping || q->now < q->short_until)
		return;
	if (dispatch_ready(q) < 0 || dispatch_expired(q) < 0 || dispatch_found(q) < 0)
		q->short_until = q->now + SHORT_PAUSE;
	for (int w = 0; w < q->workers; w++) {
		struct queue_hand *h = &q->hands[w];
		if (h->first)
			evt_inbox_post_chain(q->relay->workers[w].inbox, h->first, h->last);
		h->first = h->last = NULL;
	}
}
