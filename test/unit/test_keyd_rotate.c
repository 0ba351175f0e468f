/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation of KEKs under a clock of its own: when shards are due, that every key opens before,
 * between and after, and what holds it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_ring_in.h" /* to wear KEKs out and to damage wraps */
#include "keyd/keyd_ring_rewrap.h"
#include "keyd/keyd_schedule.h"
#include "keyproto/keyproto_rotate.h"
#include "test/unit/keyd_play.h"

#define BATCH KEYD_RING_REWRAP_BATCH
#define REST  44
#define MANY  (BATCH + REST) /* DEKs that make two batches */
#define DAY   (86400 * CLOCK_SEC)
#define SLOTS "[{method: file, path: root.key}]"
#define START (1795000000 * CLOCK_SEC)

struct scene {
	struct keyd_play play;
	struct keyd_play_client officer;
	struct keyd_rotate_want want;
	int wanted; /* what the want was told; 1: nothing yet */
};

/* Lines of the log by event, since the last forget. */
static struct {
	unsigned begun, done, retired, destroyed, waits, stuck, failed;
} heard;
static char fault[512]; /* the last line of an error: what keyd says when it stops serving */

static void hear(void *arg, const char *line)
{
	(void)arg;
	heard.begun += strstr(line, "event=rotation-begun ") != NULL;
	heard.done += strstr(line, "event=rotation-done ") != NULL;
	heard.retired += strstr(line, "event=kek-retired ") != NULL;
	heard.destroyed += strstr(line, "event=kek-destroyed ") != NULL;
	heard.waits += strstr(line, "event=rotation-waits ") != NULL;
	heard.stuck += strstr(line, "event=rotation-stuck ") != NULL;
	heard.failed += strstr(line, "event=rewrap-failed ") != NULL;
	if (strstr(line, " error ") || strstr(line, "event=state-changed "))
		snprintf(fault, sizeof(fault), "%s", line);
}

static void forget(void)
{
	memset(&heard, 0, sizeof(heard));
}

static void join(struct scene *s)
{
	keyd_play_connect(&s->officer, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_OFFICER);
}

/* A keyd with a store and no customer. */
static struct scene *stage(void)
{
	static struct scene s;

	memset(&s, 0, sizeof(s));
	clock_set(CLOCK_SEC, START);
	assert_int_equal(keyd_play_open(&s.play, SLOTS), 0);
	join(&s);
	assert_int_equal(keyd_play_init(&s.officer, NULL), 0);
	forget();
	return &s;
}

static void strike(struct scene *s)
{
	keyd_play_leave(&s->officer);
	keyd_play_close(&s->play);
	clock_restore();
}

static void restart(struct scene *s)
{
	keyd_play_leave(&s->officer);
	keyd_play_stop(&s->play);
	assert_int_equal(keyd_play_restart(&s->play, SLOTS), 0);
	join(s);
}

static struct keyd_ring *ring(struct scene *s)
{
	if (!s->play.keyd->ring)
		fail_msg("keyd serves nothing any more: %s", fault);
	return s->play.keyd->ring;
}

static struct keyd_ring_shard shard(struct scene *s, unsigned n)
{
	struct keyd_ring_shard out;

	keyd_ring_shard(ring(s), n, &out);
	return out;
}

static uint32_t keks(struct scene *s)
{
	struct keyd_ring_counts n;

	keyd_ring_counts(ring(s), &n);
	return n.keks;
}

/* So much time passes, in steps. Never is more than one shard in the middle of its rotation. */
static void pass(struct scene *s, int64_t usec, int64_t step)
{
	unsigned open;

	for (int64_t t = 0; t < usec; t += step) {
		clock_advance(step);
		keyd_rotate_tick(s->play.keyd->rotate);
		open = 0;
		for (unsigned i = 0; i < KEYD_RING_SHARDS; i++)
			open += (unsigned)keyd_schedule_unfinished(s->play.keyd, i);
		assert_true(open <= 1);
	}
}

/* Rotation has nothing to do but to look again later. */
static void settle(struct scene *s)
{
	unsigned begun;

	do {
		begun = heard.begun + heard.done + heard.retired + heard.destroyed;
		pass(s, 2 * CLOCK_SEC, CLOCK_SEC / 10);
	} while (heard.begun + heard.done + heard.retired + heard.destroyed != begun);
}

