/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_load - sends numbered messages over many sessions and says what became of each.
 *
 * usage: smtp_load --to ADDR:PORT [--tls] [--sessions N] [--messages N] [--size BYTES] [--per-session N]
 *                  [--run NAME] [--first N] [--sender ADDR] [--domain NAME] [--domains N] [--header LINE]... [--acked FILE]
 *                  [--source ADDR:0] [--opening N] [--seconds N] [--retry] [--idle]
 * Every session sends one message after the other, MAIL, RCPT and DATA in one write where the server offers PIPELINING.
 * --per-session N opens a new session after N messages. --domains N spreads the recipients over d0.NAME to d(N-1).NAME.
 * --opening N: at most N sessions are between connect and the answer to (the last) EHLO. With --retry a lost or refused
 * connection is tried again until --seconds are over; a message whose answer never came counts as unknown and is not sent
 * again. --acked writes the numbers answered with 250.
 * Prints one JSON object; greet_* is the time from connect to the greeting, ready_* to the answer to EHLO (under TLS with
 * --tls). Exit 0 if every message was answered with 250.
 * --idle: sends nothing; once all sessions stand (or failed) it prints {"holding": N} and holds them until SIGTERM or
 * --seconds. Exit 0 if none was lost. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/hex.h"
#include "core/num.h"
#include "core/rand.h"
#include "evt/evt_conn.h"
#include "evt/evt_timer.h"
#include "evt/evt_tls.h"
#include "smtp/smtp_reply.h"
#include "test/tool/tool.h"

#define BODIES 64
#define RETRY_WAIT (50 * 1000)
#define HEADERS 8

enum step { GREETING, EHLO, STARTTLS, HANDSHAKE, EHLO2, ENVELOPE, DATA, RESET, QUIT, IDLE };

struct session {
	struct evt_conn *conn;
	struct evt_timer again;
	struct smtp_reply_in reply;
	enum step step;
	int replies_due;  /* of the envelope's three */
	int pipelining;
	int opening;	  /* not ready yet */
	int64_t begun;	  /* mono usec of connect */
	int failed;	  /* a reply of the envelope refused */
	int sent;	  /* messages in this session */
	uint64_t seq;	  /* of the message under way; 0: none */
	int64_t data_end; /* mono usec when the final dot was written */
};

static struct {
	struct sockaddr_storage to;
	struct sockaddr_storage source;
	int tls, sessions, size, per_session, retry, domains, opening, idle;
	const char *header[HEADERS];
	int headers;
	uint64_t messages, first;
	const char *run, *sender, *domain, *acked;
	int64_t seconds;
} opt = {.sessions = 50, .size = 4096, .messages = 1000, .run = "run", .first = 1, .seconds = 60,
	 .sender = "load@sender.example", .domain = "rcpt.example"};

static struct evt_loop *loop;
static SSL_CTX *ctx;
static SSL_SESSION *resume;
static struct session *sessions;
static uint64_t next_seq, answered, acked, refused, unknown, lost_connections;
static uint32_t *latency; /* usec from the final dot to 250 */
struct times {
	uint32_t *usec;
	size_t n, room;
};
static struct times greets, readies;
static int waiting_to_begin, opening_now, next_to_begin;
static FILE *acked_file;
static int running;
static char *bodies[BODIES];
static char digests[BODIES][HEX_SIZE(TOOL_DIGEST)];
static int64_t deadline;

static void begin(struct session *s);
static void open_more(void);

static void note_time(struct times *t, int64_t since)
{
	if (t->n == t->room) {
		size_t room = t->room ? 2 * t->room : 1024;
		uint32_t *more = realloc(t->usec, room * sizeof(*more));
		if (!more)
			return;
		t->usec = more;
		t->room = room;
	}
	t->usec[t->n++] = (uint32_t)(clock_mono() - since);
}

/* The session stands, or has failed: another may be opened. */
static void opened(struct session *s)
{
	if (!s->opening)
		return;
	s->opening = 0;
	opening_now--;
	open_more();
}

/* Bodies are made once: printable, in lines of 76, so that nothing on the way has a reason to change them. */
static void make_bodies(void)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	int n = opt.size > 400 ? opt.size - 400 : 64; /* the headers take the rest */

	for (int b = 0; b < BODIES; b++) {
		uint8_t md[TOOL_DIGEST];
		unsigned mdn;
		char *p = bodies[b] = malloc((size_t)n + 3);
		rand_bytes(p, (size_t)n);
		for (int i = 0; i < n; i++)
			p[i] = letters[(uint8_t)p[i] & 63];
		for (int i = 76; i + 2 < n; i += 78)
			memcpy(p + i, "\r\n", 2);
		memcpy(p + n - 2, "\r\n", 3);
		EVP_Digest(p, (size_t)n, md, &mdn, EVP_sha256(), NULL);
		hex_encode(digests[b], md, TOOL_DIGEST);
	}
}

