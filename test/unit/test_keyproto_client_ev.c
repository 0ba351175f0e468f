/* SPDX-License-Identifier: Apache-2.0 */
/* The client against a keyd that is played by the test, on the same loop. */
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
#include "evt/evt_conn.h"
#include "evt/evt_listen.h"
#include "keyproto/keyproto_client_ev.h"
#include "wire/wire_frame.h"

#define ASKED_MAX 1024

static struct evt_loop *loop;
static char dir[32], path[64];
static struct keyproto_client_ev *client;
static char states[128]; /* as told: A E L R X */
static char answers[8192];
static char logged[1024];

/* keyd's side */
static struct {
	struct evt_listen *li;
	struct evt_conn *c;
	int connections, data_events;
	uint8_t state;
	uint32_t hello_status;
	int mute; /* does not answer HELLO */
	uint32_t epoch;
	struct wire_frame asked[ASKED_MAX];
	int count;
	struct keyproto_hello hello;
	char program[64];
} keyd;

static void keyd_send(uint16_t op, uint64_t id, uint32_t status, const void *body, size_t n)
{
	struct buf b;
	size_t at;

	buf_init(&b, 1 << 20);
	at = wire_frame_open(&b);
	buf_put(&b, body, n);
	assert_int_equal(wire_frame_close(&b, at, op, id, status, keyd.epoch), 0);
	assert_int_equal(evt_conn_write(keyd.c, buf_ptr(&b), buf_size(&b)), 0);
	buf_clear(&b);
}

static void keyd_hello(const struct wire_frame *f)
{
	static const uint8_t store[16];
	struct keyproto_hello_reply m = {WIRE_FRAME_VERSION, keyd.state, span_of(store, 16)};
	struct buf b;

	assert_int_equal(keyproto_hello_get(f->body, &keyd.hello), 0);
	assert_int_equal(span_copy_str(keyd.program, sizeof(keyd.program), keyd.hello.program), 0);
	if (keyd.mute)
		return;
	buf_init(&b, 1000);
	assert_int_equal(keyproto_hello_reply_put(&b, &m), 0);
	keyd_send(KEYPROTO_HELLO, f->request, keyd.hello_status, buf_ptr(&b),
		  keyd.hello_status ? 0 : buf_size(&b));
	buf_clear(&b);
}

static void keyd_event(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	struct wire_frame f;
	struct buf *in;
	int n;

	(void)arg;
	if (ev == EVT_CONN_EOF || ev == EVT_CONN_ERROR) {
		evt_conn_close(c);
		keyd.c = NULL;
	}
	if (ev != EVT_CONN_DATA)
		return;
	keyd.data_events++;
	while ((n = wire_frame_parse(buf_span(in = evt_conn_in(c)), &f)) > 0) {
		if (f.opcode == KEYPROTO_HELLO)
			keyd_hello(&f);
		else
			keyd.asked[keyd.count++ % ASKED_MAX] = f;
		buf_drain(in, (size_t)n);
	}
	assert_int_equal(n, 0);
}

static void keyd_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
	(void)arg;
	(void)peer;
	keyd.connections++;
	keyd.c = evt_conn_accept(loop, fd, 1 << 20, keyd_event, NULL);
}

static void keyd_start(void)
{
	int err;

	keyd.li = evt_listen_unix(loop, path, 0600, keyd_accept, NULL, &err);
	assert_non_null(keyd.li);
}

static void keyd_stop(void)
{
	evt_listen_close(keyd.li);
	evt_conn_close(keyd.c);
	keyd.li = NULL;
	keyd.c = NULL;
}

static void keyd_push(uint8_t state)
{
	keyd_send(KEYPROTO_EVENT, 0, 0, &state, 1);
}

/* Answers the i-th request that was asked. */
static void keyd_answer(int i, uint32_t status, const char *text)
{
	keyd_send(keyd.asked[i].opcode, keyd.asked[i].request, status, text, strlen(text));
}

