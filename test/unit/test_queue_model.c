/* SPDX-License-Identifier: Apache-2.0 */
/* Random orders, jobs, answers, clocks and keyd against a simple model: whatever comes, each recipient
 * is in one place, comes to one end, and orders are obeyed. A seed that fails is printed; run it alone
 * with SEED=n. */
#include "test/unit/queue_world.h"

#define MESSAGES   4000
#define RECIPIENTS 3
#define ORDERS	   64
#define STEPS	   250
#define SEEDS	   40

static const char *const customers[] = {"acme", "big"};
static const char *const campaigns[] = {"", "spring", "autumn"};
static const char *const domains[] = {"a.one.test", "b.one.test", "a.two.test", "b.two.test"};

enum fate { QUEUED, FINAL };
struct model_message {
	uint64_t id;
	int customer, campaign, count;
	int hold, purged, bounced;
	struct {
		int domain;
		enum fate fate;
		int out;    /* in a worker's hands */
		int doomed; /* by purge or bounce: never delivered by a new job */
	} r[RECIPIENTS];
};
struct model_order {
	int action; /* QUEUE_HOLD, QUEUE_SUSPEND, QUEUE_REROUTE */
	int customer, campaign, domain; /* -1: any */
};
static struct model {
	struct model_message m[MESSAGES];
	unsigned count;
	struct model_order o[ORDERS];
	unsigned orders;
} model;

static uint64_t dice_state;

static unsigned dice(unsigned n)
{
	dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(dice_state >> 33) % n;
}

static struct model_message *of_id(uint64_t id)
{
	assert_true(id > 1000 && id <= 1000 + model.count);
	return &model.m[id - 1001];
}

static int fits(const struct model_order *o, const struct model_message *m, int domain)
{
	return (o->customer < 0 || o->customer == m->customer) &&
	       (o->campaign < 0 || o->campaign == m->campaign) && (o->domain < 0 || o->domain == domain);
}

static const struct model_order *ordered(const struct model_message *m, int domain, int action)
{
	for (unsigned i = model.orders; i-- > 0;)
		if (model.o[i].action == action && fits(&model.o[i], m, domain))
			return &model.o[i];
	return NULL;
}

static void two_sites(struct world *w, struct queue_job *j)
{
	(void)w;
	if (dice(10) == 0) {
		j->site[0] = '\0';
		j->results[0].outcome = SPOOL_DEFERRED;
		j->results[0].reason = QUEUE_DNS;
		return;
	}
	snprintf(j->site, sizeof(j->site), "%s", strchr(j->destination, '.') + 1);
	j->site_ttl = 600 * CLOCK_SEC;
}

/* --- what the queue does must be right */

static void check_job(const struct queue_job *j)
{
	struct model_message *m = of_id(j->id);
	int domain = 0;

	while (strcmp(domains[domain], j->destination))
		domain++;
	assert_string_equal(j->customer, customers[m->customer]);
	for (unsigned i = 0; i < j->count; i++) {
		unsigned r = j->recipients[i];
		assert_true(r < (unsigned)m->count);
		assert_int_equal(m->r[r].domain, domain);
		assert_int_equal(m->r[r].fate, QUEUED);
		assert_int_equal(m->r[r].out++, 0);
		if (j->kind == QUEUE_DELIVER) {
			assert_int_equal(m->r[r].doomed, 0);
			assert_int_equal(m->hold, 0);
			assert_null(ordered(m, domain, QUEUE_HOLD));
			assert_null(ordered(m, domain, QUEUE_SUSPEND));
			assert_string_equal(j->via, ordered(m, domain, QUEUE_REROUTE) ? "hub.test:25" : "");
			assert_string_equal(j->site, *j->via ? j->via : strchr(j->destination, '.') + 1);
		}
		if (j->kind == QUEUE_EXPIRE && m->r[r].doomed)
			assert_int_equal(j->results[i].outcome, SPOOL_BOUNCED);
	}
}

static void read_log(struct world *w)
{
	pthread_mutex_lock(&w->log.lock);
	for (unsigned i = 0; i < w->log.count; i++) {
		struct model_message *m = of_id(w->log.states[i].id);
		const struct spool_state *s = &w->log.states[i].state;
		if (s->outcome != SPOOL_DELETED)
			continue;
		assert_int_equal(m->r[s->recipient].doomed, 1);
		assert_int_equal(m->r[s->recipient].fate, QUEUED);
		assert_int_equal(m->r[s->recipient].out, 0);
		m->r[s->recipient].fate = FINAL;
	}
	w->log.count = 0;
	pthread_mutex_unlock(&w->log.lock);
}

static void check_all(struct world *w)
{
	unsigned known = w->job_count;
	uint64_t queued = 0;
	struct queue_numbers n;

	settle(w);
	for (unsigned i = known; i < w->job_count; i++)
		check_job(w->jobs[i]);
	do { /* what drains, and what the spool answers to that */
		settle(w);
		n = numbers(w);
	} while (n.draining && w->q->spool_out);
	read_log(w);
	for (unsigned i = 0; i < model.count; i++)
		for (int r = 0; r < model.m[i].count; r++)
			queued += model.m[i].r[r].fate == QUEUED;
	assert_int_equal(n.recipients, queued);
	assert_int_equal(n.orphans, 0);
}

