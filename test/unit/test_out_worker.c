/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing mail over real sockets to a server of ours; spool, queue and DNS are played (out_fake). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/relay.h"
#include "test/unit/out_fake.h"
#include "test/unit/out_server.h"
#include "test/unit/pki.h"

enum { A = OUT_DNSMSG_A, MX = OUT_DNSMSG_MX };

static struct relay relay;
static struct relay_worker worker;
static struct relay_conf conf;
static struct relay_route route;
static struct relay_net nets[1] = {{{[10] = 0xff, [11] = 0xff, [12] = 127}, 104}};
static struct out_server server;
static struct pki pki;
static char dir[40], leaf[64], ca[64], to[64];
static SSL_CTX *server_tls;
static char addresses[300][40];
static struct spool_recipient recipients[300];
static char log_text[65536];
static const char *why;

static void capture(void *arg, const char *line)
{
	size_t n = strlen(log_text);

	(void)arg;
	snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
}

/* --- the world */

static int group_setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_out_worker.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(leaf, sizeof(leaf), "%s/leaf.pem", dir);
	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	pki_make(&pki, "EC", "mx.there.test");
	pki_write_leaf(&pki, leaf, 1);
	pki_write_ca(&pki, ca);
	server_tls = evt_tls_server(leaf, pki.key, &why);
	for (int i = 0; i < 300; i++) {
		snprintf(addresses[i], sizeof(addresses[i]), "r%d@there.test", i);
		recipients[i].address = addresses[i];
	}
	return server_tls ? 0 : -1;
}
static int group_teardown(void **state)
{
	(void)state;
	SSL_CTX_free(server_tls);
	pki_clear(&pki);
	unlink(leaf);
	unlink(ca);
	return rmdir(dir);
}

static int setup(void **state)
{
	static char hostname[] = "relay.test", any[] = "*";

	(void)state;
	clock_set(1000 * CLOCK_SEC, INT64_C(1790000000) * CLOCK_SEC);
	log_text[0] = '\0';
	log_capture(capture, NULL);
	memset(&relay, 0, sizeof(relay));
	memset(&worker, 0, sizeof(worker));
	memset(&conf, 0, sizeof(conf));
	worker.relay = &relay;
	worker.loop = evt_loop_new();
	relay.workers = &worker;
	relay.worker_count = 1;
	relay.conf = &conf;
	relay.tls_out = evt_tls_client(NULL, 0, &why);
	relay.tls_out_verify = evt_tls_client(ca, 1, &why);
	out_server_open(&server, worker.loop, "127.0.0.1:0");
	snprintf(to, sizeof(to), "127.0.0.1:%u", server.port);
	route = (struct relay_route){any, to, RELAY_TLS_OPPORTUNISTIC};
	conf.hostname = hostname;
	conf.routes.items = &route;
	conf.routes.count = 1;
	conf.outbound.ca = ca;
	conf.outbound.port = server.port;
	conf.outbound.connections = 4;
	conf.outbound.messages = 100;
	conf.outbound.idle = 10 * CLOCK_SEC;
	conf.outbound.private_nets = nets;
	conf.outbound.private_count = 1;
	out_fake_reset(worker.loop);
	worker.out = out_worker_new(&worker);
	return worker.out ? 0 : -1;
}
static int teardown(void **state)
{
	(void)state;
	out_worker_free(worker.out);
	assert_int_equal(fake.readers, 0);
	assert_int_equal(atomic_load(&relay.count.connections_open), 0);
	out_fake_reset(worker.loop);
	out_server_close(&server);
	evt_loop_free(worker.loop);
	SSL_CTX_free(relay.tls_out);
	SSL_CTX_free(relay.tls_out_verify);
	log_capture(NULL, NULL);
	clock_restore();
	return 0;
}

/* Message id with so many recipients. */
static struct out_fake_message *message(uint64_t id, unsigned count, const char *body)
{
	static char customer[] = "acme", sender[] = "alice@here.test", none[] = "";
	struct out_fake_message *m = &fake.messages[id - 1];

