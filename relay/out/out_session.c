/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_session.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "relay/out/out_verdict.h"

#define OUT_MAX 65536 /* a pipelined group of OUT_SESSION_RECIPIENTS paths fits */
#define PATH_MAX_OCTETS 320

/* The one place that changes state. */
static void enter(struct out_session *s, enum out_state state)
{
	if (log_topic("out"))
		log_debug("out", NULL, "out-state", "from=%s to=%s code=%d",
			  out_state_name(s->state), out_state_name(state), s->reply.code);
	s->state = state;
	s->timer++;
}

static void say(struct out_session *s, const char *text)
{
	buf_put_str(&s->out, text);
}

/* --- how things end */

static void end_mail(struct out_session *s)
{
	s->in_mail = 0;
	s->want = (s->want & ~(unsigned)OUT_SESSION_BODY) | OUT_SESSION_ENDED;
}

/* Recipients without an outcome get v. */
static void fill_open(struct out_session *s, const struct queue_result *v)
{
	for (unsigned i = 0; i < s->mail.count; i++)
		if (!s->mail.results[i].outcome)
			out_verdict_copy(&s->mail.results[i], v);
}

static void close_now(struct out_session *s, int polite)
{
	if (polite)
		say(s, "QUIT\r\n");
	s->polite = polite;
	s->want = (s->want & (OUT_SESSION_ENDED | OUT_SESSION_STALE)) | OUT_SESSION_CLOSE;
	enter(s, OUT_STATE_CLOSED);
}

/* The session is over; v is what the open recipients, or the owner, get to hear. */
static void fail(struct out_session *s, const struct queue_result *v, int polite)
{
	if (s->in_mail) {
		fill_open(s, s->refused ? &s->sender_verdict : v);
		end_mail(s);
	} else if (!s->established) {
		s->failure = *v;
	}
	close_now(s, polite);
}

static void fail_ours(struct out_session *s, int reason, const char *enhanced, const char *text)
{
	struct queue_result v = {0};

	out_verdict_ours(&v, SPOOL_DEFERRED, reason, enhanced, text);
	fail(s, &v, 0);
}

static void fail_protocol(struct out_session *s, const char *text)
{
	fail_ours(s, QUEUE_PROTOCOL, "4.5.0", text);
}

/* The reply just heard ends the session. */
static void fail_reply(struct out_session *s, int polite)
{
	struct queue_result v = {0};

	out_verdict_reply(&v, (int)out_state_reason(s->state), &s->reply);
	if (s->reply.code == 421)
		polite = 0;
	if (v.outcome == SPOOL_DELIVERED)
		v.outcome = SPOOL_DEFERRED;
	fail(s, &v, polite);
}

static void ready(struct out_session *s)
{
	s->established = 1;
	s->want |= OUT_SESSION_READY;
	enter(s, OUT_STATE_READY);
}

/* --- before the first message */

static void on_greeting(struct out_session *s)
{
	if (s->reply.code / 100 != 2) {
		fail_reply(s, s->reply.code / 100 > 3);
		return;
	}
	buf_putf(&s->out, "EHLO %s\r\n", s->setup.hostname);
	enter(s, OUT_STATE_EHLO);
}

static void read_caps(struct out_session *s)
{
	static const struct {
		const char *keyword;
		unsigned cap;
	} words[] = {{"PIPELINING", OUT_CAP_PIPELINING}, {"SIZE", OUT_CAP_SIZE},
		     {"8BITMIME", OUT_CAP_8BITMIME},	 {"SMTPUTF8", OUT_CAP_SMTPUTF8},
		     {"STARTTLS", OUT_CAP_STARTTLS}};

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
}

static int tls_required(const struct out_session *s)
{
	return s->setup.tls == RELAY_TLS_ENCRYPT || s->setup.tls == RELAY_TLS_VERIFY;
}

/* EHLO or HELO was answered well: TLS, or ready. */
static void greeted(struct out_session *s)
{
	if (s->secured || s->setup.tls == RELAY_TLS_NONE) {
		ready(s);
	} else if (s->caps & OUT_CAP_STARTTLS) {
		say(s, "STARTTLS\r\n");
		enter(s, OUT_STATE_STARTTLS);
	} else if (tls_required(s)) {
		struct queue_result v = {0};
		out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_TLS, "4.7.4",
				 "server does not offer STARTTLS, which the route requires");
		fail(s, &v, 1);
	} else {
		ready(s);
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
		enter(s, OUT_STATE_HELO);
		break;
	default:
		fail_reply(s, 1);
	}
}

