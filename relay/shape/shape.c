/* SPDX-License-Identifier: Apache-2.0 */
/* Life, and what the queue asks: which source next, or until when nothing. */
#include "relay/shape/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/rand.h"
#include "relay/queue/queue.h"
#include "relay/shape/shape_own.h"

struct shape *shape_new(const struct relay_conf *conf, char err[CONF_ERR_MAX])
{
	struct shape *s = calloc(1, sizeof(*s));

	if (!s || pthread_mutex_init(&s->lock, NULL)) {
		snprintf(err, CONF_ERR_MAX, "shaping: out of memory");
		free(s);
		return NULL;
	}
	s->buckets = calloc(SHAPE_BUCKETS, sizeof(*s->buckets));
	s->seed = rand_u64() | 1;
	if (!s->buckets)
		snprintf(err, CONF_ERR_MAX, "shaping: out of memory");
	else
		s->set = shape_set_new(s, conf, err);
	if (!s->set) {
		shape_free(s);
		return NULL;
	}
	return s;
}

int shape_reload(struct shape *s, const struct relay_conf *conf, char err[CONF_ERR_MAX])
{
	struct shape_set *set = shape_set_new(s, conf, err), *old;

	if (!set)
		return ERR_CONFIG;
	pthread_mutex_lock(&s->lock);
	old = s->set;
	s->set = set;
	pthread_mutex_unlock(&s->lock);
	shape_set_unref(old);
	if (s->changed)
		s->changed(s->changed_arg);
	return 0;
}

