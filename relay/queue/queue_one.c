/* SPDX-License-Identifier: Apache-2.0 */
/* Orders about one message. Held and released it is in the spool's log, so that a restart knows; its
 * re-routing and its bounce are rules as all others, with its id. */
#include <stdlib.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/queue/queue_priv.h"

static int at_hand(const struct queue_group *g)
{
	return (g->where == QUEUE_WAITS || g->where == QUEUE_READY || g->where == QUEUE_IS_HELD) &&
	       !g->strand->dying;
}

/* --- held, released */

struct news {
	struct queue_ask *ask;
	struct spool_state *states;
	unsigned count;
};

static void add_news(struct news *n, uint16_t recipient, const struct spool_state *like)
{
	n->states[n->count] = *like;
	n->states[n->count++].recipient = recipient;
}

static void written(struct queue *q, uint64_t id, int result, void *arg)
{
	struct queue_ask *a = arg;

	(void)q;
	(void)id; /* the ask has it too */
	if (result < 0)
		a->err = result;
	queue_control_answer(a);
}

static void hold_group(struct queue *q, struct queue_group *g, struct news *n)
{
	const struct spool_state s = {.outcome = SPOOL_HELD, .reason = QUEUE_HELD, .attempts = g->attempts};

	if (!at_hand(g) || g->where == QUEUE_IS_HELD)
		return;
	queue_group_hold(q, g, QUEUE_HELD);
	for (unsigned i = 0; i < g->count; i++)
		add_news(n, g->recipients[i], &s);
}

static void release_group(struct queue *q, struct queue_group *g, struct news *n)
{
	const struct spool_state s = {.outcome = SPOOL_DEFERRED,
				      .reason = (uint8_t)(QUEUE_RETRY | (g->told ? QUEUE_TOLD : 0)),
				      .attempts = g->attempts,
				      .next = q->wall};

	if (g->where != QUEUE_IS_HELD || g->strand->dying)
		return;
	g->reason = QUEUE_RETRY;
	queue_group_ready(q, g, 0);
	for (unsigned i = 0; i < g->count; i++)
		add_news(n, g->recipients[i], &s);
}

static void change_found(struct queue *q, struct queue_found *f, int hold, struct news *n)
{
	for (unsigned i = 0; i < f->count; i++) {
		f->states[i].outcome = hold ? SPOOL_HELD : SPOOL_DEFERRED;
		f->states[i].reason = hold ? QUEUE_HELD : QUEUE_RETRY;
		f->states[i].next = q->wall;
		add_news(n, f->states[i].recipient, &f->states[i]);
	}
}

static void hold_or_release(struct queue *q, struct queue_ask *a, struct queue_message *m)
{
	int hold = a->action == QUEUE_HOLD;
	struct news n = {.ask = a};

	n.states = malloc((queue_message_recipients(m) + 1) * sizeof(*n.states));
	if (!n.states) {
		a->err = ERR_NOMEM;
		queue_control_answer(a);
		return;
	}
	m->hold = hold != 0; /* what is with workers follows when it is back */
	if (!m->opened)
		change_found(q, m->u.found, hold, &n);
	for (struct queue_group *g = m->groups; g; g = g->next)
		if (hold)
			hold_group(q, g, &n);
		else
			release_group(q, g, &n);
	a->affected = n.count;
	queue_post_state(q, m->id, n.states, n.count, written, a);
	free(n.states);
}

/* --- re-routed */

static int move_group(struct queue *q, struct queue_group *g, const char *via)
{
	const struct queue_strand *s = g->strand;
	struct queue_strand *to =
	    queue_strand_get(q, s->customer->text, s->campaign->text, s->domain->name, via);

	return to ? queue_group_move(q, g, to) : ERR_NOMEM;
}

