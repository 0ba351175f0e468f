/* SPDX-License-Identifier: Apache-2.0 */
/* Proposals: made of operations that need several officers, approved, listed, withdrawn. */
#include <inttypes.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyd/keyd_op.h"
#include "keyproto/keyproto_audit.h"

#define JSON_MAX (32 * 1024)

static void record(struct keyd_op_call *call, unsigned event, const struct keyd_quorum_proposal *p)
{
	char digest[HEX_SIZE(32)];

	hex_encode(digest, p->digest, 32);
	keyd_audit_event(call->keyd, event, AUDIT_NUM(PROPOSAL, p->number),
			 AUDIT_STR(OP, keyproto_op_name(p->op)), AUDIT_NUM(UID, call->session->uid),
			 AUDIT_STR(DIGEST, digest), AUDIT_NUM(HAVE, p->have),
			 AUDIT_NUM(NEED, p->need));
}

/* The handler of whatever needs a quorum. */
int keyd_op_quorum_propose(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyd_quorum_proposal *p;
	int rc;

	call->allowed = 1; /* the permit was asked before; the operation itself asks again */
	rc = keyd_quorum_add(&k->quorum, call->op, call->body, call->session->uid,
			     keyd_op_needed(k, call->op), clock_mono(), &p);
	if (rc < 0)
		return rc;
	log_event(LOG_LEVEL_WARN, call->session->name, "proposed",
		  "proposal=%" PRIu64 " op=%s uid=%u need=%u", p->number, keyproto_op_name(p->op),
		  (unsigned)call->session->uid, p->need);
	record(call, AUDIT_PROPOSED, p);
	rc = keyproto_audit_number_put(call->reply, p->number);
	return rc < 0 ? rc : ERR_QUORUM;
}

int keyd_op_quorum_approve(struct keyd_op_call *call)
{
	struct keyd_quorum *q = &call->keyd->quorum;
	struct keyd_quorum_proposal *p;
	uint64_t number;
	int rc;

	if (keyproto_audit_number_get(call->body, &number) < 0)
		return KEYD_OP_MALFORMED;
	rc = keyd_quorum_approve(q, number, call->session->uid, clock_mono(), &p);
	if (rc < 0)
		return rc;
	log_event(LOG_LEVEL_WARN, call->session->name, "approved",
		  "proposal=%" PRIu64 " op=%s uid=%u have=%u need=%u", p->number,
		  keyproto_op_name(p->op), (unsigned)call->session->uid, p->have, p->need);
	record(call, AUDIT_APPROVED, p);
	if (p->have < p->need) {
		rc = keyproto_audit_number_put(call->reply, number);
		return rc < 0 ? rc : ERR_QUORUM;
	}
	rc = keyd_op_run_proposed(call, p);
	if (p->number == number) /* else what was approved has dropped them all */
		keyd_quorum_drop(p);
	return rc;
}

int keyd_op_quorum_withdraw(struct keyd_op_call *call)
{
	struct keyd_quorum_proposal *p;
	uint64_t number;
	int rc;

	if (keyproto_audit_number_get(call->body, &number) < 0)
		return KEYD_OP_MALFORMED;
	rc =
	    keyd_quorum_withdraw(&call->keyd->quorum, number, call->session->uid, clock_mono(), &p);
	if (rc < 0)
		return rc;
	log_event(LOG_LEVEL_INFO, call->session->name, "withdrawn", "proposal=%" PRIu64 " op=%s",
		  p->number, keyproto_op_name(p->op));
	record(call, AUDIT_WITHDRAWN, p);
	keyd_quorum_drop(p);
	return 0;
}

static void put_proposal(struct buf *out, const struct keyd_quorum_proposal *p, int64_t now)
{
	char digest[HEX_SIZE(32)];

	hex_encode(digest, p->digest, 32);
	buf_putf(out,
		 "%s{\"number\":%" PRIu64 ",\"op\":\"%s\",\"digest\":\"%s\",\"uid\":%" PRIu32
		 ",\"approved\":[",
		 buf_ptr(out)[buf_size(out) - 1] == '[' ? "" : ",", p->number,
		 keyproto_op_name(p->op), digest, p->uids[0]);
	for (unsigned i = 0; i < p->have; i++)
		buf_putf(out, "%s%" PRIu32, i ? "," : "", p->uids[i]);
	buf_putf(out, "],\"need\":%u,\"expires_s\":%" PRId64 "}", p->need,
		 (p->ends - now) / CLOCK_SEC);
}

int keyd_op_quorum_list(struct keyd_op_call *call)
{
	const struct keyd_quorum *q = &call->keyd->quorum;
	int64_t now = clock_mono();
	struct buf json;
	int rc;

	if (call->body.n)
		return KEYD_OP_MALFORMED;
	buf_init(&json, JSON_MAX);
	buf_put_str(&json, "{\"proposals\":[");
	for (unsigned i = 0; i < KEYD_QUORUM_MAX; i++)
		if (q->items[i].number && q->items[i].ends > now)
			put_proposal(&json, &q->items[i], now);
	buf_put_str(&json, "]}");
	rc = buf_failed(&json) ? buf_failed(&json) : buf_put_span(call->reply, buf_span(&json));
	buf_clear(&json);
	return rc;
}
