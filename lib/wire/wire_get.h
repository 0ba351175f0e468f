/* SPDX-License-Identifier: Apache-2.0 */
/* wire_get - reads what wire_put wrote.
 *
 * Story:     a reader walks a span. A read beyond the end marks it failed and gives zeros and empty
 *            spans from then on, so a decoder reads straight through and asks wire_get_end once:
 *            it must have landed exactly on the end.
 * Ownership: spans point into the source; nothing is copied. Pure; any thread. */
#ifndef WIRE_WIRE_GET_H
#define WIRE_WIRE_GET_H

#include "core/span.h"

struct wire_get {
	struct span rest;
	int failed;
};

void wire_get_init(struct wire_get *g, struct span s);
uint8_t wire_get_u8(struct wire_get *g);
uint16_t wire_get_u16(struct wire_get *g);
uint32_t wire_get_u32(struct wire_get *g);
uint64_t wire_get_u64(struct wire_get *g);
struct span wire_get_raw(struct wire_get *g, size_t n);
struct span wire_get_bytes8(struct wire_get *g);
struct span wire_get_bytes16(struct wire_get *g);
struct span wire_get_bytes32(struct wire_get *g);
/* 0 if everything was read and nothing is left; else ERR_FORMAT. */
int wire_get_end(const struct wire_get *g);

#endif
