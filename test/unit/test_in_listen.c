/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions over real sockets on one loop; spool, keys and queue are played by this file. */
#include <arpa/inet.h>
#include <netinet/in.h>
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
#include "keyproto/keyproto_client_ev.h"
#include "relay/in/in_listen.h"
#include "relay/keys/keys_object.h"
#include "relay/queue/queue.h"
#include "relay/spool/spool_message.h"
#include "relay/spool/spool_reread.h"
#include "test/unit/conn_pair.h"
#include "test/unit/pki.h"

#define CLIENTS	 8
#define GREETING "220 relay.example.test ESMTP Sealpost\r\n"

/* --- the parts around: what they answer, and what they were asked */

struct spool_writer {
	struct buf body;
};

static struct {
	int keyd, disk, begin, wait, queue;
	int no_room;
	struct keys_object_wait *waiting;
	void (*room)(void *arg);
	void *room_arg;
	struct spool_writer writer;
	int open, begun, aborted, unwaited;
	spool_writer_done_fn done;
	void *done_arg;
	char committed[4096]; /* the body */
	char client[512], tls[128];
	int added;
	uint64_t added_id;
	struct spool_place added_at;
	struct spool_fresh *added_fresh;
} world;

static char fresh_mark;
#define FRESH ((struct spool_fresh *)(void *)&fresh_mark)

struct relay_conf *relay_now(struct relay *r)
{
	return relay_conf_ref(atomic_load(&r->conf));
}

unsigned keyproto_client_ev_state(const struct keyproto_client_ev *c)
{
	(void)c;
	return (unsigned)world.keyd;
}

/* Nothing is asked of keyd here. */
int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg)
{
	(void)c;
	(void)op;
	(void)timeout_usec;
	(void)fill;
	(void)message;
	(void)fn;
	(void)arg;
	return ERR_AWAY;
}

int spool_log_ready(const struct spool_log *s)
{
	(void)s;
	return world.disk;
}

int spool_writer_begin(struct relay_worker *w, const char *customer, struct spool_writer **out,
		       uint64_t *id)
{
	(void)w;
	assert_string_equal(customer, "acme");
	if (world.begin < 0)
		return world.begin;
	assert_false(world.open);
	world.open = 1;
	world.begun++;
	buf_reset(&world.writer.body);
	*out = &world.writer;
	*id = UINT64_C(0x1234567800000000) + (unsigned)world.begun;
	return 0;
}

int spool_writer_write(struct spool_writer *sw, const uint8_t *p, size_t n)
{
	assert_true(world.open && !world.no_room);
	return buf_put(&sw->body, p, n);
}

int spool_writer_room(struct spool_writer *sw, void (*room)(void *arg), void *arg)
{
	assert_ptr_equal(sw, &world.writer);
	if (!world.no_room)
		return 1;
	world.room = room;
	world.room_arg = arg;
	return 0;
}

void spool_writer_commit(struct spool_writer *sw, const struct spool_envelope *e,
			 spool_writer_done_fn done, void *arg)
{
	assert_true(world.open);
	assert_int_equal(e->size, buf_size(&sw->body));
	snprintf(world.committed, sizeof(world.committed), "%.*s", (int)buf_size(&sw->body),
		 (const char *)buf_ptr(&sw->body));
	snprintf(world.client, sizeof(world.client), "%s", e->client);
	snprintf(world.tls, sizeof(world.tls), "%s", e->tls);
	world.open = 0;
	world.done = done;
	world.done_arg = arg;
}

void spool_writer_abort(struct spool_writer *sw)
{
	if (!sw)
		return;
	assert_true(world.open);
	world.open = 0;
	world.aborted++;
}

/* No filters here. */
int spool_reread_ready(struct spool_writer *sw, void (*ready)(void *arg), void *arg)
{
	(void)sw;
	(void)ready;
	(void)arg;
	return 1;
}

struct spool_reread *spool_reread_open(struct spool_writer *sw, uint64_t skip)
{
	(void)sw;
	(void)skip;
	return NULL;
}

