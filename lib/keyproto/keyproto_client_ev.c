/* SPDX-License-Identifier: Apache-2.0 */
/* A request's id is the number of its place in the table, and above it a count that never repeats. A call that
 * timed out keeps its place until keyd has answered it: keyd counts it too. */
#include "keyproto/keyproto_client_ev.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/list.h"
#include "core/log.h"
#include "core/num.h"
#include "core/secret.h"
#include "evt/evt_conn.h"
#include "evt/evt_timer.h"
#include "wire/wire_frame.h"

#define FRAME_MAX (WIRE_FRAME_HEAD + WIRE_FRAME_BODY_MAX)
#define RETRY_FIRST (CLOCK_SEC / 10)
#define RETRY_MAX (2 * CLOCK_SEC)
#define RETRY_IDLE (3600 * CLOCK_SEC)
#define HELLO_TIMEOUT (5 * CLOCK_SEC)
#define LINE_CALLS 4096
#define LINE_BYTES (4u << 20)
#define PLACES KEYPROTO_CREDIT
#define SPARE_MAX 64

struct call {
	keyproto_client_ev_reply_fn fn; /* NULL: answered already (timed out) */
	void *arg;
	uint64_t id; /* 0 while in line */
	uint16_t op;
	int64_t due;	      /* 0: never */
	struct list_link due_link; /* in by_due */
	struct list_link link;	   /* in line, or among the spare ones */
	struct buf frame;	   /* while in line */
};

struct keyproto_client_ev {
	struct evt_loop *loop;
	char *path;
	unsigned role;
	const char *program;
	keyproto_client_ev_state_fn on_state;
	void *arg;
	struct evt_conn *conn;
	unsigned state; /* as told */
	int depth, dead;
	int complained; /* ERR_* of the last keyd-refused */
	struct evt_timer retry, expiry;
	int64_t delay;
	uint64_t count;
	struct buf frame; /* where a request is written */
	struct call *place[PLACES];
	uint8_t open_place[PLACES];
	unsigned open_count;
	struct list by_due, line, spare;
	unsigned line_count, spare_count;
	size_t line_bytes;
};

static void retry(void *arg);
static void expire(void *arg);

/* --- the client may be freed in any callback: enter before the first, leave after the last. */

static void bury(struct keyproto_client_ev *c)
{
	struct list_link *k;

	while ((k = list_pop_front(&c->spare)) != NULL)
		free(list_entry(k, struct call, link));
	buf_clear(&c->frame);
	free(c->path);
	free(c);
}

static void enter(struct keyproto_client_ev *c)
{
	c->depth++;
}

static void leave(struct keyproto_client_ev *c)
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
	buf_init_wiped(&c->frame, FRAME_MAX);
	list_init(&c->by_due);
	list_init(&c->line);
	list_init(&c->spare);
	for (unsigned i = 0; i < PLACES; i++)
		c->open_place[c->open_count++] = (uint8_t)(PLACES - 1 - i);
	evt_timer_init(&c->retry, loop, retry, c);
	evt_timer_init(&c->expiry, loop, expire, c);
	c->path = strdup(path);
	/* From now on retry always lies in the loop's heap, so moving it cannot fail for want of memory. */
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

/* --- calls */

static struct call *call_new(struct keyproto_client_ev *c)
{
	struct list_link *k = list_pop_front(&c->spare);
	struct call *call = k ? list_entry(k, struct call, link) : malloc(sizeof(*call));

	if (k)
		c->spare_count--;
	if (call)
		memset(call, 0, sizeof(*call));
	return call;
}

/* Out of every list and of the table; then only the caller knows it. */
static void call_detach(struct keyproto_client_ev *c, struct call *call)
{
	if (list_linked(&call->due_link))
		list_remove(&call->due_link);
	if (list_linked(&call->link)) {
		list_remove(&call->link);
		c->line_count--;
		c->line_bytes -= buf_size(&call->frame);
		buf_clear(&call->frame);
	}
	if (call->id) {
		c->place[call->id % PLACES] = NULL;
		c->open_place[c->open_count++] = (uint8_t)(call->id % PLACES);
		call->id = 0;
	}
}

static void call_free(struct keyproto_client_ev *c, struct call *call)
{
	if (c->spare_count < SPARE_MAX) {
		list_push_front(&c->spare, &call->link);
		c->spare_count++;
	} else {
		free(call);
	}
}

