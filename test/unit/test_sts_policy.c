/* SPDX-License-Identifier: Apache-2.0 */
/* MTA-STS as text: records, policies, patterns. */
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
#include "relay/sts/sts_policy.h"

static void a_record_gives_its_id(void **state)
{
	static const struct {
		const char *text, *id;
	} rows[] = {
	    {"v=STSv1; id=20160831085700Z;", "20160831085700Z"},
	    {"v=STSv1;id=1", "1"},
	    {"v=STSv1 ;\tid=abcDEF ; ", "abcDEF"},
	    {"v=STSv1; x-new=a:b/c; id=2", "2"},
	    {"v=STSv1; id=1; id=2;", "1"},
	    {"v=STSv1; id=12345678901234567890123456789012", "12345678901234567890123456789012"},
	};
	char id[STS_POLICY_ID];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(sts_record_parse(span_str(rows[i].text), id), 0);
		assert_string_equal(id, rows[i].id);
	}
}

static void a_record_about_something_else_is_not_one(void **state)
{
	static const char *const rows[] = {"",
					   "v=spf1 -all",
					   "v=STSv2; id=1",
					   "v=STSv1",
					   "v=STSv11; id=1",
					   "V=STSv1; id=1",
					   " v=STSv1; id=1",
					   "v=stsv1; id=1"};
	char id[STS_POLICY_ID];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(sts_record_parse(span_str(rows[i]), id), ERR_NOTFOUND);
}

static void a_malformed_record_is_told_from_none(void **state)
{
	static const char *const rows[] = {
	    "v=STSv1;",
	    "v=STSv1; id",
	    "v=STSv1; id=",
	    "v=STSv1; id=a-b",
	    "v=STSv1; ID=1",
	    "v=STSv1; ; id=1",
	    "v=STSv1; id=1;;",
	    "v=STSv1; id=1 2",
	    "v=STSv1; id=1; =x",
	    "v=STSv1; id=1; x=a=b",
	    "v=STSv1; id=1; \xc3\xa4=b",
	    "v=STSv1; id=123456789012345678901234567890123",
	};
	char id[STS_POLICY_ID];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (sts_record_parse(span_str(rows[i]), id) != ERR_FORMAT)
			fail_msg("not refused: %s", rows[i]);
	assert_int_equal(sts_record_parse(span_of("v=STSv1; id=1\0", 14), id), ERR_FORMAT);
}

static struct sts_policy *parse(const char *text)
{
	const char *why;
	int err;

	return sts_policy_parse(span_str(text), "id1", 1000 * CLOCK_SEC, &err, &why);
}

#define GOOD "version: STSv1\nmode: enforce\nmx: mx.there.test\n"

static void a_policy_is_read_with_either_line_end(void **state)
{
	static const char *const rows[] = {
	    "version: STSv1\r\nmode: enforce\r\nmx: mail.There.test\r\nmx: "
	    "*.Example.NET\r\nmax_age: 604800\r\n",
	    "version: STSv1\nmode: enforce\nmx: mail.there.test\nmx: *.example.net\nmax_age: "
	    "604800",
	    "max_age:604800\nmx:mail.there.test\n\nmx:\t*.example.net "
	    "\nmode:enforce\r\nversion:STSv1\n \n",
	    "version: STSv1\nx.new-key_1: any thing: \xc3\xa4\nmode: enforce\nmx: mail.there.test\n"
	    "mx: *.example.net\nmax_age: 604800\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sts_policy *p = parse(rows[i]);
		assert_non_null(p);
		assert_int_equal(p->mode, STS_ENFORCE);
		assert_int_equal(p->max_age, 604800);
		assert_int_equal(p->count, 2);
		assert_string_equal(p->patterns[0], "mail.there.test");
		assert_string_equal(p->patterns[1], "*.example.net");
		assert_string_equal(p->id, "id1");
		assert_string_equal(p->text, rows[i]);
		assert_int_equal(p->expires - p->fetched, 604800 * CLOCK_SEC);
		sts_policy_unref(p);
	}
}

static void of_a_key_that_comes_twice_the_first_counts(void **state)
{
	struct sts_policy *p =
	    parse("version: STSv1\nmode: testing\nmode: enforce\nmode: nonsense\nmax_age: 5\n"
		  "max_age: x\nversion: STSv2\nmx: a.test\n");

	(void)state;
	assert_non_null(p);
	assert_int_equal(p->mode, STS_TESTING);
	assert_int_equal(p->max_age, 5);
	sts_policy_unref(p);
	assert_null(
	    parse("version: STSv2\nversion: STSv1\nmode: testing\nmax_age: 5\nmx: a.test\n"));
}

static void mode_none_needs_no_mx(void **state)
{
	struct sts_policy *p = parse("version: STSv1\nmode: none\nmax_age: 0\n");

	(void)state;
	assert_non_null(p);
	assert_int_equal(p->mode, STS_NONE);
	assert_int_equal(p->count, 0);
	assert_int_equal(p->expires, p->fetched);
	sts_policy_unref(p);
}

static void a_long_life_is_a_year(void **state)
{
	static const char *const rows[] = {GOOD "max_age: 31557600\n", GOOD "max_age: 31557601\n",
					   GOOD "max_age: 9999999999\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sts_policy *p = parse(rows[i]);
		assert_non_null(p);
		assert_int_equal(p->max_age, 31557600);
		sts_policy_unref(p);
	}
}

