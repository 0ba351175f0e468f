/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "mail/mail_selector.h"

/* The key of RFC 8463 A.2, and one that stands for RSA. */
static const uint8_t ed25519[32] = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe,
				    0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6,
				    0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
#define ED_TEXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static struct span ed(void)
{
	return span_of(ed25519, sizeof(ed25519));
}

static void a_selector_tells_version_and_type(void **state)
{
	char s[MAIL_SELECTOR_MAX], name[MAIL_SELECTOR_NAME_MAX], domain[256];

	(void)state;
	assert_int_equal(mail_selector_format(s, "sp", 1, MAIL_SELECTOR_RSA), 0);
	assert_string_equal(s, "sp1r");
	assert_int_equal(mail_selector_format(s, "mail-2026-", UINT32_MAX, MAIL_SELECTOR_ED25519),
			 0);
	assert_string_equal(s, "mail-2026-4294967295e");
	assert_int_equal(mail_selector_name(name, "sp1r", "a.example"), 0);
	assert_string_equal(name, "sp1r._domainkey.a.example");
	memset(domain, 'a', 253);
	domain[253] = '\0';
	assert_int_equal(mail_selector_name(name, "sp1r", domain), ERR_LIMIT);
	assert_true(mail_selector_prefix_ok("sp") && mail_selector_prefix_ok("a-1"));
	assert_false(mail_selector_prefix_ok("") || mail_selector_prefix_ok("1a") ||
		     mail_selector_prefix_ok("a.b") || mail_selector_prefix_ok("A") ||
		     mail_selector_prefix_ok("aaaaaaaaaaaaaaaaa"));
}

static void the_record_of_rfc_8463_comes_out(void **state)
{
	static const uint8_t der[12] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
					0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
	uint8_t spki[44];
	struct buf out;

	(void)state;
	memcpy(spki, der, 12);
	memcpy(spki + 12, ed25519, 32);
	assert_true(span_equal(mail_selector_key(MAIL_SELECTOR_ED25519, span_of(spki, 44)), ed()));
	assert_int_equal(mail_selector_key(MAIL_SELECTOR_ED25519, span_of(spki, 43)).n, 0);
	buf_init(&out, 4096);
	assert_int_equal(mail_selector_text(&out, MAIL_SELECTOR_ED25519, ed()), 0);
	assert_true(span_equal(buf_span(&out), SPAN_LIT(ED_TEXT)));
	buf_clear(&out);
}

static void a_long_text_is_split_into_strings_of_255(void **state)
{
	uint8_t spki[294];
	struct buf text, line;
	char *second;

	(void)state;
	memset(spki, 0x5a, sizeof(spki));
	buf_init(&text, 4096);
	buf_init(&line, 4096);
	assert_int_equal(
	    mail_selector_text(&text, MAIL_SELECTOR_RSA, span_of(spki, sizeof(spki))), 0);
	assert_int_equal(buf_size(&text), 18 + 392);
	assert_int_equal(mail_selector_zone(&line, "sp1r._domainkey.a.example", buf_span(&text)),
			 0);
	buf_put(&line, "", 1);
	assert_memory_equal(buf_ptr(&line),
			    "sp1r._domainkey.a.example. IN TXT \"v=DKIM1; k=rsa; p=Wlpa", 57);
	second = strstr((const char *)buf_ptr(&line), "\" \"");
	assert_non_null(second);
	assert_int_equal(second - (strchr((const char *)buf_ptr(&line), '"') + 1), 255);
	assert_int_equal(strlen(second + 3), 18 + 392 - 255 + 2); /* its quote and line end */
	assert_string_equal(second + strlen(second) - 2, "\"\n");
	buf_clear(&line);
	buf_reset(&text);
	buf_init(&line, 4096);
	assert_int_equal(mail_selector_zone(&line, "a.example", span_of(NULL, 0)), 0);
	assert_true(span_equal(buf_span(&line), SPAN_LIT("a.example. IN TXT \"\"\n")));
	buf_clear(&line);
	buf_clear(&text);
}

