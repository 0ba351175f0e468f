/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_witness.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd.h"
#include "keyd/keyd_ring_start.h"
#include "wire/wire_put.h"

static const char *const sources[] = {
    [KEYD_WITNESS_AUDIT] = "audit", [KEYD_WITNESS_RELAY] = "relay"};

void keyd_witness_init(struct keyd_witness *w)
{
	memset(w, 0, sizeof(*w));
	buf_init(&w->tombs, KEYD_WITNESS_PENDING);
}

void keyd_witness_clear(struct keyd_witness *w)
{
	buf_clear(&w->tombs);
}

/* The one place that says so. */
static int rolled_back(struct keyd *k, const char *source, const char *why, uint64_t generation,
		       uint64_t sequence, const struct keyproto_mark *mark)
{
	k->witness.why = why;
	k->witness.branch = mark->branch;
	k->witness.accepted = 0;
	log_event(LOG_LEVEL_ERROR, NULL, "store-rolled-back",
		  "witness=%s generation=%" PRIu64 " sequence=%" PRIu64
		  " witness_generation=%" PRIu64 " witness_sequence=%" PRIu64,
		  source, generation, sequence, mark->generation, mark->sequence);
	return ERR_ROLLBACK;
}

static int look(struct keyd *k, enum keyd_witness_source source, const struct keyd_ring *ring,
		uint64_t generation)
{
	const struct keyproto_mark *mark = &k->witness.marks[source];

	if (keyd_ring_follows(ring, generation, mark))
		return 0;
	/* Accepted, and about to be recorded. */
	if (mark->branch && mark->branch == k->changes.accepted)
		return 0;
	return rolled_back(k, sources[source], "the store is an older copy of itself", generation,
			   keyd_ring_sequence(ring), mark);
}

int keyd_witness_heard(struct keyd *k, enum keyd_witness_source source,
		       const struct keyproto_mark *mark)
{
	int rc;

	k->witness.marks[source] = *mark;
	if (k->state != KEYPROTO_READY || !k->store)
		return 0;
	rc = look(k, source, k->ring, keyd_generation(k));
	if (rc < 0)
		keyd_lock(k, k->witness.why);
	return rc;
}

int keyd_witness_pend(struct keyd *k, struct span tomb)
{
	wire_put_bytes16(&k->witness.tombs, tomb);
	if (!buf_failed(&k->witness.tombs))
		return 0;
	k->witness.tombs.failed = 0;
	return ERR_LIMIT;
}

int keyd_witness_check(struct keyd *k, const struct keyd_ring *ring, uint64_t generation,
		       int restored)
{
	struct keyproto_mark none = {0, 0, 0};
	int rc = 0;

	if (k->witness.accepted)
		return 0;
	k->witness.why = NULL;
	for (unsigned i = 0; rc == 0 && i < KEYD_WITNESS_SOURCES; i++)
		rc = look(k, i, ring, generation);
	if (rc == 0 && restored)
		rc = rolled_back(k, "none", "the store came out of a backup", generation,
				 keyd_ring_sequence(ring), &none);
	return rc;
}

/* A change that puts nothing: before it, the queue records a START. */
static int nothing(struct keyd_change *c)
{
	(void)c;
	return 0;
}

static void recorded(struct keyd_change *c, int rc)
{
	if (rc < 0)
		log_event(LOG_LEVEL_WARN, NULL, "accept-not-recorded", "error=\"%s\"",
			  err_text(rc));
	free(c);
}

void keyd_witness_settled(struct keyd *k)
{
	struct keyd_change *c;

	if (!k->witness.accepted)
		return;
	k->changes.accepted = k->witness.branch;
	k->witness.why = NULL;
	k->witness.accepted = 0;
	c = calloc(1, sizeof(*c));
	if (!c) {
		log_event(LOG_LEVEL_WARN, NULL, "accept-not-recorded", "error=\"%s\"",
			  err_text(ERR_NOMEM));
		return;
	}
	c->make = nothing;
	c->done = recorded;
	keyd_change_start(k, c);
}
