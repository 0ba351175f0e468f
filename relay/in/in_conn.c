/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_conn_own.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_listen.h"
#include "relay/in/in_clients.h"
#include "relay/in/in_proxy.h"
#define IN_MAX	   (64u << 10)
#define UNSENT_MAX (64u << 10) /* replies a client has not read before we stop reading him */
#define UNSENT_LOW (16u << 10)
#define OUT_KEEP   1024 /* memory for replies that a session holds on to */
#define PROXY_WAIT (10 * CLOCK_SEC)

struct in_conn *in_conn_of(struct list_link *link)
{
	return list_entry(link, struct in_conn, link);
}

static void release(struct in_conn *c)
{
	struct relay *r = c->w->relay;

	if (c->counted) {
		in_clients_leave(in_limit_client(&c->peer));
		atomic_fetch_sub_explicit(&r->count.sessions_open, 1, memory_order_relaxed);
	}
	if (list_linked(&c->link))
		list_remove(&c->link);
	in_session_clear(&c->s);
	in_conn_sign_clear(c);
	in_login_clear(&c->login);
	bounce_intake_free(c->intake);
	in_filter_free(c->filter);
	evt_timer_clear(&c->add_again);
	SSL_CTX_free(c->tls);
	relay_conf_unref(c->conf);
	free(c);
}

static void add_up(struct in_conn *c)
{
	struct in_session_count *n = &c->s.count;
	struct relay *r = c->w->relay;

	if (n->accepted) {
		relay_count(r, messages_in, n->accepted);
		relay_count(r, bytes_in, n->bytes);
	}
	if (n->rejected)
		relay_count(r, rejected, n->rejected);
	if (n->tempfailed)
		relay_count(r, tempfailed, n->tempfailed);
	memset(n, 0, sizeof(*n));
}

/* Sends what the engine has said. */
static void flush(struct in_conn *c)
{
	struct buf *out = &c->s.out;

	if (c->conn && buf_size(out) && evt_conn_write(c->conn, buf_ptr(out), buf_size(out)) < 0)
		c->broken = 1;
	buf_reset(out);
	if (c->conn && evt_conn_unsent(c->conn) > UNSENT_MAX) {
		c->unread = 1;
		evt_conn_notify_drained(c->conn, UNSENT_LOW);
	}
}

static void begin_tls(struct in_conn *c)
{
	c->want_tls = 0;
	if (evt_conn_tls_accept(c->conn, c->tls) < 0)
		in_session_lost(&c->s, "tls-failed");
	else
		in_login_want_certificate(evt_conn_ssl(c->conn), c->listen);
}

/* Feeds the engine until it has nothing more to do now. */
static void feed(struct in_conn *c)
{
	for (;;) {
		struct buf *in;
		size_t used;

		flush(c);
		if (c->broken)
			in_session_lost(&c->s, "lost");
		if (c->want_tls && !c->closing)
			begin_tls(c);
		if (!c->conn || c->closing || c->unread || c->broken)
			return;
		in = evt_conn_in(c->conn);
		used = in_session_input(&c->s, buf_span(in));
		if (!used)
			break;
		buf_drain(in, used);
	}
	if (c->eof && !in_session_waits(&c->s) && !c->no_room &&
	    (!c->filter || in_filter_room(c->filter)))
		in_session_lost(&c->s, "eof");
}

/* The engine has said all: the connection ends, and the rest of us when no commit is under way. */
static void end(struct in_conn *c)
{
	if (c->broken)
		evt_conn_close(c->conn);
	else
		evt_conn_finish(c->conn);
	c->conn = NULL;
	if (!c->committing) {
		in_conn_gone_fn gone = c->gone;
		void *arg = c->gone_arg;

		release(c);
		gone(arg);
	}
}

void in_conn_process(struct in_conn *c)
{
	feed(c);
	flush(c);
	add_up(c);
	if (c->s.out.cap > OUT_KEEP)
		buf_trim(&c->s.out);
	if (c->closing) {
		end(c);
	} else if (c->broken && c->conn) {
		evt_conn_close(c->conn); /* a commit is under way: its answer ends us */
		c->conn = NULL;
	}
}

