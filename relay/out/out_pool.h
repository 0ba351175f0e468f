/* SPDX-License-Identifier: Apache-2.0 */
/* out_pool - a worker's outgoing connections: which task gets which connection, when a new one is
 * made.
 *
 * Story:  a task is submitted with its route. The route's key names the destination: its tasks wait
 *         in line, its idle connections are used first (the one used last before all others), and
 *         new ones are made up to this worker's share of outbound.connections. Where a connection
 *         has just failed, only one is tried at a time; while others stand, their failing to grow
 *         in number is nobody's failure. When no connection is left and none can be made, everybody
 *         who waits is refused with the reason. A connection ends after outbound.messages messages
 *         or outbound.idle of rest. Addresses are looked up when first needed and again when their
 *         time is over (out_hosts).
 * Thread: the worker's. Callbacks of tasks come at the end of a turn, never within a call. */
#ifndef RELAY_OUT_OUT_POOL_H
#define RELAY_OUT_OUT_POOL_H

#include "relay/out/out_conn.h"

struct out_pool;

struct out_pool *out_pool_new(struct relay_worker *w, struct out_dns *dns, struct out_tls *tls);
/* Closes everything without a word; tasks hear nothing more. */
void out_pool_free(struct out_pool *p);

/* The task waits until granted or refused. first: before the others (after stale, or for the rest
 * of a message). ERR_NOMEM. */
int out_pool_submit(struct out_pool *p, struct out_task *t, const struct out_route *route,
		    int first);

/* No more new work: those who wait are refused, idle connections say QUIT. */
void out_pool_stop(struct out_pool *p);
/* Breaks off what still runs. */
void out_pool_abort(struct out_pool *p);

#endif
