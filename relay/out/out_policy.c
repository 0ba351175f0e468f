/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/list.h"
#include "core/log.h"
#include "relay/out/out_policy_hook.h"
#include "relay/out/out_verdict.h"

#define BUCKETS 1024
#define STS_KEEP (5 * CLOCK_SEC) /* sts knows for how long; asked while it does, it answers at once */
#define KEY	288

static const struct queue_result short_of_memory = {
    .outcome = SPOOL_DEFERRED, .reason = QUEUE_LOCAL, .reply = "4.3.0 out of memory"};

/* What is known of one domain under one rule, or is being asked. */
struct entry {
	struct list_link age; /* oldest first */
	struct entry *next;   /* in its bucket */
	struct out_policies *all;
	struct out_policy *policy; /* NULL: being asked */
	/* while it is asked */
	struct list waiting; /* struct out_policy_query */
	struct out_policy *making;
	struct out_hosts_lookup *mx;
	struct sts_lookup *sts;
	unsigned open; /* answers to come, and one for the starter */
	struct queue_result failure; /* of the MX lookup, if it has an outcome */
	enum tlsrpt_result result;
	int64_t ttl;
	int forgotten; /* not to be kept */
	char host[256];
	char key[KEY];
};

struct out_policy_query {
	struct list_link link;
	out_policy_fn fn;
	void *arg;
	int *told; /* while out_policy_find has not returned: set when fn was called */
};

struct out_policies {
	struct relay_worker *worker;
	struct out_dns *dns;
	const struct relay_conf *conf; /* that the answers were made under */
	struct entry *buckets[BUCKETS];
	struct list ages;
	unsigned count;
};

const char *out_policy_by_name(enum out_policy_by by)
{
	static const char *const names[] = {
#define OUT_POLICY_X(sym, name, text) name,
	    OUT_POLICY_BYS(OUT_POLICY_X)
#undef OUT_POLICY_X
	};

	return names[(unsigned)by < OUT_POLICY_BY_COUNT ? by : OUT_POLICY_NOBODY];
}

const char *out_policy_by_text(enum out_policy_by by)
{
	static const char *const texts[] = {
#define OUT_POLICY_X(sym, name, text) text,
	    OUT_POLICY_BYS(OUT_POLICY_X)
#undef OUT_POLICY_X
	};

	return texts[(unsigned)by < OUT_POLICY_BY_COUNT ? by : OUT_POLICY_NOBODY];
}

struct out_policy *out_policy_ref(struct out_policy *p)
{
	p->refs++;
	return p;
}

void out_policy_unref(struct out_policy *p)
{
	if (!p || --p->refs)
		return;
	out_policy_hook_sts_unref(p->sts);
	free(p);
}

/* --- what a route says by itself */

/* Level and by, from exception and rule. */
static void judge_rule(struct out_policies *all, const struct out_route *r, struct out_policy *p)
{
	int level = r->requiretls
			? -1
			: out_policy_hook_exception(all->worker->relay, r->host, clock_wall());

	p->level = r->tls;
	p->by = r->tls == RELAY_TLS_OPPORTUNISTIC ? OUT_POLICY_NOBODY : OUT_POLICY_ROUTE;
	if (level >= 0) {
		/* a password is never sent in clear, whatever an exception says */
		p->level = r->credential[0] && level < RELAY_TLS_ENCRYPT ? RELAY_TLS_ENCRYPT : level;
		p->by = OUT_POLICY_EXCEPTION;
	}
	p->named = r->named;
	p->requiretls = r->requiretls;
	p->relaxed = r->relaxed && !r->requiretls;
}

/* Whether DANE and MTA-STS may raise what the rule says. */
static int open_to_more(const struct out_policy *p)
{
	return p->by != OUT_POLICY_EXCEPTION && !p->relaxed &&
	       (p->level == RELAY_TLS_OPPORTUNISTIC || p->level == RELAY_TLS_ENCRYPT);
}

static void choose(struct out_policies *all, const struct out_route *r, struct out_policy *p,
		   int *ask_mx, int *ask_sts)
{
	int more = open_to_more(p) || p->requiretls;

	p->dane = !r->literal && (p->level == RELAY_TLS_DANE || (more && all->conf->outbound.dane));
	p->mx_secure = !r->mx; /* there is nothing to prove about what was named */
	*ask_mx = r->mx && (p->dane || p->requiretls);
	*ask_sts = r->mx && more && p->level != RELAY_TLS_DANE;
}

