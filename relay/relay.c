/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "relay/api/api_server.h"
#include "relay/https/https_fetch.h"
#include "relay/in/in_auth.h"
#include "relay/in/in_limit.h"
#include "relay/keys/keys_witness.h"
#include "relay/out/out_worker.h"
#include "relay/queue/queue.h"
#include "relay/relay_control.h"
#include "relay/relay_tls.h"
#include "relay/relay_worker.h"
#include "relay/shape/shape.h"
#include "relay/spool/spool_log.h"
#include "sys/sys_notify.h"

struct relay_retired {
	struct relay_msg msg; /* goes round the workers, then home: none of them is within a turn that knew tls */
	struct relay_retired *next;
	struct relay *relay;
	int seen; /* workers that it has been at */
	struct relay_conf *conf;
	struct relay_tls_set tls;
};

struct relay_conf *relay_now(struct relay *r)
{
	return relay_conf_ref(atomic_load(&r->conf));
}

static void install_tls(struct relay *r, const struct relay_tls_set *tls)
{
	atomic_store(&r->tls_in, tls->in);
	atomic_store(&r->tls_out, tls->out);
	atomic_store(&r->tls_out_verify, tls->out_verify);
}

static void free_tls(const struct relay_tls_set *tls)
{
	SSL_CTX_free(tls->in);
	SSL_CTX_free(tls->out);
	SSL_CTX_free(tls->out_verify);
}

static void forget_tls(struct relay_msg *m, void *receiver)
{
	struct relay_retired *gone = (struct relay_retired *)m;

	(void)receiver;
	free_tls(&gone->tls);
	gone->tls = (struct relay_tls_set){0};
}

static void go_round(struct relay_retired *gone);

static void at_worker(struct relay_msg *m, void *receiver)
{
	(void)receiver;
	go_round((struct relay_retired *)m);
}

static void go_round(struct relay_retired *gone)
{
	struct relay *r = gone->relay;
	int home = gone->seen == r->worker_count;

	gone->msg.run = home ? forget_tls : at_worker;
	evt_inbox_post(home ? r->inbox : r->workers[gone->seen++].inbox, &gone->msg.msg);
}

/* SIGHUP: routes, limits, retry and certificates change; listeners and paths need a restart. */
static void reload(struct relay *r)
{
	struct relay_conf *old = atomic_load(&r->conf), *fresh;
	struct relay_retired *gone = calloc(1, sizeof(*gone));
	struct relay_tls_set tls;
	char err[CONF_ERR_MAX];
	const char *wrong = NULL, *fixed;

	sys_notify_reloading();
	fresh = gone ? relay_conf_load(old->path, err) : NULL;
	if (fresh)
		wrong = relay_tls_make(fresh, &tls);
	if (fresh && !wrong && relay_tls_check(r, fresh) < 0) {
		free_tls(&tls);
		wrong = "tls.certificate is of no version of tls.key";
	}
	if (fresh && !wrong && shape_reload(r->shape, fresh, err) < 0) {
		free_tls(&tls);
		wrong = err;
	}
	if (!fresh || wrong) {
		log_event(LOG_LEVEL_ERROR, NULL, "reload-refused", "why=\"%s\"",
			  wrong ? wrong : gone ? err : "out of memory");
		relay_conf_unref(fresh);
		free(gone);
	} else {
		gone->conf = old;
		gone->tls = (struct relay_tls_set){atomic_load(&r->tls_in), atomic_load(&r->tls_out),
					       atomic_load(&r->tls_out_verify)};
		gone->next = r->retired;
		gone->relay = r;
		r->retired = gone;
		atomic_store(&r->conf, fresh);
		install_tls(r, &tls);
		go_round(gone);
		fixed = relay_conf_needs_restart(old, fresh);
		if (fixed)
			log_event(LOG_LEVEL_WARN, NULL, "config-needs-restart", "key=%s", fixed);
		log_event(LOG_LEVEL_INFO, NULL, "reloaded", NULL);
	}
	sys_notify_ready();
}

