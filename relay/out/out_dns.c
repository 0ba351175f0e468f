/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_dns.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <unbound-event.h>
#include <unbound.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/list.h"
#include "core/log.h"

#define ROOT_KEY    "/usr/share/dns/root.key" /* Debian: dns-root-data */
#define BOGUS_QUIET (60 * CLOCK_SEC)
enum { SEC_BOGUS = 1, SEC_SECURE = 2, CLASS_IN = 1, RCODE_NXDOMAIN = 3 };

struct out_dns {
	struct ub_ctx *ctx;
	struct list open;
	struct out_dnsmsg msg; /* of the answer being told */
	int64_t bogus_told;
};

/* libunbound cannot take back a question of its event interface, so a query that is cancelled
 * stays, mute. */
struct out_dns_query {
	struct list_link link;
	struct out_dns *dns;
	int type;
	int within; /* out_dns_ask has not returned */
	int done;
	out_dns_fn fn; /* NULL: cancelled */
	void *arg;
};

static void note_bogus(struct out_dns *d)
{
	int64_t now = clock_mono();

	if (d->bogus_told && now - d->bogus_told < BOGUS_QUIET)
		return;
	d->bogus_told = now;
	log_event(LOG_LEVEL_WARN, NULL, "dns-bogus",
		  "what=\"an answer failed DNSSEC validation; does the resolver pass DNSSEC on?\"");
}

static int judge(struct out_dns *d, int type, int rcode, struct span packet, int sec)
{
	if (sec == SEC_BOGUS) {
		note_bogus(d);
		return ERR_AUTH;
	}
	if (rcode == RCODE_NXDOMAIN)
		return ERR_NOTFOUND;
	if (rcode != 0 || out_dnsmsg_parse(packet, type, &d->msg) < 0)
		return ERR_AWAY;
	if (d->msg.rcode == RCODE_NXDOMAIN)
		return ERR_NOTFOUND;
	return d->msg.rcode == 0 ? 0 : ERR_AWAY;
}

static void answered(void *arg, int rcode, void *packet, int length, int sec, char *why_bogus,
		     int was_ratelimited)
{
	struct out_dns_query *q = arg;
	struct out_dns *d = q->dns;
	int result;

	(void)why_bogus;
	(void)was_ratelimited;
	d->msg.count = d->msg.void_records = 0;
	d->msg.ttl = 0;
	result = judge(d, q->type, rcode, span_of(packet, length > 0 ? (size_t)length : 0), sec);
	list_remove(&q->link);
	if (q->fn)
		q->fn(q->arg, result, &d->msg, sec == SEC_SECURE);
	q->done = 1;
	if (!q->within)
		free(q);
}

struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn,
				  void *arg)
{
	struct out_dns_query *q = calloc(1, sizeof(*q));

	if (!q) {
		fn(arg, ERR_AWAY, &d->msg, 0);
		return NULL;
	}
	q->dns = d;
	q->type = type;
	q->fn = fn;
	q->arg = arg;
	q->within = 1;
	list_push_back(&d->open, &q->link);
	if (ub_resolve_event(d->ctx, name, type, CLASS_IN, q, answered, NULL) != 0 && !q->done) {
		list_remove(&q->link);
		free(q);
		fn(arg, ERR_AWAY, &d->msg, 0);
		return NULL;
	}
	q->within = 0;
	if (!q->done)
		return q;
	free(q);
	return NULL;
}

void out_dns_cancel(struct out_dns_query *q)
{
	if (q)
		q->fn = NULL;
}

/* --- life */

static int set_servers(struct ub_ctx *ctx, const struct relay_conf *c)
{
	char *const *servers = c->dns.servers.items;

	/* A resolver on loopback is the best there is. */
	ub_ctx_set_option(ctx, "do-not-query-localhost:", "no");
	if (c->dns.servers.count == 0) {
		ub_ctx_resolvconf(ctx, NULL); /* none there: libunbound asks the root itself */
		return 0;
	}
	for (size_t i = 0; i < c->dns.servers.count; i++)
		if (ub_ctx_set_fwd(ctx, servers[i]) != 0)
			return ERR_CONFIG;
	/* Named servers may well serve what libunbound itself calls non-existent (RFC 6761). */
	ub_ctx_zone_add(ctx, "test.", "transparent");
	return 0;
}

static int set_anchor(struct ub_ctx *ctx, const struct relay_conf *c)
{
	if (c->dns.trust_anchor)
		return ub_ctx_add_ta_file(ctx, c->dns.trust_anchor) == 0 ? 0 : ERR_CONFIG;
	if (access(ROOT_KEY, R_OK) == 0 && ub_ctx_add_ta_file(ctx, ROOT_KEY) == 0)
		return 0;
	log_event(LOG_LEVEL_INFO, NULL, "dns-unvalidated",
		  "what=\"no trust anchor: install dns-root-data or set dns.trust_anchor\"");
	return 0;
}

struct out_dns *out_dns_new(struct evt_loop *l, const struct relay_conf *c, const char **why)
{
	struct out_dns *d = calloc(1, sizeof(*d));

	*why = "out of memory";
	if (!d)
		return NULL;
	list_init(&d->open);
	d->ctx = ub_ctx_create_event(evt_loop_base(l));
	if (!d->ctx)
		goto fail;
	ub_ctx_debugout(d->ctx, NULL); /* its messages hold names */
	*why = "dns.trust_anchor: no usable anchor file";
	if (set_anchor(d->ctx, c) < 0)
		goto fail;
	*why = "dns.servers: refused by the resolver";
	if (set_servers(d->ctx, c) < 0) /* last: adding a zone ends the time of settings */
		goto fail;
	return d;
fail:
	out_dns_free(d);
	return NULL;
}

void out_dns_free(struct out_dns *d)
{
	if (!d)
		return;
	if (d->ctx)
		ub_ctx_delete(d->ctx);
	while (!list_empty(&d->open)) {
		struct list_link *k = list_pop_front(&d->open);
		free(list_entry(k, struct out_dns_query, link));
	}
	free(d);
}
