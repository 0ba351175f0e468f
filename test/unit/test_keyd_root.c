/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_root.h"

static const uint8_t store[16] = "store-of-a-test";
static uint8_t *root, *back; /* secret memory */

static struct keyd_root_slot made(unsigned method, struct span secret)
{
	struct keyd_root_slot s = {.method = (uint8_t)method};

	assert_int_equal(keyd_root_slot_make(&s, store, secret, root), 0);
	return s;
}

static const uint8_t file_key[32] = "thirty-two bytes of a key file..";

static struct span secret_of(unsigned method)
{
	static const uint8_t credential[40] = "a credential of no less than 32 bytes...";

	if (method == KEYPROTO_SLOT_FILE)
		return span_of(file_key, sizeof(file_key));
	if (method == KEYPROTO_SLOT_PASSPHRASE)
		return SPAN_LIT("correct horse battery");
	return span_of(credential, sizeof(credential));
}

static void every_method_opens_with_its_secret_and_no_other(void **state)
{
	(void)state;
	for (unsigned m = KEYPROTO_SLOT_FILE; m <= KEYPROTO_SLOT_CREDENTIAL; m++) {
		struct span secret = secret_of(m);
		struct keyd_root_slot s = made(m, secret);
		uint8_t wrong[64];

		memset(back, 0, 32);
		assert_int_equal(keyd_root_slot_open(&s, store, secret, back), 0);
		assert_memory_equal(back, root, 32);
		memcpy(wrong, secret.p, secret.n);
		wrong[secret.n - 1] ^= 1;
		assert_int_equal(keyd_root_slot_open(&s, store, span_of(wrong, secret.n), back),
				 ERR_AUTH);
		assert_int_equal(
		    keyd_root_slot_open(&s, store, span_of(secret.p, secret.n - 1), back),
		    ERR_AUTH);
		assert_int_equal(keyd_root_slot_open(&s, store, span_of(NULL, 0), back), ERR_AUTH);
	}
}

static void a_slot_does_not_open_in_another_store(void **state)
{
	static const uint8_t other[16] = "another store...";
	struct keyd_root_slot s = made(KEYPROTO_SLOT_FILE, secret_of(KEYPROTO_SLOT_FILE));

	(void)state;
	assert_int_equal(keyd_root_slot_open(&s, other, secret_of(KEYPROTO_SLOT_FILE), back),
			 ERR_AUTH);
}

static void two_slots_of_one_secret_have_nothing_in_common(void **state)
{
	struct keyd_root_slot a =
	    made(KEYPROTO_SLOT_CREDENTIAL, secret_of(KEYPROTO_SLOT_CREDENTIAL));
	struct keyd_root_slot b =
	    made(KEYPROTO_SLOT_CREDENTIAL, secret_of(KEYPROTO_SLOT_CREDENTIAL));

	(void)state;
	assert_memory_not_equal(a.salt, b.salt, sizeof(a.salt));
	assert_memory_not_equal(a.wrapped, b.wrapped, sizeof(a.wrapped));
	memcpy(a.wrapped, b.wrapped, sizeof(a.wrapped));
	assert_int_equal(keyd_root_slot_open(&a, store, secret_of(KEYPROTO_SLOT_CREDENTIAL), back),
			 ERR_AUTH);
}

static void no_changed_byte_of_a_stored_slot_opens(void **state)
{
	struct keyd_root_slot s = {.method = KEYPROTO_SLOT_CREDENTIAL, .name = "root"}, t;
	struct span secret = secret_of(KEYPROTO_SLOT_CREDENTIAL);
	struct buf b;

	(void)state;
	assert_int_equal(keyd_root_slot_make(&s, store, secret, root), 0);
	buf_init(&b, 512);
	assert_int_equal(keyd_root_slot_put(&b, &s), 0);
	assert_int_equal(keyd_root_slot_get(buf_span(&b), &t), 0);
	assert_string_equal(t.name, "root");
	assert_int_equal(keyd_root_slot_open(&t, store, secret, back), 0);
	for (size_t i = 0; i < buf_size(&b); i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			b.data[b.off + i] ^= (uint8_t)(1 << bit);
			if (keyd_root_slot_get(buf_span(&b), &t) == 0)
				assert_true(keyd_root_slot_open(&t, store, secret, back) < 0);
			b.data[b.off + i] ^= (uint8_t)(1 << bit);
		}
	}
	for (size_t n = 0; n < buf_size(&b); n++)
		assert_int_equal(keyd_root_slot_get(span_of(buf_ptr(&b), n), &t), ERR_FORMAT);
	buf_clear(&b);
}

