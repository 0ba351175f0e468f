/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "evt/evt_conn_own.h"
#include "evt/evt_tls.h"
#include "test/unit/conn_pair.h"
#include "test/unit/pki.h"

static struct conn_pair p; /* a is the client, b the server */
static struct pki pki, other;
static char dir[32], leaf[64], ca[64];
static SSL_CTX *server, *client, *open_client; /* verifying, and not */
static const char *why;

static int group_setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_evt_tls.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(leaf, sizeof(leaf), "%s/leaf.pem", dir);
	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	pki_make(&pki, "EC", "relay.example.test");
	pki_make(&other, "RSA", "relay.example.test");
	pki_write_leaf(&pki, leaf, 1);
	pki_write_ca(&pki, ca);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	pki_clear(&pki);
	pki_clear(&other);
	unlink(leaf);
	unlink(ca);
	rmdir(dir);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	clock_set(1000 * CLOCK_SEC, 0);
	server = evt_tls_server(leaf, pki.key, &why);
	client = evt_tls_client(ca, 1, &why);
	open_client = evt_tls_client(NULL, 0, &why);
	return server && client && open_client ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	if (p.loop)
		conn_pair_close(&p);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	SSL_CTX_free(open_client);
	clock_restore();
	return 0;
}

static void handshake(SSL_CTX *ctx, SSL_SESSION *session)
{
	assert_int_equal(evt_conn_tls_accept(p.b.c, server), 0);
	assert_int_equal(evt_conn_tls_connect(p.a.c, ctx, "relay.example.test", session), 0);
	conn_pair_settle(&p);
}

static void echo(struct conn_side *s, enum evt_conn_event ev)
{
	if (ev == EVT_CONN_DATA)
		conn_side_say(s, conn_side_heard(s));
}

static void echo_under(int version, const char *name, const char *cipher)
{
	struct evt_conn_tls a, b;

	SSL_CTX_set_max_proto_version(client, version);
	conn_pair_open(&p, 40000);
	p.b.also = echo;
	handshake(client, NULL);
	conn_side_say(&p.a, "secret");
	conn_pair_settle(&p);
	assert_string_equal(conn_side_heard(&p.a), "secret");
	assert_string_equal(p.a.trail, "TD");
	assert_string_equal(p.b.trail, "TD");
	evt_conn_tls_info(p.a.c, &a);
	evt_conn_tls_info(p.b.c, &b);
	assert_string_equal(a.version, name);
	assert_string_equal(b.version, name);
	assert_string_equal(a.cipher, cipher);
	assert_string_equal(a.group, "x25519");
	assert_string_equal(b.group, "x25519");
	assert_int_equal(a.bits, 256);
	assert_int_equal(a.verified, 1);
	assert_int_equal(b.verified, 0);
	assert_int_equal(a.resumed, 0);
}

static void bytes_echo_under_tls_1_3(void **state)
{
	(void)state;
	echo_under(TLS1_3_VERSION, "TLSv1.3", "TLS_AES_256_GCM_SHA384");
}

static void bytes_echo_under_tls_1_2(void **state)
{
	(void)state;
	echo_under(TLS1_2_VERSION, "TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384");
}

static void an_idle_tls_connection_holds_no_buffers(void **state)
{
	(void)state;
	conn_pair_open(&p, 40000);
	p.b.also = echo;
	handshake(client, NULL);
	conn_side_say(&p.a, "secret");
	conn_pair_settle(&p);
	assert_int_equal(p.b.c->in.cap + p.b.c->out.cap, 0);
	assert_int_equal(SSL_get_mode(p.b.c->ssl) & SSL_MODE_ASYNC, 0);
	assert_null(p.b.c->write);
}

static void tls_1_1_is_not_spoken(void **state)
{
	(void)state;
	SSL_CTX_set_min_proto_version(open_client, 0);
	SSL_CTX_set_max_proto_version(open_client, TLS1_1_VERSION);
	SSL_CTX_set_cipher_list(open_client, "ALL:@SECLEVEL=0");
	conn_pair_open(&p, 40000);
	handshake(open_client, NULL);
	assert_string_equal(p.b.trail, "X");
	assert_int_equal(p.b.err, ERR_TLS);
	assert_string_equal(p.b.why, "handshake: unsupported protocol");
	assert_string_equal(p.a.trail, "X");
}

