/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_compact.h"

#include <fcntl.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/spool/spool_dead.h"

#define SLICE_BYTES (512u << 10)
#define SLICE_SLOTS 32768u
#define MOVES	    128
#define AGAIN	    (60 * CLOCK_SEC) /* a segment that could not be emptied */

struct move {		/* one record on its way */
	uint64_t id;	/* 0: a PART */
	uint8_t *bytes; /* of the old record, until the new one is written */
	struct spool_place to;
	struct spool_hold *holds; /* of the message, from then on */
	unsigned hold_count;
};

struct slice {
	struct spool_log *s;
	struct move moves[MOVES];
	unsigned count;
	uint32_t bytes;
};

/* --- a message with PARTs, over some slices */

static void drop_long(struct spool_log *s)
{
	struct spool_compact *c = &s->compact;

	for (unsigned i = 0; i < c->pinned_count; i++)
		if (spool_segment_set_unpin(&s->set, c->pinned[i].segment, c->pinned[i].bytes))
			s->freed = 1;
	free(c->pinned);
	free(c->parts);
	c->id = 0;
	c->parts = NULL;
	c->pinned = NULL;
	c->part_count = c->next_part = c->pinned_count = 0;
}

static void end_pass(struct spool_log *s)
{
	struct spool_compact *c = &s->compact;

	drop_long(s);
	for (size_t i = 0; i < s->set.count; i++) {
		struct spool_segment *g = s->set.all[i];
		if (!g->leaving)
			continue;
		g->leaving = 0;
		if (g->pins && g->rest < s->now + AGAIN)
			g->rest = s->now + AGAIN;
	}
	c->active = 0;
	c->emptied |= c->segments;
	atomic_fetch_add(&s->number.emptied, c->segments);
	log_debug("spool", NULL, "spool-compacted", "segments=%u messages=%llu bytes=%llu",
		  c->segments, (unsigned long long)c->messages, (unsigned long long)c->bytes);
}

/* --- reading */

static int read_old(struct spool_log *s, const struct spool_place *at, uint64_t id,
		    struct spool_record *r, uint8_t **bytes)
{
	struct spool_segment *g = spool_segment_set_find(&s->set, at->segment);
	uint8_t *p;
	int n, err;

	if (!g || at->length < SPOOL_HEAD || at->length > SPOOL_RECORD_MAX || at->offset > g->end ||
	    at->length > g->end - at->offset)
		return ERR_DAMAGED;
	p = malloc(at->length);
	if (!p)
		return ERR_NOMEM;
	err = spool_segment_read(s->io, s->dir, g, p, at->length, at->offset);
	if (!err) {
		n = spool_record_get(r, &g->mark, at->offset, g->size, span_of(p, at->length));
		if (n <= 0 || r->id != id || spool_record_size(r) != at->length ||
		    spool_record_check(r, span_of(p + n, r->data)) < 0)
			err = ERR_DAMAGED;
	}
	if (err)
		free(p);
	else
		*bytes = p;
	return err;
}

/* What cannot be read stays, and its segment with it. */
static void stays(struct spool_log *s, const struct spool_place *at, uint64_t id)
{
	struct spool_segment *g = spool_segment_set_find(&s->set, at->segment);
	char text[ID_TEXT_SIZE];

	if (!g)
		return;
	g->damaged = 1;
	g->rest = INT64_MAX;
	atomic_fetch_add(&s->number.damaged, 1);
	id_format(text, id);
	log_event(LOG_LEVEL_ERROR, text, "spool-damaged",
		  "segment=%08x offset=%u bytes=%u kind=message", at->segment, at->offset,
		  at->length);
}

static void advise(const struct spool_log *s, const struct spool_place *at)
{
	const struct spool_segment *g = spool_segment_set_find(&s->set, at->segment);

	if (g && g->fd >= 0)
		posix_fadvise(g->fd, at->offset, at->length, POSIX_FADV_WILLNEED);
}

/* --- copying: 0; ERR_DAMAGED: this one stays; else the pass ends */

static uint8_t *have_room(struct slice *sl, const struct spool_record *r, int *err)
{
	struct spool_log *s = sl->s;

	if (spool_dead_full(s) && spool_dead_room(s) < spool_record_size(r)) {
		*err = ERR_NOSPACE;
		return NULL;
	}
	return spool_write_room(s, r->meta, r->data, SPOOL_RESERVE(s->current->size), err);
}

/* Seals the new record; bytes, which the group points into, are the slice's from then on. */
static struct move *put(struct slice *sl, uint8_t *head, struct spool_record *r, uint8_t *bytes)
{
	struct spool_log *s = sl->s;
	struct move *m = &sl->moves[sl->count++];
	struct span none = {NULL, 0};

	*m = (struct move){.bytes = bytes};
	m->to.segment = s->current->mark.number;
	m->to.offset = s->current->end + s->group.bytes;
	m->to.length = spool_record_size(r);
	spool_write_seal(s, head, r, span_of(bytes + SPOOL_HEAD + r->meta, r->data), none);
	sl->bytes += m->to.length;
	return m;
}