int spool_reread_next(struct spool_reread *r, struct span *out)
{
	(void)r;
	*out = span_of(NULL, 0);
	return ERR_NOMEM;
}

void spool_reread_close(struct spool_reread *r)
{
	(void)r;
}

int keys_object_wait(struct keys_object *k, const char *customer, struct keys_object_wait *wait)
{
	(void)k;
	assert_string_equal(customer, "acme");
	if (world.wait == 0)
		world.waiting = wait;
	return world.wait;
}

void keys_object_want(struct keys_object *k, const char *customer)
{
	(void)k;
	(void)customer;
}

void keys_object_unwait(struct keys_object *k, struct keys_object_wait *wait)
{
	(void)k;
	if (world.waiting == wait) {
		world.waiting = NULL;
		world.unwaited++;
	}
}

int queue_add(struct queue *q, uint64_t id, const struct spool_envelope *e, struct spool_place at,
	      struct spool_fresh *fresh)
{
	(void)q;
	if (world.queue < 0)
		return world.queue;
	assert_string_equal(e->customer, "acme");
	world.added++;
	world.added_id = id;
	world.added_at = at;
	world.added_fresh = fresh;
	return 0;
}

/* --- the stage */

static struct relay relay;
static struct relay_worker worker;
static struct relay_conf conf;
static struct relay_listen listener;
static struct relay_route route = {(char *)"*", (char *)"mx", RELAY_TLS_OPPORTUNISTIC, NULL, NULL, NULL};
static struct relay_net net = {.bits = 0};
static struct in_listen *in;
static struct conn_side clients[CLIENTS];
static struct pki pki;
static char dir[40], leaf[80];
static SSL_CTX *client_ctx;
static int stopped;

static int group_setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_in_listen.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(leaf, sizeof(leaf), "%s/leaf.pem", dir);
	pki_make(&pki, "EC", "relay.example.test");
	pki_write_leaf(&pki, leaf, 1);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	pki_clear(&pki);
	unlink(leaf);
	rmdir(dir);
	return 0;
}

/* A port that is free now. */
static void pick_port(void)
{
	struct sockaddr_in *a = (struct sockaddr_in *)&listener.address;
	socklen_t n = sizeof(*a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(a, 0, sizeof(*a));
	a->sin_family = AF_INET;
	a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)a, n) < 0 ||
	    getsockname(fd, (struct sockaddr *)a, &n) < 0)
		abort();
	close(fd);
	listener.address_len = sizeof(*a);
}

static int setup(void **state)
{
	const char *why;

	(void)state;
	clock_set(1000 * CLOCK_SEC, INT64_C(1790000000) * CLOCK_SEC);
	memset(&world, 0, sizeof(world));
	world.keyd = KEYPROTO_READY;
	buf_init(&world.writer.body, 1 << 20);
	memset(&conf, 0, sizeof(conf));
	conf.hostname = (char *)"relay.example.test";
	conf.tls.key = (char *)"keyd:tls/relay";
	listener =
	    (struct relay_listen){.address_text = (char *)"127.0.0.1", .customer = (char *)"acme"};
	pick_port();
	conf.listen = (struct conf_list){&listener, 1};
	conf.routes = (struct conf_list){&route, 1};
	conf.trusted_nets = &net;
	conf.trusted_count = 1;
	conf.limits.message_size = 1 << 20;
	conf.limits.recipients = 100;
	conf.limits.sessions = 100;
	conf.limits.sessions_per_client = 100;
	conf.limits.errors = 20;
	conf.limits.idle = 300 * CLOCK_SEC;
	atomic_store(&conf.refs, 1000); /* it is ours: nobody frees it */
	memset(&relay, 0, sizeof(relay));
	atomic_store(&relay.conf, &conf);
	relay.tls_in = evt_tls_server(leaf, pki.key, &why);
	client_ctx = evt_tls_client(NULL, 0, &why);
	memset(&worker, 0, sizeof(worker));
	worker.relay = &relay;
	worker.loop = evt_loop_new();
	stopped = 0;
	return relay.tls_in && client_ctx && worker.loop ? 0 : -1;
}

