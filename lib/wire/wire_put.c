/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/wire_put.h"

#include "core/err.h"
#include "core/num.h"

/* Room for n more bytes: the common case of a put stays in this file and calls nothing. */
static inline uint8_t *room(struct buf *b, size_t n)
{
	if (n <= b->cap - b->len && n <= buf_room(b))
		return b->data + b->len;
	return buf_reserve(b, n);
}

void wire_put_u8(struct buf *b, uint8_t v)
{
	uint8_t *p = room(b, 1);

	if (p) {
		p[0] = v;
		buf_commit(b, 1);
	}
}

void wire_put_u16(struct buf *b, uint16_t v)
{
	uint8_t *p = room(b, 2);

	if (p) {
		num_put_u16(p, v);
		buf_commit(b, 2);
	}
}

void wire_put_u32(struct buf *b, uint32_t v)
{
	uint8_t *p = room(b, 4);

	if (p) {
		num_put_u32(p, v);
		buf_commit(b, 4);
	}
}

void wire_put_u64(struct buf *b, uint64_t v)
{
	uint8_t *p = room(b, 8);

	if (p) {
		num_put_u64(p, v);
		buf_commit(b, 8);
	}
}

void wire_put_raw(struct buf *b, const void *src, size_t n)
{
	uint8_t *p;

	if (n == 0)
		return;
	p = room(b, n);
	if (p) {
		memcpy(p, src, n);
		buf_commit(b, n);
	}
}

/* A string that its prefix cannot describe leaves the buf as it was, marked. */
static int fits(struct buf *b, size_t n, size_t most)
{
	if (n <= most)
		return 1;
	if (!b->failed)
		b->failed = ERR_LIMIT;
	return 0;
}

void wire_put_bytes8(struct buf *b, struct span s)
{
	if (fits(b, s.n, UINT8_MAX)) {
		wire_put_u8(b, (uint8_t)s.n);
		wire_put_raw(b, s.p, s.n);
	}
}

void wire_put_bytes16(struct buf *b, struct span s)
{
	if (fits(b, s.n, UINT16_MAX)) {
		wire_put_u16(b, (uint16_t)s.n);
		wire_put_raw(b, s.p, s.n);
	}
}

void wire_put_bytes32(struct buf *b, struct span s)
{
	if (fits(b, s.n, UINT32_MAX)) {
		wire_put_u32(b, (uint32_t)s.n);
		wire_put_raw(b, s.p, s.n);
	}
}
