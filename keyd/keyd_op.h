/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_op - the operations: one table from opcode to handler, one function that runs them.
 *
 * Story:     keyd_op_run looks the operation up, checks keyd's state, and asks keyd_permit for
 *            operations without a subject. The others ask through keyd_op_allow as soon as they
 *            have decoded theirs; one that succeeds without having asked is a bug that stops the
 *            program. A handler writes the reply's body into call->reply and returns 0; or an
 *            error; or it hands work on (keyd_op_job_start, keyd_op_change_start), whose done
 *            answers with keyd_op_late_answer.
 * Audit:     use operations (numbers below 32) are counted. The others are recorded before the
 *            handler runs and after it (keyd_op_held), unless their row says that they only look.
 *            Their bodies then lie elsewhere than the frame, and their answers come late.
 * Quorum:    a row that names a class becomes a proposal if keyd.yaml asks for more than one
 *            approval of it.
 * Errors:    ERR_* becomes the reply's status. KEYD_OP_MALFORMED ends the connection.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_OP_H
#define KEYD_KEYD_OP_H

#include "keyd/keyd_permit.h"
#include "keyd/keyd_pool.h"
#include "keyd/keyd_session.h"
#include "keyproto/keyproto_rotate.h"

#define KEYD_OP_LATER	  1
#define KEYD_OP_MALFORMED 2

struct keyd_op_held;

struct keyd_op_call {
	struct keyd *keyd;
	struct keyd_session *session;
	unsigned op;
	uint64_t request;
	struct span body;
	struct buf *reply;
	size_t at;   /* where the reply's frame was opened in reply */
	int allowed; /* keyd_permit said yes */
	struct keyd_op_held *held;	  /* it stands in the audit log, and is answered through this */
	/* Of an operation that is counted. */
	struct span subject;	   /* customer or label, once it is known to exist */
	unsigned items, failed;	   /* 0: one item, failed if the operation did */
	int counted;		   /* the handler has done so itself */
};

int keyd_op_run(struct keyd_op_call *call);

/* 0, or ERR_DENIED, counted and logged. */
int keyd_op_allow(struct keyd_op_call *call, struct span subject);

/* Number of the customer that a request names; ERR_NOTFOUND. */
int64_t keyd_op_customer(struct keyd_op_call *call, struct span name);

/* An answer that comes later: who asked, and what. */
struct keyd_op_late {
	struct keyd *keyd;
	struct keyd_session *session;
	unsigned op;
	uint64_t request;
	struct keyd_op_held *held;
};
/* Holds the session and takes back the frame that was opened for an answer within the call; so it
 * comes before the work is started. Returns KEYD_OP_LATER. */
int keyd_op_late_begin(struct keyd_op_late *late, struct keyd_op_call *call);
/* Exactly once. */
void keyd_op_late_answer(struct keyd_op_late *late, int rc, struct span body);

/* Long work for the pool. */
struct keyd_op_job {
	struct keyd_pool_job pool;
	struct keyd_op_late late;
};
/* pool.work and pool.done (and heavy) are set; done answers with keyd_op_late_answer. Returns
 * KEYD_OP_LATER. */
int keyd_op_job_start(struct keyd_op_job *job, struct keyd_op_call *call);

/* A change of the store that somebody asked for. */
struct keyd_op_change {
	struct keyd_change change;
	struct keyd_op_late late;
};
/* change.make and change.done are set; done answers. Returns KEYD_OP_LATER. */
int keyd_op_change_start(struct keyd_op_change *change, struct keyd_op_call *call);

/* Such a change of one thing that has a name, without more to answer than that it was done. */
struct keyd_op_named {
	struct keyd_op_change op;
	uint32_t number; /* of make's and done's own */
	size_t n;
	uint8_t text[KEYPROTO_NAME_MAX];
};
/* name: keyproto_name_ok. Returns KEYD_OP_LATER or ERR_NOMEM. */
int keyd_op_named_start(struct keyd_op_call *call, struct span name, uint32_t number,
			int (*make)(struct keyd_change *), void (*done)(struct keyd_change *, int));
/* From done: answers, and frees. */
void keyd_op_named_answer(struct keyd_op_named *c, int rc);
static inline struct span keyd_op_named_of(const struct keyd_op_named *c)
{
	return span_of(c->text, c->n);
}

