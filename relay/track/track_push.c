/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_push.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/rand.h"
#include "core/secret.h"
#include "relay/https/https_ask.h"
#include "relay/out/out_worker.h"
#include "relay/track/track_agent.h"

#define TIMEOUT	 (15 * CLOCK_SEC)
#define RESEAL	 (24 * 3600 * CLOCK_SEC)
#define LOOK	 256 /* rows looked at for some that may go now */
#define NOT_NOW	 (5 * CLOCK_SEC)

/* One request under way. */
struct push {
	struct relay_msg msg;
	struct list_link link;
	struct track_keep *keep;
	int64_t id, hook, tries, made;
	struct https_job *job; /* NULL once it is answered */
	long status;
	enum https_fail fail;
	int err;
};

/* --- secrets */

static int field(struct track_keep *k, uint16_t op, int64_t hook, const char *customer, const char *column,
		 struct span in, struct buf *out)
{
	struct ledger_keys_item item = {.data = in};
	struct buf aad;
	int err;

	buf_init(&aad, 1024);
	err = store_aad(k->store, &aad, customer, "hook", column, hook);
	item.aad = buf_span(&aad);
	if (err == 0)
		err = k->keys->fields(k->keys, op, customer, 0, &item, 1, out);
	buf_clear(&aad);
	return err < 0 ? err : item.err;
}

int track_push_keep_secrets(struct track_keep *k, int64_t hook, const char *customer,
			    const uint8_t secret[TRACK_HOOK_SECRET], const uint8_t *second, int64_t second_until)
{
	struct buf one, two;
	int err;

	buf_init(&one, 1024);
	buf_init(&two, 1024);
	err = field(k, KEYPROTO_SEAL_FIELDS, hook, customer, "secret", span_of(secret, TRACK_HOOK_SECRET), &one);
	if (err == 0 && second)
		err = field(k, KEYPROTO_SEAL_FIELDS, hook, customer, "second", span_of(second, TRACK_HOOK_SECRET), &two);
	if (err == 0)
		err = track_db_hook_secrets(k->store, hook, buf_span(&one), buf_span(&two), second ? second_until : 0,
					    clock_wall());
	buf_clear(&one);
	buf_clear(&two);
	return err;
}

struct sealed {
	struct track_push_secrets *out;
	struct buf one, two;
};

static int copy_sealed(void *arg, const struct track_db_hook *h)
{
	struct sealed *s = arg;

	snprintf(s->out->customer, sizeof(s->out->customer), "%s", h->customer);
	s->out->second_until = h->second_until;
	buf_put_span(&s->one, h->secret);
	if (h->second_until > clock_wall())
		buf_put_span(&s->two, h->second);
	return 1;
}

static int open_one(struct track_keep *k, int64_t hook, const char *customer, const char *column, struct span sealed,
		    uint8_t out[TRACK_HOOK_SECRET])
{
	struct buf plain;
	int err;

	buf_init_wiped(&plain, 1024);
	err = field(k, KEYPROTO_OPEN_FIELDS, hook, customer, column, sealed, &plain);
	if (err == 0 && buf_size(&plain) != TRACK_HOOK_SECRET)
		err = ERR_DAMAGED;
	if (err == 0)
		memcpy(out, buf_ptr(&plain), TRACK_HOOK_SECRET);
	buf_clear(&plain);
	return err;
}

int track_push_secrets(struct track_keep *k, int64_t hook, struct track_push_secrets *out)
{
	struct sealed s = {.out = out};
	int err;

	memset(out, 0, sizeof(*out));
	buf_init(&s.one, 1024);
	buf_init(&s.two, 1024);
	err = track_db_hooks(k->store, hook, NULL, copy_sealed, &s);
	if (err == 0)
		err = ERR_NOTFOUND;
	if (err > 0)
		err = open_one(k, hook, out->customer, "secret", buf_span(&s.one), out->secret);
	if (err == 0 && buf_size(&s.two)) {
		err = open_one(k, hook, out->customer, "second", buf_span(&s.two), out->second);
		out->has_second = err == 0;
	}
	buf_clear(&s.one);
	buf_clear(&s.two);
	return err;
}