static void on_helo(struct out_session *s)
{
	if (s->reply.code / 100 == 2)
		greeted(s);
	else
		fail_reply(s, 1);
}

static void on_starttls(struct out_session *s)
{
	switch (s->reply.code / 100) {
	case 2:
		s->want |= OUT_SESSION_TLS;
		enter(s, OUT_STATE_HANDSHAKE);
		break;
	case 4:
	case 5:
		s->tls_refused = 1;
		if (!tls_required(s)) { /* RFC 3207 4: the session goes on */
			ready(s);
		} else {
			struct queue_result v = {0};
			out_verdict_reply(&v, QUEUE_TLS, &s->reply);
			v.outcome = SPOOL_DEFERRED;
			fail(s, &v, 1);
		}
		break;
	default:
		fail_protocol(s, "unexpected answer to STARTTLS");
	}
}

/* Bytes that nobody asked for. */
static void on_unasked(struct out_session *s)
{
	if (s->state == OUT_STATE_HANDSHAKE) {
		s->injected = 1;
		s->tls_broken = 0;
		fail_ours(s, QUEUE_TLS, "4.7.5", "bytes came before the TLS handshake");
		return;
	}
	fail_protocol(s, "server spoke out of turn");
}

/* --- a transaction */

static void put_rcpt(struct out_session *s, unsigned i)
{
	say(s, "RCPT TO:<");
	say(s, s->mail.envelope->recipients[s->mail.results[i].recipient].address);
	say(s, ">\r\n");
}

static void put_mail(struct out_session *s)
{
	const struct spool_envelope *e = s->mail.envelope;
	char size[32];

	say(s, "MAIL FROM:<");
	say(s, e->sender);
	say(s, ">");
	if (s->caps & OUT_CAP_SIZE) {
		snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)s->mail.size);
		say(s, size);
	}
	if ((e->flags & SPOOL_8BIT) && (s->caps & OUT_CAP_8BITMIME))
		say(s, " BODY=8BITMIME");
	if (e->flags & SPOOL_UTF8)
		say(s, " SMTPUTF8");
	say(s, "\r\n");
}

/* A path that could break the command line never leaves, wherever it came from. */
static int path_ok(const char *address)
{
	size_t n = strlen(address);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)address[i] < 0x20 || address[i] == 0x7f)
			return 0;
	return n < PATH_MAX_OCTETS;
}

/* What this server cannot take at all is answered here. */
static int refuse_locally(struct out_session *s)
{
	const struct spool_envelope *e = s->mail.envelope;
	struct queue_result v = {0};

	if ((e->flags & SPOOL_UTF8) && !(s->caps & OUT_CAP_SMTPUTF8)) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_DATA, "5.6.7",
				 "message needs SMTPUTF8, which the server does not offer");
	} else if (s->size_limit && s->mail.size > s->size_limit) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_DATA, "5.3.4",
				 "message is larger than the server takes");
	} else if (!path_ok(e->sender)) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_SENDER, "5.1.7",
				 "sender address cannot be sent");
	} else {
		int open = 0;
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_RECIPIENT, "5.1.3",
				 "recipient address cannot be sent");
		for (unsigned i = 0; i < s->mail.count; i++) {
			struct queue_result *r = &s->mail.results[i];
			if (path_ok(e->recipients[r->recipient].address))
				open++;
			else
				out_verdict_copy(r, &v);
		}
		return open == 0;
	}
	fill_open(s, &v);
	return 1;
}

static unsigned next_open(const struct out_session *s, unsigned from)
{
	while (from < s->mail.count && s->mail.results[from].outcome)
		from++;
	return from;
}

void out_session_send(struct out_session *s, const struct out_session_mail *m)
{
	log_assert(s->state == OUT_STATE_READY && m->count > 0 &&
		   m->count <= OUT_SESSION_RECIPIENTS);
	s->mail = *m;
	s->want &= ~(unsigned)(OUT_SESSION_READY | OUT_SESSION_ENDED);
	if (refuse_locally(s)) {
		s->want |= OUT_SESSION_ENDED | OUT_SESSION_READY;
		return;
	}
	s->in_mail = 1;
	s->answered = s->refused = s->lone = 0;
	s->accepted = 0;
	s->next_rcpt = next_open(s, 0);
	s->pending_cr = 0;
	s->piped = (s->caps & OUT_CAP_PIPELINING) != 0;
	smtp_data_out_init(&s->data);
	put_mail(s);
	if (s->piped) {
		for (unsigned i = s->next_rcpt; i < m->count; i = next_open(s, i + 1))
			put_rcpt(s, i);
		say(s, "DATA\r\n");
	}
	enter(s, OUT_STATE_MAIL);
}

