/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_job.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "relay/out/out_bounce.h"
#include "relay/out/out_report.h"
#include "relay/out/out_verdict.h"

#define SPARE_MAX 256
#define STALE_MAX 5
#define REWRITE_AFTER CLOCK_SEC

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
	unsigned stale, writes;
	uint64_t dsn;
	int64_t began;
	int reached; /* peer is set */
	struct out_conn_peer peer;
	struct evt_timer rewrite;
};

static void settle(struct out_job *job);
static void write_outcome(void *arg);

static struct out_job *of_task(struct out_task *t)
{
	return (struct out_job *)((char *)t - offsetof(struct out_job, task));
}

static struct queue_result *turn(const struct out_job *job)
{
	return job->j->results + job->base;
}

static int64_t now(const struct out_job *job)
{
	return evt_loop_now(job->jobs->worker->loop);
}

/* events: dsn-queued dsn-failed delivery-doubt message-damaged outcome-unwritten expired-unreadable */
static void log_job(const struct out_job *job, enum log_level level, const char *event, const char *what)
{
	char id[ID_TEXT_SIZE];

	id_format(id, job->j->id);
	log_event(level, id, event, "what=\"%s\"", what);
}

static void release_conn(struct out_job *job)
{
	if (job->conn)
		out_conn_release(job->conn);
	job->conn = NULL;
}

static void finish(struct out_job *job)
{
	struct out_jobs *jobs = job->jobs;
	struct queue_job *j = job->j;

	release_conn(job);
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

/* All who have had no turn yet get v. */
static void fill_rest(struct out_job *job, const struct queue_result *v)
{
	for (unsigned i = job->base; i < job->j->count; i++)
		out_verdict_copy(&job->j->results[i], v);
}

static void report(struct out_job *job)
{
	struct out_report r = {.id = job->j->id,
			       .results = turn(job),
			       .count = job->n,
			       .peer = job->reached ? &job->peer : NULL,
			       .usec = now(job) - job->began,
			       .dsn = job->dsn};

	out_report_log(&r, job->jobs->worker->relay);
	for (unsigned i = 0; i < job->n; i++) {
		if (turn(job)[i].reason != QUEUE_DAMAGED)
			continue;
		log_job(job, LOG_LEVEL_ERROR, "message-damaged", "the stored message cannot be read");
		relay_count(job->jobs->worker->relay, damaged, 1);
		return;
	}
}

/* Everybody left waits: nothing is written here, the queue does that. */
static void defer_rest(struct out_job *job, const struct queue_result *v)
{
	fill_rest(job, v);
	job->n = job->j->count - job->base;
	report(job);
	finish(job);
}

/* --- opening the message */

static void unreadable(struct out_job *job, int err)
{
	struct queue_result v = {0};

	if (job->j->kind == QUEUE_OPEN) {
		job->j->err = err;
		finish(job);
		return;
	}
	out_verdict_local(&v, err);
	if (job->j->kind == QUEUE_EXPIRE && v.reason == QUEUE_DAMAGED) {
		log_job(job, LOG_LEVEL_ERROR, "expired-unreadable",
			"its sender cannot be told: the stored message is damaged");
		v.outcome = SPOOL_EXPIRED;
		fill_rest(job, &v);
		settle(job);
		return;
	}
	defer_rest(job, &v);
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
	unreadable(job, result);
}

/* Calls then once the envelope is at hand. */
static void with_reader(struct out_job *job, void (*then)(struct out_job *job))
{
	struct spool_fresh *fresh = job->j->fresh;

	if (job->reader) {
		then(job);
		return;
	}
	job->opened = then;
	job->opening = 1;
	job->j->fresh = NULL;
	job->reader = spool_reader_open(job->jobs->worker, job->j->id, job->j->at, fresh, on_opened, job);
	if (!job->reader) {
		job->opening = 0;
		unreadable(job, ERR_NOMEM);
	}
}

/* --- sending */

static void refused(struct out_task *t, const struct queue_result *v);

static void wait_for_connection(struct out_job *job, int first)
{
	const struct relay_conf *conf = atomic_load(&job->jobs->worker->relay->conf);
	struct queue_result v = {0};
	struct out_route route;

	if (out_route_find(conf, job->j->destination, &route) < 0) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_DNS, "5.1.2", "no such kind of domain");
		refused(&job->task, &v);
		return;
	}
	log_debug("out", NULL, "out-route", "destination=%s key=%s", job->j->destination, route.key);
	if (out_pool_submit(job->jobs->pool, &job->task, &route, first) < 0) {
		out_verdict_local(&v, ERR_NOMEM);
		refused(&job->task, &v);
	}
}

