/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of the queue: retry, time order, index. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/queue/queue_index.h"
#include "relay/queue/queue_retry.h"
#include "relay/queue/queue_sched.h"

#define SEC  INT64_C(1000000)
#define MIN  (60 * SEC)
#define HOUR (60 * MIN)

static const struct queue_retry usual = {5 * MIN, 4 * HOUR, 120 * HOUR};

static void assert_within_an_eighth(int64_t got, int64_t want)
{
	assert_true(got >= want - want / 8 && got <= want + want / 8);
}

static void pauses_double_from_first_to_max(void **state)
{
	static const int64_t want[] = {5, 10, 20, 40, 80, 160, 240, 240, 240};

	(void)state;
	for (unsigned i = 0; i < sizeof(want) / sizeof(*want); i++)
		for (uint64_t id = 1; id < 200; id++)
			assert_within_an_eighth(queue_retry_pause(&usual, i + 1, id),
						want[i] * MIN);
	assert_within_an_eighth(queue_retry_pause(&usual, 65535, 1), 4 * HOUR);
}

static void what_was_deferred_together_spreads(void **state)
{
	int early = 0, late = 0;

	(void)state;
	for (uint64_t id = 1000; id < 2000; id++) {
		int64_t pause = queue_retry_pause(&usual, 1, id);
		early += pause < 5 * MIN - 20 * SEC;
		late += pause > 5 * MIN + 20 * SEC;
	}
	assert_true(early > 150 && late > 150);
	assert_int_equal(queue_retry_pause(&usual, 3, 7), queue_retry_pause(&usual, 3, 7));
}

static void the_last_attempt_falls_on_the_end_of_life(void **state)
{
	(void)state;
	assert_within_an_eighth(queue_retry_next(&usual, 1, 7, 0), 5 * MIN);
	assert_int_equal(queue_retry_next(&usual, 40, 7, 119 * HOUR), HOUR);
	assert_int_equal(queue_retry_next(&usual, 40, 7, 120 * HOUR - 1), SEC);
	assert_int_equal(queue_retry_next(&usual, 40, 7, 120 * HOUR), QUEUE_RETRY_NEVER);
	assert_int_equal(queue_retry_next(&usual, 1, 7, 1000 * HOUR), QUEUE_RETRY_NEVER);
}

static void odd_settings_give_sane_pauses(void **state)
{
	const struct queue_retry zero = {0, 0, HOUR}, inverted = {HOUR, MIN, 10 * HOUR},
				 huge = {INT64_MAX / 4, INT64_MAX / 4, INT64_MAX / 4};

	(void)state;
	for (unsigned i = 1; i < 100; i++) {
		assert_true(queue_retry_pause(&zero, i, i) >= SEC);
		assert_within_an_eighth(queue_retry_pause(&inverted, i, i), HOUR);
		assert_true(queue_retry_pause(&huge, i, i) > 0);
	}
	assert_true(queue_retry_next(&usual, 1, 7, -HOUR) > 0); /* younger than new */
}

/* --- time order */

struct owner {
	uint32_t pos;
	int64_t due;
};

static void owners_come_out_in_time_order_whatever_happens_to_them(void **state)
{
	enum { N = 2000 };
	struct queue_sched s;
	struct owner *o = calloc(N, sizeof(*o));
	uint32_t *pos;
	int64_t last = -1;
	int in = 0;

	(void)state;
	srand(42);
	queue_sched_init(&s);
	assert_int_equal(queue_sched_reserve(&s, N), 0);
	assert_null(queue_sched_first(&s));
	assert_int_equal(queue_sched_when(&s), INT64_MAX);
	for (int i = 0; i < N; i++)
		o[i].pos = QUEUE_SCHED_OUT;
	for (int round = 0; round < 20000; round++) {
		struct owner *one = &o[rand() % N];
		if (one->pos != QUEUE_SCHED_OUT) {
			queue_sched_remove(&s, &one->pos);
			in--;
			assert_int_equal(one->pos, QUEUE_SCHED_OUT);
		} else {
			one->due = rand() % 5000;
			queue_sched_add(&s, one->due, &one->pos);
			in++;
		}
	}
	assert_int_equal(s.count, in);
	queue_sched_remove(&s, &(uint32_t){QUEUE_SCHED_OUT});
	while ((pos = queue_sched_due(&s, 2500))) {
		struct owner *one = (struct owner *)pos;
		assert_true(one->due >= last && one->due <= 2500);
		last = one->due;
		in--;
	}
	assert_true(queue_sched_when(&s) > 2500);
	while ((pos = queue_sched_due(&s, INT64_MAX)))
		in--;
	assert_int_equal(in, 0);
	queue_sched_clear(&s);
	free(o);
}

