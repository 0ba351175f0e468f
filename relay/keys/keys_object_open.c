/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "relay/keys/keys_object_priv.h"

#define WANT_MAX 2

struct request;

struct user {		       /* one key that a request waits for */
	struct list_link link; /* of derive.users; not linked: answered */
	struct request *request;
};

struct request {
	struct list_link link; /* of keys_object.requests or .ready */
	int64_t ticket;
	keys_object_open_fn fn;
	void *arg;
	unsigned count, waiting;
	int err;
	struct user users[WANT_MAX];
	uint8_t (*keys)[KEYPROTO_OBJECT_KEY]; /* secret memory */
};

struct derive {		       /* one key to be had from keyd, for all who want it */
	struct list_link link; /* of keys_object.unsent, or .sent_shared if shared */
	struct list users;
	int shared; /* an envelope's key: others may want it too, and it is worth remembering */
	uint32_t keyref;
	uint8_t salt[KEYPROTO_SALT];
	char customer[KEYPROTO_NAME_MAX + 1];
	uint8_t context[KEYPROTO_CONTEXT_MAX];
	int context_size;
};

struct flight { /* one frame on its way */
	struct list_link link;
	struct keys_object *k; /* NULL: gone meanwhile */
	unsigned generation;
	unsigned count;
	struct derive *derives[KEYPROTO_BATCH_MAX];
};

static const size_t keys_size = WANT_MAX * KEYPROTO_OBJECT_KEY;

static void request_free(struct request *r)
{
	list_remove(&r->link);
	for (unsigned i = 0; i < r->count; i++)
		if (list_linked(&r->users[i].link))
			list_remove(&r->users[i].link);
	secret_free(r->keys, keys_size);
	free(r);
}

static void run_ready(struct keys_object *k)
{
	struct list_link *l;

	while ((l = list_first(&k->ready))) {
		struct request *r = list_entry(l, struct request, link);
		keys_object_open_fn fn = r->fn;
		void *arg = r->arg;
		uint8_t(*keys)[KEYPROTO_OBJECT_KEY] = r->keys;
		int err = r->err;
		r->keys = NULL; /* ours now: the request may be cancelled from within fn */
		request_free(r);
		fn(arg, err, err == 0 ? (const uint8_t(*)[KEYPROTO_OBJECT_KEY])keys : NULL);
		secret_free(keys, keys_size);
	}
}

static void answer(struct keys_object *k, struct user *u, int err, const uint8_t *key)
{
	struct request *r = u->request;

	if (list_linked(&u->link))
		list_remove(&u->link);
	if (err < 0)
		r->err = err;
	else
		memcpy(r->keys[u - r->users], key, KEYPROTO_OBJECT_KEY);
	if (--r->waiting == 0) {
		list_remove(&r->link);
		list_push_back(&k->ready, &r->link);
	}
}

static void derive_done(struct keys_object *k, struct derive *d, int err, const uint8_t *key,
			int remember)
{
	struct list_link *l;

	while ((l = list_first(&d->users)))
		answer(k, list_entry(l, struct user, link), err, key);
	if (err == 0 && d->shared && remember)
		keys_object_open_remember(k, d->keyref, d->salt,
					  span_of(d->context, (size_t)d->context_size), key);
	if (list_linked(&d->link))
		list_remove(&d->link);
	free(d);
}

static void flown(void *arg, int err, struct span reply)
{
	struct flight *f = arg;
	struct keys_object *k = f->k;
	struct keyproto_derived items[KEYPROTO_BATCH_MAX];

	if (!k) {
		free(f);
		return;
	}
	list_remove(&f->link);
	if (err == 0) {
		int n = keyproto_derived_get(reply, items);
		err = n < 0 ? n : (unsigned)n != f->count ? ERR_FORMAT : 0;
	}
	for (unsigned i = 0; i < f->count; i++) {
		int one = err < 0 ? err : keyproto_err_of_status(items[i].status);
		derive_done(k, f->derives[i], one, one < 0 ? NULL : items[i].key,
			    f->generation == k->generation);
	}
	free(f);
	run_ready(k);
}

static int fill(struct buf *body, const void *message)
{
	return keyproto_derive_existing_put(body, message);
}

