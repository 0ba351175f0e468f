/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/num.h"
#include "core/secret.h"
#include "keyproto/keyproto_client_ev_own.h"

#define LINE_CALLS 4096
#define LINE_BYTES (4u << 20)
#define SPARE_MAX  64

static struct keyproto_client_ev_call *call_new(struct keyproto_client_ev *c)
{
	struct list_link *k = list_pop_front(&c->spare);
	struct keyproto_client_ev_call *call =
	    k ? list_entry(k, struct keyproto_client_ev_call, link) : malloc(sizeof(*call));

	if (k)
		c->spare_count--;
	if (call)
		memset(call, 0, sizeof(*call));
	return call;
}

/* Out of every list and of the table; then only the caller knows it. */
static void call_detach(struct keyproto_client_ev *c, struct keyproto_client_ev_call *call)
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
		c->place[call->id % KEYPROTO_CLIENT_EV_PLACES] = NULL;
		c->open_place[c->open_count++] = (uint8_t)(call->id % KEYPROTO_CLIENT_EV_PLACES);
		call->id = 0;
	}
}

static void call_free(struct keyproto_client_ev *c, struct keyproto_client_ev_call *call)
{
	if (c->spare_count < SPARE_MAX) {
		list_push_front(&c->spare, &call->link);
		c->spare_count++;
	} else {
		free(call);
	}
}

static void answer(struct keyproto_client_ev *c, struct keyproto_client_ev_call *call, int err,
		   struct span reply)
{
	keyproto_client_ev_reply_fn fn = call->fn;
	void *arg = call->arg;

	call_detach(c, call);
	call_free(c, call);
	if (fn)
		fn(arg, err, reply);
}

/* Latest due first looked at: mostly all calls have the same timeout. */
static void insert_due(struct keyproto_client_ev *c, struct keyproto_client_ev_call *call)
{
	struct list_link *k = c->by_due.head.prev;

	while (k != &c->by_due.head &&
	       list_entry(k, struct keyproto_client_ev_call, due_link)->due > call->due)
		k = k->prev;
	list_insert_before(k->next, &call->due_link);
}

static int set_expiry(struct keyproto_client_ev *c)
{
	struct list_link *k = list_first(&c->by_due);
	int64_t due = k ? list_entry(k, struct keyproto_client_ev_call, due_link)->due : 0;

	if (!k || (c->expiry.due && c->expiry.due <= due))
		return 0;
	return evt_timer_set(&c->expiry, due - evt_loop_now(c->loop));
}

