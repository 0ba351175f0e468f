/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_field.h"

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "seal/seal_alg.h"

#define HEAD 5 /* format and key reference */

/* The key of AES-256-GCM for one nonce: CMAC-AES-256 of two one-block messages, which is AES of the
 * message xor the CMAC subkey K1. Nonce bytes 12..23 remain as GCM's nonce. */
static int derive(const uint8_t key[32], const uint8_t nonce[SEAL_FIELD_NONCE], uint8_t out[32])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t block[32], k1[16], carry = 0;
	int ok, n;

	memset(k1, 0, sizeof(k1));
	ok = ctx && EVP_EncryptInit_ex2(ctx, seal_alg_ecb(), key, NULL, NULL) &&
	     EVP_CIPHER_CTX_set_padding(ctx, 0) && EVP_EncryptUpdate(ctx, k1, &n, k1, 16);
	/* K1 = 2 * AES(0) in GF(2^128); no branch on a secret bit. */
	for (int i = 15; i >= 0; i--) {
		uint8_t top = k1[i] >> 7;
		k1[i] = (uint8_t)(k1[i] << 1 | carry);
		carry = top;
	}
	k1[15] ^= (uint8_t)(0x87 & -carry);
	for (int m = 0; m < 2; m++) {
		uint8_t *b = block + 16 * m;
		memcpy(b, (const uint8_t[]){0, (uint8_t)(m + 1), 'X', 0}, 4);
		memcpy(b + 4, nonce, 12);
		for (int i = 0; i < 16; i++)
			b[i] ^= k1[i];
	}
	ok = ok && EVP_EncryptUpdate(ctx, out, &n, block, 32) && n == 32;
	EVP_CIPHER_CTX_free(ctx);
	secret_wipe(k1, sizeof(k1));
	secret_wipe(block, sizeof(block));
	return ok ? 0 : ERR_CRYPTO;
}

/* EVP's update treats a NULL output as AAD, so an empty stretch must not reach it. */
static int update(EVP_CIPHER_CTX *ctx, uint8_t *out, struct span in)
{
	int n;

	return in.n == 0 || EVP_CipherUpdate(ctx, out, &n, in.p, (int)in.n);
}

/* One GCM operation; head and aad are authenticated one after the other. */
static int gcm(const uint8_t key[32], const uint8_t *nonce, struct span head, struct span aad,
	       struct span in, int open, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t none[1];
	int n, ok;

	ok = ctx && EVP_CipherInit_ex2(ctx, seal_alg_gcm(), key, nonce, !open, NULL) &&
	     update(ctx, NULL, head) && update(ctx, NULL, aad);
	if (!ok) {
		EVP_CIPHER_CTX_free(ctx);
		return ERR_CRYPTO;
	}
	if (open) {
		in.n -= SEAL_FIELD_TAG;
		ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_FIELD_TAG,
					 (void *)(in.p + in.n));
	}
	ok = ok && update(ctx, out, in) && EVP_CipherFinal_ex(ctx, none, &n);
	if (!open)
		ok = ok &&
		     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_FIELD_TAG, out + in.n);
	EVP_CIPHER_CTX_free(ctx);
	if (!ok && in.n)
		secret_wipe(out, in.n);
	return ok ? 0 : open ? ERR_AUTH : ERR_CRYPTO;
}

static int xaes(const uint8_t key[32], const uint8_t *nonce, struct span head, struct span aad,
		struct span in, int open, uint8_t *out)
{
	uint8_t derived[32];
	int rc;

	if (open && in.n < SEAL_FIELD_TAG)
		return ERR_FORMAT;
	if (in.n > SEAL_FIELD_MAX + (open ? SEAL_FIELD_TAG : 0) || aad.n > SEAL_FIELD_MAX)
		return ERR_LIMIT;
	rc = derive(key, nonce, derived);
	if (rc == 0)
		rc = gcm(derived, nonce + 12, head, aad, in, open, out);
	secret_wipe(derived, sizeof(derived));
	return rc;
}

int seal_field_xaes(const uint8_t key[32], const uint8_t nonce[24], struct span aad, struct span in,
		    int open, uint8_t *out)
{
	return xaes(key, nonce, span_of(NULL, 0), aad, in, open, out);
}

int seal_field_seal_drawn(const uint8_t key[32], uint32_t keyref,
			  const uint8_t nonce[SEAL_FIELD_NONCE], struct span aad, struct span plain,
			  struct buf *out)
{
	uint8_t *p;
	int rc;

	if (plain.n > SEAL_FIELD_MAX)
		return ERR_LIMIT;
	p = buf_reserve(out, plain.n + SEAL_FIELD_OVERHEAD);
	if (!p)
		return buf_failed(out);
	p[0] = SEAL_FIELD_FORMAT;
	for (int i = 0; i < 4; i++)
		p[1 + i] = (uint8_t)(keyref >> (24 - 8 * i));
	memcpy(p + HEAD, nonce, SEAL_FIELD_NONCE);
	rc = xaes(key, p + HEAD, span_of(p, HEAD), aad, plain, 0, p + HEAD + SEAL_FIELD_NONCE);
	if (rc == 0)
		buf_commit(out, plain.n + SEAL_FIELD_OVERHEAD);
	return rc;
}

int seal_field_seal(const uint8_t key[32], uint32_t keyref, struct span aad, struct span plain,
		    struct buf *out)
{
	uint8_t nonce[SEAL_FIELD_NONCE];

	rand_bytes(nonce, sizeof(nonce));
	return seal_field_seal_drawn(key, keyref, nonce, aad, plain, out);
}

int seal_field_open(const uint8_t key[32], struct span aad, struct span sealed, struct buf *out)
{
	struct span in = span_sub(sealed, HEAD + SEAL_FIELD_NONCE, sealed.n);
	uint8_t *p;
	int rc;

	if (sealed.n < SEAL_FIELD_OVERHEAD || sealed.p[0] != SEAL_FIELD_FORMAT)
		return ERR_FORMAT;
	p = buf_reserve(out, sealed.n - SEAL_FIELD_OVERHEAD);
	if (!p)
		return buf_failed(out);
	rc = xaes(key, sealed.p + HEAD, span_sub(sealed, 0, HEAD), aad, in, 1, p);
	if (rc == 0)
		buf_commit(out, sealed.n - SEAL_FIELD_OVERHEAD);
	return rc;
}

uint32_t seal_field_keyref(struct span sealed)
{
	uint32_t v = 0;

	if (sealed.n < SEAL_FIELD_OVERHEAD || sealed.p[0] != SEAL_FIELD_FORMAT)
		return 0;
	for (int i = 0; i < 4; i++)
		v = v << 8 | sealed.p[1 + i];
	return v;
}

int seal_field_aad(struct buf *out, const struct span *parts, unsigned count)
{
	const uint8_t format = SEAL_FIELD_FORMAT;
	size_t total = 1;

	for (unsigned i = 0; i < count; i++) {
		if (parts[i].n > 0xffff)
			return ERR_LIMIT;
		total += 2 + parts[i].n;
	}
	if (!buf_reserve(out, total))
		return buf_failed(out);
	buf_put(out, &format, 1);
	for (unsigned i = 0; i < count; i++) {
		const uint8_t size[2] = {(uint8_t)(parts[i].n >> 8), (uint8_t)parts[i].n};
		buf_put(out, size, 2);
		buf_put_span(out, parts[i]);
	}
	return buf_failed(out);
}
