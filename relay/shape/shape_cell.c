/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "relay/shape/shape_own.h"

static uint32_t hash_of(const struct shape_origin *o, struct span site, const char *rule)
{
	uint64_t h = (uint64_t)(uintptr_t)o * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < site.n; i++)
		h = (h ^ site.p[i]) * UINT64_C(0x100000001b3);
	for (; *rule; rule++)
		h = (h ^ (uint8_t)*rule) * UINT64_C(0x100000001b3);
	return (uint32_t)(h ^ h >> 32);
}

struct shape_cell *shape_cell_find(struct shape *s, const struct shape_origin *o, struct span site,
				   const char *rule)
{
	uint32_t hash = hash_of(o, site, rule);
	struct shape_cell *c = s->buckets[hash % SHAPE_BUCKETS];

	while (c && (c->hash != hash || c->origin != o || !span_equal(span_str(c->site), site) ||
		     strcmp(c->rule, rule) != 0))
		c = c->next;
	return c;
}

void shape_cell_lane_unref(struct shape_lane *l)
{
	if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	l->cell->users--;
	shape_set_unref(l->set);
	free(l);
}

void shape_cell_free(struct shape_cell *c)
{
	shape_state_clear(&c->state);
	free(c);
}

/* The cell knows nothing that a new one would not know, and nobody has it. */
static int forgettable(const struct shape *s, const struct shape_cell *c, int64_t now)
{
	int64_t unused = now - c->used;

	if (c->jobs || c->suspended || c->users > (c->lane ? 1u : 0u) ||
	    (c->lane && atomic_load(&c->lane->refs) > 1))
		return 0;
	if (c->warm_sent && unused < SHAPE_LONG)
		return 0;
	return unused > (s->cells > SHAPE_CELLS_FULL ? SHAPE_BRIEF : SHAPE_LONG) &&
	       shape_state_idle(&c->state, now);
}

/* Looks at a few buckets whenever a cell is made: as many go as come, in time. */
static void sweep(struct shape *s, int64_t now)
{
	for (int i = 0; i < 4; i++) {
		struct shape_cell **at = &s->buckets[s->sweep++ % SHAPE_BUCKETS];
		while (*at) {
			struct shape_cell *c = *at;
			if (!forgettable(s, c, now)) {
				at = &c->next;
				continue;
			}
			*at = c->next;
			shape_cell_lane_unref(c->lane);
			if (c->base != c)
				c->base->users--;
			shape_cell_free(c);
			s->cells--;
		}
	}
}

static struct shape_cell *make(struct shape *s, struct shape_origin *o, struct span site,
			       const char *rule, int64_t now)
{
	size_t rule_size = strlen(rule) + 1;
	struct shape_cell *c = calloc(1, sizeof(*c) + site.n + 1 + rule_size);
	struct shape_cell **bucket;

	if (!c)
		return NULL;
	memcpy(c->site, site.p, site.n);
	memcpy(c->site + site.n + 1, rule, rule_size);
	c->rule = c->site + site.n + 1;
	c->origin = o;
	c->base = c;
	c->used = now;
	c->hash = hash_of(o, site, rule);
	bucket = &s->buckets[c->hash % SHAPE_BUCKETS];
	c->next = *bucket;
	*bucket = c;
	s->cells++;
	shape_state_init(&c->state, &s->set->defaults);
	return c;
}

struct shape_cell *shape_cell_get(struct shape *s, struct shape_origin *o, struct span site,
				  const char *rule, int64_t now)
{
	struct shape_cell *c = shape_cell_find(s, o, site, rule), *base = NULL;

	if (c)
		return c;
	sweep(s, now);
	if (*rule) {
		base = shape_cell_get(s, o, site, "", now);
		if (!base)
			return NULL;
		base->used = now;
	}
	c = make(s, o, site, rule, now);
	if (c && base) {
		c->base = base;
		base->users++;
	}
	return c;
}

struct shape_lane *shape_cell_lane(struct shape *s, struct shape_cell *c, unsigned source,
				   const struct shape_rule *by_domain)
{
	struct shape_lane *l = c->lane;
	int fresh = !l && !c->state.open && c->state.adapt.good == 0 && !c->sent;

	if (l && l->set == s->set) {
		atomic_fetch_add(&l->refs, 1);
		return l;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	if (c->lane) {
		shape_cell_lane_unref(c->lane);
		shape_state_forget_hits(&c->state); /* their patterns may have changed */
	}
	atomic_init(&l->refs, 2); /* the cell's and the caller's */
	atomic_fetch_add(&s->set->refs, 1);
	l->set = s->set;
	l->cell = c;
	l->source = source;
	l->rule = by_domain ? by_domain
			    : shape_rules_host(s->set->rules, shape_rule_host(span_str(c->site)));
	l->limits = shape_rules_limits(s->set->rules, l->rule, &s->set->defaults);
	if (fresh)
		shape_adapt_init(&c->state.adapt, (unsigned)l->limits.start,
				 (unsigned)l->limits.connections);
	c->lane = l;
	c->users++;
	return l;
}

void shape_cell_free_all(struct shape *s)
{
	for (unsigned i = 0; s->buckets && i < SHAPE_BUCKETS; i++)
		while (s->buckets[i]) {
			struct shape_cell *c = s->buckets[i];
			s->buckets[i] = c->next;
			if (c->lane)
				shape_set_unref(c->lane->set);
			free(c->lane);
			shape_cell_free(c);
		}
}
