/* SPDX-License-Identifier: Apache-2.0 */
/* queue_retry - decides when a deferred recipient is tried again.
 *
 * Story:     the pause doubles with each attempt from retry.first up to retry.max, and is moved by
 * up to an eighth either way, by the message's id: what was deferred together does not come back
 * together. The last attempt falls on the end of life (retry.expire after acceptance); if that
 * fails too, it is over. Time is an argument: how long the message has waited, not what the clock
 * shows. Ownership: borrows its arguments; keeps nothing. Pure; any thread. Source:    RFC
 * 5321 4.5.4.1; configuration retry.first, retry.max, retry.expire. */
#ifndef RELAY_QUEUE_QUEUE_RETRY_H
#define RELAY_QUEUE_QUEUE_RETRY_H

#include <stdint.h>

struct queue_retry {
	int64_t first, max, expire; /* usec */
};

#define QUEUE_RETRY_NEVER (-1)

/* The pause after so many failed attempts (1 and up), usec. seed: what moves it. */
int64_t queue_retry_pause(const struct queue_retry *r, unsigned attempts, uint64_t seed);
/* The pause for a message of that age, usec; QUEUE_RETRY_NEVER: give up. */
int64_t queue_retry_next(const struct queue_retry *r, unsigned attempts, uint64_t seed,
			 int64_t age);
/* A time within the first pause: for what would else come all at once. */
int64_t queue_retry_spread(const struct queue_retry *r, uint64_t seed);

#endif
