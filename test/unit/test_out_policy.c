/* SPDX-License-Identifier: Apache-2.0 */
/* Who decides how much TLS a domain's mail must have, and what one host must be. */
#include "test/unit/out_world.h"

#include "relay/out/out_policy.h"

static struct sts_policy enforce = {.mode = OUT_POLICY_HOOK_ENFORCE, .id = "1", .host = "mx.there.test"};
static struct sts_policy testing = {.mode = OUT_POLICY_HOOK_TESTING, .id = "2", .host = "mx.there.test"};
static struct sts_policy off = {.mode = OUT_POLICY_HOOK_NONE, .id = "3", .host = ""};

/* --- one host */

static struct out_tlsa records = {.refs = 1, .usable = 1};

enum { CLEAR = RELAY_TLS_OPPORTUNISTIC, ENCRYPT = RELAY_TLS_ENCRYPT, VERIFY = RELAY_TLS_VERIFY,
       DANE = RELAY_TLS_DANE };
enum { GO, REFUSED, LOOKUP };

static void each_case_of_a_host_has_its_answer(void **state)
{
	static const struct {
		struct out_policy p;
		enum out_tlsa_state tlsa;
		const char *host;
		/* then */
		int level, end, trial;
		const char *by;
		enum tlsrpt_result failure;
	} rows[] = {
	    /* without anything */
	    {{.level = CLEAR}, OUT_TLSA_UNASKED, "mx.there.test", CLEAR, GO, 0, "none", 0},
	    {{.level = ENCRYPT, .by = OUT_POLICY_ROUTE}, OUT_TLSA_UNASKED, "mx.there.test", ENCRYPT, GO, 0,
	     "route", 0},
	    {{.level = VERIFY, .by = OUT_POLICY_ROUTE}, OUT_TLSA_UNASKED, "mx.there.test", VERIFY, GO, 0,
	     "route", 0},
	    {{.level = RELAY_TLS_NONE, .by = OUT_POLICY_EXCEPTION}, OUT_TLSA_UNASKED, "mx.there.test",
	     RELAY_TLS_NONE, GO, 0, "exception", 0},
	    /* DANE, opportunistic */
	    {{.level = CLEAR, .dane = 1}, OUT_TLSA_USABLE, "mx.there.test", DANE, GO, 0, "dane", 0},
	    {{.level = ENCRYPT, .by = OUT_POLICY_ROUTE, .dane = 1}, OUT_TLSA_USABLE, "mx.there.test", DANE, GO, 0,
	     "dane", 0},
	    {{.level = CLEAR, .dane = 1}, OUT_TLSA_UNUSABLE, "mx.there.test", ENCRYPT, GO, 0, "dane",
	     TLSRPT_TLSA_INVALID},
	    {{.level = CLEAR, .dane = 1}, OUT_TLSA_NONE, "mx.there.test", CLEAR, GO, 0, "none", 0},
	    {{.level = CLEAR, .dane = 1}, OUT_TLSA_INSECURE, "mx.there.test", CLEAR, GO, 0, "none", 0},
	    {{.level = CLEAR, .dane = 1}, OUT_TLSA_UNASKED, "mx.there.test", CLEAR, GO, 0, "none", 0},
	    {{.level = ENCRYPT, .by = OUT_POLICY_ROUTE, .dane = 1}, OUT_TLSA_NONE, "mx.there.test", ENCRYPT, GO,
	     0, "route", 0},
	    {{.level = CLEAR, .dane = 1}, OUT_TLSA_FAILED, "mx.there.test", CLEAR, LOOKUP, 0, "dane",
	     TLSRPT_DNSSEC_INVALID},
	    {{.level = CLEAR, .dane = 1}, OUT_TLSA_BOGUS, "mx.there.test", CLEAR, LOOKUP, 0, "dane",
	     TLSRPT_DNSSEC_INVALID},
	    /* DANE as the rule */
	    {{.level = DANE, .by = OUT_POLICY_ROUTE, .dane = 1}, OUT_TLSA_USABLE, "mx.there.test", DANE, GO, 0,
	     "dane", 0},
	    {{.level = DANE, .by = OUT_POLICY_ROUTE, .dane = 1}, OUT_TLSA_NONE, "mx.there.test", DANE, REFUSED,
	     0, "route", TLSRPT_DANE_REQUIRED},
	    {{.level = DANE, .by = OUT_POLICY_ROUTE, .dane = 1}, OUT_TLSA_INSECURE, "mx.there.test", DANE,
	     REFUSED, 0, "route", TLSRPT_DANE_REQUIRED},
	    {{.level = DANE, .by = OUT_POLICY_ROUTE, .dane = 1}, OUT_TLSA_UNASKED, "mx.there.test", DANE,
	     REFUSED, 0, "route", TLSRPT_DANE_REQUIRED},
	    {{.level = DANE, .by = OUT_POLICY_ROUTE, .dane = 1}, OUT_TLSA_UNUSABLE, "mx.there.test", DANE,
	     REFUSED, 0, "route", TLSRPT_TLSA_INVALID},
	    {{.level = DANE, .by = OUT_POLICY_ROUTE, .dane = 1}, OUT_TLSA_BOGUS, "mx.there.test", DANE, LOOKUP,
	     0, "dane", TLSRPT_DNSSEC_INVALID},
	    /* MTA-STS */
	    {{.level = CLEAR, .sts = &enforce}, OUT_TLSA_UNASKED, "mx.there.test", VERIFY, GO, 0, "sts", 0},
	    {{.level = CLEAR, .sts = &enforce}, OUT_TLSA_UNASKED, "mx.else.test", VERIFY, REFUSED, 0, "sts",
	     TLSRPT_VALIDATION_FAILURE},
	    {{.level = CLEAR, .sts = &testing}, OUT_TLSA_UNASKED, "mx.there.test", CLEAR, GO, 1, "sts-testing", 0},
	    {{.level = CLEAR, .sts = &testing}, OUT_TLSA_UNASKED, "mx.else.test", CLEAR, GO, 1, "sts-testing",
	     TLSRPT_VALIDATION_FAILURE},
	    {{.level = ENCRYPT, .by = OUT_POLICY_ROUTE, .sts = &testing}, OUT_TLSA_UNASKED, "mx.there.test",
	     ENCRYPT, GO, 1, "sts-testing", 0},
	    {{.level = CLEAR, .sts_failure = TLSRPT_STS_POLICY_FETCH_ERROR}, OUT_TLSA_UNASKED, "mx.there.test",
	     CLEAR, GO, 0, "none", TLSRPT_STS_POLICY_FETCH_ERROR},
	    /* both: usable records decide alone, unusable ones let MTA-STS say more (RFC 8461 2) */
	    {{.level = CLEAR, .dane = 1, .sts = &enforce}, OUT_TLSA_USABLE, "mx.else.test", DANE, GO, 0, "dane", 0},
	    {{.level = CLEAR, .dane = 1, .sts = &enforce}, OUT_TLSA_BOGUS, "mx.there.test", CLEAR, LOOKUP, 0,
	     "dane", TLSRPT_DNSSEC_INVALID},
	    {{.level = CLEAR, .dane = 1, .sts = &enforce}, OUT_TLSA_UNUSABLE, "mx.there.test", VERIFY, GO, 0,
	     "sts", TLSRPT_TLSA_INVALID},
	    {{.level = CLEAR, .dane = 1, .sts = &enforce}, OUT_TLSA_NONE, "mx.there.test", VERIFY, GO, 0, "sts", 0},
	    {{.level = CLEAR, .dane = 1, .sts = &testing}, OUT_TLSA_UNUSABLE, "mx.there.test", ENCRYPT, GO, 1,
	     "dane", TLSRPT_TLSA_INVALID},
	    /* REQUIRETLS */
	    {{.level = CLEAR, .requiretls = 1}, OUT_TLSA_UNASKED, "mx.there.test", VERIFY, REFUSED, 0, "none",
	     TLSRPT_VALIDATION_FAILURE},
	    {{.level = CLEAR, .requiretls = 1, .mx_secure = 1}, OUT_TLSA_UNASKED, "mx.there.test", VERIFY, GO, 0,
	     "none", 0},
	    {{.level = RELAY_TLS_NONE, .by = OUT_POLICY_ROUTE, .requiretls = 1, .named = 1}, OUT_TLSA_UNASKED,
	     "mx.there.test", VERIFY, GO, 0, "route", 0},
	    {{.level = CLEAR, .requiretls = 1, .sts = &enforce}, OUT_TLSA_UNASKED, "mx.there.test", VERIFY, GO, 0,
	     "sts", 0},
	    {{.level = CLEAR, .requiretls = 1, .sts = &testing}, OUT_TLSA_UNASKED, "mx.there.test", VERIFY,
	     REFUSED, 1, "sts-testing", TLSRPT_VALIDATION_FAILURE},
	    {{.level = CLEAR, .requiretls = 1, .dane = 1, .mx_secure = 1}, OUT_TLSA_USABLE, "mx.there.test", DANE,
	     GO, 0, "dane", 0},
	    {{.level = CLEAR, .requiretls = 1, .dane = 1, .mx_secure = 1}, OUT_TLSA_UNUSABLE, "mx.there.test",
	     VERIFY, GO, 0, "dane", TLSRPT_TLSA_INVALID},
	};
	static struct out_hosts h;
	struct out_policy_host o;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		h.name_count = 1;
		snprintf(h.names[0], sizeof(h.names[0]), "%s", rows[i].host);
		h.tlsa[0].state = (uint8_t)rows[i].tlsa;
		h.tlsa[0].records = rows[i].tlsa == OUT_TLSA_USABLE ? &records : NULL;
		out_policy_judge(&rows[i].p, &h, 0, &o);
		if (o.level != rows[i].level || !o.refuse != (rows[i].end == GO) ||
		    (o.refuse && o.lookup != (rows[i].end == LOOKUP)) || o.trial != rows[i].trial ||
		    strcmp(out_policy_by_name(o.by), rows[i].by) || o.failure != rows[i].failure ||
		    !o.why || !o.tlsa != (o.level != DANE || rows[i].end != GO))
			fail_msg("row %zu: level %d refuse \"%s\" lookup %d trial %d by %s failure %s", i, o.level,
				 o.refuse ? o.refuse : "", o.lookup, o.trial, out_policy_by_name(o.by),
				 tlsrpt_result_name(o.failure));
	}
}

