/* SPDX-License-Identifier: Apache-2.0 */
/* TRACK_KEY: the key of a customer's tracking tokens in one epoch. What it comes from is made at the
 * first question for it, and leaves keyd never. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_audit.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_ring_manifest.h"
#include "keyproto/keyproto_manifest.h"

/* Puts the key of the epoch into a reply. */
static int put_key(struct keyd_ring *ring, uint32_t customer, uint32_t epoch, struct buf *out)
{
	uint8_t *key = secret_alloc(KEYPROTO_TRACK_SIZE);
	int rc;

	if (!key)
		return ERR_NOMEM;
	rc = keyd_ring_track_key(ring, customer, epoch, key);
	if (rc == 0)
		rc = keyproto_bytes_put(out, span_of(key, KEYPROTO_TRACK_SIZE));
	secret_free(key, KEYPROTO_TRACK_SIZE);
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

static void first_done(struct keyd_change *change, int rc)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;
	struct keyd_ring *ring = change->keyd->ring;
	const struct keyd_session *s = c->op.late.session;
	struct keyd_audit_use use = {.event = AUDIT_USE,
				     .op = KEYPROTO_TRACK_KEY,
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
				  : put_key(ring, (uint32_t)customer, c->number, &reply);
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

int keyd_op_track(struct keyd_op_call *call)
{
	struct keyproto_track m;
	int64_t customer;
	int rc;

	if (keyproto_track_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	customer = keyd_op_customer(call, m.customer);
	if (customer < 0)
		return (int)customer;
	rc = put_key(call->keyd->ring, (uint32_t)customer, m.epoch, call->reply);
	if (rc != ERR_NOTFOUND)
		return rc;
	call->counted = 1; /* by first_done */
	return keyd_op_named_start(call, m.customer, m.epoch, first_make, first_done);
}
