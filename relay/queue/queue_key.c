/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/rand.h"
#include "relay/queue/queue_priv.h"

#define IDLE_KEEP (600 * CLOCK_SEC)
#define IDLE_MAX  10000

int queue_key_init(struct queue *q)
{
	uint64_t seed = rand_u64();

	list_init(&q->idle);
	list_init(&q->lone);
	list_init(&q->unused);
	list_init(&q->asking);
	list_init(&q->rules);
	if (queue_table_init(&q->names, seed) < 0 || queue_table_init(&q->domains, seed) < 0 ||
	    queue_table_init(&q->sites, seed) < 0 || queue_table_init(&q->shares, seed) < 0 ||
	    queue_table_init(&q->lines, seed) < 0 || queue_table_init(&q->strands, seed) < 0)
		return ERR_NOMEM;
	return 0;
}

/* --- names */

struct queue_name *queue_key_name(struct queue *q, const char *text)
{
	size_t n = strlen(text);
	uint32_t hash = queue_table_hash(&q->names, text, n);
	struct queue_name *name;

	for (struct queue_node *k = queue_table_first(&q->names, hash); k; k = k->chain) {
		name = (struct queue_name *)k;
		if (k->hash == hash && !strcmp(name->text, text)) {
			name->refs++;
			return name;
		}
	}
	name = malloc(sizeof(*name) + n + 1);
	if (!name)
		return NULL;
	name->refs = 1;
	memcpy(name->text, text, n + 1);
	queue_table_add(&q->names, &name->node, hash);
	return name;
}

void queue_key_name_unref(struct queue *q, struct queue_name *n)
{
	if (!n || --n->refs)
		return;
	queue_table_remove(&q->names, &n->node);
	free(n);
}

/* --- domains */

static void domain_free(struct queue *q, struct queue_domain *d)
{
	queue_table_remove(&q->domains, &d->node);
	queue_sched_remove(&q->lookups, &d->timer);
	if (list_linked(&d->link))
		list_remove(&d->link);
	queue_key_reply_unref(d->reply);
	queue_key_name_unref(q, d->site);
	free(d);
}

static struct queue_domain *domain_new(struct queue *q, const char *name, size_t n, uint32_t hash)
{
	struct queue_domain *d;

	/* for the worst case: putting one to rest cannot fail */
	if (queue_sched_reserve(&q->lookups, q->domains.count + 1) < 0)
		return NULL;
	d = calloc(1, sizeof(*d) + n + 1);
	if (!d)
		return NULL;
	list_init(&d->strands);
	d->timer = QUEUE_SCHED_OUT;
	memcpy(d->name, name, n + 1);
	queue_table_add(&q->domains, &d->node, hash);
	queue_key_domain_lone(q, d);
	return d;
}

struct queue_domain *queue_key_domain(struct queue *q, const char *name)
{
	size_t n = strlen(name);
	uint32_t hash = queue_table_hash(&q->domains, name, n);

	for (struct queue_node *k = queue_table_first(&q->domains, hash); k; k = k->chain)
		if (k->hash == hash && !strcmp(((struct queue_domain *)k)->name, name))
			return (struct queue_domain *)k;
	return domain_new(q, name, n, hash);
}

/* While a worker looks it up it is in no list, and comes here again when that is back. */
void queue_key_domain_lone(struct queue *q, struct queue_domain *d)
{
	if (!list_empty(&d->strands) || d->lone_since || d->state == QUEUE_ASKING)
		return;
	if (list_linked(&d->link))
		list_remove(&d->link);
	d->lone_since = q->now;
	list_push_back(&q->lone, &d->link);
	q->lone_count++;
}

/* --- sites */

static void site_free(struct queue *q, struct queue_site *s)
{
	queue_table_remove(&q->sites, &s->node);
	queue_sched_remove(&q->backoffs, &s->timer);
	if (list_linked(&s->run))
		list_remove(&s->run);
	queue_key_reply_unref(s->reply);
	queue_key_name_unref(q, s->name);
	queue_key_name_unref(q, s->way);
	free(s);
}

