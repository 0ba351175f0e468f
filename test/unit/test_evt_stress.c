/* SPDX-License-Identifier: Apache-2.0 */
/* Streams both ways while both owners do whatever an owner may do, at random but repeatably:
 * nothing may be lost, doubled or reordered, and nothing may break when one leaves at any moment.
 * */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "evt/evt_conn.h"
#include "evt/evt_tls.h"
#include "test/unit/pki.h"

#define STREAM (300u << 10)

struct end {
	struct evt_conn *c;
	uint64_t sent, read; /* positions in the two streams */
	uint8_t seed;
	int paused, ended, waits_drained, broken;
};

static struct evt_loop *loop;
static struct end ends[2];
static unsigned dice;
static int leave_in;	/* events until somebody leaves, -1 never */
static int fragment;	/* bytes of each socket buffer */
static SSL_CTX *server, *client;

static unsigned roll(unsigned sides)
{
	return (unsigned)rand_r(&dice) % sides;
}

static uint8_t byte_at(const struct end *e, uint64_t pos)
{
	return (uint8_t)(pos * 167 + (pos >> 8) + e->seed);
}

static struct end *other(struct end *e)
{
	return &ends[e == &ends[0]];
}

static void say(struct end *e)
{
	static uint8_t text[40000];
	uint64_t room = STREAM - e->sent;
	size_t n = roll(4) ? roll(200) : roll(sizeof(text));
	uint8_t *dst;
	int err;

	if (n > room)
		n = (size_t)room;
	if (roll(2)) {
		for (size_t i = 0; i < n; i++)
			text[i] = byte_at(e, e->sent + i);
		err = evt_conn_write(e->c, text, n);
		if (err < 0 && !other(e)->c)
			return; /* the other has left, and ERROR is on its way */
		assert_int_equal(err, 0);
	} else {
		dst = evt_conn_reserve(e->c, n + 10);
		if (!dst && !other(e)->c)
			return;
		assert_non_null(dst);
		for (size_t i = 0; i < n; i++)
			dst[i] = byte_at(e, e->sent + i);
		evt_conn_commit(e->c, n);
	}
	e->sent += n;
}

static void hear(struct end *e)
{
	struct buf *in = evt_conn_in(e->c);
	size_t n = roll(3) ? buf_size(in) : roll((unsigned)buf_size(in) + 1);

	for (size_t i = 0; i < n; i++)
		if (buf_ptr(in)[i] != byte_at(other(e), e->read + i))
			fail_msg("byte %llu differs", (unsigned long long)(e->read + i));
	e->read += n;
	buf_drain(in, n);
}

static void leave(struct end *e)
{
	if (roll(2))
		evt_conn_close(e->c);
	else
		evt_conn_finish(e->c);
	e->c = NULL;
}

/* Anything an owner may do. */
static void act(struct end *e)
{
	switch (roll(8)) {
	case 0:
	case 1:
		say(e);
		break;
	case 2:
		hear(e);
		break;
	case 3:
		evt_conn_read_pause(e->c);
		e->paused = 1;
		break;
	case 4:
	case 5:
		evt_conn_read_resume(e->c);
		e->paused = 0;
		break;
	case 6:
		evt_conn_again(e->c);
		break;
	case 7:
		if (!e->waits_drained)
			evt_conn_notify_drained(e->c, roll(5000));
		e->waits_drained = 1;
		break;
	}
}

static void on_event(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	struct end *e = arg;

	assert_ptr_equal(e->c, c);
	assert_false(e->broken);
	switch (ev) {
	case EVT_CONN_DATA:
		hear(e);
		break;
	case EVT_CONN_DRAINED:
		assert_true(e->waits_drained);
		e->waits_drained = 0;
		break;
	case EVT_CONN_EOF:
		assert_false(e->ended);
		e->ended = 1;
		break;
	case EVT_CONN_ERROR:
		e->broken = 1;
		assert_true(leave_in >= 0); /* only when the other has left */
		break;
	default:
		break;
	}
	if (leave_in > 0 && --leave_in == 0)
		leave(e);
	else if (ev != EVT_CONN_ERROR && roll(2))
		act(e);
}

