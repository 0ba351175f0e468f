/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_record - what the store holds, one record each: struct <-> bytes, and the AAD of its wrap.
 *
 * Story:     a change to the key ring is a record: journalled first, then applied by
 *            keyd_ring_apply. Loading applies the same records, first the snapshot's, then the
 *            journal's. Readers know nothing of where a record came from.
 * Ownership: _get leaves spans and pointers into the body.
 * Errors:    ERR_FORMAT from _get; _put marks the buf.
 * Source:    sealpost-keyd-store(7).
 * Thread:    pure; any. */
#ifndef KEYD_KEYD_RECORD_H
#define KEYD_KEYD_RECORD_H

#include "core/buf.h"
#include "keyd/keyd_wrap.h"

#define KEYD_RECORD_BODY_MAX	16384
#define KEYD_RECORD_REWRAP_SIZE (KEYD_RECORD_REWRAP_MAX * (KEYD_WRAP_KEY + 12) + 7)
#define KEYD_RECORD_REWRAP_MAX	2048 /* DEKs in one record */
#define KEYD_RECORD_NOTE_MAX	1024 /* bytes of a note's value */

enum keyd_record_type {
	KEYD_RECORD_COUNTERS = 1, /* snapshot only, its first record */
	KEYD_RECORD_KEK = 2,
	KEYD_RECORD_DEK = 3,
	KEYD_RECORD_KEY = 4,
	KEYD_RECORD_REWRAP = 5,	   /* DEKs of a shard, wrapped anew */
	KEYD_RECORD_KEK_STATE = 6, /* journal only, as the next two */
	KEYD_RECORD_DEK_STATE = 7,
	KEYD_RECORD_KEY_STATE = 8,
	KEYD_RECORD_TOMBSTONE = 9, /* a customer's destruction and how far it is */
	KEYD_RECORD_START = 10,	   /* keyd began to write: names the branch */
	KEYD_RECORD_BACKUP = 11,   /* a key of backups */
	KEYD_RECORD_NOTE = 12,	   /* a small setting */
	KEYD_RECORD_APPROVER = 13, /* these two: keyd_record_manifest.h */
	KEYD_RECORD_TRACK = 14,
	KEYD_RECORD_END
};

/* States of KEKs, DEKs and signing keys, each in that order. KEKs and DEKs that are destroyed are no
 * longer there: for them that state comes in _STATE records alone. Of a signing key the public part
 * stays, since what it signed may still have to be verified. */
enum keyd_record_state {
	KEYD_RECORD_NEXT = 1,	 /* signing keys alone: made, not used yet */
	KEYD_RECORD_ACTIVE = 2,	 /* the newest: for new data */
	KEYD_RECORD_RETIRED = 3, /* for what it made when it was active */
	KEYD_RECORD_DESTROYED = 4
};
const char *keyd_record_state_name(unsigned state); /* "next", "active", "retired", "destroyed" */

struct keyd_record_counters {
	uint32_t next_keyref; /* never given out twice, even if its key is gone */
	uint64_t root_wraps;  /* made so far under the two keys derived from the root */
	uint64_t key_wraps;
	uint64_t sequence; /* records ever taken into the journal */
};
int keyd_record_counters_put(struct buf *b, const struct keyd_record_counters *m);
int keyd_record_counters_get(struct span body, struct keyd_record_counters *m);

/* Key-encryption key: one of 256 shards. The newest version of a shard makes the new wraps. */
struct keyd_record_kek {
	uint8_t shard;
	uint32_t version;
	uint64_t generation;	/* of the store when it was wrapped */
	uint64_t uses;		/* wraps made under it */
	uint8_t state;		/* ACTIVE or RETIRED */
	int64_t created;	/* clock_wall, as all times of records */
	int64_t changed;	/* when it came into its state */
	const uint8_t *wrapped; /* KEYD_WRAP_KEY bytes */
};
int keyd_record_kek_put(struct buf *b, const struct keyd_record_kek *m);
int keyd_record_kek_get(struct span body, struct keyd_record_kek *m);

/* Data-encryption key of a customer. The newest version is used for new data. */
struct keyd_record_dek {
	uint32_t keyref;
	struct span customer;
	uint32_t version;
	uint32_t kek_version; /* the shard follows from the customer's name */
	uint64_t generation;
	uint8_t state; /* ACTIVE or RETIRED */
	int64_t created, changed;
	const uint8_t *wrapped; /* KEYD_WRAP_KEY bytes */
};
int keyd_record_dek_put(struct buf *b, const struct keyd_record_dek *m);
int keyd_record_dek_get(struct span body, struct keyd_record_dek *m);

