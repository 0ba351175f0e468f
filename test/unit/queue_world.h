/* SPDX-License-Identifier: Apache-2.0 */
/* queue_world - what the tests of the queue share: the real queue on its real thread; the test
 * plays the workers, the spool log and the clock. Each test program includes it once. */
#ifndef TEST_UNIT_QUEUE_WORLD_H
#define TEST_UNIT_QUEUE_WORLD_H

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
#include "relay/ledger/ledger.h"
#include "relay/queue/queue.h"
#include "relay/queue/queue_priv.h"
#include "test/unit/shape_fake.h"

#define MIN	   (60 * CLOCK_SEC)
#define HOUR	   (60 * MIN)
#define DAY	   (24 * HOUR)
#define START	   (1000 * CLOCK_SEC)
#define START_WALL (INT64_C(1800000000) * CLOCK_SEC)
#define STATES	   4096
#define JOBS	   16384

/* --- the ledger: remembers the last row */
static struct {
	atomic_uint count;
	uint64_t id;
	char domain[256], failure[64], reply[160];
	uint8_t reason;
} in_ledger;

void ledger_post(struct ledger *l, const struct ledger_attempt *a)
{
	(void)l;
	in_ledger.id = a->id;
	in_ledger.reason = a->reason;
	snprintf(in_ledger.domain, sizeof(in_ledger.domain), "%s", a->domain);
	snprintf(in_ledger.failure, sizeof(in_ledger.failure), "%s", a->failure ? a->failure : "");
	snprintf(in_ledger.reply, sizeof(in_ledger.reply), "%s", a->reply);
	atomic_fetch_add(&in_ledger.count, 1);
}

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

static atomic_uint syncs; /* of the spool: a test moves it */

void spool_log_numbers(struct spool_log *s, struct spool_numbers *out)
{
	(void)s;
	memset(out, 0, sizeof(*out));
	out->syncs = atomic_load(&syncs);
}

/* --- fresh keys: counted, not made */
static atomic_int fresh_alive;

static inline struct spool_fresh *a_fresh(void)
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

/* Routes by customer (NULL: any) and whole domain ("*": any), as long as a test wants some. */
static struct relay_route routes[4];

const struct relay_route *relay_conf_route(const struct relay_conf *c, const char *customer,
					   struct span domain)
{
	(void)c;
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++)
		if (routes[i].domain &&
		    (!routes[i].customer || !strcmp(routes[i].customer, customer)) &&
		    (!strcmp(routes[i].domain, "*") ||
		     span_equal(domain, span_str(routes[i].domain))))
			return &routes[i];
	return NULL;
}

/* --- the log lines */
static struct {
	pthread_mutex_t lock;
	char text[1 << 20];
	size_t used;
} lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void on_line(void *arg, const char *line)
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

static inline unsigned said(const char *what)
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
	struct shape shape;
	/* Who asks for a site is answered at once: by this, if it is not NULL, and with the domain itself
	 * if it is. */
	void (*resolve)(struct world *w, struct queue_job *j);
	unsigned resolved;
	const char *customer, *campaign; /* of what is added; NULL: "acme", "" */
	int flags;
};

static inline void run_job(struct relay_msg *m, void *worker)
{
	(void)m;
	(void)worker;
	abort(); /* the test takes jobs out of inboxes itself */
}

static inline struct queue_ask *ask(struct world *w, struct queue_ask *a)
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

static inline struct queue_numbers numbers(struct world *w)
{
	struct queue_ask *a = ask(w, queue_ask_new(QUEUE_NUMBERS));
	struct queue_numbers n = a->numbers;

	assert_int_equal(a->err, 0);
	queue_ask_free(a);
	return n;
}

static inline void answer_resolve(struct world *w, struct queue_job *j)
{
	w->resolved++;
	assert_string_equal(j->via, "mx");
	assert_int_equal(j->count, 1);
	if (w->resolve) {
		w->resolve(w, j);
	} else {
		snprintf(j->site, sizeof(j->site), "%s", j->destination);
		j->site_ttl = 3600 * CLOCK_SEC;
	}
	queue_job_done(w->q, j);
}

/* Jobs are taken out of the inboxes. 1: there were questions, and more may come. */
static inline int take_jobs(struct world *w)
{
	int questions = 0;

	for (int i = 0; i < w->relay.worker_count; i++) {
		struct evt_msg *m = evt_inbox_wait(w->workers[i].inbox, 0);
		while (m) {
			struct queue_job *j = (struct queue_job *)m;
			m = m->next;
			assert_int_equal(j->worker, i);
			assert_true(w->job_count < JOBS);
			if (j->kind == QUEUE_RESOLVE) {
				answer_resolve(w, j);
				questions = 1;
			} else {
				w->jobs[w->job_count++] = j;
			}
		}
	}
	return questions;
}

/* When the second answer is there, all that came before the first has been dealt with: jobs are in
 * the inboxes. What the spool answered may have caused more. */
static inline void settle(struct world *w)
{
	do
		for (int i = 0; i < 4; i++)
			numbers(w);
	while (take_jobs(w));
}

static inline void pass(struct world *w, int64_t usec)
{
	clock_advance(usec);
	settle(w);
}

static inline void new_queue(struct world *w)
{
	w->q = queue_new(&w->relay, run_job);
	assert_non_null(w->q);
}

