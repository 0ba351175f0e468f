/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store_campaign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"

enum { MAKING, LINTED, APPROVED, ACTIVE, PAUSED };

static char dir[64];
static struct store *s;

static int set_up(void **state)
{
	char text[STORE_ERR_MAX];
	int err;

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_store_campaign.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	s = store_open(dir, &err, text);
	return s ? 0 : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"relay.db", "relay.db-wal", "relay.db-shm"};
	char path[128];

	(void)state;
	store_close(s);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static int64_t add(const char *customer, const char *campaign, int64_t *version)
{
	int64_t number = 0;

	assert_int_equal(store_campaign_add(s, customer, campaign, "erika", MAKING, 1000, &number, version), 0);
	assert_true(number > 0);
	return number;
}

static int64_t linted(const char *campaign, int64_t max)
{
	struct store_campaign c = {.state = LINTED, .hash = SPAN_LIT("0123456789abcdef0123456789abcdef"),
				   .max_messages = max, .pieces = 1, .size = 5};
	int64_t version;

	c.number = add("shop", campaign, &version);
	assert_int_equal(store_campaign_piece_add(s, "shop", c.number, 0, SPAN_LIT("sealed")), 0);
	assert_int_equal(store_campaign_fill(s, &c, MAKING), 0);
	return c.number;
}

struct seen {
	struct store_campaign row;
	int count;
	char hash[33];
};

static int see(void *arg, const struct store_campaign *c)
{
	struct seen *x = arg;

	x->row = *c;
	x->count++;
	memset(x->hash, 0, sizeof(x->hash));
	if (c->hash.n == 32)
		memcpy(x->hash, c->hash.p, 32);
	return 0;
}

static void each_add_makes_the_next_version_and_a_number_of_its_own(void **state)
{
	int64_t v1, v2, w1, n1, n2, n3, n4;

	(void)state;
	n1 = add("shop", "autumn", &v1);
	n2 = add("shop", "autumn", &v2);
	n3 = add("bank", "autumn", &w1);
	assert_int_equal(v1, 1);
	assert_int_equal(v2, 2);
	assert_int_equal(w1, 1);
	assert_true(n1 != n2 && n2 != n3);
	assert_int_equal(store_campaign_drop(s, n3), 0);
	n4 = add("bank", "autumn", &w1);
	assert_int_equal(w1, 1);
	assert_true(n4 > n3); /* a number is never used twice */
}

static void what_a_crash_left_half_made_is_nobodys(void **state)
{
	struct seen x = {.count = 0};
	int64_t v;

	(void)state;
	add("shop", "autumn", &v);
	assert_int_equal(store_campaign_get(s, "shop", "autumn", 0, see, &x), ERR_NOTFOUND);
	assert_int_equal(store_campaign_each(s, NULL, NULL, see, &x), 0);
	assert_int_equal(x.count, 0);
	assert_int_equal(store_campaign_drop_all(s, MAKING), 0);
	assert_int_equal(store_campaign_count(s, MAKING, 0), 0);
}

static void a_version_is_filled_once_and_never_again(void **state)
{
	struct store_campaign other = {.state = LINTED, .hash = SPAN_LIT("ffffffffffffffffffffffffffffffff")};
	struct seen x = {.count = 0};

	(void)state;
	other.number = linted("autumn", 0);
	assert_int_equal(store_campaign_fill(s, &other, MAKING), ERR_BADSTATE);
	assert_true(store_campaign_piece_add(s, "shop", other.number, 0, SPAN_LIT("other")) < 0);
	assert_int_equal(store_campaign_number(s, other.number, see, &x), 0);
	assert_string_equal(x.hash, "0123456789abcdef0123456789abcdef");
}

static void states_change_only_from_where_they_are_said_to_be(void **state)
{
	int64_t n = linted("autumn", 0);

	(void)state;
	assert_int_equal(store_campaign_state(s, n, APPROVED, ACTIVE, 1), ERR_BADSTATE);
	assert_int_equal(store_campaign_approve(s, n, LINTED, APPROVED, "bert", SPAN_LIT("sig"), 1), 0);
	assert_int_equal(store_campaign_state(s, n, APPROVED, ACTIVE, 1), 0);
	assert_int_equal(store_campaign_approve(s, n, LINTED, APPROVED, "mallory", SPAN_LIT("sig"), 1), ERR_BADSTATE);
	assert_int_equal(store_campaign_state(s, n, ACTIVE, PAUSED, 1), 0);
	assert_int_equal(store_campaign_state(s, n, ACTIVE, PAUSED, 1), ERR_BADSTATE);
}

