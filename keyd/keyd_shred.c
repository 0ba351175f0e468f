/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_shred.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "keyd/keyd.h"
#include "keyd/keyd_anchor.h"
#include "keyd/keyd_renew.h"
#include "keyd/keyd_ring_backup.h"

#define LOOK_AGAIN (60 * CLOCK_SEC) /* retention runs out by and by */
#define TRY_AGAIN  (5 * CLOCK_SEC)
#define TRY_LATEST (300 * CLOCK_SEC)

struct keyd_shred {
	struct keyd *keyd;
	struct evt_timer timer;
	struct keyd_change change;
	struct keyd_renew renew;
	struct keyd_rotate_want want;
	int open, busy, looking, again;
	int tidy;			       /* an anchor of before may be left over */
	unsigned from, to;		       /* states of the change that is being made */
	int64_t now;			       /* its time */
	uint64_t stuck[KEYD_RING_SHARDS / 64]; /* shards with a DEK that does not open */
	int64_t wait;			       /* before the next try */
	int failed;			       /* the last step did */
};

static void fired(void *arg)
{
	struct keyd_shred *s = arg;

	s->failed = 0;
	keyd_shred_look(s);
}

struct keyd_shred *keyd_shred_new(struct keyd *k)
{
	struct keyd_shred *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->keyd = k;
	if (k->loop)
		evt_timer_init(&s->timer, k->loop, fired, s);
	return s;
}

void keyd_shred_free(struct keyd_shred *s)
{
	if (!s)
		return;
	if (s->keyd->loop)
		evt_timer_clear(&s->timer);
	free(s);
}

void keyd_shred_open(struct keyd_shred *s)
{
	s->open = 1;
	s->tidy = 1;
	s->wait = TRY_AGAIN;
	s->failed = 0;
	memset(s->stuck, 0, sizeof(s->stuck));
	keyd_shred_look(s);
}

void keyd_shred_close(struct keyd_shred *s)
{
	s->open = 0;
	if (s->keyd->loop)
		evt_timer_stop(&s->timer);
}

static void set_timer(struct keyd_shred *s, int64_t usec)
{
	if (s->keyd->loop && s->open && evt_timer_set(&s->timer, usec) < 0)
		log_event(LOG_LEVEL_WARN, NULL, "shred-waits", "error=\"%s\"", err_text(ERR_NOMEM));
}

/* A step has ended. */
static void stepped(struct keyd_shred *s, const char *step, int rc)
{
	s->busy = 0;
	if (rc == ERR_LOCKED || !s->open)
		return;
	s->failed = rc < 0;
	if (rc == 0) {
		s->wait = TRY_AGAIN;
		keyd_shred_look(s);
		return;
	}
	log_event(LOG_LEVEL_WARN, NULL, "shred-failed", "step=%s error=\"%s\"", step, err_text(rc));
	set_timer(s, s->wait);
	s->wait = s->wait * 2 < TRY_LATEST ? s->wait * 2 : TRY_LATEST;
}

/* The token goes along, so that the audit log is a witness. */
static void record(struct keyd *k, uint32_t i, const struct keyd_ring_tomb *t)
{
	char text[HEX_SIZE(KEYD_RECORD_TOMB_TOKEN_MAX)];
	struct buf token;

	buf_init(&token, KEYD_RECORD_TOMB_TOKEN_MAX);
	if (keyd_ring_tomb_get(k->ring, i, &token) == 0) {
		hex_encode(text, buf_ptr(&token), buf_size(&token));
		keyd_audit_event(k, AUDIT_SHRED, AUDIT_SPAN(CUSTOMER, t->customer),
				 AUDIT_STR(STATE, keyd_record_tomb_state_name(t->state)),
				 AUDIT_STR(TOKEN, text));
	}
	buf_clear(&token);
}

static void say(struct keyd *k, uint32_t i, const struct keyd_ring_tomb *t)
{
	log_event(LOG_LEVEL_WARN, NULL, "customer-shredded", "customer=%.*s state=%s",
		  (int)t->customer.n, (const char *)t->customer.p,
		  keyd_record_tomb_state_name(t->state));
	if (k->audit)
		record(k, i, t);
}

/* --- Records: tombstones in state from come into state to, if may_step. */

static int shard_done(const struct keyd_ring *r, const struct keyd_ring_tomb *t)
{
	struct keyd_ring_kek_info oldest;

	return keyd_ring_kek_next(r, t->shard, 0, &oldest) < 0 || oldest.version > t->kek;
}

static int may_step(const struct keyd *k, const struct keyd_ring_tomb *t, unsigned to)
{
	struct keyd_shred_wait waits[KEYD_SHRED_WAITS];

	if (to == KEYD_RECORD_TOMB_REWRAPPED)
		return shard_done(k->ring, t);
	if (to == KEYD_RECORD_TOMB_COMPLETE)
		return keyd_shred_waits(k, t, clock_wall(), waits) == 0;
	return 1;
}

