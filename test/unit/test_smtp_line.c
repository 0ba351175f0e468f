/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "smtp/smtp_line.h"
#include "smtp/smtp_param.h"
#include "smtp/smtp_verb.h"

#define IN(s) s, sizeof(s) - 1

static void only_crlf_ends_a_line(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		int rc;
		const char *line;
	} rows[] = {
	    {IN("NOOP\r\n"), 6, "NOOP"},
	    {IN("NOOP\r\nRSET\r\n"), 6, "NOOP"},
	    {IN("\r\n"), 2, ""},
	    {IN(""), 0, NULL},
	    {IN("NOOP"), 0, NULL},
	    {IN("NOOP\r"), 0, NULL},
	    {IN("NOOP\n"), ERR_FORMAT, NULL},
	    {IN("\n"), ERR_FORMAT, NULL},
	    {IN("NO\rOP\r\n"), ERR_FORMAT, NULL},
	    {IN("NOOP\r\r\n"), ERR_FORMAT, NULL},
	    {IN("NOOP\r\r"), ERR_FORMAT, NULL},
	    {IN("NO\0OP\r\n"), ERR_FORMAT, NULL},
	    {IN("NOOP\0"), ERR_FORMAT, NULL},
	    {IN("NOOP\r\0"), ERR_FORMAT, NULL},
	    {IN("1234567890123456789\r\n"), ERR_LIMIT, NULL},
	    {IN("123456789012345678\r\n"), 20, "123456789012345678"},
	    {IN("12345678901234567890"), ERR_LIMIT, NULL},
	    {IN("1234567890123456789"), 0, NULL},
	    {IN("1234567890123456789\r"), ERR_LIMIT, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span line = SPAN_LIT("unset");
		int rc = smtp_line_take(span_of(rows[i].in, rows[i].n), 20, &line);

		assert_int_equal(rc, rows[i].rc);
		if (rows[i].line)
			assert_true(span_equal(line, span_str(rows[i].line)));
	}
}

static void a_line_reads_the_same_byte_by_byte_as_at_once(void **state)
{
	static const char alphabet[] = {'a', '\r', '\n', '\0'};
	char in[6];

	(void)state;
	for (unsigned v = 0; v < 4096; v++) {
		struct span line;
		int whole, rc = 0;

		for (int i = 0; i < 6; i++)
			in[i] = alphabet[v >> (2 * i) & 3];
		whole = smtp_line_take(span_of(in, 6), 5, &line);
		for (size_t n = 0; n <= 6 && rc == 0; n++)
			rc = smtp_line_take(span_of(in, n), 5, &line);
		assert_int_equal(rc, whole);
	}
}

static void skipping_an_over_long_line_stops_behind_its_crlf(void **state)
{
	int found;

	(void)state;
	assert_int_equal(smtp_line_skip(SPAN_LIT("xxx\r\nNOOP"), &found), 5);
	assert_int_equal(found, 1);
	assert_int_equal(smtp_line_skip(SPAN_LIT("xxx\ryy\nz\r"), &found), 8);
	assert_int_equal(found, 0);
	assert_int_equal(smtp_line_skip(SPAN_LIT("\r\n"), &found), 2);
	assert_int_equal(found, 1);
	assert_int_equal(smtp_line_skip(SPAN_LIT("\r\r\n"), &found), 3);
	assert_int_equal(found, 1);
	assert_int_equal(smtp_line_skip(SPAN_LIT("abc"), &found), 3);
	assert_int_equal(found, 0);
	assert_int_equal(smtp_line_skip(SPAN_LIT(""), &found), 0);
}

