/* SPDX-License-Identifier: Apache-2.0 */
/* What the sealed forms promise beyond their vectors (those are in test_seal_vectors.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <pthread.h>

#include "core/buf.h"
#include "core/err.h"
#include "seal/seal_chunk.h"
#include "seal/seal_field.h"
#include "seal/seal_index.h"
#include "seal/seal_kdf.h"
#include "seal/seal_text.h"

static const uint8_t key[32] = "the key of all of these tests..", other[32] = "and another one";
static const uint8_t salt[SEAL_CHUNK_SALT] = "salt of the object";

static struct seal_chunk *sealer(struct span context)
{
	struct seal_chunk *s = seal_chunk_new();
	uint8_t derived[SEAL_CHUNK_KEY];

	assert_non_null(s);
	assert_int_equal(seal_chunk_derive(key, salt, context, derived), 0);
	assert_int_equal(seal_chunk_set_key(s, derived), 0);
	return s;
}

static void chunks_open_in_any_order_but_only_at_their_own_number(void **state)
{
	static uint8_t plain[SEAL_CHUNK_PLAIN], sealed[3][SEAL_CHUNK_SEALED],
	    back[SEAL_CHUNK_PLAIN];
	static const uint64_t numbers[3] = {0, 1, SEAL_CHUNK_COUNT_MAX - 1};
	struct seal_chunk *s = sealer(SPAN_LIT("c"));

	(void)state;
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 7);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seal_chunk_seal(s, numbers[i], plain, sizeof(plain), sealed[i]),
				 0);
	for (int i = 2; i >= 0; i--)
		for (int at = 0; at < 3; at++) {
			int rc =
			    seal_chunk_open(s, numbers[at], sealed[i], SEAL_CHUNK_SEALED, back);
			assert_int_equal(rc, i == at ? 0 : ERR_AUTH);
			if (i == at)
				assert_memory_equal(back, plain, sizeof(plain));
		}
	assert_int_equal(seal_chunk_seal(s, SEAL_CHUNK_COUNT_MAX, plain, 1, back), ERR_LIMIT);
	assert_int_equal(seal_chunk_open(s, SEAL_CHUNK_COUNT_MAX, sealed[0], 17, back), ERR_LIMIT);
	seal_chunk_free(s);
}

static void a_chunk_with_one_bit_changed_yields_zeros_and_no_openssl_error(void **state)
{
	uint8_t sealed[100 + SEAL_CHUNK_TAG], back[100], zeros[100] = {0};
	struct seal_chunk *s = sealer(SPAN_LIT("c"));

	(void)state;
	for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
		memset(sealed, 'x', 100);
		assert_int_equal(seal_chunk_seal(s, 5, sealed, 100, sealed), 0); /* in place */
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		memset(back, 1, sizeof(back));
		assert_int_equal(seal_chunk_open(s, 5, sealed, sizeof(sealed), back), ERR_AUTH);
		assert_memory_equal(back, zeros, sizeof(back));
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(seal_chunk_open(s, 5, sealed, sizeof(sealed), sealed), 0);
		assert_int_equal(sealed[99], 'x');
	}
	/* A stale entry in OpenSSL's queue would be blamed on the next TLS call of this thread. */
	assert_int_equal(ERR_peek_error(), 0);
	seal_chunk_free(s);
}

static void an_object_does_not_open_in_another_context(void **state)
{
	uint8_t a[SEAL_CHUNK_KEY], b[SEAL_CHUNK_KEY], sealed[3 + SEAL_CHUNK_TAG], back[3];
	struct seal_chunk *s = seal_chunk_new();

	(void)state;
	assert_int_equal(seal_chunk_derive(key, salt, SPAN_LIT("one"), a), 0);
	assert_int_equal(seal_chunk_derive(key, salt, SPAN_LIT("two"), b), 0);
	assert_int_equal(seal_chunk_check(a, seal_chunk_commitment(a)), 0);
	assert_int_equal(seal_chunk_check(a, seal_chunk_commitment(b)), ERR_AUTH);
	assert_int_equal(seal_chunk_set_key(s, a), 0);
	assert_int_equal(seal_chunk_seal(s, 0, (const uint8_t *)"abc", 3, sealed), 0);
	assert_int_equal(seal_chunk_set_key(s, b), 0);
	assert_int_equal(seal_chunk_open(s, 0, sealed, sizeof(sealed), back), ERR_AUTH);
	assert_int_equal(seal_chunk_set_key(s, a), 0);
	assert_int_equal(seal_chunk_open(s, 0, sealed, sizeof(sealed), back), 0);
	assert_memory_equal(back, "abc", 3);
	seal_chunk_free(s);
}

