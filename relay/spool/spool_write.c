/* SPDX-License-Identifier: Apache-2.0 */
/* Records become bytes on the disk. What must hold:
 *   - a segment is synced before the next one is begun, so a later sync covers all earlier records;
 *   - after a failed write or sync nothing behind the last good sync counts: the segment is left,
 * the CLOSE in the next one says where it ends, and that is stable before anybody hears of the
 * failure, unless no next one can be written either. */
#include <fcntl.h>
#include <stdio.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/spool/spool_log_own.h"

#define EARLY (1u << 20) /* unsynced bytes after which the kernel begins to write */
#define TRIES 2

static const uint8_t zeros[64u << 10];

/* --- trouble: why new mail is refused */

static void set_trouble(struct spool_log *s, int err)
{
	int before = atomic_exchange(&s->trouble, err);
	char room[160];

	if (err == before)
		return;
	snprintf(room, sizeof(room), "free=%llu floor=%llu inodes=%lld inode_floor=%llu",
		 (unsigned long long)atomic_load(&s->number.free), (unsigned long long)s->floor.bytes,
		 (long long)atomic_load(&s->number.inodes), (unsigned long long)s->floor.inodes);
	if (err)
		log_event(LOG_LEVEL_WARN, NULL, err == ERR_NOSPACE ? "spool-full" : "spool-broken",
			  "%s reason=\"%s\"", room, err_text(err));
	else
		log_event(LOG_LEVEL_WARN, NULL, "spool-ready", "%s", room);
	/* files that are kept for later are room for others, too */
	spool_prepare_spare(&s->prepare, err == ERR_NOSPACE);
}

/* --- segments */

static void add_closing(struct spool_log *s, const struct spool_segment *g)
{
	struct spool_close *c = &s->closings[s->closing_count];

	if (s->closing_count == SPOOL_CLOSINGS_MAX)
		return; /* new_segment has refused before */
	s->closing_count++;
	c->mark = g->mark;
	c->end = g->bad ? g->stable : g->end;
	c->stable = g->stable;
}

static void give_up_segment(struct spool_log *s)
{
	s->current->bad = 1;
	s->dirty = 0;
	add_closing(s, s->current);
	atomic_store(&s->current->end, s->current->stable);
}

/* The first records of a segment: where those before it end. Written at once. */
static int write_closings(struct spool_log *s, struct spool_segment *g)
{
	uint8_t buf[SPOOL_CLOSINGS_MAX * (SPOOL_HEAD + SPOOL_CLOSE_SIZE)], *p = buf;
	struct iovec v = {buf, 0};
	size_t done;
	int err;

	for (unsigned i = 0; i < s->closing_count; i++) {
		struct spool_record r = {.kind = SPOOL_CLOSE,
					 .time = s->wall,
					 .stable = SPOOL_FIRST,
					 .meta = SPOOL_CLOSE_SIZE};
		s->closings[i].check = s->check.done;
		s->closings[i].check_records = s->check.done_records;
		spool_record_put_close(p + SPOOL_HEAD, &s->closings[i]);
		spool_record_put(p, &g->mark, SPOOL_FIRST + (uint32_t)(p - buf), &r);
		p += spool_record_size(&r);
	}
	v.iov_len = (size_t)(p - buf);
	err = v.iov_len ? spool_io_write(s->io, g->fd, &v, 1, SPOOL_FIRST, &done) : 0;
	if (err)
		return err;
	atomic_store(&g->end, SPOOL_FIRST + (uint32_t)(p - buf));
	s->closing_written = s->closing_count;
	return 0;
}

static void mark_dirty(struct spool_log *s)
{
	if (s->dirty)
		return;
	s->dirty = 1;
	s->dirty_since = s->now;
}

/* Takes the next segment; the current one is synced, or bad. */
static int new_segment(struct spool_log *s)
{
	struct spool_segment *old = s->current, *g;
	int err = 0;

	if (s->closing_count + 1 >= SPOOL_CLOSINGS_MAX)
		return ERR_IO;
	g = spool_prepare_take(&s->prepare, s->highest + 1, &err);
	if (g && spool_segment_set_add(&s->set, g) < 0) {
		spool_prepare_found(&s->prepare, g);
		g = NULL;
		err = ERR_NOMEM;
	}
	if (!g) {
		s->tried = s->now;
		return err;
	}
	if (!old->bad) /* a bad one is among the closings since it went bad */
		add_closing(s, old);
	s->current = g;
	if (g->mark.number > s->highest)
		s->highest = g->mark.number;
	s->started = SPOOL_FIRST;
	s->looked = 0;
	s->freed = 1;
	atomic_fetch_add(&s->number.segments, 1);
	atomic_fetch_add(&s->number.used, g->size);
	err = write_closings(s, g);
	if (err) {
		log_event(LOG_LEVEL_ERROR, NULL, "spool-io-failed",
			  "op=write segment=%08x reason=\"%s\"", g->mark.number, err_text(err));
		give_up_segment(s);
		s->tried = s->now;
		return err;
	}
	mark_dirty(s);
	return 0;
}

