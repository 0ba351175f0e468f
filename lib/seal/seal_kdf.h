/* SPDX-License-Identifier: Apache-2.0 */
/* seal_kdf - HKDF-SHA-256 (RFC 5869) and HMAC-SHA-256, with OpenSSL's algorithms fetched once.
 * Pure; any thread. */
#ifndef SEAL_SEAL_KDF_H
#define SEAL_SEAL_KDF_H

#include "core/span.h"

/* 32-byte sub-key of a 32-byte key: HKDF-Expand(key, info, 32). */
int seal_kdf_subkey(const uint8_t key[32], struct span info, uint8_t out[32]);
/* HMAC-SHA-256 over the parts in order. */
int seal_kdf_hmac(const uint8_t *key, size_t key_size, const struct span *parts, unsigned count,
		  uint8_t out[32]);

#endif
