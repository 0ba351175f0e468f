/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_session_own.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "relay/out/out_verdict.h"

#define OUT_MAX 131072 /* a pipelined group of OUT_SESSION_RECIPIENTS paths with ORCPT fits */

/* The one place that changes state. */
void out_session_enter(struct out_session *s, enum out_state state)
{
	if (log_topic("out"))
		log_debug("out", NULL, "out-state", "from=%s to=%s code=%d",
			  out_state_name(s->state), out_state_name(state), s->reply.code);
	s->state = state;
	s->timer++;
}

void out_session_say(struct out_session *s, const char *text)
{
	buf_put_str(&s->out, text);
}

/* --- how things end */

void out_session_end_mail(struct out_session *s)
{
	s->in_mail = s->giving = 0;
	s->want = (s->want & ~(unsigned)OUT_SESSION_BODY) | OUT_SESSION_ENDED;
}

/* Recipients without an outcome get v. */
void out_session_fill_open(struct out_session *s, const struct queue_result *v)
{
	for (unsigned i = 0; i < s->mail.count; i++)
		if (!s->mail.results[i].outcome)
			out_verdict_copy(&s->mail.results[i], v);
}

void out_session_close_now(struct out_session *s, int polite)
{
	if (polite)
		out_session_say(s, "QUIT\r\n");
	s->polite = polite;
	s->want = (s->want & (OUT_SESSION_ENDED | OUT_SESSION_STALE)) | OUT_SESSION_CLOSE;
	s->user = s->password = span_of(NULL, 0);
	out_session_enter(s, OUT_STATE_CLOSED);
}

/* The session is over; v is what the open recipients, or the owner, get to hear. */
void out_session_fail(struct out_session *s, const struct queue_result *v, int polite)
{
	if (s->in_mail) {
		out_session_fill_open(s, s->refused ? &s->sender_verdict : v);
		out_session_end_mail(s);
	} else {
		s->failure = *v;
	}
	out_session_close_now(s, polite);
}

void out_session_fail_ours(struct out_session *s, int reason, const char *enhanced,
			   const char *text)
{
	struct queue_result v = {0};

	out_verdict_ours(&v, SPOOL_DEFERRED, reason, enhanced, text);
	out_session_fail(s, &v, 0);
}

void out_session_fail_protocol(struct out_session *s, const char *text)
{
	out_session_fail_ours(s, QUEUE_PROTOCOL, "4.5.0", text);
}

void out_session_judge(struct out_session *s, int reason, struct queue_result *v)
{
	enum shape_act act = SHAPE_AS_SAID;

	out_verdict_reply(v, reason, &s->reply);
	if (s->reply.code >= 400 && s->setup.heard)
		act = s->setup.heard(s->setup.arg, &s->reply);
	if (act == SHAPE_BOUNCE)
		v->outcome = SPOOL_BOUNCED;
	else if (act == SHAPE_RETRY)
		v->outcome = SPOOL_DEFERRED;
	else if (act == SHAPE_CLOSE)
		s->leave = 1;
}

/* The reply just heard ends the session. */
void out_session_fail_reply(struct out_session *s, int polite)
{
	struct queue_result v = {0};

	out_session_judge(s, (int)out_state_reason(s->state), &v);
	if (s->reply.code == 421)
		polite = 0;
	if (v.outcome == SPOOL_DELIVERED)
		v.outcome = SPOOL_DEFERRED;
	out_session_fail(s, &v, polite);
}

void out_session_ready(struct out_session *s)
{
	s->established = 1;
	s->want |= OUT_SESSION_READY;
	out_session_enter(s, OUT_STATE_READY);
}

/* --- before the first message */

static void on_greeting(struct out_session *s)
{
	if (s->reply.code / 100 != 2) {
		out_session_fail_reply(s, s->reply.code / 100 > 3);
		return;
	}
	buf_putf(&s->out, "EHLO %s\r\n", s->setup.hostname);
	out_session_enter(s, OUT_STATE_EHLO);
}

