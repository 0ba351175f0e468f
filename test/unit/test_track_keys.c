/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of tokens: asked of keyd once for all who wait, kept for ten minutes, gone at once when keyd is not ready. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "core/err.h"
#include "keyproto/keyproto_manifest.h"
#include "relay/track/track_keys.h"

/* keyd: what it was asked, and how to answer. */
static struct {
	unsigned asked;
	int refuse; /* the call itself */
	keyproto_client_ev_reply_fn fn;
	void *arg;
	char customer[65];
	uint32_t epoch;
} keyd;

int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg)
{
	struct keyproto_track m;
	struct buf b;

	(void)c;
	assert_int_equal(op, KEYPROTO_TRACK_KEY);
	assert_true(timeout_usec == TRACK_KEYS_TIMEOUT);
	if (keyd.refuse)
		return keyd.refuse;
	buf_init(&b, 1024);
	assert_int_equal(fill(&b, message), 0);
	assert_int_equal(keyproto_track_get(buf_span(&b), &m), 0);
	span_copy_str(keyd.customer, sizeof(keyd.customer), m.customer);
	keyd.epoch = m.epoch;
	buf_clear(&b);
	keyd.asked++;
	keyd.fn = fn;
	keyd.arg = arg;
	return 0;
}

static void answer(int err, uint8_t fill, size_t size)
{
	uint8_t key[64];
	struct buf b;

	memset(key, fill, sizeof(key));
	buf_init(&b, 1024);
	keyproto_bytes_put(&b, span_of(key, size));
	keyd.fn(keyd.arg, err, err < 0 ? span_of(NULL, 0) : buf_span(&b));
	buf_clear(&b);
}

struct waiter {
	struct track_keys_wait wait; /* first */
	unsigned told;
	int err;
	uint8_t first; /* octet of the key */
};

static struct track_keys *keys;

static void told(struct track_keys_wait *w, int err, const uint8_t *key)
{
	struct waiter *me = (struct waiter *)w;

	me->told++;
	me->err = err;
	me->first = err < 0 ? 0 : key[KEYPROTO_TRACK_SIZE - 1];
	assert_int_equal(key == NULL, err < 0);
}

static int get(struct waiter *w, const char *customer, uint32_t epoch, const uint8_t **key)
{
	*w = (struct waiter){.wait = {.fn = told}};
	return track_keys_get(keys, customer, epoch, &w->wait, key);
}

static int set_up(void **state)
{
	(void)state;
	memset(&keyd, 0, sizeof(keyd));
	clock_set(CLOCK_SEC, 1000 * CLOCK_SEC);
	keys = track_keys_new(NULL);
	assert_non_null(keys);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	track_keys_free(keys);
	clock_restore();
	return 0;
}

static void all_who_wait_for_a_key_get_the_one_answer(void **state)
{
	struct waiter a, b;
	const uint8_t *key;

	(void)state;
	assert_int_equal(get(&a, "shop", 300, &key), 0);
	assert_int_equal(get(&b, "shop", 300, &key), 0);
	assert_int_equal(keyd.asked, 1);
	assert_string_equal(keyd.customer, "shop");
	assert_int_equal(keyd.epoch, 300);
	answer(0, 0x11, KEYPROTO_TRACK_SIZE);
	assert_true(a.told == 1 && b.told == 1 && a.first == 0x11 && b.first == 0x11);
	assert_int_equal(get(&a, "shop", 300, &key), 1);
	assert_int_equal(key[0], 0x11);
	assert_int_equal(keyd.asked, 1);
}

static void another_customer_or_epoch_is_another_key(void **state)
{
	struct waiter a, b, c;
	const uint8_t *key;

	(void)state;
	get(&a, "shop", 300, &key);
	answer(0, 1, KEYPROTO_TRACK_SIZE);
	get(&b, "shop", 301, &key);
	answer(0, 2, KEYPROTO_TRACK_SIZE);
	get(&c, "other", 300, &key);
	answer(0, 3, KEYPROTO_TRACK_SIZE);
	assert_int_equal(keyd.asked, 3);
	assert_true(a.first == 1 && b.first == 2 && c.first == 3);
	assert_int_equal(get(&a, "shop", 300, &key), 1);
	assert_int_equal(key[5], 1);
}

static void a_key_is_asked_for_again_after_ten_minutes(void **state)
{
	struct waiter a;
	const uint8_t *key;

	(void)state;
	get(&a, "shop", 300, &key);
	answer(0, 1, KEYPROTO_TRACK_SIZE);
	clock_advance(TRACK_KEYS_KEEP - 1);
	assert_int_equal(get(&a, "shop", 300, &key), 1);
	clock_advance(1);
	assert_int_equal(get(&a, "shop", 300, &key), 0);
	answer(ERR_LOCKED, 0, 0);
	assert_int_equal(a.err, ERR_LOCKED);
}

