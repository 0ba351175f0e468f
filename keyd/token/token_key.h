/* SPDX-License-Identifier: Apache-2.0 */
/* token_key - the key on the token: found by the URI, or made; and what it wraps.
 *
 * Story:     an AES key of 256 bits with AES-GCM is wanted; an RSA pair with OAEP (SHA-1, the one hash
 *            that every token takes) serves where the token lacks it or the URI names one (type=).
 *            A key that could be read out of the token is refused. make adds an AES key under the
 *            label and id of the URI: sensitive, never extractable, good for nothing but this.
 * Ownership: borrows the session. Handles live as long as it does.
 * Errors:    enum keyd_token_why.
 * Source:    PKCS#11 v2.40 2.1.5 (OAEP), 2.12.7 (AES-GCM); NIST SP 800-38D.
 * Thread:    one. */
#ifndef KEYD_TOKEN_TOKEN_KEY_H
#define KEYD_TOKEN_TOKEN_KEY_H

#include "keyd/token/token_open.h"

struct token_key {
	unsigned kind; /* enum keyd_token_kind */
	CK_OBJECT_HANDLE seals, opens;
};

/* kind: that of a blob, or 0: whichever is there. */
unsigned token_key_find(const struct token_open *t, unsigned kind, struct token_key *k);
/* After a find that said NO_KEY. */
unsigned token_key_make(const struct token_open *t, struct token_key *k);

unsigned token_key_wrap(const struct token_open *t, const struct token_key *k, struct span context,
			const uint8_t key[KEYD_TOKEN_KEY], struct keyd_token_blob *out);
unsigned token_key_unwrap(const struct token_open *t, const struct token_key *k,
			  struct span context, const struct keyd_token_blob *blob,
			  uint8_t key[KEYD_TOKEN_KEY]);

#endif
