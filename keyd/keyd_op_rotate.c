/* SPDX-License-Identifier: Apache-2.0 */
/* ROTATE, ROTATION and SCHEDULE. An order is a note in the store; keyd_rotate follows it. */
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_rotate_key.h"
#include "keyd/keyd_schedule.h"
#include "keyproto/keyproto_rotate.h"

#define JSON_MAX (60 * 1024)

/* A change that is one note. */
struct note_change {
	struct keyd_op_change op;
	unsigned shard; /* or KEYD_SCHEDULE_ALL */
	int pause;
};

static int put_note(struct keyd_change *change, struct buf *body, int rc)
{
	if (rc == 0)
		rc = keyd_change_put(change, KEYD_RECORD_NOTE, buf_span(body));
	buf_clear(body);
	return rc;
}

static int ask_make(struct keyd_change *change)
{
	struct note_change *c = (struct note_change *)change;
	struct buf body;

	buf_init(&body, KEYD_RECORD_BODY_MAX);
	return put_note(change, &body, keyd_schedule_ask(change->keyd, c->shard, 1, &body));
}

static int pause_make(struct keyd_change *change)
{
	struct note_change *c = (struct note_change *)change;
	struct keyd_record_note m = {SPAN_LIT(KEYD_SCHEDULE_PAUSED), SPAN_LIT("1")};
	struct buf body;

	if (!c->pause)
		m.value.n = 0;
	buf_init(&body, KEYD_RECORD_BODY_MAX);
	return put_note(change, &body, keyd_record_note_put(&body, &m));
}

static void note_done(struct keyd_change *change, int rc)
{
	struct note_change *c = (struct note_change *)change;
	const char *name = c->op.late.session->name;

	if (rc == 0 && change->make == pause_make)
		log_event(LOG_LEVEL_INFO, name, c->pause ? "rotation-paused" : "rotation-resumed",
			  "why=\"asked\"");
	else if (rc == 0 && c->shard == KEYD_SCHEDULE_ALL)
		log_event(LOG_LEVEL_INFO, name, "rotation-asked", "shard=all");
	else if (rc == 0)
		log_event(LOG_LEVEL_INFO, name, "rotation-asked", "shard=%u", c->shard);
	if (rc == 0)
		keyd_rotate_look(change->keyd->rotate);
	keyd_op_late_answer(&c->op.late, rc, span_of(NULL, 0));
	free(c);
}

static int start_note(struct keyd_op_call *call, int (*make)(struct keyd_change *), unsigned shard,
		      int pause)
{
	struct note_change *c = calloc(1, sizeof(*c));

	if (!c)
		return ERR_NOMEM;
	c->op.change.make = make;
	c->op.change.done = note_done;
	c->shard = shard;
	c->pause = pause;
	return keyd_op_change_start(&c->op, call);
}

struct urgent {
	struct keyd_rotate_want want;
	struct keyd_op_late late;
};

static void urgent_done(struct keyd_rotate_want *want, int rc)
{
	struct urgent *u = (struct urgent *)want;

	keyd_op_late_answer(&u->late, rc, span_of(NULL, 0));
	free(u);
}

static int rotate_kek(struct keyd_op_call *call, const struct keyproto_rotate *m)
{
	unsigned shard = (unsigned)keyproto_rotate_shard(m->name); /* _get has seen it */
	struct urgent *u;

	if (!(m->flags & KEYPROTO_ROTATE_URGENT))
		return start_note(call, ask_make, shard, 0);
	u = calloc(1, sizeof(*u));
	if (!u)
		return ERR_NOMEM;
	u->want.shard = shard;
	u->want.done = urgent_done;
	keyd_op_late_begin(&u->late, call);
	keyd_rotate_shard(call->keyd->rotate, &u->want);
	return KEYD_OP_LATER;
}

_Static_assert(KEYD_SCHEDULE_ALL == KEYPROTO_ROTATE_ALL, "\"all\" is the same on both sides");

int keyd_op_rotate(struct keyd_op_call *call)
{
	static int (*const by_what[])(struct keyd_op_call * call,
				      const struct keyproto_rotate *m) = {
	    [KEYPROTO_ROTATE_KEK] = rotate_kek,
	    [KEYPROTO_ROTATE_DEK] = keyd_op_dek_rotate,
	    [KEYPROTO_ROTATE_KEY] = keyd_op_rotate_key,
	};
	struct keyproto_rotate m;

	if (keyproto_rotate_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	return by_what[m.what](call, &m);
}

int keyd_op_rotation(struct keyd_op_call *call)
{
	uint8_t order;

	if (keyproto_rotation_get(call->body, &order) < 0)
		return KEYD_OP_MALFORMED;
	return start_note(call, pause_make, 0, order == KEYPROTO_ROTATION_PAUSE);
}

int keyd_op_schedule(struct keyd_op_call *call)
{
	struct keyproto_schedule m;
	struct buf out;
	int rc;

	if (keyproto_schedule_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (m.part == KEYPROTO_SCHEDULE_KEKS && m.from >= KEYD_RING_SHARDS)
		return ERR_NOTFOUND;
	buf_init(&out, JSON_MAX);
	if (m.part == KEYPROTO_SCHEDULE_KEKS)
		keyd_schedule_json(call->keyd, m.from, &out);
	else
		keyd_rotate_key_json(call->keyd, m.from, &out);
	rc = buf_failed(&out) ? buf_failed(&out) : buf_put_span(call->reply, buf_span(&out));
	buf_clear(&out);
	return rc;
}
