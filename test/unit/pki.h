/* SPDX-License-Identifier: Apache-2.0 */
/* pki - certificates for tests: an authority and what it signs, made in memory, written as PEM. */
#ifndef TEST_UNIT_PKI_H
#define TEST_UNIT_PKI_H

#include <openssl/evp.h>
#include <openssl/x509.h>

struct pki {
	EVP_PKEY *ca_key, *key;
	X509 *ca, *leaf;
};

/* type: "EC" (P-256) or "RSA" (2048). name: DNS name of the leaf. Aborts on failure. */
void pki_make(struct pki *p, const char *type, const char *name);
void pki_clear(struct pki *p);
/* Writes the leaf (and then the authority, if chain) to path. */
void pki_write_leaf(const struct pki *p, const char *path, int chain);
void pki_write_ca(const struct pki *p, const char *path);

#endif