static void listen_now(void)
{
	const char *which;
	int err;

	in = in_listen_new(&worker, &conf, &err, &which);
	assert_non_null(in);
	assert_int_equal(err, 0);
}

static void settle(void)
{
	for (int i = 0; i < 60; i++)
		evt_loop_turn(worker.loop, 0);
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		evt_conn_close(clients[i].c);
		buf_clear(&clients[i].got);
	}
	memset(clients, 0, sizeof(clients));
	settle(); /* what has said goodbye waits for the other side to hang up */
	in_listen_free(in);
	in = NULL;
	SSL_CTX_free(relay.tls_in);
	SSL_CTX_free(client_ctx);
	evt_loop_free(worker.loop);
	buf_clear(&world.writer.body);
	clock_restore();
	assert_int_equal(atomic_load(&conf.refs), 1000);
	assert_int_equal(atomic_load(&relay.count.sessions_open), 0);
	return 0;
}

static struct conn_side *call(int i)
{
	int err;

	memset(&clients[i], 0, sizeof(clients[i]));
	buf_init(&clients[i].got, 128 << 20);
	clients[i].close_at = -1;
	clients[i].c = evt_conn_connect(worker.loop, &listener.address, NULL, 16 << 20,
					conn_side_event, &clients[i], &err);
	assert_non_null(clients[i].c);
	settle();
	return &clients[i];
}

static void hear(struct conn_side *c, const char *text)
{
	settle();
	assert_string_equal(conn_side_heard(c), text);
}

static void say(struct conn_side *c, const char *text)
{
	conn_side_say(c, text);
	settle();
}

#define ENVELOPE "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
#define ENVELOPE_OK \
	"250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"

static struct conn_side *in_data(int i)
{
	struct conn_side *c = call(i);

	hear(c, GREETING);
	say(c, "HELO client.example\r\n" ENVELOPE);
	hear(c, "250 relay.example.test\r\n" ENVELOPE_OK);
	return c;
}

static void commit_done(int result)
{
	spool_writer_done_fn done = world.done;

	assert_non_null(done);
	world.done = NULL;
	done(world.done_arg, result, (struct spool_place){3, 4096, 777}, result ? NULL : FRESH);
	settle();
}

static void closed(struct conn_side *c)
{
	settle();
	assert_true(strchr(c->trail, 'E') || strchr(c->trail, 'X'));
}

/* --- the tests */

static void a_message_is_acknowledged_when_spool_and_queue_have_it_and_not_before(void **state)
{
	struct conn_side *c;

	(void)state;
	listen_now();
	c = in_data(0);
	say(c, "Subject: x\r\n\r\nbody\r\n.\r\n");
	hear(c, "");
	assert_int_equal(world.added, 0);
	commit_done(0);
	assert_int_equal(world.added, 1);
	assert_true(world.added_id == UINT64_C(0x1234567800000001));
	assert_int_equal(world.added_at.segment, 3);
	assert_ptr_equal(world.added_fresh, FRESH);
	hear(c, "250 2.0.0 Ok, queued as 14d2pf0000001\r\n");
	assert_non_null(strstr(world.committed, "Received: from client.example ([127.0.0.1])\r\n"));
	assert_non_null(strstr(world.committed, "+0000\r\nSubject: x\r\n\r\nbody\r\n"));
	assert_string_equal(world.client, "client.example [127.0.0.1]");
	say(c, "QUIT\r\n");
	hear(c, "221 2.0.0 relay.example.test closing, bye\r\n");
	closed(c);
	assert_int_equal(atomic_load(&relay.count.messages_in), 1);
	assert_int_equal(atomic_load(&relay.count.bytes_in), 20);
	assert_int_equal(atomic_load(&relay.count.sessions_in), 1);
}

static void a_commit_that_fails_is_answered_with_4xx_and_queues_nothing(void **state)
{
	struct conn_side *c;

	(void)state;
	listen_now();
	c = in_data(0);
	say(c, "x\r\n.\r\n");
	commit_done(ERR_NOSPACE);
	hear(c, "452 4.3.1 Not enough disk space, try again later\r\n");
	assert_int_equal(world.added, 0);
	assert_int_equal(atomic_load(&relay.count.tempfailed), 1);
}

