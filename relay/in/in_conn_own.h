/* SPDX-License-Identifier: Apache-2.0 */
/* in_conn_own - what the files of in_conn know of each other; nobody else includes it.
 *
 * Story: in_conn.c has the connection: bytes in and out, TLS, PROXY headers, the end. in_conn_host.c has what the engine
 *        (in_session) and the filters ask of it: keys, spool, queue, logins, limits. in_conn_sign.c has the message signed
 *        between the filters' last word and the commit. */
#ifndef RELAY_IN_IN_CONN_OWN_H
#define RELAY_IN_IN_CONN_OWN_H

#include "evt/evt_conn.h"
#include "evt/evt_timer.h"
#include "relay/bounce/bounce_intake.h"
#include "relay/dkim/dkim_sign.h"
#include "relay/in/in_conn.h"
#include "relay/in/in_filter.h"
#include "relay/in/in_login.h"
#include "relay/keys/keys_object.h"
#include "relay/spool/spool_message.h"

struct in_conn {
	struct list_link link;
	struct relay_worker *w;
	struct relay_conf *conf; /* a reference */
	SSL_CTX *tls;		 /* NULL: not offered; a reference */
	struct evt_conn *conn;	 /* NULL: gone, a commit is still under way */
	in_conn_gone_fn gone;
	void *gone_arg;
	struct sockaddr_storage peer;
	struct in_filter *filter; /* NULL: none */
	struct spool_writer *sw; /* message under way */
	struct bounce_intake *intake; /* instead: it is for bounce.domain */
	struct dkim_sign *dkim; /* of the message under way; NULL: no mail is signed */
	struct keys_object_wait wait;
	uint64_t ticket; /* of the answer that is awaited */
	const struct spool_envelope *committing;
	struct spool_place at; /* committed, but the queue had no memory */
	struct evt_timer add_again;
	unsigned counted : 1; /* in in_clients and sessions_open */
	unsigned eof : 1, no_room : 1, unread : 1;
	unsigned want_tls : 1, broken : 1, closing : 1;
	unsigned proxy : 1;	/* its PROXY header has not come yet */
	uint8_t refused;	/* enum in_reply: why it may not stay, said instead of a greeting */
	const struct relay_listen *listen; /* of conf, or of the one that was in force when it was opened */
	struct in_login login;
	struct in_session s;
};

/* --- in_conn.c */
/* Feeds the engine, sends what it says, and ends the connection when it is over: c may be gone then. */
void in_conn_process(struct in_conn *c);
/* From now on the client is who was named. */
void in_conn_meet(struct in_conn *c, const struct sockaddr_storage *client);
/* The filters' side of the session, for the client as he is known now. ERR_NOMEM. */
int in_conn_make_filter(struct in_conn *c);

/* --- in_conn_host.c */
extern const struct in_session_host in_conn_host;
extern const struct in_filter_host in_conn_filter_host;
/* Tries the queue once more (a timer's function). */
void in_conn_add_again(void *arg);
/* A login was answered. */
void in_conn_told(void *arg);
/* The message goes into the spool as it is now; c->sw is taken over. */
void in_conn_store(struct in_conn *c);
/* What became of the message: the client hears it. */
void in_conn_answer(struct in_conn *c, int result);

/* --- in_conn_sign.c */
/* Before its first octet (ERR_NOMEM), and with each stretch behind our trace field. */
int in_conn_sign_begin(struct in_conn *c);
void in_conn_sign_feed(struct in_conn *c, struct span s);
/* The message is whole, the filters have spoken: stores it, signed if it is to be, or answers. */
void in_conn_sign_end(struct in_conn *c);
/* It is over, or given up. */
void in_conn_sign_clear(struct in_conn *c);

#endif