/* --- finding it */

static struct out_policy *found;
static struct queue_result failed;
static enum tlsrpt_result failed_as;
static unsigned answers;

static void hear(void *arg, struct out_policy *p, const struct queue_result *failure,
		 enum tlsrpt_result result)
{
	(void)arg;
	answers++;
	out_policy_unref(found);
	found = p;
	failed = failure ? *failure : (struct queue_result){0};
	failed_as = result;
}

static struct out_route to_domain(int tls)
{
	struct out_route r = {.mx = 1, .port = 25, .tls = tls, .credential = "", .pool = ""};

	strcpy(r.host, "there.test");
	return r;
}

static struct out_policy *find(const struct out_route *r)
{
	unsigned before = answers;

	assert_null(out_policy_find(worker.policies, &conf, r, hear, NULL));
	assert_int_equal(answers, before + 1);
	return found;
}

static int teardown(void **state)
{
	out_policy_unref(found);
	found = NULL;
	return out_world_teardown(state);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, out_world_setup, teardown)

static const struct out_fake_name proven[] = {{"there.test", MX, 0, .data = "10 mx.there.test", .secure = 1},
					      {.name = NULL}};

static void rules_other_than_opportunistic_and_encrypt_are_not_raised(void **state)
{
	static const struct {
		int level, dane, asked;
	} rows[] = {{RELAY_TLS_NONE, 0, 0},    {RELAY_TLS_OPPORTUNISTIC, 1, 1}, {RELAY_TLS_ENCRYPT, 1, 1},
		    {RELAY_TLS_VERIFY, 0, 0}, {RELAY_TLS_DANE, 1, 0}};

	(void)state;
	fake.names = proven;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct out_route r = to_domain(rows[i].level);
		unsigned before = policy_fake.asked;
		find(&r);
		assert_int_equal(found->level, rows[i].level);
		assert_int_equal(found->dane, rows[i].dane);
		assert_int_equal(found->mx_secure, rows[i].dane);
		assert_int_equal(policy_fake.asked - before, rows[i].asked);
	}
}