/* Server side of STARTTLS as a session would do it. */
static void offer(struct conn_side *s, enum evt_conn_event ev)
{
	if (ev != EVT_CONN_DATA || evt_conn_ssl(s->c))
		return;
	if (s->arg && !strcmp(s->arg, "early"))
		conn_side_say(s, "220 go\r\n");
	assert_int_equal(evt_conn_tls_accept(s->c, server), 0);
	if (s->arg && !strcmp(s->arg, "late"))
		conn_side_say(s, "after");
}

static void take(struct conn_side *s, enum evt_conn_event ev)
{
	if (ev != EVT_CONN_DATA || evt_conn_ssl(s->c))
		return;
	assert_int_equal(evt_conn_tls_connect(s->c, client, "relay.example.test", NULL), 0);
	conn_side_say(s, "EHLO again");
}

static void starttls_in_the_middle_carries_on_encrypted(void **state)
{
	char early[] = "early";

	(void)state;
	conn_pair_open(&p, 4096);
	p.a.also = take;
	p.b.also = offer;
	p.b.arg = early;
	conn_side_say(&p.a, "STARTTLS\r\n");
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "DT");
	assert_string_equal(p.b.trail, "DTD");
	assert_string_equal(conn_side_heard(&p.a), "220 go\r\n");
	assert_string_equal(conn_side_heard(&p.b), "STARTTLS\r\nEHLO again");
}

static void what_is_written_after_starttls_never_leaves_in_clear(void **state)
{
	char late[] = "late", text[64];
	int fd = conn_pair_open_half(&p, 4096);

	(void)state;
	p.a.also = offer;
	p.a.arg = late;
	assert_int_equal(send(fd, "STARTTLS\r\n", 10, 0), 10);
	conn_pair_settle(&p);
	assert_int_equal(recv(fd, text, sizeof(text), 0), -1);
	assert_int_equal(evt_conn_unsent(p.a.c), 5);
	close(fd);
}

static void finishing_before_the_handshake_sends_only_what_belongs_before_it(void **state)
{
	int fd = conn_pair_open_half(&p, 4096);
	char text[64];

	(void)state;
	conn_side_say(&p.a, "220 go\r\n");
	assert_int_equal(evt_conn_tls_accept(p.a.c, server), 0);
	conn_side_say(&p.a, "secret");
	evt_conn_finish(p.a.c);
	p.a.c = NULL;
	conn_pair_settle(&p);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 8);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 0);
	close(fd);
}

/* Leaves what follows the first line, as a session does with pipelined commands. */
static void offer_after_first_line(struct conn_side *s, enum evt_conn_event ev)
{
	if (ev != EVT_CONN_DATA)
		return;
	buf_drain(evt_conn_in(s->c), 10);
	conn_side_say(s, "220 go\r\n");
	assert_int_equal(evt_conn_tls_accept(s->c, server), 0);
}

static void bytes_injected_behind_starttls_are_an_error(void **state)
{
	int fd = conn_pair_open_half(&p, 4096);

	(void)state;
	p.a.keep = 1;
	p.a.also = offer_after_first_line;
	assert_int_equal(send(fd, "STARTTLS\r\nMAIL FROM:<x@y>\r\n", 28, 0), 28);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "DX");
	assert_int_equal(p.a.err, ERR_TLS);
	assert_string_equal(p.a.why, "bytes before the handshake");
	close(fd);
}

static void injected_bytes_that_come_later_spoil_the_handshake(void **state)
{
	int fd = conn_pair_open_half(&p, 4096);

	(void)state;
	assert_int_equal(evt_conn_tls_accept(p.a.c, server), 0);
	assert_int_equal(send(fd, "MAIL FROM:<x@y>\r\n", 17, 0), 17);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "X");
	assert_int_equal(p.a.err, ERR_TLS);
	assert_string_equal(conn_side_heard(&p.a), "");
	close(fd);
}

