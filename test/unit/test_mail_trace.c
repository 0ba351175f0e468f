/* SPDX-License-Identifier: Apache-2.0 */
/* The trace header: what one side writes, the other reads; anything else is not of the form. */
#include "mail/mail_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"

#define HEAD "v=1; customer=shop; id=0123456789abc"
#define LONG "0123456789012345678901234567890123456789012345678901234567890123"

static void what_is_written_is_read_again(void **state)
{
	static const struct {
		struct mail_trace t;
		const char *text;
	} rows[] = {
	    {{.customer = SPAN_LIT("shop"), .id = SPAN_LIT("0123456789abc")}, HEAD},
	    {{.customer = SPAN_LIT("shop"), .id = SPAN_LIT("0123456789abc"), .verify = 1}, HEAD "; tls=verify"},
	    {{.customer = SPAN_LIT("shop"), .id = SPAN_LIT("0123456789abc"), .campaign = SPAN_LIT("Cmp_01.x")},
	     HEAD "; campaign=Cmp_01.x"},
	    {{.customer = SPAN_LIT("shop"), .id = SPAN_LIT("0123456789abc"), .campaign = SPAN_LIT("c"),
	      .tid = UINT64_C(0x1122334455667788), .number = UINT32_MAX, .consent = SPAN_LIT("aggregate"), .verify = 1},
	     HEAD "; campaign=c; tid=1122334455667788; num=4294967295; consent=aggregate; tls=verify"},
	    {{.customer = SPAN_LIT(LONG), .id = SPAN_LIT("0123456789abc"), .campaign = SPAN_LIT(LONG), .tid = 1, .number = 1,
	      .consent = SPAN_LIT("none")},
	     "v=1; customer=" LONG "; id=0123456789abc; campaign=" LONG "; tid=0000000000000001; num=1; consent=none"},
	};
	char text[MAIL_TRACE_MAX];
	struct mail_trace t;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(mail_trace_format(text, &rows[i].t), strlen(rows[i].text));
		assert_string_equal(text, rows[i].text);
		assert_int_equal(mail_trace_parse(span_str(text), &t), 0);
		assert_true(span_equal(t.customer, rows[i].t.customer) && span_equal(t.id, rows[i].t.id));
		assert_true(span_equal(t.campaign, rows[i].t.campaign) && span_equal(t.consent, rows[i].t.consent));
		assert_true(t.tid == rows[i].t.tid && t.number == rows[i].t.number && t.verify == rows[i].t.verify);
	}
}

static void folds_are_blanks(void **state)
{
	struct mail_trace t;

	(void)state;
	assert_int_equal(mail_trace_parse(SPAN_LIT(" v=1;\r\n\tcustomer=shop;\n id=0123456789abc; tls=verify\n"), &t), 0);
	assert_true(span_equal(t.customer, SPAN_LIT("shop")) && t.verify);
}

static void anything_else_is_not_of_the_form(void **state)
{
	static const char *const rows[] = {
	    "",
	    "v=1",
	    "v=2; customer=shop; id=0123456789abc",
	    "v=1; id=0123456789abc; customer=shop",
	    "v=1; customer=; id=0123456789abc",
	    "v=1; customer=a b; id=0123456789abc",
	    "v=1; customer=a" LONG "; id=0123456789abc",
	    "v=1; customer=shop; id=0123456789ab",
	    "v=1;customer=shop; id=0123456789abc",
	    HEAD ";",
	    HEAD "; ",
	    HEAD "; x=1",
	    HEAD " tls=verify",
	    HEAD "; tls=yes",
	    HEAD "; tls=verify; tls=verify",
	    HEAD "; tls=verify; campaign=x",
	    HEAD "; campaign=",
	    HEAD "; campaign=a,b",
	    HEAD "; tid=1122334455667788",
	    HEAD "; tid=1122334455667788; num=1",
	    HEAD "; tid=1122334455667788; num=0; consent=all",
	    HEAD "; tid=1122334455667788; num=01; consent=all",
	    HEAD "; tid=1122334455667788; num=4294967296; consent=all",
	    HEAD "; tid=1122334455667788; num=1; consent=ALL",
	    HEAD "; tid=1122334455667788; num=1; consent=",
	    HEAD "; tid=0000000000000000; num=1; consent=all",
	    HEAD "; tid=112233445566778; num=1; consent=all",
	    HEAD "; tid=112233445566778A; num=1; consent=all",
	    HEAD "; tid=112233445566778g; num=1; consent=all",
	    HEAD "; num=1",
	};
	struct mail_trace t;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (mail_trace_parse(span_str(rows[i]), &t) != ERR_FORMAT)
			fail_msg("taken: %s", rows[i]);
}

static void a_name_that_does_not_fit_is_not_written(void **state)
{
	struct mail_trace t = {.customer = SPAN_LIT("a" LONG), .id = SPAN_LIT("0123456789abc")};
	char text[MAIL_TRACE_MAX];

	(void)state;
	assert_int_equal(mail_trace_format(text, &t), ERR_LIMIT);
	t.customer = SPAN_LIT("a;b");
	assert_int_equal(mail_trace_format(text, &t), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_is_read_again),
	    cmocka_unit_test(folds_are_blanks),
	    cmocka_unit_test(anything_else_is_not_of_the_form),
	    cmocka_unit_test(a_name_that_does_not_fit_is_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
