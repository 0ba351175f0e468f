/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "core/err.h"
#include "relay/https/https_own.h"

#define IDLE_MS 60000

struct https_fetch {
	pthread_mutex_t lock;
	pthread_t thread;
	int started, ending;
	unsigned waiting;   /* posted and not yet answered */
	struct list all;    /* jobs that were made and not freed */
	struct list queued; /* for the thread */
	CURLM *multi;
	struct list open; /* the thread's: under way, by their queued link */
	unsigned open_count;
};

/* --- the thread */

/* Its link is on no list. From here on the job is its owner's. */
static void answer(struct https_fetch *f, struct https_job *job)
{
	pthread_mutex_lock(&f->lock);
	f->waiting--;
	pthread_mutex_unlock(&f->lock);
	evt_inbox_post(job->reply, &job->msg.msg);
}

static void begin(struct https_fetch *f, struct https_job *job)
{
	CURL *easy = https_transfer_new(job);

	if (easy && curl_multi_add_handle(f->multi, easy) == CURLM_OK) {
		list_push_back(&f->open, &job->queued);
		f->open_count++;
		return;
	}
	https_transfer_free(job);
	job->err = ERR_NOMEM;
	job->fail = HTTPS_LOCAL;
	answer(f, job);
}

static struct https_job *take(struct https_fetch *f)
{
	struct list_link *k;

	if (f->open_count >= HTTPS_FETCH_OPEN)
		return NULL;
	pthread_mutex_lock(&f->lock);
	k = f->ending ? NULL : list_pop_front(&f->queued);
	pthread_mutex_unlock(&f->lock);
	return k ? list_entry(k, struct https_job, queued) : NULL;
}

static void finish(struct https_fetch *f, CURL *easy, CURLcode code)
{
	struct https_job *job = https_transfer_job(easy);

	curl_multi_remove_handle(f->multi, easy);
	https_transfer_end(job, code);
	list_remove(&job->queued);
	f->open_count--;
	answer(f, job);
}

static int is_ending(struct https_fetch *f)
{
	int yes;

	pthread_mutex_lock(&f->lock);
	yes = f->ending;
	pthread_mutex_unlock(&f->lock);
	return yes;
}

static void *run(void *arg)
{
	struct https_fetch *f = arg;
	struct https_job *job;
	CURLMsg *m;
	int n;

	while (!is_ending(f)) {
		while ((job = take(f)))
			begin(f, job);
		curl_multi_perform(f->multi, &n);
		while ((m = curl_multi_info_read(f->multi, &n)))
			if (m->msg == CURLMSG_DONE)
				finish(f, m->easy_handle, m->data.result);
		curl_multi_poll(f->multi, NULL, 0, IDLE_MS, NULL); /* curl_multi_wakeup ends it */
	}
	list_each(j, &f->open, struct https_job, queued)
		curl_multi_remove_handle(f->multi, https_transfer_handle(j));
	return NULL;
}

/* --- from outside */

/* Signals are control's. */
static int start(struct https_fetch *f)
{
	sigset_t all, old;

	if (f->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	f->started = pthread_create(&f->thread, NULL, run, f) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return f->started ? 0 : ERR_NOMEM;
}

int https_fetch_post(struct https_job *job)
{
	struct https_fetch *f = job->fetch;
	int err = 0;

	pthread_mutex_lock(&f->lock);
	if (f->ending)
		err = ERR_CLOSED;
	else if (f->waiting >= HTTPS_FETCH_WAITING)
		err = ERR_BUSY;
	else
		err = start(f);
	if (err == 0) {
		f->waiting++;
		list_push_back(&f->queued, &job->queued);
		curl_multi_wakeup(f->multi);
	}
	pthread_mutex_unlock(&f->lock);
	return err;
}

struct https_job *https_job_new(struct https_fetch *f)
{
	struct https_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->fetch = f;
	job->url.port = 443;
	job->timeout = HTTPS_FETCH_TIMEOUT;
	buf_init(&job->body, SIZE_MAX / 4);
	buf_init(&job->answer, HTTPS_FETCH_ANSWER);
	pthread_mutex_lock(&f->lock);
	list_push_back(&f->all, &job->all);
	pthread_mutex_unlock(&f->lock);
	return job;
}

void https_job_free(struct https_job *job)
{
	if (!job)
		return;
	pthread_mutex_lock(&job->fetch->lock);
	list_remove(&job->all);
	pthread_mutex_unlock(&job->fetch->lock);
	https_transfer_free(job);
	buf_clear(&job->body);
	buf_clear(&job->answer);
	free(job->asking);
	free(job->ca);
	free(job);
}

/* --- life */

struct https_fetch *https_fetch_new(void)
{
	struct https_fetch *f;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f || !(f->multi = curl_multi_init())) {
		free(f);
		curl_global_cleanup();
		return NULL;
	}
	pthread_mutex_init(&f->lock, NULL);
	list_init(&f->all);
	list_init(&f->queued);
	list_init(&f->open);
	return f;
}

void https_fetch_stop(struct https_fetch *f)
{
	int started;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->ending = 1;
	started = f->started;
	f->started = 0;
	curl_multi_wakeup(f->multi);
	pthread_mutex_unlock(&f->lock);
	if (started)
		pthread_join(f->thread, NULL);
}

void https_fetch_free(struct https_fetch *f)
{
	if (!f)
		return;
	https_fetch_stop(f);
	while (!list_empty(&f->all)) {
		struct https_job *job = list_entry(list_first(&f->all), struct https_job, all);
		if (job->drop)
			job->drop(job);
		https_job_free(job);
	}
	curl_multi_cleanup(f->multi);
	curl_global_cleanup();
	pthread_mutex_destroy(&f->lock);
	free(f);
}
