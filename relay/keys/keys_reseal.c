/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/keys/keys_reseal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/list.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "keyproto/keyproto_dek.h"
#include "seal/seal_field.h"

#define TIMEOUT	 (30 * CLOCK_SEC)
#define REST_MAX (600 * CLOCK_SEC)
#define REST_MIN (CLOCK_SEC / 2)

struct customer {
	struct list_link link;
	char name[KEYPROTO_NAME_MAX + 1];
	uint32_t newest;    /* key reference; 0: not asked yet */
	int64_t created;    /* clock_wall of the newest DEK */
	int64_t since;	    /* evt_loop_now when it was first seen */
	unsigned clean : 1; /* a walk found nothing under older ones */
	unsigned told : 1;  /* keyd still names it */
	unsigned done : 1;  /* in this round */
};

struct keys_reseal {
	struct evt_loop *loop;
	struct keyproto_client_ev *keyd;
	struct keys_reseal_options o;
	struct evt_timer timer;
	void (*then)(struct keys_reseal *r); /* what the timer is for */
	int busy;			     /* a round is under way */
	int again;			     /* look once more after it */
	struct list customers;
	/* the round */
	struct customer *now;
	uint32_t old[KEYPROTO_BATCH_MAX];
	unsigned old_count, old_next;
	unsigned source;
	uint64_t cursor;
	unsigned found, failed;
	int64_t began;					  /* of this walk */
	struct keys_reseal_item items[KEYS_RESEAL_BATCH]; /* those to be sealed anew */
	unsigned item_count, looked_at;
};

static void next_customer(struct keys_reseal *r);
static void step(struct keys_reseal *r);

static void fire(void *arg)
{
	struct keys_reseal *r = arg;

	r->then(r);
}

static void wait_for(struct keys_reseal *r, int64_t usec, void (*then)(struct keys_reseal *r))
{
	r->then = then;
	evt_timer_set(&r->timer, usec);
}

static void look(struct keys_reseal *r);

/* The round is over, or could not go on. */
static void rest(struct keys_reseal *r)
{
	int64_t pause = r->o.settle / 4;

	r->busy = 0;
	r->now = NULL;
	if (pause > REST_MAX)
		pause = REST_MAX;
	if (pause < REST_MIN)
		pause = REST_MIN;
	wait_for(r, r->again ? 0 : pause, look);
	r->again = 0;
}

static int fill_name(struct buf *body, const void *name)
{
	return keyproto_bytes_put(body, span_str(name));
}

static void call(struct keys_reseal *r, uint16_t op, int (*fill)(struct buf *, const void *),
		 const void *message, keyproto_client_ev_reply_fn fn)
{
	if (keyproto_client_ev_call(r->keyd, op, TIMEOUT, fill, message, fn, r) < 0)
		rest(r);
}

/* --- which customers */

static struct customer *customer_of(struct keys_reseal *r, struct span name)
{
	struct customer *c;
	unsigned count = 0;

	list_each(known, &r->customers, struct customer, link) {
		if (span_equal(span_str(known->name), name))
			return known;
		count++;
	}
	c = count < KEYPROTO_BATCH_MAX ? calloc(1, sizeof(*c)) : NULL;
	if (!c)
		return NULL;
	memcpy(c->name, name.p, name.n);
	list_push_back(&r->customers, &c->link);
	return c;
}

/* Customers that have no older DEKs any more. */
static void forget_untold(struct keys_reseal *r)
{
	struct list kept;
	struct list_link *l;

	list_init(&kept);
	while ((l = list_pop_front(&r->customers))) {
		if (list_entry(l, struct customer, link)->told)
			list_push_back(&kept, l);
		else
			free(list_entry(l, struct customer, link));
	}
	while ((l = list_pop_front(&kept)))
		list_push_back(&r->customers, l);
}

static void on_old(void *arg, int err, struct span reply)
{
	struct keyproto_dek deks[KEYPROTO_BATCH_MAX];
	struct keys_reseal *r = arg;
	struct customer *c;
	int n = err < 0 ? err : keyproto_deks_get(reply, deks);

	if (n < 0) {
		rest(r);
		return;
	}
	list_each(known, &r->customers, struct customer, link)
		known->told = known->done = 0;
	for (int i = 0; i < n; i++)
		if ((c = customer_of(r, deks[i].customer)) != NULL)
			c->told = 1;
	forget_untold(r);
	next_customer(r);
}

static void look(struct keys_reseal *r)
{
	if (r->busy) {
		r->again = 1;
		return;
	}
	evt_timer_stop(&r->timer);
	r->busy = 1;
	call(r, KEYPROTO_CUSTOMER_KEYS, fill_name, "", on_old);
}

/* --- one customer: has everything gone? */

static int fill_empty(struct buf *body, const void *message)
{
	return keyproto_dek_empty_put(body, message);
}

static void say_empty(struct keys_reseal *r);

static void on_empty(void *arg, int err, struct span reply)
{
	struct keys_reseal *r = arg;

	(void)reply;
	if (err < 0) {
		rest(r);
		return;
	}
	log_event(LOG_LEVEL_INFO, NULL, "dek-empty", "customer=%s keyref=%" PRIu32, r->now->name,
		  r->old[r->old_next - 1]);
	say_empty(r);
}

static void say_empty(struct keys_reseal *r)
{
	struct keyproto_dek_empty m = {.customer = span_str(r->now->name)};

	if (r->old_next == r->old_count) {
		next_customer(r);
		return;
	}
	m.keyref = r->old[r->old_next++];
	call(r, KEYPROTO_DEK_EMPTY, fill_empty, &m, on_empty);
}