static void an_end_without_close_notify_is_an_error_not_an_end(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	handshake(client, NULL);
	conn_side_say(&p.a, "half a mess");
	conn_pair_settle(&p);
	shutdown(evt_conn_fd(p.a.c), SHUT_WR);
	conn_pair_settle(&p);
	assert_string_equal(p.b.trail, "TDX");
	assert_int_equal(p.b.err, ERR_CLOSED);
	assert_string_equal(p.b.why, "closed without close_notify");
}

static void finish_says_close_notify_and_the_peer_sees_the_end(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	handshake(client, NULL);
	conn_side_say(&p.a, "bye");
	evt_conn_finish(p.a.c);
	p.a.c = NULL;
	conn_pair_settle(&p);
	assert_string_equal(p.b.trail, "TDE");
	assert_string_equal(conn_side_heard(&p.b), "bye");
}

static void a_peer_that_hangs_up_in_the_handshake_is_an_error(void **state)
{
	int fd = conn_pair_open_half(&p, 4096);

	(void)state;
	assert_int_equal(evt_conn_tls_accept(p.a.c, server), 0);
	conn_pair_settle(&p);
	close(fd);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "X");
	assert_int_equal(p.a.err, ERR_CLOSED);
}

static void an_unknown_authority_is_refused_with_its_reason(void **state)
{
	SSL_CTX *strict;
	struct evt_conn_tls info;

	(void)state;
	pki_write_ca(&other, ca);
	strict = evt_tls_client(ca, 1, &why);
	pki_write_ca(&pki, ca);
	conn_pair_open(&p, 4096);
	handshake(strict, NULL);
	assert_string_equal(p.a.trail, "X");
	assert_int_equal(p.a.err, ERR_TLS);
	assert_string_equal(p.a.why, "certificate: certificate signature failure");
	evt_conn_tls_info(p.a.c, &info);
	assert_int_equal(info.verified, 0);
	assert_true(info.verify_code != X509_V_OK);
	SSL_CTX_free(strict);
}

static void a_certificate_of_another_name_is_refused(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	assert_int_equal(evt_conn_tls_accept(p.b.c, server), 0);
	assert_int_equal(evt_conn_tls_connect(p.a.c, client, "mail.example.test", NULL), 0);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "X");
	assert_string_equal(p.a.why, "certificate: hostname mismatch");
	assert_int_equal(evt_conn_write(p.a.c, "x", 1), ERR_CLOSED);
}

static void an_address_is_verified_as_an_address_and_not_sent_as_a_name(void **state)
{
	struct evt_conn_tls info;

	(void)state;
	conn_pair_open(&p, 4096);
	assert_int_equal(evt_conn_tls_accept(p.b.c, server), 0);
	assert_int_equal(evt_conn_tls_connect(p.a.c, client, "127.0.0.1", NULL), 0);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "T");
	evt_conn_tls_info(p.a.c, &info);
	assert_int_equal(info.verified, 1);
	assert_null(SSL_get_servername(evt_conn_ssl(p.b.c), TLSEXT_NAMETYPE_host_name));
}

static void a_verifying_client_needs_a_name(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	assert_int_equal(evt_conn_tls_connect(p.a.c, client, NULL, NULL), ERR_BADSTATE);
	assert_int_equal(evt_conn_tls_connect(p.a.c, open_client, NULL, NULL), 0);
	assert_int_equal(evt_conn_tls_connect(p.a.c, open_client, NULL, NULL), ERR_BADSTATE);
}

static void an_opportunistic_client_takes_any_certificate_and_says_so(void **state)
{
	struct evt_conn_tls info;

	(void)state;
	conn_pair_open(&p, 4096);
	handshake(open_client, NULL);
	assert_string_equal(p.a.trail, "T");
	evt_conn_tls_info(p.a.c, &info);
	assert_int_equal(info.verified, 0);
}

