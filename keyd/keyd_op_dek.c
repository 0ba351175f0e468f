/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of customers' DEKs: made, told, and retired when their users say that they are empty. */
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_audit.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_ring_manifest.h"
#include "keyd/keyd_rotate_key.h"
#include "keyproto/keyproto_dek.h"

static int rotate_make(struct keyd_change *change)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;
	struct keyd *k = change->keyd;
	int64_t customer = keyd_ring_customer(k->ring, keyd_op_named_of(c));
	struct buf record;
	int rc;

	if (customer < 0)
		return (int)customer;
	buf_init(&record, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_make_dek(k->ring, (uint32_t)customer, keyd_generation(k), &record);
	if (rc == 0)
		rc = keyd_change_put(change, KEYD_RECORD_DEK, buf_span(&record));
	buf_clear(&record);
	return rc;
}

/* Clients hold keys of the DEK before this one for new objects: the epoch has them ask anew. */
static void rotate_done(struct keyd_change *change, int rc)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;
	struct keyd *k = change->keyd;
	struct keyd_ring_dek_info dek;
	int64_t customer;

	if (rc == 0) {
		customer = keyd_ring_customer(k->ring, keyd_op_named_of(c));
		(void)keyd_ring_dek(k->ring, keyd_ring_newest(k->ring, (uint32_t)customer), &dek);
		log_event(LOG_LEVEL_INFO, c->op.late.session->name, "dek-rotated",
			  "customer=%.*s keyref=%u version=%u", (int)c->n, (const char *)c->text,
			  dek.keyref, dek.version);
		keyd_audit_event(k, AUDIT_DEK, AUDIT_SPAN(CUSTOMER, dek.customer),
				 AUDIT_NUM(KEYREF, dek.keyref), AUDIT_NUM(VERSION, dek.version),
				 AUDIT_STR(STATE, "active"));
		keyd_new_epoch(k);
	}
	keyd_op_named_answer(c, rc);
}

int keyd_op_dek_rotate(struct keyd_op_call *call, const struct keyproto_rotate *m)
{
	int64_t customer = keyd_op_customer(call, m->name);

	return customer < 0 ? (int)customer : keyd_op_named_start(call, m->name, 0, rotate_make, rotate_done);
}

/* The customer's tracking key goes under the newest DEK before another one ends. */
static int keep_track(struct keyd_change *change, const struct keyd_op_named *c, struct buf *record)
{
	struct keyd_ring *ring = change->keyd->ring;
	int64_t customer = keyd_ring_customer(ring, keyd_op_named_of(c));
	int rc;

	if (customer < 0)
		return (int)customer;
	if (!keyd_ring_track_under(ring, (uint32_t)customer, c->number) ||
	    keyd_ring_newest(ring, (uint32_t)customer) == c->number)
		return 0;
	rc = keyd_ring_track_move(ring, (uint32_t)customer, record);
	return rc < 0 ? rc : keyd_change_put(change, KEYD_RECORD_TRACK, buf_span(record));
}

static int empty_make(struct keyd_change *change)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;
	struct buf record;
	int rc;

	buf_init(&record, 512);
	rc = keep_track(change, c, &record);
	buf_reset(&record);
	if (rc == 0)
		rc = keyd_ring_make_dek_state(change->keyd->ring, c->number, KEYD_RECORD_RETIRED,
					      clock_wall(), &record);
	if (rc == 0)
		rc = keyd_change_put(change, KEYD_RECORD_DEK_STATE, buf_span(&record));
	buf_clear(&record);
	return rc;
}

static void empty_done(struct keyd_change *change, int rc)
{
	struct keyd_op_named *c = (struct keyd_op_named *)change;

	if (rc == 0) {
		log_event(LOG_LEVEL_INFO, c->op.late.session->name, "dek-retired",
			  "customer=%.*s keyref=%u", (int)c->n, (const char *)c->text, c->number);
		keyd_audit_event(change->keyd, AUDIT_DEK,
				 AUDIT_SPAN(CUSTOMER, keyd_op_named_of(c)),
				 AUDIT_NUM(KEYREF, c->number), AUDIT_STR(STATE, "retired"));
		keyd_rotate_key_kick(change->keyd);
	}
	keyd_op_named_answer(c, rc);
}

int keyd_op_dek_empty(struct keyd_op_call *call)
{
	struct keyd_ring_dek_info dek;
	struct keyproto_dek_empty m;
	int64_t customer;

	if (keyproto_dek_empty_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	customer = keyd_op_customer(call, m.customer);
	if (customer < 0)
		return (int)customer;
	if (keyd_ring_dek(call->keyd->ring, m.keyref, &dek) < 0 ||
	    !span_equal(dek.customer, m.customer))
		return ERR_NOTFOUND;
	if (dek.state == KEYD_RECORD_RETIRED)
		return 0; /* said before: after a lost answer, or by another worker */
	return keyd_op_named_start(call, m.customer, m.keyref, empty_make, empty_done);
}

static void tell(struct keyproto_dek *out, const struct keyd_ring_dek_info *dek)
{
	out->customer = dek->customer;
	out->keyref = dek->keyref;
	out->version = dek->version;
	out->state = (uint8_t)dek->state;
	out->created = (uint64_t)dek->created;
	out->changed = (uint64_t)dek->changed;
}

static unsigned tell_all(const struct keyd_ring *ring, uint32_t keyref, struct keyproto_dek *out)
{
	struct keyd_ring_dek_info dek;
	unsigned n = 0;

	while (n < KEYD_RING_DEKS && keyd_ring_dek(ring, keyref, &dek) == 0) {
		tell(&out[n++], &dek);
		keyref = dek.older;
	}
	return n;
}

static unsigned tell_old(const struct keyd_ring *ring, struct keyproto_dek *out)
{
	struct keyd_ring_dek_info dek;
	uint32_t keyref;
	unsigned n = 0;

	for (uint32_t i = 0; n < KEYPROTO_BATCH_MAX && (keyref = keyd_ring_old_dek(ring, i)); i++)
		if (keyd_ring_dek(ring, keyref, &dek) == 0 && dek.state == KEYD_RECORD_ACTIVE)
			tell(&out[n++], &dek);
	return n;
}

int keyd_op_dek_list(struct keyd_op_call *call)
{
	const struct keyd_ring *ring = call->keyd->ring;
	struct keyproto_dek out[KEYPROTO_BATCH_MAX];
	struct span name;
	int64_t customer;
	unsigned n;

	if (keyproto_bytes_get(call->body, &name) < 0)
		return KEYD_OP_MALFORMED;
	if (name.n == 0) {
		n = tell_old(ring, out);
	} else {
		customer = keyd_op_customer(call, name);
		if (customer < 0)
			return (int)customer;
		n = tell_all(ring, keyd_ring_newest(ring, (uint32_t)customer), out);
	}
	return keyproto_deks_put(call->reply, out, n);
}
