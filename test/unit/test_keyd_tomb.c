/* SPDX-License-Identifier: Apache-2.0 */
/* Tombstones and keys of backups in the ring: who has one is gone, for ever and from everywhere;
 * and a change of the anchor leaves nothing that the old one opens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_ring_anchor.h"
#include "keyd/keyd_ring_backup.h"
#include "keyd/keyd_ring_tomb.h"

static const uint8_t root[32] = "the root key of a test, 32 bytes";
static const uint8_t id[16] = "0123456789abcdef", other_id[16] = "fedcba9876543210";
static const uint8_t anchor[32] = "thirty-two bytes of an anchor...";

/* A ring that KEKs may be put into; anchored unless a is NULL. */
static struct keyd_ring *ring_under(const uint8_t store[16], const uint8_t *a)
{
	struct keyd_root_keys *k = secret_alloc(sizeof(*k));
	struct keyd_ring *r;

	assert_non_null(k);
	assert_int_equal(keyd_root_derive(root, k), 0);
	if (a)
		assert_int_equal(keyd_root_anchor(k, a, k->kek), 0);
	r = keyd_ring_new(store, &k);
	assert_non_null(r);
	return r;
}

static int take(struct keyd_ring *r, unsigned type, struct buf *b)
{
	int rc = keyd_ring_apply(r, type, buf_span(b), 1);

	buf_clear(b);
	buf_init(b, KEYD_RECORD_BODY_MAX);
	return rc;
}

static struct buf record;

static void add_customer(struct keyd_ring *r, const char *name)
{
	assert_int_equal(keyd_ring_make_customer(r, span_str(name), 1, &record), 0);
	assert_int_equal(take(r, KEYD_RECORD_DEK, &record), 0);
}

static struct keyd_ring *ring_with(const uint8_t store[16], const char *const *names)
{
	struct keyd_ring *r = ring_under(store, NULL);

	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++) {
		assert_int_equal(keyd_ring_make_kek(r, i, 1, &record), 0);
		assert_int_equal(take(r, KEYD_RECORD_KEK, &record), 0);
	}
	for (; *names; names++)
		add_customer(r, *names);
	return r;
}

static int usable(struct keyd_ring *r, const char *name)
{
	int64_t customer = keyd_ring_customer(r, span_str(name));
	const uint8_t *key;

	if (customer < 0)
		return (int)customer;
	return keyd_ring_subkey(r, (uint32_t)customer, keyd_ring_newest(r, (uint32_t)customer), 1,
				&key);
}

static void bury(struct keyd_ring *r, const char *name)
{
	assert_int_equal(
	    keyd_ring_tomb_make(r, span_str(name), KEYD_RECORD_TOMB_REQUESTED, 1000, &record), 0);
	assert_int_equal(take(r, KEYD_RECORD_TOMBSTONE, &record), 0);
	assert_int_equal(keyd_ring_tomb_step(r, keyd_ring_tomb_count(r) - 1, KEYD_RECORD_TOMB_DEAD,
					     2000, &record),
			 0);
	assert_int_equal(take(r, KEYD_RECORD_TOMBSTONE, &record), 0);
}

static int copy(void *to, unsigned type, struct span body)
{
	return keyd_ring_apply(to, type, body, type != KEYD_RECORD_COUNTERS);
}

static int set_up(void **state)
{
	(void)state;
	buf_init(&record, KEYD_RECORD_BODY_MAX);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_clear(&record);
	return 0;
}

static const char *const two[] = {"alpha", "beta", NULL}, *const none[] = {NULL};

