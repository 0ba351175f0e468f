/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/tlsrpt/tlsrpt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/rand.h"
#include "relay/tlsrpt/tlsrpt_own.h"

#define TICK	    CLOCK_SEC
#define FLUSH_EVERY (60 * CLOCK_SEC)
#define PLAN_TICK   100 /* reports put down in one go */

int64_t tlsrpt_today(void)
{
	return clock_wall() / TLSRPT_DAY;
}

int tlsrpt_sends(const struct relay_conf *conf)
{
	return conf->tlsrpt.send && conf->tlsrpt.from;
}

void tlsrpt_submitter(const struct relay_conf *conf, char dst[256])
{
	const char *from = conf->tlsrpt.from, *at = from ? strrchr(from, '@') : NULL;

	snprintf(dst, 256, "%s", at ? at + 1 : conf->hostname);
}

/* --- counting: any thread */

void tlsrpt_spare(struct tlsrpt *t, const char *domain)
{
	struct tlsrpt_spared *s;

	pthread_mutex_lock(&t->lock);
	s = &t->spared[t->spare++ % TLSRPT_SPARED];
	snprintf(s->domain, sizeof(s->domain), "%s", domain);
	s->until = t->spare_until = clock_mono() + TLSRPT_SPARE;
	pthread_mutex_unlock(&t->lock);
}

static int is_spared(const struct tlsrpt *t, const char *domain)
{
	int64_t now = clock_mono();

	for (unsigned i = 0; now < t->spare_until && i < TLSRPT_SPARED; i++)
		if (t->spared[i].until > now && !strcmp(t->spared[i].domain, domain))
			return 1;
	return 0;
}

void tlsrpt_note(struct relay *r, const struct tlsrpt_session *s)
{
	struct tlsrpt *t = r->tlsrpt;
	int failed = s->result != TLSRPT_OK;
	struct store_tlsrpt_count c = {.day = tlsrpt_today(),
				       .domain = s->domain,
				       .kind = (int)s->kind,
				       .policy = span_sub(s->policy, 0, TLSRPT_POLICY),
				       .result = (int)s->result,
				       .mx = failed && s->mx ? s->mx : "",
				       .ip = failed && s->ip ? s->ip : "",
				       .from = failed && s->from ? s->from : "",
				       .reason = failed && s->reason ? s->reason : "",
				       .sessions = 1};

	if (!t || !s->domain[0])
		return;
	pthread_mutex_lock(&t->lock);
	if (!is_spared(t, s->domain) && tlsrpt_tally_add(&t->tally, &c) < 0)
		t->lost++;
	pthread_mutex_unlock(&t->lock);
}

/* --- to the store */

static int keep_count(void *arg, const struct store_tlsrpt_count *c)
{
	return store_tlsrpt_count(arg, c);
}

static int keep_all(struct store *s, const struct tlsrpt_tally *all)
{
	int err = store_begin(s);

	if (err < 0)
		return err;
	err = tlsrpt_tally_each(all, keep_count, s);
	if (err == 0)
		return store_commit(s);
	store_rollback(s);
	return err;
}

static int put_back(void *arg, const struct store_tlsrpt_count *c)
{
	struct tlsrpt *t = arg;

	if (tlsrpt_tally_add(&t->tally, c) < 0)
		t->lost += (uint64_t)c->sessions;
	return 0;
}

int tlsrpt_flush(struct relay *r)
{
	struct tlsrpt *t = r->tlsrpt;
	struct tlsrpt_tally all;
	uint64_t lost;
	int err = 0;

	t->flushed = clock_mono();
	pthread_mutex_lock(&t->lock);
	all = t->tally;
	lost = t->lost;
	t->tally = (struct tlsrpt_tally){.count = 0};
	t->lost = 0;
	pthread_mutex_unlock(&t->lock);
	if (all.count)
		err = keep_all(r->store, &all);
	if (err < 0) {
		pthread_mutex_lock(&t->lock);
		tlsrpt_tally_each(&all, put_back, t);
		pthread_mutex_unlock(&t->lock);
		log_event(LOG_LEVEL_WARN, NULL, "tlsrpt-store-failed", "why=\"%s\"", err_text(err));
	}
	if (lost)
		log_event(LOG_LEVEL_WARN, NULL, "tlsrpt-uncounted", "sessions=%" PRIu64, lost);
	tlsrpt_tally_clear(&all);
	return err;
}

/* --- days that are over */

