/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "core/num.h"
#include "relay/bounce/bounce_class.h"
#include "relay/ledger/ledger.h"
#include "relay/queue/queue_priv.h"
#include "relay/tlsrpt/tlsrpt_result.h"

#define MOVED_OFTEN   (60 * CLOCK_SEC)
#define UNTRIED_PAUSE CLOCK_SEC /* before a job that could not be tried is handed out again */

/* --- what a reason says about the destination */

enum verdict {
	NOTHING, /* about the destination */
	SPOKE,	 /* it answers: it is alive */
	SOFT,	 /* perhaps this message, perhaps the destination */
	HARD,	 /* nobody gets through now */
};
static const uint8_t verdict_of[] = {
    [QUEUE_CONNECT] = HARD,  [QUEUE_DNS] = HARD,       [QUEUE_TLS] = HARD,
    [QUEUE_GREETING] = HARD, [QUEUE_SENDER] = SPOKE,   [QUEUE_RECIPIENT] = SPOKE,
    [QUEUE_DATA] = SPOKE,    [QUEUE_LOST] = SOFT,      [QUEUE_TIMEOUT] = SOFT,
    [QUEUE_PROTOCOL] = SOFT, [QUEUE_AUTH] = HARD,
};

static enum verdict verdict(const struct queue_task *t)
{
	enum verdict v = NOTHING;

	for (unsigned i = 0; i < t->job.count; i++) {
		const struct queue_result *r = &t->job.results[i];
		enum verdict one = NOTHING;
		if (r->outcome == SPOOL_DELIVERED)
			return SPOKE;
		if (r->reason < sizeof(verdict_of))
			one = verdict_of[r->reason];
		if (one > SPOKE && r->whose == QUEUE_WHOSE_MESSAGE)
			one = NOTHING;
		if (one == SPOKE)
			return SPOKE;
		/* what is final was no failure to get through, whatever kept it */
		if (r->outcome == SPOOL_DEFERRED && one > v)
			v = one;
	}
	return v;
}

/* --- the destination's door */

static void say_door(const struct queue_site *d, uint64_t id, int64_t pause)
{
	char text[ID_TEXT_SIZE], in[24], word[QUEUE_WORD];

	id_format(text, id);
	num_format_duration(in, pause);
	log_event(LOG_LEVEL_INFO, text, "destination-backoff",
		  "reason=%s code=%u failures=%u next-in=%s waiting=%u",
		  queue_reason_word(word, d->reason), d->code, d->failures, in, d->ready);
}

/* Who waits for a closed door needs no keys at hand meanwhile. */
static void drop_fresh(struct queue *q, struct queue_site *d)
{
	if (q->fresh_count == 0)
		return;
	list_each(l, &d->lines, struct queue_line, of_site)
		list_each(s, &l->strands, struct queue_strand, of_line)
			list_each(g, &s->ready, struct queue_group, at.link)
				queue_message_drop_fresh(q, g->message);
}

static void close_door(struct queue *q, struct queue_site *d, const struct queue_task *t)
{
	int64_t pause;

	if (d->failures < UINT16_MAX)
		d->failures++;
	d->epoch++;
	d->soft = 0;
	d->door = QUEUE_DOOR_BACKOFF;
	d->rest = 0;
	pause = queue_retry_pause(&q->retry, d->failures, d->node.hash);
	queue_sched_remove(&q->backoffs, &d->timer);
	queue_sched_add(&q->backoffs, q->now + pause, &d->timer);
	say_door(d, t->job.id, pause);
	drop_fresh(q, d);
}

static void open_door(struct queue *q, struct queue_site *d, uint64_t id)
{
	int was_proven = queue_place_proven(q, d);
	int was_open = d->door == QUEUE_DOOR_OPEN;
	char text[ID_TEXT_SIZE];

	d->goods++;
	d->last_good = q->now;
	d->failures = 0;
	d->soft = 0;
	if (!was_open) {
		if (d->door == QUEUE_DOOR_BACKOFF)
			queue_sched_remove(&q->backoffs, &d->timer);
		d->door = QUEUE_DOOR_OPEN;
		id_format(text, id);
		log_event(LOG_LEVEL_INFO, text, "destination-open", "waiting=%u", d->ready);
	}
	if (!was_open || !was_proven)
		queue_dispatch_proven(q, d);
}

