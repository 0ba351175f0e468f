/* SPDX-License-Identifier: Apache-2.0 */
/* bounce_list's reading: all rows into the table at start, some for people. */
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/bounce/bounce_list_own.h"

/* Rows of one customer, of one page, that keyd opens together. */
struct opening {
	struct bounce_list *l;
	char customer[65];
	struct bounce_list_item items[KEYS_FIELD_BATCH];
	struct buf text; /* AADs and sealed addresses, one behind the other */
	size_t aad[KEYS_FIELD_BATCH], sealed[KEYS_FIELD_BATCH], end[KEYS_FIELD_BATCH];
	unsigned count;
	struct opening *next;
	bounce_list_items_fn fn; /* NULL: for the table */
	void *arg;
};

static struct opening *opening_new(struct bounce_list *l, const char *customer)
{
	struct opening *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->l = l;
	strncpy(o->customer, customer, sizeof(o->customer) - 1);
	buf_init(&o->text, KEYS_FIELD_BATCH * 1024);
	return o;
}

static void opening_free(struct opening *o)
{
	buf_clear(&o->text);
	free(o);
}

static int opening_add(struct opening *o, const struct store_suppression *r)
{
	unsigned i = o->count;
	int err;

	o->aad[i] = buf_size(&o->text);
	err = store_aad(o->l->relay->store, &o->text, o->customer, "suppression", "address", r->id);
	o->sealed[i] = buf_size(&o->text);
	if (err == 0)
		err = buf_put_span(&o->text, r->address);
	o->end[i] = buf_size(&o->text);
	o->items[i] = (struct bounce_list_item){
	    .id = r->id, .reason = r->reason, .created = r->created, .expires = r->expires};
	o->count += err == 0;
	return err;
}

static int opening_ask(struct opening *o, keys_field_fn fn)
{
	struct keyproto_field items[KEYS_FIELD_BATCH];
	struct span all = buf_span(&o->text);

	for (unsigned i = 0; i < o->count; i++) {
		items[i].aad = span_sub(all, o->aad[i], o->sealed[i] - o->aad[i]);
		items[i].data = span_sub(all, o->sealed[i], o->end[i] - o->sealed[i]);
	}
	return keys_field_open(o->l->relay->keyd, KEYPROTO_FOR_FIELD, o->customer, items, o->count,
			       fn, o);
}

static void take_results(struct opening *o, const struct keyproto_result *results)
{
	for (unsigned i = 0; i < o->count; i++)
		if (results[i].status ||
		    span_copy_str(o->items[i].address, sizeof(o->items[i].address),
				  results[i].data) < 0)
			o->items[i].address[0] = '\0';
}

/* --- for people */

static void opened_for_people(void *arg, int err, const struct keyproto_result *results,
			      unsigned count)
{
	struct opening *o = arg;

	(void)count;
	if (err == 0)
		take_results(o, results);
	o->fn(o->arg, err, o->items, err == 0 ? o->count : 0);
	opening_free(o);
}

static int note_one(void *arg, const struct store_suppression *r)
{
	return opening_add(arg, r);
}

int bounce_list_read(struct bounce_list *l, const char *customer, int64_t after,
		     bounce_list_items_fn fn, void *arg)
{
	struct opening *o = opening_new(l, customer);
	int err;

	if (!o)
		return ERR_NOMEM;
	o->fn = fn;
	o->arg = arg;
	err =
	    store_suppression_each(l->relay->store, customer, after, KEYS_FIELD_BATCH, note_one, o);
	if (err == 0 && !o->count) {
		fn(arg, 0, NULL, 0);
		opening_free(o);
		return 0;
	}
	if (err == 0)
		err = opening_ask(o, opened_for_people);
	if (err < 0)
		opening_free(o);
	return err;
}

/* --- for the table */

static int note_customer(void *arg, const char *customer)
{
	struct bounce_list *l = arg;
	char **more = realloc(l->unread, (l->unread_count + 1) * sizeof(*more));

	if (!more)
		return ERR_NOMEM;
	l->unread = more;
	l->unread[l->unread_count] = strdup(customer);
	if (!l->unread[l->unread_count])
		return ERR_NOMEM;
	l->unread_count++;
	return 0;
}

int bounce_list_load_note(struct bounce_list *l)
{
	int err = store_suppression_customers(l->relay->store, note_customer, l);

	if (err == 0 && !l->unread_count)
		atomic_store(&l->whole, 1);
	return err;
}

