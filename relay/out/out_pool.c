/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_pool_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "relay/out/out_verdict.h"

#define SWEEP  (30 * CLOCK_SEC)
#define FORGET (120 * CLOCK_SEC) /* an unused destination */

static const struct queue_result shutting_down = {
    .outcome = SPOOL_DEFERRED, .reason = QUEUE_LOCAL, .reply = "4.3.2 relay is shutting down"};

void out_pool_kick_later(struct out_dest *d)
{
	evt_loop_defer(d->pool->worker->loop, &d->kick);
}

/* --- waiting tasks */

static struct out_task *take_waiting(struct out_dest *d)
{
	struct list_link *k = list_pop_front(&d->waiting);

	if (!k)
		return NULL;
	d->waiting_count--;
	return list_entry(k, struct out_task, link);
}

/* The first who may use c. */
static struct out_task *take_waiting_for(struct out_dest *d, const struct out_conn *c)
{
	if (!c->only_domain[0])
		return take_waiting(d);
	list_each(t, &d->waiting, struct out_task, link) {
		if (strcmp(t->route.host, c->only_domain))
			continue;
		list_remove(&t->link);
		d->waiting_count--;
		return t;
	}
	return NULL;
}

static void put_waiting(struct out_dest *d, struct out_task *t, int first)
{
	if (first)
		list_push_front(&d->waiting, &t->link);
	else
		list_push_back(&d->waiting, &t->link);
	d->waiting_count++;
}

void out_pool_refuse(struct out_dest *d, const struct queue_result *v,
		     const struct out_conn_peer *peer)
{
	struct queue_result why = *v;
	struct out_task *t;
	unsigned n = d->waiting_count; /* those who come back at once wait for the next kick */

	while (n-- && (t = take_waiting(d)))
		t->fns->refused(t, &why, peer);
}

/* --- addresses */

/* The tasks of the domain that was asked for hear v (and of its new site); the next lookup is by the
 * domain of another one who waits. */
static void refuse_domain(struct out_dest *d, const struct queue_result *v,
			  const struct out_conn_peer *peer, const char *new_site)
{
	char host[sizeof(d->route.host)];
	unsigned n = d->waiting_count;
	struct out_task *t;

	memcpy(host, d->route.host, sizeof(host));
	while (n-- && (t = take_waiting(d))) {
		if (strcmp(t->route.host, host)) {
			put_waiting(d, t, 0);
			continue;
		}
		if (new_site)
			snprintf(t->site, QUEUE_SITE, "%s", new_site);
		t->fns->refused(t, v, peer);
	}
	if (!list_empty(&d->waiting)) {
		d->route = list_entry(list_first(&d->waiting), struct out_task, link)->route;
		out_pool_kick_later(d);
	}
}

static void take_hosts(struct out_dest *d, const struct out_hosts *h)
{
	for (unsigned i = 0; i < h->name_count; i++)
		if (h->tlsa[i].records)
			relay_count(d->pool->worker->relay, tlsa_malformed,
				    h->tlsa[i].records->malformed);
	out_hosts_take(&d->hosts, h);
	d->resolved = 1;
	d->resolved_until = out_pool_now(d) + d->hosts.ttl;
	out_pool_kick_later(d);
}

/* A domain whose answers change with every question would have its mail sent to and fro for ever: the
 * answer that sends it away counts once it is there. */
static void keep_other(struct out_dest *d, const struct out_hosts *h)
{
	struct out_pool *p = d->pool;

	out_hosts_take(&p->other.hosts, h);
	p->other.until = out_pool_now(d) + h->ttl;
	memcpy(p->other.host, d->route.host, sizeof(p->other.host));
}

static int take_other(struct out_dest *d)
{
	struct out_pool *p = d->pool;

	if (out_pool_now(d) >= p->other.until || strcmp(p->other.host, d->route.host) ||
	    strcmp(p->other.hosts.site, d->site))
		return 0;
	p->other.until = 0;
	take_hosts(d, &p->other.hosts);
	return 1;
}

