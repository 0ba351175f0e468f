/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_sink - receives mail, checks each numbered message, keeps account.
 *
 * usage: smtp_sink --listen ADDR:PORT [--tls CERT.pem KEY.pem] [--keep DIR] [--report FILE] [--expect N] [--hello NAME]
 *                  [--chunking] [RULES]
 * Offers PIPELINING, 8BITMIME, SMTPUTF8, SIZE, with --tls STARTTLS and with --chunking CHUNKING. Checks digest and number of
 * messages with an X-Load header (tool.h). --keep writes each message as DIR/N.eml with the envelope and TLS facts in DIR/N.env.
 * The report (JSON) is written when N distinct messages have come, at SIGUSR1 and at SIGTERM; the numbers that came
 * are then in FILE.seen, one a line.
 *
 * Rules make it a difficult receiver; limits are per source address. Stages: connect ehlo starttls mail rcpt data body dot.
 *   --max-connections N    421 for connections beyond N at once (over_connections counts them, max_open is the most at once)
 *   --max-messages N       421 at the MAIL after N messages of one connection (over_messages)
 *   --rate N/SECONDS       451 at a MAIL beyond N within any SECONDS (over_rate; max_rate is the most seen). N 0: only counted
 *   --delay MS[@STAGE]     each answer, or that of one stage, comes so much later
 *   --silent[=STAGE]       no answer from this stage on (connect: not even a greeting); the connection stays
 *   --cut-data PERCENT     closes in the middle of so many messages
 *   --reply CODE[ TEXT]@STAGE[%PERCENT][*TIMES][:MATCH]   answers so; 421 closes. CODE 0 closes without an answer, at dot after
 *                          the message was counted. TIMES: so often at most. MATCH: only commands with this text. May be repeated;
 *                          the first rule that applies counts ("by_rule" says how often each did)
 *   --seed N               other percents of the same rules */
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
#include "evt/evt_timer.h"
#include "evt/evt_tls.h"
#include "smtp/smtp_data.h"
#include "smtp/smtp_line.h"
#include "test/tool/sink_rule.h"
#include "test/tool/tool.h"

#define HEAD_MAX 65536
#define BODY_MAX (256u << 20)
#define SEQ_MAX (16u << 20)
#define SECOND_LOOK 10000 /* usec */

struct client {
	struct evt_conn *conn;
	struct sink_source *source;
	struct evt_timer later; /* an answer that is delayed, or a second look at the number of connections */
	struct buf pending;	/* the delayed answer */
	enum { NOTHING, CLOSE, TLS } then; /* after it */
	int waiting, silent, greeted;
	unsigned mails;	   /* of this connection */
	unsigned recipients; /* taken for this message */
	uint64_t chunk;	   /* bytes of BDAT to come */
	int in_chunk, last_chunk, mid_chunks;
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
	int chunking;
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
		"\"seconds\": %.3f, \"last_mono\": %.6f, \"cpu_us\": %lld",
		(unsigned long long)n.messages, (unsigned long long)n.distinct,
		(unsigned long long)n.duplicates, (unsigned long long)n.damaged,
		(unsigned long long)n.unnumbered, (unsigned long long)n.over_tls,
		(unsigned long long)n.connections, (unsigned long long)n.bytes,
		(double)(n.last - n.first) / 1e6, (double)n.last / 1e6, (long long)tool_cpu());
	sink_rule_report(f);
	fprintf(f, "}\n");
	if (opt.report)
		fclose(f);
	else
		fflush(f);
}

static void drop(struct client *k)
{
	evt_conn_close(k->conn);
	evt_timer_clear(&k->later);
	if (k->source)
		sink_rule_close(k->source);
	buf_clear(&k->head);
	buf_clear(&k->kept);
	buf_clear(&k->envelope);
	buf_clear(&k->pending);
	EVP_MD_CTX_free(k->md);
	free(k);
}

/* Writes and does what is to follow; the caller looks whether k->conn is still there. */
static void say_now(struct client *k, const char *line, size_t len)
{
	evt_conn_write(k->conn, line, len);
	if (k->then == CLOSE) {
		evt_conn_finish(k->conn);
		k->conn = NULL;
	} else if (k->then == TLS) {
		evt_conn_tls_accept(k->conn, ctx);
	}
	k->then = NOTHING;
}

static void say(struct client *k, const char *line, int64_t delay)
{
	if (delay == 0) {
		say_now(k, line, strlen(line));
		return;
	}
	buf_reset(&k->pending);
	buf_put_str(&k->pending, line);
	k->waiting = 1;
	evt_timer_set(&k->later, delay);
}

