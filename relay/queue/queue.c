/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/queue/queue.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/queue/queue_priv.h"

#define WAIT_MAX	(60 * CLOCK_SEC) /* a new configuration is noticed that soon */
#define LOST_STATES_SAY (60 * CLOCK_SEC)

const char *queue_reason_text(unsigned reason)
{
	static const char *const texts[] = {
#define QUEUE_X(sym, num, text) [num] = text,
	    QUEUE_REASONS(QUEUE_X)
#undef QUEUE_X
	};

	reason &= ~(unsigned)QUEUE_TOLD;
	return reason < sizeof(texts) / sizeof(*texts) && texts[reason] ? texts[reason] : "unknown";
}

const char *queue_reason_word(char dst[QUEUE_WORD], unsigned reason)
{
	static const char *const names[] = {
#define QUEUE_X(sym, num, text) [num] = #sym,
	    QUEUE_REASONS(QUEUE_X)
#undef QUEUE_X
	};
	size_t n = 0;

	reason &= ~(unsigned)QUEUE_TOLD;
	if (reason < sizeof(names) / sizeof(*names))
		for (const char *s = names[reason]; *s && n < QUEUE_WORD - 1; s++)
			dst[n++] = (char)(*s | 0x20);
	dst[n] = '\0';
	return dst;
}

int64_t queue_age(const struct queue *q, const struct queue_message *m)
{
	return q->now - q->epoch - m->born * CLOCK_SEC;
}

int64_t queue_wall(const struct queue *q, int64_t mono)
{
	return q->wall + (mono - q->now);
}

/* --- news for the log */

struct state_job {
	struct spool_job job;
	struct queue *q;
	queue_state_fn then;
	void *arg;
	struct spool_state states[];
};

static void say_lost_states(struct queue *q)
{
	if (!q->lost_states || q->now < q->lost_said)
		return;
	log_event(LOG_LEVEL_WARN, NULL, "queue-state-unwritten", "count=%llu",
		  (unsigned long long)q->lost_states);
	q->lost_states = 0;
	q->lost_said = q->now + LOST_STATES_SAY;
}

static void state_written(struct relay_msg *m, void *queue)
{
	struct queue *q = queue;
	struct state_job *s = (struct state_job *)m;

	q->spool_out--;
	if (s->job.result < 0)
		q->lost_states++;
	if (s->then)
		s->then(q, s->job.id, s->job.result, s->arg);
	if (s->job.state_count == 1)
		queue_slab_give(&q->states, s);
	else
		free(s);
}

void queue_post_state(struct queue *q, uint64_t id, const struct spool_state *states,
		      unsigned count, queue_state_fn then, void *arg)
{
	struct state_job *s = count == 1 ? queue_slab_take(&q->states)
			    : count ? malloc(sizeof(*s) + count * sizeof(*states)) : NULL;

	if (!s) {
		q->lost_states += count != 0;
		if (then)
			then(q, id, count ? ERR_NOMEM : 0, arg);
		return;
	}
	memcpy(s->states, states, count * sizeof(*states));
	s->job = (struct spool_job){.msg.run = state_written,
				    .kind = SPOOL_STATE,
				    .id = id,
				    .states = s->states,
				    .state_count = count,
				    .reply = q->inbox};
	s->then = then;
	s->arg = arg;
	q->spool_out++;
	spool_log_post(q->relay->spool, &s->job);
}

/* --- the thread */

static void refresh(struct queue *q)
{
	q->now = clock_mono();
	q->wall = clock_wall();
	if (atomic_load(&q->relay->conf) == q->conf)
		return;
	relay_conf_unref(q->conf);
	q->conf = relay_now(q->relay);
	q->retry = (struct queue_retry){q->conf->retry.first, q->conf->retry.max,
					q->conf->retry.expire};
	queue_strand_place_all(q);
}

/* What was due, at most so many groups in one turn: others are not to wait for a crowd. */
#define DUE_MAX 10000

static void group_due(struct queue *q, struct queue_group *g)
{
	/* the heap has let go of it already, and leave finds that out */
	if (g->message->deleted)
		queue_result_delete_again(q, g);
	else if (g->strand->dying)
		queue_drain_back(q, g);
	else if (g->expired)
		queue_group_expire(q, g);
	else
		queue_group_ready(q, g, 0);
}