static int rotate(struct scene *s, const char *name, unsigned flags)
{
	struct keyproto_rotate m = {KEYPROTO_ROTATE_KEK, span_str(name), (uint8_t)flags};

	keyproto_rotate_put(keyd_play_begin(&s->officer), &m);
	return keyd_play_call(&s->officer, KEYPROTO_ROTATE);
}

static int order(struct scene *s, unsigned what)
{
	keyproto_rotation_put(keyd_play_begin(&s->officer), (uint8_t)what);
	return keyd_play_call(&s->officer, KEYPROTO_ROTATION);
}

/* Name of the nth customer, if only those in one shard count. */
static const char *name_in(unsigned in, unsigned nth)
{
	static char name[32];

	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof(name), "customer-%u", i);
		if (keyd_record_shard(span_str(name)) == (int)in && nth-- == 0)
			return name;
	}
}

/* So many customers, of one shard or (256) of any: made in the ring, and written in one go. */
static void fill_shard(struct scene *s, unsigned in, unsigned count)
{
	struct buf b;
	char name[32];

	buf_init(&b, KEYD_RECORD_BODY_MAX);
	for (unsigned i = 0; count; i++) {
		snprintf(name, sizeof(name), "customer-%u", i);
		if (in < 256 && keyd_record_shard(span_str(name)) != (int)in)
			continue;
		buf_reset(&b);
		assert_int_equal(keyd_ring_make_customer(ring(s), span_str(name), 1, &b), 0);
		assert_int_equal(keyd_ring_apply(ring(s), KEYD_RECORD_DEK, buf_span(&b), 1), 0);
		count--;
	}
	buf_clear(&b);
	assert_int_equal(keyd_store_snapshot(s->play.keyd->store, ring(s)), 0);
}

static void fill(struct scene *s, unsigned count)
{
	fill_shard(s, 256, count);
}

static void subkey_of(struct scene *s, uint32_t keyref, uint8_t out[32])
{
	struct keyd_ring_counts n;
	const uint8_t *key;

	keyd_ring_counts(ring(s), &n);
	for (uint32_t c = 0; c < n.customers; c++) {
		if (keyd_ring_subkey(ring(s), c, keyref, KEYPROTO_FOR_SPOOL, &key) == 0) {
			memcpy(out, key, 32);
			return;
		}
	}
	fail_msg("key %u does not open", keyref);
}

/* Sub-keys of the DEKs 1..count, unwrapped from what is in the store: the cache begins empty. */
static void subkeys(struct scene *s, unsigned count, uint8_t (*out)[32])
{
	restart(s);
	for (unsigned i = 0; i < count; i++)
		subkey_of(s, i + 1, out[i]);
}

static void all_shards_that_were_asked_for_get_new_keks_and_every_key_opens(void **state)
{
	static uint8_t before[200][32], after[200][32];
	struct scene *s = stage();

	(void)state;
	fill(s, 200);
	subkeys(s, 200, before);
	assert_int_equal(rotate(s, "all", 0), 0);
	settle(s);
	assert_int_equal(heard.begun, 256);
	assert_int_equal(heard.done, 256);
	assert_int_equal(heard.retired, 256);
	assert_int_equal(keks(s), 512);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(shard(s, i).version, 2);
		assert_int_equal(shard(s, i).left, 0);
		assert_int_equal(shard(s, i).uses, shard(s, i).deks);
	}
	subkeys(s, 200, after);
	assert_memory_equal(before, after, sizeof(before));
	/* The old ones are kept for 30 days, and then gone from the store as well. */
	forget();
	pass(s, 29 * DAY, DAY / 4);
	assert_int_equal(heard.destroyed, 0);
	pass(s, 2 * DAY, DAY / 4);
	assert_true(heard.destroyed >= 256);
	subkeys(s, 200, after);
	assert_memory_equal(before, after, sizeof(before));
	for (unsigned i = 0; i < 256; i++)
		assert_true(shard(s, i).older >= 2);
	strike(s);
}

