/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a spool after damage, failures, power cuts and kills. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/rand.h"
#include "spool_bed.h"

static void no_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static int setup(void **state)
{
	struct bed *b = malloc(sizeof(*b));

	log_capture(no_line, NULL);
	bed_init(b, 1);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	bed_clear(*state);
	free(*state);
	log_capture(NULL, NULL);
	return 0;
}

static uint64_t seed;

/* Small, fast, and the same in every run. */
static uint32_t dice(uint32_t sides)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % sides;
}

/* --- a small log of known content */

#define IDS 14

struct small {
	struct spool_place commit[IDS + 1], part[IDS + 1];
	int finished[IDS + 1], has_part[IDS + 1];
	char name[SPOOL_NAME_SIZE];
	uint8_t *bytes;
	size_t n, end;
};

static size_t body_size(uint64_t id)
{
	return 60 + (size_t)id * 13;
}

/* One segment: every third message has a PART, every second one is finished, the others were deferred once. */
static void write_small(struct bed *b, struct small *m)
{
	memset(m, 0, sizeof(*m));
	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= IDS; id++) {
		m->has_part[id] = id % 3 == 0;
		if (m->has_part[id])
			assert_int_equal(bed_part(b, id, 1, 100, &m->part[id]), 0);
		assert_int_equal(bed_commit_parts(b, id, body_size(id), &m->part[id],
						  (unsigned)m->has_part[id], &m->commit[id]),
				 0);
		m->finished[id] = id % 2 == 0;
		assert_int_equal(bed_state(b, id, 0,
					   m->finished[id] ? SPOOL_DELIVERED : SPOOL_DEFERRED,
					   (uint16_t)id),
				 0);
	}
	/* makes all of that certain, so that damage to it is known as damage */
	assert_int_equal(bed_commit(b, 100, 1, 60, NULL), 0);
	assert_int_equal(bed_commit(b, 101, 1, 60, NULL), 0);
	m->end = b->log->current->end;
	spool_segment_name(m->name, b->log->current->mark.number, "seg");
	bed_stop(b);
	m->bytes = bed_load(b->dir, m->name, &m->n);
}

static int is_whole(struct bed *b, const struct small *m, uint64_t id)
{
	return bed_check(b, id, 0, body_size(id), m->commit[id]) == 0 &&
	       (!m->has_part[id] || bed_check(b, id, 1, 100, m->part[id]) == 0);
}

/* Which message the record at a byte belongs to; 0: to none. */
static uint64_t owner(const struct small *m, size_t at)
{
	struct spool_title t;

	assert_int_equal(spool_record_get_title(m->bytes, &t), 0);
	for (uint32_t offset = SPOOL_FIRST; offset <= at && offset < m->end;) {
		struct spool_record r;
		assert_true(spool_record_get(&r, &t.mark, offset, t.size,
					     span_of(m->bytes + offset, m->n - offset)) > 0);
		if (at < offset + spool_record_size(&r))
			return r.id;
		offset += spool_record_size(&r);
	}
	return 0;
}

static void one_flip(struct bed *b, struct small *m, size_t at, uint8_t flip)
{
	uint64_t hit = owner(m, at);

	m->bytes[at] ^= flip;
	bed_empty(b->dir);
	bed_save(b->dir, m->name, m->bytes, m->n);
	m->bytes[at] ^= flip;
	assert_int_equal(bed_open(b), 0);
	for (size_t i = 0; i < b->found_count; i++) {
		uint64_t id = b->found[i].id;
		assert_true((id >= 1 && id <= IDS) || id == 100 || id == 101);
		if (id > IDS)
			continue;
		/* what is found can be read, as it was written */
		assert_true(is_whole(b, m, id));
		if (id == hit)
			continue;
		assert_false(m->finished[id]);
		assert_int_equal(b->found[i].states[0].outcome, SPOOL_DEFERRED);
		assert_int_equal(b->found[i].states[0].attempts, id);
	}
	for (uint64_t id = 1; id <= IDS; id++)
		if (id != hit && !m->finished[id])
			assert_non_null(bed_find(b, id));
	if (hit && hit <= IDS) /* everything but the padding is covered by a sum */
		assert_true(b->report.damaged_records > 0 || b->found_count == IDS / 2 + 2);
	bed_stop(b);
}

