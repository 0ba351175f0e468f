/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of recipients: what is an address, which are the same, and what is told of a list that does not hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "campaign/camp_audience.h"
#include "core/err.h"
#include "core/hex.h"

static const uint8_t key[CAMP_AUDIENCE_KEY] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
					       16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

static int same(const char *one, const char *other)
{
	uint8_t a[CAMP_AUDIENCE], b[CAMP_AUDIENCE];

	assert_int_equal(camp_audience_hash(key, span_str(one), a), 0);
	assert_int_equal(camp_audience_hash(key, span_str(other), b), 0);
	return memcmp(a, b, sizeof(a)) == 0;
}

/* By Python: hmac.new(bytes(range(32)), b"anna@example.test", "sha256").hexdigest()[:32] */
static void an_address_has_the_hash_that_the_page_says(void **state)
{
	uint8_t hash[CAMP_AUDIENCE], want[CAMP_AUDIENCE];

	(void)state;
	assert_int_equal(hex_decode(want, sizeof(want), SPAN_LIT("7635045e8e502f22db8f2016dabf3e30")), CAMP_AUDIENCE);
	assert_int_equal(camp_audience_hash(key, SPAN_LIT("Anna@Example.TEST"), hash), 0);
	assert_memory_equal(hash, want, sizeof(hash));
}

static void case_alone_makes_no_other_address(void **state)
{
	(void)state;
	assert_true(same("anna@example.test", "ANNA@EXAMPLE.TEST"));
	assert_true(same("a@[IPv6:2001:DB8::1]", "a@[ipv6:2001:db8::1]"));
	assert_false(same("anna@example.test", "an.na@example.test"));
	assert_false(same("anna@example.test", "anna+shop@example.test"));
	assert_false(same("anna@example.test", "\"anna\"@example.test"));
	assert_false(same("anna@b\xc3\xbc" "cher.test", "anna@xn--bcher-kva.test"));
	assert_false(same("\xc3\xa4@example.test", "\xc3\x84@example.test")); /* ASCII alone is folded */
}

static void what_is_no_address_has_no_hash(void **state)
{
	static const char *const bad[] = {"", "anna", "@example.test", "anna@", "anna@example..test", "anna@example.test.",
					  "<anna@example.test>", "Anna <anna@example.test>", "a b@example.test",
					  "anna@example.test,bert@example.test", "anna@example.test;", "postmaster",
					  "\xff@example.test", "anna@example.test\n"};
	uint8_t hash[CAMP_AUDIENCE];
	char longer[400];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(camp_audience_hash(key, span_str(bad[i]), hash), ERR_FORMAT);
	memset(longer, 'a', sizeof(longer));
	memcpy(longer + 65, "@b.test", 8);
	assert_int_equal(camp_audience_hash(key, span_str(longer), hash), ERR_FORMAT);
	assert_int_equal(camp_audience_hash(key, span_of("a@b.test\0", 9), hash), ERR_FORMAT);
}

static void a_list_has_one_address_a_line(void **state)
{
	struct camp_findings fs = {0};
	struct camp_audience a;
	struct camp_bundle b = {0};
	uint8_t hash[CAMP_AUDIENCE];

	(void)state;
	camp_audience_init(&a);
	assert_int_equal(camp_audience_read(&a, key,
					    SPAN_LIT("\xef\xbb\xbf" "anna@example.test\r\n# a remark\n\n \tbert@example.test \r\n"
						     "ANNA@example.test\n"),
					    &fs),
			 0);
	assert_int_equal(camp_audience_read(&a, key, SPAN_LIT("  # another\nclara@example.test"), &fs), 0);
	assert_int_equal(a.lines, 7);
	assert_int_equal(fs.errors, 0);
	camp_audience_close(&a);
	assert_int_equal(camp_audience_count(&a), 3);
	assert_int_equal(a.doubles, 1);
	b.audience = buf_span(&a.hashes);
	assert_int_equal(camp_audience_hash(key, SPAN_LIT("Bert@Example.test"), hash), 0);
	assert_int_equal(camp_bundle_audience(&b, hash), 1);
	assert_int_equal(camp_audience_hash(key, SPAN_LIT("doris@example.test"), hash), 0);
	assert_int_equal(camp_bundle_audience(&b, hash), 0);
	camp_audience_clear(&a);
}

