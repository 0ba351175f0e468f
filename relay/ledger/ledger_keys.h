/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_keys - what the ledger asks of keyd, as a table that tests fill in themselves.
 *
 * Story:  ledger_keys_new makes one that asks keyd over a blocking connection of its own, which is made
 *         when it is needed. One for each thread.
 * Errors: ERR_AWAY, ERR_LOCKED, ERR_BUSY, ERR_TIMEOUT, ERR_CLOSED: ask again later. ERR_NOTFOUND,
 *         ERR_GONE: keyd has no keys of that customer, any more or at all.
 * Thread: one at a time. */
#ifndef RELAY_LEDGER_LEDGER_KEYS_H
#define RELAY_LEDGER_LEDGER_KEYS_H

#include "keyproto/keyproto_msg.h"
#include "ledger/ledger_verify.h"

#define LEDGER_KEYS_BATCH KEYPROTO_BATCH_MAX
#define LEDGER_KEYS_BYTES 36864 /* of aad and data in one batch: question and answer travel in one frame each */

struct ledger_keys_item {
	struct span aad, data;
	int err;      /* of this item */
	size_t at, n; /* its result, in out */
};
struct ledger_keys_signed {
	uint64_t counter, rows;
	uint8_t hash[LEDGER_HASH];
	uint32_t version; /* of the key */
	uint8_t signature[LEDGER_SIGNATURE_MAX];
	size_t size;
};

struct ledger_keys {
	/* op: KEYPROTO_SEAL_FIELDS, _OPEN_FIELDS, _BLIND_INDEX. Results are appended to out. keyref: of an
	 * index, 0 for the newest. */
	int (*fields)(struct ledger_keys *k, uint16_t op, const char *customer, uint32_t keyref,
		      struct ledger_keys_item *items, unsigned count, struct buf *out);
	/* Signs what s says (counter, rows, hash): fills version, signature and size. ERR_BADSTATE: keyd
	 * signed something else under that number or a later one. */
	int (*checkpoint)(struct ledger_keys *k, struct ledger_keys_signed *s);
	/* The last one. ERR_NOTFOUND: there was none. */
	int (*last)(struct ledger_keys *k, struct ledger_keys_signed *s);
	/* 0: the signature is keyd's. ERR_AUTH. */
	int (*verify)(struct ledger_keys *k, const struct ledger_checkpoint *c);
	void (*free)(struct ledger_keys *k);
};

struct ledger_keys *ledger_keys_new(const char *socket);

/* 1: another try later may do. */
int ledger_keys_later(int err);

/* Label of the blind index. */
#define LEDGER_KEYS_LABEL "ledger/recipient"

#endif