static void finish_if_done(void)
{
	if (running == 0 || (!opt.idle && answered >= opt.messages))
		evt_loop_stop(loop);
}

/* With --idle: says once that all stand. */
static void holding(void)
{
	static int said;

	if (said || opening_now || waiting_to_begin)
		return;
	said = 1;
	printf("{\"holding\": %d}\n", running);
	fflush(stdout);
}

static void lost(struct session *s)
{
	lost_connections++;
	opened(s);
	if (s->seq) {
		unknown++;
		answered++;
		s->seq = 0;
	}
	evt_conn_close(s->conn);
	s->conn = NULL;
	if (opt.retry && clock_mono() < deadline && next_seq < opt.first + opt.messages) {
		evt_timer_set(&s->again, RETRY_WAIT);
		return;
	}
	running--;
	if (opt.idle)
		holding();
	finish_if_done();
}

static void put_line(struct session *s, const char *line)
{
	evt_conn_write(s->conn, line, strlen(line));
}

/* "r7@rcpt.example", "r7@d3.rcpt.example" */
static void recipient(char *dst, size_t size, uint64_t seq)
{
	if (opt.domains)
		snprintf(dst, size, "r%llu@d%llu.%s", (unsigned long long)seq,
			 (unsigned long long)(seq % (uint64_t)opt.domains), opt.domain);
	else
		snprintf(dst, size, "r%llu@%s", (unsigned long long)seq, opt.domain);
}

/* The commands that are due: all three at once, or the next one. */
static void send_commands(struct session *s)
{
	char text[1024], to[300];

	recipient(to, sizeof(to), s->seq);
	if (s->replies_due == 3) {
		snprintf(text, sizeof(text), "MAIL FROM:<%s>\r\n", opt.sender);
		put_line(s, text);
	}
	if (s->replies_due == 2 || s->pipelining) {
		snprintf(text, sizeof(text), "RCPT TO:<%s>\r\n", to);
		put_line(s, text);
	}
	if (s->replies_due == 1 || s->pipelining)
		put_line(s, "DATA\r\n");
}

static void send_envelope(struct session *s)
{
	if (opt.idle) {
		s->step = IDLE;
		holding();
		return;
	}
	if (next_seq == opt.first + opt.messages ||
	    (opt.per_session && s->sent == opt.per_session)) {
		put_line(s, "QUIT\r\n");
		s->step = QUIT;
		return;
	}
	s->seq = next_seq++;
	s->failed = 0;
	s->replies_due = 3;
	s->step = ENVELOPE;
	send_commands(s);
}

static void send_data(struct session *s)
{
	const char *body = bodies[s->seq % BODIES];
	char head[1024], to[300];
	int n;

	recipient(to, sizeof(to), s->seq);
	n = snprintf(head, sizeof(head),
			 "From: Load <%s>\r\nTo: %s\r\nSubject: load %s %llu\r\n"
			 "Message-ID: <%s.%llu@%s>\r\nDate: Sun, 22 Nov 2026 06:00:00 +0000\r\n"
			 "X-Load: %s %llu %s\r\n",
			 opt.sender, to, opt.run,
			 (unsigned long long)s->seq, opt.run, (unsigned long long)s->seq, opt.domain,
			 opt.run, (unsigned long long)s->seq, digests[s->seq % BODIES]);
	evt_conn_write(s->conn, head, (size_t)n);
	for (int i = 0; i < opt.headers; i++) {
		put_line(s, opt.header[i]);
		put_line(s, "\r\n");
	}
	put_line(s, "\r\n");
	evt_conn_write(s->conn, body, strlen(body));
	evt_conn_write(s->conn, ".\r\n", 3);
	s->data_end = clock_mono();
	s->step = DATA;
}

static void message_answered(struct session *s, int code)
{
	if (code == 250 && !s->failed) {
		latency[acked++] = (uint32_t)(clock_mono() - s->data_end);
		if (acked_file)
			fprintf(acked_file, "%llu\n", (unsigned long long)s->seq);
	} else {
		refused++;
	}
	answered++;
	s->seq = 0;
	s->sent++;
	send_envelope(s);
}

