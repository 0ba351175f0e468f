/* SPDX-License-Identifier: Apache-2.0 */
/* Which reports a message causes, through the whole of outgoing mail: NOTIFY, RET, delays. */
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
	conf.bounce.full = 0;
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
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