static void a_message_is_queued_even_if_its_client_is_gone_before_the_answer(void **state)
{
	struct conn_side *c;

	(void)state;
	listen_now();
	c = in_data(0);
	say(c, "x\r\n.\r\n");
	evt_conn_close(c->c);
	c->c = NULL;
	settle();
	assert_int_equal(atomic_load(&relay.count.sessions_open), 1);
	commit_done(0);
	assert_int_equal(world.added, 1);
	assert_int_equal(atomic_load(&relay.count.sessions_open), 0);
	assert_int_equal(atomic_load(&relay.count.messages_in), 1);
}

static void a_client_that_closes_within_data_leaves_nothing(void **state)
{
	struct conn_side *c;

	(void)state;
	listen_now();
	c = in_data(0);
	say(c, "half a mess");
	evt_conn_close(c->c);
	c->c = NULL;
	settle();
	assert_int_equal(world.aborted, 1);
	assert_null(world.done);
	assert_int_equal(atomic_load(&relay.count.sessions_open), 0);
}

static void when_the_queue_has_no_memory_the_answer_waits_until_it_has(void **state)
{
	struct conn_side *c;

	(void)state;
	listen_now();
	c = in_data(0);
	say(c, "x\r\n.\r\n");
	world.queue = ERR_NOMEM;
	commit_done(0);
	hear(c, "");
	world.queue = 0;
	clock_advance(CLOCK_SEC);
	hear(c, "250 2.0.0 Ok, queued as 14d2pf0000001\r\n");
	assert_int_equal(world.added, 1);
	assert_null(world.added_fresh);
}

static void a_key_that_is_on_its_way_is_waited_for(void **state)
{
	struct conn_side *c = (listen_now(), call(0));
	struct keys_object_wait *w;

	(void)state;
	hear(c, GREETING);
	world.begin = ERR_BUSY;
	say(c, "HELO client.example\r\n" ENVELOPE);
	hear(c, "250 relay.example.test\r\n250 2.1.0 Sender ok\r\n250 2.1.5 Recipient ok\r\n");
	w = world.waiting;
	assert_non_null(w);
	world.waiting = NULL;
	w->fn(w->arg, 0); /* somebody else was quicker: it waits again */
	hear(c, "");
	assert_ptr_equal(world.waiting, w);
	world.waiting = NULL;
	world.begin = 0;
	w->fn(w->arg, 0);
	hear(c, "354 End data with <CR><LF>.<CR><LF>\r\n");
	say(c, "RSET\r\n.\r\n");
	assert_non_null(strstr(world.committed, "RSET\r\n"));
	commit_done(0);
}

static void a_key_that_will_not_come_is_said_so(void **state)
{
	struct conn_side *c = (listen_now(), call(0));
	struct keys_object_wait *w;

	(void)state;
	hear(c, GREETING);
	world.begin = ERR_BUSY;
	say(c, "HELO client.example\r\n" ENVELOPE);
	w = world.waiting;
	world.waiting = NULL;
	conn_side_heard(c);
	w->fn(w->arg, ERR_AWAY);
	hear(c, "451 4.3.0 Keys are not available now, try again later\r\n");
	say(c, ENVELOPE);
	conn_side_heard(c);
	evt_conn_close(c->c);
	c->c = NULL;
	settle();
	assert_null(world.waiting); /* a client that goes takes his wish along */
	assert_int_equal(world.unwaited, 1);
}

static void keyd_and_disk_are_asked_at_mail(void **state)
{
	struct conn_side *c = (listen_now(), call(0));

	(void)state;
	say(c, "HELO client.example\r\n");
	conn_side_heard(c);
	world.keyd = KEYPROTO_LOCKED;
	say(c, "MAIL FROM:<a@example.com>\r\n");
	hear(c, "451 4.3.0 Keys are not available now, try again later\r\n");
	world.keyd = KEYPROTO_AWAY;
	say(c, "MAIL FROM:<a@example.com>\r\n");
	hear(c, "451 4.3.0 Keys are not available now, try again later\r\n");
	world.keyd = KEYPROTO_READY;
	world.disk = ERR_NOSPACE;
	say(c, "MAIL FROM:<a@example.com>\r\n");
	hear(c, "452 4.3.1 Not enough disk space, try again later\r\n");
	world.disk = 0;
	say(c, "MAIL FROM:<a@example.com>\r\n");
	hear(c, "250 2.1.0 Sender ok\r\n");
}

