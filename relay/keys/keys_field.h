/* SPDX-License-Identifier: Apache-2.0 */
/* keys_field - fields of relay's database, sealed and opened by keyd in batches.
 *
 * Story:     whoever keeps a sealed field (a password, an address) asks here, with the AAD that binds it to its place
 *            (store_aad), and hears of all items of the batch at once.
 * Ownership: customer and items are used within the call; results hold during the callback, and are wiped behind it.
 * Errors:    of the whole batch: ERR_AWAY, ERR_LOCKED, ERR_LIMIT, ERR_NOMEM, ERR_NOTFOUND or ERR_GONE (no such
 *            customer, destroyed), ERR_TIMEOUT. Of one item: its status, enum keyproto_status (0: good).
 * Limits:    KEYS_FIELD_BATCH items of at most KEYPROTO_DATA_MAX octets, and 56 KiB together.
 * Thread:    the client's loop. */
#ifndef RELAY_KEYS_KEYS_FIELD_H
#define RELAY_KEYS_KEYS_FIELD_H

#include "keyproto/keyproto_client_ev.h"

#define KEYS_FIELD_BATCH 64

/* results: count of them if err is 0. */
typedef void (*keys_field_fn)(void *arg, int err, const struct keyproto_result *results, unsigned count);

/* purpose: KEYPROTO_FOR_FIELD, _CRED, or for index _INDEX (aad is the column label then, results are 32 octets).
 * 0: fn is called once, later. ERR_*: never. */
int keys_field_seal(struct keyproto_client_ev *c, uint8_t purpose, const char *customer,
		    const struct keyproto_field *items, unsigned count, keys_field_fn fn, void *arg);
int keys_field_open(struct keyproto_client_ev *c, uint8_t purpose, const char *customer,
		    const struct keyproto_field *items, unsigned count, keys_field_fn fn, void *arg);
int keys_field_index(struct keyproto_client_ev *c, const char *customer, const struct keyproto_field *items,
		     unsigned count, keys_field_fn fn, void *arg);

#endif
