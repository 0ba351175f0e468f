/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_feed.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "milter/milter_ask.h"
#include "milter/milter_feed_own.h"
#include "milter/milter_take.h"

#define RETRY_EVERY (2 * CLOCK_SEC) /* a bundle that does not hold is fetched again */

struct milter_feed {
	struct milter_conf *(*conf)(void *arg);
	void *arg;
	struct milter_keyd *keyd;
	struct milter_reports *reports;
	pthread_t thread;
	int started;
	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t woken;
	int stopping, wake;
	struct milter_feed_list *now;	/* NULL: none yet */
	int64_t confirmed;		/* monotonic */
	int64_t stale_after;
	/* the thread's own */
	int away; /* 1: told; -1: nothing told yet */
};

struct milter_feed *milter_feed_new(struct milter_conf *(*conf)(void *arg), void *arg, struct milter_keyd *keyd)
{
	struct milter_feed *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;

	if (f)
		f->reports = milter_report_new();
	if (!f || !f->reports) {
		free(f);
		return NULL;
	}
	f->conf = conf;
	f->arg = arg;
	f->keyd = keyd;
	f->away = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->woken, &attr);
	pthread_condattr_destroy(&attr);
	return f;
}

void milter_feed_free(struct milter_feed *f)
{
	if (!f)
		return;
	milter_feed_list_unref(f->now);
	milter_report_free(f->reports);
	pthread_cond_destroy(&f->woken);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

struct milter_reports *milter_feed_reports(struct milter_feed *f)
{
	return f->reports;
}

/* --- asking relay */

/* member: of the request, a number; NULL: none. */
static int ask_version(const char *socket, const char *target, const struct milter_manifest_item *i, const char *member,
		       size_t number, json_t **out)
{
	char body[320];
	int n = snprintf(body, sizeof(body), "{\"customer\":\"%s\",\"campaign\":\"%s\",\"version\":%u", i->customer,
			 i->campaign, i->version);

	if (member)
		n += snprintf(body + n, sizeof(body) - (size_t)n, ",\"%s\":%zu", member, number);
	n += snprintf(body + n, sizeof(body) - (size_t)n, "}");
	return milter_ask(socket, "POST", target, span_of(body, (size_t)n), out);
}

/* --- a round */

/* The audience of a version, which is too large to come with it. */
static int fetch_audience(const char *socket, struct milter_manifest *m, const char **why)
{
	size_t all = milter_manifest_lacks(m), left = all;
	int err = 0;

	*why = "audience not fetched";
	while (err == 0 && left) {
		json_t *answer;

		err = ask_version(socket, "/v1/milter/audience", &m->item, "from", all - left, &answer);
		if (err == 0) {
			*why = "audience is not the manifest's";
			err = milter_manifest_add(m, answer);
			left = milter_manifest_lacks(m);
		}
		json_decref(answer);
	}
	return err;
}

/* The version as it was in the list before, if that still holds; else fetched. */
static void fill(struct milter_feed *f, const struct milter_conf *conf, const struct milter_feed_list *before,
		 struct milter_feed_entry *e)
{
	const struct milter_feed_entry *was = milter_feed_list_same(before, &e->item);
	const char *why = "not fetched";
	json_t *answer;
	int err;

	if (!e->item.active)
		return;
	if (was && was->manifest) {
		e->manifest = milter_manifest_ref(was->manifest);
		return;
	}
	e->tried = clock_mono();
	if (was && was->tried && e->tried - was->tried < RETRY_EVERY) {
		e->tried = was->tried;
		return;
	}
	err = ask_version(conf->api, "/v1/milter/bundle", &e->item, NULL, 0, &answer);
	if (err == 0)
		err = milter_manifest_load(&e->item, answer, f->keyd, &e->manifest, &why);
	json_decref(answer);
	if (err == 0)
		err = fetch_audience(conf->api, e->manifest, &why);
	if (err < 0) {
		milter_manifest_unref(e->manifest);
		e->manifest = NULL;
	}
	e->loaded = err == 0;
	if (err < 0 && !was)
		log_event(LOG_LEVEL_ERROR, NULL, "campaign-not-loaded", "customer=%s campaign=%s version=%u reason=\"%s\" why=\"%s\"",
			  e->item.customer, e->item.campaign, e->item.version, why, err_text(err));
}

/* A list that relay gave and keyd vouches for, or an error. */
static int fetch(struct milter_feed *f, const struct milter_conf *conf, const struct milter_feed_list *before,
		 struct milter_feed_list **out, const char **who)
{
	struct milter_keyd_revoked signed_last;
	struct milter_feed_list *l = NULL;
	json_t *answer;
	int err;

	*who = "relay";
	err = milter_ask(conf->api, "GET", "/v1/milter/campaigns", span_of(NULL, 0), &answer);
	if (err == 0)
		err = milter_feed_list_parse(answer, &l);
	json_decref(answer);
	if (err < 0)
		return err;
	*who = "keyd";
	err = milter_keyd_revoked(f->keyd, &signed_last);
	if (err == 0 && milter_feed_list_vouched(l, &signed_last) < 0) {
		*who = "revoked";
		err = ERR_ROLLBACK;
	}
	for (unsigned i = 0; err == 0 && i < l->count; i++)
		fill(f, conf, before, &l->entries[i]);
	if (err < 0)
		milter_feed_list_unref(l);
	else
		*out = l;
	return err;
}

static void tell(struct milter_feed *f, int err, const char *who, const struct milter_feed_list *l)
{
	int away = err < 0;

	if (away == f->away)
		return;
	f->away = away;
	if (away)
		log_event(LOG_LEVEL_WARN, NULL, "campaigns-away", "from=%s why=\"%s\"", who, err_text(err));
	else
		log_event(LOG_LEVEL_INFO, NULL, "campaigns-ready", "versions=%u revoked=%u", l->count, l->revoked_count);
}

/* What was loaded for this list, once messages are held against it. */
static void tell_loaded(const struct milter_feed_list *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		const struct milter_manifest_item *item = &l->entries[i].item;
		if (l->entries[i].loaded)
			log_event(LOG_LEVEL_INFO, NULL, "campaign-loaded", "customer=%s campaign=%s version=%u number=%u",
				  item->customer, item->campaign, item->version, item->number);
	}
}