static void answer(struct keyproto_client_ev *c, struct call *call, int err, struct span reply)
{
	keyproto_client_ev_reply_fn fn = call->fn;
	void *arg = call->arg;

	call_detach(c, call);
	call_free(c, call);
	if (fn)
		fn(arg, err, reply);
}

/* Latest due first looked at: mostly all calls have the same timeout. */
static void insert_due(struct keyproto_client_ev *c, struct call *call)
{
	struct list_link *k = c->by_due.head.prev;

	while (k != &c->by_due.head && list_entry(k, struct call, due_link)->due > call->due)
		k = k->prev;
	list_insert_before(k->next, &call->due_link);
}

static int set_expiry(struct keyproto_client_ev *c)
{
	struct list_link *k = list_first(&c->by_due);
	int64_t due = k ? list_entry(k, struct call, due_link)->due : 0;

	if (!k || (c->expiry.due && c->expiry.due <= due))
		return 0;
	return evt_timer_set(&c->expiry, due - evt_loop_now(c->loop));
}

static void expire(void *arg)
{
	struct keyproto_client_ev *c = arg;
	int64_t now = evt_loop_now(c->loop);
	struct list_link *k;

	enter(c);
	while (!c->dead && (k = list_first(&c->by_due)) != NULL) {
		struct call *call = list_entry(k, struct call, due_link);
		keyproto_client_ev_reply_fn fn = call->fn;
		if (call->due > now)
			break;
		if (!call->id) {
			answer(c, call, ERR_TIMEOUT, span_of(NULL, 0));
			continue;
		}
		list_remove(&call->due_link);
		call->fn = NULL;
		if (fn)
			fn(call->arg, ERR_TIMEOUT, span_of(NULL, 0));
	}
	if (!c->dead)
		set_expiry(c); /* in the place this timer had: cannot fail */
	leave(c);
}

/* Gives a call a place; its id is then fixed. */
static void take_place(struct keyproto_client_ev *c, struct call *call)
{
	uint8_t at = c->open_place[--c->open_count];

	call->id = ++c->count * PLACES + at;
	c->place[at] = call;
}

/* Sends what waits in line while there are places. */
static void advance_line(struct keyproto_client_ev *c)
{
	struct list_link *k;

	while (c->open_count > 0 && (k = list_first(&c->line)) != NULL) {
		struct call *call = list_entry(k, struct call, link);
		struct span frame = buf_span(&call->frame);

		take_place(c, call);
		/* The head was written without an id. */
		num_put_u64(call->frame.data + call->frame.off + 8, call->id);
		if (evt_conn_write(c->conn, frame.p, frame.n) < 0) {
			c->place[call->id % PLACES] = NULL;
			c->open_place[c->open_count++] = (uint8_t)(call->id % PLACES);
			call->id = 0;
			return; /* the connection is failing: ERROR answers all of them */
		}
		list_remove(&call->link);
		c->line_count--;
		c->line_bytes -= frame.n;
		buf_clear(&call->frame);
	}
}

static int put_frame(struct buf *b, uint16_t op, uint64_t id,
		     int (*fill)(struct buf *body, const void *message), const void *message)
{
	size_t at = wire_frame_open(b);
	int err = fill ? fill(b, message) : 0;
	int closed = wire_frame_close(b, at, op, id, 0, 0);

	return err < 0 ? err : closed;
}

static void forget_frame(struct keyproto_client_ev *c)
{
	if (c->frame.data)
		secret_wipe(c->frame.data, c->frame.len);
	buf_reset(&c->frame);
}

/* Puts the frame in c->frame on the wire, or into the line. */
static int dispatch(struct keyproto_client_ev *c, struct call *call)
{
	struct span frame = buf_span(&c->frame);

	if (list_empty(&c->line) && c->open_count > 0) {
		take_place(c, call);
		num_put_u64(c->frame.data + c->frame.off + 8, call->id);
		return evt_conn_write(c->conn, frame.p, frame.n);
	}
	if (c->line_count >= LINE_CALLS || c->line_bytes + frame.n > LINE_BYTES)
		return ERR_LIMIT;
	buf_init_wiped(&call->frame, FRAME_MAX);
	if (buf_put_span(&call->frame, frame) < 0)
		return ERR_NOMEM;
	list_push_back(&c->line, &call->link);
	c->line_count++;
	c->line_bytes += frame.n;
	return 0;
}

