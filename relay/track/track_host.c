/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_host.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/relay_tls.h"
#include "relay/track/track_host_own.h"

#define LOOK_EVERY CLOCK_SEC

/* --- a configuration with its certificates */

static const struct relay_track_host *hosts_of(const struct track_site *s)
{
	return s->conf->tracking.hosts.items;
}

const struct relay_track_host *track_host_named(const struct track_site *s, struct span name)
{
	const struct relay_track_host *h = hosts_of(s);

	for (size_t i = 0; i < s->conf->tracking.hosts.count; i++)
		if (span_equal_nocase(name, span_str(h[i].host)))
			return &h[i];
	return NULL;
}

static void site_free(struct track_site *s)
{
	for (size_t i = 0; s->ctx && i < s->conf->tracking.hosts.count; i++)
		SSL_CTX_free(s->ctx[i]);
	free(s->ctx);
	free(s);
}

struct track_site *track_host_site(struct track_host *h)
{
	h->site->refs++;
	return h->site;
}

void track_host_site_done(struct track_site *s)
{
	if (s && --s->refs == 0)
		site_free(s);
}

/* Asked of by OpenSSL within the handshake: which certificate. */
static int choose(SSL *ssl, int *alert, void *arg)
{
	const struct track_site *s = arg;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct relay_track_host *h = name ? track_host_named(s, span_str(name)) : hosts_of(s);

	if (!h) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	SSL_set_SSL_CTX(ssl, s->ctx[h - hosts_of(s)]);
	return SSL_TLSEXT_ERR_OK;
}

static struct track_site *site_new(const struct relay_conf *conf, const char **why)
{
	const struct relay_track_host *h = conf->tracking.hosts.items;
	struct track_site *s = calloc(1, sizeof(*s));

	*why = "out of memory";
	if (!s)
		return NULL;
	*s = (struct track_site){.conf = conf, .refs = 1};
	s->ctx = calloc(conf->tracking.hosts.count, sizeof(*s->ctx));
	if (!s->ctx) {
		free(s);
		return NULL;
	}
	for (size_t i = 0; i < conf->tracking.hosts.count; i++) {
		const char *wrong = relay_tls_server(h[i].certificate, h[i].key, &s->ctx[i]);
		if (wrong) {
			*why = wrong;
			site_free(s);
			return NULL;
		}
		SSL_CTX_set_tlsext_servername_callback(s->ctx[i], choose);
		SSL_CTX_set_tlsext_servername_arg(s->ctx[i], s);
	}
	return s;
}

/* Connections keep what they began with. */
static void on_timer(void *arg)
{
	struct track_host *h = arg;
	const struct relay_conf *conf = atomic_load(&h->relay->conf);
	struct track_site *fresh;
	const char *why;

	if (conf != h->tried) {
		h->tried = conf;
		fresh = conf->tracking.hosts.count ? site_new(conf, &why) : NULL;
		if (fresh) {
			track_host_site_done(h->site);
			h->site = fresh;
		} else {
			log_event(LOG_LEVEL_ERROR, NULL, "tracking-not-reloaded", "why=\"%s\"",
				  conf->tracking.hosts.count ? why : "tracking.hosts is empty: that needs a restart");
		}
	}
	evt_timer_set(&h->timer, LOOK_EVERY);
}

/* --- the thread */

static void keyd_state(void *arg, unsigned state)
{
	struct track_host *h = arg;

	track_keys_state(h->keys, state);
}

static void run_batch(void *arg, struct evt_msg *batch)
{
	while (batch) {
		struct relay_msg *m = (struct relay_msg *)batch;
		batch = batch->next;
		m->run(m, arg);
	}
}

static void *thread(void *arg)
{
	struct track_host *h = arg;

	relay_tls_worker(&h->worker);
	evt_loop_run(h->loop);
	for (unsigned i = 0; i < h->listen_count; i++)
		evt_listen_close(h->listen[i]);
	h->listen_count = 0;
	evt_timer_clear(&h->timer);
	while (!list_empty(&h->conns))
		track_conn_drop(list_entry(list_first(&h->conns), struct track_conn, link));
	track_visit_stop(h);
	keyproto_client_ev_free(h->keyd);
	h->keyd = NULL;
	relay_tls_worker_end();
	log_flush();
	return NULL;
}

