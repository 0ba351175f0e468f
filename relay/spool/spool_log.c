/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/spool/spool_check.h"
#include "relay/spool/spool_compact.h"
#include "relay/spool/spool_recover.h"

#define ASK_AT(size) ((size) / 8) /* so much of a segment used: have the next one made */

const struct spool_options spool_options_default = {
    .io = &spool_io_system,
    .segment_size = SPOOL_SEGMENT_SIZE,
    .lazy = CLOCK_SEC,
    .look = CLOCK_SEC,
    .pace = 4,
};

/* --- the thread */

/* How long the thread may sleep; <0: until somebody posts. */
static int64_t patience(const struct spool_log *s)
{
	int64_t left = -1, due;

	if (s->dirty) {
		left = s->dirty_since + s->options.lazy - clock_mono();
		left = left < 0 ? 0 : left;
	}
	if ((atomic_load(&s->trouble) || s->current->bad) && (left < 0 || left > s->options.look))
		left = s->options.look;
	due = spool_compact_due(s);
	if (due >= 0) {
		due -= clock_mono();
		due = due < 0 ? 0 : due;
		left = left < 0 || due < left ? due : left;
	}
	return left;
}

/* Once per segment, and now and then again if that failed. */
static void ask_ahead(struct spool_log *s)
{
	uint32_t number = s->current->mark.number;

	if (s->current->bad || s->current->end < ASK_AT(s->current->size) ||
	    (s->asked_after == number && s->now - s->asked < s->options.look))
		return;
	s->asked_after = number;
	s->asked = s->now;
	spool_prepare_ask(&s->prepare, s->highest + 1);
}

static int one_round(struct spool_log *s, struct evt_msg *batch)
{
	int more;

	s->now = clock_mono();
	s->wall = clock_wall();
	if (batch || atomic_load(&s->trouble))
		spool_write_look(s);
	while (batch) {
		struct evt_msg *m = batch;
		batch = batch->next;
		if (m == &s->stop.msg)
			s->stopping = 1;
		else
			spool_commit_take(s, (struct spool_job *)m);
	}
	spool_write_flush(s);
	spool_commit_reply(s); /* PARTs and STATEs need not wait for the disk */
	if (s->waiting || (s->dirty && s->now - s->dirty_since >= s->options.lazy)) {
		spool_write_sync(s);
		spool_commit_reply(s);
	}
	ask_ahead(s);
	spool_compact_step(s);
	more = spool_check_step(s);
	atomic_store_explicit(&s->number.alive, s->set.live, memory_order_relaxed);
	spool_commit_reply(s);
	return more;
}

static void *run(void *arg)
{
	struct spool_log *s = arg;
	int more = 0;

	while (!s->stopping) {
		int64_t left = more ? 0 : patience(s);
		if (left)
			log_flush();
		more = one_round(s, evt_inbox_wait(s->inbox, left));
	}
	spool_compact_stop(s);
	spool_write_sync(s);
	if (!s->options.no_final_check)
		spool_check_all(s);
	spool_commit_reply(s);
	log_flush();
	return NULL;
}

/* --- open and close */

static int open_dir(struct spool_log *s, const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_from_errno(errno);
	s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->dir < 0)
		return errno == ELOOP || errno == ENOTDIR ? ERR_DENIED : err_from_errno(errno);
	if (fstat(s->dir, &st) < 0)
		return ERR_IO;
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return ERR_DENIED;
	s->lock = spool_segment_open(s->io, s->dir, "lock", O_RDWR | O_CREAT, &(int){0});
	if (s->lock < 0)
		return ERR_DENIED;
	return flock(s->lock, LOCK_EX | LOCK_NB) < 0 ? ERR_BUSY : 0;
}

static struct spool_log *new_log(const struct spool_options *options, struct spool_floor floor)
{
	struct spool_log *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->options = *options;
	s->io = options->io;
	s->floor = floor;
	s->dir = s->lock = -1;
	s->inbox = evt_inbox_new(NULL, NULL, NULL);
	s->group.arena = malloc(SPOOL_GROUP_ARENA);
	if (!s->inbox || !s->group.arena || spool_live_init(&s->live) < 0)
		goto fail;
	if (spool_segment_set_init(&s->set) < 0)
		goto fail_live;
	if (pthread_mutex_init(&s->where, NULL))
		goto fail_set;
	if (spool_prepare_init(&s->prepare, s->io, -1, options->segment_size) == 0)
		return s;
	pthread_mutex_destroy(&s->where);
fail_set:
	spool_segment_set_clear(&s->set);
fail_live:
	spool_live_clear(&s->live);
fail:
	evt_inbox_free(s->inbox);
	free(s->group.arena);
	free(s);
	return NULL;
}

