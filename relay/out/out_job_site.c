/* SPDX-License-Identifier: Apache-2.0 */
/* out_job's RESOLVE: which site serves a domain of a customer. */
#include "relay/out/out_job_own.h"

#include <stdio.h>

#include "core/err.h"
#include "relay/out/out_site.h"
#include "relay/out/out_verdict.h"

static void answer(struct out_job *job, const char *site, int64_t ttl)
{
	snprintf(job->j->site, sizeof(job->j->site), "%s", site);
	job->j->site_ttl = ttl < OUT_SITE_TTL_MIN   ? OUT_SITE_TTL_MIN
			   : ttl > OUT_SITE_TTL_MAX ? OUT_SITE_TTL_MAX
						    : ttl;
	out_job_finish(job);
}

static void answer_failure(struct out_job *job, const struct queue_result *v)
{
	job->j->site[0] = '\0';
	job->j->site_ttl = OUT_SITE_TTL_MIN;
	for (unsigned i = 0; i < job->j->count; i++)
		out_verdict_copy(&job->j->results[i], v);
	out_job_finish(job);
}

static void on_site(void *arg, const struct out_hosts *h, const struct queue_result *failure)
{
	struct out_job *job = arg;

	job->lookup = NULL;
	job->j->failure = failure && h ? (uint8_t)h->failure : TLSRPT_OK;
	if (failure)
		answer_failure(job, failure);
	else
		answer(job, h->site, h->ttl);
}

void out_job_start_resolve(struct out_job *job)
{
	const struct relay_conf *conf = atomic_load(&job->jobs->worker->relay->conf);
	struct out_hosts_lookup *k;
	struct queue_result v = {0};
	struct queue_job *j = job->j;
	struct out_route route;
	char site[QUEUE_SITE];

	if (out_route_find(conf, j->customer, j->destination, j->via, &route) < 0) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_DNS, "5.1.2", "no such kind of domain");
		answer_failure(job, &v);
	} else if (!route.mx) {
		out_site_of_route(site, &route);
		answer(job, site, OUT_SITE_TTL_MAX);
	} else {
		k = out_hosts_find_site(job->jobs->worker->loop, job->jobs->dns, conf, &route,
					on_site, job);
		if (k) /* else on_site was called within, and the job may be gone */
			job->lookup = k;
	}
}

void out_job_stop_resolve(struct out_job *job)
{
	struct queue_result v = {0};

	out_hosts_cancel(job->lookup);
	job->lookup = NULL;
	out_verdict_local(&v, ERR_AWAY);
	v.reason = QUEUE_LOCAL;
	answer_failure(job, &v);
}
