/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that keeps the file. */
#include "relay/shape/shape_store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/shape/shape_own.h"
#include "sys/sys_file.h"

#define BUCKETS_AT_ONCE 64
#define WORTH		(30 * CLOCK_SEC) /* shorter pauses are not kept */
#define FAILED_PAUSE	5		 /* seconds, after it could not be written */

struct shape_store {
	char *path;
	pthread_t thread;
	pthread_cond_t cond; /* with shape's lock */
	int dirty, stopping, failing;
	struct shape_durable *waiting;
};

void shape_store_dirty(struct shape *s)
{
	if (!s->store || s->store->dirty)
		return;
	s->store->dirty = 1;
	pthread_cond_signal(&s->store->cond);
}

/* --- writing */

static unsigned print(struct buf *out, const struct shape_store_line *l)
{
	shape_store_print(out, l);
	return 1;
}

static const struct shape_warm *warm_of(const struct shape *s, const struct shape_cell *c)
{
	for (unsigned i = 0; i < s->set->source_count; i++)
		if (s->set->sources[i].origin == c->origin)
			return s->set->sources[i].warm;
	return NULL;
}

static unsigned print_cell(const struct shape *s, const struct shape_cell *c, int last, struct buf *out)
{
	struct shape_store_line l = {.source = span_str(c->origin->name), .site = span_str(c->site)};
	int64_t left = c->state.rest_until - clock_mono();
	const struct shape_warm *warm;
	unsigned n = 0;

	if (c->suspended) {
		l.kind = SHAPE_STORE_SITE;
		n += print(out, &l);
	}
	if (left > WORTH) {
		l.kind = SHAPE_STORE_REST;
		l.rule = span_str(c->rule);
		l.suspended = c->state.rest_why == SHAPE_SUSPENDED;
		l.until = clock_wall() + left;
		l.pattern = span_str(c->state.rest_name);
		n += print(out, &l);
	}
	if (c->warm_day && (warm = warm_of(s, c))) {
		l.kind = SHAPE_STORE_WARM;
		l.day = c->warm_day;
		l.count = last ? c->warm_sent : shape_warmup_ahead(c, warm);
		n += print(out, &l);
	}
	return n;
}

/* The whole file, a few buckets under one lock. */
static void print_all(struct shape *s, int last, struct buf *out)
{
	unsigned lines = 1;

	buf_put_str(out, "sealpost-shaping 1\n");
	for (const struct shape_origin *o = s->origins; o; o = o->next)
		if (o->suspended)
			lines += print(out, &(struct shape_store_line){.kind = SHAPE_STORE_SOURCE,
								       .source = span_str(o->name)});
	for (unsigned i = 0; i < SHAPE_BUCKETS; i++) {
		for (const struct shape_cell *c = s->buckets[i]; c; c = c->next)
			lines += print_cell(s, c, last, out);
		if (i % BUCKETS_AT_ONCE == 0) {
			pthread_mutex_unlock(&s->lock);
			pthread_mutex_lock(&s->lock);
		}
	}
	buf_putf(out, "end %u\n", lines);
}

static int now_sure(void *arg, const struct shape_store_line *l)
{
	struct shape *s = arg;
	char source[SHAPE_NAME];
	struct shape_cell *c;

	if (l->kind != SHAPE_STORE_WARM || span_copy_str(source, sizeof(source), l->source) < 0)
		return 0;
	for (const struct shape_origin *o = s->origins; o; o = o->next)
		if (!strcmp(o->name, source) && (c = shape_cell_find(s, o, l->site, "")) &&
		    c->warm_day == l->day && c->warm_sure < l->count)
			c->warm_sure = l->count;
	return 0;
}

/* Locked; unlocks while it writes. */
static int write_file(struct shape *s, int last)
{
	struct buf text;
	unsigned line;
	int rc;

	buf_init(&text, SHAPE_STORE_MAX);
	print_all(s, last, &text);
	rc = buf_failed(&text);
	pthread_mutex_unlock(&s->lock);
	if (rc == 0)
		rc = sys_file_replace(s->store->path, buf_span(&text), 0600);
	pthread_mutex_lock(&s->lock);
	if (rc == 0)
		shape_store_parse(buf_span(&text), now_sure, s, &line);
	buf_clear(&text);
	return rc;
}

static void tell(struct shape_durable *d, int err)
{
	while (d) {
		struct shape_durable *next = d->next;
		d->done(d, err);
		d = next;
	}
}

/* Locked. A short wait, so that what changes together is written together. */
static void pause_for(struct shape *s, int64_t usec)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(usec % CLOCK_SEC) * 1000;
	until.tv_sec += usec / CLOCK_SEC + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (!s->store->stopping && !s->store->waiting &&
	       pthread_cond_timedwait(&s->store->cond, &s->lock, &until) != ETIMEDOUT)
		;
}