static void an_opportunistic_client_with_trust_says_whether_the_peer_verifies(void **state)
{
	struct evt_conn_tls info;
	SSL_CTX *ctx = evt_tls_client(ca, 0, &why);

	(void)state;
	conn_pair_open(&p, 4096);
	handshake(ctx, NULL);
	evt_conn_tls_info(p.a.c, &info);
	assert_int_equal(info.verified, 1);
	conn_pair_close(&p);
	conn_pair_open(&p, 4096);
	assert_int_equal(evt_conn_tls_accept(p.b.c, server), 0);
	assert_int_equal(evt_conn_tls_connect(p.a.c, ctx, "mail.example.test", NULL), 0);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "T");
	evt_conn_tls_info(p.a.c, &info);
	assert_int_equal(info.verified, 0);
	assert_int_equal(info.verify_code, X509_V_ERR_HOSTNAME_MISMATCH);
	SSL_CTX_free(ctx);
}

static void resume_under(int version)
{
	struct evt_conn_tls info;
	SSL_SESSION *session;

	SSL_CTX_set_max_proto_version(client, version);
	conn_pair_open(&p, 4096);
	handshake(client, NULL);
	conn_side_say(&p.b, "220");
	conn_pair_settle(&p);
	session = SSL_get1_session(evt_conn_ssl(p.a.c));
	conn_pair_close(&p); /* even without a goodbye the session stays good */
	assert_true(SSL_SESSION_is_resumable(session));

	conn_pair_open(&p, 4096);
	handshake(client, session);
	evt_conn_tls_info(p.a.c, &info);
	assert_int_equal(info.resumed, 1);
	assert_int_equal(info.verified, 1);
	evt_conn_tls_info(p.b.c, &info);
	assert_int_equal(info.resumed, 1);
	SSL_SESSION_free(session);
}

static void a_session_resumes_under_tls_1_3(void **state)
{
	(void)state;
	resume_under(TLS1_3_VERSION);
}

static void a_session_resumes_under_tls_1_2(void **state)
{
	(void)state;
	resume_under(TLS1_2_VERSION);
}

static uint8_t big[3 << 20];

static void fill_big(void)
{
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 31 + (i >> 8));
}

static void a_large_body_arrives_intact_and_drains_once(void **state)
{
	(void)state;
	fill_big();
	conn_pair_open(&p, 65536);
	handshake(client, NULL);
	assert_int_equal(evt_conn_write(p.a.c, big, sizeof(big)), 0);
	evt_conn_notify_drained(p.a.c, 0);
	conn_pair_settle(&p);
	assert_string_equal(p.a.trail, "TR");
	assert_int_equal(buf_size(&p.b.got), sizeof(big));
	assert_memory_equal(buf_ptr(&p.b.got), big, sizeof(big));
}

static void reading_under_tls_stops_at_the_limit_and_misses_nothing(void **state)
{
	struct buf *in;
	size_t total = 0, n = 200000;

	(void)state;
	fill_big();
	conn_pair_open(&p, 1000);
	handshake(client, NULL);
	p.b.keep = 1;
	assert_int_equal(evt_conn_write(p.a.c, big, n), 0);
	while (total < n) {
		conn_pair_settle(&p);
		in = evt_conn_in(p.b.c);
		assert_true(buf_size(in) > 0 && buf_size(in) <= 1000);
		assert_memory_equal(buf_ptr(in), big + total, buf_size(in));
		total += buf_size(in);
		buf_drain(in, buf_size(in));
	}
}

/* Bytes that OpenSSL holds already are not announced by the kernel any more. */
static void pausing_in_the_middle_of_what_was_read_loses_nothing(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	handshake(client, NULL);
	evt_conn_read_pause(p.b.c);
	for (int i = 0; i < 20; i++) {
		conn_side_say(&p.a, "record");
		evt_loop_turn(p.loop, 0);
	}
	p.b.trail[0] = '\0';
	evt_conn_read_resume(p.b.c);
	evt_loop_turn(p.loop, 0);
	evt_conn_read_pause(p.b.c);
	conn_pair_settle(&p);
	evt_conn_read_resume(p.b.c);
	conn_pair_settle(&p);
	assert_int_equal(buf_size(&p.b.got), 20 * 6);
}

