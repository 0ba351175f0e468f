/* SPDX-License-Identifier: Apache-2.0 */
/* The table of suppressed recipients, and how it comes from the store and follows it. keyd is played: it turns every
 * bit of a field round, and answers when the test says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/bounce/bounce_list.h"
#include "relay/bounce/bounce_map.h"

/* --- the table */

static struct bounce_map_entry entry(uint64_t hash, uint32_t row, uint32_t expires)
{
	return (struct bounce_map_entry){hash, row, expires};
}

static void a_map_finds_what_was_put_in_and_nothing_that_was_taken_out(void **state)
{
	enum { N = 5000 };
	struct bounce_map m;

	(void)state;
	bounce_map_init(&m);
	for (uint32_t i = 1; i <= N; i++) {
		struct bounce_map_entry e = entry(UINT64_C(0x100000000) * i + i % 7, i, 0);
		assert_int_equal(bounce_map_put(&m, &e), 0);
	}
	assert_int_equal(m.count, N);
	for (uint32_t i = 1; i <= N; i += 2)
		bounce_map_remove(&m, UINT64_C(0x100000000) * i + i % 7);
	assert_int_equal(m.count, N / 2);
	for (uint32_t i = 1; i <= N; i++) {
		struct bounce_map_entry *e = bounce_map_find(&m, UINT64_C(0x100000000) * i + i % 7);
		assert_int_equal(e != NULL, i % 2 == 0);
		assert_true(!e || e->row == i);
	}
	bounce_map_clear(&m);
}

static void what_has_expired_leaves_the_map(void **state)
{
	struct bounce_map m;

	(void)state;
	bounce_map_init(&m);
	for (uint32_t i = 1; i <= 3000; i++) {
		struct bounce_map_entry e = entry(i, i, i % 3 ? i % 3 * 100 : 0);
		bounce_map_put(&m, &e);
	}
	assert_int_equal(bounce_map_expire(&m, 100), 1000);
	assert_int_equal(bounce_map_expire(&m, 150), 0);
	assert_int_equal(bounce_map_expire(&m, 200), 1000);
	assert_int_equal(m.count, 1000);
	bounce_map_clear(&m);
}

static void case_does_not_matter_and_customers_do(void **state)
{
	struct bounce_map m, other;
	uint64_t h;

	(void)state;
	bounce_map_init(&m);
	bounce_map_init(&other);
	h = bounce_map_hash(&m, "acme", SPAN_LIT("Bob@There.test"));
	assert_true(h == bounce_map_hash(&m, "acme", SPAN_LIT("bob@there.TEST")));
	assert_true(h != bounce_map_hash(&m, "acmf", SPAN_LIT("bob@there.test")));
	assert_true(h != bounce_map_hash(&m, "acme", SPAN_LIT("bop@there.test")));
	assert_true(h != bounce_map_hash(&other, "acme", SPAN_LIT("bob@there.test")));
	assert_null(bounce_map_find(&m, h));
	bounce_map_clear(&m);
	bounce_map_clear(&other);
}

/* --- keyd */

static struct {
	keys_field_fn fn;
	void *arg;
	uint8_t text[65536];
	size_t ends[KEYS_FIELD_BATCH];
	unsigned count;
} asked[64];
static unsigned asked_count, calls;
static int call_err, answer_err;
static const char *wrong_customer = "";

