/* SPDX-License-Identifier: Apache-2.0 */
/* The ordinary way of a message, keyd away, destinations. */
#include "test/unit/queue_world.h"

#define SLOW_MAX (QUEUE_OUT_MAX / 4 * 3)

/* --- the ordinary way */

static void an_accepted_message_is_handed_out_at_once_with_its_keys(void **state)
{
	struct world *w = *state;
	const char *domain = "Example.TEST";
	struct spool_fresh *fresh = a_fresh();
	uint64_t id = add(w, 1, &domain, 1, fresh);
	struct queue_job *j;

	settle(w);
	j = only_job(w);
	assert_int_equal(j->kind, QUEUE_DELIVER);
	assert_int_equal(j->id, id);
	assert_string_equal(j->destination, "example.test");
	assert_int_equal(j->at.offset, id);
	assert_int_equal(j->count, 1);
	assert_int_equal(j->recipients[0], 0);
	assert_int_equal(j->attempts, 0);
	assert_int_equal(j->created, START_WALL);
	assert_ptr_equal(j->fresh, fresh);
	assert_int_equal(numbers(w).active, 1);
	deliver(w, j);
	settle(w);
	assert_empty(w);
	assert_int_equal(w->log.count, 0); /* delivered is for the worker to write */
}

static void recipients_of_one_destination_travel_together_a_hundred_at_most(void **state)
{
	static const char *const domains[] = {"a.test", "b.test", "A.test"};
	struct world *w = *state;
	unsigned a = 0, b = 0;
	char seen[450] = {0};

	add(w, 450, domains, 3, a_fresh());
	settle(w);
	assert_int_equal(w->job_count, 5); /* 300 to a, 150 to b */
	for (unsigned i = 0; i < w->job_count; i++) {
		struct queue_job *j = w->jobs[i];
		assert_true(j->count <= 100);
		*(strcmp(j->destination, "a.test") ? &b : &a) += j->count;
		for (unsigned r = 0; r < j->count; r++) {
			assert_int_equal(j->recipients[r] % 3 == 1,
					 !strcmp(j->destination, "b.test"));
			assert_int_equal(seen[j->recipients[r]]++, 0);
			assert_int_equal(j->results[r].recipient, j->recipients[r]);
		}
	}
	assert_int_equal(a, 300);
	assert_int_equal(b, 150);
	while (w->job_count)
		deliver(w, w->jobs[0]);
	settle(w);
	assert_empty(w);
}

static void a_deferred_recipient_waits_and_the_log_knows(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");
	struct queue_item item;
	int64_t next;

	settle(w);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(w->log.count, 1);
	assert_int_equal(w->log.states[0].id, id);
	assert_int_equal(w->log.states[0].state.outcome, SPOOL_DEFERRED);
	assert_int_equal(w->log.states[0].state.reason, QUEUE_RECIPIENT);
	assert_int_equal(w->log.states[0].state.code, 451);
	assert_int_equal(w->log.states[0].state.attempts, 1);
	next = w->log.states[0].state.next;
	assert_true(next >= START_WALL + 4 * MIN && next <= START_WALL + 6 * MIN);
	item = show(w, id);
	assert_int_equal(item.next, next);
	assert_int_equal(item.attempts, 1);
	assert_int_equal(item.reason, QUEUE_RECIPIENT);
	assert_int_equal(item.code, 451);
	assert_string_equal(item.reply, "451 said so");
	assert_string_equal(item.customer, "acme");
	assert_int_equal(numbers(w).deferred, 1);
	assert_int_equal(said("event=rescheduled reason=recipient code=451 attempts=1"), 1);
	pass(w, next - START_WALL - CLOCK_SEC);
	assert_int_equal(w->job_count, 0);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(only_job(w)->attempts, 1);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	next = show(w, id).next - clock_wall();
	assert_true(next >= 8 * MIN && next <= 12 * MIN); /* doubled */
}

