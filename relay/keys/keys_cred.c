/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/keys/keys_cred_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/list.h"
#include "core/secret.h"
#include "evt/evt_timer.h"
#include "relay/keys/keys_field.h"

#define NAME_MAX_OCTETS 256
#define SWEEP		(60 * CLOCK_SEC)

/* One credential, as far as this worker has had to do with it. */
struct entry {
	struct list_link link;
	struct keys_cred *owner;
	char name[NAME_MAX_OCTETS];
	uint64_t generation; /* of the book it was opened from */
	int64_t until;
	uint8_t *open; /* user, password: secret memory, KEYS_CRED_PART each; NULL: not opened */
	size_t user_n, password_n;
	int asking, stale; /* keyd is asked; what it will say is out of date */
	struct list queries;
};

struct keys_cred_query {
	struct list_link link;
	keys_cred_fn fn;
	void *arg;
};

struct keys_cred {
	struct evt_loop *loop;
	struct keyproto_client_ev *keyd;
	struct keys_cred_book *book;
	struct list entries;
	struct evt_timer sweep;
};

static void wipe(struct entry *e)
{
	secret_free(e->open, (size_t)2 * KEYS_CRED_PART);
	e->open = NULL;
	e->user_n = e->password_n = 0;
}

static uint64_t generation(struct keys_cred_book *b)
{
	uint64_t g;

	pthread_mutex_lock(&b->lock);
	g = b->generation;
	pthread_mutex_unlock(&b->lock);
	return g;
}

static int fresh(const struct entry *e)
{
	return e->open && evt_loop_now(e->owner->loop) < e->until &&
	       e->generation == generation(e->owner->book);
}

static void forget(struct entry *e)
{
	wipe(e);
	list_remove(&e->link);
	free(e);
}

/* Wipes what has been open for long enough, and what nobody asked for since. */
static void sweep(void *arg)
{
	struct keys_cred *k = arg;
	struct list_link *l = k->entries.head.next, *next;

	for (; l != &k->entries.head; l = next) {
		struct entry *e = list_entry(l, struct entry, link);
		next = l->next;
		if (!e->asking && !fresh(e))
			forget(e);
	}
	if (!list_empty(&k->entries))
		evt_timer_set(&k->sweep, SWEEP);
}

/* --- asking keyd */

static void answer_all(struct entry *e, int result)
{
	struct list_link *l;
	struct span user = span_of(e->open, e->user_n);
	struct span password = span_of(e->open ? e->open + KEYS_CRED_PART : NULL, e->password_n);

	if (result < 0)
		user = password = span_of(NULL, 0);
	while ((l = list_pop_front(&e->queries))) {
		struct keys_cred_query *q = list_entry(l, struct keys_cred_query, link);
		q->fn(q->arg, result, user, password);
		free(q);
	}
}

static int keep(struct entry *e, const struct keyproto_result *results)
{
	for (int i = 0; i < 2; i++)
		if (results[i].status)
			return keyproto_err_of_status(results[i].status);
	if (results[0].data.n > KEYS_CRED_PART || results[1].data.n > KEYS_CRED_PART)
		return ERR_LIMIT;
	wipe(e);
	e->open = secret_alloc((size_t)2 * KEYS_CRED_PART);
	if (!e->open)
		return ERR_NOMEM;
	memcpy(e->open, results[0].data.p, results[0].data.n);
	memcpy(e->open + KEYS_CRED_PART, results[1].data.p, results[1].data.n);
	e->user_n = results[0].data.n;
	e->password_n = results[1].data.n;
	e->until = evt_loop_now(e->owner->loop) + KEYS_CRED_KEPT;
	return 0;
}

static void opened(void *arg, int err, const struct keyproto_result *results, unsigned count)
{
	struct entry *e = arg;

	e->asking = 0;
	if (err == 0 && count != 2)
		err = ERR_FORMAT;
	if (err == 0)
		err = keep(e, results);
	answer_all(e, err);
	if (e->stale) { /* keyd went away meanwhile: those who waited have it, nobody else gets it */
		e->stale = 0;
		wipe(e);
	}
}

static int ask_row(struct entry *e, const struct keys_cred_row *r)
{
	struct keyproto_field items[2] = {{r->login_aad, r->login}, {r->secret_aad, r->secret}};

	if (r->disabled)
		return ERR_DENIED;
	return keys_field_open(e->owner->keyd, KEYPROTO_FOR_CRED, r->customer, items, 2, opened, e);
}

static int ask(struct entry *e)
{
	struct keys_cred_book *b = e->owner->book;
	int err = ERR_NOTFOUND;

	pthread_mutex_lock(&b->lock);
	e->generation = b->generation;
	for (unsigned i = 0; i < b->count; i++)
		if (!strcmp(b->rows[i].row.name, e->name))
			err = ask_row(e, &b->rows[i].row);
	pthread_mutex_unlock(&b->lock);
	e->asking = err == 0;
	return err;
}

/* --- questions */

static struct entry *find(struct keys_cred *k, const char *name)
{
	struct entry *made;

	list_each(e, &k->entries, struct entry, link)
		if (!strcmp(e->name, name))
			return e;
	made = strlen(name) < NAME_MAX_OCTETS ? calloc(1, sizeof(*made)) : NULL;
	if (!made)
		return NULL;
	made->owner = k;
	snprintf(made->name, sizeof(made->name), "%s", name);
	list_init(&made->queries);
	list_push_back(&k->entries, &made->link);
	if (!k->sweep.due)
		evt_timer_set(&k->sweep, SWEEP);
	return made;
}

struct keys_cred_query *keys_cred_get(struct keys_cred *k, const char *name, keys_cred_fn fn,
				      void *arg)
{
	struct entry *e = find(k, name);
	struct keys_cred_query *q;
	int err;

	if (e && !e->asking && fresh(e)) {
		fn(arg, 0, span_of(e->open, e->user_n),
		   span_of(e->open + KEYS_CRED_PART, e->password_n));
		return NULL;
	}
	q = e ? calloc(1, sizeof(*q)) : NULL;
	err = q ? 0 : ERR_NOMEM;
	if (q && !e->asking)
		err = ask(e);
	if (err < 0) {
		free(q);
		fn(arg, err, span_of(NULL, 0), span_of(NULL, 0));
		return NULL;
	}
	q->fn = fn;
	q->arg = arg;
	list_push_back(&e->queries, &q->link);
	return q;
}

void keys_cred_cancel(struct keys_cred_query *q)
{
	if (!q)
		return;
	list_remove(&q->link);
	free(q);
}

/* --- life */

void keys_cred_state(struct keys_cred *k, unsigned state)
{
	if (!k || state == KEYPROTO_READY)
		return;
	list_each(e, &k->entries, struct entry, link) {
		wipe(e);
		e->stale = e->asking;
	}
}

struct keys_cred *keys_cred_new(struct evt_loop *l, struct keyproto_client_ev *keyd,
				struct keys_cred_book *b)
{
	struct keys_cred *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->loop = l;
	k->keyd = keyd;
	k->book = b;
	list_init(&k->entries);
	evt_timer_init(&k->sweep, l, sweep, k);
	return k;
}

void keys_cred_free(struct keys_cred *k)
{
	if (!k)
		return;
	while (!list_empty(&k->entries))
		forget(list_entry(list_first(&k->entries), struct entry, link));
	evt_timer_clear(&k->sweep);
	free(k);
}
