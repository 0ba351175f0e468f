/* SPDX-License-Identifier: Apache-2.0 */
/* DKIM's canonical forms, what is signed, the field, and From; against the examples of RFC 6376 and RFC 8463. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "core/hex.h"
#include "mail/mail_dkim.h"
#include "mail/mail_dkim_from.h"

#define MAX 49152

/* --- body */

static void gather(void *arg, struct span s)
{
	buf_put_span(arg, s);
}

/* In stretches of that many octets. */
static void relax(struct span in, size_t step, struct buf *out)
{
	struct mail_dkim_relax r;

	mail_dkim_relax_init(&r, gather, out);
	for (size_t at = 0; at < in.n; at += step)
		mail_dkim_relax_feed(&r, span_sub(in, at, step));
	mail_dkim_relax_end(&r);
}

static void check_body(const char *in, const char *expected)
{
	for (size_t step = 1; step < 20; step++) {
		struct buf out;

		buf_init(&out, 1 << 20);
		relax(span_str(in), step, &out);
		buf_put(&out, "", 1);
		assert_string_equal((const char *)buf_ptr(&out), expected);
		buf_clear(&out);
	}
}

static void a_body_in_relaxed_form(void **state)
{
	(void)state;
	check_body(" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"); /* RFC 6376 3.4.5 */
	check_body("", "");
	check_body("\r\n", "");
	check_body("\r\n\r\n\r\n", "");
	check_body(" \t\r\n\t\r\n", "");
	check_body("a\r\n", "a\r\n");
	check_body("a", "a\r\n");
	check_body("a \t", "a\r\n");
	check_body("\r\n\r\na\r\n", "\r\n\r\na\r\n");
	check_body("  a\r\n", " a\r\n");
	check_body("a  \r\n \t \r\n b\r\n", "a\r\n\r\n b\r\n");
	check_body("a\rb \rc\r\n", "a\rb \rc\r\n"); /* cannot come by SMTP */
	check_body("a\r\r\n", "a\r\r\n");
	check_body("a\r", "a\r\r\n");
	check_body("a\nb \n\r\n", "a\nb \n\r\n");
	check_body("\xc3\xa9 \xff\x80\r\n", "\xc3\xa9 \xff\x80\r\n");
}

static void a_long_body_hashes_the_same_in_any_stretches(void **state)
{
	static uint8_t in[100000];
	uint8_t once[MAIL_DKIM_HASH], often[MAIL_DKIM_HASH];
	struct mail_dkim_body b;
	uint32_t x = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(in); i++) {
		x = x * 1664525 + 1013904223;
		in[i] = (uint8_t) "ab \t\r\nxyz"[(x >> 24) % 9];
	}
	assert_int_equal(mail_dkim_body_init(&b), 0);
	mail_dkim_body_feed(&b, span_of(in, sizeof(in)));
	assert_int_equal(mail_dkim_body_end(&b, once), 0);
	for (size_t step = 1; step < 20000; step = step * 3 + 1) {
		mail_dkim_body_reset(&b);
		for (size_t at = 0; at < sizeof(in); at += step)
			mail_dkim_body_feed(&b, span_sub(span_of(in, sizeof(in)), at, step));
		assert_int_equal(mail_dkim_body_end(&b, often), 0);
		assert_memory_equal(once, often, sizeof(once));
	}
	mail_dkim_body_clear(&b);
}

