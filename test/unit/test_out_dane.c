/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries under DANE and MTA-STS, with and against what the sender asks for. */
#include "test/unit/out_world.h"

#include "core/hex.h"

static struct out_fake_name names[12];
static char good_ee[200], good_ta[200], bad_ee[200], bad_ta[200];
static const char unusable[] = "1 1 1 00000000000000000000000000000000000000000000000000000000000000ff";
static struct sts_policy enforce = {.mode = OUT_POLICY_HOOK_ENFORCE, .id = "1", .host = "mx.there.test"};
static struct sts_policy testing = {.mode = OUT_POLICY_HOOK_TESTING, .id = "2", .host = "mx.there.test"};

static void digest_of(char *dst, const char *head, X509 *x, int wrong)
{
	uint8_t sum[32];
	unsigned n;
	char hex[65];

	assert_int_equal(X509_digest(x, EVP_sha256(), sum, &n), 1);
	sum[0] ^= (uint8_t)wrong;
	hex_encode(hex, sum, n);
	snprintf(dst, 200, "%s %s", head, hex);
}

/* The domain with one host; secure: all is proven; tlsa: its records, or NULL. */
static void domain(const char *host, int secure, const char *tlsa)
{
	static char mx[80], at[80];

	snprintf(mx, sizeof(mx), "10 %s", host);
	snprintf(at, sizeof(at), "_%u._tcp.%s", server.port, host);
	memset(names, 0, sizeof(names));
	names[0] = (struct out_fake_name){"there.test", MX, 0, .data = mx, .secure = secure};
	names[1] = (struct out_fake_name){host, A, 0, .data = "127.0.0.1", .secure = secure};
	if (tlsa)
		names[2] = (struct out_fake_name){at, TLSA, 0, .data = tlsa, .secure = secure};
	use_mx(names);
	fake.secure_none = secure;
	server.tls = server_tls;
}

static void send_one(void)
{
	uint64_t id = fake.done_count + 1;

	if (!fake.messages[id - 1].body)
		message(id, 1, "hi\r\n");
	deliver(id);
	run_until_done((unsigned)id);
}

static const char *detail(void)
{
	return fake.states[fake.state_count - 1].detail;
}

static void assert_delivered(const char *policy, const char *by)
{
	char want[100];

	if (fake.done[fake.done_count - 1].results[0].outcome != SPOOL_DELIVERED)
		fail_msg("%s\n%s", fake.done[fake.done_count - 1].results[0].reply, log_text);
	snprintf(want, sizeof(want), "\npolicy=%s\nby=%s\n", policy, by);
	if (!strstr(detail(), want))
		fail_msg("%s", detail());
}

static unsigned taken; /* messages that came before */

/* Nothing was sent, and the log says so; reply as it begins. */
static void assert_waits(const char *reply, const char *failure)
{
	const struct queue_result *r = &fake.done[fake.done_count - 1].results[0];
	char want[100];

	if (r->outcome != SPOOL_DEFERRED || strncmp(r->reply, reply, strlen(reply)))
		fail_msg("outcome %d: %s", r->outcome, r->reply);
	snprintf(want, sizeof(want), " failure=%s", failure);
	if (!strstr(log_text, want))
		fail_msg("%s", log_text);
	assert_int_equal(server.message_count, taken);
	assert_int_equal(server.verbs[4], taken); /* MAIL was never said */
}

/* --- records that decide */

static void a_certificate_that_its_record_names_is_taken_whatever_its_name(void **state)
{
	(void)state;
	domain("other.there.test", 1, good_ee); /* the certificate is for mx.there.test */
	send_one();
	assert_delivered("dane", "dane-ee");
	assert_int_equal(server.messages[0].tls, 1);
	assert_non_null(strstr(log_text, "verified=yes policy=dane by=dane-ee code=250"));
	assert_non_null(strstr(detail(), "why=the host has TLSA records\n"));
}

static void an_authority_that_a_record_names_is_taken_with_the_right_name(void **state)
{
	(void)state;
	domain("mx.there.test", 1, good_ta);
	send_one();
	assert_delivered("dane", "dane-ta");
}