static void envelope_reply(struct session *s, int code)
{
	s->replies_due--;
	if (s->replies_due > 0) {
		s->failed |= code >= 400;
		if (s->pipelining)
			return;
		if (!s->failed) {
			send_commands(s);
			return;
		}
	}
	if (code == 354 && !s->failed)
		send_data(s);
	else if (code == 354) { /* cannot happen with one recipient, but a server may do as it likes */
		put_line(s, ".\r\n");
		s->step = DATA;
	} else {
		put_line(s, "RSET\r\n");
		refused++;
		answered++;
		s->seq = 0;
		s->sent++;
		s->step = RESET;
	}
}

static void on_reply(struct session *s)
{
	int code = s->reply.code;

	switch (s->step) {
	case GREETING:
		if (code != 220) {
			lost(s);
			return;
		}
		note_time(&greets, s->begun);
		put_line(s, "EHLO load.example\r\n");
		s->step = EHLO;
		break;
	case EHLO:
		smtp_reply_in_keyword(&s->reply, "PIPELINING", &s->pipelining);
		if (opt.tls) {
			put_line(s, "STARTTLS\r\n");
			s->step = STARTTLS;
		} else {
			note_time(&readies, s->begun);
			opened(s);
			send_envelope(s);
		}
		break;
	case STARTTLS:
		if (code != 220) {
			lost(s);
			return;
		}
		s->step = HANDSHAKE;
		evt_conn_tls_connect(s->conn, ctx, "relay.example.test", resume);
		break;
	case EHLO2:
		smtp_reply_in_keyword(&s->reply, "PIPELINING", &s->pipelining);
		note_time(&readies, s->begun);
		opened(s);
		send_envelope(s);
		break;
	case RESET:
		send_envelope(s);
		break;
	case IDLE:
		lost(s); /* 421 */
		break;
	case ENVELOPE:
		envelope_reply(s, code);
		break;
	case DATA:
		message_answered(s, code);
		break;
	case QUIT:
		evt_conn_close(s->conn);
		s->conn = NULL;
		if (next_seq < opt.first + opt.messages) {
			begin(s);
		} else {
			running--;
			finish_if_done();
		}
		break;
	case HANDSHAKE:
		lost(s); /* bytes before the handshake */
	}
}

static void on_data(struct session *s)
{
	while (s->conn) {
		struct buf *in = evt_conn_in(s->conn);
		int done = 0, n = smtp_reply_in_feed(&s->reply, buf_span(in), &done);
		if (n < 0) {
			lost(s);
			return;
		}
		if (n == 0)
			return;
		buf_drain(in, (size_t)n);
		if (done) {
			on_reply(s);
			smtp_reply_in_init(&s->reply);
		}
	}
}

static void on_event(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	struct session *s = arg;

	(void)c;
	if (ev == EVT_CONN_DATA) {
		on_data(s);
	} else if (ev == EVT_CONN_TLS) {
		put_line(s, "EHLO load.example\r\n");
		s->step = EHLO2;
	} else if (ev == EVT_CONN_EOF || ev == EVT_CONN_ERROR || ev == EVT_CONN_TIMEOUT) {
		lost(s);
	}
}

static void begin(struct session *s)
{
	int err;

	s->step = GREETING;
	s->sent = 0;
	s->begun = clock_mono();
	if (!s->opening) {
		s->opening = 1;
		opening_now++;
	}
	smtp_reply_in_init(&s->reply);
	s->conn = evt_conn_connect(loop, &opt.to, opt.source.ss_family ? &opt.source : NULL, 65536, on_event, s, &err);
	if (!s->conn)
		lost(s);
}

/* Sessions begin in their order, as --opening allows. */
static void open_more(void)
{
	static int inside; /* begin may fail at once and come back here */

	if (inside)
		return;
	inside = 1;
	while (waiting_to_begin && (!opt.opening || opening_now < opt.opening)) {
		waiting_to_begin--;
		begin(&sessions[next_to_begin++]);
	}
	inside = 0;
}

static void again(void *arg)
{
	begin(arg);
}

static void on_signal(void *arg, int signo)
{
	(void)arg;
	(void)signo;
	evt_loop_stop(loop);
}

