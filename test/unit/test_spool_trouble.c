/* SPDX-License-Identifier: Apache-2.0 */
/* Full disks, failing disks. */
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
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "spool_bed.h"

/* --- trouble */

static void below_the_floor_only_states_are_written(void **state)
{
	struct bed *b = *state;

	b->floor.bytes = 1000000;
	b->options.look = 1000;
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 100, NULL), 0);
	assert_int_equal(spool_log_ready(b->log), 0);
	bed_disk.space = 999999;
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC; clock_mono() < until;)
		if (bed_commit(b, 2, 1, 100, NULL) == ERR_NOSPACE)
			break;
		else
			bed_state(b, 2, 0, SPOOL_DELIVERED, 0);
	assert_int_equal(spool_log_ready(b->log), ERR_NOSPACE);
	assert_int_equal(bed_commit(b, 3, 1, 100, NULL), ERR_NOSPACE);
	assert_int_equal(bed_part(b, 3, 1, 100, NULL), ERR_NOSPACE);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 1), 0);
	assert_true(bed_logged("event=spool-full"));
	bed_disk.space = 1000000;
	/* by itself, without a job */
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC;
	     spool_log_ready(b->log) && clock_mono() < until;)
		sched_yield();
	assert_int_equal(spool_log_ready(b->log), 0);
	assert_int_equal(bed_commit(b, 3, 1, 100, NULL), 0);
	assert_true(bed_logged("event=spool-ready"));
}

static void below_the_floor_of_inodes_likewise(void **state)
{
	struct bed *b = *state;
	struct spool_numbers n;

	b->floor.inodes = 1000;
	b->options.look = 1000;
	bed_disk.inodes = 999;
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(spool_log_ready(b->log), ERR_NOSPACE);
	assert_int_equal(bed_commit(b, 1, 1, 100, NULL), ERR_NOSPACE);
	assert_true(bed_logged("inodes=999 inode_floor=1000"));
	bed_disk.inodes = 1000;
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC;
	     spool_log_ready(b->log) && clock_mono() < until;)
		sched_yield();
	assert_int_equal(bed_commit(b, 1, 1, 100, NULL), 0);
	spool_log_numbers(b->log, &n);
	assert_int_equal(n.inodes_free, 1000);
	/* a file system that counts none has enough */
	bed_disk.inodes = UINT64_MAX;
	bed_reopen(b, 1);
	assert_int_equal(spool_log_ready(b->log), 0);
}

/* Delivering empties the spool although the floor is not met, and gives the room back. */
static void below_the_floor_the_spool_drains(void **state)
{
	struct bed *b = *state;
	struct spool_numbers n;

	b->floor.bytes = 1000000;
	b->options.look = 1000;
	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= 2000; id += 50)
		assert_int_equal(bed_commit_many(b, id, 50, 1500), 50);
	bed_disk.space = 999999;
	for (uint64_t id = 1; id <= 2000; id++)
		assert_int_equal(bed_state(b, id, 0, SPOOL_DELIVERED, 1), 0);
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC; clock_mono() < until;) {
		spool_log_numbers(b->log, &n);
		if (n.segments <= 3 && bed_count(b->dir, "free") <= SPOOL_KEEP_SPARE)
			break;
		sched_yield();
	}
	assert_true(n.segments <= 3);
	assert_int_equal(n.live_messages, 0);
	assert_true(bed_count(b->dir, "free") <= SPOOL_KEEP_SPARE);
	assert_int_equal(spool_log_ready(b->log), ERR_NOSPACE);
}

static void break_disk(int kinds, int at, int count, int why)
{
	bed_disk.calls = 0;
	bed_disk.fail_errno = why;
	bed_disk.fail_count = count;
	bed_disk.fail_at = at;
	bed_disk.kinds = kinds;
}

static void a_failed_sync_refuses_its_commits_for_good(void **state)
{
	struct bed *b = *state;
	struct spool_place before, after;

	b->options.segment_size = 1u << 20; /* so that the helper does not meet the fault */
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, &before), 0);
	break_disk(BED_SYNC, 1, 1, EIO);
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), ERR_IO);
	assert_true(bed_logged("event=spool-io-failed"));
	assert_int_equal(spool_log_ready(b->log), 0);
	assert_int_equal(bed_commit(b, 3, 1, 1000, &after), 0);
	assert_int_not_equal(after.segment, before.segment);
	assert_int_equal(bed_check(b, 1, 0, 1000, before), 0);
	/* the refused record is whole on this disk: it must stay refused all the same */
	bed_reopen(b, 0);
	assert_non_null(bed_find(b, 1));
	assert_null(bed_find(b, 2));
	assert_non_null(bed_find(b, 3));
	assert_int_equal(b->report.damaged_records, 0);
}

