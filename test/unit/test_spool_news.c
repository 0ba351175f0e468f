/* SPDX-License-Identifier: Apache-2.0 */
/* News of recipients with their details, and the bytes of envelopes. */
#include "spool_world.h"

#include "core/err.h"
#include "wire/wire_put.h"
#include "relay/spool/spool_reread.h"

/* --- news and details */

struct seen {
	int calls, result;
	char text[SPOOL_DETAIL_MAX + 1000];
};

static void on_detail(void *arg, int result, struct span detail)
{
	struct seen *s = arg;

	s->calls++;
	s->result = result;
	memcpy(s->text, detail.p ? detail.p : (const uint8_t *)"", detail.n);
	s->text[detail.n] = '\0';
}

static void on_written(void *arg, int result)
{
	*(int *)arg = result + 1;
}

static void the_detail_of_an_outcome_is_sealed_and_comes_back(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 10, 10, &o);
	struct spool_state st[3] = {{.recipient = 1, .outcome = SPOOL_DELIVERED}};
	struct seen s = {0};
	struct record *rec;
	int result, done = 0;
	struct spool_reader *r = world_open(w, id, o.at, o.fresh, &result);

	assert_int_equal(spool_message_state(&w->worker, id, r, st, 3, SPAN_LIT("peer=mx 250 ok"),
					     on_written, &done),
			 0);
	assert_memory_equal(w->log.waiting[0]->states, st, sizeof(st));
	assert_int_equal(w->log.waiting[0]->state_count, 3);
	assert_int_equal(done, 0);
	world_settle(w);
	assert_int_equal(done, 1);
	spool_reader_close(r);
	rec = &w->log.records[w->log.count - 1];
	spool_message_detail_open(&w->worker, id, span_of(w->log.bytes + rec->at, rec->size),
				  on_detail, &s);
	world_answer_keys(&w->keys, 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.result, 0);
	assert_string_equal(s.text, "peer=mx 250 ok");
	for (size_t bit = 0; bit < rec->size * 8; bit++) {
		w->log.bytes[rec->at + bit / 8] ^= (uint8_t)(1 << bit % 8);
		s = (struct seen){0};
		spool_message_detail_open(
		    &w->worker, id, span_of(w->log.bytes + rec->at, rec->size), on_detail, &s);
		if (w->keys.asked_count)
			world_answer_keys(&w->keys, 0);
		assert_int_equal(s.calls, 1);
		assert_true(s.result < 0);
		w->log.bytes[rec->at + bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void news_without_a_reader_has_no_detail(void **state)
{
	struct world *w = *state;
	struct spool_state st = {.outcome = SPOOL_DEFERRED};
	struct seen s = {0};

	assert_int_equal(
	    spool_message_state(&w->worker, 5, NULL, &st, 1, SPAN_LIT("dropped"), NULL, NULL), 0);
	assert_int_equal(w->log.waiting[0]->head.n, 0);
	world_settle(w);
	spool_message_detail_open(&w->worker, 5, span_of(NULL, 0), on_detail, &s);
	assert_int_equal(s.result, ERR_DAMAGED);
}

static void a_long_detail_is_cut(void **state)
{
	struct world *w = *state;
	struct outcome o;
	uint64_t id = world_put(w, 10, 10, &o);
	struct spool_state st = {.outcome = SPOOL_DELIVERED};
	struct seen s = {0};
	static char text[9000];
	struct record *rec;
	int result;
	struct spool_reader *r = world_open(w, id, o.at, o.fresh, &result);

	memset(text, 'x', sizeof(text));
	spool_message_state(&w->worker, id, r, &st, 1, span_of(text, sizeof(text)), NULL, NULL);
	world_settle(w);
	spool_reader_close(r);
	rec = &w->log.records[w->log.count - 1];
	spool_message_detail_open(&w->worker, id, span_of(w->log.bytes + rec->at, rec->size),
				  on_detail, &s);
	world_answer_keys(&w->keys, 0);
	assert_int_equal(strlen(s.text), SPOOL_DETAIL_MAX);
}

/* --- the envelope's bytes */

static void an_envelope_survives_its_bytes_and_no_part_of_them_does(void **state)
{
	struct spool_envelope e;
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(spool_envelope_put(&b, world_envelope()), 0);
	assert_int_equal(spool_envelope_get(buf_span(&b), &e), 0);
	assert_string_equal(e.recipients[1].address, b_recipient);
	spool_envelope_clear(&e);
	for (size_t n = 0; n < buf_size(&b); n++)
		assert_int_equal(spool_envelope_get(span_of(buf_ptr(&b), n), &e), ERR_FORMAT);
	buf_put(&b, "", 1);
	assert_int_equal(spool_envelope_get(buf_span(&b), &e), ERR_FORMAT);
	assert_null(e.recipients);
	buf_clear(&b);
}

static void what_tracking_knows_a_message_by_travels_in_the_envelope(void **state)
{
	struct spool_envelope e = *world_envelope(), back;
	struct buf b;

	(void)state;
	e.tid = UINT64_C(0x1122334455667788);
	e.number = UINT32_MAX;
	e.consent = 4;
	e.flags |= SPOOL_VERIFIED;
	buf_init(&b, 65536);
	assert_int_equal(spool_envelope_put(&b, &e), 0);
	assert_int_equal(spool_envelope_get(buf_span(&b), &back), 0);
	assert_true(back.tid == e.tid && back.number == e.number && back.consent == 4);
	assert_true(back.flags & SPOOL_VERIFIED);
	spool_envelope_clear(&back);
	buf_clear(&b);
}

/* As messages lie in a spool since before there was tracking. */
static void an_envelope_of_the_format_before_is_read(void **state)
{
	struct spool_envelope e;
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	wire_put_u8(&b, 2);
	wire_put_bytes8(&b, SPAN_LIT("shop"));
	wire_put_bytes16(&b, SPAN_LIT("a@shop.example"));
	wire_put_u32(&b, SPOOL_8BIT | SPOOL_DKIM);
	wire_put_u64(&b, 1767225600000000);
	wire_put_u64(&b, 4711);
	wire_put_bytes16(&b, SPAN_LIT("c [192.0.2.7]"));
	for (int i = 0; i < 4; i++)
		wire_put_bytes8(&b, SPAN_LIT("x")); /* TLS, campaign, credential, ENVID */
	wire_put_bytes32(&b, SPAN_LIT(""));
	wire_put_u64(&b, 0);
	wire_put_u32(&b, 1);
	wire_put_bytes16(&b, SPAN_LIT("b@example.test"));
	wire_put_u32(&b, 0);
	wire_put_bytes16(&b, SPAN_LIT(""));
	assert_int_equal(spool_envelope_get(buf_span(&b), &e), 0);
	assert_string_equal(e.customer, "shop");
	assert_string_equal(e.recipients[0].address, "b@example.test");
	assert_true(e.size == 4711 && e.tid == 0 && e.number == 0 && e.consent == 0);
	spool_envelope_clear(&e);
	buf_clear(&b);
}

static void a_changed_header_section_travels_in_the_envelope(void **state)
{
	static const char head[] = "Subject: two\r\nX-Nul: \0\r\n\r\n";
	struct spool_envelope e = *world_envelope(), back;
	struct buf b;

	(void)state;
	e.head = span_of(head, sizeof(head) - 1);
	e.skip = 17;
	e.size = 4000;
	buf_init(&b, 1 << 20);
	assert_int_equal(spool_envelope_put(&b, &e), 0);
	assert_int_equal(spool_envelope_get(buf_span(&b), &back), 0);
	assert_true(span_equal(back.head, e.head));
	assert_int_equal(back.skip, 17);
	assert_string_equal(back.recipients[1].address, e.recipients[1].address);
	spool_envelope_clear(&back);
	buf_clear(&b);
	e.skip = 4001; /* more than there is */
	buf_init(&b, 1 << 20);
	assert_int_equal(spool_envelope_put(&b, &e), 0);
	assert_int_equal(spool_envelope_get(buf_span(&b), &back), ERR_FORMAT);
	buf_clear(&b);
}

/* A message whose first skip stored bytes are replaced by head. */
static void replaced(struct world *w, size_t size, size_t skip, const char *head)
{
	struct spool_envelope e = *world_envelope();
	size_t n = strlen(head), seen;
	struct outcome o = {0};
	struct spool_writer *sw;
	struct spool_reader *r;
	int result, rc = 0;
	struct span s;
	uint64_t id;

	sw = world_begin(w, &id);
	assert_int_equal(world_write(w, sw, 0, size, 5000), 0);
	e.head = span_of(head, n);
	e.skip = skip;
	spool_writer_commit(sw, &e, world_on_done, &o);
	world_settle(w);
	assert_int_equal(o.result, 0);
	r = world_open(w, id, o.at, o.fresh, &result);
	assert_int_equal(result, 0);
	assert_int_equal(spool_reader_size(r), size - skip + n);
	for (int turn = 0; turn < 2; turn++) {
		for (seen = 0; (rc = spool_reader_next(r, &s)) > 0; seen += s.n)
			for (size_t i = 0; i < s.n; i++)
				assert_int_equal(s.p[i], seen + i < n
							     ? (uint8_t)head[seen + i]
							     : world_byte(seen + i - n + skip));
		assert_int_equal(rc, 0);
		assert_int_equal(seen, size - skip + n);
		assert_int_equal(spool_reader_rewind(r), 0);
	}
	spool_reader_close(r);
}

static void a_changed_header_section_is_read_in_place_of_the_stored_one(void **state)
{
	static const size_t sizes[] = {0, 1, 100, 16384, 16385, 40000, 300000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		replaced(*state, sizes[i], 0, "Subject: in front\r\n");
		replaced(*state, sizes[i], sizes[i] / 2, "Subject: x\r\n\r\n");
		replaced(*state, sizes[i], sizes[i], "Subject: all\r\n\r\n");
	}
}

static int ready_calls;

static void on_ready(void *arg)
{
	(void)arg;
	ready_calls++;
}

static void what_was_written_can_be_read_back_before_it_is_committed(void **state)
{
	static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 245760, 245761, 700000, 3000000};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t skip = 0; skip <= sizes[i]; skip += sizes[i] / 3 + 1) {
			struct outcome o = {0};
			struct spool_reread *r;
			size_t at = skip;
			struct span s;
			uint64_t id;
			struct spool_writer *sw = world_begin(w, &id);
			int rc;

			assert_int_equal(world_write(w, sw, 0, sizes[i], 5000), 0);
			ready_calls = 0;
			if (!spool_reread_ready(sw, on_ready, NULL)) {
				world_settle(w);
				assert_int_equal(ready_calls, 1);
			}
			assert_int_equal(spool_reread_ready(sw, on_ready, NULL), 1);
			r = spool_reread_open(sw, skip);
			assert_non_null(r);
			for (; (rc = spool_reread_next(r, &s)) > 0; at += s.n)
				for (size_t j = 0; j < s.n; j++)
					assert_int_equal(s.p[j], world_byte(at + j));
			assert_int_equal(rc, 0);
			assert_int_equal(at, sizes[i]);
			spool_reread_close(r);
			spool_writer_commit(sw, world_envelope(), world_on_done, &o);
			world_settle(w);
			world_assert_reads(w, id, &o, sizes[i]);
		}
}

