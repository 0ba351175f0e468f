/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_crypto - private signing keys: made, stored, loaded and used here, and in no other file.
 *
 * Story:     keyd_crypto_init comes before anything else that uses OpenSSL: it gives OpenSSL an
 *            allocator that wipes what it frees, and a locked heap of 4 MiB. All that OpenSSL
 *            takes while a key is made, read, written or used here comes from that heap: the
 *            numbers, and copies in Montgomery form and in DER. (What other files do with
 *            OpenSSL, AES and HMAC, leaves key schedules in plain memory for the length of one
 *            call.) No openssl.cnf is read: it could load foreign code. A new key passes a pairwise test (sign, then verify with its public part alone) before anybody
 *            sees it.
 * Ownership: keys are counted: _ref and _free. A job on a worker thread holds its own reference.
 * Errors:    ERR_CRYPTO, ERR_NOMEM (also: the locked heap is full), ERR_FORMAT (not such a key), ERR_DENIED (key and algorithm do
 *            not belong together).
 * Thread:    any, once init is done. */
#ifndef KEYD_KEYD_CRYPTO_H
#define KEYD_KEYD_CRYPTO_H

#include "core/buf.h"
#include "keyproto/keyproto_msg.h"

#define KEYD_CRYPTO_SIG_MAX   512  /* longest signature, bytes */
#define KEYD_CRYPTO_PKCS8_MAX 4096 /* longest private key in DER */

struct keyd_crypto_key;

/* ERR_NOMEM: the locked heap cannot be had (memlock limit). ERR_BADSTATE: OpenSSL was used
 *            before. */
int keyd_crypto_init(void);

/* type: enum keyproto_keytype. RSA takes up to a second: for a worker thread. */
int keyd_crypto_generate(unsigned type, struct keyd_crypto_key **out);
struct keyd_crypto_key *keyd_crypto_ref(struct keyd_crypto_key *k);
void keyd_crypto_free(struct keyd_crypto_key *k);

/* PKCS#8 DER into secret memory of KEYD_CRYPTO_PKCS8_MAX bytes; its length or ERR_*. */
int keyd_crypto_export(const struct keyd_crypto_key *k, uint8_t *der);
/* ERR_FORMAT unless der is exactly one key of that type. */
int keyd_crypto_import(unsigned type, struct span der, struct keyd_crypto_key **out);
/* Appends SubjectPublicKeyInfo DER. */
int keyd_crypto_public(const struct keyd_crypto_key *k, struct buf *out);

/* A key from bare numbers, big-endian, for known-answer tests: RSA n, e, d; P-256 scalar and point
 * (uncompressed); Ed25519 seed. */
int keyd_crypto_parts(unsigned type, const struct span *parts, unsigned count,
		      struct keyd_crypto_key **out);

/* 1 if keys of this type may sign by alg. */
int keyd_crypto_may(unsigned type, unsigned alg);
/* 1 if a signature takes long enough that it belongs on a worker thread. */
int keyd_crypto_slow(unsigned type);

/* How many private keys are in memory. */
unsigned keyd_crypto_live(void);

/* Signs data (not a digest). Length of the signature, at most KEYD_CRYPTO_SIG_MAX, or ERR_*. */
int keyd_crypto_sign(const struct keyd_crypto_key *k, unsigned alg, struct span data,
		     uint8_t sig[KEYD_CRYPTO_SIG_MAX]);
/* 0, or ERR_AUTH: also for a key that is not of the algorithm's type, or not one key alone. */
int keyd_crypto_verify(struct span spki, unsigned alg, struct span data, struct span sig);

#endif
