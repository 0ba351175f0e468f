/* SPDX-License-Identifier: Apache-2.0 */
/* Which reports a message causes, through the whole of outgoing mail: NOTIFY, RET, delays. */
#include "relay/bounce/bounce_verp.h"
#include "relay/out/out_bounce.h"
#include "test/unit/out_world.h"

static char body[] = "Subject: mine\r\n\r\nsecret body\r\n";

static struct out_fake_message *asked(uint32_t notify, int flags)
{
	struct out_fake_message *m = message(1, 1, body);

	m->envelope.recipients[0].notify = notify;
	m->envelope.flags = flags;
	return m;
}

static int teardown(void **state)
{
	if (fake.messages[0].envelope.recipients)
		fake.messages[0].envelope.recipients[0].notify = 0;
	conf.bounce.full = conf.bounce.verp = 0;
	conf.bounce.domain = NULL;
	return out_world_teardown(state);
}

static void refuse(void)
{
	out_server_rule(&server, "RCPT", 0, "550 5.1.1 unknown");
}

static void notify_never_means_never(void **state)
{
	(void)state;
	refuse();
	asked(SPOOL_NOTIFY_NEVER, 0);
	deliver(1);
	run_until_done(1);
	assert_string_equal(fake.trail, "OSJ");
	assert_int_equal(fake.reports, 0);
	assert_non_null(strstr(log_text, "event=bounced n=1"));
	assert_non_null(strstr(log_text, "class=bad-mailbox"));
	assert_non_null(strstr(log_text, "dsn=none"));
}

static void a_success_is_told_to_who_asked(void **state)
{
	(void)state;
	asked(SPOOL_NOTIFY_SUCCESS, 0);
	deliver(1);
	run_until_done(1);
	assert_string_equal(fake.trail, "ODSJ");
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(fake.report, "Action: relayed\r\n"));
	assert_null(strstr(fake.report, "secret body"));
}

static void a_success_without_its_report_is_still_one(void **state)
{
	(void)state;
	asked(SPOOL_NOTIFY_SUCCESS, 0);
	fake.commit_err = ERR_NOSPACE;
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(log_text, "event=dsn-failed"));
}

static void a_failure_returns_what_was_asked_for(void **state)
{
	static const struct {
		int flags, full, whole;
	} cases[] = {{0, 0, 0},
		     {0, 1, 1},
		     {SPOOL_RET_FULL, 0, 1},
		     {SPOOL_RET_HDRS, 1, 0},
		     {SPOOL_RET_HDRS, 0, 0}};

	(void)state;
	refuse();
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		asked(0, cases[i].flags);
		conf.bounce.full = cases[i].full;
		deliver(1);
		run_until_done(i + 1);
		assert_non_null(strstr(fake.report, "Subject: mine\r\n"));
		assert_int_equal(strstr(fake.report, "secret body\r\n") != NULL, cases[i].whole);
		assert_int_equal(strstr(fake.report, "message/rfc822") != NULL, cases[i].whole);
	}
}

static void a_large_message_is_returned_by_its_headers(void **state)
{
	char *large = long_body(OUT_BOUNCE_FULL + 1);
	struct out_fake_message *m;

	(void)state;
	refuse();
	memcpy(large, "Subject: mine\r\n\r\n", 17);
	m = message(1, 1, large);
	m->envelope.flags = SPOOL_RET_FULL;
	deliver(1);
	run_until_done(1);
	assert_non_null(strstr(fake.report, "text/rfc822-headers"));
	assert_true(strlen(fake.report) < 10000);
	free(large);
}

static void a_delay_is_told_once_and_nothing_else_happens(void **state)
{
	(void)state;
	message(1, 2, body);
	out_fake_job(&worker, QUEUE_DELAY, 1, "there.test");
	run_until_done(1);
	assert_string_equal(fake.trail, "ODJ");
	assert_int_equal(fake.reports, 1);
	assert_int_equal(fake.done[0].err, 0);
	assert_result(0, 0, SPOOL_DEFERRED, ANY, 451);
	assert_result(0, 1, SPOOL_DEFERRED, ANY, 451);
	assert_string_equal(fake.done[0].results[0].reply, "4.7.1 last answer");
	assert_int_equal(server.accepted, 0);
	assert_non_null(strstr(fake.report, "Action: delayed\r\nStatus: 4.7.1\r\n"));
	assert_non_null(strstr(log_text, "event=dsn-queued"));
	assert_null(strstr(log_text, "event=deferred"));
}

static void who_does_not_want_to_hear_of_delays_does_not(void **state)
{
	(void)state;
	asked(SPOOL_NOTIFY_FAILURE, 0);
	out_fake_job(&worker, QUEUE_DELAY, 1, "there.test");
	run_until_done(1);
	assert_int_equal(fake.reports, 0);
	assert_int_equal(fake.done[0].err, 0);
}

