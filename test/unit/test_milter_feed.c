/* SPDX-License-Identifier: Apache-2.0 */
/* What relay tells of campaigns: parsed strictly, believed only with keyd's word; and reports on their way back. */
#include "milter/milter_feed_own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>

#include "core/err.h"
#include "core/log.h"
#include "milter/milter_report.h"

#define HASH  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

#define ITEM(customer, campaign, version, number, state, hash)                                              \
	"{\"customer\":\"" customer "\",\"campaign\":\"" campaign "\",\"version\":" version ",\"number\":" number \
	",\"state\":\"" state "\",\"hash\":\"" hash "\"}"
#define LIST "sealpost-revoked-1\nshop old *\nshop spring 1\n"
#define ANSWER(items, counter, list) "{\"items\":[" items "],\"revoked\":{\"counter\":" counter ",\"list\":\"" list "\"}}"
#define LIST_JSON "sealpost-revoked-1\\nshop old *\\nshop spring 1\\n"

static int parse(const char *text, struct milter_feed_list **l)
{
	json_t *answer = json_loads(text, 0, NULL);
	int err;

	assert_non_null(answer);
	err = milter_feed_list_parse(answer, l);
	json_decref(answer);
	return err;
}

static int find(const struct milter_feed_list *l, const char *customer, const char *campaign, uint32_t version)
{
	struct milter_manifest *m = NULL;
	int err = milter_feed_list_find(l, customer, span_str(campaign), version, &m);

	milter_manifest_unref(m);
	return err;
}

static void a_version_is_found_by_customer_name_and_number(void **state)
{
	struct milter_feed_list *l;

	(void)state;
	assert_int_equal(parse(ANSWER(ITEM("shop", "spring", "3", "7", "active", HASH) "," ITEM(
				      "shop", "spring", "2", "5", "paused", HASH) "," ITEM("acme", "spring", "1", "2",
											   "active", HASH) ","
				      ITEM("shop", "old", "4", "9", "active", HASH),
				      "2", LIST_JSON),
			       &l),
			 0);
	/* none of them was fetched: what is active counts as not what it should be */
	assert_int_equal(find(l, "shop", "spring", 3), ERR_DAMAGED);
	assert_int_equal(find(l, "acme", "spring", 1), ERR_DAMAGED);
	assert_int_equal(find(l, "shop", "spring", 2), ERR_BADSTATE);
	assert_int_equal(find(l, "shop", "spring", 4), ERR_NOTFOUND);
	assert_int_equal(find(l, "acme", "spring", 3), ERR_NOTFOUND);
	assert_int_equal(find(l, "shop", "spring", 1), ERR_GONE);
	assert_int_equal(find(l, "acme", "old", 1), ERR_NOTFOUND);
	assert_int_equal(find(l, "shop", "old", 4), ERR_GONE); /* all versions, whatever the list says besides */
	assert_int_equal(find(l, "shop", "old", 77), ERR_GONE);
	milter_feed_list_unref(l);
}

static void only_a_list_that_keyd_signed_last_is_believed(void **state)
{
	static const struct {
		const char *answer;
		uint64_t counter, lines;
		int vouched;
	} rows[] = {
	    {ANSWER("", "2", LIST_JSON), 2, 2, 1},
	    {ANSWER("", "2", LIST_JSON), 3, 2, 0},		       /* an older one */
	    {ANSWER("", "2", LIST_JSON), 2, 3, 0},
	    {ANSWER("", "2", "sealpost-revoked-1\\nshop old *\\n"), 2, 2, 0}, /* a line taken out */
	    {ANSWER("", "2", "sealpost-revoked-1\\nshop old *\\nshop spring 2\\n"), 2, 2, 0},
	    {ANSWER("", "0", ""), 2, 2, 0},
	    {ANSWER("", "0", ""), 0, 0, 1},
	    {ANSWER("", "0", "sealpost-revoked-1\\n"), 0, 0, 1},
	    {ANSWER("", "2", LIST_JSON), 0, 0, 0}, /* keyd never signed one */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct milter_keyd_revoked last = {.counter = rows[i].counter, .lines = rows[i].lines};
		struct milter_feed_list *l;
		EVP_Digest(LIST, sizeof(LIST) - 1, last.hash, NULL, EVP_sha256(), NULL);
		assert_int_equal(parse(rows[i].answer, &l), 0);
		if ((milter_feed_list_vouched(l, &last) == 0) != rows[i].vouched)
			fail_msg("row %zu", i);
		milter_feed_list_unref(l);
	}
}

static void what_is_the_same_is_not_fetched_again(void **state)
{
	struct milter_feed_list *l;
	struct milter_manifest_item i;

	(void)state;
	assert_int_equal(parse(ANSWER(ITEM("shop", "spring", "3", "7", "active", HASH), "0", ""), &l), 0);
	i = l->entries[0].item;
	assert_ptr_equal(milter_feed_list_same(l, &i), &l->entries[0]);
	assert_null(milter_feed_list_same(NULL, &i));
	i.hash[0] ^= 1;
	assert_null(milter_feed_list_same(l, &i));
	i = l->entries[0].item;
	i.number++;
	assert_null(milter_feed_list_same(l, &i));
	i = l->entries[0].item;
	i.active = 0;
	assert_null(milter_feed_list_same(l, &i));
	i.version = 4;
	assert_null(milter_feed_list_same(l, &i));
	milter_feed_list_unref(l);
}

