/* SPDX-License-Identifier: Apache-2.0 */
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
#include "core/secret.h"
#include "relay/keys/keys_object.h"

/* --- A keyd that answers when the test says so. A key is made of what was asked, so that a test
 * sees at once whether it got the key of the right object. */
struct call {
	uint16_t op;
	struct buf body;
	keyproto_client_ev_reply_fn fn;
	void *arg;
};
struct keyproto_client_ev {
	unsigned state;
	unsigned count;
	struct call calls[64];
	unsigned items; /* derived in all */
	unsigned salts;
};

unsigned keyproto_client_ev_state(const struct keyproto_client_ev *c)
{
	return c->state;
}

int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg)
{
	struct call *call = &c->calls[c->count];

	(void)timeout_usec;
	if (c->state != KEYPROTO_READY)
		return c->state == KEYPROTO_LOCKED ? ERR_LOCKED : ERR_AWAY;
	assert_true(c->count < 64);
	*call = (struct call){.op = op, .fn = fn, .arg = arg};
	buf_init(&call->body, 65536);
	assert_int_equal(fill(&call->body, message), 0);
	c->count++;
	return 0;
}

static void key_of(struct span context, const uint8_t *salt, uint8_t out[KEYPROTO_OBJECT_KEY])
{
	uint8_t sum = salt[0];

	for (size_t i = 0; i < context.n; i++)
		sum = (uint8_t)(sum * 31 + context.p[i]);
	memset(out, sum, KEYPROTO_OBJECT_KEY);
	memcpy(out, salt, KEYPROTO_SALT);
}

static unsigned derive_new(struct keyproto_client_ev *c, struct span body, struct buf *reply)
{
	struct keyproto_derive_new m;
	struct keyproto_derived items[KEYPROTO_BATCH_MAX];
	static uint8_t salts[KEYPROTO_BATCH_MAX][KEYPROTO_SALT], keys[KEYPROTO_BATCH_MAX][76];

	assert_int_equal(keyproto_derive_new_get(body, &m), 0);
	assert_int_equal(m.purpose, KEYPROTO_FOR_SPOOL);
	for (unsigned i = 0; i < m.count; i++) {
		uint32_t n = ++c->salts;
		memset(salts[i], 0, KEYPROTO_SALT);
		memcpy(salts[i], &n, sizeof(n));
		key_of(m.contexts[i], salts[i], keys[i]);
		items[i] = (struct keyproto_derived){7, salts[i], keys[i], KEYPROTO_OK};
		if (span_equal(m.customer, SPAN_LIT("stranger")))
			items[i].status = KEYPROTO_E_NOTFOUND;
	}
	assert_int_equal(keyproto_derived_put(reply, items, m.count), 0);
	return m.count;
}

static unsigned derive_existing(struct span body, struct buf *reply)
{
	struct keyproto_derive_existing m;
	struct keyproto_derived items[KEYPROTO_BATCH_MAX];
	static uint8_t keys[KEYPROTO_BATCH_MAX][76];

	assert_int_equal(keyproto_derive_existing_get(body, &m), 0);
	for (unsigned i = 0; i < m.count; i++) {
		key_of(m.items[i].context, m.items[i].salt, keys[i]);
		items[i] = (struct keyproto_derived){m.items[i].keyref, m.items[i].salt, keys[i],
						     KEYPROTO_OK};
		if (m.items[i].keyref == 666)
			items[i].status = KEYPROTO_E_NOTFOUND;
	}
	assert_int_equal(keyproto_derived_put(reply, items, m.count), 0);
	return m.count;
}

/* Answers the oldest call; err < 0: with that. */
static void answer(struct keyproto_client_ev *c, int err)
{
	struct call call = c->calls[0];
	struct buf reply;

	assert_true(c->count > 0);
	memmove(c->calls, c->calls + 1, --c->count * sizeof(call));
	buf_init(&reply, 65536);
	if (err == 0)
		c->items += call.op == KEYPROTO_DERIVE_NEW
				? derive_new(c, buf_span(&call.body), &reply)
				: derive_existing(buf_span(&call.body), &reply);
	call.fn(call.arg, err, buf_span(&reply));
	buf_clear(&reply);
	buf_clear(&call.body);
}

