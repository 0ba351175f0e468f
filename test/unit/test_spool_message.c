/* SPDX-License-Identifier: Apache-2.0 */
/* A message written is read back; what was changed of it never opens. */
#include "spool_world.h"

#include <malloc.h>

#include "core/err.h"

static void a_small_message_comes_back_with_its_envelope(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 4096, 1460, &o);
	const struct spool_envelope *e;
	struct spool_reader *r;
	int result;

	assert_non_null(o.fresh);
	assert_int_equal(w->log.kinds[SPOOL_COMMIT], 1);
	assert_int_equal(w->log.kinds[SPOOL_PART], 0);
	assert_int_equal(w->log.records[0].recipients, 2);
	r = world_open(w, id, o.at, o.fresh, &result);
	assert_int_equal(result, 0);
	assert_int_equal(w->keys.asked_ever, 0); /* the fresh keys sufficed */
	e = spool_reader_envelope(r);
	assert_string_equal(e->customer, "acme");
	assert_string_equal(e->sender, a_sender);
	assert_string_equal(e->client, a_client);
	assert_string_equal(e->tls, a_tls);
	assert_int_equal(e->flags, SPOOL_8BIT);
	assert_int_equal(e->created, 12345678);
	assert_int_equal(e->size, 4096);
	assert_int_equal(e->count, 2);
	assert_string_equal(e->recipients[0].address, a_recipient);
	assert_string_equal(e->recipients[1].address, b_recipient);
	assert_int_equal(e->recipients[1].notify, 3);
	assert_string_equal(e->recipients[0].orcpt, "");
	assert_string_equal(e->recipients[1].orcpt, "rfc822;b+2B@example.org");
	assert_string_equal(e->campaign, "cmp_01");
	assert_string_equal(e->credential, "app1");
	assert_string_equal(e->envid, "QQ+2B1");
	assert_int_equal(e->head.n, 0);
	spool_reader_close(r);
}

static void without_fresh_keys_keyd_is_asked_for_both(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 4096, 4096, &o);

	spool_fresh_free(o.fresh);
	o.fresh = NULL;
	world_assert_reads(w, id, &o, 4096);
	assert_int_equal(w->keys.asked_ever, 1);
}

static void fresh_keys_of_another_message_are_not_used(void **state)
{
	struct world *w = *state;
	struct outcome a, b;
	uint64_t id = world_put(w, 100, 100, &a);

	world_put(w, 100, 100, &b);
	spool_fresh_free(a.fresh);
	a.fresh = b.fresh;
	world_assert_reads(w, id, &a, 100);
	assert_int_equal(w->keys.asked_ever, 1);
}

static void every_size_around_a_chunk_or_a_part_comes_back(void **state)
{
	static const size_t sizes[] = {0,
				       1,
				       15,
				       16,
				       8175,
				       8176,
				       8177,
				       16383,
				       16384,
				       16385,
				       32767,
				       32768,
				       32769,
				       15 * 16384 - 1,
				       15 * 16384,
				       15 * 16384 + 1,
				       16 * 16384,
				       30 * 16384,
				       30 * 16384 + 5,
				       1000000};
	static const size_t steps[] = {1, 777, 16384, 65536};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t s = 0; s < 4; s++) {
			struct outcome o;
			uint64_t id;
			if (steps[s] == 1 && sizes[i] > 300000)
				continue;
			id = world_put(w, sizes[i], steps[s], &o);
			world_assert_reads(w, id, &o, sizes[i]);
		}
}

static unsigned room_calls;

