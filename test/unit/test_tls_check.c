/* SPDX-License-Identifier: Apache-2.0 */
/* What tls_check does about hosts that are slow, silent or strange, and about its own limits. */
#include "relay/tls/tls_check.h"

#include "evt/evt_inbox.h"
#include "relay/tls/tls_exception.h"
#include "test/unit/out_world.h"

int tls_exception_find(struct relay *r, const char *domain, int64_t now, int64_t *until)
{
	(void)r;
	(void)domain;
	(void)now;
	(void)until;
	return -1;
}
const char *tls_exception_level_name(int level)
{
	(void)level;
	return "none";
}
int tls_exception_domain(char dst[256], const char *text)
{
	if (strchr(text, '@'))
		return ERR_FORMAT;
	snprintf(dst, 256, "%s", text);
	return 0;
}

static struct {
	int calls, err;
	json_t *answer;
} heard[8];

static void hear(void *arg, int err, json_t *answer)
{
	int i = (int)(intptr_t)arg;

	heard[i].calls++;
	heard[i].err = err;
	heard[i].answer = answer;
}

static void for_worker(void *arg, struct evt_msg *batch)
{
	while (batch) {
		struct relay_msg *m = (struct relay_msg *)batch;
		batch = batch->next;
		m->run(m, arg);
	}
}

static int set_up(void **state)
{
	int rc = out_world_setup(state);

	memset(heard, 0, sizeof(heard));
	worker.inbox = evt_inbox_new(worker.loop, for_worker, &worker);
	relay.inbox = evt_inbox_new(worker.loop, for_worker, &relay);
	return rc;
}

static int tear_down(void **state)
{
	for (int i = 0; i < 8; i++)
		json_decref(heard[i].answer);
	tls_check_stop(&worker);
	run_a_while();
	evt_inbox_free(worker.inbox);
	evt_inbox_free(relay.inbox);
	return out_world_teardown(state);
}

static int start(int i)
{
	return tls_check_start(&relay, "there.test", "acme", hear, (void *)(intptr_t)i);
}

static const char *verdict(int i)
{
	assert_int_equal(heard[i].calls, 1);
	assert_int_equal(heard[i].err, 0);
	return json_string_value(json_object_get(json_object_get(heard[i].answer, "verdict"), "text"));
}

static void a_host_is_tried_as_far_as_a_message_and_left(void **state)
{
	(void)state;
	assert_int_equal(start(0), 0);
	for (int i = 0; i < 300 && !heard[0].calls; i++)
		evt_loop_turn(worker.loop, 1000);
	assert_string_equal(verdict(0), "would be sent to 127.0.0.1 in clear text");
	assert_int_equal(server.message_count, 0);
	assert_int_equal(relay.tls_checks, 0);
}

static void a_silent_host_costs_no_more_than_patience(void **state)
{
	(void)state;
	out_server_rule(&server, "GREETING", 0, NULL);
	assert_int_equal(start(0), 0);
	wait_for(TLS_CHECK_PATIENCE - 2 * CLOCK_SEC);
	assert_int_equal(heard[0].calls, 0);
	wait_for(3 * CLOCK_SEC);
	assert_string_equal(verdict(0), "would wait: no answer in time");
	assert_true(json_is_true(json_object_get(heard[0].answer, "late")));
}

static void only_so_many_run_at_a_time(void **state)
{
	(void)state;
	out_server_rule(&server, "GREETING", 0, NULL);
	for (int i = 0; i < TLS_CHECK_MOST; i++)
		assert_int_equal(start(i), 0);
	assert_int_equal(start(7), ERR_BUSY);
	wait_for(TLS_CHECK_PATIENCE + CLOCK_SEC);
	for (int i = 0; i < TLS_CHECK_MOST; i++)
		assert_int_equal(heard[i].calls, 1);
	assert_int_equal(start(7), 0);
	run_a_while();
}

static void the_end_of_relay_ends_it(void **state)
{
	(void)state;
	out_server_rule(&server, "GREETING", 0, NULL);
	assert_int_equal(start(0), 0);
	run_a_while();
	tls_check_stop(&worker);
	run_a_while();
	assert_int_equal(heard[0].calls, 1);
	assert_int_equal(heard[0].err, ERR_BUSY);
	atomic_store(&relay.stopping, 1);
	assert_int_equal(start(1), 0);
	run_a_while();
	assert_int_equal(heard[1].err, ERR_BUSY);
}

static void what_is_no_domain_is_refused(void **state)
{
	(void)state;
	assert_int_equal(tls_check_start(&relay, "a@b", "acme", hear, NULL), ERR_FORMAT);
	assert_int_equal(relay.tls_checks, 0);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    ROW(a_host_is_tried_as_far_as_a_message_and_left),
	    ROW(a_silent_host_costs_no_more_than_patience),
	    ROW(only_so_many_run_at_a_time),
	    ROW(the_end_of_relay_ends_it),
	    ROW(what_is_no_domain_is_refused),
	};

	return cmocka_run_group_tests_name("tls_check", tests, out_world_group_setup, out_world_group_teardown);
}
