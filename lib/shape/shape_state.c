/* SPDX-License-Identifier: Apache-2.0 */
#include "shape/shape_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY	 INT64_C(86400000000)
#define SLOW_MAX 65535

/* When a pattern was hit: the last threshold.count times, in a ring. */
struct shape_hits {
	struct shape_hits *next;
	unsigned pattern, at, count, room;
	int64_t times[];
};

const char *shape_why_text(int why)
{
	static const char *const names[] = {"go",	"connection limit", "rate limit", "rate of connections",
					    "back-off", "suspended"};

	return why >= 0 && why < 6 ? names[why] : "?";
}

void shape_state_init(struct shape_state *s, const struct shape_rule_limits *l)
{
	memset(s, 0, sizeof(*s));
	shape_adapt_init(&s->adapt, (unsigned)l->start, (unsigned)l->connections);
}

void shape_state_forget_hits(struct shape_state *s)
{
	while (s->hits) {
		struct shape_hits *h = s->hits;
		s->hits = h->next;
		free(h);
	}
}

void shape_state_clear(struct shape_state *s)
{
	shape_state_forget_hits(s);
}

/* --- what may be */

unsigned shape_state_limit(const struct shape_state *s, const struct shape_rule_limits *l, int64_t now)
{
	unsigned max = (unsigned)l->connections, n = shape_adapt_limit(&s->adapt, max);

	if (s->probing)
		return 1;
	if (now < s->slow_until && s->slow_connections && s->slow_connections < n)
		return s->slow_connections;
	return n;
}

struct num_rate shape_state_pace(const struct shape_state *s, const struct shape_rule_limits *l, int64_t now)
{
	return now < s->slow_until && s->slow.count ? s->slow : l->rate;
}

static int resting(const struct shape_state *s, int64_t now, int64_t *until)
{
	if (now >= s->rest_until)
		return SHAPE_GO;
	*until = s->rest_until;
	return s->rest_why;
}

/* Both paces count while it is slow: the slower one is not always the one that says so. */
static int64_t message_when(const struct shape_state *s, const struct shape_rule_limits *l, int64_t now)
{
	int64_t when = shape_rate_when(&s->rate, l->rate, now), slow;

	if (now < s->slow_until && s->slow.count) {
		slow = shape_rate_when(&s->slow_rate, s->slow, now);
		if (slow > s->slow_until)
			slow = s->slow_until;
		if (slow > when)
			when = slow;
	}
	return when;
}

int shape_state_message(const struct shape_state *s, const struct shape_rule_limits *l, int64_t now,
			int64_t *until)
{
	int why = resting(s, now, until);

	if (why)
		return why;
	*until = message_when(s, l, now);
	return *until > now ? SHAPE_AT_RATE : SHAPE_GO;
}

int shape_state_connection(const struct shape_state *s, const struct shape_rule_limits *l, int64_t now,
			   int64_t *until)
{
	int why = resting(s, now, until);

	if (why)
		return why;
	*until = SHAPE_STATE_NEVER;
	if (s->open >= shape_state_limit(s, l, now))
		return SHAPE_AT_LIMIT;
	*until = shape_rate_when(&s->connection_rate, l->connection_rate, now);
	return *until > now ? SHAPE_AT_CONNECTION_RATE : SHAPE_GO;
}

void shape_state_open(struct shape_state *s, const struct shape_rule_limits *l, int64_t now)
{
	s->open++;
	shape_rate_take(&s->connection_rate, l->connection_rate, now);
}

void shape_state_close(struct shape_state *s)
{
	if (s->open)
		s->open--;
}

void shape_state_send(struct shape_state *s, const struct shape_rule_limits *l, int64_t now)
{
	shape_rate_take(&s->rate, l->rate, now);
	if (now < s->slow_until)
		shape_rate_take(&s->slow_rate, s->slow, now);
}

void shape_state_unsend(struct shape_state *s, const struct shape_rule_limits *l)
{
	shape_rate_back(&s->rate, l->rate);
	shape_rate_back(&s->slow_rate, s->slow);
}

/* --- what came of it */

void shape_state_good(struct shape_state *s, const struct shape_rule_limits *l, int64_t now)
{
	s->probing = 0;
	shape_adapt_good(&s->adapt, (unsigned)l->connections, s->open, now);
}

static unsigned others(const struct shape_state *s)
{
	return s->open ? s->open - 1 : 0;
}

void shape_state_bad(struct shape_state *s)
{
	shape_adapt_bad(&s->adapt, others(s));
}

static struct shape_hits *hits_of(struct shape_state *s, const struct shape_pattern *p)
{
	unsigned room = (unsigned)p->threshold.count, n = 0;
	struct shape_hits *h, **last = NULL;