static void free_log(struct spool_log *s)
{
	spool_prepare_clear(&s->prepare);
	spool_compact_stop(s);
	spool_segment_set_clear(&s->set);
	spool_live_clear(&s->live);
	pthread_mutex_destroy(&s->where);
	evt_inbox_free(s->inbox);
	free(s->group.arena);
	if (s->lock >= 0)
		close(s->lock);
	if (s->dir >= 0)
		close(s->dir);
	free(s);
}

/* A segment to write to: the recovered one if it is sound, else a new one. */
static int have_current(struct spool_log *s, int fresh)
{
	struct spool_segment *g;
	int err = 0;

	s->now = clock_mono();
	s->wall = clock_wall();
	if (!s->current) {
		g = spool_prepare_make(&s->prepare, s->highest + 1, &err);
		if (!g)
			return err;
		s->highest = g->mark.number;
		err = spool_segment_set_add(&s->set, g);
		if (err) {
			spool_segment_unref(g);
			return err;
		}
		s->current = g;
	}
	/* another process may have left bytes there that no sync covers */
	if (s->io->fdatasync(s->current->fd) < 0)
		return spool_io_error();
	s->started = s->current->stable;
	err = spool_prepare_start(&s->prepare);
	if (!err && fresh)
		err = spool_write_next(s);
	if (!err && fresh)
		spool_write_sync(s);
	return err ? err : s->current->bad ? ERR_IO : 0;
}

static void count_segments(struct spool_log *s)
{
	uint64_t used = 0;

	for (size_t i = 0; i < s->set.count; i++)
		used += s->set.all[i]->size;
	atomic_store(&s->number.segments, s->set.count);
	atomic_store(&s->number.used, used);
	atomic_store(&s->number.live, s->live.committed);
	atomic_store(&s->number.alive, s->set.live);
}

static int start(struct spool_log *s, const char *dir,
		 void (*found)(void *arg, const struct spool_found *f), void *arg,
		 struct spool_report *report)
{
	int fresh = 0, err;

	err = open_dir(s, dir);
	s->prepare.dir = s->dir;
	if (!err)
		err = spool_recover(s, report, &fresh);
	count_segments(s);
	if (!err)
		err = have_current(s, fresh);
	if (err)
		return err;
	count_segments(s);
	atomic_store(&s->number.damaged, report->damaged_records);
	spool_write_look(s);
	s->freed = s->compact.stale = 1;
	if (found)
		err = spool_recover_tell(s, found, arg);
	if (err)
		return err;
	if (pthread_create(&s->thread, NULL, run, s))
		return ERR_NOMEM;
	s->running = 1;
	return 0;
}

struct spool_log *spool_log_open_with(const char *dir, struct spool_floor floor,
				      void (*found)(void *arg, const struct spool_found *f),
				      void *arg, struct spool_report *report, int *err,
				      const struct spool_options *options)
{
	struct spool_report unread;
	struct spool_log *s = new_log(options, floor);

	*err = s ? start(s, dir, found, arg, report ? report : &unread) : ERR_NOMEM;
	if (*err && s) {
		free_log(s);
		s = NULL;
	}
	return s;
}

struct spool_log *spool_log_open(const char *dir, struct spool_floor floor,
				 void (*found)(void *arg, const struct spool_found *f), void *arg,
				 struct spool_report *report, int *err)
{
	return spool_log_open_with(dir, floor, found, arg, report, err,
				   &spool_options_default);
}

void spool_log_stop(struct spool_log *s)
{
	if (!s->running)
		return;
	evt_inbox_post(s->inbox, &s->stop.msg);
	pthread_join(s->thread, NULL);
	s->running = 0;
}

void spool_log_close(struct spool_log *s)
{
	if (!s)
		return;
	spool_log_stop(s);
	free_log(s);
}

/* --- any thread */

void spool_log_post(struct spool_log *s, struct spool_job *j)
{
	evt_inbox_post(s->inbox, &j->msg.msg);
}

int spool_log_ready(const struct spool_log *s)
{
	return atomic_load_explicit(&s->trouble, memory_order_relaxed);
}

void spool_log_numbers(struct spool_log *s, struct spool_numbers *out)
{
	*out = (struct spool_numbers){
	    .segments = atomic_load(&s->number.segments),
	    .live_messages = atomic_load(&s->number.live),
	    .bytes_used = atomic_load(&s->number.used),
	    .bytes_free = atomic_load(&s->number.free),
	    .inodes_free = atomic_load(&s->number.inodes),
	    .bytes_live = atomic_load(&s->number.alive),
	    .moved = atomic_load(&s->number.moved),
	    .quarantined = atomic_load(&s->number.quarantined),
	    .syncs = atomic_load(&s->number.syncs),
	    .sync_usec_max = atomic_load(&s->number.sync_max),
	    .damaged = atomic_load(&s->number.damaged),
	    .dirty = atomic_load(&s->dirty),
	};
}