struct world {
	struct evt_loop *loop;
	struct keyproto_client_ev keyd;
	struct keys_object *keys;
	size_t secret_before;
};

static void set_up(struct world *w)
{
	size_t taken;

	memset(w, 0, sizeof(*w));
	clock_set(1000 * CLOCK_SEC, INT64_C(1800000000) * CLOCK_SEC);
	secret_usage(&w->secret_before, &taken);
	w->loop = evt_loop_new();
	w->keyd.state = KEYPROTO_READY;
	w->keys = keys_object_new(w->loop, &w->keyd);
	assert_non_null(w->keys);
}

static void tear_down(struct world *w)
{
	size_t used, taken;

	keys_object_free(w->keys);
	while (w->keyd.count)
		answer(&w->keyd, ERR_AWAY);
	secret_usage(&used, &taken);
	assert_int_equal(used, w->secret_before);
	evt_loop_free(w->loop);
	clock_restore();
}

static void turn(struct world *w)
{
	evt_loop_turn(w->loop, 0);
}

static void keyd_becomes(struct world *w, unsigned state)
{
	w->keyd.state = state;
	if (state != KEYPROTO_READY)
		while (w->keyd.count)
			answer(&w->keyd, ERR_AWAY);
	keys_object_state(w->keys, state);
}

static int take(struct world *w, const char *customer, struct keys_object_body *b)
{
	struct keys_object_envelope e;

	return keys_object_take(w->keys, customer, b, &e);
}

static void assert_key_of(const char *customer, uint64_t id, const char *kind, const uint8_t *salt,
			  const uint8_t *key, size_t n)
{
	uint8_t context[255], want[KEYPROTO_OBJECT_KEY];
	int size = seal_chunk_context(context, span_str(customer), id, span_str(kind));

	key_of(span_of(context, (size_t)size), salt, want);
	assert_memory_equal(key, want, n);
}

static void a_taken_key_belongs_to_its_id_and_customer(void **state)
{
	struct world w;
	struct keys_object_body b;
	struct keys_object_envelope e;

	(void)state;
	set_up(&w);
	keys_object_want(w.keys, "acme");
	answer(&w.keyd, 0);
	assert_int_equal(keys_object_take(w.keys, "acme", &b, &e), 0);
	assert_int_equal(b.keyref, 7);
	assert_key_of("acme", b.id, "body", b.salt, b.key, SEAL_CHUNK_KEY);
	assert_key_of("acme", e.object, "envelope", e.salt, e.key, 32);
	assert_int_not_equal(b.id, e.object);
	tear_down(&w);
}

static void ids_are_never_given_twice(void **state)
{
	struct world w;
	struct keys_object_body b;
	uint64_t last = 0;

	(void)state;
	set_up(&w);
	keys_object_want(w.keys, "acme");
	for (int i = 0; i < 1000; i++) {
		while (w.keyd.count)
			answer(&w.keyd, 0);
		assert_int_equal(take(&w, "acme", &b), 0);
		assert_true(b.id > last);
		last = b.id;
	}
	tear_down(&w);
}

static void the_stock_is_refilled_at_half_and_not_before(void **state)
{
	struct world w;
	struct keys_object_body b;

	(void)state;
	set_up(&w);
	keys_object_want(w.keys, "acme");
	keys_object_want(w.keys, "acme");
	assert_int_equal(w.keyd.count, 1);
	answer(&w.keyd, 0);
	assert_int_equal(w.keyd.items, 65); /* 64 bodies, one envelope */
	for (int i = 0; i < 31; i++)
		assert_int_equal(take(&w, "acme", &b), 0);
	assert_int_equal(w.keyd.count, 0);
	assert_int_equal(take(&w, "acme", &b), 0);
	assert_int_equal(w.keyd.count, 1);
	answer(&w.keyd, 0);
	assert_int_equal(w.keyd.items, 129);
	tear_down(&w);
}

