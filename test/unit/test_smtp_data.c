/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "smtp/smtp_data.h"

struct outcome {
	struct smtp_data_in in;
	struct buf body;
	size_t used;
};

static void feed(struct outcome *o, const char *p, size_t n)
{
	while (n && !o->in.done) {
		struct span out;
		size_t used = smtp_data_in_feed(&o->in, span_of(p, n), &out);

		assert_true(used > 0 && used <= n);
		buf_put_span(&o->body, out);
		o->used += used;
		p += used;
		n -= used;
	}
}

static void start(struct outcome *o)
{
	memset(o, 0, sizeof(*o));
	smtp_data_in_init(&o->in);
	buf_init(&o->body, 1 << 20);
}

static void dots_come_out_and_the_end_is_found(void **state)
{
	static const struct {
		const char *in, *body;
		size_t behind; /* bytes that belong to the next command */
	} rows[] = {
	    {".\r\n", "", 0},
	    {"a\r\n.\r\n", "a\r\n", 0},
	    {"a\r\n.\r\nQUIT\r\n", "a\r\n", 6},
	    {"..\r\n.\r\n", ".\r\n", 0},
	    {"...\r\n.\r\n", "..\r\n", 0},
	    {"a\r\n..b\r\n.\r\n", "a\r\n.b\r\n", 0},
	    {".a\r\n.\r\n", "a\r\n", 0},
	    {"a.b.\r\n.\r\n", "a.b.\r\n", 0},
	    {"\r\n\r\n.\r\n", "\r\n\r\n", 0},
	    {"x\r\n..\r\n..\r\n.\r\n.\r\n", "x\r\n.\r\n.\r\n", 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = strlen(rows[i].in);

		for (size_t cut = 0; cut <= n; cut++) {
			struct outcome o;

			start(&o);
			feed(&o, rows[i].in, cut);
			if (!o.in.done)
				feed(&o, rows[i].in + cut, n - cut);
			assert_int_equal(o.in.done, 1);
			assert_int_equal(o.in.fault, SMTP_DATA_OK);
			assert_int_equal(o.used, n - rows[i].behind);
			assert_true(span_equal(buf_span(&o.body), span_str(rows[i].body)));
			buf_clear(&o.body);
		}
	}
}

/* {CRLF, LF, CR, nothing} . {CRLF, LF, CR, nothing}: only one of the sixteen ends the data. */
static void of_the_sixteen_ways_to_write_the_end_only_one_is_one(void **state)
{
	static const char *const ends[] = {"\r\n", "\n", "\r", ""};
	char text[64];

	(void)state;
	for (int a = 0; a < 4; a++) {
		for (int b = 0; b < 4; b++) {
			struct outcome o;
			int n = snprintf(text, sizeof(text), "x%s.%sMAIL FROM:<e@v>\r\n", ends[a],
					 ends[b]);

			start(&o);
			feed(&o, text, (size_t)n);
			assert_int_equal(o.in.done, a == 0 && b == 0);
			if (a == 0 && b == 0)
				assert_int_equal(o.used, 6);
			else if (a == 1 || (a != 2 && b == 1))
				assert_int_equal(o.in.fault, SMTP_DATA_BARE_LF);
			else if (a == 2 || b == 2)
				assert_int_equal(o.in.fault, SMTP_DATA_BARE_CR);
			else
				assert_int_equal(o.in.fault, SMTP_DATA_OK);
			buf_clear(&o.body);
		}
	}
}

static void other_smuggling_forms_do_not_end_and_are_faults(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		int done, fault;
	} rows[] = {
	    {"x\r\n\0.\r\n", 7, 0, SMTP_DATA_NUL},	{"x\r\n.\0\r\n", 7, 0, SMTP_DATA_NUL},
	    {"x\r\r\n.\r\n", 7, 1, SMTP_DATA_BARE_CR},	{"x\r\n.\r\r\n", 7, 0, SMTP_DATA_BARE_CR},
	    {"x\r\n\r.\r\n", 7, 0, SMTP_DATA_BARE_CR},	{"x\r\n\n.\r\n", 7, 0, SMTP_DATA_BARE_LF},
	    {"x\r\n.\r\0\n", 7, 0, SMTP_DATA_BARE_CR},	{"x\n\r.\n\r", 6, 0, SMTP_DATA_BARE_LF},
	    {"x\r\n.\n.\r\n", 8, 0, SMTP_DATA_BARE_LF},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t cut = 0; cut <= rows[i].n; cut++) {
			struct outcome o;

			start(&o);
			feed(&o, rows[i].in, cut);
			feed(&o, rows[i].in + cut, o.in.done ? 0 : rows[i].n - cut);
			assert_int_equal(o.in.done, rows[i].done);
			assert_int_equal(o.in.fault, rows[i].fault);
			buf_clear(&o.body);
		}
	}
}

static void after_a_fault_decoding_goes_on_to_the_end_but_nothing_comes_out(void **state)
{
	static const char first[] = "good\r\n", rest[] = "bad\nline\r\nmore\r\n.\r\nNOOP\r\n";
	struct outcome o;

	(void)state;
	start(&o);
	feed(&o, first, sizeof(first) - 1);
	feed(&o, rest, sizeof(rest) - 1);
	assert_int_equal(o.in.fault, SMTP_DATA_BARE_LF);
	assert_int_equal(o.in.done, 1);
	assert_int_equal(o.used, sizeof(first) - 1 + sizeof(rest) - 1 - 6);
	assert_true(span_equal(buf_span(&o.body), SPAN_LIT("good\r\n")));
	buf_clear(&o.body);
}

