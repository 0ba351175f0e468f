/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "campaign/camp_field.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define P CAMP_TEXT_PLAIN
#define H CAMP_TEXT_HTML

static char red[] = "Red", rd[] = "R&D", wine[] = "Red Wine";
static char *choices[] = {red, rd, wine};

static void a_value_is_of_its_type_or_not(void **state)
{
	static const struct {
		enum camp_field_type type;
		enum camp_context ctx;
		enum camp_text_kind kind;
		const char *yes[8], *no[12];
	} cases[] = {
	    {CAMP_TYPE_NAME,
	     CAMP_CTX_TEXT,
	     P,
	     {"Anna", "Jean-Luc O'Neil", "J. R. Smith", "\u738b\u5c0f\u660e",
	      "\u0418\u0432\u0430\u043d", "St. John", "M\u00fcller"},
	     {"Anna. Your account is locked", "evil.com", "a@b", "<b>", "Anna\n", "\u0410nna", "An\u200bna", "Anna\u202e",
	      "http://x", "12", "A\u00adB", "\U0001d400nna"}},
	    {CAMP_TYPE_NAME,
	     CAMP_CTX_TEXT,
	     H,
	     {"O&#39;Neil", "O&apos;Neil", "O'Neil", "J&#xF6;rg"},
	     {"A&nbsp;B", "A&amp", "A&#60;B", "A&lt;B", "A&#0;", "A&#x110000;", "A&#8203;B",
	      "&#119;ww.x", "a&#46;com"}},
	    {CAMP_TYPE_NAME, CAMP_CTX_ATTR, H, {"O&#39;Neil"}, {"O'Neil", "\"x", "A>B"}},
	    {CAMP_TYPE_TEXT_NOLINK,
	     CAMP_CTX_TEXT,
	     P,
	     {"Shirt, size M (2x) - 100%!", "v1.2", "\u65e5\u672c\u8a9eT\u30b7\u30e3\u30c4",
	      "a/b & c", "50 \u20ac", "1,5 kg"},
	     {"see www.x", "x.example.org", "a@b", "10.0.0.1", "https://host", "\\\\host", "a<b",
	      "\uff45vil\uff0ecom", "x\u3002com", "\u0440aypal", "a\tb", "\ue000"}},
	    {CAMP_TYPE_INT,
	     CAMP_CTX_TEXT,
	     P,
	     {"0", "-12", "007"},
	     {"", "1.5", "--1", "1-", "1a", "+1"}},
	    {CAMP_TYPE_DECIMAL,
	     CAMP_CTX_TEXT,
	     P,
	     {"1", "-1.5", "1,234.50", "1.234,50", "12.000"},
	     {".5", "1.", "1..2", "1.2.3", "1,23.45,6", "1e5"}},
	    {CAMP_TYPE_MONEY,
	     CAMP_CTX_TEXT,
	     P,
	     {"12.50", "\u20ac 12,50", "$5", "1,299.00 EUR", "CHF 3.50", "12\u00a0\u20ac",
	      "-5 USD"},
	     {"EUR", "$ $5", "5 euro", "abc 5", "5 EUR now", "USDX 5", "$"}},
	    {CAMP_TYPE_MONEY,
	     CAMP_CTX_TEXT,
	     H,
	     {"&#8364; 12.50", "12.50&#160;&#x20AC;"},
	     {"&euro; 5", "&#60; 5"}},
	    {CAMP_TYPE_DATE,
	     CAMP_CTX_TEXT,
	     P,
	     {"2026-01-31", "31.1.2026", "1/31/2026", "31/01/26", "31. M\u00e4rz 2026",
	      "January 31, 2026", "3 de enero de 2026", "5 Sept. 2026"},
	     {"2026-13-01", "32.1.2026", "31.1/2026", "31.31.2026", "31 Foo 2026", "1.2",
	      "5 de evil de 2026", "20261-1-1"}},
	    {CAMP_TYPE_TIME,
	     CAMP_CTX_TEXT,
	     P,
	     {"23:59", "9:05", "11:59 pm", "9.30", "00:00:59"},
	     {"25:00", "9:60", "9", "13:00 pm", "9:5", "0:00 am", "9:00:61"}},
	    {CAMP_TYPE_CODE, CAMP_CTX_TEXT, P, {"SAVE-20", "a_b"}, {"a b", "a.b", "a=b", ""}},
	    {CAMP_TYPE_TOKEN, CAMP_CTX_URL_QUERY, H, {"aZ0-_~=="}, {"a.b", "a&b", "a%20"}},
	    {CAMP_TYPE_HEX, CAMP_CTX_TEXT, P, {"00fFa"}, {"0x", "g"}},
	    {CAMP_TYPE_UUID,
	     CAMP_CTX_TEXT,
	     P,
	     {"123e4567-e89b-12d3-a456-426614174000"},
	     {"123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g"}},
	    {CAMP_TYPE_URL_PATH,
	     CAMP_CTX_URL_PATH,
	     H,
	     {"item-5", "a%20b", "..."},
	     {"..", ".", "%2e%2E", "a/b", "a%2Fb", "a%5cb", "a%00", "a%zz", "a%2", "a?b", "%ff"}},
	    {CAMP_TYPE_URL_QUERY,
	     CAMP_CTX_URL_QUERY,
	     H,
	     {"a+b%26c", "x%40y"},
	     {"a&b", "a#b", "https%3A%2F%2Fevil.com", "a%0d%0a", "%2F%2Fevil", "a=b"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct camp_field f = {
		    .name = "f", .type = cases[i].type, .ctx = cases[i].ctx, .min = 1, .max = 60};

		for (size_t k = 0; k < 8 && cases[i].yes[k]; k++)
			if (camp_field_check(&f, cases[i].kind, span_str(cases[i].yes[k]),
					     span_str("")) != CAMP_PASS)
				fail_msg("%s refuses %s", camp_field_type_name(f.type),
					 cases[i].yes[k]);
		for (size_t k = 0; k < 12 && cases[i].no[k]; k++)
			if (camp_field_check(&f, cases[i].kind, span_str(cases[i].no[k]),
					     span_str("")) == CAMP_PASS)
				fail_msg("%s takes %s", camp_field_type_name(f.type),
					 cases[i].no[k]);
	}
}

static void listed_values_are_written_as_their_context_demands(void **state)
{
	struct camp_field f = {
	    .type = CAMP_TYPE_ENUM, .min = 1, .max = 20, .values = choices, .n_values = 3};

	(void)state;
	assert_int_equal(camp_field_check(&f, CAMP_TEXT_PLAIN, SPAN_LIT("R&D"), SPAN_LIT("")),
			 CAMP_PASS);
	assert_int_equal(camp_field_check(&f, CAMP_TEXT_HTML, SPAN_LIT("R&amp;D"), SPAN_LIT("")),
			 CAMP_PASS);
	assert_int_not_equal(camp_field_check(&f, CAMP_TEXT_HTML, SPAN_LIT("R&D"), SPAN_LIT("")),
			     CAMP_PASS);
	assert_int_not_equal(camp_field_check(&f, CAMP_TEXT_PLAIN, SPAN_LIT("Re"), SPAN_LIT("")),
			     CAMP_PASS);
	assert_true(camp_field_holds(&f, CAMP_TEXT_PLAIN, ' '));
	assert_false(camp_field_holds(&f, CAMP_TEXT_PLAIN, '.'));
}

static void the_recipient_is_the_envelopes(void **state)
{
	struct camp_field f = {.type = CAMP_TYPE_RCPT_EMAIL, .min = 1, .max = 254};
	struct span rcpt = SPAN_LIT("o'neil+x@example.org");

	(void)state;
	assert_int_equal(camp_field_check(&f, CAMP_TEXT_PLAIN, rcpt, rcpt), CAMP_PASS);
	assert_int_equal(
	    camp_field_check(&f, CAMP_TEXT_HTML, SPAN_LIT("o&#39;neil+x@Example.org"), rcpt),
	    CAMP_PASS);
	assert_int_equal(
	    camp_field_check(&f, CAMP_TEXT_PLAIN, SPAN_LIT("o'neil@example.org"), rcpt),
	    CAMP_FIELD_RCPT);
	assert_int_equal(
	    camp_field_check(&f, CAMP_TEXT_PLAIN, SPAN_LIT("o'neil+x@example.or"), rcpt),
	    CAMP_FIELD_RCPT);
	f.ctx = CAMP_CTX_URL_QUERY;
	assert_int_equal(
	    camp_field_check(&f, CAMP_TEXT_HTML, SPAN_LIT("o%27neil%2Bx%40example.org"), rcpt),
	    CAMP_PASS);
	assert_int_equal(
	    camp_field_check(&f, CAMP_TEXT_HTML, SPAN_LIT("o'neil%2Bx%40example.org"), rcpt),
	    CAMP_FIELD_RCPT);
}

static void a_longer_value_than_max_is_refused(void **state)
{
	struct camp_field f = {.type = CAMP_TYPE_CODE, .min = 3, .max = 5};

	(void)state;
	assert_int_equal(camp_field_check(&f, CAMP_TEXT_PLAIN, SPAN_LIT("abcde"), SPAN_LIT("")),
			 CAMP_PASS);
	assert_int_equal(camp_field_check(&f, CAMP_TEXT_PLAIN, SPAN_LIT("abcdef"), SPAN_LIT("")),
			 CAMP_FIELD_LENGTH);
	assert_int_equal(camp_field_check(&f, CAMP_TEXT_PLAIN, SPAN_LIT("ab"), SPAN_LIT("")),
			 CAMP_FIELD_LENGTH);
}

static void names_are_taken_and_sentences_are_not(void **state)
{
	static const char *const names[] = {
	    "Anna", "anna", "ANNA SCHMIDT", "J. R. R. Tolkien", "J.R.R. Tolkien", "Dr. Anna-Maria von der Heide",
	    "Prof. Dr. h.c. mult. Karl M\u00fcller", "Dipl.-Ing. Hans Meier", "Martin Luther King Jr.", "Mrs. O'Brien",
	    "Mar\u00eda del Carmen Garc\u00eda L\u00f3pez de la Cruz", "Jo\u00e3o Pedro dos Santos e Silva", "St. John",
	    "Jan van 't Hoff", "Ludwig van Beethoven", "ana paula souza silva", "Anna m\u00fcller", "Hans-J\u00fcrgen",
	    "Abdullah bin Abdulaziz Al Saud", "Nguy\u1ec5n Th\u1ecb Minh Khai", "Ph.D. Smith", "Smith, John Wm.",
	    "\u738b\u5c0f\u660e", "\u53f8\u9a6c\u5149", "\u9ad8\u6a4b \u4e00\u90ce", "\uae40\ucca0\uc218",
	    "\u0410\u043d\u043d\u0430 \u041f\u0435\u0442\u0440\u043e\u0432\u043d\u0430",
	    "\u0410. \u0421. \u041f\u0443\u0448\u043a\u0438\u043d", "Bj\u00f6rk Gu\u00f0mundsd\u00f3ttir",
	    "\u0645\u062d\u0645\u062f \u0628\u0646 \u0639\u0628\u062f \u0627\u0644\u0644\u0647"};
	static const char *const sentences[] = {
	    "Anna. Your account is locked", "Anna. Call us", "Anna your account is locked", "Anna - your account is locked",
	    "your account was locked today", "Your account is locked", "Anna Bitte rufen Sie uns an",
	    "Anna. Ihr Konto ist gesperrt", "Locked. Call", "Hi. your bill is due",
	    "\u60a8\u7684\u8d26\u6237\u5df2\u88ab\u9501\u5b9a",
	    "\u0412\u0430\u0448 \u0441\u0447\u0451\u0442 \u0437\u0430\u0431\u043b\u043e\u043a\u0438\u0440\u043e\u0432\u0430\u043d",
	    "One Two Three Four Five Six Seven Eight Nine"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		if (camp_field_is_sentence(span_str(names[i])))
			fail_msg("no name: %s", names[i]);
	for (size_t i = 0; i < COUNT(sentences); i++)
		if (!camp_field_is_sentence(span_str(sentences[i])))
			fail_msg("a name: %s", sentences[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_value_is_of_its_type_or_not),
	    cmocka_unit_test(names_are_taken_and_sentences_are_not),
	    cmocka_unit_test(listed_values_are_written_as_their_context_demands),
	    cmocka_unit_test(the_recipient_is_the_envelopes),
	    cmocka_unit_test(a_longer_value_than_max_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
