/* SPDX-License-Identifier: Apache-2.0 */
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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "spool_bed.h"

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_lines[1 << 16];

static void keep_line(void *arg, const char *line)
{
	size_t n;

	(void)arg;
	pthread_mutex_lock(&log_lock);
	n = strlen(log_lines);
	snprintf(log_lines + n, sizeof(log_lines) - n, "%s\n", line);
	pthread_mutex_unlock(&log_lock);
}

static int setup(void **state)
{
	struct bed *b = malloc(sizeof(*b));

	log_lines[0] = '\0';
	log_capture(keep_line, NULL);
	bed_init(b, 1);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bed *b = *state;

	bed_disk_reset();
	if (b->log)
		bed_stop(b);
	umount2(b->dir, MNT_DETACH); /* of the test that mounts, if it failed */
	bed_clear(b);
	free(*state);
	log_capture(NULL, NULL);
	return 0;
}

static int logged(const char *text)
{
	int found;

	pthread_mutex_lock(&log_lock);
	found = strstr(log_lines, text) != NULL;
	pthread_mutex_unlock(&log_lock);
	return found;
}

static void reopen(struct bed *b, int orderly)
{
	if (orderly)
		bed_close(b);
	else
		bed_stop(b);
	assert_int_equal(bed_open(b), 0);
}

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
		reopen(b, orderly);
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
		reopen(b, orderly);
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
		reopen(b, orderly);
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
		reopen(b, round == 0);
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
	reopen(b, 0);
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
	reopen(b, 0);
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
	reopen(b, 0);
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
		reopen(b, round);
	}
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
		reopen(b, orderly);
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
	reopen(b, 0);
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
		reopen(b, round % 3 == 0);
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
	reopen(b, 0);
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
	reopen(b, 0);
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
		reopen(b, round);
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
	reopen(b, 0);
	assert_int_equal(b->found_count, 1);
	assert_int_equal(bed_check(b, 1000000, 1, 2000, part), 0);
}

static void a_clean_end_makes_the_next_start_read_next_to_nothing(void **state)
{
	struct bed *b = *state;

	assert_int_equal(bed_open(b), 0);
	for (uint64_t id = 1; id <= 400; id += 20)
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
	reopen(b, 1);
	assert_int_equal(b->found_count, 400);
	/* no CLOSE names that checkpoint yet: from the one before on; but a segment later it does
	 */
	assert_int_equal(bed_commit_many(b, 1000, 50, 1500), 50);
	reopen(b, 1);
	assert_int_equal(b->found_count, 450);
	assert_true(b->report.records < 150);
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
	assert_true(logged("event=spool-checkpoint-damaged"));
	assert_true(b->report.damaged_records > 0);
	for (uint64_t id = 1; id <= 1000; id += 20)
		assert_non_null(bed_find(b, id));
}

/* --- trouble */

static void below_the_floor_only_states_are_written(void **state)
{
	struct bed *b = *state;

	b->floor = 1000000;
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
	assert_true(logged("event=spool-full"));
	bed_disk.space = 1000000;
	/* by itself, without a job */
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC;
	     spool_log_ready(b->log) && clock_mono() < until;)
		sched_yield();
	assert_int_equal(spool_log_ready(b->log), 0);
	assert_int_equal(bed_commit(b, 3, 1, 100, NULL), 0);
	assert_true(logged("event=spool-ready"));
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
	assert_true(logged("event=spool-io-failed"));
	assert_int_equal(spool_log_ready(b->log), 0);
	assert_int_equal(bed_commit(b, 3, 1, 1000, &after), 0);
	assert_int_not_equal(after.segment, before.segment);
	assert_int_equal(bed_check(b, 1, 0, 1000, before), 0);
	/* the refused record is whole on this disk: it must stay refused all the same */
	reopen(b, 0);
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
	reopen(b, 0);
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
	reopen(b, 0);
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
	assert_true(logged("event=spool-broken"));
	bed_disk.kinds = 0;
	for (int64_t until = clock_mono() + 10 * CLOCK_SEC;
	     spool_log_ready(b->log) && clock_mono() < until;)
		sched_yield();
	assert_int_equal(spool_log_ready(b->log), 0);
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), 0);
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DEFERRED, 2), 0);
	reopen(b, 0);
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
	assert_true(logged("event=spool-full"));
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
	reopen(b, 0);
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
	reopen(b, 0);
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
	reopen(b, 0);
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
	reopen(b, 0);
	assert_true(b->found_count > 1 && b->found_count < 20);
	assert_null(bed_find(b, 50));
	for (size_t i = 0; i < b->found_count; i++)
		assert_int_equal(b->found[i].id, i + 1);
}

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
	assert_true(logged("event=spool-refused"));
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
	assert_true(logged("event=spool-damaged"));
	assert_int_equal(b->found_count, 1);
	assert_int_equal(bed_check(b, 1, 0, 1000, b->found[0].place), 0);
	/* nothing is added to it */
	assert_int_equal(bed_commit(b, 2, 1, 1000, NULL), 0);
	reopen(b, 0);
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
	assert_true(logged("event=spool-damaged"));
	assert_int_equal(bed_state(b, 1, 0, SPOOL_DELIVERED, 1), 0);
	assert_int_equal(bed_state(b, 3, 0, SPOOL_DELIVERED, 1), 0);
	for (uint64_t id = 10; id <= 2000; id += 20) {
		assert_int_equal(bed_commit_many(b, id, 20, 1500), 20);
		for (uint64_t k = id; k < id + 20; k++)
			assert_int_equal(bed_state(b, k, 0, SPOOL_DELIVERED, 1), 0);
	}
	bed_stop(b);
	assert_int_equal(bed_count(b->dir, "damaged"), 1);
	assert_true(logged("event=spool-quarantined"));
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
	assert_true(logged("kind=message"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
	    T(one_sync_covers_all_that_waits),
	    T(a_state_is_answered_without_a_sync_and_synced_soon_after),
	    T(full_segments_follow_each_other),
	    T(segments_of_finished_messages_are_used_again),
	    T(what_was_recycled_never_comes_back_and_what_lives_never_goes),
	    T(an_old_message_holds_its_own_segment_only),
	    T(segments_beyond_the_descriptors_are_opened_for_each_read),
	    T(others_read_while_segments_come_and_go),
	    T(an_open_transaction_keeps_its_parts),
	    T(a_clean_end_makes_the_next_start_read_next_to_nothing),
	    T(a_damaged_checkpoint_loses_nothing),
	    T(below_the_floor_only_states_are_written),
	    T(a_failed_sync_refuses_its_commits_for_good),
	    T(states_that_a_failed_sync_took_along_are_said_again),
	    T(parts_that_a_failed_sync_took_along_are_not_committed),
	    T(a_failed_write_goes_to_another_segment),
	    T(a_dead_disk_refuses_everything_and_a_living_one_is_noticed),
	    T(a_disk_that_fills_in_the_middle_of_a_write_leaves_nothing_behind),
	    T(without_room_for_a_new_segment_states_use_what_is_left),
	    T(a_full_file_system_refuses_and_takes_again_when_there_is_room),
	    T(a_file_size_limit_is_a_full_disk),
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
