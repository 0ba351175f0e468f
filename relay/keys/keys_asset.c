/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/keys/keys_asset.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/secret.h"
#include "sys/sys_file.h"

struct passage {
	int in, out;
	struct seal_chunk *from, *to;
	uint8_t *chunk; /* sealed, and opened in place: secret memory */
};

/* All n bytes, or less at the end of the file. Their number, or ERR_IO. */
static ssize_t read_all(int fd, uint8_t *p, size_t n)
{
	size_t done = 0;
	ssize_t got;

	while (done < n) {
		got = read(fd, p + done, n - done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return ERR_IO;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t put = write(fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_from_errno(errno);
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

/* ERR_DENIED unless it is a plain file, and no link. */
static int open_plain(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ELOOP ? ERR_DENIED : err_from_errno(errno);
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
		close(fd);
		return ERR_DENIED;
	}
	return fd;
}

int keys_asset_head(const char *path, uint8_t salt[SEAL_CHUNK_SALT])
{
	struct stat st;
	int fd = open_plain(path, &st);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = read_all(fd, salt, SEAL_CHUNK_SALT);
	close(fd);
	if (n < 0)
		return (int)n;
	return n == SEAL_CHUNK_SALT && st.st_size >= SEAL_CHUNK_HEAD + SEAL_CHUNK_TAG ? 0
										      : ERR_DAMAGED;
}

static int pass_head(const struct passage *p, const uint8_t old_key[SEAL_CHUNK_KEY],
		     const uint8_t new_salt[SEAL_CHUNK_SALT], const uint8_t new_key[SEAL_CHUNK_KEY])
{
	uint8_t head[SEAL_CHUNK_HEAD];
	ssize_t n = read_all(p->in, head, sizeof(head));
	int rc;

	if (n < 0)
		return (int)n;
	if (n < (ssize_t)sizeof(head))
		return ERR_DAMAGED;
	rc = seal_chunk_check(old_key, head + SEAL_CHUNK_SALT);
	if (rc < 0)
		return rc;
	memcpy(head, new_salt, SEAL_CHUNK_SALT);
	memcpy(head + SEAL_CHUNK_SALT, seal_chunk_commitment(new_key), SEAL_CHUNK_COMMIT);
	return write_all(p->out, head, sizeof(head));
}

/* Until the short chunk that is the end; what lies behind it is damage. */
static int pass_chunks(const struct passage *p)
{
	ssize_t n = SEAL_CHUNK_SEALED;
	int rc = 0;

	for (uint64_t i = 0; rc == 0 && n == SEAL_CHUNK_SEALED; i++) {
		n = read_all(p->in, p->chunk, SEAL_CHUNK_SEALED);
		if (n < SEAL_CHUNK_TAG)
			return n < 0 ? (int)n : ERR_DAMAGED;
		rc = seal_chunk_open(p->from, i, p->chunk, (size_t)n, p->chunk);
		if (rc == 0)
			rc = seal_chunk_seal(p->to, i, p->chunk, (size_t)n - SEAL_CHUNK_TAG,
					     p->chunk);
		if (rc == 0)
			rc = write_all(p->out, p->chunk, (size_t)n);
	}
	return rc;
}

static int replace(const char *path, const char *fresh, int fd)
{
	char dir[PATH_MAX], *slash;

	if (fsync(fd) < 0 || rename(fresh, path) < 0)
		return err_from_errno(errno);
	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash)
		return sys_file_sync_dir(".");
	slash[slash == dir] = '\0';
	return sys_file_sync_dir(dir);
}

int keys_asset_reseal(const char *path, const uint8_t old_key[SEAL_CHUNK_KEY],
		      const uint8_t new_salt[SEAL_CHUNK_SALT],
		      const uint8_t new_key[SEAL_CHUNK_KEY])
{
	struct passage p = {.out = -1,
			    .from = seal_chunk_new(),
			    .to = seal_chunk_new(),
			    .chunk = secret_alloc(SEAL_CHUNK_SEALED)};
	char fresh[PATH_MAX];
	struct stat st = {.st_mode = 0};
	int rc = p.from && p.to && p.chunk ? 0 : ERR_NOMEM;

	if (snprintf(fresh, sizeof(fresh), "%s.reseal", path) >= (int)sizeof(fresh))
		rc = ERR_LIMIT;
	p.in = open_plain(path, &st);
	if (rc == 0 && p.in < 0)
		rc = p.in;
	if (rc == 0) {
		unlink(fresh); /* of a try that a crash ended */
		p.out = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0777);
		if (p.out < 0)
			rc = err_from_errno(errno);
	}
	if (rc == 0)
		rc = seal_chunk_set_key(p.from, old_key);
	if (rc == 0)
		rc = seal_chunk_set_key(p.to, new_key);
	if (rc == 0)
		rc = pass_head(&p, old_key, new_salt, new_key);
	if (rc == 0)
		rc = pass_chunks(&p);
	if (rc == 0)
		rc = replace(path, fresh, p.out);
	if (rc < 0 && p.out >= 0)
		unlink(fresh);
	if (p.out >= 0)
		close(p.out);
	if (p.in >= 0)
		close(p.in);
	seal_chunk_free(p.from);
	seal_chunk_free(p.to);
	secret_free(p.chunk, SEAL_CHUNK_SEALED);
	return rc;
}
