/* SPDX-License-Identifier: Apache-2.0 */
/* What shaping says counts, mail leaves by its source, and domains of one site share connections. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/out/out_conn.h"
#include "test/unit/lane_fake.h"
#include "test/unit/out_world.h"

static struct shape_lane lane;

static int setup(void **state)
{
	int rc = out_world_setup(state);

	lane_fake_lane(&lane);
	fake.lane = &lane;
	return rc;
}

static int teardown(void **state)
{
	int rc = out_world_teardown(state);

	assert_int_equal(lane.refs, 0);
	assert_int_equal(lane.connections, 0); /* every permit was given back */
	return rc;
}

static void deliver_many(unsigned n)
{
	for (uint64_t id = 1; id <= n; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
	}
}

static void no_more_connections_are_made_than_the_lane_has_permits(void **state)
{
	(void)state;
	lane.limits.connections = 2;
	deliver_many(20);
	run_until_done(20);
	assert_int_equal(server.message_count, 20);
	assert_int_equal(lane.connections_max, 2);
	assert_int_equal(lane.good, 20);
	assert_int_equal(lane.messages, 20);
}

static void without_a_permit_the_job_goes_back_untried(void **state)
{
	(void)state;
	lane.connections = 4; /* other workers have them */
	deliver_many(2);
	run_until_done(2);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_CONNECTIONS, 0);
	assert_result(1, 0, SPOOL_DEFERRED, QUEUE_CONNECTIONS, 0);
	assert_int_equal(server.accepted, 0);
	assert_string_equal(fake.trail, "JJ");
	assert_null(strstr(log_text, "event=deferred"));
	lane.wait = 3600 * CLOCK_SEC;
	deliver(1);
	run_until_done(3);
	assert_result(2, 0, SPOOL_DEFERRED, QUEUE_BACKOFF, 0);
	lane.connections = 0;
}

static void a_rate_sends_back_what_may_not_go_now(void **state)
{
	(void)state;
	lane.limits.connections = 1;
	lane.most_messages = 3;
	lane.refusal = QUEUE_WARMUP;
	deliver_many(5);
	run_until_done(5);
	assert_int_equal(server.message_count, 3);
	assert_result(3, 0, SPOOL_DEFERRED, QUEUE_WARMUP, 0);
	assert_result(4, 0, SPOOL_DEFERRED, QUEUE_WARMUP, 0);
	assert_int_equal(server.accepted, 1);
	assert_int_equal(fake.state_count, 3);
}

static void a_permit_that_was_not_used_is_given_back(void **state)
{
	(void)state;
	deliver_many(1);
	run_until_done(1);
	run_a_while();
	out_server_hang_up(&server); /* we see it only when we speak, or at once: no message is lost */
	message(2, 1, "hi\r\n");
	deliver(2);
	run_until_done(2);
	assert_int_equal(server.message_count, 2);
	assert_int_equal(lane.messages, 2);
	assert_int_equal(lane.good, 2);
}

