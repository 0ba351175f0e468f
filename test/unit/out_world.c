/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/out_world.h"

#include <unistd.h>

#include "core/log.h"

struct relay relay;
struct relay_worker worker;
struct relay_conf conf;
struct relay_route route;
static struct relay_net nets[1] = {{{[10] = 0xff, [11] = 0xff, [12] = 127}, 104}};
struct out_server server;
struct pki pki;
static char dir[40], leaf[64], ca[64], to[64];
SSL_CTX *server_tls;
static char addresses[300][40];
static struct spool_recipient recipients[300];
char log_text[65536];
static const char *why;

static void capture(void *arg, const char *line)
{
	size_t n = strlen(log_text);

	(void)arg;
	snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
}

int out_world_group_setup(void **state)
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
int out_world_group_teardown(void **state)
{
	(void)state;
	SSL_CTX_free(server_tls);
	pki_clear(&pki);
	unlink(leaf);
	unlink(ca);
	return rmdir(dir);
}

int out_world_setup(void **state)
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
	route = (struct relay_route){any, to, RELAY_TLS_OPPORTUNISTIC, NULL, NULL, NULL};
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
	conf.outbound.dane = 1;
	policy_fake_reset();
	out_fake_reset(worker.loop);
	worker.out = out_worker_new(&worker);
	return worker.out ? 0 : -1;
}
int out_world_teardown(void **state)
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

struct out_fake_message *message(uint64_t id, unsigned count, const char *body)
{
	static char customer[] = "acme", sender[] = "alice@here.test", none[] = "";
	struct out_fake_message *m = &fake.messages[id - 1];

	m->envelope = (struct spool_envelope){.customer = customer,
					      .sender = sender,
					      .client = none,
					      .tls = none,
					      .recipients = recipients,
					      .count = count,
					      .created = clock_wall()};
	m->body = body;
	m->size = strlen(body);
	return m;
}
void run_until_done(unsigned jobs)
{
	for (int i = 0; i < 3000 && fake.done_count < jobs; i++)
		evt_loop_turn(worker.loop, 1000);
	assert_int_equal(fake.done_count, jobs);
}
void run_a_while(void)
{
	for (int i = 0; i < 60; i++)
		evt_loop_turn(worker.loop, i % 10 ? 0 : 1000);
}
void run_turns(int n)
{
	while (n--)
		evt_loop_turn(worker.loop, n % 10 ? 0 : 100);
}
void wait_for(int64_t usec)
{
	run_a_while();
	clock_advance(usec);
	run_a_while();
}
void deliver(uint64_t id)
{
	out_fake_job(&worker, QUEUE_DELIVER, id, "there.test");
}
void assert_result(unsigned job, unsigned i, int outcome, int reason, unsigned code)
{
	const struct queue_result *r = &fake.done[job].results[i];

	if (r->outcome != outcome || (reason >= 0 && r->reason != reason) || r->code != code)
		fail_msg("recipient %u: outcome %u reason %u code %u %s", i, r->outcome, r->reason,
			 r->code, r->reply);
}

char *long_body(size_t size)
{
	char *body = malloc(size + 1);

	for (size_t i = 0; i < size; i++)
		body[i] = "0123456789.abcdef"[(i * 7 + i / 1000) % 17];
	for (size_t i = 70; i + 1 < size; i += 72)
		memcpy(body + i, "\r\n", 2);
	memcpy(body + size - 2, "\r\n", 3);
	return body;
}

void use_mx(const struct out_fake_name *names)
{
	static char mx[] = "mx";

	route.to = mx;
	fake.names = names;
}
