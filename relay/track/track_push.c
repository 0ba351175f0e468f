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
#include "relay/track/track_keep_own.h"
#include "relay/track/track_push_secret.h"

#define NOT_NOW (5 * CLOCK_SEC)
#define GONE	410

/* One request under way. */
struct push {
	struct relay_msg msg;
	struct list_link link;
	struct track_keep *keep;
	struct track_db_push row;
	struct https_job *job; /* NULL once it is answered */
	long status;
	int64_t retry_after;
	enum https_fail fail;
	int err;
};

/* --- putting down what is to be told */

struct wanting {
	unsigned kind, count;
	struct {
		int64_t id;
		int full;
	} hooks[TRACK_PUSH_CUSTOMER];
};

static int note_wanting(void *arg, const struct track_db_hook *h)
{
	struct wanting *w = arg;

	if (h->kinds >> w->kind & 1 && !h->ended && w->count < TRACK_PUSH_CUSTOMER) {
		w->hooks[w->count].id = h->id;
		w->hooks[w->count++].full = h->waiting >= TRACK_PUSH_WAITING;
	}
	return 0;
}

/* Said of the first, the second, the fourth... */
static void lose(struct track_keep *k, int64_t hook)
{
	int64_t lost = track_db_hook_lost(k->store, hook);

	if (lost > 0 && (lost & (lost - 1)) == 0)
		log_event(LOG_LEVEL_WARN, NULL, "webhook-full", "webhook=%" PRId64 " lost=%" PRId64, hook, lost);
}

static void put_down(struct track_keep *k, int64_t hook, int64_t event, int revised)
{
	const struct track_db_push p = {.hook = hook, .event = event, .revised = revised, .due = clock_wall(),
					.made = clock_wall()};

	track_db_push_add(k->store, &p);
	k->push_due = 0;
}