static void a_connection_may_be_closed_in_every_event_under_tls(void **state)
{
	(void)state;
	for (int ev = EVT_CONN_TLS; ev <= EVT_CONN_ERROR; ev++) {
		conn_pair_open(&p, 4096);
		p.b.close_at = ev;
		evt_conn_set_timeout(p.b.c, CLOCK_SEC);
		handshake(client, NULL);
		if (p.b.c && ev == EVT_CONN_DRAINED) {
			conn_side_say(&p.b, "x");
			evt_conn_notify_drained(p.b.c, 0);
		}
		if (ev == EVT_CONN_DATA || ev == EVT_CONN_EOF)
			conn_side_say(&p.a, "y");
		if (ev == EVT_CONN_EOF) {
			evt_conn_finish(p.a.c);
			p.a.c = NULL;
		}
		conn_pair_settle(&p);
		if (ev == EVT_CONN_ERROR) {
			evt_conn_close(p.a.c);
			p.a.c = NULL;
		}
		if (ev == EVT_CONN_TIMEOUT)
			clock_advance(2 * CLOCK_SEC);
		conn_pair_settle(&p);
		assert_null(p.b.c);
		assert_true(p.b.trail[strlen(p.b.trail) - 1] == "CTDREOX"[ev]);
		conn_pair_close(&p);
	}
}

static void data_that_comes_with_the_handshakes_end_is_told(void **state)
{
	(void)state;
	conn_pair_open(&p, 4096);
	assert_int_equal(evt_conn_tls_accept(p.b.c, server), 0);
	assert_int_equal(evt_conn_tls_connect(p.a.c, client, "relay.example.test", NULL), 0);
	conn_side_say(&p.a, "EHLO");
	conn_pair_settle(&p);
	assert_string_equal(p.b.trail, "TD");
	assert_string_equal(conn_side_heard(&p.b), "EHLO");
}

static void contexts_say_why_they_cannot_be_made(void **state)
{
	(void)state;
	assert_null(evt_tls_server("/nonexistent.pem", pki.key, &why));
	assert_non_null(why);
	why = NULL;
	assert_null(evt_tls_server(leaf, other.key, &why));
	assert_string_equal(why, "different key types");
	why = NULL;
	assert_null(evt_tls_client("/nonexistent.pem", 1, &why));
	assert_non_null(why);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(bytes_echo_under_tls_1_3),
	    T(bytes_echo_under_tls_1_2),
	    T(an_idle_tls_connection_holds_no_buffers),
	    T(tls_1_1_is_not_spoken),
	    T(starttls_in_the_middle_carries_on_encrypted),
	    T(what_is_written_after_starttls_never_leaves_in_clear),
	    T(finishing_before_the_handshake_sends_only_what_belongs_before_it),
	    T(bytes_injected_behind_starttls_are_an_error),
	    T(injected_bytes_that_come_later_spoil_the_handshake),
	    T(an_end_without_close_notify_is_an_error_not_an_end),
	    T(finish_says_close_notify_and_the_peer_sees_the_end),
	    T(a_peer_that_hangs_up_in_the_handshake_is_an_error),
	    T(an_unknown_authority_is_refused_with_its_reason),
	    T(a_certificate_of_another_name_is_refused),
	    T(an_address_is_verified_as_an_address_and_not_sent_as_a_name),
	    T(a_verifying_client_needs_a_name),
	    T(an_opportunistic_client_takes_any_certificate_and_says_so),
	    T(an_opportunistic_client_with_trust_says_whether_the_peer_verifies),
	    T(a_session_resumes_under_tls_1_3),
	    T(a_session_resumes_under_tls_1_2),
	    T(a_large_body_arrives_intact_and_drains_once),
	    T(reading_under_tls_stops_at_the_limit_and_misses_nothing),
	    T(pausing_in_the_middle_of_what_was_read_loses_nothing),
	    T(a_connection_may_be_closed_in_every_event_under_tls),
	    T(data_that_comes_with_the_handshakes_end_is_told),
	    T(contexts_say_why_they_cannot_be_made),
	};

	return cmocka_run_group_tests_name("evt_tls", tests, group_setup, group_teardown);
}
