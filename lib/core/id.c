/* SPDX-License-Identifier: Apache-2.0 */
#include "core/id.h"

#include <stdatomic.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
static atomic_uint_fast64_t counter; /* bit 32 set: seeded */

uint64_t id_new(void)
{
	uint_fast64_t n = atomic_load(&counter);
	uint_fast64_t seed;

	if (n == 0) {
		seed = (UINT64_C(1) << 32) | (uint32_t)rand_u64();
		atomic_compare_exchange_strong(&counter, &n, seed);
	}
	n = atomic_fetch_add(&counter, 1);
	return (uint64_t)(clock_wall() / CLOCK_SEC) << 32 | (uint32_t)n;
}

void id_format(char dst[ID_TEXT_SIZE], uint64_t id)
{
	for (int i = 12; i >= 0; i--, id >>= 5)
		dst[i] = digits[id & 31];
	dst[13] = '\0';
}

int id_parse(struct span text, uint64_t *id)
{
	uint64_t v = 0;

	if (text.n != 13)
		return ERR_FORMAT;
	for (size_t i = 0; i < 13; i++) {
		char c = (char)text.p[i];
		const char *d;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		d = c ? strchr(digits, c) : NULL;
		if (!d || (i == 0 && d - digits > 15))
			return ERR_FORMAT;
		v = v << 5 | (uint64_t)(d - digits);
	}
	if (v == 0)
		return ERR_FORMAT;
	*id = v;
	return 0;
}
