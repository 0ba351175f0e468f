/* SPDX-License-Identifier: Apache-2.0 */
/* keyprov - an OpenSSL provider whose private operations ask keyd.
 *
 * Story:     keyprov_load registers it (once per process, before threads and before any SSL_CTX).
 *            keyprov_key then makes an EVP_PKEY that has the public part only and a label;
 *            OpenSSL's signing with it ends in keyprov_sign_fn. The daemon gives that function:
 *            blocking (CLI, milter, tests), or, inside an ASYNC job (relay's TLS handshakes),
 *            sending the request and pausing the job. An SSL_CTX or X509_sign takes such a key as
 *            any other, and it verifies too.
 * TLS:       a server must offer what keyd can do: ECDHE key exchange only (no decryption), and
 *            SSL_CTX_set1_sigalgs_list(ctx, KEYPROV_SIGALGS), since ES256 is the only ECDSA.
 * Safety:    there is no private export, no decryption, no signing of a bare digest; the provider
 *            holds no secret.
 * Types:     EC P-256 (ES256), RSA from 2048 bits (PKCS#1, PSS with SHA-256/384/512, salt =
 *            digest length), Ed25519.
 * Errors:    a signature that fails leaves "keyd did not sign" and the cause in OpenSSL's queue.
 * Source:    provider-keymgmt(7), provider-signature(7).
 * Thread:    sign may be called on any thread that uses the key. */
#ifndef KEYPROV_KEYPROV_H
#define KEYPROV_KEYPROV_H

#include <openssl/evp.h>

#include "core/span.h"

#define KEYPROV_SIGALGS                                                                            \
	"ecdsa_secp256r1_sha256:ed25519:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:"                  \
	"rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:RSA+SHA512"

/* Signs message with the key named label by alg (enum keyproto_alg). spki: the public key, as it was
 * given to keyprov_key; a label may have several versions. Writes at most room bytes to sig, returns
 * the length or ERR_*. arg is keyprov_load's. */
typedef int (*keyprov_sign_fn)(void *arg, const char *label, struct span spki, unsigned alg,
			       struct span message, uint8_t *sig, size_t room);

/* 0 or ERR_CRYPTO; ERR_BADSTATE if it was loaded before. Also sets the default property query so
 * that everything else stays with OpenSSL's default provider. */
int keyprov_load(keyprov_sign_fn sign, void *arg);

/* Key from label (1 to KEYPROTO_KEYNAME_MAX bytes) and DER SubjectPublicKeyInfo. Free with
 * EVP_PKEY_free. NULL: not a key we serve. OpenSSL's error queue stays as it was. */
EVP_PKEY *keyprov_key(const char *label, struct span spki);

#endif
