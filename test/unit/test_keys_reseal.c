/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing anew in the background, against a keyd that is played: one customer or many, rows that
 * change meanwhile, mail that takes its time, a keyd that goes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "keyproto/keyproto_dek.h"
#include "relay/keys/keys_reseal.h"
#include "seal/seal_field.h"

#define ROWS	  500
#define CUSTOMERS 3
#define SETTLE	  (100 * CLOCK_SEC)
#define RATE	  1000

/* --- keyd: customer c has DEKs 1000 * c + 1 and up; the last is the newest. Answers when the test
 * says so. */
struct customer {
	char name[16];
	uint32_t newest;
	int64_t rotated;
	uint32_t retired; /* all up to this one */
};
struct call {
	uint16_t op;
	struct buf body;
	keyproto_client_ev_reply_fn fn;
	void *arg;
};
struct keyproto_client_ev {
	int away;
	unsigned count;
	struct call calls[4];
	unsigned resealed, emptied, frames;
};

static struct world {
	struct evt_loop *loop;
	struct keyproto_client_ev keyd;
	struct keys_reseal *reseal;
	struct customer customers[CUSTOMERS];
	/* a source: rows of each customer */
	struct buf rows[CUSTOMERS][ROWS];
	unsigned row_count, replaced, walks;
	int change_row; /* changed behind its back when it is read; -1: none */
	int next_fails;
	/* objects */
	int64_t oldest;
	unsigned asked;
	int64_t step_max; /* most items within one second */
} w;

static uint8_t key_byte(uint32_t keyref)
{
	return (uint8_t)(keyref * 31 + 7);
}

static void seal(uint32_t keyref, struct span aad, struct span plain, struct buf *out)
{
	uint8_t key[32];

	memset(key, key_byte(keyref), sizeof(key));
	buf_reset(out);
	assert_int_equal(seal_field_seal(key, keyref, aad, plain, out), 0);
}

static int unseal(struct span aad, struct span sealed, struct buf *out)
{
	uint8_t key[32];

	memset(key, key_byte(seal_field_keyref(sealed)), sizeof(key));
	return seal_field_open(key, aad, sealed, out);
}

int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg)
{
	struct call *call = &c->calls[c->count];

	(void)timeout_usec;
	if (c->away)
		return ERR_AWAY;
	assert_true(c->count < 4);
	*call = (struct call){.op = op, .fn = fn, .arg = arg};
	buf_init(&call->body, 65536);
	assert_int_equal(fill(&call->body, message), 0);
	c->count++;
	c->frames++;
	return 0;
}

static struct customer *find(struct span name)
{
	for (int i = 0; i < CUSTOMERS; i++)
		if (span_equal(name, span_str(w.customers[i].name)))
			return &w.customers[i];
	return NULL;
}

static struct keyproto_dek dek_of(const struct customer *c, uint32_t keyref)
{
	return (struct keyproto_dek){
	    span_str(c->name),	  keyref,
	    keyref % 1000,	  keyref <= c->retired ? KEYPROTO_DEK_RETIRED : KEYPROTO_DEK_ACTIVE,
	    (uint64_t)c->rotated, (uint64_t)c->rotated};
}

static void customer_keys(struct span body, struct buf *reply)
{
	struct keyproto_dek deks[KEYPROTO_BATCH_MAX];
	struct span name;
	unsigned n = 0;

	assert_int_equal(keyproto_bytes_get(body, &name), 0);
	for (int i = 0; i < CUSTOMERS; i++) {
		const struct customer *c = &w.customers[i];
		if (name.n && !span_equal(name, span_str(c->name)))
			continue;
		if (name.n)
			deks[n++] = dek_of(c, c->newest);
		for (uint32_t k = c->newest - 1; k % 1000; k--)
			if (name.n || k > c->retired)
				deks[n++] = dek_of(c, k);
	}
	assert_int_equal(keyproto_deks_put(reply, deks, n), 0);
}

static void reseal_fields(struct span body, struct buf *reply)
{
	static struct keyproto_fields m;
	struct keyproto_result out[KEYPROTO_BATCH_MAX];
	static struct buf fresh[KEYPROTO_BATCH_MAX];
	struct buf plain;

	assert_int_equal(keyproto_fields_get(body, &m), 0);
	assert_int_equal(m.purpose, KEYPROTO_FOR_CRED);
	for (unsigned i = 0; i < m.count; i++) {
		buf_init(&plain, 1000);
		buf_init(&fresh[i], 1000);
		out[i].status = KEYPROTO_OK;
		if (unseal(m.items[i].aad, m.items[i].data, &plain) < 0)
			out[i].status = KEYPROTO_E_AUTH;
		else
			seal(find(m.customer)->newest, m.items[i].aad, buf_span(&plain), &fresh[i]);
		out[i].data = buf_span(&fresh[i]);
		buf_clear(&plain);
		w.keyd.resealed++;
	}
	assert_int_equal(keyproto_results_put(reply, out, m.count), 0);
	for (unsigned i = 0; i < m.count; i++)
		buf_clear(&fresh[i]);
}

