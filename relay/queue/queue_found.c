/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/queue/queue_priv.h"

#define PAUSE_KEYD  CLOCK_SEC
#define PAUSE_LOCAL (60 * CLOCK_SEC)
#define DAY	    (INT64_C(86400) * CLOCK_SEC)
#define DOUBT	    (30 * DAY) /* beyond retry.expire: rather a wrong clock than so old a message */

/* --- before the thread runs */

/* That of a message with one recipient is a piece of the slab, which a group takes over later. */
static int fits_piece(unsigned count)
{
	return sizeof(struct queue_found) + count * sizeof(struct spool_state) <= QUEUE_PIECE;
}

static struct queue_found *take_piece(struct queue *q, unsigned count)
{
	struct queue_found *f;

	if (!fits_piece(count))
		return calloc(1, sizeof(*f) + count * sizeof(*f->states));
	f = queue_slab_take(&q->pieces);
	if (f)
		memset(f, 0, sizeof(*f));
	return f;
}

static void give_piece(struct queue *q, struct queue_found *f)
{
	if (fits_piece(f->count))
		queue_slab_give(&q->pieces, f);
	else
		free(f);
}

static struct queue_found *found_new(struct queue *q, const struct spool_found *f)
{
	struct queue_found *mine;
	unsigned n = 0;

	for (unsigned i = 0; i < f->recipients; i++)
		n += !spool_outcome_final(f->states[i].outcome);
	if (n == 0)
		return NULL;
	mine = take_piece(q, n);
	if (!mine)
		log_fatal(EXIT_ENVIRONMENT, "start-refused", "why=\"no memory for the queue\"");
	for (unsigned i = 0; i < f->recipients; i++)
		if (!spool_outcome_final(f->states[i].outcome)) {
			mine->states[mine->count] = f->states[i];
			mine->states[mine->count++].recipient = (uint16_t)i;
		}
	mine->total = f->recipients;
	mine->timer = QUEUE_SCHED_OUT;
	mine->reason = QUEUE_RECOVERED;
	return mine;
}

/* How old it is on our own clock. The wall clock may have been wrong then, or be wrong now: nothing
 * is younger than new, what seems to be older than mail can be begins anew, and even the oldest is
 * tried once more before it is given up. */
static int32_t born(const struct queue *q, int64_t created)
{
	const struct relay_conf *conf = atomic_load(&q->relay->conf);
	int64_t age = q->wall - created, now = (q->now - q->epoch) / CLOCK_SEC;

	if (age < 0 || age > conf->retry.expire + DOUBT)
		age = 0;
	age /= CLOCK_SEC;
	if (age > INT32_MAX / 2)
		age = INT32_MAX / 2;
	return (int32_t)(now - age);
}

void queue_add_found(struct queue *q, const struct spool_found *f)
{
	struct queue_found *mine = found_new(q, f);
	struct queue_message *m;

	if (!mine)
		return;
	if (queue_index_find(&q->index, f->id)) {
		give_piece(q, mine);
		return;
	}
	m = queue_message_new(q, f->id);
	if (!m || queue_sched_reserve(&q->reopens, (uint32_t)q->unopened_count + 1) < 0)
		log_fatal(EXIT_ENVIRONMENT, "start-refused", "why=\"no memory for the queue\"");
	m->at = f->place;
	m->created = f->created;
	m->born = born(q, f->created);
	m->u.found = mine;
	mine->message = m;
	q->unopened_count++;
	q->recipients += mine->count;
	list_push_back(&q->unopened, &mine->link);
}

/* --- on the thread */

void queue_found_leave(struct queue *q, struct queue_found *f)
{
	queue_sched_remove(&q->reopens, &f->timer);
	if (list_linked(&f->link))
		list_remove(&f->link);
}

void queue_found_again(struct queue *q, struct queue_found *f, int64_t pause)
{
	queue_found_leave(q, f);
	if (pause > 0)
		queue_sched_add(&q->reopens, q->now + pause, &f->timer);
	else
		list_push_back(&q->unopened, &f->link);
}

void queue_found_free(struct queue *q, struct queue_found *f)
{
	queue_found_leave(q, f);
	q->unopened_count--;
	q->recipients -= f->count;
	give_piece(q, f);
}

static const struct spool_state *state_of(const struct queue_found *f, uint16_t recipient)
{
	unsigned low = 0, high = f->count;

	while (high - low > 1) {
		unsigned mid = low + (high - low) / 2;
		if (f->states[mid].recipient <= recipient)
			low = mid;
		else
			high = mid;
	}
	return &f->states[low];
}

/* How long until a recipient's next attempt. What was due long ago, by a clock that is wrong perhaps,
 * does not come all at once. */
static int64_t left(const struct queue *q, const struct spool_state *s, uint64_t id)
{
	int64_t in = s->outcome == SPOOL_DEFERRED ? s->next - q->wall : 0;

	return in < -DAY ? queue_retry_spread(&q->retry, id) : in;
}

