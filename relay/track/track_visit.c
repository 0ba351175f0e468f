/* SPDX-License-Identifier: Apache-2.0 */
/* One request to the tracking host: what it gets, and what is noted of it. */
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "relay/track/track_agent.h"
#include "relay/track/track_form.h"
#include "relay/track/track_host_own.h"
#include "relay/track/track_keep.h"

enum method { GET, HEAD, POST, OTHER };

struct track_visit {
	struct track_keys_wait wait; /* first: track_keys gives it back */
	struct track_unsubscribe unsubscribe;
	struct list_link link; /* of host.visits */
	struct track_host *host;
	struct track_conn *conn; /* NULL: it has its answer, or has gone */
	const struct relay_track_host *where;
	const struct relay_conf *conf;
	int64_t at;
	enum method method;
	int path;      /* of track_form_path */
	int robots;    /* /robots.txt */
	int one_click; /* of a POST: track_form_one_click */
	enum seal_track_kind kind;
	struct seal_track_raw raw;
	enum track_agent agent;
	char net[TRACK_NET_TEXT];
};

static enum method method_of(const struct http_request *r)
{
	static const char *const names[] = {"GET", "HEAD", "POST"};
	unsigned i = 0;

	while (i < OTHER && !span_equal(r->method, span_str(names[i])))
		i++;
	return (enum method)i;
}

struct track_visit *track_visit_new(struct track_conn *c, const struct relay_track_host *where,
				    const struct http_request *r, struct span body)
{
	struct track_visit *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->host = c->host;
	v->conn = c;
	v->where = where;
	v->conf = c->site->conf;
	v->at = clock_wall();
	v->method = method_of(r);
	v->path = track_form_path(r, &v->kind, &v->raw);
	v->robots = span_equal(r->path, SPAN_LIT("/robots.txt"));
	v->agent = track_agent_of(http_request_field(r, "user-agent"));
	memcpy(v->net, c->net, sizeof(v->net));
	if (v->method == POST)
		v->one_click = track_form_one_click(http_request_field(r, "content-type"), body);
	list_push_back(&c->host->visits, &v->link);
	c->visit = v;
	return v;
}

static void end(struct track_visit *v)
{
	track_keys_cancel(&v->wait);
	list_remove(&v->link);
	secret_wipe(&v->unsubscribe, sizeof(v->unsubscribe));
	free(v);
}

static void reply(struct track_visit *v, enum track_reply what, const char *location)
{
	struct track_page p = {.reply = what,
			       .head = v->method == HEAD,
			       .form = v->path != ERR_NOTFOUND && v->kind == SEAL_TRACK_UNSUBSCRIBE,
			       .location = location};
	struct track_conn *c = v->conn;

	v->conn = NULL;
	if (c)
		track_conn_reply(c, &p);
}

static void reply_and_end(struct track_visit *v, enum track_reply what)
{
	reply(v, what, NULL);
	end(v);
}

void track_visit_leave(struct track_visit *v)
{
	v->conn = NULL;
}

/* --- the token says */

static void note(const struct track_visit *v, const struct seal_track *t)
{
	struct track_hit hit = {.bot = {.at = v->at,
					.tid = t->message,
					.number = t->number,
					.link = t->link,
					.kind = (uint8_t)v->kind,
					.agent = (uint8_t)v->agent,
					.head = v->method == HEAD},
				.links = track_link_count(v->host->relay, t->number)};

	memcpy(hit.net, v->net, sizeof(hit.net));
	memcpy(hit.customer, v->where->customer, strlen(v->where->customer) + 1);
	hit.bot.net = track_net_number(hit.net);
	track_keep_hit(v->host->track->keep, &hit);
}

static void click(struct track_visit *v, const struct seal_track *t)
{
	char url[TRACK_PAGE_URL_MAX], location[TRACK_PAGE_URL_MAX];
	int err;

	if (t->link == TRACK_LINK_HONEYPOT) {
		note(v, t);
		reply_and_end(v, TRACK_REPLY_NOTHING);
		return;
	}
	err = track_link(v->host->relay, v->where->customer, t->number, t->link, span_of(t->field, t->n), url, sizeof(url));
	if (err == 0)
		err = track_page_location(location, span_str(url));
	if (err < 0) {
		log_event(LOG_LEVEL_WARN, NULL, "tracking-no-destination", "customer=%s number=%u link=%u why=\"%s\"",
			  v->where->customer, (unsigned)t->number, t->link, err_text(err));
		reply_and_end(v, err == ERR_AWAY || err == ERR_NOMEM ? TRACK_REPLY_AWAY : TRACK_REPLY_NOT_FOUND);
		return;
	}
	note(v, t);
	reply(v, TRACK_REPLY_GO, location);
	end(v);
}

static void came_home(struct relay_msg *m, void *host)
{
	struct track_visit *v = list_entry((struct track_unsubscribe *)m, struct track_visit, unsubscribe);
	int err = v->unsubscribe.err;

	(void)host;
	reply_and_end(v, err == 0 ? TRACK_REPLY_DONE : err == ERR_NOTFOUND ? TRACK_REPLY_GONE : TRACK_REPLY_AWAY);
}

