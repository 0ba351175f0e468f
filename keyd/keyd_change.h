/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_change - changes of the store: one after another, each on stable storage before anybody
 * sees it.
 *
 *     start -> (queue) -> make -> append, sync -> ring takes the records in -> done
 *              loop       loop    disk thread     loop                         loop
 *
 * Story:     whoever wants to change something embeds a keyd_change and starts it. When its turn
 *            comes, make looks at the ring as it is then and puts records, which are written and
 *            synced together; or it puts a head, and the store is written anew with it (slots).
 *            work, if there is one, runs on the disk thread behind that: it may read the ring, which
 *            holds still meanwhile. done always comes, once. So what is in memory is always what a restart would find,
 *            and the loop never waits for a disk. When the journal has grown long, a snapshot is
 *            taken between two changes, by itself; before the first of all a START is recorded, so
 *            that an older copy that was changed is told from this one. Records are whole only each
 *            for itself: a crash may keep the first of several.
 * Ownership: a change belongs here from start until done is called; done may free it, and may
 *            start others.
 * Errors:    to done: what make returned, ERR_LOCKED (keyd was locked meanwhile, or is not READY),
 *            or the store's: ERR_NOSPACE, ERR_IO, ERR_NOMEM. Then nothing has changed.
 * Thread:    the loop's. Without a disk thread (tests) all happens within start. */
#ifndef KEYD_KEYD_CHANGE_H
#define KEYD_KEYD_CHANGE_H

#include "core/buf.h"
#include "keyd/keyd_pool.h"
#include "keyd/keyd_snapshot.h"

struct keyd;

struct keyd_change {
	struct keyd_pool_job job;
	struct keyd *keyd;
	int (*make)(struct keyd_change *c);
	int (*work)(struct keyd_change *c); /* may be NULL */
	void (*done)(struct keyd_change *c, int rc);
	/* below: keyd_change's own */
	struct keyd_change *next;
	struct buf records;
	struct keyd_snapshot_head *head;
	int result, tried;
};

/* What waits, and what is with the disk thread. */
struct keyd_change_queue {
	struct keyd_change *first, **last;
	struct keyd_change *running;
	struct keyd_change snapshot; /* those that the queue makes by itself */
	struct keyd_change start;    /* before the first change of an opened ring */
	int started, start_error;
	int closed;	   /* started changes fail: keyd is being locked or stopped */
	int cancel;	   /* atomic: a snapshot being written is to give up */
};
void keyd_change_init(struct keyd *k);

/* make and done are set; the rest is zero. */
void keyd_change_start(struct keyd *k, struct keyd_change *c);
/* From make. type: enum keyd_record_type. */
int keyd_change_put(struct keyd_change *c, unsigned type, struct span body);
/* From make: instead of records. head is copied; its generation and time are set here. */
int keyd_change_head(struct keyd_change *c, const struct keyd_snapshot_head *head);
/* 1 if nothing waits or runs. */
int keyd_change_idle(const struct keyd *k);
/* Fails what waits with ERR_LOCKED, ends what runs, and refuses more until _open. */
void keyd_change_close(struct keyd *k);
void keyd_change_open(struct keyd *k);

#endif
