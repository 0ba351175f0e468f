/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_rotate_key - versions of signing keys over time, and the end of DEKs that nobody needs.
 *
 *     due - overlap         due                      due + overlap
 *     NEXT is made          NEXT becomes ACTIVE,     RETIRED is destroyed
 *                           ACTIVE becomes RETIRED
 *
 * Story:     a key is due when it has been active for its class's time (rotation.jwt, .audit,
 *            .dkim, .tls; the class is the label's part before the slash). jwt and audit go by
 *            themselves; for dkim and tls others must act first (DNS, a certificate), so keyd says
 *            that they are due, and an officer does the steps. What is retired is destroyed after
 *            rotation.overlap, DEKs after rotation.grace; when all that was due is gone, the store
 *            is written anew, so that the wrapped keys are in it no more.
 *            A timer looks when the next thing is due, at least once a minute, since the wall clock
 *            may be set; keyd_rotate_key_kick has it look now.
 * Ownership: keyd owns it.
 * Errors:    what fails is logged and tried again with the next look.
 * Thread:    the loop's; new keys come from the pool. */
#ifndef KEYD_KEYD_ROTATE_KEY_H
#define KEYD_KEYD_ROTATE_KEY_H

#include "keyd/keyd.h"

struct keyd_rotate_key;

/* NULL: out of memory. */
struct keyd_rotate_key *keyd_rotate_key_new(struct keyd *k);
/* The pools are gone. NULL is fine. */
void keyd_rotate_key_free(struct keyd_rotate_key *r);
/* Looks soon: keyd is READY, or something was retired or made. Without a loop: at once. */
void keyd_rotate_key_kick(struct keyd *k);
/* Starts what is due now. Returns how long until there may be more, microseconds. */
int64_t keyd_rotate_key_turn(struct keyd *k);

/* A further version of a label, from the pool into the ring: NEXT. Embedded; label, n and done are
 * set. done comes once; 0, ERR_NOTFOUND, ERR_EXISTS (there is a next one), or as keyd_change. */
struct keyd_rotate_key_next {
	struct keyd_pool_job job;
	struct keyd_change change;
	struct keyd *keyd;
	void (*done)(struct keyd_rotate_key_next *next, int rc);
	size_t n;
	uint8_t label[KEYPROTO_NAME_MAX];
	unsigned type;
	int result;
	struct keyd_crypto_key *key;
};
void keyd_rotate_key_next(struct keyd *k, struct keyd_rotate_key_next *next);
/* From a change's make: NEXT of the label becomes ACTIVE. ERR_BADSTATE: there is none. */
int keyd_rotate_key_promote(struct keyd_change *c, struct span label);
/* Says in both logs that it did. */
void keyd_rotate_key_promoted(struct keyd *k, struct span label);

/* Says in both logs, and by a new epoch to clients, what a version became: NEXT, ACTIVE or
 * DESTROYED. */
void keyd_rotate_key_say(struct keyd *k, struct span label, uint32_t version, unsigned state);

/* Keys that are due, and that others must act for. */
void keyd_rotate_key_warnings(const struct keyd *k, void (*put)(void *arg, const char *text),
			      void *arg);
/* SCHEDULE's page of signing keys, from key number from on. */
void keyd_rotate_key_json(const struct keyd *k, uint32_t from, struct buf *out);

#endif