/* On control. */
static void unsubscribed(struct track_unsubscribe *u)
{
	struct track_visit *v = list_entry(u, struct track_visit, unsubscribe);

	u->msg.run = came_home;
	evt_inbox_post(v->host->inbox, &u->msg.msg);
}

static void unsubscribe(struct track_visit *v, const struct seal_track *t)
{
	struct track_unsubscribe *u = &v->unsubscribe;

	if (v->method != POST) {
		reply_and_end(v, TRACK_REPLY_CONFIRM);
		return;
	}
	u->tid = t->message;
	u->number = t->number;
	u->agent = (uint8_t)v->agent;
	u->done = unsubscribed;
	memcpy(u->net, v->net, sizeof(u->net));
	memcpy(u->customer, v->where->customer, strlen(v->where->customer) + 1);
	track_unsubscribe_post(v->host->track, u);
}

static enum track_reply reply_of(int err)
{
	switch (err) {
	case ERR_EXPIRED:
	case ERR_GONE:
		return TRACK_REPLY_GONE;
	case ERR_FORMAT:
	case ERR_AUTH:
	case ERR_NOTFOUND:
		return TRACK_REPLY_NOT_FOUND;
	default:
		return TRACK_REPLY_AWAY;
	}
}

static void opened(struct track_visit *v, int err, const uint8_t *key)
{
	const struct seal_track_place place = {span_str(v->where->host), span_str(v->where->customer)};
	struct seal_track t;

	if (err == 0)
		err = seal_track_open(key, &place, &v->raw, seal_track_day(v->at / CLOCK_SEC), &t);
	if (err == 0 && t.kind != v->kind)
		err = ERR_AUTH;
	if (err < 0)
		reply_and_end(v, reply_of(err));
	else if (v->kind == SEAL_TRACK_CLICK)
		click(v, &t);
	else if (v->kind == SEAL_TRACK_UNSUBSCRIBE)
		unsubscribe(v, &t);
	else {
		note(v, &t); /* the picture is there already */
		end(v);
	}
}

static void has_key(struct track_keys_wait *w, int err, const uint8_t *key)
{
	opened((struct track_visit *)w, err, key);
}

static void look(struct track_visit *v)
{
	enum seal_track_kind kind;
	const uint8_t *key = NULL;
	uint32_t epoch;
	int rc = v->path;

	if (rc == 0)
		rc = seal_track_peek(&v->raw, seal_track_day(v->at / CLOCK_SEC), &kind, &epoch);
	if (rc == 0 && kind != v->kind)
		rc = ERR_AUTH;
	if (rc < 0) {
		reply_and_end(v, reply_of(rc));
		return;
	}
	v->wait.fn = has_key;
	rc = track_keys_get(v->host->keys, v->where->customer, epoch, &v->wait, &key);
	if (rc != 0)
		opened(v, rc < 0 ? rc : 0, key);
}

/* --- before a token is looked at */

static int method_fits(const struct track_visit *v)
{
	return v->method == GET || v->method == HEAD ||
	       (v->method == POST && v->path != ERR_NOTFOUND && v->kind == SEAL_TRACK_UNSUBSCRIBE);
}

static int too_many(const struct track_visit *v)
{
	struct track_host *h = v->host;

	return !in_limit_take(h->limit, IN_LIMIT_TRACKING, v->conn->key, v->conf->tracking.rate, clock_mono());
}

void track_visit_run(struct track_visit *v)
{
	int many = too_many(v);

	if (many)
		atomic_fetch_add(&v->host->refused, 1);
	if (!method_fits(v)) {
		reply_and_end(v, TRACK_REPLY_METHOD);
	} else if (v->path != ERR_NOTFOUND && v->kind == SEAL_TRACK_OPEN) {
		/* always, at once, whatever the token: nothing can be learned from the answer */
		reply(v, TRACK_REPLY_PIXEL, NULL);
		if (many || v->path < 0)
			end(v);
		else
			look(v);
	} else if (many) {
		reply_and_end(v, TRACK_REPLY_MANY);
	} else if (v->path == ERR_NOTFOUND) {
		reply_and_end(v, v->robots ? TRACK_REPLY_ROBOTS : TRACK_REPLY_NOT_FOUND);
	} else if (v->method == POST && v->one_click != 1) {
		reply_and_end(v, v->one_click == ERR_UNSUPPORTED ? TRACK_REPLY_TYPE : TRACK_REPLY_BAD);
	} else {
		look(v);
	}
}

/* --- the end */

void track_visit_stop(struct track_host *h)
{
	list_each(v, &h->visits, struct track_visit, link)
		track_keys_cancel(&v->wait);
}

void track_visit_clear(struct track_host *h)
{
	while (!list_empty(&h->visits))
		end(list_entry(list_first(&h->visits), struct track_visit, link));
}
