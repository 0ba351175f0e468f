/* SPDX-License-Identifier: Apache-2.0 */
/* store_domain - rows of the domains that customers have proven, or claim (relay/domain/domain.h).
 *
 * Ownership: texts of a row hold until the next step.
 * Errors:    of store.h; ERR_NOTFOUND.
 * Thread:    control's. */
#ifndef RELAY_STORE_STORE_DOMAIN_H
#define RELAY_STORE_STORE_DOMAIN_H

#include "relay/store/store.h"

struct store_domain {
	const char *customer, *domain;
	int state; /* enum domain_state */
	const char *challenge, *reason;
	int64_t created, since; /* wall usec; since: it is in this state */
	int64_t checked;	/* wall usec: when the DNS was asked last; 0: never */
	int found;		/* enum domain_found, of that */
	int secure;		/* that was proven by DNSSEC */
};
typedef int (*store_domain_fn)(void *arg, const struct store_domain *d);

/* In place of the customer's former row of that domain. */
int store_domain_put(struct store *s, const struct store_domain *d);
int store_domain_get(struct store *s, const char *customer, const char *domain, store_domain_fn fn,
		     void *arg);
int store_domain_remove(struct store *s, const char *customer, const char *domain);
/* By domain and customer, of one customer or (NULL) of all: fn until it says no (not 0), which is returned. */
int store_domain_each(struct store *s, const char *customer, store_domain_fn fn, void *arg);
/* How many the customer has, or ERR_*. */
int64_t store_domain_count(struct store *s, const char *customer);
/* 1 if another customer's row in this state is of the domain, or one above or below it; 0, ERR_*. */
int store_domain_taken(struct store *s, const char *customer, const char *domain, int state);

#endif
