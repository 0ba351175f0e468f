/* SPDX-License-Identifier: Apache-2.0 */
/* Which worker gets a job, and the slow lane: sites that have not answered for a while, sites whose
 * jobs take long, and recipients that have been tried often share a part of all places, so that what
 * is slow or dead leaves room for what is not. */
#include "relay/queue/queue_priv.h"
#include "relay/shape/shape.h"

#define USED_UNIT  (4 * CLOCK_SEC)
#define LIMITS_AGE CLOCK_SEC /* how long a lane's number of connections is believed */

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

void queue_place_used(const struct queue *q, struct queue_site *s, int worker)
{
	s->slots[worker].out--;
	s->slots[worker].used = used_now(q);
}

/* Whether the worker probably has a connection to the site. */
static int warm(const struct queue *q, const struct queue_slot *s)
{
	uint16_t ago = (uint16_t)(used_now(q) - s->used);

	return s->out || (s->used && ago <= q->conf->outbound.idle / USED_UNIT);
}

/* Fewer connections than workers: the lane stays with as many, so that none of them keeps an idle
 * connection that another one needs. */
static int choose_among(const struct queue_site *s, const struct shape_lane *lane, int n, int few)
{
	unsigned from = s->node.hash + (unsigned)((uintptr_t)lane >> 6);
	int best = (int)(from % (unsigned)n);

	for (int i = 1; i < few; i++) {
		int w = (int)((from + (unsigned)i) % (unsigned)n);
		if (s->slots[w].out < s->slots[best].out)
			best = w;
	}
	return best;
}

/* The least busy of those with a connection; another only once these have half their share to do,
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
		return choose_among(s, lane, n, (int)s->connections);
	share = s->connections / (unsigned)n;
	for (int i = 0; i < n; i++) {
		int w = (int)((s->node.hash + (unsigned)i) % (unsigned)n);
		const struct queue_slot *slot = &s->slots[w];
		if (warm(q, slot)) {
			if (best < 0 || slot->out < s->slots[best].out)
				best = w;
		} else if (cold < 0 || q->hands[w].out < q->hands[cold].out) {
			cold = w;
		}
	}
	if (best < 0 || (cold >= 0 && s->slots[best].out > share / 2))
		return cold;
	return best;
}