static void a_delay_that_cannot_be_told_comes_back_with_the_reason(void **state)
{
	(void)state;
	message(1, 1, body);
	fake.commit_err = ERR_NOSPACE;
	out_fake_job(&worker, QUEUE_DELAY, 1, "there.test");
	run_until_done(1);
	assert_int_equal(fake.done[0].err, ERR_NOSPACE);
	assert_result(0, 0, SPOOL_DEFERRED, ANY, 451);
}

static void a_report_of_ours_is_not_reported_on(void **state)
{
	(void)state;
	refuse();
	asked(0, SPOOL_REPORT);
	deliver(1);
	run_until_done(1);
	assert_int_equal(fake.reports, 0);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_RECIPIENT, 550);
}

/* --- senders of their own (bounce.verp) */

static char verp_domain[] = "b.here.test";

static void verp(void)
{
	conf.bounce.verp = 1;
	conf.bounce.domain = verp_domain;
}

static void each_recipient_gets_a_message_under_a_sender_of_his_own(void **state)
{
	(void)state;
	verp();
	message(1, 70, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_int_equal(server.message_count, 70);
	assert_int_equal(server.accepted, 1); /* over one connection */
	for (unsigned i = 0; i < 70; i++) {
		struct bounce_verp v;
		const char *from = server.messages[i].from, *at = strchr(from, '@');
		assert_result(0, i, SPOOL_DELIVERED, ANY, 250);
		assert_int_equal(server.messages[i].rcpts, 1);
		assert_non_null(at);
		from = strstr(from, "bounce+");
		assert_non_null(from);
		assert_int_equal(bounce_verp_parse(span_of(from, (size_t)(at - from)), &v), 0);
		assert_true(v.id == 1);
		assert_true(bounce_verp_is_of(&v, "acme"));
		assert_non_null(strstr(at, "@b.here.test"));
		assert_true(i == 0 || strcmp(server.messages[i].from, server.messages[i - 1].from) != 0);
	}
	assert_int_equal(strncmp(fake.trail, "OIISSS", 6), 0); /* two batches */
}

static void the_sender_himself_is_told_of_what_fails_here(void **state)
{
	(void)state;
	verp();
	refuse();
	message(1, 1, body);
	deliver(1);
	run_until_done(1);
	assert_string_equal(fake.report_to, "alice@here.test");
}

static void reports_keep_the_null_sender(void **state)
{
	static char none[] = "";

	(void)state;
	verp();
	message(1, 1, "hi\r\n")->envelope.sender = none;
	deliver(1);
	run_until_done(1);
	assert_string_equal(server.messages[0].from, "");
	assert_null(strchr(fake.trail, 'I'));
}

static void without_keyd_nothing_leaves(void **state)
{
	(void)state;
	verp();
	message(1, 2, "hi\r\n");
	fake.index_refused = ERR_LOCKED;
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_KEYD, 0);
	assert_result(0, 1, SPOOL_DEFERRED, QUEUE_KEYD, 0);
	fake.index_refused = 0;
	fake.index_err = ERR_AWAY;
	deliver(1);
	run_until_done(2);
	assert_result(1, 1, SPOOL_DEFERRED, QUEUE_KEYD, 0);
	assert_int_equal(server.message_count, 0);
	assert_int_equal(fake.readers, 0);
}

static void a_connection_that_goes_meanwhile_is_replaced(void **state)
{
	(void)state;
	verp();
	message(1, 1, "hi\r\n");
	fake.hold_index = 1;
	deliver(1);
	run_a_while();
	out_server_hang_up(&server);
	run_a_while();
	fake.hold_index = 0;
	out_fake_release();
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.accepted, 2);
}

static void reports_of_the_next_hop_are_asked_for_by_the_address_here(void **state)
{
	struct out_fake_message *m;

	(void)state;
	verp();
	server.caps = "PIPELINING\nDSN\n";
	m = asked(SPOOL_NOTIFY_SUCCESS, SPOOL_RET_FULL);
	deliver(1);
	run_until_done(1);
	assert_string_equal(server.messages[0].params,
			    " RET=HDRS NOTIFY=FAILURE ORCPT=rfc822;r0@there.test");
	/* who asked for a success hears of it from here */
	assert_int_equal(fake.reports, 1);
	(void)m;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, out_world_setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(notify_never_means_never),
	    T(a_success_is_told_to_who_asked),
	    T(a_success_without_its_report_is_still_one),
	    T(a_failure_returns_what_was_asked_for),
	    T(a_large_message_is_returned_by_its_headers),
	    T(a_delay_is_told_once_and_nothing_else_happens),
	    T(who_does_not_want_to_hear_of_delays_does_not),
	    T(a_delay_that_cannot_be_told_comes_back_with_the_reason),
	    T(a_report_of_ours_is_not_reported_on),
	    T(each_recipient_gets_a_message_under_a_sender_of_his_own),
	    T(the_sender_himself_is_told_of_what_fails_here),
	    T(reports_keep_the_null_sender),
	    T(without_keyd_nothing_leaves),
	    T(a_connection_that_goes_meanwhile_is_replaced),
	    T(reports_of_the_next_hop_are_asked_for_by_the_address_here),
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
