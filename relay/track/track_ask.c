/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "campaign/camp_consent.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/rand.h"
#include "core/secret.h"
#include "relay/track/track_agent.h"
#include "relay/track/track_push.h"
#include "relay/track/track_push_secret.h"

struct track_ask *track_ask_new(enum track_ask_kind kind)
{
	struct track_ask *a = calloc(1, sizeof(*a));

	if (a)
		a->kind = kind;
	return a;
}

void track_ask_free(struct track_ask *a)
{
	if (!a)
		return;
	json_decref(a->answer);
	secret_wipe(a, sizeof(*a));
	free(a);
}

static const char *or_any(const char *s)
{
	return s[0] ? s : NULL;
}

/* --- statistics */

static json_t *member(json_t *o, const char *name, json_t *(*make)(void))
{
	json_t *m = json_object_get(o, name);

	if (!m) {
		m = make();
		json_object_set_new(o, name, m);
	}
	return m;
}

static json_t *classes(void)
{
	json_t *o = json_object();

	for (unsigned c = 0; c < TRACK_CLASS_COUNT; c++)
		json_object_set_new(o, track_bot_class(c), json_integer(0));
	return o;
}

static void add(json_t *o, const char *name, json_int_t n)
{
	json_object_set_new(o, name, json_integer(json_integer_value(json_object_get(o, name)) + n));
}

static json_t *campaign_of(json_t *items, const struct track_db_total *t)
{
	json_t *o = json_array_get(items, json_array_size(items) - 1);

	if (o && !strcmp(json_string_value(json_object_get(o, "customer")), t->customer) &&
	    !strcmp(json_string_value(json_object_get(o, "campaign")), t->campaign))
		return o;
	o = json_pack("{s:s, s:s, s:i, s:i, s:o, s:o, s:i, s:[]}", "customer", t->customer, "campaign", t->campaign, "sent",
		      0, "delivered", 0, "click", classes(), "open", classes(), "unsubscribe", 0, "links");
	json_array_append_new(items, o);
	return o;
}

static json_t *link_of(json_t *links, unsigned link)
{
	json_t *o;
	size_t i;

	json_array_foreach(links, i, o) if (json_integer_value(json_object_get(o, "link")) == link) return o;
	o = classes();
	json_object_set_new(o, "link", json_integer(link));
	json_array_append_new(links, o);
	return o;
}

static int add_total(void *arg, const struct track_db_total *t)
{
	json_t *o = campaign_of(arg, t);

	if (t->what == TRACK_DB_SENT || t->what == TRACK_DB_DELIVERED)
		add(o, t->what == TRACK_DB_SENT ? "sent" : "delivered", t->hits);
	else if (t->what == TRACK_KIND_UNSUBSCRIBE)
		add(o, "unsubscribe", t->hits);
	else if (t->what < TRACK_KIND_COUNT)
		add(member(o, track_bot_kind(t->what), classes), track_bot_class(t->class), t->hits);
	if (t->what == TRACK_KIND_CLICK && t->link != TRACK_LINK_HONEYPOT)
		add(link_of(json_object_get(o, "links"), t->link), track_bot_class(t->class), t->hits);
	return 0;
}

static int stats(struct track_keep *k, struct track_ask *a)
{
	json_t *items = json_array(), *o;
	int err = track_db_totals(k->store, or_any(a->customer), or_any(a->campaign), add_total, items);
	size_t i;

	json_array_foreach(items, i, o)
	{
		json_t *readers = json_object();
		for (unsigned kind = 0; kind < TRACK_KIND_UNSUBSCRIBE; kind++)
			json_object_set_new(readers, track_bot_kind(kind),
					    json_integer(track_db_readers(k->store, json_string_value(json_object_get(o, "customer")),
									  json_string_value(json_object_get(o, "campaign")), kind,
									  TRACK_CLASS_HUMAN)));
		json_object_set_new(o, "readers", readers);
	}
	a->answer = json_pack("{s:o}", "items", items);
	return err;
}

