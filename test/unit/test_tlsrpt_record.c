/* SPDX-License-Identifier: Apache-2.0 */
/* The TXT record by which a domain asks for TLS reports: which are taken, and what they say. */
#include "relay/tlsrpt/tlsrpt_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/err.h"

static const struct {
	const char *txt;
	int result;
	unsigned count, passed_over;
	const char *first; /* its text */
	int mail;
} rows[] = {
    /* RFC 8460, 3.1 */
    {"v=TLSRPTv1;rua=mailto:reports@example.com", 0, 1, 0, "reports@example.com", 1},
    {"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt", 0, 1, 0, "https://reporting.example.com/v1/tlsrpt", 0},
    /* blanks, ends, order, case */
    {"v=TLSRPTv1 ; rua=mailto:a@b.example , https://c.example/x ;", 0, 2, 0, "a@b.example", 1},
    {"v=TLSRPTv1;\trua=MAILTO:a@B.Example", 0, 1, 0, "a@b.example", 1},
    {"v=TLSRPTv1; ext=1; rua=mailto:a@b.example; x-y.z_=a/b", 0, 1, 0, "a@b.example", 1},
    {"v=TLSRPTv1; rua=mailto:a@b.example; rua=mailto:c@b.example", 0, 2, 0, "a@b.example", 1},
    /* what a URI may hide */
    {"v=TLSRPTv1; rua=mailto:tls%2Breports@b.example", 0, 1, 0, "tls+reports@b.example", 1},
    {"v=TLSRPTv1; rua=mailto:a@b.example?subject=hello", 0, 1, 0, "a@b.example", 1},
    {"v=TLSRPTv1; rua=mailto:a%0D%0ABcc:c@b.example", 0, 0, 1, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:a%00@b.example", 0, 0, 1, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:a%2@b.example", 0, 0, 1, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:%22a%20b%22@b.example", 0, 0, 1, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:%22ab%22@b.example", 0, 0, 1, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:a@[192.0.2.1]", 0, 0, 1, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:nobody", 0, 0, 1, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:", 0, 0, 1, NULL, 0},
    {"v=TLSRPTv1; rua=http://c.example/x", 0, 0, 1, NULL, 0},
    {"v=TLSRPTv1; rua=https://192.0.2.1/x,mailto:a@b.example", 0, 1, 1, "a@b.example", 1},
    {"v=TLSRPTv1; rua=https://user@c.example/x", 0, 0, 1, NULL, 0},
    /* the same twice; more than we go to */
    {"v=TLSRPTv1; rua=mailto:a@b.example,mailto:a@B.example", 0, 1, 0, "a@b.example", 1},
    {"v=TLSRPTv1; rua=mailto:a@b.example,mailto:b@b.example,mailto:c@b.example,mailto:d@b.example,mailto:e@b.example", 0,
     4, 1, "a@b.example", 1},
    /* of something else */
    {"", ERR_NOTFOUND, 0, 0, NULL, 0},
    {"v=TLSRPTv1", ERR_NOTFOUND, 0, 0, NULL, 0},
    {"v=TLSRPTv2; rua=mailto:a@b.example", ERR_NOTFOUND, 0, 0, NULL, 0},
    {"V=TLSRPTv1; rua=mailto:a@b.example", ERR_NOTFOUND, 0, 0, NULL, 0},
    {" v=TLSRPTv1; rua=mailto:a@b.example", ERR_NOTFOUND, 0, 0, NULL, 0},
    {"v=STSv1; id=1", ERR_NOTFOUND, 0, 0, NULL, 0},
    /* malformed */
    {"v=TLSRPTv1;", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; ext=1", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; rua=", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:a@b.example,", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; rua=nothing", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:a@b.example!10m", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:a b@c.example", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; rua", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1;; rua=mailto:a@b.example", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; -x=1; rua=mailto:a@b.example", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; x=a=b; rua=mailto:a@b.example", ERR_FORMAT, 0, 0, NULL, 0},
    {"v=TLSRPTv1; rua=mailto:a@b.example; x=\xc3\xa4", ERR_FORMAT, 0, 0, NULL, 0},
};

static void records_are_read_as_the_rfc_says(void **state)
{
	struct tlsrpt_record r;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int rc = tlsrpt_record_parse(span_str(rows[i].txt), &r);
		if (rc != rows[i].result || (rc == 0 && (r.count != rows[i].count || r.passed_over != rows[i].passed_over)))
			fail_msg("\"%s\": %d, %u taken, %u not", rows[i].txt, rc, r.count, r.passed_over);
		if (rows[i].first) {
			assert_string_equal(r.uris[0].text, rows[i].first);
			assert_int_equal(r.uris[0].mail, rows[i].mail);
		}
	}
}

static void exactly_one_record_counts(void **state)
{
	const struct span other = SPAN_LIT("v=spf1 -all"), good = SPAN_LIT("v=TLSRPTv1; rua=mailto:a@b.example"),
			  bad = SPAN_LIT("v=TLSRPTv1; what");
	struct tlsrpt_record r;

	(void)state;
	assert_int_equal(tlsrpt_record_choose(NULL, 0, &r), ERR_NOTFOUND);
	assert_int_equal(tlsrpt_record_choose((struct span[]){other, good, other}, 3, &r), 0);
	assert_int_equal(r.count, 1);
	assert_int_equal(tlsrpt_record_choose((struct span[]){good, good}, 2, &r), ERR_EXISTS);
	assert_int_equal(tlsrpt_record_choose((struct span[]){bad, good}, 2, &r), ERR_EXISTS);
	assert_int_equal(tlsrpt_record_choose((struct span[]){other, bad}, 2, &r), ERR_FORMAT);
	assert_int_equal(tlsrpt_record_choose((struct span[]){other}, 1, &r), ERR_NOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(records_are_read_as_the_rfc_says),
	    cmocka_unit_test(exactly_one_record_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