struct old {
	int64_t ids[TRACK_PUSH_HOOKS];
	unsigned count;
};

static int note_old(void *arg, const struct track_db_hook *h)
{
	struct old *o = arg;

	if (h->sealed < clock_wall() - RESEAL && o->count < TRACK_PUSH_HOOKS)
		o->ids[o->count++] = h->id;
	return 0;
}

void track_push_reseal(struct track_keep *k)
{
	struct track_push_secrets s;
	struct old *o = calloc(1, sizeof(*o));

	if (o && track_db_hooks(k->store, 0, NULL, note_old, o) == 0)
		for (unsigned i = 0; i < o->count; i++)
			if (track_push_secrets(k, o->ids[i], &s) == 0)
				track_push_keep_secrets(k, o->ids[i], s.customer, s.secret, s.has_second ? s.second : NULL,
							s.second_until);
	secret_wipe(&s, sizeof(s));
	free(o);
}

/* --- putting down what is to be told */

struct wanting {
	struct track_keep *keep;
	unsigned kind;
	int64_t hooks[64];
	unsigned count;
};

static int note_wanting(void *arg, const struct track_db_hook *h)
{
	struct wanting *w = arg;

	if (h->kinds >> w->kind & 1 && w->count < 64)
		w->hooks[w->count++] = h->id;
	return 0;
}

static void put_down(struct track_keep *k, int64_t hook, int64_t event, int revised)
{
	const struct track_db_push p = {.hook = hook, .event = event, .revised = revised, .due = clock_wall(),
					.made = clock_wall()};

	if (track_db_push_count(k->store, hook) >= TRACK_PUSH_WAITING) {
		log_event(LOG_LEVEL_WARN, NULL, "webhook-full", "webhook=%" PRId64, hook);
		return;
	}
	track_db_push_add(k->store, &p);
	k->push_due = 0;
}

void track_push_event(struct track_keep *k, const char *customer, unsigned kind, int64_t event, int revised)
{
	struct wanting w = {.keep = k, .kind = kind};

	if (event && track_db_hooks(k->store, 0, customer, note_wanting, &w) == 0)
		for (unsigned i = 0; i < w.count; i++)
			put_down(k, w.hooks[i], event, revised);
}

/* --- what is told */

struct telling {
	json_t *data;
	uint64_t tid;
	int64_t at;
	uint8_t kind;
	char customer[TRACK_NAME];
};

static json_t *reasons_of(uint32_t reasons)
{
	char text[TRACK_BOT_TEXT], *rest = text, *word;
	json_t *list = json_array();

	track_bot_reasons(text, reasons);
	while ((word = strsep(&rest, ",")) && *word)
		json_array_append_new(list, json_string(word));
	return list;
}

static int tell(void *arg, const struct track_db_event *e)
{
	struct telling *t = arg;
	uint8_t name[16];
	char hex[HEX_SIZE(16)];

	track_keep_name(name, e->tid);
	hex_encode(hex, name, sizeof(name));
	t->tid = e->tid;
	t->at = e->at;
	t->kind = e->kind;
	snprintf(t->customer, sizeof(t->customer), "%s", e->customer);
	t->data = json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:s}", "customer", e->customer, "campaign", e->campaign,
			    "number", (json_int_t)e->number, "message", hex, "class", track_bot_class(e->class), "reasons",
			    reasons_of(e->reasons), "agent", track_agent_name(e->agent));
	if (t->data && e->kind == TRACK_KIND_CLICK)
		json_object_set_new(t->data, "link", json_integer(e->link));
	return 1;
}

static char *text_of(const char *type, int64_t at, json_t *data)
{
	char iso[21];
	json_t *o;
	char *text;

	clock_format_iso(iso, at);
	o = json_pack("{s:s, s:s, s:o}", "type", type, "timestamp", iso, "data", data);
	text = o ? json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
	json_decref(o);
	return text;
}