static void an_exception_goes_before_everything(void **state)
{
	struct out_route r = to_domain(RELAY_TLS_VERIFY);

	(void)state;
	fake.names = proven;
	policy_fake.sts = &enforce;
	policy_fake.exception = RELAY_TLS_NONE;
	find(&r);
	assert_int_equal(found->level, RELAY_TLS_NONE);
	assert_int_equal(found->by, OUT_POLICY_EXCEPTION);
	assert_false(found->dane || found->sts);
	r.credential = "name"; /* a password is not sent in clear for it */
	find(&r);
	assert_int_equal(found->level, RELAY_TLS_ENCRYPT);
	r.credential = "";
	r.requiretls = 1; /* nor counts it against the sender's wish */
	find(&r);
	assert_int_equal(found->level, RELAY_TLS_VERIFY);
	assert_true(found->dane && found->sts && found->requiretls);
	policy_fake.exception = -1; /* it is over: at once */
	r = to_domain(RELAY_TLS_OPPORTUNISTIC);
	find(&r);
	assert_int_equal(found->by, OUT_POLICY_NOBODY);
	assert_true(found->dane && found->sts);
	out_policy_unref(found);
	found = NULL;
	out_policy_forget(worker.policies, NULL);
	assert_int_equal(enforce.refs, 0);
}

