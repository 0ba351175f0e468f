/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_client_ev_own - the inside of the client: keyproto_client_ev.c keeps the connection,
 * keyproto_client_ev_call.c the calls.
 *
 * Calls:  one that was sent has a place in the table; its request id is the number of the place and
 *         above it a count that never repeats. A call that timed out keeps its place until keyd has
 *         answered it: keyd counts it too. One beyond the credit waits in line with its frame.
 * Life:   the client may be freed in any callback of the owner: enter stands before the first,
 *         leave after the last, dead is looked at in between. */
#ifndef KEYPROTO_KEYPROTO_CLIENT_EV_OWN_H
#define KEYPROTO_KEYPROTO_CLIENT_EV_OWN_H

#include "core/list.h"
#include "evt/evt_conn.h"
#include "evt/evt_timer.h"
#include "keyproto/keyproto_client_ev.h"
#include "wire/wire_frame.h"

#define KEYPROTO_CLIENT_EV_FRAME (WIRE_FRAME_HEAD + WIRE_FRAME_BODY_MAX)
#define KEYPROTO_CLIENT_EV_PLACES KEYPROTO_CREDIT

struct keyproto_client_ev_call {
	keyproto_client_ev_reply_fn fn; /* NULL: answered already (timed out) */
	void *arg;
	uint64_t id; /* 0 while in line */
	int64_t due; /* 0: never */
	uint16_t op;
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
	uint32_t epoch; /* keyd's, as last pushed */
	int depth, dead;
	int complained; /* ERR_* of the last keyd-refused */
	struct evt_timer retry;
	int64_t delay;
	/* calls */
	struct buf frame; /* where a request is written */
	uint64_t count;
	struct keyproto_client_ev_call *place[KEYPROTO_CLIENT_EV_PLACES];
	uint8_t open_place[KEYPROTO_CLIENT_EV_PLACES];
	unsigned open_count;
	struct list by_due, line, spare;
	unsigned line_count, spare_count;
	size_t line_bytes;
	struct evt_timer expiry;
};

/* keyproto_client_ev.c */
void keyproto_client_ev_enter(struct keyproto_client_ev *c);
void keyproto_client_ev_leave(struct keyproto_client_ev *c);

/* keyproto_client_ev_call.c */
void keyproto_client_ev_calls_init(struct keyproto_client_ev *c);
void keyproto_client_ev_calls_clear(struct keyproto_client_ev *c);
/* Writes a frame into c->frame, with which the caller does what he wants; then _forget. */
int keyproto_client_ev_put(struct keyproto_client_ev *c, uint16_t op, uint64_t id,
			   int (*fill)(struct buf *body, const void *message), const void *message);
void keyproto_client_ev_forget(struct keyproto_client_ev *c);
/* Answers the call that f replies to. ERR_FORMAT: there is none. */
int keyproto_client_ev_reply(struct keyproto_client_ev *c, const struct wire_frame *f);
/* Answers those that wait in line, or all calls, with err. */
void keyproto_client_ev_answer_line(struct keyproto_client_ev *c, int err);
void keyproto_client_ev_answer_all(struct keyproto_client_ev *c, int err);

#endif