static void the_first_keks_are_spread_over_the_period_and_then_each_has_its_own(void **state)
{
	struct scene *s = stage();

	(void)state;
	for (unsigned day = 1; day <= 90; day++) {
		pass(s, DAY, DAY / 8);
		assert_true(heard.begun >= (day - 1) * 256 / 90 &&
			    heard.begun <= day * 256 / 90 + 1);
	}
	pass(s, DAY, DAY / 8);
	/* 256 first ones; shard 0 is near its next turn, which comes 90 days after its last. */
	assert_true(heard.begun >= 256 && heard.begun <= 259);
	assert_int_equal(shard(s, 255).version, 2);
	pass(s, 90 * DAY, DAY / 8);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(shard(s, i).version, i < 3 ? shard(s, i).version : 3);
	assert_true(keks(s) <=
		    256 + 256 / 3 + 8); /* the active ones, and 30 days of retired ones */
	strike(s);
}

static void jumps_of_the_clock_do_no_harm(void **state)
{
	struct scene *s = stage();

	(void)state;
	fill(s, 50);
	/* A year ahead: all are due, and they go one after another, each once. */
	clock_set(clock_mono(), clock_wall() + 365 * DAY);
	settle(s);
	assert_int_equal(heard.begun, 256);
	assert_int_equal(heard.done, 256);
	/* Two years back: nothing at all happens, for days. */
	forget();
	clock_set(clock_mono(), clock_wall() - 730 * DAY);
	pass(s, 20 * DAY, DAY / 4);
	assert_int_equal(heard.begun, 0);
	assert_int_equal(heard.destroyed, 0);
	for (unsigned i = 0; i < 256; i++)
		assert_true(keyd_schedule_due(s->play.keyd, i) <= clock_wall() + 90 * DAY);
	/* To and fro within one rotation: it goes on, and once. */
	assert_int_equal(rotate(s, "all", 0), 0);
	for (unsigned i = 0; i < 300; i++) {
		clock_set(clock_mono() + CLOCK_SEC / 100,
			  clock_wall() + (i % 2 ? 1 : -1) * 400 * DAY);
		keyd_rotate_tick(s->play.keyd->rotate);
	}
	settle(s);
	assert_true(heard.done >= 256 && heard.done <= 512);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(shard(s, i).left, 0);
	strike(s);
}

static void batches_keep_to_the_rate(void **state)
{
	struct scene *s = stage();
	unsigned done;

	(void)state;
	fill_shard(s, 7, 3 * BATCH);
	s->play.keyd->conf->rotation.rate = BATCH / 2; /* a batch lasts 2 s */
	assert_int_equal(rotate(s, "7", 0), 0);
	for (unsigned tenths = 1; tenths <= 55; tenths++) {
		pass(s, CLOCK_SEC / 10, CLOCK_SEC / 10);
		done = 3 * BATCH - shard(s, 7).left;
		assert_true(done <= BATCH + BATCH / 2 * tenths / 10 + BATCH / 20 + 1);
		assert_true(done + BATCH / 20 + 1 >= BATCH / 2 * tenths / 10);
	}
	pass(s, 3 * CLOCK_SEC, CLOCK_SEC / 10);
	assert_int_equal(shard(s, 7).left, 0);
	assert_int_equal(heard.done, 1);
	strike(s);
}

static void a_pause_holds_between_batches_and_over_a_restart(void **state)
{
	static uint8_t before[MANY][32], after[MANY][32];
	struct scene *s = stage();

	(void)state;
	fill_shard(s, 9, MANY);
	subkeys(s, MANY, before);
	s->play.keyd->conf->rotation.rate = BATCH / 2;
	assert_int_equal(rotate(s, "9", 0), 0);
	pass(s, CLOCK_SEC / 10, CLOCK_SEC / 10);
	assert_int_equal(shard(s, 9).left, REST);
	assert_int_equal(order(s, KEYPROTO_ROTATION_PAUSE), 0);
	pass(s, 100 * DAY, DAY);
	assert_int_equal(shard(s, 9).left, REST);
	/* Half under the one and half under the other KEK: every key opens. */
	subkeys(s, MANY, after);
	assert_memory_equal(before, after, sizeof(before));
	pass(s, 10 * DAY, DAY);
	assert_int_equal(shard(s, 9).left, REST);
	forget();
	s->play.keyd->conf->rotation.kek = 0;
	assert_int_equal(order(s, KEYPROTO_ROTATION_RESUME), 0);
	settle(s);
	assert_int_equal(shard(s, 9).left, 0);
	assert_int_equal(shard(s, 9).version, 2);
	assert_int_equal(heard.begun, 1);
	subkeys(s, MANY, after);
	assert_memory_equal(before, after, sizeof(before));
	strike(s);
}

