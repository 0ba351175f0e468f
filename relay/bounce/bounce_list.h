/* SPDX-License-Identifier: Apache-2.0 */
/* bounce_list - the suppressed recipients: kept in the store, known to everybody.
 *
 * Story:     control owns it. At start it notes which customers have rows; when keyd is READY it opens all addresses, in
 *            batches, into a table of hashes (bounce_map) that any thread may look into. Until that is whole, check
 *            cannot say no for those customers and says ERR_BUSY: mail for them waits (451) rather than going where
 *            it must not. Every change is on stable storage before it is answered, and in the table with it. What has
 *            expired counts no more at once, and is deleted hourly.
 * Addresses: compared with ASCII letters in lower case, in the local part too.
 * Ownership: addresses and customer are used within the call.
 * Errors:    ERR_BUSY (not read yet), of keys_field (ERR_NOTFOUND: keyd knows no such customer), of the store.
 * Limits:    BOUNCE_LIST_BATCH addresses in one call; 16 bytes of memory each, and the store's row.
 * Thread:    check: any. The rest: control's.
 * Source:    sealpost-suppression(8), sealpost-bounce(7). */
#ifndef RELAY_BOUNCE_BOUNCE_LIST_H
#define RELAY_BOUNCE_BOUNCE_LIST_H

#include "relay/keys/keys_field.h"
#include "relay/relay_control.h"
#include "relay/store/store_suppression.h"

#define BOUNCE_LIST_BATCH 1000

struct bounce_list;

/* 1: suppressed, 0: not, ERR_BUSY: not known yet. l may be NULL: 0. */
int bounce_list_check(struct bounce_list *l, const char *customer, struct span address);

extern const struct relay_control_part bounce_list_part;

/* added: were not there; known: were, and have reason and end of now (unless what is there is stronger: a complaint stays
 * one when mail bounces). */
typedef void (*bounce_list_fn)(void *arg, int err, unsigned added, unsigned known);
/* 0: fn is called once, perhaps within the call. ERR_*: never. expires: wall usec, 0: never. After an error some of the
 * addresses may be in. */
int bounce_list_add(struct bounce_list *l, const char *customer, const struct span *addresses,
		    unsigned count, int reason, int64_t expires, bounce_list_fn fn, void *arg);
/* How many were there, or ERR_*. */
int bounce_list_remove(struct bounce_list *l, const char *customer, const struct span *addresses,
		       unsigned count);

/* Some of a customer's entries, opened. */
struct bounce_list_item {
	int64_t id;
	char address[320]; /* "" if it could not be opened */
	int reason;
	int64_t created, expires;
};
/* items: until the return. */
typedef void (*bounce_list_items_fn)(void *arg, int err, const struct bounce_list_item *items,
				     unsigned count);
/* Those behind id after, at most KEYS_FIELD_BATCH; as bounce_list_add. */
int bounce_list_read(struct bounce_list *l, const char *customer, int64_t after,
		     bounce_list_items_fn fn, void *arg);
uint64_t bounce_list_count(struct bounce_list *l);

#endif
