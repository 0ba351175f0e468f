/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/campaign/campaign_audience.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_json.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/rand.h"
#include "keyproto/keyproto_client_ev.h"
#include "keyproto/keyproto_manifest.h"
#include "relay/campaign/campaign_pack.h"

#define ID	  (CAMPAIGN_AUDIENCE_ID / 2) /* octets */
#define KEYD_WAIT (10 * CLOCK_SEC)

struct campaign_audience {
	struct relay_msg msg; /* home, from the thread */
	struct list_link link;
	struct campaign_audiences *table;
	char id[HEX_SIZE(ID)], customer[KEYPROTO_NAME_MAX + 1];
	struct camp_audience list;
	struct camp_findings findings;
	uint8_t hash[CAMP_HASH];
	int err;       /* of what was read: the list is spoiled */
	int busy;      /* keyd is asked for the key, for a piece that waits */
	int64_t until; /* mono */
	pthread_t thread;
	campaign_audience_fn fn;
	void *arg;
	/* being stored */
	struct campaign_pack *pack;
	int64_t number;
	size_t at; /* octets that are stored */
};

struct campaign_audiences {
	struct relay *relay;
	struct list open, closing;
	unsigned count; /* of open */
};

struct campaign_audiences *campaign_audience_new(struct relay *r)
{
	struct campaign_audiences *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->relay = r;
	list_init(&t->open);
	list_init(&t->closing);
	return t;
}

static struct campaign_audience *item(struct list_link *l)
{
	return list_entry(l, struct campaign_audience, link);
}

static void leave(struct campaign_audience *a)
{
	list_remove(&a->link);
	a->table->count--;
}

void campaign_audience_drop(struct campaign_audience *a)
{
	if (!a)
		return;
	camp_audience_clear(&a->list);
	camp_finding_clear(&a->findings);
	free(a);
}

void campaign_audience_expire(struct campaign_audiences *t)
{
	int64_t now = clock_mono();
	struct list keep;

	list_init(&keep);
	while (!list_empty(&t->open)) {
		struct campaign_audience *a = item(list_pop_front(&t->open));
		if (a->busy || a->until > now) {
			list_push_back(&keep, &a->link);
			continue;
		}
		t->count--;
		campaign_audience_drop(a);
	}
	while (!list_empty(&keep))
		list_push_back(&t->open, list_pop_front(&keep));
}

/* --- a piece of a list */

struct putting {
	struct campaign_audience *a;
	struct buf text;
	campaign_fn fn;
	void *arg;
};

static void put_ended(struct putting *p, int err, const char *why)
{
	struct campaign_audience *a = p->a;
	json_t *body = NULL;

	a->busy = 0;
	a->until = clock_mono() + CAMPAIGN_AUDIENCE_WAIT;
	if (err == 0)
		body = json_pack("{s:s, s:I, s:I, s:I}", "audience", a->id, "lines", (json_int_t)a->list.lines,
				 "addresses", (json_int_t)camp_audience_count(&a->list), "wrong",
				 (json_int_t)a->findings.errors);
	if (err == ERR_LIMIT)
		why = "more than 2,000,000 addresses";
	if (err == ERR_NOTFOUND)
		why = "keyd has no such customer";
	if (err < 0) {
		leave(a);
		campaign_audience_drop(a);
	}
	buf_clear(&p->text);
	p->fn(p->arg, err, why, body);
	free(p);
}

static void has_key(void *arg, int err, struct span reply)
{
	struct putting *p = arg;
	struct span key;

	if (err == 0)
		err = keyproto_bytes_get(reply, &key);
	if (err == 0 && key.n != CAMP_AUDIENCE_KEY)
		err = ERR_FORMAT;
	if (err == 0)
		err = camp_audience_read(&p->a->list, key.p, buf_span(&p->text), &p->a->findings);
	put_ended(p, err, NULL);
}

static int fill_customer(struct buf *body, const void *message)
{
	return keyproto_audience_put(body, span_str(message));
}

