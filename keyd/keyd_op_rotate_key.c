/* SPDX-License-Identifier: Apache-2.0 */
/* ROTATE of signing keys: a next version is made, or becomes the active one. */
#include <stdlib.h>

#include "core/err.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_rotate_key.h"

struct next_job {
	struct keyd_rotate_key_next next;
	struct keyd_op_late late;
};

static void next_done(struct keyd_rotate_key_next *next, int rc)
{
	struct next_job *j = (struct next_job *)next;

	if (rc == 0)
		keyd_rotate_key_kick(next->keyd);
	keyd_op_late_answer(&j->late, rc, span_of(NULL, 0));
	free(j);
}

static int make_next(struct keyd_op_call *call, struct span label)
{
	struct next_job *j = calloc(1, sizeof(*j));

	if (!j)
		return ERR_NOMEM;
	j->next.done = next_done;
	j->next.n = label.n;
	memcpy(j->next.label, label.p, label.n);
	keyd_op_late_begin(&j->late, call);
	keyd_rotate_key_next(call->keyd, &j->next);
	return KEYD_OP_LATER;
}

static int promotion_make(struct keyd_change *c)
{
	return keyd_rotate_key_promote(c, keyd_op_named_of((struct keyd_op_named *)c));
}

static void promotion_done(struct keyd_change *change, int rc)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;

	if (rc == 0) {
		keyd_rotate_key_promoted(change->keyd, keyd_op_named_of(c));
		keyd_rotate_key_kick(change->keyd);
	}
	keyd_op_named_answer(c, rc);
}

int keyd_op_rotate_key(struct keyd_op_call *call, const struct keyproto_rotate *m)
{
	struct keyd_ring_info info;
	int rc = keyd_ring_key_in(call->keyd->ring, m->name, 0, &info);

	if (rc < 0)
		return rc;
	if (m->flags & KEYPROTO_ROTATE_ACTIVATE)
		return keyd_op_named_start(call, m->name, 0, promotion_make, promotion_done);
	return make_next(call, m->name);
}
