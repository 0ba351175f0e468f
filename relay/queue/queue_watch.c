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

/* A strand with groups that may go must be in turn, and its site in line; or wait for something
 * that has a time, or for somebody's word. */
static int served(const struct queue *q, const struct queue_strand *s)
{
	const struct queue_site *site = queue_strand_site(s);
	const struct queue_domain *d = s->domain;

	if (s->stopped)
		return 1;
	if (!site)
		return s->mx && !d->site && ((d->state == QUEUE_ASKING && d->task) || list_linked(&d->link) ||
					     in_heap(&q->lookups, &d->timer));
	if (!list_linked(&s->in_turn) || !list_linked(&s->line->in_turn) ||
	    !list_linked(&s->line->share->in_turn))
		return 0;
	if (site->door == QUEUE_DOOR_BACKOFF || site->rest)
		return in_heap(&q->backoffs, &site->timer);
	return list_linked(&site->run) || !queue_dispatch_may(q, site);
}

static int in_place(const struct queue *q, const struct queue_group *g)
{
	switch (g->where) {
	case QUEUE_WAITS:
		return in_heap(&g->strand->waits, &g->at.timer) &&
		       in_heap(&q->waiting, &g->strand->timer);
	case QUEUE_READY:
		return list_linked(&g->at.link) && served(q, g->strand);
	case QUEUE_OUT:
		return g->at.task && g->at.task->job.group == g;
	case QUEUE_IS_HELD:
	case QUEUE_EXPIRING:
		return list_linked(&g->at.link);
	case QUEUE_DELETING:
		return q->spool_out > 0;
	default:
		return 0;
	}
}

/* Lets a strand go that waits for nothing. */
static void mend(struct queue *q, struct queue_strand *s)
{
	struct queue_site *site;

	if (s->domain->state == QUEUE_ASKING && !s->domain->task)
		s->domain->state = QUEUE_UNKNOWN;
	queue_strand_place(q, s);
	site = queue_strand_site(s);
	if (site && site->rest && !in_heap(&q->backoffs, &site->timer))
		queue_dispatch_rested(q, site);
	if (site && site->door == QUEUE_DOOR_BACKOFF && !in_heap(&q->backoffs, &site->timer)) {
		site->door = QUEUE_DOOR_PROBE;
		site->probing = 0;
	}
	queue_strand_turn(q, s);
}

static void orphan(struct queue *q, struct queue_group *g)
{
	char text[ID_TEXT_SIZE];

	q->orphans++;
	id_format(text, g->message->id);
	log_event(LOG_LEVEL_ERROR, text, "queue-orphan", "where=%u recipients=%u", g->where,
		  g->count);
	if (g->where == QUEUE_READY && list_linked(&g->at.link)) {
		mend(q, g->strand);
		return;
	}
	if (g->where == QUEUE_WAITS && in_heap(&g->strand->waits, &g->at.timer)) {
		queue_strand_clock(q, g->strand);
		return;
	}
	/* nothing it says of its place can be believed */
	g->where = 0;
	queue_group_ready(q, g, 0);
}

/* It waits for its site, its domain or a word, and not for a time of its own. */
static int blocked(const struct queue *q, const struct queue_group *g)
{
	const struct queue_site *site = queue_strand_site(g->strand);

	return g->where == QUEUE_READY &&
	       (!site || g->strand->stopped || site->door == QUEUE_DOOR_BACKOFF || site->rest > q->now);
}

/* Time passes for who waits: too old, or old enough for a word to the sender. Held mail does not
 * age. Returns 1 if the group went somewhere. */
static int age(struct queue *q, struct queue_group *g)
{
	int64_t old = queue_age(q, g->message), delay = q->conf->bounce.delay;
	const struct queue_reply *reply;

	if (g->expired || g->strand->stopped & (QUEUE_STOP_HELD | QUEUE_STOP_DYING))
		return 0;
	if (old >= q->retry.expire && blocked(q, g)) {
		g->reason = queue_group_reason(q, g, &g->code, &reply);
		queue_group_expire(q, g);
		return 1;
	}
	if (delay <= 0 || old < delay || old >= q->retry.expire || g->told ||
	    (g->where != QUEUE_WAITS && !blocked(q, g)))
		return 0;
	return queue_dispatch_delay(q, g);
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
		if (m->born < g->strand->oldest_seen)
			g->strand->oldest_seen = m->born;
		if (g->where == QUEUE_READY && !g->strand->line && !g->strand->stopped &&
		    !served(q, g->strand)) /* memory was too short to put it there */
			queue_strand_place(q, g->strand);
		else if (!in_place(q, g))
			orphan(q, g);
		else if (g->where == QUEUE_OUT)
			say_stuck(q, g);
		else
			age(q, g);
	}
}

/* Each DELIVER job has its place at a site, and with it one of shaping's: a place that was not given
 * back would be lost to the site for good. */
static void check_places(struct queue *q)
{
	unsigned jobs = q->out - q->expiring_out - q->opening_out - q->resolving_out - q->delay_out;
	uint64_t places = 0;

	for (uint32_t i = 0; i < q->sites.room; i++)
		for (struct queue_node *n = q->sites.buckets[i]; n; n = n->chain)
			places += ((struct queue_site *)n)->out;
	if (places == jobs || q->places_said == places - jobs)
		return;
	q->places_said = places - jobs;
	q->orphans++;
	log_event(LOG_LEVEL_ERROR, NULL, "queue-orphan", "where=places jobs=%u places=%llu", jobs,
		  (unsigned long long)places);
}

/* Each strand's oldest group is known exactly once a pass over all messages is through; between two
 * passes it may be gone already. */
static void pass_ends(struct queue *q)
{
	check_places(q);
	for (uint32_t i = 0; i < q->strands.room; i++)
		for (struct queue_node *n = q->strands.buckets[i]; n; n = n->chain) {
			struct queue_strand *s = (struct queue_strand *)n;
			if (s->oldest_seen != INT32_MAX)
				s->oldest = s->oldest_seen;
			s->oldest_seen = INT32_MAX;
		}
}

int64_t queue_watch_when(const struct queue *q)
{
	return q->index.count || !list_empty(&q->rules) ? q->watch_next : INT64_MAX;
}

void queue_watch(struct queue *q)
{
	struct queue_message *m;

	if (q->now < q->watch_next || q->stopping || q->now < q->short_until)
		return;
	q->watch_next = q->now + EVERY;
	queue_order_watch(q);
	for (int i = 0; i < STRIDE; i++) {
		m = queue_index_above(&q->index, q->watch_at);
		if (!m) {
			q->watch_at = 0;
			pass_ends(q);
			return;
		}
		q->watch_at = m->id;
		check(q, m);
	}
}
