/* SPDX-License-Identifier: Apache-2.0 */
/* seal_kdf - HMAC (RFC 2104) and the expand step of HKDF (RFC 5869 2.3), with SHA-256 and SHA-512.
 *
 * Story:  keyd derives the sub-keys of a DEK, and MACs, with these; about 1 us each. SHA-512 is for
 *         the formats that ask for it: objects (seal_chunk) and CBC (seal_cbc).
 * Errors: ERR_CRYPTO if OpenSSL refuses (no memory), ERR_LIMIT as said below; out is then zeroed.
 * Source: vectors in test/vectors/seal (RFC 5869, RFC 4231) and, where present, Wycheproof.
 * Thread: pure; any. */
#ifndef SEAL_SEAL_KDF_H
#define SEAL_SEAL_KDF_H

#include "core/span.h"

#define SEAL_KDF_EXPAND_MAX (255 * 64) /* bytes that one key and info give */

/* 32-byte sub-key of a 32-byte key: HKDF-Expand(key, info, 32). */
int seal_kdf_subkey(const uint8_t key[32], struct span info, uint8_t out[32]);
/* HMAC-SHA-256 over the parts in order. Parts are joined without a mark between them: a caller with
 * more than one part of variable length puts the lengths in. */
int seal_kdf_hmac(const uint8_t *key, size_t key_size, const struct span *parts, unsigned count,
		  uint8_t out[32]);
/* The same with SHA-512. */
int seal_kdf_hmac512(const uint8_t *key, size_t key_size, const struct span *parts, unsigned count,
		     uint8_t out[64]);
/* HKDF-Expand-SHA-512(key, info, n); info is the parts, joined as above. ERR_LIMIT: n is 0 or above
 * SEAL_KDF_EXPAND_MAX. */
int seal_kdf_expand512(const uint8_t *key, size_t key_size, const struct span *info, unsigned count,
		       uint8_t *out, size_t n);

#endif
