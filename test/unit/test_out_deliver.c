/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives, on how many connections, and what becomes of refusals. */
#include "test/unit/out_world.h"

/* --- delivery */

static void a_message_arrives_as_it_was(void **state)
{
	static const char body[] = "Subject: x\r\n\r\n.dot\r\n..two\r\n\r\n";

	(void)state;
	message(1, 2, body);
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_result(0, 1, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.message_count, 1);
	assert_string_equal(server.messages[0].body, body);
	assert_string_equal(server.messages[0].from, "alice@here.test");
	assert_string_equal(server.messages[0].rcpt, "r0@there.test r1@there.test");
}

static void the_outcome_is_written_before_the_queue_hears_of_it(void **state)
{
	(void)state;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_string_equal(fake.trail, "OSJ");
	assert_int_equal(fake.state_count, 1);
	assert_int_equal(fake.states[0].state.outcome, SPOOL_DELIVERED);
	assert_int_equal(fake.states[0].state.attempts, 1);
	assert_non_null(strstr(fake.states[0].detail, "host=127.0.0.1\naddress=127.0.0.1\n"));
	assert_non_null(strstr(fake.states[0].detail, "tls=none\nclear=not-offered\n"));
	assert_non_null(strstr(fake.states[0].detail, "result=0 delivered 250 2.0.0 queued\n"));
	assert_non_null(strstr(log_text, "event=delivered n=1 host=127.0.0.1 tls=none"));
	assert_null(strstr(log_text, "there.test"));
}

static void each_recipient_is_a_row_in_the_ledger(void **state)
{
	(void)state;
	message(1, 2, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_int_equal(fake.row_count, 2);
	assert_string_equal(fake.rows[0].address, "r0@there.test");
	assert_string_equal(fake.rows[1].address, "r1@there.test");
	assert_int_equal(fake.rows[1].recipient, 1);
	assert_int_equal(fake.rows[1].outcome, SPOOL_DELIVERED);
	assert_int_equal(fake.rows[1].code, 250);
	assert_int_equal(fake.rows[1].attempts, 1);
	assert_string_equal(fake.rows[1].status, "2.0.0");
	assert_int_equal(fake.rows[1].reached, 1);
	assert_string_equal(fake.rows[1].tls, "");
	assert_string_equal(fake.rows[1].by, "none");
}

static void envelope_and_body_leave_in_one_piece_each(void **state)
{
	char *body = long_body(4096);

	(void)state;
	message(1, 3, body);
	deliver(1);
	run_until_done(1);
	free(body);
	assert_int_equal(server.envelope_reads, 1);
	assert_int_equal(server.body_reads, 1);
}

static void a_connection_is_used_again(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 5; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
		run_until_done((unsigned)id);
	}
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.message_count, 5);
}

static void an_idle_connection_says_quit(void **state)
{
	(void)state;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	wait_for(9 * CLOCK_SEC);
	assert_int_equal(server.open, 1);
	wait_for(2 * CLOCK_SEC);
	assert_int_equal(server.open, 0);
	assert_int_equal(server.quits, 1);
}

static void a_connection_ends_after_its_number_of_messages(void **state)
{
	(void)state;
	conf.outbound.messages = 2;
	for (uint64_t id = 1; id <= 5; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
		run_until_done((unsigned)id);
	}
	assert_int_equal(server.accepted, 3);
	run_a_while();
	assert_int_equal(server.quits, 2);
}

static void no_more_connections_are_made_than_allowed(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 40; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
	}
	run_until_done(40);
	assert_int_equal(server.message_count, 40);
	assert_int_equal(server.open_max, 4);
	assert_int_equal(server.accepted, 4);
}

static void a_worker_takes_its_share_of_the_connections(void **state)
{
	(void)state;
	relay.worker_count = 3; /* 4 / 3 = 1 */
	for (uint64_t id = 1; id <= 10; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
	}
	run_until_done(10);
	assert_int_equal(server.open_max, 1);
	relay.worker_count = 1;
}

static void a_long_message_streams_and_arrives_intact(void **state)
{
	enum { SIZE = 3 * 1024 * 1024 };
	char *body = long_body(SIZE);
	uint32_t sum = 0;

	(void)state;
	for (int i = 0; i < SIZE; i++)
		sum = sum * 31 + (uint8_t)body[i];
	server.tls = server_tls;
	message(1, 1, body)->piece = 16384;
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.messages[0].size, SIZE);
	assert_int_equal(server.messages[0].sum, sum);
	free(body);
}

