/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_worker.h"

#include <errno.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/dkim/dkim_keys.h"
#include "relay/in/in_listen.h"
#include "relay/keys/keys_cred.h"
#include "relay/keys/keys_object.h"
#include "relay/out/out_selftest.h"
#include "relay/out/out_worker.h"
#include "relay/queue/queue.h"
#include "relay/relay_tls.h"
#include "relay/spool/spool_message.h"
#include "relay/sts/sts.h"
#include "relay/tls/tls_check.h"

#define GRACE (10 * CLOCK_SEC)

struct start {
	struct relay_worker *w;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int done, err;
	const char *why;
};

static void run_batch(void *arg, struct evt_msg *batch)
{
	while (batch) {
		struct relay_msg *m = (struct relay_msg *)batch;
		batch = batch->next;
		m->run(m, arg);
	}
}

/* What keyd is for relay as a whole: ready when it is so for each worker, which have connections of their own. */
static void report_keyd(struct relay_worker *w, unsigned state)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct relay *r = w->relay;
	int is = state == KEYPROTO_READY, before;

	pthread_mutex_lock(&lock);
	r->keyd_missing += w->keyd_ready - is;
	w->keyd_ready = is;
	if (is && r->keyd_missing) {
		pthread_mutex_unlock(&lock);
		return;
	}
	before = atomic_exchange(&r->keyd_state, (int)state);
	queue_set_open(r->queue, is && !atomic_load(&r->ledger_full));
	pthread_mutex_unlock(&lock);
	if (before == (int)state)
		return;
	if (is)
		log_event(LOG_LEVEL_INFO, NULL, "keyd-ready", NULL);
	else
		log_event(LOG_LEVEL_WARN, NULL, "keyd-away", "state=%s",
			  state == KEYPROTO_AWAY ? "unreachable" : keyproto_state_name(state));
}

static void keyd_state(void *arg, unsigned state)
{
	struct relay_worker *w = arg;

	keys_object_state(w->keys, state);
	keys_cred_state(w->creds, state);
	dkim_keys_state(w->dkim, state);
	if (w->index == 0 && state != KEYPROTO_READY)
		relay_tls_forget();
	if (!atomic_load(&w->relay->stopping))
		report_keyd(w, state);
}

static void want_customers(struct relay_worker *w, const struct relay_conf *conf)
{
	const struct relay_listen *l = conf->listen.items;

	for (size_t i = 0; i < conf->listen.count; i++)
		keys_object_want(w->keys, l[i].customer);
}

static int build(struct relay_worker *w, const char **why)
{
	struct relay_conf *conf = relay_now(w->relay);
	int err = ERR_NOMEM;

	*why = "worker";
	w->loop = evt_loop_new();
	w->inbox = w->loop ? evt_inbox_new(w->loop, run_batch, w) : NULL;
	w->keyd = w->inbox ? keyproto_client_ev_new(w->loop, conf->keyd, KEYPROTO_ROLE_RELAY,
						    "sealpost-relay", keyd_state, w)
			   : NULL;
	w->keys = w->keyd ? keys_object_new(w->loop, w->keyd) : NULL;
	w->creds = w->keys ? keys_cred_new(w->loop, w->keyd, w->relay->creds) : NULL;
	w->dkim = w->creds ? dkim_keys_new(w->loop, w->keyd) : NULL;
	w->out = w->dkim ? out_worker_new(w) : NULL;
	if (w->dkim && !w->out) {
		*why = "delivery"; /* out_worker said which part */
		err = ERR_CONFIG;
	}
	if (w->out) {
		want_customers(w, conf);
		if (w->index == 0) {
			w->selftest = out_selftest_new(w->relay, w->loop, conf);
			w->sts = sts_tend_new(w, out_worker_dns(w->out)); /* without it policies just end */
		}
		w->in = in_listen_new(w, conf, &err, why);
	}
	relay_conf_unref(conf);
	return w->in ? 0 : err;
}

static void tear_down(struct relay_worker *w)
{
	in_listen_free(w->in);
	out_selftest_free(w->selftest);
	sts_tend_free(w->sts);
	out_worker_free(w->out);
	spool_pool_free(w->pool);
	keys_object_free(w->keys);
	dkim_keys_free(w->dkim);
	w->dkim = NULL;
	keyproto_client_ev_free(w->keyd);
	keys_cred_free(w->creds);
	evt_inbox_free(w->inbox);
	w->inbox = NULL; /* control may still have an answer for it */
	evt_loop_free(w->loop);
	relay_tls_worker_end();
}

static void *thread(void *arg)
{
	struct start *s = arg;
	struct relay_worker *w = s->w;
	int err;

	relay_tls_worker(w);
	err = build(w, &s->why);
	pthread_mutex_lock(&s->lock);
	s->err = err;
	s->done = 1;
	pthread_cond_signal(&s->changed); /* s is gone once the lock is released */
	pthread_mutex_unlock(&s->lock);
	if (err == 0) {
		evt_loop_run(w->loop);
		/* evt_loop_stop still has to wake the loop after it has told it to stop */
		while (sem_wait(&w->released) < 0 && errno == EINTR)
			;
	}
	tear_down(w);
	log_flush();
	return NULL;
}

int relay_worker_start(struct relay_worker *w, struct relay *r, int index, const char **why)
{
	struct start s = {.w = w, .lock = PTHREAD_MUTEX_INITIALIZER,
			  .changed = PTHREAD_COND_INITIALIZER};

	w->relay = r;
	w->index = index;
	sem_init(&w->released, 0, 0);
	if (pthread_create(&w->thread, NULL, thread, &s) != 0) {
		*why = "thread";
		return ERR_NOMEM;
	}
	pthread_mutex_lock(&s.lock);
	while (!s.done)
		pthread_cond_wait(&s.changed, &s.lock);
	pthread_mutex_unlock(&s.lock);
	*why = s.why;
	if (s.err < 0)
		pthread_join(w->thread, NULL);
	return s.err;
}

static void told(struct relay_msg *m, void *receiver)
{
	struct relay *r = receiver;

	(void)m;
	if (--r->workers_busy == 0)
		evt_loop_stop(r->loop);
}

static void out_stopped(void *arg)
{
	struct relay_worker *w = arg;

	w->answer.run = told;
	evt_inbox_post(w->relay->inbox, &w->answer.msg);
}

static void in_stopped(void *arg)
{
	struct relay_worker *w = arg;

	out_worker_stop(w->out, GRACE, out_stopped, w);
}

static void stop_mail(struct relay_msg *m, void *receiver)
{
	struct relay_worker *w = receiver;

	(void)m;
	tls_check_stop(w);
	in_listen_stop(w->in, GRACE, in_stopped, w);
}

void relay_worker_stop_mail(struct relay_worker *w)
{
	w->order.run = stop_mail;
	evt_inbox_post(w->inbox, &w->order.msg);
}

void relay_worker_end(struct relay_worker *w)
{
	evt_loop_stop(w->loop);
	sem_post(&w->released);
	pthread_join(w->thread, NULL);
	sem_destroy(&w->released);
}