static void tls_required_no_passes_over_what_the_receiver_publishes(void **state)
{
	struct out_route r = to_domain(RELAY_TLS_ENCRYPT);

	(void)state;
	policy_fake.sts = &enforce;
	r.relaxed = 1;
	find(&r);
	assert_int_equal(found->level, RELAY_TLS_ENCRYPT); /* but not over the rule */
	assert_false(found->dane || found->sts);
	r = to_domain(RELAY_TLS_DANE);
	r.relaxed = 1;
	find(&r);
	assert_true(found->dane);
}

static void a_named_hop_has_dane_by_name_and_no_mta_sts(void **state)
{
	struct out_route r = to_domain(RELAY_TLS_OPPORTUNISTIC);

	(void)state;
	policy_fake.sts = &enforce;
	r.mx = 0;
	r.named = 1;
	find(&r);
	assert_true(found->dane && found->named && found->mx_secure && !found->sts);
	assert_int_equal(fake.questions, 0);
	r.literal = 1;
	strcpy(r.host, "127.0.0.1");
	find(&r);
	assert_false(found->dane);
	conf.outbound.dane = 0;
	r = to_domain(RELAY_TLS_OPPORTUNISTIC);
	find(&r);
	assert_false(found->dane);
}

static void an_answer_is_kept_for_its_time_and_shared(void **state)
{
	struct out_route r = to_domain(RELAY_TLS_OPPORTUNISTIC);
	struct out_policy *first;
	unsigned asked;

	(void)state;
	fake.names = proven;
	policy_fake.sts = &off; /* as if there were none */
	first = out_policy_ref(find(&r));
	asked = fake.questions;
	assert_ptr_equal(find(&r), first);
	assert_int_equal(fake.questions, asked);
	assert_int_equal(policy_fake.asked, 1);
	assert_null(found->sts);
	assert_int_equal(off.refs, 0);
	wait_for(61 * CLOCK_SEC); /* TTL of the MX records */
	assert_ptr_not_equal(find(&r), first);
	assert_true(fake.questions > asked);
	assert_string_equal(found->digest, first->digest);
	policy_fake.sts = &enforce;
	out_policy_forget(worker.policies, "else.test");
	assert_null(find(&r)->sts);
	out_policy_forget(worker.policies, "there.test");
	assert_non_null(find(&r)->sts);
	assert_string_not_equal(found->digest, first->digest);
	out_policy_unref(first);
}

static void domains_that_are_not_proven_alike_do_not_share_connections(void **state)
{
	static const struct out_fake_name unproven[] = {
	    {"there.test", MX, 0, .data = "10 mx.there.test", .secure = 0}, {.name = NULL}};
	struct out_route r = to_domain(RELAY_TLS_OPPORTUNISTIC);
	char digest[OUT_POLICY_DIGEST];

	(void)state;
	fake.names = proven;
	memcpy(digest, find(&r)->digest, sizeof(digest));
	out_policy_forget(worker.policies, NULL);
	fake.names = unproven;
	assert_string_not_equal(find(&r)->digest, digest);
	assert_false(found->mx_secure);
}

