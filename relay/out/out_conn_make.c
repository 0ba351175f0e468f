/* SPDX-License-Identifier: Apache-2.0 */
/* out_conn's way to READY: which address, from which source, with which hello, and the login. */
#include "relay/out/out_conn_own.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "evt/evt_listen.h"
#include "relay/keys/keys_cred.h"
#include "relay/out/out_policy_hook.h"
#include "relay/out/out_verdict.h"

#define IN_MAX	   16384
#define LOGIN_SIZE ((size_t)2 * KEYS_CRED_PART)

static struct out_hosts_target *target(struct out_conn *c)
{
	return &c->setup.hosts->targets[c->order[c->at]];
}

static const char *hostname(const struct out_conn *c)
{
	const struct shape_source *s = c->setup.source;

	return s && s->hostname[0] ? s->hostname : c->setup.conf->hostname;
}

void out_conn_peer_none(struct out_conn_peer *p, const struct out_policy *policy,
			enum tlsrpt_result failure)
{
	memset(p, 0, sizeof(*p));
	p->policy = out_policy_by_name(policy ? policy->by : OUT_POLICY_NOBODY);
	p->verified_by = "none";
	p->failure = failure;
}

static void name_peer(struct out_conn *c)
{
	struct out_conn_peer *p = &c->peer;
	const struct out_hosts_target *t = target(c);

	out_conn_peer_none(p, c->setup.policy, c->must.failure);
	p->policy = out_policy_by_name(c->must.by);
	snprintf(p->why, sizeof(p->why), "%s", c->must.why);
	memcpy(p->host, c->setup.hosts->names[t->rank.host], sizeof(p->host));
	evt_listen_format(p->address, &t->address);
	p->port = c->setup.route->port;
	p->clear = c->must.level > RELAY_TLS_NONE	? "not-offered"
		   : c->must.by == OUT_POLICY_EXCEPTION ? "exception"
							: "route";
	if (c->setup.source)
		memcpy(p->source, c->setup.source->name, sizeof(p->source));
}

/* How much a failure of one host tells of the whole: nothing of whether others would have taken the
 * mail is known from one that could not be reached, and one that says "later" is the one to come
 * back to. */
static int telling(const struct queue_result *v)
{
	return v->reason == QUEUE_CONNECT ? 1 : v->outcome == SPOOL_BOUNCED ? 2 : 3;
}

/* One TLS session was tried, or was not to be: peer says what came of it. Reports count them. */
static void tell_session(const struct out_conn *c)
{
	if (c->setup.only_probe)
		return;
	log_debug("out", NULL, "out-tls", "host=%s policy=%s by=%s failure=%s why=\"%s\"", c->peer.host,
		  c->peer.policy, c->peer.verified_by, tlsrpt_result_name(c->peer.failure), c->peer.why);
	if (c->setup.route->mx) /* what the administrator named is nobody else's business */
		out_policy_hook_session(c->setup.relay, c->setup.policy, &c->must, c->setup.route->host,
					&c->peer);
}

/* A failure of one target. Only if all of them refused for good is it refused for good. */
void out_conn_make_note(struct out_conn *c, const struct queue_result *v)
{
	int deferred = v->outcome == SPOOL_DEFERRED || c->verdict.outcome == SPOOL_DEFERRED;

	if (!c->verdict.outcome || telling(v) >= telling(&c->verdict)) {
		c->verdict = *v;
		c->verdict_peer = c->peer;
	}
	if (deferred)
		c->verdict.outcome = SPOOL_DEFERRED;
}

/* Who is to wait for what TLS was not good enough for. */
static uint8_t whose(const struct out_conn *c)
{
	if (c->setup.policy->requiretls)
		return QUEUE_WHOSE_MESSAGE;
	return c->must.by == OUT_POLICY_NOBODY || c->must.by == OUT_POLICY_ROUTE ? QUEUE_WHOSE_SITE
										: QUEUE_WHOSE_DOMAIN;
}

static void note_ours(struct out_conn *c, int reason, const char *enhanced, const char *text)
{
	struct queue_result v = {0};

	out_verdict_ours(&v, SPOOL_DEFERRED, reason, enhanced, text);
	if (reason == QUEUE_TLS)
		v.whose = whose(c);
	out_conn_make_note(c, &v);
}

/* --- addresses */

