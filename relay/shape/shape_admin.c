/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators see and order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "relay/shape/shape_own.h"

#define BUCKETS_AT_ONCE 64

static int order(const struct shape_seen *a, const struct shape_seen *b)
{
	int n = strcmp(a->source, b->source);

	if (n == 0)
		n = strcmp(a->site, b->site);
	return n ? n : strcmp(a->rule, b->rule);
}

static int by_name(const void *a, const void *b)
{
	return order(a, b);
}

/* The first max by name: a heap with the last of them on top. */
struct collection {
	int behind; /* after counts */
	struct shape_seen after;
	const char *site;
	struct shape_seen *out;
	size_t count, max;
};

static void sift_down(struct shape_seen *heap, size_t n)
{
	for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
		struct shape_seen keep;
		if (child + 1 < n && order(&heap[child + 1], &heap[child]) > 0)
			child++;
		if (order(&heap[i], &heap[child]) >= 0)
			return;
		keep = heap[i];
		heap[i] = heap[child];
		heap[child] = keep;
	}
}

static void sift_up(struct shape_seen *heap, size_t i)
{
	while (i && order(&heap[i], &heap[(i - 1) / 2]) > 0) {
		struct shape_seen keep = heap[i];
		heap[i] = heap[(i - 1) / 2];
		heap[(i - 1) / 2] = keep;
		i = (i - 1) / 2;
	}
}

static void collect(struct collection *k, const struct shape_seen *seen)
{
	if (k->behind && order(seen, &k->after) <= 0)
		return;
	if (k->count < k->max) {
		k->out[k->count] = *seen;
		sift_up(k->out, k->count++);
	} else if (k->max && order(seen, &k->out[0]) < 0) {
		k->out[0] = *seen;
		sift_down(k->out, k->count);
	}
}

static const struct shape_set_source *source_of(const struct shape *s, const struct shape_origin *o)
{
	for (unsigned i = 0; i < s->set->source_count; i++)
		if (s->set->sources[i].origin == o)
			return &s->set->sources[i];
	return NULL;
}

static void see_rest(const struct shape_cell *c, int64_t now, struct shape_seen *to)
{
	if (c->origin->suspended || c->base->suspended) {
		to->until = SHAPE_NEVER;
		snprintf(to->why, sizeof(to->why), "administrator");
	} else if (now < c->state.rest_until) {
		to->until = c->state.rest_until;
		snprintf(to->why, sizeof(to->why), "%s", c->state.rest_name);
	}
	if (now < c->state.slow_until) {
		to->slow_until = c->state.slow_until;
		if (!to->until)
			snprintf(to->why, sizeof(to->why), "%s", c->state.slow_name);
	}
}

/* Only there as the base of others, or for what is over. */
static int silent(const struct shape_cell *c, int64_t now)
{
	return !c->lane && !c->suspended && !c->warm_sent && now >= c->state.rest_until &&
	       now >= c->state.slow_until;
}

static void see(struct shape *s, struct shape_cell *c, int64_t now, struct shape_seen *to)
{
	const struct shape_set_source *source = source_of(s, c->origin);
	const struct shape_lane *l = c->lane;
	struct shape_rule_limits limits =
	    l ? l->limits : shape_rules_limits(s->set->rules, NULL, &s->set->defaults);
	int64_t ends;

	*to = (struct shape_seen){.jobs = c->jobs,
				  .connections = c->state.open,
				  .limit = shape_state_limit(&c->state, &limits, now),
				  .limit_max = (unsigned)limits.connections,
				  .sent = c->sent,
				  .refused = c->refused};
	snprintf(to->source, sizeof(to->source), "%s", c->origin->name);
	snprintf(to->site, sizeof(to->site), "%s", c->site);
	snprintf(to->rule, sizeof(to->rule), "%s", *c->rule ? c->rule : l && l->rule ? l->rule->name : "");
	num_format_rate(to->rate, shape_state_pace(&c->state, &limits, now));
	see_rest(c, now, to);
	if (source && source->warm) {
		shape_warmup_left(c, source->warm, now, &ends);
		to->warm_sent = c->base->warm_sent;
		to->warm_limit = shape_warm_limit(source->warm, c->base->warm_day);
		if (to->warm_limit == SHAPE_WARM_ALL)
			to->warm_limit = 0;
	}
}

