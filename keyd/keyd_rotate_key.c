/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_rotate_key.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "keyd/keyd_audit.h"

#define LOOK_MAX (60 * CLOCK_SEC)
#define LOOK_MIN (CLOCK_SEC / 20)
#define PAGE_MAX (48 * 1024) /* of a page of SCHEDULE */
#define BATCH	 32	     /* keys whose state one change moves on */

struct step {		 /* of a change, to be told when it is done */
	unsigned type;	 /* KEYD_RECORD_KEY_STATE, _DEK_STATE */
	unsigned state;	 /* what it became */
	uint32_t number; /* version, or key reference */
	size_t n;
	uint8_t label[KEYPROTO_NAME_MAX];
};

struct keyd_rotate_key {
	struct keyd *keyd;
	struct evt_timer timer;
	struct keyd_change change; /* of states, or of the whole store; while changing */
	struct step steps[BATCH];
	unsigned step_count;
	struct keyd_rotate_key_next next; /* while making */
	int changing, making;
	int destroyed; /* something was: the store is to be written anew */
};

static const struct class
{
	const char *prefix;
	size_t period; /* in keyd_conf_rotation */
	int by_itself;
} classes[] = {
    {"jwt/", offsetof(struct keyd_conf_rotation, jwt), 1},
    {"audit/", offsetof(struct keyd_conf_rotation, audit), 1},
    {"manifest/", offsetof(struct keyd_conf_rotation, audit), 1},
    {"dkim/", offsetof(struct keyd_conf_rotation, dkim), 0},
    {"tls/", offsetof(struct keyd_conf_rotation, tls), 0},
};

static const struct class *class_of(struct span label)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		size_t n = strlen(classes[i].prefix);
		if (label.n > n && !memcmp(label.p, classes[i].prefix, n))
			return &classes[i];
	}
	return NULL;
}

/* How long keys of the label are active; 0: for ever. */
static int64_t period_of(const struct keyd *k, struct span label)
{
	const struct class *c = class_of(label);

	return c ? *(const int64_t *)((const char *)&k->conf->rotation + c->period) : 0;
}

/* What is to become of one version, and when. */
enum action { NOTHING, MAKE_NEXT, PROMOTE, DESTROY, TELL };

static int64_t action_of(const struct keyd *k, const struct keyd_ring_info *info,
			 enum action *action)
{
	const struct keyd_conf_rotation *conf = &k->conf->rotation;
	const struct class *class = class_of(info->label);
	int64_t period = period_of(k, info->label);
	struct keyd_ring_info next;

	*action = NOTHING;
	if (info->state == KEYD_RECORD_RETIRED) {
		*action = DESTROY;
		return info->changed + conf->overlap;
	}
	if (info->state != KEYD_RECORD_ACTIVE || !period)
		return 0;
	*action = !class->by_itself ? TELL : MAKE_NEXT;
	if (class->by_itself &&
	    keyd_ring_key_in(k->ring, info->label, KEYD_RECORD_NEXT, &next) == 0) {
		*action = PROMOTE;
		return info->changed + period;
	}
	return info->changed + period - conf->overlap;
}

/* --- changes of state */

static int put_state(struct keyd_change *c, struct span label, uint32_t version, unsigned state)
{
	struct buf record;
	int rc;

	buf_init(&record, 256);
	rc = keyd_ring_make_key_state(c->keyd->ring, label, version, state, clock_wall(), &record);
	if (rc == 0)
		rc = keyd_change_put(c, KEYD_RECORD_KEY_STATE, buf_span(&record));
	buf_clear(&record);
	return rc;
}

int keyd_rotate_key_promote(struct keyd_change *c, struct span label)
{
	struct keyd_ring_info info;

	if (keyd_ring_key_in(c->keyd->ring, label, KEYD_RECORD_NEXT, &info) < 0)
		return ERR_BADSTATE;
	return put_state(c, label, info.version, KEYD_RECORD_ACTIVE);
}

void keyd_rotate_key_promoted(struct keyd *k, struct span label)
{
	struct keyd_ring_info info;

	if (keyd_ring_key(k->ring, label, &info) == 0)
		keyd_rotate_key_say(k, label, info.version, KEYD_RECORD_ACTIVE);
}

struct due {
	const struct keyd *keyd;
	struct keyd_change *change; /* puts what is due now; NULL: only counts */
	int64_t now, next;	    /* next: the earliest time of something that is not due yet */
	unsigned count;
	int rc;
	struct span to_make; /* a label that needs a next version */
};

static void later(struct due *d, int64_t when)
{
	if (when < d->next)
		d->next = when;
}

static void note(struct due *d, unsigned type, unsigned state, uint32_t number, struct span label)
{
	struct keyd_rotate_key *r = d->keyd->rotate_key;
	struct step *s = &r->steps[r->step_count++];

	s->type = type;
	s->state = state;
	s->number = number;
	s->n = label.n;
	memcpy(s->label, label.p, label.n);
}

