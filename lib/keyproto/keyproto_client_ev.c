/* SPDX-License-Identifier: Apache-2.0 */
#include "keyproto/keyproto_client_ev.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyproto/keyproto_client_ev_own.h"

#define RETRY_FIRST   (CLOCK_SEC / 10)
#define RETRY_MAX     (2 * CLOCK_SEC)
#define RETRY_IDLE    (3600 * CLOCK_SEC)
#define HELLO_TIMEOUT (5 * CLOCK_SEC)

static void retry(void *arg);

static void bury(struct keyproto_client_ev *c)
{
	keyproto_client_ev_calls_clear(c);
	evt_timer_clear(&c->retry);
	free(c->path);
	free(c);
}

void keyproto_client_ev_enter(struct keyproto_client_ev *c)
{
	c->depth++;
}

void keyproto_client_ev_leave(struct keyproto_client_ev *c)
{
	if (--c->depth == 0 && c->dead)
		bury(c);
}

struct keyproto_client_ev *keyproto_client_ev_new(struct evt_loop *loop, const char *path,
						  unsigned role, const char *program,
						  keyproto_client_ev_state_fn on_state, void *arg)
{
	struct keyproto_client_ev *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->loop = loop;
	c->role = role;
	c->program = program;
	c->on_state = on_state;
	c->arg = arg;
	c->delay = RETRY_FIRST;
	keyproto_client_ev_calls_init(c);
	evt_timer_init(&c->retry, loop, retry, c);
	c->path = strdup(path);
	/* From now on retry always lies in the loop's heap, so moving it cannot fail for want of
	 * memory. */
	if (!c->path || evt_timer_set(&c->retry, RETRY_IDLE) < 0) {
		bury(c);
		return NULL;
	}
	retry(c);
	return c;
}

unsigned keyproto_client_ev_state(const struct keyproto_client_ev *c)
{
	return c->state;
}

static void set_state(struct keyproto_client_ev *c, unsigned state)
{
	if (c->state == state)
		return;
	c->state = state;
	if (c->on_state)
		c->on_state(c->arg, state);
}

static void complain(struct keyproto_client_ev *c, int err, const char *what)
{
	if (c->complained == err)
		return;
	c->complained = err;
	log_event(LOG_LEVEL_WARN, NULL, "keyd-refused", "role=%s step=%s error=\"%s\"",
		  keyproto_role_name(c->role), what, err_text(err));
}

static void lose(struct keyproto_client_ev *c)
{
	evt_conn_close(c->conn);
	c->conn = NULL;
	evt_timer_set(&c->retry, c->delay);
	c->delay = 2 * c->delay < RETRY_MAX ? 2 * c->delay : RETRY_MAX;
	set_state(c, KEYPROTO_AWAY);
	if (!c->dead)
		keyproto_client_ev_answer_all(c, ERR_AWAY);
}

static int fill_hello(struct buf *body, const void *message)
{
	const struct keyproto_client_ev *c = message;
	struct keyproto_hello m = {
	    .version_min = WIRE_FRAME_VERSION,
	    .version_max = WIRE_FRAME_VERSION,
	    .role = (uint8_t)c->role,
	    .program = span_str(c->program),
	};

	return keyproto_hello_put(body, &m);
}

static int say_hello(struct keyproto_client_ev *c)
{
	int err = keyproto_client_ev_put(c, KEYPROTO_HELLO, 1, fill_hello, c);

	if (err == 0)
		err = evt_conn_write(c->conn, buf_ptr(&c->frame), buf_size(&c->frame));
	keyproto_client_ev_forget(c);
	evt_conn_set_timeout(c->conn, HELLO_TIMEOUT);
	return err;
}

