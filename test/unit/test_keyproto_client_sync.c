/* SPDX-License-Identifier: Apache-2.0 */
/* The blocking client against a keyd made of one thread that does what the test tells it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "keyproto/keyproto_client_sync.h"
#include "wire/wire_frame.h"
#include "wire/wire_put.h"

/* What keyd does with a request after HELLO. */
enum manner {
	ANSWER,	       /* reply: the request's body, reversed in order of its bytes */
	ANSWER_SLOWLY, /* the same, one byte a write */
	PUSH_FIRST,    /* an event "locked", a push nobody knows, then the answer */
	REFUSE,	       /* status E_AUTH */
	SILENCE,       /* no answer until the connection closes */
	HANG_UP,       /* closes */
	OTHER_ID,      /* answers another request */
	OTHER_OP,      /* answers with another operation */
	GARBAGE,       /* not a frame */
	HUGE_REPLY     /* a body of WIRE_FRAME_BODY_MAX */
};
enum hello { WELCOME, UNWELCOME, OTHER_VERSION, MUTE };

static char dir[64], path[96];

struct keyd {
	pthread_t thread;
	int listener, stop[2];
	enum manner manner;
	_Atomic enum hello hello;
	uint8_t state;
	unsigned hellos, requests; /* seen */
	int conn;		   /* the last one, -1 before it and after; under lock */
	pthread_mutex_t lock;
};
static struct keyd keyd = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void say(int fd, uint16_t op, uint64_t id, uint32_t status, struct span body, size_t step)
{
	struct span s;
	struct buf b;
	size_t at;

	buf_init(&b, 100000);
	at = wire_frame_open(&b);
	wire_put_raw(&b, body.p, body.n);
	wire_frame_close(&b, at, op, id, status, 1);
	for (s = buf_span(&b); s.n; s = span_sub(s, step, s.n))
		if (send(fd, s.p, s.n < step ? s.n : step, MSG_NOSIGNAL) < 0)
			break;
	buf_clear(&b);
}

static void say_event(int fd, uint8_t state)
{
	say(fd, KEYPROTO_EVENT, 0, 0, span_of(&state, 1), 65536);
}

/* 0 if the connection shall be closed. */
static int serve(struct keyd *k, int fd, const struct wire_frame *f)
{
	static uint8_t big[WIRE_FRAME_BODY_MAX];
	uint8_t body[256];
	struct span answer;

	if (f->opcode == KEYPROTO_HELLO) {
		uint8_t reply[19] = {0, k->hello == OTHER_VERSION ? 2 : 1, k->state};
		k->hellos++;
		if (k->hello == WELCOME || k->hello == OTHER_VERSION)
			say(fd, f->opcode, f->request, 0, span_of(reply, 19), 65536);
		if (k->hello == UNWELCOME)
			say(fd, f->opcode, f->request, KEYPROTO_E_DENIED, span_of(NULL, 0), 65536);
		return k->hello != UNWELCOME;
	}
	k->requests++;
	for (size_t i = 0; i < f->body.n; i++)
		body[i] = f->body.p[f->body.n - 1 - i];
	answer = span_of(body, f->body.n);
	switch (k->manner) {
	case PUSH_FIRST:
		say_event(fd, KEYPROTO_LOCKED);
		say(fd, 999, 0, 0, SPAN_LIT("from the future"), 65536);
		/* fall through */
	case ANSWER:
		say(fd, f->opcode, f->request, 0, answer, 65536);
		break;
	case ANSWER_SLOWLY:
		say(fd, f->opcode, f->request, 0, answer, 1);
		break;
	case REFUSE:
		say(fd, f->opcode, f->request, KEYPROTO_E_AUTH, span_of(NULL, 0), 65536);
		break;
	case SILENCE:
		break;
	case HANG_UP:
		return 0;
	case OTHER_ID:
		say(fd, f->opcode, f->request + 1, 0, answer, 65536);
		break;
	case OTHER_OP:
		say(fd, f->opcode + 1, f->request, 0, answer, 65536);
		break;
	case GARBAGE:
		send(fd, "451 not a frame\r\n", 17, MSG_NOSIGNAL);
		break;
	case HUGE_REPLY:
		memset(big, 'b', sizeof(big));
		say(fd, f->opcode, f->request, 0, span_of(big, sizeof(big)), 5000);
		break;
	}
	return 1;
}

