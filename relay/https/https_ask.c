/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/https/https_ask.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/out/out_addr.h"

enum { ASKED_MAX = 2 };

/* Beside the job while its host is looked up. */
struct https_ask {
	struct https_job *job;
	const struct relay_conf *conf;
	int open;   /* questions without an answer, and one for the asking itself */
	int failed; /* one of them could not be answered */
	struct side {
		struct https_ask *ask;
		int v6;
	} sides[ASKED_MAX];
};

/* As an answer that the thread gives. */
static void give_up(struct https_job *job, int err, enum https_fail fail)
{
	job->err = err;
	job->fail = fail;
	evt_inbox_post(job->reply, &job->msg.msg);
}

static void settle(struct https_ask *k)
{
	struct https_job *job = k->job;
	int failed = k->failed, err;

	if (--k->open > 0)
		return;
	job->asking = NULL;
	free(k);
	if (job->address_count == 0) {
		give_up(job, ERR_AWAY, failed ? HTTPS_LOOKUP : HTTPS_ADDRESS);
		return;
	}
	err = https_fetch_post(job);
	if (err < 0)
		give_up(job, err, HTTPS_LOCAL);
}

static void add(struct https_ask *k, const uint8_t *bytes, int v6)
{
	struct https_job *job = k->job;
	struct sockaddr_storage a;

	out_addr_make(&a, bytes, v6, job->url.port);
	if (!out_addr_allowed(k->conf, &a))
		log_event(LOG_LEVEL_WARN, NULL, "https-address-refused", "host=%s kind=%s",
			  job->url.host, out_addr_special(&a));
	else if (job->address_count < HTTPS_FETCH_ADDRESSES)
		job->addresses[job->address_count++] = a;
}

static void heard(void *arg, int result, const struct out_dnsmsg *m, int secure)
{
	struct side *s = arg;
	struct https_ask *k = s->ask;

	(void)secure;
	k->failed |= result < 0 && result != ERR_NOTFOUND;
	for (unsigned i = 0; result == 0 && i < m->count; i++)
		add(k, m->addresses[i], s->v6);
	settle(k);
}

void https_ask(struct relay_worker *w, struct out_dns *dns, struct https_job *job)
{
	/* Configurations that were replaced live on until the end. */
	const struct relay_conf *conf = atomic_load(&w->relay->conf);
	struct https_ask *k = calloc(1, sizeof(*k));

	job->reply = w->inbox;
	job->address_count = 0;
	free(job->ca);
	job->ca = conf->outbound.ca ? strdup(conf->outbound.ca) : NULL;
	if (!k || (conf->outbound.ca && !job->ca)) {
		free(k);
		give_up(job, ERR_NOMEM, HTTPS_LOCAL);
		return;
	}
	*k = (struct https_ask){
	    .job = job, .conf = conf, .open = 2 + (conf->outbound.ipv6 != RELAY_IPV6_NO)};
	job->asking = k;
	k->sides[0] = (struct side){k, 0};
	k->sides[1] = (struct side){k, 1};
	out_dns_ask(dns, job->url.host, OUT_DNSMSG_A, heard, &k->sides[0]);
	if (conf->outbound.ipv6 != RELAY_IPV6_NO)
		out_dns_ask(dns, job->url.host, OUT_DNSMSG_AAAA, heard, &k->sides[1]);
	settle(k);
}
