/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what lives, and what recovery makes of records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/num.h"
#include "relay/spool/spool_check.h"
#include "relay/spool/spool_replay.h"

/* --- the table of what lives */

static void fill_and_thin(uint64_t base, uint64_t step)
{
	const uint64_t count = 100000;
	uint32_t longest = 0;
	struct spool_live l;
	struct spool_entry *e;

	assert_int_equal(spool_live_init(&l), 0);
	for (uint64_t i = 1; i <= count; i++) {
		e = spool_live_add(&l, base + i * step);
		assert_non_null(e);
		assert_int_equal(spool_live_expect(&l, e, (uint16_t)(i % 3 + 1)), 0);
		assert_ptr_equal(spool_live_slot(&l, spool_live_index(&l, e)), e);
	}
	for (uint32_t i = 0; i < l.bucket_count; i++) {
		uint32_t length = 0;
		for (uint32_t at = l.buckets[i]; at; at = spool_live_slot(&l, at - 1)->next)
			length++;
		longest = length > longest ? length : longest;
	}
	assert_true(l.bucket_count >= l.count);
	assert_true(longest <=
		    16); /* of a good hash: 9 or 10, in a bucket not yet split twice that */
	for (uint64_t i = 3; i <= count; i += 3)
		spool_live_remove(&l, spool_live_find(&l, base + i * step));
	for (uint64_t i = 1; i <= count; i++) {
		e = spool_live_find(&l, base + i * step);
		assert_true(i % 3 ? e && e->id == base + i * step : !e);
	}
	assert_int_equal(l.count, count - count / 3);
	spool_live_clear(&l);
}

static void ids_that_count_upwards_are_found_by_short_chains(void **state)
{
	(void)state;
	fill_and_thin(0, 1);
	fill_and_thin(UINT64_C(0x6921500000000000), 1);
	fill_and_thin(UINT64_C(0x6921500000000000), UINT64_C(1) << 32); /* one each second */
	fill_and_thin(7, 1 << 20);
}

static void outcomes_are_counted_once_and_final_ones_stay(void **state)
{
	struct spool_state done = {.recipient = 1, .outcome = SPOOL_DELIVERED};
	struct spool_state later = {.recipient = 1, .outcome = SPOOL_DEFERRED, .attempts = 3};
	struct spool_state foreign = {.recipient = 3, .outcome = SPOOL_DELIVERED};
	struct spool_live l;
	struct spool_entry *e;

	(void)state;
	spool_live_init(&l);
	e = spool_live_add(&l, 1);
	assert_int_equal(spool_live_expect(&l, e, 3), 0);
	assert_int_equal(spool_live_apply(e, &later), 0);
	assert_int_equal(spool_live_states(e)[1].attempts, 3);
	assert_int_equal(spool_live_apply(e, &done), 0);
	assert_int_equal(spool_live_apply(e, &done), 0);
	assert_int_equal(spool_live_apply(e, &later), 0);
	assert_int_equal(spool_live_apply(e, &foreign), 0);
	assert_int_equal(e->remaining, 2);
	assert_int_equal(spool_live_states(e)[1].outcome, SPOOL_DELIVERED);
	done.recipient = 0;
	assert_int_equal(spool_live_apply(e, &done), 0);
	done.recipient = 2;
	assert_int_equal(spool_live_apply(e, &done), 1);
	spool_live_clear(&l);
}