static void a_lock_in_the_middle_stops_and_an_unseal_goes_on(void **state)
{
	static uint8_t before[MANY][32], after[MANY][32];
	struct scene *s = stage();

	(void)state;
	fill_shard(s, 3, MANY);
	subkeys(s, MANY, before);
	s->play.keyd->conf->rotation.rate = BATCH / 2;
	assert_int_equal(rotate(s, "3", 0), 0);
	pass(s, CLOCK_SEC / 10, CLOCK_SEC / 10);
	keyd_play_begin(&s->officer);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_LOCK), 0);
	forget();
	clock_advance(DAY);
	keyd_rotate_tick(s->play.keyd->rotate);
	assert_int_equal(heard.begun, 0);
	assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_FILE, ""), 0);
	assert_int_equal(shard(s, 3).left, REST);
	settle(s);
	assert_int_equal(shard(s, 3).left, 0);
	assert_int_equal(shard(s, 3).version, 2);
	subkeys(s, MANY, after);
	assert_memory_equal(before, after, sizeof(before));
	strike(s);
}

static void want_done(struct keyd_rotate_want *w, int rc)
{
	struct scene *s = (struct scene *)((char *)w - offsetof(struct scene, want));

	assert_int_equal(s->wanted, 1);
	s->wanted = rc;
}

static void an_urgent_shard_goes_first_and_leaves_no_old_kek(void **state)
{
	static uint8_t before[2 * MANY][32], after[2 * MANY][32];
	struct scene *s = stage();

	(void)state;
	fill_shard(s, 5, MANY);
	fill_shard(s, 200, MANY);
	subkeys(s, 2 * MANY, before);
	s->play.keyd->conf->rotation.rate = 1;
	assert_int_equal(rotate(s, "all", 0), 0);
	for (unsigned i = 0; shard(s, 5).version == 1 && i < 100; i++)
		pass(s, CLOCK_SEC, CLOCK_SEC);
	assert_true(shard(s, 5).left > 0);
	assert_int_equal(order(s, KEYPROTO_ROTATION_PAUSE), 0);
	forget();
	/* One that rotation has not come to, and the one that it is in. */
	for (unsigned i = 0; i < 2; i++) {
		unsigned n = i ? 5 : 200;
		s->want.shard = n;
		s->want.done = want_done;
		s->wanted = 1;
		keyd_rotate_shard(s->play.keyd->rotate, &s->want);
		assert_int_equal(s->wanted, 1);
		keyd_rotate_tick(s->play.keyd->rotate);
		assert_int_equal(s->wanted, 0);
		assert_int_equal(shard(s, n).deks, MANY);
		assert_int_equal(shard(s, n).older, shard(s, n).version);
	}
	assert_int_equal(shard(s, 5).version, 3);
	assert_int_equal(shard(s, 200).version, 2);
	assert_int_equal(heard.destroyed, 3);
	subkeys(s, 2 * MANY, after);
	assert_memory_equal(before, after, sizeof(before));
	/* Asked for by an officer; what locks keyd ends it. */
	assert_int_equal(rotate(s, "200", KEYPROTO_ROTATE_URGENT), ERR_TIMEOUT);
	assert_int_equal(rotate(s, "5", KEYPROTO_ROTATE_URGENT), ERR_TIMEOUT);
	keyd_play_begin(&s->officer);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_LOCK), 0);
	s->wanted = 1;
	keyd_rotate_shard(s->play.keyd->rotate, &s->want);
	assert_int_equal(s->wanted, ERR_LOCKED);
	strike(s);
}

/* As if the newest KEK had made so many wraps. */
static void wear(struct scene *s, unsigned n, uint64_t uses)
{
	ring(s)->shards[n]->uses = uses;
}

