/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/in_fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

static int ready(void *arg)
{
	struct in_fake *f = arg;

	if (f->disk < 0)
		return f->disk;
	return f->keys == ERR_AWAY || f->keys == ERR_LOCKED ? f->keys : 0;
}

static int begin(void *arg, uint64_t ticket, uint64_t *id)
{
	struct in_fake *f = arg;

	log_assert(!f->open);
	f->begin_ticket = ticket;
	if (f->later) {
		f->open = 1;
		return IN_SESSION_LATER;
	}
	if (f->keys < 0)
		return f->keys;
	f->open = 1;
	f->begun++;
	buf_reset(&f->body);
	*id = f->next_id++;
	return 0;
}

static int room(void *arg)
{
	struct in_fake *f = arg;

	return !f->no_room;
}

static int body(void *arg, struct span s)
{
	struct in_fake *f = arg;

	log_assert(f->open && !f->pending);
	if (f->body_err < 0)
		return f->body_err;
	return buf_put_span(&f->body, s);
}

static void remember(struct in_fake *f, const struct spool_envelope *e)
{
	log_assert(e->count > 0 && e->count <= IN_FAKE_RECIPIENTS);
	snprintf(f->sender, sizeof(f->sender), "%s", e->sender);
	snprintf(f->client, sizeof(f->client), "%s", e->client);
	snprintf(f->tls_text, sizeof(f->tls_text), "%s", e->tls);
	for (unsigned i = 0; i < e->count; i++)
		snprintf(f->recipients[i], sizeof(f->recipients[i]), "%s",
			 e->recipients[i].address);
	f->recipient_count = e->count;
	snprintf(f->dsn, sizeof(f->dsn), "%s", e->envid && *e->envid ? e->envid : "-");
	for (unsigned i = 0; i < e->count && i < 8; i++) {
		size_t n = strlen(f->dsn);
		snprintf(f->dsn + n, sizeof(f->dsn) - n, " %u:%s", e->recipients[i].notify,
			 e->recipients[i].orcpt && *e->recipients[i].orcpt ? e->recipients[i].orcpt : "-");
	}
	snprintf(f->mark, sizeof(f->mark), "%s %llu %u %d", e->campaign && *e->campaign ? e->campaign : "-",
		 (unsigned long long)e->tid, e->number, e->consent);
	snprintf(f->owner, sizeof(f->owner), "%s", f->s.tx.owner);
	f->flags = e->flags;
	f->size = e->size;
	log_assert(e->size == buf_size(&f->body));
	log_assert(!strcmp(e->customer, f->s.login ? "acme" : "default"));
	log_assert(!f->s.login || !strcmp(e->credential, "app1"));
}

static void commit(void *arg, uint64_t ticket, const struct spool_envelope *e)
{
	struct in_fake *f = arg;

	log_assert(f->open && !f->pending);
	remember(f, e);
	f->pending = 1;
	f->commit_ticket = ticket;
}

static void abort_message(void *arg)
{
	struct in_fake *f = arg;

	log_assert(f->open && !f->pending);
	f->open = 0;
	f->aborted++;
}

static int tls_ready(void *arg)
{
	struct in_fake *f = arg;

	return f->tls;
}

static void start_tls(void *arg)
{
	struct in_fake *f = arg;

	f->handshake = 1;
}

static void timer(void *arg, int64_t usec)
{
	struct in_fake *f = arg;

	f->deadline = usec ? clock_mono() + usec : 0;
}

static void close_session(void *arg)
{
	struct in_fake *f = arg;

	log_assert(!f->closed);
	f->closed = 1;
}

static int ask(void *arg, enum in_ask what, uint64_t ticket, struct span params)
{
	static const char *const names[] = {
#define NAME(name, text) #name " ",
	    IN_ASKS(NAME)
#undef NAME
	};
	struct in_fake *f = arg;
	size_t n = strlen(f->asked);

	(void)params;
	log_assert(f->peer.filters && !f->asking && !f->pending);
	snprintf(f->asked + n, sizeof(f->asked) - n, "%s", names[what]);
	if (what == IN_ASK_DATA)
		buf_reset(&f->shown);
	f->asking = 1;
	f->what = what;
	f->ask_ticket = ticket;
	return IN_SESSION_LATER;
}

