/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_audit_key - the key that signs the audit log: audit/keyd, made by keyd itself.
 *
 * Story:     keyd_audit asks before each batch which key that label means now (_load), and gives
 *            the disk thread a copy of what it has (_copy). A store without such a key gets one
 *            when it is opened (_make). No operation lets anybody else sign with it.
 * Ownership: a signer holds a reference of its key.
 * Thread:    the loop's; what was copied is used on the disk thread. */
#ifndef KEYD_KEYD_AUDIT_KEY_H
#define KEYD_KEYD_AUDIT_KEY_H

#include "keyd/keyd_audit_file.h"
#include "keyd/keyd_change.h"
#include "keyd/keyd_crypto.h"

#define KEYD_AUDIT_KEY_LABEL "audit/keyd"

struct keyd;

struct keyd_audit_key {
	struct keyd_crypto_key *key; /* NULL: none */
	struct keyd_audit_file_signer by;
};

void keyd_audit_key_clear(struct keyd_audit_key *s);
/* to must be clear. */
void keyd_audit_key_copy(struct keyd_audit_key *to, const struct keyd_audit_key *from);
/* Makes now what the label means; what it meant before becomes former. Without a ring, or such a
 * key in it, both stay. */
void keyd_audit_key_load(struct keyd_ring *ring, struct keyd_audit_key *now,
			 struct keyd_audit_key *former);

/* From a change's make: puts the record of a new Ed25519 key under label, with a reference of it in
 * *key. ERR_EXISTS, or as keyd_crypto_generate. */
int keyd_audit_key_put(struct keyd_change *c, struct span label, struct keyd_crypto_key **key);
/* From a change's make: the label's active version, with a reference of it in *key; a first one is made
 * (*made: 1) if there is none. Its number; ERR_BADSTATE (it is no Ed25519 key: somebody else has made
 * it); or as _put. */
int64_t keyd_audit_key_of(struct keyd_change *c, struct span label, struct keyd_crypto_key **key,
			  int *made);
/* Says in both logs, and by a new epoch to clients, that it is there. */
void keyd_audit_key_say(struct keyd *k, const char *label);

/* The change that makes the key; zeroed at first. */
struct keyd_audit_key_making {
	struct keyd_change change;
	int running;
};
/* Starts it, if the ring has no such key. */
void keyd_audit_key_make(struct keyd *k, struct keyd_audit_key_making *m);

#endif
