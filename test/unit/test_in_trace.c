/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/in/in_hops.h"
#include "relay/in/in_trace.h"

static void received_fields_are_counted_wherever_the_message_is_cut(void **state)
{
	static const struct {
		const char *text;
		unsigned count;
	} rows[] = {
	    {"Received: a\r\nrECEIVED:b\r\nReceived \t: c\r\nSubject: d\r\n\r\nReceived: body\r\n",
	     3},
	    {"X-Received: a\r\nReceivedX: b\r\nReceive: c\r\n Received: folded\r\n\r\n", 0},
	    {"Received\r\nReceived: a\r\n", 1},
	    {"rec\r\nReceived: a\r\n\r\n", 1},
	    {"\r\nReceived: a\r\n", 0},
	    {"", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span all = span_str(rows[i].text);

		for (size_t piece = 1; piece <= all.n + 1; piece++) {
			struct in_hops h;

			in_hops_init(&h);
			for (size_t at = 0; at < all.n; at += piece)
				in_hops_feed(&h, span_sub(all, at, piece));
			assert_int_equal(h.count, rows[i].count);
		}
	}
}

static void the_longest_names_still_make_short_lines(void **state)
{
	char name[256], field[IN_TRACE_MAX];
	struct in_trace t = {.helo = name,
			     .hostname = name,
			     .address = "2001:db8:1111:2222:3333:4444:5555:6666",
			     .id = "6nc9vg3x9fzx3",
			     .tls_version = "TLSv1.2",
			     .tls_bits = 256,
			     .tls_cipher = "ECDHE-ECDSA-CHACHA20-POLY1305",
			     .tls_group = "x25519_mlkem768",
			     .esmtp = 1,
			     .utf8 = 1,
			     .when = INT64_C(1790000000000000)};
	size_t n, line = 0;

	(void)state;
	memset(name, 'a', 255);
	name[255] = '\0';
	n = in_trace_format(field, &t);
	assert_int_equal(n, strlen(field));
	assert_true(n < IN_TRACE_MAX - 1);
	for (size_t i = 0; i < n; i++) {
		line = field[i] == '\n' ? 0 : line + 1;
		assert_true(line < 600);
		if (field[i] == '\n') {
			assert_int_equal(field[i - 1], '\r');
			assert_true(i + 1 == n || field[i + 1] == '\t');
		}
	}
	assert_memory_equal(field + n - 2, "\r\n", 2);
}

static void the_protocol_says_how_it_came(void **state)
{
	static const struct {
		int esmtp, tls, utf8;
		const char *with;
	} rows[] = {{0, 0, 0, " with SMTP id "},     {1, 0, 0, " with ESMTP id "},
		    {1, 1, 0, " with ESMTPS id "},   {0, 1, 0, " with ESMTPS id "},
		    {1, 0, 1, " with UTF8SMTP id "}, {1, 1, 1, " with UTF8SMTPS id "}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct in_trace t = {.helo = "c",
				     .hostname = "h",
				     .address = "192.0.2.1",
				     .id = "i",
				     .tls_version = rows[i].tls ? "TLSv1.3" : NULL,
				     .tls_cipher = "X",
				     .esmtp = rows[i].esmtp,
				     .utf8 = rows[i].utf8,
				     .when = INT64_C(1790000000000000)};
		char field[IN_TRACE_MAX];

		in_trace_format(field, &t);
		assert_non_null(strstr(field, rows[i].with));
		assert_int_equal(strstr(field, "using TLSv1.3") != NULL, rows[i].tls);
		assert_non_null(strstr(field, ";\r\n\tMon, 21 Sep 2026 14:13:20 +0000\r\n"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(received_fields_are_counted_wherever_the_message_is_cut),
	    cmocka_unit_test(the_longest_names_still_make_short_lines),
	    cmocka_unit_test(the_protocol_says_how_it_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