static void every_flipped_byte_harms_its_own_message_at_most(void **state)
{
	struct bed *b = *state;
	struct small m;

	write_small(b, &m);
	seed = 1;
	for (size_t at = SPOOL_FIRST; at < m.end; at++) {
		one_flip(b, &m, at, (uint8_t)(1u << dice(8)));
		if (at % 5 == 0)
			one_flip(b, &m, at, 0xff);
	}
	for (size_t at = 0; at < 64; at++) {
		one_flip(b, &m, at, (uint8_t)(1u << dice(8)));
		one_flip(b, &m, SPOOL_PAGE / 2 + at, (uint8_t)(1u << dice(8)));
	}
	free(m.bytes);
}

/* --- cut off at any byte */

enum { SHORTER, ZEROS, GARBAGE };

static void one_cut(struct bed *b, struct small *m, size_t at, int how)
{
	uint8_t *p = malloc(m->n);

	memcpy(p, m->bytes, m->n);
	for (size_t i = at; i < m->n; i++)
		p[i] = how == GARBAGE ? (uint8_t)dice(256) : 0;
	bed_empty(b->dir);
	bed_save(b->dir, m->name, p, how == SHORTER ? at : m->n);
	free(p);
	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= IDS; id++) {
		struct spool_place next = id < IDS ? m->commit[id + 1] : m->commit[id];
		size_t end = m->commit[id].offset + m->commit[id].length;
		/* padding may be missing */
		int there = end - at < SPOOL_ALIGN || end <= at;
		int state_there = id < IDS && next.offset <= at;
		const struct bed_found *f = bed_find(b, id);
		if (end - at < SPOOL_ALIGN)
			continue;
		if (!there)
			assert_null(f);
		else if (!m->finished[id] || !state_there)
			assert_true(f != NULL || m->finished[id]);
		if (f)
			assert_true(is_whole(b, m, id));
		if (f && state_there)
			assert_int_equal(f->states[0].attempts, id);
	}
	assert_int_equal(b->report.damaged_records, 0);
	/* and mail is taken again */
	assert_int_equal(bed_commit(b, 500, 1, 1000, NULL), 0);
	bed_stop(b);
	assert_int_equal(bed_open(b), 0);
	assert_non_null(bed_find(b, 500));
	bed_stop(b);
}

static void a_log_cut_at_any_byte_holds_what_lies_before(void **state)
{
	struct bed *b = *state;
	struct small m;

	write_small(b, &m);
	seed = 2;
	for (size_t at = SPOOL_FIRST; at < m.end; at++) {
		one_cut(b, &m, at, SHORTER);
		if (at % 3 == 0)
			one_cut(b, &m, at, ZEROS);
		if (at % 7 == 0)
			one_cut(b, &m, at, GARBAGE);
	}
	free(m.bytes);
}

/* --- every call fails once, or from then on */

#define RUN_IDS 130

struct run {
	int8_t acked[RUN_IDS + 1], refused[RUN_IDS + 1], final_asked[RUN_IDS + 1];
	int8_t final_done[RUN_IDS + 1], final_certain[RUN_IDS + 1];
	int void_certain; /* what was refused is void for certain */
};

/* A segment was given up, and no checkpoint has said again yet what it took along. */
static atomic_int unsure;

static void see_segment_lost_or_made_good(void *arg, const char *line)
{
	(void)arg;
	if (strstr(line, "event=spool-io-failed"))
		unsure = 1;
	else if (strstr(line, "event=spool-checkpoint "))
		unsure = 0;
}

static size_t run_size(uint64_t id)
{
	return 300 + (size_t)(id * 37 % 900);
}

/* Single messages, batches, PARTs, outcomes, over some segments. */
static void run_some(struct bed *b, struct run *r)
{
	struct spool_place part;

	for (uint64_t id = 1; id <= RUN_IDS; id++) {
		int err = 0, has_part = id % 10 == 0;
		if (has_part)
			err = bed_part(b, id, 1, 700, &part);
		if (!err)
			err =
			    bed_commit_parts(b, id, run_size(id), &part, (unsigned)has_part, NULL);
		else
			assert_int_equal(bed_drop(b, id), 0);
		r->acked[id] = err == 0;
		r->refused[id] = err != 0;
		/* the sync of this COMMIT covers outcomes that were answered before it was posted */
		if (r->acked[id] && !unsure)
			memcpy(r->final_certain, r->final_done, sizeof(r->final_done));
		if (id > 3 && id % 25 && r->acked[id - 3]) {
			r->final_asked[id - 3] = 1;
			r->final_done[id - 3] = bed_state(b, id - 3, 0, SPOOL_DELIVERED, 1) == 0;
		}
	}
}

