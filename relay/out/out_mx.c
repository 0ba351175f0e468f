/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_mx.h"

#include <stdlib.h>
#include <string.h>

#include "core/span.h"

static int by_preference(const void *a, const void *b)
{
	const struct out_mx_host *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return strcmp(x->name, y->name); /* qsort is not stable: keep results reproducible */
}

static int same(const char *a, const char *b)
{
	return span_equal_nocase(span_str(a), span_str(b));
}

static int seen(const struct out_mx_host *hosts, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (same(hosts[i].name, name))
			return 1;
	return 0;
}

enum out_mx_result out_mx_choose(struct out_mx_host *hosts, size_t *count, const char *own)
{
	size_t kept = 0;
	int loop = 0;

	if (*count == 0)
		return OUT_MX_NONE;
	qsort(hosts, *count, sizeof(*hosts), by_preference);
	for (size_t i = 0; i < *count && kept < OUT_MX_HOSTS; i++) {
		if (!hosts[i].name[0] || seen(hosts, kept, hosts[i].name))
			continue;
		if (same(hosts[i].name, own)) {
			/* Equal ones before it go too: none may be worse or as bad as ourselves. */
			while (kept && hosts[kept - 1].preference == hosts[i].preference)
				kept--;
			loop = 1;
			break;
		}
		if (kept != i)
			hosts[kept] = hosts[i];
		kept++;
	}
	*count = kept;
	if (kept)
		return OUT_MX_OK;
	return loop ? OUT_MX_LOOP : OUT_MX_NULL;
}

static uint64_t next_random(uint64_t *seed) /* splitmix64: spreads load, keeps no secret */
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void out_mx_order(const struct out_mx_rank *ranks, size_t count, uint64_t *seed, uint8_t *order)
{
	uint64_t keys[64];
	uint16_t dice[256] = {0};

	for (size_t i = 0; i < count; i++) {
		const struct out_mx_rank *r = &ranks[i];
		if (!dice[r->host])
			dice[r->host] = (uint16_t)(next_random(seed) % 0xffff + 1);
		keys[i] = (uint64_t)r->bad << 56 | (uint64_t)r->preference << 40 |
			  (uint64_t)dice[r->host] << 24 | (uint64_t)r->host << 16 |
			  (uint64_t)r->family << 8;
	}
	for (size_t i = 0; i < count; i++) { /* few: insertion */
		size_t at = i;
		while (at > 0 && keys[order[at - 1]] > keys[i]) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = (uint8_t)i;
	}
}