/* What an attacker who writes the store would plant, to make keyd run out of time or memory. */
static void argon2_parameters_beyond_the_caps_are_refused_before_use(void **state)
{
	static const struct {
		uint32_t passes, memory_kib, lanes;
		int rc;
	} rows[] = {{3, 65536, 1, 0},
		    {10, 262144, 4, 0},
		    {0, 65536, 1, ERR_LIMIT},
		    {11, 65536, 1, ERR_LIMIT},
		    {3, 4096, 1, ERR_LIMIT},
		    {3, 262145, 1, ERR_LIMIT},
		    {3, 65536, 0, ERR_LIMIT},
		    {3, 65536, 5, ERR_LIMIT},
		    {UINT32_MAX, 65536, 1, ERR_LIMIT},
		    {3, UINT32_MAX, 1, ERR_LIMIT}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct keyd_root_slot s = {.method = KEYPROTO_SLOT_PASSPHRASE,
					   .passes = rows[i].passes,
					   .memory_kib = rows[i].memory_kib,
					   .lanes = rows[i].lanes},
				      t;
		struct buf b;

		buf_init(&b, 512);
		keyd_root_slot_put(&b, &s);
		assert_int_equal(keyd_root_slot_get(buf_span(&b), &t), rows[i].rc);
		buf_clear(&b);
		if (rows[i].rc < 0)
			assert_int_equal(keyd_root_slot_open(
					     &s, store, secret_of(KEYPROTO_SLOT_PASSPHRASE), back),
					 ERR_LIMIT);
	}
}

static void secrets_that_are_too_weak_make_no_slot(void **state)
{
	struct keyd_root_slot s = {.method = KEYPROTO_SLOT_PASSPHRASE};

	(void)state;
	assert_int_equal(keyd_root_slot_make(&s, store, SPAN_LIT("1234567"), root), ERR_FORMAT);
	s.method = KEYPROTO_SLOT_CREDENTIAL;
	assert_int_equal(
	    keyd_root_slot_make(&s, store, SPAN_LIT("31 bytes are not enough for it."), root),
	    ERR_FORMAT);
	s.method = KEYPROTO_SLOT_FILE;
	assert_int_equal(keyd_root_slot_make(&s, store, SPAN_LIT("short"), root), ERR_FORMAT);
}

static void keys_derived_from_the_root_all_differ(void **state)
{
	struct keyd_root_keys *k = secret_alloc(sizeof(*k));
	const uint8_t *keys[] = {k->kek, k->key, k->snapshot, k->journal, root};

	(void)state;
	assert_int_equal(keyd_root_derive(root, k), 0);
	for (unsigned i = 0; i < 5; i++)
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(keys[i], keys[j], 32);
	secret_free(k, sizeof(*k));
}