/* 1 if fd can be read, 0 if the test wants the thread to end. */
static int ready(struct keyd *k, int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = k->stop[0], .events = POLLIN}};

	poll(p, 2, -1);
	return !p[1].revents;
}

static void converse(struct keyd *k, int fd)
{
	struct wire_frame f;
	struct buf in;

	buf_init(&in, 100000);
	while (ready(k, fd)) {
		uint8_t *p = buf_reserve(&in, 10000);
		ssize_t got = recv(fd, p, 10000, 0);
		int n = 0;
		if (got <= 0)
			break;
		buf_commit(&in, (size_t)got);
		while ((n = wire_frame_parse(buf_span(&in), &f)) > 0 && serve(k, fd, &f))
			buf_drain(&in, (size_t)n);
		if (n != 0)
			break;
	}
	buf_clear(&in);
}

static void keyd_conn(struct keyd *k, int fd)
{
	pthread_mutex_lock(&k->lock);
	k->conn = fd;
	pthread_mutex_unlock(&k->lock);
}

static void *keyd_main(void *arg)
{
	struct keyd *k = arg;

	while (ready(k, k->listener)) {
		int fd = accept4(k->listener, NULL, NULL, SOCK_CLOEXEC);
		keyd_conn(k, fd);
		converse(k, fd);
		keyd_conn(k, -1);
		close(fd);
	}
	return NULL;
}

static void keyd_start(enum manner manner)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	keyd.manner = manner;
	keyd.hello = WELCOME;
	keyd.state = KEYPROTO_READY;
	keyd.hellos = keyd.requests = 0;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	unlink(path);
	keyd.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(keyd.listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(keyd.listener, 5), 0);
	assert_int_equal(pipe(keyd.stop), 0);
	assert_int_equal(pthread_create(&keyd.thread, NULL, keyd_main, &keyd), 0);
}

static void keyd_stop(void)
{
	assert_int_equal(write(keyd.stop[1], "x", 1), 1);
	pthread_join(keyd.thread, NULL);
	close(keyd.listener);
	close(keyd.stop[0]);
	close(keyd.stop[1]);
	unlink(path);
}

static struct keyproto_client_sync *client(int64_t timeout)
{
	struct keyproto_client_sync *c =
	    keyproto_client_sync_new(path, KEYPROTO_ROLE_MILTER, "test", timeout);

	assert_non_null(c);
	return c;
}

static int ask(struct keyproto_client_sync *c, const char *text, struct span *reply)
{
	wire_put_raw(keyproto_client_sync_begin(c), text, strlen(text));
	return keyproto_client_sync_call(c, KEYPROTO_STATUS, reply);
}

static void a_call_connects_says_hello_and_brings_the_reply(void **state)
{
	struct keyproto_client_sync *c = client(5 * CLOCK_SEC);
	struct span reply;
	uint8_t now;

	(void)state;
	keyd_start(ANSWER);
	assert_int_equal(ask(c, "abc", &reply), 0);
	assert_true(span_equal(reply, SPAN_LIT("cba")));
	assert_int_equal(ask(c, "two", &reply), 0);
	assert_true(span_equal(reply, SPAN_LIT("owt")));
	assert_int_equal(keyproto_client_sync_call(c, KEYPROTO_LOCK, &reply), 0);
	assert_int_equal(reply.n, 0);
	assert_int_equal(keyproto_client_sync_open(c, &now), 0);
	assert_int_equal(now, KEYPROTO_READY);
	keyproto_client_sync_free(c);
	keyd_stop();
	assert_int_equal(keyd.hellos, 1);
	assert_int_equal(keyd.requests, 3);
}

static void a_reply_in_pieces_or_of_full_size_arrives_whole(void **state)
{
	struct keyproto_client_sync *c = client(5 * CLOCK_SEC);
	struct span reply;

	(void)state;
	keyd_start(ANSWER_SLOWLY);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(c, "piecemeal", &reply), 0);
		assert_true(span_equal(reply, SPAN_LIT("laemeceip")));
	}
	keyproto_client_sync_free(c);
	keyd_stop();

	c = client(5 * CLOCK_SEC);
	keyd_start(HUGE_REPLY);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(c, "x", &reply), 0);
		assert_int_equal(reply.n, WIRE_FRAME_BODY_MAX);
		assert_int_equal(reply.p[WIRE_FRAME_BODY_MAX - 1], 'b');
	}
	keyproto_client_sync_free(c);
	keyd_stop();
}

