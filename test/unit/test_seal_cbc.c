/* SPDX-License-Identifier: Apache-2.0 */
/* A256CBC-HS512 and AES key wrap with padding: public vectors, and that nothing opens that was
 * changed in any byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/err.h"
#include "seal/seal_cbc.h"
#include "seal/seal_field.h"
#include "seal/seal_kwp.h"
#include "test/unit/vectors.h"

static const uint8_t key[SEAL_CBC_KEY] =
    "thirty-two bytes to make the tagthirty-two bytes for the cipher.";
static const uint8_t salt[SEAL_CHUNK_SALT] = "salt of twenty-four byte";

static void assert_span(struct span got, struct span want)
{
	assert_int_equal(got.n, want.n);
	if (got.n)
		assert_memory_equal(got.p, want.p, got.n);
}

/* Seals and opens one vector; an invalid one is only opened, and refused without a trace. */
static void check_cbc(struct span k, struct span iv, struct span aad, struct span plain,
		      struct span sealed, int valid)
{
	uint8_t *out = malloc(sealed.n + plain.n + 64);
	int64_t n;

	assert_int_equal(k.n, SEAL_CBC_KEY);
	assert_int_equal(iv.n, SEAL_CBC_IV);
	memset(out, 0, sealed.n + plain.n + 64);
	n = seal_cbc_raw_open(k.p, iv.p, aad, sealed, out);
	if (valid) {
		assert_int_equal(n, plain.n);
		assert_span(span_of(out, plain.n), plain);
		n = seal_cbc_raw_seal(k.p, iv.p, aad, plain, out);
		assert_int_equal(n, sealed.n);
		assert_span(span_of(out, sealed.n), sealed);
	} else {
		assert_int_equal(n, ERR_AUTH);
		for (size_t i = 0; i < sealed.n; i++)
			assert_int_equal(out[i], 0);
	}
	free(out);
}

static void a256cbc_hs512_of_rfc7518_passes(void **state)
{
	unsigned count = 0;
	struct vectors v;

	(void)state;
	vectors_open(&v, "seal/cbc.txt");
	for (; vectors_next(&v); count++)
		check_cbc(vectors_get(&v, "key"), vectors_get(&v, "iv"), vectors_get(&v, "aad"),
			  vectors_get(&v, "plain"), vectors_get(&v, "sealed"), 1);
	assert_int_equal(count, 1);
}

static void check_wycheproof_cbc(struct vectors_case *c, void *arg)
{
	struct span ct = vectors_case_get(c, "ct"), tag = vectors_case_get(c, "tag");
	struct buf sealed;

	(void)arg;
	buf_init(&sealed, 1 << 20);
	buf_put_span(&sealed, ct);
	buf_put_span(&sealed, tag);
	check_cbc(vectors_case_get(c, "key"), vectors_case_get(c, "iv"), vectors_case_get(c, "aad"),
		  vectors_case_get(c, "msg"), buf_span(&sealed), c->valid);
	buf_clear(&sealed);
}

static void a256cbc_hs512_of_wycheproof_passes(void **state)
{
	(void)state;
	if (!vectors_each("a256cbc_hs512_test.json", check_wycheproof_cbc, NULL))
		skip();
}

static void seal_text(struct buf *out, size_t n)
{
	uint8_t text[100];

	memset(text, 'x', sizeof(text));
	buf_reset(out);
	assert_int_equal(seal_cbc_seal(key, 7, salt, SPAN_LIT("place"), span_of(text, n), out), 0);
}

