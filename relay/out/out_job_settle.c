/* SPDX-License-Identifier: Apache-2.0 */
/* out_job's outcomes: the report to the sender, the record in the spool, the next turn. */
#include "relay/out/out_job_own.h"

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "relay/out/out_bounce.h"
#include "relay/out/out_report.h"
#include "relay/out/out_verdict.h"

#define REWRITE_AFTER CLOCK_SEC

static void next_turn(struct out_job *job)
{
	if (job->j->kind != QUEUE_DELAY) /* which was no attempt */
		out_job_report(job);
	out_job_release_conn(job);
	job->base += job->n;
	job->dsn = 0;
	job->began = out_job_now(job);
	if (job->base == job->j->count)
		out_job_finish(job);
	else if (out_job_turn(job)->outcome) /* refused, or expired: only to be written */
		out_job_settle(job);
	else
		out_job_wait_for_connection(job, 1);
}

static void written(void *arg, int result)
{
	struct out_job *job = arg;

	if (result == 0) {
		next_turn(job);
	} else if (++job->writes < OUT_JOB_WRITES) {
		evt_timer_set(&job->rewrite, REWRITE_AFTER);
	} else {
		out_job_log(job, LOG_LEVEL_ERROR, "outcome-unwritten", err_text(result));
		next_turn(job);
	}
}

/* Final outcomes of this turn go into the log of the spool. */
void out_job_write_outcome(void *arg)
{
	struct out_job *job = arg;
	struct spool_state states[OUT_SESSION_RECIPIENTS];
	char detail[OUT_REPORT_DETAIL];
	struct out_report r = {.id = job->j->id,
			       .results = out_job_turn(job),
			       .count = job->n,
			       .peer = job->reached ? &job->peer : NULL,
			       .at = clock_wall(),
			       .usec = out_job_now(job) - job->began,
			       .dsn = job->dsn};
	unsigned count = 0;
	int err;

	for (unsigned i = 0; i < job->n; i++) {
		const struct queue_result *v = out_job_turn(job) + i;
		if (spool_outcome_final(v->outcome))
			states[count++] =
			    (struct spool_state){.recipient = v->recipient,
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

/* Without its report no failure is final. A delivery is: its report is lost. */
static void unreported(struct out_job *job, int err)
{
	struct queue_result v = {0};

	job->j->err = err;
	out_job_log(job, LOG_LEVEL_WARN, "dsn-failed", err_text(err));
	out_verdict_local(&v, err);
	for (unsigned i = 0; i < job->n; i++)
		if (out_job_turn(job)[i].outcome == SPOOL_BOUNCED ||
		    out_job_turn(job)[i].outcome == SPOOL_EXPIRED)
			out_verdict_copy(out_job_turn(job) + i, &v);
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
		out_job_log(job, LOG_LEVEL_INFO, "dsn-queued", id);
	}
	out_job_write_outcome(job);
}

void out_job_settle(struct out_job *job)
{
	struct out_bounce_of of;
	int err;

	job->n = job->j->count - job->base;
	if (job->n > job->most)
		job->n = job->most;
	job->writes = 0;
	of = (struct out_bounce_of){.id = job->j->id,
				    .reader = job->reader,
				    .results = out_job_turn(job),
				    .count = job->n,
				    .remote = job->reached && job->peer.host[0] ? job->peer.host : NULL,
				    .delay = job->j->kind == QUEUE_DELAY};
	if (!out_bounce_due(&of)) {
		out_job_write_outcome(job);
		return;
	}
	job->moved = 1;
	err = out_bounce_send(job->jobs->worker, &of, reported, job);
	if (err < 0) {
		unreported(job, err);
		out_job_write_outcome(job);
	}
}
