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

struct promotion {
	struct keyd_op_change op;
	size_t n;
	uint8_t label[KEYPROTO_NAME_MAX];
};

static int promotion_make(struct keyd_change *c)
{
	struct promotion *p = (struct promotion *)c;

	return keyd_rotate_key_promote(c, span_of(p->label, p->n));
}

static void promotion_done(struct keyd_change *c, int rc)
{
	struct promotion *p = (struct promotion *)c;

	if (rc == 0) {
		keyd_rotate_key_promoted(c->keyd, span_of(p->label, p->n));
		keyd_rotate_key_kick(c->keyd);
	}
	keyd_op_late_answer(&p->op.late, rc, span_of(NULL, 0));
	free(p);
}

static int promote(struct keyd_op_call *call, struct span label)
{
	struct promotion *p = calloc(1, sizeof(*p));

	if (!p)
		return ERR_NOMEM;
	p->op.change.make = promotion_make;
	p->op.change.done = promotion_done;
	p->n = label.n;
	memcpy(p->label, label.p, label.n);
	return keyd_op_change_start(&p->op, call);
}

int keyd_op_rotate_key(struct keyd_op_call *call, const struct keyproto_rotate *m)
{
	struct keyd_ring_info info;
	int rc = keyd_ring_key_in(call->keyd->ring, m->name, 0, &info);

	if (rc < 0)
		return rc;
	return m->flags & KEYPROTO_ROTATE_ACTIVATE ? promote(call, m->name)
						   : make_next(call, m->name);
}