static int one_piece(void *arg, const struct store_campaign_piece *p)
{
	char *out = arg;

	memcpy(out, p->sealed.p, p->sealed.n);
	out[p->sealed.n] = '\0';
	return 0;
}

static void a_piece_is_replaced_only_if_it_is_as_it_was(void **state)
{
	int64_t n = linted("autumn", 0), id = store_campaign_piece_id(n, 0);
	char text[32] = "";

	(void)state;
	assert_int_equal(store_campaign_reseal(s, id, SPAN_LIT("other"), SPAN_LIT("new")), ERR_EXISTS);
	assert_int_equal(store_campaign_reseal(s, id, SPAN_LIT("sealed"), SPAN_LIT("new")), 0);
	assert_int_equal(store_campaign_pieces(s, n, 0, 10, one_piece, text), 0);
	assert_string_equal(text, "new");
	text[0] = '\0';
	assert_int_equal(store_campaign_pieces_each(s, "bank", 0, 10, one_piece, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(store_campaign_pieces_each(s, "shop", id, 10, one_piece, text), 0);
	assert_string_equal(text, "");
}

static int count_pieces(void *arg, const struct store_campaign_piece *p)
{
	(void)p;
	++*(int *)arg;
	return 0;
}

static int pieces_from(int64_t n, int64_t first, int64_t count)
{
	int found = 0;

	assert_int_equal(store_campaign_pieces(s, n, first, count, count_pieces, &found), 0);
	return found;
}

static void pieces_of_an_audience_are_no_other_version_s_and_no_package_s(void **state)
{
	int64_t n = linted("autumn", 0), other = linted("winter", 0), last = STORE_CAMPAIGN_LIST + STORE_CAMPAIGN_LIST_PIECES - 1;

	(void)state;
	assert_int_equal(store_campaign_piece_id(n, 511) + 1, store_campaign_piece_id(n + 1, 0)); /* as it always was */
	assert_int_equal(store_campaign_piece_id(n, last) + 1, store_campaign_piece_id(n + 1, STORE_CAMPAIGN_LIST));
	assert_true(store_campaign_piece_id(UINT32_MAX, 511) < store_campaign_piece_id(0, STORE_CAMPAIGN_LIST));
	for (int i = 0; i < 5; i++)
		assert_int_equal(store_campaign_piece_add(s, "shop", n, STORE_CAMPAIGN_LIST + i, SPAN_LIT("list")), 0);
	assert_int_equal(store_campaign_piece_add(s, "shop", n, last, SPAN_LIT("last")), 0);
	assert_int_equal(store_campaign_piece_add(s, "shop", other, STORE_CAMPAIGN_LIST, SPAN_LIT("list")), 0);
	assert_int_equal(pieces_from(n, 0, STORE_CAMPAIGN_PIECES), 1);
	assert_int_equal(pieces_from(n, STORE_CAMPAIGN_LIST, 3), 3);
	assert_int_equal(pieces_from(n, STORE_CAMPAIGN_LIST + 3, 100), 2);
	assert_int_equal(pieces_from(n, STORE_CAMPAIGN_LIST, STORE_CAMPAIGN_LIST_PIECES), 6);
	assert_int_equal(pieces_from(other, STORE_CAMPAIGN_LIST, STORE_CAMPAIGN_LIST_PIECES), 1);
	assert_int_equal(store_campaign_list_drop(s, n), 0);
	assert_int_equal(pieces_from(n, STORE_CAMPAIGN_LIST, STORE_CAMPAIGN_LIST_PIECES), 0);
	assert_int_equal(pieces_from(n, 0, STORE_CAMPAIGN_PIECES), 1);
	assert_int_equal(store_campaign_piece_add(s, "shop", n, STORE_CAMPAIGN_LIST, SPAN_LIT("list")), 0);
	assert_int_equal(store_campaign_drop(s, n), 0);
	assert_int_equal(pieces_from(n, STORE_CAMPAIGN_LIST, STORE_CAMPAIGN_LIST_PIECES), 0);
	assert_int_equal(pieces_from(other, STORE_CAMPAIGN_LIST, STORE_CAMPAIGN_LIST_PIECES), 1);
}

static void what_a_crash_left_half_made_goes_with_its_pieces(void **state)
{
	int64_t n, version;

	(void)state;
	assert_int_equal(store_campaign_add(s, "shop", "spring", "anna", 0, 1, &n, &version), 0);
	assert_int_equal(store_campaign_piece_add(s, "shop", n, STORE_CAMPAIGN_LIST, SPAN_LIT("list")), 0);
	assert_int_equal(store_campaign_drop_all(s, 0), 0);
	assert_int_equal(pieces_from(n, STORE_CAMPAIGN_LIST, 10), 0);
}

struct lines {
	char text[512];
};

static int put_line(void *arg, const struct store_campaign_revoked *l)
{
	struct lines *x = arg;
	size_t n = strlen(x->text);

	snprintf(x->text + n, sizeof(x->text) - n, "%s %s %d;", l->customer, l->campaign, (int)l->version);
	return 0;
}

static void put_revoked(const char *campaign, int64_t version, int64_t counter)
{
	const struct store_campaign_revoked l = {"shop", campaign, version, counter};

	assert_int_equal(store_campaign_revoke(s, &l, 1), 0);
}

static void the_revoked_are_sorted_as_text_and_only_grow(void **state)
{
	struct lines x = {""};

	(void)state;
	put_revoked("b", 10, 1);
	put_revoked("b", 9, 1);
	put_revoked("a", STORE_CAMPAIGN_REVOKED_ALL, 2);
	put_revoked("a", 1, 2);
	put_revoked("c", 1, INT64_MAX);
	put_revoked("b", 9, 7); /* again: nothing changes */
	assert_int_equal(store_campaign_revoked_each(s, 1, put_line, &x), 0);
	assert_string_equal(x.text, "shop b 10;shop b 9;");
	x.text[0] = '\0';
	assert_int_equal(store_campaign_revoked_move(s, 3), 0);
	assert_int_equal(store_campaign_revoked_each(s, 3, put_line, &x), 0);
	assert_string_equal(x.text, "shop a 0;shop a 1;shop b 10;shop b 9;shop c 1;");
}

static int see_report(void *arg, const struct store_rejection *x)
{
	*(struct store_rejection *)arg = *x;
	return 0;
}

static void a_rejection_is_kept_and_expires(void **state)
{
	struct store_rejection x = {"r1", 1000, "shop", "autumn", 3, "header-foreign", "x-mailer", 2, 402, 1, 397}, got;

	(void)state;
	assert_int_equal(store_rejection_put(s, &x), 0);
	x.verdict = "mac";
	assert_int_equal(store_rejection_put(s, &x), 0); /* told twice */
	assert_int_equal(store_rejection_get(s, "r1", see_report, &got), 0);
	assert_int_equal(got.offset, 402);
	assert_int_equal(store_rejection_get(s, "r2", see_report, &got), ERR_NOTFOUND);
	assert_int_equal(store_rejection_expire(s, 1000, 10), 0);
	assert_int_equal(store_rejection_expire(s, 1001, 10), 1);
	assert_int_equal(store_rejection_get(s, "r1", see_report, &got), ERR_NOTFOUND);
	for (int i = 0; i < 5; i++) {
		char id[8];
		snprintf(id, sizeof(id), "q%d", i);
		x.id = id;
		x.time = i;
		assert_int_equal(store_rejection_put(s, &x), 0);
	}
	assert_int_equal(store_rejection_expire(s, 0, 2), 3);
	assert_int_equal(store_rejection_get(s, "q4", see_report, &got), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(each_add_makes_the_next_version_and_a_number_of_its_own),
	    TEST(what_a_crash_left_half_made_is_nobodys),
	    TEST(a_version_is_filled_once_and_never_again),
	    TEST(states_change_only_from_where_they_are_said_to_be),
	    TEST(pieces_of_an_audience_are_no_other_version_s_and_no_package_s),
	    TEST(what_a_crash_left_half_made_goes_with_its_pieces),
	    TEST(a_piece_is_replaced_only_if_it_is_as_it_was),
	    TEST(the_revoked_are_sorted_as_text_and_only_grow),
	    TEST(a_rejection_is_kept_and_expires),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
