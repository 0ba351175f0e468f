/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "relay/queue/queue_priv.h"

#define UNUSED_KEEP (60 * CLOCK_SEC)
#define UNUSED_MAX  10000

/* --- lines */

static struct queue_share *share_get(struct queue *q, struct queue_site *site,
				     struct queue_name *customer)
{
	const void *key[] = {site, customer};
	uint32_t hash = queue_table_hash(&q->shares, key, sizeof(key));
	struct queue_share *h;

	for (struct queue_node *k = queue_table_first(&q->shares, hash); k; k = k->chain) {
		h = (struct queue_share *)k;
		if (h->site == site && h->customer == customer)
			return h;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->site = site;
	h->customer = customer;
	list_init(&h->turn);
	queue_table_add(&q->shares, &h->node, hash);
	return h;
}

/* One line less: it may have been the last. */
static void share_drop(struct queue *q, struct queue_share *h)
{
	if (h->lines)
		return;
	queue_table_remove(&q->shares, &h->node);
	free(h);
}

static struct queue_line *line_get(struct queue *q, struct queue_site *site,
				   const struct queue_strand *s)
{
	const void *key[] = {site, s->customer, s->campaign};
	uint32_t hash = queue_table_hash(&q->lines, key, sizeof(key));
	struct queue_share *share;
	struct queue_line *l;

	for (struct queue_node *k = queue_table_first(&q->lines, hash); k; k = k->chain) {
		l = (struct queue_line *)k;
		if (l->site == site && l->customer == s->customer && l->campaign == s->campaign)
			return l;
	}
	share = share_get(q, site, s->customer);
	l = share ? calloc(1, sizeof(*l)) : NULL;
	if (!l) {
		if (share)
			share_drop(q, share);
		return NULL;
	}
	share->lines++;
	l->share = share;
	l->site = site;
	l->customer = s->customer;
	l->campaign = s->campaign;
	list_init(&l->turn);
	list_init(&l->strands);
	queue_key_site_used(q, site);
	list_push_back(&site->lines, &l->of_site);
	queue_table_add(&q->lines, &l->node, hash);
	return l;
}

static void line_drop(struct queue *q, struct queue_line *l)
{
	struct queue_site *site = l->site;

	if (!list_empty(&l->strands))
		return;
	list_remove(&l->of_site);
	queue_table_remove(&q->lines, &l->node);
	l->share->lines--;
	share_drop(q, l->share);
	free(l);
	queue_key_site_idle(q, site);
}

/* --- in and out of a line */

static void leave_turn(struct queue_strand *s)
{
	if (!s->groups || !list_linked(&s->in_turn)) /* unused: the link is for something else */
		return;
	list_remove(&s->in_turn);
	s->line->site->turns--;
	if (!list_empty(&s->line->turn))
		return;
	list_remove(&s->line->in_turn);
	if (list_empty(&s->line->share->turn))
		list_remove(&s->line->share->in_turn);
}

static int was_refused(const struct queue_site *site, const struct queue_domain *d)
{
	for (unsigned i = 0; i < QUEUE_REFUSED_MAX; i++)
		if (site->refused[i] == d)
			return 1;
	return 0;
}

void queue_strand_turn(struct queue *q, struct queue_strand *s)
{
	int some = !list_empty(&s->ready) || !list_empty(&s->slow);
	struct queue_line *l = s->line;

	if (!s->groups)
		return;
	if (!l && some && s->mx && !s->stopped)
		queue_domain_want(q, s->domain);
	if (!l || s->stopped || !some) {
		leave_turn(s);
		return;
	}
	if (!list_linked(&s->in_turn)) {
		list_push_back(&l->turn, &s->in_turn);
		l->site->turns++;
		if (!list_linked(&l->in_turn))
			list_push_back(&l->share->turn, &l->in_turn);
		if (!list_linked(&l->share->in_turn))
			list_push_back(&l->site->turn, &l->share->in_turn);
		if (l->site->rest && !was_refused(l->site, s->domain))
			queue_dispatch_rested(q, l->site);
	}
	queue_dispatch_wake(q, l->site);
}

void queue_strand_detach(struct queue *q, struct queue_strand *s)
{
	struct queue_line *l = s->line;

	if (!l)
		return;
	leave_turn(s);
	l->site->ready -= s->readies;
	list_remove(&s->of_line);
	s->line = NULL;
	line_drop(q, l);
}

static int attach(struct queue *q, struct queue_strand *s, struct queue_site *site)
{
	struct queue_line *l;

	if (s->line && s->line->site == site)
		return 0;
	l = line_get(q, site, s);
	if (!l)
		return ERR_NOMEM;
	queue_strand_detach(q, s);
	s->line = l;
	list_push_back(&l->strands, &s->of_line);
	site->ready += s->readies;
	queue_order_strand(q, s);
	queue_strand_turn(q, s);
	return 0;
}

/* Where the configuration sends it, as far as that is known. */
static const char *by_itself(const struct queue_strand *s, const struct relay_route *r)
{
	if (r && strcmp(r->to, "mx"))
		return r->to;
	return s->domain->site ? s->domain->site->text : NULL;
}

static const char *next_hop(struct queue *q, struct queue_strand *s, const struct relay_route *r)
{
	const char *way = s->via ? NULL : queue_order_way(q, s, by_itself(s, r));
	struct queue_name *to = way ? queue_key_name(q, way) : NULL;

	queue_key_name_unref(q, s->to);
	s->to = to;
	return s->via ? s->via->text : s->to ? s->to->text : r ? r->to : "mx";
}

int queue_strand_place(struct queue *q, struct queue_strand *s)
{
	const struct relay_route *r =
	    relay_conf_route(q->conf, s->customer->text, span_str(s->domain->name));
	const char *hop, *name;
	struct queue_site *site;

	if (s->dying)
		return 0;
	name = hop = next_hop(q, s, r);

	s->mx = !strcmp(hop, "mx");
	if (s->mx)
		name = s->domain->site ? s->domain->site->text : NULL;
	if (!name) {
		queue_strand_detach(q, s);
		queue_order_strand(q, s);
		queue_strand_turn(q, s);
		return 0;
	}
	site = queue_key_site(q, name, r && r->pool ? r->pool : "",
			      r && r->credential ? r->credential : "",
			      r ? r->tls : RELAY_TLS_OPPORTUNISTIC);
	return site ? attach(q, s, site) : ERR_NOMEM;
}

void queue_strand_place_all(struct queue *q)
{
	for (uint32_t i = 0; i < q->strands.room; i++)
		for (struct queue_node *n = q->strands.buckets[i]; n; n = n->chain)
			queue_strand_place(q, (struct queue_strand *)n);
}

/* --- life */

void queue_strand_free(struct queue *q, struct queue_strand *s)
{
	queue_strand_detach(q, s);
	queue_sched_remove(&q->waiting, &s->timer);
	queue_sched_clear(&s->waits);
	if (s->dying)
		list_remove(&s->of_line);
	else
		queue_table_remove(&q->strands, &s->node);
	if (list_linked(&s->of_domain)) {
		list_remove(&s->of_domain);
		queue_key_domain_lone(q, s->domain);
	}
	queue_key_name_unref(q, s->customer);
	queue_key_name_unref(q, s->campaign);
	queue_key_name_unref(q, s->via);
	queue_key_name_unref(q, s->to);
	q->strand_count--;
	free(s);
}

static void domain_used(struct queue *q, struct queue_domain *d)
{
	if (!d->lone_since)
		return;
	list_remove(&d->link);
	d->lone_since = 0;
	q->lone_count--;
}

struct key {
	struct queue_name *customer, *campaign, *via;
	struct queue_domain *domain;
};

static struct queue_strand *find(struct queue *q, const struct key *k, uint32_t hash)
{
	for (struct queue_node *n = queue_table_first(&q->strands, hash); n; n = n->chain) {
		struct queue_strand *s = (struct queue_strand *)n;
		if (s->customer == k->customer && s->campaign == k->campaign &&
		    s->domain == k->domain && s->via == k->via)
			return s;
	}
	return NULL;
}

/* Takes the names of k over. */
static struct queue_strand *strand_new(struct queue *q, const struct key *k)
{
	struct queue_strand *s;