/* What to bind to for the target; NULL: the system chooses. */
static const struct sockaddr_storage *local_of(const struct out_conn *c,
					       const struct out_hosts_target *t)
{
	const struct shape_source *s = c->setup.source;
	const struct sockaddr_storage *a;

	if (!s)
		return NULL;
	a = t->address.ss_family == AF_INET6 ? &s->v6 : &s->v4;
	return a->ss_family ? a : NULL;
}

/* A source that has an address of one family only is not to be left by the other. */
static int reachable(const struct out_conn *c, const struct out_hosts_target *t)
{
	const struct shape_source *s = c->setup.source;

	return !s || local_of(c, t) || (!s->v4.ss_family && !s->v6.ss_family);
}

/* Whether the target is IPv6 and an IPv4 address waits behind it: one that answers at once is worth
 * a wait, one that is silent is most likely an IPv6 that goes nowhere (RFC 8305). */
static int hurries(struct out_conn *c)
{
	if (target(c)->address.ss_family != AF_INET6 || c->at >= c->setup.hosts->count)
		return 0;
	for (unsigned i = c->at + 1; i < c->setup.hosts->count; i++) {
		const struct out_hosts_target *t = &c->setup.hosts->targets[c->order[i]];
		if (t->address.ss_family == AF_INET && reachable(c, t))
			return 1;
	}
	return 0;
}

/* --- one target after the other */

static enum shape_act on_heard(void *arg, const struct smtp_reply_in *r)
{
	struct out_conn *c = arg;
	char text[OUT_VERDICT_SAID];

	out_verdict_said(text, r);
	/* not the turn's time: a pause asked for lasts from here, no moment less */
	return shape_heard(c->setup.relay->shape, c->setup.lane, r->code, text, clock_mono());
}

static int connect_failed(struct out_conn *c, int err)
{
	const struct shape_source *s = c->setup.source;

	if (err == ERR_NOTFOUND && s)
		log_event(LOG_LEVEL_ERROR, NULL, "source-unusable",
			  "source=%s why=\"this host does not have its address\"", s->name);
	note_ours(c, QUEUE_CONNECT, "4.4.1",
		  err == ERR_NOTFOUND ? "source address is not on this host" : err_text(err));
	return err;
}

static int connect_target(struct out_conn *c)
{
	struct out_session_setup s = {.hostname = hostname(c),
				      .tls = c->must.level,
				      .demand = out_policy_by_text(c->must.by),
				      .login = c->setup.route->credential[0] != '\0',
				      .refuse_eightbit =
					  c->setup.conf->outbound.eightbit == RELAY_EIGHTBIT_REFUSE,
				      .requiretls = c->setup.route->requiretls ==
						    OUT_ROUTE_OFFERED,
				      .no_chunks = c->setup.no_chunks,
				      .heard = c->setup.lane ? on_heard : NULL,
				      .arg = c};
	int err = 0;

	if (c->tls_try == OUT_TLS_CLEAR)
		s.tls = RELAY_TLS_NONE;
	out_session_clear(&c->session);
	out_session_init(&c->session, &s);
	c->resumes = 0;
	c->timer_seen = c->session.timer - 1;
	name_peer(c);
	if (c->tls_try == OUT_TLS_CLEAR)
		c->peer.clear = "broken";
	c->evt = evt_conn_connect(c->setup.loop, &target(c)->address, local_of(c, target(c)),
				  IN_MAX, out_conn_event, c, &err);
	if (!c->evt)
		return connect_failed(c, err);
	if (s.login)
		evt_conn_set_secret(c->evt);
	relay_count(c->setup.relay, connections_out, 1);
	relay_count(c->setup.relay, connections_open, 1);
	out_conn_pump(c);
	c->hurry = hurries(c);
	if (c->hurry)
		evt_conn_set_timeout(c->evt, OUT_CONN_HURRY);
	return 0;
}

/* What the target must be; 1: policy forbids it. */
static int forbidden(struct out_conn *c)
{
	const struct out_policy_host *m = &c->must;

	out_policy_judge(c->setup.policy, c->setup.hosts, target(c)->rank.host, &c->must);
	if (!m->refuse)
		return 0;
	name_peer(c);
	c->peer.clear = NULL;
	note_ours(c, m->lookup ? QUEUE_DNS : QUEUE_TLS, "4.7.5", m->refuse);
	tell_session(c);
	return 1;
}

/* What is known to work with the target, if policy still allows it: its TLSA records may be new. */
static enum out_tls_try first_try(struct out_conn *c, int64_t now)
{
	const struct out_hosts_target *t = target(c);