static void read_caps(struct out_session *s)
{
	static const struct {
		const char *keyword;
		unsigned cap;
	} words[] = {{"PIPELINING", OUT_CAP_PIPELINING},
		     {"SIZE", OUT_CAP_SIZE},
		     {"8BITMIME", OUT_CAP_8BITMIME},
		     {"SMTPUTF8", OUT_CAP_SMTPUTF8},
		     {"STARTTLS", OUT_CAP_STARTTLS},
		     {"CHUNKING", OUT_CAP_CHUNKING},
		     {"DSN", OUT_CAP_DSN},
		     {"REQUIRETLS", OUT_CAP_REQUIRETLS}};
	struct span auth;
	int offered = 0;

	s->caps = OUT_CAP_ESMTP;
	s->size_limit = 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		int found = 0;
		struct span rest = smtp_reply_in_keyword(&s->reply, words[i].keyword, &found);
		if (!found)
			continue;
		s->caps |= words[i].cap;
		if (words[i].cap == OUT_CAP_SIZE && num_parse_u64(rest, &s->size_limit) < 0)
			s->size_limit = 0;
	}
	if (s->setup.no_chunks)
		s->caps &= ~(unsigned)OUT_CAP_CHUNKING;
	auth = smtp_reply_in_keyword(&s->reply, "AUTH", &offered);
	if (offered)
		s->caps |= out_session_mechanisms(auth);
}

static int tls_required(const struct out_session *s)
{
	return s->setup.tls >= RELAY_TLS_ENCRYPT;
}

/* EHLO or HELO was answered well: TLS, or ready. */
static void greeted(struct out_session *s)
{
	if (s->secured || s->setup.tls == RELAY_TLS_NONE) {
		out_session_greeted(s);
	} else if (s->caps & OUT_CAP_STARTTLS) {
		out_session_say(s, "STARTTLS\r\n");
		out_session_enter(s, OUT_STATE_STARTTLS);
	} else if (tls_required(s)) {
		struct queue_result v = {0};
		char text[128];
		snprintf(text, sizeof(text), "server does not offer STARTTLS, which %s requires",
			 s->setup.demand ? s->setup.demand : "the route");
		s->no_starttls = 1;
		out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_TLS, "4.7.4", text);
		out_session_fail(s, &v, 1);
	} else {
		out_session_greeted(s);
	}
}

static void on_ehlo(struct out_session *s)
{
	switch (s->reply.code / 100) {
	case 2:
		read_caps(s);
		greeted(s);
		break;
	case 5:
		s->caps = 0;
		buf_putf(&s->out, "HELO %s\r\n", s->setup.hostname);
		out_session_enter(s, OUT_STATE_HELO);
		break;
	default:
		out_session_fail_reply(s, 1);
	}
}

static void on_helo(struct out_session *s)
{
	if (s->reply.code / 100 == 2)
		greeted(s);
	else
		out_session_fail_reply(s, 1);
}

static void on_starttls(struct out_session *s)
{
	switch (s->reply.code / 100) {
	case 2:
		s->want |= OUT_SESSION_TLS;
		out_session_enter(s, OUT_STATE_HANDSHAKE);
		break;
	case 4:
	case 5:
		s->tls_refused = 1;
		if (!tls_required(s)) { /* RFC 3207 4: the session goes on */
			out_session_greeted(s);
		} else {
			struct queue_result v = {0};
			s->no_starttls = 1;
			out_session_judge(s, QUEUE_TLS, &v);
			v.outcome = SPOOL_DEFERRED;
			out_session_fail(s, &v, 1);
		}
		break;
	default:
		out_session_fail_protocol(s, "unexpected answer to STARTTLS");
	}
}

/* Bytes that nobody asked for. */
static void on_unasked(struct out_session *s)
{
	struct queue_result v = {0};

	if (s->state == OUT_STATE_HANDSHAKE) {
		s->injected = 1;
		s->tls_broken = 0;
		out_session_fail_ours(s, QUEUE_TLS, "4.7.5", "bytes came before the TLS handshake");
		return;
	}
	if (s->state == OUT_STATE_READY && s->reply.code == 421) { /* it takes leave */
		out_verdict_reply(&v, QUEUE_GREETING, &s->reply);
		out_session_fail(s, &v, 0);
		return;
	}
	out_session_fail_protocol(s, "server spoke out of turn");
}

/* --- events */

static void (*const on_reply[OUT_STATE_COUNT])(struct out_session *s) = {
    [OUT_STATE_CONNECT] = on_unasked,
    [OUT_STATE_GREETING] = on_greeting,
    [OUT_STATE_EHLO] = on_ehlo,
    [OUT_STATE_HELO] = on_helo,
    [OUT_STATE_STARTTLS] = on_starttls,
    [OUT_STATE_HANDSHAKE] = on_unasked,
    [OUT_STATE_LOGIN] = out_session_on_login,
    [OUT_STATE_AUTH] = out_session_on_auth,
    [OUT_STATE_READY] = on_unasked,
    [OUT_STATE_MAIL] = out_session_on_mail,
    [OUT_STATE_RCPT] = out_session_on_rcpt,
    [OUT_STATE_DATA] = out_session_on_data,
    [OUT_STATE_BODY] = out_session_on_body,
    [OUT_STATE_DOT] = out_session_on_dot,
    [OUT_STATE_RSET] = out_session_on_rset,
    [OUT_STATE_CLOSED] = on_unasked,
};