static int send_flight(struct keys_object *k, struct flight *f)
{
	struct keyproto_derive_existing m = {.count = (uint16_t)f->count};

	for (unsigned i = 0; i < f->count; i++) {
		const struct derive *d = f->derives[i];
		m.items[i] = (struct keyproto_object){
		    .customer = span_str(d->customer),
		    .purpose = KEYPROTO_FOR_SPOOL,
		    .keyref = d->keyref,
		    .salt = d->salt,
		    .context = span_of(d->context, (size_t)d->context_size),
		};
	}
	return keyproto_client_ev_call(k->keyd, KEYPROTO_DERIVE_EXISTING, KEYS_OBJECT_TIMEOUT, fill,
				       &m, flown, f);
}

static void depart(struct keys_object *k, struct flight *f)
{
	int err = send_flight(k, f);

	if (err == 0) {
		list_push_back(&k->flights, &f->link);
		return;
	}
	for (unsigned i = 0; i < f->count; i++)
		derive_done(k, f->derives[i], err, NULL, 0);
	free(f);
}

static void fail_unsent(struct keys_object *k, int err)
{
	struct list_link *l;

	while ((l = list_first(&k->unsent)))
		derive_done(k, list_entry(l, struct derive, link), err, NULL, 0);
}

/* End of the turn: what was wished for leaves in as few frames as it takes. A full batch is 46 KiB
 * at most. */
static void turn_ends(void *arg)
{
	struct keys_object *k = arg;

	while (!list_empty(&k->unsent)) {
		struct flight *f = calloc(1, sizeof(*f));
		if (!f) {
			fail_unsent(k, ERR_NOMEM);
			break;
		}
		f->k = k;
		f->generation = k->generation;
		while (f->count < KEYPROTO_BATCH_MAX) {
			struct list_link *l = list_pop_front(&k->unsent);
			struct derive *d = l ? list_entry(l, struct derive, link) : NULL;
			if (!d)
				break;
			if (list_empty(&d->users)) { /* all cancelled */
				free(d);
				continue;
			}
			f->derives[f->count++] = d;
			if (d->shared)
				list_push_back(&k->sent_shared, &d->link);
		}
		if (f->count)
			depart(k, f);
		else
			free(f);
	}
	run_ready(k);
}

static int cached(struct keys_object *k, const struct derive *d)
{
	for (int i = 0; i < KEYS_OBJECT_CACHE; i++) {
		struct keys_object_cached *c = &k->cached[i];
		if (c->used && c->keyref == d->keyref && c->context_size == d->context_size &&
		    !memcmp(c->salt, d->salt, sizeof(c->salt)) &&
		    !memcmp(c->context, d->context, (size_t)c->context_size)) {
			c->used = ++k->ticks;
			return i;
		}
	}
	return -1;
}

static struct derive *find_shared(struct list *l, const struct derive *like)
{
	list_each(d, l, struct derive, link)
		if (d->shared && d->keyref == like->keyref &&
		    d->context_size == like->context_size &&
		    !memcmp(d->salt, like->salt, sizeof(d->salt)) &&
		    !memcmp(d->context, like->context, (size_t)d->context_size))
			return d;
	return NULL;
}

static int describe(struct derive *d, const struct keys_object_want *want)
{
	size_t n = strlen(want->customer);

	memset(d, 0, sizeof(*d));
	if (n > KEYPROTO_NAME_MAX)
		return ERR_NOTFOUND;
	memcpy(d->customer, want->customer, n + 1);
	d->keyref = want->keyref;
	memcpy(d->salt, want->salt, sizeof(d->salt));
	d->shared = !strcmp(want->kind, "envelope");
	d->context_size = seal_chunk_context(d->context, span_str(want->customer), want->object,
					     span_str(want->kind));
	return d->context_size < 0 ? d->context_size : 0;
}

/* Finds or begins the derivation of one key. */
static int wish(struct keys_object *k, struct request *r, unsigned index,
		const struct keys_object_want *want)
{
	struct derive like, *d = NULL;
	int err = describe(&like, want), slot;

	if (err < 0)
		return err;
	r->users[index].request = r;
	slot = like.shared ? cached(k, &like) : -1;
	if (slot >= 0) {
		answer(k, &r->users[index], 0, k->cache_keys[slot]);
		return 0;
	}
	if (like.shared) {
		d = find_shared(&k->unsent, &like);
		if (!d)
			d = find_shared(&k->sent_shared, &like);
	}
	if (!d) {
		d = malloc(sizeof(*d));
		if (!d)
			return ERR_NOMEM;
		*d = like;
		list_init(&d->users);
		list_push_back(&k->unsent, &d->link);
	}
	list_push_back(&d->users, &r->users[index].link);
	return 0;
}

