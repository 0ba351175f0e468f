/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "mail/mail_campaign.h"

#define MAC  "mac=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define GOOD "v=1; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC

static void a_header_is_read_field_by_field(void **state)
{
	struct mail_campaign c;

	(void)state;
	assert_int_equal(mail_campaign_parse(SPAN_LIT(GOOD), &c), 0);
	assert_true(span_equal(c.id, SPAN_LIT("cmp_01H")));
	assert_int_equal(c.version, 3);
	assert_int_equal(c.time, 1767225600);
	assert_true(span_equal(c.nonce, SPAN_LIT("abcdefgh12")));
	assert_true(span_equal(c.kid, SPAN_LIT("k1")));
	for (unsigned i = 0; i < MAIL_CAMPAIGN_MAC; i++)
		assert_int_equal(c.mac[i], i);
}

static void folds_between_fields_and_white_space_around_are_fine(void **state)
{
	static const char *const good[] = {
	    " " GOOD,
	    GOOD "\r\n",
	    "\t" GOOD " \n",
	    "v=1;  \t id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=3;\n t=1767225600; n=abcdefgh12;\n\tkid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=3;\r\n t=1767225600; n=abcdefgh12; \r\n kid=k1; " MAC,
	};
	struct mail_campaign c;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(mail_campaign_parse(span_str(good[i]), &c), 0);
		assert_int_equal(c.version, 3);
		assert_true(span_equal(c.kid, SPAN_LIT("k1")));
	}
}

static void anything_else_is_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "v=1",
	    GOOD ";",
	    GOOD "; ",
	    GOOD "; x=1",
	    GOOD "A",
	    GOOD "=",
	    GOOD ", " GOOD,
	    "v=2; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "V=1; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1;id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1 ; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id =cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id= cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp 01; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp\n; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=\"cmp\"; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; ver=3; id=cmp_01H; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=0; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=03; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=-3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=4294967296; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=99999999999999999999; t=1; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=3; t=01767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=3; t=176722560000; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=3; t=; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=3; t=1767225600; n=short; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=3; t=1767225600; n=abc.efgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=; " MAC,
	    "v=1; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1",
	    "v=1; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; mac=",
	    "v=1; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; mac=AAEC",
	    /* the last character has bits set past the end */
	    "v=1; id=cmp_01H; ver=3; t=1767225600; n=abcdefgh12; kid=k1; "
	    "mac=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9",
	    "v=1; id=cmp_01H;\nver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC, /* no fold */
	    "v=1; id=cmp_01H;\r ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	    "v=1; id=cmp_01H; \n\n ver=3; t=1767225600; n=abcdefgh12; kid=k1; " MAC,
	};
	struct mail_campaign c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (mail_campaign_parse(span_str(bad[i]), &c) != ERR_FORMAT)
			fail_msg("taken: %s", bad[i]);
}

static void every_truncation_and_any_nul_is_refused(void **state)
{
	struct mail_campaign c;

	(void)state;
	for (size_t n = 0; n < sizeof(GOOD) - 1; n++) {
		char copy[] = GOOD;
		assert_int_equal(mail_campaign_parse(span_of(GOOD, n), &c), ERR_FORMAT);
		copy[n] = '\0';
		assert_int_equal(mail_campaign_parse(span_of(copy, sizeof(GOOD) - 1), &c),
				 ERR_FORMAT);
	}
}

static void names_have_at_most_64_characters(void **state)
{
	struct mail_campaign c;
	char id[66], text[400];

	(void)state;
	for (int n = 64; n <= 65; n++) {
		memset(id, 'a', sizeof(id));
		id[n] = '\0';
		snprintf(text, sizeof(text), "v=1; id=%s; ver=3; t=1; n=abcdefgh12; kid=k1; %s", id,
			 MAC);
		assert_int_equal(mail_campaign_parse(span_str(text), &c), n == 64 ? 0 : ERR_FORMAT);
		snprintf(text, sizeof(text), "v=1; id=i; ver=3; t=1; n=%s; kid=k1; %s", id, MAC);
		assert_int_equal(mail_campaign_parse(span_str(text), &c), n == 64 ? 0 : ERR_FORMAT);
	}
}

static void what_is_written_reads_back_the_same(void **state)
{
	struct mail_campaign c;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(mail_campaign_parse(SPAN_LIT("\n " GOOD "\n"), &c), 0);
	assert_int_equal(mail_campaign_format(&b, &c), 0);
	assert_true(span_equal(buf_span(&b), SPAN_LIT(GOOD)));
	c.nonce = SPAN_LIT("bad nonce");
	assert_int_equal(mail_campaign_format(&b, &c), ERR_FORMAT);
	buf_clear(&b);
}