static void dek_empty(struct span body)
{
	struct keyproto_dek_empty m;
	struct customer *c;

	assert_int_equal(keyproto_dek_empty_get(body, &m), 0);
	c = find(m.customer);
	/* what the whole thing is about: nothing may be under it */
	for (unsigned i = 0; i < w.row_count; i++)
		assert_int_not_equal(seal_field_keyref(buf_span(&w.rows[c - w.customers][i])),
				     m.keyref);
	assert_true(m.keyref < c->newest);
	if (m.keyref > c->retired)
		c->retired = m.keyref;
	w.keyd.emptied++;
}

static void answer_one(int err)
{
	struct call call = w.keyd.calls[0];
	struct buf reply;

	memmove(w.keyd.calls, w.keyd.calls + 1, --w.keyd.count * sizeof(call));
	buf_init(&reply, 65536);
	if (err == 0 && call.op == KEYPROTO_CUSTOMER_KEYS)
		customer_keys(buf_span(&call.body), &reply);
	else if (err == 0 && call.op == KEYPROTO_RESEAL_FIELDS)
		reseal_fields(buf_span(&call.body), &reply);
	else if (err == 0)
		dek_empty(buf_span(&call.body));
	call.fn(call.arg, err, buf_span(&reply));
	buf_clear(&reply);
	buf_clear(&call.body);
}

/* --- the source */
static void aad_of(char out[32], const char *customer, uint64_t row)
{
	snprintf(out, 32, "%s row %u", customer, (unsigned)row);
}

static int source_next(void *arg, const char *customer, uint64_t *cursor,
		       struct keys_reseal_item *items)
{
	static char aads[KEYS_RESEAL_BATCH][32];
	long at = find(span_str(customer)) - w.customers;
	int n = 0;

	(void)arg;
	if (w.next_fails)
		return ERR_IO;
	w.walks += *cursor == 0;
	for (; *cursor < w.row_count && n < KEYS_RESEAL_BATCH; n++) {
		aad_of(aads[n], customer, *cursor);
		items[n].id = (*cursor)++;
		items[n].aad = span_str(aads[n]);
		items[n].sealed = buf_span(&w.rows[at][items[n].id]);
	}
	return n;
}

static int source_replace(void *arg, const char *customer, const struct keys_reseal_item *item,
			  struct span fresh)
{
	struct buf *row = &w.rows[find(span_str(customer)) - w.customers][item->id];

	(void)arg;
	if ((int)item->id == w.change_row) { /* somebody was quicker */
		w.change_row = -1;
		return ERR_EXISTS;
	}
	assert_true(span_equal(buf_span(row), item->sealed));
	buf_reset(row);
	buf_put_span(row, fresh);
	w.replaced++;
	return 0;
}

static void objects(void *arg, void (*answer)(void *to, int64_t oldest), void *to)
{
	(void)arg;
	w.asked++;
	answer(to, w.oldest);
}

static void fill_rows(int c)
{
	char aad[32];

	for (unsigned i = 0; i < w.row_count; i++) {
		aad_of(aad, w.customers[c].name, i);
		seal(w.customers[c].newest, span_str(aad), SPAN_LIT("secret"), &w.rows[c][i]);
	}
}

static void rotate(int c)
{
	w.customers[c].newest++;
	w.customers[c].rotated = clock_wall();
}

static void start(void)
{
	static const struct keys_reseal_source source = {"rows", KEYPROTO_FOR_CRED, source_next,
							 source_replace, NULL};
	const struct keys_reseal_options o = {&source, 1, RATE, SETTLE, objects, NULL};

	w.reseal = keys_reseal_new(w.loop, &w.keyd, &o);
	assert_non_null(w.reseal);
	keys_reseal_look(w.reseal);
}

static void set_up(unsigned rows)
{
	memset(&w, 0, sizeof(w));
	clock_set(1000 * CLOCK_SEC, INT64_C(1800000000) * CLOCK_SEC);
	w.loop = evt_loop_new();
	w.row_count = rows;
	w.change_row = -1;
	for (int c = 0; c < CUSTOMERS; c++) {
		snprintf(w.customers[c].name, sizeof(w.customers[c].name), "customer-%d", c);
		w.customers[c].newest = 1000 * (uint32_t)c + 1;
		w.customers[c].retired = w.customers[c].newest - 1;
		for (int i = 0; i < ROWS; i++)
			buf_init(&w.rows[c][i], 1000);
		fill_rows(c);
	}
	start();
}

