/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS report as JSON, its packing, and the message that carries it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "relay/tlsrpt/tlsrpt_mail.h"
#include "relay/tlsrpt/tlsrpt_result.h"

#define BEGIN (INT64_C(1459468800) * CLOCK_SEC) /* 2016-04-01 */
#define DAY   (86400 * CLOCK_SEC)

static const struct tlsrpt_report_head head = {.organization = "Company-X",
					       .contact = "sts-reporting@company-x.example",
					       .submitter = "company-x.example",
					       .id = "00112233445566aa",
					       .domain = "company-y.example",
					       .begin = BEGIN,
					       .end = BEGIN + DAY};

static struct store_tlsrpt_count row(int64_t policy, int kind, const char *text, int result, int64_t sessions)
{
	return (struct store_tlsrpt_count){.domain = "company-y.example",
					   .policy_id = policy,
					   .kind = kind,
					   .policy = span_str(text),
					   .result = result,
					   .mx = "",
					   .ip = "",
					   .from = "",
					   .reason = "",
					   .sessions = sessions};
}

/* The example of RFC 8460, appendix B, but for what we do not say. */
static const char example[] =
    "{\"organization-name\":\"Company-X\",\"date-range\":{\"start-datetime\":\"2016-04-01T00:00:00Z\","
    "\"end-datetime\":\"2016-04-01T23:59:59Z\"},\"contact-info\":\"sts-reporting@company-x.example\","
    "\"report-id\":\"00112233445566aa@company-x.example\",\"policies\":[{\"policy\":{\"policy-type\":\"sts\","
    "\"policy-string\":[\"version: STSv1\",\"mode: testing\",\"mx: *.mail.company-y.example\",\"max_age: 86400\"],"
    "\"policy-domain\":\"company-y.example\",\"mx-host\":[\"*.mail.company-y.example\"]},"
    "\"summary\":{\"total-successful-session-count\":5326,\"total-failure-session-count\":103},"
    "\"failure-details\":[{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"2001:db8::1\","
    "\"receiving-mx-hostname\":\"mx1.mail.company-y.example\",\"failed-session-count\":100},"
    "{\"result-type\":\"validation-failure\",\"receiving-ip\":\"203.0.113.58\",\"failed-session-count\":3,"
    "\"failure-reason-code\":\"it said ?? \\\"no\\\"\"}]}]}";

static void fill(struct tlsrpt_report *r)
{
	const char *text = "version: STSv1\r\nmode: testing\r\nmx: *.mail.company-y.example\r\nmax_age: 86400\r\n";
	struct store_tlsrpt_count c = row(7, TLSRPT_KIND_STS, text, TLSRPT_OK, 5326);

	assert_int_equal(tlsrpt_report_init(r, &head), 0);
	assert_int_equal(tlsrpt_report_add(r, &c), 0);
	c = row(7, TLSRPT_KIND_STS, text, TLSRPT_CERTIFICATE_EXPIRED, 100);
	c.mx = "mx1.mail.company-y.example";
	c.from = "2001:db8::1";
	assert_int_equal(tlsrpt_report_add(r, &c), 0);
	c = row(7, TLSRPT_KIND_STS, text, TLSRPT_VALIDATION_FAILURE, 3);
	c.ip = "203.0.113.58";
	c.reason = "it said \xc3\xa4 \"no\"";
	assert_int_equal(tlsrpt_report_add(r, &c), 0);
}

static void it_is_the_example_of_the_rfc(void **state)
{
	struct tlsrpt_report r;
	char *text;

	(void)state;
	fill(&r);
	text = json_dumps(r.json, JSON_COMPACT | JSON_PRESERVE_ORDER);
	assert_string_equal(text, example);
	free(text);
	tlsrpt_report_clear(&r);
}