static void messages_and_recipients_are_as_the_lane_says(void **state)
{
	(void)state;
	lane.limits.messages = 2;
	lane.limits.recipients = 3;
	lane.limits.connections = 1;
	message(1, 8, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_int_equal(server.message_count, 3);
	assert_int_equal(server.messages[0].rcpts, 3);
	assert_int_equal(server.messages[2].rcpts, 2);
	assert_int_equal(server.accepted, 2);
	assert_int_equal(lane.messages, 3);
	for (unsigned i = 0; i < 8; i++)
		assert_result(0, i, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(fake.state_count, 8);
}

static void every_refusal_is_heard_in_full(void **state)
{
	char reply[480], want[480];

	(void)state;
	snprintf(reply, sizeof(reply), "450-4.7.28 %0200d\n450 4.7.28 see https://there.test/rate", 7);
	snprintf(want, sizeof(want), "4.7.28 %0200d see https://there.test/rate", 7);
	out_server_rule(&server, "RCPT", 2, reply);
	message(1, 3, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_int_equal(lane.heard, 1);
	assert_int_equal(lane.code, 450);
	assert_non_null(strstr(lane.text, "see https://there.test/rate"));
	assert_int_equal(strncmp(lane.text, want, 207), 0);
	assert_int_equal(lane.good, 1);
}

static void a_pattern_may_close_the_connection(void **state)
{
	(void)state;
	out_server_rule(&server, "RCPT", 1, "450 4.7.0 slowly");
	lane.act = SHAPE_CLOSE;
	deliver_many(1);
	run_until_done(1);
	run_a_while();
	assert_int_equal(lane.heard, 1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_RECIPIENT, 450);
	assert_int_equal(server.quits, 1);
	assert_int_equal(server.open, 0);
}

static void a_pattern_may_make_a_refusal_final(void **state)
{
	(void)state;
	out_server_rule(&server, "RCPT", 1, "450 4.2.1 mailbox disabled");
	lane.act = SHAPE_BOUNCE;
	deliver_many(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_RECIPIENT, 450);
	assert_non_null(strstr(fake.report, "mailbox disabled"));
}

static void what_gets_lost_is_told(void **state)
{
	static char nobody[] = "127.0.0.2:1";

	(void)state;
	out_server_rule(&server, "DATA", 1, "CLOSE");
	deliver_many(1);
	run_until_done(1);
	run_a_while();
	assert_int_equal(lane.lost, 1);
	route.to = nobody;
	deliver(1);
	run_until_done(2);
	assert_int_equal(lane.lost, 2);
	assert_int_equal(lane.used, 1);
	assert_int_equal(lane.opened, 2);
}

static void a_rule_may_demand_more_tls_than_the_route(void **state)
{
	(void)state;
	lane.limits.tls = RELAY_TLS_ENCRYPT;
	deliver_many(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	assert_int_equal(server.message_count, 0);
}

/* --- sources */

static void mail_leaves_by_its_source_and_under_its_name(void **state)
{
	(void)state;
	lane_fake_bind(&lane, "mta1", "mta1.here.test", "127.0.0.3");
	deliver_many(1);
	run_until_done(1);
	assert_string_equal(server.messages[0].client, "127.0.0.3");
	assert_string_equal(server.messages[0].helo, "mta1.here.test");
	assert_non_null(strstr(log_text, "source=mta1"));
	assert_non_null(strstr(fake.states[0].detail, "source=mta1\n"));
}

static void a_source_that_is_not_of_this_host_is_said(void **state)
{
	(void)state;
	lane_fake_bind(&lane, "mta1", "mta1.here.test", "192.0.2.7");
	deliver_many(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_CONNECT, 0);
	assert_non_null(strstr(log_text, "event=source-unusable source=mta1"));
}

static void a_source_without_an_address_of_the_family_leaves_the_host_out(void **state)
{
	static const struct out_fake_name names[] = {
	    {"there.test", MX, 0, .data = "10 six.test,20 four.test"},
	    {"six.test", OUT_DNSMSG_AAAA, 0, .data = "2001:db8::1"},
	    {"four.test", A, 0, .data = "127.0.0.1"},
	    {.name = NULL}};

	(void)state;
	use_mx(names);
	lane_fake_bind(&lane, "mta1", "mta1.here.test", "127.0.0.3");
	deliver_many(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(atomic_load(&relay.count.connections_out), 1);
	fake.names = names + 1; /* no MX: "there.test" has no address at all */
}

static void an_ipv6_that_is_silent_costs_half_a_second(void **state)
{
	static struct relay_net nets[2] = {{{[10] = 0xff, [11] = 0xff, [12] = 127}, 104},
					   {{[15] = 1}, 128}};
	static const struct out_fake_name names[] = {{"there.test", MX, 0, .data = "10 mx.test"},
						     {"mx.test", OUT_DNSMSG_AAAA, 0, .data = "::1"},
						     {"mx.test", A, 0, .data = "127.0.0.1"},
						     {.name = NULL}};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int deaf = socket(AF_INET6, SOCK_STREAM, 0), fill[3];

	(void)state;
	six.sin6_port = htons(server.port);
	if (deaf < 0 || bind(deaf, (struct sockaddr *)&six, sizeof(six)) < 0 || listen(deaf, 0) < 0) {
		if (deaf >= 0)
			close(deaf);
		skip(); /* no IPv6 here */
	}
	for (int i = 0; i < 3; i++) { /* its backlog is full: more get no answer */
		fill[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(fill[i], (struct sockaddr *)&six, sizeof(six));
	}
	conf.outbound.private_nets = nets;
	conf.outbound.private_count = 2;
	use_mx(names);
	deliver_many(1);
	run_a_while();
	assert_int_equal(server.accepted, 0);
	clock_advance(OUT_CONN_HURRY);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	lane.limits.messages = 1; /* the next one goes by a new connection: IPv4 at once */
	message(2, 1, "hi\r\n");
	deliver(2);
	run_until_done(2);
	message(3, 1, "hi\r\n");
	deliver(3);
	run_until_done(3);
	assert_int_equal(server.message_count, 3);
	for (int i = 0; i < 3; i++)
		close(fill[i]);
	close(deaf);
}

/* --- sites */

static const struct out_fake_name shared[] = {{"there.test", MX, 0, .data = "10 mx.test"},
					      {"other.test", MX, 0, .data = "10 mx.test"},
					      {"gone.test", MX, ERR_NOTFOUND, .data = NULL},
					      {"mx.test", A, 0, .data = "127.0.0.1"},
					      {.name = NULL}};

static void domains_of_one_site_share_a_connection(void **state)
{
	(void)state;
	use_mx(shared);
	fake.site = "mx.test";
	deliver_many(1);
	run_until_done(1);
	message(2, 1, "hi\r\n");
	out_fake_job(&worker, QUEUE_DELIVER, 2, "other.test");
	run_until_done(2);
	assert_int_equal(server.message_count, 2);
	assert_int_equal(server.accepted, 1);
}

static void a_domain_that_has_moved_goes_back_with_its_new_site(void **state)
{
	(void)state;
	use_mx(shared);
	fake.site = "old.test";
	deliver_many(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_RETRY, 0);
	assert_string_equal(fake.done[0].site, "mx.test");
	assert_int_equal(server.accepted, 0);
	assert_null(strstr(log_text, "event=deferred"));
}

static void an_answer_that_changes_with_every_question_does_not_keep_mail_moving(void **state)
{
	static const struct out_fake_name turned[] = {{"there.test", MX, 0, .data = "10 else.test"},
						      {"else.test", A, 0, .data = "127.0.0.1"},
						      {.name = NULL}};

	(void)state;
	use_mx(shared);
	fake.site = "old.test";
	deliver_many(1);
	run_until_done(1);
	fake.names = turned;
	fake.site = fake.done[0].site;
	deliver(1);
	run_until_done(2);
	assert_result(1, 0, SPOOL_DELIVERED, ANY, 250);
}

static void what_befalls_one_domain_of_a_site_spares_the_others(void **state)
{
	(void)state;
	use_mx(shared);
	fake.site = "mx.test";
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n");
	out_fake_job(&worker, QUEUE_DELIVER, 1, "gone.test");
	out_fake_job(&worker, QUEUE_DELIVER, 2, "other.test");
	run_until_done(2);
	assert_int_equal(fake.done[0].id, 1);
	assert_result(0, 0, SPOOL_BOUNCED, QUEUE_DNS, 0);
	assert_result(1, 0, SPOOL_DELIVERED, ANY, 250);
}

static void lanes_do_not_share_connections(void **state)
{
	static struct shape_lane second;

	(void)state;
	lane_fake_lane(&second);
	lane_fake_bind(&second, "mta2", "mta2.here.test", "127.0.0.4");
	deliver_many(1);
	run_until_done(1);
	fake.lane = &second;
	message(2, 1, "hi\r\n");
	deliver(2);
	run_until_done(2);
	assert_int_equal(server.accepted, 2);
	assert_string_equal(server.messages[1].helo, "mta2.here.test");
	out_worker_free(worker.out); /* before the second lane goes */
	worker.out = NULL;
	assert_int_equal(second.connections + second.refs, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(no_more_connections_are_made_than_the_lane_has_permits),
	    TEST(without_a_permit_the_job_goes_back_untried),
	    TEST(a_rate_sends_back_what_may_not_go_now),
	    TEST(a_permit_that_was_not_used_is_given_back),
	    TEST(messages_and_recipients_are_as_the_lane_says),
	    TEST(every_refusal_is_heard_in_full),
	    TEST(a_pattern_may_close_the_connection),
	    TEST(a_pattern_may_make_a_refusal_final),
	    TEST(what_gets_lost_is_told),
	    TEST(a_rule_may_demand_more_tls_than_the_route),
	    TEST(mail_leaves_by_its_source_and_under_its_name),
	    TEST(a_source_that_is_not_of_this_host_is_said),
	    TEST(a_source_without_an_address_of_the_family_leaves_the_host_out),
	    TEST(an_ipv6_that_is_silent_costs_half_a_second),
	    TEST(domains_of_one_site_share_a_connection),
	    TEST(a_domain_that_has_moved_goes_back_with_its_new_site),
	    TEST(an_answer_that_changes_with_every_question_does_not_keep_mail_moving),
	    TEST(what_befalls_one_domain_of_a_site_spares_the_others),
	    TEST(lanes_do_not_share_connections),
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
