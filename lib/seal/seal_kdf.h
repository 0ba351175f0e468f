/* SPDX-License-Identifier: Apache-2.0 */
/* seal_kdf - HKDF-SHA-256's expand step (RFC 5869 2.3) for one block, and HMAC-SHA-256 (RFC 2104).
 *
 * Story:  keyd derives the sub-keys of a DEK, and MACs, with these; about 1 us each.
 * Errors: ERR_CRYPTO if OpenSSL refuses (no memory); out is then zeroed.
 * Source: vectors in test/vectors/seal (RFC 5869, RFC 4231) and, where present, Wycheproof.
 * Thread: pure; any. */
#ifndef SEAL_SEAL_KDF_H
#define SEAL_SEAL_KDF_H

#include "core/span.h"

/* 32-byte sub-key of a 32-byte key: HKDF-Expand(key, info, 32). */
int seal_kdf_subkey(const uint8_t key[32], struct span info, uint8_t out[32]);
/* HMAC-SHA-256 over the parts in order. Parts are joined without a mark between them: a caller with
 * more than one part of variable length puts the lengths in. */
int seal_kdf_hmac(const uint8_t *key, size_t key_size, const struct span *parts, unsigned count,
		  uint8_t out[32]);

#endif