static void check_run(struct bed *b, const struct run *r)
{
	const int8_t *final = unsure ? r->final_certain : r->final_done;

	for (uint64_t id = 1; id <= RUN_IDS; id++) {
		const struct bed_found *f = bed_find(b, id);
		if (r->acked[id] && !r->final_asked[id])
			assert_non_null(f);
		if (f) {
			assert_int_equal(bed_check(b, id, 0, run_size(id), f->place), 0);
			assert_true(r->acked[id] || r->refused[id]);
		}
		if (r->void_certain && r->refused[id])
			assert_null(f);
		if (final[id])
			assert_null(f);
	}
}

/* 0 when the fault was never reached. */
static int one_fault(struct bed *b, int at, int count, int why)
{
	struct run r;
	int reached;

	memset(&r, 0, sizeof(r));
	unsure = 0;
	bed_empty(b->dir);
	bed_disk.calls = 0;
	bed_disk.fail_errno = why;
	bed_disk.fail_count = count;
	bed_disk.fail_at = at;
	bed_disk.tear = at % 2;
	bed_disk.kinds = BED_OPEN | BED_READ | BED_WRITE | BED_SYNC | BED_NAME | BED_ALLOCATE;
	if (bed_open(b) == 0) {
		run_some(b, &r);
		/* a disk that is gone cannot be told what was refused, one that failed once can */
		r.void_certain = count == 1 || spool_log_ready(b->log) == 0;
		if (at % 3)
			bed_close(b);
		else
			bed_stop(b);
	}
	reached = bed_disk.calls >= at;
	bed_disk.kinds = 0;
	log_capture(no_line, NULL); /* what the next start writes makes nothing certain */
	assert_int_equal(bed_open(b), 0);
	check_run(b, &r);
	log_capture(see_segment_lost_or_made_good, NULL);
	assert_int_equal(bed_commit(b, 1000, 1, 500, NULL), 0);
	bed_stop(b);
	return reached;
}

static void whichever_call_fails_nothing_acknowledged_is_lost(void **state)
{
	static const int whys[] = {EIO, ENOSPC};
	struct bed *b = *state;
	int faults = 0;

	log_capture(see_segment_lost_or_made_good, NULL);
	log_topic_add("spool");
	b->options.look = 500;
	b->options.segment_size = 32u << 10;
	for (int why = 0; why < 2; why++)
		for (int at = 1; one_fault(b, at, 1, whys[why]); at++) {
			one_fault(b, at, at % 4 == 0 ? 5 : INT32_MAX, whys[why]);
			faults += 2;
		}
	print_message("%d faults\n", faults);
	assert_true(faults > 500);
}

/* --- power cuts: what was not synced is there in part, or not at all */

#define CUT_IDS 1600
#define CUTS	60
#define FILES	200

struct write {
	struct write *next;
	size_t n;
	off_t at;
	uint8_t p[];
};

/* A file as the disk has it for certain, and what may have come since. */
struct disk_file {
	ino_t inode;
	uint8_t *stable;
	size_t n;
	struct write *pending, **last;
};

static struct {
	pthread_mutex_t lock;
	struct disk_file files[FILES];
	unsigned count;
	int lies; /* the control: syncs that do nothing */
	int calls, every;
	const char *base, *dir;
	char cuts[CUTS][64];
	int cut_count;
	int8_t acked[CUT_IDS + 1], final_asked[CUT_IDS + 1], final_certain[CUT_IDS + 1];
	int8_t was[CUTS][CUT_IDS + 1], was_final[CUTS][CUT_IDS + 1], was_certain[CUTS][CUT_IDS + 1];
} power = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct disk_file *file_of(ino_t inode, size_t n)
{
	struct disk_file *f = NULL;

	for (unsigned i = 0; i < power.count; i++)
		if (power.files[i].inode == inode)
			f = &power.files[i];
	if (!f) {
		assert_true(power.count < FILES);
		f = &power.files[power.count++];
		memset(f, 0, sizeof(*f));
		f->inode = inode;
		f->last = &f->pending;
	}
	if (n > f->n) {
		f->stable = realloc(f->stable, n);
		memset(f->stable + f->n, 0, n - f->n);
		f->n = n;
	}
	return f;
}

