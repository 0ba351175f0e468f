/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_rotate.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "evt/evt_timer.h"
#include "keyd/keyd.h"
#include "keyd/keyd_ring_rewrap.h"
#include "keyd/keyd_schedule.h"

#define LOOK	   (60 * CLOCK_SEC)
#define RETRY_MIN  (5 * CLOCK_SEC)
#define RETRY_MAX  (300 * CLOCK_SEC)
#define BEHIND_MAX (CLOCK_SEC / 10) /* how much a late batch may make good */
#define NONE	   (-1)
#define ACTIVE	   (1u << KEYD_RECORD_ACTIVE)
#define RETIRED	   (1u << KEYD_RECORD_RETIRED)

struct keyd_rotate {
	struct keyd_pool_job job; /* first: the idle thread's */
	struct keyd_change change;
	struct keyd *keyd;
	struct evt_timer timer;
	int64_t wake;	/* clock_mono: when to go on */
	int open, busy; /* busy: a change or a job is under way */
	int inside, again;
	int cancel; /* atomic: the job is to give up */

	int shard;  /* or NONE */
	int urgent; /* for wants */
	int fresh;  /* its new KEK is still to be made */
	int taking; /* its batch is being copied */
	uint32_t cursor, done, failed;
	uint8_t stuck[KEYD_RING_SHARDS];
	int64_t next;			    /* clock_mono: of the next batch */
	struct keyd_record_kek_state state; /* what make_state puts */
	int purge;			    /* keys were destroyed, the disk still has them */

	int64_t retry_at, retry; /* clock_mono; the wait */
	int error;		 /* why it waits; 0: it does not */

	struct keyd_rotate_want *wants;
	struct keyd_ring_rewrap *batch;
	struct keyd_ring_rewrap_keys *keys;
	int result; /* of the job */
};

static void step(struct keyd_rotate *r);

/* Steps until something is under way or there is nothing to do. What ends within a step (all of
 * it, without threads) does not nest. */
static void go(struct keyd_rotate *r)
{
	r->again = 1;
	if (r->inside)
		return;
	r->inside = 1;
	while (r->again) {
		r->again = 0;
		if (r->open && !r->busy)
			step(r);
	}
	r->inside = 0;
}

static void on_timer(void *arg)
{
	go(arg);
}

static void wait_for(struct keyd_rotate *r, int64_t usec)
{
	r->wake = clock_mono() + usec;
	if (r->keyd->loop)
		evt_timer_set(&r->timer, usec);
}

struct keyd_rotate *keyd_rotate_new(struct keyd *k)
{
	struct keyd_rotate *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->keyd = k;
	r->shard = NONE;
	r->batch = calloc(1, sizeof(*r->batch));
	r->keys = secret_alloc(sizeof(*r->keys));
	if (k->loop)
		evt_timer_init(&r->timer, k->loop, on_timer, r);
	if (r->batch && r->keys)
		return r;
	keyd_rotate_free(r);
	return NULL;
}

void keyd_rotate_free(struct keyd_rotate *r)
{
	if (!r)
		return;
	if (r->keyd->loop)
		evt_timer_clear(&r->timer);
	secret_free(r->keys, sizeof(*r->keys));
	free(r->batch);
	free(r);
}

/* The shard is done with, one way or the other. Those who wanted it hear so last: they may ask for
 * the next. */
static void end_shard(struct keyd_rotate *r, int rc)
{
	struct keyd_rotate_want **at = &r->wants, *w;
	int shard = r->shard;
	struct keyd_ring_shard s;

	r->shard = NONE;
	r->urgent = 0;
	if (rc == ERR_DAMAGED) {
		r->stuck[shard] = 1;
		log_event(LOG_LEVEL_ERROR, NULL, "rotation-stuck", "shard=%d deks=%" PRIu32, shard,
			  r->failed);
	} else if (rc == 0) {
		log_event(LOG_LEVEL_INFO, NULL, "rotation-done", "shard=%d deks=%" PRIu32, shard,
			  r->done);
		keyd_ring_shard(r->keyd->ring, (unsigned)shard, &s);
		keyd_audit_event(r->keyd, AUDIT_REWRAPPED, AUDIT_NUM(SHARD, shard),
				 AUDIT_NUM(VERSION, s.version), AUDIT_NUM(COUNT, r->done));
	}
	while (*at) {
		w = *at;
		if (!w->begun) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->done(w, rc);
		at = &r->wants; /* done may have added some */
	}
}

