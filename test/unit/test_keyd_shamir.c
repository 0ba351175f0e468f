/* SPDX-License-Identifier: Apache-2.0 */
/* Shares against a second implementation, for every choice of k, and as text with every kind of
 * mistake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"
#include "keyd/keyd_share.h"
#include "test/unit/vectors.h"

static struct keyd_shamir_share shares[KEYD_SHAMIR_MAX], picked[KEYD_SHAMIR_MAX];

static void fill(uint8_t *key, unsigned seed)
{
	for (unsigned i = 0; i < KEYD_SHAMIR_KEY; i++)
		key[i] = (uint8_t)(seed * 31 + i * 7);
}

/* A random choice of k of n shares, in random order. */
static void pick(unsigned k, unsigned n)
{
	memcpy(picked, shares, n * sizeof(shares[0]));
	for (unsigned i = 0; i < k; i++) {
		unsigned j = i + (unsigned)(rand_u64() % (n - i));
		struct keyd_shamir_share s = picked[i];
		picked[i] = picked[j];
		picked[j] = s;
	}
}

static void shares_of_a_second_implementation_combine(void **state)
{
	struct vectors v;
	uint8_t key[KEYD_SHAMIR_KEY];
	unsigned records = 0;

	(void)state;
	vectors_open(&v, "keyd/shares.txt");
	while (vectors_next(&v)) {
		unsigned k = vectors_get(&v, "k").p[0], n = vectors_get(&v, "n").p[0];
		struct span y = vectors_get(&v, "y");

		assert_int_equal(y.n, n * KEYD_SHAMIR_KEY);
		for (unsigned i = 0; i < n; i++) {
			shares[i].x = (uint8_t)(i + 1);
			memcpy(shares[i].y, y.p + i * KEYD_SHAMIR_KEY, KEYD_SHAMIR_KEY);
		}
		for (unsigned i = 0; i < 20; i++) {
			pick(k, n);
			assert_int_equal(keyd_shamir_combine(picked, k, key), 0);
			assert_memory_equal(key, vectors_get(&v, "key").p, sizeof(key));
		}
		records++;
	}
	assert_int_equal(records, 7);
}

static void texts_of_a_second_implementation_are_ours(void **state)
{
	static const char *const names[] = {"first", "last"};
	struct keyd_share s, back;
	char text[KEYD_SHARE_TEXT];
	struct vectors v;

	(void)state;
	vectors_open(&v, "keyd/shares.txt");
	while (vectors_next(&v)) {
		unsigned n = vectors_get(&v, "n").p[0];
		for (unsigned i = 0; i < 2; i++) {
			struct span want = vectors_get(&v, names[i]);
			s.k = vectors_get(&v, "k").p[0];
			s.point.x = (uint8_t)(i ? n : 1);
			memcpy(s.set, vectors_get(&v, "set").p, sizeof(s.set));
			memcpy(s.point.y,
			       vectors_get(&v, "y").p + (s.point.x - 1) * KEYD_SHAMIR_KEY,
			       KEYD_SHAMIR_KEY);
			assert_int_equal(keyd_share_format(&s, text), want.n);
			assert_memory_equal(text, want.p, want.n);
			assert_int_equal(keyd_share_parse(want, &back), 0);
			assert_memory_equal(&back, &s, sizeof(s));
		}
	}
}

static void any_k_of_n_shares_give_the_key_and_fewer_do_not(void **state)
{
	static const uint8_t rows[][2] = {{2, 2},  {2, 3},   {3, 5},	 {5, 5},
					  {8, 20}, {2, 255}, {254, 255}, {255, 255}};
	uint8_t key[KEYD_SHAMIR_KEY], back[KEYD_SHAMIR_KEY];

	(void)state;
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		unsigned k = rows[r][0], n = rows[r][1];

		fill(key, r);
		assert_int_equal(keyd_shamir_split(key, k, n, shares), 0);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(shares[i].x, i + 1);
		for (unsigned i = 0; i < 20; i++) {
			pick(k, n);
			assert_int_equal(keyd_shamir_combine(picked, k, back), 0);
			assert_memory_equal(back, key, sizeof(key));
			if (k > 2) {
				assert_int_equal(keyd_shamir_combine(picked, k - 1, back), 0);
				assert_memory_not_equal(back, key, sizeof(key));
			}
			picked[0].y[i] ^= 1;
			assert_int_equal(keyd_shamir_combine(picked, k, back), 0);
			assert_memory_not_equal(back, key, sizeof(key));
		}
	}
}

static void two_splits_of_one_key_have_no_share_in_common(void **state)
{
	struct keyd_shamir_share other[5];
	uint8_t key[KEYD_SHAMIR_KEY];

	(void)state;
	fill(key, 1);
	assert_int_equal(keyd_shamir_split(key, 3, 5, shares), 0);
	assert_int_equal(keyd_shamir_split(key, 3, 5, other), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_memory_not_equal(shares[i].y, other[i].y, KEYD_SHAMIR_KEY);
		assert_memory_not_equal(shares[i].y, key, KEYD_SHAMIR_KEY);
	}
}

static void numbers_out_of_range_are_refused(void **state)
{
	static const unsigned rows[][2] = {{0, 3}, {1, 3}, {4, 3}, {2, 256}, {256, 256}, {2, 0}};
	uint8_t key[KEYD_SHAMIR_KEY] = {0};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(keyd_shamir_split(key, rows[i][0], rows[i][1], shares),
				 ERR_FORMAT);
}

