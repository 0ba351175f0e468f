/* SPDX-License-Identifier: Apache-2.0 */
/* The sealed forms against public vectors: those in test/vectors/seal always, Wycheproof's and the
 * longer ones where $SEALPOST_VECTORS names a folder that has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <zlib.h>

#include "core/err.h"
#include "core/num.h"
#include "seal/seal_cbc.h"
#include "seal/seal_chunk.h"
#include "seal/seal_field.h"
#include "seal/seal_index.h"
#include "seal/seal_kdf.h"
#include "seal/seal_text.h"
#include "test/unit/vectors.h"

#define ASSERT_SPAN(got, want)                                        \
	do {                                                          \
		struct span got_ = (got), want_ = (want);             \
		assert_int_equal(got_.n, want_.n);                    \
		if (got_.n)                                           \
			assert_memory_equal(got_.p, want_.p, got_.n); \
	} while (0)

/* Opens a whole object as a reader would. Returns 0 and the message, ERR_* and what was opened before
 * the failure; *chunks counts the chunks that opened. */
static int open_object(const uint8_t *key, struct span context, struct span sealed, uint8_t *out,
		       size_t *n, unsigned *chunks)
{
	struct seal_chunk *s = seal_chunk_new();
	uint8_t derived[SEAL_CHUNK_KEY];
	size_t at = SEAL_CHUNK_HEAD, size;
	int rc = 0;

	*n = 0;
	*chunks = 0;
	assert_non_null(s);
	if (sealed.n < SEAL_CHUNK_HEAD) {
		rc = ERR_FORMAT;
		goto done;
	}
	assert_int_equal(seal_chunk_derive(key, sealed.p, context, derived), 0);
	rc = seal_chunk_check(derived, sealed.p + SEAL_CHUNK_SALT);
	if (rc < 0)
		goto done;
	assert_int_equal(seal_chunk_set_key(s, derived), 0);
	do {
		size = sealed.n - at < SEAL_CHUNK_SEALED ? sealed.n - at : SEAL_CHUNK_SEALED;
		rc = seal_chunk_open(s, *chunks, sealed.p + at, size, out + *n);
		if (rc < 0)
			goto done;
		*n += size - SEAL_CHUNK_TAG;
		at += size;
		++*chunks;
	} while (size == SEAL_CHUNK_SEALED);
	rc = at == sealed.n ? 0 : ERR_FORMAT;
done:
	seal_chunk_free(s);
	return rc;
}

/* Seals the message again with the salt of an existing object: the bytes must be the same. */
static void seal_again(const uint8_t *key, struct span context, struct span message,
		       struct span sealed)
{
	struct seal_chunk *s = seal_chunk_new();
	uint8_t derived[SEAL_CHUNK_KEY], *out = malloc(sealed.n);
	size_t at = SEAL_CHUNK_HEAD, from = 0, n;
	uint64_t index = 0;

	assert_int_equal(SEAL_CHUNK_HEAD + seal_chunk_sealed_size(message.n), sealed.n);
	assert_int_equal(seal_chunk_derive(key, sealed.p, context, derived), 0);
	assert_int_equal(seal_chunk_set_key(s, derived), 0);
	memcpy(out, sealed.p, SEAL_CHUNK_SALT);
	memcpy(out + SEAL_CHUNK_SALT, seal_chunk_commitment(derived), SEAL_CHUNK_COMMIT);
	do {
		n = message.n - from < SEAL_CHUNK_PLAIN ? message.n - from : SEAL_CHUNK_PLAIN;
		assert_int_equal(seal_chunk_seal(s, index++, message.p + from, n, out + at), 0);
		from += n;
		at += n + SEAL_CHUNK_TAG;
	} while (n == SEAL_CHUNK_PLAIN);
	ASSERT_SPAN(span_of(out, at), sealed);
	free(out);
	seal_chunk_free(s);
}

