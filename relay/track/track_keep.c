/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_keep.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "core/secret.h"
#include "relay/track/track_ask.h"
#include "relay/track/track_keep_own.h"
#include "relay/track/track_push_secret.h"

#define TURN	    (CLOCK_SEC / 2)
#define HOURLY	    (3600 * CLOCK_SEC)
#define LAST_TRIES  5
#define BATCH_PAUSE 20000 /* usec: what comes together is written together */

void track_keep_name(uint8_t dst[16], uint64_t tid)
{
	static const char prefix[] = "sealpost-track-1";
	uint8_t in[sizeof(prefix) - 1 + 8], sum[32];
	size_t n = 0;

	memcpy(in, prefix, sizeof(prefix) - 1);
	num_put_u64(in + sizeof(prefix) - 1, tid);
	if (!EVP_Q_digest(NULL, "SHA256", "provider=default", in, sizeof(in), sum, &n))
		memset(sum, 0, sizeof(sum));
	memcpy(dst, sum, 16);
}

/* --- posting: any thread */

struct posted {
	struct relay_msg msg;
	struct track_hit hit;
	uint64_t tid; /* of a delivery */
	int64_t at;
};

void track_keep_post(struct track_keep *k, struct relay_msg *m)
{
	atomic_fetch_add(&k->waiting, 1);
	evt_inbox_post(k->inbox, &m->msg);
}

static struct posted *posted_new(struct track_keep *k)
{
	struct posted *p = atomic_load(&k->waiting) < TRACK_KEEP_WAITING ? calloc(1, sizeof(*p)) : NULL;
	uint64_t lost;

	if (!p) {
		lost = atomic_fetch_add(&k->lost, 1) + 1;
		if ((lost & (lost - 1)) == 0)
			log_event(LOG_LEVEL_WARN, NULL, "tracking-lost", "n=%llu", (unsigned long long)lost);
	}
	return p;
}

static void run_hit(struct relay_msg *m, void *keep)
{
	struct posted *p = (struct posted *)m;

	track_keep_hit_run(keep, &p->hit);
	free(p);
}

void track_keep_hit(struct track_keep *k, const struct track_hit *h)
{
	struct posted *p = posted_new(k);

	if (!p)
		return;
	p->hit = *h;
	p->msg.run = run_hit;
	track_keep_post(k, &p->msg);
}

static void run_delivered(struct relay_msg *m, void *keep)
{
	struct posted *p = (struct posted *)m;

	track_keep_hit_delivered(keep, p->tid, p->at);
	free(p);
}

void track_keep_delivered(struct track_keep *k, uint64_t tid, int64_t at)
{
	struct posted *p = posted_new(k);

	if (!p)
		return;
	p->tid = tid;
	p->at = at;
	p->msg.run = run_delivered;
	track_keep_post(k, &p->msg);
}

static void fold(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s |= 0x20;
}

void track_keep_sent(struct track_keep *k, const struct track_sent *s)
{
	size_t n = strnlen(s->recipient, 319);
	struct track_keep_message *m =
	    atomic_load(&k->unsealed) < TRACK_KEEP_SENT ? calloc(1, sizeof(*m) + 2 * (n + 1)) : NULL;
	uint64_t lost;

	if (!m) {
		lost = atomic_fetch_add(&k->lost, 1) + 1;
		if ((lost & (lost - 1)) == 0)
			log_event(LOG_LEVEL_WARN, NULL, "tracking-lost", "n=%llu", (unsigned long long)lost);
		return;
	}
	atomic_fetch_add(&k->unsealed, 1);
	m->keep = k;
	m->tid = s->tid;
	m->number = s->number;
	m->consent = s->consent;
	m->at = s->at;
	snprintf(m->customer, sizeof(m->customer), "%s", s->customer);
	snprintf(m->campaign, sizeof(m->campaign), "%s", s->campaign);
	m->folded = n + 1;
	m->size = 2 * (n + 1);
	memcpy(m->text, s->recipient, n);
	memcpy(m->text + m->folded, s->recipient, n);
	fold(m->text + m->folded);
	m->msg.run = track_keep_sent_run;
	track_keep_post(k, &m->msg);
}

/* --- the thread */

void track_keep_answer(struct track_keep *k, struct relay_msg *m, void (*run)(struct relay_msg *m, void *relay))
{
	m->run = run;
	m->msg.next = NULL;
	*k->answers_end = m;
	k->answers_end = (struct relay_msg **)(void *)&m->msg.next;
}

static void send_answers(struct track_keep *k, int err)
{
	while (k->answers) {
		struct relay_msg *m = k->answers;
		k->answers = (struct relay_msg *)m->msg.next;
		if (err < 0)
			track_ask_undone(m, err);
		evt_inbox_post(k->relay->inbox, &m->msg);
	}
	k->answers_end = &k->answers;
}

static void store_failed(int err)
{
	log_event(LOG_LEVEL_ERROR, NULL, "tracking-store-failed", "why=\"%s\"", err_text(err));
}

static void tidy(struct track_keep *k)
{
	int64_t gone;

	if (clock_mono() < k->hourly)
		return;
	k->hourly = clock_mono() + HOURLY;
	gone = track_db_expire(k->store, clock_wall() - k->keep);
	if (gone > 0) {
		log_event(LOG_LEVEL_INFO, NULL, "tracking-expired", "rows=%lld", (long long)gone);
		k->scrub = 1;
	}
	track_keep_gone_look(k);
	track_push_secret_reseal(k);
}

