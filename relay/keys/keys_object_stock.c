/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "core/secret.h"
#include "relay/keys/keys_object_priv.h"

#define PAUSE	   (CLOCK_SEC / 10) /* after keyd could not answer */
#define PAUSE_NAME (5 * CLOCK_SEC)  /* after it said that there is no such customer */

struct fetch {
	struct list_link link; /* of keys_object.fetches */
	struct keys_object *k; /* NULL: gone meanwhile */
	struct keys_object_customer *customer;
	unsigned generation;
	unsigned count; /* bodies */
	int envelope;	/* 1: one more, behind the bodies */
	uint64_t ids[KEYS_OBJECT_STOCK + 1];
};

static void drop_first_batch(struct keys_object *k, struct keys_object_customer *c)
{
	struct keys_object_batch *b = c->first;

	c->first = b->next;
	if (!c->first)
		c->last = NULL;
	c->have -= b->count - b->taken;
	c->began = evt_loop_now(k->loop);
	k->batches--;
	secret_free(b, sizeof(*b));
}

void keys_object_stock_drop(struct keys_object *k, struct keys_object_customer *c)
{
	while (c->first)
		drop_first_batch(k, c);
	secret_free(c->envelope, sizeof(*c->envelope));
	c->envelope = NULL;
	c->target = KEYS_OBJECT_STOCK;
	c->not_before = 0;
	c->err = 0;
}

static void customer_free(struct keys_object *k, struct keys_object_customer *c)
{
	keys_object_stock_drop(k, c);
	list_remove(&c->link);
	k->customer_count--;
	free(c);
}

/* Frees the customer that was longest not used, if any may go. */
static int evict(struct keys_object *k, const struct keys_object_customer *but)
{
	for (struct list_link *l = k->customers.head.prev; l != &k->customers.head; l = l->prev) {
		struct keys_object_customer *c = list_entry(l, struct keys_object_customer, link);
		if (c != but && !c->pinned && list_empty(&c->waiters)) {
			customer_free(k, c);
			return 1;
		}
	}
	return 0;
}

static struct keys_object_customer *customer_find(struct keys_object *k, const char *name)
{
	list_each(c, &k->customers, struct keys_object_customer, link)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

static struct keys_object_customer *customer_get(struct keys_object *k, const char *name)
{
	struct keys_object_customer *c = customer_find(k, name);

	if (c) {
		if (k->customers.head.next != &c->link) {
			list_remove(&c->link);
			list_push_front(&k->customers, &c->link);
		}
		return c;
	}
	if (k->customer_count >= KEYS_OBJECT_CUSTOMERS_MAX && !evict(k, NULL))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	memcpy(c->name, name, strlen(name) + 1);
	c->target = KEYS_OBJECT_STOCK;
	list_init(&c->waiters);
	list_push_front(&k->customers, &c->link);
	k->customer_count++;
	return c;
}

/* Waiters get their turn one by one: each may take a key. The customer must be pinned. */
static void serve_waiters(struct keys_object_customer *c, int err)
{
	struct list_link *l;

	while ((err < 0 || (c->have && c->envelope)) && (l = list_pop_front(&c->waiters))) {
		struct keys_object_wait *w = list_entry(l, struct keys_object_wait, link);
		w->fn(w->arg, err);
	}
}

void keys_object_stock_refuse(struct keys_object *k, int err)
{
	struct keys_object_customer *found;

	do { /* from the top each time: a waiter may do anything with us but free us */
		found = NULL;
		list_each(c, &k->customers, struct keys_object_customer, link)
			if (!list_empty(&c->waiters)) {
				found = c;
				break;
			}
		if (found) {
			found->pinned++;
			serve_waiters(found, err);
			found->pinned--;
		}
	} while (found);
}

static int keep_bodies(struct keys_object *k, struct keys_object_customer *c, const struct fetch *f,
		       const struct keyproto_derived *items)
{
	struct keys_object_batch *b;

	if (f->count == 0)
		return 0;
	b = secret_alloc(sizeof(*b));
	if (!b)
		return ERR_NOMEM;
	b->made = evt_loop_now(k->loop);
	b->count = f->count;
	for (unsigned i = 0; i < f->count; i++) {
		struct keys_object_body *body = &b->keys[i];
		body->id = f->ids[i];
		body->keyref = items[i].keyref;
		memcpy(body->salt, items[i].salt, sizeof(body->salt));
		memcpy(body->key, items[i].key, sizeof(body->key));
	}
	if (c->last)
		c->last->next = b;
	else
		c->first = b;
	c->last = b;
	if (c->first == b)
		c->began = b->made;
	c->have += b->count;
	k->batches++;
	return 0;
}

static int keep_envelope(struct keys_object *k, struct keys_object_customer *c, uint64_t object,
			 const struct keyproto_derived *item)
{
	uint8_t context[255];
	int n;

	if (!c->envelope)
		c->envelope = secret_alloc(sizeof(*c->envelope));
	if (!c->envelope)
		return ERR_NOMEM;
	c->envelope->object = object;
	c->envelope->keyref = item->keyref;
	memcpy(c->envelope->salt, item->salt, sizeof(c->envelope->salt));
	memcpy(c->envelope->key, item->key, sizeof(c->envelope->key));
	c->envelope_made = evt_loop_now(k->loop);
	c->envelope_uses = 0;
	n = seal_chunk_context(context, span_str(c->name), object, SPAN_LIT("envelope"));
	if (n > 0)
		keys_object_open_remember(k, item->keyref, item->salt, span_of(context, (size_t)n),
					  item->key);
	return 0;
}

static int keep(struct keys_object *k, struct keys_object_customer *c, const struct fetch *f,
		struct span reply)
{
	struct keyproto_derived items[KEYPROTO_BATCH_MAX];
	unsigned want = f->count + (unsigned)f->envelope;
	int n = keyproto_derived_get(reply, items);
	int err;

