/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/queue/queue_priv.h"

#define LIST_MAX 1000

static void answer(struct queue_ask *a)
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

static void list(struct queue *q, struct queue_ask *a)
{
	unsigned limit = a->limit < 1 ? 1 : a->limit > LIST_MAX ? LIST_MAX : a->limit, room = 0;
	struct queue_message *m = queue_index_above(&q->index, a->after);

	while (m && a->count < limit) { /* a message is never cut in two */
		add_items(q, a, m, &room);
		m = queue_index_above(&q->index, m->id);
	}
	a->more = m != NULL;
	answer(a);
}

static void show(struct queue *q, struct queue_ask *a)
{
	struct queue_message *m = queue_index_find(&q->index, a->id);
	unsigned room = 0;

	if (m)
		add_items(q, a, m, &room);
	else
		a->err = ERR_NOTFOUND;
	answer(a);
}

/* --- acting */

/* Opens the door for a probe, now. */
static void knock(struct queue *q, struct queue_strand *s)
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

static void retry_group(struct queue *q, struct queue_ask *a, struct queue_group *g)
{
	if (g->where != QUEUE_WAITS && g->where != QUEUE_READY)
		return;
	a->affected += g->count;
	knock(q, g->strand);
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

static void retry(struct queue *q, struct queue_ask *a)
{
	struct queue_message *m =
	    a->id ? queue_index_find(&q->index, a->id) : queue_index_above(&q->index, 0);

	if (a->id && !m)
		a->err = ERR_NOTFOUND;
	for (; m; m = a->id ? NULL : queue_index_above(&q->index, m->id))
		retry_message(q, a, m);
	log_event(LOG_LEVEL_INFO, NULL, "queue-retry", "recipients=%llu",
		  (unsigned long long)a->affected);
	answer(a);
}

static void deleted(struct queue *q, int result, void *arg)
{
	struct queue_ask *a = arg;
	char text[ID_TEXT_SIZE];

	(void)q;
	a->err = result;
	if (result < 0) {
		a->affected = 0;
	} else {
		id_format(text, a->id);
		log_event(LOG_LEVEL_INFO, text, "deleted", "recipients=%llu",
			  (unsigned long long)a->affected);
	}
	answer(a);
}

static void del(struct queue *q, struct queue_ask *a)
{
	struct queue_message *m = queue_index_find(&q->index, a->id);

	if (!m) {
		a->err = ERR_NOTFOUND;
		answer(a);
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

static void numbers(struct queue *q, struct queue_ask *a)
{
	struct queue_numbers *n = &a->numbers;
	struct queue_message *oldest = queue_index_above(&q->index, 0);

	n->messages = q->index.count;
	n->recipients = q->recipients;
	n->active = q->active;
	n->deferred = q->waits;
	n->held = q->held;
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
	answer(a);
}

void queue_control(struct relay_msg *m, void *queue)
{
	static void (*const actions[])(struct queue *, struct queue_ask *) = {
	    [QUEUE_LIST] = list,  [QUEUE_SHOW] = show,	     [QUEUE_RETRY_NOW] = retry,
	    [QUEUE_DELETE] = del, [QUEUE_NUMBERS] = numbers,
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
		answer(a);
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
	free(a);
}

void queue_ask_post(struct queue *q, struct queue_ask *a)
{
	a->run = a->msg.run;
	a->msg.run = queue_control;
	evt_inbox_post(q->inbox, &a->msg.msg);
}
