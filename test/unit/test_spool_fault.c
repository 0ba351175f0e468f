/* SPDX-License-Identifier: Apache-2.0 */
/* What of refusals and outcomes is certain when first the disk fails and then relay ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
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
#include "core/num.h"
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
	b->options.segment_size = 1u << 20; /* so that the helper does not meet the fault */
	b->options.lazy = 600 * CLOCK_SEC;  /* nothing is synced but for a COMMIT and at the end */
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	bed_clear(*state);
	clock_restore();
	free(*state);
	log_capture(NULL, NULL);
	return 0;
}

static void break_disk(int kinds, int count, int why)
{
	bed_disk.calls = 0;
	bed_disk.fail_errno = why;
	bed_disk.fail_count = count;
	bed_disk.fail_at = 1;
	bed_disk.kinds = kinds;
}

/* --- a disk that has zeros last of all: only a sync brings them there */

static struct {
	int fd;
	off_t at;
	size_t n;
} late;

static int all_zero(const struct iovec *v)
{
	const uint8_t *p = v->iov_base;

	return v->iov_len && !p[0] && !memcmp(p, p + 1, v->iov_len - 1);
}

static ssize_t zeros_wait(int fd, const struct iovec *v, int count, off_t at)
{
	if (count != 1 || !all_zero(v) || late.n)
		return pwritev(fd, v, count, at);
	late.fd = fd;
	late.at = at;
	late.n = v->iov_len;
	return (ssize_t)v->iov_len;
}

static int zeros_go(int fd)
{
	uint8_t *p;

	if (!late.n || fd != late.fd)
		return 0;
	p = calloc(1, late.n);
	if (!p || pwrite(fd, p, late.n, late.at) != (ssize_t)late.n)
		abort();
	free(p);
	late.n = 0;
	return 0;
}

static void what_a_full_disk_refused_stays_refused_after_a_power_cut(void **state)
{
	struct bed *b = *state, after = *b;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	memset(&late, 0, sizeof(late));
	bed_disk.on_write = zeros_wait;
	bed_disk.on_sync = zeros_go;
	bed_disk.tear = 1; /* half of them are on the disk, whole, when the space ends */
	break_disk(BED_WRITE, 1, ENOSPC);
	assert_int_equal(bed_commit_many(b, 10, 20, 500), 0);
	/* now the power goes */
	snprintf(after.dir, sizeof(after.dir), "%s/cut", b->base);
	assert_int_equal(mkdir(after.dir, 0700), 0);
	bed_copy(b->dir, after.dir);
	bed_disk.on_write = NULL;
	bed_disk.on_sync = NULL;
	assert_int_equal(bed_open(&after), 0);
	assert_non_null(bed_find(&after, 1));
	for (uint64_t id = 10; id < 30; id++)
		assert_null(bed_find(&after, id));
	assert_int_equal(after.report.damaged_records, 0);
	bed_stop(&after);
}

/* A COMMIT whose sync failed, and then each further one: it is whole on the disk all the same. */
static void refuse_one(struct bed *b)
{
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	break_disk(BED_SYNC, INT32_MAX, EIO);
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), ERR_IO);
	assert_int_equal(spool_log_ready(b->log), ERR_IO);
}

static void what_was_refused_stays_refused_once_the_disk_is_back(void **state)
{
	struct bed *b = *state;

	b->options.look = 1000;
	refuse_one(b);
	bed_disk.kinds = 0;
	for (int64_t until = clock_mono() + 60 * CLOCK_SEC;
	     spool_log_ready(b->log) && clock_mono() < until;)
		sched_yield();
	assert_int_equal(spool_log_ready(b->log), 0);
	bed_stop(b);
	assert_int_equal(bed_open(b), 0);
	assert_non_null(bed_find(b, 1));
	assert_null(bed_find(b, 2));
}

static atomic_uint synced, synced_at_ready; /* the last segment whose first record a sync covered */

