/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is read and found again; one sync covers many; trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "spool_bed.h"

/* --- writing, reading, finding again */

static void what_was_committed_is_found_again_byte_for_byte(void **state)
{
	struct bed *b = *state;
	struct spool_place at[20];

	for (int orderly = 0; orderly < 2; orderly++) {
		assert_int_equal(bed_open(b), 0);
		for (uint64_t id = 1; id < 20; id++) {
			assert_int_equal(bed_commit(b, id, 3, id * 100, &at[id]), 0);
			assert_int_equal(bed_check(b, id, 0, id * 100, at[id]), 0);
		}
		bed_reopen(b, orderly);
		assert_int_equal(b->found_count, 19);
		assert_int_equal(b->report.live, 19);
		assert_int_equal(b->report.damaged_records + b->report.torn_bytes, 0);
		for (uint64_t id = 1; id < 20; id++) {
			const struct bed_found *f = &b->found[id - 1]; /* order of the log */
			assert_int_equal(f->id, id);
			assert_int_equal(f->recipients, 3);
			assert_int_equal(f->created, INT64_C(1700000000000000) + (int64_t)id);
			assert_memory_equal(&f->place, &at[id], sizeof(at[id]));
			assert_int_equal(f->states[0].outcome, 0);
			assert_int_equal(bed_check(b, id, 0, id * 100, f->place), 0);
		}
		bed_stop(b);
		bed_empty(b->dir);
	}
}

static void states_are_merged_and_finished_messages_are_gone(void **state)
{
	struct bed *b = *state;
	const struct bed_found *f;

	for (int orderly = 0; orderly < 2; orderly++) {
		assert_int_equal(bed_open(b), 0);
		assert_int_equal(bed_commit(b, 1, 1, 500, NULL), 0);
		assert_int_equal(bed_commit(b, 2, 3, 500, NULL), 0);
		assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 1), 0);
		assert_int_equal(bed_state(b, 2, 1, SPOOL_DELIVERED, 1), 0);
		assert_int_equal(bed_state(b, 2, 2, SPOOL_DEFERRED, 1), 0);
		assert_int_equal(bed_state(b, 2, 2, SPOOL_DEFERRED, 2), 0);
		assert_int_equal(bed_state(b, 1, 0, SPOOL_BOUNCED, 2), 0);
		bed_reopen(b, orderly);
		assert_int_equal(b->found_count, 1);
		f = bed_find(b, 2);
		assert_int_equal(f->states[0].outcome, 0);
		assert_int_equal(f->states[1].outcome, SPOOL_DELIVERED);
		assert_int_equal(f->states[2].outcome, SPOOL_DEFERRED);
		assert_int_equal(f->states[2].attempts, 2);
		assert_int_equal(f->states[2].next, 1002);
		assert_int_equal(f->states[2].reason, 7);
		assert_int_equal(f->states[2].code, 450);
		assert_int_equal(bed_state(b, 2, 0, SPOOL_EXPIRED, 0), 0);
		assert_int_equal(bed_state(b, 2, 2, SPOOL_DELETED, 0), 0);
		bed_reopen(b, orderly);
		assert_int_equal(b->found_count, 0);
		bed_stop(b);
		bed_empty(b->dir);
	}
}

static void a_long_message_is_its_parts_and_its_commit(void **state)
{
	struct bed *b = *state;
	struct spool_place parts[100], at, *got;
	struct buf out;
	unsigned count;

	assert_int_equal(bed_open(b), 0);
	for (unsigned i = 0; i < 100; i++) /* spans several segments */
		assert_int_equal(bed_part(b, 9, i + 1, 3000, &parts[i]), 0);
	assert_int_equal(bed_commit_parts(b, 9, 700, parts, 100, &at), 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(bed_check(b, 9, 0, 700, at), 0);
		for (unsigned i = 0; i < 100; i++)
			assert_int_equal(bed_check(b, 9, i + 1, 3000, parts[i]), 0);
		buf_init(&out, 700);
		assert_int_equal(spool_log_read_commit(b->log, at, 9, &out, &got, &count), 0);
		assert_int_equal(buf_size(&out), 700);
		assert_int_equal(count, 100);
		assert_memory_equal(got, parts, sizeof(parts));
		free(got);
		buf_clear(&out);
		bed_reopen(b, round == 0);
		assert_int_equal(b->found_count, 1);
		assert_int_equal(b->report.damaged_records, 0);
	}
}

static void parts_without_a_commit_are_nothing(void **state)
{
	struct bed *b = *state;
	struct spool_place at;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_part(b, 1, 1, 3000, &at), 0);
	assert_int_equal(bed_part(b, 2, 1, 3000, &at), 0);
	assert_int_equal(bed_drop(b, 2), 0);
	assert_int_equal(bed_drop(b, 3), 0); /* of which nothing was ever heard */
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 0);
	assert_int_equal(b->report.damaged_records, 0);
}

