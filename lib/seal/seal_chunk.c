/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_chunk.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "seal/seal_alg.h"
#include "seal/seal_kdf.h"

#define INFO	  "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM" /* its NUL belongs to it */
#define NONCE	  12
#define BASE_AT	  32 /* base nonce in the 76 bytes */
#define COMMIT_AT 44 /* commitment */

/* On the heap, as the key schedule inside OpenSSL's context is: both are wiped, neither is locked.
 * The copy that lives longer, the 76 bytes, is in the caller's secret memory. */
struct seal_chunk {
	EVP_CIPHER_CTX *ctx;
	uint8_t base[NONCE];
	int keyed;
};

int seal_chunk_derive(const uint8_t key[32], const uint8_t salt[SEAL_CHUNK_SALT],
		      struct span context, uint8_t out[SEAL_CHUNK_KEY])
{
	const struct span info[] = {span_of(INFO, sizeof(INFO)), span_of(salt, SEAL_CHUNK_SALT),
				    context};

	return seal_kdf_expand512(key, 32, info, 3, out, SEAL_CHUNK_KEY);
}

int seal_chunk_context(uint8_t out[255], struct span customer, uint64_t id, struct span kind)
{
	uint8_t *p = out;

	if (customer.n > 255 || kind.n > 255 || 1 + 1 + customer.n + 1 + 8 + 1 + kind.n > 255)
		return ERR_LIMIT;
	*p++ = SEAL_CHUNK_CONTEXT_FORMAT;
	*p++ = (uint8_t)customer.n;
	if (customer.n)
		memcpy(p, customer.p, customer.n);
	p += customer.n;
	*p++ = 8;
	for (int shift = 56; shift >= 0; shift -= 8)
		*p++ = (uint8_t)(id >> shift);
	*p++ = (uint8_t)kind.n;
	if (kind.n)
		memcpy(p, kind.p, kind.n);
	p += kind.n;
	return (int)(p - out);
}

/* Puts a key (and throws out what the context knew of the one before). */
static int put_key(struct seal_chunk *s, const uint8_t key[32], const uint8_t base[NONCE])
{
	s->keyed = 0;
	memcpy(s->base, base, NONCE);
	return EVP_CipherInit_ex2(s->ctx, NULL, key, base, 1, NULL) ? 0 : ERR_CRYPTO;
}

struct seal_chunk *seal_chunk_new(void)
{
	struct seal_chunk *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->ctx = EVP_CIPHER_CTX_new();
	if (!s->ctx || !seal_alg_gcm() ||
	    !EVP_CipherInit_ex2(s->ctx, seal_alg_gcm(), NULL, NULL, 1, NULL)) {
		seal_chunk_free(s);
		return NULL;
	}
	return s;
}

void seal_chunk_free(struct seal_chunk *s)
{
	if (!s)
		return;
	EVP_CIPHER_CTX_free(s->ctx); /* wipes */
	secret_wipe(s, sizeof(*s));
	free(s);
}

int seal_chunk_set_key(struct seal_chunk *s, const uint8_t key[SEAL_CHUNK_KEY])
{
	int rc = put_key(s, key, key + BASE_AT);

	s->keyed = rc == 0;
	return rc;
}

void seal_chunk_forget(struct seal_chunk *s)
{
	static const uint8_t zeros[32];

	/* Keying with zeros overwrites key schedule, hash tables, counter blocks and nonce in
	 * place, cheaper than a new context. It cannot fail: nothing is allocated. */
	put_key(s, zeros, zeros);
}

const uint8_t *seal_chunk_commitment(const uint8_t key[SEAL_CHUNK_KEY])
{
	return key + COMMIT_AT;
}

int seal_chunk_check(const uint8_t key[SEAL_CHUNK_KEY], const uint8_t commitment[SEAL_CHUNK_COMMIT])
{
	return secret_equal(key + COMMIT_AT, commitment, SEAL_CHUNK_COMMIT) ? 0 : ERR_AUTH;
}

/* Nonce of a chunk: base nonce xor chunk number, big-endian, in its last 5 bytes. */
static int begin(struct seal_chunk *s, uint64_t index, int seal)
{
	uint8_t nonce[NONCE];

	if (!s->keyed)
		return ERR_BADSTATE;
	if (index >= SEAL_CHUNK_COUNT_MAX)
		return ERR_LIMIT;
	memcpy(nonce, s->base, NONCE);
	for (int i = NONCE - 1; index; i--, index >>= 8)
		nonce[i] ^= (uint8_t)index;
	return EVP_CipherInit_ex2(s->ctx, NULL, NULL, nonce, seal, NULL) ? 0 : ERR_CRYPTO;
}

int seal_chunk_seal(struct seal_chunk *s, uint64_t index, const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t none[1];
	int len, rc;

	if (n > SEAL_CHUNK_PLAIN)
		return ERR_LIMIT;
	rc = begin(s, index, 1);
	if (rc < 0)
		return rc;
	if ((n && !EVP_EncryptUpdate(s->ctx, out, &len, in, (int)n)) ||
	    !EVP_EncryptFinal_ex(s->ctx, none, &len) ||
	    !EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_CHUNK_TAG, out + n))
		return ERR_CRYPTO;
	return 0;
}

int seal_chunk_open(struct seal_chunk *s, uint64_t index, const uint8_t *in, size_t n, uint8_t *out)
{
	uint8_t none[1];
	int len, rc;

	if (n < SEAL_CHUNK_TAG || n > SEAL_CHUNK_SEALED)
		return ERR_FORMAT;
	rc = begin(s, index, 0);
	if (rc < 0)
		return rc;
	n -= SEAL_CHUNK_TAG;
	if (EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_CHUNK_TAG, (void *)(in + n)) &&
	    (n == 0 || EVP_DecryptUpdate(s->ctx, out, &len, in, (int)n)) &&
	    EVP_DecryptFinal_ex(s->ctx, none, &len))
		return 0;
	secret_wipe(out, n);
	return ERR_AUTH;
}
