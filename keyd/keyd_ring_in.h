/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_ring_in - the inside of the ring, for keyd_ring.c (use) and keyd_ring_apply.c (records)
 * alone.
 *
 * Story:  customers and signing keys are numbered in order of arrival and found through
 *         keyd_names. DEKs lie in pages by key reference, so a lookup is two steps and keys that
 *         are gone cost little. KEK versions hang under their shard, newest first. All but the
 *         keys themselves is ordinary memory: it is wrapped. */
#ifndef KEYD_KEYD_RING_IN_H
#define KEYD_KEYD_RING_IN_H

#include "keyd/keyd_cache.h"
#include "keyd/keyd_names.h"
#include "keyd/keyd_ring.h"

struct keyd_ring_kek {
	struct keyd_ring_kek *older;
	uint32_t version;
	uint64_t generation, uses;
	uint8_t wrapped[KEYD_WRAP_KEY];
	uint8_t *key; /* secret memory */
};

struct keyd_ring_dek {
	uint32_t customer;
	uint32_t version; /* 0: no such DEK */
	uint32_t kek_version;
	uint64_t generation;
	uint8_t wrapped[KEYD_WRAP_KEY];
};

#define KEYD_RING_PAGE 1024 /* DEKs in a page */

struct keyd_ring_customer {
	char *name;
	uint32_t newest; /* key reference */
};

struct keyd_ring_key {
	char *label;
	uint32_t version;
	uint8_t type, state;
	uint64_t generation;
	int64_t created;
	uint8_t *spki, *wrapped;
	size_t spki_size, wrapped_size;
	struct keyd_crypto_key *loaded;
	uint64_t used; /* ring's tick of the last use */
};

struct keyd_ring {
	uint8_t store[16];
	struct keyd_root_keys *root;
	uint64_t root_wraps, key_wraps;
	struct keyd_ring_kek *shards[KEYD_RING_SHARDS];
	uint32_t kek_count;
	struct keyd_ring_dek **pages; /* by key reference / KEYD_RING_PAGE; NULL where none lives */
	uint32_t page_room, dek_count, next_keyref;
	struct keyd_ring_customer *customers;
	uint32_t customer_count, customer_room;
	struct keyd_names by_name;
	struct keyd_ring_key *keys;
	uint32_t key_count, key_room, loaded;
	struct keyd_names by_label;
	uint64_t ticks;
	struct keyd_cache *cache;
};

/* The KEK of that version for the customer, or NULL. */
struct keyd_ring_kek *keyd_ring_find_kek(const struct keyd_ring *r, struct span customer,
					 uint32_t version);
/* The DEK of that reference, or NULL. */
const struct keyd_ring_dek *keyd_ring_find_dek(const struct keyd_ring *r, uint32_t keyref);
/* k as a record; spans point into k. */
void keyd_ring_key_record(const struct keyd_ring_key *k, struct keyd_record_key *m);

#endif
