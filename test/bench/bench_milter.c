/* SPDX-License-Identifier: Apache-2.0 */
/* bench_milter - what the judgement of a campaign's message costs, without the daemon around it.
 *
 *   match    canonical text of 50 KiB against its template, in pieces of 16 KiB
 *   message  a whole message (8bit, quoted-printable, base64): gate, judge, 20 tokens, splices
 *   hostile  10,000 parts, 100,000 nested tags, a header of 1 MB: time until it is refused
 *
 * Usage: bench_milter [MESSAGES]   (20,000 of each encoding if nothing is said)
 * Exit:  1 if a bar was missed. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "campaign/camp_check.h"
#include "campaign/camp_html.h"
#include "campaign/camp_splice.h"
#include "seal/seal_track.h"
#include "test/unit/camp_world.h"

#define LINKS  20
#define TEXT   (50 << 10)
#define PACKET 65535 /* as libmilter hands the body on */
#define RCPT   "anna@example.org"

static int missed;

static double clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double now_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

static void row(const char *what, double value, const char *unit, double bar, int at_most)
{
	int ok = bar == 0 || (at_most ? value <= bar : value >= bar);

	printf("%-44s %10.1f %-5s", what, value, unit);
	if (bar != 0)
		printf(" %s %8.0f  %s", at_most ? "<=" : ">=", bar, ok ? "ok" : "MISSED");
	printf("\n");
	fflush(stdout);
	missed |= !ok;
}

static void machine(int messages)
{
	struct utsname u;
	char line[256], model[200] = "unknown CPU";
	FILE *f = fopen("/proc/cpuinfo", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "model name : %199[^\n]", model) == 1)
			break;
	if (f)
		fclose(f);
	uname(&u);
	printf("machine   %s, %ld CPUs; %s %s\n", model, sysconf(_SC_NPROCESSORS_ONLN), u.sysname,
	       u.release);
	printf("versions  sealpost " PACKAGE_VERSION "; gcc " __VERSION__ "; %s\n",
	       OpenSSL_version(OPENSSL_VERSION));
	printf("settings  %d messages of each encoding; text of %d KiB, %d links; one thread\n\n",
	       messages, TEXT >> 10, LINKS);
}

/* --- the campaign ---------------------------------------------------------------------------- */

static void put_template(struct buf *tpl)
{
	static const char *const words[] = {"a new",	 "shirt", "for",     "you",    "and",
					    "caf\u00e9", "=",	  "lasting", "colours"};
	unsigned link = 0;

	buf_put_str(tpl, "<!DOCTYPE html><html><head><title>Shop</title></head><body>\n");
	buf_put_str(tpl, "<p>Dear {{first}},</p>\n");
	for (unsigned i = 0; buf_size(tpl) < TEXT; i++) {
		buf_putf(tpl, "<p class=\"t%u\" style=\"font-family:Arial;margin:0\">", i % 7);
		for (unsigned k = 0; k < 20; k++)
			buf_putf(tpl, "%s ", words[(i * 7 + k * k) % 9]);
		if (i % 6 == 3 && link < LINKS) {
			buf_putf(tpl,
				 "<a href=\"{{@https://shop.example/item/%u?c={code}}}"
				 "https://shop.example/item/%u?c={{code}}{{/@}}\">see</a>",
				 link, link);
			link++;
		}
		buf_put_str(tpl, "</p>\n");
	}
	buf_put_str(tpl, "{{*}}</body></html>");
	buf_put(tpl, "", 1);
}

static struct camp_compiled *campaign(struct camp_world *w)
{
	struct camp_compiled *c;
	struct buf tpl;

	buf_init(&tpl, 1 << 20);
	put_template(&tpl);
	camp_world_init(w);
	camp_world_field(w, "first", "name", 40, "text", NULL);
	camp_world_field(w, "code", "code", 8, "url-query", NULL);
	camp_world_template(w, "Your shop");
	camp_world_template(w, (const char *)buf_ptr(&tpl));
	camp_world_part(w, "{\"d\":0,\"type\":\"text/html\",\"charset\":\"utf-8\",\"tpl\":1}");
	c = camp_world_compile(w);
	if (!c) {
		fprintf(stderr, "bench_milter: %s\n", w->found);
		exit(1);
	}
	buf_clear(&tpl);
	return c;
}

/* As many parts as a message may have: only the gate can refuse one more. */
static struct camp_compiled *many_parts(struct camp_world *w)
{
	struct camp_compiled *c;