	m->envelope = (struct spool_envelope){.customer = customer, .sender = sender, .client = none, .tls = none,
					      .recipients = recipients, .count = count,
					      .created = clock_wall()};
	m->body = body;
	m->size = strlen(body);
	return m;
}
static void run_until_done(unsigned jobs)
{
	for (int i = 0; i < 3000 && fake.done_count < jobs; i++)
		evt_loop_turn(worker.loop, 1000);
	assert_int_equal(fake.done_count, jobs);
}
static void run_a_while(void)
{
	for (int i = 0; i < 60; i++)
		evt_loop_turn(worker.loop, i % 10 ? 0 : 1000);
}
static void run_turns(int n)
{
	while (n--)
		evt_loop_turn(worker.loop, n % 10 ? 0 : 100);
}
static void wait_for(int64_t usec)
{
	run_a_while();
	clock_advance(usec);
	run_a_while();
}
static void deliver(uint64_t id)
{
	out_fake_job(&worker, QUEUE_DELIVER, id, "there.test");
}
static void assert_result(unsigned job, unsigned i, int outcome, int reason, unsigned code)
{
	const struct queue_result *r = &fake.done[job].results[i];

	if (r->outcome != outcome || (reason >= 0 && r->reason != reason) || r->code != code)
		fail_msg("recipient %u: outcome %u reason %u code %u %s", i, r->outcome, r->reason, r->code,
			 r->reply);
}
#define ANY (-1)

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

static void envelope_and_body_leave_in_one_piece_each(void **state)
{
	static char body[4097];

	(void)state;
	memset(body, 'x', 4096);
	memcpy(body + 4094, "\r\n", 2);
	for (int i = 76; i + 1 < 4094; i += 78)
		memcpy(body + i, "\r\n", 2);
	message(1, 3, body);
	deliver(1);
	run_until_done(1);
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
	char *body = malloc(SIZE + 1);
	uint32_t sum = 0;

	(void)state;
	for (int i = 0; i < SIZE; i++)
		body[i] = (char)("0123456789.abcdef"[(i * 7 + i / 1000) % 17]);
	for (int i = 70; i + 1 < SIZE; i += 72)
		memcpy(body + i, "\r\n", 2);
	memcpy(body + SIZE - 2, "\r\n", 3);
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

/* --- hosts */

static const struct out_fake_name two_hosts[] = {{"there.test", MX, 0, "10 first.test,20 second.test"},
						 {"first.test", A, 0, "127.0.0.2"},
						 {"second.test", A, 0, "127.0.0.1"},
						 {NULL, 0, 0, NULL}};

static const struct out_fake_name two_hosts_turned[] = {{"there.test", MX, 0, "20 first.test,10 second.test"},
							{"first.test", A, 0, "127.0.0.2"},
							{"second.test", A, 0, "127.0.0.1"},
							{NULL, 0, 0, NULL}};

static void use_mx(const struct out_fake_name *names)
{
	static char mx[] = "mx";

	route.to = mx;
	fake.names = names;
}

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
	assert_non_null(strstr(log_text, "event=deferred n=2 host=- tls=none"));
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
	static const struct out_fake_name names[] = {{"there.test", MX, ERR_NOTFOUND, NULL}, {NULL, 0, 0, NULL}};

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
	static const struct out_fake_name names[] = {{"there.test", MX, ERR_AWAY, NULL}, {NULL, 0, 0, NULL}};

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

/* --- TLS */

static void offered_tls_is_used_and_told(void **state)
{
	(void)state;
	server.tls = server_tls;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_int_equal(server.messages[0].tls, 1);
	assert_non_null(strstr(fake.states[0].detail, "tls=TLSv1.3\ncipher=TLS_AES_256_GCM_SHA384\ngroup=x25519\nverified=no\n"));
	assert_non_null(strstr(log_text, "tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 verified=no"));
	assert_int_equal(atomic_load(&relay.count.tls_out), 1);
}

static void the_next_connection_resumes_the_session(void **state)
{
	(void)state;
	server.tls = server_tls;
	conf.outbound.messages = 1;
	for (uint64_t id = 1; id <= 3; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
		run_until_done((unsigned)id);
	}
	assert_int_equal(server.handshakes, 3);
	assert_int_equal(server.resumed, 2);
	assert_non_null(strstr(fake.states[2].detail, "resumed=yes"));
}

static void a_broken_handshake_is_followed_by_a_tls_1_2_hello(void **state)
{
	(void)state;
	server.tls = server_tls;
	server.break_handshakes = 1;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(fake.states[0].detail, "tls=TLSv1.2\n"));
	assert_non_null(strstr(log_text, "event=tls-fallback host=127.0.0.1 from=full to=1.2"));
}

static void twice_broken_goes_in_clear_only_where_policy_allows(void **state)
{
	(void)state;
	server.tls = server_tls;
	server.break_handshakes = 2;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.messages[0].tls, 0);
	assert_non_null(strstr(fake.states[0].detail, "tls=none\nclear=broken\n"));
	assert_non_null(strstr(log_text, "event=tls-fallback host=127.0.0.1 from=1.2 to=clear"));
}