static const struct queue_result *first_deferred(const struct queue_task *t)
{
	for (unsigned i = 0; i < t->job.count; i++)
		if (t->job.results[i].outcome == SPOOL_DEFERRED)
			return &t->job.results[i];
	return NULL;
}

static void learn_reply(struct queue_site *d, struct queue_domain *from, const char *text)
{
	queue_key_reply_unref(d->reply);
	d->reply = queue_key_reply(from, text);
}

/* Returns 1 if the job failed with its site or its domain, so that it waits with it. */
static int judge(struct queue *q, struct queue_strand *s, struct queue_task *t)
{
	enum verdict v = verdict(t);
	const struct queue_result *r = first_deferred(t);
	struct queue_site *d = t->site;

	if (v == SPOKE)
		open_door(q, d, t->job.id);
	if (v < SOFT || !r)
		return 0;
	if ((r->reason == QUEUE_DNS || r->whose == QUEUE_WHOSE_DOMAIN) && s->mx) { /* its site serves others */
		queue_domain_failed(q, s->domain, r);
		return 1;
	}
	if (d->epoch != t->epoch) /* this failure is known: others came back before */
		return d->door != QUEUE_DOOR_OPEN && v == HARD;
	if (d->goods != t->goods) /* others got through meanwhile */
		return 0;
	if (v == SOFT && !t->probe && ++d->soft < QUEUE_SOFT_MAX)
		return 0;
	d->reason = r->reason;
	d->code = r->code;
	learn_reply(d, s->domain, r->reply);
	close_door(q, d, t);
	return 1;
}

/* --- the recipients */

/* Keeps what is not final. Results are in the order of the group's recipients. */
static void keep_deferred(struct queue *q, struct queue_group *g, const struct queue_task *t)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < g->count; i++)
		if (!spool_outcome_final(t->job.results[i].outcome)) {
			t->job.results[kept] = t->job.results[i];
			g->recipients[kept++] = g->recipients[i];
		}
	q->active -= g->count - kept;
	q->recipients -= g->count - kept;
	g->strand->active -= g->count - kept;
	g->strand->recipients -= g->count - kept;
	if (g->strand->dying) {
		q->draining -= g->count - kept;
		g->strand->dying->gone += g->count - kept;
	}
	g->count = (uint16_t)kept;
}

/* A result nobody filled in, or of a kind that is not for workers, is a deferral of ours. */
static void complete(struct queue_task *t)
{
	for (unsigned i = 0; i < t->job.count; i++) {
		struct queue_result *r = &t->job.results[i];
		if (!spool_outcome_final(r->outcome) && r->outcome != SPOOL_DEFERRED) {
			r->outcome = SPOOL_DEFERRED;
			r->reason = QUEUE_LOCAL;
		}
	}
}

/* Reasons of jobs that were given back as they were: no attempt, no news. */
static const uint8_t not_tried[] = {
    [QUEUE_KEYD] = 1,	     [QUEUE_RETRY] = 1,	 [QUEUE_RATE] = 1,     [QUEUE_CONNECTIONS] = 1,
    [QUEUE_WARMUP] = 1,	     [QUEUE_BACKOFF] = 1, [QUEUE_SUSPENDED] = 1,
};

static int untried(const struct queue *q, const struct queue_group *g, const struct queue_task *t)
{
	for (unsigned i = 0; i < g->count; i++) {
		uint8_t reason = t->job.results[i].reason;
		if (!(reason < sizeof(not_tried) && not_tried[reason]) &&
		    !(reason == QUEUE_LOCAL && atomic_load(&q->relay->stopping)))
			return 0;
	}
	return 1;
}

static void put_back(struct queue *q, struct queue_group *g, const struct queue_task *t)
{
	uint8_t reason = t->job.results[0].reason;

	if (reason != QUEUE_RETRY && reason != QUEUE_LOCAL)
		g->reason = reason;
	if (t->moved) /* its site is another: there it may go at once */
		queue_group_ready(q, g, 1);
	else if (q->open && !q->stopping) /* what it lacked is there for us, but was not for the worker */
		queue_group_wait(q, g, UNTRIED_PAUSE);
	else if (g->expired)
		queue_group_expire(q, g);
	else
		queue_group_ready(q, g, 1);
}

