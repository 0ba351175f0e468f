/* SPDX-License-Identifier: Apache-2.0 */
/* What keys of one purpose sign, and no other: as keyd_form says, and through SIGN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_form.h"
#include "keyproto/keyproto_rotate.h"
#include "test/unit/keyd_play.h"

#define SIGNATURE "dkim-signature:v=1; a=rsa-sha256; d=a.example; s=sp1r; h=from; bh=AA==; b="
#define HEADERS	  "from:Ann <ann@a.example>\r\nsubject:\r\nto:b@b.example\r\n" SIGNATURE

static int ok(const char *label, unsigned alg, struct span data)
{
	return keyd_form_ok(span_str(label), alg, data);
}

static void a_dkim_key_signs_relaxed_headers_that_end_with_its_signature(void **state)
{
	static const struct {
		const char *text;
		int ok;
	} rows[] = {
	    {HEADERS, 1},
	    {SIGNATURE, 1},
	    {"from:a\r\ndkim-signature:v=1; h=from;b=", 1},
	    {"from:gr\xc3\xbc\xc3\x9f\xff\r\n" SIGNATURE, 1},	      /* 8-bit is taken as it is */
	    {"dkim-signature:v=1; b=xx\r\n" SIGNATURE, 1},   /* an older signature is signed */
	    {"x!#$%&'*+-.^_`|~9:y\r\n" SIGNATURE, 1},
	    {"", 0},
	    {"message", 0},
	    {"from:a", 0},
	    {"from:a\r\n", 0},
	    {"from:a\r\nsubject:b; b=", 0}, /* the last is no signature */
	    {HEADERS "\r\n", 0},
	    {HEADERS "AAAA", 0},			     /* b= is not empty */
	    {"dkim-signature:v=1; d=a; xb=", 0},
	    {"dkim-signature:v=1;b=", 1},
	    {"dkim-signature:v=2; b=", 0},
	    {"dkim-signature: v=1; b=", 0},
	    {"DKIM-Signature:v=1; b=", 0},
	    {"from:a\n" SIGNATURE, 0},
	    {"from:a\r" SIGNATURE, 0},
	    {"from:a\rb\r\n" SIGNATURE, 0},
	    {"\r\n" SIGNATURE, 0},
	    {"\n" SIGNATURE, 0},
	    {"from:a\r\n\r\n" SIGNATURE, 0},
	    {"From:a\r\n" SIGNATURE, 0},
	    {"from :a\r\n" SIGNATURE, 0},
	    {"from: a\r\n" SIGNATURE, 0},
	    {"from:a \r\n" SIGNATURE, 0},
	    {"from:a  b\r\n" SIGNATURE, 0},
	    {"from:a\tb\r\n" SIGNATURE, 0},
	    {"from\r\n" SIGNATURE, 0},
	    {":a\r\n" SIGNATURE, 0},
	    {"fr\xc3\xa4m:a\r\n" SIGNATURE, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (ok("dkim/a.example/rsa", KEYPROTO_ALG_RS256, span_str(rows[i].text)) !=
		    rows[i].ok)
			fail_msg("row %zu: %s", i, rows[i].text);
	assert_false(ok("dkim/a.example/rsa", KEYPROTO_ALG_RS256,
			SPAN_LIT("from:a\0b\r\n" SIGNATURE)));
}

static void a_dkim_key_signs_by_two_algorithms_alone(void **state)
{
	static const uint8_t digest[33];

	(void)state;
	for (unsigned alg = 0; alg <= KEYPROTO_ALG_ED25519 + 1; alg++) {
		assert_int_equal(ok("dkim/a", alg, SPAN_LIT(HEADERS)), alg == KEYPROTO_ALG_RS256);
		assert_int_equal(ok("dkim/a", alg, span_of(digest, 32)),
				 alg == KEYPROTO_ALG_ED25519);
	}
	assert_false(ok("dkim/a", KEYPROTO_ALG_ED25519, span_of(digest, 31)));
	assert_false(ok("dkim/a", KEYPROTO_ALG_ED25519, span_of(digest, 33)));
}

static void no_other_key_signs_what_dkim_does(void **state)
{
	static const char *const labels[] = {"tls/relay", "jwt/api", "manifest/1", "dkimx/a",
					     "audit/keyd", "dkim"};
	static const uint8_t digest[32];

	(void)state;
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		assert_false(ok(labels[i], KEYPROTO_ALG_RS256, SPAN_LIT(HEADERS)));
		assert_false(ok(labels[i], KEYPROTO_ALG_PS512, SPAN_LIT(HEADERS)));
		assert_false(ok(labels[i], KEYPROTO_ALG_ED25519, SPAN_LIT(HEADERS)));
		assert_false(ok(labels[i], KEYPROTO_ALG_ED25519, span_of(digest, 32)));
		assert_true(ok(labels[i], KEYPROTO_ALG_ED25519, SPAN_LIT("message")));
	}
}

