/* SPDX-License-Identifier: Apache-2.0 */
/* A further version of a signing key: generated in the pool, then a change. */
#include <inttypes.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_audit.h"
#include "keyd/keyd_rotate_key.h"

/* events: key-next key-activated key-destroyed */
void keyd_rotate_key_say(struct keyd *k, struct span label, uint32_t version, unsigned state)
{
	static const char *const events[] = {[KEYD_RECORD_NEXT] = "key-next",
					     [KEYD_RECORD_ACTIVE] = "key-activated",
					     [KEYD_RECORD_DESTROYED] = "key-destroyed"};

	log_event(LOG_LEVEL_INFO, NULL, events[state], "label=%.*s version=%" PRIu32, (int)label.n,
		  (const char *)label.p, version);
	keyd_audit_event(k, AUDIT_SIGNING_KEY, AUDIT_SPAN(LABEL, label),
			 AUDIT_NUM(VERSION, version),
			 AUDIT_STR(STATE, keyd_record_state_name(state)));
	keyd_new_epoch(k);
}

static void generate(struct keyd_pool_job *job)
{
	struct keyd_rotate_key_next *n = (struct keyd_rotate_key_next *)job;

	n->result = keyd_crypto_generate(n->type, &n->key);
}

static struct keyd_rotate_key_next *next_of(struct keyd_change *c)
{
	return (struct keyd_rotate_key_next *)((char *)c -
					       offsetof(struct keyd_rotate_key_next, change));
}

static void next_done(struct keyd_rotate_key_next *n, int rc)
{
	keyd_crypto_free(n->key);
	n->key = NULL;
	n->done(n, rc);
}

static int next_make(struct keyd_change *c)
{
	struct keyd_rotate_key_next *n = next_of(c);
	struct buf record;
	int rc;

	buf_init(&record, KEYD_RECORD_BODY_MAX);
	rc = keyd_ring_make_next(c->keyd->ring, span_of(n->label, n->n), n->key,
				 keyd_generation(c->keyd), clock_wall(), &record);
	if (rc == 0)
		rc = keyd_change_put(c, KEYD_RECORD_KEY, buf_span(&record));
	buf_clear(&record);
	return rc;
}

static void next_changed(struct keyd_change *c, int rc)
{
	struct keyd_rotate_key_next *n = next_of(c);
	struct keyd_ring_info info;

	if (rc == 0 &&
	    keyd_ring_key_in(c->keyd->ring, span_of(n->label, n->n), KEYD_RECORD_NEXT, &info) == 0)
		keyd_rotate_key_say(c->keyd, info.label, info.version, KEYD_RECORD_NEXT);
	next_done(n, rc);
}

static void generated(struct keyd_pool_job *job)
{
	struct keyd_rotate_key_next *n = (struct keyd_rotate_key_next *)job;

	if (n->result < 0) {
		next_done(n, n->result);
		return;
	}
	n->change.make = next_make;
	n->change.done = next_changed;
	keyd_change_start(n->keyd, &n->change);
}

void keyd_rotate_key_next(struct keyd *k, struct keyd_rotate_key_next *n)
{
	struct keyd_ring_info info;
	int rc = keyd_ring_key_in(k->ring, span_of(n->label, n->n), 0, &info);

	if (rc == 0 && keyd_ring_key_in(k->ring, info.label, KEYD_RECORD_NEXT, &info) == 0)
		rc = ERR_EXISTS;
	n->keyd = k;
	n->key = NULL;
	if (rc < 0) {
		n->done(n, rc);
		return;
	}
	n->type = info.type;
	n->job.work = generate;
	n->job.done = generated;
	keyd_pool_run(k->pool, &n->job);
}
