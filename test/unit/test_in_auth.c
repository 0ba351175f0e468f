/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"

static struct in_auth *a;
static struct evt_inbox *inbox;
static char hash[IN_AUTH_HASH];

static struct in_auth_set *two(void)
{
	struct in_auth_set *s = in_auth_set_new(2);

	assert_non_null(s);
	s->all[0] = (struct in_auth_credential){.id = 2, .name = "shop", .customer = "acme"};
	snprintf(s->all[0].hash, IN_AUTH_HASH, "%s", hash);
	s->all[1] = (struct in_auth_credential){.id = 1, .name = "box", .customer = "default"};
	memset(s->all[1].fingerprint, 7, 32);
	return s;
}

static int set_up(void **state)
{
	(void)state;
	a = in_auth_new();
	inbox = evt_inbox_new(NULL, NULL, NULL);
	if (!hash[0])
		assert_int_equal(in_auth_hash(hash, SPAN_LIT("correct horse")), 0);
	return a && inbox ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	in_auth_free(a);
	evt_inbox_free(inbox);
	clock_restore();
	return 0;
}

/* The result of a check; *now: it was there at once. */
static int check(const char *name, const char *password, struct in_auth_credential *who, int *now)
{
	struct in_auth_check *c = in_auth_check_new();
	int rc, err;

	assert_non_null(c);
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->password, sizeof(c->password), "%s", password);
	c->reply = inbox;
	rc = in_auth_check(a, c);
	*now = rc == 1;
	if (rc == 0)
		assert_ptr_equal(evt_inbox_wait(inbox, -1), &c->msg.msg);
	err = rc < 0 ? rc : c->err;
	if (rc >= 0) {
		*who = c->who;
		assert_string_equal(c->password, ""); /* wiped */
		assert_string_equal(c->who.hash, "");
	}
	in_auth_check_free(c);
	return err;
}

static void the_right_password_logs_in_and_the_second_time_at_once(void **state)
{
	struct in_auth_credential who;
	int now;

	(void)state;
	in_auth_publish(a, two());
	assert_int_equal(check("shop", "correct horse", &who, &now), 0);
	assert_int_equal(now, 0);
	assert_string_equal(who.name, "shop");
	assert_string_equal(who.customer, "acme");
	assert_int_equal(check("shop", "correct horse", &who, &now), 0);
	assert_int_equal(now, 1);
	assert_string_equal(who.customer, "acme");
	clock_set(clock_mono() + IN_AUTH_MEMORY + 1, clock_wall());
	assert_int_equal(check("shop", "correct horse", &who, &now), 0);
	assert_int_equal(now, 0); /* not for ever */
}

static void all_else_does_not(void **state)
{
	static const char *const wrong[][2] = {{"shop", "correct horsf"}, {"shop", "correct horse "},
					       {"shop", ""},		  {"Shop", "correct horse"},
					       {"box", "correct horse"},  {"box", ""},
					       {"nobody", "correct horse"}};
	struct in_auth_credential who;
	int now;

	(void)state;
	in_auth_publish(a, two());
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		for (int again = 0; again < 2; again++) {
			assert_int_equal(check(wrong[i][0], wrong[i][1], &who, &now), ERR_AUTH);
			assert_int_equal(now, 0);
			assert_string_equal(who.customer, "");
		}
	check("nobody", "x", &who, &now);
	assert_string_equal(who.name, ""); /* what a stranger calls himself is not told */
}

static void a_changed_or_disabled_credential_is_not_remembered(void **state)
{
	struct in_auth_credential who;
	struct in_auth_set *s = two();
	int now;

	(void)state;
	in_auth_publish(a, two());
	assert_int_equal(check("shop", "correct horse", &who, &now), 0);
	s->all[0].disabled = 1;
	in_auth_publish(a, s);
	assert_int_equal(check("shop", "correct horse", &who, &now), ERR_AUTH);
	s = two();
	s->all[0].changed = 5;
	s->all[0].hash[40] ^= 1;
	in_auth_publish(a, s);
	assert_int_equal(check("shop", "correct horse", &who, &now), ERR_AUTH);
}

static void without_a_set_nobody_can_be_checked(void **state)
{
	struct in_auth_credential who;
	uint8_t print[32];
	int now;

	(void)state;
	memset(print, 7, 32);
	assert_int_equal(check("shop", "correct horse", &who, &now), ERR_AWAY);
	assert_int_equal(in_auth_certificate(a, print, &who), ERR_AWAY);
	in_auth_publish(a, two());
	assert_int_equal(check("shop", "correct horse", &who, &now), 0);
	in_auth_publish(a, NULL); /* keyd has gone: not even the one that was just right */
	assert_int_equal(check("shop", "correct horse", &who, &now), ERR_AWAY);
}

static void a_certificate_is_known_by_its_fingerprint(void **state)
{
	struct in_auth_credential who;
	uint8_t print[32];

	(void)state;
	in_auth_publish(a, two());
	memset(print, 7, 32);
	assert_int_equal(in_auth_certificate(a, print, &who), 0);
	assert_string_equal(who.name, "box");
	print[31] ^= 1;
	assert_int_equal(in_auth_certificate(a, print, &who), ERR_AUTH);
	memset(print, 0, 32); /* what credentials without a certificate have */
	assert_int_equal(in_auth_certificate(a, print, &who), ERR_AUTH);
}

static void more_checks_than_may_wait_are_refused(void **state)
{
	struct in_auth_check *all[IN_AUTH_WAITING + IN_AUTH_THREADS + 1];
	unsigned refused = 0, taken = 0, back = 0;

	(void)state;
	in_auth_publish(a, two());
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int rc;
		all[i] = in_auth_check_new();
		assert_non_null(all[i]);
		snprintf(all[i]->name, sizeof(all[i]->name), "shop");
		snprintf(all[i]->password, sizeof(all[i]->password), "wrong %zu", i);
		all[i]->reply = inbox;
		rc = in_auth_check(a, all[i]);
		assert_true(rc == 0 || rc == ERR_BUSY);
		refused += rc == ERR_BUSY;
		taken += rc == 0;
		if (rc < 0)
			break;
	}
	assert_int_equal(refused, 1);
	in_auth_stop(a); /* those that wait are not answered; those under way are */
	for (struct evt_msg *m = evt_inbox_wait(inbox, 0); m; m = m->next)
		back++;
	assert_true(back <= taken);
	for (size_t i = 0; i < taken + refused; i++)
		in_auth_check_free(all[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(the_right_password_logs_in_and_the_second_time_at_once),
	    TEST(all_else_does_not),
	    TEST(a_changed_or_disabled_credential_is_not_remembered),
	    TEST(without_a_set_nobody_can_be_checked),
	    TEST(a_certificate_is_known_by_its_fingerprint),
	    TEST(more_checks_than_may_wait_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