/* --- steps */

static void step_add(struct world *w)
{
	struct model_message *m = &model.m[model.count];
	const char *to[RECIPIENTS];

	if (model.count == MESSAGES)
		return;
	memset(m, 0, sizeof(*m));
	m->customer = (int)dice(2);
	m->campaign = (int)dice(3);
	m->count = 1 + (int)dice(RECIPIENTS);
	for (int i = 0; i < m->count; i++) {
		m->r[i].domain = (int)dice(4);
		to[i] = domains[m->r[i].domain];
	}
	model.count++;
	w->customer = customers[m->customer];
	w->campaign = campaigns[m->campaign];
	m->id = add(w, (unsigned)m->count, to, (unsigned)m->count, dice(2) ? a_fresh() : NULL);
}

static void step_answer(struct world *w)
{
	static const uint8_t reasons[] = {QUEUE_RECIPIENT, QUEUE_CONNECT, QUEUE_LOST, QUEUE_KEYD,
					  QUEUE_RETRY,	   QUEUE_DNS,	  QUEUE_RATE, QUEUE_DATA};
	struct queue_job *j;
	struct model_message *m;
	uint8_t reason = reasons[dice(8)];
	unsigned which = dice(4);

	if (!w->job_count)
		return;
	j = w->jobs[dice(w->job_count)];
	m = of_id(j->id);
	for (unsigned i = 0; i < j->count; i++) {
		struct queue_result *r = &j->results[i];
		m->r[j->recipients[i]].out = 0;
		if (j->kind == QUEUE_DELIVER)
			r->outcome = which == 0 ? SPOOL_DEFERRED : which == 1 && dice(2) ? SPOOL_BOUNCED
											 : SPOOL_DELIVERED;
		else if (j->kind == QUEUE_EXPIRE && which == 0)
			r->outcome = SPOOL_DEFERRED;
		if (r->outcome == SPOOL_DEFERRED)
			r->reason = reason;
		else
			m->r[j->recipients[i]].fate = FINAL;
	}
	give_back(w, j);
}

static struct queue_ask *random_order(uint8_t action, struct model_order *o)
{
	struct queue_ask *a = queue_ask_new(action);
	struct queue_selector *of = &a->order.of;

	o->action = action;
	o->customer = dice(2) ? (int)dice(2) : -1;
	o->campaign = dice(2) ? (int)dice(3) : -1;
	o->domain = o->customer < 0 && o->campaign < 0 ? (int)dice(4) : dice(3) ? -1 : (int)dice(4);
	of->by = (uint8_t)((o->customer >= 0 ? QUEUE_BY_CUSTOMER : 0) |
			   (o->campaign >= 0 ? QUEUE_BY_CAMPAIGN : 0) |
			   (o->domain >= 0 ? QUEUE_BY_DESTINATION : 0));
	snprintf(of->customer, sizeof(of->customer), "%s", o->customer >= 0 ? customers[o->customer] : "");
	snprintf(of->campaign, sizeof(of->campaign), "%s", o->campaign >= 0 ? campaigns[o->campaign] : "");
	snprintf(of->destination, sizeof(of->destination), "%s", o->domain >= 0 ? domains[o->domain] : "");
	snprintf(a->order.via, sizeof(a->order.via), "%s", action == QUEUE_REROUTE ? "hub.test:25" : "");
	return a;
}

/* Jobs that were handed out before an order came count as they were: they are taken in first. */
static void obey(struct world *w, struct queue_ask *a)
{
	a = ask(w, a);
	assert_int_equal(a->err, 0);
	queue_ask_free(a);
}

static void step_order(struct world *w)
{
	static const uint8_t actions[] = {QUEUE_HOLD, QUEUE_SUSPEND, QUEUE_REROUTE};
	struct model_order o;

	if (model.orders == ORDERS)
		return;
	check_all(w);
	obey(w, random_order(actions[dice(3)], &o));
	model.o[model.orders++] = o;
}

static void end_orders(struct world *w, uint8_t action, const struct model_order *of, struct queue_ask *a)
{
	unsigned kept = 0;

	obey(w, a);
	for (unsigned i = 0; i < model.orders; i++) {
		const struct model_order *k = &model.o[i];
		if (k->action != action || (of->customer >= 0 && of->customer != k->customer) ||
		    (of->campaign >= 0 && of->campaign != k->campaign) ||
		    (of->domain >= 0 && of->domain != k->domain))
			model.o[kept++] = *k;
	}
	model.orders = kept;
}

static void step_end_order(struct world *w)
{
	static const uint8_t actions[] = {QUEUE_RELEASE, QUEUE_RESUME, QUEUE_UNROUTE};
	uint8_t action = actions[dice(3)];
	struct model_order of;
	struct queue_ask *a;

	check_all(w);
	a = random_order(action, &of);
	end_orders(w, queue_order_ended_by(action), &of, a);
}