static void an_empty_body_hashes_as_nothing(void **state)
{
	char text[HEX_B64_SIZE(MAIL_DKIM_HASH)];
	uint8_t hash[MAIL_DKIM_HASH];
	struct mail_dkim_body b;

	(void)state;
	assert_int_equal(mail_dkim_body_init(&b), 0);
	mail_dkim_body_feed(&b, SPAN_LIT("\r\n\r\n"));
	assert_int_equal(mail_dkim_body_end(&b, hash), 0);
	hex_b64_encode(text, hash, sizeof(hash));
	assert_string_equal(text, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="); /* RFC 6376 3.4.4 */
	mail_dkim_body_clear(&b);
}

/* --- one field */

static void check_field(const char *in, const char *expected)
{
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(mail_dkim_head_relax(span_str(in), &out), 0);
	buf_put(&out, "", 1);
	assert_string_equal((const char *)buf_ptr(&out), expected);
	buf_clear(&out);
}

static void a_field_in_relaxed_form(void **state)
{
	struct buf out;

	(void)state;
	check_field("A: X\r\n", "a:X\r\n"); /* RFC 6376 3.4.5 */
	check_field("B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n");
	check_field("SUBJect:AbC\r\n", "subject:AbC\r\n");
	check_field("A:\r\n", "a:\r\n");
	check_field("A: \r\n \r\n\t\r\n", "a:\r\n");
	check_field("A:\r\n x\r\n", "a:x\r\n");
	check_field("A: x:  y ;\r\n\r\n", "a:x: y ;\r\n");
	check_field("A: \xc3\xa9\t\t\xf0\x9f\x93\xae", "a:\xc3\xa9 \xf0\x9f\x93\xae\r\n");
	buf_init(&out, 4096);
	assert_int_equal(mail_dkim_head_relax(SPAN_LIT("no field\r\n"), &out), ERR_FORMAT);
	buf_clear(&out);
}

/* --- RFC 8463 appendix A: one message, both algorithms */

#define FIELD(alg, selector, h)                                                                 \
	"DKIM-Signature: v=1; a=" alg "; c=relaxed/relaxed;\r\n d=football.example.com; "       \
	"i=@football.example.com;\r\n q=dns/txt; s=" selector "; t=1528637909; h=" h            \
	"\r\n bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b="

static const char *const fields[] = {
    "From: Joe SixPack <joe@football.example.com>\r\n", "To: Suzie Q <suzie@shopping.example.net>\r\n",
    "Subject: Is dinner ready?\r\n", "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n",
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"};

static void make_input(const char *field, struct buf *out)
{
	for (int i = 0; i < 5; i++)
		assert_int_equal(mail_dkim_head_relax(span_str(fields[i]), out), 0);
	assert_int_equal(mail_dkim_head_relax(span_str(field), out), 0);
	out->len -= 2;
}

static size_t decode(uint8_t *out, size_t room, const char *text)
{
	int n = hex_b64_decode(out, room, span_str(text));

	assert_true(n > 0);
	return (size_t)n;
}

static void rfc8463_ed25519(void **state)
{
	uint8_t key[32], signature[64], digest[MAIL_DKIM_HASH];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *k;
	struct buf input;

	(void)state;
	buf_init(&input, MAX);
	make_input(FIELD("ed25519-sha256", "brisbane",
			 "from : to :\r\n subject : date : message-id : from : subject : date;"),
		   &input);
	decode(key, sizeof(key), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
	decode(signature, sizeof(signature),
	       "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==");
	k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, sizeof(key));
	assert_int_equal(mail_dkim_digest(buf_span(&input), digest), 0);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, k), 1);
	assert_int_equal(EVP_DigestVerify(ctx, signature, sizeof(signature), digest, sizeof(digest)), 1);
	EVP_PKEY_free(k);
	EVP_MD_CTX_free(ctx);
	buf_clear(&input);
}

static void rfc8463_rsa(void **state)
{
	uint8_t key[256], signature[128];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const uint8_t *p = key;
	struct buf input;
	EVP_PKEY *k;
	size_t n;

	(void)state;
	buf_init(&input, MAX);
	make_input(FIELD("rsa-sha256", "test", "from : to : subject :\r\n date : message-id : from : subject : date;"),
		   &input);
	n = decode(key, sizeof(key),
		   "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi"
		   "0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G"
		   "+2kryOTIKT+l/K4w3QIDAQAB");
	decode(signature, sizeof(signature),
	       "F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTn"
	       "GdaSGsgeefOsk2JzdA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=");
	k = d2i_PUBKEY(NULL, &p, (long)n);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k), 1);
	assert_int_equal(
	    EVP_DigestVerify(ctx, signature, sizeof(signature), buf_ptr(&input), buf_size(&input)), 1);
	EVP_PKEY_free(k);
	EVP_MD_CTX_free(ctx);
	buf_clear(&input);
}

