/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/queue/queue_priv.h"

#define LIST_MAX 1000

#define LOOK_MAX 100000 /* at messages, for one page of a list */

void queue_control_answer(struct queue_ask *a)
{
	evt_inbox_post(a->reply, &a->msg.msg);
}

/* --- items */

static struct queue_item *next_item(struct queue_ask *a, unsigned *room)
{
	if (a->count == *room) {
		unsigned more = *room ? 2 * *room : 64;
		struct queue_item *items = realloc(a->items, more * sizeof(*items));
		if (!items) {
			a->err = ERR_NOMEM;
			return NULL;
		}
		a->items = items;
		*room = more;
	}
	memset(&a->items[a->count], 0, sizeof(*a->items));
	return &a->items[a->count++];
}

static void fill_message(struct queue_item *i, const struct queue_message *m)
{
	i->id = m->id;
	i->at = m->at;
	i->size = m->size;
	i->created = m->created;
}

static void fill_group(const struct queue *q, struct queue_item *i, const struct queue_group *g)
{
	const struct queue_strand *s = g->strand;
	const struct queue_reply *reply = NULL;

	i->reason = queue_group_reason(q, g, &i->code, &reply);
	snprintf(i->customer, sizeof(i->customer), "%s", s->customer->text);
	snprintf(i->campaign, sizeof(i->campaign), "%s", s->campaign->text);
	snprintf(i->destination, sizeof(i->destination), "%s", s->domain->name);
	if (s->line)
		snprintf(i->site, sizeof(i->site), "%s", s->line->site->name->text);
	snprintf(i->reply, sizeof(i->reply), "%s", reply ? reply->text : "");
	i->recipients = g->count;
	i->attempts = g->attempts;
	i->next = queue_group_next(q, g);
}

static void fill_found(const struct queue *q, struct queue_item *i, const struct queue_found *f)
{
	i->recipients = f->count;
	i->attempts = f->attempts;
	i->reason = f->reason;
	i->next = f->task			? 0
		  : f->timer != QUEUE_SCHED_OUT ? queue_wall(q, q->reopens.entries[f->timer].due)
						: q->wall;
}

static void add_items(const struct queue *q, struct queue_ask *a, const struct queue_message *m,
		      unsigned *room)
{
	struct queue_item *i;

	if (!m->opened && (i = next_item(a, room))) {
		fill_message(i, m);
		fill_found(q, i, m->u.found);
	}
	for (const struct queue_group *g = m->groups; g; g = g->next)
		if ((i = next_item(a, room))) {
			fill_message(i, m);
			fill_group(q, i, g);
		}
}

static int wanted(const struct queue_selector *of, const struct queue_message *m)
{
	if (!of->by)
		return 1;
	for (const struct queue_group *g = m->groups; g; g = g->next)
		if (queue_order_fits(of, g->strand))
			return 1;
	return 0;
}

static void list(struct queue *q, struct queue_ask *a)
{
	unsigned limit = a->limit < 1 ? 1 : a->limit > LIST_MAX ? LIST_MAX : a->limit, room = 0;
	struct queue_message *m = queue_index_above(&q->index, a->after);

	for (unsigned looked = 0; m && a->count < limit && looked < LOOK_MAX; looked++) {
		if (wanted(&a->order.of, m)) /* a message is never cut in two */
			add_items(q, a, m, &room);
		a->after = m->id;
		m = queue_index_above(&q->index, m->id);
	}
	a->more = m != NULL;
	queue_control_answer(a);
}

static void show(struct queue *q, struct queue_ask *a)
{
	struct queue_message *m = queue_index_find(&q->index, a->id);
	unsigned room = 0;

	if (m)
		add_items(q, a, m, &room);
	else
		a->err = ERR_NOTFOUND;
	queue_control_answer(a);
}

/* --- acting */

void queue_control_knock(struct queue *q, struct queue_strand *s)
{
	struct queue_site *site = queue_strand_site(s);

	if (s->domain->timer != QUEUE_SCHED_OUT) {
		queue_sched_remove(&q->lookups, &s->domain->timer);
		queue_domain_again(q, s->domain);
	}
	if (!site || site->door != QUEUE_DOOR_BACKOFF)
		return;
	queue_sched_remove(&q->backoffs, &site->timer);
	site->door = QUEUE_DOOR_PROBE;
	site->probing = 0;
	queue_dispatch_wake(q, site);
}

uint32_t queue_control_rush(struct queue *q, struct queue_strand *s, uint8_t reason)
{
	s->rush = s->waits.count;
	s->rush_reason = reason;
	queue_strand_clock(q, s);
	return s->waiting + s->readies;
}

static void retry_group(struct queue *q, struct queue_ask *a, struct queue_group *g)
{
	if (g->where != QUEUE_WAITS && g->where != QUEUE_READY)
		return;
	a->affected += g->count;
	queue_control_knock(q, g->strand);
	if (g->where != QUEUE_WAITS)
		return;
	g->reason = QUEUE_RETRY;
	if (g->expired)
		queue_group_expire(q, g);
	else
		queue_group_ready(q, g, 0);
}

