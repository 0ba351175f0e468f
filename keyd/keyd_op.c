/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_op.h"

#include "core/err.h"
#include "core/log.h"

/* States in which an operation is served. */
#define IN(state) (1u << KEYPROTO_##state)
#define ALWAYS	  (IN(EMPTY) | IN(LOCKED) | IN(READY) | IN(ERROR))

/* Whether the operation asks keyd_permit itself, with its subject. */
enum asks { PLAIN, NAMED };

static const struct row {
	int (*handler)(struct keyd_op_call *call);
	unsigned states;
	enum asks asks;
} rows[KEYPROTO_EVENT + 1] = {
    [KEYPROTO_STATUS] = {keyd_op_status, ALWAYS, PLAIN},
    [KEYPROTO_DERIVE_NEW] = {keyd_op_derive_new, IN(READY), NAMED},
    [KEYPROTO_DERIVE_EXISTING] = {keyd_op_derive_existing, IN(READY), NAMED},
    [KEYPROTO_SEAL_FIELDS] = {keyd_op_field_seal, IN(READY), NAMED},
    [KEYPROTO_OPEN_FIELDS] = {keyd_op_field_open, IN(READY), NAMED},
    [KEYPROTO_BLIND_INDEX] = {keyd_op_field_index, IN(READY), NAMED},
    [KEYPROTO_MAC] = {keyd_op_mac, IN(READY), NAMED},
    [KEYPROTO_VERIFY_MAC] = {keyd_op_mac_verify, IN(READY), NAMED},
    [KEYPROTO_SIGN] = {keyd_op_sign, IN(READY), NAMED},
    [KEYPROTO_PUBLIC_KEY] = {keyd_op_key_public, IN(READY), NAMED},
    [KEYPROTO_RESEAL_FIELDS] = {keyd_op_field_reseal, IN(READY), NAMED},
    [KEYPROTO_CUSTOMER_KEYS] = {keyd_op_dek_list, IN(READY), PLAIN},
    [KEYPROTO_DEK_EMPTY] = {keyd_op_dek_empty, IN(READY), PLAIN},
    [KEYPROTO_INIT] = {keyd_op_admin_init, IN(EMPTY), PLAIN},
    [KEYPROTO_UNSEAL] = {keyd_op_unseal, IN(LOCKED), PLAIN},
    [KEYPROTO_LOCK] = {keyd_op_admin_lock, IN(READY) | IN(LOCKED), PLAIN},
    [KEYPROTO_CUSTOMER_ADD] = {keyd_op_admin_customer, IN(READY), PLAIN},
    [KEYPROTO_KEY_ADD] = {keyd_op_key_add, IN(READY), NAMED},
    [KEYPROTO_KEY_LIST] = {keyd_op_key_list, IN(READY), PLAIN},
    [KEYPROTO_WITNESS] = {keyd_op_witness, IN(READY) | IN(LOCKED), PLAIN},
    [KEYPROTO_ACCEPT] = {keyd_op_accept, IN(LOCKED), PLAIN},
    [KEYPROTO_ROTATE] = {keyd_op_rotate, IN(READY), PLAIN},
    [KEYPROTO_ROTATION] = {keyd_op_rotation, IN(READY), PLAIN},
    [KEYPROTO_SCHEDULE] = {keyd_op_schedule, IN(READY), PLAIN},
    [KEYPROTO_SLOT_ADD] = {keyd_op_slot_add, IN(READY), PLAIN},
    [KEYPROTO_SLOT_REMOVE] = {keyd_op_slot_remove, IN(READY), PLAIN},
    [KEYPROTO_SLOT_TEST] = {keyd_op_slot_test, IN(READY), PLAIN},
    [KEYPROTO_UNSEAL_CANCEL] = {keyd_op_unseal_cancel, IN(LOCKED), PLAIN},
};

/* What an operation that cannot be served in this state is told. */
static int wrong_state(const struct keyd *k, const struct row *row)
{
	if (k->state == KEYPROTO_ERROR)
		return ERR_IO;
	if (row->states == IN(READY) || k->state == KEYPROTO_EMPTY)
		return row->states & IN(READY) ? ERR_LOCKED : ERR_BADSTATE;
	return ERR_BADSTATE;
}

int keyd_op_allow(struct keyd_op_call *call, struct span subject)
{
	if (!keyd_permit(call->session->role, call->session->socket, call->op, subject)) {
		call->allowed = 0;
		keyd_session_denied(call->session, call->op);
		return ERR_DENIED;
	}
	call->allowed = 1;
	return 0;
}

int keyd_op_run(struct keyd_op_call *call)
{
	const struct row *row = call->op <= KEYPROTO_EVENT ? &rows[call->op] : NULL;
	int rc;

	if (!row || !row->handler)
		return KEYD_OP_MALFORMED;
	call->keyd->counts.requests[call->op]++;
	/* Who may not do it at all is not told whether it could be done now. */
	if (!keyd_permit_any(call->session->role, call->session->socket, call->op)) {
		keyd_session_denied(call->session, call->op);
		return ERR_DENIED;
	}
	if (row->asks == PLAIN && keyd_op_allow(call, span_of(NULL, 0)) < 0)
		return ERR_DENIED;
	if (!(row->states & 1u << call->keyd->state))
		return wrong_state(call->keyd, row);
	rc = row->handler(call);
	log_assert(rc < 0 || rc == KEYD_OP_MALFORMED || call->allowed);
	return rc;
}

int64_t keyd_op_customer(const struct keyd_op_call *call, struct span name)
{
	return keyd_ring_customer(call->keyd->ring, name);
}

int keyd_op_late_begin(struct keyd_op_late *late, struct keyd_op_call *call)
{
	late->keyd = call->keyd;
	late->session = call->session;
	late->op = call->op;
	late->request = call->request;
	keyd_session_hold(call->session);
	call->reply->len = call->reply->off + call->at;
	return KEYD_OP_LATER;
}

void keyd_op_late_answer(struct keyd_op_late *late, int rc, struct span body)
{
	keyd_session_answer(late->session, late->op, late->request, rc, body);
	late->session = NULL;
}

int keyd_op_job_start(struct keyd_op_job *job, struct keyd_op_call *call)
{
	keyd_op_late_begin(&job->late, call);
	keyd_pool_run(call->keyd->pool, &job->pool);
	return KEYD_OP_LATER;
}

int keyd_op_change_start(struct keyd_op_change *change, struct keyd_op_call *call)
{
	keyd_op_late_begin(&change->late, call);
	keyd_change_start(call->keyd, &change->change);
	return KEYD_OP_LATER;
}
