/* SPDX-License-Identifier: Apache-2.0 */
/* The real queue on its real thread; the test plays the workers, the spool log and the clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/id.h"
#include "core/log.h"
#include "relay/queue/queue.h"
#include "relay/queue/queue_priv.h"

#define MIN	   (60 * CLOCK_SEC)
#define HOUR	   (60 * MIN)
#define DAY	   (24 * HOUR)
#define START	   (1000 * CLOCK_SEC)
#define START_WALL (INT64_C(1800000000) * CLOCK_SEC)
#define STATES	   4096
#define JOBS	   16384

/* --- the spool log: answers at once, remembers what it was told */
struct spool_log {
	pthread_mutex_t lock;
	unsigned count;
	struct {
		uint64_t id;
		struct spool_state state;
	} states[STATES];
	int result;
};

void spool_log_post(struct spool_log *s, struct spool_job *j)
{
	pthread_mutex_lock(&s->lock);
	assert_int_equal(j->kind, SPOOL_STATE);
	j->result = s->result;
	for (unsigned i = 0; j->result == 0 && i < j->state_count && s->count < STATES; i++) {
		s->states[s->count].id = j->id;
		s->states[s->count++].state = j->states[i];
	}
	pthread_mutex_unlock(&s->lock);
	evt_inbox_post(j->reply, &j->msg.msg);
}

/* --- fresh keys: counted, not made */
static atomic_int fresh_alive;

static struct spool_fresh *a_fresh(void)
{
	atomic_fetch_add(&fresh_alive, 1);
	return malloc(8);
}

void spool_fresh_free(struct spool_fresh *f)
{
	atomic_fetch_sub(&fresh_alive, f != NULL);
	free(f);
}

/* --- configuration */
static struct relay_conf conf;

struct relay_conf *relay_now(struct relay *r)
{
	return atomic_load(&r->conf);
}

void relay_conf_unref(struct relay_conf *c)
{
	(void)c;
}

/* --- the log lines */
static struct {
	pthread_mutex_t lock;
	char text[1 << 20];
	size_t used;
} lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_line(void *arg, const char *line)
{
	size_t n = strlen(line);

	(void)arg;
	pthread_mutex_lock(&lines.lock);
	if (lines.used + n + 2 < sizeof(lines.text)) {
		memcpy(lines.text + lines.used, line, n);
		lines.used += n;
		lines.text[lines.used++] = '\n';
		lines.text[lines.used] = '\0';
	}
	pthread_mutex_unlock(&lines.lock);
}

static unsigned said(const char *what)
{
	unsigned n = 0;

	pthread_mutex_lock(&lines.lock);
	for (const char *p = lines.text; (p = strstr(p, what)); p++)
		n++;
	pthread_mutex_unlock(&lines.lock);
	return n;
}

/* --- the world */
struct world {
	struct relay relay;
	struct relay_worker workers[2];
	struct spool_log log;
	struct queue *q;
	struct evt_inbox *me;
	struct queue_job *jobs[JOBS]; /* handed out, not yet given back */
	unsigned job_count;
	uint64_t last_id;
};

static void run_job(struct relay_msg *m, void *worker)
{
	(void)m;
	(void)worker;
	abort(); /* the test takes jobs out of inboxes itself */
}

static struct queue_ask *ask(struct world *w, struct queue_ask *a)
{
	struct evt_msg *m;

	a->reply = w->me;
	queue_ask_post(w->q, a);
	do
		m = evt_inbox_wait(w->me, -1);
	while (!m);
	assert_null(m->next);
	return (struct queue_ask *)m;
}

static struct queue_numbers numbers(struct world *w)
{
	struct queue_ask *a = ask(w, queue_ask_new(QUEUE_NUMBERS));
	struct queue_numbers n = a->numbers;

	assert_int_equal(a->err, 0);
	queue_ask_free(a);
	return n;
}

/* When the second answer is there, all that came before the first has been dealt with: jobs are in
 * the inboxes. What the spool answered may have caused more. */
static void settle(struct world *w)
{
	for (int i = 0; i < 4; i++)
		numbers(w);
	for (int i = 0; i < w->relay.worker_count; i++) {
		struct evt_msg *m = evt_inbox_wait(w->workers[i].inbox, 0);
		while (m) {
			struct queue_job *j = (struct queue_job *)m;
			m = m->next;
			assert_int_equal(j->worker, i);
			assert_true(w->job_count < JOBS);
			w->jobs[w->job_count++] = j;
		}
	}
}

static void pass(struct world *w, int64_t usec)
{
	clock_advance(usec);
	settle(w);
}

static void new_queue(struct world *w)
{
	w->q = queue_new(&w->relay, run_job);
	assert_non_null(w->q);
}

static void start(struct world *w)
{
	assert_int_equal(queue_start(w->q), 0);
	queue_set_open(w->q, 1);
}

static int set_up_still(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	clock_set(START, START_WALL);
	log_capture(on_line, NULL);
	lines.used = 0;
	lines.text[0] = '\0';
	memset(&conf, 0, sizeof(conf));
	conf.retry.first = 5 * MIN;
	conf.retry.max = 4 * HOUR;
	conf.retry.expire = 5 * DAY;
	conf.outbound.connections = 20;
	conf.outbound.idle = 10 * CLOCK_SEC;
	atomic_store(&w->relay.conf, &conf);
	w->relay.workers = w->workers;
	w->relay.worker_count = 2;
	w->relay.spool = &w->log;
	pthread_mutex_init(&w->log.lock, NULL);
	for (int i = 0; i < 2; i++)
		w->workers[i].inbox = evt_inbox_new(NULL, NULL, NULL);
	w->me = evt_inbox_new(NULL, NULL, NULL);
	w->last_id = 1000;
	new_queue(w);
	*state = w;
	return 0;
}

static int set_up(void **state)
{
	set_up_still(state);
	start(*state);
	return 0;
}

static void take_fresh(struct queue_job *j)
{
	spool_fresh_free(j->fresh);
	j->fresh = NULL;
}