static void a_tls_key_signs_handshakes_and_no_jwt(void **state)
{
	uint8_t tls13[64 + 33 + 1 + 32];

	(void)state;
	memset(tls13, ' ', 64);
	memcpy(tls13 + 64, "TLS 1.3, server CertificateVerify", 34);
	memset(tls13 + 98, 0xab, 32);
	assert_true(ok("tls/relay", KEYPROTO_ALG_ES256, span_of(tls13, sizeof(tls13))));
	assert_true(ok("tls/relay", KEYPROTO_ALG_ED25519, span_of(tls13, sizeof(tls13))));
	assert_false(ok("tls/relay", KEYPROTO_ALG_RS256, SPAN_LIT("eyJhbGciOiJSUzI1NiJ9.e30")));
	assert_true(ok("jwt/api", KEYPROTO_ALG_RS256, SPAN_LIT("eyJhbGciOiJSUzI1NiJ9.e30")));
}

/* --- through SIGN */

struct scene {
	struct keyd_play play;
	struct keyd_play_client officer, relay;
};

static struct scene *ready(void)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_int_equal(keyd_play_memory(&s->play), 0);
	keyd_play_connect(&s->officer, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_OFFICER);
	keyd_play_connect(&s->relay, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE, KEYPROTO_ROLE_RELAY);
	assert_int_equal(keyd_play_key(&s->officer, "dkim/a.example/rsa", KEYPROTO_KEY_RSA2048), 0);
	assert_int_equal(keyd_play_key(&s->officer, "dkim/a.example/ed25519", KEYPROTO_KEY_ED25519),
			 0);
	assert_int_equal(keyd_play_key(&s->officer, "tls/rsa", KEYPROTO_KEY_RSA2048), 0);
	assert_int_equal(keyd_play_key(&s->officer, "tls/ed", KEYPROTO_KEY_ED25519), 0);
	return s;
}

static void done(struct scene *s)
{
	keyd_play_leave(&s->officer);
	keyd_play_leave(&s->relay);
	keyd_play_close(&s->play);
	free(s);
}

static int sign(struct keyd_play_client *c, const char *name, unsigned alg, struct span data)
{
	struct keyproto_sign m = {span_str(name), (uint8_t)alg, data};
	int rc = keyproto_sign_put(keyd_play_begin(c), &m);

	return rc < 0 ? rc : keyd_play_call(c, KEYPROTO_SIGN);
}

static int verifies(struct scene *s, const char *name, unsigned alg, struct span data)
{
	uint8_t bytes[KEYD_CRYPTO_SIG_MAX];
	struct keyproto_public pub;
	struct span sig;
	size_t n;

	assert_int_equal(keyproto_bytes_get(buf_span(&s->relay.reply), &sig), 0);
	n = sig.n;
	memcpy(bytes, sig.p, n);
	keyproto_bytes_put(keyd_play_begin(&s->relay), span_str(name));
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_PUBLIC_KEY), 0);
	assert_int_equal(keyproto_public_get(buf_span(&s->relay.reply), &pub), 0);
	return keyd_crypto_verify(pub.spki, alg, data, span_of(bytes, n)) == 0;
}

static void relay_has_mail_signed_by_both_keys(void **state)
{
	struct scene *s = ready();
	static const uint8_t digest[32] = {1, 2, 3};

	(void)state;
	assert_int_equal(sign(&s->relay, "dkim/a.example/rsa", KEYPROTO_ALG_RS256,
			      SPAN_LIT(HEADERS)),
			 0);
	assert_true(verifies(s, "dkim/a.example/rsa", KEYPROTO_ALG_RS256, SPAN_LIT(HEADERS)));
	assert_int_equal(sign(&s->relay, "dkim/a.example/ed25519#1", KEYPROTO_ALG_ED25519,
			      span_of(digest, 32)),
			 0);
	assert_true(verifies(s, "dkim/a.example/ed25519", KEYPROTO_ALG_ED25519,
			     span_of(digest, 32)));
	done(s);
}