	for (struct shape_hits **at = &s->hits; *at; at = &(*at)->next, n++) {
		if ((*at)->pattern == p->id)
			return *at;
		last = at;
	}
	if (n >= SHAPE_STATE_HITS) {
		free(*last);
		*last = NULL;
	}
	h = calloc(1, sizeof(*h) + room * sizeof(h->times[0]));
	if (!h)
		return NULL;
	h->pattern = p->id;
	h->room = room;
	h->next = s->hits;
	s->hits = h;
	return h;
}

/* 1: this hit reaches the threshold. Without memory, one is enough. */
static int hit(struct shape_state *s, const struct shape_pattern *p, int64_t now)
{
	struct shape_hits *h;

	if (p->threshold.count <= 1)
		return 1;
	h = hits_of(s, p);
	if (!h)
		return 1;
	h->times[h->at] = now;
	h->at = (h->at + 1) % h->room;
	if (h->count < h->room)
		h->count++;
	/* at is now where the oldest of the last room hits is */
	if (h->count < h->room || now - h->times[h->at] > p->threshold.window)
		return 0;
	h->count = 0;
	return 1;
}

void shape_state_rest(struct shape_state *s, int why, const char *name, int64_t until)
{
	if (until <= s->rest_until)
		return; /* what is longer stands */
	s->rest_why = (unsigned char)why;
	s->rest_until = until;
	s->probing = 1;
	snprintf(s->rest_name, sizeof(s->rest_name), "%s", name);
	shape_adapt_probe(&s->adapt);
}

/* Several connections are told the same: once it rests, that is one back-off, not many. */
static void back_off(struct shape_state *s, const struct shape_pattern *p, int64_t now)
{
	int64_t length = p->duration;

	if (now < s->rest_until)
		return;
	if (s->backoff_last && now - s->backoff_ended < DAY)
		length = s->backoff_last * 2;
	if (length < p->duration)
		length = p->duration;
	if (length > p->longest)
		length = p->longest;
	s->backoff_last = length;
	s->backoff_ended = now + length;
	shape_state_rest(s, SHAPE_IN_BACKOFF, p->name, now + length);
}

static void slow_down(struct shape_state *s, const struct shape_pattern *p, int64_t now)
{
	if (now >= s->slow_until) {
		s->slow_rate = (struct shape_rate){0};
		shape_rate_take(&s->slow_rate, p->rate, now); /* the one that was just refused */
	}
	s->slow_until = now + p->duration;
	s->slow = p->rate;
	s->slow_connections = (unsigned)(p->connections < SLOW_MAX ? p->connections : SLOW_MAX);
	snprintf(s->slow_name, sizeof(s->slow_name), "%s", p->name);
}

static void act(struct shape_state *s, const struct shape_pattern *p, int64_t now, struct shape_effect *e)
{
	struct shape_effect_act *a = &e->acts[e->count++];
	unsigned limit = s->adapt.limit;
	int64_t rest = s->rest_until;

	*a = (struct shape_effect_act){.pattern = p};
	switch (p->action) {
	case SHAPE_RULE_FEWER:
		shape_adapt_crowded(&s->adapt, others(s), now);
		a->limit = s->adapt.limit;
		a->news = a->limit != limit;
		break;
	case SHAPE_RULE_SLOW:
		a->news = now >= s->slow_until;
		slow_down(s, p, now);
		a->until = s->slow_until;
		break;
	case SHAPE_RULE_BACKOFF:
		back_off(s, p, now);
		a->until = s->rest_until;
		a->news = rest != s->rest_until;
		break;
	case SHAPE_RULE_SUSPEND:
		a->news = now >= rest || s->rest_why != SHAPE_SUSPENDED;
		shape_state_rest(s, SHAPE_SUSPENDED, p->name, now + p->duration);
		a->until = s->rest_until;
		break;
	default:
		if (e->verdict < 0)
			e->verdict = p->action;
	}
}

void shape_state_reply(struct shape_state *s, const struct shape_pattern *const *found, unsigned count,
		       int64_t now, struct shape_effect *effect)
{
	effect->verdict = -1;
	effect->count = 0;
	for (unsigned i = 0; i < count && i < SHAPE_MATCH_MAX; i++)
		if (hit(s, found[i], now))
			act(s, found[i], now, effect);
}

int shape_state_resume(struct shape_state *s, int64_t now)
{
	int was = now < s->rest_until || now < s->slow_until;

	s->rest_until = s->slow_until = 0;
	s->backoff_last = 0;
	return was;
}

int shape_state_idle(const struct shape_state *s, int64_t now)
{
	return !s->open && now >= s->rest_until && now >= s->slow_until && now - s->backoff_ended > DAY &&
	       now >= s->adapt.cap_until;
}
