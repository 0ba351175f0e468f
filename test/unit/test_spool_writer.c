/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that are given up, fail, or cannot begin; readers that are. */
#include "spool_world.h"

#include "core/err.h"

static unsigned room_calls;

static void on_room(void *arg)
{
	(void)arg;
	room_calls++;
}

/* --- giving up and failing */

static void an_aborted_message_drops_its_parts_once_they_are_written(void **state)
{
	struct world *w = *state;
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);

	assert_int_equal(world_write(w, sw, 0, 600000, 60000), 0);
	spool_writer_abort(sw);
	assert_int_equal(w->log.waiting_count, 2); /* the two PARTs, no DROP yet */
	world_settle(w);
	assert_int_equal(w->log.kinds[SPOOL_PART], 2);
	assert_int_equal(w->log.kinds[SPOOL_DROP], 1);
	sw = world_begin(w, &id);
	assert_int_equal(world_write(w, sw, 0, 5000, 5000), 0);
	spool_writer_abort(sw);
	world_settle(w);
	assert_int_equal(w->log.kinds[SPOOL_DROP], 1);
	assert_int_equal(w->log.kinds[SPOOL_COMMIT], 0);
}

static void a_part_that_fails_fails_the_message_and_drops_it(void **state)
{
	struct world *w = *state;
	struct outcome o = {0};
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);

	assert_int_equal(world_write(w, sw, 0, 300000, 60000), 0);
	w->log.result = ERR_NOSPACE;
	world_settle(w);
	w->log.result = 0;
	assert_int_equal(world_write(w, sw, 0, 10, 10), ERR_NOSPACE);
	assert_int_equal(spool_writer_room(sw, NULL, NULL), 1);
	spool_writer_commit(sw, world_envelope(), world_on_done, &o);
	assert_int_equal(o.calls, 0);
	world_settle(w);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.result, ERR_NOSPACE);
	assert_null(o.fresh);
	assert_int_equal(w->log.kinds[SPOOL_COMMIT], 0);
	assert_int_equal(w->log.kinds[SPOOL_DROP], 1);
}

static void a_part_that_fails_after_commit_was_asked_for_fails_the_message(void **state)
{
	struct world *w = *state;
	struct outcome o = {0};
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);

	assert_int_equal(world_write(w, sw, 0, 300000, 60000), 0);
	spool_writer_commit(sw, world_envelope(), world_on_done, &o);
	w->log.result = ERR_IO;
	world_work(&w->log);
	w->log.result = 0;
	world_settle(w);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.result, ERR_IO);
	assert_int_equal(w->log.kinds[SPOOL_COMMIT], 0);
	assert_int_equal(w->log.kinds[SPOOL_DROP], 1);
}

static void a_commit_that_fails_says_so_and_needs_no_drop(void **state)
{
	struct world *w = *state;
	struct outcome o = {0};
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);

	assert_int_equal(world_write(w, sw, 0, 300000, 60000), 0);
	world_settle(w);
	spool_writer_commit(sw, world_envelope(), world_on_done, &o);
	w->log.result = ERR_IO;
	world_settle(w);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.result, ERR_IO);
	assert_null(o.fresh);
	assert_int_equal(w->log.kinds[SPOOL_DROP], 0);
}

static void a_commit_waits_until_its_parts_are_written(void **state)
{
	struct world *w = *state;
	struct outcome o = {0};
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);

	assert_int_equal(world_write(w, sw, 0, 300000, 60000), 0);
	spool_writer_commit(sw, world_envelope(), world_on_done, &o);
	assert_int_equal(w->log.waiting_count, 1);
	assert_int_equal(w->log.waiting[0]->kind, SPOOL_PART);
	world_settle(w);
	assert_int_equal(o.result, 0);
	world_assert_reads(w, id, &o, 300000);
}

static void an_envelope_without_recipients_is_refused_but_not_within_the_call(void **state)
{
	struct world *w = *state;
	struct spool_envelope *e = world_envelope();
	struct outcome o = {0};
	uint64_t id;

	e->count = 0;
	spool_writer_commit(world_begin(w, &id), e, world_on_done, &o);
	assert_int_equal(o.calls, 0);
	world_settle(w);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.result, ERR_LIMIT);
}

static void without_key_or_space_nothing_begins(void **state)
{
	struct world *w = *state;
	struct spool_writer *sw;
	uint64_t id;

	w->keys.err = ERR_LOCKED;
	assert_int_equal(spool_writer_begin(&w->worker, "acme", &sw, &id), ERR_LOCKED);
	w->keys.err = 0;
	w->log.ready = ERR_NOSPACE;
	assert_int_equal(spool_writer_begin(&w->worker, "acme", &sw, &id), ERR_NOSPACE);
}

/* The spool is done with one job, the others still wait. */
static void answer_first(struct world *w)
{
	struct spool_job *j = w->log.waiting[0];

	memmove(w->log.waiting, w->log.waiting + 1, --w->log.waiting_count * sizeof(j));
	world_store(&w->log, j);
	j->result = 0;
	j->msg.run(&j->msg, &w->worker);
}

