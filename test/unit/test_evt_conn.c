/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <netinet/in.h>
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

#include "core/clock.h"
#include "core/err.h"
#include "evt/evt_conn_own.h"
#include "evt/evt_listen.h"
#include "test/unit/conn_pair.h"

static struct conn_pair p;

static int setup(void **state)
{
	(void)state;
	clock_set(1000 * CLOCK_SEC, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (p.loop)
		conn_pair_close(&p);
	clock_restore();
	return 0;
}

static void an_idle_connection_is_small_and_holds_no_buffers(void **state)
{
	(void)state;
	assert_true(sizeof(struct evt_conn) < 512);
	conn_pair_open(&p, 4096);
	conn_side_say(&p.a, "hello");
	conn_pair_settle(&p);
	assert_string_equal(conn_side_heard(&p.b), "hello");
	assert_int_equal(p.a.c->in.cap + p.a.c->out.cap, 0);
	assert_int_equal(p.b.c->in.cap + p.b.c->out.cap, 0);
	assert_null(p.a.c->write);
}

static void echo(struct conn_side *s, enum evt_conn_event ev)
{
	if (ev == EVT_CONN_DATA)
		conn_side_say(s, conn_side_heard(s));
}

static void what_is_written_in_one_turn_leaves_at_its_end_in_one_piece(void **state)
{
	int fd = conn_pair_open_half(&p, 4096);
	char text[64];

	(void)state;
	conn_side_say(&p.a, "220 one\r\n");
	conn_side_say(&p.a, "250 two\r\n");
	assert_int_equal(evt_conn_unsent(p.a.c), 18);
	assert_int_equal(recv(fd, text, sizeof(text), 0), -1);
	evt_loop_turn(p.loop, 0);
	assert_int_equal(evt_conn_unsent(p.a.c), 0);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 18);
	close(fd);
}

static void bytes_echo(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	p.b.also = echo;
	conn_side_say(&p.a, "one");
	conn_pair_settle(&p);
	conn_side_say(&p.a, "two");
	conn_pair_settle(&p);
	assert_string_equal(conn_side_heard(&p.a), "onetwo");
	assert_string_equal(p.a.trail, "D");
	assert_string_equal(p.b.trail, "D");
}

static void reading_stops_at_the_limit_and_goes_on_when_drained(void **state)
{
	static uint8_t big[50000];
	struct buf *in;
	size_t total = 0;

	(void)state;
	conn_pair_open(&p, 1000);
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 7);
	p.b.keep = 1;
	assert_int_equal(evt_conn_write(p.a.c, big, sizeof(big)), 0);
	while (total < sizeof(big)) {
		conn_pair_settle(&p);
		in = evt_conn_in(p.b.c);
		assert_true(buf_size(in) > 0 && buf_size(in) <= 1000);
		assert_memory_equal(buf_ptr(in), big + total, buf_size(in));
		total += buf_size(in);
		buf_drain(in, buf_size(in));
	}
	assert_int_equal(total, sizeof(big));
}

static void a_paused_connection_reads_nothing_until_resumed(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	evt_conn_read_pause(p.b.c);
	conn_side_say(&p.a, "later");
	conn_pair_settle(&p);
	assert_string_equal(p.b.trail, "");
	evt_conn_read_resume(p.b.c);
	assert_string_equal(p.b.trail, "");
	conn_pair_settle(&p);
	assert_string_equal(conn_side_heard(&p.b), "later");
}

static void drained_comes_once_when_the_peer_has_read_enough(void **state)
{
	static uint8_t big[3 << 20];

	(void)state;
	conn_pair_open(&p, 1 << 20);
	evt_conn_read_pause(p.b.c);
	assert_int_equal(evt_conn_write(p.a.c, big, sizeof(big)), 0);
	evt_conn_notify_drained(p.a.c, 100000);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "");
	assert_true(evt_conn_unsent(p.a.c) > 100000);
	evt_conn_read_resume(p.b.c);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "R");
	assert_int_equal(evt_conn_unsent(p.a.c), 0);
	assert_int_equal(buf_size(&p.b.got), sizeof(big));
	evt_conn_notify_drained(p.a.c, 0);
	assert_string_equal(p.a.trail, "R");
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "RR");
}

