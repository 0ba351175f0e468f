/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction: disk use follows what lives, old places stay good, and nothing that fails on the way loses or doubles
 * a message. Power cuts on the way are in test_spool_power. */
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
#include "spool_bed.h"

#define PATIENCE (60 * CLOCK_SEC)

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
	b->options.look = 500;
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

static size_t segments(struct bed *b)
{
	struct spool_numbers n;

	spool_log_numbers(b->log, &n);
	return n.segments;
}

static int shrinks_to(struct bed *b, size_t most)
{
	int64_t until = clock_mono() + PATIENCE;

	while (segments(b) > most && clock_mono() < until)
		sched_yield();
	return segments(b) <= most;
}

/* --- a log of which almost all dies */

#define IDS   900
#define EVERY 60
#define PARTS 3
#define PART  2000

struct story {
	struct spool_place commit[IDS + 1], parts[IDS + 1][PARTS];
};

static int stays(uint64_t id)
{
	return id % EVERY == 1;
}

/* Of those that stay every other one is long. */
static int is_long(uint64_t id)
{
	return id % (2 * EVERY) == 1;
}

static size_t size_of(uint64_t id)
{
	return 300 + (size_t)(id * 37 % 900);
}

static void fill(struct bed *b, struct story *st)
{
	for (uint64_t id = 1; id <= IDS; id++) {
		unsigned parts = is_long(id) ? PARTS : 0;
		for (unsigned i = 0; i < parts; i++)
			assert_int_equal(bed_part(b, id, i + 1, PART, &st->parts[id][i]), 0);
		assert_int_equal(
		    bed_commit_parts(b, id, size_of(id), st->parts[id], parts, &st->commit[id]), 0);
		if (stays(id))
			assert_int_equal(bed_state(b, id, 0, SPOOL_DEFERRED, (uint16_t)id), 0);
	}
}

static void finish(struct bed *b)
{
	for (uint64_t id = 1; id <= IDS; id++)
		if (!stays(id))
			assert_int_equal(bed_state(b, id, 0, SPOOL_DELIVERED, 1), 0);
}

static void assert_reads(struct bed *b, const struct story *st, uint64_t id)
{
	assert_int_equal(bed_check(b, id, 0, size_of(id), st->commit[id]), 0);
	for (unsigned i = 0; is_long(id) && i < PARTS; i++)
		assert_int_equal(bed_check(b, id, i + 1, PART, st->parts[id][i]), 0);
}

/* After a start: exactly what should live, once each, with its story so far. */
static void assert_found(struct bed *b, const struct story *st)
{
	size_t want = 0;

	for (uint64_t id = 1; id <= IDS; id++) {
		const struct bed_found *f = bed_find(b, id);
		if (!stays(id)) {
			assert_null(f);
			continue;
		}
		want++;
		assert_non_null(f);
		assert_int_equal(f->states[0].outcome, SPOOL_DEFERRED);
		assert_int_equal(f->states[0].attempts, id);
		assert_int_equal(bed_check(b, id, 0, size_of(id), f->place), 0);
		assert_reads(b, st, id);
	}
	assert_int_equal(b->found_count, want);
	assert_int_equal(b->report.damaged_records, 0);
}

static void what_lives_moves_and_is_read_at_its_old_places(void **state)
{
	static struct story st;
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	fill(b, &st);
	assert_true(segments(b) > 8);
	finish(b);
	assert_true(shrinks_to(b, 5));
	for (uint64_t id = 1; id <= IDS; id += EVERY)
		assert_reads(b, &st, id);
	for (int orderly = 0; orderly < 2; orderly++) {
		if (orderly)
			bed_close(b);
		else
			bed_stop(b);
		assert_int_equal(bed_open(b), 0);
		assert_found(b, &st);
	}
	/* and they end like any other */
	for (uint64_t id = 1; id <= IDS; id += EVERY)
		assert_int_equal(bed_state(b, id, 0, SPOOL_DELIVERED, 1), 0);
	bed_stop(b);
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(b->found_count, 0);
}

