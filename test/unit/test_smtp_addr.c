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
#include "smtp/smtp_addr.h"

#define ALL (SMTP_ADDR_NULL_OK | SMTP_ADDR_POSTMASTER_OK | SMTP_ADDR_UTF8_OK)

static void paths_of_rfc_5321_are_read(void **state)
{
	static const struct {
		const char *in;
		int flags;
		const char *address; /* NULL: refused with ERR_FORMAT */
	} rows[] = {
	    {"<a@b>", 0, "a@b"},
	    {"<a@b> SIZE=1", 0, "a@b"},
	    {"<User.Name+tag@EXAMPLE.Org>", 0, "User.Name+tag@example.org"},
	    {"<!#$%&'*+-/=?^_`{|}~@x.y>", 0, "!#$%&'*+-/=?^_`{|}~@x.y"},
	    {"<\"a b\"@x.y>", 0, "\"a b\"@x.y"},
	    {"<\"a\\\"b@c\"@x.y>", 0, "\"a\\\"b@c\"@x.y"},
	    {"<\"\"@x.y>", 0, "\"\"@x.y"},
	    {"<\"a>b\"@x.y>", 0, "\"a>b\"@x.y"},
	    {"<a@[127.0.0.1]>", 0, "a@[127.0.0.1]"},
	    {"<a@[IPv6:2001:db8::1]>", 0, "a@[ipv6:2001:db8::1]"},
	    {"<@one.example,@two.example:a@b>", 0, "a@b"},
	    {"<@[192.0.2.1]:a@b>", 0, "a@b"},
	    {"<a@x_y.example>", 0, "a@x_y.example"},
	    {"<a@1.2.3.4>", 0, "a@1.2.3.4"},
	    {"<>", SMTP_ADDR_NULL_OK, ""},
	    {"<PostMaster>", SMTP_ADDR_POSTMASTER_OK, "PostMaster"},
	    {"<postmaster@x>", SMTP_ADDR_POSTMASTER_OK, "postmaster@x"},
	    {"<j\xc3\xbcrgen@m\xc3\xbcller.example>", SMTP_ADDR_UTF8_OK,
	     "j\xc3\xbcrgen@m\xc3\xbcller.example"},
	    {"<\"\xe2\x82\xac\"@x>", SMTP_ADDR_UTF8_OK, "\"\xe2\x82\xac\"@x"},
	    {"<\xf0\x9f\x93\xa7@x>", SMTP_ADDR_UTF8_OK, "\xf0\x9f\x93\xa7@x"},
	    /* refused */
	    {"", ALL, NULL},
	    {"<", ALL, NULL},
	    {"<>", 0, NULL},
	    {"< >", ALL, NULL},
	    {"a@b", ALL, NULL},
	    {"<a@b", ALL, NULL},
	    {"<a>", ALL, NULL},
	    {"<postmaster>", SMTP_ADDR_NULL_OK, NULL},
	    {"<postmaster2>", ALL, NULL},
	    {"<@b>", ALL, NULL},
	    {"<a@>", ALL, NULL},
	    {"<a b@c>", ALL, NULL},
	    {"<.a@b>", ALL, NULL},
	    {"<a.@b>", ALL, NULL},
	    {"<a..b@c>", ALL, NULL},
	    {"<a@b@c>", ALL, NULL},
	    {"<a@-b>", ALL, NULL},
	    {"<a@b->", ALL, NULL},
	    {"<a@b-.c>", ALL, NULL},
	    {"<a@.b>", ALL, NULL},
	    {"<a@b.>", ALL, NULL},
	    {"<a@b..c>", ALL, NULL},
	    {"<a@b c>", ALL, NULL},
	    {"<<a@b>>", ALL, NULL},
	    {"<\"a@b>", ALL, NULL},
	    {"<\"a\"b@c>", ALL, NULL},
	    {"<\"a\tb\"@c>", ALL, NULL},
	    {"<\"a\\\"@c>", ALL, NULL},
	    {"<a@[127.0.0.1>", ALL, NULL},
	    {"<a@[127.0.0.256]>", ALL, NULL},
	    {"<a@[127.0.1]>", ALL, NULL},
	    {"<a@[::1]>", ALL, NULL},
	    {"<a@[IPv6:127.0.0.1]>", ALL, NULL},
	    {"<a@[IPv6:1::2::3]>", ALL, NULL},
	    {"<a@[x:y]>", ALL, NULL},
	    {"<a@[]>", ALL, NULL},
	    {"<a@[1.2.3.4]x>", ALL, NULL},
	    {"<@one.example a@b>", ALL, NULL},
	    {"<@one.example,:a@b>", ALL, NULL},
	    {"<@one.example:>", ALL, NULL},
	    {"<j\xc3\xbcrgen@x>", 0, NULL},
	    {"<a@m\xc3\xbcller>", 0, NULL},
	    {"<\xc3@x>", ALL, NULL},
	    {"<\xc0\xaf@x>", ALL, NULL},
	    {"<\xe0\x80\xaf@x>", ALL, NULL},
	    {"<\xed\xa0\x80@x>", ALL, NULL},
	    {"<\xf4\x90\x80\x80@x>", ALL, NULL},
	    {"<\xf8\x88\x80\x80\x80@x>", ALL, NULL},
	    {"<\x80@x>", ALL, NULL},
	    {"<a@x\xe2\x82>", ALL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct smtp_addr a;
		char text[SMTP_ADDR_MAX];
		int rc = smtp_addr_parse_path(span_str(rows[i].in), rows[i].flags, &a);

		if (!rows[i].address) {
			if (rc >= 0)
				fail_msg("accepted: %s", rows[i].in);
			assert_int_equal(rc, ERR_FORMAT);
			continue;
		}
		if (rc <= 0)
			fail_msg("refused: %s", rows[i].in);
		assert_int_equal(rows[i].in[rc - 1], '>');
		assert_int_equal(smtp_addr_format(text, &a), 0);
		assert_string_equal(text, rows[i].address);
		assert_int_equal(a.utf8, (rows[i].flags & SMTP_ADDR_UTF8_OK) != 0);
	}
}

static void fill(char *p, size_t n, char c)
{
	memset(p, c, n);
	p[n] = '\0';
}

static void lengths_at_the_limit_pass_and_one_more_fails(void **state)
{
	char local[80], domain[300], path[600];
	struct smtp_addr a;

	(void)state;
	for (size_t n = 64; n <= 65; n++) {
		fill(local, n, 'a');
		snprintf(path, sizeof(path), "<%s@b>", local);
		assert_int_equal(smtp_addr_parse_path(span_str(path), 0, &a),
				 n == 64 ? (int)strlen(path) : ERR_LIMIT);
	}
	for (size_t n = 63; n <= 64; n++) {
		fill(domain, n, 'd');
		snprintf(path, sizeof(path), "<a@%s.example>", domain);
		assert_int_equal(smtp_addr_parse_path(span_str(path), 0, &a),
				 n == 63 ? (int)strlen(path) : ERR_LIMIT);
	}
	for (size_t n = 255; n <= 256; n++) { /* as EHLO takes it: a path cannot hold that much */
		for (size_t i = 0; i < n; i++)
			domain[i] = i % 32 == 31 ? '.' : 'd';
		domain[n] = '\0';
		domain[n - 1] = 'd';
		assert_int_equal(smtp_addr_domain_ok(span_str(domain), 0), n == 255);
	}
	for (size_t n = 256; n <= 257; n++) {
		for (size_t i = 0; i < n; i++)
			path[i] = i % 32 == 31 ? '.' : 'd';
		memcpy(path, "<a@", 3);
		path[n - 1] = '>';
		path[n] = '\0';
		path[n - 2] = 'd';
		assert_int_equal(smtp_addr_parse_path(span_str(path), 0, &a),
				 n == 256 ? 256 : ERR_LIMIT);
	}
}

static void bare_addresses_are_taken_whole_or_not_at_all(void **state)
{
	struct smtp_addr a;

	(void)state;
	assert_int_equal(smtp_addr_parse(SPAN_LIT("a@b"), 0, &a), 3);
	assert_int_equal(smtp_addr_parse(SPAN_LIT("a@b "), 0, &a), ERR_FORMAT);
	assert_int_equal(smtp_addr_parse(SPAN_LIT("<a@b>"), 0, &a), ERR_FORMAT);
	assert_int_equal(smtp_addr_parse(SPAN_LIT(""), 0, &a), ERR_FORMAT);
	assert_int_equal(smtp_addr_parse(SPAN_LIT(""), SMTP_ADDR_NULL_OK, &a), 0);
	assert_int_equal(smtp_addr_parse(SPAN_LIT("postmaster"), SMTP_ADDR_POSTMASTER_OK, &a), 10);
	assert_int_equal(smtp_addr_parse(SPAN_LIT("postmaster"), 0, &a), ERR_FORMAT);
}

static void host_names_and_literals_are_fit_for_ehlo_and_nothing_else_is(void **state)
{
	static const char *const good[] = {
	    "a",	  "mail.example.org",	   "WIN_PC", "[192.0.2.1]",
	    "[ipv6:::1]", "xn--bcher-kva.example", "1.2.3.4"};
	static const char *const bad[] = {"",
					  " ",
					  "a b",
					  "a.",
					  "-a",
					  "[1.2.3.4",
					  "[1.2.3.4]x",
					  "a/b",
					  "a\"",
					  ("b\xc3\xbc" "cher.example"),
					  "(x)"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(smtp_addr_domain_ok(span_str(good[i]), 0), 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(smtp_addr_domain_ok(span_str(bad[i]), 0), 0);
	assert_int_equal(smtp_addr_domain_ok(SPAN_LIT("b\xc3\xbc"
						      "cher.example"),
					     1),
			 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_of_rfc_5321_are_read),
	    cmocka_unit_test(lengths_at_the_limit_pass_and_one_more_fails),
	    cmocka_unit_test(bare_addresses_are_taken_whole_or_not_at_all),
	    cmocka_unit_test(host_names_and_literals_are_fit_for_ehlo_and_nothing_else_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
