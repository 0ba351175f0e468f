/* SPDX-License-Identifier: Apache-2.0 */
/* Logins at next hops, REQUIRETLS, whole chunks, and the mail of customers that are no more. */
#include "test/unit/out_world.h"

static char mine[] = "mine";

static const struct out_fake_name names[] = {{"there.test", MX, 0, "10 mx.there.test", .secure = 1},
					     {"mx.there.test", A, 0, .data = "127.0.0.1"},
					     {.name = NULL}};
static const struct out_fake_name two_addresses[] = {{"there.test", MX, 0, "10 mx.there.test", .secure = 1},
						     {"mx.there.test", A, 0, .data = "127.0.0.1,127.0.0.1"},
						     {.name = NULL}};

static int setup(void **state)
{
	int rc = out_world_setup(state);

	fake.user = "alice";
	fake.password = "wonder land";
	return rc;
}

static void with_login(int tls)
{
	route.credential = mine;
	route.tls = tls;
	server.tls = server_tls;
	server.caps = "PIPELINING\nAUTH PLAIN LOGIN\n";
}

static void send_one(void)
{
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(fake.done_count + 1);
}

static void the_login_comes_before_the_first_message_and_once_per_connection(void **state)
{
	(void)state;
	use_mx(names);
	with_login(RELAY_TLS_VERIFY);
	send_one();
	send_one();
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_string_equal(server.auth, "AUTH PLAIN AGFsaWNlAHdvbmRlciBsYW5k");
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.message_count, 2);
	assert_int_equal(server.messages[0].tls, 1);
	assert_null(strstr(log_text, "upstream-unverified"));
}

static void an_unverified_server_gets_it_with_a_warning(void **state)
{
	(void)state;
	with_login(RELAY_TLS_ENCRYPT);
	send_one();
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(log_text, "event=upstream-unverified credential=mine"));
}

static void the_password_never_leaves_in_clear(void **state)
{
	(void)state;
	with_login(RELAY_TLS_OPPORTUNISTIC); /* raised to encrypt */
	server.tls = NULL;
	send_one();
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	assert_string_equal(server.auth, "");
	assert_int_equal(server.message_count, 0);
}

static void a_refused_login_keeps_the_mail_and_is_not_repeated_elsewhere(void **state)
{
	(void)state;
	use_mx(two_addresses);
	with_login(RELAY_TLS_ENCRYPT);
	out_server_rule(&server, "AUTH", 0, "535 5.7.8 wrong password");
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n");
	conf.outbound.connections = 1;
	deliver(1);
	deliver(2);
	run_until_done(2);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_AUTH, 535);
	assert_result(1, 0, SPOOL_DEFERRED, QUEUE_AUTH, 535);
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.message_count, 0);
	assert_non_null(strstr(log_text, "event=upstream-auth-failed credential=mine"));
	assert_null(strstr(log_text, "wonder"));
	assert_null(strstr(log_text, "alice"));
}

static void without_keyd_the_login_waits(void **state)
{
	(void)state;
	with_login(RELAY_TLS_ENCRYPT);
	fake.user = NULL;
	fake.login_err = ERR_AWAY;
	send_one();
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_KEYD, 0);
	assert_null(strstr(log_text, "upstream-auth-failed"));
	fake.login_err = ERR_NOTFOUND;
	send_one();
	assert_result(1, 0, SPOOL_DEFERRED, QUEUE_AUTH, 0);
	assert_non_null(strstr(log_text, "upstream-auth-failed"));
	assert_int_equal(server.message_count, 0);
}

static void wait_for_the_question(void)
{
	with_login(RELAY_TLS_ENCRYPT);
	fake.hold_login = 1;
	message(1, 1, "hi\r\n");
	deliver(1);
	for (int i = 0; i < 200 && server.handshakes == 0; i++)
		run_a_while();
	run_a_while();
	assert_int_equal(fake.done_count, 0);
}