static void each_policy_stands_by_itself_and_lists_that_are_empty_are_not_there(void **state)
{
	struct store_tlsrpt_count rows[] = {
	    row(1, TLSRPT_KIND_NONE, "", TLSRPT_OK, 2),
	    row(2, TLSRPT_KIND_DANE, "3 1 1 0ab\n2 1 1 1cd\n", TLSRPT_OK, 1),
	    row(3, TLSRPT_KIND_DANE, "3 1 1 ffe\n", TLSRPT_TLSA_INVALID, 4),
	    row(4, TLSRPT_KIND_STS, "", TLSRPT_STS_POLICY_FETCH_ERROR, 5),
	};
	struct tlsrpt_report r;
	json_t *policies;
	char *text;

	(void)state;
	assert_int_equal(tlsrpt_report_init(&r, &head), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(tlsrpt_report_add(&r, &rows[i]), 0);
	policies = json_object_get(r.json, "policies");
	assert_int_equal(json_array_size(policies), 4);
	text = json_dumps(policies, JSON_COMPACT | JSON_PRESERVE_ORDER);
	assert_string_equal(
	    text,
	    "[{\"policy\":{\"policy-type\":\"no-policy-found\",\"policy-domain\":\"company-y.example\"},"
	    "\"summary\":{\"total-successful-session-count\":2,\"total-failure-session-count\":0}},"
	    "{\"policy\":{\"policy-type\":\"tlsa\",\"policy-string\":[\"3 1 1 0ab\",\"2 1 1 1cd\"],"
	    "\"policy-domain\":\"company-y.example\"},"
	    "\"summary\":{\"total-successful-session-count\":1,\"total-failure-session-count\":0}},"
	    "{\"policy\":{\"policy-type\":\"tlsa\",\"policy-string\":[\"3 1 1 ffe\"],"
	    "\"policy-domain\":\"company-y.example\"},"
	    "\"summary\":{\"total-successful-session-count\":0,\"total-failure-session-count\":4},"
	    "\"failure-details\":[{\"result-type\":\"tlsa-invalid\",\"failed-session-count\":4}]},"
	    "{\"policy\":{\"policy-type\":\"sts\",\"policy-domain\":\"company-y.example\"},"
	    "\"summary\":{\"total-successful-session-count\":0,\"total-failure-session-count\":5},"
	    "\"failure-details\":[{\"result-type\":\"sts-policy-fetch-error\",\"failed-session-count\":5}]}]");
	free(text);
	tlsrpt_report_clear(&r);
}

static size_t unpack(struct span gzip, char *out, size_t size)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)gzip.p,
		      .avail_in = (uInt)gzip.n,
		      .next_out = (Bytef *)out,
		      .avail_out = (uInt)size - 1};

	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	out[z.total_out] = '\0';
	return z.total_out;
}

static void gzip_gives_it_back_and_says_when_it_is_too_long(void **state)
{
	static char text[65536];
	struct tlsrpt_report r;
	struct buf packed, small;
	json_t *again;

	(void)state;
	fill(&r);
	buf_init(&packed, 65536);
	assert_int_equal(tlsrpt_report_gzip(r.json, &packed), 0);
	unpack(buf_span(&packed), text, sizeof(text));
	again = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_true(json_equal(again, r.json));
	json_decref(again);
	buf_init(&small, 100);
	assert_int_equal(tlsrpt_report_gzip(r.json, &small), ERR_LIMIT);
	buf_clear(&small);
	buf_clear(&packed);
	tlsrpt_report_clear(&r);
}

static void its_file_has_the_name_of_the_rfc(void **state)
{
	char name[TLSRPT_REPORT_FILE];

	(void)state;
	tlsrpt_report_file(name, &head);
	assert_string_equal(name, "company-x.example!company-y.example!1459468800!1459555199!00112233445566aa.json.gz");
}

static void the_message_is_as_the_rfc_wants_it(void **state)
{
	uint8_t bytes[200];
	struct tlsrpt_mail m = {.head = &head,
				.from = "tlsrpt@company-x.example",
				.to = "reports@company-y.example",
				.hostname = "relay.company-x.example",
				.id = "0123456789abc",
				.boundary = "=_boundary",
				.now = BEGIN + DAY,
				.gzip = span_of(bytes, sizeof(bytes))};
	static const char *const has[] = {
	    "From: <tlsrpt@company-x.example>\r\nTo: <reports@company-y.example>\r\nDate: Sat, 02 Apr 2016 00:00:00 +0000\r\n",
	    "\r\nSubject: Report Domain: company-y.example\r\n Submitter: company-x.example\r\n"
	    " Report-ID: <00112233445566aa@company-x.example>\r\n",
	    "\r\nTLS-Report-Domain: company-y.example\r\nTLS-Report-Submitter: company-x.example\r\nTLS-Required: No\r\n",
	    "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n\tboundary=\"=_boundary\"\r\n\r\n",
	    "--=_boundary\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"
	    "Content-Disposition: attachment;\r\n"
	    "\tfilename=\"company-x.example!company-y.example!1459468800!1459555199!00112233445566aa.json.gz\"\r\n\r\nAAAA",
	    "\r\n\r\n--=_boundary--\r\n"};
	struct buf out;
	char *text;

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	buf_init(&out, TLSRPT_MAIL_MAX);
	assert_int_equal(tlsrpt_mail_format(&m, &out), 0);
	buf_put(&out, "", 1);
	text = (char *)(uintptr_t)buf_ptr(&out);
	for (size_t i = 0; i < sizeof(has) / sizeof(has[0]); i++)
		if (!strstr(text, has[i]))
			fail_msg("\"%s\" is not in\n%s", has[i], text);
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		assert_true(strlen(line) <= 200);
		assert_int_equal(line[strlen(line) - 1], '\r');
	}
	buf_clear(&out);
	buf_init(&out, 500);
	assert_int_equal(tlsrpt_mail_format(&m, &out), ERR_LIMIT);
	buf_clear(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_the_example_of_the_rfc),
	    cmocka_unit_test(each_policy_stands_by_itself_and_lists_that_are_empty_are_not_there),
	    cmocka_unit_test(gzip_gives_it_back_and_says_when_it_is_too_long),
	    cmocka_unit_test(its_file_has_the_name_of_the_rfc),
	    cmocka_unit_test(the_message_is_as_the_rfc_wants_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