/* Whether op has to wait for keyd to be READY. */
static int needs_ready(uint16_t op)
{
	return op >= KEYPROTO_DERIVE_NEW && op < KEYPROTO_INIT;
}

int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg)
{
	struct call *call;
	int err;

	if (c->state == KEYPROTO_AWAY || (needs_ready(op) && c->state == KEYPROTO_ERROR))
		return ERR_AWAY;
	if (needs_ready(op) && c->state != KEYPROTO_READY)
		return ERR_LOCKED;
	call = call_new(c);
	if (!call)
		return ERR_NOMEM;
	call->fn = fn;
	call->arg = arg;
	call->op = op;
	err = put_frame(&c->frame, op, 0, fill, message);
	if (err == 0 && timeout_usec > 0) {
		call->due = evt_loop_now(c->loop) + timeout_usec;
		insert_due(c, call);
		err = set_expiry(c);
	}
	if (err == 0)
		err = dispatch(c, call);
	forget_frame(c);
	if (err < 0) {
		call_detach(c, call);
		call_free(c, call);
	}
	return err == ERR_CLOSED ? ERR_AWAY : err;
}

/* --- the connection */

/* Answers every call with err; those that come meanwhile are refused by the state. */
static void answer_all(struct keyproto_client_ev *c, int err)
{
	struct list_link *k;

	for (unsigned i = 0; i < PLACES; i++)
		if (c->place[i])
			answer(c, c->place[i], err, span_of(NULL, 0));
	while ((k = list_first(&c->line)) != NULL)
		answer(c, list_entry(k, struct call, link), err, span_of(NULL, 0));
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
		answer_all(c, ERR_AWAY);
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
	int err = put_frame(&c->frame, KEYPROTO_HELLO, 1, fill_hello, c);

	if (err == 0)
		err = evt_conn_write(c->conn, buf_ptr(&c->frame), buf_size(&c->frame));
	forget_frame(c);
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
	set_state(c, m.state);
	return 0;
}

static int on_push(struct keyproto_client_ev *c, const struct wire_frame *f)
{
	unsigned left = c->line_count;
	uint8_t state;

	if (f->opcode != KEYPROTO_EVENT || keyproto_event_get(f->body, &state) < 0)
		return ERR_FORMAT;
	set_state(c, state);
	for (; left > 0 && c->state != KEYPROTO_READY && !list_empty(&c->line); left--)
		answer(c, list_entry(list_first(&c->line), struct call, link),
		       c->state == KEYPROTO_AWAY || c->state == KEYPROTO_ERROR ? ERR_AWAY
									       : ERR_LOCKED,
		       span_of(NULL, 0));
	return 0;
}

static int on_reply(struct keyproto_client_ev *c, const struct wire_frame *f)
{
	struct call *call = c->place[f->request % PLACES];
	int err = keyproto_err_of_status(f->status);

	if (!call || call->id != f->request || call->op != f->opcode)
		return ERR_FORMAT;
	answer(c, call, err, err < 0 ? span_of(NULL, 0) : f->body);
	if (!c->dead && c->conn)
		advance_line(c);
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
			err = f.request == 0 ? on_push(c, &f) : on_reply(c, &f);
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
	enter(c);
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
	leave(c);
}

static void retry(void *arg)
{
	struct keyproto_client_ev *c = arg;
	int err;

	evt_timer_set(&c->retry, RETRY_IDLE);
	if (c->conn)
		return;
	c->conn = evt_conn_connect_unix(c->loop, c->path, 2 * FRAME_MAX, on_event, c, &err);
	if (c->conn) {
		evt_conn_set_secret(c->conn);
		return;
	}
	complain(c, err, "connect");
	enter(c);
	lose(c);
	leave(c);
}

void keyproto_client_ev_free(struct keyproto_client_ev *c)
{
	if (!c || c->dead)
		return;
	enter(c);
	c->dead = 1;
	c->state = KEYPROTO_AWAY;
	c->on_state = NULL;
	evt_conn_close(c->conn);
	c->conn = NULL;
	answer_all(c, ERR_AWAY);
	evt_timer_clear(&c->retry);
	evt_timer_clear(&c->expiry);
	leave(c);
}