/* Ends with jobs in our hands: the queue frees them. Orphans and stray warnings fail the test. */
static int tear_down(void **state)
{
	struct world *w = *state;
	uint64_t orphans = numbers(w).orphans;

	queue_stop(w->q);
	queue_free(w->q);
	for (int i = 0; i < 2; i++)
		evt_inbox_free(w->workers[i].inbox);
	evt_inbox_free(w->me);
	pthread_mutex_destroy(&w->log.lock);
	free(w);
	log_capture(NULL, NULL);
	clock_restore();
	if (atomic_load(&fresh_alive) != 0) {
		print_error("fresh keys leaked: %d\n", atomic_load(&fresh_alive));
		return -1;
	}
	if (orphans != said("event=queue-orphan")) {
		print_error("%d orphans\n", (int)orphans);
		return -1;
	}
	return 0;
}

/* A message of count recipients, domains repeating in order. */
static uint64_t add(struct world *w, unsigned count, const char *const *domains,
		    unsigned domain_count, struct spool_fresh *fresh)
{
	struct spool_recipient *r = calloc(count, sizeof(*r));
	char customer[] = "acme", sender[] = "s@example.test", empty[] = "";
	struct spool_envelope e = {.customer = customer,
				   .sender = sender,
				   .created = clock_wall(),
				   .size = 4096,
				   .client = empty,
				   .tls = empty,
				   .recipients = r,
				   .count = count};
	uint64_t id = ++w->last_id;

	for (unsigned i = 0; i < count; i++) {
		r[i].address = malloc(300);
		snprintf(r[i].address, 300, "user%u@%s", i, domains[i % domain_count]);
	}
	assert_int_equal(queue_add(w->q, id, &e, (struct spool_place){1, (uint32_t)id, 3}, fresh),
			 0);
	for (unsigned i = 0; i < count; i++)
		free(r[i].address);
	free(r);
	return id;
}

static uint64_t add_to(struct world *w, const char *domain)
{
	return add(w, 1, &domain, 1, NULL);
}

static void give_back(struct world *w, struct queue_job *j)
{
	for (unsigned i = 0; i < w->job_count; i++)
		if (w->jobs[i] == j) {
			w->jobs[i] = w->jobs[--w->job_count];
			if (i % 2)
				take_fresh(j); /* or leaves it: it did not get so far */
			queue_job_done(w->q, j);
			return;
		}
	fail_msg("job is not ours");
}

static void answer(struct world *w, struct queue_job *j, int outcome, int reason, int code)
{
	for (unsigned i = 0; i < j->count; i++) {
		j->results[i].outcome = (uint8_t)outcome;
		j->results[i].reason = (uint8_t)reason;
		j->results[i].code = (uint16_t)code;
		if (outcome != SPOOL_DELIVERED)
			snprintf(j->results[i].reply, sizeof(j->results[i].reply), "%d said so",
				 code);
	}
	give_back(w, j);
}

static void deliver(struct world *w, struct queue_job *j)
{
	answer(w, j, SPOOL_DELIVERED, 0, 250);
}

static void defer(struct world *w, struct queue_job *j, int reason)
{
	answer(w, j, SPOOL_DEFERRED, reason, 451);
}

static struct queue_job *job_for(struct world *w, const char *destination)
{
	for (unsigned i = 0; i < w->job_count; i++)
		if (!strcmp(w->jobs[i]->destination, destination))
			return w->jobs[i];
	return NULL;
}

static unsigned jobs_for(struct world *w, const char *destination)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->job_count; i++)
		n += !strcmp(w->jobs[i]->destination, destination);
	return n;
}

static struct queue_job *only_job(struct world *w)
{
	assert_int_equal(w->job_count, 1);
	return w->jobs[0];
}

/* A destination that has shown that it works. */
static void prove(struct world *w, const char *domain)
{
	add_to(w, domain);
	settle(w);
	deliver(w, job_for(w, domain));
	settle(w);
}

static struct queue_item show(struct world *w, uint64_t id)
{
	struct queue_ask *a = queue_ask_new(QUEUE_SHOW);
	struct queue_item item;

	a->id = id;
	a = ask(w, a);
	assert_int_equal(a->err, 0);
	assert_true(a->count >= 1);
	item = a->items[0];
	queue_ask_free(a);
	return item;
}

static void assert_empty(struct world *w)
{
	struct queue_numbers n = numbers(w);

	assert_int_equal(n.messages, 0);
	assert_int_equal(n.recipients, 0);
	assert_int_equal(n.active, 0);
	assert_int_equal(n.deferred, 0);
	assert_int_equal(n.opening, 0);
	assert_int_equal(n.bytes, 0);
	assert_int_equal(n.destinations, 0);
}

/* --- the ordinary way */

static void an_accepted_message_is_handed_out_at_once_with_its_keys(void **state)
{
	struct world *w = *state;
	const char *domain = "Example.TEST";
	struct spool_fresh *fresh = a_fresh();
	uint64_t id = add(w, 1, &domain, 1, fresh);
	struct queue_job *j;

	settle(w);
	j = only_job(w);
	assert_int_equal(j->kind, QUEUE_DELIVER);
	assert_int_equal(j->id, id);
	assert_string_equal(j->destination, "example.test");
	assert_int_equal(j->at.offset, id);
	assert_int_equal(j->count, 1);
	assert_int_equal(j->recipients[0], 0);
	assert_int_equal(j->attempts, 0);
	assert_int_equal(j->created, START_WALL);
	assert_ptr_equal(j->fresh, fresh);
	assert_int_equal(numbers(w).active, 1);
	deliver(w, j);
	settle(w);
	assert_empty(w);
	assert_int_equal(w->log.count, 0); /* delivered is for the worker to write */
}

static void recipients_of_one_destination_travel_together_a_hundred_at_most(void **state)
{
	static const char *const domains[] = {"a.test", "b.test", "A.test"};
	struct world *w = *state;
	unsigned a = 0, b = 0;
	char seen[450] = {0};

	add(w, 450, domains, 3, a_fresh());
	settle(w);
	assert_int_equal(w->job_count, 5); /* 300 to a, 150 to b */
	for (unsigned i = 0; i < w->job_count; i++) {
		struct queue_job *j = w->jobs[i];
		assert_true(j->count <= 100);
		*(strcmp(j->destination, "a.test") ? &b : &a) += j->count;
		for (unsigned r = 0; r < j->count; r++) {
			assert_int_equal(j->recipients[r] % 3 == 1,
					 !strcmp(j->destination, "b.test"));
			assert_int_equal(seen[j->recipients[r]]++, 0);
			assert_int_equal(j->results[r].recipient, j->recipients[r]);
		}
	}
	assert_int_equal(a, 300);
	assert_int_equal(b, 150);
	while (w->job_count)
		deliver(w, w->jobs[0]);
	settle(w);
	assert_empty(w);
}

