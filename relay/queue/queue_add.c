/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/queue/queue_priv.h"

/* The domain begins behind the last @; an address without one belongs to us. */
static const char *domain_of(const char *address, const char *fallback)
{
	const char *at = strrchr(address, '@');

	return at && at[1] ? at + 1 : fallback;
}

static const char *put_lower(char **at, const char *s)
{
	char *start = *at;

	do {
		char c = *s;
		*(*at)++ = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	} while (*s++);
	return start;
}

static const char *put(char **at, const char *s)
{
	size_t n = strlen(s) + 1;
	char *start = memcpy(*at, s, n);

	*at += n;
	return start;
}

static int by_domain(const void *a, const void *b)
{
	const struct queue_add_item *x = a, *y = b;
	int order = strcmp(x->domain, y->domain);

	return order ? order : (int)x->recipient - (int)y->recipient;
}

struct queue_add *queue_add_make(const struct spool_envelope *e, const uint16_t *only,
				 unsigned count, const char *fallback_domain)
{
	const char *campaign = e->campaign ? e->campaign : "";
	size_t strings = strlen(e->customer) + 1 + strlen(campaign) + 1;
	struct queue_add *a;
	char *at;

	for (unsigned i = 0; i < count; i++)
		strings +=
		    strlen(domain_of(e->recipients[only ? only[i] : i].address, fallback_domain)) +
		    1;
	a = malloc(sizeof(*a) + count * sizeof(*a->items) + strings);
	if (!a)
		return NULL;
	memset(a, 0, sizeof(*a));
	at = (char *)&a->items[count];
	a->customer = put(&at, e->customer);
	a->campaign = put(&at, campaign);
	a->hold = (e->flags & SPOOL_HOLD) != 0;
	a->count = count;
	a->created = e->created;
	a->size = e->size;
	for (unsigned i = 0; i < count; i++) {
		uint16_t r = only ? only[i] : (uint16_t)i;
		a->items[i].recipient = r;
		a->items[i].domain =
		    put_lower(&at, domain_of(e->recipients[r].address, fallback_domain));
	}
	if (count > 1)
		qsort(a->items, count, sizeof(*a->items), by_domain);
	return a;
}

void queue_add_free(struct queue_add *a)
{
	if (a && a->fresh)
		spool_fresh_free(a->fresh);
	free(a);
}

/* Items that follow each other with the same domain, as many as one group takes. */
static unsigned run_length(const struct queue_add *a, unsigned from)
{
	unsigned n = 1;

	while (from + n < a->count && n < QUEUE_GROUP_MAX &&
	       !strcmp(a->items[from].domain, a->items[from + n].domain))
		n++;
	return n;
}

/* Takes back groups that are in no place, and leaves the message. */
static void undo(struct queue *q, struct queue_message *m)
{
	while (m->groups)
		queue_group_drop(q, m->groups);
}

int queue_add_groups(struct queue *q, struct queue_message *m, const struct queue_add *a,
		     const char *via)
{
	uint16_t recipients[QUEUE_GROUP_MAX];
	unsigned n;

	for (unsigned i = 0; i < a->count; i += n) {
		struct queue_strand *s =
		    queue_strand_get(q, a->customer, a->campaign, a->items[i].domain, via);
		n = run_length(a, i);
		for (unsigned j = 0; j < n; j++)
			recipients[j] = a->items[i + j].recipient;
		if (!s || !queue_group_new(q, m, s, recipients, n)) {
			undo(q, m);
			return ERR_NOMEM;
		}
	}
	return 0;
}

/* It shares what its site waits for. */
static void share(struct queue_group *g)
{
	const struct queue_site *site = queue_strand_site(g->strand);

	if (site && site->door == QUEUE_DOOR_BACKOFF) {
		g->reason = site->reason;
		g->code = site->code;
	}
}

static int take_in(struct queue *q, struct queue_add *a)
{
	struct queue_message *m = queue_message_new(q, a->id);
	struct queue_group *g, *next;

	if (!m)
		return ERR_NOMEM;
	m->opened = 1;
	m->at = a->at;
	m->created = a->created;
	m->born = (int32_t)((a->added - q->epoch) / CLOCK_SEC);
	if (queue_add_groups(q, m, a, NULL) < 0) {
		queue_message_free(q, m);
		return ERR_NOMEM;
	}
	m->size = a->size;
	q->bytes += m->size;
	m->u.fresh = a->fresh;
	q->fresh_count += a->fresh != NULL;
	a->fresh = NULL;
	if (!q->open)
		queue_message_drop_fresh(q, m);
	for (g = m->groups; g; g = next) {
		next = g->next;
		share(g);
		if (a->hold)
			queue_group_hold(q, g, QUEUE_QUARANTINE);
		else
			queue_group_ready(q, g, 0);
	}
	return 0;
}

static void added(struct relay_msg *msg, void *queue)
{
	struct queue *q = queue;
	struct queue_add *a = (struct queue_add *)msg;

	if (q->ended) {
		queue_add_free(a);
		return;
	}
	if (queue_index_find(&q->index,
			     a->id)) { /* ids are made once: whoever adds twice is wrong */
		log_event(LOG_LEVEL_ERROR, NULL, "queue-twice", "what=\"message added twice\"");
		queue_add_free(a);
		return;
	}
	if (!list_empty(&q->stalled) || take_in(q, a) < 0)
		list_push_back(&q->stalled, &a->link);
	else
		queue_add_free(a);
}

void queue_add_stalled(struct queue *q)
{
	struct list_link *l;

	while ((l = list_first(&q->stalled))) {
		struct queue_add *a = list_entry(l, struct queue_add, link);
		if (take_in(q, a) < 0)
			return;
		list_remove(l);
		queue_add_free(a);
	}
}

int queue_add(struct queue *q, uint64_t id, const struct spool_envelope *e, struct spool_place at,
	      struct spool_fresh *fresh)
{
	struct queue_add *a = queue_add_make(e, NULL, e->count, "");

	if (!a) {
		if (fresh)
			spool_fresh_free(fresh);
		return ERR_NOMEM;
	}
	a->msg.run = added;
	a->id = id;
	a->at = at;
	a->added = clock_mono();
	a->fresh = fresh;
	evt_inbox_post(q->inbox, &a->msg.msg);
	return 0;
}
