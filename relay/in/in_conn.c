/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_conn.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_conn.h"
#include "evt/evt_listen.h"
#include "evt/evt_timer.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/bounce/bounce_intake.h"
#include "relay/bounce/bounce_list.h"
#include "relay/in/in_clients.h"
#include "relay/in/in_filter.h"
#include "relay/in/in_login.h"
#include "relay/in/in_proxy.h"
#include "relay/keys/keys_object.h"
#include "relay/queue/queue.h"
#include "relay/spool/spool_log.h"
#include "relay/spool/spool_message.h"

#define IN_MAX	   (64u << 10)
#define UNSENT_MAX (64u << 10) /* replies a client has not read before we stop reading him */
#define UNSENT_LOW (16u << 10)
#define OUT_KEEP   1024 /* memory for replies that a session holds on to */
#define ADD_AGAIN  CLOCK_SEC
#define PROXY_WAIT (10 * CLOCK_SEC)

struct in_conn {
	struct list_link link;
	struct relay_worker *w;
	struct relay_conf *conf; /* a reference */
	SSL_CTX *tls;		 /* NULL: not offered; a reference */
	struct evt_conn *conn;	 /* NULL: gone, a commit is still under way */
	in_conn_gone_fn gone;
	void *gone_arg;
	struct sockaddr_storage peer;
	struct in_filter *filter; /* NULL: none */
	struct spool_writer *sw; /* message under way */
	struct bounce_intake *intake; /* instead: it is for bounce.domain */
	struct keys_object_wait wait;
	uint64_t ticket; /* of the answer that is awaited */
	const struct spool_envelope *committing;
	struct spool_place at; /* committed, but the queue had no memory */
	struct evt_timer add_again;
	unsigned counted : 1; /* in in_clients and sessions_open */
	unsigned eof : 1, no_room : 1, unread : 1;
	unsigned want_tls : 1, broken : 1, closing : 1;
	unsigned proxy : 1;	/* its PROXY header has not come yet */
	uint8_t refused;	/* enum in_reply: why it may not stay, said instead of a greeting */
	const struct relay_listen *listen; /* of conf, or of the one that was in force when it was opened */
	struct in_login login;
	struct in_session s;
};

static void process(struct in_conn *c);

struct in_conn *in_conn_of(struct list_link *link)
{
	return list_entry(link, struct in_conn, link);
}

/* --- what the engine asks for */

static int keyd_err(const struct in_conn *c)
{
	switch (keyproto_client_ev_state(c->w->keyd)) {
	case KEYPROTO_READY:
		return 0;
	case KEYPROTO_EMPTY:
	case KEYPROTO_LOCKED:
		return ERR_LOCKED;
	default:
		return ERR_AWAY;
	}
}

static int ready(void *arg)
{
	struct in_conn *c = arg;
	int err = spool_log_ready(c->w->relay->spool);

	return err < 0 ? err : keyd_err(c);
}

static void key_came(void *arg, int err);

/* A key that is not at hand is worth waiting for: it is on its way from keyd. */
static int take_key(struct in_conn *c, uint64_t *id)
{
	const char *customer = c->s.peer.customer;
	int err = spool_writer_begin(c->w, customer, &c->sw, id);

	if (err != ERR_BUSY)
		return err;
	c->wait.fn = key_came;
	c->wait.arg = c;
	err = keys_object_wait(c->w->keys, customer, &c->wait);
	return err < 0 ? err : IN_SESSION_LATER;
}

static void key_came(void *arg, int err)
{
	struct in_conn *c = arg;
	uint64_t id = 0;

	if (err == 0)
		err = take_key(c, &id);
	if (err == IN_SESSION_LATER)
		return;
	in_session_begun(&c->s, c->ticket, err, id);
	process(c);
}

static int begin(void *arg, uint64_t ticket, uint64_t *id)
{
	struct in_conn *c = arg;

	c->ticket = ticket;
	if (!c->s.tx.intake)
		return take_key(c, id);
	c->intake = bounce_intake_new(c->w, c->s.tx.envelope.recipients[0].address);
	*id = id_new();
	return c->intake ? 0 : ERR_NOMEM;
}

