/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_load - asks keyd for one thing over and over and says how fast the answers came.
 *
 * usage: keyd_load --socket PATH --test NAME [--seconds N] [--depth N] [--connections N] [--items N] [--bytes N]
 *                  [--idle N] [--customer NAME] [--label LABEL] [--alg ALG]
 * Tests: derive (keys of existing objects), seal, open (fields), sign; echo: no keyd at all, a process that sends
 * back what it gets, as the ceiling of the socket and of this program. --items: objects or fields in one request.
 * --depth: requests under way on each connection. --idle: connections that only say HELLO, beside the others. Every answer is read in full; one that is not good counts as failed.
 * The last line printed is one JSON object. Exit 0 if something was asked and nothing failed. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "core/num.h"
#include "core/rand.h"
#include "keyproto/keyproto_msg.h"
#include "seal/seal_field.h"
#include "test/tool/tool.h"
#include "wire/wire_frame.h"

#define DEPTH_MAX   1024
#define LATENCY_MAX (16u << 20)
#define BUF_MAX	    (4u << 20)
#define AAD	    "default\0relay\0recipients\0address\0"

struct conn {
	int fd, under_way;
	uint64_t next;
	struct buf in, out;
	uint64_t sent[DEPTH_MAX]; /* ns, by request number */
};

static struct {
	const char *socket, *test, *customer, *label, *alg;
	unsigned depth, connections, idle, items, bytes;
	double seconds;
} opt = {.customer = "default",
	 .label = "tls/relay",
	 .alg = "ES256",
	 .depth = 1,
	 .connections = 1,
	 .items = 1,
	 .bytes = 64,
	 .seconds = 2};

static struct buf frame; /* the request, whole; its number is put in place */
static const struct test *test;
static uint32_t *latency; /* ns */
static uint64_t answered, items, failed;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "keyd_load: %s: %s\n", what, strerror(errno));
	exit(75);
}

static void write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t done = send(fd, p, n, MSG_NOSIGNAL);

		if (done <= 0)
			die("send");
		p += done;
		n -= (size_t)done;
	}
}

static void read_more(struct conn *c)
{
	uint8_t *p = buf_reserve(&c->in, 256 * 1024);
	ssize_t n = p ? recv(c->fd, p, 256 * 1024, 0) : -1;

	if (n <= 0)
		die("keyd has closed the connection");
	buf_commit(&c->in, (size_t)n);
}

/* One request and its answer, before the clock runs. The reply lives until the next read. */
static struct span ask(struct conn *c, uint16_t op, struct span body)
{
	struct wire_frame f;
	struct buf b;
	size_t at;
	int n;

	buf_init(&b, BUF_MAX);
	at = wire_frame_open(&b);
	buf_put_span(&b, body);
	if (wire_frame_close(&b, at, op, UINT64_MAX, 0, 0) < 0)
		die("request too long");
	write_all(c->fd, buf_ptr(&b), buf_size(&b));
	buf_clear(&b);
	for (;;) {
		while ((n = wire_frame_parse(buf_span(&c->in), &f)) == 0)
			read_more(c);
		if (n < 0)
			die("not a frame");
		buf_drain(&c->in, (size_t)n);
		if (f.request == UINT64_MAX)
			break;
	}
	if (f.status) {
		fprintf(stderr, "keyd_load: %s: status %" PRIu32 "\n", keyproto_op_name(op),
			f.status);
		exit(75);
	}
	return f.body;
}

/* --- the tests: each writes the body of its request, and reads the body of an answer. */

static struct keyproto_fields fields;
static struct keyproto_derive_existing objects;
static uint8_t plain[KEYPROTO_DATA_MAX];

static void make_seal(struct conn *c, struct buf *body)
{
	(void)c;
	fields.customer = span_str(opt.customer);
	fields.purpose = KEYPROTO_FOR_FIELD;
	fields.count = (uint16_t)opt.items;
	for (unsigned i = 0; i < opt.items; i++)
		fields.items[i] = (struct keyproto_field){span_of(AAD, sizeof(AAD) - 1),
							  span_of(plain, opt.bytes)};
	if (keyproto_fields_put(body, &fields) < 0)
		die("fields");
}

