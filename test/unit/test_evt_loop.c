/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "evt/evt_loop.h"
#include "evt/evt_timer.h"

static struct evt_loop *loop;
static char trail[1024];
#define S(text) ((char[]){text})

static int setup(void **state)
{
	(void)state;
	clock_set(1000 * CLOCK_SEC, 0);
	loop = evt_loop_new();
	trail[0] = '\0';
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	evt_loop_free(loop);
	clock_restore();
	return 0;
}

static void note(void *arg)
{
	size_t n = strlen(trail);

	snprintf(trail + n, sizeof(trail) - n, "%s", (const char *)arg);
}

static void advance(int64_t usec)
{
	clock_advance(usec);
	assert_int_equal(evt_loop_turn(loop, 0), 0);
}

static void timers_fire_in_order_of_their_time(void **state)
{
	struct evt_timer t[3];

	(void)state;
	evt_timer_init(&t[0], loop, note, S("c"));
	evt_timer_init(&t[1], loop, note, S("a"));
	evt_timer_init(&t[2], loop, note, S("b"));
	assert_int_equal(evt_timer_set(&t[0], 30), 0);
	assert_int_equal(evt_timer_set(&t[1], 10), 0);
	assert_int_equal(evt_timer_set(&t[2], 20), 0);
	advance(9);
	assert_string_equal(trail, "");
	advance(1);
	assert_string_equal(trail, "a");
	advance(100);
	assert_string_equal(trail, "abc");
	advance(100);
	assert_string_equal(trail, "abc");
}

static void a_timer_that_is_pushed_back_fires_once_at_its_new_time(void **state)
{
	struct evt_timer t;

	(void)state;
	evt_timer_init(&t, loop, note, S("x"));
	evt_timer_set(&t, 10);
	for (int i = 0; i < 5; i++) {
		advance(9);
		evt_timer_set(&t, 10);
	}
	assert_string_equal(trail, "");
	advance(10);
	assert_string_equal(trail, "x");
}

static void a_timer_can_be_brought_forward(void **state)
{
	struct evt_timer t, other;

	(void)state;
	evt_timer_init(&t, loop, note, S("t"));
	evt_timer_init(&other, loop, note, S("o"));
	evt_timer_set(&other, 50);
	evt_timer_set(&t, 100);
	evt_timer_set(&t, 10);
	advance(10);
	assert_string_equal(trail, "t");
	advance(1000);
	assert_string_equal(trail, "to");
}

static void a_stopped_timer_never_fires(void **state)
{
	struct evt_timer t[20];
	char mark[] = "x";

	(void)state;
	for (int i = 0; i < 20; i++) {
		evt_timer_init(&t[i], loop, note, mark);
		evt_timer_set(&t[i], 100 - i);
	}
	for (int i = 0; i < 20; i += 2)
		evt_timer_stop(&t[i]);
	evt_timer_stop(&t[0]);
	advance(1000);
	assert_string_equal(trail, "xxxxxxxxxx");
}

static struct evt_timer self;
static int self_count;

static void set_again(void *arg)
{
	(void)arg;
	self_count++;
	evt_timer_set(&self, 0);
}

static void a_timer_that_sets_itself_to_zero_fires_once_a_turn(void **state)
{
	(void)state;
	self_count = 0;
	evt_timer_init(&self, loop, set_again, NULL);
	evt_timer_set(&self, 0);
	advance(1);
	assert_int_equal(self_count, 1);
	advance(1);
	assert_int_equal(self_count, 2);
	evt_timer_clear(&self);
	advance(1);
	assert_int_equal(self_count, 2);
}

static void many_timers_moved_at_random_fire_at_their_last_time(void **state)
{
	enum { N = 500 };
	static struct evt_timer t[N];
	static char name[N][2];
	int64_t due[N];
	unsigned seed = 42;
	int fired, set = 0;

	(void)state;
	for (int i = 0; i < N; i++)
		evt_timer_init(&t[i], loop, note, name[i]);
	for (int i = 0; i < 5000; i++) {
		int k = rand_r(&seed) % N;
		int64_t usec = 1 + rand_r(&seed) % 10000;
		if (rand_r(&seed) % 8 == 0) {
			evt_timer_stop(&t[k]);
		} else {
			assert_int_equal(evt_timer_set(&t[k], usec), 0);
			due[k] = clock_mono() + usec;
		}
	}
	for (int i = 0; i < N; i++)
		set += t[i].due != 0;
	assert_true(set > N / 2);
	fired = 0;
	for (int step = 0; step < 101; step++) {
		advance(100);
		fired = 0;
		for (int i = 0; i < N; i++) {
			assert_true(t[i].due == 0 || (t[i].due == due[i] && due[i] > clock_mono()));
			fired += t[i].due == 0;
		}
	}
	assert_int_equal(fired, N);
}

static struct evt_defer d1, d2;

static void defer_second(void *arg)
{
	note(arg);
	evt_loop_defer(loop, &d2);
}

static void deferred_calls_run_once_in_order_and_may_defer_more(void **state)
{
	(void)state;
	d1 = (struct evt_defer){.fn = defer_second, .arg = S("1")};
	d2 = (struct evt_defer){.fn = note, .arg = S("2")};
	evt_loop_defer(loop, &d1);
	evt_loop_defer(loop, &d1);
	assert_string_equal(trail, "");
	advance(0);
	assert_string_equal(trail, "12");
	advance(0);
	assert_string_equal(trail, "12");
}

static void undefer_other(void *arg)
{
	note(arg);
	evt_loop_undefer(loop, &d2);
}