/* What an operation is told that is served in states (bits), of which this is none. */
int keyd_op_wrong_state(const struct keyd *k, unsigned states);
/* How many approvals an operation needs; 1: none but that of who asks. */
unsigned keyd_op_needed(const struct keyd *k, unsigned op);
/* Runs a proposal that has all its approvals, for the call that brought the last. */
int keyd_op_run_proposed(struct keyd_op_call *call, const struct keyd_quorum_proposal *p);

/* The handlers, by file. */
int keyd_op_status(struct keyd_op_call *call);
int keyd_op_derive_new(struct keyd_op_call *call);
int keyd_op_derive_existing(struct keyd_op_call *call);
int keyd_op_field_seal(struct keyd_op_call *call);
int keyd_op_field_open(struct keyd_op_call *call);
int keyd_op_field_index(struct keyd_op_call *call);
int keyd_op_field_reseal(struct keyd_op_call *call);
int keyd_op_dek_list(struct keyd_op_call *call);
int keyd_op_dek_empty(struct keyd_op_call *call);
int keyd_op_dek_rotate(struct keyd_op_call *call, const struct keyproto_rotate *m);
int keyd_op_rotate_key(struct keyd_op_call *call, const struct keyproto_rotate *m);
int keyd_op_rotate(struct keyd_op_call *call);
int keyd_op_mac(struct keyd_op_call *call);
int keyd_op_mac_verify(struct keyd_op_call *call);
int keyd_op_sign(struct keyd_op_call *call);
int keyd_op_key_public(struct keyd_op_call *call);
int keyd_op_key_add(struct keyd_op_call *call);
int keyd_op_key_list(struct keyd_op_call *call);
/* "keys":[...] for KEY_LIST and STATUS: versions from number from on, and "keys_next": the one to
 * go on with, if out grew longer than max. ring may be NULL. */
void keyd_op_key_json(const struct keyd_ring *ring, uint32_t from, size_t max, struct buf *out);
int keyd_op_admin_init(struct keyd_op_call *call);
int keyd_op_admin_lock(struct keyd_op_call *call);
int keyd_op_admin_customer(struct keyd_op_call *call);
int keyd_op_version_list(struct keyd_op_call *call);
int keyd_op_checkpoint(struct keyd_op_call *call);
int keyd_op_checkpoint_last(struct keyd_op_call *call);
int keyd_op_witness(struct keyd_op_call *call);
int keyd_op_manifest(struct keyd_op_call *call);
int keyd_op_approver_add(struct keyd_op_call *call);
int keyd_op_approver_remove(struct keyd_op_call *call);
int keyd_op_approver_list(struct keyd_op_call *call);
int keyd_op_track(struct keyd_op_call *call);
int keyd_op_track_audience(struct keyd_op_call *call);
int keyd_op_accept(struct keyd_op_call *call);
int keyd_op_shred(struct keyd_op_call *call);
int keyd_op_shreds(struct keyd_op_call *call);
int keyd_op_backup(struct keyd_op_call *call);
int keyd_op_backup_forget(struct keyd_op_call *call);
int keyd_op_restore(struct keyd_op_call *call);
int keyd_op_rotate(struct keyd_op_call *call);
int keyd_op_rotation(struct keyd_op_call *call);
int keyd_op_schedule(struct keyd_op_call *call);
int keyd_op_unseal(struct keyd_op_call *call);
int keyd_op_unseal_cancel(struct keyd_op_call *call);
int keyd_op_slot_add(struct keyd_op_call *call);
int keyd_op_slot_remove(struct keyd_op_call *call);
int keyd_op_slot_test(struct keyd_op_call *call);
int keyd_op_quorum_propose(struct keyd_op_call *call);
int keyd_op_quorum_approve(struct keyd_op_call *call);
int keyd_op_quorum_list(struct keyd_op_call *call);
int keyd_op_quorum_withdraw(struct keyd_op_call *call);
int keyd_op_audit_read(struct keyd_op_call *call);
int keyd_op_selftest(struct keyd_op_call *call);
int keyd_op_zeroize(struct keyd_op_call *call);

#endif
