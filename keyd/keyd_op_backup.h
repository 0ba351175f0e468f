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

struct keyd;

/* Ends the one that there is, if any. */
void keyd_op_backup_end(struct keyd *k);

#endif
