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
#include "smtp/smtp_reply.h"

static void replies_are_written_with_code_enhanced_code_and_crlf(void **state)
{
	static const struct {
		struct smtp_reply reply;
		const char *wire;
	} rows[] = {
	    {{250, "2.1.0", "Ok"}, "250 2.1.0 Ok\r\n"},
	    {{220, "", "relay.example ESMTP"}, "220 relay.example ESMTP\r\n"},
	    {{354, NULL, "Go"}, "354 Go\r\n"},
	    {{250, "", "relay.example\nPIPELINING\nSIZE 10"},
	     "250-relay.example\r\n250-PIPELINING\r\n250 SIZE 10\r\n"},
	    {{550, "5.1.1", "one\ntwo"}, "550-5.1.1 one\r\n550 5.1.1 two\r\n"},
	    {{500, "5.5.2", "a\rb\x01"}, "500 5.5.2 a?b?\r\n"},
	    {{250, "2.0.0", NULL}, "250 2.0.0 \r\n"},
	};
	char big[1000];
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_reset(&out);
		assert_int_equal(smtp_reply_format(&out, &rows[i].reply), 0);
		assert_true(span_equal(buf_span(&out), span_str(rows[i].wire)));
	}
	memset(big, 'x', sizeof(big) - 1);
	big[999] = '\0';
	buf_reset(&out);
	assert_int_equal(smtp_reply_format(&out, &(struct smtp_reply){250, "2.0.0", big}), 0);
	assert_int_equal(buf_size(&out), 512);
	assert_memory_equal(buf_ptr(&out) + 510, "\r\n", 2);
	buf_clear(&out);
	buf_init(&out, 5);
	assert_int_equal(smtp_reply_format(&out, &rows[0].reply), ERR_LIMIT);
	buf_clear(&out);
}

