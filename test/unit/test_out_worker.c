/* SPDX-License-Identifier: Apache-2.0 */
/* Other jobs than delivery, and the end of a worker. */
#include "test/unit/out_world.h"
#include "test/unit/policy_fake.h"

static void expired_mail_is_reported_and_written(void **state)
{
	(void)state;
	message(1, 2, "Subject: old\r\n\r\nx\r\n");
	out_fake_job(&worker, QUEUE_EXPIRE, 1, "there.test");
	run_until_done(1);
	assert_string_equal(fake.trail, "ODSJ");
	assert_result(0, 1, SPOOL_EXPIRED, ANY, 451);
	assert_non_null(strstr(
	    fake.report, "Status: 4.4.7\r\nDiagnostic-Code: smtp; 451 4.7.1 last answer\r\n"));
	assert_int_equal(server.accepted, 0);
}

static void expired_mail_that_cannot_be_read_is_ended_loudly(void **state)
{
	(void)state;
	message(1, 1, "hi\r\n")->open_err = ERR_DAMAGED;
	out_fake_job(&worker, QUEUE_EXPIRE, 1, "there.test");
	run_until_done(1);
	assert_string_equal(fake.trail, "SJ");
	assert_result(0, 0, SPOOL_EXPIRED, QUEUE_DAMAGED, 0);
	assert_non_null(strstr(log_text, "event=expired-unreadable"));
}

static void expired_mail_waits_for_keyd(void **state)
{
	(void)state;
	message(1, 1, "hi\r\n")->open_err = ERR_LOCKED;
	out_fake_job(&worker, QUEUE_EXPIRE, 1, "there.test");
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_KEYD, 0);
	assert_int_equal(fake.state_count, 0);
}

static void recovery_gets_the_envelope(void **state)
{
	(void)state;
	message(1, 2, "hi\r\n");
	out_fake_job(&worker, QUEUE_OPEN, 1, "");
	run_until_done(1);
	assert_non_null(fake.done[0].opened);
	assert_int_equal(fake.done[0].opened->count, 2);
	message(2, 2, "hi\r\n")->open_err = ERR_DAMAGED;
	out_fake_job(&worker, QUEUE_OPEN, 2, "");
	run_until_done(2);
	assert_null(fake.done[1].opened);
	assert_int_equal(fake.done[1].err, ERR_DAMAGED);
}

static void an_unknown_kind_of_domain_bounces(void **state)
{
	static char mx[] = "mx";

	(void)state;
	route.to = mx;
	message(1, 1, "hi\r\n");
	out_fake_job(&worker, QUEUE_DELIVER, 1, "[nonsense]");
	run_until_done(1);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_DNS, 0);
}

static const char *site_of(const char *domain)
{
	unsigned n = fake.done_count;

	message(1, 1, "hi\r\n");
	out_fake_job(&worker, QUEUE_RESOLVE, 1, domain);
	run_until_done(n + 1);
	return fake.done[n].site;
}

static void the_queue_learns_which_site_a_domain_belongs_to(void **state)
{
	static const struct out_fake_name names[] = {
	    {"one.test", MX, 0, .data = "10 mx.test"},
	    {"many.test", MX, 0, .data = "20 b.test,10 a.test,20 c.test"},
	    {"same.test", MX, 0, .data = "7 c.test,5 a.test,7 b.test"},
	    {"turned.test", MX, 0, .data = "10 a.test,20 b.test,30 c.test"},
	    {"other.test", MX, 0, .data = "10 a.test,20 b.test,20 d.test"},
	    {"gone.test", MX, ERR_NOTFOUND, .data = NULL},
	    {"away.test", MX, ERR_AWAY, .data = NULL},
	    {.name = NULL}};
	char many[QUEUE_SITE];

	(void)state;
	use_mx(names);
	assert_string_equal(site_of("one.test"), "mx.test");
	assert_int_equal(fake.done[0].site_ttl, 60 * CLOCK_SEC);
	assert_string_equal(site_of("without.test"), "without.test");
	assert_string_equal(site_of("[127.0.0.1]"), "127.0.0.1");
	strcpy(many, site_of("many.test"));
	assert_int_equal(strncmp(many, "a.test+2~", 9), 0);
	assert_int_equal(strlen(many), 29);
	assert_string_equal(site_of("same.test"), many);
	assert_string_not_equal(site_of("turned.test"), many); /* tried in another order */
	assert_string_not_equal(site_of("other.test"), many);
	assert_int_equal(server.accepted, 0);
}