static void a_name_that_is_not_the_hosts_fails_under_usage_2(void **state)
{
	(void)state;
	domain("other.there.test", 1, good_ta);
	send_one();
	assert_waits("4.7.5 certificate is for another name", "certificate-host-mismatch");
	assert_int_equal(server.accepted, 1); /* another hello would not help */
}

static void one_record_that_fits_is_enough(void **state)
{
	static char both[700];

	(void)state;
	snprintf(both, sizeof(both), "%s,%s,%s", bad_ee, unusable, good_ee);
	domain("mx.there.test", 1, both);
	send_one();
	assert_delivered("dane", "dane-ee");
	assert_non_null(strstr(log_text, "event=tlsa-unusable host=mx.there.test usable=2 unusable=1 malformed=0"));
}

static void what_does_not_match_waits_and_is_never_sent_in_clear(void **state)
{
	(void)state;
	domain("mx.there.test", 1, bad_ee);
	send_one();
	assert_waits("4.7.5 certificate does not match the host's TLSA records", "validation-failure");
	assert_int_equal(fake.done[0].results[0].whose, QUEUE_WHOSE_DOMAIN); /* not the site's, which serves others */
	assert_non_null(strstr(log_text, "event=deferred n=1 host=mx.there.test tls=none cipher=- verified=no "
					 "policy=dane by=none reason=tls"));
	domain("mx.there.test", 1, bad_ta);
	wait_for(4000 * CLOCK_SEC);
	send_one();
	assert_waits("4.7.5 certificate does not match the host's TLSA records", "validation-failure");
}

static void starttls_hidden_refused_or_broken_waits(void **state)
{
	(void)state;
	domain("mx.there.test", 1, good_ee);
	server.tls = NULL;
	send_one();
	assert_waits("4.7.4 server does not offer STARTTLS, which DANE requires", "starttls-not-supported");
	server.tls = server_tls;
	server.break_handshakes = 2;
	wait_for(61 * CLOCK_SEC);
	send_one();
	assert_waits("4.7.5 ", "validation-failure");
	out_server_rule(&server, "STARTTLS", 0, "454 4.7.0 not now");
	wait_for(61 * CLOCK_SEC);
	send_one();
	assert_waits("4.7.0 not now", "starttls-not-supported");
	assert_null(strstr(log_text, "to=clear"));
}

static void records_that_cannot_be_used_still_forbid_clear_text(void **state)
{
	(void)state;
	domain("mx.there.test", 1, unusable);
	send_one();
	assert_delivered("dane", "none");
	assert_non_null(strstr(log_text, " failure=tlsa-invalid"));
	server.tls = NULL;
	conf.outbound.messages = 1;
	wait_for(61 * CLOCK_SEC);
	send_one();
	assert_int_equal(fake.done[1].results[0].outcome, SPOOL_DEFERRED);
	assert_int_equal(server.message_count, 1);
}

static void malformed_records_are_logged_and_counted(void **state)
{
	(void)state;
	domain("mx.there.test", 1, "3 1 1 abcd,3 0 0 3000");
	send_one();
	assert_delivered("dane", "none");
	assert_non_null(strstr(log_text, "warning - event=tlsa-unusable host=mx.there.test usable=0 unusable=0 "
					 "malformed=2"));
	assert_int_equal(atomic_load(&relay.count.tlsa_malformed), 2);
}

/* --- lookups */

static void a_failed_lookup_of_records_is_not_their_absence(void **state)
{
	(void)state;
	domain("mx.there.test", 1, "");
	names[2].result = ERR_AWAY;
	send_one();
	assert_waits("4.7.5 the host's TLSA records could not be looked up", "dnssec-invalid");
	assert_int_equal(server.accepted, 0);
	names[2].result = ERR_AUTH;
	wait_for(31 * CLOCK_SEC); /* a failure is not remembered for long */
	send_one();
	assert_waits("4.7.5 the host's TLSA records failed DNSSEC validation (bogus)", "dnssec-invalid");
	names[2].result = ERR_NOTFOUND;
	wait_for(31 * CLOCK_SEC);
	send_one();
	assert_delivered("none", "none");
}

static void no_answer_in_time_is_a_failure_of_that_host(void **state)
{
	(void)state;
	domain("mx.there.test", 1, "");
	fake.hold_dns = names[2].name;
	message(1, 1, "hi\r\n");
	deliver(1);
	wait_for(31 * CLOCK_SEC);
	run_until_done(1);
	assert_waits("4.7.5 the host's TLSA records could not be looked up", "dnssec-invalid");
}