/* NULL: *err. ERR_NOTFOUND: there is nothing to be told any more. */
static char *body_of(struct track_keep *k, const struct track_db_push *p, int *err)
{
	struct telling t = {.data = NULL};
	char address[320] = "", *text;

	*err = ERR_NOMEM;
	if (!p->event)
		return text_of("webhook.test", p->made, json_object());
	*err = track_db_event_get(k->store, p->event, tell, &t);
	if (*err <= 0 || !t.data) {
		*err = *err == 0 ? ERR_NOTFOUND : *err > 0 ? ERR_NOMEM : *err;
		return NULL;
	}
	*err = track_keep_sent_recipient(k, t.tid, t.customer, address);
	if (*err < 0 && *err != ERR_NOTFOUND) {
		json_decref(t.data);
		return NULL;
	}
	json_object_set_new(t.data, "recipient", address[0] ? json_string(address) : json_null());
	json_object_set_new(t.data, "revised", json_boolean(p->revised));
	secret_wipe(address, sizeof(address));
	*err = ERR_NOMEM;
	text = text_of(track_bot_kind(t.kind), t.at, t.data);
	return text;
}

/* --- sending */

static void came_home(struct relay_msg *m, void *keep);

static void answered(struct relay_msg *m, void *worker)
{
	struct https_job *job = (struct https_job *)m;
	struct push *p = job->arg;

	(void)worker;
	p->err = job->err;
	p->fail = job->fail;
	p->status = job->status;
	p->job = NULL;
	https_job_free(job);
	p->msg.run = came_home;
	track_keep_post(p->keep, &p->msg);
}

static void on_worker(struct relay_msg *m, void *worker)
{
	struct push *p = (struct push *)m;
	struct relay_worker *w = worker;

	https_ask(w, out_worker_dns(w->out), p->job);
}

/* Workers are there as long as control's loop runs. */
static void on_control(struct relay_msg *m, void *relay)
{
	struct relay *r = relay;

	if (!r->worker_count) {
		struct push *p = (struct push *)m;
		p->err = ERR_AWAY;
		m->run = came_home;
		track_keep_post(p->keep, m);
		return;
	}
	m->run = on_worker;
	evt_inbox_post(r->workers[0].inbox, &m->msg);
}

static int sign(struct https_job *job, const struct track_push_secrets *s, const struct track_db_push *p)
{
	char id[TRACK_HOOK_ID], signature[TRACK_HOOK_SIGNATURE];
	int64_t now = clock_wall() / CLOCK_SEC;
	int err;

	snprintf(id, sizeof(id), "msg_%" PRId64 "_%" PRId64, p->hook, p->id);
	err = track_hook_sign(signature, s->secret, s->has_second ? s->second : NULL, id, now, buf_span(&job->body));
	if (err < 0)
		return err;
	snprintf(job->headers[0], sizeof(job->headers[0]), "webhook-id: %s", id);
	snprintf(job->headers[1], sizeof(job->headers[1]), "webhook-timestamp: %" PRId64, now);
	snprintf(job->headers[2], sizeof(job->headers[2]), "webhook-signature: %s", signature);
	return 0;
}

static int copy_url(void *arg, const struct track_db_hook *h)
{
	span_copy_str(arg, TRACK_PUSH_URL + 1, span_str(h->url));
	return 1;
}

static int fill(struct track_keep *k, struct https_job *job, const struct track_db_push *p)
{
	struct track_push_secrets s;
	char url[TRACK_PUSH_URL + 1], *text;
	int err = track_db_hooks(k->store, p->hook, NULL, copy_url, url);

	err = err == 0 ? ERR_NOTFOUND : err > 0 ? https_url_parse(span_str(url), &job->url) : err;
	if (err < 0)
		return err;
	text = body_of(k, p, &err);
	if (!text)
		return err;
	job->body.wipe = 1;
	err = buf_put_str(&job->body, text);
	secret_wipe(text, strlen(text));
	free(text);
	if (err == 0)
		err = track_push_secrets(k, p->hook, &s);
	if (err == 0)
		err = sign(job, &s, p);
	secret_wipe(&s, sizeof(s));
	snprintf(job->type, sizeof(job->type), "application/json");
	job->post = 1;
	job->timeout = TIMEOUT;
	return err;
}

