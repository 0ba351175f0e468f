/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_ring_in - the inside of the ring, for keyd_ring*.c alone: keyd_ring.c (the whole),
 * keyd_ring_apply.c (records in and out), keyd_ring_kek.c, _dek.c, _key.c, _tomb.c, _backup.c (each
 * kind of thing), keyd_ring_anchor.c (under what KEKs are wrapped), keyd_ring_rewrap.c (from
 * one KEK to the next), keyd_ring_note.c.
 *
 * Story:  customers and signing keys are numbered in order of arrival and found through
 *         keyd_names. DEKs lie in pages by key reference, so a lookup is two steps and keys that
 *         are gone cost little. KEK versions hang under their shard, newest first. The DEKs of a
 *         customer are chained by key reference, the newest first; those of a shard are listed;
 *         versions of a signing key are chained by their number. All but the keys themselves is
 *         ordinary memory: it is wrapped.
 *         Each KEK counts the DEKs of the ring that it wraps: who takes a DEK out of the ring, or
 *         wraps it anew, corrects the count. So a KEK that is still needed cannot be destroyed. */
#ifndef KEYD_KEYD_RING_IN_H
#define KEYD_KEYD_RING_IN_H

#include "keyd/keyd_cache.h"
#include "keyd/keyd_names.h"
#include "keyd/keyd_ring_start.h"
#include "keyd/keyd_ring.h"
#include "keyd/keyd_ring_backup.h"

struct keyd_ring_kek {
	struct keyd_ring_kek *older;
	uint32_t version;
	uint8_t state;
	uint32_t deks; /* of the ring, wrapped under it */
	uint64_t generation, uses;
	int64_t created, changed;
	uint8_t wrapped[KEYD_WRAP_KEY];
	uint8_t next[KEYD_WRAP_KEY]; /* under the next anchor, while it changes */
	uint8_t *key;		     /* secret memory */
};

struct keyd_ring_dek {
	uint32_t customer;
	uint32_t version; /* 0: no such DEK */
	uint32_t kek_version;
	uint32_t older;	 /* the customer's DEK before this one, or 0 */
	uint32_t old_at; /* place in old_deks; the customer's newest has none */
	uint64_t generation;
	int64_t created, changed;
	uint8_t state, shard;
	uint8_t wrapped[KEYD_WRAP_KEY];
};

struct keyd_ring_note {
	struct keyd_ring_note *next;
	char *name;
	uint8_t *value;
	size_t size;
};

/* Key references of a shard's DEKs, ascending: with a list one knows ahead what to fetch. */
struct keyd_ring_refs {
	uint32_t *refs, count, room;
};

#define KEYD_RING_PAGE 1024 /* DEKs in a page */

struct keyd_ring_customer {
	char *name;
	uint32_t newest; /* key reference */
	uint32_t tomb;	 /* number of its tombstone + 1; 0: none */
	struct keyd_ring_track *track; /* NULL: none was made yet */
};

struct keyd_ring_track {
	uint32_t keyref;
	int64_t created;
	uint8_t wrapped[KEYD_WRAP_KEY];
};

struct keyd_ring_approver {
	struct keyd_ring_approver *next;
	char *name, *customer;
	uint8_t *spki;
	size_t size;
	int64_t added;
};

struct keyd_ring_grave {
	uint32_t customer;
	uint8_t shard, state;
	int64_t ordered, dead, changed, since;
	uint32_t kek, backup;
};

struct keyd_ring_backup_key {
	uint32_t id;
	uint8_t state;
	int64_t created, changed, used;
	uint64_t generation;
	uint8_t wrapped[KEYD_WRAP_KEY], next[KEYD_WRAP_KEY];
	uint8_t *key; /* secret memory; NULL unless current */
};

struct keyd_ring_label {
	char *name;
	uint32_t newest; /* number of its last version */
};

struct keyd_ring_key { /* one version */
	uint32_t label, version;
	uint32_t older; /* number of the label's version before this one, or KEYD_NAMES_NONE */
	uint8_t type, state;
	uint64_t generation;
	int64_t created, changed;
	uint8_t *spki, *wrapped; /* wrapped: NULL once destroyed */
	size_t spki_size, wrapped_size;
	struct keyd_crypto_key *loaded;
	uint64_t used; /* ring's tick of the last use */
};

struct keyd_ring {
	uint8_t store[16];
	struct keyd_root_keys *root;
	uint64_t root_wraps, key_wraps, sequence;
	struct keyd_ring_kek *shards[KEYD_RING_SHARDS];
	struct keyd_ring_refs shard_deks[KEYD_RING_SHARDS];
	uint32_t kek_count, destroyed;
	struct keyd_ring_dek **pages; /* by key reference / KEYD_RING_PAGE; NULL where none lives */
	uint32_t page_room, dek_count, next_keyref;
	struct keyd_ring_customer *customers;
	uint32_t customer_count, customer_room;
	struct keyd_names by_name;
	struct keyd_ring_grave *tombs;
	uint32_t tomb_count, tomb_room;
	struct keyd_ring_backup_key *backups;
	uint32_t backup_count, backup_room;
	uint8_t *next_kek;  /* wrapping key of the next anchor, while it changes */
	int no_anchor;	    /* KEKs cannot be opened */
	uint32_t *old_deks; /* those with a newer one of their customer, in no order */
	uint32_t old_count, old_room;
	struct keyd_ring_key *keys;
	uint32_t key_count, key_room, loaded;
	struct keyd_ring_label *labels;
	uint32_t label_count, label_room;
	struct keyd_names by_label;
	uint64_t ticks;
	struct keyd_ring_note *notes;
	struct keyd_ring_approver *approvers;
	struct keyd_cache *cache;
	struct keyd_record_start starts[KEYD_RING_STARTS]; /* number i lies at i % STARTS */
	uint64_t start_count;				   /* ever */
};

