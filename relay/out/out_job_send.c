/* SPDX-License-Identifier: Apache-2.0 */
/* out_job's deliveries: a connection, a permit, the message, and what came of it. */
#include "relay/out/out_job_own.h"

#include <string.h>

#include "core/err.h"
#include "relay/out/out_verdict.h"
#include "relay/out/out_verp.h"

#define STALE_MAX 5

static struct out_job *of_task(struct out_task *t)
{
	return (struct out_job *)((char *)t - offsetof(struct out_job, task));
}

static void refused(struct out_task *t, const struct queue_result *v, const struct out_conn_peer *peer);

static int untried(const struct queue_result *v)
{
	return v->outcome == SPOOL_DEFERRED && !v->code &&
	       (v->reason == QUEUE_RETRY || v->reason == QUEUE_RATE ||
		v->reason == QUEUE_CONNECTIONS || v->reason == QUEUE_WARMUP ||
		v->reason == QUEUE_BACKOFF || v->reason == QUEUE_SUSPENDED);
}

/* The highest of what route, shaping rule and credential demand. */
static void raise_tls(struct out_job *job)
{
	struct out_route *r = &job->task.route;
	struct shape_limits limits = {.tls = RELAY_TLS_NONE};

	if (job->task.lane)
		shape_lane_limits(out_job_shape(job), job->task.lane, &limits);
	if (r->tls < limits.tls)
		r->tls = limits.tls;
	if (r->credential[0] && r->tls < RELAY_TLS_ENCRYPT)
		r->tls = RELAY_TLS_ENCRYPT;
}

void out_job_drop_policy(struct out_job *job)
{
	out_policy_cancel(job->finding);
	job->finding = NULL;
	out_policy_unref(job->task.policy);
	job->task.policy = NULL;
}

static void on_policy(void *arg, struct out_policy *p, const struct queue_result *failure,
		      enum tlsrpt_result result)
{
	struct out_job *job = arg;
	struct out_conn_peer peer;
	struct queue_result v = {0};

	job->finding = NULL;
	job->task.policy = p;
	if (failure) {
		v = *failure;
		out_conn_peer_none(&peer, NULL, result);
		refused(&job->task, &v, &peer);
	} else if (out_pool_submit(job->jobs->pool, &job->task, job->first) < 0) {
		out_verdict_local(&v, ERR_NOMEM);
		refused(&job->task, &v, NULL);
	}
}

void out_job_unfound(struct out_job *job)
{
	struct queue_result v = {0};

	out_job_drop_policy(job);
	out_verdict_local(&v, ERR_AWAY);
	v.reason = QUEUE_LOCAL;
	refused(&job->task, &v, NULL);
}

void out_job_wait_for_connection(struct out_job *job, int first)
{
	struct relay_worker *w = job->jobs->worker;
	const struct relay_conf *conf = atomic_load(&w->relay->conf);
	struct out_task *t = &job->task;
	struct out_policy_query *q;
	struct queue_result v = {0};

	out_job_drop_policy(job);
	if (out_route_find(conf, job->j->customer, job->j->destination, job->j->via, &t->route) <
	    0) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_DNS, "5.1.2", "no such kind of domain");
		refused(t, &v, NULL);
		return;
	}
	raise_tls(job);
	t->route.requiretls = job->requiretls;
	t->route.relaxed = job->relaxed;
	job->first = first;
	log_debug("out", NULL, "out-route", "destination=%s key=%s", job->j->destination,
		  t->route.key);
	q = out_policy_find(w->policies, conf, &t->route, on_policy, job);
	if (q) /* else on_policy was called within, and the job may be gone */
		job->finding = q;
}

/* Asks shaping. 0: it is not to go now, and the job is given back. */
static int permitted(struct out_job *job)
{
	struct shape_limits limits = {.recipients = OUT_SESSION_RECIPIENTS};
	struct shape_wait wait = {0, QUEUE_RATE};
	struct queue_result v = {0};

	if (job->task.lane) {
		if (shape_message_take(out_job_shape(job), job->task.lane, out_job_now(job), &wait) <
		    0) {
			out_verdict_ours(&v, SPOOL_DEFERRED, wait.reason, "4.3.2", "not now");
			out_job_give_back(job, &v);
			return 0;
		}
		job->permit = 1;
		shape_lane_limits(out_job_shape(job), job->task.lane, &limits);
	}
	job->most = limits.recipients < 1			   ? 1
		    : limits.recipients > OUT_SESSION_RECIPIENTS ? OUT_SESSION_RECIPIENTS
								   : limits.recipients;
	return 1;
}

static void give_permit_back(struct out_job *job)
{
	if (job->permit)
		shape_message_give(out_job_shape(job), job->task.lane);
	job->permit = 0;
}

/* 1: the message wants a verified server, which offers REQUIRETLS unless the message is a report or has
 * only sensitive content, and this connection is not with one. */
static int wants_verified(struct out_job *job)
{
	int flags = spool_reader_envelope(job->reader)->flags;

	if (job->requiretls || !(flags & (SPOOL_REQUIRETLS | SPOOL_VERIFIED)))
		return 0;
	job->requiretls = !(flags & SPOOL_REQUIRETLS) ? OUT_ROUTE_SENSITIVE
			  : flags & SPOOL_REPORT      ? OUT_ROUTE_VERIFIED
						      : OUT_ROUTE_OFFERED;
	return !job->conn->vouched || (job->requiretls == OUT_ROUTE_OFFERED &&
				       !(job->conn->session.caps & OUT_CAP_REQUIRETLS));
}