static void a_broken_host_is_not_asked_for_tls_again_at_once(void **state)
{
	(void)state;
	server.tls = server_tls;
	server.break_handshakes = 100;
	conf.outbound.messages = 1;
	for (uint64_t id = 1; id <= 2; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
		run_until_done((unsigned)id);
	}
	assert_int_equal(server.accepted, 4);
	wait_for(11 * 60 * CLOCK_SEC); /* then it gets another chance */
	server.break_handshakes = 0;
	deliver(1);
	run_until_done(3);
	assert_int_equal(server.messages[2].tls, 1);
}

static void encrypt_never_goes_in_clear(void **state)
{
	(void)state;
	route.tls = RELAY_TLS_ENCRYPT;
	server.tls = server_tls;
	server.break_handshakes = 100;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	assert_int_equal(server.accepted, 2);
	server.tls = NULL; /* now it hides STARTTLS */
	deliver(1);
	run_until_done(2);
	assert_result(1, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	server.tls = server_tls;
	out_server_rule(&server, "STARTTLS", 0, "454 4.7.0 not now");
	deliver(1);
	run_until_done(3);
	assert_result(2, 0, SPOOL_DEFERRED, QUEUE_TLS, 454);
	assert_int_equal(server.verbs[4], 0); /* MAIL was never said */
}

static void encrypt_takes_any_certificate(void **state)
{
	(void)state;
	route.tls = RELAY_TLS_ENCRYPT;
	server.tls = server_tls;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.messages[0].tls, 1);
}

static const struct out_fake_name right_name[] = {{"there.test", MX, 0, "10 mx.there.test"},
						  {"mx.there.test", A, 0, "127.0.0.1"},
						  {NULL, 0, 0, NULL}};
static const struct out_fake_name wrong_name[] = {{"there.test", MX, 0, "10 other.there.test"},
						  {"other.there.test", A, 0, "127.0.0.1"},
						  {NULL, 0, 0, NULL}};

static void verify_delivers_to_the_name_in_the_certificate(void **state)
{
	(void)state;
	use_mx(right_name);
	route.tls = RELAY_TLS_VERIFY;
	server.tls = server_tls;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(fake.states[0].detail, "verified=yes\n"));
}

static void verify_defers_where_the_name_is_another_and_does_not_ask_twice(void **state)
{
	(void)state;
	use_mx(wrong_name);
	route.tls = RELAY_TLS_VERIFY;
	server.tls = server_tls;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.message_count, 0);
}

static void a_session_without_verification_is_not_resumed_where_it_is_asked_for(void **state)
{
	(void)state;
	use_mx(wrong_name);
	server.tls = server_tls;
	conf.outbound.messages = 1;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	route.tls = RELAY_TLS_VERIFY;
	deliver(1);
	run_until_done(2);
	assert_result(1, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
}

static void a_reply_forged_behind_starttls_ends_the_connection(void **state)
{
	(void)state;
	server.tls = server_tls;
	out_server_rule(&server, "STARTTLS", 0, "220 go\n250-mx\n250 PIPELINING");
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	assert_int_equal(server.accepted, 1);
	assert_non_null(strstr(log_text, "event=starttls-injection"));
}

static void starttls_refused_goes_in_clear_where_policy_allows(void **state)
{
	(void)state;
	server.tls = server_tls;
	out_server_rule(&server, "STARTTLS", 0, "454 4.7.0 not now");
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(fake.states[0].detail, "tls=none\nclear=refused\n"));
	assert_int_equal(server.accepted, 1);
}

/* --- things that break */

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
	char *body = malloc(SIZE + 1);

	(void)state;
	memset(body, 'x', SIZE);
	for (int i = 70; i + 1 < SIZE; i += 72)
		memcpy(body + i, "\r\n", 2);
	memcpy(body + SIZE - 2, "\r\n", 3);
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
	char *body = malloc(SIZE + 1);

	(void)state;
	memset(body, 'x', SIZE);
	for (int i = 70; i + 1 < SIZE; i += 72)
		memcpy(body + i, "\r\n", 2);
	memcpy(body + SIZE - 2, "\r\n", 3);
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

/* --- other jobs, and the end */

