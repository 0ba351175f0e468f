/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/queue/queue_priv.h"
#include "relay/spool/spool_log.h"

#define SETTLED (2 * CLOCK_SEC) /* a STATE that was posted is written long before */

/* --- what fits */

static int fits_key(const struct queue_selector *of, const struct queue_strand *s)
{
	return !(of->by & QUEUE_BY_MESSAGE) &&
	       (!(of->by & QUEUE_BY_CUSTOMER) || !strcmp(of->customer, s->customer->text)) &&
	       (!(of->by & QUEUE_BY_CAMPAIGN) || !strcmp(of->campaign, s->campaign->text));
}

static int fits_site(const struct queue_selector *of, const struct queue_strand *s, const char *site)
{
	return !(of->by & QUEUE_BY_DESTINATION) || !strcmp(of->destination, s->domain->name) ||
	       (site && !strcmp(of->destination, site));
}

int queue_order_fits(const struct queue_selector *of, const struct queue_strand *s)
{
	return fits_key(of, s) && fits_site(of, s, s->line ? s->line->site->name->text : NULL);
}

/* The last order that fits counts. An order that names a site means what would go there by itself:
 * else it would not fit any more as soon as it is obeyed. */
const char *queue_order_way(const struct queue *q, const struct queue_strand *s, const char *site)
{
	const char *way = NULL;

	for (const struct list_link *l = q->rules.head.next; l != &q->rules.head; l = l->next) {
		const struct queue_order *o = &list_entry(l, struct queue_rule, link)->order;
		if (o->action == QUEUE_REROUTE && fits_key(&o->of, s) && fits_site(&o->of, s, site))
			way = o->via;
	}
	return way;
}

static uint8_t stops(const struct queue *q, const struct queue_strand *s)
{
	uint8_t stopped = s->stopped & QUEUE_STOP_DYING;

	for (const struct list_link *l = q->rules.head.next; l != &q->rules.head; l = l->next) {
		const struct queue_order *o = &list_entry(l, struct queue_rule, link)->order;
		if ((o->action == QUEUE_HOLD || o->action == QUEUE_SUSPEND) &&
		    queue_order_fits(&o->of, s))
			stopped |= o->action == QUEUE_HOLD ? QUEUE_STOP_HELD : QUEUE_STOP_SUSPENDED;
	}
	return stopped;
}

/* --- of a former run: bounce and purge are for what was accepted before them */

static int ends_mail(uint8_t action)
{
	return action == QUEUE_BOUNCE || action == QUEUE_PURGE;
}

static struct queue_rule *doom(struct queue *q, const struct queue_group *g)
{
	for (struct list_link *l = q->rules.head.next; l != &q->rules.head; l = l->next) {
		struct queue_rule *r = list_entry(l, struct queue_rule, link);
		if (r->old && ends_mail(r->order.action) &&
		    g->message->created <= r->order.before && queue_order_fits(&r->order.of, g->strand))
			return r;
	}
	return NULL;
}

/* Its site is known now, and an old order may name it. */
static void sift(struct queue *q, struct queue_strand *s)
{
	struct list *const lists[] = {&s->ready, &s->slow, &s->held};
	size_t n = s->waits.count;
	struct queue_group **waiting = n ? malloc(n * sizeof(struct queue_group *)) : NULL;
	struct queue_rule *r;

	for (size_t i = 0; waiting && i < n; i++)
		waiting[i] = list_entry(s->waits.entries[i].pos, struct queue_group, at.timer);
	for (size_t i = 0; waiting && i < n; i++)
		if ((r = doom(q, waiting[i])))
			queue_drain_group(q, r, waiting[i]);
	free(waiting);
	for (int i = 0; i < 3; i++) {
		struct list_link *l = lists[i]->head.next, *next;
		for (; l != &lists[i]->head; l = next) {
			struct queue_group *g = list_entry(l, struct queue_group, at.link);
			next = l->next;
			if ((r = doom(q, g)))
				queue_drain_group(q, r, g);
		}
	}
}

