/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/rand.h"

static int ours_or_roots(const struct stat *st)
{
	return st->st_uid == geteuid() || st->st_uid == 0;
}

static int read_all(int fd, struct buf *out)
{
	for (;;) {
		/* One byte of room is kept so that a file that grows beyond the limit shows. */
		size_t room = buf_room(out);
		uint8_t over, *dst = &over;
		ssize_t n;

		if (room > 16384)
			room = 16384;
		if (room > 0 && !(dst = buf_reserve(out, room)))
			return buf_failed(out);
		n = read(fd, dst, room > 0 ? room : 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		if (n == 0)
			return 0;
		if (room == 0)
			return ERR_LIMIT;
		buf_commit(out, (size_t)n);
	}
}

int sys_file_read(const char *path, struct buf *out, int private_file)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, fd, err;
	struct stat st;

	fd = open(path, private_file ? flags | O_NOFOLLOW : flags);
	if (fd < 0)
		return errno == ELOOP ? ERR_DENIED : err_from_errno(errno);
	if (fstat(fd, &st) < 0)
		err = err_from_errno(errno);
	else if (!S_ISREG(st.st_mode))
		err = ERR_DENIED;
	else if (private_file && ((st.st_mode & 077) || !ours_or_roots(&st)))
		err = ERR_DENIED;
	else if ((uint64_t)st.st_size > buf_room(out))
		err = ERR_LIMIT;
	else
		err = read_all(fd, out);
	close(fd);
	return err;
}

static int write_all(int fd, struct span data)
{
	while (data.n > 0) {
		ssize_t n = write(fd, data.p, data.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_from_errno(errno);
		data = span_sub(data, (size_t)n, data.n);
	}
	return 0;
}

/* The directory a path lies in, "." if it names none. */
static int parent_of(char dir[PATH_MAX], const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (!slash)
		return span_copy_str(dir, PATH_MAX, SPAN_LIT("."));
	return span_copy_str(dir, PATH_MAX, n ? span_of(path, n) : SPAN_LIT("/"));
}

int sys_file_sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return err_from_errno(errno);
	if (fsync(fd) < 0)
		err = err_from_errno(errno);
	close(fd);
	return err;
}

int sys_file_replace(const char *path, struct span data, unsigned mode)
{
	char dir[PATH_MAX], temp[PATH_MAX];
	int fd, err = parent_of(dir, path);

	if (err < 0)
		return err;
	if (snprintf(temp, sizeof(temp), "%s.%016" PRIx64 ".tmp", path, rand_u64()) >=
	    (int)sizeof(temp))
		return ERR_LIMIT;
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_from_errno(errno);
	err = write_all(fd, data);
	if (err == 0 && (fchmod(fd, mode & 07777) < 0 || fsync(fd) < 0))
		err = err_from_errno(errno);
	if (close(fd) < 0 && err == 0)
		err = err_from_errno(errno);
	if (err == 0 && rename(temp, path) < 0)
		err = err_from_errno(errno);
	if (err < 0) {
		unlink(temp);
		return err;
	}
	return sys_file_sync_dir(dir);
}

/* Makes one directory. 1: made, 0: was there. */
static int make_one(const char *path, unsigned mode)
{
	if (mkdir(path, mode & 0777) < 0)
		return errno == EEXIST ? 0 : err_from_errno(errno);
	/* umask may have taken bits that were asked for */
	return chmod(path, mode & 07777) < 0 ? err_from_errno(errno) : 1;
}

int sys_file_mkdir(const char *path, unsigned mode)
{
	char part[PATH_MAX];
	struct stat st;
	int made = 0, err = span_copy_str(part, sizeof(part), span_str(path));

	if (err < 0)
		return err;
	for (char *p = part + 1; *part && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if ((err = make_one(part, mode)) < 0)
			return err;
		*p = '/';
	}
	made = make_one(part, mode);
	if (made < 0)
		return made;
	if (stat(part, &st) < 0)
		return err_from_errno(errno);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return ERR_DENIED;
	return !made && (st.st_mode & 022) ? ERR_DENIED : 0;
}

int sys_file_write_at(int fd, struct span s, uint64_t at)
{
	while (s.n) {
		ssize_t n = pwrite(fd, s.p, s.n, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_from_errno(errno) : ERR_IO;
		at += (uint64_t)n;
		s = span_sub(s, (size_t)n, s.n);
	}
	return 0;
}