static void a_deferred_recipient_waits_and_the_log_knows(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");
	struct queue_item item;
	int64_t next;

	settle(w);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(w->log.count, 1);
	assert_int_equal(w->log.states[0].id, id);
	assert_int_equal(w->log.states[0].state.outcome, SPOOL_DEFERRED);
	assert_int_equal(w->log.states[0].state.reason, QUEUE_RECIPIENT);
	assert_int_equal(w->log.states[0].state.code, 451);
	assert_int_equal(w->log.states[0].state.attempts, 1);
	next = w->log.states[0].state.next;
	assert_true(next >= START_WALL + 4 * MIN && next <= START_WALL + 6 * MIN);
	item = show(w, id);
	assert_int_equal(item.next, next);
	assert_int_equal(item.attempts, 1);
	assert_int_equal(item.reason, QUEUE_RECIPIENT);
	assert_int_equal(item.code, 451);
	assert_string_equal(item.reply, "451 said so");
	assert_string_equal(item.customer, "acme");
	assert_int_equal(numbers(w).deferred, 1);
	assert_int_equal(said("event=rescheduled reason=recipient code=451 attempts=1"), 1);
	pass(w, next - START_WALL - CLOCK_SEC);
	assert_int_equal(w->job_count, 0);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(only_job(w)->attempts, 1);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	next = show(w, id).next - clock_wall();
	assert_true(next >= 8 * MIN && next <= 12 * MIN); /* doubled */
}

static void only_what_was_deferred_is_tried_again(void **state)
{
	static const char *const domain = "a.test";
	static const uint8_t outcomes[] = {SPOOL_DELIVERED, SPOOL_DEFERRED, SPOOL_BOUNCED,
					   SPOOL_DEFERRED, SPOOL_DELIVERED};
	struct world *w = *state;
	struct queue_job *j;

	add(w, 5, &domain, 1, NULL);
	settle(w);
	j = only_job(w);
	for (int i = 0; i < 5; i++) {
		j->results[i].outcome = outcomes[i];
		j->results[i].reason = QUEUE_RECIPIENT;
		j->results[i].code = (uint16_t)(450 + i);
	}
	give_back(w, j);
	settle(w);
	assert_int_equal(numbers(w).recipients, 2);
	assert_int_equal(w->log.count, 2);
	assert_int_equal(w->log.states[0].state.recipient, 1);
	assert_int_equal(w->log.states[0].state.code, 451);
	assert_int_equal(w->log.states[1].state.recipient, 3);
	assert_int_equal(w->log.states[1].state.code, 453);
	pass(w, 6 * MIN);
	j = only_job(w);
	assert_int_equal(j->count, 2);
	assert_int_equal(j->recipients[0], 1);
	assert_int_equal(j->recipients[1], 3);
	deliver(w, j);
	settle(w);
	assert_empty(w);
}

static void a_result_nobody_filled_in_is_a_deferral(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	give_back(w, only_job(w));
	settle(w);
	assert_int_equal(show(w, id).reason, QUEUE_LOCAL);
	assert_int_equal(show(w, id).attempts, 1);
}

/* --- keyd */

static void while_keyd_is_away_nothing_is_handed_out(void **state)
{
	struct world *w = *state;
	const char *domain = "a.test";

	queue_set_open(w->q, 0);
	add(w, 1, &domain, 1, a_fresh());
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(atomic_load(&fresh_alive), 0); /* nobody holds keys while keyd is locked */
	queue_set_open(w->q, 1);
	settle(w);
	deliver(w, only_job(w));
	settle(w);
	assert_empty(w);
}

static void fresh_keys_that_wait_are_dropped_when_keyd_goes(void **state)
{
	struct world *w = *state;
	const char *domain = "a.test";

	for (int i = 0; i < 10; i++)
		add(w, 1, &domain, 1, a_fresh());
	settle(w);
	assert_int_equal(w->job_count, 5);
	assert_int_equal(atomic_load(&fresh_alive), 10);
	queue_set_open(w->q, 0);
	settle(w);
	assert_int_equal(atomic_load(&fresh_alive), 5); /* those in workers' hands */
}

static void a_job_that_came_back_for_keyd_counts_no_attempt(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	queue_set_open(w->q, 0);
	defer(w, only_job(w), QUEUE_KEYD);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(w->log.count, 0);
	assert_int_equal(show(w, id).reason, QUEUE_KEYD);
	assert_int_equal(show(w, id).attempts, 0);
	queue_set_open(w->q, 1);
	settle(w);
	assert_int_equal(only_job(w)->attempts, 0);
	/* away for the worker only: again after a second, not in a tight circle */
	defer(w, only_job(w), QUEUE_KEYD);
	settle(w);
	assert_int_equal(w->job_count, 0);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(only_job(w)->attempts, 0);
	assert_int_equal(w->log.count, 0);
	assert_int_equal(said("event=rescheduled"), 0);
}

/* --- destinations */

static void a_host_that_cannot_be_reached_is_probed_with_one_job(void **state)
{
	struct world *w = *state;
	uint64_t first = 0;

	for (int i = 0; i < 100; i++)
		first = add_to(w, "dead.test");
	settle(w);
	assert_int_equal(w->job_count, 5); /* nothing is known of it: a few only */
	while (w->job_count)
		defer(w, w->jobs[0], QUEUE_CONNECT);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(said("event=destination-backoff"), 1);
	assert_int_equal(said("event=rescheduled"), 5);
	assert_int_equal(numbers(w).deferred, 100); /* each has a time and a reason */
	assert_int_equal(show(w, first).reason, QUEUE_CONNECT);
	assert_true(show(w, first).next > clock_wall() + 4 * MIN);
	assert_int_equal(show(w, first).attempts, 0);
	add_to(w, "dead.test"); /* new mail waits with the others */
	settle(w);
	assert_int_equal(w->job_count, 0);
	pass(w, 6 * MIN);
	assert_int_equal(w->job_count, 1);
	defer(w, only_job(w), QUEUE_CONNECT);
	settle(w);
	pass(w, 7 * MIN);
	assert_int_equal(w->job_count, 0); /* longer than the first time */
	pass(w, 6 * MIN);
	deliver(w, only_job(w));
	settle(w);
	assert_int_equal(said("event=destination-open"), 1);
	assert_int_equal(w->job_count, 30); /* 20 connections and half as many at hand */
	for (int i = 0; i < 100; i++) {
		deliver(w, w->jobs[0]);
		settle(w);
	}
	assert_empty(w);
}

