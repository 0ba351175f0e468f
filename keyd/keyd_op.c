/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_op.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_op_held.h"
#include "keyproto/keyproto_audit.h"
#include "keyproto/keyproto_backup.h"
#include "keyproto/keyproto_dek.h"
#include "keyproto/keyproto_manifest.h"
#include "keyproto/keyproto_rotate.h"
#include "keyproto/keyproto_slot.h"

/* States in which an operation is served. */
#define IN(state) (1u << KEYPROTO_##state)
#define ALWAYS	  (IN(EMPTY) | IN(LOCKED) | IN(READY) | IN(ERROR))

/* Whether the operation asks keyd_permit itself, with its subject. */
enum asks { PLAIN, NAMED };

/* What the audit log says of it: by its number (see keyd_op.h); only how often; or one of the two,
 * as its tell says by returning LOOKS. */
enum record { BY_NUMBER, LOOKS, BY_BODY };

static keyd_op_tell tell_slots, tell_slot, tell_slot_add, tell_slot_remove, tell_slot_test;
static keyd_op_tell tell_customer, tell_dek, tell_key, tell_rotate, tell_proposal, tell_backup;
static keyd_op_tell tell_backup_part, tell_restore_part;
static keyd_op_tell tell_manifest, tell_approver, tell_approver_gone;

static const struct row {
	int (*handler)(struct keyd_op_call *call);
	unsigned states;
	enum asks asks;
	enum record record;
	keyd_op_tell *tell; /* what a recorded one is about */
	enum keyd_quorum_class quorum;
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
    [KEYPROTO_DEK_EMPTY] = {keyd_op_dek_empty, IN(READY), PLAIN, BY_NUMBER, tell_dek},
    [KEYPROTO_CHECKPOINT] = {keyd_op_checkpoint, IN(READY), NAMED},
    [KEYPROTO_CHECKPOINT_LAST] = {keyd_op_checkpoint_last, IN(READY), NAMED},
    [KEYPROTO_KEY_VERSIONS] = {keyd_op_version_list, IN(READY), NAMED},
    [KEYPROTO_INIT] = {keyd_op_admin_init, IN(EMPTY), PLAIN, BY_NUMBER, tell_slots},
    [KEYPROTO_UNSEAL] = {keyd_op_unseal, IN(LOCKED), PLAIN, BY_NUMBER, tell_slot},
    [KEYPROTO_LOCK] = {keyd_op_admin_lock, IN(READY) | IN(LOCKED), PLAIN},
    [KEYPROTO_CUSTOMER_ADD] = {keyd_op_admin_customer, IN(READY), PLAIN, BY_NUMBER,
			       tell_customer},
    [KEYPROTO_KEY_ADD] = {keyd_op_key_add, IN(READY), NAMED, BY_NUMBER, tell_key},
    [KEYPROTO_KEY_LIST] = {keyd_op_key_list, IN(READY), PLAIN, LOOKS},
    [KEYPROTO_WITNESS] = {keyd_op_witness, IN(READY) | IN(LOCKED), PLAIN},
    [KEYPROTO_ACCEPT] = {keyd_op_accept, IN(LOCKED), PLAIN, BY_NUMBER, NULL, KEYD_QUORUM_SLOT},
    [KEYPROTO_ROTATE] = {keyd_op_rotate, IN(READY), PLAIN, BY_NUMBER, tell_rotate},
    [KEYPROTO_SHRED] = {keyd_op_shred, IN(READY), PLAIN, BY_NUMBER, tell_customer,
			KEYD_QUORUM_SHRED},
    [KEYPROTO_SHREDS] = {keyd_op_shreds, IN(READY), PLAIN, LOOKS},
    [KEYPROTO_BACKUP] = {keyd_op_backup, IN(READY), PLAIN, BY_BODY, tell_backup_part},
    [KEYPROTO_BACKUP_FORGET] = {keyd_op_backup_forget, IN(READY), PLAIN, BY_NUMBER,
				tell_backup},
    [KEYPROTO_RESTORE] = {keyd_op_restore, IN(EMPTY), PLAIN, BY_BODY, tell_restore_part},
    [KEYPROTO_ROTATION] = {keyd_op_rotation, IN(READY), PLAIN},
    [KEYPROTO_SLOT_ADD] = {keyd_op_slot_add, IN(READY), PLAIN, BY_NUMBER, tell_slot_add,
			   KEYD_QUORUM_SLOT},
    [KEYPROTO_SLOT_REMOVE] = {keyd_op_slot_remove, IN(READY), PLAIN, BY_NUMBER,
			      tell_slot_remove, KEYD_QUORUM_SLOT},
    [KEYPROTO_SLOT_TEST] = {keyd_op_slot_test, IN(READY), PLAIN, BY_NUMBER, tell_slot_test},
    [KEYPROTO_UNSEAL_CANCEL] = {keyd_op_unseal_cancel, IN(LOCKED), PLAIN},
    [KEYPROTO_SCHEDULE] = {keyd_op_schedule, IN(READY), PLAIN, LOOKS},
    [KEYPROTO_SELFTEST] = {keyd_op_selftest, IN(EMPTY) | IN(LOCKED) | IN(READY), PLAIN},
    [KEYPROTO_ZEROIZE] = {keyd_op_zeroize, ALWAYS, PLAIN, BY_NUMBER, NULL, KEYD_QUORUM_ZEROIZE},
    [KEYPROTO_AUDIT_READ] = {keyd_op_audit_read, ALWAYS, PLAIN, LOOKS},
    [KEYPROTO_APPROVE] = {keyd_op_quorum_approve, ALWAYS, PLAIN, BY_NUMBER, tell_proposal},
    [KEYPROTO_PROPOSALS] = {keyd_op_quorum_list, ALWAYS, PLAIN, LOOKS},
    [KEYPROTO_WITHDRAW] = {keyd_op_quorum_withdraw, ALWAYS, PLAIN, BY_NUMBER, tell_proposal},
    [KEYPROTO_MANIFEST_SIGN] = {keyd_op_manifest, IN(READY), PLAIN, BY_NUMBER, tell_manifest},
    [KEYPROTO_APPROVER_ADD] = {keyd_op_approver_add, IN(READY), PLAIN, BY_NUMBER, tell_approver},
    [KEYPROTO_APPROVER_REMOVE] = {keyd_op_approver_remove, IN(READY), PLAIN, BY_NUMBER,
				  tell_approver_gone},
    [KEYPROTO_APPROVERS] = {keyd_op_approver_list, IN(READY), PLAIN, LOOKS},
    [KEYPROTO_TRACK_KEY] = {keyd_op_track, IN(READY), PLAIN, LOOKS},
    [KEYPROTO_AUDIENCE_KEY] = {keyd_op_track_audience, IN(READY), PLAIN, LOOKS},
};

