/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/ledger_fake.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "keyproto/keyproto_checkpoint.h"
#include "seal/seal_field.h"
#include "seal/seal_index.h"

struct ledger_fake ledger_fake;

void ledger_fake_reset(void)
{
	ledger_fake_clear();
	memset(&ledger_fake, 0, sizeof(ledger_fake));
	memset(ledger_fake.field_key, 7, 32);
	memset(ledger_fake.index_key, 9, 32);
	ledger_fake.pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

void ledger_fake_clear(void)
{
	EVP_PKEY_free(ledger_fake.pkey);
	ledger_fake.pkey = NULL;
}

static int one_field(uint16_t op, const struct ledger_keys_item *item, struct buf *out)
{
	uint8_t digest[32];
	int err;

	if (op == KEYPROTO_SEAL_FIELDS) {
		ledger_fake.seals++;
		return seal_field_seal(ledger_fake.field_key, 5, item->aad, item->data, out);
	}
	if (op == KEYPROTO_OPEN_FIELDS) {
		ledger_fake.opens++;
		return seal_field_open(ledger_fake.field_key, item->aad, item->data, out);
	}
	ledger_fake.indexes++;
	err = seal_index(ledger_fake.index_key, item->aad, item->data, digest, sizeof(digest));
	return err < 0 ? err : buf_put(out, digest, sizeof(digest));
}

static int fields(struct ledger_keys *k, uint16_t op, const char *customer, uint32_t keyref,
		  struct ledger_keys_item *items, unsigned count, struct buf *out)
{
	(void)k;
	(void)keyref;
	if (ledger_fake.err)
		return ledger_fake.err;
	if (ledger_fake.destroyed && !strcmp(customer, ledger_fake.destroyed))
		return ERR_GONE;
	for (unsigned i = 0; i < count; i++) {
		items[i].at = buf_size(out);
		items[i].err = one_field(op, &items[i], out);
		items[i].n = buf_size(out) - items[i].at;
	}
	return 0;
}

static int sign(struct ledger_keys_signed *s)
{
	const struct keyproto_checkpoint m = {SPAN_LIT("ledger"), s->counter, s->rows, s->hash};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct buf text;
	int good;

	buf_init(&text, KEYPROTO_CHECKPOINT_TEXT);
	keyproto_checkpoint_text(&text, &m);
	s->size = KEYPROTO_CHECKPOINT_SIG;
	s->version = 1;
	good = EVP_DigestSignInit(ctx, NULL, NULL, NULL, ledger_fake.pkey) == 1 &&
	       EVP_DigestSign(ctx, s->signature, &s->size, buf_ptr(&text), buf_size(&text)) == 1;
	EVP_MD_CTX_free(ctx);
	buf_clear(&text);
	return good ? 0 : ERR_CRYPTO;
}

static int checkpoint(struct ledger_keys *k, struct ledger_keys_signed *s)
{
	(void)k;
	if (ledger_fake.err)
		return ledger_fake.err;
	if (s->counter != ledger_fake.last.counter + 1 &&
	    !(s->counter == ledger_fake.last.counter && s->rows == ledger_fake.last.rows &&
	      !memcmp(s->hash, ledger_fake.last.hash, LEDGER_HASH)))
		return ERR_BADSTATE;
	if (sign(s) < 0)
		return ERR_CRYPTO;
	ledger_fake.last = *s;
	ledger_fake.checkpoints++;
	if (ledger_fake.lose) {
		ledger_fake.lose--;
		return ERR_TIMEOUT;
	}
	return 0;
}

static int last(struct ledger_keys *k, struct ledger_keys_signed *s)
{
	(void)k;
	if (ledger_fake.err)
		return ledger_fake.err;
	*s = ledger_fake.last;
	return s->counter ? 0 : ERR_NOTFOUND;
}

static int verify(struct ledger_keys *k, const struct ledger_checkpoint *c)
{
	uint8_t *spki = NULL;
	int n = i2d_PUBKEY(ledger_fake.pkey, &spki), err;

	(void)k;
	err = n > 0 ? ledger_verify_signature(span_of(spki, (size_t)n), c) : ERR_CRYPTO;
	OPENSSL_free(spki);
	return err;
}

static void free_keys(struct ledger_keys *k)
{
	free(k);
}

struct ledger_keys *ledger_fake_keys(void)
{
	struct ledger_keys *k = malloc(sizeof(*k));

	if (k)
		*k = (struct ledger_keys){fields, checkpoint, last, verify, free_keys};
	return k;
}