static int ask(const struct keyproto_field *items, unsigned count, keys_field_fn fn, void *arg)
{
	size_t at = 0;

	calls++;
	if (call_err)
		return call_err;
	assert_in_range(count, 1, KEYS_FIELD_BATCH);
	assert_true(asked_count < 64);
	asked[asked_count].fn = fn;
	asked[asked_count].arg = arg;
	asked[asked_count].count = count;
	for (unsigned i = 0; i < count; i++) {
		assert_true(items[i].aad.n > 20);
		for (size_t k = 0; k < items[i].data.n; k++)
			asked[asked_count].text[at++] = (uint8_t)~items[i].data.p[k];
		asked[asked_count].ends[i] = at;
	}
	asked_count++;
	return 0;
}
int keys_field_seal(struct keyproto_client_ev *c, uint8_t purpose, const char *customer,
		    const struct keyproto_field *items, unsigned count, keys_field_fn fn, void *arg)
{
	(void)c;
	assert_int_equal(purpose, KEYPROTO_FOR_FIELD);
	if (!strcmp(customer, wrong_customer))
		return ERR_NOTFOUND;
	return ask(items, count, fn, arg);
}
int keys_field_open(struct keyproto_client_ev *c, uint8_t purpose, const char *customer,
		    const struct keyproto_field *items, unsigned count, keys_field_fn fn, void *arg)
{
	return keys_field_seal(c, purpose, customer, items, count, fn, arg);
}
/* Answers the oldest question, or all. */
static void keyd_answers(unsigned n)
{
	while (n-- && asked_count) {
		static struct keyproto_result results[KEYS_FIELD_BATCH];
		static uint8_t text[65536];
		unsigned count = asked[0].count;
		keys_field_fn fn = asked[0].fn;
		void *arg = asked[0].arg;
		memcpy(text, asked[0].text, sizeof(text));
		for (unsigned i = 0; i < count; i++) {
			size_t from = i ? asked[0].ends[i - 1] : 0;
			results[i] = (struct keyproto_result){0, span_of(text + from, asked[0].ends[i] - from)};
		}
		asked_count--;
		memmove(asked, asked + 1, asked_count * sizeof(asked[0]));
		fn(arg, answer_err, results, answer_err ? 0 : count);
	}
}

/* --- relay */

static struct relay relay;
static char dir[64];
static char log_text[20000];

static void capture(void *arg, const char *line)
{
	size_t n = strlen(log_text);

	(void)arg;
	snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
}

static void start(void)
{
	char text[STORE_ERR_MAX];
	const char *why;
	int err;

	relay.store = store_open(dir, &err, text);
	assert_non_null(relay.store);
	assert_int_equal(bounce_list_part.open(&relay, &why), 0);
}
static void stop(void)
{
	answer_err = ERR_AWAY;
	keyd_answers(1000);
	answer_err = 0;
	bounce_list_part.close(&relay);
	store_close(relay.store);
}
static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/bounce-list-XXXXXX");
	memset(&relay, 0, sizeof(relay));
	asked_count = calls = 0;
	call_err = answer_err = 0;
	wrong_customer = "";
	log_text[0] = '\0';
	if (!mkdtemp(dir))
		return -1;
	clock_set(CLOCK_SEC, INT64_C(1790000000) * CLOCK_SEC);
	relay.loop = evt_loop_new();
	log_capture(capture, NULL);
	start();
	return 0;
}
static int teardown(void **state)
{
	char path[128];

	(void)state;
	stop();
	log_capture(NULL, NULL);
	evt_loop_free(relay.loop);
	clock_restore();
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/relay.db%s", dir, (const char *[]){"", "-wal", "-shm"}[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static int told_err;
static unsigned told, told_added, told_known;

static void tell(void *arg, int err, unsigned added, unsigned known)
{
	(void)arg;
	told++;
	told_err = err;
	told_added = added;
	told_known = known;
}
static int add(const char *customer, const char *address, int reason, int64_t expires)
{
	struct span a = span_str(address);

	return bounce_list_add(relay.suppressed, customer, &a, 1, reason, expires, tell, NULL);
}
static int check(const char *customer, const char *address)
{
	return bounce_list_check(relay.suppressed, customer, span_str(address));
}

static void an_address_counts_once_it_is_stored(void **state)
{
	(void)state;
	told = 0;
	assert_int_equal(check("acme", "bob@there.test"), 0);
	assert_int_equal(add("acme", "bob@there.test", STORE_SUPPRESSION_BOUNCE, 0), 0);
	assert_int_equal(check("acme", "bob@there.test"), 0);
	keyd_answers(1);
	assert_int_equal(told, 1);
	assert_int_equal(told_err, 0);
	assert_int_equal(told_added, 1);
	assert_int_equal(check("acme", "BOB@there.test"), 1);
	assert_int_equal(check("other", "bob@there.test"), 0);
	assert_non_null(strstr(log_text, "event=suppression-added customer=acme n=1 reason=bounce"));
	assert_null(strstr(log_text, "bob"));
}

static void after_a_restart_it_is_known_when_keyd_has_opened_it(void **state)
{
	(void)state;
	add("acme", "bob@there.test", STORE_SUPPRESSION_BOUNCE, 0);
	keyd_answers(1);
	stop();
	start();
	assert_int_equal(check("acme", "bob@there.test"), ERR_BUSY);
	assert_int_equal(check("acme", "eve@there.test"), ERR_BUSY);
	assert_int_equal(check("other", "bob@there.test"), 0);
	assert_int_equal(add("acme", "eve@there.test", STORE_SUPPRESSION_BOUNCE, 0), ERR_BUSY);
	bounce_list_part.keyd(&relay, KEYPROTO_LOCKED);
	assert_int_equal(asked_count, 0);
	bounce_list_part.keyd(&relay, KEYPROTO_READY);
	assert_int_equal(check("acme", "eve@there.test"), ERR_BUSY);
	keyd_answers(1);
	assert_int_equal(check("acme", "bob@there.test"), 1);
	assert_int_equal(check("acme", "eve@there.test"), 0);
	assert_non_null(strstr(log_text, "event=suppression-read n=1"));
}

static void reading_goes_on_where_keyd_went_away(void **state)
{
	char address[32];

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(address, sizeof(address), "u%d@there.test", i);
		add(i % 2 ? "acme" : "other", address, STORE_SUPPRESSION_MANUAL, 0);
		keyd_answers(1);
	}
	stop();
	start();
	bounce_list_part.keyd(&relay, KEYPROTO_READY);
	assert_int_equal(asked_count, 2); /* one page, two customers */
	keyd_answers(3);
	answer_err = ERR_AWAY;
	keyd_answers(1);
	assert_int_equal(asked_count, 0);
	assert_non_null(strstr(log_text, "event=suppression-waits"));
	assert_int_equal(check("acme", "u199@there.test"), ERR_BUSY);
	answer_err = 0;
	bounce_list_part.keyd(&relay, KEYPROTO_READY);
	keyd_answers(1000);
	for (int i = 0; i < 200; i++) {
		snprintf(address, sizeof(address), "u%d@there.test", i);
		assert_int_equal(check(i % 2 ? "acme" : "other", address), 1);
	}
	assert_int_equal(bounce_list_count(relay.suppressed), 200);
}