static void collect_sources(struct shape *s, struct collection *k)
{
	for (const struct shape_origin *o = s->origins; o && !k->site; o = o->next) {
		struct shape_seen seen = {.until = SHAPE_NEVER, .why = "administrator"};
		if (!o->suspended)
			continue;
		snprintf(seen.source, sizeof(seen.source), "%s", o->name);
		collect(k, &seen);
	}
}

size_t shape_list(struct shape *s, const struct shape_list_from *from, int64_t now, struct shape_seen *out,
		  size_t max)
{
	struct collection k = {.behind = from->source != NULL, .site = from->only_site, .out = out, .max = max};
	struct shape_seen seen;

	snprintf(k.after.source, sizeof(k.after.source), "%s", from->source ? from->source : "");
	snprintf(k.after.site, sizeof(k.after.site), "%s", from->site ? from->site : "");
	snprintf(k.after.rule, sizeof(k.after.rule), "%s", from->rule ? from->rule : "");
	pthread_mutex_lock(&s->lock);
	collect_sources(s, &k);
	for (unsigned i = 0; i < SHAPE_BUCKETS; i++) {
		for (struct shape_cell *c = s->buckets[i]; c; c = c->next) {
			if (silent(c, now) || (k.site && strcmp(c->site, k.site) != 0))
				continue;
			see(s, c, now, &seen);
			collect(&k, &seen);
		}
		if (i % BUCKETS_AT_ONCE == 0) {
			pthread_mutex_unlock(&s->lock);
			pthread_mutex_lock(&s->lock);
		}
	}
	pthread_mutex_unlock(&s->lock);
	qsort(out, k.count, sizeof(*out), by_name);
	return k.count;
}

static struct shape_origin *find_origin(struct shape *s, const char *source)
{
	struct shape_origin *o = s->origins;

	while (o && strcmp(o->name, source) != 0)
		o = o->next;
	return o;
}

int shape_suspend(struct shape *s, const char *source, const char *site, int64_t now)
{
	struct shape_origin *o;
	struct shape_cell *c;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	o = find_origin(s, source);
	if (!o || !source_of(s, o)) {
		rc = ERR_NOTFOUND;
	} else if (!*site) {
		o->suspended = 1;
	} else {
		c = shape_cell_get(s, o, span_str(site), "", now);
		if (c)
			c->suspended = 1;
		else
			rc = ERR_NOMEM;
	}
	if (rc == 0)
		shape_store_dirty(s);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* Every cell of the source, or those of one site. */
static void resume_cells(struct shape *s, const struct shape_origin *o, const char *site, int64_t now)
{
	for (unsigned i = 0; i < SHAPE_BUCKETS; i++) {
		for (struct shape_cell *c = s->buckets[i]; c; c = c->next) {
			if (c->origin != o || (*site && strcmp(c->site, site) != 0))
				continue;
			c->suspended = 0;
			shape_state_resume(&c->state, now);
		}
		if (i % BUCKETS_AT_ONCE == 0) {
			pthread_mutex_unlock(&s->lock);
			pthread_mutex_lock(&s->lock);
		}
	}
}

int shape_resume(struct shape *s, const char *source, const char *site, int64_t now)
{
	struct shape_origin *o;

	pthread_mutex_lock(&s->lock);
	o = find_origin(s, source);
	if (o) {
		if (!*site)
			o->suspended = 0;
		resume_cells(s, o, site, now);
		shape_store_dirty(s);
	}
	pthread_mutex_unlock(&s->lock);
	if (!o)
		return ERR_NOTFOUND;
	if (s->changed)
		s->changed(s->changed_arg);
	return 0;
}