static void one_round(struct shape *s)
{
	struct shape_store *k = s->store;
	struct shape_durable *waiting = k->waiting;
	int rc, was = k->failing;

	k->waiting = NULL;
	k->dirty = 0;
	rc = write_file(s, k->stopping);
	k->failing = rc < 0;
	if (rc < 0)
		k->dirty = 1;
	pthread_mutex_unlock(&s->lock);
	if (rc < 0 && !was)
		log_event(LOG_LEVEL_ERROR, NULL, "shaping-unsaved", "file=%s why=\"%s\"", k->path,
			  err_text(rc));
	log_flush();
	tell(waiting, rc);
	pthread_mutex_lock(&s->lock);
}

static void *run(void *arg)
{
	struct shape *s = arg;
	struct shape_store *k = s->store;

	pthread_mutex_lock(&s->lock);
	while (!k->stopping) {
		if (!k->dirty && !k->waiting) {
			pthread_cond_wait(&k->cond, &s->lock);
			continue;
		}
		one_round(s);
		pause_for(s, k->failing ? FAILED_PAUSE * CLOCK_SEC : SHAPE_STORE_PAUSE);
	}
	one_round(s);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

void shape_durable(struct shape *s, struct shape_durable *d)
{
	d->next = NULL;
	if (!s->store) {
		d->done(d, 0);
		return;
	}
	pthread_mutex_lock(&s->lock);
	d->next = s->store->waiting;
	s->store->waiting = d;
	pthread_cond_signal(&s->store->cond);
	pthread_mutex_unlock(&s->lock);
}

/* --- reading, at start */

static int take_line(void *arg, const struct shape_store_line *l)
{
	struct shape *s = arg;
	char source[SHAPE_NAME], rule[SHAPE_NAME], pattern[SHAPE_NAME];
	int64_t now = clock_mono(), left = l->until - clock_wall();
	struct shape_origin *o;
	struct shape_cell *c;

	if (span_copy_str(source, sizeof(source), l->source) < 0 ||
	    span_copy_str(rule, sizeof(rule), l->rule) < 0 ||
	    span_copy_str(pattern, sizeof(pattern), l->pattern) < 0)
		return ERR_FORMAT;
	o = shape_set_origin(s, source);
	if (!o)
		return ERR_NOMEM;
	if (l->kind == SHAPE_STORE_SOURCE) {
		o->suspended = 1;
		return 0;
	}
	if (l->kind == SHAPE_STORE_REST && left <= 0)
		return 0;
	c = shape_cell_get(s, o, l->site, rule, now);
	if (!c)
		return ERR_NOMEM;
	if (l->kind == SHAPE_STORE_SITE) {
		c->suspended = 1;
	} else if (l->kind == SHAPE_STORE_REST) {
		/* a clock that was wrong must not stop mail for years */
		if (left > 7 * SHAPE_LONG)
			left = 7 * SHAPE_LONG;
		shape_state_rest(&c->state, l->suspended ? SHAPE_SUSPENDED : SHAPE_IN_BACKOFF, pattern,
				 now + left);
	} else {
		c->warm_day = l->day;
		c->warm_sent = c->warm_sure = l->count;
	}
	return 0;
}

static int read_file(struct shape *s, const char *path, char err[CONF_ERR_MAX])
{
	struct buf text;
	unsigned line = 0;
	int rc;

	buf_init(&text, SHAPE_STORE_MAX);
	rc = sys_file_read(path, &text, 1);
	if (rc == ERR_NOTFOUND)
		rc = 0;
	else if (rc == 0)
		rc = shape_store_parse(buf_span(&text), take_line, s, &line);
	if (rc < 0)
		snprintf(err, CONF_ERR_MAX, "%s:%u: %s", path, line, err_text(rc));
	buf_clear(&text);
	return rc < 0 ? ERR_CONFIG : 0;
}

static void free_store(struct shape_store *k)
{
	pthread_cond_destroy(&k->cond);
	free(k->path);
	free(k);
}

int shape_keep(struct shape *s, const char *path, char err[CONF_ERR_MAX])
{
	struct shape_store *k;
	pthread_condattr_t attr;
	sigset_t all, old;
	int rc = read_file(s, path, err);

	if (rc < 0)
		return rc;
	k = calloc(1, sizeof(*k));
	if (!k || !(k->path = strdup(path))) {
		free(k);
		snprintf(err, CONF_ERR_MAX, "%s: out of memory", path);
		return ERR_CONFIG;
	}
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->cond, &attr);
	pthread_condattr_destroy(&attr);
	s->store = k;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&k->thread, NULL, run, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc) {
		s->store = NULL;
		free_store(k);
		snprintf(err, CONF_ERR_MAX, "%s: no thread", path);
		return ERR_CONFIG;
	}
	return 0;
}

void shape_store_close(struct shape *s)
{
	struct shape_store *k = s->store;

	if (!k)
		return;
	pthread_mutex_lock(&s->lock);
	k->stopping = 1;
	pthread_cond_signal(&k->cond);
	pthread_mutex_unlock(&s->lock);
	pthread_join(k->thread, NULL);
	s->store = NULL;
	free_store(k);
}
