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

#include "core/err.h"
#include "relay/keys/keys_asset.h"

/* An object's key: what keyd derives from a sub-key, a salt and a context. */
struct key {
	uint8_t salt[SEAL_CHUNK_SALT], key[SEAL_CHUNK_KEY];
};

static char dir[] = "/tmp/sealpost-asset-XXXXXX";
static char path[64], fresh[80];

static struct key key_of(uint8_t seed)
{
	uint8_t sub[32];
	struct key k;

	memset(sub, seed, sizeof(sub));
	memset(k.salt, seed + 1, sizeof(k.salt));
	assert_int_equal(seal_chunk_derive(sub, k.salt, SPAN_LIT("asset 7"), k.key), 0);
	return k;
}

static uint8_t plain_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static void put(const void *p, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	fclose(f);
}

static size_t get(uint8_t **out)
{
	FILE *f = fopen(path, "rb");
	size_t n;

	assert_non_null(f);
	*out = malloc(1 << 20);
	n = fread(*out, 1, 1 << 20, f);
	fclose(f);
	return n;
}

/* A sealed object of n bytes; its size. */
static size_t make(const struct key *k, size_t n, uint8_t **out)
{
	struct seal_chunk *s = seal_chunk_new();
	uint8_t chunk[SEAL_CHUNK_SEALED];
	size_t at = SEAL_CHUNK_HEAD, done = 0, part;

	*out = calloc(1, SEAL_CHUNK_HEAD + seal_chunk_sealed_size(n));
	memcpy(*out, k->salt, SEAL_CHUNK_SALT);
	memcpy(*out + SEAL_CHUNK_SALT, seal_chunk_commitment(k->key), SEAL_CHUNK_COMMIT);
	assert_int_equal(seal_chunk_set_key(s, k->key), 0);
	for (uint64_t i = 0;; i++) {
		part = n - done < SEAL_CHUNK_PLAIN ? n - done : SEAL_CHUNK_PLAIN;
		for (size_t j = 0; j < part; j++)
			chunk[j] = plain_at(done + j);
		assert_int_equal(seal_chunk_seal(s, i, chunk, part, *out + at), 0);
		at += part + SEAL_CHUNK_TAG;
		done += part;
		if (part < SEAL_CHUNK_PLAIN)
			break;
	}
	seal_chunk_free(s);
	put(*out, at);
	return at;
}

static void opens_with(const struct key *k, size_t n)
{
	struct seal_chunk *s = seal_chunk_new();
	uint8_t *file, chunk[SEAL_CHUNK_SEALED];
	size_t size = get(&file), at = SEAL_CHUNK_HEAD, done = 0;

	assert_int_equal(size, SEAL_CHUNK_HEAD + seal_chunk_sealed_size(n));
	assert_memory_equal(file, k->salt, SEAL_CHUNK_SALT);
	assert_int_equal(seal_chunk_check(k->key, file + SEAL_CHUNK_SALT), 0);
	assert_int_equal(seal_chunk_set_key(s, k->key), 0);
	for (uint64_t i = 0; at < size; i++) {
		size_t part = size - at < SEAL_CHUNK_SEALED ? size - at : SEAL_CHUNK_SEALED;
		assert_int_equal(seal_chunk_open(s, i, file + at, part, chunk), 0);
		for (size_t j = 0; j < part - SEAL_CHUNK_TAG; j++)
			assert_int_equal(chunk[j], plain_at(done++));
		at += part;
	}
	assert_int_equal(done, n);
	seal_chunk_free(s);
	free(file);
}

static void an_object_of_any_size_moves_to_the_new_key(void **state)
{
	static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 3 * 16384, 300000};
	struct key old = key_of(1), new = key_of(9);
	uint8_t salt[SEAL_CHUNK_SALT], *before;
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		make(&old, sizes[i], &before);
		assert_int_equal(chmod(path, 0640), 0);
		assert_int_equal(keys_asset_head(path, salt), 0);
		assert_memory_equal(salt, old.salt, sizeof(salt));
		assert_int_equal(keys_asset_reseal(path, old.key, new.salt, new.key), 0);
		opens_with(&new, sizes[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0640);
		assert_int_equal(access(fresh, F_OK), -1);
		/* once more: the old key is not right for it any more */
		assert_int_equal(keys_asset_reseal(path, old.key, new.salt, new.key), ERR_AUTH);
		opens_with(&new, sizes[i]);
		free(before);
	}
}

static void what_does_not_open_to_its_end_stays_as_it_is(void **state)
{
	struct key old = key_of(1), new = key_of(9);
	uint8_t *whole, *after;
	size_t n = make(&old, 40000, &whole);
	static const size_t cuts[] = {0,
				      10,
				      SEAL_CHUNK_HEAD,
				      SEAL_CHUNK_HEAD + 15,
				      SEAL_CHUNK_HEAD + SEAL_CHUNK_SEALED,
				      SEAL_CHUNK_HEAD + 2 * SEAL_CHUNK_SEALED};

	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		put(whole, cuts[i]);
		assert_int_equal(keys_asset_reseal(path, old.key, new.salt, new.key), ERR_DAMAGED);
		assert_int_equal(get(&after), cuts[i]);
		assert_memory_equal(after, whole, cuts[i]);
		free(after);
	}
	for (size_t at = SEAL_CHUNK_SALT; at < n; at += 997) {
		whole[at] ^= 1;
		put(whole, n);
		assert_int_equal(keys_asset_reseal(path, old.key, new.salt, new.key), ERR_AUTH);
		assert_int_equal(get(&after), n);
		assert_memory_equal(after, whole, n);
		free(after);
		whole[at] ^= 1;
	}
	assert_int_equal(access(fresh, F_OK), -1);
	free(whole);
}

static void a_try_that_a_crash_ended_is_in_nobody_s_way(void **state)
{
	struct key old = key_of(1), new = key_of(9);
	uint8_t *whole;
	FILE *f;

	(void)state;
	make(&old, 20000, &whole);
	f = fopen(fresh, "wb");
	fputs("half", f);
	fclose(f);
	assert_int_equal(keys_asset_reseal(path, old.key, new.salt, new.key), 0);
	opens_with(&new, 20000);
	free(whole);
}

static void only_plain_files_are_taken(void **state)
{
	struct key old = key_of(1), new = key_of(9);
	uint8_t salt[SEAL_CHUNK_SALT], *whole;
	char link[80];

	(void)state;
	make(&old, 10, &whole);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(keys_asset_reseal(link, old.key, new.salt, new.key), ERR_DENIED);
	assert_int_equal(keys_asset_head(link, salt), ERR_DENIED);
	assert_int_equal(keys_asset_head(dir, salt), ERR_DENIED);
	unlink(link);
	unlink(path);
	assert_int_equal(keys_asset_head(path, salt), ERR_NOTFOUND);
	assert_int_equal(keys_asset_reseal(path, old.key, new.salt, new.key), ERR_NOTFOUND);
	free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_object_of_any_size_moves_to_the_new_key),
	    cmocka_unit_test(what_does_not_open_to_its_end_stays_as_it_is),
	    cmocka_unit_test(a_try_that_a_crash_ended_is_in_nobody_s_way),
	    cmocka_unit_test(only_plain_files_are_taken),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/asset", dir);
	snprintf(fresh, sizeof(fresh), "%s.reseal", path);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return failed;
}