static void a_probe_that_cannot_be_tried_is_followed_by_another(void **state)
{
	struct world *w = *state;

	add_to(w, "dead.test");
	add_to(w, "dead.test");
	settle(w);
	while (w->job_count)
		defer(w, w->jobs[0], QUEUE_DNS);
	settle(w);
	pass(w, 6 * MIN);
	defer(w, only_job(w), QUEUE_LOCAL);
	settle(w);
	assert_int_equal(w->job_count, 1);
	defer(w, only_job(w), QUEUE_KEYD);
	settle(w);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(w->job_count, 1);
}

static void a_failure_among_successes_rests_the_message_not_the_destination(void **state)
{
	struct world *w = *state;
	struct queue_job *unlucky;

	prove(w, "a.test");
	for (int i = 0; i < 10; i++)
		add_to(w, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 10);
	unlucky = w->jobs[3];
	while (w->job_count > 1)
		deliver(w, w->jobs[0] == unlucky ? w->jobs[1] : w->jobs[0]);
	settle(w);
	defer(w, unlucky, QUEUE_CONNECT);
	add_to(w, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 1);
	assert_int_equal(said("event=destination-backoff"), 0);
	assert_int_equal(numbers(w).deferred, 1);
}

static void a_recipient_refused_for_now_says_nothing_about_the_others(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 50; i++) {
		add_to(w, "a.test");
		settle(w);
		defer(w, only_job(w), QUEUE_RECIPIENT);
		settle(w);
	}
	assert_int_equal(said("event=destination-backoff"), 0);
}

static void connections_lost_in_a_row_rest_the_destination(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		add_to(w, "a.test");
		settle(w);
		defer(w, only_job(w), QUEUE_LOST);
		settle(w);
	}
	assert_int_equal(said("event=destination-backoff"), 0);
	add_to(w, "a.test");
	settle(w);
	defer(w, only_job(w), QUEUE_TIMEOUT);
	settle(w);
	assert_int_equal(said("event=destination-backoff"), 1);
	add_to(w, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 0);
}

static void jobs_are_limited_per_destination_and_spread_over_workers(void **state)
{
	struct world *w = *state;
	unsigned first = 0;

	prove(w, "a.test");
	for (int i = 0; i < 1000; i++)
		add_to(w, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 30);
	for (unsigned i = 0; i < 30; i++)
		first += w->jobs[i]->worker == 0;
	assert_int_equal(first, 15);
	for (int i = 0; i < 1000; i++) {
		deliver(w, w->jobs[0]);
		settle(w);
		assert_true(w->job_count <= 30);
	}
	assert_empty(w);
}

static void one_message_after_the_other_stays_with_one_worker(void **state)
{
	struct world *w = *state;
	int worker;

	add_to(w, "a.test");
	settle(w);
	worker = only_job(w)->worker;
	for (int i = 0; i < 20; i++) {
		deliver(w, only_job(w));
		add_to(w, "a.test");
		pass(w, 5 * CLOCK_SEC); /* the idle connection still stands */
		assert_int_equal(only_job(w)->worker, worker);
	}
}

static void a_slow_destination_does_not_keep_another_waiting(void **state)
{
	struct world *w = *state;

	prove(w, "slow.test");
	for (int i = 0; i < 1000; i++)
		add_to(w, "slow.test");
	settle(w);
	for (int i = 0; i < 100; i++) {
		add_to(w, "fast.test");
		settle(w);
		assert_int_equal(jobs_for(w, "fast.test"), 1);
		deliver(w, job_for(w, "fast.test"));
	}
	assert_int_equal(jobs_for(w, "slow.test"), 30);
}

static void a_crowd_of_silent_hosts_leaves_room_for_those_that_answer(void **state)
{
	struct world *w = *state;
	char name[32];

	prove(w, "good.test");
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "silent%d.test", i);
		for (int n = 0; n < 6; n++)
			add_to(w, name);
	}
	settle(w);
	assert_int_equal(w->job_count, QUEUE_UNPROVEN_MAX);
	for (int i = 0; i < 100; i++)
		add_to(w, "good.test");
	settle(w);
	assert_int_equal(jobs_for(w, "good.test"), 30);
	/* as places become free, those who have none get theirs */
	for (int i = 0; i < 100; i++) {
		struct queue_job *j = w->jobs[0];
		if (!strcmp(j->destination, "good.test"))
			deliver(w, j);
		else
			defer(w, j, QUEUE_RECIPIENT);
	}
	settle(w);
	assert_true(w->job_count >= QUEUE_UNPROVEN_MAX);
	assert_int_equal(numbers(w).orphans, 0);
}

static void a_host_that_was_kept_back_by_the_crowd_is_served_once_it_answers(void **state)
{
	struct world *w = *state;
	struct queue_job *j;
	char name[32];

	add_to(w, "late.test");
	settle(w);
	j = only_job(w);
	for (int i = 0; i < 1300; i++) {
		snprintf(name, sizeof(name), "silent%d.test", i);
		for (int n = 0; n < 5; n++)
			add_to(w, name);
	}
	settle(w);
	assert_int_equal(w->job_count, QUEUE_UNPROVEN_MAX);
	for (int i = 0; i < 10; i++)
		add_to(w, "late.test");
	settle(w);
	assert_int_equal(jobs_for(w, "late.test"), 1);
	deliver(w, j);
	settle(w);
	assert_int_equal(jobs_for(w, "late.test"), 10);
}

/* --- the end of life */

