/* SPDX-License-Identifier: Apache-2.0 */
/* The milter's side of allowances: relay is played here, and counts. */
#include "milter/milter_take.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/log.h"
#include "milter/milter_ask.h"

#define THREADS 4

/* --- relay, of one version */

static struct {
	pthread_mutex_t lock;
	int64_t max, taken, open; /* open: of the last block, what may come back */
	int64_t asked, block;	  /* how often; how many it was asked for last */
	int returns;
	int err;      /* it does not answer */
	int lost;     /* it answers, and the answer does not arrive */
	int nameless; /* one of before, that knows of no returns */
	char said[200];
} fake;

static struct camp_manifest manifest;

const struct camp_manifest *milter_manifest_of(const struct milter_manifest *m)
{
	(void)m;
	return &manifest;
}

static json_t *grant(const json_t *q)
{
	int64_t n = json_integer_value(json_object_get(q, "count"));
	const char *spent = json_string_value(json_object_get(q, "spent"));
	char name[33];

	snprintf(name, sizeof(name), "%032lld", (long long)fake.asked);
	if (fake.asked && !fake.nameless)
		assert_string_equal(spent, name);
	else
		assert_null(spent);
	fake.block = n;
	n = n < fake.max - fake.taken ? n : fake.max - fake.taken;
	fake.taken += n;
	fake.open = n;
	snprintf(name, sizeof(name), "%032lld", (long long)++fake.asked);
	return fake.nameless ? json_pack("{s:I}", "granted", (json_int_t)n)
			     : json_pack("{s:I, s:s}", "granted", (json_int_t)n, "grant", name);
}

static json_t *take_back(const json_t *q)
{
	const json_t *items = json_object_get(q, "items"), *o = json_array_get(items, 0);
	int64_t n = json_integer_value(json_object_get(o, "unused"));
	char name[33];

	fake.returns++;
	assert_int_equal(json_array_size(items), 1);
	snprintf(name, sizeof(name), "%032lld", (long long)fake.asked);
	assert_string_equal(json_string_value(json_object_get(o, "grant")), name);
	assert_true(n > 0 && n <= fake.open);
	fake.taken -= n;
	fake.open = 0;
	return json_pack("{s:I}", "returned", (json_int_t)n);
}

int milter_ask_post(const char *socket, const char *target, json_t *body, json_t **out)
{
	int err;

	assert_string_equal(socket, "api.sock");
	pthread_mutex_lock(&fake.lock);
	err = fake.err;
	*out = err ? NULL : !strcmp(target, "/v1/milter/take") ? grant(body) : take_back(body);
	if (!err && fake.lost) {
		json_decref(*out);
		*out = NULL;
		err = ERR_TIMEOUT;
	}
	pthread_mutex_unlock(&fake.lock);
	json_decref(body);
	return err;
}

/* --- a version */

static struct milter_manifest m;

static void hear(void *arg, const char *line)
{
	(void)arg;
	snprintf(fake.said, sizeof(fake.said), "%s", line);
}