static void rfc8463_body(void **state)
{
	char text[HEX_B64_SIZE(MAIL_DKIM_HASH)];
	uint8_t hash[MAIL_DKIM_HASH];
	struct mail_dkim_body b;

	(void)state;
	assert_int_equal(mail_dkim_body_init(&b), 0);
	mail_dkim_body_feed(&b, SPAN_LIT("Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"));
	assert_int_equal(mail_dkim_body_end(&b, hash), 0);
	hex_b64_encode(text, hash, sizeof(hash));
	assert_string_equal(text, "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
	mail_dkim_body_clear(&b);
}

/* --- the header section */

/* In stretches of that many octets; what is left over is body. */
static void read_head(struct mail_dkim_head *h, const char *text, size_t step, struct buf *body)
{
	struct span in = span_str(text), before;

	mail_dkim_head_init(h, MAX);
	for (size_t at = 0; at < in.n; at += step) {
		struct span s = span_sub(in, at, step);
		ptrdiff_t n = 0;
		if (!h->done) {
			n = mail_dkim_head_feed(h, s, &before);
			assert_true(n >= 0);
			buf_put_span(body, before);
		}
		buf_put_span(body, span_sub(s, (size_t)n, s.n));
	}
	assert_int_equal(mail_dkim_head_end(h), 0);
}

static void check_text(struct buf *b, const char *expected)
{
	buf_put(b, "", 1);
	assert_string_equal(buf_size(b) ? (const char *)buf_ptr(b) : "", expected);
	buf_clear(b);
}

static void check_head(const char *text, const char *names, const char *input, const char *rest, int broken)
{
	for (size_t step = 1; step < 40; step++) {
		struct mail_dkim_head h;
		struct buf out, body;

		buf_init(&body, 65536);
		read_head(&h, text, step, &body);
		assert_int_equal(h.broken, broken);
		buf_init(&out, 65536);
		assert_int_equal(mail_dkim_head_names(&h, 0, 10000, &out), 0);
		check_text(&out, names);
		buf_init(&out, 65536);
		assert_int_equal(mail_dkim_head_input(&h, &out), 0);
		check_text(&out, input);
		check_text(&body, rest);
		mail_dkim_head_clear(&h);
	}
}

static void what_is_signed(void **state)
{
	(void)state;
	check_head("Received: x\r\nFROM: a@b\r\nsubject: x\r\n  y \r\nX-A: 1\r\nTo : c\r\n\r\nbody\r\n",
		   "From:From:Reply-To:To:To:Cc:Subject:Subject", "from:a@b\r\nto:c\r\nsubject:x y\r\n", "body\r\n", 0);
	/* the last of several comes first */
	check_head("Subject: 1\r\nSubject: 2\r\nComments: z\r\n z\r\nSubject: 3\r\n\r\n",
		   "From:Reply-To:To:Cc:Subject:Subject:Subject:Subject", "subject:3\r\nsubject:2\r\nsubject:1\r\n", "", 0);
	/* no name twice but for From and the like, and what is there */
	check_head("From: a\r\nDate: d\r\nList-Help: h\r\n\r\n\r\n", "From:From:Reply-To:To:Cc:Subject:Date:Date:List-Help",
		   "from:a\r\ndate:d\r\nlist-help:h\r\n", "\r\n", 0);
	check_head("From: a\r\n", "From:From:Reply-To:To:Cc:Subject", "from:a\r\n", "", 0);
	check_head("", "From:Reply-To:To:Cc:Subject", "", "", 0);
	check_head("\r\nFrom: a\r\n", "From:Reply-To:To:Cc:Subject", "", "From: a\r\n", 0);
}

static void a_section_that_ends_without_an_empty_line(void **state)
{
	(void)state;
	check_head("From: a\r\nhello\r\nTo: b\r\n", "From:From:Reply-To:To:Cc:Subject", "from:a\r\n", "hello\r\nTo: b\r\n", 1);
	check_head(" From: a\r\n", "From:Reply-To:To:Cc:Subject", "", " From: a\r\n", 1);
	check_head("From: a\r\n: b\r\n\r\n", "From:From:Reply-To:To:Cc:Subject", "from:a\r\n", ": b\r\n\r\n", 1);
}

static void make_long(struct buf *out, const char *name, size_t n)
{
	buf_put_str(out, name);
	buf_put_str(out, ":");
	for (size_t i = 0; i < n; i += 50)
		buf_put_str(out, " 0123456789012345678901234567890123456789012345\r\n");
}

static void check_choice(struct buf *text, int err, const char *names)
{
	static const uint8_t hash[MAIL_DKIM_HASH];
	struct mail_dkim_facts f = {MAIL_DKIM_RSA, "example.org", "sp1r", 1, hash};
	struct mail_dkim_head h;
	struct buf out, body;

	buf_put_str(text, "\r\n");
	buf_put(text, "", 1);
	buf_init(&body, 100);
	buf_init(&out, MAX + MAIL_DKIM_FIELD_MAX);
	read_head(&h, (const char *)buf_ptr(text), 777, &body);
	assert_int_equal(mail_dkim_choose(&h, &f), err);
	if (err == 0) {
		struct buf field;

		buf_init(&field, MAIL_DKIM_FIELD_MAX);
		assert_int_equal(mail_dkim_format(&h, &f, &field), 0);
		assert_int_equal(mail_dkim_input(&h, buf_span(&field), &out), 0);
		assert_true(buf_size(&out) <= MAX);
		buf_reset(&out);
		assert_int_equal(mail_dkim_head_names(&h, 0, 10000, &out), 0);
		check_text(&out, names);
		buf_clear(&field);
	}
	mail_dkim_head_clear(&h);
	buf_clear(&body);
	buf_clear(&out);
	buf_clear(text);
}

static void the_longest_fields_are_left_out(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	make_long(&text, "To", 30000);
	make_long(&text, "References", 10000);
	buf_put_str(&text, "From: a@b\r\nSubject: s\r\n");
	make_long(&text, "Cc", 20000);
	check_choice(&text, 0, "From:From:Reply-To:Cc:Cc:Subject:Subject:References:References");
	buf_init(&text, 1 << 20);
	make_long(&text, "Cc", 100000);
	buf_put_str(&text, "From: a@b\r\nCc: b\r\nSubject: s\r\n");
	check_choice(&text, 0, "From:From:Reply-To:To:Subject:Subject");
	buf_init(&text, 1 << 20);
	buf_put_str(&text, "From: a@b\r\nSubject: s\r\n");
	for (int i = 0; i < 21; i++)
		buf_put_str(&text, "Resent-To: b\r\n");
	check_choice(&text, 0, "From:From:Reply-To:To:Cc:Subject:Subject");
}

static void what_must_be_signed_is_not_left_out(void **state)
{
	struct buf text;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_put_str(&text, "From: a@b\r\nTo: b\r\n");
	make_long(&text, "Subject", 60000);
	check_choice(&text, ERR_LIMIT, NULL);
	buf_init(&text, 1 << 20); /* the field itself counts */
	buf_put_str(&text, "From: a@b\r\nTo: b\r\n");
	make_long(&text, "Subject", MAX / 47 * 50);
	check_choice(&text, ERR_LIMIT, NULL);
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 21; i++)
		buf_put_str(&text, "Subject: b\r\n");
	check_choice(&text, ERR_LIMIT, NULL);
}

