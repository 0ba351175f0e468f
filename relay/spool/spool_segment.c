/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"

void spool_segment_name(char name[SPOOL_NAME_SIZE], uint32_t number, const char *suffix)
{
	snprintf(name, SPOOL_NAME_SIZE, "%08x.%s", (unsigned)number, suffix);
}

int spool_segment_number(const char *name, const char *suffix, uint32_t *number)
{
	char again[SPOOL_NAME_SIZE];
	unsigned v;

	if (strlen(name) < 8 || sscanf(name, "%8x", &v) != 1)
		return 0;
	spool_segment_name(again, v, suffix);
	*number = v;
	return v && !strcmp(name, again);
}

struct spool_segment *spool_segment_new(const struct spool_title *t, int fd)
{
	struct spool_segment *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->mark = t->mark;
	g->size = t->size;
	g->created = t->created;
	g->fd = fd;
	g->stable = SPOOL_FIRST;
	atomic_init(&g->refs, 1);
	atomic_init(&g->end, SPOOL_FIRST);
	return g;
}

void spool_segment_unref(struct spool_segment *g)
{
	if (!g || atomic_fetch_sub(&g->refs, 1) != 1)
		return;
	if (g->fd >= 0)
		close(g->fd);
	free(g);
}

int spool_segment_open(const struct spool_io *io, int dir, const char *name, int flags, int *err)
{
	struct stat st;
	int fd = io->open(dir, name, flags | O_NONBLOCK, 0600);

	if (fd < 0) {
		*err = errno == ENOENT ? ERR_NOTFOUND
		       : errno == ELOOP || errno == EACCES || errno == EPERM || errno == ENXIO
			   ? ERR_DENIED
			   : spool_io_error();
		return -1;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
	    st.st_uid != geteuid() || (st.st_mode & 077)) {
		close(fd);
		*err = ERR_DENIED;
		return -1;
	}
	return fd;
}

int spool_segment_title(const struct spool_io *io, int fd, const struct spool_title *t)
{
	uint8_t page[SPOOL_PAGE];
	struct iovec v = {page, sizeof(page)};
	size_t done;

	spool_record_put_title(page, t);
	return spool_io_write(io, fd, &v, 1, 0, &done);
}

int spool_segment_readv(const struct spool_io *io, int dir, const struct spool_segment *g,
			struct iovec *v, int count, uint32_t offset)
{
	char name[SPOOL_NAME_SIZE];
	int fd, err;

	if (g->fd >= 0)
		return spool_io_readv(io, g->fd, v, count, offset);
	spool_segment_name(name, g->mark.number, "seg");
	fd = spool_segment_open(io, dir, name, O_RDONLY, &err);
	if (fd < 0)
		return err;
	err = spool_io_readv(io, fd, v, count, offset);
	close(fd);
	return err;
}

int spool_segment_read(const struct spool_io *io, int dir, const struct spool_segment *g, void *p,
		       size_t n, uint32_t offset)
{
	struct iovec v = {p, n};

	return spool_segment_readv(io, dir, g, &v, 1, offset);
}

int spool_segment_set_init(struct spool_segment_set *set)
{
	memset(set, 0, sizeof(*set));
	return pthread_rwlock_init(&set->lock, NULL) ? ERR_NOMEM : 0;
}

void spool_segment_set_clear(struct spool_segment_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		spool_segment_unref(set->all[i]);
	free(set->all);
	set->all = NULL;
	set->count = set->room = 0;
	pthread_rwlock_destroy(&set->lock);
}

/* Index of the first one whose number is not below. */
static size_t lower(const struct spool_segment_set *set, uint32_t number)
{
	size_t lo = 0, hi = set->count;

	/* almost always one of the newest two is wanted */
	if (hi > 1 && set->all[hi - 2]->mark.number < number)
		lo = hi - 1;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (set->all[mid]->mark.number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Under the write lock nobody can take a new reference, so one that is alone stays so. */
static void close_old(struct spool_segment_set *set)
{
	size_t n = set->count > SPOOL_FDS_MAX ? set->count - SPOOL_FDS_MAX : 0;

	while (n-- > 0 && set->all[n]->fd >= 0) {
		if (atomic_load(&set->all[n]->refs) > 1)
			continue;
		close(set->all[n]->fd);
		set->all[n]->fd = -1;
	}
}

int spool_segment_set_add(struct spool_segment_set *set, struct spool_segment *g)
{
	int err = 0;

	pthread_rwlock_wrlock(&set->lock);
	if (set->count == set->room) {
		size_t room = set->room ? 2 * set->room : 16;
		struct spool_segment **more = realloc(set->all, room * sizeof(*more));
		if (more) {
			set->all = more;
			set->room = room;
		} else {
			err = ERR_NOMEM;
		}
	}
	if (!err) {
		set->all[set->count++] = g;
		close_old(set);
	}
	pthread_rwlock_unlock(&set->lock);
	return err;
}

void spool_segment_set_remove(struct spool_segment_set *set, struct spool_segment *g)
{
	size_t i;

	pthread_rwlock_wrlock(&set->lock);
	i = lower(set, g->mark.number);
	memmove(set->all + i, set->all + i + 1, (--set->count - i) * sizeof(*set->all));
	pthread_rwlock_unlock(&set->lock);
}

struct spool_segment *spool_segment_set_find(const struct spool_segment_set *set, uint32_t number)
{
	size_t i = lower(set, number);

	return i < set->count && set->all[i]->mark.number == number ? set->all[i] : NULL;
}

void spool_segment_set_hold(struct spool_segment_set *set, struct spool_segment *g, unsigned pins,
			    uint32_t bytes)
{
	g->pins += pins;
	g->live += bytes;
	set->live += bytes;
}

void spool_segment_set_pin(struct spool_segment_set *set, uint32_t number, uint32_t bytes)
{
	struct spool_segment *g = spool_segment_set_find(set, number);

	if (g)
		spool_segment_set_hold(set, g, 1, bytes);
}

int spool_segment_set_unpin(struct spool_segment_set *set, uint32_t number, uint32_t bytes)
{
	struct spool_segment *g = spool_segment_set_find(set, number);

	if (!g)
		return 0;
	g->live -= bytes;
	set->live -= bytes;
	return --g->pins == 0;
}

struct spool_segment *spool_segment_set_get(struct spool_segment_set *set, uint32_t number)
{
	struct spool_segment *g;

	pthread_rwlock_rdlock(&set->lock);
	g = spool_segment_set_find(set, number);
	if (g)
		atomic_fetch_add(&g->refs, 1);
	pthread_rwlock_unlock(&set->lock);
	return g;
}

struct spool_segment *spool_segment_set_next(struct spool_segment_set *set, uint32_t after)
{
	struct spool_segment *g = NULL;
	size_t i;

	pthread_rwlock_rdlock(&set->lock);
	i = lower(set, after + 1);
	if (i < set->count) {
		g = set->all[i];
		atomic_fetch_add(&g->refs, 1);
	}
	pthread_rwlock_unlock(&set->lock);
	return g;
}