static void an_empty_stock_is_busy_and_a_burst_makes_it_larger(void **state)
{
	struct world w;
	struct keys_object_body b;
	int first = 0, second = 0;

	(void)state;
	set_up(&w);
	assert_int_equal(take(&w, "acme", &b), ERR_BUSY);
	answer(&w.keyd, 0);
	while (take(&w, "acme", &b) == 0)
		first++;
	assert_int_equal(first, 64);
	while (w.keyd.count)
		answer(&w.keyd, 0);
	while (take(&w, "acme", &b) == 0)
		second++;
	assert_true(second >= 128);
	tear_down(&w);
}

static void a_stock_that_is_used_slowly_shrinks_again(void **state)
{
	struct world w;
	struct keys_object_body b;
	unsigned before;

	(void)state;
	set_up(&w);
	for (int i = 0; i < 6; i++) { /* bursts */
		while (take(&w, "acme", &b) == 0)
			;
		while (w.keyd.count)
			answer(&w.keyd, 0);
	}
	for (int i = 0; i < 4096; i++) {
		clock_advance(CLOCK_SEC / 2);
		turn(&w);
		assert_int_equal(take(&w, "acme", &b), 0);
		while (w.keyd.count)
			answer(&w.keyd, 0);
	}
	before = w.keyd.items;
	w.keyd.items = 0;
	assert_true(before > 0);
	for (before = 0; take(&w, "acme", &b) == 0;)
		before++;
	assert_true(before <= 128);
	tear_down(&w);
}

static void when_keyd_goes_the_stock_goes_at_once(void **state)
{
	struct world w;
	struct keys_object_body b;
	size_t used, taken;

	(void)state;
	set_up(&w);
	keys_object_want(w.keys, "acme");
	answer(&w.keyd, 0);
	keyd_becomes(&w, KEYPROTO_LOCKED);
	assert_int_equal(take(&w, "acme", &b), ERR_LOCKED);
	secret_usage(&used, &taken);
	assert_true(used <= w.secret_before + 8192); /* the cache stays, wiped */
	keyd_becomes(&w, KEYPROTO_AWAY);
	assert_int_equal(take(&w, "acme", &b), ERR_AWAY);
	keyd_becomes(&w, KEYPROTO_READY);
	assert_int_equal(w.keyd.count, 1); /* known customers are fetched for at once */
	answer(&w.keyd, 0);
	assert_int_equal(take(&w, "acme", &b), 0);
	tear_down(&w);
}

static void an_answer_from_before_a_lock_is_not_used(void **state)
{
	struct world w;
	struct keys_object_body b;

	(void)state;
	set_up(&w);
	keys_object_want(w.keys, "acme");
	keys_object_state(w.keys, KEYPROTO_LOCKED);
	keys_object_state(w.keys, KEYPROTO_READY);
	answer(&w.keyd, 0);
	assert_int_equal(w.keyd.count, 1); /* asked again */
	assert_int_equal(take(&w, "acme", &b), ERR_BUSY);
	answer(&w.keyd, 0);
	assert_int_equal(take(&w, "acme", &b), 0);
	tear_down(&w);
}

static void a_customer_unknown_to_keyd_is_not_found_and_asked_for_again_later(void **state)
{
	struct world w;
	struct keys_object_body b;

	(void)state;
	set_up(&w);
	assert_int_equal(take(&w, "stranger", &b), ERR_BUSY);
	answer(&w.keyd, 0);
	for (int i = 0; i < 10; i++)
		assert_int_equal(take(&w, "stranger", &b), ERR_NOTFOUND);
	assert_int_equal(w.keyd.count, 0);
	clock_advance(6 * CLOCK_SEC);
	turn(&w);
	assert_int_equal(take(&w, "stranger", &b), ERR_BUSY);
	assert_int_equal(w.keyd.count, 1);
	tear_down(&w);
}

