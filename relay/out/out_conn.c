/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_conn.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_listen.h"
#include "relay/out/out_verdict.h"

#define IN_MAX	 16384
#define DRAIN_AT (OUT_CONN_AHEAD / 4)

static void pump(struct out_conn *c);
static void on_event(void *arg, struct evt_conn *e, enum evt_conn_event ev);

static struct out_hosts_target *target(struct out_conn *c)
{
	return &c->setup.hosts->targets[c->order[c->at]];
}

static void news(struct out_conn *c, unsigned what)
{
	c->untold |= what;
	evt_loop_defer(c->setup.loop, &c->news);
}

static void drop_evt(struct out_conn *c, int polite)
{
	if (!c->evt)
		return;
	if (polite)
		evt_conn_finish(c->evt);
	else
		evt_conn_close(c->evt);
	c->evt = NULL;
	atomic_fetch_sub_explicit(&c->setup.relay->count.connections_open, 1, memory_order_relaxed);
}

/* --- making the connection */

static void name_peer(struct out_conn *c)
{
	struct out_conn_peer *p = &c->peer;
	const struct out_hosts_target *t = target(c);

	memset(p, 0, sizeof(*p));
	memcpy(p->host, c->setup.hosts->names[t->rank.host], sizeof(p->host));
	evt_listen_format(p->address, &t->address);
	p->port = c->setup.route->port;
	p->clear = c->setup.route->tls == RELAY_TLS_NONE ? "route" : "not-offered";
}

/* How much a failure of one host tells of the whole: nothing of whether others would have taken the
 * mail is known from one that could not be reached, and one that says "later" is the one to come
 * back to. */
static int telling(const struct queue_result *v)
{
	return v->reason == QUEUE_CONNECT ? 1 : v->outcome == SPOOL_BOUNCED ? 2 : 3;
}

/* A failure of one target. Only if all of them refused for good is it refused for good. */
static void note(struct out_conn *c, const struct queue_result *v)
{
	int deferred = v->outcome == SPOOL_DEFERRED || c->verdict.outcome == SPOOL_DEFERRED;

	if (!c->verdict.outcome || telling(v) >= telling(&c->verdict))
		c->verdict = *v;
	if (deferred)
		c->verdict.outcome = SPOOL_DEFERRED;
}

static int connect_target(struct out_conn *c)
{
	struct out_session_setup s = {c->setup.conf->hostname, c->setup.route->tls};
	struct queue_result v = {0};
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
	c->evt =
	    evt_conn_connect(c->setup.loop, &target(c)->address, NULL, IN_MAX, on_event, c, &err);
	if (!c->evt) {
		out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_CONNECT, "4.4.1", err_text(err));
		note(c, &v);
		return err;
	}
	relay_count(c->setup.relay, connections_out, 1);
	relay_count(c->setup.relay, connections_open, 1);
	pump(c);
	return 0;
}

/* Goes through the targets until one connects (for now). */
static void connect_next(struct out_conn *c)
{
	int64_t now = evt_loop_now(c->setup.loop);

	for (; c->at < c->setup.hosts->count && c->tries < OUT_CONN_TARGETS; c->at++) {
		c->tries++;
		c->tls_try = target(c)->memory.tls_until > now
				 ? (enum out_tls_try)target(c)->memory.tls_try
				 : OUT_TLS_FULL;
		if (connect_target(c) == 0)
			return;
		target(c)->memory.bad_until = now + OUT_CONN_BAD;
	}
	c->closed = 1;
	news(c, OUT_SESSION_CLOSE);
}

/* Another hello to the same target, if the handshake is to blame and policy allows. */
static int try_other_hello(struct out_conn *c, int not_verified, const struct queue_result *v)
{
	char key[OUT_TLS_KEY];
	int next;

	if (!c->session.tls_broken)
		return 0;
	if (c->resumes) { /* perhaps only the old session is not liked */
		out_tls_key(key, c->peer.host, c->peer.port, c->setup.route->tls, c->tls_try);
		out_tls_forget(c->setup.tls, key);
		return connect_target(c) == 0;
	}
	next = out_tls_next(c->setup.route->tls, c->tls_try, not_verified);
	if (next < 0)
		return 0;
	log_event(next == OUT_TLS_CLEAR ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, NULL, "tls-fallback",
		  "host=%s from=%s to=%s why=\"%s\"", c->peer.host, out_tls_try_name(c->tls_try),
		  out_tls_try_name((enum out_tls_try)next), out_verdict_text(v));
	c->tls_try = (enum out_tls_try)next;
	return connect_target(c) == 0;
}

