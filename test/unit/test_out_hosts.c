/* SPDX-License-Identifier: Apache-2.0 */
/* Which host is asked, and what follows when none can take the mail. */
#include "test/unit/out_world.h"

static const struct out_fake_name two_hosts[] = {
    {"there.test", MX, 0, .data = "10 first.test,20 second.test"},
    {"first.test", A, 0, .data = "127.0.0.2"},
    {"second.test", A, 0, .data = "127.0.0.1"},
    {.name = NULL}};

static const struct out_fake_name two_hosts_turned[] = {
    {"there.test", MX, 0, .data = "20 first.test,10 second.test"},
    {"first.test", A, 0, .data = "127.0.0.2"},
    {"second.test", A, 0, .data = "127.0.0.1"},
    {.name = NULL}};

static void the_next_host_takes_what_the_first_cannot(void **state)
{
	(void)state;
	use_mx(two_hosts); /* nobody listens at the first */
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(fake.states[0].detail, "host=second.test\naddress=127.0.0.1\n"));
	assert_int_equal(atomic_load(&relay.count.connections_out), 2);
}

static void a_host_that_failed_a_moment_ago_is_tried_last(void **state)
{
	(void)state;
	use_mx(two_hosts);
	conf.outbound.messages = 1;
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	deliver(2);
	run_until_done(2);
	assert_int_equal(atomic_load(&relay.count.connections_out), 3);
}

static void nobody_listening_defers(void **state)
{
	static char nobody[] = "127.0.0.2:1";

	(void)state;
	route.to = nobody;
	message(1, 2, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 1, SPOOL_DEFERRED, QUEUE_CONNECT, 0);
	assert_string_equal(fake.trail, "J"); /* the message was not even opened */
	assert_non_null(strstr(log_text, "event=deferred n=2 host=127.0.0.2 tls=none"));
	assert_non_null(strstr(log_text, "reason=connect"));
}

static void all_who_wait_hear_that_the_host_is_dead(void **state)
{
	static char nobody[] = "127.0.0.2:1";

	(void)state;
	route.to = nobody;
	for (uint64_t id = 1; id <= 30; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
	}
	run_until_done(30);
	assert_int_equal(atomic_load(&relay.count.connections_out), 4);
}

static void a_dead_host_is_probed_by_one_connection(void **state)
{
	static char nobody[] = "127.0.0.2:1";

	(void)state;
	route.to = nobody;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	for (uint64_t id = 2; id <= 10; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
	}
	run_until_done(10);
	assert_int_equal(atomic_load(&relay.count.connections_out), 2);
}

static void greetings_of_5xx_everywhere_bounce(void **state)
{
	(void)state;
	out_server_rule(&server, "GREETING", 0, "554 5.7.1 no");
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_GREETING, 554);
	assert_string_equal(fake.trail, "ODSJ");
}

static void a_5xx_greeting_beside_a_dead_host_only_defers(void **state)
{
	(void)state;
	use_mx(two_hosts);
	out_server_rule(&server, "GREETING", 0, "554 5.7.1 no");
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_GREETING, 554);
	fake.names = two_hosts_turned;
	wait_for(2 * 3600 * CLOCK_SEC); /* the answer has grown old */
	deliver(1);
	run_until_done(2);
	assert_result(1, 0, SPOOL_DEFERRED, QUEUE_GREETING, 554);
}

static void a_domain_that_does_not_exist_bounces_without_a_connection(void **state)
{
	static const struct out_fake_name names[] = {{"there.test", MX, ERR_NOTFOUND, .data = NULL},
						     {.name = NULL}};

	(void)state;
	use_mx(names);
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_DNS, 0);
	assert_string_equal(fake.trail, "ODSJ");
	assert_non_null(strstr(fake.report, "Status: 5.1.2\r\n"));
	assert_int_equal(server.accepted, 0);
}

static void a_lookup_that_fails_defers(void **state)
{
	static const struct out_fake_name names[] = {{"there.test", MX, ERR_AWAY, .data = NULL},
						     {.name = NULL}};

	(void)state;
	use_mx(names);
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_DNS, 0);
}

static void an_mx_inside_our_network_is_refused(void **state)
{
	(void)state;
	use_mx(two_hosts);
	conf.outbound.private_count = 0;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_POLICY, 0);
	assert_non_null(strstr(log_text, "event=mx-address-refused host=first.test kind=loopback"));
	assert_int_equal(server.accepted, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    OUT_WORLD_TEST(the_next_host_takes_what_the_first_cannot),
	    OUT_WORLD_TEST(a_host_that_failed_a_moment_ago_is_tried_last),
	    OUT_WORLD_TEST(nobody_listening_defers),
	    OUT_WORLD_TEST(all_who_wait_hear_that_the_host_is_dead),
	    OUT_WORLD_TEST(a_dead_host_is_probed_by_one_connection),
	    OUT_WORLD_TEST(greetings_of_5xx_everywhere_bounce),
	    OUT_WORLD_TEST(a_5xx_greeting_beside_a_dead_host_only_defers),
	    OUT_WORLD_TEST(a_domain_that_does_not_exist_bounces_without_a_connection),
	    OUT_WORLD_TEST(a_lookup_that_fails_defers),
	    OUT_WORLD_TEST(an_mx_inside_our_network_is_refused),
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
