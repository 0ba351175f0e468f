/* SPDX-License-Identifier: Apache-2.0 */
/* out_session's bodies: as DATA or as a chunk, and what the server answers to their end. */
#include "relay/out/out_session_own.h"

#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/out/out_verdict.h"

/* A word from the server while it should listen: a refusal ends it, anything else is nonsense. */
void out_session_on_body(struct out_session *s)
{
	if (s->reply.code / 100 >= 4)
		out_session_fail_reply(s, 0);
	else
		out_session_fail_protocol(s, "server spoke before the end of the message");
}

/* It takes the body for commands now: the connection is of no use. */
static void unknown(struct out_session *s)
{
	struct queue_result v = {0};

	out_verdict_reply(&v, QUEUE_PROTOCOL, &s->reply);
	v.outcome = SPOOL_DEFERRED;
	s->chunk_unknown = 1;
	out_session_fail(s, &v, 0);
}

/* The answer to a chunk. Where nobody was to have it, it counts for nothing. */
static void on_chunk(struct out_session *s)
{
	struct queue_result v = {0};
	int good = s->reply.code / 100 == 2;

	if (s->refused && good) {
		out_session_fail_protocol(s, "message taken from a refused sender");
		return;
	}
	if (s->refused) {
		v = s->sender_verdict;
	} else if (s->accepted && (s->reply.code == 500 || s->reply.code == 502 || s->reply.code == 504)) {
		unknown(s);
		return;
	} else if (s->accepted) {
		out_session_judge(s, QUEUE_DATA, &v);
		v.dsn_passed = (s->caps & OUT_CAP_DSN) && !s->mail.sender;
	} else {
		good = 0;
	}
	out_session_fill_open(s, &v);
	if (!good) { /* RFC 3030 2: only that makes the state certain */
		out_session_reset(s);
		return;
	}
	out_session_end_mail(s);
	out_session_ready(s);
}

void out_session_on_dot(struct out_session *s)
{
	struct queue_result v = {0};

	if (s->reply.code / 100 == 3) {
		out_session_fail_protocol(s, "unexpected answer to the message");
		return;
	}
	if (s->chunked) {
		on_chunk(s);
		return;
	}
	if (!s->lone) {
		out_session_judge(s, QUEUE_DATA, &v);
		v.dsn_passed = (s->caps & OUT_CAP_DSN) && !s->mail.sender;
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

void out_session_begin_body(struct out_session *s)
{
	s->giving = 1;
	s->want |= OUT_SESSION_BODY;
}

void out_session_begin_chunk(struct out_session *s)
{
	char line[40];

	snprintf(line, sizeof(line), "BDAT %llu LAST\r\n", (unsigned long long)s->mail.size);
	out_session_say(s, line);
	s->rest = s->mail.size;
	out_session_begin_body(s);
}

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
	log_assert(s->giving);
	*n = 0;
	if (!strict(s, piece) || (s->chunked && piece.n > s->rest))
		return damaged(s);
	if (!s->chunked) {
		*n = smtp_data_out_copy(&s->data, piece, dst);
		return 0;
	}
	memcpy(dst, piece.p, piece.n);
	*n = piece.n;
	s->rest -= piece.n;
	return 0;
}

int out_session_body_end(struct out_session *s)
{
	log_assert(s->giving);
	if (s->pending_cr || (s->chunked && s->rest))
		return damaged(s);
	s->want &= ~(unsigned)OUT_SESSION_BODY;
	s->giving = 0;
	s->given = 1;
	if (!s->chunked)
		out_session_say(s, smtp_data_out_end(&s->data));
	if (s->state == OUT_STATE_BODY)
		out_session_enter(s, OUT_STATE_DOT);
	else
		s->timer++; /* left with the envelope: the wait for its answers begins now */
	return 0;
}

void out_session_body_broken(struct out_session *s, const struct queue_result *v)
{
	if (s->giving)
		out_session_fail(s, v, 0);
}