static void what_is_too_old_is_told_to_the_sender_and_forgotten(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");
	unsigned attempts = 0;

	settle(w);
	while (w->jobs[0]->kind == QUEUE_DELIVER) {
		attempts++;
		assert_true(attempts < 100);
		defer(w, only_job(w), QUEUE_RECIPIENT);
		settle(w);
		if (!w->job_count)
			pass(w, show(w, id).next - clock_wall());
	}
	assert_true(attempts > 25);
	assert_int_equal(clock_mono() - START, 5 * DAY); /* the last attempt was at the very end */
	assert_int_equal(only_job(w)->kind, QUEUE_EXPIRE);
	assert_int_equal(said("event=given-up"), 1);
	defer(w, only_job(w), QUEUE_LOCAL); /* the sender could not be told */
	settle(w);
	assert_int_equal(w->job_count, 0);
	pass(w, 5 * HOUR);
	assert_int_equal(only_job(w)->kind, QUEUE_EXPIRE);
	answer(w, only_job(w), SPOOL_EXPIRED, 0, 0);
	settle(w);
	assert_empty(w);
	assert_int_equal(said("event=given-up"), 1);
}

static void what_grows_too_old_behind_a_closed_door_is_given_up_too(void **state)
{
	struct world *w = *state;
	unsigned expired = 0;

	for (int i = 0; i < 20; i++)
		add_to(w, "dead.test");
	settle(w);
	for (int hours = 0; hours < 24 * 6; hours++) {
		for (unsigned i = 0; i < w->job_count;) {
			struct queue_job *j = w->jobs[i];
			if (j->kind == QUEUE_EXPIRE) {
				answer(w, j, SPOOL_EXPIRED, 0, 0);
				expired++;
			} else {
				defer(w, j, QUEUE_CONNECT);
			}
		}
		pass(w, HOUR);
	}
	assert_int_equal(expired, 20);
	assert_empty(w);
}

static void the_wall_clock_may_jump_as_it_likes(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	clock_set(clock_mono(), START_WALL + 400 * DAY);
	settle(w);
	assert_int_equal(w->job_count, 0); /* no storm */
	clock_set(clock_mono(), 0);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_true(show(w, id).next > 4 * MIN && show(w, id).next < 6 * MIN);
	clock_set(clock_mono() + 6 * MIN, START_WALL + 4000 * DAY);
	settle(w);
	assert_int_equal(only_job(w)->kind, QUEUE_DELIVER);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	assert_int_equal(numbers(w).deferred, 1); /* no early end */
	assert_int_equal(said("event=given-up"), 0);
}

/* --- after a restart */

static void found(struct world *w, uint64_t id, int64_t created, const struct spool_state *states,
		  unsigned count)
{
	const struct spool_found f = {.id = id,
				      .created = created,
				      .place = {2, (uint32_t)id, 1},
				      .recipients = (uint16_t)count,
				      .states = states,
				      .live = 1};

	queue_add_found(w->q, &f);
}

static struct spool_envelope *envelope_of(unsigned count, const char *domain)
{
	struct spool_envelope *e = calloc(1, sizeof(*e));

	e->customer = strdup("acme");
	e->sender = strdup("");
	e->client = strdup("");
	e->tls = strdup("");
	e->size = 100;
	e->recipients = calloc(count, sizeof(*e->recipients));
	e->count = count;
	for (unsigned i = 0; i < count; i++) {
		e->recipients[i].address = malloc(100);
		snprintf(e->recipients[i].address, 100, "u%u@%s", i, domain);
	}
	return e;
}

static void opened(struct world *w, struct queue_job *j, unsigned count, const char *domain)
{
	j->opened = envelope_of(count, domain);
	give_back(w, j);
}

static void not_opened(struct world *w, struct queue_job *j, int err)
{
	j->opened = NULL;
	j->err = err;
	give_back(w, j);
}

static void found_messages_are_opened_oldest_first_a_bounded_number_at_a_time(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[1];
	unsigned done = 0;

	for (uint64_t id = 1; id <= 1000; id++)
		found(w, id, START_WALL - HOUR, none, 1);
	start(w);
	settle(w);
	assert_int_equal(w->job_count, 256);
	assert_int_equal(numbers(w).opening, 1000);
	assert_int_equal(numbers(w).recipients, 1000);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(w->jobs[i]->kind, QUEUE_OPEN);
		assert_true(w->jobs[i]->id <= 256);
	}
	while (done < 1000) {
		struct queue_job *j = NULL;
		for (unsigned i = 0; i < w->job_count && !j; i++)
			if (w->jobs[i]->kind == QUEUE_OPEN)
				j = w->jobs[i];
		assert_non_null(j);
		opened(w, j, 1, "a.test");
		done++;
		if (done % 50 == 0)
			settle(w);
	}
	settle(w);
	assert_int_equal(numbers(w).opening, 0);
	assert_int_equal(numbers(w).bytes, 100000);
	for (done = 0; done < 1000; done++) {
		assert_int_equal(w->jobs[0]->kind, QUEUE_DELIVER);
		deliver(w, w->jobs[0]);
		settle(w);
	}
	assert_empty(w);
}

static void a_found_recipient_takes_up_where_it_was(void **state)
{
	struct world *w = *state;
	const struct spool_state states[4] = {
	    {.outcome = SPOOL_DELIVERED},
	    {.outcome = SPOOL_DEFERRED,
	     .reason = QUEUE_DATA,
	     .code = 452,
	     .attempts = 7,
	     .next = START_WALL + HOUR},
	    {.outcome = SPOOL_BOUNCED},
	    {.outcome = SPOOL_DEFERRED,
	     .reason = QUEUE_DATA,
	     .code = 452,
	     .attempts = 6,
	     .next = START_WALL + 2 * HOUR},
	};
	struct queue_item item;

	found(w, 5, START_WALL - DAY, states, 4);
	start(w);
	settle(w);
	item = show(w, 5);
	assert_int_equal(item.reason, QUEUE_RECOVERED);
	assert_string_equal(item.destination, "");
	assert_int_equal(item.recipients, 2);
	opened(w, only_job(w), 4, "a.test");
	settle(w);
	assert_int_equal(w->job_count, 0);
	item = show(w, 5);
	assert_int_equal(item.reason, QUEUE_DATA);
	assert_int_equal(item.attempts, 7);
	assert_int_equal(item.code, 452);
	assert_int_equal(item.next, START_WALL + HOUR);
	assert_int_equal(item.created, START_WALL - DAY);
	assert_string_equal(item.destination, "a.test");
	pass(w, HOUR + CLOCK_SEC);
	assert_int_equal(only_job(w)->attempts, 7);
	assert_int_equal(only_job(w)->count, 2);
	assert_int_equal(only_job(w)->recipients[0], 1);
	assert_int_equal(only_job(w)->recipients[1], 3);
}