static void handshake_done(struct in_conn *c)
{
	struct evt_conn_tls info;
	struct in_tls tls;

	evt_conn_tls_info(c->conn, &info);
	tls = (struct in_tls){info.version, info.cipher ? info.cipher : "?", info.group, info.bits};
	relay_count(c->w->relay, tls_in, 1);
	in_session_tls_done(&c->s, &tls);
	if (c->listen->client_store)
		in_login_certificate(&c->login, evt_conn_ssl(c->conn));
}

static void broke(struct in_conn *c)
{
	const char *text;
	int err = evt_conn_error(c->conn, &text);

	if (err == ERR_TLS)
		log_event(LOG_LEVEL_INFO, c->s.name, "tls-in-failed", "why=\"%s\"", text);
	c->broken = 1;
	in_session_lost(&c->s, err == ERR_TLS ? "tls-failed" : "lost");
}

static void begin_session(struct in_conn *c);

/* Ends it without a word: who sends no header is no proxy, or does not know that we want one. */
static void proxy_failed(struct in_conn *c, const char *why)
{
	log_event(LOG_LEVEL_WARN, c->s.name, "proxy-refused", "why=\"%s\" proxy=%s", why, c->s.peer.address);
	c->broken = 1;
	in_session_lost(&c->s, "no-proxy-header");
	in_conn_process(c);
}

static void proxy_bytes(struct in_conn *c)
{
	struct buf *in = evt_conn_in(c->conn);
	struct sockaddr_storage client;
	size_t want = 0;
	int n = in_proxy_parse(buf_span(in), &client, &want);

	if (n < 0) {
		proxy_failed(c, err_text(n));
		return;
	}
	if (n == 0) {
		evt_conn_set_in_max(c->conn, want);
		return;
	}
	buf_drain(in, (size_t)n);
	evt_conn_set_in_max(c->conn, IN_MAX);
	c->proxy = 0;
	if (client.ss_family)
		in_conn_meet(c, &client);
	begin_session(c);
}

static void proxy_event(struct in_conn *c, enum evt_conn_event ev)
{
	if (ev == EVT_CONN_DATA)
		proxy_bytes(c);
	else if (ev == EVT_CONN_TIMEOUT)
		proxy_failed(c, "it did not come");
	else if (ev == EVT_CONN_EOF || ev == EVT_CONN_ERROR)
		proxy_failed(c, "closed before it was whole");
}

static void event(void *arg, struct evt_conn *conn, enum evt_conn_event ev)
{
	struct in_conn *c = arg;

	(void)conn;
	if (c->proxy) {
		proxy_event(c, ev);
		return;
	}
	if (ev == EVT_CONN_TLS)
		handshake_done(c);
	else if (ev == EVT_CONN_DRAINED)
		c->unread = 0;
	else if (ev == EVT_CONN_EOF)
		c->eof = 1;
	else if (ev == EVT_CONN_TIMEOUT)
		in_session_timeout(&c->s);
	else if (ev == EVT_CONN_ERROR)
		broke(c);
	in_conn_process(c);
}

static void describe_peer(struct in_conn *c, const struct relay_listen *listen,
			  struct in_peer *peer)
{
	memset(peer, 0, sizeof(*peer));
	evt_listen_format(peer->address, &c->peer);
	peer->trusted =
	    relay_conf_net_match(c->conf->trusted_nets, c->conf->trusted_count, &c->peer);
	peer->mode = listen->mode;
	peer->auth = listen->auth;
	peer->tls_required = listen->tls == RELAY_LISTEN_TLS_REQUIRED;
	peer->xclient = relay_conf_net_match(listen->xclient_nets.all, listen->xclient_nets.count, &c->peer);
	peer->customer = listen->customer;
	peer->filters = listen->filters && c->conf->filters.count > 0;
}

/* From now on the client is who was named. May he say XCLIENT is asked of those who come directly only. */
void in_conn_meet(struct in_conn *c, const struct sockaddr_storage *client)
{
	c->peer = *client;
	describe_peer(c, c->listen, &c->s.peer);
	c->s.peer.xclient = 0;
}

/* One more session, if the limits allow it; else what to say. */
static enum in_reply count_in(struct in_conn *c)
{
	struct relay *r = c->w->relay;
	uint64_t open = atomic_load_explicit(&r->count.sessions_open, memory_order_relaxed);