void queue_order_strand(struct queue *q, struct queue_strand *s)
{
	if (list_empty(&q->rules) || s->stopped & QUEUE_STOP_DYING)
		return;
	s->stopped = stops(q, s);
	queue_strand_turn(q, s);
	if (q->old_rules && s->line && s->groups)
		sift(q, s);
}

int queue_order_opened(struct queue *q, struct queue_message *m)
{
	struct queue_rule *r;

	if (list_empty(&q->rules))
		return 0;
	for (struct queue_group *g = m->groups; q->old_rules && g; g = g->next)
		if ((r = doom(q, g)) && queue_drain_group(q, r, g) < 0)
			return ERR_NOMEM;
	if ((r = queue_order_of_message(q, QUEUE_REROUTE, m->id))) {
		m->rerouted = 1;
		if (queue_one_reroute(q, m, r->order.via) < 0)
			return ERR_NOMEM;
	}
	m->bounce = queue_order_of_message(q, QUEUE_BOUNCE, m->id) != NULL;
	return 0;
}

struct queue_rule *queue_order_of_message(struct queue *q, uint8_t action, uint64_t id)
{
	struct queue_rule *found = NULL;

	if (q->own_rules == 0)
		return NULL;
	list_each(r, &q->rules, struct queue_rule, link)
		if (r->order.action == action && r->order.of.by & QUEUE_BY_MESSAGE &&
		    r->order.of.message == id)
			found = r;
	return found;
}

/* --- rules come and go */

static struct queue_rule *rule_new(struct queue *q, const struct queue_order *o, int old)
{
	struct queue_rule *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->order = *o;
	r->old = (uint8_t)old;
	list_init(&r->dying);
	list_push_back(&q->rules, &r->link);
	q->own_rules += (o->of.by & QUEUE_BY_MESSAGE) != 0;
	q->old_rules += old && ends_mail(o->action);
	return r;
}

int queue_order_add(struct queue *q, const struct queue_order *o)
{
	return rule_new(q, o, 0) ? 0 : ERR_NOMEM;
}

static void rule_free(struct queue *q, struct queue_rule *r)
{
	list_remove(&r->link);
	q->own_rules -= (r->order.of.by & QUEUE_BY_MESSAGE) != 0;
	q->old_rules -= r->old && ends_mail(r->order.action);
	free(r);
}

void queue_order_drop(struct queue *q, struct queue_rule *r)
{
	rule_free(q, r);
}

void queue_order_clear(struct queue *q)
{
	struct list_link *l;

	while ((l = list_first(&q->rules)))
		rule_free(q, list_entry(l, struct queue_rule, link));
}

int queue_order_found(struct queue *q, const struct queue_order *o)
{
	return rule_new(q, o, 1) ? 0 : ERR_NOMEM;
}

void queue_on_order_end(struct queue *q, struct evt_inbox *to,
			void (*done)(struct relay_msg *m, void *receiver))
{
	q->end_inbox = to;
	q->end_run = done;
}

/* --- giving them */

static const char *word(uint8_t action)
{
	static const char *const words[] = {
	    [QUEUE_RETRY_NOW] = "retry", [QUEUE_HOLD] = "hold",	  [QUEUE_SUSPEND] = "suspend",
	    [QUEUE_REROUTE] = "reroute", [QUEUE_BOUNCE] = "bounce", [QUEUE_PURGE] = "purge",
	    [QUEUE_RELEASE] = "release", [QUEUE_RESUME] = "resume", [QUEUE_UNROUTE] = "unroute"};

	return words[action];
}

static void say(const struct queue_ask *a)
{
	const struct queue_order *o = &a->order;

	log_event(LOG_LEVEL_INFO, NULL, "queue-order",
		  "action=%s number=%lld customer=\"%s\" campaign=\"%s\" destination=\"%s\" via=\"%s\" "
		  "recipients=%llu",
		  word(a->action), (long long)o->number,
		  o->of.by & QUEUE_BY_CUSTOMER ? o->of.customer : "*",
		  o->of.by & QUEUE_BY_CAMPAIGN ? o->of.campaign : "*",
		  o->of.by & QUEUE_BY_DESTINATION ? o->of.destination : "*", o->via,
		  (unsigned long long)a->affected);
}

