/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "wire/wire_frame.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

static void integers_are_big_endian_and_strings_carry_their_length(void **state)
{
	static const uint8_t want[] = {
	    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
	    0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x02, 'a',  'b',  0x00, 0x01,
	    'c',  0x00, 0x00, 0x00, 0x03, 'd',	'e',  'f',  'x',
	};
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	wire_put_u8(&b, 0x01);
	wire_put_u16(&b, 0x0203);
	wire_put_u32(&b, 0x04050607);
	wire_put_u64(&b, 0x08090a0b0c0d0e0f);
	wire_put_bytes8(&b, SPAN_LIT("ab"));
	wire_put_bytes16(&b, SPAN_LIT("c"));
	wire_put_bytes32(&b, SPAN_LIT("def"));
	wire_put_raw(&b, "x", 1);
	assert_int_equal(buf_failed(&b), 0);
	assert_int_equal(buf_size(&b), sizeof(want));
	assert_memory_equal(buf_ptr(&b), want, sizeof(want));
	buf_clear(&b);
}

static void what_was_put_is_read_back_to_the_last_byte(void **state)
{
	struct wire_get g;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	wire_put_u8(&b, 0xff);
	wire_put_u16(&b, 0xfffe);
	wire_put_u32(&b, 0xfffffffd);
	wire_put_u64(&b, 0xfffffffffffffffc);
	wire_put_bytes8(&b, SPAN_LIT(""));
	wire_put_bytes16(&b, SPAN_LIT("sixteen"));
	wire_put_bytes32(&b, SPAN_LIT("thirty-two"));
	wire_get_init(&g, buf_span(&b));
	assert_int_equal(wire_get_u8(&g), 0xff);
	assert_int_equal(wire_get_u16(&g), 0xfffe);
	assert_int_equal(wire_get_u32(&g), 0xfffffffd);
	assert_true(wire_get_u64(&g) == 0xfffffffffffffffc);
	assert_int_equal(wire_get_bytes8(&g).n, 0);
	assert_true(span_equal(wire_get_bytes16(&g), SPAN_LIT("sixteen")));
	assert_int_equal(wire_get_end(&g), ERR_FORMAT); /* something is left */
	assert_true(span_equal(wire_get_bytes32(&g), SPAN_LIT("thirty-two")));
	assert_int_equal(wire_get_end(&g), 0);
	buf_clear(&b);
}

static void a_read_beyond_the_end_fails_the_reader_for_good(void **state)
{
	static const uint8_t bytes[] = {0, 9, 'a', 'b'};
	struct wire_get g;

	(void)state;
	wire_get_init(&g, span_of(bytes, sizeof(bytes)));
	assert_int_equal(wire_get_bytes16(&g).n, 0); /* nine announced, two there */
	assert_int_equal(wire_get_u8(&g), 0);	     /* not 'a' */
	assert_int_equal(wire_get_u64(&g), 0);
	assert_int_equal(wire_get_end(&g), ERR_FORMAT);

	wire_get_init(&g, span_of(bytes, 3));
	assert_int_equal(wire_get_u32(&g), 0);
	assert_int_equal(wire_get_end(&g), ERR_FORMAT);

	wire_get_init(&g, span_of(NULL, 0));
	assert_int_equal(wire_get_end(&g), 0);
	assert_int_equal(wire_get_raw(&g, SIZE_MAX).n, 0);
	assert_int_equal(wire_get_end(&g), ERR_FORMAT);
}

static void a_string_longer_than_its_prefix_can_say_marks_the_buf(void **state)
{
	static uint8_t big[65536];
	struct buf b;

	(void)state;
	buf_init(&b, 200000);
	wire_put_bytes8(&b, span_of(big, 255));
	wire_put_bytes16(&b, span_of(big, 65535));
	assert_int_equal(buf_failed(&b), 0);
	assert_int_equal(buf_size(&b), 1 + 255 + 2 + 65535);
	wire_put_bytes8(&b, span_of(big, 256));
	assert_int_equal(buf_failed(&b), ERR_LIMIT);
	buf_reset(&b);
	wire_put_bytes16(&b, span_of(big, 65536));
	assert_int_equal(buf_failed(&b), ERR_LIMIT);
	assert_int_equal(buf_size(&b), 0);
	buf_clear(&b);
}

static void puts_respect_the_maximum_of_a_buf_that_has_been_drained(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 8);
	wire_put_u64(&b, 1);
	buf_drain(&b, 4);
	wire_put_u32(&b, 2);
	assert_int_equal(buf_failed(&b), 0);
	wire_put_u8(&b, 3);
	assert_int_equal(buf_failed(&b), ERR_LIMIT);
	assert_int_equal(buf_size(&b), 8);
	buf_clear(&b);
}

static const uint8_t frame[] = {
    0x00, 0x01, 0x00, 0x15, 0x00, 0x00, 0x00, 0x03, /* version 1, op 21, 3 bytes */
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, /* request */
    0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x07,
    'a',  'b',	'c',  'N', /* status, epoch, body, next */
};

static void a_frame_is_laid_out_as_the_manual_says(void **state)
{
	struct wire_frame f;
	struct buf b;
	size_t at;

	(void)state;
	buf_init(&b, 100);
	at = wire_frame_open(&b);
	wire_put_raw(&b, "abc", 3);
	assert_int_equal(wire_frame_close(&b, at, 21, 0x0102030405060708, 4, 7), 0);
	assert_int_equal(buf_size(&b), sizeof(frame) - 1);
	assert_memory_equal(buf_ptr(&b), frame, sizeof(frame) - 1);
	assert_int_equal(wire_frame_parse(span_of(frame, sizeof(frame)), &f), sizeof(frame) - 1);
	assert_int_equal(f.version, 1);
	assert_int_equal(f.opcode, 21);
	assert_true(f.request == 0x0102030405060708);
	assert_int_equal(f.status, 4);
	assert_int_equal(f.epoch, 7);
	assert_true(span_equal(f.body, SPAN_LIT("abc")));
	buf_clear(&b);
}

