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

static const uint8_t key_itself[32] = "thirty-two bytes of a slot's key";

/* A slot of this method as its caller sets it up. */
static struct keyd_root_slot begun(unsigned method)
{
	struct keyd_root_slot s = {.id = 7, .method = (uint8_t)method, .created = 1000};

	strcpy(s.name, "a-name");
	if (method == KEYPROTO_SLOT_SHARES) {
		s.shares = (struct keyd_root_shares){.need = 3, .of = 5, .set = "12345678"};
	} else if (method == KEYPROTO_SLOT_TOKEN) {
		strcpy(s.token.uri, "pkcs11:token=sealpost;object=root");
		s.token.blob = (struct keyd_token_blob){KEYD_TOKEN_AES_GCM, 60, "wrapped key"};
	}
	return s;
}

static struct keyd_root_slot made(unsigned method, struct span secret)
{
	struct keyd_root_slot s = begun(method);

	assert_int_equal(keyd_root_slot_make(&s, store, secret, root), 0);
	return s;
}

static struct span secret_of(unsigned method)
{
	static const uint8_t credential[40] = "a credential of no less than 32 bytes...";

	if (method == KEYPROTO_SLOT_PASSPHRASE)
		return SPAN_LIT("correct horse battery");
	if (method == KEYPROTO_SLOT_CREDENTIAL)
		return span_of(credential, sizeof(credential));
	return span_of(key_itself, sizeof(key_itself));
}

static void every_method_opens_with_its_secret_and_no_other(void **state)
{
	(void)state;
	for (unsigned m = KEYPROTO_SLOT_FILE; m <= KEYPROTO_SLOT_TOKEN; m++) {
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

static void the_table_of_methods_says_what_each_can_do(void **state)
{
	static const struct {
		const char *name;
		int safe, offline, alone;
		enum keyd_root_given given;
	} rows[] = {{NULL, 0, 0, 0, 0},
		    {"file", 0, 0, 1, KEYD_ROOT_NEVER},
		    {"passphrase", 1, 1, 0, KEYD_ROOT_ALWAYS},
		    {"credential", 1, 0, 1, KEYD_ROOT_NEVER},
		    {"shares", 1, 1, 0, KEYD_ROOT_ALWAYS},
		    {"token", 1, 1, 1, KEYD_ROOT_MAYBE}};

	(void)state;
	for (unsigned i = 1; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct keyd_root_method *m = keyd_root_method(i);
		assert_non_null(m);
		assert_string_equal(m->name, rows[i].name);
		assert_string_equal(keyd_root_method_name(i), rows[i].name);
		assert_int_equal(m->safe, rows[i].safe);
		assert_int_equal(m->offline, rows[i].offline);
		assert_int_equal(m->alone, rows[i].alone);
		assert_int_equal(m->given, rows[i].given);
	}
	assert_null(keyd_root_method(0));
	assert_null(keyd_root_method(6));
	assert_null(keyd_root_method_name(255));
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
	assert_memory_not_equal(a.credential.salt, b.credential.salt, KEYD_ROOT_SALT);
	assert_memory_not_equal(a.wrapped, b.wrapped, sizeof(a.wrapped));
	memcpy(a.wrapped, b.wrapped, sizeof(a.wrapped));
	assert_int_equal(keyd_root_slot_open(&a, store, secret_of(KEYPROTO_SLOT_CREDENTIAL), back),
			 ERR_AUTH);
}

/* Argon2id over every changed bit would take hours: its slot is left out, its bytes are the same. */
static void no_changed_byte_of_a_stored_slot_opens(void **state)
{
	static const uint8_t methods[] = {KEYPROTO_SLOT_FILE, KEYPROTO_SLOT_CREDENTIAL,
					  KEYPROTO_SLOT_SHARES, KEYPROTO_SLOT_TOKEN};

	(void)state;
	for (unsigned m = 0; m < sizeof(methods); m++) {
		struct span secret = secret_of(methods[m]);
		struct keyd_root_slot s = made(methods[m], secret), t;
		struct buf b;

		buf_init(&b, 2048);
		assert_int_equal(keyd_root_slot_put(&b, &s), 0);
		assert_int_equal(keyd_root_slot_get(buf_span(&b), &t), 0);
		assert_memory_equal(&t, &s, sizeof(s));
		assert_int_equal(keyd_root_slot_open(&t, store, secret, back), 0);
		for (size_t i = 0; i < buf_size(&b); i++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				b.data[b.off + i] ^= (uint8_t)(1 << bit);
				if (keyd_root_slot_get(buf_span(&b), &t) == 0)
					assert_true(keyd_root_slot_open(&t, store, secret, back) <
						    0);
				b.data[b.off + i] ^= (uint8_t)(1 << bit);
			}
		}
		for (size_t n = 0; n < buf_size(&b); n++)
			assert_int_equal(keyd_root_slot_get(span_of(buf_ptr(&b), n), &t),
					 ERR_FORMAT);
		buf_clear(&b);
	}
}

/* Puts s into a store's bytes, and asks what reading and opening it say. */
static void assert_refused(const struct keyd_root_slot *s, int want)
{
	struct keyd_root_slot t;
	struct buf b;

	buf_init(&b, 2048);
	keyd_root_slot_put(&b, s);
	assert_int_equal(keyd_root_slot_get(buf_span(&b), &t), want);
	buf_clear(&b);
	if (want == ERR_LIMIT)
		assert_int_equal(keyd_root_slot_open(s, store, secret_of(s->method), back),
				 ERR_LIMIT);
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
		struct keyd_root_slot s = begun(KEYPROTO_SLOT_PASSPHRASE);
		s.passphrase.passes = rows[i].passes;
		s.passphrase.memory_kib = rows[i].memory_kib;
		s.passphrase.lanes = rows[i].lanes;
		assert_refused(&s, rows[i].rc);
	}
}

