/* SPDX-License-Identifier: Apache-2.0 */
/* spool_io - every system call by which the spool changes or reads the disk, as one table.
 *
 * Story:  production takes spool_io_system. Tests give spool_log_open_with a table of their own, to fail
 *         the Nth call, to write short, or to keep what was not synced from the disk. Nothing else may
 *         replace it.
 * Errors: as the system calls: -1 (or short) and errno.
 * Thread: any. */
#ifndef RELAY_SPOOL_SPOOL_IO_H
#define RELAY_SPOOL_SPOOL_IO_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct spool_space {
	uint64_t bytes, inodes; /* inodes: UINT64_MAX where the file system counts none */
};

struct spool_io {
	int (*open)(int dir, const char *name, int flags, mode_t mode);
	ssize_t (*preadv)(int fd, const struct iovec *v, int count, off_t at);
	ssize_t (*pwritev)(int fd, const struct iovec *v, int count, off_t at);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	int (*allocate)(int fd, off_t size); /* blocks for all of it, or -1 */
	int (*rename)(int dir, const char *from, const char *to);
	int (*unlink)(int dir, const char *name);
	int (*space)(int dir, struct spool_space *free); /* for us */
};

extern const struct spool_io spool_io_system;

/* Writes all of v (which it alters) at offset, however many calls that takes: 0, or ERR_* with
 * *done bytes written. */
int spool_io_write(const struct spool_io *io, int fd, struct iovec *v, int count, off_t at,
		   size_t *done);
/* Fills all of v (which it alters), or exactly n bytes: 0, ERR_IO, or ERR_DAMAGED where the file
 * ends before. */
int spool_io_readv(const struct spool_io *io, int fd, struct iovec *v, int count, off_t at);
int spool_io_read(const struct spool_io *io, int fd, void *p, size_t n, off_t at);
/* ERR_* for errno after a failed call: ERR_NOSPACE if it means "no room", else ERR_IO. */
int spool_io_error(void);

#endif