static void say_rescheduled(const struct queue_group *g, int64_t pause)
{
	char text[ID_TEXT_SIZE], in[24], word[QUEUE_WORD];

	id_format(text, g->message->id);
	num_format_duration(in, pause);
	log_event(LOG_LEVEL_INFO, text, "rescheduled",
		  "reason=%s code=%u attempts=%u recipients=%u next-in=%s",
		  queue_reason_word(word, g->reason), g->code, g->attempts, g->count, in);
}

/* Tells the log when the recipients are tried next; a loss of that costs an early attempt after a
 * restart. results: one per recipient, or all of them the first (step 0). */
static void record_deferred(struct queue *q, const struct queue_group *g,
			    const struct queue_result *results, unsigned step, int64_t next)
{
	struct spool_state states[QUEUE_GROUP_MAX];

	for (unsigned i = 0; i < g->count; i++)
		states[i] = (struct spool_state){.recipient = g->recipients[i],
						 .outcome = SPOOL_DEFERRED,
						 .reason = (uint8_t)(results[i * step].reason |
								     (g->told ? QUEUE_TOLD : 0)),
						 .code = results[i * step].code,
						 .attempts = g->attempts,
						 .next = next};
	queue_post_state(q, g->message->id, states, g->count, NULL, NULL);
}

/* An attempt has failed: what it taught. The result's reply ends within its room. */
static void learn(struct queue *q, struct queue_group *g, const struct queue_result *r)
{
	if (g->attempts < UINT16_MAX)
		g->attempts++;
	g->reason = r->reason;
	g->code = r->code;
	queue_group_reply(q, g, r->reply);
}

/* Where a group goes whose attempt has failed. Returns the pause, or QUEUE_RETRY_NEVER. */
static int64_t place_deferred(struct queue *q, struct queue_group *g, int with_site)
{
	const struct queue_site *site = queue_strand_site(g->strand);
	int64_t pause =
	    queue_retry_next(&q->retry, g->attempts, g->message->id, queue_age(q, g->message));

	if (g->expired) { /* the sender could not be told: again, as with any attempt */
		pause = queue_retry_pause(&q->retry, g->attempts, g->message->id);
		queue_group_wait(q, g, pause);
	} else if (pause == QUEUE_RETRY_NEVER) {
		queue_group_expire(q, g);
	} else if (with_site && (site ? site->door != QUEUE_DOOR_OPEN
				      : g->strand->domain->state == QUEUE_FAILED)) {
		queue_group_ready(q, g, 0);
		pause = queue_group_next(q, g) - q->wall;
	} else {
		queue_group_wait(q, g, pause);
	}
	return pause;
}

static void defer(struct queue *q, struct queue_group *g, struct queue_task *t, int with_site)
{
	int64_t pause;

	t->job.results[0].reply[sizeof(t->job.results[0].reply) - 1] = '\0';
	learn(q, g, &t->job.results[0]);
	pause = place_deferred(q, g, with_site);
	if (pause == QUEUE_RETRY_NEVER)
		return;
	say_rescheduled(g, pause);
	record_deferred(q, g, t->job.results, 1, q->wall + pause);
}

/* Nothing of it was sent, for what is stored cannot be read. */
static int damaged(const struct queue_group *g, const struct queue_task *t)
{
	for (unsigned i = 0; i < g->count; i++)
		if (t->job.results[i].reason != QUEUE_DAMAGED)
			return 0;
	return t->job.kind == QUEUE_DELIVER;
}

/* Trying again would not mend it: it is put aside until an administrator releases or deletes it. */
static void quarantine(struct queue *q, struct queue_group *g, struct queue_task *t)
{
	struct spool_state states[QUEUE_GROUP_MAX];

	t->job.results[0].reply[sizeof(t->job.results[0].reply) - 1] = '\0';
	learn(q, g, &t->job.results[0]);
	queue_group_hold(q, g, QUEUE_DAMAGED);
	for (unsigned i = 0; i < g->count; i++)
		states[i] = (struct spool_state){.recipient = g->recipients[i],
						 .outcome = SPOOL_HELD,
						 .reason = QUEUE_DAMAGED,
						 .attempts = g->attempts};
	queue_post_state(q, g->message->id, states, g->count, NULL, NULL);
}

