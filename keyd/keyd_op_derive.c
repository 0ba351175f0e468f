/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of objects: new ones, for which keyd picks the salt, and those of objects that exist. */
#include "keyd/keyd_op.h"

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/rand.h"
#include "core/secret.h"
#include "seal/seal_chunk.h"

_Static_assert(KEYPROTO_SALT == SEAL_CHUNK_SALT && KEYPROTO_OBJECT_KEY == SEAL_CHUNK_KEY,
	       "keyproto and seal speak of the same keys");

int keyd_op_derive_new(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyproto_derive_new m;
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];
	const uint8_t *key;
	uint32_t keyref;
	int64_t customer;
	int rc;

	if (keyproto_derive_new_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, span_str(keyproto_purpose_name(m.purpose))) < 0)
		return ERR_DENIED;
	customer = keyd_op_customer(call, m.customer);
	if (customer < 0)
		return (int)customer;
	keyref = keyd_ring_newest(k->ring, (uint32_t)customer);
	rc = keyd_ring_subkey(k->ring, (uint32_t)customer, keyref, m.purpose, &key);
	if (rc < 0)
		return rc;
	rand_bytes(k->scratch->salts, m.count * sizeof(k->scratch->salts[0]));
	for (unsigned i = 0; rc == 0 && i < m.count; i++) {
		out[i].keyref = keyref;
		out[i].salt = k->scratch->salts[i];
		out[i].key = k->scratch->keys[i];
		out[i].status = 0;
		rc = seal_chunk_derive(key, k->scratch->salts[i], m.contexts[i],
				       k->scratch->keys[i]);
	}
	if (rc == 0)
		rc = keyproto_derived_put(call->reply, out, m.count);
	secret_wipe(k->scratch->keys, m.count * sizeof(k->scratch->keys[0]));
	return rc < 0 ? rc : 0;
}

static int existing(struct keyd_op_call *call, const struct keyproto_object *o, int64_t customer,
		    uint8_t *dst)
{
	const uint8_t *key;
	int rc;

	rc = keyd_ring_subkey(call->keyd->ring, (uint32_t)customer, o->keyref, o->purpose, &key);
	return rc < 0 ? rc : seal_chunk_derive(key, o->salt, o->context, dst);
}

/* Says it once a second at most for each session that asks too much. */
static void over_rate(struct keyd_op_call *call, unsigned refused)
{
	struct keyd_session *s = call->session;
	int64_t now = clock_mono();

	if (s->limited_at && now - s->limited_at < CLOCK_SEC)
		return;
	s->limited_at = now ? now : 1;
	log_event(LOG_LEVEL_WARN, s->name, "derive-rate", "uid=%u refused=%u", (unsigned)s->uid,
		  refused);
}

/* How many objects of which customer somebody opened: the audit log has it by the minute. */
static void count(struct keyd_op_call *call, struct keyd_audit_use *use)
{
	if (use->count)
		keyd_audit_use(call->keyd, use);
	use->count = use->failed = 0;
	call->counted = 1;
}

int keyd_op_derive_existing(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyproto_derive_existing m;
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];
	struct keyd_audit_use use = {.event = AUDIT_USE,
				     .op = call->op,
				     .role = call->session->role,
				     .uid = call->session->uid};
	struct span name = span_of(NULL, 0);
	int64_t customer = ERR_NOTFOUND, now = clock_mono();
	unsigned purpose = 0, refused = 0;
	int rc;

	if (keyproto_derive_existing_get(call->body, &m) < 0)
		return KEYD_OP_MALFORMED;
	for (unsigned i = 0; i < m.count; i++) {
		if (m.items[i].purpose == purpose)
			continue;
		purpose = m.items[i].purpose;
		if (keyd_op_allow(call, span_str(keyproto_purpose_name(purpose))) < 0)
			return ERR_DENIED;
	}
	for (unsigned i = 0; i < m.count; i++) {
		const struct keyproto_object *o = &m.items[i];
		/* Batches are mostly of one customer: look him up once. */
		if (i == 0 || !span_equal(o->customer, name)) {
			count(call, &use);
			name = o->customer;
			customer = keyd_op_customer(call, name);
			use.subject = customer < 0 ? span_of(NULL, 0) : name;
		}
		rc = customer < 0 ? (int)customer : 0;
		if (rc == 0 &&
		    !keyd_rate_take(k->rate, call->session->uid, (uint32_t)customer, 1, now)) {
			rc = ERR_BUSY;
			refused++;
		}
		if (rc == 0)
			rc = existing(call, o, customer, k->scratch->keys[i]);
		use.count++;
		use.failed += rc < 0;
		out[i].keyref = o->keyref;
		out[i].status = keyproto_status_of_err(rc);
		out[i].salt = rc < 0 ? NULL : o->salt;
		out[i].key = rc < 0 ? NULL : k->scratch->keys[i];
	}
	count(call, &use);
	if (refused)
		over_rate(call, refused);
	rc = keyproto_derived_put(call->reply, out, m.count);
	secret_wipe(k->scratch->keys, m.count * sizeof(k->scratch->keys[0]));
	return rc < 0 ? rc : 0;
}
