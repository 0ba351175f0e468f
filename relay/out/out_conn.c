/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_conn_own.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/out/out_verdict.h"

#define DRAIN_AT (OUT_CONN_AHEAD / 4)

void out_conn_news(struct out_conn *c, unsigned what)
{
	c->untold |= what;
	evt_loop_defer(c->setup.loop, &c->news);
}

void out_conn_drop(struct out_conn *c, int polite)
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

/* --- the body */

static void body_failed(struct out_conn *c, int err)
{
	struct queue_result v = {0};

	out_verdict_local(&v, err);
	out_session_body_broken(&c->session, &v);
}

/* What would complete a chunk leaves only once the source has verified that this is its end. */
static int verified(struct out_conn *c)
{
	struct span more;
	int rc;

	if (!c->session.chunked || c->session.rest)
		return 1;
	rc = spool_reader_next(c->reader, &more);
	if (rc)
		body_failed(c, rc < 0 ? rc : ERR_DAMAGED);
	return rc == 0;
}

static void feed_body(struct out_conn *c)
{
	while (c->session.giving) {
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
			room = evt_conn_reserve(c->evt, (c->session.chunked ? 1 : 2) * piece.n + 1);
			if (!room)
				body_failed(c, ERR_NOMEM);
			else if (out_session_body(&c->session, piece, room, &n) == 0 && verified(c)) {
				evt_conn_commit(c->evt, n);
				if (c->session.chunked && !c->session.rest)
					out_session_body_end(&c->session);
			}
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

void out_conn_pump(struct out_conn *c)
{
	struct out_session *s = &c->session;

	if (s->want & OUT_SESSION_LOGIN) {
		s->want &= ~(unsigned)OUT_SESSION_LOGIN;
		out_conn_make_login(c);
	}
	if (c->login && s->state != OUT_STATE_LOGIN && s->state != OUT_STATE_AUTH)
		out_conn_make_wipe(c);
	flush(c);
	if (s->want & OUT_SESSION_TLS) {
		s->want &= ~(unsigned)OUT_SESSION_TLS;
		out_conn_make_tls(c);
	}
	if (s->want & OUT_SESSION_BODY) {
		feed_body(c);
		flush(c);
	}
	if (s->want & OUT_SESSION_CLOSE) {
		flush(c);
		if (!c->offered) { /* also when READY and the end came in one turn */
			out_conn_make_failed(c);
			return;
		}
		c->closed = 1;
		out_conn_drop(c, s->polite);
	} else {
		set_timer(c);
	}
	if ((s->want & OUT_SESSION_READY) && !c->established)
		out_conn_make_ready(c);
	if (s->want & ~(unsigned)OUT_SESSION_BODY)
		out_conn_news(c, s->want);
	s->want &= OUT_SESSION_BODY;
}

/* 1: goes on with another target, and all is done. */
static int on_timeout(struct out_conn *c)
{
	if (!c->established && out_conn_make_put_off(c))
		return 1;
	if (c->session.state != OUT_STATE_READY)
		out_session_broken(&c->session, ERR_TIMEOUT, NULL);
	else if (!c->task)
		out_session_quit(&c->session);
	return 0;
}

void out_conn_event(void *arg, struct evt_conn *e, enum evt_conn_event ev)
{
	struct out_conn *c = arg;
	struct buf *in = evt_conn_in(e);
	const char *text = "connection lost";
	int err;

	switch (ev) {
	case EVT_CONN_CONNECTED:
		out_conn_make_connected(c);
		out_session_connected(&c->session);
		break;
	case EVT_CONN_TLS:
		out_conn_make_tls_done(c);
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
		if (on_timeout(c))
			return;
		break;
	case EVT_CONN_ERROR:
		err = evt_conn_error(e, &text);
		out_session_broken(&c->session, err, out_conn_make_tls_text(c, text));
		break;
	}
	out_conn_pump(c);
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
	if (!c->closed && out_conn_usable(c)) {
		c->offered = 1;
		c->setup.free_to_use(c);
	} else if (c->closed && c->offered) {
		c->setup.gone(c);
	} else if (c->closed) {
		c->setup.failed(c, &c->verdict);
	}
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
	out_conn_pump(c);
}

void out_conn_release(struct out_conn *c)
{
	c->task = NULL;
	c->settling = 0;
	out_conn_news(c, 0);
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
	out_conn_pump(c);
}

void out_conn_abort(struct out_conn *c)
{
	if (c->closed)
		return;
	if (!c->offered) { /* no other target */
		out_conn_make_wipe(c);
		out_session_broken(&c->session, ERR_CLOSED, "given up here");
		out_conn_drop(c, 0);
		out_conn_make_note(c, &c->session.failure);
		c->closed = 1;
		out_conn_news(c, OUT_SESSION_CLOSE);
		return;
	}
	out_session_broken(&c->session, ERR_CLOSED, "given up here");
	out_conn_pump(c);
}

struct out_conn *out_conn_open(const struct out_conn_setup *setup)
{
	struct out_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->setup = *setup;
	c->news.fn = tell;
	c->news.arg = c;
	out_conn_make_first(c);
	return c;
}

void out_conn_free(struct out_conn *c)
{
	if (!c)
		return;
	evt_loop_undefer(c->setup.loop, &c->news);
	out_conn_make_wipe(c);
	out_conn_drop(c, 0);
	out_session_clear(&c->session);
	free(c);
}
