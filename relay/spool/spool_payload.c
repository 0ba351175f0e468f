/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "core/num.h"
#include "core/secret.h"
#include "relay/spool/spool_message_priv.h"
#include "seal/seal_field.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define FORMAT 1
#define KEEP   65536 /* a larger buf is given back */

/* What was in clear for a moment. */
static void wipe(struct buf *b)
{
	if (b->cap > KEEP) {
		buf_clear(b);
		return;
	}
	if (b->data)
		secret_wipe(b->data, b->len);
	buf_reset(b);
}

static void put_keyref(struct buf *out, uint64_t object, uint32_t keyref, const uint8_t *salt)
{
	wire_put_u64(out, object);
	wire_put_u32(out, keyref);
	wire_put_raw(out, salt, KEYPROTO_SALT);
}

static struct spool_keyref get_keyref(struct wire_get *g)
{
	struct spool_keyref k;

	k.object = wire_get_u64(g);
	k.keyref = wire_get_u32(g);
	k.salt = wire_get_raw(g, KEYPROTO_SALT).p;
	return k;
}

/* What a sealed piece is bound to: whose it is, what it is, which message's, and the clear bytes
 * before it. */
static int make_aad(struct spool_pool *p, struct span customer, struct span kind, uint64_t id,
		    struct span clear)
{
	uint8_t number[8];
	const struct span parts[] = {customer, SPAN_LIT("spool"), kind, span_of(number, 8), clear};

	num_put_u64(number, id);
	buf_reset(&p->aad);
	return seal_field_aad(&p->aad, parts, 5);
}

/* Seals plain behind the clear bytes that stand in out, with its length in front. */
static int seal_behind(struct spool_pool *p, struct buf *out, size_t clear_at, struct span customer,
		       struct span kind, uint64_t id, const struct keys_object_envelope *key,
		       struct span plain)
{
	struct span clear = span_sub(buf_span(out), clear_at, SIZE_MAX);
	int err = buf_failed(out);

	if (err == 0)
		err = make_aad(p, customer, kind, id, clear);
	wire_put_u32(out, (uint32_t)(plain.n + SEAL_FIELD_OVERHEAD));
	if (err == 0)
		err = seal_field_seal(key->key, key->keyref, buf_span(&p->aad), plain, out);
	return err < 0 ? err : buf_failed(out);
}

int spool_payload_commit_put(struct spool_pool *p, struct buf *out, uint64_t id,
			     const struct spool_fresh *keys, uint64_t size,
			     const struct spool_envelope *e)
{
	struct span customer = span_str(e->customer);
	size_t at = buf_size(out);
	int err;

	wire_put_u8(out, FORMAT);
	wire_put_bytes8(out, customer);
	wire_put_u32(out, keys->body.keyref);
	wire_put_raw(out, keys->body.salt, KEYPROTO_SALT);
	wire_put_raw(out, seal_chunk_commitment(keys->body.key), SEAL_CHUNK_COMMIT);
	wire_put_u64(out, size);
	put_keyref(out, keys->envelope.object, keys->envelope.keyref, keys->envelope.salt);
	buf_reset(&p->plain);
	err = spool_envelope_put(&p->plain, e);
	if (err == 0)
		err = seal_behind(p, out, at, customer, SPAN_LIT("envelope"), id, &keys->envelope,
				  buf_span(&p->plain));
	wipe(&p->plain);
	return err;
}

int spool_payload_commit_get(struct span record, struct spool_head *h)
{
	struct wire_get g;

	wire_get_init(&g, record);
	if (wire_get_u8(&g) != FORMAT)
		return ERR_DAMAGED;
	h->customer = wire_get_bytes8(&g);
	h->keyref = wire_get_u32(&g);
	h->salt = wire_get_raw(&g, KEYPROTO_SALT).p;
	h->commitment = wire_get_raw(&g, SEAL_CHUNK_COMMIT).p;
	h->size = wire_get_u64(&g);
	h->envelope_key = get_keyref(&g);
	h->clear = span_of(record.p, record.n - g.rest.n);
	h->sealed = wire_get_bytes32(&g);
	h->body = g.rest;
	/* keyd would take a name that cannot be one for a broken client, and hang up */
	return g.failed || !keyproto_name_ok(h->customer) ? ERR_DAMAGED : 0;
}

/* A field that does not open is damaged, whatever the reason. */
static int open_field(struct spool_pool *p, struct span customer, struct span kind, uint64_t id,
		      struct span clear, struct span sealed, const uint8_t key[32])
{
	int err = make_aad(p, customer, kind, id, clear);

	buf_reset(&p->plain);
	if (err == 0)
		err = seal_field_open(key, buf_span(&p->aad), sealed, &p->plain);
	return err == ERR_FORMAT || err == ERR_LIMIT ? ERR_DAMAGED : err;
}

int spool_payload_envelope(struct spool_pool *p, uint64_t id, const struct spool_head *h,
			   const uint8_t key[32], struct spool_envelope *e)
{
	int err = open_field(p, h->customer, SPAN_LIT("envelope"), id, h->clear, h->sealed, key);

	if (err == 0) {
		err = spool_envelope_get(buf_span(&p->plain), e);
		if (err == ERR_FORMAT)
			err = ERR_DAMAGED;
	}
	wipe(&p->plain);
	if (err == 0 && (e->size != h->size || !span_equal(span_str(e->customer), h->customer))) {
		spool_envelope_clear(e);
		err = ERR_DAMAGED;
	}
	return err;
}

int spool_payload_state_put(struct spool_pool *p, struct buf *out, uint64_t id,
			    struct span customer, const struct keys_object_envelope *key,
			    struct span detail)
{
	size_t at = buf_size(out);

	wire_put_u8(out, FORMAT);
	wire_put_bytes8(out, customer);
	put_keyref(out, key->object, key->keyref, key->salt);
	return seal_behind(p, out, at, customer, SPAN_LIT("state"), id, key,
			   span_sub(detail, 0, SPOOL_DETAIL_MAX));
}

int spool_payload_state_get(struct span head, struct spool_news *n)
{
	struct wire_get g;

	wire_get_init(&g, head);
	if (wire_get_u8(&g) != FORMAT)
		return ERR_DAMAGED;
	n->customer = wire_get_bytes8(&g);
	n->envelope_key = get_keyref(&g);
	n->clear = span_of(head.p, head.n - g.rest.n);
	n->sealed = wire_get_bytes32(&g);
	return wire_get_end(&g) < 0 || !keyproto_name_ok(n->customer) ? ERR_DAMAGED : 0;
}

int spool_payload_detail(struct spool_pool *p, uint64_t id, const struct spool_news *n,
			 const uint8_t key[32])
{
	return open_field(p, n->customer, SPAN_LIT("state"), id, n->clear, n->sealed, key);
}
