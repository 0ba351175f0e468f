/* SPDX-License-Identifier: Apache-2.0 */
/* Things that break: connections, bodies, keys, the spool. */
#include "test/unit/out_world.h"

static void a_used_connection_that_was_closed_is_replaced(void **state)
{
	(void)state;
	out_server_rule(&server, "MAIL", 2, "421 idle too long");
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	deliver(2);
	run_until_done(2);
	assert_result(1, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.message_count, 2);
	assert_int_equal(server.accepted, 2);
}

static void a_connection_that_ends_while_the_message_is_opened_is_replaced(void **state)
{
	(void)state;
	message(1, 1, "hi\r\n")->hold_open = 1;
	deliver(1);
	run_a_while();
	assert_int_equal(server.accepted, 1);
	out_server_hang_up(&server);
	run_a_while();
	out_fake_release();
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.message_count, 1);
}

/* One that is too busy says so in the same breath as it answers EHLO: then nobody has had the connection yet. */
static void a_server_that_takes_leave_behind_its_ehlo_is_told_as_it_spoke(void **state)
{
	(void)state;
	out_server_rule(&server, "EHLO", 1, "250 mx.there.test\n421 4.3.2 too busy");
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_GREETING, 421);
	assert_non_null(strstr(log_text, "event=deferred"));
	assert_non_null(strstr(log_text, "status=4.3.2"));
	deliver(1); /* and what was counted for it is given back: the next one goes */
	run_until_done(2);
	assert_result(1, 0, SPOOL_DELIVERED, ANY, 250);
}

static void a_server_that_talks_on_behind_its_ehlo_breaks_the_protocol(void **state)
{
	(void)state;
	out_server_rule(&server, "EHLO", 0, "250 mx.there.test\n250 and now?");
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_PROTOCOL, 0);
	assert_int_equal(server.message_count, 0);
}

static void a_connection_that_ends_while_the_outcome_is_written_changes_nothing(void **state)
{
	(void)state;
	fake.hold_states = 1;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_a_while();
	assert_int_equal(server.message_count, 1);
	out_server_hang_up(&server);
	run_a_while();
	assert_int_equal(fake.done_count, 0);
	out_fake_release();
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	run_a_while();
	assert_int_equal(server.message_count, 1);
}

static void a_connection_takes_no_message_before_the_last_outcome_is_written(void **state)
{
	(void)state;
	conf.outbound.connections = 1;
	fake.hold_states = 1;
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n");
	deliver(1);
	deliver(2);
	run_a_while();
	assert_int_equal(server.message_count, 1);
	fake.hold_states = 0;
	out_fake_release();
	run_until_done(2);
	assert_int_equal(server.message_count, 2);
}

static void lost_after_the_dot_defers_and_says_so(void **state)
{
	(void)state;
	out_server_rule(&server, "DOT", 1, "CLOSE");
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_LOST, 0);
	assert_non_null(strstr(log_text, "event=delivery-doubt"));
}

static void silence_after_the_dot_is_endured_for_ten_minutes(void **state)
{
	(void)state;
	out_server_rule(&server, "DOT", 1, NULL);
	message(1, 1, "hi\r\n");
	deliver(1);
	wait_for(599 * CLOCK_SEC);
	assert_int_equal(fake.done_count, 0);
	wait_for(2 * CLOCK_SEC);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TIMEOUT, 0);
}

static void a_slow_reader_that_makes_progress_is_not_given_up(void **state)
{
	enum { SIZE = 48 * 1024 * 1024 };
	char *body = long_body(SIZE);

	(void)state;
	message(1, 1, body);
	server.slow = 1;
	deliver(1);
	for (int i = 0; i < 5; i++) { /* far over the three minutes that a block may take */
		run_turns(2000);
		clock_advance(100 * CLOCK_SEC);
		run_turns(10);
		assert_int_equal(fake.done_count, 0);
		out_server_read_on(&server);
	}
	server.slow = 0;
	out_server_read_on(&server);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.messages[0].size, SIZE);
	free(body);
}

static void a_reader_that_stops_is_given_up_after_three_minutes(void **state)
{
	enum { SIZE = 24 * 1024 * 1024 };
	char *body = long_body(SIZE);

	(void)state;
	message(1, 1, body);
	server.slow = 1;
	deliver(1);
	wait_for(170 * CLOCK_SEC);
	assert_int_equal(fake.done_count, 0);
	wait_for(20 * CLOCK_SEC);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TIMEOUT, 0);
	free(body);
}