static void make_open(struct conn *c, struct buf *body)
{
	static struct keyproto_result sealed[KEYPROTO_BATCH_MAX];
	struct span reply;

	make_seal(c, body);
	reply = ask(c, KEYPROTO_SEAL_FIELDS, buf_span(body));
	if (keyproto_results_get(reply, sealed) != (int)opt.items)
		die("sealed fields");
	for (unsigned i = 0; i < opt.items; i++)
		fields.items[i].data = sealed[i].data;
	buf_reset(body);
	if (keyproto_fields_put(body, &fields) < 0)
		die("fields");
}

static int read_results(struct span body)
{
	static struct keyproto_result r[KEYPROTO_BATCH_MAX];
	int n = keyproto_results_get(body, r), good = n;

	for (int i = 0; i < n; i++)
		good -= r[i].status != 0;
	return good;
}

static void make_derive(struct conn *c, struct buf *body)
{
	static struct keyproto_derived keys[KEYPROTO_BATCH_MAX];
	static struct keyproto_derive_new m;
	struct span reply;

	m = (struct keyproto_derive_new){.customer = span_str(opt.customer),
					 .purpose = KEYPROTO_FOR_SPOOL,
					 .count = (uint16_t)opt.items};
	for (unsigned i = 0; i < opt.items; i++)
		m.contexts[i] = SPAN_LIT("\x01\x07"
					 "default\x08........\x04"
					 "body");
	keyproto_derive_new_put(body, &m);
	reply = ask(c, KEYPROTO_DERIVE_NEW, buf_span(body));
	if (keyproto_derived_get(reply, keys) != (int)opt.items)
		die("derived keys");
	objects.count = (uint16_t)opt.items;
	for (unsigned i = 0; i < opt.items; i++)
		objects.items[i] = (struct keyproto_object){m.customer, m.purpose, keys[i].keyref,
							    keys[i].salt, m.contexts[i]};
	buf_reset(body);
	if (keyproto_derive_existing_put(body, &objects) < 0)
		die("objects");
}

static int read_derived(struct span body)
{
	static struct keyproto_derived r[KEYPROTO_BATCH_MAX];
	int n = keyproto_derived_get(body, r), good = n;

	for (int i = 0; i < n; i++)
		good -= r[i].status != 0;
	return good;
}

static void make_sign(struct conn *c, struct buf *body)
{
	struct keyproto_sign m = {.label = span_str(opt.label), .data = span_of(plain, 130)};

	(void)c;
	memset(plain, ' ', 64); /* as TLS 1.3 begins what it signs */
	for (unsigned alg = 1; keyproto_alg_name(alg); alg++)
		if (!strcmp(keyproto_alg_name(alg), opt.alg))
			m.alg = (uint8_t)alg;
	opt.items = 1;
	if (keyproto_sign_put(body, &m) < 0)
		die("sign");
}

static int read_signature(struct span body)
{
	struct span sig;

	return keyproto_bytes_get(body, &sig) == 0 && sig.n >= 64;
}

static void make_echo(struct conn *c, struct buf *body)
{
	(void)c;
	opt.items = 1;
	buf_put(body, plain, opt.bytes);
}

static int read_echo(struct span body)
{
	return body.n == opt.bytes;
}

static const struct test {
	const char *name;
	uint16_t op;
	void (*make)(struct conn *c, struct buf *body);
	int (*read)(struct span body); /* good items */
} tests[] = {
    {"derive", KEYPROTO_DERIVE_EXISTING, make_derive, read_derived},
    {"seal", KEYPROTO_SEAL_FIELDS, make_seal, read_results},
    {"open", KEYPROTO_OPEN_FIELDS, make_open, read_results},
    {"sign", KEYPROTO_SIGN, make_sign, read_signature},
    {"echo", KEYPROTO_STATUS, make_echo, read_echo},
};

