/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_ring_start.h"

#include "core/clock.h"
#include "core/err.h"
#include "core/rand.h"
#include "keyd/keyd_ring_in.h"

static const struct keyd_record_start *newest(const struct keyd_ring *r)
{
	return r->start_count ? &r->starts[(r->start_count - 1) % KEYD_RING_STARTS] : NULL;
}

int keyd_ring_start_apply(struct keyd_ring *r, struct span body, int fresh)
{
	struct keyd_record_start m;
	const struct keyd_record_start *last = newest(r);

	if (keyd_record_start_get(body, &m) < 0 || (last && m.sequence <= last->sequence) ||
	    (fresh ? m.sequence != r->sequence + 1 : m.sequence > r->sequence))
		return ERR_DAMAGED;
	r->starts[r->start_count++ % KEYD_RING_STARTS] = m;
	return 0;
}

static uint64_t first_kept(const struct keyd_ring *r)
{
	return r->start_count > KEYD_RING_STARTS ? r->start_count - KEYD_RING_STARTS : 0;
}

int keyd_ring_start_each(const struct keyd_ring *r, struct keyd_ring_walk *w)
{
	int rc = 0;

	for (uint64_t i = first_kept(r); rc == 0 && i < r->start_count; i++)
		rc = keyd_ring_walk(
		    w, KEYD_RECORD_START,
		    keyd_record_start_put(&w->body, &r->starts[i % KEYD_RING_STARTS]));
	return rc;
}

void keyd_ring_mark(const struct keyd_ring *r, uint64_t generation, struct keyproto_mark *out)
{
	const struct keyd_record_start *last = newest(r);

	out->generation = generation;
	out->sequence = r->sequence;
	out->branch = last ? last->branch : 0;
}

int keyd_ring_follows(const struct keyd_ring *r, uint64_t generation,
		      const struct keyproto_mark *mark)
{
	const struct keyd_record_start *s;
	uint64_t end;

	for (uint64_t i = r->start_count; i-- > first_kept(r);)
		if (r->starts[i % KEYD_RING_STARTS].accepted == mark->branch && mark->branch)
			return 1;
	if (mark->generation > generation || mark->sequence > r->sequence)
		return 0;
	if (!mark->branch)
		return 1;
	for (uint64_t i = first_kept(r); i < r->start_count; i++) {
		s = &r->starts[i % KEYD_RING_STARTS];
		end = i + 1 < r->start_count ? r->starts[(i + 1) % KEYD_RING_STARTS].sequence - 1
					     : r->sequence;
		if (s->branch == mark->branch)
			return mark->sequence <= end;
	}
	/* A full list may have lost older ones. */
	return r->start_count >= KEYD_RING_STARTS &&
	       mark->sequence < r->starts[first_kept(r) % KEYD_RING_STARTS].sequence;
}

int keyd_ring_make_start(const struct keyd_ring *r, uint64_t accepted, struct buf *out)
{
	struct keyd_record_start m = {
	    .sequence = r->sequence + 1, .time = clock_wall(), .accepted = accepted};

	do
		rand_bytes(&m.branch, sizeof(m.branch));
	while (!m.branch);
	return keyd_record_start_put(out, &m);
}
