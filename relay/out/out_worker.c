/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_worker.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "relay/out/out_job.h"

#define LAST_WRITES (2 * CLOCK_SEC) /* after grace: for outcomes on their way to the spool */

struct out_worker {
	struct relay_worker *worker;
	struct out_dns *dns;
	struct out_tls *tls;
	struct out_pool *pool;
	struct out_jobs jobs;
	struct evt_timer grace;
	int stopping, aborted;
	void (*done)(void *arg);
	void *arg;
};

static void stopped(struct out_worker *o)
{
	void (*done)(void *arg) = o->done;

	o->done = NULL;
	evt_timer_stop(&o->grace);
	if (done)
		done(o->arg);
}

static void jobs_empty(struct out_jobs *jobs)
{
	struct out_worker *o = jobs->worker->out;

	if (o && o->stopping)
		stopped(o);
}

static void on_grace(void *arg)
{
	struct out_worker *o = arg;

	if (o->aborted) {
		stopped(o);
		return;
	}
	o->aborted = 1;
	evt_timer_set(&o->grace, LAST_WRITES);
	out_pool_abort(o->pool);
	out_jobs_abort(&o->jobs);
}

void out_worker_job(struct relay_msg *m, void *receiver)
{
	struct relay_worker *w = receiver;

	out_job_start(&w->out->jobs, (struct queue_job *)m);
}

void out_worker_stop(struct out_worker *o, int64_t grace_usec, void (*done)(void *arg), void *arg)
{
	o->done = done;
	o->arg = arg;
	evt_timer_set(&o->grace, grace_usec);
	out_pool_stop(o->pool);
	out_jobs_stop(&o->jobs);
	o->stopping = 1;
	if (o->jobs.count == 0)
		stopped(o);
}

struct out_worker *out_worker_new(struct relay_worker *w)
{
	const struct relay_conf *conf = atomic_load(&w->relay->conf);
	struct out_worker *o = calloc(1, sizeof(*o));
	const char *why = "out of memory";

	if (!o)
		return NULL;
	o->worker = w;
	evt_timer_init(&o->grace, w->loop, on_grace, o);
	out_jobs_init(&o->jobs, w, NULL, jobs_empty);
	o->dns = out_dns_new(w->loop, conf, &why);
	o->tls = o->dns ? out_tls_new(w->relay) : NULL;
	w->policies = o->tls ? out_policies_new(w, o->dns) : NULL;
	o->pool = w->policies ? out_pool_new(w, o->dns, o->tls) : NULL;
	if (!o->pool) {
		log_event(LOG_LEVEL_ERROR, NULL, "out-unusable", "why=\"%s\"", why);
		out_worker_free(o);
		return NULL;
	}
	o->jobs.pool = o->pool;
	o->jobs.dns = o->dns;
	return o;
}

struct out_dns *out_worker_dns(struct out_worker *o)
{
	return o->dns;
}

void out_worker_free(struct out_worker *o)
{
	if (!o)
		return;
	out_pool_free(o->pool); /* before the jobs whose bodies its connections read */
	out_jobs_clear(&o->jobs);
	out_policies_free(o->worker->policies);
	o->worker->policies = NULL;
	out_tls_free(o->tls);
	out_dns_free(o->dns);
	evt_timer_clear(&o->grace);
	free(o);
}
