/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of memory of one size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/queue/queue_slab.h"

#define SIZE  70   /* no multiple of anything */
#define MANY  5000 /* some chunks */

static void *pieces[MANY];

static void take_all(struct queue_slab *s)
{
	for (unsigned i = 0; i < MANY; i++) {
		pieces[i] = queue_slab_take(s);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % sizeof(uint64_t), 0);
		memset(pieces[i], (int)(i % 251), SIZE);
	}
}

static void assert_whole(unsigned i)
{
	const unsigned char *p = pieces[i];

	for (unsigned k = 0; k < SIZE; k++)
		assert_int_equal(p[k], i % 251);
}

static void pieces_do_not_touch_each_other(void **state)
{
	struct queue_slab s;

	(void)state;
	queue_slab_init(&s, SIZE);
	take_all(&s);
	assert_int_equal(s.live, MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_whole(i);
	for (unsigned i = 0; i < MANY; i++)
		queue_slab_give(&s, pieces[i]);
	assert_int_equal(s.live, 0);
	queue_slab_clear(&s);
}

static void what_is_given_back_is_taken_again_and_the_others_stay(void **state)
{
	struct queue_slab s;

	(void)state;
	queue_slab_init(&s, SIZE);
	take_all(&s);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = (unsigned)round % 2; i < MANY; i += 2)
			queue_slab_give(&s, pieces[i]);
		assert_int_equal(s.live, MANY / 2);
		for (unsigned i = (unsigned)round % 2; i < MANY; i += 2) {
			pieces[i] = queue_slab_take(&s);
			assert_non_null(pieces[i]);
			memset(pieces[i], (int)(i % 251), SIZE);
		}
		for (unsigned i = 0; i < MANY; i++)
			assert_whole(i);
	}
	for (unsigned i = 0; i < MANY; i++)
		queue_slab_give(&s, pieces[i]);
	queue_slab_clear(&s);
}

static void when_nothing_is_left_it_begins_anew(void **state)
{
	struct queue_slab s;

	(void)state;
	queue_slab_init(&s, SIZE);
	for (int round = 0; round < 3; round++) {
		take_all(&s);
		for (unsigned i = MANY; i-- > 0;)
			queue_slab_give(&s, pieces[i]);
		assert_int_equal(s.live, 0);
	}
	for (int i = 0; i < 3; i++) { /* one at a time: in the chunk that was kept */
		pieces[0] = queue_slab_take(&s);
		assert_non_null(pieces[0]);
		queue_slab_give(&s, pieces[0]);
	}
	queue_slab_clear(&s);
	assert_int_equal(s.live, 0);
}

static void an_empty_one_can_be_cleared(void **state)
{
	struct queue_slab s;

	(void)state;
	queue_slab_init(&s, SIZE);
	queue_slab_clear(&s);
	queue_slab_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pieces_do_not_touch_each_other),
	    cmocka_unit_test(what_is_given_back_is_taken_again_and_the_others_stay),
	    cmocka_unit_test(when_nothing_is_left_it_begins_anew),
	    cmocka_unit_test(an_empty_one_can_be_cleared),
	};

	return cmocka_run_group_tests_name("queue_slab", tests, NULL, NULL);
}