static int show(void *arg, struct span s)
{
	struct in_fake *f = arg;

	log_assert(f->open && !f->asking);
	buf_put_span(&f->shown, s);
	return f->filter.shown;
}

static void forget(void *arg)
{
	struct in_fake *f = arg;

	f->forgotten++;
	if (f->what >= IN_ASK_MAIL)
		f->asking = 0;
}

static void answer_ask(struct in_fake *f)
{
	f->asking = 0;
	in_session_filtered(&f->s, f->ask_ticket, &f->filter.verdicts[f->what]);
}

static int auth(void *arg, uint64_t ticket, const char *name, struct span password)
{
	struct in_fake *f = arg;

	if (f->auth < 0)
		return f->auth;
	if (f->keys < 0)
		return f->keys;
	f->auth_pending = 1;
	f->auth_ticket = ticket;
	f->auth_result =
	    !strcmp(name, "app1") && span_equal(password, SPAN_LIT("right")) ? 0 : ERR_AUTH;
	return 0;
}

static enum in_reply allow(void *arg, int recipient)
{
	struct in_fake *f = arg;

	return recipient ? f->limit_recipient : f->limit_message;
}

static enum in_reply claim(void *arg, const struct in_claim *who)
{
	struct in_fake *f = arg;

	if (who->address.ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)&who->address)->sin_addr, f->s.peer.address,
			  sizeof(f->s.peer.address));
	else if (who->address.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&who->address)->sin6_addr,
			  f->s.peer.address, sizeof(f->s.peer.address));
	if (who->address.ss_family)
		f->s.peer.trusted = 0;
	if (!who->login[0])
		return IN_REPLY_NONE;
	if (strcmp(who->login, "app1"))
		return IN_REPLY_NO_SUCH_LOGIN;
	return in_session_log_in(&f->s, "app1", "acme", "xclient") < 0 ? IN_REPLY_AUTH_AWAY : IN_REPLY_NONE;
}

static int suppressed(void *arg, const char *customer, const char *address)
{
	struct in_fake *f = arg;
	char who[400];

	if (!strcmp(f->suppressed, "away"))
		return ERR_BUSY;
	snprintf(who, sizeof(who), "%s %s", customer, address);
	return !strcmp(f->suppressed, who);
}

static const struct in_session_host host = {.ready = ready,
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
					    .forget = forget};

void in_fake_init(struct in_fake *f)
{
	memset(f, 0, sizeof(*f));
	buf_init(&f->replies, 4 << 20);
	buf_init(&f->body, 4 << 20);
	buf_init(&f->in, 4 << 20);
	buf_init(&f->shown, 4 << 20);
	f->tls = ERR_UNSUPPORTED;
	f->next_id = UINT64_C(1) << 32;
	f->conf.hostname = (char *)"relay.example.test";
	f->conf.limits.message_size = 100000;
	f->conf.limits.recipients = 100;
	f->conf.limits.errors = 20;
	f->conf.limits.idle = 300 * CLOCK_SEC;
	f->routes[0] =
	    (struct relay_route){(char *)".example.org", (char *)"mx", RELAY_TLS_ENCRYPT, NULL, NULL, NULL};
	f->routes[1] = (struct relay_route){(char *)"*", (char *)"mx", RELAY_TLS_OPPORTUNISTIC, NULL, NULL, NULL};
	f->conf.routes.items = f->routes;
	f->conf.routes.count = 2;
	snprintf(f->peer.address, sizeof(f->peer.address), "192.0.2.7");
	f->peer.trusted = 1;
	f->peer.customer = "default";
}

