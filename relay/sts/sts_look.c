/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/sts/sts_own.h"

#define HOLD_LEAST   (5 * CLOCK_SEC)
#define HOLD_MOST    (3600 * CLOCK_SEC)
#define HOLD_NONE    (60 * CLOCK_SEC) /* no record, and nobody said for how long */
#define HOLD_UNKNOWN (30 * CLOCK_SEC)
#define RETRY_MOST   (3600 * CLOCK_SEC) /* of a policy that could not be renewed */
#define PATH	     "/.well-known/mta-sts.txt"

/* One look-up under way, on the worker that began it; it goes on when nobody waits any more. */
struct sts_look {
	struct list_link all;
	struct sts *sts;
	struct sts_entry
	    *entry; /* its domain never changes, and it stays: the lock is needed for the rest */
	struct relay_worker *worker;
	struct out_dns *dns;
	int refresh; /* fetch, whatever the record says */
	int64_t hold;
	char id[STS_POLICY_ID]; /* "": no record was seen */
	struct https_job *job;
};

struct sts_look *sts_look_new(struct sts *s, struct sts_entry *e, struct relay_worker *w,
			      struct out_dns *dns, int refresh)
{
	struct sts_look *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	*k = (struct sts_look){.sts = s, .entry = e, .worker = w, .dns = dns, .refresh = refresh};
	list_push_back(&s->looks, &k->all);
	e->look = k;
	return k;
}

/* --- the end */

static void end(struct sts_look *k, int result, enum tlsrpt_result failure)
{
	struct sts *s = k->sts;
	struct sts_entry *e = k->entry;
	const struct sts_policy *p;

	pthread_mutex_lock(&s->lock);
	p = sts_cache_policy(s, e);
	e->result = result;
	e->failure = failure;
	e->known_until = clock_mono() + k->hold;
	e->look = NULL;
	e->fetching = 0;
	list_remove(&k->all);
	sts_find_tell(e, p ? 0 : result, p, failure);
	pthread_mutex_unlock(&s->lock);
	free(k);
}

/* --- fetching */

static enum tlsrpt_result judge(const struct https_job *job, const char **why)
{
	if (job->err < 0) {
		*why = https_fail_text(job->fail);
		return https_fail_certificate(job->fail) ? TLSRPT_STS_WEBPKI_INVALID
							 : TLSRPT_STS_POLICY_FETCH_ERROR;
	}
	if (job->status != 200) {
		*why = job->status >= 300 && job->status < 400 ? "a redirect, which is not followed"
							       : "the status is not 200";
		return TLSRPT_STS_POLICY_FETCH_ERROR;
	}
	if (strcmp(job->answer_type, "text/plain")) {
		*why = "the media type is not text/plain";
		return TLSRPT_STS_POLICY_INVALID;
	}
	return TLSRPT_OK;
}

static void log_failure(const struct sts_look *k, long status, enum tlsrpt_result failure,
			const char *why, const struct sts_policy *kept)
{
	char left[24] = "none";

	if (kept)
		num_format_duration(left, (kept->expires - clock_wall()) / CLOCK_SEC * CLOCK_SEC);
	if (failure == TLSRPT_STS_POLICY_INVALID)
		log_event(LOG_LEVEL_WARN, NULL, "sts-policy-invalid",
			  "domain=%s kept=%s why=\"%s\"", k->entry->domain, left, why);
	else
		log_event(LOG_LEVEL_WARN, NULL, "sts-fetch-failed",
			  "domain=%s result=%s status=%ld kept=%s why=\"%s\"", k->entry->domain,
			  tlsrpt_result_name(failure), status, left, why);
}

/* What is cached stays; it is tried again after a pause, later if there is much time. */
static void fetch_failed(struct sts_look *k, long status, enum tlsrpt_result failure,
			 const char *why)
{
	struct sts *s = k->sts;
	struct sts_entry *e = k->entry;
	struct sts_policy *kept;

	pthread_mutex_lock(&s->lock);
	kept = sts_policy_ref(sts_cache_policy(s, e));
	memcpy(e->failed_id, k->id, sizeof(k->id));
	e->failed_until = clock_mono() + STS_PAUSE;
	if (kept) {
		int64_t pause = (kept->expires - clock_wall()) / 8;
		pause = pause > RETRY_MOST ? RETRY_MOST : pause < STS_PAUSE ? STS_PAUSE : pause;
		e->due = clock_wall() + pause;
	}
	pthread_mutex_unlock(&s->lock);
	log_failure(k, status, failure, why, kept);
	sts_policy_unref(kept);
	end(k, 0, failure);
}

static void take_policy(struct sts_look *k, struct sts_policy *p)
{
	struct sts *s = k->sts;
	struct sts_entry *e = k->entry;
	const struct sts_policy *old;
	int changed;

	pthread_mutex_lock(&s->lock);
	old = sts_cache_policy(s, e);
	if (old && !p->id[0]) /* the record could not be asked for: it may still be that one */
		memcpy(p->id, old->id, sizeof(p->id));
	changed = !old || old->size != p->size || memcmp(old->text, p->text, p->size);
	e->failed_id[0] = '\0';
	e->failed_until = 0;
	log_event(LOG_LEVEL_INFO, NULL, "sts-fetched",
		  "domain=%s mode=%s mx=%u max_age=%u id=%s changed=%s", e->domain,
		  sts_mode_name(p->mode), p->count, (unsigned)p->max_age, p->id,
		  changed ? "yes" : "no");
	sts_cache_put(s, e, p, 1);
	pthread_mutex_unlock(&s->lock);
	end(k, 0, TLSRPT_OK);
}