static void a_dead_customer_is_gone_and_the_others_are_not(void **state)
{
	struct keyd_ring *r = ring_with(id, two), *again = ring_under(id, NULL);
	struct keyd_ring_counts n;
	struct keyd_ring_tomb t;

	(void)state;
	assert_int_equal(usable(r, "alpha"), 0);
	keyd_ring_counts(r, &n);
	assert_int_equal(n.cached, 1);
	bury(r, "alpha");
	assert_int_equal(usable(r, "alpha"), ERR_GONE);
	assert_int_equal(usable(r, "beta"), 0);
	keyd_ring_counts(r, &n);
	assert_int_equal(n.customers, 1);
	assert_int_equal(n.deks, 1);
	assert_int_equal(n.cached, 1); /* beta's; alpha's was dropped */
	assert_int_equal(keyd_ring_make_customer(r, SPAN_LIT("alpha"), 1, &record), ERR_GONE);
	assert_int_equal(
	    keyd_ring_tomb_make(r, SPAN_LIT("alpha"), KEYD_RECORD_TOMB_REQUESTED, 1, &record),
	    ERR_GONE);
	assert_int_equal(
	    keyd_ring_tomb_make(r, SPAN_LIT("gamma"), KEYD_RECORD_TOMB_REQUESTED, 1, &record),
	    ERR_NOTFOUND);
	/* and so it is after a restart */
	assert_int_equal(keyd_ring_each(r, copy, again), 0);
	assert_int_equal(usable(again, "alpha"), ERR_GONE);
	assert_int_equal(usable(again, "beta"), 0);
	assert_int_equal(keyd_ring_tomb_count(again), 1);
	keyd_ring_tomb_at(again, 0, &t);
	assert_string_equal((const char *)t.customer.p, "alpha");
	assert_int_equal(t.ordered, 1000);
	assert_int_equal(t.dead, 2000);
	assert_int_equal(t.kek, 1);
	assert_int_equal(t.state, KEYD_RECORD_TOMB_DEAD);
	keyd_ring_free(r);
	keyd_ring_free(again);
}

static void a_key_record_of_a_dead_customer_is_passed_over(void **state)
{
	struct keyd_ring *old = ring_with(id, two), *r = ring_under(id, NULL);
	struct buf token;

	(void)state;
	buf_init(&token, 256);
	bury(old, "alpha");
	assert_int_equal(keyd_ring_tomb_get(old, 0, &token), 0);
	keyd_ring_free(old);
	/* An older copy that knows nothing of it, loaded after the tombstone. */
	old = ring_with(id, two);
	assert_int_equal(keyd_ring_tomb_merge(r, buf_span(&token), 5000, &record), 1);
	assert_int_equal(take(r, KEYD_RECORD_TOMBSTONE, &record), 0);
	assert_int_equal(keyd_ring_each(old, copy, r), 0);
	assert_int_equal(usable(r, "alpha"), ERR_GONE);
	assert_int_equal(usable(r, "beta"), 0);
	keyd_ring_free(r);
	/* The same copy, and the tombstone after it. */
	assert_int_equal(usable(old, "alpha"), 0);
	assert_int_equal(keyd_ring_tomb_merge(old, buf_span(&token), 5000, &record), 1);
	assert_int_equal(take(old, KEYD_RECORD_TOMBSTONE, &record), 0);
	assert_int_equal(usable(old, "alpha"), ERR_GONE);
	assert_int_equal(usable(old, "beta"), 0);
	assert_int_equal(keyd_ring_tomb_merge(old, buf_span(&token), 6000, &record), 0);
	keyd_ring_free(old);
	buf_clear(&token);
}

static void a_customer_never_seen_here_can_be_dead_all_the_same(void **state)
{
	static const char *const alpha[] = {"alpha", NULL};
	struct keyd_ring *r = ring_with(id, alpha), *other = ring_with(id, none);
	struct buf token;

	(void)state;
	buf_init(&token, 256);
	bury(r, "alpha");
	assert_int_equal(keyd_ring_tomb_get(r, 0, &token), 0);
	assert_int_equal(keyd_ring_tomb_merge(other, buf_span(&token), 5000, &record), 1);
	assert_int_equal(take(other, KEYD_RECORD_TOMBSTONE, &record), 0);
	assert_int_equal(usable(other, "alpha"), ERR_GONE);
	assert_int_equal(keyd_ring_make_customer(other, SPAN_LIT("alpha"), 1, &record), ERR_GONE);
	keyd_ring_free(r);
	keyd_ring_free(other);
	buf_clear(&token);
}

