/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_replay.h"

#include <stdlib.h>

#include "core/err.h"
#include "relay/spool/spool_check.h"

void spool_replay_init(struct spool_replay *p, struct spool_live *live)
{
	memset(p, 0, sizeof(*p));
	p->live = live;
}

void spool_replay_clear(struct spool_replay *p)
{
	free(p->stamps);
	p->stamps = NULL;
}

static int stamp(struct spool_replay *p, const struct spool_entry *e, uint64_t run)
{
	uint32_t slot = spool_live_index(p->live, e);

	if (slot >= p->stamp_room) {
		uint32_t room = p->stamp_room ? p->stamp_room : 1024;
		uint64_t *more;
		while (room <= slot)
			room *= 2;
		more = realloc(p->stamps, room * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		memset(more + p->stamp_room, 0, (room - p->stamp_room) * sizeof(*more));
		p->stamps = more;
		p->stamp_room = room;
	}
	p->stamps[slot] = run;
	return 0;
}

static int take_parts(struct spool_replay *p, struct spool_entry *e, struct span meta)
{
	struct spool_place part;

	e->parts = (uint16_t)(meta.n / SPOOL_PLACE_SIZE) & 0x7fff;
	for (size_t i = 0; i < e->parts; i++)
		/* a place that means nothing shows when the PARTs are looked at */
		if (spool_record_get_place(meta.p + i * SPOOL_PLACE_SIZE, &part) == 0 &&
		    spool_live_hold(p->live, e, part.segment, part.length) < 0)
			return ERR_NOMEM;
	return 0;
}

static int take_commit(struct spool_replay *p, struct spool_point at, const struct spool_record *r,
		       struct span meta, int whole)
{
	struct spool_entry *e = spool_live_find(p->live, r->id);
	struct spool_place place = {at.segment, at.offset, spool_record_size(r)};

	if (!whole)
		return 0; /* it does not exist */
	if (e && e->recipients != r->count) {
		spool_live_remove(p->live, e);
		e = NULL;
	}
	if (!e) {
		e = spool_live_add(p->live, r->id);
		if (!e || spool_live_expect(p->live, e, r->count) < 0)
			return ERR_NOMEM;
	}
	spool_live_commit(p->live, e, place, r->time);
	return take_parts(p, e, meta) < 0 ? ERR_NOMEM : stamp(p, e, 0);
}

/* What was known of its recipients stays. One that is not known was lost, and is found again. */
static int take_copy(struct spool_replay *p, struct spool_point at, const struct spool_record *r,
		     struct span meta, int whole)
{
	struct spool_entry *e = spool_live_find(p->live, r->id);
	struct spool_place place = {at.segment, at.offset, spool_record_size(r)};
	int err;

	if (!whole)
		return 0; /* the message is where it was */
	if (!e || e->recipients != r->count) {
		err = take_commit(p, at, r, meta, whole);
		if (!err)
			spool_live_find(p->live, r->id)->copied = 1;
		return err;
	}
	spool_live_move(p->live, e, place, NULL, 0);
	return take_parts(p, e, meta);
}

/* Its meta counts even if the data, a text for trace, are damaged. */
static int take_state(struct spool_replay *p, struct spool_point at, const struct spool_record *r,
		      struct span meta, int whole)
{
	struct spool_entry *e = spool_live_find(p->live, r->id);
	struct spool_state st;
	int finished = 0;

	(void)at;
	(void)whole;
	for (size_t i = 0; e && i < r->count; i++)
		if (spool_record_get_state(meta.p + i * SPOOL_STATE_SIZE, &st) == 0)
			finished |= spool_live_apply(e, &st);
	if (finished) {
		spool_live_remove(p->live, e);
		p->finished++;
	}
	return 0;
}

static int take_check(struct spool_replay *p, struct spool_point at, const struct spool_record *r,
		      struct span meta, int whole)
{
	size_t done = 0;
	int more;

	(void)at;
	(void)whole;
	if (p->run != r->id) {
		p->run = r->id;
		p->run_records = 0;
	}
	do {
		struct spool_entry *e;
		more = spool_check_get(p->live, meta, &done, &e);
		if (more > 0 && e->remaining == 0)
			spool_live_remove(p->live, e);
		else if (more > 0 && stamp(p, e, p->run) < 0)
			more = ERR_NOMEM;
	} while (more > 0);
	if (more == 0)
		p->run_records++;
	return more == ERR_NOMEM ? more : 0;
}

static int take_end(struct spool_replay *p, struct spool_point at, const struct spool_record *r,
		    struct span meta, int whole)
{
	struct spool_end end;

	(void)r;
	(void)whole;
	if (spool_record_get_end(meta.p, &end) < 0 || spool_point_before(at, end.start))
		return 0;
	if (end.records && (p->run != spool_point_pack(end.start) || p->run_records != end.records))
		return 0;
	for (uint32_t i = 0; i < p->live->slots; i++) {
		struct spool_entry *e = spool_live_slot(p->live, i);
		struct spool_point where;
		if (!e)
			continue;
		where = (struct spool_point){e->at.segment, e->at.offset};
		if (spool_point_before(where, end.start) &&
		    (!end.records || p->stamps[i] != p->run)) {
			spool_live_remove(p->live, e);
			p->finished++;
		}
	}
	p->complete = end.start;
	p->complete_records = end.records;
	return 0;
}

static int pass(struct spool_replay *p, struct spool_point at, const struct spool_record *r,
		struct span meta, int whole)
{
	(void)p;
	(void)at;
	(void)r;
	(void)meta;
	(void)whole;
	return 0;
}

int spool_replay_record(struct spool_replay *p, struct spool_point at, const struct spool_record *r,
			struct span meta, int whole)
{
	static int (*const take[])(struct spool_replay *, struct spool_point,
				   const struct spool_record *, struct span, int) = {
	    [SPOOL_PART] = pass, /* their COMMIT knows them */
	    [SPOOL_COMMIT] = take_commit, [SPOOL_STATE] = take_state,
	    [SPOOL_CLOSE] = pass, /* read before, see spool_recover */
	    [SPOOL_CHECK] = take_check,	  [SPOOL_END] = take_end,
	    [SPOOL_COPY] = take_copy,
	};

	p->records++;
	if (r->kind >= sizeof(take) / sizeof(take[0]) || !take[r->kind])
		return 0;
	return take[r->kind](p, at, r, meta, whole);
}