static void another_host_takes_the_mail_of_one_that_cannot_be_proven(void **state)
{
	static char at[80];

	(void)state;
	domain("mx.there.test", 1, "");
	names[0].data = "10 mx.there.test,20 second.there.test";
	names[2].result = ERR_AUTH;
	names[3] = (struct out_fake_name){"second.there.test", A, 0, .data = "127.0.0.1", .secure = 1};
	snprintf(at, sizeof(at), "_%u._tcp.second.there.test", server.port);
	names[4] = (struct out_fake_name){at, TLSA, 0, .data = good_ee, .secure = 1};
	send_one();
	assert_delivered("dane", "dane-ee");
	assert_non_null(strstr(log_text, "host=second.there.test"));
}

static void what_is_not_proven_is_not_asked(void **state)
{
	unsigned asked;

	(void)state;
	domain("mx.there.test", 0, bad_ee);
	send_one();
	assert_delivered("none", "none");
	assert_non_null(strstr(detail(), "why=no DANE: the mail hosts are not proven by DNSSEC\n"));
	asked = fake.questions;
	assert_true(asked <= 4); /* MX twice, A, AAAA */
}

static void an_insecure_host_below_a_secure_domain_is_not_asked(void **state)
{
	(void)state;
	domain("mx.there.test", 1, bad_ee);
	names[1].secure = 0;
	send_one();
	assert_delivered("none", "none");
	assert_non_null(strstr(detail(), "why=no DANE: the host's address is not proven by DNSSEC\n"));
}

static void a_secure_alias_is_asked_at_its_end_and_then_at_itself(void **state)
{
	static char at_end[80];

	(void)state;
	domain("mx.there.test", 1, bad_ee);
	names[1].canonical = "real.else.test";
	snprintf(at_end, sizeof(at_end), "_%u._tcp.real.else.test", server.port);
	names[3] = (struct out_fake_name){at_end, TLSA, 0, .data = good_ee, .secure = 1};
	send_one();
	assert_delivered("dane", "dane-ee");
	names[2].data = good_ee;
	names[3].data = ""; /* no records there */
	wait_for(61 * CLOCK_SEC);
	send_one();
	assert_delivered("dane", "dane-ee");
	names[3].result = ERR_AUTH; /* then its own are not looked at */
	wait_for(61 * CLOCK_SEC);
	conf.outbound.messages = 1;
	send_one();
	assert_int_equal(fake.done[2].results[0].outcome, SPOOL_DEFERRED);
}

static void an_alias_that_is_secure_by_itself_is_asked_at_itself(void **state)
{
	(void)state;
	domain("mx.there.test", 1, good_ee);
	names[1].canonical = "real.unsigned.test";
	names[1].secure = 0;
	names[3] = (struct out_fake_name){"mx.there.test", CNAME, 0, .data = "", .secure = 1};
	send_one();
	assert_delivered("dane", "dane-ee");
}

static void a_domain_that_stops_being_proven_does_not_lead_the_others_astray(void **state)
{
	(void)state;
	domain("mx.there.test", 1, good_ee);
	fake.insecure_after = 1; /* the policy finds it proven; those who look for hosts then do not */
	send_one();
	assert_int_equal(fake.done[0].results[0].outcome, SPOOL_DEFERRED);
	assert_string_equal(fake.done[0].results[0].reply,
			    "4.4.3 MX records of the domain are not proven by DNSSEC any more");
	assert_int_equal(server.accepted, 0);
	send_one(); /* it was asked for anew */
	assert_delivered("none", "none");
}

static void a_host_that_got_clear_text_gets_none_once_it_has_records(void **state)
{
	(void)state;
	domain("mx.there.test", 1, "");
	server.break_handshakes = 100;
	conf.outbound.messages = 1;
	send_one();
	assert_delivered("none", "none");
	assert_int_equal(server.messages[0].tls, 0);
	names[2].data = good_ee; /* while it is remembered that its TLS is broken */
	wait_for(61 * CLOCK_SEC);
	taken = 1;
	send_one();
	assert_waits("4.7.5 ", "validation-failure");
	taken = 0;
}