static int set_digest(struct out_policy *p)
{
	uint8_t sum[EVP_MAX_MD_SIZE];
	const char *sts = p->sts ? out_policy_hook_sts_text(p->sts) : "";
	uint8_t head[] = {(uint8_t)p->level, (uint8_t)p->by,	     (uint8_t)p->dane,
			  (uint8_t)p->named, (uint8_t)p->mx_secure,  (uint8_t)p->requiretls,
			  (uint8_t)p->relaxed, (uint8_t)p->sts_failure};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
		   EVP_DigestUpdate(ctx, head, sizeof(head)) &&
		   EVP_DigestUpdate(ctx, sts, strlen(sts)) && EVP_DigestFinal_ex(ctx, sum, NULL);

	EVP_MD_CTX_free(ctx);
	if (good)
		hex_encode(p->digest, sum, (OUT_POLICY_DIGEST - 1) / 2);
	return good ? 0 : ERR_NOMEM;
}

/* --- entries */

static struct entry **slot(struct out_policies *all, const char *key)
{
	uint32_t h = 2166136261u;
	struct entry **e;

	for (const char *k = key; *k; k++)
		h = (h ^ (uint8_t)*k) * 16777619u;
	e = &all->buckets[h % BUCKETS];
	while (*e && strcmp((*e)->key, key))
		e = &(*e)->next;
	return e;
}

static void remove_entry(struct entry *e)
{
	struct out_policies *all = e->all;

	*slot(all, e->key) = e->next;
	list_remove(&e->age);
	all->count--;
	out_hosts_cancel(e->mx);
	out_policy_hook_cancel(e->sts);
	out_policy_unref(e->making);
	out_policy_unref(e->policy);
	while (!list_empty(&e->waiting))
		free(list_entry(list_pop_front(&e->waiting), struct out_policy_query, link));
	free(e);
}

/* Room for one more: the oldest that nobody waits for goes. */
static void make_room(struct out_policies *all)
{
	struct list_link *k = all->ages.head.next;

	while (all->count >= OUT_POLICY_CACHED && k != &all->ages.head) {
		struct entry *e = list_entry(k, struct entry, age);
		k = k->next;
		if (e->policy)
			remove_entry(e);
	}
}

static struct entry *add_entry(struct out_policies *all, const char *key, const char *host)
{
	struct entry *e = calloc(1, sizeof(*e)), **at;

	if (!e)
		return NULL;
	make_room(all);
	e->all = all;
	list_init(&e->waiting);
	snprintf(e->key, sizeof(e->key), "%s", key);
	snprintf(e->host, sizeof(e->host), "%s", host);
	at = slot(all, key);
	e->next = *at;
	*at = e;
	list_push_back(&all->ages, &e->age);
	all->count++;
	return e;
}

/* --- asking */

/* Everybody who waits hears of it. */
static void tell(struct list *waiting, struct out_policy *p, const struct queue_result *failure,
		 enum tlsrpt_result result)
{
	struct list_link *k;

	while ((k = list_pop_front(waiting))) {
		struct out_policy_query *q = list_entry(k, struct out_policy_query, link);
		if (q->told)
			*q->told = 1;
		q->fn(q->arg, p ? out_policy_ref(p) : NULL, failure, result);
		free(q);
	}
}

/* All answers are there; e may be gone afterwards. */
static void conclude(struct entry *e)
{
	struct queue_result failure = e->failure;
	enum tlsrpt_result result = e->result;
	struct out_policy *p = e->making;
	struct list waiting;
	struct list_link *k;

	list_init(&waiting);
	while ((k = list_pop_front(&e->waiting)))
		list_push_back(&waiting, k);
	e->making = NULL;
	p->until = evt_loop_now(e->all->worker->loop) + e->ttl;
	if (!failure.outcome && set_digest(p) < 0)
		failure = short_of_memory;
	if (failure.outcome)
		out_policy_hook_untried(e->all->worker->relay, e->host, result, out_verdict_text(&failure));
	if (failure.outcome || e->forgotten)
		remove_entry(e);
	else
		e->policy = out_policy_ref(p);
	tell(&waiting, failure.outcome ? NULL : p, failure.outcome ? &failure : NULL, result);
	out_policy_unref(p);
}

static void let_go(struct entry *e)
{
	if (--e->open == 0)
		conclude(e);
}

static void on_mx(void *arg, const struct out_hosts *h, const struct queue_result *failure)
{
	struct entry *e = arg;

	e->mx = NULL;
	if (failure) {
		e->failure = *failure;
		e->result = h ? h->failure : TLSRPT_OK;
		if (e->sts) { /* nothing more is wanted of it */
			out_policy_hook_cancel(e->sts);
			e->sts = NULL;
			e->open--;
		}
	} else {
		e->making->mx_secure = h->mx_secure;
		if (h->ttl < e->ttl)
			e->ttl = h->ttl;
	}
	let_go(e);
}

static void on_sts(void *arg, int result, struct sts_policy *p, enum tlsrpt_result failure)
{
	struct entry *e = arg;

	(void)result; /* not known now is no policy (RFC 8461 3.3), and failure says so */
	e->sts = NULL;
	if (p && out_policy_hook_sts_mode(p) == OUT_POLICY_HOOK_NONE) {
		out_policy_hook_sts_unref(p);
		p = NULL;
	}
	e->making->sts = p;
	e->making->sts_failure = failure;
	if (e->ttl > STS_KEEP)
		e->ttl = STS_KEEP;
	let_go(e);
}