static void times_from_a_wrong_clock_neither_storm_nor_sleep_for_ever(void **state)
{
	struct world *w = *state;
	const struct spool_state far = {.outcome = SPOOL_DEFERRED,
					.attempts = 1,
					.next = START_WALL + 4000 * DAY},
				 past = {.outcome = SPOOL_DEFERRED, .attempts = 1, .next = 5};

	found(w, 5, START_WALL + 4000 * DAY, &far, 1); /* accepted in the future */
	found(w, 6, 5, &past, 1);		       /* or in 1970 */
	start(w);
	settle(w);
	assert_int_equal(w->job_count, 2);
	opened(w, w->jobs[0], 1, "a.test");
	opened(w, w->jobs[0], 1, "b.test");
	settle(w);
	assert_int_equal(only_job(w)->id, 6); /* due, and tried before it is given up */
	assert_int_equal(only_job(w)->kind, QUEUE_DELIVER);
	assert_true(show(w, 5).next <= START_WALL + 5 * HOUR);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	assert_int_equal(only_job(w)->kind, QUEUE_EXPIRE);
}

static void a_message_that_cannot_be_opened_for_keyd_is_opened_soon(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[1];

	found(w, 5, START_WALL, none, 1);
	start(w);
	settle(w);
	not_opened(w, only_job(w), ERR_LOCKED);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(show(w, 5).reason, QUEUE_KEYD);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(only_job(w)->kind, QUEUE_OPEN);
	queue_set_open(w->q, 0);
	not_opened(w, only_job(w), ERR_AWAY);
	pass(w, MIN);
	assert_int_equal(w->job_count, 0);
	queue_set_open(w->q, 1);
	settle(w);
	assert_int_equal(only_job(w)->kind, QUEUE_OPEN);
}

static void a_damaged_message_is_kept_said_and_given_up_in_the_end(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[2];
	int tries = 0;

	found(w, 5, START_WALL, none, 2);
	found(w, 6, START_WALL, none, 1);
	start(w);
	settle(w);
	for (int hours = 0; hours < 24 * 6; hours++) {
		for (unsigned i = 0; i < w->job_count;) {
			struct queue_job *j = w->jobs[i];
			if (j->kind == QUEUE_DELIVER) {
				deliver(w, j);
			} else if (j->id == 5) {
				not_opened(w, j, ERR_AUTH);
				tries++;
			} else {
				opened(w, j, 1, "a.test");
			}
		}
		settle(w);
		if (hours == 3)
			assert_int_equal(show(w, 5).reason, QUEUE_DAMAGED);
		pass(w, HOUR);
	}
	assert_true(tries > 20 && tries < 50);
	assert_int_equal(said("event=message-damaged"), tries - 1);
	assert_int_equal(said("event=message-lost"), 1);
	assert_int_equal(atomic_load(&w->relay.count.damaged), 1);
	assert_int_equal(w->log.count, 2);
	assert_int_equal(w->log.states[0].state.outcome, SPOOL_EXPIRED);
	assert_empty(w);
}

static void an_envelope_that_does_not_fit_the_log_is_damaged(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[2];

	found(w, 5, START_WALL, none, 2);
	start(w);
	settle(w);
	opened(w, only_job(w), 3, "a.test");
	settle(w);
	assert_int_equal(show(w, 5).reason, QUEUE_DAMAGED);
}

static void new_mail_does_not_wait_for_old_mail_to_be_opened(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[1];

	for (uint64_t id = 1; id <= 1000; id++)
		found(w, id, START_WALL, none, 1);
	start(w);
	settle(w);
	add_to(w, "a.test");
	settle(w);
	assert_int_equal(jobs_for(w, "a.test"), 1);
}

/* --- looking and acting */

static void the_list_comes_in_pages_without_gaps(void **state)
{
	struct world *w = *state;
	static const char *const domains[] = {"a.test", "b.test", "c.test"};
	uint64_t after = 0, seen = 0;
	int more = 1;

	for (int i = 0; i < 250; i++)
		add(w, 3, domains, 3, NULL);
	while (more) {
		struct queue_ask *a = queue_ask_new(QUEUE_LIST);
		a->after = after;
		a->limit = 100;
		a = ask(w, a);
		assert_int_equal(a->err, 0);
		assert_true(a->count >= 3 && a->count <= 102);
		for (unsigned i = 0; i < a->count; i++) {
			assert_int_equal(a->items[i].id, 1001 + seen / 3);
			assert_int_equal(a->items[i].size, 4096);
			assert_int_equal(a->items[i].recipients, 1);
			seen++;
		}
		after = a->items[a->count - 1].id;
		more = a->more;
		queue_ask_free(a);
	}
	assert_int_equal(seen, 750);
}

static struct queue_ask *act(struct world *w, uint8_t action, uint64_t id)
{
	struct queue_ask *a = queue_ask_new(action);

	a->id = id;
	return ask(w, a);
}

static void assert_acts(struct world *w, uint8_t action, uint64_t id, int err, uint64_t affected)
{
	struct queue_ask *a = act(w, action, id);

	assert_int_equal(a->err, err);
	assert_int_equal(a->affected, affected);
	queue_ask_free(a);
	settle(w);
}

static void what_is_not_there_is_not_found(void **state)
{
	struct world *w = *state;

	assert_acts(w, QUEUE_SHOW, 5, ERR_NOTFOUND, 0);
	assert_acts(w, QUEUE_DELETE, 5, ERR_NOTFOUND, 0);
	assert_acts(w, QUEUE_RETRY_NOW, 5, ERR_NOTFOUND, 0);
	assert_acts(w, QUEUE_RETRY_NOW, 0, 0, 0);
	assert_acts(w, 77, 5, ERR_UNSUPPORTED, 0);
}

static void retry_brings_one_message_or_all_forward(void **state)
{
	struct world *w = *state;
	uint64_t one = add_to(w, "a.test");

	add_to(w, "b.test");
	add_to(w, "dead.test");
	settle(w);
	defer(w, job_for(w, "a.test"), QUEUE_RECIPIENT);
	defer(w, job_for(w, "b.test"), QUEUE_RECIPIENT);
	defer(w, job_for(w, "dead.test"), QUEUE_CONNECT);
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_acts(w, QUEUE_RETRY_NOW, one, 0, 1);
	assert_int_equal(only_job(w)->id, one);
	assert_int_equal(only_job(w)->attempts, 1);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	assert_acts(w, QUEUE_RETRY_NOW, 0, 0, 3);
	assert_int_equal(w->job_count, 3);
	assert_non_null(job_for(w, "dead.test"));
	assert_int_equal(said("event=queue-retry"), 2);
}