static int list_holds(const uint8_t *meta, unsigned count, struct spool_hold **holds,
		      unsigned *hold_count)
{
	struct spool_place at;

	for (unsigned i = 0; i < count; i++) {
		if (spool_record_get_place(meta + i * SPOOL_PLACE_SIZE, &at) < 0)
			return ERR_DAMAGED;
		if (spool_live_hold_in(holds, hold_count, at.segment, at.length) < 0)
			return ERR_NOMEM;
	}
	return 0;
}

/* parts: where its PARTs are now; NULL: where its record says. */
static int copy_message(struct slice *sl, const struct spool_entry *e,
			const struct spool_place *parts)
{
	struct spool_log *s = sl->s;
	struct spool_hold *holds = NULL;
	unsigned hold_count = 0;
	struct spool_record r;
	struct move *m;
	uint8_t *bytes, *head;
	int err = read_old(s, &e->at, e->id, &r, &bytes);

	if (err)
		return err;
	err = ERR_DAMAGED;
	if (!spool_record_is_message(r.kind) || r.meta != e->parts * SPOOL_PLACE_SIZE)
		goto fail;
	for (unsigned i = 0; parts && i < e->parts; i++)
		spool_record_put_place(bytes + SPOOL_HEAD + i * SPOOL_PLACE_SIZE, &parts[i]);
	err = list_holds(bytes + SPOOL_HEAD, e->parts, &holds, &hold_count);
	if (err)
		goto fail;
	r.kind = SPOOL_COPY;
	head = have_room(sl, &r, &err);
	if (!head)
		goto fail;
	if (r.meta)
		memcpy(head + SPOOL_HEAD, bytes + SPOOL_HEAD, r.meta);
	m = put(sl, head, &r, bytes);
	m->id = e->id;
	m->holds = holds;
	m->hold_count = hold_count;
	return 0;
fail:
	free(holds);
	free(bytes);
	return err;
}

static int begin_long(struct spool_log *s, const struct spool_entry *e)
{
	struct spool_compact *c = &s->compact;
	struct spool_record r;
	uint8_t *bytes;
	int err = read_old(s, &e->at, e->id, &r, &bytes);

	if (err)
		return err;
	c->parts = malloc(e->parts * sizeof(*c->parts));
	if (!spool_record_is_message(r.kind) || r.meta != e->parts * SPOOL_PLACE_SIZE)
		err = ERR_DAMAGED;
	else if (!c->parts)
		err = ERR_NOMEM;
	for (unsigned i = 0; !err && i < e->parts; i++)
		if (spool_record_get_place(bytes + SPOOL_HEAD + i * SPOOL_PLACE_SIZE,
					   &c->parts[i]) < 0)
			err = ERR_DAMAGED;
	free(bytes);
	c->id = e->id;
	c->part_count = e->parts;
	c->next_part = 0;
	if (err)
		drop_long(s);
	return err;
}

static int copy_part(struct slice *sl, struct spool_place *at)
{
	struct spool_log *s = sl->s;
	struct spool_compact *c = &s->compact;
	struct spool_record r;
	struct move *m;
	uint8_t *bytes, *head;
	int rc = read_old(s, at, c->id, &r, &bytes);

	if (!rc && r.kind != SPOOL_PART) {
		free(bytes);
		rc = ERR_DAMAGED;
	}
	if (rc)
		return rc;
	r.time = s->wall;
	head = have_room(sl, &r, &rc);
	if (head)
		rc = spool_live_hold_in(&c->pinned, &c->pinned_count, s->current->mark.number,
					at->length);
	if (!head || rc < 0) {
		free(bytes);
		return rc;
	}
	spool_segment_set_hold(&s->set, s->current, (unsigned)rc, at->length);
	m = put(sl, head, &r, bytes);
	*at = m->to;
	return 0;
}

/* PARTs first; when they are stable, the COPY. */
static int go_on_long(struct slice *sl)
{
	struct spool_log *s = sl->s;
	struct spool_compact *c = &s->compact;
	const struct spool_entry *e = spool_live_find(&s->live, c->id);
	int err = 0;

	if (!e || !e->at.segment || e->parts != c->part_count) {
		drop_long(s); /* finished meanwhile */
		return 0;
	}
	if (c->next_part == c->part_count) {
		err = copy_message(sl, e, c->parts);
		if (err == ERR_DAMAGED)
			stays(s, &e->at, e->id);
	}
	while (!err && c->next_part < c->part_count && sl->count < MOVES &&
	       sl->bytes < SLICE_BYTES) {
		struct spool_place *at = &c->parts[c->next_part];
		err = spool_dead_leaving(s, at->segment) ? copy_part(sl, at) : 0;
		if (err == ERR_DAMAGED)
			stays(s, at, e->id);
		else if (!err)
			c->next_part++;
	}
	if (err == ERR_DAMAGED) {
		drop_long(s);
		err = 0;
	}
	return err;
}