	camp_world_init(w);
	camp_world_template(w, "Your shop");
	camp_world_template(w, "hello");
	camp_world_part(w, "{\"d\":0,\"type\":\"multipart/mixed\"}");
	for (unsigned i = 1; i < CAMP_PARTS; i++)
		camp_world_part(w, "{\"d\":1,\"type\":\"text/plain\",\"charset\":\"utf-8\",\"tpl\":1}");
	c = camp_world_compile(w);
	if (!c) {
		fprintf(stderr, "bench_milter: %s\n", w->found);
		exit(1);
	}
	return c;
}

static void put_ops(const struct camp_manifest *m, const struct camp_ops *ops, const uint8_t *blob,
		    struct buf *out)
{
	for (unsigned i = 0; i < ops->n; i++) {
		const struct camp_op *op = &ops->op[i];

		if (op->kind == CAMP_OP_LIT)
			buf_put(out, blob + op->at, op->len);
		else
			buf_put_str(out,
				    m->fields[op->field].type == CAMP_TYPE_NAME ? "Anna" : "AB-12");
	}
}

/* --- encodings ------------------------------------------------------------------------------- */

static void put_8bit(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.n; i++)
		buf_put(out, text.p[i] == '\n' ? (const uint8_t *)"\r\n" : text.p + i,
			text.p[i] == '\n' ? 2 : 1);
	buf_put_str(out, "\r\n");
}

static void put_qp(struct buf *out, struct span text)
{
	unsigned column = 0;

	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		int last = i + 1 == text.n || text.p[i + 1] == '\n';
		int plain = c >= 32 && c < 127 && c != '=' && !(c == ' ' && last);

		if (c == '\n') {
			buf_put_str(out, "\r\n");
			column = 0;
			continue;
		}
		if (column + 3 > 75) {
			buf_put_str(out, "=\r\n");
			column = 0;
		}
		if (plain)
			buf_put(out, &c, 1);
		else
			buf_putf(out, "=%02X", c);
		column += plain ? 1 : 3;
	}
	buf_put_str(out, "\r\n");
}

static void put_base64(struct buf *out, struct span text)
{
	struct buf crlf;
	char line[80];

	buf_init(&crlf, 1 << 20);
	put_8bit(&crlf, text);
	for (size_t at = 0; at < buf_size(&crlf); at += 57) {
		size_t n = mail_cte_base64_put(line, span_sub(buf_span(&crlf), at, 57));

		buf_put(out, line, n);
		buf_put_str(out, "\r\n");
	}
	buf_clear(&crlf);
}

/* --- runs ------------------------------------------------------------------------------------ */

static void bench_match(const struct camp_compiled *c, struct span text)
{
	struct camp_match_params params = {.rcpt = SPAN_LIT(RCPT)};
	struct camp_match m;
	double best = 0;

	for (unsigned round = 0; round < 5; round++) {
		double began = now_us(), mb;
		unsigned n = 4000;

		for (unsigned i = 0; i < n; i++) {
			camp_match_begin(&m, c, 1, &params);
			for (size_t at = 0; at < text.n; at += 16384)
				if (camp_match_feed(&m, span_sub(text, at, 16384)) != 0)
					abort();
			if (camp_match_end(&m) != 0)
				abort();
		}
		mb = (double)text.n * n / (now_us() - began);
		best = mb > best ? mb : best;
	}
	row("match, canonical text", best, "MB/s", 200, 0);
}

static int header(struct camp_check *k, const char *name, const char *value)
{
	return camp_check_header(k, span_str(name), span_str(value));
}

static int headers(struct camp_check *k, const char *type, const char *encoding)
{
	return header(k, "Date", "Mon, 12 Jan 2026 10:00:00 +0000") ||
	       header(k, "From", "Shop <news@shop.example>") || header(k, "To", RCPT) ||
	       header(k, "Subject", "Your shop") || header(k, "Message-ID", "<1@shop.example>") ||
	       header(k, "MIME-Version", "1.0") || header(k, "Content-Type", type) ||
	       header(k, "Content-Transfer-Encoding", encoding) || camp_check_eoh(k);
}

struct sink {
	size_t n;
};
static int count(void *arg, struct span raw)
{
	((struct sink *)arg)->n += raw.n;
	return 0;
}

