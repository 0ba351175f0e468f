/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_change.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd.h"
#include "keyd/keyd_ring_start.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define RECORDS_MAX    (4 * 1024 * 1024)
#define TRIED_SNAPSHOT 1
#define TRIED_START    2

static void turn(struct keyd *k);

/* On the disk thread: the ring holds still while a change runs, so it may be read. */
static void work(struct keyd_pool_job *job)
{
	struct keyd_change *c = (struct keyd_change *)job;
	struct keyd *k = c->keyd;

	if (c->result < 0)
		return;
	if (c->head && k->store)
		c->result =
		    keyd_store_work_snapshot(k->store, c->head, k->ring, &k->changes.cancel);
	else if (buf_size(&c->records) && k->store)
		c->result = keyd_store_work_append(k->store, buf_span(&c->records));
	if (c->result == 0 && c->work)
		c->result = c->work(c);
}

/* Takes the records into the ring. The ring would have made these; one that it now refuses is on
 * disk all the same, so the journal may not be believed any more: a snapshot leaves it out. */
static int take_in(struct keyd *k, struct span records)
{
	struct wire_get g;
	struct span body;
	unsigned type;
	int rc = 0;

	wire_get_init(&g, records);
	while (rc == 0 && g.rest.n) {
		type = wire_get_u8(&g);
		body = wire_get_bytes32(&g);
		rc = keyd_ring_apply(k->ring, type, body, 1);
	}
	if (rc < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "apply-failed", "error=\"%s\"", err_text(rc));
		if (k->store)
			keyd_store_distrust(k->store);
	}
	return rc;
}

static void finish(struct keyd_change *c, int rc)
{
	buf_clear(&c->records);
	free(c->head);
	c->head = NULL;
	c->done(c, rc);
}

static void written(struct keyd_pool_job *job)
{
	struct keyd_change *c = (struct keyd_change *)job;
	struct keyd *k = c->keyd;
	int rc = c->result;

	if (k->store)
		keyd_store_settle(k->store);
	if (rc < 0 && !c->head)
		log_event(LOG_LEVEL_ERROR, NULL, "journal-failed", "error=\"%s\"", err_text(rc));
	if (rc == 0 && !c->head)
		rc = take_in(k, buf_span(&c->records));
	k->changes.running = NULL;
	finish(c, rc);
	turn(k);
}

static void run(struct keyd *k, struct keyd_change *c)
{
	k->changes.running = c;
	c->job.work = work;
	c->job.done = written;
	c->result = 0;
	keyd_pool_run(k->disk, &c->job);
}

static int snapshot_make(struct keyd_change *c)
{
	return keyd_change_head(c, keyd_store_head(c->keyd->store));
}

static void snapshot_done(struct keyd_change *c, int rc)
{
	struct keyd *k = c->keyd;

	if (rc == ERR_LOCKED)
		return;
	if (rc < 0)
		log_event(LOG_LEVEL_ERROR, NULL, "snapshot-failed", "when=running error=\"%s\"",
			  err_text(rc));
	else
		log_event(LOG_LEVEL_INFO, NULL, "snapshot-written", "generation=%" PRIu64,
			  keyd_store_head(k->store)->generation);
}

static int start_make(struct keyd_change *c)
{
	struct buf b;
	int rc;

	buf_init(&b, 256);
	rc = keyd_ring_make_start(c->keyd->ring, 0, &b);
	if (rc == 0)
		rc = keyd_change_put(c, KEYD_RECORD_START, buf_span(&b));
	buf_clear(&b);
	return rc;
}

static void start_done(struct keyd_change *c, int rc)
{
	struct keyd_change_queue *q = &c->keyd->changes;

	q->start_error = rc;
	q->started = rc == 0;
}

void keyd_change_init(struct keyd *k)
{
	k->changes.last = &k->changes.first;
	k->changes.snapshot.make = snapshot_make;
	k->changes.snapshot.done = snapshot_done;
	k->changes.start.make = start_make;
	k->changes.start.done = start_done;
}

/* Calls make; what it refuses ends here. */
static void begin(struct keyd *k, struct keyd_change *c)
{
	int rc;

	buf_init(&c->records, RECORDS_MAX);
	c->head = NULL;
	c->keyd = k;
	rc = k->changes.closed || !k->ring ? ERR_LOCKED : 0;
	if (rc == 0 && k->store && !k->changes.started && c->tried & TRIED_START)
		rc = k->changes.start_error; /* it would be a change that no witness can tell */
	if (rc == 0)
		rc = c->make(c);
	if (rc == 0)
		rc = buf_failed(&c->records);
	if (rc < 0)
		finish(c, rc);
	else
		run(k, c);
}

/* What goes before the next change: a snapshot that is due (what the journal cannot take any more,
 * a snapshot can), and the START of this opening. Each is tried once for each change. */
static struct keyd_change *first_before(struct keyd *k, struct keyd_change *c)
{
	struct keyd_change_queue *q = &k->changes;

	if (q->closed || !k->ring || !k->store)
		return NULL;
	if (keyd_store_wants_snapshot(k->store) && !(c->tried & TRIED_SNAPSHOT)) {
		c->tried |= TRIED_SNAPSHOT;
		return &q->snapshot;
	}
	if (!q->started && !(c->tried & TRIED_START)) {
		c->tried |= TRIED_START;
		return &q->start;
	}
	return NULL;
}

static void turn(struct keyd *k)
{
	struct keyd_change_queue *q = &k->changes;
	struct keyd_change *c, *before;

	while (!q->running && q->first) {
		c = q->first;
		before = first_before(k, c);
		if (before) {
			begin(k, before);
			continue;
		}
		q->first = c->next;
		if (!q->first)
			q->last = &q->first;
		begin(k, c);
	}
}

void keyd_change_start(struct keyd *k, struct keyd_change *c)
{
	c->next = NULL;
	c->tried = 0;
	*k->changes.last = c;
	k->changes.last = &c->next;
	turn(k);
}

int keyd_change_put(struct keyd_change *c, unsigned type, struct span body)
{
	wire_put_u8(&c->records, (uint8_t)type);
	wire_put_bytes32(&c->records, body);
	return buf_failed(&c->records);
}

int keyd_change_head(struct keyd_change *c, const struct keyd_snapshot_head *head)
{
	c->head = malloc(sizeof(*c->head));
	if (!c->head)
		return ERR_NOMEM;
	*c->head = *head;
	return 0;
}

int keyd_change_idle(const struct keyd *k)
{
	return !k->changes.running && !k->changes.first;
}

void keyd_change_close(struct keyd *k)
{
	k->changes.closed = 1;
	__atomic_store_n(&k->changes.cancel, 1, __ATOMIC_RELAXED);
	if (k->changes.running)
		keyd_pool_drain(k->disk);
	turn(k);
	log_assert(keyd_change_idle(k));
	__atomic_store_n(&k->changes.cancel, 0, __ATOMIC_RELAXED);
}

void keyd_change_open(struct keyd *k)
{
	k->changes.closed = 0;
	k->changes.started = 0;
}