/* --- connections */

/* A child that sends back whatever comes, until its peer goes. */
static int echo(void)
{
	static uint8_t piece[256 * 1024];
	int pair[2];
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	switch (fork()) {
	case -1:
		die("fork");
		break;
	case 0:
		close(pair[0]);
		while ((n = recv(pair[1], piece, sizeof(piece), 0)) > 0)
			write_all(pair[1], piece, (size_t)n);
		_exit(0);
	default:
		close(pair[1]);
	}
	return pair[0];
}

static int reach(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(a.sun_path))
		die("socket");
	strcpy(a.sun_path, path);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(path);
	return fd;
}

static void open_conn(struct conn *c)
{
	struct keyproto_hello hello = {1, 1, KEYPROTO_ROLE_RELAY, SPAN_LIT("keyd_load")};
	struct buf body;

	memset(c, 0, sizeof(*c));
	buf_init(&c->in, BUF_MAX);
	buf_init(&c->out, BUF_MAX);
	c->fd = test->op == KEYPROTO_STATUS ? echo() : reach(opt.socket);
	if (test->op == KEYPROTO_STATUS)
		return;
	buf_init(&body, 256);
	keyproto_hello_put(&body, &hello);
	ask(c, KEYPROTO_HELLO, buf_span(&body));
	buf_clear(&body);
}

/* As many requests as may be under way, in one write. */
static void fill(struct conn *c)
{
	uint64_t t = now_ns();
	uint8_t *p = (uint8_t *)buf_ptr(&frame);

	for (; c->under_way < (int)opt.depth; c->under_way++) {
		uint64_t number = ++c->next;

		num_put_u64(p + 8, number);
		c->sent[number % DEPTH_MAX] = t;
		buf_put_span(&c->out, buf_span(&frame));
	}
	write_all(c->fd, buf_ptr(&c->out), buf_size(&c->out));
	buf_reset(&c->out);
}

/* The answers that are there. */
static void take(struct conn *c)
{
	uint64_t t = now_ns();
	struct wire_frame f;
	int n, good;

	while ((n = wire_frame_parse(buf_span(&c->in), &f)) > 0) {
		if (f.request) { /* not a push */
			good = f.status ? 0 : test->read(f.body);
			failed += good != (int)opt.items;
			items += good > 0 ? (unsigned)good : 0;
			if (answered < LATENCY_MAX)
				latency[answered] = (uint32_t)(t - c->sent[f.request % DEPTH_MAX]);
			answered++;
			c->under_way--;
		}
		buf_drain(&c->in, (size_t)n);
	}
	if (n < 0)
		die("not a frame");
}

static void run_one(struct conn *c, uint64_t end)
{
	for (;;) {
		int more = now_ns() < end; /* looked at once: with nothing under way no answer comes */
		if (!more && !c->under_way)
			return;
		if (more && c->under_way <= (int)opt.depth / 2)
			fill(c);
		read_more(c);
		take(c);
	}
}

static void run_many(struct conn *conns, uint64_t end)
{
	int ep = epoll_create1(EPOLL_CLOEXEC), n;
	unsigned busy = opt.connections;
	struct epoll_event ev[256];

	for (unsigned i = 0; i < opt.connections; i++) {
		ev[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = &conns[i]};
		if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, ev) < 0)
			die("epoll");
		fill(&conns[i]);
	}
	while (busy) {
		n = epoll_wait(ep, ev, 256, 10000);
		if (n <= 0)
			die("no answer within 10 s");
		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;
			read_more(c);
			take(c);
			if (c->under_way == 0 && now_ns() < end)
				fill(c);
			else
				busy -= c->under_way == 0;
		}
	}
	close(ep);
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double at(double part)
{
	uint64_t n = answered < LATENCY_MAX ? answered : LATENCY_MAX;

	return n ? latency[(uint64_t)(part * (double)(n - 1))] / 1000.0 : 0;
}