static void send_turn(struct out_job *job)
{
	struct out_session_mail m;
	int err = 0;

	if (!job->conn) { /* it went away while the message was opened */
		wait_for_connection(job, 1);
		return;
	}
	if (job->moved)
		err = spool_reader_rewind(job->reader);
	if (err < 0) {
		unreadable(job, err);
		return;
	}
	job->moved = 1;
	job->n = job->j->count - job->base;
	if (job->n > OUT_SESSION_RECIPIENTS)
		job->n = OUT_SESSION_RECIPIENTS;
	m = (struct out_session_mail){spool_reader_envelope(job->reader),
				      spool_reader_size(job->reader), turn(job), job->n};
	out_conn_send(job->conn, &m, job->reader);
}

static void granted(struct out_task *t, struct out_conn *c)
{
	struct out_job *job = of_task(t);

	job->conn = c;
	with_reader(job, send_turn);
}

static void refused(struct out_task *t, const struct queue_result *v)
{
	struct out_job *job = of_task(t);

	job->reached = 0;
	if (v->outcome == SPOOL_DEFERRED) {
		defer_rest(job, v);
		return;
	}
	fill_rest(job, v);
	with_reader(job, settle);
}

static void ended(struct out_task *t, struct out_conn *c)
{
	struct out_job *job = of_task(t);

	job->peer = c->peer;
	job->reached = 1;
	if (c->session.doubt)
		log_job(job, LOG_LEVEL_WARN, "delivery-doubt",
			"connection lost after the end of the message: it may arrive twice");
	settle(job);
}

static void stale(struct out_task *t)
{
	static const struct queue_result lost = {.outcome = SPOOL_DEFERRED,
						 .reason = QUEUE_LOST,
						 .reply = "4.4.2 connections are closed before use"};
	struct out_job *job = of_task(t);

	job->conn = NULL;
	if (++job->stale > STALE_MAX && !job->opening)
		defer_rest(job, &lost);
	else if (!job->opening) /* else send_turn sees to it */
		wait_for_connection(job, 1);
}

static const struct out_task_fns task_fns = {granted, refused, ended, stale};

/* --- settling */

static void next_turn(struct out_job *job)
{
	report(job);
	release_conn(job);
	job->base += job->n;
	job->dsn = 0;
	job->began = now(job);
	if (job->base == job->j->count)
		finish(job);
	else if (turn(job)->outcome) /* refused, or expired: only to be written */
		settle(job);
	else
		wait_for_connection(job, 1);
}

static void written(void *arg, int result)
{
	struct out_job *job = arg;

	if (result == 0) {
		next_turn(job);
	} else if (++job->writes < OUT_JOB_WRITES) {
		evt_timer_set(&job->rewrite, REWRITE_AFTER);
	} else {
		log_job(job, LOG_LEVEL_ERROR, "outcome-unwritten", err_text(result));
		next_turn(job);
	}
}

/* Final outcomes of this turn go into the log of the spool. */
static void write_outcome(void *arg)
{
	struct out_job *job = arg;
	struct spool_state states[OUT_SESSION_RECIPIENTS];
	char detail[OUT_REPORT_DETAIL];
	struct out_report r = {.id = job->j->id,
			       .results = turn(job),
			       .count = job->n,
			       .peer = job->reached ? &job->peer : NULL,
			       .at = clock_wall(),
			       .usec = now(job) - job->began,
			       .dsn = job->dsn};
	unsigned count = 0;
	int err;

	for (unsigned i = 0; i < job->n; i++) {
		const struct queue_result *v = turn(job) + i;
		if (spool_outcome_final(v->outcome))
			states[count++] = (struct spool_state){.recipient = v->recipient,
							       .outcome = v->outcome,
							       .reason = v->reason,
							       .code = v->code,
							       .attempts = (uint16_t)(job->j->attempts + 1)};
	}
	if (!count) {
		next_turn(job);
		return;
	}
	err = spool_message_state(job->jobs->worker, job->j->id, job->reader, states, count,
				  span_of(detail, out_report_detail(&r, detail)), written, job);
	if (err < 0)
		written(job, err);
}

