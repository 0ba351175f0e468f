/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_ledger.h"

#include "core/clock.h"
#include "relay/bounce/bounce_class.h"
#include "relay/ledger/ledger.h"
#include "relay/out/out_job_own.h"
#include "relay/out/out_verdict.h"
#include "relay/tlsrpt/tlsrpt_result.h"
#include "relay/track/track.h"

static int tried(const struct queue_result *v)
{
	return !(v->outcome == SPOOL_DEFERRED && !v->code &&
		 (v->reason == QUEUE_KEYD || v->reason == QUEUE_RETRY));
}

/* What all recipients of the turn have in common. */
static void fill_message(struct ledger_attempt *a, const struct out_job *job)
{
	const struct spool_envelope *e =
	    job->reader && !job->opening ? spool_reader_envelope(job->reader) : NULL;

	a->id = job->j->id;
	a->at = clock_wall();
	a->queued = job->j->created;
	a->customer = job->j->customer;
	a->domain = job->j->destination;
	a->attempts = (uint16_t)(job->j->attempts + (job->j->kind == QUEUE_DELIVER));
	a->ms = (uint32_t)((out_job_now(job) - job->began) / 1000);
	if (e) {
		a->campaign = e->campaign;
		a->sender = e->sender;
		a->size = e->size;
		a->dkim = (e->flags & SPOOL_DKIM) != 0;
	}
}

static void fill_peer(struct ledger_attempt *a, const struct out_conn_peer *p)
{
	a->host = p->host;
	a->ip = p->address;
	a->source = p->source;
	a->tls = p->tls.version;
	a->policy = p->policy;
	a->verified_by = p->verified_by;
	a->failure = p->failure ? tlsrpt_result_name(p->failure) : NULL;
	a->why = p->why;
	if (p->tls.version) {
		a->cipher = p->tls.cipher;
		a->group = p->tls.group;
		a->resumed = p->tls.resumed;
	}
}

static void fill_result(struct ledger_attempt *a, const struct queue_result *v, char status[OUT_VERDICT_STATUS])
{
	out_verdict_status(v, status);
	a->recipient = v->recipient;
	a->outcome = v->outcome;
	a->reason = v->reason;
	a->code = v->code;
	a->status = status;
	a->reply = v->reply;
	a->bounce_class = v->outcome == SPOOL_DELIVERED
			      ? BOUNCE_CLASS_OTHER
			      : (uint8_t)bounce_class_of(v->code, status, out_verdict_text(v));
}

void out_ledger_note(const struct out_job *job)
{
	const struct spool_envelope *e =
	    job->reader && !job->opening ? spool_reader_envelope(job->reader) : NULL;
	struct ledger_attempt a = {.id = 0};
	char status[OUT_VERDICT_STATUS];

	fill_message(&a, job);
	if (job->reached)
		fill_peer(&a, &job->peer);
	a.reached = job->reached && job->conn;
	if (a.reached && !a.tls)
		a.clear = job->peer.clear;
	for (unsigned i = 0; i < job->n; i++) {
		const struct queue_result *v = out_job_turn(job) + i;
		if (!tried(v))
			continue;
		fill_result(&a, v, status);
		a.address = e && v->recipient < e->count ? e->recipients[v->recipient].address : NULL;
		ledger_post(job->jobs->worker->relay->ledger, &a);
		if (e && e->tid && v->outcome == SPOOL_DELIVERED)
			track_note_delivered(job->jobs->worker->relay, e->tid, a.at);
	}
}
