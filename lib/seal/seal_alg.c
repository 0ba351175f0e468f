/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_alg.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *gcm, *ecb, *cbc, *siv, *kwp[3];
/* Never keyed: copying one is how a caller gets a context without naming the digest again. */
static EVP_MAC_CTX *hmac[2];

static EVP_MAC_CTX *template_of(EVP_MAC *mac, const char *digest)
{
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
	    OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);

	if (ctx && !EVP_MAC_CTX_set_params(ctx, params)) {
		EVP_MAC_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}

static void fetch(void)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	ecb = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
	cbc = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	siv = EVP_CIPHER_fetch(NULL, "AES-128-SIV", NULL);
	kwp[0] = EVP_CIPHER_fetch(NULL, "AES-128-WRAP-PAD", NULL);
	kwp[1] = EVP_CIPHER_fetch(NULL, "AES-192-WRAP-PAD", NULL);
	kwp[2] = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
	if (mac) {
		hmac[SEAL_ALG_SHA256] = template_of(mac, "SHA256");
		hmac[SEAL_ALG_SHA512] = template_of(mac, "SHA512");
		EVP_MAC_free(mac); /* the templates hold it */
	}
}

const EVP_CIPHER *seal_alg_gcm(void)
{
	pthread_once(&once, fetch);
	return gcm;
}

const EVP_CIPHER *seal_alg_ecb(void)
{
	pthread_once(&once, fetch);
	return ecb;
}

const EVP_CIPHER *seal_alg_cbc(void)
{
	pthread_once(&once, fetch);
	return cbc;
}

const EVP_CIPHER *seal_alg_siv(void)
{
	pthread_once(&once, fetch);
	return siv;
}

const EVP_CIPHER *seal_alg_kwp(size_t key_size)
{
	pthread_once(&once, fetch);
	return key_size >= 16 && key_size <= 32 && key_size % 8 == 0 ? kwp[key_size / 8 - 2] : NULL;
}

EVP_MAC_CTX *seal_alg_hmac(enum seal_alg_hash hash, const uint8_t *key, size_t key_size)
{
	EVP_MAC_CTX *ctx;

	pthread_once(&once, fetch);
	ctx = hmac[hash] ? EVP_MAC_CTX_dup(hmac[hash]) : NULL;
	/* A NULL key would mean "as before" to OpenSSL, and before there was none. */
	if (ctx && !EVP_MAC_init(ctx, key ? key : (const uint8_t *)"", key_size, NULL)) {
		EVP_MAC_CTX_free(ctx);
		ctx = NULL;
	}
	return ctx;
}
