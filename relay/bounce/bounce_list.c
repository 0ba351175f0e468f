/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/bounce/bounce_list.h"

#include <stdlib.h>
#include <strings.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/bounce/bounce_list_own.h"

#define EXPIRE_EVERY (60 * 60 * CLOCK_SEC)

static uint32_t seconds(int64_t usec)
{
	return usec <= 0 ? 0 : (uint32_t)((usec + CLOCK_SEC - 1) / CLOCK_SEC);
}

/* --- any thread */

static int is_unread(const struct bounce_list *l, const char *customer)
{
	for (size_t i = 0; i < l->unread_count; i++)
		if (!strcmp(l->unread[i], customer))
			return 1;
	return 0;
}

int bounce_list_check(struct bounce_list *l, const char *customer, struct span address)
{
	const struct bounce_map_entry *e;
	uint64_t hash;
	int whole, found;

	if (!l)
		return 0;
	whole = atomic_load_explicit(&l->whole, memory_order_acquire);
	if (whole && !atomic_load_explicit(&l->entries, memory_order_relaxed))
		return 0;
	hash = bounce_map_hash(&l->map, customer, address);
	pthread_rwlock_rdlock(&l->lock);
	e = bounce_map_find(&l->map, hash);
	found = e && (!e->expires || e->expires > seconds(clock_wall()));
	if (!found && !whole && is_unread(l, customer))
		found = ERR_BUSY;
	pthread_rwlock_unlock(&l->lock);
	return found;
}

uint64_t bounce_list_count(struct bounce_list *l)
{
	return l ? atomic_load_explicit(&l->entries, memory_order_relaxed) : 0;
}

/* --- a batch that is added */

struct adding {
	struct bounce_list *l;
	bounce_list_fn fn;
	void *arg;
	char customer[65];
	struct store_suppression row; /* what all have in common */
	unsigned count, at, added, known;
	unsigned batch[KEYS_FIELD_BATCH]; /* which are being sealed, */
	unsigned batched;
	int64_t first_row;		/* for rows from this one on */
	int64_t rows[KEYS_FIELD_BATCH]; /* of those that were really new */
	unsigned added_now;
	struct buf text; /* addresses, each with a NUL */
	const char **addresses;
};

static void adding_end(struct adding *a, int err)
{
	bounce_list_fn fn = a->fn;
	void *arg = a->arg;
	unsigned added = a->added, known = a->known;

	if (added)
		log_event(LOG_LEVEL_INFO, NULL, "suppression-added", "customer=%s n=%u reason=%s",
			  a->customer, added, store_suppression_reason_name(a->row.reason));
	buf_clear(&a->text);
	free(a->addresses);
	free(a);
	fn(arg, err, added, known);
}

static int put_in_map(struct bounce_list *l, const char *customer, const char *address,
		      const struct store_suppression *r)
{
	struct bounce_map_entry e = {bounce_map_hash(&l->map, customer, span_str(address)),
				     (uint32_t)r->id, seconds(r->expires)};
	int err;

	pthread_rwlock_wrlock(&l->lock);
	err = bounce_map_put(&l->map, &e);
	atomic_store_explicit(&l->entries, l->map.count, memory_order_relaxed);
	pthread_rwlock_unlock(&l->lock);
	return err;
}

static const struct bounce_map_entry *in_map(struct bounce_list *l, const char *customer,
					     struct span address)
{
	return bounce_map_find(&l->map, bounce_map_hash(&l->map, customer, address));
}

struct kept {
	struct store_suppression row;
};

static int note_row(void *arg, const struct store_suppression *r)
{
	struct kept *k = arg;

	k->row = *r;
	return 1;
}

/* The address is there: the new reason counts if it is as strong. */
static int change(struct adding *a, const char *address, int64_t id)
{
	struct kept k = {.row = {.id = 0}};
	int rc = store_suppression_each(a->l->relay->store, NULL, id - 1, 1, note_row, &k);

	a->known++;
	if (rc < 0 || k.row.id != id)
		return rc < 0 ? rc : ERR_NOTFOUND;
	if (k.row.reason > a->row.reason)
		return 0;
	a->row.id = id;
	rc = store_suppression_change(a->l->relay->store, &a->row);
	return rc < 0 ? rc : put_in_map(a->l, a->customer, address, &a->row);
}

static void adding_next(struct adding *a);

