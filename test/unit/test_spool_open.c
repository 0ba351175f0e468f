/* SPDX-License-Identifier: Apache-2.0 */
/* What stops a start, and what it survives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "spool_bed.h"

/* --- opening */

static void a_second_relay_never_shares_a_spool(void **state)
{
	struct bed *b = *state, other;

	assert_int_equal(bed_open(b), 0);
	other = *b;
	other.log = NULL;
	assert_int_equal(bed_open(&other), ERR_BUSY);
	assert_int_equal(bed_commit(b, 1, 1, 100, NULL), 0);
}

static void directories_of_others_or_open_to_others_are_refused(void **state)
{
	struct bed *b = *state, other;
	char path[100];

	chmod(b->dir, 0750);
	assert_int_equal(bed_open(b), ERR_DENIED);
	chmod(b->dir, 0701);
	assert_int_equal(bed_open(b), ERR_DENIED);
	chmod(b->dir, 0700);
	if (geteuid() == 0) {
		assert_int_equal(chown(b->dir, 65534, 65534), 0);
		assert_int_equal(bed_open(b), ERR_DENIED);
		assert_int_equal(chown(b->dir, 0, 0), 0);
	}
	snprintf(path, sizeof(path), "%s-l", b->dir);
	assert_int_equal(symlink(b->dir, path), 0);
	other = *b;
	strcat(other.dir, "-l");
	assert_int_equal(bed_open(&other), ERR_DENIED);
	unlink(path);
	assert_int_equal(bed_open(b), 0);
}

static void planted_files_stop_the_start(void **state)
{
	struct bed *b = *state;
	char path[100], target[100];

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 100, NULL), 0);
	bed_stop(b);
	snprintf(path, sizeof(path), "%s/0000abcd.seg", b->dir);
	snprintf(target, sizeof(target), "%s/00000001.seg", b->dir);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(bed_open(b), ERR_DENIED);
	assert_true(bed_logged("event=spool-refused"));
	unlink(path);
	assert_int_equal(link(target, path), 0);
	assert_int_equal(bed_open(b), ERR_DENIED);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(bed_open(b), ERR_DENIED);
	unlink(path);
	chmod(target, 0640);
	assert_int_equal(bed_open(b), ERR_DENIED);
	chmod(target, 0600);
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(b->found_count, 1);
}

static void a_directory_that_cannot_be_made_is_an_error(void **state)
{
	struct bed *b = *state, other = *b;

	strcat(other.dir, "/a/b");
	assert_int_equal(bed_open(&other), ERR_NOTFOUND);
}

static void a_segment_without_a_readable_title_is_still_read(void **state)
{
	struct bed *b = *state;
	uint8_t *p;
	size_t n;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	bed_stop(b);
	p = bed_load(b->dir, "00000001.seg", &n);
	memset(p, 0xaa, 4096);
	bed_save(b->dir, "00000001.seg", p, n);
	assert_int_equal(bed_open(b), 0);
	assert_true(bed_logged("event=spool-damaged"));
	assert_int_equal(b->found_count, 1);
	assert_int_equal(bed_check(b, 1, 0, 1000, b->found[0].place), 0);
	/* nothing is added to it */
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), 0);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 2);
	assert_int_equal(bed_find(b, 2)->place.segment, 2);
	bed_stop(b);
	/* and one in which nothing can be read is put aside, while the rest lives */
	memset(p, 0xaa, n);
	bed_save(b->dir, "00000001.seg", p, n);
	free(p);
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(b->found_count, 1);
	assert_int_equal(bed_count(b->dir, "damaged"), 1);
}

static void damaged_segments_are_set_aside_once_empty(void **state)
{
	struct bed *b = *state;
	uint8_t *p;
	size_t n;

	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(bed_commit(b, id, 1, 1000, NULL), 0);
	bed_stop(b);
	p = bed_load(b->dir, "00000001.seg", &n);
	p[SPOOL_FIRST + 1056 + 500] ^= 1;
	bed_save(b->dir, "00000001.seg", p, n);
	free(p);
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(b->report.damaged_records, 1);
	assert_int_equal(b->found_count, 2);
	assert_true(bed_logged("event=spool-damaged"));
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DELIVERED, 1), 0);
	assert_int_equal(bed_state(b, 3, 0, SPOOL_DELIVERED, 1), 0);
	for (uint64_t id = 10; id <= 2000; id += 20) {
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
		for (uint64_t k = id; k < id + 20; k++)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
	}
	bed_stop(b);
	assert_int_equal(bed_count(b->dir, "damaged"), 1);
	assert_true(bed_logged("event=spool-quarantined"));
}

static void a_message_whose_part_is_damaged_is_not_alive(void **state)
{
	struct bed *b = *state;
	struct spool_place parts[2];
	uint8_t *p;
	size_t n;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_part(b, 1, 1, 1000, &parts[0]), 0);
	assert_int_equal(bed_part(b, 1, 2, 1000, &parts[1]), 0);
	assert_int_equal(bed_commit_parts(b, 1, 100, parts, 2, NULL), 0);
	assert_int_equal(bed_commit(b, 2, 1, 100, NULL), 0);
	bed_stop(b);
	p = bed_load(b->dir, "00000001.seg", &n);
	p[parts[1].offset + 700] ^= 1;
	bed_save(b->dir, "00000001.seg", p, n);
	free(p);
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(b->found_count, 1);
	assert_int_equal(b->found[0].id, 2);
	assert_int_equal(b->report.damaged_records, 2);
	assert_true(bed_logged("kind=message"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_second_relay_never_shares_a_spool),
	    T(directories_of_others_or_open_to_others_are_refused),
	    T(planted_files_stop_the_start),
	    T(a_directory_that_cannot_be_made_is_an_error),
	    T(a_segment_without_a_readable_title_is_still_read),
	    T(damaged_segments_are_set_aside_once_empty),
	    T(a_message_whose_part_is_damaged_is_not_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
