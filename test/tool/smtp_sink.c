/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_sink - receives mail, checks each numbered message, keeps account.
 *
 * usage: smtp_sink --listen ADDR:PORT [--tls CERT.pem KEY.pem] [--keep DIR] [--report FILE] [--expect N] [--hello NAME]
 * Offers PIPELINING, 8BITMIME, SMTPUTF8, SIZE and, with --tls, STARTTLS. Checks digest and number of messages with an X-Load
 * header (tool.h). --keep writes each message as DIR/N.eml with the envelope and TLS facts in DIR/N.env.
 * The report (JSON) is written when N distinct messages have come, at SIGUSR1 and at SIGTERM; the numbers that came
 * are then in FILE.seen, one a line. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "core/clock.h"
#include "core/hex.h"
#include "core/num.h"
#include "evt/evt_conn.h"
#include "evt/evt_listen.h"
#include "evt/evt_tls.h"
#include "smtp/smtp_data.h"
#include "smtp/smtp_line.h"
#include "test/tool/tool.h"

#define HEAD_MAX 65536
#define BODY_MAX (256u << 20)
#define SEQ_MAX (16u << 20)

struct client {
	struct evt_conn *conn;
	int in_data, in_body, has_load, tls;
	struct smtp_data_in data;
	struct buf head; /* header bytes of the message, until the empty line */
	struct buf kept; /* the whole message, with --keep */
	struct buf envelope;
	EVP_MD_CTX *md;
	uint64_t seq;
	uint8_t digest[TOOL_DIGEST];
};

static struct {
	struct sockaddr_storage listen;
	const char *cert, *key, *keep, *report, *hello;
	uint64_t expect;
} opt = {.hello = "sink.example.test"};

static struct evt_loop *loop;
static SSL_CTX *ctx;
static uint8_t *seen; /* one byte a number: how often it came, up to 255 */
static struct {
	uint64_t messages, distinct, duplicates, damaged, unnumbered, over_tls, connections, bytes;
	int64_t first, last;
} n;

static void write_seen(void)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s.seen", opt.report);
	f = fopen(path, "we");
	for (uint64_t i = 0; f && i < SEQ_MAX; i++)
		if (seen[i])
			fprintf(f, "%llu\n", (unsigned long long)i);
	if (f)
		fclose(f);
}

static void write_report(void)
{
	FILE *f = opt.report ? fopen(opt.report, "we") : stdout;

	if (!f)
		return;
	if (opt.report)
		write_seen();
	fprintf(f,
		"{\"messages\": %llu, \"distinct\": %llu, \"duplicates\": %llu, \"damaged\": %llu, "
		"\"unnumbered\": %llu, \"over_tls\": %llu, \"connections\": %llu, \"bytes\": %llu, "
		"\"seconds\": %.3f, \"last_mono\": %.6f, \"cpu_us\": %lld}\n",
		(unsigned long long)n.messages, (unsigned long long)n.distinct,
		(unsigned long long)n.duplicates, (unsigned long long)n.damaged,
		(unsigned long long)n.unnumbered, (unsigned long long)n.over_tls,
		(unsigned long long)n.connections, (unsigned long long)n.bytes,
		(double)(n.last - n.first) / 1e6, (double)n.last / 1e6, (long long)tool_cpu());
	if (opt.report)
		fclose(f);
	else
		fflush(f);
}

static void say(struct client *k, const char *line)
{
	evt_conn_write(k->conn, line, strlen(line));
}

static void drop(struct client *k)
{
	evt_conn_close(k->conn);
	buf_clear(&k->head);
	buf_clear(&k->kept);
	buf_clear(&k->envelope);
	EVP_MD_CTX_free(k->md);
	free(k);
}

static void keep(struct client *k)
{
	char path[4096];
	struct evt_conn_tls tls;
	FILE *f;

	evt_conn_tls_info(k->conn, &tls);
	snprintf(path, sizeof(path), "%s/%llu.env", opt.keep, (unsigned long long)n.messages);
	f = fopen(path, "we");
	if (f) {
		fwrite(buf_ptr(&k->envelope), 1, buf_size(&k->envelope), f);
		fprintf(f, "tls: %s %s\n", tls.version ? tls.version : "none",
			tls.cipher ? tls.cipher : "");
		fclose(f);
	}
	snprintf(path, sizeof(path), "%s/%llu.tmp", opt.keep, (unsigned long long)n.messages);
	f = fopen(path, "we");
	if (f) {
		char done[4096];
		fwrite(buf_ptr(&k->kept), 1, buf_size(&k->kept), f);
		fclose(f);
		snprintf(done, sizeof(done), "%s/%llu.eml", opt.keep, (unsigned long long)n.messages);
		rename(path, done); /* whoever waits for .eml sees it whole */
	}
}