static void a_commit_must_name_the_parts_that_were_written(void **state)
{
	struct bed *b = *state;
	struct spool_place at[2];

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_part(b, 1, 1, 300, &at[0]), 0);
	assert_int_equal(bed_part(b, 1, 2, 300, &at[1]), 0);
	assert_int_equal(bed_commit_parts(b, 1, 100, at, 1, NULL), ERR_BADSTATE);
	/* that ended the transaction */
	assert_int_equal(bed_commit_parts(b, 1, 100, at, 2, NULL), ERR_BADSTATE);
	assert_int_equal(bed_commit_parts(b, 1, 100, NULL, 0, NULL), 0);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 1);
}

static void a_second_commit_of_a_living_message_is_refused_and_harmless(void **state)
{
	struct bed *b = *state;
	struct spool_place at;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 100, &at), 0);
	assert_int_equal(bed_commit(b, 1, 1, 100, NULL), ERR_BADSTATE);
	assert_int_equal(bed_part(b, 1, 1, 100, NULL), ERR_BADSTATE);
	assert_int_equal(bed_drop(b, 1), 0);
	assert_int_equal(bed_check(b, 1, 0, 100, at), 0);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 1);
}

static void jobs_beyond_the_limits_are_refused(void **state)
{
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 0, 1, 100, NULL), ERR_LIMIT);
	assert_int_equal(bed_commit(b, 1, 0, 100, NULL), ERR_LIMIT);
	assert_int_equal(bed_commit(b, 1, SPOOL_RECIPIENTS_MAX + 1, 100, NULL), ERR_LIMIT);
	assert_int_equal(bed_commit(b, 1, 1, SPOOL_DATA_MAX + 100, NULL), ERR_LIMIT);
	assert_int_equal(bed_part(b, 1, 1, SPOOL_PART_MAX + 1, NULL), ERR_LIMIT);
	assert_int_equal(bed_part(b, 1, 1, SPOOL_PART_MAX, NULL),
			 ERR_LIMIT); /* of small segments */
	assert_int_equal(bed_state(b, 1, 0, 9, 1), ERR_LIMIT);
	assert_int_equal(bed_state(b, 1, SPOOL_RECIPIENTS_MAX, SPOOL_DELIVERED, 1), ERR_LIMIT);
	assert_int_equal(bed_commit(b, 1, SPOOL_RECIPIENTS_MAX, 100, NULL), 0);
}

static void reading_tells_a_wrong_place_from_a_missing_one(void **state)
{
	struct bed *b = *state;
	struct spool_place at, wrong;
	struct spool_numbers n;
	struct buf out;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 1000, &at), 0);
	wrong = at;
	wrong.segment = 77;
	buf_init(&out, 4096);
	assert_int_equal(spool_log_read(b->log, wrong, 1, &out), ERR_NOTFOUND);
	buf_clear(&out);
	assert_int_equal(bed_check(b, 2, 0, 1000, at), ERR_DAMAGED);
	wrong = at;
	wrong.offset += 16;
	assert_int_equal(bed_check(b, 1, 0, 1000, wrong), ERR_DAMAGED);
	wrong = at;
	wrong.length -= 16;
	assert_int_equal(bed_check(b, 1, 0, 1000, wrong), ERR_DAMAGED);
	wrong.offset = UINT32_MAX - 15;
	assert_int_equal(bed_check(b, 1, 0, 1000, wrong), ERR_DAMAGED);
	wrong = at;
	wrong.length = UINT32_MAX;
	assert_int_equal(bed_check(b, 1, 0, 1000, wrong), ERR_DAMAGED);
	spool_log_numbers(b->log, &n);
	assert_int_equal(n.damaged, 5);
	assert_int_equal(n.live_messages, 1);
}

static void reading_appends_behind_what_the_buffer_holds(void **state)
{
	struct bed *b = *state;
	struct spool_place at;
	uint8_t want[300];
	struct buf out;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 300, &at), 0);
	bed_fill(want, 300, 1, 0);
	buf_init(&out, 4096);
	buf_put_str(&out, "before");
	assert_int_equal(spool_log_read(b->log, at, 1, &out), 0);
	assert_int_equal(buf_size(&out), 306);
	assert_memory_equal(buf_ptr(&out), "before", 6);
	assert_memory_equal(buf_ptr(&out) + 6, want, 300);
	buf_clear(&out);
	buf_init(&out, 200);
	assert_int_equal(spool_log_read(b->log, at, 1, &out), ERR_LIMIT);
	buf_clear(&out);
	/* room for what is asked for is enough, whatever stands around it in the record */
	assert_int_equal(bed_commit(b, 2, 1, 301, &at), 0);
	buf_init(&out, 301);
	assert_int_equal(spool_log_read(b->log, at, 2, &out), 0);
	assert_int_equal(buf_size(&out), 301);
	buf_clear(&out);
	buf_init(&out, 300);
	assert_int_equal(spool_log_read(b->log, at, 2, &out), ERR_LIMIT);
	buf_clear(&out);
}

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

