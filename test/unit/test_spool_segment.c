/* SPDX-License-Identifier: Apache-2.0 */
/* Segments follow each other, die and are used again; checkpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "spool_bed.h"

struct seen {
	unsigned commits, parts, states, delivered;
	struct spool_place last;
};

static void on_seen(void *arg, const struct spool_seen *r)
{
	struct seen *s = arg;

	s->commits +=
	    r->kind == SPOOL_COMMIT && r->recipients == 1 && r->time == INT64_C(1700000000000005);
	s->parts += r->kind == SPOOL_PART;
	s->states += r->kind == SPOOL_STATE;
	for (unsigned i = 0; i < r->state_count; i++)
		s->delivered += r->states[i].outcome == SPOOL_DELIVERED;
	s->last = r->place;
}

/* --- segments */

static int count_segments(struct bed *b)
{
	struct spool_numbers n;

	spool_log_numbers(b->log, &n);
	return (int)n.segments;
}

static void full_segments_follow_each_other(void **state)
{
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= 600; id += 20)
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
	assert_true(count_segments(b) >= 600 * 1500 / 65536);
	for (int orderly = 0; orderly < 2; orderly++) {
		bed_reopen(b, orderly);
		assert_int_equal(b->found_count, 600);
		for (size_t i = 0; i < 600; i++) {
			assert_int_equal(b->found[i].id, i + 1);
			assert_int_equal(bed_check(b, i + 1, 0, 1500, b->found[i].place), 0);
		}
	}
}

static void segments_of_finished_messages_are_used_again(void **state)
{
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= 4000; id += 20) {
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
		for (uint64_t k = id; k < id + 20; k++)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
		assert_true(count_segments(b) <= 8);
	}
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 0);
	assert_true(bed_count(b->dir, "seg") + bed_count(b->dir, "free") <= 12);
}

/* One message in fifty stays; now and then the log is opened anew, orderly or not. */
static void what_was_recycled_never_comes_back_and_what_lives_never_goes(void **state)
{
	struct bed *b = *state;
	uint64_t id = 1;

	assert_int_equal(bed_open(b), 0);
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 5; i++, id += 50) {
			assert_int_equal(bed_commit_many(b, id, 50, 1000), 50);
			for (uint64_t k = id + 1; k < id + 50; k++)
				assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
			assert_int_equal(bed_state(b, id, 0, SPOOL_DEFERRED, (uint16_t)round), 0);
		}
		/* older ones are tried again: their states move on in the log */
		for (uint64_t k = 1; k < id; k += 500)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DEFERRED, (uint16_t)round), 0);
		bed_reopen(b, round % 3 == 0);
		assert_int_equal(b->report.damaged_records, 0);
		assert_int_equal(b->found_count, (size_t)(round + 1) * 5);
		for (size_t i = 0; i < b->found_count; i++) {
			const struct bed_found *f = &b->found[i];
			assert_int_equal(f->id % 50, 1);
			assert_int_equal(f->states[0].outcome, SPOOL_DEFERRED);
			if (f->id % 500 == 1)
				assert_int_equal(f->states[0].attempts, round);
			assert_int_equal(bed_check(b, f->id, 0, 1000, f->place), 0);
		}
	}
	for (uint64_t k = 1; k < id; k += 50)
		assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 99), 0);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 0);
}

static void an_old_message_holds_its_own_segment_only(void **state)
{
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1000000, 2, 1000, NULL), 0);
	assert_int_equal(bed_state(b, 1000000, 1, SPOOL_DELIVERED, 1), 0);
	for (uint64_t id = 1; id <= 4000; id += 20) {
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
		for (uint64_t k = id; k < id + 20; k++)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
		assert_int_equal(bed_state(b, 1000000, 0, SPOOL_DEFERRED, (uint16_t)id), 0);
		assert_true(count_segments(b) <= 9);
	}
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 1);
	assert_int_equal(b->found[0].states[0].attempts, 3981);
	assert_int_equal(b->found[0].states[1].outcome, SPOOL_DELIVERED);
	assert_int_equal(bed_check(b, 1000000, 0, 1000, b->found[0].place), 0);
}

static void segments_beyond_the_descriptors_are_opened_for_each_read(void **state)
{
	struct bed *b = *state;
	struct spool_place first, last;
	uint64_t id;

	b->options.segment_size = 16u << 10;
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, &first), 0);
	for (id = 2; count_segments(b) < SPOOL_FDS_MAX + 20; id += 10)
		assert_int_equal(bed_commit_many(b, id, 10, 1000), 10);
	assert_int_equal(bed_commit(b, id, 1, 1000, &last), 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(bed_check(b, 1, 0, 1000, first), 0);
		assert_int_equal(bed_check(b, id, 0, 1000, last), 0);
		bed_reopen(b, round);
		assert_int_equal(b->found_count, id);
	}
	assert_true(bed_state(b, 1, 0, SPOOL_DELIVERED, 1) == 0);
}

struct reader {
	struct bed *b;
	struct spool_place lives, dies;
	atomic_int stop, reads, bad;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;
	struct seen s = {0};

	while (!r->stop) {
		int err = bed_check(r->b, 2, 0, 1000, r->dies);
		r->bad += bed_check(r->b, 1, 0, 1000, r->lives) != 0;
		/* it may be gone, but never be something else */
		r->bad += err != 0 && err != ERR_NOTFOUND && err != ERR_DAMAGED;
		if (++r->reads % 16 == 0)
			r->bad += spool_log_trace(r->b->log, 1, on_seen, &s) != 0;
	}
	return NULL;
}

