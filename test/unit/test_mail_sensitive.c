/* SPDX-License-Identifier: Apache-2.0 */
/* Card numbers (those that issuers and processors publish for tests) and patterns in text: what is found, what only
 * looks like it, and that pieces of any size make no difference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mail/mail_sensitive_html.h"

/* Finds of the first rule, fed in pieces of that size. */
static unsigned look(const struct mail_sensitive_set *set, const char *text, size_t piece)
{
	static struct mail_sensitive s;
	struct span all = span_str(text);
	unsigned found;

	mail_sensitive_init(&s, set);
	for (size_t at = 0; at < all.n; at += piece)
		mail_sensitive_feed(&s, span_sub(all, at, piece));
	mail_sensitive_end(&s);
	found = s.found[0];
	mail_sensitive_clear(&s);
	return found;
}

static void expect(const char *pattern, const char *text, unsigned want)
{
	struct mail_sensitive_rule rule = {pattern};
	struct mail_sensitive_set *set = mail_sensitive_set_new(&rule, 1);

	assert_non_null(set);
	for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
		unsigned got = look(set, text, piece);
		if (got != want)
			fail_msg("\"%s\" in pieces of %zu: found %u, not %u", text, piece, got, want);
	}
	mail_sensitive_set_free(set);
}

static void published_test_cards_are_found(void **state)
{
	static const char *const numbers[] = {
	    "4111 1111 1111 1111", "4012-8888-8888-1881",     "5555 5555 5555 4444", "5105 1051 0510 5100",
	    "2223 0031 2200 3222", "3782 822463 10005",	      "3714 496353 98431",   "6011 1111 1111 1117",
	    "6011 0009 9013 9424", "3056 930902 5904",	      "3852 000002 3237",    "3530 1113 3330 0000",
	    "3566 0020 2036 0505", "6200 0000 0000 0005",     "4111&nbsp;1111&nbsp;1111&nbsp;1111",
	    "4111\xc2\xa0" "1111\xc2\xa0" "1111\xc2\xa0" "1111"};
	char text[200], plain[32];

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		size_t n = 0;
		expect(NULL, numbers[i], 1);
		snprintf(text, sizeof(text), "Hello,\npaid with %s.\nBye\n", numbers[i]);
		expect(NULL, text, 1);
		snprintf(text, sizeof(text), "<td>%s</td>", numbers[i]);
		expect(NULL, text, 1);
		for (const char *p = numbers[i]; *p; p++)
			if (*p >= '0' && *p <= '9')
				plain[n++] = *p;
		plain[n] = '\0';
		snprintf(text, sizeof(text), "Card number: %s, thanks", plain);
		expect(NULL, text, 1);
		snprintf(text, sizeof(text), "%s (CVV 123)", plain);
		expect(NULL, text, 1);
		expect(NULL, plain, 0); /* without a word: an order number may look like this */
		/* with another check digit it is none */
		plain[n - 1] = (char)('0' + (plain[n - 1] - '0' + 1) % 10);
		snprintf(text, sizeof(text), "Card number: %s, thanks", plain);
		expect(NULL, text, 0);
	}
	expect(NULL, "visa 4222222222222", 1);
	expect(NULL, "My card: 4111 1111 1111 1111 12/28 123", 1);
	expect(NULL, "1. 4111 1111 1111 1111\n2. 5555 5555 5555 4444\n", 2);
	expect(NULL, "Kreditkarte 4111111111111111 g\xc3\xbcltig", 1);
}

