/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/queue/queue_retry.h"

#define LEAST INT64_C(1000000) /* no pause is shorter than a second */

/* Spreads the bits of a seed over the whole word. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= UINT64_C(0x9e3779b97f4a7c15);
	x ^= x >> 29;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

int64_t queue_retry_pause(const struct queue_retry *r, unsigned attempts, uint64_t seed)
{
	int64_t first = r->first < LEAST ? LEAST : r->first;
	int64_t max = r->max < first ? first : r->max, pause = first;
	int64_t eighth;

	for (unsigned i = 1; i < attempts && pause < max; i++)
		pause = pause > max / 2 ? max : pause * 2;
	eighth = pause / 8;
	if (eighth)
		pause += (int64_t)(mix(seed + attempts) % (uint64_t)(2 * eighth + 1)) - eighth;
	return pause < LEAST ? LEAST : pause;
}

int64_t queue_retry_spread(const struct queue_retry *r, uint64_t seed)
{
	int64_t first = r->first < LEAST ? LEAST : r->first;

	return 1 + (int64_t)(mix(seed) % (uint64_t)first);
}

int64_t queue_retry_next(const struct queue_retry *r, unsigned attempts, uint64_t seed, int64_t age)
{
	int64_t pause, left = r->expire - age;

	if (left <= 0)
		return QUEUE_RETRY_NEVER;
	pause = queue_retry_pause(r, attempts, seed);
	return pause < left ? pause : left < LEAST ? LEAST : left;
}