static void room_came(void *arg)
{
	struct in_conn *c = arg;

	c->no_room = 0;
	process(c);
}

static int room(void *arg)
{
	struct in_conn *c = arg;

	if (!c->no_room && c->sw)
		c->no_room = !spool_writer_room(c->sw, room_came, c);
	return !c->no_room && (!c->filter || in_filter_room(c->filter));
}

static int body(void *arg, struct span s)
{
	struct in_conn *c = arg;
	int err;

	if (c->intake)
		return bounce_intake_write(c->intake, s);
	err = spool_writer_write(c->sw, s.p, s.n);
	if (err == 0 && c->filter && c->s.state == IN_STATE_BEGIN)
		err = in_filter_trace(c->filter, s);
	return err;
}

static void abort_message(void *arg)
{
	struct in_conn *c = arg;

	keys_object_unwait(c->w->keys, &c->wait);
	spool_writer_abort(c->sw);
	c->sw = NULL;
	bounce_intake_free(c->intake);
	c->intake = NULL;
	c->no_room = 0;
}

static int tls_ready(void *arg)
{
	struct in_conn *c = arg;
	const char *key = c->conf->tls.key;

	if (!c->tls)
		return ERR_UNSUPPORTED;
	return key && !strncmp(key, "keyd:", 5) ? keyd_err(c) : 0;
}

static void start_tls(void *arg)
{
	struct in_conn *c = arg;

	c->want_tls = 1; /* when the reply is written */
}

static void timer(void *arg, int64_t usec)
{
	struct in_conn *c = arg;

	if (c->conn)
		evt_conn_set_timeout(c->conn, usec);
}

static void close_session(void *arg)
{
	struct in_conn *c = arg;

	c->closing = 1;
}

static void answer_commit(struct in_conn *c, int result)
{
	c->committing = NULL;
	in_session_committed(&c->s, c->ticket, result);
	process(c);
}

/* The message is ours now, whatever happens: 250 follows as soon as the queue has it. */
static void add(struct in_conn *c, struct spool_fresh *fresh)
{
	int err = queue_add(c->w->relay->queue, c->s.tx.id, c->committing, c->at, fresh);

	if (err == 0) {
		answer_commit(c, 0);
		return;
	}
	log_event(LOG_LEVEL_WARN, c->s.tx.name, "queue-add-delayed", "why=\"%s\"", err_text(err));
	if (evt_timer_set(&c->add_again, ADD_AGAIN) < 0)
		answer_commit(c, 0); /* stable; found again at the next start */
}

static void add_again(void *arg)
{
	add(arg, NULL);
}

static void committed(void *arg, int result, struct spool_place at, struct spool_fresh *fresh)
{
	struct in_conn *c = arg;

	c->at = at;
	if (result == 0)
		add(c, fresh);
	else
		answer_commit(c, result);
}

static void taken_in(void *arg, int err)
{
	struct in_conn *c = arg;

	c->intake = NULL;
	answer_commit(c, err);
}

static void commit(void *arg, uint64_t ticket, const struct spool_envelope *e)
{
	struct in_conn *c = arg;
	struct spool_writer *sw = c->sw;

	c->ticket = ticket;
	c->committing = e;
	if (c->intake) {
		bounce_intake_finish(c->intake, taken_in, c);
		return;
	}
	c->sw = NULL;
	spool_writer_commit(sw, e, committed, c);
}

static int auth(void *arg, uint64_t ticket, const char *name, struct span password)
{
	struct in_conn *c = arg;
	int err = keyd_err(c);

	return err < 0 ? err : in_login_check(&c->login, ticket, name, password);
}

static enum in_reply allow(void *arg, int recipient)
{
	struct in_conn *c = arg;

	return in_login_allow(&c->login, recipient);
}

static void meet(struct in_conn *c, const struct sockaddr_storage *client);
static int make_filter(struct in_conn *c);

/* The session is somebody else's from now on: he is counted, and trusted, as if he had come himself. */
static enum in_reply claim(void *arg, const struct in_claim *who)
{
	struct in_conn *c = arg;
	struct sockaddr_storage before = c->peer;