static void what_the_dns_says_is_judged(void **state)
{
#define P "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	static const struct {
		const char *text;
		enum mail_selector_verdict verdict;
		int testing;
	} rows[] = {
	    {ED_TEXT, MAIL_SELECTOR_PUBLISHED, 0},
	    {"k=ed25519;" P, MAIL_SELECTOR_PUBLISHED, 0},
	    {"v=DKIM1;k=ed25519;" P ";", MAIL_SELECTOR_PUBLISHED, 0},
	    {" v = DKIM1 ; k = Ed25519 ; p = 11qYAYKxCrfVS/7T yWQHOg7hcvPapiMl\r\n\trwIaaPcHURo= ",
	     MAIL_SELECTOR_PUBLISHED, 0},
	    {"v=DKIM1; h=sha1:sha256; k=ed25519; s=tlsrpt:email; n=hello; t=s; x9=?; " P,
	     MAIL_SELECTOR_PUBLISHED, 0},
	    {"v=DKIM1; k=ed25519; t=s:y; " P, MAIL_SELECTOR_PUBLISHED, 1},
	    {"v=DKIM1; k=ed25519; s=*; " P, MAIL_SELECTOR_PUBLISHED, 0},
	    {"v=DKIM1; k=ed25519; h=sha1; " P, MAIL_SELECTOR_UNFIT, 0},
	    {"v=DKIM1; k=ed25519; s=tlsrpt; " P, MAIL_SELECTOR_UNFIT, 0},
	    {"v=DKIM1; k=rsa; " P, MAIL_SELECTOR_DIFFERENT, 0},
	    {"v=DKIM1; " P, MAIL_SELECTOR_DIFFERENT, 0}, /* k= is rsa unless it is said */
	    {"v=DKIM1; k=ed25519; p=AAAA", MAIL_SELECTOR_DIFFERENT, 0},
	    {"v=DKIM1; k=ed25519; p=!", MAIL_SELECTOR_DIFFERENT, 0},
	    {"v=DKIM1; k=ed25519; p=", MAIL_SELECTOR_REVOKED, 0},
	    {"v=DKIM1; p=;", MAIL_SELECTOR_REVOKED, 0},
	    {"v=DKIM2; k=ed25519; " P, MAIL_SELECTOR_MALFORMED, 0},
	    {"k=ed25519; v=DKIM1; " P, MAIL_SELECTOR_MALFORMED, 0}, /* v= comes first */
	    {"v=DKIM1; k=ed25519", MAIL_SELECTOR_MALFORMED, 0},
	    {"v=DKIM1; k=ed25519; " P "; " P, MAIL_SELECTOR_MALFORMED, 0},
	    {"v=DKIM1; k; " P, MAIL_SELECTOR_MALFORMED, 0},
	    {"v=spf1 -all", MAIL_SELECTOR_MALFORMED, 0},
	    {"", MAIL_SELECTOR_MALFORMED, 0},
	    {";", MAIL_SELECTOR_MALFORMED, 0},
	    {"=", MAIL_SELECTOR_MALFORMED, 0},
	};
	struct span two[2] = {SPAN_LIT(ED_TEXT), SPAN_LIT(ED_TEXT)};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span text = span_str(rows[i].text);
		int testing = -1;
		enum mail_selector_verdict v =
		    mail_selector_judge(&text, 1, MAIL_SELECTOR_ED25519, ed(), &testing);
		if (v != rows[i].verdict || testing != rows[i].testing)
			fail_msg("%s: %s, testing %d", rows[i].text, mail_selector_verdict_word(v),
				 testing);
	}
	assert_int_equal(mail_selector_judge(NULL, 0, MAIL_SELECTOR_ED25519, ed(), NULL),
			 MAIL_SELECTOR_MISSING);
	assert_int_equal(mail_selector_judge(two, 2, MAIL_SELECTOR_ED25519, ed(), NULL),
			 MAIL_SELECTOR_MULTIPLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_selector_tells_version_and_type),
	    cmocka_unit_test(the_record_of_rfc_8463_comes_out),
	    cmocka_unit_test(a_long_text_is_split_into_strings_of_255),
	    cmocka_unit_test(what_the_dns_says_is_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
