/* SPDX-License-Identifier: Apache-2.0 */
/* out_job_own - what the files of out_job know of each other; nobody else includes it.
 *
 * Story: out_job.c brings a job to where its recipients have outcomes; out_job_settle.c writes
 *        these down; out_job_site.c answers which site a domain belongs to. A job with more than OUT_SESSION_RECIPIENTS recipients does so in turns: base
 *        and n say whose turn it is. */
#ifndef RELAY_OUT_OUT_JOB_OWN_H
#define RELAY_OUT_OUT_JOB_OWN_H

#include "core/log.h"
#include "evt/evt_timer.h"
#include "relay/out/out_job.h"

struct out_job {
	struct out_task task;
	struct list_link link;
	struct out_jobs *jobs;
	struct queue_job *j;
	struct spool_reader *reader;
	int opening;
	void (*opened)(struct out_job *job); /* what the reader is for */
	int moved;			     /* reader does not stand at the first byte */
	struct out_conn *conn;
	unsigned base, n; /* recipients of this turn */
	unsigned most;	  /* in one turn */
	int permit;	  /* of shape, to send the message of this turn */
	int requiretls;	  /* the message wants it: enum out_route_requiretls */
	int relaxed;	  /* TLS-Required: no, and a policy of the receiver's would not let it go */
	struct out_policy_query *finding;
	int first;	  /* to wait before the others, once the policy is found */
	unsigned stale, writes;
	uint64_t dsn;
	int64_t began;
	struct out_hosts_lookup *lookup; /* RESOLVE */
	int reached; /* peer is set: of the host that decided, or tls policy alone (host "") */
	struct out_conn_peer peer;
	struct queue_result refusal; /* what no connection could be had for */
	struct evt_timer rewrite;
	struct out_verp *verp; /* tokens of its senders; NULL: not asked for */
};

static inline struct queue_result *out_job_turn(const struct out_job *job)
{
	return job->j->results + job->base;
}
static inline int64_t out_job_now(const struct out_job *job)
{
	return evt_loop_now(job->jobs->worker->loop);
}

void out_job_log(const struct out_job *job, enum log_level level, const char *event,
		 const char *what);
/* Log lines of this turn. */
void out_job_report(const struct out_job *job);
void out_job_release_conn(struct out_job *job);
static inline struct shape *out_job_shape(const struct out_job *job)
{
	return job->jobs->worker->relay->shape;
}
/* All who have had no turn yet get v. */
void out_job_fill_rest(struct out_job *job, const struct queue_result *v);
/* Everybody left waits: nothing is written here, the queue does that. */
void out_job_defer_rest(struct out_job *job, const struct queue_result *v);
/* Not tried: the queue hands it out again when that makes sense. */
void out_job_give_back(struct out_job *job, const struct queue_result *v);
/* Calls then once the envelope is at hand. */
void out_job_with_reader(struct out_job *job, void (*then)(struct out_job *job));
/* The message cannot be opened, or read. */
void out_job_unreadable(struct out_job *job, int err);

/* --- out_job_send.c */
extern const struct out_task_fns out_job_task_fns;
/* Asks the pool; first: before the others. */
void out_job_wait_for_connection(struct out_job *job, int first);
/* Forgets the policy, or the question for it. */
void out_job_drop_policy(struct out_job *job);
/* While the policy is asked for: gives up. */
void out_job_unfound(struct out_job *job);
/* Gives the job back to the queue. */
void out_job_finish(struct out_job *job);

/* From base on there are outcomes: reports and writes them, then goes on with the next turn or the
 * end. */
void out_job_settle(struct out_job *job);
/* RESOLVE: which site it is. */
void out_job_start_resolve(struct out_job *job);
/* Breaks the lookup off and answers: later. */
void out_job_stop_resolve(struct out_job *job);

/* Writes once more (a timer's function). */
void out_job_write_outcome(void *arg);

#endif