static void a_domain_without_a_site_says_why(void **state)
{
	static const struct out_fake_name names[] = {{"gone.test", MX, ERR_NOTFOUND, .data = NULL},
						     {"away.test", MX, ERR_AWAY, .data = NULL},
						     {.name = NULL}};

	(void)state;
	use_mx(names);
	assert_string_equal(site_of("gone.test"), "");
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_DNS, 0);
	assert_string_equal(site_of("away.test"), "");
	assert_result(1, 0, SPOOL_DEFERRED, QUEUE_DNS, 0);
	assert_string_equal(site_of("[nonsense]"), "");
	assert_result(2, 0, SPOOL_BOUNCED, QUEUE_DNS, 0);
	assert_int_equal(fake.state_count, 0); /* nothing is final, nobody is told */
}

static void a_named_next_hop_is_its_own_site(void **state)
{
	static char hop[] = "Smart.test:587", six[] = "[2001:db8::1]:25";

	(void)state;
	route.to = hop;
	assert_string_equal(site_of("there.test"), hop);
	route.to = six;
	assert_string_equal(site_of("there.test"), six);
}

static void is_done(void *arg)
{
	++*(int *)arg;
}

static void stopping_refuses_who_waits_and_lets_transactions_end(void **state)
{
	int done = 0;

	(void)state;
	conf.outbound.connections = 1;
	fake.hold_states = 1;
	for (uint64_t id = 1; id <= 3; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
	}
	run_a_while();
	assert_int_equal(server.message_count, 1);
	out_worker_stop(worker.out, 10 * CLOCK_SEC, is_done, &done);
	run_a_while();
	assert_int_equal(fake.done_count, 2);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_LOCAL, 0);
	assert_int_equal(done, 0);
	out_fake_release();
	run_until_done(3);
	assert_result(2, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(done, 1);
	run_a_while();
	assert_int_equal(server.quits, 1);
	deliver(2); /* too late */
	run_until_done(4);
	assert_result(3, 0, SPOOL_DEFERRED, QUEUE_LOCAL, 0);
	assert_int_equal(done, 1);
}

static void stopping_waits_for_no_policy(void **state)
{
	static const struct out_fake_name names[] = {
	    {.name = "there.test", .type = MX, .data = "10 mx.there.test"},
	    {.name = "mx.there.test", .type = A, .data = "127.0.0.1"},
	    {0}};
	int done = 0;

	(void)state;
	use_mx(names);
	policy_fake.hold = 1;
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n");
	deliver(1);
	deliver(2);
	run_a_while();
	assert_int_equal(policy_fake.asked, 1);
	assert_int_equal(fake.done_count, 0);
	out_worker_stop(worker.out, 10 * CLOCK_SEC, is_done, &done);
	run_until_done(2);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_LOCAL, 0);
	assert_int_equal(done, 1);
	assert_int_equal(server.message_count, 0);
}

static void stopping_breaks_off_after_the_grace(void **state)
{
	int done = 0;

	(void)state;
	out_server_rule(&server, "DOT", 1, NULL);
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n")->hold_open = 1;
	deliver(1);
	deliver(2);
	run_a_while();
	out_worker_stop(worker.out, 10 * CLOCK_SEC, is_done, &done);
	wait_for(9 * CLOCK_SEC);
	assert_int_equal(done, 0);
	wait_for(2 * CLOCK_SEC);
	assert_int_equal(done, 1);
	assert_int_equal(fake.done_count, 2);
}

static void stopping_with_nothing_to_do_is_at_once(void **state)
{
	int done = 0;

	(void)state;
	out_worker_stop(worker.out, 10 * CLOCK_SEC, is_done, &done);
	assert_int_equal(done, 1);
}

static void freeing_in_the_middle_of_everything_leaves_nothing(void **state)
{
	(void)state;
	out_server_rule(&server, "DOT", 1, NULL);
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n")->hold_open = 1;
	deliver(1);
	deliver(2);
	run_a_while();
	out_worker_free(worker.out);
	worker.out = NULL;
	assert_int_equal(fake.done_count, 2);
	assert_int_equal(fake.readers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    OUT_WORLD_TEST(expired_mail_is_reported_and_written),
	    OUT_WORLD_TEST(expired_mail_that_cannot_be_read_is_ended_loudly),
	    OUT_WORLD_TEST(expired_mail_waits_for_keyd),
	    OUT_WORLD_TEST(recovery_gets_the_envelope),
	    OUT_WORLD_TEST(an_unknown_kind_of_domain_bounces),
	    OUT_WORLD_TEST(the_queue_learns_which_site_a_domain_belongs_to),
	    OUT_WORLD_TEST(a_domain_without_a_site_says_why),
	    OUT_WORLD_TEST(a_named_next_hop_is_its_own_site),
	    OUT_WORLD_TEST(stopping_refuses_who_waits_and_lets_transactions_end),
	    OUT_WORLD_TEST(stopping_waits_for_no_policy),
	    OUT_WORLD_TEST(stopping_breaks_off_after_the_grace),
	    OUT_WORLD_TEST(stopping_with_nothing_to_do_is_at_once),
	    OUT_WORLD_TEST(freeing_in_the_middle_of_everything_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
