/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "core/num.h"
#include "relay/queue/queue_priv.h"

/* Room for one more in a strand: deferring one cannot fail, later. */
static int reserve(struct queue_strand *s)
{
	return queue_sched_reserve(&s->waits, s->groups + 1);
}

/* Most groups have few recipients: those are pieces of a slab. */
static struct queue_group *take_piece(struct queue *q, unsigned count)
{
	size_t size = sizeof(struct queue_group) + count * sizeof(uint16_t);
	struct queue_group *g;

	if (size > QUEUE_PIECE)
		return calloc(1, size);
	g = queue_slab_take(&q->pieces);
	if (g) {
		memset(g, 0, sizeof(*g));
		g->slab = 1;
	}
	return g;
}

static void give_piece(struct queue *q, struct queue_group *g)
{
	if (g->slab)
		queue_slab_give(&q->pieces, g);
	else
		free(g);
}

static void join(struct queue *q, struct queue_strand *s, struct queue_group *g)
{
	g->strand = s;
	if (s->groups++ == 0) {
		list_remove(&s->in_turn);
		q->unused_count--;
		s->oldest = s->oldest_seen = g->message->born;
	}
	if (g->message->born < s->oldest)
		s->oldest = g->message->born;
	if (g->message->born < s->oldest_seen)
		s->oldest_seen = g->message->born;
	s->recipients += g->count;
}

static void part(struct queue *q, struct queue_group *g)
{
	struct queue_strand *s = g->strand;

	s->recipients -= g->count;
	if (s->dying)
		q->draining -= g->count;
	if (--s->groups == 0)
		queue_strand_unused(q, s);
}

struct queue_group *queue_group_new(struct queue *q, struct queue_message *m,
				    struct queue_strand *s, const uint16_t *recipients,
				    unsigned count)
{
	struct queue_group *g;

	if (reserve(s) < 0)
		return NULL;
	g = take_piece(q, count);
	if (!g)
		return NULL;
	memcpy(g->recipients, recipients, count * sizeof(*recipients));
	g->count = (uint16_t)count;
	g->message = m;
	g->next = m->groups;
	if (g->next)
		g->next->prev = g;
	m->groups = g;
	join(q, s, g);
	q->groups++;
	q->recipients += count;
	return g;
}

void queue_group_leave(struct queue *q, struct queue_group *g)
{
	struct queue_strand *s = g->strand;

	switch (g->where) {
	case QUEUE_WAITS:
		queue_sched_remove(&s->waits, &g->at.timer);
		queue_strand_clock(q, s);
		q->waits -= g->count;
		s->waiting -= g->count;
		break;
	case QUEUE_READY:
		list_remove(&g->at.link);
		s->readies -= g->count;
		if (s->line)
			s->line->site->ready -= g->count;
		if (list_empty(&s->ready) && list_empty(&s->slow))
			queue_strand_turn(q, s);
		break;
	case QUEUE_IS_HELD:
		list_remove(&g->at.link);
		s->holds -= g->count;
		q->held -= g->count;
		break;
	case QUEUE_EXPIRING:
		list_remove(&g->at.link);
		break;
	case QUEUE_OUT:
		q->active -= g->count;
		s->active -= g->count;
		break;
	default: /* DELETING, or new */
		break;
	}
	g->where = 0;
}

void queue_group_drop(struct queue *q, struct queue_group *g)
{
	struct queue_message *m = g->message;

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
	part(q, g);
	give_piece(q, g);
}

void queue_group_done(struct queue *q, struct queue_group *g)
{
	struct queue_message *m = g->message;

	queue_group_drop(q, g);
	if (!m->groups)
		queue_message_free(q, m);
}

void queue_group_ready(struct queue *q, struct queue_group *g, int first)
{
	struct queue_strand *s = g->strand;
	struct list *to = g->attempts >= QUEUE_SLOW_ATTEMPTS ? &s->slow : &s->ready;

	queue_group_leave(q, g);
	g->where = QUEUE_READY;
	if (first)
		list_push_front(to, &g->at.link);
	else
		list_push_back(to, &g->at.link);
	s->readies += g->count;
	if (s->line)
		s->line->site->ready += g->count;
	if (s->stopped || (s->line ? s->line->site->door == QUEUE_DOOR_BACKOFF
				   : s->domain->state == QUEUE_FAILED))
		queue_message_drop_fresh(q, g->message);
	queue_strand_turn(q, s);
}

