/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_verp.h"

#include <stdlib.h>

#include "core/err.h"
#include "relay/bounce/bounce_verp.h"
#include "relay/keys/keys_field.h"
#include "relay/out/out_job_own.h"

struct out_verp {
	struct out_job *job; /* NULL: gone, while keyd was asked */
	void (*then)(struct out_job *job);
	int asking;
	unsigned have, count;
	char sender[SMTP_ADDR_MAX];
	uint8_t index[][BOUNCE_VERP_INDEX];
};

int out_verp_due(const struct out_job *job)
{
	const struct relay_conf *conf = atomic_load(&job->jobs->worker->relay->conf);
	const struct spool_envelope *e = spool_reader_envelope(job->reader);

	return conf->bounce.verp && conf->bounce.domain && e->sender[0] && !(e->flags & SPOOL_REPORT);
}

void out_verp_drop(struct out_job *job)
{
	struct out_verp *v = job->verp;

	job->verp = NULL;
	if (v && v->asking)
		v->job = NULL;
	else
		free(v);
}

static void ask(struct out_verp *v);

static void failed(struct out_verp *v, int err)
{
	struct out_job *job = v->job;

	job->opening = 0;
	out_verp_drop(job);
	out_job_unreadable(job, err);
}

static void answered(void *arg, int err, const struct keyproto_result *results, unsigned count)
{
	struct out_verp *v = arg;

	v->asking = 0;
	if (!v->job) {
		free(v);
		return;
	}
	for (unsigned i = 0; err == 0 && i < count; i++) {
		if (results[i].status)
			err = keyproto_err_of_status(results[i].status);
		else if (results[i].data.n != BOUNCE_VERP_INDEX)
			err = ERR_FORMAT;
		else
			memcpy(v->index[v->have + i], results[i].data.p, BOUNCE_VERP_INDEX);
	}
	if (err < 0) {
		failed(v, err == ERR_FORMAT ? ERR_AWAY : err);
		return;
	}
	v->have += count;
	if (v->have < v->count) {
		ask(v);
		return;
	}
	v->job->opening = 0;
	v->then(v->job);
}

static void ask(struct out_verp *v)
{
	struct out_job *job = v->job;
	const struct spool_envelope *e = spool_reader_envelope(job->reader);
	struct keyproto_field items[KEYS_FIELD_BATCH];
	uint8_t values[KEYS_FIELD_BATCH][BOUNCE_VERP_VALUE];
	unsigned n = v->count - v->have;
	int err;

	if (n > KEYS_FIELD_BATCH)
		n = KEYS_FIELD_BATCH;
	for (unsigned i = 0; i < n; i++) {
		const char *address = e->recipients[job->j->recipients[v->have + i]].address;
		size_t size = bounce_verp_value(values[i], job->j->id, span_str(address));
		items[i] = (struct keyproto_field){SPAN_LIT(BOUNCE_VERP_LABEL), span_of(values[i], size)};
	}
	v->asking = 1;
	err = keys_field_index(job->jobs->worker->keyd, e->customer, items, n, answered, v);
	if (err < 0) {
		v->asking = 0;
		failed(v, err);
	}
}

int out_verp_ready(struct out_job *job, void (*then)(struct out_job *job))
{
	struct out_verp *v = job->verp;

	if (v)
		return v->have == v->count;
	v = calloc(1, sizeof(*v) + job->j->count * sizeof(v->index[0]));
	if (!v) {
		out_job_unreadable(job, ERR_NOMEM);
		return 0;
	}
	v->job = job;
	v->then = then;
	v->count = job->j->count;
	job->verp = v;
	job->opening = 1; /* as long as this lasts, whoever takes the connection away leaves the job alone */
	ask(v);
	return 0;
}

const char *out_verp_sender(struct out_job *job)
{
	const struct relay_conf *conf = atomic_load(&job->jobs->worker->relay->conf);
	const struct spool_envelope *e = spool_reader_envelope(job->reader);
	struct out_verp *v = job->verp;
	struct bounce_verp token;

	bounce_verp_make(&token, e->customer, job->j->id, v->index[job->base]);
	if (!conf->bounce.domain || bounce_verp_sender(v->sender, &token, conf->bounce.domain) < 0)
		return NULL;
	return v->sender;
}
