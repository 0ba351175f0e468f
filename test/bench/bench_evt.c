/* SPDX-License-Identifier: Apache-2.0 */
/* bench_evt - what a turn of the frame costs: echoes over loopback in clear and under TLS, both
 * sides in this process, and messages between two threads. Usage:
 * bench_evt [all|echo-clear|echo-tls|handshake|inbox] [ROUNDS] [BYTES] */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "evt/evt_conn.h"
#include "evt/evt_inbox.h"
#include "evt/evt_listen.h"
#include "evt/evt_tls.h"
#include "test/unit/pki.h"

#define PAIRS 50
#define BYTES_MAX (1u << 20)

static struct evt_loop *loop;
static SSL_CTX *server, *client;
static struct sockaddr_storage address;
static long left, handshakes;
static int tls, reconnect;
static SSL_SESSION *session;
static size_t size = 4096;
static char body[BYTES_MAX];

static double now(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void on_server(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	struct buf *in = evt_conn_in(c);

	(void)arg;
	if (ev == EVT_CONN_DATA && buf_size(in) >= size) {
		evt_conn_write(c, buf_ptr(in), size);
		buf_drain(in, size);
	} else if (ev == EVT_CONN_EOF || ev == EVT_CONN_ERROR) {
		evt_conn_finish(c);
	}
}

static void on_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
	struct evt_conn *c = evt_conn_accept(loop, fd, 2 * BYTES_MAX, on_server, arg);

	(void)peer;
	if (!c || (tls && evt_conn_tls_accept(c, server) < 0))
		abort();
}

static void on_client(void *arg, struct evt_conn *c, enum evt_conn_event ev);

static void start(void)
{
	int err;

	if (!evt_conn_connect(loop, &address, NULL, 2 * BYTES_MAX, on_client, NULL, &err))
		abort();
}

static void end_of_one(void)
{
	if (--left == 0)
		evt_loop_stop(loop);
}

static void on_client(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	struct buf *in = evt_conn_in(c);

	(void)arg;
	switch (ev) {
	case EVT_CONN_CONNECTED:
		if (tls && evt_conn_tls_connect(c, client, NULL, session) < 0)
			abort();
		evt_conn_write(c, body, size);
		break;
	case EVT_CONN_DATA:
		if (buf_size(in) < size)
			break;
		buf_drain(in, size);
		end_of_one();
		if (reconnect) {
			evt_conn_finish(c);
			start();
		} else {
			evt_conn_write(c, body, size);
		}
		break;
	case EVT_CONN_TLS:
		handshakes++;
		break;
	case EVT_CONN_EOF:
	case EVT_CONN_ERROR:
		abort();
	default:
		break;
	}
}

static void make_contexts(void)
{
	char path[] = "/tmp/bench_evt.XXXXXX";
	const char *why;
	struct pki pki;

	close(mkstemp(path));
	pki_make(&pki, "EC", "relay.example.test");
	pki_write_leaf(&pki, path, 0);
	server = evt_tls_server(path, pki.key, &why);
	client = evt_tls_client(NULL, 0, &why);
	unlink(path);
	if (!server || !client)
		abort();
	pki_clear(&pki);
}

static void echo(const char *name, long rounds)
{
	struct evt_listen *li;
	double cpu, wall;
	int err;

	loop = evt_loop_new();
	evt_listen_address(SPAN_LIT("127.0.0.1:0"), &address, NULL);
	li = evt_listen_tcp(loop, &address, 0, on_accept, NULL, &err);
	((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)evt_listen_port(li));
	for (int i = 0; i < PAIRS; i++)
		start();
	left = PAIRS * 4; /* warm */
	evt_loop_run(loop);
	left = rounds;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	wall = now(CLOCK_MONOTONIC);
	evt_loop_run(loop);
	printf("%-12s %8ld rounds of %zu bytes: %7.2f us CPU, %7.2f us each\n", name, rounds, size,
	       (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)rounds,
	       (now(CLOCK_MONOTONIC) - wall) / (double)rounds);
	evt_listen_close(li);
}

static struct evt_inbox *there;
static long got;

static void on_messages(void *arg, struct evt_msg *batch)
{
	while (batch) {
		struct evt_msg *m = batch;
		batch = m->next;
		if (++got == *(long *)arg)
			evt_loop_stop(loop);
	}
}

static void *post_all(void *arg)
{
	long n = *(long *)arg;
	struct evt_msg *m = calloc((size_t)n, sizeof(*m));

	for (long i = 0; i < n; i++)
		evt_inbox_post(there, &m[i]);
	return m;
}

static void inbox(long rounds)
{
	double cpu, wall;
	pthread_t thread;
	void *memory;

	loop = evt_loop_new();
	there = evt_inbox_new(loop, on_messages, &rounds);
	got = 0;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	wall = now(CLOCK_MONOTONIC);
	pthread_create(&thread, NULL, post_all, &rounds);
	evt_loop_run(loop);
	pthread_join(thread, &memory);
	printf("%-12s %8ld messages: %7.3f us CPU, %7.3f us each\n", "inbox", rounds,
	       (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)rounds,
	       (now(CLOCK_MONOTONIC) - wall) / (double)rounds);
	free(memory);
	evt_inbox_free(there);
	evt_loop_free(loop);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "all";
	long rounds = argc > 2 ? atol(argv[2]) : 0;
	int all = !strcmp(what, "all");

	if (argc > 3)
		size = (size_t)atol(argv[3]);
	if (size > BYTES_MAX)
		return 64;
	make_contexts();
	if (all || !strcmp(what, "echo-clear"))
		echo("echo-clear", rounds ? rounds : 100000);
	tls = 1;
	if (all || !strcmp(what, "echo-tls"))
		echo("echo-tls", rounds ? rounds : 100000);
	if (all || !strcmp(what, "inbox"))
		inbox(rounds ? rounds : 1000000);
	reconnect = 1;
	if (all || !strcmp(what, "handshake"))
		echo("handshake", rounds ? rounds : 1000);
	return 0;
}
