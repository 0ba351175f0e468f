/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs become records, and are answered. What must hold: whatever may fail for want of memory is
 * done before a record is sealed into the group; a COMMIT lives (spool_live_commit) only after the
 * sync that covers it. */
#include <stdlib.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/spool/spool_log_own.h"

/* --- answers */

void spool_commit_reply(struct spool_log *s)
{
	for (unsigned i = 0; i < s->reply_count; i++)
		evt_inbox_post_chain(s->replies[i].inbox, s->replies[i].first, s->replies[i].last);
	s->reply_count = 0;
}

static void answer(struct spool_log *s, struct spool_job *j, int result)
{
	struct evt_msg *m = &j->msg.msg;
	unsigned i = 0;

	j->result = result;
	while (i < s->reply_count && s->replies[i].inbox != j->reply)
		i++;
	if (i == SPOOL_REPLY_INBOXES) {
		spool_commit_reply(s);
		i = 0;
	}
	m->next = NULL;
	if (i == s->reply_count) {
		s->replies[s->reply_count++] = (struct spool_reply){j->reply, m, m};
		return;
	}
	s->replies[i].last->next = m;
	s->replies[i].last = m;
}

/* --- what lives */

static void unpin(struct spool_log *s, uint32_t number, uint32_t bytes)
{
	if (spool_segment_set_unpin(&s->set, number, bytes))
		s->freed = 1;
	s->compact.stale = 1;
}

/* The entry goes, finished or given up. */
static void forget(struct spool_log *s, struct spool_entry *e)
{
	for (unsigned i = 0; i < e->hold_count; i++)
		unpin(s, e->holds[i].segment, e->holds[i].bytes);
	if (e->at.segment)
		unpin(s, e->at.segment, e->at.length);
	pthread_mutex_lock(&s->where);
	spool_live_remove(&s->live, e);
	pthread_mutex_unlock(&s->where);
	atomic_store_explicit(&s->number.live, s->live.committed, memory_order_relaxed);
}

static struct spool_entry *add(struct spool_log *s, uint64_t id)
{
	struct spool_entry *e;

	pthread_mutex_lock(&s->where);
	e = spool_live_add(&s->live, id);
	pthread_mutex_unlock(&s->where);
	return e;
}

static void give_up(struct spool_log *s, uint64_t id)
{
	struct spool_entry *e = spool_live_find(&s->live, id);

	if (e && !e->at.segment)
		forget(s, e);
}

static void confirm(struct spool_log *s, struct spool_job *j)
{
	struct spool_entry *e = spool_live_find(&s->live, j->id);

	pthread_mutex_lock(&s->where);
	spool_live_commit(&s->live, e, j->place, j->created);
	pthread_mutex_unlock(&s->where);
	spool_segment_set_pin(&s->set, j->place.segment, j->place.length);
	atomic_store_explicit(&s->number.live, s->live.committed, memory_order_relaxed);
	answer(s, j, 0);
}

/* Answers jobs that could not be written. STATEs get a second try, in another segment or in room
 * that is left. */
void spool_commit_fail(struct spool_log *s, struct evt_msg *jobs, int err)
{
	struct evt_msg *again = NULL, **link = &again;
	int second = s->states_again;

	while (jobs) {
		struct spool_job *j = (struct spool_job *)jobs;
		jobs = jobs->next;
		if (j->kind == SPOOL_STATE && !second) {
			*link = &j->msg.msg;
			link = &(*link)->next;
			continue;
		}
		if (j->kind == SPOOL_COMMIT)
			give_up(s, j->id);
		answer(s, j, err);
	}
	*link = NULL;
	if (!again)
		return;
	s->states_again = 1;
	while (again) {
		struct spool_job *j = (struct spool_job *)again;
		again = again->next;
		spool_commit_take(s, j);
	}
	spool_write_flush(s);
	s->states_again = 0;
}

/* --- what was written */

/* After its states changed. */
static void see_quarantine(struct spool_log *s, struct spool_entry *e)
{
	int before = e->quarantined, now = spool_live_quarantine(e);
	char id[ID_TEXT_SIZE];

	if (now && !before) {
		atomic_fetch_add(&s->number.quarantined, 1);
		id_format(id, e->id);
		log_event(LOG_LEVEL_ERROR, id, "message-quarantined", "segment=%08x offset=%u",
			  e->at.segment, e->at.offset);
	} else if (before && !now) {
		atomic_fetch_sub(&s->number.quarantined, 1);
	}
}