static void send_push(struct track_keep *k, const struct track_db_push *d)
{
	struct push *p = calloc(1, sizeof(*p));
	struct https_job *job = https_job_new(k->relay->https);
	int err = p && job ? fill(k, job, d) : ERR_NOMEM;

	if (err < 0) {
		free(p);
		https_job_free(job);
		if (err == ERR_NOTFOUND || err == ERR_GONE || err == ERR_FORMAT)
			track_db_push_remove(k->store, d->id);
		else
			track_db_push_later(k->store, d->id, clock_wall() + NOT_NOW, d->tries);
		return;
	}
	*p = (struct push){.keep = k, .id = d->id, .hook = d->hook, .tries = d->tries, .made = d->made, .job = job};
	job->arg = p;
	job->msg.run = answered;
	list_push_back(&k->pushing, &p->link);
	k->pushing_count++;
	track_keep_answer(k, &p->msg, on_control);
}

static void failed(struct track_keep *k, const struct push *p)
{
	int64_t wait = track_hook_wait((unsigned)p->tries + 1, rand_u64());
	char why[64];

	if (p->err == 0)
		snprintf(why, sizeof(why), "HTTP status %ld", p->status);
	else
		snprintf(why, sizeof(why), "%s", https_fail_text(p->fail));
	if (wait < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "webhook-gave-up", "webhook=%" PRId64 " tries=%" PRId64 " why=\"%s\"", p->hook,
			  p->tries + 1, why);
		track_db_push_remove(k->store, p->id);
		return;
	}
	log_event(LOG_LEVEL_WARN, NULL, "webhook-failed", "webhook=%" PRId64 " tries=%" PRId64 " why=\"%s\"", p->hook,
		  p->tries + 1, why);
	track_db_push_later(k->store, p->id, clock_wall() + wait, p->tries + 1);
}

static void came_home(struct relay_msg *m, void *keep)
{
	struct push *p = (struct push *)m;
	struct track_keep *k = keep;
	int good = p->err == 0 && p->status >= 200 && p->status < 300;

	if (good)
		track_db_push_remove(k->store, p->id);
	else
		failed(k, p);
	track_db_hook_told(k->store, p->hook, clock_wall(), p->err == 0 ? p->status : 0, good);
	list_remove(&p->link);
	k->pushing_count--;
	k->push_due = 0;
	free(p);
}

/* --- when */

struct due {
	struct track_keep *keep;
	struct track_db_push picked[TRACK_PUSH_OPEN];
	unsigned count;
};

static int pick(void *arg, const struct track_db_push *d)
{
	struct due *all = arg;
	unsigned of_hook = 0;

	list_each(p, &all->keep->pushing, struct push, link)
	{
		if (p->id == d->id)
			return 0;
		of_hook += p->hook == d->hook;
	}
	for (unsigned i = 0; i < all->count; i++)
		of_hook += all->picked[i].hook == d->hook;
	if (of_hook < TRACK_PUSH_HOOK)
		all->picked[all->count++] = *d;
	return all->count + all->keep->pushing_count >= TRACK_PUSH_OPEN;
}

void track_push_due(struct track_keep *k)
{
	struct due due = {.keep = k};
	int64_t now = clock_wall(), next = INT64_MAX;

	if (k->stop || atomic_load(&k->relay->stopping) || k->push_due > now || k->pushing_count >= TRACK_PUSH_OPEN)
		return;
	if (track_db_pushes(k->store, now, LOOK, pick, &due, &next) < 0) {
		k->push_due = now + NOT_NOW;
		return;
	}
	for (unsigned i = 0; i < due.count; i++)
		send_push(k, &due.picked[i]);
	k->push_due = next; /* one that comes home makes it look again */
}

void track_push_clear(struct track_keep *k)
{
	/* their jobs are https_fetch's by now */
	while (!list_empty(&k->pushing)) {
		struct push *p = list_entry(list_first(&k->pushing), struct push, link);
		list_remove(&p->link);
		free(p);
	}
}