/* Answers a stage: as its rules want, otherwise with line. 1 if it was the ordinary answer. */
static int answer(struct client *k, enum sink_stage stage, struct span command, const char *line)
{
	struct sink_order o = sink_rule_ask(k->source, stage, command, k->mails);
	char text[600];

	if (o.silent) {
		k->silent = 1;
		return 0;
	}
	if (!o.reply) {
		say(k, line, o.delay);
		return 1;
	}
	k->then = o.code == 0 || o.code == 421 ? CLOSE : NOTHING;
	snprintf(text, sizeof(text), "%s%s", o.reply, o.code ? "\r\n" : "");
	say(k, text, o.delay);
	return 0;
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

/* The whole message is here. */
static void message_done(struct client *k)
{
	struct sink_order o = sink_rule_ask(k->source, SINK_DOT, span_of(NULL, 0), k->mails);
	char text[600];

	k->in_data = 0;
	k->mid_chunks = 0;
	if (!o.reply || o.code == 0 || o.code < 400) {
		account(k);
		sink_rule_taken(k->source);
	}
	if (o.silent) {
		k->silent = 1;
		return;
	}
	k->then = o.reply && (o.code == 0 || o.code == 421) ? CLOSE : NOTHING;
	snprintf(text, sizeof(text), "%s%s", o.reply ? o.reply : "250 2.0.0 taken", o.reply && !o.code ? "" : "\r\n");
	say(k, text, o.delay);
}

static void on_body(struct client *k, struct buf *in)
{
	while (buf_size(in) && !k->data.done) {
		struct span piece;
		size_t used = smtp_data_in_feed(&k->data, buf_span(in), &piece);
		take_body(k, piece);
		buf_drain(in, used);
	}
	if (k->data.done)
		message_done(k);
}

static void on_chunk(struct client *k, struct buf *in)
{
	struct span piece = span_sub(buf_span(in), 0, k->chunk);

	take_body(k, piece);
	k->chunk -= piece.n;
	buf_drain(in, piece.n);
	if (k->chunk)
		return;
	k->in_chunk = 0;
	if (k->last_chunk)
		message_done(k);
	else
		say(k, "250 2.0.0 and on\r\n", 0);
}

static void begin_message(struct client *k)
{
	k->in_body = 0;
	k->has_load = 0;
	smtp_data_in_init(&k->data);
	buf_reset(&k->head);
	buf_put_str(&k->head, "\r\n");
	buf_reset(&k->kept);
	EVP_DigestInit_ex(k->md, EVP_sha256(), NULL);
}

/* Closes in the middle of the message if a rule wants it. 1 if so. */
static int cut(struct client *k)
{
	struct sink_order o = sink_rule_ask(k->source, SINK_BODY, span_of(NULL, 0), k->mails);

	if (!o.reply)
		return 0;
	evt_conn_close(k->conn);
	k->conn = NULL;
	return 1;
}

static int starts(struct span line, const char *verb)
{
	return span_equal_nocase(span_sub(line, 0, strlen(verb)), span_str(verb));
}

static void on_bdat(struct client *k, struct span line)
{
	char text[64];
	char *end;

	snprintf(text, sizeof(text), "%.*s", (int)(line.n > 5 ? line.n - 5 : 0), (const char *)line.p + 5);
	k->chunk = strtoull(text, &end, 10);
	k->last_chunk = !strncasecmp(end, " LAST", 5);
	if (!k->mid_chunks) {
		begin_message(k);
		k->mid_chunks = 1;
		if (cut(k))
			return;
	}
	k->in_chunk = 1;
}

static void on_ehlo(struct client *k, struct span line)
{
	char text[256];

	k->mid_chunks = 0;
	snprintf(text, sizeof(text), "250-%s\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n%s%s250 SIZE 268435456\r\n",
		 opt.hello, ctx && !k->tls ? "250-STARTTLS\r\n" : "", opt.chunking ? "250-CHUNKING\r\n" : "");
	answer(k, SINK_EHLO, line, text);
}

static void on_envelope(struct client *k, struct span line)
{
	int mail = starts(line, "MAIL");

	if (mail) {
		k->mails++;
		k->mid_chunks = 0;
		k->recipients = 0;
		buf_reset(&k->envelope);
	} else if (buf_size(&k->envelope) == 0) {
		say(k, "503 5.5.1 no sender\r\n", 0);
		return;
	}
	if (answer(k, mail ? SINK_MAIL : SINK_RCPT, line, "250 2.1.0 fine\r\n")) {
		buf_put_span(&k->envelope, line);
		buf_put_str(&k->envelope, "\n");
		k->recipients += !mail;
	}
}

static void on_command(struct client *k, struct span line)
{
	if (starts(line, "EHLO")) {
		on_ehlo(k, line);
	} else if (starts(line, "STARTTLS") && ctx && !k->tls) {
		k->then = TLS;
		if (!answer(k, SINK_STARTTLS, line, "220 go on\r\n") && k->then == TLS)
			k->then = NOTHING;
	} else if (starts(line, "DATA")) {
		if (k->recipients == 0) {
			say(k, "554 5.5.1 no valid recipients\r\n", 0);
		} else if (answer(k, SINK_DATA, line, "354 go on\r\n")) {
			begin_message(k);
			k->in_data = 1;
		}
	} else if (starts(line, "BDAT ") && opt.chunking) {
		on_bdat(k, line);
	} else if (starts(line, "MAIL") || starts(line, "RCPT")) {
		on_envelope(k, line);
	} else if (starts(line, "QUIT")) {
		k->then = CLOSE;
		say(k, "221 2.0.0 bye\r\n", 0);
	} else {
		if (starts(line, "RSET")) {
			buf_reset(&k->envelope);
			k->recipients = 0;
		}
		say(k, "250 2.0.0 fine\r\n", 0);
	}
}

/* 1: there may be more to do with what is in in. */
static int step(struct client *k)
{
	struct buf *in = evt_conn_in(k->conn);
	struct span line;
	int used;

	if (k->silent || !k->greeted) {
		buf_drain(in, k->silent ? buf_size(in) : 0);
		return 0;
	}
	if (k->in_data || k->in_chunk) {
		if (buf_size(in) == 0 && !(k->in_chunk && k->chunk == 0))
			return 0;
		if (k->in_data && buf_size(&k->head) == 2 && !k->in_body && cut(k))
			return 1;
		if (k->in_data)
			on_body(k, in);
		else
			on_chunk(k, in);
		return 1;
	}
	used = smtp_line_take(buf_span(in), 4096, &line);
	if (used == 0)
		return 0;
	if (used < 0) {
		evt_conn_close(k->conn);
		k->conn = NULL;
		return 1;
	}
	buf_drain(in, (size_t)used); /* before STARTTLS looks whether something is left; line stays readable */
	on_command(k, line);
	return 1;
}

static void on_data(struct client *k)
{
	while (k->conn && !k->waiting)
		if (!step(k))
			return;
	if (!k->conn)
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

static void greet(struct client *k)
{
	char text[256];

	snprintf(text, sizeof(text), "220 %s ESMTP sink\r\n", opt.hello);
	k->greeted = 1;
	answer(k, SINK_CONNECT, span_of(NULL, 0), text);
}

/* The delayed answer is due, or it is time for the second look at how many connections there are: one that its peer closed
 * before he opened this one may not have been noticed at the first. */
static void on_later(void *arg)
{
	struct client *k = arg;

	if (k->waiting) {
		k->waiting = 0;
		say_now(k, (const char *)buf_ptr(&k->pending), buf_size(&k->pending));
	} else if (!k->greeted) {
		k->greeted = 1;
		if (sink_rule_too_many(k->source)) {
			k->then = CLOSE;
			say(k, "421 4.7.0 too many connections from your address\r\n", 0);
		} else {
			greet(k);
		}
	}
	if (!k->waiting)
		on_data(k);
}

static void on_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
	struct client *k = calloc(1, sizeof(*k));

	(void)arg;
	if (!k)
		return;
	buf_init(&k->head, HEAD_MAX);
	buf_init(&k->kept, BODY_MAX);
	buf_init(&k->envelope, HEAD_MAX);
	buf_init(&k->pending, 1024);
	evt_timer_init(&k->later, loop, on_later, k);
	k->md = EVP_MD_CTX_new();
	k->conn = evt_conn_accept(loop, fd, 65536, on_event, k);
	k->source = sink_rule_open(peer);
	if (!k->conn || !k->md) {
		drop(k);
		return;
	}
	n.connections++;
	if (sink_rule_crowded(k->source)) {
		evt_timer_set(&k->later, SECOND_LOOK);
		return;
	}
	greet(k);
	if (!k->conn)
		drop(k);
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
						{"chunking", 0, NULL, 'c'},
						{"max-connections", 1, NULL, 'R'},
						{"max-messages", 1, NULL, 'R'},
						{"rate", 1, NULL, 'R'},	  {"delay", 1, NULL, 'R'},
						{"silent", 2, NULL, 'R'}, {"cut-data", 1, NULL, 'R'},
						{"reply", 1, NULL, 'R'},  {"seed", 1, NULL, 'R'},
						{NULL, 0, NULL, 0}};
	int o, which;

	while ((o = getopt_long(argc, argv, "", options, &which)) != -1) {
		if (o == 'R') {
			if (sink_rule_option(options[which].name, optarg) < 0) {
				fprintf(stderr, "smtp_sink: --%s %s: not understood\n", options[which].name,
					optarg ? optarg : "");
				return -1;
			}
		} else if (o == 'c')
			opt.chunking = 1;
		else if (o == 'l')
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