/* --- what to do next */

static void begin(struct keyd_rotate *r, unsigned shard, int fresh, const char *why)
{
	struct keyd_ring_shard s;

	keyd_ring_shard(r->keyd->ring, shard, &s);
	r->shard = (int)shard;
	r->fresh = fresh;
	r->taking = 0;
	r->cursor = UINT32_MAX;
	r->done = r->failed = 0;
	r->stuck[shard] = 0;
	log_event(LOG_LEVEL_INFO, NULL, "rotation-begun",
		  "shard=%u version=%" PRIu32 " deks=%" PRIu32 " why=%s", shard,
		  s.version + (uint32_t)fresh, s.left + (fresh ? s.deks : 0), why);
}

/* All that wait for the shard of the first of them. */
static void begin_wants(struct keyd_rotate *r)
{
	unsigned shard = r->wants->shard;

	for (struct keyd_rotate_want *w = r->wants; w; w = w->next)
		w->begun = w->shard == shard;
	r->urgent = 1;
	begin(r, shard, 1, "urgent");
}

static int begin_unfinished(struct keyd_rotate *r)
{
	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++) {
		if (r->stuck[i] || !keyd_schedule_unfinished(r->keyd, i))
			continue;
		begin(r, i, 0, "unfinished");
		return 1;
	}
	return 0;
}

static int begin_asked(struct keyd_rotate *r)
{
	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++) {
		if (!keyd_schedule_asked(r->keyd, i))
			continue;
		begin(r, i, 1, "asked");
		return 1;
	}
	return 0;
}

/* The one that has been due for longest. */
static int begin_due(struct keyd_rotate *r)
{
	int64_t first = clock_wall() + 1, due;
	int shard = NONE;

	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++) {
		due = keyd_schedule_due(r->keyd, i);
		if (due && due < first && !r->stuck[i]) {
			first = due;
			shard = (int)i;
		}
	}
	if (shard != NONE)
		begin(r, (unsigned)shard, 1, "due");
	return shard != NONE;
}

/* --- changes of the store */

static void changed(struct keyd_change *c, int rc);

static void start_change(struct keyd_rotate *r, int (*make)(struct keyd_change *c))
{
	r->busy = 1;
	memset(&r->change, 0, sizeof(r->change));
	r->change.make = make;
	r->change.done = changed;
	keyd_change_start(r->keyd, &r->change);
}

/* Puts what was written into body, if it was. */
static int put_body(struct keyd_change *c, unsigned type, struct buf *body, int rc)
{
	if (rc == 0)
		rc = keyd_change_put(c, type, buf_span(body));
	buf_clear(body);
	return rc;
}

