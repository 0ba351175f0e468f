/* SPDX-License-Identifier: Apache-2.0 */
/* out_session's login: AUTH PLAIN with its initial response, or LOGIN, under TLS only (RFC 4954). */
#include "relay/out/out_session_own.h"

#include <string.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/secret.h"
#include "relay/out/out_verdict.h"

#define PART_MAX  512 /* octets of a user or a password */
#define PLAIN_MAX (2 * PART_MAX + 2)

unsigned out_session_mechanisms(struct span offered)
{
	unsigned caps = 0;
	size_t at = 0;

	while (at < offered.n) {
		size_t n = 0;
		struct span word;
		while (at + n < offered.n && offered.p[at + n] != ' ')
			n++;
		word = span_sub(offered, at, n);
		if (span_equal_nocase(word, SPAN_LIT("PLAIN")))
			caps |= OUT_CAP_PLAIN;
		else if (span_equal_nocase(word, SPAN_LIT("LOGIN")))
			caps |= OUT_CAP_LOGIN;
		at += n + 1;
	}
	return caps;
}

/* Whatever keeps us from logging in keeps the mail, and is no reason to ask the next host. */
static void fail(struct out_session *s, int reason, const char *enhanced, const char *text)
{
	struct queue_result v = {0};

	out_verdict_ours(&v, SPOOL_DEFERRED, reason, enhanced, text);
	s->login_failed = 1;
	out_session_fail(s, &v, 1);
}

/* RFC 8689 4.2.1: then another host may do. */
static void fail_requiretls(struct out_session *s)
{
	struct queue_result v = {0};

	out_verdict_ours(&v, SPOOL_BOUNCED, QUEUE_POLICY, "5.7.30",
			 "message needs REQUIRETLS, which the server does not offer");
	out_session_fail(s, &v, 1);
}

void out_session_greeted(struct out_session *s)
{
	if (s->setup.requiretls && !(s->caps & OUT_CAP_REQUIRETLS)) {
		fail_requiretls(s);
	} else if (!s->setup.login) {
		out_session_ready(s);
	} else if (!s->secured) {
		fail(s, QUEUE_TLS, "4.7.11", "login needs TLS, which the server does not offer");
	} else if (!(s->caps & (OUT_CAP_PLAIN | OUT_CAP_LOGIN))) {
		fail(s, QUEUE_AUTH, "4.7.0", "server offers neither AUTH PLAIN nor LOGIN");
	} else {
		s->want |= OUT_SESSION_LOGIN;
		out_session_enter(s, OUT_STATE_LOGIN);
	}
}

/* A server that speaks while we fetch the password. */
void out_session_on_login(struct out_session *s)
{
	out_session_fail_protocol(s, "server spoke out of turn");
}

static void put_b64(struct out_session *s, struct span raw)
{
	char text[HEX_B64_SIZE(PLAIN_MAX)];

	hex_b64_encode(text, raw.p, raw.n);
	out_session_say(s, text);
	out_session_say(s, "\r\n");
	secret_wipe(text, sizeof(text));
}

static void put_plain(struct out_session *s)
{
	uint8_t raw[PLAIN_MAX];
	size_t n = 0;

	raw[n++] = 0;
	memcpy(raw + n, s->user.p, s->user.n);
	n += s->user.n;
	raw[n++] = 0;
	memcpy(raw + n, s->password.p, s->password.n);
	n += s->password.n;
	out_session_say(s, "AUTH PLAIN ");
	put_b64(s, span_of(raw, n));
	secret_wipe(raw, sizeof(raw));
}

void out_session_login(struct out_session *s, struct span user, struct span password)
{
	if (s->state != OUT_STATE_LOGIN) /* it ended meanwhile */
		return;
	s->want &= ~(unsigned)OUT_SESSION_LOGIN;
	if (!user.n || user.n > PART_MAX || !password.n || password.n > PART_MAX ||
	    memchr(user.p, 0, user.n) || memchr(password.p, 0, password.n)) {
		fail(s, QUEUE_AUTH, "4.7.0", "credential cannot be sent");
		return;
	}
	s->user = user;
	s->password = password;
	s->auth_step = 0;
	if (s->caps & OUT_CAP_PLAIN)
		put_plain(s);
	else
		out_session_say(s, "AUTH LOGIN\r\n");
	out_session_enter(s, OUT_STATE_AUTH);
}

void out_session_no_login(struct out_session *s, const struct queue_result *v)
{
	if (s->state != OUT_STATE_LOGIN)
		return;
	s->want &= ~(unsigned)OUT_SESSION_LOGIN;
	s->login_failed = 1;
	out_session_fail(s, v, 1);
}

void out_session_on_auth(struct out_session *s)
{
	struct queue_result v = {0};

	if (s->reply.code == 334 && !(s->caps & OUT_CAP_PLAIN) && s->auth_step < 2) {
		put_b64(s, s->auth_step++ ? s->password : s->user);
		out_session_enter(s, OUT_STATE_AUTH);
	} else if (s->reply.code / 100 == 2 && ((s->caps & OUT_CAP_PLAIN) || s->auth_step == 2)) {
		s->user = s->password = span_of(NULL, 0);
		out_session_ready(s);
	} else if (s->reply.code / 100 < 4) {
		out_session_fail_protocol(s, "unexpected answer to AUTH");
	} else { /* a wrong password is ours to mend: the mail waits */
		out_session_judge(s, QUEUE_AUTH, &v);
		v.outcome = SPOOL_DEFERRED;
		v.reason = QUEUE_AUTH;
		s->login_failed = 1;
		out_session_fail(s, &v, 1);
	}
}