static void on_room(void *arg)
{
	(void)arg;
	room_calls++;
}

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void fifty_megabytes_stream_through_flat_memory(void **state)
{
	const size_t size = 50u << 20, step = 65536;
	struct world *w = *state;
	struct outcome o = {0};
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);
	size_t before = heap(), high = 0, total = 0;
	struct spool_reader *r;
	struct span s;
	unsigned waits = 0;
	int result, rc;

	room_calls = 0;
	for (size_t at = 0; at < size; at += step) {
		if (!spool_writer_room(sw, on_room, NULL)) {
			world_settle(w);
			waits++;
		}
		assert_int_equal(world_write(w, sw, at, step, step), 0);
		if (heap() > before + high)
			high = heap() - before;
	}
	spool_writer_commit(sw, world_envelope(), world_on_done, &o);
	world_settle(w);
	assert_int_equal(o.result, 0);
	assert_true(waits > 10 &&
		    room_calls >= waits); /* the writer held back, so memory stayed flat */
	assert_true(high < 3u << 20);
	assert_int_equal(w->log.kinds[SPOOL_PART], size / (15 * 16384));
	r = world_open(w, id, o.at, o.fresh, &result);
	before = heap();
	while ((rc = spool_reader_next(r, &s)) > 0) {
		assert_int_equal(s.p[0], world_byte(total));
		assert_int_equal(s.p[s.n - 1], world_byte(total + s.n - 1));
		total += s.n;
		assert_true(heap() < before + (1u << 20));
	}
	assert_int_equal(rc, 0);
	assert_int_equal(total, size);
	spool_reader_close(r);
}

/* What a damaged message may do: not open, or break off. Never read whole, never give a wrong byte.
 */
static void assert_broken(struct world *w, uint64_t id, struct spool_place at)
{
	int result;
	size_t total;
	struct spool_reader *r = world_open(w, id, at, NULL, &result);

	if (result == 0) {
		result = world_read(r, &total);
		if (result < 0)
			assert_int_equal(spool_reader_rewind(r), result);
	}
	assert_true(result == ERR_AUTH || result == ERR_DAMAGED);
	spool_reader_close(r);
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 40, 40, &o);
	struct record *rec = &w->log.records[o.at.offset];

	spool_fresh_free(o.fresh);
	for (size_t bit = 0; bit < rec->size * 8; bit++) {
		w->log.bytes[rec->at + bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_broken(w, id, o.at);
		w->log.bytes[rec->at + bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	o.fresh = NULL;
	world_assert_reads(w, id, &o, 40);
}

static void every_truncation_of_a_record_is_noticed(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 40, 40, &o);
	struct record *rec = &w->log.records[o.at.offset];
	size_t whole = rec->size;

	spool_fresh_free(o.fresh);
	for (size_t n = 0; n < whole; n++) {
		rec->size = n;
		assert_broken(w, id, o.at);
	}
	rec->size = whole + 1; /* and a byte more */
	assert_broken(w, id, o.at);
}

static void a_lost_swapped_repeated_or_shortened_part_is_noticed(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 4 * 15 * 16384 + 100, 65536, &o);
	struct record *commit = &w->log.records[o.at.offset], good = *commit;
	struct record *part = &w->log.records[good.parts[1].offset], whole = *part;

	spool_fresh_free(o.fresh);
	assert_int_equal(commit->part_count, 4);
	commit->part_count = 3; /* the last is missing */
	assert_broken(w, id, o.at);
	commit->part_count = 0;
	assert_broken(w, id, o.at);
	*commit = good;
	commit->parts[1] = good.parts[2];
	commit->parts[2] = good.parts[1];
	assert_broken(w, id, o.at);
	*commit = good;
	commit->parts[1] = good.parts[0];
	assert_broken(w, id, o.at);
	*commit = good;
	commit->parts[4] = good.parts[3];
	commit->part_count = 5;
	assert_broken(w, id, o.at);
	*commit = good;
	part->size -= 16400; /* a whole chunk less */
	assert_broken(w, id, o.at);
	*part = whole;
	part->size -= 1;
	assert_broken(w, id, o.at);
	*part = whole;
	w->log.bytes[part->at + 16400 * 3 + 5] ^= 1;
	assert_broken(w, id, o.at);
	w->log.bytes[part->at + 16400 * 3 + 5] ^= 1;
	o.fresh = NULL;
	world_assert_reads(w, id, &o, 4 * 15 * 16384 + 100);
}

static void a_body_is_read_to_its_end_while_the_log_moves_it(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 4 * 15 * 16384 + 100, 16384, &o);
	struct spool_reader *r;
	struct span out;
	size_t total;
	int result;

	r = world_open(w, id, o.at, o.fresh, &result);
	assert_int_equal(result, 0);
	assert_int_equal(spool_reader_next(r, &out), 1);
	w->log.moved = 1;
	total = out.n;
	while (spool_reader_next(r, &out) > 0)
		total += out.n;
	assert_int_equal(total, 4 * 15 * 16384 + 100);
	assert_int_equal(spool_reader_rewind(r), 0);
	assert_int_equal(world_read(r, &total), 0);
	assert_int_equal(total, 4 * 15 * 16384 + 100);
	spool_reader_close(r);
}