static void apply(struct disk_file *f)
{
	while (f->pending) {
		struct write *w = f->pending;
		f->pending = w->next;
		memcpy(f->stable + w->at, w->p, w->n);
		free(w);
	}
	f->last = &f->pending;
}

/* how: 0 nothing of what is pending, 1 all, 2 some sectors of it */
static void cut_file(const char *name, const struct disk_file *f, const char *to, int how)
{
	uint8_t *p = malloc(f->n);

	memcpy(p, f->stable, f->n);
	for (const struct write *w = f->pending; w && how; w = w->next)
		for (size_t at = 0; at < w->n;) {
			size_t step = 512 - (size_t)(w->at + (off_t)at) % 512;
			step = step < w->n - at ? step : w->n - at;
			if (how == 1 || dice(2))
				memcpy(p + w->at + at, w->p + at, step);
			at += step;
		}
	bed_save(to, name, p, f->n);
	free(p);
}

static void power_cut(void)
{
	int how = power.cut_count % 3, cut = power.cut_count++;
	char *to = power.cuts[cut];

	snprintf(to, sizeof(power.cuts[cut]), "%s/cut%d", power.base, cut);
	if (mkdir(to, 0700) < 0)
		abort();
	memcpy(power.was[cut], power.acked, sizeof(power.acked));
	memcpy(power.was_final[cut], power.final_asked, sizeof(power.final_asked));
	memcpy(power.was_certain[cut], power.final_certain, sizeof(power.final_certain));
	for (uint32_t number = 1; number < 2000; number++)
		for (int kept = 0; kept < 2; kept++) {
			char name[SPOOL_NAME_SIZE], path[120];
			struct stat st;
			spool_segment_name(name, number, kept ? "free" : "seg");
			snprintf(path, sizeof(path), "%s/%s", power.dir, name);
			if (stat(path, &st) == 0)
				cut_file(name, file_of(st.st_ino, (size_t)st.st_size), to, how);
		}
}

static void maybe_cut(void)
{
	if (power.every && ++power.calls % power.every == 0 && power.cut_count < CUTS)
		power_cut();
}

static ssize_t power_write(int fd, const struct iovec *v, int count, off_t at)
{
	struct disk_file *f;
	struct write *w;
	struct stat st;
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += v[i].iov_len;
	pthread_mutex_lock(&power.lock);
	if (pwritev(fd, v, count, at) != (ssize_t)n || fstat(fd, &st) < 0)
		abort();
	f = file_of(st.st_ino, (size_t)st.st_size);
	w = malloc(sizeof(*w) + n);
	w->next = NULL;
	w->n = n;
	w->at = at;
	n = 0;
	for (int i = 0; i < count; n += v[i++].iov_len)
		memcpy(w->p + n, v[i].iov_base, v[i].iov_len);
	*f->last = w;
	f->last = &w->next;
	maybe_cut();
	pthread_mutex_unlock(&power.lock);
	return (ssize_t)n;
}

static int power_sync(int fd)
{
	struct stat st;

	pthread_mutex_lock(&power.lock);
	if (fstat(fd, &st) < 0)
		abort();
	maybe_cut();
	if (S_ISREG(st.st_mode) && !power.lies)
		apply(file_of(st.st_ino, (size_t)st.st_size));
	pthread_mutex_unlock(&power.lock);
	return 0;
}

/* Its inode may come back as another file. */
static int power_unlink(int dir, const char *name)
{
	struct stat st;
	int err;

	pthread_mutex_lock(&power.lock);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		struct disk_file *f = file_of(st.st_ino, (size_t)st.st_size);
		apply(f);
		free(f->stable);
		*f = power.files[--power.count];
		if (!f->pending)
			f->last = &f->pending;
	}
	err = unlinkat(dir, name, 0);
	pthread_mutex_unlock(&power.lock);
	return err;
}

