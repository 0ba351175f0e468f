/* SPDX-License-Identifier: Apache-2.0 */
/* wire_put - writes integers and byte strings, big-endian, into a buf.
 *
 * Story: every put appends; failures stick in the buf (buf_failed), so a codec looks once, at its end.
 *        A byte string is its length (u8, u16 or u32) followed by its bytes. Pure; any thread. */
#ifndef WIRE_WIRE_PUT_H
#define WIRE_WIRE_PUT_H

#include "core/buf.h"

void wire_put_u8(struct buf *b, uint8_t v);
void wire_put_u16(struct buf *b, uint16_t v);
void wire_put_u32(struct buf *b, uint32_t v);
void wire_put_u64(struct buf *b, uint64_t v);
void wire_put_raw(struct buf *b, const void *p, size_t n);
/* Length-prefixed; a span longer than the prefix can say marks the buf ERR_LIMIT. */
void wire_put_bytes8(struct buf *b, struct span s);
void wire_put_bytes16(struct buf *b, struct span s);
void wire_put_bytes32(struct buf *b, struct span s);

#endif
