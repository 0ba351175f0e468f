/* SPDX-License-Identifier: Apache-2.0 */
/* Which worker gets a job, and the slow lane: sites that have not answered for a while, sites whose
 * jobs take long, and recipients that have been tried often share a part of all places, so that what
 * is slow or dead leaves room for what is not. */
#include "relay/queue/queue_priv.h"
#include "relay/shape/shape.h"

#define USED_UNIT  (4 * CLOCK_SEC)
#define LIMITS_AGE CLOCK_SEC /* how long a lane's number of connections is believed */
#define SHUT_UNIT  (CLOCK_SEC / 4)
#define SHUT_UNITS 4 /* how long a worker that got no connection is passed over */

unsigned queue_place_slow_max(const struct queue *q)
{
	int64_t places = q->conf->outbound.open;

	if (places < 1 || places > QUEUE_OUT_MAX)
		places = QUEUE_OUT_MAX;
	return (unsigned)(places / 4 * 3 + (places < 4));
}

int queue_place_proven(const struct queue *q, const struct queue_site *s)
{
	return s->last_good && q->now - s->last_good < QUEUE_PROVEN;
}

int queue_place_slow(const struct queue *q, const struct queue_site *s)
{
	return !queue_place_proven(q, s) || s->took > QUEUE_SLOW_TIME;
}

static uint16_t used_now(const struct queue *q)
{
	return (uint16_t)(q->now / USED_UNIT);
}

/* Other workers have all connections that the site takes. It would give jobs back at once, be the least busy for that,
 * and get them all. */
static int shut(const struct queue *q, const struct queue_slot *s)
{
	return s->shut && (uint16_t)(q->now / SHUT_UNIT - s->shut) < SHUT_UNITS;
}

void queue_place_used(const struct queue *q, struct queue_site *s, const struct queue_task *t)
{
	struct queue_slot *slot = &s->slots[t->job.worker];
	uint16_t now = (uint16_t)(q->now / SHUT_UNIT);

	slot->out--;
	if (t->job.count && t->job.results[0].outcome == SPOOL_DEFERRED &&
	    t->job.results[0].reason == QUEUE_CONNECTIONS) {
		slot->shut = now ? now : 1;
		slot->used = 0;
	} else {
		slot->shut = 0;
		slot->used = used_now(q);
	}
}

/* Whether the worker probably has a connection to the site. */
static int warm(const struct queue *q, const struct queue_slot *s)
{
	uint16_t ago = (uint16_t)(used_now(q) - s->used);

	return s->out || (s->used && ago <= q->conf->outbound.idle / USED_UNIT);
}

/* Fewer connections than workers: the lane stays with as many, so that none of them keeps an idle
 * connection that another one needs. */
static int choose_among(const struct queue *q, const struct queue_site *s, const struct shape_lane *lane,
			int few)
{
	unsigned from = s->node.hash + (unsigned)((uintptr_t)lane >> 6), n = (unsigned)q->workers;
	int best = -1;

	for (unsigned i = 0; i < n && (best < 0 || i < (unsigned)few); i++) {
		int w = (int)((from + i) % n);
		if (!shut(q, &s->slots[w]) && (best < 0 || s->slots[w].out < s->slots[best].out))
			best = w;
	}
	return best < 0 ? (int)(from % n) : best;
}

/* The least busy of those with a connection, but for those that are shut; another only once these have half their share to do,
 * or if there are none the one with the least to do altogether. */
int queue_place_worker(struct queue *q, struct queue_site *s, struct shape_lane *lane)
{
	int n = q->workers, best = -1, cold = -1;
	int64_t share;

	if (q->now - s->limits_at >= LIMITS_AGE || !s->limits_at) {
		struct shape_limits l = {.connections = 1};
		shape_lane_limits(q->relay->shape, lane, &l);
		s->connections = l.connections ? l.connections : 1;
		s->limits_at = q->now;
	}
	if (s->connections < (unsigned)n)
		return choose_among(q, s, lane, (int)s->connections);
	share = s->connections / (unsigned)n;
	for (int i = 0; i < n; i++) {
		int w = (int)((s->node.hash + (unsigned)i) % (unsigned)n);
		const struct queue_slot *slot = &s->slots[w];
		if (shut(q, slot))
			continue;
		if (warm(q, slot)) {
			if (best < 0 || slot->out < s->slots[best].out)
				best = w;
		} else if (cold < 0 || q->hands[w].out < q->hands[cold].out) {
			cold = w;
		}
	}
	if (best < 0 && cold < 0)
		return choose_among(q, s, lane, n);
	if (best < 0 || (cold >= 0 && s->slots[best].out > share / 2))
		return cold;
	return best;
}