static void check_value(const char *text, int err, const char *expected)
{
	struct mail_dkim_head h;
	struct buf body;
	struct span v;

	buf_init(&body, 4096);
	read_head(&h, text, 1000, &body);
	assert_int_equal(mail_dkim_head_value(&h, MAIL_DKIM_FROM, &v), err);
	if (err == 0)
		assert_true(span_equal(v, span_str(expected)));
	mail_dkim_head_clear(&h);
	buf_clear(&body);
}

static void the_value_of_a_field(void **state)
{
	(void)state;
	check_value("From: a \r\n  b\r\n\r\n", 0, "a b");
	check_value("X: y\r\nFrom:\r\n\r\n", 0, "");
	check_value("X: y\r\n\r\nFrom: a\r\n", ERR_NOTFOUND, NULL);
	check_value("From: a\r\nfrom: a\r\n\r\n", ERR_EXISTS, NULL);
}

/* --- the field */

static void the_field_is_folded_and_takes_its_signature(void **state)
{
	static const uint8_t hash[MAIL_DKIM_HASH], signature[256];
	struct mail_dkim_facts f = {MAIL_DKIM_ED25519, "example.org", "sp12e", 1764000000, hash};
	struct mail_dkim_head h;
	struct buf field, body;
	struct span rest;

	(void)state;
	buf_init(&body, 4096);
	buf_init(&field, MAIL_DKIM_FIELD_MAX);
	read_head(&h, "From: a@b\r\nTo: c\r\nSubject: s\r\nMIME-Version: 1\r\nContent-Type: t\r\nDate: d\r\nMessage-ID: m\r\n\r\n",
		  1000, &body);
	assert_int_equal(mail_dkim_format(&h, &f, &field), 0);
	f.alg = MAIL_DKIM_RSA;
	assert_true(span_equal(
	    buf_span(&field),
	    SPAN_LIT("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.org;\r\n"
		     "\ts=sp12e; t=1764000000;\r\n"
		     "\th=From:From:Reply-To:To:To:Cc:Subject:Subject:Date:Date:Message-ID:\r\n"
		     "\tMessage-ID:MIME-Version:MIME-Version:Content-Type:Content-Type;\r\n"
		     "\tbh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;\r\n"
		     "\tb=")));
	assert_int_equal(mail_dkim_finish(&field, span_of(signature, sizeof(signature))), 0);
	for (rest = buf_span(&field); rest.n;) {
		ptrdiff_t lf = span_find(rest, '\n');
		assert_true(lf > 1 && lf <= 79 && rest.p[lf - 1] == '\r');
		rest = span_sub(rest, (size_t)lf + 1, rest.n);
	}
	mail_dkim_head_clear(&h);
	buf_clear(&field);
	buf_clear(&body);
}