static void messages_move_again_and_again(void **state)
{
	struct bed *b = *state;
	struct spool_place part, at;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_part(b, 1000000, 1, 900, &part), 0);
	assert_int_equal(bed_commit_parts(b, 1000000, 500, &part, 1, &at), 0);
	for (uint64_t id = 1; b->log->number.moved < 20 && id < 200000; id += 50) {
		assert_int_equal(bed_commit_many(b, id, 50, 1000), 50);
		for (uint64_t k = id; k < id + 50; k++)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
		assert_int_equal(bed_check(b, 1000000, 0, 500, at), 0);
		assert_int_equal(bed_check(b, 1000000, 1, 900, part), 0);
		assert_true(segments(b) <= 12);
	}
	assert_true(b->log->number.moved >= 20);
	bed_stop(b);
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(b->found_count, 1);
	assert_int_equal(bed_check(b, 1000000, 0, 500, at), 0);
	assert_int_equal(bed_check(b, 1000000, 1, 900, part), 0);
}

struct counts {
	unsigned commits, states;
};

static void on_seen(void *arg, const struct spool_seen *r)
{
	struct counts *c = arg;

	c->commits += r->kind == SPOOL_COMMIT;
	c->states += r->kind == SPOOL_STATE;
}

static void trace_tells_of_a_moved_message_once(void **state)
{
	static struct story st;
	struct bed *b = *state;
	struct counts c = {0};

	assert_int_equal(bed_open(b), 0);
	fill(b, &st);
	finish(b);
	assert_true(shrinks_to(b, 5));
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 2), 0);
	assert_int_equal(spool_log_trace(b->log, 1, on_seen, &c), 0);
	assert_int_equal(c.commits, 1);
	assert_true(c.states >= 1);
}

/* The numbers of an evening: twenty thousand messages, of which one in two hundred waits. */
static void disk_use_follows_what_lives(void **state)
{
	struct bed *b = *state;
	uint64_t living = 0;

	b->options.segment_size = 1u << 20;
	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= 20000; id += 50) {
		assert_int_equal(bed_commit_many(b, id, 50, 2000), 50);
		for (uint64_t k = id; k < id + 50; k++)
			if (k % 200)
				assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
			else
				living += 2048;
	}
	assert_true(shrinks_to(b, 2 + (4 * living + (1u << 20) - 1) / (1u << 20)));
	bed_stop(b);
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(b->found_count, 100);
	for (size_t i = 0; i < b->found_count; i++) {
		assert_int_equal(b->found[i].id % 200, 0);
		assert_int_equal(bed_check(b, b->found[i].id, 0, 2000, b->found[i].place), 0);
	}
}

static void a_message_with_unfinished_parts_is_not_moved_and_not_lost(void **state)
{
	struct bed *b = *state;
	struct spool_place part, at;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_part(b, 1000000, 1, 2000, &part), 0);
	for (uint64_t id = 1; id <= 1000; id += 50) {
		assert_int_equal(bed_commit_many(b, id, 50, 1000), 50);
		for (uint64_t k = id; k < id + 50; k++)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
	}
	assert_true(shrinks_to(b, 6));
	assert_int_equal(bed_commit_parts(b, 1000000, 100, &part, 1, &at), 0);
	assert_int_equal(bed_check(b, 1000000, 1, 2000, part), 0);
}

static void what_cannot_be_read_stays_and_the_others_go(void **state)
{
	static struct story st;
	char name[SPOOL_NAME_SIZE];
	struct bed *b = *state;
	struct spool_numbers n;
	uint8_t *p;
	size_t size;

	b->options.pace = -1;
	assert_int_equal(bed_open(b), 0);
	fill(b, &st);
	finish(b);
	bed_stop(b);
	/* the first message that is not long rots */
	spool_segment_name(name, st.commit[1 + EVERY].segment, "seg");
	p = bed_load(b->dir, name, &size);
	p[st.commit[1 + EVERY].offset + SPOOL_HEAD + 10] ^= 1;
	bed_save(b->dir, name, p, size);
	free(p);
	b->options.pace = 0;
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(b->report.damaged_records,
			 0); /* what lies before the checkpoint is not read */
	assert_true(shrinks_to(b, 6));
	spool_log_numbers(b->log, &n);
	assert_int_equal(n.damaged, 1);
	assert_int_equal(bed_check(b, 1 + EVERY, 0, size_of(1 + EVERY), st.commit[1 + EVERY]),
			 ERR_DAMAGED);
	for (uint64_t id = 1; id <= IDS; id += EVERY)
		if (id != 1 + EVERY)
			assert_reads(b, &st, id);
}

