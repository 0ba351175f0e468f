/* SPDX-License-Identifier: Apache-2.0 */
/* The header section as filters see and change it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/filter/filter_head.h"

#define TRACE "Received: from x\r\n\tby relay\r\n"

static struct filter_head h;

static int start(void **state)
{
	(void)state;
	filter_head_init(&h);
	return 0;
}

static int end(void **state)
{
	(void)state;
	filter_head_clear(&h);
	return 0;
}

/* Gathers a message in pieces; what is left of it is the body. */
static void gather(const char *message, size_t step, char *body, size_t room)
{
	size_t n = strlen(message), used, at = 0, have = 0;

	filter_head_clear(&h);
	assert_int_equal(filter_head_trace(&h, SPAN_LIT(TRACE)), 0);
	while (at < n && !h.done) {
		size_t piece = n - at < step ? n - at : step;

		assert_int_equal(filter_head_feed(&h, span_of(message + at, piece), &used), 0);
		assert_true(used == piece || h.done);
		at += used;
	}
	assert_int_equal(filter_head_end(&h), 0);
	have = filter_head_rest(&h).n;
	assert_true(have + n - at < room);
	memcpy(body, filter_head_rest(&h).p, have);
	memcpy(body + have, message + at, n - at + 1);
	assert_int_equal(filter_head_body(&h), strlen(TRACE) + n - strlen(body));
}

/* "Name|value" of each field that filters see, with a line each. */
static void seen_is(const char *want)
{
	struct span name, value;
	char have[4000] = "";
	unsigned at = 0;
	size_t n = 0;

	while (filter_head_next(&h, &at, &name, &value))
		n += (size_t)snprintf(have + n, sizeof(have) - n, "%.*s|%.*s\n", (int)name.n,
				      (const char *)name.p, (int)value.n, (const char *)value.p);
	assert_string_equal(have, want);
}

static void rendered_is(const char *want)
{
	struct buf b;

	buf_init(&b, 100000);
	assert_int_equal(filter_head_render(&h, &b), 0);
	assert_int_equal(buf_size(&b), strlen(want));
	assert_memory_equal(buf_ptr(&b), want, strlen(want));
	buf_clear(&b);
}

static void the_section_ends_where_it_ends(void **state)
{
	static const struct {
		const char *message, *seen, *body;
	} rows[] = {
	    {"A: 1\r\nB:\r\n\tfolded\r\n\r\nbody\r\n", "A| 1\nB|\r\n\tfolded\n", "body\r\n"},
	    {"A: 1\r\n\r\n", "A| 1\n", ""},
	    {"A: 1\r\n", "A| 1\n", ""},
	    {"\r\nbody\r\n", "", "body\r\n"},
	    {"", "", ""},
	    {"no field\r\nA: 1\r\n\r\nx\r\n", "", "no field\r\nA: 1\r\n\r\nx\r\n"},
	    {"A: 1\r\nno field at all\r\nmore\r\n", "A| 1\n", "no field at all\r\nmore\r\n"},
	    {" blank first\r\nA: 1\r\n", "", " blank first\r\nA: 1\r\n"},
	    {"A: 1\r\n \r\nB: 2\r\n\r\n", "A| 1\r\n \nB| 2\n", ""},
	    {"A : old\r\n\r\nx", "A| old\n", "x"},
	    {": nameless\r\n\r\n", "", ": nameless\r\n\r\n"},
	};
	char body[200];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t step = 1; step < 40; step++) {
			gather(rows[i].message, step, body, sizeof(body));
			seen_is(rows[i].seen);
			assert_string_equal(body, rows[i].body);
			assert_int_equal(h.changed, 0);
		}
}

static void change(uint32_t index, const char *name, const char *value)
{
	assert_int_equal(filter_head_change(&h, index, span_str(name), span_str(value), 1), 0);
}

static void insert(uint32_t index, const char *name, const char *value)
{
	assert_int_equal(filter_head_insert(&h, index, span_str(name), span_str(value), 1), 0);
}