static void writing_beyond_four_mebibytes_is_refused_and_harms_nothing(void **state)
{
	static uint8_t big[1 << 20];
	int n = 0, err;

	(void)state;
	conn_pair_open(&p, 1 << 20);
	evt_conn_read_pause(p.b.c);
	while ((err = evt_conn_write(p.a.c, big, sizeof(big))) == 0)
		n++;
	assert_int_equal(err, ERR_LIMIT);
	assert_true(n >= 4 && n <= 5);
	assert_int_equal(evt_conn_write(p.a.c, "x", 1), 0);
	evt_conn_read_resume(p.b.c);
	conn_pair_settle(&p);
	assert_int_equal(buf_size(&p.b.got), (size_t)n * sizeof(big) + 1);
}

static int pool_holds(const char *text)
{
	const struct evt_pool *pool = &p.loop->pool;

	for (unsigned i = 0; i < pool->small_count; i++)
		if (memmem(pool->small[i], EVT_POOL_SMALL, text, strlen(text)))
			return 1;
	return 0;
}

static void memory_of_a_secret_connection_is_wiped_at_once(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	conn_side_say(&p.a, "ordinary-words");
	conn_pair_settle(&p);
	assert_true(pool_holds("ordinary-words"));
	evt_conn_set_secret(p.a.c);
	evt_conn_set_secret(p.b.c);
	conn_side_say(&p.a, "key-material");
	conn_pair_settle(&p);
	assert_int_equal(buf_size(&p.b.got), 14 + 12);
	assert_false(pool_holds("key-material"));
	p.b.keep = 1;
	conn_side_say(&p.a, "key-material");
	conn_pair_settle(&p);
	evt_conn_close(p.b.c);
	p.b.c = NULL;
	assert_false(pool_holds("key-material"));
}

static void room_can_be_filled_by_the_caller(void **state)
{
	uint8_t *room;

	(void)state;
	conn_pair_open(&p, 4096);
	room = evt_conn_reserve(p.a.c, 100);
	assert_non_null(room);
	memcpy(room, "sealed", 6);
	evt_conn_commit(p.a.c, 6);
	assert_null(evt_conn_reserve(p.a.c, 5u << 20));
	conn_pair_settle(&p);
	assert_string_equal(conn_side_heard(&p.b), "sealed");
}

static void again_makes_one_more_data_event(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	p.b.keep = 1;
	conn_side_say(&p.a, "x");
	conn_pair_settle(&p);
	p.b.trail[0] = '\0';
	evt_conn_again(p.b.c);
	assert_string_equal(p.b.trail, "");
	conn_pair_settle(&p);
	assert_string_equal(p.b.trail, "D");
	assert_int_equal(buf_size(evt_conn_in(p.b.c)), 1);
}

static void the_peers_end_comes_after_its_bytes_and_we_may_still_answer(void **state)
{
	int fd = conn_pair_open_half(&p, 4096);
	char text[16];

	(void)state;
	assert_int_equal(send(fd, "bye", 3, 0), 3);
	shutdown(fd, SHUT_WR);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "DE");
	assert_string_equal(conn_side_heard(&p.a), "bye");
	conn_side_say(&p.a, "ok");
	conn_pair_settle(&p);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 2);
	assert_string_equal(p.a.trail, "DE");
	close(fd);
}

static void last_words_of_a_peer_that_closed_on_us_are_heard_before_the_error(void **state)
{
	int fd = conn_pair_open_half(&p, 4096);

	(void)state;
	conn_side_say(&p.a, "lots of pipelined commands");
	conn_pair_settle(&p);
	assert_int_equal(send(fd, "421 no", 6, 0), 6);
	close(fd);
	conn_side_say(&p.a, "more");
	conn_pair_settle(&p);
	assert_string_equal(conn_side_heard(&p.a), "421 no");
	assert_string_equal(p.a.trail, "DX");
	assert_int_equal(p.a.err, ERR_CLOSED);
	assert_string_equal(p.a.why, "connection reset");
	assert_int_equal(evt_conn_write(p.a.c, "x", 1), ERR_CLOSED);
}

static void silence_is_a_timeout_that_bytes_do_not_end_by_themselves(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	evt_conn_set_timeout(p.b.c, 10 * CLOCK_SEC);
	clock_advance(9 * CLOCK_SEC);
	evt_conn_set_timeout(p.b.c, 10 * CLOCK_SEC);
	clock_advance(9 * CLOCK_SEC);
	conn_pair_settle(&p);
	assert_string_equal(p.b.trail, "");
	clock_advance(CLOCK_SEC);
	conn_pair_settle(&p);
	assert_string_equal(p.b.trail, "O");
	evt_conn_set_timeout(p.b.c, CLOCK_SEC);
	evt_conn_set_timeout(p.b.c, 0);
	clock_advance(2 * CLOCK_SEC);
	conn_pair_settle(&p);
	assert_string_equal(p.b.trail, "O");
}

