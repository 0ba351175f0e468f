/* SPDX-License-Identifier: Apache-2.0 */
/* out_session's transactions: MAIL, RCPT, DATA or BDAT, and what the server answers. */
#include "relay/out/out_session_own.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/out/out_verdict.h"
#include "smtp/smtp_addr.h"

#define PATH_MAX_OCTETS 320
#define VALUE_MAX	512 /* RFC 3461 4: ENVID 100 octets, ORCPT 500 */

/* --- the envelope */

/* Text that a client gave, if it can stand as a parameter's value: printable, no blank. */
static int value_ok(const char *text)
{
	if (!text || !text[0] || strlen(text) >= VALUE_MAX)
		return 0;
	for (; *text; text++)
		if (*text <= 0x20 || *text >= 0x7f)
			return 0;
	return 1;
}

static void put_value(struct out_session *s, const char *name, const char *text)
{
	if (!value_ok(text))
		return;
	out_session_say(s, name);
	out_session_say(s, text);
}

static void put_notify(struct out_session *s, uint32_t notify)
{
	static const struct {
		uint32_t bit;
		const char *word;
	} words[] = {{SPOOL_NOTIFY_NEVER, "NEVER"},
		     {SPOOL_NOTIFY_SUCCESS, "SUCCESS"},
		     {SPOOL_NOTIFY_FAILURE, "FAILURE"},
		     {SPOOL_NOTIFY_DELAY, "DELAY"}};
	const char *before = " NOTIFY=";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!(notify & words[i].bit))
			continue;
		out_session_say(s, before);
		out_session_say(s, words[i].word);
		if (words[i].bit == SPOOL_NOTIFY_NEVER)
			break;
		before = ",";
	}
}

/* The address in xtext (RFC 3461 4); nothing for one that is not ASCII. */
static void put_own_orcpt(struct out_session *s, const char *address)
{
	char text[3 * SMTP_ADDR_MAX + 1];
	size_t n = 0;

	for (; *address && n + 3 < sizeof(text); address++) {
		unsigned char c = (unsigned char)*address;
		if (c >= 0x80)
			return;
		if (c <= ' ' || c == '+' || c == '=' || c == 0x7f)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "+%02X", c);
		else
			text[n++] = (char)c;
	}
	text[n] = '\0';
	if (n > 480)
		return;
	out_session_say(s, " ORCPT=rfc822;");
	out_session_say(s, text);
}

static void put_rcpt(struct out_session *s, unsigned i)
{
	const struct spool_recipient *r =
	    &s->mail.envelope->recipients[s->mail.results[i].recipient];

	out_session_say(s, "RCPT TO:<");
	out_session_say(s, r->address);
	out_session_say(s, ">");
	if (s->caps & OUT_CAP_DSN) {
		/* reports to a sender of ours are for us: of failures, and with the address as it is here */
		put_notify(s, s->mail.sender ? SPOOL_NOTIFY_FAILURE : r->notify);
		if (s->mail.sender && !value_ok(r->orcpt))
			put_own_orcpt(s, r->address);
		else
			put_value(s, " ORCPT=", r->orcpt);
	}
	out_session_say(s, "\r\n");
}

static const char *sender_of(const struct out_session_mail *m)
{
	return m->sender ? m->sender : m->envelope->sender;
}

static int ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return 0;
	return 1;
}

/* Whether the message is more than SMTPUTF8 in name: without an octet above 0x7f in addresses,
 * header and body nothing of it is left (RFC 6531 3.6). */
static int needs_utf8(const struct out_session_mail *m)
{
	const struct spool_envelope *e = m->envelope;

	if (!(e->flags & SPOOL_UTF8))
		return 0;
	if ((e->flags & SPOOL_8BIT) || !ascii(sender_of(m)))
		return 1;
	for (unsigned i = 0; i < m->count; i++)
		if (!ascii(e->recipients[m->results[i].recipient].address))
			return 1;
	return 0;
}