static void a_record_under_another_id_or_customer_does_not_open(void **state)
{
	struct world *w = *state;
	struct outcome a;
	uint64_t id = world_put(w, 40, 40, &a);
	struct record *rec = &w->log.records[a.at.offset];

	spool_fresh_free(a.fresh);
	rec->id = id + 1;
	assert_broken(w, id + 1, a.at);
	rec->id = id;
	/* "acme" becomes "acm\0"-like foreign names in the flip test; here, a customer that exists
	 */
	assert_memory_equal(w->log.bytes + rec->at,
			    "\x01\x04"
			    "acme",
			    6);
	memmove(w->log.bytes + rec->at + 7, w->log.bytes + rec->at + 6, rec->size - 6);
	memcpy(w->log.bytes + rec->at + 1, "\x05other", 6);
	rec->size++;
	assert_broken(w, id, a.at);
}

static void a_name_that_cannot_be_a_customer_is_not_even_asked_for(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 40, 40, &o);

	spool_fresh_free(o.fresh);
	w->log.bytes[w->log.records[o.at.offset].at + 3] = '\n'; /* keyd would hang up on us */
	assert_broken(w, id, o.at);
	assert_int_equal(w->keys.asked_ever, 0);
}

static void a_key_other_than_the_one_committed_to_opens_nothing(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 40, 40, &o);
	struct opening op = {0};
	struct spool_reader *r;

	spool_fresh_free(o.fresh);
	r = spool_reader_open(&w->worker, id, o.at, NULL, world_on_opened, &op);
	w->keys.asked[0].want[0].object = id + 1; /* keyd derives for another message */
	world_answer_keys(&w->keys, 0);
	assert_int_equal(op.result, ERR_AUTH);
	spool_reader_close(r);
}

static void nothing_readable_reaches_the_log(void **state)
{
	struct world *w = *state;
	static const char *const words[] = {"alice",	 "bob",	  "carol", "example.test",
					    "192.0.2.7", "TLSv1", "canary"};
	struct outcome o = {0};
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);
	struct spool_state st = {.recipient = 0, .outcome = SPOOL_DELIVERED};
	struct spool_reader *r;
	int result;

	for (int i = 0; i < 100000; i++) {
		if (i % 10000 == 0)
			world_settle(w);
		assert_int_equal(spool_writer_write(sw, (const uint8_t *)"a canary sings\r\n", 16),
				 0);
	}
	spool_writer_commit(sw, world_envelope(), world_on_done, &o);
	world_settle(w);
	r = world_open(w, id, o.at, o.fresh, &result);
	assert_int_equal(spool_message_state(&w->worker, id, r, &st, 1,
					     SPAN_LIT("example.test [192.0.2.7] 250 thanks"), NULL,
					     NULL),
			 0);
	world_settle(w);
	spool_reader_close(r);
	assert_int_equal(w->log.kinds[SPOOL_STATE], 1);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		assert_null(memmem(w->log.bytes, w->log.used, words[i], strlen(words[i])));
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_small_message_comes_back_with_its_envelope),
	    T(a_body_is_read_to_its_end_while_the_log_moves_it),
	    T(without_fresh_keys_keyd_is_asked_for_both),
	    T(fresh_keys_of_another_message_are_not_used),
	    T(every_size_around_a_chunk_or_a_part_comes_back),
	    T(fifty_megabytes_stream_through_flat_memory),
	    T(every_flipped_bit_is_noticed),
	    T(every_truncation_of_a_record_is_noticed),
	    T(a_lost_swapped_repeated_or_shortened_part_is_noticed),
	    T(a_record_under_another_id_or_customer_does_not_open),
	    T(a_name_that_cannot_be_a_customer_is_not_even_asked_for),
	    T(a_key_other_than_the_one_committed_to_opens_nothing),
	    T(nothing_readable_reaches_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
