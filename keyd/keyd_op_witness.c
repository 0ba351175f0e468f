/* SPDX-License-Identifier: Apache-2.0 */
/* WITNESS and ACCEPT: what others remember of the store, and an officer's word that it stands all
 * the same. */
#include "keyd/keyd_op.h"

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_recall.h"
#include "keyd/keyd_ring_start.h"
#include "keyd/keyd_ring_tomb.h"

/* For when keyd opens. */
static int keep(struct keyd *k, const struct keyproto_witness *m)
{
	int rc = 0;

	if (memcmp(m->store, keyd_store_id(k), 16))
		return ERR_LOCKED;
	keyd_witness_heard(k, KEYD_WITNESS_RELAY, &m->mark);
	for (unsigned i = 0; rc == 0 && i < m->count; i++)
		rc = keyd_witness_pend(k, m->tombs[i]);
	return rc == 0 ? ERR_LOCKED : rc;
}

_Static_assert(KEYD_RECORD_TOMB_TOKEN_MAX <= KEYPROTO_TOMB_MAX, "a token fits its message");

/* Our tombstones from number from on, as many as go into a message. tokens is their room. */
static int show(const struct keyd_ring *ring, uint32_t from, struct keyproto_witness *reply,
		struct buf *tokens)
{
	size_t ends[KEYPROTO_TOMBS_MAX], at = 0;
	int rc = 0;

	reply->number = keyd_ring_tomb_count(ring);
	while (rc == 0 && reply->count < KEYPROTO_TOMBS_MAX &&
	       from + reply->count < reply->number) {
		rc = keyd_ring_tomb_get(ring, from + reply->count, tokens);
		ends[reply->count++] = buf_size(tokens);
	}
	for (unsigned i = 0; i < reply->count; i++) {
		reply->tombs[i] = span_sub(buf_span(tokens), at, ends[i] - at);
		at = ends[i];
	}
	return rc;
}

int keyd_op_witness(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyproto_witness m, reply = {.count = 0};
	struct buf tokens;
	int rc;

	if (keyproto_witness_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (k->state != KEYPROTO_READY)
		return keep(k, &m);
	reply.store = keyd_store_id(k);
	rc = memcmp(m.store, reply.store, 16) ? 0
					      : keyd_witness_heard(k, KEYD_WITNESS_RELAY, &m.mark);
	if (rc < 0)
		return rc;
	keyd_witness_tombs(k, m.tombs, m.count);
	keyd_ring_mark(k->ring, keyd_generation(k), &reply.mark);
	buf_init(&tokens, KEYPROTO_TOMBS_MAX * KEYPROTO_TOMB_MAX);
	rc = show(k->ring, m.number, &reply, &tokens);
	if (rc == 0)
		rc = keyproto_witness_put(call->reply, &reply);
	buf_clear(&tokens);
	return rc;
}

int keyd_op_accept(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	int rc;

	if (call->body.n)
		return KEYD_OP_MALFORMED;
	if (k->opening)
		return ERR_BUSY;
	if (!k->witness.why)
		return ERR_BADSTATE;
	rc = keyd_recall(k);
	if (rc < 0)
		return rc;
	k->witness.accepted = 1;
	log_event(LOG_LEVEL_WARN, call->session->name, "rollback-accepted", "uid=%u",
		  (unsigned)call->session->uid);
	rc = keyd_open_slots(k);
	return rc == ERR_AUTH ? ERR_LOCKED : rc;
}
