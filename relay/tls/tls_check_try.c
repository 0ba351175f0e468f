/* SPDX-License-Identifier: Apache-2.0 */
/* tls_check's connection to one host. */
#include <string.h>

#include "core/clock.h"
#include "relay/out/out_verdict.h"
#include "relay/tls/tls_check_own.h"

static void set(json_t *o, const char *name, const char *value)
{
	json_t *s = value && *value ? json_string(value) : NULL;

	if (s)
		json_object_set_new(o, name, s);
}

static void tell_peer(struct tls_check_try *t, const struct out_conn_peer *p)
{
	json_t *o = t->out;

	t->peer = *p;
	set(o, "address", p->address);
	set(o, "tls", p->tls.version);
	set(o, "cipher", p->tls.version ? p->tls.cipher : NULL);
	set(o, "group", p->tls.version ? p->tls.group : NULL);
	set(o, "policy", p->policy);
	set(o, "verified_by", p->verified_by);
	if (p->failure)
		set(o, "failure", tlsrpt_result_name(p->failure));
	set(o, "why", p->why);
	if (!p->tls.version)
		set(o, "clear", p->clear);
}

static void finish(struct tls_check_try *t)
{
	json_object_set_new(t->out, "ms",
			    json_integer((evt_loop_now(t->check->worker->loop) - t->began) / 1000));
	t->done = 1;
	tls_check_try_done(t);
}

static void tell_chain(struct tls_check_try *t, const struct out_conn *c)
{
	json_t *chain = c->evt ? tls_check_chain(evt_conn_ssl(c->evt)) : NULL;

	if (!chain)
		return;
	json_object_set_new(t->out, "chain", chain);
	json_object_set_new(t->out, "chain_shown_only", json_boolean(t->looking));
}

static void on_free(struct out_conn *c)
{
	struct tls_check_try *t = c->setup.owner;

	tell_chain(t, c);
	if (!t->looking) {
		t->ready = 1;
		json_object_set_new(t->out, "ready", json_true());
		json_object_set_new(t->out, "requiretls", json_boolean(c->session.caps & OUT_CAP_REQUIRETLS));
		tell_peer(t, &c->peer);
	}
	out_conn_idle(c, 0); /* QUIT; on_gone follows */
}

static void on_gone(struct out_conn *c)
{
	struct tls_check_try *t = c->setup.owner;

	t->conn = NULL;
	out_conn_free(c);
	finish(t);
}

static int begin(struct tls_check_try *t, const struct out_policy *policy);

/* What policy does not let stand is looked at once more, to be shown. */
static int look_again(struct tls_check_try *t, const struct out_conn_peer *p)
{
	if (t->looking || p->failure == TLSRPT_STARTTLS_NOT_SUPPORTED ||
	    t->verdict.reason != QUEUE_TLS || t->verdict.code || !p->address[0])
		return 0;
	t->looking = 1;
	t->look = *t->check->policy;
	t->look.refs = 1;
	t->look.level = RELAY_TLS_ENCRYPT;
	t->look.by = OUT_POLICY_NOBODY;
	t->look.dane = t->look.requiretls = 0;
	t->look.sts = NULL;
	return begin(t, &t->look);
}

static void on_failed(struct out_conn *c, const struct queue_result *v)
{
	struct tls_check_try *t = c->setup.owner;
	struct out_conn_peer peer = c->verdict_peer;

	if (!t->looking) {
		t->verdict = *v;
		json_object_set_new(t->out, "ready", json_false());
		tell_peer(t, &peer);
		if (v->code)
			json_object_set_new(t->out, "reply", json_sprintf("%u %s", v->code, v->reply));
		else
			set(t->out, "reply", v->reply);
	}
	t->conn = NULL;
	out_conn_free(c);
	if (!look_again(t, &peer))
		finish(t);
}

static int begin(struct tls_check_try *t, const struct out_policy *policy)
{
	struct tls_check *k = t->check;
	struct out_conn_setup s = {.relay = k->relay,
				   .loop = k->worker->loop,
				   .tls = k->tls,
				   .conf = k->conf,
				   .creds = k->worker->creds,
				   .route = &k->route,
				   .policy = policy,
				   .hosts = &t->hosts,
				   .seed = &k->seed,
				   .only_probe = 1,
				   .owner = t,
				   .free_to_use = on_free,
				   .failed = on_failed,
				   .gone = on_gone};

	t->conn = out_conn_open(&s);
	return t->conn != NULL;
}

void tls_check_try_begin(struct tls_check_try *t)
{
	struct tls_check *k = t->check;
	unsigned n = 0;

	out_hosts_take(&t->hosts, &k->hosts);
	for (unsigned i = 0; i < t->hosts.count; i++)
		if (t->hosts.targets[i].rank.host == t->host)
			t->hosts.targets[n++] = t->hosts.targets[i];
	t->hosts.count = n;
	t->began = evt_loop_now(k->worker->loop);
	out_verdict_ours(&t->verdict, SPOOL_DEFERRED, QUEUE_TIMEOUT, "4.4.2", "no answer in time");
	if (!n) {
		out_verdict_ours(&t->verdict, SPOOL_DEFERRED, QUEUE_DNS, "4.4.3", "no address was found");
		set(t->out, "reply", t->verdict.reply);
		finish(t);
	} else if (!begin(t, k->policy)) {
		out_verdict_local(&t->verdict, -1);
		set(t->out, "reply", t->verdict.reply);
		finish(t);
	}
}

void tls_check_try_end(struct tls_check_try *t)
{
	out_conn_free(t->conn);
	t->conn = NULL;
	if (!t->done && !t->ready && !json_object_get(t->out, "reply"))
		set(t->out, "reply", t->verdict.reply);
	out_hosts_clear(&t->hosts);
	json_decref(t->out);
	t->out = NULL;
}