int queue_one_reroute(struct queue *q, struct queue_message *m, const char *via)
{
	int err = 0;

	for (struct queue_group *g = m->groups; g && err == 0; g = g->next) {
		if (g->where && !at_hand(g))
			continue;
		if (g->strand->dying)
			continue;
		err = move_group(q, g, via);
		if (err == 0 && g->where == QUEUE_WAITS) {
			g->reason = QUEUE_REROUTED;
			queue_group_ready(q, g, 0);
		}
	}
	return err;
}

static void reroute(struct queue *q, struct queue_ask *a, struct queue_message *m)
{
	struct queue_rule *old = queue_order_of_message(q, QUEUE_REROUTE, m->id);

	if (a->action == QUEUE_REROUTE && queue_order_add(q, &a->order) < 0)
		a->err = ERR_NOMEM;
	if (a->err == 0 && old)
		queue_order_drop(q, old);
	if (a->err == 0) {
		m->rerouted = 1; /* what is with workers follows when it is back */
		a->affected = queue_message_recipients(m);
		a->err = m->opened ? queue_one_reroute(q, m, a->order.via) : 0;
	}
	queue_control_answer(a);
}

/* --- bounced */

static void bounce_group(struct queue *q, struct queue_group *g)
{
	g->reason = QUEUE_ADMIN;
	g->bounce = 1;
	queue_group_expire(q, g);
}

static void bounce(struct queue *q, struct queue_ask *a, struct queue_message *m)
{
	if (queue_order_add(q, &a->order) < 0) {
		a->err = ERR_NOMEM;
		queue_control_answer(a);
		return;
	}
	m->bounce = 1;
	a->affected = queue_message_recipients(m);
	for (struct queue_group *g = m->groups; g; g = g->next)
		if (at_hand(g))
			bounce_group(q, g);
	queue_control_answer(a);
}

/* --- both ways in */

void queue_one(struct queue *q, struct queue_ask *a)
{
	static void (*const ones[])(struct queue *, struct queue_ask *, struct queue_message *) = {
	    [QUEUE_HOLD] = hold_or_release,	[QUEUE_RELEASE] = hold_or_release,
	    [QUEUE_REROUTE] = reroute,		[QUEUE_UNROUTE] = reroute,
	    [QUEUE_BOUNCE] = bounce,
	};
	struct queue_message *m = queue_index_find(&q->index, a->order.of.message);
	char text[ID_TEXT_SIZE];

	if (!m || m->deleted || a->action >= sizeof(ones) / sizeof(*ones) || !ones[a->action]) {
		a->err = m && !m->deleted ? ERR_UNSUPPORTED : ERR_NOTFOUND;
		queue_control_answer(a);
		return;
	}
	id_format(text, m->id);
	a->order.action = a->action;
	log_event(LOG_LEVEL_INFO, text, "queue-order", "action=%u number=%lld via=\"%s\"", a->action,
		  (long long)a->order.number, a->order.via);
	ones[a->action](q, a, m);
}

static void hold_now(struct queue *q, struct queue_group *g)
{
	struct spool_state states[QUEUE_GROUP_MAX];
	struct news n = {.states = states};

	queue_group_ready(q, g, 0);
	hold_group(q, g, &n);
	queue_post_state(q, g->message->id, states, n.count, NULL, NULL);
}

int queue_one_back(struct queue *q, struct queue_group *g)
{
	struct queue_message *m = g->message;
	struct queue_rule *r;

	if (g->expired || !(m->hold || m->bounce || m->rerouted))
		return 0;
	if (m->bounce) {
		bounce_group(q, g);
		return 1;
	}
	if (m->hold) {
		hold_now(q, g);
		return 1;
	}
	r = queue_order_of_message(q, QUEUE_REROUTE, m->id);
	if (g->strand->via == NULL ? r == NULL : r && !strcmp(r->order.via, g->strand->via->text))
		return 0; /* it has been there */
	g->reason = QUEUE_REROUTED;
	queue_group_leave(q, g);
	if (move_group(q, g, r ? r->order.via : NULL) < 0)
		queue_group_wait(q, g, CLOCK_SEC);
	else
		queue_group_ready(q, g, 0);
	return 1;
}
