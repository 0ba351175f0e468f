/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions from TLS policy: which one counts, how long, and that they survive a restart. */
#include "relay/tls/tls_exception.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/store/store.h"

#define HOUR (3600 * CLOCK_SEC)

static char dir[64], log_text[8192];
static struct relay relay;
static const char *why;

static void capture(void *arg, const char *line)
{
	size_t n = strlen(log_text);

	(void)arg;
	snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
}

static void open_all(void)
{
	char text[STORE_ERR_MAX];
	int err;

	memset(&relay, 0, sizeof(relay));
	relay.loop = evt_loop_new();
	relay.store = store_open(dir, &err, text);
	assert_non_null(relay.store);
	assert_int_equal(tls_exception_part.open(&relay, &why), 0);
}

static void close_all(void)
{
	tls_exception_part.close(&relay);
	store_close(relay.store);
	evt_loop_free(relay.loop);
}

static int set_up(void **state)
{
	(void)state;
	clock_set(1000 * CLOCK_SEC, INT64_C(1790000000) * CLOCK_SEC);
	snprintf(dir, sizeof(dir), "/tmp/test_store.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	log_text[0] = '\0';
	log_capture(capture, NULL);
	open_all();
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"relay.db", "relay.db-wal", "relay.db-shm"};
	char path[128];

	(void)state;
	close_all();
	log_capture(NULL, NULL);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	clock_restore();
	return rmdir(dir);
}

static int add(const char *domain, int level, int64_t keep)
{
	struct tls_exception e = {.level = level, .until = clock_wall() + keep, .reason = "broken there"};

	snprintf(e.domain, sizeof(e.domain), "%s", domain);
	return tls_exception_add(&relay, &e);
}

static int find(const char *domain)
{
	return tls_exception_find(&relay, domain, clock_wall(), NULL);
}

static void the_nearest_one_counts_and_a_dot_means_what_lies_below(void **state)
{
	(void)state;
	assert_int_equal(find("a.test"), -1);
	assert_int_equal(add("a.test", RELAY_TLS_OPPORTUNISTIC, HOUR), 0);
	assert_int_equal(add(".b.test", RELAY_TLS_ENCRYPT, HOUR), 0);
	assert_int_equal(add(".x.b.test", RELAY_TLS_NONE, HOUR), 0);
	assert_int_equal(find("a.test"), RELAY_TLS_OPPORTUNISTIC);
	assert_int_equal(find("sub.a.test"), -1);
	assert_int_equal(find("aa.test"), -1);
	assert_int_equal(find("b.test"), -1);
	assert_int_equal(find("sub.b.test"), RELAY_TLS_ENCRYPT);
	assert_int_equal(find("deep.sub.b.test"), RELAY_TLS_ENCRYPT);
	assert_int_equal(find("y.x.b.test"), RELAY_TLS_NONE);
	assert_int_equal(find("test"), -1);
	assert_non_null(strstr(log_text, "event=tls-exception domain=.x.b.test level=none"));
}

static void one_that_has_run_out_counts_no_more_and_its_end_is_told(void **state)
{
	int64_t until = 0;

	(void)state;
	assert_int_equal(add("a.test", RELAY_TLS_ENCRYPT, HOUR), 0);
	assert_int_equal(tls_exception_find(&relay, "a.test", clock_wall(), &until), RELAY_TLS_ENCRYPT);
	assert_int_equal(until, clock_wall() + HOUR);
	clock_advance(HOUR);
	assert_int_equal(find("a.test"), -1);
	for (int i = 0; i < 3; i++)
		evt_loop_turn(relay.loop, 0);
	assert_int_equal(tls_exception_count(&relay), 0);
	assert_non_null(strstr(log_text, "warning - event=tls-exception-expired domain=a.test level=encrypt"));
	close_all();
	open_all();
	assert_int_equal(tls_exception_count(&relay), 0);
}