static void report(double seconds)
{
	qsort(latency, answered < LATENCY_MAX ? answered : LATENCY_MAX, sizeof(*latency), by_size);
	printf(
	    "{\"test\":\"%s\",\"connections\":%u,\"depth\":%u,\"items\":%u,\"requests\":%" PRIu64
	    ",\"failed\":%" PRIu64 ",\"per_second\":%.1f,\"items_per_second\":%.1f,"
	    "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}\n",
	    opt.test, opt.connections, opt.depth, opt.items, answered, failed,
	    (double)answered / seconds, (double)items / seconds, at(0.5), at(0.9), at(0.99),
	    at(0.999), at(1));
}

static void usage(void)
{
	fprintf(stderr, "usage: keyd_load --socket PATH --test NAME [options]: see the source\n");
	exit(64);
}

static void options(int argc, char **argv)
{
	static const struct option names[] = {
	    {"socket", 1, NULL, 's'}, {"test", 1, NULL, 't'},	     {"seconds", 1, NULL, 'S'},
	    {"depth", 1, NULL, 'd'},  {"connections", 1, NULL, 'c'}, {"items", 1, NULL, 'i'},
	    {"bytes", 1, NULL, 'b'},  {"idle", 1, NULL, 'I'},	     {"customer", 1, NULL, 'u'},
	    {"label", 1, NULL, 'l'},  {"alg", 1, NULL, 'a'},	     {NULL, 0, NULL, 0}};
	struct {
		int c;
		const char **text;
		unsigned *number;
	} rows[] = {{'s', &opt.socket, NULL},	   {'t', &opt.test, NULL},
		    {'u', &opt.customer, NULL},	   {'l', &opt.label, NULL},
		    {'a', &opt.alg, NULL},	   {'d', NULL, &opt.depth},
		    {'c', NULL, &opt.connections}, {'i', NULL, &opt.items},
		    {'b', NULL, &opt.bytes},	   {'I', NULL, &opt.idle}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == '?')
			usage();
		if (c == 'S')
			opt.seconds = atof(optarg);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			if (rows[i].c == c && rows[i].text)
				*rows[i].text = optarg;
			else if (rows[i].c == c)
				*rows[i].number = (unsigned)atoi(optarg);
		}
	}
	for (size_t i = 0; opt.test && i < sizeof(tests) / sizeof(tests[0]); i++)
		if (!strcmp(tests[i].name, opt.test))
			test = &tests[i];
	if (!test || optind != argc || !opt.depth || opt.depth > DEPTH_MAX || !opt.connections ||
	    !opt.items || opt.items > KEYPROTO_BATCH_MAX || opt.bytes > sizeof(plain) ||
	    (!opt.socket && test->op != KEYPROTO_STATUS))
		usage();
}

int main(int argc, char **argv)
{
	struct conn *conns;
	struct buf body;
	uint64_t began;
	size_t open_at;

	options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	tool_descriptors();
	rand_bytes(plain, sizeof(plain));
	latency = calloc(LATENCY_MAX, sizeof(*latency)); /* untouched pages cost nothing */
	conns = calloc((size_t)opt.connections + opt.idle, sizeof(*conns));
	if (!latency || !conns)
		die("memory");
	for (unsigned i = 0; i < opt.connections + opt.idle; i++)
		open_conn(&conns[i]);
	buf_init(&body, BUF_MAX);
	test->make(&conns[0], &body);
	buf_init(&frame, BUF_MAX);
	open_at = wire_frame_open(&frame);
	buf_put_span(&frame, buf_span(&body));
	if (wire_frame_close(&frame, open_at, test->op, 1, 0, 0) < 0)
		die("request too long");
	began = now_ns();
	if (opt.connections == 1)
		run_one(&conns[0], began + (uint64_t)(opt.seconds * 1e9));
	else
		run_many(conns, began + (uint64_t)(opt.seconds * 1e9));
	report((double)(now_ns() - began) / 1e9);
	return answered && !failed ? 0 : 1;
}