static void tear_down(void)
{
	while (w.keyd.count)
		answer_one(ERR_AWAY);
	keys_reseal_free(w.reseal);
	for (int c = 0; c < CUSTOMERS; c++)
		for (int i = 0; i < ROWS; i++)
			buf_clear(&w.rows[c][i]);
	evt_loop_free(w.loop);
	clock_restore();
}

/* Lets time pass; keyd answers at once. */
static void pass(int64_t usec)
{
	for (int64_t t = 0; t < usec; t += CLOCK_SEC / 20) {
		for (int i = 0; i < 20; i++) {
			evt_loop_turn(w.loop, 0);
			while (w.keyd.count)
				answer_one(0);
		}
		clock_advance(CLOCK_SEC / 20);
	}
}

static unsigned under(int c, uint32_t keyref)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.row_count; i++)
		n += seal_field_keyref(buf_span(&w.rows[c][i])) == keyref;
	return n;
}

static void without_a_rotation_nothing_is_touched(void **state)
{
	(void)state;
	set_up(ROWS);
	pass(SETTLE);
	assert_int_equal(w.walks, 0);
	assert_int_equal(w.keyd.emptied, 0);
	assert_true(w.keyd.frames < 10);
	tear_down();
}

static void all_rows_move_to_the_new_dek_and_the_old_one_is_given_up(void **state)
{
	struct buf plain;
	char aad[32];

	(void)state;
	set_up(ROWS);
	rotate(1);
	keys_reseal_look(w.reseal);
	pass(5 * CLOCK_SEC);
	assert_int_equal(under(1, 1002), ROWS);
	assert_int_equal(w.keyd.resealed, ROWS);
	assert_int_equal(under(0, 1), ROWS);
	assert_int_equal(w.keyd.emptied, 0); /* what was under way may still come */
	pass(2 * SETTLE);
	assert_int_equal(w.keyd.emptied, 1);
	assert_int_equal(w.customers[1].retired, 1001);
	assert_int_equal(w.keyd.resealed, ROWS);
	buf_init(&plain, 100);
	for (unsigned i = 0; i < ROWS; i++) {
		aad_of(aad, "customer-1", i);
		buf_reset(&plain);
		assert_int_equal(unseal(span_str(aad), buf_span(&w.rows[1][i]), &plain), 0);
		assert_true(span_equal(buf_span(&plain), SPAN_LIT("secret")));
	}
	buf_clear(&plain);
	tear_down();
}

static void rows_are_looked_at_no_faster_than_allowed(void **state)
{
	unsigned before;

	(void)state;
	set_up(ROWS);
	for (int c = 0; c < CUSTOMERS; c++)
		rotate(c);
	keys_reseal_look(w.reseal);
	for (int i = 0; i < 3; i++) {
		before = w.keyd.resealed;
		pass(CLOCK_SEC);
		assert_true(w.keyd.resealed - before <= RATE + KEYS_RESEAL_BATCH);
	}
	assert_int_equal(w.keyd.resealed, CUSTOMERS * ROWS);
	tear_down();
}

static void a_row_that_was_written_late_under_the_old_dek_is_found(void **state)
{
	(void)state;
	set_up(ROWS);
	rotate(1);
	keys_reseal_look(w.reseal);
	pass(5 * CLOCK_SEC);
	assert_int_equal(under(1, 1001), 0);
	seal(1001, SPAN_LIT("customer-1 row 77"), SPAN_LIT("late"), &w.rows[1][77]);
	pass(3 * SETTLE);
	assert_int_equal(under(1, 1002), ROWS);
	assert_int_equal(w.keyd.emptied, 1);
	tear_down();
}

static void a_row_that_changes_meanwhile_is_not_overwritten(void **state)
{
	(void)state;
	set_up(ROWS);
	rotate(1);
	w.change_row = 100;
	keys_reseal_look(w.reseal);
	pass(5 * CLOCK_SEC);
	assert_int_equal(w.replaced, ROWS - 1);
	pass(3 * SETTLE); /* it was still an old one: the next walk takes it */
	assert_int_equal(w.replaced, ROWS);
	assert_int_equal(w.keyd.emptied, 1);
	tear_down();
}