static void while_the_spool_has_no_room_nothing_is_read(void **state)
{
	struct conn_side *c;

	(void)state;
	listen_now();
	c = in_data(0);
	world.no_room = 1;
	say(c, "line\r\n.\r\nNOOP\r\n");
	assert_null(world.done);
	assert_non_null(world.room);
	world.no_room = 0;
	world.room(world.room_arg);
	commit_done(0);
	hear(c, "250 2.0.0 Ok, queued as 14d2pf0000001\r\n250 2.0.0 Ok\r\n");
}

static void handshake(struct conn_side *c)
{
	assert_int_equal(evt_conn_tls_connect(c->c, client_ctx, "relay.example.test", NULL), 0);
	settle();
	assert_non_null(strchr(c->trail, 'T'));
}

static void starttls_carries_a_message_and_its_facts(void **state)
{
	struct conn_side *c = (listen_now(), call(0));

	(void)state;
	hear(c, GREETING);
	say(c, "EHLO client.example\r\n");
	assert_non_null(strstr(conn_side_heard(c), "STARTTLS\r\n"));
	say(c, "STARTTLS\r\n");
	hear(c, "220 2.0.0 Ready to start TLS\r\n");
	handshake(c);
	say(c, "EHLO client.example\r\n");
	assert_null(strstr(conn_side_heard(c), "STARTTLS"));
	say(c, ENVELOPE);
	hear(c, ENVELOPE_OK);
	say(c, "secret\r\n.\r\n");
	commit_done(0);
	hear(c, "250 2.0.0 Ok, queued as 14d2pf0000001\r\n");
	assert_non_null(strstr(world.committed, "\t(using TLSv1.3 with cipher TLS_AES_"));
	assert_non_null(strstr(world.committed, "with ESMTPS id 14d2pf0000001;"));
	assert_int_equal(strncmp(world.tls, "TLSv1.3 TLS_AES_", 16), 0);
	assert_int_equal(atomic_load(&relay.count.tls_in), 1);
}

static void starttls_is_refused_while_keyd_cannot_sign(void **state)
{
	struct conn_side *c = (listen_now(), call(0));

	(void)state;
	say(c, "EHLO client.example\r\n");
	conn_side_heard(c);
	world.keyd = KEYPROTO_AWAY;
	say(c, "STARTTLS\r\n");
	hear(c, "454 4.7.0 TLS is not available now, try again later\r\n");
	conf.tls.key = (char *)"/etc/key.pem"; /* this one does not need keyd */
	say(c, "STARTTLS\r\n");
	hear(c, "220 2.0.0 Ready to start TLS\r\n");
}

static void plaintext_behind_starttls_is_never_run(void **state)
{
	struct conn_side *c = (listen_now(), call(0));

	(void)state;
	say(c, "EHLO client.example\r\n");
	conn_side_heard(c);
	say(c, "STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<evil@example.com>\r\n");
	hear(c, "220 2.0.0 Ready to start TLS\r\n");
	closed(c);
	c = call(1);
	say(c, "EHLO client.example\r\n");
	conn_side_heard(c);
	say(c, "STARTTLS\r\n");
	hear(c, "220 2.0.0 Ready to start TLS\r\n");
	say(c, "NOOP\r\nNOOP\r\n");
	closed(c);
	assert_null(strstr(conn_side_heard(c), "250"));
}

static void submissions_speaks_tls_first(void **state)
{
	struct conn_side *c;

	(void)state;
	listener.mode = RELAY_SUBMISSIONS;
	listen_now();
	c = call(0);
	hear(c, "");
	handshake(c);
	hear(c, GREETING);
}

