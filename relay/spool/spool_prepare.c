/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_prepare.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/rand.h"

#define ZERO_STEP (1u << 20) /* written and synced at a time: a commit never waits behind more */
#define NICE	  5

int spool_prepare_init(struct spool_prepare *p, const struct spool_io *io, int dir, uint32_t size)
{
	memset(p, 0, sizeof(*p));
	p->io = io;
	p->dir = dir;
	p->size = size;
	atomic_init(&p->hurry, 0);
	if (pthread_mutex_init(&p->lock, NULL))
		return ERR_NOMEM;
	if (pthread_cond_init(&p->work, NULL)) {
		pthread_mutex_destroy(&p->lock);
		return ERR_NOMEM;
	}
	if (pthread_cond_init(&p->done, NULL)) {
		pthread_cond_destroy(&p->work);
		pthread_mutex_destroy(&p->lock);
		return ERR_NOMEM;
	}
	return 0;
}

static struct spool_title new_title(const struct spool_prepare *p, uint32_t number)
{
	struct spool_title t = {{rand_u64() | 1, number}, p->size, clock_wall()};

	return t;
}

/* Zeros from the first record on; stops early when somebody waits. */
static int fill(struct spool_prepare *p, int fd)
{
	static const uint8_t zeros[64u << 10];
	struct iovec v[ZERO_STEP / sizeof(zeros)];
	uint32_t at = SPOOL_FIRST;
	size_t done;

	while (at < p->size && !atomic_load_explicit(&p->hurry, memory_order_relaxed)) {
		uint32_t n = 0;
		int count = 0, err;
		while (n < ZERO_STEP && at + n < p->size) {
			uint32_t left = p->size - at - n;
			v[count].iov_base = (void *)(uintptr_t)zeros;
			v[count].iov_len = left < sizeof(zeros) ? left : sizeof(zeros);
			n += (uint32_t)v[count++].iov_len;
		}
		err = spool_io_write(p->io, fd, v, count, at, &done);
		if (err < 0)
			return err;
		if (p->io->fdatasync(fd) < 0)
			return spool_io_error();
		at += n;
	}
	return 0;
}

static int make_file(struct spool_prepare *p, int fd, const struct spool_title *t, const char *from,
		     const char *to, int fresh)
{
	int err;

	/* not every file system can allocate: then the file grows as it is written */
	if (fresh && p->io->allocate(fd, t->size) < 0) {
		err = spool_io_error();
		if (err == ERR_NOSPACE || ftruncate(fd, t->size) < 0)
			return err;
	}
	err = spool_segment_title(p->io, fd, t);
	if (!err && fresh)
		err = fill(p, fd);
	if (err < 0)
		return err;
	if ((fresh ? p->io->fsync(fd) : p->io->fdatasync(fd)) < 0)
		return spool_io_error();
	/* the name last: a file called .seg is ready, or was once */
	if (p->io->rename(p->dir, from, to) < 0 || p->io->fsync(p->dir) < 0)
		return spool_io_error();
	return 0;
}

/* One file, made new or from a kept one (its old number; 0: new). */
static struct spool_segment *make(struct spool_prepare *p, uint32_t number, uint32_t kept, int *err)
{
	char from[SPOOL_NAME_SIZE], to[SPOOL_NAME_SIZE];
	struct spool_title t = new_title(p, number);
	struct spool_segment *g;
	int fd;

	spool_segment_name(from, kept ? kept : number, kept ? "free" : "new");
	spool_segment_name(to, number, "seg");
	if (!kept)
		p->io->unlink(p->dir, from);
	fd =
	    spool_segment_open(p->io, p->dir, from, kept ? O_RDWR : O_RDWR | O_CREAT | O_EXCL, err);
	if (fd < 0)
		return NULL;
	g = spool_segment_new(&t, fd);
	*err = g ? make_file(p, fd, &t, from, to, !kept) : ERR_NOMEM;
	if (!*err)
		return g;
	/* whichever name it has by now, nothing is in it */
	p->io->unlink(p->dir, from);
	p->io->unlink(p->dir, to);
	if (g)
		spool_segment_unref(g);
	else
		close(fd);
	return NULL;
}

struct spool_segment *spool_prepare_make(struct spool_prepare *p, uint32_t number, int *err)
{
	struct spool_segment *g = NULL;

	while (!g && p->kept_count)
		g = make(p, number, p->kept[--p->kept_count], err);
	atomic_store(&p->hurry, 1);
	if (!g)
		g = make(p, number, 0, err);
	atomic_store(&p->hurry, 0);
	return g;
}

void spool_prepare_found(struct spool_prepare *p, struct spool_segment *next)
{
	pthread_mutex_lock(&p->lock);
	p->next = next;
	pthread_mutex_unlock(&p->lock);
}