static int on_hello(struct keyproto_client_ev *c, const struct wire_frame *f)
{
	struct keyproto_hello_reply m;
	int err = f->opcode == KEYPROTO_HELLO && f->request == 1 ? 0 : ERR_FORMAT;

	if (err == 0)
		err = keyproto_err_of_status(f->status);
	if (err == 0)
		err = keyproto_hello_reply_get(f->body, &m);
	if (err == 0 && m.version != WIRE_FRAME_VERSION)
		err = ERR_UNSUPPORTED;
	if (err < 0) {
		complain(c, err, "hello");
		return err;
	}
	evt_conn_set_timeout(c->conn, 0);
	c->delay = RETRY_FIRST;
	c->complained = 0;
	c->epoch = f->epoch;
	set_state(c, m.state);
	return 0;
}

static int on_push(struct keyproto_client_ev *c, const struct wire_frame *f)
{
	uint8_t state;
	int same;

	if (f->opcode != KEYPROTO_EVENT || keyproto_event_get(f->body, &state) < 0)
		return ERR_FORMAT;
	same = c->state == state && c->epoch != f->epoch;
	c->epoch = f->epoch;
	set_state(c, state);
	if (same && c->on_state)
		c->on_state(c->arg, state);
	if (c->state == KEYPROTO_AWAY || c->state == KEYPROTO_ERROR)
		keyproto_client_ev_answer_line(c, ERR_AWAY);
	else if (c->state != KEYPROTO_READY)
		keyproto_client_ev_answer_line(c, ERR_LOCKED);
	return 0;
}

static void on_data(struct keyproto_client_ev *c)
{
	struct evt_conn *conn = c->conn;
	struct wire_frame f;
	struct buf *in;
	int n;

	/* c->conn changes if a callback frees the client. */
	while (!c->dead && c->conn == conn &&
	       (n = wire_frame_parse(buf_span(in = evt_conn_in(conn)), &f)) != 0) {
		int err = n;

		if (n > 0 && c->state == KEYPROTO_AWAY)
			err = on_hello(c, &f);
		else if (n > 0)
			err = f.request == 0 ? on_push(c, &f) : keyproto_client_ev_reply(c, &f);
		if (c->dead)
			return;
		if (err < 0) {
			complain(c, err, "frame");
			lose(c);
			return;
		}
		buf_drain(in, (size_t)n);
	}
}

static void on_event(void *arg, struct evt_conn *conn, enum evt_conn_event ev)
{
	struct keyproto_client_ev *c = arg;

	(void)conn;
	keyproto_client_ev_enter(c);
	switch (ev) {
	case EVT_CONN_CONNECTED:
		if (say_hello(c) < 0)
			lose(c);
		break;
	case EVT_CONN_DATA:
		on_data(c);
		break;
	case EVT_CONN_TIMEOUT:
		complain(c, ERR_TIMEOUT, "hello");
		lose(c);
		break;
	case EVT_CONN_EOF:
	case EVT_CONN_ERROR:
		lose(c);
		break;
	case EVT_CONN_TLS:
	case EVT_CONN_DRAINED:
		break;
	}
	keyproto_client_ev_leave(c);
}

static void retry(void *arg)
{
	struct keyproto_client_ev *c = arg;
	int err;

	evt_timer_set(&c->retry, RETRY_IDLE);
	if (c->conn)
		return;
	c->conn = evt_conn_connect_unix(c->loop, c->path, 2 * KEYPROTO_CLIENT_EV_FRAME, on_event, c,
					&err);
	if (c->conn) {
		evt_conn_set_secret(c->conn);
		return;
	}
	complain(c, err, "connect");
	keyproto_client_ev_enter(c);
	lose(c);
	keyproto_client_ev_leave(c);
}

void keyproto_client_ev_free(struct keyproto_client_ev *c)
{
	if (!c || c->dead)
		return;
	keyproto_client_ev_enter(c);
	c->dead = 1;
	c->state = KEYPROTO_AWAY;
	c->on_state = NULL;
	evt_conn_close(c->conn);
	c->conn = NULL;
	keyproto_client_ev_answer_all(c, ERR_AWAY);
	evt_timer_stop(&c->retry);
	evt_timer_stop(&c->expiry);
	keyproto_client_ev_leave(c);
}