static void a_kek_that_made_half_its_wraps_is_due(void **state)
{
	struct keyd_ring_shard n;
	struct scene *s = stage();

	(void)state;
	assert_int_equal(keyd_play_customer(&s->officer, name_in(77, 0)), 0);
	n = shard(s, 77);
	assert_int_equal(n.uses, 1);
	assert_true(keyd_schedule_due(s->play.keyd, 77) > clock_wall());
	wear(s, 77, (UINT64_C(1) << 30) - 1);
	assert_true(keyd_schedule_due(s->play.keyd, 77) > clock_wall());
	/* A customer more makes it half of 2^31. */
	assert_int_equal(keyd_play_customer(&s->officer, name_in(77, 1)), 0);
	assert_int_equal(keyd_schedule_due(s->play.keyd, 77), clock_wall());
	pass(s, 61 * CLOCK_SEC, CLOCK_SEC);
	assert_int_equal(shard(s, 77).version, 2);
	assert_int_equal(shard(s, 77).uses, 2);
	/* At the end of what a KEK may wrap nothing new is wrapped, until rotation gives another. */
	wear(s, 77, UINT64_C(1) << 31);
	assert_int_equal(keyd_play_customer(&s->officer, name_in(77, 2)), ERR_LIMIT);
	pass(s, 61 * CLOCK_SEC, CLOCK_SEC); /* when it looks next */
	assert_int_equal(keyd_play_customer(&s->officer, name_in(77, 2)), 0);
	strike(s);
}