static void settle(void)
{
	for (int i = 0; i < 20; i++)
		evt_loop_turn(loop, 0);
}

static void pass(int64_t usec)
{
	clock_advance(usec);
	settle();
}

static void capture(void *arg, const char *line)
{
	(void)arg;
	snprintf(logged, sizeof(logged), "%s", line);
}

static void on_state(void *arg, unsigned state)
{
	size_t n = strlen(states);

	(void)arg;
	states[n] = "AELRX"[state];
	states[n + 1] = '\0';
}

static int setup(void **state)
{
	(void)state;
	clock_set(1000 * CLOCK_SEC, 0);
	loop = evt_loop_new();
	strcpy(dir, "/tmp/test_kev.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/keyd.sock", dir);
	memset(&keyd, 0, sizeof(keyd));
	keyd.state = KEYPROTO_READY;
	keyd.epoch = 7;
	states[0] = answers[0] = logged[0] = '\0';
	log_capture(capture, NULL);
	keyd_start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keyproto_client_ev_free(client);
	client = NULL;
	keyd_stop();
	evt_loop_free(loop);
	log_capture(NULL, NULL);
	rmdir(dir);
	clock_restore();
	return 0;
}

static void begin(void)
{
	client = keyproto_client_ev_new(loop, path, KEYPROTO_ROLE_RELAY, "test", on_state, NULL);
	assert_non_null(client);
	assert_string_equal(states, "");
	settle();
}

static int fill(struct buf *body, const void *message)
{
	return buf_put_str(body, message);
}

static void note(const char *name, int err, struct span reply)
{
	size_t n = strlen(answers);

	snprintf(answers + n, sizeof(answers) - n, "%s:%d:%.*s ", name, err, (int)reply.n,
		 reply.n ? (const char *)reply.p : "");
}

static void on_answer(void *arg, int err, struct span reply)
{
	note(arg, err, reply);
}

static int call(const char *name, int64_t timeout)
{
	return keyproto_client_ev_call(client, KEYPROTO_SIGN, timeout, fill, name, on_answer,
				       (void *)(uintptr_t)name);
}

static void it_says_hello_and_learns_the_state(void **state)
{
	(void)state;
	begin();
	assert_string_equal(states, "R");
	assert_int_equal(keyproto_client_ev_state(client), KEYPROTO_READY);
	assert_int_equal(keyd.hello.role, KEYPROTO_ROLE_RELAY);
	assert_string_equal(keyd.program, "test");
}

static void answers_may_come_in_any_order(void **state)
{
	(void)state;
	begin();
	assert_int_equal(call("a", 0), 0);
	assert_int_equal(call("b", 0), 0);
	assert_int_equal(call("c", 0), 0);
	assert_string_equal(answers, "");
	settle();
	assert_int_equal(keyd.count, 3);
	keyd_answer(2, 0, "three");
	keyd_answer(0, 0, "one");
	keyd_answer(1, KEYPROTO_E_DENIED, "ignored");
	settle();
	assert_string_equal(answers, "c:0:three a:0:one b:-5: ");
}

static void requests_of_one_turn_leave_in_one_write(void **state)
{
	(void)state;
	begin();
	keyd.data_events = 0;
	for (int i = 0; i < 50; i++)
		assert_int_equal(call("x", 0), 0);
	settle();
	assert_int_equal(keyd.count, 50);
	assert_int_equal(keyd.data_events, 1);
}

static void beyond_the_credit_calls_wait_in_line(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < KEYPROTO_CREDIT + 10; i++)
		assert_int_equal(call("x", 0), 0);
	settle();
	assert_int_equal(keyd.count, KEYPROTO_CREDIT);
	keyd_answer(5, 0, "");
	keyd_answer(7, 0, "");
	settle();
	assert_int_equal(keyd.count, KEYPROTO_CREDIT + 2);
	for (int i = 0; i < KEYPROTO_CREDIT + 2; i++)
		if (i != 5 && i != 7)
			keyd_answer(i, 0, "");
	settle();
	assert_int_equal(keyd.count, KEYPROTO_CREDIT + 10);
	for (int i = KEYPROTO_CREDIT + 2; i < KEYPROTO_CREDIT + 10; i++)
		keyd_answer(i, 0, "");
	settle();
	assert_int_equal(strlen(answers), (KEYPROTO_CREDIT + 10) * strlen("x:0: "));
}

