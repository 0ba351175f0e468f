/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_wrap.h"

#include <limits.h>
#include <pthread.h>

#include <openssl/evp.h>

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *gcm; /* fetched once: a fetch costs more than a wrap */

static void fetch(void)
{
	gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

/* A context for one operation, with key, nonce and AAD in it. */
static EVP_CIPHER_CTX *begin(const uint8_t *key, const uint8_t *nonce, struct span aad, int seal)
{
	EVP_CIPHER_CTX *ctx;
	int n;

	pthread_once(&once, fetch);
	ctx = gcm ? EVP_CIPHER_CTX_new() : NULL;
	if (!ctx)
		return NULL;
	if (EVP_CipherInit_ex2(ctx, gcm, key, nonce, seal, NULL) == 1 && aad.n <= INT_MAX &&
	    (aad.n == 0 || EVP_CipherUpdate(ctx, NULL, &n, aad.p, (int)aad.n) == 1))
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

int keyd_wrap_raw(const uint8_t key[32], const uint8_t nonce[12], struct span aad,
		  const uint8_t *in, size_t n, uint8_t *out, uint8_t tag[16])
{
	EVP_CIPHER_CTX *ctx = n <= INT_MAX ? begin(key, nonce, aad, 1) : NULL;
	int made = 0, end = 0, ok;

	if (!ctx)
		return ERR_CRYPTO;
	ok = EVP_EncryptUpdate(ctx, out, &made, in, (int)n) == 1 && (size_t)made == n &&
	     EVP_EncryptFinal_ex(ctx, out + n, &end) == 1 && end == 0 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok ? 0 : ERR_CRYPTO;
}

int keyd_wrap_seal(const uint8_t key[32], struct span aad, const uint8_t *in, size_t n,
		   uint8_t *out)
{
	rand_bytes(out, 12);
	return keyd_wrap_raw(key, out, aad, in, n, out + 12, out + 12 + n);
}

int keyd_wrap_open(const uint8_t key[32], struct span aad, struct span sealed, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t tag[16];
	size_t n = sealed.n - KEYD_WRAP_OVERHEAD;
	int made = 0, end = 0, ok;

	if (sealed.n < KEYD_WRAP_OVERHEAD || sealed.n > INT_MAX)
		return ERR_AUTH;
	ctx = begin(key, sealed.p, aad, 0);
	if (!ctx)
		return ERR_NOMEM;
	memcpy(tag, sealed.p + 12 + n, 16);
	ok = EVP_DecryptUpdate(ctx, out, &made, sealed.p + 12, (int)n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 &&
	     EVP_DecryptFinal_ex(ctx, out + made, &end) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		secret_wipe(out, n);
	return ok ? 0 : ERR_AUTH;
}

/* The context itself: its key is in it, nonces come one after another. */
struct keyd_wrap_many *keyd_wrap_many_new(const uint8_t key[32], int seal)
{
	EVP_CIPHER_CTX *ctx;

	pthread_once(&once, fetch);
	ctx = gcm ? EVP_CIPHER_CTX_new() : NULL;
	if (ctx && EVP_CipherInit_ex2(ctx, gcm, key, NULL, seal, NULL) != 1) {
		EVP_CIPHER_CTX_free(ctx);
		ctx = NULL;
	}
	return (struct keyd_wrap_many *)ctx;
}

void keyd_wrap_many_free(struct keyd_wrap_many *m)
{
	EVP_CIPHER_CTX_free((EVP_CIPHER_CTX *)m);
}

static int next(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, struct span aad)
{
	int n;

	return EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, -1, NULL) == 1 && aad.n <= INT_MAX &&
	       (aad.n == 0 || EVP_CipherUpdate(ctx, NULL, &n, aad.p, (int)aad.n) == 1);
}

int keyd_wrap_many_seal(struct keyd_wrap_many *m, const uint8_t nonce[12], struct span aad,
			const uint8_t *in, size_t n, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)m;
	int made = 0, end = 0;

	memcpy(out, nonce, 12);
	return n <= INT_MAX && next(ctx, nonce, aad) &&
		       EVP_EncryptUpdate(ctx, out + 12, &made, in, (int)n) == 1 &&
		       (size_t)made == n && EVP_EncryptFinal_ex(ctx, out + 12 + n, &end) == 1 &&
		       end == 0 &&
		       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + 12 + n) == 1
		   ? 0
		   : ERR_CRYPTO;
}

int keyd_wrap_many_open(struct keyd_wrap_many *m, struct span aad, struct span sealed, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)m;
	size_t n = sealed.n - KEYD_WRAP_OVERHEAD;
	uint8_t tag[16];
	int made = 0, end = 0;

	if (sealed.n < KEYD_WRAP_OVERHEAD || sealed.n > INT_MAX)
		return ERR_AUTH;
	memcpy(tag, sealed.p + 12 + n, 16);
	if (next(ctx, sealed.p, aad) &&
	    EVP_DecryptUpdate(ctx, out, &made, sealed.p + 12, (int)n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag) == 1 &&
	    EVP_DecryptFinal_ex(ctx, out + made, &end) == 1)
		return 0;
	secret_wipe(out, n);
	return ERR_AUTH;
}
