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
#include "core/num.h"
#include "relay/spool/spool_check.h"
#include "relay/spool/spool_replay.h"
#include "relay/spool/spool_scan.h"
#include "relay/spool/spool_sum.h"

static const struct spool_mark mark = {UINT64_C(0x1122334455667788), 5};

/* --- sums */

static void sums_are_those_of_rfc_3720(void **state)
{
	uint8_t b[32];

	(void)state;
	memset(b, 0, 32);
	assert_int_equal(spool_sum(0, b, 32), 0x8a9136aa);
	memset(b, 0xff, 32);
	assert_int_equal(spool_sum(0, b, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)i;
	assert_int_equal(spool_sum(0, b, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)(31 - i);
	assert_int_equal(spool_sum(0, b, 32), 0x113fdb5c);
	assert_int_equal(spool_sum(0, "123456789", 9), 0xe3069283);
	assert_int_equal(spool_sum_portable(0, "123456789", 9), 0xe3069283);
}

static void a_sum_can_be_taken_in_pieces_by_either_way(void **state)
{
	uint8_t b[300];

	(void)state;
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * 37 + 11);
	for (size_t cut = 0; cut <= sizeof(b); cut++) {
		uint32_t whole = spool_sum(0, b, sizeof(b));
		uint32_t a = spool_sum(spool_sum(0, b, cut), b + cut, sizeof(b) - cut);
		uint32_t p =
		    spool_sum_portable(spool_sum_portable(0, b, cut), b + cut, sizeof(b) - cut);
		assert_int_equal(whole, a);
		assert_int_equal(whole, p);
	}
}

/* --- heads */

static size_t put_commit(uint8_t *p, uint32_t offset, uint64_t id, const char *data)
{
	struct spool_record r = {.kind = SPOOL_COMMIT,
				 .count = 3,
				 .id = id,
				 .time = 12345,
				 .stable = 4096,
				 .meta = SPOOL_PLACE_SIZE,
				 .data = (uint32_t)strlen(data)};
	struct spool_place part = {4, 4096, 64};

	memset(p, 0, spool_record_size(&r));
	spool_record_put_place(p + SPOOL_HEAD, &part);
	r.data_sum = spool_record_sum(span_str(data), span_of(NULL, 0));
	spool_record_put(p, &mark, offset, &r);
	memcpy(p + SPOOL_HEAD + r.meta, data, r.data);
	return spool_record_size(&r);
}

static void a_record_is_read_as_it_was_written(void **state)
{
	uint8_t b[256];
	struct spool_record r;
	size_t n = put_commit(b, 8192, 77, "sealed bytes");

	(void)state;
	assert_int_equal(n, 80);
	assert_int_equal(spool_record_get(&r, &mark, 8192, 65536, span_of(b, n)),
			 SPOOL_HEAD + SPOOL_PLACE_SIZE);
	assert_int_equal(r.kind, SPOOL_COMMIT);
	assert_int_equal(r.count, 3);
	assert_int_equal(r.id, 77);
	assert_int_equal(r.time, 12345);
	assert_int_equal(r.stable, 4096);
	assert_int_equal(spool_record_size(&r), n);
	assert_int_equal(spool_record_check(&r, span_str("sealed bytes")), 0);
	assert_int_equal(spool_record_check(&r, span_str("sealed Bytes")), ERR_DAMAGED);
	assert_int_equal(spool_record_check(&r, span_str("sealed byte")), ERR_DAMAGED);
}

static void a_record_is_good_only_in_its_place_and_its_life_of_the_file(void **state)
{
	struct spool_mark other_nonce = mark, other_number = mark;
	struct span s;
	uint8_t b[256];
	struct spool_record r;

	(void)state;
	s = span_of(b, put_commit(b, 8192, 77, "x"));
	other_nonce.nonce++;
	other_number.number++;
	assert_int_equal(spool_record_get(&r, &mark, 8192 + 16, 65536, s), ERR_FORMAT);
	assert_int_equal(spool_record_get(&r, &other_nonce, 8192, 65536, s), ERR_FORMAT);
	assert_int_equal(spool_record_get(&r, &other_number, 8192, 65536, s), ERR_FORMAT);
	assert_int_equal(spool_record_get(&r, &mark, 8192, 8192 + 16, s), ERR_FORMAT);
	assert_true(spool_record_get(&r, &mark, 8192, 65536, s) > 0);
}

static void every_flipped_bit_of_head_and_meta_is_noticed(void **state)
{
	uint8_t b[256];
	struct spool_record r;
	size_t n = put_commit(b, 8192, 77, "x");

	(void)state;
	for (size_t bit = 0; bit < 8 * (SPOOL_HEAD + SPOOL_PLACE_SIZE); bit++) {
		int got;
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		got = spool_record_get(&r, &mark, 8192, 65536, span_of(b, n));
		/* a longer meta may ask for more bytes: that is no acceptance */
		assert_true(got == ERR_FORMAT || got == 0);
		b[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void a_head_cut_short_asks_for_more(void **state)
{
	uint8_t b[256];
	struct spool_record r;

	(void)state;
	put_commit(b, 8192, 77, "x");
	for (size_t n = 0; n < SPOOL_HEAD + SPOOL_PLACE_SIZE; n++)
		assert_int_equal(spool_record_get(&r, &mark, 8192, 65536, span_of(b, n)), 0);
}

static void illegal_heads_are_refused(void **state)
{
	static const struct spool_record wrong[] = {
	    {.kind = 0, .id = 1},
	    {.kind = SPOOL_DROP, .id = 1},
	    {.kind = 8, .id = 1},
	    {.kind = 255, .id = 1},
	    {.kind = SPOOL_PART, .id = 0, .data = 5},
	    {.kind = SPOOL_PART, .id = 1, .count = 1},
	    {.kind = SPOOL_PART, .id = 1, .data = SPOOL_PART_MAX + 1},
	    {.kind = SPOOL_PART, .id = 1, .meta = 1},
	    {.kind = SPOOL_COMMIT, .id = 1, .count = 0},
	    {.kind = SPOOL_COMMIT, .id = 1, .count = SPOOL_RECIPIENTS_MAX + 1},
	    {.kind = SPOOL_COMMIT, .id = 1, .count = 1, .meta = 11},
	    {.kind = SPOOL_COMMIT, .id = 1, .count = 1, .data = SPOOL_DATA_MAX + 1},
	    {.kind = SPOOL_COMMIT, .id = 1, .count = 1, .data = UINT32_MAX},
	    {.kind = SPOOL_STATE, .id = 1, .count = 2, .meta = 16},
	    {.kind = SPOOL_STATE, .id = 1, .count = 0, .meta = 0},
	    {.kind = SPOOL_CLOSE, .id = 1, .meta = SPOOL_CLOSE_SIZE},
	    {.kind = SPOOL_CLOSE, .meta = 2 * SPOOL_CLOSE_SIZE},
	    {.kind = SPOOL_CHECK, .id = 1, .meta = 36},
	    {.kind = SPOOL_END, .meta = 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(spool_record_legal(&wrong[i]));
}

static void a_title_survives_one_bad_copy_but_not_two_lives(void **state)
{
	struct spool_title t = {{99, 7}, 65536, 1234}, other = {{98, 8}, 65536, 1235}, got;
	uint8_t page[SPOOL_PAGE], second[SPOOL_PAGE];

	(void)state;
	spool_record_put_title(page, &t);
	assert_int_equal(spool_record_get_title(page, &got), 0);
	assert_int_equal(got.mark.nonce, 99);
	assert_int_equal(got.mark.number, 7);
	assert_int_equal(got.created, 1234);
	for (size_t i = 0; i < 64; i++) {
		page[i] ^= 4;
		assert_int_equal(spool_record_get_title(page, &got), 0);
		assert_int_equal(got.mark.number, 7);
		page[i] ^= 4;
		page[2048 + i] ^= 4;
		assert_int_equal(spool_record_get_title(page, &got), 0);
		assert_int_equal(got.mark.number, 7);
		page[i] ^= 4;
		assert_int_equal(spool_record_get_title(page, &got), ERR_DAMAGED);
		page[i] ^= 4;
		page[2048 + i] ^= 4;
	}
	spool_record_put_title(second, &other);
	memcpy(page, second, 512);
	assert_int_equal(spool_record_get_title(page, &got), ERR_NOTFOUND);
}

static void states_keep_all_their_fields_and_refuse_nonsense(void **state)
{
	struct spool_state st = {9999, SPOOL_DEFERRED, 15, 451, 65535, -5}, got;
	uint8_t b[SPOOL_STATE_SIZE];

	(void)state;
	spool_record_put_state(b, &st);
	assert_int_equal(spool_record_get_state(b, &got), 0);
	assert_memory_equal(&st, &got, sizeof(st));
	b[2] = 0;
	assert_int_equal(spool_record_get_state(b, &got), ERR_FORMAT);
	b[2] = SPOOL_HELD + 1;
	assert_int_equal(spool_record_get_state(b, &got), ERR_FORMAT);
	b[2] = SPOOL_HELD;
	num_put_u16(b, SPOOL_RECIPIENTS_MAX);
	assert_int_equal(spool_record_get_state(b, &got), ERR_FORMAT);
}

/* --- walking over damage */

#define IMAGE 65536u

struct image {
	uint8_t *p;
	uint32_t bad_from, bad_to; /* cannot be read */
	uint64_t ids[64];
	int whole[64];
	unsigned count;
	uint32_t gaps[64][2];
	unsigned gap_count;
};

static int image_read(void *arg, void *p, size_t n, uint32_t offset)
{
	struct image *m = arg;

	assert_true(offset <= IMAGE && n <= IMAGE - offset);
	if (m->bad_to > m->bad_from && offset < m->bad_to && offset + n > m->bad_from)
		return ERR_IO;
	memcpy(p, m->p + offset, n);
	return 0;
}

static int image_record(void *arg, const struct spool_record *r, uint32_t offset, struct span meta,
			struct span data, int whole)
{
	struct image *m = arg;

	(void)offset;
	assert_int_equal(meta.n, r->meta);
	if (whole && r->data && data.n)
		assert_int_equal(data.n, r->data);
	m->ids[m->count] = r->id;
	m->whole[m->count++] = whole;
	return 0;
}

static void image_gap(void *arg, uint32_t from, uint32_t to)
{
	struct image *m = arg;

	m->gaps[m->gap_count][0] = from;
	m->gaps[m->gap_count++][1] = to;
}

static struct spool_scan scan_of(struct image *m)
{
	struct spool_scan sc = {.mark = mark,
				.size = IMAGE,
				.from = SPOOL_FIRST,
				.end = IMAGE,
				.arg = m,
				.read = image_read,
				.record = image_record,
				.gap = image_gap};

	m->count = m->gap_count = 0;
	return sc;
}

/* Ten records of 80 bytes. */
static void fill_image(struct image *m)
{
	uint32_t at = SPOOL_FIRST;

	memset(m, 0, sizeof(*m));
	m->p = calloc(1, IMAGE);
	for (uint64_t id = 1; id <= 10; id++)
		at += (uint32_t)put_commit(m->p + at, at, id, "0123456789");
	assert_int_equal(at, SPOOL_FIRST + 800);
}

static void all_records_of_a_sound_segment_are_seen(void **state)
{
	struct image m;
	struct spool_scan sc;

	(void)state;
	fill_image(&m);
	sc = scan_of(&m);
	assert_int_equal(spool_scan_run(&sc), 0);
	assert_int_equal(m.count, 10);
	assert_int_equal(m.gap_count, 0);
	assert_int_equal(sc.tail, SPOOL_FIRST + 800);
	sc = scan_of(&m);
	sc.heads_only = 1;
	assert_int_equal(spool_scan_run(&sc), 0);
	assert_int_equal(m.count, 10);
	free(m.p);
}

static void a_broken_head_costs_one_record_and_is_told_as_a_gap(void **state)
{
	struct image m;
	struct spool_scan sc;

	(void)state;
	fill_image(&m);
	for (uint32_t at = 0; at < 48; at++) {
		m.p[SPOOL_FIRST + 240 + at] ^= 0x10;
		sc = scan_of(&m);
		assert_int_equal(spool_scan_run(&sc), 0);
		assert_int_equal(m.count, 9);
		assert_int_equal(m.ids[3], 5);
		assert_int_equal(m.gap_count, 1);
		assert_int_equal(m.gaps[0][0], SPOOL_FIRST + 240);
		assert_int_equal(m.gaps[0][1], SPOOL_FIRST + 320);
		m.p[SPOOL_FIRST + 240 + at] ^= 0x10;
	}
	free(m.p);
}

static void broken_data_leave_the_head_readable(void **state)
{
	struct image m;
	struct spool_scan sc;

	(void)state;
	fill_image(&m);
	m.p[SPOOL_FIRST + 240 + 62] ^= 1;
	sc = scan_of(&m);
	assert_int_equal(spool_scan_run(&sc), 0);
	assert_int_equal(m.count, 10);
	assert_int_equal(m.whole[3], 0);
	assert_int_equal(m.whole[2] + m.whole[4], 2);
	assert_int_equal(m.gap_count, 0);
	free(m.p);
}

static void sectors_that_cannot_be_read_are_passed_over(void **state)
{
	struct image m;
	struct spool_scan sc;
	uint32_t at = SPOOL_FIRST + 800;

	(void)state;
	fill_image(&m);
	for (uint64_t id = 11; id <= 60; id++)
		at += (uint32_t)put_commit(m.p + at, at, id, "0123456789");
	/* one sector: the record in it and none beside it, at each place of the walk */
	for (uint32_t bad = SPOOL_FIRST; bad < at; bad += 240) {
		m.bad_from = bad;
		m.bad_to = bad + 80;
		sc = scan_of(&m);
		sc.heads_only = bad % 480 == 256;
		assert_int_equal(spool_scan_run(&sc), 0);
		/* what cannot be read is given up by the page, but not what comes before */
		assert_true(m.count >= (bad - SPOOL_FIRST) / 80);
		for (unsigned i = 0; i < (bad - SPOOL_FIRST) / 80; i++)
			assert_true(m.ids[i] == i + 1 && m.whole[i]);
		assert_true(m.count < 60);
		if (m.gap_count)
			assert_true(m.gaps[0][0] == bad && m.gaps[0][1] >= bad + 80);
	}
	free(m.p);
}

static void a_torn_tail_is_told_but_old_bytes_behind_the_end_are_not(void **state)
{
	struct spool_mark before = {42, 3};
	struct image m;
	struct spool_scan sc;
	struct spool_record r = {.kind = SPOOL_COMMIT, .count = 1, .id = 9};

	(void)state;
	fill_image(&m);
	/* a record of an earlier life of the file */
	spool_record_put(m.p + 32768, &before, 32768, &r);
	sc = scan_of(&m);
	assert_int_equal(spool_scan_run(&sc), 0);
	assert_int_equal(m.gap_count, 0);
	assert_int_equal(sc.tail, SPOOL_FIRST + 800);
	/* the head of a record of which nothing else was written */
	put_commit(m.p + SPOOL_FIRST + 800, SPOOL_FIRST + 800, 11, "0123456789");
	memset(m.p + SPOOL_FIRST + 800 + 32, 0, 48);
	sc = scan_of(&m);
	assert_int_equal(spool_scan_run(&sc), 0);
	assert_int_equal(m.count, 10);
	assert_int_equal(m.gap_count, 1);
	assert_int_equal(m.gaps[0][0], SPOOL_FIRST + 800);
	assert_int_equal(sc.tail, SPOOL_FIRST + 800);
	free(m.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sums_are_those_of_rfc_3720),
	    cmocka_unit_test(a_sum_can_be_taken_in_pieces_by_either_way),
	    cmocka_unit_test(a_record_is_read_as_it_was_written),
	    cmocka_unit_test(a_record_is_good_only_in_its_place_and_its_life_of_the_file),
	    cmocka_unit_test(every_flipped_bit_of_head_and_meta_is_noticed),
	    cmocka_unit_test(a_head_cut_short_asks_for_more),
	    cmocka_unit_test(illegal_heads_are_refused),
	    cmocka_unit_test(a_title_survives_one_bad_copy_but_not_two_lives),
	    cmocka_unit_test(states_keep_all_their_fields_and_refuse_nonsense),
	    cmocka_unit_test(all_records_of_a_sound_segment_are_seen),
	    cmocka_unit_test(a_broken_head_costs_one_record_and_is_told_as_a_gap),
	    cmocka_unit_test(broken_data_leave_the_head_readable),
	    cmocka_unit_test(sectors_that_cannot_be_read_are_passed_over),
	    cmocka_unit_test(a_torn_tail_is_told_but_old_bytes_behind_the_end_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