	if (n < 0)
		return n;
	if ((unsigned)n != want)
		return ERR_FORMAT;
	for (unsigned i = 0; i < want; i++)
		if (items[i].status != KEYPROTO_OK)
			return keyproto_err_of_status(items[i].status);
	err = keep_bodies(k, c, f, items);
	if (err == 0 && f->envelope)
		err = keep_envelope(k, c, f->ids[f->count], &items[f->count]);
	return err;
}

static void fetched(void *arg, int err, struct span reply)
{
	struct fetch *f = arg;
	struct keys_object *k = f->k;
	struct keys_object_customer *c = f->customer;
	int current;

	if (!k) {
		free(f);
		return;
	}
	current = f->generation == k->generation;
	list_remove(&f->link);
	c->asked -= f->count;
	if (f->envelope)
		c->envelope_asked = 0;
	if (current && err == 0)
		err = keep(k, c, f, reply);
	if (current && err < 0) {
		c->err = err;
		c->not_before =
		    evt_loop_now(k->loop) +
		    (err == ERR_NOTFOUND || err == ERR_GONE || err == ERR_DENIED ? PAUSE_NAME
										 : PAUSE);
	}
	free(f);
	if (current)
		serve_waiters(c, err);
	if (!current || !list_empty(&c->waiters)) {
		keys_object_stock_refill(k, c);
		if (!c->asked && !c->envelope_asked)
			serve_waiters(c, c->err ? c->err : ERR_BUSY);
	}
	c->pinned--;
}

static int fill(struct buf *body, const void *message)
{
	return keyproto_derive_new_put(body, message);
}

static int send_fetch(struct keys_object *k, const struct fetch *f)
{
	uint8_t contexts[KEYS_OBJECT_STOCK + 1][255];
	struct keyproto_derive_new m = {.customer = span_str(f->customer->name),
					.purpose = KEYPROTO_FOR_SPOOL};

	for (unsigned i = 0; i < f->count + (unsigned)f->envelope; i++) {
		struct span kind = i < f->count ? SPAN_LIT("body") : SPAN_LIT("envelope");
		int n = seal_chunk_context(contexts[i], m.customer, f->ids[i], kind);
		if (n < 0)
			return n;
		m.contexts[i] = span_of(contexts[i], (size_t)n);
		m.count++;
	}
	return keyproto_client_ev_call(k->keyd, KEYPROTO_DERIVE_NEW, KEYS_OBJECT_TIMEOUT, fill, &m,
				       fetched, (void *)f);
}

static int fetch(struct keys_object *k, struct keys_object_customer *c, unsigned bodies,
		 int envelope)
{
	struct fetch *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return ERR_NOMEM;
	f->k = k;
	f->customer = c;
	f->generation = k->generation;
	f->count = bodies;
	f->envelope = envelope;
	for (unsigned i = 0; i < bodies + (unsigned)envelope; i++)
		f->ids[i] = id_new();
	err = send_fetch(k, f);
	if (err < 0) {
		free(f);
		return err;
	}
	list_push_back(&k->fetches, &f->link);
	c->asked += bodies;
	c->envelope_asked |= envelope;
	c->pinned++;
	return 0;
}

static unsigned batches_asked(const struct keys_object *k)
{
	unsigned n = 0;

	for (const struct list_link *l = k->fetches.head.next; l != &k->fetches.head; l = l->next)
		n++;
	return n;
}

/* Whether a further batch may be asked for: it needs locked memory, of which there is little. */
static int room(struct keys_object *k, const struct keys_object_customer *c)
{
	while (k->batches + batches_asked(k) >= KEYS_OBJECT_BATCHES_MAX)
		if (!evict(k, c))
			return 0;
	return 1;
}

static int envelope_due(const struct keys_object *k, const struct keys_object_customer *c)
{
	return !c->envelope || c->envelope_uses >= KEYS_OBJECT_ENVELOPE_USES ||
	       evt_loop_now(k->loop) - c->envelope_made >= KEYS_OBJECT_AGE;
}

void keys_object_stock_refill(struct keys_object *k, struct keys_object_customer *c)
{
	int envelope = envelope_due(k, c) && !c->envelope_asked;
	int64_t now = evt_loop_now(k->loop);

	while (k->state == KEYPROTO_READY && now >= c->not_before) {
		unsigned bodies = 0;
		int err;
		if (c->have + c->asked + KEYS_OBJECT_STOCK - KEYS_OBJECT_REFILL <= c->target &&
		    room(k, c))
			bodies = KEYS_OBJECT_STOCK;
		if (!bodies && !envelope)
			return;
		err = fetch(k, c, bodies, envelope);
		if (err < 0) {
			c->err = err;
			c->not_before = now + PAUSE;
			return;
		}
		envelope = 0;
	}
}

void keys_object_want(struct keys_object *k, const char *customer)
{
	struct keys_object_customer *c;

	if (strlen(customer) > KEYPROTO_NAME_MAX)
		return;
	c = customer_get(k, customer);
	if (c)
		keys_object_stock_refill(k, c);
}

/* A key that has waited too long is not used: its id would tell a false age, its DEK may be an old
 * one. */
static void drop_stale(struct keys_object *k, struct keys_object_customer *c)
{
	int64_t now = evt_loop_now(k->loop);

	while (c->first && now - c->first->made >= KEYS_OBJECT_AGE)
		drop_first_batch(k, c);
	if (c->envelope && (now - c->envelope_made >= 2 * KEYS_OBJECT_AGE ||
			    c->envelope_uses >= 2 * KEYS_OBJECT_ENVELOPE_USES)) {
		secret_free(c->envelope, sizeof(*c->envelope));
		c->envelope = NULL;
	}
}

static void copy_out(struct keys_object *k, struct keys_object_customer *c,
		     struct keys_object_body *body, struct keys_object_envelope *envelope)
{
	struct keys_object_batch *b = c->first;
	struct keys_object_body *from = &b->keys[b->taken++];

