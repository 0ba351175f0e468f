/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a spool after the power went: what was not synced is there in part, or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
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
	b->options.look = 500; /* compaction, too, as often as it can */
	b->options.pace = 0;
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

/* --- power cuts: what was not synced is there in part, or not at all */

#define CUT_IDS	 1600
#define MOVE_IDS 800 /* of these, where messages are moved */
#define CUTS	 60
#define FILES	 200

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

static unsigned has_part(uint64_t id)
{
	return id % 11 == 0 || id % 40 == 0;
}

static void power_run(struct bed *b)
{
	for (uint64_t id = 1; id <= CUT_IDS; id++) {
		struct spool_place part;
		if (has_part(id))
			assert_int_equal(bed_part(b, id, 1, 2000, &part), 0);
		assert_int_equal(bed_commit_parts(b, id, cut_size(id), &part, has_part(id), NULL),
				 0);
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
	const struct spool_place nowhere = {0}; /* its COMMIT knows */
	int bad = 0;

	for (uint64_t id = 1; id <= CUT_IDS; id++) {
		const struct bed_found *f = bed_find(b, id);
		const char *what = NULL;
		if (power.was[cut][id] && !power.was_final[cut][id] && !f)
			what = "lost";
		if (power.was_certain[cut][id] && f)
			what = "back again";
		if (f && (bed_check(b, id, 0, cut_size(id), f->place) != 0 ||
			  (has_part(id) && bed_check(b, id, 1, 2000, nowhere) != 0)))
			what = "altered";
		if (what && !power.lies)
			print_message("cut %d: message %u is %s after the %s start\n", cut,
				      (unsigned)id, what, when);
		bad += what != NULL;
	}
	return bad;
}

/* First almost all dies, then the power goes while what lives is moved. */
static void power_compaction(struct bed *b)
{
	int64_t until = clock_mono() + 60 * CLOCK_SEC;
	struct spool_place part;
	struct spool_numbers n;

	for (uint64_t id = 1; id <= MOVE_IDS; id++) {
		if (has_part(id))
			assert_int_equal(bed_part(b, id, 1, 2000, &part), 0);
		assert_int_equal(bed_commit_parts(b, id, cut_size(id), &part, has_part(id), NULL),
				 0);
		power.acked[id] = 1;
	}
	for (uint64_t id = 1; id <= MOVE_IDS; id++)
		if (id % 20) {
			power.final_asked[id] = power.final_certain[id] = 1;
			assert_int_equal(bed_state(b, id, 0, SPOOL_DELIVERED, 1), 0);
		}
	bed_stop(b); /* which syncs */
	b->options.pace = 0;
	power.every = 2 + power.calls % 2;
	assert_int_equal(bed_open(b), 0);
	do {
		sched_yield();
		spool_log_numbers(b->log, &n);
	} while (n.segments > 5 && clock_mono() < until);
	assert_true(n.segments <= 5);
}

static int power_cuts(struct bed *b, int lies, void (*run)(struct bed *), int every)
{
	int bad = 0;

	memset(power.acked, 0, sizeof(power.acked));
	memset(power.final_asked, 0, sizeof(power.final_asked));
	memset(power.final_certain, 0, sizeof(power.final_certain));
	power.lies = lies;
	power.base = b->base;
	power.dir = b->dir;
	power.calls = power.cut_count = 0;
	power.every = every;
	bed_disk.on_write = power_write;
	bed_disk.on_sync = power_sync;
	bed_disk.on_unlink = power_unlink;
	bed_disk.on_rename = power_rename;
	assert_int_equal(bed_open(b), 0);
	run(b);
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
	assert_int_equal(power_cuts(*state, 0, power_run, 79), 0);
	assert_true(power.cut_count > 40);
}

static void power_cuts_while_messages_are_moved_lose_and_double_nothing(void **state)
{
	struct bed *b = *state;

	for (int i = 0; i < 3; i++) {
		seed = 5 + (uint64_t)i;
		b->options.pace = -1; /* not yet */
		bed_empty(b->dir);
		assert_int_equal(power_cuts(b, 0, power_compaction, 0), 0);
		assert_true(power.cut_count > 20);
	}
}

/* Proves that the test above can fail. */
static void with_syncs_that_lie_power_cuts_do_lose(void **state)
{
	seed = 4;
	assert_true(power_cuts(*state, 1, power_run, 300) > 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    T(power_cuts_lose_nothing_acknowledged_and_bring_nothing_back),
	    T(power_cuts_while_messages_are_moved_lose_and_double_nothing),
	    T(with_syncs_that_lie_power_cuts_do_lose),
	};

	if (argc > 1) /* one of them, by name or pattern */
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