static void attempt_failed(struct out_conn *c)
{
	struct queue_result v = c->session.failure;
	struct evt_conn_tls tls = {0};

	if (c->evt && c->session.tls_broken)
		evt_conn_tls_info(c->evt, &tls);
	drop_evt(c, c->session.polite);
	if (c->session.injected)
		log_event(LOG_LEVEL_WARN, NULL, "starttls-injection", "host=%s", c->peer.host);
	if (try_other_hello(c, tls.verify_code != X509_V_OK, &v))
		return;
	note(c, &v);
	target(c)->memory.bad_until = evt_loop_now(c->setup.loop) + OUT_CONN_BAD;
	c->at++;
	connect_next(c);
}

static void established(struct out_conn *c)
{
	struct out_hosts_target *t = target(c);
	char key[OUT_TLS_KEY];

	c->established = 1;
	t->memory.bad_until = 0;
	if (c->tls_try != OUT_TLS_FULL && t->memory.tls_until <= evt_loop_now(c->setup.loop)) {
		t->memory.tls_try = c->tls_try;
		t->memory.tls_until = evt_loop_now(c->setup.loop) + OUT_TLS_MEMORY;
	}
	if (c->session.tls_refused)
		c->peer.clear = "refused";
	if (!c->session.secured)
		return;
	out_tls_key(key, c->peer.host, c->peer.port, c->setup.route->tls, c->tls_try);
	out_tls_keep(c->setup.tls, key, evt_conn_ssl(c->evt));
}

static void start_tls(struct out_conn *c)
{
	int level = c->setup.route->tls, err = ERR_TLS;
	SSL_CTX *ctx = out_tls_context(c->setup.tls, level, c->tls_try);
	int named = !c->setup.route->literal || level == RELAY_TLS_VERIFY;
	char key[OUT_TLS_KEY];
	SSL_SESSION *old;

	if (ctx) {
		out_tls_key(key, c->peer.host, c->peer.port, level, c->tls_try);
		old = out_tls_session(c->setup.tls, key);
		c->resumes = old != NULL;
		err = evt_conn_tls_connect(c->evt, ctx, named ? c->peer.host : NULL, old);
	}
	if (err < 0)
		out_session_broken(&c->session, err, "TLS cannot be begun");
}

static void on_tls(struct out_conn *c)
{
	evt_conn_tls_info(c->evt, &c->peer.tls);
	/* The context refuses such peers by itself; this line is the one that policy rests on. */
	if (c->setup.route->tls == RELAY_TLS_VERIFY && !c->peer.tls.verified)
		out_session_broken(&c->session, ERR_TLS, "certificate does not verify");
	else
		out_session_secured(&c->session);
}

/* --- the body */

static void body_failed(struct out_conn *c, int err)
{
	struct queue_result v = {0};

	out_verdict_local(&v, err);
	out_session_body_broken(&c->session, &v);
}

static void feed_body(struct out_conn *c)
{
	while (c->session.state == OUT_STATE_BODY) {
		struct span piece;
		uint8_t *room;
		size_t n;
		int rc;

		if (evt_conn_unsent(c->evt) >= OUT_CONN_AHEAD) {
			evt_conn_notify_drained(c->evt, DRAIN_AT);
			return;
		}
		rc = spool_reader_next(c->reader, &piece);
		if (rc < 0) {
			body_failed(c, rc);
		} else if (rc == 0) {
			out_session_body_end(&c->session);
		} else {
			room = evt_conn_reserve(c->evt, 2 * piece.n + 1);
			if (!room)
				body_failed(c, ERR_NOMEM);
			else if (out_session_body(&c->session, piece, room, &n) == 0)
				evt_conn_commit(c->evt, n);
		}
	}
}

/* --- events */

static void flush(struct out_conn *c)
{
	struct buf *out = &c->session.out;

	if (buf_size(out) == 0)
		return;
	if (buf_failed(out) || evt_conn_write(c->evt, buf_ptr(out), buf_size(out)) < 0)
		out_session_broken(&c->session, ERR_NOMEM, "out of memory");
	buf_reset(out);
}

static void set_timer(struct out_conn *c)
{
	if (c->timer_seen == c->session.timer)
		return;
	c->timer_seen = c->session.timer;
	evt_conn_set_timeout(c->evt, out_state_timeout(c->session.state));
}

/* Does what the session wishes. */
static void pump(struct out_conn *c)
{
	struct out_session *s = &c->session;

	flush(c);
	if (s->want & OUT_SESSION_TLS) {
		s->want &= ~(unsigned)OUT_SESSION_TLS;
		start_tls(c);
	}
	if (s->want & OUT_SESSION_BODY) {
		feed_body(c);
		flush(c);
	}
	if (s->want & OUT_SESSION_CLOSE) {
		flush(c);
		if (!s->established) {
			attempt_failed(c);
			return;
		}
		c->closed = 1;
		drop_evt(c, s->polite);
	} else {
		set_timer(c);
	}
	if ((s->want & OUT_SESSION_READY) && !c->established)
		established(c);
	if (s->want & ~(unsigned)OUT_SESSION_BODY)
		news(c, s->want);
	s->want &= OUT_SESSION_BODY;
}