static void the_mac_is_over_eight_lines(void **state)
{
	struct mail_campaign c;
	struct buf b;

	(void)state;
	buf_init(&b, MAIL_CAMPAIGN_INPUT_MAX);
	assert_int_equal(mail_campaign_parse(SPAN_LIT(GOOD), &c), 0);
	assert_int_equal(mail_campaign_input(&b, &c, SPAN_LIT("<News@Shop.example>"),
					     SPAN_LIT("ann@example.test"),
					     SPAN_LIT("\n <1.2@shop.example> ")),
			 0);
	assert_true(span_equal(
	    buf_span(&b), SPAN_LIT("dp-camp-1\ncmp_01H\n3\n1767225600\nabcdefgh12\n"
				   "News@Shop.example\nann@example.test\n<1.2@shop.example>")));
	buf_reset(&b);
	assert_int_equal(
	    mail_campaign_input(&b, &c, SPAN_LIT("<>"), SPAN_LIT("<a@b>"), SPAN_LIT("m")), 0);
	assert_true(span_equal(
	    buf_span(&b), SPAN_LIT("dp-camp-1\ncmp_01H\n3\n1767225600\nabcdefgh12\n\na@b\nm")));
	buf_clear(&b);
}

static void no_part_can_slip_a_line_into_the_input(void **state)
{
	static const struct span parts[][3] = {
	    {SPAN_LIT("a\nb"), SPAN_LIT("r"), SPAN_LIT("m")},
	    {SPAN_LIT("a"), SPAN_LIT("r\nx"), SPAN_LIT("m")},
	    {SPAN_LIT("a"), SPAN_LIT("r"), SPAN_LIT("m\n x")},
	    {SPAN_LIT("a"), SPAN_LIT("r"), SPAN_LIT("m\rx")},
	    {SPAN_LIT("a"), SPAN_LIT("r\0"), SPAN_LIT("m")},
	    {SPAN_LIT("a"), SPAN_LIT("<>"), SPAN_LIT("m")},
	    {SPAN_LIT("a"), SPAN_LIT("r"), SPAN_LIT(" \t\r\n ")},
	};
	struct mail_campaign c;
	struct buf b;

	(void)state;
	buf_init(&b, MAIL_CAMPAIGN_INPUT_MAX);
	assert_int_equal(mail_campaign_parse(SPAN_LIT(GOOD), &c), 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		assert_int_equal(mail_campaign_input(&b, &c, parts[i][0], parts[i][1], parts[i][2]),
				 ERR_FORMAT);
	assert_int_equal(buf_size(&b), 0);
	buf_clear(&b);
}

static void an_input_over_the_limit_is_refused(void **state)
{
	static char longest[MAIL_CAMPAIGN_INPUT_MAX];
	struct mail_campaign c;
	struct buf b;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	buf_init(&b, MAIL_CAMPAIGN_INPUT_MAX);
	assert_int_equal(mail_campaign_parse(SPAN_LIT(GOOD), &c), 0);
	assert_int_equal(mail_campaign_input(&b, &c, SPAN_LIT("a"), SPAN_LIT("b"),
					     span_of(longest, sizeof(longest) - 258)),
			 0);
	buf_reset(&b);
	assert_int_equal(mail_campaign_input(&b, &c, SPAN_LIT("a"), SPAN_LIT("b"),
					     span_of(longest, sizeof(longest) - 257)),
			 ERR_LIMIT);
	buf_clear(&b);
}

static void the_window_is_15_minutes_to_both_sides(void **state)
{
	struct mail_campaign c;
	int64_t at = INT64_C(1767225600) * CLOCK_SEC;

	(void)state;
	assert_int_equal(mail_campaign_parse(SPAN_LIT(GOOD), &c), 0);
	assert_true(mail_campaign_fresh(&c, at));
	assert_true(mail_campaign_fresh(&c, at + 900 * CLOCK_SEC));
	assert_true(mail_campaign_fresh(&c, at - 900 * CLOCK_SEC));
	assert_false(mail_campaign_fresh(&c, at + 901 * CLOCK_SEC));
	assert_false(mail_campaign_fresh(&c, at - 901 * CLOCK_SEC));
	c.time = INT64_C(99999999999);
	assert_false(mail_campaign_fresh(&c, at));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_header_is_read_field_by_field),
	    cmocka_unit_test(folds_between_fields_and_white_space_around_are_fine),
	    cmocka_unit_test(anything_else_is_refused),
	    cmocka_unit_test(every_truncation_and_any_nul_is_refused),
	    cmocka_unit_test(names_have_at_most_64_characters),
	    cmocka_unit_test(what_is_written_reads_back_the_same),
	    cmocka_unit_test(the_mac_is_over_eight_lines),
	    cmocka_unit_test(no_part_can_slip_a_line_into_the_input),
	    cmocka_unit_test(an_input_over_the_limit_is_refused),
	    cmocka_unit_test(the_window_is_15_minutes_to_both_sides),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