static int look_at_key(void *arg, const struct keyd_ring_info *info)
{
	struct due *d = arg;
	enum action action;
	int64_t when = action_of(d->keyd, info, &action);

	if (action == NOTHING || action == TELL)
		return 0;
	if (when > d->now) {
		later(d, when);
		return 0;
	}
	if (action == MAKE_NEXT) {
		d->to_make = info->label;
		return 0;
	}
	d->count++;
	if (!d->change)
		return 0;
	if (action == PROMOTE) {
		struct keyd_ring_info next = *info;
		(void)keyd_ring_key_in(d->keyd->ring, info->label, KEYD_RECORD_NEXT, &next);
		d->rc = keyd_rotate_key_promote(d->change, info->label);
		note(d, KEYD_RECORD_KEY_STATE, KEYD_RECORD_ACTIVE, next.version, info->label);
	} else {
		d->rc = put_state(d->change, info->label, info->version, KEYD_RECORD_DESTROYED);
		note(d, KEYD_RECORD_KEY_STATE, KEYD_RECORD_DESTROYED, info->version, info->label);
	}
	return d->rc < 0 || d->count >= BATCH;
}

static int put_dek(struct keyd_change *c, uint32_t keyref, int64_t now)
{
	struct buf record;
	int rc;

	buf_init(&record, 64);
	rc = keyd_ring_make_dek_state(c->keyd->ring, keyref, KEYD_RECORD_DESTROYED, now, &record);
	if (rc == 0)
		rc = keyd_change_put(c, KEYD_RECORD_DEK_STATE, buf_span(&record));
	buf_clear(&record);
	return rc;
}

static void look_at_deks(struct due *d)
{
	struct keyd_ring_dek_info dek;
	uint32_t keyref;

	for (uint32_t i = 0;
	     d->rc == 0 && d->count < BATCH && (keyref = keyd_ring_old_dek(d->keyd->ring, i));
	     i++) {
		int64_t when;
		if (keyd_ring_dek(d->keyd->ring, keyref, &dek) < 0 ||
		    dek.state != KEYD_RECORD_RETIRED)
			continue;
		when = dek.changed + d->keyd->conf->rotation.grace;
		if (when > d->now) {
			later(d, when);
			continue;
		}
		d->count++;
		if (!d->change)
			continue;
		d->rc = put_dek(d->change, keyref, d->now);
		note(d, KEYD_RECORD_DEK_STATE, KEYD_RECORD_DESTROYED, keyref, dek.customer);
	}
}

static void look(struct due *d, const struct keyd *k, struct keyd_change *c)
{
	memset(d, 0, sizeof(*d));
	d->keyd = k;
	d->change = c;
	d->now = clock_wall();
	d->next = INT64_MAX;
	keyd_ring_keys(k->ring, 0, look_at_key, d);
	look_at_deks(d);
}

static int due_make(struct keyd_change *c)
{
	struct due d;

	c->keyd->rotate_key->step_count = 0;
	look(&d, c->keyd, c);
	return d.rc;
}

static void say_dek(struct keyd *k, const struct step *s)
{
	struct span customer = span_of(s->label, s->n);

	log_event(LOG_LEVEL_INFO, NULL, "dek-destroyed", "customer=%.*s keyref=%" PRIu32, (int)s->n,
		  (const char *)s->label, s->number);
	keyd_audit_event(k, AUDIT_DEK, AUDIT_SPAN(CUSTOMER, customer), AUDIT_NUM(KEYREF, s->number),
			 AUDIT_STR(STATE, keyd_record_state_name(s->state)));
}

static void due_done(struct keyd_change *c, int rc)
{
	struct keyd *k = c->keyd;
	struct keyd_rotate_key *r = k->rotate_key;
	int deks = 0;

	r->changing = 0;
	if (rc < 0)
		return;
	for (unsigned i = 0; i < r->step_count; i++) {
		const struct step *s = &r->steps[i];
		if (s->type == KEYD_RECORD_DEK_STATE)
			say_dek(k, s);
		else
			keyd_rotate_key_say(k, span_of(s->label, s->n), s->number, s->state);
		deks |= s->type == KEYD_RECORD_DEK_STATE;
		r->destroyed |= s->state == KEYD_RECORD_DESTROYED;
	}
	if (deks)
		keyd_new_epoch(k);
	keyd_rotate_key_kick(k);
}

static int rewrite_make(struct keyd_change *c)
{
	return keyd_change_head(c, keyd_store_head(c->keyd->store));
}

static void rewrite_done(struct keyd_change *c, int rc)
{
	struct keyd_rotate_key *r = c->keyd->rotate_key;

	r->changing = 0;
	if (rc == 0) {
		r->destroyed = 0;
		keyd_rotate_key_kick(c->keyd); /* something may have become due meanwhile */
	} else if (rc != ERR_LOCKED) {
		log_event(LOG_LEVEL_ERROR, NULL, "snapshot-failed", "when=destroyed error=\"%s\"",
			  err_text(rc));
	}
}

static void change(struct keyd *k, int (*make)(struct keyd_change *),
		   void (*done)(struct keyd_change *, int))
{
	struct keyd_rotate_key *r = k->rotate_key;

	r->changing = 1;
	memset(&r->change, 0, sizeof(r->change));
	r->change.make = make;
	r->change.done = done;
	keyd_change_start(k, &r->change);
}

