/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_kdf.h"

#include "core/err.h"
#include "core/secret.h"
#include "seal/seal_alg.h"

int seal_kdf_hmac(const uint8_t *key, size_t key_size, const struct span *parts, unsigned count,
		  uint8_t out[32])
{
	EVP_MAC_CTX *ctx = seal_alg_hmac(SEAL_ALG_SHA256, key, key_size);
	int ok = ctx != NULL;

	for (unsigned i = 0; ok && i < count; i++)
		ok = parts[i].n == 0 || EVP_MAC_update(ctx, parts[i].p, parts[i].n);
	ok = ok && EVP_MAC_final(ctx, out, NULL, 32);
	EVP_MAC_CTX_free(ctx);
	if (!ok)
		secret_wipe(out, 32);
	return ok ? 0 : ERR_CRYPTO;
}

int seal_kdf_subkey(const uint8_t key[32], struct span info, uint8_t out[32])
{
	const struct span parts[] = {info, SPAN_LIT("\x01")};

	return seal_kdf_hmac(key, 32, parts, 2, out);
}
