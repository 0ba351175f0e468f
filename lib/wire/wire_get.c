/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/wire_get.h"

#include "core/err.h"
#include "core/num.h"

void wire_get_init(struct wire_get *g, struct span s)
{
	g->rest = s;
	g->failed = 0;
}

struct span wire_get_raw(struct wire_get *g, size_t n)
{
	struct span s;

	if (n > g->rest.n) {
		/* Nothing that follows may be believed: the rest is thrown away as well. */
		g->failed = 1;
		g->rest = span_of(NULL, 0);
		return g->rest;
	}
	s = span_of(g->rest.p, n);
	if (n)
		g->rest = span_of(g->rest.p + n, g->rest.n - n);
	return s;
}

uint8_t wire_get_u8(struct wire_get *g)
{
	struct span s = wire_get_raw(g, 1);

	return s.n ? s.p[0] : 0;
}

uint16_t wire_get_u16(struct wire_get *g)
{
	struct span s = wire_get_raw(g, 2);

	return s.n ? num_get_u16(s.p) : 0;
}

uint32_t wire_get_u32(struct wire_get *g)
{
	struct span s = wire_get_raw(g, 4);

	return s.n ? num_get_u32(s.p) : 0;
}

uint64_t wire_get_u64(struct wire_get *g)
{
	struct span s = wire_get_raw(g, 8);

	return s.n ? num_get_u64(s.p) : 0;
}

struct span wire_get_bytes8(struct wire_get *g)
{
	return wire_get_raw(g, wire_get_u8(g));
}

struct span wire_get_bytes16(struct wire_get *g)
{
	return wire_get_raw(g, wire_get_u16(g));
}

struct span wire_get_bytes32(struct wire_get *g)
{
	return wire_get_raw(g, wire_get_u32(g));
}

int wire_get_end(const struct wire_get *g)
{
	return g->failed || g->rest.n ? ERR_FORMAT : 0;
}