static struct campaign_audience *begin(struct campaign_audiences *t, const char *customer)
{
	struct campaign_audience *a = t->count < CAMPAIGN_AUDIENCE_LISTS ? calloc(1, sizeof(*a)) : NULL;
	uint8_t id[ID];

	if (!a)
		return NULL;
	rand_bytes(id, sizeof(id));
	hex_encode(a->id, id, sizeof(id));
	span_copy_str(a->customer, sizeof(a->customer), span_str(customer));
	a->table = t;
	camp_audience_init(&a->list);
	list_push_back(&t->open, &a->link);
	t->count++;
	return a;
}

static int find(struct campaign_audiences *t, const char *customer, const char *id, struct campaign_audience **out)
{
	list_each(a, &t->open, struct campaign_audience, link)
		if (!strcmp(a->id, id) && !strcmp(a->customer, customer)) {
			*out = a;
			return a->busy ? ERR_BUSY : 0;
		}
	return ERR_NOTFOUND;
}

void campaign_audience_put(struct campaign_audiences *t, const char *customer, const char *id, struct span text,
			   campaign_fn fn, void *arg)
{
	struct putting *p = NULL;
	struct campaign_audience *a = NULL;
	int err = 0;

	if (id[0])
		err = find(t, customer, id, &a);
	else if (!(a = begin(t, customer)))
		err = ERR_BUSY;
	if (err < 0) {
		fn(arg, err, err == ERR_NOTFOUND ? "no such list is on its way: it was waited for too long" : NULL, NULL);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (p)
		buf_init_wiped(&p->text, text.n + 1);
	if (!p || buf_put_span(&p->text, text) < 0) {
		leave(a);
		campaign_audience_drop(a);
		free(p);
		fn(arg, ERR_NOMEM, NULL, NULL);
		return;
	}
	p->a = a;
	p->fn = fn;
	p->arg = arg;
	a->busy = 1;
	err = keyproto_client_ev_call(t->relay->keyd, KEYPROTO_AUDIENCE_KEY, KEYD_WAIT, fill_customer, a->customer,
				      has_key, p);
	if (err < 0)
		put_ended(p, err, NULL);
}

/* --- all of it */

int campaign_audience_take(struct campaign_audiences *t, const char *customer, const char *id,
			   struct campaign_audience **out)
{
	int err = find(t, customer, id, out);

	if (err == 0)
		leave(*out);
	return err;
}

static void *sort(void *arg)
{
	struct campaign_audience *a = arg;

	camp_audience_close(&a->list);
	a->err = camp_json_hash(buf_span(&a->list.hashes), a->hash);
	evt_inbox_post(a->table->relay->inbox, &a->msg.msg);
	return NULL;
}

static void on_home(struct relay_msg *m, void *receiver)
{
	struct campaign_audience *a = (struct campaign_audience *)m;

	(void)receiver;
	pthread_join(a->thread, NULL);
	list_remove(&a->link);
	a->fn(a->arg, a->err);
}

int campaign_audience_close(struct campaign_audience *a, campaign_audience_fn fn, void *arg)
{
	sigset_t all, old;
	int rc;

	a->msg.run = on_home;
	a->fn = fn;
	a->arg = arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&a->thread, NULL, sort, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return ERR_NOMEM;
	list_push_back(&a->table->closing, &a->link);
	return 0;
}

void campaign_audience_free(struct campaign_audiences *t)
{
	if (!t)
		return;
	while (!list_empty(&t->closing)) {
		struct campaign_audience *a = item(list_pop_front(&t->closing));
		pthread_join(a->thread, NULL);
		a->fn(a->arg, ERR_CLOSED);
	}
	while (!list_empty(&t->open))
		campaign_audience_drop(item(list_pop_front(&t->open)));
	free(t);
}

const struct camp_audience *campaign_audience_list(const struct campaign_audience *a)
{
	return &a->list;
}

const uint8_t *campaign_audience_hash(const struct campaign_audience *a)
{
	return a->hash;
}

json_t *campaign_audience_findings(const struct campaign_audience *a)
{
	struct camp_findings more = {0};
	json_t *all = camp_finding_json(&a->findings), *rest;

	if (a->findings.errors > a->findings.n)
		camp_finding_add(&more, CAMP_FINDING_ERROR, "audience-address", "audience", span_of(NULL, 0), 0,
				 "and %zu lines more", a->findings.errors - a->findings.n);
	else if (!a->findings.errors && !camp_audience_count(&a->list))
		camp_finding_add(&more, CAMP_FINDING_ERROR, "audience-empty", "audience", span_of(NULL, 0), 0,
				 "there is no address in the list: nobody would get the campaign");
	rest = camp_finding_json(&more);
	if (json_array_extend(all, rest) < 0) {
		json_decref(all);
		all = NULL;
	}
	json_decref(rest);
	camp_finding_clear(&more);
	return all;
}

/* --- into the store: slices of pieces, sealed as packages are */

static void store_next(struct campaign_audience *a);

static void store_ended(struct campaign_audience *a, int err)
{
	campaign_pack_free(a->pack);
	a->pack = NULL;
	a->fn(a->arg, err);
}

static int write_slice(struct campaign_audience *a)
{
	struct store *s = a->table->relay->store;
	int err = store_begin(s);

	if (err < 0)
		return err;
	err = campaign_pack_store(a->pack);
	if (err == 0)
		err = store_commit(s);
	if (err < 0)
		store_rollback(s);
	return err;
}

static void on_sealed(void *arg, int err)
{
	struct campaign_audience *a = arg;

	if (err == 0)
		err = write_slice(a);
	if (err < 0 || a->at == buf_size(&a->list.hashes))
		store_ended(a, err);
	else
		store_next(a);
}

static void store_next(struct campaign_audience *a)
{
	struct span slice = span_sub(buf_span(&a->list.hashes), a->at, CAMPAIGN_AUDIENCE_SLICE * STORE_CAMPAIGN_PIECE);
	int err = ERR_NOMEM;

	campaign_pack_free(a->pack);
	a->pack = campaign_pack_new(a->table->relay, a->customer, a->number);
	if (a->pack) {
		campaign_pack_begin(a->pack, STORE_CAMPAIGN_LIST + (unsigned)(a->at / STORE_CAMPAIGN_PIECE));
		err = buf_put_span(campaign_pack_plain(a->pack), slice);
	}
	a->at += slice.n;
	if (err == 0)
		err = campaign_pack_seal(a->pack, on_sealed, a);
	if (err < 0)
		store_ended(a, err);
}

void campaign_audience_store(struct campaign_audience *a, int64_t number, campaign_audience_fn fn, void *arg)
{
	a->fn = fn;
	a->arg = arg;
	a->number = number;
	a->at = 0;
	store_next(a);
}

/* --- out of it */

struct reading {
	struct campaign_pack *pack;
	campaign_audience_read_fn fn;
	void *arg;
};

static void on_opened(void *arg, int err)
{
	struct reading *r = arg;

	r->fn(r->arg, err, err < 0 ? span_of(NULL, 0) : buf_span(campaign_pack_plain(r->pack)));
	campaign_pack_free(r->pack);
	free(r);
}

void campaign_audience_read(struct relay *r, const char *customer, int64_t number, int64_t from,
			    campaign_audience_read_fn fn, void *arg)
{
	struct reading *k = calloc(1, sizeof(*k));
	int err;

	if (k)
		k->pack = campaign_pack_new(r, customer, number);
	if (!k || !k->pack) {
		free(k);
		fn(arg, ERR_NOMEM, span_of(NULL, 0));
		return;
	}
	k->fn = fn;
	k->arg = arg;
	if (from < 0 || from % STORE_CAMPAIGN_PIECE || from / STORE_CAMPAIGN_PIECE >= STORE_CAMPAIGN_LIST_PIECES) {
		on_opened(k, ERR_NOTFOUND);
		return;
	}
	campaign_pack_begin(k->pack, STORE_CAMPAIGN_LIST + (unsigned)(from / STORE_CAMPAIGN_PIECE));
	err = campaign_pack_open_some(k->pack, CAMPAIGN_AUDIENCE_SLICE, on_opened, k);
	if (err < 0)
		on_opened(k, err);
}