/* --- events */

static json_t *event_json(const struct track_db_event *e)
{
	char hex[HEX_SIZE(16)], reasons[TRACK_BOT_TEXT];
	uint8_t name[16];

	track_keep_name(name, e->tid);
	hex_encode(hex, name, sizeof(name));
	track_bot_reasons(reasons, e->reasons);
	return json_pack("{s:I, s:I, s:s, s:s, s:s, s:s, s:I, s:i, s:s, s:s, s:s, s:s}", "id", (json_int_t)e->id, "at",
			 (json_int_t)e->at, "kind", track_bot_kind(e->kind), "customer", e->customer, "campaign", e->campaign,
			 "message", hex, "number", (json_int_t)e->number, "link", (int)e->link, "class",
			 track_bot_class(e->class), "reasons", reasons, "net", e->net, "agent", track_agent_name(e->agent));
}

static int add_event(void *arg, const struct track_db_event *e)
{
	json_array_append_new(arg, event_json(e));
	return 0;
}

static int events(struct track_keep *k, struct track_ask *a)
{
	json_t *items = json_array();
	unsigned limit = a->limit && a->limit < TRACK_ASK_EVENTS ? a->limit : TRACK_ASK_EVENTS;
	int err = track_db_events(k->store, or_any(a->customer), or_any(a->campaign), 0, a->id, limit, add_event, items);
	const json_t *last = json_array_get(items, json_array_size(items) - 1);
	json_int_t next = json_array_size(items) == limit ? json_integer_value(json_object_get(last, "id")) : 0;

	a->answer = json_pack("{s:o, s:I}", "items", items, "next", next);
	return err;
}

/* --- what is known of one recipient */

struct mail {
	uint64_t *tids;
	size_t count, room;
	json_t *list; /* NULL: only numbers */
};