static void a_policy_with_a_flaw_is_none(void **state)
{
	static const char *const rows[] = {
	    "",
	    "\n\n",
	    "<!DOCTYPE html>\n<html>\n",
	    "{\"version\": \"STSv1\"}",
	    "mode: enforce\nmx: a.test\nmax_age: 5\n",
	    "version: STSv1\nmx: a.test\nmax_age: 5\n",
	    "version: STSv1\nmode: enforce\nmax_age: 5\n",
	    "version: STSv1\nmode: testing\nmax_age: 5\n",
	    GOOD,
	    GOOD "max_age:\n",
	    GOOD "max_age: -1\n",
	    GOOD "max_age: 1d\n",
	    GOOD "max_age: 12345678901\n",
	    GOOD "max_age: 5\nno colon\n",
	    GOOD "max_age: 5\n: x\n",
	    GOOD "max_age: 5\n-x: y\n",
	    GOOD "max_age: 5\na key: y\n",
	    GOOD "max_age: 5\nx:\n",
	    GOOD "max_age: 5\nx: \x01\n",
	    GOOD "max_age: 5\rx: y\n",
	    GOOD "max_age: 5\n\xef\xbb\xbfx: y\n",
	    GOOD "max_age: 5\nmx: *\n",
	    GOOD "max_age: 5\nmx: *.\n",
	    GOOD "max_age: 5\nmx: *a.test\n",
	    GOOD "max_age: 5\nmx: a.*.test\n",
	    GOOD "max_age: 5\nmx: *.*.test\n",
	    GOOD "max_age: 5\nmx: a..test\n",
	    GOOD "max_age: 5\nmx: .test\n",
	    GOOD "max_age: 5\nmx: a.test.\n",
	    GOOD "max_age: 5\nmx: -a.test\n",
	    GOOD "max_age: 5\nmx: a.test b.test\n",
	    GOOD "max_age: 5\nmx: a.test, b.test\n",
	    GOOD "max_age: 5\nmx: \xc3\xa4.test\n",
	    GOOD "max_age: 5\nmx:\n",
	    "version: STSv1\nMode: enforce\nmx: a.test\nmax_age: 5\n",
	    "version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 5\n",
	    "version: stsv1\nmode: enforce\nmx: a.test\nmax_age: 5\n",
	    "version : STSv1\nmode: enforce\nmx: a.test\nmax_age: 5\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = NULL;
		int err = 0;
		if (sts_policy_parse(span_str(rows[i]), "", 0, &err, &why))
			fail_msg("taken: %s", rows[i]);
		assert_int_equal(err, ERR_FORMAT);
		assert_non_null(why);
	}
	assert_null(
	    parse(GOOD "max_age: 5\nmx: "
		       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test\n"));
}

static void size_is_bounded(void **state)
{
	static char text[STS_POLICY_TEXT + 2];
	size_t n = (size_t)sprintf(text, "%s", GOOD "max_age: 5\n");
	const char *why;
	int err;
	struct sts_policy *p;

	(void)state;
	for (int i = 1; i < STS_POLICY_PATTERNS; i++)
		n += (size_t)sprintf(text + n, "mx: m%d.test\n", i);
	p = parse(text);
	assert_non_null(p);
	assert_int_equal(p->count, STS_POLICY_PATTERNS);
	assert_true(sts_policy_match(p, "m255.test"));
	sts_policy_unref(p);
	strcpy(text + n, "mx: one.more.test\n");
	assert_null(parse(text));
	n = (size_t)sprintf(text, "%s", GOOD "max_age: 5\nx: ");
	memset(text + n, 'y', sizeof(text) - n - 1);
	text[STS_POLICY_TEXT] = '\0';
	p = parse(text);
	assert_non_null(p);
	sts_policy_unref(p);
	text[STS_POLICY_TEXT] = 'y';
	assert_null(sts_policy_parse(span_str(text), "", 0, &err, &why));
	assert_int_equal(err, ERR_LIMIT);
}

static void an_asterisk_stands_for_one_label(void **state)
{
	static const struct {
		const char *host;
		int match;
	} rows[] = {
	    {"mail.there.test", 1},
	    {"MAIL.There.Test", 1},
	    {"mail.there.test.", 1},
	    {"there.test", 0},
	    {"other.there.test", 0},
	    {"a.mail.there.test", 0},
	    {"a.wild.test", 1},
	    {"B.WILD.test.", 1},
	    {"wild.test", 0},
	    {"a.b.wild.test", 0},
	    {".wild.test", 0},
	    {"awild.test", 0},
	    {"a.wild.test.evil.test", 0},
	    {"", 0},
	    {".", 0},
	    {"test", 0},
	    {"*.wild.test", 1},
	};
	struct sts_policy *p = parse(
	    "version: STSv1\nmode: enforce\nmx: mail.there.test\nmx: *.wild.test\nmax_age: 5\n");

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (sts_policy_match(p, rows[i].host) != rows[i].match)
			fail_msg("%s", rows[i].host);
	sts_policy_unref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_record_gives_its_id),
	    cmocka_unit_test(a_record_about_something_else_is_not_one),
	    cmocka_unit_test(a_malformed_record_is_told_from_none),
	    cmocka_unit_test(a_policy_is_read_with_either_line_end),
	    cmocka_unit_test(of_a_key_that_comes_twice_the_first_counts),
	    cmocka_unit_test(mode_none_needs_no_mx),
	    cmocka_unit_test(a_long_life_is_a_year),
	    cmocka_unit_test(a_policy_with_a_flaw_is_none),
	    cmocka_unit_test(size_is_bounded),
	    cmocka_unit_test(an_asterisk_stands_for_one_label),
	};

	return cmocka_run_group_tests_name("sts_policy", tests, NULL, NULL);
}
