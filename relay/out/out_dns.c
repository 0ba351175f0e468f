/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_dns.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <unbound-event.h>
#include <unbound.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/list.h"
#include "core/log.h"
#include "relay/out/out_anchor.h"

#define BOGUS_QUIET (60 * CLOCK_SEC)
#define LOOK_EVERY  (5 * CLOCK_SEC) /* at the anchor file */
enum { SEC_BOGUS = 1, SEC_SECURE = 2, CLASS_IN = 1, RCODE_NXDOMAIN = 3 };

/* A libunbound context learns its anchors once, so each anchor file gets a context of its own. */
struct context {
	struct ub_ctx *ctx;
	struct out_dns *dns;
	struct list_link link; /* of those that were replaced */
	unsigned open;	       /* questions without an answer */
	struct evt_defer gone; /* replaced, and open is 0 */
};

struct out_dns {
	struct evt_loop *loop;
	const struct relay_conf *conf;
	struct context *context; /* for questions from now on */
	struct list replaced;
	int validates;
	struct timespec anchor_time; /* of the file that context was made from */
	ino_t anchor_inode;
	int64_t looked;
	struct list open;
	struct out_dnsmsg msg; /* of the answer being told */
	int64_t bogus_told;
	int quiet;
};

/* libunbound cannot take back a question of its event interface, so a query that is cancelled
 * stays, mute. */
struct out_dns_query {
	struct list_link link;
	struct out_dns *dns;
	struct context *context;
	int type;
	int within; /* out_dns_ask has not returned */
	int done;
	out_dns_fn fn; /* NULL: cancelled */
	void *arg;
};

static void note_bogus(struct out_dns *d, const char *why)
{
	int64_t now = clock_mono();

	log_debug("dns", NULL, "dns-bogus-why", "what=\"%s\"", why ? why : "");
	if (d->quiet)
		return;
	if (d->bogus_told && now - d->bogus_told < BOGUS_QUIET)
		return;
	d->bogus_told = now;
	log_event(LOG_LEVEL_WARN, NULL, "dns-bogus",
		  "what=\"an answer failed DNSSEC validation, and its mail waits\"");
}

