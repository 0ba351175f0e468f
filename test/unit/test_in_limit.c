/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_limit.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"

static struct in_limit *l;
static const struct num_rate ten_in_a_minute = {10, 60 * CLOCK_SEC};

static int set_up(void **state)
{
	(void)state;
	l = in_limit_new();
	return l ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	in_limit_free(l);
	return 0;
}

static struct in_limit_key client(const char *text)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		a.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		a.ss_family = AF_INET6;
	return in_limit_client(&a);
}

static unsigned taken(struct in_limit_key k, int64_t from, int64_t to, int64_t step)
{
	unsigned n = 0;

	for (int64_t t = from; t < to; t += step)
		n += (unsigned)in_limit_take(l, IN_LIMIT_MESSAGES, k, ten_in_a_minute, t);
	return n;
}

static void ten_come_at_once_and_then_one_in_six_seconds(void **state)
{
	struct in_limit_key k = client("192.0.2.1");

	(void)state;
	assert_int_equal(taken(k, CLOCK_SEC, 2 * CLOCK_SEC, 1000), 10);
	assert_int_equal(taken(k, 2 * CLOCK_SEC, 62 * CLOCK_SEC, 1000), 10);
	assert_int_equal(taken(k, 1000 * CLOCK_SEC, 1001 * CLOCK_SEC, 1000), 10); /* rested */
}

static void clients_and_kinds_are_counted_apart(void **state)
{
	(void)state;
	assert_int_equal(taken(client("192.0.2.1"), CLOCK_SEC, 2 * CLOCK_SEC, 1000), 10);
	assert_int_equal(taken(client("192.0.2.2"), CLOCK_SEC, 2 * CLOCK_SEC, 1000), 10);
	assert_int_equal(in_limit_take(l, IN_LIMIT_RECIPIENTS, client("192.0.2.1"), ten_in_a_minute, CLOCK_SEC), 1);
	assert_int_equal(in_limit_take(l, IN_LIMIT_CREDENTIAL_MESSAGES, in_limit_credential(1), ten_in_a_minute,
				       CLOCK_SEC),
			 1);
}

static void one_prefix_of_ipv6_is_one_client_and_a_mapped_address_is_its_ipv4(void **state)
{
	(void)state;
	assert_int_equal(taken(client("2001:db8::1"), CLOCK_SEC, 2 * CLOCK_SEC, 1000), 10);
	assert_int_equal(taken(client("2001:db8::ffff:2"), CLOCK_SEC, 2 * CLOCK_SEC, 1000), 0);
	assert_int_equal(taken(client("2001:db8:0:1::1"), CLOCK_SEC, 2 * CLOCK_SEC, 1000), 10);
	assert_int_equal(taken(client("192.0.2.9"), CLOCK_SEC, 2 * CLOCK_SEC, 1000), 10);
	assert_int_equal(taken(client("::ffff:192.0.2.9"), CLOCK_SEC, 2 * CLOCK_SEC, 1000), 0);
}

static void no_rate_is_no_limit(void **state)
{
	const struct num_rate none = {0, 0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(in_limit_take(l, IN_LIMIT_MESSAGES, client("192.0.2.1"), none, 1), 1);
}

static void failures_lock_out_for_their_time_and_nobody_else(void **state)
{
	struct in_limit_key bad = client("192.0.2.66"), other = client("192.0.2.67");
	int64_t t = 100 * CLOCK_SEC;

	(void)state;
	for (int i = 1; i <= 10; i++) {
		assert_int_equal(in_limit_locked(l, bad, t), 0);
		assert_int_equal(in_limit_failed(l, bad, ten_in_a_minute, 900 * CLOCK_SEC, t), i == 10);
	}
	assert_int_equal(in_limit_locked(l, bad, t + 899 * CLOCK_SEC), 1);
	assert_int_equal(in_limit_locked(l, other, t), 0);
	assert_int_equal(in_limit_locked(l, bad, t + 900 * CLOCK_SEC), 0);
}

static void failures_now_and_then_lock_nobody_out(void **state)
{
	struct in_limit_key k = client("192.0.2.1");

	(void)state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(in_limit_failed(l, k, ten_in_a_minute, 900 * CLOCK_SEC, (i + 1) * 7 * CLOCK_SEC), 0);
}

/* However many there are, memory stays, and the newest are known. */
static void a_crowd_of_clients_does_not_hide_the_one_that_comes_now(void **state)
{
	struct in_limit_key k = {{0}};

	(void)state;
	for (uint32_t i = 0; i < 500000; i++) {
		num_put_u32(k.bytes, i);
		in_limit_take(l, IN_LIMIT_MESSAGES, k, ten_in_a_minute, CLOCK_SEC + i);
	}
	assert_int_equal(taken(client("192.0.2.1"), CLOCK_SEC * 10, 11 * CLOCK_SEC, 1000), 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(ten_come_at_once_and_then_one_in_six_seconds),
	    TEST(clients_and_kinds_are_counted_apart),
	    TEST(one_prefix_of_ipv6_is_one_client_and_a_mapped_address_is_its_ipv4),
	    TEST(no_rate_is_no_limit),
	    TEST(failures_lock_out_for_their_time_and_nobody_else),
	    TEST(failures_now_and_then_lock_nobody_out),
	    TEST(a_crowd_of_clients_does_not_hide_the_one_that_comes_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
