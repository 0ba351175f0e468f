/* SPDX-License-Identifier: Apache-2.0 */
/* track_keys - the keys of tracking tokens, as keyd gives them: one for each customer and epoch.
 *
 * Story:     get has it at hand or asks keyd (TRACK_KEY); who waits is called once. They lie in locked memory, for
 *            TRACK_KEYS_KEEP at most, and are wiped at once when keyd is not ready any more: while it is locked no token is
 *            opened.
 * Errors:    ERR_LOCKED, ERR_AWAY, ERR_TIMEOUT, ERR_NOMEM; ERR_NOTFOUND, ERR_GONE: keyd has no such customer, any more or
 *            at all.
 * Ownership: a key holds until the next turn of the loop. A wait is its owner's: cancel it before it goes.
 * Thread:    the loop's. */
#ifndef RELAY_TRACK_TRACK_KEYS_H
#define RELAY_TRACK_TRACK_KEYS_H

#include "core/clock.h"
#include "core/list.h"
#include "keyproto/keyproto_client_ev.h"

#define TRACK_KEYS_KEEP	   (600 * CLOCK_SEC)
#define TRACK_KEYS_TIMEOUT (5 * CLOCK_SEC)
#define TRACK_KEYS_MAX	   64 /* at a time; the one that was not used longest goes */

struct track_keys;
struct track_keys_wait {
	struct list_link link;
	void (*fn)(struct track_keys_wait *w, int err, const uint8_t *key);
};

/* keyd is borrowed. NULL: no memory. */
struct track_keys *track_keys_new(struct keyproto_client_ev *keyd);
void track_keys_free(struct track_keys *k);
/* Of each change of keyd's state. */
void track_keys_state(struct track_keys *k, unsigned state);

/* 1: *key. 0: w->fn is called later. ERR_*. */
int track_keys_get(struct track_keys *k, const char *customer, uint32_t epoch, struct track_keys_wait *w,
		   const uint8_t **key);
void track_keys_cancel(struct track_keys_wait *w);

#endif
