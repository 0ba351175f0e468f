/* SPDX-License-Identifier: Apache-2.0 */
/* seal_alg - the OpenSSL algorithms that this folder uses, fetched once per process.
 *
 * Story:     a fetch by name costs more than the operation itself, so the first caller fetches all
 *            of them and everybody shares the objects; they live as long as the process. Private
 *            to lib/seal.
 * Ownership: what the functions return belongs to the module, except a seal_alg_hmac context, which
 *            the caller frees with EVP_MAC_CTX_free (that also wipes the key in it).
 * Errors:    NULL if OpenSSL lacks the algorithm or memory was short; callers answer ERR_CRYPTO.
 * Thread:    any. */
#ifndef SEAL_SEAL_ALG_H
#define SEAL_SEAL_ALG_H

#include <openssl/evp.h>

const EVP_CIPHER *seal_alg_gcm(void); /* AES-256-GCM */
const EVP_CIPHER *seal_alg_ecb(void); /* AES-256-ECB: single blocks of the XAES key derivation */
const EVP_CIPHER *seal_alg_cbc(void); /* AES-256-CBC with PKCS#7 padding: inside of seal_cbc only */
const EVP_CIPHER *seal_alg_siv(void); /* AES-128-SIV: tracking tokens */
const EVP_CIPHER *seal_alg_kwp(size_t key_size); /* AES-KWP; key of 16, 24 or 32 bytes, else NULL */

enum seal_alg_hash { SEAL_ALG_SHA256, SEAL_ALG_SHA512 };
/* An HMAC context with its digest chosen and key set, ready for EVP_MAC_update. */
EVP_MAC_CTX *seal_alg_hmac(enum seal_alg_hash hash, const uint8_t *key, size_t key_size);

#endif
