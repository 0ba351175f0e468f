/* SPDX-License-Identifier: Apache-2.0 */
/* sys_file - files that must be whole and private.
 *
 * Errors: ERR_NOTFOUND, ERR_DENIED (owner, group/world bits, symbolic link, not a plain file),
 *         ERR_LIMIT (larger than max), ERR_NOSPACE, ERR_IO. */
#ifndef SYS_SYS_FILE_H
#define SYS_SYS_FILE_H

#include "core/buf.h"

/* Whole file into out (its max is the limit). private: refuse if group or others may read it, or if it
 * is not ours or root's. */
int sys_file_read(const char *path, struct buf *out, int private_file);
/* Replaces path: temporary file, fsync, rename, fsync of the directory. mode as chmod. */
int sys_file_replace(const char *path, struct span data, unsigned mode);
/* Makes a directory (and parents) with mode; an existing one is checked: ours, no group or world write. */
int sys_file_mkdir(const char *path, unsigned mode);
/* fsync of a directory. */
int sys_file_sync_dir(const char *path);

#endif