/* The allowance of manifests in l that are not in the list after it (NULL: none are). */
static void give_back(const struct milter_conf *conf, const struct milter_feed_list *l, const struct milter_feed_list *after)
{
	struct milter_manifest **over = l && l->count ? calloc(l->count, sizeof(*over)) : NULL;
	size_t n = 0;

	if (!over)
		return;
	for (unsigned i = 0; i < l->count; i++) {
		const struct milter_feed_entry *e = milter_feed_list_same(after, &l->entries[i].item);
		if (l->entries[i].manifest && (!e || e->manifest != l->entries[i].manifest))
			over[n++] = l->entries[i].manifest;
	}
	milter_take_return(conf->api, over, n);
	free(over);
}

static void look(struct milter_feed *f, const struct milter_conf *conf)
{
	struct milter_feed_list *before, *fresh = NULL;
	const char *who = "";
	int err;

	pthread_mutex_lock(&f->lock);
	before = milter_feed_list_ref(f->now);
	pthread_mutex_unlock(&f->lock);
	err = fetch(f, conf, before, &fresh, &who);
	milter_feed_list_unref(before);
	if (err < 0) {
		tell(f, err, who, NULL);
		return;
	}
	pthread_mutex_lock(&f->lock);
	before = f->now;
	f->now = milter_feed_list_ref(fresh);
	f->confirmed = clock_mono();
	pthread_mutex_unlock(&f->lock);
	tell_loaded(fresh);
	tell(f, err, who, fresh);
	give_back(conf, before, fresh);
	milter_feed_list_unref(before);
	milter_feed_list_unref(fresh);
}

static void send_reports(struct milter_feed *f, const struct milter_conf *conf)
{
	int n = 1, err = 0;

	while (n > 0 && err == 0) {
		json_t *answer = NULL;
		struct buf body;

		buf_init(&body, 1u << 20);
		n = milter_report_batch(f->reports, &body);
		if (n > 0)
			err = milter_ask(conf->api, "POST", "/v1/milter/reports", buf_span(&body), &answer);
		milter_report_done(f->reports, n > 0 && err == 0);
		json_decref(answer);
		buf_clear(&body);
	}
}

/* --- the thread */

static int wait_turn(struct milter_feed *f, int64_t usec)
{
	struct timespec until;
	int stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += usec / CLOCK_SEC;
	until.tv_nsec += usec % CLOCK_SEC * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&f->lock);
	while (!f->stopping && !f->wake)
		if (pthread_cond_timedwait(&f->woken, &f->lock, &until) != 0)
			break;
	f->wake = 0;
	stop = f->stopping;
	pthread_mutex_unlock(&f->lock);
	return !stop;
}

static void *work(void *arg)
{
	struct milter_feed *f = arg;
	int64_t every;

	do {
		struct milter_conf *conf = f->conf(f->arg);

		every = conf->feed_every;
		pthread_mutex_lock(&f->lock);
		f->stale_after = conf->feed_stale;
		pthread_mutex_unlock(&f->lock);
		if (conf->streams.count) {
			look(f, conf);
			send_reports(f, conf);
		}
		milter_conf_unref(conf);
		log_flush();
	} while (wait_turn(f, every));
	return NULL;
}

int milter_feed_start(struct milter_feed *f)
{
	f->started = pthread_create(&f->thread, NULL, work, f) == 0;
	return f->started ? 0 : ERR_NOMEM;
}

static void signal_thread(struct milter_feed *f, int stop)
{
	pthread_mutex_lock(&f->lock);
	f->wake = 1;
	f->stopping |= stop;
	pthread_cond_signal(&f->woken);
	pthread_mutex_unlock(&f->lock);
}

void milter_feed_stop(struct milter_feed *f)
{
	struct milter_conf *conf;

	if (!f->started)
		return;
	signal_thread(f, 1);
	pthread_join(f->thread, NULL);
	f->started = 0;
	conf = f->conf(f->arg);
	give_back(conf, f->now, NULL); /* nobody else changes the list */
	milter_conf_unref(conf);
}

void milter_feed_wake(struct milter_feed *f)
{
	signal_thread(f, 0);
}

/* --- for messages */

/* The list, if it is to be believed now. */
static struct milter_feed_list *believed(struct milter_feed *f)
{
	struct milter_feed_list *l = NULL;

	pthread_mutex_lock(&f->lock);
	if (f->now && clock_mono() - f->confirmed <= f->stale_after)
		l = milter_feed_list_ref(f->now);
	pthread_mutex_unlock(&f->lock);
	return l;
}

int milter_feed_find(struct milter_feed *f, const char *customer, struct span campaign, uint32_t version,
		     struct milter_manifest **out)
{
	struct milter_feed_list *l = believed(f);
	int err;

	if (!l)
		return ERR_AWAY;
	err = milter_feed_list_find(l, customer, campaign, version, out);
	milter_feed_list_unref(l);
	return err;
}

int milter_feed_take(struct milter_feed *f, struct milter_manifest *m)
{
	struct milter_conf *conf = f->conf(f->arg);
	int err = milter_take_one(conf->api, m);

	milter_conf_unref(conf);
	return err;
}