void shape_free(struct shape *s)
{
	if (!s)
		return;
	shape_store_close(s);
	shape_cell_free_all(s);
	shape_set_unref(s->set);
	while (s->origins) {
		struct shape_origin *o = s->origins;
		s->origins = o->next;
		free(o);
	}
	free(s->buckets);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void shape_on_change(struct shape *s, void (*changed)(void *arg), void *arg)
{
	s->changed = changed;
	s->changed_arg = arg;
}

/* --- jobs */

static const uint8_t reasons[] = {[SHAPE_AT_LIMIT] = QUEUE_CONNECTIONS,
				  [SHAPE_AT_RATE] = QUEUE_RATE,
				  [SHAPE_AT_CONNECTION_RATE] = QUEUE_RATE,
				  [SHAPE_IN_BACKOFF] = QUEUE_BACKOFF,
				  [SHAPE_SUSPENDED] = QUEUE_SUSPENDED};

static struct shape_wait wait_for(int why, int64_t until)
{
	return (struct shape_wait){until, reasons[why]};
}

/* What keeps everything of a lane back. 0 or ERR_BUSY and *w. */
static int may_send(struct shape_lane *l, int64_t now, struct shape_wait *w)
{
	struct shape_cell *c = l->cell;
	int64_t until = SHAPE_NEVER;
	int why;

	if (c->origin->suspended || c->base->suspended) {
		*w = wait_for(SHAPE_SUSPENDED, SHAPE_NEVER);
		return ERR_BUSY;
	}
	why = shape_state_message(&c->state, &l->limits, now, &until);
	if (why) {
		*w = wait_for(why, until);
		return ERR_BUSY;
	}
	return 0;
}

/* jobs: that will need a message each before this one. ERR_LIMIT: the day's number is reached. */
static int may_warm(struct shape_lane *l, uint32_t jobs, int64_t now, struct shape_wait *w)
{
	int64_t until = SHAPE_NEVER;
	uint32_t left = shape_warmup_left(l->cell, l->set->sources[l->source].warm, now, &until);

	if (left > jobs)
		return 0;
	/* jobs may come back unsent: then there is a place before tomorrow */
	*w = (struct shape_wait){left ? now + SHAPE_AGAIN : until, QUEUE_WARMUP};
	return ERR_LIMIT;
}

/* As may_warm. */
static int may_job(struct shape *s, struct shape_lane *l, int64_t now, struct shape_wait *w)
{
	struct shape_cell *c = l->cell;
	unsigned limit = shape_state_limit(&c->state, &l->limits, now);
	int64_t until;
	int rc = may_warm(l, c->base->warm_jobs, now, w);

	if (rc == 0)
		rc = may_send(l, now, w);
	if (rc < 0)
		return rc;
	if (shape_warmup_expect(s, c, l->set->sources[l->source].warm) < 0) {
		*w = (struct shape_wait){now + SHAPE_AGAIN, QUEUE_WARMUP};
		return ERR_BUSY;
	}
	if (c->jobs >= limit + limit / 2 + 1) {
		*w = wait_for(SHAPE_AT_LIMIT, SHAPE_NEVER);
		return ERR_BUSY;
	}
	until = shape_rate_when(&c->plan, shape_state_pace(&c->state, &l->limits, now), now);
	if (until > now) {
		*w = wait_for(SHAPE_AT_RATE, until);
		return ERR_BUSY;
	}
	if (c->jobs >= c->state.open) {
		until = shape_rate_when(&c->state.connection_rate, l->limits.connection_rate, now);
		if (until > now) {
			*w = wait_for(SHAPE_AT_CONNECTION_RATE, until);
			return ERR_BUSY;
		}
	}
	return 0;
}

static int take_from(struct shape *s, unsigned source, struct span site, const struct shape_rule *by_domain,
		     int64_t now, struct shape_lane **lane, struct shape_wait *w)
{
	struct shape_origin *o = s->set->sources[source].origin;
	struct shape_cell *c = shape_cell_get(s, o, site, by_domain ? by_domain->name : "", now);
	struct shape_lane *l = c ? shape_cell_lane(s, c, source, by_domain) : NULL;
	int rc;

	if (!l)
		return ERR_NOMEM;
	c->used = now;
	rc = may_job(s, l, now, w);
	if (rc < 0) {
		shape_cell_lane_unref(l);
		return rc;
	}
	c->jobs++;
	c->pending++;
	c->base->warm_jobs++;
	shape_rate_take(&c->plan, shape_state_pace(&c->state, &l->limits, now), now);
	*lane = l;
	return 0;
}

static uint64_t dice(struct shape *s)
{
	s->seed ^= s->seed << 13;
	s->seed ^= s->seed >> 7;
	s->seed ^= s->seed << 17;
	return s->seed;
}

/* The member whose turn it is, by weight, of those not tried yet. */
static unsigned draw(struct shape *s, const struct shape_set_pool *p, const uint64_t *tried, uint64_t total)
{
	uint64_t left = dice(s) % total;
	unsigned i;

	for (i = 0; i < p->count; i++) {
		if (tried[i / 64] >> (i % 64) & 1)
			continue;
		if (left < p->members[i].weight)
			break;
		left -= p->members[i].weight;
	}
	return i;
}

/* Of all that is waited for, what comes first. A place of jobs comes at any time, with an event that the reason tells of. */
static void wait_less(struct shape_wait *w, const struct shape_wait *one)
{
	int places = w->reason == QUEUE_CONNECTIONS || one->reason == QUEUE_CONNECTIONS;

	if (!w->reason || one->until < w->until)
		*w = *one;
	if (places)
		w->reason = QUEUE_CONNECTIONS;
}

static int take_from_pool(struct shape *s, const struct shape_set_pool *p, struct span site,
			  const struct shape_rule *by_domain, int64_t now, struct shape_lane **lane,
			  struct shape_wait *w, int *overflow)
{
	uint64_t tried[SHAPE_POOL_MAX / 64] = {0}, total = 0;
	struct shape_wait one = {0};

	for (unsigned i = 0; i < p->count; i++)
		total += p->members[i].weight;
	for (unsigned n = 0; n < p->count; n++) {
		unsigned i = draw(s, p, tried, total);
		int rc = take_from(s, p->members[i].source, site, by_domain, now, lane, &one);
		if (rc != ERR_BUSY && rc != ERR_LIMIT)
			return rc;
		if (rc == ERR_LIMIT && s->set->sources[p->members[i].source].overflow >= 0)
			*overflow = s->set->sources[p->members[i].source].overflow;
		wait_less(w, &one);
		tried[i / 64] |= UINT64_C(1) << (i % 64);
		total -= p->members[i].weight;
	}
	return ERR_BUSY;
}

int shape_job_take(struct shape *s, const char *pool, const char *site, const char *domain, int64_t now,
		   struct shape_lane **lane, struct shape_wait *wait)
{
	const struct shape_rule *by_domain;
	int rc = ERR_BUSY, next;

	*wait = (struct shape_wait){SHAPE_NEVER, 0};
	pthread_mutex_lock(&s->lock);
	s->now = now;
	by_domain = domain ? shape_rules_domain(s->set->rules, span_str(domain)) : NULL;
	next = shape_set_pool(s->set, pool ? pool : "");
	/* a pool that a reload took away: the host's own */
	if (next < 0)
		next = 0;
	for (int i = 0; rc == ERR_BUSY && next >= 0 && i < SHAPE_OVERFLOWS; i++) {
		const struct shape_set_pool *p = &s->set->pools[next];
		next = -1;
		rc = take_from_pool(s, p, span_str(site), by_domain, now, lane, wait, &next);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void shape_job_give(struct shape *s, struct shape_lane *lane)
{
	struct shape_cell *c = lane->cell;

	pthread_mutex_lock(&s->lock);
	c->jobs--;
	if (c->pending > c->jobs) {
		c->base->warm_jobs -= c->pending - c->jobs;
		c->pending = c->jobs;
	}
	shape_cell_lane_unref(lane);
	pthread_mutex_unlock(&s->lock);
}

/* --- what workers ask */

struct shape_lane *shape_lane_ref(struct shape_lane *lane)
{
	atomic_fetch_add(&lane->refs, 1);
	return lane;
}

void shape_lane_unref(struct shape *s, struct shape_lane *lane)
{
	if (!lane)
		return;
	pthread_mutex_lock(&s->lock);
	shape_cell_lane_unref(lane);
	pthread_mutex_unlock(&s->lock);
}

const struct shape_source *shape_lane_source(const struct shape_lane *lane)
{
	return &lane->set->sources[lane->source].info;
}

const char *shape_lane_site(const struct shape_lane *lane)
{
	return lane->cell->site;
}

void shape_lane_limits(struct shape *s, struct shape_lane *lane, struct shape_limits *out)
{
	const struct shape_rule_limits *l = &lane->limits;

	pthread_mutex_lock(&s->lock);
	out->connections = shape_state_limit(&lane->cell->state, l, s->now);
	pthread_mutex_unlock(&s->lock);
	out->messages = (unsigned)l->messages;
	out->recipients = (unsigned)l->recipients;
	out->idle = l->idle;
	out->tls = l->tls;
}

int shape_connection_take(struct shape *s, struct shape_lane *lane, int64_t now, int64_t *until)
{
	struct shape_cell *c = lane->cell;
	int why = SHAPE_SUSPENDED;

	*until = SHAPE_NEVER;
	pthread_mutex_lock(&s->lock);
	s->now = now;
	if (!c->origin->suspended && !c->base->suspended) {
		why = shape_state_connection(&c->state, &lane->limits, now, until);
		if (why == SHAPE_GO && s->open >= s->set->open)
			why = SHAPE_AT_LIMIT;
		if (why == SHAPE_AT_LIMIT)
			*until = now + SHAPE_AGAIN;
	}
	if (why == SHAPE_GO) {
		shape_state_open(&c->state, &lane->limits, now);
		s->open++;
	}
	pthread_mutex_unlock(&s->lock);
	return why == SHAPE_GO ? 0 : ERR_BUSY;
}

void shape_connection_give(struct shape *s, struct shape_lane *lane, int used, int64_t now)
{
	(void)used;
	pthread_mutex_lock(&s->lock);
	s->now = now;
	shape_state_close(&lane->cell->state);
	lane->cell->used = now;
	s->open--;
	pthread_mutex_unlock(&s->lock);
}

int shape_message_take(struct shape *s, struct shape_lane *lane, int64_t now, struct shape_wait *wait)
{
	struct shape_cell *c = lane->cell;
	int rc;

	pthread_mutex_lock(&s->lock);
	s->now = now;
	rc = may_warm(lane, 0, now, wait);
	if (rc == 0)
		rc = may_send(lane, now, wait);
	if (rc == 0 && shape_warmup_book(s, c, lane->set->sources[lane->source].warm) < 0) {
		*wait = (struct shape_wait){now + SHAPE_AGAIN, QUEUE_WARMUP};
		rc = ERR_BUSY;
	}
	if (rc == 0) {
		shape_state_send(&c->state, &lane->limits, now);
		c->sent++;
		if (c->pending) {
			c->pending--;
			c->base->warm_jobs--;
		}
	} else {
		/* its turn goes to another */
		shape_rate_back(&c->plan, shape_state_pace(&c->state, &lane->limits, now));
	}
	pthread_mutex_unlock(&s->lock);
	return rc < 0 ? ERR_BUSY : 0;
}

void shape_message_give(struct shape *s, struct shape_lane *lane)
{
	struct shape_cell *c = lane->cell;

	pthread_mutex_lock(&s->lock);
	shape_state_unsend(&c->state, &lane->limits);
	if (c->base->warm_sent && lane->set->sources[lane->source].warm)
		c->base->warm_sent--;
	c->sent--;
	if (c->pending < c->jobs) {
		c->pending++;
		c->base->warm_jobs++;
	}
	pthread_mutex_unlock(&s->lock);
}