static void positions_count_as_postfix_counts_them(void **state)
{
	char body[100];

	(void)state;
	gather("X: 1\r\nReceived: theirs\r\nx: 2\r\nY: 3\r\n\r\n", 100, body, sizeof(body));
	change(2, "X", "two");	   /* names in any case */
	change(1, "Received", ""); /* not ours */
	change(0, "Y", "three");   /* 0 is 1 */
	change(7, "X", "");	   /* not there */
	change(2, "Y", "new");	   /* not there: added */
	rendered_is(TRACE "X: 1\r\nX: two\r\nY: three\r\nY: new\r\n\r\n");
	insert(0, "I", "0");
	rendered_is("I: 0\r\n" TRACE "X: 1\r\nX: two\r\nY: three\r\nY: new\r\n\r\n");
	insert(2, "I", "2");
	insert(99, "I", "99");
	assert_int_equal(filter_head_add(&h, SPAN_LIT("Z"), SPAN_LIT("\tz"), 0), 0);
	rendered_is("I: 0\r\n" TRACE
		    "I: 2\r\nX: 1\r\nX: two\r\nY: three\r\nY: new\r\nI: 99\r\nZ:\tz\r\n\r\n");
	seen_is("I| 0\nI| 2\nX| 1\nX| two\nY| three\nY| new\nI| 99\nZ|\tz\n");
	change(1, "X", "");
	change(1, "X", "");
	seen_is("I| 0\nI| 2\nY| three\nY| new\nI| 99\nZ|\tz\n");
	assert_int_equal(h.changed, 1);
}

static void what_filters_give_is_made_fit_to_be_sent(void **state)
{
	static const struct {
		const char *value, *text;
	} rows[] = {
	    {"plain", "N: plain\r\n"},
	    {"a\n\tb", "N: a\r\n\tb\r\n"},
	    {"a\r\n b", "N: a\r\n b\r\n"},
	    {"a\nBcc: c@d", "N: a\r\n\tBcc: c@d\r\n"},
	    {"a\n\n\nb\n", "N: a\r\n\tb\r\n"},
	    {"a\rb", "N: a b\r\n"},
	    {"a\r\r\n\r\nb", "N: a\r\n\tb\r\n"},
	    {"\n x", "N: \r\n x\r\n"},
	    {"", "N: \r\n"},
	};
	char body[10], want[200];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		gather("", 1, body, sizeof(body));
		assert_int_equal(filter_head_add(&h, SPAN_LIT("N"), span_str(rows[i].value), 1), 0);
		snprintf(want, sizeof(want), TRACE "%s\r\n", rows[i].text);
		rendered_is(want);
	}
	assert_int_equal(filter_head_add(&h, SPAN_LIT("a b"), SPAN_LIT("x"), 1), ERR_FORMAT);
	assert_int_equal(filter_head_add(&h, SPAN_LIT(""), SPAN_LIT("x"), 1), ERR_FORMAT);
	assert_int_equal(filter_head_add(&h, SPAN_LIT("a\r\nb"), SPAN_LIT("x"), 1), ERR_FORMAT);
	assert_int_equal(filter_head_change(&h, 1, SPAN_LIT("a:"), SPAN_LIT(""), 1), ERR_FORMAT);
}

static void limits_hold(void **state)
{
	static char line[1000];
	size_t used;
	int err = 0;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "A: ", 3);
	memcpy(line + 998, "\r\n", 2);
	filter_head_clear(&h);
	assert_int_equal(filter_head_trace(&h, SPAN_LIT(TRACE)), 0);
	for (int i = 0; i < FILTER_HEAD_MAX / 1000; i++)
		assert_int_equal(filter_head_feed(&h, span_of(line, 1000), &used), 0);
	assert_int_equal(filter_head_feed(&h, span_of(line, 1000), &used), ERR_LIMIT);
	filter_head_clear(&h);
	assert_int_equal(filter_head_end(&h), 0);
	for (int i = 0; i < 10000 && err == 0; i++)
		err = filter_head_add(&h, SPAN_LIT("N"), span_of(line, 900), 1);
	assert_int_equal(err, ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_section_ends_where_it_ends),
	    cmocka_unit_test(positions_count_as_postfix_counts_them),
	    cmocka_unit_test(what_filters_give_is_made_fit_to_be_sent),
	    cmocka_unit_test(limits_hold),
	};

	return cmocka_run_group_tests(tests, start, end);
}
