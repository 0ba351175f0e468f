/* SPDX-License-Identifier: Apache-2.0 */
/* sys_file - files that must be whole and private.
 *
 * Errors: ERR_NOTFOUND, ERR_DENIED (owner, group/world bits, symbolic link, not a plain file),
 *         ERR_LIMIT (larger than max, path too long), ERR_NOSPACE, ERR_NOMEM, ERR_IO.
 * Thread: any. Blocks: never on a loop's thread except at start. */
#ifndef SYS_SYS_FILE_H
#define SYS_SYS_FILE_H

#include "core/buf.h"

/* Whole file, added to out (its max is the limit). Never waits: a FIFO or device is ERR_DENIED.
 * private_file: refuse a symbolic link, any right of group or others, and an owner who is neither
 * we nor root. (Credentials of systemd may carry an ACL that shows as a group right: read them with
 * 0, their directory is private.) After a failure out may hold a part. */
int sys_file_read(const char *path, struct buf *out, int private_file);
/* Replaces path: temporary file beside it, fsync, rename, fsync of the directory. mode as chmod.
 * After a failure path is as it was (only if the last fsync fails it may be new already). */
int sys_file_replace(const char *path, struct span data, unsigned mode);
/* Makes a directory (and missing parents) with mode; an existing one is checked: ours, no group or
 * world write. It may be reached through a symbolic link. */
int sys_file_mkdir(const char *path, unsigned mode);
/* All of data into an open file, from that offset on. */
int sys_file_write_at(int fd, struct span data, uint64_t at);
/* fsync of a directory. */
int sys_file_sync_dir(const char *path);

#endif