static void verbs_are_known_in_any_case_and_only_as_whole_words(void **state)
{
	static const struct {
		const char *line;
		enum smtp_verb verb;
		const char *args;
	} rows[] = {
	    {"MAIL FROM:<a@b>", SMTP_VERB_MAIL, "FROM:<a@b>"},
	    {"mAiL  from:<A@b>  ", SMTP_VERB_MAIL, "from:<A@b>"},
	    {"starttls", SMTP_VERB_STARTTLS, ""},
	    {"STARTTLSX", SMTP_VERB_UNKNOWN, ""},
	    {"QUITS", SMTP_VERB_UNKNOWN, ""},
	    {"QUI", SMTP_VERB_UNKNOWN, ""},
	    {"QUIT\t", SMTP_VERB_UNKNOWN, ""},
	    {"", SMTP_VERB_UNKNOWN, ""},
	    {" QUIT", SMTP_VERB_UNKNOWN, "QUIT"},
	    {"GET / HTTP/1.1", SMTP_VERB_FOREIGN, "/ HTTP/1.1"},
	    {"host: mail.example", SMTP_VERB_FOREIGN, "mail.example"},
	    {"ehlo [127.0.0.1]", SMTP_VERB_EHLO, "[127.0.0.1]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct span args;

		assert_int_equal(smtp_verb_parse(span_str(rows[i].line), &args), rows[i].verb);
		assert_true(span_equal(args, span_str(rows[i].args)));
	}
	for (int v = SMTP_VERB_HELO; v < SMTP_VERB_COUNT; v++) {
		struct span args;

		assert_int_equal(
		    smtp_verb_parse(span_str(smtp_verb_name((enum smtp_verb)v)), &args), v);
	}
	assert_string_equal(smtp_verb_name(SMTP_VERB_UNKNOWN), "?");
}

static void parameters_come_one_by_one_and_malformed_ones_are_refused(void **state)
{
	static const char *const bad[] = {"=x",	      "SIZE=",	  "SIZE=1=2", "-A=1", "A_B=1",
					  "SIZE=\t1", "SIZE\t=1", "SIZE= 1",  "<a@b>"};
	struct span rest = SPAN_LIT(" size=1024  BODY=8BITMIME SMTPUTF8 X-Y=a<b> ");
	struct smtp_param p;

	(void)state;
	assert_int_equal(smtp_param_next(&rest, &p), 1);
	assert_int_equal(p.id, SMTP_PARAM_SIZE);
	assert_true(span_equal(p.value, SPAN_LIT("1024")));
	assert_int_equal(smtp_param_next(&rest, &p), 1);
	assert_int_equal(p.id, SMTP_PARAM_BODY);
	assert_int_equal(smtp_param_body(p.value), SMTP_BODY_8BITMIME);
	assert_int_equal(smtp_param_next(&rest, &p), 1);
	assert_int_equal(p.id, SMTP_PARAM_SMTPUTF8);
	assert_false(p.has_value);
	assert_int_equal(smtp_param_next(&rest, &p), 1);
	assert_int_equal(p.id, SMTP_PARAM_UNKNOWN);
	assert_true(span_equal(p.name, SPAN_LIT("X-Y")));
	assert_true(span_equal(p.value, SPAN_LIT("a<b>")));
	assert_int_equal(smtp_param_next(&rest, &p), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rest = span_str(bad[i]);
		assert_int_equal(smtp_param_next(&rest, &p), ERR_FORMAT);
	}
}

static void size_values_are_digits_and_huge_ones_saturate(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(smtp_param_size(SPAN_LIT("0"), &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(smtp_param_size(SPAN_LIT("18446744073709551615"), &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(smtp_param_size(SPAN_LIT("99999999999999999999"), &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(smtp_param_size(SPAN_LIT("000000000000000000001"), &v), ERR_FORMAT);
	assert_int_equal(smtp_param_size(SPAN_LIT("-1"), &v), ERR_FORMAT);
	assert_int_equal(smtp_param_size(SPAN_LIT("1k"), &v), ERR_FORMAT);
	assert_int_equal(smtp_param_body(SPAN_LIT("7bit")), SMTP_BODY_7BIT);
	assert_int_equal(smtp_param_body(SPAN_LIT("9BIT")), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_crlf_ends_a_line),
	    cmocka_unit_test(a_line_reads_the_same_byte_by_byte_as_at_once),
	    cmocka_unit_test(skipping_an_over_long_line_stops_behind_its_crlf),
	    cmocka_unit_test(verbs_are_known_in_any_case_and_only_as_whole_words),
	    cmocka_unit_test(parameters_come_one_by_one_and_malformed_ones_are_refused),
	    cmocka_unit_test(size_values_are_digits_and_huge_ones_saturate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