/* Without its report no failure is final. */
static void unreported(struct out_job *job, int err)
{
	struct queue_result v = {0};

	log_job(job, LOG_LEVEL_WARN, "dsn-failed", err_text(err));
	out_verdict_local(&v, err);
	for (unsigned i = 0; i < job->n; i++)
		if (turn(job)[i].outcome == SPOOL_BOUNCED || turn(job)[i].outcome == SPOOL_EXPIRED)
			out_verdict_copy(turn(job) + i, &v);
}

static void reported(void *arg, int result, uint64_t dsn)
{
	struct out_job *job = arg;
	char id[ID_TEXT_SIZE];

	if (result < 0) {
		unreported(job, result);
	} else {
		job->dsn = dsn;
		id_format(id, dsn);
		log_job(job, LOG_LEVEL_INFO, "dsn-queued", id);
	}
	write_outcome(job);
}

static int failed_for_good(const struct out_job *job)
{
	for (unsigned i = 0; i < job->n; i++)
		if (turn(job)[i].outcome == SPOOL_BOUNCED || turn(job)[i].outcome == SPOOL_EXPIRED)
			return 1;
	return 0;
}

static void settle(struct out_job *job)
{
	struct out_bounce_of of;
	int err;

	job->n = job->j->count - job->base;
	if (job->n > OUT_SESSION_RECIPIENTS)
		job->n = OUT_SESSION_RECIPIENTS;
	job->writes = 0;
	if (!failed_for_good(job) || !job->reader || !spool_reader_envelope(job->reader)->sender[0]) {
		write_outcome(job);
		return;
	}
	job->moved = 1;
	of = (struct out_bounce_of){.id = job->j->id,
				    .reader = job->reader,
				    .results = turn(job),
				    .count = job->n,
				    .remote = job->reached ? job->peer.host : NULL};
	err = out_bounce_send(job->jobs->worker, &of, reported, job);
	if (err < 0) {
		unreported(job, err);
		write_outcome(job);
	}
}

/* --- kinds of jobs */

static void start_deliver(struct out_job *job)
{
	for (unsigned i = 0; i < job->j->count; i++) {
		struct queue_result *r = &job->j->results[i];
		*r = (struct queue_result){.recipient = job->j->recipients[i]};
	}
	wait_for_connection(job, 0);
}

/* The queue leaves the last failure in the results: the sender is told of it. */
static void start_expire(struct out_job *job)
{
	for (unsigned i = 0; i < job->j->count; i++) {
		job->j->results[i].recipient = job->j->recipients[i];
		job->j->results[i].outcome = SPOOL_EXPIRED;
	}
	with_reader(job, settle);
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
	finish(job);
}

static void start_open(struct out_job *job)
{
	with_reader(job, copy_envelope);
}

static void (*const starts[])(struct out_job *job) = {
    [QUEUE_DELIVER] = start_deliver, [QUEUE_EXPIRE] = start_expire, [QUEUE_OPEN] = start_open};

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
		evt_timer_init(&job->rewrite, jobs->worker->loop, write_outcome, job);
	return job;
}

static void answer_unstarted(struct out_jobs *jobs, struct queue_job *j, int err)
{
	spool_fresh_free(j->fresh);
	j->fresh = NULL;
	j->err = err;
	for (unsigned i = 0; i < j->count && j->kind != QUEUE_OPEN; i++) {
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
	job->task = (struct out_task){.fns = &task_fns};
	job->jobs = jobs;
	job->j = j;
	job->opening = job->moved = job->reached = 0;
	job->base = job->n = job->stale = job->writes = 0;
	job->dsn = 0;
	job->began = now(job);
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

void out_jobs_abort(struct out_jobs *jobs)
{
	struct list_link *k = jobs->running.head.next, *next;

	for (; k != &jobs->running.head; k = next) {
		struct out_job *job = list_entry(k, struct out_job, link);
		next = k->next;
		if (job->opening) {
			spool_reader_close(job->reader);
			job->reader = NULL;
			job->opening = 0;
			unreadable(job, ERR_AWAY);
		}
	}
}

static void free_job(struct out_job *job)
{
	evt_timer_clear(&job->rewrite);
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
