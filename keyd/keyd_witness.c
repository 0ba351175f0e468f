/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_witness.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd.h"
#include "keyd/keyd_ring_start.h"
#include "keyd/keyd_ring_tomb.h"
#include "wire/wire_get.h"
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
	keyd_audit_event(k, AUDIT_ROLLBACK, AUDIT_STR(SOURCE, source),
			 AUDIT_NUM(SEEN, mark->sequence), AUDIT_STR(STATE, "found"));
	keyd_watch_tamper(k, KEYD_TAMPER_ROLLBACK, 1);
	return ERR_ROLLBACK;
}

static int look(struct keyd *k, enum keyd_witness_source source, const struct keyd_ring *ring,
		uint64_t generation)
{
	const struct keyproto_mark *mark = &k->witness.marks[source];

	if (keyd_ring_follows(ring, generation, mark))
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

int keyd_witness_check(struct keyd *k, const struct keyd_ring *ring,
		       const struct keyd_snapshot_head *head)
{
	struct keyproto_mark none = {0, 0, 0};
	int rc = 0;

	if (k->witness.accepted)
		return 0;
	k->witness.why = NULL;
	for (unsigned i = 0; rc == 0 && i < KEYD_WITNESS_SOURCES; i++)
		rc = look(k, i, ring, head->generation);
	if (rc == 0 && head->restored)
		rc = rolled_back(k, "none", "the store came out of a backup", head->generation,
				 keyd_ring_sequence(ring), &none);
	return rc;
}

/* One record, at once: nothing else is under way before the ring is served. */
static int record(struct keyd *k, struct keyd_ring *ring, unsigned type, struct buf *body)
{
	int rc = buf_failed(body);

	if (rc == 0 && k->store)
		rc = keyd_store_append(k->store, type, buf_span(body));
	if (rc == 0)
		rc = keyd_ring_apply(ring, type, buf_span(body), 1);
	buf_reset(body);
	return rc;
}

/* 1: token makes a record, in body. What is no token of this store is said, and passed over. */
static int known(const struct keyd_ring *ring, struct span token, struct buf *body)
{
	int rc = keyd_ring_tomb_merge(ring, token, clock_wall(), body);

	if (rc == ERR_AUTH || rc == ERR_FORMAT) {
		log_event(LOG_LEVEL_WARN, NULL, "tombstone-refused", "error=\"%s\"", err_text(rc));
		return 0;
	}
	return rc;
}

/* What had come further than this store (see keyd_op_checkpoint.c) may go on from where it is. */
static int record_accepted(struct keyd *k, struct keyd_ring *ring, struct buf *body)
{
	struct keyd_record_note m = {.name = SPAN_LIT(KEYD_WITNESS_ACCEPTED)};
	struct buf value;
	int rc;

	buf_init(&value, 8);
	wire_put_u64(&value, keyd_ring_sequence(ring));
	m.value = buf_span(&value);
	rc = keyd_record_note_put(body, &m);
	if (rc == 0)
		rc = record(k, ring, KEYD_RECORD_NOTE, body);
	buf_clear(&value);
	return rc;
}

int keyd_witness_prepare(struct keyd *k, struct keyd_ring *ring)
{
	struct wire_get g;
	struct buf body;
	unsigned taken = 0;
	int rc = 0;

	buf_init(&body, KEYD_RECORD_BODY_MAX);
	if (k->witness.accepted || buf_size(&k->witness.tombs))
		rc = keyd_ring_make_start(ring, k->witness.accepted ? k->witness.branch : 0, &body);
	if (rc == 0 && buf_size(&body))
		rc = record(k, ring, KEYD_RECORD_START, &body);
	if (rc == 0 && k->witness.accepted)
		rc = record_accepted(k, ring, &body);
	wire_get_init(&g, buf_span(&k->witness.tombs));
	while (rc == 0 && g.rest.n) {
		rc = known(ring, wire_get_bytes16(&g), &body);
		if (rc > 0) {
			rc = record(k, ring, KEYD_RECORD_TOMBSTONE, &body);
			taken++;
		}
	}
	buf_clear(&body);
	if (rc < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "witness-not-recorded", "error=\"%s\"",
			  err_text(rc));
		return rc;
	}
	if (taken)
		log_event(LOG_LEVEL_WARN, NULL, "tombstones-taken", "count=%u", taken);
	buf_reset(&k->witness.tombs);
	k->witness.why = NULL;
	k->witness.accepted = 0;
	return 0;
}