/* The starter's own count in open keeps e until all has been asked. */
static void ask(struct entry *e, const struct out_route *r, int ask_mx, int ask_sts)
{
	struct out_policies *all = e->all;
	struct out_hosts_lookup *mx;
	struct sts_lookup *sts;

	e->open = 1;
	e->ttl = OUT_POLICY_KEEP;
	if (ask_sts) {
		e->open++;
		sts = out_policy_hook_sts(all->worker, all->dns, r->host, on_sts, e);
		if (sts) /* else it was answered within */
			e->sts = sts;
	}
	if (ask_mx) {
		e->open++;
		mx = out_hosts_find_site(all->worker->loop, all->dns, all->conf, r, on_mx, e);
		if (mx)
			e->mx = mx;
	}
	let_go(e);
}

/* --- for those who ask */

/* What was made under another configuration is not what is asked for now. */
static void mind_conf(struct out_policies *all, const struct relay_conf *conf)
{
	if (all->conf == conf)
		return;
	all->conf = conf;
	out_policy_forget(all, NULL);
}

static struct entry *find_entry(struct out_policies *all, const char *key)
{
	struct entry *e = *slot(all, key);

	if (e && e->policy && e->policy->until <= evt_loop_now(all->worker->loop)) {
		remove_entry(e);
		e = NULL;
	}
	return e;
}

static struct out_policy_query *wait_for(struct entry *e, out_policy_fn fn, void *arg)
{
	struct out_policy_query *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->fn = fn;
	q->arg = arg;
	list_push_back(&e->waiting, &q->link);
	return q;
}

/* 0: asked, or answered; ERR_NOMEM: nothing was begun. */
static int begin(struct out_policies *all, const char *key, const struct out_route *r,
		 const struct out_policy *model, out_policy_fn fn, void *arg,
		 struct out_policy_query **out)
{
	struct out_policy *p = malloc(sizeof(*p));
	struct entry *e = p ? add_entry(all, key, r->host) : NULL;
	struct out_policy_query *q = e ? wait_for(e, fn, arg) : NULL;
	int ask_mx, ask_sts, told = 0;

	if (!q) {
		free(p);
		if (e)
			remove_entry(e);
		return ERR_NOMEM;
	}
	*p = *model;
	p->refs = 1;
	choose(all, r, p, &ask_mx, &ask_sts);
	e->making = p;
	q->told = &told;
	ask(e, r, ask_mx, ask_sts);
	*out = told ? NULL : q;
	if (!told)
		q->told = NULL;
	return 0;
}

struct out_policy_query *out_policy_find(struct out_policies *all, const struct relay_conf *conf,
					 const struct out_route *route, out_policy_fn fn, void *arg)
{
	struct out_policy model = {0};
	struct out_policy_query *q = NULL;
	struct entry *e;
	char key[KEY];

	mind_conf(all, conf);
	judge_rule(all, route, &model);
	snprintf(key, sizeof(key), "%d%d%d%d%d%d%d:%u:%s", model.level, model.by,
		 model.requiretls, model.relaxed, route->mx, route->named, route->literal, route->port,
		 route->host);
	e = find_entry(all, key);
	if (e && e->policy) {
		fn(arg, out_policy_ref(e->policy), NULL, TLSRPT_OK);
	} else if (e) {
		q = wait_for(e, fn, arg);
		if (!q)
			fn(arg, NULL, &short_of_memory, TLSRPT_OK);
	} else if (begin(all, key, route, &model, fn, arg, &q) < 0) {
		fn(arg, NULL, &short_of_memory, TLSRPT_OK);
	}
	return q;
}

void out_policy_cancel(struct out_policy_query *q)
{
	if (!q)
		return;
	list_remove(&q->link); /* what it asked for goes on: the answer is kept for the next one */
	free(q);
}

void out_policy_forget(struct out_policies *all, const char *host)
{
	struct list_link *k = all->ages.head.next, *next;

	for (; k != &all->ages.head; k = next) {
		struct entry *e = list_entry(k, struct entry, age);
		next = k->next;
		if (host && strcmp(e->host, host))
			continue;
		if (e->policy)
			remove_entry(e);
		else
			e->forgotten = 1;
	}
}

/* --- life */

struct out_policies *out_policies_new(struct relay_worker *w, struct out_dns *dns)
{
	struct out_policies *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->worker = w;
	all->dns = dns;
	list_init(&all->ages);
	return all;
}

void out_policies_free(struct out_policies *all)
{
	if (!all)
		return;
	while (!list_empty(&all->ages))
		remove_entry(list_entry(list_first(&all->ages), struct entry, age));
	free(all);
}