static void a_checkpoint_entry_is_read_as_it_was_written(void **state)
{
	struct spool_state st = {.recipient = 4, .outcome = SPOOL_BOUNCED, .code = 550};
	struct spool_place at = {3, 8192, 160};
	struct spool_live l, other;
	struct spool_entry *e, *got;
	uint8_t b[512];
	size_t n, done = 0;

	(void)state;
	spool_live_init(&l);
	spool_live_init(&other);
	e = spool_live_add(&l, 1);
	assert_int_equal(spool_live_expect(&l, e, 6), 0);
	assert_int_equal(spool_live_hold(&l, e, 2, 100), 1);
	assert_int_equal(spool_live_hold(&l, e, 3, 100), 1);
	assert_int_equal(spool_live_hold(&l, e, 2, 100), 0);
	e->parts = 5;
	spool_live_commit(&l, e, at, 777);
	spool_live_apply(e, &st);
	n = spool_check_put(b, e);
	assert_int_equal(n, spool_check_size(e));
	/* an older entry of the same message is replaced */
	spool_live_expect(&other, spool_live_add(&other, 1), 1);
	assert_int_equal(spool_check_get(&other, span_of(b, n), &done, &got), 1);
	assert_int_equal(spool_check_get(&other, span_of(b, n), &done, &got), 0);
	assert_int_equal(got->recipients, 6);
	assert_int_equal(got->remaining, 5);
	assert_int_equal(got->parts, 5);
	assert_int_equal(got->hold_count, 2);
	assert_int_equal(got->created, 777);
	assert_int_equal(spool_live_states(got)[4].code, 550);
	for (size_t cut = 1; cut < n; cut++) {
		done = 0;
		assert_int_equal(spool_check_get(&other, span_of(b, cut), &done, &got), ERR_FORMAT);
	}
	spool_live_clear(&l);
	spool_live_clear(&other);
}

/* --- replay */

static void play(struct spool_replay *p, uint32_t offset, struct spool_record r,
		 const uint8_t *meta)
{
	struct spool_point at = {5, offset};

	assert_true(spool_record_legal(&r));
	assert_int_equal(spool_replay_record(p, at, &r, span_of(meta, r.meta), 1), 0);
}

static void play_commit(struct spool_replay *p, uint32_t offset, uint64_t id)
{
	play(p, offset, (struct spool_record){.kind = SPOOL_COMMIT, .id = id, .count = 1}, NULL);
}

static void play_end(struct spool_replay *p, uint32_t offset, uint32_t start, uint32_t records)
{
	struct spool_end end = {{5, start}, records, 0};
	uint8_t meta[SPOOL_END_SIZE];

	spool_record_put_end(meta, &end);
	play(p, offset, (struct spool_record){.kind = SPOOL_END, .meta = SPOOL_END_SIZE}, meta);
}

static void play_check(struct spool_replay *p, uint32_t offset, uint32_t start, uint64_t id)
{
	struct spool_point from = {5, start};
	struct spool_live l;
	struct spool_entry *e;
	uint8_t meta[64];
	uint32_t n;

	spool_live_init(&l);
	e = spool_live_add(&l, id);
	spool_live_expect(&l, e, 1);
	spool_live_commit(&l, e, (struct spool_place){5, 4096, 64}, 1);
	n = spool_check_put(meta, e);
	play(p, offset,
	     (struct spool_record){
		 .kind = SPOOL_CHECK, .id = spool_point_pack(from), .count = 1, .meta = n},
	     meta);
	spool_live_clear(&l);
}

static void a_whole_checkpoint_ends_what_it_does_not_name(void **state)
{
	struct spool_replay p;
	struct spool_live l;

	(void)state;
	spool_live_init(&l);
	spool_replay_init(&p, &l);
	play_commit(&p, 4096, 1);
	play_commit(&p, 4160, 2);
	play_commit(&p, 4352, 3); /* after the checkpoint began */
	play_check(&p, 4416, 4352, 2);
	play_end(&p, 4480, 4352, 1);
	assert_null(spool_live_find(&l, 1));
	assert_non_null(spool_live_find(&l, 2));
	assert_non_null(spool_live_find(&l, 3));
	assert_int_equal(p.complete.offset, 4352);
	spool_replay_clear(&p);
	spool_live_clear(&l);
}

static void a_checkpoint_with_a_record_missing_ends_nothing(void **state)
{
	struct spool_replay p;
	struct spool_live l;

	(void)state;
	spool_live_init(&l);
	spool_replay_init(&p, &l);
	play_commit(&p, 4096, 1);
	play_commit(&p, 4160, 2);
	play_check(&p, 4416, 4352, 2);
	play_end(&p, 4480, 4352, 2);
	assert_non_null(spool_live_find(&l, 1));
	assert_int_equal(p.complete.segment, 0);
	/* nor one whose CHECKs were of another that was broken off */
	play_check(&p, 4544, 4500, 2);
	play_end(&p, 4608, 4540, 1);
	assert_non_null(spool_live_find(&l, 1));
	spool_replay_clear(&p);
	spool_live_clear(&l);
}