static void page(struct bounce_list *l);

static void whole(struct bounce_list *l)
{
	pthread_rwlock_wrlock(&l->lock);
	for (size_t i = 0; i < l->unread_count; i++)
		free(l->unread[i]);
	free(l->unread);
	l->unread = NULL;
	l->unread_count = 0;
	atomic_store_explicit(&l->whole, 1, memory_order_release);
	pthread_rwlock_unlock(&l->lock);
	l->reading = 0;
	log_event(LOG_LEVEL_INFO, NULL, "suppression-read", "n=%llu",
		  (unsigned long long)bounce_list_count(l));
	if (l->unreadable)
		log_event(LOG_LEVEL_WARN, NULL, "suppression-unreadable", "n=%llu",
			  (unsigned long long)l->unreadable);
}

static int put(struct bounce_list *l, const struct opening *o)
{
	int err = 0;

	pthread_rwlock_wrlock(&l->lock);
	for (unsigned i = 0; err == 0 && i < o->count; i++) {
		const struct bounce_list_item *it = &o->items[i];
		struct bounce_map_entry e = {
		    bounce_map_hash(&l->map, o->customer, span_str(it->address)), (uint32_t)it->id,
		    it->expires > 0 ? (uint32_t)((it->expires + CLOCK_SEC - 1) / CLOCK_SEC) : 0};
		if (it->address[0])
			err = bounce_map_put(&l->map, &e);
		else
			l->unreadable++;
	}
	atomic_store_explicit(&l->entries, l->map.count, memory_order_relaxed);
	pthread_rwlock_unlock(&l->lock);
	return err;
}

/* What says of one customer only that his addresses are lost for ever stops nobody else. */
static int is_lasting(int err)
{
	return err == ERR_NOTFOUND || err == ERR_GONE || err == ERR_AUTH || err == ERR_FORMAT;
}

static void opened(void *arg, int err, const struct keyproto_result *results, unsigned count)
{
	struct opening *o = arg;
	struct bounce_list *l = o->l;

	(void)count;
	if (err == 0) {
		take_results(o, results);
		err = put(l, o);
	} else if (is_lasting(err)) {
		l->unreadable += o->count;
		err = 0;
	}
	if (err < 0)
		l->trouble = err;
	opening_free(o);
	if (--l->pending == 0 && l->reading)
		page(l);
}

struct gather {
	struct bounce_list *l;
	struct opening *first;
	int64_t last;
};

static int gather_row(void *arg, const struct store_suppression *r)
{
	struct gather *g = arg;
	struct opening *o = g->first;

	while (o && strcmp(o->customer, r->customer) != 0)
		o = o->next;
	if (!o) {
		o = opening_new(g->l, r->customer);
		if (!o)
			return ERR_NOMEM;
		o->next = g->first;
		g->first = o;
	}
	g->last = r->id;
	return opening_add(o, r);
}

static void stopped(struct bounce_list *l)
{
	l->reading = 0;
	l->cursor = l->page;
	log_event(LOG_LEVEL_WARN, NULL, "suppression-waits", "why=\"%s\"", err_text(l->trouble));
}

/* Asks keyd about all of them, or as many as there is no trouble with. */
static void ask_all(struct bounce_list *l, struct opening *first)
{
	struct opening *next;

	for (struct opening *o = first; o; o = next) {
		next = o->next;
		if (!l->trouble)
			l->trouble = opening_ask(o, opened);
		if (l->trouble)
			opening_free(o);
		else
			l->pending++;
	}
}

/* The next rows; or the end; or, after trouble, a stop until keyd is READY anew: then from the page that failed. */
static void page(struct bounce_list *l)
{
	struct gather g = {.l = l, .last = l->cursor};

	if (!l->trouble) {
		l->page = l->cursor;
		l->trouble = store_suppression_each(l->relay->store, NULL, l->cursor,
						    KEYS_FIELD_BATCH, gather_row, &g);
		if (!g.first && !l->trouble) {
			whole(l);
			return;
		}
		l->cursor = g.last;
		ask_all(l, g.first);
	}
	if (l->trouble && !l->pending)
		stopped(l);
}

void bounce_list_load(struct bounce_list *l)
{
	if (!l || atomic_load(&l->whole) || l->reading)
		return;
	l->reading = 1;
	l->trouble = 0;
	page(l);
}