static void finish_sends_what_was_written_and_tells_nothing_more(void **state)
{
	static char big[1 << 20];
	struct conn_side *b = &p.b;

	(void)state;
	conn_pair_open(&p, 1 << 20);
	evt_conn_read_pause(b->c);
	assert_int_equal(evt_conn_write(p.a.c, big, sizeof(big)), 0);
	evt_conn_finish(p.a.c);
	p.a.c = NULL;
	conn_pair_settle(&p);
	evt_conn_read_resume(b->c);
	conn_pair_settle(&p);
	assert_int_equal(buf_size(&b->got), sizeof(big));
	assert_string_equal(b->trail, "DE");
	assert_string_equal(p.a.trail, "");
}

static void finish_gives_up_after_five_seconds(void **state)
{
	static char big[1 << 20];
	int fd = conn_pair_open_half(&p, 4096);
	size_t total = 0;
	ssize_t n;

	(void)state;
	assert_int_equal(evt_conn_write(p.a.c, big, sizeof(big)), 0);
	evt_conn_finish(p.a.c);
	p.a.c = NULL;
	conn_pair_settle(&p);
	clock_advance(5 * CLOCK_SEC + 1);
	evt_loop_turn(p.loop, 0);
	while ((n = recv(fd, big, sizeof(big), 0)) > 0)
		total += (size_t)n;
	assert_true(n == 0 || errno == ECONNRESET);
	assert_true(total > 0 && total < sizeof(big));
	close(fd);
}

/* A close over unread bytes would send a reset, and the peer might lose the reply. */
static void finish_over_tcp_lets_the_reply_arrive_although_bytes_were_unread(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	char text[64];
	int li = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), peer;

	(void)state;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(li, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(li, 1), 0);
	assert_int_equal(getsockname(li, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	peer = accept4(li, NULL, NULL, SOCK_NONBLOCK);
	close(conn_pair_open_half(&p, 100));
	evt_conn_close(p.a.c);
	p.a.c = evt_conn_accept(p.loop, peer, 100, conn_side_event, &p.a);
	p.a.keep = 1;
	for (int i = 0; i < 100; i++)
		assert_int_equal(send(fd, "0123456789", 10, 0), 10);
	conn_pair_settle(&p);
	conn_side_say(&p.a, "554 go away");
	evt_conn_finish(p.a.c);
	p.a.c = NULL;
	conn_pair_settle(&p);
	assert_int_equal(send(fd, "more", 4, 0), 4);
	conn_pair_settle(&p);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 11);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
	close(fd);
	conn_pair_settle(&p);
	close(li);
}

static void a_connection_may_be_closed_in_every_event(void **state)
{
	(void)state;
	for (int ev = EVT_CONN_DATA; ev <= EVT_CONN_ERROR; ev++) {
		int fd = conn_pair_open_half(&p, 4096);

		p.a.close_at = ev;
		evt_conn_set_timeout(p.a.c, CLOCK_SEC);
		conn_side_say(&p.a, "x");
		evt_conn_notify_drained(p.a.c, 0);
		assert_int_equal(send(fd, "y", 1, 0), 1);
		conn_pair_settle(&p);
		clock_advance(2 * CLOCK_SEC);
		conn_pair_settle(&p);
		if (ev == EVT_CONN_ERROR)
			close(fd);
		else
			shutdown(fd, SHUT_WR);
		if (p.a.c && ev == EVT_CONN_ERROR)
			conn_side_say(&p.a, "x");
		conn_pair_settle(&p);
		assert_null(p.a.c);
		assert_true(p.a.trail[strlen(p.a.trail) - 1] == "CTDREOX"[ev]);
		if (ev != EVT_CONN_ERROR)
			close(fd);
		conn_pair_close(&p);
	}
}

static void finish_in(struct conn_side *s, enum evt_conn_event ev)
{
	if (ev != EVT_CONN_DATA)
		return;
	conn_side_say(s, "221 bye");
	evt_conn_finish(s->c);
	s->c = NULL;
}

static void finish_works_within_a_callback(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	p.b.also = finish_in;
	conn_side_say(&p.a, "QUIT");
	conn_pair_settle(&p);
	assert_string_equal(conn_side_heard(&p.a), "221 bye");
	assert_string_equal(p.a.trail, "DE");
}

static struct evt_loop *accept_loop;
static struct conn_side *accept_side;