static void trace_tells_the_story_of_a_finished_message(void **state)
{
	struct bed *b = *state;
	struct spool_place part;
	struct seen s = {0};

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 4, 1, 100, NULL), 0);
	assert_int_equal(bed_part(b, 5, 1, 1000, &part), 0);
	assert_int_equal(bed_commit_parts(b, 5, 100, &part, 1, NULL), 0);
	assert_int_equal(bed_state(b, 5, 0, SPOOL_DEFERRED, 1), 0);
	assert_int_equal(bed_commit_many(b, 100, 40, 1500), 40);
	assert_int_equal(bed_state(b, 5, 0, SPOOL_DELIVERED, 2), 0);
	for (int round = 0; round < 2; round++) {
		memset(&s, 0, sizeof(s));
		assert_int_equal(spool_log_trace(b->log, 5, on_seen, &s), 0);
		assert_int_equal(s.commits, 1);
		assert_int_equal(s.parts, 1);
		assert_int_equal(s.states, 2);
		assert_int_equal(s.delivered, 1);
		/* the text that was given with the last state */
		assert_int_equal(bed_check(b, 5, 0, 40, s.last), 0);
		bed_reopen(b, round);
	}
}

static uint64_t quarantined(struct bed *b)
{
	struct spool_numbers n;

	spool_log_numbers(b->log, &n);
	return n.quarantined;
}

static void held_for_damage_is_quarantine_until_another_state(void **state)
{
	struct spool_state held = {
	    .recipient = 1, .outcome = SPOOL_HELD, .reason = SPOOL_REASON_DAMAGED};
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 2, 1000, NULL), 0);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_HELD, 1), 0); /* for another reason */
	assert_int_equal(quarantined(b), 0);
	assert_int_equal(bed_states(b, 1, &held, 1), 0);
	assert_int_equal(bed_states(b, 1, &held, 1), 0);
	assert_int_equal(quarantined(b), 1);
	assert_true(bed_logged("event=message-quarantined"));
	for (int orderly = 0; orderly < 2; orderly++) {
		bed_reopen(b, orderly);
		assert_int_equal(quarantined(b), 1);
		assert_int_equal(bed_find(b, 1)->states[1].reason, SPOOL_REASON_DAMAGED);
	}
	assert_int_equal(bed_state(b, 1, 1, SPOOL_DEFERRED, 1), 0);
	assert_int_equal(quarantined(b), 0);
	assert_int_equal(bed_states(b, 1, &held, 1), 0);
	assert_int_equal(bed_state(b, 1, 1, SPOOL_DELETED, 1), 0);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DELETED, 1), 0);
	assert_int_equal(quarantined(b), 0);
	bed_reopen(b, 0);
	assert_int_equal(b->found_count, 0);
}

/* --- commits and syncs */

static void one_sync_covers_all_that_waits(void **state)
{
	struct bed *b = *state;
	int syncs, writes;

	b->options.segment_size = 4u << 20;
	assert_int_equal(bed_open(b), 0);
	syncs = bed_disk.syncs;
	writes = bed_disk.writes;
	assert_int_equal(bed_commit_many(b, 1, 300, 1000), 300);
	assert_int_equal(bed_disk.syncs - syncs, 1);
	assert_int_equal(bed_disk.writes - writes, 1);
}

static void a_state_is_answered_without_a_sync_and_synced_soon_after(void **state)
{
	struct bed *b = *state;
	int syncs;

	b->options.lazy = 20000;
	assert_int_equal(bed_open(b), 0);
	assert_int_equal(bed_commit(b, 1, 1, 100, NULL), 0);
	syncs = bed_disk.syncs;
	b->log->options.lazy = INT64_C(3600000000);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 1), 0);
	assert_int_equal(bed_disk.syncs, syncs);
	assert_int_equal(bed_commit(b, 2, 1, 100, NULL), 0);
	assert_int_equal(bed_disk.syncs, syncs + 1);
	b->log->options.lazy = 1000;
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 2), 0);
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC;
	     bed_disk.syncs == syncs + 1 && clock_mono() < until;)
		sched_yield();
	assert_int_equal(bed_disk.syncs, syncs + 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(what_was_committed_is_found_again_byte_for_byte),
	    T(states_are_merged_and_finished_messages_are_gone),
	    T(a_long_message_is_its_parts_and_its_commit),
	    T(parts_without_a_commit_are_nothing),
	    T(a_commit_must_name_the_parts_that_were_written),
	    T(a_second_commit_of_a_living_message_is_refused_and_harmless),
	    T(jobs_beyond_the_limits_are_refused),
	    T(reading_tells_a_wrong_place_from_a_missing_one),
	    T(reading_appends_behind_what_the_buffer_holds),
	    T(trace_tells_the_story_of_a_finished_message),
	    T(held_for_damage_is_quarantine_until_another_state),
	    T(one_sync_covers_all_that_waits),
	    T(a_state_is_answered_without_a_sync_and_synced_soon_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