static int sync_current(struct spool_log *s)
{
	struct spool_segment *g = s->current;
	int64_t before = clock_mono();
	uint64_t took;

	if (s->io->fdatasync(g->fd) < 0)
		return spool_io_error();
	took = (uint64_t)(clock_mono() - before);
	atomic_fetch_add_explicit(&s->number.syncs, 1, memory_order_relaxed);
	if (took > atomic_load_explicit(&s->number.sync_max, memory_order_relaxed))
		atomic_store_explicit(&s->number.sync_max, took, memory_order_relaxed);
	g->stable = g->end;
	s->dirty = 0;
	s->started = g->stable;
	/* what this segment says of others is now certain */
	memmove(s->closings, s->closings + s->closing_written,
		(s->closing_count - s->closing_written) * sizeof(s->closings[0]));
	s->closing_count -= s->closing_written;
	s->closing_written = 0;
	return 0;
}

/* --- failure */

/* Empties the group: its jobs as a chain, in order. */
static struct evt_msg *take_group(struct spool_log *s)
{
	struct evt_msg *first = NULL, **link = &first;

	for (unsigned i = 0; i < s->group.job_count; i++) {
		*link = &s->group.jobs[i]->msg.msg;
		link = &(*link)->next;
	}
	*link = NULL;
	s->group.iov_count = 0;
	s->group.used = 0;
	s->group.bytes = 0;
	s->group.job_count = 0;
	s->group.commits = 0;
	return first;
}

/* Nothing more is written to the current segment, and nothing counts that was not synced. */
static void leave(struct spool_log *s, const char *op, int err)
{
	struct evt_msg *group, *waiting = s->waiting;
	int second = s->states_again;

	s->failures++;
	log_event(LOG_LEVEL_ERROR, NULL, "spool-io-failed",
		  "op=%s segment=%08x stable=%u end=%u reason=\"%s\"", op, s->current->mark.number,
		  s->current->stable, s->current->end, err_text(err));
	group = take_group(s);
	s->waiting = s->waiting_last = NULL;
	give_up_segment(s);
	/* STATEs answered and not yet synced are lost with it: a checkpoint says again what they
	 * said */
	s->check.active = 0;
	s->check.wanted = 1;
	/* Before anybody hears of it, it must be certain that the refused COMMITs stay refused; if
	 * nothing can be written, they must be refused all the same, and nobody waits for that. */
	for (int i = 0; i < TRIES && s->current->bad; i++)
		if (new_segment(s) == 0 && sync_current(s) < 0)
			give_up_segment(s);
	if (s->current->bad) {
		s->tried = s->now;
		set_trouble(s, err);
	}
	spool_commit_fail(s, waiting, err); /* COMMITs only */
	s->states_again = second || s->current->bad;
	spool_commit_fail(s, group, err);
	s->states_again = second;
}

static int wipe(struct spool_log *s, uint32_t from, size_t n)
{
	while (n) {
		struct iovec v = {(void *)(uintptr_t)zeros, n < sizeof(zeros) ? n : sizeof(zeros)};
		size_t done;
		int err = spool_io_write(s->io, s->current->fd, &v, 1, from, &done);
		if (err)
			return err;
		from += (uint32_t)done;
		n -= done;
	}
	return 0;
}

/* The disk is full in the middle of a write. What was written must not be found by a recovery, and
 * that must be certain before its COMMITs are refused. */
static void no_space(struct spool_log *s, size_t done)
{
	int err = wipe(s, s->current->end, done);

	s->failures++;
	if (!err && done && s->group.commits) {
		err = sync_current(s);
		if (!err)
			spool_commit_synced(s);
	}
	if (err) {
		leave(s, "write", ERR_NOSPACE);
		return;
	}
	s->check.active = 0;
	s->tried = s->now;
	set_trouble(s, ERR_NOSPACE);
	spool_commit_fail(s, take_group(s), ERR_NOSPACE);
}

/* --- writing */

static void group_written(struct spool_log *s)
{
	struct spool_segment *g = s->current;
	int commits = s->group.commits;

	atomic_store(&g->end, g->end + s->group.bytes);
	atomic_fetch_add_explicit(&s->number.written, s->group.bytes, memory_order_relaxed);
	s->check.since += s->group.bytes;
	mark_dirty(s);
	spool_commit_written(s, take_group(s));
	/* A long message's PARTs should not all be left for the sync of its COMMIT, for which
	 * others wait. */
	if (!commits && !s->waiting && g->end - s->started >= EARLY) {
		sync_file_range(g->fd, s->started, g->end - s->started, SYNC_FILE_RANGE_WRITE);
		s->started = g->end;
	}
}

