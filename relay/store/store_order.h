/* SPDX-License-Identifier: Apache-2.0 */
/* store_order - rows of what administrators ordered for the queue.
 *
 * Story:     a row is there before the order is in force, and goes when it is taken back, or has come to its end. At
 *            start all of them are given to the queue (relay_order).
 * Ownership: texts of a row hold until the next step.
 * Errors:    of store.h; ERR_NOTFOUND.
 * Thread:    control's. */
#ifndef RELAY_STORE_STORE_ORDER_H
#define RELAY_STORE_STORE_ORDER_H

#include "relay/store/store.h"

struct store_order {
	int64_t number;
	int action;				       /* enum queue_action */
	const char *customer, *campaign, *destination; /* NULL: any */
	uint64_t message;			       /* 0: any */
	const char *via;			       /* "": none */
	int64_t before, created;		       /* wall usec */
};

/* Its number, or ERR_*; o's own is not looked at. */
int64_t store_order_add(struct store *s, const struct store_order *o);
int store_order_remove(struct store *s, int64_t number);
/* All of them or none. */
int store_order_remove_all(struct store *s, const int64_t *numbers, size_t count);
/* All, in the order of their numbers: fn until it says no (not 0), which is returned. */
typedef int (*store_order_fn)(void *arg, const struct store_order *o);
int store_order_each(struct store *s, store_order_fn fn, void *arg);

#endif
