/* SPDX-License-Identifier: Apache-2.0 */
/* Memory runs out in the queue's thread, at each of its allocations in turn: nothing stops, nothing
 * is lost, and when there is memory again all goes on. The queue is compiled with the allocators
 * below. */
#undef malloc
#undef calloc
#undef realloc
#include "test/unit/queue_world.h"

void *test_queue_memory_malloc(size_t n);
void *test_queue_memory_calloc(size_t count, size_t n);
void *test_queue_memory_realloc(void *p, size_t n);

static pthread_t tester;
static atomic_int left;	     /* allocations until the one that fails; 0: none does */
static atomic_int fails_for; /* how many fail then */

static int denied(void)
{
	if (pthread_equal(pthread_self(), tester) || atomic_load(&left) == 0)
		return 0;
	if (atomic_load(&left) > 1) {
		atomic_fetch_sub(&left, 1);
		return 0;
	}
	if (atomic_fetch_sub(&fails_for, 1) == 1)
		atomic_store(&left, 0);
	return 1;
}

void *test_queue_memory_malloc(size_t n)
{
	return denied() ? NULL : malloc(n);
}

void *test_queue_memory_calloc(size_t count, size_t n)
{
	return denied() ? NULL : calloc(count, n);
}

void *test_queue_memory_realloc(void *p, size_t n)
{
	return denied() ? NULL : realloc(p, n);
}

static void ask_and_forget(struct world *w, uint8_t action, uint64_t id)
{
	struct queue_ask *a = queue_ask_new(action);

	a->id = id;
	a->limit = 100;
	a = ask(w, a);
	assert_true(a->err == 0 || a->err == ERR_NOMEM || a->err == ERR_NOTFOUND);
	queue_ask_free(a);
	settle(w);
}

static void order_and_forget(struct world *w, uint8_t action, uint8_t by, uint64_t id, const char *name)
{
	struct queue_ask *a = queue_ask_new(action);

	a->order.of.by = by;
	a->order.of.message = id;
	snprintf(a->order.of.campaign, sizeof(a->order.of.campaign), "%s", name);
	snprintf(a->order.of.destination, sizeof(a->order.of.destination), "%s", name);
	if (action == QUEUE_REROUTE)
		snprintf(a->order.via, sizeof(a->order.via), "hub.test:25");
	a->limit = 100;
	a = ask(w, a);
	assert_true(a->err == 0 || a->err == ERR_NOMEM || a->err == ERR_NOTFOUND);
	queue_ask_free(a);
	settle(w);
}

/* Orders of all kinds, and all of them taken back. */
static void order_all(struct world *w)
{
	uint64_t id;

	w->campaign = "doomed";
	add_to(w, "a.test");
	id = add_to(w, "c.test");
	settle(w);
	order_and_forget(w, QUEUE_HOLD, QUEUE_BY_MESSAGE, id, "");
	order_and_forget(w, QUEUE_RELEASE, QUEUE_BY_MESSAGE, id, "");
	order_and_forget(w, QUEUE_REROUTE, QUEUE_BY_MESSAGE, id, "");
	order_and_forget(w, QUEUE_UNROUTE, QUEUE_BY_MESSAGE, id, "");
	w->campaign = NULL;
	order_and_forget(w, QUEUE_HOLD, QUEUE_BY_DESTINATION, 0, "d1.test");
	order_and_forget(w, QUEUE_REROUTE, QUEUE_BY_DESTINATION, 0, "d2.test");
	order_and_forget(w, QUEUE_PURGE, QUEUE_BY_CAMPAIGN, 0, "doomed");
	order_and_forget(w, QUEUE_SUMMARY, 0, 0, "");
	order_and_forget(w, QUEUE_ORDERS, 0, 0, "");
	order_and_forget(w, QUEUE_UNROUTE, QUEUE_BY_DESTINATION, 0, "d2.test");
	order_and_forget(w, QUEUE_RELEASE, QUEUE_BY_DESTINATION, 0, "d1.test");
}

/* A bit of everything that needs memory. */
static void live(struct world *w)
{
	static const char *const domains[] = {"a.test", "b.test", "a.test"};
	uint64_t id = add(w, 3, domains, 3, a_fresh());
	uint64_t held = add_to(w, "held.test");
	char name[32];

	for (int i = 0; i < 70; i++) { /* enough to make heaps and tables grow */
		snprintf(name, sizeof(name), "d%d.test", i);
		add_to(w, name);
	}
	settle(w);
	order_all(w);
	ask_and_forget(w, QUEUE_DELETE, held); /* while a worker has it */
	for (unsigned todo = w->job_count; todo; todo--) {
		struct queue_job *j = w->jobs[0];
		if (j->kind == QUEUE_OPEN)
			opened(w, j, 2, "found.test");
		else if (j->id % 3)
			defer(w, j, j->id % 2 ? QUEUE_RECIPIENT : QUEUE_CONNECT);
		else
			deliver(w, j);
	}
	settle(w);
	ask_and_forget(w, QUEUE_LIST, 0);
	ask_and_forget(w, QUEUE_DELETE, id);
	ask_and_forget(w, QUEUE_RETRY_NOW, 0);
	pass(w, 2 * CLOCK_SEC);
}

/* Everything that is left is delivered within hours. */
static void finish(struct world *w)
{
	for (int i = 0; i < 60 && numbers(w).recipients; i++) {
		pass(w, 10 * MIN);
		while (w->job_count)
			if (w->jobs[0]->kind == QUEUE_OPEN)
				opened(w, w->jobs[0], 2, "found.test");
			else
				deliver(w, w->jobs[0]);
		settle(w);
	}
	assert_empty(w);
	assert_int_equal(numbers(w).orphans, 0);
}

static void try_all(int in_a_row)
{
	static const struct spool_state none[2];
	int done = 0;

	tester = pthread_self();
	for (int n = 1; !done; n++) {
		struct world *w;
		set_up_still((void **)&w);
		found(w, 5, START_WALL, none, 2);
		atomic_store(&fails_for, in_a_row);
		atomic_store(&left, n);
		start(w);
		live(w);
		done = atomic_exchange(&left, 0) > 1; /* there was no such allocation */
		finish(w);
		assert_int_equal(tear_down((void **)&w), 0);
		assert_true(n < 5000);
	}
}

static void each_allocation_may_fail_once(void **state)
{
	(void)state;
	try_all(1);
}

static void from_each_allocation_on_twenty_may_fail(void **state)
{
	(void)state;
	try_all(20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation_may_fail_once),
	    cmocka_unit_test(from_each_allocation_on_twenty_may_fail),
	};

	return cmocka_run_group_tests_name("queue_memory", tests, NULL, NULL);
}
