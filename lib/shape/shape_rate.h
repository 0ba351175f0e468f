/* SPDX-License-Identifier: Apache-2.0 */
/* shape_rate - one after the other, so that a rate such as 100/15m is never exceeded.
 *
 * Story:  one struct per thing that has a rate. shape_rate_when says when the next may go; shape_rate_take books it.
 *         The pace is even (GCRA): 100/15m is one every nine seconds, not a hundred at once and then silence. In no
 *         window of the rate's length, wherever it begins, are there more than its count. So that lateness of a few
 *         milliseconds costs no throughput, a twentieth of the count may follow at once after a pause; the pace is
 *         that much slower, so the sum still holds. The window is taken 2 % longer (at most 1 s), since what leaves
 *         evenly may arrive less evenly.
 * Limits: what was before a restart is not known; the pace starts without credit.
 * Thread: pure; any. Times: usec on a clock that never jumps. */
#ifndef SHAPE_SHAPE_RATE_H
#define SHAPE_SHAPE_RATE_H

#include "core/num.h"

struct shape_rate {
	int64_t next; /* when the next one is due if all went at the even pace; 0: never used */
};

/* The earliest time at which one may go: now, or later. rate.count 0: now. */
int64_t shape_rate_when(const struct shape_rate *s, struct num_rate rate, int64_t now);
/* One goes now. */
void shape_rate_take(struct shape_rate *s, struct num_rate rate, int64_t now);
/* The booking of one that did not go after all is taken back. */
void shape_rate_back(struct shape_rate *s, struct num_rate rate);

#endif