/* No worker has a row of the ledger for it: nobody opened the message. */
static void note_no_site(struct queue *q, const struct queue_group *g, const struct queue_result *r, int failure)
{
	const struct queue_strand *s = g->strand;
	struct ledger_attempt a = {
	    .id = g->message->id,
	    .at = q->wall,
	    .queued = g->message->created,
	    .customer = s->customer->text,
	    .campaign = s->campaign->text,
	    .domain = s->domain->name,
	    .reply = r->reply,
	    .outcome = SPOOL_DEFERRED,
	    .reason = r->reason,
	    .bounce_class = (uint8_t)bounce_class_of(r->code, "4.4.3", r->reply),
	    .code = r->code,
	    .attempts = g->attempts,
	    .status = "4.4.3",
	    .size = g->message->size,
	    .policy = "none",
	    .verified_by = "none",
	    .failure = failure ? tlsrpt_result_name((enum tlsrpt_result)failure) : NULL};

	for (unsigned i = 0; i < g->count; i++) {
		a.recipient = g->recipients[i];
		ledger_post(q->relay->ledger, &a);
	}
}

/* No way to its site was found: an attempt that failed before it began. */
void queue_result_no_site(struct queue *q, struct queue_group *g, const struct queue_result *r, int failure)
{
	int64_t pause;

	learn(q, g, r);
	note_no_site(q, g, r, failure);
	queue_group_ready(q, g, 0); /* others are the next to notice */
	pause = queue_group_next(q, g) - q->wall;
	say_rescheduled(g, pause);
	record_deferred(q, g, r, 0, q->wall + pause);
}

/* If memory is short it waits a second and comes here once more. */
void queue_result_delete_again(struct queue *q, struct queue_group *g)
{
	queue_group_wait(q, g, CLOCK_SEC);
	queue_result_delete(q, g->message, NULL, NULL);
}

/* The worker found that the domain's site is another. If that goes to and fro (name servers that do not
 * agree), the next attempt is not at once. */
static void learn_site(struct queue *q, struct queue_group *g, struct queue_task *t)
{
	struct queue_domain *d = g->strand->domain;

	t->job.site[sizeof(t->job.site) - 1] = '\0';
	if (!g->strand->mx || !t->job.site[0] || !strcmp(t->job.site, t->site->name->text) ||
	    t->job.results[0].reason != QUEUE_RETRY)
		return;
	queue_domain_moved(q, d, t->job.site, t->job.site_ttl);
	t->moved = queue_strand_site(g->strand) != t->site && (!d->moved || q->now - d->moved > MOVED_OFTEN);
	d->moved = q->now;
}

/* The sender knows of the delay, or will be told once more, later. */
static void delay_back(struct queue *q, struct queue_group *g, struct queue_task *t)
{
	int64_t pause = t->due - q->now;

	if (t->job.err == 0) {
		g->told = 1;
		record_deferred(q, g, t->job.results, 1, q->wall + (pause > 0 ? pause : 0));
	}
	if (pause > 0)
		queue_group_wait(q, g, pause);
	else
		queue_group_ready(q, g, 0);
}

static void tried(struct queue *q, struct queue_group *g, struct queue_task *t, int with_site)
{
	if (g->count == 0)
		queue_group_done(q, g);
	else if (g->message->deleted)
		queue_result_delete_again(q, g);
	else if (g->strand->dying && t->job.kind != QUEUE_EXPIRE)
		queue_drain_back(q, g);
	else if (queue_one_back(q, g))
		return;
	else if (t->job.kind == QUEUE_DELAY)
		delay_back(q, g, t);
	else if (untried(q, g, t))
		put_back(q, g, t);
	else if (damaged(g, t))
		quarantine(q, g, t);
	else
		defer(q, g, t, with_site);
}

static void group_back(struct queue *q, struct queue_task *t)
{
	struct queue_group *g = t->job.group;
	int with_site = 0;

	complete(t);
	if (t->job.kind == QUEUE_DELIVER) {
		learn_site(q, g, t);
		with_site = judge(q, g->strand, t);
		queue_dispatch_returned(q, t);
	} else if (t->job.kind == QUEUE_DELAY) {
		q->delay_out--;
	} else {
		q->expiring_out--;
	}
	keep_deferred(q, g, t);
	tried(q, g, t, with_site);
}