static void a_row_that_does_not_open_keeps_its_dek_alive(void **state)
{
	(void)state;
	set_up(ROWS);
	seal(1001, SPAN_LIT("another place"), SPAN_LIT("secret"), &w.rows[1][3]);
	rotate(1);
	keys_reseal_look(w.reseal);
	pass(5 * SETTLE);
	assert_int_equal(under(1, 1001), 1);
	assert_int_equal(w.keyd.emptied, 0);
	tear_down();
}

static void a_source_that_cannot_be_read_keeps_it_alive_too(void **state)
{
	(void)state;
	set_up(ROWS);
	rotate(1);
	w.next_fails = 1;
	keys_reseal_look(w.reseal);
	pass(5 * SETTLE);
	assert_int_equal(w.keyd.emptied, 0);
	w.next_fails = 0;
	pass(3 * SETTLE);
	assert_int_equal(w.keyd.emptied, 1);
	tear_down();
}

static void mail_of_before_the_rotation_is_waited_for(void **state)
{
	unsigned walks;

	(void)state;
	set_up(10);
	w.oldest = clock_wall() - CLOCK_SEC;
	clock_advance(CLOCK_SEC);
	rotate(1);
	keys_reseal_look(w.reseal);
	pass(4 * SETTLE);
	assert_true(w.asked > 0);
	assert_int_equal(w.keyd.emptied, 0);
	walks = w.walks;
	w.oldest = ERR_NOMEM;
	pass(SETTLE);
	assert_int_equal(w.keyd.emptied, 0);
	w.oldest = w.customers[1].rotated + SETTLE; /* may still have been under way then */
	pass(SETTLE);
	assert_int_equal(w.keyd.emptied, 0);
	w.oldest = w.customers[1].rotated + SETTLE + 1;
	pass(SETTLE);
	assert_int_equal(w.keyd.emptied, 1);
	assert_int_equal(w.walks, walks); /* rows were not read again for it */
	tear_down();
}

static void two_rotations_and_several_customers(void **state)
{
	(void)state;
	set_up(ROWS);
	rotate(0);
	rotate(2);
	keys_reseal_look(w.reseal);
	pass(SETTLE / 2);
	for (unsigned i = 0; i < ROWS; i += 2) {
		char aad[32];
		aad_of(aad, "customer-2", i);
		seal(2002, span_str(aad), SPAN_LIT("secret"), &w.rows[2][i]);
	}
	rotate(2);
	keys_reseal_look(w.reseal);
	pass(SETTLE); /* the second rotation's time has not passed */
	assert_int_equal(w.customers[2].retired, 2000);
	pass(3 * SETTLE);
	assert_int_equal(w.customers[0].retired, 1);
	assert_int_equal(w.customers[1].retired, 1000);
	assert_int_equal(w.customers[2].retired, 2002);
	assert_int_equal(under(2, 2003), ROWS);
	assert_int_equal(w.keyd.emptied, 3);
	tear_down();
}

static void a_keyd_that_goes_away_at_any_answer_loses_nothing(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 14; after++) {
		unsigned answers = 0;
		set_up(200);
		rotate(1);
		keys_reseal_look(w.reseal);
		for (int i = 0; i < 100 && answers < after; i++) {
			evt_loop_turn(w.loop, 0);
			if (w.keyd.count) {
				answer_one(0);
				answers++;
			}
			clock_advance(CLOCK_SEC / 10);
		}
		while (w.keyd.count)
			answer_one(ERR_AWAY);
		w.keyd.away = 1;
		pass(SETTLE / 2);
		w.keyd.away = 0;
		if (after % 2) { /* relay was restarted, too */
			keys_reseal_free(w.reseal);
			start();
		}
		keys_reseal_look(w.reseal);
		pass(4 * SETTLE);
		assert_int_equal(under(1, 1002), 200);
		assert_int_equal(w.customers[1].retired, 1001);
		tear_down();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(without_a_rotation_nothing_is_touched),
	    cmocka_unit_test(all_rows_move_to_the_new_dek_and_the_old_one_is_given_up),
	    cmocka_unit_test(rows_are_looked_at_no_faster_than_allowed),
	    cmocka_unit_test(a_row_that_was_written_late_under_the_old_dek_is_found),
	    cmocka_unit_test(a_row_that_changes_meanwhile_is_not_overwritten),
	    cmocka_unit_test(a_row_that_does_not_open_keeps_its_dek_alive),
	    cmocka_unit_test(a_source_that_cannot_be_read_keeps_it_alive_too),
	    cmocka_unit_test(mail_of_before_the_rotation_is_waited_for),
	    cmocka_unit_test(two_rotations_and_several_customers),
	    cmocka_unit_test(a_keyd_that_goes_away_at_any_answer_loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