	if (t->memory.tls_until <= now ||
	    (t->memory.tls_try == OUT_TLS_CLEAR && c->must.level > RELAY_TLS_OPPORTUNISTIC))
		return OUT_TLS_FULL;
	return (enum out_tls_try)t->memory.tls_try;
}

/* Goes through the targets until one connects (for now). */
static void connect_next(struct out_conn *c)
{
	int64_t now = evt_loop_now(c->setup.loop);

	for (; c->at < c->count && c->tries < OUT_CONN_TARGETS; c->at++) {
		if (!reachable(c, target(c)) || forbidden(c))
			continue;
		c->tries++;
		c->tls_try = first_try(c, now);
		if (connect_target(c) == 0)
			return;
		target(c)->memory.bad_until = now + OUT_CONN_BAD;
	}
	if (!c->tries && !c->verdict.outcome)
		note_ours(c, QUEUE_CONNECT, "4.4.1", "source has no address to reach this host from");
	c->closed = 1;
	out_conn_news(c, OUT_SESSION_CLOSE);
}

void out_conn_make_first(struct out_conn *c)
{
	struct out_mx_rank ranks[OUT_HOSTS_TARGETS];
	int64_t now = evt_loop_now(c->setup.loop);

	c->count = c->setup.hosts->count;
	for (unsigned i = 0; i < c->count; i++) {
		ranks[i] = c->setup.hosts->targets[i].rank;
		ranks[i].bad = c->setup.hosts->targets[i].memory.bad_until > now;
	}
	out_mx_order(ranks, c->count, c->setup.seed, c->order);
	connect_next(c);
}

void out_conn_make_connected(struct out_conn *c)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	if (getsockname(evt_conn_fd(c->evt), (struct sockaddr *)&a, &n) == 0)
		evt_listen_format(c->peer.local, &a);
}

int out_conn_make_put_off(struct out_conn *c)
{
	if (!c->hurry || c->session.state != OUT_STATE_CONNECT)
		return 0;
	c->order[c->count++] = c->order[c->at]; /* with all the time it needs, behind the others */
	target(c)->memory.bad_until = evt_loop_now(c->setup.loop) + OUT_CONN_BAD;
	out_conn_drop(c, 0);
	c->tries--;
	c->at++;
	connect_next(c);
	return 1;
}

/* Where its TLS session is kept: with what it was verified by. */
static void session_key(const struct out_conn *c, char key[OUT_TLS_KEY])
{
	out_tls_key(key, c->peer.host, c->peer.port, c->must.trial ? -1 : c->must.level, c->tls_try,
		    c->must.tlsa ? c->must.tlsa->digest : "");
}

/* Another hello to the same target, if the handshake is to blame and policy allows. */
static int try_other_hello(struct out_conn *c, int not_verified, const struct queue_result *v)
{
	char key[OUT_TLS_KEY];
	int next;

	if (!c->session.tls_broken)
		return 0;
	if (c->resumes) { /* perhaps only the old session is not liked */
		session_key(c, key);
		out_tls_forget(c->setup.tls, key);
		return connect_target(c) == 0;
	}
	next = out_tls_next(c->must.level, c->tls_try, not_verified);
	if (next < 0)
		return 0;
	log_event(next == OUT_TLS_CLEAR ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, NULL, "tls-fallback",
		  "host=%s from=%s to=%s why=\"%s\"", c->peer.host, out_tls_try_name(c->tls_try),
		  out_tls_try_name((enum out_tls_try)next), out_verdict_text(v));
	c->tls_try = (enum out_tls_try)next;
	return connect_target(c) == 0;
}

/* A password that is wrong here is not tried at the next address: that is how accounts are locked. */
static void login_failed(struct out_conn *c, const struct queue_result *v)
{
	if (v->reason == QUEUE_AUTH)
		log_event(LOG_LEVEL_ERROR, NULL, "upstream-auth-failed",
			  "credential=%s host=%s code=%u", c->setup.route->credential, c->peer.host,
			  v->code);
	c->verdict = *v;
	c->closed = 1;
	out_conn_news(c, OUT_SESSION_CLOSE);
}

