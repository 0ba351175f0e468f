/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_dek - messages about the versions of a customer's DEK: CUSTOMER_KEYS, DEK_EMPTY.
 *
 * Story:  ROTATE gives a customer another DEK. Whoever keeps things sealed asks CUSTOMER_KEYS which
 *         older ones still live, seals what is under them anew (RESEAL_FIELDS, or open and seal of
 *         objects), and says DEK_EMPTY of each when nothing of his is under it any more. keyd then
 *         retires it, and destroys it after a time of grace.
 * Rules, ownership: as keyproto_msg.
 * Source: sealpost-keyproto(7).
 * Thread: pure; any. */
#ifndef KEYPROTO_KEYPROTO_DEK_H
#define KEYPROTO_KEYPROTO_DEK_H

#include "keyproto/keyproto_msg.h"

/* States of keys as the store has them; 1 is next, which no DEK is. */
enum keyproto_dek_state { KEYPROTO_DEK_ACTIVE = 2, KEYPROTO_DEK_RETIRED = 3 };

/* --- CUSTOMER_KEYS: request is one bytes16, a customer, whose living DEKs are told, the newest
 * first; or nothing: then DEKs that are older than their customers' newest and not retired, of
 * anybody, as many as one answer takes. */
struct keyproto_dek {
	struct span customer;
	uint32_t keyref, version;
	uint8_t state; /* enum keyproto_dek_state; active says of an older one: there may be data */
	uint64_t created; /* microseconds since 1970 */
	uint64_t changed; /* when it came into its state */
};
/* count may be 0. _get returns the count or ERR_FORMAT; items: room for KEYPROTO_BATCH_MAX. */
int keyproto_deks_put(struct buf *b, const struct keyproto_dek *items, unsigned count);
int keyproto_deks_get(struct span body, struct keyproto_dek *items);

/* --- DEK_EMPTY: nothing that this client keeps is under that DEK any more. Reply empty. */
struct keyproto_dek_empty {
	struct span customer;
	uint32_t keyref;
};
int keyproto_dek_empty_put(struct buf *b, const struct keyproto_dek_empty *m);
int keyproto_dek_empty_get(struct span body, struct keyproto_dek_empty *m);

#endif