static void nobody_can_forge_a_token(void **state)
{
	struct keyd_ring *r = ring_with(id, two), *other = ring_with(other_id, two);
	struct buf token, bad;

	(void)state;
	buf_init(&token, 256);
	bury(other, "beta");
	assert_int_equal(keyd_ring_tomb_get(other, 0, &token), 0);
	assert_int_equal(keyd_ring_tomb_merge(r, buf_span(&token), 1, &record), ERR_AUTH);
	buf_reset(&token);
	bury(r, "alpha");
	assert_int_equal(keyd_ring_tomb_get(r, 0, &token), 0);
	keyd_ring_free(r);
	r = ring_with(id, two);
	for (size_t i = 0; i < buf_size(&token); i++) {
		buf_init(&bad, 256);
		buf_put_span(&bad, buf_span(&token));
		((uint8_t *)buf_ptr(&bad))[i] ^= 1;
		assert_true(keyd_ring_tomb_merge(r, buf_span(&bad), 1, &record) < 0);
		assert_true(keyd_ring_tomb_merge(r, span_of(buf_ptr(&token), i), 1, &record) < 0);
		buf_clear(&bad);
	}
	assert_int_equal(keyd_ring_tomb_count(r), 0);
	assert_int_equal(usable(r, "alpha"), 0);
	keyd_ring_free(r);
	keyd_ring_free(other);
	buf_clear(&token);
}

static void a_destruction_never_goes_back(void **state)
{
	struct keyd_ring *r = ring_with(id, two);
	struct keyd_ring_tomb t;

	(void)state;
	bury(r, "alpha");
	for (unsigned s = KEYD_RECORD_TOMB_REWRAPPED; s <= KEYD_RECORD_TOMB_COMPLETE; s++) {
		assert_int_equal(keyd_ring_tomb_step(r, 0, s, 3000 + s, &record), 0);
		assert_int_equal(take(r, KEYD_RECORD_TOMBSTONE, &record), 0);
		assert_int_equal(keyd_ring_tomb_step(r, 0, s - 1, 3000, &record), 0);
		assert_int_equal(take(r, KEYD_RECORD_TOMBSTONE, &record), ERR_DAMAGED);
		keyd_ring_tomb_at(r, 0, &t);
		assert_int_equal(t.state, s);
		assert_int_equal(t.changed, 3000 + s);
		assert_int_equal(t.dead, 2000);
	}
	keyd_ring_free(r);
}

static void a_secret_of_backups_is_held_until_it_is_replaced(void **state)
{
	struct keyd_ring *r = ring_with(id, two), *again = ring_under(id, NULL);
	struct keyd_ring_backup b;
	uint8_t secret[32];

	(void)state;
	assert_int_equal(keyd_ring_backup_newest(r), 0);
	assert_int_equal(keyd_ring_backup_make(r, 1, 100, &record), 0);
	assert_int_equal(take(r, KEYD_RECORD_BACKUP, &record), 0);
	assert_int_equal(keyd_ring_backup_newest(r), 1);
	assert_int_equal(keyd_ring_backup_current(r), 0);
	memcpy(secret, keyd_ring_backup_secret(r, 0), 32);
	assert_int_equal(keyd_ring_backup_step(r, 0, KEYD_RECORD_BACKUP_CURRENT, 1, 200, &record),
			 0);
	assert_int_equal(take(r, KEYD_RECORD_BACKUP, &record), 0);
	assert_int_equal(keyd_ring_each(r, copy, again), 0);
	assert_memory_equal(keyd_ring_backup_secret(again, 0), secret, 32);
	keyd_ring_free(again);
	/* a second current one is not believed */
	assert_int_equal(keyd_ring_backup_make(r, 1, 300, &record), 0);
	assert_int_equal(take(r, KEYD_RECORD_BACKUP, &record), ERR_DAMAGED);
	assert_int_equal(keyd_ring_backup_step(r, 0, KEYD_RECORD_BACKUP_REPLACED, 0, 400, &record),
			 0);
	assert_int_equal(take(r, KEYD_RECORD_BACKUP, &record), 0);
	assert_null(keyd_ring_backup_secret(r, 0));
	assert_int_equal(keyd_ring_backup_current(r), -1);
	keyd_ring_backup_at(r, 0, &b);
	assert_int_equal(b.created, 100);
	assert_int_equal(b.used, 200);
	assert_int_equal(b.changed, 400);
	assert_int_equal(b.state, KEYD_RECORD_BACKUP_REPLACED);
	assert_int_equal(keyd_ring_backup_make(r, 1, 500, &record), 0);
	assert_int_equal(take(r, KEYD_RECORD_BACKUP, &record), 0);
	assert_int_equal(keyd_ring_backup_newest(r), 2);
	keyd_ring_free(r);
}

