/* SPDX-License-Identifier: Apache-2.0 */
/* UNSEAL and UNSEAL_CANCEL. A passphrase and a token are tried in the pool; shares are added up
 * here until they are enough. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_slot.h"

struct unseal {
	struct keyd_op_job op;
	struct keyd_snapshot_head head;
	struct keyd_slot_vault *vault;
	struct keyd_slot_outcome outcome;
	struct keyd_token *token;
	int given; /* by somebody: who guesses waits */
	int result;
};

static void unseal_free(struct unseal *u)
{
	keyd_slot_vault_free(u->vault);
	free(u);
}

static void work(struct keyd_pool_job *job)
{
	struct unseal *u = (struct unseal *)job;

	u->result = keyd_slot_open(u->vault, &u->head, 0, u->token, &u->outcome);
}

/* Everybody waits after a wrong secret. */
static void failed(struct keyd *k, const struct keyd_session *s, unsigned method)
{
	keyd_root_delay_failed(&k->delay, clock_mono());
	keyd_audit_event(k, AUDIT_UNSEAL, AUDIT_STR(METHOD, keyd_root_method_name(method)),
			 AUDIT_NUM(UID, s->uid), AUDIT_STR(RESULT, "failed"));
	keyd_watch_tamper(k, KEYD_TAMPER_AUTH, 1);
	log_event(LOG_LEVEL_WARN, s->name, "unseal-failed", "uid=%u method=%s failures=%u",
		  (unsigned)s->uid, keyd_root_method_name(method), k->delay.failures);
}

static int opened(struct keyd *k, const struct keyd_session *s, uint32_t slot, const uint8_t *root)
{
	keyd_root_delay_passed(&k->delay);
	keyd_audit_event(k, AUDIT_UNSEAL, AUDIT_NUM(SLOT, slot), AUDIT_NUM(UID, s->uid),
			 AUDIT_STR(RESULT, "opened"));
	log_event(LOG_LEVEL_INFO, s->name, "unseal-opened", "uid=%u slot=%u", (unsigned)s->uid,
		  (unsigned)slot);
	return keyd_unlock(k, root);
}

static void done(struct keyd_pool_job *job)
{
	struct unseal *u = (struct unseal *)job;
	struct keyd *k = u->op.late.keyd;

	k->opening = 0;
	keyd_slot_log(u->vault, &u->outcome, u->op.late.session->name);
	if (u->result == 0)
		u->result = opened(k, u->op.late.session, u->outcome.id, u->vault->root);
	else if (u->given && u->result == ERR_AUTH)
		failed(k, u->op.late.session, u->vault->secrets[0].method);
	else if (u->given)
		log_event(LOG_LEVEL_WARN, u->op.late.session->name, "unseal-not-tried",
			  "uid=%u method=%s error=\"%s\" why=\"%s\"",
			  (unsigned)u->op.late.session->uid,
			  keyd_root_method_name(u->vault->secrets[0].method), err_text(u->result),
			  u->outcome.why ? u->outcome.why : "");
	keyd_op_late_answer(&u->op.late, keyd_slot_reply(u->result), span_of(NULL, 0));
	unseal_free(u);
}

static int start(struct keyd_op_call *call, const struct keyproto_slot *m)
{
	struct keyd *k = call->keyd;
	struct unseal *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return ERR_NOMEM;
	u->vault = keyd_slot_vault_new();
	u->head = *keyd_store_head(k->store);
	u->token = k->token;
	u->given = m->secret.n > 0;
	if (!u->vault)
		rc = ERR_NOMEM;
	else if (u->given)
		rc = keyd_slot_give(m->method, m->secret, u->vault);
	else
		rc = keyd_slot_gather(k->conf, m->method, &u->head, call->session->name, u->vault);
	if (rc < 0) {
		unseal_free(u);
		return rc;
	}
	u->op.pool.work = work;
	u->op.pool.done = done;
	u->op.pool.heavy = 1;
	k->opening = 1;
	return keyd_op_job_start(&u->op, call);
}

/* What a worker is given by the shares that came one by one. */
struct whole {
	uint8_t key[32], root[32];
};

static int finish_shares(struct keyd *k, const struct keyd_session *s)
{
	const struct keyd_snapshot_head *head = keyd_store_head(k->store);
	struct whole *w = secret_alloc(sizeof(*w));
	uint32_t id = 0;
	int rc = w ? keyd_unseal_key(&k->unseal, w->key, &id) : ERR_NOMEM;

	for (unsigned i = 0; rc == 0 && i < head->slot_count; i++)
		if (head->slots[i].id == id)
			rc = keyd_root_slot_open(&head->slots[i], head->id, span_of(w->key, 32),
						 w->root);
	if (rc == 0)
		rc = opened(k, s, id, w->root);
	else if (rc == ERR_AUTH)
		failed(k, s, KEYPROTO_SLOT_SHARES);
	secret_free(w, sizeof(*w));
	return rc;
}

int keyd_op_unseal(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyproto_slot m;
	int rc;

	if (keyproto_slot_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (k->opening)
		return ERR_BUSY;
	if (!k->store)
		return ERR_BADSTATE; /* a ring that was never more than memory */
	if (m.secret.n && keyd_root_delay_check(&k->delay, clock_mono()) < 0)
		return ERR_BUSY;
	if (m.method != KEYPROTO_SLOT_SHARES)
		return start(call, &m);
	rc = keyd_unseal_take(&k->unseal, keyd_store_head(k->store), m.secret, call->session->uid,
			      call->session->name, clock_mono());
	return rc == 0 ? finish_shares(k, call->session) : rc;
}

int keyd_op_unseal_cancel(struct keyd_op_call *call)
{
	if (call->body.n)
		return KEYD_OP_MALFORMED;
	return keyd_unseal_cancel(&call->keyd->unseal, call->session->uid, call->session->name,
				  clock_mono());
}