static inline void start(struct world *w)
{
	assert_int_equal(queue_start(w->q), 0);
	queue_set_open(w->q, 1);
}

static inline int set_up_still(void **state)
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
	w->relay.shape = &w->shape;
	w->shape.conf = &conf;
	pthread_mutex_init(&w->shape.lock, NULL);
	memset(routes, 0, sizeof(routes));
	pthread_mutex_init(&w->log.lock, NULL);
	for (int i = 0; i < 2; i++)
		w->workers[i].inbox = evt_inbox_new(NULL, NULL, NULL);
	w->me = evt_inbox_new(NULL, NULL, NULL);
	w->last_id = 1000;
	new_queue(w);
	*state = w;
	return 0;
}

static inline int set_up(void **state)
{
	set_up_still(state);
	start(*state);
	return 0;
}

static inline void take_fresh(struct queue_job *j)
{
	spool_fresh_free(j->fresh);
	j->fresh = NULL;
}

/* Ends with jobs in our hands: the queue frees them. Orphans and stray warnings fail the test. */
static inline int tear_down(void **state)
{
	struct world *w = *state;
	uint64_t orphans = numbers(w).orphans;

	queue_stop(w->q);
	queue_free(w->q);
	for (int i = 0; i < 2; i++)
		evt_inbox_free(w->workers[i].inbox);
	evt_inbox_free(w->me);
	pthread_mutex_destroy(&w->log.lock);
	shape_fake_end(&w->shape);
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
static inline uint64_t add(struct world *w, unsigned count, const char *const *domains,
			   unsigned domain_count, struct spool_fresh *fresh)
{
	struct spool_recipient *r = calloc(count, sizeof(*r));
	char customer[65], campaign[65], sender[] = "s@example.test", empty[] = "";
	struct spool_envelope e = {.customer = customer,
				   .campaign = campaign,
				   .flags = w->flags,
				   .sender = sender,
				   .created = clock_wall(),
				   .size = 4096,
				   .client = empty,
				   .tls = empty,
				   .recipients = r,
				   .count = count};
	uint64_t id = ++w->last_id;

	snprintf(customer, sizeof(customer), "%s", w->customer ? w->customer : "acme");
	snprintf(campaign, sizeof(campaign), "%s", w->campaign ? w->campaign : "");
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

static inline uint64_t add_to(struct world *w, const char *domain)
{
	return add(w, 1, &domain, 1, NULL);
}

static inline void give_back(struct world *w, struct queue_job *j)
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

static inline void answer(struct world *w, struct queue_job *j, int outcome, int reason, int code)
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

static inline void deliver(struct world *w, struct queue_job *j)
{
	answer(w, j, SPOOL_DELIVERED, 0, 250);
}

static inline void defer(struct world *w, struct queue_job *j, int reason)
{
	answer(w, j, SPOOL_DEFERRED, reason, 451);
}

static inline struct queue_job *job_for(struct world *w, const char *destination)
{
	for (unsigned i = 0; i < w->job_count; i++)
		if (!strcmp(w->jobs[i]->destination, destination))
			return w->jobs[i];
	return NULL;
}

static inline unsigned jobs_for(struct world *w, const char *destination)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->job_count; i++)
		n += !strcmp(w->jobs[i]->destination, destination);
	return n;
}

static inline struct queue_job *only_job(struct world *w)
{
	assert_int_equal(w->job_count, 1);
	return w->jobs[0];
}

/* A destination that has shown that it works. */
static inline void prove(struct world *w, const char *domain)
{
	add_to(w, domain);
	settle(w);
	deliver(w, job_for(w, domain));
	settle(w);
}

static inline struct queue_item show(struct world *w, uint64_t id)
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

static inline void assert_empty(struct world *w)
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
/* Runs on the queue's own thread. */
static inline void post_to_queue(struct world *w, void (*run)(struct relay_msg *, void *))
{
	struct relay_msg *m = calloc(1, sizeof(*m));

	m->run = run;
	evt_inbox_post(w->q->inbox, &m->msg);
}

/* --- what recovery finds */

static inline void found(struct world *w, uint64_t id, int64_t created,
			 const struct spool_state *states, unsigned count)
{
	const struct spool_found f = {.id = id,
				      .created = created,
				      .place = {2, (uint32_t)id, 1},
				      .recipients = (uint16_t)count,
				      .states = states,
				      .live = 1};

	queue_add_found(w->q, &f);
}

static inline struct spool_envelope *envelope_of(struct world *w, unsigned count,
						 const char *domain)
{
	struct spool_envelope *e = calloc(1, sizeof(*e));

	e->customer = strdup(w->customer ? w->customer : "acme");
	e->campaign = strdup(w->campaign ? w->campaign : "");
	e->flags = w->flags;
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

static inline void opened(struct world *w, struct queue_job *j, unsigned count, const char *domain)
{
	j->opened = envelope_of(w, count, domain);
	give_back(w, j);
}

static inline void not_opened(struct world *w, struct queue_job *j, int err)
{
	j->opened = NULL;
	j->err = err;
	give_back(w, j);
}

#define TEST(f)	 cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define STILL(f) cmocka_unit_test_setup_teardown(f, set_up_still, tear_down)

#endif