static void what_only_looks_like_a_card_is_not_found(void **state)
{
	static const char *const texts[] = {
	    "Order 4111111111111111 has shipped",
	    "Your card was charged. Order number 4111111111111111 has shipped",
	    "Bestellnummer: 5555555555554444",
	    "tracking 4012888888881881 of your parcel",
	    "DE89 3704 0044 0532 0130 00",
	    "GB29 NWBK 6016 1331 9268 19",
	    "BE68 5390 0754 7034",
	    "FR76 3000 6000 0112 3456 7890 189",
	    "IBAN: DE89370400440532013000",
	    "+49 170 123 4567 8901",
	    "Tel. 0049 89 1234 5678 90",
	    "2026-11-22 20:13:38 2026-11-22 20:13:39",
	    "22.11.2026 11:45:00",
	    "41111111111111111111111111111111", /* longer than any */
	    "card 411111111111111111111111",
	    "x4111 1111 1111 1111",
	    "4111 1111 1111 1111x",
	    "https://shop.example/t/4111111111111111?card=1",
	    "card=4111111111111111",
	    "card 0.4111111111111111",
	    "card 1234 5678 9012 3456",
	    "card 9999 9999 9999 9995",
	    "card 4111 1111 1111 1112",
	    "card 0000 0000 0000 0000",
	    "4111 1111\n1111 1111",
	    "4111  1111  1111  1111",
	    "discard 4111111111111111",
	    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect(NULL, texts[i], 0);
}

static void a_word_counts_when_it_is_near(void **state)
{
	char text[400];

	(void)state;
	for (int far = 0; far < 120; far += 7) {
		snprintf(text, sizeof(text), "Visa %*s 4111111111111111 ", far, "");
		expect(NULL, text, far < 58);
		snprintf(text, sizeof(text), " 4111111111111111 %*s cvc ", far, "");
		expect(NULL, text, far < 58);
	}
}

static void patterns_find_what_they_say(void **state)
{
	(void)state;
	expect("AB-####-@@", "see AB-1234-xy.", 1);
	expect("AB-####-@@", "see ab-1234-XY ab-0000-zz", 2);
	expect("AB-####-@@", "xAB-1234-xy AB-1234-xyz AB-123-xy AB-12345-xy", 0);
	expect("####", "1234 12345 0 9999", 2);
	expect("####", "1234", 1);
	expect("secret", "Secret, SECRET; secrets", 2);
	expect("\\#\\@\\\\", "a#@\\b", 1);
	expect("(#)", "f(1)(2)", 2);
	expect("aab", "aaab aab", 1);
	expect("\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9 l'\xc3\xa9t\xc3\xa9!", 2);
	expect("@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
	       "abcdefghijklmnopabcdefghijklmnopabcdefghijklmnopabcdefghijklmnop", 1);
}

static void a_pattern_that_cannot_be_is_told_why(void **state)
{
	struct mail_sensitive_rule many[MAIL_SENSITIVE_RULES + 1] = {{NULL}}, bad = {"x"};

	(void)state;
	assert_null(mail_sensitive_check("##"));
	assert_string_equal(mail_sensitive_check("#"), "shorter than 2 characters");
	assert_string_equal(mail_sensitive_check(""), "shorter than 2 characters");
	assert_string_equal(mail_sensitive_check("ab\\"), "ends in a lone \\");
	assert_string_equal(mail_sensitive_check("a\nb"), "a control character");
	assert_string_equal(
	    mail_sensitive_check("12345678901234567890123456789012345678901234567890123456789012345"),
	    "longer than 64 characters");
	assert_null(mail_sensitive_set_new(&bad, 1));
	assert_null(mail_sensitive_set_new(many, MAIL_SENSITIVE_RULES + 1));
}

static void many_rules_count_each_for_itself_over_all_texts(void **state)
{
	struct mail_sensitive_rule rules[MAIL_SENSITIVE_RULES];
	char patterns[MAIL_SENSITIVE_RULES][32], text[64];
	struct mail_sensitive_set *set;
	struct mail_sensitive s;

	(void)state;
	for (unsigned i = 0; i < MAIL_SENSITIVE_RULES; i++) {
		snprintf(patterns[i], sizeof(patterns[i]), "RULE%02u-######-@@@@@@", i);
		rules[i].pattern = i ? patterns[i] : NULL;
	}
	set = mail_sensitive_set_new(rules, MAIL_SENSITIVE_RULES);
	assert_non_null(set);
	mail_sensitive_init(&s, set);
	for (unsigned i = 0; i < MAIL_SENSITIVE_RULES; i++)
		for (unsigned k = 0; k <= i; k++) {
			snprintf(text, sizeof(text), "rule%02u-123456-abcdef ", i);
			mail_sensitive_begin(&s);
			mail_sensitive_feed(&s, span_str(text));
			mail_sensitive_feed(&s, SPAN_LIT("4111 1111 1111 1111"));
			mail_sensitive_end(&s);
		}
	for (unsigned i = 1; i < MAIL_SENSITIVE_RULES; i++)
		assert_int_equal(s.found[i], i + 1);
	assert_int_equal(s.found[0], 32 * 33 / 2);
	/* nothing runs on from one text into the next */
	mail_sensitive_init(&s, set);
	mail_sensitive_feed(&s, SPAN_LIT("4111 1111 1111 "));
	mail_sensitive_end(&s);
	mail_sensitive_feed(&s, SPAN_LIT("1111 rule01-12"));
	mail_sensitive_end(&s);
	mail_sensitive_feed(&s, SPAN_LIT("3456-abcdef"));
	mail_sensitive_end(&s);
	assert_int_equal(s.found[0] + s.found[1], 0);
	mail_sensitive_set_free(set);
}

static void in_html_counts_what_is_shown(void **state)
{
	static const struct {
		const char *html;
		unsigned found;
	} r[] = {
	    {"<p>4111 1111 1111 1111</p>", 1},
	    {"<p>41<b>11</b> 1111 <span style='x'>1111</span> 11<!-- x -->11</p>", 1},
	    {"<p>4111&nbsp;1111 1111&#32;111&#49;</p>", 1},
	    {"<p>4111\n  1111 1111\n1111</p>", 1},
	    {"<p>41&shy;11 11\xe2\x80\x8b" "11 1111 1111</p>", 1},
	    {"<b>Card</b>:<i>4111111111</i>111111", 1},
	    {"<td>4111</td><td>1111</td><td>1111</td><td>1111</td>", 0},
	    {"<div>4111 1111</div><div>1111 1111</div>", 0},
	    {"<p>4111 1111<br>1111 1111</p>", 0},
	    {"<style>.a{x:4111 1111 1111 1111}</style><!-- 4111 1111 1111 1111 -->", 0},
	    {"<p>Order <b>41111111</b>11111111 has shipped</p>", 0},
	    {"<p>Order number <b>4111111111111111</b></p>", 0},
	    {"4111 1111 1111 1111<", 1},
	};
	static struct mail_sensitive s;
	struct mail_sensitive_rule rule = {NULL};
	struct mail_sensitive_set *set = mail_sensitive_set_new(&rule, 1);

	(void)state;
	for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
		mail_sensitive_init(&s, set);
		assert_int_equal(mail_sensitive_html(&s, span_str(r[i].html)), 0);
		if (s.found[0] != r[i].found)
			fail_msg("%s: %u", r[i].html, s.found[0]);
	}
	mail_sensitive_clear(&s);
	mail_sensitive_set_free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published_test_cards_are_found),
	    cmocka_unit_test(what_only_looks_like_a_card_is_not_found),
	    cmocka_unit_test(in_html_counts_what_is_shown),
	    cmocka_unit_test(a_word_counts_when_it_is_near),
	    cmocka_unit_test(patterns_find_what_they_say),
	    cmocka_unit_test(a_pattern_that_cannot_be_is_told_why),
	    cmocka_unit_test(many_rules_count_each_for_itself_over_all_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