static void the_line_has_an_end(void **state)
{
	int n = 0;

	(void)state;
	begin();
	while (call("x", 0) == 0)
		n++;
	assert_int_equal(n, KEYPROTO_CREDIT + 4096);
	assert_int_equal(call("x", 0), ERR_LIMIT);
	answers[0] = '\0';
}

static void calls_time_out_each_at_its_time(void **state)
{
	(void)state;
	begin();
	assert_int_equal(call("late", 3 * CLOCK_SEC), 0);
	assert_int_equal(call("soon", CLOCK_SEC), 0);
	assert_int_equal(call("mid", 2 * CLOCK_SEC), 0);
	assert_int_equal(call("never", 0), 0);
	settle();
	pass(CLOCK_SEC);
	assert_string_equal(answers, "soon:-10: ");
	keyd_answer(1, 0, "too late");
	keyd_answer(2, 0, "in time");
	settle();
	assert_string_equal(answers, "soon:-10: mid:0:in time ");
	pass(3600 * CLOCK_SEC);
	assert_string_equal(answers, "soon:-10: mid:0:in time late:-10: ");
	assert_string_equal(states, "R");
}

static void a_call_in_line_times_out_too(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < KEYPROTO_CREDIT; i++)
		assert_int_equal(call("x", 0), 0);
	assert_int_equal(call("line", CLOCK_SEC), 0);
	settle();
	pass(CLOCK_SEC);
	assert_string_equal(answers, "line:-10: ");
	keyd_answer(0, 0, "");
	settle();
	assert_int_equal(keyd.count, KEYPROTO_CREDIT);
	answers[0] = '\0';
}

static void a_lost_connection_answers_every_call_and_comes_back(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < KEYPROTO_CREDIT + 1; i++)
		assert_int_equal(call("x", 0), 0);
	settle();
	keyd_stop();
	settle();
	assert_string_equal(states, "RA");
	assert_int_equal(strlen(answers), (KEYPROTO_CREDIT + 1) * strlen("x:-9: "));
	assert_int_equal(call("y", 0), ERR_AWAY);
	keyd_start();
	pass(99000);
	assert_string_equal(states, "RA");
	pass(1000);
	assert_string_equal(states, "RAR");
	assert_int_equal(keyd.connections, 2);
	assert_string_equal(logged, "");
}

static void while_keyd_is_away_tries_become_rarer_up_to_two_seconds(void **state)
{
	int64_t waited = 0;

	(void)state;
	keyd_stop();
	begin();
	pass(60 * CLOCK_SEC); /* at most one try, the next in at most 2 s */
	keyd_start();
	while (states[0] == '\0' && waited < 10 * CLOCK_SEC) {
		pass(50000);
		waited += 50000;
	}
	assert_true(waited <= 2 * CLOCK_SEC);
	assert_string_equal(states, "R");
	assert_string_equal(logged, "");
}

static void pushes_change_the_state_and_a_locked_keyd_refuses_at_once(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < KEYPROTO_CREDIT; i++)
		assert_int_equal(call("x", 0), 0);
	assert_int_equal(call("line", 0), 0);
	settle();
	keyd_push(KEYPROTO_LOCKED);
	settle();
	assert_string_equal(states, "RL");
	assert_string_equal(answers, "line:-8: ");
	assert_int_equal(call("y", 0), ERR_LOCKED);
	keyd_push(KEYPROTO_ERROR);
	settle();
	assert_int_equal(call("y", 0), ERR_AWAY);
	keyd_push(KEYPROTO_READY);
	settle();
	assert_int_equal(call("y", 0), 0);
	assert_string_equal(states, "RLXR");
	answers[0] = '\0';
}