/* Back after the end: nothing is done with it, but its group must not think it is still out. */
static void forget(struct queue *q, struct queue_task *t)
{
	struct queue_group *g = t->job.group;

	if (t->job.kind == QUEUE_OPEN)
		t->found->task = NULL;
	else if (t->job.kind == QUEUE_RESOLVE)
		t->domain->task = NULL;
	else
		g->at.task = NULL;
	if (t->job.opened) {
		spool_envelope_clear(t->job.opened);
		free(t->job.opened);
	}
	queue_dispatch_task_free(q, t);
}

void queue_result(struct relay_msg *msg, void *queue)
{
	struct queue *q = queue;
	struct queue_task *t = (struct queue_task *)msg;

	if (q->ended) {
		forget(q, t);
		return;
	}
	q->out--;
	q->hands[t->job.worker].out--;
	if (t->job.fresh) { /* it never got as far as opening the message */
		spool_fresh_free(t->job.fresh);
		t->job.fresh = NULL;
	}
	if (t->job.kind == QUEUE_OPEN)
		queue_found_back(q, t);
	else if (t->job.kind == QUEUE_RESOLVE)
		queue_domain_back(q, t);
	else
		group_back(q, t);
	queue_dispatch_task_back(q, t);
}

/* --- deleting */

struct deletion {
	queue_state_fn then;
	void *arg;
};

/* The log has it (or not): forget the groups, or put them back. */
static void deleted(struct queue *q, uint64_t id, int result, void *arg)
{
	struct deletion *del = arg;
	struct queue_message *m = queue_index_find(&q->index, id);
	struct queue_group *g = m ? m->groups : NULL, *next;
	int last = 0;

	if (m && !m->opened && m->u.found && !m->u.found->task) {
		if (result == 0)
			queue_message_free(q, m);
		else
			queue_found_again(q, m->u.found, CLOCK_SEC);
	}
	for (; g && !last; g = next) {
		next = g->next;
		last = !next; /* the message may go with its last group */
		if (g->where != QUEUE_DELETING)
			continue;
		if (result == 0)
			queue_group_done(q, g);
		else if (g->expired)
			queue_group_expire(q, g);
		else
			queue_group_wait(q, g, CLOCK_SEC);
	}
	if (result < 0 && (m = queue_index_find(&q->index, id)))
		m->deleted = 0;
	if (del->then)
		del->then(q, id, result, del->arg);
	free(del);
}

static void add_states(struct spool_state *states, unsigned *n, const uint16_t *recipients,
		       unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		states[(*n)++] =
		    (struct spool_state){.recipient = recipients[i], .outcome = SPOOL_DELETED};
}

/* Takes what can be deleted now out of its place; the states say which recipients that is. */
static unsigned gather(struct queue *q, struct queue_message *m, struct spool_state *states)
{
	struct queue_found *f = m->opened ? NULL : m->u.found;
	unsigned n = 0;

	if (f && !f->task) {
		queue_found_leave(q, f);
		for (unsigned i = 0; i < f->count; i++)
			add_states(states, &n, &f->states[i].recipient, 1);
	}
	for (struct queue_group *g = m->groups; g; g = g->next)
		if (g->where != QUEUE_OUT && g->where != QUEUE_DELETING) {
			queue_group_leave(q, g);
			g->where = QUEUE_DELETING;
			add_states(states, &n, g->recipients, g->count);
		}
	return n;
}

void queue_result_delete(struct queue *q, struct queue_message *m, queue_state_fn then, void *arg)
{
	unsigned all = queue_message_recipients(m), n;
	struct spool_state *states = malloc((all ? all : 1) * sizeof(*states));
	struct deletion *del = malloc(sizeof(*del));

	if (states && del) {
		*del = (struct deletion){then, arg};
		m->deleted = 1; /* what is with workers follows when it is back */
		n = gather(q, m, states);
		queue_post_state(q, m->id, states, n, deleted, del);
	} else {
		free(del);
		if (then)
			then(q, m->id, ERR_NOMEM, arg);
	}
	free(states);
}