static void a_deferred_call_can_be_taken_back_even_in_the_same_round(void **state)
{
	(void)state;
	d1 = (struct evt_defer){.fn = undefer_other, .arg = S("1")};
	d2 = (struct evt_defer){.fn = note, .arg = S("2")};
	evt_loop_defer(loop, &d1);
	evt_loop_defer(loop, &d2);
	advance(0);
	evt_loop_undefer(loop, &d2);
	assert_string_equal(trail, "1");
}

static void defer_itself(void *arg)
{
	note(S("r"));
	evt_loop_defer(loop, arg);
}

static void a_call_that_always_defers_itself_does_not_stop_the_loop(void **state)
{
	(void)state;
	d1 = (struct evt_defer){.fn = defer_itself, .arg = &d1};
	evt_loop_defer(loop, &d1);
	advance(0);
	assert_true(strlen(trail) >= 2);
	evt_loop_undefer(loop, &d1);
}

static void *run(void *arg)
{
	return evt_loop_run(arg) == 0 ? arg : NULL;
}

static void stop_from_another_thread_ends_a_loop_that_sleeps(void **state)
{
	pthread_t thread;
	void *result;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, run, loop), 0);
	evt_loop_stop(loop);
	pthread_join(thread, &result);
	assert_ptr_equal(result, loop);
	/* and a stop that comes first is not lost */
	evt_loop_stop(loop);
	assert_int_equal(evt_loop_run(loop), 0);
}

static void stop_loop(void *arg)
{
	note(S("s"));
	evt_loop_stop(arg);
}

static void a_sleeping_loop_wakes_for_its_first_timer_by_the_real_clock(void **state)
{
	struct evt_timer early, late;
	int64_t before;

	(void)state;
	clock_restore();
	evt_timer_init(&late, loop, note, S("l"));
	evt_timer_init(&early, loop, stop_loop, loop);
	evt_timer_set(&late, 3600 * CLOCK_SEC);
	evt_timer_set(&early, 5000);
	before = clock_mono();
	assert_int_equal(evt_loop_run(loop), 0);
	assert_string_equal(trail, "s");
	assert_true(clock_mono() - before >= 5000);
	evt_timer_clear(&late);
}

static void *wake(void *arg)
{
	clock_advance(CLOCK_SEC);
	evt_loop_wake(arg);
	return NULL;
}

static void a_loop_that_sleeps_sees_an_advanced_clock_when_woken(void **state)
{
	struct evt_timer t;
	pthread_t thread;

	(void)state;
	evt_timer_init(&t, loop, stop_loop, loop);
	evt_timer_set(&t, CLOCK_SEC);
	assert_int_equal(pthread_create(&thread, NULL, wake, loop), 0);
	assert_int_equal(evt_loop_run(loop), 0);
	pthread_join(thread, NULL);
	assert_string_equal(trail, "s");
}

static int signal_seen, signals_seen;

static void on_signal(void *arg, int signo)
{
	(void)arg;
	signal_seen = signo;
	signals_seen++;
}

static void a_signal_is_heard_on_the_loops_thread(void **state)
{
	(void)state;
	assert_int_equal(evt_loop_signal(loop, SIGHUP, on_signal, NULL), 0);
	signal_seen = 0;
	raise(SIGHUP);
	assert_int_equal(signal_seen, 0);
	for (int i = 0; i < 3 && !signal_seen; i++)
		evt_loop_turn(loop, CLOCK_SEC);
	assert_int_equal(signal_seen, SIGHUP);
}

static void signals_that_came_together_are_heard_once(void **state)
{
	(void)state;
	assert_int_equal(evt_loop_signal(loop, SIGHUP, on_signal, NULL), 0);
	signal_seen = signals_seen = 0;
	for (int i = 0; i < 10; i++)
		raise(SIGHUP);
	for (int i = 0; i < 3; i++)
		evt_loop_turn(loop, 0);
	assert_int_equal(signals_seen, 1);
	raise(SIGHUP);
	for (int i = 0; i < 3; i++)
		evt_loop_turn(loop, 0);
	assert_int_equal(signals_seen, 2);
}

static void look_at_time(void *arg)
{
	int64_t now = evt_loop_now(loop);

	(void)arg;
	clock_advance(7);
	if (evt_loop_now(loop) == now)
		note(S("="));
}

static void time_stands_still_within_a_turn_only(void **state)
{
	int64_t now = evt_loop_now(loop);

	(void)state;
	clock_advance(5);
	assert_int_equal(evt_loop_now(loop), now + 5);
	d1 = (struct evt_defer){.fn = look_at_time};
	evt_loop_defer(loop, &d1);
	advance(0);
	assert_string_equal(trail, "=");
	assert_int_equal(evt_loop_now(loop), now + 12);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(timers_fire_in_order_of_their_time),
	    T(a_timer_that_is_pushed_back_fires_once_at_its_new_time),
	    T(a_timer_can_be_brought_forward),
	    T(a_stopped_timer_never_fires),
	    T(a_timer_that_sets_itself_to_zero_fires_once_a_turn),
	    T(many_timers_moved_at_random_fire_at_their_last_time),
	    T(deferred_calls_run_once_in_order_and_may_defer_more),
	    T(a_deferred_call_can_be_taken_back_even_in_the_same_round),
	    T(a_call_that_always_defers_itself_does_not_stop_the_loop),
	    T(stop_from_another_thread_ends_a_loop_that_sleeps),
	    T(a_sleeping_loop_wakes_for_its_first_timer_by_the_real_clock),
	    T(a_loop_that_sleeps_sees_an_advanced_clock_when_woken),
	    T(a_signal_is_heard_on_the_loops_thread),
	    T(signals_that_came_together_are_heard_once),
	    T(time_stands_still_within_a_turn_only),
	};

	return cmocka_run_group_tests_name("evt_loop", tests, NULL, NULL);
}
