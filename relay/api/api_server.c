/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/api/api_server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/list.h"
#include "core/log.h"
#include "evt/evt_conn.h"
#include "evt/evt_listen.h"
#include "relay/api/api_call.h"
#include "sys/sys_peer.h"
#include "sys/sys_priv.h"

#define CONNS_MAX 64
#define IDLE (60 * CLOCK_SEC)

struct api_server {
	struct relay *relay;
	struct evt_listen *listen;
	struct list conns;
	unsigned conn_count;
};

struct api_conn {
	struct list_link link;
	struct api_server *server;
	struct evt_conn *conn;
	struct api_call *call; /* being answered: nothing more is read until it is */
	int close;
	enum { NOTHING, MILTER, ALL } may; /* what the peer's user may use; of the rest every request gets 403 */
	unsigned uid;
};

static void drop(struct api_conn *ac)
{
	if (ac->call)
		ac->call->conn = NULL;
	evt_conn_close(ac->conn);
	list_remove(&ac->link);
	ac->server->conn_count--;
	free(ac);
}

static void send_answer(struct api_conn *ac, int status, const char *type, const char *text, size_t n)
{
	struct buf head;

	buf_init(&head, 1024);
	http_request_put_response(&head, status, type, n, ac->close);
	evt_conn_write(ac->conn, buf_ptr(&head), buf_size(&head));
	buf_clear(&head);
	evt_conn_write(ac->conn, text, n);
	if (ac->close) {
		evt_conn_finish(ac->conn);
		ac->conn = NULL;
		drop(ac);
	} else {
		evt_conn_set_timeout(ac->conn, IDLE);
		evt_conn_again(ac->conn);
	}
}

static void answer(struct api_call *c, int status, const char *type, json_t *body)
{
	struct api_conn *ac = c->conn;
	char *text = ac ? json_dumps(body, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;

	json_decref(body);
	json_decref(c->body);
	free(c);
	if (!ac)
		return;
	ac->call = NULL;
	if (text)
		send_answer(ac, status, type, text, strlen(text));
	else
		drop(ac);
	free(text);
}

void api_call_reply(struct api_call *c, int status, json_t *body)
{
	answer(c, status, "application/json", body);
}

void api_call_problem(struct api_call *c, int status, const char *detail)
{
	if (c->conn && status >= 400 && status < 500)
		c->conn->close = 1; /* whoever sends nonsense is not listened to further */
	answer(c, status, "application/problem+json",
	       json_pack("{s:s, s:i, s:s}", "type", "about:blank", "status", status, "detail", detail));
}

void api_call_failed(struct api_call *c, int err)
{
	if (err == ERR_NOTFOUND)
		api_call_problem(c, 404, "no such message in the queue");
	else if (err == ERR_AWAY || err == ERR_LOCKED || err == ERR_TIMEOUT)
		api_call_problem(c, 503, "keyd is away or locked: sealed data cannot be read now");
	else
		api_call_problem(c, 500, err_text(err));
}

static void refuse_route(struct api_call *c, int err)
{
	if (err == ERR_DENIED)
		api_call_problem(c, 403, "your user may not use this of relay's local API: see api.users and api.milter");
	else if (err == ERR_LIMIT)
		api_call_problem(c, 413, "a body that is too large, or where none is expected");
	else if (err == ERR_FORMAT)
		api_call_problem(c, 400, "malformed message id, name, query or JSON");
	else if (err == ERR_UNSUPPORTED)
		api_call_problem(c, 405, "this path does not take that method");
	else
		api_call_problem(c, 404, "no such path");
}

/* 1 if more of the body has to come first. */
static int body_pending(const struct api_conn *ac, const struct http_request *r, int head)
{
	return head > 0 && ac->may != NOTHING && r->content_length <= api_route_body_max(r) &&
	       buf_size(evt_conn_in(ac->conn)) < (size_t)head + r->content_length;
}

static int read_body(struct api_call *c, const struct api_route *row, struct span text)
{
	if (!text.n)
		return 0;
	if (strcmp(row->method, "POST") && strcmp(row->method, "PUT"))
		return ERR_LIMIT;
	c->body = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	return json_is_object(c->body) ? 0 : ERR_FORMAT;
}

static void on_data(struct api_conn *ac)
{
	struct buf *in = evt_conn_in(ac->conn);
	const struct api_route *row = NULL;
	struct http_request r;
	struct api_call *c;
	int n, rc;

	if (ac->call) /* one at a time; the next request waits in the buffer */
		return;
	n = http_request_parse(buf_span(in), &r);
	if (n == 0 || body_pending(ac, &r, n))
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		drop(ac);
		return;
	}
	c->relay = ac->server->relay;
	c->conn = ac;
	c->uid = ac->uid;
	ac->call = c;
	if (n < 0) {
		api_call_problem(c, n == ERR_LIMIT ? 431 : n == ERR_UNSUPPORTED ? 501 : 400,
				 "malformed HTTP request");
		return;
	}
	evt_conn_set_timeout(ac->conn, 0);
	ac->close |= r.close;
	rc = ac->may == NOTHING				  ? ERR_DENIED
	     : r.content_length > api_route_body_max(&r) ? ERR_LIMIT
							  : api_route_find(&r, c, &row);
	if (ac->may == MILTER && (rc < 0 || !api_route_is_milters(row)))
		rc = ERR_DENIED;
	if (rc == 0)
		rc = read_body(c, row, span_sub(buf_span(in), (size_t)n, r.content_length));
	if (rc == 0)
		n += (int)r.content_length;
	buf_drain(in, (size_t)n); /* r must not be looked at from here on */
	if (rc < 0)
		refuse_route(c, rc);
	else
		row->run(c);
}

