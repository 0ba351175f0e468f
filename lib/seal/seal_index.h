/* SPDX-License-Identifier: Apache-2.0 */
/* seal_index - blind index: HMAC-SHA-256(key, u16 length of label, label, value), truncated.
 *
 * Story:  equality lookup on a sealed column. It leaks equality within one label and customer,
 *         nothing else. label names the column; value is already normalised by the caller. n
 *         decides how many rows collide: 8 bytes for something unique, 2 to 4 where a few false
 *         hits are wanted.
 * Errors: ERR_LIMIT (n not 1..32, label over 65535 bytes), ERR_CRYPTO.
 * Thread: pure; any. */
#ifndef SEAL_SEAL_INDEX_H
#define SEAL_SEAL_INDEX_H

#include "core/span.h"

#define SEAL_INDEX_MAX 32

int seal_index(const uint8_t key[32], struct span label, struct span value, uint8_t *out, size_t n);

#endif
