/* SPDX-License-Identifier: Apache-2.0 */
/* num - numbers as people write them, and big-endian integers in bytes. Pure; any thread.
 * Parsers take the whole span or refuse it (ERR_FORMAT, ERR_LIMIT when it does not fit). */
#ifndef CORE_NUM_H
#define CORE_NUM_H

#include "core/span.h"

/* Decimal digits only: no sign, no space. */
int num_parse_u64(struct span s, uint64_t *out);
/* "90s" "5m" "4h" "5d" "2w", or plain seconds -> microseconds. */
int num_parse_duration(struct span s, int64_t *usec);
/* "10240", "64K", "50M", "2G" (powers of 1024) -> bytes. */
int num_parse_size(struct span s, uint64_t *bytes);
/* So many in a window of so long; count 0: no limit. */
struct num_rate {
	uint64_t count;
	int64_t window; /* usec */
};
/* "100/15m", "1,000/h", "1_000/hr", "10/min", "5/s", "20/day": a count (groups of three digits may be set apart by
 * commas or underscores), "/", and a window: an optional number and s, sec, second, m, min, minute, h, hr, hour, d or
 * day. The empty text is no limit. ERR_FORMAT; ERR_LIMIT: count not in 1..10^9, or window not in 1 s..31 days. */
int num_parse_rate(struct span s, struct num_rate *out);
/* "100/15m", "" for no limit; dst of at least 32 bytes. */
void num_format_rate(char dst[32], struct num_rate r);
/* Shortest form of a duration ("5m", "1h30m", "2d4h"), for people; dst of at least 24 bytes. */
void num_format_duration(char dst[24], int64_t usec);
/* "4.0 KiB" and the like; dst of at least 16 bytes. */
void num_format_size(char dst[16], uint64_t bytes);

static inline void num_put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void num_put_u32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
}
static inline void num_put_u64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
}
static inline uint16_t num_get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t num_get_u32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}
static inline uint64_t num_get_u64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

#endif