static void a_destroyed_customer_stops_nobody_else(void **state)
{
	(void)state;
	add("gone", "a@there.test", STORE_SUPPRESSION_BOUNCE, 0);
	add("acme", "bob@there.test", STORE_SUPPRESSION_BOUNCE, 0);
	keyd_answers(2);
	stop();
	start();
	bounce_list_part.keyd(&relay, KEYPROTO_READY);
	answer_err = ERR_GONE; /* the first group of the page */
	keyd_answers(1);
	answer_err = 0;
	keyd_answers(1000);
	assert_non_null(strstr(log_text, "event=suppression-read n=1"));
	assert_non_null(strstr(log_text, "event=suppression-unreadable n=1"));
}

static void two_who_add_the_same_add_one(void **state)
{
	(void)state;
	add("acme", "bob@there.test", STORE_SUPPRESSION_BOUNCE, 0);
	add("acme", "Bob@there.test", STORE_SUPPRESSION_COMPLAINT, 0);
	keyd_answers(2);
	assert_int_equal(told_added, 0);
	assert_int_equal(told_known, 1);
	assert_int_equal(bounce_list_count(relay.suppressed), 1);
}

static void many_travel_in_batches_and_twice_is_once(void **state)
{
	static char texts[300][32];
	struct span a[300];

	(void)state;
	told = 0;
	for (int i = 0; i < 300; i++) {
		snprintf(texts[i], sizeof(texts[i]), "u%d@there.test", i % 250);
		a[i] = span_str(texts[i]);
	}
	assert_int_equal(bounce_list_add(relay.suppressed, "acme", a, 300, STORE_SUPPRESSION_MANUAL, 0, tell,
					 NULL),
			 0);
	for (int i = 0; i < 10; i++)
		keyd_answers(1);
	assert_int_equal(told, 1);
	assert_int_equal(told_added, 250);
	assert_int_equal(told_known, 50);
	assert_int_equal(bounce_list_remove(relay.suppressed, "acme", a, 100), 100);
	assert_int_equal(bounce_list_count(relay.suppressed), 150);
	assert_int_equal(bounce_list_remove(relay.suppressed, "acme", a, 100), 0);
	assert_int_equal(check("acme", "u99@there.test"), 0);
	assert_int_equal(check("acme", "u100@there.test"), 1);
	stop();
	start();
	bounce_list_part.keyd(&relay, KEYPROTO_READY);
	keyd_answers(1000);
	assert_int_equal(bounce_list_count(relay.suppressed), 150);
}