static struct queue_site *site_new(struct queue *q, struct queue_name *name, struct queue_name *way,
				   const char *pool, uint32_t hash)
{
	size_t slots = (size_t)q->workers * sizeof(struct queue_slot), n = strlen(pool) + 1;
	struct queue_site *s;

	if (queue_sched_reserve(&q->backoffs, q->sites.count + 1) < 0)
		return NULL;
	s = calloc(1, sizeof(*s) + slots + n);
	if (!s)
		return NULL;
	s->name = name;
	s->way = way;
	s->pool = memcpy((char *)s->slots + slots, pool, n);
	list_init(&s->turn);
	list_init(&s->lines);
	s->timer = QUEUE_SCHED_OUT;
	queue_table_add(&q->sites, &s->node, hash);
	queue_key_site_idle(q, s);
	return s;
}

struct queue_site *queue_key_site(struct queue *q, const char *name, const char *pool,
				  const char *credential, int tls)
{
	struct queue_name *n, *way;
	struct queue_site *s = NULL;
	char text[512];
	uint32_t hash;

	snprintf(text, sizeof(text), "%s %s %d", pool, credential, tls);
	n = queue_key_name(q, name);
	way = n ? queue_key_name(q, text) : NULL;
	if (!way) {
		queue_key_name_unref(q, n);
		return NULL;
	}
	hash = queue_table_hash(&q->sites, (const void *[]){n, way}, 2 * sizeof(void *));
	for (struct queue_node *k = queue_table_first(&q->sites, hash); k && !s; k = k->chain)
		if (((struct queue_site *)k)->name == n && ((struct queue_site *)k)->way == way)
			s = (struct queue_site *)k;
	if (!s && (s = site_new(q, n, way, pool, hash)))
		return s;
	queue_key_name_unref(q, n);
	queue_key_name_unref(q, way);
	return s;
}

void queue_key_site_idle(struct queue *q, struct queue_site *s)
{
	if (!list_empty(&s->lines) || s->out || s->idle_since)
		return;
	if (list_linked(&s->run))
		list_remove(&s->run);
	s->idle_since = q->now ? q->now : 1;
	list_push_back(&q->idle, &s->run);
	q->idle_count++;
}

void queue_key_site_used(struct queue *q, struct queue_site *s)
{
	if (!s->idle_since)
		return;
	list_remove(&s->run);
	s->idle_since = 0;
	q->idle_count--;
}

/* --- what nobody needs any more */

void queue_key_prune(struct queue *q)
{
	struct list_link *l;

	while ((l = list_first(&q->idle))) {
		struct queue_site *s = list_entry(l, struct queue_site, run);
		if (q->idle_count <= IDLE_MAX && q->now - s->idle_since < IDLE_KEEP)
			break;
		q->idle_count--;
		site_free(q, s);
	}
	while ((l = list_first(&q->lone))) {
		struct queue_domain *d = list_entry(l, struct queue_domain, link);
		if (q->lone_count <= IDLE_MAX && q->now - d->lone_since < IDLE_KEEP)
			break;
		q->lone_count--;
		domain_free(q, d);
	}
}

static void clear(struct queue *q, struct queue_table *t,
		  void (*free_one)(struct queue *q, struct queue_node *n))
{
	for (uint32_t i = 0; i < t->room; i++)
		while (t->buckets[i])
			free_one(q, t->buckets[i]);
	queue_table_clear(t);
}

static void clear_strand(struct queue *q, struct queue_node *n)
{
	queue_strand_free(q, (struct queue_strand *)n);
}

static void clear_domain(struct queue *q, struct queue_node *n)
{
	domain_free(q, (struct queue_domain *)n);
}

static void clear_site(struct queue *q, struct queue_node *n)
{
	site_free(q, (struct queue_site *)n);
}

void queue_key_clear(struct queue *q)
{
	queue_strand_clear(q);
	clear(q, &q->strands, clear_strand);
	queue_table_clear(&q->lines); /* they went with their strands */
	queue_table_clear(&q->shares);
	clear(q, &q->domains, clear_domain);
	clear(q, &q->sites, clear_site);
	queue_table_clear(&q->names);
}

/* --- replies */

struct queue_reply *queue_key_reply(struct queue_domain *d, const char *text)
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
	r->refs = 2; /* the caller's and the domain's */
	queue_key_reply_unref(d->reply);
	d->reply = r;
	return r;
}

void queue_key_reply_unref(struct queue_reply *r)
{
	if (r && --r->refs == 0)
		free(r);
}