static void a_server_that_never_greets_is_endured_for_five_minutes(void **state)
{
	(void)state;
	out_server_rule(&server, "GREETING", 0, NULL);
	message(1, 1, "hi\r\n");
	deliver(1);
	wait_for(299 * CLOCK_SEC);
	assert_int_equal(fake.done_count, 0);
	wait_for(2 * CLOCK_SEC);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TIMEOUT, 0);
}

static void a_message_that_breaks_off_is_never_ended_with_a_dot(void **state)
{
	static const int errs[] = {ERR_DAMAGED, ERR_AUTH, ERR_AWAY, ERR_IO};
	static const int reasons[] = {QUEUE_DAMAGED, QUEUE_DAMAGED, QUEUE_KEYD, QUEUE_LOCAL};
	struct out_fake_message *m = message(1, 1, "first line\r\nsecond line\r\n");

	(void)state;
	m->piece = 12;
	m->read_err_at = 12;
	for (unsigned i = 0; i < 4; i++) {
		m->read_err = errs[i];
		deliver(1);
		run_until_done(i + 1);
		assert_result(i, 0, SPOOL_DEFERRED, reasons[i], 0);
		run_a_while();
	}
	assert_int_equal(server.message_count, 0);
	assert_int_equal(server.cut, 4);
	assert_non_null(strstr(log_text, "event=message-damaged"));
}

static void an_end_that_does_not_verify_is_never_ended_with_a_dot(void **state)
{
	struct out_fake_message *m = message(1, 1, "all of it\r\n");

	(void)state;
	m->read_err = ERR_AUTH;
	m->read_err_at = m->size;
	deliver(1);
	run_until_done(1);
	run_a_while();
	assert_int_equal(server.message_count, 0);
	assert_int_equal(server.cut, 1);
}

static void keyd_away_defers_and_the_connection_stays(void **state)
{
	(void)state;
	message(1, 1, "hi\r\n")->open_err = ERR_AWAY;
	message(2, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_KEYD, 0);
	deliver(2);
	run_until_done(2);
	assert_result(1, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.accepted, 1);
}

static void an_outcome_that_cannot_be_written_is_tried_again(void **state)
{
	(void)state;
	fake.state_errs = 3;
	message(1, 1, "hi\r\n");
	deliver(1);
	for (int i = 0; i < 5; i++)
		wait_for(CLOCK_SEC);
	run_until_done(1);
	assert_int_equal(fake.state_count, 1);
	assert_null(strstr(log_text, "outcome-unwritten"));
}

static void an_outcome_that_can_never_be_written_is_told_all_the_same(void **state)
{
	(void)state;
	fake.state_errs = 100;
	message(1, 1, "hi\r\n");
	deliver(1);
	for (int i = 0; i < 6; i++)
		wait_for(CLOCK_SEC);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(log_text, "event=outcome-unwritten"));
	assert_int_equal(server.message_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    OUT_WORLD_TEST(a_used_connection_that_was_closed_is_replaced),
	    OUT_WORLD_TEST(a_connection_that_ends_while_the_message_is_opened_is_replaced),
	    OUT_WORLD_TEST(a_server_that_takes_leave_behind_its_ehlo_is_told_as_it_spoke),
	    OUT_WORLD_TEST(a_server_that_talks_on_behind_its_ehlo_breaks_the_protocol),
	    OUT_WORLD_TEST(a_connection_that_ends_while_the_outcome_is_written_changes_nothing),
	    OUT_WORLD_TEST(a_connection_takes_no_message_before_the_last_outcome_is_written),
	    OUT_WORLD_TEST(lost_after_the_dot_defers_and_says_so),
	    OUT_WORLD_TEST(silence_after_the_dot_is_endured_for_ten_minutes),
	    OUT_WORLD_TEST(a_slow_reader_that_makes_progress_is_not_given_up),
	    OUT_WORLD_TEST(a_reader_that_stops_is_given_up_after_three_minutes),
	    OUT_WORLD_TEST(a_server_that_never_greets_is_endured_for_five_minutes),
	    OUT_WORLD_TEST(a_message_that_breaks_off_is_never_ended_with_a_dot),
	    OUT_WORLD_TEST(an_end_that_does_not_verify_is_never_ended_with_a_dot),
	    OUT_WORLD_TEST(keyd_away_defers_and_the_connection_stays),
	    OUT_WORLD_TEST(an_outcome_that_cannot_be_written_is_tried_again),
	    OUT_WORLD_TEST(an_outcome_that_can_never_be_written_is_told_all_the_same),
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