static void a_key_file_is_made_once_private_and_kept(void **state)
{
	char dir[] = "/tmp/test_keyd_root.XXXXXX", path[64];
	uint8_t *a = secret_alloc(32), *b = secret_alloc(32);
	struct stat st;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/root.key", dir);
	assert_int_equal(keyd_root_file_read(path, a), ERR_NOTFOUND);
	assert_int_equal(keyd_root_file_make(path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 32);
	assert_int_equal(keyd_root_file_read(path, a), 0);
	assert_int_equal(keyd_root_file_make(path), 0);
	assert_int_equal(keyd_root_file_read(path, b), 0);
	assert_memory_equal(a, b, 32);
	chmod(path, 0640);
	assert_int_equal(keyd_root_file_read(path, b), ERR_DENIED);
	assert_int_equal(keyd_root_file_make(path), ERR_DENIED);
	chmod(path, 0600);
	f = fopen(path, "ab");
	assert_non_null(f);
	fputc('x', f);
	fclose(f);
	assert_int_equal(keyd_root_file_read(path, b), ERR_FORMAT);
	unlink(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(keyd_root_file_read(path, b), ERR_DENIED);
	unlink(path);
	rmdir(dir);
	secret_free(a, 32);
	secret_free(b, 32);
}

static int read_credential(const char *name)
{
	struct buf b;
	int rc;

	buf_init_wiped(&b, KEYD_ROOT_SECRET_MAX);
	rc = keyd_root_credential_read(name, &b);
	buf_clear(&b);
	return rc;
}

static void a_credential_is_looked_for_in_its_directory_alone(void **state)
{
	char dir[] = "/tmp/test_keyd_root.XXXXXX", path[64];
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/root", dir);
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(read_credential("root"), ERR_NOTFOUND);
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	assert_int_equal(read_credential("root"), ERR_NOTFOUND);
	f = fopen(path, "wb");
	assert_non_null(f);
	chmod(path, 0600);
	fputs("0123456789abcdef0123456789abcde", f);
	fflush(f);
	assert_int_equal(read_credential("root"), ERR_FORMAT); /* 31 bytes */
	fputc('f', f);
	fclose(f);
	assert_int_equal(read_credential("root"), 0);
	assert_int_equal(read_credential("../etc/passwd"), ERR_NOTFOUND);
	assert_int_equal(read_credential(""), ERR_NOTFOUND);
	unsetenv("CREDENTIALS_DIRECTORY");
	unlink(path);
	rmdir(dir);
}

static void each_wrong_passphrase_doubles_the_wait_up_to_five_minutes(void **state)
{
	struct keyd_root_delay d = {0};
	int64_t now = 1000 * CLOCK_SEC, want = CLOCK_SEC;

	(void)state;
	assert_int_equal(keyd_root_delay_check(&d, now), 0);
	for (int i = 0; i < 40; i++) {
		keyd_root_delay_failed(&d, now);
		assert_int_equal(keyd_root_delay_check(&d, now), ERR_BUSY);
		assert_int_equal(keyd_root_delay_check(&d, now + want - 1), ERR_BUSY);
		assert_int_equal(keyd_root_delay_check(&d, now + want), 0);
		now += want;
		want = want * 2 < 300 * CLOCK_SEC ? want * 2 : 300 * CLOCK_SEC;
	}
	keyd_root_delay_passed(&d);
	assert_int_equal(keyd_root_delay_check(&d, now), 0);
	keyd_root_delay_failed(&d, now);
	assert_int_equal(keyd_root_delay_check(&d, now + CLOCK_SEC), 0);
}

static void count_one(void *arg, const char *text)
{
	assert_true(strlen(text) > 10);
	(*(int *)arg)++;
}

static int warnings(unsigned a, unsigned b)
{
	struct keyd_root_slot slots[2] = {{.method = (uint8_t)a}, {.method = (uint8_t)b}};
	int n = 0;

	keyd_root_warnings(slots, b ? 2 : 1, count_one, &n);
	return n;
}

static void status_nags_until_two_slots_of_different_kind_exist(void **state)
{
	(void)state;
	assert_int_equal(warnings(KEYPROTO_SLOT_FILE, 0), 2);
	assert_int_equal(warnings(KEYPROTO_SLOT_FILE, KEYPROTO_SLOT_FILE), 2);
	assert_int_equal(warnings(KEYPROTO_SLOT_FILE, KEYPROTO_SLOT_PASSPHRASE), 1);
	assert_int_equal(warnings(KEYPROTO_SLOT_PASSPHRASE, KEYPROTO_SLOT_PASSPHRASE), 1);
	assert_int_equal(warnings(KEYPROTO_SLOT_PASSPHRASE, KEYPROTO_SLOT_CREDENTIAL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_method_opens_with_its_secret_and_no_other),
	    cmocka_unit_test(a_slot_does_not_open_in_another_store),
	    cmocka_unit_test(two_slots_of_one_secret_have_nothing_in_common),
	    cmocka_unit_test(no_changed_byte_of_a_stored_slot_opens),
	    cmocka_unit_test(argon2_parameters_beyond_the_caps_are_refused_before_use),
	    cmocka_unit_test(secrets_that_are_too_weak_make_no_slot),
	    cmocka_unit_test(keys_derived_from_the_root_all_differ),
	    cmocka_unit_test(a_key_file_is_made_once_private_and_kept),
	    cmocka_unit_test(a_credential_is_looked_for_in_its_directory_alone),
	    cmocka_unit_test(each_wrong_passphrase_doubles_the_wait_up_to_five_minutes),
	    cmocka_unit_test(status_nags_until_two_slots_of_different_kind_exist),
	};

	if (keyd_crypto_init() < 0)
		return 1;
	root = secret_alloc(32);
	back = secret_alloc(32);
	memcpy(root, "the root key of a test, 32 bytes", 32);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
