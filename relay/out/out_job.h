/* SPDX-License-Identifier: Apache-2.0 */
/* out_job - one job of the queue on its way through this worker, from start to queue_job_done.
 *
 * Story:  DELIVER: route, policy, wait for a connection, open the message, send to at most
 *         OUT_SESSION_RECIPIENTS recipients, settle; again until all have had their turn. EXPIRE:
 *         open, settle. OPEN: open, copy the envelope. RESOLVE: route, ask for the site (out_site);
 *         what keeps a domain from having one is the result: outcome BOUNCED (to be made true by a
 *         DELIVER job, which finds the same) or DEFERRED.
 *
 *         To settle: recipients that failed for good are reported to the sender (out_bounce), then
 *         final outcomes are written into the spool log, then the connection is given back. If the
 *         report cannot be written, the failure is not either: deferred. If the outcome cannot be
 *         written, it is tried OUT_JOB_WRITES times, a second apart; then the queue hears of it all
 *         the same, and a restart may repeat the delivery (event=outcome-unwritten).
 * Thread: the worker's.
 * Events: delivered, deferred, bounced, expired (out_report), dsn-queued, dsn-failed,
 *         delivery-doubt, tls-required-no, message-damaged, outcome-unwritten, expired-unreadable. */
#ifndef RELAY_OUT_OUT_JOB_H
#define RELAY_OUT_OUT_JOB_H

#include "relay/out/out_pool.h"

#define OUT_JOB_WRITES 5

struct out_job;

/* Where jobs live: embedded in out_worker. */
struct out_jobs {
	struct relay_worker *worker;
	struct out_pool *pool;
	struct out_dns *dns;
	struct list running;
	struct list spare; /* for reuse */
	unsigned count, spare_count;
	void (*empty)(struct out_jobs *jobs); /* the last one ended */
};

void out_jobs_init(struct out_jobs *jobs, struct relay_worker *w, struct out_pool *pool,
		   void (*empty)(struct out_jobs *jobs));
/* Answers what still runs as deferred, frees all. */
void out_jobs_clear(struct out_jobs *jobs);

void out_job_start(struct out_jobs *jobs, struct queue_job *j);
/* Gives back what waits for a policy: its lookups may take longer than a stop. */
void out_jobs_stop(struct out_jobs *jobs);
/* Ends waiting for keys; what writes goes on. */
void out_jobs_abort(struct out_jobs *jobs);

#endif
