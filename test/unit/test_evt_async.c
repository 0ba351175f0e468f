/* SPDX-License-Identifier: Apache-2.0 */
/* The certificate callback stands for a signature that keyd computes: it runs inside the job, and
 * waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "evt/evt_async_own.h"
#include "evt/evt_tls.h"
#include "test/unit/conn_pair.h"
#include "test/unit/pki.h"

#define PAIRS 50

static struct conn_pair pair[PAIRS]; /* all on the loop of the first */
static struct pki pki;
static char dir[32], leaf[64];
static SSL_CTX *server, *client;
static uint64_t tickets[2 * PAIRS];
static int ticket_count, waits, closed_waits, outside;
static int wake_first, close_inside;

static int sign_elsewhere(SSL *ssl, void *arg)
{
	uint64_t ticket;
	int err;

	(void)ssl;
	(void)arg;
	if (!evt_async_here()) {
		outside++;
		return 1;
	}
	for (int i = 0; i < 2; i++) {
		ticket = evt_async_ticket();
		tickets[ticket_count++ % (2 * PAIRS)] = ticket;
		if (wake_first)
			evt_async_wake(ticket);
		if (close_inside) {
			evt_conn_close(pair[0].b.c);
			pair[0].b.c = NULL;
		}
		err = evt_async_wait(ticket);
		waits++;
		closed_waits += err == ERR_CLOSED;
		if (err < 0)
			return 0;
	}
	return 1;
}

static int setup(void **state)
{
	const char *why;

	(void)state;
	strcpy(dir, "/tmp/test_evt_async.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(leaf, sizeof(leaf), "%s/leaf.pem", dir);
	pki_make(&pki, "EC", "relay.example.test");
	pki_write_leaf(&pki, leaf, 1);
	server = evt_tls_server(leaf, pki.key, &why);
	client = evt_tls_client(NULL, 0, &why);
	SSL_CTX_set_cert_cb(server, sign_elsewhere, NULL);
	ticket_count = waits = closed_waits = outside = wake_first = close_inside = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (pair[0].loop)
		conn_pair_close(&pair[0]);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	pki_clear(&pki);
	unlink(leaf);
	rmdir(dir);
	return 0;
}

static void begin(struct conn_pair *p)
{
	conn_pair_open(p, 4096);
	assert_int_equal(evt_conn_tls_accept(p->b.c, server), 0);
	assert_int_equal(evt_conn_tls_connect(p->a.c, client, NULL, NULL), 0);
	conn_pair_settle(p);
}

static void need_fibers(void)
{
	if (!EVT_ASYNC_POSSIBLE)
		skip();
}

static void a_paused_handshake_goes_on_when_woken(void **state)
{
	struct conn_pair *p = &pair[0];

	(void)state;
	need_fibers();
	begin(p);
	assert_string_equal(p->b.trail, "");
	assert_int_equal(ticket_count, 1);
	assert_int_equal(waits, 0);
	conn_side_say(&p->a, "waiting"); /* bytes meanwhile must not wake it */
	conn_pair_settle(p);
	assert_int_equal(waits, 0);
	evt_async_wake(tickets[0]);
	assert_int_equal(waits, 0);
	conn_pair_settle(p);
	assert_int_equal(waits, 1);
	evt_async_wake(tickets[0]); /* stale */
	conn_pair_settle(p);
	assert_int_equal(waits, 1);
	evt_async_wake(tickets[1]);
	conn_pair_settle(p);
	assert_string_equal(p->a.trail, "T");
	assert_string_equal(p->b.trail, "TD");
	assert_string_equal(conn_side_heard(&p->b), "waiting");
}

static void the_loop_works_on_while_a_handshake_is_paused(void **state)
{
	struct conn_pair *p = &pair[0];
	struct conn_pair other;

	(void)state;
	need_fibers();
	begin(p);
	conn_pair_open(&other, 4096);
	conn_side_say(&other.a, "clear");
	conn_pair_settle(&other);
	assert_string_equal(conn_side_heard(&other.b), "clear");
	conn_pair_close(&other);
	assert_string_equal(p->b.trail, "");
}

static void an_answer_that_is_there_before_the_wait_does_not_pause(void **state)
{
	(void)state;
	need_fibers();
	wake_first = 1;
	begin(&pair[0]);
	assert_int_equal(waits, 2);
	assert_string_equal(pair[0].b.trail, "T");
}

static void closing_a_paused_handshake_ends_its_wait(void **state)
{
	struct conn_pair *p = &pair[0];

	(void)state;
	need_fibers();
	begin(p);
	evt_conn_close(p->b.c);
	p->b.c = NULL;
	assert_int_equal(closed_waits, 1);
	evt_async_wake(tickets[0]); /* dead: nothing happens */
	conn_pair_settle(p);
	assert_string_equal(p->b.trail, "");
	assert_int_equal(waits, 1);
	assert_int_equal(ticket_count, 1);
}

static void a_woken_handshake_closed_in_the_same_turn_is_safe(void **state)
{
	struct conn_pair *p = &pair[0];

	(void)state;
	need_fibers();
	begin(p);
	evt_async_wake(tickets[0]);
	evt_conn_close(p->b.c);
	p->b.c = NULL;
	conn_pair_settle(p);
	assert_string_equal(p->b.trail, "");
}

static void a_connection_may_be_closed_from_within_its_own_job(void **state)
{
	struct conn_pair *p = &pair[0];

	(void)state;
	need_fibers();
	close_inside = 1;
	begin(p);
	assert_int_equal(waits, 1);
	assert_int_equal(closed_waits, 1);
	assert_string_equal(p->b.trail, "");
}

static void many_paused_handshakes_end_in_any_order(void **state)
{
	(void)state;
	need_fibers();
	for (int i = 0; i < PAIRS; i++)
		begin(&pair[i]);
	assert_int_equal(ticket_count, PAIRS);
	for (int i = 0; i < PAIRS; i += 5) {
		evt_conn_close(pair[i].b.c);
		pair[i].b.c = NULL;
	}
	for (int round = 0; round < 2; round++) {
		int from = round * PAIRS, to = ticket_count;
		for (int i = to - 1; i >= from; i--)
			evt_async_wake(tickets[i]);
		for (int i = 0; i < PAIRS; i++)
			conn_pair_settle(&pair[i]);
	}
	for (int i = 0; i < PAIRS; i++) {
		assert_string_equal(pair[i].b.trail, i % 5 ? "T" : "");
		conn_pair_close(&pair[i]);
	}
	assert_int_equal(closed_waits, PAIRS / 5);
}

static void outside_of_a_job_a_signer_is_told_to_block(void **state)
{
	(void)state;
	assert_int_equal(evt_async_here(), 0);
	if (EVT_ASYNC_POSSIBLE)
		return;
	begin(&pair[0]);
	assert_true(outside > 0);
	assert_string_equal(pair[0].b.trail, "T");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_paused_handshake_goes_on_when_woken),
	    T(the_loop_works_on_while_a_handshake_is_paused),
	    T(an_answer_that_is_there_before_the_wait_does_not_pause),
	    T(closing_a_paused_handshake_ends_its_wait),
	    T(a_woken_handshake_closed_in_the_same_turn_is_safe),
	    T(a_connection_may_be_closed_from_within_its_own_job),
	    T(many_paused_handshakes_end_in_any_order),
	    T(outside_of_a_job_a_signer_is_told_to_block),
	};

	return cmocka_run_group_tests_name("evt_async", tests, NULL, NULL);
}
