/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tls/tls_check.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"
#include "evt/evt_listen.h"
#include "relay/out/out_policy_hook.h"
#include "relay/out/out_verdict.h"
#include "relay/out/out_worker.h"
#include "relay/sts/sts_policy.h"
#include "relay/tls/tls_check_own.h"
#include "relay/tls/tls_exception.h"

static const char *const levels[] = {[RELAY_TLS_NONE] = "none",
				     [RELAY_TLS_OPPORTUNISTIC] = "opportunistic",
				     [RELAY_TLS_ENCRYPT] = "encrypt",
				     [RELAY_TLS_VERIFY] = "verify",
				     [RELAY_TLS_DANE] = "dane"};

static const char *const states[] = {[OUT_TLSA_UNASKED] = "unasked",   [OUT_TLSA_INSECURE] = "insecure",
				     [OUT_TLSA_NONE] = "none",	       [OUT_TLSA_USABLE] = "usable",
				     [OUT_TLSA_UNUSABLE] = "unusable", [OUT_TLSA_FAILED] = "failed",
				     [OUT_TLSA_BOGUS] = "bogus"};

/* --- what was found, as JSON */

static json_t *tell_route(const struct tls_check *k)
{
	return json_pack("{s:s, s:s, s:i, s:s}", "to", k->route.mx ? "mx" : "host", "host", k->route.host,
			 "port", k->route.port, "tls", levels[k->route.tls]);
}

/* As out_policy decides it. */
static int asks_sts(const struct out_policy *p)
{
	return p->by != OUT_POLICY_EXCEPTION && !p->named &&
	       (p->level == RELAY_TLS_OPPORTUNISTIC || p->level == RELAY_TLS_ENCRYPT);
}

static json_t *tell_policy(const struct out_policy *p)
{
	static const char *const modes[] = {[OUT_POLICY_HOOK_NONE] = "none",
					    [OUT_POLICY_HOOK_TESTING] = "testing",
					    [OUT_POLICY_HOOK_ENFORCE] = "enforce"};
	json_t *sts = NULL, *mx = json_array();

	for (unsigned i = 0; p->sts && i < p->sts->count; i++)
		json_array_append_new(mx, json_string(p->sts->patterns[i]));
	if (p->sts)
		sts = json_pack("{s:s, s:s, s:I, s:I, s:O}", "mode", modes[out_policy_hook_sts_mode(p->sts)], "id",
				p->sts->id, "fetched", (json_int_t)p->sts->fetched, "expires",
				(json_int_t)p->sts->expires, "mx", mx);
	json_decref(mx);
	return json_pack("{s:s, s:s, s:b, s:b, s:b, s:o?, s:s}", "level", levels[p->level], "by",
			 out_policy_by_name(p->by), "mx_secure", p->mx_secure, "dane", p->dane,
			 "sts_asked", asks_sts(p), "sts", sts,
			 "sts_failure", p->sts_failure ? tlsrpt_result_name(p->sts_failure) : "");
}

static json_t *tell_tlsa(const struct out_hosts_tlsa *t)
{
	json_t *records = json_array();
	char text[2 * 2048 + 32];

	for (unsigned i = 0; t->records && i < t->records->usable; i++) {
		out_tlsa_text(text, sizeof(text), &t->records->records[i]);
		json_array_append_new(records, json_string(text));
	}
	return json_pack("{s:s, s:s, s:o, s:i, s:i}", "state", states[t->state], "base",
			 t->records ? t->records->base : "", "records", records, "unusable",
			 t->records ? (int)t->records->unusable : 0, "malformed",
			 t->records ? (int)t->records->malformed : 0);
}

static json_t *tell_addresses(const struct out_hosts *h, unsigned host, int *preference)
{
	json_t *all = json_array();
	char text[64];

	for (unsigned i = 0; i < h->count; i++) {
		if (h->targets[i].rank.host != host)
			continue;
		*preference = h->targets[i].rank.preference;
		evt_listen_format(text, &h->targets[i].address);
		json_array_append_new(all, json_string(text));
	}
	return all;
}