static void submissions_without_a_certificate_hangs_up(void **state)
{
	SSL_CTX *ctx = relay.tls_in;
	struct conn_side *c;

	(void)state;
	listener.mode = RELAY_SUBMISSIONS;
	relay.tls_in = NULL;
	listen_now();
	c = call(0);
	closed(c);
	assert_string_equal(conn_side_heard(c), "");
	relay.tls_in = ctx;
}

static void strangers_may_not_relay(void **state)
{
	struct conn_side *c;

	(void)state;
	conf.trusted_count = 0;
	listen_now();
	c = call(0);
	hear(c, GREETING);
	say(c, "HELO client.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.net>\r\n");
	hear(c, "250 relay.example.test\r\n250 2.1.0 Sender ok\r\n"
		"550 5.7.1 Relay refused: your address is not trusted here\r\n");
	assert_int_equal(atomic_load(&relay.count.rejected), 1);
}

static void sessions_beyond_the_limits_are_turned_away(void **state)
{
	struct conn_side *c;

	(void)state;
	conf.limits.sessions_per_client = 2;
	listen_now();
	hear(call(0), GREETING);
	hear(call(1), GREETING);
	c = call(2);
	hear(c, "421 4.7.0 relay.example.test has too many sessions from your address, try again "
		"later\r\n");
	closed(c);
	say(&clients[0], "QUIT\r\n");
	closed(&clients[0]);
	hear(call(3), GREETING);
	conf.limits.sessions = 2;
	conf.limits.sessions_per_client = 100;
	c = call(4);
	hear(c, "421 4.7.0 relay.example.test has too many sessions, try again later\r\n");
	closed(c);
	assert_int_equal(atomic_load(&relay.count.sessions_open), 2);
}

static void an_idle_session_is_closed_with_421(void **state)
{
	struct conn_side *c = (listen_now(), call(0));

	(void)state;
	hear(c, GREETING);
	clock_advance(301 * CLOCK_SEC);
	hear(c, "421 4.4.2 relay.example.test heard nothing for too long, closing\r\n");
	closed(c);
}

static void on_stopped(void *arg)
{
	assert_ptr_equal(arg, &stopped);
	stopped++;
}

static void a_stop_waits_for_messages_under_way(void **state)
{
	struct conn_side *idle = (listen_now(), call(0)), *busy = in_data(1);
	int err;

	(void)state;
	hear(idle, GREETING);
	in_listen_stop(in, 10 * CLOCK_SEC, on_stopped, &stopped);
	hear(idle, "421 4.3.2 relay.example.test is shutting down, try again later\r\n");
	closed(idle);
	assert_int_equal(stopped, 0);
	say(busy, "x\r\n.\r\n");
	assert_int_equal(stopped, 0);
	commit_done(0);
	hear(busy, "250 2.0.0 Ok, queued as 14d2pf0000001\r\n"
		   "421 4.3.2 relay.example.test is shutting down, try again later\r\n");
	closed(busy);
	assert_int_equal(stopped, 1);
	clock_advance(20 * CLOCK_SEC);
	settle();
	assert_int_equal(stopped, 1);
	memset(&clients[2], 0, sizeof(clients[2]));
	clients[2].close_at = -1;
	buf_init(&clients[2].got, 1000);
	clients[2].c = evt_conn_connect(worker.loop, &listener.address, NULL, 1000, conn_side_event,
					&clients[2], &err);
	settle();
	assert_string_equal(clients[2].trail, "X"); /* nobody listens */
}

static void a_stop_without_sessions_is_done_at_once(void **state)
{
	(void)state;
	listen_now();
	in_listen_stop(in, 10 * CLOCK_SEC, on_stopped, &stopped);
	assert_int_equal(stopped, 0); /* not within the call */
	settle();
	assert_int_equal(stopped, 1);
}