/* A group takes up where its recipients were: the most attempts, the earliest next. */
static void resume(struct queue *q, struct queue_group *g, const struct queue_found *f, int hold)
{
	int64_t most = q->retry.max + q->retry.max / 8, pause = most;

	int held = 0;

	g->reason = QUEUE_RECOVERED;
	for (unsigned i = 0; i < g->count; i++) {
		const struct spool_state *s = state_of(f, g->recipients[i]);
		int64_t in = left(q, s, g->message->id);
		if (s->attempts >= g->attempts && s->outcome == SPOOL_DEFERRED) {
			g->attempts = s->attempts;
			g->reason = s->reason & ~QUEUE_TOLD;
			g->code = s->code;
		}
		g->told |= (s->reason & QUEUE_TOLD) != 0;
		if (s->outcome == SPOOL_HELD || (s->outcome == 0 && hold))
			held = s->outcome ? s->reason : QUEUE_QUARANTINE;
		if (in < pause)
			pause = in;
	}
	if (held)
		queue_group_hold(q, g, (uint8_t)held);
	else if (pause > 0)
		queue_group_wait(q, g, pause);
	else
		queue_group_ready(q, g, 0);
}

static int place_all(struct queue *q, struct queue_message *m, const struct spool_envelope *e)
{
	struct queue_found *f = m->u.found;
	uint16_t only[SPOOL_RECIPIENTS_MAX];
	struct queue_group *g, *next;
	struct queue_add *a;

	for (unsigned i = 0; i < f->count; i++)
		only[i] = f->states[i].recipient;
	a = queue_add_make(e, only, f->count, "");
	if (!a || queue_add_groups(q, m, a, NULL) < 0 || queue_order_opened(q, m) < 0) {
		while (m->groups)
			queue_group_drop(q, m->groups);
		queue_add_free(a);
		return ERR_NOMEM;
	}
	m->opened = 1;
	m->u.fresh = NULL;
	m->size = a->size;
	q->bytes += m->size;
	for (g = m->groups; g; g = next) {
		next = g->next;
		if (!g->strand->dying && !(m->bounce && queue_one_back(q, g)))
			resume(q, g, f, a->hold);
	}
	queue_found_free(q, f);
	queue_add_free(a);
	return 0;
}

/* events: message-lost message-damaged message-unopened */
static void say(enum log_level level, const struct queue_message *m, const char *event, int err,
		unsigned attempts)
{
	char text[ID_TEXT_SIZE];

	id_format(text, m->id);
	log_event(level, text, event, "why=\"%s\" attempts=%u", err_text(err), attempts);
}

static void end(struct queue *q, struct queue_message *m, uint8_t outcome, uint8_t reason)
{
	struct queue_found *f = m->u.found;

	for (unsigned i = 0; i < f->count; i++) {
		f->states[i].outcome = outcome;
		f->states[i].reason = reason;
	}
	queue_post_state(q, m->id, f->states, f->count, NULL, NULL);
	queue_message_free(q, m);
}

static void lost(struct queue *q, struct queue_message *m, int err)
{
	say(LOG_LEVEL_ERROR, m, "message-lost", err, m->u.found->attempts);
	end(q, m, SPOOL_EXPIRED, QUEUE_DAMAGED);
}

/* events: customer-destroyed */
static void destroyed(struct queue *q, struct queue_message *m)
{
	char text[ID_TEXT_SIZE];

	id_format(text, m->id);
	log_event(LOG_LEVEL_WARN, text, "customer-destroyed",
		  "what=\"its mail cannot be read any more\"");
	end(q, m, SPOOL_BOUNCED, QUEUE_LOCAL);
}

/* It cannot be opened. If that is the message's own fault it is kept and tried now and then, until
 * its time is over: an administrator may still find a cause, or restore what is missing. What belongs to a
 * customer who was destroyed ends at once. */
static void refused(struct queue *q, struct queue_message *m, int err)
{
	struct queue_found *f = m->u.found;

	switch (err) {
	case ERR_AWAY:
	case ERR_LOCKED:
	case ERR_BUSY:
	case ERR_TIMEOUT:
		f->reason = QUEUE_KEYD;
		queue_found_again(q, f, q->open ? PAUSE_KEYD : 0);
		return;
	case ERR_AUTH:
	case ERR_DAMAGED:
	case ERR_FORMAT:
	case ERR_NOTFOUND:
		f->reason = QUEUE_DAMAGED;
		if (f->attempts == 0)
			relay_count(q->relay, damaged, 1);
		if (f->attempts < UINT16_MAX)
			f->attempts++;
		if (f->attempts > 1 && queue_age(q, m) >= q->retry.expire) {
			lost(q, m, err);
			return;
		}
		say(LOG_LEVEL_ERROR, m, "message-damaged", err, f->attempts);
		queue_found_again(q, f, queue_retry_pause(&q->retry, UINT16_MAX, m->id));
		return;
	case ERR_GONE: /* its keys, for good: no cause is to be found */
		destroyed(q, m);
		return;
	default:
		f->reason = QUEUE_LOCAL;
		say(LOG_LEVEL_WARN, m, "message-unopened", err, f->attempts);
		queue_found_again(q, f, PAUSE_LOCAL);
	}
}

void queue_found_back(struct queue *q, struct queue_task *t)
{
	struct queue_found *f = t->found;
	struct queue_message *m = f->message;
	struct spool_envelope *e = t->job.opened;
	int err = e ? 0 : t->job.err < 0 ? t->job.err : ERR_IO;

	q->opening_out--;
	f->task = NULL;
	if (e && e->count != f->total)
		err = ERR_DAMAGED;
	if (m->deleted) {
		queue_found_again(q, f, 0); /* into a place that deleting takes it from */
		queue_result_delete(q, m, NULL, NULL);
	} else {
		if (err == 0)
			err = place_all(q, m, e);
		if (err == ERR_NOMEM)
			queue_found_again(q, f, PAUSE_KEYD);
		else if (err < 0)
			refused(q, m, err);
	}
	if (e) {
		spool_envelope_clear(e);
		free(e);
	}
	t->job.opened = NULL;
}