static struct bounce_list_item seen[64];
static unsigned seen_count;

static void see(void *arg, int err, const struct bounce_list_item *items, unsigned count)
{
	(void)arg;
	assert_int_equal(err, 0);
	memcpy(seen, items, count * sizeof(*items));
	seen_count = count;
}

static void a_complaint_stays_one_when_mail_bounces(void **state)
{
	int64_t later = clock_wall() + 100 * CLOCK_SEC;

	(void)state;
	add("acme", "bob@there.test", STORE_SUPPRESSION_COMPLAINT, 0);
	keyd_answers(1);
	assert_int_equal(add("acme", "bob@there.test", STORE_SUPPRESSION_BOUNCE, later), 0);
	assert_int_equal(told_known, 1);
	assert_int_equal(bounce_list_read(relay.suppressed, "acme", 0, see, NULL), 0);
	keyd_answers(1);
	assert_int_equal(seen_count, 1);
	assert_string_equal(seen[0].address, "bob@there.test");
	assert_int_equal(seen[0].reason, STORE_SUPPRESSION_COMPLAINT);
	assert_int_equal(seen[0].expires, 0);
	add("acme", "bob@there.test", STORE_SUPPRESSION_MANUAL, later);
	bounce_list_read(relay.suppressed, "acme", 0, see, NULL);
	keyd_answers(1);
	assert_int_equal(seen[0].reason, STORE_SUPPRESSION_MANUAL);
	assert_true(seen[0].expires == later);
}

static void what_has_expired_counts_no_more(void **state)
{
	(void)state;
	add("acme", "bob@there.test", STORE_SUPPRESSION_BOUNCE, clock_wall() + 100 * CLOCK_SEC);
	add("acme", "eve@there.test", STORE_SUPPRESSION_BOUNCE, 0);
	keyd_answers(2);
	assert_int_equal(check("acme", "bob@there.test"), 1);
	clock_advance(101 * CLOCK_SEC);
	assert_int_equal(check("acme", "bob@there.test"), 0);
	assert_int_equal(check("acme", "eve@there.test"), 1);
	stop();
	start();
	assert_non_null(strstr(log_text, "event=suppression-expired n=1"));
	bounce_list_part.keyd(&relay, KEYPROTO_READY);
	keyd_answers(1);
	assert_int_equal(bounce_list_count(relay.suppressed), 1);
}

static void without_keyd_nothing_is_added(void **state)
{
	(void)state;
	call_err = ERR_LOCKED;
	told = 0;
	assert_int_equal(add("acme", "bob@there.test", STORE_SUPPRESSION_BOUNCE, 0), 0);
	assert_int_equal(told, 1);
	assert_int_equal(told_err, ERR_LOCKED);
	call_err = 0;
	answer_err = ERR_AWAY;
	assert_int_equal(add("acme", "bob@there.test", STORE_SUPPRESSION_BOUNCE, 0), 0);
	keyd_answers(1);
	assert_int_equal(told_err, ERR_AWAY);
	assert_int_equal(check("acme", "bob@there.test"), 0);
	answer_err = 0;
	wrong_customer = "nobody";
	assert_int_equal(add("nobody", "bob@there.test", STORE_SUPPRESSION_BOUNCE, 0), 0);
	assert_int_equal(told_err, ERR_NOTFOUND);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_map_finds_what_was_put_in_and_nothing_that_was_taken_out),
	    cmocka_unit_test(what_has_expired_leaves_the_map),
	    cmocka_unit_test(case_does_not_matter_and_customers_do),
	    T(an_address_counts_once_it_is_stored),
	    T(after_a_restart_it_is_known_when_keyd_has_opened_it),
	    T(reading_goes_on_where_keyd_went_away),
	    T(a_destroyed_customer_stops_nobody_else),
	    T(two_who_add_the_same_add_one),
	    T(many_travel_in_batches_and_twice_is_once),
	    T(a_complaint_stays_one_when_mail_bounces),
	    T(what_has_expired_counts_no_more),
	    T(without_keyd_nothing_is_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
