/* SPDX-License-Identifier: Apache-2.0 */
/* store_sts - rows of MTA-STS policies: what a restart must not forget.
 *
 * Story:     one row a domain, replaced by each fetch, gone when the policy is over or made room
 *            for another.
 * Ownership: texts of a row hold until the next step.
 * Errors:    of store.h.
 * Thread:    control's. */
#ifndef RELAY_STORE_STORE_STS_H
#define RELAY_STORE_STORE_STS_H

#include "relay/store/store.h"

struct store_sts {
	const char *domain, *id;
	int64_t fetched;    /* wall usec */
	struct span policy; /* as it was fetched */
};

int store_sts_put(struct store *s, const struct store_sts *row);
/* 0 also if there is none. */
int store_sts_remove(struct store *s, const char *domain);
/* All, the one fetched longest ago first: fn until it says no (not 0), which is returned. */
typedef int (*store_sts_fn)(void *arg, const struct store_sts *row);
int store_sts_each(struct store *s, store_sts_fn fn, void *arg);

#endif