/* The first tombstone in state from that may come into state to; -1: none. */
static int64_t find(const struct keyd *k, unsigned from, unsigned to)
{
	struct keyd_ring_tomb t;

	for (uint32_t i = 0; i < keyd_ring_tomb_count(k->ring); i++) {
		keyd_ring_tomb_at(k->ring, i, &t);
		if (t.state == from && may_step(k, &t, to))
			return i;
	}
	return -1;
}

static int put_step(struct keyd_change *c, uint32_t i, unsigned to, int64_t now)
{
	struct buf b;
	int rc;

	buf_init(&b, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_tomb_step(c->keyd->ring, i, to, now, &b);
	if (rc == 0)
		rc = keyd_change_put(c, KEYD_RECORD_TOMBSTONE, buf_span(&b));
	buf_clear(&b);
	return rc;
}

static struct keyd_shred *of_change(struct keyd_change *c)
{
	return c->keyd->shred;
}

static int step_make(struct keyd_change *c)
{
	struct keyd_shred *s = of_change(c);
	struct keyd_ring_tomb t;
	int rc = 0;

	s->now = clock_wall();
	for (uint32_t i = 0; rc == 0 && i < keyd_ring_tomb_count(c->keyd->ring); i++) {
		keyd_ring_tomb_at(c->keyd->ring, i, &t);
		if (t.state == s->from && may_step(c->keyd, &t, s->to))
			rc = put_step(c, i, s->to, s->now);
	}
	return rc;
}

static void step_done(struct keyd_change *c, int rc)
{
	struct keyd_shred *s = of_change(c);
	struct keyd_ring_tomb t;

	if (rc == 0 && s->to == KEYD_RECORD_TOMB_DEAD)
		keyd_new_epoch(c->keyd);
	for (uint32_t i = 0; rc == 0 && i < keyd_ring_tomb_count(c->keyd->ring); i++) {
		keyd_ring_tomb_at(c->keyd->ring, i, &t);
		if (t.state == s->to && t.changed == s->now)
			say(c->keyd, i, &t);
	}
	stepped(s, keyd_record_tomb_state_name(s->to), rc);
}

static int step(struct keyd_shred *s, unsigned from, unsigned to)
{
	if (find(s->keyd, from, to) < 0)
		return 0;
	s->from = from;
	s->to = to;
	s->change.make = step_make;
	s->change.done = step_done;
	s->busy = 1;
	keyd_change_start(s->keyd, &s->change);
	return 1;
}

/* --- What is done between the records. */

static void rotated(struct keyd_rotate_want *w, int rc)
{
	struct keyd_shred *s = (struct keyd_shred *)((char *)w - offsetof(struct keyd_shred, want));

	if (rc == ERR_DAMAGED) { /* others can go on */
		s->stuck[w->shard / 64] |= UINT64_C(1) << w->shard % 64;
		log_event(LOG_LEVEL_ERROR, NULL, "shred-stuck", "shard=%u error=\"%s\"", w->shard,
			  err_text(rc));
		rc = 0;
	}
	stepped(s, "rewrap", rc);
}

static int rewrap(struct keyd_shred *s)
{
	const struct keyd_ring *r = s->keyd->ring;
	struct keyd_ring_tomb t;

	for (uint32_t i = 0; i < keyd_ring_tomb_count(r); i++) {
		keyd_ring_tomb_at(r, i, &t);
		if (t.state != KEYD_RECORD_TOMB_DEAD || shard_done(r, &t) ||
		    s->stuck[t.shard / 64] & UINT64_C(1) << t.shard % 64)
			continue;
		memset(&s->want, 0, sizeof(s->want));
		s->want.shard = t.shard;
		s->want.done = rotated;
		s->busy = 1;
		keyd_rotate_shard(s->keyd->rotate, &s->want);
		return 1;
	}
	return 0;
}

static int replace_make(struct keyd_change *c)
{
	int64_t at = keyd_ring_backup_current(c->keyd->ring);
	struct buf b;
	int rc = 0;

	if (at < 0)
		return 0;
	buf_init(&b, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_backup_step(c->keyd->ring, (uint32_t)at, KEYD_RECORD_BACKUP_REPLACED, 0,
				   clock_wall(), &b);
	if (rc == 0)
		rc = keyd_change_put(c, KEYD_RECORD_BACKUP, buf_span(&b));
	buf_clear(&b);
	return rc;
}

static void replace_done(struct keyd_change *c, int rc)
{
	stepped(of_change(c), "backup-key", rc);
}

static void renewed(struct keyd_renew *r, int rc)
{
	struct keyd_shred *s =
	    (struct keyd_shred *)((char *)r - offsetof(struct keyd_shred, renew));

	if (rc < 0 || s->keyd->state != KEYPROTO_READY || !s->open ||
	    find(s->keyd, KEYD_RECORD_TOMB_REWRAPPED, KEYD_RECORD_TOMB_ANCHORED) < 0) {
		stepped(s, "anchor", rc < 0 ? rc : 0);
		return;
	}
	s->busy = 0;
	step(s, KEYD_RECORD_TOMB_REWRAPPED, KEYD_RECORD_TOMB_ANCHORED);
}

static void begin_renew(struct keyd_shred *s)
{
	memset(&s->renew, 0, sizeof(s->renew));
	s->renew.done = renewed;
	s->busy = 1;
	keyd_renew_start(s->keyd, &s->renew);
}

/* The key of backups goes first, so that the files that are written then are without it. */
static int write_anew(struct keyd_shred *s)
{
	struct keyd *k = s->keyd;
	const struct keyd_snapshot_head *head = k->store ? keyd_store_head(k->store) : NULL;
	int due = find(k, KEYD_RECORD_TOMB_REWRAPPED, KEYD_RECORD_TOMB_ANCHORED) >= 0;

	if (!head)
		return step(s, KEYD_RECORD_TOMB_REWRAPPED, KEYD_RECORD_TOMB_ANCHORED);
	if (due && keyd_ring_backup_current(k->ring) >= 0) {
		s->change.make = replace_make;
		s->change.done = replace_done;
		s->busy = 1;
		keyd_change_start(k, &s->change);
		return 1;
	}
	if (!due && (!k->conf->anchor || !keyd_anchor_none(head->anchor)))
		return 0;
	begin_renew(s);
	return 1;
}

static void tidied(struct keyd_renew *r, int rc)
{
	struct keyd_shred *s =
	    (struct keyd_shred *)((char *)r - offsetof(struct keyd_shred, renew));

	s->tidy = rc < 0;
	stepped(s, "tidy", rc);
}

static int tidy(struct keyd_shred *s)
{
	struct keyd *k = s->keyd;

	if (!s->tidy || !k->store || !k->conf->anchor ||
	    keyd_anchor_none(keyd_store_head(k->store)->anchor))
		return 0;
	memset(&s->renew, 0, sizeof(s->renew));
	s->renew.done = tidied;
	s->busy = 1;
	keyd_renew_tidy(k, &s->renew);
	return 1;
}

/* The first thing that is due. */
static int next(struct keyd_shred *s)
{
	return step(s, KEYD_RECORD_TOMB_REQUESTED, KEYD_RECORD_TOMB_DEAD) ||
	       step(s, KEYD_RECORD_TOMB_DEAD, KEYD_RECORD_TOMB_REWRAPPED) || rewrap(s) ||
	       write_anew(s) || tidy(s) ||
	       step(s, KEYD_RECORD_TOMB_ANCHORED, KEYD_RECORD_TOMB_BACKUPS) ||
	       step(s, KEYD_RECORD_TOMB_BACKUPS, KEYD_RECORD_TOMB_COMPLETE);
}

/* How long nothing can be due: until a wait is over. */
static int64_t until_next(const struct keyd *k)
{
	struct keyd_shred_wait waits[KEYD_SHRED_WAITS];
	int64_t now = clock_wall(), wait = LOOK_AGAIN;
	struct keyd_ring_tomb t;

	for (uint32_t i = 0; i < keyd_ring_tomb_count(k->ring); i++) {
		keyd_ring_tomb_at(k->ring, i, &t);
		if (t.state != KEYD_RECORD_TOMB_BACKUPS)
			continue;
		for (unsigned n = keyd_shred_waits(k, &t, now, waits); n > 0; n--)
			if (waits[n - 1].until - now < wait)
				wait = waits[n - 1].until - now;
	}
	return wait;
}

/* Without threads a step ends within the call: it then comes back here. */
void keyd_shred_look(struct keyd_shred *s)
{
	s->again = 1;
	if (s->looking)
		return;
	s->looking = 1;
	while (s->again && s->open && !s->busy && s->keyd->ring) {
		s->again = 0;
		next(s);
	}
	s->looking = 0;
	if (!s->busy && !s->failed && s->open && s->keyd->ring)
		set_timer(s, until_next(s->keyd));
}

int keyd_shred_order(struct keyd_change *c, struct span customer)
{
	static const unsigned states[] = {KEYD_RECORD_TOMB_REQUESTED, KEYD_RECORD_TOMB_DEAD};
	int64_t now = clock_wall();
	struct buf b;
	int rc = 0;

	buf_init(&b, KEYD_RECORD_BODY_MAX);
	for (unsigned i = 0; rc == 0 && i < 2; i++) {
		buf_reset(&b);
		rc = keyd_ring_tomb_make(c->keyd->ring, customer, states[i], now, &b);
		if (rc == 0)
			rc = keyd_change_put(c, KEYD_RECORD_TOMBSTONE, buf_span(&b));
	}
	buf_clear(&b);
	return rc;
}

void keyd_shred_dead(struct keyd *k, struct span customer)
{
	struct keyd_ring_tomb t;

	for (uint32_t i = keyd_ring_tomb_count(k->ring); i > 0; i--) {
		keyd_ring_tomb_at(k->ring, i - 1, &t);
		if (!span_equal(t.customer, customer))
			continue;
		say(k, i - 1, &t);
		break;
	}
	keyd_new_epoch(k);
	keyd_shred_look(k->shred);
}
