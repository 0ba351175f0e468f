/* SPDX-License-Identifier: Apache-2.0 */
/* keyprov - an OpenSSL provider whose private operations ask keyd.
 *
 * Story:     keyprov_load registers it (once per process, before any SSL_CTX). keyprov_key then makes an
 *            EVP_PKEY that has the public part only and a label; OpenSSL's signing with it ends in
 *            keyprov_sign_fn. The daemon gives that function: blocking (CLI, milter, tests), or, inside
 *            an ASYNC job (relay's TLS handshakes), sending the request and pausing the job.
 * Safety:    there is no private export, no decryption; the provider holds no secret.
 * Types:     EC P-256 (ES256), RSA (PKCS#1 and PSS with SHA-256/384/512, salt = digest length), Ed25519.
 * Source:    provider-keymgmt(7), provider-signature(7).
 * Thread:    sign may be called on any thread that uses the key. */
#ifndef KEYPROV_KEYPROV_H
#define KEYPROV_KEYPROV_H

#include <openssl/evp.h>

#include "core/span.h"

/* Signs message with the key named label by alg (enum keyproto_alg). Writes at most room bytes to sig,
 * returns the length or ERR_*. arg is keyprov_load's. */
typedef int (*keyprov_sign_fn)(void *arg, const char *label, unsigned alg, struct span message,
			       uint8_t *sig, size_t room);

/* 0 or ERR_CRYPTO. Also sets the default property query so that everything else stays with OpenSSL's
 * default provider. */
int keyprov_load(keyprov_sign_fn sign, void *arg);

/* Key from label and DER SubjectPublicKeyInfo. Free with EVP_PKEY_free. NULL: not a key we serve. */
EVP_PKEY *keyprov_key(const char *label, struct span spki);

#endif
