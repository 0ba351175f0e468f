/* SPDX-License-Identifier: Apache-2.0 */
/* out_pool_own - what the files of out_pool know of each other; nobody else includes it.
 *
 * Story: out_pool.c has the lines of those who wait, and the addresses; out_pool_conn.c the connections and their
 *        permits. */
#ifndef RELAY_OUT_OUT_POOL_OWN_H
#define RELAY_OUT_OUT_POOL_OWN_H

#include "core/rand.h"
#include "evt/evt_timer.h"
#include "relay/out/out_pool.h"

#define OUT_POOL_BUCKETS   1024
#define OUT_POOL_NO_GROWTH (10 * CLOCK_SEC) /* after a connection beside others failed */
#define OUT_POOL_NO_CHUNKS (6 * 3600 * CLOCK_SEC)
#define OUT_POOL_KEY	   848

/* One line of tasks, and the connections that serve it. */
struct out_dest {
	struct out_dest *next; /* in its bucket */
	struct list_link all;
	struct out_pool *pool;
	char key[OUT_POOL_KEY];
	char site[QUEUE_SITE];	 /* that the tasks believe in; "": one domain, or a named next hop */
	struct shape_lane *lane; /* a count of it; NULL: none */
	struct out_route route;	 /* of the domain that addresses are asked by */
	struct out_policy *policy; /* a count of it; the same in all that matters for all who wait */
	struct evt_defer kick;
	struct list waiting; /* struct out_task */
	unsigned waiting_count;
	struct list idle; /* struct out_conn, last used first */
	struct list rest; /* the others */
	unsigned conns, connecting;
	int troubled; /* the last new connection failed */
	int64_t no_growth_until;
	int64_t no_chunks_until; /* it offered CHUNKING, and did not know it */
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
	struct out_dest *buckets[OUT_POOL_BUCKETS];
	struct list all;
	struct evt_timer sweep;
	uint64_t seed;
	int stopping;
	struct { /* the last answer that was of another site than believed: its tasks come back for it */
		char host[256];
		struct out_hosts hosts;
		int64_t until; /* 0: none */
	} other;
};

static inline int64_t out_pool_now(const struct out_dest *d)
{
	return evt_loop_now(d->pool->worker->loop);
}
static inline const struct relay_conf *out_pool_conf(const struct out_pool *p)
{
	return atomic_load(&p->worker->relay->conf); /* what it points to stays: relay.h */
}

void out_pool_kick_later(struct out_dest *d);
/* All who wait get v; peer: the host it was heard from, or NULL. */
void out_pool_refuse(struct out_dest *d, const struct queue_result *v,
		     const struct out_conn_peer *peer);

/* --- out_pool_conn.c */
/* Limits of now. */
void out_pool_limits(const struct out_dest *d, struct shape_limits *out);
/* How many new connections are worth having. */
unsigned out_pool_wanted(const struct out_dest *d);
/* Makes so many, or as many as it may. */
void out_pool_open(struct out_dest *d, unsigned n);
void out_pool_forget(struct out_dest *d, struct out_conn *c);

#endif