static void retry_message(struct queue *q, struct queue_ask *a, struct queue_message *m)
{
	struct queue_group *next;

	for (struct queue_group *g = m->groups; g; g = next) {
		next = g->next;
		retry_group(q, a, g);
	}
	if (!m->opened && m->u.found && !m->u.found->task) {
		a->affected += m->u.found->count;
		queue_found_again(q, m->u.found, 0);
	}
}

/* One message; or all, or what is named: by strands, and those that are still closed. */
static void retry(struct queue *q, struct queue_ask *a)
{
	struct queue_message *m = a->id ? queue_index_find(&q->index, a->id) : NULL;
	uint32_t *pos;

	if (!a->id) {
		while (!a->order.of.by && (pos = queue_sched_first(&q->reopens)))
			retry_message(q, a, list_entry(pos, struct queue_found, timer)->message);
		queue_order(q, a);
		return;
	}
	if (m)
		retry_message(q, a, m);
	else
		a->err = ERR_NOTFOUND;
	log_event(LOG_LEVEL_INFO, NULL, "queue-retry", "recipients=%llu",
		  (unsigned long long)a->affected);
	queue_control_answer(a);
}

static void deleted(struct queue *q, uint64_t id, int result, void *arg)
{
	struct queue_ask *a = arg;
	char text[ID_TEXT_SIZE];

	(void)q;
	(void)id; /* the ask has it too */
	a->err = result;
	if (result < 0) {
		a->affected = 0;
	} else {
		id_format(text, a->id);
		log_event(LOG_LEVEL_INFO, text, "deleted", "recipients=%llu",
			  (unsigned long long)a->affected);
	}
	queue_control_answer(a);
}

static void del(struct queue *q, struct queue_ask *a)
{
	struct queue_message *m = queue_index_find(&q->index, a->id);

	if (!m) {
		a->err = ERR_NOTFOUND;
		queue_control_answer(a);
		return;
	}
	a->affected = queue_message_recipients(m);
	queue_result_delete(q, m, deleted, a);
}

static void count_domain(const struct queue_domain *d, struct queue_numbers *n)
{
	int used = 0;

	for (struct list_link *l = d->strands.head.next; l != &d->strands.head; l = l->next) {
		const struct queue_strand *s = list_entry(l, struct queue_strand, of_domain);
		used |= s->groups != 0;
		if (d->state == QUEUE_FAILED && !s->line)
			n->deferred += s->readies;
	}
	n->destinations += used;
}

void queue_control_numbers(const struct queue *q, struct queue_numbers *n)
{
	struct queue_message *oldest = queue_index_above(&q->index, 0);

	n->messages = q->index.count;
	n->recipients = q->recipients;
	n->active = q->active;
	n->deferred = q->waits;
	n->held = q->held;
	n->draining = q->draining;
	n->slow = q->out_slow;
	n->lines = q->lines.count;
	n->sites = q->sites.count - q->idle_count;
	for (uint32_t i = 0; i < q->backoffs.count; i++)
		n->deferred +=
		    list_entry(q->backoffs.entries[i].pos, struct queue_site, timer)->ready;
	for (uint32_t i = 0; i < q->domains.room; i++)
		for (struct queue_node *d = q->domains.buckets[i]; d; d = d->chain)
			count_domain((struct queue_domain *)d, n);
	n->opening = q->unopened_count;
	n->orphans = q->orphans;
	n->bytes = q->bytes;
	n->oldest = oldest ? oldest->created : 0;
}

static void numbers(struct queue *q, struct queue_ask *a)
{
	queue_control_numbers(q, &a->numbers);
	queue_control_answer(a);
}

void queue_control(struct relay_msg *m, void *queue)
{
	static void (*const actions[])(struct queue *, struct queue_ask *) = {
	    [QUEUE_LIST] = list,  [QUEUE_SHOW] = show,	     [QUEUE_RETRY_NOW] = retry,
	    [QUEUE_DELETE] = del, [QUEUE_NUMBERS] = numbers,
	    [QUEUE_SUMMARY] = queue_summary, [QUEUE_ORDERS] = queue_order_list,
	    [QUEUE_HOLD] = queue_order, [QUEUE_SUSPEND] = queue_order, [QUEUE_REROUTE] = queue_order,
	    [QUEUE_BOUNCE] = queue_order, [QUEUE_PURGE] = queue_order, [QUEUE_RELEASE] = queue_order,
	    [QUEUE_RESUME] = queue_order, [QUEUE_UNROUTE] = queue_order,
	};
	struct queue *q = queue;
	struct queue_ask *a = (struct queue_ask *)m;

	if (q->ended) {
		queue_ask_free(a);
		return;
	}
	a->msg.run = a->run;
	if (a->action < sizeof(actions) / sizeof(*actions) && actions[a->action]) {
		actions[a->action](q, a);
	} else {
		a->err = ERR_UNSUPPORTED;
		queue_control_answer(a);
	}
}

struct queue_ask *queue_ask_new(uint8_t action)
{
	struct queue_ask *a = calloc(1, sizeof(*a));

	if (a)
		a->action = action;
	return a;
}

void queue_ask_free(struct queue_ask *a)
{
	if (!a)
		return;
	free(a->items);
	free(a->rows);
	free(a->orders);
	free(a);
}

void queue_ask_post(struct queue *q, struct queue_ask *a)
{
	a->run = a->msg.run;
	a->msg.run = queue_control;
	evt_inbox_post(q->inbox, &a->msg.msg);
}