static void stop_or_start(struct queue *q, struct queue_ask *a, struct queue_strand *s)
{
	s->stopped = stops(q, s);
	if (s->stopped & (a->action == QUEUE_RELEASE ? QUEUE_STOP_HELD : QUEUE_STOP_SUSPENDED))
		a->kept += s->recipients;
	queue_strand_turn(q, s);
}

static void reroute(struct queue *q, struct queue_ask *a, struct queue_strand *s)
{
	(void)a;
	queue_strand_place(q, s); /* without memory it goes the old way, until queue_watch looks */
	queue_control_rush(q, s, QUEUE_REROUTED);
}

static void rush(struct queue *q, struct queue_ask *a, struct queue_strand *s)
{
	queue_control_knock(q, s);
	a->affected += queue_control_rush(q, s, QUEUE_RETRY);
}

/* What an action does to each strand that fits. Bounce and purge take theirs out of the table. */
static void (*const acts[])(struct queue *q, struct queue_ask *a, struct queue_strand *s) = {
    [QUEUE_RETRY_NOW] = rush,	      [QUEUE_HOLD] = stop_or_start,   [QUEUE_SUSPEND] = stop_or_start,
    [QUEUE_REROUTE] = reroute,	      [QUEUE_RELEASE] = stop_or_start, [QUEUE_RESUME] = stop_or_start,
    [QUEUE_UNROUTE] = reroute,
};

/* While an order re-routes a strand its site is not the one that the order may name. */
static int concerns(const struct queue *q, const struct queue_ask *a, const struct queue_strand *s)
{
	const struct queue_selector *of = &a->order.of;
	const struct relay_route *r;

	if (queue_order_fits(of, s))
		return 1;
	if ((a->action != QUEUE_REROUTE && a->action != QUEUE_UNROUTE) || !fits_key(of, s))
		return 0;
	r = relay_conf_route(q->conf, s->customer->text, span_str(s->domain->name));
	return fits_site(of, s,
			 r && strcmp(r->to, "mx") ? r->to
			 : s->domain->site	  ? s->domain->site->text
						  : NULL);
}

static void each_strand(struct queue *q, struct queue_ask *a, struct queue_rule *r)
{
	for (uint32_t i = 0; i < q->strands.room; i++)
		for (struct queue_node *n = q->strands.buckets[i], *next; n; n = next) {
			struct queue_strand *s = (struct queue_strand *)n;
			next = n->chain;
			if (!concerns(q, a, s))
				continue;
			if (a->action != QUEUE_RETRY_NOW)
				a->affected += s->recipients;
			if (ends_mail(a->action))
				queue_drain_strand(q, r, s);
			else
				acts[a->action](q, a, s);
		}
}

static void end_rules(struct queue *q, uint8_t action, const struct queue_selector *of)
{
	struct list_link *l = q->rules.head.next, *next;

	for (; l != &q->rules.head; l = next) {
		struct queue_rule *r = list_entry(l, struct queue_rule, link);
		next = l->next;
		if (r->order.action == action && !(r->order.of.by & QUEUE_BY_MESSAGE) &&
		    queue_selector_covers(of, &r->order.of))
			rule_free(q, r);
	}
}

void queue_order(struct queue *q, struct queue_ask *a)
{
	uint8_t ends = queue_order_ended_by(a->action);
	struct queue_rule *r = NULL;

	if (a->order.of.by & QUEUE_BY_MESSAGE) {
		queue_one(q, a);
		return;
	}
	a->order.action = a->action;
	if (ends)
		end_rules(q, ends, &a->order.of);
	else if (a->action != QUEUE_RETRY_NOW && !(r = rule_new(q, &a->order, 0)))
		a->err = ERR_NOMEM;
	if (a->err == 0) {
		each_strand(q, a, r);
		if (ends_mail(a->action) && q->unopened_count) { /* also of those that are still closed */
			r->old = 1;
			q->old_rules++;
		}
		say(a);
	}
	queue_control_answer(a);
}

