/* SPDX-License-Identifier: Apache-2.0 */
/* The end of life, clocks, messages found after a restart. */
#include "test/unit/queue_world.h"

/* --- the end of life */

static void what_is_too_old_is_told_to_the_sender_and_forgotten(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");
	unsigned attempts = 0;

	settle(w);
	while (w->jobs[0]->kind == QUEUE_DELIVER) {
		attempts++;
		assert_true(attempts < 100);
		defer(w, only_job(w), QUEUE_RECIPIENT);
		settle(w);
		if (!w->job_count)
			pass(w, show(w, id).next - clock_wall());
	}
	assert_true(attempts > 25);
	assert_int_equal(clock_mono() - START, 5 * DAY); /* the last attempt was at the very end */
	assert_int_equal(only_job(w)->kind, QUEUE_EXPIRE);
	assert_int_equal(said("event=given-up"), 1);
	defer(w, only_job(w), QUEUE_LOCAL); /* the sender could not be told */
	settle(w);
	assert_int_equal(w->job_count, 0);
	pass(w, 5 * HOUR);
	assert_int_equal(only_job(w)->kind, QUEUE_EXPIRE);
	answer(w, only_job(w), SPOOL_EXPIRED, 0, 0);
	settle(w);
	assert_empty(w);
	assert_int_equal(said("event=given-up"), 1);
}

static void what_grows_too_old_behind_a_closed_door_is_given_up_too(void **state)
{
	struct world *w = *state;
	unsigned expired = 0;

	for (int i = 0; i < 20; i++)
		add_to(w, "dead.test");
	settle(w);
	for (int hours = 0; hours < 24 * 6; hours++) {
		for (unsigned i = 0; i < w->job_count;) {
			struct queue_job *j = w->jobs[i];
			if (j->kind == QUEUE_EXPIRE) {
				answer(w, j, SPOOL_EXPIRED, 0, 0);
				expired++;
			} else {
				defer(w, j, QUEUE_CONNECT);
			}
		}
		pass(w, HOUR);
	}
	assert_int_equal(expired, 20);
	assert_empty(w);
}

static void the_wall_clock_may_jump_as_it_likes(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	clock_set(clock_mono(), START_WALL + 400 * DAY);
	settle(w);
	assert_int_equal(w->job_count, 0); /* no storm */
	clock_set(clock_mono(), 0);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_true(show(w, id).next > 4 * MIN && show(w, id).next < 6 * MIN);
	clock_set(clock_mono() + 6 * MIN, START_WALL + 4000 * DAY);
	settle(w);
	assert_int_equal(only_job(w)->kind, QUEUE_DELIVER);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	assert_int_equal(numbers(w).deferred, 1); /* no early end */
	assert_int_equal(said("event=given-up"), 0);
}
/* --- after a restart */

static void found_messages_are_opened_oldest_first_a_bounded_number_at_a_time(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[1];
	unsigned done = 0;

	for (uint64_t id = 1; id <= 1000; id++)
		found(w, id, START_WALL - HOUR, none, 1);
	start(w);
	settle(w);
	assert_int_equal(w->job_count, 256);
	assert_int_equal(numbers(w).opening, 1000);
	assert_int_equal(numbers(w).recipients, 1000);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(w->jobs[i]->kind, QUEUE_OPEN);
		assert_true(w->jobs[i]->id <= 256);
	}
	while (done < 1000) {
		struct queue_job *j = NULL;
		for (unsigned i = 0; i < w->job_count && !j; i++)
			if (w->jobs[i]->kind == QUEUE_OPEN)
				j = w->jobs[i];
		assert_non_null(j);
		opened(w, j, 1, "a.test");
		done++;
		if (done % 50 == 0)
			settle(w);
	}
	settle(w);
	assert_int_equal(numbers(w).opening, 0);
	assert_int_equal(numbers(w).bytes, 100000);
	for (done = 0; done < 1000; done++) {
		assert_int_equal(w->jobs[0]->kind, QUEUE_DELIVER);
		deliver(w, w->jobs[0]);
		settle(w);
	}
	assert_empty(w);
}

