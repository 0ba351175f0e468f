/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_job_own.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/id.h"
#include "relay/out/out_ledger.h"
#include "relay/out/out_report.h"
#include "relay/out/out_verdict.h"
#include "relay/out/out_verp.h"

#define SPARE_MAX 256

/* events: dsn-queued dsn-failed delivery-doubt message-damaged tls-required-no */
/* events: outcome-unwritten expired-unreadable customer-destroyed */
void out_job_log(const struct out_job *job, enum log_level level, const char *event,
		 const char *what)
{
	char id[ID_TEXT_SIZE];

	id_format(id, job->j->id);
	log_event(level, id, event, "what=\"%s\"", what);
}

void out_job_release_conn(struct out_job *job)
{
	if (job->conn)
		out_conn_release(job->conn);
	job->conn = NULL;
}

void out_job_finish(struct out_job *job)
{
	struct out_jobs *jobs = job->jobs;
	struct queue_job *j = job->j;

	out_verp_drop(job);
	out_job_release_conn(job);
	out_job_drop_policy(job);
	spool_reader_close(job->reader);
	job->reader = NULL;
	list_remove(&job->link);
	jobs->count--;
	if (jobs->spare_count < SPARE_MAX) {
		list_push_front(&jobs->spare, &job->link);
		jobs->spare_count++;
	} else {
		evt_timer_clear(&job->rewrite);
		free(job);
	}
	queue_job_done(jobs->worker->relay->queue, j);
	if (jobs->count == 0)
		jobs->empty(jobs);
}

void out_job_fill_rest(struct out_job *job, const struct queue_result *v)
{
	for (unsigned i = job->base; i < job->j->count; i++)
		out_verdict_copy(&job->j->results[i], v);
}

void out_job_report(const struct out_job *job)
{
	struct out_report r = {.id = job->j->id,
			       .results = out_job_turn(job),
			       .count = job->n,
			       .peer = job->reached ? &job->peer : NULL,
			       .usec = out_job_now(job) - job->began,
			       .dsn = job->dsn};

	out_report_log(&r, job->jobs->worker->relay);
	out_ledger_note(job);
	for (unsigned i = 0; i < job->n; i++) {
		if (out_job_turn(job)[i].reason != QUEUE_DAMAGED)
			continue;
		out_job_log(job, LOG_LEVEL_ERROR, "message-damaged",
			    "the stored message cannot be read");
		relay_count(job->jobs->worker->relay, damaged, 1);
		return;
	}
}

void out_job_defer_rest(struct out_job *job, const struct queue_result *v)
{
	out_job_fill_rest(job, v);
	job->n = job->j->count - job->base;
	out_job_report(job);
	out_job_finish(job);
}

void out_job_give_back(struct out_job *job, const struct queue_result *v)
{
	out_job_fill_rest(job, v);
	out_job_finish(job);
}

/* --- opening the message */

/* Its keys are gone for good, and with them sender and recipients: there is nobody to tell, and nothing to keep. */
static void destroyed(struct out_job *job)
{
	struct queue_result v = {0};

	out_job_log(job, LOG_LEVEL_WARN, "customer-destroyed", "its mail cannot be read any more");
	out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_LOCAL, "5.3.0", "customer destroyed");
	out_job_fill_rest(job, &v);
	out_job_settle(job);
}

void out_job_unreadable(struct out_job *job, int err)
{
	struct queue_result v = {0};

	if (job->j->kind == QUEUE_OPEN || job->j->kind == QUEUE_DELAY) {
		job->j->err = err;
		out_job_finish(job);
		return;
	}
	if (err == ERR_GONE) {
		destroyed(job);
		return;
	}
	out_verdict_local(&v, err);
	if (job->j->kind == QUEUE_EXPIRE && v.reason == QUEUE_DAMAGED) {
		out_job_log(job, LOG_LEVEL_ERROR, "expired-unreadable",
			    "its sender cannot be told: the stored message is damaged");
		v.outcome = SPOOL_EXPIRED;
		out_job_fill_rest(job, &v);
		out_job_settle(job);
		return;
	}
	out_job_defer_rest(job, &v);
}

static void on_opened(void *arg, int result)
{
	struct out_job *job = arg;

	job->opening = 0;
	if (result == 0) {
		job->opened(job);
		return;
	}
	spool_reader_close(job->reader);
	job->reader = NULL;
	out_job_unreadable(job, result);
}

void out_job_with_reader(struct out_job *job, void (*then)(struct out_job *job))
{
	struct spool_fresh *fresh = job->j->fresh;

	if (job->reader) {
		then(job);
		return;
	}
	job->opened = then;
	job->opening = 1;
	job->j->fresh = NULL;
	job->reader =
	    spool_reader_open(job->jobs->worker, job->j->id, job->j->at, fresh, on_opened, job);
	if (!job->reader) {
		job->opening = 0;
		out_job_unreadable(job, ERR_NOMEM);
	}
}

/* --- kinds of jobs */

static void start_deliver(struct out_job *job)
{
	for (unsigned i = 0; i < job->j->count; i++) {
		struct queue_result *r = &job->j->results[i];
		*r = (struct queue_result){.recipient = job->j->recipients[i]};
	}
	out_job_wait_for_connection(job, 0);
}

