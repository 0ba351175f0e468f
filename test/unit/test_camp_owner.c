/* SPDX-License-Identifier: Apache-2.0 */
/* Domains of customers: how they are written, what they cover, and what proves them. */
#include "campaign/camp_owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"

static void a_domain_is_kept_in_one_form(void **state)
{
	static const char *const rows[][2] = {{"shop.example", "shop.example"},
					      {"Shop.EXAMPLE", "shop.example"},
					      {"shop.example.", "shop.example"},
					      {"a-b.co.uk", "a-b.co.uk"},
					      {"www.shop.example", "www.shop.example"},
					      {"b\xc3\xbc"
					       "cher.example",
					       "xn--bcher-kva.example"},
					      {"xn--bcher-kva.example", "xn--bcher-kva.example"},
					      {"192.0.2.1.example", "192.0.2.1.example"}};
	char domain[MAIL_URL_HOST];
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(camp_owner_domain(domain, span_str(rows[i][0]), &why), 0);
		assert_string_equal(domain, rows[i][1]);
	}
}

static void what_is_no_domain_of_one_customer_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {{"", "name of one"},
		    {".", "name of one"},
		    {"..", "name of one"},
		    {".example", "name of one"},
		    {"shop..example", "name of one"},
		    {"*.shop.example", "wildcard"},
		    {"shop.example:443", "port"},
		    {"https://shop.example/", "path"},
		    {"anna@shop.example", "name of one"},
		    {"shop example", "name of one"},
		    {"shop%2eexample", "name of one"},
		    {"shop.example\n", "name of one"},
		    {"_dmarc.shop.example", "name of one"},
		    {"-shop.example", "name of one"},
		    {"shop-.example", "name of one"},
		    {"com", "public suffix"},
		    {"co.uk", "public suffix"},
		    {"example", "public suffix"},
		    {"localhost", "public suffix"},
		    {"github.io", "public suffix"},
		    {"s3.amazonaws.com", "public suffix"},
		    {"192.0.2.1", "address"},
		    {"0x7f.1", "address"},
		    {"3221225985", "address"},
		    {"[2001:db8::1]", "name of one"},
		    {"xn--80ak6aa92e.com", "look like"},
		    {"p\xd0\xb0ypal.example", "scripts"}};
	char domain[MAIL_URL_HOST], longest[300];
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		why = "";
		if (camp_owner_domain(domain, span_str(rows[i].text), &why) != ERR_FORMAT ||
		    !strstr(why, rows[i].why))
			fail_msg("%s: %s", rows[i].text, why);
	}
	assert_int_equal(camp_owner_domain(domain, SPAN_LIT("shop\0.example"), &why), ERR_FORMAT);
	memset(longest, 'a', sizeof(longest));
	for (size_t i = 50; i < sizeof(longest); i += 50)
		longest[i] = '.';
	memcpy(longest + 243 - 8, ".example",
	       9); /* with the label before it 253 octets: the longest name there is */
	assert_int_equal(camp_owner_domain(domain, span_str(longest), &why), 0);
	memcpy(longest + 244 - 8, ".example", 9);
	longest[235] = 'a';
	assert_int_equal(camp_owner_domain(domain, span_str(longest), &why), ERR_FORMAT);
}

static void a_domain_covers_what_nobody_else_can_register(void **state)
{
	static const struct {
		const char *domain, *host;
		int covers;
	} rows[] = {{"shop.example", "shop.example", 1},
		    {"shop.example", "www.shop.example", 1},
		    {"shop.example", "a.b.c.shop.example", 1},
		    {"www.shop.example", "shop.example", 0},
		    {"www.shop.example", "cdn.shop.example", 0},
		    {"shop.example", "evilshop.example", 0},
		    {"shop.example", "shop.example.evil.example", 0},
		    {"shop.example", "shop.examples", 0},
		    {"example", "shop.example", 0},
		    {"co.uk", "shop.co.uk", 0},
		    {"amazonaws.com", "www.amazonaws.com", 1},
		    {"amazonaws.com", "shop.s3.amazonaws.com", 0},
		    {"shop.s3.amazonaws.com", "a.shop.s3.amazonaws.com", 1},
		    {"shop.example", "Shop.example", 0},
		    {"shop.example", "", 0},
		    {"shop.example", ".shop.example", 0},
		    {"shop.example", "_x.shop.example", 0},
		    {"", "shop.example", 0},
		    {"0.2.1", "192.0.2.1", 0},
		    {"192.0.2.1", "192.0.2.1", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (camp_owner_covers(rows[i].domain, rows[i].host) != rows[i].covers)
			fail_msg("%s, %s", rows[i].domain, rows[i].host);
}

#define CHALLENGE "0123456789abcdef0123456789abcdef"

static enum camp_owner_verdict judge(const char *challenge, size_t n, const char *const *texts)
{
	struct span spans[8];

	for (size_t i = 0; i < n; i++)
		spans[i] = span_str(texts[i]);
	return camp_owner_judge(spans, n, challenge);
}

static void the_record_is_the_whole_text_and_nothing_else(void **state)
{
	static const char *const wrong[] = {
	    "",
	    CHALLENGE,
	    "sealpost-domain-verification=",
	    "sealpost-domain-verification=x",
	    "sealpost-domain-verification=" CHALLENGE "0",
	    "SEALPOST-domain-verification=" CHALLENGE,
	    "sealpost-domain-verification=0123456789ABCDEF0123456789ABCDEF",
	    "x sealpost-domain-verification=" CHALLENGE};
	const char *right[] = {"v=spf1 -all", " sealpost-domain-verification=" CHALLENGE "\t",
			       "another"};
	char text[CAMP_OWNER_TEXT], name[CAMP_OWNER_NAME];

	(void)state;
	camp_owner_text(text, CHALLENGE);
	assert_string_equal(text, "sealpost-domain-verification=" CHALLENGE);
	camp_owner_name(name, "shop.example");
	assert_string_equal(name, "_sealpost.shop.example");
	assert_int_equal(judge(CHALLENGE, 3, right), CAMP_OWNER_FOUND);
	assert_int_equal(judge(CHALLENGE, 0, NULL), CAMP_OWNER_MISSING);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(judge(CHALLENGE, 1, &wrong[i]), CAMP_OWNER_OTHER);
	/* a row that lost its challenge is proven by nothing */
	assert_int_equal(judge("", 3, wrong), CAMP_OWNER_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_domain_is_kept_in_one_form),
	    cmocka_unit_test(what_is_no_domain_of_one_customer_is_refused),
	    cmocka_unit_test(a_domain_covers_what_nobody_else_can_register),
	    cmocka_unit_test(the_record_is_the_whole_text_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