	/* for the worst case: a group that waits has a place for its strand */
	if (queue_sched_reserve(&q->waiting, q->strand_count + 1) < 0)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	q->strand_count++;
	s->customer = k->customer;
	s->campaign = k->campaign;
	s->via = k->via;
	s->domain = k->domain;
	s->timer = QUEUE_SCHED_OUT;
	list_init(&s->ready);
	list_init(&s->slow);
	list_init(&s->held);
	domain_used(q, s->domain);
	list_push_back(&s->domain->strands, &s->of_domain);
	s->unused_since = q->now;
	list_push_back(&q->unused, &s->in_turn);
	q->unused_count++;
	return s;
}

static struct queue_strand *make(struct queue *q, const struct key *k, uint32_t hash)
{
	struct queue_strand *s = strand_new(q, k);

	if (!s)
		return NULL;
	queue_table_add(&q->strands, &s->node, hash);
	if (queue_strand_place(q, s) == 0)
		return s;
	list_remove(&s->in_turn);
	q->unused_count--;
	s->customer = s->campaign = s->via = NULL;
	queue_strand_free(q, s);
	return NULL;
}

struct queue_strand *queue_strand_get(struct queue *q, const char *customer, const char *campaign,
				      const char *domain, const char *via)
{
	struct key k = {.domain = queue_key_domain(q, domain)};
	struct queue_strand *s = NULL;
	int made = 0;

	k.customer = k.domain ? queue_key_name(q, customer) : NULL;
	k.campaign = k.customer ? queue_key_name(q, campaign) : NULL;
	k.via = k.campaign && via && *via ? queue_key_name(q, via) : NULL;
	if (k.campaign && (!via || !*via || k.via)) {
		const void *key[] = {k.customer, k.campaign, k.domain, k.via};
		uint32_t hash = queue_table_hash(&q->strands, key, sizeof(key));
		s = find(q, &k, hash);
		made = !s;
		if (!s)
			s = make(q, &k, hash);
	}
	if (!s || !made) {
		queue_key_name_unref(q, k.customer);
		queue_key_name_unref(q, k.campaign);
		queue_key_name_unref(q, k.via);
	}
	return s;
}

struct queue_strand *queue_strand_like(struct queue *q, const struct queue_strand *like)
{
	struct key k = {like->customer, like->campaign, NULL, like->domain};
	struct queue_strand *s = strand_new(q, &k);

