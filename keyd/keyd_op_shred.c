/* SPDX-License-Identifier: Apache-2.0 */
/* SHRED and SHREDS: an order to destroy a customer's keys, and how far such orders are. */
#include "core/err.h"
#include "keyd/keyd_op.h"
#include "keyproto/keyproto_shred.h"

#define JSON_MAX (60 * 1024)

static int shred_make(struct keyd_change *change)
{
	return keyd_shred_order(change, keyd_op_named_of((struct keyd_op_named *)change));
}

static void shred_done(struct keyd_change *change, int rc)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;

	if (rc == 0)
		keyd_shred_dead(change->keyd, keyd_op_named_of(c));
	keyd_op_named_answer(c, rc);
}

int keyd_op_shred(struct keyd_op_call *call)
{
	struct span name;

	if (keyproto_bytes_get(call->body, &name) < 0)
		return KEYD_OP_MALFORMED;
	return keyproto_name_ok(name) ? keyd_op_named_start(call, name, 0, shred_make, shred_done)
				      : ERR_FORMAT;
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
