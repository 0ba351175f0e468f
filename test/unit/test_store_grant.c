/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of messages: no more of them than was approved, and none comes back twice, whatever is asked. */
#include "relay/store/store_grant.h"

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
#include "relay/store/store_campaign.h"

enum { MAKING, LINTED, APPROVED, ACTIVE, PAUSED };

static char dir[64];
static struct store *s;
static uint8_t ids;

static void open_store(void)
{
	char text[STORE_ERR_MAX];
	int err;

	s = store_open(dir, &err, text);
	assert_non_null(s);
}

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_store_grant.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	open_store();
	return 0;
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

/* Its number. */
static int64_t active(const char *campaign, int64_t max)
{
	struct store_campaign c = {.state = ACTIVE,
				   .hash = SPAN_LIT("0123456789abcdef0123456789abcdef"),
				   .max_messages = max};
	int64_t version;

	assert_int_equal(
	    store_campaign_add(s, "shop", campaign, "erika", MAKING, 1000, &c.number, &version), 0);
	assert_int_equal(store_campaign_fill(s, &c, MAKING), 0);
	return c.number;
}

struct block {
	uint8_t id[STORE_GRANT_ID];
	int64_t count;
};

static struct span id_of(const struct block *b)
{
	return span_of(b->id, sizeof(b->id));
}

/* spent: NULL: none. */
static struct block take(int64_t number, int64_t count, const struct block *spent)
{
	struct block b = {.count = -1};

	memset(b.id, ++ids, sizeof(b.id));
	assert_int_equal(store_grant_take(s, number, ACTIVE, count,
					  spent ? id_of(spent) : span_of(NULL, 0), id_of(&b),
					  &b.count),
			 0);
	return b;
}

static int give_back(const struct block *b, int64_t unused)
{
	int err = store_begin(s);

	assert_int_equal(err, 0);
	err = store_grant_return(s, id_of(b), unused);
	assert_int_equal(store_commit(s), 0);
	return err;
}

static int see_taken(void *arg, const struct store_campaign *c)
{
	*(int64_t *)arg = c->taken;
	return 0;
}

static int64_t taken(int64_t number)
{
	int64_t n = -1;

	assert_int_equal(store_campaign_number(s, number, see_taken, &n), 0);
	return n;
}

static void no_more_messages_are_granted_than_were_approved(void **state)
{
	int64_t n = active("autumn", 250);
	struct block b = {.count = -1};

	(void)state;
	assert_int_equal(store_grant_take(s, n, LINTED, 100, span_of(NULL, 0), id_of(&b), &b.count),
			 ERR_BADSTATE);
	assert_int_equal(b.count, 0);
	assert_int_equal(take(n, 100, NULL).count, 100);
	assert_int_equal(take(n, 100, NULL).count, 100);
	assert_int_equal(take(n, 100, NULL).count, 50);
	assert_int_equal(take(n, 1, NULL).count, 0);
	assert_int_equal(taken(n), 250);
}

static void what_was_granted_and_not_given_back_is_known_after_a_restart(void **state)
{
	int64_t n = active("autumn", 250);
	struct block b = take(n, 200, NULL);

	(void)state;
	store_close(s);
	open_store();
	assert_int_equal(give_back(&b, 30), 0);
	store_close(s);
	open_store();
	assert_int_equal(give_back(&b, 30), ERR_NOTFOUND);
	assert_int_equal(take(n, 200, NULL).count, 80);
}

static void what_comes_back_can_be_taken_again(void **state)
{
	int64_t n = active("autumn", 100);
	struct block b = take(n, 100, NULL);

	(void)state;
	assert_int_equal(take(n, 1, NULL).count, 0);
	assert_int_equal(give_back(&b, 40), 0);
	assert_int_equal(taken(n), 60);
	assert_int_equal(take(n, 100, NULL).count, 40);
	assert_int_equal(take(n, 1, NULL).count, 0);
}

