/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_cbc.h"

#include <openssl/err.h>

#include "core/err.h"
#include "core/num.h"
#include "core/rand.h"
#include "core/secret.h"
#include "seal/seal_alg.h"
#include "seal/seal_kdf.h"

#define INFO	  "sealpost-cbc-1"
#define CIPHER_AT 32 /* the cipher's key behind the MAC's (RFC 7518 5.2.2.1) */
#define OVERHEAD  (SEAL_CBC_HEAD + SEAL_CBC_IV + SEAL_CBC_TAG)

int seal_cbc_key(const uint8_t object[32], uint8_t out[SEAL_CBC_KEY])
{
	struct span info = SPAN_LIT(INFO);

	return seal_kdf_expand512(object, 32, &info, 1, out, SEAL_CBC_KEY);
}

/* The first half of HMAC-SHA-512(head | aad | IV | ciphertext | bits of head and aad as u64). */
static int tag_of(const uint8_t *key, struct span head, struct span aad, const uint8_t *iv,
		  struct span text, uint8_t tag[SEAL_CBC_TAG])
{
	uint8_t bits[8], full[64];
	const struct span parts[] = {head, aad, span_of(iv, SEAL_CBC_IV), text, span_of(bits, 8)};
	int rc;

	num_put_u64(bits, ((uint64_t)head.n + aad.n) * 8);
	rc = seal_kdf_hmac512(key, CIPHER_AT, parts, 5, full);
	memcpy(tag, full, SEAL_CBC_TAG);
	secret_wipe(full, sizeof(full));
	return rc;
}

/* AES-256-CBC with PKCS#7 padding. Returns the bytes written to out, or ERR_CRYPTO. */
static int64_t cbc(const uint8_t *key, const uint8_t *iv, int seal, struct span in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, end = 0, ok;

	ok = ctx && EVP_CipherInit_ex2(ctx, seal_alg_cbc(), key + CIPHER_AT, iv, seal, NULL) &&
	     (in.n == 0 || EVP_CipherUpdate(ctx, out, &n, in.p, (int)in.n)) &&
	     EVP_CipherFinal_ex(ctx, out + n, &end);
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		ERR_clear_error();
	return ok ? n + end : ERR_CRYPTO;
}

static int64_t seal(const uint8_t *key, const uint8_t *iv, struct span head, struct span aad,
		    struct span in, uint8_t *out)
{
	size_t size = seal_cbc_size(in.n) - SEAL_CBC_TAG;
	int64_t n;

	if (in.n > SEAL_CBC_MAX || aad.n > SEAL_CBC_MAX)
		return ERR_LIMIT;
	n = cbc(key, iv, 1, in, out);
	if (n != (int64_t)size)
		return ERR_CRYPTO;
	if (tag_of(key, head, aad, iv, span_of(out, size), out + size) < 0)
		return ERR_CRYPTO;
	return n + SEAL_CBC_TAG;
}

static int64_t open_it(const uint8_t *key, const uint8_t *iv, struct span head, struct span aad,
		       struct span in, uint8_t *out)
{
	size_t size = in.n - SEAL_CBC_TAG;
	struct span text = span_sub(in, 0, size);
	uint8_t tag[SEAL_CBC_TAG];
	int64_t n;

	if (in.n < SEAL_CBC_TAG)
		return ERR_FORMAT;
	if (in.n > seal_cbc_size(SEAL_CBC_MAX) || aad.n > SEAL_CBC_MAX)
		return ERR_LIMIT;
	if (tag_of(key, head, aad, iv, text, tag) < 0)
		return ERR_CRYPTO;
	if (!secret_equal(tag, in.p + size, SEAL_CBC_TAG))
		return ERR_AUTH;
	/* Only who has the key gets so far: what fails now tells nobody else anything. */
	n = size && size % SEAL_CBC_BLOCK == 0 ? cbc(key, iv, 0, text, out) : ERR_CRYPTO;
	if (n < 0) {
		secret_wipe(out, size);
		return ERR_AUTH;
	}
	return n;
}

int64_t seal_cbc_raw_seal(const uint8_t key[SEAL_CBC_KEY], const uint8_t iv[SEAL_CBC_IV],
			  struct span aad, struct span in, uint8_t *out)
{
	return seal(key, iv, span_of(NULL, 0), aad, in, out);
}

int64_t seal_cbc_raw_open(const uint8_t key[SEAL_CBC_KEY], const uint8_t iv[SEAL_CBC_IV],
			  struct span aad, struct span in, uint8_t *out)
{
	return open_it(key, iv, span_of(NULL, 0), aad, in, out);
}

int seal_cbc_seal(const uint8_t key[SEAL_CBC_KEY], uint32_t keyref,
		  const uint8_t salt[SEAL_CHUNK_SALT], struct span aad, struct span plain,
		  struct buf *out)
{
	size_t size = SEAL_CBC_HEAD + SEAL_CBC_IV + seal_cbc_size(plain.n);
	uint8_t *p, *iv;
	int64_t n;

	if (plain.n > SEAL_CBC_MAX)
		return ERR_LIMIT;
	p = buf_reserve(out, size);
	if (!p)
		return buf_failed(out);
	iv = p + SEAL_CBC_HEAD;
	p[0] = SEAL_CBC_FORMAT;
	num_put_u32(p + 1, keyref);
	memcpy(p + 5, salt, SEAL_CHUNK_SALT);
	rand_bytes(iv, SEAL_CBC_IV);
	n = seal(key, iv, span_of(p, SEAL_CBC_HEAD), aad, plain, iv + SEAL_CBC_IV);
	if (n < 0)
		return (int)n;
	buf_commit(out, size);
	return 0;
}

static int is_cbc(struct span sealed)
{
	return sealed.n >= OVERHEAD && sealed.p[0] == SEAL_CBC_FORMAT;
}

int seal_cbc_open(const uint8_t key[SEAL_CBC_KEY], struct span aad, struct span sealed,
		  struct buf *out)
{
	struct span in = span_sub(sealed, SEAL_CBC_HEAD + SEAL_CBC_IV, sealed.n);
	uint8_t *p;
	int64_t n;

	if (!is_cbc(sealed))
		return ERR_FORMAT;
	if (in.n > seal_cbc_size(SEAL_CBC_MAX))
		return ERR_LIMIT;
	p = buf_reserve(out, in.n); /* decryption may touch the padding's bytes too */
	if (!p)
		return buf_failed(out);
	n = open_it(key, sealed.p + SEAL_CBC_HEAD, span_sub(sealed, 0, SEAL_CBC_HEAD), aad, in, p);
	if (n < 0)
		return (int)n;
	buf_commit(out, (size_t)n);
	return 0;
}

int seal_cbc_head(struct span sealed, uint32_t *keyref, const uint8_t **salt)
{
	if (!is_cbc(sealed))
		return ERR_FORMAT;
	*keyref = num_get_u32(sealed.p + 1);
	*salt = sealed.p + 5;
	return 0;
}
