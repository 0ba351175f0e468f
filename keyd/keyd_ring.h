/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_ring - the keys in memory while keyd is READY: KEKs, customers' DEKs, signing keys.
 *
 * Story:     a new ring is filled by keyd_ring_apply with the store's records. A change is made
 *            in two steps: keyd_ring_make_* writes a record (a fresh key, wrapped), the caller
 *            journals it, and keyd_ring_apply takes it in; so what is in memory is always what a
 *            restart would find. KEKs are held unwrapped; DEKs stay wrapped, their sub-keys are
 *            derived on first use into a bounded cache; signing keys are loaded on first use.
 * Ownership: the ring owns everything; the root's keys are taken over. keyd_ring_free wipes.
 * Errors:    ERR_NOTFOUND, ERR_EXISTS, ERR_GONE, ERR_LIMIT (a wrapping key is used up), ERR_DAMAGED (a
 *            record that contradicts the ring, a wrap that does not verify), ERR_NOMEM,
 *            ERR_CRYPTO.
 * Thread:    one. */
#ifndef KEYD_KEYD_RING_H
#define KEYD_KEYD_RING_H

#include "core/buf.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_record.h"
#include "keyd/keyd_root.h"

#define KEYD_RING_SHARDS  256
#define KEYD_RING_CACHE	  4096	     /* customers whose sub-keys are held: 1 MiB of secret memory */
#define KEYD_RING_KEYREFS (1u << 26) /* DEKs ever made; bounds the index of key references */
#define KEYD_RING_DEKS	  32	     /* DEKs of one customer: a MAC is looked for under each */
#define KEYD_RING_LOADED  256	     /* signing keys held ready for use */

struct keyd_ring;

/* *keys is secret memory; taken over (also on failure), and wiped with the ring. */
struct keyd_ring *keyd_ring_new(const uint8_t store[16], struct keyd_root_keys **keys);
void keyd_ring_free(struct keyd_ring *r);

/* Takes one record in. fresh: it is new since the snapshot, so the use of its wrapping key is
 * counted; 0: the snapshot's counts include it. A failure leaves the ring as it was. */
int keyd_ring_apply(struct keyd_ring *r, unsigned type, struct span body, int fresh);
/* All there is as records, in an order in which they can be applied. Ends at fn's failure. */
int keyd_ring_each(const struct keyd_ring *r, int (*fn)(void *arg, unsigned type, struct span body),
		   void *arg);

/* Records of new things, appended to out and not applied. generation: the store's. */
int keyd_ring_make_kek(struct keyd_ring *r, unsigned shard, uint64_t generation, struct buf *out);
int keyd_ring_make_customer(struct keyd_ring *r, struct span name, uint64_t generation,
			    struct buf *out);
/* A further DEK of a customer, for new data from then on; the others stay. ERR_LIMIT: KEYD_RING_DEKS
 * of his live already. */
int keyd_ring_make_dek(struct keyd_ring *r, uint32_t customer, uint64_t generation, struct buf *out);
/* state: RETIRED, DESTROYED. ERR_BADSTATE: he is active as the newest, or has that state. */
int keyd_ring_make_dek_state(const struct keyd_ring *r, uint32_t keyref, unsigned state, int64_t now,
			     struct buf *out);
/* The first version of a label, active at once. key: a fresh one; created: clock_wall. */
int keyd_ring_make_key(struct keyd_ring *r, struct span label, unsigned type,
		       const struct keyd_crypto_key *key, uint64_t generation, int64_t created,
		       struct buf *out);

/* A further version of a label that is there: next. ERR_EXISTS: it has a next one. */
int keyd_ring_make_next(struct keyd_ring *r, struct span label, const struct keyd_crypto_key *key,
			uint64_t generation, int64_t created, struct buf *out);