/* --- sessions and connections */

static void a_session_is_resumed_and_says_by_what_it_was_proven(void **state)
{
	(void)state;
	domain("mx.there.test", 1, good_ee);
	conf.outbound.messages = 1;
	send_one();
	send_one();
	assert_int_equal(server.resumed, 1);
	assert_delivered("dane", "dane-ee");
	assert_non_null(strstr(detail(), "resumed=yes"));
}

static void other_records_do_not_resume_an_old_session(void **state)
{
	(void)state;
	domain("mx.there.test", 1, good_ee);
	conf.outbound.messages = 1;
	send_one();
	names[2].data = bad_ee;
	wait_for(61 * CLOCK_SEC);
	send_one();
	assert_int_equal(server.resumed, 0);
	assert_int_equal(fake.done[1].results[0].outcome, SPOOL_DEFERRED);
}

static void a_host_that_is_only_proven_for_one_domain_serves_no_other(void **state)
{
	static char site[] = "shared.else.test", at[80];

	(void)state;
	/* the certificate is for mx.there.test: here it is the domain, not the host */
	domain("shared.else.test", 1, NULL);
	snprintf(at, sizeof(at), "_%u._tcp.shared.else.test", server.port);
	names[0] = (struct out_fake_name){"mx.there.test", MX, 0, .data = "10 shared.else.test", .secure = 1};
	names[2] = (struct out_fake_name){at, TLSA, 0, .data = good_ta, .secure = 1};
	names[3] = (struct out_fake_name){"there.test", MX, 0, .data = "10 shared.else.test", .secure = 1};
	fake.site = site;
	message(1, 1, "hi\r\n");
	message(2, 1, "hi\r\n");
	out_fake_job(&worker, QUEUE_DELIVER, 1, "mx.there.test");
	run_until_done(1);
	assert_delivered("dane", "dane-ta");
	out_fake_job(&worker, QUEUE_DELIVER, 2, "there.test");
	run_until_done(2);
	assert_int_equal(fake.done[1].results[0].outcome, SPOOL_DEFERRED);
	assert_int_equal(server.message_count, 1);
}

static void two_domains_of_one_site_share_where_both_are_proven_only(void **state)
{
	static char site[] = "mx.there.test";

	(void)state;
	domain("mx.there.test", 1, good_ee);
	names[3] = (struct out_fake_name){"too.test", MX, 0, .data = "10 mx.there.test", .secure = 1};
	names[4] = (struct out_fake_name){"unsigned.test", MX, 0, .data = "10 mx.there.test", .secure = 0};
	fake.site = site;
	for (uint64_t id = 1; id <= 3; id++) {
		static const char *const domains[] = {"there.test", "too.test", "unsigned.test"};
		message(id, 1, "hi\r\n");
		out_fake_job(&worker, QUEUE_DELIVER, id, domains[id - 1]);
		run_until_done((unsigned)id);
		assert_int_equal(fake.done[id - 1].results[0].outcome, SPOOL_DELIVERED);
	}
	assert_int_equal(server.messages[0].conn, server.messages[1].conn);
	assert_int_equal(server.accepted, 2);
	assert_delivered("none", "none");
}

/* --- rules */

static void dane_as_the_rule_wants_records(void **state)
{
	(void)state;
	domain("mx.there.test", 1, NULL);
	route.tls = RELAY_TLS_DANE;
	send_one();
	assert_waits("4.7.5 DANE is required, and the host has no TLSA records that DNSSEC proves",
		     "dane-required");
	assert_int_equal(server.accepted, 0);
	domain("mx.there.test", 0, good_ee);
	wait_for(301 * CLOCK_SEC);
	send_one();
	assert_waits("4.7.5 DANE is required, and the mail hosts are not proven by DNSSEC", "dane-required");
	assert_int_equal(fake.done[1].results[0].whose, QUEUE_WHOSE_SITE);
}

static void a_named_hop_is_verified_by_its_records(void **state)
{
	static char to[80];

	(void)state;
	domain("mx.there.test", 1, good_ta);
	snprintf(to, sizeof(to), "mx.there.test:%u", server.port);
	route.to = to;
	send_one();
	assert_delivered("dane", "dane-ta");
}

