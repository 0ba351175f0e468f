/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "evt/evt_inbox.h"

enum { SENDERS = 4, EACH = 20000, CHAIN = 5 };

struct letter {
	struct evt_msg msg;
	int sender, number;
};

struct post {
	struct evt_inbox *in;
	int sender;
};

struct reader {
	struct evt_loop *loop;
	int next[SENDERS], total, wrong;
};

static struct letter *letter(int sender, int number)
{
	struct letter *m = malloc(sizeof(*m));

	m->sender = sender;
	m->number = number;
	return m;
}

/* Posts singly and in chains, in turns. */
static void *send_letters(void *arg)
{
	struct post *p = arg;

	for (int i = 0; i < EACH; i += CHAIN) {
		struct letter *m[CHAIN];
		for (int k = 0; k < CHAIN; k++)
			m[k] = letter(p->sender, i + k);
		for (int k = 0; k + 1 < CHAIN; k++)
			m[k]->msg.next = &m[k + 1]->msg;
		if (i / CHAIN % 2)
			evt_inbox_post_chain(p->in, &m[0]->msg, &m[CHAIN - 1]->msg);
		else
			for (int k = 0; k < CHAIN; k++)
				evt_inbox_post(p->in, &m[k]->msg);
	}
	return NULL;
}

static void read_letters(struct reader *r, struct evt_msg *batch)
{
	while (batch) {
		struct letter *m = (struct letter *)batch;
		batch = batch->next;
		r->wrong += m->number != r->next[m->sender];
		r->next[m->sender] = m->number + 1;
		r->total++;
		free(m);
	}
}

static void on_letters(void *arg, struct evt_msg *batch)
{
	struct reader *r = arg;

	read_letters(r, batch);
	if (r->total == SENDERS * EACH)
		evt_loop_stop(r->loop);
}

static void start_senders(struct evt_inbox *in, pthread_t thread[SENDERS], struct post p[SENDERS])
{
	for (int i = 0; i < SENDERS; i++) {
		p[i] = (struct post){in, i};
		assert_int_equal(pthread_create(&thread[i], NULL, send_letters, &p[i]), 0);
	}
}

static void messages_of_four_threads_arrive_each_in_order_on_a_loop(void **state)
{
	struct reader r = {.loop = evt_loop_new()};
	struct evt_inbox *in = evt_inbox_new(r.loop, on_letters, &r);
	pthread_t thread[SENDERS];
	struct post p[SENDERS];

	(void)state;
	start_senders(in, thread, p);
	assert_int_equal(evt_loop_run(r.loop), 0);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(r.total, SENDERS * EACH);
	assert_int_equal(r.wrong, 0);
	evt_inbox_free(in);
	evt_loop_free(r.loop);
}

static void messages_of_four_threads_arrive_each_in_order_without_a_loop(void **state)
{
	struct reader r = {0};
	struct evt_inbox *in = evt_inbox_new(NULL, NULL, NULL);
	pthread_t thread[SENDERS];
	struct post p[SENDERS];

	(void)state;
	start_senders(in, thread, p);
	while (r.total < SENDERS * EACH)
		read_letters(&r, evt_inbox_wait(in, -1));
	for (int i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(r.wrong, 0);
	assert_null(evt_inbox_wait(in, 0));
	evt_inbox_free(in);
}

static void waiting_ends_when_time_runs_out(void **state)
{
	struct evt_inbox *in = evt_inbox_new(NULL, NULL, NULL);
	int64_t before = clock_mono();

	(void)state;
	assert_null(evt_inbox_wait(in, 2000));
	assert_true(clock_mono() - before >= 2000);
	evt_inbox_free(in);
}

struct echo {
	struct evt_inbox *in, *back;
	int rounds;
};

static void *answer(void *arg)
{
	struct echo *e = arg;

	for (int i = 0; i < e->rounds; i++) {
		struct evt_msg *m = evt_inbox_wait(e->in, -1);
		assert_non_null(m);
		assert_null(m->next);
		evt_inbox_post(e->back, m);
	}
	return NULL;
}

/* Each side sleeps between two messages, so a lost wake-up would hang here. */
static void no_wake_up_is_lost_between_two_sleepers(void **state)
{
	struct echo e = {evt_inbox_new(NULL, NULL, NULL), evt_inbox_new(NULL, NULL, NULL), 20000};
	struct evt_msg m;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, answer, &e), 0);
	for (int i = 0; i < e.rounds; i++) {
		evt_inbox_post(e.in, &m);
		assert_ptr_equal(evt_inbox_wait(e.back, -1), &m);
	}
	pthread_join(thread, NULL);
	evt_inbox_free(e.in);
	evt_inbox_free(e.back);
}

static struct evt_inbox *first, *second;
static int calls;

static void free_both(void *arg, struct evt_msg *batch)
{
	(void)arg;
	(void)batch;
	calls++;
	evt_inbox_free(first);
	evt_inbox_free(second);
}

static void a_receiver_may_free_inboxes_from_within(void **state)
{
	struct evt_loop *loop = evt_loop_new();
	struct evt_msg a, b;

	(void)state;
	calls = 0;
	first = evt_inbox_new(loop, free_both, NULL);
	second = evt_inbox_new(loop, free_both, NULL);
	evt_inbox_post(first, &a);
	evt_inbox_post(second, &b);
	assert_int_equal(evt_loop_turn(loop, 0), 0);
	assert_int_equal(calls, 1);
	evt_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages_of_four_threads_arrive_each_in_order_on_a_loop),
	    cmocka_unit_test(messages_of_four_threads_arrive_each_in_order_without_a_loop),
	    cmocka_unit_test(waiting_ends_when_time_runs_out),
	    cmocka_unit_test(no_wake_up_is_lost_between_two_sleepers),
	    cmocka_unit_test(a_receiver_may_free_inboxes_from_within),
	};

	return cmocka_run_group_tests_name("evt_inbox", tests, NULL, NULL);
}