static void only_what_was_deferred_is_tried_again(void **state)
{
	static const char *const domain = "a.test";
	static const uint8_t outcomes[] = {SPOOL_DELIVERED, SPOOL_DEFERRED, SPOOL_BOUNCED,
					   SPOOL_DEFERRED, SPOOL_DELIVERED};
	struct world *w = *state;
	struct queue_job *j;

	add(w, 5, &domain, 1, NULL);
	settle(w);
	j = only_job(w);
	for (int i = 0; i < 5; i++) {
		j->results[i].outcome = outcomes[i];
		j->results[i].reason = QUEUE_RECIPIENT;
		j->results[i].code = (uint16_t)(450 + i);
	}
	give_back(w, j);
	settle(w);
	assert_int_equal(numbers(w).recipients, 2);
	assert_int_equal(w->log.count, 2);
	assert_int_equal(w->log.states[0].state.recipient, 1);
	assert_int_equal(w->log.states[0].state.code, 451);
	assert_int_equal(w->log.states[1].state.recipient, 3);
	assert_int_equal(w->log.states[1].state.code, 453);
	pass(w, 6 * MIN);
	j = only_job(w);
	assert_int_equal(j->count, 2);
	assert_int_equal(j->recipients[0], 1);
	assert_int_equal(j->recipients[1], 3);
	deliver(w, j);
	settle(w);
	assert_empty(w);
}

static void a_result_nobody_filled_in_is_a_deferral(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	give_back(w, only_job(w));
	settle(w);
	assert_int_equal(show(w, id).reason, QUEUE_LOCAL);
	assert_int_equal(show(w, id).attempts, 1);
}

/* --- keyd */

static void while_keyd_is_away_nothing_is_handed_out(void **state)
{
	struct world *w = *state;
	const char *domain = "a.test";

	queue_set_open(w->q, 0);
	add(w, 1, &domain, 1, a_fresh());
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(atomic_load(&fresh_alive), 0); /* nobody holds keys while keyd is locked */
	queue_set_open(w->q, 1);
	settle(w);
	deliver(w, only_job(w));
	settle(w);
	assert_empty(w);
}

static void fresh_keys_that_wait_are_dropped_when_keyd_goes(void **state)
{
	struct world *w = *state;
	const char *domain = "a.test";

	for (int i = 0; i < 10; i++)
		add(w, 1, &domain, 1, a_fresh());
	settle(w);
	assert_int_equal(w->job_count, 5);
	assert_int_equal(atomic_load(&fresh_alive), 10);
	queue_set_open(w->q, 0);
	settle(w);
	assert_int_equal(atomic_load(&fresh_alive), 5); /* those in workers' hands */
}

static void a_job_that_came_back_for_keyd_counts_no_attempt(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	queue_set_open(w->q, 0);
	defer(w, only_job(w), QUEUE_KEYD);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(w->log.count, 0);
	assert_int_equal(show(w, id).reason, QUEUE_KEYD);
	assert_int_equal(show(w, id).attempts, 0);
	queue_set_open(w->q, 1);
	settle(w);
	assert_int_equal(only_job(w)->attempts, 0);
	/* away for the worker only: again after a second, not in a tight circle */
	defer(w, only_job(w), QUEUE_KEYD);
	settle(w);
	assert_int_equal(w->job_count, 0);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(only_job(w)->attempts, 0);
	assert_int_equal(w->log.count, 0);
	assert_int_equal(said("event=rescheduled"), 0);
}

/* --- destinations */

static void a_host_that_cannot_be_reached_is_probed_with_one_job(void **state)
{
	struct world *w = *state;
	uint64_t first = 0;

	for (int i = 0; i < 100; i++)
		first = add_to(w, "dead.test");
	settle(w);
	assert_int_equal(w->job_count, 5); /* nothing is known of it: a few only */
	while (w->job_count)
		defer(w, w->jobs[0], QUEUE_CONNECT);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(said("event=destination-backoff"), 1);
	assert_int_equal(said("event=rescheduled"), 5);
	assert_int_equal(numbers(w).deferred, 100); /* each has a time and a reason */
	assert_int_equal(show(w, first).reason, QUEUE_CONNECT);
	assert_true(show(w, first).next > clock_wall() + 4 * MIN);
	assert_int_equal(show(w, first).attempts, 0);
	add_to(w, "dead.test"); /* new mail waits with the others */
	settle(w);
	assert_int_equal(w->job_count, 0);
	pass(w, 6 * MIN);
	assert_int_equal(w->job_count, 1);
	defer(w, only_job(w), QUEUE_CONNECT);
	settle(w);
	pass(w, 7 * MIN);
	assert_int_equal(w->job_count, 0); /* longer than the first time */
	pass(w, 6 * MIN);
	deliver(w, only_job(w));
	settle(w);
	assert_int_equal(said("event=destination-open"), 1);
	assert_int_equal(w->job_count, 30); /* 20 connections and half as many at hand */
	for (int i = 0; i < 100; i++) {
		deliver(w, w->jobs[0]);
		settle(w);
	}
	assert_empty(w);
}

