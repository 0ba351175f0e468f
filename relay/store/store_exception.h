/* SPDX-License-Identifier: Apache-2.0 */
/* store_exception - rows of exceptions from TLS policy (relay/tls/tls_exception.h), one for a domain.
 *
 * Ownership: texts of a row hold until the next step.
 * Errors:    of store.h; ERR_NOTFOUND.
 * Thread:    control's. */
#ifndef RELAY_STORE_STORE_EXCEPTION_H
#define RELAY_STORE_STORE_EXCEPTION_H

#include "relay/store/store.h"

struct store_exception {
	const char *domain;
	int level; /* enum relay_tls */
	const char *reason;
	int64_t created, until; /* wall usec */
};

/* In place of the domain's former one. */
int store_exception_put(struct store *s, const struct store_exception *e);
int store_exception_remove(struct store *s, const char *domain);
/* All, by domain: fn until it says no (not 0), which is returned. */
typedef int (*store_exception_fn)(void *arg, const struct store_exception *e);
int store_exception_each(struct store *s, store_exception_fn fn, void *arg);

#endif