static void they_survive_a_restart_and_a_new_one_replaces_the_old(void **state)
{
	struct tls_exception all[4];
	unsigned generation;

	(void)state;
	assert_int_equal(add("b.test", RELAY_TLS_ENCRYPT, HOUR), 0);
	assert_int_equal(add("a.test", RELAY_TLS_ENCRYPT, HOUR), 0);
	generation = tls_exception_generation(&relay);
	assert_int_equal(add("a.test", RELAY_TLS_NONE, 2 * HOUR), 0);
	assert_int_not_equal(tls_exception_generation(&relay), generation);
	close_all();
	open_all();
	assert_int_equal(find("a.test"), RELAY_TLS_NONE);
	assert_int_equal(tls_exception_list(&relay, all, 4), 2);
	assert_string_equal(all[0].domain, "a.test");
	assert_string_equal(all[0].reason, "broken there");
	assert_int_equal(all[0].uses, 1);
	assert_int_equal(all[0].used, clock_wall());
	assert_int_equal(all[1].uses, 0);
	assert_int_equal(tls_exception_remove(&relay, "a.test"), 0);
	assert_int_equal(tls_exception_remove(&relay, "a.test"), ERR_NOTFOUND);
	assert_int_equal(find("a.test"), -1);
	close_all();
	open_all();
	assert_int_equal(tls_exception_count(&relay), 1);
}

static void none_is_without_end_or_of_a_level_that_raises(void **state)
{
	(void)state;
	assert_int_equal(add("a.test", RELAY_TLS_VERIFY, HOUR), ERR_FORMAT);
	assert_int_equal(add("a.test", RELAY_TLS_ENCRYPT, 0), ERR_FORMAT);
	assert_int_equal(add("a.test", RELAY_TLS_ENCRYPT, -HOUR), ERR_FORMAT);
	assert_int_equal(add("a.test", RELAY_TLS_ENCRYPT, TLS_EXCEPTION_LONG + 1), ERR_FORMAT);
	assert_int_equal(add("a.test", RELAY_TLS_ENCRYPT, TLS_EXCEPTION_LONG), 0);
	assert_int_equal(tls_exception_level("encrypt"), RELAY_TLS_ENCRYPT);
	assert_int_equal(tls_exception_level("verify"), -1);
}

static void domains_are_kept_in_one_form(void **state)
{
	static const struct {
		const char *text, *form;
	} rows[] = {
	    {"Example.ORG", "example.org"},	{"example.org.", "example.org"},
	    {".Example.org", ".example.org"},	{"b\xc3\xbc" "cher.example", "xn--bcher-kva.example"},
	    {"", NULL},				{".", NULL},
	    {"..", NULL},			{"a..b", NULL},
	    {"user@example.org", NULL},		{"exa mple.org", NULL},
	    {"[192.0.2.1]", NULL},		{"*", NULL},
	};
	char form[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int rc = tls_exception_domain(form, rows[i].text);
		assert_int_equal(rc, rows[i].form ? 0 : ERR_FORMAT);
		if (rows[i].form)
			assert_string_equal(form, rows[i].form);
	}
}

#define ROUNDS 40
static atomic_int ended;

static void *look(void *arg)
{
	static const char *const names[] = {"a.test", "b.test", "x.c.test", "none.test"};
	int64_t now = *(const int64_t *)arg;
	intptr_t wrong = 0;

	for (unsigned i = 0; !atomic_load(&ended) || i < ROUNDS; i++) {
		int level = tls_exception_find(&relay, names[i % 4], now, NULL);
		wrong += level != -1 && (i % 4 == 3 || level != RELAY_TLS_ENCRYPT);
	}
	return (void *)wrong;
}

static void drop_line(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

static void many_look_while_control_changes(void **state)
{
	static const char *const names[] = {"a.test", "b.test", ".c.test"};
	int64_t now = clock_wall();
	pthread_t threads[3];
	void *wrong;

	(void)state;
	log_capture(drop_line, NULL); /* the other one is for one thread */
	atomic_store(&ended, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look, &now), 0);
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(add(names[i % 3], RELAY_TLS_ENCRYPT, HOUR), 0);
		if (i % 2)
			tls_exception_remove(&relay, names[(i + 1) % 3]);
	}
	atomic_store(&ended, 1);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    ROW(the_nearest_one_counts_and_a_dot_means_what_lies_below),
	    ROW(one_that_has_run_out_counts_no_more_and_its_end_is_told),
	    ROW(they_survive_a_restart_and_a_new_one_replaces_the_old),
	    ROW(none_is_without_end_or_of_a_level_that_raises),
	    ROW(domains_are_kept_in_one_form),
	    ROW(many_look_while_control_changes),
	};

	return cmocka_run_group_tests_name("tls_exception", tests, NULL, NULL);
}