static void open_ends(int tls)
{
	int fd[2];

	loop = evt_loop_new();
	memset(ends, 0, sizeof(ends));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	for (int i = 0; i < 2; i++) {
		setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &fragment, sizeof(fragment));
		ends[i].seed = (uint8_t)(i * 91);
		ends[i].c = evt_conn_accept(loop, fd[i], 500 + roll(60000), on_event, &ends[i]);
	}
	if (!tls)
		return;
	SSL_CTX_set_max_proto_version(client, roll(2) ? TLS1_2_VERSION : TLS1_3_VERSION);
	assert_int_equal(evt_conn_tls_accept(ends[0].c, server), 0);
	assert_int_equal(evt_conn_tls_connect(ends[1].c, client, NULL, NULL), 0);
}

static void close_ends(void)
{
	evt_conn_close(ends[0].c);
	evt_conn_close(ends[1].c);
	for (int i = 0; i < 5; i++)
		evt_loop_turn(loop, 0);
	evt_loop_free(loop);
}

/* Now both only read and write what is left. */
static int complete(void)
{
	for (int i = 0; i < 2; i++) {
		evt_conn_read_resume(ends[i].c);
		say(&ends[i]);
		hear(&ends[i]);
	}
	evt_loop_turn(loop, 0);
	return ends[0].read == STREAM && ends[1].read == STREAM;
}

static void stream(int tls, unsigned seed)
{
	dice = seed;
	leave_in = -1;
	fragment = roll(2) ? 4096 : 200000;
	open_ends(tls);
	for (int i = 0; i < 2000 && ends[0].sent < STREAM; i++) {
		for (unsigned k = roll(4); k > 0; k--)
			act(&ends[roll(2)]);
		evt_loop_turn(loop, 0);
	}
	for (int i = 0; i < 100000 && !complete(); i++)
		;
	assert_int_equal(ends[0].read, STREAM);
	assert_int_equal(ends[1].read, STREAM);
	assert_int_equal(evt_conn_unsent(ends[0].c) + evt_conn_unsent(ends[1].c), 0);
	evt_conn_finish(ends[0].c);
	ends[0].c = NULL;
	for (int i = 0; i < 10; i++) {
		evt_conn_read_resume(ends[1].c); /* its owner may have paused once more */
		evt_loop_turn(loop, 0);
	}
	assert_true(ends[1].ended);
	close_ends();
}

static void streams_in_clear_lose_nothing_whatever_the_owners_do(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 40; seed++)
		stream(0, seed);
}

static void streams_under_tls_lose_nothing_whatever_the_owners_do(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 40; seed++)
		stream(1, seed);
}

static void leaving_at_any_moment_is_safe(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 300; seed++) {
		dice = seed;
		fragment = roll(2) ? 4096 : 200000;
		leave_in = 1 + (int)roll(60);
		open_ends(roll(2));
		for (int i = 0; i < 60; i++) {
			struct end *e = &ends[roll(2)];
			if (e->c && !e->broken && e->sent < STREAM && other(e)->c)
				act(e);
			evt_loop_turn(loop, 0);
		}
		leave_in = 0;
		close_ends();
	}
}

static int setup(void **state)
{
	char path[] = "/tmp/test_evt_stress.XXXXXX";
	const char *why;
	struct pki pki;

	(void)state;
	close(mkstemp(path));
	pki_make(&pki, "EC", "relay.example.test");
	pki_write_leaf(&pki, path, 1);
	server = evt_tls_server(path, pki.key, &why);
	client = evt_tls_client(NULL, 0, &why);
	unlink(path);
	pki_clear(&pki);
	return server && client ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(streams_in_clear_lose_nothing_whatever_the_owners_do),
	    cmocka_unit_test(streams_under_tls_lose_nothing_whatever_the_owners_do),
	    cmocka_unit_test(leaving_at_any_moment_is_safe),
	};

	return cmocka_run_group_tests_name("evt_stress", tests, setup, teardown);
}