static void a_deleted_message_is_forgotten_once_the_log_knows(void **state)
{
	static const char *const domains[] = {"a.test", "b.test"};
	struct world *w = *state;
	uint64_t id = add(w, 4, domains, 2, NULL);

	settle(w);
	while (w->job_count)
		defer(w, w->jobs[0], QUEUE_RECIPIENT);
	settle(w);
	w->log.count = 0;
	assert_acts(w, QUEUE_DELETE, id, 0, 4);
	assert_int_equal(w->log.count, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(w->log.states[i].state.outcome, SPOOL_DELETED);
	assert_empty(w);
	assert_int_equal(said("event=deleted recipients=4"), 1);
}

static void deleting_waits_for_what_a_worker_holds(void **state)
{
	static const char *const domains[] = {"a.test", "b.test"};
	struct world *w = *state;
	uint64_t id = add(w, 2, domains, 2, NULL);

	settle(w);
	defer(w, job_for(w, "a.test"), QUEUE_RECIPIENT);
	settle(w);
	w->log.count = 0;
	assert_acts(w, QUEUE_DELETE, id, 0, 2);
	assert_int_equal(w->log.count, 1);
	assert_int_equal(numbers(w).recipients, 1);
	defer(w, job_for(w, "b.test"), QUEUE_RECIPIENT); /* not delivered: deleted now */
	settle(w);
	assert_int_equal(w->log.count, 2);
	assert_int_equal(w->log.states[1].state.outcome, SPOOL_DELETED);
	assert_empty(w);
}

static void a_message_in_a_workers_hands_may_still_be_delivered(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	assert_acts(w, QUEUE_DELETE, id, 0, 1);
	deliver(w, only_job(w));
	settle(w);
	assert_int_equal(w->log.count, 0);
	assert_empty(w);
}

static void what_cannot_be_written_as_deleted_stays_queued(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	w->log.result = ERR_NOSPACE;
	assert_acts(w, QUEUE_DELETE, id, ERR_NOSPACE, 0);
	w->log.result = 0;
	assert_int_equal(numbers(w).recipients, 1);
	pass(w, 2 * CLOCK_SEC);
	defer(w, only_job(w), QUEUE_RECIPIENT); /* and is a message like any other */
	settle(w);
	assert_int_equal(numbers(w).recipients, 1);
	assert_acts(w, QUEUE_DELETE, id, 0, 1);
	assert_empty(w);
}

static void found_messages_can_be_deleted_before_and_while_they_are_opened(void **state)
{
	struct world *w = *state;
	static const struct spool_state none[3];

	found(w, 5, START_WALL, none, 3);
	found(w, 6, START_WALL, none, 2);
	assert_int_equal(queue_start(w->q), 0);
	assert_acts(w, QUEUE_DELETE, 5, 0, 3);
	assert_int_equal(w->log.count, 3);
	queue_set_open(w->q, 1);
	settle(w);
	assert_acts(w, QUEUE_DELETE, 6, 0, 2);
	assert_int_equal(w->log.count, 3);
	opened(w, only_job(w), 2, "a.test");
	settle(w);
	assert_int_equal(w->log.count, 5);
	assert_empty(w);
}

static void news_that_cannot_be_written_are_said_once_and_nothing_stops(void **state)
{
	struct world *w = *state;

	w->log.result = ERR_NOSPACE;
	for (int i = 0; i < 50; i++) {
		add_to(w, "a.test");
		settle(w);
		defer(w, only_job(w), QUEUE_RECIPIENT);
		settle(w);
	}
	assert_int_equal(said("event=queue-state-unwritten"), 1);
	w->log.result = 0;
	pass(w, 6 * MIN);
	assert_int_equal(w->job_count, 30);
}

static void numbers_add_up(void **state)
{
	struct world *w = *state;
	struct queue_numbers n;

	add_to(w, "a.test");
	clock_advance(CLOCK_SEC);
	add_to(w, "b.test");
	settle(w);
	defer(w, job_for(w, "a.test"), QUEUE_RECIPIENT);
	settle(w);
	n = numbers(w);
	assert_int_equal(n.messages, 2);
	assert_int_equal(n.recipients, 2);
	assert_int_equal(n.active, 1);
	assert_int_equal(n.deferred, 1);
	assert_int_equal(n.destinations, 2);
	assert_int_equal(n.bytes, 8192);
	assert_int_equal(n.oldest, START_WALL);
	assert_int_equal(n.orphans, 0);
}

/* --- the invariant */

static uint64_t victim;

/* On the queue's own thread: takes a group out of its place, as a bug would. */
static void lose(struct relay_msg *msg, void *queue)
{
	struct queue *q = queue;
	struct queue_message *m = queue_index_find(&q->index, victim);
	struct queue_group *g = m->groups;

	if (g->where == QUEUE_WAITS) {
		queue_sched_remove(&q->waiting, &g->at.timer);
		q->waits -= g->count;
		g->at.timer = 77;
	} else {
		list_remove(&g->dest->run);
	}
	free(msg);
}

static void post_to_queue(struct world *w, void (*run)(struct relay_msg *, void *))
{
	struct relay_msg *m = calloc(1, sizeof(*m));

	m->run = run;
	evt_inbox_post(w->q->inbox, &m->msg);
}

static void a_recipient_that_fell_out_is_noticed_and_put_back(void **state)
{
	struct world *w = *state;

	victim = add_to(w, "a.test");
	settle(w);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	post_to_queue(w, lose);
	pass(w, 2 * CLOCK_SEC);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(numbers(w).orphans, 1);
	assert_int_equal(said("event=queue-orphan"), 1);
	deliver(w, only_job(w));
	settle(w);
	assert_empty(w);
}

static void a_destination_that_fell_out_of_line_is_noticed_and_put_back(void **state)
{
	struct world *w = *state;

	queue_set_open(w->q, 0);
	victim = add_to(w, "a.test");
	settle(w);
	post_to_queue(w, lose);
	pass(w, 2 * CLOCK_SEC);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(numbers(w).orphans, 1);
	queue_set_open(w->q, 1);
	settle(w);
	deliver(w, only_job(w));
	settle(w);
	assert_empty(w);
}

static void a_job_that_stays_away_for_hours_is_said(void **state)
{
	struct world *w = *state;

	add_to(w, "a.test");
	settle(w);
	pass(w, 7 * HOUR);
	pass(w, 2 * CLOCK_SEC);
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(said("event=queue-stuck"), 1);
	assert_int_equal(numbers(w).orphans, 0);
}

/* --- size and end */

static void a_queued_recipient_takes_less_than_300_bytes(void **state)
{
	enum { N = 100000 };
	struct world *w = *state;
	struct mallinfo2 before, after;
	char name[40];

	queue_set_open(w->q, 0);
	numbers(w);
	before = mallinfo2();
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "destination-%d.example.test", i % 1000);
		add_to(w, name);
		if (i % 1000 == 0)
			numbers(w);
	}
	numbers(w);
	after = mallinfo2();
	assert_int_equal(numbers(w).recipients, N);
	assert_true(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd < N * 300ull);
}

