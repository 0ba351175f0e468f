/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_op_held.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "wire/wire_frame.h"

#define VALUES_MAX (KEYD_OP_TELL_MAX + 8)

struct keyd_op_held {
	struct keyd_audit_wait wait; /* for the intent, then for the outcome */
	struct keyd_op_call call;    /* as the handler sees it */
	struct keyd_op_plan plan;
	struct keyd_op_held *outer;
	size_t n;
	uint8_t *body;	  /* secret memory */
	struct buf reply; /* wiped */
	int rc;
	struct audit_value values[VALUES_MAX];
	unsigned value_count;
};

static void add_value(struct keyd_op_held *h, struct audit_value v)
{
	h->values[h->value_count++] = v;
	h->values[h->value_count] = (struct audit_value){0};
}
#define ADD_VALUE(h, v) add_value(h, (struct audit_value)v)

static void held_free(struct keyd_op_held *h)
{
	secret_free(h->body, h->n ? h->n : 1);
	buf_clear(&h->reply);
	free(h);
}

/* Both lines are written, or as good as that. */
static void recorded(struct keyd_audit_wait *w, int rc)
{
	struct keyd_op_held *h = (struct keyd_op_held *)w;

	(void)rc; /* an outcome that fails is kept by keyd_audit */
	if (h->outer)
		keyd_op_held_end(h->outer, h->rc, buf_span(&h->reply));
	else
		keyd_session_answer(h->call.session, h->call.op, h->call.request, h->rc,
				    buf_span(&h->reply));
	held_free(h);
}

void keyd_op_held_end(struct keyd_op_held *h, int rc, struct span body)
{
	if (body.p != buf_ptr(&h->reply)) {
		buf_reset(&h->reply);
		if (buf_put_span(&h->reply, body) < 0)
			rc = buf_failed(&h->reply);
	}
	h->rc = rc;
	if (h->wait.seq) /* not so for a lock that could not be recorded before */
		ADD_VALUE(h, AUDIT_NUM(OF, h->wait.seq));
	ADD_VALUE(h, AUDIT_NUM(STATUS, keyproto_status_of_err(rc)));
	h->wait.done = recorded;
	keyd_audit_wait(h->call.keyd, &h->wait, KEYD_AUDIT_AFTER, AUDIT_OUTCOME, h->values);
}

static int run(struct keyd_op_held *h)
{
	struct keyd *k = h->call.keyd;
	int rc;

	if (k->stopping)
		return ERR_CLOSED;
	/* Something else may have been done while the disk worked. */
	if (!(h->plan.states & 1u << k->state))
		return keyd_op_wrong_state(k, h->plan.states);
	rc = h->plan.handler(&h->call);
	if (rc == KEYD_OP_LATER) /* without pools all may be over by now, and h gone */
		return rc;
	log_assert(rc < 0 || rc == KEYD_OP_MALFORMED || h->call.allowed);
	return rc == KEYD_OP_MALFORMED ? ERR_FORMAT : rc;
}

static void intended(struct keyd_audit_wait *w, int rc)
{
	struct keyd_op_held *h = (struct keyd_op_held *)w;

	if (rc < 0) {
		log_event(LOG_LEVEL_ERROR, h->call.session->name, "operation-refused",
			  "op=%s uid=%u done=%s", keyproto_op_name(h->call.op),
			  (unsigned)h->call.session->uid,
			  h->call.op == KEYPROTO_LOCK ? "yes" : "no");
		if (h->call.op != KEYPROTO_LOCK) {
			h->rc = ERR_IO;
			recorded(w, rc);
			return;
		}
	}
	rc = run(h);
	if (rc != KEYD_OP_LATER)
		keyd_op_held_end(h, rc, buf_span(&h->reply));
}

static int tell(struct keyd_op_held *h)
{
	const struct keyd_session *s = h->call.session;
	struct audit_value more[KEYD_OP_TELL_MAX + 1] = {{0}};
	int rc = h->plan.tell ? h->plan.tell(h->call.body, more) : 0;

	if (rc < 0)
		return rc;
	ADD_VALUE(h, AUDIT_STR(OP, keyproto_op_name(h->call.op)));
	ADD_VALUE(h, AUDIT_STR(ROLE, keyproto_role_name(s->role)));
	ADD_VALUE(h, AUDIT_NUM(UID, s->uid));
	ADD_VALUE(h, AUDIT_STR(SESSION, s->name));
	if (h->plan.as)
		ADD_VALUE(h, AUDIT_STR(STATE, h->plan.as));
	for (unsigned i = 0; i < KEYD_OP_TELL_MAX && more[i].field; i++)
		add_value(h, more[i]);
	return 0;
}

/* *rc: why there is none. */
static struct keyd_op_held *held_new(const struct keyd_op_call *call, unsigned op, struct span body,
				     const struct keyd_op_plan *plan, int *rc)
{
	struct keyd_op_held *h = calloc(1, sizeof(*h));

	*rc = ERR_NOMEM;
	if (!h)
		return NULL;
	buf_init_wiped(&h->reply, WIRE_FRAME_BODY_MAX);
	h->n = body.n;
	h->body = secret_alloc(body.n ? body.n : 1);
	if (!h->body) {
		free(h);
		return NULL;
	}
	if (body.n)
		memcpy(h->body, body.p, body.n);
	h->call = *call;
	h->call.op = op;
	h->call.body = span_of(h->body, h->n);
	h->call.reply = &h->reply;
	h->call.at = 0;
	h->call.held = h;
	h->plan = *plan;
	h->wait.done = intended;
	*rc = tell(h);
	if (*rc == 0)
		return h;
	held_free(h);
	return NULL;
}

int keyd_op_held_start(struct keyd_op_call *call, const struct keyd_op_plan *plan)
{
	struct keyd_op_held *h;
	int rc;

	h = held_new(call, call->op, call->body, plan, &rc);
	if (!h)
		return rc == ERR_FORMAT ? KEYD_OP_MALFORMED : rc;
	keyd_session_hold(call->session);
	call->reply->len = call->reply->off + call->at;
	keyd_audit_wait(call->keyd, &h->wait, KEYD_AUDIT_BEFORE, AUDIT_INTENT, h->values);
	return KEYD_OP_LATER;
}

int keyd_op_held_inner(struct keyd_op_call *outer, unsigned op, struct span body,
		       const struct keyd_op_plan *plan)
{
	struct keyd_op_held *h;
	int rc;

	h = held_new(outer, op, body, plan, &rc);
	if (!h)
		return rc;
	h->outer = outer->held;
	keyd_audit_wait(outer->keyd, &h->wait, KEYD_AUDIT_BEFORE, AUDIT_INTENT, h->values);
	return KEYD_OP_LATER;
}