static void a_block_comes_back_once_and_by_its_name_alone(void **state)
{
	int64_t n = active("autumn", 1000);
	struct block b = take(n, 100, NULL), forged = b;

	(void)state;
	forged.id[3] ^= 1;
	assert_int_equal(give_back(&forged, 1), ERR_NOTFOUND);
	assert_int_equal(taken(n), 100);
	assert_int_equal(give_back(&b, 100), 0);
	assert_int_equal(give_back(&b, 100), ERR_NOTFOUND);
	assert_int_equal(give_back(&b, 0), ERR_NOTFOUND);
	assert_int_equal(taken(n), 0);
}

static void no_more_comes_back_than_was_granted(void **state)
{
	int64_t n = active("autumn", 120);
	struct block large = take(n, 100, NULL), small = take(n, 100, NULL);

	(void)state;
	assert_int_equal(small.count, 20);
	assert_int_equal(give_back(&small, 21), ERR_LIMIT);
	assert_int_equal(give_back(&small, -1), ERR_LIMIT);
	assert_int_equal(give_back(&large, INT64_MAX), ERR_LIMIT);
	assert_int_equal(taken(n), 120);
	assert_int_equal(give_back(&small, 20), 0);
	assert_int_equal(taken(n), 100);
}

static void what_is_spent_does_not_come_back(void **state)
{
	int64_t n = active("autumn", 1000), other = active("spring", 1000);
	struct block b = take(n, 10, NULL), theirs = take(other, 10, NULL), next = take(n, 10, &b);

	(void)state;
	assert_int_equal(give_back(&b, 10), ERR_NOTFOUND);
	assert_int_equal(taken(n), 20);
	take(n, 10, &theirs); /* not a block of this version */
	assert_int_equal(give_back(&theirs, 4), 0);
	assert_int_equal(taken(other), 6);
	assert_int_equal(give_back(&next, 10), 0);
	assert_int_equal(taken(n), 20);
}

static void the_last_one_is_spent_also_when_nothing_is_left(void **state)
{
	int64_t n = active("autumn", 10);
	struct block b = take(n, 10, NULL);

	(void)state;
	assert_int_equal(take(n, 10, &b).count, 0);
	assert_int_equal(give_back(&b, 10), ERR_NOTFOUND);
	assert_int_equal(taken(n), 10);
}

static void what_is_left_comes_back_while_the_version_is_paused(void **state)
{
	int64_t n = active("autumn", 100);
	struct block b = take(n, 10, NULL);

	(void)state;
	assert_int_equal(store_campaign_state(s, n, ACTIVE, PAUSED, 1), 0);
	assert_int_equal(give_back(&b, 10), 0);
	assert_int_equal(taken(n), 0);
}

static void of_milters_that_ended_without_a_word_only_the_last_are_known(void **state)
{
	int64_t n = active("autumn", 1000), other = active("spring", 1000);
	struct block first = take(n, 1, NULL), theirs = take(other, 1, NULL),
		     second = take(n, 1, NULL);

	(void)state;
	for (int i = 1; i < STORE_GRANT_OPEN; i++)
		take(n, 1, NULL);
	assert_int_equal(give_back(&first, 1), ERR_NOTFOUND);
	assert_int_equal(give_back(&second, 1), 0);
	assert_int_equal(give_back(&theirs, 1), 0);
	assert_int_equal(taken(n), STORE_GRANT_OPEN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(no_more_messages_are_granted_than_were_approved),
	    TEST(what_was_granted_and_not_given_back_is_known_after_a_restart),
	    TEST(what_comes_back_can_be_taken_again),
	    TEST(a_block_comes_back_once_and_by_its_name_alone),
	    TEST(no_more_comes_back_than_was_granted),
	    TEST(what_is_spent_does_not_come_back),
	    TEST(the_last_one_is_spent_also_when_nothing_is_left),
	    TEST(what_is_left_comes_back_while_the_version_is_paused),
	    TEST(of_milters_that_ended_without_a_word_only_the_last_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