static void fetched(struct relay_msg *m, void *receiver)
{
	struct https_job *job = (struct https_job *)m;
	struct sts_look *k = job->arg;
	const char *why = NULL;
	enum tlsrpt_result failure = judge(job, &why);
	struct sts_policy *p = NULL;
	long status = job->status;
	int err;

	(void)receiver;
	k->job = NULL;
	if (failure == TLSRPT_OK) {
		p = sts_policy_parse(buf_span(&job->answer), k->id, clock_wall(), &err, &why);
		if (!p)
			failure = err == ERR_NOMEM ? TLSRPT_STS_POLICY_FETCH_ERROR
						   : TLSRPT_STS_POLICY_INVALID;
	}
	https_job_free(job);
	if (p)
		take_policy(k, p);
	else
		fetch_failed(k, status, failure, why);
}

static void fetch(struct sts_look *k)
{
	struct https_job *job = https_job_new(k->worker->relay->https);

	if (!job) {
		fetch_failed(k, 0, TLSRPT_STS_POLICY_FETCH_ERROR, err_text(ERR_NOMEM));
		return;
	}
	k->job = job;
	job->msg.run = fetched;
	job->arg = k;
	snprintf(job->url.host, sizeof(job->url.host), "mta-sts.%s", k->entry->domain);
	snprintf(job->url.path, sizeof(job->url.path), "%s", PATH);
	https_ask(k->worker, k->dns, job);
}

/* --- the record */

/* RFC 8461 3.1. 1: id; 0: there is none, or none that counts. */
static int choose_record(struct sts_look *k, const struct out_dnsmsg *m)
{
	char id[STS_POLICY_ID];
	unsigned good = 0, bad = 0;

	for (unsigned i = 0; i < m->count; i++) {
		int rc = sts_record_parse(span_of(m->txt[i].text, m->txt[i].len), id);
		good += rc == 0;
		bad += rc == ERR_FORMAT;
		if (rc == 0)
			memcpy(k->id, id, sizeof(id));
	}
	if (good == 1 && !bad)
		return 1;
	k->id[0] = '\0';
	if (good || bad)
		log_event(LOG_LEVEL_WARN, NULL, "sts-record-invalid", "domain=%s why=\"%s\"",
			  k->entry->domain, good + bad > 1 ? "more than one record" : "malformed");
	return 0;
}

static int64_t hold_for(int result, const struct out_dnsmsg *m)
{
	int64_t ttl = m->ttl * CLOCK_SEC;

	if (result < 0 && result != ERR_NOTFOUND)
		return HOLD_UNKNOWN;
	if (m->count == 0)
		return HOLD_NONE;
	return ttl < HOLD_LEAST ? HOLD_LEAST : ttl > HOLD_MOST ? HOLD_MOST : ttl;
}

enum step { FETCH, SAME, FAILED_LATELY };

static enum step next_step(struct sts_look *k, enum tlsrpt_result *failure)
{
	const struct sts_policy *p;
	enum step step = FETCH;
	struct sts_entry *e = k->entry;

	pthread_mutex_lock(&k->sts->lock);
	p = sts_cache_policy(k->sts, e);
	*failure = e->failure;
	if (k->refresh)
		step = FETCH;
	else if (p && !strcmp(p->id, k->id))
		step = SAME;
	else if (e->failed_until > clock_mono() && !strcmp(e->failed_id, k->id))
		step = FAILED_LATELY;
	e->fetching = step == FETCH;
	pthread_mutex_unlock(&k->sts->lock);
	return step;
}

/* Whether the domain has a policy is not known: mail goes by the one that is kept, or as if there were none (RFC 8461
 * 3.3), and that should not pass in silence. */
static void log_unknown(const struct sts_look *k, int result)
{
	const struct sts_policy *kept;
	char left[24] = "none";

	pthread_mutex_lock(&k->sts->lock);
	kept = sts_cache_policy(k->sts, k->entry);
	if (kept)
		num_format_duration(left, (kept->expires - clock_wall()) / CLOCK_SEC * CLOCK_SEC);
	pthread_mutex_unlock(&k->sts->lock);
	log_event(LOG_LEVEL_WARN, NULL, "sts-record-unknown", "domain=%s kept=%s why=\"%s\"", k->entry->domain,
		  left, err_text(result));
}

static void on_record(void *arg, int result, const struct out_dnsmsg *m, int secure)
{
	struct sts_look *k = arg;
	enum tlsrpt_result failure;
	int unknown = result < 0 && result != ERR_NOTFOUND;
	int there = result == 0 && choose_record(k, m);

	(void)secure; /* what matters is who has the certificate */
	if (unknown)
		log_unknown(k, result);
	k->hold = hold_for(result, m);
	if (!there && !(unknown && k->refresh)) {
		end(k, unknown ? ERR_AWAY : 0, TLSRPT_OK);
		return;
	}
	switch (next_step(k, &failure)) {
	case FETCH:
		fetch(k);
		break;
	case SAME: /* a renewal that failed is still to be told */
	case FAILED_LATELY:
		end(k, 0, failure);
		break;
	}
}

void sts_look_start(struct sts_look *k)
{
	char name[HTTPS_URL_HOST + 16];

	snprintf(name, sizeof(name), "_mta-sts.%s", k->entry->domain);
	out_dns_ask(k->dns, name, OUT_DNSMSG_TXT, on_record, k);
}

void sts_look_clear(struct sts *s)
{
	while (!list_empty(&s->looks))
		free(list_entry(list_pop_front(&s->looks), struct sts_look, all));
}