static void cobblestone_256_short_vectors_pass(void **state)
{
	struct vectors v;
	uint8_t out[256], derived[SEAL_CHUNK_KEY];
	unsigned chunks, count = 0;
	size_t n;

	(void)state;
	vectors_open(&v, "seal/cobblestone.txt");
	for (; vectors_next(&v); count++) {
		const uint8_t *key = vectors_get(&v, "key").p;
		struct span context = vectors_get(&v, "context"),
			    sealed = vectors_get(&v, "sealed");
		struct span result = vectors_get(&v, "result");
		int rc = open_object(key, context, sealed, out, &n, &chunks);

		if (!vectors_has(&v, "plain")) {
			assert_true(rc < 0 && n == 0);
			assert_true(span_equal(result, SPAN_LIT("chunk")) ||
				    span_equal(result, SPAN_LIT("header")));
			continue;
		}
		assert_int_equal(rc, 0);
		ASSERT_SPAN(span_of(out, n), vectors_get(&v, "plain"));
		assert_int_equal(seal_chunk_derive(key, sealed.p, context, derived), 0);
		ASSERT_SPAN(span_of(derived, sizeof(derived)), vectors_get(&v, "derived"));
		seal_again(key, context, vectors_get(&v, "plain"), sealed);
	}
	assert_int_equal(count, 16);
}

static uint8_t *inflated(const json_t *test, size_t *size)
{
	size_t packed_size;
	uint8_t *packed = vectors_json_hex(test, "ct", &packed_size), *p;
	uLongf room = 8u << 20;

	p = malloc(room);
	assert_int_equal(uncompress(p, &room, packed, packed_size), Z_OK);
	free(packed);
	*size = room;
	return p;
}

static void check_message(const json_t *test, struct span message)
{
	uint8_t digest[64], *want;
	size_t n;

	assert_int_equal(json_integer_value(json_object_get(test, "msgLength")), message.n);
	want = vectors_json_hex(test, "msgSha512", &n);
	assert_int_equal(EVP_Digest(message.p, message.n, digest, NULL, EVP_sha512(), NULL), 1);
	assert_memory_equal(digest, want, 64);
	free(want);
}

/* One vector of Wycheproof. Returns 1 if it was a valid one. */
static int wycheproof_chunked(const json_t *test)
{
	size_t key_size, context_size, size, n = 0;
	uint8_t *key = vectors_json_hex(test, "key", &key_size);
	uint8_t *context = vectors_json_hex(test, "ctx", &context_size);
	uint8_t *sealed = inflated(test, &size), *out = malloc(size + 1);
	int valid = !strcmp(json_string_value(json_object_get(test, "result")), "valid");
	unsigned chunks;
	int rc;

	if (key_size == 32) { /* other sizes do not pass the compiler, so to speak */
		struct span place = span_of(context, context_size), whole = span_of(sealed, size);
		rc = open_object(key, place, whole, out, &n, &chunks);
		assert_int_equal(rc == 0, valid);
		if (json_object_get(test, "msgLength"))
			check_message(test, span_of(out, n));
		else
			assert_int_equal(n, 0);
		if (valid)
			seal_again(key, place, span_of(out, n), whole);
	} else {
		assert_false(valid);
	}
	free(key);
	free(context);
	free(sealed);
	free(out);
	return valid;
}

static void cobblestone_256_all_of_wycheproof_passes(void **state)
{
	json_t *root = vectors_wycheproof("c2sp_chunked_encryption_aes_256_gcm_test.json");
	json_t *group, *test;
	size_t i, j, count = 0, valid = 0;

	(void)state;
	if (!root)
		skip();
	json_array_foreach(json_object_get(root, "testGroups"), i, group)
	{
		json_array_foreach(json_object_get(group, "tests"), j, test)
		{
			valid += (size_t)wycheproof_chunked(test);
			count++;
		}
	}
	assert_int_equal(json_integer_value(json_object_get(root, "numberOfTests")), count);
	assert_true(valid >= 10 && valid < count);
	json_decref(root);
}

