/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_scrub.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK (64 * 1024)

int keyd_scrub_open(const char *path)
{
	return open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

/* Unless more names than that lead to it. */
static void wipe(int fd, nlink_t names)
{
	static const char zeros[BLOCK];
	struct stat st;
	off_t at = 0;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink > names)
		return;
	while (at < st.st_size) {
		size_t n = st.st_size - at < BLOCK ? (size_t)(st.st_size - at) : BLOCK;
		ssize_t put = pwrite(fd, zeros, n, at);
		if (put <= 0)
			break;
		at += put;
	}
	fdatasync(fd);
}

void keyd_scrub_close(int fd)
{
	if (fd < 0)
		return;
	wipe(fd, 0);
	close(fd);
}

void keyd_scrub_keep(int fd)
{
	if (fd >= 0)
		close(fd);
}

void keyd_scrub_remove(const char *path)
{
	int fd = keyd_scrub_open(path);

	if (fd >= 0) {
		wipe(fd, 1);
		close(fd);
	}
	unlink(path);
}

void keyd_scrub_leftovers(const char *dir, const char *name)
{
	size_t n = strlen(name);
	DIR *d = opendir(dir);
	char path[PATH_MAX];
	struct dirent *e;

	while (d && (e = readdir(d))) {
		size_t length = strlen(e->d_name);
		if (length > n + 5 && !strncmp(e->d_name, name, n) && e->d_name[n] == '.' &&
		    !strcmp(e->d_name + length - 4, ".tmp") &&
		    (size_t)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < sizeof(path))
			keyd_scrub_remove(path);
	}
	if (d)
		closedir(d);
}