static json_t *tell_host(const struct tls_check *k, unsigned i)
{
	const struct out_hosts *h = &k->hosts;
	struct out_policy_host must;
	int preference = 0;
	json_t *addresses = tell_addresses(h, i, &preference), *o;

	out_policy_judge(k->policy, h, i, &must);
	o = json_pack("{s:s, s:i, s:o, s:o, s:{s:s, s:s, s:s, s:b}}", "host", h->names[i], "preference",
		      preference, "addresses", addresses, "tlsa", tell_tlsa(&h->tlsa[i]), "must", "level",
		      levels[must.level], "by", out_policy_by_name(must.by), "why", must.why, "refused",
		      must.refuse != NULL);
	if (i < k->try_count && k->tries[i].out)
		json_object_set(o, "try", k->tries[i].out);
	return o;
}

static void tell(struct tls_check *k)
{
	json_t *hosts = json_array();

	for (unsigned i = 0; i < k->try_count; i++)
		json_array_append_new(hosts, tell_host(k, i));
	json_object_set_new(k->out, "hosts", hosts);
	json_object_set_new(k->out, "verdict", tls_check_verdict(k));
}

/* --- home */

static void answer(struct relay_msg *m, void *receiver)
{
	struct tls_check *k = (struct tls_check *)m;
	struct relay *r = receiver;

	r->tls_checks--;
	k->done(k->arg, k->err, k->out);
	free(k);
}

static void go_home(struct tls_check *k)
{
	k->msg.run = answer;
	evt_inbox_post(k->relay->inbox, &k->msg.msg);
}

static void conclude(struct tls_check *k)
{
	if (k->out)
		tell(k);
	evt_timer_clear(&k->timer);
	evt_loop_undefer(k->worker->loop, &k->next);
	for (unsigned i = 0; i < k->try_count; i++)
		tls_check_try_end(&k->tries[i]);
	out_policy_cancel(k->asking);
	out_hosts_cancel(k->lookup);
	out_hosts_clear(&k->hosts);
	out_policy_unref(k->policy);
	out_policies_free(k->policies);
	out_tls_free(k->tls);
	out_dns_free(k->dns);
	list_remove(&k->link);
	go_home(k);
}

/* --- steps */

void tls_check_try_done(struct tls_check_try *t)
{
	struct tls_check *k = t->check;

	if (--k->open == 0)
		evt_loop_defer(k->worker->loop, &k->next);
}

static void try_all(struct tls_check *k)
{
	k->tried = 1;
	k->open = 1;
	for (unsigned i = 0; i < k->hosts.name_count && i < OUT_MX_HOSTS; i++) {
		struct tls_check_try *t = &k->tries[i];
		t->check = k;
		t->host = i;
		t->out = json_object();
		k->try_count++;
		k->open++;
		tls_check_try_begin(t);
	}
	if (--k->open == 0)
		evt_loop_defer(k->worker->loop, &k->next);
}

static void on_hosts(void *arg, const struct out_hosts *h, const struct queue_result *failure)
{
	struct tls_check *k = arg;

	k->lookup = NULL;
	if (failure)
		k->failure = *failure;
	else
		out_hosts_take(&k->hosts, h);
	evt_loop_defer(k->worker->loop, &k->next);
}

static void on_policy(void *arg, struct out_policy *p, const struct queue_result *failure,
		      enum tlsrpt_result result)
{
	struct tls_check *k = arg;

	(void)result;
	k->asking = NULL;
	k->policy = p;
	if (!p)
		k->failure = *failure;
	evt_loop_defer(k->worker->loop, &k->next);
}

/* At the end of a turn, when what was waited for is there: policy, hosts, all tries. */
static void on_next(void *arg)
{
	struct tls_check *k = arg;
	struct out_hosts_lookup *lookup;

	if (k->failure.outcome || !k->policy || k->tried) {
		conclude(k);
	} else if (!json_object_get(k->out, "policy")) {
		json_object_set_new(k->out, "policy", tell_policy(k->policy));
		lookup = out_hosts_find(k->worker->loop, k->dns, k->conf, &k->route, k->policy->dane, on_hosts,
					k);
		if (lookup)
			k->lookup = lookup;
	} else {
		try_all(k);
	}
}

