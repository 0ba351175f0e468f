/* SPDX-License-Identifier: Apache-2.0 */
/* Database fields and credentials: sealed and opened here, so that their keys stay here. */
#include "keyd/keyd_op.h"

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "seal/seal_field.h"
#include "seal/seal_index.h"

#define DATA_MAX (128 * 1024) /* beyond a frame: a reply that is too long is refused as a whole */

/* Results of one batch: their bytes lie in data, one behind the other. */
struct batch {
	struct keyproto_fields m;
	struct keyproto_result out[KEYPROTO_BATCH_MAX];
	size_t ends[KEYPROTO_BATCH_MAX];
	struct buf data;
	int64_t customer;
	unsigned failed, forged; /* items; of them those that did not verify */
};

/* Decodes, asks, finds the customer. */
static int begin(struct keyd_op_call *call, struct batch *b)
{
	if (keyproto_fields_get(call->body, &b->m) < 0)
		return KEYD_OP_MALFORMED;
	if (keyd_op_allow(call, span_str(keyproto_purpose_name(b->m.purpose))) < 0)
		return ERR_DENIED;
	b->customer = keyd_op_customer(call, b->m.customer);
	if (b->customer < 0)
		return (int)b->customer;
	buf_init_wiped(&b->data, DATA_MAX);
	b->failed = b->forged = 0;
	return 0;
}

/* Item i came out as rc; what it added to data is its result. */
static void note(struct batch *b, unsigned i, int rc, size_t before)
{
	if (rc < 0) {
		b->data.len = b->data.off + before;
		b->data.failed = 0;
		b->failed++;
		b->forged += rc == ERR_AUTH;
	}
	b->out[i].status = keyproto_status_of_err(rc);
	b->ends[i] = buf_size(&b->data);
}

static int finish(struct keyd_op_call *call, struct batch *b, int rc)
{
	size_t from = 0;

	for (unsigned i = 0; i < b->m.count; i++) {
		b->out[i].data = span_sub(buf_span(&b->data), from, b->ends[i] - from);
		from = b->ends[i];
	}
	call->items = b->m.count;
	call->failed = b->failed;
	keyd_watch_tamper(call->keyd, KEYD_TAMPER_MAC, b->forged);
	if (rc == 0)
		rc = keyproto_results_put(call->reply, b->out, b->m.count);
	buf_clear(&b->data);
	return rc < 0 ? rc : 0;
}

/* The message has room for a sealed field, since opening has the same one; a plain field of that
 * length would not fit into it sealed. */
static int plain_ok(const struct keyproto_field *f)
{
	return f->data.n <= KEYPROTO_DATA_MAX ? 0 : ERR_LIMIT;
}

int keyd_op_field_seal(struct keyd_op_call *call)
{
	struct keyd_ring *ring = call->keyd->ring;
	struct batch b;
	uint8_t(*nonces)[SEAL_FIELD_NONCE] = call->keyd->scratch->salts;
	const uint8_t *key = NULL;
	uint32_t keyref;
	int rc = begin(call, &b), one;

	if (rc)
		return rc;
	keyref = keyd_ring_newest(ring, (uint32_t)b.customer);
	rc = keyd_ring_subkey(ring, (uint32_t)b.customer, keyref, b.m.purpose, &key);
	rand_bytes(nonces, b.m.count * sizeof(nonces[0])); /* in one call for all */
	for (unsigned i = 0; i < b.m.count; i++) {
		size_t before = buf_size(&b.data);
		one = rc < 0 ? rc : plain_ok(&b.m.items[i]);
		if (one == 0)
			one = seal_field_seal_drawn(key, keyref, nonces[i], b.m.items[i].aad,
						    b.m.items[i].data, &b.data);
		note(&b, i, one, before);
	}
	return finish(call, &b, rc);
}

/* One answer whatever is wrong with it: no oracle. */
static int open_one(struct keyd_ring *ring, const struct batch *b, const struct keyproto_field *f,
		    struct buf *out)
{
	const uint8_t *key;
	int rc = keyd_ring_subkey(ring, (uint32_t)b->customer, seal_field_keyref(f->data),
				  b->m.purpose, &key);

	if (rc == 0)
		rc = seal_field_open(key, f->aad, f->data, out);
	return rc == ERR_NOTFOUND || rc == ERR_FORMAT ? ERR_AUTH : rc;
}

int keyd_op_field_open(struct keyd_op_call *call)
{
	struct batch b;
	int rc = begin(call, &b);

	if (rc)
		return rc;
	for (unsigned i = 0; i < b.m.count; i++) {
		size_t before = buf_size(&b.data);
		note(&b, i, open_one(call->keyd->ring, &b, &b.m.items[i], &b.data), before);
	}
	return finish(call, &b, 0);
}

/* From the DEK that the field is under to the customer's newest; the plaintext stays here. */
static int reseal_one(struct keyd_ring *ring, const struct batch *b, const struct keyproto_field *f,
		      const uint8_t nonce[SEAL_FIELD_NONCE], struct buf *plain, struct buf *out)
{
	uint32_t newest = keyd_ring_newest(ring, (uint32_t)b->customer);
	const uint8_t *key;
	int rc = open_one(ring, b, f, plain);

	if (rc == 0)
		rc = keyd_ring_subkey(ring, (uint32_t)b->customer, newest, b->m.purpose, &key);
	if (rc == 0)
		rc = seal_field_seal_drawn(key, newest, nonce, f->aad, buf_span(plain), out);
	if (buf_size(plain))
		secret_wipe(plain->data, plain->len);
	buf_reset(plain);
	return rc;
}

int keyd_op_field_reseal(struct keyd_op_call *call)
{
	uint8_t(*nonces)[SEAL_FIELD_NONCE] = call->keyd->scratch->salts;
	struct buf plain;
	struct batch b;
	int rc = begin(call, &b);

	if (rc)
		return rc;
	buf_init_wiped(&plain, KEYPROTO_SEALED_MAX);
	rand_bytes(nonces, b.m.count * sizeof(nonces[0]));
	for (unsigned i = 0; i < b.m.count; i++) {
		size_t before = buf_size(&b.data);
		note(&b, i,
		     reseal_one(call->keyd->ring, &b, &b.m.items[i], nonces[i], &plain, &b.data),
		     before);
	}
	buf_clear(&plain);
	return finish(call, &b, 0);
}

int keyd_op_field_index(struct keyd_op_call *call)
{
	struct keyd_ring *ring = call->keyd->ring;
	struct batch b;
	const uint8_t *key = NULL;
	uint8_t digest[32];
	uint32_t keyref;
	int rc = begin(call, &b), one;

	if (rc)
		return rc;
	keyref = b.m.keyref ? b.m.keyref : keyd_ring_newest(ring, (uint32_t)b.customer);
	rc = keyd_ring_subkey(ring, (uint32_t)b.customer, keyref, b.m.purpose, &key);
	for (unsigned i = 0; i < b.m.count; i++) {
		size_t before = buf_size(&b.data);
		one = rc < 0 ? rc : plain_ok(&b.m.items[i]);
		if (one == 0)
			one = seal_index(key, b.m.items[i].aad, b.m.items[i].data, digest,
					 sizeof(digest));
		if (one == 0)
			one = buf_put(&b.data, digest, sizeof(digest));
		note(&b, i, one, before);
	}
	return finish(call, &b, rc);
}