int64_t keys_object_open(struct keys_object *k, const struct keys_object_want *want, unsigned count,
			 keys_object_open_fn fn, void *arg)
{
	struct request *r;
	int err = keys_object_state_err(k->state);

	if (err < 0)
		return err;
	if (count < 1 || count > WANT_MAX)
		return ERR_LIMIT;
	r = calloc(1, sizeof(*r));
	if (!r)
		return ERR_NOMEM;
	r->keys = secret_alloc(keys_size);
	r->fn = fn;
	r->arg = arg;
	r->count = r->waiting = count;
	list_push_back(&k->requests, &r->link);
	err = r->keys ? 0 : ERR_NOMEM;
	for (unsigned i = 0; err == 0 && i < count; i++)
		err = wish(k, r, i, &want[i]);
	if (err < 0) {
		request_free(r);
		return err;
	}
	r->ticket = ++k->tickets;
	evt_loop_defer(k->loop, &k->defer);
	return r->ticket;
}

static int cancel_in(struct list *l, int64_t ticket)
{
	list_each(r, l, struct request, link)
		if (r->ticket == ticket) {
			request_free(r);
			return 1;
		}
	return 0;
}

void keys_object_cancel(struct keys_object *k, int64_t ticket)
{
	if (!cancel_in(&k->requests, ticket))
		cancel_in(&k->ready, ticket);
}

void keys_object_open_remember(struct keys_object *k, uint32_t keyref, const uint8_t *salt,
			       struct span context, const uint8_t *key)
{
	struct keys_object_cached *c = &k->cached[0];

	if (!k->cache_keys)
		k->cache_keys = secret_alloc(KEYS_OBJECT_CACHE * sizeof(*k->cache_keys));
	if (!k->cache_keys || context.n > sizeof(c->context))
		return;
	for (int i = 1; i < KEYS_OBJECT_CACHE; i++)
		if (k->cached[i].used < c->used)
			c = &k->cached[i];
	c->used = ++k->ticks;
	c->keyref = keyref;
	memcpy(c->salt, salt, sizeof(c->salt));
	memcpy(c->context, context.p, context.n);
	c->context_size = (int)context.n;
	memcpy(k->cache_keys[c - k->cached], key, sizeof(*k->cache_keys));
}

void keys_object_open_forget(struct keys_object *k)
{
	for (int i = 0; i < KEYS_OBJECT_CACHE; i++)
		k->cached[i].used = 0;
	if (k->cache_keys)
		secret_wipe(k->cache_keys, KEYS_OBJECT_CACHE * sizeof(*k->cache_keys));
}

void keys_object_open_init(struct keys_object *k)
{
	list_init(&k->requests);
	list_init(&k->ready);
	list_init(&k->unsent);
	list_init(&k->sent_shared);
	list_init(&k->flights);
	k->defer.fn = turn_ends;
	k->defer.arg = k;
}

static void free_derives(struct list *l)
{
	struct list_link *k;

	while ((k = list_pop_front(l)))
		free(list_entry(k, struct derive, link));
}

void keys_object_open_free(struct keys_object *k)
{
	struct list_link *l;

	evt_loop_undefer(k->loop, &k->defer);
	while ((l = list_first(&k->requests)) || (l = list_first(&k->ready)))
		request_free(list_entry(l, struct request, link));
	while ((l = list_pop_front(&k->flights))) {
		struct flight *f = list_entry(l, struct flight, link);
		f->k = NULL;
		for (unsigned i = 0; i < f->count; i++)
			if (!f->derives[i]->shared) /* the shared are on a list of their own */
				free(f->derives[i]);
	}
	free_derives(&k->unsent);
	free_derives(&k->sent_shared);
	secret_free(k->cache_keys, KEYS_OBJECT_CACHE * sizeof(*k->cache_keys));
}
