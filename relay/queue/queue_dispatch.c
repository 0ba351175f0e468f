/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "relay/queue/queue_priv.h"
#include "relay/shape/shape.h"

#define QUANTUM	    8 /* jobs for one site before it is the next one's turn */
#define LOOKS	    64 /* at strands in vain, in one turn of a site */
#define TASK_ROOM   4 /* recipients of a pooled task */
#define TASK_POOL   4096
#define SHORT_PAUSE CLOCK_SEC /* after memory ran out */
#define ADMIN_REPLY "5.7.1 bounced by an administrator"
#define REST_LEAST  (10 * INT64_C(1000))
#define REST_MOST   CLOCK_SEC /* when shaping cannot say how long */

/* --- tasks */

void queue_dispatch_task_free(struct queue *q, struct queue_task *t)
{
	if (t->job.fresh)
		spool_fresh_free(t->job.fresh);
	if (t->job.lane)
		shape_job_give(q->relay->shape, t->job.lane);
	free(t->job.recipients);
	free(t->job.results);
	free(t);
}

static struct queue_task *task_alloc(struct queue *q, unsigned room)
{
	struct queue_task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->room = room;
	t->job.recipients = malloc(room * sizeof(*t->job.recipients));
	t->job.results = malloc(room * sizeof(*t->job.results));
	if (!t->job.recipients || !t->job.results) {
		queue_dispatch_task_free(q, t);
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
		return task_alloc(q, count > TASK_ROOM ? count : TASK_ROOM);
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
		queue_dispatch_task_free(q, t);
		return;
	}
	t->next = q->pool;
	q->pool = t;
	q->pool_count++;
}

/* --- which site */

int queue_dispatch_may(const struct queue *q, const struct queue_site *s)
{
	if (s->door == QUEUE_DOOR_BACKOFF || s->rest)
		return 0;
	if (s->door == QUEUE_DOOR_PROBE)
		return !s->probing;
	if (queue_place_slow(q, s) && q->out_slow >= queue_place_slow_max(q))
		return 0; /* no crowd of silent hosts may take all the places */
	return queue_place_proven(q, s) || s->out < QUEUE_UNPROVEN_START;
}

/* Only the crowd keeps it back. */
static int starved(const struct queue *q, const struct queue_site *s)
{
	return s->door == QUEUE_DOOR_OPEN && !s->rest && queue_place_slow(q, s) &&
	       q->out_slow >= queue_place_slow_max(q) &&
	       (queue_place_proven(q, s) || s->out < QUEUE_UNPROVEN_START);
}

void queue_dispatch_wake(struct queue *q, struct queue_site *s)
{
	if (list_empty(&s->turn) || list_linked(&s->run))
		return;
	if (queue_dispatch_may(q, s))
		list_push_back(&q->runnable, &s->run);
	else if (starved(q, s))
		list_push_back(&q->starved, &s->run);
}

void queue_dispatch_proven(struct queue *q, struct queue_site *s)
{
	if (!s->idle_since && list_linked(&s->run))
		list_remove(&s->run);
	queue_dispatch_wake(q, s);
}

void queue_dispatch_rested(struct queue *q, struct queue_site *s)
{
	if (!s->rest)
		return;
	s->rest = 0;
	memset(s->refused, 0, sizeof(s->refused));
	if (s->door != QUEUE_DOOR_BACKOFF)
		queue_sched_remove(&q->backoffs, &s->timer);
	queue_dispatch_wake(q, s);
}

/* --- handing out */

static void post(struct queue *q, struct queue_task *t, int worker, uint8_t kind)
{
	struct queue_hand *h = &q->hands[worker];

	t->since = q->now;
	t->job.msg.run = q->run_job;
	t->job.msg.msg.next = NULL;
	t->job.kind = kind;
	t->job.worker = worker;
	if (h->last)
		h->last->next = &t->job.msg.msg;
	else
		h->first = &t->job.msg.msg;
	h->last = &t->job.msg.msg;
	h->out++;
	q->out++;
}

static void of_message(struct queue_task *t, const struct queue_message *m)
{
	t->job.id = m->id;
	t->job.at = m->at;
	t->job.created = m->created;
}