void spool_write_flush(struct spool_log *s)
{
	struct spool_group *g = &s->group;
	uint32_t end, page_end;
	size_t done;
	int err;

	if (!g->bytes)
		return;
	/* Whole pages, so that the kernel need not read the rest of the last one. */
	end = s->current->end + g->bytes;
	page_end = (end + SPOOL_PAGE - 1) & ~(SPOOL_PAGE - 1);
	if (page_end > end)
		g->iov[g->iov_count++] = (struct iovec){(void *)(uintptr_t)zeros, page_end - end};
	err = spool_io_write(s->io, s->current->fd, g->iov, g->iov_count, s->current->end, &done);
	if (!err)
		group_written(s);
	else if (err == ERR_NOSPACE)
		no_space(s, done);
	else
		leave(s, "write", err);
}

void spool_write_sync(struct spool_log *s)
{
	int err;

	if (!s->dirty)
		return;
	err = sync_current(s);
	if (err) {
		leave(s, "sync", err);
		return;
	}
	spool_commit_synced(s);
}

int spool_write_next(struct spool_log *s)
{
	int err;

	if (s->tried && s->now - s->tried < s->options.look)
		return s->current->bad ? ERR_IO : ERR_NOSPACE;
	s->tried = 0;
	if (!s->current->bad) {
		struct spool_segment *full = s->current;
		spool_write_sync(s);
		if (s->current != full)
			return s->current->bad ? ERR_IO : 0;
	}
	err = new_segment(s);
	if (err && err != ERR_IO)
		err = ERR_NOSPACE;
	if (err)
		set_trouble(s, err);
	return err;
}

uint8_t *spool_write_room(struct spool_log *s, uint32_t meta, uint32_t data, uint32_t spare,
			  int *err)
{
	struct spool_group *g = &s->group;
	uint32_t size = spool_record_round(SPOOL_HEAD + meta + data);

	if (g->used + SPOOL_ALIGN + SPOOL_HEAD + meta > SPOOL_GROUP_ARENA ||
	    g->job_count == SPOOL_GROUP_JOBS || g->iov_count + 5 > SPOOL_GROUP_IOV)
		spool_write_flush(s);
	for (int i = 0; i <= TRIES; i++) {
		if (!s->current->bad &&
		    s->current->size - s->current->end - g->bytes >= size + spare)
			return g->arena + g->used;
		if (g->bytes) {
			spool_write_flush(s); /* which may have led to another segment */
			continue;
		}
		*err = spool_write_next(s);
		if (*err)
			return NULL;
	}
	*err = ERR_LIMIT; /* larger than a segment */
	return NULL;
}

static void add_piece(struct spool_group *g, const void *p, size_t n)
{
	if (n)
		g->iov[g->iov_count++] = (struct iovec){(void *)(uintptr_t)p, n};
}

void spool_write_seal(struct spool_log *s, uint8_t *head, struct spool_record *r, struct span a,
		      struct span b)
{
	struct spool_group *g = &s->group;
	uint32_t offset = s->current->end + g->bytes;
	struct iovec *last = g->iov_count ? &g->iov[g->iov_count - 1] : NULL;
	uint32_t pad = spool_record_size(r) - (SPOOL_HEAD + r->meta + r->data);

	r->stable = s->current->stable;
	r->data_sum = spool_record_sum(a, b);
	spool_record_put(head, &s->current->mark, offset, r);
	g->used += SPOOL_HEAD + r->meta;
	/* a head that follows the pad of the record before goes out in one piece with it */
	if (last && (uint8_t *)last->iov_base + last->iov_len == head)
		last->iov_len += SPOOL_HEAD + r->meta;
	else
		add_piece(g, head, SPOOL_HEAD + r->meta);
	add_piece(g, a.p, a.n);
	add_piece(g, b.p, b.n);
	if (pad) {
		memset(g->arena + g->used, 0, pad);
		add_piece(g, g->arena + g->used, pad);
		g->used += pad;
	}
	g->bytes += spool_record_size(r);
}

void spool_write_look(struct spool_log *s)
{
	struct spool_space room;
	int err = 0;

	if (s->looked && s->now - s->looked < s->options.look)
		return;
	s->looked = s->now;
	if (s->io->space(s->dir, &room) == 0) {
		atomic_store(&s->number.free, room.bytes);
		atomic_store(&s->number.inodes, room.inodes);
		if (room.bytes < s->floor.bytes || room.inodes < s->floor.inodes)
			err = ERR_NOSPACE;
	}
	if (s->current->bad) {
		if (spool_write_next(s) < 0)
			return;
	} else if (s->tried && s->now - s->tried < s->options.look) {
		return; /* as bad as it was; the next job will try */
	}
	/* It must be certain that what was refused is void before new mail is taken: a STATE may
	 * have got the new segment, and asked for no sync. */
	if (s->closing_written && atomic_load(&s->trouble)) {
		spool_write_sync(s);
		if (s->current->bad)
			return;
	}
	set_trouble(s, err);
}