/* The domain was proven a moment ago, and is not now: mail of others, which is, must not follow it. */
static int unproven(struct out_dest *d, const struct out_hosts *h)
{
	static const struct queue_result why = {
	    .outcome = SPOOL_DEFERRED,
	    .reason = QUEUE_DNS,
	    .reply = "4.4.3 MX records of the domain are not proven by DNSSEC any more"};

	if (!d->policy->mx_secure || h->mx_secure)
		return 0;
	out_policy_forget(d->pool->worker->policies, d->route.host);
	refuse_domain(d, &why, NULL, NULL);
	return 1;
}

static void on_hosts(void *arg, const struct out_hosts *h, const struct queue_result *failure)
{
	static const struct queue_result moved = {
	    .outcome = SPOOL_DEFERRED, .reason = QUEUE_RETRY, .reply = "4.4.0 the mail hosts have changed"};
	struct out_dest *d = arg;
	struct out_conn_peer peer;
	struct queue_result why;
	char site[QUEUE_SITE];

	d->lookup = NULL;
	if (!failure && d->site[0] && strcmp(d->site, h->site)) {
		memcpy(site, h->site, sizeof(site));
		keep_other(d, h);
		refuse_domain(d, &moved, NULL, site);
	} else if (!failure) {
		if (!unproven(d, h))
			take_hosts(d, h);
	} else if (d->conns) {
		d->no_growth_until = out_pool_now(d) + OUT_POOL_NO_GROWTH;
	} else {
		why = *failure;
		out_conn_peer_none(&peer, d->policy, h ? h->failure : TLSRPT_OK);
		refuse_domain(d, &why, &peer, NULL);
	}
}

/* Whether addresses are at hand; if not, sees to it. Targets must stay while a connection goes
 * through them. */
static int resolved(struct out_dest *d)
{
	struct out_hosts_lookup *k;

	if (d->lookup)
		return 0;
	if (d->resolved && (d->connecting || out_pool_now(d) < d->resolved_until))
		return 1;
	d->resolved = 0;
	if (!d->connecting) /* connections look at it while they are made */
		d->route = list_entry(list_first(&d->waiting), struct out_task, link)->route;
	if (d->site[0] && take_other(d))
		return 1;
	k = out_hosts_find(d->pool->worker->loop, d->pool->dns, out_pool_conf(d->pool), &d->route,
			   d->policy->dane && d->policy->mx_secure, on_hosts, d);
	if (k) /* else on_hosts was called within */
		d->lookup = k;
	return d->resolved;
}

/* Brings tasks and connections together. */
static void kick(void *arg)
{
	struct out_dest *d = arg;
	struct out_task *t;

	d->used = out_pool_now(d);
	if (d->pool->stopping) {
		out_pool_refuse(d, &shutting_down, NULL);
		return;
	}
	while (!list_empty(&d->idle) && !list_empty(&d->waiting)) {
		struct out_conn *c = list_entry(list_first(&d->idle), struct out_conn, link);
		list_remove(&c->link);
		t = take_waiting_for(d, c);
		if (!t) { /* proven to be another domain's alone */
			list_push_back(&d->rest, &c->link);
			out_conn_idle(c, 0);
			continue;
		}
		list_push_back(&d->rest, &c->link);
		if (out_conn_usable(c))
			out_conn_grant(c, t);
		else /* it just died; gone is on its way */
			put_waiting(d, t, 1);
	}
	if (!d->waiting_count || !out_pool_wanted(d) || !resolved(d))
		return;
	if (!d->connecting) /* connections are made for a domain that waits: some prove no other */
		d->route = list_entry(list_first(&d->waiting), struct out_task, link)->route;
	out_pool_open(d, out_pool_wanted(d));
}

/* --- destinations */

static struct out_dest **slot(struct out_pool *p, const char *key, const struct shape_lane *lane)
{
	uint32_t h = 2166136261u;
	struct out_dest **d;

	for (const char *k = key; *k; k++)
		h = (h ^ (uint8_t)*k) * 16777619u;
	d = &p->buckets[h % OUT_POOL_BUCKETS];
	while (*d && (strcmp((*d)->key, key) || (*d)->lane != lane))
		d = &(*d)->next;
	return d;
}

/* A site speaks for all its domains; what is not one is known by its next hop. */
static int by_site(const struct out_task *t)
{
	return t->route.mx && t->site && t->site[0];
}