static void a_sealer_without_key_refuses(void **state)
{
	uint8_t bytes[32] = {0};
	struct seal_chunk *s = seal_chunk_new();

	(void)state;
	assert_int_equal(seal_chunk_seal(s, 0, bytes, 1, bytes), ERR_BADSTATE);
	assert_int_equal(seal_chunk_open(s, 0, bytes, 17, bytes), ERR_BADSTATE);
	seal_chunk_free(s);
	s = sealer(SPAN_LIT("c"));
	assert_int_equal(seal_chunk_seal(s, 0, bytes, 1, bytes), 0);
	seal_chunk_forget(s);
	assert_int_equal(seal_chunk_seal(s, 0, bytes, 1, bytes), ERR_BADSTATE);
	assert_int_equal(seal_chunk_open(s, 0, bytes, 17, bytes), ERR_BADSTATE);
	seal_chunk_free(s);
	seal_chunk_free(NULL);
}

static void sizes_that_no_chunk_has_are_refused(void **state)
{
	static uint8_t bytes[SEAL_CHUNK_SEALED + 1];
	struct seal_chunk *s = sealer(SPAN_LIT("c"));

	(void)state;
	assert_int_equal(seal_chunk_seal(s, 0, bytes, SEAL_CHUNK_PLAIN + 1, bytes), ERR_LIMIT);
	assert_int_equal(seal_chunk_open(s, 0, bytes, SEAL_CHUNK_TAG - 1, bytes), ERR_FORMAT);
	assert_int_equal(seal_chunk_open(s, 0, bytes, SEAL_CHUNK_SEALED + 1, bytes), ERR_FORMAT);
	assert_int_equal(seal_chunk_sealed_size(0), 16);
	assert_int_equal(seal_chunk_sealed_size(SEAL_CHUNK_PLAIN - 1), SEAL_CHUNK_PLAIN + 15);
	assert_int_equal(seal_chunk_sealed_size(SEAL_CHUNK_PLAIN), SEAL_CHUNK_PLAIN + 32);
	seal_chunk_free(s);
}

static void a_context_has_no_second_reading_and_at_most_255_bytes(void **state)
{
	uint8_t a[255], b[255], longest[244];
	int n, m;

	(void)state;
	n = seal_chunk_context(a, SPAN_LIT("ab"), 1, SPAN_LIT("c"));
	m = seal_chunk_context(b, SPAN_LIT("a"), 1, SPAN_LIT("bc"));
	assert_int_equal(n, m);
	assert_true(memcmp(a, b, (size_t)n) != 0);
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(seal_chunk_context(a, span_of(longest, 239), 1, SPAN_LIT("body")), 255);
	assert_int_equal(seal_chunk_context(a, span_of(longest, 240), 1, SPAN_LIT("body")),
			 ERR_LIMIT);
	assert_int_equal(seal_chunk_context(a, SPAN_LIT(""), 1, span_of(longest, 243)), 255);
	assert_int_equal(seal_chunk_context(a, SPAN_LIT(""), 1, span_of(longest, 244)), ERR_LIMIT);
}

static void a_field_opens_only_with_its_key_and_its_place(void **state)
{
	struct buf sealed, back;

	(void)state;
	buf_init(&sealed, 1000);
	buf_init_wiped(&back, 1000);
	assert_int_equal(seal_field_seal(key, 7, SPAN_LIT("row 1"), SPAN_LIT("secret"), &sealed),
			 0);
	assert_int_equal(buf_size(&sealed), 6 + SEAL_FIELD_OVERHEAD);
	assert_int_equal(seal_field_keyref(buf_span(&sealed)), 7);
	assert_int_equal(seal_field_open(other, SPAN_LIT("row 1"), buf_span(&sealed), &back),
			 ERR_AUTH);
	assert_int_equal(seal_field_open(key, SPAN_LIT("row 2"), buf_span(&sealed), &back),
			 ERR_AUTH);
	assert_int_equal(seal_field_open(key, SPAN_LIT(""), buf_span(&sealed), &back), ERR_AUTH);
	assert_int_equal(buf_size(&back), 0);
	assert_int_equal(seal_field_open(key, SPAN_LIT("row 1"), buf_span(&sealed), &back), 0);
	assert_true(span_equal(buf_span(&back), SPAN_LIT("secret")));
	buf_clear(&sealed);
	buf_clear(&back);
}

