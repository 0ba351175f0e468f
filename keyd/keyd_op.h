/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_op - the operations: one table from opcode to handler, one function that runs them.
 *
 * Story:     keyd_op_run looks the operation up, checks keyd's state, and asks keyd_permit for
 *            operations without a subject. The others ask through keyd_op_allow as soon as they
 *            have decoded theirs; one that succeeds without having asked is a bug that stops the
 *            program. A handler writes the reply's body into call->reply and returns 0; or an
 *            error; or it hands a job to the pool (keyd_op_job_start), whose done answers with
 *            keyd_op_job_answer.
 * Errors:    ERR_* becomes the reply's status. KEYD_OP_MALFORMED ends the connection.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_OP_H
#define KEYD_KEYD_OP_H

#include "keyd/keyd_permit.h"
#include "keyd/keyd_pool.h"
#include "keyd/keyd_session.h"

#define KEYD_OP_LATER	  1
#define KEYD_OP_MALFORMED 2

struct keyd_op_call {
	struct keyd *keyd;
	struct keyd_session *session;
	unsigned op;
	uint64_t request;
	struct span body;
	struct buf *reply;
	size_t at;   /* where the reply's frame was opened in reply */
	int allowed; /* keyd_permit said yes */
};

int keyd_op_run(struct keyd_op_call *call);

/* 0, or ERR_DENIED, counted and logged. */
int keyd_op_allow(struct keyd_op_call *call, struct span subject);

/* Number of the customer that a request names; ERR_NOTFOUND. */
int64_t keyd_op_customer(const struct keyd_op_call *call, struct span name);

/* What every late answer begins with. */
struct keyd_op_job {
	struct keyd_pool_job pool;
	struct keyd *keyd;
	struct keyd_session *session;
	unsigned op;
	uint64_t request;
};
/* Fills job, whose pool.work and pool.done (and heavy) are set, and runs it; returns
 * KEYD_OP_LATER. */
int keyd_op_job_start(struct keyd_op_job *job, struct keyd_op_call *call);
/* Exactly once, from done. */
void keyd_op_job_answer(struct keyd_op_job *job, int rc, struct span body);

/* The handlers, by file. */
int keyd_op_status(struct keyd_op_call *call);
int keyd_op_derive_new(struct keyd_op_call *call);
int keyd_op_derive_existing(struct keyd_op_call *call);
int keyd_op_field_seal(struct keyd_op_call *call);
int keyd_op_field_open(struct keyd_op_call *call);
int keyd_op_field_index(struct keyd_op_call *call);
int keyd_op_mac(struct keyd_op_call *call);
int keyd_op_mac_verify(struct keyd_op_call *call);
int keyd_op_sign(struct keyd_op_call *call);
int keyd_op_key_public(struct keyd_op_call *call);
int keyd_op_key_add(struct keyd_op_call *call);
int keyd_op_key_list(struct keyd_op_call *call);
/* "keys":[...] for KEY_LIST and STATUS; cut at 60 KiB. ring may be NULL. */
void keyd_op_key_json(const struct keyd_ring *ring, struct buf *out);
int keyd_op_admin_init(struct keyd_op_call *call);
int keyd_op_admin_unseal(struct keyd_op_call *call);
int keyd_op_admin_lock(struct keyd_op_call *call);
int keyd_op_admin_customer(struct keyd_op_call *call);

#endif