static void a_login_may_take_keyd_a_while(void **state)
{
	(void)state;
	wait_for_the_question();
	assert_int_equal(out_fake_login(), 1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
}

static void is_done(void *arg)
{
	++*(int *)arg;
}

static void stopping_while_keyd_is_asked_for_a_login_ends_it(void **state)
{
	int done = 0;

	(void)state;
	wait_for_the_question();
	out_worker_stop(worker.out, 10 * CLOCK_SEC, is_done, &done);
	assert_int_equal(out_fake_login(), 0); /* nobody is there to hear it */
	run_until_done(1);
	assert_int_equal(done, 1);
	assert_int_equal(server.message_count, 0);
}

static void a_server_that_leaves_while_keyd_is_asked_defers(void **state)
{
	(void)state;
	wait_for_the_question();
	out_server_hang_up(&server);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_LOST, 0);
	assert_int_equal(out_fake_login(), 0);
}

/* --- REQUIRETLS */

static void requiretls_takes_a_verified_connection_of_its_own(void **state)
{
	(void)state;
	use_mx(names);
	server.tls = server_tls;
	server.caps = "PIPELINING\nREQUIRETLS\n";
	send_one(); /* opportunistic */
	message(2, 1, "hi\r\n")->envelope.flags = SPOOL_REQUIRETLS;
	deliver(2);
	run_until_done(2);
	assert_result(1, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.accepted, 2);
	assert_non_null(strstr(fake.states[1].detail, "verified=yes"));
}

static void requiretls_bounces_where_no_server_can_be_verified(void **state)
{
	static const struct out_fake_name strangers[] = {{"there.test", MX, 0, "10 stranger.test", .secure = 1},
							 {"stranger.test", A, 0, .data = "127.0.0.1"},
							 {.name = NULL}};

	(void)state;
	use_mx(strangers);
	server.tls = server_tls; /* for another name */
	server.caps = "PIPELINING\nREQUIRETLS\n";
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_REQUIRETLS;
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_POLICY, 0);
	assert_non_null(strstr(fake.report, "Status: 5.7.30\r\n"));
	assert_int_equal(server.message_count, 0);
}

static void requiretls_bounces_where_the_server_does_not_offer_it(void **state)
{
	(void)state;
	use_mx(names);
	server.tls = server_tls;
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_REQUIRETLS;
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_POLICY, 0);
	assert_int_equal(server.message_count, 0);
}

static void sensitive_content_goes_to_a_verified_server_that_need_not_offer_requiretls(void **state)
{
	(void)state;
	use_mx(names);
	server.tls = server_tls;
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_VERIFIED;
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(fake.states[0].detail, "verified=yes"));
}

static void sensitive_content_bounces_where_no_server_can_be_verified(void **state)
{
	static const struct out_fake_name strangers[] = {{"there.test", MX, 0, "10 stranger.test", .secure = 1},
							 {"stranger.test", A, 0, .data = "127.0.0.1"},
							 {.name = NULL}};

	(void)state;
	use_mx(strangers);
	server.tls = server_tls; /* for another name */
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_VERIFIED;
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_POLICY, 0);
	assert_non_null(strstr(fake.report, "Status: 5.7.30\r\n"));
	assert_non_null(strstr(fake.report, "sensitive content"));
	assert_int_equal(server.message_count, 0);
}

static void requiretls_waits_while_tls_is_out_of_order(void **state)
{
	(void)state;
	use_mx(names);
	server.tls = server_tls;
	out_server_rule(&server, "STARTTLS", 0, "454 4.7.0 not now");
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_REQUIRETLS;
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TLS, 454);
}

/* --- chunks */

static void a_chunk_arrives_as_it_was_whatever_its_size(void **state)
{
	static const size_t sizes[] = {100, 65536, 65537, 900000};

	(void)state;
	server.caps = "PIPELINING\nCHUNKING\n";
	for (unsigned i = 0; i < 4; i++) {
		char *body = long_body(sizes[i]);
		memcpy(body + 2, "\r\n.\r\n", 5); /* no dot is doubled */
		message(1, 1, body)->piece = 8192;
		deliver(1);
		run_until_done(i + 1);
		assert_result(i, 0, SPOOL_DELIVERED, ANY, 250);
		assert_int_equal(server.messages[i].chunked, 1);
		assert_int_equal(server.messages[i].size, sizes[i]);
		assert_string_equal(server.messages[i].body, body);
		free(body);
	}
	assert_int_equal(server.accepted, 1);
}

