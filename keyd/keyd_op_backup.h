/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_op_backup - a backup that is being handed out, or taken in, piece by piece.
 *
 * Story:     BACKUP and RESTORE keep at most one in struct keyd: a file without a name in the state
 *            directory. It ends with END, with the next one and with a lock; ten minutes after the
 *            last request it is not served any more.
 * Ownership: counted: a job on the disk thread holds its own reference.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_OP_BACKUP_H
#define KEYD_KEYD_OP_BACKUP_H

#include "keyd/keyd_op.h"
#include "keyproto/keyproto_backup.h"

struct keyd_op_backup {
	unsigned refs;
	int fd, restoring;
	uint64_t handle, size, offset; /* offset: of the next piece of a restore */
	int64_t used;		       /* clock_mono */
};

struct keyd_op_backup_piece {
	struct keyd_pool_job job;
	struct keyd_op_late late;
	struct keyd_op_backup *backup;
	uint64_t offset;
	size_t n;
	int result;
	struct keyd_store *store; /* set with the last piece of a restore */
	uint8_t *secret;
	uint32_t key;
	uint8_t data[KEYPROTO_BACKUP_PIECE];
};

/* Ends the one that there is, if any. */
void keyd_op_backup_end(struct keyd *k);

/* For keyd_op_backup.c and keyd_op_restore.c alone. _begin takes the place of the one before; NULL:
 * *rc says why. _current: NULL if there is none, or it is the other kind, or too old. */
struct keyd_op_backup *keyd_op_backup_begin(struct keyd *k, int restoring, int *rc);
struct keyd_op_backup *keyd_op_backup_current(struct keyd *k, int restoring);
void keyd_op_backup_release(struct keyd_op_backup *b);
/* A piece holds its backup. _start hands it to the disk thread, whose done ends with _end. */
struct keyd_op_backup_piece *keyd_op_backup_piece_new(struct keyd_op_backup *b, uint64_t offset,
						      void (*work)(struct keyd_pool_job *),
						      void (*done)(struct keyd_pool_job *));
int keyd_op_backup_piece_start(struct keyd_op_backup_piece *p, struct keyd_op_call *call);
void keyd_op_backup_piece_end(struct keyd_op_backup_piece *p, int rc, struct span body);

#endif