static void a_writer_ahead_of_the_disk_is_held_back(void **state)
{
	static uint8_t block[65536];
	struct world *w = *state;
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);
	size_t taken = 0;

	room_calls = 0;
	while (spool_writer_write(sw, block, sizeof(block)) == 0)
		taken += sizeof(block);
	assert_true(taken >= 1u << 20 && taken < 2u << 20);
	assert_int_equal(spool_writer_write(sw, block, 1), ERR_BUSY);
	assert_int_equal(spool_writer_room(sw, on_room, NULL), 0);
	answer_first(w);
	assert_int_equal(room_calls, 0); /* half of it must be written first */
	world_settle(w);
	assert_int_equal(room_calls, 1);
	assert_int_equal(spool_writer_room(sw, on_room, NULL), 1);
	assert_int_equal(spool_writer_write(sw, block, 1), 0);
	spool_writer_abort(sw);
	world_settle(w);
	assert_int_equal(room_calls, 1);
}

static void at_most_1024_fresh_keys_are_passed_around(void **state)
{
	struct world *w = *state;
	static struct spool_fresh *held[SPOOL_FRESH_MAX];
	struct outcome o;

	for (int i = 0; i < SPOOL_FRESH_MAX; i++) {
		w->log.used = w->log.count = 0;
		world_put(w, 10, 10, &o);
		held[i] = o.fresh;
		assert_non_null(held[i]);
	}
	w->log.used = w->log.count = 0;
	world_put(w, 10, 10, &o);
	assert_null(o.fresh);
	for (int i = 0; i < SPOOL_FRESH_MAX; i++)
		spool_fresh_free(held[i]);
	world_put(w, 10, 10, &o);
	assert_non_null(o.fresh);
	spool_fresh_free(o.fresh);
}

/* --- opening */

static void a_closed_reader_is_never_told(void **state)
{
	struct world *w = *state;
	struct outcome o;
	struct opening told = {0};
	uint64_t id = world_put(w, 10, 10, &o);
	struct spool_reader *r;

	r = spool_reader_open(&w->worker, id, o.at, o.fresh, world_on_opened, &told);
	spool_reader_close(r);
	r = spool_reader_open(&w->worker, id, o.at, NULL, world_on_opened, &told);
	evt_loop_turn(w->worker.loop, 0);
	spool_reader_close(r);
	world_answer_keys(&w->keys, 0);
	evt_loop_turn(w->worker.loop, 0);
	assert_int_equal(told.calls, 0);
}

static void keyd_away_is_not_damage_but_an_unknown_customer_is(void **state)
{
	static const int said[] = {ERR_AWAY, ERR_LOCKED, ERR_BUSY, ERR_TIMEOUT, ERR_NOTFOUND},
			 told[] = {ERR_AWAY, ERR_LOCKED, ERR_BUSY, ERR_TIMEOUT, ERR_DAMAGED};
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 10, 10, &o);

	spool_fresh_free(o.fresh);
	for (int i = 0; i < 5; i++) {
		struct opening op = {0};
		struct spool_reader *r =
		    spool_reader_open(&w->worker, id, o.at, NULL, world_on_opened, &op);
		world_answer_keys(&w->keys, said[i]);
		assert_int_equal(op.calls, 1);
		assert_int_equal(op.result, told[i]);
		spool_reader_close(r);
		w->keys.err = said[i]; /* the same at once */
		op = (struct opening){0};
		r = spool_reader_open(&w->worker, id, o.at, NULL, world_on_opened, &op);
		assert_int_equal(op.calls, 0);
		evt_loop_turn(w->worker.loop, 0);
		assert_int_equal(op.result, told[i]);
		spool_reader_close(r);
		w->keys.err = 0;
	}
}

static void a_message_that_is_not_there_is_not_found(void **state)
{
	struct world *w = *state;
	int result;
	struct spool_reader *r = world_open(w, 5, (struct spool_place){1, 2, 3}, NULL, &result);

	assert_int_equal(result, ERR_NOTFOUND);
	spool_reader_close(r);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(an_aborted_message_drops_its_parts_once_they_are_written),
	    T(a_part_that_fails_fails_the_message_and_drops_it),
	    T(a_part_that_fails_after_commit_was_asked_for_fails_the_message),
	    T(a_commit_that_fails_says_so_and_needs_no_drop),
	    T(a_commit_waits_until_its_parts_are_written),
	    T(an_envelope_without_recipients_is_refused_but_not_within_the_call),
	    T(without_key_or_space_nothing_begins),
	    T(a_writer_ahead_of_the_disk_is_held_back),
	    T(at_most_1024_fresh_keys_are_passed_around),
	    T(a_closed_reader_is_never_told),
	    T(keyd_away_is_not_damage_but_an_unknown_customer_is),
	    T(a_message_that_is_not_there_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