static void state_written(struct spool_log *s, struct spool_job *j)
{
	struct spool_entry *e = spool_live_find(&s->live, j->id);
	int finished = 0, look = 0;

	for (unsigned i = 0; e && e->at.segment && i < j->state_count; i++) {
		finished |= spool_live_apply(e, &j->states[i]);
		look |= j->states[i].outcome == SPOOL_HELD;
	}
	if (e && (look || e->quarantined))
		see_quarantine(s, e);
	if (finished)
		forget(s, e);
	answer(s, j, 0);
}

static void part_written(struct spool_log *s, struct spool_job *j)
{
	struct spool_entry *e = spool_live_find(&s->live, j->id);

	if (e) /* not dropped meanwhile */
		e->parts++;
	answer(s, j, 0);
}

static void commit_written(struct spool_log *s, struct spool_job *j)
{
	struct evt_msg *m = &j->msg.msg;

	m->next = NULL;
	if (s->waiting)
		s->waiting_last->next = m;
	else
		s->waiting = m;
	s->waiting_last = m;
}

void spool_commit_written(struct spool_log *s, struct evt_msg *jobs)
{
	static void (*const written[])(struct spool_log *, struct spool_job *) = {
	    [SPOOL_PART] = part_written,
	    [SPOOL_COMMIT] = commit_written,
	    [SPOOL_STATE] = state_written,
	};

	for (struct evt_msg *m = jobs; m; m = m->next)
		spool_live_soon(&s->live, ((struct spool_job *)m)->id);
	while (jobs) {
		struct spool_job *j = (struct spool_job *)jobs;
		jobs = jobs->next;
		written[j->kind](s, j);
	}
}

void spool_commit_synced(struct spool_log *s)
{
	struct evt_msg *m = s->waiting;

	s->waiting = s->waiting_last = NULL;
	while (m) {
		struct spool_job *j = (struct spool_job *)m;
		m = m->next;
		confirm(s, j);
	}
}

/* --- jobs */

static int seal_job(struct spool_log *s, struct spool_job *j, uint8_t *head, struct spool_record *r)
{
	j->place.segment = s->current->mark.number;
	j->place.offset = s->current->end + s->group.bytes;
	j->place.length = spool_record_size(r);
	spool_write_seal(s, head, r, j->head, j->body);
	s->group.jobs[s->group.job_count++] = j;
	return 0;
}

static struct spool_record record_of(const struct spool_log *s, const struct spool_job *j)
{
	struct spool_record r = {.kind = j->kind, .id = j->id, .time = s->wall};

	r.data = (uint32_t)(j->head.n + j->body.n);
	return r;
}

static int take_part(struct spool_log *s, struct spool_job *j)
{
	struct spool_record r = record_of(s, j);
	struct spool_entry *e = spool_live_find(&s->live, j->id);
	uint8_t *head;
	int err;

	if (!spool_record_legal(&r))
		return ERR_LIMIT;
	if (e && e->recipients)
		return ERR_BADSTATE; /* after its COMMIT */
	if (atomic_load_explicit(&s->trouble, memory_order_relaxed))
		return atomic_load(&s->trouble);
	head = spool_write_room(s, 0, r.data, SPOOL_RESERVE(s->current->size), &err);
	if (!head)
		return err;
	e = spool_live_find(&s->live, j->id); /* making room may have ended other transactions */
	if (!e)
		e = add(s, j->id);
	if (!e || e->parts == SPOOL_PARTS_MAX)
		return e ? ERR_LIMIT : ERR_NOMEM;
	err = spool_live_hold(&s->live, e, s->current->mark.number, spool_record_size(&r));
	if (err < 0)
		return err;
	spool_segment_set_hold(&s->set, s->current, (unsigned)err, spool_record_size(&r));
	return seal_job(s, j, head, &r);
}

