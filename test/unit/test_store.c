/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"

static char dir[64];

static int set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/test_store.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"relay.db", "relay.db-wal", "relay.db-shm"};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		unlink(path_of(names[i]));
	return rmdir(dir);
}

static struct store *opened(void)
{
	char text[STORE_ERR_MAX];
	int err;
	struct store *s = store_open(dir, &err, text);

	assert_non_null(s);
	assert_int_equal(err, 0);
	return s;
}

static void refused(int want, const char *words)
{
	char text[STORE_ERR_MAX];
	int err = 0;

	assert_null(store_open(dir, &err, text));
	assert_int_equal(err, want);
	assert_non_null(strstr(text, words));
}

#define INSERT                                                                                   \
	STORE_SQL("INSERT INTO credential(customer, name, kind, created, changed) VALUES(?, ?, ?, ?, 0)")

static int64_t count(struct store *s)
{
	struct store_rows r;
	int64_t n;

	assert_int_equal(store_rows_open(s, &r, STORE_SQL("SELECT count(*) FROM credential"), NULL, 0), 0);
	assert_int_equal(store_rows_next(&r), 1);
	n = store_rows_int(&r, 0);
	store_rows_close(&r);
	return n;
}

static void what_was_written_is_there_after_opening_again(void **state)
{
	struct store *s = opened();
	struct store_rows r;

	(void)state;
	assert_int_equal(store_run(s, INSERT, STORE_ARGS(store_text("mta1"), store_text("a.test"),
							 store_int(20000), store_int(7))),
			 1);
	store_close(s);
	s = opened();
	assert_int_equal(store_rows_open(s, &r,
					 STORE_SQL("SELECT name, kind, created FROM credential WHERE customer=?"),
					 STORE_ARGS(store_text("mta1"))),
			 0);
	assert_int_equal(store_rows_next(&r), 1);
	assert_string_equal(store_rows_text(&r, 0), "a.test");
	assert_int_equal(store_rows_bytes(&r, 0).n, 6);
	assert_int_equal(store_rows_int(&r, 1), 20000);
	assert_int_equal(store_rows_int(&r, 2), 7);
	assert_int_equal(store_rows_next(&r), 0);
	store_rows_close(&r);
	store_close(s);
}

static void the_file_is_private(void **state)
{
	struct stat st;

	(void)state;
	store_close(opened());
	assert_int_equal(stat(path_of("relay.db"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(chmod(path_of("relay.db"), 0644), 0);
	refused(ERR_DENIED, "mode 0600");
}

static void the_same_key_twice_is_refused_and_nothing_else_suffers(void **state)
{
	struct store *s = opened();

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(store_run(s, INSERT, STORE_ARGS(store_text(""), store_text("a.test"),
								 store_int(1), store_int(1))),
				 i ? ERR_EXISTS : 1);
	assert_int_equal(count(s), 1);
	store_close(s);
}

static void a_transaction_is_whole_or_not_at_all(void **state)
{
	struct store *s = opened();

	(void)state;
	assert_int_equal(store_begin(s), 0);
	store_run(s, INSERT, STORE_ARGS(store_text(""), store_text("a.test"), store_int(1), store_int(1)));
	store_rollback(s);
	assert_int_equal(count(s), 0);
	assert_int_equal(store_begin(s), 0);
	store_run(s, INSERT, STORE_ARGS(store_text(""), store_text("a.test"), store_int(1), store_int(1)));
	store_run(s, INSERT, STORE_ARGS(store_text(""), store_text("b.test"), store_int(1), store_int(1)));
	assert_int_equal(store_commit(s), 0);
	assert_int_equal(count(s), 2);
	store_rollback(s); /* of nothing */
	assert_int_equal(count(s), 2);
	store_close(s);
}

static void aad_differs_with_each_part_and_with_the_database(void **state)
{
	static const struct {
		const char *customer, *table, *column;
		int64_t row;
	} rows[] = {{"a", "credential", "secret", 1}, {"b", "credential", "secret", 1},
		    {"a", "suppression", "secret", 1}, {"a", "credential", "login", 1},
		    {"a", "credential", "secret", 2}};
	struct store *s = opened();
	struct buf all[6];

	(void)state;
	for (size_t i = 0; i < 6; i++)
		buf_init(&all[i], 4096);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(store_aad(s, &all[i], rows[i].customer, rows[i].table, rows[i].column,
					   rows[i].row),
				 0);
	store_close(s);
	s = opened();
	assert_int_equal(store_aad(s, &all[5], "a", "credential", "secret", 1), 0);
	assert_true(span_equal(buf_span(&all[0]), buf_span(&all[5]))); /* the same database still */
	store_close(s);
	for (size_t i = 0; i < 5; i++)
		for (size_t j = 0; j < i; j++)
			assert_false(span_equal(buf_span(&all[i]), buf_span(&all[j])));
	tear_down(NULL);
	assert_int_equal(mkdir(dir, 0700), 0);
	s = opened();
	buf_clear(&all[5]);
	buf_init(&all[5], 4096);
	assert_int_equal(store_aad(s, &all[5], "a", "credential", "secret", 1), 0);
	assert_false(span_equal(buf_span(&all[0]), buf_span(&all[5])));
	store_close(s);
	for (size_t i = 0; i < 6; i++)
		buf_clear(&all[i]);
}

static void damage_is_noticed_when_it_is_opened(void **state)
{
	uint8_t junk[4096];
	int fd;

	(void)state;
	memset(junk, 0x5a, sizeof(junk));
	store_close(opened());
	fd = open(path_of("relay.db"), O_WRONLY);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 4096), sizeof(junk));
	close(fd);
	refused(ERR_DAMAGED, "damaged");
	fd = open(path_of("relay.db"), O_WRONLY | O_TRUNC);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), 0), sizeof(junk));
	close(fd);
	refused(ERR_DAMAGED, "damaged");
}

static void a_newer_version_is_left_alone(void **state)
{
	struct store *s = opened();

	(void)state;
	assert_int_equal(store_run(s, STORE_SQL("PRAGMA user_version=9999"), NULL, 0) >= 0, 1);
	store_close(s);
	refused(ERR_UNSUPPORTED, "newer version (9999");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(what_was_written_is_there_after_opening_again),
	    TEST(the_file_is_private),
	    TEST(the_same_key_twice_is_refused_and_nothing_else_suffers),
	    TEST(a_transaction_is_whole_or_not_at_all),
	    TEST(aad_differs_with_each_part_and_with_the_database),
	    TEST(damage_is_noticed_when_it_is_opened),
	    TEST(a_newer_version_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