/* What failed, as reports call it. */
static void note_failure(struct out_conn *c, const struct evt_conn_tls *tls, const struct queue_result *v)
{
	struct out_conn_peer *p = &c->peer;

	if (!p->tls.version || v->reason == QUEUE_TLS)
		p->clear = NULL; /* nothing was sent in it */
	if (v->reason != QUEUE_TLS)
		return;
	p->tls = (struct evt_conn_tls){0};
	p->verified_by = "none";
	p->failure = c->session.no_starttls
			 ? TLSRPT_STARTTLS_NOT_SUPPORTED
			 : out_tls_result(c->session.tls_broken ? tls->verify_code : X509_V_OK);
	snprintf(p->why, sizeof(p->why), "%s", v->code ? "STARTTLS was refused" : out_verdict_text(v));
	tell_session(c);
}

void out_conn_make_failed(struct out_conn *c)
{
	struct queue_result v = c->session.failure;
	struct evt_conn_tls tls = {0};

	c->established = 0;
	if (c->evt && c->session.tls_broken)
		evt_conn_tls_info(c->evt, &tls);
	out_conn_make_wipe(c);
	out_conn_drop(c, c->session.polite);
	if (c->session.injected)
		log_event(LOG_LEVEL_WARN, NULL, "starttls-injection", "host=%s", c->peer.host);
	if (c->session.login_failed) {
		login_failed(c, &v);
		return;
	}
	if (v.reason == QUEUE_TLS)
		v.whose = whose(c);
	if (!c->resumes) /* else it is tried once more, without the old session */
		note_failure(c, &tls, &v);
	if (try_other_hello(c, tls.verify_code != X509_V_OK, &v))
		return;
	out_conn_make_note(c, &v);
	target(c)->memory.bad_until = evt_loop_now(c->setup.loop) + OUT_CONN_BAD;
	c->at++;
	connect_next(c);
}

/* It goes on without TLS, as policy allows. */
static void note_clear(struct out_conn *c)
{
	if (c->session.tls_refused)
		c->peer.clear = "refused";
	if (c->must.level == RELAY_TLS_NONE)
		return;
	c->peer.failure = c->tls_try == OUT_TLS_CLEAR ? TLSRPT_VALIDATION_FAILURE
						      : TLSRPT_STARTTLS_NOT_SUPPORTED;
	if (c->tls_try != OUT_TLS_CLEAR) /* a broken handshake was told when it broke */
		tell_session(c);
}

void out_conn_make_ready(struct out_conn *c)
{
	struct out_hosts_target *t = target(c);
	char key[OUT_TLS_KEY];

	log_assert(c->session.secured || c->must.level <= RELAY_TLS_OPPORTUNISTIC);
	c->established = 1;
	t->memory.bad_until = 0;
	if (c->tls_try != OUT_TLS_FULL && t->memory.tls_until <= evt_loop_now(c->setup.loop)) {
		t->memory.tls_try = c->tls_try;
		t->memory.tls_until = evt_loop_now(c->setup.loop) + OUT_TLS_MEMORY;
	}
	if (!c->session.secured) {
		note_clear(c);
		c->must.tlsa = NULL;
		return;
	}
	session_key(c, key);
	if (!c->only_domain[0]) /* whose names a resumed session would not show again */
		out_tls_keep(c->setup.tls, key, evt_conn_ssl(c->evt), c->peer.verified_by);
	c->must.tlsa = NULL; /* hosts may go from now on */
}

/* --- TLS */

static int begin_dane(struct out_conn *c, SSL_CTX *ctx, SSL_SESSION *old)
{
	const struct out_tlsa *t = c->must.tlsa;
	const struct out_hosts *h = c->setup.hosts;
	struct evt_conn_dane d = {.base = t->base, .records = t->records, .count = t->usable};

	if (c->setup.route->mx) { /* RFC 7672 3.2.2 */
		d.names[0] = c->setup.route->host;
		if (h->alias_of[0] && !strcmp(h->domain, c->setup.route->host))
			d.names[1] = h->alias_of;
	}
	return evt_conn_tls_connect_dane(c->evt, ctx, &d, old);
}

void out_conn_make_tls(struct out_conn *c)
{
	int level = c->must.level, err = ERR_TLS;
	enum out_tls_trust trust = c->must.trial		? OUT_TLS_NOTED
				   : level == RELAY_TLS_VERIFY ? OUT_TLS_TRUSTED
							       : OUT_TLS_ANY;
	SSL_CTX *ctx = out_tls_context(c->setup.tls, trust, c->tls_try);
	int named = !c->setup.route->literal || level == RELAY_TLS_VERIFY;
	char key[OUT_TLS_KEY];
	SSL_SESSION *old;

	if (ctx) {
		session_key(c, key);
		old = out_tls_session(c->setup.tls, key, &c->resumes_by);
		c->resumes = old != NULL;
		err = level == RELAY_TLS_DANE
			  ? begin_dane(c, ctx, old)
			  : evt_conn_tls_connect(c->evt, ctx, named ? c->peer.host : NULL, old);
	}
	if (err < 0)
		out_session_broken(&c->session, err, "TLS cannot be begun");
}

