/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_unseal - an unseal by shares while it is under way: who began it, and what has come in.
 *
 *     none --first share--> collecting --last share--> (root) --> none
 *                               |   ^
 *                               |   '-- more shares of the same set
 *                               '--> none: cancelled, failed, opened otherwise, 10 minutes old
 *
 * Story:     custodians give their shares one by one, each over a connection of his own. The first
 *            begins; the others must be of the same set, and no share counts twice. STATUS shows
 *            how far it is and who began. Only he can cancel it: nobody else can undo what
 *            custodians came together for. What is not complete after 10 minutes is dropped.
 * Safety:    a wrong set of shares is found only when it is complete; then all are dropped, since it
 *            cannot be said which is wrong.
 * Ownership: shares lie in secret memory, which is wiped with each arrow to none.
 * Errors:    ERR_MORE (taken; more are needed), ERR_FORMAT (a typo), ERR_NOTFOUND (no slot has this
 *            set), ERR_BADSTATE (another set is being collected; nothing to cancel), ERR_EXISTS
 *            (this share is there already), ERR_DENIED (cancel: somebody else began), ERR_NOMEM.
 * Thread:    the loop's. Time is an argument; with a loop a timer drops by itself. */
#ifndef KEYD_KEYD_UNSEAL_H
#define KEYD_KEYD_UNSEAL_H

#include <sys/types.h>

#include "evt/evt_timer.h"
#include "keyd/keyd_snapshot.h"

#define KEYD_UNSEAL_TIME (600 * CLOCK_SEC)

struct keyd_unseal {
	struct keyd_shamir_share *shares; /* KEYD_ROOT_SHARES_MAX; NULL: nothing is under way */
	uint8_t set[KEYD_SHARE_SET];
	unsigned have, need;
	uint32_t slot;
	uid_t uid;     /* who began */
	int64_t began; /* clock_mono */
	struct evt_timer timer;
};

/* loop may be NULL. */
void keyd_unseal_init(struct keyd_unseal *u, struct evt_loop *loop);
/* Before u is freed. */
void keyd_unseal_clear(struct keyd_unseal *u);

/* Takes a share as text. 0: enough are there, keyd_unseal_key follows. session: for the log. */
int keyd_unseal_take(struct keyd_unseal *u, const struct keyd_snapshot_head *head, struct span text,
		     uid_t uid, const char *session, int64_t now);
/* The slot's key out of the shares, which are then dropped. key: 32 bytes of secret memory. */
int keyd_unseal_key(struct keyd_unseal *u, uint8_t key[32], uint32_t *slot);
int keyd_unseal_cancel(struct keyd_unseal *u, uid_t uid, const char *session, int64_t now);
/* Nothing is under way any more: keyd was opened otherwise, or is no longer LOCKED. */
void keyd_unseal_drop(struct keyd_unseal *u);
/* Drops what is too old. */
void keyd_unseal_expire(struct keyd_unseal *u, int64_t now);
/* Appends {"set":..,"have":..,"need":..,"uid":..,"age_s":..}, or null. */
void keyd_unseal_json(const struct keyd_unseal *u, int64_t now, struct buf *out);

#endif