static void put_name(char *dst, size_t size, const char *name)
{
	size_t n = strlen(name);

	if (n >= size)
		n = size - 1;
	memcpy(dst, name, n);
	dst[n] = '\0';
}

/* What is known of the recipients goes along: their last answer. */
static void fill_results(const struct queue *q, struct queue_task *t, const struct queue_group *g)
{
	const struct queue_reply *reply = NULL;
	uint16_t code = 0;
	uint8_t reason = queue_group_reason(q, g, &code, &reply);
	const char *text = g->bounce ? ADMIN_REPLY : reply ? reply->text : "";

	for (unsigned i = 0; i < g->count; i++) {
		struct queue_result *r = &t->job.results[i];
		memset(r, 0, offsetof(struct queue_result, reply) + 1);
		r->recipient = g->recipients[i];
		if (t->job.kind == QUEUE_DELIVER)
			continue;
		r->reason = reason;
		r->code = g->bounce ? 0 : code;
		put_name(r->reply, sizeof(r->reply), text);
		if (t->job.kind == QUEUE_EXPIRE)
			r->outcome = g->bounce ? SPOOL_BOUNCED : SPOOL_EXPIRED;
		else
			r->outcome = SPOOL_DEFERRED;
	}
}

static struct queue_task *task_of_group(struct queue *q, struct queue_group *g, uint8_t kind)
{
	struct queue_task *t = task_new(q, g->count);
	const struct queue_strand *s = g->strand;

	if (!t)
		return NULL;
	t->job.group = g;
	t->job.kind = kind;
	t->job.attempts = g->attempts;
	t->job.count = g->count;
	memcpy(t->job.recipients, g->recipients, g->count * sizeof(*g->recipients));
	fill_results(q, t, g);
	put_name(t->job.destination, sizeof(t->job.destination), s->domain->name);
	put_name(t->job.customer, sizeof(t->job.customer), s->customer->text);
	if (s->via || s->to)
		put_name(t->job.via, sizeof(t->job.via), s->via ? s->via->text : s->to->text);
	of_message(t, g->message);
	queue_group_leave(q, g);
	g->where = QUEUE_OUT;
	g->at.task = t;
	q->active += g->count;
	g->strand->active += g->count;
	return t;
}

/* The group of a strand whose turn it is: one in four may be slow. NULL: they all are, and the slow
 * lane is full. */
static struct queue_group *next_group(const struct queue *q, struct queue_strand *s)
{
	int room = q->out_slow < queue_place_slow_max(q) && !list_empty(&s->slow);
	struct list *from = room && (list_empty(&s->ready) || s->served % 4 == 3) ? &s->slow : &s->ready;
	struct list_link *l = list_first(from);

	return l ? list_entry(l, struct queue_group, at.link) : NULL;
}

static void give(struct queue *q, struct queue_site *site, struct queue_strand *s,
		 struct queue_group *g, struct queue_task *t)
{
	int w = queue_place_worker(q, site, t->job.lane);

	t->site = site;
	t->epoch = site->epoch;
	t->goods = site->goods;
	t->probe = site->door == QUEUE_DOOR_PROBE;
	t->slow = queue_place_slow(q, site) || g->attempts >= QUEUE_SLOW_ATTEMPTS;
	t->job.fresh = g->message->u.fresh;
	q->fresh_count -= g->message->u.fresh != NULL;
	g->message->u.fresh = NULL;
	put_name(t->job.site, sizeof(t->job.site), site->name->text);
	site->probing |= t->probe;
	site->out++;
	site->slots[w].out++;
	q->out_slow += t->slow;
	s->served++;
	post(q, t, w, QUEUE_DELIVER);
	if (s->mx)
		queue_domain_want(q, s->domain); /* its answer may be old by now */
}

/* 1; 0: not now, and *wait; ERR_NOMEM. */
static int hand_out(struct queue *q, struct queue_site *site, struct queue_strand *s,
		    struct shape_wait *wait)
{
	struct queue_group *g = next_group(q, s);
	struct shape_lane *lane = NULL;
	struct queue_task *t;
	int err;

