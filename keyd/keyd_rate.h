/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_rate - how many existing objects a peer may open of one customer: token buckets.
 *
 * Story:     one bucket per uid and customer; it fills at rate tokens a second up to burst.
 *            Whoever owns relay reads what is queued at this rate and no faster, and is seen
 *            doing it.
 * Limits:    KEYD_RATE_BUCKETS in fixed memory. When a set of them is taken, the fullest is
 *            reused: the one whose loss forgives least.
 * Thread:    one. Time is an argument (clock_mono). */
#ifndef KEYD_KEYD_RATE_H
#define KEYD_KEYD_RATE_H

#include <stdint.h>

#define KEYD_RATE_BUCKETS 4096
#define KEYD_RATE_WAYS	  4

struct keyd_rate {
	int64_t rate, burst; /* tokens a second; tokens */
	struct keyd_rate_bucket {
		int64_t level; /* millionths of a token */
		int64_t seen;
		uint32_t uid, customer;
		int used;
	} buckets[KEYD_RATE_BUCKETS];
};

void keyd_rate_init(struct keyd_rate *r, int64_t rate, int64_t burst);
/* Takes up to want tokens; returns how many there were. */
unsigned keyd_rate_take(struct keyd_rate *r, uint32_t uid, uint32_t customer, unsigned want,
			int64_t now);
/* Customer numbers mean others now (keyd was locked): all buckets are as new. */
void keyd_rate_reset(struct keyd_rate *r);

#endif