static void a_frame_cut_anywhere_asks_for_more(void **state)
{
	struct wire_frame f;

	(void)state;
	for (size_t n = 0; n < sizeof(frame) - 1; n++)
		assert_int_equal(wire_frame_parse(span_of(frame, n), &f), 0);
}

static void a_wrong_version_is_refused_with_its_second_byte(void **state)
{
	struct wire_frame f;

	(void)state;
	assert_int_equal(wire_frame_parse(SPAN_LIT("\x00\x02"), &f), ERR_FORMAT);
	assert_int_equal(wire_frame_parse(SPAN_LIT("GET / HTTP/1.1\r\n"), &f), ERR_FORMAT);
}

static void a_body_over_the_limit_is_refused_before_it_arrives(void **state)
{
	uint8_t head[WIRE_FRAME_HEAD];
	struct wire_frame f;

	(void)state;
	memcpy(head, frame, sizeof(head));
	memcpy(head + 4, "\x00\x01\x00\x00", 4); /* 65536 */
	assert_int_equal(wire_frame_parse(span_of(head, sizeof(head)), &f), 0);
	memcpy(head + 4, "\x00\x01\x00\x01", 4);
	assert_int_equal(wire_frame_parse(span_of(head, sizeof(head)), &f), ERR_LIMIT);
	memcpy(head + 4, "\xff\xff\xff\xff", 4);
	assert_int_equal(wire_frame_parse(span_of(head, sizeof(head)), &f), ERR_LIMIT);
}

static void a_frame_that_fails_is_taken_back_and_its_neighbour_stays(void **state)
{
	static uint8_t big[WIRE_FRAME_BODY_MAX + 1];
	struct buf b;
	size_t at;

	(void)state;
	buf_init(&b, 200000);
	at = wire_frame_open(&b);
	wire_put_raw(&b, "abc", 3);
	assert_int_equal(wire_frame_close(&b, at, 21, 0x0102030405060708, 4, 7), 0);

	at = wire_frame_open(&b);
	wire_put_raw(&b, big, sizeof(big));
	assert_int_equal(wire_frame_close(&b, at, 1, 1, 0, 0), ERR_LIMIT);
	at = wire_frame_open(&b);
	wire_put_bytes8(&b, span_of(big, 300));
	assert_int_equal(wire_frame_close(&b, at, 1, 1, 0, 0), ERR_LIMIT);
	assert_int_equal(buf_failed(&b), 0);
	assert_int_equal(buf_size(&b), sizeof(frame) - 1);
	assert_memory_equal(buf_ptr(&b), frame, sizeof(frame) - 1);

	at = wire_frame_open(&b); /* exactly the limit is good */
	wire_put_raw(&b, big, WIRE_FRAME_BODY_MAX);
	assert_int_equal(wire_frame_close(&b, at, 1, 1, 0, 0), 0);
	buf_clear(&b);
}

static void a_frame_without_room_for_its_head_is_an_error_not_a_crash(void **state)
{
	struct buf b;
	size_t at;

	(void)state;
	buf_init(&b, 10);
	at = wire_frame_open(&b);
	assert_int_equal(wire_frame_close(&b, at, 1, 1, 0, 0), ERR_LIMIT);
	assert_int_equal(buf_size(&b), 0);
	buf_clear(&b);
}

static void frames_survive_a_drain_of_what_stands_before_them(void **state)
{
	struct wire_frame f;
	struct buf b;
	size_t at;

	(void)state;
	buf_init(&b, 1000);
	wire_put_raw(&b, "sent already", 12);
	wire_put_raw(&b, "not sent", 8);
	buf_drain(&b, 12);
	at = wire_frame_open(&b);
	assert_int_equal(at, 8);
	wire_put_raw(&b, "abc", 3);
	assert_int_equal(wire_frame_close(&b, at, 2, 3, 0, 0), 0);
	buf_drain(&b, 8);
	assert_int_equal(wire_frame_parse(buf_span(&b), &f), WIRE_FRAME_HEAD + 3);
	assert_int_equal(f.opcode, 2);
	buf_clear(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(integers_are_big_endian_and_strings_carry_their_length),
	    cmocka_unit_test(what_was_put_is_read_back_to_the_last_byte),
	    cmocka_unit_test(a_read_beyond_the_end_fails_the_reader_for_good),
	    cmocka_unit_test(a_string_longer_than_its_prefix_can_say_marks_the_buf),
	    cmocka_unit_test(puts_respect_the_maximum_of_a_buf_that_has_been_drained),
	    cmocka_unit_test(a_frame_is_laid_out_as_the_manual_says),
	    cmocka_unit_test(a_frame_cut_anywhere_asks_for_more),
	    cmocka_unit_test(a_wrong_version_is_refused_with_its_second_byte),
	    cmocka_unit_test(a_body_over_the_limit_is_refused_before_it_arrives),
	    cmocka_unit_test(a_frame_that_fails_is_taken_back_and_its_neighbour_stays),
	    cmocka_unit_test(a_frame_without_room_for_its_head_is_an_error_not_a_crash),
	    cmocka_unit_test(frames_survive_a_drain_of_what_stands_before_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
