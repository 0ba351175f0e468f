/* SPDX-License-Identifier: Apache-2.0 */
/* Looking and acting, the invariant, size, the end. */
#include "test/unit/queue_world.h"

/* --- looking and acting */

static void the_list_comes_in_pages_without_gaps(void **state)
{
	struct world *w = *state;
	static const char *const domains[] = {"a.test", "b.test", "c.test"};
	uint64_t after = 0, seen = 0;
	int more = 1;

	for (int i = 0; i < 250; i++)
		add(w, 3, domains, 3, NULL);
	while (more) {
		struct queue_ask *a = queue_ask_new(QUEUE_LIST);
		a->after = after;
		a->limit = 100;
		a = ask(w, a);
		assert_int_equal(a->err, 0);
		assert_true(a->count >= 3 && a->count <= 102);
		for (unsigned i = 0; i < a->count; i++) {
			assert_int_equal(a->items[i].id, 1001 + seen / 3);
			assert_int_equal(a->items[i].size, 4096);
			assert_int_equal(a->items[i].recipients, 1);
			seen++;
		}
		after = a->items[a->count - 1].id;
		more = a->more;
		queue_ask_free(a);
	}
	assert_int_equal(seen, 750);
}

static struct queue_ask *act(struct world *w, uint8_t action, uint64_t id)
{
	struct queue_ask *a = queue_ask_new(action);

	a->id = id;
	return ask(w, a);
}

static void assert_acts(struct world *w, uint8_t action, uint64_t id, int err, uint64_t affected)
{
	struct queue_ask *a = act(w, action, id);

	assert_int_equal(a->err, err);
	assert_int_equal(a->affected, affected);
	queue_ask_free(a);
	settle(w);
}

static void what_is_not_there_is_not_found(void **state)
{
	struct world *w = *state;

	assert_acts(w, QUEUE_SHOW, 5, ERR_NOTFOUND, 0);
	assert_acts(w, QUEUE_DELETE, 5, ERR_NOTFOUND, 0);
	assert_acts(w, QUEUE_RETRY_NOW, 5, ERR_NOTFOUND, 0);
	assert_acts(w, QUEUE_RETRY_NOW, 0, 0, 0);
	assert_acts(w, 77, 5, ERR_UNSUPPORTED, 0);
}

static void retry_brings_one_message_or_all_forward(void **state)
{
	struct world *w = *state;
	uint64_t one = add_to(w, "a.test");

	add_to(w, "b.test");
	add_to(w, "dead.test");
	settle(w);
	defer(w, job_for(w, "a.test"), QUEUE_RECIPIENT);
	defer(w, job_for(w, "b.test"), QUEUE_RECIPIENT);
	defer(w, job_for(w, "dead.test"), QUEUE_CONNECT);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_acts(w, QUEUE_RETRY_NOW, one, 0, 1);
	assert_int_equal(only_job(w)->id, one);
	assert_int_equal(only_job(w)->attempts, 1);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	assert_acts(w, QUEUE_RETRY_NOW, 0, 0, 3);
	assert_int_equal(w->job_count, 3);
	assert_non_null(job_for(w, "dead.test"));
	assert_int_equal(said("event=queue-retry"), 1);
	assert_int_equal(said("event=queue-order action=retry"), 1);
}

