/* SPDX-License-Identifier: Apache-2.0 */
/* keyprov_key - the provider's keys: OpenSSL's "keymgmt" operation for RSA, EC and ED25519.
 *
 * Story:     a key is a label and a public key of the default provider, to which every question
 *            about the public part (size, group, parameters) is passed on. OpenSSL also imports
 *            foreign public keys here, to compare them with ours: those have no label and cannot
 *            sign.
 *            Private to lib/keyprov.
 * Ownership: OpenSSL calls free; a signature context borrows the key of the EVP_PKEY it holds.
 * Thread:    a key does not change once it is imported. */
#ifndef KEYPROV_KEYPROV_KEY_H
#define KEYPROV_KEYPROV_KEY_H

#include <openssl/core.h>
#include <openssl/evp.h>

#include "keyproto/keyproto_msg.h"

#define KEYPROV_KEY_LABEL "sealpost-label" /* parameters that make one of our keys */
#define KEYPROV_KEY_SPKI "sealpost-spki"
#define KEYPROV_KEY_RSA_BITS_MIN 2048

enum keyprov_key_type { KEYPROV_KEY_EC, KEYPROV_KEY_RSA, KEYPROV_KEY_ED25519 };

struct keyprov_key {
	enum keyprov_key_type type;
	char label[KEYPROTO_KEYNAME_MAX + 1]; /* "": a public key from elsewhere */
	uint8_t *spki;			      /* with a label: its public key as it came */
	size_t spki_size;
	EVP_PKEY *public;
};

/* Name of a type as OpenSSL fetches it: "EC", "RSA", "ED25519". */
const char *keyprov_key_name(enum keyprov_key_type type);
/* Type of a public key, or -1 if keyd has no such keys (other curves, short RSA). */
int keyprov_key_type_of(EVP_PKEY *public);

/* For the provider's answer to OSSL_OP_KEYMGMT. */
extern const OSSL_ALGORITHM keyprov_key_algorithms[];

#endif