static void on_objects(void *arg, int64_t oldest)
{
	struct keys_reseal *r = arg;

	if (oldest < 0 || (oldest > 0 && oldest <= r->now->created + r->o.settle)) {
		next_customer(r);
		return;
	}
	r->old_next = 0;
	say_empty(r);
}

/* --- walking the sources */

static void walked(struct keys_reseal *r)
{
	if (r->failed)
		log_event(LOG_LEVEL_WARN, NULL, "reseal-failed", "customer=%s items=%u",
			  r->now->name, r->failed);
	if (r->found > r->failed)
		log_event(LOG_LEVEL_INFO, NULL, "resealed", "customer=%s items=%u", r->now->name,
			  r->found - r->failed);
	if (!r->found && r->began - r->now->since >= r->o.settle)
		r->now->clean = 1;
	if (r->now->clean)
		r->o.objects(r->o.arg, on_objects, r);
	else
		next_customer(r);
}

static void on_resealed(void *arg, int err, struct span reply)
{
	struct keyproto_result results[KEYPROTO_BATCH_MAX];
	struct keys_reseal *r = arg;
	const struct keys_reseal_source *s = &r->o.sources[r->source];
	int n = err < 0 ? err : keyproto_results_get(reply, results);

	if (n < 0 || (unsigned)n != r->item_count) {
		rest(r);
		return;
	}
	for (int i = 0; i < n; i++) {
		int rc = keyproto_err_of_status(results[i].status);
		if (rc == 0)
			rc = s->replace(s->arg, r->now->name, &r->items[i], results[i].data);
		r->failed += rc < 0 && rc != ERR_EXISTS && rc != ERR_NOTFOUND;
	}
	wait_for(r, r->looked_at * CLOCK_SEC / r->o.rate, step);
}

static int fill_fields(struct buf *body, const void *arg)
{
	const struct keys_reseal *r = arg;
	struct keyproto_fields m = {.customer = span_str(r->now->name),
				    .purpose = r->o.sources[r->source].purpose,
				    .count = (uint16_t)r->item_count};

	for (unsigned i = 0; i < r->item_count; i++)
		m.items[i] = (struct keyproto_field){r->items[i].aad, r->items[i].sealed};
	return keyproto_fields_put(body, &m);
}

/* The next batch: of it, what is not under the newest DEK goes to keyd. */
static void step(struct keys_reseal *r)
{
	const struct keys_reseal_source *s = &r->o.sources[r->source];
	int n;

	if (r->source == r->o.source_count) {
		walked(r);
		return;
	}
	n = s->next(s->arg, r->now->name, &r->cursor, r->items);
	if (n < 0) {
		r->found++; /* not seen, so not known to be empty */
		r->failed++;
	}
	if (n <= 0) {
		r->source++;
		r->cursor = 0;
		wait_for(r, 0, step);
		return;
	}
	r->looked_at = (unsigned)n;
	r->item_count = 0;
	for (int i = 0; i < n; i++)
		if (seal_field_keyref(r->items[i].sealed) != r->now->newest)
			r->items[r->item_count++] = r->items[i];
	r->found += r->item_count;
	if (r->item_count)
		call(r, KEYPROTO_RESEAL_FIELDS, fill_fields, r, on_resealed);
	else
		wait_for(r, r->looked_at * CLOCK_SEC / r->o.rate, step);
}

static void on_keys(void *arg, int err, struct span reply)
{
	struct keyproto_dek deks[KEYPROTO_BATCH_MAX];
	struct keys_reseal *r = arg;
	struct customer *c = r->now;
	int n = err < 0 ? err : keyproto_deks_get(reply, deks);

	if (err == ERR_NOTFOUND || err == ERR_GONE || n == 0) {
		next_customer(r);
		return;
	}
	if (n < 0) {
		rest(r);
		return;
	}
	if (c->newest != deks[0].keyref) { /* another rotation: all from the start */
		c->newest = deks[0].keyref;
		c->created = (int64_t)deks[0].created;
		c->since = evt_loop_now(r->loop);
		c->clean = 0;
	}
	r->old_count = 0;
	for (int i = 1; i < n; i++)
		if (deks[i].state == KEYPROTO_DEK_ACTIVE)
			r->old[r->old_count++] = deks[i].keyref;
	if (c->clean) {
		r->o.objects(r->o.arg, on_objects, r);
		return;
	}
	r->source = 0;
	r->cursor = 0;
	r->found = r->failed = 0;
	r->began = evt_loop_now(r->loop);
	step(r);
}

static void next_customer(struct keys_reseal *r)
{
	r->now = NULL;
	list_each(c, &r->customers, struct customer, link)
		if (!c->done && !r->now)
			r->now = c;
	if (!r->now) {
		rest(r);
		return;
	}
	r->now->done = 1;
	call(r, KEYPROTO_CUSTOMER_KEYS, fill_name, r->now->name, on_keys);
}

struct keys_reseal *keys_reseal_new(struct evt_loop *loop, struct keyproto_client_ev *keyd,
				    const struct keys_reseal_options *options)
{
	struct keys_reseal *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->loop = loop;
	r->keyd = keyd;
	r->o = *options;
	list_init(&r->customers);
	evt_timer_init(&r->timer, loop, fire, r);
	return r;
}

void keys_reseal_free(struct keys_reseal *r)
{
	struct list_link *l;

	if (!r)
		return;
	evt_timer_clear(&r->timer);
	while ((l = list_pop_front(&r->customers)))
		free(list_entry(l, struct customer, link));
	free(r);
}

void keys_reseal_look(struct keys_reseal *r)
{
	if (r->busy)
		r->again = 1;
	else
		wait_for(r, 0, look);
}