/* After a crash that keeps the first record alone, the shard gets one more version. */
static int make_kek(struct keyd_change *c)
{
	unsigned shard = (unsigned)c->keyd->rotate->shard;
	struct buf body;
	int rc;

	buf_init(&body, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_make_kek(c->keyd->ring, shard, keyd_generation(c->keyd), &body);
	rc = put_body(c, KEYD_RECORD_KEK, &body, rc);
	if (rc < 0 || !keyd_schedule_asked(c->keyd, shard))
		return rc;
	buf_init(&body, KEYD_RECORD_BODY_MAX);
	rc = keyd_schedule_ask(c->keyd, shard, 0, &body);
	return put_body(c, KEYD_RECORD_NOTE, &body, rc);
}

static int make_rewrap(struct keyd_change *c)
{
	struct buf body;
	int rc;

	buf_init(&body, KEYD_RECORD_REWRAP_SIZE);
	rc = keyd_ring_rewrap_put(c->keyd->ring, c->keyd->rotate->batch, &body);
	return put_body(c, KEYD_RECORD_REWRAP, &body, rc);
}

static int make_state(struct keyd_change *c)
{
	struct buf body;

	buf_init(&body, KEYD_RECORD_BODY_MAX);
	return put_body(c, KEYD_RECORD_KEK_STATE, &body,
			keyd_record_kek_state_put(&body, &c->keyd->rotate->state));
}

static int make_purge(struct keyd_change *c)
{
	return c->keyd->store ? keyd_change_head(c, keyd_store_head(c->keyd->store)) : 0;
}

/* If a KEK of the shard that wraps nothing is in one of the states (since until or longer), it comes
 * into this one. */
static int advance(struct keyd_rotate *r, unsigned shard, unsigned states, int64_t until,
		   unsigned state)
{
	struct keyd_ring_kek_info info;

	if (!keyd_schedule_spent(r->keyd, shard, states, until, &info))
		return 0;
	r->state.shard = (uint8_t)shard;
	r->state.version = info.version;
	r->state.state = (uint8_t)state;
	r->state.changed = clock_wall();
	start_change(r, make_state);
	return 1;
}

static int destroy_expired(struct keyd_rotate *r)
{
	int64_t until = clock_wall() - r->keyd->conf->rotation.grace;

	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++)
		if (advance(r, i, RETIRED, until, KEYD_RECORD_DESTROYED))
			return 1;
	return 0;
}

static void record_kek(struct keyd_rotate *r, unsigned shard, uint32_t version, unsigned state)
{
	keyd_audit_event(r->keyd, AUDIT_KEK, AUDIT_NUM(SHARD, shard), AUDIT_NUM(VERSION, version),
			 AUDIT_STR(STATE, keyd_record_state_name(state)));
}

/* What has become true with the change that just ended. */
static void note_change(struct keyd_rotate *r)
{
	struct keyd_ring_shard s;

	if (r->change.make == make_kek) {
		r->fresh = 0;
		keyd_ring_shard(r->keyd->ring, (unsigned)r->shard, &s);
		record_kek(r, (unsigned)r->shard, s.version, KEYD_RECORD_ACTIVE);
	} else if (r->change.make == make_rewrap) {
		r->done += r->batch->count;
	} else if (r->change.make == make_purge) {
		r->purge = 0;
	} else {
		r->purge |= r->state.state == KEYD_RECORD_DESTROYED;
		log_event(LOG_LEVEL_INFO, NULL,
			  r->state.state == KEYD_RECORD_RETIRED ? "kek-retired" : "kek-destroyed",
			  "shard=%u version=%" PRIu32, r->state.shard, r->state.version);
		record_kek(r, r->state.shard, r->state.version, r->state.state);
	}
}

/* The store does not take it: everything later, the same again. */
static void hold(struct keyd_rotate *r, int rc)
{
	if (r->error != rc)
		log_event(LOG_LEVEL_ERROR, NULL, "rotation-waits", "error=\"%s\"", err_text(rc));
	r->error = rc;
	r->retry = r->retry ? r->retry * 2 : RETRY_MIN;
	if (r->retry > RETRY_MAX)
		r->retry = RETRY_MAX;
	r->retry_at = clock_mono() + r->retry;
	r->cursor = UINT32_MAX; /* what the lost batch held is still to be done */
	r->failed = 0;
}

static void changed(struct keyd_change *c, int rc)
{
	struct keyd_rotate *r = c->keyd->rotate;

	r->busy = 0;
	if (rc == 0) {
		if (r->error)
			log_event(LOG_LEVEL_INFO, NULL, "rotation-resumed", "why=\"store\"");
		r->error = 0;
		r->retry = r->retry_at = 0;
		note_change(r);
	} else if (rc != ERR_NOTFOUND && rc != ERR_LOCKED) { /* NOTFOUND: the batch died */
		hold(r, rc);
	}
	go(r);
}

