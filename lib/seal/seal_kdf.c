/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_kdf.h"

#include "core/err.h"
#include "core/secret.h"
#include "seal/seal_alg.h"

static int feed(EVP_MAC_CTX *ctx, const struct span *parts, unsigned count)
{
	int ok = 1;

	for (unsigned i = 0; ok && i < count; i++)
		ok = parts[i].n == 0 || EVP_MAC_update(ctx, parts[i].p, parts[i].n);
	return ok;
}

static int hmac(enum seal_alg_hash hash, const uint8_t *key, size_t key_size,
		const struct span *parts, unsigned count, uint8_t *out, size_t size)
{
	EVP_MAC_CTX *ctx = seal_alg_hmac(hash, key, key_size);
	int ok = ctx && feed(ctx, parts, count) && EVP_MAC_final(ctx, out, NULL, size);

	EVP_MAC_CTX_free(ctx);
	if (!ok)
		secret_wipe(out, size);
	return ok ? 0 : ERR_CRYPTO;
}

int seal_kdf_hmac(const uint8_t *key, size_t key_size, const struct span *parts, unsigned count,
		  uint8_t out[32])
{
	return hmac(SEAL_ALG_SHA256, key, key_size, parts, count, out, 32);
}

int seal_kdf_hmac512(const uint8_t *key, size_t key_size, const struct span *parts, unsigned count,
		     uint8_t out[64])
{
	return hmac(SEAL_ALG_SHA512, key, key_size, parts, count, out, 64);
}

int seal_kdf_subkey(const uint8_t key[32], struct span info, uint8_t out[32])
{
	const struct span parts[] = {info, SPAN_LIT("\x01")};

	return seal_kdf_hmac(key, 32, parts, 2, out);
}

/* T(i) = HMAC(T(i-1) | info | i), the key being in ctx already. */
static int block(EVP_MAC_CTX *ctx, const struct span *info, unsigned count, uint8_t i,
		 uint8_t t[64])
{
	return (i == 1 || (EVP_MAC_init(ctx, NULL, 0, NULL) && EVP_MAC_update(ctx, t, 64))) &&
	       feed(ctx, info, count) && EVP_MAC_update(ctx, &i, 1) &&
	       EVP_MAC_final(ctx, t, NULL, 64);
}

int seal_kdf_expand512(const uint8_t *key, size_t key_size, const struct span *info, unsigned count,
		       uint8_t *out, size_t n)
{
	EVP_MAC_CTX *ctx;
	uint8_t t[64], i = 0;
	size_t at = 0, take;
	int ok;

	if (n == 0 || n > SEAL_KDF_EXPAND_MAX)
		return ERR_LIMIT;
	ctx = seal_alg_hmac(SEAL_ALG_SHA512, key, key_size);
	ok = ctx != NULL;
	for (; ok && at < n; at += take) {
		take = n - at < sizeof(t) ? n - at : sizeof(t);
		ok = block(ctx, info, count, ++i, t);
		memcpy(out + at, t, ok ? take : 0);
	}
	EVP_MAC_CTX_free(ctx);
	secret_wipe(t, sizeof(t));
	if (!ok)
		secret_wipe(out, n);
	return ok ? 0 : ERR_CRYPTO;
}