/* The transaction failed where the server still has it open. */
static void reset(struct out_session *s)
{
	end_mail(s);
	say(s, "RSET\r\n");
	enter(s, OUT_STATE_RSET);
}

/* Asks for the next recipient, or for DATA, or gives up; nothing is said if the group left as one. */
static void after_rcpt(struct out_session *s)
{
	if (s->next_rcpt < s->mail.count) {
		if (!s->piped)
			put_rcpt(s, s->next_rcpt);
		enter(s, OUT_STATE_RCPT);
	} else if (s->piped) {
		enter(s, OUT_STATE_DATA);
	} else if (s->accepted) {
		say(s, "DATA\r\n");
		enter(s, OUT_STATE_DATA);
	} else {
		reset(s);
	}
}

static void on_mail(struct out_session *s)
{
	struct queue_result v = {0};

	if (s->reply.code / 100 == 2) {
		s->served++;
		after_rcpt(s);
		return;
	}
	out_verdict_reply(&v, QUEUE_SENDER, &s->reply);
	if (s->reply.code / 100 < 4) {
		fail_protocol(s, "unexpected answer to MAIL");
		return;
	}
	s->served++;
	s->refused = 1;
	if (s->piped) { /* the answers to the rest of the group must still be heard */
		s->sender_verdict = v;
		after_rcpt(s);
		return;
	}
	fill_open(s, &v);
	end_mail(s);
	ready(s);
}

/* 552 to RCPT once meant "too many recipients" (RFC 5321 4.5.3.1.10). */
static int means_too_many(const struct out_session *s)
{
	return s->reply.code == 552 && s->accepted &&
	       (!s->reply.enhanced[0] || !strcmp(s->reply.enhanced, "5.5.3"));
}

static void on_rcpt(struct out_session *s)
{
	struct queue_result *r = &s->mail.results[s->next_rcpt];
	int class = s->reply.code / 100;

	if (class < 4 && class != 2) {
		fail_protocol(s, "unexpected answer to RCPT");
		return;
	}
	if (s->refused) {
		;
	} else if (class == 2) {
		s->accepted++;
		r->code = (uint16_t)s->reply.code;
	} else {
		out_verdict_reply(r, QUEUE_RECIPIENT, &s->reply);
		if (means_too_many(s))
			out_verdict_soften(r);
	}
	s->next_rcpt = next_open(s, s->next_rcpt + 1);
	after_rcpt(s);
}

static void on_data(struct out_session *s)
{
	int class = s->reply.code / 100;
	struct queue_result v = {0};

	if (class == 3 && s->accepted && !s->refused) {
		s->want |= OUT_SESSION_BODY;
		enter(s, OUT_STATE_BODY);
	} else if (class == 3 && !s->refused) {
		s->lone = 1; /* RFC 2920 3.1 */
		say(s, ".\r\n");
		enter(s, OUT_STATE_DOT);
	} else if (class < 4) {
		/* With a sender refused, a dot might send an empty message: leave. */
		fail_protocol(s, "unexpected answer to DATA");
	} else {
		out_verdict_reply(&v, QUEUE_DATA, &s->reply);
		fill_open(s, s->refused ? &s->sender_verdict : &v);
		reset(s);
	}
}

/* A word from the server while it should listen: a refusal ends it, anything else is nonsense. */
static void on_body(struct out_session *s)
{
	if (s->reply.code / 100 >= 4)
		fail_reply(s, 0);
	else
		fail_protocol(s, "server spoke before the end of the message");
}

static void on_dot(struct out_session *s)
{
	struct queue_result v = {0};

	if (s->reply.code / 100 == 3) {
		fail_protocol(s, "unexpected answer to the message");
		return;
	}
	if (!s->lone) {
		out_verdict_reply(&v, QUEUE_DATA, &s->reply);
		fill_open(s, &v);
	}
	end_mail(s);
	ready(s);
}

static void on_rset(struct out_session *s)
{
	if (s->reply.code / 100 == 2)
		ready(s);
	else
		close_now(s, 1);
}

/* --- events */

static void (*const on_reply[OUT_STATE_COUNT])(struct out_session *s) = {
    [OUT_STATE_CONNECT] = on_unasked, [OUT_STATE_GREETING] = on_greeting,
    [OUT_STATE_EHLO] = on_ehlo,	      [OUT_STATE_HELO] = on_helo,
    [OUT_STATE_STARTTLS] = on_starttls, [OUT_STATE_HANDSHAKE] = on_unasked,
    [OUT_STATE_READY] = on_unasked,   [OUT_STATE_MAIL] = on_mail,
    [OUT_STATE_RCPT] = on_rcpt,	      [OUT_STATE_DATA] = on_data,
    [OUT_STATE_BODY] = on_body,	      [OUT_STATE_DOT] = on_dot,
    [OUT_STATE_RSET] = on_rset,	      [OUT_STATE_CLOSED] = on_unasked,
};