/* --- batches */

static void work(struct keyd_pool_job *job)
{
	struct keyd_rotate *r = (struct keyd_rotate *)job;

	r->result = keyd_ring_rewrap_work(r->batch, r->keys, &r->cancel);
}

static void worked(struct keyd_pool_job *job)
{
	struct keyd_rotate *r = (struct keyd_rotate *)job;

	secret_wipe(r->keys, sizeof(*r->keys));
	r->busy = 0;
	if (!r->open)
		return;
	if (r->result < 0) {
		hold(r, r->result);
	} else {
		for (unsigned i = 0; i < r->batch->count; i++) {
			if (!r->batch->items[i].failed)
				continue;
			r->failed++;
			log_event(LOG_LEVEL_ERROR, NULL, "rewrap-failed",
				  "customer=%.*s keyref=%" PRIu32, r->batch->items[i].name_size,
				  (const char *)r->batch->items[i].name, r->batch->items[i].keyref);
		}
		start_change(r, make_rewrap);
	}
	go(r);
}

/* 1 if the rate lets a batch of this size start now; else waits. */
static int may_start(struct keyd_rotate *r, uint32_t count)
{
	int64_t now = clock_mono();

	if (!r->urgent && now < r->next) {
		wait_for(r, r->next - now);
		return 0;
	}
	if (r->next < now - BEHIND_MAX)
		r->next = now - BEHIND_MAX;
	if (count > KEYD_RING_REWRAP_BATCH)
		count = KEYD_RING_REWRAP_BATCH;
	r->next += count * CLOCK_SEC / r->keyd->conf->rotation.rate;
	return 1;
}

/* Copies a slice, in each turn of the loop one, until the batch is whole; then it is worked. */
static void take_slice(struct keyd_rotate *r)
{
	struct keyd *k = r->keyd;
	int rc = keyd_ring_rewrap_take(k->ring, (unsigned)r->shard, keyd_generation(k), &r->cursor,
				       r->batch, r->keys);

	r->taking = rc == 0;
	if (rc > 0) {
		r->busy = 1;
		r->job.work = work;
		r->job.done = worked;
		/* On a busy machine the idle thread may wait for long. */
		keyd_pool_run(r->urgent ? k->pool : k->idle, &r->job);
		return;
	}
	if (rc == ERR_NOTFOUND) { /* all were looked at: what is left does not open */
		struct keyd_ring_shard s;
		keyd_ring_shard(k->ring, (unsigned)r->shard, &s);
		r->failed = s.left;
	} else if (rc == ERR_LIMIT) {
		r->fresh = 1;
	} else if (rc < 0) {
		hold(r, rc);
	}
	if (k->loop)
		wait_for(r, 0);
	else
		go(r);
}

static void start_batch(struct keyd_rotate *r, uint32_t left)
{
	if (!may_start(r, left))
		return;
	r->batch->count = 0;
	take_slice(r);
}

/* --- the machine */

static void step_shard(struct keyd_rotate *r)
{
	unsigned shard = (unsigned)r->shard;
	struct keyd_ring_shard s;

	keyd_ring_shard(r->keyd->ring, shard, &s);
	if (r->taking)
		take_slice(r);
	else if (r->fresh)
		start_change(r, make_kek);
	else if (s.left > r->failed)
		start_batch(r, s.left - r->failed);
	else if (r->urgent && advance(r, shard, ACTIVE | RETIRED, INT64_MAX, KEYD_RECORD_DESTROYED))
		return;
	else if (!r->urgent && advance(r, shard, ACTIVE, INT64_MAX, KEYD_RECORD_RETIRED))
		return;
	else if (r->urgent && r->purge)
		start_change(r, make_purge);
	else {
		end_shard(r, s.left ? ERR_DAMAGED : 0);
		go(r);
	}
}

