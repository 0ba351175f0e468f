/* SPDX-License-Identifier: Apache-2.0 */
/* keyprov_sign - the provider's signatures: OpenSSL's "signature" operation.
 *
 * Story:  OpenSSL names digest and padding and gives the message; that is one row of a table, whose
 *         algorithm goes to keyd with the message. Nothing is hashed here. Verifying is left to the
 *         default provider, with the public key. Private to lib/keyprov.
 * Limits: a message given in pieces is gathered up to KEYPROTO_DATA_MAX.
 * Thread: a context is used by one thread at a time. */
#ifndef KEYPROV_KEYPROV_SIGN_H
#define KEYPROV_KEYPROV_SIGN_H

#include <openssl/core.h>

#include "keyprov/keyprov.h"

/* Whom to ask; before the first signature. */
void keyprov_sign_set(keyprov_sign_fn sign, void *arg);

/* For the provider's answer to OSSL_OP_SIGNATURE. */
extern const OSSL_ALGORITHM keyprov_sign_algorithms[];

#endif
