/* SPDX-License-Identifier: Apache-2.0 */
/* out_worker - delivery on one worker: takes the queue's jobs, finds the way, sends, reports.
 *
 * Story:  out_worker_job (run by the worker's inbox) -> spool_reader opens the message -> out_route
 *         says where -> out_mx and out_dns find hosts -> out_pool lends a connection that stands,
 *         or opens one -> out_session speaks SMTP -> outcome: spool_message_state, then
 *         queue_job_done. A connection takes its next message only when the outcome of the last is
 *         written, so a crash doubles at most what is in flight. Permanent failures and expiry make
 *         a DSN (out_dsn) that is committed before the outcome is written.
 * Thread: the worker's. */
#ifndef RELAY_OUT_OUT_WORKER_H
#define RELAY_OUT_OUT_WORKER_H

#include "relay/queue/queue.h"
#include "relay/relay.h"

struct out_worker *out_worker_new(struct relay_worker *w);
/* Its resolver, for whoever has something to ask on this worker: until out_worker_free. */
struct out_dns *out_worker_dns(struct out_worker *o);
/* Handler of queue jobs; receiver is the struct relay_worker. */
void out_worker_job(struct relay_msg *m, void *receiver);
/* Begins to stop: idle connections say QUIT, running transactions may finish within grace. */
void out_worker_stop(struct out_worker *o, int64_t grace_usec, void (*done)(void *arg), void *arg);
void out_worker_free(struct out_worker *o);

#endif
