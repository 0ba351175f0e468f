/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_renew.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd.h"
#include "keyd/keyd_anchor.h"
#include "keyd/keyd_ring_anchor.h"
#include "sys/sys_file.h"

static void end(struct keyd_renew *r, int rc)
{
	secret_free(r->anchor, 32);
	free(r->path);
	free(r->dir);
	r->anchor = NULL;
	r->path = r->dir = NULL;
	r->done(r, rc);
}

static struct keyd_renew *of_job(struct keyd_pool_job *job)
{
	return (struct keyd_renew *)((uint8_t *)job - offsetof(struct keyd_renew, job));
}

static struct keyd_renew *of_change(struct keyd_change *change)
{
	return (struct keyd_renew *)((uint8_t *)change - offsetof(struct keyd_renew, change));
}

/* What the job needs of keyd: copies, since the disk thread outlives a lock. */
static int prepare(struct keyd *k, struct keyd_renew *r)
{
	const struct keyd_snapshot_head *head = keyd_store_head(k->store);

	r->keyd = k;
	r->result = 0;
	memcpy(r->store, head->id, sizeof(r->store));
	memcpy(r->keep, head->anchor, sizeof(r->keep));
	r->dir = strdup(k->conf->state);
	r->path = k->conf->anchor ? strdup(k->conf->anchor) : NULL;
	r->anchor = secret_alloc(32);
	return r->dir && r->anchor && (r->path || !k->conf->anchor) ? 0 : ERR_NOMEM;
}

/* The snapshot that is on disk must be there to stay before the anchor of the one before goes. */
static void erase_work(struct keyd_pool_job *job)
{
	struct keyd_renew *r = of_job(job);

	r->result = sys_file_sync_dir(r->dir);
	if (r->result == 0 && r->path)
		r->result = keyd_anchor_erase(r->path, r->store, r->keep);
}

static void erase_done(struct keyd_pool_job *job)
{
	struct keyd_renew *r = of_job(job);

	end(r, r->result);
}

static void erase(struct keyd_renew *r)
{
	r->job.work = erase_work;
	r->job.done = erase_done;
	keyd_pool_run(r->keyd->disk, &r->job);
}

static int snapshot_make(struct keyd_change *change)
{
	struct keyd_renew *r = of_change(change);
	struct keyd_snapshot_head head = *keyd_store_head(change->keyd->store);
	int rc = 0;

	head.restored = 0;
	if (r->path) {
		/* Since another was in use when this one was made: begin again. */
		if (memcmp(head.anchor, r->keep, sizeof(head.anchor)))
			return ERR_BUSY;
		rc = keyd_ring_anchor_begin(change->keyd->ring, r->anchor);
		memcpy(head.anchor, r->id, sizeof(head.anchor));
		if (!head.anchored)
			head.anchored = clock_wall();
	}
	if (rc == 0)
		rc = keyd_change_head(change, &head);
	if (rc < 0 && r->path)
		keyd_ring_anchor_cancel(change->keyd->ring);
	return rc;
}

/* What counts is the head that is on disk: a snapshot can be there although its journal failed. */
static void snapshot_done(struct keyd_change *change, int rc)
{
	struct keyd_renew *r = of_change(change);
	struct keyd *k = r->keyd;
	const struct keyd_snapshot_head *head = k->store ? keyd_store_head(k->store) : NULL;
	int there = head && !memcmp(head->anchor, r->id, sizeof(r->id));

	if (r->path && k->ring && there)
		keyd_ring_anchor_commit(k->ring);
	else if (r->path && k->ring)
		keyd_ring_anchor_cancel(k->ring);
	if (rc == 0 && r->path) {
		memcpy(r->keep, r->id, sizeof(r->keep));
		log_event(LOG_LEVEL_INFO, NULL, "anchor-replaced", NULL);
		erase(r);
		return;
	}
	end(r, rc);
}

static void snapshot(struct keyd_renew *r)
{
	r->change.make = snapshot_make;
	r->change.done = snapshot_done;
	keyd_change_start(r->keyd, &r->change);
}

static void anchor_work(struct keyd_pool_job *job)
{
	struct keyd_renew *r = of_job(job);

	/* A place that holds an older anchor may be needed until the snapshot of the one in use is
	 * there to stay. */
	r->result = sys_file_sync_dir(r->dir);
	if (r->result == 0)
		r->result = keyd_anchor_add(r->path, r->store, r->keep, r->id, r->anchor);
}

static void anchor_done(struct keyd_pool_job *job)
{
	struct keyd_renew *r = of_job(job);

	if (r->result < 0)
		end(r, r->result);
	else
		snapshot(r);
}

void keyd_renew_start(struct keyd *k, struct keyd_renew *r)
{
	int rc = prepare(k, r);

	if (rc < 0) {
		end(r, rc);
		return;
	}
	if (!r->path) {
		snapshot(r);
		return;
	}
	r->job.work = anchor_work;
	r->job.done = anchor_done;
	keyd_pool_run(k->disk, &r->job);
}

void keyd_renew_tidy(struct keyd *k, struct keyd_renew *r)
{
	int rc = prepare(k, r);

	if (rc < 0)
		end(r, rc);
	else
		erase(r);
}
