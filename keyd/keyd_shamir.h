/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_shamir - a 32-byte key as n shares, any k of which give it back and any k - 1 say nothing.
 *
 *   each byte of the key is f(0) of a polynomial of degree k - 1 over GF(2^8) whose other
 *   coefficients are random; share x holds f(x) of all 32, for x = 1 .. n
 *
 * Story:  split makes the shares of a new slot key; combine takes any k of them. combine cannot
 *         tell whether they belong together: what it gives is a key that opens the slot or not.
 * Safety: shares are secret, so arithmetic uses neither tables nor branches on their bytes: no
 *         cache and no clock tells them. x is public. x = 0 would be the key itself, and two shares
 *         of one x divide by zero: both are refused.
 * Errors: ERR_FORMAT (k < 2, n < k, n > 255, x = 0, an x twice), ERR_NOMEM (secret memory).
 * Source: A. Shamir, "How to share a secret", CACM 22 (1979); the field is that of AES (FIPS 197
 *         4.2: x^8 + x^4 + x^3 + x + 1).
 * Thread: pure; any. */
#ifndef KEYD_KEYD_SHAMIR_H
#define KEYD_KEYD_SHAMIR_H

#include <stdint.h>

#define KEYD_SHAMIR_KEY 32
#define KEYD_SHAMIR_MAX 255

struct keyd_shamir_share {
	uint8_t x;
	uint8_t y[KEYD_SHAMIR_KEY];
};

/* shares: room for n, in secret memory. */
int keyd_shamir_split(const uint8_t key[KEYD_SHAMIR_KEY], unsigned k, unsigned n,
		      struct keyd_shamir_share *shares);
/* Exactly as many shares as the k they were made with. key: secret memory, wiped on an error. */
int keyd_shamir_combine(const struct keyd_shamir_share *shares, unsigned k,
			uint8_t key[KEYD_SHAMIR_KEY]);

#endif