static void a_failed_lookup_is_told_and_not_kept(void **state)
{
	static const struct out_fake_name bogus[] = {{"there.test", MX, ERR_AUTH, .data = NULL}, {.name = NULL}};
	static const struct out_fake_name away[] = {{"there.test", MX, ERR_AWAY, .data = NULL}, {.name = NULL}};
	static const struct out_fake_name none[] = {{"there.test", MX, ERR_NOTFOUND, .data = NULL},
						    {.name = NULL}};
	struct out_route r = to_domain(RELAY_TLS_OPPORTUNISTIC);

	(void)state;
	fake.names = bogus;
	assert_null(find(&r));
	assert_int_equal(failed.outcome, SPOOL_DEFERRED);
	assert_int_equal(failed_as, TLSRPT_DNSSEC_INVALID);
	assert_string_equal(failed.reply, "4.4.3 MX records of the domain failed DNSSEC validation (bogus)");
	fake.names = away;
	assert_null(find(&r));
	assert_int_equal(failed.outcome, SPOOL_DEFERRED);
	assert_int_equal(failed_as, TLSRPT_OK);
	fake.names = none;
	assert_null(find(&r));
	assert_int_equal(failed.outcome, SPOOL_BOUNCED);
	fake.names = proven;
	assert_non_null(find(&r));
}

static void those_who_ask_together_are_answered_together(void **state)
{
	struct out_route r = to_domain(RELAY_TLS_OPPORTUNISTIC);
	struct out_policy_query *q;

	(void)state;
	fake.names = proven;
	policy_fake.hold = 1;
	policy_fake.sts = &enforce;
	assert_non_null(out_policy_find(worker.policies, &conf, &r, hear, NULL));
	assert_non_null(out_policy_find(worker.policies, &conf, &r, hear, NULL));
	q = out_policy_find(worker.policies, &conf, &r, hear, NULL);
	assert_non_null(q);
	out_policy_cancel(q);
	assert_int_equal(policy_fake.asked, 1);
	answers = 0;
	policy_fake_release();
	assert_int_equal(answers, 2);
	assert_non_null(found->sts);
}

static void what_mta_sts_is_asked_in_vain_is_cancelled(void **state)
{
	static const struct out_fake_name bogus[] = {{"there.test", MX, ERR_AUTH, .data = NULL}, {.name = NULL}};
	struct out_route r = to_domain(RELAY_TLS_OPPORTUNISTIC);

	(void)state;
	fake.names = bogus;
	policy_fake.hold = 1;
	assert_null(find(&r));
	assert_int_equal(policy_fake.cancelled, 1);
	fake.names = proven;
	assert_non_null(out_policy_find(worker.policies, &conf, &r, hear, NULL)); /* the end takes it back */
}

static void another_configuration_asks_anew(void **state)
{
	static struct relay_conf other;
	struct out_route r = to_domain(RELAY_TLS_OPPORTUNISTIC);

	(void)state;
	fake.names = proven;
	assert_true(find(&r)->dane);
	other = conf;
	other.outbound.dane = 0;
	assert_null(out_policy_find(worker.policies, &other, &r, hear, NULL));
	assert_false(found->dane);
}

static void many_domains_push_out_the_oldest(void **state)
{
	struct out_route r = to_domain(RELAY_TLS_OPPORTUNISTIC);

	(void)state;
	for (unsigned i = 0; i < OUT_POLICY_CACHED + 10; i++) {
		snprintf(r.host, sizeof(r.host), "d%u.test", i);
		find(&r);
	}
	policy_fake.asked = 0;
	find(&r); /* the newest is there */
	assert_int_equal(policy_fake.asked, 0);
	strcpy(r.host, "d0.test");
	find(&r);
	assert_int_equal(policy_fake.asked, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_case_of_a_host_has_its_answer),
	    TEST(rules_other_than_opportunistic_and_encrypt_are_not_raised),
	    TEST(an_exception_goes_before_everything),
	    TEST(tls_required_no_passes_over_what_the_receiver_publishes),
	    TEST(a_named_hop_has_dane_by_name_and_no_mta_sts),
	    TEST(an_answer_is_kept_for_its_time_and_shared),
	    TEST(domains_that_are_not_proven_alike_do_not_share_connections),
	    TEST(a_failed_lookup_is_told_and_not_kept),
	    TEST(those_who_ask_together_are_answered_together),
	    TEST(what_mta_sts_is_asked_in_vain_is_cancelled),
	    TEST(another_configuration_asks_anew),
	    TEST(many_domains_push_out_the_oldest),
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