static int tell_slots(struct span body, struct audit_value *v)
{
	struct keyproto_init m;

	if (keyproto_init_get(body, &m) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_STR(METHOD, keyd_root_method_name(m.slots[0].method));
	return 0;
}

static int tell_slot(struct span body, struct audit_value *v)
{
	struct keyproto_slot m;

	if (keyproto_slot_get(body, &m) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_STR(METHOD, keyd_root_method_name(m.method));
	return 0;
}

static int tell_slot_add(struct span body, struct audit_value *v)
{
	struct keyproto_slot_add m;

	if (keyproto_slot_add_get(body, &m) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_STR(METHOD, keyd_root_method_name(m.slot.method));
	return 0;
}

static int tell_backup(struct span body, struct audit_value *v)
{
	uint32_t id;

	if (keyproto_backup_forget_get(body, &id) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_NUM(BACKUP, id);
	return 0;
}

static int tell_slot_remove(struct span body, struct audit_value *v)
{
	uint32_t id;

	if (keyproto_slot_remove_get(body, &id) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_NUM(SLOT, id);
	return 0;
}

static int tell_slot_test(struct span body, struct audit_value *v)
{
	struct keyproto_slot_test m;

	if (keyproto_slot_test_get(body, &m) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_NUM(SLOT, m.id);
	return 0;
}

/* What is no name is refused by the handler, and not written. */
static int tell_customer(struct span body, struct audit_value *v)
{
	struct span name;

	if (keyproto_bytes_get(body, &name) < 0)
		return ERR_FORMAT;
	if (keyproto_name_ok(name))
		*v = (struct audit_value)AUDIT_SPAN(CUSTOMER, name);
	return 0;
}

static int tell_dek(struct span body, struct audit_value *v)
{
	struct keyproto_dek_empty m;

	if (keyproto_dek_empty_get(body, &m) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_SPAN(CUSTOMER, m.customer);
	return 0;
}

static int tell_key(struct span body, struct audit_value *v)
{
	struct keyproto_key_add m;

	if (keyproto_key_add_get(body, &m) < 0)
		return ERR_FORMAT;
	v[0] = (struct audit_value)AUDIT_SPAN(LABEL, m.label);
	v[1] = (struct audit_value)AUDIT_STR(TYPE, keyproto_keytype_name(m.type));
	return 0;
}

static int tell_rotate(struct span body, struct audit_value *v)
{
	struct keyproto_rotate m;

	if (keyproto_rotate_get(body, &m) < 0)
		return ERR_FORMAT;
	if (m.what == KEYPROTO_ROTATE_DEK)
		*v = (struct audit_value)AUDIT_SPAN(CUSTOMER, m.name);
	else if (m.what == KEYPROTO_ROTATE_KEY)
		*v = (struct audit_value)AUDIT_SPAN(LABEL, m.name);
	else
		*v = (struct audit_value)AUDIT_SPAN(STATE, m.name); /* a shard, or "all" */
	return 0;
}

/* Only its beginning makes a backup; the rest fetches it. */
static int tell_backup_part(struct span body, struct audit_value *v)
{
	struct keyproto_backup m;

	if (keyproto_backup_get(body, &m) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_STR(STATE, "begin");
	return m.what == KEYPROTO_BACKUP_BEGIN ? 0 : LOOKS;
}

/* Only the piece that brings the secret changes anything. */
static int tell_restore_part(struct span body, struct audit_value *v)
{
	struct keyproto_restore m;

	if (keyproto_restore_get(body, &m) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_STR(STATE, "end");
	return m.secret.n ? 0 : LOOKS;
}

static int tell_manifest(struct span body, struct audit_value *v)
{
	struct keyproto_manifest_sign m;

	if (keyproto_manifest_sign_get(body, &m) < 0)
		return ERR_FORMAT;
	v[0] = (struct audit_value)AUDIT_SPAN(CUSTOMER, m.manifest.customer);
	v[1] = (struct audit_value)AUDIT_SPAN(CAMPAIGN, m.manifest.campaign);
	v[2] = (struct audit_value)AUDIT_NUM(VERSION, m.manifest.version);
	v[3] = (struct audit_value)AUDIT_SPAN(APPROVER, m.manifest.approver);
	return 0;
}

static int tell_approver(struct span body, struct audit_value *v)
{
	struct keyproto_approver_add m;

	if (keyproto_approver_add_get(body, &m) < 0)
		return ERR_FORMAT;
	v[0] = (struct audit_value)AUDIT_SPAN(APPROVER, m.name);
	if (keyproto_name_ok(m.customer)) /* else he is one for all */
		v[1] = (struct audit_value)AUDIT_SPAN(CUSTOMER, m.customer);
	return 0;
}

/* What is no name is refused by the handler, and not written. */
static int tell_approver_gone(struct span body, struct audit_value *v)
{
	struct span name;

	if (keyproto_bytes_get(body, &name) < 0)
		return ERR_FORMAT;
	if (keyproto_manifest_person_ok(name))
		*v = (struct audit_value)AUDIT_SPAN(APPROVER, name);
	return 0;
}

static int tell_proposal(struct span body, struct audit_value *v)
{
	uint64_t number;

	if (keyproto_audit_number_get(body, &number) < 0)
		return ERR_FORMAT;
	*v = (struct audit_value)AUDIT_NUM(PROPOSAL, number & INT64_MAX);
	return 0;
}

int keyd_op_wrong_state(const struct keyd *k, unsigned states)
{
	if (k->state == KEYPROTO_ERROR)
		return ERR_IO;
	if (states == IN(READY) || k->state == KEYPROTO_EMPTY)
		return states & IN(READY) ? ERR_LOCKED : ERR_BADSTATE;
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

/* Approvals that an operation needs. */
static unsigned needed(const struct keyd *k, enum keyd_quorum_class class)
{
	const struct keyd_conf_quorum *q = &k->conf->quorum;
	const int64_t need[] = {[KEYD_QUORUM_NONE] = 1,
				[KEYD_QUORUM_SLOT] = q->slot,
				[KEYD_QUORUM_SHRED] = q->shred,
				[KEYD_QUORUM_ZEROIZE] = q->zeroize};

	return (unsigned)need[class];
}

unsigned keyd_op_needed(const struct keyd *k, unsigned op)
{
	return op <= KEYPROTO_EVENT ? needed(k, rows[op].quorum) : 1;
}

static int is_recorded(const struct keyd_op_call *call, const struct row *row)
{
	struct audit_value values[KEYD_OP_TELL_MAX + 1] = {{0}};

	if (call->op < KEYPROTO_INIT || row->record == LOOKS || !call->keyd->audit)
		return 0;
	return row->record == BY_NUMBER || row->tell(call->body, values) != LOOKS;
}

/* It is done at once, and counted. */
static int run_counted(struct keyd_op_call *call, const struct row *row)
{
	struct keyd_audit_use use = {.event = AUDIT_USE,
				     .op = call->op,
				     .role = call->session->role,
				     .uid = call->session->uid};
	int rc = row->handler(call);

	log_assert(rc < 0 || rc == KEYD_OP_MALFORMED || call->allowed);
	if (rc == ERR_AUTH)
		keyd_watch_tamper(call->keyd, KEYD_TAMPER_MAC, 1);
	/* STATUS says nothing about keys; what was denied or no request is counted elsewhere. */
	if (call->counted || rc == ERR_DENIED || rc == KEYD_OP_MALFORMED ||
	    call->op == KEYPROTO_STATUS)
		return rc;
	use.subject = call->subject;
	use.count = call->items ? call->items : 1;
	use.failed = rc < 0 ? use.count : call->failed;
	keyd_audit_use(call->keyd, &use);
	return rc;
}

int keyd_op_run(struct keyd_op_call *call)
{
	const struct row *row = call->op <= KEYPROTO_EVENT ? &rows[call->op] : NULL;
	struct keyd_op_plan plan;

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
		return keyd_op_wrong_state(call->keyd, row->states);
	plan = (struct keyd_op_plan){row->handler, row->tell, row->states, NULL};
	if (needed(call->keyd, row->quorum) > 1) {
		plan.handler = keyd_op_quorum_propose;
		plan.as = "proposal";
		return keyd_op_held_start(call, &plan);
	}
	if (is_recorded(call, row))
		return keyd_op_held_start(call, &plan);
	return run_counted(call, row);
}

int keyd_op_run_proposed(struct keyd_op_call *call, const struct keyd_quorum_proposal *p)
{
	const struct row *row = &rows[p->op];
	struct keyd_op_plan plan = {row->handler, row->tell, row->states, "approved"};

	if (!keyd_permit_any(call->session->role, call->session->socket, p->op)) {
		keyd_session_denied(call->session, p->op);
		return ERR_DENIED;
	}
	return keyd_op_held_inner(call, p->op, span_of(p->body, p->n), &plan);
}

int64_t keyd_op_customer(struct keyd_op_call *call, struct span name)
{
	int64_t number = keyd_ring_customer(call->keyd->ring, name);

	if (number >= 0)
		call->subject = name;
	return number;
}

int keyd_op_late_begin(struct keyd_op_late *late, struct keyd_op_call *call)
{
	late->keyd = call->keyd;
	late->session = call->session;
	late->op = call->op;
	late->request = call->request;
	late->held = call->held;
	call->reply->len = call->reply->off + call->at;
	if (!late->held) /* else it is held already */
		keyd_session_hold(call->session);
	return KEYD_OP_LATER;
}

void keyd_op_late_answer(struct keyd_op_late *late, int rc, struct span body)
{
	if (late->held)
		keyd_op_held_end(late->held, rc, body);
	else
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

int keyd_op_named_start(struct keyd_op_call *call, struct span name, uint32_t number,
			int (*make)(struct keyd_change *), void (*done)(struct keyd_change *, int))
{
	struct keyd_op_named *c = calloc(1, sizeof(*c));

	if (!c)
		return ERR_NOMEM;
	c->op.change.make = make;
	c->op.change.done = done;
	c->number = number;
	c->n = name.n;
	memcpy(c->text, name.p, name.n);
	return keyd_op_change_start(&c->op, call);
}

void keyd_op_named_answer(struct keyd_op_named *c, int rc)
{
	keyd_op_late_answer(&c->op.late, rc, span_of(NULL, 0));
	free(c);
}