/* Taking one record in, as keyd_ring_apply does, by kind. */
int keyd_ring_kek_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_kek_state_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_rewrap_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_note_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_dek_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_key_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_start_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_tomb_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_backup_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_dek_state_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_key_state_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_approver_apply(struct keyd_ring *r, struct span body, int fresh);
int keyd_ring_track_apply(struct keyd_ring *r, struct span body, int fresh);

/* Records of all there is of a kind; out is the writer's scratch. */
struct keyd_ring_walk {
	int (*fn)(void *arg, unsigned type, struct span body);
	void *arg;
	enum { KEYD_RING_UNDER_OWN, KEYD_RING_UNDER_NEXT, KEYD_RING_UNDER_BASE } under;
	struct buf body; /* made by _walk_all */
};
/* All of the below. */
int keyd_ring_walk_all(const struct keyd_ring *r, struct keyd_ring_walk *w);
/* Hands on what was put into body as rc (0, or ERR_* of the put). */
int keyd_ring_walk(struct keyd_ring_walk *w, unsigned type, int rc);
int keyd_ring_kek_each(const struct keyd_ring *r, struct keyd_ring_walk *w);
int keyd_ring_dek_each(const struct keyd_ring *r, struct keyd_ring_walk *w);
int keyd_ring_key_each(const struct keyd_ring *r, struct keyd_ring_walk *w);
int keyd_ring_start_each(const struct keyd_ring *r, struct keyd_ring_walk *w);
int keyd_ring_tomb_each(const struct keyd_ring *r, struct keyd_ring_walk *w);
int keyd_ring_backup_each(const struct keyd_ring *r, struct keyd_ring_walk *w);
int keyd_ring_note_each(const struct keyd_ring *r, struct keyd_ring_walk *w);
int keyd_ring_approver_each(const struct keyd_ring *r, struct keyd_ring_walk *w);
int keyd_ring_track_each(const struct keyd_ring *r, struct keyd_ring_walk *w);
void keyd_ring_approver_clear(struct keyd_ring *r);
void keyd_ring_note_clear(struct keyd_ring *r);
void keyd_ring_kek_clear(struct keyd_ring *r);
void keyd_ring_dek_clear(struct keyd_ring *r);
void keyd_ring_key_clear(struct keyd_ring *r);
void keyd_ring_tomb_clear(struct keyd_ring *r);
void keyd_ring_backup_clear(struct keyd_ring *r);

/* A KEK wrapped under key. */
int keyd_ring_kek_wrap(const struct keyd_ring *r, unsigned shard, const struct keyd_ring_kek *k,
		       const uint8_t key[32], uint8_t out[KEYD_WRAP_KEY]);
/* Fills next of the keys of backups. */
int keyd_ring_backup_rewrap(struct keyd_ring *r, const uint8_t key[32]);
/* Number of the customer, who is made if new; ERR_NOMEM. */
int64_t keyd_ring_take_customer(struct keyd_ring *r, struct span name);
/* The customer's DEKs are gone from all lists, and wiped. */
void keyd_ring_dek_drop(struct keyd_ring *r, uint32_t customer);
/* The customer's tracking key likewise. */
void keyd_ring_track_drop(struct keyd_ring *r, uint32_t customer);
/* The private parts of manifest/CUSTOMER are gone, as if its versions were destroyed. */
void keyd_ring_key_end(struct keyd_ring *r, struct span customer, int64_t when);
/* The same for one DEK that is not its customer's newest. */
void keyd_ring_dek_drop_one(struct keyd_ring *r, uint32_t keyref);

/* The KEK of that version in the shard, or NULL. */
struct keyd_ring_kek *keyd_ring_find_kek(const struct keyd_ring *r, unsigned shard,
					 uint32_t version);
/* The DEK of that reference, or NULL. */
struct keyd_ring_dek *keyd_ring_find_dek(const struct keyd_ring *r, uint32_t keyref);
/* Where a DEK that is there lies, without a look at it. */
static inline const struct keyd_ring_dek *keyd_ring_dek_place(const struct keyd_ring *r,
							      uint32_t keyref)
{
	return &r->pages[keyref / KEYD_RING_PAGE][keyref % KEYD_RING_PAGE];
}

/* How many lie below keyref. */
uint32_t keyd_ring_refs_below(const struct keyd_ring_refs *l, uint32_t keyref);
/* Room for one more. ERR_NOMEM. */
int keyd_ring_refs_reserve(struct keyd_ring_refs *l);
void keyd_ring_refs_add(struct keyd_ring_refs *l, uint32_t keyref);
void keyd_ring_refs_remove(struct keyd_ring_refs *l, uint32_t keyref);

/* Room for one more item of an array that doubles; new room is zeroed. ERR_NOMEM. */
int keyd_ring_grow(void **items, uint32_t *room, uint32_t count, size_t size);
/* A copy on the heap: text with a NUL behind it, or bytes. NULL: out of memory. */
char *keyd_ring_text(struct span s);
uint8_t *keyd_ring_copy(struct span s);

#endif