static void step_take_out(struct world *w)
{
	uint8_t action = dice(3) ? QUEUE_PURGE : QUEUE_BOUNCE;
	struct model_order o;
	struct queue_ask *a;

	if (dice(4)) /* or too little would be left to do anything with */
		return;
	check_all(w);
	a = random_order(action, &o);
	for (unsigned i = 0; i < model.count; i++)
		for (int r = 0; r < model.m[i].count; r++)
			if (model.m[i].r[r].fate == QUEUED && fits(&o, &model.m[i], model.m[i].r[r].domain))
				model.m[i].r[r].doomed = 1;
	obey(w, a);
}

static void step_one(struct world *w)
{
	static const uint8_t actions[] = {QUEUE_HOLD, QUEUE_RELEASE, QUEUE_DELETE, QUEUE_RETRY_NOW};
	uint8_t action = actions[dice(4)];
	struct queue_ask *a = queue_ask_new(action);
	struct model_message *m = &model.m[model.count ? dice(model.count) : 0];

	check_all(w);
	a->id = a->order.of.message = m->id;
	a->order.of.by = QUEUE_BY_MESSAGE;
	if (action == QUEUE_DELETE)
		for (int r = 0; r < m->count; r++)
			m->r[r].doomed |= m->r[r].fate == QUEUED;
	a = ask(w, a);
	if (a->err == 0 && (action == QUEUE_HOLD || action == QUEUE_RELEASE))
		m->hold = action == QUEUE_HOLD;
	else if (a->err)
		assert_int_equal(a->err, ERR_NOTFOUND);
	queue_ask_free(a);
}

static void step_time(struct world *w)
{
	static const int64_t pauses[] = {CLOCK_SEC, MIN, 10 * MIN, HOUR, 6 * HOUR};

	(void)w;
	clock_advance(pauses[dice(5)]);
}

static void step_keyd(struct world *w)
{
	queue_set_open(w->q, dice(3) != 0);
}

static void step_retry_all(struct world *w)
{
	struct queue_ask *a = queue_ask_new(QUEUE_RETRY_NOW);

	obey(w, a);
}

static void finish(struct world *w)
{
	static const uint8_t all[] = {QUEUE_RELEASE, QUEUE_RESUME, QUEUE_UNROUTE};
	const struct model_order any = {.customer = -1, .campaign = -1, .domain = -1};

	check_all(w);
	for (int i = 0; i < 3; i++)
		end_orders(w, queue_order_ended_by(all[i]), &any, queue_ask_new(all[i]));
	for (unsigned i = 0; i < model.count; i++) {
		struct queue_ask *a = queue_ask_new(QUEUE_RELEASE);
		if (!model.m[i].hold) {
			queue_ask_free(a);
			continue;
		}
		a->order.of.by = QUEUE_BY_MESSAGE;
		a->order.of.message = model.m[i].id;
		queue_ask_free(ask(w, a));
		model.m[i].hold = 0;
	}
	queue_set_open(w->q, 1);
	w->resolve = NULL;
	for (int i = 0; i < 2000 && numbers(w).recipients; i++) {
		settle(w);
		while (w->job_count) {
			struct queue_job *j = w->jobs[0];
			struct model_message *m = of_id(j->id);
			for (unsigned r = 0; r < j->count; r++)
				m->r[j->recipients[r]].fate = FINAL;
			answer(w, j, j->kind == QUEUE_EXPIRE ? SPOOL_EXPIRED : SPOOL_DELIVERED, 0, 250);
			if (!w->job_count)
				settle(w);
		}
		clock_advance(10 * MIN);
	}
	settle(w);
	read_log(w);
	assert_empty(w);
	for (unsigned i = 0; i < model.count; i++)
		for (int r = 0; r < model.m[i].count; r++)
			assert_int_equal(model.m[i].r[r].fate, FINAL);
}

static void run(uint64_t seed)
{
	static void (*const steps[])(struct world *) = {
	    step_add,	step_add,    step_add,	     step_add,	  step_answer, step_answer,
	    step_answer, step_answer, step_answer,    step_order,  step_end_order, step_end_order,
	    step_take_out, step_one,  step_time,      step_keyd,	  step_retry_all};
	struct world *w;

	print_message("SEED=%llu\n", (unsigned long long)seed);
	dice_state = seed;
	memset(&model, 0, sizeof(model));
	set_up((void **)&w);
	w->resolve = two_sites;
	for (int i = 0; i < STEPS; i++) {
		for (unsigned n = 1 + dice(8); n; n--)
			step_add(w);
		for (unsigned n = dice(12); n; n--)
			step_answer(w);
		steps[dice(sizeof(steps) / sizeof(steps[0]))](w);
		check_all(w);
	}
	finish(w);
	assert_int_equal(tear_down((void **)&w), 0);
}

static void whatever_comes_each_recipient_comes_to_one_end(void **state)
{
	const char *one = getenv("SEED");

	(void)state;
	if (one) {
		run(strtoull(one, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_comes_each_recipient_comes_to_one_end),
	};

	return cmocka_run_group_tests_name("queue_model", tests, NULL, NULL);
}