static void look(struct track_keep *k)
{
	int64_t pushes = track_db_push_count(k->store);

	atomic_store(&k->oldest_sealed, track_db_oldest_sealed(k->store));
	if (pushes >= 0)
		atomic_store(&k->pushes, (uint64_t)pushes);
}

static void run_batch(struct track_keep *k, struct evt_msg *batch)
{
	int err = store_begin(k->store), undone = 0;

	if (err < 0)
		store_failed(err);
	while (batch) {
		struct relay_msg *m = (struct relay_msg *)batch;
		batch = batch->next;
		atomic_fetch_sub(&k->waiting, 1);
		m->run(m, k);
	}
	while (track_keep_sent_seal(k))
		;
	tidy(k);
	track_push_due(k);
	if (err == 0) {
		err = undone = store_commit(k->store);
		if (err < 0)
			store_failed(err);
	}
	if (k->scrub && err == 0)
		track_db_scrub(k->store);
	k->scrub = 0;
	look(k);
	send_answers(k, undone);
}

static int64_t wait_for(const struct track_keep *k)
{
	int64_t now = clock_wall(), wait = 60 * CLOCK_SEC;

	if (k->sent_count)
		wait = TURN;
	if (k->push_due - now < wait)
		wait = k->push_due - now;
	return wait < 0 ? 0 : wait;
}

static struct evt_msg *gather(struct track_keep *k)
{
	struct evt_msg *first = evt_inbox_wait(k->inbox, wait_for(k)), *more, **end = &first;
	struct timespec pause = {0, BATCH_PAUSE * 1000};

	if (!first || k->stop)
		return first;
	nanosleep(&pause, NULL);
	more = evt_inbox_wait(k->inbox, 0);
	while (*end)
		end = &(*end)->next;
	*end = more;
	return first;
}

static void last_words(struct track_keep *k)
{
	struct timespec pause = {0, 200000000};

	run_batch(k, evt_inbox_wait(k->inbox, 0));
	for (int i = 0; k->sent_count && i < LAST_TRIES; i++) {
		nanosleep(&pause, NULL);
		k->sent_again = 0;
		run_batch(k, NULL);
	}
	if (k->sent_count)
		log_event(LOG_LEVEL_ERROR, NULL, "tracking-lost", "n=%u why=\"keyd did not seal them\"", k->sent_count);
}

static void *thread(void *arg)
{
	struct track_keep *k = arg;

	while (!k->stop) {
		log_flush();
		run_batch(k, gather(k));
	}
	last_words(k);
	log_flush();
	return NULL;
}

/* --- life */

struct track_keep *track_keep_new(struct track *t, const struct relay_conf *conf, int *err, const char **why)
{
	static char text[STORE_ERR_MAX + 64];
	struct track_keep *k = calloc(1, sizeof(*k));
	char what[STORE_ERR_MAX];

	*err = ERR_NOMEM;
	*why = "out of memory";
	if (!k)
		return NULL;
	k->track = t;
	k->relay = t->relay;
	k->keep = conf->tracking.keep;
	k->answers_end = &k->answers;
	list_init(&k->sent);
	list_init(&k->pushing);
	k->inbox = evt_inbox_new(NULL, NULL, NULL);
	k->window = track_window_new();
	k->keys = ledger_keys_new(conf->keyd);
	if (k->inbox && k->window && k->keys) {
		k->store = track_db_open(conf->state, err, what);
		if (k->store) {
			look(k);
			return k;
		}
		snprintf(text, sizeof(text), "track.db in state: %s", what);
		*why = text;
	}
	track_keep_free(k);
	return NULL;
}

/* Signals are control's. */
int track_keep_start(struct track_keep *k)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	k->running = pthread_create(&k->thread, NULL, thread, k) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return k->running ? 0 : ERR_NOMEM;
}

static void run_stop(struct relay_msg *m, void *keep)
{
	(void)m;
	((struct track_keep *)keep)->stop = 1;
}

void track_keep_stop(struct track_keep *k)
{
	struct relay_msg end = {.run = run_stop};

	if (!k || !k->running)
		return;
	track_keep_post(k, &end);
	pthread_join(k->thread, NULL);
	k->running = 0;
}

void track_keep_free(struct track_keep *k)
{
	if (!k)
		return;
	track_keep_stop(k);
	track_push_clear(k);
	while (!list_empty(&k->sent))
		track_keep_sent_drop(k, list_entry(list_first(&k->sent), struct track_keep_message, link));
	if (k->keys)
		k->keys->free(k->keys);
	store_close(k->store);
	track_window_free(k->window);
	if (k->inbox)
		evt_inbox_free(k->inbox);
	free(k);
}

void track_keep_numbers(struct track_keep *k, struct track_keep_numbers *out)
{
	*out = (struct track_keep_numbers){.hits = atomic_load(&k->hits),
					   .unsubscribed = atomic_load(&k->unsubscribed),
					   .lost = atomic_load(&k->lost),
					   .waiting = atomic_load(&k->unsealed),
					   .pushes = atomic_load(&k->pushes),
					   .oldest_sealed = atomic_load(&k->oldest_sealed)};
}