static void what_has_the_form_of_another_purpose_is_denied_and_counted(void **state)
{
	struct scene *s = ready();
	static const uint8_t digest[32];
	struct span mail = SPAN_LIT(HEADERS), text = SPAN_LIT("some text");
	struct span hash = span_of(digest, 32);
	const struct {
		const char *name;
		unsigned alg;
		struct span data;
	} rows[] = {
	    {"dkim/a.example/rsa", KEYPROTO_ALG_RS256, text},
	    {"dkim/a.example/rsa", KEYPROTO_ALG_PS256, mail},
	    {"dkim/a.example/rsa", KEYPROTO_ALG_RS512, mail},
	    {"dkim/a.example/rsa", KEYPROTO_ALG_ED25519, hash},
	    {"dkim/a.example/ed25519", KEYPROTO_ALG_ED25519, text},
	    {"dkim/a.example/ed25519", KEYPROTO_ALG_ED25519, mail},
	    {"tls/rsa", KEYPROTO_ALG_RS256, mail},
	    {"tls/rsa", KEYPROTO_ALG_PS256, mail},
	    {"tls/ed", KEYPROTO_ALG_ED25519, hash},
	    {"tls/ed", KEYPROTO_ALG_ED25519, mail},
	};
	uint64_t denied = s->play.keyd->counts.denied;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(sign(&s->relay, rows[i].name, rows[i].alg, rows[i].data),
				 ERR_DENIED);
	assert_int_equal(s->play.keyd->counts.denied, denied + sizeof(rows) / sizeof(rows[0]));
	/* nobody but relay */
	assert_int_equal(sign(&s->officer, "dkim/a.example/rsa", KEYPROTO_ALG_RS256, mail),
			 ERR_DENIED);
	done(s);
}

static int rotate(struct scene *s, const char *label, unsigned flags)
{
	struct keyproto_rotate m = {KEYPROTO_ROTATE_KEY, span_str(label), (uint8_t)flags};

	keyproto_rotate_put(keyd_play_begin(&s->officer), &m);
	return keyd_play_call(&s->officer, KEYPROTO_ROTATE);
}

static void a_next_version_signs_no_mail_until_it_is_activated(void **state)
{
	struct scene *s = ready();
	static const uint8_t digest[32];
	struct span hash = span_of(digest, 32);

	(void)state;
	assert_int_equal(rotate(s, "dkim/a.example/ed25519", 0), 0);
	assert_int_equal(sign(&s->relay, "dkim/a.example/ed25519#2", KEYPROTO_ALG_ED25519, hash),
			 ERR_DENIED);
	assert_int_equal(sign(&s->relay, "dkim/a.example/ed25519#1", KEYPROTO_ALG_ED25519, hash),
			 0);
	assert_int_equal(rotate(s, "dkim/a.example/ed25519", KEYPROTO_ROTATE_ACTIVATE), 0);
	assert_int_equal(sign(&s->relay, "dkim/a.example/ed25519#2", KEYPROTO_ALG_ED25519, hash),
			 0);
	assert_int_equal(sign(&s->relay, "dkim/a.example/ed25519#1", KEYPROTO_ALG_ED25519, hash),
			 ERR_DENIED);
	done(s);
}

static void long_headers_are_signed_up_to_the_limit(void **state)
{
	struct scene *s = ready();
	static char text[KEYPROTO_SIGN_MAX + 1];
	size_t n = 0;

	(void)state;
	while (n + 1000 + sizeof(SIGNATURE) < KEYPROTO_SIGN_MAX) {
		memcpy(text + n, "x-long:", 7);
		memset(text + n + 7, 'x', 991);
		memcpy(text + n + 998, "\r\n", 2);
		n += 1000;
	}
	memcpy(text + n, "y:", 2);
	memset(text + n + 2, 'y', KEYPROTO_SIGN_MAX - n - 2);
	memcpy(text + KEYPROTO_SIGN_MAX - strlen(SIGNATURE) - 2, "\r\n" SIGNATURE,
	       strlen(SIGNATURE) + 2);
	assert_int_equal(sign(&s->relay, "dkim/a.example/rsa", KEYPROTO_ALG_RS256,
			      span_of(text, KEYPROTO_SIGN_MAX)),
			 0);
	assert_true(verifies(s, "dkim/a.example/rsa", KEYPROTO_ALG_RS256,
			     span_of(text, KEYPROTO_SIGN_MAX)));
	assert_int_equal(sign(&s->relay, "dkim/a.example/rsa", KEYPROTO_ALG_RS256,
			      span_of(text, KEYPROTO_SIGN_MAX + 1)),
			 ERR_FORMAT);
	done(s);
}

static int set_up(void **state)
{
	(void)state;
	return keyd_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_dkim_key_signs_relaxed_headers_that_end_with_its_signature),
	    cmocka_unit_test(a_dkim_key_signs_by_two_algorithms_alone),
	    cmocka_unit_test(no_other_key_signs_what_dkim_does),
	    cmocka_unit_test(a_tls_key_signs_handshakes_and_no_jwt),
	    cmocka_unit_test(relay_has_mail_signed_by_both_keys),
	    cmocka_unit_test(what_has_the_form_of_another_purpose_is_denied_and_counted),
	    cmocka_unit_test(a_next_version_signs_no_mail_until_it_is_activated),
	    cmocka_unit_test(long_headers_are_signed_up_to_the_limit),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
