/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_slot - messages about slots: what opens the root key. Rules as in keyproto_msg.h.
 *
 * Story:  UNSEAL with method shares takes one share a call: E_MORE until there are enough. STATUS
 *         shows how many are there; UNSEAL_CANCEL (empty, empty) drops them, for who gave the first.
 *         SLOT_ADD and SLOT_TEST take several shares at once, one a line, since nothing is kept
 *         between two calls. SLOT_REMOVE is a u32, the slot's id.
 * Thread: pure; any. */
#ifndef KEYPROTO_KEYPROTO_SLOT_H
#define KEYPROTO_KEYPROTO_SLOT_H

#include "keyproto/keyproto_msg.h"

#define KEYPROTO_SHARES_MAX	32
#define KEYPROTO_SLOT_NAME_MAX	64
#define KEYPROTO_SHARE_TEXT_MAX 127

/* --- SLOT_ADD: a new slot for the root that opener opens. */
struct keyproto_slot_add {
	struct keyproto_slot opener; /* method KEYPROTO_SLOT_ANY: those that open by themselves */
	struct keyproto_slot slot;   /* secret: the passphrase, or the token's PIN; else empty */
	struct span name;	     /* at most KEYPROTO_SLOT_NAME_MAX bytes; may be empty */
	uint8_t need, of;	     /* shares: 2 <= need <= of <= KEYPROTO_SHARES_MAX; else 0, 0 */
};
int keyproto_slot_add_put(struct buf *b, const struct keyproto_slot_add *m);
int keyproto_slot_add_get(struct span body, struct keyproto_slot_add *m);

/* Reply of SLOT_ADD, and of INIT: shares are told here and never again. */
struct keyproto_slot_made {
	uint32_t id; /* of the slot; INIT: of the shares slot, 0 if there is none */
	uint8_t count;
	struct span shares[KEYPROTO_SHARES_MAX]; /* 1..KEYPROTO_SHARE_TEXT_MAX bytes each */
};
int keyproto_slot_made_put(struct buf *b, const struct keyproto_slot_made *m);
int keyproto_slot_made_get(struct span body, struct keyproto_slot_made *m);

/* --- SLOT_TEST: does this secret open that slot? The reply is empty. */
struct keyproto_slot_test {
	uint32_t id;
	struct span
	    secret; /* as the slot's method has it; empty for those that open by themselves */
};
int keyproto_slot_test_put(struct buf *b, const struct keyproto_slot_test *m);
int keyproto_slot_test_get(struct span body, struct keyproto_slot_test *m);

/* --- SLOT_REMOVE */
int keyproto_slot_remove_put(struct buf *b, uint32_t id);
int keyproto_slot_remove_get(struct span body, uint32_t *id);

#endif