static void dane_can_be_switched_off(void **state)
{
	(void)state;
	domain("mx.there.test", 1, bad_ee);
	conf.outbound.dane = 0;
	send_one();
	assert_delivered("none", "none");
}

static void an_exception_lets_mail_go_that_dane_would_hold(void **state)
{
	(void)state;
	domain("mx.there.test", 1, bad_ee);
	send_one();
	assert_waits("4.7.5", "validation-failure");
	policy_fake.exception = RELAY_TLS_ENCRYPT;
	send_one();
	assert_delivered("exception", "none");
	assert_int_equal(server.messages[0].tls, 1);
}

/* --- MTA-STS */

static void an_enforced_policy_wants_its_hosts_and_their_certificates(void **state)
{
	(void)state;
	domain("mx.there.test", 0, NULL);
	policy_fake.sts = &enforce;
	send_one();
	assert_delivered("sts", "sts");
	domain("other.there.test", 0, NULL);
	wait_for(301 * CLOCK_SEC);
	taken = 1;
	send_one();
	assert_waits("4.7.5 the host is not one that the domain's MTA-STS policy names", "validation-failure");
	enforce.host = "other.there.test";
	wait_for(301 * CLOCK_SEC);
	send_one();
	assert_waits("4.7.5 certificate is for another name", "certificate-host-mismatch");
	enforce.host = "mx.there.test";
	taken = 0;
}

static void starttls_hidden_waits_under_an_enforced_policy(void **state)
{
	(void)state;
	domain("mx.there.test", 0, NULL);
	policy_fake.sts = &enforce;
	server.tls = NULL;
	send_one();
	assert_waits("4.7.4 server does not offer STARTTLS, which the domain's MTA-STS policy requires",
		     "starttls-not-supported");
}

static void a_policy_in_testing_notes_and_delivers(void **state)
{
	(void)state;
	domain("mx.there.test", 0, NULL);
	policy_fake.sts = &testing;
	send_one();
	assert_delivered("sts-testing", "pkix");
	assert_null(strstr(log_text, "failure="));
	testing.host = "other.there.test";
	domain("other.there.test", 0, NULL);
	wait_for(301 * CLOCK_SEC);
	send_one();
	assert_delivered("sts-testing", "none");
	assert_non_null(strstr(log_text, " failure=certificate-host-mismatch"));
	server.tls = NULL;
	conf.outbound.messages = 1;
	wait_for(301 * CLOCK_SEC);
	send_one();
	assert_delivered("sts-testing", "none");
	assert_non_null(strstr(log_text, " failure=starttls-not-supported clear=not-offered"));
	testing.host = "mx.there.test";
}

static void dane_that_fails_is_not_healed_by_mta_sts(void **state)
{
	(void)state;
	domain("mx.there.test", 1, bad_ee);
	policy_fake.sts = &enforce; /* which the host would satisfy */
	send_one();
	assert_waits("4.7.5 certificate does not match", "validation-failure");
}

/* --- what reports are told */

static void each_session_that_was_tried_is_told_once(void **state)
{
	(void)state;
	domain("mx.there.test", 1, good_ee);
	conf.outbound.messages = 1;
	send_one();
	assert_int_equal(policy_fake.sessions, 1);
	assert_int_equal(policy_fake.failures, 0);
	assert_string_equal(policy_fake.domain, "there.test");
	assert_string_equal(policy_fake.mx, "mx.there.test");
	assert_string_equal(policy_fake.local, "127.0.0.1");
	names[2].data = bad_ee;
	wait_for(61 * CLOCK_SEC);
	send_one();
	assert_int_equal(policy_fake.sessions, 2);
	assert_int_equal(policy_fake.last, TLSRPT_VALIDATION_FAILURE);
	assert_string_equal(policy_fake.local, "127.0.0.1");
	names[2].result = ERR_AUTH; /* nobody was connected to */
	wait_for(61 * CLOCK_SEC);
	send_one();
	assert_int_equal(policy_fake.sessions, 3);
	assert_int_equal(policy_fake.last, TLSRPT_DNSSEC_INVALID);
	assert_string_equal(policy_fake.local, "");
	domain("mx.there.test", 0, NULL);
	server.tls = NULL;
	wait_for(301 * CLOCK_SEC);
	send_one(); /* in clear, as policy allows */
	assert_int_equal(policy_fake.sessions, 4);
	assert_int_equal(policy_fake.last, TLSRPT_STARTTLS_NOT_SUPPORTED);
}