static void expire(void *arg)
{
	struct keyproto_client_ev *c = arg;
	int64_t now = evt_loop_now(c->loop);
	struct list_link *k;

	keyproto_client_ev_enter(c);
	while (!c->dead && (k = list_first(&c->by_due)) != NULL) {
		struct keyproto_client_ev_call *call =
		    list_entry(k, struct keyproto_client_ev_call, due_link);
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
	keyproto_client_ev_leave(c);
}

/* Gives a call a place; its id is then fixed. */
static void take_place(struct keyproto_client_ev *c, struct keyproto_client_ev_call *call)
{
	uint8_t at = c->open_place[--c->open_count];

	call->id = ++c->count * KEYPROTO_CLIENT_EV_PLACES + at;
	c->place[at] = call;
}

/* Sends what waits in line while there are places. */
static void advance_line(struct keyproto_client_ev *c)
{
	struct list_link *k;

	while (c->open_count > 0 && (k = list_first(&c->line)) != NULL) {
		struct keyproto_client_ev_call *call =
		    list_entry(k, struct keyproto_client_ev_call, link);
		struct span frame = buf_span(&call->frame);

		take_place(c, call);
		/* The head was written without an id. */
		num_put_u64(call->frame.data + call->frame.off + 8, call->id);
		if (evt_conn_write(c->conn, frame.p, frame.n) < 0) {
			c->place[call->id % KEYPROTO_CLIENT_EV_PLACES] = NULL;
			c->open_place[c->open_count++] =
			    (uint8_t)(call->id % KEYPROTO_CLIENT_EV_PLACES);
			call->id = 0;
			return; /* the connection is failing: ERROR answers all of them */
		}
		list_remove(&call->link);
		c->line_count--;
		c->line_bytes -= frame.n;
		buf_clear(&call->frame);
	}
}

int keyproto_client_ev_put(struct keyproto_client_ev *c, uint16_t op, uint64_t id,
			   int (*fill)(struct buf *body, const void *message), const void *message)
{
	size_t at = wire_frame_open(&c->frame);
	int err = fill ? fill(&c->frame, message) : 0;
	int closed = wire_frame_close(&c->frame, at, op, id, 0, 0);

	return err < 0 ? err : closed;
}

void keyproto_client_ev_forget(struct keyproto_client_ev *c)
{
	if (c->frame.data)
		secret_wipe(c->frame.data, c->frame.len);
	buf_reset(&c->frame);
}

/* Puts the frame in c->frame on the wire, or into the line. */
static int dispatch(struct keyproto_client_ev *c, struct keyproto_client_ev_call *call)
{
	struct span frame = buf_span(&c->frame);

	if (list_empty(&c->line) && c->open_count > 0) {
		take_place(c, call);
		num_put_u64(c->frame.data + c->frame.off + 8, call->id);
		return evt_conn_write(c->conn, frame.p, frame.n);
	}
	if (c->line_count >= LINE_CALLS || c->line_bytes + frame.n > LINE_BYTES)
		return ERR_LIMIT;
	buf_init_wiped(&call->frame, KEYPROTO_CLIENT_EV_FRAME);
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
	return (op >= KEYPROTO_DERIVE_NEW && op < KEYPROTO_INIT && op != KEYPROTO_WITNESS) ||
	       op == KEYPROTO_MANIFEST_SIGN || op == KEYPROTO_TRACK_KEY || op == KEYPROTO_AUDIENCE_KEY;
}

int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg)
{
	struct keyproto_client_ev_call *call;
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
	err = keyproto_client_ev_put(c, op, 0, fill, message);
	if (err == 0 && timeout_usec > 0) {
		call->due = evt_loop_now(c->loop) + timeout_usec;
		insert_due(c, call);
		err = set_expiry(c);
	}
	if (err == 0)
		err = dispatch(c, call);
	keyproto_client_ev_forget(c);
	if (err < 0) {
		call_detach(c, call);
		call_free(c, call);
	}
	return err == ERR_CLOSED ? ERR_AWAY : err;
}

int keyproto_client_ev_reply(struct keyproto_client_ev *c, const struct wire_frame *f)
{
	struct keyproto_client_ev_call *call = c->place[f->request % KEYPROTO_CLIENT_EV_PLACES];
	int err = keyproto_err_of_status(f->status);

	if (!call || call->id != f->request || call->op != f->opcode)
		return ERR_FORMAT;
	answer(c, call, err, err < 0 ? span_of(NULL, 0) : f->body);
	if (!c->dead && c->conn)
		advance_line(c);
	return 0;
}

void keyproto_client_ev_answer_line(struct keyproto_client_ev *c, int err)
{
	/* Those that come meanwhile (STATUS may) are not refused. */
	for (unsigned left = c->line_count; left > 0 && !list_empty(&c->line); left--)
		answer(c, list_entry(list_first(&c->line), struct keyproto_client_ev_call, link),
		       err, span_of(NULL, 0));
}

void keyproto_client_ev_answer_all(struct keyproto_client_ev *c, int err)
{
	for (unsigned i = 0; i < KEYPROTO_CLIENT_EV_PLACES; i++)
		if (c->place[i])
			answer(c, c->place[i], err, span_of(NULL, 0));
	keyproto_client_ev_answer_line(c, err);
}

void keyproto_client_ev_calls_init(struct keyproto_client_ev *c)
{
	buf_init_wiped(&c->frame, KEYPROTO_CLIENT_EV_FRAME);
	list_init(&c->by_due);
	list_init(&c->line);
	list_init(&c->spare);
	for (unsigned i = 0; i < KEYPROTO_CLIENT_EV_PLACES; i++)
		c->open_place[c->open_count++] = (uint8_t)(KEYPROTO_CLIENT_EV_PLACES - 1 - i);
	evt_timer_init(&c->expiry, c->loop, expire, c);
}

void keyproto_client_ev_calls_clear(struct keyproto_client_ev *c)
{
	struct list_link *k;

	while ((k = list_pop_front(&c->spare)) != NULL)
		free(list_entry(k, struct keyproto_client_ev_call, link));
	evt_timer_clear(&c->expiry);
	buf_clear(&c->frame);
}