static void what_cannot_be_read_back_is_an_error(void **state)
{
	struct world *w = *state;
	struct spool_reread *r;
	struct span s;
	uint64_t id;
	struct spool_writer *sw = world_begin(w, &id);

	assert_int_equal(world_write(w, sw, 0, 300000, 5000), 0);
	world_settle(w);
	w->log.moved = 1;
	r = spool_reread_open(sw, 0);
	assert_int_equal(spool_reread_next(r, &s), ERR_NOTFOUND);
	assert_int_equal(spool_reread_next(r, &s), ERR_NOTFOUND);
	spool_reread_close(r);
	spool_writer_abort(sw);
	world_settle(w);
}

static void an_envelope_of_ten_thousand_recipients_fits(void **state)
{
	struct spool_envelope e = *world_envelope(), back;
	struct buf b;
	char(*names)[300] = calloc(10001, sizeof(*names));

	(void)state;
	e.recipients = calloc(10001, sizeof(*e.recipients));
	for (int i = 0; i < 10001; i++) {
		memset(names[i], 'a' + i % 26, 299);
		e.recipients[i].address = names[i];
	}
	e.count = 10000;
	buf_init(&b, 8u << 20);
	assert_int_equal(spool_envelope_put(&b, &e), 0);
	assert_int_equal(spool_envelope_get(buf_span(&b), &back), 0);
	assert_string_equal(back.recipients[9999].address, names[9999]);
	spool_envelope_clear(&back);
	buf_reset(&b);
	e.count = 10001;
	assert_int_equal(spool_envelope_put(&b, &e), 0);
	assert_int_equal(spool_envelope_get(buf_span(&b), &back), ERR_FORMAT);
	buf_clear(&b);
	free(e.recipients);
	free(names);
}

