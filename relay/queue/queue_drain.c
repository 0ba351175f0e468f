/* SPDX-License-Identifier: Apache-2.0 */
/* What an order takes out. Its strands have left the table: nothing new comes to them, and nothing of
 * theirs is tried. Their groups are taken out in slices, each turn some, so that other mail never
 * waits for it: by a purge with one STATE per message, by a bounce through EXPIRE jobs. What waits for
 * a time is rushed (see queue.c) and comes here as READY; what is with a worker, when it is back. */
#include <stdlib.h>

#include "core/err.h"
#include "relay/queue/queue_priv.h"

#define SLICE	  4000 /* groups a turn */
#define SPOOL_MAX 8192 /* STATE jobs with the spool */

static void die(struct queue *q, struct queue_rule *r, struct queue_strand *s)
{
	s->stopped = QUEUE_STOP_DYING;
	s->dying = r;
	queue_strand_detach(q, s);
	list_push_back(&r->dying, &s->of_line);
	q->draining += s->recipients;
}

void queue_drain_strand(struct queue *q, struct queue_rule *r, struct queue_strand *s)
{
	if (s->groups == 0)
		return;
	queue_table_remove(&q->strands, &s->node);
	s->node.chain = NULL;
	die(q, r, s);
	s->rush = s->waits.count;
	s->rush_reason = QUEUE_RETRY;
	queue_strand_clock(q, s);
}

/* A strand that dies for the rule, of the same key as another. NULL: out of memory. */
static struct queue_strand *grave(struct queue *q, struct queue_rule *r, struct queue_strand *like)
{
	struct queue_strand *s;

	list_each(k, &r->dying, struct queue_strand, of_line)
		if (k->domain == like->domain && k->customer == like->customer &&
		    k->campaign == like->campaign)
			return k;
	s = queue_strand_like(q, like);
	if (s)
		die(q, r, s);
	return s;
}

int queue_drain_group(struct queue *q, struct queue_rule *r, struct queue_group *g)
{
	struct queue_strand *s = grave(q, r, g->strand);

	if (!s || queue_group_move(q, g, s) < 0)
		return ERR_NOMEM;
	q->draining += g->count;
	queue_group_ready(q, g, 0);
	return 0;
}

/* --- purge */

static int purged(const struct queue_group *g)
{
	return g->strand->dying && g->strand->dying->order.action == QUEUE_PURGE;
}

static void gone(struct queue *q, uint64_t id, int result, void *arg)
{
	struct queue_message *m = queue_index_find(&q->index, id);
	struct queue_group *g = m ? m->groups : NULL, *next;

	(void)arg;
	for (; g; g = next) {
		int last = !g->next; /* the message may go with its last group */
		next = g->next;
		if (g->where != QUEUE_DELETING || !purged(g))
			continue;
		if (result == 0) {
			g->strand->dying->gone += g->count;
			queue_group_done(q, g);
		} else {
			queue_group_wait(q, g, CLOCK_SEC);
		}
		if (last)
			return;
	}
}

/* All groups of the message that the purge reaches, at once. */
static int purge(struct queue *q, struct queue_message *m)
{
	struct spool_state few[QUEUE_GROUP_MAX], *states = few;
	unsigned all = m->groups->next ? queue_message_recipients(m) : m->groups->count, n = 0;

	if (all > QUEUE_GROUP_MAX)
		states = malloc(all * sizeof(*states));
	if (!states)
		return ERR_NOMEM;
	for (struct queue_group *g = m->groups; g; g = g->next) {
		if (!purged(g) || g->where == QUEUE_OUT || g->where == QUEUE_DELETING)
			continue;
		queue_group_leave(q, g);
		queue_message_drop_fresh(q, m);
		g->where = QUEUE_DELETING;
		for (unsigned i = 0; i < g->count; i++)
			states[n++] = (struct spool_state){.recipient = g->recipients[i],
							   .outcome = SPOOL_DELETED};
	}
	queue_post_state(q, m->id, states, n, gone, NULL);
	if (states != few)
		free(states);
	return 0;
}

/* --- both */

static int take(struct queue *q, struct queue_group *g)
{
	if (purged(g))
		return purge(q, g->message);
	g->reason = QUEUE_ADMIN;
	g->bounce = 1;
	queue_group_expire(q, g);
	return 0;
}

void queue_drain_back(struct queue *q, struct queue_group *g)
{
	if (g->expired && !purged(g)) {
		queue_group_expire(q, g);
		return;
	}
	g->expired = 0;
	queue_group_ready(q, g, 0);
}

static unsigned drain(struct queue *q, struct queue_strand *s, unsigned most)
{
	struct list *const lists[] = {&s->ready, &s->slow, &s->held};
	struct list_link *l;
	unsigned n = 0;

	for (int i = 0; i < 3; i++)
		while (n < most && q->spool_out < SPOOL_MAX && (l = list_first(lists[i]))) {
			if (take(q, list_entry(l, struct queue_group, at.link)) < 0) {
				q->short_until = q->now + CLOCK_SEC;
				return most;
			}
			n++;
		}
	return n;
}

void queue_drain(struct queue *q)
{
	unsigned left = SLICE;

	if (q->draining == 0 || q->stopping || q->now < q->short_until)
		return;
	list_each(r, &q->rules, struct queue_rule, link)
		list_each(s, &r->dying, struct queue_strand, of_line) {
			if (left == 0)
				return;
			left -= drain(q, s, left);
		}
}

int queue_drain_busy(const struct queue *q)
{
	if (q->draining == 0 || q->stopping || q->spool_out >= SPOOL_MAX ||
	    q->now < q->short_until)
		return 0;
	list_each(r, &q->rules, struct queue_rule, link)
		list_each(s, &r->dying, struct queue_strand, of_line)
			if (!list_empty(&s->ready) || !list_empty(&s->slow) || !list_empty(&s->held))
				return 1;
	return 0;
}