static void expired_mail_is_reported_and_written(void **state)
{
	(void)state;
	message(1, 2, "Subject: old\r\n\r\nx\r\n");
	out_fake_job(&worker, QUEUE_EXPIRE, 1, "there.test");
	run_until_done(1);
	assert_string_equal(fake.trail, "ODSJ");
	assert_result(0, 1, SPOOL_EXPIRED, ANY, 451);
	assert_non_null(strstr(fake.report, "Status: 4.4.7\r\nDiagnostic-Code: smtp; 451 4.7.1 last answer\r\n"));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_message_arrives_as_it_was),
	    TEST(the_outcome_is_written_before_the_queue_hears_of_it),
	    TEST(envelope_and_body_leave_in_one_piece_each),
	    TEST(a_connection_is_used_again),
	    TEST(an_idle_connection_says_quit),
	    TEST(a_connection_ends_after_its_number_of_messages),
	    TEST(no_more_connections_are_made_than_allowed),
	    TEST(a_worker_takes_its_share_of_the_connections),
	    TEST(a_long_message_streams_and_arrives_intact),
	    TEST(many_recipients_go_in_several_transactions_of_one_message),
	    TEST(a_refused_recipient_is_reported_before_its_outcome_is_written),
	    TEST(the_null_sender_is_never_reported_to),
	    TEST(without_its_report_a_failure_is_not_final),
	    TEST(a_deferred_recipient_is_left_to_the_queue),
	    TEST(a_connection_is_good_after_a_refusal),
	    TEST(the_next_host_takes_what_the_first_cannot),
	    TEST(a_host_that_failed_a_moment_ago_is_tried_last),
	    TEST(nobody_listening_defers),
	    TEST(all_who_wait_hear_that_the_host_is_dead),
	    TEST(a_dead_host_is_probed_by_one_connection),
	    TEST(greetings_of_5xx_everywhere_bounce),
	    TEST(a_5xx_greeting_beside_a_dead_host_only_defers),
	    TEST(a_domain_that_does_not_exist_bounces_without_a_connection),
	    TEST(a_lookup_that_fails_defers),
	    TEST(an_mx_inside_our_network_is_refused),
	    TEST(offered_tls_is_used_and_told),
	    TEST(the_next_connection_resumes_the_session),
	    TEST(a_broken_handshake_is_followed_by_a_tls_1_2_hello),
	    TEST(twice_broken_goes_in_clear_only_where_policy_allows),
	    TEST(a_broken_host_is_not_asked_for_tls_again_at_once),
	    TEST(encrypt_never_goes_in_clear),
	    TEST(encrypt_takes_any_certificate),
	    TEST(verify_delivers_to_the_name_in_the_certificate),
	    TEST(verify_defers_where_the_name_is_another_and_does_not_ask_twice),
	    TEST(a_session_without_verification_is_not_resumed_where_it_is_asked_for),
	    TEST(a_reply_forged_behind_starttls_ends_the_connection),
	    TEST(starttls_refused_goes_in_clear_where_policy_allows),
	    TEST(a_used_connection_that_was_closed_is_replaced),
	    TEST(a_connection_that_ends_while_the_message_is_opened_is_replaced),
	    TEST(a_connection_that_ends_while_the_outcome_is_written_changes_nothing),
	    TEST(a_connection_takes_no_message_before_the_last_outcome_is_written),
	    TEST(lost_after_the_dot_defers_and_says_so),
	    TEST(silence_after_the_dot_is_endured_for_ten_minutes),
	    TEST(a_slow_reader_that_makes_progress_is_not_given_up),
	    TEST(a_reader_that_stops_is_given_up_after_three_minutes),
	    TEST(a_server_that_never_greets_is_endured_for_five_minutes),
	    TEST(a_message_that_breaks_off_is_never_ended_with_a_dot),
	    TEST(an_end_that_does_not_verify_is_never_ended_with_a_dot),
	    TEST(keyd_away_defers_and_the_connection_stays),
	    TEST(an_outcome_that_cannot_be_written_is_tried_again),
	    TEST(an_outcome_that_can_never_be_written_is_told_all_the_same),
	    TEST(expired_mail_is_reported_and_written),
	    TEST(expired_mail_that_cannot_be_read_is_ended_loudly),
	    TEST(expired_mail_waits_for_keyd),
	    TEST(recovery_gets_the_envelope),
	    TEST(an_unknown_kind_of_domain_bounces),
	    TEST(stopping_refuses_who_waits_and_lets_transactions_end),
	    TEST(stopping_breaks_off_after_the_grace),
	    TEST(stopping_with_nothing_to_do_is_at_once),
	    TEST(freeing_in_the_middle_of_everything_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