static unsigned strand_due(struct queue *q, struct queue_strand *s, unsigned most)
{
	struct queue_sched *w = &s->waits;
	unsigned n = 0;

	while (n < most && w->count && (s->rush || w->entries[0].due <= q->now)) {
		struct queue_group *g = list_entry(w->entries[0].pos, struct queue_group, at.timer);
		if (s->rush) {
			s->rush--;
			g->reason = s->rush_reason;
		}
		n++;
		group_due(q, g);
	}
	if (!w->count)
		s->rush = 0;
	queue_strand_clock(q, s);
	return n;
}

static void run_due(struct queue *q)
{
	unsigned left = DUE_MAX;
	uint32_t *pos;

	while ((pos = queue_sched_due(&q->backoffs, q->now))) {
		struct queue_site *s = list_entry(pos, struct queue_site, timer);
		if (s->door == QUEUE_DOOR_BACKOFF) {
			s->door = QUEUE_DOOR_PROBE;
			s->probing = 0;
			queue_dispatch_wake(q, s);
		} else {
			queue_dispatch_rested(q, s);
		}
	}
	while ((pos = queue_sched_due(&q->lookups, q->now)))
		queue_domain_again(q, list_entry(pos, struct queue_domain, timer));
	while (left && (pos = queue_sched_due(&q->waiting, q->now)))
		left -= strand_due(q, list_entry(pos, struct queue_strand, timer), left);
	while ((pos = queue_sched_due(&q->reopens, q->now)))
		queue_found_again(q, list_entry(pos, struct queue_found, timer), 0);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t wait_time(const struct queue *q)
{
	int64_t when = q->now + WAIT_MAX;

	when = earlier(when, queue_sched_when(&q->backoffs));
	when = earlier(when, queue_sched_when(&q->waiting));
	when = earlier(when, queue_sched_when(&q->lookups));
	when = earlier(when, queue_sched_when(&q->reopens));
	when = earlier(when, queue_watch_when(q));
	if (q->short_until > q->now)
		when = earlier(when, q->short_until);
	if (queue_drain_busy(q))
		return 0;
	if (!list_empty(&q->stalled))
		when = earlier(when, q->now + CLOCK_SEC);
	return when > q->now ? when - q->now : 0;
}

static void *thread(void *arg)
{
	struct queue *q = arg;
	int64_t wait = 0;

	while (!q->stopping || q->spool_out) {
		struct evt_msg *batch = evt_inbox_wait(q->inbox, wait);
		refresh(q);
		while (batch) {
			struct relay_msg *m = (struct relay_msg *)batch;
			batch = batch->next;
			m->run(m, q);
		}
		queue_add_stalled(q);
		run_due(q);
		queue_drain(q);
		queue_watch(q);
		queue_dispatch(q);
		queue_strand_prune(q);
		queue_key_prune(q);
		say_lost_states(q);
		wait = q->stopping ? WAIT_MAX : wait_time(q);
		if (wait)
			log_flush();
	}
	log_flush();
	return NULL;
}

/* --- messages to it that carry nothing else */

struct order {
	struct relay_msg msg;
	int value;
};

static int post_order(struct queue *q, void (*run)(struct relay_msg *, void *), int value)
{
	struct order *o = malloc(sizeof(*o));

	if (!o)
		return ERR_NOMEM;
	o->msg.run = run;
	o->value = value;
	evt_inbox_post(q->inbox, &o->msg.msg);
	return 0;
}

static void set_open(struct relay_msg *m, void *queue)
{
	struct queue *q = queue;
	struct order *o = (struct order *)m;

	if (!q->ended && q->open != o->value) {
		q->open = o->value;
		if (!q->open)
			queue_message_drop_all_fresh(q);
		log_debug("queue", NULL, q->open ? "queue-open" : "queue-closed", NULL);
	}
	free(o);
}

void queue_set_open(struct queue *q, int open)
{
	post_order(q, set_open, open != 0);
}

static void shape_changed(struct relay_msg *m, void *queue)
{
	struct queue *q = queue;

	(void)m; /* it is the queue's own */
	atomic_store(&q->shape_told, 0);
	for (uint32_t i = 0; i < q->sites.room && !q->ended; i++)
		for (struct queue_node *n = q->sites.buckets[i]; n; n = n->chain) {
			struct queue_site *s = (struct queue_site *)n;
			s->limits_at = 0;
			queue_dispatch_rested(q, s);
		}
}

void queue_shape_changed(void *queue)
{
	struct queue *q = queue;

	if (atomic_exchange(&q->shape_told, 1))
		return;
	q->shape_msg.run = shape_changed;
	evt_inbox_post(q->inbox, &q->shape_msg.msg);
}

void queue_job_done(struct queue *q, struct queue_job *j)
{
	j->msg.run = queue_result;
	evt_inbox_post(q->inbox, &j->msg.msg);
}

static void stop(struct relay_msg *m, void *queue)
{
	struct queue *q = queue;

	q->stopping = 1;
	free(m);
}

/* --- life */

struct queue *queue_new(struct relay *r, void (*run_job)(struct relay_msg *m, void *worker))
{
	struct queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->relay = r;
	q->run_job = run_job;
	q->now = q->epoch = clock_mono();
	q->wall = clock_wall();
	list_init(&q->runnable);
	list_init(&q->starved);
	list_init(&q->expiring);
	list_init(&q->unopened);
	list_init(&q->stalled);
	queue_index_init(&q->index);
	queue_slab_init(&q->messages, sizeof(struct queue_message));
	queue_slab_init(&q->pieces, QUEUE_PIECE);
	queue_slab_init(&q->states, sizeof(struct state_job) + sizeof(struct spool_state));
	queue_sched_init(&q->waiting);
	queue_sched_init(&q->backoffs);
	queue_sched_init(&q->lookups);
	queue_sched_init(&q->reopens);
	q->inbox = evt_inbox_new(NULL, NULL, NULL);
	if (queue_key_init(q) < 0 || !q->inbox) {
		queue_key_clear(q);
		evt_inbox_free(q->inbox);
		free(q);
		return NULL;
	}
	return q;
}

int queue_start(struct queue *q)
{
	q->workers = q->relay->worker_count;
	q->hands = calloc((size_t)q->workers, sizeof(*q->hands));
	if (!q->hands)
		return ERR_NOMEM;
	refresh(q);
	if (pthread_create(&q->thread, NULL, thread, q) != 0)
		return ERR_NOMEM;
	q->started = 1;
	return 0;
}

void queue_stop(struct queue *q)
{
	if (!q->started)
		return;
	while (post_order(q, stop, 1) < 0)
		log_flush(); /* memory comes back: sessions are ending */
	pthread_join(q->thread, NULL);
	q->started = 0;
}

/* What came after the thread had ended is freed by its own handler. */
static void drain(struct queue *q)
{
	struct evt_msg *batch;

	q->ended = 1;
	while ((batch = evt_inbox_wait(q->inbox, 0)))
		while (batch) {
			struct relay_msg *m = (struct relay_msg *)batch;
			batch = batch->next;
			m->run(m, q);
		}
}

static void free_stalled(struct queue *q)
{
	struct list_link *l;

	while ((l = list_pop_front(&q->stalled)))
		queue_add_free(list_entry(l, struct queue_add, link));
}

/* Jobs that never came back: their workers have ended. */
static void free_tasks(struct queue *q)
{
	struct queue_message *m;

	for (uint64_t id = 0; (m = queue_index_above(&q->index, id)); id = m->id) {
		if (!m->opened && m->u.found && m->u.found->task)
			queue_dispatch_task_free(q, m->u.found->task);
		for (struct queue_group *g = m->groups; g; g = g->next)
			if (g->where == QUEUE_OUT && g->at.task)
				queue_dispatch_task_free(q, g->at.task);
	}
	for (uint32_t i = 0; i < q->domains.room; i++)
		for (struct queue_node *n = q->domains.buckets[i]; n; n = n->chain)
			if (((struct queue_domain *)n)->task)
				queue_dispatch_task_free(q, ((struct queue_domain *)n)->task);
}

void queue_free(struct queue *q)
{
	struct queue_message *m;

	if (!q)
		return;
	queue_stop(q);
	drain(q);
	free_stalled(q);
	free_tasks(q);
	while ((m = queue_index_above(&q->index, 0)))
		queue_message_free(q, m);
	queue_index_clear(&q->index);
	queue_slab_clear(&q->messages);
	queue_slab_clear(&q->pieces);
	queue_slab_clear(&q->states);
	queue_key_clear(q);
	queue_order_clear(q);
	queue_sched_clear(&q->waiting);
	queue_sched_clear(&q->backoffs);
	queue_sched_clear(&q->lookups);
	queue_sched_clear(&q->reopens);
	while (q->pool) {
		struct queue_task *t = q->pool;
		q->pool = t->next;
		queue_dispatch_task_free(q, t);
	}
	evt_inbox_free(q->inbox);
	relay_conf_unref(q->conf);
	free(q->hands);
	free(q);
}
