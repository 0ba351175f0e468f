/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_rotate - gives each shard a new KEK when it is due, and wraps the shard's DEKs under that.
 *
 *              due, asked, urgent
 *      rest ---------------------> KEK n+1 --> take, work, put: again until none is left under n
 *       ^                                                                   |
 *       +--- n destroyed <--- grace (urgent: none) <--- n retired <---------+
 *
 * Story:     keyd_schedule says what is due. One shard at a time, one batch of it at a time: copies
 *            of its DEKs and the two KEKs go to the idle thread (urgent ones to a thread that
 *            always runs), and what comes back is a change of the store, so clients wait for none
 *            of it. Nothing but records says how far it is: a shard with an older KEK that is still
 *            active is taken up again, after a crash or a lock, where it was left. A batch starts
 *            when rotation.rate allows it; a pause ends work between two batches. After KEKs were
 *            destroyed a snapshot is taken, so that they leave the disk as well.
 * Errors:    a store that cannot be written (full disk) holds it for 5 s to 5 min, and is tried
 *            again. A DEK that does not open keeps its old KEK: logged, and its shard is left
 *            alone until keyd is opened anew, or somebody asks for it.
 * Ownership: of keyd; a want belongs here from keyd_rotate_shard until its done.
 * Thread:    the loop's. Without a loop (tests) keyd_rotate_tick stands for the timer. */
#ifndef KEYD_KEYD_ROTATE_H
#define KEYD_KEYD_ROTATE_H

#include "core/buf.h"

struct keyd;
struct keyd_rotate;

/* NULL: out of (secret) memory. */
struct keyd_rotate *keyd_rotate_new(struct keyd *k);
void keyd_rotate_free(struct keyd_rotate *r);

/* keyd is READY: begins to look. */
void keyd_rotate_open(struct keyd_rotate *r);
/* Keys are about to go: waits for the idle thread, wipes, fails wants with ERR_LOCKED. */
void keyd_rotate_close(struct keyd_rotate *r);
/* Something may be due now: notes or the configuration changed. */
void keyd_rotate_look(struct keyd_rotate *r);
/* What the timer does: goes on if its time has come. */
void keyd_rotate_tick(struct keyd_rotate *r);

/* One shard at once, whatever the rate and even while rotation is paused: a new KEK, all DEKs under
 * it, all older KEKs destroyed and out of the store's files. Wants for one shard that wait are
 * served together. */
struct keyd_rotate_want {
	unsigned shard;
	/* 0, ERR_LOCKED, or ERR_DAMAGED: a DEK does not open, so its KEK stays. */
	void (*done)(struct keyd_rotate_want *w, int rc);
	/* below: keyd_rotate's own */
	struct keyd_rotate_want *next;
	int begun;
};
void keyd_rotate_shard(struct keyd_rotate *r, struct keyd_rotate_want *w);

/* Member "rotation" of STATUS. */
void keyd_rotate_json(const struct keyd_rotate *r, struct buf *out);

#endif