static void xaes_256_gcm_vectors_pass(void **state)
{
	uint8_t out[64], back[64];
	unsigned count = 0;
	struct vectors v;

	(void)state;
	vectors_open(&v, "seal/xaes.txt");
	for (; vectors_next(&v); count++) {
		const uint8_t *key = vectors_get(&v, "key").p, *nonce = vectors_get(&v, "nonce").p;
		struct span aad = vectors_get(&v, "aad"), plain = vectors_get(&v, "plain");
		struct span sealed = vectors_get(&v, "sealed");

		assert_int_equal(seal_field_xaes(key, nonce, aad, plain, 0, out), 0);
		ASSERT_SPAN(span_of(out, plain.n + 16), sealed);
		assert_int_equal(seal_field_xaes(key, nonce, aad, sealed, 1, back), 0);
		ASSERT_SPAN(span_of(back, plain.n), plain);
		out[0] ^= 1;
		assert_int_equal(seal_field_xaes(key, nonce, aad, span_of(out, sealed.n), 1, back),
				 ERR_AUTH);
	}
	assert_int_equal(count, 2);
}

/* The accumulated test of c2sp.org/XAES-256-GCM: random inputs from SHAKE-128 of nothing, results
 * into another SHAKE-128. */
static void xaes_256_gcm_accumulated_test_passes_10000_times(void **state)
{
	static const uint8_t want[32] = {0xe6, 0xb9, 0xed, 0xf2, 0xdf, 0x6c, 0xec, 0x60,
					 0xc8, 0xcb, 0xd8, 0x64, 0xe2, 0x21, 0x1b, 0x59,
					 0x7f, 0xb6, 0x9a, 0x52, 0x91, 0x60, 0xcd, 0x04,
					 0x0d, 0x56, 0xc0, 0xc2, 0x10, 0x08, 0x19, 0x39};
	const size_t size = 10000 * (32 + 24 + 2 * 256);
	EVP_MD_CTX *rng = EVP_MD_CTX_new(), *sum = EVP_MD_CTX_new();
	uint8_t *random = malloc(size), *p = random, out[256 + 16], back[256], got[32];

	(void)state;
	assert_int_equal(EVP_DigestInit_ex(rng, EVP_shake128(), NULL), 1);
	assert_int_equal(EVP_DigestFinalXOF(rng, random, size), 1);
	assert_int_equal(EVP_DigestInit_ex(sum, EVP_shake128(), NULL), 1);
	for (int i = 0; i < 10000; i++) {
		const uint8_t *key = p, *nonce = p + 32;
		struct span plain = span_of(p + 57, p[56]);
		struct span aad = span_of(plain.p + plain.n + 1, plain.p[plain.n]);

		p = (uint8_t *)aad.p + aad.n;
		assert_int_equal(seal_field_xaes(key, nonce, aad, plain, 0, out), 0);
		assert_int_equal(EVP_DigestUpdate(sum, out, plain.n + 16), 1);
		assert_int_equal(
		    seal_field_xaes(key, nonce, aad, span_of(out, plain.n + 16), 1, back), 0);
		ASSERT_SPAN(span_of(back, plain.n), plain);
	}
	assert_int_equal(EVP_DigestFinalXOF(sum, got, sizeof(got)), 1);
	assert_memory_equal(got, want, sizeof(want));
	EVP_MD_CTX_free(rng);
	EVP_MD_CTX_free(sum);
	free(random);
}

static uint64_t number(struct span bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes.n; i++)
		v = v << 8 | bytes.p[i];
	return v;
}

static void check_context(const struct vectors *v)
{
	uint8_t context[255], derived[SEAL_CHUNK_KEY];
	int n = seal_chunk_context(context, vectors_get(v, "customer"),
				   number(vectors_get(v, "id")), vectors_get(v, "kind"));

	assert_true(n > 0);
	ASSERT_SPAN(span_of(context, (size_t)n), vectors_get(v, "context"));
	assert_int_equal(seal_chunk_derive(vectors_get(v, "key").p, vectors_get(v, "salt").p,
					   span_of(context, (size_t)n), derived),
			 0);
	ASSERT_SPAN(span_of(derived, sizeof(derived)), vectors_get(v, "derived"));
}