	if (who->address.ss_family) {
		if (!in_clients_enter(&who->address, (unsigned)c->conf->limits.sessions_per_client))
			return IN_REPLY_FULL_CLIENT;
		meet(c, &who->address);
		in_clients_leave(&before);
		if (make_filter(c) < 0)
			return IN_REPLY_STORE_FAILED;
	}
	log_event(LOG_LEVEL_INFO, c->s.name, "client-claimed", "by=xclient client=%s login=%s", c->s.peer.address,
		  who->login[0] ? "yes" : "no");
	return who->login[0] ? in_login_believe(&c->login, who->login) : IN_REPLY_NONE;
}

static void told(void *arg)
{
	process(arg);
}

static int suppressed(void *arg, const char *customer, const char *address)
{
	struct in_conn *c = arg;

	return bounce_list_check(c->w->relay->suppressed, customer, span_str(address));
}

static int ask(void *arg, enum in_ask what, uint64_t ticket, struct span params)
{
	struct in_conn *c = arg;

	return in_filter_ask(c->filter, what, ticket, params);
}

static int show(void *arg, struct span s)
{
	struct in_conn *c = arg;

	return in_filter_show(c->filter, s);
}

static void forget(void *arg)
{
	struct in_conn *c = arg;

	in_filter_forget(c->filter);
}

static const struct in_session_host host = {
    .ready = ready,
    .begin = begin,
    .room = room,
    .body = body,
    .commit = commit,
    .abort = abort_message,
    .tls_ready = tls_ready,
    .start_tls = start_tls,
    .timer = timer,
    .close = close_session,
    .suppressed = suppressed,
    .auth = auth,
    .allow = allow,
    .claim = claim,
    .ask = ask,
    .show = show,
    .forget = forget,
};

/* --- what filters answer */

static void filtered(void *arg, uint64_t ticket, const struct in_verdict *v)
{
	struct in_conn *c = arg;

	in_session_filtered(&c->s, ticket, v);
	process(c);
}

static void filter_room(void *arg)
{
	process(arg);
}

static const struct in_filter_host filter_host = {filtered, filter_room};

/* --- the connection */

static void release(struct in_conn *c)
{
	struct relay *r = c->w->relay;

	if (c->counted) {
		in_clients_leave(&c->peer);
		atomic_fetch_sub_explicit(&r->count.sessions_open, 1, memory_order_relaxed);
	}
	if (list_linked(&c->link))
		list_remove(&c->link);
	in_session_clear(&c->s);
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

static void process(struct in_conn *c)
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
	process(c);
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
		meet(c, &client);
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
	process(c);
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
static void meet(struct in_conn *c, const struct sockaddr_storage *client)
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
	if (!in_clients_enter(&c->peer, (unsigned)c->conf->limits.sessions_per_client))
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

static int make_filter(struct in_conn *c)
{
	in_filter_free(c->filter);
	c->filter = NULL;
	if (!c->s.peer.filters)
		return 0;
	c->filter = in_filter_new(c->w, c->conf, c->listen, &c->peer, &c->s, &c->sw, &filter_host, c);
	return c->filter ? 0 : ERR_NOMEM;
}

/* Who the client is, is known. */
static void begin_session(struct in_conn *c)
{
	if (make_filter(c) < 0) {
		c->broken = 1;
		in_session_lost(&c->s, "no-memory");
	} else {
		start(c);
	}
	process(c);
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
	evt_timer_init(&c->add_again, w->loop, add_again, c);
	c->listen = listen;
	c->refused = (uint8_t)refused;
	c->login = (struct in_login){.w = w, .s = &c->s, .conf = c->conf, .peer = &c->peer, .told = told, .arg = c};
	describe_peer(c, listen, &facts);
	in_session_init(&c->s, &host, c, c->conf, &facts);
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
	process(c);
}

void in_conn_cut(struct in_conn *c)
{
	c->broken = 1;
	in_session_lost(&c->s, "stopping");
	process(c);
}

void in_conn_free(struct in_conn *c)
{
	keys_object_unwait(c->w->keys, &c->wait);
	evt_conn_close(c->conn);
	c->conn = NULL;
	release(c);
}
