/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_files - the ledger's files on disk: found, cut, appended to, closed, removed.
 *
 * Story:  open reads the folder: closed files by the heads of their indexes (which are made anew where
 *         they do not fit), the last one by its end. What stands behind its last whole batch is cut off.
 *         Damage elsewhere is not looked for here, and changes nothing: ledger_verify names it.
 *         One thread appends; others take a snapshot of what is there and read the files themselves.
 * Errors: ERR_DAMAGED (a last file without a head), ERR_NOSPACE, ERR_IO, ERR_NOMEM. After a failed
 *         append the file is as it was.
 * Thread: append, next, drop: one thread. snapshot: any. */
#ifndef RELAY_LEDGER_LEDGER_FILES_H
#define RELAY_LEDGER_LEDGER_FILES_H

#include <pthread.h>

#include "ledger/ledger_verify.h"

struct ledger_file {
	uint64_t first; /* number of its first row */
	uint64_t rows;	/* how many */
	uint64_t size;	/* octets that are certain */
	int64_t oldest, newest; /* wall usec, 0 without rows */
	int64_t sealed;		/* the oldest of those that have a sealed field */
	int closed;
};
struct ledger_files {
	char dir[4096];
	uint8_t uuid[LEDGER_UUID];
	pthread_mutex_t lock; /* of what a snapshot shows */
	struct ledger_file *all;
	size_t count;
	/* the rest is the appending thread's */
	int fd; /* of the last file */
	int64_t made;	 /* the last file */
	uint64_t rows;	 /* number of the last row */
	uint64_t counter, signed_to; /* of the last checkpoint */
	struct ledger_chain chain;
	struct buf tail;   /* last checkpoint and its batch record, if nothing stands behind them */
	uint64_t torn;	   /* octets cut off at start */
	uint64_t remade;   /* indexes */
};

int ledger_files_open(struct ledger_files *f, const char *dir, const char **why);
void ledger_files_close(struct ledger_files *f);

/* bytes: whole records and their batch record, for which chain has been moved on already; added: how the
 * last file grows. On stable storage when it returns 0. */
struct ledger_added {
	uint64_t rows;
	int64_t oldest, newest, sealed;
};
int ledger_files_append(struct ledger_files *f, struct span bytes, const struct ledger_added *a);
static inline uint64_t ledger_files_size(const struct ledger_files *f)
{
	return f->all[f->count - 1].size;
}
/* Closes the last file, which ends in a checkpoint, and begins another. */
int ledger_files_next(struct ledger_files *f, int64_t now);
/* Removes closed files whose rows are all numbered through or less; how many. */
unsigned ledger_files_drop(struct ledger_files *f, uint64_t through);

/* A copy of the list, to be freed; *count. NULL: out of memory. */
struct ledger_file *ledger_files_snapshot(struct ledger_files *f, size_t *count);
void ledger_files_path(const struct ledger_files *f, char *dst, size_t size, uint64_t first, const char *suffix);

#endif
