/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/err.h"

static int io_open(int dir, const char *name, int flags, mode_t mode)
{
	return openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
}

static int io_allocate(int fd, off_t size)
{
	return fallocate(fd, 0, 0, size);
}

static int io_rename(int dir, const char *from, const char *to)
{
	return renameat(dir, from, dir, to);
}

static int io_unlink(int dir, const char *name)
{
	return unlinkat(dir, name, 0);
}

static int io_space(int dir, struct spool_space *free)
{
	struct statvfs vfs;

	if (fstatvfs(dir, &vfs) < 0)
		return -1;
	free->bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	free->inodes = vfs.f_files ? (uint64_t)vfs.f_favail : UINT64_MAX;
	return 0;
}

const struct spool_io spool_io_system = {
    .open = io_open,
    .preadv = preadv,
    .pwritev = pwritev,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .allocate = io_allocate,
    .rename = io_rename,
    .unlink = io_unlink,
    .space = io_space,
};

int spool_io_error(void)
{
	switch (errno) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG: /* RLIMIT_FSIZE */
		return ERR_NOSPACE;
	default:
		return ERR_IO;
	}
}

/* Goes n bytes forward in v. */
static void forward(struct iovec **v, int *count, size_t n)
{
	for (; *count && n >= (*v)->iov_len; (*v)++, (*count)--)
		n -= (*v)->iov_len;
	if (*count) {
		(*v)->iov_base = (char *)(*v)->iov_base + n;
		(*v)->iov_len -= n;
	}
}

int spool_io_write(const struct spool_io *io, int fd, struct iovec *v, int count, off_t at,
		   size_t *done)
{
	*done = 0;
	while (count) {
		ssize_t n = io->pwritev(fd, v, count < IOV_MAX ? count : IOV_MAX, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return spool_io_error();
		*done += (size_t)n;
		at += n;
		forward(&v, &count, (size_t)n);
	}
	return 0;
}

int spool_io_readv(const struct spool_io *io, int fd, struct iovec *v, int count, off_t at)
{
	forward(&v, &count, 0); /* past empty ones */
	while (count) {
		ssize_t n = io->preadv(fd, v, count < IOV_MAX ? count : IOV_MAX, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? ERR_IO : ERR_DAMAGED;
		at += n;
		forward(&v, &count, (size_t)n);
	}
	return 0;
}

int spool_io_read(const struct spool_io *io, int fd, void *p, size_t n, off_t at)
{
	struct iovec v = {p, n};

	return spool_io_readv(io, fd, &v, 1, at);
}