static void put_mail(struct out_session *s)
{
	const struct spool_envelope *e = s->mail.envelope;
	char size[32];

	out_session_say(s, "MAIL FROM:<");
	out_session_say(s, sender_of(&s->mail));
	out_session_say(s, ">");
	if (s->caps & OUT_CAP_SIZE) {
		snprintf(size, sizeof(size), " SIZE=%llu", (unsigned long long)s->mail.size);
		out_session_say(s, size);
	}
	if ((e->flags & SPOOL_8BIT) && (s->caps & OUT_CAP_8BITMIME))
		out_session_say(s, " BODY=8BITMIME");
	if ((e->flags & SPOOL_UTF8) && (s->caps & OUT_CAP_SMTPUTF8))
		out_session_say(s, " SMTPUTF8");
	if ((e->flags & SPOOL_REQUIRETLS) && (s->caps & OUT_CAP_REQUIRETLS))
		out_session_say(s, " REQUIRETLS");
	if (s->caps & OUT_CAP_DSN) {
		if ((e->flags & SPOOL_RET_FULL) && !s->mail.sender)
			out_session_say(s, " RET=FULL");
		else if ((e->flags & SPOOL_RET_HDRS) || s->mail.sender)
			out_session_say(s, " RET=HDRS");
		if (!s->mail.sender)
			put_value(s, " ENVID=", e->envid);
	}
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

	if ((e->flags & SPOOL_REQUIRETLS) &&
	    (!s->secured || !s->vouched ||
	     !(s->caps & OUT_CAP_REQUIRETLS || e->flags & SPOOL_REPORT))) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_POLICY, "5.7.30",
				 s->vouched
				     ? "message needs REQUIRETLS, which the server does not offer"
				     : "message needs REQUIRETLS, and no server could be verified");
	} else if ((e->flags & SPOOL_VERIFIED) && (!s->secured || !s->vouched)) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_POLICY, "5.7.30", OUT_SESSION_SENSITIVE);
	} else if (s->setup.refuse_eightbit && (e->flags & SPOOL_8BIT) &&
		   !(s->caps & OUT_CAP_8BITMIME)) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_DATA, "5.6.3",
				 "message needs 8BITMIME, which the server does not offer");
	} else if (needs_utf8(&s->mail) && !(s->caps & OUT_CAP_SMTPUTF8)) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_DATA, "5.6.7",
				 "message needs SMTPUTF8, which the server does not offer");
	} else if (s->size_limit && s->mail.size > s->size_limit) {
		out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_DATA, "5.3.4",
				 "message is larger than the server takes");
	} else if (!path_ok(sender_of(&s->mail))) {
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
	s->spoke = s->given = s->giving = 0;
	if (refuse_locally(s)) {
		s->want |= OUT_SESSION_ENDED | OUT_SESSION_READY;
		return;
	}
	s->in_mail = s->spoke = 1;
	s->answered = s->refused = s->lone = 0;
	s->accepted = 0;
	s->next_rcpt = next_open(s, 0);
	s->pending_cr = 0;
	s->piped = (s->caps & OUT_CAP_PIPELINING) != 0;
	s->chunked = (s->caps & OUT_CAP_CHUNKING) && m->size > 0;
	s->eager = s->chunked && s->piped && m->size <= OUT_SESSION_EAGER;
	smtp_data_out_init(&s->data);
	put_mail(s);
	if (s->piped) {
		for (unsigned i = s->next_rcpt; i < m->count; i = next_open(s, i + 1))
			put_rcpt(s, i);
		if (!s->chunked)
			out_session_say(s, "DATA\r\n");
		else if (s->eager)
			out_session_begin_chunk(s);
	}
	out_session_enter(s, OUT_STATE_MAIL);
}

void out_session_reset(struct out_session *s)
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
	} else if (s->eager) { /* giving, if the owner is slow: then body_end goes on */
		out_session_enter(s, s->giving ? OUT_STATE_BODY : OUT_STATE_DOT);
	} else if (s->piped && !s->chunked) {
		out_session_enter(s, OUT_STATE_DATA);
	} else if (!s->accepted || s->refused) {
		if (s->refused)
			out_session_fill_open(s, &s->sender_verdict);
		out_session_reset(s);
	} else if (s->chunked) {
		out_session_begin_chunk(s);
		out_session_enter(s, OUT_STATE_BODY);
	} else {
		out_session_say(s, "DATA\r\n");
		out_session_enter(s, OUT_STATE_DATA);
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
	if (s->reply.code / 100 < 4) {
		out_session_fail_protocol(s, "unexpected answer to MAIL");
		return;
	}
	out_session_judge(s, QUEUE_SENDER, &v);
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
		out_session_judge(s, QUEUE_RECIPIENT, r);
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
		out_session_begin_body(s);
		out_session_enter(s, OUT_STATE_BODY);
	} else if (class == 3 && !s->refused) {
		s->lone = 1; /* RFC 2920 3.1 */
		out_session_say(s, ".\r\n");
		out_session_enter(s, OUT_STATE_DOT);
	} else if (class < 4) {
		/* With a sender refused, a dot might send an empty message: leave. */
		out_session_fail_protocol(s, "unexpected answer to DATA");
	} else {
		if (s->refused || !s->accepted) /* it says no more than what was said before */
			out_verdict_reply(&v, QUEUE_DATA, &s->reply);
		else
			out_session_judge(s, QUEUE_DATA, &v);
		out_session_fill_open(s, s->refused ? &s->sender_verdict : &v);
		out_session_reset(s);
	}
}
