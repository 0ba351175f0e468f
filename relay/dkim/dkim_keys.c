/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/dkim/dkim_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "evt/evt_loop.h"
#include "keyproto/keyproto_version.h"

#define BUCKETS	 64
#define TIMEOUT	 (10 * CLOCK_SEC)
#define NO_KEY	 CLOCK_SEC /* how long "there is none" holds */
#define AGE	 (300 * CLOCK_SEC) /* how long anything holds, should keyd's word be missed */

static const struct {
	const char *name; /* behind the domain in a label */
	uint8_t alg, type;
} algs[] = {[MAIL_DKIM_RSA] = {"rsa", KEYPROTO_ALG_RS256, KEYPROTO_KEY_RSA2048},
	    [MAIL_DKIM_ED25519] = {"ed25519", KEYPROTO_ALG_ED25519, KEYPROTO_KEY_ED25519}};

enum entry_state { UNKNOWN, ASKING, KNOWN };

struct entry {
	struct list_link link;
	char domain[DKIM_KEYS_DOMAIN_MAX + 1];
	enum entry_state state;
	int stale; /* the answer that is awaited is out of date already */
	unsigned open;
	int err;
	int64_t until; /* loop time: KNOWN holds */
	struct dkim_keys_set set;
	struct list waits;
};

/* A question that keyd will answer, whoever is still there to hear it. */
struct dkim_keys_call {
	struct list_link link;
	struct dkim_keys *owner; /* NULL: freed */
	struct entry *entry;	 /* of a question for versions */
	enum mail_dkim_alg alg;
	dkim_keys_sign_fn fn; /* NULL: cancelled, or a question for versions */
	void *arg;
};

struct dkim_keys {
	struct evt_loop *loop;
	struct keyproto_client_ev *keyd;
	struct list calls;
	struct list buckets[BUCKETS];
};

/* --- entries */

static struct list *bucket(struct dkim_keys *k, const char *domain)
{
	uint32_t h = 2166136261u;

	for (; *domain; domain++)
		h = (h ^ (uint8_t)*domain) * 16777619u;
	return &k->buckets[h % BUCKETS];
}

static struct entry *find(struct dkim_keys *k, const char *domain)
{
	list_each(e, bucket(k, domain), struct entry, link)
		if (!strcmp(e->domain, domain))
			return e;
	return NULL;
}

static struct entry *find_or_make(struct dkim_keys *k, const char *domain)
{
	struct entry *e = find(k, domain);

	if (e || strlen(domain) > DKIM_KEYS_DOMAIN_MAX)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	snprintf(e->domain, sizeof(e->domain), "%s", domain);
	list_init(&e->waits);
	list_push_back(bucket(k, domain), &e->link);
	return e;
}

static void forget(struct entry *e)
{
	if (e->state == ASKING)
		e->stale = 1;
	else
		e->state = UNKNOWN;
}

/* --- questions */

static void label_of(char label[KEYPROTO_NAME_MAX + 1], const char *domain, enum mail_dkim_alg alg)
{
	snprintf(label, KEYPROTO_NAME_MAX + 1, "dkim/%s/%s", domain, algs[alg].name);
}

static struct dkim_keys_call *call_new(struct dkim_keys *k, enum mail_dkim_alg alg)
{
	struct dkim_keys_call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->owner = k;
	c->alg = alg;
	list_push_back(&k->calls, &c->link);
	return c;
}

static void call_free(struct dkim_keys_call *c)
{
	if (c->owner)
		list_remove(&c->link);
	free(c);
}

static int fill_name(struct buf *body, const void *message)
{
	return keyproto_bytes_put(body, span_str(message));
}

/* The active version among those of an answer; 0: none that signs. */
static uint32_t active(struct span reply, enum mail_dkim_alg alg)
{
	struct keyproto_version all[KEYPROTO_VERSIONS_MAX];
	int n = keyproto_versions_get(reply, all);

	for (int i = 0; i < n; i++)
		if (all[i].state == KEYPROTO_VERSION_ACTIVE && all[i].type == algs[alg].type)
			return all[i].version;
	return 0;
}

static int ask(struct dkim_keys *k, struct entry *e);

static void tell_all(struct entry *e, int err)
{
	struct dkim_keys_set set = e->set;
	struct list waits;

	/* whoever asks again from within goes on a new list */
	list_init(&waits);
	while (!list_empty(&e->waits)) {
		struct list_link *l = list_pop_front(&e->waits);
		list_push_back(&waits, l);
	}
	while (!list_empty(&waits)) {
		struct dkim_keys_wait *w = list_entry(list_pop_front(&waits), struct dkim_keys_wait, link);
		w->fn(w->arg, err, &set);
	}
}

static int any(const struct entry *e)
{
	return e->set.version[MAIL_DKIM_RSA] || e->set.version[MAIL_DKIM_ED25519];
}

/* Both answers are there. */
static void settle(struct dkim_keys *k, struct entry *e)
{
	int err = e->err;

	e->state = UNKNOWN;
	if (err == 0 && e->stale) { /* of before the change: once more */
		e->stale = 0;
		err = ask(k, e);
		if (err == 0)
			return;
	}
	if (err == 0) {
		e->state = KNOWN;
		err = any(e) ? 0 : ERR_NOTFOUND;
		e->until = evt_loop_now(k->loop) + (err == 0 ? AGE : NO_KEY);
	}
	tell_all(e, err);
}

static void got_versions(void *arg, int err, struct span reply)
{
	struct dkim_keys_call *c = arg;
	struct dkim_keys *k = c->owner;
	struct entry *e = c->entry;
	enum mail_dkim_alg alg = c->alg;

	call_free(c);
	if (!k)
		return;
	e->set.version[alg] = err == 0 ? active(reply, alg) : 0;
	if (err < 0 && err != ERR_NOTFOUND)
		e->err = err;
	if (--e->open == 0)
		settle(k, e);
}

