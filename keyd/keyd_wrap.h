/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_wrap - one key or short secret sealed under another key: AES-256-GCM with a random nonce.
 *
 *   | nonce 12 | ciphertext | tag 16 |                                     28 bytes of overhead
 *
 * Story:  every key in the store is wrapped this way. The AAD says what the secret is and whose,
 *         so a wrap cannot be moved to another place. Callers count the uses of each wrapping key
 *         and stop at KEYD_WRAP_USES_MAX: random 96-bit nonces carry no further.
 * Errors: ERR_AUTH (does not verify; out is zeroed), ERR_NOMEM, ERR_CRYPTO.
 * Source: NIST SP 800-38D 8.3; sealpost-keyd-store(7).
 * Thread: any. */
#ifndef KEYD_KEYD_WRAP_H
#define KEYD_KEYD_WRAP_H

#include "core/span.h"

#define KEYD_WRAP_OVERHEAD 28
#define KEYD_WRAP_KEY	   (32 + KEYD_WRAP_OVERHEAD) /* a wrapped 32-byte key */
#define KEYD_WRAP_USES_MAX (UINT64_C(1) << 31)

/* Writes n + KEYD_WRAP_OVERHEAD bytes. */
int keyd_wrap_seal(const uint8_t key[32], struct span aad, const uint8_t *in, size_t n,
		   uint8_t *out);
/* Writes sealed.n - KEYD_WRAP_OVERHEAD bytes; out should be secret memory. */
int keyd_wrap_open(const uint8_t key[32], struct span aad, struct span sealed, uint8_t *out);
/* The same for many wraps under one key, whose schedule is made once: each takes a third of the
 * time then. A context seals or opens. NULL: out of memory. */
struct keyd_wrap_many;
struct keyd_wrap_many *keyd_wrap_many_new(const uint8_t key[32], int seal);
void keyd_wrap_many_free(struct keyd_wrap_many *m);
/* nonce: 12 bytes from rand_bytes, never used before. */
int keyd_wrap_many_seal(struct keyd_wrap_many *m, const uint8_t nonce[12], struct span aad,
			const uint8_t *in, size_t n, uint8_t *out);
int keyd_wrap_many_open(struct keyd_wrap_many *m, struct span aad, struct span sealed,
			uint8_t *out);
/* The construction with the nonce given, without writing it: for known-answer tests alone. */
int keyd_wrap_raw(const uint8_t key[32], const uint8_t nonce[12], struct span aad,
		  const uint8_t *in, size_t n, uint8_t *out, uint8_t tag[16]);

#endif