void queue_group_wait(struct queue *q, struct queue_group *g, int64_t pause)
{
	struct queue_strand *s = g->strand;

	queue_group_leave(q, g);
	queue_message_drop_fresh(q, g->message);
	g->where = QUEUE_WAITS;
	g->at.timer = QUEUE_SCHED_OUT;
	q->waits += g->count;
	s->waiting += g->count;
	queue_sched_add(&s->waits, q->now + pause, &g->at.timer);
	queue_strand_clock(q, s);
}

void queue_group_hold(struct queue *q, struct queue_group *g, uint8_t reason)
{
	queue_group_leave(q, g);
	queue_message_drop_fresh(q, g->message);
	g->where = QUEUE_IS_HELD;
	g->reason = reason;
	g->strand->holds += g->count;
	q->held += g->count;
	list_push_back(&g->strand->held, &g->at.link);
}

int queue_group_move(struct queue *q, struct queue_group *g, struct queue_strand *to)
{
	unsigned where = g->where;
	int64_t due = where == QUEUE_WAITS ? g->strand->waits.entries[g->at.timer].due : 0;

	if (to == g->strand)
		return 0;
	if (reserve(to) < 0)
		return ERR_NOMEM;
	if (where == QUEUE_WAITS || where == QUEUE_READY || where == QUEUE_IS_HELD)
		queue_group_leave(q, g);
	part(q, g);
	join(q, to, g);
	if (where == QUEUE_WAITS)
		queue_group_wait(q, g, due - q->now);
	else if (where == QUEUE_READY)
		queue_group_ready(q, g, 0);
	else if (where == QUEUE_IS_HELD)
		queue_group_hold(q, g, g->reason);
	return 0;
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
	if (!g->expired && !g->bounce)
		say_given_up(q, g);
	queue_group_leave(q, g);
	queue_message_drop_fresh(q, g->message);
	g->expired = 1;
	g->where = QUEUE_EXPIRING;
	list_push_back(&q->expiring, &g->at.link);
}

void queue_group_reply(struct queue *q, struct queue_group *g, const char *text)
{
	struct queue_reply *old = g->reply;

	(void)q;
	g->reply = queue_key_reply(g->strand->domain, text);
	queue_key_reply_unref(old);
}

static int64_t next_ready(const struct queue *q, const struct queue_strand *s)
{
	const struct queue_site *site = queue_strand_site(s);

	if (s->stopped)
		return QUEUE_NEVER;
	if (!site)
		return s->mx && s->domain->timer != QUEUE_SCHED_OUT
			   ? queue_wall(q, q->lookups.entries[s->domain->timer].due)
			   : q->wall;
	if (site->door == QUEUE_DOOR_BACKOFF && site->timer != QUEUE_SCHED_OUT)
		return queue_wall(q, q->backoffs.entries[site->timer].due);
	return site->rest > q->now ? queue_wall(q, site->rest) : q->wall;
}

int64_t queue_group_next(const struct queue *q, const struct queue_group *g)
{
	switch (g->where) {
	case QUEUE_WAITS:
		return queue_wall(q, g->strand->waits.entries[g->at.timer].due);
	case QUEUE_READY:
		return next_ready(q, g->strand);
	case QUEUE_IS_HELD:
		return QUEUE_NEVER;
	case QUEUE_OUT:
		return 0;
	default:
		return q->wall;
	}
}

uint8_t queue_group_reason(const struct queue *q, const struct queue_group *g, uint16_t *code,
			   const struct queue_reply **reply)
{
	const struct queue_strand *s = g->strand;
	const struct queue_site *site = queue_strand_site(s);

	(void)q;
	*code = g->code;
	*reply = g->reply;
	if (g->where != QUEUE_READY)
		return g->reason;
	if (s->stopped)
		return s->stopped & QUEUE_STOP_HELD ? QUEUE_HELD : QUEUE_SUSPENDED;
	if (!site && s->domain->state == QUEUE_FAILED) {
		*code = s->domain->code;
		*reply = g->reply ? g->reply : s->domain->reply;
		return s->domain->reason;
	}
	if (site && site->door != QUEUE_DOOR_OPEN) { /* it waits with the site */
		*code = site->code;
		*reply = g->reply ? g->reply : site->reply;
		return site->reason;
	}
	return site && site->rest > q->now && site->rest_reason ? site->rest_reason : g->reason;
}