void track_push_event(struct track_keep *k, const char *customer, unsigned kind, int64_t event, int revised)
{
	struct wanting w = {.kind = kind};

	if (!event || track_db_hooks(k->store, 0, customer, note_wanting, &w) < 0)
		return;
	for (unsigned i = 0; i < w.count; i++)
		if (w.hooks[i].full)
			lose(k, w.hooks[i].id);
		else
			put_down(k, w.hooks[i].id, event, revised);
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
	p->retry_after = job->retry_after;
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

/* The number alone might come again with a copy of track.db that was put back. */
static int sign(struct https_job *job, const struct track_push_secret *s, const struct track_db_push *p)
{
	char id[TRACK_HOOK_ID], signature[TRACK_HOOK_SIGNATURE];
	int64_t now = clock_wall() / CLOCK_SEC;
	int err;

	snprintf(id, sizeof(id), "msg_%" PRIx64 "_%" PRIx64, (uint64_t)p->id, (uint64_t)p->made);
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
	const struct relay_conf *conf = atomic_load(&k->relay->conf); /* one that was replaced lives on until the end */
	struct track_push_secret s;
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
		err = track_push_secret_open(k, p->hook, &s);
	if (err == 0)
		err = sign(job, &s, p);
	secret_wipe(&s, sizeof(s));
	snprintf(job->type, sizeof(job->type), "application/json");
	job->post = 1;
	job->timeout = conf->tracking.webhook_timeout;
	return err;
}

static void failed(struct track_keep *k, const struct track_db_push *p, const char *why)
{
	int64_t wait = track_hook_wait((unsigned)p->tries + 1, rand_u64());

	if (wait < 0 || p->made < clock_wall() - TRACK_PUSH_LIFE) {
		log_event(LOG_LEVEL_ERROR, NULL, "webhook-gave-up", "webhook=%" PRId64 " tries=%" PRId64 " why=\"%s\"", p->hook,
			  p->tries + 1, why);
		track_db_push_remove(k->store, p->id);
		return;
	}
	log_event(LOG_LEVEL_WARN, NULL, "webhook-failed", "webhook=%" PRId64 " tries=%" PRId64 " why=\"%s\"", p->hook,
		  p->tries + 1, why);
	track_db_push_later(k->store, p->id, clock_wall() + wait, p->tries + 1);
}

/* It could not even be asked. */
static void not_sent(struct track_keep *k, const struct track_db_push *d, int err)
{
	if (ledger_keys_later(err)) {
		track_db_push_later(k->store, d->id, clock_wall() + NOT_NOW, d->tries);
	} else if (err == ERR_GONE) {
		track_keep_gone_look(k);
	} else if (err == ERR_NOTFOUND) { /* the event was erased */
		track_db_push_remove(k->store, d->id);
	} else {
		failed(k, d, err_text(err));
		track_db_hook_told(k->store, d->hook, clock_wall(), 0, 0);
	}
}

/* 0, or ERR_*: it was not sent. */
static int send_push(struct track_keep *k, const struct track_db_push *d)
{
	struct push *p = calloc(1, sizeof(*p));
	struct https_job *job = https_job_new(k->relay->https);
	int err = p && job ? fill(k, job, d) : ERR_NOMEM;

	if (err < 0) {
		free(p);
		https_job_free(job);
		not_sent(k, d, err);
		return err;
	}
	*p = (struct push){.keep = k, .row = *d, .job = job};
	job->arg = p;
	job->msg.run = answered;
	list_push_back(&k->pushing, &p->link);
	k->pushing_count++;
	track_keep_answer(k, &p->msg, on_control);
	return 0;
}

/* What an answer means for the row, and for the hook. */
static void judge(struct track_keep *k, const struct push *p)
{
	const struct track_db_push *row = &p->row;
	int good = p->err == 0 && p->status >= 200 && p->status < 300;
	char why[64];

	if (p->err == 0)
		snprintf(why, sizeof(why), "HTTP status %ld", p->status);
	else
		snprintf(why, sizeof(why), "%s", https_fail_text(p->fail));
	if (good) {
		track_db_push_remove(k->store, row->id);
		if (!row->event)
			track_db_hook_revive(k->store, row->hook);
	} else if (p->err == 0 && p->status == GONE) {
		int64_t dropped = track_db_hook_end(k->store, row->hook, clock_wall());
		log_event(LOG_LEVEL_WARN, NULL, "webhook-ended", "webhook=%" PRId64 " dropped=%" PRId64 " why=\"%s\"",
			  row->hook, dropped, why);
	} else {
		failed(k, row, why);
	}
	track_db_hook_told(k->store, row->hook, clock_wall(), p->err == 0 ? p->status : 0, good);
	if (p->err == 0 && track_hook_quiet(p->status, p->retry_after))
		track_db_hook_quiet(k->store, row->hook, clock_wall() + track_hook_quiet(p->status, p->retry_after));
}

static void came_home(struct relay_msg *m, void *keep)
{
	struct push *p = (struct push *)m;
	struct track_keep *k = keep;

	judge(k, p);
	list_remove(&p->link);
	k->pushing_count--;
	k->push_due = 0;
	free(p);
}

/* --- when */

struct turn {
	struct track_keep *keep;
	int64_t now, next;
	struct track_db_push picked[TRACK_PUSH_OPEN];
	unsigned count, most;
	unsigned room; /* of the hook that is looked at */
	int behind;    /* those behind the one that was told last, or the others */
};

static int under_way(const struct track_keep *k, int64_t id)
{
	list_each(p, &k->pushing, struct push, link)
		if (p->row.id == id)
			return 1;
	return 0;
}

static int pick(void *arg, const struct track_db_push *d)
{
	struct turn *t = arg;

	if (d->due > t->now) {
		t->next = d->due < t->next ? d->due : t->next;
		return 1;
	}
	if (under_way(t->keep, d->id))
		return 0;
	t->picked[t->count++] = *d;
	return --t->room == 0 || t->count == t->most;
}

static int look_at(void *arg, const struct track_db_hook *h)
{
	struct turn *t = arg;
	unsigned open = 0, most = h->failures ? 1 : TRACK_PUSH_HOOK;
	int rc;

	if (!h->waiting || (h->id > t->keep->push_turn) != t->behind)
		return 0;
	/* further off than it may be: the clock was set back since */
	if (h->quiet > t->now && h->quiet <= t->now + TRACK_HOOK_QUIET) {
		t->next = h->quiet < t->next ? h->quiet : t->next;
		return 0;
	}
	list_each(p, &t->keep->pushing, struct push, link) open += p->row.hook == h->id;
	if (open >= most)
		return 0;
	t->room = most - open;
	/* those under way may be the first of them */
	rc = track_db_pushes(t->keep->store, h->id, 2 * TRACK_PUSH_HOOK, pick, t);
	return rc < 0 ? rc : t->count == t->most;
}

void track_push_due(struct track_keep *k)
{
	struct turn t = {.keep = k, .now = clock_wall(), .next = INT64_MAX, .most = TRACK_PUSH_OPEN - k->pushing_count};
	int64_t soon = t.now + NOT_NOW;
	int rc = 0, unsent = 0;

	if (k->stop || atomic_load(&k->relay->stopping) || k->push_due > t.now || !t.most)
		return;
	for (t.behind = 1; t.behind >= 0 && rc == 0; t.behind--)
		rc = track_db_hooks(k->store, 0, NULL, look_at, &t);
	if (t.count)
		k->push_turn = t.picked[t.count - 1].hook;
	/* one that comes home makes it look again; of those that are not sent one may be due before */
	for (unsigned i = 0; i < t.count; i++)
		unsent |= send_push(k, &t.picked[i]) < 0;
	k->push_due = (rc < 0 || unsent) && soon < t.next ? soon : t.next;
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
