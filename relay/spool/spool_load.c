/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "core/num.h"

static int add_name(struct spool_names *n, uint32_t number)
{
	if (n->count == n->room) {
		size_t room = n->room ? 2 * n->room : 64;
		uint32_t *more = realloc(n->all, room * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		n->all = more;
		n->room = room;
	}
	n->all[n->count++] = number;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int list(struct spool_load *v)
{
	int fd = openat(v->s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	uint32_t number;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	errno = 0;
	while (!err && (e = readdir(d))) {
		if (spool_segment_number(e->d_name, "seg", &number))
			err = add_name(&v->segments, number);
		else if (spool_segment_number(e->d_name, "free", &number))
			err = add_name(&v->kept, number);
		else if (spool_segment_number(e->d_name, "new", &number))
			v->s->io->unlink(v->s->dir, e->d_name);
		else if (!spool_segment_number(e->d_name, "damaged", &number))
			continue;
		if (number > v->s->highest)
			v->s->highest = number;
	}
	if (!err && errno)
		err = ERR_IO;
	closedir(d);
	if (v->segments.count)
		qsort(v->segments.all, v->segments.count, sizeof(uint32_t), by_number);
	return err;
}

void spool_load_rename(struct spool_log *s, uint32_t number, const char *suffix)
{
	char from[SPOOL_NAME_SIZE], to[SPOOL_NAME_SIZE];

	spool_segment_name(from, number, "seg");
	spool_segment_name(to, number, suffix);
	s->io->rename(s->dir, from, to);
}

/* Without a title, the first record still tells in which life of the file it was written. */
static int guess_title(struct spool_load *v, int fd, uint32_t size, struct spool_title *t)
{
	uint8_t buf[SPOOL_HEAD + SPOOL_CLOSE_SIZE];
	struct spool_record r;
	struct span b = {buf, sizeof(buf)};

	if (spool_io_read(v->s->io, fd, buf, sizeof(buf), SPOOL_FIRST) < 0)
		return ERR_DAMAGED;
	t->mark.nonce = num_get_u64(buf);
	t->size = size & ~(SPOOL_PAGE - 1);
	t->created = 0;
	return spool_record_get(&r, &t->mark, SPOOL_FIRST, t->size, b) > 0 ? 0 : ERR_DAMAGED;
}

/* What kind of file it is: 0 a segment, ERR_NOTFOUND none that is in use, ERR_DAMAGED. */
static int read_title(struct spool_load *v, int fd, uint32_t number, uint32_t size,
		      struct spool_title *t, int *damaged)
{
	uint8_t page[SPOOL_PAGE];
	int err;

	*damaged = 0;
	err = spool_io_read(v->s->io, fd, page, sizeof(page), 0);
	if (!err)
		err = spool_record_get_title(page, t);
	if (!err && t->mark.number != number)
		err = ERR_NOTFOUND;
	if (!err || err == ERR_NOTFOUND)
		return err;
	*damaged = 1;
	t->mark.number = number;
	return guess_title(v, fd, size, t);
}

static int load(struct spool_load *v, uint32_t number)
{
	struct spool_log *s = v->s;
	char name[SPOOL_NAME_SIZE];
	struct spool_title t;
	struct spool_segment *g;
	struct stat st;
	int err, damaged, fd;

	spool_segment_name(name, number, "seg");
	fd = spool_segment_open(s->io, s->dir, name, O_RDWR, &err);
	if (fd < 0 || fstat(fd, &st) < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "spool-refused", "file=%s reason=\"%s\"", name,
			  err_text(fd < 0 ? err : ERR_IO));
		if (fd >= 0)
			close(fd);
		return fd < 0 ? err : ERR_IO;
	}
	err = read_title(v, fd, number, (uint32_t)st.st_size, &t, &damaged);
	if (damaged) {
		v->report->damaged_records++;
		log_event(LOG_LEVEL_ERROR, NULL, "spool-damaged",
			  "segment=%08x offset=0 bytes=%u kind=title readable=%s", number,
			  SPOOL_PAGE, err ? "no" : "yes");
	}
	if (err) {
		close(fd);
		spool_load_rename(s, number, err == ERR_NOTFOUND ? "free" : "damaged");
		return err == ERR_NOTFOUND ? add_name(&v->kept, number) : 0;
	}
	g = spool_segment_new(&t, fd);
	if (!g) {
		close(fd);
		return ERR_NOMEM;
	}
	g->damaged = (uint8_t)damaged;
	/* where reading must stop, until more is known */
	atomic_store(&g->end, st.st_size < t.size ? (uint32_t)st.st_size : t.size);
	err = spool_segment_set_add(&s->set, g);
	if (err)
		spool_segment_unref(g);
	return err;
}

void spool_load_kept(struct spool_load *v)
{
	for (size_t i = 0; i < v->kept.count; i++) {
		char name[SPOOL_NAME_SIZE];
		struct stat st;
		int err, fd;
		spool_segment_name(name, v->kept.all[i], "free");
		fd = spool_segment_open(v->s->io, v->s->dir, name, O_RDWR, &err);
		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == v->s->options.segment_size)
			spool_prepare_keep(&v->s->prepare, v->kept.all[i]);
		else
			v->s->io->unlink(v->s->dir, name);
		if (fd >= 0)
			close(fd);
	}
}

/* The CLOSEs that stand first in a segment. 1 if there was one; *last is the last. */
static int read_closings(struct spool_load *v, const struct spool_segment *g,
			 struct spool_close *last)
{
	uint8_t buf[SPOOL_CLOSINGS_MAX * (SPOOL_HEAD + SPOOL_CLOSE_SIZE)];
	uint32_t offset = SPOOL_FIRST, at = 0, n = sizeof(buf);
	struct spool_segment *closed;
	struct spool_record r;
	int any = 0;

	if (g->end < SPOOL_FIRST + n)
		n = g->end > SPOOL_FIRST ? g->end - SPOOL_FIRST : 0;
	if (!n || spool_segment_read(v->s->io, v->s->dir, g, buf, n, SPOOL_FIRST) < 0)
		return 0;
	while (spool_record_get(&r, &g->mark, offset + at, g->size, span_of(buf + at, n - at)) >
		   0 &&
	       r.kind == SPOOL_CLOSE && spool_record_get_close(buf + at + SPOOL_HEAD, last) == 0) {
		any = 1;
		at += spool_record_size(&r);
		closed = spool_segment_set_find(&v->s->set, last->mark.number);
		if (closed && closed->mark.nonce == last->mark.nonce && last->end <= closed->size) {
			closed->closed = last->end;
			closed->stable = last->stable;
		}
	}
	return any;
}

/* Where the last checkpoint that a CLOSE names began; segment 0: from the very beginning. */
struct spool_close spool_load_check(struct spool_load *v)
{
	struct spool_close c, newest = {0};

	for (size_t i = 0; i < v->s->set.count; i++)
		if (read_closings(v, v->s->set.all[i], &c))
			newest = c;
	return newest;
}

int spool_load_segments(struct spool_load *v)
{
	int err = list(v);

	for (size_t i = 0; !err && i < v->segments.count; i++)
		err = load(v, v->segments.all[i]);
	return err;
}

void spool_load_clear(struct spool_load *v)
{
	free(v->segments.all);
	free(v->kept.all);
}