static void check_field(const struct vectors *v)
{
	struct span parts[4], sealed = vectors_get(v, "sealed");
	struct buf aad, out;

	for (unsigned i = 0; i < 4; i++)
		parts[i] = vectors_nth(v, "part", i);
	buf_init(&aad, 1000);
	buf_init(&out, 1000);
	assert_int_equal(seal_field_aad(&aad, parts, 4), 0);
	ASSERT_SPAN(buf_span(&aad), vectors_get(v, "aad"));
	assert_int_equal(seal_field_keyref(sealed), number(vectors_get(v, "keyref")));
	assert_int_equal(seal_field_open(vectors_get(v, "key").p, buf_span(&aad), sealed, &out), 0);
	ASSERT_SPAN(buf_span(&out), vectors_get(v, "plain"));
	buf_reset(&out);
	assert_int_equal(seal_text_encode(&out, sealed), 0);
	ASSERT_SPAN(buf_span(&out), vectors_get(v, "text"));
	buf_reset(&out);
	assert_int_equal(seal_text_decode(&out, vectors_get(v, "text")), 0);
	ASSERT_SPAN(buf_span(&out), sealed);
	buf_clear(&aad);
	buf_clear(&out);
}

static void check_index(const struct vectors *v)
{
	struct span want = vectors_get(v, "index");
	uint8_t out[SEAL_INDEX_MAX];

	assert_int_equal(seal_index(vectors_get(v, "key").p, vectors_get(v, "label"),
				    vectors_get(v, "value"), out, want.n),
			 0);
	ASSERT_SPAN(span_of(out, want.n), want);
}

static void check_cbc(const struct vectors *v)
{
	struct span sealed = vectors_get(v, "sealed"), aad = vectors_get(v, "aad");
	uint8_t key[SEAL_CBC_KEY];
	const uint8_t *salt;
	struct buf out;
	uint32_t keyref;

	buf_init(&out, 1000);
	assert_int_equal(seal_cbc_key(vectors_get(v, "object").p, key), 0);
	ASSERT_SPAN(span_of(key, sizeof(key)), vectors_get(v, "cbckey"));
	assert_int_equal(seal_cbc_head(sealed, &keyref, &salt), 0);
	assert_int_equal(keyref, number(vectors_get(v, "keyref")));
	ASSERT_SPAN(span_of(salt, SEAL_CHUNK_SALT), vectors_get(v, "salt"));
	assert_int_equal(seal_cbc_open(key, aad, sealed, &out), 0);
	ASSERT_SPAN(buf_span(&out), vectors_get(v, "plain"));
	buf_clear(&out);
}

static void check_subkey(const struct vectors *v)
{
	uint8_t out[32];

	assert_int_equal(seal_kdf_subkey(vectors_get(v, "key").p, vectors_get(v, "info"), out), 0);
	ASSERT_SPAN(span_of(out, 32), vectors_get(v, "subkey"));
}

static void our_own_formats_keep_their_bytes(void **state)
{
	static const struct {
		const char *form;
		void (*check)(const struct vectors *v);
	} rows[] = {{"context", check_context},
		    {"field", check_field},
		    {"index", check_index},
		    {"cbc", check_cbc},
		    {"subkey", check_subkey}};
	unsigned seen = 0;
	struct vectors v;

	(void)state;
	vectors_open(&v, "seal/formats.txt");
	while (vectors_next(&v))
		for (unsigned i = 0; i < 5; i++)
			if (span_equal(vectors_get(&v, "form"), span_str(rows[i].form))) {
				rows[i].check(&v);
				seen |= 1u << i;
			}
	assert_int_equal(seen, 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cobblestone_256_short_vectors_pass),
	    cmocka_unit_test(cobblestone_256_all_of_wycheproof_passes),
	    cmocka_unit_test(xaes_256_gcm_vectors_pass),
	    cmocka_unit_test(xaes_256_gcm_accumulated_test_passes_10000_times),
	    cmocka_unit_test(our_own_formats_keep_their_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