static void a_new_anchor_wraps_all_and_the_old_key_opens_nothing(void **state)
{
	struct keyd_ring *r = ring_with(id, two), *with, *without;

	(void)state;
	assert_int_equal(keyd_ring_backup_make(r, 1, 100, &record), 0);
	assert_int_equal(take(r, KEYD_RECORD_BACKUP, &record), 0);
	assert_int_equal(keyd_ring_anchor_begin(r, anchor), 0);
	assert_int_equal(keyd_ring_anchor_begin(r, anchor), ERR_BADSTATE);
	/* what is written meanwhile is under the new one */
	without = ring_under(id, NULL);
	assert_int_equal(keyd_ring_each(r, copy, without), ERR_DAMAGED);
	keyd_ring_free(without);
	with = ring_under(id, anchor);
	assert_int_equal(keyd_ring_each(r, copy, with), 0);
	assert_int_equal(usable(with, "beta"), 0);
	keyd_ring_free(with);
	/* given up: as before */
	keyd_ring_anchor_cancel(r);
	without = ring_under(id, NULL);
	assert_int_equal(keyd_ring_each(r, copy, without), 0);
	keyd_ring_free(without);
	assert_int_equal(keyd_ring_anchor_begin(r, anchor), 0);
	keyd_ring_anchor_commit(r);
	with = ring_under(id, anchor);
	assert_int_equal(keyd_ring_each(r, copy, with), 0);
	add_customer(r, "gamma");
	keyd_ring_free(with);
	/* the anchor is not there: all verifies, nothing opens, and it is said which */
	with = ring_under(id, NULL);
	keyd_ring_anchor_missing(with);
	assert_int_equal(keyd_ring_each(r, copy, with), ERR_NOTFOUND);
	keyd_ring_free(with);
	/* a backup needs none, and holds no secret of backups */
	without = ring_under(id, NULL);
	assert_int_equal(keyd_ring_anchor_each_bare(r, copy, without), 0);
	assert_int_equal(usable(without, "alpha"), 0);
	assert_int_equal(usable(without, "gamma"), 0);
	assert_int_equal(keyd_ring_backup_count(without), 1);
	assert_int_equal(keyd_ring_backup_current(without), -1);
	keyd_ring_free(without);
	keyd_ring_free(r);
}

/* A customer is as old as its first key, and of no known age once that is destroyed. */
static void the_age_of_a_customer_is_that_of_its_first_key(void **state)
{
	struct keyd_ring *r = ring_with(id, two);
	struct keyd_ring_tomb t;
	uint32_t alpha = (uint32_t)keyd_ring_customer(r, SPAN_LIT("alpha"));
	uint32_t beta = (uint32_t)keyd_ring_customer(r, SPAN_LIT("beta"));
	uint32_t first = keyd_ring_newest(r, alpha);

	(void)state;
	assert_int_equal(keyd_ring_make_dek(r, alpha, 1, &record), 0);
	assert_int_equal(take(r, KEYD_RECORD_DEK, &record), 0);
	assert_int_equal(keyd_ring_make_dek(r, beta, 1, &record), 0);
	assert_int_equal(take(r, KEYD_RECORD_DEK, &record), 0);
	for (unsigned s = KEYD_RECORD_RETIRED; s <= KEYD_RECORD_DESTROYED; s++) {
		assert_int_equal(keyd_ring_make_dek_state(r, first, s, 10, &record), 0);
		assert_int_equal(take(r, KEYD_RECORD_DEK_STATE, &record), 0);
	}
	bury(r, "alpha");
	keyd_ring_tomb_at(r, 0, &t);
	assert_int_equal(t.since, 0);
	bury(r, "beta");
	keyd_ring_tomb_at(r, 1, &t);
	assert_true(t.since > 0);
	keyd_ring_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_dead_customer_is_gone_and_the_others_are_not),
	    cmocka_unit_test(a_key_record_of_a_dead_customer_is_passed_over),
	    cmocka_unit_test(a_customer_never_seen_here_can_be_dead_all_the_same),
	    cmocka_unit_test(nobody_can_forge_a_token),
	    cmocka_unit_test(a_destruction_never_goes_back),
	    cmocka_unit_test(the_age_of_a_customer_is_that_of_its_first_key),
	    cmocka_unit_test(a_secret_of_backups_is_held_until_it_is_replaced),
	    cmocka_unit_test(a_new_anchor_wraps_all_and_the_old_key_opens_nothing),
	};

	if (keyd_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