static void a_full_disk_holds_it_and_room_lets_it_go_on(void **state)
{
	struct rlimit unlimited, none;
	struct scene *s = stage();

	(void)state;
	fill_shard(s, 40, MANY);
	s->play.keyd->conf->rotation.rate = BATCH / 2;
	assert_int_equal(rotate(s, "40", 0), 0);
	pass(s, CLOCK_SEC / 10, CLOCK_SEC / 10);
	assert_int_equal(shard(s, 40).left, REST);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	none = unlimited;
	none.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	pass(s, 60 * CLOCK_SEC, CLOCK_SEC / 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	assert_int_equal(heard.waits, 1); /* said once, tried often */
	assert_int_equal(shard(s, 40).left, REST);
	pass(s, 310 * CLOCK_SEC, CLOCK_SEC / 2);
	assert_int_equal(shard(s, 40).left, 0);
	assert_int_equal(heard.done, 1);
	signal(SIGXFSZ, SIG_DFL);
	strike(s);
}

static void a_dek_that_does_not_open_keeps_its_kek_and_stops_no_other_shard(void **state)
{
	struct scene *s = stage();

	(void)state;
	fill_shard(s, 12, MANY);
	fill_shard(s, 13, 5);
	keyd_ring_find_dek(ring(s), 1)->wrapped[20] ^= 1; /* as a fault of memory would */
	assert_int_equal(rotate(s, "12", 0), 0);
	assert_int_equal(rotate(s, "13", 0), 0);
	settle(s);
	assert_int_equal(heard.failed, 1);
	assert_int_equal(heard.stuck, 1);
	assert_int_equal(heard.retired, 1);
	assert_int_equal(shard(s, 12).left, 1);
	assert_int_equal(shard(s, 12).older, 1);
	assert_int_equal(shard(s, 13).version, 2);
	/* Nor does one who wants it destroyed get it. */
	s->want.shard = 12;
	s->want.done = want_done;
	s->wanted = 1;
	keyd_rotate_shard(s->play.keyd->rotate, &s->want);
	keyd_rotate_tick(s->play.keyd->rotate);
	assert_int_equal(s->wanted, ERR_DAMAGED);
	assert_int_equal(shard(s, 12).older, 1);
	strike(s);
}

/* A batch taken by hand, and worked. */
static uint32_t take(struct scene *s, unsigned n, uint32_t cursor, struct keyd_ring_rewrap *b)
{
	struct keyd_ring_rewrap_keys *keys = secret_alloc(sizeof(*keys));
	int rc;

	assert_non_null(keys);
	b->count = 0;
	while ((rc = keyd_ring_rewrap_take(ring(s), n, 1, &cursor, b, keys)) == 0)
		;
	assert_int_equal(rc, 1);
	assert_int_equal(keyd_ring_rewrap_work(b, keys, NULL), 0);
	secret_free(keys, sizeof(*keys));
	return cursor;
}

static int apply(struct scene *s, unsigned type, struct buf *body)
{
	int rc = keyd_ring_apply(ring(s), type, buf_span(body), 1);

	buf_clear(body);
	return rc;
}

static void new_kek(struct scene *s, unsigned n)
{
	struct buf b;

	buf_init(&b, KEYD_RECORD_BODY_MAX);
	assert_int_equal(keyd_ring_make_kek(ring(s), n, 1, &b), 0);
	assert_int_equal(apply(s, KEYD_RECORD_KEK, &b), 0);
}

static void a_batch_leaves_out_what_moved_meanwhile(void **state)
{
	static struct keyd_ring_rewrap one, two;
	struct scene *s = stage();
	uint32_t cursor;
	struct buf b;

	(void)state;
	fill_shard(s, 8, BATCH + 72);
	new_kek(s, 8);
	cursor = take(s, 8, UINT32_MAX, &one);
	assert_int_equal(one.count, BATCH);
	assert_int_not_equal(cursor, 0);
	assert_int_equal(take(s, 8, cursor, &two), 0);
	assert_int_equal(two.count, 72);
	/* Half of the second batch is in the first as well. */
	memcpy(two.items, one.items + BATCH - 36, 36 * sizeof(one.items[0]));
	buf_init(&b, 1 << 20);
	assert_int_equal(keyd_ring_rewrap_put(ring(s), &one, &b), 0);
	assert_int_equal(apply(s, KEYD_RECORD_REWRAP, &b), 0);
	assert_int_equal(shard(s, 8).left, 72);
	buf_init(&b, 1 << 20);
	assert_int_equal(keyd_ring_rewrap_put(ring(s), &two, &b), 0);
	assert_int_equal(apply(s, KEYD_RECORD_REWRAP, &b), 0);
	assert_int_equal(shard(s, 8).left, 36);
	buf_init(&b, 1 << 20);
	assert_int_equal(keyd_ring_rewrap_put(ring(s), &two, &b), ERR_NOTFOUND);
	buf_clear(&b);
	/* Another KEK came: what was wrapped for the one before is worth nothing. */
	take(s, 8, UINT32_MAX, &one);
	assert_int_equal(one.count, 36);
	new_kek(s, 8);
	buf_init(&b, 1 << 20);
	assert_int_equal(keyd_ring_rewrap_put(ring(s), &one, &b), ERR_NOTFOUND);
	buf_clear(&b);
	/* The others are under version 2 and 36 under version 1: no batch is of both. */
	cursor = UINT32_MAX;
	do {
		cursor = take(s, 8, cursor, &one);
		assert_true(one.from == 1 ? one.count <= 36 : one.count <= BATCH);
	} while (cursor);
	strike(s);
}

static void records_that_contradict_the_ring_are_refused(void **state)
{
	static struct keyd_ring_rewrap b;
	struct keyd_record_kek_state st = {8, 1, KEYD_RECORD_RETIRED, START};
	struct keyd_record_rewrap head = {8, 2, 2};
	struct keyd_record_rewrap_item item;
	struct scene *s = stage();
	struct buf body;

	(void)state;
	fill_shard(s, 8, 2);
	fill_shard(s, 9, 1);
	new_kek(s, 8);
	take(s, 8, UINT32_MAX, &b);
	for (unsigned i = 0; i < 6; i++) {
		buf_init(&body, 10000);
		head.shard = i == 1 ? 9 : 8;		    /* not its KEK */
		head.version = i == 2 ? 1 : i == 3 ? 3 : 2; /* the old one, one to come */
		keyd_record_rewrap_put(&body, &head);
		for (unsigned k = 0; k < 2; k++) {
			/* 0: twice the same; 4: of another shard; 5: none such */
			item.keyref = i == 0 ? 2 : i == 4 ? 3 - k : i == 5 ? 5 - k : 2 - k;
			item.generation = 1;
			item.wrapped = b.items[k].fresh;
			keyd_record_rewrap_item_put(&body, &item);
		}
		assert_int_equal(apply(s, KEYD_RECORD_REWRAP, &body), ERR_DAMAGED);
		assert_int_equal(shard(s, 8).left, 2);
	}
	/* A KEK that wraps something, the newest one, one that is not there. */
	for (unsigned i = 0; i < 3; i++) {
		for (st.state = KEYD_RECORD_RETIRED; st.state <= KEYD_RECORD_DESTROYED;
		     st.state++) {
			st.version = i + 1;
			buf_init(&body, 100);
			keyd_record_kek_state_put(&body, &st);
			assert_int_equal(apply(s, KEYD_RECORD_KEK_STATE, &body), ERR_DAMAGED);
		}
	}
	buf_init(&body, 10000);
	assert_int_equal(keyd_ring_rewrap_put(ring(s), &b, &body), 0);
	assert_int_equal(apply(s, KEYD_RECORD_REWRAP, &body), 0);
	/* Destroyed without having been retired is lawful; coming back is not. */
	st.version = 1;
	st.state = KEYD_RECORD_DESTROYED;
	buf_init(&body, 100);
	keyd_record_kek_state_put(&body, &st);
	assert_int_equal(apply(s, KEYD_RECORD_KEK_STATE, &body), 0);
	st.state = KEYD_RECORD_RETIRED;
	buf_init(&body, 100);
	keyd_record_kek_state_put(&body, &st);
	assert_int_equal(apply(s, KEYD_RECORD_KEK_STATE, &body), ERR_DAMAGED);
	strike(s);
}

static void the_schedule_shows_every_shard_in_two_pages(void **state)
{
	struct keyproto_schedule m = {KEYPROTO_SCHEDULE_KEKS, 0};
	struct scene *s = stage();
	struct span reply;

	(void)state;
	assert_int_equal(rotate(s, "0", 0), 0);
	settle(s);
	keyproto_schedule_put(keyd_play_begin(&s->officer), &m);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_SCHEDULE), 0);
	buf_put(&s->officer.reply, "", 1);
	reply = buf_span(&s->officer.reply);
	assert_non_null(strstr((const char *)reply.p, "{\"shards\":[{\"shard\":0,\"version\":2,"));
	assert_non_null(strstr((const char *)reply.p, "\"older\":[{\"version\":1,\"state\":"
						      "\"retired\",\"until\":"));
	assert_non_null(strstr((const char *)reply.p, "],\"next\":128}"));
	m.from = 128;
	keyproto_schedule_put(keyd_play_begin(&s->officer), &m);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_SCHEDULE), 0);
	buf_put(&s->officer.reply, "", 1);
	reply = buf_span(&s->officer.reply);
	assert_non_null(strstr((const char *)reply.p, "\"shard\":255,"));
	assert_null(strstr((const char *)reply.p, "\"next\""));
	m.from = 256;
	keyproto_schedule_put(keyd_play_begin(&s->officer), &m);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_SCHEDULE), ERR_NOTFOUND);
	strike(s);
}

static int set_up(void **state)
{
	(void)state;
	log_capture(hear, NULL);
	return keyd_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_shards_that_were_asked_for_get_new_keks_and_every_key_opens),
	    cmocka_unit_test(the_first_keks_are_spread_over_the_period_and_then_each_has_its_own),
	    cmocka_unit_test(jumps_of_the_clock_do_no_harm),
	    cmocka_unit_test(batches_keep_to_the_rate),
	    cmocka_unit_test(a_pause_holds_between_batches_and_over_a_restart),
	    cmocka_unit_test(a_lock_in_the_middle_stops_and_an_unseal_goes_on),
	    cmocka_unit_test(an_urgent_shard_goes_first_and_leaves_no_old_kek),
	    cmocka_unit_test(a_kek_that_made_half_its_wraps_is_due),
	    cmocka_unit_test(a_full_disk_holds_it_and_room_lets_it_go_on),
	    cmocka_unit_test(a_dek_that_does_not_open_keeps_its_kek_and_stops_no_other_shard),
	    cmocka_unit_test(a_batch_leaves_out_what_moved_meanwhile),
	    cmocka_unit_test(records_that_contradict_the_ring_are_refused),
	    cmocka_unit_test(the_schedule_shows_every_shard_in_two_pages),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
