/* SPDX-License-Identifier: Apache-2.0 */
/* What relay remembers of keyd's store, as text: comes back as it was; everything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/keys/keys_witness_file.h"

#define STORE "store 000102030405060708090a0b0c0d0e0f\n"
#define FIRST "sealpost-witness 1\n"
#define MARK  "mark 12 18446744073709551615 branch 0123456789abcdef\n"

static void a_file_comes_back_as_it_was(void **state)
{
	struct keys_witness_file f, g;
	uint8_t tomb[KEYPROTO_TOMB_MAX];
	struct buf b;

	(void)state;
	memset(&f, 0, sizeof(f));
	memset(&g, 0, sizeof(g));
	f.store[15] = 7;
	f.mark = (struct keyproto_mark){1, UINT64_MAX, 0x0123456789abcdef};
	for (unsigned i = 0; i < 100; i++) {
		memset(tomb, (int)i, sizeof(tomb));
		assert_int_equal(keys_witness_file_add(&f, span_of(tomb, 156 + i)), 0);
	}
	assert_int_equal(keys_witness_file_add(&f, span_of(tomb, 255)), ERR_EXISTS);
	buf_init(&b, 1 << 20);
	assert_int_equal(keys_witness_file_format(&f, &b), 0);
	assert_int_equal(keys_witness_file_parse(buf_span(&b), &g), 0);
	assert_memory_equal(f.store, g.store, sizeof(f.store));
	assert_memory_equal(&f.mark, &g.mark, sizeof(f.mark));
	assert_int_equal(f.count, g.count);
	for (unsigned i = 0; i < f.count; i++)
		assert_true(
		    span_equal(keys_witness_file_tomb(&f, i), keys_witness_file_tomb(&g, i)));
	buf_clear(&b);
	keys_witness_file_clear(&f);
	keys_witness_file_clear(&g);
}

static void anything_else_is_refused(void **state)
{
	static const char *const bad[] = {
	    "",
	    "sealpost-witness 2\n" STORE MARK,
	    FIRST MARK STORE,
	    FIRST STORE,
	    FIRST STORE "mark 12 13 branch 01\n",
	    FIRST STORE "mark 12 branch 0123456789abcdef\n",
	    FIRST STORE "mark -1 13 branch 0123456789abcdef\n",
	    FIRST STORE "mark 12 18446744073709551616 branch 0123456789abcdef\n",
	    FIRST "store 0001\n" MARK,
	    FIRST STORE MARK "tomb\n",
	    FIRST STORE MARK "tomb 0\n",
	    FIRST STORE MARK "tomb 00\ntomb 00\n",
	    FIRST STORE MARK "what 00\n",
	    FIRST STORE MARK "tomb 00",
	};
	struct keys_witness_file f;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(&f, 0, sizeof(f));
		assert_true(keys_witness_file_parse(span_str(bad[i]), &f) < 0);
		keys_witness_file_clear(&f);
	}
	memset(&f, 0, sizeof(f));
	assert_int_equal(keys_witness_file_parse(SPAN_LIT(FIRST STORE MARK "tomb 00ff\n"), &f), 0);
	assert_int_equal(f.mark.generation, 12);
	assert_int_equal(f.mark.sequence, UINT64_MAX);
	assert_int_equal(f.mark.branch, 0x0123456789abcdef);
	assert_int_equal(f.count, 1);
	keys_witness_file_clear(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_comes_back_as_it_was),
	    cmocka_unit_test(anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