static void no_bit_of_a_field_can_change(void **state)
{
	struct buf sealed, back;

	(void)state;
	buf_init(&sealed, 1000);
	buf_init(&back, 1000);
	assert_int_equal(seal_field_seal(key, 7, SPAN_LIT("aad"), SPAN_LIT("plain"), &sealed), 0);
	for (size_t bit = 0; bit < buf_size(&sealed) * 8; bit++) {
		sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(seal_field_open(key, SPAN_LIT("aad"), buf_span(&sealed), &back),
				 bit < 8 ? ERR_FORMAT : ERR_AUTH);
		sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < buf_size(&sealed); n++)
		assert_int_equal(
		    seal_field_open(key, SPAN_LIT("aad"), span_sub(buf_span(&sealed), 0, n), &back),
		    n < SEAL_FIELD_OVERHEAD ? ERR_FORMAT : ERR_AUTH);
	assert_int_equal(buf_size(&back), 0);
	assert_int_equal(ERR_peek_error(), 0);
	buf_clear(&sealed);
	buf_clear(&back);
}

static void fields_of_the_same_bytes_never_look_alike(void **state)
{
	struct buf a, b;

	(void)state;
	buf_init(&a, 1000);
	buf_init(&b, 1000);
	assert_int_equal(seal_field_seal(key, 1, SPAN_LIT(""), SPAN_LIT("same same"), &a), 0);
	assert_int_equal(seal_field_seal(key, 1, SPAN_LIT(""), SPAN_LIT("same same"), &b), 0);
	assert_int_equal(buf_size(&a), buf_size(&b));
	/* nonce, ciphertext and tag */
	assert_memory_not_equal(buf_ptr(&a) + 5, buf_ptr(&b) + 5, SEAL_FIELD_NONCE);
	assert_memory_not_equal(buf_ptr(&a) + 29, buf_ptr(&b) + 29, 9);
	assert_memory_not_equal(buf_ptr(&a) + 38, buf_ptr(&b) + 38, SEAL_FIELD_TAG);
	buf_clear(&a);
	buf_clear(&b);
}

static void an_empty_field_is_a_field(void **state)
{
	struct buf sealed, back;

	(void)state;
	buf_init(&sealed, SEAL_FIELD_OVERHEAD);
	buf_init(&back, 0);
	assert_int_equal(seal_field_seal(key, 1, SPAN_LIT(""), SPAN_LIT(""), &sealed), 0);
	assert_int_equal(seal_field_open(key, SPAN_LIT(""), buf_span(&sealed), &back), 0);
	assert_int_equal(seal_field_open(other, SPAN_LIT(""), buf_span(&sealed), &back), ERR_AUTH);
	assert_int_equal(buf_size(&back), 0);
	buf_clear(&sealed);
	buf_clear(&back);
}

static void a_field_that_does_not_fit_leaves_the_buffer_as_it_was(void **state)
{
	struct buf small, sealed;

	(void)state;
	buf_init(&small, 20);
	buf_init(&sealed, 1000);
	assert_int_equal(buf_put_str(&small, "kept"), 0);
	assert_int_equal(seal_field_seal(key, 1, SPAN_LIT(""), SPAN_LIT("x"), &small), ERR_LIMIT);
	assert_true(span_equal(buf_span(&small), SPAN_LIT("kept")));
	assert_int_equal(
	    seal_field_seal(key, 1, SPAN_LIT(""), SPAN_LIT("seventeen bytes.."), &sealed), 0);
	assert_int_equal(seal_field_open(key, SPAN_LIT(""), buf_span(&sealed), &small), ERR_LIMIT);
	assert_true(span_equal(buf_span(&small), SPAN_LIT("kept")));
	buf_clear(&small);
	buf_clear(&sealed);
}

static void the_parts_of_an_aad_cannot_be_shifted(void **state)
{
	static uint8_t big[65536];
	const struct span ab_c[] = {SPAN_LIT("ab"), SPAN_LIT("c")};
	const struct span a_bc[] = {SPAN_LIT("a"), SPAN_LIT("bc")};
	const struct span too_big[] = {span_of(big, sizeof(big))};
	struct buf x, y;

	(void)state;
	buf_init(&x, 100000);
	buf_init(&y, 100);
	assert_int_equal(seal_field_aad(&x, ab_c, 2), 0);
	assert_int_equal(seal_field_aad(&y, a_bc, 2), 0);
	assert_int_equal(buf_size(&x), buf_size(&y));
	assert_false(span_equal(buf_span(&x), buf_span(&y)));
	assert_int_equal(seal_field_aad(&x, too_big, 1), ERR_LIMIT);
	assert_int_equal(buf_size(&x), buf_size(&y));
	buf_clear(&x);
	buf_clear(&y);
}