static void stop(struct relay *r)
{
	if (atomic_exchange(&r->stopping, 1))
		return;
	log_event(LOG_LEVEL_INFO, NULL, "stopping", NULL);
	sys_notify_stopping();
	queue_set_open(r->queue, 0);
	r->workers_busy = r->worker_count;
	for (int i = 0; i < r->worker_count; i++)
		relay_worker_stop_mail(&r->workers[i]);
}

static void on_signal(void *arg, int signo)
{
	if (signo == SIGHUP)
		reload(arg);
	else
		stop(arg);
}

static void run_batch(void *arg, struct evt_msg *batch)
{
	while (batch) {
		struct relay_msg *m = (struct relay_msg *)batch;
		batch = batch->next;
		m->run(m, arg);
	}
}

static void found(void *arg, const struct spool_found *f)
{
	struct relay *r = arg;

	if (f->live)
		queue_add_found(r->queue, f);
}

static void report_recovery(const struct spool_report *rep)
{
	if (rep->damaged_records || rep->torn_bytes)
		log_event(rep->damaged_records ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, NULL,
			  "spool-recovered", "segments=%llu messages=%llu live=%llu damaged=%llu torn_bytes=%llu",
			  (unsigned long long)rep->segments, (unsigned long long)rep->messages,
			  (unsigned long long)rep->live, (unsigned long long)rep->damaged_records,
			  (unsigned long long)rep->torn_bytes);
	else
		log_event(LOG_LEVEL_INFO, NULL, "spool-opened", "segments=%llu live=%llu",
			  (unsigned long long)rep->segments, (unsigned long long)rep->live);
}

static int open_spool(struct relay *r, const struct relay_conf *conf, const char **why)
{
	static char text[4200];
	const struct spool_floor floor = {conf->limits.free_space,
					  (uint64_t)conf->limits.free_inodes};
	struct spool_report report;
	char dir[4096];
	int err = 0;

	snprintf(dir, sizeof(dir), "%s/spool", conf->state);
	r->spool = spool_log_open(dir, floor, found, r, &report, &err);
	if (!r->spool) {
		snprintf(text, sizeof(text), "spool %s: %s", dir, err_text(err));
		*why = text;
		return err;
	}
	report_recovery(&report);
	return 0;
}

/* What a restart must remember of destinations; before anything is sent. */
static int open_shaping(struct relay *r, const struct relay_conf *conf, const char **why)
{
	static char err[CONF_ERR_MAX];
	char path[4096];

	snprintf(path, sizeof(path), "%s/shaping", conf->state);
	*why = err;
	return shape_keep(r->shape, path, err);
}

static int start_workers(struct relay *r, int count, const char **why)
{
	static char text[256];

	r->workers = calloc((size_t)count, sizeof(*r->workers));
	if (!r->workers)
		return ERR_NOMEM;
	r->keyd_missing = count;
	for (int i = 0; i < count; i++) {
		const char *what = "";
		int err = relay_worker_start(&r->workers[i], r, i, &what);
		if (err < 0) {
			snprintf(text, sizeof(text), "%s: %s", what, err_text(err));
			*why = text;
			return err;
		}
		r->worker_count = i + 1;
	}
	return 0;
}

static int start_control(struct relay *r, const char **why)
{
	r->loop = evt_loop_new();
	r->inbox = r->loop ? evt_inbox_new(r->loop, run_batch, r) : NULL;
	if (!r->inbox || evt_loop_signal(r->loop, SIGTERM, on_signal, r) < 0 ||
	    evt_loop_signal(r->loop, SIGINT, on_signal, r) < 0 ||
	    evt_loop_signal(r->loop, SIGHUP, on_signal, r) < 0) {
		*why = "control loop";
		return ERR_NOMEM;
	}
	return 0;
}

static int open_api(struct relay *r, const struct relay_conf *conf, const char **why)
{
	static char text[512];
	int err = 0;

	r->api = api_server_new(r, &err);
	if (r->api)
		return 0;
	snprintf(text, sizeof(text), "api.socket %s: %s", conf->api.socket, err_text(err));
	*why = text;
	return err;
}