static void new_name(char name[TLSRPT_REPORT_ID])
{
	uint8_t random[(TLSRPT_REPORT_ID - 1) / 2];

	rand_bytes(random, sizeof(random));
	hex_encode(name, random, sizeof(random));
}

/* part 0: the day's own, for which the delay is drawn. */
static int put_down(struct tlsrpt *t, int64_t day, const char *domain, int64_t part, int64_t wait)
{
	const struct relay_conf *conf = atomic_load(&t->relay->conf);
	int64_t now = clock_wall(), end = (day + 1) * TLSRPT_DAY, id;
	char name[TLSRPT_REPORT_ID];
	struct store_tlsrpt_report r = {.day = day,
					.domain = domain,
					.part = part,
					.end = end < now ? end : now,
					.name = name,
					.state = STORE_TLSRPT_WAITING,
					.due = now + wait,
					.until = now + wait + TLSRPT_GIVE_UP,
					.note = ""};

	new_name(name);
	if (!tlsrpt_sends(conf)) {
		r.state = STORE_TLSRPT_OFF;
		r.note = conf->tlsrpt.from ? "tlsrpt.send is no" : "tlsrpt.from is not set";
	}
	id = store_tlsrpt_add(t->relay->store, &r);
	t->next = 0;
	return id < 0 ? (int)id : 0;
}

/* Puts down what has to be sent of days that are over, as much as a tick has time for. */
static void plan(struct tlsrpt *t)
{
	const struct relay_conf *conf = atomic_load(&t->relay->conf);
	struct store *s = t->relay->store;
	int64_t today = tlsrpt_today(), day;
	char domain[256];
	unsigned n = 0;
	int rc = store_begin(s);

	if (rc < 0)
		return;
	while (n < PLAN_TICK && (rc = store_tlsrpt_missing(s, today, &day, domain)) == 1) {
		int64_t wait = (int64_t)(rand_u64() % ((uint64_t)conf->tlsrpt.delay + 1));
		rc = put_down(t, day, domain, 0, wait);
		if (rc < 0)
			break;
		n++;
	}
	if (rc < 0) {
		store_rollback(s);
		log_event(LOG_LEVEL_WARN, NULL, "tlsrpt-store-failed", "why=\"%s\"", err_text(rc));
		return;
	}
	if (store_commit(s) == 0 && n < PLAN_TICK)
		t->planning = 0;
	if (n)
		log_event(LOG_LEVEL_INFO, NULL, "tlsrpt-day", "reports=%u sent=%s", n,
			  tlsrpt_sends(conf) ? "yes" : "no");
}

static void new_day(struct tlsrpt *t, int64_t today)
{
	if (tlsrpt_flush(t->relay) < 0)
		return; /* the day is not over before all of it is there */
	t->day = today;
	t->planning = 1;
	if (store_tlsrpt_forget(t->relay->store, today - TLSRPT_KEEP) < 0)
		log_event(LOG_LEVEL_WARN, NULL, "tlsrpt-store-failed", "why=\"what is old stays\"");
}

/* --- when */

struct starting {
	struct tlsrpt *t;
	int64_t now, next;
};

static int start_due(void *arg, const struct store_tlsrpt_report *r)
{
	struct starting *s = arg;

	if (tlsrpt_job_runs(s->t, r->id))
		return 0;
	if (r->due > s->now || s->t->job_count == TLSRPT_JOBS) {
		s->next = r->due;
		return 1;
	}
	tlsrpt_job_start(s->t, r);
	return 0;
}

static void start_jobs(struct tlsrpt *t)
{
	struct starting s = {t, clock_wall(), INT64_MAX};

	if (!tlsrpt_sends(atomic_load(&t->relay->conf)) || atomic_load(&t->relay->stopping))
		return;
	if (store_tlsrpt_waiting(t->relay->store, 2 * TLSRPT_JOBS, start_due, &s) >= 0)
		t->next = s.next;
}

static void on_timer(void *arg)
{
	struct tlsrpt *t = arg;
	int64_t today = tlsrpt_today();
	size_t gathered;

	pthread_mutex_lock(&t->lock);
	gathered = t->tally.count;
	pthread_mutex_unlock(&t->lock);
	if (clock_mono() - t->flushed >= FLUSH_EVERY || gathered > TLSRPT_TALLY_MAX / 2)
		tlsrpt_flush(t->relay);
	if (today != t->day)
		new_day(t, today);
	if (t->planning)
		plan(t);
	if (t->next <= clock_wall() && t->job_count < TLSRPT_JOBS)
		start_jobs(t);
	evt_timer_set(&t->timer, TICK);
}

