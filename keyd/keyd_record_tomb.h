/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_record_tomb - the record of a customer's destruction, and the token that tells others.
 *
 *   token    1 u8, store 16, customer bytes8, ordered u64, MAC 32
 *   record   token bytes8, state u8, dead u64, changed u64, since u64, kek u32, backup u32
 *
 * Story:     a tombstone says that a customer was ordered to be destroyed, when, and how far that
 *            is. It is never taken away. The token is the part that never changes: witnesses (the
 *            audit log, relay) keep it, so that an older copy of the store learns from them who is
 *            dead. Its MAC is made under a key derived from the root: a witness can keep one back,
 *            but cannot make one.
 * Ownership: _get leaves spans and pointers into the body.
 * Errors:    ERR_FORMAT from _get; ERR_AUTH from _check; _put marks the buf.
 * Source:    sealpost-keyd-store(7).
 * Thread:    pure; any. */
#ifndef KEYD_KEYD_RECORD_TOMB_H
#define KEYD_KEYD_RECORD_TOMB_H

#include "core/buf.h"
#include "keyproto/keyproto_msg.h"

#define KEYD_RECORD_TOMB_TOKEN_MAX (1 + 16 + 1 + KEYPROTO_NAME_MAX + 8 + 32)

/* How far a destruction is, in this order. */
enum keyd_record_tomb_state {
	KEYD_RECORD_TOMB_REQUESTED = 1, /* ordered; nothing is served any more */
	KEYD_RECORD_TOMB_DEAD = 2,	/* the DEKs are out of the store */
	KEYD_RECORD_TOMB_REWRAPPED = 3, /* the KEK that had wrapped them is out of it too */
	KEYD_RECORD_TOMB_ANCHORED = 4,	/* the files were written anew, under a new anchor if any */
	KEYD_RECORD_TOMB_BACKUPS = 5,	/* the keys of older backups are out of the store */
	KEYD_RECORD_TOMB_COMPLETE = 6	/* no copy can open them, as far as keyd can know */
};
const char *keyd_record_tomb_state_name(unsigned state); /* "requested", "dead", ... or NULL */

struct keyd_record_tomb_token {
	const uint8_t *store; /* 16 bytes */
	struct span customer;
	int64_t ordered; /* clock_wall, as all times */
	const uint8_t *mac;
};
/* Appends a token with a fresh MAC. key: keyd_root_keys.tombstone. */
int keyd_record_tomb_token_make(struct buf *b, const uint8_t key[32], const uint8_t store[16],
				struct span customer, int64_t ordered);
int keyd_record_tomb_token_get(struct span token, struct keyd_record_tomb_token *m);
/* 0, or ERR_AUTH: not made under key, or of another store. */
int keyd_record_tomb_token_check(const struct keyd_record_tomb_token *m, const uint8_t key[32],
				 const uint8_t store[16]);

struct keyd_record_tomb {
	struct span token;
	uint8_t state;
	int64_t dead;	 /* when it came into DEAD; 0 before */
	int64_t changed; /* when it came into its state */
	int64_t since;	 /* when its first DEK was made; 0: not known */
	uint32_t kek;	 /* newest version of the shard's KEK at death: all up to it must go */
	uint32_t backup; /* newest key of backups when they were replaced; 0 before, or none */
};
int keyd_record_tomb_put(struct buf *b, const struct keyd_record_tomb *m);
int keyd_record_tomb_get(struct span body, struct keyd_record_tomb *m);

#endif
