/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_pool.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/rand.h"
#include "evt/evt_timer.h"
#include "relay/out/out_verdict.h"

#define BUCKETS	  1024
#define SWEEP	  (30 * CLOCK_SEC)
#define FORGET	  (120 * CLOCK_SEC) /* an unused destination */
#define NO_GROWTH (10 * CLOCK_SEC)  /* after a connection beside others failed */

static const struct queue_result shutting_down = {
    .outcome = SPOOL_DEFERRED, .reason = QUEUE_LOCAL, .reply = "4.3.2 relay is shutting down"};

/* One next hop. */
struct out_dest {
	struct out_dest *next; /* in its bucket */
	struct list_link all;
	struct out_pool *pool;
	struct out_route route;
	struct evt_defer kick;
	struct list waiting; /* struct out_task */
	unsigned waiting_count;
	struct list idle; /* struct out_conn, last used first */
	struct list rest; /* the others */
	unsigned conns, connecting;
	int troubled; /* the last new connection failed */
	int64_t no_growth_until;
	int64_t used;
	struct out_hosts_lookup *lookup;
	int resolved;
	int64_t resolved_until;
	struct out_hosts hosts;
};

struct out_pool {
	struct relay_worker *worker;
	struct out_dns *dns;
	struct out_tls *tls;
	struct out_dest *buckets[BUCKETS];
	struct list all;
	struct evt_timer sweep;
	uint64_t seed;
	int stopping;
};

static void kick_later(struct out_dest *d)
{
	evt_loop_defer(d->pool->worker->loop, &d->kick);
}

static int64_t now(const struct out_dest *d)
{
	return evt_loop_now(d->pool->worker->loop);
}

static const struct relay_conf *conf(const struct out_pool *p)
{
	return atomic_load(&p->worker->relay->conf); /* what it points to stays: relay.h */
}