static void what_comes_back_after_the_end_is_freed(void **state)
{
	struct world *w = *state;
	const char *domain = "a.test";
	struct queue_ask *a = queue_ask_new(QUEUE_NUMBERS);
	static const struct spool_state none[1];

	found(w, 5, START_WALL, none, 1);
	start(w);
	for (int i = 0; i < 3; i++)
		add_to(w, "b.test");
	settle(w);
	assert_int_equal(w->job_count, 4);
	queue_stop(w->q);
	deliver(w, job_for(w, "b.test"));
	for (unsigned i = 0; i < w->job_count; i++)
		if (w->jobs[i]->kind == QUEUE_OPEN) {
			opened(w, w->jobs[i], 1, "c.test");
			break;
		}
	add(w, 1, &domain, 1, a_fresh());
	a->reply = w->me;
	queue_ask_post(w->q, a);
	queue_set_open(w->q, 1);
	queue_free(w->q); /* two jobs are still with us */
	w->job_count = 0;
	new_queue(w);
	start(w);
}

static void while_relay_stops_a_job_given_back_is_as_it_was(void **state)
{
	struct world *w = *state;
	uint64_t id = add_to(w, "a.test");

	settle(w);
	atomic_store(&w->relay.stopping, 1);
	queue_set_open(w->q, 0);
	defer(w, only_job(w), QUEUE_LOCAL);
	settle(w);
	assert_int_equal(w->log.count, 0);
	assert_int_equal(show(w, id).attempts, 0);
}

static void every_reason_has_a_text(void **state)
{
	(void)state;
	for (unsigned i = 0; i <= QUEUE_POLICY; i++)
		assert_string_not_equal(queue_reason_text(i), "unknown");
	assert_string_equal(queue_reason_text(200), "unknown");
	assert_string_equal(queue_reason_text(QUEUE_KEYD), "waiting for keyd");
}

#define TEST(f)	 cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define STILL(f) cmocka_unit_test_setup_teardown(f, set_up_still, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_accepted_message_is_handed_out_at_once_with_its_keys),
	    TEST(recipients_of_one_destination_travel_together_a_hundred_at_most),
	    TEST(a_deferred_recipient_waits_and_the_log_knows),
	    TEST(only_what_was_deferred_is_tried_again),
	    TEST(a_result_nobody_filled_in_is_a_deferral),
	    TEST(while_keyd_is_away_nothing_is_handed_out),
	    TEST(fresh_keys_that_wait_are_dropped_when_keyd_goes),
	    TEST(a_job_that_came_back_for_keyd_counts_no_attempt),
	    TEST(a_host_that_cannot_be_reached_is_probed_with_one_job),
	    TEST(a_probe_that_cannot_be_tried_is_followed_by_another),
	    TEST(a_failure_among_successes_rests_the_message_not_the_destination),
	    TEST(a_recipient_refused_for_now_says_nothing_about_the_others),
	    TEST(connections_lost_in_a_row_rest_the_destination),
	    TEST(jobs_are_limited_per_destination_and_spread_over_workers),
	    TEST(one_message_after_the_other_stays_with_one_worker),
	    TEST(a_slow_destination_does_not_keep_another_waiting),
	    TEST(a_crowd_of_silent_hosts_leaves_room_for_those_that_answer),
	    TEST(a_host_that_was_kept_back_by_the_crowd_is_served_once_it_answers),
	    TEST(what_is_too_old_is_told_to_the_sender_and_forgotten),
	    TEST(what_grows_too_old_behind_a_closed_door_is_given_up_too),
	    TEST(the_wall_clock_may_jump_as_it_likes),
	    STILL(found_messages_are_opened_oldest_first_a_bounded_number_at_a_time),
	    STILL(a_found_recipient_takes_up_where_it_was),
	    STILL(times_from_a_wrong_clock_neither_storm_nor_sleep_for_ever),
	    STILL(a_message_that_cannot_be_opened_for_keyd_is_opened_soon),
	    STILL(a_damaged_message_is_kept_said_and_given_up_in_the_end),
	    STILL(an_envelope_that_does_not_fit_the_log_is_damaged),
	    STILL(new_mail_does_not_wait_for_old_mail_to_be_opened),
	    TEST(the_list_comes_in_pages_without_gaps),
	    TEST(what_is_not_there_is_not_found),
	    TEST(retry_brings_one_message_or_all_forward),
	    TEST(a_deleted_message_is_forgotten_once_the_log_knows),
	    TEST(deleting_waits_for_what_a_worker_holds),
	    TEST(a_message_in_a_workers_hands_may_still_be_delivered),
	    TEST(what_cannot_be_written_as_deleted_stays_queued),
	    STILL(found_messages_can_be_deleted_before_and_while_they_are_opened),
	    TEST(news_that_cannot_be_written_are_said_once_and_nothing_stops),
	    TEST(numbers_add_up),
	    TEST(a_recipient_that_fell_out_is_noticed_and_put_back),
	    TEST(a_destination_that_fell_out_of_line_is_noticed_and_put_back),
	    TEST(a_job_that_stays_away_for_hours_is_said),
	    TEST(a_queued_recipient_takes_less_than_300_bytes),
	    STILL(what_comes_back_after_the_end_is_freed),
	    TEST(while_relay_stops_a_job_given_back_is_as_it_was),
	    cmocka_unit_test(every_reason_has_a_text),
	};

	return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
