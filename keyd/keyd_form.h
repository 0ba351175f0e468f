/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_form - what a signing key's purpose lets it sign: by the form of the data.
 *
 * Story:     the purpose is the part of the label before the first slash. Whoever may ask for
 *            signatures by keys of one purpose must not get out of them what those of another
 *            sign; so SIGN asks here, after keyd_permit and before the key is touched.
 *
 *              dkim/   RS256 over header lines as DKIM hashes them (RFC 6376 3.7: relaxed, each but
 *                      the last with CRLF, the last one the dkim-signature being made: it begins
 *                      "v=1;" and ends with an empty "b="); or Ed25519 over their SHA-256 (RFC 8463
 *                      3: 32 octets). Nothing else, and by no other algorithm.
 *              others  none of that.
 *              tls/    nothing that looks like a JWT either.
 *
 *            What TLS signs has no such form: TLS 1.3 begins with spaces, TLS 1.2 with random
 *            octets and ends with a key, a certificate begins with 0x30; none has 32 octets.
 * Source:    RFC 6376 3.4.2 and 3.7, RFC 8463 3, RFC 7515; sealpost-keyproto(7).
 * Thread:    pure; any. */
#ifndef KEYD_KEYD_FORM_H
#define KEYD_KEYD_FORM_H

#include "core/span.h"

/* 1 if a key of that label may sign data by alg (enum keyproto_alg). */
int keyd_form_ok(struct span label, unsigned alg, struct span data);

#endif