static void on_timeout(struct out_conn *c)
{
	if (c->session.state != OUT_STATE_READY)
		out_session_broken(&c->session, ERR_TIMEOUT, NULL);
	else if (!c->task)
		out_session_quit(&c->session);
}

static void on_event(void *arg, struct evt_conn *e, enum evt_conn_event ev)
{
	struct out_conn *c = arg;
	struct buf *in = evt_conn_in(e);
	const char *text = "connection lost";
	int err;

	switch (ev) {
	case EVT_CONN_CONNECTED:
		out_session_connected(&c->session);
		break;
	case EVT_CONN_TLS:
		on_tls(c);
		break;
	case EVT_CONN_DATA:
		buf_drain(in, out_session_bytes(&c->session, buf_span(in)));
		break;
	case EVT_CONN_DRAINED:
		c->timer_seen--; /* progress: the wait begins anew */
		break;
	case EVT_CONN_EOF:
		out_session_broken(&c->session, ERR_CLOSED, text);
		break;
	case EVT_CONN_TIMEOUT:
		on_timeout(c);
		break;
	case EVT_CONN_ERROR:
		err = evt_conn_error(e, &text);
		out_session_broken(&c->session, err, text);
		break;
	}
	pump(c);
}

/* Tells task and owner, in an order that lets each of them free. */
static void tell(void *arg)
{
	struct out_conn *c = arg;
	struct out_task *t = c->task;
	unsigned untold = c->untold;

	c->untold = 0;
	if (t && (untold & OUT_SESSION_ENDED)) {
		c->reader = NULL;
		c->settling = 1;
		t->fns->ended(t, c);
	} else if (t && c->closed && !c->settling) {
		c->task = NULL;
		c->reader = NULL;
		t->fns->stale(t);
	}
	if (c->task)
		return;
	if (!c->closed && out_conn_usable(c))
		c->setup.free_to_use(c);
	else if (c->closed && c->established)
		c->setup.gone(c);
	else if (c->closed)
		c->setup.failed(c, &c->verdict);
}

/* --- for the owner and the task */

int out_conn_usable(const struct out_conn *c)
{
	return c->established && !c->closed && !c->task && c->session.state == OUT_STATE_READY;
}

void out_conn_grant(struct out_conn *c, struct out_task *t)
{
	c->task = t;
	evt_conn_set_timeout(c->evt, 0);
	t->fns->granted(t, c);
}

void out_conn_send(struct out_conn *c, const struct out_session_mail *m,
		   struct spool_reader *reader)
{
	if (c->closed) /* tell is on its way with stale */
		return;
	c->reader = reader;
	c->messages++;
	out_session_send(&c->session, m);
	pump(c);
}

void out_conn_release(struct out_conn *c)
{
	c->task = NULL;
	c->settling = 0;
	news(c, 0);
}

void out_conn_idle(struct out_conn *c, int64_t usec)
{
	if (!c->evt)
		return;
	if (usec > 0) {
		evt_conn_set_timeout(c->evt, usec);
		return;
	}
	out_session_quit(&c->session);
	pump(c);
}

void out_conn_abort(struct out_conn *c)
{
	if (c->closed)
		return;
	if (!c->established) { /* no other target */
		out_session_broken(&c->session, ERR_CLOSED, "given up here");
		drop_evt(c, 0);
		note(c, &c->session.failure);
		c->closed = 1;
		news(c, OUT_SESSION_CLOSE);
		return;
	}
	out_session_broken(&c->session, ERR_CLOSED, "given up here");
	pump(c);
}

struct out_conn *out_conn_open(const struct out_conn_setup *setup)
{
	struct out_conn *c = calloc(1, sizeof(*c));
	struct out_mx_rank ranks[OUT_HOSTS_TARGETS];
	int64_t now = evt_loop_now(setup->loop);

	if (!c)
		return NULL;
	c->setup = *setup;
	c->news.fn = tell;
	c->news.arg = c;
	for (unsigned i = 0; i < setup->hosts->count; i++) {
		ranks[i] = setup->hosts->targets[i].rank;
		ranks[i].bad = setup->hosts->targets[i].memory.bad_until > now;
	}
	out_mx_order(ranks, setup->hosts->count, setup->seed, c->order);
	connect_next(c);
	return c;
}

void out_conn_free(struct out_conn *c)
{
	if (!c)
		return;
	evt_loop_undefer(c->setup.loop, &c->news);
	drop_evt(c, 0);
	out_session_clear(&c->session);
	free(c);
}