static void pushes_between_are_read_and_tell_the_state(void **state)
{
	struct keyproto_client_sync *c = client(5 * CLOCK_SEC);
	struct span reply;
	uint8_t now;

	(void)state;
	keyd_start(PUSH_FIRST);
	assert_int_equal(ask(c, "abc", &reply), 0);
	assert_true(span_equal(reply, SPAN_LIT("cba")));
	assert_int_equal(keyproto_client_sync_open(c, &now), 0);
	assert_int_equal(now, KEYPROTO_LOCKED);
	/* A push without a request is seen by the next look. */
	pthread_mutex_lock(&keyd.lock);
	say_event(keyd.conn, KEYPROTO_READY);
	pthread_mutex_unlock(&keyd.lock);
	assert_int_equal(keyproto_client_sync_open(c, &now), 0);
	assert_int_equal(now, KEYPROTO_READY);
	keyproto_client_sync_free(c);
	keyd_stop();
	assert_int_equal(keyd.hellos, 1);
}

static void a_status_becomes_an_error_and_the_connection_stays(void **state)
{
	struct keyproto_client_sync *c = client(5 * CLOCK_SEC);
	struct span reply;

	(void)state;
	keyd_start(REFUSE);
	assert_int_equal(ask(c, "abc", &reply), ERR_AUTH);
	assert_int_equal(reply.n, 0);
	assert_int_equal(ask(c, "abc", &reply), ERR_AUTH);
	keyproto_client_sync_free(c);
	keyd_stop();
	assert_int_equal(keyd.hellos, 1);
}

static void keyd_away_is_said_at_once_and_back_is_noticed(void **state)
{
	struct keyproto_client_sync *c = client(5 * CLOCK_SEC);
	struct span reply;
	uint8_t now = 77;

	(void)state;
	assert_int_equal(keyproto_client_sync_open(c, &now), ERR_AWAY);
	assert_int_equal(now, 0);
	assert_int_equal(ask(c, "abc", &reply), ERR_AWAY);
	keyd_start(ANSWER);
	assert_int_equal(ask(c, "abc", &reply), 0);
	keyd_stop();
	assert_int_equal(keyproto_client_sync_open(c, &now), ERR_AWAY);
	keyd_start(ANSWER);
	assert_int_equal(keyproto_client_sync_open(c, &now), 0);
	keyd_stop();
	keyd_start(ANSWER); /* gone and back between two calls */
	assert_int_equal(ask(c, "abc", &reply), 0);
	keyproto_client_sync_free(c);
	keyd_stop();
}

static void silence_is_a_timeout_and_late_answers_are_never_taken_for_the_next(void **state)
{
	struct keyproto_client_sync *c = client(CLOCK_SEC / 20);
	struct span reply;

	(void)state;
	keyd_start(SILENCE);
	assert_int_equal(ask(c, "abc", &reply), ERR_TIMEOUT);
	assert_int_equal(ask(c, "abc", &reply), ERR_TIMEOUT);
	keyd_stop();
	assert_int_equal(keyd.hellos, 2); /* the first connection was given up */
	keyd_start(ANSWER);
	keyd.hello = MUTE;
	assert_int_equal(keyproto_client_sync_open(c, NULL), ERR_TIMEOUT);
	keyproto_client_sync_free(c);
	keyd_stop();
}

static void a_broken_answer_ends_the_connection_and_the_next_call_has_a_new_one(void **state)
{
	static const struct {
		enum manner manner;
		int err;
	} rows[] = {{HANG_UP, ERR_CLOSED},
		    {OTHER_ID, ERR_FORMAT},
		    {OTHER_OP, ERR_FORMAT},
		    {GARBAGE, ERR_FORMAT}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct keyproto_client_sync *c = client(5 * CLOCK_SEC);
		struct span reply;
		keyd_start(rows[i].manner);
		assert_int_equal(ask(c, "abc", &reply), rows[i].err);
		assert_int_equal(ask(c, "abc", &reply), rows[i].err);
		keyproto_client_sync_free(c);
		keyd_stop();
		assert_int_equal(keyd.hellos, 2);
		assert_int_equal(keyd.requests, 2);
	}
}