static void a_new_state_of_keyd_forgets_what_it_refused(void **state)
{
	struct world w;
	struct keys_object_body b;

	(void)state;
	set_up(&w);
	assert_int_equal(take(&w, "stranger", &b), ERR_BUSY);
	answer(&w.keyd, 0);
	assert_int_equal(take(&w, "stranger", &b), ERR_NOTFOUND);
	keyd_becomes(&w, KEYPROTO_LOCKED);
	keyd_becomes(&w, KEYPROTO_READY);
	assert_int_equal(w.keyd.count, 1);
	assert_int_equal(take(&w, "stranger", &b), ERR_BUSY);
	tear_down(&w);
}

static void the_envelope_key_is_renewed_each_hour_and_65536_uses(void **state)
{
	struct world w;
	struct keys_object_body b;
	struct keys_object_envelope e;
	uint64_t first, second;

	(void)state;
	set_up(&w);
	keys_object_want(w.keys, "acme");
	answer(&w.keyd, 0);
	assert_int_equal(keys_object_take(w.keys, "acme", &b, &e), 0);
	first = e.object;
	for (int i = 0; i < 65535; i++) {
		while (w.keyd.count)
			answer(&w.keyd, 0);
		assert_int_equal(keys_object_take(w.keys, "acme", &b, &e), 0);
		assert_int_equal(e.object, first);
	}
	while (w.keyd.count)
		answer(&w.keyd, 0);
	assert_int_equal(keys_object_take(w.keys, "acme", &b, &e), 0);
	second = e.object;
	assert_int_not_equal(second, first);
	clock_advance(3599 * CLOCK_SEC);
	turn(&w);
	assert_int_equal(keys_object_take(w.keys, "acme", &b, &e), 0);
	assert_int_equal(e.object, second);
	clock_advance(2 * CLOCK_SEC);
	turn(&w);
	for (int i = 0; i < 3; i++) {
		take(&w, "acme", &b);
		while (w.keyd.count)
			answer(&w.keyd, 0);
	}
	assert_int_equal(keys_object_take(w.keys, "acme", &b, &e), 0);
	assert_int_not_equal(e.object, second);
	tear_down(&w);
}

static void many_customers_take_bounded_memory(void **state)
{
	struct world w;
	struct keys_object_body b;
	size_t used, taken;

	(void)state;
	set_up(&w);
	for (int i = 0; i < 500; i++) {
		char name[32];
		snprintf(name, sizeof(name), "customer-%d", i);
		take(&w, name, &b);
		while (w.keyd.count)
			answer(&w.keyd, 0);
		assert_int_equal(take(&w, name, &b), 0);
	}
	secret_usage(&used, &taken);
	assert_true(used - w.secret_before < 1 << 20);
	tear_down(&w);
}

struct waiter {
	struct keys_object_wait wait;
	struct world *w;
	int calls, err;
	uint64_t id;
};

static void waited(void *arg, int err)
{
	struct waiter *me = arg;
	struct keys_object_body b;

	me->calls++;
	me->err = err;
	if (err == 0 && take(me->w, "acme", &b) == 0)
		me->id = b.id;
}

static void who_waits_gets_a_key_each_in_turn(void **state)
{
	struct world w;
	struct keys_object_body b;
	static struct waiter many[200];

	(void)state;
	set_up(&w);
	memset(many, 0, sizeof(many));
	assert_int_equal(take(&w, "acme", &b), ERR_BUSY);
	for (int i = 0; i < 200; i++) {
		many[i].w = &w;
		many[i].wait.fn = waited;
		many[i].wait.arg = &many[i];
		assert_int_equal(keys_object_wait(w.keys, "acme", &many[i].wait), 0);
	}
	keys_object_unwait(w.keys, &many[5].wait);
	while (w.keyd.count)
		answer(&w.keyd, 0);
	for (int i = 0; i < 200; i++) {
		assert_int_equal(many[i].calls, i == 5 ? 0 : 1);
		assert_true(i == 5 || many[i].id != 0);
		assert_true(i < 7 || many[i].id > many[i - 1].id);
	}
	tear_down(&w);
}