static void send_turn(struct out_job *job)
{
	struct out_session_mail m;
	int err = 0, verp;

	if (!job->conn) { /* it went away while the message was opened */
		out_job_wait_for_connection(job, 1);
		return;
	}
	if (wants_verified(job)) {
		out_job_release_conn(job);
		out_job_wait_for_connection(job, 1);
		return;
	}
	verp = out_verp_due(job);
	if (verp && !out_verp_ready(job, send_turn))
		return;
	if (!permitted(job))
		return;
	if (verp)
		job->most = 1;
	if (job->moved)
		err = spool_reader_rewind(job->reader);
	if (err < 0) {
		give_permit_back(job);
		out_job_unreadable(job, err);
		return;
	}
	job->moved = 1;
	job->n = job->j->count - job->base;
	if (job->n > job->most)
		job->n = job->most;
	m = (struct out_session_mail){.envelope = spool_reader_envelope(job->reader),
				      .sender = verp ? out_verp_sender(job) : NULL,
				      .size = spool_reader_size(job->reader),
				      .results = out_job_turn(job),
				      .count = job->n};
	out_conn_send(job->conn, &m, job->reader);
}

static void granted(struct out_task *t, struct out_conn *c)
{
	struct out_job *job = of_task(t);

	job->conn = c;
	out_job_with_reader(job, send_turn);
}

/* The receiver's policy, or the lookup of it, stands in the way. */
static int policy_forbids(const struct out_job *job, const struct queue_result *v)
{
	const struct out_policy *p = job->task.policy;

	return v->outcome == SPOOL_DEFERRED && !v->code && p && (p->dane || p->sts) &&
	       (v->reason == QUEUE_TLS || v->reason == QUEUE_DNS);
}

static void end_refused(struct out_job *job)
{
	struct queue_result v = job->refusal;

	if (v.outcome == SPOOL_DEFERRED) {
		out_job_defer_rest(job, &v);
		return;
	}
	out_job_fill_rest(job, &v);
	out_job_with_reader(job, out_job_settle);
}

/* The envelope says whether the sender would rather have it go than be safe (RFC 8689 4.2.2). */
static void try_relaxed(struct out_job *job)
{
	int flags = spool_reader_envelope(job->reader)->flags;

	if ((flags & SPOOL_TLS_OPTIONAL) && !(flags & (SPOOL_REQUIRETLS | SPOOL_VERIFIED))) {
		job->relaxed = 1;
		out_job_log(job, LOG_LEVEL_INFO, "tls-required-no",
			    "the sender asked to pass over the receiver's TLS policy");
		out_job_wait_for_connection(job, 1);
		return;
	}
	end_refused(job);
}

static void refused(struct out_task *t, const struct queue_result *v, const struct out_conn_peer *peer)
{
	struct out_job *job = of_task(t);

	job->refusal = *v;
	job->reached = peer != NULL;
	if (peer)
		job->peer = *peer;
	if (untried(v)) {
		out_job_give_back(job, v);
		return;
	}
	if (job->requiretls && v->reason == QUEUE_TLS && v->code / 100 != 4) /* RFC 8689 4.2.1 */
		out_verdict_ours(&job->refusal, SPOOL_BOUNCED, QUEUE_POLICY, "5.7.30",
				 job->requiretls == OUT_ROUTE_SENSITIVE
				     ? OUT_SESSION_SENSITIVE
				     : "message needs REQUIRETLS, and no server could be verified");
	if (!job->relaxed && !job->requiretls && policy_forbids(job, v))
		out_job_with_reader(job, try_relaxed);
	else
		end_refused(job);
}

/* What shaping is told of the transaction; of refusals it has heard as they came. */
static void tell_shape(struct out_job *job, int spoke)
{
	if (!job->permit)
		return;
	if (!spoke) {
		give_permit_back(job);
		return;
	}
	job->permit = 0;
	for (unsigned i = 0; i < job->n; i++)
		if (out_job_turn(job)[i].outcome == SPOOL_DELIVERED) {
			shape_good(out_job_shape(job), job->task.lane, out_job_now(job));
			return;
		}
}

static void doubt(struct out_job *job, const struct out_conn *c)
{
	if (c->session.doubt)
		out_job_log(job, LOG_LEVEL_WARN, "delivery-doubt",
			    "connection lost after the end of the message: it may arrive twice");
}

static void ended(struct out_task *t, struct out_conn *c)
{
	struct out_job *job = of_task(t);

	tell_shape(job, c->session.spoke);
	job->peer = c->peer;
	job->reached = 1;
	doubt(job, c);
	out_job_settle(job);
}

static void stale(struct out_task *t)
{
	static const struct queue_result lost = {.outcome = SPOOL_DEFERRED,
						 .reason = QUEUE_LOST,
						 .reply = "4.4.2 connections close unused"};
	struct out_job *job = of_task(t);

	if (job->conn)
		doubt(job, job->conn);
	job->conn = NULL;
	give_permit_back(job);
	if (++job->stale > STALE_MAX && !job->opening)
		out_job_defer_rest(job, &lost);
	else if (!job->opening) /* else send_turn sees to it */
		out_job_wait_for_connection(job, 1);
}

const struct out_task_fns out_job_task_fns = {granted, refused, ended, stale};