	if (s) {
		k.customer->refs++;
		k.campaign->refs++;
	}
	return s;
}

void queue_strand_unused(struct queue *q, struct queue_strand *s)
{
	queue_sched_clear(&s->waits);
	queue_strand_clock(q, s);
	s->unused_since = q->now;
	s->rush = 0;
	if (s->dying) { /* it goes at the end of this turn */
		s->unused_since = q->now - UNUSED_KEEP;
		list_push_front(&q->unused, &s->in_turn);
	} else {
		list_push_back(&q->unused, &s->in_turn);
	}
	q->unused_count++;
}

void queue_strand_clear(struct queue *q)
{
	struct list_link *l;

	while ((l = list_pop_front(&q->unused)))
		queue_strand_free(q, list_entry(l, struct queue_strand, in_turn));
	q->unused_count = 0;
}

void queue_strand_prune(struct queue *q)
{
	struct list_link *l;

	while ((l = list_first(&q->unused))) {
		struct queue_strand *s = list_entry(l, struct queue_strand, in_turn);
		if (q->unused_count <= UNUSED_MAX && q->now - s->unused_since < UNUSED_KEEP)
			return;
		list_remove(l);
		q->unused_count--;
		queue_strand_free(q, s);
	}
}

/* --- its clock */

void queue_strand_clock(struct queue *q, struct queue_strand *s)
{
	int64_t when = s->rush ? q->now : queue_sched_when(&s->waits);

	if (s->timer != QUEUE_SCHED_OUT && q->waiting.entries[s->timer].due == when)
		return;
	queue_sched_remove(&q->waiting, &s->timer);
	if (s->waits.count)
		queue_sched_add(&q->waiting, when, &s->timer);
}