static int power_rename(int dir, const char *from, const char *to)
{
	int err;

	pthread_mutex_lock(&power.lock);
	err = renameat(dir, from, dir, to);
	pthread_mutex_unlock(&power.lock);
	return err;
}

static void set_flag(int8_t *flag)
{
	pthread_mutex_lock(&power.lock);
	*flag = 1;
	pthread_mutex_unlock(&power.lock);
}

static size_t cut_size(uint64_t id)
{
	return 200 + (size_t)(id * 31 % 1100);
}

static void power_run(struct bed *b)
{
	for (uint64_t id = 1; id <= CUT_IDS; id++) {
		struct spool_place part;
		int has_part = id % 11 == 0;
		if (has_part)
			assert_int_equal(bed_part(b, id, 1, 2000, &part), 0);
		assert_int_equal(
		    bed_commit_parts(b, id, cut_size(id), &part, (unsigned)has_part, NULL), 0);
		set_flag(&power.acked[id]);
		if (id > 5 && id % 40 != 0) {
			set_flag(&power.final_asked[id - 5]);
			assert_int_equal(bed_state(b, id - 5, 0, SPOOL_DELIVERED, 1), 0);
		}
		/* the sync of this COMMIT covers outcomes that were answered before it was posted */
		if (id > 6 && power.final_asked[id - 6])
			set_flag(&power.final_certain[id - 6]);
	}
}

/* How many messages are missing, or there again, after one cut. */
static int losses(struct bed *b, int cut, const char *when)
{
	int bad = 0;

	for (uint64_t id = 1; id <= CUT_IDS; id++) {
		const struct bed_found *f = bed_find(b, id);
		const char *what = NULL;
		if (power.was[cut][id] && !power.was_final[cut][id] && !f)
			what = "lost";
		if (power.was_certain[cut][id] && f)
			what = "back again";
		if (f && bed_check(b, id, 0, cut_size(id), f->place) != 0)
			what = "altered";
		if (what && !power.lies)
			print_message("cut %d: message %u is %s after the %s start\n", cut,
				      (unsigned)id, what, when);
		bad += what != NULL;
	}
	return bad;
}

static int power_cuts(struct bed *b, int lies)
{
	int bad = 0;

	memset(power.acked, 0, sizeof(power.acked));
	memset(power.final_asked, 0, sizeof(power.final_asked));
	memset(power.final_certain, 0, sizeof(power.final_certain));
	power.lies = lies;
	power.base = b->base;
	power.dir = b->dir;
	power.calls = power.cut_count = 0;
	power.every = lies ? 300 : 79;
	bed_disk.on_write = power_write;
	bed_disk.on_sync = power_sync;
	bed_disk.on_unlink = power_unlink;
	bed_disk.on_rename = power_rename;
	assert_int_equal(bed_open(b), 0);
	power_run(b);
	bed_stop(b);
	power.every = 0;
	bed_disk.on_write = NULL;
	bed_disk.on_sync = NULL;
	bed_disk.on_unlink = NULL;
	bed_disk.on_rename = NULL;
	for (int i = 0; i < power.cut_count; i++) {
		struct bed after = *b;
		snprintf(after.dir, sizeof(after.dir), "%s", power.cuts[i]);
		assert_int_equal(bed_open(&after), 0);
		if (!lies)
			assert_int_equal(after.report.damaged_records, 0);
		bad += losses(&after, i, "first");
		/* and once more, after the restart's own writes */
		bed_close(&after);
		assert_int_equal(bed_open(&after), 0);
		bad += losses(&after, i, "second");
		bed_stop(&after);
		bed_empty(after.dir);
		rmdir(after.dir);
	}
	for (unsigned i = 0; i < power.count; i++) {
		apply(&power.files[i]);
		free(power.files[i].stable);
	}
	power.count = 0;
	return bad;
}

static void power_cuts_lose_nothing_acknowledged_and_bring_nothing_back(void **state)
{
	seed = 3;
	assert_int_equal(power_cuts(*state, 0), 0);
	assert_true(power.cut_count > 40);
}