static void a_commit_written_twice_is_one_message(void **state)
{
	struct spool_state st = {.outcome = SPOOL_DELIVERED};
	uint8_t meta[SPOOL_STATE_SIZE];
	struct spool_replay p;
	struct spool_live l;

	(void)state;
	spool_live_init(&l);
	spool_replay_init(&p, &l);
	play_commit(&p, 4096, 1);
	play_commit(&p, 4160, 1);
	assert_int_equal(l.count, 1);
	assert_int_equal(l.committed, 1);
	spool_record_put_state(meta, &st);
	play(&p, 4224, (struct spool_record){.kind = SPOOL_STATE, .id = 1, .count = 1, .meta = 16},
	     meta);
	assert_int_equal(l.count, 0);
	spool_replay_clear(&p);
	spool_live_clear(&l);
}

static void a_copy_moves_its_message_and_keeps_its_outcomes(void **state)
{
	struct spool_state st = {.recipient = 1, .outcome = SPOOL_DELIVERED};
	struct spool_place part = {3, 4096, 64}, moved = {5, 4608, 64};
	struct spool_record copy = {
	    .kind = SPOOL_COPY, .id = 1, .count = 2, .meta = SPOOL_PLACE_SIZE};
	uint8_t meta[16];
	struct spool_replay p;
	struct spool_entry *e;
	struct spool_live l;

	(void)state;
	spool_live_init(&l);
	spool_replay_init(&p, &l);
	spool_record_put_place(meta, &part);
	play(&p, 4096,
	     (struct spool_record){
		 .kind = SPOOL_COMMIT, .id = 1, .count = 2, .meta = SPOOL_PLACE_SIZE},
	     meta);
	spool_record_put_state(meta, &st);
	play(&p, 4224, (struct spool_record){.kind = SPOOL_STATE, .id = 1, .count = 1, .meta = 16},
	     meta);
	spool_record_put_place(meta, &moved);
	/* broken: the message is where it was */
	assert_int_equal(spool_replay_record(&p, (struct spool_point){5, 4700}, &copy,
					     span_of(meta, copy.meta), 0),
			 0);
	e = spool_live_find(&l, 1);
	assert_int_equal(e->at.offset, 4096);
	play(&p, 4800, copy, meta);
	assert_ptr_equal(spool_live_find(&l, 1), e);
	assert_int_equal(l.committed, 1);
	assert_int_equal(e->at.offset, 4800);
	assert_int_equal(e->remaining, 1);
	assert_int_equal(spool_live_states(e)[1].outcome, SPOOL_DELIVERED);
	assert_int_equal(e->parts, 1);
	assert_int_equal(e->hold_count, 1); /* no more in segment 3 */
	assert_int_equal(e->holds[0].segment, 5);
	/* one that nobody knows is a message that was lost, and found */
	copy.id = 2;
	play(&p, 4928, copy, meta);
	assert_int_equal(l.committed, 2);
	/* a checkpoint that began before the copies ends neither */
	play_end(&p, 5056, 4608, 0);
	assert_int_equal(l.committed, 2);
	/* one that began after them does */
	play_end(&p, 5120, 5100, 0);
	assert_int_equal(l.committed, 0);
	spool_replay_clear(&p);
	spool_live_clear(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ids_that_count_upwards_are_found_by_short_chains),
	    cmocka_unit_test(outcomes_are_counted_once_and_final_ones_stay),
	    cmocka_unit_test(a_checkpoint_entry_is_read_as_it_was_written),
	    cmocka_unit_test(a_whole_checkpoint_ends_what_it_does_not_name),
	    cmocka_unit_test(a_checkpoint_with_a_record_missing_ends_nothing),
	    cmocka_unit_test(a_commit_written_twice_is_one_message),
	    cmocka_unit_test(a_copy_moves_its_message_and_keeps_its_outcomes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