static void what_was_sealed_opens_at_its_place_only(void **state)
{
	struct buf sealed, out;
	const uint8_t *got;
	uint32_t keyref;

	(void)state;
	buf_init(&sealed, 1000);
	buf_init_wiped(&out, 1000);
	for (size_t n = 0; n <= 33; n++) {
		seal_text(&sealed, n);
		assert_int_equal(buf_size(&sealed), SEAL_CBC_HEAD + SEAL_CBC_IV + seal_cbc_size(n));
		assert_int_equal(seal_cbc_head(buf_span(&sealed), &keyref, &got), 0);
		assert_int_equal(keyref, 7);
		assert_memory_equal(got, salt, sizeof(salt));
		buf_reset(&out);
		assert_int_equal(seal_cbc_open(key, SPAN_LIT("place"), buf_span(&sealed), &out), 0);
		assert_int_equal(buf_size(&out), n);
		buf_reset(&out);
		assert_int_equal(seal_cbc_open(key, SPAN_LIT("other"), buf_span(&sealed), &out),
				 ERR_AUTH);
		assert_int_equal(buf_size(&out), 0);
	}
	buf_clear(&sealed);
	buf_clear(&out);
}

static void two_seals_of_one_text_differ(void **state)
{
	struct buf a, b;

	(void)state;
	buf_init(&a, 1000);
	buf_init(&b, 1000);
	seal_text(&a, 20);
	seal_text(&b, 20);
	assert_false(span_equal(buf_span(&a), buf_span(&b)));
	buf_clear(&a);
	buf_clear(&b);
}

/* Every bit of head, IV, ciphertext and tag; one error for all but the format byte. */
static void every_changed_bit_and_every_cut_is_refused(void **state)
{
	struct buf sealed, out;
	struct span whole;
	uint8_t *p;
	int rc;

	(void)state;
	buf_init(&sealed, 1000);
	buf_init_wiped(&out, 1000);
	seal_text(&sealed, 20);
	whole = buf_span(&sealed);
	p = (uint8_t *)whole.p;
	for (size_t bit = 0; bit < whole.n * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		rc = seal_cbc_open(key, SPAN_LIT("place"), whole, &out);
		assert_int_equal(rc, bit < 8 ? ERR_FORMAT : ERR_AUTH);
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t n = 0; n < whole.n; n++) {
		rc = seal_cbc_open(key, SPAN_LIT("place"), span_sub(whole, 0, n), &out);
		assert_true(rc == ERR_AUTH || rc == ERR_FORMAT);
	}
	assert_int_equal(buf_size(&out), 0);
	assert_int_equal(seal_cbc_open(key, SPAN_LIT("place"), whole, &out), 0);
	buf_clear(&sealed);
	buf_clear(&out);
}

static void a_field_is_not_taken_for_it(void **state)
{
	struct buf sealed, out;
	const uint8_t *got;
	uint32_t keyref;

	(void)state;
	buf_init(&sealed, 1000);
	buf_init(&out, 1000);
	assert_int_equal(seal_field_seal(key, 7, span_of(NULL, 0), span_of(key, 64), &sealed), 0);
	assert_int_equal(seal_cbc_open(key, span_of(NULL, 0), buf_span(&sealed), &out), ERR_FORMAT);
	assert_int_equal(seal_cbc_head(buf_span(&sealed), &keyref, &got), ERR_FORMAT);
	seal_text(&sealed, 20);
	assert_int_equal(seal_field_open(key, span_of(NULL, 0), buf_span(&sealed), &out),
			 ERR_FORMAT);
	buf_clear(&sealed);
	buf_clear(&out);
}

static void limits_are_kept(void **state)
{
	uint8_t *big = calloc(1, SEAL_CBC_MAX + 1000);
	struct buf out;

	(void)state;
	assert_non_null(big);
	buf_init(&out, SEAL_CBC_MAX + 1000);
	assert_int_equal(
	    seal_cbc_seal(key, 7, salt, span_of(NULL, 0), span_of(big, SEAL_CBC_MAX + 1), &out),
	    ERR_LIMIT);
	assert_int_equal(
	    seal_cbc_seal(key, 7, salt, span_of(big, SEAL_CBC_MAX + 1), span_of(NULL, 0), &out),
	    ERR_LIMIT);
	assert_int_equal(buf_size(&out), 0);
	assert_int_equal(
	    seal_cbc_seal(key, 7, salt, span_of(NULL, 0), span_of(big, SEAL_CBC_MAX), &out), 0);
	memcpy(big, buf_ptr(&out), buf_size(&out));
	{
		struct span sealed = span_of(big, buf_size(&out));
		buf_reset(&out);
		assert_int_equal(seal_cbc_open(key, span_of(NULL, 0), sealed, &out), 0);
		assert_int_equal(buf_size(&out), SEAL_CBC_MAX);
	}
	buf_clear(&out);
	free(big);
}