/* --- From */

static void the_domain_of_from(void **state)
{
	static const struct {
		const char *from, *domain;
	} good[] = {
	    {"a@Example.ORG", "example.org"},
	    {"<a@b.example>", "b.example"},
	    {"A B <a@b.example>", "b.example"},
	    {"\"A, B <x@y>\" <a@b.example>", "b.example"},
	    {"\"a@evil.example\" <a@b.example>", "b.example"},
	    {"\"q\\\"<x@y>\" <a@b.example>", "b.example"},
	    {"a@b.example (A (nested \\) @) B)", "b.example"},
	    {"(c) a (c) @ (c) b.example (c)", "b.example"},
	    {"\"a b\"@b.example", "b.example"},
	    {"\"a@x\"@b.example", "b.example"},
	    {"=?utf-8?q?J=C3=BCrgen?= <a@b.example>", "b.example"},
	    {"J. R. Doe <a@b.example>", "b.example"},
	    {"J\xc3\xbcrgen <j\xc3\xbc@b\xc3\xbc" "cher.example>", "b\xc3\xbc" "cher.example"},
	    {"a@b.example, c@B.example", "b.example"},
	    {"A <a@b.example>,, <c@b.example> ,", "b.example"},
	    {"Team: a@b.example, B <c@b.example>;", "b.example"},
	    {"a@[192.0.2.1]", "[192.0.2.1]"},
	};
	static const char *const bad[] = {
	    "", " ", "a", "a@", "@b", "<>", "<a>", "<a@b", "a@b>", "a@b c", "a b@c", "a@b <c@d>", "A <a@b> B",
	    "A @ B <a@b>", "\"A <a@b>", "(c a@b", "a@b.", "a@.b", "a@b..c", "a@b!c", "Acme, Inc. <a@b>", "A: B <a@b>",
	    "A:;", "A: a@b", "a@b;", "A [x] <a@b>", "a@b\rc", "a@b\1", "<@x:a@b>", "a@b@c", "A: B: a@b;;", "a@\"b\""};
	char domain[MAIL_DKIM_DOMAIN], text[400];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(mail_dkim_from(span_str(good[i].from), domain), 0);
		assert_string_equal(domain, good[i].domain);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mail_dkim_from(span_str(bad[i]), domain) != ERR_FORMAT)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(mail_dkim_from(span_str("a@b.example, c@d.example"), domain), ERR_EXISTS);
	memset(text, 'x', sizeof(text));
	memcpy(text, "a@", 2);
	assert_int_equal(mail_dkim_from(span_of(text, sizeof(text)), domain), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_body_in_relaxed_form),
	    cmocka_unit_test(a_long_body_hashes_the_same_in_any_stretches),
	    cmocka_unit_test(an_empty_body_hashes_as_nothing),
	    cmocka_unit_test(a_field_in_relaxed_form),
	    cmocka_unit_test(rfc8463_body),
	    cmocka_unit_test(rfc8463_ed25519),
	    cmocka_unit_test(rfc8463_rsa),
	    cmocka_unit_test(what_is_signed),
	    cmocka_unit_test(a_section_that_ends_without_an_empty_line),
	    cmocka_unit_test(the_longest_fields_are_left_out),
	    cmocka_unit_test(what_must_be_signed_is_not_left_out),
	    cmocka_unit_test(the_value_of_a_field),
	    cmocka_unit_test(the_field_is_folded_and_takes_its_signature),
	    cmocka_unit_test(the_domain_of_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