static void a_probe_that_cannot_be_tried_is_followed_by_another(void **state)
{
	struct world *w = *state;

	add_to(w, "dead.test");
	add_to(w, "dead.test");
	settle(w);
	while (w->job_count)
		defer(w, w->jobs[0], QUEUE_TLS);
	settle(w);
	pass(w, 6 * MIN);
	defer(w, only_job(w), QUEUE_LOCAL);
	settle(w);
	assert_int_equal(w->job_count, 1);
	defer(w, only_job(w), QUEUE_KEYD);
	settle(w);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(w->job_count, 1);
}

static void a_failure_among_successes_rests_the_message_not_the_destination(void **state)
{
	struct world *w = *state;
	struct queue_job *unlucky;

	prove(w, "a.test");
	for (int i = 0; i < 10; i++)
		add_to(w, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 10);
	unlucky = w->jobs[3];
	while (w->job_count > 1)
		deliver(w, w->jobs[0] == unlucky ? w->jobs[1] : w->jobs[0]);
	settle(w);
	defer(w, unlucky, QUEUE_CONNECT);
	add_to(w, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 1);
	assert_int_equal(said("event=destination-backoff"), 0);
	assert_int_equal(numbers(w).deferred, 1);
}

static void a_recipient_refused_for_now_says_nothing_about_the_others(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 50; i++) {
		add_to(w, "a.test");
		settle(w);
		defer(w, only_job(w), QUEUE_RECIPIENT);
		settle(w);
	}
	assert_int_equal(said("event=destination-backoff"), 0);
}

static void connections_lost_in_a_row_rest_the_destination(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		add_to(w, "a.test");
		settle(w);
		defer(w, only_job(w), QUEUE_LOST);
		settle(w);
	}
	assert_int_equal(said("event=destination-backoff"), 0);
	add_to(w, "a.test");
	settle(w);
	defer(w, only_job(w), QUEUE_TIMEOUT);
	settle(w);
	assert_int_equal(said("event=destination-backoff"), 1);
	add_to(w, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 0);
}

static void a_success_between_losses_shows_that_the_destination_is_well(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 10; i++) {
		add_to(w, "a.test");
		settle(w);
		if (i % 3 == 2)
			deliver(w, only_job(w));
		else
			defer(w, only_job(w), QUEUE_LOST);
		settle(w);
	}
	assert_int_equal(said("event=destination-backoff"), 0);
}

static uint32_t site_count, domain_count;

static void count_destinations(struct relay_msg *msg, void *queue)
{
	site_count = ((struct queue *)queue)->sites.count;
	domain_count = ((struct queue *)queue)->domains.count;
	free(msg);
}

static void a_destination_without_mail_is_forgotten_after_a_while(void **state)
{
	struct world *w = *state;

	prove(w, "a.test");
	add_to(w, "b.test");
	pass(w, 2 * MIN); /* its strand goes first */
	pass(w, 9 * MIN);
	post_to_queue(w, count_destinations);
	settle(w);
	assert_int_equal(site_count, 2);
	assert_int_equal(domain_count, 2);
	pass(w, 2 * MIN);
	post_to_queue(w, count_destinations);
	settle(w);
	assert_int_equal(site_count, 1);
	assert_int_equal(domain_count, 1);
}

static void jobs_are_limited_per_destination_and_spread_over_workers(void **state)
{
	struct world *w = *state;
	unsigned first = 0;

	prove(w, "a.test");
	for (int i = 0; i < 1000; i++)
		add_to(w, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 30);
	for (unsigned i = 0; i < 30; i++)
		first += w->jobs[i]->worker == 0;
	assert_int_equal(first, 15);
	for (int i = 0; i < 1000; i++) {
		deliver(w, w->jobs[0]);
		settle(w);
		assert_true(w->job_count <= 30);
	}
	assert_empty(w);
}

static void one_message_after_the_other_stays_with_one_worker(void **state)
{
	struct world *w = *state;
	int worker;

	add_to(w, "a.test");
	settle(w);
	worker = only_job(w)->worker;
	for (int i = 0; i < 20; i++) {
		deliver(w, only_job(w));
		add_to(w, "a.test");
		pass(w, 5 * CLOCK_SEC); /* the idle connection still stands */
		assert_int_equal(only_job(w)->worker, worker);
	}
}

