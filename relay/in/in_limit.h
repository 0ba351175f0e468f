/* SPDX-License-Identifier: Apache-2.0 */
/* in_limit - how often a client or a credential did something: rates, and the lock-out after failed logins.
 *
 * Story:     in_conn asks at MAIL, at RCPT and before a login is checked, and tells of each failure. A rate of N in a
 *            window allows N at once and then one each window/N; nothing is delayed here, what is too much is refused.
 *            Clients are counted by address, IPv6 by /64.
 * Limits:    IN_LIMIT_SLOTS counters in all, four places for each; where more clients meet, the one that was quiet
 *            longest is forgotten.
 * Thread:    any; one lock, held for some ten nanoseconds. Time is an argument (mono usec). */
#ifndef RELAY_IN_IN_LIMIT_H
#define RELAY_IN_IN_LIMIT_H

#include <stdint.h>
#include <sys/socket.h>

#include "core/num.h"

#define IN_LIMIT_SLOTS (1u << 15)

enum in_limit_kind {
	IN_LIMIT_SESSIONS = 1,
	IN_LIMIT_MESSAGES,
	IN_LIMIT_RECIPIENTS,
	IN_LIMIT_FAILURES,
	IN_LIMIT_CREDENTIAL_MESSAGES,
	IN_LIMIT_CREDENTIAL_RECIPIENTS,
	IN_LIMIT_TRACKING /* of the tracking host: in an in_limit of its own */
};
struct in_limit_key {
	uint8_t bytes[16];
};

struct in_limit;
struct in_limit *in_limit_new(void);
void in_limit_free(struct in_limit *l);

/* No two of these are equal, across both kinds. */
struct in_limit_key in_limit_client(const struct sockaddr_storage *a);
struct in_limit_key in_limit_credential(int64_t id);

/* 1: within the rate, and counted. 0: too much. A rate of count 0 is no limit. */
int in_limit_take(struct in_limit *l, enum in_limit_kind kind, struct in_limit_key key,
		  struct num_rate rate, int64_t now);
/* A failed login. 1: that was one too many: locked out until now + lockout. */
int in_limit_failed(struct in_limit *l, struct in_limit_key key, struct num_rate rate, int64_t lockout,
		    int64_t now);
int in_limit_locked(struct in_limit *l, struct in_limit_key key, int64_t now);

#endif