static int add_mail(void *arg, const struct track_db_sent *m)
{
	struct mail *all = arg;
	uint64_t *more;

	if (all->count == all->room) {
		all->room = all->room ? 2 * all->room : 64;
		more = realloc(all->tids, all->room * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		all->tids = more;
	}
	all->tids[all->count++] = m->tid;
	if (all->list)
		json_array_append_new(all->list,
				      json_pack("{s:s, s:I, s:I, s:I, s:s}", "campaign", m->campaign, "number",
						(json_int_t)m->number, "sent", (json_int_t)m->at, "delivered",
						(json_int_t)m->delivered, "consent", camp_consent_name((enum camp_consent)m->consent)));
	return 0;
}

static void fold(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s |= 0x20;
}

/* The index is by another key for each that the customer had. */
static int find_mail(struct track_keep *k, struct track_ask *a, struct mail *all)
{
	uint32_t keyrefs[TRACK_KEEP_KEYREFS];
	uint8_t who[TRACK_DB_WHO];
	int n = track_db_keyrefs(k->store, a->customer, keyrefs, TRACK_KEEP_KEYREFS), err = n < 0 ? n : 0;

	fold(a->address);
	for (int i = 0; i < n && err >= 0; i++) {
		err = track_keep_sent_index(k, a->customer, keyrefs[i], a->address, who);
		if (err == ERR_GONE || err == ERR_NOTFOUND) { /* that key was destroyed: nobody finds these rows */
			err = 0;
			continue;
		}
		if (err == 0)
			err = track_db_sent_of(k->store, a->customer, keyrefs[i], span_of(who, sizeof(who)), add_mail, all);
	}
	return err;
}

static int export(struct track_keep *k, struct track_ask *a)
{
	struct mail all = {.list = json_array()};
	int err = find_mail(k, a, &all);

	for (size_t i = 0; i < all.count && err == 0; i++) {
		json_t *events = json_array();
		err = track_db_events(k->store, NULL, NULL, all.tids[i], 0, TRACK_ASK_EVENTS, add_event, events);
		json_object_set_new(json_array_get(all.list, i), "events", events);
	}
	free(all.tids);
	a->answer = json_pack("{s:o}", "messages", all.list);
	return err;
}

static void drop_waiting(struct track_keep *k, const struct track_ask *a, size_t *count)
{
	struct list kept;

	list_init(&kept);
	while (!list_empty(&k->sent)) {
		struct track_keep_message *m = list_entry(list_first(&k->sent), struct track_keep_message, link);
		if (!strcmp(m->customer, a->customer) && !strcmp(m->text + m->folded, a->address)) {
			track_window_forget(k->window, m->tid);
			track_keep_sent_drop(k, m);
			++*count;
		} else {
			list_remove(&m->link);
			list_push_back(&kept, &m->link);
		}
	}
	while (!list_empty(&kept))
		list_push_back(&k->sent, list_pop_front(&kept));
}

static int erase(struct track_keep *k, struct track_ask *a)
{
	struct mail all = {.list = NULL};
	int err = find_mail(k, a, &all);
	size_t n = 0;

	for (; n < all.count && err == 0; n++) {
		err = track_db_sent_erase(k->store, all.tids[n]);
		track_window_forget(k->window, all.tids[n]);
	}
	if (err == 0)
		drop_waiting(k, a, &n);
	free(all.tids);
	k->scrub = 1;
	if (err == 0)
		log_event(LOG_LEVEL_INFO, NULL, "tracking-erased", "customer=%s messages=%zu", a->customer, n);
	a->answer = json_pack("{s:I}", "messages", (json_int_t)n);
	return err;
}

/* --- webhooks */

static int count_one(void *arg, const struct track_db_hook *h)
{
	(void)h;
	++*(unsigned *)arg;
	return 0;
}

static json_t *secret_json(const uint8_t secret[TRACK_HOOK_SECRET])
{
	char text[TRACK_HOOK_TEXT];
	json_t *o;

	track_hook_secret_text(text, secret);
	o = json_string(text);
	secret_wipe(text, sizeof(text));
	return o;
}

static int hook_add(struct track_keep *k, struct track_ask *a)
{
	uint8_t secret[TRACK_HOOK_SECRET];
	struct track_db_hook h = {.customer = a->customer,
				  .url = a->url,
				  .kinds = a->kinds,
				  .secret = SPAN_LIT("?"), /* until it has a row, which its seal is bound to */
				  .sealed = clock_wall(),
				  .created = clock_wall()};
	unsigned all = 0, theirs = 0;
	int err = track_db_hooks(k->store, 0, NULL, count_one, &all);

	if (err == 0)
		err = track_db_hooks(k->store, 0, a->customer, count_one, &theirs);
	if (err < 0 || all >= TRACK_PUSH_HOOKS || theirs >= TRACK_PUSH_CUSTOMER)
		return err < 0 ? err : ERR_LIMIT;
	h.id = track_db_hook_add(k->store, &h);
	if (h.id < 0)
		return (int)h.id;
	rand_bytes(secret, sizeof(secret));
	err = track_push_secret_keep(k, h.id, a->customer, secret, NULL, 0);
	if (err == 0)
		a->answer = json_pack("{s:I, s:o}", "id", (json_int_t)h.id, "secret", secret_json(secret));
	else
		track_db_hook_remove(k->store, h.id);
	secret_wipe(secret, sizeof(secret));
	return err;
}

static int list_one(void *items, const struct track_db_hook *h)
{
	char kinds[TRACK_HOOK_KINDS];

	track_hook_kinds_text(kinds, h->kinds);
	json_array_append_new(
	    items, json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id", (json_int_t)h->id, "customer",
			     h->customer, "url", h->url, "events", kinds, "created", (json_int_t)h->created, "failures",
			     (json_int_t)h->failures, "last", (json_int_t)h->last, "status", (json_int_t)h->status, "rotating",
			     (json_int_t)(h->second_until > clock_wall() ? h->second_until : 0), "waiting",
			     (json_int_t)h->waiting, "lost", (json_int_t)h->lost, "ended", (json_int_t)h->ended, "quiet",
			     (json_int_t)(h->quiet > clock_wall() ? h->quiet : 0)));
	return 0;
}