static void a_deleted_message_is_forgotten_once_the_log_knows(void **state)
{
	static const char *const domains[] = {"a.test", "b.test"};
	struct world *w = *state;
	uint64_t id = add(w, 4, domains, 2, NULL);

	settle(w);
	while (w->job_count)
		defer(w, w->jobs[0], QUEUE_RECIPIENT);
	settle(w);
	w->log.count = 0;
	assert_acts(w, QUEUE_DELETE, id, 0, 4);
	assert_int_equal(w->log.count, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(w->log.states[i].state.outcome, SPOOL_DELETED);
	assert_empty(w);
	assert_int_equal(said("event=deleted recipients=4"), 1);
}

static void deleting_waits_for_what_a_worker_holds(void **state)
{
	static const char *const domains[] = {"a.test", "b.test"};
	struct world *w = *state;
	uint64_t id = add(w, 2, domains, 2, NULL);

	settle(w);
	defer(w, job_for(w, "a.test"), QUEUE_RECIPIENT);
	settle(w);
	w->log.count = 0;
	assert_acts(w, QUEUE_DELETE, id, 0, 2);
	assert_int_equal(w->log.count, 1);
	assert_int_equal(numbers(w).recipients, 1);
	defer(w, job_for(w, "b.test"), QUEUE_RECIPIENT); /* not delivered: deleted now */
	settle(w);
	assert_int_equal(w->log.count, 2);
	assert_int_equal(w->log.states[1].state.outcome, SPOOL_DELETED);
	assert_empty(w);
}

static void a_message_in_a_workers_hands_may_still_be_delivered(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	assert_acts(w, QUEUE_DELETE, id, 0, 1);
	deliver(w, only_job(w));
	settle(w);
	assert_int_equal(w->log.count, 0);
	assert_empty(w);
}

static void what_cannot_be_written_as_deleted_stays_queued(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	w->log.result = ERR_NOSPACE;
	assert_acts(w, QUEUE_DELETE, id, ERR_NOSPACE, 0);
	w->log.result = 0;
	assert_int_equal(numbers(w).recipients, 1);
	pass(w, 2 * CLOCK_SEC);
	defer(w, only_job(w), QUEUE_RECIPIENT); /* and is a message like any other */
	settle(w);
	assert_int_equal(numbers(w).recipients, 1);
	assert_acts(w, QUEUE_DELETE, id, 0, 1);
	assert_empty(w);
}

static void found_messages_can_be_deleted_before_and_while_they_are_opened(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[3];

	found(w, 5, START_WALL, none, 3);
	found(w, 6, START_WALL, none, 2);
	assert_int_equal(queue_start(w->q), 0);
	assert_acts(w, QUEUE_DELETE, 5, 0, 3);
	assert_int_equal(w->log.count, 3);
	queue_set_open(w->q, 1);
	settle(w);
	assert_acts(w, QUEUE_DELETE, 6, 0, 2);
	assert_int_equal(w->log.count, 3);
	opened(w, only_job(w), 2, "a.test");
	settle(w);
	assert_int_equal(w->log.count, 5);
	assert_empty(w);
}

static void news_that_cannot_be_written_are_said_once_and_nothing_stops(void **state)
{
	struct world *w = *state;

	w->log.result = ERR_NOSPACE;
	for (int i = 0; i < 50; i++) {
		add_to(w, "a.test");
		settle(w);
		defer(w, only_job(w), QUEUE_RECIPIENT);
		settle(w);
	}
	assert_int_equal(said("event=queue-state-unwritten"), 1);
	w->log.result = 0;
	pass(w, 6 * MIN);
	assert_int_equal(w->job_count, 30);
}

static void numbers_add_up(void **state)
{
	struct world *w = *state;
	struct queue_numbers n;

	add_to(w, "a.test");
	clock_advance(CLOCK_SEC);
	add_to(w, "b.test");
	settle(w);
	defer(w, job_for(w, "a.test"), QUEUE_RECIPIENT);
	settle(w);
	n = numbers(w);
	assert_int_equal(n.messages, 2);
	assert_int_equal(n.recipients, 2);
	assert_int_equal(n.active, 1);
	assert_int_equal(n.deferred, 1);
	assert_int_equal(n.destinations, 2);
	assert_int_equal(n.bytes, 8192);
	assert_int_equal(n.oldest, START_WALL);
	assert_int_equal(n.orphans, 0);
}

/* --- the invariant */

static uint64_t victim;

/* On the queue's own thread: takes a group out of its place, as a bug would. */
static void lose(struct relay_msg *msg, void *queue)
{
	struct queue *q = queue;
	struct queue_message *m = queue_index_find(&q->index, victim);
	struct queue_group *g = m->groups;

	if (g->where == QUEUE_WAITS) {
		queue_sched_remove(&g->strand->waits, &g->at.timer);
		g->strand->waiting -= g->count;
		q->waits -= g->count;
		g->at.timer = 77;
	} else {
		list_remove(&g->strand->line->site->run);
	}
	free(msg);
}

static void a_recipient_that_fell_out_is_noticed_and_put_back(void **state)
{
	struct world *w = *state;

	victim = add_to(w, "a.test");
	settle(w);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	post_to_queue(w, lose);
	pass(w, 2 * CLOCK_SEC);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(numbers(w).orphans, 1);
	assert_int_equal(said("event=queue-orphan"), 1);
	deliver(w, only_job(w));
	settle(w);
	assert_empty(w);
}

static void a_destination_that_fell_out_of_line_is_noticed_and_put_back(void **state)
{
	struct world *w = *state;

	prove(w, "a.test"); /* its site is known */
	queue_set_open(w->q, 0);
	victim = add_to(w, "a.test");
	settle(w);
	post_to_queue(w, lose);
	pass(w, 2 * CLOCK_SEC);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(numbers(w).orphans, 1);
	queue_set_open(w->q, 1);
	settle(w);
	deliver(w, only_job(w));
	settle(w);
	assert_empty(w);
}

static void a_job_that_stays_away_for_hours_is_said(void **state)
{
	struct world *w = *state;

	add_to(w, "a.test");
	settle(w);
	pass(w, 7 * HOUR);
	pass(w, 2 * CLOCK_SEC);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(said("event=queue-stuck"), 1);
	assert_int_equal(numbers(w).orphans, 0);
}

/* --- size and end */

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void a_queued_recipient_takes_less_than_300_bytes(void **state)
{
	enum { N = 100000 };
	struct world *w = *state;
	size_t before;
	char name[40];

	queue_set_open(w->q, 0);
	numbers(w);
	before = heap();
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "destination-%d.example.test", i % 1000);
		add_to(w, name);
		if (i % 1000 == 0)
			numbers(w);
	}
	numbers(w);
	assert_int_equal(numbers(w).recipients, N);
	assert_true(heap() - before < N * 300ull);
}