static void a_role_refused_or_another_version_is_no_connection(void **state)
{
	struct keyproto_client_sync *c = client(5 * CLOCK_SEC);
	uint8_t now;

	(void)state;
	keyd_start(ANSWER);
	keyd.hello = UNWELCOME;
	assert_int_equal(keyproto_client_sync_open(c, &now), ERR_DENIED);
	assert_int_equal(now, 0);
	keyd_stop();
	keyd_start(ANSWER);
	keyd.hello = OTHER_VERSION;
	assert_int_equal(keyproto_client_sync_open(c, &now), ERR_UNSUPPORTED);
	keyproto_client_sync_free(c);
	keyd_stop();
}

static void a_bad_argument_is_found_by_call_and_nothing_is_sent(void **state)
{
	struct keyproto_client_sync *c = client(5 * CLOCK_SEC);
	struct keyproto_sign bad = {SPAN_LIT("No Label"), KEYPROTO_ALG_ES256, SPAN_LIT("x")};
	struct span reply;

	(void)state;
	keyd_start(ANSWER);
	keyproto_sign_put(keyproto_client_sync_begin(c), &bad);
	assert_int_equal(keyproto_client_sync_call(c, KEYPROTO_SIGN, &reply), ERR_FORMAT);
	assert_int_equal(ask(c, "abc", &reply), 0);
	keyproto_client_sync_free(c);
	keyd_stop();
	assert_int_equal(keyd.hellos, 1);
	assert_int_equal(keyd.requests, 1);
}

static void a_path_too_long_for_a_socket_is_refused(void **state)
{
	char longest[200];
	struct keyproto_client_sync *c;

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	c = keyproto_client_sync_new(longest, KEYPROTO_ROLE_MILTER, "test", CLOCK_SEC);
	assert_int_equal(keyproto_client_sync_open(c, NULL), ERR_LIMIT);
	keyproto_client_sync_free(c);
	keyproto_client_sync_free(NULL);
}

static void nothing_is_said_to_a_server_that_is_somebody_else(void **state)
{
	struct keyproto_client_sync *c = client(CLOCK_SEC);
	const uid_t other[] = {getuid() + 1, getuid() + 2}, also[] = {getuid() + 1, getuid()};
	struct span reply;

	(void)state;
	keyd_start(ANSWER);
	keyproto_client_sync_trust(c, other, 2);
	assert_int_equal(keyproto_client_sync_open(c, NULL), ERR_AUTH);
	keyproto_client_sync_begin(c);
	assert_int_equal(keyproto_client_sync_call(c, KEYPROTO_LOCK, &reply), ERR_AUTH);
	keyproto_client_sync_trust(c, also, 2);
	assert_int_equal(keyproto_client_sync_open(c, NULL), 0);
	keyproto_client_sync_free(c);
	keyd_stop();
	assert_int_equal(keyd.hellos, 1);
	assert_int_equal(keyd.requests, 0);
}

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_keyproto.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/keyd.sock", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_call_connects_says_hello_and_brings_the_reply),
	    cmocka_unit_test(a_reply_in_pieces_or_of_full_size_arrives_whole),
	    cmocka_unit_test(pushes_between_are_read_and_tell_the_state),
	    cmocka_unit_test(a_status_becomes_an_error_and_the_connection_stays),
	    cmocka_unit_test(keyd_away_is_said_at_once_and_back_is_noticed),
	    cmocka_unit_test(silence_is_a_timeout_and_late_answers_are_never_taken_for_the_next),
	    cmocka_unit_test(a_broken_answer_ends_the_connection_and_the_next_call_has_a_new_one),
	    cmocka_unit_test(a_role_refused_or_another_version_is_no_connection),
	    cmocka_unit_test(a_bad_argument_is_found_by_call_and_nothing_is_sent),
	    cmocka_unit_test(nothing_is_said_to_a_server_that_is_somebody_else),
	    cmocka_unit_test(a_path_too_long_for_a_socket_is_refused),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
