/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_renew - writes the store's files anew, under a new anchor if keyd.yaml names one, so that
 * nothing from before is of use.
 *
 *     new anchor --> snapshot under it --> old anchor overwritten --> done
 *     disk thread    change of the store   disk thread                loop
 *
 * Story:     keyd_shred asks for it after the KEKs of a shard were replaced, and when a store has
 *            no anchor yet though one is configured. The snapshot takes the place of snapshot and
 *            journal, whose blocks are overwritten; it also takes back that the store came out of
 *            a backup. Without an anchor it is the snapshot alone. A crash at any point leaves
 *            what opens; keyd_renew_tidy, when keyd is opened, overwrites an anchor that a crash
 *            has left over.
 * Ownership: of keyd_shred; belongs here from _start to done.
 * Errors:    to done: keyd_anchor's and the store's. Nothing is lost; it may be started again.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_RENEW_H
#define KEYD_KEYD_RENEW_H

#include "keyd/keyd_change.h"

struct keyd_renew {
	void (*done)(struct keyd_renew *r, int rc);
	/* below: keyd_renew's own */
	struct keyd_pool_job job;
	struct keyd_change change;
	struct keyd *keyd;
	char *path;	 /* of the anchor; NULL: none */
	char *dir;	 /* of the store */
	uint8_t *anchor; /* the next, secret memory */
	uint8_t store[16], id[16], keep[16];
	int result;
};

/* done is set, the rest is zero. */
void keyd_renew_start(struct keyd *k, struct keyd_renew *r);
/* Only overwrites what is not the store's anchor. */
void keyd_renew_tidy(struct keyd *k, struct keyd_renew *r);

#endif
