/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "mail/mail_charset.h"
#include "mail/mail_cte.h"
#include "mail/mail_word.h"

static void values_are_decoded(void **state)
{
	static const char *const rows[][2] = {
	    {"plain text", "plain text"},
	    {"  two  blanks\tkept ", "two  blanks\tkept"},
	    {"a\r\n b\n\tc", "a b\tc"},
	    {"", ""},
	    {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
	    {"=?utf-8?Q?Caf=C3=A9_au=20lait?=", "Caf\xc3\xa9 au lait"},
	    {"=?UTF-8?b?4oKs?= 5", "\xe2\x82\xac 5"},
	    {"=?iso-8859-1?q?=e9?=", "\xc3\xa9"},
	    {"=?Windows-1252?Q?=80?=", "\xe2\x82\xac"},
	    {"=?iso-8859-15?Q?=A4?=", "\xe2\x82\xac"},
	    {"=?us-ascii?Q?a?= \r\n =?us-ascii?Q?b?=", "ab"},
	    {"x =?us-ascii?Q?a?=  y", "x a  y"},
	    {"a? =b? c=?", NULL},
	    {"5 = 5?", "5 = 5?"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[200];
		int rc = mail_word_decode(text, sizeof(text), span_str(rows[i][0]));
		if (!rows[i][1]) {
			assert_int_equal(rc, ERR_FORMAT);
			continue;
		}
		assert_int_equal(rc, strlen(rows[i][1]));
		assert_string_equal(text, rows[i][1]);
	}
}

static void values_with_two_readings_are_refused(void **state)
{
	static const char *const rows[] = {
	    "=?utf-8?Q?a?=b", /* not set apart */
	    "b=?utf-8?Q?a?=",
	    "=?utf-8?Q?a b?=",		   /* a blank in it */
	    "=?utf-8?Q?a?= =?utf-8?Q?=C3", /* not ended */
	    "=?utf-8?Q?"
	    "?=", /* empty */
	    "=?utf-8?X?a?=",
	    "=?utf-8?QQ?a?=",
	    "=?utf-7?Q?a?=",
	    "=?koi8-r?Q?=C1?=",
	    "=?utf-8*en?Q?a?=",
	    "=?utf-8?Q?=4?=",
	    "=?utf-8?Q?=zz?=",
	    "=?utf-8?Q?a?b?=",
	    "=?utf-8?B?4oKs?",
	    "=?utf-8?B?4oK?=", /* an open quantum */
	    "=?utf-8?B?4o*s?=",
	    "=?utf-8?B?4oI=?= =?utf-8?B?rA==?=", /* a character over two words */
	    "=?utf-8?Q?=C3?= =?utf-8?Q?=A9?=",
	    "=?utf-8?Q?=0D=0ABcc:_x?=", /* control characters */
	    "=?utf-8?Q?=00?=",
	    "=?iso-8859-1?Q?=85?=",
	    "=?utf-8?Q?=C2=85?=",
	    "=?us-ascii?Q?=E9?=",
	    "=?utf-8?Q?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?=",
	    "a\r\nb", /* no fold */
	    "a\rb",
	    "a\r\n",
	    "a\x01z",
	    "a\x7fz",
	    "caf\xe9",
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (mail_word_decode(text, sizeof(text), span_str(rows[i])) != ERR_FORMAT)
			fail_msg("passed: %s", rows[i]);
	assert_int_equal(mail_word_decode(text, sizeof(text), span_of("a\0b", 3)), ERR_FORMAT);
	assert_int_equal(mail_word_decode(text, 4, SPAN_LIT("four")), ERR_LIMIT);
	assert_int_equal(mail_word_decode(text, 5, SPAN_LIT("four")), 4);
}

static void one_mailbox_is_read(void **state)
{
	static const char *const rows[][3] = {
	    {"a@b.example", "a@b.example", ""},
	    {" <News@SHOP.Example> ", "News@shop.example", ""},
	    {"Shop <news@shop.example>", "news@shop.example", "Shop"},
	    {"The  Shop, Inc <a@b>", NULL, NULL},
	    {"\"The Shop, \\\"Inc\\\"\" <a@b>", "a@b", "The Shop, \"Inc\""},
	    {"John Q. Public\r\n\t<a.b+c@d-e.example>", "a.b+c@d-e.example", "John Q. Public"},
	    {"=?utf-8?Q?Caf=C3=A9?= <a@b>", "a@b", "Caf\xc3\xa9"},
	    {"Caf\xc3\xa9 <a@b>", "a@b", "Caf\xc3\xa9"},
	    {"\"a b\"@c.example", "\"a b\"@c.example", ""},
	    {"<\"a b\"@c.example>", "\"a b\"@c.example", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mail_word_mailbox m;
		int rc = mail_word_mailbox(&m, span_str(rows[i][0]));
		if (!rows[i][1]) {
			assert_int_equal(rc, ERR_FORMAT);
			continue;
		}
		if (rc != 0)
			fail_msg("refused: %s", rows[i][0]);
		assert_string_equal(m.address, rows[i][1]);
		assert_string_equal(m.display, rows[i][2]);
	}
}

static void more_or_less_than_one_is_refused(void **state)
{
	static const char *const rows[] = {
	    "",
	    "<>",
	    "a",
	    "@b",
	    "a@",
	    "a@b, c@d",
	    "A <a@b>, C <c@d>",
	    "A <a@b> <c@d>",
	    "A <a@b> trailing",
	    "group: a@b;",
	    "<@route:a@b>",
	    "a@b (comment)",
	    "A (comment) <a@b>",
	    "a @b",
	    "a@ b",
	    "< a@b>",
	    "<a@b >",
	    "<<a@b>>",
	    "a..b@c",
	    ".a@b",
	    "a.@b",
	    "a@b..c",
	    "a@.b",
	    "a@b.",
	    "a@-b",
	    "a@b-",
	    "a@[127.0.0.1]",
	    "a@b_c",
	    "a@b@c",
	    "\"open <a@b>",
	    "\"=?utf-8?Q?a?=\" <a@b>",
	    "\"=\\?utf-8?Q?a?=\" <a@b>",
	    "\"A\" B <a@b>",
	    "c@d <a@b>",
	    "=?utf-8?Q?a,b?= <a@b>",
	    "=?utf-8?Q?a@b?= <a@b>",
	    "A\r\nB <a@b>",
	    "\"a\x01\" <a@b>",
	};
	char longer[1000];
	struct mail_word_mailbox m;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (mail_word_mailbox(&m, span_str(rows[i])) != ERR_FORMAT)
			fail_msg("passed: %s", rows[i]);
	memset(longer, 'a', sizeof(longer));
	memcpy(longer + 600, " <a@b>", 7);
	assert_int_equal(mail_word_mailbox(&m, span_str(longer)), ERR_LIMIT);
	memcpy(longer + 65, "@b", 3);
	assert_int_equal(mail_word_mailbox(&m, span_str(longer)), ERR_FORMAT);
	memcpy(longer + 64, "@b", 3);
	assert_int_equal(mail_word_mailbox(&m, span_str(longer)), 0);
}

static void encodings_have_names(void **state)
{
	(void)state;
	for (int i = MAIL_CTE_7BIT; i <= MAIL_CTE_BASE64; i++)
		assert_int_equal(mail_cte_parse(span_str(mail_cte_name(i))), i);
	assert_int_equal(mail_cte_parse(SPAN_LIT("Quoted-Printable")), MAIL_CTE_QP);
	assert_int_equal(mail_cte_parse(SPAN_LIT("base64 ")), ERR_UNSUPPORTED);
	assert_int_equal(mail_cte_parse(SPAN_LIT("")), ERR_UNSUPPORTED);
}

/* Each length, cut into lines anywhere: encoded and decoded again. */
static void base64_comes_back(void **state)
{
	uint8_t octets[64], out[128];
	char text[100];

	(void)state;
	for (size_t n = 0; n < sizeof(octets); n++) {
		size_t m;
		for (size_t i = 0; i < n; i++)
			octets[i] = (uint8_t)(i * 37 + n);
		m = mail_cte_base64_put(text, span_of(octets, n));
		assert_int_equal(m, (n + 2) / 3 * 4);
		for (size_t cut = 0; cut <= m; cut++) {
			struct mail_cte_base64 b = {0};
			size_t at;
			int k = mail_cte_base64_line(&b, span_of(text, cut), out, &at), l;
			if (cut && cut == m)
				assert_int_equal(mail_cte_base64_end(&b), 0);
			l = cut < m ? mail_cte_base64_line(&b, span_of(text + cut, m - cut),
							   out + k, &at)
				    : 0;
			assert_int_equal(k + l, n);
			assert_memory_equal(out, octets, n);
			assert_int_equal(mail_cte_base64_end(&b), 0);
		}
	}
}

static void characters_are_well_formed(void **state)
{
	uint8_t utf8[4];

	(void)state;
	for (uint32_t code = 1; code <= 0x10ffff; code += code < 0x1000 ? 1 : 0xfd) {
		size_t n = mail_charset_put(utf8, code);
		int surrogate = code >= 0xd800 && code <= 0xdfff;
		assert_int_equal(mail_charset_char(span_of(utf8, n)), surrogate ? 0 : n);
		if (!surrogate)
			for (size_t k = 1; k < n; k++)
				assert_int_equal(mail_charset_char(span_of(utf8, k)), -1);
	}
	assert_int_equal(mail_charset_char(SPAN_LIT("\xc0\xaf")), 0);
	assert_int_equal(mail_charset_char(SPAN_LIT("\xe0\x80\xaf")), 0);
	assert_int_equal(mail_charset_char(SPAN_LIT("\xf4\x90\x80\x80")), 0);
	assert_int_equal(mail_charset_char(SPAN_LIT("\x80")), 0);
	assert_int_equal(mail_charset_char(SPAN_LIT("\xc3(")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(values_are_decoded),
	    cmocka_unit_test(values_with_two_readings_are_refused),
	    cmocka_unit_test(one_mailbox_is_read),
	    cmocka_unit_test(more_or_less_than_one_is_refused),
	    cmocka_unit_test(encodings_have_names),
	    cmocka_unit_test(base64_comes_back),
	    cmocka_unit_test(characters_are_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
