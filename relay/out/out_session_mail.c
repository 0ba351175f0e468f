/* SPDX-License-Identifier: Apache-2.0 */
/* out_session's transactions: MAIL, RCPT, DATA, the body, and what the server answers. */
#include "relay/out/out_session_own.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/out/out_verdict.h"

#define PATH_MAX_OCTETS 320

/* --- the envelope */

static void put_rcpt(struct out_session *s, unsigned i)
{
	out_session_say(s, "RCPT TO:<");
	out_session_say(s, s->mail.envelope->recipients[s->mail.results[i].recipient].address);
	out_session_say(s, ">\r\n");
}

static void put_mail(struct out_session *s)
{
	const struct spool_envelope *e = s->mail.envelope;
	char size[32];

	out_session_say(s, "MAIL FROM:<");
	out_session_say(s, e->sender);
	out_session_say(s, ">");
	if (s->caps & OUT_CAP_SIZE) {
		snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)s->mail.size);
		out_session_say(s, size);
	}
	if ((e->flags & SPOOL_8BIT) && (s->caps & OUT_CAP_8BITMIME))
		out_session_say(s, " BODY=8BITMIME");
	if (e->flags & SPOOL_UTF8)
		out_session_say(s, " SMTPUTF8");
	out_session_say(s, "\r\n");
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
	out_session_fill_open(s, &v);
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
		out_session_say(s, "DATA\r\n");
	}
	out_session_enter(s, OUT_STATE_MAIL);
}

/* The transaction failed where the server still has it open. */
static void reset(struct out_session *s)
{
	out_session_end_mail(s);
	out_session_say(s, "RSET\r\n");
	out_session_enter(s, OUT_STATE_RSET);
}

/* Asks for the next recipient, or for DATA, or gives up; nothing is said if the group left as
 * one. */
static void after_rcpt(struct out_session *s)
{
	if (s->next_rcpt < s->mail.count) {
		if (!s->piped)
			put_rcpt(s, s->next_rcpt);
		out_session_enter(s, OUT_STATE_RCPT);
	} else if (s->piped) {
		out_session_enter(s, OUT_STATE_DATA);
	} else if (s->accepted) {
		out_session_say(s, "DATA\r\n");
		out_session_enter(s, OUT_STATE_DATA);
	} else {
		reset(s);
	}
}

void out_session_on_mail(struct out_session *s)
{
	struct queue_result v = {0};

	if (s->reply.code / 100 == 2) {
		s->served++;
		after_rcpt(s);
		return;
	}
	out_verdict_reply(&v, QUEUE_SENDER, &s->reply);
	if (s->reply.code / 100 < 4) {
		out_session_fail_protocol(s, "unexpected answer to MAIL");
		return;
	}
	s->served++;
	s->refused = 1;
	if (s->piped) { /* the answers to the rest of the group must still be heard */
		s->sender_verdict = v;
		after_rcpt(s);
		return;
	}
	out_session_fill_open(s, &v);
	out_session_end_mail(s);
	out_session_ready(s);
}

/* 552 to RCPT once meant "too many recipients" (RFC 5321 4.5.3.1.10). */
static int means_too_many(const struct out_session *s)
{
	return s->reply.code == 552 && s->accepted &&
	       (!s->reply.enhanced[0] || !strcmp(s->reply.enhanced, "5.5.3"));
}

void out_session_on_rcpt(struct out_session *s)
{
	struct queue_result *r = &s->mail.results[s->next_rcpt];
	int class = s->reply.code / 100;

	if (class < 4 && class != 2) {
		out_session_fail_protocol(s, "unexpected answer to RCPT");
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

void out_session_on_data(struct out_session *s)
{
	int class = s->reply.code / 100;
	struct queue_result v = {0};

	if (class == 3 && s->accepted && !s->refused) {
		s->want |= OUT_SESSION_BODY;
		out_session_enter(s, OUT_STATE_BODY);
	} else if (class == 3 && !s->refused) {
		s->lone = 1; /* RFC 2920 3.1 */
		out_session_say(s, ".\r\n");
		out_session_enter(s, OUT_STATE_DOT);
	} else if (class < 4) {
		/* With a sender refused, a dot might send an empty message: leave. */
		out_session_fail_protocol(s, "unexpected answer to DATA");
	} else {
		out_verdict_reply(&v, QUEUE_DATA, &s->reply);
		out_session_fill_open(s, s->refused ? &s->sender_verdict : &v);
		reset(s);
	}
}

/* A word from the server while it should listen: a refusal ends it, anything else is nonsense. */
void out_session_on_body(struct out_session *s)
{
	if (s->reply.code / 100 >= 4)
		out_session_fail_reply(s, 0);
	else
		out_session_fail_protocol(s, "server spoke before the end of the message");
}

void out_session_on_dot(struct out_session *s)
{
	struct queue_result v = {0};

	if (s->reply.code / 100 == 3) {
		out_session_fail_protocol(s, "unexpected answer to the message");
		return;
	}
	if (!s->lone) {
		out_verdict_reply(&v, QUEUE_DATA, &s->reply);
		out_session_fill_open(s, &v);
	}
	out_session_end_mail(s);
	out_session_ready(s);
}

void out_session_on_rset(struct out_session *s)
{
	if (s->reply.code / 100 == 2)
		out_session_ready(s);
	else
		out_session_close_now(s, 1);
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
	out_session_say(s, smtp_data_out_end(&s->data));
	out_session_enter(s, OUT_STATE_DOT);
	return 0;
}

void out_session_body_broken(struct out_session *s, const struct queue_result *v)
{
	if (s->state == OUT_STATE_BODY)
		out_session_fail(s, v, 0);
}