	*wait = (struct shape_wait){q->now + REST_MOST, 0};
	if (!g)
		return 0;
	err = shape_job_take(q->relay->shape, site->pool, site->name->text, s->domain->name, q->now,
			     &lane, wait);
	if (err == ERR_BUSY)
		return 0;
	t = err < 0 ? NULL : task_of_group(q, g, QUEUE_DELIVER);
	if (!t) {
		if (lane)
			shape_job_give(q->relay->shape, lane);
		return ERR_NOMEM;
	}
	t->job.lane = lane;
	give(q, site, s, g, t);
	return 1;
}

void queue_dispatch_returned(struct queue *q, struct queue_task *t)
{
	struct queue_site *s = t->site;
	int64_t took = q->now - t->since;

	shape_job_give(q->relay->shape, t->job.lane);
	t->job.lane = NULL;
	s->out--;
	queue_place_used(q, s, t);
	q->out_slow -= t->slow;
	s->took += (took - s->took) / 8;
	if (t->probe)
		s->probing = 0;
	if (s->rest_reason == QUEUE_CONNECTIONS)
		queue_dispatch_rested(q, s);
	queue_dispatch_wake(q, s);
	queue_key_site_idle(q, s);
}

struct look { /* at a site's strands, in its turn */
	unsigned refused;
	unsigned vain; /* looks since somebody was served */
	unsigned seen; /* strands that those were */
	int64_t until;
	uint8_t reason;
};

static int known(const struct look *k, const struct queue_site *s, const struct queue_domain *d)
{
	for (unsigned i = 0; i < k->refused; i++)
		if (s->refused[i] == d)
			return 1;
	return 0;
}

static void refused(struct queue *q, struct queue_site *s, struct look *k, struct queue_domain *d,
		    const struct shape_wait *wait)
{
	int64_t until = wait->until;

	if (until == SHAPE_NEVER && wait->reason == QUEUE_CONNECTIONS)
		until = q->now + REST_MOST; /* places of another pool's jobs may become free */
	if (k->refused == 0 || until < k->until) {
		k->until = until;
		k->reason = wait->reason;
	}
	s->refused[k->refused++] = d;
}

static void rest(struct queue *q, struct queue_site *s, const struct look *k)
{
	int64_t until = k->until;

	if (k->seen < s->turns && until > q->now + REST_MOST) /* others have not been asked for */
		until = q->now + REST_MOST;
	if (until < q->now + REST_LEAST)
		until = q->now + REST_LEAST;
	s->rest = until;
	s->rest_reason = k->reason;
	if (s->door == QUEUE_DOOR_BACKOFF)
		return;
	queue_sched_remove(&q->backoffs, &s->timer);
	queue_sched_add(&q->backoffs, until, &s->timer);
}

/* Customers take turns, and so do the lines of a customer and the strands of a line. */
static struct queue_strand *next_strand(struct queue_site *site)
{
	struct queue_share *h = list_entry(list_pop_front(&site->turn), struct queue_share, in_turn);
	struct queue_line *l = list_entry(list_pop_front(&h->turn), struct queue_line, in_turn);
	struct queue_strand *s = list_entry(list_pop_front(&l->turn), struct queue_strand, in_turn);

	list_push_back(&site->turn, &h->in_turn);
	list_push_back(&h->turn, &l->in_turn);
	list_push_back(&l->turn, &s->in_turn);
	return s;
}

static void count_look(struct queue *q, struct look *k, struct queue_strand *s)
{
	k->vain++;
	if (s->look == q->look)
		return;
	s->look = q->look;
	k->seen++;
}

static int serve(struct queue *q, struct queue_site *site)
{
	struct look k = {0};
	struct shape_wait wait;
	int done = 0, err;

	memset(site->refused, 0, sizeof(site->refused));
	q->look++;
	while (done < QUANTUM && !list_empty(&site->turn) && queue_dispatch_may(q, site)) {
		struct queue_strand *s = next_strand(site);
		err = known(&k, site, s->domain) ? 0 : hand_out(q, site, s, &wait);
		if (err < 0)
			return err;
		if (err > 0) {
			done++;
			q->look++;
			k.vain = k.seen = 0;
			continue;
		}
		if (!known(&k, site, s->domain))
			refused(q, site, &k, s->domain, &wait);
		count_look(q, &k, s);
		if (k.seen >= site->turns || k.vain >= LOOKS || k.refused == QUEUE_REFUSED_MAX) {
			rest(q, site, &k);
			return 0;
		}
	}
	queue_dispatch_wake(q, site); /* again, behind the others */
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
		struct queue_task *t;
		if (g->strand->dying && g->strand->dying->order.action == QUEUE_PURGE) {
			queue_drain_back(q, g);
			continue;
		}
		t = task_of_group(q, g, QUEUE_EXPIRE);
		if (!t)
			return ERR_NOMEM;
		q->expiring_out++;
		post(q, t, next_worker(q), QUEUE_EXPIRE);
	}
	return 0;
}

