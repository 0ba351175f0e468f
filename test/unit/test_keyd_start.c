/* SPDX-License-Identifier: Apache-2.0 */
/* Marks of the store: which of them a store can have had, and which say that it is an older copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_ring_start.h"

static const uint8_t store[16] = "0123456789abcde";

static struct keyd_ring *ring_new(void)
{
	struct keyd_root_keys *keys = secret_alloc(sizeof(*keys));

	assert_non_null(keys);
	return keyd_ring_new(store, &keys);
}

static void start(struct keyd_ring *r, uint64_t accepted)
{
	struct buf b;

	buf_init(&b, 256);
	assert_int_equal(keyd_ring_make_start(r, accepted, &b), 0);
	assert_int_equal(keyd_ring_apply(r, KEYD_RECORD_START, buf_span(&b), 1), 0);
	buf_clear(&b);
}

/* Something that counts as a record. */
static void change(struct keyd_ring *r)
{
	static unsigned shard;
	struct buf b;

	buf_init(&b, KEYD_RECORD_BODY_MAX);
	assert_int_equal(keyd_ring_make_kek(r, shard++ % KEYD_RING_SHARDS, 1, &b), 0);
	assert_int_equal(keyd_ring_apply(r, KEYD_RECORD_KEK, buf_span(&b), 1), 0);
	buf_clear(&b);
}

static int take(void *arg, unsigned type, struct span body)
{
	return keyd_ring_apply(arg, type, body, 0);
}

/* What a snapshot of r would bring back. */
static struct keyd_ring *copy_of(const struct keyd_ring *r)
{
	struct keyd_ring *c = ring_new();

	assert_int_equal(keyd_ring_each(r, take, c), 0);
	return c;
}

static struct keyproto_mark mark_of(const struct keyd_ring *r, uint64_t generation)
{
	struct keyproto_mark m;

	keyd_ring_mark(r, generation, &m);
	return m;
}

static void a_store_follows_from_every_mark_it_ever_had(void **state)
{
	struct keyd_ring *r = ring_new(), *c;
	struct keyproto_mark marks[40];
	unsigned n = 0;

	(void)state;
	marks[n++] = mark_of(r, 1);
	for (unsigned i = 0; i < 12; i++) {
		start(r, 0);
		marks[n++] = mark_of(r, 1 + i);
		change(r);
		change(r);
		marks[n++] = mark_of(r, 1 + i);
		if (i % 3 == 0) { /* a restart from a snapshot */
			c = copy_of(r);
			keyd_ring_free(r);
			r = c;
		}
	}
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(keyd_ring_follows(r, 12, &marks[i]), 1);
	keyd_ring_free(r);
}

static void an_older_copy_does_not_follow(void **state)
{
	struct keyd_ring *r = ring_new(), *old, *older;
	struct keyproto_mark m;

	(void)state;
	start(r, 0);
	older = copy_of(r);
	change(r);
	old = copy_of(r);
	start(r, 0);
	m = mark_of(r, 5);
	assert_int_equal(keyd_ring_follows(r, 5, &m), 1);
	assert_int_equal(keyd_ring_follows(old, 5, &m), 0);
	assert_int_equal(keyd_ring_follows(older, 5, &m), 0);
	/* nothing was recorded since, but slots were changed by a snapshot */
	assert_int_equal(keyd_ring_follows(r, 4, &m), 0);
	/* the copy is used, and comes further than the mark: its branch is another */
	start(old, 0);
	for (unsigned i = 0; i < 10; i++)
		change(old);
	assert_true(keyd_ring_sequence(old) > m.sequence);
	assert_int_equal(keyd_ring_follows(old, 50, &m), 0);
	keyd_ring_free(r);
	keyd_ring_free(old);
	keyd_ring_free(older);
}

static void a_copy_that_only_went_on_in_the_same_branch_is_told_by_its_length(void **state)
{
	struct keyd_ring *r = ring_new(), *old;
	struct keyproto_mark m;

	(void)state;
	start(r, 0);
	change(r);
	old = copy_of(r);
	change(r);
	m = mark_of(r, 2);
	start(old, 0); /* from here on the old branch has ended in old */
	change(old);
	change(old);
	assert_int_equal(keyd_ring_follows(old, 9, &m), 0);
	keyd_ring_free(r);
	keyd_ring_free(old);
}

static void what_was_accepted_stays_accepted(void **state)
{
	struct keyd_ring *r = ring_new(), *old, *c;
	struct keyproto_mark m;

	(void)state;
	start(r, 0);
	old = copy_of(r);
	start(r, 0);
	change(r);
	m = mark_of(r, 7);
	assert_int_equal(keyd_ring_follows(old, 3, &m), 0);
	start(old, m.branch);
	assert_int_equal(keyd_ring_follows(old, 3, &m), 1);
	c = copy_of(old);
	assert_int_equal(keyd_ring_follows(c, 3, &m), 1);
	keyd_ring_free(r);
	keyd_ring_free(old);
	keyd_ring_free(c);
}

static void branches_older_than_all_that_are_kept_count_as_known(void **state)
{
	struct keyd_ring *r = ring_new(), *c;
	struct keyproto_mark first, beyond;

	(void)state;
	start(r, 0);
	first = mark_of(r, 1);
	for (unsigned i = 0; i < KEYD_RING_STARTS + 10; i++)
		start(r, 0);
	c = copy_of(r);
	assert_int_equal(keyd_ring_follows(r, 1, &first), 1);
	assert_int_equal(keyd_ring_follows(c, 1, &first), 1);
	/* but only as far back as they were */
	beyond = mark_of(r, 1);
	beyond.branch = first.branch;
	assert_int_equal(keyd_ring_follows(r, 1, &beyond), 0);
	assert_int_equal(keyd_ring_follows(c, 1, &beyond), 0);
	keyd_ring_free(r);
	keyd_ring_free(c);
}

static void a_start_out_of_its_place_is_damage(void **state)
{
	struct keyd_ring *r = ring_new();
	struct buf b;

	(void)state;
	start(r, 0);
	buf_init(&b, 256);
	assert_int_equal(keyd_ring_make_start(r, 0, &b), 0);
	change(r); /* comes between */
	assert_int_equal(keyd_ring_apply(r, KEYD_RECORD_START, buf_span(&b), 1), ERR_DAMAGED);
	assert_int_equal(keyd_ring_apply(r, KEYD_RECORD_START, span_sub(buf_span(&b), 0, 31), 1),
			 ERR_DAMAGED);
	buf_clear(&b);
	keyd_ring_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_store_follows_from_every_mark_it_ever_had),
	    cmocka_unit_test(an_older_copy_does_not_follow),
	    cmocka_unit_test(a_copy_that_only_went_on_in_the_same_branch_is_told_by_its_length),
	    cmocka_unit_test(what_was_accepted_stays_accepted),
	    cmocka_unit_test(branches_older_than_all_that_are_kept_count_as_known),
	    cmocka_unit_test(a_start_out_of_its_place_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