/* A million is measured by the bench; a line, with its strand, weighs little beside its messages. */
static void ten_thousand_lines_fit_into_the_300_bytes_and_are_summed_without_their_messages(void **state)
{
	enum { N = 100000 };
	struct world *w = *state;
	struct queue_ask *a;
	char name[40], campaign[16];
	size_t before;

	queue_set_open(w->q, 0);
	numbers(w);
	before = heap();
	for (int i = 0; i < N; i++) {
		snprintf(campaign, sizeof(campaign), "c%d", i % 100);
		snprintf(name, sizeof(name), "destination-%d.example.test", i / 100 % 100);
		w->campaign = campaign;
		add_to(w, name);
		if (i % 1000 == 0)
			numbers(w);
	}
	assert_int_equal(numbers(w).recipients, N);
	assert_true(heap() - before < N * 300ull);
	a = queue_ask_new(QUEUE_SUMMARY);
	a->limit = 1000;
	a = ask(w, a);
	assert_int_equal(a->numbers.lines, 10000);
	assert_int_equal(a->count, 1000);
	assert_int_equal(a->affected, N);
	assert_int_equal(a->rows[0].recipients, 10);
	queue_ask_free(a);
}

static void the_same_reply_is_kept_once(void **state)
{
	enum { N = 10000 };
	struct world *w = *state;
	size_t before;

	prove(w, "a.test");
	for (int i = 0; i < N; i++)
		add_to(w, "a.test");
	settle(w);
	before = heap();
	for (int done = 0; done < N; settle(w))
		for (; w->job_count; done++) {
			memset(w->jobs[0]->results->reply, 'x', 100);
			w->jobs[0]->results->reply[100] = '\0';
			w->jobs[0]->results->outcome = SPOOL_DEFERRED;
			w->jobs[0]->results->reason = QUEUE_RECIPIENT;
			give_back(w, w->jobs[0]);
		}
	assert_true(heap() < before + N * 40ull);
}

/* Defers all jobs, each with a reply of its own, until that many are deferred. */
static void defer_many(struct world *w, unsigned count)
{
	static unsigned serial;

	for (unsigned done = 0; done < count; settle(w))
		while (w->job_count) {
			struct queue_result *r = w->jobs[0]->results;
			r->outcome = SPOOL_DEFERRED;
			r->reason = QUEUE_RECIPIENT;
			r->code = 450;
			snprintf(r->reply, sizeof(r->reply), "450 4.2.0 %u: %0100d", serial++, 0);
			give_back(w, w->jobs[0]);
			done++;
		}
}

