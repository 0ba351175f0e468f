/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"

static char dir[64];

static struct store *opened(void)
{
	char text[STORE_ERR_MAX];
	int err;
	struct store *s = store_open(dir, &err, text);

	assert_non_null(s);
	return s;
}

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_store.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"relay.db", "relay.db-wal", "relay.db-shm"};
	char path[128];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static char seen[8][256];
static int64_t numbers[8];
static unsigned count;

static int see(void *arg, const struct store_order *o)
{
	(void)arg;
	numbers[count] = o->number;
	snprintf(seen[count++], sizeof(seen[0]), "%d %s %s %s %llx '%s' %d %d", o->action,
		 o->customer ? o->customer : "*", o->campaign ? o->campaign : "*",
		 o->destination ? o->destination : "*", (unsigned long long)o->message, o->via,
		 (int)o->before, (int)o->created);
	return 0;
}

static unsigned all(struct store *s)
{
	count = 0;
	assert_int_equal(store_order_each(s, see, NULL), 0);
	return count;
}

static void orders_are_there_after_a_restart_as_they_were_given(void **state)
{
	const struct store_order orders[] = {
	    {.action = 10, .customer = "acme", .campaign = "", .via = "hub.test:26", .before = 17, .created = 18},
	    {.action = 11, .message = UINT64_C(1) << 63 | 5},
	    {.action = 8, .destination = "a.test", .via = ""},
	};
	struct store *s = opened();

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(store_order_add(s, &orders[i]) > 0);
	store_close(s);
	s = opened();
	assert_int_equal(all(s), 3);
	assert_string_equal(seen[0], "10 acme  * 0 'hub.test:26' 17 18");
	assert_string_equal(seen[1], "11 * * * 8000000000000005 '' 0 0");
	assert_string_equal(seen[2], "8 * * a.test 0 '' 0 0");
	assert_int_equal(store_order_remove(s, numbers[1]), 0);
	assert_int_equal(store_order_remove(s, numbers[1]), ERR_NOTFOUND);
	assert_int_equal(all(s), 2);
	store_close(s);
}

static void several_go_together_or_not_at_all(void **state)
{
	const struct store_order o = {.action = 8, .customer = "acme"};
	struct store *s = opened();
	int64_t n[3];

	(void)state;
	n[0] = store_order_add(s, &o);
	n[1] = 99999;
	n[2] = store_order_add(s, &o);
	assert_int_equal(store_order_remove_all(s, n, 3), ERR_NOTFOUND);
	assert_int_equal(all(s), 2);
	n[1] = n[2];
	assert_int_equal(store_order_remove_all(s, n, 2), 0);
	assert_int_equal(all(s), 0);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(orders_are_there_after_a_restart_as_they_were_given, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(several_go_together_or_not_at_all, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("store_order", tests, NULL, NULL);
}