/* The queue leaves the last failure in the results: the sender is told of it. */
static void start_expire(struct out_job *job)
{
	for (unsigned i = 0; i < job->j->count; i++) {
		job->j->results[i].recipient = job->j->recipients[i];
		if (job->j->results[i].outcome != SPOOL_BOUNCED) /* by an administrator */
			job->j->results[i].outcome = SPOOL_EXPIRED;
	}
	out_job_with_reader(job, out_job_settle);
}

/* The queue leaves the last answers in the results, and takes them back as they are. */
static void start_delay(struct out_job *job)
{
	for (unsigned i = 0; i < job->j->count; i++) {
		job->j->results[i].recipient = job->j->recipients[i];
		job->j->results[i].outcome = SPOOL_DEFERRED;
	}
	out_job_with_reader(job, out_job_settle);
}

static void copy_envelope(struct out_job *job)
{
	struct spool_envelope *copy = calloc(1, sizeof(*copy));
	struct buf b;
	int err;

	buf_init_wiped(&b, 16u << 20);
	err = copy ? spool_envelope_put(&b, spool_reader_envelope(job->reader)) : ERR_NOMEM;
	if (err == 0)
		err = spool_envelope_get(buf_span(&b), copy);
	buf_clear(&b);
	if (err < 0) {
		free(copy);
		copy = NULL;
	}
	job->j->opened = copy;
	job->j->err = err < 0 ? err : 0;
	out_job_finish(job);
}

static void start_open(struct out_job *job)
{
	out_job_with_reader(job, copy_envelope);
}

static void (*const starts[])(struct out_job *job) = {
    [QUEUE_DELIVER] = start_deliver, [QUEUE_EXPIRE] = start_expire,
    [QUEUE_DELAY] = start_delay, [QUEUE_OPEN] = start_open,
    [QUEUE_RESOLVE] = out_job_start_resolve};

/* --- life */

static struct out_job *take_job(struct out_jobs *jobs)
{
	struct list_link *k = list_pop_front(&jobs->spare);
	struct out_job *job;

	if (k) {
		jobs->spare_count--;
		return list_entry(k, struct out_job, link);
	}
	job = calloc(1, sizeof(*job));
	if (job)
		evt_timer_init(&job->rewrite, jobs->worker->loop, out_job_write_outcome, job);
	return job;
}

static void answer_unstarted(struct out_jobs *jobs, struct queue_job *j, int err)
{
	spool_fresh_free(j->fresh);
	j->fresh = NULL;
	j->err = err;
	for (unsigned i = 0; i < j->count && j->kind != QUEUE_OPEN; i++) {
		if (j->kind != QUEUE_RESOLVE)
			j->results[i].recipient = j->recipients[i];
		out_verdict_local(&j->results[i], err);
	}
	queue_job_done(jobs->worker->relay->queue, j);
}

void out_job_start(struct out_jobs *jobs, struct queue_job *j)
{
	struct out_job *job = take_job(jobs);

	if (!job) {
		answer_unstarted(jobs, j, ERR_NOMEM);
		return;
	}
	job->task = (struct out_task){.fns = &out_job_task_fns, .lane = j->lane, .site = j->site};
	job->jobs = jobs;
	job->j = j;
	job->opening = job->moved = job->reached = 0;
	job->base = job->n = job->stale = job->writes = 0;
	job->permit = job->requiretls = job->relaxed = 0;
	job->finding = NULL;
	job->most = OUT_SESSION_RECIPIENTS;
	job->dsn = 0;
	job->lookup = NULL;
	job->verp = NULL;
	job->began = out_job_now(job);
	list_push_back(&jobs->running, &job->link);
	jobs->count++;
	starts[j->kind](job);
}

void out_jobs_init(struct out_jobs *jobs, struct relay_worker *w, struct out_pool *pool,
		   void (*empty)(struct out_jobs *jobs))
{
	memset(jobs, 0, sizeof(*jobs));
	jobs->worker = w;
	jobs->pool = pool;
	jobs->empty = empty;
	list_init(&jobs->running);
	list_init(&jobs->spare);
}

void out_jobs_stop(struct out_jobs *jobs)
{
	struct list_link *k = jobs->running.head.next, *next;

	for (; k != &jobs->running.head; k = next) {
		struct out_job *job = list_entry(k, struct out_job, link);
		next = k->next;
		if (job->finding)
			out_job_unfound(job);
	}
}

void out_jobs_abort(struct out_jobs *jobs)
{
	struct list_link *k = jobs->running.head.next, *next;

	for (; k != &jobs->running.head; k = next) {
		struct out_job *job = list_entry(k, struct out_job, link);
		next = k->next;
		if (job->lookup) {
			out_job_stop_resolve(job);
		} else if (job->finding) {
			out_job_unfound(job);
		} else if (job->opening) {
			out_verp_drop(job);
			spool_reader_close(job->reader);
			job->reader = NULL;
			job->opening = 0;
			out_job_unreadable(job, ERR_AWAY);
		}
	}
}

static void free_job(struct out_job *job)
{
	evt_timer_clear(&job->rewrite);
	out_hosts_cancel(job->lookup);
	out_job_drop_policy(job);
	out_verp_drop(job);
	spool_reader_close(job->reader);
	free(job);
}

void out_jobs_clear(struct out_jobs *jobs)
{
	struct list_link *k;

	while ((k = list_pop_front(&jobs->running))) {
		struct out_job *job = list_entry(k, struct out_job, link);
		answer_unstarted(jobs, job->j, ERR_AWAY);
		free_job(job);
	}
	while ((k = list_pop_front(&jobs->spare)))
		free_job(list_entry(k, struct out_job, link));
}