static void made(struct keyd_rotate_key_next *n, int rc)
{
	struct keyd *k = n->keyd;

	k->rotate_key->making = 0;
	if (rc == 0)
		keyd_rotate_key_kick(k);
	else if (rc != ERR_LOCKED)
		log_event(LOG_LEVEL_ERROR, NULL, "key-rotation-failed", "label=%.*s error=\"%s\"",
			  (int)n->n, (const char *)n->label, err_text(rc));
}

static void make_next(struct keyd *k, struct span label)
{
	struct keyd_rotate_key *r = k->rotate_key;

	r->making = 1;
	memset(&r->next, 0, sizeof(r->next));
	r->next.done = made;
	r->next.n = label.n;
	memcpy(r->next.label, label.p, label.n);
	keyd_rotate_key_next(k, &r->next);
}

int64_t keyd_rotate_key_turn(struct keyd *k)
{
	struct keyd_rotate_key *r = k->rotate_key;
	struct due d;

	if (k->state != KEYPROTO_READY || (r->changing && r->making))
		return LOOK_MAX;
	look(&d, k, NULL);
	if (d.to_make.n && !r->making)
		make_next(k, d.to_make);
	if (d.count && !r->changing)
		change(k, due_make, due_done);
	else if (r->destroyed && k->store && !r->changing)
		change(k, rewrite_make, rewrite_done);
	if (d.next - d.now > LOOK_MAX)
		return LOOK_MAX;
	return d.next - d.now > LOOK_MIN ? d.next - d.now : LOOK_MIN;
}

static void fire(void *arg)
{
	struct keyd_rotate_key *r = arg;

	evt_timer_set(&r->timer, keyd_rotate_key_turn(r->keyd));
}

void keyd_rotate_key_kick(struct keyd *k)
{
	if (k->loop && k->rotate_key)
		evt_timer_set(&k->rotate_key->timer, 0);
}

struct keyd_rotate_key *keyd_rotate_key_new(struct keyd *k)
{
	struct keyd_rotate_key *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->keyd = k;
	if (k->loop)
		evt_timer_init(&r->timer, k->loop, fire, r);
	return r;
}

void keyd_rotate_key_free(struct keyd_rotate_key *r)
{
	if (r && r->keyd->loop)
		evt_timer_clear(&r->timer);
	free(r);
}

/* --- what is told */

struct telling {
	const struct keyd *keyd;
	void (*put)(void *arg, const char *text);
	void *arg;
	int64_t now;
};

static int warn_of(void *arg, const struct keyd_ring_info *info)
{
	const struct telling *t = arg;
	char text[256];
	enum action action;
	int64_t when = action_of(t->keyd, info, &action);
	struct keyd_ring_info next;

	if (action != TELL || when > t->now)
		return 0;
	snprintf(text, sizeof(text), "signing key %.*s is due for a new version%s",
		 (int)info->label.n, (const char *)info->label.p,
		 keyd_ring_key_in(t->keyd->ring, info->label, KEYD_RECORD_NEXT, &next) == 0
		     ? ": it is there, and waits to be activated"
		     : "");
	t->put(t->arg, text);
	return 0;
}

void keyd_rotate_key_warnings(const struct keyd *k, void (*put)(void *arg, const char *text),
			      void *arg)
{
	struct telling t = {k, put, arg, clock_wall()};

	if (k->ring)
		keyd_ring_keys(k->ring, 0, warn_of, &t);
}

struct rows {
	const struct keyd *keyd;
	size_t count;
	struct buf *out;
};

static int row(void *arg, const struct keyd_ring_info *info)
{
	static const char *const names[] = {"none", "make", "activate", "destroy", "officer"};
	struct rows *rows = arg;
	enum action action;
	int64_t when = action_of(rows->keyd, info, &action);

	if (info->state == KEYD_RECORD_DESTROYED)
		return 0;
	if (buf_size(rows->out) > PAGE_MAX)
		return 1;
	buf_putf(rows->out,
		 "%s{\"label\":\"%.*s\",\"version\":%" PRIu32
		 ",\"state\":\"%s\",\"created\":%" PRId64 ",\"changed\":%" PRId64
		 ",\"due\":%" PRId64 ",\"action\":\"%s\"}",
		 rows->count++ ? "," : "", (int)info->label.n, (const char *)info->label.p,
		 info->version, keyd_record_state_name(info->state), info->created, info->changed,
		 when, names[action]);
	return 0;
}

void keyd_rotate_key_json(const struct keyd *k, uint32_t from, struct buf *out)
{
	struct rows rows = {k, 0, out};
	struct keyd_ring_counts n;
	uint32_t at;

	buf_put_str(out, "{\"keys\":[");
	at = keyd_ring_keys(k->ring, from, row, &rows);
	keyd_ring_counts(k->ring, &n);
	buf_put_str(out, "]");
	if (at < n.keys)
		buf_putf(out, ",\"next\":%" PRIu32, at);
	buf_put_str(out, "}");
}
