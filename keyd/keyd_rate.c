/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_rate.h"

#include <string.h>

#define TOKEN INT64_C(1000000)

void keyd_rate_init(struct keyd_rate *r, int64_t rate, int64_t burst)
{
	r->rate = rate;
	r->burst = burst;
	keyd_rate_reset(r);
}

void keyd_rate_reset(struct keyd_rate *r)
{
	memset(r->buckets, 0, sizeof(r->buckets));
}

/* Fills b for the time that has passed: rate tokens a second are rate millionths a microsecond. */
static void fill(const struct keyd_rate *r, struct keyd_rate_bucket *b, int64_t now)
{
	int64_t passed = now - b->seen, full = r->burst * TOKEN;

	if (passed <= 0)
		return;
	b->seen = now;
	if (passed > (full - b->level) / r->rate)
		b->level = full;
	else
		b->level += passed * r->rate;
}

static struct keyd_rate_bucket *find(struct keyd_rate *r, uint32_t uid, uint32_t customer,
				     int64_t now)
{
	uint32_t hash = (uid * 0x9e3779b1u) ^ (customer * 0x85ebca6bu);
	uint32_t set = (hash >> 12) % (KEYD_RATE_BUCKETS / KEYD_RATE_WAYS);
	struct keyd_rate_bucket *way = &r->buckets[set * KEYD_RATE_WAYS], *best = NULL;

	for (unsigned i = 0; i < KEYD_RATE_WAYS; i++) {
		struct keyd_rate_bucket *b = &way[i];
		if (b->used && b->uid == uid && b->customer == customer) {
			fill(r, b, now);
			return b;
		}
		if (b->used)
			fill(r, b, now);
		if (!best || (best->used && (!b->used || b->level > best->level)))
			best = b;
	}
	best->used = 1;
	best->uid = uid;
	best->customer = customer;
	best->level = r->burst * TOKEN;
	best->seen = now;
	return best;
}

unsigned keyd_rate_take(struct keyd_rate *r, uint32_t uid, uint32_t customer, unsigned want,
			int64_t now)
{
	struct keyd_rate_bucket *b = find(r, uid, customer, now);
	int64_t there = b->level / TOKEN;
	unsigned got = there < (int64_t)want ? (unsigned)there : want;

	b->level -= got * TOKEN;
	return got;
}
