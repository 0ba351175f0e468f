/* SPDX-License-Identifier: Apache-2.0 */
/* TRACK_KEY: the key of a customer's tracking tokens in one epoch; AUDIENCE_KEY: the one that his
 * recipients are hashed with. What both come from is made at the first question, and leaves keyd
 * never. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_audit.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_ring_manifest.h"
#include "keyproto/keyproto_manifest.h"

#define SIZE 32 /* of either */
_Static_assert(KEYPROTO_TRACK_SIZE == SIZE && KEYPROTO_AUDIENCE_SIZE == SIZE, "keys of one size");

/* Puts the key that op asks for into a reply. */
static int put_key(struct keyd_ring *ring, unsigned op, uint32_t customer, uint32_t epoch,
		   struct buf *out)
{
	uint8_t *key = secret_alloc(SIZE);
	int rc;

	if (!key)
		return ERR_NOMEM;
	rc = op == KEYPROTO_AUDIENCE_KEY ? keyd_ring_audience_key(ring, customer, key)
					 : keyd_ring_track_key(ring, customer, epoch, key);
	if (rc == 0)
		rc = keyproto_bytes_put(out, span_of(key, SIZE));
	secret_free(key, SIZE);
	return rc;
}

static int first_make(struct keyd_change *change)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;
	struct keyd_ring *ring = change->keyd->ring;
	int64_t customer = keyd_ring_customer(ring, keyd_op_named_of(c));
	struct buf record;
	int rc;

	if (customer < 0)
		return (int)customer;
	buf_init(&record, 512);
	rc = keyd_ring_make_track(ring, (uint32_t)customer, clock_wall(), &record);
	if (rc == 0)
		rc = keyd_change_put(change, KEYD_RECORD_TRACK, buf_span(&record));
	buf_clear(&record);
	return rc == ERR_EXISTS ? 0 : rc; /* two asked at once */
}

static void answer(struct keyd_change *change, unsigned op, int rc)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;
	struct keyd_ring *ring = change->keyd->ring;
	const struct keyd_session *s = c->op.late.session;
	struct keyd_audit_use use = {.event = AUDIT_USE,
				     .op = (uint16_t)op,
				     .role = s->role,
				     .uid = s->uid,
				     .subject = keyd_op_named_of(c),
				     .count = 1};
	int64_t customer;
	struct buf reply;

	buf_init_wiped(&reply, 64);
	if (rc == 0) {
		customer = keyd_ring_customer(ring, keyd_op_named_of(c));
		rc = customer < 0 ? (int)customer
				  : put_key(ring, op, (uint32_t)customer, c->number, &reply);
	}
	use.failed = rc < 0;
	keyd_audit_use(change->keyd, &use);
	if (rc == 0)
		log_event(LOG_LEVEL_INFO, s->name, "track-key-made", "customer=%.*s", (int)c->n,
			  (const char *)c->text);
	keyd_op_late_answer(&c->op.late, rc, buf_span(&reply));
	buf_clear(&reply);
	free(c);
}

static void first_track(struct keyd_change *change, int rc)
{
	answer(change, KEYPROTO_TRACK_KEY, rc);
}

static void first_audience(struct keyd_change *change, int rc)
{
	answer(change, KEYPROTO_AUDIENCE_KEY, rc);
}

static int give(struct keyd_op_call *call, unsigned op, struct span name, uint32_t epoch)
{
	int64_t customer = keyd_op_customer(call, name);
	int rc;

	if (customer < 0)
		return (int)customer;
	rc = put_key(call->keyd->ring, op, (uint32_t)customer, epoch, call->reply);
	if (rc != ERR_NOTFOUND)
		return rc;
	call->counted = 1; /* by answer */
	return keyd_op_named_start(call, name, epoch, first_make,
				   op == KEYPROTO_AUDIENCE_KEY ? first_audience : first_track);
}

int keyd_op_track(struct keyd_op_call *call)
{
	struct keyproto_track m;

	if (keyproto_track_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	return give(call, KEYPROTO_TRACK_KEY, m.customer, m.epoch);
}

int keyd_op_track_audience(struct keyd_op_call *call)
{
	struct span customer;

	if (keyproto_audience_get(call->body, &customer) < 0)
		return KEYD_OP_MALFORMED;
	return give(call, KEYPROTO_AUDIENCE_KEY, customer, 0);
}