static void a_locked_keyd_still_tells_its_status(void **state)
{
	char name[] = "s";

	(void)state;
	keyd.state = KEYPROTO_LOCKED;
	begin();
	assert_string_equal(states, "L");
	assert_int_equal(keyproto_client_ev_call(client, KEYPROTO_STATUS, 0, NULL, NULL, on_answer,
						 name),
			 0);
	settle();
	keyd_answer(0, 0, "{}");
	settle();
	assert_string_equal(answers, "s:0:{} ");
}

static void a_refused_hello_is_away_and_logged_once(void **state)
{
	(void)state;
	keyd.hello_status = KEYPROTO_E_DENIED;
	begin();
	assert_string_equal(states, "");
	assert_string_equal(logged, "sealpost warning - event=keyd-refused role=relay step=hello "
				    "error=\"not permitted\"");
	logged[0] = '\0';
	pass(CLOCK_SEC);
	assert_int_equal(keyd.connections, 2);
	assert_string_equal(logged, "");
	keyd.hello_status = 0;
	pass(CLOCK_SEC);
	assert_string_equal(states, "R");
}

static void a_hello_without_an_answer_is_given_up_after_five_seconds(void **state)
{
	(void)state;
	keyd.mute = 1;
	begin();
	pass(4 * CLOCK_SEC);
	assert_int_equal(keyd.connections, 1);
	pass(CLOCK_SEC);
	assert_non_null(strstr(logged, "error=\"timed out\""));
	keyd.mute = 0;
	pass(CLOCK_SEC);
	assert_string_equal(states, "R");
}

static void breach(const void *bytes, size_t n)
{
	begin();
	assert_int_equal(call("x", 0), 0);
	settle();
	assert_int_equal(evt_conn_write(keyd.c, bytes, n), 0);
	settle();
	assert_string_equal(states, "RA");
	assert_string_equal(answers, "x:-9: ");
	assert_non_null(strstr(logged, "event=keyd-refused"));
}