static void states_that_a_failed_sync_took_along_are_said_again(void **state)
{
	struct bed *b = *state;
	char name[SPOOL_NAME_SIZE];
	uint32_t bad, stable;
	uint8_t *p;
	size_t n;

	b->options.segment_size = 1u << 20; /* so that the helper does not meet the fault */
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), 0);
	bad = b->log->current->mark.number;
	stable = b->log->current->end;
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DELIVERED, 1), 0);
	assert_int_equal(bed_state(b, 2, 0, SPOOL_DEFERRED, 5), 0);
	break_disk(BED_SYNC, 1, 1, EIO);
	assert_int_equal(bed_commit(b, 3, 1, 1000, NULL), ERR_IO);
	assert_int_equal(bed_commit(b, 4, 1, 1000, NULL), 0);
	bed_stop(b);
	/* the disk really lost them */
	spool_segment_name(name, bad, "seg");
	p = bed_load(b->dir, name, &n);
	memset(p + stable, 0, n - stable);
	bed_save(b->dir, name, p, n);
	free(p);
	assert_int_equal(bed_open(b), 0);
	assert_null(bed_find(b, 1));
	assert_int_equal(bed_find(b, 2)->states[0].attempts, 5);
	assert_non_null(bed_find(b, 4));
}

static void parts_that_a_failed_sync_took_along_are_not_committed(void **state)
{
	struct bed *b = *state;
	struct spool_place old, young, at[2];

	b->options.segment_size = 1u << 20; /* so that the helper does not meet the fault */
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_part(b, 1, 1, 1000, &old), 0);
	assert_int_equal(bed_part(b, 2, 1, 1000, &at[0]), 0);
	assert_int_equal(bed_commit(b, 3, 1, 100, NULL), 0); /* they are stable now */
	assert_int_equal(bed_part(b, 4, 1, 1000, &young), 0);
	assert_int_equal(bed_part(b, 2, 2, 1000, &at[1]), 0);
	break_disk(BED_SYNC, 1, 1, EIO);
	assert_int_equal(bed_commit(b, 5, 1, 1000, NULL), ERR_IO);
	assert_int_equal(bed_commit_parts(b, 1, 100, &old, 1, NULL), 0);
	assert_int_equal(bed_commit_parts(b, 4, 100, &young, 1, NULL), ERR_IO);
	assert_int_equal(bed_commit_parts(b, 2, 100, at, 2, NULL), ERR_IO);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 2);
	assert_non_null(bed_find(b, 1));
	assert_non_null(bed_find(b, 3));
	assert_int_equal(b->report.damaged_records, 0);
}

static void a_failed_write_goes_to_another_segment(void **state)
{
	struct bed *b = *state;

	b->options.segment_size = 1u << 20; /* so that the helper does not meet the fault */
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	bed_disk.tear = 1;
	break_disk(BED_WRITE, 1, 1, EIO);
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), ERR_IO);
	break_disk(BED_WRITE, 1, 1, EIO);
	/* a state is written again by itself */
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 3), 0);
	assert_int_equal(bed_commit(b, 3, 1, 1000, NULL), 0);
	bed_reopen(b, 0);
	assert_int_equal(bed_find(b, 1)->states[0].attempts, 3);
	assert_null(bed_find(b, 2));
	assert_non_null(bed_find(b, 3));
}

static void a_dead_disk_refuses_everything_and_a_living_one_is_noticed(void **state)
{
	struct bed *b = *state;

	b->options.look = 1000;
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	break_disk(BED_WRITE | BED_SYNC, 1, INT32_MAX, EIO);
	for (uint64_t id = 100; id < 110; id++)
		assert_int_equal(bed_commit(b, id, 1, 100, NULL), ERR_IO);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 1), ERR_IO);
	assert_int_not_equal(spool_log_ready(b->log), 0);
	assert_true(bed_logged("event=spool-broken"));
	bed_disk.kinds = 0;
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC;
	     spool_log_ready(b->log) && clock_mono() < until;)
		sched_yield();
	assert_int_equal(spool_log_ready(b->log), 0);
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), 0);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 2), 0);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 2);
	assert_int_equal(bed_find(b, 1)->states[0].attempts, 2);
}

