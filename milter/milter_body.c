/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "seal/seal_chunk.h"

struct overflow {
	int fd;
	struct seal_chunk *seal;
	uint8_t *key;  /* SEAL_CHUNK_KEY, locked */
	uint64_t next; /* chunk to be written */
	size_t used;   /* of plain */
	uint8_t plain[SEAL_CHUNK_PLAIN];
	uint8_t sealed[SEAL_CHUNK_SEALED];
};

struct milter_body {
	const char *dir;
	struct buf memory;
	struct overflow *over; /* NULL: all fits into memory */
	uint64_t size;
	int failed;
	/* reading */
	int memory_read;
	uint64_t at; /* chunk */
};

struct milter_body *milter_body_new(const char *dir)
{
	struct milter_body *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->dir = dir;
	buf_init_wiped(&b->memory, MILTER_BODY_MEMORY);
	return b;
}

static void overflow_free(struct overflow *o)
{
	if (!o)
		return;
	if (o->fd >= 0)
		close(o->fd);
	seal_chunk_free(o->seal);
	secret_free(o->key, SEAL_CHUNK_KEY);
	secret_wipe(o, sizeof(*o));
	free(o);
}

void milter_body_free(struct milter_body *b)
{
	if (!b)
		return;
	overflow_free(b->over);
	buf_clear(&b->memory);
	free(b);
}

/* A file that no directory names; where the file system knows no such thing, one whose name goes at once. */
static int nameless(const char *dir)
{
	char path[4096];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	if (snprintf(path, sizeof(path), "%s/body.XXXXXX", dir) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int overflow_new(const char *dir, struct overflow **out)
{
	struct overflow *o = malloc(sizeof(*o));
	int err = ERR_NOMEM;

	if (!o)
		return ERR_NOMEM;
	o->next = 0;
	o->used = 0;
	o->fd = -1;
	o->seal = seal_chunk_new();
	o->key = secret_alloc(SEAL_CHUNK_KEY);
	if (o->seal && o->key) {
		rand_bytes(o->key, SEAL_CHUNK_KEY);
		err = seal_chunk_set_key(o->seal, o->key);
	}
	if (err == 0) {
		o->fd = nameless(dir);
		err = o->fd < 0 ? err_from_errno(errno) : 0;
	}
	if (err < 0)
		overflow_free(o);
	else
		*out = o;
	return err;
}

static int write_chunk(struct overflow *o)
{
	size_t n = o->used + SEAL_CHUNK_TAG, done = 0;
	int err = seal_chunk_seal(o->seal, o->next, o->plain, o->used, o->sealed);

	while (err == 0 && done < n) {
		ssize_t w = pwrite(o->fd, o->sealed + done, n - done,
				   (off_t)(o->next * SEAL_CHUNK_SEALED + done));
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			err = w < 0 ? err_from_errno(errno) : ERR_IO;
		else
			done += (size_t)w;
	}
	o->next++;
	o->used = 0;
	return err;
}

static int put_over(struct milter_body *b, struct span s)
{
	int err = b->over ? 0 : overflow_new(b->dir, &b->over);

	while (err == 0 && s.n) {
		struct overflow *o = b->over;
		size_t n = SEAL_CHUNK_PLAIN - o->used;

		if (n > s.n)
			n = s.n;
		memcpy(o->plain + o->used, s.p, n);
		o->used += n;
		s = span_sub(s, n, s.n);
		if (o->used == SEAL_CHUNK_PLAIN)
			err = write_chunk(o);
	}
	return err;
}

int milter_body_put(struct milter_body *b, struct span s)
{
	size_t room = buf_room(&b->memory), n = s.n < room ? s.n : room;

	if (b->failed)
		return b->failed;
	b->size += s.n;
	b->failed = buf_put_span(&b->memory, span_sub(s, 0, n));
	if (b->failed == 0 && n < s.n)
		b->failed = put_over(b, span_sub(s, n, s.n));
	return b->failed;
}

int milter_body_end(struct milter_body *b)
{
	if (b->failed == 0 && b->over)
		b->failed = write_chunk(b->over); /* shorter than the others: the end mark */
	milter_body_rewind(b);
	return b->failed;
}

uint64_t milter_body_size(const struct milter_body *b)
{
	return b->size;
}

void milter_body_rewind(struct milter_body *b)
{
	b->memory_read = 0;
	b->at = 0;
}

static int read_chunk(struct milter_body *b, struct span *out)
{
	struct overflow *o = b->over;
	uint64_t over = b->size - buf_size(&b->memory), from = b->at * SEAL_CHUNK_PLAIN;
	size_t plain = over - from < SEAL_CHUNK_PLAIN ? (size_t)(over - from) : SEAL_CHUNK_PLAIN;
	size_t n = plain + SEAL_CHUNK_TAG, done = 0;
	int err;

	while (done < n) {
		ssize_t r = pread(o->fd, o->sealed + done, n - done,
				  (off_t)(b->at * SEAL_CHUNK_SEALED + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? err_from_errno(errno) : ERR_DAMAGED;
		done += (size_t)r;
	}
	err = seal_chunk_open(o->seal, b->at, o->sealed, n, o->plain);
	if (err < 0)
		return err;
	b->at++;
	*out = span_of(o->plain, plain);
	return plain > 0;
}

int milter_body_next(struct milter_body *b, struct span *out)
{
	if (b->failed)
		return b->failed;
	if (!b->memory_read && buf_size(&b->memory)) {
		b->memory_read = 1;
		*out = buf_span(&b->memory);
		return 1;
	}
	return b->over && b->at < b->over->next ? read_chunk(b, out) : 0;
}