/* The next messages of the pass that lie in a leaving segment. */
static unsigned gather(struct spool_log *s, struct spool_entry **all, unsigned max)
{
	struct spool_compact *c = &s->compact;
	uint32_t bytes = 0, slots = SLICE_SLOTS;
	unsigned n = 0;

	for (; c->slot < s->live.slots && slots && n < max && bytes < SLICE_BYTES;
	     c->slot++, slots--) {
		struct spool_entry *e = spool_live_slot(&s->live, c->slot);
		int err;
		if (!e || !e->at.segment)
			continue;
		if (spool_dead_parts(s, e)) {
			if (n)
				break; /* first those before */
			err = begin_long(s, e);
			if (err == ERR_DAMAGED)
				stays(s, &e->at, e->id);
			if (err)
				continue;
			c->slot++;
			break;
		}
		if (spool_dead_leaving(s, e->at.segment)) {
			advise(s, &e->at);
			bytes += e->at.length;
			all[n++] = e;
		}
	}
	return n;
}

static int copy_some(struct slice *sl)
{
	struct spool_entry *all[MOVES];
	unsigned n;
	int err = 0;

	if (sl->s->compact.id)
		return go_on_long(sl);
	n = gather(sl->s, all, MOVES);
	for (unsigned i = 0; i < n && !err; i++) {
		err = copy_message(sl, all[i], NULL);
		if (err == ERR_DAMAGED) {
			stays(sl->s, &all[i]->at, all[i]->id);
			err = 0;
		}
	}
	return err;
}

/* --- the copies are stable */

static void unpin(struct spool_log *s, uint32_t number, uint32_t bytes)
{
	if (!spool_segment_set_unpin(&s->set, number, bytes))
		return;
	s->freed = 1;
	s->compact.segments += (unsigned)spool_dead_leaving(s, number);
}

static void settle(struct spool_log *s, struct move *m)
{
	struct spool_entry *e = spool_live_find(&s->live, m->id);

	if (!e)
		return;
	for (unsigned i = 0; i < e->hold_count; i++)
		unpin(s, e->holds[i].segment, e->holds[i].bytes);
	unpin(s, e->at.segment, e->at.length);
	pthread_mutex_lock(&s->where);
	spool_live_move(&s->live, e, m->to, m->holds, m->hold_count);
	pthread_mutex_unlock(&s->where);
	m->holds = NULL;
	for (unsigned i = 0; i < e->hold_count; i++)
		spool_segment_set_pin(&s->set, e->holds[i].segment, e->holds[i].bytes);
	spool_segment_set_pin(&s->set, e->at.segment, e->at.length);
	if (s->compact.id == e->id)
		drop_long(s);
	s->compact.messages++;
	atomic_fetch_add(&s->number.moved, 1);
}

/* 0, or ERR_*: then all is as before, and the pass must end. */
static int one_slice(struct spool_log *s)
{
	unsigned failures = s->failures;
	struct slice sl;
	int err;

	sl.s = s;
	sl.count = 0;
	sl.bytes = 0;
	/* a STATE that is only gathered yet may finish what would be copied behind it */
	spool_write_flush(s);
	err = copy_some(&sl);
	spool_write_flush(s);
	if (sl.count)
		spool_write_sync(s);
	if (!err && s->failures != failures)
		err = ERR_IO;
	s->compact.bytes += sl.bytes;
	for (unsigned i = 0; i < sl.count; i++) {
		if (s->failures == failures && sl.moves[i].id)
			settle(s, &sl.moves[i]);
		free(sl.moves[i].holds);
		free(sl.moves[i].bytes);
	}
	return err;
}

void spool_compact_step(struct spool_log *s)
{
	struct spool_compact *c = &s->compact;
	int64_t before = clock_mono();

	if (spool_compact_due(s) < 0 || spool_compact_due(s) > s->now)
		return;
	if (s->check.active || atomic_load(&s->trouble) == ERR_IO) {
		c->rest = s->now + (s->check.active ? 0 : s->options.look);
		return;
	}
	if (!c->active) {
		c->stale = 0;
		c->chosen = s->now;
		c->active = spool_dead_choose(s);
		c->slot = 0;
		c->messages = c->bytes = c->segments = 0;
		return;
	}
	if (one_slice(s) < 0) {
		end_pass(s);
		c->stale = 1;
		c->chosen = s->now;
	} else if (c->slot >= s->live.slots && !c->id) {
		end_pass(s);
	}
	c->rest = spool_dead_full(s) ? 0 : clock_mono() + s->options.pace * (clock_mono() - before);
}

int64_t spool_compact_due(const struct spool_log *s)
{
	const struct spool_compact *c = &s->compact;
	int64_t due = c->active ? 0 : c->chosen + s->options.look;

	if (s->options.pace < 0 || s->current->bad || (!c->active && !c->stale))
		return -1;
	return due > c->rest ? due : c->rest;
}

void spool_compact_stop(struct spool_log *s)
{
	drop_long(s);
	s->compact.active = 0;
	s->compact.stale = 0;
}