struct keyd_record_key {
	struct span label;
	uint32_t version;
	uint8_t type;  /* enum keyproto_keytype */
	uint8_t state; /* enum keyd_record_state */
	uint64_t generation;
	int64_t created, changed;
	struct span spki;    /* DER */
	struct span wrapped; /* PKCS#8 DER, wrapped; empty if, and only if, DESTROYED */
};
int keyd_record_key_put(struct buf *b, const struct keyd_record_key *m);
int keyd_record_key_get(struct span body, struct keyd_record_key *m);

/* keyd began to change the store: see keyd_ring_start.h. */
struct keyd_record_start {
	uint64_t sequence; /* of this record */
	uint64_t branch;   /* random, never 0 */
	int64_t time;
	uint64_t accepted; /* branch of a mark that was accepted, or 0 */
};
int keyd_record_start_put(struct buf *b, const struct keyd_record_start *m);
int keyd_record_start_get(struct span body, struct keyd_record_start *m);
/* DEKs of a shard, wrapped anew under its newest KEK. Read and written in a walk: head, then count
 * items; their key references fall from each to the next, so none comes twice. */
struct keyd_record_rewrap {
	uint8_t shard;
	uint32_t version; /* of the KEK */
	uint16_t count;	  /* 1..KEYD_RECORD_REWRAP_MAX */
};
struct keyd_record_rewrap_item {
	uint32_t keyref;
	uint64_t generation;
	const uint8_t *wrapped; /* KEYD_WRAP_KEY bytes */
};
int keyd_record_rewrap_put(struct buf *b, const struct keyd_record_rewrap *m);
int keyd_record_rewrap_item_put(struct buf *b, const struct keyd_record_rewrap_item *m);
/* items: what follows the head, whole and in order. */
int keyd_record_rewrap_get(struct span body, struct keyd_record_rewrap *m, struct span *items);
/* Item i of items. */
void keyd_record_rewrap_item_get(struct span items, unsigned i, struct keyd_record_rewrap_item *m);

/* A KEK comes into another state: RETIRED (it wraps nothing any more) or DESTROYED. */
struct keyd_record_kek_state {
	uint8_t shard;
	uint32_t version;
	uint8_t state;
	int64_t changed;
};
int keyd_record_kek_state_put(struct buf *b, const struct keyd_record_kek_state *m);
int keyd_record_kek_state_get(struct span body, struct keyd_record_kek_state *m);

/* A small setting; an empty value takes it away. Names are keyproto names: "rotation/paused". */
struct keyd_record_note {
	struct span name, value; /* value: at most KEYD_RECORD_NOTE_MAX bytes */
};
int keyd_record_note_put(struct buf *b, const struct keyd_record_note *m);
int keyd_record_note_get(struct span body, struct keyd_record_note *m);

/* A DEK is RETIRED: nothing that its customer's clients keep is under it any more; or DESTROYED. */
struct keyd_record_dek_state {
	uint32_t keyref;
	uint8_t state;
	int64_t time;
};
int keyd_record_dek_state_put(struct buf *b, const struct keyd_record_dek_state *m);
int keyd_record_dek_state_get(struct span body, struct keyd_record_dek_state *m);

/* A signing key becomes ACTIVE, and the one that was is RETIRED with it; or it is DESTROYED. */
struct keyd_record_key_state {
	struct span label;
	uint32_t version;
	uint8_t state;
	int64_t time;
};
int keyd_record_key_state_put(struct buf *b, const struct keyd_record_key_state *m);
int keyd_record_key_state_get(struct span body, struct keyd_record_key_state *m);

/* AAD of the wrap in each: store, kind, identity, owner, wrapping key, generation; each part with
 * its length. What may change without a new wrap (uses, state, times) is not in it. */
int keyd_record_kek_aad(struct buf *b, const uint8_t store[16], const struct keyd_record_kek *m);
int keyd_record_dek_aad(struct buf *b, const uint8_t store[16], const struct keyd_record_dek *m);
/* The same when the shard of the customer is known: spares the digest of its name. */
int keyd_record_dek_shard_aad(struct buf *b, const uint8_t store[16],
			      const struct keyd_record_dek *m, unsigned shard);
int keyd_record_key_aad(struct buf *b, const uint8_t store[16], const struct keyd_record_key *m);

/* Shard of a customer: first byte of SHA-256 of its name. ERR_CRYPTO. */
int keyd_record_shard(struct span customer);

#endif