static void a_disk_that_fills_in_the_middle_of_a_write_leaves_nothing_behind(void **state)
{
	struct bed *b = *state;

	b->options.look = 1000;
	b->options.segment_size = 1u << 20; /* so that the helper does not meet the fault */
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	bed_disk.tear = 1;
	break_disk(BED_WRITE, 1, 1, ENOSPC);
	assert_int_equal(bed_commit_many(b, 10, 20, 500), 0);
	assert_true(bed_logged("event=spool-full"));
	bed_stop(b);
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(b->found_count, 1);
	assert_int_equal(b->report.torn_bytes, 0);
	/* and again, this time without a restart, then shorter records in the same place */
	break_disk(BED_WRITE, 1, 1, ENOSPC);
	assert_int_equal(bed_commit_many(b, 10, 20, 500), 0);
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC;
	     spool_log_ready(b->log) && clock_mono() < until;)
		sched_yield();
	assert_int_equal(bed_commit(b, 50, 1, 90, NULL), 0);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 2);
}

static void without_room_for_a_new_segment_states_use_what_is_left(void **state)
{
	struct bed *b = *state;
	uint64_t id = 1;
	int states = 0;

	b->options.segment_size = 256u << 10;
	b->options.look = INT64_C(3600000000);
	assert_int_equal(bed_open(b), 0);
	break_disk(BED_ALLOCATE, 1, INT32_MAX, ENOSPC);
	while (bed_commit(b, id, 1, 1000, NULL) == 0)
		id++;
	assert_true(id > 200);
	assert_int_equal(spool_log_ready(b->log), ERR_NOSPACE);
	while (bed_state(b, 1, 0, SPOOL_DEFERRED, (uint16_t)(states + 1)) == 0)
		states++;
	assert_true(states > 20);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, id - 1);
	assert_int_equal(bed_find(b, 1)->states[0].attempts, states);
}

static void a_full_file_system_refuses_and_takes_again_when_there_is_room(void **state)
{
	struct bed *b = *state;
	char ballast[128];
	uint64_t id = 1;
	uint8_t *p;

	if (geteuid() || mount("tmpfs", b->dir, "tmpfs", 0, "size=3m,mode=0700") < 0)
		skip();
	b->options.look = 1000;
	b->options.io = &spool_io_system;
	b->options.segment_size = 256u << 10;
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, id++, 1, 1000, NULL), 0);
	snprintf(ballast, sizeof(ballast), "%s/ballast", b->dir);
	p = malloc(2u << 20);
	memset(p, 0x55, 2u << 20);
	bed_save(b->dir, "ballast", p, 2u << 20);
	free(p);
	while (bed_commit(b, id, 1, 1000, NULL) == 0)
		id++;
	assert_true(id < 1200);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 7), 0);
	unlink(ballast);
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC; clock_mono() < until;)
		if (bed_commit(b, id, 1, 1000, NULL) == 0)
			break;
	id++;
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, id - 1);
	assert_int_equal(bed_find(b, 1)->states[0].attempts, 7);
}

static void a_file_size_limit_is_a_full_disk(void **state)
{
	struct bed *b = *state;
	struct rlimit before, small;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = 16384;
	setrlimit(RLIMIT_FSIZE, &small);
	for (uint64_t id = 2; id < 40; id++)
		bed_commit(b, id, 1, 1000, NULL);
	assert_int_equal(bed_commit(b, 50, 1, 1000, NULL), ERR_NOSPACE);
	setrlimit(RLIMIT_FSIZE, &before);
	bed_reopen(b, 0);
	assert_true(b->found_count > 1 && b->found_count < 20);
	assert_null(bed_find(b, 50));
	for (size_t i = 0; i < b->found_count; i++)
		assert_int_equal(b->found[i].id, i + 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(below_the_floor_only_states_are_written),
	    T(below_the_floor_of_inodes_likewise),
	    T(below_the_floor_the_spool_drains),
	    T(a_failed_sync_refuses_its_commits_for_good),
	    T(states_that_a_failed_sync_took_along_are_said_again),
	    T(parts_that_a_failed_sync_took_along_are_not_committed),
	    T(a_failed_write_goes_to_another_segment),
	    T(a_dead_disk_refuses_everything_and_a_living_one_is_noticed),
	    T(a_disk_that_fills_in_the_middle_of_a_write_leaves_nothing_behind),
	    T(without_room_for_a_new_segment_states_use_what_is_left),
	    T(a_full_file_system_refuses_and_takes_again_when_there_is_room),
	    T(a_file_size_limit_is_a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