/* Keeps or removes; the caller holds the lock, or is alone. */
static void keep_or_remove(struct spool_prepare *p, const char *name, uint32_t number, int keep)
{
	char to[SPOOL_NAME_SIZE];

	spool_segment_name(to, number, "free");
	if (keep && p->kept_count < (p->spare ? SPOOL_KEEP_SPARE : SPOOL_KEEP) &&
	    p->io->rename(p->dir, name, to) == 0)
		p->kept[p->kept_count++] = number;
	else if (p->io->unlink(p->dir, name) < 0)
		/* it is read again at the next start, and put away then */
		log_event(LOG_LEVEL_WARN, NULL, "spool-segment-stays", "segment=%08x", number);
}

void spool_prepare_keep(struct spool_prepare *p, uint32_t number)
{
	char name[SPOOL_NAME_SIZE];

	spool_segment_name(name, number, "free");
	keep_or_remove(p, name, number, 1);
}

static void put_away(struct spool_prepare *p, struct spool_segment *g)
{
	char name[SPOOL_NAME_SIZE], aside[SPOOL_NAME_SIZE];

	spool_segment_name(name, g->mark.number, "seg");
	if (g->damaged) {
		spool_segment_name(aside, g->mark.number, "damaged");
		if (p->io->rename(p->dir, name, aside) == 0)
			log_event(LOG_LEVEL_WARN, NULL, "spool-quarantined", "segment=%08x file=%s",
				  g->mark.number, aside);
	} else {
		pthread_mutex_lock(&p->lock);
		keep_or_remove(p, name, g->mark.number, !g->bad && g->size == p->size);
		pthread_mutex_unlock(&p->lock);
	}
	spool_segment_unref(g);
}

/* Tries kept files first. Called with the lock, which is let go while the disk works. */
static void try_next(struct spool_prepare *p)
{
	struct spool_segment *g = NULL;
	uint32_t number = p->wanted;
	int err = 0;

	p->wanted = 0;
	p->busy = 1;
	do {
		uint32_t kept = p->kept_count ? p->kept[--p->kept_count] : 0;
		pthread_mutex_unlock(&p->lock);
		g = make(p, number, kept, &err);
		pthread_mutex_lock(&p->lock);
		if (!kept)
			break;
	} while (!g && !p->stop);
	p->busy = 0;
	p->next = g;
	p->error = g ? 0 : err;
	pthread_cond_broadcast(&p->done);
}

static void *run(void *arg)
{
	struct spool_prepare *p = arg;

	/* for the calling thread only, as Linux has it */
	setpriority(PRIO_PROCESS, 0, NICE);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		if (p->wanted && !p->stop) {
			try_next(p);
		} else if (p->away) {
			struct spool_segment *g = p->away;
			p->away = g->link;
			pthread_mutex_unlock(&p->lock);
			put_away(p, g);
			pthread_mutex_lock(&p->lock);
		} else if (p->stop) {
			break;
		} else {
			pthread_cond_wait(&p->work, &p->lock);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int spool_prepare_start(struct spool_prepare *p)
{
	if (pthread_create(&p->thread, NULL, run, p))
		return ERR_NOMEM;
	p->running = 1;
	return 0;
}

void spool_prepare_clear(struct spool_prepare *p)
{
	if (p->running) {
		pthread_mutex_lock(&p->lock);
		p->stop = 1;
		atomic_store(&p->hurry, 1);
		pthread_cond_signal(&p->work);
		pthread_mutex_unlock(&p->lock);
		pthread_join(p->thread, NULL);
	}
	while (p->away) {
		struct spool_segment *g = p->away;
		p->away = g->link;
		spool_segment_unref(g);
	}
	spool_segment_unref(p->next);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->done);
	pthread_mutex_destroy(&p->lock);
}

void spool_prepare_ask(struct spool_prepare *p, uint32_t number)
{
	pthread_mutex_lock(&p->lock);
	if (!p->next && !p->busy && !p->wanted) {
		p->wanted = number;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
}

struct spool_segment *spool_prepare_take(struct spool_prepare *p, uint32_t number, int *err)
{
	struct spool_segment *g;

	pthread_mutex_lock(&p->lock);
	if (!p->next) {
		atomic_store(&p->hurry, 1);
		if (!p->busy) {
			p->wanted = number;
			pthread_cond_signal(&p->work);
		}
		while (p->busy || p->wanted)
			pthread_cond_wait(&p->done, &p->lock);
		atomic_store(&p->hurry, 0);
	}
	g = p->next;
	p->next = NULL;
	*err = g ? 0 : p->error;
	pthread_mutex_unlock(&p->lock);
	return g;
}

void spool_prepare_spare(struct spool_prepare *p, int spare)
{
	char name[SPOOL_NAME_SIZE];

	pthread_mutex_lock(&p->lock);
	p->spare = spare;
	while (spare && p->kept_count > SPOOL_KEEP_SPARE) {
		spool_segment_name(name, p->kept[--p->kept_count], "free");
		p->io->unlink(p->dir, name);
	}
	pthread_mutex_unlock(&p->lock);
}

void spool_prepare_put_away(struct spool_prepare *p, struct spool_segment *g)
{
	pthread_mutex_lock(&p->lock);
	g->link = p->away;
	p->away = g;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}
