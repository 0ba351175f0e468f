/* SPDX-License-Identifier: Apache-2.0 */
/* SHRED and SHREDS: an order to destroy a customer's keys, and how far such orders are. */
#include <stdlib.h>

#include "core/err.h"
#include "keyd/keyd_op.h"
#include "keyproto/keyproto_shred.h"

#define JSON_MAX (60 * 1024)

struct shred_change {
	struct keyd_op_change op;
	size_t n;
	uint8_t name[KEYPROTO_NAME_MAX];
};

static int shred_make(struct keyd_change *change)
{
	struct shred_change *c = (struct shred_change *)change;

	return keyd_shred_order(change, span_of(c->name, c->n));
}

static void shred_done(struct keyd_change *change, int rc)
{
	struct shred_change *c = (struct shred_change *)change;

	if (rc == 0)
		keyd_shred_dead(change->keyd, span_of(c->name, c->n));
	keyd_op_late_answer(&c->op.late, rc, span_of(NULL, 0));
	free(c);
}

int keyd_op_shred(struct keyd_op_call *call)
{
	struct shred_change *c;
	struct span name;

	if (keyproto_bytes_get(call->body, &name) < 0)
		return KEYD_OP_MALFORMED;
	if (!keyproto_name_ok(name))
		return ERR_FORMAT;
	c = calloc(1, sizeof(*c));
	if (!c)
		return ERR_NOMEM;
	c->op.change.make = shred_make;
	c->op.change.done = shred_done;
	c->n = name.n;
	memcpy(c->name, name.p, name.n);
	return keyd_op_change_start(&c->op, call);
}

int keyd_op_shreds(struct keyd_op_call *call)
{
	uint32_t from;
	struct buf out;
	int rc;

	if (keyproto_shreds_get(call->body, &from) < 0)
		return KEYD_OP_MALFORMED;
	buf_init(&out, JSON_MAX);
	keyd_shred_json(call->keyd, from, &out);
	rc = buf_failed(&out) ? buf_failed(&out) : buf_put_span(call->reply, buf_span(&out));
	buf_clear(&out);
	return rc;
}
