/* SPDX-License-Identifier: Apache-2.0 */
/* out_pool's connections: when one is made, kept, given up, and what shaping hears of it. */
#include "relay/out/out_pool_own.h"

#include "core/clock.h"
#include "core/err.h"
#include "relay/out/out_verdict.h"

#define LONG_WAIT (10 * CLOCK_SEC) /* what takes longer is not for want of a place */

static struct shape *shape_of(const struct out_dest *d)
{
	return d->pool->worker->relay->shape;
}

void out_pool_limits(const struct out_dest *d, struct shape_limits *out)
{
	const struct relay_conf *c = out_pool_conf(d->pool);
	int workers = d->pool->worker->relay->worker_count;
	int64_t share = c->outbound.connections / (workers > 0 ? workers : 1);

	if (d->lane) {
		shape_lane_limits(shape_of(d), d->lane, out);
		return;
	}
	*out = (struct shape_limits){.connections = share < 1 ? 1 : (unsigned)share,
				     .messages = (unsigned)c->outbound.messages,
				     .recipients = OUT_SESSION_RECIPIENTS,
				     .idle = c->outbound.idle};
}

unsigned out_pool_wanted(const struct out_dest *d)
{
	struct shape_limits limits;
	unsigned limit, n;

	if (d->waiting_count <= d->connecting ||
	    (d->conns && out_pool_now(d) < d->no_growth_until))
		return 0;
	out_pool_limits(d, &limits);
	limit = d->troubled ? 1 : limits.connections;
	if (d->conns >= limit)
		return 0;
	n = d->waiting_count - d->connecting;
	return n < limit - d->conns ? n : limit - d->conns;
}

void out_pool_forget(struct out_dest *d, struct out_conn *c)
{
	list_remove(&c->link);
	d->conns--;
	if (d->lane)
		shape_connection_give(shape_of(d), d->lane, c->established, out_pool_now(d));
	out_conn_free(c);
}

static void on_free(struct out_conn *c)
{
	struct out_dest *d = c->setup.owner;
	struct shape_limits limits;

	out_pool_limits(d, &limits);
	if (!c->known) {
		c->known = 1;
		d->connecting--;
		d->troubled = 0;
	}
	if (d->pool->stopping || c->session.leave || c->messages >= limits.messages ||
	    (c->only_domain[0] && c->messages) ||
	    (d->lane && d->conns > limits.connections)) {
		out_conn_idle(c, 0);
		return;
	}
	list_remove(&c->link);
	list_push_front(&d->idle, &c->link);
	out_conn_idle(c, limits.idle);
	if (!list_empty(&d->waiting))
		out_pool_kick_later(d);
}

static void on_gone(struct out_conn *c)
{
	struct out_dest *d = c->setup.owner;

	if (c->session.chunk_unknown)
		d->no_chunks_until = out_pool_now(d) + OUT_POOL_NO_CHUNKS;
	if (d->lane && c->session.broke)
		shape_lost(shape_of(d), d->lane, out_pool_now(d));
	out_pool_forget(d, c);
	if (!list_empty(&d->waiting))
		out_pool_kick_later(d);
}

/* Of what a server said shaping has heard already. */
static int without_a_word(const struct queue_result *v)
{
	return !v->code && (v->reason == QUEUE_CONNECT || v->reason == QUEUE_TLS ||
			    v->reason == QUEUE_LOST || v->reason == QUEUE_TIMEOUT);
}

static void on_failed(struct out_conn *c, const struct queue_result *v)
{
	struct out_dest *d = c->setup.owner;
	struct out_conn_peer peer = c->verdict_peer;
	struct queue_result why = *v;

	if (d->lane && without_a_word(&why))
		shape_lost(shape_of(d), d->lane, out_pool_now(d));
	d->connecting--;
	out_pool_forget(d, c);
	if (d->conns) {
		d->no_growth_until = out_pool_now(d) + OUT_POOL_NO_GROWTH;
		return;
	}
	d->troubled = 1;
	out_pool_refuse(d, &why, &peer);
}

/* No permit now. Those who wait have our own connections to wait for, or go back. */
static void held_back(struct out_dest *d, int64_t until)
{
	struct queue_result v = {0};
	int64_t now = out_pool_now(d);

	if (d->conns) {
		if (until > now + OUT_POOL_NO_GROWTH)
			until = now + OUT_POOL_NO_GROWTH;
		d->no_growth_until = until;
		return;
	}
	if (until - now > LONG_WAIT)
		out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_BACKOFF, "4.3.2", "destination rests");
	else
		out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_CONNECTIONS, "4.3.2",
				 "no connection is free");
	out_pool_refuse(d, &v, NULL);
}

static int open_one(struct out_dest *d)
{
	struct out_pool *p = d->pool;
	struct out_conn_setup s = {.relay = p->worker->relay,
				   .loop = p->worker->loop,
				   .tls = p->tls,
				   .conf = out_pool_conf(p),
				   .creds = p->worker->creds,
				   .lane = d->lane,
				   .source = d->lane ? shape_lane_source(d->lane) : NULL,
				   .route = &d->route,
				   .policy = d->policy,
				   .hosts = &d->hosts,
				   .seed = &p->seed,
				   .no_chunks = out_pool_now(d) < d->no_chunks_until,
				   .owner = d,
				   .free_to_use = on_free,
				   .failed = on_failed,
				   .gone = on_gone};
	struct queue_result v = {0};
	struct out_conn *c;
	int64_t until = 0;

	if (d->lane && shape_connection_take(shape_of(d), d->lane, out_pool_now(d), &until) < 0) {
		held_back(d, until);
		return 0;
	}
	c = out_conn_open(&s);
	if (c) {
		list_push_back(&d->rest, &c->link);
		d->conns++;
		d->connecting++;
		return 1;
	}
	if (d->lane)
		shape_connection_give(shape_of(d), d->lane, 0, out_pool_now(d));
	if (!d->conns) {
		out_verdict_local(&v, ERR_NOMEM);
		out_pool_refuse(d, &v, NULL);
	}
	return 0;
}

void out_pool_open(struct out_dest *d, unsigned n)
{
	while (n-- && open_one(d))
		;
}