static void numbers_of_shares_that_cannot_be_are_refused(void **state)
{
	static const struct {
		uint8_t need, of;
		int rc;
	} rows[] = {{2, 2, 0},	       {32, 32, 0},	     {0, 5, ERR_LIMIT},
		    {1, 5, ERR_LIMIT}, {6, 5, ERR_LIMIT},    {3, 33, ERR_LIMIT},
		    {3, 0, ERR_LIMIT}, {255, 255, ERR_LIMIT}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct keyd_root_slot s = begun(KEYPROTO_SLOT_SHARES);
		s.shares.need = rows[i].need;
		s.shares.of = rows[i].of;
		assert_refused(&s, rows[i].rc);
	}
}

static void a_token_without_key_or_of_an_unknown_kind_is_refused(void **state)
{
	struct keyd_root_slot s = begun(KEYPROTO_SLOT_TOKEN);

	(void)state;
	s.token.blob.size = KEYD_TOKEN_BLOB_MAX;
	memset(s.token.uri, 'u', KEYD_TOKEN_URI_MAX);
	assert_refused(&s, 0);
	s.token.blob.size = 0;
	assert_refused(&s, ERR_LIMIT);
	s = begun(KEYPROTO_SLOT_TOKEN);
	s.token.blob.kind = 3;
	assert_refused(&s, ERR_LIMIT);
	s = begun(KEYPROTO_SLOT_TOKEN);
	s.token.uri[0] = '\0';
	assert_refused(&s, ERR_LIMIT);
}

/* Names stand in JSON and in logs as they are, before anything has been verified. */
static void a_name_that_could_forge_a_log_line_is_refused(void **state)
{
	static const char *const bad[] = {"a b", "a\"b", "a\\b", "a\nb", "\x7f", "\xc3\xa4"};
	struct keyd_root_slot s = begun(KEYPROTO_SLOT_FILE);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(s.name, bad[i]);
		assert_refused(&s, ERR_FORMAT);
		assert_int_equal(
		    keyd_root_slot_make(&s, store, secret_of(KEYPROTO_SLOT_FILE), root),
		    ERR_FORMAT);
	}
	s.name[0] = '\0';
	assert_refused(&s, 0);
	memset(s.name, '~', KEYD_ROOT_NAME_MAX);
	assert_refused(&s, 0);
	s.id = 0;
	assert_refused(&s, ERR_FORMAT);
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

static void status_nags_until_two_kinds_exist_and_one_is_offline(void **state)
{
	enum {
		FILE_ = KEYPROTO_SLOT_FILE,
		PASS = KEYPROTO_SLOT_PASSPHRASE,
		CRED = KEYPROTO_SLOT_CREDENTIAL,
		SHARES = KEYPROTO_SLOT_SHARES,
		TOKEN = KEYPROTO_SLOT_TOKEN
	};

	(void)state;
	assert_int_equal(warnings(FILE_, 0), 3);
	assert_int_equal(warnings(FILE_, FILE_), 3);
	assert_int_equal(warnings(FILE_, CRED), 2);
	assert_int_equal(warnings(FILE_, PASS), 1);
	assert_int_equal(warnings(CRED, 0), 2);
	assert_int_equal(warnings(PASS, PASS), 1);
	assert_int_equal(warnings(SHARES, 0), 1);
	assert_int_equal(warnings(PASS, CRED), 0);
	assert_int_equal(warnings(SHARES, CRED), 0);
	assert_int_equal(warnings(TOKEN, CRED), 0);
	assert_int_equal(warnings(TOKEN, SHARES), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_method_opens_with_its_secret_and_no_other),
	    cmocka_unit_test(the_table_of_methods_says_what_each_can_do),
	    cmocka_unit_test(a_slot_does_not_open_in_another_store),
	    cmocka_unit_test(two_slots_of_one_secret_have_nothing_in_common),
	    cmocka_unit_test(no_changed_byte_of_a_stored_slot_opens),
	    cmocka_unit_test(argon2_parameters_beyond_the_caps_are_refused_before_use),
	    cmocka_unit_test(numbers_of_shares_that_cannot_be_are_refused),
	    cmocka_unit_test(a_token_without_key_or_of_an_unknown_kind_is_refused),
	    cmocka_unit_test(a_name_that_could_forge_a_log_line_is_refused),
	    cmocka_unit_test(secrets_that_are_too_weak_make_no_slot),
	    cmocka_unit_test(keys_derived_from_the_root_all_differ),
	    cmocka_unit_test(a_key_file_is_made_once_private_and_kept),
	    cmocka_unit_test(each_wrong_passphrase_doubles_the_wait_up_to_five_minutes),
	    cmocka_unit_test(status_nags_until_two_kinds_exist_and_one_is_offline),
	};

	if (keyd_crypto_init() < 0)
		return 1;
	root = secret_alloc(32);
	back = secret_alloc(32);
	memcpy(root, "the root key of a test, 32 bytes", 32);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