static int set_up(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	pthread_mutex_init(&fake.lock, NULL);
	memset(&m, 0, sizeof(m));
	pthread_mutex_init(&m.lock, NULL);
	manifest.max_messages = (uint64_t)(fake.max = 1000);
	log_capture(hear, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_capture(NULL, NULL);
	pthread_mutex_destroy(&fake.lock);
	pthread_mutex_destroy(&m.lock);
	return 0;
}

static int take(int n)
{
	int err = 0;

	while (n-- && err == 0)
		err = milter_take_one("api.sock", &m);
	return err;
}

static int give_back(void)
{
	struct milter_manifest *over[] = {NULL, &m};
	int err = milter_take_return("api.sock", over, 2);

	log_flush();
	return err;
}

static void relay_is_asked_for_a_block_at_a_time(void **state)
{
	static const struct {
		uint64_t max;
		int64_t block;
	} rows[] = {{1, 1}, {99, 1}, {1000, 10}, {10000, 100}, {5000000, 100}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tear_down(state);
		set_up(state);
		manifest.max_messages = rows[i].max;
		fake.max = 100;
		assert_int_equal(take((int)rows[i].block), 0);
		assert_int_equal(fake.block, rows[i].block);
		assert_int_equal(fake.asked, 1);
	}
}

static void what_is_not_used_goes_back_once(void **state)
{
	(void)state;
	assert_int_equal(take(23), 0);
	assert_int_equal(fake.taken, 30);
	assert_int_equal(give_back(), 0);
	assert_int_equal(fake.taken, 23);
	assert_non_null(strstr(fake.said, "event=messages-given-back messages=7 versions=1"));
	assert_int_equal(give_back(), 0);
	assert_int_equal(fake.returns, 1);
}

static void a_block_that_was_used_up_does_not_go_back(void **state)
{
	(void)state;
	assert_int_equal(take(20), 0);
	assert_int_equal(give_back(), 0);
	assert_int_equal(fake.returns, 0);
	assert_int_equal(fake.taken, 20);
}

static void after_the_return_nothing_is_taken(void **state)
{
	(void)state;
	assert_int_equal(take(3), 0);
	assert_int_equal(give_back(), 0);
	assert_int_equal(take(1), ERR_AWAY);
	assert_int_equal(fake.asked, 1);
}

/* It may have been given back, or not: so it is neither used nor given back again. */
static void a_return_without_an_answer_is_not_tried_again_and_not_used(void **state)
{
	(void)state;
	assert_int_equal(take(3), 0);
	fake.lost = 1;
	assert_int_equal(give_back(), ERR_TIMEOUT);
	assert_non_null(
	    strstr(fake.said, "event=messages-not-given-back messages=7 versions=1 why="));
	fake.lost = 0;
	assert_int_equal(give_back(), 0);
	assert_int_equal(fake.returns, 1);
	assert_int_equal(take(1), ERR_AWAY);
	assert_int_equal(fake.taken, 3);
}

static void what_relay_did_not_get_back_is_lost(void **state)
{
	(void)state;
	assert_int_equal(take(3), 0);
	fake.err = ERR_AWAY;
	assert_int_equal(give_back(), ERR_AWAY);
	fake.err = 0;
	assert_int_equal(give_back(), 0);
	assert_int_equal(take(1), ERR_AWAY);
	assert_int_equal(fake.taken, 10); /* too many counted, never too few */
}

static void a_relay_of_before_gets_nothing_back(void **state)
{
	(void)state;
	fake.nameless = 1;
	assert_int_equal(take(13), 0);
	assert_int_equal(fake.taken, 20);
	assert_int_equal(give_back(), 0);
	assert_int_equal(fake.returns, 0);
}

static void the_end_is_told_when_all_are_used_up(void **state)
{
	(void)state;
	fake.max = 12;
	assert_int_equal(take(12), 0);
	assert_int_equal(take(1), ERR_LIMIT);
	assert_int_equal(give_back(), 0);
	assert_int_equal(fake.returns, 0);
	assert_int_equal(fake.taken, 12);
}

static void *take_many(void *arg)
{
	int *used = arg;

	while (milter_take_one("api.sock", &m) == 0)
		++*used;
	return NULL;
}

static void messages_that_are_under_way_while_it_stops_are_counted(void **state)
{
	pthread_t threads[THREADS];
	int used[THREADS] = {0}, all = 0;

	(void)state;
	manifest.max_messages = (uint64_t)(fake.max = 1000000);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_many, &used[i]), 0);
	while (1) { /* until they are at it */
		pthread_mutex_lock(&fake.lock);
		all = fake.asked > 20;
		pthread_mutex_unlock(&fake.lock);
		if (all)
			break;
		sched_yield();
	}
	assert_int_equal(give_back(), 0);
	all = 0;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		all += used[i];
	}
	assert_int_equal(fake.taken, all);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(relay_is_asked_for_a_block_at_a_time),
	    TEST(what_is_not_used_goes_back_once),
	    TEST(a_block_that_was_used_up_does_not_go_back),
	    TEST(after_the_return_nothing_is_taken),
	    TEST(a_return_without_an_answer_is_not_tried_again_and_not_used),
	    TEST(what_relay_did_not_get_back_is_lost),
	    TEST(a_relay_of_before_gets_nothing_back),
	    TEST(the_end_is_told_when_all_are_used_up),
	    TEST(messages_that_are_under_way_while_it_stops_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