static size_t make_edits(const struct camp_check *k, struct camp_edit *edits,
			 char text[][SEAL_TRACK_URL_SIZE + 64])
{
	static const uint8_t key[SEAL_TRACK_KEY] = {1, 2, 3};
	static const struct seal_track_place where = {SPAN_LIT("t.shop.example"), SPAN_LIT("shop")};
	size_t n;
	const struct camp_place *p = camp_check_places(k, &n);

	for (size_t i = 0; i < n; i++) {
		struct seal_track t = {.kind = p[i].kind == CAMP_MARK_PIXEL ? SEAL_TRACK_OPEN
									    : SEAL_TRACK_CLICK,
				       .message = 42,
				       .number = 7,
				       .link = (uint16_t)p[i].link,
				       .last = 20800};
		struct span values = camp_check_values(k, &p[i]);
		struct seal_track_raw raw;
		char token[SEAL_TRACK_URL_SIZE];

		memcpy(t.field, values.p ? values.p : (const uint8_t *)"", values.n);
		t.n = (uint8_t)values.n;
		if (seal_track_make(key, &where, &t, 20500, &raw) != 0)
			abort();
		seal_track_url_put(token, &raw);
		snprintf(text[i], sizeof(text[i]),
			 t.kind == SEAL_TRACK_OPEN
			     ? "<img src=\"https://t.shop.example/o/%s\" alt=\"\">"
			     : "https://t.shop.example/c/%s",
			 token);
		edits[i] = (struct camp_edit){.part = p[i].part,
					      .kind = CAMP_EDIT_TEXT,
					      .from = p[i].from,
					      .to = p[i].to,
					      .text = span_str(text[i])};
	}
	camp_edit_sort(edits, n);
	return n;
}

static void splice(struct camp_check *k, struct span body, struct sink *sink)
{
	static char text[LINKS + 1][SEAL_TRACK_URL_SIZE + 64];
	struct camp_edit edits[LINKS + 1];
	const struct camp_edit_part *parts;
	struct camp_splice *s;
	size_t n = make_edits(k, edits, text), n_parts;

	if (n != LINKS + 1)
		abort();
	parts = camp_check_parts(k, &n_parts);
	if (camp_splice_new(&s, edits, n, parts, n_parts) != 0)
		abort();
	for (size_t at = 0; at < body.n; at += PACKET)
		if (camp_splice_feed(s, span_sub(body, at, PACKET), count, sink) != 0)
			abort();
	if (camp_splice_end(s, count, sink) != 0)
		abort();
	camp_splice_free(s);
}