static int judge(struct out_dns *d, int type, int rcode, struct span packet, int sec,
		 const char *why_bogus)
{
	if (sec == SEC_BOGUS) {
		note_bogus(d, why_bogus);
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

static void let_go(struct context *k)
{
	if (--k->open == 0 && k != k->dns->context)
		evt_loop_defer(k->dns->loop, &k->gone); /* libunbound is still at work in it */
}

static void answered(void *arg, int rcode, void *packet, int length, int sec, char *why_bogus,
		     int was_ratelimited)
{
	struct out_dns_query *q = arg;
	struct out_dns *d = q->dns;
	int result;

	(void)was_ratelimited;
	d->msg.count = d->msg.void_records = d->msg.signatures = 0;
	d->msg.ttl = 0;
	d->msg.canonical[0] = '\0';
	result = judge(d, q->type, rcode, span_of(packet, length > 0 ? (size_t)length : 0), sec,
		       why_bogus);
	list_remove(&q->link);
	if (q->fn)
		q->fn(q->arg, result, &d->msg, sec == SEC_SECURE);
	let_go(q->context);
	q->done = 1;
	if (!q->within)
		free(q);
}

static void look_at_anchor(struct out_dns *d);

struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn,
				  void *arg)
{
	struct out_dns_query *q = calloc(1, sizeof(*q));

	if (!q) {
		fn(arg, ERR_AWAY, &d->msg, 0);
		return NULL;
	}
	look_at_anchor(d);
	q->dns = d;
	q->context = d->context;
	q->type = type;
	q->fn = fn;
	q->arg = arg;
	q->within = 1;
	q->context->open++;
	list_push_back(&d->open, &q->link);
	if (ub_resolve_event(q->context->ctx, name, type, CLASS_IN, q, answered, NULL) != 0 &&
	    !q->done) {
		list_remove(&q->link);
		let_go(q->context);
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
	const char *path = out_anchor_path(c);
	struct out_anchor anchor;

	/* libunbound looks into it only when the first question is asked. */
	if (path)
		return out_anchor_read(c, &anchor) == 0 && ub_ctx_add_ta_file(ctx, path) == 0
			   ? 0
			   : ERR_CONFIG;
	log_event(LOG_LEVEL_INFO, NULL, "dns-unvalidated",
		  "what=\"no trust anchor: install dns-root-data or set dns.trust_anchor\"");
	return 0;
}

static void context_free(struct context *k)
{
	if (!k)
		return;
	evt_loop_undefer(k->dns->loop, &k->gone);
	if (k->ctx)
		ub_ctx_delete(k->ctx);
	free(k);
}

static void on_gone(void *arg)
{
	struct context *k = arg;

	list_remove(&k->link);
	context_free(k);
}

static struct context *context_new(struct out_dns *d, const char **why)
{
	struct context *k = calloc(1, sizeof(*k));

	*why = "out of memory";
	if (!k)
		return NULL;
	k->dns = d;
	k->gone.fn = on_gone;
	k->gone.arg = k;
	k->ctx = ub_ctx_create_event(evt_loop_base(d->loop));
	if (!k->ctx)
		goto fail;
	ub_ctx_debugout(k->ctx, NULL); /* its messages hold names */
	*why = "dns.trust_anchor: no usable anchor file";
	if (d->validates && set_anchor(k->ctx, d->conf) < 0)
		goto fail;
	*why = "dns.servers: refused by the resolver";
	if (set_servers(k->ctx, d->conf) < 0) /* last: adding a zone ends the time of settings */
		goto fail;
	return k;
fail:
	context_free(k);
	return NULL;
}

/* 1: the anchor file is another one than when it was last looked at. */
static int anchor_changed(struct out_dns *d)
{
	const char *path = d->validates ? out_anchor_path(d->conf) : NULL;
	struct stat st = {0};

	if (!path || stat(path, &st) < 0)
		return 0; /* being replaced, perhaps: what was read stays good */
	if (st.st_ino == d->anchor_inode && st.st_mtim.tv_sec == d->anchor_time.tv_sec &&
	    st.st_mtim.tv_nsec == d->anchor_time.tv_nsec)
		return 0;
	d->anchor_inode = st.st_ino;
	d->anchor_time = st.st_mtim;
	return 1;
}

static void look_at_anchor(struct out_dns *d)
{
	int64_t now = evt_loop_now(d->loop);
	struct context *fresh;
	const char *why;

	if (now - d->looked < LOOK_EVERY)
		return;
	d->looked = now;
	if (!anchor_changed(d))
		return;
	fresh = context_new(d, &why);
	if (!fresh) {
		log_event(LOG_LEVEL_ERROR, NULL, "dns-anchor-unusable",
			  "what=\"the trust anchor has changed and cannot be read; the old one stays\"");
		return;
	}
	list_push_back(&d->replaced, &d->context->link);
	if (d->context->open == 0)
		evt_loop_defer(d->loop, &d->context->gone);
	d->context = fresh;
	log_event(LOG_LEVEL_INFO, NULL, "dns-anchor-renewed", NULL);
}

static struct out_dns *dns_new(struct evt_loop *l, const struct relay_conf *c, int validates,
			       const char **why)
{
	struct out_dns *d = calloc(1, sizeof(*d));

	*why = "out of memory";
	if (!d)
		return NULL;
	list_init(&d->open);
	list_init(&d->replaced);
	d->loop = l;
	d->conf = c;
	d->validates = validates;
	d->looked = evt_loop_now(l);
	(void)anchor_changed(d);
	d->context = context_new(d, why);
	if (d->context)
		return d;
	free(d);
	return NULL;
}

struct out_dns *out_dns_new(struct evt_loop *l, const struct relay_conf *c, const char **why)
{
	return dns_new(l, c, 1, why);
}

struct out_dns *out_dns_new_unvalidated(struct evt_loop *l, const struct relay_conf *c)
{
	const char *why;

	return dns_new(l, c, 0, &why);
}

void out_dns_quiet(struct out_dns *d)
{
	d->quiet = 1;
}

void out_dns_free(struct out_dns *d)
{
	struct list_link *k;

	if (!d)
		return;
	context_free(d->context);
	while ((k = list_pop_front(&d->replaced)))
		context_free(list_entry(k, struct context, link));
	while ((k = list_pop_front(&d->open)))
		free(list_entry(k, struct out_dns_query, link));
	free(d);
}