static void on_timer(void *arg)
{
	struct tls_check *k = arg;

	json_object_set_new(k->out, "late", json_true());
	conclude(k);
}

static int find_route(struct tls_check *k)
{
	if (out_route_find(k->conf, k->customer, k->domain, "", &k->route) < 0)
		return ERR_FORMAT;
	if (k->route.credential[0] && k->route.tls < RELAY_TLS_ENCRYPT)
		k->route.tls = RELAY_TLS_ENCRYPT;
	k->route.credential = ""; /* no login: a password that is wrong locks accounts */
	return 0;
}

static json_t *tell_exception(const struct tls_check *k)
{
	int64_t until = 0;
	int level = tls_exception_find(k->relay, k->route.host, clock_wall(), &until);

	return level < 0 ? json_null()
			 : json_pack("{s:s, s:I}", "level", tls_exception_level_name(level), "until",
				     (json_int_t)until);
}

static int begin(struct tls_check *k)
{
	const char *why;
	int err;

	k->conf = atomic_load(&k->relay->conf);
	err = find_route(k);
	if (err < 0)
		return err;
	k->dns = out_dns_new(k->worker->loop, k->conf, &why);
	/* Whoever waits for the same MTA-STS policy gets it by the resolver that it is asked with first: so not by
	 * one that goes. */
	k->policies = k->dns ? out_policies_new(k->worker, out_worker_dns(k->worker->out)) : NULL;
	k->tls = k->policies ? out_tls_new(k->relay) : NULL;
	if (!k->tls)
		return ERR_NOMEM;
	rand_bytes(&k->seed, sizeof(k->seed));
	k->out = json_pack("{s:s, s:s, s:o, s:o}", "domain", k->domain, "customer", k->customer, "route",
			   tell_route(k), "exception", tell_exception(k));
	return k->out ? evt_timer_set(&k->timer, TLS_CHECK_PATIENCE) : ERR_NOMEM;
}

static void run(struct relay_msg *m, void *receiver)
{
	struct tls_check *k = (struct tls_check *)m;
	struct relay_worker *w = receiver;
	struct out_policy_query *q;

	k->worker = w;
	k->next.fn = on_next;
	k->next.arg = k;
	evt_timer_init(&k->timer, w->loop, on_timer, k);
	if (!w->checks.head.next)
		list_init(&w->checks);
	list_push_back(&w->checks, &k->link);
	k->err = atomic_load(&k->relay->stopping) ? ERR_BUSY : begin(k);
	if (k->err < 0) {
		json_decref(k->out);
		k->out = NULL;
		conclude(k);
		return;
	}
	q = out_policy_find(k->policies, k->conf, &k->route, on_policy, k);
	if (q)
		k->asking = q;
}

int tls_check_start(struct relay *r, const char *domain, const char *customer, tls_check_fn done,
		    void *arg)
{
	struct tls_check *k;

	if (r->tls_checks >= TLS_CHECK_MOST)
		return ERR_BUSY;
	k = calloc(1, sizeof(*k));
	if (!k)
		return ERR_NOMEM;
	if (tls_exception_domain(k->domain, domain) < 0 || k->domain[0] == '.' ||
	    span_copy_str(k->customer, sizeof(k->customer), span_str(customer)) < 0) {
		free(k);
		return ERR_FORMAT;
	}
	k->relay = r;
	k->done = done;
	k->arg = arg;
	k->msg.run = run;
	r->tls_checks++;
	evt_inbox_post(r->workers[0].inbox, &k->msg.msg);
	return 0;
}

void tls_check_stop(struct relay_worker *w)
{
	while (w->checks.head.next && !list_empty(&w->checks)) {
		struct tls_check *k = list_entry(list_first(&w->checks), struct tls_check, link);
		k->err = ERR_BUSY;
		json_decref(k->out);
		k->out = NULL;
		conclude(k);
	}
}