static void lines_of_1000_octets_pass_and_longer_ones_are_a_fault(void **state)
{
	static char text[4096];

	(void)state;
	for (size_t n = 996; n <= 1002; n++) { /* octets of the line with its CRLF */
		for (size_t lead = 0; lead < 70;
		     lead++) { /* so that the line starts anywhere in a block */
			for (int dot = 0; dot < 2; dot++) {
				struct outcome o;
				size_t at = 0;

				memset(text, 'y', lead);
				memcpy(text + lead, "\r\n.", 3);
				at = lead + 2 + (size_t)dot; /* a stuffed dot does not count */
				memset(text + at, 'x', n - 2);
				at += n - 2;
				memcpy(text + at, "\r\n.\r\n", 5);
				start(&o);
				feed(&o, text, at + 5);
				assert_int_equal(o.in.done, 1);
				assert_int_equal(o.in.fault,
						 n > 1000 ? SMTP_DATA_LONG_LINE : SMTP_DATA_OK);
				buf_clear(&o.body);
			}
		}
	}
}

static void octets_above_127_are_noticed_wherever_they_stand(void **state)
{
	char text[203];

	(void)state;
	for (int at = 0; at < 200; at++) {
		struct outcome o;

		memset(text, 'x', 200);
		memcpy(text + 200, "\r\n.", 3);
		start(&o);
		feed(&o, text, sizeof(text));
		assert_int_equal(o.in.high, 0);
		buf_clear(&o.body);
		text[at] = '\xe4';
		start(&o);
		feed(&o, text, sizeof(text));
		assert_int_equal(o.in.high, 1);
		buf_clear(&o.body);
	}
}

static void what_is_stuffed_and_unstuffed_is_the_same_again(void **state)
{
	static const char alphabet[] = "..x\r";
	char body[400];
	uint8_t wire[802];
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct smtp_data_out d;
		struct outcome o;
		size_t n = 0, len, cut, w;

		len = (size_t)(round % 390);
		while (n < len) {
			char c;
			seed = seed * 1664525 + 1013904223;
			c = alphabet[seed >> 24 & 3];
			body[n++] = c;
			if (c == '\r')
				body[n++] = '\n';
		}
		smtp_data_out_init(&d);
		cut = n ? (seed >> 8) % n : 0;
		w = smtp_data_out_copy(&d, span_of(body, cut), wire);
		w += smtp_data_out_copy(&d, span_of(body + cut, n - cut), wire + w);
		start(&o);
		feed(&o, (const char *)wire, w);
		assert_int_equal(o.in.done, 0);
		feed(&o, smtp_data_out_end(&d), strlen(smtp_data_out_end(&d)));
		assert_int_equal(o.in.done, 1);
		assert_int_equal(o.in.fault, SMTP_DATA_OK);
		if (n >= 2 && body[n - 1] != '\n') { /* the end brings the CRLF that was missing */
			body[n++] = '\r';
			body[n++] = '\n';
		}
		if (n != 1)
			assert_true(span_equal(buf_span(&o.body), span_of(body, n)));
		buf_clear(&o.body);
	}
}

static void stuffing_into_a_buffer_is_all_or_nothing(void **state)
{
	struct smtp_data_out d;
	struct buf b;

	(void)state;
	smtp_data_out_init(&d);
	buf_init(&b, 9);
	assert_int_equal(smtp_data_out_put(&d, SPAN_LIT(".a\r\n.b\r\n"), &b), ERR_LIMIT);
	assert_int_equal(buf_size(&b), 0);
	buf_reset(&b);
	b.max = 10;
	assert_int_equal(smtp_data_out_put(&d, SPAN_LIT(".a\r\n.b\r\n"), &b), 0);
	assert_true(span_equal(buf_span(&b), SPAN_LIT("..a\r\n..b\r\n")));
	assert_string_equal(smtp_data_out_end(&d), ".\r\n");
	buf_clear(&b);
}

static void a_dot_behind_a_bare_lf_is_doubled_too(void **state)
{
	struct smtp_data_out d;
	uint8_t wire[64];

	(void)state;
	smtp_data_out_init(&d);
	assert_int_equal(smtp_data_out_copy(&d, SPAN_LIT("x\n.\r\n"), wire), 6);
	assert_memory_equal(wire, "x\n..\r\n", 6);
	assert_int_equal(smtp_data_out_copy(&d, SPAN_LIT("y\n"), wire), 2);
	assert_string_equal(smtp_data_out_end(&d), "\r\n.\r\n");
	assert_int_equal(smtp_data_out_copy(&d, SPAN_LIT("\r"), wire), 1);
	assert_int_equal(smtp_data_out_copy(&d, SPAN_LIT("\n"), wire), 1);
	assert_string_equal(smtp_data_out_end(&d), ".\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(dots_come_out_and_the_end_is_found),
	    cmocka_unit_test(of_the_sixteen_ways_to_write_the_end_only_one_is_one),
	    cmocka_unit_test(other_smuggling_forms_do_not_end_and_are_faults),
	    cmocka_unit_test(after_a_fault_decoding_goes_on_to_the_end_but_nothing_comes_out),
	    cmocka_unit_test(lines_of_1000_octets_pass_and_longer_ones_are_a_fault),
	    cmocka_unit_test(octets_above_127_are_noticed_wherever_they_stand),
	    cmocka_unit_test(what_is_stuffed_and_unstuffed_is_the_same_again),
	    cmocka_unit_test(stuffing_into_a_buffer_is_all_or_nothing),
	    cmocka_unit_test(a_dot_behind_a_bare_lf_is_doubled_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