static void on_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
	(void)arg;
	(void)peer;
	accept_side->c = evt_conn_accept(accept_loop, fd, 4096, conn_side_event, accept_side);
}

static void set_address(struct sockaddr_storage *a, unsigned port)
{
	char text[32];

	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	assert_int_equal(evt_listen_address(span_str(text), a, NULL), 0);
}

static void wait_for(const char *trail)
{
	for (int i = 0; i < 1000 && !strstr(p.a.trail, trail); i++)
		evt_loop_turn(p.loop, 10000);
	assert_non_null(strstr(p.a.trail, trail));
}

static void connecting_over_tcp_tells_and_sends_what_was_written_before(void **state)
{
	struct sockaddr_storage to, from;
	struct evt_listen *li;
	int err;

	(void)state;
	close(conn_pair_open_half(&p, 4096));
	evt_conn_close(p.a.c);
	accept_loop = p.loop;
	accept_side = &p.b;
	set_address(&from, 0);
	li = evt_listen_tcp(p.loop, &from, 0, on_accept, NULL, &err);
	set_address(&to, evt_listen_port(li));
	p.a.c = evt_conn_connect(p.loop, &to, &from, 4096, conn_side_event, &p.a, &err);
	assert_non_null(p.a.c);
	conn_side_say(&p.a, "EHLO");
	wait_for("C");
	conn_pair_settle(&p);
	assert_string_equal(conn_side_heard(&p.b), "EHLO");
	conn_side_say(&p.b, "250");
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "CD");
	evt_listen_close(li);
}

static void a_refused_connection_is_an_error_with_a_reason(void **state)
{
	struct sockaddr_storage to;
	struct evt_listen *li;
	unsigned port;
	int err;

	(void)state;
	close(conn_pair_open_half(&p, 4096));
	evt_conn_close(p.a.c);
	set_address(&to, 0);
	li = evt_listen_tcp(p.loop, &to, 0, on_accept, NULL, &err);
	port = evt_listen_port(li);
	evt_listen_close(li);
	set_address(&to, port);
	p.a.c = evt_conn_connect(p.loop, &to, NULL, 4096, conn_side_event, &p.a, &err);
	assert_non_null(p.a.c);
	wait_for("X");
	assert_string_equal(p.a.trail, "X");
	assert_int_equal(p.a.err, ERR_AWAY);
	assert_string_equal(p.a.why, "connection refused");
}

static void a_unix_socket_that_is_not_there_is_an_error_with_a_reason(void **state)
{
	int err;

	(void)state;
	close(conn_pair_open_half(&p, 4096));
	evt_conn_close(p.a.c);
	p.a.c = evt_conn_connect_unix(p.loop, "/nonexistent/socket", 4096, conn_side_event, &p.a,
				      &err);
	assert_non_null(p.a.c);
	assert_string_equal(p.a.trail, "");
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "X");
	assert_int_equal(p.a.err, ERR_AWAY);
	assert_string_equal(p.a.why, "no such socket");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(an_idle_connection_is_small_and_holds_no_buffers),
	    T(what_is_written_in_one_turn_leaves_at_its_end_in_one_piece),
	    T(bytes_echo),
	    T(reading_stops_at_the_limit_and_goes_on_when_drained),
	    T(a_paused_connection_reads_nothing_until_resumed),
	    T(drained_comes_once_when_the_peer_has_read_enough),
	    T(writing_beyond_four_mebibytes_is_refused_and_harms_nothing),
	    T(memory_of_a_secret_connection_is_wiped_at_once),
	    T(room_can_be_filled_by_the_caller),
	    T(again_makes_one_more_data_event),
	    T(the_peers_end_comes_after_its_bytes_and_we_may_still_answer),
	    T(last_words_of_a_peer_that_closed_on_us_are_heard_before_the_error),
	    T(silence_is_a_timeout_that_bytes_do_not_end_by_themselves),
	    T(finish_sends_what_was_written_and_tells_nothing_more),
	    T(finish_gives_up_after_five_seconds),
	    T(finish_over_tcp_lets_the_reply_arrive_although_bytes_were_unread),
	    T(a_connection_may_be_closed_in_every_event),
	    T(finish_works_within_a_callback),
	    T(connecting_over_tcp_tells_and_sends_what_was_written_before),
	    T(a_refused_connection_is_an_error_with_a_reason),
	    T(a_unix_socket_that_is_not_there_is_an_error_with_a_reason),
	};

	return cmocka_run_group_tests_name("evt_conn", tests, NULL, NULL);
}