static void a_found_recipient_takes_up_where_it_was(void **state)
{
	struct world *w = *state;
	const struct spool_state states[4] = {
	    {.outcome = SPOOL_DELIVERED},
	    {.outcome = SPOOL_DEFERRED,
	     .reason = QUEUE_DATA,
	     .code = 452,
	     .attempts = 7,
	     .next = START_WALL + HOUR},
	    {.outcome = SPOOL_BOUNCED},
	    {.outcome = SPOOL_DEFERRED,
	     .reason = QUEUE_DATA,
	     .code = 452,
	     .attempts = 6,
	     .next = START_WALL + 2 * HOUR},
	};
	struct queue_item item;

	found(w, 5, START_WALL - DAY, states, 4);
	start(w);
	settle(w);
	item = show(w, 5);
	assert_int_equal(item.reason, QUEUE_RECOVERED);
	assert_string_equal(item.destination, "");
	assert_int_equal(item.recipients, 2);
	opened(w, only_job(w), 4, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 0);
	item = show(w, 5);
	assert_int_equal(item.reason, QUEUE_DATA);
	assert_int_equal(item.attempts, 7);
	assert_int_equal(item.code, 452);
	assert_int_equal(item.next, START_WALL + HOUR);
	assert_int_equal(item.created, START_WALL - DAY);
	assert_string_equal(item.destination, "a.test");
	pass(w, HOUR + CLOCK_SEC);
	assert_int_equal(only_job(w)->attempts, 7);
	assert_int_equal(only_job(w)->count, 2);
	assert_int_equal(only_job(w)->recipients[0], 1);
	assert_int_equal(only_job(w)->recipients[1], 3);
}

static void times_from_a_wrong_clock_neither_storm_nor_sleep_for_ever(void **state)
{
	struct world *w = *state;
	const struct spool_state far = {.outcome = SPOOL_DEFERRED,
					.attempts = 1,
					.next = START_WALL + 4000 * DAY},
				 past = {.outcome = SPOOL_DEFERRED, .attempts = 1, .next = 5};
	unsigned early = 0;

	found(w, 5, START_WALL + 4000 * DAY, &far, 1); /* accepted in the future */
	for (uint64_t id = 10; id < 50; id++)
		found(w, id, 5, &past, 1); /* or in 1970 */
	start(w);
	settle(w);
	while (w->job_count)
		opened(w, w->jobs[0], 1, w->jobs[0]->id == 5 ? "b.test" : "a.test");
	settle(w);
	assert_int_equal(w->job_count, 0); /* what seems to be due for years does not come at once */
	assert_true(show(w, 5).next <= START_WALL + 5 * HOUR);
	for (uint64_t id = 10; id < 50; id++)
		early += show(w, id).next < START_WALL + 150 * CLOCK_SEC;
	assert_true(early > 5 && early < 35);
	/* and none of them is given up: each lives as long as any other */
	for (int hours = 0; hours < 5 * 24 - 1; hours++) {
		pass(w, HOUR);
		while (w->job_count) {
			assert_int_equal(w->jobs[0]->kind, QUEUE_DELIVER);
			defer(w, w->jobs[0], QUEUE_RECIPIENT);
		}
		settle(w);
	}
	for (int hours = 0; hours < 8; hours++) {
		pass(w, HOUR);
		for (unsigned i = w->job_count; i-- > 0;)
			if (w->jobs[i]->kind == QUEUE_DELIVER)
				defer(w, w->jobs[i], QUEUE_RECIPIENT);
	}
	settle(w);
	assert_int_equal(w->job_count, 41);
	for (unsigned i = 0; i < w->job_count; i++)
		assert_int_equal(w->jobs[i]->kind, QUEUE_EXPIRE);
}

