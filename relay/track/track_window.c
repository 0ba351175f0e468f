/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_window.h"

#include <stdlib.h>
#include <string.h>

#define HEADS 4096
#define STEPS 256

struct track_window {
	struct track_seen all[TRACK_WINDOW_HITS];
	uint64_t last; /* number of the latest */
	uint64_t readers[HEADS], nets[HEADS];
};

struct track_window *track_window_new(void)
{
	return calloc(1, sizeof(struct track_window));
}

void track_window_free(struct track_window *w)
{
	free(w);
}

static unsigned head_of(uint64_t n)
{
	return (unsigned)((n * UINT64_C(0x9e3779b97f4a7c15)) >> 52);
}

static unsigned reader_of(const struct track_bot_hit *h)
{
	return head_of(h->tid ? h->tid : h->net ^ (uint64_t)h->number << 1);
}

/* NULL: overwritten meanwhile, or none. */
static struct track_seen *seen(struct track_window *w, uint64_t seq)
{
	struct track_seen *s = &w->all[seq % TRACK_WINDOW_HITS];

	return seq && s->seq == seq ? s : NULL;
}

struct track_seen *track_window_add(struct track_window *w, const struct track_bot_hit *hit)
{
	uint64_t seq = ++w->last;
	struct track_seen *s = &w->all[seq % TRACK_WINDOW_HITS];
	unsigned reader = reader_of(hit), net = head_of(hit->net);

	*s = (struct track_seen){.hit = *hit, .seq = seq, .by_reader = w->readers[reader], .by_net = w->nets[net]};
	w->readers[reader] = seq;
	w->nets[net] = seq;
	return s;
}

static int fresh(const struct track_seen *s, int64_t now)
{
	return s && now - s->hit.at <= TRACK_BOT_REVISED;
}

static int one_reader(const struct track_bot_hit *a, const struct track_bot_hit *b)
{
	return a->tid == b->tid && (a->tid || (a->net == b->net && a->number == b->number));
}

/* A chain holds others too, whose hash is the same: STEPS ends the search. */
size_t track_window_near(struct track_window *w, const struct track_bot_hit *hit, int64_t now,
			 struct track_seen *out[TRACK_WINDOW_NEAR])
{
	struct track_seen *s = seen(w, w->readers[reader_of(hit)]);
	size_t n = 0, from, steps = 0;

	for (; n < TRACK_WINDOW_READER && steps++ < STEPS && fresh(s, now); s = seen(w, s->by_reader))
		if (one_reader(&s->hit, hit))
			out[n++] = s;
	s = seen(w, w->nets[head_of(hit->net)]);
	for (from = n, steps = 0; n - from < TRACK_WINDOW_NET && steps++ < STEPS && fresh(s, now); s = seen(w, s->by_net))
		if (s->hit.net == hit->net)
			out[n++] = s;
	return n;
}

void track_window_forget(struct track_window *w, uint64_t tid)
{
	struct track_bot_hit like = {.tid = tid};
	struct track_seen *s = seen(w, w->readers[reader_of(&like)]);

	for (; s; s = seen(w, s->by_reader))
		if (s->hit.tid == tid) {
			s->hit.tid = 0;
			s->event = 0;
		}
}