/* Finds "X-Load: RUN SEQ DIGEST" in the header. */
static void read_load_header(struct client *k)
{
	static const char name[] = "\r\nX-Load: ";
	const uint8_t *p = memmem(buf_ptr(&k->head), buf_size(&k->head), name, sizeof(name) - 1);
	struct span rest, number;
	ptrdiff_t at;

	k->has_load = 0;
	if (!p)
		return;
	rest = span_of(p + sizeof(name) - 1, buf_size(&k->head) - (size_t)(p - buf_ptr(&k->head)) - sizeof(name) + 1);
	rest = span_sub(rest, 0, (size_t)span_find(rest, '\r'));
	at = span_find(rest, ' ');
	if (at < 0)
		return;
	rest = span_sub(rest, (size_t)at + 1, rest.n);
	at = span_find(rest, ' ');
	if (at < 0)
		return;
	number = span_sub(rest, 0, (size_t)at);
	k->has_load = num_parse_u64(number, &k->seq) == 0 && k->seq < SEQ_MAX &&
		      hex_decode(k->digest, TOOL_DIGEST, span_sub(rest, (size_t)at + 1, rest.n)) ==
			  TOOL_DIGEST;
}

static void account(struct client *k)
{
	uint8_t md[TOOL_DIGEST];
	unsigned mdn;

	n.messages++;
	n.over_tls += (uint64_t)k->tls;
	n.last = clock_mono();
	if (n.messages == 1)
		n.first = n.last;
	EVP_DigestFinal_ex(k->md, md, &mdn);
	if (!k->has_load) {
		n.unnumbered++;
	} else if (memcmp(md, k->digest, TOOL_DIGEST)) {
		n.damaged++;
	} else if (seen[k->seq]) {
		n.duplicates++;
		if (seen[k->seq] < 255)
			seen[k->seq]++;
	} else {
		seen[k->seq] = 1;
		n.distinct++;
	}
	if (opt.keep)
		keep(k);
	if (opt.expect && n.distinct + n.unnumbered == opt.expect)
		write_report();
}

/* Header bytes gather until the empty line; what follows is hashed. */
static void take_body(struct client *k, struct span s)
{
	n.bytes += s.n;
	if (opt.keep)
		buf_put_span(&k->kept, s);
	while (s.n && !k->in_body) {
		const uint8_t *end;
		size_t before = buf_size(&k->head), from;
		buf_put_span(&k->head, s);
		from = before > 3 ? before - 3 : 0;
		end = memmem(buf_ptr(&k->head) + from, buf_size(&k->head) - from, "\r\n\r\n", 4);
		if (!end)
			return;
		s = span_sub(s, (size_t)(end - buf_ptr(&k->head)) + 4 - before, s.n);
		k->in_body = 1;
		read_load_header(k);
	}
	if (s.n)
		EVP_DigestUpdate(k->md, s.p, s.n);
}

static void on_body(struct client *k, struct buf *in)
{
	while (buf_size(in) && !k->data.done) {
		struct span piece;
		size_t used = smtp_data_in_feed(&k->data, buf_span(in), &piece);
		take_body(k, piece);
		buf_drain(in, used);
	}
	if (!k->data.done)
		return;
	k->in_data = 0;
	account(k);
	say(k, "250 2.0.0 taken\r\n");
}

static void begin_data(struct client *k)
{
	k->in_data = 1;
	k->in_body = 0;
	k->has_load = 0;
	smtp_data_in_init(&k->data);
	buf_reset(&k->head);
	buf_put_str(&k->head, "\r\n");
	buf_reset(&k->kept);
	EVP_DigestInit_ex(k->md, EVP_sha256(), NULL);
	say(k, "354 go on\r\n");
}

static int starts(struct span line, const char *verb)
{
	return span_equal_nocase(span_sub(line, 0, strlen(verb)), span_str(verb));
}