static void a_zero_and_a_duplicate_x_are_refused_and_leave_nothing(void **state)
{
	static const uint8_t none[KEYD_SHAMIR_KEY];
	uint8_t key[KEYD_SHAMIR_KEY];

	(void)state;
	fill(key, 2);
	assert_int_equal(keyd_shamir_split(key, 3, 5, shares), 0);
	for (unsigned i = 0; i < 3; i++) {
		memcpy(picked, shares, sizeof(shares));
		picked[i].x = 0;
		fill(key, 2);
		assert_int_equal(keyd_shamir_combine(picked, 3, key), ERR_FORMAT);
		assert_memory_equal(key, none, sizeof(key));
		picked[i].x = shares[(i + 1) % 3].x;
		assert_int_equal(keyd_shamir_combine(picked, 3, key), ERR_FORMAT);
	}
	assert_int_equal(keyd_shamir_combine(shares, 0, key), ERR_FORMAT);
	assert_int_equal(keyd_shamir_combine(shares, 1, key), ERR_FORMAT);
	assert_int_equal(keyd_shamir_combine(shares, 256, key), ERR_FORMAT);
}

static int read_text(const char *text, struct keyd_share *s)
{
	return keyd_share_parse(span_str(text), s);
}

static void example(struct keyd_share *s, char text[KEYD_SHARE_TEXT])
{
	*s = (struct keyd_share){.set = "8 bytes!", .k = 3, .point = {.x = 5}};
	fill(s->point.y, 3);
	assert_true(keyd_share_format(s, text) > 0);
}

static void a_share_is_read_however_people_write_it(void **state)
{
	struct keyd_share s, back;
	char text[KEYD_SHARE_TEXT], loud[KEYD_SHARE_TEXT], loose[2 * KEYD_SHARE_TEXT];
	size_t n = 0;

	(void)state;
	example(&s, text);
	for (size_t i = 0; i <= strlen(text); i++)
		loud[i] = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 32) : text[i];
	assert_int_equal(read_text(loud, &back), 0);
	assert_memory_equal(&back, &s, sizeof(s));
	loose[n++] = ' ';
	for (size_t i = 0; text[i]; i++) {
		if (i > strlen("sealpost-share-1-3-5-") && text[i] == '-')
			loose[n++] = '\t';
		else
			loose[n++] = text[i];
		if (i == 60)
			loose[n++] = '\n';
	}
	strcpy(loose + n, " \r\n");
	assert_int_equal(read_text(loose, &back), 0);
	assert_memory_equal(&back, &s, sizeof(s));
}

static void every_typo_is_told(void **state)
{
	static const uint8_t none[sizeof(struct keyd_share)];
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
	char text[KEYD_SHARE_TEXT], wrong[KEYD_SHARE_TEXT + 1];
	struct keyd_share s, back;
	size_t n, refused = 0;

	(void)state;
	example(&s, text);
	n = strlen(text);
	for (size_t i = 0; i < n; i++) {
		for (const char *c = letters; *c; c++) {
			if (*c == text[i])
				continue;
			strcpy(wrong, text);
			wrong[i] = *c; /* another letter */
			assert_int_equal(read_text(wrong, &back), ERR_FORMAT);
			assert_memory_equal(&back, none, sizeof(none));
			refused++;
		}
		memcpy(wrong, text, i); /* one left out */
		strcpy(wrong + i, text + i + 1);
		if (text[i] != '-' || i < strlen("sealpost-share-1-3-5-"))
			assert_int_equal(read_text(wrong, &back), ERR_FORMAT);
		if (i + 1 < n && text[i] != text[i + 1]) { /* two exchanged */
			strcpy(wrong, text);
			wrong[i] = text[i + 1];
			wrong[i + 1] = text[i];
			if (text[i] != '-' && text[i + 1] != '-')
				assert_int_equal(read_text(wrong, &back), ERR_FORMAT);
		}
		memcpy(wrong, text, i); /* the end missing */
		wrong[i] = '\0';
		assert_int_equal(read_text(wrong, &back), ERR_FORMAT);
	}
	assert_true(refused > 3000);
	snprintf(wrong, sizeof(wrong), "%sa", text);
	assert_int_equal(read_text(wrong, &back), ERR_FORMAT);
	assert_int_equal(read_text("", &back), ERR_FORMAT);
	assert_int_equal(read_text("sealpost-share-1-", &back), ERR_FORMAT);
	assert_int_equal(read_text("sealpost-share-2-3-5-aaaaaa", &back), ERR_FORMAT);
}

static void a_share_that_could_not_be_one_has_no_text(void **state)
{
	struct keyd_share s = {.k = 1, .point = {.x = 1}};
	char text[KEYD_SHARE_TEXT];

	(void)state;
	assert_int_equal(keyd_share_format(&s, text), ERR_FORMAT);
	s.k = 2;
	s.point.x = 0;
	assert_int_equal(keyd_share_format(&s, text), ERR_FORMAT);
	s.k = 255;
	s.point.x = 255;
	assert_in_range(keyd_share_format(&s, text), 100, KEYD_SHARE_TEXT - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(shares_of_a_second_implementation_combine),
	    cmocka_unit_test(texts_of_a_second_implementation_are_ours),
	    cmocka_unit_test(any_k_of_n_shares_give_the_key_and_fewer_do_not),
	    cmocka_unit_test(two_splits_of_one_key_have_no_share_in_common),
	    cmocka_unit_test(numbers_out_of_range_are_refused),
	    cmocka_unit_test(a_zero_and_a_duplicate_x_are_refused_and_leave_nothing),
	    cmocka_unit_test(a_share_is_read_however_people_write_it),
	    cmocka_unit_test(every_typo_is_told),
	    cmocka_unit_test(a_share_that_could_not_be_one_has_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
