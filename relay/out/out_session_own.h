/* SPDX-License-Identifier: Apache-2.0 */
/* out_session_own - what the files of out_session know of each other; nobody else includes it.
 *
 * Story: out_session.c has the way to READY, the ends, and the events; out_session_auth.c the login;
 *        out_session_mail.c the transactions; out_session_body.c what follows their envelope. */
#ifndef RELAY_OUT_OUT_SESSION_OWN_H
#define RELAY_OUT_OUT_SESSION_OWN_H

#include "relay/out/out_session.h"

/* The one place that changes state. */
void out_session_enter(struct out_session *s, enum out_state state);
/* Adds to what is sent. */
void out_session_say(struct out_session *s, const char *text);
/* READY, and wishes for a message. */
void out_session_ready(struct out_session *s);

/* Recipients without an outcome get v. */
void out_session_fill_open(struct out_session *s, const struct queue_result *v);
/* The transaction is over; everybody has an outcome. */
void out_session_end_mail(struct out_session *s);

/* Ends of the session. v is what open recipients get, or failure if it was never READY; polite:
 * with QUIT. */
void out_session_fail(struct out_session *s, const struct queue_result *v, int polite);
void out_session_fail_ours(struct out_session *s, int reason, const char *enhanced,
			   const char *text);
void out_session_fail_protocol(struct out_session *s, const char *text);
/* The reply just heard is the reason. */
void out_session_fail_reply(struct out_session *s, int polite);
/* Without a transaction. */
void out_session_close_now(struct out_session *s, int polite);

/* The reply just heard, as a verdict; whoever shapes traffic hears of it and may change it. */
void out_session_judge(struct out_session *s, int reason, struct queue_result *v);
/* TLS is as it should be: log in if that is asked for, else READY (out_session_auth.c). */
void out_session_greeted(struct out_session *s);
/* What AUTH offers, as capabilities. */
unsigned out_session_mechanisms(struct span offered);
void out_session_on_login(struct out_session *s);
void out_session_on_auth(struct out_session *s);

/* The transaction failed where the server may still have it open. */
void out_session_reset(struct out_session *s);
/* Asks the owner for the body: as DATA, or as a chunk of the announced size. */
void out_session_begin_body(struct out_session *s);
void out_session_begin_chunk(struct out_session *s);

/* Replies in the states of a transaction (out_session_mail.c, out_session_body.c). */
void out_session_on_mail(struct out_session *s);
void out_session_on_rcpt(struct out_session *s);
void out_session_on_data(struct out_session *s);
void out_session_on_body(struct out_session *s);
void out_session_on_dot(struct out_session *s);
void out_session_on_rset(struct out_session *s);

#endif