/* --- looking */

static uint64_t reaches(const struct queue *q, const struct queue_rule *r)
{
	uint64_t n = 0;

	for (const struct list_link *l = r->dying.head.next; l != &r->dying.head; l = l->next)
		n += list_entry(l, struct queue_strand, of_line)->recipients;
	if (ends_mail(r->order.action))
		return n;
	if (r->order.of.by & QUEUE_BY_MESSAGE) {
		const struct queue_message *m = queue_index_find(&q->index, r->order.of.message);
		return m ? queue_message_recipients(m) : 0;
	}
	for (uint32_t i = 0; i < q->strands.room; i++)
		for (struct queue_node *k = q->strands.buckets[i]; k; k = k->chain) {
			const struct queue_strand *s = (struct queue_strand *)k;
			const struct queue_ask a = {.action = r->order.action, .order.of = r->order.of};
			n += concerns(q, &a, s) ? s->recipients : 0;
		}
	return n;
}

void queue_order_list(struct queue *q, struct queue_ask *a)
{
	unsigned n = 0;

	list_each(r, &q->rules, struct queue_rule, link)
		n++;
	a->orders = calloc(n ? n : 1, sizeof(*a->orders));
	if (!a->orders)
		a->err = ERR_NOMEM;
	list_each(r, &q->rules, struct queue_rule, link) {
		if (!a->orders)
			break;
		a->orders[a->count] = r->order;
		a->orders[a->count++].recipients = reaches(q, r);
	}
	queue_control_answer(a);
}

/* --- when they are over */

/* Mail of a former run that is not yet known well enough to say whether an order fits. */
static int unsure(const struct queue *q, const struct queue_rule *r)
{
	if (!r->old)
		return 0;
	if (q->unopened_count)
		return 1;
	for (uint32_t i = 0; r->order.of.by & QUEUE_BY_DESTINATION && i < q->strands.room; i++)
		for (struct queue_node *k = q->strands.buckets[i]; k; k = k->chain)
			if (((struct queue_strand *)k)->groups && !((struct queue_strand *)k)->line)
				return 1;
	return 0;
}

/* What it took out must be on stable storage before the order is forgotten: STATEs are with the next
 * sync that begins after they were written. Where nothing else is written there is no second sync, but
 * then the spool is clean. */
static int kept(const struct queue *q, struct queue_rule *r)
{
	struct spool_numbers n;

	spool_log_numbers(q->relay->spool, &n);
	if (!r->syncs) {
		r->syncs = n.syncs + 1;
		r->drained = clock_mono();
		log_event(LOG_LEVEL_INFO, NULL, "queue-drained", "action=%s number=%lld recipients=%llu",
			  word(r->order.action), (long long)r->order.number, (unsigned long long)r->gone);
	}
	return n.syncs > r->syncs || (!n.dirty && clock_mono() - r->drained > SETTLED);
}

static int over(struct queue *q, struct queue_rule *r)
{
	if (r->order.of.by & QUEUE_BY_MESSAGE)
		return !queue_index_find(&q->index, r->order.of.message);
	if (!ends_mail(r->order.action) || !list_empty(&r->dying) || unsure(q, r))
		return 0;
	return r->gone == 0 || kept(q, r);
}

static void end(struct queue *q, struct queue_rule *r)
{
	struct queue_order_end *e = malloc(sizeof(*e));

	if (!e) /* next time */
		return;
	e->number = r->order.number;
	e->msg.run = q->end_run;
	if (q->end_inbox)
		evt_inbox_post(q->end_inbox, &e->msg.msg);
	else
		free(e);
	rule_free(q, r);
}

void queue_order_watch(struct queue *q)
{
	struct list_link *l = q->rules.head.next, *next;

	for (; l != &q->rules.head; l = next) {
		struct queue_rule *r = list_entry(l, struct queue_rule, link);
		next = l->next;
		if (over(q, r))
			end(q, r);
	}
}