static void a_stop_does_not_wait_longer_than_its_grace(void **state)
{
	struct conn_side *c;

	(void)state;
	listen_now();
	c = in_data(0);
	say(c, "half a mess");
	in_listen_stop(in, 10 * CLOCK_SEC, on_stopped, &stopped);
	settle();
	assert_int_equal(stopped, 0);
	assert_int_equal(world.aborted, 0);
	clock_advance(11 * CLOCK_SEC);
	settle();
	assert_int_equal(stopped, 1);
	assert_int_equal(world.aborted, 1); /* the spool is there to hear of it */
	closed(c);
	assert_int_equal(atomic_load(&relay.count.sessions_open), 0);
}

static void a_message_that_is_being_committed_at_the_end_of_the_grace_is_still_queued(void **state)
{
	struct conn_side *c;

	(void)state;
	listen_now();
	c = in_data(0);
	say(c, "x\r\n.\r\n");
	in_listen_stop(in, 10 * CLOCK_SEC, on_stopped, &stopped);
	clock_advance(11 * CLOCK_SEC);
	settle();
	assert_int_equal(stopped, 1);
	closed(c);
	assert_int_equal(atomic_load(&relay.count.sessions_open), 1);
	commit_done(0);
	assert_int_equal(world.added, 1);
	assert_int_equal(atomic_load(&relay.count.sessions_open), 0);
}

static void an_address_in_use_is_named(void **state)
{
	const char *which;
	int err, fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&listener.address, listener.address_len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_null(in_listen_new(&worker, &conf, &err, &which));
	assert_int_equal(err, ERR_EXISTS);
	assert_string_equal(which, "127.0.0.1");
	close(fd);
}

static void a_client_that_never_reads_is_not_served_without_end(void **state)
{
	struct conn_side *c = (listen_now(), call(0));
	static char many[60000];
	size_t sent = 0;

	(void)state;
	hear(c, GREETING);
	evt_conn_read_pause(c->c);
	for (int i = 0; i < 10000; i++)
		memcpy(many + 6 * i, "NOOP\r\n", 6);
	while (sent < 500 &&
	       evt_conn_unsent(c->c) < 1000000) { /* 500: more than any kernel buffers */
		assert_int_equal(evt_conn_write(c->c, many, sizeof(many)), 0);
		sent++;
		settle();
	}
	assert_true(evt_conn_unsent(c->c) > 0); /* the server has stopped reading */
	evt_conn_read_resume(c->c);
	for (int i = 0; i < 10000 && buf_size(&c->got) < sent * 10000 * 14; i++)
		settle();
	assert_int_equal(buf_size(&c->got), sent * 10000 * 14); /* "250 2.0.0 Ok" for each */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void ignore_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_message_is_acknowledged_when_spool_and_queue_have_it_and_not_before),
	    TEST(a_commit_that_fails_is_answered_with_4xx_and_queues_nothing),
	    TEST(a_message_is_queued_even_if_its_client_is_gone_before_the_answer),
	    TEST(a_client_that_closes_within_data_leaves_nothing),
	    TEST(when_the_queue_has_no_memory_the_answer_waits_until_it_has),
	    TEST(a_key_that_is_on_its_way_is_waited_for),
	    TEST(a_key_that_will_not_come_is_said_so),
	    TEST(keyd_and_disk_are_asked_at_mail),
	    TEST(while_the_spool_has_no_room_nothing_is_read),
	    TEST(starttls_carries_a_message_and_its_facts),
	    TEST(starttls_is_refused_while_keyd_cannot_sign),
	    TEST(plaintext_behind_starttls_is_never_run),
	    TEST(submissions_speaks_tls_first),
	    TEST(submissions_without_a_certificate_hangs_up),
	    TEST(strangers_may_not_relay),
	    TEST(sessions_beyond_the_limits_are_turned_away),
	    TEST(an_idle_session_is_closed_with_421),
	    TEST(a_stop_waits_for_messages_under_way),
	    TEST(a_stop_without_sessions_is_done_at_once),
	    TEST(a_stop_does_not_wait_longer_than_its_grace),
	    TEST(a_message_that_is_being_committed_at_the_end_of_the_grace_is_still_queued),
	    TEST(an_address_in_use_is_named),
	    TEST(a_client_that_never_reads_is_not_served_without_end),
	};

	log_capture(ignore_line, NULL);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