static void a_line_that_is_no_address_is_told_by_its_number_alone(void **state)
{
	static const unsigned lines[] = {2, 4, 6};
	struct camp_findings fs = {0};
	struct camp_audience a;

	(void)state;
	camp_audience_init(&a);
	assert_int_equal(camp_audience_read(&a, key, SPAN_LIT("anna@example.test\nsecret person\n\nname,mail@example.test\n"),
					    &fs),
			 0);
	assert_int_equal(camp_audience_read(&a, key, SPAN_LIT("bert@example.test\n\xef\xbb\xbf" "clara@example.\n"), &fs), 0);
	assert_int_equal(fs.n, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(fs.item[i].rule, "audience-address");
		assert_string_equal(fs.item[i].part, "audience");
		assert_string_equal(fs.item[i].text, "this line is no address");
		assert_int_equal(fs.item[i].level, CAMP_FINDING_ERROR);
		assert_int_equal(fs.item[i].line, lines[i]);
	}
	assert_int_equal(camp_audience_count(&a), 2);
	camp_finding_clear(&fs);
	camp_audience_clear(&a);
}

static void of_many_bad_lines_some_are_told_and_all_are_counted(void **state)
{
	struct camp_findings fs = {0};
	struct camp_audience a;

	(void)state;
	camp_audience_init(&a);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(camp_audience_read(&a, key, SPAN_LIT("x\n"), &fs), 0);
	assert_int_equal(fs.n, CAMP_FINDINGS_RULE);
	assert_int_equal(fs.errors, 1000);
	camp_audience_close(&a);
	assert_int_equal(camp_audience_count(&a), 0);
	camp_finding_clear(&fs);
	camp_audience_clear(&a);
}

/* Hashes of one list, in whatever order, are one audience. */
static void order_and_doubles_change_nothing(void **state)
{
	struct camp_findings fs = {0};
	struct camp_audience a, b;
	char line[64];

	(void)state;
	camp_audience_init(&a);
	camp_audience_init(&b);
	for (int i = 0; i < 3000; i++) {
		snprintf(line, sizeof(line), "user%d@example.test\n", i);
		assert_int_equal(camp_audience_read(&a, key, span_str(line), &fs), 0);
		snprintf(line, sizeof(line), "USER%d@example.test\n", (2999 - i) % 1500 * 2);
		assert_int_equal(camp_audience_read(&b, key, span_str(line), &fs), 0);
		snprintf(line, sizeof(line), "user%d@EXAMPLE.test\n", i % 1500 * 2 + 1);
		assert_int_equal(camp_audience_read(&b, key, span_str(line), &fs), 0);
	}
	camp_audience_close(&a);
	camp_audience_close(&b);
	assert_int_equal(camp_audience_count(&a), 3000);
	assert_int_equal(a.doubles, 0);
	assert_int_equal(b.doubles, 3000);
	assert_true(span_equal(buf_span(&a.hashes), buf_span(&b.hashes)));
	camp_audience_clear(&a);
	camp_audience_clear(&b);
}

static void a_list_has_an_end(void **state)
{
	struct camp_findings fs = {0};
	struct camp_audience a;

	(void)state;
	camp_audience_init(&a);
	assert_non_null(buf_reserve(&a.hashes, (size_t)(CAMP_AUDIENCE_MAX - 1) * CAMP_AUDIENCE));
	buf_commit(&a.hashes, (size_t)(CAMP_AUDIENCE_MAX - 1) * CAMP_AUDIENCE);
	assert_int_equal(camp_audience_read(&a, key, SPAN_LIT("a@example.test\n"), &fs), 0);
	assert_int_equal(camp_audience_read(&a, key, SPAN_LIT("b@example.test\n"), &fs), ERR_LIMIT);
	camp_audience_clear(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_address_has_the_hash_that_the_page_says),
	    cmocka_unit_test(case_alone_makes_no_other_address),
	    cmocka_unit_test(what_is_no_address_has_no_hash),
	    cmocka_unit_test(a_list_has_one_address_a_line),
	    cmocka_unit_test(a_line_that_is_no_address_is_told_by_its_number_alone),
	    cmocka_unit_test(of_many_bad_lines_some_are_told_and_all_are_counted),
	    cmocka_unit_test(order_and_doubles_change_nothing),
	    cmocka_unit_test(a_list_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
