/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC and HKDF against RFC 4231, RFC 5869 and, where present, Wycheproof. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/err.h"
#include "seal/seal_kdf.h"
#include "test/unit/vectors.h"

/* The two digests, so that each test is written once. */
static const struct digest {
	size_t size;
	int (*hmac)(const uint8_t *key, size_t key_size, const struct span *parts, unsigned count,
		    uint8_t *out);
	const char *hmac_file, *hkdf_file, *hmac_wycheproof, *hkdf_wycheproof;
} digests[] = {
    {32, seal_kdf_hmac, "seal/hmac_sha256.txt", "seal/hkdf_sha256.txt", "hmac_sha256_test.json",
     "hkdf_sha256_test.json"},
    {64, seal_kdf_hmac512, "seal/hmac_sha512.txt", "seal/hkdf_sha512.txt", "hmac_sha512_test.json",
     "hkdf_sha512_test.json"},
};

/* Checks the expand step as far as the module has it: one block with SHA-256. */
static void expand(const struct digest *d, const uint8_t *prk, struct span info, struct span okm)
{
	uint8_t out[SEAL_KDF_EXPAND_MAX];

	if (d->size == 32) {
		assert_int_equal(seal_kdf_subkey(prk, info, out), 0);
		assert_memory_equal(out, okm.p, okm.n < 32 ? okm.n : 32);
	} else {
		struct span parts[3] = {span_sub(info, 0, 3), span_of(NULL, 0),
					span_sub(info, 3, info.n)};

		assert_int_equal(seal_kdf_expand512(prk, 64, parts, 3, out, okm.n), 0);
		assert_memory_equal(out, okm.p, okm.n);
	}
}

static void hmac_of_rfc4231_passes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		unsigned count = 0;
		struct vectors v;
		uint8_t out[64];

		vectors_open(&v, digests[i].hmac_file);
		for (; vectors_next(&v); count++) {
			struct span key = vectors_get(&v, "key"), data = vectors_get(&v, "data");
			struct span parts[3] = {span_sub(data, 0, 3), span_of(NULL, 0),
						span_sub(data, 3, data.n)},
				    mac = vectors_get(&v, "mac");

			assert_int_equal(digests[i].hmac(key.p, key.n, parts, 3, out), 0);
			assert_memory_equal(out, mac.p, mac.n);
		}
		assert_int_equal(count, 7);
	}
}

static void hkdf_with_the_inputs_of_rfc5869_passes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		unsigned count = 0;
		struct vectors v;
		uint8_t prk[64];

		vectors_open(&v, digests[i].hkdf_file);
		for (; vectors_next(&v); count++) {
			struct span salt = vectors_get(&v, "salt"), ikm = vectors_get(&v, "ikm");

			assert_int_equal(digests[i].hmac(salt.p, salt.n, &ikm, 1, prk), 0);
			assert_int_equal(vectors_get(&v, "prk").n, digests[i].size);
			assert_memory_equal(prk, vectors_get(&v, "prk").p, digests[i].size);
			expand(&digests[i], prk, vectors_get(&v, "info"), vectors_get(&v, "okm"));
		}
		assert_int_equal(count, 3);
	}
}

static void check_hmac(struct vectors_case *c, void *arg)
{
	const struct digest *d = arg;
	struct span key = vectors_case_get(c, "key"), text = vectors_case_get(c, "msg"),
		    tag = vectors_case_get(c, "tag");
	uint8_t out[64];

	assert_int_equal(d->hmac(key.p, key.n, &text, 1, out), 0);
	assert_true(tag.n <= d->size);
	assert_int_equal(!memcmp(out, tag.p, tag.n), c->valid);
}

static void hmac_of_wycheproof_passes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		if (!vectors_each(digests[i].hmac_wycheproof, check_hmac, (void *)&digests[i]))
			skip();
}

static void check_hkdf(struct vectors_case *c, void *arg)
{
	const struct digest *d = arg;
	struct span salt = vectors_case_get(c, "salt"), ikm = vectors_case_get(c, "ikm"),
		    info = vectors_case_get(c, "info"), okm = vectors_case_get(c, "okm");
	size_t size = (size_t)json_integer_value(json_object_get(c->test, "size"));
	uint8_t prk[64], out[1];

	assert_int_equal(d->hmac(salt.p, salt.n, &ikm, 1, prk), 0);
	if (c->valid) {
		assert_int_equal(okm.n, size);
		expand(d, prk, info, okm);
	} else { /* asks for more than there is */
		assert_true(size > 255 * d->size);
		if (d->size == 64)
			assert_int_equal(seal_kdf_expand512(prk, 64, &info, 1, out, size),
					 ERR_LIMIT);
	}
}

static void hkdf_of_wycheproof_passes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		if (!vectors_each(digests[i].hkdf_wycheproof, check_hkdf, (void *)&digests[i]))
			skip();
}

static void expanding_to_nothing_is_refused(void **state)
{
	uint8_t out[1];

	(void)state;
	assert_int_equal(seal_kdf_expand512((const uint8_t *)"k", 1, NULL, 0, out, 0), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hmac_of_rfc4231_passes),
	    cmocka_unit_test(hkdf_with_the_inputs_of_rfc5869_passes),
	    cmocka_unit_test(hmac_of_wycheproof_passes),
	    cmocka_unit_test(hkdf_of_wycheproof_passes),
	    cmocka_unit_test(expanding_to_nothing_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