/* One worker has all connections that the destination takes: the other gives jobs back as fast as it gets them. */
static void a_worker_without_a_connection_does_not_draw_all_jobs(void **state)
{
	struct world *w = *state;
	unsigned back = 0, done = 0;

	prove(w, "a.test");
	for (int i = 0; i < 300; i++)
		add_to(w, "a.test");
	settle(w);
	while (w->job_count) {
		if (w->jobs[0]->worker == 1) {
			defer(w, w->jobs[0], QUEUE_CONNECTIONS);
			back++;
		} else {
			deliver(w, w->jobs[0]);
			done++;
		}
		settle(w);
	}
	assert_in_range(back, 1, 30); /* what it had been given before it said so */
	assert_int_equal(done + back, 300);
	pass(w, 2 * CLOCK_SEC); /* then it may have one */
	assert_int_equal(w->job_count, back < 30 ? back : 30);
	while (w->job_count) {
		deliver(w, w->jobs[0]);
		settle(w);
	}
	assert_empty(w);
}

static void a_slow_destination_does_not_keep_another_waiting(void **state)
{
	struct world *w = *state;

	prove(w, "slow.test");
	for (int i = 0; i < 1000; i++)
		add_to(w, "slow.test");
	settle(w);
	for (int i = 0; i < 100; i++) {
		add_to(w, "fast.test");
		settle(w);
		assert_int_equal(jobs_for(w, "fast.test"), 1);
		deliver(w, job_for(w, "fast.test"));
	}
	assert_int_equal(jobs_for(w, "slow.test"), 30);
}

static void a_crowd_of_silent_hosts_leaves_room_for_those_that_answer(void **state)
{
	struct world *w = *state;
	char name[32];

	prove(w, "good.test");
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "silent%d.test", i);
		for (int n = 0; n < 6; n++)
			add_to(w, name);
	}
	settle(w);
	assert_int_equal(w->job_count, SLOW_MAX);
	for (int i = 0; i < 100; i++)
		add_to(w, "good.test");
	settle(w);
	assert_int_equal(jobs_for(w, "good.test"), 30);
	/* as places become free, those who have none get theirs */
	for (int i = 0; i < 100; i++) {
		struct queue_job *j = w->jobs[0];
		if (!strcmp(j->destination, "good.test"))
			deliver(w, j);
		else
			defer(w, j, QUEUE_RECIPIENT);
	}
	settle(w);
	assert_true(w->job_count >= SLOW_MAX);
	assert_int_equal(numbers(w).orphans, 0);
}

static void a_host_that_was_kept_back_by_the_crowd_is_served_once_it_answers(void **state)
{
	struct world *w = *state;
	struct queue_job *j;
	char name[32];

	add_to(w, "late.test");
	settle(w);
	j = only_job(w);
	for (int i = 0; i < 1300; i++) {
		snprintf(name, sizeof(name), "silent%d.test", i);
		for (int n = 0; n < 5; n++)
			add_to(w, name);
	}
	settle(w);
	assert_int_equal(w->job_count, SLOW_MAX);
	for (int i = 0; i < 10; i++)
		add_to(w, "late.test");
	settle(w);
	assert_int_equal(jobs_for(w, "late.test"), 1);
	deliver(w, j);
	settle(w);
	assert_int_equal(jobs_for(w, "late.test"), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_accepted_message_is_handed_out_at_once_with_its_keys),
	    TEST(recipients_of_one_destination_travel_together_a_hundred_at_most),
	    TEST(a_deferred_recipient_waits_and_the_log_knows),
	    TEST(only_what_was_deferred_is_tried_again),
	    TEST(a_result_nobody_filled_in_is_a_deferral),
	    TEST(while_keyd_is_away_nothing_is_handed_out),
	    TEST(fresh_keys_that_wait_are_dropped_when_keyd_goes),
	    TEST(a_job_that_came_back_for_keyd_counts_no_attempt),
	    TEST(a_host_that_cannot_be_reached_is_probed_with_one_job),
	    TEST(a_probe_that_cannot_be_tried_is_followed_by_another),
	    TEST(a_failure_among_successes_rests_the_message_not_the_destination),
	    TEST(a_recipient_refused_for_now_says_nothing_about_the_others),
	    TEST(connections_lost_in_a_row_rest_the_destination),
	    TEST(a_success_between_losses_shows_that_the_destination_is_well),
	    TEST(a_destination_without_mail_is_forgotten_after_a_while),
	    TEST(jobs_are_limited_per_destination_and_spread_over_workers),
	    TEST(a_worker_without_a_connection_does_not_draw_all_jobs),
	    TEST(one_message_after_the_other_stays_with_one_worker),
	    TEST(a_slow_destination_does_not_keep_another_waiting),
	    TEST(a_crowd_of_silent_hosts_leaves_room_for_those_that_answer),
	    TEST(a_host_that_was_kept_back_by_the_crowd_is_served_once_it_answers),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