static void many_recipients_go_in_several_transactions_of_one_message(void **state)
{
	(void)state;
	message(1, 250, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_int_equal(server.message_count, 3);
	assert_int_equal(server.messages[0].rcpts, 100);
	assert_int_equal(server.messages[2].rcpts, 50);
	for (unsigned i = 0; i < 3; i++)
		assert_string_equal(server.messages[i].body, "hi\r\n");
	assert_int_equal(server.accepted, 1);
	for (unsigned i = 0; i < 250; i++)
		assert_result(0, i, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(fake.state_count, 250);
	assert_string_equal(fake.trail, "OSSSJ");
}

/* --- refusals */

static void a_refused_recipient_is_reported_before_its_outcome_is_written(void **state)
{
	(void)state;
	out_server_rule(&server, "RCPT", 2, "550 5.1.1 unknown");
	message(1, 2, "Subject: mine\r\n\r\nsecret body\r\n");
	deliver(1);
	run_until_done(1);
	assert_string_equal(fake.trail, "ODSJ");
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_result(0, 1, SPOOL_BOUNCED, QUEUE_RECIPIENT, 550);
	assert_string_equal(fake.report_to, "alice@here.test");
	assert_string_equal(fake.report_from, "<>");
	assert_string_equal(fake.report_customer, "acme");
	assert_int_equal(fake.queued, 1);
	assert_non_null(strstr(fake.report, "Final-Recipient: rfc822; r1@there.test\r\n"));
	assert_non_null(strstr(fake.report, "Remote-MTA: dns; 127.0.0.1\r\n"));
	assert_non_null(strstr(fake.report, "Subject: mine\r\n"));
	assert_null(strstr(fake.report, "secret body"));
	assert_null(strstr(fake.report, "r0@there.test"));
}

static void the_null_sender_is_never_reported_to(void **state)
{
	static char none[] = "";

	(void)state;
	out_server_rule(&server, "RCPT", 0, "550 5.1.1 unknown");
	message(1, 1, "hi\r\n")->envelope.sender = none;
	deliver(1);
	run_until_done(1);
	assert_string_equal(fake.trail, "OSJ");
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_RECIPIENT, 550);
	assert_non_null(strstr(log_text, "event=bounced n=1"));
	assert_non_null(strstr(log_text, "dsn=none"));
}

static void without_its_report_a_failure_is_not_final(void **state)
{
	static const int errs[] = {ERR_AWAY, ERR_NOSPACE};
	static const int reasons[] = {QUEUE_KEYD, QUEUE_LOCAL};

	(void)state;
	out_server_rule(&server, "RCPT", 0, "550 5.1.1 unknown");
	message(1, 1, "hi\r\n");
	for (unsigned i = 0; i < 2; i++) {
		fake.begin_err = i == 0 ? errs[i] : 0;
		fake.commit_err = i == 1 ? errs[i] : 0;
		deliver(1);
		run_until_done(i + 1);
		assert_result(i, 0, SPOOL_DEFERRED, reasons[i], 0);
	}
	assert_int_equal(fake.state_count, 0);
	assert_int_equal(fake.reports, 0);
	assert_non_null(strstr(log_text, "event=dsn-failed"));
}

static void a_deferred_recipient_is_left_to_the_queue(void **state)
{
	(void)state;
	out_server_rule(&server, "RCPT", 2, "452 4.5.3 too many");
	message(1, 2, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 1, SPOOL_DEFERRED, QUEUE_RECIPIENT, 452);
	assert_int_equal(fake.state_count, 1);
	assert_int_equal(fake.states[0].state.recipient, 0);
	assert_int_equal(fake.reports, 0);
}

static void a_connection_is_good_after_a_refusal(void **state)
{
	(void)state;
	out_server_rule(&server, "RCPT", 1, "450 later");
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	run_a_while();
	deliver(2);
	run_until_done(2);
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.resets, 1);
	assert_result(1, 0, SPOOL_DELIVERED, ANY, 250);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    OUT_WORLD_TEST(a_message_arrives_as_it_was),
	    OUT_WORLD_TEST(the_outcome_is_written_before_the_queue_hears_of_it),
	    OUT_WORLD_TEST(each_recipient_is_a_row_in_the_ledger),
	    OUT_WORLD_TEST(envelope_and_body_leave_in_one_piece_each),
	    OUT_WORLD_TEST(a_connection_is_used_again),
	    OUT_WORLD_TEST(an_idle_connection_says_quit),
	    OUT_WORLD_TEST(a_connection_ends_after_its_number_of_messages),
	    OUT_WORLD_TEST(no_more_connections_are_made_than_allowed),
	    OUT_WORLD_TEST(a_worker_takes_its_share_of_the_connections),
	    OUT_WORLD_TEST(a_long_message_streams_and_arrives_intact),
	    OUT_WORLD_TEST(many_recipients_go_in_several_transactions_of_one_message),
	    OUT_WORLD_TEST(a_refused_recipient_is_reported_before_its_outcome_is_written),
	    OUT_WORLD_TEST(the_null_sender_is_never_reported_to),
	    OUT_WORLD_TEST(without_its_report_a_failure_is_not_final),
	    OUT_WORLD_TEST(a_deferred_recipient_is_left_to_the_queue),
	    OUT_WORLD_TEST(a_connection_is_good_after_a_refusal),
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
