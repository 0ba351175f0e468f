/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_check.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/num.h"

#define GAIN	     8 /* a checkpoint must free, or follow, this many times its own size */
#define GROWTH	     4 /* segments of log after which one is due in any case */
#define AT_CLOSE_MAX (64u << 20)

/*   0    8         16      28           30      32         34       36
 *   | id | created | place | recipients | parts | segments | states | segment ... | state ...
 *     u64  i64       12      u16          u16     u16        u16      u32 each      16 each  */
#define ENTRY 36u

static unsigned known_states(const struct spool_entry *e)
{
	const struct spool_state *states = spool_live_states(e);
	unsigned n = 0;

	for (unsigned i = 0; i < e->recipients; i++)
		n += states[i].outcome != 0;
	return n;
}

uint32_t spool_check_size(const struct spool_entry *e)
{
	return ENTRY + e->hold_count * 4u + known_states(e) * SPOOL_STATE_SIZE;
}

uint32_t spool_check_put(uint8_t *p, const struct spool_entry *e)
{
	const struct spool_state *states = spool_live_states(e);
	uint8_t *q = p + ENTRY;

	num_put_u64(p, e->id);
	num_put_u64(p + 8, (uint64_t)e->created);
	spool_record_put_place(p + 16, &e->at);
	num_put_u16(p + 28, e->recipients);
	num_put_u16(p + 30, e->parts);
	num_put_u16(p + 32, e->hold_count);
	num_put_u16(p + 34, (uint16_t)known_states(e));
	for (unsigned i = 0; i < e->hold_count; i++, q += 4)
		num_put_u32(q, e->holds[i].segment);
	for (unsigned i = 0; i < e->recipients; i++)
		if (states[i].outcome) {
			spool_record_put_state(q, &states[i]);
			q += SPOOL_STATE_SIZE;
		}
	return (uint32_t)(q - p);
}

static int get_lists(struct spool_live *l, struct spool_entry *e, const uint8_t *p,
		     unsigned segments, unsigned states)
{
	struct spool_state st;

	for (unsigned i = 0; i < segments; i++, p += 4)
		if (!num_get_u32(p))
			return ERR_FORMAT;
		else if (spool_live_hold(l, e, num_get_u32(p), 0) < 0)
			return ERR_NOMEM;
	for (unsigned i = 0; i < states; i++, p += SPOOL_STATE_SIZE) {
		if (spool_record_get_state(p, &st) < 0 || st.recipient >= e->recipients)
			return ERR_FORMAT;
		spool_live_apply(e, &st);
	}
	return 0;
}

int spool_check_get(struct spool_live *l, struct span meta, size_t *at, struct spool_entry **out)
{
	const uint8_t *p = meta.p + *at;
	unsigned recipients, segments, states;
	struct spool_entry *e;
	struct spool_place place;
	uint64_t id;
	size_t size;
	int err;

	if (*at == meta.n)
		return 0;
	if (meta.n - *at < ENTRY)
		return ERR_FORMAT;
	id = num_get_u64(p);
	recipients = num_get_u16(p + 28);
	segments = num_get_u16(p + 32);
	states = num_get_u16(p + 34);
	size = ENTRY + 4u * segments + (size_t)SPOOL_STATE_SIZE * states;
	if (!id || !recipients || recipients > SPOOL_RECIPIENTS_MAX ||
	    spool_record_get_place(p + 16, &place) < 0 || meta.n - *at < size)
		return ERR_FORMAT;
	e = spool_live_find(l, id);
	if (e)
		spool_live_remove(l, e);
	e = spool_live_add(l, id);
	if (!e || spool_live_expect(l, e, (uint16_t)recipients) < 0)
		return ERR_NOMEM;
	spool_live_commit(l, e, place, (int64_t)num_get_u64(p + 8));
	e->parts = num_get_u16(p + 30) & 0x7fff;
	err = get_lists(l, e, p + ENTRY, segments, states);
	if (err) {
		spool_live_remove(l, e);
		return err;
	}
	*at += size;
	*out = e;
	return 1;
}

/* About what one writes. */
static uint64_t cost(const struct spool_log *s)
{
	return SPOOL_PAGE + s->live.committed * (ENTRY + SPOOL_STATE_SIZE) +
	       s->live.listed * SPOOL_STATE_SIZE;
}

static int idle(const struct spool_log *s, size_t i)
{
	return i + 2 < s->set.count && !s->set.all[i]->pins;
}

