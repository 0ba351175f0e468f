/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_shred - destroys the keys of customers, and says so only when no copy can open them.
 *
 *     requested --> dead --> rewrapped --> anchored --> backups --> complete
 *
 *     dead        the DEKs are out of ring, cache and store; clients were told
 *     rewrapped   the shard's other DEKs are under a new KEK, the old KEKs are destroyed
 *     anchored    snapshot and journal were written anew, under a new anchor if there is one
 *     backups     the key of older backups is out of the store
 *     complete    nothing is left to wait for: see keyd_shred_waits
 *
 * Story:     SHRED, and tombstones that a witness brings, put the first records; from then on it is
 *            this machine's: it looks at the tombstones of the ring, takes the first step that is
 *            due for any of them, and looks again. Each state is a record, and nothing else says
 *            how far it is; so it goes on after a crash or a lock where it was, and destructions
 *            that are in the same state go on together. What fails is tried again after a while.
 *            It also gives a store its first anchor, and overwrites an anchor that a crash has left
 *            over.
 * Ownership: of keyd.
 * Source:    sealpost-keyd(8); sealpost-keyd-store(7); keys anchor, retention.
 * Thread:    the loop's. Without a loop (tests) keyd_shred_look stands for the timer. */
#ifndef KEYD_KEYD_SHRED_H
#define KEYD_KEYD_SHRED_H

#include "core/buf.h"
#include "keyd/keyd_ring_tomb.h"

struct keyd;
struct keyd_shred;
struct keyd_change;

/* NULL: out of memory. */
struct keyd_shred *keyd_shred_new(struct keyd *k);
/* The pools are gone. */
void keyd_shred_free(struct keyd_shred *s);
/* keyd is READY: begins to look. */
void keyd_shred_open(struct keyd_shred *s);
/* Keys are about to go. */
void keyd_shred_close(struct keyd_shred *s);
/* Something may have changed: goes on if it can. */
void keyd_shred_look(struct keyd_shred *s);

/* From the make of a change: what orders a customer's destruction. ERR_NOTFOUND, ERR_GONE. Its done
 * calls keyd_shred_dead. */
int keyd_shred_order(struct keyd_change *c, struct span customer);
/* A customer's tombstone was taken in: clients are told, and the machine goes on. */
void keyd_shred_dead(struct keyd *k, struct span customer);
/* What a destruction waits for, once keyd has done all that it can. */
struct keyd_shred_wait {
	uint32_t backup; /* key of backups that nobody has called destroyed; 0: copies of files */
	int64_t until;	 /* when it may be taken for gone: clock_wall */
};
#define KEYD_SHRED_WAITS 16
/* Fills at most KEYD_SHRED_WAITS, those that are over left out. Returns how many there are. */
unsigned keyd_shred_waits(const struct keyd *k, const struct keyd_ring_tomb *t, int64_t now,
			  struct keyd_shred_wait *out);

/* Calls fn for each thing to say in STATUS; texts are static. */
void keyd_shred_warnings(const struct keyd *k, void (*fn)(void *arg, const char *text), void *arg);
/* Appends {"shreds":[..],"next":..}: tombstones from number from on, cut at 48 KiB. */
void keyd_shred_json(const struct keyd *k, uint32_t from, struct buf *out);

#endif