/* --- index */

static void the_index_finds_walks_and_forgets_like_a_plain_array(void **state)
{
	enum { N = 5000 };
	static char there[N + 1];
	struct queue_index x;
	size_t count = 0;

	(void)state;
	srand(7);
	memset(there, 0, sizeof(there));
	queue_index_init(&x);
	assert_null(queue_index_find(&x, 1));
	assert_null(queue_index_remove(&x, 1));
	assert_null(queue_index_above(&x, 0));
	for (int round = 0; round < 60000; round++) {
		/* fuller, then emptier */
		int id = 1 + rand() % N, add = rand() % 3 < (round < 30000 ? 2 : 1);
		if (add) {
			assert_int_equal(queue_index_add(&x, (uint64_t)id, &there[id]),
					 there[id] ? ERR_EXISTS : 0);
			count += !there[id];
			there[id] = 1;
		} else {
			assert_ptr_equal(queue_index_remove(&x, (uint64_t)id),
					 there[id] ? &there[id] : NULL);
			count -= (size_t)there[id];
			there[id] = 0;
		}
		assert_int_equal(x.count, count);
		if (round % 500 == 0) {
			int next = 1;
			for (int i = 0; i <= N; i++) {
				while (next <= N && (next <= i || !there[next]))
					next++;
				assert_ptr_equal(queue_index_above(&x, (uint64_t)i),
						 next <= N ? &there[next] : NULL);
				assert_ptr_equal(queue_index_find(&x, (uint64_t)i),
						 there[i] ? &there[i] : NULL);
			}
		}
	}
	for (int i = 1; i <= N; i++)
		queue_index_remove(&x, (uint64_t)i);
	assert_int_equal(x.block_count, 0);
	queue_index_clear(&x);
}

static void ids_in_order_fill_blocks_and_few_that_remain_share_them(void **state)
{
	enum { N = 100000 };
	static char what;
	struct queue_index x;

	(void)state;
	queue_index_init(&x);
	for (uint64_t i = 1; i <= N; i++)
		assert_int_equal(queue_index_add(&x, i << 8, &what), 0);
	assert_true(x.block_count <= N / 255 + 1);
	for (uint64_t i = 1; i <= N; i++)
		if (i % 100)
			assert_ptr_equal(queue_index_remove(&x, i << 8), &what);
	assert_int_equal(x.count, N / 100);
	assert_true(x.block_count <= 20);
	assert_ptr_equal(queue_index_find(&x, 500 << 8), &what);
	assert_null(queue_index_above(&x, UINT64_MAX));
	queue_index_clear(&x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pauses_double_from_first_to_max),
	    cmocka_unit_test(what_was_deferred_together_spreads),
	    cmocka_unit_test(the_last_attempt_falls_on_the_end_of_life),
	    cmocka_unit_test(odd_settings_give_sane_pauses),
	    cmocka_unit_test(owners_come_out_in_time_order_whatever_happens_to_them),
	    cmocka_unit_test(the_index_finds_walks_and_forgets_like_a_plain_array),
	    cmocka_unit_test(ids_in_order_fill_blocks_and_few_that_remain_share_them),
	};

	return cmocka_run_group_tests_name("queue_retry", tests, NULL, NULL);
}