static void others_read_while_segments_come_and_go(void **state)
{
	struct bed *b = *state;
	struct reader r = {.b = b};
	pthread_t t[2];

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, &r.lives), 0);
	/* in another segment than the one that lives */
	assert_int_equal(bed_commit_many(b, 10, 60, 1500), 60);
	assert_int_equal(bed_commit(b, 2, 1, 1000, &r.dies), 0);
	for (uint64_t id = 10; id < 70; id++)
		assert_int_equal(bed_state(b, id, 0, SPOOL_DELIVERED, 1), 0);
	assert_int_equal(bed_state(b, 2, 0, SPOOL_DELIVERED, 1), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, read_on, &r), 0);
	for (uint64_t id = 100; id < 4000; id += 20) {
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
		for (uint64_t k = id; k < id + 20; k++)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
	}
	while (r.reads < 100)
		sched_yield();
	r.stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(r.bad, 0);
	assert_int_not_equal(bed_check(b, 2, 0, 1000, r.dies), 0);
}

static void an_open_transaction_keeps_its_parts(void **state)
{
	struct bed *b = *state;
	struct spool_place part, at;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_part(b, 1000000, 1, 2000, &part), 0);
	for (uint64_t id = 1; id <= 2000; id += 20) {
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
		for (uint64_t k = id; k < id + 20; k++)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
	}
	assert_int_equal(bed_check(b, 1000000, 1, 2000, part), 0);
	assert_int_equal(bed_commit_parts(b, 1000000, 100, &part, 1, &at), 0);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 1);
	assert_int_equal(bed_check(b, 1000000, 1, 2000, part), 0);
}

static void a_clean_end_makes_the_next_start_read_next_to_nothing(void **state)
{
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= 400; id += 20)
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
	bed_reopen(b, 1);
	assert_int_equal(b->found_count, 400);
	/* no CLOSE names that checkpoint yet: from the one before on; but a segment later it does
	 */
	assert_int_equal(bed_commit_many(b, 1000, 50, 1500), 50);
	bed_reopen(b, 1);
	assert_int_equal(b->found_count, 450);
	assert_true(b->report.records < 150);
}

/* However much lives: what follows the last checkpoint is read, and the first record of each segment. */
static void a_start_reads_no_bodies_before_the_checkpoint(void **state)
{
	struct bed *b = *state;

	b->options.segment_size = 1u << 20;
	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= 3000; id += 20)
		assert_int_equal(bed_commit_many(b, id, 20, 16000), 20);
	for (int orderly = 0; orderly < 2; orderly++) {
		if (orderly)
			bed_close(b);
		else
			bed_stop(b);
		bed_disk.bytes_read = 0;
		assert_int_equal(bed_open(b), 0);
		print_message("%d segments of 1 MiB, %llu KiB read\n", count_segments(b),
			      (unsigned long long)bed_disk.bytes_read >> 10);
		assert_int_equal(b->found_count, 3000);
		assert_true(count_segments(b) > 45);
		assert_true(bed_disk.bytes_read < 6u << 20);
	}
}

/* Spoils every CHECK in the files; returns how many. */
static int spoil_checks(struct bed *b)
{
	char name[SPOOL_NAME_SIZE], path[100];
	int count = 0;

	for (uint32_t number = 1; number < 200; number++) {
		struct spool_record r;
		struct spool_title t;
		uint8_t *p;
		size_t n;
		spool_segment_name(name, number, "seg");
		snprintf(path, sizeof(path), "%s/%s", b->dir, name);
		if (access(path, F_OK) < 0)
			continue;
		p = bed_load(b->dir, name, &n);
		assert_int_equal(spool_record_get_title(p, &t), 0);
		for (uint32_t at = SPOOL_FIRST; at < n; at += SPOOL_ALIGN)
			if (spool_record_get(&r, &t.mark, at, t.size, span_of(p + at, n - at)) >
				0 &&
			    r.kind == SPOOL_CHECK) {
				p[at + SPOOL_HEAD] ^= 1;
				count++;
			}
		bed_save(b->dir, name, p, n);
		free(p);
	}
	return count;
}

static void a_damaged_checkpoint_loses_nothing(void **state)
{
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= 1000; id += 20) {
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
		for (uint64_t k = id + 1; k < id + 20; k++)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
	}
	bed_stop(b);
	assert_true(spoil_checks(b) > 0);
	assert_int_equal(bed_open(b), 0);
	assert_true(bed_logged("event=spool-checkpoint-damaged"));
	assert_true(b->report.damaged_records > 0);
	for (uint64_t id = 1; id <= 1000; id += 20)
		assert_non_null(bed_find(b, id));
}

#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(full_segments_follow_each_other),
	    T(segments_of_finished_messages_are_used_again),
	    T(what_was_recycled_never_comes_back_and_what_lives_never_goes),
	    T(an_old_message_holds_its_own_segment_only),
	    T(segments_beyond_the_descriptors_are_opened_for_each_read),
	    T(others_read_while_segments_come_and_go),
	    T(an_open_transaction_keeps_its_parts),
	    T(a_clean_end_makes_the_next_start_read_next_to_nothing),
	    T(a_start_reads_no_bodies_before_the_checkpoint),
	    T(a_damaged_checkpoint_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