static void an_envelope_made_of_separate_strings_is_freed_whole(void **state)
{
	struct spool_envelope e = {0};

	(void)state;
	e.customer = strdup("acme");
	e.sender = strdup("");
	e.recipients = calloc(2, sizeof(*e.recipients));
	e.count = 2;
	e.recipients[0].address = strdup("a@example.test");
	spool_envelope_clear(&e); /* the leak checker judges */
	assert_null(e.recipients);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(a_changed_header_section_is_read_in_place_of_the_stored_one),
	    T(what_was_written_can_be_read_back_before_it_is_committed),
	    T(what_cannot_be_read_back_is_an_error),
	    T(the_detail_of_an_outcome_is_sealed_and_comes_back),
	    T(news_without_a_reader_has_no_detail),
	    T(a_long_detail_is_cut),
	    cmocka_unit_test(an_envelope_survives_its_bytes_and_no_part_of_them_does),
	    cmocka_unit_test(a_changed_header_section_travels_in_the_envelope),
	    cmocka_unit_test(what_tracking_knows_a_message_by_travels_in_the_envelope),
	    cmocka_unit_test(an_envelope_of_the_format_before_is_read),
	    cmocka_unit_test(an_envelope_of_ten_thousand_recipients_fits),
	    cmocka_unit_test(an_envelope_made_of_separate_strings_is_freed_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
