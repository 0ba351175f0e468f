/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "mail/mail_header.h"

#define SAMPLE                                                                        \
	"From: a@example.org\r\nSubject: one\r\n two\r\n\tthree\r\nX-Empty:\r\nTo : " \
	"b@x\r\n\r\nbody: 1\r\n"

static void check(struct mail_header *h, const char *name, const char *value)
{
	struct mail_header_field f;

	assert_int_equal(mail_header_next(h, &f), 1);
	assert_true(span_equal(f.name, span_str(name)));
	assert_true(span_equal(f.value, span_str(value)));
	assert_int_equal(f.whole.p[f.whole.n - 1], '\n');
}

static void fields_come_in_order_with_their_folds(void **state)
{
	struct mail_header h;
	struct mail_header_field f;

	(void)state;
	for (int strict = 0; strict < 2; strict++) {
		mail_header_init(&h, SPAN_LIT(SAMPLE), strict);
		check(&h, "From", "a@example.org");
		check(&h, "Subject", "one\r\n two\r\n\tthree");
		check(&h, "X-Empty", "");
		check(&h, "To", "b@x");
		assert_int_equal(mail_header_next(&h, &f), 0);
		assert_true(span_equal(h.rest, SPAN_LIT("body: 1\r\n")));
		assert_int_equal(mail_header_next(&h, &f), 0);
	}
}

static void a_body_that_begins_with_a_blank_is_no_fold(void **state)
{
	struct mail_header h;
	struct mail_header_field f;

	(void)state;
	mail_header_init(&h, SPAN_LIT("A: b\r\n\r\n  text: c\r\n"), 1);
	check(&h, "A", "b");
	assert_int_equal(mail_header_next(&h, &f), 0);
	assert_true(span_equal(h.rest, SPAN_LIT("  text: c\r\n")));
}

static void a_strict_walk_refuses_what_is_no_field(void **state)
{
	static const char *const bad[] = {
	    "no colon\r\n", ": value\r\n", "A B: c\r\n",   "A: b\n",	      "A: b\rc\r\n",
	    " A: b\r\n",    "A: b",	   "A\x01: b\r\n", "\xc3\xa9: b\r\n", "A: b\r\nC\r\n\r\n"};
	struct mail_header_field f;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mail_header h;
		int rc;
		mail_header_init(&h, span_str(bad[i]), 1);
		while ((rc = mail_header_next(&h, &f)) == 1)
			continue;
		assert_int_equal(rc, ERR_FORMAT);
	}
}

static void a_tolerant_walk_steps_over_it_and_takes_lf(void **state)
{
	struct mail_header h;
	struct mail_header_field f;

	(void)state;
	mail_header_init(&h, SPAN_LIT("From x Mon\nA: b\n c\nrubbish\nD: e\n\nbody"), 0);
	check(&h, "A", "b\n c");
	check(&h, "D", "e");
	assert_int_equal(mail_header_next(&h, &f), 0);
	assert_true(span_equal(h.rest, SPAN_LIT("body")));
}

static void fields_have_a_limit(void **state)
{
	size_t n = 5 * (MAIL_HEADER_FIELDS + 1);
	struct mail_header_field f;
	char *text = malloc(n + 1);
	struct mail_header h;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < n; i += 5)
		memcpy(text + i, "A:b\r\n", 6);
	for (int strict = 0; strict < 2; strict++) {
		unsigned count = 0;
		int rc;
		mail_header_init(&h, span_of(text, n), strict);
		while ((rc = mail_header_next(&h, &f)) == 1)
			count++;
		assert_int_equal(count, MAIL_HEADER_FIELDS);
		assert_int_equal(rc, strict ? ERR_LIMIT : 0);
	}
	free(text);
}

static void a_field_is_found_by_its_name_in_any_case(void **state)
{
	struct span v;

	(void)state;
	assert_int_equal(mail_header_find(SPAN_LIT(SAMPLE), "SUBJECT", &v), 1);
	assert_true(span_equal(v, SPAN_LIT("one\r\n two\r\n\tthree")));
	assert_int_equal(mail_header_find(SPAN_LIT(SAMPLE), "body", &v), 0);
	assert_int_equal(mail_header_length(SPAN_LIT(SAMPLE)), sizeof(SAMPLE) - 1 - 9);
	assert_int_equal(mail_header_length(SPAN_LIT("A: b\r\n")), 6);
	assert_int_equal(mail_header_length(SPAN_LIT("")), 0);
}

static void unfolding_makes_one_printable_line(void **state)
{
	char dst[12];

	(void)state;
	assert_int_equal(mail_header_unfold(dst, sizeof(dst), SPAN_LIT(" a\r\n\t b  c\r\n")), 5);
	assert_string_equal(dst, "a b c");
	assert_int_equal(mail_header_unfold(dst, sizeof(dst), SPAN_LIT("x\x1b[1m\0y")), 7);
	assert_string_equal(dst, "x?[1m?y");
	assert_int_equal(mail_header_unfold(dst, sizeof(dst), SPAN_LIT("0123456789abcdef")), 11);
	assert_string_equal(dst, "0123456789a");
	assert_int_equal(mail_header_unfold(dst, 1, SPAN_LIT("abc")), 0);
	assert_string_equal(dst, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields_come_in_order_with_their_folds),
	    cmocka_unit_test(a_body_that_begins_with_a_blank_is_no_fold),
	    cmocka_unit_test(a_strict_walk_refuses_what_is_no_field),
	    cmocka_unit_test(a_tolerant_walk_steps_over_it_and_takes_lf),
	    cmocka_unit_test(fields_have_a_limit),
	    cmocka_unit_test(a_field_is_found_by_its_name_in_any_case),
	    cmocka_unit_test(unfolding_makes_one_printable_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