/* Who the peer was proven to be, and by what. */
static const char *proof(const struct out_conn *c, const struct evt_conn_tls *tls)
{
	if (!tls->verified)
		return "none";
	if (c->must.level == RELAY_TLS_DANE)
		return tls->resumed ? c->resumes_by : tls->dane_usage == 2 ? "dane-ta" : "dane-ee";
	return c->must.by == OUT_POLICY_STS ? "sts" : "pkix";
}

void out_conn_make_tls_done(struct out_conn *c)
{
	struct out_conn_peer *p = &c->peer;

	evt_conn_tls_info(c->evt, &p->tls);
	/* The context refuses such peers by itself; this line is the one that policy rests on. */
	if (c->must.level >= RELAY_TLS_VERIFY && !p->tls.verified) {
		out_session_broken(&c->session, ERR_TLS, "certificate does not verify");
		return;
	}
	p->verified_by = proof(c, &p->tls);
	if (c->must.trial && !p->tls.verified) {
		p->failure = out_tls_result(p->tls.verify_code);
		snprintf(p->why, sizeof(p->why), "%s",
			 out_tls_why(p->tls.verify_code, "certificate does not verify"));
	}
	if (!p->tls.by_base)
		memcpy(c->only_domain, c->setup.route->host, sizeof(c->only_domain));
	c->vouched = c->must.vouched && p->tls.verified;
	c->session.vouched = c->vouched;
	tell_session(c);
	out_session_secured(&c->session);
}

const char *out_conn_make_tls_text(const struct out_conn *c, const char *text)
{
	struct evt_conn_tls tls;

	if (c->session.state != OUT_STATE_HANDSHAKE)
		return text;
	evt_conn_tls_info(c->evt, &tls);
	return out_tls_why(tls.verify_code, text);
}

/* --- login */

void out_conn_make_wipe(struct out_conn *c)
{
	keys_cred_cancel(c->asking);
	c->asking = NULL;
	secret_free(c->login, LOGIN_SIZE);
	c->login = NULL;
}

static void no_login(struct out_conn *c, int err)
{
	static const struct {
		int err, reason;
		const char *text;
	} rows[] = {
	    {ERR_NOTFOUND, QUEUE_AUTH, "there is no credential of that name"},
	    {ERR_DENIED, QUEUE_AUTH, "the credential is disabled"},
	    {ERR_GONE, QUEUE_AUTH, "the customer of the credential is destroyed"},
	    {ERR_AUTH, QUEUE_AUTH, "the stored credential does not open"},
	    {ERR_DAMAGED, QUEUE_AUTH, "the stored credential does not open"},
	    {ERR_LIMIT, QUEUE_AUTH, "the credential is too long"},
	};
	struct queue_result v = {0};

	out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_KEYD, "4.3.0", "the credential cannot be opened now");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].err == err)
			out_verdict_ours(&v, SPOOL_DEFERRED, rows[i].reason, "4.7.0", rows[i].text);
	out_session_no_login(&c->session, &v);
}

static void on_login(void *arg, int result, struct span user, struct span password)
{
	struct out_conn *c = arg;
	int later = c->asking != NULL;

	c->asking = NULL;
	c->login = result == 0 ? secret_alloc(LOGIN_SIZE) : NULL;
	if (c->login) {
		memcpy(c->login, user.p, user.n);
		memcpy(c->login + KEYS_CRED_PART, password.p, password.n);
		out_session_login(&c->session, span_of(c->login, user.n),
				  span_of(c->login + KEYS_CRED_PART, password.n));
	} else {
		no_login(c, result < 0 ? result : ERR_NOMEM);
	}
	if (later)
		out_conn_pump(c);
}

void out_conn_make_login(struct out_conn *c)
{
	if (!c->peer.tls.verified && !target(c)->memory.login_warned) {
		target(c)->memory.login_warned = 1;
		log_event(LOG_LEVEL_WARN, NULL, "upstream-unverified",
			  "credential=%s host=%s why=\"its certificate is not verified\"",
			  c->setup.route->credential, c->peer.host);
	}
	c->asking = keys_cred_get(c->setup.creds, c->setup.route->credential, on_login, c);
}