static void no_session_is_told_of_where_there_was_to_be_none(void **state)
{
	static char to[80];

	(void)state;
	domain("mx.there.test", 0, NULL);
	route.tls = RELAY_TLS_NONE;
	send_one();
	assert_int_equal(policy_fake.sessions, 0);
	snprintf(to, sizeof(to), "mx.there.test:%u", server.port);
	route.to = to; /* nor of a hop that the administrator named */
	route.tls = RELAY_TLS_ENCRYPT;
	send_one();
	assert_int_equal(policy_fake.sessions, 0);
}

/* --- what senders ask for */

static void tls_required_no_goes_where_policy_would_hold_it(void **state)
{
	(void)state;
	domain("mx.there.test", 1, bad_ee);
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_TLS_OPTIONAL;
	send_one();
	assert_delivered("none", "none");
	assert_int_equal(server.messages[0].tls, 1); /* TLS is taken where it is offered */
	assert_non_null(strstr(log_text, "event=tls-required-no"));
	names[2].result = ERR_AUTH;
	wait_for(301 * CLOCK_SEC);
	message(2, 1, "hi\r\n")->envelope.flags = SPOOL_TLS_OPTIONAL;
	send_one();
	assert_delivered("none", "none");
}

static void tls_required_no_does_not_pass_over_a_rule(void **state)
{
	(void)state;
	domain("mx.there.test", 1, bad_ee);
	route.tls = RELAY_TLS_DANE;
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_TLS_OPTIONAL;
	send_one();
	assert_int_equal(fake.done[0].results[0].outcome, SPOOL_DEFERRED);
	route.tls = RELAY_TLS_ENCRYPT;
	server.tls = NULL;
	message(2, 1, "hi\r\n")->envelope.flags = SPOOL_TLS_OPTIONAL;
	send_one();
	assert_int_equal(fake.done[1].results[0].outcome, SPOOL_DEFERRED);
	assert_int_equal(server.message_count, 0);
}

static void requiretls_is_stronger_than_tls_required_no(void **state)
{
	(void)state;
	domain("mx.there.test", 1, bad_ee);
	server.caps = "PIPELINING\nREQUIRETLS\n";
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_TLS_OPTIONAL | SPOOL_REQUIRETLS;
	send_one();
	assert_int_equal(fake.done[0].results[0].outcome, SPOOL_DEFERRED); /* its flag is not known yet */
	assert_int_equal(server.message_count, 0);
}

static void requiretls_goes_where_dane_or_mta_sts_proves_the_host(void **state)
{
	(void)state;
	domain("mx.there.test", 1, good_ee);
	server.caps = "PIPELINING\nREQUIRETLS\n";
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_REQUIRETLS;
	send_one();
	assert_delivered("dane", "dane-ee");
	assert_non_null(strstr(server.messages[0].params, " REQUIRETLS"));
	assert_int_equal(server.accepted, 1); /* the connection that DANE had proven will do */
	domain("mx.there.test", 0, NULL);
	policy_fake.sts = &enforce;
	wait_for(301 * CLOCK_SEC);
	message(2, 1, "hi\r\n")->envelope.flags = SPOOL_REQUIRETLS;
	send_one();
	assert_delivered("sts", "sts");
}

static void requiretls_bounces_where_only_the_certificate_is_good(void **state)
{
	(void)state;
	domain("mx.there.test", 0, NULL); /* anybody may have put that name into the MX record */
	server.caps = "PIPELINING\nREQUIRETLS\n";
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_REQUIRETLS;
	send_one();
	assert_int_equal(fake.done[0].results[0].outcome, SPOOL_BOUNCED);
	assert_non_null(strstr(fake.report, "Status: 5.7.30\r\n"));
	assert_int_equal(server.message_count, 0);
}

static void requiretls_waits_while_lookups_fail(void **state)
{
	(void)state;
	domain("mx.there.test", 1, "");
	names[2].result = ERR_AWAY;
	server.caps = "PIPELINING\nREQUIRETLS\n";
	message(1, 1, "hi\r\n")->envelope.flags = SPOOL_REQUIRETLS;
	send_one();
	assert_int_equal(fake.done[0].results[0].outcome, SPOOL_DEFERRED);
}