static void a_text_is_read_only_if_it_is_exactly_one(void **state)
{
	static const char *const bad[] = {"", "sp1:", "sp2:", "SP1:", " sp1:", "sp1:AAAA"};
	struct buf sealed, text, back;

	(void)state;
	buf_init(&sealed, 1000);
	buf_init(&text, 1000);
	buf_init(&back, 1000);
	for (size_t n = 0; n < 100; n++) {
		static const uint8_t plain[100] = {1};
		buf_reset(&sealed);
		buf_reset(&text);
		buf_reset(&back);
		assert_int_equal(seal_field_seal(key, 1, SPAN_LIT(""), span_of(plain, n), &sealed),
				 0);
		assert_int_equal(seal_text_encode(&text, buf_span(&sealed)), 0);
		assert_int_equal(seal_text_decode(&back, buf_span(&text)), 0);
		assert_true(span_equal(buf_span(&back), buf_span(&sealed)));
		buf_reset(&back);
		buf_put_str(&text, " ");
		assert_int_equal(seal_text_decode(&back, buf_span(&text)), ERR_FORMAT);
		text.data[text.len - 1] = '=';
		assert_int_equal(seal_text_decode(&back, buf_span(&text)), ERR_FORMAT);
		assert_int_equal(buf_size(&back), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(seal_text_decode(&back, span_str(bad[i])), ERR_FORMAT);
	sealed.data[0] = 2;
	assert_int_equal(seal_text_encode(&text, buf_span(&sealed)), ERR_FORMAT);
	buf_clear(&sealed);
	buf_clear(&text);
	buf_clear(&back);
}

static void an_index_tells_labels_and_values_apart(void **state)
{
	uint8_t a[32], b[32];

	(void)state;
	assert_int_equal(seal_index(key, SPAN_LIT("ab"), SPAN_LIT("c"), a, 8), 0);
	assert_int_equal(seal_index(key, SPAN_LIT("a"), SPAN_LIT("bc"), b, 8), 0);
	assert_memory_not_equal(a, b, 8);
	assert_int_equal(seal_index(other, SPAN_LIT("ab"), SPAN_LIT("c"), b, 8), 0);
	assert_memory_not_equal(a, b, 8);
	assert_int_equal(seal_index(key, SPAN_LIT("ab"), SPAN_LIT("c"), b, 32), 0);
	assert_memory_equal(a, b, 8); /* shorter is a prefix of longer */
	assert_int_equal(seal_index(key, SPAN_LIT("ab"), SPAN_LIT("c"), b, 0), ERR_LIMIT);
	assert_int_equal(seal_index(key, SPAN_LIT("ab"), SPAN_LIT("c"), b, 33), ERR_LIMIT);
}

/* Returns arg, or NULL if anything was wrong (cmocka's asserts belong to the main thread). */
static void *derive_and_seal(void *arg)
{
	uint8_t first[SEAL_CHUNK_KEY], again[SEAL_CHUNK_KEY];
	struct buf b;
	int ok;

	buf_init(&b, 100);
	ok = seal_chunk_derive(key, salt, SPAN_LIT("t"), first) == 0;
	for (int i = 0; ok && i < 200; i++) {
		buf_reset(&b);
		ok = seal_chunk_derive(key, salt, SPAN_LIT("t"), again) == 0 &&
		     memcmp(first, again, sizeof(first)) == 0 &&
		     seal_field_seal(key, 1, SPAN_LIT(""), SPAN_LIT("x"), &b) == 0;
	}
	buf_clear(&b);
	return ok ? arg : NULL;
}

static void threads_share_the_algorithms(void **state)
{
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, derive_and_seal, t), 0);
	for (int i = 0; i < 4; i++) {
		void *result;
		assert_int_equal(pthread_join(t[i], &result), 0);
		assert_ptr_equal(result, t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_share_the_algorithms), /* first: fetching is raced for too */
	    cmocka_unit_test(chunks_open_in_any_order_but_only_at_their_own_number),
	    cmocka_unit_test(a_chunk_with_one_bit_changed_yields_zeros_and_no_openssl_error),
	    cmocka_unit_test(an_object_does_not_open_in_another_context),
	    cmocka_unit_test(a_sealer_without_key_refuses),
	    cmocka_unit_test(sizes_that_no_chunk_has_are_refused),
	    cmocka_unit_test(a_context_has_no_second_reading_and_at_most_255_bytes),
	    cmocka_unit_test(a_field_opens_only_with_its_key_and_its_place),
	    cmocka_unit_test(no_bit_of_a_field_can_change),
	    cmocka_unit_test(fields_of_the_same_bytes_never_look_alike),
	    cmocka_unit_test(an_empty_field_is_a_field),
	    cmocka_unit_test(a_field_that_does_not_fit_leaves_the_buffer_as_it_was),
	    cmocka_unit_test(the_parts_of_an_aad_cannot_be_shifted),
	    cmocka_unit_test(a_text_is_read_only_if_it_is_exactly_one),
	    cmocka_unit_test(an_index_tells_labels_and_values_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