static int ask_one(struct dkim_keys *k, struct entry *e, enum mail_dkim_alg alg)
{
	struct dkim_keys_call *c = call_new(k, alg);
	char label[KEYPROTO_NAME_MAX + 1];
	int err;

	if (!c)
		return ERR_NOMEM;
	c->entry = e;
	label_of(label, e->domain, alg);
	err = keyproto_client_ev_call(k->keyd, KEYPROTO_KEY_VERSIONS, TIMEOUT, fill_name, label, got_versions, c);
	if (err < 0)
		call_free(c);
	else
		e->open++;
	return err;
}

/* Too many questions wait: that is ours, and passes. */
static int busy(int err)
{
	return err == ERR_LIMIT ? ERR_BUSY : err;
}

/* 0: settle follows. ERR_*: it does not, and nothing is under way. */
static int ask(struct dkim_keys *k, struct entry *e)
{
	int err = 0;

	e->err = 0;
	e->stale = 0;
	for (int alg = 0; alg < MAIL_DKIM_ALG_COUNT && err == 0; alg++)
		err = ask_one(k, e, (enum mail_dkim_alg)alg);
	if (err < 0 && !e->open)
		return busy(err);
	e->err = busy(err); /* of a question that could not even be asked: told with the answer to the other */
	e->state = ASKING;
	return 0;
}

int dkim_keys_get(struct dkim_keys *k, const char *domain, struct dkim_keys_set *set, struct dkim_keys_wait *wait)
{
	struct entry *e = find_or_make(k, domain);
	int err;

	if (!e)
		return strlen(domain) > DKIM_KEYS_DOMAIN_MAX ? ERR_NOTFOUND : ERR_NOMEM;
	if (e->state == KNOWN && evt_loop_now(k->loop) < e->until) {
		*set = e->set;
		return any(e) ? 0 : ERR_NOTFOUND;
	}
	if (e->state != ASKING) {
		err = ask(k, e);
		if (err < 0)
			return err;
	}
	list_push_back(&e->waits, &wait->link);
	return 1;
}

void dkim_keys_unwait(struct dkim_keys_wait *wait)
{
	if (list_linked(&wait->link))
		list_remove(&wait->link);
}

void dkim_keys_stale(struct dkim_keys *k, const char *domain)
{
	struct entry *e = find(k, domain);

	if (e)
		forget(e);
}

/* --- signatures */

struct sign {
	char name[KEYPROTO_KEYNAME_MAX + 1];
	uint8_t alg;
	struct span data;
};

static int fill_sign(struct buf *body, const void *message)
{
	const struct sign *s = message;
	struct keyproto_sign m = {.label = span_str(s->name), .alg = s->alg, .data = s->data};

	return keyproto_sign_put(body, &m);
}

static void got_signature(void *arg, int err, struct span reply)
{
	struct dkim_keys_call *c = arg;
	dkim_keys_sign_fn fn = c->fn;
	void *fn_arg = c->arg;
	struct span signature = span_of(NULL, 0);

	call_free(c);
	if (!fn)
		return;
	if (err == 0)
		err = keyproto_bytes_get(reply, &signature);
	fn(fn_arg, busy(err), signature);
}

int dkim_keys_sign(struct dkim_keys *k, const char *domain, enum mail_dkim_alg alg, uint32_t version, struct span data,
		   dkim_keys_sign_fn fn, void *arg, struct dkim_keys_call **call)
{
	struct dkim_keys_call *c = call_new(k, alg);
	struct sign s = {.alg = algs[alg].alg, .data = data};
	char label[KEYPROTO_NAME_MAX + 1];
	int err;

	if (!c)
		return ERR_NOMEM;
	c->fn = fn;
	c->arg = arg;
	label_of(label, domain, alg);
	snprintf(s.name, sizeof(s.name), "%s#%u", label, version);
	err = keyproto_client_ev_call(k->keyd, KEYPROTO_SIGN, TIMEOUT, fill_sign, &s, got_signature, c);
	if (err < 0) {
		call_free(c);
		return busy(err);
	}
	*call = c;
	return 0;
}

void dkim_keys_cancel(struct dkim_keys_call *call)
{
	if (call)
		call->fn = NULL;
}

/* --- life */

void dkim_keys_state(struct dkim_keys *k, unsigned state)
{
	(void)state; /* whichever it is, what was known of the one before does not hold */
	if (!k)
		return;
	for (int i = 0; i < BUCKETS; i++)
		list_each(e, &k->buckets[i], struct entry, link)
			forget(e);
}

struct dkim_keys *dkim_keys_new(struct evt_loop *loop, struct keyproto_client_ev *keyd)
{
	struct dkim_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->loop = loop;
	k->keyd = keyd;
	list_init(&k->calls);
	for (int i = 0; i < BUCKETS; i++)
		list_init(&k->buckets[i]);
	return k;
}

void dkim_keys_free(struct dkim_keys *k)
{
	if (!k)
		return;
	while (!list_empty(&k->calls)) {
		struct dkim_keys_call *c = list_entry(list_pop_front(&k->calls), struct dkim_keys_call, link);
		c->owner = NULL;
		c->entry = NULL;
		c->fn = NULL;
	}
	for (int i = 0; i < BUCKETS; i++)
		while (!list_empty(&k->buckets[i])) {
			struct entry *e = list_entry(list_pop_front(&k->buckets[i]), struct entry, link);
			while (!list_empty(&e->waits))
				list_pop_front(&e->waits);
			free(e);
		}
	free(k);
}