static void when_keyd_locks_every_key_is_gone(void **state)
{
	struct waiter a;
	const uint8_t *key;

	(void)state;
	get(&a, "shop", 300, &key);
	answer(0, 1, KEYPROTO_TRACK_SIZE);
	assert_int_equal(get(&a, "shop", 300, &key), 1);
	track_keys_state(keys, KEYPROTO_READY);
	assert_int_equal(get(&a, "shop", 300, &key), 1);
	key = NULL;
	track_keys_state(keys, KEYPROTO_LOCKED);
	keyd.refuse = ERR_LOCKED;
	assert_int_equal(get(&a, "shop", 300, &key), ERR_LOCKED);
	assert_null(key);
	keyd.refuse = 0;
	track_keys_state(keys, KEYPROTO_READY);
	assert_int_equal(get(&a, "shop", 300, &key), 0);
	answer(0, 9, KEYPROTO_TRACK_SIZE);
	assert_int_equal(a.first, 9);
}

static void keyd_is_not_asked_again_at_once_for_what_it_has_not(void **state)
{
	static const int refusals[] = {ERR_NOTFOUND, ERR_GONE};
	struct waiter a;
	const uint8_t *key;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(get(&a, "gone", 300 + i, &key), 0);
		answer(refusals[i], 0, 0);
		assert_int_equal(a.err, refusals[i]);
		assert_int_equal(get(&a, "gone", 300 + i, &key), refusals[i]);
		assert_int_equal(keyd.asked, i + 1);
	}
	clock_advance(5 * CLOCK_SEC);
	assert_int_equal(get(&a, "gone", 300, &key), 0);
	assert_int_equal(keyd.asked, 3);
	answer(ERR_TIMEOUT, 0, 0); /* that passes by: the next one asks */
	assert_int_equal(get(&a, "gone", 300, &key), 0);
	assert_int_equal(keyd.asked, 4);
	answer(0, 1, KEYPROTO_TRACK_SIZE);
}

static void an_answer_of_another_size_is_no_key(void **state)
{
	struct waiter a;
	const uint8_t *key;

	(void)state;
	get(&a, "shop", 300, &key);
	answer(0, 1, KEYPROTO_TRACK_SIZE - 1);
	assert_int_equal(a.err, ERR_FORMAT);
	assert_int_equal(get(&a, "shop", 300, &key), 0);
	answer(0, 1, KEYPROTO_TRACK_SIZE + 1);
	assert_int_equal(a.err, ERR_FORMAT);
}

static void who_does_not_wait_any_more_is_not_called(void **state)
{
	struct waiter a, b;
	const uint8_t *key;

	(void)state;
	get(&a, "shop", 300, &key);
	get(&b, "shop", 300, &key);
	track_keys_cancel(&a.wait);
	track_keys_cancel(&a.wait);
	answer(0, 1, KEYPROTO_TRACK_SIZE);
	assert_true(a.told == 0 && b.told == 1);
}

static void the_one_not_used_longest_makes_room(void **state)
{
	struct waiter a[TRACK_KEYS_MAX + 1];
	const uint8_t *key;

	(void)state;
	for (uint32_t i = 0; i < TRACK_KEYS_MAX; i++) {
		get(&a[i], "shop", i, &key);
		answer(0, (uint8_t)i, KEYPROTO_TRACK_SIZE);
		clock_advance(1000);
	}
	assert_int_equal(get(&a[0], "shop", 0, &key), 1); /* used again */
	clock_advance(1000);
	assert_int_equal(get(&a[TRACK_KEYS_MAX], "shop", 1000, &key), 0);
	answer(0, 99, KEYPROTO_TRACK_SIZE);
	assert_int_equal(get(&a[0], "shop", 0, &key), 1);
	assert_int_equal(get(&a[2], "shop", 2, &key), 1);
	assert_int_equal(get(&a[1], "shop", 1, &key), 0); /* that one went */
	answer(0, 1, KEYPROTO_TRACK_SIZE);
}

static void while_all_are_being_asked_for_no_other_can_be(void **state)
{
	static struct waiter a[TRACK_KEYS_MAX + 1]; /* who waits is there until the keys go */
	const uint8_t *key;

	(void)state;
	for (uint32_t i = 0; i < TRACK_KEYS_MAX; i++)
		assert_int_equal(get(&a[i], "shop", i, &key), 0);
	assert_int_equal(get(&a[TRACK_KEYS_MAX], "shop", 1000, &key), ERR_BUSY);
	assert_int_equal(keyd.asked, TRACK_KEYS_MAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(all_who_wait_for_a_key_get_the_one_answer),
	    TEST(another_customer_or_epoch_is_another_key),
	    TEST(a_key_is_asked_for_again_after_ten_minutes),
	    TEST(when_keyd_locks_every_key_is_gone),
	    TEST(keyd_is_not_asked_again_at_once_for_what_it_has_not),
	    TEST(an_answer_of_another_size_is_no_key),
	    TEST(who_does_not_wait_any_more_is_not_called),
	    TEST(the_one_not_used_longest_makes_room),
	    TEST(while_all_are_being_asked_for_no_other_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