static void time_is_up(void *arg)
{
	(void)arg;
	evt_loop_stop(loop);
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void report_times(const char *name, struct times *t)
{
	if (t->n)
		qsort(t->usec, t->n, sizeof(*t->usec), by_value);
	printf("\"%s_p50_ms\": %.3f, \"%s_p99_ms\": %.3f, \"%s_max_ms\": %.3f, ", name,
	       t->n ? t->usec[t->n / 2] / 1e3 : 0, name, t->n ? t->usec[t->n * 99 / 100] / 1e3 : 0, name,
	       t->n ? t->usec[t->n - 1] / 1e3 : 0);
}

static void report(int64_t took)
{
	qsort(latency, acked, sizeof(*latency), by_value);
	printf("{\"sent\": %llu, \"acked\": %llu, \"refused\": %llu, \"unknown\": %llu, \"lost_connections\": %llu, "
	       "\"seconds\": %.3f, \"per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, ",
	       (unsigned long long)(next_seq - opt.first), (unsigned long long)acked,
	       (unsigned long long)refused, (unsigned long long)unknown,
	       (unsigned long long)lost_connections, (double)took / 1e6,
	       (double)acked / ((double)took / 1e6), acked ? latency[acked / 2] / 1e3 : 0,
	       acked ? latency[acked * 99 / 100] / 1e3 : 0, acked ? latency[acked - 1] / 1e3 : 0);
	report_times("greet", &greets);
	report_times("ready", &readies);
	printf("\"start_mono\": %.6f, \"cpu_us\": %lld}\n", (double)(clock_mono() - took) / 1e6,
	       (long long)tool_cpu());
}

static int parse(int argc, char **argv)
{
	static const struct option options[] = {
	    {"to", 1, NULL, 't'},	   {"tls", 0, NULL, 'T'},    {"sessions", 1, NULL, 's'},
	    {"messages", 1, NULL, 'm'},	   {"size", 1, NULL, 'z'},   {"per-session", 1, NULL, 'p'},
	    {"run", 1, NULL, 'r'},	   {"first", 1, NULL, 'f'},  {"sender", 1, NULL, 'S'},
	    {"domain", 1, NULL, 'd'},	   {"acked", 1, NULL, 'a'},  {"seconds", 1, NULL, 'w'},
	    {"retry", 0, NULL, 'R'},	   {"idle", 0, NULL, 'i'},   {"domains", 1, NULL, 'D'},
	    {"header", 1, NULL, 'H'},	   {"source", 1, NULL, 'o'}, {"opening", 1, NULL, 'O'},
	    {NULL, 0, NULL, 0}};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 't':
			opt.to = tool_address(optarg);
			break;
		case 'T':
			opt.tls = 1;
			break;
		case 's':
			opt.sessions = atoi(optarg);
			break;
		case 'm':
			opt.messages = strtoull(optarg, NULL, 10);
			break;
		case 'z':
			opt.size = atoi(optarg);
			break;
		case 'p':
			opt.per_session = atoi(optarg);
			break;
		case 'r':
			opt.run = optarg;
			break;
		case 'f':
			opt.first = strtoull(optarg, NULL, 10);
			break;
		case 'S':
			opt.sender = optarg;
			break;
		case 'd':
			opt.domain = optarg;
			break;
		case 'a':
			opt.acked = optarg;
			break;
		case 'w':
			opt.seconds = atoi(optarg);
			break;
		case 'R':
			opt.retry = 1;
			break;
		case 'i':
			opt.idle = 1;
			break;
		case 'D':
			opt.domains = atoi(optarg);
			break;
		case 'H':
			if (opt.headers == HEADERS)
				return -1;
			opt.header[opt.headers++] = optarg;
			break;
		case 'o':
			opt.source = tool_address(optarg);
			break;
		case 'O':
			opt.opening = atoi(optarg);
			break;
		default:
			return -1;
		}
	}
	return optind == argc && opt.to.ss_family ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct evt_timer end;
	const char *why;
	int64_t start;

	if (parse(argc, argv) < 0) {
		fprintf(stderr, "usage: smtp_load --to ADDR:PORT [options]; see the top of its source\n");
		return 64;
	}
	tool_descriptors();
	loop = evt_loop_new();
	ctx = evt_tls_client(NULL, 0, &why);
	latency = calloc(opt.messages, sizeof(*latency));
	sessions = calloc((size_t)opt.sessions, sizeof(*sessions));
	acked_file = opt.acked ? fopen(opt.acked, "we") : NULL;
	if (!loop || !ctx || !latency || !sessions || (opt.acked && !acked_file)) {
		fprintf(stderr, "smtp_load: cannot start\n");
		return 75;
	}
	make_bodies();
	next_seq = opt.first;
	start = clock_mono();
	deadline = start + opt.seconds * CLOCK_SEC;
	running = opt.sessions;
	evt_timer_init(&end, loop, time_is_up, NULL);
	evt_timer_set(&end, opt.seconds * CLOCK_SEC);
	for (int i = 0; i < opt.sessions; i++)
		evt_timer_init(&sessions[i].again, loop, again, &sessions[i]);
	waiting_to_begin = opt.sessions;
	open_more();
	if (running && evt_loop_signal(loop, SIGTERM, on_signal, NULL) == 0)
		evt_loop_run(loop);
	report(clock_mono() - start);
	if (acked_file)
		fclose(acked_file);
	return opt.idle ? running != opt.sessions : acked != opt.messages;
}