static void a_deferred_recipient_takes_less_than_300_bytes_with_its_reply(void **state)
{
	enum { WARM = 2000, N = 40000 };
	struct world *w = *state;
	size_t before = 0;
	char name[40];

	for (int i = 0; i < WARM + N; i++) {
		if (i == WARM) {
			settle(w);
			defer_many(w, WARM);
			before = heap();
		}
		snprintf(name, sizeof(name), "destination-%d.example.test", i % 20);
		add_to(w, name);
	}
	settle(w);
	defer_many(w, N);
	assert_int_equal(numbers(w).deferred, WARM + N);
	assert_true(heap() - before < N * 300ull);
}

static void what_comes_back_after_the_end_is_freed(void **state)
{
	struct world *w = *state;
	const char *domain = "a.test";
	struct queue_ask *a = queue_ask_new(QUEUE_NUMBERS);
	static const struct spool_state none[1];

	found(w, 5, START_WALL, none, 1);
	start(w);
	for (int i = 0; i < 3; i++)
		add_to(w, "b.test");
	settle(w);
	assert_int_equal(w->job_count, 4);
	queue_stop(w->q);
	deliver(w, job_for(w, "b.test"));
	for (unsigned i = 0; i < w->job_count; i++)
		if (w->jobs[i]->kind == QUEUE_OPEN) {
			opened(w, w->jobs[i], 1, "c.test");
			break;
		}
	add(w, 1, &domain, 1, a_fresh());
	a->reply = w->me;
	queue_ask_post(w->q, a);
	queue_set_open(w->q, 1);
	queue_free(w->q); /* two jobs are still with us */
	w->job_count = 0;
	new_queue(w);
	start(w);
}

static void while_relay_stops_a_job_given_back_is_as_it_was(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	atomic_store(&w->relay.stopping, 1);
	queue_set_open(w->q, 0);
	defer(w, only_job(w), QUEUE_LOCAL);
	settle(w);
	assert_int_equal(w->log.count, 0);
	assert_int_equal(show(w, id).attempts, 0);
}

static void every_reason_has_a_text(void **state)
{
	(void)state;
	for (unsigned i = 0; i <= QUEUE_POLICY; i++)
		assert_string_not_equal(queue_reason_text(i), "unknown");
	assert_string_equal(queue_reason_text(200), "unknown");
	assert_string_equal(queue_reason_text(QUEUE_KEYD), "waiting for keyd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_list_comes_in_pages_without_gaps),
	    TEST(what_is_not_there_is_not_found),
	    TEST(retry_brings_one_message_or_all_forward),
	    TEST(a_deleted_message_is_forgotten_once_the_log_knows),
	    TEST(deleting_waits_for_what_a_worker_holds),
	    TEST(a_message_in_a_workers_hands_may_still_be_delivered),
	    TEST(what_cannot_be_written_as_deleted_stays_queued),
	    STILL(found_messages_can_be_deleted_before_and_while_they_are_opened),
	    TEST(news_that_cannot_be_written_are_said_once_and_nothing_stops),
	    TEST(numbers_add_up),
	    TEST(a_recipient_that_fell_out_is_noticed_and_put_back),
	    TEST(a_destination_that_fell_out_of_line_is_noticed_and_put_back),
	    TEST(a_job_that_stays_away_for_hours_is_said),
	    TEST(a_queued_recipient_takes_less_than_300_bytes),
	    TEST(ten_thousand_lines_fit_into_the_300_bytes_and_are_summed_without_their_messages),
	    TEST(the_same_reply_is_kept_once),
	    TEST(a_deferred_recipient_takes_less_than_300_bytes_with_its_reply),
	    STILL(what_comes_back_after_the_end_is_freed),
	    TEST(while_relay_stops_a_job_given_back_is_as_it_was),
	    cmocka_unit_test(every_reason_has_a_text),
	};

	return cmocka_run_group_tests_name("queue_control", tests, NULL, NULL);
}