static void on_command(struct client *k, struct span line)
{
	if (starts(line, "EHLO")) {
		char text[256];
		snprintf(text, sizeof(text), "250-%s\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n%s250 SIZE 268435456\r\n",
			 opt.hello, ctx && !k->tls ? "250-STARTTLS\r\n" : "");
		say(k, text);
	} else if (starts(line, "STARTTLS") && ctx && !k->tls) {
		say(k, "220 go on\r\n");
		evt_conn_tls_accept(k->conn, ctx);
	} else if (starts(line, "DATA")) {
		begin_data(k);
	} else if (starts(line, "MAIL") || starts(line, "RCPT")) {
		if (starts(line, "MAIL"))
			buf_reset(&k->envelope);
		buf_put_span(&k->envelope, line);
		buf_put_str(&k->envelope, "\n");
		say(k, "250 2.1.0 fine\r\n");
	} else if (starts(line, "QUIT")) {
		say(k, "221 2.0.0 bye\r\n");
		evt_conn_finish(k->conn);
		k->conn = NULL;
	} else {
		say(k, "250 2.0.0 fine\r\n");
	}
}

static void on_data(struct client *k)
{
	while (k->conn) {
		struct buf *in = evt_conn_in(k->conn);
		struct span line;
		int used;
		if (k->in_data) {
			on_body(k, in);
			if (k->in_data)
				return;
			continue;
		}
		used = smtp_line_take(buf_span(in), 4096, &line);
		if (used == 0)
			return;
		if (used < 0) {
			drop(k);
			return;
		}
		buf_drain(in, (size_t)used); /* before STARTTLS looks whether something is left; line stays readable */
		on_command(k, line);
	}
	drop(k);
}

static void on_event(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	struct client *k = arg;

	(void)c;
	if (ev == EVT_CONN_DATA)
		on_data(k);
	else if (ev == EVT_CONN_TLS)
		k->tls = 1;
	else if (ev != EVT_CONN_DRAINED)
		drop(k);
}

static void on_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
	struct client *k = calloc(1, sizeof(*k));
	char text[256];

	(void)arg;
	(void)peer;
	if (!k)
		return;
	buf_init(&k->head, HEAD_MAX);
	buf_init(&k->kept, BODY_MAX);
	buf_init(&k->envelope, HEAD_MAX);
	k->md = EVP_MD_CTX_new();
	k->conn = evt_conn_accept(loop, fd, 65536, on_event, k);
	if (!k->conn || !k->md) {
		drop(k);
		return;
	}
	n.connections++;
	snprintf(text, sizeof(text), "220 %s ESMTP sink\r\n", opt.hello);
	say(k, text);
}

static void on_signal(void *arg, int signo)
{
	(void)arg;
	write_report();
	if (signo != SIGUSR1)
		evt_loop_stop(loop);
}

static SSL_CTX *load_tls(void)
{
	FILE *f = fopen(opt.key, "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
	const char *why = "key";
	SSL_CTX *made = key ? evt_tls_server(opt.cert, key, &why) : NULL;

	if (f)
		fclose(f);
	EVP_PKEY_free(key);
	if (!made) {
		fprintf(stderr, "smtp_sink: %s: %s\n", opt.cert, why);
		exit(75);
	}
	return made;
}

static int parse(int argc, char **argv)
{
	static const struct option options[] = {{"listen", 1, NULL, 'l'}, {"tls", 1, NULL, 't'},
						{"keep", 1, NULL, 'k'},	  {"report", 1, NULL, 'r'},
						{"expect", 1, NULL, 'e'}, {"hello", 1, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'l')
			opt.listen = tool_address(optarg);
		else if (o == 't' && optind < argc) {
			opt.cert = optarg;
			opt.key = argv[optind++];
		} else if (o == 'k')
			opt.keep = optarg;
		else if (o == 'r')
			opt.report = optarg;
		else if (o == 'e')
			opt.expect = strtoull(optarg, NULL, 10);
		else if (o == 'h')
			opt.hello = optarg;
		else
			return -1;
	}
	return optind == argc && opt.listen.ss_family ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct evt_listen *li;
	int err;

	if (parse(argc, argv) < 0) {
		fprintf(stderr, "usage: smtp_sink --listen ADDR:PORT [options]; see the top of its source\n");
		return 64;
	}
	tool_descriptors();
	loop = evt_loop_new();
	seen = calloc(1, SEQ_MAX);
	if (opt.cert)
		ctx = load_tls();
	li = loop && seen ? evt_listen_tcp(loop, &opt.listen, 0, on_accept, NULL, &err) : NULL;
	if (!li || evt_loop_signal(loop, SIGTERM, on_signal, NULL) < 0 ||
	    evt_loop_signal(loop, SIGINT, on_signal, NULL) < 0 ||
	    evt_loop_signal(loop, SIGUSR1, on_signal, NULL) < 0) {
		fprintf(stderr, "smtp_sink: cannot listen\n");
		return 75;
	}
	evt_loop_run(loop);
	return 0;
}