/* --- what a crash may leave, and rot may do to it */

/* Everything is as a crash left it after the copies of all that stays were stable, and no segment was let go: the
 * files as they were are laid beside what compaction wrote. */
static void crash_after_copies(struct bed *b, struct story *st)
{
	char before[80];

	snprintf(before, sizeof(before), "%s/before", b->base);
	assert_int_equal(mkdir(before, 0700), 0);
	b->options.pace = -1;
	assert_int_equal(bed_open(b), 0);
	fill(b, st);
	finish(b);
	bed_stop(b);
	bed_copy(b->dir, before);
	b->options.pace = 0;
	assert_int_equal(bed_open(b), 0);
	assert_true(shrinks_to(b, 5));
	bed_stop(b);
	for (uint32_t number = 1; number < 200; number++) {
		char name[SPOOL_NAME_SIZE], path[120];
		uint8_t *p;
		size_t n;
		spool_segment_name(name, number, "seg");
		snprintf(path, sizeof(path), "%s/%s", before, name);
		if (access(path, F_OK) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", b->dir, name);
		if (access(path, F_OK) == 0)
			continue; /* it has grown */
		p = bed_load(before, name, &n);
		bed_save(b->dir, name, p, n);
		free(p);
	}
	bed_empty(before);
	rmdir(before);
	b->options.pace = -1;
}

/* Flips a byte of the data of the last record of that kind and message. 0: there is none. */
static int rot(struct bed *b, uint64_t id, uint8_t kind)
{
	char name[SPOOL_NAME_SIZE], path[120];
	struct spool_title t;
	struct spool_record r;
	uint8_t *p;
	size_t n;

	for (uint32_t number = 200; number-- > 1;) {
		uint32_t found = 0;
		spool_segment_name(name, number, "seg");
		snprintf(path, sizeof(path), "%s/%s", b->dir, name);
		if (access(path, F_OK) < 0)
			continue;
		p = bed_load(b->dir, name, &n);
		assert_int_equal(spool_record_get_title(p, &t), 0);
		for (uint32_t at = SPOOL_FIRST; at < n; at += SPOOL_ALIGN)
			if (spool_record_get(&r, &t.mark, at, t.size, span_of(p + at, n - at)) >
				0 &&
			    r.kind == kind && r.id == id)
				found = at + SPOOL_HEAD + r.meta + 5;
		if (found) {
			p[found] ^= 1;
			bed_save(b->dir, name, p, n);
		}
		free(p);
		if (found)
			return 1;
	}
	return 0;
}

static void copies_beside_what_was_copied_are_the_same_messages(void **state)
{
	static struct story st;
	struct bed *b = *state;

	crash_after_copies(b, &st);
	assert_int_equal(bed_open(b), 0);
	assert_found(b, &st);
}

static void a_copy_that_rots_is_reported(void **state)
{
	static struct story st;
	struct bed *b = *state;
	uint64_t id = 1 + EVERY; /* not a long one */

	crash_after_copies(b, &st);
	assert_true(rot(b, id, SPOOL_COPY));
	assert_int_equal(bed_open(b), 0);
	/* if it lies behind the last checkpoint the start sees it, and has the old place; else who reads sees it */
	if (b->report.damaged_records)
		assert_int_equal(bed_check(b, id, 0, size_of(id), bed_find(b, id)->place), 0);
	else
		assert_int_equal(bed_check(b, id, 0, size_of(id), bed_find(b, id)->place),
				 ERR_DAMAGED);
	for (uint64_t k = 1; k <= IDS; k += EVERY)
		if (k != id)
			assert_reads(b, &st, k);
}

static void a_copied_part_that_rots_is_never_given_out(void **state)
{
	static struct story st;
	struct bed *b = *state;

	crash_after_copies(b, &st);
	assert_true(rot(b, 1, SPOOL_PART));
	assert_int_equal(bed_open(b), 0);
	if (bed_find(b, 1))
		assert_int_equal(bed_check(b, 1, PARTS, PART, (struct spool_place){0}),
				 ERR_DAMAGED);
	else
		assert_true(b->report.damaged_records > 0);
	for (uint64_t id = 1 + EVERY; id <= IDS; id += EVERY)
		assert_reads(b, &st, id);
}

/* --- each call of a compaction fails */

#define CALLS_MIN 30

static void wait_for_quiet(struct bed *b)
{
	int64_t until = clock_mono() + PATIENCE;
	uint64_t before;

	do { /* it may have given up what a fault hit, and rest */
		before = b->log->number.written;
		for (int i = 0; i < 200; i++)
			sched_yield();
	} while (before != b->log->number.written && clock_mono() < until);
}

/* 0 when the fault was never reached. */
static int one_fault(struct bed *b, int at, int count, int why)
{
	static struct story st;
	int reached;

	bed_empty(b->dir);
	b->options.pace = -1;
	assert_int_equal(bed_open(b), 0);
	fill(b, &st);
	finish(b);
	bed_stop(b);
	b->options.pace = 0;
	assert_int_equal(bed_open(b), 0);
	bed_disk.calls = 0;
	bed_disk.fail_errno = why;
	bed_disk.fail_count = count;
	bed_disk.fail_at = at;
	bed_disk.tear = at % 2;
	bed_disk.kinds = BED_READ | BED_WRITE | BED_SYNC | BED_NAME | BED_ALLOCATE;
	for (int64_t until = clock_mono() + PATIENCE;
	     bed_disk.calls < at && segments(b) > 5 && clock_mono() < until;)
		sched_yield();
	wait_for_quiet(b);
	reached = bed_disk.calls >= at;
	if (at % 3)
		bed_close(b);
	else
		bed_stop(b);
	bed_disk.kinds = 0;
	assert_int_equal(bed_open(b), 0);
	assert_found(b, &st);
	/* and once more: what the start did is as good */
	bed_stop(b);
	assert_int_equal(bed_open(b), 0);
	assert_found(b, &st);
	bed_stop(b);
	return reached;
}

static void whichever_call_of_a_compaction_fails_nothing_is_lost_or_doubled(void **state)
{
	static const int whys[] = {EIO, ENOSPC};
	struct bed *b = *state;
	int faults = 0;

	/* how many calls there are depends on what falls into one slice */
	for (int why = 0; why < 2; why++)
		for (int at = 1, more = 1; more || at <= CALLS_MIN; at++) {
			more = one_fault(b, at, 1, whys[why]);
			faults += more;
			faults += one_fault(b, at, at % 4 == 0 ? 5 : INT32_MAX, whys[why]);
		}
	print_message("%d faults\n", faults);
	assert_true(faults > CALLS_MIN / 2); /* a slow machine has more in one slice, and fewer calls */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    T(what_lives_moves_and_is_read_at_its_old_places),
	    T(messages_move_again_and_again),
	    T(trace_tells_of_a_moved_message_once),
	    T(disk_use_follows_what_lives),
	    T(a_message_with_unfinished_parts_is_not_moved_and_not_lost),
	    T(what_cannot_be_read_stays_and_the_others_go),
	    T(copies_beside_what_was_copied_are_the_same_messages),
	    T(a_copy_that_rots_is_reported),
	    T(a_copied_part_that_rots_is_never_given_out),
	    T(whichever_call_of_a_compaction_fails_nothing_is_lost_or_doubled),
	};

	if (argc > 1) /* one of them, by name or pattern */
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
