/* SPDX-License-Identifier: Apache-2.0 */
/* TLS on the way out: what is tried, what is allowed, what is told. */
#include "test/unit/out_world.h"

#include <openssl/x509_vfy.h>

#include "relay/out/out_tls.h"

static void offered_tls_is_used_and_told(void **state)
{
	(void)state;
	server.tls = server_tls;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_int_equal(server.messages[0].tls, 1);
	assert_non_null(
	    strstr(fake.states[0].detail,
		   "tls=TLSv1.3\ncipher=TLS_AES_256_GCM_SHA384\ngroup=x25519\nverified=no\n"));
	assert_non_null(strstr(log_text, "tls=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 verified=no"));
	assert_int_equal(atomic_load(&relay.count.tls_out), 1);
}

static void the_next_connection_resumes_the_session(void **state)
{
	(void)state;
	server.tls = server_tls;
	conf.outbound.messages = 1;
	for (uint64_t id = 1; id <= 3; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
		run_until_done((unsigned)id);
	}
	assert_int_equal(server.handshakes, 3);
	assert_int_equal(server.resumed, 2);
	assert_non_null(strstr(fake.states[2].detail, "resumed=yes"));
}

static void a_broken_handshake_is_followed_by_a_tls_1_2_hello(void **state)
{
	(void)state;
	server.tls = server_tls;
	server.break_handshakes = 1;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(fake.states[0].detail, "tls=TLSv1.2\n"));
	assert_non_null(strstr(log_text, "event=tls-fallback host=127.0.0.1 from=full to=1.2"));
}

static void twice_broken_goes_in_clear_only_where_policy_allows(void **state)
{
	(void)state;
	server.tls = server_tls;
	server.break_handshakes = 2;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.messages[0].tls, 0);
	assert_non_null(strstr(fake.states[0].detail, "tls=none\nclear=broken\n"));
	assert_non_null(strstr(log_text, "event=tls-fallback host=127.0.0.1 from=1.2 to=clear"));
}

static void a_broken_host_is_not_asked_for_tls_again_at_once(void **state)
{
	(void)state;
	server.tls = server_tls;
	server.break_handshakes = 100;
	conf.outbound.messages = 1;
	for (uint64_t id = 1; id <= 2; id++) {
		message(id, 1, "hi\r\n");
		deliver(id);
		run_until_done((unsigned)id);
	}
	assert_int_equal(server.accepted, 4);
	wait_for(11 * 60 * CLOCK_SEC); /* then it gets another chance */
	server.break_handshakes = 0;
	deliver(1);
	run_until_done(3);
	assert_int_equal(server.messages[2].tls, 1);
}

static void encrypt_never_goes_in_clear(void **state)
{
	(void)state;
	route.tls = RELAY_TLS_ENCRYPT;
	server.tls = server_tls;
	server.break_handshakes = 100;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	assert_int_equal(server.accepted, 2);
	server.tls = NULL; /* now it hides STARTTLS */
	deliver(1);
	run_until_done(2);
	assert_result(1, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	server.tls = server_tls;
	out_server_rule(&server, "STARTTLS", 0, "454 4.7.0 not now");
	deliver(1);
	run_until_done(3);
	assert_result(2, 0, SPOOL_DEFERRED, QUEUE_TLS, 454);
	assert_int_equal(server.verbs[4], 0); /* MAIL was never said */
}

static void encrypt_takes_any_certificate(void **state)
{
	(void)state;
	route.tls = RELAY_TLS_ENCRYPT;
	server.tls = server_tls;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_int_equal(server.messages[0].tls, 1);
}

static const struct out_fake_name right_name[] = {{"there.test", MX, 0, .data = "10 mx.there.test"},
						  {"mx.there.test", A, 0, .data = "127.0.0.1"},
						  {.name = NULL}};
static const struct out_fake_name wrong_name[] = {{"there.test", MX, 0, .data = "10 other.there.test"},
						  {"other.there.test", A, 0, .data = "127.0.0.1"},
						  {.name = NULL}};

static void verify_delivers_to_the_name_in_the_certificate(void **state)
{
	(void)state;
	use_mx(right_name);
	route.tls = RELAY_TLS_VERIFY;
	server.tls = server_tls;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(fake.states[0].detail, "verified=yes\n"));
}

static void a_verified_session_is_resumed_and_still_verified(void **state)
{
	(void)state;
	use_mx(right_name);
	route.tls = RELAY_TLS_VERIFY;
	server.tls = server_tls;
	conf.outbound.messages = 1;
	message(1, 1, "hi\r\n");
	for (unsigned i = 0; i < 2; i++) {
		deliver(1);
		run_until_done(i + 1);
		assert_result(i, 0, SPOOL_DELIVERED, ANY, 250);
	}
	assert_int_equal(server.resumed, 1);
	assert_non_null(strstr(fake.states[1].detail, "verified=yes\nresumed=yes\n"));
}