static void replies_of_a_peer_are_judged_line_by_line(void **state)
{
	static const struct {
		const char *in;
		int rc, done, code;
		const char *enhanced, *text;
	} rows[] = {
	    {"250 Ok\r\n", 8, 1, 250, "", "Ok"},
	    {"250\r\n", 5, 1, 250, "", ""},
	    {"250 \r\n", 6, 1, 250, "", ""},
	    {"250-a\r\n250-b\r\n250 c\r\n", 21, 1, 250, "", "a\nb\nc"},
	    {"250-a\r\n250-b\r\n", 14, 0, 250, "", "a\nb"},
	    {"250-a\r\n250 b", 7, 0, 250, "", "a"},
	    {"550 5.1.1 no such user\r\n", 24, 1, 550, "5.1.1", "5.1.1 no such user"},
	    {"550 5.1.1\r\n", 11, 1, 550, "5.1.1", "5.1.1"},
	    {"450 4.7.100 x\r\n", 15, 1, 450, "4.7.100", "4.7.100 x"},
	    {"450 5.7.1 x\r\n", 13, 1, 450, "", "5.7.1 x"},
	    {"450 4.7.1x\r\n", 12, 1, 450, "", "4.7.1x"},
	    {"450 4.7\r\n", 9, 1, 450, "", "4.7"},
	    {"450 4.1000.1 x\r\n", 16, 1, 450, "", "4.1000.1 x"},
	    {"250 Ok\n", 7, 1, 250, "", "Ok"},
	    {"220 a\r\n250 b\r\n", 7, 1, 220, "", "a"},
	    {"250-a\r\n550 b\r\n", 14, 1, 550, "", "a\nb"},
	    {"250 a\rb\x1b[0m\r\n", 13, 1, 250, "", "a?b?[0m"},
	    {"25", 0, 0, 0, "", ""},
	    {"\r\n", ERR_FORMAT, 0, 0, NULL, NULL},
	    {"25\r\n", ERR_FORMAT, 0, 0, NULL, NULL},
	    {"2500 x\r\n", ERR_FORMAT, 0, 0, NULL, NULL},
	    {"25x x\r\n", ERR_FORMAT, 0, 0, NULL, NULL},
	    {"150 x\r\n", ERR_FORMAT, 0, 0, NULL, NULL},
	    {"600 x\r\n", ERR_FORMAT, 0, 0, NULL, NULL},
	    {"250+x\r\n", ERR_FORMAT, 0, 0, NULL, NULL},
	    {"HTTP/1.1 200 OK\r\n", ERR_FORMAT, 0, 0, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct smtp_reply_in r;
		int done;

		smtp_reply_in_init(&r);
		assert_int_equal(smtp_reply_in_feed(&r, span_str(rows[i].in), &done), rows[i].rc);
		if (rows[i].rc < 0)
			continue;
		assert_int_equal(done, rows[i].done);
		assert_int_equal(r.code, rows[i].code);
		assert_string_equal(r.enhanced, rows[i].enhanced);
		assert_string_equal(r.text, rows[i].text);
		assert_int_equal(r.text_len, strlen(r.text));
	}
}

static void a_reply_split_anywhere_reads_the_same(void **state)
{
	static const char in[] = "250-mail.example\r\n250-SIZE 1000\r\n250 2.0.0 end\r\n";
	size_t n = sizeof(in) - 1;

	(void)state;
	for (size_t cut = 1; cut < n; cut++) {
		struct smtp_reply_in r;
		int done, used;

		smtp_reply_in_init(&r);
		used = smtp_reply_in_feed(&r, span_of(in, cut), &done);
		assert_true(used >= 0 && !done);
		assert_int_equal(
		    smtp_reply_in_feed(&r, span_of(in + used, n - (size_t)used), &done),
		    n - (size_t)used);
		assert_int_equal(done, 1);
		assert_int_equal(r.code, 250);
		assert_string_equal(r.text, "mail.example\nSIZE 1000\n2.0.0 end");
	}
}

static void endless_replies_hit_a_limit_and_long_texts_are_cut(void **state)
{
	static char in[300 * 8 + 1], line[4096];
	struct smtp_reply_in r;
	int done;

	(void)state;
	for (int i = 0; i < 300; i++)
		memcpy(in + 8 * i, "250-abc\n", 8);
	smtp_reply_in_init(&r);
	assert_int_equal(smtp_reply_in_feed(&r, span_of(in, 256 * 8), &done), 256 * 8);
	assert_int_equal(smtp_reply_in_feed(&r, span_of(in, 8), &done), ERR_LIMIT);
	assert_int_equal(r.text_len, 1023);
	memset(line, 'x', sizeof(line));
	memcpy(line, "250 ", 4);
	smtp_reply_in_init(&r);
	assert_int_equal(smtp_reply_in_feed(&r, span_of(line, 2047), &done), 0);
	assert_int_equal(smtp_reply_in_feed(&r, span_of(line, 2048), &done), ERR_LIMIT);
	line[2047] = '\n';
	assert_int_equal(smtp_reply_in_feed(&r, span_of(line, 2048), &done), 2048);
	assert_int_equal(done, 1);
}

static void capabilities_are_found_in_any_case_but_not_in_the_greeting(void **state)
{
	static const char in[] = "250-starttls.example\r\n250-size 35882577\r\n250-STARTTLS\r\n"
				 "250-AUTH=LOGIN\r\n250 8BITMIME\r\n";
	struct smtp_reply_in r;
	struct span v;
	int done, found;

	(void)state;
	smtp_reply_in_init(&r);
	smtp_reply_in_feed(&r, SPAN_LIT(in), &done);
	v = smtp_reply_in_keyword(&r, "SIZE", &found);
	assert_true(found && span_equal(v, SPAN_LIT("35882577")));
	v = smtp_reply_in_keyword(&r, "StartTLS", &found);
	assert_true(found && v.n == 0);
	smtp_reply_in_keyword(&r, "8BITMIME", &found);
	assert_true(found);
	smtp_reply_in_keyword(&r, "8BIT", &found);
	assert_false(found);
	smtp_reply_in_keyword(&r, "AUTH", &found);
	assert_false(found);
	smtp_reply_in_keyword(&r, "PIPELINING", &found);
	assert_false(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replies_are_written_with_code_enhanced_code_and_crlf),
	    cmocka_unit_test(replies_of_a_peer_are_judged_line_by_line),
	    cmocka_unit_test(a_reply_split_anywhere_reads_the_same),
	    cmocka_unit_test(endless_replies_hit_a_limit_and_long_texts_are_cut),
	    cmocka_unit_test(capabilities_are_found_in_any_case_but_not_in_the_greeting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