static void garbage_ends_the_connection(void **state)
{
	(void)state;
	breach("HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

static void an_answer_nobody_asked_for_ends_the_connection(void **state)
{
	static const uint8_t frame[WIRE_FRAME_HEAD] = {0, 1, 0, KEYPROTO_SIGN, 0, 0, 0, 0,
						       0, 0, 0, 0, 9, 9, 9, 9};

	(void)state;
	breach(frame, sizeof(frame));
}

static void an_answer_with_another_operation_ends_the_connection(void **state)
{
	uint8_t frame[WIRE_FRAME_HEAD] = {0, 1, 0, KEYPROTO_MAC};

	(void)state;
	frame[14] = 1; /* the first call's id is 256 */
	breach(frame, sizeof(frame));
}

static int refuse(struct buf *body, const void *message)
{
	(void)body;
	(void)message;
	return ERR_FORMAT;
}

static void a_request_that_cannot_be_written_is_refused_and_leaves_no_trace(void **state)
{
	(void)state;
	begin();
	assert_int_equal(call("w", CLOCK_SEC), 0);
	assert_int_equal(keyproto_client_ev_call(client, KEYPROTO_SIGN, CLOCK_SEC, refuse, NULL,
						 on_answer, NULL),
			 ERR_FORMAT);
	assert_int_equal(call("x", 0), 0);
	settle();
	assert_int_equal(keyd.count, 2);
	keyd_answer(0, 0, "");
	keyd_answer(1, 0, "");
	settle();
	pass(2 * CLOCK_SEC);
	assert_string_equal(answers, "w:0: x:0: ");
}

static void free_in_answer(void *arg, int err, struct span reply)
{
	note(arg, err, reply);
	keyproto_client_ev_free(client);
	client = NULL;
}

static void the_client_may_be_freed_in_an_answer(void **state)
{
	char name[] = "f";

	(void)state;
	begin();
	assert_int_equal(keyproto_client_ev_call(client, KEYPROTO_SIGN, 0, NULL, NULL,
						 free_in_answer, name),
			 0);
	assert_int_equal(call("x", 0), 0);
	settle();
	keyd_answer(0, 0, "");
	keyd_answer(1, 0, "");
	settle();
	assert_string_equal(answers, "f:0: x:-9: ");
}

static void the_client_may_be_freed_when_a_call_times_out(void **state)
{
	char name[] = "f";

	(void)state;
	begin();
	assert_int_equal(keyproto_client_ev_call(client, KEYPROTO_SIGN, CLOCK_SEC, NULL, NULL,
						 free_in_answer, name),
			 0);
	assert_int_equal(call("x", CLOCK_SEC), 0);
	settle();
	pass(CLOCK_SEC);
	assert_string_equal(answers, "f:-10: x:-9: ");
}

static void ask_again(void *arg, int err, struct span reply)
{
	note("again", err, reply);
	if (err == 0)
		assert_int_equal(keyproto_client_ev_call(client, KEYPROTO_SIGN, 0, NULL, NULL,
							 ask_again, arg),
				 0);
}

static void an_answer_may_ask_again_and_places_are_used_again(void **state)
{
	(void)state;
	begin();
	assert_int_equal(keyproto_client_ev_call(client, KEYPROTO_SIGN, 0, NULL, NULL, ask_again,
						 NULL),
			 0);
	for (int i = 0; i < 600; i++) {
		evt_loop_turn(loop, 0);
		evt_loop_turn(loop, 0);
		assert_int_equal(keyd.count, i + 1);
		keyd_answer(i, 0, "");
		evt_loop_turn(loop, 0);
	}
	assert_int_equal(strlen(answers), 600 * strlen("again:0: "));
	assert_string_equal(states, "R");
}

static void a_new_epoch_is_told_though_the_state_stays(void **state)
{
	(void)state;
	begin();
	assert_string_equal(states, "R");
	keyd_push(KEYPROTO_READY); /* nothing new */
	settle();
	assert_string_equal(states, "R");
	keyd.epoch++;
	keyd_push(KEYPROTO_READY);
	settle();
	assert_string_equal(states, "RR");
	keyd.epoch++;
	keyd_push(KEYPROTO_LOCKED); /* once, though both have changed */
	settle();
	assert_string_equal(states, "RRL");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_new_epoch_is_told_though_the_state_stays),
	    T(it_says_hello_and_learns_the_state),
	    T(answers_may_come_in_any_order),
	    T(requests_of_one_turn_leave_in_one_write),
	    T(beyond_the_credit_calls_wait_in_line),
	    T(the_line_has_an_end),
	    T(calls_time_out_each_at_its_time),
	    T(a_call_in_line_times_out_too),
	    T(a_lost_connection_answers_every_call_and_comes_back),
	    T(while_keyd_is_away_tries_become_rarer_up_to_two_seconds),
	    T(pushes_change_the_state_and_a_locked_keyd_refuses_at_once),
	    T(a_locked_keyd_still_tells_its_status),
	    T(a_refused_hello_is_away_and_logged_once),
	    T(a_hello_without_an_answer_is_given_up_after_five_seconds),
	    T(garbage_ends_the_connection),
	    T(an_answer_nobody_asked_for_ends_the_connection),
	    T(an_answer_with_another_operation_ends_the_connection),
	    T(a_request_that_cannot_be_written_is_refused_and_leaves_no_trace),
	    T(the_client_may_be_freed_in_an_answer),
	    T(the_client_may_be_freed_when_a_call_times_out),
	    T(an_answer_may_ask_again_and_places_are_used_again),
	};

	return cmocka_run_group_tests_name("keyproto_client_ev", tests, NULL, NULL);
}
