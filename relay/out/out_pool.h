/* SPDX-License-Identifier: Apache-2.0 */
/* out_pool - a worker's outgoing connections: which task gets which connection, when a new one is
 * made.
 *
 * Story:  a task is submitted with its route, its lane, and the site that its domain is believed to
 *         have. Tasks for the same site (or, without one, next hop), port, policy (out_policy's digest),
 *         lane and credential wait in one line, whatever their domains: idle connections are used first (the
 *         one used last before all others), and new ones are made up to the limit. Where a
 *         connection has just failed, only one is tried at a time; while others stand, their failing
 *         to grow in number is nobody's failure. When no connection is left and none can be made,
 *         everybody who waits is refused with the reason. Addresses are looked up when first needed
 *         and again when their time is over (out_hosts), by the domain of one who waits; what the
 *         lookup says of a domain (it does not exist, its site is another one) is told to the tasks
 *         of that domain only: refused with RETRY, and the new site in t->site, so that the queue
 *         can hand the job out anew.
 * Limits: with a lane: shape's, over all workers together: a permit for each connection, messages
 *         and rest of a connection as shape_lane_limits says. A permit that is refused while no
 *         connection of ours stands sends those who wait back to the queue: CONNECTIONS, or BACKOFF
 *         if it will take a while. Without a lane: this worker's share of outbound.connections, and
 *         outbound.messages, outbound.idle.
 * TLS:    as the task's policy says. Two domains of one site whose policies differ, or of which only one
 *         is proven by DNSSEC, never share a connection; nor is one lent to another domain whose peer was
 *         only proven to be this domain's (usage 2, RFC 7672 3.2.2).
 * Thread: the worker's. Callbacks of tasks come at the end of a turn, never within a call. */
#ifndef RELAY_OUT_OUT_POOL_H
#define RELAY_OUT_OUT_POOL_H

#include "relay/out/out_conn.h"

struct out_pool;

struct out_pool *out_pool_new(struct relay_worker *w, struct out_dns *dns, struct out_tls *tls);
/* Closes everything without a word; tasks hear nothing more. */
void out_pool_free(struct out_pool *p);

/* The task waits until granted or refused; its route, policy, lane and site are set. first: before the others
 * (after stale, or for the rest of a message). ERR_NOMEM. */
int out_pool_submit(struct out_pool *p, struct out_task *t, int first);

/* No more new work: those who wait are refused, idle connections say QUIT. */
void out_pool_stop(struct out_pool *p);
/* Breaks off what still runs. */
void out_pool_abort(struct out_pool *p);

#endif
