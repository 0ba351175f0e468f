/* SPDX-License-Identifier: Apache-2.0 */
/* seal_index - blind index: HMAC-SHA-256(key, u16 length of label, label, value), truncated.
 * Leaks equality within one label and customer, nothing else. Pure; any thread. */
#ifndef SEAL_SEAL_INDEX_H
#define SEAL_SEAL_INDEX_H

#include "core/span.h"

int seal_index(const uint8_t key[32], struct span label, struct span value, uint8_t *out, size_t n);

#endif