/* --- for people */

struct found {
	struct tlsrpt *t;
	int seen, changed, busy;
};

/* The day's own report, if it can still be sent as that. */
static int hurry_up(void *arg, const struct store_tlsrpt_report *r)
{
	struct found *f = arg;
	struct store_tlsrpt_report now = *r;

	if (r->part != 0)
		return 0;
	f->seen = 1;
	f->busy = tlsrpt_job_runs(f->t, r->id);
	if (f->busy || r->state == STORE_TLSRPT_SENT || r->state == STORE_TLSRPT_UNWANTED)
		return 1;
	now.state = STORE_TLSRPT_WAITING;
	now.due = clock_wall();
	now.until = now.due + TLSRPT_GIVE_UP;
	f->changed = 1;
	store_tlsrpt_change(f->t->relay->store, &now);
	return 1;
}

static int any(void *arg, const struct store_tlsrpt_count *c)
{
	(void)c;
	*(int *)arg = 1;
	return 1;
}

int tlsrpt_send(struct relay *r, int64_t day, const char *domain)
{
	struct tlsrpt *t = r->tlsrpt;
	struct found f = {.t = t};
	int counted = 0, over = day < tlsrpt_today();
	int err = tlsrpt_flush(r);

	if (err == 0)
		err = store_tlsrpt_counts(r->store, day, domain, any, &counted);
	if (err < 0)
		return err;
	if (!counted)
		return ERR_NOTFOUND;
	if (!tlsrpt_sends(atomic_load(&r->conf)))
		return ERR_CONFIG;
	if (over)
		err = store_tlsrpt_reports(r->store, day, domain, hurry_up, &f);
	t->next = 0;
	if (err < 0 || f.changed)
		return err < 0 ? err : 0;
	return f.busy ? ERR_BUSY : put_down(t, day, domain, over && !f.seen ? 0 : clock_wall(), 0);
}

static int add_row(void *arg, const struct store_tlsrpt_count *c)
{
	return tlsrpt_report_add(arg, c);
}

int tlsrpt_make(struct relay *r, int64_t day, const char *domain, const struct store_tlsrpt_report *report,
		json_t **out)
{
	const struct relay_conf *conf = atomic_load(&r->conf);
	int64_t now = clock_wall(), end = report ? report->end : (day + 1) * TLSRPT_DAY;
	char submitter[256];
	struct tlsrpt_report_head h = {.organization = conf->tlsrpt.organization,
				       .contact = conf->tlsrpt.contact ? conf->tlsrpt.contact : conf->tlsrpt.from,
				       .submitter = submitter,
				       .id = report ? report->name : "0000000000000000",
				       .domain = domain,
				       .begin = day * TLSRPT_DAY,
				       .end = end < now ? end : now};
	struct tlsrpt_report p;
	int err;

	tlsrpt_submitter(conf, submitter);
	if (!h.organization)
		h.organization = submitter;
	if (!h.contact)
		h.contact = "";
	err = tlsrpt_report_init(&p, &h);
	if (err == 0)
		err = store_tlsrpt_counts(r->store, day, domain, add_row, &p);
	if (err == 0 && !p.policy)
		err = ERR_NOTFOUND;
	*out = err == 0 ? json_incref(p.json) : NULL;
	tlsrpt_report_clear(&p);
	return err;
}

/* --- life */

static int open_part(struct relay *r, const char **why)
{
	struct tlsrpt *t = calloc(1, sizeof(*t));

	*why = "TLS reports in relay.db";
	if (!t)
		return ERR_NOMEM;
	t->relay = r;
	t->flushed = clock_mono();
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->jobs);
	evt_timer_init(&t->timer, r->loop, on_timer, t);
	r->tlsrpt = t;
	return evt_timer_set(&t->timer, TICK);
}

static void close_part(struct relay *r)
{
	struct tlsrpt *t = r->tlsrpt;

	if (!t)
		return;
	evt_timer_clear(&t->timer);
	while (!list_empty(&t->jobs))
		tlsrpt_job_end(list_entry(list_first(&t->jobs), struct tlsrpt_job, link));
	tlsrpt_flush(r);
	r->tlsrpt = NULL;
	tlsrpt_tally_clear(&t->tally);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

const struct relay_control_part tlsrpt_part = {.open = open_part, .close = close_part};
