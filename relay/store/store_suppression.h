/* SPDX-License-Identifier: Apache-2.0 */
/* store_suppression - rows of the recipients that a customer's mail is not taken for.
 *
 * Story:     the address is sealed by keyd under purpose FIELD of the row's customer with store_aad(customer,
 *            "suppression", "address", id), so a row's id is chosen before (above store_suppression_last). Nothing in a row
 *            tells the address to who has only the file; which address is where bounce_list knows, who opens them all.
 * Ownership: texts and spans of a row hold until the next step.
 * Errors:    of store.h; ERR_NOTFOUND.
 * Thread:    control's. */
#ifndef RELAY_STORE_STORE_SUPPRESSION_H
#define RELAY_STORE_STORE_SUPPRESSION_H

#include "relay/store/store.h"

/* X(symbol, number, name). A complaint is stronger than a bounce, and what a person decided than both:
 * most of all what the recipient did. */
#define STORE_SUPPRESSION_REASONS(X) \
	X(BOUNCE, 1, "bounce")       \
	X(COMPLAINT, 2, "complaint") \
	X(MANUAL, 3, "manual")       \
	X(UNSUBSCRIBE, 4, "unsubscribe")
enum store_suppression_reason {
#define STORE_X(sym, num, name) STORE_SUPPRESSION_##sym = num,
	STORE_SUPPRESSION_REASONS(STORE_X)
#undef STORE_X
};
const char *store_suppression_reason_name(int reason);
/* By name; 0: there is no such. */
int store_suppression_reason(struct span name);

struct store_suppression {
	int64_t id;
	const char *customer;
	struct span address; /* sealed */
	int reason;
	int64_t created, expires; /* wall usec; expires 0: never */
};

/* The largest id that a row ever had, 0 if there was none. */
int64_t store_suppression_last(struct store *s);
int store_suppression_add(struct store *s, const struct store_suppression *r);
/* All but id, customer and address. */
int store_suppression_change(struct store *s, const struct store_suppression *r);
int store_suppression_remove(struct store *s, int64_t id);
/* What has expired by now: how many rows went, or ERR_*. */
int64_t store_suppression_expire(struct store *s, int64_t now);

/* Rows behind id after, at most limit of them, of customer (NULL: of all), by id: fn until it says no (not 0), which
 * is returned. */
typedef int (*store_suppression_fn)(void *arg, const struct store_suppression *r);
int store_suppression_each(struct store *s, const char *customer, int64_t after, unsigned limit,
			   store_suppression_fn fn, void *arg);
/* Each customer that has rows, once. */
int store_suppression_customers(struct store *s, int (*fn)(void *arg, const char *customer),
				void *arg);

/* The address sealed anew: ERR_EXISTS if it is not old any more. */
int store_suppression_reseal(struct store *s, int64_t id, struct span old, struct span fresh);

#endif