static void who_waits_is_told_when_keyd_goes(void **state)
{
	struct world w;
	struct keys_object_body b;
	struct waiter one = {.w = &w, .wait = {.fn = waited}};

	(void)state;
	set_up(&w);
	one.wait.arg = &one;
	take(&w, "acme", &b);
	assert_int_equal(keys_object_wait(w.keys, "acme", &one.wait), 0);
	keyd_becomes(&w, KEYPROTO_AWAY);
	assert_int_equal(one.calls, 1);
	assert_int_equal(one.err, ERR_AWAY);
	assert_int_equal(keys_object_wait(w.keys, "acme", &one.wait), ERR_AWAY);
	tear_down(&w);
}

/* --- open */
struct opened {
	int calls, err;
	uint8_t keys[2][KEYPROTO_OBJECT_KEY];
	struct world *w;
	int64_t cancel;
};

static void on_open(void *arg, int err, const uint8_t (*keys)[KEYPROTO_OBJECT_KEY])
{
	struct opened *o = arg;

	o->calls++;
	o->err = err;
	if (err == 0)
		memcpy(o->keys, keys, sizeof(o->keys));
	if (o->cancel)
		keys_object_cancel(o->w->keys, o->cancel);
}

static const uint8_t salt_a[KEYPROTO_SALT] = {1, 2, 3}, salt_b[KEYPROTO_SALT] = {9, 8, 7};

static int64_t open_message(struct world *w, struct opened *o, uint64_t id, uint32_t keyref)
{
	struct keys_object_want want[2] = {{"acme", id, "body", keyref, salt_a},
					   {"acme", 77, "envelope", 3, salt_b}};

	return keys_object_open(w->keys, want, 2, on_open, o);
}

static void the_opens_of_one_turn_travel_in_one_frame_and_share_the_envelope_key(void **state)
{
	struct world w;
	static struct opened o[100];

	(void)state;
	set_up(&w);
	memset(o, 0, sizeof(o));
	for (int i = 0; i < 100; i++)
		assert_true(open_message(&w, &o[i], 1000 + (uint64_t)i, 3) > 0);
	assert_int_equal(w.keyd.count, 0);
	turn(&w);
	assert_int_equal(w.keyd.count, 1);
	assert_int_equal(o[0].calls, 0);
	answer(&w.keyd, 0);
	assert_int_equal(w.keyd.items, 101);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(o[i].calls, 1);
		assert_int_equal(o[i].err, 0);
		assert_key_of("acme", 1000 + (uint64_t)i, "body", salt_a, o[i].keys[0], 76);
		assert_key_of("acme", 77, "envelope", salt_b, o[i].keys[1], 76);
	}
	tear_down(&w);
}

static void more_than_a_frame_holds_travels_in_several(void **state)
{
	struct world w;
	static struct opened o[1000];
	char customer[65];

	(void)state;
	set_up(&w);
	memset(o, 0, sizeof(o));
	memset(customer, 'c', 64);
	customer[64] = '\0';
	for (int i = 0; i < 1000; i++) {
		struct keys_object_want want = {customer, (uint64_t)i + 1, "body", 3, salt_a};
		assert_true(keys_object_open(w.keys, &want, 1, on_open, &o[i]) > 0);
	}
	turn(&w);
	assert_true(w.keyd.count >= 4);
	while (w.keyd.count)
		answer(&w.keyd, 0);
	for (int i = 0; i < 1000; i++)
		assert_key_of(customer, (uint64_t)i + 1, "body", salt_a, o[i].keys[0], 76);
	tear_down(&w);
}