static void a_small_message_leaves_in_one_flight(void **state)
{
	(void)state;
	server.caps = "PIPELINING\nCHUNKING\n";
	send_one();
	send_one();
	assert_int_equal(server.envelope_reads, 1);
	assert_int_equal(server.body_reads, 0); /* it came with the envelope */
}

static void a_chunk_that_cannot_be_verified_is_never_complete(void **state)
{
	struct out_fake_message *m;

	(void)state;
	server.caps = "PIPELINING\nCHUNKING\n";
	m = message(1, 1, "hello\r\nworld\r\n");
	m->piece = 7;
	m->read_err = ERR_AUTH;
	m->read_err_at = m->size; /* all was opened, but the end is not the true one */
	deliver(1);
	run_until_done(1);
	run_a_while();
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_DAMAGED, 0);
	assert_int_equal(server.message_count, 0);
	assert_int_equal(server.open, 0);
}

static void a_refused_chunk_leaves_the_connection_usable(void **state)
{
	(void)state;
	server.caps = "PIPELINING\nCHUNKING\n";
	conf.outbound.connections = 1;
	out_server_rule(&server, "RCPT", 1, "550 5.1.1 nobody");
	send_one();
	send_one();
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_RECIPIENT, 550);
	assert_result(1, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.resets, 1);
	assert_int_equal(server.message_count, 1);
}

static void a_server_that_only_claims_to_know_chunks_gets_data_next_time(void **state)
{
	(void)state;
	server.caps = "PIPELINING\nCHUNKING\n";
	out_server_rule(&server, "DOT", 1, "500 5.5.1 unknown command");
	send_one();
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_PROTOCOL, 500);
	wait_for(3600 * CLOCK_SEC);
	send_one();
	assert_result(1, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.messages[0].chunked, 0);
	assert_int_equal(server.accepted, 2);
}

/* --- destroyed customers */

static void mail_of_a_destroyed_customer_is_dropped_and_nobody_is_told(void **state)
{
	(void)state;
	message(1, 3, "hi\r\n")->open_err = ERR_GONE;
	deliver(1);
	run_until_done(1);
	assert_result(0, 2, SPOOL_BOUNCED, QUEUE_LOCAL, 0);
	assert_string_equal(fake.trail, "SJ");
	assert_int_equal(fake.reports, 0);
	assert_non_null(strstr(log_text, "event=customer-destroyed"));
	out_fake_job(&worker, QUEUE_EXPIRE, 1, "there.test");
	run_until_done(2);
	assert_result(1, 0, SPOOL_BOUNCED, QUEUE_LOCAL, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, out_world_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(the_login_comes_before_the_first_message_and_once_per_connection),
	    TEST(an_unverified_server_gets_it_with_a_warning),
	    TEST(the_password_never_leaves_in_clear),
	    TEST(a_refused_login_keeps_the_mail_and_is_not_repeated_elsewhere),
	    TEST(without_keyd_the_login_waits),
	    TEST(a_login_may_take_keyd_a_while),
	    TEST(stopping_while_keyd_is_asked_for_a_login_ends_it),
	    TEST(a_server_that_leaves_while_keyd_is_asked_defers),
	    TEST(requiretls_takes_a_verified_connection_of_its_own),
	    TEST(requiretls_bounces_where_no_server_can_be_verified),
	    TEST(requiretls_bounces_where_the_server_does_not_offer_it),
	    TEST(requiretls_waits_while_tls_is_out_of_order),
	    TEST(sensitive_content_goes_to_a_verified_server_that_need_not_offer_requiretls),
	    TEST(sensitive_content_bounces_where_no_server_can_be_verified),
	    TEST(a_chunk_arrives_as_it_was_whatever_its_size),
	    TEST(a_small_message_leaves_in_one_flight),
	    TEST(a_chunk_that_cannot_be_verified_is_never_complete),
	    TEST(a_refused_chunk_leaves_the_connection_usable),
	    TEST(a_server_that_only_claims_to_know_chunks_gets_data_next_time),
	    TEST(mail_of_a_destroyed_customer_is_dropped_and_nobody_is_told),
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
