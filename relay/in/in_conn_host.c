/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_conn_own.h"

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyproto/keyproto_client_ev.h"
#include "relay/bounce/bounce_list.h"
#include "relay/in/in_clients.h"
#include "relay/queue/queue.h"
#include "relay/spool/spool_log.h"
#include "relay/track/track.h"

#define ADD_AGAIN CLOCK_SEC
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
	in_conn_process(c);
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
	in_conn_process(c);
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
	if (err == 0 && c->s.state == IN_STATE_BEGIN) {
		if (c->filter)
			err = in_filter_trace(c->filter, s);
		return err < 0 ? err : in_conn_sign_begin(c);
	}
	if (err == 0)
		in_conn_sign_feed(c, s);
	return err;
}

static void abort_message(void *arg)
{
	struct in_conn *c = arg;

	keys_object_unwait(c->w->keys, &c->wait);
	in_conn_sign_clear(c);
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

void in_conn_answer(struct in_conn *c, int result)
{
	c->committing = NULL;
	in_conn_sign_clear(c);
	in_session_committed(&c->s, c->ticket, result);
	in_conn_process(c);
}

/* The message is ours now, whatever happens: 250 follows as soon as the queue has it. */
static void add(struct in_conn *c, struct spool_fresh *fresh)
{
	int err = queue_add(c->w->relay->queue, c->s.tx.id, c->committing, c->at, fresh);

	if (err == 0) {
		in_conn_answer(c, 0);
		return;
	}
	log_event(LOG_LEVEL_WARN, c->s.tx.name, "queue-add-delayed", "why=\"%s\"", err_text(err));
	if (evt_timer_set(&c->add_again, ADD_AGAIN) < 0)
		in_conn_answer(c, 0); /* stable; found again at the next start */
}

void in_conn_add_again(void *arg)
{
	add(arg, NULL);
}

/* The tracking host hears of it before anybody can click: under the customer whose key made its tokens, who need not be
 * the one that the listener is for. */
static void note_sent(const struct in_conn *c)
{
	const struct spool_envelope *e = c->committing;
	const struct track_sent sent = {.tid = e->tid,
					.number = e->number,
					.customer = c->s.tx.owner,
					.campaign = e->campaign,
					.consent = (unsigned)e->consent,
					.recipient = e->count ? e->recipients[0].address : "",
					.at = e->created};

	if (e->tid)
		track_note_sent(c->w->relay, &sent);
}

static void committed(void *arg, int result, struct spool_place at, struct spool_fresh *fresh)
{
	struct in_conn *c = arg;

	c->at = at;
	if (result == 0)
		note_sent(c);
	if (result == 0)
		add(c, fresh);
	else
		in_conn_answer(c, result);
}

static void taken_in(void *arg, int err)
{
	struct in_conn *c = arg;

	c->intake = NULL;
	in_conn_answer(c, err);
}

void in_conn_store(struct in_conn *c)
{
	struct spool_writer *sw = c->sw;

	c->sw = NULL;
	spool_writer_commit(sw, c->committing, committed, c);
}

static void commit(void *arg, uint64_t ticket, const struct spool_envelope *e)
{
	struct in_conn *c = arg;

	c->ticket = ticket;
	c->committing = e;
	if (c->intake) {
		bounce_intake_finish(c->intake, taken_in, c);
		return;
	}
	in_conn_sign_end(c);
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

/* The session is somebody else's from now on: he is counted, and trusted, as if he had come himself. */
static enum in_reply claim(void *arg, const struct in_claim *who)
{
	struct in_conn *c = arg;
	struct sockaddr_storage before = c->peer;

	if (who->address.ss_family) {
		if (!in_clients_enter(in_limit_client(&who->address),
				      (unsigned)c->conf->limits.sessions_per_client))
			return IN_REPLY_FULL_CLIENT;
		in_conn_meet(c, &who->address);
		in_clients_leave(in_limit_client(&before));
		if (in_conn_make_filter(c) < 0)
			return IN_REPLY_STORE_FAILED;
	}
	log_event(LOG_LEVEL_INFO, c->s.name, "client-claimed", "by=xclient client=%s login=%s", c->s.peer.address,
		  who->login[0] ? "yes" : "no");
	return who->login[0] ? in_login_believe(&c->login, who->login) : IN_REPLY_NONE;
}

void in_conn_told(void *arg)
{
	in_conn_process(arg);
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

const struct in_session_host in_conn_host = {
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
	in_conn_process(c);
}

static void filter_room(void *arg)
{
	in_conn_process(arg);
}

const struct in_filter_host in_conn_filter_host = {filtered, filter_room};