/* What may still refuse the start comes before the workers: they take mail from their first moment on.
 * Signals are control's: no other thread is interrupted in its work by one. */
static int start_threads(struct relay *r, struct relay_conf *conf, const char **why)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = open_spool(r, conf, why);
	if (err == 0)
		err = open_shaping(r, conf, why);
	if (err == 0)
		err = open_api(r, conf, why);
	if (err == 0)
		err = start_workers(r, conf->workers, why);
	if (err == 0)
		err = queue_start(r->queue);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

struct relay *relay_new(struct relay_conf *conf, const char **why)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct relay_tls_set tls = {0};
	static char err[CONF_ERR_MAX];
	const char *wrong;

	*why = "out of memory";
	if (!r) {
		relay_conf_unref(conf);
		return NULL;
	}
	atomic_init(&r->conf, conf);
	r->started = clock_wall();
	if (relay_tls_load(r) < 0) {
		*why = "OpenSSL provider";
		goto fail;
	}
	wrong = relay_tls_make(conf, &tls);
	install_tls(r, &tls);
	if (wrong) {
		*why = wrong;
		goto fail;
	}
	if (relay_tls_check(r, conf) < 0)
		log_event(LOG_LEVEL_WARN, NULL, "tls-key-unknown", "key=%s certificate=%s",
			  conf->tls.key, conf->tls.certificate);
	r->shape = shape_new(conf, err);
	if (!r->shape) {
		*why = err;
		goto fail;
	}
	r->auth = in_auth_new();
	r->limit = in_limit_new();
	r->https = https_fetch_new();
	if (!r->auth || !r->limit || !r->https)
		goto fail;
	r->queue = queue_new(r, out_worker_job);
	if (r->queue)
		shape_on_change(r->shape, queue_shape_changed, r->queue);
	if (!r->queue || start_control(r, why) < 0 || relay_control_start(r, why) < 0 ||
	    start_threads(r, conf, why) < 0)
		goto fail;
	r->witness = keys_witness_new(r->loop, conf->keyd, conf->state);
	if (!r->witness) {
		*why = "out of memory";
		goto fail;
	}
	return r;
fail:
	relay_free(r);
	return NULL;
}

int relay_run(struct relay *r)
{
	struct relay_conf *conf = relay_now(r);

	if (conf->api.https || conf->api.redirect)
		log_event(LOG_LEVEL_WARN, NULL, "https-not-served",
			  "what=\"api.https and api.redirect are not served in this version\"");
	log_event(LOG_LEVEL_INFO, NULL, "ready", "workers=%d listeners=%zu", r->worker_count,
		  conf->listen.count);
	relay_conf_unref(conf);
	sys_notify_ready();
	return evt_loop_run(r->loop);
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	api_server_free(r->api);
	keys_witness_free(r->witness);
	/* First nobody hands out work, then what waits is written, then the threads that would hear of it end; they
	 * may have sessions that outlived their grace, and use spool and queue to the last. */
	if (r->queue)
		queue_stop(r->queue);
	if (r->spool)
		spool_log_stop(r->spool);
	in_auth_stop(r->auth); /* before the inboxes go into which it answers */
	https_fetch_stop(r->https); /* likewise */
	for (int i = 0; i < r->worker_count; i++)
		relay_worker_end(&r->workers[i]);
	relay_control_stop(r);
	https_fetch_free(r->https);
	in_auth_free(r->auth);
	in_limit_free(r->limit);
	spool_log_close(r->spool);
	queue_free(r->queue);
	shape_free(r->shape);
	free(r->workers);
	evt_inbox_free(r->inbox);
	evt_loop_free(r->loop);
	free_tls(&(struct relay_tls_set){atomic_load(&r->tls_in), atomic_load(&r->tls_out),
				     atomic_load(&r->tls_out_verify)});
	while (r->retired) {
		struct relay_retired *gone = r->retired;
		r->retired = gone->next;
		free_tls(&gone->tls);
		relay_conf_unref(gone->conf);
		free(gone);
	}
	relay_conf_unref(atomic_load(&r->conf));
	relay_tls_worker_end();
	free(r);
}