/* Somebody else may have added one of them while keyd sealed. */
static int store_one(struct adding *a, unsigned i, const struct keyproto_result *result)
{
	const char *address = a->addresses[a->batch[i]];
	struct store_suppression r = a->row;
	const struct bounce_map_entry *e = in_map(a->l, a->customer, span_str(address));

	if (e)
		return change(a, address, e->row);
	if (result->status)
		return keyproto_err_of_status(result->status);
	r.id = a->first_row + i;
	r.customer = a->customer;
	r.address = result->data;
	a->batch[a->added_now++] = a->batch[i];
	a->rows[a->added_now - 1] = r.id;
	return store_suppression_add(a->l->relay->store, &r);
}

static int store_batch(struct adding *a, const struct keyproto_result *results)
{
	struct store *s = a->l->relay->store;
	int err = store_begin(s);

	a->added_now = 0;
	for (unsigned i = 0; err == 0 && i < a->batched; i++)
		err = store_one(a, i, &results[i]);
	if (err == 0)
		err = store_commit(s);
	else
		store_rollback(s);
	return err;
}

static void sealed(void *arg, int err, const struct keyproto_result *results, unsigned count)
{
	struct adding *a = arg;

	(void)count;
	if (err == 0)
		err = store_batch(a, results);
	for (unsigned i = 0; err == 0 && i < a->added_now; i++) {
		a->row.id = a->rows[i];
		err = put_in_map(a->l, a->customer, a->addresses[a->batch[i]], &a->row);
		a->added += err == 0;
	}
	if (err < 0)
		adding_end(a, err);
	else
		adding_next(a);
}

static int seal_batch(struct adding *a)
{
	struct keyproto_field items[KEYS_FIELD_BATCH];
	size_t ends[KEYS_FIELD_BATCH], from = 0;
	struct buf aads;
	int err = 0;

	buf_init(&aads, 65536);
	for (unsigned i = 0; err == 0 && i < a->batched; i++) {
		err = store_aad(a->l->relay->store, &aads, a->customer, "suppression", "address",
				a->first_row + i);
		ends[i] = buf_size(&aads);
	}
	for (unsigned i = 0; err == 0 && i < a->batched; i++) {
		items[i].aad = span_sub(buf_span(&aads), from, ends[i] - from);
		items[i].data = span_str(a->addresses[a->batch[i]]);
		from = ends[i];
	}
	if (err == 0)
		err = keys_field_seal(a->l->relay->keyd, KEYPROTO_FOR_FIELD, a->customer, items,
				      a->batched, sealed, a);
	buf_clear(&aads);
	return err;
}

/* Picks the next batch; what is there already is changed at once. */
static int pick_batch(struct adding *a)
{
	int err = store_begin(a->l->relay->store);

	a->batched = 0;
	while (err == 0 && a->at < a->count && a->batched < KEYS_FIELD_BATCH) {
		const char *address = a->addresses[a->at];
		const struct bounce_map_entry *e = in_map(a->l, a->customer, span_str(address));
		int twice = 0;
		for (unsigned i = 0; i < a->batched; i++)
			twice |= !strcasecmp(a->addresses[a->batch[i]], address);
		if (twice)
			a->known++;
		else if (e)
			err = change(a, address, e->row);
		else
			a->batch[a->batched++] = a->at;
		a->at++;
	}
	if (err == 0)
		return store_commit(a->l->relay->store);
	store_rollback(a->l->relay->store);
	return err;
}

static void adding_next(struct adding *a)
{
	int err = pick_batch(a);

	if (err == 0 && a->batched) {
		a->first_row = a->l->next_row;
		a->l->next_row += a->batched;
		err = seal_batch(a);
		if (err == 0)
			return;
	}
	adding_end(a, err);
}

static struct adding *adding_new(struct bounce_list *l, const char *customer,
				 const struct span *addresses, unsigned count)
{
	struct adding *a = calloc(1, sizeof(*a));
	size_t at = 0;

	if (!a)
		return NULL;
	buf_init_wiped(&a->text, count * (size_t)320);
	a->addresses = calloc(count, sizeof(*a->addresses));
	for (unsigned i = 0; i < count && a->addresses; i++) {
		buf_put_span(&a->text, addresses[i]);
		buf_put(&a->text, "", 1);
	}
	if (!a->addresses || buf_failed(&a->text)) {
		buf_clear(&a->text);
		free(a->addresses);
		free(a);
		return NULL;
	}
	for (unsigned i = 0; i < count; i++) {
		a->addresses[i] = (const char *)buf_ptr(&a->text) + at;
		at += addresses[i].n + 1;
	}
	a->l = l;
	a->count = count;
	strncpy(a->customer, customer, sizeof(a->customer) - 1);
	return a;
}