	relay_count(r, sessions_in, 1);
	if (open >= (uint64_t)c->conf->limits.sessions)
		return IN_REPLY_FULL;
	if (!in_clients_enter(in_limit_client(&c->peer),
			      (unsigned)c->conf->limits.sessions_per_client))
		return IN_REPLY_FULL_CLIENT;
	relay_count(r, sessions_open, 1);
	c->counted = 1;
	return in_login_begin(&c->login);
}

static void start(struct in_conn *c)
{
	enum in_reply refused = c->refused;
	int implicit = c->s.peer.mode == RELAY_SUBMISSIONS;

	if (refused == IN_REPLY_NONE)
		refused = count_in(c);
	if (refused != IN_REPLY_NONE) {
		log_event(LOG_LEVEL_INFO, c->s.name, "session-refused", "reply=%s",
			  in_reply_row(refused)->name);
		if (implicit) /* nothing can be said before a handshake */
			c->broken = 1;
		in_session_refuse(&c->s, refused);
	} else if (implicit && !c->tls) {
		c->broken = 1;
		in_session_lost(&c->s, "no-certificate");
	} else {
		in_session_start(&c->s);
		if (implicit)
			begin_tls(c);
	}
}

int in_conn_make_filter(struct in_conn *c)
{
	in_filter_free(c->filter);
	c->filter = NULL;
	if (!c->s.peer.filters)
		return 0;
	c->filter = in_filter_new(c->w, c->conf, c->listen, &c->peer, &c->s, &c->sw, &in_conn_filter_host, c);
	return c->filter ? 0 : ERR_NOMEM;
}

/* Who the client is, is known. */
static void begin_session(struct in_conn *c)
{
	if (in_conn_make_filter(c) < 0) {
		c->broken = 1;
		in_session_lost(&c->s, "no-memory");
	} else {
		start(c);
	}
	in_conn_process(c);
}

int in_conn_open(struct relay_worker *w, int fd, const struct sockaddr_storage *peer,
		 const struct relay_listen *listen, enum in_reply refused, struct list *all,
		 in_conn_gone_fn gone, void *arg)
{
	struct in_conn *c = calloc(1, sizeof(*c));
	struct in_peer facts;

	if (!c) {
		close(fd);
		return ERR_NOMEM;
	}
	c->w = w;
	c->conf = relay_now(w->relay);
	c->tls = atomic_load(&w->relay->tls_in);
	if (c->tls)
		SSL_CTX_up_ref(c->tls);
	c->peer = *peer;
	c->gone = gone;
	c->gone_arg = arg;
	evt_timer_init(&c->add_again, w->loop, in_conn_add_again, c);
	c->listen = listen;
	c->refused = (uint8_t)refused;
	c->login = (struct in_login){.w = w, .s = &c->s, .conf = c->conf, .peer = &c->peer, .told = in_conn_told, .arg = c};
	describe_peer(c, listen, &facts);
	in_session_init(&c->s, &in_conn_host, c, c->conf, &facts);
	c->proxy = relay_conf_net_match(listen->proxy_nets.all, listen->proxy_nets.count, peer);
	c->conn = evt_conn_accept(w->loop, fd, c->proxy ? IN_PROXY_FIRST : IN_MAX, event, c);
	if (!c->conn) {
		release(c);
		return ERR_NOMEM;
	}
	if (listen->auth != RELAY_AUTH_NO)
		evt_conn_set_secret(c->conn); /* passwords come this way */
	list_push_back(all, &c->link);
	if (c->proxy)
		evt_conn_set_timeout(c->conn, PROXY_WAIT);
	else
		begin_session(c);
	return 0;
}

void in_conn_stop(struct in_conn *c)
{
	in_session_stop(&c->s);
	in_conn_process(c);
}

void in_conn_cut(struct in_conn *c)
{
	c->broken = 1;
	in_session_lost(&c->s, "stopping");
	in_conn_process(c);
}

void in_conn_free(struct in_conn *c)
{
	keys_object_unwait(c->w->keys, &c->wait);
	evt_conn_close(c->conn);
	c->conn = NULL;
	if (c->committing) { /* if it is with us still: its signature is awaited */
		spool_writer_abort(c->sw);
		c->sw = NULL;
	}
	release(c);
}
