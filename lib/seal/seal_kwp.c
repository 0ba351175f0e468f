/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_kwp.h"

#include <openssl/err.h>

#include "core/err.h"
#include "core/secret.h"
#include "seal/seal_alg.h"

/* A context for one operation; EVP asks for the flag before it lets anybody wrap. */
static EVP_CIPHER_CTX *begin(const uint8_t *key, size_t key_size, int wrap)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (!ctx)
		return NULL;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex2(ctx, seal_alg_kwp(key_size), key, NULL, wrap, NULL))
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

static int key_ok(size_t size)
{
	return size == 16 || size == 24 || size == 32;
}

int seal_kwp_wrap(const uint8_t *key, size_t key_size, struct span in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx;
	int n = 0, ok;

	if (!key_ok(key_size))
		return ERR_FORMAT;
	if (in.n == 0 || in.n > SEAL_KWP_MAX)
		return ERR_LIMIT;
	ctx = begin(key, key_size, 1);
	ok = ctx && EVP_EncryptUpdate(ctx, out, &n, in.p, (int)in.n) &&
	     n == (int)SEAL_KWP_SIZE(in.n);
	EVP_CIPHER_CTX_free(ctx);
	return ok ? n : ERR_CRYPTO;
}

int seal_kwp_unwrap(const uint8_t *key, size_t key_size, struct span in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx;
	int n = 0, ok;

	if (!key_ok(key_size))
		return ERR_FORMAT;
	if (in.n < 16 || in.n % 8 || in.n > SEAL_KWP_SIZE(SEAL_KWP_MAX))
		return ERR_AUTH;
	ctx = begin(key, key_size, 0);
	if (!ctx)
		return ERR_CRYPTO;
	ok = EVP_DecryptUpdate(ctx, out, &n, in.p, (int)in.n) && n > 0;
	EVP_CIPHER_CTX_free(ctx);
	if (ok)
		return n;
	ERR_clear_error();
	secret_wipe(out, in.n);
	return ERR_AUTH;
}