static void check_kwp(struct span k, struct span plain, struct span wrapped, int valid)
{
	uint8_t out[SEAL_KWP_SIZE(SEAL_KWP_MAX)];
	int n;

	memset(out, 0, sizeof(out));
	n = seal_kwp_unwrap(k.p, k.n, wrapped, out);
	if (valid) {
		assert_int_equal(n, plain.n);
		assert_span(span_of(out, plain.n), plain);
		n = seal_kwp_wrap(k.p, k.n, plain, out);
		assert_int_equal(n, wrapped.n);
		assert_span(span_of(out, wrapped.n), wrapped);
	} else {
		assert_int_equal(n, ERR_AUTH);
		for (size_t i = 0; i < wrapped.n; i++)
			assert_int_equal(out[i], 0);
	}
}

static void key_wrap_of_rfc5649_passes(void **state)
{
	unsigned count = 0;
	struct vectors v;

	(void)state;
	vectors_open(&v, "seal/kwp.txt");
	for (; vectors_next(&v); count++)
		check_kwp(vectors_get(&v, "key"), vectors_get(&v, "plain"),
			  vectors_get(&v, "wrapped"), 1);
	assert_int_equal(count, 2);
}

static void check_wycheproof_kwp(struct vectors_case *c, void *arg)
{
	(void)arg;
	check_kwp(vectors_case_get(c, "key"), vectors_case_get(c, "msg"), vectors_case_get(c, "ct"),
		  c->valid);
}

static void key_wrap_of_wycheproof_passes(void **state)
{
	(void)state;
	if (!vectors_each("aes_kwp_test.json", check_wycheproof_kwp, NULL))
		skip();
}

static void key_wrap_keeps_its_limits(void **state)
{
	static uint8_t in[SEAL_KWP_MAX + 1], out[SEAL_KWP_SIZE(SEAL_KWP_MAX)];
	int n;

	(void)state;
	assert_int_equal(seal_kwp_wrap(key, 32, span_of(in, 0), out), ERR_LIMIT);
	assert_int_equal(seal_kwp_wrap(key, 32, span_of(in, SEAL_KWP_MAX + 1), out), ERR_LIMIT);
	assert_int_equal(seal_kwp_wrap(key, 31, span_of(in, 8), out), ERR_FORMAT);
	assert_int_equal(seal_kwp_unwrap(key, 64, span_of(in, 16), out), ERR_FORMAT);
	n = seal_kwp_wrap(key, 32, span_of(in, SEAL_KWP_MAX), out);
	assert_int_equal(n, SEAL_KWP_SIZE(SEAL_KWP_MAX));
	out[n - 1] ^= 1;
	{
		static uint8_t back[sizeof(out)];
		assert_int_equal(seal_kwp_unwrap(key, 32, span_of(out, (size_t)n), back), ERR_AUTH);
		out[n - 1] ^= 1;
		assert_int_equal(seal_kwp_unwrap(key, 32, span_of(out, (size_t)n), back),
				 SEAL_KWP_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a256cbc_hs512_of_rfc7518_passes),
	    cmocka_unit_test(a256cbc_hs512_of_wycheproof_passes),
	    cmocka_unit_test(what_was_sealed_opens_at_its_place_only),
	    cmocka_unit_test(two_seals_of_one_text_differ),
	    cmocka_unit_test(every_changed_bit_and_every_cut_is_refused),
	    cmocka_unit_test(a_field_is_not_taken_for_it),
	    cmocka_unit_test(limits_are_kept),
	    cmocka_unit_test(key_wrap_of_rfc5649_passes),
	    cmocka_unit_test(key_wrap_of_wycheproof_passes),
	    cmocka_unit_test(key_wrap_keeps_its_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
