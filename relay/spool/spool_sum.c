/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_sum.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t tables[8][256];
static pthread_once_t tables_made = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;
		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? POLYNOMIAL : 0);
		tables[0][i] = v;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 255];
}

static inline uint32_t load32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t spool_sum_portable(uint32_t sum, const void *data, size_t n)
{
	const uint8_t *p = data;
	uint32_t c = ~sum;

	pthread_once(&tables_made, make_tables);
	for (; n >= 8; p += 8, n -= 8) {
		uint32_t a = load32(p) ^ c, b = load32(p + 4);
		c = tables[7][a & 255] ^ tables[6][a >> 8 & 255] ^ tables[5][a >> 16 & 255] ^
		    tables[4][a >> 24] ^ tables[3][b & 255] ^ tables[2][b >> 8 & 255] ^
		    tables[1][b >> 16 & 255] ^ tables[0][b >> 24];
	}
	for (; n; p++, n--)
		c = c >> 8 ^ tables[0][(c ^ *p) & 255];
	return ~c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t sum_sse42(uint32_t sum, const uint8_t *p,
							    size_t n)
{
	uint64_t c = (uint32_t)~sum;

	for (; n >= 8; p += 8, n -= 8) {
		uint64_t v;
		memcpy(&v, p, 8);
		c = __builtin_ia32_crc32di(c, v);
	}
	for (; n; p++, n--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p);
	return ~(uint32_t)c;
}

uint32_t spool_sum(uint32_t sum, const void *p, size_t n)
{
	/* reads a word that libgcc fills before main: no lock, no race */
	if (__builtin_cpu_supports("sse4.2"))
		return sum_sse42(sum, p, n);
	return spool_sum_portable(sum, p, n);
}
#else
uint32_t spool_sum(uint32_t sum, const void *p, size_t n)
{
	return spool_sum_portable(sum, p, n);
}
#endif
