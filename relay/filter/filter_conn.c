/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/filter/filter_conn.h"

#include "core/err.h"
#include "milterproto/milterproto_socket.h"
#include "relay/filter/filter_note.h"

#define IN_MAX	   (MILTERPROTO_PACKET_MAX + 8)
#define UNSENT_MAX (256u << 10) /* then the client has to wait for the filter */
#define UNSENT_LOW (64u << 10)

static int run(struct filter_conn *c);

static void tell(struct filter_conn *c, const struct filter_verdict *v)
{
	int session = c->step == FILTER_CONNECT || c->step == FILTER_HELO;

	if (session && v->word == FILTER_REFUSE) {
		c->refused = 1;
		c->verdict = *v;
	}
	if (!c->owing)
		return;
	c->owing = 0;
	c->host->verdict(c->arg, c, v);
}

/* Asks what is still to be asked; if that needs no answer, this is it. */
static void go_on(struct filter_conn *c)
{
	const struct filter_verdict v = {.word = FILTER_GO_ON};

	if (c->owing && !run(c))
		tell(c, &v);
}

static void drop(struct filter_conn *c)
{
	evt_conn_close(c->conn);
	c->conn = NULL;
	c->connected = c->told_connect = c->told_helo = 0;
}

/* It cannot be used any more. why: a word. */
static void fail(struct filter_conn *c, const char *why, int protocol)
{
	const struct filter_verdict v = {.word = FILTER_FAILED, .why = why};

	if (!c->conn && !c->owing)
		return;
	if (c->owing || c->m.transaction) /* else it may close: the next MAIL opens another */
		filter_note_away(c->conf->socket, c->name, why, protocol);
	drop(c);
	tell(c, &v);
}

/* --- the engine's host */

static void on_ready(void *arg)
{
	struct filter_conn *c = arg;

	filter_note_back(c->conf->socket, c->name);
	go_on(c);
}

static void on_verdict(void *arg, const struct filter_verdict *v)
{
	struct filter_conn *c = arg;

	if (v->word == FILTER_FAILED)
		return; /* settle sees the engine broken, and says so once */
	if (v->why)
		filter_note_away(c->conf->socket, c->name, v->why, 1);
	if (c->owing && c->step != c->want && v->word == FILTER_GO_ON)
		go_on(c);
	else
		tell(c, v);
}

static int on_change(void *arg, const struct milterproto_reply *r)
{
	struct filter_conn *c = arg;

	return c->host->change(c->arg, c, r);
}

static void on_room(void *arg)
{
	struct filter_conn *c = arg;

	c->host->room(c->arg, c);
}

static void on_timer(void *arg, int64_t usec)
{
	struct filter_conn *c = arg;

	if (c->conn)
		evt_conn_set_timeout(c->conn, usec);
}

static const struct filter_milter_host engine_host = {on_ready, on_verdict, on_change, on_room,
						      on_timer};

/* --- the connection */

static void flush(struct filter_conn *c)
{
	struct buf *out = &c->m.out;

	if (buf_failed(out) ||
	    (c->conn && buf_size(out) && evt_conn_write(c->conn, buf_ptr(out), buf_size(out)) < 0))
		filter_milter_lost(&c->m, "lost");
	buf_reset(out);
	if (!c->m.transaction)
		buf_trim(out);
}

/* After anything that the engine did. */
static void settle(struct filter_conn *c)
{
	flush(c);
	if (c->m.state == FILTER_MILTER_BROKEN && c->conn)
		fail(c, c->m.why,
		     strcmp(c->m.why, "lost") && strcmp(c->m.why, "closed") &&
			 strcmp(c->m.why, "timeout"));
}

static void feed(struct filter_conn *c)
{
	while (c->conn) {
		struct buf *in = evt_conn_in(c->conn);
		size_t used = filter_milter_input(&c->m, buf_span(in));

		if (!c->conn || !used)
			break;
		buf_drain(evt_conn_in(c->conn), used);
	}
}

static void event(void *arg, struct evt_conn *conn, enum evt_conn_event ev)
{
	struct filter_conn *c = arg;

	(void)conn;
	if (ev == EVT_CONN_CONNECTED) {
		c->connected = 1;
		filter_milter_connected(&c->m);
	} else if (ev == EVT_CONN_DATA) {
		feed(c);
	} else if (ev == EVT_CONN_DRAINED) {
		c->host->room(c->arg, c);
	} else if (!c->connected) {
		fail(c, ev == EVT_CONN_TIMEOUT ? "connect-timeout" : "connect-failed", 0);
	} else if (ev == EVT_CONN_TIMEOUT) {
		filter_milter_timeout(&c->m);
	} else {
		filter_milter_lost(&c->m, "closed");
	}
	settle(c);
}