int bounce_list_add(struct bounce_list *l, const char *customer, const struct span *addresses,
		    unsigned count, int reason, int64_t expires, bounce_list_fn fn, void *arg)
{
	struct adding *a;

	if (!atomic_load(&l->whole))
		return ERR_BUSY;
	if (!count || count > BOUNCE_LIST_BATCH)
		return ERR_LIMIT;
	a = adding_new(l, customer, addresses, count);
	if (!a)
		return ERR_NOMEM;
	a->fn = fn;
	a->arg = arg;
	a->row = (struct store_suppression){
	    .reason = reason, .created = clock_wall(), .expires = expires};
	adding_next(a);
	return 0;
}

int bounce_list_remove(struct bounce_list *l, const char *customer, const struct span *addresses,
		       unsigned count)
{
	unsigned gone = 0;
	int err;

	if (!atomic_load(&l->whole))
		return ERR_BUSY;
	err = store_begin(l->relay->store);
	for (unsigned i = 0; err == 0 && i < count; i++) {
		const struct bounce_map_entry *e = in_map(l, customer, addresses[i]);
		if (!e)
			continue;
		err = store_suppression_remove(l->relay->store, e->row);
		if (err == ERR_NOTFOUND) /* named twice */
			err = 0;
	}
	if (err == 0)
		err = store_commit(l->relay->store);
	else
		store_rollback(l->relay->store);
	if (err < 0)
		return err;
	pthread_rwlock_wrlock(&l->lock);
	for (unsigned i = 0; i < count; i++) {
		size_t before = l->map.count;
		bounce_map_remove(&l->map, bounce_map_hash(&l->map, customer, addresses[i]));
		gone += before != l->map.count;
	}
	atomic_store_explicit(&l->entries, l->map.count, memory_order_relaxed);
	pthread_rwlock_unlock(&l->lock);
	if (gone)
		log_event(LOG_LEVEL_INFO, NULL, "suppression-removed", "customer=%s n=%u", customer,
			  gone);
	return (int)gone;
}

/* --- life */

static void expire(void *arg)
{
	struct bounce_list *l = arg;
	int64_t now = clock_wall(), n = store_suppression_expire(l->relay->store, now);

	if (n > 0) {
		pthread_rwlock_wrlock(&l->lock);
		bounce_map_expire(&l->map, seconds(now));
		atomic_store_explicit(&l->entries, l->map.count, memory_order_relaxed);
		pthread_rwlock_unlock(&l->lock);
		log_event(LOG_LEVEL_INFO, NULL, "suppression-expired", "n=%lld", (long long)n);
	}
	evt_timer_set(&l->expire, EXPIRE_EVERY);
}

static int open_list(struct relay *r, const char **why)
{
	struct bounce_list *l = calloc(1, sizeof(*l));
	int err;

	*why = "suppressed recipients";
	if (!l)
		return ERR_NOMEM;
	l->relay = r;
	pthread_rwlock_init(&l->lock, NULL);
	bounce_map_init(&l->map);
	evt_timer_init(&l->expire, r->loop, expire, l);
	r->suppressed = l;
	l->next_row = store_suppression_last(r->store);
	err = l->next_row < 0 ? (int)l->next_row++ : bounce_list_load_note(l);
	l->next_row++;
	if (err == 0)
		expire(l);
	return err;
}

static void keyd_changed(struct relay *r, unsigned state)
{
	if (state == KEYPROTO_READY)
		bounce_list_load(r->suppressed);
}

static void close_list(struct relay *r)
{
	struct bounce_list *l = r->suppressed;

	if (!l)
		return;
	r->suppressed = NULL;
	evt_timer_clear(&l->expire);
	bounce_map_clear(&l->map);
	for (size_t i = 0; i < l->unread_count; i++)
		free(l->unread[i]);
	free(l->unread);
	pthread_rwlock_destroy(&l->lock);
	free(l);
}

const struct relay_control_part bounce_list_part = {open_list, keyd_changed, close_list};