static int group_setup(void **state)
{
	int rc = out_world_group_setup(state);

	digest_of(good_ee, "3 0 1", pki.leaf, 0);
	digest_of(bad_ee, "3 0 1", pki.leaf, 1);
	digest_of(good_ta, "2 0 1", pki.ca, 0);
	digest_of(bad_ta, "2 0 1", pki.ca, 1);
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    OUT_WORLD_TEST(a_certificate_that_its_record_names_is_taken_whatever_its_name),
	    OUT_WORLD_TEST(an_authority_that_a_record_names_is_taken_with_the_right_name),
	    OUT_WORLD_TEST(a_name_that_is_not_the_hosts_fails_under_usage_2),
	    OUT_WORLD_TEST(one_record_that_fits_is_enough),
	    OUT_WORLD_TEST(what_does_not_match_waits_and_is_never_sent_in_clear),
	    OUT_WORLD_TEST(starttls_hidden_refused_or_broken_waits),
	    OUT_WORLD_TEST(records_that_cannot_be_used_still_forbid_clear_text),
	    OUT_WORLD_TEST(malformed_records_are_logged_and_counted),
	    OUT_WORLD_TEST(a_failed_lookup_of_records_is_not_their_absence),
	    OUT_WORLD_TEST(no_answer_in_time_is_a_failure_of_that_host),
	    OUT_WORLD_TEST(another_host_takes_the_mail_of_one_that_cannot_be_proven),
	    OUT_WORLD_TEST(what_is_not_proven_is_not_asked),
	    OUT_WORLD_TEST(an_insecure_host_below_a_secure_domain_is_not_asked),
	    OUT_WORLD_TEST(a_secure_alias_is_asked_at_its_end_and_then_at_itself),
	    OUT_WORLD_TEST(an_alias_that_is_secure_by_itself_is_asked_at_itself),
	    OUT_WORLD_TEST(a_domain_that_stops_being_proven_does_not_lead_the_others_astray),
	    OUT_WORLD_TEST(a_host_that_got_clear_text_gets_none_once_it_has_records),
	    OUT_WORLD_TEST(a_session_is_resumed_and_says_by_what_it_was_proven),
	    OUT_WORLD_TEST(other_records_do_not_resume_an_old_session),
	    OUT_WORLD_TEST(a_host_that_is_only_proven_for_one_domain_serves_no_other),
	    OUT_WORLD_TEST(two_domains_of_one_site_share_where_both_are_proven_only),
	    OUT_WORLD_TEST(dane_as_the_rule_wants_records),
	    OUT_WORLD_TEST(a_named_hop_is_verified_by_its_records),
	    OUT_WORLD_TEST(dane_can_be_switched_off),
	    OUT_WORLD_TEST(an_exception_lets_mail_go_that_dane_would_hold),
	    OUT_WORLD_TEST(an_enforced_policy_wants_its_hosts_and_their_certificates),
	    OUT_WORLD_TEST(starttls_hidden_waits_under_an_enforced_policy),
	    OUT_WORLD_TEST(a_policy_in_testing_notes_and_delivers),
	    OUT_WORLD_TEST(dane_that_fails_is_not_healed_by_mta_sts),
	    OUT_WORLD_TEST(each_session_that_was_tried_is_told_once),
	    OUT_WORLD_TEST(no_session_is_told_of_where_there_was_to_be_none),
	    OUT_WORLD_TEST(tls_required_no_goes_where_policy_would_hold_it),
	    OUT_WORLD_TEST(tls_required_no_does_not_pass_over_a_rule),
	    OUT_WORLD_TEST(requiretls_is_stronger_than_tls_required_no),
	    OUT_WORLD_TEST(requiretls_goes_where_dane_or_mta_sts_proves_the_host),
	    OUT_WORLD_TEST(requiretls_bounces_where_only_the_certificate_is_good),
	    OUT_WORLD_TEST(requiretls_waits_while_lookups_fail),
	};

	return cmocka_run_group_tests(tests, group_setup, out_world_group_teardown);
}