static int due(const struct spool_log *s)
{
	uint64_t gain = 0, size = s->options.segment_size, grown = s->check.since;
	int one = s->compact.emptied || atomic_load(&s->trouble) == ERR_NOSPACE;

	if (s->current->bad)
		return 0;
	if (s->check.wanted || (grown >= GROWTH * size && grown >= GAIN * cost(s)))
		return 1;
	for (size_t i = 0; i < s->set.count; i++)
		if (idle(s, i) && s->set.all[i]->mark.number >= s->check.done.segment)
			gain += s->set.all[i]->size;
	return gain >= (one ? 1 : 2) * size && gain >= GAIN * cost(s);
}

static void begin(struct spool_log *s)
{
	s->check.active = 1;
	s->check.start.segment = s->current->mark.number;
	s->check.start.offset = s->current->end + s->group.bytes;
	s->check.slot = s->check.records = s->check.messages = 0;
	s->check.since = 0;
}

/* One CHECK with as many entries as it takes. */
static void write_some(struct spool_log *s)
{
	struct spool_record r = {
	    .kind = SPOOL_CHECK, .id = spool_point_pack(s->check.start), .time = s->wall};
	struct span none = {NULL, 0};
	uint32_t slot = s->check.slot, room = SPOOL_META_MAX;
	uint8_t *head;
	int err;

	/* small segments (of tests) must have room for other things, too */
	if (room > s->options.segment_size / 8)
		room = s->options.segment_size / 8;
	head = spool_write_room(s, room, 0, 0, &err);
	if (!head || !s->check.active) { /* making room may have ended it */
		s->check.active = 0;
		return;
	}
	for (; slot < s->live.slots; slot++) {
		const struct spool_entry *e = spool_live_slot(&s->live, slot);
		if (!e || !e->at.segment)
			continue;
		if (r.count == UINT16_MAX || r.meta + spool_check_size(e) > room)
			break;
		r.meta += spool_check_put(head + SPOOL_HEAD + r.meta, e);
		r.count++;
	}
	if (r.count) {
		spool_write_seal(s, head, &r, none, none);
		s->check.records++;
		s->check.messages += r.count;
	} else if (slot < s->live.slots) { /* one entry larger than a small segment allows */
		s->check.active = 0;
		return;
	}
	s->check.slot = slot;
}

static void write_end(struct spool_log *s)
{
	struct spool_record r = {.kind = SPOOL_END, .time = s->wall, .meta = SPOOL_END_SIZE};
	struct spool_end end = {s->check.start, s->check.records, s->check.messages};
	struct span none = {NULL, 0};
	uint8_t *head;
	int err;

	head = spool_write_room(s, r.meta, 0, 0, &err);
	if (!head || !s->check.active) {
		s->check.active = 0;
		return;
	}
	spool_record_put_end(head + SPOOL_HEAD, &end);
	spool_write_seal(s, head, &r, none, none);
	spool_write_flush(s);
	if (s->check.active)
		spool_write_sync(s);
	if (!s->check.active) /* a failure on the way ended it */
		return;
	s->check.active = s->check.wanted = s->compact.emptied = 0;
	s->check.done = s->check.start;
	s->check.done_records = s->check.records;
	s->freed = 1;
	atomic_fetch_add(&s->number.checks, 1);
	log_debug("spool", NULL, "spool-checkpoint", "segment=%08x offset=%u messages=%u",
		  s->check.done.segment, s->check.done.offset, s->check.messages);
}

static void let_go(struct spool_log *s)
{
	for (size_t i = 0; i < s->set.count;) {
		struct spool_segment *g = s->set.all[i];
		if (!idle(s, i) || g->mark.number >= s->check.done.segment) {
			i++;
			continue;
		}
		spool_segment_set_remove(&s->set, g);
		atomic_fetch_sub(&s->number.segments, 1);
		atomic_fetch_sub(&s->number.used, g->size);
		spool_prepare_put_away(&s->prepare, g);
	}
}

static void go_on(struct spool_log *s)
{
	if (s->check.slot < s->live.slots)
		write_some(s);
	else
		write_end(s);
	spool_write_flush(s);
}

int spool_check_step(struct spool_log *s)
{
	if (s->check.active) {
		go_on(s);
	} else if (s->freed || s->check.wanted) {
		s->freed = 0;
		let_go(s);
		if (due(s))
			begin(s);
	}
	return s->check.active || s->freed;
}

void spool_check_all(struct spool_log *s)
{
	/* however large, if only it says what a bad segment took along */
	if (s->current->bad || (cost(s) > AT_CLOSE_MAX && !s->check.wanted))
		return;
	begin(s);
	while (s->check.active)
		go_on(s);
	let_go(s);
}
