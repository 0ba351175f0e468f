/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_listen.h"

static struct evt_loop *loop;
static char dir[32], path[64];
static int accepted[64], accepted_count;
static struct sockaddr_storage last_peer;
static char logged[512];
static int logged_count;

static void capture(void *arg, const char *line)
{
	(void)arg;
	logged_count++;
	snprintf(logged, sizeof(logged), "%s", line);
}

static int setup(void **state)
{
	(void)state;
	clock_set(1000 * CLOCK_SEC, 0);
	loop = evt_loop_new();
	strcpy(dir, "/tmp/test_evt_listen.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	accepted_count = logged_count = 0;
	logged[0] = '\0';
	log_capture(capture, NULL);
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < accepted_count; i++)
		close(accepted[i]);
	log_capture(NULL, NULL);
	evt_loop_free(loop);
	unlink(path);
	rmdir(dir);
	clock_restore();
	return 0;
}

static void on_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
	(void)arg;
	last_peer = *peer;
	accepted[accepted_count++] = fd;
}

static int connect_unix(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(a.sun_path, path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void addresses_are_read_and_written_back(void **state)
{
	static const struct {
		const char *text, *back;
		unsigned port;
	} good[] = {
	    {"127.0.0.1:2525", "127.0.0.1", 2525},
	    {"[::1]:25", "::1", 25},
	    {"0.0.0.0:0", "0.0.0.0", 0},
	    {"[2001:db8::7]:65535", "2001:db8::7", 65535},
	    {"[::ffff:192.0.2.1]:25", "192.0.2.1", 25},
	};
	static const char *const bad[] = {
	    "",	       "127.0.0.1",   "127.0.0.1:",	 "127.0.0.1:65536", "127.0.0.1:x",
	    "::1:25",  "[127.0.0.1]:25", "localhost:25", "[::1]25",	    "[::1:25",
	    "1.2.3.4:-1", "1.2.3:25",    "[]:25",	 ":25",		    "1.2.3.4:25 ",
	};
	struct sockaddr_storage a;
	socklen_t len;
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(evt_listen_address(span_str(good[i].text), &a, &len), 0);
		assert_int_equal(len, evt_listen_len(&a));
		assert_int_equal(ntohs(((struct sockaddr_in *)&a)->sin_port), good[i].port);
		evt_listen_format(text, &a);
		assert_string_equal(text, good[i].back);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(evt_listen_address(span_str(bad[i]), &a, &len), ERR_FORMAT);
}

static struct evt_listen *listen_any(int reuseport, unsigned port)
{
	struct sockaddr_storage a;
	struct evt_listen *li;
	char text[32];
	int err = 1;

	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	assert_int_equal(evt_listen_address(span_str(text), &a, NULL), 0);
	li = evt_listen_tcp(loop, &a, reuseport, on_accept, NULL, &err);
	assert_true(li ? err == 0 : err == ERR_EXISTS);
	return li;
}

static int connect_tcp(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void accepted_descriptors_do_not_block_nor_delay_and_close_on_exec(void **state)
{
	struct evt_listen *li = listen_any(0, 0);
	int fd[3], on = 0;
	socklen_t len = sizeof(on);
	char text[64];

	(void)state;
	for (int i = 0; i < 3; i++)
		fd[i] = connect_tcp(evt_listen_port(li));
	evt_loop_turn(loop, CLOCK_SEC);
	assert_int_equal(accepted_count, 3);
	for (int i = 0; i < 3; i++) {
		assert_true(fcntl(accepted[i], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(accepted[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(getsockopt(accepted[i], IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
		assert_true(on);
		close(fd[i]);
	}
	evt_listen_format(text, &last_peer);
	assert_string_equal(text, "127.0.0.1");
	evt_listen_close(li);
}

static void a_port_is_shared_only_by_those_who_agree(void **state)
{
	struct evt_listen *a = listen_any(1, 0), *b = listen_any(1, evt_listen_port(a)), *c;

	(void)state;
	assert_non_null(b);
	c = listen_any(0, evt_listen_port(a));
	assert_null(c);
	evt_listen_close(a);
	evt_listen_close(b);
}

static void a_unix_socket_has_its_mode_and_goes_when_closed(void **state)
{
	struct evt_listen *li;
	struct stat st;
	int err, fd;

	(void)state;
	umask(077);
	li = evt_listen_unix(loop, path, 0660, on_accept, NULL, &err);
	assert_non_null(li);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	fd = connect_unix();
	assert_true(fd >= 0);
	evt_loop_turn(loop, CLOCK_SEC);
	assert_int_equal(accepted_count, 1);
	assert_int_equal(last_peer.ss_family, AF_UNIX);
	close(fd);
	evt_listen_close(li);
	assert_int_equal(stat(path, &st), -1);
}

static void a_live_unix_socket_is_not_replaced_and_a_dead_one_is(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct evt_listen *li;
	int err, fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	strcpy(a.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_null(evt_listen_unix(loop, path, 0600, on_accept, NULL, &err));
	assert_int_equal(err, ERR_EXISTS);
	close(fd);
	li = evt_listen_unix(loop, path, 0600, on_accept, NULL, &err);
	assert_non_null(li);
	assert_int_equal(err, 0);
	evt_listen_close(li);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
	int err, fd = open(path, O_CREAT | O_WRONLY, 0600);

	(void)state;
	close(fd);
	assert_null(evt_listen_unix(loop, path, 0600, on_accept, NULL, &err));
	assert_int_equal(err, ERR_EXISTS);
	assert_int_equal(access(path, F_OK), 0);
	assert_null(evt_listen_unix(loop, "/nonexistent/x", 0600, on_accept, NULL, &err));
	assert_int_equal(err, ERR_NOTFOUND);
}

static void closing_leaves_a_successors_socket_alone(void **state)
{
	struct evt_listen *li, *next;
	int err;

	(void)state;
	li = evt_listen_unix(loop, path, 0600, on_accept, NULL, &err);
	unlink(path);
	next = evt_listen_unix(loop, path, 0600, on_accept, NULL, &err);
	assert_non_null(next);
	evt_listen_close(li);
	assert_int_equal(access(path, F_OK), 0);
	evt_listen_close(next);
}

static struct evt_listen *victim;

static void close_victim(void *arg, int fd, const struct sockaddr_storage *peer)
{
	(void)arg;
	(void)peer;
	accepted[accepted_count++] = fd;
	evt_listen_close(victim);
}

static void a_listener_may_be_closed_in_its_own_callback(void **state)
{
	int err, fd[2];

	(void)state;
	victim = evt_listen_unix(loop, path, 0600, close_victim, NULL, &err);
	fd[0] = connect_unix();
	fd[1] = connect_unix();
	evt_loop_turn(loop, CLOCK_SEC);
	assert_int_equal(accepted_count, 1);
	close(fd[0]);
	close(fd[1]);
}

static void accepting_pauses_when_descriptors_run_out_and_goes_on(void **state)
{
	struct evt_listen *li;
	struct rlimit old, low;
	int err, fd, highest;

	(void)state;
	li = evt_listen_unix(loop, path, 0600, on_accept, NULL, &err);
	fd = connect_unix();
	highest = dup(fd);
	close(highest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)highest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (int i = 0; i < 5; i++) {
		evt_loop_turn(loop, 0);
		clock_advance(100000);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(accepted_count, 0);
	assert_int_equal(logged_count, 1);
	assert_non_null(strstr(logged, "event=accept-paused"));
	clock_advance(100000);
	evt_loop_turn(loop, CLOCK_SEC);
	evt_loop_turn(loop, 0);
	assert_int_equal(accepted_count, 1);
	close(fd);
	evt_listen_close(li);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(addresses_are_read_and_written_back),
	    T(accepted_descriptors_do_not_block_nor_delay_and_close_on_exec),
	    T(a_port_is_shared_only_by_those_who_agree),
	    T(a_unix_socket_has_its_mode_and_goes_when_closed),
	    T(a_live_unix_socket_is_not_replaced_and_a_dead_one_is),
	    T(a_file_that_is_no_socket_is_left_alone),
	    T(closing_leaves_a_successors_socket_alone),
	    T(a_listener_may_be_closed_in_its_own_callback),
	    T(accepting_pauses_when_descriptors_run_out_and_goes_on),
	};

	return cmocka_run_group_tests_name("evt_listen", tests, NULL, NULL);
}