static unsigned share(const struct out_pool *p)
{
	int64_t n = conf(p)->outbound.connections /
		    (p->worker->relay->worker_count > 0 ? p->worker->relay->worker_count : 1);

	return n < 1 ? 1 : (unsigned)n;
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

static void refuse_all(struct out_dest *d, const struct queue_result *v)
{
	struct queue_result why = *v;
	struct out_task *t;
	unsigned n = d->waiting_count; /* those who come back at once wait for the next kick */

	while (n-- && (t = take_waiting(d)))
		t->fns->refused(t, &why);
}

/* --- connections */

static void forget_conn(struct out_dest *d, struct out_conn *c)
{
	list_remove(&c->link);
	d->conns--;
	out_conn_free(c);
}

static void on_free(struct out_conn *c)
{
	struct out_dest *d = c->setup.owner;
	struct out_pool *p = d->pool;

	if (!c->known) {
		c->known = 1;
		d->connecting--;
		d->troubled = 0;
	}
	if (p->stopping || c->messages >= (uint64_t)conf(p)->outbound.messages) {
		out_conn_idle(c, 0);
		return;
	}
	list_remove(&c->link);
	list_push_front(&d->idle, &c->link);
	out_conn_idle(c, conf(p)->outbound.idle);
	if (!list_empty(&d->waiting))
		kick_later(d);
}

static void on_gone(struct out_conn *c)
{
	struct out_dest *d = c->setup.owner;

	forget_conn(d, c);
	if (!list_empty(&d->waiting))
		kick_later(d);
}

static void on_failed(struct out_conn *c, const struct queue_result *v)
{
	struct out_dest *d = c->setup.owner;
	struct queue_result why = *v;

	d->connecting--;
	forget_conn(d, c);
	if (d->conns) {
		d->no_growth_until = now(d) + NO_GROWTH;
		return;
	}
	d->troubled = 1;
	refuse_all(d, &why);
}

static void open_conn(struct out_dest *d)
{
	struct out_pool *p = d->pool;
	struct out_conn_setup s = {.relay = p->worker->relay,
				   .loop = p->worker->loop,
				   .tls = p->tls,
				   .conf = conf(p),
				   .route = &d->route,
				   .hosts = &d->hosts,
				   .seed = &p->seed,
				   .owner = d,
				   .free_to_use = on_free,
				   .failed = on_failed,
				   .gone = on_gone};
	struct out_conn *c = out_conn_open(&s);
	struct queue_result v = {0};

	if (c) {
		list_push_back(&d->rest, &c->link);
		d->conns++;
		d->connecting++;
	} else if (!d->conns) {
		out_verdict_local(&v, ERR_NOMEM);
		refuse_all(d, &v);
	}
}

static void on_hosts(void *arg, const struct out_hosts *h, const struct queue_result *failure)
{
	struct out_dest *d = arg;
	struct out_hosts *fresh = failure ? NULL : malloc(sizeof(*fresh));

	d->lookup = NULL;
	if (failure) {
		if (d->conns == 0)
			refuse_all(d, failure);
		else
			d->no_growth_until = now(d) + NO_GROWTH;
		return;
	}
	if (fresh) { /* without memory: only what was learned of the addresses is lost */
		*fresh = *h;
		out_hosts_inherit(fresh, &d->hosts);
	}
	d->hosts = fresh ? *fresh : *h;
	free(fresh);
	d->resolved = 1;
	d->resolved_until = now(d) + d->hosts.ttl;
	kick_later(d);
}

/* Whether addresses are at hand; if not, sees to it. Targets must stay while a connection goes
 * through them. */
static int resolved(struct out_dest *d)
{
	struct out_hosts_lookup *k;

	if (d->lookup)
		return 0;
	if (d->resolved && (d->connecting || now(d) < d->resolved_until))
		return 1;
	d->resolved = 0;
	k = out_hosts_find(d->pool->worker->loop, d->pool->dns, conf(d->pool), &d->route, on_hosts,
			   d);
	if (k) /* else on_hosts was called within */
		d->lookup = k;
	return d->resolved;
}

static unsigned wanted(const struct out_dest *d)
{
	unsigned limit = share(d->pool), n;

	if (d->conns && now(d) < d->no_growth_until)
		return 0;
	if (d->troubled)
		limit = 1;
	if (d->conns >= limit || d->waiting_count <= d->connecting)
		return 0;
	n = d->waiting_count - d->connecting;
	return n < limit - d->conns ? n : limit - d->conns;
}

/* Brings tasks and connections together. */
static void kick(void *arg)
{
	struct out_dest *d = arg;
	struct out_task *t;

	d->used = now(d);
	if (d->pool->stopping) {
		refuse_all(d, &shutting_down);
		return;
	}
	while (!list_empty(&d->idle) && (t = take_waiting(d))) {
		struct out_conn *c = list_entry(list_first(&d->idle), struct out_conn, link);
		list_remove(&c->link);
		list_push_back(&d->rest, &c->link);
		if (out_conn_usable(c)) {
			out_conn_grant(c, t);
			continue;
		}
		list_push_front(&d->waiting, &t->link); /* it just died; gone is on its way */
		d->waiting_count++;
	}
	if (d->waiting_count && wanted(d) && resolved(d))
		for (unsigned n = wanted(d); n; n--)
			open_conn(d);
}

/* --- destinations */

static struct out_dest **slot(struct out_pool *p, const char *key)
{
	uint32_t h = 2166136261u;
	struct out_dest **d;

	for (const char *k = key; *k; k++)
		h = (h ^ (uint8_t)*k) * 16777619u;
	d = &p->buckets[h % BUCKETS];
	while (*d && strcmp((*d)->route.key, key))
		d = &(*d)->next;
	return d;
}

static struct out_dest *add_dest(struct out_pool *p, const struct out_route *route)
{
	struct out_dest *d = calloc(1, sizeof(*d)), **at = slot(p, route->key);

	if (!d)
		return NULL;
	d->pool = p;
	d->route = *route;
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
	struct out_dest **at = slot(p, d->route.key);

	*at = d->next;
	list_remove(&d->all);
	evt_loop_undefer(p->worker->loop, &d->kick);
	out_hosts_cancel(d->lookup);
	free(d);
}

static void sweep(void *arg)
{
	struct out_pool *p = arg;
	struct list_link *k = p->all.head.next, *next;

	for (; k != &p->all.head; k = next) {
		struct out_dest *d = list_entry(k, struct out_dest, all);
		next = k->next;
		if (!d->conns && !d->lookup && list_empty(&d->waiting) && now(d) - d->used > FORGET)
			free_dest(p, d);
	}
	evt_timer_set(&p->sweep, SWEEP);
}

int out_pool_submit(struct out_pool *p, struct out_task *t, const struct out_route *route,
		    int first)
{
	struct out_dest *d = *slot(p, route->key);

	if (!d)
		d = add_dest(p, route);
	if (!d)
		return ERR_NOMEM;
	if (first)
		list_push_front(&d->waiting, &t->link);
	else
		list_push_back(&d->waiting, &t->link);
	d->waiting_count++;
	kick_later(d);
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
		refuse_all(d, &shutting_down);
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
			forget_conn(d, list_entry(list_first(&d->idle), struct out_conn, link));
		while (!list_empty(&d->rest))
			forget_conn(d, list_entry(list_first(&d->rest), struct out_conn, link));
		free_dest(p, d);
	}
	evt_timer_clear(&p->sweep);
	free(p);
}