static int hook_list(struct track_keep *k, struct track_ask *a)
{
	json_t *items = json_array();
	int err = track_db_hooks(k->store, 0, or_any(a->customer), list_one, items);

	a->answer = json_pack("{s:o}", "items", items);
	return err;
}

static int hook_remove(struct track_keep *k, struct track_ask *a)
{
	a->answer = json_object();
	return track_db_hook_remove(k->store, a->id);
}

static int note_waiting(void *arg, const struct track_db_hook *h)
{
	*(int64_t *)arg = h->waiting;
	return 1;
}

static int hook_test(struct track_keep *k, struct track_ask *a)
{
	const struct track_db_push p = {.hook = a->id, .due = clock_wall(), .made = clock_wall()};
	int64_t waiting = 0, id;
	int err = track_db_hooks(k->store, a->id, NULL, note_waiting, &waiting);

	if (err <= 0 || waiting >= TRACK_PUSH_WAITING)
		return err < 0 ? err : err ? ERR_LIMIT : ERR_NOTFOUND;
	id = track_db_push_add(k->store, &p);
	track_db_hook_quiet(k->store, a->id, 0);
	k->push_due = 0;
	a->answer = json_object();
	return id < 0 ? (int)id : 0;
}

static int hook_secret(struct track_keep *k, struct track_ask *a)
{
	uint8_t fresh[TRACK_HOOK_SECRET];
	struct track_push_secret s;
	int64_t until = clock_wall() + TRACK_PUSH_ROTATE;
	int err = track_push_secret_open(k, a->id, &s);

	rand_bytes(fresh, sizeof(fresh));
	if (err == 0)
		err = track_push_secret_keep(k, a->id, s.customer, fresh, s.secret, until);
	if (err == 0)
		a->answer = json_pack("{s:o, s:I}", "secret", secret_json(fresh), "until", (json_int_t)until);
	secret_wipe(&s, sizeof(s));
	secret_wipe(fresh, sizeof(fresh));
	return err;
}

/* --- there and back */

static int (*const works[])(struct track_keep *k, struct track_ask *a) = {[TRACK_ASK_STATS] = stats,
									   [TRACK_ASK_EVENTS_OF] = events,
									   [TRACK_ASK_EXPORT] = export,
									   [TRACK_ASK_ERASE] = erase,
									   [TRACK_ASK_HOOK_ADD] = hook_add,
									   [TRACK_ASK_HOOK_LIST] = hook_list,
									   [TRACK_ASK_HOOK_REMOVE] = hook_remove,
									   [TRACK_ASK_HOOK_TEST] = hook_test,
									   [TRACK_ASK_HOOK_SECRET] = hook_secret};

static void home(struct relay_msg *m, void *relay)
{
	struct track_ask *a = (struct track_ask *)m;

	(void)relay;
	a->told(a);
}

void track_ask_undone(struct relay_msg *m, int err)
{
	if (m->run == home && ((struct track_ask *)m)->err == 0)
		((struct track_ask *)m)->err = err;
}

static void work(struct relay_msg *m, void *keep)
{
	struct track_ask *a = (struct track_ask *)m;
	int err = works[a->kind](keep, a);

	a->err = err < 0 ? err : a->answer ? 0 : ERR_NOMEM;
	track_keep_answer(keep, m, home);
}

void track_ask_post(struct track *t, struct track_ask *a)
{
	a->msg.run = work;
	track_keep_post(t->keep, &a->msg);
}