int queue_dispatch_delay(struct queue *q, struct queue_group *g)
{
	int64_t due = g->where == QUEUE_WAITS ? g->strand->waits.entries[g->at.timer].due : 0;
	struct queue_task *t;

	if (!q->open || q->stopping || q->delay_out >= QUEUE_DELAY_MAX)
		return 0;
	t = task_of_group(q, g, QUEUE_DELAY);
	if (!t)
		return 0;
	t->due = due;
	q->delay_out++;
	post(q, t, next_worker(q), QUEUE_DELAY);
	return 1;
}

static int dispatch_found(struct queue *q)
{
	while (q->opening_out < QUEUE_OPEN_MAX && !list_empty(&q->unopened)) {
		struct queue_found *f =
		    list_entry(list_first(&q->unopened), struct queue_found, link);
		struct queue_task *t = task_new(q, 1);
		if (!t)
			return ERR_NOMEM;
		list_remove(&f->link);
		f->task = t;
		t->found = f;
		t->job.attempts = f->attempts;
		of_message(t, f->message);
		q->opening_out++;
		post(q, t, next_worker(q), QUEUE_OPEN);
	}
	return 0;
}

static int dispatch_asking(struct queue *q)
{
	struct list_link *l;

	while (q->resolving_out < QUEUE_RESOLVE_MAX && (l = list_first(&q->asking))) {
		struct queue_domain *d = list_entry(l, struct queue_domain, link);
		struct queue_task *t = task_new(q, 1);
		const struct queue_strand *s;
		if (!t)
			return ERR_NOMEM;
		list_remove(l);
		s = list_entry(d->strands.head.next, struct queue_strand, of_domain);
		memset(&t->job.results[0], 0, sizeof(t->job.results[0]));
		t->job.recipients[0] = 0;
		t->job.count = 1;
		t->domain = d;
		d->task = t;
		d->state = QUEUE_ASKING;
		put_name(t->job.destination, sizeof(t->job.destination), d->name);
		put_name(t->job.customer, sizeof(t->job.customer), s->customer->text);
		put_name(t->job.via, sizeof(t->job.via), "mx");
		q->resolving_out++;
		post(q, t, (int)(d->node.hash % (unsigned)q->workers), QUEUE_RESOLVE);
	}
	return 0;
}

static int dispatch_ready(struct queue *q)
{
	unsigned most = queue_place_slow_max(q);
	struct list_link *l;

	for (unsigned n = q->out_slow; n < most && (l = list_pop_front(&q->starved)); n++)
		list_push_back(&q->runnable, l);
	while (q->out < QUEUE_OUT_MAX && (l = list_pop_front(&q->runnable))) {
		struct queue_site *s = list_entry(l, struct queue_site, run);
		if (serve(q, s) < 0) {
			if (!list_linked(&s->run))
				list_push_front(&q->runnable, &s->run);
			return ERR_NOMEM;
		}
	}
	return 0;
}

void queue_dispatch(struct queue *q)
{
	if (!q->open || q->stopping || q->now < q->short_until)
		return;
	if (dispatch_ready(q) < 0 || dispatch_asking(q) < 0 || dispatch_expired(q) < 0 ||
	    dispatch_found(q) < 0)
		q->short_until = q->now + SHORT_PAUSE;
	for (int w = 0; w < q->workers; w++) {
		struct queue_hand *h = &q->hands[w];
		if (h->first)
			evt_inbox_post_chain(q->relay->workers[w].inbox, h->first, h->last);
		h->first = h->last = NULL;
	}
}