/* The server had given up the idle connection before it saw this message. */
static int stale(const struct out_session *s)
{
	return s->state == OUT_STATE_MAIL && s->served > 0 && !s->answered;
}

static void go_stale(struct out_session *s)
{
	s->in_mail = 0;
	s->want |= OUT_SESSION_STALE;
	close_now(s, 0);
}

static void hear(struct out_session *s)
{
	if (s->reply.code == 421 && s->state != OUT_STATE_READY) {
		if (stale(s))
			go_stale(s);
		else
			fail_reply(s, 0);
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
			fail_protocol(s, "server does not speak SMTP");
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
	enter(s, OUT_STATE_GREETING);
}

void out_session_secured(struct out_session *s)
{
	log_assert(s->state == OUT_STATE_HANDSHAKE);
	s->secured = 1;
	s->caps = 0;
	smtp_reply_in_init(&s->reply);
	buf_putf(&s->out, "EHLO %s\r\n", s->setup.hostname);
	enter(s, OUT_STATE_EHLO);
}

void out_session_broken(struct out_session *s, int err, const char *text)
{
	struct queue_result v = {0};
	char why[128];

	if (s->state == OUT_STATE_CLOSED)
		return;
	if (stale(s) && err != ERR_TIMEOUT) {
		go_stale(s);
		return;
	}
	s->tls_broken = s->state == OUT_STATE_HANDSHAKE;
	s->doubt = s->state == OUT_STATE_DOT && !s->lone;
	snprintf(why, sizeof(why), "%s while waiting: %s", err == ERR_TIMEOUT ? "timed out" : "lost",
		 out_state_name(s->state));
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
	fail(s, &v, 0);
}

/* --- the body */

/* 1 if every CR is followed by LF and every LF preceded by CR, across pieces. */
static int strict(struct out_session *s, struct span in)
{
	const uint8_t *p = in.p, *end = in.p + in.n;

	if (s->pending_cr && in.n) {
		if (*p++ != '\n')
			return 0;
		s->pending_cr = 0;
	}
	while (p < end) {
		const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));
		const uint8_t *cr = memchr(p, '\r', (size_t)((lf ? lf : end) - p));
		if (lf) {
			if (!cr || cr + 1 != lf)
				return 0;
			p = lf + 1;
			continue;
		}
		if (cr && cr + 1 != end)
			return 0;
		s->pending_cr = cr != NULL;
		break;
	}
	return 1;
}

static int damaged(struct out_session *s)
{
	struct queue_result v = {0};

	out_verdict_ours(&v, SPOOL_DEFERRED, QUEUE_DAMAGED, "4.3.0", "stored message is damaged");
	out_session_body_broken(s, &v);
	return ERR_DAMAGED;
}

int out_session_body(struct out_session *s, struct span piece, uint8_t *dst, size_t *n)
{
	log_assert(s->state == OUT_STATE_BODY);
	*n = 0;
	if (!strict(s, piece))
		return damaged(s);
	*n = smtp_data_out_copy(&s->data, piece, dst);
	return 0;
}

int out_session_body_end(struct out_session *s)
{
	log_assert(s->state == OUT_STATE_BODY);
	if (s->pending_cr)
		return damaged(s);
	s->want &= ~(unsigned)OUT_SESSION_BODY;
	say(s, smtp_data_out_end(&s->data));
	enter(s, OUT_STATE_DOT);
	return 0;
}

void out_session_body_broken(struct out_session *s, const struct queue_result *v)
{
	if (s->state == OUT_STATE_BODY)
		fail(s, v, 0);
}

void out_session_quit(struct out_session *s)
{
	if (s->state == OUT_STATE_READY)
		close_now(s, 1);
	else if (s->state != OUT_STATE_CLOSED)
		fail_ours(s, QUEUE_LOST, "4.4.2", "given up here");
}

/* --- life */

void out_session_init(struct out_session *s, const struct out_session_setup *setup)
{
	memset(s, 0, sizeof(*s));
	s->setup = *setup;
	buf_init(&s->out, OUT_MAX);
	smtp_reply_in_init(&s->reply);
	smtp_data_out_init(&s->data);
}

void out_session_clear(struct out_session *s)
{
	buf_clear(&s->out);
}