	*body = *from;
	secret_wipe(from, sizeof(*from));
	*envelope = *c->envelope;
	c->envelope_uses++;
	c->have--;
	if (b->taken < b->count)
		return;
	if (evt_loop_now(k->loop) - c->began > CLOCK_SEC && c->target > KEYS_OBJECT_STOCK)
		c->target /= 2; /* the burst is over */
	drop_first_batch(k, c);
}

int keys_object_take(struct keys_object *k, const char *customer, struct keys_object_body *body,
		     struct keys_object_envelope *envelope)
{
	struct keys_object_customer *c;
	int err = keys_object_state_err(k->state);

	if (err < 0)
		return err;
	if (strlen(customer) > KEYPROTO_NAME_MAX)
		return ERR_NOTFOUND;
	c = customer_get(k, customer);
	if (!c)
		return ERR_BUSY;
	drop_stale(k, c);
	if (!c->have || !c->envelope) {
		if (c->asked && c->target < KEYS_OBJECT_STOCK_MAX)
			c->target *= 2;
		keys_object_stock_refill(k, c);
		return c->err && evt_loop_now(k->loop) < c->not_before ? c->err : ERR_BUSY;
	}
	copy_out(k, c, body, envelope);
	/* nearly dry before keyd could answer: hold more */
	if (c->asked && c->have == c->target / 4 && c->target < KEYS_OBJECT_STOCK_MAX)
		c->target *= 2;
	keys_object_stock_refill(k, c);
	return 0;
}

int keys_object_wait(struct keys_object *k, const char *customer, struct keys_object_wait *wait)
{
	struct keys_object_customer *c;
	int err = keys_object_state_err(k->state);

	if (err < 0)
		return err;
	c = strlen(customer) > KEYPROTO_NAME_MAX ? NULL : customer_get(k, customer);
	if (!c)
		return ERR_NOTFOUND;
	keys_object_stock_refill(k, c);
	/* only an answer of keyd serves waiters: without a question under way none would come */
	if (!c->asked && !c->envelope_asked)
		return c->err ? c->err : ERR_BUSY;
	list_push_back(&c->waiters, &wait->link);
	return 0;
}

void keys_object_unwait(struct keys_object *k, struct keys_object_wait *wait)
{
	(void)k;
	if (list_linked(&wait->link))
		list_remove(&wait->link);
}

void keys_object_stock_free(struct keys_object *k)
{
	struct list_link *l;

	while ((l = list_pop_front(&k->fetches))) {
		struct fetch *f = list_entry(l, struct fetch, link);
		f->k = NULL;
	}
	while ((l = list_first(&k->customers))) {
		struct keys_object_customer *c = list_entry(l, struct keys_object_customer, link);
		while (list_pop_front(&c->waiters))
			;
		customer_free(k, c);
	}
}