static void an_envelope_key_is_remembered_until_keyd_changes(void **state)
{
	struct world w;
	struct opened a = {0}, b = {0}, c = {0};

	(void)state;
	set_up(&w);
	open_message(&w, &a, 1, 3);
	turn(&w);
	answer(&w.keyd, 0);
	assert_int_equal(w.keyd.items, 2);
	open_message(&w, &b, 2, 3);
	turn(&w);
	answer(&w.keyd, 0);
	assert_int_equal(w.keyd.items, 3);
	assert_key_of("acme", 77, "envelope", salt_b, b.keys[1], 76);
	keyd_becomes(&w, KEYPROTO_LOCKED);
	keyd_becomes(&w, KEYPROTO_READY);
	open_message(&w, &c, 3, 3);
	turn(&w);
	answer(&w.keyd, 0);
	assert_int_equal(w.keyd.items, 5);
	assert_int_equal(c.err, 0);
	tear_down(&w);
}

static void an_envelope_key_from_before_a_lock_is_given_but_not_remembered(void **state)
{
	struct world w;
	struct opened a = {0}, b = {0};

	(void)state;
	set_up(&w);
	open_message(&w, &a, 1, 3);
	turn(&w);
	keys_object_state(w.keys, KEYPROTO_LOCKED);
	keys_object_state(w.keys, KEYPROTO_READY);
	answer(&w.keyd, 0);
	assert_int_equal(a.err, 0);
	open_message(&w, &b, 2, 3);
	turn(&w);
	answer(&w.keyd, 0);
	assert_int_equal(w.keyd.items, 4);
	tear_down(&w);
}

static void a_remembered_key_is_given_in_the_same_turn_but_not_within_the_call(void **state)
{
	struct world w;
	struct opened a = {0};
	struct keys_object_body b;
	struct keys_object_envelope e;
	struct keys_object_want want;

	(void)state;
	set_up(&w);
	take(&w, "acme", &b);
	answer(&w.keyd, 0);
	assert_int_equal(keys_object_take(w.keys, "acme", &b, &e), 0);
	want = (struct keys_object_want){"acme", e.object, "envelope", e.keyref, e.salt};
	assert_true(keys_object_open(w.keys, &want, 1, on_open, &a) > 0);
	assert_int_equal(a.calls, 0);
	turn(&w);
	assert_int_equal(a.calls, 1); /* our own envelope keys are known without asking */
	assert_memory_equal(a.keys[0], e.key, 32);
	assert_int_equal(w.keyd.count, 0);
	/* the same salt under another customer is another key */
	want.customer = "other";
	assert_true(keys_object_open(w.keys, &want, 1, on_open, &a) > 0);
	turn(&w);
	assert_int_equal(w.keyd.count, 1);
	tear_down(&w);
}

static void the_cache_of_envelope_keys_is_bounded(void **state)
{
	struct world w;
	struct opened o = {0};

	(void)state;
	set_up(&w);
	for (int round = 0; round < 2; round++)
		for (uint64_t i = 1; i <= 65; i++) {
			struct keys_object_want want = {"acme", i, "envelope", 3, salt_a};
			keys_object_open(w.keys, &want, 1, on_open, &o);
			turn(&w);
			if (w.keyd.count)
				answer(&w.keyd, 0);
			assert_key_of("acme", i, "envelope", salt_a, o.keys[0], 76);
		}
	assert_int_equal(o.calls, 130);
	assert_true(w.keyd.items > 65); /* 65 do not fit into 64 */
	tear_down(&w);
}

static void one_bad_object_fails_alone(void **state)
{
	struct world w;
	struct opened good = {0}, bad = {0};

	(void)state;
	set_up(&w);
	open_message(&w, &bad, 1, 666);
	open_message(&w, &good, 2, 3);
	turn(&w);
	answer(&w.keyd, 0);
	assert_int_equal(bad.err, ERR_NOTFOUND);
	assert_int_equal(good.err, 0);
	tear_down(&w);
}

