/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/rand.h"
#include "relay/queue/queue_priv.h"

#define IDLE_KEEP (600 * CLOCK_SEC)
#define IDLE_MAX  10000

/* Keyed with a random seed: who chooses domains must not choose buckets. */
static uint32_t hash_name(const struct queue *q, const char *name, size_t n)
{
	uint64_t h = q->seed ^ n;

	while (n) {
		uint64_t word = 0;
		size_t take = n < 8 ? n : 8;
		__uint128_t wide;
		memcpy(&word, name, take);
		wide = (__uint128_t)(h ^ word) * (UINT64_C(0xa0761d6478bd642f) ^ q->seed << 1);
		h = (uint64_t)wide ^ (uint64_t)(wide >> 64) ^ q->seed;
		name += take;
		n -= take;
	}
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

void queue_key_init(struct queue *q)
{
	q->seed = rand_u64() | 1;
	list_init(&q->idle);
}

static void dest_free(struct queue *q, struct queue_dest *d)
{
	queue_sched_remove(&q->backoffs, &d->timer);
	if (list_linked(&d->run))
		list_remove(&d->run);
	queue_key_reply_unref(d->reply);
	q->dest_count--;
	free(d);
}

void queue_key_clear(struct queue *q)
{
	for (uint32_t i = 0; i < q->bucket_count; i++)
		while (q->buckets[i]) {
			struct queue_dest *d = q->buckets[i];
			q->buckets[i] = d->chain;
			dest_free(q, d);
		}
	free(q->buckets);
	q->buckets = NULL;
	q->bucket_count = 0;
}

/* Twice as many buckets. If there is no memory for them, chains grow instead. */
static void grow(struct queue *q)
{
	uint32_t count = q->bucket_count ? 2 * q->bucket_count : QUEUE_BUCKETS_MIN;
	struct queue_dest **more = calloc(count, sizeof(*more));

	if (!more)
		return;
	for (uint32_t i = 0; i < q->bucket_count; i++)
		while (q->buckets[i]) {
			struct queue_dest *d = q->buckets[i];
			q->buckets[i] = d->chain;
			d->chain = more[d->hash & (count - 1)];
			more[d->hash & (count - 1)] = d;
		}
	free(q->buckets);
	q->buckets = more;
	q->bucket_count = count;
}

static struct queue_dest *dest_new(struct queue *q, const char *name, size_t n, uint32_t hash)
{
	size_t slots = (size_t)q->workers * sizeof(struct queue_slot);
	struct queue_dest *d;

	/* for the worst case, all of them in back-off: putting one there cannot fail */
	if (queue_sched_reserve(&q->backoffs, q->dest_count + 1) < 0)
		return NULL;
	d = calloc(1, sizeof(*d) + slots + n + 1);
	if (!d)
		return NULL;
	list_init(&d->ready);
	d->timer = QUEUE_SCHED_OUT;
	d->hash = hash;
	d->slots = (struct queue_slot *)(d + 1);
	d->name = (char *)(d + 1) + slots;
	memcpy(d->name, name, n + 1);
	d->chain = q->buckets[hash & (q->bucket_count - 1)];
	q->buckets[hash & (q->bucket_count - 1)] = d;
	q->dest_count++;
	queue_key_dest_idle(q, d);
	return d;
}

struct queue_dest *queue_key_dest(struct queue *q, const char *name)
{
	size_t n = strlen(name);
	uint32_t hash = hash_name(q, name, n);

	if (q->dest_count >= q->bucket_count)
		grow(q);
	if (!q->bucket_count)
		return NULL;
	for (struct queue_dest *d = q->buckets[hash & (q->bucket_count - 1)]; d; d = d->chain)
		if (d->hash == hash && !strcmp(d->name, name))
			return d;
	return dest_new(q, name, n, hash);
}

void queue_key_dest_idle(struct queue *q, struct queue_dest *d)
{
	if (list_linked(&d->run))
		list_remove(&d->run);
	d->idle_since = q->now;
	list_push_back(&q->idle, &d->run);
	q->idle_count++;
}

void queue_key_dest_used(struct queue *q, struct queue_dest *d)
{
	list_remove(&d->run);
	q->idle_count--;
}

static void forget(struct queue *q, struct queue_dest *d)
{
	struct queue_dest **at = &q->buckets[d->hash & (q->bucket_count - 1)];

	while (*at != d)
		at = &(*at)->chain;
	*at = d->chain;
	q->idle_count--;
	dest_free(q, d);
}

void queue_key_prune(struct queue *q)
{
	struct list_link *l;

	while ((l = list_first(&q->idle))) {
		struct queue_dest *d = list_entry(l, struct queue_dest, run);
		if (q->idle_count <= IDLE_MAX && q->now - d->idle_since < IDLE_KEEP)
			return;
		forget(q, d);
	}
}

struct queue_customer *queue_key_customer(struct queue *q, const char *name)
{
	size_t n = strlen(name);
	struct queue_customer **bucket =
	    &q->customers[hash_name(q, name, n) & (QUEUE_BUCKETS_MIN - 1)];
	struct queue_customer *c;

	for (c = *bucket; c; c = c->chain)
		if (!strcmp(c->name, name)) {
			c->refs++;
			return c;
		}
	c = malloc(sizeof(*c) + n + 1);
	if (!c)
		return NULL;
	c->refs = 1;
	memcpy(c->name, name, n + 1);
	c->chain = *bucket;
	*bucket = c;
	return c;
}

void queue_key_customer_unref(struct queue *q, struct queue_customer *c)
{
	struct queue_customer **at;

	if (!c || --c->refs)
		return;
	at = &q->customers[hash_name(q, c->name, strlen(c->name)) & (QUEUE_BUCKETS_MIN - 1)];
	while (*at != c)
		at = &(*at)->chain;
	*at = c->chain;
	free(c);
}

struct queue_reply *queue_key_reply(struct queue_dest *d, const char *text)
{
	size_t n = strnlen(text, QUEUE_REPLY_KEEP);
	struct queue_reply *r;

	if (n == 0)
		return NULL;
	if (d->reply && strlen(d->reply->text) == n && !memcmp(d->reply->text, text, n)) {
		d->reply->refs++;
		return d->reply;
	}
	r = malloc(sizeof(*r) + n + 1);
	if (!r)
		return NULL;
	memcpy(r->text, text, n);
	r->text[n] = '\0';
	r->refs = 2; /* the caller's and the destination's */
	queue_key_reply_unref(d->reply);
	d->reply = r;
	return r;
}

void queue_key_reply_unref(struct queue_reply *r)
{
	if (r && --r->refs == 0)
		free(r);
}