static int open_conn(struct filter_conn *c)
{
	struct milterproto_socket where;
	int err = milterproto_socket_parse(c->conf->socket, &where);

	if (err < 0)
		return err;
	filter_milter_clear(&c->m);
	filter_milter_init(&c->m, &engine_host, c, c->conf, c->fact);
	c->connected = 0;
	if (where.path[0])
		c->conn = evt_conn_connect_unix(c->loop, where.path, IN_MAX, event, c, &err);
	else
		c->conn = evt_conn_connect(c->loop, &where.address, NULL, IN_MAX, event, c, &err);
	if (!c->conn)
		return err;
	evt_conn_set_secret(c->conn);
	evt_conn_set_timeout(c->conn, c->conf->connect);
	return 0;
}

/* The next thing to ask on the way to what is wanted. */
static enum filter_ask next_step(const struct filter_conn *c)
{
	if (!c->told_connect)
		return FILTER_CONNECT;
	if (!c->told_helo && c->want > FILTER_HELO && c->fact->helo)
		return FILTER_HELO;
	return c->want;
}

/* Asks what comes before what is wanted, and that, as far as it is possible now: 1 if an answer is waited for. */
static int run(struct filter_conn *c)
{
	if (c->m.state < FILTER_MILTER_IDLE)
		return 1;
	for (;;) {
		c->step = next_step(c);
		c->told_connect |= c->step == FILTER_CONNECT;
		c->told_helo |= c->step == FILTER_HELO;
		if (filter_milter_ask(&c->m, c->step))
			return 1;
		if (c->step == c->want)
			return 0;
	}
}

static int failed_now(struct filter_conn *c, const char *why)
{
	c->verdict = (struct filter_verdict){.word = FILTER_FAILED, .why = why};
	return FILTER_CONN_NOW;
}

static int ask_afresh(struct filter_conn *c, enum filter_ask what)
{
	if (what == FILTER_HELO)
		return FILTER_CONN_GO_ON; /* it will be told before MAIL */
	if (what != FILTER_CONNECT && what != FILTER_MAIL)
		return failed_now(c, "away");
	c->want = c->step = what;
	if (open_conn(c) < 0) {
		filter_note_away(c->conf->socket, c->name, "connect-failed", 0);
		return failed_now(c, "connect-failed");
	}
	c->owing = 1;
	return FILTER_CONN_LATER;
}

int filter_conn_ask(struct filter_conn *c, enum filter_ask what)
{
	int waits;

	if (c->refused)
		return FILTER_CONN_NOW;
	if (c->m.over)
		return FILTER_CONN_GO_ON;
	if (!c->conn)
		return ask_afresh(c, what);
	c->want = what;
	c->owing = run(c);
	waits = c->owing;
	settle(c);
	return waits ? FILTER_CONN_LATER : FILTER_CONN_GO_ON;
}

int filter_conn_message(struct filter_conn *c, const struct filter_head *head)
{
	if (!c->conn || !filter_milter_message(&c->m, head))
		return 0;
	c->want = c->step = FILTER_MESSAGE;
	c->owing = 1;
	settle(c);
	return 1;
}

size_t filter_conn_body(struct filter_conn *c, struct span s)
{
	size_t taken = 0, n = 1;

	while (taken < s.n && n && c->conn) {
		if (evt_conn_unsent(c->conn) > UNSENT_MAX) {
			evt_conn_notify_drained(c->conn, UNSENT_LOW);
			return taken;
		}
		n = filter_milter_body(&c->m, span_sub(s, taken, s.n));
		taken += n;
		settle(c);
	}
	return c->conn ? taken : s.n;
}

void filter_conn_end(struct filter_conn *c)
{
	filter_milter_end(&c->m);
	settle(c);
}

void filter_conn_abort(struct filter_conn *c)
{
	c->owing = 0;
	if (!c->conn)
		return;
	filter_milter_abort(&c->m);
	flush(c);
	if (c->m.state == FILTER_MILTER_BROKEN)
		drop(c);
}

void filter_conn_again(struct filter_conn *c)
{
	feed(c);
	settle(c);
}

void filter_conn_init(struct filter_conn *c, struct evt_loop *loop,
		      const struct filter_conn_host *host, void *arg,
		      const struct relay_filter *conf, const struct filter_fact *fact,
		      const char *name)
{
	memset(c, 0, sizeof(*c));
	c->loop = loop;
	c->host = host;
	c->arg = arg;
	c->conf = conf;
	c->fact = fact;
	c->name = name;
	filter_milter_init(&c->m, &engine_host, c, conf, fact);
}

void filter_conn_clear(struct filter_conn *c)
{
	c->owing = 0;
	if (c->conn && c->connected) {
		filter_milter_quit(&c->m);
		flush(c);
		evt_conn_finish(c->conn);
		c->conn = NULL;
	} else if (c->conn) {
		drop(c);
	}
	filter_milter_clear(&c->m);
}