static void verify_defers_where_the_name_is_another_and_does_not_ask_twice(void **state)
{
	(void)state;
	use_mx(wrong_name);
	route.tls = RELAY_TLS_VERIFY;
	server.tls = server_tls;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	assert_int_equal(server.accepted, 1);
	assert_int_equal(server.message_count, 0);
}

static void a_session_without_verification_is_not_resumed_where_it_is_asked_for(void **state)
{
	(void)state;
	use_mx(wrong_name);
	server.tls = server_tls;
	conf.outbound.messages = 1;
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	route.tls = RELAY_TLS_VERIFY;
	deliver(1);
	run_until_done(2);
	assert_result(1, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
}

static void a_reply_forged_behind_starttls_ends_the_connection(void **state)
{
	(void)state;
	server.tls = server_tls;
	out_server_rule(&server, "STARTTLS", 0, "220 go\n250-mx\n250 PIPELINING");
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DEFERRED, QUEUE_TLS, 0);
	assert_int_equal(server.accepted, 1);
	assert_non_null(strstr(log_text, "event=starttls-injection"));
}

static void starttls_refused_goes_in_clear_where_policy_allows(void **state)
{
	(void)state;
	server.tls = server_tls;
	out_server_rule(&server, "STARTTLS", 0, "454 4.7.0 not now");
	message(1, 1, "hi\r\n");
	deliver(1);
	run_until_done(1);
	assert_result(0, 0, SPOOL_DELIVERED, ANY, 250);
	assert_non_null(strstr(fake.states[0].detail, "tls=none\nclear=refused\n"));
	assert_int_equal(server.accepted, 1);
}

static void what_failed_has_the_name_of_reports_and_plain_words(void **state)
{
	static const struct {
		long code;
		enum tlsrpt_result result;
		const char *why;
	} rows[] = {
	    {X509_V_OK, TLSRPT_VALIDATION_FAILURE, "else"}, /* the handshake broke for another reason */
	    {X509_V_ERR_CERT_HAS_EXPIRED, TLSRPT_CERTIFICATE_EXPIRED, "certificate has expired"},
	    {X509_V_ERR_CERT_NOT_YET_VALID, TLSRPT_VALIDATION_FAILURE, "certificate is not valid yet"},
	    {X509_V_ERR_HOSTNAME_MISMATCH, TLSRPT_CERTIFICATE_HOST_MISMATCH,
	     "certificate is for another name"},
	    {X509_V_ERR_IP_ADDRESS_MISMATCH, TLSRPT_CERTIFICATE_HOST_MISMATCH,
	     "certificate is for another address"},
	    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, TLSRPT_CERTIFICATE_NOT_TRUSTED,
	     "certificate is self-signed"},
	    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, TLSRPT_CERTIFICATE_NOT_TRUSTED,
	     "certificate is by an authority that is not trusted"},
	    {X509_V_ERR_DANE_NO_MATCH, TLSRPT_VALIDATION_FAILURE,
	     "certificate does not match the host's TLSA records"},
	    {X509_V_ERR_CERT_SIGNATURE_FAILURE, TLSRPT_CERTIFICATE_NOT_TRUSTED, "else"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(out_tls_result(rows[i].code), rows[i].result);
		assert_string_equal(out_tls_why(rows[i].code, "else"), rows[i].why);
	}
	assert_string_equal(tlsrpt_result_name(TLSRPT_OK), "none");
	assert_string_equal(tlsrpt_result_name(TLSRPT_STS_WEBPKI_INVALID), "sts-webpki-invalid");
	assert_string_equal(tlsrpt_result_name((enum tlsrpt_result)TLSRPT_COUNT), "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    OUT_WORLD_TEST(offered_tls_is_used_and_told),
	    OUT_WORLD_TEST(the_next_connection_resumes_the_session),
	    OUT_WORLD_TEST(a_broken_handshake_is_followed_by_a_tls_1_2_hello),
	    OUT_WORLD_TEST(twice_broken_goes_in_clear_only_where_policy_allows),
	    OUT_WORLD_TEST(a_broken_host_is_not_asked_for_tls_again_at_once),
	    OUT_WORLD_TEST(encrypt_never_goes_in_clear),
	    OUT_WORLD_TEST(encrypt_takes_any_certificate),
	    OUT_WORLD_TEST(verify_delivers_to_the_name_in_the_certificate),
	    OUT_WORLD_TEST(a_verified_session_is_resumed_and_still_verified),
	    OUT_WORLD_TEST(verify_defers_where_the_name_is_another_and_does_not_ask_twice),
	    OUT_WORLD_TEST(a_session_without_verification_is_not_resumed_where_it_is_asked_for),
	    OUT_WORLD_TEST(a_reply_forged_behind_starttls_ends_the_connection),
	    OUT_WORLD_TEST(starttls_refused_goes_in_clear_where_policy_allows),
	    cmocka_unit_test(what_failed_has_the_name_of_reports_and_plain_words),
	};

	return cmocka_run_group_tests(tests, out_world_group_setup, out_world_group_teardown);
}