static int note_sync(int fd)
{
	uint8_t title[SPOOL_PAGE], first[8];
	struct spool_title t;

	if (pread(fd, title, sizeof(title), 0) == sizeof(title) &&
	    pread(fd, first, sizeof(first), SPOOL_FIRST) == sizeof(first) &&
	    spool_record_get_title(title, &t) == 0 && num_get_u64(first) == t.mark.nonce)
		synced = t.mark.number;
	return 0;
}

static void note_ready(void *arg, const char *line)
{
	(void)arg;
	if (strstr(line, "event=spool-ready"))
		synced_at_ready = synced;
}

/* A STATE may be the first to find that the disk is back: it takes the next segment and asks for
 * no sync. */
static void it_is_stable_that_they_are_refused_before_relay_says_it_is_ready(void **state)
{
	struct bed *b = *state;

	synced = synced_at_ready = 0;
	log_capture(note_ready, NULL);
	bed_disk.on_sync = note_sync;
	clock_set(1000 * CLOCK_SEC, 1000 * CLOCK_SEC);
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	clock_advance(CLOCK_SEC / 2);
	break_disk(BED_SYNC, INT32_MAX, EIO);
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), ERR_IO);
	clock_advance(CLOCK_SEC / 2 + 1);
	/* a look, too early for a try */
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 1), ERR_IO);
	bed_disk.kinds = 0;
	clock_advance(CLOCK_SEC / 2);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 2), 0);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 3), 0);
	assert_int_equal(spool_log_ready(b->log), 0);
	assert_int_equal(synced_at_ready, b->log->current->mark.number);
}

static void what_was_refused_by_a_disk_that_never_came_back_may_be_found(void **state)
{
	struct bed *b = *state;

	refuse_one(b);
	bed_stop(b);
	bed_disk.kinds = 0;
	assert_int_equal(bed_open(b), 0);
	assert_non_null(bed_find(b, 1));
	assert_non_null(bed_find(b, 2)); /* there was nowhere to say that it is void */
	assert_int_equal(b->report.damaged_records, 0);
}

/* --- outcomes that a failed sync takes along */

/* Messages 1 and 2 are delivered; 1 is covered by a sync, the sync of 2 fails at the end. */
static void deliver_two(struct bed *b)
{
	assert_int_equal(bed_commit(b, 1, 1, 1000, NULL), 0);
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), 0);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DELIVERED, 1), 0);
	assert_int_equal(bed_commit(b, 3, 1, 1000, NULL), 0);
	assert_int_equal(bed_state(b, 2, 0, SPOOL_DELIVERED, 1), 0);
	break_disk(BED_SYNC, 1, EIO);
}

static void a_crash_before_the_checkpoint_forgets_what_a_failed_sync_took_along(void **state)
{
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	deliver_two(b);
	bed_stop(b);
	assert_true(bed_disk.calls > 1);
	assert_int_equal(bed_open(b), 0);
	assert_null(bed_find(b, 1));
	assert_int_equal(bed_find(b, 2)->states[0].outcome, 0);
	assert_non_null(bed_find(b, 3));
}

#define LARGE 425 /* messages of 10000 recipients: more than an end writes down without need */

static void an_orderly_end_says_them_again_however_much_lives(void **state)
{
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 100; id < 100 + LARGE; id++)
		assert_int_equal(bed_commit(b, id, SPOOL_RECIPIENTS_MAX, 60, NULL), 0);
	deliver_two(b);
	bed_close(b);
	assert_true(bed_disk.calls > 1);
	assert_int_equal(bed_open(b), 0);
	assert_null(bed_find(b, 1));
	assert_null(bed_find(b, 2));
	assert_int_equal(b->found_count, LARGE + 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_a_full_disk_refused_stays_refused_after_a_power_cut),
	    T(what_was_refused_stays_refused_once_the_disk_is_back),
	    T(it_is_stable_that_they_are_refused_before_relay_says_it_is_ready),
	    T(what_was_refused_by_a_disk_that_never_came_back_may_be_found),
	    T(a_crash_before_the_checkpoint_forgets_what_a_failed_sync_took_along),
	    T(an_orderly_end_says_them_again_however_much_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
