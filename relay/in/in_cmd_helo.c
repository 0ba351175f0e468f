/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "core/err.h"
#include "relay/in/in_cmd.h"

#define HELO_MAX 255

static int greet(struct in_session *s, struct span name, int esmtp)
{
	if (!smtp_addr_domain_ok(name, 0) || name.n > HELO_MAX) {
		in_session_say(s, IN_REPLY_BAD_HELO);
		return 0;
	}
	if (in_session_set_helo(s, name) < 0) {
		in_session_say(s, IN_REPLY_STORE_FAILED);
		return 0;
	}
	in_session_drop(s); /* RFC 5321 4.1.4: as if RSET had been given */
	s->esmtp = esmtp;
	if (s->state != IN_STATE_READY)
		in_state_set(s, IN_STATE_READY, "hello");
	return 1;
}

static void say_extensions(struct in_session *s)
{
	char text[512];
	int tls, auth;

	tls = !s->tls.version && s->host->tls_ready(s->arg) != ERR_UNSUPPORTED;
	auth = s->tls.version && s->peer.auth != RELAY_AUTH_NO && s->peer.auth != RELAY_AUTH_BY_MODE;
	snprintf(text, sizeof(text),
		 "%s\nPIPELINING\nSIZE %llu%s%s\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES\nDSN\nCHUNKING%s%s",
		 s->conf->hostname, (unsigned long long)s->conf->limits.message_size,
		 tls ? "\nSTARTTLS" : "", auth ? "\nAUTH PLAIN LOGIN" : "",
		 s->tls.version ? "\nREQUIRETLS" : "",
		 s->peer.xclient ? "\nXCLIENT ADDR LOGIN NAME PORT PROTO HELO DESTADDR DESTPORT" : "");
	in_session_say_param(s, IN_REPLY_HELO, text);
}

void in_cmd_helo_taken(struct in_session *s)
{
	if (s->esmtp)
		say_extensions(s);
	else
		in_session_say(s, IN_REPLY_HELO);
}

static void hello(struct in_session *s, struct span args, int esmtp)
{
	if (greet(s, args, esmtp) && !in_ask_start(s, IN_ASK_HELO, span_of(NULL, 0)))
		in_cmd_helo_taken(s);
}

void in_cmd_helo(struct in_session *s, struct span args)
{
	hello(s, args, 0);
}

void in_cmd_ehlo(struct in_session *s, struct span args)
{
	hello(s, args, 1);
}
