/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_anchor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_fault.h"
#include "sys/sys_file.h"

#define PLACE  4096
#define PLACES 8
#define TEXT   "sealpost-anchor1" /* 16 bytes, no NUL */

struct place {
	uint8_t magic[16], store[16], id[KEYD_ANCHOR_ID], anchor[32];
};

int keyd_anchor_none(const uint8_t id[KEYD_ANCHOR_ID])
{
	static const uint8_t none[KEYD_ANCHOR_ID];

	return !memcmp(id, none, sizeof(none));
}

static int make_id(const uint8_t store[16], const uint8_t anchor[32], uint8_t id[KEYD_ANCHOR_ID])
{
	uint8_t *all = secret_alloc(64), digest[32];
	int ok;

	if (!all)
		return ERR_NOMEM;
	memcpy(all, TEXT, 16);
	memcpy(all + 16, store, 16);
	memcpy(all + 32, anchor, 32);
	ok = EVP_Q_digest(NULL, "SHA256", NULL, all, 64, digest, NULL);
	secret_free(all, 64);
	memcpy(id, digest, KEYD_ANCHOR_ID);
	return ok ? 0 : ERR_CRYPTO;
}

/* 1 if the place holds a whole anchor. */
static int whole(const struct place *p)
{
	uint8_t id[KEYD_ANCHOR_ID];

	return !memcmp(p->magic, TEXT, 16) && make_id(p->store, p->anchor, id) == 0 &&
	       !memcmp(id, p->id, sizeof(id));
}

/* Opens the file; with O_CREAT it is made. */
static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0)
		return errno == ELOOP ? ERR_DENIED : err_from_errno(errno);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) ||
	    st.st_uid != geteuid()) {
		close(fd);
		return ERR_DENIED;
	}
	return fd;
}

/* A place as it is on disk; one that the file is too short for is empty. */
static int read_place(int fd, unsigned i, struct place *p)
{
	ssize_t n;

	memset(p, 0, sizeof(*p));
	n = pread(fd, p, sizeof(*p), (off_t)i * PLACE);
	return n < 0 ? err_from_errno(errno) : 0;
}

static int write_place(int fd, unsigned i, const uint8_t *block)
{
	size_t at = 0;

	while (at < PLACE) {
		ssize_t n = pwrite(fd, block + at, PLACE - at, (off_t)i * PLACE + (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_from_errno(errno) : ERR_IO;
		at += (size_t)n;
	}
	return fdatasync(fd) < 0 ? err_from_errno(errno) : 0;
}

int keyd_anchor_read(const char *path, const uint8_t store[16], const uint8_t id[KEYD_ANCHOR_ID],
		     uint8_t anchor[32])
{
	struct place *p = secret_alloc(sizeof(*p));
	int fd, rc = ERR_NOTFOUND;

	if (!p)
		return ERR_NOMEM;
	fd = open_file(path, 0);
	if (fd < 0) {
		secret_free(p, sizeof(*p));
		return fd;
	}
	for (unsigned i = 0; rc == ERR_NOTFOUND && i < PLACES; i++) {
		int got = read_place(fd, i, p);
		if (got < 0)
			rc = got;
		else if (whole(p) && !memcmp(p->store, store, 16) &&
			 !memcmp(p->id, id, sizeof(p->id))) {
			memcpy(anchor, p->anchor, 32);
			rc = 0;
		}
	}
	close(fd);
	secret_free(p, sizeof(*p));
	return rc;
}

/* Number of the place for a new anchor: an empty one rather than one with an old anchor of ours. */
static int free_place(int fd, const uint8_t store[16], const uint8_t keep[KEYD_ANCHOR_ID],
		      struct place *p)
{
	int found = ERR_EXISTS;

	for (int i = 0; i < PLACES; i++) {
		int rc = read_place(fd, (unsigned)i, p);
		if (rc < 0)
			return rc;
		if (!whole(p))
			return i;
		if (!memcmp(p->store, store, 16) && memcmp(p->id, keep, sizeof(p->id)))
			found = i;
	}
	return found;
}

static int sync_folder(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	struct span name =
	    slash ? span_of(path, (size_t)(slash - path) + (slash == path)) : SPAN_LIT(".");

	return span_copy_str(dir, sizeof(dir), name) < 0 ? ERR_LIMIT : sys_file_sync_dir(dir);
}

int keyd_anchor_add(const char *path, const uint8_t store[16], const uint8_t keep[KEYD_ANCHOR_ID],
		    uint8_t id[KEYD_ANCHOR_ID], uint8_t anchor[32])
{
	uint8_t *block = secret_alloc(PLACE);
	struct place *p = (struct place *)block;
	int fd, at, rc;

	if (!block)
		return ERR_NOMEM;
	fd = open_file(path, O_CREAT);
	at = fd < 0 ? fd : free_place(fd, store, keep, p);
	rc = at < 0 ? at : 0;
	rand_bytes(anchor, 32);
	if (rc == 0)
		rc = make_id(store, anchor, id);
	if (rc == 0) {
		memset(block, 0, PLACE);
		memcpy(p->magic, TEXT, 16);
		memcpy(p->store, store, 16);
		memcpy(p->id, id, KEYD_ANCHOR_ID);
		memcpy(p->anchor, anchor, 32);
		keyd_fault("anchor-write");
		rc = write_place(fd, (unsigned)at, block);
		keyd_fault("anchor-written");
	}
	if (rc == 0)
		rc = sync_folder(path);
	if (fd >= 0)
		close(fd);
	secret_free(block, PLACE);
	return rc;
}

/* Random bytes first, so that a medium that compresses or remembers zeros writes something. */
static int overwrite(int fd, unsigned i, uint8_t *block)
{
	int rc;

	rand_bytes(block, PLACE);
	rc = write_place(fd, i, block);
	memset(block, 0, PLACE);
	return rc < 0 ? rc : write_place(fd, i, block);
}

int keyd_anchor_erase(const char *path, const uint8_t store[16], const uint8_t keep[KEYD_ANCHOR_ID])
{
	uint8_t *block = secret_alloc(PLACE);
	struct place *p = (struct place *)block;
	int fd, rc = 0;

	if (!block)
		return ERR_NOMEM;
	fd = open_file(path, 0);
	if (fd < 0)
		rc = fd;
	for (unsigned i = 0; rc == 0 && i < PLACES; i++) {
		rc = read_place(fd, i, p);
		if (rc < 0 || memcmp(p->magic, TEXT, 16) || memcmp(p->store, store, 16) ||
		    !memcmp(p->id, keep, KEYD_ANCHOR_ID))
			continue;
		keyd_fault("anchor-erase");
		rc = overwrite(fd, i, block);
		keyd_fault("anchor-erased");
	}
	if (fd >= 0)
		close(fd);
	secret_free(block, PLACE);
	return rc;
}
