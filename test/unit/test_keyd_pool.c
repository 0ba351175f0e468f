/* SPDX-License-Identifier: Apache-2.0 */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "keyd/keyd_pool.h"

#define JOBS 4

struct job {
	struct keyd_pool_job pool;
	int number, drains;
};

static struct keyd_pool *pool;
static atomic_int worked;
static int order[JOBS], count;

static void work(struct keyd_pool_job *j)
{
	(void)j;
	atomic_fetch_add(&worked, 1);
}

static void done(struct keyd_pool_job *j)
{
	struct job *job = (struct job *)j;

	order[count++] = job->number;
	if (!job->drains)
		return;
	keyd_pool_drain(pool);
	assert_int_equal(count, JOBS);
}

static void a_job_s_end_may_wait_for_those_that_ended_with_it(void **state)
{
	struct evt_loop *loop = evt_loop_new();
	struct timespec pause = {.tv_nsec = 1000000};
	struct job jobs[JOBS];

	(void)state;
	for (int drains = 0; drains < JOBS; drains++) {
		pool = keyd_pool_new(loop, 1, 0);
		assert_non_null(pool);
		atomic_store(&worked, 0);
		count = 0;
		memset(jobs, 0, sizeof(jobs));
		for (int i = 0; i < JOBS; i++) {
			jobs[i].number = i;
			jobs[i].drains = i == drains;
			jobs[i].pool.work = work;
			jobs[i].pool.done = done;
			keyd_pool_run(pool, &jobs[i].pool);
		}
		while (atomic_load(&worked) < JOBS) /* so that they come in few batches */
			nanosleep(&pause, NULL);
		while (count < JOBS)
			evt_loop_turn(loop, 100000);
		for (int i = 0; i < JOBS; i++)
			assert_int_equal(order[i], i);
		keyd_pool_free(pool);
	}
	evt_loop_free(loop);
}

static sem_t begun, gate;

static void wait_at_the_gate(struct keyd_pool_job *j)
{
	(void)j;
	sem_post(&begun);
	sem_wait(&gate);
}

static void bulk_jobs_wait_for_all_others(void **state)
{
	static const int wanted[JOBS] = {0, 3, 1, 2};
	struct evt_loop *loop = evt_loop_new();
	struct job jobs[JOBS];

	(void)state;
	pool = keyd_pool_new(loop, 1, 0);
	assert_non_null(pool);
	sem_init(&begun, 0, 0);
	sem_init(&gate, 0, 0);
	count = 0;
	memset(jobs, 0, sizeof(jobs));
	for (int i = 0; i < JOBS; i++) {
		jobs[i].number = i;
		jobs[i].pool.bulk = i == 1 || i == 2;
		jobs[i].pool.work = i == 0 ? wait_at_the_gate : work;
		jobs[i].pool.done = done;
		keyd_pool_run(pool, &jobs[i].pool);
		if (i == 0)
			sem_wait(&begun); /* the only thread has it */
	}
	sem_post(&gate);
	while (count < JOBS)
		evt_loop_turn(loop, 100000);
	assert_memory_equal(order, wanted, sizeof(wanted));
	keyd_pool_free(pool);
	evt_loop_free(loop);
	sem_destroy(&begun);
	sem_destroy(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_job_s_end_may_wait_for_those_that_ended_with_it),
	    cmocka_unit_test(bulk_jobs_wait_for_all_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
