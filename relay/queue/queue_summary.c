/* SPDX-License-Identifier: Apache-2.0 */
/* All lines with their numbers, the largest first. Strands have the numbers: no message is touched. */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "relay/queue/queue_priv.h"

#define ROWS_MAX 1000

struct sum { /* of one line, or of one strand that has none */
	const struct queue_strand *first; /* whose names it has */
	uint32_t domains, recipients, waiting, ready, active, holds;
	int32_t oldest;
	int64_t next;
	uint8_t stopped; /* of all its strands */
};

static int64_t due(const struct queue *q, const struct queue_strand *s)
{
	return s->waits.count ? queue_wall(q, s->waits.entries[0].due) : QUEUE_NEVER;
}

/* When something of a strand may go, if anything is READY. */
static int64_t next_of(const struct queue *q, const struct queue_strand *s)
{
	struct list_link *l = s->ready.head.next != &s->ready.head  ? s->ready.head.next
			      : s->slow.head.next != &s->slow.head ? s->slow.head.next
								   : NULL;
	int64_t when = due(q, s), ready = QUEUE_NEVER;

	if (s->stopped & (QUEUE_STOP_HELD | QUEUE_STOP_SUSPENDED))
		return QUEUE_NEVER;
	if (l)
		ready = queue_group_next(q, list_entry(l, struct queue_group, at.link));
	return ready < when ? ready : when;
}

static void add(const struct queue *q, struct sum *t, const struct queue_strand *s)
{
	int64_t next = next_of(q, s);

	if (!t->first) {
		*t = (struct sum){.first = s, .oldest = s->oldest, .next = next, .stopped = s->stopped};
	} else {
		t->stopped &= s->stopped;
		t->oldest = s->oldest < t->oldest ? s->oldest : t->oldest;
		t->next = next < t->next ? next : t->next;
	}
	t->domains++;
	t->recipients += s->recipients;
	t->waiting += s->waiting;
	t->ready += s->readies;
	t->active += s->active;
	t->holds += s->holds;
}

/* --- all of them */

struct sums {
	struct sum *all;
	size_t count, room;
	const struct queue_selector *of;
};

static int fits(const struct sums *x, const struct queue_strand *s)
{
	return s->groups && queue_order_fits(x->of, s);
}

static struct sum *more(struct sums *x)
{
	if (x->count == x->room) {
		size_t room = x->room ? 2 * x->room : 256;
		struct sum *all = realloc(x->all, room * sizeof(*all));
		if (!all)
			return NULL;
		x->all = all;
		x->room = room;
	}
	memset(&x->all[x->count], 0, sizeof(*x->all));
	return &x->all[x->count++];
}

static int add_line(const struct queue *q, struct sums *x, const struct queue_line *l)
{
	struct sum *t = NULL;

	list_each(s, &l->strands, struct queue_strand, of_line) {
		if (!fits(x, s))
			continue;
		if (!t && !(t = more(x)))
			return ERR_NOMEM;
		add(q, t, s);
	}
	return 0;
}

static int collect(const struct queue *q, struct sums *x)
{
	struct sum *t;

	for (uint32_t i = 0; i < q->lines.room; i++)
		for (struct queue_node *n = q->lines.buckets[i]; n; n = n->chain)
			if (add_line(q, x, (const struct queue_line *)n) < 0)
				return ERR_NOMEM;
	for (uint32_t i = 0; i < q->strands.room; i++)
		for (struct queue_node *n = q->strands.buckets[i]; n; n = n->chain) {
			const struct queue_strand *s = (const struct queue_strand *)n;
			if (s->line || !fits(x, s))
				continue;
			if (!(t = more(x)))
				return ERR_NOMEM;
			add(q, t, s);
		}
	return 0;
}

static int largest_first(const void *a, const void *b)
{
	const struct sum *x = a, *y = b;

	return x->recipients < y->recipients ? 1 : x->recipients > y->recipients ? -1 : 0;
}

/* --- rows */

static uint8_t reason(const struct queue *q, const struct sum *t)
{
	const struct queue_strand *s = t->first;
	const struct queue_group *g = NULL;
	const struct queue_reply *reply;
	uint16_t code;

	if (!list_empty(&s->ready))
		g = list_entry(s->ready.head.next, struct queue_group, at.link);
	else if (!list_empty(&s->slow))
		g = list_entry(s->slow.head.next, struct queue_group, at.link);
	else if (s->waits.count)
		g = list_entry(s->waits.entries[0].pos, struct queue_group, at.timer);
	else if (!list_empty(&s->held))
		g = list_entry(s->held.head.next, struct queue_group, at.link);
	return g ? queue_group_reason(q, g, &code, &reply) : QUEUE_NEW;
}

static void fill(const struct queue *q, struct queue_row *r, const struct sum *t)
{
	const struct queue_strand *s = t->first;
	const struct queue_site *site = queue_strand_site(s);

	snprintf(r->customer, sizeof(r->customer), "%s", s->customer->text);
	snprintf(r->campaign, sizeof(r->campaign), "%s", s->campaign->text);
	snprintf(r->site, sizeof(r->site), "%s", site ? site->name->text : s->domain->name);
	snprintf(r->pool, sizeof(r->pool), "%s", site ? site->pool : "");
	r->resolved = site != NULL;
	r->slow = site && queue_place_slow(q, site) && site->out;
	r->held = (t->stopped & QUEUE_STOP_HELD) != 0;
	r->suspended = (t->stopped & QUEUE_STOP_SUSPENDED) != 0;
	r->domains = t->domains;
	r->recipients = t->recipients;
	r->waiting = t->waiting;
	r->ready = t->ready;
	r->active = t->active;
	r->holds = t->holds;
	r->oldest = queue_wall(q, q->epoch) + t->oldest * CLOCK_SEC;
	r->next = t->next == QUEUE_NEVER && t->active ? 0 : t->next;
	r->reason = r->held	   ? QUEUE_HELD
		    : r->suspended ? QUEUE_SUSPENDED
				   : reason(q, t);
}

void queue_summary(struct queue *q, struct queue_ask *a)
{
	unsigned limit = a->limit < 1 ? 1 : a->limit > ROWS_MAX ? ROWS_MAX : a->limit;
	struct sums x = {.of = &a->order.of};

	a->err = collect(q, &x);
	if (x.count)
		qsort(x.all, x.count, sizeof(*x.all), largest_first);
	if (limit > x.count)
		limit = (unsigned)x.count;
	a->rows = calloc(limit ? limit : 1, sizeof(*a->rows));
	if (!a->rows)
		a->err = ERR_NOMEM;
	for (unsigned i = 0; a->err == 0 && i < limit; i++)
		fill(q, &a->rows[a->count++], &x.all[i]);
	for (size_t i = 0; i < x.count; i++)
		a->affected += x.all[i].recipients;
	a->more = x.count > limit;
	queue_control_numbers(q, &a->numbers);
	a->numbers.lines = x.count;
	free(x.all);
	queue_control_answer(a);
}