static void on_event(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	(void)c;
	if (ev == EVT_CONN_DATA)
		on_data(arg);
	else if (ev != EVT_CONN_DRAINED)
		drop(arg);
}

/* All: root, our own uid, and those of api.users. What milter asks: the user of api.milter. */
static int may_use(struct relay *r, int fd, unsigned *peer)
{
	struct relay_conf *conf = relay_now(r);
	char **users = conf->api.users.items;
	uid_t uid, wanted;
	gid_t gid;
	int yes = 0, may = NOTHING;

	if (sys_peer_uid(fd, &uid, &gid) == 0) {
		yes = uid == 0 || uid == geteuid();
		for (size_t i = 0; i < conf->api.users.count && !yes; i++)
			yes = sys_priv_uid(users[i], &wanted) == 0 && wanted == uid;
		*peer = uid;
		may = yes ? ALL
		      : sys_priv_uid(conf->api.milter, &wanted) == 0 && wanted == uid ? MILTER
										   : NOTHING;
		if (may == NOTHING)
			log_event(LOG_LEVEL_WARN, NULL, "api-denied", "uid=%u", (unsigned)uid);
	}
	relay_conf_unref(conf);
	return may;
}

static void on_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
	struct api_server *a = arg;
	struct api_conn *ac;

	(void)peer;
	ac = a->conn_count < CONNS_MAX ? calloc(1, sizeof(*ac)) : NULL;
	if (!ac) {
		close(fd);
		return;
	}
	ac->server = a;
	ac->may = (unsigned)may_use(a->relay, fd, &ac->uid);
	ac->conn = evt_conn_accept(a->relay->loop, fd, 2 * HTTP_HEAD_MAX + API_SOURCE_MAX, on_event, ac);
	if (!ac->conn) {
		free(ac);
		return;
	}
	evt_conn_set_secret(ac->conn); /* passwords of credentials come this way */
	list_push_back(&a->conns, &ac->link);
	a->conn_count++;
	evt_conn_set_timeout(ac->conn, IDLE);
}

struct api_server *api_server_new(struct relay *r, int *err)
{
	struct api_server *a = calloc(1, sizeof(*a));
	struct relay_conf *conf;

	*err = ERR_NOMEM;
	if (!a)
		return NULL;
	a->relay = r;
	list_init(&a->conns);
	conf = relay_now(r);
	/* anyone may connect, the peer's uid decides: a clear refusal beats "permission denied" from the kernel */
	a->listen = evt_listen_unix(r->loop, conf->api.socket, 0666, on_accept, a, err);
	relay_conf_unref(conf);
	if (!a->listen) {
		free(a);
		return NULL;
	}
	return a;
}

void api_server_free(struct api_server *a)
{
	if (!a)
		return;
	evt_listen_close(a->listen);
	while (!list_empty(&a->conns))
		drop(list_entry(list_first(&a->conns), struct api_conn, link));
	free(a);
}