/* Proves that the test above can fail. */
static void with_syncs_that_lie_power_cuts_do_lose(void **state)
{
	seed = 4;
	assert_true(power_cuts(*state, 1) > 0);
}

/* --- kill -9 */

#define KILL_IDS 400000
#define POSTERS	 4
#define KILLS	 24

struct shared { /* with the child that is killed */
	_Atomic uint64_t next_id;
	_Atomic uint8_t posted[KILL_IDS], acked[KILL_IDS], final_asked[KILL_IDS];
	_Atomic uint8_t final_done[KILL_IDS];
};

struct poster {
	struct bed *b;
	struct shared *sh;
	struct bed own; /* for its inbox */
};

static size_t kill_size(uint64_t id)
{
	return 100 + (size_t)(id * 17 % 1500);
}

static void *poster(void *arg)
{
	struct poster *p = arg;
	struct spool_place part;

	p->own = *p->b;
	p->own.in = evt_inbox_new(NULL, NULL, NULL);
	for (;;) {
		uint64_t id = atomic_fetch_add(&p->sh->next_id, 1);
		int has_part = id % 13 == 0;
		if (id >= KILL_IDS)
			pause();
		p->sh->posted[id] = 1;
		if (has_part && bed_part(&p->own, id, 1, 900, &part))
			abort();
		if (bed_commit_parts(&p->own, id, kill_size(id), &part, (unsigned)has_part, NULL))
			abort();
		p->sh->acked[id] = 1;
		if (id % 50 == 0)
			continue;
		p->sh->final_asked[id] = 1;
		if (bed_state(&p->own, id, 0, SPOOL_DELIVERED, 1))
			abort();
		p->sh->final_done[id] = 1;
	}
	return NULL;
}

static void child(struct bed *b, struct shared *sh)
{
	struct poster posters[POSTERS];

	if (bed_open(b))
		abort();
	for (int i = 0; i < POSTERS; i++) {
		pthread_t t;
		posters[i].b = b;
		posters[i].sh = sh;
		if (pthread_create(&t, NULL, poster, &posters[i]))
			abort();
	}
	for (;;)
		pause();
}

static void check_kill(struct bed *b, struct shared *sh)
{
	uint8_t *found = calloc(1, KILL_IDS);

	for (size_t i = 0; i < b->found_count; i++) {
		uint64_t id = b->found[i].id;
		assert_true(id < KILL_IDS && sh->posted[id]);
		assert_int_equal(bed_check(b, id, 0, kill_size(id), b->found[i].place), 0);
		found[id] = 1;
		/* the kernel lives on: what was answered as written is there */
		assert_false(sh->final_done[id]);
	}
	for (uint64_t id = 1; id < KILL_IDS && sh->posted[id]; id++)
		if (sh->acked[id] && !sh->final_asked[id])
			assert_true(found[id]);
	assert_int_equal(b->report.damaged_records, 0);
	free(found);
}

static void kills_at_random_moments_lose_nothing_acknowledged(void **state)
{
	struct bed *b = *state;
	struct shared *sh =
	    mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(sh != MAP_FAILED);
	sh->next_id = 1;
	bed_disk.lazy = 0;
	b->options.segment_size = 256u << 10;
	for (int i = 0; i < KILLS; i++) {
		uint64_t want = atomic_load(&sh->next_id) + 20 + rand_u64() % 700;
		pid_t pid = fork();
		int status;
		if (pid == 0)
			child(b, sh);
		assert_true(pid > 0);
		while (atomic_load(&sh->next_id) < want && waitpid(pid, &status, WNOHANG) == 0)
			usleep((useconds_t)(rand_u64() % 300));
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(bed_open(b), 0);
		check_kill(b, sh);
		bed_stop(b);
	}
	munmap(sh, sizeof(*sh));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    T(every_flipped_byte_harms_its_own_message_at_most),
	    T(a_log_cut_at_any_byte_holds_what_lies_before),
	    T(whichever_call_fails_nothing_acknowledged_is_lost),
	    T(power_cuts_lose_nothing_acknowledged_and_bring_nothing_back),
	    T(with_syncs_that_lie_power_cuts_do_lose),
	    T(kills_at_random_moments_lose_nothing_acknowledged),
	};

	if (argc > 1) /* one of them, by name or pattern */
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
