/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_campaign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MAC "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define VALUE "v=1; id=cmp_01; ver=3; t=1767225600; n=abcdefgh; kid=k1; mac=" MAC
#define HEADER "X-DoPosta-Campaign: " VALUE "\r\n"

static const struct {
	const char *message, *id;
} rows[] = {
    {"Subject: x\r\n" HEADER "To: y\r\n\r\nbody", "cmp_01"},
    {HEADER "\r\n", "cmp_01"},
    {"x-doposta-CAMPAIGN \t:" VALUE "\r\n\r\n", "cmp_01"},
    {"X-DoPosta-Campaign: v=1; id=cmp_01;\r\n\tver=3; t=1767225600; n=abcdefgh;\r\n kid=k1; mac=" MAC "\r\n\r\n",
     "cmp_01"},
    {"Subject: x\r\n\r\n" HEADER, ""},	      /* in the body */
    {HEADER "A: b\r\n" HEADER "\r\n", ""},	      /* two of them */
    {"X-DoPosta-Campaign-2: " VALUE "\r\n\r\n", ""},
    {"X-DoPosta-Campaig: " VALUE "\r\n\r\n", ""},
    {"Subject: a\r\n X-DoPosta-Campaign: " VALUE "\r\n\r\n", ""}, /* a fold of another field */
    {"X-DoPosta-Campaign: v=1; id=cmp_01\r\n\r\n", ""},	       /* not of the form */
    {"X-DoPosta-Campaign:\r\n\r\n", ""},
    {"", ""},
    {"\r\n", ""},
};

static void the_id_is_found_however_the_bytes_come(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t step = 1; step < 60; step += 7) {
			struct span s = span_str(rows[i].message);
			struct in_campaign c;
			char id[IN_CAMPAIGN_ID];
			in_campaign_init(&c);
			for (size_t at = 0; at < s.n; at += step)
				in_campaign_feed(&c, span_sub(s, at, step));
			in_campaign_id(&c, id);
			assert_string_equal(id, rows[i].id);
		}
}

static void a_value_that_is_too_long_is_none(void **state)
{
	struct in_campaign c;
	char id[IN_CAMPAIGN_ID];

	(void)state;
	in_campaign_init(&c);
	in_campaign_feed(&c, SPAN_LIT("X-DoPosta-Campaign: " VALUE));
	for (int i = 0; i < 1000; i++)
		in_campaign_feed(&c, SPAN_LIT(" "));
	in_campaign_feed(&c, SPAN_LIT("\r\n\r\n"));
	in_campaign_id(&c, id);
	assert_string_equal(id, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_id_is_found_however_the_bytes_come),
	    cmocka_unit_test(a_value_that_is_too_long_is_none),
	};

	return cmocka_run_group_tests_name("in_campaign", tests, NULL, NULL);
}
