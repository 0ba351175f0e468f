/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_change.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define RECORDS_MAX (4 * 1024 * 1024)

static void turn(struct keyd *k);

/* On the disk thread: the ring holds still while a change runs, so it may be read. */
static void work(struct keyd_pool_job *job)
{
	struct keyd_change *c = (struct keyd_change *)job;
	struct keyd *k = c->keyd;

	if (c->result < 0 || !k->store)
		return;
	if (c->head)
		c->result =
		    keyd_store_work_snapshot(k->store, c->head, k->ring, &k->changes.cancel);
	else if (buf_size(&c->records))
		c->result = keyd_store_work_append(k->store, buf_span(&c->records));
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

static void finish(struct keyd *k, struct keyd_change *c, int rc)
{
	buf_clear(&c->records);
	free(c->head);
	c->head = NULL;
	c->done(c, rc);
	(void)k;
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
	finish(k, c, rc);
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

void keyd_change_init(struct keyd *k)
{
	k->changes.last = &k->changes.first;
	k->changes.snapshot.make = snapshot_make;
	k->changes.snapshot.done = snapshot_done;
}

/* Calls make; what it refuses ends here. */
static void begin(struct keyd *k, struct keyd_change *c)
{
	int rc;

	buf_init(&c->records, RECORDS_MAX);
	c->head = NULL;
	c->keyd = k;
	rc = k->changes.closed || !k->ring ? ERR_LOCKED : c->make(c);
	if (rc == 0)
		rc = buf_failed(&c->records);
	if (rc < 0)
		finish(k, c, rc);
	else
		run(k, c);
}

/* The next change, if none runs. A snapshot that is due goes first: what the journal cannot take
 * any more, a snapshot can; it is tried once for each change. */
static void turn(struct keyd *k)
{
	struct keyd_change_queue *q = &k->changes;
	struct keyd_change *c;

	while (!q->running && q->first) {
		c = q->first;
		if (!q->closed && k->ring && k->store && keyd_store_wants_snapshot(k->store) &&
		    !c->result) {
			c->result = 1;
			begin(k, &q->snapshot);
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
	c->result = 0;
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
}
