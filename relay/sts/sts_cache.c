/* SPDX-License-Identifier: Apache-2.0 */
#include <search.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/rand.h"
#include "relay/sts/sts_own.h"

#define DAY	    (24 * 3600 * CLOCK_SEC)
#define SHORTEST    (5 * CLOCK_SEC) /* a policy's least life: else each mail would fetch it */
#define ENTRY_EXTRA 512

static int by_domain(const void *a, const void *b)
{
	return strcmp(((const struct sts_entry *)a)->domain, ((const struct sts_entry *)b)->domain);
}

static uint64_t octets_of(const struct sts_policy *p)
{
	return p ? 2 * p->size + ENTRY_EXTRA : 0;
}

static void note_change(struct sts *s, const char *domain, const struct sts_policy *p)
{
	size_t n = strlen(domain) + 1;
	struct sts_change *c = malloc(sizeof(*c) + n);

	if (!c)
		return; /* it is fetched again after a restart */
	c->policy = sts_policy_ref(p);
	memcpy(c->domain, domain, n);
	list_push_back(&s->changes, &c->link);
}

struct sts_entry *sts_cache_find(struct sts *s, const char *domain)
{
	struct sts_entry like = {.domain = (char *)domain};
	struct sts_entry **at = tfind(&like, &s->tree, by_domain);

	return at ? *at : NULL;
}

static void detach(struct sts *s, struct sts_entry *e)
{
	list_remove(&e->order);
	s->octets -= octets_of(e->policy);
	if (e->policy)
		s->policy_count--;
	else
		s->other_count--;
}

static void attach(struct sts *s, struct sts_entry *e)
{
	list_push_back(e->policy ? &s->policies : &s->others, &e->order);
	s->octets += octets_of(e->policy);
	if (e->policy)
		s->policy_count++;
	else
		s->other_count++;
}

static void remove_entry(struct sts *s, struct sts_entry *e)
{
	detach(s, e);
	tdelete(e, &s->tree, by_domain);
	sts_policy_unref(e->policy);
	free(e->domain);
	free(e);
}

/* The first that nothing is under way for, but not keep. */
static struct sts_entry *oldest(struct list *l, const struct sts_entry *keep)
{
	list_each(e, l, struct sts_entry, order)
		if (!e->look && e != keep)
			return e;
	return NULL;
}

static void make_room(struct sts *s, const struct sts_entry *keep)
{
	struct sts_entry *e;

	while (s->other_count > STS_OTHERS && (e = oldest(&s->others, keep)))
		remove_entry(s, e);
	while ((s->policy_count > STS_DOMAINS || s->octets > STS_OCTETS) &&
	       (e = oldest(&s->policies, keep))) {
		note_change(s, e->domain, NULL);
		remove_entry(s, e);
	}
}

static struct sts_entry *add(struct sts *s, const char *domain)
{
	struct sts_entry *e = calloc(1, sizeof(*e));

	if (!e || !(e->domain = strdup(domain)) || !tsearch(e, &s->tree, by_domain)) {
		if (e)
			free(e->domain);
		free(e);
		return NULL;
	}
	list_init(&e->waiters);
	attach(s, e);
	make_room(s, e);
	return e;
}

struct sts_entry *sts_cache_use(struct sts *s, const char *domain)
{
	struct sts_entry *e = sts_cache_find(s, domain);

	if (!e)
		e = add(s, domain);
	if (e) {
		list_remove(&e->order);
		list_push_back(e->policy ? &s->policies : &s->others, &e->order);
		e->used = clock_wall();
	}
	return e;
}

/* Daily, or twice in a short life; spread, so that what came together does not stay together. */
static int64_t due_at(const struct sts_policy *p)
{
	int64_t life = p->max_age * CLOCK_SEC / 2;

	if (life > DAY)
		life = DAY;
	return p->fetched + life - (int64_t)(rand_u64() % (uint64_t)(life / 8 + 1));
}

void sts_cache_put(struct sts *s, struct sts_entry *e, struct sts_policy *p, int keep)
{
	struct sts_policy *old = e->policy;

	detach(s, e);
	e->policy = p;
	e->due = p ? due_at(p) : 0;
	attach(s, e);
	sts_policy_unref(old);
	if (keep)
		note_change(s, e->domain, p);
	make_room(s, e);
}

const struct sts_policy *sts_cache_policy(struct sts *s, struct sts_entry *e)
{
	int64_t now = clock_wall();

	if (!e->policy || now < e->policy->expires || now < e->policy->fetched + SHORTEST)
		return e->policy;
	if (e->policy->mode != STS_NONE)
		log_event(LOG_LEVEL_WARN, NULL, "sts-expired", "domain=%s mode=%s", e->domain,
			  sts_mode_name(e->policy->mode));
	sts_cache_put(s, e, NULL, 1);
	e->known_until = 0;
	return NULL;
}

void sts_cache_clear(struct sts *s)
{
	while (!list_empty(&s->policies))
		remove_entry(s, list_entry(list_first(&s->policies), struct sts_entry, order));
	while (!list_empty(&s->others))
		remove_entry(s, list_entry(list_first(&s->others), struct sts_entry, order));
	while (!list_empty(&s->changes)) {
		struct sts_change *c =
		    list_entry(list_pop_front(&s->changes), struct sts_change, link);
		sts_policy_unref(c->policy);
		free(c);
	}
}