static int by_time(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void bench_message(const struct camp_compiled *c, struct span body, const char *encoding,
			  int messages)
{
	const struct camp_check_params params = {SPAN_LIT(RCPT)};
	double *took = calloc((size_t)messages, sizeof(*took)), sum = 0;
	double *cpu = calloc((size_t)messages, sizeof(*cpu));
	char what[80];

	for (int i = -200; i < messages; i++) { /* the first ones warm the caches */
		double began = now_us(), cpu_began = clock_us(CLOCK_THREAD_CPUTIME_ID);
		struct sink sink = {0};
		struct camp_check *k = camp_check_new(c, &params);
		int r = headers(k, "text/html; charset=utf-8", encoding);

		for (size_t at = 0; at < body.n && r == 0; at += PACKET)
			r = camp_check_body(k, span_sub(body, at, PACKET));
		if (r != 0 || camp_check_end(k) != 0) {
			struct camp_check_result res = camp_check_result(k);

			fprintf(stderr, "bench_milter: %s: %s (%s) at %llu\n", encoding,
				camp_verdict_name(res.verdict), res.rule,
				(unsigned long long)res.offset);
			exit(1);
		}
		splice(k, body, &sink);
		camp_check_free(k);
		if (i < 0)
			continue;
		sum += took[i] = now_us() - began;
		cpu[i] = clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu_began;
	}
	qsort(cpu, (size_t)messages, sizeof(*cpu), by_time);
	qsort(took, (size_t)messages, sizeof(*took), by_time);
	snprintf(what, sizeof(what), "message, %s (%zu KiB raw): p50", encoding, body.n >> 10);
	row(what, took[messages / 2], "us", 0, 1);
	snprintf(what, sizeof(what), "message, %s: p99", encoding);
	row(what, took[(size_t)messages * 99 / 100], "us", 1000, 1);
	snprintf(what, sizeof(what), "message, %s: p99 of CPU time", encoding);
	row(what, cpu[(size_t)messages * 99 / 100], "us", 0, 1);
	snprintf(what, sizeof(what), "message, %s: raw", encoding);
	row(what, (double)body.n * messages / sum, "MB/s", 0, 0);
	free(took);
	free(cpu);
}

/* --- what is sent to wear the milter out ----------------------------------------------------- */

static void hostile(const struct camp_compiled *c, const char *what, const char *type,
		    struct span field, struct span body, double bar)
{
	const struct camp_check_params params = {SPAN_LIT(RCPT)};
	double began = now_us();
	struct camp_check *k = camp_check_new(c, &params);
	struct camp_check_result res;
	char text[120];
	int r = field.n ? camp_check_header(k, SPAN_LIT("Received"), field) : 0;

	if (r == 0)
		r = headers(k, type, "8bit");
	for (size_t at = 0; at < body.n && r == 0; at += PACKET)
		r = camp_check_body(k, span_sub(body, at, PACKET));
	if (r == 0)
		r = camp_check_end(k);
	res = camp_check_result(k);
	snprintf(text, sizeof(text), "%s: %d %s (%s)", what, camp_verdict_reply(res.verdict).code,
		 camp_verdict_name(res.verdict), res.rule);
	row(text, now_us() - began, "us", bar, 1);
	missed |= r == 0;
	camp_check_free(k);
}

static int any_url(void *arg, const struct camp_html_url *u)
{
	(void)arg;
	(void)u;
	return 0;
}

static void bench_hostile(const struct camp_compiled *c)
{
	struct camp_html_finding broken;
	struct camp_world many;
	struct camp_compiled *m = many_parts(&many);
	char text[120];
	struct buf b;
	double began;
	int r;

	buf_init(&b, 64 << 20);
	for (unsigned i = 0; i < 10000; i++)
		buf_put_str(&b, "--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n");
	buf_put_str(&b, "--x--\r\n");
	hostile(c, "10,000 parts", "multipart/mixed; boundary=x", span_of(NULL, 0), buf_span(&b),
		10000);
	hostile(m, "10,000 parts, campaign of 64", "multipart/mixed; boundary=x", span_of(NULL, 0),
		buf_span(&b), 10000);
	camp_template_free(m);
	camp_world_clear(&many);
	buf_reset(&b);
	for (unsigned i = 0; i < 100000; i++)
		buf_put_str(&b, i % 100 == 99 ? "<div>\r\n" : "<div>");
	hostile(c, "100,000 nested tags", "text/html; charset=utf-8", span_of(NULL, 0),
		buf_span(&b), 10000);
	began = now_us();
	r = camp_html_live(buf_span(&b), "utf-8", any_url, NULL, &broken);
	snprintf(text, sizeof(text), "100,000 nested tags, links-only: %s", r ? camp_html_rule_name(broken.rule) : "passes");
	row(text, now_us() - began, "us", 10000, 1);
	missed |= r == 0;
	buf_reset(&b);
	for (unsigned i = 0; i < 20000; i++)
		buf_put_str(&b, "from a.example by b.example with a long story of\n ");
	buf_put_str(&b, "end");
	hostile(c, "a header of 1 MB", "text/html; charset=utf-8", buf_span(&b), span_of(NULL, 0),
		10000);
	buf_clear(&b);
}

int main(int argc, char **argv)
{
	int messages = argc > 1 ? atoi(argv[1]) : 20000;
	const struct camp_manifest *m;
	struct camp_compiled *c;
	struct buf text, raw;
	struct camp_world w;

	if (messages < 1)
		messages = 1;
	machine(messages);
	c = campaign(&w);
	m = camp_template_manifest(c);
	buf_init(&text, 1 << 20);
	buf_init(&raw, 1 << 20);
	put_ops(m, &m->templates[1].ops, buf_ptr(&w.blob[1]), &text);
	bench_match(c, buf_span(&text));
	put_8bit(&raw, buf_span(&text));
	bench_message(c, buf_span(&raw), "8bit", messages);
	buf_reset(&raw);
	put_qp(&raw, buf_span(&text));
	bench_message(c, buf_span(&raw), "quoted-printable", messages);
	buf_reset(&raw);
	put_base64(&raw, buf_span(&text));
	bench_message(c, buf_span(&raw), "base64", messages);
	bench_hostile(c);
	buf_clear(&text);
	buf_clear(&raw);
	camp_template_free(c);
	camp_world_clear(&w);
	return missed;
}