static void a_cancelled_open_is_never_answered(void **state)
{
	struct world w;
	struct opened a = {0}, b = {0}, c = {0}, d = {0};
	int64_t ta, tb;

	(void)state;
	set_up(&w);
	ta = open_message(&w, &a, 1, 3);
	tb = open_message(&w, &b, 2, 3);
	open_message(&w, &c, 3, 3);
	keys_object_cancel(w.keys, ta); /* before it left */
	turn(&w);
	keys_object_cancel(w.keys, tb); /* under way */
	c.w = &w;
	c.cancel = open_message(&w, &d, 4, 3);
	answer(&w.keyd, 0);
	turn(&w);
	while (w.keyd.count)
		answer(&w.keyd, 0);
	assert_int_equal(a.calls, 0);
	assert_int_equal(b.calls, 0);
	assert_int_equal(c.calls, 1);
	assert_int_equal(d.calls, 0);
	tear_down(&w);
}

static void when_keyd_goes_opens_are_answered_with_it(void **state)
{
	struct world w;
	struct opened a = {0}, b = {0};

	(void)state;
	set_up(&w);
	open_message(&w, &a, 1, 3);
	turn(&w);
	open_message(&w, &b, 2, 3);
	keyd_becomes(&w, KEYPROTO_AWAY);
	turn(&w);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, ERR_AWAY);
	assert_int_equal(b.err, ERR_AWAY);
	assert_int_equal(open_message(&w, &a, 1, 3), ERR_AWAY);
	tear_down(&w);
}

static void freeing_with_everything_under_way_is_safe(void **state)
{
	struct world w;
	struct opened a = {0};
	struct keys_object_body b;

	(void)state;
	set_up(&w);
	take(&w, "acme", &b);
	open_message(&w, &a, 1, 3);
	turn(&w);
	open_message(&w, &a, 2, 3);
	tear_down(&w); /* answers come after the free */
	assert_int_equal(a.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_taken_key_belongs_to_its_id_and_customer),
	    cmocka_unit_test(ids_are_never_given_twice),
	    cmocka_unit_test(the_stock_is_refilled_at_half_and_not_before),
	    cmocka_unit_test(an_empty_stock_is_busy_and_a_burst_makes_it_larger),
	    cmocka_unit_test(a_stock_that_is_used_slowly_shrinks_again),
	    cmocka_unit_test(when_keyd_goes_the_stock_goes_at_once),
	    cmocka_unit_test(an_answer_from_before_a_lock_is_not_used),
	    cmocka_unit_test(a_customer_unknown_to_keyd_is_not_found_and_asked_for_again_later),
	    cmocka_unit_test(a_new_state_of_keyd_forgets_what_it_refused),
	    cmocka_unit_test(an_envelope_key_from_before_a_lock_is_given_but_not_remembered),
	    cmocka_unit_test(the_envelope_key_is_renewed_each_hour_and_65536_uses),
	    cmocka_unit_test(many_customers_take_bounded_memory),
	    cmocka_unit_test(who_waits_gets_a_key_each_in_turn),
	    cmocka_unit_test(who_waits_is_told_when_keyd_goes),
	    cmocka_unit_test(the_opens_of_one_turn_travel_in_one_frame_and_share_the_envelope_key),
	    cmocka_unit_test(more_than_a_frame_holds_travels_in_several),
	    cmocka_unit_test(an_envelope_key_is_remembered_until_keyd_changes),
	    cmocka_unit_test(a_remembered_key_is_given_in_the_same_turn_but_not_within_the_call),
	    cmocka_unit_test(the_cache_of_envelope_keys_is_bounded),
	    cmocka_unit_test(one_bad_object_fails_alone),
	    cmocka_unit_test(a_cancelled_open_is_never_answered),
	    cmocka_unit_test(when_keyd_goes_opens_are_answered_with_it),
	    cmocka_unit_test(freeing_with_everything_under_way_is_safe),
	};

	return cmocka_run_group_tests_name("keys_object", tests, NULL, NULL);
}