/* state: ACTIVE (of the next), DESTROYED (of the next or a retired one). ERR_BADSTATE. */
int keyd_ring_make_key_state(const struct keyd_ring *r, struct span label, uint32_t version,
			     unsigned state, int64_t now, struct buf *out);

/* Customer's number, or ERR_NOTFOUND, or ERR_GONE (it has a tombstone). Numbers hold as long as the ring does. */
int64_t keyd_ring_customer(const struct keyd_ring *r, struct span name);
/* Key reference of the customer's newest DEK. */
uint32_t keyd_ring_newest(const struct keyd_ring *r, uint32_t customer);
/* A DEK as others may see it. */
struct keyd_ring_dek_info {
	struct span customer; /* lives as long as the ring */
	uint32_t keyref, version, older; /* older: key reference of the one before, or 0 */
	unsigned state;
	int64_t created, changed;
};
/* ERR_NOTFOUND. */
int keyd_ring_dek(const struct keyd_ring *r, uint32_t keyref, struct keyd_ring_dek_info *out);
/* Number i, from 0, of all living DEKs that are not their customer's newest: its key reference, or
 * 0. */
uint32_t keyd_ring_old_dek(const struct keyd_ring *r, uint32_t i);
/* The sub-key (32 bytes) of one of the customer's DEKs; it holds until the next call.
 * ERR_NOTFOUND: no such DEK, or not this customer's. */
int keyd_ring_subkey(struct keyd_ring *r, uint32_t customer, uint32_t keyref, unsigned purpose,
		     const uint8_t **key);

/* One version of a signing key as others may see it; strings live as long as the ring. */
struct keyd_ring_info {
	struct span label;
	uint32_t version;
	unsigned type, state;
	int64_t created, changed;
	struct span spki;
};
/* name: a label, for its active version, or "label#N". ERR_NOTFOUND. */
int keyd_ring_key(const struct keyd_ring *r, struct span name, struct keyd_ring_info *out);
/* The label's version in that state (the newest, if several). ERR_NOTFOUND. */
int keyd_ring_key_in(const struct keyd_ring *r, struct span label, unsigned state,
		     struct keyd_ring_info *out);
/* Its private part, with a reference for the caller. ERR_NOTFOUND also if it was destroyed. */
int keyd_ring_private(struct keyd_ring *r, struct span name, struct keyd_crypto_key **out);
/* Calls fn for all versions in order of creation, from number from (0: the first) on, until it
 * returns non-zero. Returns the number at which it ended. */
uint32_t keyd_ring_keys(const struct keyd_ring *r, uint32_t from,
			int (*fn)(void *arg, const struct keyd_ring_info *info), void *arg);

/* What is to be known about a shard. */
struct keyd_ring_shard {
	uint32_t version; /* of the newest KEK */
	int64_t created;  /* it */
	uint64_t uses;	  /* of it */
	uint32_t deks;	  /* wrapped under it */
	uint32_t left;	  /* wrapped under older ones */
	uint32_t older;	  /* the oldest version that is there; the newest itself if it is alone */
};
void keyd_ring_shard(const struct keyd_ring *r, unsigned shard, struct keyd_ring_shard *out);
/* The next version after this one (0: the oldest); ERR_NOTFOUND. */
struct keyd_ring_kek_info {
	uint32_t version, deks;
	unsigned state;
	int64_t changed;
};
int keyd_ring_kek_next(const struct keyd_ring *r, unsigned shard, uint32_t version,
		       struct keyd_ring_kek_info *out);

/* Value of a note, or an empty span. */
struct span keyd_ring_note(const struct keyd_ring *r, const char *name);

struct keyd_ring_counts {
	uint32_t customers, deks, keks, keys, cached;
	uint32_t destroyed; /* keys that went since the snapshot that was loaded */
};
void keyd_ring_counts(const struct keyd_ring *r, struct keyd_ring_counts *out);
/* Records ever taken into the store: goes up with each change. */
uint64_t keyd_ring_sequence(const struct keyd_ring *r);

#endif
