/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "relay/sts/sts_own.h"
#include "relay/store/store_sts.h"

#define AT_ONCE	   256 /* changes in one transaction */
#define QUIET	   (60 * CLOCK_SEC)
#define CLOCK_SLIP (3600 * CLOCK_SEC)

/* --- at start */

static int take_row(void *arg, const struct store_sts *row)
{
	struct sts *s = arg;
	int64_t now = clock_wall();
	/* The clock was wrong when it was fetched, or is now: it counts from here. */
	int64_t fetched = row->fetched > now + CLOCK_SLIP ? now : row->fetched;
	const char *why;
	char domain[HTTPS_URL_HOST];
	struct sts_policy *p;
	struct sts_entry *e;
	int err;

	if (https_url_host(span_str(row->domain), domain) < 0)
		return 0;
	p = sts_policy_parse(row->policy, row->id, fetched, &err, &why);
	if (!p)
		return err == ERR_NOMEM ? err : 0;
	e = sts_cache_use(s, domain);
	if (e)
		sts_cache_put(s, e, p, 0);
	else
		sts_policy_unref(p);
	if (e)
		sts_cache_policy(s, e); /* it may be over */
	return e ? 0 : ERR_NOMEM;
}

/* --- while it runs */

static struct sts_change *next_change(struct sts *s)
{
	struct list_link *k;

	pthread_mutex_lock(&s->lock);
	k = list_pop_front(&s->changes);
	pthread_mutex_unlock(&s->lock);
	return k ? list_entry(k, struct sts_change, link) : NULL;
}

static int write_change(struct store *store, const struct sts_change *c)
{
	const struct sts_policy *p = c->policy;
	struct store_sts row = {.domain = c->domain};

	if (!p)
		return store_sts_remove(store, c->domain);
	row.id = p->id;
	row.fetched = p->fetched;
	row.policy = span_of(p->text, p->size);
	return store_sts_put(store, &row);
}

static void give_back(struct sts *s, struct list *taken)
{
	pthread_mutex_lock(&s->lock);
	while (!list_empty(taken)) {
		struct list_link *k = taken->head.prev;
		list_remove(k);
		list_push_front(&s->changes, k);
	}
	pthread_mutex_unlock(&s->lock);
}

static void drop(struct list *taken)
{
	while (!list_empty(taken)) {
		struct sts_change *c = list_entry(list_pop_front(taken), struct sts_change, link);
		sts_policy_unref(c->policy);
		free(c);
	}
}

static void note_failure(struct sts *s, int err)
{
	int64_t now = clock_mono();

	if (s->save_failed && now - s->save_failed < QUIET)
		return;
	s->save_failed = now;
	log_event(LOG_LEVEL_WARN, NULL, "sts-store-failed", "why=\"%s\"", err_text(err));
}

/* At most AT_ONCE; 1 if there may be more. */
static int save_some(struct sts *s, struct store *store)
{
	struct list taken;
	struct sts_change *c = next_change(s);
	unsigned n = 0;
	int err;

	if (!c)
		return 0;
	list_init(&taken);
	err = store_begin(store);
	for (; c; c = err == 0 && n < AT_ONCE ? next_change(s) : NULL) {
		list_push_back(&taken, &c->link);
		if (err == 0)
			err = write_change(store, c);
		n++;
	}
	if (err == 0)
		err = store_commit(store);
	if (err == 0) {
		drop(&taken);
		return n == AT_ONCE;
	}
	store_rollback(store);
	give_back(s, &taken);
	note_failure(s, err);
	return 0;
}

static void save(void *arg)
{
	struct relay *r = arg;

	while (save_some(r->sts, r->store))
		;
	evt_timer_set(r->sts->save, STS_SAVE);
}

/* --- life */

struct sts *sts_new(void)
{
	struct sts *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	pthread_mutex_init(&s->lock, NULL);
	list_init(&s->policies);
	list_init(&s->others);
	list_init(&s->changes);
	list_init(&s->looks);
	list_init(&s->lookups);
	return s;
}

void sts_free(struct sts *s)
{
	if (!s)
		return;
	sts_find_clear(s);
	sts_look_clear(s);
	sts_cache_clear(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void sts_count(struct sts *s, struct sts_numbers *n)
{
	*n = (struct sts_numbers){0};
	pthread_mutex_lock(&s->lock);
	list_each(e, &s->policies, struct sts_entry, order) {
		n->policies++;
		n->enforce += e->policy->mode == STS_ENFORCE;
		n->testing += e->policy->mode == STS_TESTING;
		n->failing += e->failure != TLSRPT_OK;
	}
	pthread_mutex_unlock(&s->lock);
}

static int open_part(struct relay *r, const char **why)
{
	int err;

	*why = "out of memory";
	r->sts = sts_new();
	if (!r->sts)
		return ERR_NOMEM;
	r->sts->save = calloc(1, sizeof(*r->sts->save));
	if (!r->sts->save)
		return ERR_NOMEM;
	evt_timer_init(r->sts->save, r->loop, save, r);
	err = store_sts_each(r->store, take_row, r->sts);
	if (err < 0) {
		*why = "MTA-STS policies in relay.db";
		return err;
	}
	return evt_timer_set(r->sts->save, STS_SAVE);
}

/* The workers have ended. */
static void close_part(struct relay *r)
{
	if (!r->sts)
		return;
	if (r->sts->save) {
		while (r->store && save_some(r->sts, r->store))
			;
		evt_timer_clear(r->sts->save);
		free(r->sts->save);
	}
	sts_free(r->sts);
	r->sts = NULL;
}

const struct relay_control_part sts_part = {.open = open_part, .close = close_part};