static int clear_make(struct keyd_change *c)
{
	struct keyd_snapshot_head head = *keyd_store_head(c->keyd->store);

	head.restored = 0;
	return keyd_change_head(c, &head);
}

static void clear_done(struct keyd_change *c, int rc)
{
	if (rc < 0) /* it will be asked for again at the next start */
		log_event(LOG_LEVEL_WARN, NULL, "witness-not-recorded", "error=\"%s\"",
			  err_text(rc));
	free(c);
}

void keyd_witness_ready(struct keyd *k)
{
	struct keyd_change *c;

	if (!keyd_store_head(k->store)->restored)
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		log_event(LOG_LEVEL_WARN, NULL, "witness-not-recorded", "error=\"%s\"",
			  err_text(ERR_NOMEM));
		return;
	}
	c->make = clear_make;
	c->done = clear_done;
	keyd_change_start(k, c);
}

struct tomb_change {
	struct keyd_change change;
	unsigned taken;
	struct buf tokens; /* each bytes16 */
};

static int tombs_make(struct keyd_change *change)
{
	struct tomb_change *c = (struct tomb_change *)change;
	struct wire_get g;
	struct buf body;
	int rc = 0;

	buf_init(&body, KEYD_RECORD_BODY_MAX);
	wire_get_init(&g, buf_span(&c->tokens));
	while (rc == 0 && g.rest.n) {
		rc = known(change->keyd->ring, wire_get_bytes16(&g), &body);
		if (rc > 0) {
			rc = keyd_change_put(change, KEYD_RECORD_TOMBSTONE, buf_span(&body));
			c->taken++;
		}
		buf_reset(&body);
	}
	buf_clear(&body);
	return rc;
}

static void taken(struct keyd *k, unsigned count)
{
	log_event(LOG_LEVEL_WARN, NULL, "tombstones-taken", "count=%u", count);
	keyd_new_epoch(k);
	keyd_shred_look(k->shred);
}

static void tombs_done(struct keyd_change *change, int rc)
{
	struct tomb_change *c = (struct tomb_change *)change;

	if (rc < 0)
		log_event(LOG_LEVEL_ERROR, NULL, "witness-not-recorded", "error=\"%s\"",
			  err_text(rc));
	else if (c->taken)
		taken(change->keyd, c->taken);
	buf_clear(&c->tokens);
	free(c);
}

void keyd_witness_tombs(struct keyd *k, const struct span *tombs, unsigned count)
{
	struct tomb_change *c = calloc(1, sizeof(*c));
	struct buf body;
	int rc = 0;

	if (!c)
		return; /* relay shows them again at its next connect */
	c->change.make = tombs_make;
	c->change.done = tombs_done;
	buf_init(&c->tokens, KEYPROTO_TOMBS_MAX * (KEYPROTO_TOMB_MAX + 2));
	buf_init(&body, KEYD_RECORD_BODY_MAX);
	for (unsigned i = 0; i < count && rc >= 0; i++) {
		rc = known(k->ring, tombs[i], &body);
		if (rc > 0)
			wire_put_bytes16(&c->tokens, tombs[i]);
		buf_reset(&body);
	}
	buf_clear(&body);
	if (buf_size(&c->tokens) && !buf_failed(&c->tokens)) {
		keyd_change_start(k, &c->change);
		return;
	}
	buf_clear(&c->tokens);
	free(c);
}