static void an_answer_that_is_not_of_the_form_is_none(void **state)
{
	static const char *const rows[] = {
	    "{}",
	    "[]",
	    "{\"items\":[]}",
	    "{\"items\":{},\"revoked\":{\"counter\":0,\"list\":\"\"}}",
	    "{\"items\":[],\"revoked\":{\"counter\":-1,\"list\":\"\"}}",
	    "{\"items\":[],\"revoked\":{\"counter\":1}}",
	    ANSWER("", "1", ""),
	    ANSWER("", "1", "sealpost-revoked-2\\nx y 1\\n"),
	    ANSWER("", "1", "sealpost-revoked-1\\nx y 1"),
	    ANSWER("1", "0", ""),
	    ANSWER("{}", "0", ""),
	    ANSWER(ITEM("Shop", "spring", "3", "7", "active", HASH), "0", ""),
	    ANSWER(ITEM("shop", "spr ing", "3", "7", "active", HASH), "0", ""),
	    ANSWER(ITEM("shop", "", "3", "7", "active", HASH), "0", ""),
	    ANSWER(ITEM("shop", "spring", "0", "7", "active", HASH), "0", ""),
	    ANSWER(ITEM("shop", "spring", "4294967296", "7", "active", HASH), "0", ""),
	    ANSWER(ITEM("shop", "spring", "\"3\"", "7", "active", HASH), "0", ""),
	    ANSWER(ITEM("shop", "spring", "3", "7", "active", "00"), "0", ""),
	    ANSWER(ITEM("shop", "spring", "3", "7", "active", HASH "00"), "0", ""),
	};
	struct milter_feed_list *l;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (parse(rows[i], &l) != ERR_FORMAT)
			fail_msg("taken: %s", rows[i]);
}

/* --- reports */

static unsigned logged;

static void hear(void *arg, const char *line)
{
	(void)arg;
	logged += strstr(line, "event=reports-dropped") != NULL;
}

static struct milter_report numbered(unsigned n)
{
	struct milter_report r = {.time = 1767225600000000, .customer = "shop", .campaign = "spring", .version = 3,
				  .verdict = "literal", .part = 2, .offset = n, .templated = 1, .tpl = 1, .tpl_offset = 9};

	snprintf(r.id, sizeof(r.id), "%013u", n);
	return r;
}

/* Takes a batch; the offset of its first, its size in *n. */
static json_int_t batch(struct milter_reports *q, int *n)
{
	json_t *j, *first;
	json_int_t at = -1;
	struct buf b;

	buf_init(&b, 1 << 20);
	*n = milter_report_batch(q, &b);
	j = json_loadb((const char *)buf_ptr(&b), buf_size(&b), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	assert_int_equal(json_array_size(json_object_get(j, "items")), *n);
	first = json_array_get(json_object_get(j, "items"), 0);
	if (first) {
		at = json_integer_value(json_object_get(first, "offset"));
		assert_string_equal(json_string_value(json_object_get(first, "verdict")), "literal");
		assert_int_equal(json_integer_value(json_object_get(first, "time")), 1767225600000000);
	}
	json_decref(j);
	buf_clear(&b);
	return at;
}

static void reports_go_in_batches_and_stay_until_they_were_taken(void **state)
{
	struct milter_reports *q = milter_report_new();
	int n;

	(void)state;
	assert_int_equal(batch(q, &n), -1);
	assert_int_equal(n, 0);
	milter_report_done(q, 0);
	for (unsigned i = 0; i < MILTER_REPORT_BATCH + 5; i++) {
		struct milter_report r = numbered(i);
		milter_report_add(q, &r);
	}
	assert_int_equal(batch(q, &n), 0);
	assert_int_equal(n, MILTER_REPORT_BATCH);
	milter_report_done(q, 0); /* relay was away */
	assert_int_equal(batch(q, &n), 0);
	milter_report_done(q, 1);
	assert_int_equal(batch(q, &n), MILTER_REPORT_BATCH);
	assert_int_equal(n, 5);
	milter_report_done(q, 1);
	assert_int_equal(batch(q, &n), -1);
	milter_report_free(q);
}

static void the_oldest_are_dropped_loudly_when_nobody_takes_them(void **state)
{
	struct milter_reports *q = milter_report_new();
	int n;

	(void)state;
	logged = 0;
	log_capture(hear, NULL);
	for (unsigned i = 0; i < MILTER_REPORT_WAITING + 7; i++) {
		struct milter_report r = numbered(i);
		milter_report_add(q, &r);
	}
	log_flush();
	log_capture(NULL, NULL);
	assert_int_equal(logged, 1); /* not a line for each */
	assert_int_equal(batch(q, &n), 7);
	milter_report_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_version_is_found_by_customer_name_and_number),
	    cmocka_unit_test(only_a_list_that_keyd_signed_last_is_believed),
	    cmocka_unit_test(what_is_the_same_is_not_fetched_again),
	    cmocka_unit_test(an_answer_that_is_not_of_the_form_is_none),
	    cmocka_unit_test(reports_go_in_batches_and_stay_until_they_were_taken),
	    cmocka_unit_test(the_oldest_are_dropped_loudly_when_nobody_takes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