/* A PART that was written but never synced, in a segment that went bad, is gone. */
static int parts_there(const struct spool_log *s, const struct spool_job *j)
{
	for (unsigned i = 0; i < j->part_count; i++) {
		const struct spool_segment *g =
		    spool_segment_set_find(&s->set, j->parts[i].segment);
		if (!g || (g->bad && j->parts[i].offset + j->parts[i].length > g->stable))
			return 0;
	}
	return 1;
}

static int write_commit(struct spool_log *s, struct spool_job *j, struct spool_record *r)
{
	struct spool_entry *e;
	uint8_t *head;
	int err;

	if (atomic_load_explicit(&s->trouble, memory_order_relaxed))
		return atomic_load(&s->trouble);
	head = spool_write_room(s, r->meta, r->data, SPOOL_RESERVE(s->current->size), &err);
	if (!head)
		return err;
	if (!parts_there(s, j))
		return ERR_IO;
	e = spool_live_find(&s->live, j->id);
	if (!e)
		e = add(s, j->id);
	if (!e || spool_live_expect(&s->live, e, j->recipients) < 0)
		return ERR_NOMEM;
	for (unsigned i = 0; i < j->part_count; i++)
		spool_record_put_place(head + SPOOL_HEAD + i * SPOOL_PLACE_SIZE, &j->parts[i]);
	s->group.commits++;
	return seal_job(s, j, head, r);
}

static int take_commit(struct spool_log *s, struct spool_job *j)
{
	struct spool_record r = record_of(s, j);
	struct spool_entry *e = spool_live_find(&s->live, j->id);
	int err;

	if (e && e->recipients)
		return ERR_BADSTATE; /* committed before: that one stays */
	r.time = j->created;
	r.count = j->recipients;
	r.meta = j->part_count <= SPOOL_PARTS_MAX ? j->part_count * SPOOL_PLACE_SIZE : UINT32_MAX;
	if (!spool_record_legal(&r))
		err = ERR_LIMIT;
	else if (j->part_count != (e ? e->parts : 0))
		err = ERR_BADSTATE;
	else
		err = write_commit(s, j, &r);
	if (err)
		give_up(s, j->id);
	return err;
}

static int take_state(struct spool_log *s, struct spool_job *j)
{
	struct spool_record r = record_of(s, j);
	struct spool_state check;
	uint8_t *head;
	int err;

	if (!j->state_count || j->state_count > SPOOL_RECIPIENTS_MAX)
		return ERR_LIMIT;
	r.count = (uint16_t)j->state_count;
	r.meta = j->state_count * SPOOL_STATE_SIZE;
	if (!spool_record_legal(&r))
		return ERR_LIMIT;
	head = spool_write_room(s, r.meta, r.data, 0, &err);
	if (!head)
		return err;
	for (unsigned i = 0; i < j->state_count; i++) {
		uint8_t *p = head + SPOOL_HEAD + i * SPOOL_STATE_SIZE;
		spool_record_put_state(p, &j->states[i]);
		if (spool_record_get_state(p, &check) < 0)
			return ERR_LIMIT;
	}
	return seal_job(s, j, head, &r);
}

/* Nothing is written: PARTs without a COMMIT are dead to every recovery. */
static int take_drop(struct spool_log *s, struct spool_job *j)
{
	const struct spool_entry *e = spool_live_find(&s->live, j->id);

	if (e && !e->recipients) /* else it has been committed: too late */
		give_up(s, j->id);
	answer(s, j, 0);
	return 0;
}

void spool_commit_take(struct spool_log *s, struct spool_job *j)
{
	static int (*const take[])(struct spool_log *, struct spool_job *) = {
	    [SPOOL_PART] = take_part,
	    [SPOOL_COMMIT] = take_commit,
	    [SPOOL_STATE] = take_state,
	    [SPOOL_DROP] = take_drop,
	};
	int err = ERR_BADSTATE;

	j->place = (struct spool_place){0};
	if (j->head.n > SPOOL_DATA_MAX || j->body.n > SPOOL_DATA_MAX)
		err = ERR_LIMIT;
	else if (j->kind >= SPOOL_PART && j->kind <= SPOOL_DROP)
		err = take[j->kind](s, j);
	if (err)
		answer(s, j, err);
}
