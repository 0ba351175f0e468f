/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "core/log.h"

struct keyd_pool {
	pthread_mutex_t lock;
	pthread_cond_t wake, rest;
	struct line {
		struct keyd_pool_job *first, **last;
	} lines[2]; /* by bulk: the second while the first has nothing that may start */
	unsigned threads, busy, heavy; /* busy: with a job; heavy: with a heavy one */
	int stop, idle;
	pthread_t ids[KEYD_POOL_THREADS_MAX];
	struct evt_inbox *inbox;
	struct evt_msg *worked, **last_worked; /* the loop's: done is to be called, in this order */
};

/* A done may drain the pool: then it must find those that came in one batch with its own job. */
static void deliver(void *arg, struct evt_msg *batch)
{
	struct keyd_pool *p = arg;

	*p->last_worked = batch;
	while (*p->last_worked)
		p->last_worked = &(*p->last_worked)->next;
	while (p->worked) {
		struct keyd_pool_job *job = (struct keyd_pool_job *)p->worked;
		p->worked = job->msg.next;
		if (!p->worked)
			p->last_worked = &p->worked;
		job->done(job);
	}
}

static struct keyd_pool_job *take_from(struct keyd_pool *p, struct line *l)
{
	for (struct keyd_pool_job **at = &l->first; *at; at = &(*at)->next) {
		struct keyd_pool_job *job = *at;
		if (job->heavy && p->threads > 1 && p->heavy + 1 >= p->threads)
			continue;
		*at = job->next;
		if (!job->next)
			l->last = at;
		p->heavy += (unsigned)job->heavy;
		p->busy++;
		return job;
	}
	return NULL;
}

/* The first job that may start now, taken out; the lock is held. */
static struct keyd_pool_job *take(struct keyd_pool *p)
{
	struct keyd_pool_job *job = take_from(p, &p->lines[0]);

	return job ? job : take_from(p, &p->lines[1]);
}

static int is_empty(const struct keyd_pool *p)
{
	return !p->lines[0].first && !p->lines[1].first;
}

static void *serve(void *arg)
{
	struct keyd_pool *p = arg;
	struct sched_param none = {0};
	struct keyd_pool_job *job;

	if (p->idle)
		sched_setscheduler(0, SCHED_IDLE, &none); /* of this thread alone; advice */
	pthread_mutex_lock(&p->lock);
	for (;;) {
		job = take(p);
		if (!job && p->stop && is_empty(p))
			break;
		if (!job) {
			pthread_cond_wait(&p->wake, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		int heavy = job->heavy; /* after the post the job is no longer ours */
		job->work(job);
		log_flush();
		evt_inbox_post(p->inbox, &job->msg);
		pthread_mutex_lock(&p->lock);
		p->busy--;
		if (heavy) {
			p->heavy--;
			pthread_cond_broadcast(&p->wake);
		}
		if (!p->busy && is_empty(p))
			pthread_cond_broadcast(&p->rest);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct keyd_pool *keyd_pool_new(struct evt_loop *loop, unsigned threads, int idle)
{
	struct keyd_pool *p = calloc(1, sizeof(*p));
	sigset_t all, old;

	if (!p)
		return NULL;
	log_assert(threads >= 1 && threads <= KEYD_POOL_THREADS_MAX);
	for (int i = 0; i < 2; i++)
		p->lines[i].last = &p->lines[i].first;
	p->last_worked = &p->worked;
	p->idle = idle;
	p->inbox = evt_inbox_new(loop, deliver, p);
	if (!p->inbox) {
		free(p);
		return NULL;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	pthread_cond_init(&p->rest, NULL);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&p->lock);
	while (p->threads < threads && pthread_create(&p->ids[p->threads], NULL, serve, p) == 0)
		p->threads++;
	pthread_mutex_unlock(&p->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (p->threads < threads) {
		keyd_pool_free(p);
		return NULL;
	}
	return p;
}

void keyd_pool_free(struct keyd_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = 1;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->ids[i], NULL);
	deliver(p, evt_inbox_wait(p->inbox, 0));
	evt_inbox_free(p->inbox);
	pthread_cond_destroy(&p->wake);
	pthread_cond_destroy(&p->rest);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void keyd_pool_run(struct keyd_pool *p, struct keyd_pool_job *job)
{
	struct line *l;

	job->next = NULL;
	if (!p) {
		job->work(job);
		job->done(job);
		return;
	}
	pthread_mutex_lock(&p->lock);
	l = &p->lines[job->bulk != 0];
	*l->last = job;
	l->last = &job->next;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

void keyd_pool_drain(struct keyd_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	while (p->busy || !is_empty(p))
		pthread_cond_wait(&p->rest, &p->lock);
	pthread_mutex_unlock(&p->lock);
	deliver(p, evt_inbox_wait(p->inbox, 0));
}
