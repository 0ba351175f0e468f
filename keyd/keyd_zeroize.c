/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_zeroize.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/rand.h"
#include "sys/sys_file.h"

#define BLOCK (64 * 1024)

int keyd_zeroize_add(struct keyd_zeroize *z, const char *path)
{
	struct keyd_zeroize_file *f = &z->files[z->count];

	for (unsigned i = 0; i < z->count; i++)
		if (strcmp(z->files[i].path, path) == 0)
			return 0;
	if (z->count == KEYD_ZEROIZE_MAX)
		return ERR_LIMIT;
	memset(f, 0, sizeof(*f));
	f->path = strdup(path);
	if (!f->path)
		return ERR_NOMEM;
	z->count++;
	return 0;
}

static int add_entry(struct keyd_zeroize *z, const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return ERR_LIMIT;
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? keyd_zeroize_add(z, path) : 0;
}

int keyd_zeroize_add_dir(struct keyd_zeroize *z, const char *dir, const char *except)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return errno == ENOENT ? 0 : err_from_errno(errno);
	while (rc == 0 && (e = readdir(d)))
		if (strcmp(e->d_name, except))
			rc = add_entry(z, dir, e->d_name);
	closedir(d);
	return rc;
}

/* size bytes, random or zero, and onto the disk. */
static int overwrite(int fd, uint64_t size, int random)
{
	uint8_t block[BLOCK] = {0};
	uint64_t at = 0;

	while (at < size) {
		size_t want = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
		ssize_t n;
		if (random)
			rand_bytes(block, want);
		n = pwrite(fd, block, want, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_from_errno(errno) : ERR_IO;
		at += (uint64_t)n;
	}
	return fsync(fd) < 0 ? err_from_errno(errno) : 0;
}

/* What the disk says, as far as the kernel lets go of what it remembers. */
static int read_back(int fd, uint64_t size)
{
	uint8_t block[BLOCK];
	uint64_t at = 0;

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	while (at < size) {
		ssize_t n = pread(fd, block, BLOCK, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_from_errno(errno) : ERR_IO;
		for (ssize_t i = 0; i < n; i++)
			if (block[i])
				return ERR_DAMAGED;
		at += (uint64_t)n;
	}
	return 0;
}

static int parent_synced(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	int rc = dir ? sys_file_sync_dir(dir) : ERR_NOMEM;

	free(dir);
	return rc;
}

static int end_content(struct keyd_zeroize_file *f, int fd)
{
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return ERR_DENIED;
	f->bytes = (uint64_t)st.st_size;
	rc = overwrite(fd, f->bytes, 1);
	if (rc == 0)
		rc = overwrite(fd, f->bytes, 0);
	if (rc == 0)
		rc = read_back(fd, f->bytes);
	f->verified = rc == 0;
	if (rc == 0 && (ftruncate(fd, 0) < 0 || fsync(fd) < 0))
		rc = err_from_errno(errno);
	return rc;
}

static void end_file(struct keyd_zeroize_file *f)
{
	int fd = open(f->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		f->rc = err_from_errno(errno);
		f->removed = f->rc == ERR_NOTFOUND;
		return;
	}
	f->rc = end_content(f, fd);
	close(fd);
	if (f->rc < 0) /* what could not be overwritten stays, to be seen to */
		return;
	if (unlink(f->path) < 0)
		f->rc = err_from_errno(errno);
	else
		f->rc = parent_synced(f->path);
	f->removed = f->rc == 0;
}

int keyd_zeroize_run(struct keyd_zeroize *z)
{
	int all = 1;

	for (unsigned i = 0; i < z->count; i++) {
		end_file(&z->files[i]);
		all &= z->files[i].rc == 0 || z->files[i].rc == ERR_NOTFOUND;
	}
	return all;
}

void keyd_zeroize_clear(struct keyd_zeroize *z)
{
	for (unsigned i = 0; i < z->count; i++)
		free(z->files[i].path);
	z->count = 0;
}