static void what_is_too_old_at_the_start_is_tried_once_more(void **state)
{
	struct world *w = *state;
	const struct spool_state past = {.outcome = SPOOL_DEFERRED,
					 .attempts = 20,
					 .next = START_WALL - HOUR};

	found(w, 6, START_WALL - 6 * DAY, &past, 1);
	start(w);
	settle(w);
	opened(w, only_job(w), 1, "a.test");
	settle(w);
	assert_int_equal(only_job(w)->kind, QUEUE_DELIVER);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	assert_int_equal(only_job(w)->kind, QUEUE_EXPIRE);
}

static void a_message_that_cannot_be_opened_for_keyd_is_opened_soon(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[1];

	found(w, 5, START_WALL, none, 1);
	start(w);
	settle(w);
	not_opened(w, only_job(w), ERR_LOCKED);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(show(w, 5).reason, QUEUE_KEYD);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(only_job(w)->kind, QUEUE_OPEN);
	queue_set_open(w->q, 0);
	not_opened(w, only_job(w), ERR_AWAY);
	pass(w, MIN);
	assert_int_equal(w->job_count, 0);
	queue_set_open(w->q, 1);
	settle(w);
	assert_int_equal(only_job(w)->kind, QUEUE_OPEN);
}

static void a_damaged_message_is_kept_said_and_given_up_in_the_end(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[2];
	int tries = 0;

	found(w, 5, START_WALL, none, 2);
	found(w, 6, START_WALL, none, 1);
	start(w);
	settle(w);
	for (int hours = 0; hours < 24 * 6; hours++) {
		for (unsigned i = 0; i < w->job_count;) {
			struct queue_job *j = w->jobs[i];
			if (j->kind == QUEUE_DELIVER) {
				deliver(w, j);
			} else if (j->id == 5) {
				not_opened(w, j, ERR_AUTH);
				tries++;
			} else {
				opened(w, j, 1, "a.test");
			}
		}
		settle(w);
		if (hours == 3)
			assert_int_equal(show(w, 5).reason, QUEUE_DAMAGED);
		pass(w, HOUR);
	}
	assert_true(tries > 20 && tries < 50);
	assert_int_equal(said("event=message-damaged"), tries - 1);
	assert_int_equal(said("event=message-lost"), 1);
	assert_int_equal(atomic_load(&w->relay.count.damaged), 1);
	assert_int_equal(w->log.count, 2);
	assert_int_equal(w->log.states[0].state.outcome, SPOOL_EXPIRED);
	assert_empty(w);
}

static void an_envelope_that_does_not_fit_the_log_is_damaged(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[2];

	found(w, 5, START_WALL, none, 2);
	start(w);
	settle(w);
	opened(w, only_job(w), 3, "a.test");
	settle(w);
	assert_int_equal(show(w, 5).reason, QUEUE_DAMAGED);
}

static void new_mail_does_not_wait_for_old_mail_to_be_opened(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[1];

	for (uint64_t id = 1; id <= 1000; id++)
		found(w, id, START_WALL, none, 1);
	start(w);
	settle(w);
	add_to(w, "a.test");
	settle(w);
	assert_int_equal(jobs_for(w, "a.test"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_is_too_old_is_told_to_the_sender_and_forgotten),
	    TEST(what_grows_too_old_behind_a_closed_door_is_given_up_too),
	    TEST(the_wall_clock_may_jump_as_it_likes),
	    STILL(found_messages_are_opened_oldest_first_a_bounded_number_at_a_time),
	    STILL(a_found_recipient_takes_up_where_it_was),
	    STILL(times_from_a_wrong_clock_neither_storm_nor_sleep_for_ever),
	    STILL(what_is_too_old_at_the_start_is_tried_once_more),
	    STILL(a_message_that_cannot_be_opened_for_keyd_is_opened_soon),
	    STILL(a_damaged_message_is_kept_said_and_given_up_in_the_end),
	    STILL(an_envelope_that_does_not_fit_the_log_is_damaged),
	    STILL(new_mail_does_not_wait_for_old_mail_to_be_opened),
	};

	return cmocka_run_group_tests_name("queue_life", tests, NULL, NULL);
}