/* Finds something to do. 0: there is nothing. */
static int choose(struct keyd_rotate *r)
{
	if (r->wants) {
		begin_wants(r);
	} else if (keyd_schedule_paused(r->keyd)) {
		return 0;
	} else if (begin_unfinished(r) || destroy_expired(r)) {
		return 1;
	} else if (r->purge) {
		start_change(r, make_purge);
	} else {
		return begin_asked(r) || begin_due(r);
	}
	return 1;
}

static void step(struct keyd_rotate *r)
{
	int64_t now = clock_mono();

	if (r->error && now < r->retry_at) {
		wait_for(r, r->retry_at - now);
		return;
	}
	/* Between two batches others may come first; records say where to go on. */
	if (r->shard != NONE && !r->urgent && (r->wants || keyd_schedule_paused(r->keyd)))
		r->shard = NONE;
	if (r->shard == NONE && !choose(r)) {
		wait_for(r, LOOK);
		return;
	}
	if (!r->busy && r->shard != NONE)
		step_shard(r);
	else if (!r->busy)
		go(r);
}

void keyd_rotate_open(struct keyd_rotate *r)
{
	struct keyd_ring_counts n;

	keyd_ring_counts(r->keyd->ring, &n);
	r->open = 1;
	r->shard = NONE;
	r->urgent = r->error = 0;
	r->purge = n.destroyed > 0;
	r->next = r->retry = r->retry_at = 0;
	memset(r->stuck, 0, sizeof(r->stuck));
	__atomic_store_n(&r->cancel, 0, __ATOMIC_RELAXED);
	wait_for(r, 0);
}

void keyd_rotate_close(struct keyd_rotate *r)
{
	struct keyd_rotate_want *w;

	r->open = 0; /* the shard stays until _open: a change of it may still end well */
	if (r->keyd->loop)
		evt_timer_stop(&r->timer);
	__atomic_store_n(&r->cancel, 1, __ATOMIC_RELAXED);
	if (r->busy && r->urgent)
		keyd_pool_drain(r->keyd->pool);
	keyd_pool_drain(r->keyd->idle);
	while ((w = r->wants)) {
		r->wants = w->next;
		w->done(w, ERR_LOCKED);
	}
}

void keyd_rotate_look(struct keyd_rotate *r)
{
	if (r->open)
		wait_for(r, 0);
}

void keyd_rotate_tick(struct keyd_rotate *r)
{
	if (r->open && clock_mono() >= r->wake)
		go(r);
}

void keyd_rotate_shard(struct keyd_rotate *r, struct keyd_rotate_want *w)
{
	struct keyd_rotate_want **last = &r->wants;

	w->next = NULL;
	w->begun = 0;
	if (!r->open) {
		w->done(w, ERR_LOCKED);
		return;
	}
	while (*last)
		last = &(*last)->next;
	*last = w;
	wait_for(r, 0);
}

void keyd_rotate_json(const struct keyd_rotate *r, struct buf *out)
{
	const struct keyd *k = r->keyd;
	struct keyd_ring_shard s;
	unsigned waiting = 0;

	buf_put_str(out, "\"rotation\":{");
	if (k->ring) {
		for (unsigned i = 0; i < KEYD_RING_SHARDS; i++)
			waiting += (unsigned)keyd_schedule_asked(k, i);
		buf_putf(out, "\"paused\":%s,\"asked\":%u",
			 keyd_schedule_paused(k) ? "true" : "false", waiting);
	}
	if (k->ring && r->shard != NONE) {
		keyd_ring_shard(k->ring, (unsigned)r->shard, &s);
		buf_putf(out,
			 ",\"shard\":%d,\"version\":%" PRIu32 ",\"done\":%" PRIu32
			 ",\"left\":%" PRIu32,
			 r->shard, s.version, r->done, s.left);
	}
	if (r->error)
		buf_putf(out, ",\"error\":\"%s\"", err_text(r->error));
	buf_put_str(out, "}");
}
