/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_store - keyd's files: a snapshot (store.snap) and the journal of changes since
 * (store.journal).
 *
 * Story:     open takes the lock and reads the slots, for which no key is needed. With the root's
 *            keys, create makes a new store or load verifies and reads all of it. Changes are
 *            journalled; when the journal has grown long, and when keyd stops, a new snapshot
 *            takes its place. A new snapshot is read back before it replaces the old one, and a
 *            generation number goes up.
 * Files:     refused unless they are plain files of our own (or root's) that nobody else may
 *            read.
 * Threads:   one thread changes the store at a time. keyd_change lets the disk thread do so, by the
 *            _work functions; what the others report is what stood at the last keyd_store_settle,
 *            which the loop calls after each of them. The functions without _work settle by
 *            themselves: for start and for tests.
 * Ownership: the keys that verify are copied to secret memory, and wiped by keyd_store_seal.
 * Errors:    ERR_BUSY (another keyd has it), ERR_DENIED (owner, mode, symbolic link),
 *            ERR_DAMAGED, ERR_NOSPACE, ERR_IO, ERR_NOMEM. why (may be NULL) gets a static text.
 * Source:    sealpost-keyd-store(7). */
#ifndef KEYD_KEYD_STORE_H
#define KEYD_KEYD_STORE_H

#include "keyd/keyd_journal.h"
#include "keyd/keyd_ring.h"
#include "keyd/keyd_root.h"
#include "keyd/keyd_snapshot.h"

struct keyd_store;

/* dir is made if it is not there (mode 0700). */
int keyd_store_open(const char *dir, struct keyd_store **out, const char **why);
void keyd_store_close(struct keyd_store *s);
/* NULL: there is no store yet. */
const struct keyd_snapshot_head *keyd_store_head(const struct keyd_store *s);

/* First files of a new store. Generation and time of head are set here. */
int keyd_store_create(struct keyd_store *s, const struct keyd_snapshot_head *head,
		      const struct keyd_root_keys *keys, const struct keyd_ring *ring);
/* Reads all into the ring. */
int keyd_store_load(struct keyd_store *s, const struct keyd_root_keys *keys, struct keyd_ring *ring,
		    const char **why);
/* Forgets the keys and closes the journal: keyd is locked. */
void keyd_store_seal(struct keyd_store *s);

/* One record, on stable storage when it returns 0. */
int keyd_store_append(struct keyd_store *s, unsigned type, struct span body);
/* The last record could not be taken in: the journal is closed, a snapshot will leave it out. */
void keyd_store_distrust(struct keyd_store *s);
/* 1 if the journal is long enough for a snapshot, or broken and in need of one. */
int keyd_store_wants_snapshot(const struct keyd_store *s);
/* 0 once the journal has failed and no snapshot has mended it. */
int keyd_store_writable(const struct keyd_store *s);
/* 1 if the journal holds anything. */
int keyd_store_changed(const struct keyd_store *s);
int keyd_store_snapshot(struct keyd_store *s, const struct keyd_ring *ring);

/* Several records, each: type u8, bytes32 body (as in a snapshot), with one write and one sync. */
int keyd_store_work_append(struct keyd_store *s, struct span records);
/* head: slots and identity of the new snapshot. ERR_LOCKED: *cancel (may be NULL) was set
 * meanwhile; nothing has changed. */
int keyd_store_work_snapshot(struct keyd_store *s, const struct keyd_snapshot_head *head,
			     const struct keyd_ring *ring, const int *cancel);
/* Appends a snapshot for a backup: see keyd_snapshot_format_bare. */
int keyd_store_work_backup(const struct keyd_store *s, const struct keyd_ring *ring,
			   const int *cancel, struct buf *out);
/* The snapshot of a backup becomes the first file of a store that has none. ERR_BADSTATE: it has
 * one. ERR_FORMAT: this is not such a snapshot. */
int keyd_store_work_restore(struct keyd_store *s, struct span snapshot);
void keyd_store_settle(struct keyd_store *s);

#endif
