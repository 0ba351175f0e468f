/* SPDX-License-Identifier: Apache-2.0 */
/* What delivery tells the TLS reports of a session: of which kind of policy it is, and what is left out. */
#include "relay/out/out_tlsrpt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/out/out_policy_hook.h"
#include "relay/tlsrpt/tlsrpt.h"

static struct {
	unsigned count;
	enum tlsrpt_kind kind;
	enum tlsrpt_result result;
	char policy[512], mx[64], reason[64];
} told;

void tlsrpt_note(struct relay *r, const struct tlsrpt_session *s)
{
	(void)r;
	told.count++;
	told.kind = s->kind;
	told.result = s->result;
	span_copy_str(told.policy, sizeof(told.policy), s->policy);
	snprintf(told.mx, sizeof(told.mx), "%s", s->mx ? s->mx : "");
	snprintf(told.reason, sizeof(told.reason), "%s", s->reason ? s->reason : "");
}

const char *out_policy_hook_sts_text(const struct sts_policy *p)
{
	(void)p;
	return "version: STSv1\nmode: enforce\n";
}

static const uint8_t digest[] = {0xab, 0x01};
static struct out_tlsa tlsa = {.usable = 1,
			       .records = {{.usage = 3, .selector = 1, .match = 1, .data = digest, .len = 2}}};
static struct out_policy policy;
static struct out_policy_host must;

static void session(enum tlsrpt_result failure)
{
	struct out_conn_peer peer = {.host = "mx.there.example", .failure = failure, .why = "why"};

	memset(&told, 0, sizeof(told));
	out_tlsrpt_session(NULL, &policy, &must, "there.example", &peer);
}

static int set_up(void **state)
{
	(void)state;
	memset(&policy, 0, sizeof(policy));
	memset(&must, 0, sizeof(must));
	must.level = RELAY_TLS_OPPORTUNISTIC;
	must.by = OUT_POLICY_NOBODY;
	return 0;
}

static void the_policy_that_decided_is_told(void **state)
{
	(void)state;
	policy.sts = (struct sts_policy *)(uintptr_t)&told; /* only asked for its text */
	session(TLSRPT_OK);
	assert_int_equal(told.kind, TLSRPT_KIND_NONE);
	assert_string_equal(told.policy, "");
	must.by = OUT_POLICY_STS_TESTING;
	session(TLSRPT_CERTIFICATE_EXPIRED);
	assert_int_equal(told.kind, TLSRPT_KIND_STS);
	assert_string_equal(told.policy, "version: STSv1\nmode: enforce\n");
	assert_string_equal(told.mx, "mx.there.example");
	must.by = OUT_POLICY_DANE;
	must.tlsa = &tlsa;
	session(TLSRPT_OK);
	assert_int_equal(told.kind, TLSRPT_KIND_DANE);
	assert_string_equal(told.policy, "3 1 1 ab01\n");
}

static void a_result_of_one_kind_of_policy_is_told_of_that(void **state)
{
	(void)state;
	session(TLSRPT_DNSSEC_INVALID);
	assert_int_equal(told.kind, TLSRPT_KIND_DANE);
	assert_string_equal(told.reason, "why");
	session(TLSRPT_STS_POLICY_FETCH_ERROR);
	assert_int_equal(told.kind, TLSRPT_KIND_STS);
	assert_string_equal(told.mx, ""); /* the policy failed, not the host */
	assert_string_equal(told.reason, "");
}

static void what_has_no_place_in_reports_is_left_out(void **state)
{
	(void)state;
	must.level = RELAY_TLS_NONE;
	session(TLSRPT_OK);
	assert_int_equal(told.count, 0);
	must.level = RELAY_TLS_OPPORTUNISTIC;
	policy.relaxed = 1;
	session(TLSRPT_OK);
	assert_int_equal(told.count, 0);
	out_tlsrpt_untried(NULL, "there.example", TLSRPT_OK, "no such domain");
	assert_int_equal(told.count, 0);
	out_tlsrpt_untried(NULL, "there.example", TLSRPT_DNSSEC_INVALID, "bogus");
	assert_int_equal(told.count, 1);
	assert_int_equal(told.kind, TLSRPT_KIND_DANE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(the_policy_that_decided_is_told, set_up),
	    cmocka_unit_test_setup(a_result_of_one_kind_of_policy_is_told_of_that, set_up),
	    cmocka_unit_test_setup(what_has_no_place_in_reports_is_left_out, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