static int listen_all(struct track_host *h, const struct relay_conf *conf, const char **why)
{
	char **addresses = conf->tracking.listen.items;
	static char text[160];
	int err = conf->tracking.listen.count > TRACK_HOST_LISTENERS ? ERR_LIMIT : 0;

	for (size_t i = 0; i < conf->tracking.listen.count && err == 0; i++) {
		struct sockaddr_storage a;
		evt_listen_address(span_str(addresses[i]), &a, NULL); /* checked by the table */
		h->listen[i] = evt_listen_tcp(h->loop, &a, 0, track_conn_accept, h, &err);
		if (!h->listen[i]) {
			snprintf(text, sizeof(text), "tracking.listen %.64s: %s", addresses[i], err_text(err));
			*why = text;
			return err;
		}
		h->listen_count++;
		err = 0;
	}
	return err;
}

static int build(struct track_host *h, const struct relay_conf *conf, const char **why)
{
	*why = "tracking host";
	h->loop = evt_loop_new();
	h->inbox = h->loop ? evt_inbox_new(h->loop, run_batch, h) : NULL;
	h->keyd = h->inbox ? keyproto_client_ev_new(h->loop, conf->keyd, KEYPROTO_ROLE_RELAY, "sealpost-relay",
						    keyd_state, h)
			   : NULL;
	h->keys = h->keyd ? track_keys_new(h->keyd) : NULL;
	h->limit = h->keys ? in_limit_new() : NULL;
	if (!h->limit || track_page_init() < 0)
		return ERR_NOMEM;
	h->worker.relay = h->relay;
	h->worker.keyd = h->keyd;
	evt_timer_init(&h->timer, h->loop, on_timer, h);
	h->tried = conf;
	h->site = site_new(conf, why);
	if (!h->site)
		return ERR_CONFIG;
	if (evt_timer_set(&h->timer, LOOK_EVERY) < 0)
		return ERR_NOMEM;
	return listen_all(h, conf, why);
}

struct track_host *track_host_new(struct track *t, const struct relay_conf *conf, int *err, const char **why)
{
	struct track_host *h = calloc(1, sizeof(*h));

	*err = ERR_NOMEM;
	*why = "out of memory";
	if (!h)
		return NULL;
	h->track = t;
	h->relay = t->relay;
	list_init(&h->conns);
	list_init(&h->visits);
	*err = build(h, conf, why);
	if (*err == 0)
		return h;
	track_host_free(h);
	return NULL;
}

/* Signals are control's. */
int track_host_start(struct track_host *h)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	h->running = pthread_create(&h->thread, NULL, thread, h) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return h->running ? 0 : ERR_NOMEM;
}

static void end_loop(struct relay_msg *m, void *receiver)
{
	struct track_host *h = receiver;

	(void)m;
	h->stopping = 1;
	evt_loop_stop(h->loop);
}

void track_host_stop(struct track_host *h)
{
	struct relay_msg end = {.run = end_loop};

	if (!h || !h->running)
		return;
	evt_inbox_post(h->inbox, &end.msg);
	pthread_join(h->thread, NULL);
	h->running = 0;
}

void track_host_free(struct track_host *h)
{
	if (!h)
		return;
	track_host_stop(h);
	track_visit_clear(h);
	for (unsigned i = 0; i < h->listen_count; i++)
		evt_listen_close(h->listen[i]);
	if (h->timer.loop)
		evt_timer_clear(&h->timer);
	keyproto_client_ev_free(h->keyd);
	track_keys_free(h->keys);
	in_limit_free(h->limit);
	track_host_site_done(h->site);
	if (h->inbox)
		evt_inbox_free(h->inbox);
	if (h->loop)
		evt_loop_free(h->loop);
	free(h);
}

void track_host_numbers(struct track_host *h, struct track_host_numbers *out)
{
	*out = (struct track_host_numbers){atomic_load(&h->requests), atomic_load(&h->refused),
					   atomic_load(&h->connections)};
}