/* The server had given up the idle connection before it saw this message. */
static int stale(const struct out_session *s)
{
	return s->state == OUT_STATE_MAIL && s->served > 0 && !s->answered;
}

static void go_stale(struct out_session *s)
{
	s->in_mail = s->giving = 0;
	s->want = (s->want & ~(unsigned)OUT_SESSION_BODY) | OUT_SESSION_STALE;
	out_session_close_now(s, 0);
}

static void hear(struct out_session *s)
{
	if (s->reply.code == 421 && s->state != OUT_STATE_READY) {
		if (stale(s))
			go_stale(s);
		else
			out_session_fail_reply(s, 0);
		return;
	}
	if (s->state == OUT_STATE_MAIL)
		s->answered = 1;
	on_reply[s->state](s);
}

size_t out_session_bytes(struct out_session *s, struct span in)
{
	size_t used = 0;

	while (used < in.n && s->state != OUT_STATE_CLOSED) {
		int done = 0, n;
		if (s->state == OUT_STATE_HANDSHAKE || s->state == OUT_STATE_CONNECT) {
			on_unasked(s);
			break;
		}
		n = smtp_reply_in_feed(&s->reply, span_sub(in, used, in.n - used), &done);
		if (n == 0)
			break;
		if (n < 0) {
			out_session_fail_protocol(s, "server does not speak SMTP");
			break;
		}
		used += (size_t)n;
		if (!done)
			continue;
		hear(s);
		smtp_reply_in_init(&s->reply);
	}
	return s->state == OUT_STATE_CLOSED ? in.n : used;
}

void out_session_connected(struct out_session *s)
{
	out_session_enter(s, OUT_STATE_GREETING);
}

void out_session_secured(struct out_session *s)
{
	log_assert(s->state == OUT_STATE_HANDSHAKE);
	s->secured = 1;
	s->caps = 0;
	smtp_reply_in_init(&s->reply);
	buf_putf(&s->out, "EHLO %s\r\n", s->setup.hostname);
	out_session_enter(s, OUT_STATE_EHLO);
}

void out_session_broken(struct out_session *s, int err, const char *text)
{
	struct queue_result v = {0};
	char why[128];

	if (s->state == OUT_STATE_CLOSED)
		return;
	if (stale(s) && err != ERR_TIMEOUT) {
		s->doubt = s->given;
		go_stale(s);
		return;
	}
	s->tls_broken = s->state == OUT_STATE_HANDSHAKE;
	s->doubt = s->in_mail && s->given && !s->lone &&
		   (s->accepted || s->state != OUT_STATE_DOT);
	s->broke = s->in_mail;
	snprintf(why, sizeof(why), "%s while waiting: %s",
		 err == ERR_TIMEOUT ? "timed out" : "lost", out_state_name(s->state));
	if (s->state == OUT_STATE_CONNECT)
		out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_CONNECT, "4.4.1",
				 err == ERR_TIMEOUT ? "connect timed out" : text);
	else if (s->state == OUT_STATE_HANDSHAKE)
		out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_TLS, "4.7.5",
				 err == ERR_TIMEOUT ? "handshake timed out" : text);
	else if (err == ERR_TIMEOUT)
		out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_TIMEOUT, "4.4.2", why);
	else
		out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_LOST, "4.4.2", why);
	out_session_fail(s, &v, 0);
}

void out_session_quit(struct out_session *s)
{
	if (s->state == OUT_STATE_READY)
		out_session_close_now(s, 1);
	else if (s->state != OUT_STATE_CLOSED)
		out_session_fail_ours(s, QUEUE_LOST, "4.4.2", "given up here");
}

/* --- life */

void out_session_init(struct out_session *s, const struct out_session_setup *setup)
{
	memset(s, 0, sizeof(*s));
	s->setup = *setup;
	if (setup->login)
		buf_init_wiped(&s->out, OUT_MAX);
	else
		buf_init(&s->out, OUT_MAX);
	smtp_reply_in_init(&s->reply);
	smtp_data_out_init(&s->data);
}

void out_session_clear(struct out_session *s)
{
	buf_clear(&s->out);
}