static void take_replies(struct in_fake *f)
{
	buf_put_span(&f->replies, buf_span(&f->s.out));
	buf_reset(&f->s.out);
}

void in_fake_start(struct in_fake *f)
{
	f->started = 1;
	in_session_init(&f->s, &host, f, &f->conf, &f->peer);
	in_session_start(&f->s);
	take_replies(f);
	if (f->asking)
		in_fake_run(f);
}

void in_fake_clear(struct in_fake *f)
{
	if (f->started)
		in_session_clear(&f->s);
	buf_clear(&f->replies);
	buf_clear(&f->body);
	buf_clear(&f->in);
	buf_clear(&f->shown);
}

static void answer_auth(struct in_fake *f)
{
	f->auth_pending = 0;
	in_session_authed(&f->s, f->auth_ticket, f->auth_result, f->auth_result ? "" : "app1", "acme");
	take_replies(f);
}

static void answer_commit(struct in_fake *f)
{
	f->pending = 0;
	f->open = 0;
	if (f->commit_err == 0)
		f->committed++;
	in_session_committed(&f->s, f->commit_ticket, f->commit_err);
	take_replies(f);
}

void in_fake_run(struct in_fake *f)
{
	for (;;) {
		int before = f->handshake;
		size_t used;

		if (f->asking && !f->filter.hold) {
			answer_ask(f);
			take_replies(f);
		}
		if (f->pending && !f->hold)
			answer_commit(f);
		if (f->auth_pending && !f->auth_hold)
			answer_auth(f);
		if (f->handshake && buf_size(&f->in) &&
		    !f->closed) { /* as evt_conn: not a handshake */
			in_session_lost(&f->s, "tls-failed");
			take_replies(f);
		}
		used = in_session_input(&f->s, buf_span(&f->in));
		log_assert(used <= buf_size(&f->in));
		buf_drain(&f->in, used);
		/* A handshake is never begun over bytes that came in clear. */
		log_assert(before || !f->handshake || !buf_size(&f->in));
		take_replies(f);
		if (!used && (!f->pending || f->hold) && (!f->asking || f->filter.hold) &&
		    (!f->auth_pending || f->auth_hold))
			return;
	}
}

void in_fake_send(struct in_fake *f, struct span bytes)
{
	size_t at = 0;

	while (at < bytes.n) {
		struct span piece = span_sub(bytes, at, f->piece ? f->piece : bytes.n);

		at += piece.n;
		log_assert(buf_put_span(&f->in, piece) == 0);
		in_fake_run(f);
	}
}

void in_fake_release(struct in_fake *f)
{
	uint64_t id = f->next_id;

	f->hold = f->auth_hold = 0;
	if (f->pending) {
		answer_commit(f);
	} else if (f->asking) {
		f->filter.hold = 0;
		answer_ask(f);
		take_replies(f);
	} else if (f->auth_pending) {
		answer_auth(f);
	} else {
		f->later = 0;
		if (f->keys < 0) {
			f->open = 0;
		} else {
			f->begun++;
			f->next_id++;
			buf_reset(&f->body);
		}
		in_session_begun(&f->s, f->begin_ticket, f->keys, id);
		take_replies(f);
	}
	in_fake_run(f);
}

void in_fake_wait(struct in_fake *f, int64_t usec)
{
	clock_advance(usec);
	if (!f->deadline || clock_mono() < f->deadline)
		return;
	f->deadline = 0;
	in_session_timeout(&f->s);
	take_replies(f);
	in_fake_run(f);
}

void in_fake_tls(struct in_fake *f)
{
	const struct in_tls tls = {"TLSv1.3", "TLS_AES_256_GCM_SHA384", "x25519", 256};

	f->handshake = 0;
	in_session_tls_done(&f->s, &tls);
	take_replies(f);
	in_fake_run(f);
}

void in_fake_eof(struct in_fake *f)
{
	in_session_lost(&f->s, "eof");
	take_replies(f);
	in_fake_run(f);
}