static void make_key(char dst[OUT_POOL_KEY], const struct out_task *t)
{
	const struct out_route *r = &t->route;

	if (by_site(t))
		snprintf(dst, OUT_POOL_KEY, "site:%s:%u:%s:%s", t->site, r->port, t->policy->digest,
			 r->credential);
	else
		snprintf(dst, OUT_POOL_KEY, "%s:%s:%s", r->key, t->policy->digest, r->credential);
}

static struct out_dest *add_dest(struct out_pool *p, const char *key, const struct out_task *t)
{
	struct out_dest *d = calloc(1, sizeof(*d)), **at = slot(p, key, t->lane);

	if (!d)
		return NULL;
	d->pool = p;
	d->route = t->route;
	d->policy = out_policy_ref(t->policy);
	d->lane = t->lane ? shape_lane_ref(t->lane) : NULL;
	snprintf(d->key, sizeof(d->key), "%s", key);
	if (by_site(t))
		snprintf(d->site, sizeof(d->site), "%s", t->site);
	d->kick.fn = kick;
	d->kick.arg = d;
	list_init(&d->waiting);
	list_init(&d->idle);
	list_init(&d->rest);
	*at = d;
	list_push_back(&p->all, &d->all);
	return d;
}

static void free_dest(struct out_pool *p, struct out_dest *d)
{
	struct out_dest **at = slot(p, d->key, d->lane);

	*at = d->next;
	list_remove(&d->all);
	evt_loop_undefer(p->worker->loop, &d->kick);
	out_hosts_cancel(d->lookup);
	if (d->lane)
		shape_lane_unref(p->worker->relay->shape, d->lane);
	out_hosts_clear(&d->hosts);
	out_policy_unref(d->policy);
	free(d);
}

static void sweep(void *arg)
{
	struct out_pool *p = arg;
	struct list_link *k = p->all.head.next, *next;

	for (; k != &p->all.head; k = next) {
		struct out_dest *d = list_entry(k, struct out_dest, all);
		next = k->next;
		if (!d->conns && !d->lookup && list_empty(&d->waiting) &&
		    out_pool_now(d) - d->used > FORGET && out_pool_now(d) >= d->no_chunks_until)
			free_dest(p, d);
	}
	evt_timer_set(&p->sweep, SWEEP);
}

int out_pool_submit(struct out_pool *p, struct out_task *t, int first)
{
	char key[OUT_POOL_KEY];
	struct out_dest *d;

	make_key(key, t);
	d = *slot(p, key, t->lane);
	if (!d)
		d = add_dest(p, key, t);
	if (!d)
		return ERR_NOMEM;
	put_waiting(d, t, first);
	out_pool_kick_later(d);
	return 0;
}

/* --- life */

struct out_pool *out_pool_new(struct relay_worker *w, struct out_dns *dns, struct out_tls *tls)
{
	struct out_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->worker = w;
	p->dns = dns;
	p->tls = tls;
	p->seed = rand_u64();
	list_init(&p->all);
	evt_timer_init(&p->sweep, w->loop, sweep, p);
	evt_timer_set(&p->sweep, SWEEP);
	return p;
}

void out_pool_stop(struct out_pool *p)
{
	p->stopping = 1;
	list_each(d, &p->all, struct out_dest, all) {
		out_pool_refuse(d, &shutting_down, NULL);
		list_each(c, &d->idle, struct out_conn, link)
			out_conn_idle(c, 0);
		list_each(c, &d->rest, struct out_conn, link)
			if (!c->established)
				out_conn_abort(c);
	}
}

void out_pool_abort(struct out_pool *p)
{
	list_each(d, &p->all, struct out_dest, all)
		list_each(c, &d->rest, struct out_conn, link)
			out_conn_abort(c);
}

void out_pool_free(struct out_pool *p)
{
	if (!p)
		return;
	while (!list_empty(&p->all)) {
		struct out_dest *d = list_entry(list_first(&p->all), struct out_dest, all);
		while (!list_empty(&d->idle))
			out_pool_forget(d, list_entry(list_first(&d->idle), struct out_conn, link));
		while (!list_empty(&d->rest))
			out_pool_forget(d, list_entry(list_first(&d->rest), struct out_conn, link));
		free_dest(p, d);
	}
	evt_timer_clear(&p->sweep);
	out_hosts_clear(&p->other.hosts);
	free(p);
}
